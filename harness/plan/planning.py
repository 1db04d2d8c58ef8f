"""How a plan is made: from a suite, contenders, a device and a budget.

They become comparisons: cells that differ in the contender alone, measured together and ranked.
What the budget cannot hold is left out, one contender is entered twice as the noise floor, and
estimates say what each comparison may take.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from typing import Any

import msgspec

from adapters.core import cost as cost_model
from adapters.core.discovery import adapter_class
from adapters.core.precision import PRECISIONS, value_bytes
from harness import durations
from harness.errors import Wrong, in_words
from harness.host import gpus
from harness.plan import code, estimate, resuming
from harness.plan.inventory import Contender, versions
from harness.plan.plan import (
    Cost,
    NoiseFloor,
    Plan,
    PlannedComparison,
    PlannedContender,
    Settings,
)
from harness.plan.suite import HIDDEN, Comparison, Suite, unique
from harness.record.documents import SCHEMA
from harness.stats import uses
from harness.stats.sampling import DRAWS, FIRST_STAGE
from suites import catalogue

# A narrower question than its suite gets its share of the suite's time, but at least this.
LEAST_BUDGET = 100.0
USUAL = 6  # contenders of a suite that names none
# Estimates are rough: a comparison is left out only where they exceed the budget by half.
SLACK = 1.5
# What a budget that is advised has to spare: whoever gives it should not be advised again, and a
# shared machine's rate differs by as much from one minute to the next.
ROOM = 1.2


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


def too_short(needed: float, what: str = "", launches: int = FIRST_STAGE) -> str:
    """What is said of a budget that does not hold the launches (of all, where of some it did)."""
    told = durations.spell(needed)
    short = f"Too short {'to decide' if launches == FIRST_STAGE else ''} {what}".split()
    return f"{' '.join(short)}: {launches} launches need about {told}; give --budget {told}"


def select(suite: Suite, globs: str | None, precision: str | None) -> list[Comparison]:
    """The suite's comparisons, narrowed. A workload outside the suite comes at its usual size."""
    chosen = list(suite.comparisons)
    if globs:
        chosen = []
        for pattern in filter(None, (part.strip() for part in globs.split(","))):
            found = [c for c in suite.comparisons if fnmatch(c.workload, pattern)]
            chosen += found or _from_catalogue(pattern)
        if not chosen:
            raise Wrong(f"--workloads '{globs}' names none; `bakeoff list` has them")
    if precision is not None:
        if precision not in PRECISIONS:
            raise Wrong(f"precision '{precision}': expected one of {', '.join(PRECISIONS)}")
        chosen = [msgspec.structs.replace(c, precision=precision) for c in chosen]
    return list(unique(chosen))


def _from_catalogue(pattern: str) -> list[Comparison]:
    known = [w for w in catalogue.load().values() if w.kind not in HIDDEN]
    found = [w for w in known if fnmatch(w.name, pattern)]
    if not found:
        try:
            catalogue.get(pattern)
        except KeyError as error:  # which names its neighbours
            raise Wrong(error.args[0]) from None
        raise Wrong(f"'{pattern}' is for tests, not for ranking; `bakeoff list` shows workloads")
    return [
        Comparison(workload=w.name, batch=w.batch, direction=direction, headline=True)
        for w in found
        for direction in (("infer", "train") if w.kind == "convnet" else ("infer",))
    ]


def make(
    run: str,
    command: str,
    suite: Suite,
    comparisons: list[Comparison],
    contenders: list[Contender],
    absent: list[dict[str, str]],
    budget: float | None,
    settings: Settings,
    rows: list[dict[str, Any]],
) -> tuple[Plan, dict[str, Estimate]]:
    """Turns the question into a plan, and says what each comparison may take, left out or not.

    rows: of `inventory.contenders`, which know the versions. Raises Wrong for a workload whose
    sizes are impossible, and where nobody can do what is asked.
    """
    device, launches = settings.device, settings.launches or FIRST_STAGE
    planned = [planned_contender(c) for c in contenders]
    measured = [_comparison(c, device, planned) for c in comparisons]
    _hold_always(measured, suite)
    left_out = [
        {
            "comparison": c.id,
            "reason": "no contender here can train",
        }
        for c in measured
        if not c.contenders
    ]
    measured = [c for c in measured if c.contenders]
    _refuse_hopeless(measured, planned)
    if not measured:
        names = ", ".join(c.name for c in planned)
        raise Wrong(f"{names} cannot train, and nothing else is asked for; name one that trains")
    planned, idle = _taking(planned, measured)
    absent = absent + [{"name": n, "reason": "it does not train: nothing to do here"} for n in idle]
    if budget is None:
        budget = _usual_budget(suite, comparisons, measured, planned, settings)
    everyone, asked = planned, measured
    measured, unfit = _fitting(suite, measured, planned, budget, settings)
    left_out += unfit
    planned, idle = _taking(planned, measured)
    why = "every comparison that it could run is left out: they do not fit"
    absent = absent + [{"name": n, "reason": why} for n in idle]
    floor = _noise_floor(planned, measured)
    estimates = {c.id: estimated(c, everyone + floor[1], launches) for c in asked}
    # Whose versions count: who has nothing to do here is not asked when the run is resumed.
    measuring = [c.name for c in planned + floor[1]]
    plan = Plan(
        schema=SCHEMA,
        run=run,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        suite={key: getattr(suite, key) for key in ("name", "path", "title", "summary")},
        settings=settings,
        budget_s=budget,
        fingerprint=resuming.fingerprint(versions(measuring, rows), device, planned + floor[1]),
        contenders=planned + floor[1],
        absent=absent,
        noise_floor=floor[0],
        comparisons=measured,
        left_out=left_out,
    )
    return plan, estimates


def _usual_budget(
    suite: Suite,
    asked: list[Comparison],
    measured: list[PlannedComparison],
    contenders: list[PlannedContender],
    settings: Settings,
) -> float:
    """What a run has that is given none: the suite's, or as much of it as is asked for of it."""
    launches = settings.launches or FIRST_STAGE
    whole = durations.seconds(suite.budget, f"suite '{suite.called}': budget")
    share = len(contenders) / (len(suite.contenders) or USUAL)
    if [c.id for c in asked] != [c.id for c in suite.comparisons]:
        every = [_comparison(c, settings.device, contenders) for c in suite.comparisons]
        _hold_always(every, suite)
        all_ = sum(estimated(c, contenders, launches).total for c in every)
        part = sum(estimated(c, contenders, launches).total for c in measured)
        share *= part / all_ if all_ else 1.0  # nobody here does what the suite itself holds
    return max(min(LEAST_BUDGET, whole), min(1.0, share) * whole)


def _fitting(
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
        measured, unfit = _fit(measured, contenders, budget, launches)
        left_out += unfit
    return measured, left_out


def compile_seconds(contender: PlannedContender) -> float:
    """Of a layer's forward pass, as its adapter has it."""
    return adapter_class(contender.adapter).variants[contender.variant].compile_seconds


def refused(comparison: PlannedComparison, contenders: list[PlannedContender]) -> dict[str, str]:
    """Who takes part in it and can only be shown as unsupported there, and why."""
    found = {}
    for each in contenders:
        kind = comparison.device.partition(":")[0]
        reason = adapter_class(each.adapter).refuses(kind, comparison.precision)
        if reason and each.name in comparison.contenders:
            found[each.name] = reason
    return found


def _refuse_hopeless(
    comparisons: list[PlannedComparison], contenders: list[PlannedContender]
) -> None:
    """Raises Wrong where nobody can do anything of what is asked for."""
    reasons: dict[str, str] = {}
    for comparison in comparisons:
        no = refused(comparison, contenders)
        if len(no) < len(comparison.contenders):
            return
        reasons |= no
    if reasons:
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise Wrong(f"nobody can do what is asked for: {told}")


def _taking(
    contenders: list[PlannedContender], comparisons: list[PlannedComparison]
) -> tuple[list[PlannedContender], list[str]]:
    """Those with something to do, and the names of the others."""
    taking = {name for c in comparisons for name in c.contenders}
    idle = [c.name for c in contenders if c.name not in taking]
    return [c for c in contenders if c.name in taking], idle


def planned_contender(contender: Contender) -> PlannedContender:
    kind = adapter_class(contender.adapter)
    variant = kind.variants[contender.variant]
    return PlannedContender(
        contender.name,
        contender.adapter,
        contender.version,
        contender.variant,
        contender.copy,
        variant.summary,
        kind.computes,
        kind.trains and variant.trains,
        kind.baseline,
        of=variant.of,
        code=code.behind(contender.adapter, contender.variant),
    )


def _comparison(
    asked: Comparison, device: str, contenders: list[PlannedContender]
) -> PlannedComparison:
    try:
        workload = catalogue.get(asked.workload).resized(asked.size)
        cost = cost_model.cost(workload, asked.batch, asked.direction)
    except Exception as error:  # a workload is anybody's function
        size = "" if asked.size is None else f" at size {asked.size}"
        raise Wrong(f"{asked.workload}{size}: {in_words(error)}") from None
    layers = [op for op in cost.operations if op.name in ("conv2d", "linear")]
    asked = msgspec.structs.replace(asked, device=device)
    return PlannedComparison(
        id=asked.id,
        workload=asked.workload,
        kind=workload.kind,
        summary=workload.summary,
        batch=asked.batch,
        size=asked.size,
        input=list(workload.input),
        direction=asked.direction,
        precision=asked.precision,
        device=device,
        headline=asked.headline,
        contenders=[c.name for c in contenders if c.trains or asked.direction == "infer"],
        cost=Cost(
            cost.flops,
            cost.bytes * value_bytes(asked.precision) / value_bytes("float32"),
            cost.parameters,
            cost.activations,
            len(layers),
        ),
        operations=cost.identity,
    )


def _hold_always(comparisons: list[PlannedComparison], suite: Suite) -> None:
    """As many calls in each launch of one image as the suite asks for, whatever they take."""
    if suite.calls_share is None:
        _hold_within(comparisons, suite.calls, 1, math.inf)


def _hold_within(
    comparisons: list[PlannedComparison], calls: int, launches: int, most: float
) -> None:
    """The same, for as many comparisons as take `most` seconds together, in the suite's order."""
    for comparison in filter(uses.USES["single-image latency"], comparisons):
        needed = launches * _held(comparison, calls)
        if needed <= most:
            comparison.calls = calls
            most -= needed


def _held(comparison: PlannedComparison, calls: int) -> float:
    """Seconds that so many calls take in a launch, of all that take part."""
    return len(comparison.contenders) * calls * estimate.call(comparison.work)


def holding_all(plan: Plan, suite: Suite) -> float | None:
    """A budget with which each launch of one image would hold the calls that the suite asks for;
    None where it asks for none, or the plan has them."""
    asked = [c for c in plan.comparisons if uses.USES["single-image latency"](c)]
    if suite.calls_share is None or all(c.calls for c in asked):
        return None
    launches = plan.settings.launches or FIRST_STAGE
    needed = launches * sum(_held(c, suite.calls) for c in asked)
    return ROOM * needed / suite.calls_share


def _sustain(
    comparisons: list[PlannedComparison], block: float, launches: int, budget: float
) -> None:
    """Headline trainings on a GPU get blocks, as many as take a quarter of the budget at most."""
    left = budget / 4
    for comparison in comparisons:
        needed = launches * block * len(comparison.contenders)
        trains = comparison.headline and comparison.direction == "train"
        if trains and comparison.device != "cpu" and needed <= left:
            comparison.sustained_s = block
            left -= needed


def _noise_floor(
    contenders: list[PlannedContender], comparisons: list[PlannedComparison]
) -> tuple[NoiseFloor | None, list[PlannedContender]]:
    """Enters the cheapest contender again, into the cheapest quarter of the comparisons, of which
    one at least is one that a choice rests on.

    Cheapest: it compiles nothing, and has a framework of its own to bring its noise in.
    None where the user entered a contender twice, or none may be ranked.
    """
    able = [c for c in contenders if c.computes and not c.of]
    if any(c.copy > 1 for c in contenders) or not able:
        return None, []

    def price(contender: PlannedContender) -> tuple[float, bool, str]:
        light = adapter_class(contender.adapter).requires in ((), ("numpy",))
        return compile_seconds(contender), light, contender.name

    of = min(able, key=price)
    twin = msgspec.structs.replace(of, name=f"{of.name}#2", copy=2)
    # A pair wants a third contender's rounds least: those comparisons come first.
    entered = [c for c in comparisons if of.name in c.contenders]
    cheapest = sorted(entered, key=lambda c: estimate.call(c.work))
    count = max(1, len(comparisons) // 4)
    used = [c for c in cheapest if any(belongs(c) for belongs in uses.USES.values())]
    chosen = cheapest[:count]
    if used and used[0] not in chosen:
        chosen[-1] = used[0]
    for comparison in chosen:
        comparison.contenders.append(twin.name)
    return NoiseFloor(twin.name, of.name), [twin]


def estimated(
    comparison: PlannedComparison, contenders: list[PlannedContender], launches: int
) -> Estimate:
    work = comparison.work
    taking = [c for c in contenders if c.name in comparison.contenders]
    per_layer = [compile_seconds(c) for c in taking]
    turns = len(comparison.contenders) ** 2 * estimate.turn(work, comparison.least_calls)
    blocks = len(comparison.contenders) * comparison.sustained_s
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


def launching(contenders: int, launches: int) -> float:
    """Seconds to start the workers of all launch groups, and to greet each contender once."""
    return estimate.IMPORT * contenders * (launches + 1) / 2


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
        count, trains = len(comparison.contenders), comparison.direction != "infer"
        each = estimate.memory(comparison.cost, trains, value_bytes(comparison.precision))
        if count * each > size:
            reason = f"{count} contenders side by side take {count * each / 1e9:.0f} GB of the GPU "
            reason += f"at the least, which has {size / 1e9:.0f}; name fewer with --contenders"
            left_out.append({"comparison": comparison.id, "reason": reason})
        else:
            kept.append(comparison)
    return (kept, left_out) if kept else (comparisons, [])


def _fit(
    comparisons: list[PlannedComparison],
    contenders: list[PlannedContender],
    budget: float,
    launches: int,
) -> tuple[list[PlannedComparison], list[dict[str, str]]]:
    """In the suite's order, whatever fits; the first, where nothing does."""
    kept: list[PlannedComparison] = []
    left_out: list[dict[str, str]] = []
    spent = launching(len(contenders), launches)
    for comparison in comparisons:
        need = estimated(comparison, contenders, launches).total
        if spent + need > SLACK * budget:
            more, most = durations.spell(need), durations.spell(budget)
            reason = f"about {more} more would not fit into the budget of {most}"
            left_out.append({"comparison": comparison.id, "reason": reason})
            continue
        spent += need
        kept.append(comparison)
    return (kept, left_out) if kept else (comparisons[:1], left_out[1:])
