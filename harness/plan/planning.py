"""How a plan is made: from a suite, contenders, a device and a budget.

They become comparisons: cells that differ in the contender alone, measured together and ranked.
What the budget cannot hold is left out (fitting.py), and one contender is entered twice, as the
noise floor.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.core import cost as cost_model
from adapters.core.discovery import adapter_class
from adapters.core.precision import value_bytes
from harness.errors import Wrong, in_words
from harness.plan import code, estimate, fitting, resuming
from harness.plan.inventory import Contender, versions
from harness.plan.plan import (
    Cost,
    NoiseFloor,
    Plan,
    PlannedComparison,
    PlannedContender,
    Settings,
)
from harness.plan.suite import Comparison, Suite
from harness.record.documents import SCHEMA
from harness.stats import uses
from harness.stats.sampling import FIRST_STAGE
from suites import catalogue


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
) -> tuple[Plan, dict[str, fitting.Estimate]]:
    """Turns the question into a plan, and says what each comparison may take, left out or not.

    rows: of `inventory.contenders`, which know the versions. Raises Wrong for a workload whose
    sizes are impossible, and where nobody can do what is asked.
    """
    device, launches = settings.device, settings.launches or FIRST_STAGE
    planned = [planned_contender(c) for c in contenders]
    measured = [_comparison(c, settings, planned) for c in comparisons]
    fitting.hold_always(measured, suite)
    left_out = [
        {
            "comparison": c.id,
            "reason": "no contender here can train",
        }
        for c in measured
        if not c.contenders
    ]
    measured = [c for c in measured if c.contenders]
    _refuse_hopeless(measured)
    if not measured:
        names = ", ".join(c.name for c in planned)
        raise Wrong(f"{names} cannot train, and nothing else is asked for; name one that trains")
    planned, idle = _taking(planned, measured)
    absent = absent + [{"name": n, "reason": "it does not train: nothing to do here"} for n in idle]
    if budget is None:
        every = [_comparison(c, settings, planned) for c in suite.comparisons]
        fitting.hold_always(every, suite)
        budget = fitting.usual_budget(suite, every, measured, planned, launches)
    everyone, asked = planned, measured
    measured, unfit = fitting.fit(suite, measured, planned, budget, settings)
    left_out += unfit
    planned, idle = _taking(planned, measured)
    why = "every comparison that it could run is left out: they do not fit"
    absent = absent + [{"name": n, "reason": why} for n in idle]
    floor = _noise_floor(planned, measured)
    estimates = {c.id: fitting.estimated(c, everyone + floor[1], launches) for c in asked}
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


def _refuse_hopeless(comparisons: list[PlannedComparison]) -> None:
    """Raises Wrong where nobody can do anything of what is asked for."""
    reasons: dict[str, str] = {}
    for comparison in comparisons:
        if comparison.able:
            return
        reasons |= comparison.unsupported
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
    asked: Comparison, settings: Settings, contenders: list[PlannedContender]
) -> PlannedComparison:
    try:
        workload = catalogue.get(asked.workload).resized(asked.size)
        cost = cost_model.cost(workload, asked.batch, asked.direction)
    except Exception as error:  # a workload is anybody's function
        size = "" if asked.size is None else f" at size {asked.size}"
        raise Wrong(f"{asked.workload}{size}: {in_words(error)}") from None
    layers = [op for op in cost.operations if op.name in ("conv2d", "linear")]
    asked = msgspec.structs.replace(asked, device=settings.device)
    taking = [c for c in contenders if c.trains or asked.direction == "infer"]
    kind = asked.device.partition(":")[0]
    refused = {c.name: adapter_class(c.adapter).refuses(kind, asked.precision) for c in taking}
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
        device=asked.device,
        headline=asked.headline,
        contenders=[c.name for c in taking],
        cost=Cost(
            cost.flops,
            cost.bytes * value_bytes(asked.precision) / value_bytes("float32"),
            cost.parameters,
            cost.activations,
            len(layers),
        ),
        operations=cost.identity,
        threads=asked.threads or settings.threads,
        unsupported={name: reason for name, reason in refused.items() if reason},
    )


def _noise_floor(
    contenders: list[PlannedContender], comparisons: list[PlannedComparison]
) -> tuple[NoiseFloor | None, list[PlannedContender]]:
    """Enters the cheapest contender again, into the cheapest quarter of the comparisons, of which
    one at least is one that a choice rests on.

    Cheapest: it compiles nothing, and has a framework of its own to bring its noise in.
    None where the user entered a contender twice, or none may be ranked.
    """
    measured = {name for c in comparisons for name in c.able}
    able = [c for c in contenders if c.computes and not c.of and c.name in measured]
    if any(c.copy > 1 for c in contenders) or not able:
        return None, []

    def price(contender: PlannedContender) -> tuple[float, bool, str]:
        light = adapter_class(contender.adapter).requires in ((), ("numpy",))
        return fitting.compile_seconds(contender), light, contender.name

    of = min(able, key=price)
    twin = msgspec.structs.replace(of, name=f"{of.name}#2", copy=2)
    # A pair wants a third contender's rounds least: those comparisons come first.
    entered = [c for c in comparisons if of.name in c.able]
    cheapest = sorted(entered, key=lambda c: estimate.call(c.work))
    count = max(1, len(comparisons) // 4)
    used = [c for c in cheapest if any(belongs(c) for belongs in uses.USES.values())]
    chosen = cheapest[:count]
    if used and used[0] not in chosen:
        chosen[-1] = used[0]
    for comparison in chosen:
        comparison.contenders.append(twin.name)
    return NoiseFloor(twin.name, of.name), [twin]
