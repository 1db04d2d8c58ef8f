"""Claims about `compare --fail-on`: what makes it fail, and that it passes nothing unjudged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.pages import compare_page
from reports.runs import compare as comparing
from tests.conftest import Typed
from tests.support.synthetic import edit_groups, write_run
from tests.support.two import BOTH, SPEEDS, compared, pair


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ([], 0, ["slower", "jax"]),
        (["--fail-on", "slower"], 1, ["slower"]),
        (["--fail-on", "slower=50%"], 0, []),
        (["--fail-on", "faster"], 2, ["expected 'slower'"]),
        (["--fail-on", "slower=0.5"], 2, ["such as 'slower=5%'"]),  # a share, or per cent?
        (["--anchor", "caffe"], 2, ["'caffe' is not in both runs"]),
    ],
)
def test_the_gate_of_the_command(
    typed: Typed, tmp_path: Path, options: list[str], status: int, words: list[str]
) -> None:
    pair(tmp_path, {"jax": 1.5 * 1.2})
    anchor = [] if "--anchor" in options else ["--anchor", "torch"]
    result = typed(*BOTH, *options, *anchor, COLUMNS="160")
    assert result.returncode == status, result.stdout + result.stderr
    for word in words:
        assert word in result.stdout + result.stderr


def test_who_became_slower_over_all_comparisons_together_fails_the_gate(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By so little in each that none of them says so."""
    old, new = pair(tmp_path, {})
    found = compared(old, new, anchor="torch")
    slower = [replace(each, verdict="materially_slower") for each in found.overall]
    monkeypatch.setattr(comparing, "compare", lambda *_: replace(found, overall=slower))
    assert not any(each.verdict == "materially_slower" for each in found.changes)
    assert typed(*BOTH, "--fail-on", "slower", COLUMNS="160").returncode == 1


BROKEN = {("relu", "jax"): ("wrong", "the output is <b>off</b>")}


def test_who_no_longer_works_is_told_and_fails_the_gate(typed: Typed, tmp_path: Path) -> None:
    """However fast it fails."""
    write_run(tmp_path / "old", SPEEDS)
    write_run(tmp_path / "new", SPEEDS | {"jax": 0.1}, failures=BROKEN)
    found = compared(tmp_path / "old", tmp_path / "new", anchor="torch")
    assert [(each.contender, each.status) for each in found.lost] == [("jax", "wrong")]
    assert not any(c.contender == "jax" and "relu" in c.comparison for c in found.changes)
    assert "Measured in the first and not in the second: jax." in found.sentence
    page = compare_page.render(found)
    assert "No longer measured" in page and "the output is &lt;b&gt;off&lt;/b&gt;" in page
    assert typed(*BOTH, "--anchor", "torch", COLUMNS="160").returncode == 0
    gate = typed(*BOTH, "--anchor", "torch", "--fail-on", "slower=900%", COLUMNS="160")
    assert gate.returncode == 1 and "jax in relu b32" in gate.stdout and "wrong" in gate.stdout
    back = compared(tmp_path / "new", tmp_path / "old", anchor="torch")
    assert not back.lost and [each.contender for each in back.gained] == ["jax"]


def test_who_cannot_be_started_any_more_is_lost_and_who_was_not_asked_is_not(
    typed: Typed, tmp_path: Path
) -> None:
    old = write_run(tmp_path / "old", SPEEDS)
    left = {name: speed for name, speed in SPEEDS.items() if name != "jax"}
    absent = [{"name": "jax", "reason": "libcudart.so.13 is not there"}]
    new = write_run(tmp_path / "new", left, absent=absent)
    assert {each.reason for each in compared(old, new).lost} == {"libcudart.so.13 is not there"}
    assert len(compared(old, new).lost) == 4
    told = typed(*BOTH, COLUMNS="160").stdout
    assert told.count("libcudart.so.13 is not there") == 1  # of all four at once
    assert not compared(old, write_run(tmp_path / "asked", left)).lost


def test_a_gate_that_judges_nothing_does_not_pass(typed: Typed, tmp_path: Path) -> None:
    _, new = pair(tmp_path, {"jax": 3.0})
    edit_groups(new, lambda group: group["launch"] == 1)
    gate = typed(*BOTH, "--fail-on", "slower", COLUMNS="160")
    assert gate.returncode == 2 and "judges nothing" in gate.stderr
    assert "Traceback" not in gate.stderr
    assert typed(*BOTH, COLUMNS="160").returncode == 0


def test_on_a_busy_machine_nothing_is_concluded_and_a_gate_says_so(
    typed: Typed, tmp_path: Path
) -> None:
    _, new = pair(tmp_path, {"jax": 3.0})

    def busy(group: dict[str, Any]) -> bool:
        group["machine"]["foreign_cpu_share"] = 0.4
        return True

    edit_groups(new, busy)
    found = compared(tmp_path / "old", new, anchor="torch")
    assert {change.verdict for change in [*found.changes, *found.overall]} == {"screening"}
    assert "Nothing is concluded: in the second run other processes took 40%" in found.sentence
    gate = typed(*BOTH, "--anchor", "torch", "--fail-on", "slower", COLUMNS="160")
    assert gate.returncode == 2 and "judges nothing: Nothing is concluded" in gate.stderr
