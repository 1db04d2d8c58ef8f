"""Claims about tinygrad: its first call records all, its cache is the run's, and what is missing,
or set in a shell, is told or kept away. Without its environment what needs it is skipped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.tinygrad import Tinygrad
from harness import environments, machine
from harness.processes import WorkerProcess


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerProcess]:
    python = environments.python_of("tinygrad", "cpu")
    if python is None:
        pytest.skip(environments.why_absent("tinygrad", "cpu"))
    environment = machine.worker_environment("cpu", 2, tmp_path / "cache")
    worker = WorkerProcess(python, environment, tmp_path / "tinygrad.txt")
    asked = {"variant": "", "device": "cpu", "precision": "float32", "threads": 2}
    worker.ask("open", adapter="tinygrad", **asked)
    yield worker
    worker.close()


def test_the_first_call_compiles_all_and_its_cache_lies_in_the_runs_folder(
    worker: WorkerProcess, tmp_path: Path
) -> None:
    """TinyJit would record at the second call: then that one would be timed."""
    worker.ask("load", workload="check_residual_down", batch=2, direction="train")
    first = worker.ask("first")["manifest"]["compilations"]
    worker.ask("again", calls=2)
    assert worker.ask("first")["manifest"]["compilations"] == first > 0
    assert (tmp_path / "cache" / "tinygrad" / "cache.db").exists()


@pytest.mark.parametrize("compiler, words", [("gcc", "unset it"), ("clang-0", "install clang")])
def test_it_is_told_which_compiler_it_wants(
    compiler: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tinygrad, "requires", ())
    monkeypatch.setenv("CC", compiler)
    reason = Tinygrad.missing("")
    assert reason is not None and words in reason and "\n" not in reason


@pytest.mark.parametrize("name", ["BEAM", "NOOPT", "DEBUG", "WINO"])
def test_a_switch_in_a_shell_reaches_no_worker(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert name not in machine.handed_on()
    assert name in machine.left_out()
