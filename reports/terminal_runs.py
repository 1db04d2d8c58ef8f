"""More than one run in a terminal: two side by side, or several."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harness.unseen import IN_A_LINE
from reports.analysis import short
from reports.runs import lost
from reports.runs.compare import WORDS, Changes
from reports.runs.machines import Machines
from reports.terminal import paragraph
from reports.words import end, times

LONG = 16  # characters: a name that does not stay on one line at the cost of all else


STYLES = {  # of a verdict on a change, in the order in which they are told
    "materially_slower": "bold red",
    "materially_faster": "bold green",
    "perhaps_slower": "red",
    "perhaps_faster": "green",
    "tie": "dim",
    "inconclusive": "yellow",
    "multimodal": "yellow",
    "screening": "yellow",
    "drift": "yellow",
}


def render_changes(found: Changes, console: Console) -> None:
    """Two runs: what is not alike beside what was measured, then every change."""
    console.print()
    heading = f"[bold]{escape(found.old)}[/] → [bold]{escape(found.new)}[/]"
    console.rule(heading.translate(IN_A_LINE), align="left")
    paragraph(console, found.sentence, "bold")
    for difference in found.differences:
        paragraph(console, f"Not alike: {difference}", "yellow")
    if found.changes:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("comparison", overflow="fold")
        # In 80 columns words fold, and long names; a figure that is cut off is another one.
        long = max(len(change.contender) for change in found.changes) > LONG
        for head in ("contender", "new / old", "95% interval", "", "launches"):
            folds = head == "" or (long and head == "contender")
            table.add_column(head, no_wrap=not folds, overflow="fold")
        by_verdict = sorted(found.changes, key=lambda c: list(STYLES).index(c.verdict))
        for change in [*by_verdict, *found.overall]:
            table.add_row(
                Text(short(change.comparison).translate(IN_A_LINE)),
                Text(change.contender.translate(IN_A_LINE)),
                end(change.ratio),
                f"{end(change.low)} to {end(change.high)}{'*' * (change.confidence > 0.95)}",
                Text(WORDS[change.verdict], style=STYLES[change.verdict]),
                f"{change.launches[0]}, {change.launches[1]}",
            )
        console.print(table)
        if any(change.confidence > 0.95 for change in [*found.changes, *found.overall]):
            paragraph(
                console, "* the 99.9% interval: far behind, it left after few launches", "dim"
            )
    _print_lost(found, console)
    for each in found.unmeasured:
        paragraph(console, each, "yellow")
    if found.costs:
        _print_costs(found, console)
    _print_alone(found, console)
    if found.command:
        paragraph(console, f"In turns, which is surer: {found.command}")


def _print_lost(found: Changes, console: Console) -> None:
    """What was measured in one of the runs alone though both were to."""
    for where, other, cells in (
        ("first", "second", found.lost),
        ("second", "first", found.gained),
    ):
        for who, places, why in lost.told(cells):
            text = f"Measured in the {where} only: {who} in {', '.join(places)}"
            text += f"; in the {other} it is {why}"
            paragraph(console, text, "red" if cells is found.lost else "dim")


def _print_alone(found: Changes, console: Console) -> None:
    """What only one of the runs was to measure."""
    for where, whom, names in (
        ("first", found.alone_old, found.only_old),
        ("second", found.alone_new, found.only_new),
    ):
        for each in (whom, [short(name) for name in names]):
            if each:
                paragraph(console, f"Only in the {where}: {', '.join(each)}", "dim")


def render_runs(found: Machines, console: Console) -> None:
    """Several runs: what to choose over them where they repeat each other, else by each."""
    console.print()
    heading = " · ".join(machine.name for machine in found.machines)
    console.rule(f"[bold]{escape(heading)}[/]".translate(IN_A_LINE), align="left")
    paragraph(console, found.sentence, "bold")
    if found.unlike:
        paragraph(console, f"No replicates, other settings: {'; '.join(found.unlike)}", "yellow")
    for machine in found.machines:
        for reason in machine.analysis.screening:
            paragraph(console, f"Screening: {machine.name}: {reason}.", "yellow")
    for use, choice in found.over.items():
        sure = choice is not None and choice.choice
        console.print(
            Text(f"{use}: ".translate(IN_A_LINE), "bold green" if sure else "bold"), end=""
        )
        paragraph(console, choice.sentence if choice else "the runs did not measure the same.")
    if found.places:
        place, contenders = next(iter(found.places.items()))
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column(Text(f"over {found.anchor}".translate(IN_A_LINE)), overflow="fold")
        over = found.repeated.get(place, {})
        names = [machine.name for machine in found.machines]
        # Machines are few, and each has a column; runs may be many, and stand in their order.
        for head in ["all runs", "run by run"] if over else names:
            table.add_column(Text(head.translate(IN_A_LINE)), overflow="fold")
        for name, on in contenders.items():
            ratios = [times(on[each].ratio) if each in on else "-" for each in names]
            if over:
                whole = 1.0 if name == found.anchor else over[name].ratio if name in over else None
                ratios = [times(whole) if whole else "-", " ".join(ratios)]
            table.add_row(Text(name.translate(IN_A_LINE)), *ratios)
        console.print()
        console.print(table)
        paragraph(console, f"Ratios of times, {short(place)}; below 1 is faster.", "dim")


def _print_costs(found: Changes, console: Console) -> None:
    """A million items on each run's machine, at the prices that were given."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("cost of a million items", overflow="fold", min_width=20)
    for head in ("contender", "first", "second", "second / first", "95% interval"):
        table.add_column(head, no_wrap=True)
    for cost in found.costs:
        held = None not in (cost.ratio, cost.low, cost.high)
        table.add_row(
            Text(short(cost.comparison).translate(IN_A_LINE)),
            Text(cost.contender.translate(IN_A_LINE)),
            *("-" if each is None else f"{each:.4g}" for each in (cost.old, cost.new)),
            f"{cost.ratio:.3f}" if held else "-",
            f"{cost.low:.3f} to {cost.high:.3f}" if held else "",
        )
    console.print(table)
