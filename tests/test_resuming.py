"""Claims about going on with a run: alone, and on what it was begun with, or not at all."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import code, frozen, gpus, resuming
from harness.errors import Wrong
from harness.launch import Launcher


@pytest.mark.parametrize("name", ["adapters/c.c", "adapters/torch7.lua", "harness/timing.py"])
def test_other_code_is_another_run_in_whatever_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(code, "ROOT", tmp_path)
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text("one")
    before = resuming.fingerprint({"torch": "2.13"})
    resuming.refuse_change(before, resuming.fingerprint({"torch": "2.13"}))
    path.write_text("two")
    with pytest.raises(Wrong, match="cannot resume: code was"):
        resuming.refuse_change(before, resuming.fingerprint({"torch": "2.13"}))


def test_another_driver_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = [{"name": "GPU", "driver": "1"}]
    monkeypatch.setattr(gpus, "described", lambda: seen)
    before = resuming.fingerprint({})
    seen[0]["driver"] = "2"
    with pytest.raises(Wrong, match="gpu was GPU, driver 1, is GPU, driver 2"):
        resuming.refuse_change(before, resuming.fingerprint({}))


def test_a_processor_that_is_gone_is_told() -> None:
    resuming.refuse_lost(os.sched_getaffinity(0))
    with pytest.raises(Wrong, match="processor 99999 may no longer be used"):
        resuming.refuse_lost([99999, *os.sched_getaffinity(0)])


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path, "cpu", True, 1, [0], False, timeout=7.0)


def test_a_cache_that_cannot_be_kept_is_an_empty_one(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    (launcher.cache("cold") / "compiled").write_text("kernel")

    def half(source: Path, into: Path, **_: Any) -> None:
        (into / "half").write_text("ker")
        raise shutil.Error([("a", "b", "No space left on device")])

    monkeypatch.setattr(shutil, "copytree", half)
    launcher.keep_cache("cold", "steady")
    assert not launcher.holds("steady") and not launcher.holds("cold")


def test_the_limit_of_a_request_is_an_imports_too(launcher: Launcher) -> None:
    """A framework that hangs while it is imported hangs in `open`."""
    asked: list[float] = []
    worker = SimpleNamespace(ask=lambda do, timeout, **_: asked.append(timeout))
    contender = SimpleNamespace(adapter="numpy", variant="", planted=0.0)
    launcher.open(worker, contender, "float32")  # type: ignore[arg-type]
    assert asked == [7.0]


@pytest.mark.parametrize(
    ("statuses", "given_up"),
    [(["timeout"], False), (["timeout", "timeout"], True), (["wrong"], True)],
)
def test_what_failed_in_turns_has_failed_after_a_resume_too(
    statuses: list[str], given_up: bool
) -> None:
    """Turns that failed are told in their group alone; set-ups in a cell and in their group."""
    ok = {"pass": "steady", "comparison": "c", "contender": "slow", "launch": 1, "status": "ok"}
    cells: list[dict[str, Any]] = [{**ok, "warmup": {"needed": 5, "call": 0.01}}]
    cells += [{**ok, "launch": 2, "status": statuses[0], "warmup": None}]
    groups = [
        {"comparison": "c", "launch": 2 + place, "turns": {}, "statuses": {"slow": {"status": s}}}
        for place, s in enumerate(statuses)
    ]
    done: Any = SimpleNamespace(cells=cells, groups=groups)
    assert frozen.thaw(done, set()).given_up(("c", "slow")) == given_up
