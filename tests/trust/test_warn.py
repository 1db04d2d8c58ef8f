"""Warnings: what a run's events and launches say to the page's reader."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.record import records
from harness.stats import busy
from reports import words
from reports.analysis import short
from reports.pages import page
from reports.trust import interference, warn
from reports.verdicts import analyse
from tests.support.synthetic import edit_cells, edit_groups, write_run

SPENT = {"what": "budget", "reason": "3 of 6 launches fit into 60 s"}
BUSY = {"what": "busy", "reason": "a load of 2.1 on 2 processors"}
RESUMED = {"what": "resumed", "reason": "after 4 launches"}


@pytest.mark.parametrize(
    "events, told",
    [
        ([BUSY, SPENT], [BUSY, SPENT]),
        ([BUSY, SPENT, RESUMED], [BUSY]),  # it had launches that were resumed beside that load
        ([SPENT, RESUMED, RESUMED, SPENT], [SPENT]),
        ([], []),
    ],
)
def test_a_budget_that_was_spent_is_told_until_the_run_is_resumed(
    events: list[dict[str, Any]], told: list[dict[str, Any]]
) -> None:
    shown = warn._events(SimpleNamespace(events=events, plan={"comparisons": []}))  # type: ignore[arg-type]
    assert [warning["what"] for warning in shown] == [event["reason"] for event in told]


def test_an_engine_whose_model_was_built_within_its_peak_is_warned_of(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "openvino": 0.5})

    def told() -> list[str]:
        found = warn.warnings(records.read(folder), analyse(records.read(folder)).comparisons)
        return [name for each in found if each["where"] == "memory" for name in each["contenders"]]

    assert told() == []  # torch trains, and so it is for all that anybody says of the other
    plan = json.loads((folder / "plan.json").read_text())
    for contender in plan["contenders"]:
        contender["trains"] = False
        contender["variant"] = "" if contender["name"] == "openvino" else "compile-freezing"
    (folder / "plan.json").write_text(json.dumps(plan))
    assert told() == ["openvino"]
    known = {"peak_rss_bytes": 4 * 10**8, "load_rss_bytes": 10**8}
    edit_cells(folder, "openvino", memory=known)
    assert told() == []


def test_compilers_that_take_memory_beside_a_process_are_told(tmp_path: Path) -> None:
    """The process's own peak holds none of them; a little beside it is not worth a word."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "torch:compile": 0.9})
    for name, beside in (("torch", 10**7), ("torch:compile", 7 * 10**8)):
        edit_cells(folder, name, memory={"peak_rss_bytes": 4 * 10**8, "kin_bytes": beside})
    analysis = analyse(records.read(folder))
    [told] = [each for each in analysis.warnings if "processes of their own" in each["what"]]
    assert told["contenders"] == ["torch:compile"] and "up to 700 MB beside it" in told["what"]
    assert "beside it, its compilers" in page.render(analysis)


def slowed(folder: Path, who: set[str], by: float) -> list[dict[str, Any]]:
    """Of a run whose third launch some were slower in: the warnings about launches."""
    write_run(folder, {"torch": 1.0, "jax": 1.2, "numpy": 2.0, "tensorflow": 1.1})

    def slow(group: dict[str, Any]) -> bool:
        for name in who if group["launch"] == 3 else ():
            for turn in group["turns"][name]:
                turn["calls"] = [int(by * call) for call in turn["calls"]]
                turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(folder, slow)
    found = analyse(records.read(folder)).warnings
    return [each for each in found if each["where"].startswith("launch")]


def test_a_launch_that_was_slow_for_several_at_once_is_told_as_the_machines(tmp_path: Path) -> None:
    [warning] = slowed(tmp_path, {"jax", "numpy"}, 1.4)
    assert warning["where"] == "launch 3"
    assert "2 of 5 in resnet20 b32 infer" in warning["what"]
    assert "up to 1.4" in warning["what"]
    assert {*warning["contenders"]} == {"jax", "numpy"}
    assert len(warning["comparisons"]) == 4


@pytest.mark.parametrize(("who", "by"), [({"jax"}, 1.4), ({"jax", "numpy"}, 1.1), (set(), 1.0)])
def test_one_that_was_slow_alone_or_by_little_is_its_own_matter(
    tmp_path: Path, who: set[str], by: float
) -> None:
    assert slowed(tmp_path, who, by) == []


@pytest.mark.parametrize(
    ("loads", "told"),
    [
        ([("foreign_cpu_share", 0.4)] * 2 + [("steal_share", 0.3)] * 2, "4 of 6"),  # no median
        ([("foreign_cpu_share", 0.4)] * 4, None),  # then the run is a screening, and says so
        ([], None),
    ],
)
def test_launches_beside_a_load_are_told_where_the_run_is_no_screening_for_it(
    loads: list[tuple[str, float]], told: str | None
) -> None:
    quiet = {"foreign_cpu_share": 0.0, "steal_share": 0.0}
    groups = [
        {"comparison": "c", "launch": n, "machine": quiet | dict(loads[n : n + 1])}
        for n in range(6)
    ]
    run: Any = SimpleNamespace(groups=groups)
    found = [warning["what"] for warning in interference._load(run)]
    assert len(found) + bool(busy.throughout(groups)) == bool(loads)
    assert all(told is not None and told in what for what in found)


def test_launches_without_modes_have_no_slow_ones_to_explain() -> None:
    """The modes may be those of blocks without a pause."""
    turn = {"calls": [1000, 1000], "dropped": 0, "total_ns": 2000, "minor_faults": 20}
    assert interference._cause({n: [turn] for n in range(6)}, "throughput") == ""


@pytest.mark.parametrize(("loss", "told"), [(4.03, True), (4.6100001, False), (None, False)])
def test_losses_that_no_reference_was_computed_for_are_held_against_each_other(
    tmp_path: Path, loss: float | None, told: bool
) -> None:
    folder = write_run(tmp_path, {"torch": 1.0, "jax": 1.2, "numpy": 2.0})
    [path] = folder.glob("records-*.jsonl")
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for record in found:
        if record["kind"] == "cell" and "train" in record["comparison"]:
            check = {"quantity": "loss", "where": "", "error": 1e-7, "gate": 1e-5, "ok": True}
            record["oracle"]["checked"].append(check)
            record["oracle"]["loss"] = loss if record["contender"] == "jax" else 4.61
    path.write_text("".join(f"{json.dumps(record)}\n" for record in found))
    warned = [w for w in analyse(records.read(folder)).warnings if "losses" in w["what"]]
    assert [each["contenders"] for each in warned] == ([["jax"]] if told else [])


def test_a_draw_of_an_autotuner_whose_loss_is_off_is_told_whatever_the_others_are(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path, {"torch": 1.0, "jax": 1.2, "numpy": 2.0})
    trained = next(c for c in records.read(folder).plan["comparisons"] if c["direction"] == "train")
    [path] = folder.glob("records-*.jsonl")
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for record in [r for r in found if r["kind"] == "cell" and r["comparison"] == trained["id"]]:
        record["oracle"]["loss"] = 4.61
        if record["contender"] == "jax":
            draws = [{**record, "oracle": {"loss": loss}} for loss in (4.61, 4.03, 4.61)]
            found += [{**draw, "pass": "steady", "launch": n} for n, draw in enumerate(draws, 1)]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in found))
    [told] = [w for w in analyse(records.read(folder)).warnings if "losses" in w["what"]]
    assert told["contenders"] == ["jax"] and "jax 4.03" in told["what"]


def test_an_edit_that_was_taken_back_is_told_no_more() -> None:
    """Of a run that was gone on with since, it says nothing."""
    edited = {"what": "edited", "reason": "the code changed"}
    run: Any = SimpleNamespace(events=[edited], plan={"comparisons": []})
    assert len(warn._events(run)) == 1
    run.events = [edited, {"what": "resumed", "reason": ""}]
    assert not warn._events(run)


def test_what_happened_in_a_run_is_told_with_the_short_names(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    id_ = records.read(folder).plan["comparisons"][0]["id"]
    reason = f"{id_} had to leave after launch 1"
    [path] = folder.glob("records-*.jsonl")
    event = {"schema": 1, "kind": "event", "what": "budget", "reason": reason, "left": [id_]}
    path.write_text(path.read_text() + json.dumps(event) + "\n")
    told = [each["what"] for each in analyse(records.read(folder)).warnings]
    assert f"{short(id_)} had to leave after launch 1" in told and "/" not in short(id_)


@pytest.mark.parametrize(("count", "told"), [(2157.4, "2,160"), (212.0, "212"), (0.5411, "0.541")])
def test_a_count_is_told_as_a_person_writes_it(count: float, told: str) -> None:
    assert words.tally(count) == told


def counted(folder: Path, **counts: Any) -> list[dict[str, Any]]:
    """Of a run in whose every turn so much was counted of jax: what is warned of that."""

    def count(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["jax"]:
            turn |= {"wall_ns": turn["total_ns"], **counts}
        return True

    edit_groups(folder, count)
    found = analyse(records.read(folder)).warnings
    return [each for each in found if each["contenders"] == ["jax"]]


@pytest.mark.parametrize(
    ("allocator", "advice", "why"),
    [
        ("tuned", "", "glibc is told to keep its memory"),
        ("as-shipped", "compare with --allocator tuned", ""),
    ],
)
def test_of_page_faults_nobody_is_sent_to_where_they_are_more(
    tmp_path: Path, allocator: str, advice: str, why: str
) -> None:
    """What glibc does not keep when told to, it keeps no better as it is shipped."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.2})
    plan = json.loads((folder / "plan.json").read_text())
    plan["settings"]["allocator"] = allocator
    (folder / "plan.json").write_text(json.dumps(plan))
    [told] = counted(folder, minor_faults=10**4)
    assert told["advice"].startswith(advice) and "as-shipped" not in told["advice"]
    assert told["why"].startswith(why) and bool(told["why"]) != bool(told["advice"])
    sentence = r"its memory .* at every call, which takes about [\d,.]+% of its time in \S+ .*"
    assert re.fullmatch(sentence, told["what"])


def test_of_launches_beside_which_nobody_looked_nothing_is_said_of_other_programs(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.2})
    edit_groups(folder, lambda group: group.update(machine={}) is None)
    [told] = counted(folder, involuntary_switches=10**6)
    assert "took little" not in told["advice"] and told["advice"].startswith("close other programs")


@pytest.mark.parametrize(
    ("loaded", "own"),
    [(0, True), (2, True), (6, False)],  # launches, of six
)
def test_whose_threads_take_its_processors_is_told_by_the_launches_without_a_load(
    tmp_path: Path, loaded: int, own: bool
) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.2})

    def beside(group: dict[str, Any]) -> bool:
        group["machine"]["foreign_cpu_share"] = 0.3 if group["launch"] <= loaded else 0.01
        return True

    edit_groups(folder, beside)
    [told] = counted(folder, involuntary_switches=10**6)
    assert told["advice"].startswith("" if own else "close other programs")
    assert bool(told["why"]) == own and bool(told["advice"]) != own
    sentence = r"the system took its processor away [\d,]+ times a millisecond \(.*\) in "
    assert re.match(sentence, told["what"])
