"""Two runs, side by side: what became faster or slower from one day to the other.

Seconds of two days are not compared: the machine drifts between them. What is compared is
each contender's ratio to an *anchor*, a contender that both runs hold in the same version.
What moved all contenders alike cancels; an anchor that itself changed would not, so it is
named. What a day does to some alone does not cancel either: those of whom nothing changed show
how much that is, and less is held against nobody. Without an anchor only a fresh measurement of
both versions in turns can tell, and its command is given.

Two machines are another question: there the clock is what is asked for. Where the runs come
from two, or an hour of one has a price, seconds are set side by side as well, and called so.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from harness.errors import Wrong
from harness.record.records import Run
from harness.stats import busy, readings
from harness.stats.changes import MATERIAL, Change, Drift, beyond_drift, family
from reports.analysis import ranked, short
from reports.runs import alike, clock, moves, several, uncompared
from reports.runs.lost import Lost, cells, lost
from reports.trust import again
from reports.verdicts import analyse
from reports.words import VERDICTS


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
    alone_old: list[str] = field(default_factory=list)  # contenders that the other never named
    alone_new: list[str] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)  # measured in the first, not in the second
    gained: list[Lost] = field(default_factory=list)  # and the other way round
    machines: tuple[str, str] = ("", "")  # in words
    created: tuple[str, str] = ("", "")  # to the minute
    two_machines: bool = False
    clocked: list[Change] = field(default_factory=list)  # by the clock; two machines, or prices
    costs: list[clock.Cost] = field(default_factory=list)
    contenders: list[dict[str, Any]] = field(default_factory=list)  # of the second run
    anchor_chosen: bool = False  # by --anchor, and not for being the steadiest
    unmeasured: list[str] = field(default_factory=list)  # sentences: what is shared, without a row


WORDS = {  # how a verdict on a change is called
    "materially_slower": "slower",
    "materially_faster": "faster",
    "perhaps_slower": "perhaps slower",
    "perhaps_faster": "perhaps faster",
    "tie": "stayed",
    "inconclusive": "open",
    "multimodal": VERDICTS["multimodal"],
    "screening": "screening",
    "drift": "drift",
}


UNDECIDED = ("inconclusive", "multimodal", "screening")  # a change may have passed unseen


def compare(
    old: Run, new: Run, anchor: str | None, margin: float, prices: clock.Prices = (None, None)
) -> Changes:
    """margin: a log ratio.

    Raises Wrong for an anchor that the runs do not share, and for one run given twice.
    """
    several.refuse_twice([old, new])
    before, after = old.versions, new.versions
    shared = several.contenders([old, new])
    both = several.comparisons([old, new])
    analyses = [analyse(run) for run in (old, new)]
    first, second = seen = [cells(analysis) for analysis in analyses]
    timed = [(each[0]["id"], several.turns([old, new], each, seen)) for each in both]
    same = alike.same(old, new)
    known = [name for name in shared if before[name] == after[name]]
    known = [name for name in known if name in same] or known
    if anchor is not None and anchor not in shared:
        raise Wrong(f"--anchor '{anchor}' is not in both runs; they share: {', '.join(shared)}")
    turns = [each for _, each in timed]
    chosen = anchor is not None
    anchor = anchor or several.steadiest(turns, moves.typical(turns, known, margin))

    early = partial(moves.early, (old, new), both)
    whole = {
        place for (place, _), its in zip(timed, several.whole([old, new], both), strict=True) if its
    }
    changes: list[Change] = []
    overall: list[Change] = []
    launches: dict[tuple[str, str], tuple[int, ...]] = {}
    for name in shared if anchor is not None else []:
        if name != anchor:
            found = [
                (place, [readings.log_ratios(run, name, anchor or "") for run in each], left)
                for (place, each), left in zip(timed, early(name, anchor or ""), strict=True)
            ]
            launches |= {(place, name): (len(a), len(b)) for place, (a, b), _ in found}
            one, all_ = moves.changes(name, before, after, found, margin, whole)
            changes, overall = changes + one, overall + all_
    hectic = [
        f"in the {which} run {reason}"
        for which, run in (("first", old), ("second", new))
        for reason in busy.throughout(run.groups)
    ]
    restless = [{c.id for c in told.comparisons if c.busy} for told in analyses]
    loud = {
        each[0]["id"]
        for each in both
        if any(one["id"] in ids for ids, one in zip(restless, each, strict=True))
    }
    judged = moves.unjudged(family([*changes, *overall]), loud)
    judged, drift = beyond_drift(judged, same, margin)
    changes, overall = judged[: len(changes)], judged[len(changes) :]
    two = not several.one_machine([old, new])

    def by_the_clock(turns: list[clock.Timed]) -> list[Change]:
        rows = []
        for name in shared:
            found = [
                (place, [clock.by_launch(run.get(name, {})) for run in each], left)
                for (place, each), left in zip(turns, early(name), strict=True)
            ]
            one, all_ = moves.changes(name, before, after, found, margin, whole)
            rows += [*one, *all_]
        return moves.unjudged(family(rows), loud)

    clocked = by_the_clock(timed) if two or any(prices) else []
    costs: list[clock.Cost] = []
    if any(prices):
        paid = [(each[0]["id"], several.turns([old, new], each, seen, paid=True)) for each in both]
        costs = clock.costs(shared, both, paid, by_the_clock(paid), prices)
    pairs = [(a["id"], b["id"]) for a, b in both]
    gone = lost(first, second, new, pairs, ranked(old))
    come = lost(second, first, old, [(b, a) for a, b in pairs], ranked(new))
    works = [each for each, _ in both]
    rest = uncompared.Uncompared([], False)
    if anchor is not None:
        rows = uncompared.Rows([old, new], both, seen, anchor, launches)
        rest = rows.told(shared, _known(changes, gone, come, pairs))
        rest.sentences.extend(rows.no_mean(shared, whole))
    sentence = _sentence(
        anchor, (before, after), changes, shared, works, gone, margin, two, rest.hurried
    )
    if anchor is not None and changes and not hectic and not two:
        sentence += _of_the_same(anchor, judged, same, drift)
    sentence += _unseen(changes)
    if hectic and changes:
        sentence = f"Nothing is concluded: {'; '.join(hectic)}. {sentence}"
    if two and clocked and not hectic:
        sentence = f"{clock.told(clocked)} {sentence}"
    ids = [{c["id"] for c in each} for each in zip(*both, strict=True)] or [set(), set()]
    return Changes(
        old=old.name,
        new=new.name,
        anchor=anchor,
        margin=margin,
        changes=changes,
        overall=overall,
        differences=alike.differences(old, new),
        sentence=sentence,
        command=again.in_turns(new, works, before, after),
        only_old=[c["id"] for c in old.plan["comparisons"] if c["id"] not in ids[0]],
        only_new=[c["id"] for c in new.plan["comparisons"] if c["id"] not in ids[1]],
        alone_old=_alone(old, new, before),
        alone_new=_alone(new, old, after),
        lost=gone,
        gained=come,
        machines=(several.machine_of(old), several.machine_of(new)),
        created=(
            old.plan["created"][:16].replace("T", " "),
            new.plan["created"][:16].replace("T", " "),
        ),
        two_machines=two,
        clocked=clocked,
        costs=costs,
        contenders=[c for c in new.plan["contenders"] if c["name"] in shared],
        anchor_chosen=chosen,
        unmeasured=rest.sentences,
    )


def _known(
    changes: list[Change], gone: list[Lost], come: list[Lost], pairs: list[tuple[str, str]]
) -> set[tuple[str, str]]:
    """(comparison, contender) of which something is told, as the first run calls them."""
    first = {b: a for a, b in pairs}
    there = {(change.comparison, change.contender) for change in changes}
    there |= {(each.comparison, each.contender) for each in gone}
    return there | {(first[each.comparison], each.contender) for each in come}


def _more(log: float) -> str:
    """0.034 -> `3.5%`: by so much a log ratio is more than 1, in two digits at least."""
    more = 100 * math.expm1(log)
    return f"{more:.2g}%" if more < 99.5 else f"{more:.0f}%"


def _unseen(changes: list[Change]) -> str:
    """What a gate lets pass, not having seen it: the slower ends of the intervals left open."""
    left = [c for c in changes if c.verdict in UNDECIDED]
    ends = [c for c in left if math.isfinite(c.high)]
    if not ends or float(np.median([c.high for c in ends])) <= 1:
        return f" {_pairs(left, changes)}." if left else ""
    widest = max(ends, key=lambda c: c.high)
    usual, most = (_more(math.log(x)) for x in (np.median([c.high for c in ends]), widest.high))
    return (
        f" {_pairs(left, changes)}: in half of those with an interval a slowdown of {usual} would "
        f"not have been told from none, nor one of {most} in the widest ({widest.contender} in "
        f"{short(widest.comparison)})."
    )


def _pairs(left: list[Change], changes: list[Change]) -> str:
    return f"{len(left)} of {len(changes)} pairs {'is' if len(left) == 1 else 'are'} open"


def _of_the_same(anchor: str, changes: list[Change], same: set[str], drift: Drift) -> str:
    """What those tell of whom nothing changed."""
    by = f"by up to {_more(drift.by)}"
    if same >= {anchor, *(change.contender for change in changes)}:
        told = (
            " Nothing recorded about these contenders differs between the runs: version, packages, "
            "code, machine."
        )
        who = f" Changes {by} therefore come from the machine, or from what is not recorded."
        return told + who if drift.proved else told
    if drift.who:
        few = (
            "one such yardstick" if drift.yardsticks == 1 else f"{drift.yardsticks} such yardsticks"
        )
        moved, is_ = ("moved", "is") if drift.proved else ("may have moved", "would be")
        return (
            f" {drift.who} {moved} {by} though nothing recorded of it changed: that {is_} drift "
            f"between the runs, and with {few} a change below {_more(drift.reach)} cannot "
            "be told apart from it."
        )
    if drift.yardsticks == 1 and any(change.verdict.startswith("perhaps") for change in changes):
        [alone] = same & {change.contender for change in changes}
        return (
            f" {alone} alone is known to be the same in both: what it may have moved by, and the "
            f"margin, make {_more(drift.reach)}, and a change below that is not told from drift."
        )
    if drift.yardsticks or not any(change.verdict in MATERIAL for change in changes):
        return ""
    known = "Only of the anchor" if anchor in same else "Of nobody"
    return (
        f" {known} is it known that nothing changed, so drift between the runs cannot be "
        "estimated: measuring both versions in turns is surer."
    )


def _sentence(
    anchor: str | None,
    versions: tuple[dict[str, str | None], dict[str, str | None]],
    changes: list[Change],
    shared: list[str],
    both: list[dict[str, Any]],
    gone: list[Lost],
    margin: float,
    two: bool,
    hurried: bool,
) -> str:
    """two: the runs are of two machines, so that nothing changed from one to the other. hurried:
    more time would bring rows."""
    if not both:
        return "The runs share no comparison: there is nothing to compare."
    if not shared:
        return "The runs share no contender: there is nothing to compare."
    if anchor is None:
        return (
            "Only a fresh measurement of both in turns can tell: no contender has the same "
            "version in both runs, and seconds of two days are not comparable."
        )
    count = Counter(change.verdict for change in changes)
    was, is_ = (each[anchor] for each in versions)
    same = was == is_
    version = f" {was}" if same and was else ""
    if changes:
        counted = [f"{count[verdict]} {word}" for verdict, word in WORDS.items() if count[verdict]]
        taken = "" if two else ", taken to be the same in both runs"
        if not same:  # as it was asked for
            taken = f" ({was or '?'} in the first run, {is_ or '?'} in the second: what that "
            taken += "changed is in every ratio)"
        told = (
            f"As ratios to {anchor}{version}{taken}, of {len(changes)}: {', '.join(counted)}; by "
            f"a margin of {100 * math.expm1(margin):.3g}%."
        )
    elif shared == [anchor]:
        told = (
            f"Cannot compare: {anchor}{version} is the only contender that both runs hold, and "
            "nobody is there to be related to it; measure the same contenders in both."
        )
    else:
        told = (
            f"Cannot compare: apart from {anchor}{version}, to which the others are related, no "
            "contender has two launches in both runs"
        )
        told += "; measure with a larger --budget." if hurried else "."
    names = ", ".join(dict.fromkeys(each.contender for each in gone))
    return f"{told} Measured in the first and not in the second: {names}." if gone else told


def _alone(run: Run, other: Run, versions: dict[str, str | None]) -> list[str]:
    """Whom this run was to measure and the other never heard of, with their versions."""
    absent = [each["name"] for each in other.plan.get("absent", [])]
    known = {*ranked(other), *absent}
    return [f"{n} {versions[n] or ''}".strip() for n in ranked(run) if n not in known]
