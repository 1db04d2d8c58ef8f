"""Claims about several machines on one page: each speaks for itself, and none is ranked."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Wrong
from harness.paths import ROOT
from harness.record import records
from reports.choice import profiles
from reports.pages import machines_page
from reports.runs import alike, machines, several
from tests.support.synthetic import edit_groups, write_run


@pytest.fixture
def runs(tmp_path: Path) -> list[records.Run]:
    """The second machine is twice as fast, and there jax is the better one."""
    write_run(tmp_path / "here", {"torch": 1.0, "jax": 1.3, "numpy": 5.0})
    there = write_run(tmp_path / "there", {"torch": 0.5, "jax": 0.4, "tensorflow": 0.9})
    path = there / "environment.json"
    path.write_text(path.read_text().replace("A processor", "Another processor"))
    return [records.read(tmp_path / name) for name in ("here", "there")]


def test_each_machine_names_its_own_winner(runs: list[records.Run]) -> None:
    found = machines.gather(runs)
    assert "Training throughput: torch on here, jax on there" in found.sentence
    choices = found.uses["Training throughput"]
    assert [choice.choice for choice in choices] == ["torch", "jax"]


def test_two_profiles_of_one_title_are_refused(runs: list[records.Run], tmp_path: Path) -> None:
    """A page of several runs has one line for a title: the first of the two would be lost."""
    files = []
    for name, measure in (("one", "throughput"), ("two", "latency")):
        files.append(str(tmp_path / f"{name}.toml"))
        text = f'title = "Mine"\n[[objective]]\nmeasure = "{measure}"\nweight = 1\n'
        Path(files[-1]).write_text(text)
    with pytest.raises(Wrong, match="two profiles have the title 'Mine'; give one of them another"):
        machines.gather(runs, chosen=profiles.load(files))
    assert list(machines.gather(runs, chosen=profiles.load(files[:1])).uses) == ["Mine"]


def test_where_no_run_names_a_winner_one_sentence_says_so(tmp_path: Path) -> None:
    speeds = {"torch": 1.0, "jax": 1.0}
    both = [write_run(tmp_path / n, s, 3) for n, s in (("a", speeds), ("b", speeds | {"jax": 1.3}))]
    (tmp_path / "b" / "environment.json").write_text(
        (tmp_path / "b" / "environment.json").read_text().replace("A processor", "Another")
    )
    found = machines.gather([records.read(folder) for folder in both])
    assert found.sentence == "None of the machines names a winner."


def test_all_ratios_are_to_one_anchor_within_a_machine(runs: list[records.Run]) -> None:
    found = machines.gather(runs, "torch")
    for place, contenders in found.places.items():
        assert {m: round(p.ratio, 6) for m, p in contenders["torch"].items()} == {
            "here": 1.0,
            "there": 1.0,
        }
        assert contenders["jax"]["here"].ratio == pytest.approx(1.3, rel=0.02)
        assert contenders["jax"]["there"].ratio == pytest.approx(0.8, rel=0.02), place
        assert list(contenders["tensorflow"]) == ["there"]
        assert contenders["jax"]["here"].verdict == "materially_slower"


def test_a_ratio_has_the_verdict_of_its_runs_own_page() -> None:
    """Launches that fall into modes too, of which the published runs have some."""
    published = ROOT / "results/published"
    runs = [records.read(published / name) for name in ("quick-2core", "quick-2core-2")]
    found = machines.gather(runs, "torch")
    seen = set()
    for machine in found.machines:
        for comparison in machine.analysis.comparisons:
            for contender, on in found.places[comparison.id].items():
                own = comparison.ratio(contender, "torch")
                if own is not None and contender != "torch":
                    its = on[machine.name]
                    assert its.verdict == own.verdict and its.low == pytest.approx(own.low)
                    seen.add(own.verdict)
    assert {"multimodal", "materially_slower", "materially_faster"} <= seen


def test_no_figure_of_the_page_relates_two_machines(runs: list[records.Run]) -> None:
    text = machines_page.render(machines.gather(runs, "torch"))
    assert "Nothing on this page ranks one machine against another" in text
    assert "1.00x" in text and "0.50x" not in text  # torch there over torch here
    for what in ("kernel", "governor", "turbo", "hypervisor"):
        assert f'<th scope="row">{what}</th>' in text


def test_work_that_only_one_machine_did_is_left_out_of_the_table(tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"torch": 1.0, "jax": 2.0})
    write_run(tmp_path / "b", {"torch": 1.0, "jax": 2.0}, workloads=[
        ("relu", "micro", 32, None, "infer", False)
    ])  # fmt: skip
    found = machines.gather([records.read(tmp_path / name) for name in ("a", "b")])
    assert list(found.places) == ["relu/b32/infer/float32/cpu"]
    assert [choice is None for choice in found.uses["Training throughput"]] == [False, True]
    assert "resnet20/b32/infer/float32" in found.partly
    assert "Not of all runs, and so not here: 3 comparisons" in machines_page.render(found)


def test_one_name_of_a_processor_may_be_two_machines(tmp_path: Path) -> None:
    """A virtual machine's is called by its family alone. Old records do not tell."""
    found = []
    for name, told in (("old", None), ("new", "avx avx2"), ("other", "avx avx2 avx512f")):
        path = write_run(tmp_path / name) / "environment.json"
        document = json.loads(path.read_text())
        document["machine"] |= {"instructions": told} if told else {}
        path.write_text(json.dumps(document))
        found.append(records.read(path.parent))
    old, new, other = found
    assert several.one_machine([old, new]) and several.one_machine([old, other])
    assert not several.one_machine([old, new, other])
    assert "the machine's instructions: avx avx2 → avx avx2 avx512f" in alike.around(new, other)


def test_the_published_runs_of_two_processors_of_one_name_are_no_replicates() -> None:
    """The older one tells its instruction sets only by what PyTorch found there."""
    published = ROOT / "results/published"
    runs = [records.read(published / name) for name in ("quick-2core", "quick-avx2")]
    assert not several.one_machine(runs) and several.one_machine([runs[0]])


def test_two_versions_may_call_one_processor_by_two_names(tmp_path: Path) -> None:
    """As one that knows of a newer instruction set does."""
    found = []
    for name, version, told in (("a", "2.5", "SVE256"), ("b", "2.6", "DEFAULT"), ("c", "2.6", "X")):
        path = write_run(tmp_path / name) / "environment.json"
        document = json.loads(path.read_text())
        manifest = {"version": version, "cpu_capability": told}
        document.setdefault("contenders", {})["torch"] = {"manifest": manifest}
        path.write_text(json.dumps(document))
        found.append(records.read(path.parent))
    assert several.one_machine(found[:2]) and not several.one_machine(found)


def test_two_machines_may_have_called_their_runs_the_same(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name / "quick", {"torch": 1.0, "jax": 2.0}) for name in "ab"]
    found = machines.gather([records.read(folder) for folder in folders])
    assert [machine.name for machine in found.machines] == ["quick", "quick (2)"]


def test_without_a_common_contender_there_is_a_page_and_no_anchor(tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"torch": 1.0, "jax": 2.0})
    write_run(tmp_path / "b", {"numpy": 1.0, "tensorflow": 2.0})
    runs = [records.read(tmp_path / name) for name in ("a", "b")]
    found = machines.gather(runs)
    assert found.anchor is None and not found.places
    assert "there is no anchor" in machines_page.render(found)
    with pytest.raises(Wrong, match="not in all runs"):
        machines.gather(runs, "torch")


def test_a_machine_without_a_record_is_shown_as_such(tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"torch": 1.0, "jax": 2.0})
    write_run(tmp_path / "b", {"torch": 1.0, "jax": 2.0}, launches=0)
    few = write_run(tmp_path / "c", {"torch": 1.0, "jax": 2.0})
    edit_groups(few, lambda group: group["launch"] == 1)
    machines_page.render(machines.gather([records.read(tmp_path / n) for n in ("a", "b", "c")]))


def _busy(group: dict[str, Any]) -> bool:
    group["machine"]["foreign_cpu_share"] = 0.4
    return True


def test_a_busy_machine_has_ratios_and_no_verdict(runs: list[records.Run]) -> None:
    edit_groups(runs[0].folder, _busy)
    found = machines.gather([records.read(run.folder) for run in runs], "torch")
    for contenders in found.places.values():
        assert contenders["jax"]["here"].verdict == "screening"
        assert contenders["jax"]["there"].verdict == "materially_faster"


def test_who_left_one_comparison_early_is_judged_by_that_there_alone(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "here", {"torch": 1.0, "jax": 8.0})
    edit_groups(folder, lambda group: group["launch"] <= 4)
    net, other = (c["id"] for c in records.read(folder).plan["comparisons"][1:3])
    left = {"comparison": net, "contender": "jax", "reason": "far behind"}
    records.Writer(folder).write("event", what="settled", **left)
    found = machines.gather([records.read(folder)], "torch")
    assert found.places[net]["jax"]["here"].verdict == "materially_slower"
    assert found.places[other]["jax"]["here"].verdict == "screening"


def test_a_run_of_several_numbers_of_threads_shares_the_one_that_another_has(
    tmp_path: Path,
) -> None:
    """The other's ids say nothing of threads: its settings do."""
    net = ("resnet20", "convnet", 32, None, "infer", False)
    both = [(*net, "float32", n) for n in (1, 2)]
    runs = [
        records.read(write_run(tmp_path / name, {"torch": 1.0, "jax": 1.3}, workloads=works))
        for name, works in (("two", [net]), ("each", both))
    ]
    [shared] = several.comparisons(runs)  # of runs of two threads, and of one and two
    assert [c["id"] for c in shared] == [
        "resnet20/b32/infer/float32/cpu", "resnet20/b32/infer/float32/2t/cpu"
    ]  # fmt: skip
    assert several.partly(runs) == ["resnet20/b32/infer/float32/1t"]
    assert machines.gather(runs).places["resnet20/b32/infer/float32/cpu"]["jax"].keys() == {
        "two", "each"
    }  # fmt: skip


def test_a_run_on_one_thread_and_one_on_two_numbers_differ_in_nothing_that_they_share(
    tmp_path: Path,
) -> None:
    """What they share was on one thread in both, though each was greeted with its most."""
    net = ("resnet20", "convnet", 32, None, "infer", False)
    folders = [
        write_run(tmp_path / name, {"torch": 1.0, "jax": 1.3}, workloads=works)
        for name, works in (("one", [net]), ("each", [(*net, "float32", n) for n in (1, 2)]))
    ]
    plan = json.loads((folders[0] / "plan.json").read_text())
    plan["settings"] |= {"threads": 1, "cpus": [0]}
    (folders[0] / "plan.json").write_text(json.dumps(plan))
    for folder, count in zip(folders, (1, 2), strict=True):
        document = json.loads((folder / "environment.json").read_text())
        for seen in document["contenders"].values():
            seen["manifest"]["threads"] = count
        (folder / "environment.json").write_text(json.dumps(document))
    one, each = (records.read(folder) for folder in folders)
    assert alike.differences(one, each) == []
    assert alike.unchanged(one, each) == {"torch", "jax"}
    two = records.read(write_run(tmp_path / "two", {"torch": 1.0, "jax": 1.3}, workloads=[net]))
    assert "threads: 1 → 2" in alike.around(one, two)


def test_a_proved_tie_on_one_machine_is_told_as_it_is_on_its_own_page() -> None:
    names = ("quick-avx2", "quick-xeon-25m")
    found = machines.gather([records.read(ROOT / "results" / "published" / n) for n in names])
    tie = "Training throughput: torch, torch:compile or tensorflow (a tie) on quick-xeon-25m"
    assert tie in found.sentence
