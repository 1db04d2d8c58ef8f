"""PNG and SVG of every chart, on white: for a slide or a wiki. Needs no browser.

On the page a chart takes its key and its colours from around it; alone it brings its own.
"""

import copy
from pathlib import Path
from typing import Any

from harness.errors import Wrong
from reports.analysis import Analysis
from reports.charts import every
from reports.pages import template

WIDTH = 720
CONFIG = {
    "background": "white",
    "font": "DejaVu Sans, Liberation Sans, sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": "#dfe1e5", "domainColor": "#dfe1e5", "labelColor": "#1d2126"},
    "title": {"anchor": "start", "color": "#1d2126"},
    "legend": {"title": None, "orient": "bottom", "columns": 4, "symbolOpacity": 1},
    "rule": {"color": "#5a626c"},
    "text": {"color": "#1d2126"},
    "bar": {"stroke": "white", "strokeWidth": 0.7},
}


def write(analysis: Analysis, folder: Path) -> list[Path]:
    """Writes NAME.svg and NAME.png of every chart of a page; returns where. Raises Wrong."""
    template.lacking(Path("results") / analysis.run)
    import vl_convert

    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, spec in every.specs(analysis).items():
            alone = standalone(spec)
            svg, png = folder / f"{name}.svg", folder / f"{name}.png"
            svg.write_text(vl_convert.vegalite_to_svg(alone), encoding="utf-8")
            png.write_bytes(vl_convert.vegalite_to_png(alone, scale=2))
            written += [svg, png]
    except OSError as error:
        raise Wrong(f"the charts cannot be written to {folder}: {error.strerror}") from None
    return written


def standalone(spec: dict[str, Any]) -> dict[str, Any]:
    """A chart of the page with a width, a title, a key and colours of its own."""
    made = copy.deepcopy(spec)
    made |= {"width": WIDTH, "title": str(template.visible(spec["description"])), "config": CONFIG}
    del made["autosize"], made["background"]
    for layer in made.get("layer", [made]):
        for channel in ("fill", "shape", "stroke", "strokeDash", "color"):
            encoding = layer.get("encoding", {}).get(channel)
            if encoding and encoding.get("legend", "") is None:
                del encoding["legend"]
    return made
