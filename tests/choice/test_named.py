"""Claims about who may be named: what has no figure, and who is no framework, decides nothing."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.record import records
from reports import terminal
from reports.choice import flip
from reports.choice.decide import decide
from reports.exports import markdown
from reports.pages import page
from reports.verdicts import analyse
from tests.support.choices import BOTH, P99, TRAINING, asked, aspect
from tests.support.pages import edit_plan
from tests.support.synthetic import WORKLOADS, add, edit_groups, many_calls, write_run


def test_who_is_far_behind_takes_no_wish_from_the_others(tmp_path: Path) -> None:
    """numpy makes too few calls for a 99th percentile, and left early."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3, "numpy": 50.0})

    def few(group: dict[str, Any]) -> bool:
        calls = group["turns"]["numpy"]
        many_calls(group)
        for turn in calls:
            turn["calls"] = turn["calls"][:8]
            turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(folder, few)
    assert asked(folder, BOTH).lost == 0.5
    place = "resnet18@224/b1/infer/float32/cpu"
    left = {"kind": "event", "what": "settled", "reason": "", "comparison": place}
    add(folder, {**left, "contender": "numpy"})
    found = asked(folder, BOTH)
    assert found.lost == 0.0 and found.choice == "torch"
    [out] = found.incomplete
    assert out["contender"] == "numpy" and "far behind" in out["why"]


def test_a_slow_call_that_a_few_launches_tell_has_no_figure(tmp_path: Path) -> None:
    """Else three launches with more rounds would be all that a choice over six rests on."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    edit_groups(folder, lambda group: many_calls(group) if group["launch"] < 4 else True)
    found = asked(folder, BOTH)
    assert found.lost == 0.5 and found.launches == 6
    [why] = [each for each in found.unknown if each.startswith("latency, p99")]
    assert "`calls = 100` in a suite asks for" in why
    edit_plan(folder, lambda plan: [c.update(calls=100) for c in plan["comparisons"]])
    [why] = [each for each in asked(folder, BOTH).unknown if each.startswith("latency, p99")]
    assert "neither all launches nor six of them held 100 calls" in why


def test_six_launches_with_a_hundred_calls_tell_a_slow_call_whatever_the_others_hold(
    tmp_path: Path,
) -> None:
    """A launch had time for fewer rounds; the score is of the six."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3}, launches=8)
    edit_groups(folder, lambda group: many_calls(group) if group["launch"] > 2 else True)
    found = asked(folder, BOTH)
    assert (found.choice, found.lost, found.launches) == ("torch", 0.0, 6)
    cell = next(c.cell("torch") for c in analyse(records.read(folder)).comparisons if c.batch == 1)
    assert cell.latency and cell.latency["p99"]
    edit_groups(folder, lambda group: group["launch"] != 8)
    assert asked(folder, BOTH).lost == 0.5


def test_what_has_no_figure_may_flip_a_choice_and_by_how_much_is_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 0.9, "jax": 1.0})
    found = asked(folder, BOTH.replace("weight = 1", "weight = 2", 1))
    assert found.choice == "torch" and found.lost == pytest.approx(1 / 3)
    [told] = [each for each in found.flips if "no figure" in each]
    assert told.startswith("jax leads if torch is more than 1.2")
    one, other = aspect({"a": {1: 0.0, 2: 0.01}, "b": {1: 0.1, 2: 0.11}}), 0.25
    factor, name = flip.unmeasured(other, decide([one], "ab")) or (0.0, "")
    assert name == "b" and factor == pytest.approx(1.1051709**3)


def test_two_thirds_of_the_weight_are_enough_to_answer_and_less_is_not(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3}, workloads=WORKLOADS[3:])
    serving = '[[objective]]\nmeasure = "latency"\nof = "single-image latency"\nweight = 1\n'
    twice = TRAINING.replace("weight = 1", "weight = 2")
    found = asked(folder, twice + serving)
    assert (found.choice, found.lost) == ("torch", pytest.approx(1 / 3))
    with pytest.raises(ValueError, match="unpack"):
        asked(folder, twice + serving.replace("weight = 1", "weight = 1.01"))


def test_nobody_is_named_for_what_is_half_without_a_figure(tmp_path: Path) -> None:
    """A few slow calls tell no p99: who leads by 8% in the usual call may lose by it."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    found = asked(folder, BOTH)
    assert (found.choice, found.verdict, found.lost) == (None, "screening", 0.5)
    assert "50% of what is weighed was not measured" in found.sentence


def in_a_terminal(analysis: Any) -> str:
    console = Console(width=300, file=io.StringIO(), force_terminal=False)
    terminal.render(analysis, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_nobody_is_advised_to_use_what_bakeoff_brings_itself(tmp_path: Path) -> None:
    """It is the best of a comparison, and no framework. Alone among its like it is the question."""
    folder = write_run(tmp_path / "run", {"numpy": 0.5, "torch": 1.0, "jax": 1.3})
    edit_plan(folder, lambda plan: plan["contenders"][0].update(baseline=True))
    analysis = analyse(records.read(folder))
    assert analysis.comparisons[0].winner == "numpy"
    found = asked(folder, TRAINING)
    assert found.choice == "torch"
    assert [row["contender"] for row in found.ranking] == ["torch", "jax"]
    told = "shown in each workload, and never recommended"
    assert told in page.render(analysis) and told in in_a_terminal(analysis)
    assert told in markdown.text(analysis)
    edit_plan(folder, lambda plan: [c.update(baseline=True) for c in plan["contenders"]])
    assert asked(folder, TRAINING).choice == "numpy"


def test_where_nothing_that_is_wanted_has_a_figure_nobody_is_in_front(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    found = asked(folder, f"[[objective]]{P99}")
    assert (found.choice, found.tied, found.ranking, found.lost) == (None, [], [], 1.0)
    edit_groups(folder, many_calls)
    assert asked(folder, f"[[objective]]{P99}").choice == "torch"
