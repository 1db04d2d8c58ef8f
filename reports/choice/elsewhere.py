"""Who leads on other evidence: fewer workloads, another batch, precision, number of threads.

A choice rests on the comparisons that its objectives speak of. Here others of the run are put
in their place, one exchange after the other, and it is seen who then leads: not who is proved
to. But of a choice it is told where it rests on one workload, and is none without that.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.stats.uses import Condition, condition
from reports.analysis import Comparison, short
from reports.choice import flip
from reports.choice.decide import Aspect, Decision
from reports.choice.objectives import MEASURES, Evidence
from reports.choice.profiles import Objective
from reports.words import listed, threads

# Of more workloads than these none is left out or taken alone: each try reads all the others.
MOST_ALONE = 50
MOST_NAMED = 3  # of those without which a choice is none
OUT = "leaving a workload out"
# What is tried, how it is told, and the comparisons that an aspect would rest on, by its place.
Try = tuple[str, str, dict[int, list[Comparison]]]


@dataclass(frozen=True)
class Elsewhere:
    """A decision, and what else might have been asked in its place."""

    evidence: Evidence
    objectives: list[Objective]  # one for each aspect
    aspects: list[Aspect]
    decision: Decision
    comparisons: list[Comparison]  # of the profile, in its condition
    everywhere: list[Comparison]  # in all of them
    decide: Callable[[Sequence[Aspect]], Decision]  # by other evidence, on the same terms

    def tried(self) -> tuple[list[str], list[str]]:
        """Who leads where instead, in words; and what could be tried at all, in order."""
        flips, kinds, open_ = [], [], []
        for kind, where, swap in [*self._fewer(), *self._batches(), *self._conditions()]:
            changed = self._with(swap)
            leads = flip.leads(changed, self.decision) if changed else None
            if changed and leads:
                kinds.append(kind)
                if leads != self.decision.leader:
                    flips.append(f"{leads} leads {where}")
                elif kind == OUT and self.decision.choice and not self.decide(changed).choice:
                    open_.append(where)
        if open_:
            flips.append(
                f"{self.decision.choice} leads, but is no longer decided, {_either(open_)}"
            )
        return flips, list(dict.fromkeys(kinds))

    def _with(self, swap: dict[int, list[Comparison]]) -> list[Aspect] | None:
        """These comparisons in those aspects' places; None where they do not suffice."""
        changed = list(self.aspects)
        for place, comparisons in swap.items():
            objective = self.objectives[place]
            aspect, _ = self.evidence.aspect(objective, comparisons, self.decision.order)
            if aspect is None:
                return None
            changed[place] = replace(aspect, weight=self.aspects[place].weight)
        return changed

    def _fewer(self) -> Iterator[Try]:
        """Of all that rests on the same workloads at once: of a latency and its p99, say."""
        together: dict[tuple[str, ...], list[int]] = {}
        speaking = self._speaking()
        for place in speaking:
            if MEASURES[self.objectives[place].measure].allowance is None:
                together.setdefault(self.aspects[place].comparisons, []).append(place)
        for places in together.values():
            comparisons = speaking[places[0]]
            if 1 < len(comparisons) <= MOST_ALONE:
                for c in comparisons:
                    rest = [other for other in comparisons if other is not c]
                    yield OUT, f"without {short(c.id)}", dict.fromkeys(places, rest)
                for c in comparisons if len(comparisons) > 2 else ():  # of two it is the same
                    yield (
                        "one workload alone",
                        f"on {short(c.id)} alone",
                        {place: [c] for place in places},
                    )

    def _batches(self) -> Iterator[Try]:
        """The very same workloads at another batch, where all of them were measured at it."""
        for batch in sorted({c.batch for c in self.comparisons}):
            swap = self._exchanged(self.comparisons, batch)
            if swap and swap != self._speaking():
                yield "another batch", f"at batch {batch}", swap

    def _conditions(self) -> Iterator[Try]:
        """And on another device, in another precision, or on other threads; one of them at a time.
        Not other workloads, which might have another leader in this condition too."""
        found: dict[Condition, list[Comparison]] = {}
        for comparison in self.everywhere:
            found.setdefault(condition(comparison), []).append(comparison)
        own = condition(self.comparisons[0])
        for its, there in sorted(found.items(), key=lambda each: each[0]):
            (device, precision, count), as_many = its, its[2] == own[2]
            if its == own or (not as_many and its[:2] != own[:2]):
                continue
            if swap := self._exchanged(there):
                if as_many:
                    yield "another precision", f"in {precision} on {device}", swap
                else:
                    yield "another number of threads", f"on {threads([count])}", swap

    def _exchanged(
        self, there: list[Comparison], batch: int | None = None
    ) -> dict[int, list[Comparison]] | None:
        """Each comparison's like `there`, at its own batch or at this; None where one has none."""
        now = self._speaking()
        swap = {place: [_like(c, there, batch) for c in mine] for place, mine in now.items()}
        found = {place: [c for c in its if c is not None] for place, its in swap.items()}
        return found if found == swap else None

    def _speaking(self) -> dict[int, list[Comparison]]:
        """The comparisons that each aspect rests on, by its place; none for what rests on none."""
        by_id = {c.id: c for c in self.comparisons}
        found = {i: [by_id[id_] for id_ in a.comparisons] for i, a in enumerate(self.aspects)}
        return {place: comparisons for place, comparisons in found.items() if comparisons}


def _like(of: Comparison, there: list[Comparison], batch: int | None) -> Comparison | None:
    wanted = (of.workload, of.size, of.direction, batch or of.batch)
    return next((c for c in there if (c.workload, c.size, c.direction, c.batch) == wanted), None)


def _either(wheres: list[str]) -> str:
    """without a, without b or without c: each by itself, and not all of them together."""
    left = len(wheres) - MOST_NAMED
    if left > 1:
        wheres = [*wheres[:MOST_NAMED], f"without one of {left} more"]
    return listed(wheres, "or")
