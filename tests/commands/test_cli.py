"""Claims about the command line: wrong input is one line and exit status 2."""

import itertools
import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from harness import errors, paths
from harness.commands import common, measuring, trust
from harness.errors import Wrong
from harness.paths import ROOT
from harness.plan import inventory
from harness.plan import suite as suites
from harness.record import records
from reports.pages import template
from tests.conftest import Typed, refused
from tests.support.synthetic import EVERYONE, write_run

PUBLISHED = ROOT / "results"
GOOD = '[[compare]]\nworkload = "lenet5"\n'


@pytest.fixture
def bakeoff(tmp_path: Path) -> Any:
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness.cli", *arguments],
            cwd=ROOT,
            env={**os.environ, "BAKEOFF_RESULTS": str(tmp_path / "results"), **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--contenders", "toch"], ["'toch'", "did you mean 'torch'"]),
        (["--contenders", "torch:compiel"], ["did you mean 'compile'"]),
        (["--contenders", "torch@1.0"], ["torch@1.0: not installed", "bakeoff setup torch@1.0"]),
        (["--contenders", ","], ["no contender is named"]),
        (["--suite", "quik"], ["unknown suite 'quik'", "quick"]),
        (["--suite", "nowhere.toml"], ["nowhere.toml", "cannot be read"]),
        (["--workloads", "resnet19"], ["unknown workload 'resnet19'", "resnet18"]),
        (["--workloads", "zz*"], ["zz*"]),
        (["--workloads", "probe_*"], ["probe_*"]),
        (["--device", "cuda:99"], ["cuda:99", "cpu"]),
        (["--device", "tpu"], ["tpu"]),
        (["--precision", "float8"], ["float8", "float32"]),
        (["--budget", "soon"], ["soon", "10m"]),
        (["--budget", "0"], ["0"]),
        (["--budget", "5"], ["--budget '5'", "5s or 5m"]),
        (["-c", "numpy", "c"], ["unexpected", "(c)", "separated by commas: -c torch,jax"]),
        (["--run-id", "a/b"], ["a/b"]),
        (["--run-id", "../up"], ["../up"]),
        (["--run-id", ""], ["--run-id ''", "expected a value"]),
        (["--python", "other"], ["other", "current"]),
        (["--allocator", "other"], ["other", "as-shipped"]),
        (["--resume", "no-such-run"], ["no-such-run"]),
        (["--resume", "x", "--suite", "quick"], ["--suite"]),
        (["--resume", "x", "--launches", "20"], ["leave out --launches"]),
        (["--resume", "x", "--dry-run"], ["leave out --dry-run"]),
        (["--workloads", " , "], ["names none"]),
        (["--sweet", "quick"], ["--sweet"]),
        (["--threads", "0"], ["--threads"]),
        (["--threads", "999"], ["--threads 999", "expected at most", "this process may use"]),
        (["--timeout", "nan"], ["--timeout 'nan'", "expected something like 90s"]),
        (["--timeout", "25h"], ["--timeout '25h'", "expected 1s to 24h"]),
        (["--timeout", "0"], ["--timeout '0'", "expected 1s to 24h"]),
        (["--batch", "1,x"], ["--batch '1,x'", "whole numbers"]),
        (["--direction", "sideways"], ["--direction 'sideways'", "infer, fwd_bwd, train"]),
        (["--resume", "x", "--batch", "8"], ["leave out --batch"]),
        (["--resume", "x" * 300], ["is not there"]),
    ],
)
def test_a_wrong_run_isrefused(typed: Typed, arguments: list[str], words: list[str]) -> None:
    dry = [] if "--resume" in arguments else ["--dry-run"]
    refused(typed("run", *dry, *arguments), *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["'compare' is missing", '[[compare]] and below it workload = "resnet18"']),
        ("compare = 3", ["compare is 3: expected a list, as in [[compare]]"]),
        (
            '[compare]\nworkload = "lenet5"',
            ["compare is a table: expected a list, as in [[compare]]"],
        ),
        ("[[compare]", ["is not TOML"]),
        (
            "[[compare]]\nbatch = 1",
            ["'workload' is missing in compare[0]", 'workload = "resnet18"'],
        ),
        (GOOD + "batch = 0", ["batch 0", "1 or more"]),
        (GOOD + "batch = -3", ["batch -3"]),
        (GOOD + "batch = 1.5", ["compare[0].batch is 1.5: expected a whole number or a list"]),
        (GOOD + 'batch = [1, "four"]', ['compare[0].batch[1] is "four": expected a whole number']),
        (GOOD + "batch = []", ["empty list", "lenet5"]),
        (GOOD + "bach = 4", ["bach", "batch"]),
        (GOOD + 'direction = "sideways"', ["sideways", "expected infer, fwd_bwd, train\n"]),
        (GOOD + 'precision = "float8"', ["float8"]),
        (GOOD + "size = 3", ["lenet5", "cannot be"]),
        ('[[compare]]\nworkload = "lenet6"', ["lenet6", "lenet5"]),
        ('[[compare]]\nworkload = "relu_16x32x32"\ndirection = "train"', ["no parameters"]),
        ('[[compare]]\nworkload = "check_add"', ["check_add"]),
        ('budgit = "1m"\n' + GOOD, ["budgit", "budget"]),
        ('budget = "never"\n' + GOOD, ["/mine.toml': budget 'never'"]),
        ('sustained = "ever"\n' + GOOD, ["/mine.toml': sustained 'ever'"]),
        ("calls = -1\n" + GOOD, ["has calls = -1; expected 0 to 9950, such as 100"]),
        ("calls = 1000000\n" + GOOD, ["has calls = 1000000; expected 0 to 9950"]),
        ("calls_share = 25\n" + GOOD, ["has calls_share = 25; expected a part", "such as 0.25"]),
        ("calls_share = 0.25\n" + GOOD, ["has calls_share and no calls; add calls = 100"]),
        ("calls_share = nan\n" + GOOD, ["has calls_share = nan; expected a part"]),
        ('calls = "many"\n' + GOOD, ["calls is", "expected a whole number", "as in calls = 100"]),
        ('warm_up = "ever"\n' + GOOD, ["/mine.toml': warm_up 'ever'"]),
        ("warm_up = 3\n" + GOOD, ['warm_up is 3: expected text in quotes, as in warm_up = "3s"']),
        ('contenders = "torch"\n' + GOOD, ['expected a list, as in contenders = ["torch"]']),
        ('contenders = ["toch"]\n' + GOOD, ["mine.toml': contenders: unknown", "'toch'"]),
        ("contenders = []\n" + GOOD, ["mine.toml': contenders: no contender is named"]),
        ('contenders = [""]\n' + GOOD, ["mine.toml': contenders: no contender is named"]),
        ('"b\\u001bd" = 1\n' + GOOD, ["unknown key 'b\\u001bd'"]),
    ],
)
def test_a_wrong_suite_isrefused(typed: Typed, tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    refused(typed("run", "--dry-run", "--suite", str(path)), *words)


@pytest.mark.parametrize("text", ["contenders = []\n" + GOOD, 'contenders = ["toch"]\n' + GOOD])
def test_a_suites_contenders_are_held_though_others_are_named(
    typed: Typed, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    done = typed("run", "--dry-run", "-c", "numpy", "--suite", str(path))
    refused(done, f"suite '{path}': contenders: ")


def test_what_is_unseen_in_a_suites_words_is_made_visible(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    unseen = 'title = "a\\u001b[31mb\\u202ec\\u009b"\nsummary = "one\\ntwo"\n'
    path.write_text(unseen + GOOD)
    read = suites.load(str(path))
    assert (read.title, read.summary) == ("a\\u001b[31mb\\u202ec\\u009b", "one two")


def test_the_contenders_of_our_own_suites_are_there() -> None:
    for name in suites.names():
        found = suites.load(name).contenders
        assert not found or inventory.parse_list(",".join(found))


def test_a_suite_that_is_no_text_isrefused(typed: Typed, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    refused(typed("run", "--dry-run", "--suite", str(path)), "not text")


def test_a_run_that_is_not_there_or_torn_isrefused(bakeoff: Any, tmp_path: Path) -> None:
    refused(bakeoff("show", "nothing"), "nothing", "`bakeoff run` makes one")
    refused(bakeoff("show"), "no run yet")
    broken = tmp_path / "results" / "broken"
    broken.mkdir(parents=True)
    (broken / "plan.json").write_bytes(b'{"run": "\xff"}')
    refused(bakeoff("run", "--resume", "broken"), "plan.json")
    (broken / "plan.json").write_text("{")
    refused(bakeoff("show", "broken"), "plan.json")
    refused(bakeoff("report", "broken"), "plan.json")
    refused(bakeoff("run", "--resume", "broken"), "plan.json")


def test_results_that_are_no_folder_are_one_line(bakeoff: Any, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    refused(bakeoff("run", "--suite", "smoke", "-c", "numpy"), "results")


@pytest.mark.parametrize(("gate", "status"), [((), 0), (("--fail-on", "slower"), 141)])
def test_a_gate_that_nobody_reads_to_its_end_does_not_pass(
    tmp_path: Path, gate: tuple[str, ...], status: int
) -> None:
    """As `bakeoff compare ... | head -3`; what only tells may be left unread."""
    runs = [str(write_run(tmp_path / name, {"torch": 1.0, "jax": 1.3})) for name in ("a", "b")]
    reading, writing = os.pipe()
    os.close(reading)
    told = subprocess.run(
        [sys.executable, "-m", "harness.cli", "compare", *runs, *gate],
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    os.close(writing)
    assert told.returncode == status and told.stderr.count("\n") == (1 if status else 0)


def test_words_that_are_no_text_are_one_line(bakeoff: Any) -> None:
    refused(bakeoff("run", "--suite", b"caf\xe9.toml"), "caf?.toml", "expected UTF-8")


def test_a_relative_folder_of_results_is_one_place_wherever_a_worker_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BAKEOFF_RESULTS", "mine")
    folder = write_run(tmp_path / "mine" / "r", launches=0)
    assert paths.results() == tmp_path / "mine"
    for named in ("r", "mine/r", ""):
        assert common.folder_of(named) == folder


def test_a_folder_of_results_that_is_set_to_nothing_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `BAKEOFF_RESULTS=$SCRATCH` where there is no such variable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BAKEOFF_RESULTS", "")
    assert paths.results() == ROOT / "results"


@pytest.mark.parametrize(("words", "status"), [("--help >&-", 0), ("show nothing 2>&-", 2)])
def test_what_an_output_that_was_closed_does_not_take_goes_nowhere(words: str, status: int) -> None:
    command = f"exec {sys.executable} -m harness.cli {words}"
    told = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (told.returncode, told.stdout, told.stderr) == (status, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_campaign_that_is_told_to_end_says_how_to_go_on(number: int, signals: None) -> None:
    """As a Ctrl-C does: else its workers are gone, and nobody knows why."""

    def told_to_end(say: Any) -> None:
        handler: Any = signal.getsignal(number)
        handler(number, None)

    console = Console(file=StringIO())
    errors.as_interruptions()  # as every command begins
    with pytest.raises(typer.Exit) as left:
        trust._watched(console, told_to_end, None, "bakeoff prove")
    assert left.value.exit_code == 130
    assert "Go on with: bakeoff prove" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_run_name_that_is_taken_isrefused(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    refused(typed("run", "--run-id", "taken", "--contenders", "numpy"), "taken", "--resume")


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "r", "--output"],
        ["report", "r", "r", "--output"],
        ["report", "r", "--format", "csv", "--output"],
        ["report", "r", "--format", "parquet", "--output"],
        ["report", "r", "--charts"],
        ["compare", "r", "r", "--html", "--output"],
    ],
)
def test_no_folder_is_made_of_a_typing_error(
    typed: Typed, tmp_path: Path, arguments: list[str]
) -> None:
    write_run(tmp_path / "r")
    path = tmp_path / "tpyo" / "page.html"
    refused(
        typed(*arguments, str(path)),
        f"{arguments[-1]} {path}: expected a f",
        f"in a folder that is there; make {path.parent}, or name another",
    )
    assert not path.parent.exists()


def test_the_folder_of_pages_is_made_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "FOLDER", tmp_path)
    assert template.save(template.place("r"), "text").read_text() == "text"
    common.refuse_astray("--output", common.PAGES / "mine.html")  # whether or not it is there
    with pytest.raises(Wrong, match="cannot be written"):
        template.save(tmp_path / "other" / "r.html", "text")


def test_a_full_disk_is_one_line_and_loses_nothing(bakeoff: Any, tmp_path: Path) -> None:
    """A tiny file system of its own stands for the disk."""
    results = tmp_path / "results"
    results.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(results)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        arguments = ["--suite", "smoke", "--contenders", "numpy", "--python", "current"]
        result = bakeoff("run", *arguments, "--run-id", "r", "--no-page")
        refused(result, "No space left on device", "--resume")
    finally:
        subprocess.run(["umount", str(results)], check=True)


def test_list_json_has_what_a_script_reads(bakeoff: Any) -> None:
    listed = json.loads(bakeoff("list", "--json").stdout)
    assert set(listed) == {"contenders", "workloads", "suites", "profiles", "devices"}
    names = {row["name"]: row for row in listed["contenders"]}
    assert {"numpy", "torch", "torch:compile", "tensorflow", "tensorflow:xla", "jax"} <= set(names)
    for row in names.values():
        assert row["available"] == (row["reason"] is None)
    assert "cpu" in listed["devices"]
    assert "resnet18" in {w["name"] for w in listed["workloads"]}
    assert {"smoke", "quick", "full", "serving", "lanes", "convnet-benchmarks", "deepbench"} == {
        s["name"] for s in listed["suites"]
    }


def test_the_list_is_read_in_80_columns_with_the_named_and_the_absent_apart(typed: Typed) -> None:
    text = typed("list", "--python", "current", COLUMNS="80").stdout
    parts = ("Contenders on cpu", "Only when named", "Absent here", "Suites", "Workloads: micro")
    starts = [text.index(part) for part in parts]
    assert starts == sorted(starts)
    by_itself, _, absent = (text[a:b] for a, b in itertools.pairwise(starts[:4]))
    assert "numpy " in by_itself and "torch" not in by_itself
    assert "torch:compile " in absent and "not installed" in absent
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    # A column squeezed to a word a line made it three lines a name.
    assert len(lines) < 2 * len([line for line in lines if line[:1].strip()])


def test_what_is_absent_is_listed_with_its_reason(bakeoff: Any) -> None:
    """This controller has no framework: with --python current, none but NumPy is there."""
    listed = json.loads(bakeoff("list", "--json", "--python", "current").stdout)
    rows = {row["name"]: row for row in listed["contenders"]}
    assert rows["numpy"]["available"]
    assert not rows["torch"]["available"]
    assert "'torch' is not installed" in rows["torch"]["reason"]


def test_who_asks_for_a_run_that_is_not_there_hears_of_the_latest(
    typed: Typed, tmp_path: Path
) -> None:
    for age, name in enumerate("hgfedcbazyx"):
        write_run(tmp_path / name, launches=0)
        os.utime(tmp_path / name / "plan.json", (1e9 - age, 1e9 - age))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "records-1.jsonl").write_text("")
    refused(typed("show", "nosuch"), "the latest first: h, g, f, e, d, c, b, a and 3 more")
    refused(typed("show", "torn"), "holds records and no plan.json")


def test_a_published_runs_name_is_taken(typed: Typed, tmp_path: Path) -> None:
    write_run(tmp_path / "published" / "mine", launches=0)
    given = ("run", "--dry-run", "-c", "numpy", "-w", "lenet5", "--python", "current")
    refused(typed(*given, "--run-id", "mine"), "a published run has it")
    refused(typed(*given, "--run-id", "published"), "the published runs lie there")


@pytest.mark.parametrize("command", ["list", "run", "show", "report", "setup"])
def test_every_help_has_an_example(typed: Typed, command: str) -> None:
    result = typed(command, "--help", COLUMNS="200")
    assert result.returncode == 0
    assert f"bakeoff {command}" in result.stdout.split("Example")[1]


def test_show_json_has_what_a_script_reads(bakeoff: Any, tmp_path: Path) -> None:
    arguments = ["--suite", "smoke", "--contenders", "numpy", "--python", "current"]
    ran = bakeoff("run", *arguments, "--run-id", "r", "--no-page", "--launches", "1")
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(bakeoff("show", "r", "--json").stdout)
    for comparison in shown["comparisons"]:
        assert {
            "workload", "batch", "direction", "precision", "device", "winner", "cells", "ratios"
        } <= set(comparison)  # fmt: skip
        assert comparison["winner"] is None
        cell = comparison["cells"][0]
        assert {"contender", "status", "reason", "launches", "latency", "throughput"} <= set(cell)
        assert set(cell["latency"]) == {"p25", "p50", "mean", "p99"}
        assert 0 < cell["latency"]["p25"] < 10
        assert cell["throughput"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--profile", "trainin"], ["unknown profile 'trainin'", "training-throughput"]),
        (["--profile", "gone.toml"], ["gone.toml", "cannot be read"]),
        (["--price", "-3"], ["--price", "above 0", "3.50"]),
        (["--price", "nan"], ["--price", "above 0"]),
        (["--price", "cheap"], ["--price"]),
    ],
)
@pytest.mark.parametrize("command", ["show", "report"])
def test_a_wrong_profile_or_price_isrefused(
    typed: Typed, command: str, arguments: list[str], words: list[str]
) -> None:
    refused(typed(command, "quick-2core", *arguments, BAKEOFF_RESULTS=str(PUBLISHED)), *words)


def test_a_profile_of_ones_own_is_answered_from_what_was_measured(
    typed: Typed, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "Mine"\n[[objective]]\nmeasure = "cost"\nof = "throughput"\nweight = 1\n'
    )
    write_run(tmp_path / "runs" / "planted")  # torch:compile takes 0.82x the time of torch
    arguments = ["--profile", str(path), "--price", "3.50", "--json"]
    result = typed("show", "planted", *arguments, BAKEOFF_RESULTS=str(tmp_path / "runs"))
    [choice] = json.loads(result.stdout)["recommendations"]
    assert choice["profile"] == "mine"
    assert choice["choice"] == "torch:compile"
    assert {row["contender"] for row in choice["ranking"]} == set(EVERYONE)
    assert {"low", "high", "flips", "limits", "weights", "unknown", "objectives"} <= set(choice)


def test_several_runs_are_shown_together_and_to_a_script(tmp_path: Path, typed: Typed) -> None:
    for number in range(3):
        write_run(tmp_path / f"run{number}", {"torch": 1.0, "jax": 1.2 + number / 100})
    runs, place = ["run0", "run1", "run2"], {"BAKEOFF_RESULTS": str(tmp_path)}
    text = " ".join(typed("show", *runs, **place).stdout.split())
    assert (
        "Over 3 runs, begun within 0 min. Nothing is decided. Leading, not proven: torch for"
        in text
    )
    assert "Training throughput: torch leads, not proven (3 of 6 runs), ahead in all" in text
    assert "jax 1.21x 1.20x 1.21x 1.22x" in text
    told = json.loads(typed("show", *runs, "--json", **place).stdout)
    assert told["runs"] == runs and told["one_machine"] and told["anchor"] == "torch"
    training = told["uses"]["Training throughput"]
    assert training["over"]["choice"] is None and training["over"]["rival"] == "jax"
    assert [training["runs"][run]["choice"] for run in runs] == ["torch"] * 3
    assert told["ratios"]["all"]["jax"]["over"]["ratio"] == pytest.approx(1.21, rel=0.01)
    refused(typed("show", *runs, "--price", "3", **place), "--price takes a single run")
    refused(typed("show", *runs, "--why", **place), "--why takes a single run")


def test_an_earlier_run_of_the_same_work_on_this_machine_is_pointed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path))
    days = {"first": "01", "before": "02", "now": "03", "later": "04"}
    for name, day in days.items():
        write_run(tmp_path / name, created=f"2026-01-{day}T00:00:00+00:00")
    other = [("lenet5", "convnet", 32, None, "infer", False)]
    write_run(tmp_path / "other", workloads=other, created="2026-01-02T12:00:00+00:00")
    elsewhere = write_run(tmp_path / "elsewhere", created="2026-01-02T13:00:00+00:00")
    path = elsewhere / "environment.json"
    path.write_text(path.read_text().replace("A processor", "Another processor"))
    torn = write_run(tmp_path / "torn", created="2026-01-02T14:00:00+00:00")
    (torn / "plan.json").write_text("{")
    empty = write_run(tmp_path / "empty", created="2026-01-02T15:00:00+00:00")
    for records_of_it in empty.glob("records-*.jsonl"):
        records_of_it.write_text("")
    now = records.read(tmp_path / "now")
    before = measuring.earlier(now)
    assert [other.name for other in before] == ["first", "before"]
    assert not measuring.earlier(records.read(tmp_path / "first"))
    assert "bakeoff report first before now" in measuring.beside(now, before)
    path = tmp_path / "first" / "plan.json"  # what was measured on one thread repeats nothing
    path.write_text(path.read_text().replace('"threads": 2', '"threads": 1'))
    told = measuring.beside(now, measuring.earlier(now))
    assert "bakeoff compare before now; " in told and "bakeoff report before now" in told
