"""Claims about `bakeoff export`: any workload, as a model that others compute as we do."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from adapters.core.reference import Reference
from harness import export
from harness.errors import Wrong
from harness.install import environments
from harness.worker.cell import Cell, inputs
from suites import catalogue
from tests.conftest import Typed
from tests.support import inside

# Plain ONNX Runtime, which knows nothing of ours.
PLAIN = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
numpy.save(sys.argv[3], session.run(["output"], {"input": numpy.load(sys.argv[2])})[0])
"""
# A model's parameters, and the kinds of its nodes, as the `onnx` package reads the file.
LOOK = """
import json, sys, onnx
model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
kinds = [node.op_type for node in model.graph.node]
print(json.dumps({"weights": [w.name for w in model.graph.initializer], "kinds": kinds}))
"""


def _expected(name: str, batch: int, size: int | None, seed: int) -> np.ndarray:
    workload = catalogue.get(name).resized(size)
    cell = Cell(Reference(), workload, batch, "infer", seed=seed)
    cell.build()
    return cell.answer(cell.step())["output"]


@pytest.mark.parametrize(
    ("name", "batch", "size", "seed"),
    [
        ("lenet5", 3, None, 0),
        ("resnet20", 2, None, 7),
        ("inception_3a", 1, None, 0),
        ("relu_16x32x32", 2, None, 0),
        ("mobilenet_v2", 1, 64, 0),
    ],
)
def test_an_exported_model_run_by_plain_onnx_runtime_gives_the_references_answer(
    tmp_path: Path, name: str, batch: int, size: int | None, seed: int
) -> None:
    python, path = inside.python_of("onnxruntime"), tmp_path / f"{name}.onnx"
    told = export.write(name, path, batch, size, seed)
    workload = catalogue.get(name).resized(size)
    assert told["input"] == [batch, *workload.input]
    assert told["bytes"] == path.stat().st_size
    np.save(tmp_path / "x.npy", inputs(workload, batch, seed)[0])
    files = [path, tmp_path / "x.npy", tmp_path / "y.npy"]
    subprocess.run([python, "-c", PLAIN, *files], check=True, timeout=100)
    got, expected = np.load(tmp_path / "y.npy"), _expected(name, batch, size, seed)
    assert list(got.shape) == told["output"]
    assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()


def test_its_weights_have_the_workloads_names_and_nothing_is_folded_beforehand(
    tmp_path: Path,
) -> None:
    python, path = inside.python_of("onnxruntime"), tmp_path / "block.onnx"
    export.write("resnet_basic", path, 1, None, 0)
    done = subprocess.run([python, "-c", LOOK, path], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert {"Conv", "BatchNormalization", "Relu", "Add"} <= set(found["kinds"])
    assert any(name.endswith(".mean") for name in found["weights"])


def test_another_seed_gives_other_weights_and_the_same_one_the_same_file(tmp_path: Path) -> None:
    inside.python_of("onnxruntime")
    files = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(files, (0, 0, 1), strict=True):
        export.write("lenet5", path, 1, None, seed)
    first, again, other = (path.read_bytes() for path in files)
    assert first == again != other


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    inside.python_of("onnxruntime")
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link.onnx", tmp_path / "there" / "model.onnx"
    link.symlink_to(target)
    told = export.write("lenet5", link, 1, None, 0)
    assert link.is_symlink() and target.stat().st_size == told["bytes"]
    assert told["path"] == str(link)
    assert [path.name for path in target.parent.iterdir()] == ["model.onnx"]


def test_what_is_there_and_no_regular_file_is_left_alone(tmp_path: Path) -> None:
    """Such as a device, which would be replaced by a file."""
    pipe, link, loop = (tmp_path / name for name in ("pipe", "link", "loop"))
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    loop.symlink_to(loop)
    for path in (pipe, link, loop, tmp_path):
        with pytest.raises(Wrong, match=f"--onnx {path} is there, and no regular file"):
            export.write("lenet5", path, 1, None, 0)
    assert pipe.is_fifo() and link.is_symlink() and loop.is_symlink()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lenet6"], ["unknown workload 'lenet6'", "lenet5"]),
        (["lenet5", "--batch", "0"], ["batch 0"]),
        (["lenet5", "--size", "3"], ["cannot be"]),
        (["lenet5", "--seed", "-1"], ["--seed"]),
        (["lenet5", "--onnx", "/nowhere/at/all.onnx"], ["/nowhere/at/all.onnx", "a folder"]),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_status_two(
    typed: Typed, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    path = tmp_path / "x.onnx"
    named = arguments if "--onnx" in arguments else [*arguments, "--onnx", str(path)]
    done = typed("export", *named)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and all(word in done.stderr for word in words)
    assert not path.exists()


def test_without_an_environment_that_has_onnx_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "python_of", lambda *_: None)
    with pytest.raises(Wrong, match="bakeoff setup onnxruntime"):
        export.write("lenet5", tmp_path / "x.onnx", None, None, 0)


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    inside.python_of("onnxruntime")
    with pytest.raises(Wrong, match="cannot be written"):
        export.write("lenet5", Path("/proc/x.onnx"), 1, None, 0)
