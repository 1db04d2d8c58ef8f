"""Claims about a cell: what is timed is what is verified, from the same start, at no cost."""

import time
import weakref
from typing import Any

import numpy as np
import pytest

from adapters.core.base import Unsupported
from adapters.core.engine import Engine
from adapters.core.reference import Reference
from adapters.null import Null
from harness.worker import worker
from harness.worker.cell import Cell, inputs
from suites import catalogue

CALLS = 50_000


def test_a_training_goes_back_to_its_start_under_the_same_step() -> None:
    cell = Cell(Reference(), catalogue.get("check_residual"), 3, "train")
    cell.build()
    step = cell.step  # as a timing loop holds it
    first = cell.answer(step())
    moved = cell.answer(step())
    assert not np.array_equal(moved["loss"], first["loss"])
    cell.restore()
    again = cell.answer(step())
    assert first.keys() == again.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)


def test_the_momentum_after_the_first_step_is_the_gradient() -> None:
    workload, answers = catalogue.get("check_conv3x3_bias"), {}
    for direction in ("fwd_bwd", "train"):
        cell = Cell(Reference(), workload, 2, direction)
        cell.build()
        answers[direction] = cell.answer(cell.step())
    for name in ("loss", "gradient:conv.weight", "gradient:conv.bias"):
        np.testing.assert_array_equal(answers["train"][name], answers["fwd_bwd"][name])
    assert "gradient:input" in answers["fwd_bwd"]


def test_the_first_and_last_rows_of_an_inference_are_those_of_the_whole_batch() -> None:
    workload, answers = catalogue.get("check_residual"), []
    for rows in (2, None):
        cell = Cell(Reference(), workload, 5, "infer", rows=rows)
        cell.build()
        answers.append(cell.answer(cell.step(), rows=2)["output"])
        whole = cell.answer(cell.step())["output"]
    assert len(answers[0]) == 2 and len(whole) == 5
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-12)
    np.testing.assert_allclose(answers[0], whole[[0, -1]], rtol=1e-12)


def test_inputs_are_seeded_random_and_labels_are_classes_of_the_output() -> None:
    workload = catalogue.get("threelayer")
    images, labels = inputs(workload, 64)
    assert images.dtype == np.float32
    assert images.shape == (64, 3, 32, 32)
    assert abs(images.mean()) < 0.02
    assert abs(images.std() - 1) < 0.02
    assert set(labels) == set(range(10))
    np.testing.assert_array_equal(inputs(workload, 64)[0], images)
    assert not np.array_equal(inputs(workload, 64, seed=1)[0], images)


def test_a_loss_that_is_no_number_is_noticed() -> None:
    cell = Cell(Reference(), catalogue.get("check_conv3x3"), 2, "train")
    cell.build()
    assert cell.finite()
    state, _ = cell.step()
    assert cell.finite()
    state.params["conv.weight"].value[...] = np.nan
    cell.step()
    assert not cell.finite()


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(ValueError, match="check_flatten has no parameters to train"):
        Cell(Reference(), catalogue.get("check_flatten"), 2, "train")

    class Serving(Reference):
        trains = False

    with pytest.raises(Unsupported, match="it does not train"):
        Cell(Serving(), catalogue.get("check_conv3x3"), 2, "train")


def test_a_training_for_one_result_keeps_no_start_and_computes_the_same() -> None:
    workload, answers = catalogue.get("check_residual"), []
    for once in (False, True):
        cell = Cell(Reference(), workload, 2, "train", once=once)
        cell.build()
        answers.append(cell.answer(cell.step()))
        cell.step()
        cell.restore()
        again = cell.answer(cell.step())
        same = all(np.array_equal(again[name], answers[-1][name]) for name in again)
        assert same != once  # there is no way back
    assert answers[0].keys() == answers[1].keys()
    assert all(np.array_equal(answers[0][name], answers[1][name]) for name in answers[0])


def test_what_is_given_back_before_a_first_call_is_no_part_of_loading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slowly() -> dict[str, int]:
        time.sleep(0.3)
        return {"rss_bytes": 1}

    monkeypatch.setattr(worker, "_forget_peak", slowly)
    frozen: list[None] = []  # this process's own objects are to be collected still
    monkeypatch.setattr(worker.gc, "freeze", lambda: frozen.append(None))
    # Whatever test ran before in this process.
    monkeypatch.setattr(worker.gc, "get_freeze_count", lambda: len(frozen))
    process = worker.Worker()
    process.planted, process.adapter = 0.0, Reference()  # type: ignore[assignment]
    asked: dict[str, Any] = {"workload": "check_residual", "batch": 2, "direction": "infer"}
    once = process.load(**asked, once=True)
    process.load(**asked, once=False)
    assert (
        not frozen
    )  # nobody's Python does that before a first call, and what is loaded would stay
    process.unload()
    usual = process.load(**asked, once=False)
    assert len(frozen) == 1
    assert once["rss_bytes"] == 1 and once["drawn"] > 0.3 > once["load"]
    assert "rss_bytes" not in usual and usual["drawn"] < 0.3


class Copying(Engine):
    """An engine whose model is a copy of the weights, and whose answer is the model."""

    def __init__(self) -> None:
        super().__init__("", "cpu", "float32", 1)
        self.alive: list[weakref.ref[np.ndarray]] = []
        self.opened: list[np.ndarray] = []

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> np.ndarray:
        placed = super().place(value, role, groups)
        self.alive += [weakref.ref(placed)] if role == "kernel" else []
        return placed

    def written(self, workload: Any, batch: int, params: dict[str, np.ndarray]) -> bytes:
        assert batch == 2
        time.sleep(0.2)
        return params["conv.weight"].tobytes()

    def opens(self, path: str, x: np.ndarray) -> Any:
        self.opened.append(x)
        model = np.fromfile(path, np.float32)
        return lambda: model


def test_an_engine_opens_a_file_and_the_weights_it_was_written_from_are_gone() -> None:
    """What wrote it is the benchmark's own: its memory, its seconds, and it leaves no file."""
    engine = Copying()
    cell = Cell(engine, catalogue.get("check_conv3x3"), 2, "infer")
    cell.build()
    assert engine.alive and not any(weight() is not None for weight in engine.alive)
    assert cell.drawn > 0.2
    weight = cell.parameters["conv.weight"].initial("conv.weight", 0)
    assert np.array_equal(cell.step(), weight.ravel()) and np.array_equal(cell.step(), cell.step())
    cell.feed(1)  # another input is bound anew, to the same model
    assert np.array_equal(cell.step(), weight.ravel())
    assert len(engine.opened) == 2 and engine.opened[1] is cell._x


@pytest.mark.alone
@pytest.mark.parametrize("direction", ["infer", "fwd_bwd", "train"])
def test_a_cell_adds_less_than_a_third_of_a_microsecond_to_a_call(direction: str) -> None:
    """Against the adapter's own call, bare; the least of several, which load cannot lower."""

    def nothing(*_: Any) -> tuple[None, None]:
        return None, None

    class Bare(Null):
        def infer(self, workload: Any) -> Any:
            return nothing

        def gradients(self, workload: Any, trained: set[str]) -> Any:
            return nothing

        def train(self, workload: Any, lr: float, momentum: float) -> Any:
            return nothing

    def seconds(call: Any) -> float:
        begin = time.perf_counter()
        for _ in range(CALLS):
            call()
        return (time.perf_counter() - begin) / CALLS

    cell = Cell(Bare("", "cpu", "float32", 1), catalogue.get("check_conv3x3"), 2, direction)
    cell.build()
    bare, ours = (min(seconds(call) for _ in range(7)) for call in (nothing, cell.step))
    assert ours - bare < 0.3e-6
