"""`pytest suites/ --benchmark-only`: every workload of a suite on every framework at hand.

For people whose habit is pytest-benchmark: its storage, comparison and histograms work as
ever. With `--benchmark-disable` the same tests only ask whether each framework computes
the right thing. One process after the other cannot rank frameworks (METHOD says why);
`bakeoff run` does that.
"""

from typing import Any


def test_workload(cell: Any, benchmark: Any) -> None:
    """Right first, then warm, then timed; see conftest.py, which makes the cell."""
    benchmark.extra_info.update(cell.verified())
    cell.measure(benchmark)
