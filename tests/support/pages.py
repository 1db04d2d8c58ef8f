"""Pages of runs whose figures tests know, and a browser that has one of them open."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.record import records
from reports.pages import compare_page, machines_page, page
from reports.runs import compare
from tests.support.browser import await_
from tests.support.synthetic import (
    CONVNETS,
    EVERYONE,
    HOSTILE,
    WORKLOADS,
    edit_cells,
    edit_groups,
    write_run,
)

PHONE, DESK = 400, 1600


Open = Callable[..., Any]


def written(folder: Path) -> dict[str, Path]:
    """By the name of what is odd about a run, its page; and pages of several runs."""
    crashed = {("resnet20", "jax"): ("crash", HOSTILE)}
    runs = {
        "whole": write_run(folder / "whole"),
        "hostile": write_run(folder / "hostile", {**EVERYONE, HOSTILE: 1.2}, failures=crashed),
        "empty": write_run(folder / "empty", launches=0),
        "decades": write_run(folder / "decades", {"torch": 1.0, "jax": 1.0, "numpy": 170.0}),
    }
    edit_groups(runs["decades"], uncertain)
    runs["warned"] = write_run(folder / "warned", failures=crashed)
    edit_groups(runs["warned"], faulting)
    runs["limited"] = write_run(folder / "limited")
    edit_cells(runs["limited"], "torch:compile", seconds={"total": 40.0})
    runs["history"] = write_run(folder / "history", EVERYONE, workloads=CONVNETS)
    batches = [(*WORKLOADS[1][:2], batch, *WORKLOADS[1][3:]) for batch in (4, 16)]
    runs["idle"] = write_run(folder / "idle", workloads=[*WORKLOADS, *batches])
    edit_plan(runs["idle"], lambda plan: plan["comparisons"][0]["cost"].update(flops=0))
    read = {name: records.read(run) for name, run in runs.items()}
    made = {name: page.write(run, folder / f"{name}.html") for name, run in read.items()}
    two = (read["hostile"], read["decades"])
    changes = compare.compare(*two, None, 0.03, (1.0, 2.0))
    made["compare"] = compare_page.write(changes, folder, folder / "compare.html")
    made["machines"] = machines_page.write([*two, read["whole"]], None, folder / "machines.html")
    return made


def edit_plan(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    plan = json.loads((folder / "plan.json").read_text())
    edit(plan)
    (folder / "plan.json").write_text(json.dumps(plan))


def uncertain(group: dict[str, Any]) -> bool:
    """Every other launch of jax is slow: its interval reaches far to both sides."""
    for turn in group["turns"]["jax"]:
        turn["calls"] = [int(call * (0.8, 1.25)[group["launch"] % 2]) for call in turn["calls"]]
        turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
    return True


def faulting(group: dict[str, Any]) -> bool:
    """The kernel gives jax its memory anew in every call of one workload."""
    for turn in group["turns"].get("jax", []) if "relu" in group["comparison"] else []:
        turn |= {"minor_faults": 10**5, "wall_ns": sum(turn["calls"]), "cpu_ns": 1}
    return True


def tick(browser: Any, value: str) -> None:
    """A press on a box of the filter; the charts are drawn anew."""
    browser.execute_script(
        "delete document.documentElement.dataset.ready;"
        'document.querySelector(`#filter input[value="${arguments[0]}"]`).click()',
        value,
    )
    await_(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
