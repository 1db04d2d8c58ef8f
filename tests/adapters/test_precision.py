"""Claims about precisions: the low ones are right, each is what it says, none mixes in silence."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.core.precision import MIXED, PRECISIONS
from adapters.core.reference import Reference
from adapters.numpy import NumPy
from harness.host import machine
from harness.process.processes import WorkerFailed
from harness.record import records
from harness.worker import verify
from harness.worker.cell import Cell
from reports.analysis import Comparison
from reports.verdicts import analyse
from suites import catalogue
from tests.support import inside
from tests.support.synthetic import write_run
from tests.support.workers import THREADS, Oracle, load, ready

# Convolutions with and without stride, two forms of batch norm, a residual, both poolings,
# concatenation; the loss.
BLOCKS = [
    ("resnet_basic_down", "train", 2, None),
    ("resnet_basic_down", "infer", 2, None),
    ("inception_3a", "infer", 2, None),
    ("lenet5", "train", 4, None),
]
FRAMEWORKS = ("torch", "tensorflow", "jax")


@pytest.mark.parametrize("adapter", FRAMEWORKS)
@pytest.mark.parametrize("precision", MIXED)
def test_blocks_in_mixed_precision_are_right_and_low(
    oracle: Oracle,
    adapter: str,
    precision: str,
    tmp_path: Path,
) -> None:
    worker, opened = ready(adapter, precision, tmp_path)
    assert opened["manifest"]["conv_precision"] == precision
    try:
        for key in BLOCKS if precision == "bfloat16" else BLOCKS[:2]:
            load(worker, key)
            worker.ask("first")
            found = worker.ask("verify", oracle=str(oracle.answer(key, "float32")), rows=None)
            assert found["ok"], f"{key}: {found['reason']}"
            assert found["oracle"]["ran"] == verify.LOW, key
            worker.ask("unload")
    finally:
        worker.close()


@pytest.mark.parametrize("precision", ["float32", *MIXED])
def test_openvino_computes_in_what_is_asked_where_its_processor_can(
    oracle: Oracle,
    precision: str,
    tmp_path: Path,
) -> None:
    """Left to itself it takes bfloat16 for float32 where there is one, at half the time."""
    try:
        worker, _ = ready("openvino", precision, tmp_path)
    except WorkerFailed as failed:
        assert (failed.status, precision in MIXED) == ("unsupported", True)
        assert failed.reason == f"OpenVINO would not compute in {precision} on this processor"
        pytest.skip(failed.reason)
    try:
        for key in (key for key in BLOCKS if key[1] == "infer"):
            load(worker, key)
            assert worker.ask("first")["manifest"]["conv_precision"] == precision
            found = worker.ask("verify", oracle=str(oracle.answer(key, "float32")), rows=None)
            assert found["ok"], f"{key}: {found['reason']}"
            assert found["oracle"]["ran"] == (verify.LOW if precision in MIXED else precision)
            worker.ask("unload")
    finally:
        worker.close()


@pytest.mark.parametrize("adapter", FRAMEWORKS)
def test_parameters_and_momentum_of_mixed_precision_are_float32(
    adapter: str, tmp_path: Path
) -> None:
    """What `place` was given comes back whole: only images are low."""
    worker, _ = ready(adapter, "bfloat16", tmp_path)
    try:
        load(worker, ("lenet5", "train", 2, None))
        worker.ask("first")
        worker.ask("answer", path=str(tmp_path / "a.npz"), rows=None, precision="float64")
    finally:
        worker.close()
    with np.load(tmp_path / "a.npz") as found:
        for name in (n for n in found.files if n.startswith("params:")):
            bits = found[name].astype(np.float32).view(np.uint32)
            assert (bits & 0xFFFF).any(), f"{name} has a bfloat16's bits alone"


@pytest.mark.parametrize("adapter", FRAMEWORKS)
def test_what_comes_in_is_low_and_so_is_its_gradient_but_after_a_scaled_loss(adapter: str) -> None:
    """Written in float32 it would be twice the bytes. A probe's features are low as images are."""
    code = (
        "from adapters.core import discovery; from harness.worker.cell import Cell\n"
        "from suites import catalogue\n"
        f"kind = discovery.adapter_class('{adapter}')\n"
        "for name in ('check_conv3x3_bias', 'check_linear'):\n"
        "    for precision in ('bfloat16', 'float16'):\n"
        "        cell = Cell(kind('', 'cpu', precision, 1), catalogue.get(name), 2, 'fwd_bwd')\n"
        "        cell.build()\n"
        "        _, found = cell.step()\n"
        "        weights = {str(g.dtype) for n, g in found.items() if n != 'input'}\n"
        "        print(str(cell._x.dtype), str(found['input'].dtype), *weights)\n"
    )
    found = inside.run(adapter, code, CUDA_VISIBLE_DEVICES="")
    kinds = re.findall(r"b?float\d+", found)
    assert kinds == 2 * ["bfloat16", "bfloat16", "float32", "float16", "float32", "float32"]


@pytest.mark.parametrize(
    ("adapter", "switch"),
    [
        ("jax", "adapter.jax.config.jax_default_matmul_precision == 'highest'"),
        (
            "tensorflow",
            "not adapter.tf.config.experimental.tensor_float_32_execution_enabled()",
        ),
    ],
)
def test_float32_s_switch_is_left_alone_where_operands_are_low(adapter: str, switch: str) -> None:
    """XLA gives Triton no product of which it asks more than the default, whatever its type."""
    code = (
        f"from adapters.core import discovery; kind = discovery.adapter_class('{adapter}')\n"
        "for precision in ('bfloat16', 'float32', 'float16'):\n"
        "    adapter = kind('', 'cpu', precision, 1)\n"
        "    adapter.device = 'cuda'\n"
        "    told = adapter.manifest()\n"
        "    assert told['conv_precision'] == told['matmul_precision'] == precision, told\n"
        "    assert told['tf32_conv'] is told['tf32_matmul'] is False, told\n"
        f"    print({switch})\n"
    )
    told = inside.run(adapter, code, CUDA_VISIBLE_DEVICES="")
    assert told.split() == ["False", "True", "False"]


class Lowered(NumPy):
    """Its convolutions round their operands to bfloat16, and its manifest says float32.

    What oneDNN does to float32 where it is told to (on processors with AMX alone), planted
    where every machine shows it.
    """

    def conv2d(self, x: Any, weight: Any, *rest: Any) -> Any:
        for node in (x, weight):
            node.value = (node.value.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        return super().conv2d(x, weight, *rest)


@pytest.mark.parametrize("direction", ["infer", "fwd_bwd", "train"])
def test_float32_that_is_lowered_in_silence_is_wrong_and_named(direction: str) -> None:
    workload = catalogue.get("resnet_basic")
    answers = []
    for kind, precision in ((Reference, "float64"), (NumPy, "float32"), (Lowered, "float32")):
        cell = Cell(kind("", "cpu", precision, THREADS), workload, 2, direction)
        cell.build()
        answers.append(cell.answer(cell.step()))
    right, low = (verify.compare(answer, answers[0], "float32") for answer in answers[1:])
    assert (right.ok, right.ran) == (True, "float32")
    assert (low.ok, low.ran) == (False, verify.LOW)


@pytest.mark.parametrize("adapter", FRAMEWORKS)
def test_a_shell_that_tells_onednn_to_lower_reaches_no_worker(
    oracle: Oracle,
    adapter: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ONEDNN_DEFAULT_FPMATH_MODE", "TF_SET_ONEDNN_FPMATH_MODE"):
        monkeypatch.setenv(name, "BF16")
    assert machine.worker_environment("cpu", 1, tmp_path).items() >= {
        ("ONEDNN_DEFAULT_FPMATH_MODE", "STRICT"), ("TF_SET_ONEDNN_FPMATH_MODE", "STRICT")
    }  # fmt: skip
    worker, _ = ready(adapter, "float32", tmp_path)
    try:
        load(worker, BLOCKS[1])
        worker.ask("first")
        found = worker.ask("verify", oracle=str(oracle.answer(BLOCKS[1], "float32")), rows=None)
    finally:
        worker.close()
    assert found["ok"]
    assert found["oracle"]["ran"] == "float32"


@pytest.mark.parametrize(
    ("precision", "told", "matmul"), [("tf32", "tf32", "high"), ("float32", "ieee", "highest")]
)
def test_precision_is_told_by_old_and_new_names_to_torch(
    precision: str, told: str, matmul: str
) -> None:
    """Releases of inductor ask by one or the other; an old name raises where the new disagree."""
    code = (
        "import torch; from unittest import mock; from adapters.torch import Torch\n"
        "a_gpu = dict(is_available=lambda: True, get_device_capability=lambda: (9, 0))\n"
        "with mock.patch.multiple(torch.cuda, **a_gpu):\n"
        f"    Torch('', 'cuda', '{precision}', 1)\n"
        f"assert torch.get_float32_matmul_precision() == '{matmul}'\n"
        "b = torch.backends\n"
        "for leaf in (b.cuda.matmul, b.cudnn.conv, b.cudnn):\n"
        f"    assert leaf.fp32_precision == '{told}'\n"
        f"for old in (b.cuda.matmul, b.cudnn): assert old.allow_tf32 is {precision == 'tf32'}\n"
        "assert b.mkldnn.conv.fp32_precision == 'ieee'\n"
    )
    inside.run("torch", code)


def test_a_call_in_one_precision_enters_no_autocast() -> None:
    """Its users' calls do not; even switched off it took a tenth of the shortest calls."""
    code = (
        "import torch; from unittest import mock; from adapters.torch import Torch\n"
        "from harness.worker.cell import Cell; from suites import catalogue\n"
        "net = catalogue.get('lenet5')\n"
        "for precision, entered in (('float32', 0), ('bfloat16', 1)):\n"
        "    for direction in ('infer', 'train'):\n"
        "        cell = Cell(Torch('', 'cpu', precision, 1), net, 2, direction)\n"
        "        cell.build()\n"
        "        with mock.patch.object(torch, 'autocast', wraps=torch.autocast) as autocast:\n"
        "            cell.step()\n"
        "        assert autocast.call_count == entered, (precision, direction)\n"
    )
    inside.run("torch", code)


# --- what an error shows ------------------------------------------------------------------------


def _answer(noise: float, seed: int = 0) -> dict[str, np.ndarray]:
    rng, errors = np.random.default_rng(0), np.random.default_rng(seed)
    shapes = {"loss": (), "gradient:a.weight": (8, 9), "gradient:b.weight": (30,)}
    shapes["stats:bn.mean"] = (20,)
    exact = {name: rng.standard_normal(shape) + 2 for name, shape in shapes.items()}
    return {
        name: np.asarray(value * (1 + noise * errors.standard_normal(np.shape(value))))
        for name, value in exact.items()
    }


@pytest.mark.parametrize(
    ("noise", "ran"),
    [(1e-14, "float64"), (3e-7, "float32"), (3e-4, verify.LOW), (3e-3, verify.LOW)],
)
@pytest.mark.parametrize("asked", PRECISIONS)
def test_the_error_shows_what_ran_whatever_was_asked_for(
    noise: float, ran: str, asked: str
) -> None:
    assert verify.compare(_answer(noise, 1), _answer(0), asked).ran == ran


def test_a_flipped_branch_shows_nothing_and_condemns_nobody() -> None:
    """Gradients off by percents, where loss and state are right to float32."""
    found = _answer(1e-7, 1)
    for name in ("gradient:a.weight", "gradient:b.weight"):
        found[name].flat[0] *= 1.02
    assert verify.compare(found, _answer(0), "float32").ran is None


# --- who is ranked with whom --------------------------------------------------------------------

NET = ("resnet18", "convnet", 1, 224, "infer", True)


def _comparison(folder: Path, changed: dict[str, dict[str, Any]], precision: str) -> Comparison:
    """A run of three, in which some cells' manifest or oracle say something else."""
    run = write_run(folder / "run", {"torch": 1.0, "jax": 0.5, "tensorflow": 2.0}, workloads=[NET])
    plan = json.loads((run / "plan.json").read_text())
    plan["comparisons"][0]["precision"] = precision
    (run / "plan.json").write_text(json.dumps(plan))
    [path] = run.glob("records-*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in (line for line in lines if line["kind"] == "cell"):
        alike = {"conv_precision": precision, "matmul_precision": precision, "threads": 2}
        low = verify.LOW if precision in MIXED else precision
        mine = changed.get(line["contender"], {})
        line["manifest"] |= alike | {k: v for k, v in mine.items() if k != "ran"}
        line["oracle"] |= {"ran": mine.get("ran", low), "ran_error": 1e-3}
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    analysis = analyse(records.read(run))
    said = [w["what"] for w in analysis.warnings if "another precision ran" in w["what"]]
    assert bool(said) == any("ran" in mine for mine in changed.values())
    return analysis.comparisons[0]


@pytest.mark.parametrize(
    ("different", "precision", "reason"),
    [
        ({"conv_precision": "tf32"}, "float32", "convolutions in tf32.*convolutions in float32"),
        ({"tf32_matmul": True}, "float32", "TF32 for matrix products: on"),
        ({"threads": 4}, "float32", "4 threads.*2 threads"),
        ({"ran": "less than float32"}, "float32", "less than float32, float32 was asked for"),
        ({"ran": "float32"}, "bfloat16", "that of float32, bfloat16 was asked for"),
    ],
)
def test_who_ran_otherwise_is_shown_with_the_reason_and_not_ranked(
    different: dict[str, Any], precision: str, reason: str, tmp_path: Path
) -> None:
    alike = {"tf32_matmul": False} if "tf32_matmul" in different else {}
    changed = {"torch": alike, "tensorflow": alike, "jax": different}
    changed = {name: told for name, told in changed.items() if told}
    found = _comparison(tmp_path, changed, precision)
    jax = found.cell("jax")
    assert jax.status == "incomparable" and jax.seconds is not None
    assert re.search(reason, jax.reason or ""), jax.reason
    assert found.winner == "torch"  # though jax takes half the time
    assert all("jax" not in (pair.a, pair.b) for pair in found.ratios)


def test_layout_mode_and_autotuning_exclude_nobody(tmp_path: Path) -> None:
    changed = {"jax": {"layout": "NCHW", "mode": "jit", "autotune": True, "graphs": "CUDA graphs"}}
    found = _comparison(tmp_path, changed, "float32")
    assert {cell.status for cell in found.cells} == {"ok"}
    assert found.winner == "jax"


@pytest.mark.parametrize(("precision", "allowed"), [("float32", "0"), ("tf32", "1")])
def test_onnx_runtime_is_told_on_a_gpu_whether_it_may_use_tf32(
    precision: str, allowed: str
) -> None:
    """Unset it may. What its provider is given, without a GPU."""
    code = (
        "from adapters.onnxruntime import OnnxRuntime\n"
        "adapter = OnnxRuntime('', 'cpu', 'float32', 1)\n"
        f"adapter.device, adapter.precision = 'cuda', '{precision}'\n"
        "def session(model, options, providers):\n"
        "    told = adapter.manifest()\n"
        "    print(providers[0][1]['use_tf32'], told['tf32_conv'], told['conv_precision'])\n"
        "    raise SystemExit\n"
        "adapter.ort.InferenceSession = session\n"
        "adapter.opens('', None)\n"
    )
    told = inside.run("onnxruntime", code).split()
    assert told == [allowed, str(allowed == "1"), precision]


# --- what there is not --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adapter", "variant", "precision", "reason"),
    [
        ("numpy", "", "bfloat16", "float32 and float64, not bfloat16"),
        ("torch", "", "tf32", "a CPU has none"),
        ("onnxruntime", "", "tf32", "a CPU has none"),
        ("torch", "compile-max-autotune", "float32", "no-cudagraphs is the same there"),
        ("torch", "compile-reduce-overhead", "float32", "torch:compile is the same there"),
    ],
)
def test_what_cannot_be_is_unsupported_with_the_reason(
    adapter: str, variant: str, precision: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(WorkerFailed) as failed:
        ready(adapter, precision, tmp_path, variant)
    assert failed.value.status == "unsupported"
    assert reason in failed.value.reason
