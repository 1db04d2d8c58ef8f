"""Ratios with their intervals: dots on a log axis, the noise floor as a band."""

import math
from typing import Any

from reports.analysis import Analysis
from reports.charts import marks

RATIO_TICKS = (0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
NEAR_ONE = (0.9, 0.92, 0.94, 0.96, 0.98, 1, 1.02, 1.04, 1.06, 1.08, 1.1)


def ratios(analysis: Analysis) -> dict[str, Any] | None:
    """Each contender's time over the leader's, with its 95% interval; the floor as a band."""
    rows: list[dict[str, Any]] = []
    for comparison in analysis.comparisons:
        leader = comparison.leader or ""
        for cell in comparison.cells:
            pair = comparison.ratio(cell.contender, leader)
            if cell.contender == leader:
                figures = {"ratio": 1.0, "low": 1.0, "high": 1.0, "verdict": "leader"}
            elif pair is not None and math.isfinite(pair.ratio):
                figures = {
                    "ratio": pair.ratio,
                    "low": pair.low or pair.ratio,
                    "high": pair.high or pair.ratio,
                    "verdict": pair.verdict.replace("_", " "),
                }
            else:
                continue
            rows.append(
                {
                    "comparison": marks.label(comparison),
                    "contender": cell.contender,
                    **figures,
                    "leader": leader,
                    "launches": cell.launches,
                }
            )
    floor = analysis.noise_floor["percent"] / 100 if analysis.noise_floor else None
    return intervals(analysis, rows, "time / leader's (log)", floor)


def intervals(
    contested: marks.Contested, rows: list[dict[str, Any]], title: str, floor: float | None = None
) -> dict[str, Any] | None:
    """Dots with intervals on a log axis; a row has comparison, contender, ratio, low, high."""
    if not rows:
        return None
    import altair as alt

    # The dots set the axis: the interval of two launches may span decades, and is cut off.
    dots_at = [row["ratio"] for row in rows]
    low = max(min(row["low"] for row in rows), min(dots_at) / 2)
    high = min(max(row["high"] for row in rows), max(dots_at) * 2)
    ticks = NEAR_ONE if high / low < 1.15 else RATIO_TICKS
    # 1x is what all others are read from: no neighbour may take the room of its label.
    near = math.log(high / low) / 12
    clear = [tick for tick in ticks if tick == 1 or abs(math.log(tick)) > near]
    axis = marks.log_axis(
        (min(low, 0.98), max(high, 1.05)), clear, "format(datum.value, '~g') + 'x'"
    )
    base = marks.dots(contested, rows)
    lines = base.mark_rule(strokeWidth=1.5, clip=True).encode(
        x=alt.X("low:Q", title=title, **axis),
        x2="high:Q",
        stroke=marks.by_contender(contested, rows, alt.Stroke, marks.colours),
    )
    dots = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=alt.X("ratio:Q", title=title, **axis),
        fill=marks.by_contender(contested, rows, alt.Fill, marks.colours),
        shape=marks.by_contender(contested, rows, alt.Shape, marks.shapes),
        tooltip=marks.tips(rows),
    )
    one = (
        alt.Chart(alt.Data(values=[{"at": 1.0}]))
        .mark_rule(strokeDash=[3, 3])
        .encode(x=alt.X("at:Q", title=title, **axis))
    )
    layers = [one, lines, dots]
    if floor is not None:
        ends = {"from": 1 / (1 + floor), "to": 1 + floor}
        band = alt.Chart(alt.Data(values=[ends])).mark_rect(
            opacity=0.22, color="#888888", clip=True
        )
        layers.insert(0, band.encode(x=alt.X("from:Q", title=title, **axis), x2="to:Q"))
    return marks.spec(alt.layer(*layers), marks.height(rows), rows)
