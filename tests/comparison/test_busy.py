"""Claims about a machine that others used as well: where they did, nobody is named."""

from pathlib import Path
from typing import Any

import pytest

from harness.record import records
from harness.stats import busy, statistics
from reports.comparison import unnamed
from reports.runs.compare import compare
from reports.verdicts import analyse
from tests.support.synthetic import edit_groups, write_run


def test_a_busy_machine_names_nobody_and_says_why(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")

    def busy(group: dict[str, Any]) -> bool:
        group["machine"]["foreign_cpu_share"] = 0.4
        return True

    edit_groups(folder, busy)
    analysis = analyse(records.read(folder))
    assert any("40%" in reason for reason in analysis.screening)
    assert {c.winner for c in analysis.comparisons} == {None}


def test_a_machine_that_was_busy_in_one_comparison_names_nobody_there(tmp_path: Path) -> None:
    """In four of its six launches: of all launches that is one in six."""
    folder = write_run(tmp_path / "run")

    def busy(group: dict[str, Any]) -> bool:
        if group["comparison"].startswith("resnet20") and group["launch"] > 2:
            group["machine"]["foreign_cpu_share"] = 0.4
        return True

    quiet = analyse(records.read(folder))
    edit_groups(folder, busy)
    analysis = analyse(records.read(folder))
    for before, comparison in zip(quiet.comparisons, analysis.comparisons, strict=True):
        loud = comparison.workload == "resnet20"
        assert before.winner and comparison.winner == (None if loud else before.winner)
        assert comparison.why.startswith("Nobody is named: the machine was busy") == loud
    assert any("busy while resnet20 b32 infer was" in reason for reason in analysis.screening)
    for choice in analysis.recommendations:
        rests = any("resnet20" in comparison for comparison in choice.comparisons)
        part = choice.lost >= 0.5  # a slow call's, of which no launch holds a hundred
        assert (choice.verdict == "screening") == (rests or part), choice.title
    assert len({c.verdict == "screening" for c in analysis.recommendations}) == 2


def test_what_a_use_only_weighs_on_disk_may_have_been_measured_on_a_busy_machine(
    tmp_path: Path,
) -> None:
    """Deployment weighs what everybody installs, wherever it was measured, and trains nothing."""
    folder = write_run(tmp_path / "run")

    def busy(group: dict[str, Any]) -> bool:
        if group["direction"] == "train":
            group["machine"]["foreign_cpu_share"] = 0.4
        return True

    edit_groups(folder, busy)
    chosen = {c.title: c for c in analyse(records.read(folder)).recommendations}
    assert chosen["Training throughput"].unnamed == "the machine was busy"
    assert chosen["Training throughput"].choice is None
    assert chosen["CPU-only deployment"].unnamed == ""
    assert chosen["CPU-only deployment"].choice


def test_too_little_that_was_measured_comes_before_a_busy_machine_and_that_before_no_room() -> None:
    assert unnamed.reason(True, ["jax"], 0.6) == "60% of what is weighed was not measured"
    assert unnamed.reason(True, ["jax"], 1 / 3) == "the machine was busy"
    assert unnamed.reason(False, ["jax", "numpy"]) == "jax and numpy had no room beside the others"
    assert unnamed.reason(False, []) == ""


def test_several_runs_have_each_reason_with_the_runs_that_have_it() -> None:
    said = {"a": "the machine was busy", "b": "", "c": "the machine was busy", "d": "it was late"}
    assert unnamed.over(said) == "in a and c the machine was busy; in d it was late"
    assert unnamed.over(dict.fromkeys("ab", "it was late")) == "in every run it was late"
    assert unnamed.over({"a": "", "b": ""}) == ""


def test_of_two_runs_one_of_which_was_disturbed_in_one_comparison_the_others_are_judged(
    tmp_path: Path,
) -> None:
    """That one is open, and so is all together."""
    old, new = (write_run(tmp_path / name) for name in ("old", "new"))

    def slower(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["jax"]:
            turn["calls"] = [3 * call for call in turn["calls"]]
            turn["total_ns"] *= 3
        if group["comparison"].startswith("resnet20"):
            group["machine"]["foreign_cpu_share"] = 0.4
        return True

    edit_groups(new, slower)
    found = compare(records.read(old), records.read(new), "torch", statistics.MARGIN)
    for change in [*found.changes, *found.overall]:
        if change.contender == "jax":
            loud = not change.comparison or change.comparison.startswith("resnet20")
            assert change.verdict == ("screening" if loud else "materially_slower"), change
    assert "Nothing is concluded" not in found.sentence


@pytest.mark.parametrize(
    ("load", "told"),
    [
        ({"foreign_cpu_share": 0.11}, "other processes"),
        ({"foreign_cpu_share": 0.09}, None),
        ({"steal_share": 0.06}, "hypervisor"),  # half as much as of other processes
        ({"steal_share": 0.04}, None),
        ({"foreign_gpu_processes": 1}, "on the GPU"),
        ({"foreign_gpu_processes": 0, "steal_share": None}, None),
    ],
)
def test_a_load_makes_a_screening_where_more_than_half_of_the_launches_had_it(
    load: dict[str, Any], told: str | None
) -> None:
    quiet: dict[str, Any] = {"foreign_cpu_share": 0.0, "steal_share": 0.0}
    for loaded in range(7):
        groups = [{"machine": quiet | (load if n < loaded else {})} for n in range(6)]
        reasons = busy.throughout(groups)
        assert bool(reasons) == (told is not None and loaded > 3), (loaded, reasons)
        assert all(told is not None and told in reason for reason in reasons)
    assert (busy.why(quiet | load) is not None) == (told is not None)
