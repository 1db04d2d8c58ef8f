"""Claims about the terminal: it says what the page says, cuts nothing off, and obeys no record."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.record import records
from reports import terminal, verdicts, words
from reports.analysis import short, warning
from reports.choice import overall
from reports.exports import markdown
from reports.exports import verdicts as promised
from reports.pages import page
from tests.support.synthetic import write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "whole")


def told(folder: Path, width: int, price: float | None = None, why: bool = True) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    terminal.render(verdicts.analyse(records.read(folder), price=price), console, why)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 200])
def test_the_terminal_says_the_same_and_cuts_nothing_off(folder: Path, width: int) -> None:
    text = told(folder, width)
    analysis = verdicts.analyse(records.read(folder))
    for choice in analysis.recommendations:
        assert choice.sentence in text
    assert "…" not in text
    table = text.partition("comparison ")[2].partition("Times are")[0]
    assert max(map(len, table.splitlines())) <= width
    assert table.count("*") == len(analysis.comparisons)


@pytest.mark.parametrize("width", [80, 200])
def test_at_first_sight_each_use_is_a_line_and_the_answer_comes_last_too(
    folder: Path, width: int
) -> None:
    text = told(folder, width, why=False)
    analysis = verdicts.analyse(records.read(folder))
    table = text.partition("how sure")[2].partition("bakeoff show --why")[0]
    for choice in analysis.recommendations:
        assert choice.title in table and choice.sentence not in text
    words = " ".join(table.split())
    assert "incomplete" in words and "decided, 6 launches" in words
    assert text.count(overall.answer(analysis.recommendations)) == 2
    assert text.rstrip().endswith(overall.answer(analysis.recommendations))


@pytest.mark.parametrize(
    ("told", "figure"),
    [
        (words.seconds(999.6e-6), "1 ms"),
        (words.seconds(9.996e-4), "1 ms"),
        (words.seconds(0.99951), "1 s"),
        (words.seconds(999.4e-6), "999 µs"),
        (words.seconds(1234.5), "1230 s"),
        (words.seconds(4e-10), "0.4 ns"),
        (words.seconds(0.0), "0 ns"),
        (words.rate(999_900.0), "1 M/s"),
        (words.rate(12.34), "12.3/s"),
        (words.size(999_960_000), "1 GB"),
        (words.joules(0.9996), "1 J"),
        (words.size(None), "-"),
        (words.times(0.004), "0.004x"),
        (words.times(0.0947), "0.095x"),
        (words.times(0.097), "0.10x"),
        (words.less(0.004), "0.004x"),
        (words.less(0.02), "98% less"),
    ],
)
def test_a_figure_is_told_in_the_unit_that_it_is_rounded_to(told: str, figure: str) -> None:
    assert told == figure


def test_many_contenders_stand_in_several_tables_and_no_figure_is_cut_off(tmp_path: Path) -> None:
    names = [f"framework{number}:with-a-variant" for number in range(9)]
    text = told(write_run(tmp_path / "many", dict.fromkeys(names, 1.0)), 80)
    lines = text.partition("\nTimes are")[0].splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("comparison "))
    tables = lines[first - 1 :]  # names with a variant begin on the line above
    assert not any("…" in line for line in tables) and max(map(len, tables)) <= 80
    assert all(" ".join(tables).count(name.partition(":")[0]) == 1 for name in names)


def test_a_reason_does_not_command_the_terminal(tmp_path: Path) -> None:
    reason = "died \x1b[2J\x1b]0;title\x07 [bold]of[/bold] it"
    failures = {("relu", "jax"): ("crash", reason)}
    text = told(write_run(tmp_path / "loud", failures=failures), 80)
    assert "\x1b" not in text
    assert "[bold]of[/bold] it" in text


def test_a_name_does_not_command_the_terminal_either(tmp_path: Path) -> None:
    loud = "t\x1b]0;own\x07orch"
    suite = {"name": "quick", "title": "Quick\x1b[2J", "summary": ""}
    run = write_run(tmp_path / "loud", {loud: 1.0, "jax": 2.0}, run="r\x1b[8m", suite=suite)
    assert "\x1b" not in told(run, 120)


def test_who_is_level_takes_as_much_as_another(folder: Path) -> None:
    analysis = verdicts.analyse(records.read(folder))
    level = [replace(each, ratio=1.0001) for each in analysis.recommendations if each.runner_up]
    for choice in level:
        assert f"as much {choice.of} as {choice.runner_up}" in terminal._lead(choice)
    text = page.render(replace(analysis, recommendations=level))
    assert "<b>as much</b> score as" in text and "<b>as much</b> time as" in text


def test_what_a_million_costs_stands_under_each_choice(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0})
    text = told(run, 120, price=3.6)
    assert "A million costs: torch " in text and "A million costs" in told(run, 120, 3.6, False)
    assert "A million costs" not in told(run, 120)


def test_what_was_left_out_is_told_before_the_verdicts_that_lack_it(folder: Path) -> None:
    analysis = verdicts.analyse(records.read(folder))
    lost = [{"comparison": f"net{n}/b1/infer/float32/cpu", "reason": "no time"} for n in range(5)]
    console = Console(width=200, file=io.StringIO(), force_terminal=False)
    terminal.render(replace(analysis, left_out=lost), console)
    assert isinstance(console.file, io.StringIO)
    said, _, after = console.file.getvalue().partition("how sure")
    assert "Left out of this run, and of every verdict: net0 b1 infer, net1 b1 infer" in said
    assert "net2 b1 infer and 2 more." in said and after
    assert overall.left_out([lost[0]["comparison"]]) in page.render(
        replace(analysis, left_out=lost[:1])
    )
    assert "Left out" not in told(folder, 200) + page.render(analysis)


def test_weight_that_has_no_figure_is_told_under_the_choice(folder: Path) -> None:
    assert "50% of the weight (latency, p99) has no figure, and went to the rest." in told(
        folder, 200
    )


def test_of_a_run_that_measured_nothing_nothing_is_concluded(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "empty")
    (tmp_path / "empty" / "records-000.jsonl").write_text("")
    text = told(tmp_path / "empty", 200)
    assert "Nothing was measured" in text and "of the weight" not in text
    assert "make bench-serving" not in text and "Training throughput" not in text
    analysis = verdicts.analyse(records.read(tmp_path / "empty"))
    assert "Nothing was measured" in markdown.text(analysis)
    assert "Training throughput" not in markdown.text(analysis)


def test_who_wins_a_workload_alone_is_named_too(folder: Path) -> None:
    """As on the page: a use may be open, and a workload decided."""
    analysis = verdicts.analyse(records.read(folder))
    unsure = [replace(choice, choice=None) for choice in analysis.recommendations]
    busy = replace(analysis, recommendations=unsure, screening=["the machine was busy"])
    assert busy.named and not replace(busy, comparisons=[]).named
    for each, said in ((busy, False), (replace(busy, comparisons=[]), True)):
        console = Console(width=200, file=io.StringIO(), force_terminal=False)
        terminal._answer(each, console)
        assert isinstance(console.file, io.StringIO)
        assert ("No winner is named" in console.file.getvalue()) == said


def test_damaged_records_are_told_before_all_else(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "torn")
    file = tmp_path / "torn" / "records-000.jsonl"
    first, *rest = file.read_text().splitlines(keepends=True)
    file.write_text("".join([first[:50] + "\n", *rest]))
    analysis = verdicts.analyse(records.read(tmp_path / "torn"))
    said = "a record could not be read, and what is said here may be another thing without"
    assert said in told(tmp_path / "torn", 400).partition("Training throughput")[0]
    assert said in page.render(analysis).partition("Training throughput")[0]
    assert said in markdown.text(analysis).partition("Training throughput")[0]
    assert len(json.loads(promised.text(analysis))["problems"]) == 1


def test_what_rests_on_a_single_measurement_is_told_wherever_a_choice_is(folder: Path) -> None:
    analysis = verdicts.analyse(records.read(folder))
    shares = {c.once for c in analysis.recommendations if c.once and len(c.ranking) > 1}
    assert shares
    for share in shares:
        said = f"{100 * share:.0f}% of the score rests on a single measurement"
        assert said in told(folder, 400) and said in markdown.text(analysis), said
        brief = f"{100 * share:.0f}% measured once"
        assert brief in told(folder, 400, why=False) and brief in page.render(analysis), brief
    choices = json.loads(promised.text(analysis))["recommendations"]
    assert {c["once"] for c in choices} == {c.once for c in analysis.recommendations}


def test_warnings_of_one_kind_are_one_line(folder: Path) -> None:
    analysis = verdicts.analyse(records.read(folder))
    places = [comparison.id for comparison in analysis.comparisons]
    modes = [
        warning(f"jax, {id_}", "its launches fall into 2 modes", "wait", [id_]) for id_ in places
    ]
    analysis = replace(analysis, warnings=[*modes, warning("load", "it was busy", "close")])
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    terminal.render(analysis, console)
    assert isinstance(console.file, io.StringIO)
    lines = [each for each in console.file.getvalue().splitlines() if each.startswith("Warning")]
    also = "; ".join(f"jax, {short(id_)}" for id_ in places[1:])
    assert lines == [
        f"Warning (4 alike): jax, {short(places[0])}: its launches fall into 2 modes. "
        f"Also: {also}. What to do: wait.",
        "Warning: load: it was busy. What to do: close.",
    ]
