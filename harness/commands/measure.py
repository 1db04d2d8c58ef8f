"""Measuring: run, and setup, which makes the environments for it."""

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from adapters.core.precision import PRECISIONS
from harness import durations
from harness.commands import outlook
from harness.commands.common import (
    Device,
    Json,
    Python,
    app,
    device_of,
    folder_of,
    is_current,
    print_json,
)
from harness.commands.measuring import carried_on, measure, timeout_of
from harness.errors import Wrong
from harness.host import gpus, machine
from harness.paths import results
from harness.plan import inventory, plan, planning, question
from harness.plan import suite as suites
from harness.setup import Outcome, failures, make


@app.command()
def run(
    suite: Annotated[
        str | None,
        typer.Option(
            "--suite",
            "-s",
            help="Its name, or the path of your own TOML file. "
            "Default: quick on a CPU, full on a GPU.",
        ),
    ] = None,
    contenders: Annotated[
        list[str] | None,
        typer.Option(
            "--contenders",
            "-c",
            help="Such as torch,torch:compile,jax; may be repeated. Default: all that can run "
            "here, but for those in 'only when named' of `bakeoff list`.",
        ),
    ] = None,
    workloads: Annotated[
        list[str] | None,
        typer.Option(
            "--workloads",
            "-w",
            help="These, by name or glob: resnet18,'vgg*'; may be repeated. As the suite has them; "
            "what it lacks at its usual batch.",
        ),
    ] = None,
    direction: Annotated[
        list[str] | None,
        typer.Option(help=f"Only {', '.join(question.DIRECTIONS)}; or several: infer,train."),
    ] = None,
    batch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<n,n>", help="At these batches: 32, or 1,8,32. Default: the suite's."
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(metavar="<n,n>", help="On square images of so many pixels: 224, or 112,224."),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(PRECISIONS)}; or several: float32,bfloat16."),
    ] = None,
    device: Device = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Wall time of measuring: 90s, 10m, 1h; a bare 90 is seconds. Default: the "
            "suite's, or less where fewer contenders or workloads are asked for."
        ),
    ] = None,
    run_id: Annotated[str | None, typer.Option(help="The run's name. Default: the time.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Measure what is missing of this run.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="What would be measured, and how long; then stop.")
    ] = False,
    python: Python = None,
    launches: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="So many launches, if the budget holds them; nobody then leaves early for being "
            "far behind. Default: 6, then what it takes.",
        ),
    ] = None,
    threads: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<n,n>",
            help="For every worker: 1, or several: 1,2,4. Default: the physical cores that it may "
            "use.",
        ),
    ] = None,
    allocator: Annotated[
        str | None,
        typer.Option(
            help="'tuned' (the default: glibc keeps its memory; see docs/method.md) or "
            "'as-shipped'."
        ),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            help="Kill a worker that answers no request for so long: 90 (seconds), 5m. Default: a "
            "quarter of the budget, but 2m at least and 10m at most."
        ),
    ] = None,
    page: Annotated[bool, typer.Option(help="Write the HTML page at the end.")] = True,
) -> None:
    """Measure a suite, print the verdicts, write the page.

    Exit status 1 where all failed, 2 for wrong input, 130 after Ctrl-C.

    Examples: `bakeoff run` · `bakeoff run -c torch,jax,jax:no-ynn -w resnet18` ·
    `bakeoff run -w resnet50 --direction infer --batch 1,8,32` · `bakeoff run --resume RUN`
    """
    from reports.choice import profiles

    console = Console()
    profiles.load()  # one that cannot be read is told before anything is measured
    patience = timeout_of(timeout)
    if resume is not None:
        given = {
            "--suite": suite,
            "--contenders": contenders,
            "--workloads": workloads,
            "--run-id": run_id,
            "--direction": direction,
            "--batch": batch,
            "--size": size,
            "--precision": precision,
            "--device": device,
            "--python": python,
            "--launches": launches,
            "--threads": threads,
            "--allocator": allocator,
            "--dry-run": dry_run or None,
        }
        extra = [name for name, value in given.items() if value is not None]
        if extra:
            raise Wrong(f"--resume goes on with the run's own plan: leave out {', '.join(extra)}")
        folder = folder_of(resume)
        planned, _ = carried_on(resume, folder, "resume", "start one without --resume")
        if budget is not None:
            planned.budget_s = durations.seconds(budget, "--budget")
        return measure(planned, folder, console, patience, page)
    allocator = allocator or "tuned"
    if allocator not in ("tuned", "as-shipped"):
        raise Wrong(f"--allocator {allocator}: expected tuned or as-shipped")
    chosen = device_of(device)
    gpus.refuse(chosen)
    current = is_current(python)
    loaded = suites.load(suite or ("quick" if chosen == "cpu" else "full"))
    typed = (workloads, direction, batch, size, precision, threads)
    asked = question.Question(*map(_joined, typed))
    comparisons = question.select(loaded, asked)
    asked_for = ",".join(contenders or loaded.contenders)
    named = inventory.parse_list(asked_for or "numpy")
    name = plan.check_run_name(_run_name(loaded.name) if run_id is None else run_id)
    folder = results() / name
    if (results() / "published" / name).exists():
        raise Wrong(f"run name '{name}': a published run has it; choose another --run-id")
    if folder.exists():
        raise Wrong(f"run '{name}' exists already; choose another --run-id, or --resume {name}")
    limit = durations.seconds(budget, "--budget") if budget else None
    rows = inventory.contenders(chosen, current, named, not asked_for)
    taking, absent = _taking(_everyone(rows) if not asked_for else named, rows, bool(asked_for))
    if contenders and len(named) > 1:
        _refuse_alone(taking, absent)
    count = _threads(asked.counts)
    settings = plan.Settings(
        device=chosen,
        python="current" if current else "own",
        threads=count,
        cpus=sorted(machine.cpu_set(count)),
        allocator=allocator,
        warmup_limit_s=durations.seconds(loaded.warm_up, f"suite '{loaded.called}': warm_up"),
        launches=launches,
        named=workloads is not None,
    )
    planned, estimates = planning.make(
        run=name,
        command=plan.command_line(),
        suite=loaded,
        comparisons=comparisons,
        contenders=taking,
        absent=absent,
        budget=limit,
        settings=settings,
        rows=rows,
    )
    if dry_run:
        outlook.show(planned, loaded, estimates, console)
        return
    outlook.tell_missing(planned, loaded, console)
    plan.begin(planned, folder)
    measure(planned, folder, console, patience, page)


@app.command()
def setup(
    adapters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ADAPTER[@VERSION]]...",
            help="Default: those of a plain `bakeoff run`; name others: onnxruntime, openvino ...",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    wheels: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Install from these wheels alone, with no network."),
    ] = None,
    json_: Json = False,
) -> None:
    """Make the frameworks' environments, or what is missing of them. Exit status 1 where one fails.

    Examples: `bakeoff setup torch jax` · `bakeoff setup torch@2.12` (side by side with the other) ·
    `bakeoff setup --wheels FOLDER`
    """
    from harness.install.installing import Installing

    # Also on a machine with a network and no GPU, for one that has it the other way round.
    kind = (device or device_of(None)).partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise Wrong(f"device '{device}': expected cpu or cuda")
    with Installing(Console(stderr=json_)) as say:
        outcomes = make(adapters or [], kind, say, wheels)
    if json_:
        print_json([_outcome(each) for each in outcomes])
    raise typer.Exit(1 if failures(outcomes) else 0)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    """For scripts: where it is, and how it was made."""
    made = outcome.environment if outcome.state != "failed" else None
    return {
        "environment": outcome.name,
        "state": outcome.state,
        "reason": outcome.reason,
        "python": str(made.python) if made else None,
        **(made.made() if made else {}),
    }


# --- the parts of `run` -------------------------------------------------------------------


def _taking(
    asked: list[inventory.Contender], rows: list[dict[str, Any]], named: bool
) -> tuple[list[inventory.Contender], list[dict[str, str]]]:
    """Those of `asked` who can run here; and who cannot, and why: of those that were named, or of
    all. Raises Wrong where nobody can."""
    able = {row["name"] for row in rows if row["available"]}
    taking = [c for c in asked if plan.original(c.name) in able]
    wanted = {plan.original(c.name) for c in asked}
    absent = [
        {"name": row["name"], "reason": row["reason"]}
        for row in rows
        if not row["available"] and (row["name"] in wanted if named else not row["named_only"])
    ]
    if not taking:
        raise Wrong(f"no contender can run here: {_reasons(absent)}")
    return taking, absent


def _refuse_alone(taking: list[inventory.Contender], absent: list[dict[str, str]]) -> None:
    """Who named several does not get a run of one."""
    if len(taking) == 1:
        raise Wrong(f"only {taking[0].name} of those named can run here: {_reasons(absent)}")


def _reasons(absent: list[dict[str, str]]) -> str:
    return "; ".join(f"{each['name']}: {each['reason']}" for each in absent)


def _threads(asked: list[int]) -> int:
    """The most that a worker has. Raises Wrong for more than this process may use."""
    count, most = machine.threads(max(asked, default=None)), len(os.sched_getaffinity(0))
    if count > most:
        raise Wrong(f"--threads {count}: expected at most {most}, which this process may use")
    return count


def _everyone(rows: list[dict[str, Any]]) -> list[inventory.Contender]:
    """All that can be ranked here, but for those that run only where they are named."""
    able = [row for row in rows if row["available"] and not row["named_only"]]
    return [inventory.parse(row["name"]) for row in able]


def _joined(values: list[str] | None) -> str | None:
    """An option that may be repeated, and hold several values each time."""
    return None if values is None else ",".join(values)


def _run_name(suite: str) -> str:
    plain = re.sub(r"[^\w.-]+", "-", Path(suite).stem, flags=re.ASCII)[:80]
    return f"{datetime.now():%Y%m%d-%H%M%S}-{plain}"
