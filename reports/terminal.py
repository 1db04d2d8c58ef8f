"""The verdicts in a terminal: the same sentences and figures as the page."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from reports.verdicts import Analysis, Cell, Comparison
from reports.words import seconds, times


def render(analysis: Analysis, console: Console) -> None:
    """What to choose, first; then every comparison; then what failed and what to beware of."""
    console.print()
    console.rule(f"[bold]{escape(analysis.title)}[/], {escape(analysis.run)}", align="left")
    for reason in analysis.screening:
        console.print(f"[yellow]Screening:[/] {escape(reason)}. No winner is named.")
    for choice in analysis.recommendations:
        style = "bold green" if choice.choice else "bold"
        console.print(Text(f"{choice.use.capitalize()}: ", style=style), end="")
        console.print(Text(choice.sentence), soft_wrap=True)
    console.print()
    console.print(_table(analysis))
    if analysis.noise_floor:
        floor = analysis.noise_floor
        console.print(
            f"[dim]Noise floor: {escape(floor['of'])} entered twice differs from itself by up to "
            f"{floor['percent']:.1f}%. Times are of one call; (n x) is the ratio to the best; "
            "* is a winner, = ties with the best.[/]",
            soft_wrap=True,
        )
    for failure in analysis.failures:
        text = f"{failure['contender']} in {failure['comparison']}: {failure['reason']}"
        console.print(Text(f"{failure['status']}: {text}", style="red"), soft_wrap=True)
    for warning in analysis.warnings:
        text = f"{warning['where']}: {warning['what']}. To mend: {warning['advice']}."
        console.print(Text(f"Warning: {text}", style="yellow"), soft_wrap=True)
    for problem in analysis.problems:
        console.print(Text(f"Unreadable: {problem}", style="yellow"), soft_wrap=True)


def _table(analysis: Analysis) -> Table:
    """A row a comparison, a column a contender."""
    names = [c["name"] for c in analysis.contenders if not c["twin"]]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("comparison")
    for name in names:
        table.add_column(Text(name), justify="right", no_wrap=True)
    for comparison in analysis.comparisons:
        size = f"@{comparison.size}" if comparison.size else ""
        label = f"{comparison.workload}{size} b{comparison.batch} {comparison.direction}"
        table.add_row(Text(label), *(_cell(comparison, name) for name in names))
    return table


def _cell(comparison: Comparison, name: str) -> Text:
    cell: Cell | None = next((c for c in comparison.cells if c.contender == name), None)
    if cell is None:
        return Text("")
    if cell.status != "ok":
        return Text(cell.status, style="red" if cell.status != "missing" else "dim")
    pair = comparison.ratio(name, comparison.leader or "")
    mark, style = "", ""
    if name == comparison.winner:
        mark, style = "*", "bold green"
    elif pair is not None and pair.verdict == "tie":
        mark = "="
    relative = f" ({times(cell.relative)})" if cell.relative else ""
    return Text(f"{seconds(cell.seconds)}{relative}{mark}", style=style)
