"""Claims about runs that end before their end: nothing is left over, and they go on.

As `test_run.py`: real workers in real processes.
"""

import fcntl
import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.install import environments
from harness.record import documents, records
from reports.verdicts import analyse
from tests.support.runs import NET, RELU, TRAIN, Start, measured, suite_of


def _wait_for_groups(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        lines = [p.read_bytes().count(b'"kind":"group"') for p in folder.glob("records-*.jsonl")]
        if sum(lines) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("the run did not get that far")


def _workers(folder: Path) -> list[int]:
    """Processes whose environment names this run's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{folder}/cache/".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _ended(bakeoff: Start, folder: Path, contenders: str, number: int) -> tuple[int, str]:
    """A run of two comparisons and three launches, ended in its second: status and words."""
    suite = suite_of(folder, RELU, TRAIN)
    arguments = ["run", "--suite", suite, "--contenders", contenders, "--python", "current"]
    process = bakeoff(*arguments, "--run-id", "r", "--no-page", "--launches", "3")
    _wait_for_groups(folder / "r", 3, process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    deadline = time.monotonic() + 5
    while _workers(folder / "r") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _workers(folder / "r")
    return process.returncode, output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_end_leaves_no_worker_and_says_how_to_go_on(
    bakeoff: Start, tmp_path: Path, number: int
) -> None:
    status, output = _ended(bakeoff, tmp_path, "numpy", number)
    assert status == 130, output
    assert "bakeoff run --resume r" in output
    run = records.read(tmp_path / "r")
    assert 3 <= len(run.groups) < 6 and not run.problems


def test_a_killed_run_is_resumed_with_every_record_there_once(
    bakeoff: Start, tmp_path: Path
) -> None:
    _ended(bakeoff, tmp_path, "numpy,loud", signal.SIGKILL)
    folder = tmp_path / "r"
    before = records.read(folder)
    assert 3 <= len(before.groups) < 6
    partial = analyse(before)
    assert all(c.winner is None for c in partial.comparisons)

    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    second = bakeoff("run", "--resume", "r", "--no-page")
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 2 and "is being measured by another process" in output
    os.close(held)

    resumed = bakeoff("run", "--resume", "r", "--no-page")
    output, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, output
    after = records.read(folder)
    assert after.groups[: len(before.groups)] == before.groups
    keys = Counter((g["comparison"], g["launch"]) for g in after.groups)
    assert set(keys.values()) == {1}
    # Together: a use rests on launches that hold all of its workloads.
    assert sum(count == 2 for count in Counter(g["launch"] for g in after.groups).values()) >= 3
    assert not after.problems
    assert [e["what"] for e in after.events].count("resumed") == 1


def test_a_run_that_is_ended_while_it_greets_says_how_to_go_on(
    bakeoff: Start, tmp_path: Path
) -> None:
    suite = suite_of(tmp_path, RELU)
    arguments = [
        "--suite",
        suite,
        "--contenders",
        "numpy",
        "--python",
        "current",
        "--launches",
        "1",
    ]
    process = bakeoff("run", *arguments, "--run-id", "r", "--no-page")
    folder = tmp_path / "r"
    deadline = time.monotonic() + 60
    while not any(folder.glob("logs/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert not documents.is_begun(folder)
    assert "bakeoff run --resume r" in output

    shown = bakeoff("show")
    output, _ = shown.communicate(timeout=60)
    assert shown.returncode == 2
    assert output.count("\n") == 1 and "bakeoff run --resume r" in output

    resumed = bakeoff("run", "--resume", "r", "--no-page")
    output, _ = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, output
    assert not records.read(folder).problems


def test_resuming_after_a_change_is_refused(bakeoff: Start, tmp_path: Path) -> None:
    measured(bakeoff, tmp_path, suite_of(tmp_path, RELU), "numpy", "--budget", "5s")
    path = tmp_path / "r" / "plan.json"
    plan: dict[str, Any] = json.loads(path.read_text())
    plan["fingerprint"]["code"] = "0123456789abcdef"
    path.write_text(json.dumps(plan))
    process = bakeoff("run", "--resume", "r")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output.count("\n") == 1 and "cannot resume: code was 0123456789abcdef" in output


def test_a_cold_pass_that_was_ended_between_two_starts_goes_on_with_the_second(
    bakeoff: Start, tmp_path: Path
) -> None:
    """Its compiler's cache went with the runner: it is filled again, and nothing reported twice."""
    if environments.python_of("jax", "cpu") is None:
        pytest.skip(environments.why_absent("jax", "cpu"))
    suite = suite_of(tmp_path, f"{NET}\nheadline = true")
    arguments = ["run", "--suite", suite, "--contenders", "jax", "--launches", "1", "--no-page"]
    first = bakeoff(*arguments, "--run-id", "r")
    output, _ = first.communicate(timeout=200)
    assert first.returncode == 0, output
    [path] = (tmp_path / "r").glob("records-*.jsonl")
    kept = []
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record["kind"] == "cell" and record["pass"] == "warm":
            break
        if record["kind"] == "cell":
            assert record["pass"] == "cold" and record["profile"] is None
        kept.append(line)
    path.write_text("".join(f"{line}\n" for line in kept))
    resumed = bakeoff("run", "--resume", "r", "--no-page")
    output, _ = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, output
    run = records.read(tmp_path / "r")
    cells = Counter((cell["contender"], cell["pass"]) for cell in run.cells)
    assert cells["jax", "cold"] == cells["jax", "warm"] == 1
    [warm] = (cell for cell in run.cells if cell["pass"] == "warm")
    assert warm["profile"] and warm["seconds"]["first_call"] > 0


def test_a_budget_that_the_cold_pass_has_spent_leaves_the_rest_of_it_out(
    bakeoff: Start, tmp_path: Path
) -> None:
    suite = suite_of(tmp_path, f"{NET}\nheadline = true")
    analysis = measured(bakeoff, tmp_path, suite, "numpy,loud", "--budget", "1s", launches=1)
    run = records.read(tmp_path / "r")
    assert not [cell for cell in run.cells if cell["pass"] == "cold"]
    assert any("the cold pass was left early" in event["reason"] for event in run.events)
    assert analysis.comparisons[0].launches == 1
