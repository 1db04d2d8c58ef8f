"""How much the calls of a launch differ: the body and the tails, about their own median."""

from typing import Any

import numpy as np

from reports.analysis import QUANTILES, Analysis, finite
from reports.charts import marks
from reports.comparison.cells import tells_p99

NAMES = tuple(f"p{100 * share:.0f}" for share in QUANTILES)  # p5, p25, p50, p75, p95, p99


def calls(analysis: Analysis) -> dict[str, Any] | None:
    """Quantiles of a launch's calls over their median; of each the median over launches."""
    rows: list[dict[str, Any]] = []
    for comparison in analysis.comparisons:
        for cell in analysis.cells(comparison):
            spread = over_median(cell.calls)
            if spread:
                row = {"comparison": marks.label(comparison), "contender": cell.contender}
                rows.append({**row, **spread})
    if not rows:
        return None
    import altair as alt

    axis = marks.log_axis(marks.RUNGS, "format(datum.value, '~g') + 'x'")
    title = "call / median call (log)"
    base = marks.dots(analysis, rows)
    stroke = marks.by_contender(analysis, rows, alt.Stroke, marks.colours)
    fill = marks.by_contender(analysis, rows, alt.Fill, marks.colours)
    shape = marks.by_contender(analysis, rows, alt.Shape, marks.shapes)
    tails = base.mark_rule(strokeWidth=1.2, clip=True).encode(
        x=alt.X("p5:Q", title=title, **axis), x2="p95:Q", stroke=stroke
    )
    body = base.mark_rule(strokeWidth=4, clip=True).encode(
        x=alt.X("p25:Q", title=title, **axis), x2="p75:Q", stroke=stroke
    )
    last = base.mark_point(size=42, opacity=1, strokeWidth=1.5, clip=True).encode(
        x=alt.X("p99:Q", title=title, **axis), stroke=stroke, shape=shape
    )
    # A rim sets it off from the bar, which has its colour: variants differ by shape alone.
    median = base.mark_point(
        filled=True, size=60, opacity=1, stroke="var(--page)", strokeWidth=1.2, clip=True
    ).encode(
        x=alt.X("p50:Q", title=title, **axis), fill=fill, shape=shape, tooltip=marks.tips(rows)
    )
    far = [last] if any(row["p99"] for row in rows) else []
    return marks.spec(alt.layer(tails, body, *far, median), marks.height(rows), rows)


def over_median(launches: list[list[float | None]]) -> dict[str, float | None] | None:
    """Name of a quantile -> it over p50, the median over launches; None where nothing was timed.

    As in the table of figures, what one launch has too few calls for is not there.
    """
    values = np.array(launches, dtype=float)
    # What took less than the clock's tick has no place on a log axis.
    values = values[~(values <= 0).any(axis=1)] if launches else values
    if not len(values):
        return None
    relative = values / values[:, [NAMES.index("p50")]]
    known = [column[np.isfinite(column)] for column in relative.T]
    return {
        name: finite(float(np.median(seen))) if tells_p99(len(seen), len(values)) else None
        for name, seen in zip(NAMES, known, strict=True)
    }
