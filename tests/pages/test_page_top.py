"""Claims about what the page says of its choices, and of what each contender ran with."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from harness.record import records
from reports.analysis import Analysis
from reports.choice.objectives import MEASURES
from reports.pages import page
from reports.runs import machines
from reports.verdicts import analyse
from tests.support.parsed import made
from tests.support.synthetic import edit_cells, edit_groups, write_run

LOOKS = ("first_result", "peak_memory")  # measured once, and not the same each time


def text_of(folder: Path) -> str:
    """What the page of a run says, its white space as a reader sees it."""
    return re.sub(r"\s+", " ", made(folder).text)


def manifests(folder: Path, **changed: dict[str, Any]) -> Analysis:
    path = folder / "environment.json"
    seen = json.loads(path.read_text())
    for name, more in changed.items():
        seen["contenders"][name.replace("_", ":")]["manifest"] |= more
    path.write_text(json.dumps(seen))
    return analyse(records.read(folder))


def test_who_is_out_is_named_beside_the_choice_it_would_have_been(tmp_path: Path) -> None:
    out = {("resnet20", "jax"): ("oom", "no room")}
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 0.5}, failures=out)
    top = text_of(folder).partition("What if there is a limit")[0]
    assert top.count("out: jax (why)") >= 2  # of all that ask for throughput
    assert "out: torch" not in top


def test_a_warning_about_a_leader_is_linked_beside_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0})
    analysis = analyse(records.read(folder))
    batch = next(r for r in analysis.recommendations if r.profile == "batch-inference")
    before = page.concerning(analysis, batch)

    def switched(group: dict[str, Any]) -> bool:
        for name in ("torch", "jax"):
            for turn in group["turns"][name]:
                turn |= {"wall_ns": turn["total_ns"], "involuntary_switches": 10**6}
        return True

    edit_groups(folder, switched)
    analysis = analyse(records.read(folder))
    batch = next(r for r in analysis.recommendations if r.profile == "batch-inference")
    assert page.concerning(analysis, batch) == before  # its own threads did it: a note, no warning
    assert "Notes: good to know" in text_of(folder)
    edit_groups(folder, lambda group: group.update(machine={}) is None)
    analysis = analyse(records.read(folder))
    batch = next(r for r in analysis.recommendations if r.profile == "batch-inference")
    more = [each for each in page.concerning(analysis, batch) if each not in before]
    assert [each["contenders"] for each in more] == [["torch"]]  # who leads, and not its rival
    assert "1 warning" in text_of(folder).partition("What if there is a limit")[0]


def test_the_workloads_and_contenders_of_the_choices_are_explained_there(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "torch:compile": 2.0})
    names = text_of(folder).partition("What the names mean")[2].partition("These verdicts")[0]
    assert "torch:compiletorch, compile" in names
    assert "resnet20 as a test has it; a batch of 32" in names
    assert "relu as a test has it" not in names  # no choice rests on it


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({}, False),
        ({"torch_compile": {"options": "fast"}}, True),  # its own default does not say
        ({"torch": {"options": "a"}, "torch_compile": {"options": "a"}}, False),  # jax has none
        ({"torch": {"options": "a"}, "jax": {"options": "b"}}, True),
    ],
)
def test_of_one_framework_a_variant_that_does_not_say_differs_from_one_that_does(
    tmp_path: Path, changed: dict[str, dict[str, Any]], differs: bool
) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "torch:compile": 2.0, "jax": 1.0})
    rows = page.rows_of_manifest(manifests(folder, **changed))
    found = {row["key"]: row["differs"] for row in rows}
    assert found.get("options", False) == differs
    assert not found["layout"]


def test_what_the_harness_gives_to_every_worker_is_the_same_for_who_does_not_tell(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.0, "numpy": 2.0})
    told = {"allocator": "MALLOC_TRIM_THRESHOLD_=1"}
    rows = page.rows_of_manifest(manifests(folder, torch=told, jax=told))
    [row] = [row for row in rows if row["key"] == "allocator"]
    assert row["values"] == ["MALLOC_TRIM_THRESHOLD_=1"] * 3 and not row["differs"]
    rows = page.rows_of_manifest(manifests(folder, jax={"allocator": "default"}))
    [row] = [row for row in rows if row["key"] == "allocator"]
    assert row["values"][2] is None and row["differs"]


def test_no_setting_stands_there_twice_under_one_name(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.0})
    path = folder / "environment.json"
    seen = json.loads(path.read_text())
    seen["machine"] |= {"python": "3.13.1", "threads_used": 2}
    path.write_text(json.dumps(seen))
    whole = page.render(analyse(records.read(folder)))
    its = re.findall(r"<dt>([^<]*)</dt>", whole.partition("<h3>The machine</h3>")[2])
    assert len(its) == len({*its}) and {"python", "environments", "threads used"} <= {*its}
    assert "threads" not in its


def test_how_far_a_single_look_is_trusted_is_told_as_it_is_used(tmp_path: Path) -> None:
    text = text_of(write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0}))
    told = [f"{MEASURES[m].title} to {math.expm1(MEASURES[m].allowance or 0):.0%}" for m in LOOKS]
    assert f"how far one look is trusted ({told[0]} and {told[1]})" in text


def test_what_a_choice_of_several_wishes_wins_and_loses_on_stands_in_its_row(
    tmp_path: Path,
) -> None:
    """torch is faster; jax, whose peak of memory is a tenth, is chosen where memory weighs most."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.5})
    edit_cells(folder, "jax", memory={"peak_rss_bytes": 4 * 10**7})
    found = {choice.profile: choice for choice in analyse(records.read(folder)).recommendations}
    assert found["small-memory"].ranking[0]["contender"] == "jax"
    balance = found["small-memory"].balance
    assert balance == "90% less memory (70%), but 50% more time per call (30%)"
    assert balance in text_of(folder).partition("What if there is a limit")[0]
    assert found["batch-inference"].balance == ""  # one objective: its ratio says it


def test_who_had_no_room_beside_the_others_and_had_it_alone_is_told_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0})

    def full(group: dict[str, Any]) -> bool:
        if group["comparison"].startswith("resnet18@224"):
            del group["turns"]["jax"]
            group["statuses"]["jax"] = {"status": "oom", "reason": "no memory"}
        return True

    edit_groups(folder, full)
    analysis = analyse(records.read(folder))
    cell = analysis.comparison("resnet18@224/b1/infer/float32/cpu").cell("jax")
    assert cell.status == "oom"
    assert cell.reason == (
        "no memory (beside the others; alone, in the cold pass, it had room: name fewer with "
        "--contenders)"
    )
    assert cell.crowded


def test_where_somebody_had_no_room_beside_the_others_nobody_is_named(tmp_path: Path) -> None:
    """Who came first had it. Who has none alone has failed, and says nothing of the others."""
    told = {}
    for where, status in (("steady", "oom"), ("cold", "oom"), ("steady", "crash")):
        speeds = {"torch": 1.0, "jax": 0.5, "numpy": 5.0}
        made = []
        for number in range(6):
            folder = write_run(tmp_path / f"{where}-{status}-{number}", speeds)

            def full(group: dict[str, Any], status: str = status) -> bool:
                if "/train/" in group["comparison"]:
                    del group["turns"]["jax"]
                    group["statuses"]["jax"] = {"status": status, "reason": "no memory"}
                return True

            edit_groups(folder, full)
            if where == "cold":
                _fail_cold(folder, "jax")
            made.append(records.read(folder))
        analysis = analyse(made[0])
        [training] = [c for c in analysis.comparisons if c.direction == "train"]
        use = next(r for r in analysis.recommendations if r.title == "Training throughput")
        over = machines.gather(made, "torch").over["Training throughput"]
        assert over is not None
        told[where, status] = training.winner, use.choice, over.choice
        if (where, status) == ("steady", "oom"):
            assert training.why.startswith(
                "Nobody is named: jax had no room beside the others. torch takes"
            )
            assert "not proven (jax had no room beside the others)" in use.sentence
            assert "not proven (in every run jax had no room beside the others)" in over.sentence
    assert told == {
        ("steady", "oom"): (None, None, None),
        ("cold", "oom"): ("torch",) * 3,
        ("steady", "crash"): ("torch",) * 3,
    }


def test_a_twin_that_had_no_room_is_nobodys_rival(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0})

    def full(group: dict[str, Any]) -> bool:
        del group["turns"]["torch#2"]
        group["statuses"]["torch#2"] = {"status": "oom", "reason": "no memory"}
        return True

    edit_groups(folder, full)
    analysis = analyse(records.read(folder))
    assert {c.cell("torch#2").status for c in analysis.comparisons} == {"oom"}
    assert {c.winner for c in analysis.comparisons} == {"torch"}


def _fail_cold(folder: Path, contender: str) -> None:
    """It had no memory when it was alone, either."""
    [path] = folder.glob("records-*.jsonl")
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for record in found:
        if record["kind"] != "cell" or record["contender"] != contender:
            continue
        if record["pass"] != "steady" and "/train/" in record["comparison"]:
            record |= {"status": "oom", "reason": "no memory"}
    path.write_text("".join(f"{json.dumps(record)}\n" for record in found))


def test_a_cell_of_the_map_that_left_early_says_over_how_many_launches(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0})

    def gone(group: dict[str, Any]) -> bool:
        if group["launch"] > 4:
            del group["turns"]["jax"]
        return True

    edit_groups(folder, gone)
    assert "4 launches" in text_of(folder).partition("Every contender in every")[2]
