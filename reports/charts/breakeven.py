"""Break-even: seconds saved against a baseline, call by call."""

import itertools
import math
from typing import Any

from reports.analysis import Analysis
from reports.charts import marks
from reports.choice.breakeven import MOST, BreakEven

POINTS, SYMLOG = 80, 0.3  # of a line of break-even; seconds about which its axis is linear


def breakeven(analysis: Analysis, found: BreakEven) -> dict[str, Any]:
    """Seconds saved against a baseline, call by call; where a line crosses zero it has paid."""
    import altair as alt

    base = found.baseline
    paid = [c for c in found.crossings if base in (c.early, c.late) and c.calls]
    most = min(MOST, 10 * max([100.0, *(c.calls or 0.0 for c in paid)]))
    at = [most ** (i / POINTS) for i in range(POINTS + 1)]
    rows = [
        {
            "contender": name,
            "calls": calls,
            "seconds saved": found.spent(base, calls) - found.spent(name, calls),
            "marked": i % (POINTS // 4) == POINTS // 8,
        }
        for name in found.starts
        for i, calls in enumerate(at)
    ]
    others = [row["seconds saved"] for row in rows if row["contender"] != base]
    starts = [abs(found.starts[base] - s) for s in found.starts.values()]
    reach = max(1.0, *starts, *(value for value in others if value > 0)) * 1.3
    what = f"{'steps' if found.direction == 'train' else 'calls'} (log)"
    tens = [10.0**k for k in range(10)]
    size = [10.0**k for k in range(10) if 10.0**k <= reach]
    size = size[:: max(1, math.ceil(len(size) / 4))]
    x = alt.X(
        "calls:Q",
        title=what,
        scale=alt.Scale(type="log", domain=[1, most], nice=False),
        axis=alt.Axis(values=[t for t in tens if t <= most], format="~s", grid=False),
    )
    y = alt.Y(
        "seconds saved:Q",
        title=[f"seconds saved against {base}", "(log, linear about 0)"],
        scale=alt.Scale(type="symlog", domain=[-reach, reach], constant=SYMLOG, nice=False),
        # Each tick by itself: this scale's own format takes one unit for all, 10 s as 0k.
        axis=alt.Axis(
            values=[*(-s for s in size), 0, *size], labelExpr="format(datum.value, '~s')"
        ),
    )
    chart = alt.Chart(marks.data(rows)).encode(x=x, y=y)
    stroke = marks.by_contender(analysis, rows, alt.Stroke, marks.colours)
    fill = marks.by_contender(analysis, rows, alt.Fill, marks.colours)
    shape = marks.by_contender(analysis, rows, alt.Shape, marks.shapes)
    tips = marks.tips([{key: rows[0][key] for key in ("contender", "calls", "seconds saved")}])
    dash = marks.by_contender(analysis, rows, alt.StrokeDash, marks.dashes)
    lines = chart.mark_line(clip=True, strokeWidth=2).encode(stroke=stroke, strokeDash=dash)
    points = (
        chart.transform_filter("datum.marked")
        .mark_point(filled=True, size=60, opacity=1, clip=True)
        .encode(fill=fill, shape=shape, tooltip=tips)
    )
    # Crossings of many contenders would hide the line: marked is where the lead changes.
    handovers = [{a, b} for (_, a), (_, b) in itertools.pairwise(found.ahead)]
    crossed: list[dict[str, Any]] = [
        {
            "contender": c.early if c.late == base else c.late,
            "calls": c.calls,
            "from": max(1.0, c.low or 1.0),
            "to": min(most, c.high or most),
            "seconds saved": 0,
        }
        for c in paid
        if {c.early, c.late} in handovers
    ]
    layers = [lines, points]
    # A bar from one end to the other would say nothing, and look like an axis.
    known = [row for row in crossed if row["from"] > 1 or row["to"] < most]
    if known:
        bars = alt.Chart(marks.data(known)).mark_rule(strokeWidth=7, opacity=0.45, clip=True)
        layers.append(bars.encode(x=alt.X("from:Q", title=what), x2="to:Q", y=y, stroke=stroke))
    if crossed:
        dots = alt.Chart(marks.data(crossed)).mark_point(filled=True, size=110, opacity=1)
        told = marks.tips([crossed[0]])
        layers.append(dots.encode(x=x, y=y, fill=fill, shape=shape, tooltip=told))
    return marks.spec(alt.layer(*layers), 260)
