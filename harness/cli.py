"""The command line: `bakeoff list|run|show|report|setup`.

Wrong input gives one line on standard error and exit status 2: what was given, what was
expected, what to do. An interrupted run exits with 130; what it reported is kept.
"""

import errno
import json
import os
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from harness import environments, inventory, machine, plan, records
from harness import suite as suites
from harness.errors import Wrong
from harness.processes import ROOT

RESULTS = Path(os.environ.get("BAKEOFF_RESULTS", ROOT / "results"))

# typer brings its own copy of click, or needs the package, by version: this name is in both.
UsageError: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Which deep-learning framework for this? The same CNN work through each, measured "
    "in turns.\n\n`bakeoff run` measures, `bakeoff show` prints the verdicts, "
    "`bakeoff report` writes the page.",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N. Default: cuda where there is a GPU.")
]
Python = Annotated[
    str,
    typer.Option(
        help="'own': each framework's own environment; 'current': whatever this Python has."
    ),
]


@app.command("list")
def list_(json_: Json = False, device: Device = None, python: Python = "own") -> None:
    """What can be measured here: contenders, workloads, suites, devices.

    Example: `bakeoff list`
    """
    from suites import catalogue

    chosen = _device(device)
    rows = inventory.contenders(chosen, _current(python))
    workloads = [w for w in catalogue.load().values() if w.kind not in ("check", "probe")]
    chosen_suites = [suites.load(name) for name in suites.names()]
    if json_:
        _print_json(
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
                "devices": machine.devices(),
            }
        )
        return
    console = Console()
    _table(
        console,
        f"Contenders on {chosen}",
        ("name", "version", "", "what it is"),
        [
            (
                row["name"],
                row["version"] or "",
                "[green]ready[/]" if row["available"] else "[yellow]absent[/]",
                row["summary"] if row["available"] else _escape(row["reason"]),
            )
            for row in rows
        ],
    )
    _table(
        console,
        "Suites",
        ("name", "comparisons", "budget", "what for"),
        [(s.name, str(len(s.comparisons)), s.budget, _escape(s.summary)) for s in chosen_suites],
    )
    shown = [w for w in workloads if not w.name.startswith("deepbench_")]
    _table(
        console,
        "Workloads",
        ("name", "kind", "input", "batch", "what it is"),
        [
            (w.name, w.kind, "x".join(map(str, w.input)), str(w.batch), _escape(w.summary))
            for w in shown
        ],
    )
    console.print(f"and {len(workloads) - len(shown)} shapes of DeepBench (deepbench_*)")
    console.print(f"Devices: {', '.join(machine.devices())}")


@app.command()
def run(
    suite: Annotated[
        str | None,
        typer.Option("--suite", "-s", help="A suite's name, or the path of your own TOML file."),
    ] = None,
    contenders: Annotated[
        str | None,
        typer.Option("--contenders", "-c", help="Such as torch,torch:compile,jax. Default: all."),
    ] = None,
    workloads: Annotated[
        str | None,
        typer.Option("--workloads", "-w", help="Only these, by name or glob: 'resnet*'."),
    ] = None,
    device: Device = None,
    precision: Annotated[str | None, typer.Option(help="float32 or float64.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Wall time of measuring: 90s, 10m, 1h. Default: the suite's.")
    ] = None,
    run_id: Annotated[str | None, typer.Option(help="The run's name. Default: the time.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Measure what is missing of this run.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="What would be measured, and how long; then stop.")
    ] = False,
    python: Python = "own",
    launches: Annotated[
        int | None,
        typer.Option(min=1, help="Exactly so many launches. Default: 6, then what it takes."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="For every worker. Default: physical cores.")
    ] = None,
    allocator: Annotated[
        str, typer.Option(help="'tuned' (glibc keeps its memory; see METHOD) or 'as-shipped'.")
    ] = "tuned",
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds after which one request to a worker is ended.")
    ] = 600.0,
    page: Annotated[bool, typer.Option(help="Write the HTML page at the end.")] = True,
) -> None:
    """Measure a suite, print the verdicts, write the page.

    Examples: `bakeoff run` · `bakeoff run -c torch,jax -w resnet18` ·
    `bakeoff run --suite full --budget 2h` · `bakeoff run --resume RUN`
    """
    console = Console()
    if resume is not None:
        given = {
            "--suite": suite,
            "--contenders": contenders,
            "--workloads": workloads,
            "--run-id": run_id,
            "--precision": precision,
        }
        extra = [name for name, value in given.items() if value is not None]
        if extra:
            raise Wrong(f"--resume goes on with the run's own plan: leave out {', '.join(extra)}")
        folder = _folder(resume)
        planned = plan.read(folder)
        current = planned.settings["python"] == "current"
        rows = inventory.contenders(planned.settings["device"], current)
        plan.refuse_change(planned.fingerprint, plan.fingerprint(_versions(planned, rows)))
        if budget is not None:
            planned.budget_s = plan.seconds(budget)
        return _measure(planned, folder, console, timeout, page)
    if allocator not in ("tuned", "as-shipped"):
        raise Wrong(f"--allocator {allocator}: expected tuned or as-shipped")
    chosen = _device(device)
    current = _current(python)
    loaded = suites.load(suite or ("quick" if chosen == "cpu" else "full"))
    comparisons = plan.select(loaded, workloads, precision)
    rows = inventory.contenders(chosen, current)
    asked = inventory.parse_list(contenders) if contenders else _everyone(loaded, rows)
    able = {row["name"] for row in rows if row["available"]}
    taking = [c for c in asked if _single(c.name) in able]
    absent = [
        {"name": row["name"], "reason": row["reason"]}
        for row in rows
        if not row["available"] and (not contenders or row["name"] in map(_plain, asked))
    ]
    if not taking:
        reasons = "; ".join(f"{a['name']}: {a['reason']}" for a in absent)
        raise Wrong(f"no contender can run here: {reasons}")
    name = plan.check_run_name(_run_name(loaded.name) if run_id is None else run_id)
    folder = RESULTS / name
    if folder.exists():
        raise Wrong(f"run '{name}' exists already; choose another --run-id, or --resume {name}")
    count = machine.threads(threads)
    settings = {
        "device": chosen,
        "python": "current" if current else "own",
        "threads": count,
        "cpus": sorted(machine.cpu_set(count)),
        "allocator": allocator,
        "warmup_limit_s": 3.0 if loaded.name in ("quick", "smoke") else 30.0,
        "margin": 0.03,
        "launches": launches,
    }
    versions = {row["adapter"]: row["version"] or "" for row in rows if row["name"] in able}
    planned, estimates = plan.make(
        run=name,
        command=plan.command_line(),
        suite=loaded,
        comparisons=comparisons,
        contenders=taking,
        absent=absent,
        device=chosen,
        budget=plan.seconds(budget) if budget else None,
        explicit=workloads is not None,
        settings=settings,
        versions={c.adapter: versions[c.adapter] for c in taking},
    )
    if dry_run:
        _show_plan(planned, estimates, console)
        return
    for gone in absent:
        console.print(f"[yellow]Absent:[/] {gone['name']}: {_escape(gone['reason'])}")
    folder.mkdir(parents=True)
    plan.write(planned, folder)
    _measure(planned, folder, console, timeout, page)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run's name or folder; default: the latest.")] = "",
    json_: Json = False,
) -> None:
    """The verdicts of a run, in the terminal.

    Example: `bakeoff show` · `bakeoff show RUN --json`
    """
    from reports import terminal, verdicts

    analysis = verdicts.analyse(records.read(_folder(run)))
    if json_:
        _print_json(asdict(analysis))
    else:
        terminal.render(analysis, Console())


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="A run's name or folder; default: the latest.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: reports/html/RUN.html")
    ] = None,
    title: Annotated[str | None, typer.Option(help="The page's title.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Write the HTML page of a run: one file, no network needed.

    Example: `bakeoff report --open`
    """
    path = _write_page(_folder(run), output, title)
    print(path)
    if open_:
        typer.launch(str(path))


@app.command()
def setup(
    adapters: Annotated[
        list[str] | None, typer.Argument(metavar="[ADAPTER]...", help="Default: all.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
) -> None:
    """Make the frameworks' environments, or what is missing of them.

    Example: `bakeoff setup torch jax`
    """
    kind = _device(device).partition(":")[0]
    failed = environments.setup(adapters or [], kind)
    raise typer.Exit(1 if failed else 0)


def main() -> None:
    """Entry point; turns what is the user's to mend into one line and exit status 2."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        status = app(standalone_mode=False)
    except (Wrong, UsageError) as wrong:
        text = wrong.format_message() if isinstance(wrong, UsageError) else str(wrong)
        _leave(text, 2)
    except (KeyboardInterrupt, typer.Abort):
        _leave("interrupted", 130)
    except BrokenPipeError:
        os._exit(0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        _leave(
            f"cannot write {error.filename or 'here'}: {error.strerror}; what was reported is "
            "kept: make room, then `bakeoff run --resume RUN`",
            2,
        )
    sys.exit(status or 0)


# --- the parts of `run` -------------------------------------------------------------------


def _measure(
    planned: plan.Plan, folder: Path, console: Console, timeout: float, page: bool
) -> None:
    from harness.progress import Progress
    from harness.runner import Runner
    from reports import terminal, verdicts

    console.print(f"Run [bold]{planned.run}[/]: {len(planned.comparisons)} comparisons")
    labels = {c.name: c.summary for c in planned.contenders}
    stopped = False
    with Progress(console, planned.budget_s, labels) as progress:
        try:
            Runner(planned, folder, progress, timeout).run()
        except KeyboardInterrupt:
            stopped = True
    run = records.read(folder)
    terminal.render(verdicts.analyse(run), console)
    if page:
        _try_page(folder, console)
    if stopped:
        console.print(f"Interrupted. Go on with: bakeoff run --resume {planned.run}")
        raise typer.Exit(130)


def _try_page(folder: Path, console: Console) -> None:
    """The page of what was just measured; where its libraries are absent, how to get it."""
    try:
        path = _write_page(folder, None, None)
    except Wrong as wrong:
        console.print(f"[yellow]No page:[/] {_escape(str(wrong))}")
    else:
        console.print(f"The page: {path}", soft_wrap=True)


def _write_page(folder: Path, output: Path | None, title: str | None) -> Path:
    from reports import page

    return page.write(records.read(folder), output, title)


def _show_plan(planned: plan.Plan, estimates: dict[str, plan.Estimate], console: Console) -> None:
    """--dry-run: a row a comparison, and the sum against the budget."""
    total = plan.launching(len(planned.contenders))
    rows = []
    for comparison in planned.comparisons:
        estimate = estimates[comparison.id]
        total += estimate.total
        parts = (estimate.cold, estimate.first, estimate.launch, estimate.total)
        rows.append(
            (comparison.id, str(len(comparison.contenders)), *(f"{p:.0f} s" for p in parts))
        )
    heads = ("comparison", "contenders", "cold", "first launch", "each later one", "six launches")
    _table(console, f"Would measure ({planned.suite['title']})", heads, rows)
    for left in planned.left_out:
        console.print(f"[yellow]Does not fit:[/] {left['comparison']}: {left['reason']}")
    for gone in planned.absent:
        console.print(f"[yellow]Absent:[/] {gone['name']}: {_escape(gone['reason'])}")
    console.print(
        f"About {total / 60:.1f} minutes for six launches, by estimate; the budget is "
        f"{planned.budget_s / 60:.1f}. What takes longer loses rounds, then launches."
    )


def _everyone(suite: suites.Suite, rows: list[dict[str, Any]]) -> list[inventory.Contender]:
    """The suite's contenders, or all that can be ranked here."""
    if suite.contenders:
        return inventory.parse_list(",".join(suite.contenders))
    ranked = [row["name"] for row in rows if row["available"] and row["computes"]]
    return [inventory.parse(name) for name in ranked]


def _versions(planned: plan.Plan, rows: list[dict[str, Any]]) -> dict[str, str]:
    taking = {c.adapter for c in planned.contenders}
    return {
        r["adapter"]: r["version"] or "" for r in rows if r["adapter"] in taking and r["version"]
    }


def _single(name: str) -> str:
    return name.partition("#")[0]


def _plain(contender: inventory.Contender) -> str:
    return _single(contender.name)


def _run_name(suite: str) -> str:
    return f"{datetime.now():%Y%m%d-%H%M%S}-{Path(suite).stem}"


def _folder(run: str) -> Path:
    """A run by name (own or published) or by path; "" is the latest. Raises Wrong."""
    if not run:
        found = [path.parent for path in RESULTS.glob("*/plan.json")]
        if not found:
            raise Wrong("there is no run yet; `bakeoff run` makes one")
        return max(found, key=lambda folder: (folder / "plan.json").stat().st_mtime)
    for folder in (RESULTS / run, RESULTS / "published" / run, Path(run)):
        if (folder / "plan.json").is_file():
            return folder
    known = ", ".join(sorted(path.parent.name for path in RESULTS.glob("*/plan.json"))[-5:])
    raise Wrong(f"run '{run}' is not there" + (f"; the latest are: {known}" if known else ""))


def _device(text: str | None) -> str:
    """Raises Wrong for a device that this machine does not have."""
    if text is None:
        return environments.default_device()
    known = machine.devices()
    if text == "cuda" and len(known) > 1:
        return "cuda"
    if text not in known:
        raise Wrong(
            f"device '{text}': expected one of {', '.join(known)}; this machine has no other"
        )
    return text


def _current(text: str) -> bool:
    if text not in ("own", "current"):
        raise Wrong(f"--python {text}: expected own or current")
    return text == "current"


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, default=_plain_json, allow_nan=False))


def _plain_json(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _table(
    console: Console, title: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]
) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for place, head in enumerate(heads):
        table.add_column(head, no_wrap=place == 0)
    for row in rows:
        table.add_row(*row)
    console.print(table, "")


def _escape(text: str | None) -> str:
    from rich.markup import escape

    return escape(text or "")


def _leave(text: str, status: int) -> NoReturn:
    """One line, and out."""
    print(f"bakeoff: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
