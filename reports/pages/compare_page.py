"""The page of two runs: the sentence first, then dots with intervals, the table behind them."""

from pathlib import Path
from typing import Any

from harness.stats.changes import Change
from reports.analysis import short
from reports.charts import marks, ratios
from reports.pages import template
from reports.runs import lost
from reports.runs.compare import WORDS, Changes


def write(found: Changes, folder: Path, output: Path | None = None) -> Path:
    """Writes the page; returns where. Raises Wrong where it cannot."""
    template.lacking(folder)
    return template.save(output or place(found), render(found))


def place(found: Changes) -> Path:
    """Not where the same runs' page of machines goes."""
    return template.place(found.old, "to", found.new)


def render(found: Changes) -> str:
    """The page as text."""
    parts = [
        (
            "clocked",
            "By the clock" if found.two_machines else "By the clock, drift and all",
            found.clocked,
        ),
        ("changes", f"As ratios to {found.anchor}", [*found.changes, *found.overall]),
    ]
    specs = {
        name: ratios.intervals(
            found, rows(changes), "time in the second over the first (log)", found.margin
        )
        for name, _, changes in parts
    }
    return template.render(
        "compare.html.j2",
        {name: spec for name, spec in specs.items() if spec is not None},
        title=f"{found.old} and {found.new}, side by side",
        found=found,
        parts=[part for part in parts if part[2]],
        names=[c["name"] for c in found.contenders],
        colours=marks.colours(found),
        shapes=marks.shapes(found),
        verdicts=WORDS,
        told=lost.told,
        short=short,
    )


def rows(changes: list[Change]) -> list[dict[str, Any]]:
    """What a chart shows of them."""
    return [
        {
            "comparison": short(change.comparison),
            "contender": change.contender,
            "ratio": change.ratio,
            "low": change.low,
            "high": change.high,
            "verdict": WORDS[change.verdict],
        }
        for change in changes
    ]
