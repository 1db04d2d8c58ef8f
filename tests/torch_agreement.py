"""Our clock against torch.utils.benchmark, on the same operations and the same arrays.

    python -m tests.torch_agreement cpu|cuda THREADS

prints, as JSON, our mean time over theirs for five operations. The two take turns, so that
drift meets both; each pair gives a ratio, and the median of the ratios is printed. Ours goes
through the algebra and the adapter; theirs calls PyTorch bare. On a GPU theirs queues its
calls and waits once at the end of a block, so ours does too.
"""

import json
import statistics
import sys
from collections.abc import Callable
from typing import Any

from adapters.core.cost import declare
from adapters.core.discovery import adapter_class
from harness import timing
from harness.cell import inputs
from suites.workload import Workload

PAIRS = 8  # and as many in the other order
SECONDS = 0.3  # of one block

# Large enough that a call outlasts its launch on a GPU, by a factor that a CPU can bear.
IMAGE, BATCH = (64, 56, 56), {"cpu": 32, "cuda": 256}
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
    x = adapter.place(inputs(workload, batch)[0], "image" if len(shape) == 3 else "matrix")
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


def ratio(adapter: Any, operation: str, threads: int) -> float:
    """Our mean time of a call over that of torch.utils.benchmark."""
    import torch
    from torch.utils.benchmark import Timer

    workload, params, x = placed(adapter, operation, BATCH[adapter.device])
    call = adapter.infer(workload)
    ours, sync = lambda: call(params, x), adapter.sync
    timed = timing.synced if adapter.device == "cpu" else timing.queued
    names = {"f": bare(torch, operation, params, x)}
    theirs = Timer("f()", globals=names, num_threads=threads)
    with torch.inference_mode():
        each = timing.warm_up(ours, sync, 3.0)["call"]
        calls = max(1, int(SECONDS / each))
        theirs.timeit(calls)

        def mean() -> float:
            timed(ours, sync, 2)  # Timer.timeit makes as many calls before those it times
            return sum(timed(ours, sync, calls)) * 1e-9 / calls

        ratios = []
        for _ in range(PAIRS):  # ours goes first, then theirs does: neither profits from its place
            ratios.append(mean() / theirs.timeit(calls).mean)
            ratios.append(1 / (theirs.timeit(calls).mean / mean()))
    return statistics.median(ratios)


def main(device: str, threads: int) -> None:
    adapter = adapter_class("torch")("", device, "float32", threads)
    print(json.dumps({operation: ratio(adapter, operation, threads) for operation in PORTABLE}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
