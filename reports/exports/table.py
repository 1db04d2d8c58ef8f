"""CSV: one row a cell, for a spreadsheet.

A spreadsheet runs text that begins with = + - or @ as a formula; such text gets an
apostrophe before it, which makes it text again.
"""

import csv
import io
from typing import Any

from reports.analysis import Analysis, Cell, Comparison
from reports.pages.template import visible

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def text(analysis: Analysis) -> str:
    """The table, headings first."""
    found = rows(analysis)
    output = io.StringIO()
    writer = csv.DictWriter(output, list(found[0]) if found else ["run"], lineterminator="\n")
    writer.writeheader()
    for row in found:
        writer.writerow({key: _plain(value) for key, value in row.items()})
    return output.getvalue()


def rows(analysis: Analysis) -> list[dict[str, Any]]:
    """A row for every contender in every comparison. Times in seconds, memory in bytes."""
    versions = {c["name"]: c["version"] for c in analysis.contenders}
    return [
        _row(analysis.run, comparison, cell, versions.get(cell.contender))
        for comparison in analysis.comparisons
        for cell in comparison.cells
    ]


def _row(run: str, comparison: Comparison, cell: Cell, version: str | None) -> dict[str, Any]:
    pair = comparison.ratio(cell.contender, comparison.leader or "")
    latency, memory = cell.latency or {}, cell.memory or {}
    oracle = cell.oracle or {}
    told = ("workload", "size", "batch", "direction", "precision", "threads", "device", "by")
    return {
        "run": run,
        "comparison": comparison.id,
        **{key: getattr(comparison, key) for key in told},
        "contender": cell.contender,
        "version": version,
        "status": cell.status,
        "reason": cell.reason,
        "winner": cell.contender == comparison.winner,
        "seconds": cell.seconds,
        **{key: latency.get(key) for key in ("p25", "p50", "mean", "p99")},
        "items_per_second": cell.throughput,
        "joules_per_item": cell.energy,
        "times_the_best": cell.relative,
        "leader": comparison.leader,
        "ratio_to_leader": pair.ratio if pair else None,
        "low": pair.low if pair else None,
        "high": pair.high if pair else None,
        "confidence": pair.confidence if pair else None,
        "p": pair.p if pair else None,
        "p_adjusted": pair.p_adjusted if pair else None,
        "verdict": pair.verdict if pair else None,
        "launches": cell.launches,
        "share_of_peak": cell.share_of_peak,
        "first_result_cold": (cell.cold or {}).get("total"),
        "first_result_warm": (cell.warm or {}).get("total"),
        "peak_rss_bytes": memory.get("peak_rss_bytes"),
        "device_bytes": memory.get("allocated"),
        "oracle_error": oracle.get("error"),
        "oracle_gate": oracle.get("gate"),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        value = visible(value)
        return f"'{value}" if value.startswith(FORMULA) else value
    return value
