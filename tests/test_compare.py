"""Claims about two runs side by side: drift is set aside, and what cannot be told is not."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import records, statistics
from harness.processes import ROOT
from reports.compare import Changes, compare
from tests.synthetic import edit_groups, write_run

SPEEDS = {"torch": 1.0, "jax": 1.5, "tensorflow": 1.2}


def _pair(folder: Path, after: dict[str, float], drift: float = 1.0) -> tuple[Path, Path]:
    """Two runs; the second one's contenders as `after` says, on a machine slower by `drift`."""
    old = write_run(folder / "old", SPEEDS)
    new = write_run(folder / "new", {n: s * drift for n, s in (SPEEDS | after).items()})
    return old, new


def _versions(folder: Path, **versions: str) -> None:
    path = folder / "environment.json"
    document = json.loads(path.read_text())
    for name, version in versions.items():
        document["contenders"][name]["manifest"]["version"] = version
        document["contenders"][name]["version"] = None
    path.write_text(json.dumps(document))


def _compare(old: Path, new: Path, **given: Any) -> Changes:
    options = {"anchor": None, "margin": statistics.MARGIN, **given}
    return compare(records.read(old), records.read(new), **options)


def test_a_machine_that_is_slower_by_half_changes_nothing(tmp_path: Path) -> None:
    found = _compare(*_pair(tmp_path, {}, drift=1.5))
    assert found.anchor is not None
    assert {change.verdict for change in found.changes} == {"tie"}
    assert {change.verdict for change in found.overall} == {"tie"}


def test_who_became_slower_is_named_in_every_comparison_and_overall(tmp_path: Path) -> None:
    found = _compare(*_pair(tmp_path, {"jax": 1.5 * 1.2}, drift=0.8), anchor="torch")
    slower = {c.contender for c in found.changes if c.verdict == "materially_slower"}
    assert slower == {"jax"}
    assert all(1.15 < c.ratio < 1.25 for c in found.changes if c.contender == "jax")
    [overall] = [c for c in found.overall if c.contender == "jax"]
    assert overall.low < 1.2 < overall.high and overall.verdict == "materially_slower"
    assert "4 of 8 became slower, 0 faster" in found.sentence


def test_the_anchor_is_one_whose_version_stayed(tmp_path: Path) -> None:
    old, new = _pair(tmp_path, {"torch": 0.9})
    for folder, version in ((old, "2.12"), (new, "2.13")):
        _versions(folder, torch=version, jax="0.10", tensorflow=version)
    found = _compare(old, new)
    assert found.anchor == "jax"
    assert "torch: 2.12 → 2.13" in found.differences
    assert found.command is not None and "torch@2.12,torch@2.13" in found.command
    assert {c.verdict for c in found.changes if c.contender == "torch"} == {"materially_faster"}


def test_without_an_anchor_nothing_is_said_but_how_to_find_out(tmp_path: Path) -> None:
    old, new = _pair(tmp_path, {})
    for folder, version in ((old, "1"), (new, "2")):
        _versions(folder, torch=version, jax=version, tensorflow=version)
    found = _compare(old, new)
    assert found.anchor is None and not found.changes
    assert "Only a fresh measurement" in found.sentence
    assert found.command is not None and found.command.startswith("bakeoff run")


def test_a_few_launches_are_a_screening_and_fail_nothing(tmp_path: Path) -> None:
    old, new = _pair(tmp_path, {"jax": 3.0})
    edit_groups(new, lambda group: group["launch"] <= 4)
    assert {c.verdict for c in _compare(old, new, anchor="torch").changes} == {"screening"}


def test_after_a_single_launch_nothing_is_compared_and_json_holds(tmp_path: Path) -> None:
    old, new = _pair(tmp_path, {"jax": 3.0})
    edit_groups(new, lambda group: group["launch"] == 1)
    found = _compare(old, new, anchor="torch")
    assert found.changes == found.overall == []


def test_what_only_one_run_holds_is_listed(tmp_path: Path) -> None:
    old, new = _pair(tmp_path, {})
    plan = json.loads((new / "plan.json").read_text())
    gone = plan["comparisons"].pop(0)["id"]
    (new / "plan.json").write_text(json.dumps(plan))
    assert _compare(old, new).only_old == [gone]


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ([], 0, ["slower", "jax"]),
        (["--fail-on", "slower"], 1, ["slower"]),
        (["--fail-on", "slower=50%"], 0, []),
        (["--fail-on", "faster"], 2, ["expected 'slower'"]),
        (["--anchor", "caffe"], 2, ["'caffe' is not in both runs"]),
    ],
)
def test_the_gate_of_the_command(
    tmp_path: Path, options: list[str], status: int, words: list[str]
) -> None:
    _pair(tmp_path, {"jax": 1.5 * 1.2})
    command = [sys.executable, "-m", "harness.cli", "compare", "old", "new", *options]
    if not any("anchor" in option for option in options):
        command += ["--anchor", "torch"]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "BAKEOFF_RESULTS": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == status, result.stdout + result.stderr
    for word in words:
        assert word in result.stdout + result.stderr


def test_json_holds_every_change(tmp_path: Path) -> None:
    _pair(tmp_path, {"jax": 1.8})
    result = subprocess.run(
        [sys.executable, "-m", "harness.cli", "compare", "old", "new", "--json"],
        cwd=ROOT,
        env={**os.environ, "BAKEOFF_RESULTS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(result.stdout)
    assert len(told["changes"]) == 8
    assert all(math.isfinite(change["low"]) for change in told["changes"])
