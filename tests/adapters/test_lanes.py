"""Claims about native models: shown beside the portable contender, and never ranked."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.core import native
from adapters.core.cost import declare
from harness.plan import inventory, plan, planning, suite
from harness.record import records
from harness.run import budget, leaving
from reports import terminal
from reports.pages import page
from reports.verdicts import analyse
from suites import catalogue
from tests.support.synthetic import edit_groups, write_run

SPEEDS = {"torch": 1.0, "torch_nn": 0.8, "jax": 1.5, "flax": 1.5}


def _run(folder: Path, **options: Any) -> records.Run:
    path = write_run(folder / "run", SPEEDS, **options)
    document = json.loads((path / "plan.json").read_text())
    of = {"torch_nn": "torch", "flax": "jax"}
    for contender in document["contenders"]:
        contender["of"] = of.get(contender["name"], "")
    for comparison in document["comparisons"]:
        comparison["cost"] |= {"layers": 1, "reduction": 1}
    (path / "plan.json").write_text(json.dumps(document))
    return records.read(path)


def test_a_native_model_wins_nothing_however_fast(tmp_path: Path) -> None:
    analysis = analyse(_run(tmp_path))
    assert {c.winner for c in analysis.comparisons} == {"torch"}
    assert {c.runner_up for c in analysis.comparisons} == {"jax"}
    for comparison in analysis.comparisons:
        assert not {"torch_nn", "flax"} & {name for r in comparison.ratios for name in (r.a, r.b)}
        assert comparison.cell("torch_nn").relative is None
        assert comparison.cell("torch_nn").seconds is not None
    for choice in analysis.recommendations:
        assert choice.choice in ("torch", None)  # None: what was not measured here decides
        assert [row["contender"] for row in choice.ranking] == ["torch", "jax"]
    assert "torch" in {choice.choice for choice in analysis.recommendations}


def test_portable_over_native_is_told_for_each_framework(tmp_path: Path) -> None:
    analysis = analyse(_run(tmp_path))
    found = {lane.portable: lane for lane in analysis.lanes if lane.comparison.startswith("relu")}
    assert found["torch"].native == "torch_nn" and found["jax"].native == "flax"
    assert found["torch"].ratio == pytest.approx(1.25, abs=0.03)
    assert (found["torch"].ok, found["jax"].ok) == (False, True)
    assert found["jax"].ratio == pytest.approx(1.0, abs=0.015)
    assert len(analysis.lanes) == 2 * len(analysis.comparisons)
    shown = json.loads(json.dumps(asdict(analysis), allow_nan=False))
    assert shown["lanes"][0].keys() >= {"portable", "native", "comparison", "ratio", "low", "high"}


def test_a_ratio_that_launches_leave_open_is_called_neither_right_nor_wrong(
    tmp_path: Path,
) -> None:
    run = _run(tmp_path)

    def apart(group: dict[str, Any]) -> bool:
        by = 1.0 + 0.05 * (-1) ** group["launch"]
        for turn in group["turns"]["flax"]:
            turn["calls"] = [int(by * call) for call in turn["calls"]]
            turn["total_ns"] = int(by * turn["total_ns"])
        return True

    edit_groups(run.folder, apart)
    lanes = [lane for lane in analyse(records.read(run.folder)).lanes if lane.native == "flax"]
    assert lanes and [lane.ok for lane in lanes] == [None] * len(lanes)
    assert all(lane.low is not None and lane.low < 1.02 < (lane.high or 0) for lane in lanes)


def test_a_wrong_native_model_has_no_ratio(tmp_path: Path) -> None:
    failures = {("relu", "flax"): ("wrong", "another network")}
    lanes = analyse(_run(tmp_path, failures=failures)).lanes
    pairs = {(lane.native, lane.comparison.partition("/")[0]) for lane in lanes}
    assert ("flax", "relu") not in pairs and ("torch_nn", "relu") in pairs


def test_the_page_and_the_terminal_show_lanes_where_there_are_any(tmp_path: Path) -> None:
    from rich.console import Console

    analysis = analyse(_run(tmp_path))
    assert 'id="lanes"' in page.render(analysis) and "native, not ranked" in page.render(analysis)
    for width in (120, 60):  # names fold, figures never
        console = Console(record=True, width=width)
        terminal.render(analysis, console)
        lanes = console.export_text().partition("\nLanes")[2].partition("Portable over")[0]
        assert "over 1.02" in lanes and "…" not in lanes
        assert all(f"{lane.ratio:.3f}" in lanes for lane in analysis.lanes)
    plain = analyse(records.read(write_run(tmp_path / "plain", {"torch": 1.0, "jax": 2.0})))
    assert 'id="lanes"' not in page.render(plain)


def test_a_pair_stays_to_the_end_and_a_native_model_drives_nobody_out(tmp_path: Path) -> None:
    """Three launches in, jax is far behind: alone it would leave."""
    import msgspec

    run = _run(tmp_path, launches=3)
    planned = msgspec.convert(run.plan, plan.Plan)
    assert leaving.leaving(planned, run.groups, set(), set()) == []


def test_launches_are_planned_for_a_pair_together(tmp_path: Path) -> None:
    import msgspec

    run = _run(tmp_path)
    planned = msgspec.convert(run.plan, plan.Plan)
    of = {c.name: c.of for c in planned.contenders if c.of}
    counts = budget.launches_planned(run.groups, planned.comparisons[0], list(SPEEDS), of)
    assert counts["jax"] >= counts["flax"] >= 6 and counts["torch"] >= counts["torch_nn"] >= 6


def test_a_native_contender_takes_part_only_when_named_and_names_what_it_stands_beside() -> None:
    rows = {row["name"]: row for row in inventory.contenders("cpu")}
    found = {name: row for name, row in rows.items() if row["of"]}
    assert found.keys() >= {"torch_nn", "torch_nn:compile", "keras", "keras:jax", "flax"}
    assert all(row["named_only"] and row["of"] in rows for row in found.values())
    assert rows["keras:torch"]["home"] == "keras:torch" and rows["keras:xla"]["home"] == "keras"


def test_the_suite_of_lanes_holds_both_of_every_pair() -> None:
    names = suite.load("lanes").contenders
    for name in names:
        of = planning.planned_contender(inventory.parse(name)).of
        assert not of or of in names, f"{name} stands beside {of}, which does not take part"


@pytest.mark.parametrize("workload", ["threelayer", "resnet18", "alexnet"])
def test_a_channels_last_model_takes_weights_in_and_gives_them_back(workload: str) -> None:
    parameters = declare(catalogue.get(workload))
    rng = np.random.default_rng(0)
    for name, each in parameters.items():
        value = rng.standard_normal(each.shape, dtype=np.float32)
        turned = native.channels_last(parameters, name, value)
        assert np.array_equal(native.canonical(parameters, name, turned), value), name


def test_a_matrix_behind_an_image_takes_its_rows_in_that_images_order() -> None:
    parameters = declare(catalogue.get("threelayer"))
    rng = np.random.default_rng(0)
    image = rng.standard_normal((2, 32, 16, 16))
    weight = rng.standard_normal((100, 32 * 16 * 16))
    turned = native.channels_last(parameters, "fc1.weight", weight)
    last = image.transpose(0, 2, 3, 1).reshape(2, -1)
    assert np.allclose(last @ turned, image.reshape(2, -1) @ weight.T)


def test_who_missed_a_launch_makes_up_for_it(tmp_path: Path) -> None:
    """One failure in the first stage would else leave it at five launches, for good."""
    import msgspec

    run = _run(tmp_path)
    planned = msgspec.convert(run.plan, plan.Plan)
    groups = [group for group in run.groups if group["comparison"] == planned.comparisons[0].id]
    del groups[1]["turns"]["jax"]
    names = [c.name for c in planned.contenders if not c.of and c.copy == 1]
    counts = budget.launches_planned(groups, planned.comparisons[0], names, {})
    assert counts["jax"] >= 7 and max(counts.values()) == counts["torch"]
