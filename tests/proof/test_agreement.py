"""Our clock beside those of others: what is told of it, and kept where it was ended."""

import io
import os
import subprocess
import sys
import time
import timeit
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import gpu_check
from harness.errors import Wrong
from harness.host import bounded
from harness.paths import ROOT
from harness.proof import agreement
from harness.worker import timing
from tests import torch_agreement
from tests.support.gpu import question


def test_a_timer_of_others_that_hangs_is_ended(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    python.chmod(0o755)
    with pytest.raises(Wrong, match=r"tests\.torch_agreement was not over in 1 s"):
        agreement.ratios("torch_agreement", python, "cpu", tmp_path, 1.0)


def test_a_timer_of_others_that_a_driver_does_not_let_go_of_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 10\n")
    python.chmod(0o755)
    monkeypatch.setattr(subprocess.Popen, "kill", lambda self: None)
    monkeypatch.setattr(bounded, "GONE", 0.2)
    begin = time.monotonic()
    with pytest.raises(Wrong, match="was not over in 1 s"):
        agreement.ratios("torch_agreement", python, "cpu", tmp_path, 1.0)
    assert time.monotonic() - begin < 6


TOLD = """#!/bin/sh
echo '{"asked": ["relu", "linear", "max_pool"]}'
echo '{"clock": {"relu": 1.01}, "adapter": {"relu": 1.02}}'
echo 'a line of the framework'
echo '{"level": "info", "asked": 1, "clock": 3}'
echo '{"clock": {"linear": 1.03}, "adapter": {"linear": 1.04}}'
printf '{"clock": {"max_pool": 1'
"""


@pytest.mark.parametrize(
    ("end", "told"),
    [("exec sleep 60", "was not over in 1 s, and was ended"), ("exit 3", "exit status 3: no out")],
)
def test_what_a_timer_of_others_told_before_it_was_ended_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    end: str,
    told: str,
) -> None:
    """A GPU's first convolutions take a minute, and a share of the limit is not much more."""
    python = tmp_path / "python"
    python.write_text(f"{TOLD}\n{end}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    gpu_check.agreement(question(), 1.0, failures := [])
    printed = capsys.readouterr().out
    assert "relu         ours over theirs 1.0100; adapter over bare 1.0200" in printed
    assert "linear       ours over theirs 1.0300" in printed and "max_pool" not in printed
    assert told in failures[0] and failures[0].endswith("; not reached: max_pool")
    assert failures[1:] == ["linear: ours over torch.utils.benchmark is 1.0300"]


def test_a_timer_of_others_that_tells_nothing_has_failed(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    with pytest.raises(Wrong, match="did not tell all it was asked"):
        agreement.ratios("torch_agreement", python, "cpu", tmp_path)


def test_each_operation_is_told_when_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = [""]

    class Pipe(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    def ratio(_: Any, operation: str, threads: int) -> tuple[float, float]:
        seen.append(flushed[-1].count("\n"))
        return 1.0 + threads, 2.0

    seen: list[int] = []
    monkeypatch.setattr(sys, "stdout", Pipe())
    monkeypatch.setattr(torch_agreement, "ratio", ratio)
    monkeypatch.setattr(torch_agreement, "adapter_class", lambda name: lambda *_: None)
    torch_agreement.main("cpu", 2)
    monkeypatch.undo()
    assert seen == [1, 2, 3, 4, 5]
    operations = [*torch_agreement.PORTABLE]
    assert agreement._said(flushed[-1]) == (
        {"clock": dict.fromkeys(operations, 3.0), "adapter": dict.fromkeys(operations, 2.0)},
        "",
    )


def test_our_tests_are_found_where_another_package_of_that_name_is_installed(
    tmp_path: Path,
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").touch()
    command = [sys.executable, "-c", "import tests.torch_agreement"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_both_clocks_keep_as_many_results_while_the_next_is_made(device: str) -> None:
    """Memory that is free again is another allocation, and so another time."""

    class Result: ...

    alive: weakref.WeakSet[Result] = weakref.WeakSet()
    seen: list[int] = []

    def call() -> Result:
        seen.append(len(alive))
        alive.add(result := Result())
        return result

    def most(run: Callable[[], Any]) -> int:
        seen.clear()
        run()
        return max(seen)

    ours = timing.synced if device == "cpu" else timing.queued
    statement = torch_agreement.STATEMENT[device]
    theirs = timeit.Timer(statement, globals={"f": call})
    kept = most(lambda: ours(call, lambda result: None, 5))
    assert most(lambda: theirs.timeit(5)) == kept == {"cpu": 0, "cuda": 1}[device]
