"""Two runs, side by side: what became faster or slower from one day to the other.

Seconds of two days are not compared: the machine drifts between them. What is compared is
each contender's ratio to an *anchor*, a contender that both runs hold in the same version.
What moved all contenders alike cancels; an anchor that itself changed would not, so it is
named. Without an anchor only a fresh measurement of both versions in turns can tell, and
its command is given.
"""

import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness import statistics
from harness.records import Run
from reports.analysis import ranked


@dataclass(frozen=True)
class Change:
    """One contender in one comparison: new time over old, both as ratios to the anchor."""

    comparison: str
    contender: str
    old_version: str | None
    new_version: str | None
    ratio: float
    low: float
    high: float
    verdict: str
    launches: tuple[int, int]


@dataclass(frozen=True)
class Changes:
    """All of it; `anchor` is None where nothing can be said."""

    old: str
    new: str
    anchor: str | None
    margin: float
    changes: list[Change]
    overall: list[Change]  # by contender, the geometric mean over all shared comparisons
    differences: list[str]  # of machine, settings and versions, in words
    sentence: str
    command: str | None  # the paired measurement that could tell
    only_old: list[str]
    only_new: list[str]


def compare(old: Run, new: Run, anchor: str | None, margin: float) -> Changes:
    """margin: a log ratio. Raises KeyError for an anchor that the runs do not share."""
    before, after = _versions(old), _versions(new)
    shared = [name for name in ranked(old) if name in ranked(new)]
    ids = {c["id"]: c for c in new.plan["comparisons"]}
    both = [c for c in old.plan["comparisons"] if c["id"] in ids]
    known = [name for name in shared if before[name] == after[name]]
    if anchor is not None and anchor not in shared:
        raise KeyError(f"'{anchor}' is not in both runs; they share: {', '.join(shared)}")
    anchor = anchor or _steadiest(old, new, both, known)
    changes: list[Change] = []
    overall: list[Change] = []
    if anchor is not None:
        for name in shared:
            if name == anchor:
                continue
            found = [(c["id"], *(_logs(run, c, name, anchor) for run in (old, new))) for c in both]
            found = [(i, a, b) for i, a, b in found if a and b]
            for place, a, b in found:
                changes += _change(place, name, before, after, a, b, margin)
            if len(found) > 1:
                first, second = (_mean([each[k] for each in found]) for k in (1, 2))
                overall += _change("", name, before, after, first, second, margin)
    return Changes(
        old=old.name,
        new=new.name,
        anchor=anchor,
        margin=margin,
        changes=changes,
        overall=overall,
        differences=_differences(old, new, before, after),
        sentence=_sentence(anchor, before, changes, shared, both),
        command=_command(new, shared, before, after, both),
        only_old=[c["id"] for c in old.plan["comparisons"] if c["id"] not in ids],
        only_new=sorted(ids.keys() - {c["id"] for c in both}),
    )


def _mean(logs: list[dict[int, float]]) -> dict[int, float]:
    """Over comparisons, launch by launch, where a launch holds them all."""
    return dict(enumerate(statistics.shared_launches(logs)))


def _versions(run: Run) -> dict[str, str | None]:
    seen = run.environment.get("contenders", {})
    return {
        c["name"]: c.get("version")
        or (seen.get(c["name"].partition("#")[0], {}).get("manifest") or {}).get("version")
        for c in run.plan["contenders"]
    }


def _logs(run: Run, comparison: dict[str, Any], name: str, anchor: str) -> dict[int, float]:
    by = statistics.ranked_by(comparison["direction"], comparison["batch"])[0]
    return statistics.launch_log_ratios(run.groups, comparison["id"], name, anchor, by)


def _steadiest(old: Run, new: Run, both: list[dict[str, Any]], known: list[str]) -> str | None:
    """Of the contenders whose version stayed: the most launches, then the least spread."""

    def order(name: str) -> tuple[int, float]:
        launches, spreads = 0, []
        for comparison in both:
            by = statistics.ranked_by(comparison["direction"], comparison["batch"])[0]
            for run in (old, new):
                names, logs = statistics.launch_log_times(run.groups, comparison["id"], by)
                if name in names:
                    mine = logs[:, names.index(name)]
                    launches += int(np.isfinite(mine).sum())
                    spreads.append(float(np.nanstd(mine)))
        return -launches, float(np.mean(spreads)) if spreads else np.inf

    measured = [name for name in known if order(name)[0] < 0]
    return min(measured, key=order, default=None)


def _change(
    place: str,
    name: str,
    before: dict[str, str | None],
    after: dict[str, str | None],
    old: dict[int, float],
    new: dict[int, float],
    margin: float,
) -> list[Change]:
    """One change; none where there is no interval, as after a single launch."""
    before_logs, after_logs = (np.array([m[k] for k in sorted(m)]) for m in (old, new))
    found = statistics.change(before_logs, after_logs, margin)
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
            (len(old), len(new)),
        )
    ]


def _differences(
    old: Run, new: Run, before: dict[str, str | None], after: dict[str, str | None]
) -> list[str]:
    """What else is not alike between the two runs."""
    found = []
    for name in before.keys() & after.keys():
        if before[name] != after[name]:
            found.append(f"{name}: {before[name] or 'unknown'} → {after[name] or 'unknown'}")
    found.sort()
    machines = [run.environment.get("machine", {}) for run in (old, new)]
    for key in ("cpu", "cores_physical", "governor", "turbo", "os", "kernel", "hypervisor", "gpu"):
        values = [machine.get(key) for machine in machines]
        if values[0] != values[1]:
            found.append(f"the machine's {key.replace('_', ' ')}: {values[0]} → {values[1]}")
    settings = [run.plan.get("settings", {}) for run in (old, new)]
    for key in ("threads", "allocator", "device", "python"):
        values = [each.get(key) for each in settings]
        if values[0] != values[1]:
            found.append(f"{key}: {values[0]} → {values[1]}")
    return found


def _sentence(
    anchor: str | None,
    before: dict[str, str | None],
    changes: list[Change],
    shared: list[str],
    both: list[dict[str, Any]],
) -> str:
    if not both:
        return "The runs share no comparison: there is nothing to compare."
    if not shared:
        return "The runs share no contender: there is nothing to compare."
    if anchor is None:
        return (
            "Only a fresh measurement of both in turns can tell: no contender has the same "
            "version in both runs, and seconds of two days are not comparable."
        )
    count = dict.fromkeys(("materially_slower", "materially_faster"), 0)
    for change in changes:
        if change.verdict in count:
            count[change.verdict] += 1
    version = f" {before[anchor]}" if before[anchor] else ""
    return (
        f"{count['materially_slower']} of {len(changes)} became slower, "
        f"{count['materially_faster']} faster, as ratios to {anchor}{version}, taken to be "
        "the same in both runs."
    )


def _command(
    new: Run,
    shared: list[str],
    before: dict[str, str | None],
    after: dict[str, str | None],
    both: list[dict[str, Any]],
) -> str | None:
    """Both versions of what changed, as two contenders of one run; None where nothing did."""
    pairs = []
    for name in shared:
        old, current = before[name], after[name]
        if old and current and old != current:
            adapter, colon, variant = name.partition(":")
            pairs += [f"{adapter}@{v}{colon}{variant}" for v in (old, current)]
    if not pairs or not both:
        return None
    parts = ["bakeoff", "run", "--suite", new.plan["suite"]["name"]]
    parts += ["--workloads", ",".join(dict.fromkeys(c["workload"] for c in both))]
    return shlex.join([*parts, "--contenders", ",".join(pairs)])
