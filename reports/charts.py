"""The pictures, as Vega-Lite specifications made with Altair.

Dots with intervals on log axes for ratios; bars only for what adds up (seconds of a
start, bytes). A framework has one colour everywhere, chosen so that the colour-blind tell
them apart and each stands out from a light page and a dark one; its variants differ by
shape. Keys are the page's own (they wrap on a phone), and so are the colours of text and
grid, which follow its theme.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from reports.analysis import Analysis, Cell, Comparison
from reports.breakeven import MOST, BreakEven
from reports.why import KINDS, Why, bars

FIXED = {
    "torch": "#D55E00",
    "tensorflow": "#B0529E",
    "jax": "#0E7AC4",
    "numpy": "#00936B",
    "c": "#6C63C7",
    "keras": "#9A7D0A",
    "onnxruntime": "#4FA3B8",
    "openvino": "#7F49F2",
}
SPARE = ("#9A7D0A", "#4FA3B8", "#8A8F98", "#8F5B3E")
SHAPES = ("circle", "diamond", "square", "triangle-up", "cross")
PHASES = {
    "import": "#52789B",
    "load": "#8FB3C9",
    "first call": "#C98A2B",
    "the process itself": "#9AA0A6",
}
MEMORY = {"import": "#9AA0A6", "the call": "#52789B"}
DEVICE_MEMORY = {"allocated": "#52789B", "reserved beyond it": "#9AA0A6"}
POINTS, SYMLOG = 80, 0.3  # of a line of break-even; seconds about which its axis is linear
PITCH, BAR, GAP = 11, 22, 14  # pixels: of a dot's row, of a bar, between groups
RATIO_TICKS = (0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
NEAR_ONE = (0.9, 0.92, 0.94, 0.96, 0.98, 1, 1.02, 1.04, 1.06, 1.08, 1.1)
SHARE_TICKS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
# A comparison's name on one line, its batch and direction on the next.
TWO_LINES = (
    "[slice(datum.label, 0, indexof(datum.label, ' ')),"
    " slice(datum.label, indexof(datum.label, ' ') + 1)]"
)


class Contested(Protocol):
    """Anything with contenders, each with its name and adapter: what has marks of its own."""

    @property
    def contenders(self) -> list[dict[str, Any]]: ...


def colours(analysis: Contested) -> dict[str, str]:
    """Contender -> its framework's colour."""
    spare = iter(SPARE * len(analysis.contenders))
    by_adapter: dict[str, str] = {}
    for contender in analysis.contenders:
        adapter = contender["adapter"]
        if adapter not in by_adapter:
            by_adapter[adapter] = FIXED.get(adapter) or next(spare)
    return {c["name"]: by_adapter[c["adapter"]] for c in analysis.contenders}


def shapes(analysis: Contested) -> dict[str, str]:
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
    for number, comparison in enumerate(started(analysis)):
        made[f"start-{number}"] = start(analysis, comparison)
        made[f"memory-{number}"] = memory(analysis, comparison)
    for number, found in enumerate(analysis.breakeven):
        made[f"breakeven-{number}"] = breakeven(analysis, found)
    made |= {f"profiled-{n}": _profiled(each) for n, each in enumerate(analysis.profiled)}
    return {name: spec for name, spec in made.items() if spec is not None}


def _profiled(found: Why) -> dict[str, Any] | None:
    """Milliseconds of a call, by what they went into."""
    return _stacked(bars(found), "ms", "milliseconds of a call", KINDS, None)


def started(analysis: Analysis) -> list[Comparison]:
    """The comparisons of the cold pass."""
    return [c for c in analysis.comparisons if any(cell.cold for cell in c.cells)]


def shown(analysis: Analysis, comparison: Comparison) -> list[Cell]:
    """The cells that a picture shows: the noise floor's twin is no contender."""
    twins = {c["name"] for c in analysis.contenders if c["twin"]}
    return [cell for cell in comparison.cells if cell.contender not in twins]


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
                    "comparison": label(comparison),
                    "contender": cell.contender,
                    **figures,
                    "leader": leader,
                    "launches": cell.launches,
                }
            )
    floor = analysis.noise_floor["percent"] / 100 if analysis.noise_floor else None
    return intervals(analysis, rows, "time over the leader's (log)", floor)


def intervals(
    contested: Contested, rows: list[dict[str, Any]], title: str, floor: float | None = None
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
    axis = _log_axis((min(low, 0.98), max(high, 1.05)), clear, "format(datum.value, '~g') + 'x'")
    base = _dots(contested, rows)
    lines = base.mark_rule(strokeWidth=1.5, clip=True).encode(
        x=alt.X("low:Q", title=title, **axis),
        x2="high:Q",
        stroke=_by_contender(contested, rows, alt.Stroke, colours),
    )
    dots = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=alt.X("ratio:Q", title=title, **axis),
        fill=_by_contender(contested, rows, alt.Fill, colours),
        shape=_by_contender(contested, rows, alt.Shape, shapes),
        tooltip=_tips(rows),
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
    return _spec(alt.layer(*layers), _height(rows))


def roof(analysis: Analysis) -> dict[str, Any] | None:
    """What share of the machine's measured roof each contender reaches."""
    rows: list[dict[str, Any]] = [
        {"comparison": label(comparison), "contender": cell.contender, "share": cell.share_of_peak}
        for comparison in analysis.comparisons
        for cell in shown(analysis, comparison)
        if cell.share_of_peak and cell.status == "ok"
    ]
    if not rows:
        return None
    import altair as alt

    shares = [row["share"] for row in rows]
    ends = (min(shares) / 1.1, max(1.0, *shares) * 1.1)
    axis = _log_axis(ends, SHARE_TICKS, "format(100 * datum.value, '~g') + '%'")
    dots = (
        _dots(analysis, rows)
        .mark_point(filled=True, size=55, opacity=1)
        .encode(
            x=alt.X("share:Q", title="share of the roof (log)", **axis),
            fill=_by_contender(analysis, rows, alt.Fill, colours),
            shape=_by_contender(analysis, rows, alt.Shape, shapes),
            tooltip=_tips(rows),
        )
    )
    return _spec(dots, _height(rows))


def start(analysis: Analysis, comparison: Comparison) -> dict[str, Any] | None:
    """Seconds from nothing to a first result: what they went into, cold and warm."""
    rows = []
    for cell in shown(analysis, comparison):
        for cache, seconds in (("empty", cell.cold), ("filled", cell.warm)):
            if not seconds:
                continue
            known = [seconds.get(phase, 0.0) for phase in ("import", "load", "first_call")]
            rest = max(0.0, seconds.get("total", 0.0) - sum(known))
            for order, (phase, value) in enumerate(zip(PHASES, [*known, rest], strict=True)):
                row = {"contender": cell.contender, "cache": cache, "phase": phase}
                rows.append({**row, "seconds": value, "order": order})
    return _stacked(rows, "seconds", "seconds to the first result", PHASES, "cache")


def memory(analysis: Analysis, comparison: Comparison) -> dict[str, Any] | None:
    """Megabytes: the device's, where it has its own; else what import took and what the call."""
    on_device = _has_own_memory(comparison)
    keys = ("allocated", "reserved") if on_device else ("import_rss_bytes", "peak_rss_bytes")
    parts = memory_parts(comparison)
    rows = []
    for cell in shown(analysis, comparison):
        inner, outer = ((cell.memory or {}).get(key) for key in keys)
        if not inner:
            continue
        values = (inner, max(0, (outer or 0) - inner))
        for order, (phase, value) in enumerate(zip(parts, values, strict=True)):
            row = {"contender": cell.contender, "phase": phase}
            rows.append({**row, "MB": value / 1e6, "order": order})
    title = "megabytes of the device, peak" if on_device else "megabytes, peak resident"
    return _stacked(rows, "MB", title, parts, None)


def memory_parts(comparison: Comparison) -> dict[str, str]:
    """What the bars of memory are made of -> colour."""
    return DEVICE_MEMORY if _has_own_memory(comparison) else MEMORY


def _has_own_memory(comparison: Comparison) -> bool:
    return any((cell.memory or {}).get("allocated") for cell in comparison.cells)


def _stacked(
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
            x=alt.X(f"{value}:Q", title=title, stack="zero", axis=alt.Axis(tickCount=6)),
            y=alt.Y("contender:N", title=None, sort=None, axis=alt.Axis(labelLimit=130)),
            color=alt.Color("phase:N", scale=scale, legend=None),
            order=alt.Order("order:Q"),
            tooltip=_tips(rows),
        )
    )
    if split:
        pale = alt.Scale(domain=["empty", "filled"], range=[1.0, 0.6])
        chart = chart.encode(
            yOffset=alt.YOffset(f"{split}:O"),
            opacity=alt.Opacity(f"{split}:O", scale=pale, legend=None),
        )
    count = len({row["contender"] for row in rows})
    return _spec(chart, count * (BAR + 6 if split else BAR))


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
    what = "steps" if found.direction == "train" else "calls"
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
        title=f"seconds saved against {base}",
        scale=alt.Scale(type="symlog", domain=[-reach, reach], constant=SYMLOG, nice=False),
        axis=alt.Axis(values=[*(-s for s in size), 0, *size], format="~s"),
    )
    chart = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y)
    stroke = _by_contender(analysis, rows, alt.Stroke, colours)
    fill = _by_contender(analysis, rows, alt.Fill, colours)
    shape = _by_contender(analysis, rows, alt.Shape, shapes)
    tips = _tips([{key: rows[0][key] for key in ("contender", "calls", "seconds saved")}])
    lines = chart.mark_line(clip=True, strokeWidth=2).encode(stroke=stroke)
    marks = (
        chart.transform_filter("datum.marked")
        .mark_point(filled=True, size=60, opacity=1, clip=True)
        .encode(fill=fill, shape=shape, tooltip=tips)
    )
    crossed = [
        {
            "contender": c.early if c.late == base else c.late,
            "calls": c.calls,
            "from": max(1.0, c.low or 1.0),
            "to": min(most, c.high or most),
            "seconds saved": 0,
        }
        for c in paid
    ]
    layers = [lines, marks]
    if crossed:
        there = alt.Chart(alt.Data(values=crossed)).encode(y=y)
        bars = there.mark_rule(strokeWidth=7, opacity=0.45, clip=True).encode(
            x=alt.X("from:Q", title=what), x2="to:Q", stroke=stroke
        )
        dots = there.mark_point(filled=True, size=90, opacity=1, shape="circle").encode(
            x=x, fill=fill, tooltip=_tips([crossed[0]])
        )
        layers += [bars, dots]
    return _spec(alt.layer(*layers), 260)


# --- what the dot charts share ------------------------------------------------------------------


def _dots(analysis: Contested, rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    lines = alt.Axis(
        labelExpr=TWO_LINES,
        labelLimit=140,
        labelOffset=-6,  # half a line up: the two are centred together
        grid=True,
        tickBand="extent",
        ticks=False,
    )
    band = alt.Scale(type="band", padding=0)
    inside = alt.Scale(type="point", padding=1)
    return alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("comparison:N", title=None, sort=None, axis=lines, scale=band),
        yOffset=alt.YOffset("contender:N", sort=_present(analysis, rows), scale=inside),
    )


def _height(rows: list[dict[str, Any]]) -> int:
    """Pixels for a row a contender in every comparison, never less than two lines of text."""
    inside = max(3, len({row["contender"] for row in rows}))
    return len({row["comparison"] for row in rows}) * (inside * PITCH + GAP)


def _present(analysis: Contested, rows: Iterable[dict[str, Any]]) -> list[str]:
    there = {row["contender"] for row in rows}
    return [c["name"] for c in analysis.contenders if c["name"] in there]


def _by_contender(
    analysis: Contested,
    rows: list[dict[str, Any]],
    channel: Any,
    table: Callable[[Contested], dict[str, str]],
) -> Any:
    """A channel that says which contender it is; the page has the key."""
    import altair as alt

    names, values = _present(analysis, rows), table(analysis)
    scale = alt.Scale(domain=names, range=[values[name] for name in names])
    return channel("contender:N", scale=scale, legend=None)


def _log_axis(ends: tuple[float, float], ticks: Iterable[float], text: str) -> dict[str, Any]:
    import altair as alt

    low, high = ends[0] / 1.03, ends[1] * 1.03
    inside = [tick for tick in ticks if low <= tick <= high]
    return {
        "scale": alt.Scale(type="log", domain=[low, high], nice=False),
        "axis": alt.Axis(values=inside, labelExpr=text, labelOverlap="greedy", labelSeparation=6),
    }


def _tips(rows: list[dict[str, Any]]) -> list[Any]:
    import altair as alt

    formats = dict.fromkeys(("ratio", "low", "high", "seconds"), ".3f")
    formats |= {"MB": ".0f", "share": ".1%", "seconds saved": ".3~s"}
    formats |= dict.fromkeys(("calls", "from", "to"), ",.0f")
    return [
        alt.Tooltip(f"{name}:Q", format=formats[name])
        if name in formats
        else alt.Tooltip(f"{name}:N")
        for name in rows[0]
        if name != "order"
    ]


def _spec(chart: Any, height: int) -> dict[str, Any]:
    made = chart.properties(width="container", height=height).to_dict()
    made["autosize"] = {"type": "fit-x", "contains": "padding"}
    made["background"] = "transparent"
    made.pop("config", None)
    return made
