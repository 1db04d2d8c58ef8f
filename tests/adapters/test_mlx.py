"""Claims about MLX: what it compiles stays in the run's cache, it tells whose BLAS it has, it
refuses what it would lower, and its training holds one state. Skipped where it is absent."""

import json
import shutil
from pathlib import Path

import pytest

from adapters.core.base import Unsupported
from adapters.mlx import Mlx
from harness.host import machine
from tests.support import inside
from tests.support.workers import THREADS, load, ready


@pytest.mark.parametrize("variant", Mlx.variants)
def test_what_it_compiles_is_kept_in_the_runs_own_cache(variant: str, tmp_path: Path) -> None:
    """Eager compiles, too: `nn.relu` is `mx.compile`d. In /tmp the next run would find it."""
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    worker, opened = ready("mlx", "float32", tmp_path, variant)
    try:
        load(worker, ("lenet5", "infer", 2, None))
        worker.ask("first")
    finally:
        worker.close()
    assert [*(tmp_path / "cache" / "mlx").glob("*/cpu/*.so")]
    manifest = opened["manifest"]
    assert manifest["mode"] == ("mx.compile" if variant else "eager")
    assert manifest["threads"] == (THREADS if "openblas" in manifest["blas"] else 1)
    assert "blas" in manifest["blas"] and "scipy" not in manifest["blas"]  # that is NumPy's


def test_a_step_leaves_one_state_behind() -> None:
    """As a model's own parameters do: nobody holds the old, so MLX writes over them."""
    code = """
import json
from adapters.mlx import Mlx
from harness.worker.cell import Cell
from suites import catalogue
adapter = Mlx("", "cpu", "float32", 1)
cell = Cell(adapter, catalogue.get("lenet5"), 2, "train")
cell.build()
held = []
for _ in range(4):
    cell.sync(cell.step())
    held.append(adapter.mx.get_active_memory())
print(json.dumps(held[1:]))
"""
    held = json.loads(inside.run("mlx", code))
    assert max(held) - min(held) < 1000, held


def test_float64_is_refused_with_the_reason() -> None:
    with pytest.raises(Unsupported, match="its convolution there computes it in float32"):
        Mlx("", "cpu", "float64", 1)


def test_compiling_without_a_compiler_is_told_as_it_would_be_eager(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Mlx, "requires", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Mlx.missing("") is None
    assert "install g++" in (Mlx.missing("compile") or "")


def test_no_worker_is_given_what_a_shell_has_set_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLX_DISABLE_COMPILE", "1")
    assert "MLX_DISABLE_COMPILE" not in machine.handed_on()
