"""What to choose, profile by profile, and what that rests on.

Who decides is `decide.py`, what would flip it `flip.py`, what was measured `objectives.py`, and
what of that is weighed `weighing.py`; here they are put together for each condition that a profile
has comparisons in, and said in words. It speaks of these workloads on this machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness.record.records import Run
from harness.stats.uses import Condition, condition
from reports.analysis import Comparison, engines, finite, first_stage, short
from reports.choice import flip, sentences
from reports.choice.decide import Aspect, Decision, aligned, decide, split
from reports.choice.elsewhere import Elsewhere
from reports.choice.flip import Limit, Weight
from reports.choice.objectives import MEASURES, Evidence, comparisons_of
from reports.choice.profiles import SEEN_ONCE, Objective, Profile
from reports.choice.weighing import Wanted, Weighing
from reports.comparison import unnamed
from reports.words import threads


@dataclass(frozen=True)
class Recommendation:
    """The choice for one profile; `choice` is None where nothing is sure enough."""

    profile: str
    title: str
    summary: str
    choice: str | None
    tied: list[str]
    untold: list[str]  # of a tie: who is neither part of it nor shown to be behind
    sentence: str
    verdict: str
    runner_up: str | None
    ratio: float | None  # of what `of` says
    low: float | None
    high: float | None
    launches: int
    worst: float | None  # the leader's score over another's, at the far end of an open interval
    worst_of: str  # whose that is
    comparisons: list[str]
    # contender, ratio (score over the leader's), low, high, verdict; factors: title, ratio,
    # weight of each objective: the ratios to the power of the weights make the score
    ranking: list[dict[str, Any]]
    incomplete: list[dict[str, str]]  # contender, why: it failed, or breaks a limit
    objectives: list[dict[str, Any]]  # see _objective
    flips: list[str]
    steady: str  # what was tried and flips nothing
    limits: list[Limit]
    weights: list[Weight]
    unknown: list[str]
    of: str = "score"  # or "time", "memory", "energy" ..., where one thing alone is wanted
    confidence: float = 0.95  # of the interval: 0.999 where one of the two left early
    once: float = 0.0  # the share of the weight that rests on what was measured once
    starts: int = 0  # of each of the two, where what is weighed of them was measured so often
    lost: float = 0.0  # the share of the weight that has no figure, and went to the rest
    lacking: list[str] = field(default_factory=list)  # what has none
    device: str = "cpu"
    precision: str = "float32"
    threads: int | None = None
    conditions: list[str] = field(default_factory=list)
    # comparison, leader, ratio (the leader here over the leader there), where it is behind
    split: list[dict[str, Any]] = field(default_factory=list)
    # of several objectives: in which the leader is better than the runner-up, in which worse
    balance: str = ""
    unnamed: str = ""  # why nobody may be, whatever the figures say
    engineless: bool = False  # it is served on a CPU, and no inference engine took part


def recommend(
    run: Run,
    comparisons: list[Comparison],
    profiles: Sequence[Profile],
    price: float | None = None,
) -> list[Recommendation]:
    """One for each profile, device, precision and number of threads that the run has comparisons
    for: of a profile the run's first device, float32 and most threads come first. The first two go
    without saying; threads where all have as many."""
    evidence = Evidence(run, price)
    several = len({c.threads for c in comparisons}) > 1
    found = []
    for profile in profiles:
        mine = [c for c in comparisons if profile.speaks_of(c)]
        for *_, (device, precision, count) in sorted({_place(c, comparisons[0]) for c in mine}):
            same = [c for c in mine if condition(c) == (device, precision, count)]
            differs = [precision] if precision != "float32" else []
            differs += [threads([count])] if several else []
            differs += [device] if device != comparisons[0].device else []
            title = f"{profile.title} ({', '.join(differs)})" if differs else profile.title
            named = msgspec.structs.replace(profile, title=title)
            made = _Case(evidence, named, same, mine).recommendation()
            found += [made] if made else []
    return found


def _place(of: Comparison, first: Comparison) -> tuple[bool, bool, int, Condition]:
    """In which order they are told, and the condition itself."""
    return (
        of.device != first.device,
        of.precision != "float32",
        -(of.threads or 0),
        condition(of),
    )


class _Case:
    """One profile in one condition: a device, a precision, a number of threads."""

    def __init__(
        self,
        evidence: Evidence,
        profile: Profile,
        comparisons: list[Comparison],
        everywhere: list[Comparison],
    ):
        self.evidence, self.profile = evidence, profile
        self.comparisons, self.everywhere = comparisons, everywhere
        self.wanted: Wanted = [(o, self._asked(o)) for o in profile.objectives]

    def recommendation(self) -> Recommendation | None:
        """None where the run has no comparison for most of what the profile weighs."""
        if not unnamed.enough(sum(o.weight for o, found in self.wanted if found)):
            return None
        self.weighing = Weighing(self.evidence, self.wanted)
        self.aspects, self.out = self.weighing.aspects, self.weighing.out
        self.weighed = [each for each in aligned(self.aspects) if each.weight > 0]
        self.unnamed = self._unnamed()
        self.decision = self._decide(self.aspects)
        return self._told()

    def _made_room(self) -> list[str]:
        gone = {
            c.id
            for objective, found in self.wanted
            for c in comparisons_of(objective.of, self.comparisons)
            if c not in found
        }
        return [
            f"{short(id_)}: it made room for the rest, and its times are in no score"
            for id_ in sorted(gone)
        ]

    def _decide(self, aspects: Sequence[Aspect]) -> Decision:
        return decide(
            aspects,
            self.weighing.names,
            self._modal(aspects),
            self._settled(aspects),
            bool(self.unnamed),
            first_stage(self.evidence.run),
        )

    def _unnamed(self) -> str:
        """What somebody takes on disk is what it is, wherever else the machine was busy."""
        measured = [(o, found) for o, found in self.wanted if o.measure != "installed_size"]
        used = [c for _, found in measured for c in found]
        crowded = sorted({name for c in used for name in c.crowded})
        return unnamed.reason(any(c.busy for c in used), crowded, self.weighing.lost)

    # --- evidence -------------------------------------------------------------------------------

    def _asked(self, objective: Objective) -> list[Comparison]:
        """What an objective rests on: without what made room for the rest, if there is a rest.

        A score is of the launches that hold all of it, and such a one has few.
        """
        found = comparisons_of(objective.of, self.comparisons)
        if MEASURES[objective.measure].allowance is not None:
            return found
        return [c for c in found if c.id not in self.evidence.run.left] or found

    def _modal(self, aspects: Sequence[Aspect]) -> list[tuple[str, str]]:
        used = self._used(aspects)
        return [(r.a, r.b) for c in used for r in c.ratios if r.verdict == "multimodal"]

    def _settled(self, aspects: Sequence[Aspect]) -> list[str]:
        run, used = self.evidence.run, self._used(aspects)
        return [n for n in self.weighing.names if any((c.id, n) in run.settled for c in used)]

    def _used(self, aspects: Sequence[Aspect]) -> list[Comparison]:
        """What a score was measured on launch by launch; a mere limit is in no score."""
        ids = {id_ for a in aspects if a.weight > 0 and not a.once for id_ in a.comparisons}
        return [c for c in self.comparisons if c.id in ids]

    # --- what would flip it ---------------------------------------------------------------------

    def _flips(self, weights: list[Weight]) -> tuple[list[str], str]:
        """What would, in words; and all that was tried."""
        if len(self.decision.order) < 2:
            return [], ""
        figures = sentences.by_figure(
            self.aspects, self.decision, self.weighing.lost, self.weighing.lacking
        )
        places = {(o.measure, o.of): o for o, _ in self.wanted}
        elsewhere = Elsewhere(
            self.evidence,
            [places[each.measure, each.of] for each in self.aspects],
            self.aspects,
            self.decision,
            self.comparisons,
            self.everywhere,
            self._decide,
        )
        flips, tried = elsewhere.tried()
        told = [*figures, *flips, *sentences.by_weight(weights)]
        return told, ", ".join([*(["every weight"] if weights else []), *tried])

    # --- in words -------------------------------------------------------------------------------

    def _told(self) -> Recommendation:
        decision, best = self.decision, self.decision.best
        extras = self.weighing.extras()
        weights = flip.weights([*self.aspects, *extras], decision)
        flips, tried = self._flips(weights)
        divided = self._split()
        ids = list(dict.fromkeys(c for each in self.aspects for c in each.comparisons))
        leader = decision.leader or ""
        pair = leader, decision.runner_up or ""
        worst, worst_of = sentences.at_worst(decision)
        once = sum(each.weight for each in self.weighed if each.single(*pair))
        return Recommendation(
            profile=self.profile.name,
            title=self.profile.title,
            summary=self.profile.summary,
            choice=decision.choice,
            tied=decision.tied,
            untold=decision.untold if decision.tied else [],
            sentence=self._sentence(extras) + sentences.divided(divided),
            verdict=best.verdict if best else "screening",
            runner_up=decision.runner_up,
            ratio=finite(best.ratio) if best else None,
            low=finite(best.low) if best else None,
            high=finite(best.high) if best else None,
            launches=best.launches if best else 0,
            worst=worst,
            worst_of=worst_of,
            of=sentences.ratio_of([each.measure for each in self.weighed]),
            comparisons=ids,
            ranking=[self._row(name) for name in decision.order],
            incomplete=[{"contender": n, "why": why} for n, why in self.out.items()],
            objectives=[_objective(each) for each in [*self.aspects, *extras]],
            flips=flips,
            steady=tried,
            limits=flip.limits(
                self.aspects, [a for a in [*self.aspects, *extras] if _limited(a)], decision
            ),
            weights=weights,
            unknown=[*sentences.beware(self.aspects), *self._made_room(), *self.weighing.unknown],
            confidence=best.confidence if best else 0.95,
            once=once,
            starts=sentences.starts(self.weighed, *pair),
            lost=self.weighing.lost,
            lacking=list(dict.fromkeys(self.weighing.lacking)),
            device=self.comparisons[0].device,
            precision=self.comparisons[0].precision,
            threads=self.comparisons[0].threads,
            conditions=_conditions(self._used(self.aspects), [leader, decision.runner_up or ""]),
            split=divided,
            balance=sentences.balance(decision, self.weighed),
            engineless=self._engineless(),
            unnamed=self.unnamed,
        )

    def _sentence(self, extras: list[Aspect]) -> str:
        beyond = self.weighing.beyond
        if beyond and not self.decision.order:
            nearest = min(beyond, key=lambda name: beyond[name])
            return f"Nobody keeps the limits. The nearest is {nearest}: {self.out[nearest]}."
        ids = list(dict.fromkeys(id_ for each in self.weighed for id_ in each.comparisons))
        told = sentences.sentence(self.decision, self.aspects, ids, extras, self.unnamed)
        return told + sentences.ruled_out(self.decision, self.aspects)

    def _split(self) -> list[dict[str, Any]]:
        leader, used = self.decision.leader, self._used(self.aspects)
        order = self.decision.order  # without baselines, and whoever is out
        return split(
            {c.id: {r.b: r for r in c.ratios if r.a == leader and r.b in order} for c in used}
        )

    def _engineless(self) -> bool:
        """Engines that only infer take part when named: who serves should know of them."""
        uses = {objective.of for objective, _ in self.wanted} - {None}
        serves = bool(uses) and "training" not in uses
        return serves and not engines(self.evidence.run) and self.comparisons[0].device == "cpu"

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


def _limited(aspect: Aspect) -> bool:
    return aspect.measure in (*SEEN_ONCE, "cost", "latency", "latency_p99")


def _objective(aspect: Aspect) -> dict[str, Any]:
    """What is weighed is told as its ratios are made, what one may limit by its worst."""
    measure = MEASURES[aspect.measure]
    told, over = (aspect.means, "geometric mean") if aspect.weight else (aspect.values, "worst")
    count = len(aspect.comparisons)
    over = f"{over} of {count} workloads" if count > 1 else ""
    return {
        "measure": aspect.measure,
        "title": measure.title,
        "of": aspect.of,
        "weight": aspect.weight,
        "once": aspect.once,
        "seen": sentences.seen(aspect, *aspect.looks) if aspect.allowance else "",
        "at_most": None if aspect.at_most is None else measure.tell(aspect.at_most),
        "enough": None if aspect.enough is None else measure.tell(aspect.enough),
        "values": dict(aspect.values),
        "told": {name: measure.tell(value) for name, value in told.items()},
        "over": over,
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
