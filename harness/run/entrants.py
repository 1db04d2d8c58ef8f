"""Who takes part in which comparison still: who has not failed for good, nor taken leave."""

from typing import Any

import msgspec

from harness.plan.plan import Plan, PlannedComparison
from harness.run import leaving
from harness.run.frozen import Frozen
from harness.run.leaving import Key
from harness.stats import comparable


class Entrants:
    """The contenders of a run, comparison by comparison, as it goes on.

    cells, groups: what was reported so far; the runner appends to them. settled: who took leave
    of what, in earlier invocations too.
    """

    def __init__(
        self,
        plan: Plan,
        frozen: Frozen,
        cells: list[dict[str, Any]],
        groups: list[dict[str, Any]],
        settled: set[Key],
    ):
        self.plan, self.frozen = plan, frozen
        self.cells, self.groups, self.settled = cells, groups, settled
        self.computing = {c.name for c in plan.contenders if c.computes}

    def unsettled(self) -> list[PlannedComparison]:
        """Comparisons that still have more than one contender, or that nobody has left."""
        return [
            c
            for c in self.plan.comparisons
            if len(self.taking(c)) > 1 or not any(i == c.id for i, _ in self.settled)
        ]

    def taking(self, comparison: PlannedComparison) -> list[str]:
        """Those that have not failed for good, and did not leave it either, being far behind."""
        return [n for n in self.frozen.able(comparison) if (comparison.id, n) not in self.settled]

    def comparable(self, comparison: PlannedComparison) -> list[str]:
        """Those between whom there is a verdict: at work, not failed, and run alike."""
        able = {
            n: comparable.ran(
                [c for c in self.cells if (c["comparison"], c["contender"]) == (comparison.id, n)]
            )
            for n in self.frozen.able(comparison)
            if n in self.computing
        }
        threads = comparison.threads or self.plan.settings.threads
        apart = comparable.apart(able, comparison.precision, comparison.cost.layers, threads)
        return [n for n in able if n not in apart]

    def undecided(self, comparison: PlannedComparison) -> list[str]:
        """Those of whom a verdict may still be wanted."""
        alike = self.comparable(comparison)
        return [n for n in self.taking(comparison) if n in alike]

    def leave(self, gone: set[str]) -> list[Key]:
        """Who is far behind takes leave, and is returned. gone: comparisons that had to make
        room, which are in no choice that rests on the others (reports/choice/recommend.py)."""
        unranked = {
            (c.id, name)
            for c in self.plan.comparisons
            for name in {*c.contenders} - {*self.comparable(c)}
        }
        staying = [c for c in self.plan.comparisons if c.id not in gone]
        plan = msgspec.structs.replace(self.plan, comparisons=staying)
        found = leaving.leaving(plan, self.groups, self.settled, unranked)
        self.settled |= {*found}
        return found
