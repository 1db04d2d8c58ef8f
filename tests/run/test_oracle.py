"""Claims about the oracle's answers: what is asked, and for how long an answer is kept."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from harness.plan import suite
from harness.plan.plan import PlannedComparison
from harness.run import cold, oracle
from tests.support.plans import planned


class Reference:
    """Stands for the reference's worker: writes something, and counts how often."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def ask(self, do: str, *_: Any, **arguments: Any) -> dict[str, Any]:
        if do == "answer":
            self.asked.append(arguments)
            np.savez(arguments["path"], output=np.zeros(1))
        return {}


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reference:
    monkeypatch.setattr(oracle, "FOLDER", tmp_path / "oracle")
    return Reference()


def _answer(reference: Reference, comparison: PlannedComparison) -> Path:
    launcher: Any = SimpleNamespace(
        timeout=1.0, threads=1, start_reference=lambda log: reference, close=lambda worker: None
    )
    return oracle.answer(launcher, comparison)


def _comparison(workload: str, batch: int, direction: str) -> PlannedComparison:
    asked = suite.Comparison(workload=workload, batch=batch, direction=direction)
    plan, _ = planned(suite.load("smoke"), ["numpy", "torch"], [asked], named=True)
    return plan.comparisons[0]


def test_an_answer_is_computed_once(reference: Reference) -> None:
    comparison = _comparison("resnet_basic", 4, "train")
    first = _answer(reference, comparison)
    assert _answer(reference, comparison) == first
    assert len(reference.asked) == 1
    first.write_bytes(b"")  # as a power cut leaves it
    assert _answer(reference, comparison) == first
    assert len(reference.asked) == 2 and np.load(first)["output"].shape == (1,)


def test_another_question_has_an_answer_of_its_own(reference: Reference) -> None:
    """And float64 one, since the others' are rounded to float32 on disk."""
    comparison = _comparison("resnet_basic", 4, "train")
    others = [
        _comparison("resnet_basic", 5, "train"),
        _comparison("resnet_basic", 4, "infer"),
        _comparison("resnet_basic_down", 4, "train"),
        msgspec.structs.replace(comparison, precision="float64"),
    ]
    kept = {_answer(reference, each) for each in [comparison, *others]}
    assert len(kept) == len(reference.asked) == 5


def test_other_code_is_asked_anew_and_old_answers_go_after_a_day(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that began before the code was edited may still read those of today."""
    comparison = _comparison("resnet_basic", 4, "train")
    answers = []
    for meaning, hours in (("old", 30), ("recent", 1), ("new", 0)):
        monkeypatch.setattr(oracle, "_meaning", lambda meaning=meaning: meaning)
        answers.append(_answer(reference, comparison))
        then = time.time() - 3600 * hours
        os.utime(answers[-1].parent, (then, then))
    assert len(reference.asked) == 3
    assert [path.exists() for path in answers] == [False, True, True]


def test_answers_that_are_used_are_not_forgotten_for_being_old(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last week's, which a run of today goes by while the code is edited for another."""
    comparison = _comparison("resnet_basic", 4, "train")
    monkeypatch.setattr(oracle, "_meaning", lambda: "old")
    old = _answer(reference, comparison)
    then = time.time() - 7 * 24 * 3600
    os.utime(old.parent, (then, then))
    assert _answer(reference, comparison) == old
    monkeypatch.setattr(oracle, "_meaning", lambda: "new")
    _answer(reference, comparison)
    assert old.exists() and len(reference.asked) == 2


def test_two_runs_may_forget_the_same_answers_at_once(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = oracle.FOLDER / "gone"
    comparison = _comparison("resnet_basic", 4, "train")
    monkeypatch.setattr(Path, "iterdir", lambda self: iter([gone]))
    assert _answer(reference, comparison).exists()


def test_a_profile_is_of_the_batch_that_is_timed_and_not_of_the_one_that_was_verified() -> None:
    asked: list[tuple[str, Any]] = []

    def ask(do: str, *_: Any, **arguments: Any) -> dict[str, Any]:
        asked.append((do, arguments.get("batch")))
        return {"profile": {"wall_s": 1.0}}

    worker: Any = SimpleNamespace(ask=ask)
    large, small = _comparison("resnet50", 64, "train"), _comparison("resnet20", 8, "train")
    assert cold._profile(worker, large) == {"wall_s": 1.0}
    assert asked == [("load", 64), ("first", None), ("profile", None)]
    asked.clear()
    cold._profile(worker, small)
    assert asked == [("profile", None)]


def test_an_inference_is_asked_for_two_rows_and_a_training_for_all_or_for_a_batch_of_two() -> None:
    """A training's loss is of the whole batch: within the reference's reach it is verified so."""
    assert oracle.question(_comparison("resnet18", 64, "infer")) == oracle.Question(64, 2, True)
    assert oracle.question(_comparison("resnet20", 8, "train")) == oracle.Question(8, None, True)
    assert oracle.question(_comparison("resnet50", 64, "train")) == oracle.Question(2, None, False)
