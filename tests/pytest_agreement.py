"""Our clock against pytest-benchmark's, on the same operations and the same arrays.

    python -m tests.pytest_agreement cpu THREADS

prints, as JSON, our mean time over theirs for three operations of the numpy adapter. The
two take turns within one process; each pair gives a ratio, and the median is printed. The
file is no test by itself: its name keeps it from being collected.
"""

import json
import statistics
import sys
from collections.abc import Callable
from typing import Any

import pytest

from adapters.core.discovery import adapter_class
from harness.worker import timing
from tests.torch_agreement import placed

PAIRS = 16
CALLS = 30
BATCH = 8
OPERATIONS = ("relu", "conv3x3", "linear")  # of torch_agreement's

ratios: dict[str, list[float]] = {name: [] for name in OPERATIONS}
adapter: Any = None


def _call(operation: str) -> Callable[[], Any]:
    workload, params, x = placed(adapter, operation, BATCH)
    infer = adapter.infer(workload)
    return lambda: infer(params, x)


@pytest.mark.parametrize("pair", range(PAIRS))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_pair(benchmark: Any, operation: str, pair: int) -> None:
    call = _call(operation)
    timing.synced(call, adapter.sync, 3)

    def ours() -> float:
        return sum(timing.synced(call, adapter.sync, CALLS)) * 1e-9 / CALLS

    before = ours() if pair % 2 else None  # each goes first half of the time
    benchmark.pedantic(call, rounds=CALLS, iterations=1)
    mean = before if before is not None else ours()
    ratios[operation].append(mean / benchmark.stats.stats.mean)


class Plugin:
    """Hands the ratios out of pytest's own module to whoever called `main`."""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for item in items:
            item.module.adapter = adapter
            item.module.ratios = ratios


def main(device: str, threads: int) -> int:
    global adapter
    adapter = adapter_class("numpy")("", device, "float32", threads)
    quiet = ["-q", "-p", "no:cacheprovider", "--benchmark-disable-gc", "--benchmark-columns=mean"]
    status = pytest.main([__file__, *quiet], plugins=[Plugin()])
    medians = {name: statistics.median(found) for name, found in ratios.items()}
    print(json.dumps({"clock": medians}))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
