"""Claims about which code of this project stands behind a contender's figures."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.core import cost, discovery
from harness.paths import ROOT
from harness.plan import code
from suites import catalogue
from suites.workload import Workload

NAMES = {*discovery.names(), "keras:torch", "keras:jax"}


def _stem(kind: type) -> str:
    return kind.__module__.rpartition(".")[2]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This project's code in a folder of its own, which is what is hashed."""
    for folder in ("adapters", "harness", "suites"):
        shutil.copytree(code.ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    monkeypatch.setattr(code, "_home", lambda kind: tmp_path / f"adapters/{_stem(kind)}.py")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "of"),
    [
        ("adapters/torch.py", {"torch", "torch_nn", "keras:torch"}),
        ("adapters/torch_nn.py", {"torch_nn"}),
        ("adapters/jax.py", {"jax", "flax", "keras:jax"}),
        ("adapters/tensorflow.py", {"tensorflow", "keras"}),
        ("adapters/c.c", {"c"}),
        ("adapters/torch7.lua", {"torch7"}),
        ("adapters/core/engine.py", {"litert", "onnxruntime", "openvino"}),
        ("adapters/core/onnx_graph.py", {"onnxruntime", "openvino"}),
        ("adapters/core/tflite_graph.py", {"litert"}),
        (
            "adapters/core/layout.py",
            {"c", "jax", "litert", "mlx", "numpy", "tensorflow"}
            | {"flax", "keras", "keras:jax", "keras:torch", "torch_nn"},
        ),
        ("adapters/core/same.py", {"tensorflow", "keras", "litert"}),
        ("adapters/core/network.py", NAMES),
        ("harness/worker/timing.py", NAMES),
        ("harness/stats/statistics.py", set()),
        ("harness/cli.py", set()),
        ("suites/convnets.py", set()),
    ],
)
def test_a_change_of_a_file_is_a_change_of_whom_it_runs_for(
    copy: Path, file: str, of: set[str]
) -> None:
    before = {name: code.behind(*name.split(":")) for name in NAMES}
    whole = code.everything()
    path = copy / file
    path.write_text(path.read_text() + "\n")
    assert {name for name in before if code.behind(*name.split(":")) != before[name]} == of
    assert code.everything() != whole


def test_a_run_goes_on_when_an_adapter_was_edited_that_takes_no_part(copy: Path) -> None:
    def measuring() -> list[str]:
        return [code.measuring([("torch", ""), ("jax", "")]), code.measuring([("numpy", "")])]

    before = measuring()
    (copy / "adapters" / "another.py").write_text("")
    assert measuring() == before
    path = copy / "adapters" / "jax.py"
    path.write_text(path.read_text() + "\n")
    assert [was == now for was, now in zip(before, measuring(), strict=True)] == [False, True]
    (copy / "suites" / "convnets.py").write_text("")
    assert [was == now for was, now in zip(before, measuring(), strict=True)] == [False, False]


@pytest.mark.parametrize(
    "file", ["tests/torch_agreement.py", "tests/data/traces/conv-small.npz", "suites/quick.toml"]
)
def test_what_a_proof_reads_beside_the_code_decides_of_it_as_well(copy: Path, file: str) -> None:
    shutil.copytree(ROOT / "tests/data/traces", copy / "tests/data/traces")
    shutil.copy(ROOT / "tests/torch_agreement.py", copy / "tests")
    before, whole = code.proving(), code.everything()
    (copy / file).write_bytes(b"")
    assert code.proving() != before and code.everything() == whole


def test_an_editor_s_lock_beside_a_file_is_no_code(copy: Path) -> None:
    """A link to nowhere, there as soon as somebody types."""
    before = code.everything()
    (copy / "harness" / ".#runner.py").symlink_to("somebody@here.1234")
    assert code.everything() == before


def test_contenders_of_different_code_have_different_hashes() -> None:
    hashes = [code.behind(name) for name in discovery.names()]
    assert len({*hashes, code.everything()}) == len(hashes) + 1


def _of(width: int, kernel: int, relu: bool) -> str:
    def network(net, x):  # type: ignore[no-untyped-def]
        x = net.conv("conv", x, width=width, kernel=kernel, padding=kernel // 2)
        return net.relu(x) if relu else x

    workload = Workload("probe", "check", network, (3, 8, 8), 2, "one")
    return cost.cost(workload, 2, "infer").identity


def test_a_gradient_of_the_input_is_other_work_where_there_is_a_backward_pass() -> None:
    layer = catalogue.get("conv3x3_64_56")
    without = replace(layer, input_gradient=False)
    assert layer.input_gradient
    for direction, other in (("fwd_bwd", True), ("train", False), ("infer", False)):
        asked = [cost.cost(each, 2, direction).identity for each in (layer, without)]
        assert (asked[0] != asked[1]) == other, direction


def test_other_operations_are_other_work() -> None:
    asked = [_of(4, 3, True), _of(8, 3, True), _of(4, 5, True), _of(4, 3, False)]
    assert len(set(asked)) == len(asked)
    assert _of(4, 3, True) == asked[0]
