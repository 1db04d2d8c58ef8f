"""The pictures, as Vega-Lite specifications made with Altair.

Dots with intervals on log axes for what is compared; bars only for what adds up (seconds of
a start, bytes). What they share is in `marks.py`; each other file is one kind of picture.
"""

from typing import Any

from reports.analysis import Analysis
from reports.charts import batches, breakeven, calls, ratios, roof, start
from reports.charts.marks import label
from reports.charts.start import started
from reports.comparison.why import KINDS, bars


def specs(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """Every chart that has data, by the id of its place on the page; each describes itself."""
    made = {
        "ratios": ("Time over the leader's, with intervals", ratios.ratios(analysis)),
        "precisions": ("Time over a contender's own in float32", ratios.precisions(analysis)),
        "calls": ("How much calls differ", calls.calls(analysis)),
        "roofline": ("Rates beneath the machine's roof", roof.roofline(analysis)),
        "roof": ("Share of the machine's measured peak", roof.shares(analysis)),
    }
    for n, found in enumerate(batches.series(analysis)):
        rate, wait = batches.throughput(analysis, found), batches.latency(analysis, found)
        made[f"throughput-{n}"] = (f"Throughput against batch: {found.title}", rate)
        made[f"latency-{n}"] = (f"Latency against batch: {found.title}", wait)
    for n, comparison in enumerate(started(analysis)):
        name = label(comparison)
        seconds, memory = start.start(analysis, comparison), start.memory(analysis, comparison)
        made[f"start-{n}"] = (f"Seconds from nothing to a first result: {name}", seconds)
        made[f"memory-{n}"] = (f"Peak memory: {name}", memory)
    for n, pays in enumerate(analysis.breakeven):
        lines = breakeven.breakeven(analysis, pays)
        of = label(analysis.comparison(pays.comparison))
        made[f"breakeven-{n}"] = (f"Seconds saved against {pays.baseline}: {of}", lines)
    for n, each in enumerate(analysis.profiled):
        spent = start.stacked(bars(each), "ms", "milliseconds of a call", KINDS)
        of = label(analysis.comparison(each.comparison))
        made[f"profiled-{n}"] = (f"Where the time goes: {of}", spent)
    return {
        place: {**spec, "description": f"{title} ({analysis.run})"}
        for place, (title, spec) in made.items()
        if spec
    }
