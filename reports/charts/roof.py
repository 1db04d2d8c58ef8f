"""The machine's measured roof, and how near to it each contender comes."""

from typing import Any

from reports.analysis import Analysis
from reports.charts import marks

SHARE_TICKS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


def shares(analysis: Analysis) -> dict[str, Any] | None:
    """What share of the machine's measured roof each contender reaches."""
    rows: list[dict[str, Any]] = [
        {
            "comparison": marks.label(comparison),
            "contender": cell.contender,
            "share": cell.share_of_peak,
        }
        for comparison in analysis.comparisons
        for cell in analysis.cells(comparison)
        if cell.share_of_peak and cell.status == "ok"
    ]
    if not rows:
        return None
    import altair as alt

    axis = marks.log_axis((SHARE_TICKS,), "format(100 * datum.value, '~g') + '%'")

    def x(field: str) -> Any:
        return alt.X(f"{field}:Q", title="share of the roof (log)", **axis)

    dots = (
        marks.dots(analysis, rows)
        .mark_point(filled=True, size=55, opacity=1)
        .encode(
            x=x("share"),
            fill=marks.by_contender(analysis, rows, alt.Fill, marks.colours),
            shape=marks.by_contender(analysis, rows, alt.Shape, marks.shapes),
            tooltip=marks.tips(rows),
        )
    )
    return marks.spec(alt.layer(marks.line_at(1.0, x), dots), marks.height(rows), rows)


def points(analysis: Analysis) -> list[dict[str, Any]]:
    """What stands beneath the roof, from left to right: who reaches what rate in which workload.

    Bytes are the least that must move; what computes nothing (a ReLU counts no operation) has
    no place there, nor has another precision than the roof's.
    """
    found = [
        {
            "comparison": marks.label(comparison),
            "contender": cell.contender,
            "operations per byte": comparison.cost["flops"] / comparison.cost["bytes"],
            "Gflop/s": comparison.cost["flops"] / cell.seconds / 1e9,
        }
        for comparison in analysis.comparisons
        for cell in analysis.cells(comparison)
        if comparison.cost["flops"] and cell.share_of_peak and cell.seconds and cell.status == "ok"
    ]
    return sorted(found, key=lambda point: point["operations per byte"])


def roofline(analysis: Analysis) -> dict[str, Any] | None:
    """Operations per byte against operations a second, beneath the machine's measured roof.

    Left of the ridge memory is the limit, right of it arithmetic (Williams, Waterman and
    Patterson, "Roofline", Communications of the ACM 52(4), 2009).
    """
    rows = points(analysis)
    if not analysis.roof or not rows:
        return None
    peak, through = (analysis.roof[key] / 1e9 for key in ("flops_per_s", "bytes_per_s"))
    import altair as alt

    at, rates = ([row[key] for row in rows] for key in ("operations per byte", "Gflop/s"))
    ridge = peak / through
    ends = [min(*at, ridge) / 2, max(*at, ridge) * 2]
    tall = [min(rates) / 1.5, max(*rates, peak) * 1.5]
    lines = [
        {"operations per byte": o, "Gflop/s": min(peak, o * through)}
        for o in (ends[0], ridge, ends[1])
    ]
    x = alt.X(
        "operations per byte:Q",
        title="operations per byte (log)",
        scale=alt.Scale(type="log", domain=ends, nice=False),
        axis=alt.Axis(values=_decades(ends), format="~g", labelOverlap="greedy"),
    )
    y = alt.Y(
        "Gflop/s:Q",
        title="Gflop/s (log)",
        scale=alt.Scale(type="log", domain=tall, nice=False),
        axis=alt.Axis(values=_decades(tall), format="~g", labelOverlap="greedy"),
    )
    above = alt.Chart(marks.data(lines)).mark_line(clip=True, strokeWidth=2, color="#888888")
    dots = (
        alt.Chart(marks.data(rows))
        .mark_point(filled=True, size=55, opacity=1, clip=True)
        .encode(
            x=x,
            y=y,
            fill=marks.by_contender(analysis, rows, alt.Fill, marks.colours),
            shape=marks.by_contender(analysis, rows, alt.Shape, marks.shapes),
            tooltip=marks.tips(rows),
        )
    )
    return marks.spec(alt.layer(above.encode(x=x, y=y), dots), 340)


def _decades(ends: list[float]) -> list[float]:
    """1, 2 and 5 of every power of ten between."""
    steps = [m * 10.0**k for k in range(-6, 8) for m in (1, 2, 5)]
    return [step for step in steps if ends[0] <= step <= ends[1]]
