"""Claims about exports: other tools open them, and nothing in a record commands a reader."""

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib import util
from pathlib import Path

import altair
import jsonschema
import pytest
from rich.console import Console

from harness.errors import Wrong
from harness.paths import ROOT
from harness.record import records
from reports import terminal, verdicts
from reports.analysis import Analysis
from reports.charts import every
from reports.exports import formats, markdown, parquet, pictures
from reports.exports import verdicts as promised
from tests.conftest import Typed
from tests.support.synthetic import EVERYONE, HOSTILE, poison, write_run

FAILED = {("relu", "jax"): ("crash", "it | died\n# here")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "whole", failures=FAILED)


@pytest.fixture(scope="module")
def analysis(folder: Path) -> Analysis:
    return verdicts.analyse(records.read(folder))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    folder = tmp_path_factory.mktemp("runs") / "hostile"
    names = {"torch": 1.0, "=cmd|' /C calc'!A0": 1.2, "@team": 2.0, "-1+1": 3.0}
    write_run(folder, names, failures={("relu", "@team"): ("crash", "`|*x*[a](http://b)\n# c")})
    poison(folder, HOSTILE)
    return verdicts.analyse(records.read(folder))


def test_every_chart_is_what_vega_lite_says_a_chart_is(
    analysis: Analysis, hostile: Analysis
) -> None:
    """A page is written without this: it takes seconds where a run is large."""
    for run in (analysis, hostile):
        specs = every.specs(run)
        assert len(specs) > 5
        for spec in specs.values():
            altair.LayerChart.validate(spec, schema=altair.VegaLiteSchema._rootschema)


def test_pytest_benchmark_itself_opens_a_run(
    folder: Path, analysis: Analysis, tmp_path: Path
) -> None:
    path = tmp_path / "whole.json"
    formats.write(records.read(folder), "pytest-benchmark", path)
    command = [sys.executable, "-m", "pytest_benchmark", "compare", str(path), "--csv=out.csv"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert "Failed to load" not in told.stdout + told.stderr
    for comparison in analysis.comparisons:
        assert f"benchmark '{comparison.id}'" in told.stdout
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert len(rows) == len(analysis.comparisons) * len([*EVERYONE, "torch#2"]) - 1
    [one] = [r for r in rows if r["name"].startswith("relu") and r["name"].endswith("[numpy]")]
    measured = next(c for c in analysis.comparisons if c.workload == "relu").cell("numpy")
    assert min(measured.launch_seconds) <= float(one["mean"]) <= max(measured.launch_seconds)
    assert int(one["rounds"]) == 6


def test_github_action_benchmark_gets_a_positive_number_and_a_unit_for_every_name(
    analysis: Analysis,
) -> None:
    entries = json.loads(formats.TEXT["github-action-benchmark"](analysis))
    assert len({entry["name"] for entry in entries}) == len(entries) == 4 * 5 - 1
    for entry in entries:
        assert entry["unit"] == "ms" and entry["value"] > 0
        assert re.fullmatch(r"± [\d.e+-]+", entry["range"])


def test_the_json_is_what_its_schema_promises(analysis: Analysis, hostile: Analysis) -> None:
    schema = json.loads((ROOT / "reports/exports/verdicts.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for each in (analysis, hostile):
        jsonschema.validate(json.loads(formats.TEXT["json"](each)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": 1}, schema)


def test_the_schema_that_is_kept_is_that_of_the_types() -> None:
    kept = json.loads((ROOT / "reports/exports/verdicts.schema.json").read_text())
    told = "make it anew: python -m reports.exports.verdicts > reports/exports/verdicts.schema.json"
    assert kept == promised.schema(), told


def test_the_json_says_what_the_verdicts_say(analysis: Analysis) -> None:
    told = json.loads(formats.TEXT["json"](analysis))
    chosen = [r.choice for r in analysis.recommendations]
    assert [c["choice"] for c in told["recommendations"]] == chosen and "torch:compile" in chosen
    assert [c["winner"] for c in told["comparisons"]] == [c.winner for c in analysis.comparisons]
    assert told["noise_floor"]["of"] == "torch"


def test_csv_has_a_row_for_every_cell(analysis: Analysis) -> None:
    rows = list(csv.DictReader(io.StringIO(formats.TEXT["csv"](analysis))))
    assert len(rows) == sum(len(c.cells) for c in analysis.comparisons)
    [failed] = [row for row in rows if row["status"] == "crash"]
    assert failed["reason"] == "it | died\n# here" and failed["seconds"] == ""
    assert {row["contender"] for row in rows if row["winner"] == "True"} == {"torch:compile"}


def test_no_text_of_a_csv_is_a_formula(hostile: Analysis) -> None:
    rows = list(csv.reader(io.StringIO(formats.TEXT["csv"](hostile))))
    assert len({len(row) for row in rows}) == 1
    numbers = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
    for value in (value for row in rows for value in row):
        assert not value.startswith(("=", "+", "-", "@", "\t", "\r")) or numbers.fullmatch(value)
        assert "\u202e" not in value
    assert any(value.startswith("'=cmd") for row in rows for value in row)


def test_every_format_for_people_says_which_versions_ran(tmp_path: Path) -> None:
    """As a run records them: what was asked for, if a version was, and what then ran."""
    folder = write_run(tmp_path / "run", {"torch@2.12": 1.0, "jax": 2.0})
    document = json.loads((folder / "environment.json").read_text())
    for name, asked, ran in (("torch@2.12", "2.12", "2.12.1+cpu"), ("jax", None, "0.10.2")):
        document["contenders"][name] |= {"version": asked, "manifest": {"version": ran}}
    (folder / "environment.json").write_text(json.dumps(document))
    found = verdicts.analyse(records.read(folder))
    rows = list(csv.DictReader(io.StringIO(formats.TEXT["csv"](found))))
    assert {row["version"] for row in rows} == {"2.12.1+cpu", "0.10.2"}
    console = Console(file=io.StringIO(), width=80)
    terminal.render(found, console)
    assert isinstance(console.file, io.StringIO)
    for text in (formats.TEXT["markdown"](found), console.file.getvalue()):
        assert "2.12.1+cpu" in text and "jax 0.10.2" in text


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("2.0%", "2.0%"),
        ("1. a list", r"1\. a list"),
        ("12) too", r"12\) too"),
        ("- one", r"\- one"),
        ("see https://a.b", "see https:<!-- -->//a.b"),
        ("www.a.b", "www<!-- -->.a.b"),
        ("of #12, o/r#3", "of #<!-- -->12, o/r#<!-- -->3"),
        ("gh-12", "gh-<!-- -->12"),
        ("torch@2.12", "torch@<!-- -->2.12"),  # an address, to GitHub
    ],
)
def test_markdown_escapes_what_would_be_a_list_or_a_link_and_no_figure(
    said: str, written: str
) -> None:
    assert markdown.escape(said) == written


def test_markdown_says_the_verdicts_and_how_to_repeat_them(analysis: Analysis) -> None:
    text = formats.TEXT["markdown"](analysis)
    assert text.count("Choose torch:compile") == sum(
        r.choice == "torch:compile" for r in analysis.recommendations
    )
    assert "Noise floor: torch entered twice" in text
    assert re.search(r"differs from itself by \d\.\d% in [^(]+ \(\d\.\d\d to \d\.\d\d\)", text)
    assert "crash: jax in relu/b32" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(analysis.comparisons)
    assert len({line.count("|") for line in table}) == 1
    assert text.count("★") == len(analysis.comparisons) + 1  # and in the key


def test_a_long_run_fits_into_a_comment_and_no_command_is_cut(analysis: Analysis) -> None:
    """Of each list it is told how many more there are."""
    long = f"bakeoff run --contenders {','.join(f'framework{n}' for n in range(60))}"
    many = [replace(analysis.comparisons[0], id=f"w{n}/b1", command=long) for n in range(400)]
    failed = analysis.failures * 400
    text = markdown.text(replace(analysis, comparisons=many, failures=failed, command=long))
    assert len(long) > 300 and len(text.encode()) < 65_536
    commands = re.findall(r"`(bakeoff run --contenders.*?)`", text)
    assert len(commands) > 5 and {*commands} == {long}
    assert f"- and {401 - len(commands)} more" in text
    rows = len(re.findall(r"^\| w\d", text, re.M))
    assert rows > 50 and f"\n\nand {400 - rows} more workloads\n" in text
    assert re.search(r"^- crash.*\n- and \d+ more$", text, re.M)
    endless = markdown.text(replace(analysis, command="x" * 70_000))
    assert len(endless.encode()) < 65_536 and "xxx" not in endless
    assert "- and 1 more" in endless and all(c.command in endless for c in analysis.comparisons)


def test_markdown_holds_no_markup_of_a_record(hostile: Analysis) -> None:
    text = formats.TEXT["markdown"](hostile)
    assert len(text.encode()) < 65_536
    outside_code = re.sub(r"`[^`\n]*`", "", text.replace(r"\`", ""))
    assert set(re.findall(r"</?\w+", outside_code)) == {
        "<details", "</details", "<summary", "</summary"
    }  # fmt: skip
    assert not re.search(r"(?<!\\)\]\(", outside_code)
    assert not re.search(r"(?<!\w)@\w", outside_code)
    assert "\u202e" not in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_every_chart_is_a_picture_with_a_key_of_its_own(analysis: Analysis, tmp_path: Path) -> None:
    written = {path.name for path in pictures.write(analysis, tmp_path / "charts")}
    assert {"ratios.svg", "ratios.png", "roof.svg", "start-0.png", "memory-1.svg"} <= written
    for name, words in (
        ("ratios", ["torch:compile", "numpy"]),
        ("start-0", ["first call"]),
        ("breakeven-0", ["torch:compile", "numpy"]),
    ):
        svg = (tmp_path / "charts" / f"{name}.svg").read_text()
        assert all(word in svg.partition("role-legend")[2] for word in words)
        assert "var(--" not in svg and 'fill="white"' in svg
    assert (tmp_path / "charts" / "roof.png").read_bytes().startswith(b"\x89PNG")


def test_parquet_without_pyarrow_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(Wrong, match=r"needs pyarrow.*pip install"):
        parquet.write(records.read(folder), tmp_path / "calls.parquet")


def test_parquet_holds_every_call(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd

    run = records.read(folder)
    back = pd.read_parquet(parquet.write(run, tmp_path / "calls.parquet"))
    pd.testing.assert_frame_equal(back, records.frame(run), check_categorical=False)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["whole", "--format", "markdown"], 0, "Choose torch:compile"),
        (["whole", "--format", "docx"], 2, "expected one of html, markdown"),
        (["whole", "whole", "--format", "csv"], 2, "take a single run"),
        (["whole", "whole"], 2, "named twice"),
        (["whole", "--anchor", "jax"], 2, "only one was given"),
        (["whole", "--format", "parquet"], 2, "--output"),
        (["whole", "--format", "csv", "--open"], 2, "makes none"),
    ],
)
def test_the_door_to_them(
    typed: Typed, folder: Path, options: list[str], status: int, words: str
) -> None:
    told = typed("report", *options, BAKEOFF_RESULTS=str(folder.parent))
    assert told.returncode == status, told.stderr
    assert words in told.stdout + told.stderr
    assert "Traceback" not in told.stderr
