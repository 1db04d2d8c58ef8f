"""Claims about the charts: what their marks tell apart, and what their axes have room for."""

import itertools
import math
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapters.core import discovery
from harness.paths import ROOT
from harness.record import records
from reports import verdicts, words
from reports.analysis import Analysis
from reports.charts import calls, every, marks, start
from reports.comparison.why import KINDS
from reports.pages import page, template
from tests.support.colours import EYES, XYZ, lab, linear
from tests.support.synthetic import EVERYONE, edit_groups, write_run


def layers(spec: dict[str, Any], mark: str) -> list[dict[str, Any]]:
    return [layer for layer in spec["layer"] if layer["mark"]["type"] == mark]


def values(layer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = layer["data"]["values"]
    return found


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Of a run whose numpy is far behind, and whose twin is in one comparison alone."""
    folder = write_run(tmp_path_factory.mktemp("runs") / "far", {**EVERYONE, "numpy": 170.0})

    def once(group: dict[str, Any]) -> bool:
        if "resnet20" not in group["comparison"]:
            group["turns"].pop("torch#2", None)
        return True

    edit_groups(folder, once)
    return verdicts.analyse(records.read(folder))


@pytest.fixture(scope="module")
def published() -> Analysis:
    return verdicts.analyse(records.read(ROOT / "results" / "published" / "quick-2core"))


@pytest.fixture(scope="module")
def charts(published: Analysis) -> dict[str, dict[str, Any]]:
    return every.specs(published)


def everybody() -> list[dict[str, str]]:
    """Every contender that there is, as a plan names them."""
    return [
        {"name": f"{name}:{variant}" if variant else name, "adapter": name}
        for name in discovery.names()
        for variant in discovery.adapter_class(name).variants
    ]


def test_no_two_contenders_share_colour_and_shape() -> None:
    run = SimpleNamespace(contenders=everybody())
    colours, shapes = marks.colours(run), marks.shapes(run)
    found = [(colours[name], shapes[name]) for name in colours]
    assert len(found) == len(set(found)) > 20
    assert not set(marks.SPARE) & set(marks.FIXED.values())


def test_a_frameworks_own_model_has_its_colour_and_another_shape() -> None:
    run = SimpleNamespace(contenders=everybody())
    colours, shapes = marks.colours(run), marks.shapes(run)
    for native, portable in marks.NATIVE.items():
        assert colours[native] == colours[portable] and shapes[native] != shapes[portable]


def test_every_shape_has_an_outline_for_the_text_and_a_dash_for_a_line() -> None:
    assert set(marks.SHAPES) == set(template.OUTLINES)
    assert len(marks.DASHES) == len(marks.SHAPES) == len({str(dash) for dash in marks.DASHES})


def test_a_ratio_that_is_far_leaves_the_axis_to_the_others_and_is_told(analysis: Analysis) -> None:
    spec = every.specs(analysis)["ratios"]
    [far] = layers(spec, "text")
    assert all(row["ratio"] > 100 for row in values(spec) if row["contender"] == "numpy")
    told = {step["as"]: step["calculate"] for step in far["transform"]}
    assert "datum.ratio > 4.0" in told["told"] and told["at"] == "min(datum.ratio, 4.0)"


def test_no_axis_of_dots_is_fixed_so_that_showing_fewer_shows_more_of_them(
    analysis: Analysis,
) -> None:
    for name in ("ratios", "calls", "roof"):
        for layer in every.specs(analysis)[name]["layer"]:
            assert "domain" not in layer["encoding"]["x"]["scale"]


def test_the_margin_is_drawn_and_the_noise_floor_only_where_there_is_a_twin(
    analysis: Analysis,
) -> None:
    spec = every.specs(analysis)["ratios"]
    at = [row["at"] for rule in layers(spec, "rule") if "data" in rule for row in values(rule)]
    assert sorted(at) == pytest.approx([1 / 1.03, 1, 1.03])
    [band] = layers(spec, "rect")
    wide = {row["comparison"] for row in values(band) if row["to"] > row["from"]}
    assert wide == {"resnet20 b32 infer"}
    [twins] = [c.noise_floor for c in analysis.comparisons if c.noise_floor]
    [to] = {row["to"] for row in values(band)} - {1.0}
    assert math.log(to) == pytest.approx(abs(math.log(twins.ratio)))


def test_a_quantile_that_one_launch_lacks_is_in_no_picture_as_it_is_in_no_table() -> None:
    told = calls.over_median([[1, 2, 4, 5, 6, 8.0], [1, 3, 4, 5, 6, None]])
    assert told and told["p99"] is None
    assert told["p25"] == 0.625 and told["p50"] == 1


def test_a_picture_of_calls_has_a_p99_where_the_table_has(
    published: Analysis, charts: dict[str, Any]
) -> None:
    there = {
        (marks.label(c), cell.contender)
        for c in published.comparisons
        for cell in published.cells(c)
        if cell.latency and cell.latency["p99"] is not None
    }
    rows = values(charts["calls"])
    assert there == {(r["comparison"], r["contender"]) for r in rows if r["p99"] is not None}
    assert 0 < len(there) < len(rows)


@pytest.mark.parametrize("parts", [start.PHASES, start.MEMORY, start.DEVICE_MEMORY, KINDS])
def test_parts_of_a_bar_stand_out_and_have_no_frameworks_colour(parts: dict[str, str]) -> None:
    style = (template.TEMPLATES / "style.css").read_text()
    grounds = [XYZ[1] @ linear(of) for of in re.findall(r"--(?:page|panel): (#\w{6})", style)]
    for colour, ground in itertools.product(parts.values(), grounds):
        low, high = sorted((ground, XYZ[1] @ linear(colour)))
        assert (high + 0.05) / (low + 0.05) >= 3, colour
    for one, other in itertools.combinations(parts.values(), 2):
        for eye in EYES:
            apart = lab(eye @ linear(one)) - lab(eye @ linear(other))
            assert np.linalg.norm(apart) >= 10, (one, other)
    assert not set(parts.values()) & {*marks.FIXED.values(), *marks.SPARE}


def test_a_part_has_one_colour_in_seconds_and_in_memory() -> None:
    assert start.MEMORY["import"] == start.PHASES["import"]
    assert start.MEMORY["load and first call"] == start.PHASES["first call"]


def test_a_start_far_longer_than_most_is_cut_off_and_told(
    published: Analysis, charts: dict[str, Any]
) -> None:
    cell = start.started(published)[0].cell("torch:compile")
    total = (cell.cold or {})["total"]
    bars, beside = charts["start-0"]["layer"]
    _, end = bars["encoding"]["x"]["scale"]["domain"]
    [long] = values(beside)
    assert (long["contender"], long["cache"]) == ("torch:compile", "empty")
    assert long["told"] == f"→ {words.seconds(total)}" and 2.0 < end < total
    assert "layer" not in charts["memory-0"]


def test_of_all_crossings_those_are_marked_where_the_baseline_takes_or_loses_the_lead(
    published: Analysis,
    charts: dict[str, Any],
) -> None:
    for number, found in enumerate(published.breakeven):
        spec = charts[f"breakeven-{number}"]
        *_, dots = layers(spec, "point")
        order = [name for _, name in found.ahead]
        place = order.index(found.baseline)
        assert {r["contender"] for r in values(dots)} == {*order[place - 1 : place], *order[-1:]}
        assert dots["encoding"]["shape"]["scale"] == spec["layer"][1]["encoding"]["shape"]["scale"]
        assert "log, linear about 0" in dots["encoding"]["y"]["title"][1]


def test_the_rates_beneath_the_roof_are_in_a_table_too_and_who_has_none_is_named(
    published: Analysis,
    charts: dict[str, Any],
) -> None:
    [*_, dots] = layers(charts["roofline"], "point")
    assert "comparison" in {tip["field"] for tip in dots["encoding"]["tooltip"]}
    table = page.beneath(published)
    in_table = {(row["label"], name, rate) for row in table for name, rate in row["rates"].items()}
    assert in_table == {(r["comparison"], r["contender"], r["Gflop/s"]) for r in values(dots)}
    assert [row["per_byte"] for row in table] == sorted(row["per_byte"] for row in table)
    idle = [marks.label(c) for c in published.comparisons if not c.cost["flops"]]
    assert idle == ["relu_64x56x56 b16 infer"]
    assert f"What has no arithmetic to count is left out: {idle[0]}." in page.render(published)


def test_ticks_reach_as_far_as_an_axis_that_shows_them() -> None:
    """The finest are taken wherever a chart is wide, and not only where its ends are near."""
    for rung in marks.RUNGS[:-1]:
        assert rung[0] <= 0.5 and rung[-1] >= 2 and list(rung) == sorted(rung)


def test_rows_are_in_a_chart_once(charts: dict[str, Any]) -> None:
    for name in ("ratios", "calls", "roof", "start-0"):
        inner = [row for layer in charts[name]["layer"] if "data" in layer for row in values(layer)]
        assert not [row for row in inner if row in values(charts[name])]
