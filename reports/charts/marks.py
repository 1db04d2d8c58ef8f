"""What the charts share: a contender's colour and shape, log axes, rows of dots, the frame.

A framework has one colour everywhere, chosen so that the colour-blind tell them apart and
each stands out from a light page and a dark one; its variants differ by shape, and so does
its own idiomatic model. Keys are the page's own (they wrap on a phone), and so are the colours
of text and grid, which follow its theme.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from reports.analysis import Comparison, short

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
TALL = 500  # pixels: of a chart whose axis is out of sight where it begins
LABEL = 40  # pixels: of a tick's label, with room
SHAPES = (
    "circle", "diamond", "square", "triangle-up", "cross",
    "triangle-down", "triangle-left", "triangle-right", "arrow", "wedge",
)  # fmt: skip
DASHES = ([1, 0], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4], [12, 3], [1, 2], [9, 2, 2, 2, 2, 2],
          [14, 2], [5, 2, 1, 2])  # fmt: skip
# Ticks of an axis about 1, from a narrow one to one of decades.
LOW_TICKS, FAR_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2), (5, 10, 20, 50, 100, 200, 500, 1000)
RUNGS = (
    (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.98, 1, 1.02, 1.04, 1.06, 1.08, 1.1, 1.15,
     1.2, 1.3, 1.5, 2),
    (*LOW_TICKS, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5,
     2, 3, 4, *FAR_TICKS),
    (*LOW_TICKS, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 2, 3, 4, *FAR_TICKS),
    (*LOW_TICKS, 0.3, 0.5, 0.6, 0.8, 1, 1.2, 1.5, 2, 3, 4, *FAR_TICKS),
    (*LOW_TICKS, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, *FAR_TICKS),
    (*LOW_TICKS, 0.5, 1, 2, 4, *FAR_TICKS),
    (0.01, 0.1, 1, 10, 100, 1000),
)  # fmt: skip
# A comparison's name on one line, its batch and direction on the next; a long name is broken
# at its last underscore that a line has room for.
ROOM = 20  # characters
NAME = f"slice(datum.label, 0, min({ROOM}, indexof(datum.label, ' ')))"
BREAK = (
    f"(indexof(datum.label, ' ') > {ROOM} && indexof({NAME}, '_') > 0"
    f" ? lastindexof({NAME}, '_') : indexof(datum.label, ' '))"
)
TWO_LINES = f"[slice(datum.label, 0, {BREAK}), trim(slice(datum.label, {BREAK}))]"


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
    for name, colour in colours(analysis).items():  # more frameworks than colours share them
        number = seen.get(colour, 0)
        seen[colour] = number + 1
        found[name] = SHAPES[number % len(SHAPES)]
    return found


def dashes(analysis: Contested) -> dict[str, list[int]]:
    """Contender -> what its lines are made of: the first variant's is whole."""
    return {name: DASHES[SHAPES.index(shape)] for name, shape in shapes(analysis).items()}


def label(comparison: Comparison) -> str:
    """resnet18@112 b4 train"""
    return short(comparison.id)


def data(rows: list[dict[str, Any]]) -> Any:
    """Rows that Altair hands on as they are: numbers and words of our own making.

    It would ask of every value whether it is a piece of a chart, and copy and compare all of
    them with each change of the chart: most of what a large page takes. A name does for that.
    """
    import altair as alt

    class Rows(alt.Data):
        def to_dict(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"values": rows}

        def __deepcopy__(self, _: Any) -> "Rows":
            return self

    return Rows(name=f"rows {id(rows)}")


def dots(analysis: Contested, rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    inside = alt.Scale(type="point", padding=1)
    return alt.Chart(data(rows)).encode(
        y=_by_comparison(),
        yOffset=alt.YOffset("contender:N", sort=present(analysis, rows), scale=inside),
    )


def bands(rows: list[dict[str, Any]], x: Any, x2: str) -> Any:
    """Behind the dots of a comparison, as high as all of them together."""
    import altair as alt

    whole = alt.ExprRef("bandwidth('y')")
    chart = alt.Chart(data(rows)).mark_rect(opacity=0.25, color="#888888", height=whole)
    return chart.encode(x=x, x2=x2, y=_by_comparison())


def _by_comparison() -> Any:
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
    return alt.Y("comparison:N", title=None, sort=None, axis=lines, scale=band)


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


def log_axis(rungs: Sequence[tuple[float, ...]], text: str) -> dict[str, Any]:
    """A log axis about 1 that reaches as far as what is shown: who shows fewer sees more of them.

    rungs: sets of ticks, the finest first. The first in which the neighbours of 1 leave room
    for its label is taken: 1 is what all others are read from.
    """
    import altair as alt

    near = [min(abs(math.log(tick)) for tick in rung if tick != 1) for rung in rungs]
    found = str(list(rungs[-1]))
    for rung, least in zip(rungs[-2::-1], near[-2::-1], strict=True):
        needed = f"{LABEL} * log(domain('x')[1] / domain('x')[0])"
        found = f"{least:.4f} * width > {needed} ? {list(rung)} : {found}"
    return {
        "scale": alt.Scale(type="log", nice=False, padding=6),
        "axis": alt.Axis(
            values=alt.ExprRef(found), labelExpr=text, labelOverlap="greedy", labelSeparation=6
        ),
    }


def line_at(value: float, x: Any, **drawn: Any) -> Any:
    """A line across all rows. It is on the axis whatever else is shown."""
    import altair as alt

    return alt.Chart(data([{"at": value}])).mark_rule(**drawn).encode(x=x("at"))


def tips(rows: list[dict[str, Any]]) -> list[Any]:
    import altair as alt

    formats = dict.fromkeys(("ratio", "low", "high", "seconds"), ".3f")
    formats |= {"MB": ".0f", "share": ".1%", "seconds saved": ".3~s"}
    formats |= dict.fromkeys(("calls", "from", "to"), ",.0f")
    formats |= dict.fromkeys(("operations per byte", "Gflop/s"), ".3~r")
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
    if isinstance(height, dict):
        pixels = height["step"] * len({row[height["of"]] for row in rows or []})
    else:
        pixels = height
    made = chart.properties(width="container", height=pixels).to_dict(validate=False)
    # Once for all layers that show them: a large page has thousands of rows.
    for layer in made.get("layer", []) if rows else []:
        if layer.get("data") == {"values": rows}:
            made["data"] = layer.pop("data")
    if stepped:
        made["usermeta"] = stepped  # the page draws it shorter where it shows fewer
        if pixels > TALL:
            _axis_on_top(made)
    made["autosize"] = {"type": "fit-x", "contains": "padding"}
    made["background"] = "transparent"
    made.pop("config", None)
    return made


def _axis_on_top(made: dict[str, Any]) -> None:
    """The same axis at both ends of a layered chart: the lower with its title and grid. Of a chart
    of one layer the axis goes to the top."""
    layers = made.get("layer", [made])
    first, *others = (part["encoding"]["x"] for part in layers if "x" in part["encoding"])
    if not others:
        first["axis"] = {**(first.get("axis") or {}), "orient": "top"}
        return
    second, *rest = others
    second["axis"] = {**first["axis"], "orient": "top", "grid": False, "title": None}
    for each in rest:
        each["axis"] = None
    made["resolve"] = {"axis": {"x": "independent"}}
