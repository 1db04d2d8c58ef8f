"""What this machine can do, found through a contender's own operations.

The roof under which every figure is drawn: the rate of a large matrix product, and of
streaming through memory, each by the fastest of a few calls. The machine's roof is the
best that any contender reaches and another comes near (reports/comparison/roof.py). The product
also tells how many processors really work for it: processor time over wall time.
"""

from adapters.core.cost import cost
from adapters.core.precision import value_bytes
from harness.process.processes import WorkerProcess
from suites import catalogue

CALLS = 6
LONG = 1.0  # seconds: of calls that take long fewer are enough, but two
TIMEOUT = 120.0  # of a request, where the run allows as much


def measure(worker: WorkerProcess, device: str, precision: str) -> dict[str, float]:
    """A probe record's figures; the worker is open, and holds nothing afterwards.

    On a GPU both are larger, and their calls are queued as well: a small product, or one that is
    waited for, would measure the launch. Raises WorkerFailed.
    """
    queue = device != "cpu"
    size = "large" if queue else "small"
    flops, threads = _rate(worker, f"probe_matmul_{size}", "flops", queue)
    moved, _ = _rate(worker, f"probe_stream_{size}", "bytes", queue)
    moved *= value_bytes(precision) / value_bytes("float32")
    return {"flops_per_s": flops, "bytes_per_s": moved, "effective_threads": threads}


def _rate(worker: WorkerProcess, workload: str, figure: str, queue: bool) -> tuple[float, float]:
    """Operations (or bytes) per second of the fastest call, and processors at work.

    queue: or of a queue's mean call, where that is faster.
    """
    limit = min(TIMEOUT, worker.limit)
    batch = catalogue.get(workload).batch
    amount = getattr(cost(catalogue.get(workload), batch, "infer"), figure)
    worker.ask("load", limit, workload=workload, batch=batch, direction="infer")
    worker.ask("first", limit)
    seconds = worker.ask("warm", limit, calls=1)["seconds"]
    calls = max(2, min(CALLS, int(LONG / max(seconds, 1e-9))))
    turn = worker.ask("turn", limit, calls=calls, latency=True, queue=queue)["turn"]
    worker.ask("unload", limit)
    took = min(turn["calls"])
    if queue:
        took = min(took, turn["queued_ns"] / (len(turn["calls"]) - turn["dropped"]))
    return amount / (max(took, 1) * 1e-9), turn["cpu_ns"] / turn["wall_ns"]
