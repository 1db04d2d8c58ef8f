"""What the rounds of a launch say that their trimmed mean does not: a step, and a stall.

A contender that turns fast after a hundred calls has a figure that is nobody's, and one that
pauses every second hides its pauses in the rounds that are trimmed. Both repeat from launch to
launch, as what a machine does to one launch does not: each is told where its interval over
launches lies beyond the margin, against the other contenders in the same rounds.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.record.records import Run
from harness.stats import readings, statistics
from reports.analysis import Comparison, warning

LEAST_ROUNDS = 4  # of a launch, to have a first third and a last, and one between them


def warnings(run: Run, comparisons: list[Comparison]) -> list[dict[str, Any]]:
    found = []
    for comparison in comparisons:
        if comparison.by == "sustained":
            continue  # its figure is of blocks without a pause, not of rounds
        by = comparison.by_turn
        times = run.times(comparison.id, by)
        for name in times:
            where = f"{name}, {comparison.id}"
            step = _beyond(times, name, _step)
            if step is not None:
                found.append(warning(where, *_stepped(step), [comparison.id], [name]))
            stall = _beyond(times, name, _stall) if by == "throughput" else None
            if stall is not None and stall > 0:
                found.append(warning(where, *_stalled(stall), [comparison.id], [name]))
    return found


def _beyond(
    times: readings.Times, name: str, figure: Callable[[np.ndarray], float]
) -> float | None:
    """The mean of a figure over launches: its own, and over the others', beyond the margin."""
    alone, apart = [], []
    for launch, logs in times[name].items():
        others = [
            figure(its[launch])
            for other, its in times.items()
            if other.partition("#")[0] != name.partition("#")[0]
            and len(its.get(launch, ())) >= LEAST_ROUNDS
        ]
        if others and len(logs) >= LEAST_ROUNDS:
            alone.append(figure(logs))
            apart.append(alone[-1] - float(np.median(others)))
    if len(apart) < statistics.LEAST_LAUNCHES:
        return None
    for found in (alone, apart):
        low, high = statistics.t_interval(np.array(found))
        if not (low > statistics.MARGIN or high < -statistics.MARGIN):
            return None
    return float(np.mean(apart))


def _step(logs: np.ndarray) -> float:
    """ln of the last third of a launch's rounds over the first."""
    third = len(logs) // 3
    return float(np.mean(logs[-third:]) - np.mean(logs[:third]))


def _stall(logs: np.ndarray) -> float:
    """ln of the mean of all rounds over what they are ranked by."""
    return math.log(float(np.mean(np.exp(logs)))) - readings.trimmed_mean(logs)


def _stepped(log: float) -> tuple[str, str]:
    what = "faster" if log < 0 else "slower"
    return (
        f"it became {math.expm1(abs(log)):.0%} {what} within its launches, from their first third "
        "of rounds to their last",
        "its figure lies between the two: a process that lives longer has the last; the suite "
        "`full` warms up for 30 s",
    )


def _stalled(log: float) -> tuple[str, str]:
    return (
        f"all of its rounds take {math.expm1(log):.0%} longer in the mean than what it is ranked "
        "by, which leaves out the slowest and the quickest of a launch",
        "it pauses now and then; in long work the mean is what you pay",
    )
