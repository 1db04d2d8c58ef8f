"""What is weighed for a profile: the evidence for each objective; who is out; what has no figure.

Whoever failed where it is needed, or breaks a limit, is out before anything is weighed; what is not
known of all who are left is weighed for nobody, and its weight goes to the rest.
"""

import math
from dataclasses import replace

from reports.analysis import Comparison, short
from reports.choice import sentences
from reports.choice.decide import Aspect, apart
from reports.choice.objectives import MEASURES, Evidence
from reports.choice.profiles import SEEN_ONCE, Objective
from reports.words import listed, percent

Wanted = list[tuple[Objective, list[Comparison]]]


class Weighing:
    """Objectives and their comparisons, made into aspects; their weights sum to 1."""

    def __init__(self, evidence: Evidence, wanted: Wanted):
        self.evidence, self.wanted = evidence, wanted
        self.out = evidence.failures(wanted)  # contender -> why it is
        self.names = [n for n in evidence.names if n not in self.out]
        self.lost = 0.0  # the share of the weight that has no figure
        self.lacking: list[str] = []  # what has none
        self.unknown: list[str] = []  # the same, in words for a reader
        self.beyond: dict[str, float] = {}  # who breaks a limit, and how many times it that is
        self.aspects = self._aspects()
        for name in apart(self.aspects, self.names):
            self.out[name] = "shares no launch with the others"
        self.names = [n for n in self.names if n not in self.out] if self.aspects else []

    def _aspects(self) -> list[Aspect]:
        """What is wanted, as far as it is known of all; whoever breaks a limit is out before."""
        there = bool(self.names)
        for objective, comparisons in self.wanted:
            if objective.at_most is not None:
                self._limit(objective, *self.evidence.aspect(objective, comparisons, self.names))
        if there and not self.names:  # nobody keeps the limits, and nothing else is asked of them
            return []
        found = []
        for objective, comparisons in self.wanted:
            measure = MEASURES[objective.measure]
            where = f" in {objective.of}" if objective.of else ""
            aspect, lacking = self.evidence.aspect(objective, comparisons, self.names)
            if aspect and lacking and {*lacking} <= self._behind(comparisons):
                # Who is far behind anyway does not take a wish from all the others.
                for name in lacking:
                    self.out[name] = f"far behind, and without a figure for {measure.title}"
                self.names = [n for n in self.names if n not in lacking]
                lacking = []
            if aspect is None or lacking:
                who = "" if aspect is None else f" of {', '.join(lacking)}"
                why = self.evidence.absent(objective.measure, comparisons)
                text = f"{measure.title}{where}{who}: {why}"
                if objective.weight:
                    text += f"; its {percent(objective.weight)} of the weight went to the rest"
                    trained = " in training" if objective.of == "training" else ""
                    self.lacking.append(f"{measure.title}{trained}")
                self.lost += objective.weight
                self.unknown.append(text)
            else:
                self._partly(objective, aspect, f"{measure.title}{where}")
                found.append(aspect)
        kept = sum(each.weight for each in found)
        return [replace(each, weight=each.weight / kept) for each in found] if kept else []

    def _partly(self, objective: Objective, aspect: Aspect, what: str) -> None:
        """Of some of its workloads nobody has a figure: their share of the weight is lost, else one
        workload of ten would be weighed as all of them."""
        gone = objective.weight - aspect.weight
        if not aspect.missing or not gone:
            return
        places = listed([short(id_) for id_ in aspect.missing])
        self.lost += gone
        self.lacking.append(f"{what} in {places}")
        self.unknown.append(
            f"{what} in {places}: nobody has a figure; its {percent(gone)} of the weight went "
            "to the rest"
        )

    def _behind(self, comparisons: list[Comparison]) -> set[str]:
        """Who left one of these early, being far behind."""
        ids = {c.id for c in comparisons}
        return {name for id_, name in self.evidence.run.settled if id_ in ids}

    def _limit(self, objective: Objective, aspect: Aspect | None, lacking: list[str]) -> None:
        measure, most = MEASURES[objective.measure], objective.at_most or 0.0
        least = objective.measure == "throughput"  # told as a rate, of which more is better
        asked = f"{'at least' if least else 'at most'} {measure.tell(most)} is asked for"
        if aspect and aspect.missing:
            where = listed([short(id_) for id_ in aspect.missing])
            untold = f"{measure.title} is not known in {where}, {asked}"
            self.out |= dict.fromkeys(self.names, untold)
        for name in lacking:
            self.out[name] = f"{measure.title} is not known, {asked}"
        for name, value in (aspect.values if aspect else {}).items():
            if value > most:
                told = measure.tell(value)
                self.out[name] = f"{measure.title} of {told}, {asked}"
                self.beyond[name] = max(value / most, self.beyond.get(name, 0.0))
                if aspect and value < most * math.exp(aspect.allowance or 0.0):
                    seen = sentences.seen(aspect, name)
                    self.out[name] += f"; it was measured {seen}, and may be within it"
            elif aspect and value * math.exp(aspect.allowance or 0.0) > most:
                told = measure.tell(value)
                self.unknown.append(
                    f"whether {name} keeps its limit ({asked}): {measure.title} of {told} was "
                    f"measured {sentences.seen(aspect, name)}"
                )
        self.names = [n for n in self.names if n not in self.out]

    def extras(self) -> list[Aspect]:
        """What nobody asked for and everybody may want to limit: as objectives of no weight."""
        if not self.names:
            return []
        there = {objective.measure for objective, _ in self.wanted}
        wanted = [m for m in SEEN_ONCE if m not in there]
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
