"""Whether to trust it: doctor, calibrate, prove."""

import shlex
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.commands.common import (
    Device,
    Json,
    app,
    device_of,
    print_json,
)
from harness.paths import results
from harness.plan.plan import check_run_name

STATES = {"ok": "green", "note": "cyan", "warn": "yellow"}


@app.command()
def doctor(json_: Json = False) -> None:
    """What on this machine would spoil a measurement. Exit status 1 where something would.

    Example: `bakeoff doctor`
    """
    from harness import doctor as examination

    findings = examination.examine()
    if json_:
        print_json([asdict(finding) for finding in findings])
    else:
        console = Console()
        table = Table(box=None, pad_edge=False, show_header=False)
        for finding in findings:
            advice = f"\n→ {finding.advice}" if finding.advice else ""
            table.add_row(
                Text(finding.state, style=STATES[finding.state]),
                Text(finding.name),
                Text(finding.what + advice),
            )
        console.print(table)
    raise typer.Exit(1 if any(finding.state == "warn" for finding in findings) else 0)


@app.command()
def calibrate(
    device: Device = None,
    run_id: Annotated[str | None, typer.Option(help="The run's name. Default: the time.")] = None,
    json_: Json = False,
) -> None:
    """What this machine can resolve: noise floor, smallest difference. A few minutes.

    One contender is measured against itself, and against itself made 5% slower.

    Example: `bakeoff calibrate`
    """
    from harness.proof import calibrate as calibration

    console = Console(stderr=json_)
    name = check_run_name(run_id or f"{datetime.now():%Y%m%d-%H%M%S}-calibrate")
    found = _watched(
        console,
        lambda say: calibration.measure(results() / name, say, device_of(device)),
        calibration.LAUNCHES,
        shlex.join(
            ["bakeoff", "calibrate", *(["--device", device] if device else []), "--run-id", name]
        ),
    )
    if json_:
        print_json({"run": name, **found})
        return
    console.print()
    for sentence in calibration.sentences(found):
        console.print(Text(sentence), soft_wrap=True)
    console.print(Text(f"Run {name}; `bakeoff show {name}` has every comparison.", style="dim"))


@app.command()
def prove(
    claims: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CLAIM]...", help="By number or name. Default: all."),
    ] = None,
    short: Annotated[
        bool, typer.Option("--short", help="A cut of minutes: fewer trials, few live launches.")
    ] = False,
    name: Annotated[
        str,
        typer.Option(
            "--run-id",
            help="The campaign's folder. Default: prove; one that is there is gone on with.",
        ),
    ] = "prove",
    page: Annotated[bool, typer.Option(help="Write the HTML page at the end.")] = True,
    json_: Json = False,
) -> None:
    """Prove the method: every claim of docs/method.md, with figures. Over an hour for all of it.

    Exit status 1 where a claim does not hold.

    Examples: `bakeoff prove coverage drift` · `bakeoff prove 2` · `bakeoff prove --short`
    """
    from harness.proof import campaign

    console = Console(stderr=json_)
    parts = campaign.select(claims or [], short)
    folder = results() / check_run_name(name)
    found = _watched(
        console,
        lambda say: campaign.run(folder, parts, short, say),
        None,
        shlex.join(["bakeoff", "prove", *(claims or []), *["--short"][:short], "--run-id", name]),
    )
    if json_:
        print_json(found)
    if page:
        from reports.pages import proof

        written = proof.write(campaign.current(folder, short), name)
        console.print(Text(f"The page: {written}"), soft_wrap=True)
    raise typer.Exit(0 if all(finding["ok"] for finding in found) else 1)


def _watched(
    console: Console, do: Callable[[Callable[..., None]], Any], launches: int | None, again: str
) -> Any:
    """Runs it, with a line for whatever happens; interrupted, it says how to go on.

    launches: of its only run; None where it makes several.
    """
    try:
        return do(_Teller(console, launches))
    except KeyboardInterrupt:
        console.print(f"Interrupted. Go on with: {again}")
        raise typer.Exit(130) from None


class _Teller:
    """What a campaign says: its parts and findings, and now and then where a run stands."""

    def __init__(self, console: Console, launches: int | None):
        self.console, self.launches = console, launches
        self.began: tuple[int, float] | None = None  # the first launch seen, and when

    def __call__(self, what: str, **told: Any) -> None:
        if what == "part":
            part = told["part"]
            other = (
                "; again: what is there was found by other code, or not on this machine as it is"
            )
            again = other if told["again"] else ""
            text = f"{part.claim:2d}  {part.title} ({part.how}{again})"
            self.console.print(Text(text, style="bold"))
        elif what == "group":
            where = f"launch {told['launch']}{self._ahead(told['launch'])}"
            text = f"    {where}, {len(told['comparisons'])} comparisons"
            self.console.print(Text(text, style="dim"))
        elif what == "finding":
            from reports import terminal

            terminal.render_finding(told["finding"], self.console)
        elif what == "budget":
            self.console.print(Text(f"    {told['reason']}", style="yellow"))

    def _ahead(self, launch: int) -> str:
        """` of 8 (about 3 more minutes)`, once a launch has told how long one takes."""
        if self.launches is None:
            return ""
        now = time.monotonic()
        self.began = self.began or (launch, now)
        first, began = self.began
        if launch == first:
            return f" of {self.launches}"
        left = (now - began) / (launch - first) * (self.launches - launch + 1)
        return f" of {self.launches} (about {left / 60:.1f} more minutes)"
