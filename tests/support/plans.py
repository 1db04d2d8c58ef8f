"""Plans for tests: a question, and how it would be measured."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.host import machine
from harness.plan import fitting, inventory, plan, planning
from harness.plan.suite import Comparison, Suite
from harness.record import records


def settings(**given: Any) -> plan.Settings:
    """A CPU's, on one core, unless it is said otherwise."""
    usual: dict[str, Any] = {"device": "cpu", "threads": 1, "cpus": [0], "warmup_limit_s": 3.0}
    return plan.Settings(**{**usual, **given})


def planned(
    suite: Suite,
    names: list[str],
    comparisons: list[Comparison] | None = None,
    budget: float | None = None,
    rows: Sequence[dict[str, Any]] = (),
    **given: Any,
) -> tuple[plan.Plan, dict[str, fitting.Estimate]]:
    """What `bakeoff run` would plan of a suite, or of a few comparisons of it."""
    return planning.make(
        run="r",
        command="",
        suite=suite,
        comparisons=list(comparisons or suite.comparisons),
        contenders=inventory.parse_list(",".join(names)),
        absent=[],
        budget=budget,
        settings=settings(**{"threads": machine.threads(), **given}),
        rows=[*rows],
    )


def read(folder: Path) -> tuple[plan.Plan, list[dict[str, Any]]]:
    """A synthetic run's plan, as the runner has it, and its groups."""
    run = records.read(folder)
    document = json.loads((run.folder / "plan.json").read_text())
    for comparison in document["comparisons"]:
        comparison["cost"] |= {"layers": 1, "reduction": 1}
    return msgspec.convert(document, plan.Plan), run.groups
