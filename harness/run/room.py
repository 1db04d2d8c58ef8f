"""Who makes room: comparisons that leave a run, so that the rest has its six launches.

Six launches of what a suite asks first decide something, four of everything nothing. After a
launch what it took is known. Before the first one there are estimates alone (`estimate.py`), by
which only what is costly to compile, and was not in the cold pass, is put off: to the end of that
launch, when the others' costs are known. Else to compile it, and then to have no room for it, took
a ninth of ten minutes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.plan import fitting
from harness.plan.plan import Plan, PlannedComparison, together
from harness.run import budget
from harness.run.budget import Launch

COSTLY = 0.1  # of a budget, to set up in the first launch


@dataclass(frozen=True)
class Outlook:
    """What is expected of comparisons that no launch has held yet, by estimate."""

    costly: list[str]  # what the first launch visits last, in the suite's order
    # Seconds that each should take with its fewest rounds, in its first launch and in each further
    # one; and how many further ones there will be.
    first: dict[str, float]
    later: dict[str, float]
    more: int


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
        """Makes those leave whose next `launches` do not fit into `left` seconds, judged by the
        `last` launch, the run's `number`-th. Nobody leaves where not even the first would fit."""
        if last is None or self.fixed:
            return
        share = left / launches * (budget.CHEAPER if launches > 1 else 1.0)
        stay = set(last.fitting(taking, share))
        for same in together([c for c in self.plan.comparisons if c.id in taking]):
            if {c.id for c in same} - stay:
                stay -= {c.id for c in same}
        gone = [i for i in taking if i not in stay]
        if stay and gone:
            self._leave(gone, f"after launch {number}", launches * last.bare(taking))

    def outlook(self, comparisons: list[PlannedComparison], more: int) -> Outlook:
        """Of those that no launch has held yet; `more` launches follow this one."""
        seen = Outlook([], {}, {}, more)
        for c in comparisons if not self.fixed else ():
            each = fitting.estimated(c, self.plan.contenders, 1 + more)
            count = max(1, len(c.able))
            turns = each.turns * budget.fewest_rounds(c, count) / count
            seen.first[c.id] = each.first - each.turns + turns
            seen.later[c.id] = each.launch - each.turns + turns
            if not c.headline and each.first - each.turns > COSTLY * self.plan.budget_s:
                seen.costly.append(c.id)
        return seen

    def holds(self, outlook: Outlook, comparison: str, visited: Launch, left: float) -> bool:
        """Whether all launches of a costly one fit beside those of what was asked before it."""
        order = [c.id for c in self.plan.comparisons]
        before = order[: order.index(comparison)]
        if not {*before} & {*visited.comparisons, *outlook.first}:
            return True
        if self._needs(outlook, [*before, comparison], visited) <= budget.CHEAPER * left:
            return True
        needs = self._needs(outlook, order, visited)
        self._leave([comparison], "before it was set up", needs)
        return False

    def _needs(self, outlook: Outlook, comparisons: list[str], visited: Launch) -> float:
        """Seconds that the rest of this launch and all further ones of these should take: by what
        was seen where it was visited, else by estimate (another condition's turn comes later)."""
        staying = [i for i in comparisons if i not in self.gone]
        seen = [i for i in staying if i in visited.comparisons]
        due = [i for i in staying if i not in visited.comparisons and i in outlook.first]
        each = visited.bare(seen) + sum(outlook.later[i] for i in due)
        return sum(outlook.first[i] for i in due) + outlook.more * each

    def _leave(self, gone: list[str], when: str, needs: float) -> None:
        """needs: seconds from now that the launches of all would take."""
        reason = f"{', '.join(gone)} had to leave {when}"
        reason += f", to make room for {self.wanted} launches of the rest"
        self.gone |= set(gone)
        self.write("event", what="budget", reason=reason, left=gone)
        self.say("room", reason=reason, needs=needs)
