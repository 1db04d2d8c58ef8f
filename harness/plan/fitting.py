"""What a budget has time for, and a device room: estimates by comparison, and what is left out."""

import math
from dataclasses import dataclass

from adapters.core.discovery import adapter_class
from adapters.core.precision import value_bytes
from harness import durations
from harness.host import gpus
from harness.plan import estimate
from harness.plan.plan import Plan, PlannedComparison, PlannedContender, Settings, together
from harness.plan.suite import Suite
from harness.stats import uses
from harness.stats.sampling import DRAWS, FIRST_STAGE

# A narrower question than its suite gets its share of the suite's time, but at least this.
LEAST_BUDGET = 100.0
USUAL = 6  # contenders of a suite that names none
# Estimates are rough: a comparison is left out only where they exceed the budget by half.
SLACK = 1.5
# What a budget that is advised has to spare: whoever gives it should not be advised again, and a
# shared machine's rate differs by as much from one minute to the next.
ROOM = 1.2
TIME = "time"  # what is left out for want of it is marked so: a larger budget would hold it


@dataclass(frozen=True)
class Estimate:
    """Seconds a comparison is expected to take, by part."""

    cold: float
    first: float
    launch: float  # each one after the first
    launches: int = FIRST_STAGE
    turns: float = 0.0  # of a launch: those of a whole design, a round for each contender

    @property
    def total(self) -> float:
        """Of the cold pass and all launches; nothing where nobody takes part."""
        return self.cold + self.first + self.launch * (self.launches - 1)


def too_short(needed: float | None, what: str = "", launches: int = FIRST_STAGE) -> str:
    """What is said of a budget that does not hold the launches (of all, where of some it did).

    needed: seconds of a run from its beginning; None where nobody knows, as once it was resumed.
    """
    short = " ".join(f"Too short {'to decide' if launches == FIRST_STAGE else ''} {what}".split())
    if needed is None:
        return short
    told = durations.spell(needed)
    return f"{short}: {launches} launches need about {told}; give --budget {told}"


def compile_seconds(contender: PlannedContender) -> float:
    """Of a layer's forward pass, as its adapter has it."""
    return adapter_class(contender.adapter).variants[contender.variant].compile_seconds


def estimated(
    comparison: PlannedComparison, contenders: list[PlannedContender], launches: int
) -> Estimate:
    work = comparison.work
    able = comparison.able
    per_layer = [compile_seconds(c) for c in contenders if c.name in able]
    turns = len(able) ** 2 * estimate.turn(work, comparison.least_calls)
    blocks = len(able) * comparison.sustained_s
    later = sum(estimate.later_launch(work, p) for p in per_layer)
    first = sum(estimate.first_launch(work, p) for p in per_layer)
    if comparison.device != "cpu":  # where frameworks autotune, so many begin with an empty cache
        draws = min(DRAWS, launches)
        later = ((draws - 1) * first + (launches - draws) * later) / max(1, launches - 1)
    return Estimate(
        cold=sum(estimate.cold(work, p) for p in per_layer) if comparison.headline else 0.0,
        first=first + turns + blocks,
        launch=later + turns + blocks,
        launches=launches,
        turns=turns,
    )


def launching(
    comparisons: list[PlannedComparison], contenders: list[PlannedContender], launches: int
) -> float:
    """Seconds to start the workers of all launch groups, and to greet each contender once."""
    groups = launches * len({*map(uses.condition, comparisons)})
    return estimate.IMPORT * len(contenders) * (groups + 1) / 2


def usual_budget(
    suite: Suite,
    every: list[PlannedComparison],
    measured: list[PlannedComparison],
    contenders: list[PlannedContender],
    launches: int,
) -> float:
    """What a run has that is given none: the suite's, or as much of it as is asked for of it.

    every: what the suite itself holds, with these contenders.
    """
    whole = durations.seconds(suite.budget, f"suite '{suite.called}': budget")
    share = len(contenders) / (len(suite.contenders) or USUAL)
    all_, part = (
        sum(estimated(c, contenders, launches).total for c in e) for e in (every, measured)
    )
    share *= part / all_ if all_ else 1.0  # nobody here does what the suite itself holds
    return max(min(LEAST_BUDGET, whole), min(1.0, share) * whole)


def hold_always(comparisons: list[PlannedComparison], suite: Suite) -> None:
    """As many calls in each launch of one image as the suite asks for, whatever they take."""
    if suite.calls_share is None:
        _hold_within(comparisons, suite.calls, 1, math.inf)


def _hold_within(
    comparisons: list[PlannedComparison], calls: int, launches: int, most: float
) -> None:
    """The same, for as many comparisons as take `most` seconds together, in the suite's order."""
    for same in together([*filter(uses.USES["single-image latency"], comparisons)]):
        needed = launches * sum(_held(c, calls) for c in same)
        if needed <= most:
            for comparison in same:
                comparison.calls = calls
            most -= needed


def _held(comparison: PlannedComparison, calls: int) -> float:
    """Seconds that so many calls take in a launch, of all that take part."""
    return len(comparison.able) * calls * estimate.call(comparison.work)


def holding_all(plan: Plan, suite: Suite) -> float | None:
    """A budget with which each launch of one image would hold the calls that the suite asks for;
    None where it asks for none, or the plan has them."""
    asked = [c for c in plan.comparisons if uses.USES["single-image latency"](c)]
    if suite.calls_share is None or all(c.calls for c in asked):
        return None
    launches = plan.settings.launches or FIRST_STAGE
    needed = launches * sum(_held(c, suite.calls) for c in asked)
    return ROOM * needed / suite.calls_share


def fit(
    suite: Suite,
    measured: list[PlannedComparison],
    contenders: list[PlannedContender],
    budget: float,
    settings: Settings,
) -> tuple[list[PlannedComparison], list[dict[str, str]]]:
    """What a device has room for and the budget time, with blocks; and what is left out.

    Nothing that the user named is.
    """
    launches = settings.launches or FIRST_STAGE
    left_out: list[dict[str, str]] = []
    if not settings.named:
        measured, left_out = _with_room(measured, settings.device)
    if suite.calls_share is not None:
        _hold_within(measured, suite.calls, launches, suite.calls_share * budget)
    if suite.sustained:
        block = durations.seconds(suite.sustained, f"suite '{suite.called}': sustained")
        _sustain(measured, block, launches, budget)
    if not settings.named:
        measured, unfit = _in_time(measured, contenders, budget, launches)
        left_out += unfit
    return measured, left_out


def _with_room(
    comparisons: list[PlannedComparison], device: str
) -> tuple[list[PlannedComparison], list[dict[str, str]]]:
    """Without those for whose contenders, which stay loaded side by side, a GPU is too small.

    There whoever came last would be out of memory. Where all are too large, all stay.
    """
    index = gpus.number(device)
    given = gpus.described()[index : index + 1] if index is not None else []
    size = float(given[0]["memory_bytes"] or math.inf) if given else math.inf
    kept: list[PlannedComparison] = []
    left_out: list[dict[str, str]] = []
    for comparison in comparisons:
        count, trains = len(comparison.able), comparison.direction != "infer"
        each = estimate.memory(comparison.cost, trains, value_bytes(comparison.precision))
        if count * each > size:
            reason = f"{count} contenders side by side take {count * each / 1e9:.0f} GB of the GPU "
            reason += f"at the least, which has {size / 1e9:.0f}; name fewer with --contenders"
            left_out.append({"comparison": comparison.id, "reason": reason})
        else:
            kept.append(comparison)
    return (kept, left_out) if kept else (comparisons, [])


def _sustain(
    comparisons: list[PlannedComparison], block: float, launches: int, budget: float
) -> None:
    """Headline trainings on a GPU get blocks, as many as take a quarter of the budget at most."""
    left = budget / 4
    for same in together(
        [c for c in comparisons if c.headline and c.direction == "train" and c.device != "cpu"]
    ):
        needed = launches * block * sum(len(c.able) for c in same)
        if needed <= left:
            for comparison in same:
                comparison.sustained_s = block
            left -= needed


def _in_time(
    comparisons: list[PlannedComparison],
    contenders: list[PlannedContender],
    budget: float,
    launches: int,
) -> tuple[list[PlannedComparison], list[dict[str, str]]]:
    """In the suite's order, whatever fits; the first, where nothing does."""
    kept: list[PlannedComparison] = []
    left_out: list[dict[str, str]] = []
    spent = launching(comparisons, contenders, launches)
    works = together(comparisons)
    for same in works:
        need = sum(estimated(c, contenders, launches).total for c in same)
        if spent + need > SLACK * budget:
            more, most = durations.spell(need), durations.spell(budget)
            reason = f"about {more} more would not fit into the budget of {most}"
            left_out += [{"comparison": c.id, "reason": reason, "want": TIME} for c in same]
            continue
        spent += need
        kept += same
    if not kept:
        return works[0], left_out[len(works[0]) :]
    return [c for c in comparisons if c in kept], left_out
