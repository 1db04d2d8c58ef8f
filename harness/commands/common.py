"""What the commands share: the app, common options, how a run or a device is named.

The commands lie beside it, one file for each thing that a person comes for:

    measure   run, setup
    repeat    repeat
    read      list, show, report, compare
    trust     doctor, calibrate, prove
    adapt     new-adapter, check
    export    export
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from harness.errors import Wrong
from harness.host import gpus, machine
from harness.install import environments
from harness.paths import ROOT, results
from harness.record import documents

PAGES = ROOT / "reports" / "html"  # where a page goes unless told, which is made as it is needed
MOST_NAMED = 8  # runs, to who asked for one that is not there

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Which deep-learning framework for this? The same CNN work through each, measured "
    "in turns.\n\n`bakeoff list` says what can run here, `bakeoff run` measures, "
    "`bakeoff show` prints the verdicts, `bakeoff report` writes the page.",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N. Default: cuda where there is a GPU.")
]
Python = Annotated[
    str | None,
    typer.Option(
        help="'own' (the default): each framework's own environment; 'current': whatever this "
        "Python has."
    ),
]
Profiles = Annotated[
    list[str] | None,
    typer.Option(
        "--profile",
        help="What a recommendation is for: a profile's name (`bakeoff list` has them) or the path "
        "of your own .toml; may be repeated. Default: all that come along.",
    ),
]
Price = Annotated[
    float | None,
    typer.Option(help="Of an hour of this machine; adds what a million images cost."),
]


def folder_of(run: str) -> Path:
    """A run by name (own or published) or by path; "" is the latest. Raises Wrong."""
    if not run:
        found = [path.parent for path in results().glob("*/plan.json")]
        found = [folder for folder in found if documents.is_begun(folder)] or found
        if not found:
            published = sorted(results().glob("published/*/plan.json"))
            one = "; or look at a published one: `bakeoff report "
            one = f"{one}{published[0].parent.name}`" if published else ""
            raise Wrong(f"there is no run yet; `bakeoff run` makes one{one}")
        return max(found, key=lambda folder: (folder / "plan.json").stat().st_mtime)
    for folder in (results() / run, results() / "published" / run, Path(run).absolute()):
        with suppress(OSError):  # a name longer than a name may be
            if (folder / "plan.json").is_file():
                return folder
    for folder in (results() / run, Path(run).absolute()):
        with suppress(OSError):
            if any(folder.glob("records-*.jsonl")):
                raise Wrong(
                    f"{folder} holds records and no plan.json: a part of it is gone; bring that "
                    "back from a copy, or start another run"
                )
    plans = sorted(results().glob("*/plan.json"), key=lambda each: -each.stat().st_mtime)
    own = [each.parent.name for each in plans]
    names = own[:MOST_NAMED]
    more = f" and {len(own) - len(names)} more" if len(own) > len(names) else ""
    public = sorted(each.parent.name for each in results().glob("published/*/plan.json"))
    told = [f"the latest first: {', '.join(names)}{more}"] if names else []
    told += [f"published: {', '.join(public)}"] if public else []
    there = f"there are, {'; '.join(told)}" if told else "`bakeoff run` makes one"
    raise Wrong(f"run '{run}' is not there; {there}, or give a run's folder")


def device_of(text: str | None) -> str:
    """By its one name: cpu, or cuda:N. Raises Wrong for one that this machine does not have."""
    if text is None:
        return environments.default_device()
    known = machine.devices()
    if text == "cuda" and "cuda:0" in known:
        return "cuda:0"
    if text not in known:
        raise Wrong(
            f"device '{text}': expected one of {', '.join(known)}"
            f"{gpus.unseen() or '; this machine has no other'}"
        )
    return text


def price_of(price: float | None) -> float | None:
    """Raises Wrong for what is no price."""
    if price is not None and not 0 < price < float("inf"):
        raise Wrong(f"--price {price}: expected what an hour costs, above 0, such as 3.50")
    return price


def refuse_astray(option: str, path: Path | None, what: str = "a file") -> None:
    """Raises Wrong where what an option is to write would lie in a folder that is not there.

    Making it would hide a typing error; and it is told before anything is computed.
    """
    folder = PAGES if path is None else Path(os.path.realpath(path)).parent
    if folder != PAGES and not os.path.isdir(folder):
        raise Wrong(
            f"{option} {path}: expected {what} in a folder that is there; make {folder}, or "
            "name another"
        )


def is_current(text: str | None) -> bool:
    if text not in (None, "own", "current"):
        raise Wrong(f"--python {text}: expected own or current")
    return text == "current"


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, default=_plain_json, allow_nan=False))


def _plain_json(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def table(
    console: Console, title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> None:
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for place, head in enumerate(heads):
        shown.add_column(head, no_wrap=place == 0, overflow="fold")  # what is copied is whole
    for row in rows:
        shown.add_row(*row)
    console.print(shown, "")


def escape(text: str | None) -> str:
    from rich.markup import escape

    return escape(text or "")
