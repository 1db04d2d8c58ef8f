"""Claims about plans: who takes part in what, who cannot, and who is the noise floor."""

from pathlib import Path

import pytest

from harness.errors import Wrong
from harness.plan import estimate, plan, suite
from harness.plan.suite import Comparison
from harness.proof import live
from harness.stats import uses
from tests.support.plans import planned

NAMES = ["torch", "torch:compile", "tensorflow", "tensorflow:xla", "jax", "numpy"]


def _named(made: plan.Plan, name: str) -> plan.PlannedContender:
    [found] = [c for c in made.contenders if c.name == name]
    return found


def test_the_cheapest_contender_is_entered_twice_in_some_comparisons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 3e11)  # whatever else runs here
    made, _ = planned(suite.load("quick"), NAMES)
    assert made.noise_floor == plan.NoiseFloor("torch#2", "torch")
    entered = [c.id for c in made.comparisons if "torch#2" in c.contenders]
    assert 0 < len(entered) < len(made.comparisons)
    assert _named(made, "torch#2").copy == 2
    # In one at least that a choice rests on: of ten operations and networks these cost least.
    speaks = [c for c in made.comparisons if any(use(c) for use in uses.USES.values())]
    assert {c.id for c in speaks} & {*entered} and {*entered} - {c.id for c in speaks}


def test_a_contender_that_the_user_entered_twice_is_floor_enough() -> None:
    made, _ = planned(suite.load("smoke"), ["torch", "torch"])
    assert made.noise_floor is None
    assert [c.name for c in made.contenders] == ["torch", "torch#2"]


def test_the_null_adapter_is_planned_as_what_does_no_work() -> None:
    made, _ = planned(suite.load("smoke"), ["null"])
    assert made.noise_floor is None
    assert not _named(made, "null").computes


def test_an_inference_engine_is_planned_into_inference_alone() -> None:
    made, _ = planned(suite.load("smoke"), ["torch", "onnxruntime"])
    taking = {c.direction: "onnxruntime" in c.contenders for c in made.comparisons}
    assert taking == {"infer": True, "train": False}
    assert not _named(made, "onnxruntime").trains and not made.absent


def test_an_inference_engine_that_has_nothing_to_do_is_said_to_be_absent() -> None:
    few = [c for c in suite.load("smoke").comparisons if c.direction == "train"]
    made, _ = planned(suite.load("smoke"), ["torch", "onnxruntime"], few)
    assert [c.name for c in made.contenders if c.copy == 1] == ["torch"]
    assert [gone["name"] for gone in made.absent] == ["onnxruntime"]
    with pytest.raises(Wrong, match="onnxruntime cannot train"):
        planned(suite.load("smoke"), ["onnxruntime"], few)


def test_a_training_that_no_contender_does_is_left_out_with_its_reason() -> None:
    made, estimates = planned(suite.load("smoke"), ["onnxruntime"], named=True)
    assert {c.direction for c in made.comparisons} == {"infer"}
    assert [left["comparison"].split("/")[2] for left in made.left_out] == ["train"]
    floor = made.noise_floor
    assert floor is not None and floor.of == "onnxruntime"
    assert all(estimates[c.id].total > 0 for c in made.comparisons)


def test_the_noise_floor_is_in_a_comparison_that_is_measured() -> None:
    """However few of them fit."""
    for seconds in (1.0, 100.0, 3600.0):
        made, estimates = planned(suite.load("full"), NAMES, budget=seconds)
        assert made.noise_floor is not None
        assert any(made.noise_floor.twin in c.contenders for c in made.comparisons)
        assert estimates.keys() >= {c.id for c in made.comparisons}


def test_the_noise_floors_twin_is_nobodys_rival() -> None:
    made, _ = planned(suite.load("quick"), ["torch", "jax"])
    assert made.noise_floor is not None
    assert [c.name for c in made.rivals] == ["torch", "jax"]


def test_who_has_nothing_left_to_do_in_the_budget_is_said_and_is_no_noise_floor() -> None:
    """An engine for inference alone, where only the training fits."""
    asked = [
        Comparison("resnet18", 32, 224, "train", headline=True),
        Comparison("resnet18", 32, 224, "infer"),
    ]
    made, _ = planned(suite.load("quick"), ["torch:compile", "onnxruntime"], asked, budget=1.0)
    assert [c.direction for c in made.comparisons] == ["train"]
    assert [c.name for c in made.contenders] == ["torch:compile", "torch:compile#2"]
    assert made.noise_floor is not None and made.noise_floor.of == "torch:compile"
    assert "left out" in made.absent[0]["reason"] and made.absent[0]["name"] == "onnxruntime"


def test_a_suite_file_may_have_the_name_of_calibrates(tmp_path: Path) -> None:
    """Its runs are resumed and repeated as any other's; it is the one with a file."""
    path = tmp_path / "itself.toml"
    path.write_text('[[compare]]\nworkload = "lenet5"\n')
    made, _ = planned(suite.load(str(path)), ["numpy"])
    assert made.suite["name"] == "itself" and not made.itself
    assert live.Itself("numpy", (), copies=2, launches=6, workloads=1).plan("r").itself


def test_who_cannot_do_it_costs_no_time_and_is_no_noise_floor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """He is entered, and shown as unsupported; a budget is for those who are measured."""
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 1e11)
    asked = [
        Comparison("resnet18", 4, 112, way, precision="bfloat16") for way in ("infer", "train")
    ]
    names = ["torch:compile", "tensorflow:xla", "numpy"]
    alone, of_two = planned(suite.load("quick"), names[:2], asked, budget=600.0)
    made, of_three = planned(suite.load("quick"), names, asked, budget=600.0)
    for comparison in made.comparisons:
        assert "numpy" in comparison.contenders and "numpy" not in comparison.able
        assert "not bfloat16" in comparison.unsupported["numpy"]
    assert {k: e.total for k, e in of_three.items()} == {k: e.total for k, e in of_two.items()}
    assert alone.noise_floor and made.noise_floor == alone.noise_floor
    mixed = [Comparison("lenet5", 8, None, "infer", precision=p) for p in ("float32", "bfloat16")]
    made, _ = planned(suite.load("quick"), ["numpy", "tensorflow:xla"], mixed)
    assert made.noise_floor is not None and made.noise_floor.of == "numpy"
    twins = [c.precision for c in made.comparisons if "numpy#2" in c.contenders]
    assert twins == ["float32"]
