"""Two contenders in one run: what its launches say of them, and the verdict on that.

One rule for every table that sets two beside each other within a run: a comparison's ratios,
the lanes, a run's column among several machines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.record.records import Run
from harness.stats import modes, readings, statistics
from reports.analysis import first_stage


@dataclass(frozen=True)
class Pair:
    """a against b, in one comparison or in several together."""

    logs: Mapping[int, float]  # ln of a's time over b's, launch by launch
    modal: bool  # launches fall into modes, which leave it open
    left: bool  # one of the two left early, being far behind
    busy: bool  # the machine was: nothing is claimed


def pair(run: Run, comparison: str, times: readings.Times, a: str, b: str, busy: bool) -> Pair:
    """times: of the comparison, by the statistic that is asked about."""
    logs = readings.log_ratios(times, a, b)
    first, second = (readings.by_launch(times, name) for name in (a, b))
    modal = modes.leave_open(first, second, readings.in_order(logs))
    left = not run.settled.isdisjoint({(comparison, a), (comparison, b)})
    return Pair(logs, modal, left, busy)


def together(pairs: Sequence[Pair]) -> Pair:
    """The mean over several comparisons, of the launches that hold them all.

    Stricter than each: what leaves one of them open leaves the mean open.
    """
    return Pair(
        dict(enumerate(statistics.shared_launches([each.logs for each in pairs]))),
        any(each.modal for each in pairs),
        any(each.left for each in pairs),
        any(each.busy for each in pairs),
    )


def judged(run: Run, found: Pair) -> statistics.Comparison:
    """The verdict on a. Without a launch that holds both there is no ratio (NaN)."""
    logs = readings.in_order(found.logs)
    verdict = statistics.compare(logs, found.modal, first_stage(run), settled=found.left)
    return replace(verdict, verdict="screening") if found.busy else verdict
