"""A start, second by second, and its memory: bars, since their parts add up."""

from typing import Any

from reports.analysis import Analysis, Comparison
from reports.charts import marks

PHASES = {
    "import": "#52789B",
    "load": "#8FB3C9",
    "first call": "#C98A2B",
    "starting the process": "#9AA0A6",
}
MEMORY = {"import": "#9AA0A6", "the call": "#52789B"}
DEVICE_MEMORY = {"allocated": "#52789B", "reserved beyond it": "#9AA0A6"}
BAR = 22  # pixels


def started(analysis: Analysis) -> list[Comparison]:
    """The comparisons of the cold pass."""
    return [c for c in analysis.comparisons if any(cell.cold for cell in c.cells)]


def start(analysis: Analysis, comparison: Comparison) -> dict[str, Any] | None:
    """Seconds from nothing to a first result: what they went into, cold and warm."""
    rows = []
    for cell in marks.shown(analysis, comparison):
        for cache, seconds in (("empty", cell.cold), ("filled", cell.warm)):
            if not seconds:
                continue
            known = [seconds.get(phase, 0.0) for phase in ("import", "load", "first_call")]
            rest = max(0.0, seconds.get("total", 0.0) - sum(known))
            for order, (phase, value) in enumerate(zip(PHASES, [*known, rest], strict=True)):
                row = {"contender": cell.contender, "cache": cache, "phase": phase}
                rows.append({**row, "seconds": value, "order": order})
    return stacked(rows, "seconds", "seconds to the first result", PHASES, "cache")


def memory(analysis: Analysis, comparison: Comparison) -> dict[str, Any] | None:
    """Megabytes: the device's, where it has its own; else what import took and what the call."""
    on_device = _has_own_memory(comparison)
    keys = ("allocated", "reserved") if on_device else ("import_rss_bytes", "peak_rss_bytes")
    parts = memory_parts(comparison)
    rows = []
    for cell in marks.shown(analysis, comparison):
        inner, outer = ((cell.memory or {}).get(key) for key in keys)
        if not inner:
            continue
        values = (inner, max(0, (outer or 0) - inner))
        for order, (phase, value) in enumerate(zip(parts, values, strict=True)):
            row = {"contender": cell.contender, "phase": phase}
            rows.append({**row, "MB": value / 1e6, "order": order})
    title = "megabytes of the device, peak" if on_device else "megabytes, peak resident"
    return stacked(rows, "MB", title, parts, None)


def memory_parts(comparison: Comparison) -> dict[str, str]:
    """What the bars of memory are made of -> colour."""
    return DEVICE_MEMORY if _has_own_memory(comparison) else MEMORY


def _has_own_memory(comparison: Comparison) -> bool:
    return any((cell.memory or {}).get("allocated") for cell in comparison.cells)


def stacked(
    rows: list[dict[str, Any]], value: str, title: str, parts: dict[str, str], split: str | None
) -> dict[str, Any] | None:
    """Bars of what adds up, one a contender; two where they are split by an ordered field."""
    if not rows:
        return None
    import altair as alt

    scale = alt.Scale(domain=list(parts), range=list(parts.values()))
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=alt.X(
                f"{value}:Q",
                title=title,
                stack="zero",
                axis=alt.Axis(tickCount=5, labelOverlap="greedy"),
            ),
            y=alt.Y("contender:N", title=None, sort=None, axis=alt.Axis(labelLimit=130)),
            color=alt.Color("phase:N", scale=scale, legend=None),
            order=alt.Order("order:Q"),
            tooltip=marks.tips(rows),
        )
    )
    if split:
        pale = alt.Scale(domain=["empty", "filled"], range=[1.0, 0.7])
        chart = chart.encode(
            yOffset=alt.YOffset(f"{split}:O"),
            opacity=alt.Opacity(f"{split}:O", scale=pale, legend=None),
        )
    return marks.spec(chart, {"step": BAR + 6 if split else BAR, "of": "contender"}, rows)
