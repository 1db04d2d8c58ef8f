"""What github-action-benchmark reads as `customSmallerIsBetter`: a time a cell.

It draws a line over commits. Seconds of two days are not comparable on a machine that
drifts; `bakeoff compare OLD NEW --fail-on slower` is the surer gate.
"""

import json
import math

import numpy as np

from harness.stats import statistics
from reports.analysis import Analysis
from reports.pages.template import visible


def text(analysis: Analysis) -> str:
    """A list of measurements; `range` is half of the 95% interval over launches."""
    entries = []
    for comparison in analysis.comparisons:
        for cell in analysis.cells(comparison):
            if cell.status != "ok" or not cell.seconds:
                continue
            low, high = statistics.t_interval(np.log(cell.launch_seconds))
            half = 1e3 * cell.seconds * math.expm1(min((high - low) / 2, 20.0))
            entry = {
                "name": visible(f"{comparison.id} {cell.contender}"),
                "unit": "ms",
                "value": 1e3 * cell.seconds,
                "extra": f"{cell.launches} launches, ranked by {comparison.by}",
            }
            entries.append(entry | ({"range": f"± {half:.3g}"} if math.isfinite(high) else {}))
    return json.dumps(entries, indent=1, allow_nan=False) + "\n"
