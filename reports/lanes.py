"""Portable over native: whether the neutral algebra costs a framework anything.

A native contender is a framework's own model, measured in the same launches, in turns; it is
never ranked. Where the portable one takes over 2% longer than it, the adapter is at fault,
and a ranking of portable contenders understates that framework.
"""

from dataclasses import dataclass

import numpy as np

from harness import modes, readings, statistics
from harness.records import Run
from reports.analysis import Comparison, finite, first_stage

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
    pairs = [(c["of"], c["name"]) for c in run.plan["contenders"] if c.get("of")]
    found = []
    for portable, native in pairs:
        for comparison in comparisons:
            cells = {cell.contender: cell for cell in comparison.cells}
            both = [cells[name] for name in (portable, native) if name in cells]
            if len(both) < 2 or any(cell.status != "ok" for cell in both):
                continue
            by_launch = readings.launch_log_ratios(
                run.groups, comparison.id, portable, native, comparison.by
            )
            if not by_launch:
                continue
            logs = np.array([by_launch[launch] for launch in sorted(by_launch)])
            first, second = (np.log(cell.launch_seconds) for cell in both)
            modal = modes.leave_open(first, second, logs)
            pair = statistics.compare(logs, modal, first_stage(run))
            found.append(
                Lane(
                    portable,
                    native,
                    comparison.id,
                    pair.ratio,
                    finite(pair.low),
                    finite(pair.high),
                    "screening" if comparison.busy else pair.verdict,
                    pair.launches,
                    None if comparison.busy else _ok(pair),
                )
            )
    return found


def _ok(pair: statistics.Comparison) -> bool | None:
    if pair.verdict in ("screening", "multimodal"):
        return None
    return True if pair.high <= MOST else False if pair.low > MOST else None
