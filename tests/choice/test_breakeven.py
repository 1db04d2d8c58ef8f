"""Claims about break-even: who is ahead after how many calls, on runs whose truth is known."""

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from harness.record import records
from harness.stats import statistics
from reports.choice import breakeven
from reports.choice.breakeven import GOOD_TO, MOST, BreakEven
from reports.pages import page
from reports.verdicts import analyse
from tests.support.synthetic import edit_cells, edit_groups, of_spread, on_a_gpu, write_run

NET = ("resnet18", "convnet", 4, 112, "train", True)


def made(
    folder: Path, starts: dict[str, float], speeds: dict[str, float], **more: int
) -> BreakEven:
    """One comparison of calls of 10 ms times `speeds`, begun after `starts` seconds."""
    write_run(folder, speeds, workloads=[NET], **more)  # type: ignore[arg-type]
    for name, total in starts.items():
        edit_cells(folder, name, seconds={"total": total})
    [found] = analyse(records.read(folder)).breakeven
    return found


def test_a_later_start_pays_after_what_it_costs_over_what_it_saves(tmp_path: Path) -> None:
    found = made(tmp_path, {"eager": 1.0, "compiled": 21.0}, {"eager": 1.0, "compiled": 0.5})
    [pair] = found.crossings
    assert (pair.early, pair.late) == ("eager", "compiled")
    assert pair.calls == pytest.approx(1 + 20 / 0.005, rel=0.03)
    assert pair.low is not None and pair.high is not None
    assert pair.low < pair.calls < pair.high
    assert pair.high / pair.low < 2  # 30% of a start, and little of the calls
    assert [name for _, name in found.ahead] == ["eager", "compiled"]
    assert found.baseline == "eager"
    assert "compiled from 4,000 steps on" in found.sentence.replace("3,900", "4,000")


def test_the_sentence_says_what_the_table_says_and_skips_who_leads_for_a_moment(
    tmp_path: Path,
) -> None:
    starts = {"a": 1.0, "moment": 1.5, "b": 1.705, "c": 30.0}
    found = made(tmp_path, starts, {"a": 1.0, "moment": 0.5, "b": 0.3, "c": 0.2})
    assert [name for _, name in found.ahead] == ["a", "moment", "b", "c"]
    assert "moment" not in found.sentence
    for early, late in (("a", "b"), ("b", "c")):
        pair = found.of(early, late)
        assert pair is not None and pair.calls is not None
        assert f"{late} from {breakeven.count(pair.calls)} steps on" in found.sentence


def test_a_late_start_is_told_beside_whoever_leads_a_use(tmp_path: Path) -> None:
    found = made(tmp_path, {"eager": 1.0, "compiled": 21.0}, {"eager": 1.0, "compiled": 0.5})
    [pair] = found.crossings
    told = breakeven.pays([found], "compiled", [found.comparison])
    ends = f"{breakeven.count(pair.low or 0)} to {breakeven.count(pair.high or 0)}"
    at = f"{breakeven.count(pair.calls or 0)} steps on ({ends})"
    assert told == f"it starts in 21 s: ahead from {at}, before that eager"
    assert breakeven.pays([found], "eager", [found.comparison]) == ""  # nobody starts sooner
    assert breakeven.pays([found], "compiled", ["another"]) == ""
    analysis = analyse(records.read(tmp_path))
    uses = {each.profile: each for each in analysis.recommendations}
    assert page.pays(analysis, uses["training-throughput"]) == told
    assert page.pays(analysis, uses["prototyping"]) == ""  # that weighs the start itself


def test_a_baseline_is_not_ahead_of_whom_one_may_choose(tmp_path: Path) -> None:
    folder = write_run(tmp_path, {"numpy": 3.0, "eager": 1.0, "late": 0.9}, workloads=[NET])
    for name, total in {"numpy": 0.1, "eager": 1.0, "late": 2.0}.items():
        edit_cells(folder, name, seconds={"total": total})
    [before] = analyse(records.read(folder)).breakeven
    assert before.ahead[0][1] == "numpy"  # of a plan that calls nobody a baseline
    plan = json.loads((folder / "plan.json").read_text())
    for contender in plan["contenders"]:
        contender["baseline"] = contender["name"] == "numpy"
    (folder / "plan.json").write_text(json.dumps(plan))
    [found] = analyse(records.read(folder)).breakeven
    assert [name for _, name in found.ahead] == ["eager", "late"]
    assert "numpy" not in found.sentence and found.starts["numpy"] == pytest.approx(0.1)


def test_what_starts_later_and_calls_slower_never_pays(tmp_path: Path) -> None:
    found = made(tmp_path, {"quick": 1.0, "late": 5.0}, {"quick": 1.0, "late": 1.5})
    [pair] = found.crossings
    assert pair.calls is None and pair.high is None
    assert found.ahead == [(1.0, "quick")]
    assert "never overtaken" in found.sentence and "screening" not in found.sentence


def test_never_is_a_screening_where_its_figures_are(tmp_path: Path) -> None:
    starts, speeds = {"quick": 1.0, "late": 5.0}, {"quick": 1.0, "late": 1.5}
    assert made(tmp_path, starts, speeds, launches=3).sentence.endswith("a screening.")


def test_who_may_be_overtaken_for_all_that_is_known_is_not_called_safe(tmp_path: Path) -> None:
    sentence = made(tmp_path, {"a": 1.0, "b": 9.0}, {"a": 1.0, "b": 1.001}).sentence
    assert "never" not in sentence and "b may overtake it from" in sentence


def test_a_saving_within_the_noise_may_never_pay(tmp_path: Path) -> None:
    found = made(tmp_path, {"a": 1.0, "b": 9.0}, {"a": 1.0, "b": 0.999})
    [pair] = found.crossings
    assert pair.high is None


def test_few_launches_are_a_screening(tmp_path: Path) -> None:
    starts, speeds = {"a": 1.0, "b": 9.0}, {"a": 1.0, "b": 0.5}
    assert made(tmp_path / "few", starts, speeds, launches=3).crossings[0].screening
    assert not made(tmp_path / "six", starts, speeds, launches=6).crossings[0].screening


def test_on_a_busy_machine_all_is_a_screening(tmp_path: Path) -> None:
    folder = tmp_path / "busy"
    made(folder, {"a": 1.0, "b": 9.0}, {"a": 1.0, "b": 0.5})

    def busy(group: dict[str, Any]) -> bool:
        group["machine"]["foreign_cpu_share"] = 0.4
        return True

    edit_groups(folder, busy)
    [found] = analyse(records.read(folder)).breakeven
    assert found.crossings[0].screening and "a screening" in found.sentence


def test_calls_add_up_with_the_slow_ones_among_them(tmp_path: Path) -> None:
    """One call of each turn takes as long as all others together: nothing is saved any more."""
    one = [("resnet18", "convnet", 1, 224, "infer", True)]
    folder = write_run(tmp_path, {"a": 1.0, "b": 0.5}, workloads=one)
    for name, total in (("a", 1.0), ("b", 21.0)):
        edit_cells(folder, name, seconds={"total": total})

    def slow(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["b"]:
            kept = turn["calls"][turn["dropped"] :]
            turn["calls"][-1] += sum(kept)
            turn["total_ns"] = 2 * sum(kept)
        return True

    def b_over_a() -> float:
        analysis = analyse(records.read(folder))
        pair = analysis.comparisons[0].ratio("b", "a")
        assert pair and pair.ratio == pytest.approx(0.5, rel=0.03)  # of lower quartiles, still
        [found] = analysis.breakeven
        return found.calls["b"] / found.calls["a"]

    assert b_over_a() == pytest.approx(0.5, rel=0.03)
    edit_groups(folder, slow)
    assert b_over_a() == pytest.approx(1.0, rel=0.03)


def test_calls_add_up_with_the_pauses_of_a_few_rounds_among_them(tmp_path: Path) -> None:
    """A fifth of the rounds at either end is trimmed from a ratio: no pause is in one."""
    one = [("resnet18", "convnet", 1, 224, "infer", True)]
    folder = write_run(tmp_path, {"a": 1.0, "b": 0.5}, workloads=one)

    def paused(group: dict[str, Any]) -> bool:
        for name, turns in group["turns"].items():
            group["turns"][name] = [json.loads(json.dumps(turns[0])) for _ in range(10)]
        for turn in group["turns"]["b"][:2]:
            turn["calls"] = [call + 25_000_000 for call in turn["calls"]]
        group["rounds"], group["order"] = 10, [group["order"][0]] * 10
        return True

    edit_groups(folder, paused)
    analysis = analyse(records.read(folder))
    pair = analysis.comparisons[0].ratio("b", "a")
    assert pair and pair.ratio == pytest.approx(0.5, rel=0.03)
    [found] = analysis.breakeven
    assert found.calls["b"] / found.calls["a"] == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize(("start", "told"), [(1.2, True), (1.4, False)])
def test_who_starts_first_is_not_told_where_the_starts_are_near(
    tmp_path: Path, start: float, told: bool
) -> None:
    sentence = made(tmp_path, {"a": 1.0, "b": start}, {"a": 1.0, "b": 1.5}).sentence
    assert ("Whether it starts before b is not told: a start may be off by 30%" in sentence) == told


def test_the_picture_the_table_and_the_sentence_have_one_estimate(tmp_path: Path) -> None:
    """Also of one that left early, in launches in which the machine was quicker."""
    starts = {"a": 1.0, "b": 5.0, "c": 30.0}
    write_run(tmp_path, {"a": 1.0, "b": 0.7, "c": 0.5}, workloads=[NET])
    for name, total in starts.items():
        edit_cells(tmp_path, name, seconds={"total": total})

    def edit(group: dict[str, Any]) -> bool:
        if group["launch"] > 3:
            del group["turns"]["b"]
            for turn in (turn for turns in group["turns"].values() for turn in turns):
                turn["calls"] = [2 * call for call in turn["calls"]]
                turn["total_ns"] *= 2
        return True

    edit_groups(tmp_path, edit)
    [found] = analyse(records.read(tmp_path)).breakeven
    assert [name for _, name in found.ahead] == ["a", "b", "c"]
    for (_, early), (place, late) in itertools.pairwise(found.ahead):
        pair = found.of(early, late)
        assert pair and pair.calls == pytest.approx(place) and pair.low and pair.high
        assert pair.low < pair.calls < pair.high
    assert found.calls["b"] / found.calls["a"] == pytest.approx(0.7, rel=0.03)


def test_without_a_cold_start_there_is_no_break_even(tmp_path: Path) -> None:
    write_run(tmp_path, workloads=[(*NET[:5], False)])
    assert analyse(records.read(tmp_path)).breakeven == []


def test_whoever_is_said_to_be_ahead_has_spent_least() -> None:
    """The handovers against a plain search, on random contenders."""
    for seed in range(200):
        luck = random.Random(seed)
        names = [f"c{i}" for i in range(luck.randint(1, 7))]
        starts = {n: math.exp(luck.gauss(1, 1.5)) for n in names}
        calls = {n: math.exp(luck.gauss(-4, 1.0)) for n in names}
        ahead = breakeven._ahead(starts, calls)
        assert [place for place, _ in ahead] == sorted(place for place, _ in ahead)
        for _ in range(20):
            n = math.exp(luck.uniform(0, math.log(1e6)))
            least = min(names, key=lambda c: starts[c] + (n - 1) * calls[c])
            told = [name for place, name in ahead if place <= n][-1]
            assert starts[told] + (n - 1) * calls[told] == pytest.approx(
                starts[least] + (n - 1) * calls[least], rel=1e-9
            )


def _line(name: str, start: float, call: float, launches: int = 6) -> breakeven._Line:
    seconds = call * (1 + of_spread(0.01, launches))
    return breakeven._Line(name, start, start / 2, float(seconds.mean()), seconds)


@pytest.mark.parametrize(
    ("launches", "settled", "screening", "confidence"),
    [
        (2, True, True, 0.999), (3, True, False, 0.999), (3, False, True, 0.95),
        (5, True, False, 0.999), (6, True, False, 0.95), (6, False, False, 0.95),
    ],
)  # fmt: skip
def test_who_left_early_is_overtaken_by_the_interval_by_which_it_left(
    launches: int, settled: bool, screening: bool, confidence: float
) -> None:
    early, late = _line("a", 1.0, 0.01, launches), _line("b", 21.0, 0.005, launches)
    pair = breakeven._crossing(early, late, settled, False)
    assert (pair.screening, pair.confidence) == (screening, confidence)
    assert breakeven._crossing(early, late, settled, True).screening  # a busy machine


def test_the_interval_holds_the_starts_at_their_worst_and_the_calls_at_theirs() -> None:
    early, late = _line("a", 1.0, 0.01), _line("b", 21.0, 0.005)
    pair = breakeven._crossing(early, late, False, False)
    low, high = statistics.t_interval(early.launches - late.launches)
    assert pair.calls == pytest.approx(1 + 20.0 / 0.005)
    assert pair.low == pytest.approx(1 + (21.0 / GOOD_TO - 1.0 * GOOD_TO) / high)
    assert pair.high == pytest.approx(1 + (21.0 * GOOD_TO - 1.0 / GOOD_TO) / low)
    assert pair.cached == pytest.approx(1 + 10.0 / 0.005)  # from starts with a full cache
    for n in (1.0, 7.0, 500.0):
        both = breakeven.BreakEven(
            "", 1, "infer", {"a": 1.0, "b": 21.0}, {"a": 0.01, "b": 0.005}, [], "a", [], ""
        )
        assert both.spent("a", n) == pytest.approx(1.0 + (n - 1) * 0.01)
    near = breakeven._crossing(early, _line("b", 1.1, 0.005), False, False)
    assert near.low == 1.0  # one start of each: it may be ahead at once
    calls = {"a": 1e-3, "b": 1e-3 - 1e-13}
    assert breakeven._ahead({"a": 1.0, "b": 2.0}, calls) == [(1.0, "a")]
    assert breakeven._from(MOST * 0.002, 0.001) is None  # so many calls are never


def test_where_training_was_measured_without_a_pause_its_calls_are_those(tmp_path: Path) -> None:
    write_run(tmp_path, {"a": 1.0, "b": 0.5}, workloads=[NET])
    for name, total in (("a", 1.0), ("b", 21.0)):
        edit_cells(tmp_path, name, seconds={"total": total})
    on_a_gpu(tmp_path, {"a": 1.0, "b": 0.25})
    [found] = analyse(records.read(tmp_path)).breakeven
    assert found.calls["a"] == pytest.approx(0.010, rel=0.01)  # 100 of them in a second
    assert found.calls["b"] / found.calls["a"] == pytest.approx(0.25, rel=0.01)
