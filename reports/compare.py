"""Two runs, side by side: what became faster or slower from one day to the other.

Seconds of two days are not compared: the machine drifts between them. What is compared is
each contender's ratio to an *anchor*, a contender that both runs hold in the same version.
What moved all contenders alike cancels; an anchor that itself changed would not, so it is
named. Without an anchor only a fresh measurement of both versions in turns can tell, and
its command is given.

Two machines are another question: there the clock is what is asked for. Where the runs come
from two, or an hour of one has a price, seconds are set side by side as well, and called so.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness import readings, statistics
from harness.records import Run
from reports import again, several
from reports.analysis import ranked
from reports.lost import Lost, cells, lost
from reports.verdicts import analyse, why_busy


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
    p: float  # adjusted (Holm) over all that were looked at with it
    launches: tuple[int, int]


@dataclass(frozen=True)
class Cost:
    """What a million items cost on each run's machine, at its price an hour; new over old."""

    comparison: str
    contender: str
    old: float | None
    new: float | None
    ratio: float | None
    low: float | None
    high: float | None


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
    lost: list[Lost] = field(default_factory=list)  # measured in the first, not in the second
    gained: list[Lost] = field(default_factory=list)  # and the other way round
    machines: tuple[str, str] = ("", "")  # in words
    two_machines: bool = False
    clocked: list[Change] = field(default_factory=list)  # by the clock; two machines, or prices
    costs: list[Cost] = field(default_factory=list)
    contenders: list[dict[str, Any]] = field(default_factory=list)  # of the second run


FAMILY = 0.05  # the chance, of all changes together, that one is called material by luck
Prices = tuple[float | None, float | None]  # of an hour of each run's machine
Timed = tuple[str, list[readings.Times]]  # a comparison, and its turns in each run


def compare(
    old: Run, new: Run, anchor: str | None, margin: float, prices: Prices = (None, None)
) -> Changes:
    """margin: a log ratio. Raises KeyError for an anchor that the runs do not share."""
    before, after = several.versions(old), several.versions(new)
    shared = several.contenders([old, new])
    both = several.comparisons([old, new])
    first, second = seen = [cells(analyse(run)) for run in (old, new)]
    timed = [(each[0]["id"], several.turns([old, new], each, seen)) for each in both]
    known = [name for name in shared if before[name] == after[name]]
    if anchor is not None and anchor not in shared:
        raise KeyError(f"'{anchor}' is not in both runs; they share: {', '.join(shared)}")
    anchor = anchor or several.steadiest([each for _, each in timed], known)
    changes: list[Change] = []
    overall: list[Change] = []
    for name in shared if anchor is not None else []:
        if name != anchor:
            found = [
                (place, [readings.log_ratios(run, name, anchor or "") for run in each])
                for place, each in timed
            ]
            one, all_ = _changes(name, before, after, found, margin)
            changes, overall = changes + one, overall + all_
    hectic = [
        f"in the {which} run {reason}"
        for which, run in (("first", old), ("second", new))
        for reason in why_busy(run)
    ]
    judged = _judged([*changes, *overall], hectic)  # one family: 5% is the chance of any of them
    changes, overall = judged[: len(changes)], judged[len(changes) :]
    two = _place(old) != _place(new)
    clocked = _clocked(shared, before, after, timed, margin) if two or any(prices) else []
    clocked = _judged(clocked, hectic)
    pairs = [(a["id"], b["id"]) for a, b in both]
    gone = lost(first, second, new, pairs, ranked(old))
    come = lost(second, first, old, [(b, a) for a, b in pairs], ranked(new))
    sentence = _sentence(anchor, before, changes, shared, [old for old, _ in both], gone)
    if hectic and changes:
        sentence = f"Nothing is concluded: {'; '.join(hectic)}. {sentence}"
    if two and clocked and not hectic:
        sentence = f"{_by_the_clock(clocked)} {sentence}"
    ids = [{c["id"] for c in each} for each in zip(*both, strict=True)] or [set(), set()]
    return Changes(
        old=old.name,
        new=new.name,
        anchor=anchor,
        margin=margin,
        changes=changes,
        overall=overall,
        differences=_differences(old, new, before, after),
        sentence=sentence,
        command=_command(new, shared, before, after, [old for old, _ in both]),
        only_old=[c["id"] for c in old.plan["comparisons"] if c["id"] not in ids[0]],
        only_new=[c["id"] for c in new.plan["comparisons"] if c["id"] not in ids[1]],
        lost=gone,
        gained=come,
        machines=(several.machine_of(old), several.machine_of(new)),
        two_machines=two,
        clocked=clocked,
        costs=_costs(shared, both, timed, clocked, prices),
        contenders=[c for c in new.plan["contenders"] if c["name"] in shared],
    )


def _place(run: Run) -> tuple[Any, ...]:
    """What makes a machine another one: its processor, cores, GPUs, and which of them."""
    machine = run.environment.get("machine", {})
    gpus = [gpu.get("name") for gpu in machine.get("gpu") or []]
    return machine.get("cpu"), machine.get("cores_physical"), gpus, _device(run)


def _device(run: Run) -> str | None:
    return run.plan.get("settings", {}).get("device")


# --- changes ---------------------------------------------------------------------------------


def _changes(
    name: str,
    before: dict[str, str | None],
    after: dict[str, str | None],
    found: list[tuple[str, list[dict[int, float]]]],
    margin: float,
) -> tuple[list[Change], list[Change]]:
    """A contender's changes, one a comparison; and over all of them together."""
    found = [(place, each) for place, each in found if all(each)]
    one = []
    for place, (a, b) in found:
        one += _change(place, name, before, after, a, b, margin)
    if len(found) < 2:
        return one, []
    first, second = (_mean([each[k] for _, each in found]) for k in (0, 1))
    return one, _change("", name, before, after, first, second, margin)


def _mean(logs: list[dict[int, float]]) -> dict[int, float]:
    """Over comparisons, launch by launch, where a launch holds them all."""
    return dict(enumerate(statistics.shared_launches(logs)))


def _clocked(
    shared: list[str],
    before: dict[str, str | None],
    after: dict[str, str | None],
    timed: list[Timed],
    margin: float,
) -> list[Change]:
    """Each contender's own time, new over old; "" is all comparisons together."""
    rows = []
    for name in shared:
        found = [(place, [_by_launch(run.get(name, {})) for run in each]) for place, each in timed]
        one, all_ = _changes(name, before, after, found, margin)
        rows += [*one, *all_]
    return rows


def _by_launch(rounds: dict[int, np.ndarray]) -> dict[int, float]:
    return {launch: readings.trimmed_mean(logs) for launch, logs in rounds.items()}


def _by_the_clock(clocked: list[Change]) -> str:
    rows = [c for c in clocked if c.comparison]
    less = sum(c.verdict == "materially_faster" for c in rows)
    more = sum(c.verdict == "materially_slower" for c in rows)
    ratios = sorted(c.ratio for c in rows)
    span = f"{ratios[0]:.2f} to {ratios[-1]:.2f} times the first's"
    return (
        f"Two machines: on the second, {less} of {len(rows)} take less time by the clock, {more} "
        f"more ({span})."
    )


def _costs(
    shared: list[str],
    both: list[list[dict[str, Any]]],
    timed: list[Timed],
    clocked: list[Change],
    prices: Prices,
) -> list[Cost]:
    if not any(prices):
        return []
    changes = {(c.comparison, c.contender): c for c in clocked}
    rows = []
    for pair, (place, each) in zip(both, timed, strict=True):
        for name in shared:
            costs = []
            for comparison, run, price in zip(pair, each, prices, strict=True):
                logs = list(_by_launch(run.get(name, {})).values())
                cost = None
                if logs and price is not None:
                    cost = price / 3600 * float(np.exp(np.mean(logs))) / comparison["batch"] * 1e6
                costs.append(cost)
            change = changes.get((place, name))
            scale = prices[1] / prices[0] if prices[0] and prices[1] is not None else None
            ends: list[float | None] = [None, None, None]
            if change and scale:
                ends = [scale * end for end in (change.ratio, change.low, change.high)]
            if any(cost is not None for cost in costs):
                rows.append(Cost(place, name, costs[0], costs[1], *ends))
    return rows


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
            found.p,
            (len(old), len(new)),
        )
    ]


def _judged(rows: list[Change], hectic: list[str]) -> list[Change]:
    """With p adjusted over all of them, since one of many moves by chance; and where a machine
    was too busy to name a winner on, with no verdict at all."""
    adjusted = statistics.holm([row.p for row in rows])
    found = []
    for row, p in zip(rows, adjusted, strict=True):
        verdict = row.verdict if p < FAMILY else row.verdict.removeprefix("materially_")
        found.append(replace(row, p=p, verdict="screening" if hectic else verdict))
    return found


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
    gone: list[Lost],
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
    if changes:
        told = (
            f"{count['materially_slower']} of {len(changes)} became slower, "
            f"{count['materially_faster']} faster, as ratios to {anchor}{version}, taken to be "
            "the same in both runs."
        )
    else:
        told = (
            f"Nothing has an interval: beside {anchor}{version}, to which the others are related, "
            "nobody was measured in two launches of each run."
        )
    names = ", ".join(dict.fromkeys(each.contender for each in gone))
    return f"{told} Measured in the first and not in the second: {names}." if gone else told


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
    return again.command(new, both, pairs)
