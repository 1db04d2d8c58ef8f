"""Claims about Paddle that `bakeoff check` does not hold: what ran, and
which flags reach it. Where its environment is absent they are skipped."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.check.conformance import Check
from harness.check.expected import load
from harness.host import machine
from harness.install import environments
from harness.plan import inventory
from harness.process.processes import WorkerFailed
from suites import catalogue


@contextmanager
def opened() -> Iterator[Check]:
    if environments.python_of("paddle", "cpu") is None:
        pytest.skip(environments.why_absent("paddle", "cpu"))
    with Check(inventory.parse("paddle"), "cpu", "float32", current=False) as check:
        yield check


def test_what_it_says_of_itself_is_what_ran() -> None:
    with opened() as check:
        load(check.worker, catalogue.get("lenet5"), "infer")
        try:
            said = check.worker.ask("first")["manifest"]
        except WorkerFailed as failed:
            pytest.fail(failed.reason)
        assert (said["mode"], said["layout"], said["cinn"]) == ("eager", "NCHW", False)
        assert said["threads"] == machine.threads()


def test_a_shells_flags_reach_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """FLAGS_use_onednn, set in a shell, makes a to_static function of Paddle 3.3 fail."""
    monkeypatch.setitem(os.environ, "FLAGS_use_onednn", "1")
    assert "FLAGS_use_onednn" in machine.left_out()
    assert "FLAGS_use_onednn" not in machine.handed_on()
