"""Portable over native: whether the neutral algebra costs a framework anything.

A native contender is a framework's own model, measured in the same launches, in turns; it is
never ranked. Where the portable one takes over 2% longer than it, the adapter is at fault,
and a ranking of portable contenders understates that framework.
"""

from dataclasses import dataclass

from harness.record.records import Run
from harness.stats import statistics
from reports.analysis import Comparison, finite
from reports.comparison import pairs

MOST = 1.02  # that a portable contender may take of its native one's time


@dataclass(frozen=True)
class Lane:
    """One framework in one comparison: time of its portable contender over its native one's."""

    portable: str
    native: str
    comparison: str
    ratio: float
    low: float | None
    high: float | None
    verdict: str
    launches: int
    ok: bool | None  # the interval lies below MOST, or beyond it; None: it holds MOST


def lanes(run: Run, comparisons: list[Comparison]) -> list[Lane]:
    """Every pair that was measured in common launches, and is right on both sides."""
    found = []
    for portable, native in ((c["of"], c["name"]) for c in run.plan["contenders"] if c.get("of")):
        for comparison in comparisons:
            both = [comparison.find(name) for name in (portable, native)]
            if any(cell is None or cell.status != "ok" for cell in both):
                continue
            times, busy = run.times(comparison.id, comparison.by), bool(comparison.busy)
            its = pairs.pair(run, comparison.id, times, portable, native, busy)
            if not its.logs:
                continue
            pair = pairs.judged(run, its)
            found.append(
                Lane(
                    portable,
                    native,
                    comparison.id,
                    pair.ratio,
                    finite(pair.low),
                    finite(pair.high),
                    pair.verdict,
                    pair.launches,
                    _ok(pair),
                )
            )
    return found


def _ok(pair: statistics.Comparison) -> bool | None:
    if pair.verdict in ("screening", "multimodal"):
        return None
    return True if pair.high <= MOST else False if pair.low > MOST else None
