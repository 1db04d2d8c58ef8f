"""Every adapter computes what the reference computes: each operation, block and convnet.

Through real workers, each in its framework's own environment, by the very path that a run
takes: load, first call, verify. One worker a contender and precision serves all cells, so
this also shows that an adapter survives a hundred workloads in one process.

    pytest tests/test_parity.py -k torch

A compiler takes seconds over each cell, so whoever compiles has a part of them here, fixed
by rule. `bakeoff check torch:compile`, and so on, has all.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.core import discovery
from adapters.core.cost import cost, declare
from harness.host import machine
from harness.plan import inventory
from harness.plan.planning import planned_contender
from harness.process.processes import WorkerFailed, WorkerProcess
from suites import catalogue
from tests import inside

THREADS = machine.threads()
# All convnets, at a small batch; the large ones on smaller images, where their first linear
# layer shrinks as well (OverFeat's and VGG's weights are half a gigabyte else). And the block
# that takes the reference as long as all the others.
CONVNETS = tuple(name for name, w in catalogue.load().items() if w.kind == "convnet")
CONVNETS_SOME = ("threelayer", "alexnet", "resnet20")
SMALLER = {"alexnet": 127, "googlenet": 224, "resnet18": 96, "mobilenet_v2": 96}
SMALLER |= {"resnet50": 64, "overfeat": 127, "vgg_a": 64, "vgg_stage": 28}

Key = tuple[str, str, int, int | None]  # workload, direction, batch, size


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


def _open(python: Path, adapter: str, variant: str, precision: str, folder: Path) -> WorkerProcess:
    # One compiler cache for all tests: else each prepares the compiler's own headers anew.
    environment = machine.worker_environment("cpu", THREADS, folder.parent / "compiled")
    worker = WorkerProcess(python, environment, folder / f"{adapter}-{variant}-{precision}.txt")
    worker.ask(
        "open", adapter=adapter, variant=variant, device="cpu", precision=precision, threads=THREADS
    )
    return worker


class Oracle:
    """The reference's answers, each computed once, for all who test side by side."""

    def __init__(self, folder: Path, answers: Path):
        self.folder, self.answers = folder, answers
        self._worker: WorkerProcess | None = None

    @property
    def worker(self) -> WorkerProcess:
        if self._worker is None:
            self._worker = _open(Path(sys.executable), "reference", "", "float64", self.folder)
        return self._worker

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()

    def answer(self, key: Key, precision: str) -> Path:
        path = self.answers / f"{'-'.join(map(str, key))}-{precision}.npz"
        if not path.exists():
            own = self.folder / path.name
            _load(self.worker, key)
            self.worker.ask("first")
            self.worker.ask("answer", path=str(own), rows=None, precision=precision)
            self.worker.ask("unload")
            own.rename(path)  # whole, or not there
        return path


def _load(worker: WorkerProcess, key: Key) -> None:
    name, direction, batch, size = key
    worker.ask("load", workload=name, direction=direction, batch=batch, size=size)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    session = tmp_path_factory.getbasetemp()
    answers = (session.parent if "PYTEST_XDIST_WORKER" in os.environ else session) / "answers"
    answers.mkdir(exist_ok=True)
    oracle = Oracle(tmp_path_factory.mktemp("oracle"), answers)
    yield oracle
    oracle.close()


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
        worker = _open(python, adapter, variant, precision, folder)
    except WorkerFailed as failed:
        if failed.status != "unsupported" or precision == "float32":
            raise
        pytest.skip(failed.reason)
    wrong, manifest = [], {}
    try:
        for key in _able(contender, cells):
            try:
                _load(worker, key)
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


def _skip_if_missing(contender: tuple[str, str, Path]) -> None:
    adapter, variant, _ = contender
    reason = discovery.adapter_class(adapter).missing(variant) if variant == "compile" else None
    if reason and "not installed" not in reason:
        pytest.skip(reason)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_every_operation_is_right(
    oracle: Oracle, contender: tuple[str, str, Path], precision: str, tmp_path: Path
) -> None:
    """Output, loss, gradients, batch-norm state, update; float64 gradients to 1e-11."""
    _skip_if_missing(contender)
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
    _skip_if_missing(contender)
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
    _skip_if_missing(native)
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
    _skip_if_missing(("torch", "compile", python))
    cells = [("check_flatten_linear", "train", 3, None), ("resnet_basic", "infer", 2, None)]
    wrong, manifest = _wrong(oracle, ("torch", variant, python), "float32", cells, tmp_path)
    assert not wrong, "\n".join(wrong)
    assert manifest["autotune"] == (manifest["autotuned"] > 0)
    assert (manifest["graphs"], "max-autotune" in manifest["mode"]) == ("none", True)
    assert manifest["compilations"] == len(cells)


def test_what_is_compiled_from_contiguous_inputs_is_right(oracle: Oracle, tmp_path: Path) -> None:
    python = inside.python_of("torch")
    _skip_if_missing(("torch", "compile", python))
    cells = [(name, "train", 3, None) for name in ("check_conv7x7_stride2", "check_flatten_linear")]
    contender = ("torch", "compile-contiguous", python)
    wrong, manifest = _wrong(oracle, contender, "float32", cells, tmp_path)
    assert not wrong, "\n".join(wrong)
    assert manifest["layout"] == "NCHW, or what inductor chose"


def test_max_autotune_infers_by_graphs_and_trains_without() -> None:
    """A graph would copy all weights at every replay. What inductor is asked, without a GPU."""
    code = (
        "from adapters.torch import Torch; from suites import catalogue\n"
        "adapter, net = Torch('compile', 'cpu', 'float32', 1), catalogue.get('threelayer')\n"
        "adapter.options = {'compile': 'max-autotune'}\n"
        "adapter.torch.compile = lambda function, mode, **_: print(mode, end=' ') or function\n"
        "adapter.infer(net), print(adapter.graphs, end=' ')\n"
        "adapter.train(net, 0.1, 0.9), print(adapter.graphs, end=' ')\n"
        "adapter.gradients(net, set()), adapter.infer(net), print(adapter.graphs)\n"
    )
    trained = "max-autotune-no-cudagraphs"
    told = inside.run("torch", code)
    assert told.split() == f"max-autotune True {trained} False {trained} max-autotune True".split()


def test_frozen_weights_are_packed_beforehand_and_not_trained() -> None:
    """Inductor leaves them as they are, and says nothing, where they are not a module's own."""
    _skip_if_missing(("torch", "compile", inside.python_of("torch")))
    code = (
        "from torch._dynamo.utils import counters; from adapters.core.base import Unsupported\n"
        "from adapters.torch import Torch; from harness.worker.cell import Cell\n"
        "from suites import catalogue\n"
        "net = catalogue.get('resnet_basic')\n"
        "torch = Torch('compile-freezing', 'cpu', 'float32', 1)\n"
        "cell = Cell(torch, net, 2, 'infer')\n"
        "cell.build(); cell.step()\n"
        "found = counters['inductor']\n"
        "assert found['binary_folding'] > 0, 'batch norm stays where it was'\n"
        "assert found['mkldnn_conv_weight_pack_matcher_count'] == 2, 'weights stay as they were'\n"
        "try: Cell(torch, net, 2, 'train').build()\n"
        "except Unsupported as reason: assert 'does not train' in str(reason)\n"
        "else: raise AssertionError('it trains')\n"
    )
    inside.run("torch", code)
    frozen = planned_contender(inventory.parse("torch:compile-freezing"))
    assert not frozen.trains  # so that no comparison of training holds it


def test_a_native_model_of_which_one_result_is_asked_takes_its_step() -> None:
    """Its state is inside it: what it began with is no state that a step could return."""
    code = (
        "import numpy as np; from adapters.torch_nn import TorchNN\n"
        "from harness.worker.cell import Cell; from suites import catalogue\n"
        "answers = []\n"
        "for once in (False, True):\n"
        "    adapter = TorchNN('', 'cpu', 'float32', 1)\n"
        "    cell = Cell(adapter, catalogue.get('threelayer'), 2, 'train', once=once)\n"
        "    cell.build()\n"
        "    answers.append(cell.answer(cell.step()))\n"
        "plain, once = answers\n"
        "assert plain.keys() == once.keys()\n"
        "assert np.abs(once['gradient:conv.weight']).max() > 0, once.keys()\n"
        "assert all(np.allclose(plain[name], once[name]) for name in plain)\n"
    )
    inside.run("torch", code)


def test_tensorflow_s_frozen_weights_are_constants_that_batch_norm_is_folded_into() -> None:
    """No variable is read in its graph, other weights are frozen anew, and none is trained."""
    code = (
        "import numpy as np; from adapters.core.base import Unsupported\n"
        "from adapters.tensorflow import TensorFlow; from harness.worker.cell import Cell\n"
        "from suites import catalogue\n"
        "net = catalogue.get('resnet_basic')\n"
        "tensorflow = TensorFlow('frozen', 'cpu', 'float32', 1)\n"
        "made, answers = [], []\n"
        "function = tensorflow._function\n"
        "tensorflow._function = lambda of: made.append(function(of)) or made[-1]\n"
        "call = tensorflow.infer(net)\n"
        "for seed in (0, 1, 0):\n"
        "    cell = Cell(tensorflow, net, 2, 'infer', seed=seed)\n"
        "    cell.build(); cell.feed(0)\n"
        "    tensorflow.infer = lambda workload: call\n"
        "    params = tensorflow.bind(net, 2, cell._weights())\n"
        "    answers.append(call(params, cell._x).numpy()); call(params, cell._x)\n"
        "assert len(made) == 3, made\n"
        "assert np.array_equal(answers[0], answers[2])\n"
        "assert not np.allclose(answers[0], answers[1])\n"
        "graph = call.__closure__\n"
        "kinds = {op.type for cell in graph if hasattr(cell.cell_contents, 'graph')\n"
        "         for op in cell.cell_contents.graph.get_operations()}\n"
        "assert 'Conv2D' in kinds and 'Const' in kinds and 'ReadVariableOp' not in kinds, kinds\n"
        "try: Cell(tensorflow, net, 2, 'train').build()\n"
        "except Unsupported as reason: assert 'does not train' in str(reason)\n"
        "else: raise AssertionError('it trains')\n"
    )
    inside.run("tensorflow", code)
    assert not planned_contender(inventory.parse("tensorflow:frozen")).trains


def test_jax_s_batch_norm_needs_no_second_pass_for_its_gradient_s_sums() -> None:
    """A sum over the image that waits for another is one more time that it is read."""
    code = (
        "import jax; from adapters.jax import Jax\n"
        "def waits(jaxpr, given):\n"
        "    at = dict(zip(jaxpr.invars, given))\n"
        "    for each in jaxpr.eqns:\n"
        "        before = [0 if hasattr(v, 'val') else at.get(v, 0) for v in each.invars]\n"
        "        inner = [p.jaxpr for p in each.params.values() if hasattr(p, 'jaxpr')]\n"
        "        sums = each.primitive.name == 'reduce_sum' and each.invars[0].aval.ndim == 4\n"
        "        after = waits(inner[0], before) if inner else [max(before, default=0) + sums]\n"
        "        at |= zip(each.outvars, after * len(each.outvars))\n"
        "    return [at.get(v, 0) for v in jaxpr.outvars]\n"
        "adapter, vector = Jax('', 'cpu', 'float32', 1), jax.numpy.ones(4)\n"
        "def total(x, scale, shift):\n"
        "    y, *_ = adapter.batch_norm_train(x, scale, shift, shift, scale, 0.1, 1e-5)\n"
        "    return (y**2).sum()\n"
        "image = jax.numpy.ones((2, 3, 3, 4))\n"
        "traced = jax.make_jaxpr(jax.grad(total, (0, 1, 2)))(image, vector, vector)\n"
        "image, scale, shift = waits(traced.jaxpr, [0] * 3)\n"
        "assert image == scale == shift, (image, scale, shift)\n"
    )
    inside.run("jax", code, CUDA_VISIBLE_DEVICES="")


def test_tensorflow_s_batch_norm_by_xla_needs_no_second_pass_for_its_gradient_s_sums() -> None:
    """As above: the batch's mean, its variance, then all sums of the backward pass at once."""
    code = (
        "from adapters.tensorflow import TensorFlow; from harness.worker.cell import Cell\n"
        "from suites import catalogue\n"
        "adapter = TensorFlow('xla', 'cpu', 'float32', 1)\n"
        "cell = Cell(adapter, catalogue.get('check_batch_norm'), 3, 'fwd_bwd')\n"
        "cell.build(), cell.step()\n"
        "graph, waits = adapter._functions[0].get_concrete_function(cell._x, cell._y).graph, {}\n"
        "for op in graph.get_operations():\n"
        "    sums = op.type in ('Sum', 'Mean') and op.inputs[0].shape.rank == 4\n"
        "    waits[op.name] = max([waits[x.op.name] for x in op.inputs], default=0) + sums\n"
        "print(max(waits.values()))\n"
    )
    assert int(inside.run("tensorflow", code, CUDA_VISIBLE_DEVICES="")) == 3


def test_graphs_that_inductor_skipped_are_told_of_the_workload_that_it_was() -> None:
    """It runs without them then, and says so in its log alone."""
    code = (
        "from torch._dynamo.utils import counters; from adapters.torch import Torch\n"
        "adapter = Torch('compile', 'cpu', 'float32', 1)\n"
        "adapter.mode = 'reduce-overhead'\n"
        "for skips in (0, 1, 0):\n"
        "    counters['inductor']['cudagraph_skips'] += skips\n"
        "    print(adapter.manifest()['graphs'])\n"
        "    adapter.reset()\n"
    )
    assert inside.run("torch", code).splitlines() == ["CUDA graphs", "skipped", "CUDA graphs"]


@pytest.mark.parametrize(
    ("variant", "layout"),
    [("", "NHWC, or what Grappler chose"), ("xla", "NHWC"), ("eager", "NHWC")],
)
def test_tensorflow_s_layout_on_a_gpu_is_told_as_far_as_it_is_known(
    variant: str, layout: str
) -> None:
    """Grappler's layout optimizer may turn a graph's round."""
    code = (
        "from adapters.tensorflow import TensorFlow\n"
        f"adapter = TensorFlow('{variant}', 'cpu', 'float32', 1)\n"
        "for adapter.device in ('cpu', 'cuda'):\n"
        "    print(adapter.manifest()['layout'])\n"
    )
    told = inside.run("tensorflow", code, CUDA_VISIBLE_DEVICES="")
    assert told.splitlines() == ["NHWC", layout]


def test_tensorflow_has_the_threads_and_the_kernels_that_its_manifest_says(
    tmp_path: Path,
) -> None:
    """As shipped it runs as many operations side by side as it has cores; oneDNN may be off."""
    python = inside.python_of("tensorflow")
    environment = machine.worker_environment("cpu", 2, tmp_path) | {"TF_ENABLE_ONEDNN_OPTS": "0"}
    worker = WorkerProcess(python, environment, tmp_path / "log.txt")
    try:
        how = {"variant": "", "device": "cpu", "precision": "float32", "threads": 2}
        manifest = worker.ask("open", adapter="tensorflow", **how)["manifest"]
    finally:
        worker.close()
    assert (manifest["threads"], manifest["threads_inter_op"]) == (2, 2)
    assert manifest["onednn"] == "off"


@pytest.mark.parametrize(("onednn", "convolutions"), [("1", 1), ("0", 2)])
def test_tensorflow_splits_a_grouped_convolution_only_where_it_must(
    onednn: str, convolutions: int
) -> None:
    """oneDNN has its gradients, and takes a third of the time; Eigen has none."""
    code = (
        "from adapters.tensorflow import TensorFlow; from harness.worker.cell import Cell\n"
        "from suites import catalogue\n"
        "adapter = TensorFlow('', 'cpu', 'float32', 1)\n"
        "cell = Cell(adapter, catalogue.get('check_conv3x3_groups2'), 2, 'fwd_bwd')\n"
        "cell.build(), cell.step()\n"
        "graph = adapter._functions[0].get_concrete_function(cell._x, cell._y).graph\n"
        "print([op.type for op in graph.get_operations()].count('Conv2D'))\n"
    )
    told = inside.run("tensorflow", code, TF_ENABLE_ONEDNN_OPTS=onednn, CUDA_VISIBLE_DEVICES="")
    assert int(told) == convolutions


@pytest.mark.parametrize(
    ("variant", "direction", "pads"), [("", "infer", 0), ("", "fwd_bwd", 1), ("xla", "infer", 1)]
)
def test_tensorflow_pads_before_max_pooling_only_where_it_must(
    variant: str, direction: str, pads: int
) -> None:
    """XLA has no pooling that pads so, and its gradient is slower by oneDNN."""
    code = (
        "from adapters.tensorflow import TensorFlow; from harness.worker.cell import Cell\n"
        "from suites import catalogue\n"
        f"adapter = TensorFlow('{variant}', 'cpu', 'float32', 1)\n"
        "net = catalogue.get('check_max_pool3_stride2_padded')\n"
        f"cell = Cell(adapter, net, 2, '{direction}')\n"
        "cell.build(), cell.step()\n"
        f"fed = (cell._x,) if '{direction}' == 'infer' else (cell._x, cell._y)\n"
        "graph = adapter._functions[0].get_concrete_function(*fed).graph\n"
        "print([op.type for op in graph.get_operations()].count('PadV2'))\n"
    )
    told = inside.run("tensorflow", code, CUDA_VISIBLE_DEVICES="")
    assert int(told) == pads


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
