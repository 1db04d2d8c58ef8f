"""The parity part of gpu-check: what is wrong is told, whole and on time. No GPU is needed."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.check import conformance, gpu_parity
from harness.check.expected import Expected
from harness.errors import Wrong
from harness.plan.inventory import Contender
from suites import catalogue

Steps = Callable[..., list[str]]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Steps:
    """`held(step, ...)`: what parity finds of torch and of jax, whose steps do these things.

    Their logs are one, and say "all of it"; what is kept of it is in `results`.
    """
    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path / "results"))

    def hold(*steps: Callable[[], Any], seconds: float = 60.0, closing: Any = None) -> list[str]:
        class Check:
            logs = tmp_path / "logs"

            def __init__(self, *_: Any, **__: Any): ...

            def __enter__(self) -> "Check":
                self.logs.mkdir(exist_ok=True)
                (self.logs / "worker.txt").write_text("all of it")
                return self

            def __exit__(self, *_: Any) -> None:
                (self.logs / "worker.txt").unlink()
                if closing:
                    closing()

            def steps(self) -> Iterator[Any]:
                for number, run in enumerate(steps):
                    yield SimpleNamespace(run=run, stage="operations", name=f"step {number}")

            def printed(self) -> list[str]:
                return ["a traceback"]

        monkeypatch.setattr(conformance, "Check", Check)
        failures: list[str] = []
        gpu_parity.parity(["torch", "jax"], "cuda", seconds, failures)
        return failures

    return hold


def _right() -> None: ...


def test_what_is_wrong_is_told_at_once_with_its_evidence_and_what_was_printed(
    held: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call that is cut off after so many minutes has said what it found by then."""
    finding = conformance.Finding("conv3x3", "its output is off", "where it is off", "the padding")
    told: list[str] = []
    found = held(*[lambda: finding] * 2, closing=lambda: told.append(capsys.readouterr().out))
    assert found == [
        f"{name}, conv3x3: its output is off" for name in ("torch", "jax") for _ in "ab"
    ]
    for text in ("FAILED torch, conv3x3", "where it is off", "the padding", "a traceback"):
        assert told[0].count(text) == 2


def test_a_call_that_hangs_ends_with_its_framework_s_share_of_the_time(held: Steps) -> None:
    begin = time.monotonic()
    found = held(_right, lambda: time.sleep(60), _right, seconds=2.0)
    assert time.monotonic() - begin < 10
    assert found == [
        f"{name}: 2 of 3 steps were not reached in 1 s, from 'step 1' on"
        for name in ("torch", "jax")
    ]


def test_a_framework_that_refuses_the_device_has_failed(held: Steps) -> None:
    """A broken CUDA plugin is not "Everything agrees."."""

    def refuse() -> None:
        raise conformance.Refused("it finds no cuda device")

    def unsupported() -> conformance.Finding:
        return conformance.Finding("conv3x3", "it has none", unsupported=True)

    assert held(_right, refuse, _right)[0] == "torch: unsupported: it finds no cuda device"
    assert held(unsupported)[0] == "torch: no step was right"
    assert held(_right, unsupported) == []


def test_a_reference_that_fails_is_told_and_stops_no_other_framework(held: Steps) -> None:
    def fail() -> None:
        raise Wrong("the reference failed")

    assert held(_right, fail, _right) == [
        f"{name}: the reference failed" for name in ("torch", "jax")
    ]


def test_the_clock_and_the_manifest_are_not_what_a_share_of_the_time_leaves_out() -> None:
    """On a GPU they are what nobody has seen; they need a call that ran, and the rest stays."""
    check = conformance.Check(Contender("torch"), "cuda:0", "float32", True)
    usual = [(step.stage, step.name) for step in check.steps()]
    steps = [(step.stage, step.name) for step in gpu_parity._soonest(check.steps())]
    assert [stage for stage, _ in steps[:8]] == [
        *["the file"] * 2, "arrays", "operations", *["clock"] * 3, "manifest"
    ]  # fmt: skip
    assert [name for _, name in steps[4:7]] == [
        f"sync waits, {direction}" for direction in ("infer", "fwd_bwd", "train")
    ]
    held = [s for s in steps if s[0] == "training" and s[1] != conformance.THREE_STEPS]
    assert len(held) > 10 and steps[-len(held) :] == held  # what gradients and blocks hold as well
    moved = [*steps[4:8], *held]
    assert [step for step in steps if step not in moved] == [s for s in usual if s not in moved]
    assert sorted(steps) == sorted(usual)


def test_a_check_has_the_clock_s_steps_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: conformance.Check) -> Iterator[conformance.Step]:
        stages = ("operations", "operations", "clock", "manifest")
        for number, stage in enumerate(stages):
            yield conformance.Step(stage, f"{number}", lambda n=number: ran.append(n))  # type: ignore[misc]

    ran: list[int] = []
    monkeypatch.setattr(conformance.Check, "steps", run)
    gpu_parity._examine(Contender("numpy"), "cpu", 60.0, failures := [])
    assert ran == [0, 2, 3, 1] and failures == []


def test_the_logs_of_who_failed_are_kept_and_of_who_did_not_are_not(
    held: Steps, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight lines of a traceback are no cause, and another call on that machine costs a day."""
    kept = tmp_path / "results" / "gpu-check-logs"
    assert held(_right) == [] and not kept.exists()
    (kept / "torch").mkdir(parents=True)
    (kept / "torch" / "of-an-earlier-check.txt").touch()

    def crash() -> conformance.Finding:
        return conformance.Finding("conv3x3", "crash: it died")

    for steps in ([crash], [lambda: time.sleep(60)]):
        held(*steps, seconds=1.0)
        told = capsys.readouterr().out
        for name in ("torch", "jax"):
            assert f"  {name}: its logs are kept in {kept / name}\n" in told
            assert [path.name for path in (kept / name).iterdir()] == ["worker.txt"]
            assert (kept / name / "worker.txt").read_text() == "all of it"
    assert held(_right) == [] and not kept.exists()  # and would be carried home as this check's


def test_a_contender_s_logs_have_a_name_that_a_folder_may_have_and_an_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(gpu_parity, "MOST_KEPT", 3)
    (tmp_path / "torch.txt").write_text("no end")
    gpu_parity._kept(tmp_path, "torch:compile")
    path = tmp_path / "results" / "gpu-check-logs" / "torch-compile" / "torch.txt"
    assert path.read_text() == "end"


def test_logs_that_cannot_be_kept_are_one_line(
    held: Steps,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    finding = conformance.Finding("conv3x3", "its output is off")
    found = held(lambda: finding)
    assert found == [f"{name}, conv3x3: its output is off" for name in ("torch", "jax")]
    told = capsys.readouterr().out
    assert "  torch: not all of its logs could be kept: [Errno 28] No space left" in told


def test_a_reference_that_was_interrupted_answers_nobody_late() -> None:
    """Its answer to one framework's case would be taken for one to the next framework's."""
    lenet, resnet = (catalogue.get(name) for name in ("lenet5", "resnet18"))
    with Expected() as expected:
        with pytest.raises(gpu_parity.Late), gpu_parity._at_most(1.0):
            while True:
                expected.of(resnet, "infer")
                expected._known.clear()
        assert expected.of(lenet, "train", 3).exists()
