"""What would flip a choice: which weight, which limit, which workload. Pure.

A score is linear in each weight (the others keep their proportions), so the contenders
are straight lines over a weight from 0 to 1 and whoever leads is their lower envelope: the
weights at which it changes are exact. A limit changes only who may be chosen, so the
choice is a step function of it, and all its steps can be told.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reports.choice.decide import Aspect, Decision, aligned, among, ranking

LEAST = 1e-4  # a weight that nobody would write down: who is equal there crosses by rounding
MOST = 50.0  # of a log: past every factor that anybody would name, and e to it is still a number
HALVINGS = 60


@dataclass(frozen=True)
class Step:
    """From `low` on, until the next step, this is so."""

    low: float
    leader: str | None
    kind: str  # choice, tie, lead, only, nobody
    tied: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limit:
    """What is chosen where a figure may be at most so much: steps, ascending."""

    measure: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Weight:
    """Who leads as one objective weighs from nothing to everything: (from, who), ascending."""

    measure: str
    of: str | None
    now: float
    leads: tuple[tuple[float, str], ...]

    def flips(self) -> list[tuple[str, float, str]]:
        """('below' or 'above', the weight, who leads there): what lies next to it is now."""
        place = max(i for i, (start, _) in enumerate(self.leads) if start <= self.now)
        found = []
        if place:
            found.append(("below", self.leads[place][0], self.leads[place - 1][1]))
        if place + 1 < len(self.leads):
            found.append(("above", *self.leads[place + 1]))
        return found


def limits(aspects: Sequence[Aspect], limited: Sequence[Aspect], decision: Decision) -> list[Limit]:
    """For every figure that a person could set a limit to: the choice at every limit."""
    found = []
    aspects = aligned(aspects)
    for aspect in limited:
        if not set(decision.order) <= aspect.values.keys() or len(decision.order) < 2:
            continue
        steps = [Step(0.0, None, "nobody")]
        for value in sorted({aspect.values[name] for name in decision.order}):
            able = [name for name in decision.order if aspect.values[name] <= value]
            inside = among(aspects, able, decision.pairs)
            step = Step(value, inside.leader, _kind(inside, able), tuple(inside.tied))
            if replace(step, low=0.0) != replace(steps[-1], low=0.0):
                steps.append(step)
        found.append(Limit(aspect.measure, tuple(steps)))
    return found


def _kind(decision: Decision, able: list[str]) -> str:
    if len(able) == 1:
        return "only"
    if decision.choice:
        return "choice"
    return "tie" if decision.tied else "lead"


def weights(aspects: Sequence[Aspect], decision: Decision) -> list[Weight]:
    """For every objective, also those that weigh nothing yet: who leads at which weight."""
    leader, others = decision.leader, decision.order[1:]
    found = []
    for aspect in aligned(aspects):
        rest = 1 - aspect.weight
        if leader is None or not others or rest <= 1e-9:
            continue
        lines = {leader: (0.0, 0.0)}
        for name in others:
            whole = math.log(decision.pairs[name, leader].ratio)
            alone = aspect.mean(name, leader)
            without = (whole - aspect.weight * alone) / rest if aspect.weight else whole
            lines[name] = (without, alone)
        if all(math.isfinite(v) for line in lines.values() for v in line):
            leads = tuple(_envelope(lines))
            found.append(Weight(aspect.measure, aspect.of, aspect.weight, leads))
    return found


def _envelope(lines: dict[str, tuple[float, float]]) -> list[tuple[float, str]]:
    """Who is lowest from which weight on: lines are given by their values at 0 and at 1."""
    names = list(lines)  # the leader first: it keeps what is equal
    places = {0.0, 1.0}
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            at0, at1 = (lines[a][k] - lines[b][k] for k in (0, 1))
            if at0 * at1 < 0 and LEAST < at0 / (at0 - at1) < 1 - LEAST:
                places.add(at0 / (at0 - at1))
    ordered = sorted(places)
    found: list[tuple[float, str]] = []
    for start, end in itertools.pairwise(ordered):
        middle = (start + end) / 2
        lowest = min(names, key=lambda n: lines[n][0] * (1 - middle) + lines[n][1] * middle)
        if not found or found[-1][1] != lowest:
            found.append((start, lowest))
    return found


def factor(aspect: Aspect, decision: Decision) -> tuple[float, str] | None:
    """By what factor a figure beside the launches would have to be wrong to put another in front.

    And who that is: whoever is overtaken by the smallest one. None where it has no weight, or
    was counted and cannot be off.
    """
    leader = decision.leader
    if not aspect.allowance or not aspect.weight or leader is None or len(decision.order) < 2:
        return None
    found = [(_off(aspect, leader, b, gap / aspect.weight), b) for b, gap in _gaps(decision)]
    return min(found, default=None)


def _gaps(decision: Decision) -> list[tuple[str, float]]:
    """By how much of the log of a score each other is behind the leader: who ever met it."""
    pairs = [(b, decision.pairs[decision.leader or "", b].ratio) for b in decision.order[1:]]
    return [(b, max(-math.log(ratio), 0.0)) for b, ratio in pairs if math.isfinite(ratio)]


def _off(aspect: Aspect, leader: str, other: str, gap: float) -> float:
    """The factor by which either the leader's figures would have to be more, in all comparisons,
    or the other's less, for the other to be in front.

    What is below `enough` counts as that in each comparison by itself: so of a start in two
    workloads the one may already be noticed while the other is not. The score is monotone in the
    factor, and is solved by halving.
    """
    figures = [_figures(aspect, name) for name in (leader, other)]
    least = aspect.enough
    if not least or not all(figures):
        return math.exp(min(gap, MOST))
    ours, theirs = ([math.log(v / least) if v > 0 else -MOST for v in each] for each in figures)

    def moved(by: float) -> float:
        more = np.mean([max(v + by, 0.0) - max(v, 0.0) for v in ours])
        less = np.mean([max(v, 0.0) - max(v - by, 0.0) for v in theirs])
        return float(max(more, less))

    low, high = 0.0, MOST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if moved(middle) > gap else (middle, high)
    return math.exp(high)


def _figures(aspect: Aspect, name: str) -> tuple[float, ...]:
    """One for each comparison; where those are not known, the worst of them."""
    worst = aspect.values.get(name)
    return aspect.each.get(name) or (() if worst is None else (worst,))


def unmeasured(lost: float, decision: Decision) -> tuple[float, str] | None:
    """How many times another's figure the leader's may be, in what weighs `lost` and was not
    measured, before that one is in front; None where all was."""
    if not lost or decision.leader is None or len(decision.order) < 2:
        return None
    found = [(math.exp(min(gap * (1 - lost) / lost, MOST)), b) for b, gap in _gaps(decision)]
    return min(found, default=None)


def leads(changed: Sequence[Aspect], decision: Decision) -> str | None:
    """Who leads where the evidence is another; None where that evidence is not whole."""
    names = [
        n for n in decision.order if all(n in each.values for each in changed if each.weight > 0)
    ]
    changed, leader = aligned(changed), decision.leader
    if leader not in names or len(names) < 2:
        return None
    if not all(
        math.isfinite(x.mean(a, b)) for x in changed for a in names for b in names if a != b
    ):
        return None
    return ranking(changed, names)[0]
