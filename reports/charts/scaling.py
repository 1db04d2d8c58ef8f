"""Throughput and latency against batch size, or threads, where a run has a workload at several."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from reports.analysis import Analysis, Comparison
from reports.charts import marks


@dataclass(frozen=True)
class Series:
    """One workload at several batches, or on several threads, all else the same."""

    along: str  # "batch" or "threads"
    title: str
    comparisons: list[Comparison]  # from few to many


def series(analysis: Analysis, along: str) -> list[Series]:
    """Every workload that was measured at two batches or more; or on threads."""
    other = "threads" if along == "batch" else "batch"
    found: dict[tuple[Any, ...], list[Comparison]] = defaultdict(list)
    for c in analysis.comparisons:
        same = c.workload, c.size, c.direction, c.precision, c.device, getattr(c, other)
        found[same].append(c)
    made = []
    for each in found.values():
        if len({getattr(c, along) for c in each} - {None}) > 1:
            each.sort(key=lambda c: getattr(c, along))
            varies = f"b{each[0].batch}" if along == "batch" else f"{each[0].threads}t"
            words = [word for word in marks.label(each[0]).split() if word != varies]
            made.append(Series(along, " ".join(words), each))
    return made


def throughput(analysis: Analysis, found: Series) -> dict[str, Any] | None:
    """Items a second: what a machine can do once it has enough to do, or to do it with."""
    return _lines(analysis, found, "items/s", lambda cell: cell.throughput)


def latency(analysis: Analysis, found: Series) -> dict[str, Any] | None:
    """Milliseconds of a call (p50): what somebody waits for."""

    def value(cell: Any) -> float | None:
        return 1000 * cell.latency["p50"] if cell.latency and cell.latency["p50"] else None

    return _lines(analysis, found, "ms a call", value)


def _lines(analysis: Analysis, found: Series, what: str, value: Any) -> dict[str, Any] | None:
    along = found.along
    rows = [
        {
            "contender": cell.contender,
            along: getattr(c, along),
            what: seen,
            "comparison": marks.label(c),
        }
        for c in found.comparisons
        for cell in analysis.cells(c)
        if cell.status == "ok" and (seen := value(cell))
    ]
    if not rows:
        return None
    import altair as alt

    steps = sorted({row[along] for row in rows})
    reach = alt.Scale(type="log", nice=False, padding=16)  # as far as what is shown
    x = alt.X(
        f"{along}:Q",
        title=f"{along} (log)",
        scale=reach,
        axis=alt.Axis(values=steps, format="d", grid=False),
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
