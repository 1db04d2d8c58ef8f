"""What is said of a choice: sentences for a person who reads nothing else.

The same in the terminal, on the page and in every export; what they say was decided in
`decide.py`, on what `objectives.py` holds.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.stats import statistics
from reports.analysis import short
from reports.choice import flip
from reports.choice.decide import Aspect, Decision
from reports.choice.flip import Weight
from reports.choice.objectives import LEAST_STARTS, MEASURES
from reports.comparison.unnamed import enough
from reports.words import by, ends, interval, less, listed, needed, percent, times

TIMES = ("throughput", "latency", "latency_p99")  # measures whose ratios are of times
LIKELY = 3.0  # who would have to be off by more is not told of


def sentence(
    decision: Decision,
    aspects: list[Aspect],
    ids: list[str],
    extras: list[Aspect],
    unnamed: str,
) -> str:
    """The choice, or why there is none.

    ids: of the comparisons it rests on. extras: what may decide between the tied. unnamed: why
    nobody may be named, if so.
    """
    leader, best = decision.leader, decision.best
    runner_up, tied = decision.runner_up, decision.tied
    if not decision.order:
        return "No contender was measured in all that this asks for, within its limits."
    if best is None or not math.isfinite(best.ratio):
        return f"Only {leader} did all that this asks for: nothing to choose from."
    over = short(ids[0]) if len(ids) == 1 else f"{len(ids)} workloads (geometric mean)"
    weighed = [each for each in aspects if each.weight > 0]
    fact = told_ratio(best.ratio, ratio_of([each.measure for each in weighed]), runner_up or "")
    over = f"{len(weighed)} objectives and {over}" if len(weighed) > 1 else over
    sure = f"{interval(best.confidence)} {ends(best.low, best.high)}"
    sure += f", {best.launches} launches"
    begun = starts(weighed, leader or "", runner_up or "")
    sure += f", {begun} starts" if begun else ""
    if not math.isfinite(best.high):
        sure = f"{best.launches} launch" if best.launches else "no launches"
    if decision.choice:
        return f"Choose {leader}: {fact} ({sure}), over {over}."
    apart = decision.untold
    if tied:
        decides = _deciders(tied, extras)
        names = ", ".join(tied)
        left = f" Not yet told apart from them: {', '.join(apart)}." if apart else ""
        return f"A tie of {names}: {within(tied)} over {over}.{left}{decides}"
    if best.verdict == "screening":
        why = unnamed or f"only {best.launches} of 6 launches"
        if not unnamed and all(each.once for each in weighed):
            alone = any(each.single(leader or "", runner_up or "") for each in weighed)
            why = f"it was measured {f'{begun} times' if begun and not alone else 'once'}; "
            why += "several runs, read together, tell"
        return f"{leader} is ahead, not proven ({why}): {fact} ({sure}), over {over}."
    more = f" {would_tell(best)}"
    if not best.launches_needed and any(each.once for each in weighed):
        more = " More launches would hardly tell; more runs, read together, may."
    others = [name for name in apart if name != runner_up]
    more += f" Its lead over {listed(others)} is not proven either." if others else ""
    worst, whom = at_worst(decision)
    safe = f" At worst it is {behind(worst)} behind {whom}." if worst else ""
    return f"Open: {why_open(best)}. {leader} leads: {fact} ({sure}), over {over}.{safe}{more}"


def status(choice: Any) -> str:
    """Of a recommendation, in a word."""
    if choice.choice or choice.tied:
        return "decided" if choice.choice else "tie"
    if len(choice.ranking) < 2:
        return "no rival" if choice.ranking else "nobody left"
    if choice.verdict == "screening":
        return "screening" if enough(1 - choice.lost) else "incomplete"
    return "depends" if any(each["proven"] for each in choice.split) else "open"


def at_worst(decision: Decision) -> tuple[float | None, str]:
    """How many times the score of whoever it is not shown to beat the leader's may be, by the ends
    of their intervals, and whose; None where something is decided, or nothing is known."""
    leader, best = decision.leader, decision.best
    if decision.choice or decision.tied or best is None or best.verdict == "screening":
        return None, ""
    highs = [(decision.pairs[leader or "", name].high, name) for name in decision.untold]
    worst, whom = max(highs, default=(math.nan, ""))
    return (worst, whom) if 1 < worst < math.inf else (None, "")


def ratio_of(measures: Sequence[str]) -> str:
    """What the ratios of a use are of, that weighs these: a score where it weighs several."""
    if len(measures) != 1:
        return "score"
    return "time" if measures[0] in TIMES else MEASURES[measures[0]].of


def told_ratio(ratio: float, of: str, rival: str) -> str:
    if of == "score":
        return f"its score is {times(ratio)} that of {rival} (less is better)"
    return f"it takes {times(ratio)} the {of} of {rival}"


def behind(worst: float) -> str:
    """1.08 -> 8.0%; 2.4 -> 2.40x"""
    return less(worst, more="").strip()


def within(tied: list[str]) -> str:
    """What a tie claims: of each against the first, not of all against each other."""
    if len(tied) > 2:
        return f"each is within 3% of {tied[0]}"
    return "they differ by less than 3%"


def why_open(pair: Any) -> str:
    """Why a pair of enough launches has no winner. pair: a verdict and `high` of its interval."""
    if pair.verdict == "multimodal":
        return "launches fall into modes that overlap"
    if pair.high is None or pair.high >= 1:
        return "another may be ahead"
    if math.log(pair.high) < -statistics.MARGIN:
        return "the lead is beyond the margin of 3%, but p is not below 1%"
    return "the lead is not proven to be beyond the margin of 3%"


def would_tell(pair: Any, of: str = "launches") -> str:
    """How many it takes, of a pair that is open; at the margin itself no number does."""
    if not pair.launches_needed:
        return f"More {of} would hardly tell."
    return f"{needed(pair.launches_needed, of).capitalize()} would tell."


def open_in_short(pair: Any) -> str:
    """The same, in a cell of a table. pair: a recommendation."""
    if pair.verdict == "multimodal":
        return "launches fall into modes"
    if pair.worst:
        return f"at worst {behind(pair.worst)} behind {pair.worst_of}"
    if pair.verdict == "inconclusive":
        return "either may lead"
    beyond = pair.high is not None and math.log(pair.high) < -statistics.MARGIN
    return "beyond 3%, but p is not below 1%" if beyond else "ahead, not surely by 3%"


def balance(decision: Decision, weighed: list[Aspect]) -> str:
    """Of several wishes: what the leader takes less of than its nearest rival, and what more.

    What moves the score most comes first, each with its weight. What lies within the margin, within
    how far what was measured once or a few times is trusted, or of which launches do not tell the
    sign is named without a figure.
    """
    leader, rival, best = decision.leader, decision.runner_up, decision.best
    if leader is None or rival is None or best is None or len(weighed) < 2:
        return ""
    if best.verdict == "screening":  # as little can be claimed of what the score is made of
        return ""
    measures = [each.measure for each in weighed]
    everywhere = {id_ for each in weighed for id_ in each.comparisons}
    told: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    logs = [(each.mean(leader, rival), each) for each in weighed]
    for log, each in sorted(logs, key=lambda pair: -abs(pair[0]) * pair[1].weight):
        what = MEASURES[each.measure].of
        if measures.count(each.measure) > 1:
            of = "batch inference" if each.of == "throughput" else each.of
            what += f" in {of}" if of else " over all"
        weighs = f" ({percent(each.weight)})"
        if each.once and len(each.comparisons) == 1 < len(everywhere):
            weighs = f" ({percent(each.weight)}, of {short(each.comparisons[0])})"
        if _told_apart(each, leader, rival, best.confidence):
            told[log < 0].append(by(math.exp(log), what) + weighs)
        else:
            told[None].append(what + weighs)
    parts = [listed(told[True])] if told[True] else []
    parts += [f"{'but ' if parts else ''}{listed(told[False])}"] if told[False] else []
    known = ", ".join(parts)
    return (
        f"{known}; no clear difference in {listed(told[None])}" if known and told[None] else known
    )


def _told_apart(each: Aspect, leader: str, rival: str, confidence: float) -> bool:
    if abs(each.mean(leader, rival)) <= max(each.off(leader, rival), statistics.MARGIN):
        return False
    if each.once:
        return True
    low, high = statistics.t_interval(np.array([*each.logs[leader, rival].values()]), confidence)
    return low > 0 or high < 0


def by_figure(
    aspects: list[Aspect], decision: Decision, lost: float, lacking: list[str]
) -> list[str]:
    """Which figure would put another in front: one that nobody saw, or one beside the launches
    (seen once, or a few times).

    lost: the share of the weight that has no figure, which is of what is `lacking`.
    """
    found = []
    unseen = flip.unmeasured(lost, decision)
    if unseen and unseen[0] < LIKELY:
        found.append(
            f"{unseen[1]} leads if {decision.leader} is more than {unseen[0]:.2f}x worse in what "
            f"has no figure ({listed(list(dict.fromkeys(lacking)))})"
        )
    for aspect in aspects:
        off = flip.factor(aspect, decision)
        if off and off[0] < LIKELY:
            found.append(
                f"{off[1]} leads if {named(aspect)}, measured "
                f"{seen(aspect, decision.leader or '', off[1])}, is off by {off[0]:.2f}x"
            )
    return found


def by_weight(weights: list[Weight]) -> list[str]:
    """Which weight would: first of what weighs something now."""
    return [
        f"{other} leads if {named(weight)} weighs "
        f"{'less' if side == 'below' else 'more'} than {_share(at)} (now {percent(weight.now)})"
        for weight in sorted(weights, key=lambda each: not each.now)
        for side, at, other in weight.flips()
    ]


def _share(at: float) -> str:
    """A weight, to two figures: 0.71%, 28%, 99.7%."""
    return f"{100 * at:.2g}%" if at < 0.995 else f"{100 * at:.4g}%"


def trusted() -> str:
    """How far what is measured once is trusted, where luck has a part in it."""
    told = [
        f"{each.title} to {_within(each.allowance)}" for each in MEASURES.values() if each.allowance
    ]
    return listed(told)


def _within(allowance: float) -> str:
    return f"{math.expm1(allowance):.0%}"


def ruled_out(decision: Decision, aspects: list[Aspect]) -> str:
    """Who need not be considered: a choice that is open is seldom open between all."""
    leader = decision.leader or ""
    rows = [
        (name, decision.pairs[name, leader])
        for name in decision.order[1:]
        if name != decision.runner_up
    ]
    slower = [f"{n} ({times(p.ratio)})" for n, p in rows if p.verdict == "materially_slower"]
    word = "slower" if len(aspects) == 1 else "behind"
    return f" Materially {word}: {', '.join(slower)}." if slower else ""


def divided(split: list[dict[str, Any]]) -> str:
    """Where the one that leads over all does not: a mean of workloads hides it."""
    told = [
        f"on {short(each['comparison'])} it takes {times(each['ratio'])} {each['leader']}'s time"
        + ("" if each["proven"] else " (more, not surely by 3%)")
        for each in split
    ]
    return f" But {listed(told)}." if told else ""


def without(share: float, lacking: list[str]) -> str:
    """What is weighed and was not measured; nothing where all was."""
    if not share:
        return ""
    return (
        f"{percent(share)} of the weight ({listed(lacking)}) has no figure, and went to the rest."
    )


def measured_once(share: float) -> str:
    """What of a score no launch has repeated; nothing where there is none."""
    return f"{percent(share)} of the score rests on a single measurement." if share else ""


def seen(aspect: Aspect, *names: str) -> str:
    """How often what is beside the launches was measured, of these: "once", "1 to 6 times"."""
    counts = {aspect.looks.get(name, 1) for name in names} or {1}
    if counts == {1}:
        return "once"
    least, most = min(counts), max(counts)
    return f"{least} times" if least == most else f"{least} to {most} times"


def starts(aspects: list[Aspect], a: str, b: str) -> int:
    """How many starts of each of the two their score rests on, where they have an interval."""
    return min((len(each.repeated[a, b]) for each in aspects if (a, b) in each.repeated), default=0)


def _deciders(tied: list[str], extras: list[Aspect]) -> str:
    """What decides between the tied: start, then memory, then size, where they differ."""
    for aspect in extras:
        if not aspect.once or not set(tied) <= aspect.values.keys():
            continue
        ordered = sorted(tied, key=lambda n: aspect.values[n])
        first, second = (aspect.values[n] for n in ordered[:2])
        if math.log(second / first) > max(aspect.off(*ordered[:2]), statistics.MARGIN):
            measure = MEASURES[aspect.measure]
            rest = ", ".join(f"{n} {measure.tell(aspect.values[n])}" for n in ordered[1:])
            told = f"{ordered[0]} {measure.tell(first)}, {rest}"
            return f" What then decides: {measure.title}, measured {seen(aspect, *tied)}: {told}."
    return ""


def beware(aspects: list[Aspect]) -> list[str]:
    """What limits every word of it."""
    beside = [each for each in aspects if each.once and each.weight and each.allowance]
    found = []
    for each in beside:
        told = f"{named(each)} was measured {seen(each, *each.values)} for each contender: "
        within = f"trusted to {_within(each.allowance or 0.0)}"
        if not each.repeated:
            told += f"it is {within}, and the interval is wider by that"
        else:
            told += "the interval is wider by that of the starts"
            if any(each.looks.get(name, 1) < LEAST_STARTS for name in each.values):
                told += f" (fewer than {LEAST_STARTS} are {within})"
        found.append(told)
    another = "another hour of this machine (`bakeoff repeat` tells), any other workload or machine"
    return [*found, another]


def named(each: Aspect | Weight) -> str:
    title = MEASURES[each.measure].title
    return f"{title} in {each.of}" if each.of and title not in each.of else title
