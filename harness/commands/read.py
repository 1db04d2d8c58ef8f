"""What there is, and what was found: list, show, report, compare."""

import math
import re
import sys
import webbrowser
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from harness.commands.common import (
    Device,
    Json,
    Price,
    Profiles,
    Python,
    app,
    device_of,
    escape,
    folder_of,
    is_current,
    price_of,
    print_json,
    refuse_astray,
    table,
)
from harness.errors import Wrong
from harness.host import machine
from harness.plan import inventory
from harness.plan import suite as suites
from harness.record import records
from harness.stats import statistics

if TYPE_CHECKING:
    from suites.workload import Workload


@app.command("list")
def list_(json_: Json = False, device: Device = None, python: Python = None) -> None:
    """What can be measured here: contenders, workloads, suites, devices; and for whom it is judged.

    Example: `bakeoff list`
    """
    from reports.choice import profiles
    from suites import catalogue

    chosen = device_of(device)
    rows = inventory.contenders(chosen, is_current(python))
    workloads = [w for w in catalogue.load().values() if w.kind not in suites.HIDDEN]
    chosen_suites = [suites.load(name) for name in suites.names()]
    judged = profiles.load()
    if json_:
        print_json(
            {
                "contenders": rows,
                "workloads": [
                    {
                        "name": w.name,
                        "kind": w.kind,
                        "input": list(w.input),
                        "batch": w.batch,
                        "summary": w.summary,
                    }
                    for w in workloads
                ],
                "suites": [
                    {
                        "name": s.name,
                        "title": s.title,
                        "summary": s.summary,
                        "comparisons": len(s.comparisons),
                        "budget": s.budget,
                    }
                    for s in chosen_suites
                ],
                "profiles": [
                    {"name": p.name, "title": p.title, "summary": p.summary} for p in judged
                ],
                "devices": machine.devices(),
            }
        )
        return
    _print_list(Console(), chosen, rows, workloads, chosen_suites, judged)


def _print_list(
    console: Console,
    device: str,
    rows: list[dict[str, Any]],
    workloads: "list[Workload]",
    chosen_suites: list[suites.Suite],
    judged: list[Any],  # profiles.Profile
) -> None:
    """Two or three columns a table: the longest names leave half of 80 columns for the rest."""
    ready = [row for row in rows if row["available"]]
    for title, named_only in (
        (f"Contenders on {device}", False),
        ("Only when named, as in --contenders torch,onnxruntime", True),
    ):
        chosen = [row for row in ready if row["named_only"] == named_only]
        lines = [(row["name"], _with_version(row)) for row in chosen]
        if lines:
            table(console, title, ("name", "what it is · its version"), lines)
    absent = [(row["name"], escape(row["reason"])) for row in rows if not row["available"]]
    if absent:
        table(console, "Absent here", ("name", "why"), absent)
    table(
        console,
        "Suites",
        ("name", "comparisons", "budget", "what for"),
        [(s.name, str(len(s.comparisons)), s.budget, escape(s.summary)) for s in chosen_suites],
    )
    table(
        console,
        "Profiles: what `show` and `report --profile NAME` choose for",
        ("name", "title", "what it weighs"),
        [(p.name, escape(p.title), escape(p.summary)) for p in judged],
    )
    deepbench = [w for w in workloads if w.name.startswith("deepbench_")]
    for kind in dict.fromkeys(w.kind for w in workloads):
        table(
            console,
            f"Workloads: {kind}",
            ("name", "batch and input", "what it is"),
            [
                (w.name, "x".join(map(str, (w.batch, *w.input))), escape(w.summary))
                for w in workloads
                if w.kind == kind and w not in deepbench
            ],
        )
        if any(w.kind == kind for w in deepbench):
            console.print(f"and {len(deepbench)} shapes of DeepBench (deepbench_*)\n")
    console.print(f"Devices: {', '.join(machine.devices())}")


def _with_version(row: dict[str, Any]) -> str:
    version = f" [dim]· {escape(row['version'])}[/]" if row["version"] else ""
    return escape(row["summary"]) + version


@app.command()
def show(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names or folders; default: the latest. Several of one machine are taken "
            "together, of several machines shown side by side."
        ),
    ] = None,
    why: Annotated[
        bool, typer.Option("--why", help="Each use in full, and what would flip it.")
    ] = False,
    profile: Profiles = None,
    price: Price = None,
    json_: Json = False,
) -> None:
    """The verdicts of a run, in the terminal; or of several runs.

    `--json` is all that is known, and may change: `report --format json` has a promised shape.

    Example: `bakeoff show` · `bakeoff show --why` · `bakeoff show RUN --json` ·
    `bakeoff show --profile mine.toml` ·
    `bakeoff show RUN RUN RUN`
    """
    from reports import terminal, terminal_runs, verdicts
    from reports.choice import profiles
    from reports.runs import machines

    folders = [folder_of(run) for run in runs or [""]]
    chosen, costs = profiles.load(profile), price_of(price)
    if len(folders) > 1:
        _of_one_price(price)
        if why:
            raise Wrong(
                "--why takes a single run; of several it is on their page: `bakeoff report`"
            )
        found = machines.gather([records.read(folder) for folder in folders], None, chosen)
        if json_:
            print_json(machines.document(found))
        else:
            terminal_runs.render_runs(found, Console())
        return
    analysis = verdicts.analyse(records.read(folders[0]), chosen, costs)
    if profile:
        profiles.refuse_silent(chosen, analysis)
    if json_:
        print_json(asdict(analysis))
    else:
        terminal.render(analysis, Console(), why)


def _of_one_price(price: float | None) -> None:
    """Several machines have no price in common."""
    if price is not None:
        raise Wrong("--price takes a single run; with two: `bakeoff compare --price`")


@app.command()
def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Names or folders; default: the latest. Several: one page of them."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Default: reports/html/RUN.html, with --profile RUN-PROFILE.html. Other formats "
            "are printed; parquet needs it.",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="The page's title.")] = None,
    profile: Profiles = None,
    price: Price = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="html, markdown, json, csv, parquet, pytest-benchmark or github-action-benchmark.",
        ),
    ] = "html",
    charts: Annotated[
        Path | None, typer.Option(help="A folder for PNG and SVG of every chart.")
    ] = None,
    anchor: Annotated[
        str | None,
        typer.Option(help="With several runs: the contender that all ratios are relative to."),
    ] = None,
) -> None:
    """Write the HTML page of a run: one file, no network needed. Or another format.

    Examples: `bakeoff report --open` · `bakeoff report RUN --format markdown` ·
    `bakeoff report --profile prototyping --price 3.50` ·
    `bakeoff report HERE THERE --output machines.html`
    """
    from reports.choice import profiles
    from reports.exports import formats, pictures
    from reports.pages import machines_page, page, template
    from reports.verdicts import analyse

    folders = [folder_of(run) for run in runs or [""]]
    formats.known(format_)
    if len(folders) > 1 and (format_ != "html" or charts):
        raise Wrong(
            "several runs make one HTML page; --format and --charts take a single run; "
            "a script reads `bakeoff show RUN RUN --json`"
        )
    if len(folders) > 1:
        _of_one_price(price)
    refuse_astray("--output", output)
    refuse_astray("--charts", charts, "a folder, new or not,")
    if anchor and len(folders) == 1:
        raise Wrong("--anchor relates several runs; only one was given")
    if open_ and format_ != "html":
        raise Wrong(f"--open shows a page; --format {format_} makes none")
    if title and format_ != "html":
        raise Wrong(f"--title is a page's; --format {format_} has none")
    chosen, costs = profiles.load(profile), price_of(price)
    if profile and len(folders) == 1:
        profiles.refuse_silent(chosen, analyse(records.read(folders[0]), chosen, costs))
    if charts:
        for path in pictures.write(analyse(records.read(folders[0]), chosen, costs), charts):
            print(path, file=sys.stdout if format_ == "html" else sys.stderr)
    if format_ != "html":
        run = records.read(folders[0])
        print(formats.write(run, format_, output, chosen, costs).rstrip("\n"))
        return
    runs_ = [records.read(folder) for folder in folders]
    if profile and output is None:  # not over the page of all profiles
        output = template.place(*(run.name for run in runs_), *(each.name for each in chosen))
    if len(runs_) > 1:
        written = machines_page.write(runs_, anchor, output, title, chosen)
    else:
        written = page.write(runs_[0], output, title, chosen, costs)
    print(written)
    if open_ and not webbrowser.open(written.resolve().as_uri()):
        print(f"No browser here; open this file: {written.resolve()}", file=sys.stderr)


@app.command()
def compare(
    old: Annotated[str, typer.Argument(help="The earlier run, by name or folder.")],
    new: Annotated[str, typer.Argument(help="The later run.")],
    anchor: Annotated[
        str | None,
        typer.Option(help="The contender both are related to. Default: one whose version stayed."),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="'slower' (by 3%) or 'slower=5%': exit status 1 where a contender became so, or "
            "no longer works; 2 where nothing could be compared."
        ),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help="RUN=3.50: what an hour of its machine costs; may be given for each."),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Write a page of it.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: reports/html/OLD-to-NEW.html")
    ] = None,
    json_: Json = False,
) -> None:
    """What became faster or slower between two runs, drift set aside.

    Examples: `bakeoff compare OLD NEW` · `bakeoff compare OLD NEW --fail-on slower=5%` ·
    `bakeoff compare HERE THERE --html --price HERE=3.50 --price THERE=1.20`
    """
    from reports import terminal_runs
    from reports.pages import compare_page
    from reports.runs import compare as comparing

    margin = _margin(fail_on)
    prices = _prices(price or [], old, new)
    if output and not html:
        raise Wrong("--output is where the page goes: it needs --html")
    refuse_astray("--output", output)
    if html and json_:
        raise Wrong("--html writes a page, --json prints: leave out one of them")
    runs = [records.read(folder_of(name)) for name in (old, new)]
    found = comparing.compare(runs[0], runs[1], anchor, margin, prices)
    if html:
        print(compare_page.write(found, runs[0].folder, output))
    elif json_:
        print_json(asdict(found))
    else:
        terminal_runs.render_changes(found, Console())
    if not fail_on:
        return
    changes = [*found.changes, *found.overall]
    judged = [change for change in changes if change.verdict != "screening"]
    if not (judged or any(each.failed for each in found.lost)):
        raise Wrong(f"--fail-on {fail_on} judges nothing: {found.sentence}")
    slower = any(change.verdict == "materially_slower" for change in changes)
    raise typer.Exit(1 if slower or any(each.failed for each in found.lost) else 0)


def _margin(fail_on: str | None) -> float:
    """'slower=5%' -> ln 1.05. Raises Wrong."""
    if fail_on is None:
        return statistics.MARGIN
    match = re.fullmatch(r"slower(?:=(\d+(?:\.\d+)?)%)?", fail_on.strip())
    if match is None:
        raise Wrong(f"--fail-on {fail_on}: expected 'slower', or such as 'slower=5%'")
    return math.log1p(float(match[1]) / 100) if match[1] else statistics.MARGIN


def _prices(given: list[str], old: str, new: str) -> tuple[float | None, float | None]:
    """['OLD=3.50'] -> (3.5, None), an hour of each run's machine. Raises Wrong."""
    found: dict[str, float] = {}
    for each in given:
        run, _, amount = each.rpartition("=")
        known = run in (old, new) and re.fullmatch(r"\d+(\.\d+)?", amount)
        if not known or not float(amount):
            raise Wrong(f"--price {each}: expected such as {old}=3.50 or {new}=1.20, above 0")
        found[run] = float(amount)
    return found.get(old), found.get(new)
