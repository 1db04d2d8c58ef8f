"""Claims about what a person gets wrong, or the machine does: one clear line, and nothing lost."""

import errno
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import cli, records
from harness.commands import common, measure, trust
from reports import page, template
from tests.synthetic import WORKLOADS, write_run

Typed = Callable[..., tuple[int, str, str]]
SMOKE = ("run", "--suite", "smoke", "-c", "numpy", "--python", "current", "--no-page")


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Typed:
    """Types a command: its exit status, what it printed, and what it said of errors."""
    for module in (common, measure, trust):
        monkeypatch.setattr(module, "RESULTS", tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bakeoff", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert isinstance(left.value.code, int)
        return left.value.code, *capsys.readouterr()

    return run


def _refused(told: tuple[int, str, str], *words: str) -> None:
    status, _, errors = told
    assert status == 2 and errors.count("\n") == 1, errors
    for word in words:
        assert word in errors, errors


# --- names of runs and suites -------------------------------------------------------------


def test_a_copied_run_is_a_run_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(write_run(tmp_path / "a1"), tmp_path / "t1")
    monkeypatch.setattr(template, "FOLDER", tmp_path)
    monkeypatch.setattr(page, "render", lambda analysis, title: analysis.run)
    written = [page.write(records.read(tmp_path / name)) for name in ("a1", "t1")]
    assert [path.name for path in written] == ["a1.html", "t1.html"]
    assert [path.read_text() for path in written] == ["a1", "t1"]


def test_a_run_is_named_by_its_path_where_it_lies_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert measure._named(Path("a1")) == "a1"
    assert measure._named(Path("far off/a1")) == f"'{tmp_path}/far off/a1'"


def test_a_suite_of_any_name_makes_the_name_of_a_run() -> None:
    assert measure._run_name("/tmp/my suite é [2].toml").endswith("-my-suite-2-")
    assert len(measure._run_name("x" * 300)) < 100


def test_brackets_in_what_a_file_says_are_no_markup(typed: Typed, tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text('title = "Mine [/x] [red]"\n[[compare]]\nworkload = "lenet5"\n')
    status, told, _ = typed("run", "--suite", str(suite), *SMOKE[3:], "--dry-run")
    assert status == 0 and "Mine [/x] [red]" in told


def test_a_list_cuts_nothing_off(capsys: Any) -> None:
    from rich.console import Console

    common.table(Console(width=30), "", ("name", "what"), [("n" * 20, "w" * 40)])
    told = capsys.readouterr().out
    assert told.count("n") == 20 + 1 and told.count("w") == 40 + 1 and "…" not in told


# --- folders and files of a run -----------------------------------------------------------


def test_a_run_that_cannot_be_begun_leaves_its_name_free(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(records.os, "fsync", full)
        told = typed(*SMOKE, "--run-id", "r")
    _refused(told, "r cannot be begun: No space left on device", "start again")
    assert not (tmp_path / "r").exists()


def test_an_anchor_of_runs_that_share_nothing_is_refused(typed: Typed, tmp_path: Path) -> None:
    write_run(tmp_path / "a", workloads=WORKLOADS[:1])
    write_run(tmp_path / "b", workloads=WORKLOADS[2:3])
    _refused(typed("report", "a", "b", "--anchor", "torch"), "--anchor 'torch'", "no comparison")
