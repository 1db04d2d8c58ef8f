"""By how much each contender moved between two runs: a comparison at a time, and over all."""

from dataclasses import replace
from typing import Any

import numpy as np

from harness.record.records import Run
from harness.stats import modes, readings, statistics
from harness.stats.changes import Change
from reports.runs import clock


def changes(
    name: str,
    before: dict[str, str | None],
    after: dict[str, str | None],
    found: list[tuple[str, list[dict[int, float]], bool]],
    margin: float,
    whole: set[str],
) -> tuple[list[Change], list[Change]]:
    """A contender's changes, one a comparison; and over all of the `whole` ones together, where it
    was measured in each: a mean over fewer is of other work than the others' means are."""
    one = []
    for place, (a, b), left in found:
        if a and b:
            one += _change(place, name, before, after, a, b, margin, left)
    found = [row for row in found if row[0] in whole]
    if len(found) < 2 or not all(all(row[1]) for row in found):
        return one, []
    first, second = (_mean([each[k] for _, each, _ in found]) for k in (0, 1))
    left = any(left for *_, left in found)
    return one, _change("", name, before, after, first, second, margin, left)


def _change(
    place: str,
    name: str,
    before: dict[str, str | None],
    after: dict[str, str | None],
    old: dict[int, float],
    new: dict[int, float],
    margin: float,
    left: bool,
) -> list[Change]:
    """One change; none where there is no interval, as after a single launch."""
    before_logs, after_logs = (readings.in_order(each) for each in (old, new))
    found = statistics.change(
        before_logs, after_logs, modes.overlap(before_logs, after_logs, margin), margin, left
    )
    if not np.isfinite(found.high):
        return []
    return [
        Change(
            place,
            name,
            before[name],
            after[name],
            found.ratio,
            found.low,
            found.high,
            found.verdict,
            found.p,
            (len(old), len(new)),
            found.confidence,
        )
    ]


def _mean(logs: list[dict[int, float]]) -> dict[int, float]:
    """Over comparisons, launch by launch, where a launch holds them all."""
    return dict(enumerate(statistics.shared_launches(logs)))


def early(runs: tuple[Run, Run], both: list[list[dict[str, Any]]], *names: str) -> list[bool]:
    """Of each comparison, whether one of these left it early in one of the runs."""
    return [
        any((c["id"], name) in r.settled for r, c in zip(runs, pair, strict=True) for name in names)
        for pair in both
    ]


def typical(timed: list[list[readings.Times]], names: list[str], margin: float) -> list[str]:
    """Those whom the clock moved as it moved the most of them: of three or more, the one that
    became slower is no anchor, else the others would be called faster."""
    apart: dict[str, list[float]] = {}
    for old, new in timed:
        logs = {
            name: [list(clock.by_launch(run[name]).values()) for run in (old, new)]
            for name in names
            if old.get(name) and new.get(name)
        }
        moved = {name: float(np.mean(b) - np.mean(a)) for name, (a, b) in logs.items()}
        for name, by in moved.items() if len(moved) > 2 else []:
            apart.setdefault(name, []).append(abs(by - float(np.median([*moved.values()]))))
    means = {name: float(np.mean(each)) for name, each in apart.items()}
    least = min(means.values(), default=0.0)
    return [name for name in means if means[name] <= least + margin] or names


def unjudged(rows: list[Change], loud: set[str]) -> list[Change]:
    """Without a verdict in `loud`, the comparisons in which a machine was too busy to name a winner
    on, and over all together where there is one of these."""
    return [
        replace(row, verdict="screening")
        if row.comparison in loud or (loud and not row.comparison)
        else row
        for row in rows
    ]
