"""Markdown for a pull request or a wiki: verdicts, the map, the noise floor, how to repeat it.

Whatever comes from records is text here: nothing in it makes a heading, a link, an image or
an element, or calls somebody by name. Long text is cut: a comment holds 65,536 characters.
"""

import re

from reports.analysis import Analysis, Comparison
from reports.charts.marks import label
from reports.choice.sentences import measured_once, own, unasked, unreadable, without
from reports.pages.template import visible
from reports.words import seconds, times

LONGEST, LONGEST_SENTENCE = 300, 1500
MARKUP = re.compile(r"([\\`*_\[\]|~])")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def text(analysis: Analysis) -> str:
    """The summary, as GitHub reads Markdown."""
    machine = analysis.machine
    what = [str(machine.get("cpu") or "unknown processor")]
    what += [gpu["name"] for gpu in machine.get("gpu") or [] if gpu.get("name")]
    what.append(f"{analysis.settings.get('threads', '?')} threads")
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
    for choice in analysis.recommendations if analysis.measured else ():
        caveats = [without(choice.lost, choice.lacking)]
        caveats += [measured_once(choice.once)] if len(choice.ranking) > 1 else []
        sentence = escape(" ".join(filter(None, [choice.sentence, *caveats])), LONGEST_SENTENCE)
        lines.append(f"- **{escape(choice.title)}:** {sentence}")
    if told := own(analysis):
        lines.append(f"- {escape(told)}")
    for told, command in unasked(analysis) if analysis.measured else ():
        lines.append(f"- {escape(told)} {_code(command)}")
    lines += ["", *_map(analysis), "", _marks(analysis)]
    if analysis.failures:
        lines += ["", "**What failed**", ""]
        lines += [
            f"- {f['status']}: {escape(f['contender'])} in {escape(f['comparison'])}: "
            f"{escape(f['reason'] or 'no reason given')}"
            for f in analysis.failures
        ]
    lines += ["", "<details><summary>How to reproduce</summary>", ""]
    lines += [_code(analysis.command), ""]
    lines += ["A workload again:", ""]
    lines += [f"- {escape(label(c))}: {_code(c.command)}" for c in analysis.comparisons]
    return "\n".join([*lines, "", "</details>", ""])


def escape(value: object, longest: int = LONGEST) -> str:
    """Text that is nothing but text, on one line."""
    plain = " ".join(str(visible(str(value))).split())
    plain = plain if len(plain) <= longest else plain[: longest - 1] + "…"
    plain = re.sub("[&<>]", lambda found: ENTITIES[found[0]], plain)
    plain = MARKUP.sub(r"\\\1", plain)
    plain = re.sub(r"^([-+=#])", r"\\\1", plain)
    plain = re.sub(r"^(\d+)([.)])(?= |$)", r"\1\\\2", plain)  # a list; 2.0% is none
    return re.sub(r"(?<!\w)@(?=\w)", "@<!-- -->", plain)  # nobody is called


def _code(value: str) -> str:
    """A command, as code; a backtick in it cannot end it."""
    plain = " ".join(str(visible(value)).split())[:LONGEST].replace("`", "'")
    return f"`{plain}`"


def _map(analysis: Analysis) -> list[str]:
    names = [c["name"] for c in analysis.shown]
    heads = ["workload", *map(escape, names)]
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * len(names)}"]
    for comparison in analysis.comparisons:
        cells = [_cell(comparison, name) for name in names]
        lines.append(f"| {escape(label(comparison))} | {' | '.join(cells)} |")
    return lines


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
