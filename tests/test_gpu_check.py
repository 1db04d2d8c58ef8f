"""`make gpu-check` on a bare Python, and how it tells what failed. No GPU is needed."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from harness import conformance, gpu_check, inventory
from harness.commands import common
from harness.errors import Wrong
from harness.paths import ROOT


def test_a_python_without_what_measuring_needs_is_told_in_one_line() -> None:
    command = [sys.executable, "-S", "-m", "harness.gpu_check"]  # -S: no installed packages
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "gpu-check needs numpy, scipy, msgspec" in done.stderr


def test_a_python_that_cannot_look_for_gpus_says_what_it_lacks_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu_check.main(["--device", "cuda"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "this machine has" not in told
    assert "needs nvidia-ml-py, which" in told and "wheels" in told
    with pytest.raises(Wrong, match="lacks nvidia-ml-py: carry its wheel") as refused:
        common.device_of("cuda")
    assert "this machine has no other" not in str(refused.value)


def _parts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, gpu_check.Asked]]:
    """Parts that note how they were asked; the first fails."""
    asked: list[tuple[str, gpu_check.Asked]] = []

    def part(name: str, failures: list[str]) -> tuple[str, Any]:
        def noted(given: gpu_check.Asked) -> list[str]:
            asked.append((name, given))
            return failures

        return name, noted

    parts: dict[str, list[str]] = {"parity": ["torch, relu: off"], "agreement": [], "suite": []}
    monkeypatch.setattr(gpu_check, "PARTS", {n: part(n, f) for n, f in parts.items()})
    monkeypatch.setattr(gpu_check, "usual", lambda device: ["torch", "jax"])
    return asked


def test_a_failure_stops_nothing_and_is_told_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = _parts(monkeypatch)
    assert gpu_check.main(["--device", "cpu"]) == 1
    assert [name for name, _ in asked] == ["parity", "agreement", "suite"]
    assert asked[0][1] == gpu_check.Asked("cpu", ["torch", "jax"], gpu_check.BUDGET)
    assert "FAILED torch, relu: off" in capsys.readouterr().err


def test_one_part_can_be_asked_for_alone_of_some_contenders_and_for_longer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = _parts(monkeypatch)
    arguments = ["--device", "cpu", "--only", "suite", "--contenders", "jax", "--budget", "9m"]
    assert gpu_check.main(arguments) == 0
    assert asked == [("suite", gpu_check.Asked("cpu", ["jax"], "9m"))]
    assert gpu_check.main(["--device", "cpu", "--only", "sweet"]) == 2
    assert "expected some of parity, agreement, suite" in capsys.readouterr().err


def test_what_is_wrong_is_told_at_once_with_its_evidence_and_what_was_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call that is cut off after so many minutes has said what it found by then."""
    finding = conformance.Finding("conv3x3", "its output is off", "where it is off", "the padding")
    told: list[str] = []

    class Check:
        def __init__(self, *_: Any, **__: Any): ...

        def __enter__(self) -> "Check":
            return self

        def __exit__(self, *_: Any) -> None:
            told.append(capsys.readouterr().out)

        def steps(self) -> list[Any]:
            return [SimpleNamespace(run=lambda: finding, stage="operations")] * 2

        def printed(self) -> list[str]:
            return ["a traceback"]

    monkeypatch.setattr(conformance, "Check", Check)
    failures = gpu_check.parity(gpu_check.Asked("cpu", ["torch"], "1m"))
    assert failures == ["torch, conv3x3: its output is off"] * 2
    for text in ("FAILED torch, conv3x3", "where it is off", "the padding", "a traceback"):
        assert told[0].count(text) == 2


def test_a_device_that_is_not_here_and_a_python_with_no_framework_exit_with_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_check.main(["--device", "cuda:99"]) == 2
    assert "this machine has cpu" in capsys.readouterr().err
    monkeypatch.setattr(inventory, "contenders", lambda *_, **__: [])
    assert gpu_check.main(["--device", "cpu"]) == 2
    assert "no framework that Bakeoff knows" in capsys.readouterr().err
