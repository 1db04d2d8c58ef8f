"""A start, second by second, and its memory: bars, since their parts add up.

Bars have no log axis, so one that takes ten times the others' seconds would leave them none of
the picture: it is cut off, and its length stands beside it.
"""

import math
from typing import Any

import numpy as np

from reports import words
from reports.analysis import Analysis, Comparison
from reports.charts import marks

# Each part has one colour in seconds and in memory; what remains unnamed is grey.
PHASES = {
    "import": "#3F729B",
    "load": "#5E97B5",
    "first call": "#B8741A",
    "everything else": marks.REST,
}
MEMORY = {"import": PHASES["import"], "load and first call": PHASES["first call"]}
DEVICE_MEMORY = {"allocated": PHASES["first call"], "reserved beyond it": marks.REST}
FAR = 4  # times the median contender's start: what takes longer is cut off there, and told
BAR = 22  # pixels


def started(analysis: Analysis) -> list[Comparison]:
    """The comparisons of the cold pass."""
    return [c for c in analysis.comparisons if any(cell.cold for cell in c.cells)]


def start(analysis: Analysis, comparison: Comparison) -> dict[str, Any] | None:
    """Seconds from nothing to a first result: what they went into, cold and warm."""
    rows, totals = [], {}
    for cell in analysis.cells(comparison):
        for cache, seconds in (("empty", cell.cold), ("filled", cell.warm)):
            if not seconds:
                continue
            known = [seconds.get(phase, 0.0) for phase in ("import", "load", "first_call")]
            rest = max(0.0, seconds.get("total", 0.0) - sum(known))
            for order, (phase, value) in enumerate(zip(PHASES, [*known, rest], strict=True)):
                row = {"contender": cell.contender, "cache": cache, "phase": phase}
                rows.append({**row, "seconds": value, "order": order})
            totals[cell.contender, cache] = sum(known) + rest
    return stacked(rows, "seconds", "seconds to the first result", PHASES, totals)


def memory(analysis: Analysis, comparison: Comparison) -> dict[str, Any] | None:
    """Megabytes: the device's, where it has its own; else what import took and what the call."""
    on_device = _has_own_memory(comparison)
    keys = ("allocated", "reserved") if on_device else ("import_rss_bytes", "peak_rss_bytes")
    parts = memory_parts(comparison)
    rows = []
    for cell in analysis.cells(comparison):
        inner, outer = ((cell.memory or {}).get(key) for key in keys)
        if not inner:
            continue
        values = (inner, max(0, (outer or 0) - inner))
        for order, (phase, value) in enumerate(zip(parts, values, strict=True)):
            row = {"contender": cell.contender, "phase": phase}
            rows.append({**row, "MB": value / 1e6, "order": order})
    title = "megabytes of the device, peak" if on_device else "megabytes, peak resident"
    return stacked(rows, "MB", title, parts)


def memory_parts(comparison: Comparison) -> dict[str, str]:
    """What the bars of memory are made of -> colour."""
    return DEVICE_MEMORY if _has_own_memory(comparison) else MEMORY


def _has_own_memory(comparison: Comparison) -> bool:
    return any((cell.memory or {}).get("allocated") for cell in comparison.cells)


def stacked(
    rows: list[dict[str, Any]],
    value: str,
    title: str,
    parts: dict[str, str],
    totals: dict[tuple[str, str], float] | None = None,
) -> dict[str, Any] | None:
    """Bars of what adds up, one a contender; with `totals` (seconds), one for each cache."""
    if not rows:
        return None
    import altair as alt

    empty = [seconds for (_, cache), seconds in (totals or {}).items() if cache == "empty"]
    far = FAR * float(np.median(empty)) if empty else math.inf
    cut = {which: seconds for which, seconds in (totals or {}).items() if seconds > far}
    x = alt.X(
        f"{value}:Q",
        title=title,
        stack="zero",
        axis=alt.Axis(tickCount=5, labelOverlap="greedy"),
        scale=alt.Scale(domain=[0, far], nice=False) if cut else alt.Undefined,
    )
    y = alt.Y("contender:N", title=None, sort=None, axis=alt.Axis(labelLimit=180))
    scale = alt.Scale(domain=list(parts), range=list(parts.values()))
    chart = (
        alt.Chart(marks.data(rows))
        .mark_bar(clip=bool(cut))
        .encode(
            x=x,
            y=y,
            color=alt.Color("phase:N", scale=scale, legend=None),
            order=alt.Order("order:Q"),
            tooltip=marks.tips(rows),
        )
    )
    if totals:
        chart = chart.encode(yOffset=alt.YOffset("cache:O"))
    if cut:
        lengths = [
            {"contender": name, "cache": cache, value: far, "told": f"→ {words.seconds(seconds)}"}
            for (name, cache), seconds in cut.items()
        ]
        text = alt.Chart(marks.data(lengths)).mark_text(align="left", dx=4, fontSize=10)
        beside = text.encode(x=x, y=y, yOffset=alt.YOffset("cache:O"), text="told:N")
        chart = alt.layer(chart, beside)
    return marks.spec(chart, {"step": BAR + 6 if totals else BAR, "of": "contender"}, rows)
