"""The pictures, as Vega-Lite specifications made with Altair.

Dots with intervals on log axes for what is compared; bars only for what adds up (seconds of
a start, bytes). What they share is in `marks.py`; each other file is one kind of picture.
"""

from typing import Any

from reports.analysis import Analysis
from reports.charts import breakeven, calls, ratios, roof, scaling, start
from reports.charts.marks import label
from reports.charts.start import started
from reports.comparison.why import KINDS, bars


def specs(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """Every chart that has data, by the id of its place on the page; each describes itself."""
    made = {
        "ratios": ("Time over the leader's, with intervals", ratios.ratios(analysis)),
        "precisions": (
            "Time over a contender's own in float32",
            ratios.effects(analysis, analysis.precisions),
        ),
        "scaling": (
            "Time over a contender's own on the fewest threads",
            ratios.effects(analysis, analysis.scaling),
        ),
        "calls": ("How much calls differ", calls.calls(analysis)),
        "roofline": ("Rates beneath the machine's roof", roof.roofline(analysis)),
        "roof": ("Share of the machine's measured peak", roof.shares(analysis)),
    }
    for along in ("batch", "threads"):
        for n, found in enumerate(scaling.series(analysis, along)):
            rate, wait = scaling.throughput(analysis, found), scaling.latency(analysis, found)
            place, against = f"{along}-{n}", f"against {along}: {found.title}"
            made[f"throughput-{place}"] = (f"Throughput {against}", rate)
            made[f"latency-{place}"] = (f"Latency {against}", wait)
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
