"""Who is to be chosen, given what is wanted and what was measured: pure, without records.

The score of a against b is the weighted sum of the log ratios of all objectives, that is
the log of a weighted geometric mean of ratios: a weighted product (P. W. Bridgman,
Dimensional Analysis, 1922; D. W. Miller and M. K. Starr, Executive Decisions and
Operations Research, 1960). It asks for no common unit and for no normalisation: seconds
or milliseconds, a machine twice as fast, one contender more or less change no comparison
of two. Below 0, a is the better one.

How sure it is. Objectives that are replicated (times) are scored launch by launch, so
the interval is a t-interval over launches that hold all of them. What was seen once (a
peak of memory, a compiler's start) has no interval. It is granted an *allowance*, the factor
to which one observation is good; of starts that were made again there is an interval over
starts, at 99% since what is material has a p below 1%. The interval over launches is widened by
all of these at their worst. What is then beyond the margin is not beyond it by the luck of one
start.

Rules, in this order: whoever failed or misses what an objective needs is out; so is who
breaks a limit; the choice is who beats all others beyond the margin; else there is a tie,
where that is shown; else nobody is chosen. Who is no better than another in anything, and
worse in something, leads nothing.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness.stats import modes, statistics
from reports.analysis import nearness

ONCE = 0  # the key, instead of a launch, of what was seen once
Pair = tuple[str, str]


@dataclass(frozen=True)
class Aspect:
    """One objective, as measured. Of everything less is better."""

    measure: str
    of: str | None
    weight: float
    # (a, b) -> ln of a over b, by launch; by ONCE where it was seen once
    logs: Mapping[Pair, Mapping[int, float]]
    # contender -> what a limit is held against (seconds, bytes): the worst of its comparisons
    values: Mapping[str, float] = field(default_factory=dict)
    # contender -> what its ratios are of: the geometric mean of its comparisons
    means: Mapping[str, float] = field(default_factory=dict)
    # contender -> its figure in each of the comparisons: `enough` counts in each by itself
    each: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    allowance: float | None = None  # None: replicated; else ln of what one look is good to
    # (a, b) -> ln of a over b, of each look that both had beside the launches, where those are
    # enough for an interval; and how many each contender had.
    repeated: Mapping[Pair, np.ndarray] = field(default_factory=dict)
    looks: Mapping[str, int] = field(default_factory=dict)
    at_most: float | None = None
    enough: float | None = None
    comparisons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # comparisons that should have a figure, and nobody has one

    @property
    def once(self) -> bool:
        """Whether it was seen beside the launches: one look, or a few of its own."""
        return self.allowance is not None

    def single(self, a: str, b: str) -> bool:
        """Whether what is said of the two rests on one look that luck has a part in."""
        return bool(self.allowance) and (a, b) not in self.repeated

    def off(self, a: str, b: str) -> float:
        """How far ln of a over b may be off, beside what launches tell."""
        if (a, b) not in self.repeated:
            return self.allowance or 0.0
        low, high = statistics.t_interval(self.repeated[a, b], 1 - statistics.MATERIAL_P)
        return (high - low) / 2

    def doubt(self, a: str, b: str) -> float:
        """The same, as far as it counts: not at all where both stay below `enough` even if off by
        as much as one look is good to."""
        worst = max(self.values.get(name, math.inf) for name in (a, b))
        sure = self.enough is not None and worst * math.exp(self.allowance or 0.0) <= self.enough
        return 0.0 if sure else self.off(a, b)

    def mean(self, a: str, b: str) -> float:
        """ln of a over b, over the launches there are; NaN where they never met."""
        logs = list(self.logs.get((a, b), {}).values())
        return float(np.mean(logs)) if logs else math.nan


@dataclass(frozen=True)
class Decision:
    """What the evidence says; `pairs[a, b]` is on a."""

    order: list[str]
    leader: str | None
    choice: str | None
    tied: list[str]  # the leader first; empty where there is a choice, or no tie
    runner_up: str | None  # the nearest rival; of a tie, the nearest that the leader ties with
    pairs: dict[Pair, statistics.Comparison]

    @property
    def best(self) -> statistics.Comparison | None:
        """The leader against the runner-up."""
        return self.pairs.get((self.leader or "", self.runner_up or ""))

    @property
    def untold(self) -> list[str]:
        """Whom the leader is neither shown to beat nor to tie with."""
        told = ("materially_faster", "tie")
        return [b for b in self.order[1:] if self.pairs[self.leader or "", b].verdict not in told]


def decide(
    aspects: Sequence[Aspect],
    names: Iterable[str],
    modal: Iterable[Pair] = (),
    settled: Iterable[str] = (),
    unnamed: bool = False,
    first_stage: int | None = None,
) -> Decision:
    """The choice among contenders of whom every aspect is known.

    modal: pairs whose launches fall into modes that overlap. settled: who left early
    somewhere, being far behind. unnamed: nobody may be (`unnamed.py`). first_stage: of launches
    that more were planned from, whose spread stays in force.
    """
    names, aspects = sorted(names), aligned(aspects)
    overlapping, early = set(modal), set(settled)
    pairs = {
        (a, b): _pair(
            aspects, a, b, bool({(a, b), (b, a)} & overlapping), bool({a, b} & early), first_stage
        )
        for a in names
        for b in names
        if a != b
    }
    if unnamed:
        pairs = {pair: replace(found, verdict="screening") for pair, found in pairs.items()}
    return among(aspects, names, pairs)


def aligned(aspects: Sequence[Aspect]) -> list[Aspect]:
    """What is replicated and weighed, cut to the launches that hold all of it, pair by pair.

    Then the mean score is the weighted sum of the means, and a score that is linear in the
    weights puts nobody before whom all objectives put behind.
    """
    replicated = [each for each in aspects if each.weight > 0 and not each.once]

    def cut(aspect: Aspect) -> Aspect:
        if aspect not in replicated or len(replicated) == 1:
            return aspect
        logs = {}
        for pair, of in aspect.logs.items():
            shared = set.intersection(*(set(each.logs.get(pair, {})) for each in replicated))
            logs[pair] = {launch: of[launch] for launch in sorted(shared)}
        return replace(aspect, logs=logs)

    return [cut(each) for each in aspects]


def among(
    aspects: Sequence[Aspect], names: Iterable[str], pairs: dict[Pair, statistics.Comparison]
) -> Decision:
    """The choice among some of those who were compared."""
    order = ranking(aspects, names)
    verdicts = {pair: found.verdict for pair, found in pairs.items()}
    choice = statistics.winner(verdicts, order)
    order = [*([choice] if choice else []), *(name for name in order if name != choice)]
    leader = order[0] if order else None
    others = order[1:]
    tied = [b for b in others if verdicts[leader or "", b] == "tie"] if not choice else []
    rivals = tied[:1] or others  # in a tie it is whom the leader ties with
    return Decision(
        order=order,
        leader=leader,
        choice=choice,
        tied=[leader, *tied] if leader and tied else [],
        runner_up=min(rivals, key=lambda b: _nearness(pairs[b, leader or ""]), default=None),
        pairs=pairs,
    )


def _nearness(pair: statistics.Comparison) -> tuple[bool, bool, float]:
    """`nearness`, with those last whom no ratio relates to the leader: NaN is less than nothing and
    more than nothing, so a minimum would take it for the nearest."""
    known = math.isfinite(pair.ratio)
    return not known, *nearness(pair)


def ranking(aspects: Sequence[Aspect], names: Iterable[str]) -> list[str]:
    """By the mean score against all others that it met; the first is dominated by nobody.

    Nor is anybody before the first by what the two have alone, where there is such a one: those
    who left early have other launches with each, and a mean of such pairs may put in front whom one
    of them is ahead of.
    """
    names = sorted(names)
    means = {a: [_mean(aspects, a, b) for b in names if b != a] for a in names}
    met = {a: [mean for mean in its if not math.isnan(mean)] for a, its in means.items()}
    order = sorted(names, key=lambda a: float(np.mean(met[a])) if met[a] else math.inf)
    beaten = {b for b in names if any(dominates(aspects, a, b) for a in names if a != b)}
    behind = {a for a in names if any(_mean(aspects, a, b) > 0 for b in names if b != a)}
    able = [name for name in order if name not in beaten]
    first = next((name for name in able if name not in behind), next(iter(able), None))
    return sorted(order, key=lambda name: name != first)


def dominates(aspects: Sequence[Aspect], a: str, b: str) -> bool:
    """Whether a is worse than b in nothing, and better in something that is wanted."""
    means = [each.mean(a, b) for each in aspects if each.weight > 0]
    return all(mean <= 0 for mean in means) and any(mean < 0 for mean in means)


def score(aspects: Sequence[Aspect], a: str, b: str) -> np.ndarray:
    """The log of a's score over b's in every launch that holds all that is replicated."""
    wanted = [each for each in aspects if each.weight > 0]
    logs = [{k: v * x.weight for k, v in x.logs.get((a, b), {}).items()} for x in wanted]
    fixed = sum(found.get(ONCE, math.nan) for x, found in zip(wanted, logs, strict=True) if x.once)
    launches = [found for x, found in zip(wanted, logs, strict=True) if not x.once]
    shared = statistics.shared_launches(launches)  # their mean; the sum is wanted
    return shared * len(launches) + fixed


def allowance(aspects: Iterable[Aspect], a: str, b: str) -> float:
    """By how much what was seen beside the launches may move the log of a's score over b's, all at
    its worst."""
    return sum(each.weight * each.doubt(a, b) for each in aspects)


def _pair(
    aspects: Sequence[Aspect],
    a: str,
    b: str,
    modal: bool,
    settled: bool,
    first_stage: int | None,
) -> statistics.Comparison:
    """With no launch in which they met there is a ratio of what was seen once, or none.

    Modes leave open who is better only where they reach to the other side of the margin:
    not where every launch, one in the slowest mode too, says the same.
    """
    logs, doubt = score(aspects, a, b), allowance(aspects, a, b)
    modal = modal and not modes.agree(logs, doubt)
    found = statistics.compare(logs, modal, first_stage, settled=settled, allowance=doubt)
    if found.launches:
        return found
    return replace(found, ratio=math.exp(_mean(aspects, a, b)))


def _mean(aspects: Sequence[Aspect], a: str, b: str) -> float:
    logs = score(aspects, a, b)
    if len(logs):
        return float(np.mean(logs))
    return sum(each.weight * each.mean(a, b) for each in aspects if each.weight > 0)


def split(pairs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Where another is ahead of the one that leads over all, which elsewhere is ahead of it.

    By any difference that is told; `proven`: by more than the margin. Who is behind everywhere, and
    leads for its start, is no such. pairs: comparison -> another -> the leader over it, anything
    with a ratio and a verdict.
    """
    level = {
        name
        for others in pairs.values()
        for name, pair in others.items()
        if pair.verdict in ("materially_faster", "faster", "tie")
    }
    found = []
    for comparison, others in pairs.items():
        ahead = {
            name: (pair.verdict == "materially_slower", pair.ratio)
            for name, pair in others.items()
            if name in level and pair.verdict in ("materially_slower", "slower")
        }
        if ahead:  # of whom is told, one by more than the margin before any by a larger luck
            name = max(ahead, key=lambda other: ahead[other])
            proven, ratio = ahead[name]
            row = {"comparison": comparison, "leader": name, "ratio": ratio}
            found.append({**row, "proven": proven})
    return found


def apart(aspects: Sequence[Aspect], names: Iterable[str]) -> list[str]:
    """Contenders that share no launch with the one that shares most: there is no ratio to it."""
    names = sorted(names)
    replicated = [x for x in aspects if not x.once and x.weight > 0]
    if not replicated or len(names) < 2:
        return []
    shared = {
        (a, b): len(set.intersection(*(set(x.logs.get((a, b), {})) for x in replicated)))
        for a in names
        for b in names
        if a != b
    }
    most = max(names, key=lambda a: sum(shared[a, b] for b in names if b != a))
    return [name for name in names if name != most and not shared[name, most]]
