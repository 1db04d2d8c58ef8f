"""Our clock against torch.utils.benchmark, on the same calls; and the adapter against bare PyTorch.

    python -m tests.torch_agreement cpu|cuda THREADS

prints, as JSON, which operations are asked, then ratios in a line for each of them: `clock`
is our mean time of a call over theirs of the very same call, `adapter` is what our clock says
of the call through the algebra and the adapter over that of PyTorch as a user would write it.
All take turns, so that drift meets all; each round gives a ratio, and the median of the ratios
is printed. On a GPU theirs queues its calls and waits once at the end of a block, so ours does
too.

The two are kept apart because they are two things. A clock is right or wrong. Two callables
may land on other memory for the life of a process, which moved one by up to 4% here, and
which no clock is to blame for.
"""

import json
import statistics
import sys
from collections.abc import Callable
from itertools import permutations
from typing import Any

from adapters.core.cost import declare
from adapters.core.discovery import adapter_class
from harness.worker import timing
from harness.worker.cell import inputs
from suites.workload import Workload

ORDERS = {"cpu": 8, "cuda": 4}  # of each of the six orders
# A result lives while the next is made, or not, as our clock has it (`synced`, `queued`): memory
# that is free again is another allocation.
STATEMENT = {"cpu": "f()", "cuda": "r = f()"}
SECONDS = 0.05  # of one block: short ones, so that a disturbance spoils few rounds

# Large enough that a call outlasts its launch on a GPU; on a CPU small enough for its cache:
# what is bound by memory depends on where it lies, by 2% from one minute to the next.
IMAGE, BATCH = (64, 56, 56), {"cpu": 8, "cuda": 256}
WIDTH = 2048

PORTABLE: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], Any]]] = {
    "relu": (IMAGE, lambda net, x: net.relu(x)),
    "conv1x1": (IMAGE, lambda net, x: net.conv("c", x, 64, 1)),
    "conv3x3": (IMAGE, lambda net, x: net.conv("c", x, 64, 3, 1, 1)),
    "max_pool": (IMAGE, lambda net, x: net.max_pool(x, 2)),
    "linear": ((WIDTH,), lambda net, x: net.linear("c", x, WIDTH)),
}


def placed(adapter: Any, operation: str, batch: int) -> tuple[Workload, dict[str, Any], Any]:
    """An operation as a workload, its weights, and `batch` images (or 16 times as many rows)."""
    shape, function = PORTABLE[operation]
    batch *= 1 if len(shape) == 3 else 16
    workload = Workload(operation, "micro", function, shape, batch, "")
    params = {
        name: adapter.place(each.initial(name, 0), each.role, each.groups)
        for name, each in declare(workload).items()
    }
    x = adapter.place(inputs(workload, batch)[0], "image" if len(shape) == 3 else "features")
    return workload, params, x


def bare(torch: Any, operation: str, params: dict[str, Any], x: Any) -> Callable[[], Any]:
    """The same operation as a user of PyTorch would write it."""
    function = torch.nn.functional
    weight, bias = params.get("c.weight"), params.get("c.bias")
    return {
        "relu": lambda: function.relu(x),
        "conv1x1": lambda: function.conv2d(x, weight),
        "conv3x3": lambda: function.conv2d(x, weight, padding=1),
        "max_pool": lambda: function.max_pool2d(x, 2),
        "linear": lambda: function.linear(x, weight, bias),
    }[operation]


def ratio(adapter: Any, operation: str, threads: int) -> tuple[float, ...]:
    """Our mean time of a call over that of torch.utils.benchmark; the adapter's over the bare."""
    import torch
    from torch.utils.benchmark import Timer

    workload, params, x = placed(adapter, operation, BATCH[adapter.device])
    call, sync = adapter.infer(workload), adapter.sync
    through, plain = lambda: call(params, x), bare(torch, operation, params, x)
    timed = timing.synced if adapter.device == "cpu" else timing.queued
    timer = Timer(STATEMENT[adapter.device], globals={"f": through}, num_threads=threads)
    with torch.inference_mode():
        calls = max(1, int(SECONDS / timing.warm_up(through, sync, 3.0)["call"]))

        def mean(step: Callable[[], Any]) -> float:
            timed(step, sync, 2)  # Timer.timeit makes as many calls before those it times
            return sum(timed(step, sync, calls)) * 1e-9 / calls

        contenders: dict[str, Callable[[], float]] = {
            "ours": lambda: mean(through),
            "theirs": lambda: timer.timeit(calls).mean,
            "bare": lambda: mean(plain),
        }
        rounds = []
        for order in [*permutations(contenders)] * ORDERS[
            adapter.device
        ]:  # nobody profits from its place
            rounds.append({name: contenders[name]() for name in order})
    return tuple(
        statistics.median(each["ours"] / each[other] for each in rounds)
        for other in ("theirs", "bare")
    )


def main(device: str, threads: int) -> None:
    """Each line at once: whoever ends this process has the operations that were finished."""
    print(json.dumps({"asked": [*PORTABLE]}), flush=True)
    adapter = adapter_class("torch")("", device, "float32", threads)
    for operation in PORTABLE:
        clock, beside = ratio(adapter, operation, threads)
        found = {"clock": {operation: clock}, "adapter": {operation: beside}}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
