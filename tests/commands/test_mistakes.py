"""Claims about what a person gets wrong, or the machine does: one clear line, and nothing lost."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness.commands import common, measure, measuring, read, trust
from harness.paths import ROOT
from harness.plan import plan
from harness.proof import live
from harness.record import documents, records
from harness.run import runner
from reports.choice import profiles
from reports.pages import machines_page, page, template
from tests.conftest import Typed, refused
from tests.support.synthetic import WORKLOADS, write_run

SMOKE = ("run", "--suite", "smoke", "-c", "numpy", "--python", "current", "--no-page")


# --- names of runs and suites -------------------------------------------------------------


def test_a_copied_run_is_a_run_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(write_run(tmp_path / "a1"), tmp_path / "t1")
    monkeypatch.setattr(template, "FOLDER", tmp_path)
    monkeypatch.setattr(page, "render", lambda analysis, title: analysis.run)
    written = [page.write(records.read(tmp_path / name)) for name in ("a1", "t1")]
    assert [path.name for path in written] == ["a1.html", "t1.html"]
    assert [path.read_text() for path in written] == ["a1", "t1"]


def test_a_page_of_one_profile_does_not_replace_that_of_all(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "FOLDER", tmp_path)
    monkeypatch.setattr(page, "render", lambda *_: "one")
    monkeypatch.setattr(machines_page, "render", lambda *_: "several")
    mine = tmp_path / "mine.toml"
    mine.write_text('title = "M"\n[[objective]]\nmeasure = "latency"\nweight = 1\n')
    write_run(tmp_path / "a1")
    write_run(tmp_path / "a2", {"torch": 1.0, "jax": 1.5})
    for named, written in (
        (["a1"], "a1"),
        (["a1", "--profile", str(mine)], "a1-mine"),
        (
            ["a1", "a2", "--profile", str(mine), "--profile", "general-use"],
            "a1-a2-mine-general-use",
        ),
    ):
        done = typed("report", *named)
        assert (done.returncode, done.stdout) == (0, f"{tmp_path}/html/{written}.html\n")


def test_where_no_browser_is_the_file_is_named(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "FOLDER", tmp_path)
    monkeypatch.setattr(page, "render", lambda *_: "one")
    monkeypatch.setattr(read.webbrowser, "open", lambda _: False)
    write_run(tmp_path / "a1")
    told = typed("report", "a1", "--open").stderr
    assert told == f"No browser here; open this file: {tmp_path}/html/a1.html\n"


def test_who_has_no_run_yet_may_look_at_a_published_one(typed: Typed, tmp_path: Path) -> None:
    write_run(tmp_path / "published" / "quick")
    refused(typed("show"), "no run yet", "a published one: `bakeoff report quick`")


def test_a_run_is_named_by_its_path_where_it_lies_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert measuring.named(Path("a1")) == "a1"
    assert measuring.named(Path("far off/a1")) == f"'{tmp_path}/far off/a1'"


def test_a_suite_of_any_name_makes_the_name_of_a_run() -> None:
    assert measure._run_name("/tmp/my suite é [2].toml").endswith("-my-suite-2-")
    assert len(measure._run_name("x" * 300)) < 100


def test_brackets_in_what_a_file_says_are_no_markup(typed: Typed, tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text('title = "Mine [/x] [red]"\n[[compare]]\nworkload = "lenet5"\n')
    done = typed("run", "--suite", str(suite), *SMOKE[3:], "--dry-run")
    status, told = done.returncode, done.stdout
    assert status == 0 and "Mine [/x] [red]" in told


def test_a_list_cuts_nothing_off(capsys: Any) -> None:
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
    refused(told, "r cannot be begun: No space left on device", "start again")
    assert not (tmp_path / "r").exists()


def test_an_anchor_of_runs_that_share_nothing_isrefused(typed: Typed, tmp_path: Path) -> None:
    write_run(tmp_path / "a", workloads=WORKLOADS[:1])
    write_run(tmp_path / "b", workloads=WORKLOADS[2:3])
    refused(typed("report", "a", "b", "--anchor", "torch"), "--anchor 'torch'", "no comparison")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("plan.json", "contenders"),
        ("plan.json", "suite"),
        ("environment.json", "contenders"),
        ("environment.json", "machine"),
    ],
)
def test_a_document_without_a_key_is_told(
    typed: Typed, tmp_path: Path, name: str, key: str
) -> None:
    path = write_run(tmp_path / "r") / name
    document = json.loads(path.read_text())
    del document[key]
    path.write_text(json.dumps(document))
    for command in (["show", "r"], ["report", "r"]):
        refused(typed(*command), name, f"`{key}`", "is not whole")


def test_work_whose_operations_were_not_counted_is_told(typed: Typed, tmp_path: Path) -> None:
    """Not as a mistake in --anchor, which nobody gave."""
    for name in ("a", "b"):
        path = write_run(tmp_path / name) / "plan.json"
        document = json.loads(path.read_text())
        del document["comparisons"][0]["cost"]["flops"]
        path.write_text(json.dumps(document))
    for command in (["show", "a"], ["compare", "a", "b"]):
        refused(typed(*command), "plan.json", "`flops`", "is not whole")


def test_a_run_that_still_greets_has_not_ended(typed: Typed, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", launches=0)
    (folder / "environment.json").unlink()
    held = documents.claim(folder)
    refused(typed("show", "r"), "run 'r' is being measured by another process")
    os.close(held)
    refused(typed("show", "r"), "was ended before anything was measured")


def test_a_calibration_is_gone_on_with_by_its_own_command(typed: Typed, tmp_path: Path) -> None:
    made = live.Itself("numpy", (0.05,), 2, 8, 1).plan("cal1")
    made.command = "bakeoff calibrate"
    plan.begin(made, tmp_path / "cal1")
    refused(typed("run", "--resume", "cal1"), "`bakeoff calibrate --run-id cal1`")


def test_a_calibration_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO())
    say = trust._Teller(console, launches=8)
    for launch, now in ((3, 0.0), (4, 60.0)):
        monkeypatch.setattr(trust.time, "monotonic", lambda now=now: now)
        say("group", launch=launch, comparisons=["a", "b"])
    assert isinstance(console.file, io.StringIO)
    first, second = console.file.getvalue().splitlines()
    assert first.strip() == "launch 3 of 8, 2 comparisons"
    assert second.strip() == "launch 4 of 8 (about 5.0 more minutes), 2 comparisons"


def test_an_output_that_cannot_be_written_is_called_what_it_is(
    typed: Typed, tmp_path: Path
) -> None:
    write_run(tmp_path / "r")
    told = typed("report", "r", "--format", "csv", "--output", str(tmp_path))
    refused(told, f"the csv cannot be written to {tmp_path}")


def test_an_hour_for_nothing_is_no_price(typed: Typed) -> None:
    refused(typed("compare", "a", "b", "--price", "a=0"), "--price a=0", "above 0")


def test_a_profile_that_cannot_be_read_is_told_before_measuring(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.toml").write_text("title = ")
    monkeypatch.setattr(profiles, "FOLDER", tmp_path)
    refused(typed(*SMOKE, "--run-id", "r"), "profile 'broken' is not TOML")
    assert not (tmp_path / "r").exists()


# --- how the command line leaves ----------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--workloads", ""],
        ["run", "-c", ""],
        ["run", "--resume", ""],
        ["run", "--budget="],
        ["calibrate", "--run-id", ""],
        ["show", ""],
    ],
)
def test_an_empty_value_is_not_taken_for_none(typed: Typed, arguments: list[str]) -> None:
    refused(typed(*arguments), arguments[-1] or f"{arguments[-2]} ''", "got an empty one")


def test_what_an_encoding_lacks_is_no_traceback(tmp_path: Path) -> None:
    for name in ("a1", "a2"):
        write_run(tmp_path / name)
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = _piped(["compare", "a1", "a2"], tmp_path, **plain)
    assert done.returncode == 0 and not done.stderr
    assert b"a1 ? a2" in done.stdout


def _piped(
    arguments: list[str], results: Path, stdout: int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, "BAKEOFF_RESULTS": str(results), **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("arguments", [["show", "a1"], ["report", "a1", "--format", "csv"]])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, arguments: list[str]) -> None:
    """As `| head -1` is."""
    write_run(tmp_path / "a1")
    reader, writer = os.pipe()
    os.close(reader)
    done = _piped(arguments, tmp_path, writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_help_that_nobody_reads_on_is_no_run_that_was_stopped(tmp_path: Path) -> None:
    for asked in ("--help", "--dry-run"):
        reader, writer = os.pipe()
        os.close(reader)
        done = _piped([*SMOKE, asked], tmp_path, writer)
        os.close(writer)
        assert (done.returncode, done.stderr) == (0, b""), asked


def test_a_run_whose_output_is_closed_says_that_it_did_not_end_its_work(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = _piped([*SMOKE, "--run-id", "r"], tmp_path, writer)
    os.close(writer)
    assert done.returncode == 141 and done.stderr.count(b"\n") == 1
    assert b"output was closed" in done.stderr and b"bakeoff run --resume RUN" in done.stderr


@pytest.mark.parametrize("arguments", [["show", "a1"], ["report", "a1", "--format", "csv"]])
def test_what_cannot_be_printed_is_told_and_names_no_run(
    tmp_path: Path, arguments: list[str]
) -> None:
    write_run(tmp_path / "a1")
    with open("/dev/full", "wb") as full:
        done = _piped(arguments, tmp_path, full.fileno())
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1
    assert b"No space left" in done.stderr and b"--resume" not in done.stderr


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_command_says_so(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "read", _interrupt)
    monkeypatch.setattr(read, "folder_of", Path)
    told = typed("show", "a1")
    assert (told.returncode, told.stdout, told.stderr) == (130, "", "bakeoff: interrupted\n")


def test_a_second_interrupt_does_not_take_how_to_go_on(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(runner, "Runner", lambda *_: SimpleNamespace(run=_interrupt))
    monkeypatch.setattr(documents, "is_begun", _interrupt)  # asked once the run has ended
    done = typed(*SMOKE, "--run-id", "r")
    status, told, errors = done.returncode, done.stdout, done.stderr
    assert (status, errors) == (130, "bakeoff: interrupted\n")
    assert "Go on with: bakeoff run --resume r\n" in told


def test_who_stopped_before_anything_was_measured_is_told_how_to_go_on_and_no_more(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(runner, "Runner", lambda *_: SimpleNamespace(run=_interrupt))
    monkeypatch.setattr(documents, "is_begun", lambda _: True)
    run = SimpleNamespace(groups=[])
    monkeypatch.setattr(records, "read", lambda _: run)
    done = typed(*SMOKE, "--run-id", "r")
    status, told = done.returncode, done.stdout
    assert status == 130
    assert told.endswith("Interrupted. Go on with: bakeoff run --resume r\n")
    assert "No contender" not in told and "page" not in told


def test_a_run_beside_another_says_so(typed: Typed, tmp_path: Path) -> None:
    """Two that measure at once disturb each other, whatever each of them does."""
    held = documents.claim(write_run(tmp_path / "other"))
    arguments = ("-w", "relu_16x32x32", "--launches", "1", "--run-id")
    told = typed(*SMOKE, *arguments, "beside").stdout
    assert "other is being measured now as well" in told
    os.close(held)
    assert "being measured now" not in typed(*SMOKE, *arguments, "alone").stdout
