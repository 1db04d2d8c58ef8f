"""Claims about two runs side by side: drift is set aside, and what cannot be told is not."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import Wrong
from harness.record import records
from harness.stats import statistics
from harness.stats.changes import Change
from reports import words
from reports.pages import compare_page, machines_page, template
from reports.runs import compare as comparing
from reports.runs import machines, moves
from reports.runs.compare import compare
from tests.conftest import Typed
from tests.support.synthetic import add, edit_groups, of_spread, on_a_gpu, write_run
from tests.support.two import BOTH, SPEEDS, compared, elsewhere, pair, versions


def test_a_machine_that_is_slower_by_half_changes_nothing(tmp_path: Path) -> None:
    found = compared(*pair(tmp_path, {}, drift=1.5))
    assert found.anchor is not None
    assert {change.verdict for change in found.changes} == {"tie"}
    assert {change.verdict for change in found.overall} == {"tie"}


def test_what_one_of_two_runs_had_no_room_for_is_compared_by_the_rest(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {})
    gone = "resnet18@112/b4/train/float32/cpu"
    [path] = new.glob("records-*.jsonl")
    kept = [line for line in path.read_text().splitlines() if gone not in line]
    path.write_text("".join(f"{line}\n" for line in kept))
    add(new, {"kind": "event", "what": "budget", "reason": "no room", "left": [gone]})
    assert records.read(new).unbegun == {gone}
    found = compared(old, new)
    assert {c.verdict for c in found.overall} == {"tie"}
    assert gone not in {change.comparison for change in found.changes}
    told = ["resnet18@112 b4 train is not compared: the second run had no room for it."]
    assert found.unmeasured == told
    assert told[0] in compare_page.render(found)


def test_who_became_slower_is_named_in_every_comparison_and_overall(tmp_path: Path) -> None:
    found = compared(*pair(tmp_path, {"jax": 1.5 * 1.2}, drift=0.8), anchor="torch")
    slower = {c.contender for c in found.changes if c.verdict == "materially_slower"}
    assert slower == {"jax"}
    assert all(1.15 < c.ratio < 1.25 for c in found.changes if c.contender == "jax")
    [overall] = [c for c in found.overall if c.contender == "jax"]
    assert overall.low < 1.2 < overall.high and overall.verdict == "materially_slower"
    assert "the same in both runs, of 8: 4 slower, 4 stayed; by a margin of 3%" in found.sentence


def test_the_anchor_is_one_whose_version_stayed(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {"torch": 0.9})
    for folder, version in ((old, "2.12"), (new, "2.13")):
        versions(folder, torch=version, jax="0.10", tensorflow=version)
    found = compared(old, new)
    assert found.anchor == "jax"
    assert "torch: 2.12 → 2.13" in found.differences
    assert found.command is not None and "torch@2.12,torch@2.13" in found.command
    assert {c.verdict for c in found.changes if c.contender == "torch"} == {"materially_faster"}


def test_the_anchor_is_one_that_was_measured_everywhere(tmp_path: Path) -> None:
    """One that does not train lets every training go unheard, in however many launches it is."""
    speeds = {"jax": 1.0, "onnxruntime": 1.0, "torch": 1.5}
    for name, factor in (("old", 1.0), ("new", 1.2)):
        folder = write_run(tmp_path / name, speeds | {"torch": 1.5 * factor}, launches=12)

        def fewer(group: dict[str, Any]) -> bool:
            if group["direction"] == "train":
                del group["turns"]["onnxruntime"]
            elif group["launch"] > 6:
                del group["turns"]["jax"]
            return True

        edit_groups(folder, fewer)
        versions(folder, torch="2.12" if name == "old" else "2.13")
    found = compared(tmp_path / "old", tmp_path / "new")
    assert found.anchor == "jax"
    slower = [c.comparison for c in found.changes if c.verdict == "materially_slower"]
    assert any("/train/" in place for place in slower)


@pytest.mark.parametrize("name", SPEEDS)
def test_who_alone_became_slower_is_no_anchor(tmp_path: Path, name: str) -> None:
    """Else the others would be called faster: of three with their old versions, most decide."""
    found = compared(*pair(tmp_path, {name: SPEEDS[name] * 1.3}, drift=1.2))
    assert found.anchor != name
    assert {c.contender for c in found.changes if c.verdict != "tie"} == {name}
    assert {c.verdict for c in found.changes if c.contender == name} == {"materially_slower"}


def test_who_left_early_is_judged_by_the_wider_interval(tmp_path: Path) -> None:
    """Far behind in both runs: three launches of each tell a half more, not a tenth of a tenth."""
    for by, verdict in ((1.5, "materially_slower"), (1.01, "inconclusive")):
        old, new = pair(tmp_path / verdict, {"tensorflow": 1.2 * by})
        for folder in (old, new):
            edit_groups(folder, lambda group: group["launch"] <= 3)
            with (folder / "records-000.jsonl").open("a") as file:
                for comparison in json.loads((folder / "plan.json").read_text())["comparisons"]:
                    for name in ("tensorflow", "jax"):
                        event = {
                            "kind": "event",
                            "schema": 1,
                            "what": "settled",
                            "reason": "behind",
                        }
                        event |= {"comparison": comparison["id"], "contender": name}
                        file.write(f"{json.dumps(event)}\n")
        rows = [
            c for c in compared(old, new, anchor="torch").changes if c.contender == "tensorflow"
        ]
        assert {c.confidence for c in rows} == {0.999}
        # A gate is told what it could not have seen.
        found = compared(old, new, anchor="torch")
        ends = [c.high for c in found.changes if c.verdict == "inconclusive"]
        told = "with an interval a slowdown of" in found.sentence
        assert told == bool(ends) and (verdict != "inconclusive" or ends)
        widest = f"nor one of {100 * (max(ends, default=1) - 1):.2g}% in the widest ("
        assert (widest in found.sentence) == told
        assert verdict in {c.verdict for c in rows} <= {verdict, "tie"}


def test_another_version_under_another_name_is_told_and_how_to_compare_it(
    typed: Typed, tmp_path: Path
) -> None:
    """`torch` then, `torch@2.12` now: a gate that compared the rest alone would seem to pass."""
    old = write_run(tmp_path / "old", SPEEDS)
    new = write_run(tmp_path / "new", {"jax": 1.5, "tensorflow": 1.2, "torch@2.12": 1.0})
    versions(old, torch="2.13.0+cpu")
    versions(new, **{"torch@2.12": "2.12.0+cu130"})
    found = compared(old, new)
    assert found.alone_old == ["torch 2.13.0+cpu"] and found.alone_new == [
        "torch@2.12 2.12.0+cu130"
    ]
    assert found.command is not None
    setup, _, run = found.command.partition(" && ")
    assert setup == "bakeoff setup --device cpu torch@2.13.0 torch@2.12.0"  # no index has +cu130
    assert "--contenders torch@2.13.0,torch@2.12.0" in run
    assert "Only in the first: torch 2.13.0+cpu" in typed(*BOTH, COLUMNS="160").stdout
    assert "first: torch 2.13.0+cpu" in compare_page.render(found)


def test_where_versions_are_no_releases_there_is_no_command(tmp_path: Path) -> None:
    """Of a hash of sources, and of builds of one release, no index has any."""
    old, new = pair(tmp_path, {})
    for folder, own, build in ((old, "a31fc97d", "2.13.0+cpu"), (new, "b52f", "2.13.0+cu130")):
        versions(folder, jax=own, torch=build)
    assert compared(old, new).command is None


def test_in_eighty_columns_no_figure_is_cut(typed: Typed, tmp_path: Path) -> None:
    for name, after in (("old", 1.1), ("new", 1.3)):
        write_run(tmp_path / name, {**SPEEDS, "torch:compile-max-autotune": after})
    told = typed(*BOTH, "--anchor", "torch", COLUMNS="80").stdout
    assert "launches" in told and told.count("6, 6") == 12 + 3


def test_in_eighty_columns_the_usual_names_stay_whole(typed: Typed, tmp_path: Path) -> None:
    for name in ("old", "new"):
        write_run(tmp_path / name, {**SPEEDS, "tensorflow:xla": 1.3})
    told = typed(*BOTH, "--anchor", "torch", COLUMNS="80").stdout
    assert told.count("tensorflow:xla ") == 4 + 1 and told.count("6, 6") == 12 + 3


def test_a_page_of_two_runs_and_one_of_machines_are_two_files(tmp_path: Path) -> None:
    old, new = (records.read(folder) for folder in pair(tmp_path, {}))
    changes = compare(old, new, None, statistics.MARGIN)
    places = {template.place(old.name, new.name), compare_page.place(changes)}
    assert len(places) == 2
    assert "2 runs of one machine" in machines_page.render(machines.gather([old, new]))


def test_without_an_anchor_nothing_is_said_but_how_to_find_out(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {})
    for folder, version in ((old, "1"), (new, "2")):
        versions(folder, torch=version, jax=version, tensorflow=version)
    found = compared(old, new)
    assert found.anchor is None and not found.changes
    assert "Only a fresh measurement" in found.sentence
    assert found.command is not None and "&& bakeoff run --suite quick" in found.command


def test_a_run_beside_itself_is_refused(tmp_path: Path) -> None:
    """A gate would always pass."""
    old, _ = pair(tmp_path, {})
    with pytest.raises(Wrong, match="named twice"):
        compared(old, old)
    with pytest.raises(Wrong, match="is a copy of"):
        compared(old, shutil.copytree(old, tmp_path / "copied"))


def test_a_few_launches_are_a_screening_and_fail_nothing(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {"jax": 3.0})
    edit_groups(new, lambda group: group["launch"] <= 4)
    assert {c.verdict for c in compared(old, new, anchor="torch").changes} == {"screening"}


def test_after_a_single_launch_nothing_is_compared_and_json_holds(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {"jax": 3.0})
    edit_groups(new, lambda group: group["launch"] == 1)
    found = compared(old, new, anchor="torch")
    assert found.changes == found.overall == []


def test_what_only_one_run_holds_is_listed(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {})
    plan = json.loads((new / "plan.json").read_text())
    gone = plan["comparisons"].pop(0)["id"]
    (new / "plan.json").write_text(json.dumps(plan))
    assert compared(old, new).only_old == [gone]


def test_one_of_many_that_moves_by_chance_is_not_material(tmp_path: Path) -> None:
    """What would be material alone (p of 0.8%) is not, of forty that were looked at."""
    many = [(f"w{i}", "micro", 32, None, "infer", False) for i in range(20)]
    old = write_run(tmp_path / "old", SPEEDS, workloads=many)
    new = write_run(tmp_path / "new", SPEEDS, workloads=many)

    def moved(group: dict[str, Any]) -> bool:
        by = 1.25 * math.exp(0.1 * (-1) ** group["launch"]) if "w3/" in group["comparison"] else 1.0
        for turn in group["turns"]["jax"]:
            turn["calls"] = [int(by * call) for call in turn["calls"]]
            turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(new, moved)
    [change] = [c for c in compared(old, new, anchor="torch").changes if c.ratio > 1.2]
    assert change.low > 1.03 and change.verdict == "perhaps_slower" and change.p > 0.05


def test_costs_stand_in_the_terminal_too_and_page_and_json_exclude_each_other(
    typed: Typed, tmp_path: Path
) -> None:
    pair(tmp_path, {})
    told = typed(*BOTH, "--price", "old=3.6", "--price", "new=1.8", COLUMNS="160").stdout
    assert "cost of a million items" in told and "0.500" in told
    assert typed(*BOTH, "--html", "--json", COLUMNS="160").returncode == 2


def test_json_holds_every_change(typed: Typed, tmp_path: Path) -> None:
    pair(tmp_path, {"jax": 1.8})
    told = json.loads(typed(*BOTH, "--json", COLUMNS="160").stdout)
    assert len(told["changes"]) == 8
    assert all(math.isfinite(change["low"]) for change in told["changes"])


def test_two_machines_are_compared_by_the_clock_as_well(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {"jax": 1.5 * 1.2}, drift=0.5)
    assert not compared(old, new, anchor="torch").clocked
    elsewhere(new, cpu="Another processor")
    found = compared(old, new, anchor="torch")
    assert found.two_machines and found.sentence.startswith("Two machines: on the second, 12 of 12")
    torch = [c for c in found.clocked if c.contender == "torch"]
    assert len(torch) == 4 + 1 and all(c.low < 0.5 < c.high or c.ratio < 0.51 for c in torch)
    assert {c.verdict for c in found.clocked} == {"materially_faster"}
    assert {c.verdict for c in found.changes if c.contender == "jax"} == {"materially_slower"}


def test_a_gpu_of_another_number_does_the_same_work(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {})
    for path in (new / "plan.json", *new.glob("records-*.jsonl")):
        path.write_text(path.read_text().replace("/float32/cpu", "/float32/cuda:1"))
    plan = json.loads((new / "plan.json").read_text())
    for comparison in plan["comparisons"]:
        comparison["device"] = "cuda:1"
    (new / "plan.json").write_text(json.dumps(plan))
    found = compared(old, new, anchor="torch")
    assert len(found.changes) == 8 and not found.only_old and not found.only_new


def test_a_million_items_cost_the_price_of_the_hours_they_take(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {}, drift=0.5)
    found = compared(old, new, prices=(3.6, 1.8))
    [cost] = [c for c in found.costs if c.contender == "torch" and c.comparison.startswith("relu")]
    assert cost.old == pytest.approx(0.001 * 0.01 / 32 * 1e6, rel=0.02)  # 10 ms for 32 items
    assert cost.new == pytest.approx((cost.old or 0) / 4, rel=0.02)
    assert cost.ratio == pytest.approx(0.25, rel=0.02)
    assert cost.low is not None and cost.high is not None and cost.low < 0.25 < cost.high
    # What is paid for is all of a call, and not the quicker quarter that latency is told by.
    single = "resnet18@224/b1/infer/float32/cpu"
    rounds = records.read(old).times(single, "throughput")["torch"].values()
    seconds = np.exp(np.mean([np.mean(each) for each in rounds]))
    [cost] = [c for c in found.costs if (c.contender, c.comparison) == ("torch", single)]
    assert cost.old == pytest.approx(0.001 * seconds * 1e6, rel=0.01)
    one = compared(old, new, prices=(None, 1.8)).costs[0]
    assert one.old is None and one.ratio is None and one.new is not None


def test_the_page_says_the_sentence_first_and_every_change_in_a_table(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {"jax": 1.5 * 1.2})
    found = compared(old, new, anchor="torch", prices=(3.6, 1.8))
    text = compare_page.render(found)
    assert found.sentence in text.partition("<table")[0]
    assert text.count('<tr><th scope="row">') == len(found.changes) + len(found.overall) + len(
        found.clocked
    ) + len(found.costs)
    assert 'data-place="chart-changes"' in text and 'data-place="chart-clocked"' in text


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--html", "--output", "page.html", "--price", "old=3.5"], 0, "page.html"),
        (["--price", "other=3.5"], 2, "expected such as old=3.50"),
        (["--price", "old=cheap"], 2, "expected such as old=3.50"),
        (["--output", "page.html"], 2, "needs --html"),
    ],
)
def test_the_door_to_the_page(
    typed: Typed,
    tmp_path: Path,
    options: list[str],
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair(tmp_path, {})
    monkeypatch.chdir(tmp_path)
    told = typed(*BOTH, *options)
    assert told.returncode == status, told.stderr
    assert words in told.stdout + told.stderr
    assert (tmp_path / "page.html").exists() == (status == 0)


def test_where_both_trained_without_a_pause_that_is_compared(tmp_path: Path) -> None:
    """In short turns, at clocks that a GPU does not keep, nothing changed."""
    steady = {"torch": 1.0, "jax": 1.5, "tensorflow": 1.2, "torch#2": 1.0}
    old, new = pair(tmp_path, {})
    on_a_gpu(old, sustained=steady)
    on_a_gpu(new, sustained=steady | {"jax": 1.8})
    slower = [c for c in compared(old, new, anchor="torch").changes if c.verdict != "tie"]
    assert {(c.contender, c.comparison.split("/")[2]) for c in slower} == {("jax", "train")}
    assert {round(c.ratio, 2) for c in slower} == {1.2}


def test_bounds_of_which_little_is_known_stay_short() -> None:
    told = [words.end(value) for value in (1e-9, 0.95, 1.0, 4e22)]
    assert told == ["<0.001", "0.950", "1.000", ">1000"]


def test_runs_of_one_launch_each_are_told_to_measure_longer(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", SPEEDS, launches=1)
    new = write_run(tmp_path / "new", SPEEDS | {"jax": 1.6}, launches=1)
    told = compared(old, new, anchor="torch").sentence
    assert told.startswith("Cannot compare: apart from torch")
    assert told.endswith("has two launches in both runs; measure with a larger --budget.")


def test_over_all_comparisons_the_wider_interval_holds_where_one_of_them_was_left_early() -> None:
    old, new = (dict(enumerate(at + of_spread(0.01, 3))) for at in (0.0, 1.0))
    found = [("relu", [old, new], True), ("resnet20", [old, new], False)]
    versions: dict[str, str | None] = {"jax": "1"}
    each, [over] = moves.changes(
        "jax", versions, versions, found, statistics.MARGIN, {"relu", "resnet20"}
    )
    assert [(c.verdict, c.confidence) for c in each] == [
        ("materially_slower", 0.999),
        ("screening", 0.95),
    ]
    assert over.confidence == 0.999 and over.ratio == pytest.approx(math.e)


def _clocked(**logs: float) -> dict[str, dict[int, np.ndarray]]:
    return {name: {k: np.full(2, log) for k in range(1, 7)} for name, log in logs.items()}


def test_of_three_the_one_that_the_clock_moved_alone_is_no_anchor_and_of_two_either_may_be() -> (
    None
):
    three = [[_clocked(a=0.0, b=1.0, c=2.0), _clocked(a=0.5, b=1.1, c=2.11)]]
    assert moves.typical(three, ["a", "b", "c"], statistics.MARGIN) == ["b", "c"]
    two = [[_clocked(a=0.0, b=1.0), _clocked(a=0.5, b=1.1)]]
    assert moves.typical(two, ["a", "b"], statistics.MARGIN) == ["a", "b"]
    missed = [[_clocked(a=0.0, b=1.0, c=2.0) | {"d": {}}, _clocked(a=0.5, b=1.1, c=2.11, d=9.0)]]
    assert moves.typical(missed, ["a", "b", "c", "d"], statistics.MARGIN) == ["b", "c"]


def test_what_a_gate_could_not_have_seen_is_a_slowdown_and_all_that_is_open_is_counted() -> None:
    change = Change("a", "torch", "1", "1", 0.7, 0.5, 0.9, "screening", 1.0, (3, 3))
    assert comparing._unseen([change]) == " 1 of 1 pairs is open."
    wide = replace(change, contender="jax", high=1.3)
    bare = replace(change, low=0.0, high=math.inf)
    told = comparing._unseen([wide, bare, replace(change, verdict="tie")])
    assert told.startswith(" 2 of 3 pairs are open: in half of those with an interval a slow")
    assert told.endswith(" 30% in the widest (jax in a).")
    assert comparing._unseen([replace(change, verdict="materially_slower")]) == ""
