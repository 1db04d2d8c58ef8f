"""Who makes room: comparisons that leave a run, so that the rest has its six launches.

Six launches of what a suite asks first decide something, four of everything nothing. After a
launch what it took is known. Before the first one there are estimates alone (`estimate.py`), by
which only what is costly to compile is put off: to the end of that launch, when the others' costs
are known. Else to compile it, and then to have no room for it, took a ninth of ten minutes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from harness import budget, planning
from harness.budget import Launch
from harness.plan import Plan, PlannedComparison
from harness.planning import Estimate

COSTLY = 0.1  # of a budget, in the first launch


@dataclass
class Room:
    """Of one run's launches, `wanted` in its first stage."""

    plan: Plan
    wanted: int
    write: Callable[..., None]
    say: Callable[..., None]
    gone: set[str] = field(default_factory=set)

    @property
    def fixed(self) -> bool:
        """What the user named, or wants so many launches of, stays."""
        return self.plan.settings.named or bool(self.plan.settings.launches)

    def make(
        self, taking: list[str], launches: int, last: Launch | None, number: int, left: float
    ) -> None:
        """Whose launches, so many of them, do not fit into `left` seconds, by the `last` one, the
        run's `number`-th. Nobody where not even what was asked first would fit."""
        if last is None or self.fixed:
            return
        share = left / launches * (budget.CHEAPER if launches > 1 else 1.0)
        stay = last.fitting(taking, share)
        gone = [i for i in taking if i not in stay]
        if stay and gone:
            self._leave(gone, f"after launch {number}", launches * last.bare(taking))

    def costly(self, comparisons: list[PlannedComparison]) -> dict[str, Estimate]:
        """What the first launch visits last, in the suite's order: see `holds`."""
        if self.fixed:
            return {}
        every = {
            c.id: planning.estimated(c, self.plan.contenders, self.wanted) for c in comparisons
        }
        least = COSTLY * self.plan.budget_s
        return {i: estimate for i, estimate in every.items() if estimate.first > least}

    def holds(self, comparison: str, each: Estimate, visited: Launch, left: float) -> bool:
        """Whether all launches of a costly one fit beside those of what was asked before it."""
        order, more = [c.id for c in self.plan.comparisons], self.wanted - 1
        before = [i for i in order[: order.index(comparison)] if i in visited.comparisons]
        needs = each.first + more * (visited.bare(before) + each.launch)
        if not before or needs <= budget.CHEAPER * left:
            return True
        needs = each.first + more * (visited.bare(visited.comparisons) + each.launch)
        self._leave([comparison], "before it was set up", needs)
        return False

    def _leave(self, gone: list[str], when: str, needs: float) -> None:
        """needs: seconds from now that the launches of all would take."""
        reason = f"{', '.join(gone)} had to leave {when}"
        reason += f", to make room for {self.wanted} launches of the rest"
        self.gone |= set(gone)
        self.write("event", what="budget", reason=reason, left=gone)
        self.say("room", reason=reason, needs=needs)
