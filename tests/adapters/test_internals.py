"""Claims about what a framework really runs: graphs, constants, threads, passes over memory.

In each framework's own environment; that it computes the right thing is told in test_parity.py.
"""

from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.core.native import Native
from harness.host import machine
from harness.plan import inventory
from harness.plan.planning import planned_contender
from harness.process.processes import WorkerProcess
from tests.support import inside


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
    inside.skip_without_compiler("torch", "compile")
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


@pytest.mark.parametrize("what", ["memory", "forget_trials", "manifest", "reset"])
def test_a_native_model_leaves_the_device_to_its_framework_s_own_adapter(what: str) -> None:
    asked: list[str] = []
    model = Native.__new__(Native)
    model.home = SimpleNamespace(**{what: lambda: asked.append(what)})  # type: ignore[assignment]
    getattr(model, what)()
    assert asked == [what]


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


def test_torch_moves_a_batch_norms_statistics_in_place_as_its_modules_do() -> None:
    """A copy of each would be two launches a layer more than its users have; what is compiled
    fuses it."""
    code = (
        "import torch; from adapters.torch import Torch\n"
        "mean, var = torch.zeros(3), torch.ones(3)\n"
        "x, one = torch.randn(2, 3, 4, 4), torch.ones(3)\n"
        "for variant, same in (('', True), ('compile', False)):\n"
        "    eager = Torch(variant, 'cpu', 'float32', 1)\n"
        "    _, *moved = eager.batch_norm_train(x, one, one, mean, var, 0.1, 1e-5)\n"
        "    assert (moved[0] is mean, moved[1] is var) == (same, same)\n"
        "    assert (mean != 0).all()\n"
    )
    inside.run("torch", code)
