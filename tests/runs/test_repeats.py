"""Claims about runs of one machine as replicates: what an hour does decides nothing by itself."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.record import records
from harness.stats import statistics
from reports.pages import machines_page
from reports.runs import machines, repeats, several
from tests.support.synthetic import add, edit_cells, edit_groups, on_a_gpu, write_run

TRAINING = "Training throughput"


def _runs(folder: Path, *speeds: float) -> list[records.Run]:
    """Runs of one machine, in which jax takes so many times as long as torch."""
    made = [
        write_run(folder / f"run{number}", {"torch": 1.0, "jax": speed, "numpy": 5.0})
        for number, speed in enumerate(speeds)
    ]
    return [records.read(path) for path in made]


def _repeated(folder: Path, *speeds: float) -> machines.Machines:
    return machines.gather(_runs(folder, *speeds), "torch")


def _edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


# --- ratios ---------------------------------------------------------------------------------------


def test_a_ratio_has_an_interval_over_runs(tmp_path: Path) -> None:
    found = _repeated(tmp_path, 1.2, 1.3, 1.4)
    jax = found.repeated[several.ALL]["jax"]
    assert jax.ratio == pytest.approx(1.3, rel=0.02) and jax.runs == 3
    assert jax.low < 1.2 and jax.high > 1.4  # t with two degrees
    assert jax.apart == pytest.approx(1.4 / 1.2, rel=0.01)
    assert "From run to run jax over torch in" in found.sentence
    assert "over all comparisons nobody by more than 17%." in found.sentence
    assert found.repeated[several.ALL]["numpy"].apart < 1.01
    assert "95%, 3 runs</small>" in machines_page.render(found)


def test_of_two_runs_both_figures_are_told(tmp_path: Path) -> None:
    found = _repeated(tmp_path, 1.2, 1.4)
    jax = found.repeated[several.ALL]["jax"]
    assert (jax.low, jax.high) == pytest.approx((1.2, 1.4), rel=0.02)
    assert "<small>both</small>" in machines_page.render(found)


def test_six_runs_have_verdicts_as_six_launches_have(tmp_path: Path) -> None:
    found = _repeated(tmp_path, 1.2, 1.22, 1.25, 1.21, 1.24, 1.2)
    assert found.repeated[several.ALL]["jax"].verdict == "materially_slower"
    assert "95%, 6 runs, materially slower</small>" in machines_page.render(found)


# --- choices --------------------------------------------------------------------------------------


def test_six_runs_that_say_the_same_decide(tmp_path: Path) -> None:
    found = _repeated(tmp_path, 1.2, 1.22, 1.25, 1.21, 1.24, 1.2)
    chosen = found.over[TRAINING]
    assert chosen and chosen.choice == "torch"
    assert chosen.sentence.startswith("Choose torch: it takes 0.82x the time of jax (95% interval")
    assert "6 runs; run by run 0.83x, 0.82x, 0.80x, 0.83x, 0.81x and 0.83x)" in chosen.sentence
    assert found.sentence.startswith("Over 6 runs, begun within 0 min. Decided: torch for")
    assert "takes 6 of them" not in found.sentence


def test_what_every_run_decides_for_itself_six_hours_may_undo(tmp_path: Path) -> None:
    found = _repeated(tmp_path, 0.85, 0.85, 0.85, 1.15, 1.15, 1.15)
    each = [choice.choice for choice in found.uses[TRAINING]]
    assert each == ["jax"] * 3 + ["torch"] * 3
    chosen = found.over[TRAINING]
    assert chosen and chosen.choice is None and chosen.lead.verdict == "inconclusive"
    assert "Open: another may be ahead. jax leads" in chosen.sentence
    assert "in 3 of 6" in chosen.sentence
    assert "Nothing is decided." in found.sentence


def test_three_runs_that_say_the_same_are_in_front_and_prove_nothing(tmp_path: Path) -> None:
    found = _repeated(tmp_path, 1.2, 1.22, 1.25)
    chosen = found.over[TRAINING]
    assert chosen and chosen.choice is None and chosen.lead.verdict == "screening"
    assert "torch leads, not proven (3 of 6 runs), ahead in all: it takes 0.82x" in chosen.sentence
    assert "To decide over runs takes 6 of them" in found.sentence


def test_what_differs_by_nothing_in_six_runs_is_a_tie(tmp_path: Path) -> None:
    chosen = _repeated(tmp_path, *[1.004] * 6).over[TRAINING]
    assert chosen and chosen.tied == ["torch", "jax"]
    assert chosen.sentence.startswith("A tie of torch, jax: they differ by less than 3%")


def test_who_is_not_told_apart_from_a_tie_is_named_in_the_headline_too(tmp_path: Path) -> None:
    made = [
        write_run(tmp_path / f"run{k}", {"torch": 1.0, "jax": 1.004, "numpy": speed})
        for k, speed in enumerate((1.0, 1.1, 0.98, 1.12, 1.0, 1.1))
    ]
    found = machines.gather([records.read(path) for path in made], "torch")
    chosen = found.over[TRAINING]
    assert chosen and (chosen.tied, chosen.untold) == (["torch", "jax"], ["numpy"])
    assert f"{TRAINING} (numpy not told apart yet)" in found.sentence


def _busy(group: dict[str, Any]) -> bool:
    group["machine"]["foreign_cpu_share"] = 0.4
    return True


def test_a_busy_hour_names_nobody(tmp_path: Path) -> None:
    runs = _runs(tmp_path, *[1.3] * 6)
    edit_groups(runs[2].folder, _busy)
    found = machines.gather([records.read(run.folder) for run in runs], "torch")
    chosen = found.over[TRAINING]
    assert chosen and chosen.choice is None
    assert "not proven (in run2 the machine was busy)" in chosen.sentence
    assert chosen.lead.verdict == "screening"
    assert {each.verdict for each in found.repeated[several.ALL].values()} == {"screening"}


def test_an_hour_that_was_busy_in_one_comparison_names_nobody_in_what_rests_on_it(
    tmp_path: Path,
) -> None:
    """In the others, and in the uses that do without it, the hour counts as any other."""
    runs = _runs(tmp_path, *[1.3] * 6)
    edit_groups(runs[2].folder, lambda group: "/train/" not in group["comparison"] or _busy(group))
    found = machines.gather([records.read(run.folder) for run in runs], "torch")
    training, batch = found.over[TRAINING], found.over["Batch inference"]
    assert training and "not proven (in run2 the machine was busy)" in training.sentence
    assert batch and batch.choice == "torch"
    for place, others in found.repeated.items():
        loud = place == several.ALL or "/train/" in place
        verdict = "screening" if loud else "materially_slower"
        assert {each.verdict for each in others.values()} == {verdict}, place


def test_weight_that_no_run_has_a_figure_for_is_told(tmp_path: Path) -> None:
    found = _repeated(tmp_path, *[1.3] * 6).over
    serving, training = found["Low-latency serving"], found[TRAINING]
    told = "50% of the weight (latency, p99) has no figure, and went to the rest."
    assert serving and serving.sentence.endswith(told)
    assert training and "has no figure" not in training.sentence


def test_six_runs_name_nobody_for_what_most_of_has_no_figure(tmp_path: Path) -> None:
    """As none of them does by itself."""
    runs = _runs(tmp_path, *[1.3] * 6)
    for run in runs:
        edit_cells(run.folder, "torch", memory={"peak_rss_bytes": 0})
    found = machines.gather([records.read(run.folder) for run in runs], "torch")
    memory = found.over["Small memory"]
    assert [choice.choice for choice in found.uses["Small memory"]] == [None] * 6
    assert memory and memory.choice is None
    assert "not proven (in every run 70% of what is weighed was not measured)" in memory.sentence


def test_runs_are_in_the_order_in_which_they_were_measured_however_they_are_named(
    tmp_path: Path,
) -> None:
    """The first six are a first stage, and a shell sorts run-10 before run-2."""
    runs = _runs(tmp_path, *[1.2] * 3)
    for number, run in enumerate(runs):
        created = f"2026-01-0{3 - number}T00:00:00+00:00"
        _edit(run.folder / "plan.json", lambda plan, at=created: plan.update(created=at))
    again = [records.read(run.folder) for run in runs]
    found = machines.gather(again, "torch")
    assert [machine.name for machine in found.machines] == ["run2", "run1", "run0"]


def test_a_mean_over_all_is_over_no_comparison_that_made_room(tmp_path: Path) -> None:
    runs = _runs(tmp_path, *[1.2] * 2)
    gone = runs[0].plan["comparisons"][0]["id"]

    def few(group: dict[str, Any]) -> bool:
        return group["comparison"] != gone or group["launch"] < 3

    edit_groups(runs[1].folder, few)
    before = machines.gather([records.read(run.folder) for run in runs], "torch")
    assert before.places[several.ALL]["jax"]["run1"].launches == 2
    add(runs[1].folder, {"kind": "event", "what": "budget", "reason": "no time", "left": [gone]})
    found = machines.gather([records.read(run.folder) for run in runs], "torch")
    assert found.places[several.ALL]["jax"]["run1"].launches == 6
    assert found.places[gone]["jax"]["run1"].launches == 2


def test_who_failed_in_one_run_is_left_out_of_all_and_named(tmp_path: Path) -> None:
    runs = _runs(tmp_path, 1.2, 1.2)
    speeds = {"torch": 1.0, "jax": 1.2, "numpy": 5.0}
    write_run(tmp_path / "bad", speeds, failures={("resnet18", "jax"): ("wrong", "off by 2")})
    found = machines.gather([*runs, records.read(tmp_path / "bad")], "torch")
    chosen = found.over[TRAINING]
    assert chosen and [row["contender"] for row in chosen.ranking] == ["torch", "numpy"]
    assert "Not in every run, or changed between them: jax." in chosen.sentence


# --- what is a replicate --------------------------------------------------------------------------


def test_another_version_is_no_replicate(tmp_path: Path) -> None:
    runs = _runs(tmp_path, 1.2, 1.4)
    _edit(
        runs[1].folder / "environment.json",
        lambda seen: seen["contenders"]["jax"]["manifest"].update(version="9"),
    )
    found = machines.gather([records.read(run.folder) for run in runs], "torch")
    assert "jax" not in found.repeated[several.ALL]
    chosen = found.over[TRAINING]
    assert chosen and "jax" not in {row["contender"] for row in chosen.ranking}


def test_runs_in_other_settings_are_no_replicates_and_the_page_says_why(tmp_path: Path) -> None:
    runs = _runs(tmp_path, 1.2, 1.2)
    _edit(runs[1].folder / "plan.json", lambda plan: plan["settings"].update(threads=1))
    found = machines.gather([records.read(run.folder) for run in runs], "torch")
    assert found.one and not found.repeated and not found.over
    assert found.sentence.startswith("General use: torch on all runs")
    text = machines_page.render(found)
    assert "These runs are not replicates" in text and "run1: threads: 2 → 1" in text
    assert "over the 2 runs" not in text


def test_other_work_under_one_name_decides_nothing_together(tmp_path: Path) -> None:
    runs = _runs(tmp_path, 1.2, 1.2)
    for number, run in enumerate(runs):
        _edit(run.folder / "plan.json", lambda plan, number=number: _redefine(plan, number))
    found = machines.gather([records.read(run.folder) for run in runs], "torch")
    assert found.over[TRAINING] is None and found.over["Low-latency serving"] is not None
    assert "the runs did not measure the same" in machines_page.render(found)


@pytest.mark.parametrize("key", ["sustained_s", "calls"])
def test_what_runs_ranked_by_unlike_figures_decides_nothing_together(
    tmp_path: Path, key: str
) -> None:
    """One trained without a pause, or in turns of a hundred calls, and the other did not."""
    runs = _runs(tmp_path, 1.2, 1.2)
    if key == "sustained_s":
        on_a_gpu(runs[0].folder)
        on_a_gpu(runs[1].folder, {"torch": 1.0, "torch#2": 1.0, "jax": 1.5, "numpy": 5.0})
    else:
        assert runs[1].plan["comparisons"][-1]["direction"] == "train"
        _edit(runs[1].folder / "plan.json", lambda plan: plan["comparisons"][-1].update(calls=100))
    found = machines.gather([records.read(run.folder) for run in runs], "torch")
    assert found.over[TRAINING] is None and found.over["Low-latency serving"] is not None
    assert len(found.repeated) == 3 and not any("/train/" in place for place in found.repeated)


def _redefine(plan: dict[str, Any], number: int) -> None:
    for comparison in plan["comparisons"]:
        if comparison["direction"] == "train":
            comparison["operations"] = f"hash {number}"


def test_two_machines_are_no_replicates(tmp_path: Path) -> None:
    runs = _runs(tmp_path, 1.2, 1.2)
    path = runs[1].folder / "environment.json"
    path.write_text(path.read_text().replace("A processor", "Another processor"))
    found = machines.gather([records.read(run.folder) for run in runs], "torch")
    assert not found.one and not found.repeated and not found.over and not found.unlike
    assert "From run to run" not in found.sentence


def _said(ratios: dict[str, float], weights: Sequence[tuple[str, float]]) -> Any:
    """A run's recommendation, of as much as is read of it."""
    objectives = [
        {"measure": measure, "of": None, "weight": weight, "once": False, "comparisons": ["a"]}
        for measure, weight in weights
    ]
    ranking = [{"contender": name, "ratio": ratio} for name, ratio in ratios.items()]
    return SimpleNamespace(
        of="time", objectives=objectives, ranking=ranking, comparisons=["a"], lost=0.0, lacking=[]
    )


def test_runs_that_weighed_other_things_do_not_add_up() -> None:
    """One could read no p99, and gave its weight to the rest."""
    whole = _said({"torch": 1.0, "jax": 1.2}, [("latency", 0.5), ("latency_p99", 0.5)])
    part = _said({"torch": 1.0, "jax": 1.2}, [("latency", 1.0)])
    both = {"torch", "jax"}
    assert repeats.choose("Serving", [whole, part], {"a"}, both) is None
    assert repeats.choose("Serving", [whole, None], {"a"}, both) is None
    assert repeats.choose("Serving", [whole, whole], {"a"}, {"torch"}) is None
    made = repeats.choose("Serving", [whole, whole], {"a"}, both)
    assert made and made.ranking[1]["each"] == pytest.approx([1.2, 1.2])


def test_scores_are_related_whoever_led_a_run() -> None:
    one = _said({"torch": 1.0, "jax": 2.0, "numpy": 4.0}, [("latency", 1.0)])
    two = _said({"jax": 1.0, "torch": 1.5, "numpy": 4.5}, [("latency", 1.0)])
    made = repeats.choose("Serving", [one, two], {"a"}, {"torch", "jax", "numpy"})
    assert made is not None
    by_name = {row["contender"]: row["each"] for row in made.ranking}
    assert made.ranking[0]["contender"] == "torch"  # 0.5 and 1.5 of jax
    assert by_name["jax"] == pytest.approx([2.0, 1 / 1.5])
    assert by_name["numpy"] == pytest.approx([4.0, 3.0])


def test_a_use_that_another_does_better_in_one_workload_says_so_over_all_runs() -> None:
    """As a single run's page does: a mean of workloads hides it."""
    said = _said({"torch": 1.0, "jax": 1.3}, [("throughput", 1.0)])
    said.comparisons = ["a", "b"]
    both, rng = {"torch", "jax"}, np.random.default_rng(1)
    times = {
        "a": {"torch": np.ones(6), "jax": 1.80 * np.exp(rng.normal(0, 0.01, 6))},
        "b": {"torch": np.ones(6), "jax": 0.95 * np.exp(rng.normal(0, 0.01, 6))},
    }
    made = repeats.choose("Training", [said] * 6, {"a", "b"}, both, times=times)
    assert made and made.choice == "torch"
    [there] = made.split
    assert (there["comparison"], there["leader"], there["proven"]) == ("b", "jax", True)
    assert "But on b it takes 1.05x jax's time." in made.sentence
    busy = repeats.choose("Training", [said] * 6, {"a", "b"}, both, "it was busy", times)
    assert busy and busy.split == []  # as nobody is chosen then


def test_runs_that_were_added_until_they_agree_keep_the_spread_of_the_first_six() -> None:
    """Else who looks again after each run decides sooner or later."""
    first = [1.16, 0.98, 1.18, 0.97, 1.17, 0.99]
    more = [*first, *[1.075] * 20]
    assert statistics.compare(np.log(more)).verdict == "materially_slower"
    assert repeats.repeat(more).verdict != "materially_slower"


def test_the_picture_shows_each_run_and_all_of_them(tmp_path: Path) -> None:
    found = _repeated(tmp_path, 1.2, 1.3, 1.4)
    rows = [row for row in machines_page._leads(found) if row["comparison"] == f"torch {TRAINING}"]
    assert [row["contender"] for row in rows] == ["run0", "run1", "run2", machines.OVER]
    each, over = rows[:3], rows[3]
    assert [row["ratio"] for row in each] == pytest.approx([1 / 1.2, 1 / 1.3, 1 / 1.4], rel=0.02)
    assert over["low"] < 1 / 1.4 and over["high"] > 1 / 1.2
    text = machines_page.render(found)
    assert 'id="chart-over"' in text and f"</i>{machines.OVER}</span>" in text
    anchor = f'<th scope="row">{found.anchor}</th><td class="n"><b>1.00x</b>'
    assert anchor in text and 'id="how"' in text
    rows = machines_page._rows(found, several.ALL)
    jax = [row["contender"] for row in rows if row["comparison"] == "jax over torch"]
    assert jax == ["run0", "run1", "run2", machines.OVER]


def test_of_a_tie_the_figures_are_of_those_who_tie(tmp_path: Path) -> None:
    """Another, of whom less is known, may be nearer to who leads."""
    made = [
        write_run(tmp_path / f"run{n}", {"torch": 1.0, "jax": 1.004, "numpy": speed})
        for n, speed in enumerate([0.94, 1.12, 0.94, 1.12, 0.95, 1.11])
    ]
    found = machines.gather([records.read(path) for path in made], "torch")
    chosen = found.over[TRAINING]
    assert chosen and chosen.tied == ["torch", "jax"] and chosen.rival == "jax"
    assert max(abs(ratio - 1) for ratio in chosen.each) < 0.02
    assert "(95% interval 0.994 to 0.994, 6 runs;" in chosen.sentence
    assert chosen.sentence.endswith("Not yet told apart from them: numpy.")


@pytest.mark.parametrize(
    ("begun", "told"),
    [
        (["2026-01-02T03:00:00+00:00", "2026-01-02T04:28:00+00:00"], ", begun within 88 min"),
        (["2026-01-02T23:00:00+00:00", "2026-01-03T04:00:00+00:00"], ", begun within 5 hours"),
        (["2026-01-08T03:00:00+00:00", "no time"], ""),
        (["2026-01-08T03:00:00+00:00", "2026-01-02T03:00:00"], ""),
        (["2026-01-08T03:00:00+00:00", "2026-01-02T03:00:00+00:00"], ", begun within 6 days"),
    ],
)
def test_how_far_apart_the_runs_were_is_told(begun: list[str], told: str) -> None:
    one = _said({"torch": 1.0, "jax": 1.2}, [("latency", 1.0)])
    made = repeats.choose("Serving", [one, one], {"a"}, {"torch", "jax"})
    assert repeats.answer({"Serving": made}, begun).startswith(f"Over 2 runs{told}.")


def test_runs_that_were_added_until_they_agree_choose_nobody_either() -> None:
    first = [1.16, 0.98, 1.18, 0.97, 1.17, 0.99]
    more = [*first, *[1.075] * 20]
    said = [_said({"torch": 1.0, "jax": ratio}, [("latency", 1.0)]) for ratio in more]
    made = repeats.choose("Serving", said, {"a"}, {"torch", "jax"})
    assert made and made.choice is None and made.ranking[0]["contender"] == "torch"
    found = repeats.repeat(more)
    wide = statistics.t_interval(np.log(more), first_stage=6)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx(wide)
    assert wide != pytest.approx(statistics.t_interval(np.log(more)))


def test_where_a_comparison_lacks_one_of_them_the_others_are_divided_all_the_same() -> None:
    said = _said({"torch": 1.0, "jax": 1.3}, [("throughput", 1.0)])
    said.comparisons = ["a", "b", "c"]
    times = {
        "a": {"torch": [1.0, 1.0], "jax": [1.8, 1.8]},
        "b": {"torch": [1.0, 1.0]},
        "c": {"jax": [1.0, 1.0]},
    }
    made = repeats.choose("Training", [said] * 2, {"a", "b", "c"}, {"torch", "jax"}, times=times)
    assert made and made.split == []
