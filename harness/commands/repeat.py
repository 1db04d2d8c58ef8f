"""The same again, at other hours: what an hour does to a machine no single run can tell."""

import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from harness import durations
from harness.commands.common import app, escape, folder_of
from harness.commands.measuring import carried_on, measure, named, timeout_of
from harness.errors import Wrong
from harness.paths import results
from harness.plan import plan
from harness.record import records

SAME = ("comparisons", "settings", "budget_s")  # of a plan: what a repetition has from the first


@app.command()
def repeat(
    run: Annotated[
        str | None, typer.Argument(help="Its name or folder; default: the latest.")
    ] = None,
    times: Annotated[
        int, typer.Option("--times", "-n", min=1, max=99, help="So many runs more than there are.")
    ] = 5,
    every: Annotated[
        str | None,
        typer.Option(
            help="From the start of one to that of the next: 1h, 90m; the first begins now. "
            "Default: one right after the other, which tells little of other hours."
        ),
    ] = None,
    timeout: Annotated[str | None, typer.Option(help="As of `bakeoff run`.")] = None,
    page: Annotated[bool, typer.Option(help="Write a page of each, and of them all.")] = True,
) -> None:
    """Measure a run's own plan again: runs RUN-2, RUN-3 and so on; then one page of them all.

    One run speaks for its hour. Of six, each is one observation, and what is decided over them
    has held at each (docs/method.md). Same machine, versions and code, or not at all.

    Exit status 1 where all failed, 2 for wrong input, 130 after Ctrl-C.

    Examples: `bakeoff repeat` · `bakeoff repeat RUN --times 5 --every 1h`
    """
    console = Console()
    limit = timeout_of(timeout)
    folder = folder_of(run or "")
    apart = durations.seconds(every, "--every") if every else 0.0
    family = _first(folder).resolve().name
    begun: float | None = None
    made: Path | None = None
    ended: Wrong | None = None
    for done in range(times):
        rest = times - done
        name = _free(family)
        try:
            if begun is not None:
                _wait(begun + apart - time.monotonic(), name, console)
            begun = time.monotonic()
            planned, made = _begin(folder, name)
            rest -= 1
            measure(planned, made, console, limit, page, repeats=True)
        except (KeyboardInterrupt, typer.Exit) as left:
            if rest and getattr(left, "exit_code", 130) == 130:
                more = f"bakeoff repeat {escape(named(folder))} --times {rest}"
                console.print(f"What is left then: {more}", soft_wrap=True)
            raise
        except Wrong as wrong:  # an upgrade between two of them, or in the midst of one
            ended = wrong
            break
    if made is not None:
        _together(made, family, console, page)
    if ended is not None:
        raise ended


def _begin(folder: Path, name: str) -> tuple[plan.Plan, Path]:
    """That run's plan under another name, and its folder. Raises Wrong where it would be another
    measurement by now."""
    instead = f"start one with `bakeoff run`; `bakeoff compare {named(folder)} THAT` tells more"
    planned, now = carried_on(named(folder), folder, "repeat", instead)
    planned = msgspec.structs.replace(
        planned,
        run=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=plan.command_line(),
        fingerprint=now,
    )
    plan.begin(planned, results() / name)
    return planned, results() / name


def _first(folder: Path) -> Path:
    """The run that this one repeats, or itself: `mine-3` is of `mine`, where that is there."""
    whole = folder.resolve()
    match = re.fullmatch(r"(.+)-\d+", whole.name)
    before = match and whole.with_name(match[1])
    return before if before and (before / "plan.json").is_file() else folder


def _free(name: str) -> str:
    """The next name that no run has, own or published. Raises Wrong where it would be too long."""
    taken = {path.parent.name for path in results().glob("**/plan.json")}
    numbers = [
        int(m[1]) for each in taken if (m := re.fullmatch(rf"{re.escape(name)}-(\d+)", each))
    ]
    return plan.check_run_name(f"{name}-{max([1, *numbers]) + 1}")


def _wait(seconds: float, name: str, console: Console) -> None:
    if seconds <= 0:
        return
    at = datetime.now() + timedelta(seconds=seconds)
    told = f"{name} begins at {at:%H:%M}, in {durations.spell(seconds)}. Ctrl-C ends here."
    console.print(escape(told), soft_wrap=True)
    time.sleep(seconds)


def _together(folder: Path, family: str, console: Console, page: bool) -> None:
    """One answer, and one page, of what was measured last and all that it repeats."""
    from reports import terminal_runs
    from reports.choice import profiles
    from reports.pages import machines_page
    from reports.runs import machines

    found = _replicates(folder, family)
    if len(found) < 2:
        return
    terminal_runs.render_runs(machines.gather(found, None, profiles.load()), console)
    if not page:
        return
    try:
        path = machines_page.write(found)
    except Wrong as wrong:
        console.print(f"[yellow]No page:[/] {escape(str(wrong))}")
    else:
        console.print(f"The page of all {len(found)}: {escape(str(path))}", soft_wrap=True)


def _replicates(folder: Path, family: str) -> list[records.Run]:
    """A run, and those of its family that measured the same plan in the same way."""
    from reports.runs import alike, several

    repeated = records.read(folder)
    name = re.compile(re.escape(family) + r"(-\d+)?")
    found = [repeated]
    for path in results().glob("*/plan.json"):
        if path.parent.resolve() == folder.resolve() or not name.fullmatch(path.parent.name):
            continue
        with suppress(Wrong):  # a torn run is no business of this one
            other = records.read(path.parent)
            same = all(other.plan.get(part) == repeated.plan[part] for part in SAME)
            here = several.one_machine([repeated, other]) and alike.unchanged(repeated, other)
            if same and here:
                found.append(other)
    return [run for run in found if run.groups]
