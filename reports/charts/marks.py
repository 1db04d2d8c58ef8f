"""What the charts share: a contender's colour and shape, log axes, rows of dots, the frame.

A framework has one colour everywhere, chosen so that the colour-blind tell them apart and
each stands out from a light page and a dark one; its variants differ by shape, and so does
its own idiomatic model. Keys are the page's own (they wrap on a phone), and so are the colours
of text and grid, which follow its theme.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from reports.analysis import Analysis, Cell, Comparison

FIXED = {
    "torch": "#D55E00",
    "tensorflow": "#B0529E",
    "jax": "#0E7AC4",
    "numpy": "#00936B",
    "c": "#CC2255",
    "keras": "#669622",
    "onnxruntime": "#6688FF",
    "openvino": "#7F49F2",
}
SPARE = ("#AA5533", "#4098C8", "#F84868", "#E048F8")  # for those without one of their own
NATIVE = {"torch_nn": "torch", "flax": "jax"}  # a framework's own model -> the framework
REST = "#858B93"  # grey is nobody's: what is left of a bar, once its parts are named
PITCH, GAP = 11, 14  # pixels: of a dot's row, and between groups
SHAPES = (
    "circle", "diamond", "square", "triangle-up", "cross",
    "triangle-down", "triangle-left", "triangle-right",
)  # fmt: skip
DASHES = ([1, 0], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4], [12, 3], [1, 2], [9, 2, 2, 2, 2, 2])
# A comparison's name on one line, its batch and direction on the next.
TWO_LINES = (
    "[slice(datum.label, 0, indexof(datum.label, ' ')),"
    " slice(datum.label, indexof(datum.label, ' ') + 1)]"
)


class Contested(Protocol):
    """Anything with contenders, each with its name and adapter: what has marks of its own."""

    @property
    def contenders(self) -> list[dict[str, Any]]: ...


def framework(contender: Mapping[str, Any]) -> str:
    """Whose colour a contender has: its adapter's, or that of the framework it is native to."""
    return NATIVE.get(contender["adapter"], contender["adapter"])


def colours(analysis: Contested) -> dict[str, str]:
    """Contender -> its framework's colour."""
    spare = iter(SPARE * len(analysis.contenders))
    known = dict(FIXED)
    for contender in analysis.contenders:
        if framework(contender) not in known:
            known[framework(contender)] = next(spare)
    return {c["name"]: known[framework(c)] for c in analysis.contenders}


def shapes(analysis: Contested) -> dict[str, str]:
    """Contender -> a shape that tells those of one colour apart."""
    seen: dict[str, int] = {}
    found = {}
    for contender in analysis.contenders:
        number = seen.get(framework(contender), 0)
        seen[framework(contender)] = number + 1
        found[contender["name"]] = SHAPES[number % len(SHAPES)]
    return found


def dashes(analysis: Contested) -> dict[str, list[int]]:
    """Contender -> what its lines are made of: the first variant's is whole."""
    return {name: DASHES[SHAPES.index(shape)] for name, shape in shapes(analysis).items()}


def label(comparison: Comparison) -> str:
    """resnet18@112 b4 train"""
    size = f"@{comparison.size}" if comparison.size else ""
    text = f"{comparison.workload}{size} b{comparison.batch} {comparison.direction}"
    return text if comparison.precision == "float32" else f"{text} {comparison.precision}"


def shown(analysis: Analysis, comparison: Comparison) -> list[Cell]:
    """The cells that a picture shows: the noise floor's twin is no contender."""
    twins = {c["name"] for c in analysis.contenders if c["twin"]}
    return [cell for cell in comparison.cells if cell.contender not in twins]


def dots(analysis: Contested, rows: list[dict[str, Any]]) -> Any:
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
        yOffset=alt.YOffset("contender:N", sort=present(analysis, rows), scale=inside),
    )


def height(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Pixels of a comparison: a row a contender, never less than two lines of text.

    A step, so that the chart shrinks where a reader shows fewer of them.
    """
    inside = max(3, len({row["contender"] for row in rows}))
    return {"step": inside * PITCH + GAP, "of": "comparison"}


def present(analysis: Contested, rows: Iterable[dict[str, Any]]) -> list[str]:
    there = {row["contender"] for row in rows}
    return [c["name"] for c in analysis.contenders if c["name"] in there]


def by_contender(
    analysis: Contested,
    rows: list[dict[str, Any]],
    channel: Any,
    table: Callable[[Contested], Mapping[str, Any]],
) -> Any:
    """A channel that says which contender it is; the page has the key."""
    import altair as alt

    names, values = present(analysis, rows), table(analysis)
    scale = alt.Scale(domain=names, range=[values[name] for name in names])
    return channel("contender:N", scale=scale, legend=None)


def log_axis(ends: tuple[float, float], ticks: Iterable[float], text: str) -> dict[str, Any]:
    import altair as alt

    low, high = ends[0] / 1.03, ends[1] * 1.03
    inside = [tick for tick in ticks if low <= tick <= high]
    return {
        "scale": alt.Scale(type="log", domain=[low, high], nice=False),
        "axis": alt.Axis(values=inside, labelExpr=text, labelOverlap="greedy", labelSeparation=6),
    }


def tips(rows: list[dict[str, Any]]) -> list[Any]:
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


def spec(
    chart: Any, height: int | dict[str, Any], rows: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A chart as wide as its place. height: in pixels; or a `step` for each of `rows`' `of`.

    Altair would hold every row of data against the schema of Vega-Lite, seconds of a large
    page; a test does that for all charts.
    """
    stepped = height if isinstance(height, dict) else None
    if stepped:
        height = stepped["step"] * len({row[stepped["of"]] for row in rows or []})
    made = chart.properties(width="container", height=height).to_dict(validate=False)
    if stepped:
        made["usermeta"] = stepped  # the page draws it shorter where it shows fewer
    made["autosize"] = {"type": "fit-x", "contains": "padding"}
    made["background"] = "transparent"
    made.pop("config", None)
    return made
