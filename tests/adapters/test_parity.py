"""Every adapter computes what the reference computes: each operation, block and convnet.

Through real workers, each in its framework's own environment, by the very path that a run
takes: load, first call, verify. One worker a contender and precision serves all cells, so
this also shows that an adapter survives a hundred workloads in one process.

    pytest tests/adapters/test_parity.py -k torch

A compiler takes seconds over each cell, so whoever compiles has a part of them here, fixed
by rule. `bakeoff check torch:compile`, and so on, has all.
"""

from pathlib import Path
from typing import Any

import pytest

from adapters.core import discovery
from adapters.core.cost import cost, declare
from harness.process.processes import WorkerFailed
from suites import catalogue
from tests.support import inside
from tests.support.workers import Key, Oracle, load, start

# All convnets, at a small batch; the large ones on smaller images, where their first linear
# layer shrinks as well (OverFeat's and VGG's weights are half a gigabyte else). And the block
# that takes the reference as long as all the others.
CONVNETS = tuple(name for name, w in catalogue.load().items() if w.kind == "convnet")
CONVNETS_SOME = ("threelayer", "alexnet", "resnet20")
SMALLER = {"alexnet": 127, "googlenet": 224, "resnet18": 96, "mobilenet_v2": 96}
SMALLER |= {"resnet50": 64, "overfeat": 127, "vgg_a": 64, "vgg_stage": 28}


def _contenders(native: bool) -> list[tuple[str, str]]:
    found = []
    for name in discovery.names():
        kind = discovery.adapter_class(name)
        if name in ("darknet", "neon", "torch7"):
            continue  # old systems that cannot say everything: held by tests of their own
        if kind.computes:
            found += [(name, v) for v, entry in kind.variants.items() if bool(entry.of) == native]
    # What inductor tries and captures on top has a test of its own: each takes minutes.
    found = [(name, variant) for name, variant in found if not variant.startswith("compile-")]
    return found


def _backward(name: str) -> str:
    """A training step, whose momentum is the gradient; the gradient where nothing is trained."""
    return "train" if any(p.trained for p in declare(catalogue.get(name)).values()) else "fwd_bwd"


def _cells(kind: str, forward: bool) -> list[Key]:
    """Each workload of a kind with a backward pass, and in inference.

    Unless `forward`, in inference only where that is another function (batch norm has two
    forms, and a ReLU may overwrite its argument): every cell costs a compiler seconds.
    """
    found = []
    for workload in catalogue.load().values():
        if workload.kind != kind:
            continue
        operations = {op.name for op in cost(workload, workload.batch, "infer").operations}
        directions = [_backward(workload.name)]
        if forward or operations & {"batch_norm", "relu"}:
            directions.append("infer")
        batch, size = min(workload.batch, 3), SMALLER.get(workload.name)
        found += [(workload.name, d, batch, size) for d in directions]
    return found


def _compiles(contender: tuple[str, str, Path]) -> bool:
    """Whether it takes long over the first call; an inference engine does not."""
    adapter, variant, _ = contender
    kind = discovery.adapter_class(adapter)
    return kind.trains and kind.variants[variant].compile_seconds > 0


def _aside(contender: tuple[str, str, Path]) -> bool:
    """Another layout or mode of what is held in full under its plain name."""
    adapter, variant, _ = contender
    joins = discovery.adapter_class(adapter).variants[variant].joins
    return bool(variant) and not {"cpu", "cuda"} <= {*joins}


def _few(contender: tuple[str, str, Path]) -> bool:
    """Whether its operations are mostly those of its plain contender, which has them all."""
    return contender[1] in ("compile", "xla") or _aside(contender)


def _every(contender: tuple[str, str, Path], precision: str) -> int:
    """Every how many-th operation it is held to here."""
    slow = 5 if contender[1] in ("compile", "xla") else 3 if _few(contender) else 1
    return slow * max(slow, 3) if precision == "float64" and _compiles(contender) else slow


def _able(contender: tuple[str, str, Path], cells: list[Key]) -> list[Key]:
    """An inference engine has every workload, in inference."""
    kind = discovery.adapter_class(contender[0])
    if kind.trains and kind.variants[contender[1]].trains:
        return cells
    return list(dict.fromkeys((name, "infer", batch, size) for name, _, batch, size in cells))


def _convnet_cells(names: tuple[str, ...]) -> list[Key]:
    """Each in training; in inference where batch norm makes that another function."""
    found = []
    for name in names:
        workload = catalogue.get(name)
        normal = any(
            op.name == "batch_norm" for op in cost(workload, workload.batch, "infer").operations
        )
        found += [(name, d, 2, SMALLER.get(name)) for d in ("infer", "train")[not normal :]]
    return found


def _installed(adapter: str, variant: str) -> tuple[str, str, Path]:
    """Adapter, variant, and its environment's Python; skipped where it is not installed."""
    return adapter, variant, inside.python_of(adapter, variant)


@pytest.fixture(params=_contenders(native=False), ids=":".join)
def contender(request: pytest.FixtureRequest) -> tuple[str, str, Path]:
    return _installed(*request.param)


@pytest.fixture(params=_contenders(native=True), ids=":".join)
def native(request: pytest.FixtureRequest) -> tuple[str, str, Path]:
    return _installed(*request.param)


def _wrong(
    oracle: Oracle, contender: tuple[str, str, Path], precision: str, cells: list[Key], folder: Path
) -> tuple[list[str], dict[str, Any]]:
    """What is wrong, in words; and the worker's manifest after all that."""
    adapter, variant, python = contender
    try:
        worker = start(python, adapter, variant, precision, folder)
    except WorkerFailed as failed:
        if failed.status != "unsupported" or precision == "float32":
            raise
        pytest.skip(failed.reason)
    wrong, manifest = [], {}
    try:
        for key in _able(contender, cells):
            try:
                load(worker, key)
                manifest = worker.ask("first", timeout=300)["manifest"]
                found = worker.ask("verify", oracle=str(oracle.answer(key, precision)), rows=None)
                if not found["ok"]:
                    wrong.append(f"{key}: {found['reason']}")
                worker.ask("unload")
            except WorkerFailed as failed:
                wrong.append(f"{key}: {failed.status}: {failed.reason}")
                if worker.dead is not None:
                    break
    finally:
        worker.close()
    return wrong, manifest


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_every_operation_is_right(
    oracle: Oracle, contender: tuple[str, str, Path], precision: str, tmp_path: Path
) -> None:
    """Output, loss, gradients, batch-norm state, update; float64 gradients to 1e-11."""
    inside.skip_without_compiler(*contender[:2])
    if precision == "float64" and contender[1] and _aside(contender):
        pytest.skip("float32 tells whether another layout or mode is right")
    plain = not _compiles(contender) and not _few(contender)
    cells = _cells("check", forward=precision == "float32" and plain)
    if precision == "float64":
        cells = [key for key in cells if key[1] != "infer"]
    cells = cells[:: _every(contender, precision)]
    wrong, manifest = _wrong(oracle, contender, precision, cells, tmp_path)
    assert not wrong, "\n".join(wrong)
    if contender[1] == "compile" and precision == "float32":
        # dynamo gives up in silence after eight, unless it is reset between workloads.
        assert manifest["compilations"] == len(cells) > 8


def test_every_block_and_convnet_is_right(
    oracle: Oracle, contender: tuple[str, str, Path], tmp_path: Path
) -> None:
    """One network layer builds them all: who compiles, or takes long, has some of the convnets."""
    inside.skip_without_compiler(*contender[:2])
    compiles = _compiles(contender)
    convnets = _convnet_cells(CONVNETS_SOME if compiles or contender[0] == "c" else CONVNETS)
    blocks = _cells("block", forward=True)
    if compiles:
        convnets = [key for key in convnets if key[1] == "train"]
    if _few(contender):
        convnets = convnets[:1]
    if compiles and _few(contender):
        every = 4 if contender[1] == "compile" else 2
        blocks = [key for key in blocks if key[1] == "train"][::every]
    wrong, _ = _wrong(oracle, contender, "float32", blocks + convnets, tmp_path)
    assert not wrong, "\n".join(wrong)


def test_every_native_model_is_the_same_network(
    oracle: Oracle, native: tuple[str, str, Path], tmp_path: Path
) -> None:
    """With the portable one's weights: output, loss, gradients, batch-norm state, update.

    ResNet-50 and AlexNet: `bakeoff check torch_nn`; they take a minute more.
    """
    inside.skip_without_compiler(*native[:2])
    cells: list[Key] = [("threelayer", d, 3, None) for d in ("infer", "train")]
    if not _compiles(native):
        cells += [("resnet18", d, 2, 64) for d in ("infer", "train")]
    wrong, _ = _wrong(oracle, native, "float32", cells, tmp_path)
    assert not wrong, "\n".join(wrong)


def test_max_autotune_is_right_and_its_manifest_says_what_was_tried(
    oracle: Oracle, tmp_path: Path
) -> None:
    """On a CPU inductor's templates want frozen weights: whether any was tried must be told."""
    variant = "compile-max-autotune-no-cudagraphs"
    python = inside.python_of("torch")
    inside.skip_without_compiler("torch", "compile")
    cells = [("check_flatten_linear", "train", 3, None), ("resnet_basic", "infer", 2, None)]
    wrong, manifest = _wrong(oracle, ("torch", variant, python), "float32", cells, tmp_path)
    assert not wrong, "\n".join(wrong)
    assert manifest["autotune"] == (manifest["autotuned"] > 0)
    assert (manifest["graphs"], "max-autotune" in manifest["mode"]) == ("none", True)
    assert manifest["compilations"] == len(cells)


def test_what_is_compiled_from_contiguous_inputs_is_right(oracle: Oracle, tmp_path: Path) -> None:
    python = inside.python_of("torch")
    inside.skip_without_compiler("torch", "compile")
    cells = [(name, "train", 3, None) for name in ("check_conv7x7_stride2", "check_flatten_linear")]
    contender = ("torch", "compile-contiguous", python)
    wrong, manifest = _wrong(oracle, contender, "float32", cells, tmp_path)
    assert not wrong, "\n".join(wrong)
    assert manifest["layout"] == "NCHW, or what inductor chose"


def test_what_is_checked_is_large_enough_to_mean_something() -> None:
    """Every operation of the algebra is among the checks.

    The cost model lists what costs something; `check_flatten` is there for what does not.
    """
    seen = {
        operation.name
        for w in catalogue.load().values()
        if w.kind == "check"
        for operation in cost(w, w.batch, "infer").operations
    }
    assert seen == {
        "conv2d", "linear", "batch_norm", "relu", "add", "max_pool", "avg_pool",
        "global_avg_pool", "concat",
    }  # fmt: skip
