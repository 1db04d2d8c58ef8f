"""`make gpu-check` on a bare Python, and how it tells what failed. No GPU is needed."""

import subprocess
import sys

import pytest

from harness import gpu_check
from harness.commands import common
from harness.errors import Wrong
from harness.processes import ROOT


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


def test_a_failure_stops_nothing_and_is_told_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    for name, failures in (("parity", ["torch, relu: off"]), ("agreement", []), ("measure", [])):
        monkeypatch.setattr(
            gpu_check, name, lambda device, n=name, f=failures: asked.append((n, device)) or f
        )
    assert gpu_check.main(["--device", "cpu"]) == 1
    assert asked == [("parity", "cpu"), ("agreement", "cpu"), ("measure", "cpu")]
    assert "FAILED torch, relu: off" in capsys.readouterr().err


def test_a_device_that_is_not_here_and_a_python_with_no_framework_exit_with_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_check.main(["--device", "cuda:99"]) == 2
    assert "this machine has cpu" in capsys.readouterr().err

    def nothing(device: str) -> list[str]:
        raise Wrong("this Python has no framework that Bakeoff knows")

    monkeypatch.setattr(gpu_check, "parity", nothing)
    assert gpu_check.main(["--device", "cpu"]) == 2
