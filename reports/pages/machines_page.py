"""The page of several machines, or of several runs of one: dots, and the tables behind them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.record.records import Run
from harness.stats import statistics
from reports.analysis import short
from reports.charts import marks, ratios
from reports.choice.profiles import Profile
from reports.pages import template
from reports.runs.machines import OVER, Machines, gather
from reports.words import times


def write(
    runs: list[Run],
    anchor: str | None = None,
    output: Path | None = None,
    title: str | None = None,
    chosen: Sequence[Profile] | None = None,
) -> Path:
    """Writes the page; returns where. Raises Wrong, as `machines.gather` does."""
    template.lacking(runs[0].folder)
    path = output or template.place(*(run.name for run in runs))
    return template.save(path, render(gather(runs, anchor, chosen), title))


def render(found: Machines, title: str | None = None) -> str:
    """The page as text."""
    first = next(iter(found.places), None)
    specs = {
        "over": ratios.intervals(
            found,
            _leads(found),
            ["leader over nearest rival:", "time or score (log)"],
            statistics.MARGIN,
        ),
        "places": ratios.intervals(
            found, _rows(found, first), [f"time over {found.anchor}'s", "on the same machine (log)"]
        ),
    }
    what = "runs of one machine" if found.one else "machines"
    return template.render(
        "machines.html.j2",
        {name: spec for name, spec in specs.items() if spec},
        title=title or f"{len(found.machines)} {what}, side by side",
        found=found,
        first=first,
        names=[machine.name for machine in found.machines],
        marked=[each["name"] for each in found.contenders],
        colours=marks.colours(found),
        shapes=marks.shapes(found),
        short=short,
        times=times,
    )


def _rows(found: Machines, place: str | None) -> list[dict[str, Any]]:
    """Each contender over the anchor: machine by machine, and over all runs."""
    rows = []
    repeated = {} if place is None else found.repeated.get(place, {})
    for contender, on in ({} if place is None else found.places[place]).items():
        if contender != found.anchor:
            label = f"{contender} over {found.anchor}"
            for machine, its in on.items():
                ends = {"low": its.low or its.ratio, "high": its.high or its.ratio}
                rows.append(_row(label, machine, its.ratio, **ends))
            if contender in repeated:
                over = repeated[contender]
                rows.append(_row(label, OVER, over.ratio, over.low, over.high))
    return rows


def _leads(found: Machines) -> list[dict[str, Any]]:
    """Use by use who leads over the nearest rival, in each run and in all of them."""
    rows = []
    for use, choice in found.over.items():
        if choice is not None:
            label = f"{choice.ranking[0]['contender']} {use}"
            for machine, ratio in zip(found.machines, choice.each, strict=True):
                rows.append(_row(label, machine.name, ratio, ratio, ratio))
            rows.append(_row(label, OVER, choice.lead.ratio, choice.lead.low, choice.lead.high))
    return rows


def _row(label: str, mark: str, ratio: float, low: float, high: float) -> dict[str, Any]:
    return {"comparison": label, "contender": mark, "ratio": ratio, "low": low, "high": high}
