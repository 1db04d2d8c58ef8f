"""One run in front of its user: how far it is, the verdicts, the page, and how to go on."""

import re
import shlex
from contextlib import suppress
from pathlib import Path

import typer
from rich.console import Console

from harness import durations
from harness.commands.common import escape
from harness.errors import Wrong
from harness.host import gpus
from harness.paths import results
from harness.plan import fitting, inventory, plan, resuming
from harness.record import documents, records

DAY = 86400


def timeout_of(text: str | None) -> float | None:
    """Seconds to wait for a worker: 90 or 2m. Raises Wrong for what is no such time."""
    if text is None:
        return None
    bare = re.fullmatch(r"\d{1,6}(\.\d+)?", text.strip())
    found = float(text) if bare else durations.seconds(text, "--timeout")
    if not 1 <= found <= DAY:
        raise Wrong(f"--timeout '{text}': expected 1s to 24h")
    return found


def carried_on(
    run: str, folder: Path, doing: str, instead: str
) -> tuple[plan.Plan, dict[str, str]]:
    """The plan of a run that is to go on, or to be made again; and the fingerprint of today.

    doing, instead: what is refused, and what to do then. Raises Wrong where code, machine or
    versions are no longer what they were.
    """
    planned = plan.read(folder)
    if planned.itself:
        again = planned.command
        if again.startswith("bakeoff calibrate"):
            again = f"bakeoff calibrate --run-id {folder.resolve().name}"
        raise Wrong(f"run '{run}' was made by another command: go on with `{again}`")
    settings = planned.settings
    gpus.refuse(settings.device)
    current = settings.python == "current"
    taking = [inventory.Contender(c.adapter, c.version) for c in planned.contenders]
    rows = inventory.contenders(settings.device, current, taking, everyone=False)
    names = [c.name for c in planned.contenders]
    versions = inventory.versions(names, rows)
    now = resuming.fingerprint(versions, settings.device, planned.contenders)
    resuming.refuse_change(planned.fingerprint, now, doing, instead)
    resuming.refuse_lost(settings.cpus, doing)
    return planned, now


def measure(
    planned: plan.Plan,
    folder: Path,
    console: Console,
    timeout: float | None,
    page: bool,
    repeats: bool = False,
) -> None:
    """Measures what is missing of a plan, shows the verdicts, writes the page.

    repeats: that it was measured here before goes without saying. Raises typer.Exit with 130 where
    it was interrupted, with 1 where nothing was measured; Edited where the code changed meanwhile.
    """
    from harness.run.progress import Progress
    from harness.run.runner import Runner
    from reports import terminal, verdicts

    console.print(
        f"Run [bold]{escape(folder.resolve().name)}[/]: {len(planned.comparisons)} comparison"
        f"{'s' if len(planned.comparisons) != 1 else ''}"
    )
    others = [path.parent for path in results().glob("*/plan.json") if path.parent != folder]
    if claimed := [each.name for each in others if documents.is_claimed(each)]:
        told = f"{', '.join(claimed)} is being measured now as well"
        told = f"[bold yellow]{escape(told)}:[/] on one machine none has it alone; end one, or wait"
        console.print(told, soft_wrap=True)
    ranked = [c.name for c in planned.rivals]
    stopped = measured = False
    edited: resuming.Edited | None = None
    resumed = False
    by = {c.id: c.ranked_by[0] for c in planned.comparisons}
    with Progress(console, planned.budget_s, ranked, by) as progress:
        try:
            resumed = documents.is_begun(folder)
            Runner(planned, folder, progress, timeout).run()
        except KeyboardInterrupt:
            stopped = True
        except resuming.Edited as error:  # once what was measured before has been shown
            edited = error
    again = f"bakeoff run --resume {escape(named(folder))}"
    try:
        if documents.is_begun(folder):
            run = records.read(folder)
            measured = any(any(group["turns"].values()) for group in run.groups)
            if measured or not stopped:
                terminal.render(verdicts.analyse(run), console)
                if page:
                    _try_page(folder, console)
            if measured and not (stopped or repeats) and (before := earlier(run)):
                told = escape(beside(run, before))
                console.print(f"Measured here before. {told}", soft_wrap=True)
    finally:  # a second Ctrl-C may end the verdicts and the page
        if stopped:
            console.print(f"Interrupted. Go on with: {again}", soft_wrap=True)
    if stopped:
        raise typer.Exit(130)
    if edited:
        raise edited
    if progress.needs and not planned.settings.launches:
        whole = None if resumed else progress.needs
        short = fitting.too_short(whole, "all" if progress.partly else "")
        # A budget that a run is resumed with begins anew.
        rest = durations.spell(progress.wanting or planned.budget_s)
        told = f"[bold yellow]{short}[/]{';' if resumed else ', or'} go on: {again} --budget {rest}"
        console.print(told, soft_wrap=True)
    if not measured:
        console.print("[red]Nothing was measured:[/] every contender failed; see above.")
        raise typer.Exit(1)


def earlier(run: records.Run) -> list[records.Run]:
    """Runs before this one that measured half its comparisons or more here; the latest last."""
    from reports.runs import several

    found = []
    asked = {comparison["id"] for comparison in run.plan["comparisons"]}
    for path in results().glob("*/plan.json"):
        with suppress(Wrong):  # another's torn run is no business of this one
            made, environment = documents.read(path.parent)
            shared = asked & {comparison["id"] for comparison in made["comparisons"]}
            other = records.Run(path.parent, made, environment)
            if several.one_machine([other, run]) and 2 * len(shared) >= len(asked):
                found.append(records.read(path.parent))
    found = [other for other in found if other.groups]
    found.sort(key=lambda other: (other.plan["created"], other.name))
    return [other for other in found if other.plan["created"] < run.plan["created"]]


def beside(run: records.Run, before: list[records.Run]) -> str:
    """What to ask of this run and earlier ones, of which some may be replicates of it."""
    from reports.runs import alike

    now = named(run.folder)
    told = f"What changed: bakeoff compare {named(before[-1].folder)} {now}"
    repeats = [named(other.folder) for other in before if alike.unchanged(other, run)]
    if repeats:
        told += f"; whether it repeats: bakeoff report {' '.join(repeats)} {now}"
    return told


def _try_page(folder: Path, console: Console) -> None:
    """The page of what was just measured; where its libraries are absent, how to get it."""
    from reports.pages import page

    try:
        path = page.write(records.read(folder))
    except Wrong as wrong:
        console.print(f"[yellow]No page:[/] {escape(str(wrong))}")
    else:
        console.print(f"The page: {escape(str(path))}", soft_wrap=True)


def named(folder: Path) -> str:
    """How a command names a run: by its folder's name, or by the path of one that is elsewhere."""
    whole = folder.resolve()
    return whole.name if whole.parent == results().resolve() else shlex.quote(str(whole))
