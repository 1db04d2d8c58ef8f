"""Throughput and latency against batch size, where a run has a workload at several."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from reports.analysis import Analysis, Comparison
from reports.charts import marks


@dataclass(frozen=True)
class Series:
    """One workload at several batches, all else the same."""

    title: str
    comparisons: list[Comparison]  # by batch


def series(analysis: Analysis) -> list[Series]:
    """Every workload that was measured at two batches or more."""
    found: dict[tuple[Any, ...], list[Comparison]] = defaultdict(list)
    for c in analysis.comparisons:
        found[c.workload, c.size, c.direction, c.precision, c.device].append(c)
    made = []
    for same in found.values():
        if len({c.batch for c in same}) > 1:
            title = marks.label(same[0]).replace(f" b{same[0].batch} ", " ", 1)
            made.append(Series(title, sorted(same, key=lambda c: c.batch)))
    return made


def throughput(analysis: Analysis, found: Series) -> dict[str, Any] | None:
    """Items a second against batch: what a machine can do once it has enough to do."""
    return _lines(analysis, found, "items/s", lambda cell: cell.throughput)


def latency(analysis: Analysis, found: Series) -> dict[str, Any] | None:
    """Milliseconds of a call (p50) against batch: what somebody waits for."""

    def value(cell: Any) -> float | None:
        return 1000 * cell.latency["p50"] if cell.latency and cell.latency["p50"] else None

    return _lines(analysis, found, "ms a call", value)


def _lines(analysis: Analysis, found: Series, what: str, value: Any) -> dict[str, Any] | None:
    rows = [
        {"contender": cell.contender, "batch": c.batch, what: seen, "comparison": marks.label(c)}
        for c in found.comparisons
        for cell in analysis.cells(c)
        if cell.status == "ok" and (seen := value(cell))
    ]
    if not rows:
        return None
    import altair as alt

    batches = sorted({row["batch"] for row in rows})
    reach = alt.Scale(type="log", nice=False, padding=16)  # as far as what is shown
    x = alt.X(
        "batch:Q",
        title="batch (log)",
        scale=reach,
        axis=alt.Axis(values=batches, format="d", grid=False),
    )
    y = alt.Y(
        f"{what}:Q",
        title=f"{what} (log)",
        scale=reach,
        axis=alt.Axis(tickCount=5, format="~s"),
    )
    chart = alt.Chart(marks.data(rows)).encode(x=x, y=y)
    lines = chart.mark_line(strokeWidth=2).encode(
        stroke=marks.by_contender(analysis, rows, alt.Stroke, marks.colours),
        strokeDash=marks.by_contender(analysis, rows, alt.StrokeDash, marks.dashes),
    )
    dots = chart.mark_point(filled=True, size=60, opacity=1).encode(
        fill=marks.by_contender(analysis, rows, alt.Fill, marks.colours),
        shape=marks.by_contender(analysis, rows, alt.Shape, marks.shapes),
        tooltip=marks.tips(rows),
    )
    return marks.spec(alt.layer(lines, dots), 240)
