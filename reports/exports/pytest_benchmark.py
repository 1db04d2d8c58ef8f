"""pytest-benchmark's own JSON, so that `pytest-benchmark compare` opens a run.

A launch is one of its rounds: launches are the replicates here, so its StdDev is the spread
between launches, the only one that tells how sure a mean is. What failed is not there, as
pytest-benchmark has it too. A comparison is a group; `--group-by=fullname` lays runs side
by side.
"""

import json
import statistics as plain
from typing import Any

from harness.stats import readings
from reports.analysis import Analysis, Cell, Comparison

FORMAT = "5.3.1"  # the release whose files these are like


def text(analysis: Analysis) -> str:
    """The file: machine, and a benchmark for every cell with figures."""
    machine = analysis.machine
    document = {
        "machine_info": {
            "node": "",
            "processor": machine.get("cpu"),
            "system": machine.get("os"),
            "release": machine.get("kernel"),
            "python_version": machine.get("python"),
            "cpu": {"brand_raw": machine.get("cpu"), "count": machine.get("cores_logical")},
            "gpu": machine.get("gpu") or [],
        },
        "commit_info": {"id": None, "dirty": None, "project": "bakeoff", "branch": None},
        "benchmarks": [
            _benchmark(analysis, comparison, cell)
            for comparison in analysis.comparisons
            for cell in comparison.cells
            if cell.status == "ok" and cell.launch_seconds
        ],
        "datetime": analysis.created,
        "version": FORMAT,
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _benchmark(analysis: Analysis, comparison: Comparison, cell: Cell) -> dict[str, Any]:
    return {
        "group": comparison.id,
        "name": cell.contender,
        "fullname": f"{comparison.id}[{cell.contender}]",
        "params": {"contender": cell.contender, "comparison": comparison.id},
        "param": f"{cell.contender}-{comparison.id}",
        "extra_info": {
            "run": analysis.run,
            "ranked_by": comparison.by,
            "winner": cell.contender == comparison.winner,
            "p99": (cell.latency or {}).get("p99"),
        },
        "options": {"disable_gc": True, "timer": "perf_counter_ns", "warmup": True},
        "stats": _stats(cell.launch_seconds),
    }


def _stats(seconds: list[float]) -> dict[str, Any]:
    q1, median, q3 = readings.quantiles(seconds, 0.25, 0.5, 0.75)
    mean, iqr = plain.fmean(seconds), q3 - q1
    spread = plain.stdev(seconds) if len(seconds) > 1 else 0.0
    low, high = q1 - 1.5 * iqr, q3 + 1.5 * iqr
    beyond = sum(abs(value - mean) > spread for value in seconds)
    outliers = sum(not low <= value <= high for value in seconds)
    return {
        "min": min(seconds),
        "max": max(seconds),
        "mean": mean,
        "stddev": spread,
        "rounds": len(seconds),
        "median": median,
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": outliers,
        "stddev_outliers": beyond,
        "outliers": f"{beyond};{outliers}",
        "ld15iqr": min(value for value in seconds if value >= low),
        "hd15iqr": max(value for value in seconds if value <= high),
        "ops": 1 / mean,
        "total": sum(seconds),
        "data": seconds,
        "iterations": 1,
    }
