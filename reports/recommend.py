"""What to choose, profile by profile, and what that rests on.

Who decides is `decide.py`, what would flip it `flip.py`, what was measured
`objectives.py`; here they are put together for each device and precision that a profile
has comparisons on, and said in words. It speaks of these workloads on this machine.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import msgspec

from harness.records import Run
from reports import flip, sentences
from reports.analysis import Comparison, finite, first_stage
from reports.decide import Aspect, aligned, apart, decide
from reports.flip import Limit, Weight
from reports.objectives import EXTRAS, MEASURES, Evidence, comparisons_of
from reports.profiles import Objective, Profile
from reports.words import percent

Wanted = list[tuple[Objective, list[Comparison]]]
# What is tried, how it is told, and the comparisons that an aspect would rest on, by its place.
Try = tuple[str, str, dict[int, list[Comparison]]]
ENOUGH = 0.5  # of the weight has to be measured for a profile to be answered
# Of more workloads than these none is left out or taken alone: each try reads all the others.
MOST_ALONE = 50


@dataclass(frozen=True)
class Recommendation:
    """The choice for one profile; `choice` is None where nothing is sure enough."""

    profile: str
    title: str
    summary: str
    choice: str | None
    tied: list[str]
    sentence: str
    verdict: str
    runner_up: str | None
    ratio: float | None  # of the score, which is of times where nothing else is wanted
    low: float | None
    high: float | None
    launches: int
    comparisons: list[str]
    # contender, ratio (score over the leader's), low, high, verdict; factors: title, ratio,
    # weight of each objective: the ratios to the power of the weights make the score
    ranking: list[dict[str, Any]]
    incomplete: list[dict[str, str]]  # contender, why: it failed, or breaks a limit
    objectives: list[dict[str, Any]]  # measure, title, of, weight, once, values, told, comparisons
    flips: list[str]
    steady: str  # what was tried and flips nothing
    limits: list[Limit]
    weights: list[Weight]
    unknown: list[str]
    confidence: float = 0.95  # of the interval: 0.999 where one of the two left early
    once: float = 0.0  # the share of the weight that rests on what was measured once
    device: str = "cpu"
    precision: str = "float32"
    conditions: list[str] = field(default_factory=list)
    # comparison, leader, ratio (the leader here over the leader there), where it is behind
    split: list[dict[str, Any]] = field(default_factory=list)


def recommend(
    run: Run,
    comparisons: list[Comparison],
    busy: bool,
    profiles: Sequence[Profile],
    price: float | None = None,
) -> list[Recommendation]:
    """One for each profile, device and precision that the run has comparisons for."""
    evidence = Evidence(run, price)
    found = []
    for profile in profiles:
        mine = [c for c in comparisons if profile.speaks_of(c)]
        for device, precision in sorted({(c.device, c.precision) for c in mine}):
            same = [c for c in mine if (c.device, c.precision) == (device, precision)]
            plain = (device, precision) == (comparisons[0].device, "float32")
            title = profile.title if plain else f"{profile.title} ({precision}, {device})"
            named = msgspec.structs.replace(profile, title=title)
            made = _Case(evidence, named, same, mine, busy).recommendation()
            found += [made] if made else []
    return found


class _Case:
    """One profile on one device in one precision."""

    def __init__(
        self,
        evidence: Evidence,
        profile: Profile,
        comparisons: list[Comparison],
        everywhere: list[Comparison],
        busy: bool,
    ):
        self.evidence, self.profile, self.busy = evidence, profile, busy
        self.comparisons, self.everywhere = comparisons, everywhere
        self.wanted: Wanted = [(o, comparisons_of(o.of, comparisons)) for o in profile.objectives]

    def recommendation(self) -> Recommendation | None:
        """None where the run has no comparison for most of what the profile weighs."""
        if sum(o.weight for o, found in self.wanted if found) < ENOUGH:
            return None
        self.out = self.evidence.failures(self.wanted)
        self.names = [n for n in self.evidence.names if n not in self.out]
        self.unknown: list[str] = []
        self.lost = 0.0
        self.aspects = self._aspects()
        for name in apart(self.aspects, self.names):
            self.out[name] = "shares no launch with the others"
        self.names = [n for n in self.names if n not in self.out] if self.aspects else []
        self.weighed = [each for each in aligned(self.aspects) if each.weight > 0]
        self.decision = decide(
            self.aspects,
            self.names,
            self._modal(),
            self._settled(),
            self.busy or self.lost > ENOUGH,
            first_stage(self.evidence.run),
        )
        return self._told()

    # --- evidence -------------------------------------------------------------------------------

    def _aspects(self) -> list[Aspect]:
        """What is wanted, as far as it is known of all; whoever breaks a limit is out before."""
        for objective, comparisons in self.wanted:
            if objective.at_most is not None:
                self._limit(objective, *self.evidence.aspect(objective, comparisons, self.names))
        found = []
        for objective, comparisons in self.wanted:
            measure = MEASURES[objective.measure]
            where = f" in {objective.of}" if objective.of else ""
            aspect, lacking = self.evidence.aspect(objective, comparisons, self.names)
            if aspect is None or lacking:
                who = "" if aspect is None else f" of {', '.join(lacking)}"
                why = "no such workload in this run" if not comparisons else measure.absent
                text = f"{measure.title}{where}{who}: {why}"
                if objective.weight:
                    text += f"; its {percent(objective.weight)} of the weight went to the rest"
                self.lost += objective.weight
                self.unknown.append(text)
            else:
                found.append(aspect)
        kept = sum(each.weight for each in found)
        return [replace(each, weight=each.weight / kept) for each in found] if kept else []

    def _limit(self, objective: Objective, aspect: Aspect | None, lacking: list[str]) -> None:
        measure, most = MEASURES[objective.measure], objective.at_most or 0.0
        asked = f"at most {measure.tell(most)}"
        for name in lacking:
            self.out[name] = f"{measure.title} is not known, {asked} is allowed"
        for name, value in (aspect.values if aspect else {}).items():
            if value > most:
                told = measure.tell(value)
                self.out[name] = f"{measure.title} of {told}, {asked} is allowed"
            elif aspect and value * math.exp(aspect.allowance or 0.0) > most:
                told = measure.tell(value)
                self.unknown.append(
                    f"whether {name} keeps {asked}: {measure.title} of {told} was measured once"
                )
        self.names = [n for n in self.names if n not in self.out]

    def _extras(self) -> list[Aspect]:
        """What nobody asked for and everybody may want to limit: as objectives of no weight."""
        there = {each.measure for each in self.profile.objectives}
        wanted = [m for m in EXTRAS if m not in there]
        if self.evidence.price and "cost" not in there:
            wanted.append("cost")
        all_ = list({c.id: c for _, found in self.wanted for c in found}.values())
        extras = []
        for measure in wanted:
            of = all_
            if measure == "cost":
                of = [c for c in all_ if c.direction == "train" or c.batch > 1] or all_
            aspect, lacking = self.evidence.aspect(Objective(measure, 0.0), of, self.names)
            if aspect is None or lacking:
                who = "of anybody" if aspect is None else f"of {', '.join(lacking)}"
                self.unknown.append(f"{MEASURES[measure].title} {who}: {MEASURES[measure].absent}")
            else:
                extras.append(aspect)
        return extras

    def _modal(self) -> list[tuple[str, str]]:
        used = self._used()
        return [(r.a, r.b) for c in used for r in c.ratios if r.verdict == "multimodal"]

    def _settled(self) -> list[str]:
        run = self.evidence.run
        return [n for n in self.names if any(run.settled(c.id, n) for c in self._used())]

    def _used(self) -> list[Comparison]:
        ids = {id_ for each in self.aspects for id_ in each.comparisons if not each.once}
        return [c for c in self.comparisons if c.id in ids]

    # --- what would flip it ---------------------------------------------------------------------

    def _flips(self, weights: list[Weight]) -> list[str]:
        leader = self.decision.leader
        if leader is None or len(self.decision.order) < 2:
            return []
        found = [
            f"{other} leads once {sentences.named(weight)} weighs "
            f"{'less' if side == 'below' else 'more'} than {_share(at)}"
            + f" (now {percent(weight.now)})"
            for weight in weights
            for side, at, other in weight.flips()
        ]
        for aspect in self.aspects:
            off = flip.factor(aspect, self.decision)
            if off and off[0] < 3:
                found.append(
                    f"{off[1]} leads if {sentences.named(aspect)}, measured once, "
                    f"is off by {off[0]:.2f}x"
                )
        return found + self._elsewhere()

    def _elsewhere(self) -> list[str]:
        """Leave a workload out, take one alone, another batch, another precision."""
        found = []
        for kind, where, swap in [*self._fewer(), *self._batches(), *self._precisions()]:
            changed = list(self.aspects)
            for place, comparisons in swap.items():
                objective = self._kept[place]
                aspect, _ = self.evidence.aspect(objective, comparisons, self.decision.order)
                if aspect is None:
                    break
                changed[place] = replace(aspect, weight=self.aspects[place].weight)
            else:
                leads = flip.leads(changed, self.decision)
                if leads is not None:
                    self.tried[kind] = None
                if leads not in (None, self.decision.leader):
                    found.append(f"{leads} leads {where}")
        return found

    def _fewer(self) -> Iterator[Try]:
        for place, comparisons in self._speaking().items():
            if MEASURES[self._kept[place].measure].allowance is not None:
                continue
            if 1 < len(comparisons) <= MOST_ALONE:
                for c in comparisons:
                    rest = [other for other in comparisons if other is not c]
                    yield "leaving a workload out", f"without {c.id}", {place: rest}
                for c in comparisons:
                    yield "one workload alone", f"on {c.id} alone", {place: [c]}

    def _batches(self) -> Iterator[Try]:
        """The very same workloads at another batch, where all of them were measured at it."""
        now = self._speaking()
        for batch in sorted({c.batch for c in self.comparisons}):
            there = {place: [self._at(batch, c) for c in mine] for place, mine in now.items()}
            swap = {place: [c for c in found if c is not None] for place, found in there.items()}
            if swap == there and swap != now:
                yield "another batch", f"at batch {batch}", swap

    def _at(self, batch: int, of: Comparison) -> Comparison | None:
        wanted = (of.workload, of.size, of.direction, batch)
        same = (c for c in self.comparisons if (c.workload, c.size, c.direction, c.batch) == wanted)
        return next(same, None)

    def _precisions(self) -> Iterator[Try]:
        mine = (self.comparisons[0].device, self.comparisons[0].precision)
        for device, precision in sorted(
            {(c.device, c.precision) for c in self.everywhere} - {mine}
        ):
            there = [c for c in self.everywhere if (c.device, c.precision) == (device, precision)]
            swap = {place: comparisons_of(self._kept[place].of, there) for place in self._kept}
            yield "another precision", f"in {precision} on {device}", swap

    @cached_property
    def _kept(self) -> dict[int, Objective]:
        """The objectives of the aspects, by their places."""
        places = {(each.measure, each.of): i for i, each in enumerate(self.aspects)}
        return {
            places[key]: objective
            for objective, _ in self.wanted
            if (key := (objective.measure, objective.of)) in places
        }

    def _speaking(self) -> dict[int, list[Comparison]]:
        """The comparisons that each aspect rests on, by its place; none for what rests on none."""
        by_id = {c.id: c for c in self.comparisons}
        found = {i: [by_id[id_] for id_ in self.aspects[i].comparisons] for i in self._kept}
        return {place: comparisons for place, comparisons in found.items() if comparisons}

    # --- in words -------------------------------------------------------------------------------

    def _told(self) -> Recommendation:
        decision, best = self.decision, self.decision.best
        extras = self._extras()
        weights = flip.weights([*self.aspects, *extras], decision)
        self.tried: dict[str, None] = {}  # what could be tried, in order
        flips = self._flips(weights)
        ids = list(dict.fromkeys(c for each in self.aspects for c in each.comparisons))
        leader = decision.leader or ""
        once = sum(each.weight for each in self.aspects if each.once and each.allowance)
        return Recommendation(
            profile=self.profile.name,
            title=self.profile.title,
            summary=self.profile.summary,
            choice=decision.choice,
            tied=decision.tied,
            sentence=self._sentence(ids, extras),
            verdict=best.verdict if best else "screening",
            runner_up=decision.runner_up,
            ratio=finite(best.ratio) if best else None,
            low=finite(best.low) if best else None,
            high=finite(best.high) if best else None,
            launches=best.launches if best else 0,
            comparisons=ids,
            ranking=[self._row(name) for name in decision.order],
            incomplete=[{"contender": n, "why": why} for n, why in self.out.items()],
            objectives=[_objective(each) for each in [*self.aspects, *extras]],
            flips=flips,
            steady=self._steady(weights),
            limits=flip.limits(
                self.aspects, [a for a in [*self.aspects, *extras] if _limited(a)], decision
            ),
            weights=weights,
            unknown=[*sentences.beware(self.aspects), *self.unknown],
            confidence=best.confidence if best else 0.95,
            once=once,
            device=self.comparisons[0].device,
            precision=self.comparisons[0].precision,
            conditions=_conditions(self._used(), [leader, decision.runner_up or ""]),
            split=self._split(),
        )

    def _sentence(self, ids: list[str], extras: list[Aspect]) -> str:
        lacking = self.lost if self.lost > ENOUGH else None
        told = sentences.sentence(self.decision, self.aspects, ids, extras, self.busy, lacking)
        told += sentences.ruled_out(self.decision, self.aspects)
        return told + sentences.divided(self._split())

    def _split(self) -> list[dict[str, Any]]:
        """Where another is ahead of the one that leads over all, which elsewhere is ahead of it.

        Both by more than chance. Who is behind everywhere, and leads for its start, is no such.
        """
        found, used, leader = [], self._used(), self.decision.leader or ""
        for comparison in used:
            rival = comparison.leader or ""
            here = comparison.ratio(leader, rival)
            pairs = (other.ratio(leader, rival) for other in used)
            ahead = any(pair and pair.verdict.endswith("faster") for pair in pairs)
            if here and here.verdict.endswith("slower") and ahead:
                found.append({"comparison": comparison.id, "leader": rival, "ratio": here.ratio})
        return found

    def _row(self, name: str) -> dict[str, Any]:
        leader = self.decision.leader or ""
        row: dict[str, Any] = {"contender": name, "factors": self._factors(name, leader)}
        if name == leader:
            best = {"ratio": 1.0, "low": None, "high": None}
            return {**row, **best, "verdict": "best", "confidence": 0.95}
        pair = self.decision.pairs[name, leader]
        return {
            **row,
            "ratio": finite(pair.ratio),
            "low": finite(pair.low),
            "high": finite(pair.high),
            "verdict": pair.verdict,
            "confidence": pair.confidence,
        }

    def _factors(self, name: str, leader: str) -> list[dict[str, Any]]:
        """What makes the score of one over the leader: each ratio to the power of its weight."""
        return [
            {
                "title": sentences.named(each),
                "ratio": 1.0 if name == leader else finite(math.exp(each.mean(name, leader))),
                "weight": each.weight,
            }
            for each in self.weighed
        ]

    def _steady(self, weights: list[Weight]) -> str:
        return ", ".join([*(["every weight"] if weights else []), *self.tried])


def _share(at: float) -> str:
    """A weight, to two figures: 0.71%, 28%, 99.7%."""
    return f"{100 * at:.2g}%" if at < 0.995 else f"{100 * at:.4g}%"


def _limited(aspect: Aspect) -> bool:
    return aspect.measure in (*EXTRAS, "cost", "latency", "latency_p99")


def _objective(aspect: Aspect) -> dict[str, Any]:
    measure = MEASURES[aspect.measure]
    return {
        "measure": aspect.measure,
        "title": measure.title,
        "of": aspect.of,
        "weight": aspect.weight,
        "once": aspect.once,
        "at_most": None if aspect.at_most is None else measure.tell(aspect.at_most),
        "enough": None if aspect.enough is None else measure.tell(aspect.enough),
        "values": dict(aspect.values),
        "told": {name: measure.tell(value) for name, value in aspect.values.items()},
        "comparisons": list(aspect.comparisons),
    }


def _conditions(comparisons: list[Comparison], names: list[str]) -> list[str]:
    autotuned = [
        n
        for n in names
        if any(
            cell.contender == n and cell.one_compilation for c in comparisons for cell in c.cells
        )
    ]
    if not autotuned:
        return []
    return [f"conditional on one compilation: {', '.join(autotuned)} autotunes"]
