"""Markdown for a pull request or a wiki: verdicts, the map, the noise floor, how to repeat it.

Whatever comes from records is text here: nothing in it makes a heading, a link, an image or
an element, or calls somebody by name. A comment holds 65,536 characters: long text is cut, and of
long lists it is told how many more there are. A command is whole or not there: a part of one is
another command.
"""

import re

from reports.analysis import Analysis, Comparison
from reports.charts.marks import label
from reports.choice.overall import own, unasked, unreadable
from reports.choice.sentences import measured_once, without
from reports.pages.template import visible
from reports.words import seconds, threads, times

LONGEST, LONGEST_SENTENCE = 300, 1500
# Bytes of each list; what is beside them, at its longest, takes the rest of a comment.
CHOICES, TABLE, FAILURES, COMMANDS = 14_000, 18_000, 7_000, 9_000
COLUMNS = 25
MARKUP = re.compile(r"([\\`*_\[\]|~])")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def text(analysis: Analysis) -> str:
    """The summary, as GitHub reads Markdown."""
    machine = analysis.machine
    what = [str(machine.get("cpu") or "unknown processor")]
    what += [gpu["name"] for gpu in machine.get("gpu") or [] if gpu.get("name")]
    what.append(threads(analysis.threads))
    lines = [f"## {escape(analysis.title)}: which framework?", ""]
    versions = escape(", ".join(analysis.versions()))
    lines += [
        f"{escape(', '.join(what))} · run {escape(analysis.run)} · {escape(analysis.created[:10])}"
    ]
    lines[-1] += f" · {versions}" if versions else ""
    if analysis.screening:
        lines += ["", f"> **Screening:** {escape('; '.join(analysis.screening))}."]
    if analysis.problems:
        lines += ["", f"> **Damaged:** {escape(unreadable(analysis.problems))}"]
    lines += [""]
    lines += [] if analysis.measured else ["> Nothing was measured.", ""]
    told_of = []
    for choice in analysis.recommendations if analysis.measured else ():
        caveats = [without(choice.lost, choice.lacking)]
        caveats += [measured_once(choice.once)] if len(choice.ranking) > 1 else []
        sentence = escape(" ".join(filter(None, [choice.sentence, *caveats])), LONGEST_SENTENCE)
        told_of.append(f"- **{escape(choice.title)}:** {sentence}")
    if told := own(analysis):
        told_of.append(f"- {escape(told)}")
    for told, command in unasked(analysis) if analysis.measured else ():
        told_of.append(f"- {escape(told)} {_code(command)}")
    lines += bounded(told_of, CHOICES)
    lines += ["", *_map(analysis), "", _marks(analysis)]
    if analysis.failures:
        lines += ["", "**What failed**", ""]
        failed = [
            f"- {f['status']}: {escape(f['contender'])} in {escape(f['comparison'])}: "
            f"{escape(f['reason'] or 'no reason given')}"
            for f in analysis.failures
        ]
        lines += bounded(failed, FAILURES)
    lines += ["", "<details><summary>How to reproduce</summary>", ""]
    again = [f"- {escape(label(c))}: {_code(c.command)}" for c in analysis.comparisons]
    whole = [f"- all of it: {_code(analysis.command)}"]
    lines += bounded([*whole, *again], COMMANDS)
    return "\n".join([*lines, "", "</details>", ""])


def escape(value: object, longest: int = LONGEST) -> str:
    """Text that is nothing but text, on one line."""
    plain = " ".join(str(visible(str(value))).split())
    plain = plain if len(plain) <= longest else plain[: longest - 1] + "…"
    plain = re.sub("[&<>]", lambda found: ENTITIES[found[0]], plain)
    plain = MARKUP.sub(r"\\\1", plain)
    plain = re.sub(r"^([-+=#])", r"\\\1", plain)
    plain = re.sub(r"^(\d+)([.)])(?= |$)", r"\1\\\2", plain)  # a list; 2.0% is none
    # Nobody is called or mailed, and no address, issue or pull request linked.
    return re.sub(r"(?i)(@|#|\bGH-)(?=\w)|:(?=//)|\bwww(?=\.)", r"\g<0><!-- -->", plain)


def bounded(lines: list[str], room: int) -> list[str]:
    """Those of these that have room, in bytes, first come first served; and how many more."""
    kept = []
    for line in lines:
        takes = len(line.encode()) + 1
        if takes <= room:
            kept.append(line)
            room -= takes
    return kept if len(kept) == len(lines) else [*kept, f"- and {len(lines) - len(kept)} more"]


def _code(value: str) -> str:
    """A command, as code; a backtick in it cannot end it."""
    return f"`{' '.join(str(visible(value)).split()).replace('`', chr(39))}`"


def _map(analysis: Analysis) -> list[str]:
    everyone = [c["name"] for c in analysis.shown]
    names = everyone[:COLUMNS]
    heads = ["workload", *map(escape, names)]
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * len(names)}"]
    rows = []
    for comparison in analysis.comparisons:
        cells = [_cell(comparison, name) for name in names]
        rows.append(f"| {escape(label(comparison))} | {' | '.join(cells)} |")
    kept = [row for row in bounded(rows, TABLE) if row.startswith("|")]
    left = ((len(rows) - len(kept), "workloads"), (len(everyone) - len(names), "contenders"))
    more = [f"and {count} more {what}" for count, what in left if count]
    return [*lines, *kept, *(["", "; ".join(more)] if more else [])]


def _cell(comparison: Comparison, name: str) -> str:
    cell = comparison.find(name)
    if cell is None:
        return ""
    if cell.status != "ok":
        return cell.status
    if not cell.relative:
        return seconds(cell.seconds)
    figure = f"{times(cell.relative)}, {seconds(cell.seconds)}"
    told = {"winner": f"**{figure}** ★", "tie": f"{figure} ="}
    return told.get(comparison.mark(name), figure)


def _marks(analysis: Analysis) -> str:
    said = "Time over the best one's, and of a call. ★ wins by more than 3%, = ties with the best."
    if analysis.noise_floor:
        floor = analysis.noise_floor
        said += f" Noise floor: {escape(floor['of'])} entered twice differs from itself by "
        said += f"{escape(floor['told'])}."
    return said
