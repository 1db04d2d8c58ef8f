"""Claims about what another precision changes, or more threads, on runs whose truth is known."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from harness.record import records
from reports import terminal
from reports.analysis import Analysis
from reports.charts import every
from reports.comparison.conditions import Change
from reports.exports import table, verdicts
from reports.pages import page
from reports.verdicts import analyse
from tests.support.synthetic import WORKLOADS, edit_groups, write_run

PLAIN = WORKLOADS[1:3]
BOTH = (*PLAIN, *((*each, "bfloat16") for each in PLAIN))
FURTHER = [(f"net{n}", "convnet", 8, None, "infer", False) for n in range(4)]
OTHERS = (*FURTHER, *((*each, "bfloat16") for each in FURTHER))
SPEEDS = {"torch": 1.0, "jax": 1.3}


def _analysed(folder: Path, *arguments: Any, **options: Any) -> Analysis:
    return analyse(records.read(write_run(folder / "run", *arguments, workloads=BOTH, **options)))


def _own(analysis: Analysis, contender: str, workload: str) -> Change:
    [found] = [
        change
        for change in analysis.precisions.own
        if change.contender == contender and change.comparison.startswith(workload)
    ]
    return found


def test_a_precision_is_held_against_the_same_work_in_float32(tmp_path: Path) -> None:
    found = _analysed(tmp_path, SPEEDS).precisions
    assert [(c.contender, c.comparison) for c in found.own] == [
        (name, f"{work}/bfloat16/cpu")
        for work in ("resnet18@224/b1/infer", "resnet20/b32/infer")
        for name in SPEEDS
    ]
    for change in found.own:
        assert change.ratio == pytest.approx(0.5, abs=0.01)
        assert change.low is not None and change.high is not None
        assert change.low < 0.5 < change.high
        assert (change.verdict, change.launches) == ("materially_faster", 6)
    assert [(m.contender, m.precision, m.workloads) for m in found.means] == [
        ("torch", "bfloat16", 2), ("jax", "bfloat16", 2)
    ]  # fmt: skip
    assert all(mean.ratio == pytest.approx(0.5, abs=0.01) for mean in found.means)


def test_who_leads_is_held_against_who_leads_in_float32(tmp_path: Path) -> None:
    """jax gains more than torch does: it leads in bfloat16."""
    folder = write_run(tmp_path / "run", SPEEDS, workloads=BOTH)

    def faster(group: dict[str, Any]) -> bool:
        if group["precision"] == "bfloat16":
            _scale(group, "jax", 0.5)
        return True

    edit_groups(folder, faster)
    found = analyse(records.read(folder)).precisions
    assert [(c.contender, c.of) for c in found.leaders] == [("jax", "torch")] * 2
    assert all(c.ratio == pytest.approx(0.25 * 1.3, abs=0.01) for c in found.leaders)


def test_what_a_launch_is_fast_or_slow_by_cancels(tmp_path: Path) -> None:
    """They differ by tens of percent, in both precisions alike."""
    folder = write_run(tmp_path / "run", SPEEDS, workloads=BOTH)
    luck = np.random.default_rng(3).normal(0, 0.3, 7)

    def lucky(group: dict[str, Any]) -> bool:
        _scale(group, "torch", float(np.exp(luck[group["launch"]])))
        return True

    edit_groups(folder, lucky)
    change = _own(analyse(records.read(folder)), "torch", "resnet20")
    assert change.low is not None and change.high is not None
    assert change.high / change.low < 1.04
    assert change.low < 0.5 < change.high


def test_who_is_wrong_in_one_of_the_two_has_no_change_there(tmp_path: Path) -> None:
    failures = {("resnet20", "jax"): ("wrong", "output: 0.3 off")}
    found = _analysed(tmp_path, SPEEDS, failures=failures).precisions
    assert [c.contender for c in found.own if c.comparison.startswith("resnet20")] == ["torch"]
    assert [(m.contender, m.workloads) for m in found.means] == [("torch", 2), ("jax", 1)]


def test_a_busy_machine_and_few_launches_claim_nothing(tmp_path: Path) -> None:
    few = _analysed(tmp_path, SPEEDS, launches=3)
    assert {c.verdict for c in few.precisions.own} == {"screening"}

    def loud(group: dict[str, Any]) -> bool:
        group["machine"]["foreign_cpu_share"] = 0.4
        return True

    folder = write_run(tmp_path / "loud", SPEEDS, workloads=BOTH)
    edit_groups(folder, loud)
    found = analyse(records.read(folder)).precisions
    assert {each.verdict for each in (*found.own, *found.leaders, *found.means)} == {"screening"}


def test_who_left_early_has_a_wider_interval(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", SPEEDS, workloads=BOTH)
    plain = "resnet20/b32/infer/float32/cpu"

    def left(group: dict[str, Any]) -> bool:
        if group["comparison"] == plain and group["launch"] > 4:
            del group["turns"]["jax"]
        return True

    edit_groups(folder, left)
    told = {"comparison": plain, "contender": "jax", "reason": "far behind"}
    records.Writer(folder).write("event", what="settled", **told)
    analysis = analyse(records.read(folder))
    jax, torch = (_own(analysis, name, "resnet20") for name in ("jax", "torch"))
    assert (jax.launches, jax.confidence) == (4, 0.999)
    assert (torch.launches, torch.confidence) == (6, 0.95)
    assert jax.low is not None and torch.low is not None and jax.low < torch.low


def test_a_use_is_told_in_float32_first_and_in_another_precision_by_its_name(
    tmp_path: Path,
) -> None:
    found = [c.title for c in _analysed(tmp_path, SPEEDS).recommendations]
    uses = found[::2]
    assert "Batch inference" in uses and len(uses) > 2
    assert found == [title for use in uses for title in (use, f"{use} (bfloat16)")]


@pytest.mark.parametrize("workloads", [PLAIN, BOTH[2:]])
def test_of_one_precision_alone_nothing_is_said(tmp_path: Path, workloads: Any) -> None:
    folder = write_run(tmp_path / "run", SPEEDS, workloads=workloads)
    analysis = analyse(records.read(folder))
    found = analysis.precisions
    assert not (found.own or found.leaders or found.means)
    assert "precisions" not in every.specs(analysis)
    assert 'id="precisions"' not in page.render(analysis)


def test_modes_of_one_workload_leave_that_open_and_not_a_mean_that_they_do_not_move(
    tmp_path: Path,
) -> None:
    """Half of its launches take four times as long in resnet20, in bfloat16: it may be no gain."""
    folder = write_run(tmp_path / "run", SPEEDS, launches=8, workloads=(*BOTH, *OTHERS))

    def slow(group: dict[str, Any]) -> bool:
        if group["comparison"].startswith("resnet20") and group["launch"] % 2:
            _scale(group, "torch", 2.5 if group["precision"] == "bfloat16" else 1.0)
        return True

    edit_groups(folder, slow)
    analysis = analyse(records.read(folder))
    assert _own(analysis, "torch", "resnet20").verdict == "multimodal"
    [mean] = [m for m in analysis.precisions.means if m.contender == "torch"]
    assert (mean.verdict, mean.workloads) == ("materially_faster", 6)


def test_where_one_alone_was_measured_without_a_pause_both_are_compared_by_their_turns(
    tmp_path: Path,
) -> None:
    train = ("net", "convnet", 8, None, "train", False)
    works = (train, (*train, "bfloat16"))
    folder = write_run(tmp_path / "run", SPEEDS, workloads=works)
    path = folder / "plan.json"
    plan = json.loads(path.read_text())
    plan["comparisons"][0]["sustained_s"] = 30.0
    path.write_text(json.dumps(plan))

    def blocks(group: dict[str, Any]) -> bool:
        if group["precision"] == "float32":
            block = {"calls": 100, "total_ns": 10**12, "turns": 10, "made": 110, "settle_s": 7.0}
            group["sustained"] = {name: block | {"wall_s": 30.0} for name in SPEEDS}
        return True

    edit_groups(folder, blocks)
    analysis = analyse(records.read(folder))
    assert [c.by for c in analysis.comparisons] == ["sustained", "throughput"]
    assert [c.ratio for c in analysis.precisions.own] == [pytest.approx(0.5, abs=0.01)] * 2


def test_who_has_one_precision_and_not_another_has_a_gap(tmp_path: Path) -> None:
    """numpy computes in no bfloat16: the table has a hole there, and stays."""
    works = (*BOTH, *((*each, "tf32") for each in PLAIN))
    folder = write_run(tmp_path / "run", {**SPEEDS, "numpy": 9.0}, workloads=works)

    def without(group: dict[str, Any]) -> bool:
        if group["precision"] == "bfloat16":
            del group["turns"]["numpy"]
            group["statuses"]["numpy"] = {"status": "unsupported", "reason": "no bfloat16"}
        return True

    edit_groups(folder, without)
    analysis = analyse(records.read(folder))
    means = [(m.contender, m.precision) for m in analysis.precisions.means]
    assert means == [
        ("torch", "bfloat16"), ("torch", "tf32"), ("jax", "bfloat16"), ("jax", "tf32"),
        ("numpy", "tf32"),
    ]  # fmt: skip
    table = page.render(analysis).partition(', over all workloads" class="snug"')[2]
    rows = table.partition("</table>")[0].split("<tr")[2:]
    assert [("<td" in row, row.count(">-</td>")) for row in rows] == [
        (True, 0), (True, 0), (True, 1)
    ]  # fmt: skip
    terminal.render(analysis, Console(file=StringIO()))


def test_the_page_and_the_terminal_show_it(tmp_path: Path) -> None:
    analysis = _analysed(tmp_path, SPEEDS)
    html = page.render(analysis)
    assert 'href="#precisions"' in html and 'id="chart-precisions"' in html
    assert "bfloat16 / float32" in html
    console = Console(file=StringIO(), width=120)
    terminal.render(analysis, console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "bfloat16: 2 workloads" in told and "resnet20 b32 infer bfloat16" in told


def _threaded(folder: Path, speedups: dict[str, float], *more: tuple[Any, ...]) -> Path:
    """A run on one thread and on two: a contender's time on two is its speedup's part."""
    works = [(*each, "float32", n) for each in PLAIN for n in (1, 2)]
    folder = write_run(folder, SPEEDS, workloads=[*works, *more])

    def faster(group: dict[str, Any]) -> bool:
        for name, speedup in speedups.items():
            if "/2t/" in group["comparison"]:
                _scale(group, name, 1 / speedup)
        return True

    edit_groups(folder, faster)
    return folder


def test_threads_are_held_against_the_same_work_on_the_fewest(tmp_path: Path) -> None:
    """jax, behind on one thread, is ahead on two: torch gains nothing from the second."""
    analysis = analyse(records.read(_threaded(tmp_path / "run", {"torch": 1.0, "jax": 2.0})))
    found = analysis.scaling
    assert not analysis.precisions.any
    assert (found.plain, analysis.threads) == ("1 thread", [1, 2])
    means = {m.contender: (m.told, m.threads, round(m.ratio, 1), m.verdict) for m in found.means}
    assert means["jax"] == ("2 threads", 2, 0.5, "materially_faster")
    assert means["torch"][:3] == ("2 threads", 2, 1.0)
    assert {(c.contender, c.of) for c in found.leaders} == {("jax", "torch")}
    assert all(c.ratio == pytest.approx(0.65, abs=0.02) for c in found.leaders)


def test_a_use_is_told_by_its_number_of_threads_the_most_first(tmp_path: Path) -> None:
    analysis = analyse(records.read(_threaded(tmp_path / "run", {"torch": 1.0, "jax": 2.0})))
    batches = [r for r in analysis.recommendations if r.profile == "batch-inference"]
    assert [(r.title, r.threads, r.choice) for r in batches] == [
        ("Batch inference (2 threads)", 2, "jax"), ("Batch inference (1 thread)", 1, "torch")
    ]  # fmt: skip
    assert any("on 1 thread" in flip and "torch" in flip for flip in batches[0].flips)


def test_only_the_work_on_as_many_threads_as_were_probed_has_a_roof(tmp_path: Path) -> None:
    analysis = analyse(records.read(_threaded(tmp_path / "run", {"torch": 2.0})))
    roofed = {c.threads for c in analysis.comparisons if c.floor_seconds}
    assert roofed == {2}


def test_a_precision_is_held_against_float32_on_as_many_threads(tmp_path: Path) -> None:
    more = [(*each, "bfloat16", n) for each in PLAIN for n in (1, 2)]
    analysis = analyse(records.read(_threaded(tmp_path / "run", {"torch": 1.6}, *more)))
    told = [m.told for m in analysis.precisions.means if m.contender == "torch"]
    assert told == ["bfloat16, 1 thread", "bfloat16, 2 threads"]
    assert all(m.ratio == pytest.approx(0.5, abs=0.01) for m in analysis.precisions.means)
    told = [m.told for m in analysis.scaling.means if m.contender == "torch"]
    assert told == ["2 threads, float32", "2 threads, bfloat16"]


def test_the_command_that_measures_threads_again_names_them(tmp_path: Path) -> None:
    analysis = analyse(records.read(_threaded(tmp_path / "run", {})))
    assert ["--threads 1" in c.command for c in analysis.comparisons] == [True, False] * 2
    assert ["--threads 2" in c.command for c in analysis.comparisons] == [False, True] * 2


def test_the_page_the_terminal_and_the_exports_tell_of_threads(tmp_path: Path) -> None:
    analysis = analyse(records.read(_threaded(tmp_path / "run", {"torch": 1.6})))
    html = page.render(analysis)
    assert 'href="#scaling"' in html and 'id="chart-scaling"' in html
    assert "2 threads / 1 thread" in html and 'id="chart-throughput-threads-0"' in html
    assert "A processor, 1 and 2 threads" in html
    console = Console(file=StringIO(), width=120)
    terminal.render(analysis, console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "2 threads: 2 workloads" in told and "Low-latency serving (1 thread)" in told
    assert {row["threads"] for row in table.rows(analysis)} == {1, 2}
    document = json.loads(verdicts.text(analysis))
    assert document["scaling"]["plain"] == "1 thread"
    assert [c["threads"] for c in document["comparisons"]] == [1, 2, 1, 2]


def test_what_made_room_for_the_rest_is_in_no_mean(tmp_path: Path) -> None:
    """It has one launch, and a mean is of the launches that hold all of it."""
    folder = _threaded(tmp_path / "run", {"torch": 1.6})
    gone = "resnet20/b32/infer/float32/2t/cpu"
    edit_groups(folder, lambda group: group["comparison"] != gone or group["launch"] == 1)
    before = {m.contender: m for m in analyse(records.read(folder)).scaling.means}
    assert (before["torch"].launches, before["torch"].verdict) == (1, "screening")
    [path] = folder.glob("records-*.jsonl")
    event = {"schema": 1, "kind": "event", "what": "budget", "reason": "no time", "left": [gone]}
    path.write_text(f"{path.read_text()}{json.dumps(event)}\n")
    means = {m.contender: m for m in analyse(records.read(folder)).scaling.means}
    mean = means["torch"]
    assert (mean.launches, mean.workloads, mean.verdict) == (6, 1, "materially_faster")


def test_a_run_on_as_many_threads_everywhere_says_nothing_of_them(tmp_path: Path) -> None:
    analysis = _analysed(tmp_path, SPEEDS)
    assert not analysis.scaling.any and analysis.threads == [2]
    assert 'id="scaling"' not in page.render(analysis)


def _scale(group: dict[str, Any], contender: str, factor: float) -> None:
    for turn in group["turns"].get(contender, []):
        turn["calls"] = [int(call * factor) for call in turn["calls"]]
        turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
