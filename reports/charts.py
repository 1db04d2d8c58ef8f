"""The pictures, as Vega-Lite specifications made with Altair.

Dots with intervals on log axes for ratios; bars only for what adds up (seconds of a
start, bytes). A framework has one colour everywhere (Okabe and Ito's palette, which the
colour-blind tell apart); its variants differ by shape. Colours of text and grid belong to
the page's theme and are set there.
"""

from collections.abc import Iterable
from typing import Any

from reports.verdicts import Analysis, Comparison

FIXED = {
    "torch": "#D55E00",
    "tensorflow": "#E69F00",
    "jax": "#0072B2",
    "numpy": "#009E73",
    "keras": "#CC79A7",
    "onnxruntime": "#56B4E9",
}
SPARE = ("#CC79A7", "#56B4E9", "#8C6D31", "#7F7F7F")
SHAPES = ("circle", "diamond", "square", "triangle-up", "cross")
PHASES = {"import": "#8DA0CB", "load": "#66C2A5", "first_call": "#FC8D62", "process": "#B3B3B3"}
STEP = 13


def colours(analysis: Analysis) -> dict[str, str]:
    """Contender -> its framework's colour."""
    spare = iter(SPARE * 10)
    by_adapter: dict[str, str] = {}
    for contender in analysis.contenders:
        adapter = contender["adapter"]
        if adapter not in by_adapter:
            by_adapter[adapter] = FIXED.get(adapter) or next(spare)
    return {c["name"]: by_adapter[c["adapter"]] for c in analysis.contenders}


def shapes(analysis: Analysis) -> dict[str, str]:
    """Contender -> a shape that tells the variants of one framework apart."""
    seen: dict[str, int] = {}
    found = {}
    for contender in analysis.contenders:
        number = seen.get(contender["adapter"], 0)
        seen[contender["adapter"]] = number + 1
        found[contender["name"]] = SHAPES[number % len(SHAPES)]
    return found


def label(comparison: Comparison) -> str:
    """resnet18@112 b4 train"""
    size = f"@{comparison.size}" if comparison.size else ""
    text = f"{comparison.workload}{size} b{comparison.batch} {comparison.direction}"
    return text if comparison.precision == "float32" else f"{text} {comparison.precision}"


def specs(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """Every chart that has data, by the id of its place on the page."""
    made = {"ratios": ratios(analysis), "roof": roof(analysis)}
    for number, comparison in enumerate(_started(analysis)):
        made[f"start-{number}"] = start(comparison)
        made[f"memory-{number}"] = memory(comparison)
    return {name: spec for name, spec in made.items() if spec is not None}


def _started(analysis: Analysis) -> list[Comparison]:
    """The comparisons of the cold pass."""
    return [c for c in analysis.comparisons if any(cell.cold for cell in c.cells)]


def ratios(analysis: Analysis) -> dict[str, Any] | None:
    """Each contender's time over the leader's, with its 95% interval; the floor as a band."""
    rows = []
    for comparison in analysis.comparisons:
        for cell in comparison.cells:
            pair = comparison.ratio(cell.contender, comparison.leader or "")
            if pair is None:
                continue
            rows.append(
                {
                    "comparison": label(comparison),
                    "contender": cell.contender,
                    "ratio": pair.ratio,
                    "low": pair.low or pair.ratio,
                    "high": pair.high or pair.ratio,
                    "verdict": pair.verdict.replace("_", " "),
                    "leader": comparison.leader,
                    "launches": pair.launches,
                }
            )
    if not rows:
        return None
    import altair as alt

    x = alt.X("ratio:Q", title="time over the leader's (log)", scale=alt.Scale(type="log"))
    tips = ["comparison", "contender", "ratio", "low", "high", "verdict", "leader", "launches"]
    base = _dots(analysis, rows)
    bars = base.mark_rule(strokeWidth=1.5).encode(
        x=alt.X("low:Q", title="time over the leader's (log)", scale=alt.Scale(type="log")),
        x2="high:Q",
        color=_colour(analysis, rows, legend=False),
    )
    dots = base.mark_point(filled=True, size=45, opacity=1).encode(
        x=x, color=_colour(analysis, rows), shape=_shape(analysis, rows), tooltip=_tips(tips)
    )
    one = (
        alt.Chart(alt.Data(values=[{"at": 1.0}]))
        .mark_rule(strokeDash=[3, 3])
        .encode(x=alt.X("at:Q", scale=alt.Scale(type="log")))
    )
    layers = [one, bars, dots]
    if analysis.noise_floor:
        width = 1 + analysis.noise_floor["percent"] / 100
        band = alt.Chart(alt.Data(values=[{"from": 1 / width, "to": width}]))
        layers.insert(
            0,
            band.mark_rect(opacity=0.15, color="#888888").encode(
                x=alt.X("from:Q", scale=alt.Scale(type="log")), x2="to:Q"
            ),
        )
    return _spec(alt.layer(*layers))


def roof(analysis: Analysis) -> dict[str, Any] | None:
    """What share of the machine's measured roof each contender reaches."""
    rows = [
        {
            "comparison": label(comparison),
            "contender": cell.contender,
            "share": cell.share_of_peak,
        }
        for comparison in analysis.comparisons
        for cell in comparison.cells
        if cell.share_of_peak and cell.relative
    ]
    if not rows:
        return None
    import altair as alt

    axis = alt.Axis(format="%")
    x = alt.X("share:Q", title="share of the roof (log)", scale=alt.Scale(type="log"), axis=axis)
    dots = (
        _dots(analysis, rows)
        .mark_point(filled=True, size=45, opacity=1)
        .encode(
            x=x,
            color=_colour(analysis, rows),
            shape=_shape(analysis, rows),
            tooltip=_tips(["comparison", "contender", "share"]),
        )
    )
    return _spec(dots)


def start(comparison: Comparison) -> dict[str, Any] | None:
    """Seconds from nothing to a first result: what they went into, cold and warm."""
    rows = []
    for cell in comparison.cells:
        for cache, seconds in (("cold", cell.cold), ("warm", cell.warm)):
            if not seconds:
                continue
            parts = {phase: seconds.get(phase, 0.0) for phase in ("import", "load", "first_call")}
            parts["process"] = max(0.0, seconds.get("total", 0.0) - sum(parts.values()))
            for order, (phase, value) in enumerate(parts.items()):
                rows.append(
                    {
                        "contender": cell.contender,
                        "cache": f"{cache} cache",
                        "phase": phase.replace("_", " "),
                        "seconds": value,
                        "order": order,
                    }
                )
    names = [phase.replace("_", " ") for phase in PHASES]
    return _stacked(rows, "seconds", "seconds to the first result", names, "cache")


def memory(comparison: Comparison) -> dict[str, Any] | None:
    """Megabytes: after import, and the peak of one call above it."""
    rows = []
    for cell in comparison.cells:
        peak = (cell.memory or {}).get("peak_rss_bytes")
        imported = (cell.memory or {}).get("import_rss_bytes")
        if not peak or not imported:
            continue
        parts = (("import", imported), ("the call", max(0, peak - imported)))
        for order, (phase, value) in enumerate(parts):
            rows.append(
                {
                    "contender": cell.contender,
                    "phase": phase,
                    "MB": value / 1e6,
                    "order": order,
                }
            )
    return _stacked(rows, "MB", "megabytes, peak resident", ["import", "the call"], None)


def _stacked(
    rows: list[dict[str, Any]], value: str, title: str, phases: list[str], offset: str | None
) -> dict[str, Any] | None:
    if not rows:
        return None
    import altair as alt

    colours = dict(zip(phases, ("#8DA0CB", "#66C2A5", "#FC8D62", "#B3B3B3"), strict=False))
    if len(phases) == 2:
        colours = dict(zip(phases, ("#8DA0CB", "#FC8D62"), strict=True))
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=alt.X(f"{value}:Q", title=title, stack="zero"),
            y=alt.Y("contender:N", title=None, sort=None),
            color=alt.Color("phase:N", title=None, scale=scale, legend=_legend()),
            order=alt.Order("order:Q"),
            tooltip=_tips([name for name in rows[0] if name != "order"]),
        )
    )
    if offset:
        chart = chart.encode(
            yOffset=alt.YOffset(f"{offset}:N"),
            opacity=alt.Opacity(
                f"{offset}:O",
                scale=alt.Scale(domain=["cold cache", "warm cache"], range=[1.0, 0.5]),
                title=None,
                legend=_legend(),
            ),
        )
    return _spec(chart.properties(height=alt.Step(STEP if offset else 22)))


# --- what the dot charts share ------------------------------------------------------------------


def _dots(analysis: Analysis, rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    return (
        alt.Chart(alt.Data(values=rows))
        .encode(
            y=alt.Y("comparison:N", title=None, sort=None, axis=alt.Axis(labelLimit=210)),
            yOffset=alt.YOffset("contender:N", sort=_present(analysis, rows)),
        )
        .properties(height=alt.Step(STEP))
    )


def _present(analysis: Analysis, rows: Iterable[dict[str, Any]]) -> list[str]:
    there = {row["contender"] for row in rows}
    return [c["name"] for c in analysis.contenders if c["name"] in there]


def _colour(analysis: Analysis, rows: list[dict[str, Any]], legend: bool = True) -> Any:
    import altair as alt

    names, table = _present(analysis, rows), colours(analysis)
    scale = alt.Scale(domain=names, range=[table[name] for name in names])
    shown = _legend() if legend else None
    return alt.Color("contender:N", title=None, scale=scale, legend=shown)


def _shape(analysis: Analysis, rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    names, table = _present(analysis, rows), shapes(analysis)
    scale = alt.Scale(domain=names, range=[table[name] for name in names])
    return alt.Shape("contender:N", title=None, scale=scale, legend=_legend())


def _legend() -> Any:
    import altair as alt

    return alt.Legend(orient="top", columns=4, symbolLimit=40, labelLimit=160)


def _tips(names: list[str]) -> list[Any]:
    import altair as alt

    numbers = {"ratio", "low", "high", "seconds", "MB"}
    return [
        alt.Tooltip(f"{n}:Q", format=".3f")
        if n in numbers
        else alt.Tooltip(f"{n}:Q", format=".1%")
        if n == "share"
        else alt.Tooltip(f"{n}:N")
        for n in names
    ]


def _spec(chart: Any) -> dict[str, Any]:
    made = chart.properties(width="container").to_dict()
    made["autosize"] = {"type": "fit-x", "contains": "padding"}
    made["background"] = "transparent"
    made.pop("config", None)
    return made
