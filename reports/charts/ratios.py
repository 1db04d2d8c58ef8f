"""Ratios with their intervals: dots on a log axis, the margin as lines, the noise floor as a band.

What decides lies within some percent of 1, what is far behind lies anywhere: past a few times
the leader's a ratio is a number at the edge, so that the rest has room.
"""

import math
from collections.abc import Mapping
from typing import Any

from harness.stats import statistics
from reports import words
from reports.analysis import Analysis
from reports.charts import marks
from reports.comparison.conditions import Effects

FAR = 4.0  # times; or twice what half of the dots need
TEXT = "format(datum.value, '~g') + 'x'"


def ratios(analysis: Analysis) -> dict[str, Any] | None:
    """Each contender's time over the leader's, with its 95% interval.

    A band is the floor: in the rows that have a twin, what it there differs from itself.
    """
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
                    "verdict": words.verdict(pair.verdict),
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
    floors = {
        marks.label(c): math.exp(abs(math.log(c.noise_floor.ratio)))
        for c in analysis.comparisons
        if c.noise_floor
    }
    return intervals(analysis, rows, "time / leader's (log)", statistics.MARGIN, floors)


def effects(analysis: Analysis, found: Effects) -> dict[str, Any] | None:
    """Each contender's time in another condition over its own in the plain one."""
    rows = [
        {
            "comparison": marks.label(analysis.comparison(change.comparison)),
            "contender": change.contender,
            "ratio": change.ratio,
            "low": change.low or change.ratio,
            "high": change.high or change.ratio,
            "verdict": words.verdict(change.verdict),
            "launches": change.launches,
        }
        for change in found.own
        if math.isfinite(change.ratio)
    ]
    return intervals(analysis, rows, f"time / its own {found.plainly} (log)", statistics.MARGIN)


def intervals(
    contested: marks.Contested,
    rows: list[dict[str, Any]],
    title: str | list[str],
    margin: float | None = None,
    floors: Mapping[str, float] | None = None,
) -> dict[str, Any] | None:
    """Dots with intervals on a log axis; a row has comparison, contender, ratio, low, high.

    margin: a log ratio. floors: comparison -> the ratio of its noise floor, above 1.
    """
    if not rows:
        return None
    import altair as alt

    # The dots set the axis: the interval of two launches may span decades, and is cut off.
    dots_at = sorted(row["ratio"] for row in rows)
    least, most = min(0.5, dots_at[0]), max(FAR, 2 * dots_at[len(rows) // 2])
    axis = marks.log_axis(marks.RUNGS, TEXT)

    def x(field: str) -> Any:
        return alt.X(f"{field}:Q", title=title, **axis)

    base = marks.dots(contested, rows).transform_calculate(
        at=f"min(datum.ratio, {most})",
        start=f"clamp(datum.low, {least}, {most})",
        end=f"min(datum.high, {most})",
        told=f"datum.ratio > {most} ? '→ ' + format(datum.ratio, '.3~r') + 'x' : ''",
    )
    fill = marks.by_contender(contested, rows, alt.Fill, marks.colours)
    lines = base.mark_rule(strokeWidth=1.5).encode(
        x=x("start"),
        x2="end",
        stroke=marks.by_contender(contested, rows, alt.Stroke, marks.colours),
    )
    dots = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=x("at"),
        fill=fill,
        shape=marks.by_contender(contested, rows, alt.Shape, marks.shapes),
        tooltip=marks.tips(rows),
    )
    far = base.mark_text(align="left", dx=9, fontSize=10).encode(x=x("at"), text="told:N")
    layers = [marks.line_at(1.0, x), lines, dots, far]
    for cut, side, end in (
        (f"datum.low < {least}", "left", "start"),
        (f"datum.high > {most} && datum.ratio <= {most}", "right", "end"),
    ):
        heads = base.mark_point(filled=True, opacity=1, shape=f"triangle-{side}")
        shown = alt.condition(cut, alt.value(50), alt.value(0))
        layers.append(heads.encode(x=x(end), fill=fill, size=shown))
    if margin:
        edges = (math.exp(-margin), math.exp(margin))
        layers[:0] = [marks.line_at(edge, x, strokeDash=[2, 2]) for edge in edges]
    if floors:
        # Every row has one, so that rows keep their order: without a twin it has no width.
        labels = list(dict.fromkeys(row["comparison"] for row in rows))
        bands = [
            {"comparison": of, "from": 1 / floors.get(of, 1.0), "to": floors.get(of, 1.0)}
            for of in labels
        ]
        layers.insert(0, marks.bands(bands, x("from"), "to"))
    return marks.spec(alt.layer(*layers), marks.height(rows), rows)
