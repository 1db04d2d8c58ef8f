"""A run in a terminal: the same sentences and figures as the page."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.unseen import IN_A_LINE
from reports.analysis import Analysis, Comparison, short
from reports.charts.marks import label
from reports.choice.flip import Limit
from reports.choice.objectives import MEASURES
from reports.choice.overall import answer, left_out, own, unasked, unreadable
from reports.choice.recommend import Recommendation
from reports.choice.sentences import measured_once, open_in_short, status, without
from reports.comparison.conditions import Effects, Judged
from reports.comparison.lanes import Lane
from reports.words import ends, figure, less, percent, seconds, times, verdict


def render(analysis: Analysis, console: Console, why: bool = False) -> None:
    """What to choose, first; then every comparison; then what failed and what to beware of; at the
    end the answer once more, since that is what stays on a screen.

    why: of each use in full, also what would flip it.
    """
    _answer(analysis, console)
    choices = analysis.recommendations if analysis.measured else []
    why = why or len(choices) == 1 or analysis.price is not None
    if len(choices) > 1:
        console.print(_uses(choices))
    if why:
        for choice in choices:
            _choice(choice, console)
        for found in analysis.breakeven:
            paragraph(console, f"Break-even, {short(found.comparison)}: {found.sentence}")
    elif choices:
        paragraph(
            console, "In full, and what would flip it: bakeoff show --why; or the page.", "dim"
        )
    console.print()
    for place, table in enumerate(_tables(analysis, console)):
        console.print(*[""] * (place > 0), table, sep="\n")
    marks = (
        "Times are of one call, and as multiples of the best, paired by launch (of unlike launches "
        "they are no quotients of the times); * is a winner, = ties with the best."
    )
    if floor := analysis.noise_floor:
        marks += (
            f" Noise floor (an A/A test): {floor['of']} entered twice differs from itself by "
            f"{floor['told']}."
        )
    paragraph(console, marks, "dim")
    if versions := analysis.versions():
        paragraph(console, f"Versions: {', '.join(versions)}.", "dim")
    for title, found in (("Precision", analysis.precisions), ("Threads", analysis.scaling)):
        if found.any:
            console.print(_effects(title, found))
            paragraph(console, EFFECTS.format(found), "dim")
    if analysis.lanes:
        console.print(_lanes(analysis))
        paragraph(console, LANES, "dim")
    _troubles(analysis, console)
    if len(choices) > 1:
        paragraph(console, answer(choices), "bold")


def _uses(choices: list[Recommendation]) -> Table:
    """A line a use: who, by how much, how sure."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("for", "choose, or who leads", "lead over the nearest rival", "how sure"):
        table.add_column(head, overflow="fold")
    for choice in choices:
        word = sure = status(choice)
        if word in ("open", "depends"):
            sure = f"{word}, {open_in_short(choice)}"
        elif choice.launches:
            sure = f"{word}, {choice.launches} launch{'es' * (choice.launches != 1)}"
        if choice.lost:
            sure += f"; {percent(choice.lost)} of the weight has no figure"
        if choice.once and len(choice.ranking) > 1:
            sure += f"; {percent(choice.once)} measured once"
        who = ", ".join(choice.tied) or next((row["contender"] for row in choice.ranking), "nobody")
        table.add_row(
            *(Text(each.translate(IN_A_LINE)) for each in (choice.title, who, _lead(choice))),
            Text(sure),
            style="bold" if word == "decided" else "",
        )
    return table


def _lead(choice: Recommendation) -> str:
    """6.8% less time than torch (7.7% less to 5.8% less)"""
    if not choice.runner_up or not choice.ratio:
        return "-"
    words = ("lower", "higher") if choice.of == "score" else ("less", "more")
    told = less(choice.ratio, *words)
    told = f"{told} {choice.of} {'as' if told == 'as much' else 'than'} {choice.runner_up}"
    if choice.low and choice.high:
        told += f" ({less(choice.low, *words)} to {less(choice.high, *words)})"
    return told


def _answer(analysis: Analysis, console: Console) -> None:
    """The run, and in a line or two what it says of all kinds of use."""
    console.print()
    heading = f"[bold]{escape(analysis.title)}[/], {escape(analysis.run)}"
    console.rule(heading.translate(IN_A_LINE), align="left")
    for reason in analysis.screening:
        ending = "" if analysis.named else " No winner is named."
        paragraph(console, f"Screening: {reason}.{ending}", "yellow")
    if told := unreadable(analysis.problems):
        paragraph(console, f"Damaged: {told}", "red")
    if not analysis.measured:
        paragraph(console, "Nothing was measured: what failed or is missing stands below.", "red")
    elif len(analysis.recommendations) > 1:
        paragraph(console, answer(analysis.recommendations))
    if told := left_out([left["comparison"] for left in analysis.left_out]):
        paragraph(console, told)
    if told := own(analysis):
        paragraph(console, told, "dim")
    for told, command in unasked(analysis) if analysis.measured else ():
        paragraph(console, f"{told} {command}", "dim")


def _choice(choice: Recommendation, console: Console) -> None:
    """One kind of use: what to choose, and what that hangs on."""
    style = "bold green" if choice.choice else "bold"
    console.print(Text(f"{choice.title}: ".translate(IN_A_LINE), style=style), end="")
    paragraph(console, choice.sentence)
    if told := without(choice.lost, choice.lacking):
        paragraph(console, f"  {told}", "yellow")
    if len(choice.ranking) > 1 and (told := measured_once(choice.once)):
        paragraph(console, f"  {told}", "yellow")
    for cost in (o for o in choice.objectives if o["measure"] == "cost"):
        over = f" ({cost['over']})" if cost["over"] else ""
        told = ", ".join(f"{name} {cost['told'][name]}" for name in _cheapest_first(cost["values"]))
        paragraph(console, f"  A million costs{over}: {told}.", "dim")
    for limit in choice.limits:
        if limit.measure == "first_result" and len(limit.steps) > 2:
            paragraph(console, f"  With a limit on the first result: {_steps(limit)}.", "dim")
    if choice.flips:
        paragraph(console, f"  What would flip it: {'; '.join(choice.flips[:FLIPS])}.", "dim")


def _troubles(analysis: Analysis, console: Console) -> None:
    """What failed, what to beware of, and what could not be read."""
    for failure in analysis.failures:
        text = f"{failure['contender']} in {failure['comparison']}: {failure['reason']}"
        paragraph(console, f"{failure['status']}: {text}", "red")
    for kind in _alike(analysis.warnings):
        first, *others = kind
        text = f"{first['where']}: {first['what']}. "
        if others:
            also = "; ".join(each["where"] for each in others[:ALSO])
            left = len(others) - ALSO
            text += f"Also: {also}{f'; and {left} more' if left > 0 else ''}. "
        count = f" ({len(kind)} alike)" if others else ""
        if first["advice"]:
            paragraph(console, f"Warning{count}: {text}What to do: {first['advice']}.", "yellow")
        else:
            paragraph(
                console, f"Note{count}: {text}{first['why'][:1].upper()}{first['why'][1:]}.", "dim"
            )
    for problem in analysis.problems:
        paragraph(console, f"Unreadable: {problem}", "yellow")


ALSO = 3  # warnings of a kind whose places are named; the page and --json have all of them


def _alike(warnings: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Warnings of one kind together: what is to be done about them is the same. Notes come last."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for warning in warnings:
        kinds.setdefault(warning["advice"] or warning["why"], []).append(warning)
    return sorted(kinds.values(), key=lambda kind: not kind[0]["advice"])


def _cheapest_first(costs: dict[str, float]) -> list[str]:
    return sorted(costs, key=lambda name: costs[name])


FLIPS = 3  # that are told here; the page and --json have all of them


def _steps(limit: Limit) -> str:
    """from 0.18 s on numpy; from 0.97 s on torch, jax"""
    told = [
        (step.low, ", ".join(step.tied or (step.leader,))) for step in limit.steps if step.leader
    ]
    news = [each for i, each in enumerate(told) if i == 0 or each[1] != told[i - 1][1]]
    tell = MEASURES[limit.measure].tell
    return "; ".join(f"from {tell(low)} on {names}" for low, names in news)


def _of_ratios(title: str, *names: str) -> Table:
    """Columns of names, which may be anybody's, then of a ratio, its interval and what it says."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for head in names:
        table.add_column(head, overflow="fold")
    for head in ("ratio", "95% interval", ""):
        table.add_column(head, no_wrap=True)
    return table


EFFECTS = (
    "A contender's time {0.what} over its own {0.plainly}, in the same launches: the geometric "
    "mean over the workloads that it was measured at in both; below, who leads, over who leads "
    "{0.plainly}."
)


def _effects(title: str, found: Effects) -> Table:
    table = _of_ratios(title, "who", "what")
    told: list[tuple[str, str, Judged]] = [
        (mean.contender, f"{mean.told}: {mean.workloads} workload{'s'[: mean.workloads > 1]}", mean)
        for mean in found.means
    ]
    for change in found.leaders:
        same = change.contender == change.of
        who = change.contender if same else f"{change.contender} / {change.of}"
        told.append((who, short(change.comparison), change))
    for name, what, each in told:
        between = ends(each.low, each.high) if each.low and each.high else ""
        between += " (99.9%)" if between and each.confidence > 0.95 else ""
        table.add_row(
            Text(name.translate(IN_A_LINE)),
            Text(what.translate(IN_A_LINE)),
            times(each.ratio),
            between,
            Text(verdict(each.verdict)),
        )
    return table


LANES = (
    "Portable over native: a framework's contender here, over its own idiomatic model of the same "
    "network, in turns. At most 1.02 is wanted. Native models are not ranked."
)


def _lanes(analysis: Analysis) -> Table:
    table = _of_ratios("Lanes", "comparison", "portable / native")
    for lane in analysis.lanes:
        between = (
            "" if lane.low is None or lane.high is None else f"{lane.low:.3f} to {lane.high:.3f}"
        )
        table.add_row(
            Text(short(lane.comparison).translate(IN_A_LINE)),
            Text(f"{lane.portable} / {lane.native}".translate(IN_A_LINE)),
            f"{lane.ratio:.3f}",
            between,
            _held(lane),
        )
    return table


def _held(lane: Lane) -> Text:
    """Whether it is at most 1.02; of too few launches, or a busy machine, nothing is said."""
    if lane.ok is None:
        return Text("screening" if lane.verdict == "screening" else "open", style="yellow")
    return Text("ok" if lane.ok else "over 1.02", style="green" if lane.ok else "red")


def render_finding(finding: dict[str, Any], console: Console) -> None:
    """A claim's figures, a line each: whether it holds, its interval, what was wanted."""
    for each in finding["figures"]:
        told = each["most"] is None and each["least"] is None  # a figure without a bound
        word = "" if told else "holds" if each["ok"] else "FAILS"
        mark = Text(f"    {word:5}  ", style="green" if each["ok"] else "bold red")
        console.print(mark + Text(_in_words(each).translate(IN_A_LINE)), soft_wrap=True)


def _in_words(each: dict[str, Any]) -> str:
    def shown(key: str) -> str:
        return figure(each[key], each["unit"])

    text = f"{each['name']}: {shown('value')}"
    if each["low"] is not None:
        text += f" ({shown('low')} to {shown('high')})"
    wanted = [
        f"{word} {shown(key)}"
        for key, word in (("most", "at most"), ("least", "at least"))
        if each[key] is not None
    ]
    if wanted:
        text += f"; {'a control, ' if each['control'] else ''}{' and '.join(wanted)} wanted"
    return text


def paragraph(console: Console, text: str, style: str = "") -> None:
    """A paragraph whose words may be anybody's: nothing in them commands the terminal."""
    console.print(Text(text.translate(IN_A_LINE), style=style), soft_wrap=True)


def _tables(analysis: Analysis, console: Console) -> list[Table]:
    """One table, or where it is too wide one with names and figures over two lines each, or
    several of those, each with some of the contenders, down to one."""
    names = [c["name"] for c in analysis.shown]
    room = console.options.update_width(1000)
    for parts, gap in [(1, " "), *((parts, "\n") for parts in range(1, len(names) + 1))]:
        each = -(-len(names) // parts) or 1
        some = [names[start : start + each] for start in range(0, len(names), each)]
        tables = [_table(analysis, gap, part) for part in some]
        widths = [Measurement.get(console, room, table).maximum for table in tables]
        if max(widths, default=0) <= console.width:
            break
    return tables


def _table(analysis: Analysis, gap: str, names: list[str]) -> Table:
    """A row a comparison, a column a contender; `gap` stands between the parts of a cell."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("comparison", no_wrap=True)
    for name in names:
        heading = name.translate(IN_A_LINE)
        heading = heading.replace(":", f"{gap}:") if gap == "\n" else heading
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for comparison in analysis.comparisons:
        table.add_row(
            Text(label(comparison).translate(IN_A_LINE).replace(" ", gap, 1)),
            *(_cell(comparison, name, gap) for name in names),
        )
    return table


def _cell(comparison: Comparison, name: str, gap: str) -> Text:
    cell = comparison.find(name)
    if cell is None:
        return Text("")
    if cell.status != "ok":
        return Text(cell.status, style="red" if cell.status != "missing" else "dim")
    mark = comparison.mark(name)
    sign = {"winner": "*", "tie": "="}.get(mark, " ")
    relative = f"{gap}{times(cell.relative)}{sign}" if cell.relative else ""
    return Text(f"{seconds(cell.seconds)}{relative}", style="bold green" * (mark == "winner"))
