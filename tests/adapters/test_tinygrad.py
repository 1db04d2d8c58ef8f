"""Claims about tinygrad: its first call records all, its cache is the run's, and what is missing,
or set in a shell, is told or kept away. Without its environment what needs it is skipped."""

from pathlib import Path

import pytest

from adapters.tinygrad import Tinygrad
from tests.support.workers import ready


def test_the_first_call_compiles_all_and_its_cache_lies_in_the_runs_folder(
    tmp_path: Path,
) -> None:
    """TinyJit would record at the second call: then that one would be timed."""
    worker, _ = ready("tinygrad", "float32", tmp_path)
    try:
        worker.ask("load", workload="check_residual_down", batch=2, direction="train")
        first = worker.ask("first")["manifest"]["compilations"]
        worker.ask("again", calls=2)
        assert worker.ask("first")["manifest"]["compilations"] == first > 0
    finally:
        worker.close()
    assert (tmp_path / "cache" / "tinygrad" / "cache.db").exists()


@pytest.mark.parametrize("compiler, words", [("gcc", "unset it"), ("clang-0", "install clang")])
def test_it_is_told_which_compiler_it_wants(
    compiler: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tinygrad, "requires", ())
    monkeypatch.setenv("CC", compiler)
    reason = Tinygrad.missing("")
    assert reason is not None and words in reason and "\n" not in reason


def test_a_switch_in_a_shell_switches_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BEAM", "2")
    worker, opened = ready("tinygrad", "float32", tmp_path)
    worker.close()
    assert opened["manifest"]["autotune"] is False
