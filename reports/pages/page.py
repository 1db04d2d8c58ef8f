"""One self-contained HTML page: every figure of a run, offline, verdicts first."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.record.records import Run
from reports.analysis import Analysis, Cell, Comparison
from reports.charts import every, marks, roof, scaling, start
from reports.choice import breakeven, overall, sentences
from reports.choice.objectives import MEASURES
from reports.choice.profiles import Profile
from reports.choice.recommend import Recommendation
from reports.pages import template
from reports.runs.history import history
from reports.verdicts import analyse
from reports.words import threads

KINDS_OF_MEMORY = {
    "import_rss_bytes": "memory after import",
    "load_rss_bytes": "with its weights",
    "peak_rss_bytes": "peak",
    "kin_bytes": "beside it, its compilers",
    "allocated": "device: allocated",
    "reserved": "reserved",
    "device": "as the device sees it",
}
LIMITS = {  # measure -> heading, question, unit
    "first_result": ("It must give a first result within", "Within", "s"),
    "peak_memory": ("It must fit in memory", "In", "B"),
    "installed_size": ("Its installation must be no larger than", "At most", "B"),
    "cost": ("A million must cost no more than", "At most", ""),
}
SETTINGS = {  # of a run -> heading; what is not here is told elsewhere
    "device": "device",
    "python": "environments",
    "threads": "threads",
    "cpus": "pinned to CPUs",
    "allocator": "allocator",
    "warmup_limit_s": "warm-up, seconds at most",
    "launches": "launches, as asked for",
}
GIVEN = ("allocator",)  # by the harness, to every worker alike, though not each one tells
HEAT = (1.03, 1.1, 1.25, 1.5, 2.0, 4.0)  # ratios at which a cell of the heat map changes colour


def write(
    run: Run,
    output: Path | None = None,
    title: str | None = None,
    chosen: Sequence[Profile] | None = None,
    price: float | None = None,
) -> Path:
    """Writes the page of a run; returns where. Raises Wrong where it cannot."""
    template.lacking(run.folder)
    path = output or template.place(run.name)
    return template.save(path, render(analyse(run, chosen, price), title))


def render(analysis: Analysis, title: str | None = None) -> str:
    """The page as text."""
    return template.render(
        "page.html.j2",
        every.specs(analysis),
        run=analysis,
        title=title or f"{analysis.title}: which framework?",
        started=start.started(analysis),
        beneath=beneath(analysis),
        devices=list(dict.fromkeys(c.device for c in analysis.comparisons)),
        versions=analysis.versions(),
        bounded=any(cell.bound for c in analysis.comparisons for cell in c.cells),
        weighed=any(
            (cell.memory or {}).get("load_rss_bytes")
            for c in analysis.comparisons
            for cell in c.cells
        ),
        metered=any(cell.energy for c in analysis.comparisons for cell in c.cells),
        facets=facets(analysis),
        quantiles=quantiles,
        series={along: scaling.series(analysis, along) for along in ("batch", "threads")},
        threads=threads(analysis.threads),
        natives=[c["name"] for c in analysis.contenders if c.get("of")],
        names=[c["name"] for c in analysis.shown],
        columns=standing(analysis),
        named=analysis.named,
        measured=analysis.measured,
        missing=missing(analysis),
        colours=marks.colours(analysis),
        shapes=marks.shapes(analysis),
        dashes=marks.dashes(analysis),
        start_phases=start.PHASES,
        memory_parts=start.memory_parts,
        kinds_of_memory=kinds_of_memory,
        heat=heat,
        steps=(1, *HEAT),
        limits=limits,
        concerning=lambda choice: concerning(analysis, choice),
        decisive={id_ for choice in analysis.recommendations for id_ in choice.comparisons},
        answer=overall.answer(analysis.recommendations),
        left_out=overall.left_out([left["comparison"] for left in analysis.left_out]),
        engines=overall.engines(analysis),
        precisions=overall.precisions(analysis),
        own=overall.own(analysis),
        open_in_short=sentences.open_in_short,
        status=sentences.status,
        unranked=lambda name: unranked(analysis, name),
        pays=lambda choice: pays(analysis, choice),
        trusted=sentences.trusted(),
        modes_unexplained=all(r.verdict != "multimodal" for r in analysis.recommendations)
        and any("fall into modes" in c.why for c in analysis.comparisons),
        labels={c.id: marks.label(c) for c in analysis.comparisons},
        settings=SETTINGS,
        rows_of_manifest=rows_of_manifest(analysis),
        history=history(analysis),
    )


def beneath(analysis: Analysis) -> list[dict[str, Any]]:
    """The table of the roofline: a workload, its operations per byte, contender -> Gflop/s."""
    ids = {marks.label(c): c.id for c in analysis.comparisons}
    found: dict[str, dict[str, Any]] = {}
    for point in roof.points(analysis):
        row = {"id": ids[point["comparison"]], "per_byte": point["operations per byte"]}
        row = found.setdefault(point["comparison"], {**row, "rates": {}})
        row["rates"][point["contender"]] = point["Gflop/s"]
    return [{"label": label, **row} for label, row in found.items()]


def facets(analysis: Analysis) -> dict[str, list[str]]:
    """What comparisons may be told apart by, and every value of it."""
    keys = ("direction", "precision", "threads", "device", "kind")
    return {k: list(dict.fromkeys(str(getattr(c, k)) for c in analysis.comparisons)) for k in keys}


def missing(analysis: Analysis) -> dict[str, list[str]]:
    """Comparison -> who was planned there and has no record."""
    found = {
        c.id: [cell.contender for cell in c.cells if cell.status == "missing"]
        for c in analysis.comparisons
    }
    return {comparison: names for comparison, names in found.items() if names}


def quantiles(cell: Cell) -> str:
    """Microseconds, launch by launch, as JSON: the QUANTILES of its calls."""
    short = [
        ["null" if v is None else f"{float(f'{1e6 * v:.3g}'):g}" for v in launch]
        for launch in cell.calls
    ]
    return "[" + ",".join(f"[{','.join(launch)}]" for launch in short) + "]"


def heat(relative: float | None) -> int:
    """0 (the best, or within 3% of it) to 6 (four times its time and more)."""
    return sum(relative >= step for step in HEAT) if relative else 0


def standing(analysis: Analysis) -> list[str]:
    """The map's columns, the fastest on the whole first: mean log of time over the best's."""
    logs: dict[str, list[float]] = {c["name"]: [] for c in analysis.shown}
    for cell in (cell for c in analysis.comparisons for cell in c.cells):
        if cell.relative and cell.status == "ok" and cell.contender in logs:
            logs[cell.contender].append(math.log(cell.relative))
    return sorted(logs, key=lambda name: statistics.fmean(logs[name]) if logs[name] else math.inf)


def limits(analysis: Analysis) -> list[dict[str, Any]]:
    """What a person may limit: how it is asked, and what every profile's choice then is."""
    found = []
    for key, (title, question, unit) in LIMITS.items():
        rows = [
            (choice.title, limit)
            for choice in analysis.recommendations
            for limit in choice.limits
            if limit.measure == key and len(limit.steps) > 2
        ]
        tell = MEASURES[key].tell
        named = {"key": key, "title": title, "question": question, "unit": unit}
        found += [{**named, "rows": rows, "tell": tell}] if rows else []
    return found


def unranked(analysis: Analysis, name: str) -> str:
    """Why a contender that did all well has no ratio to the leader."""
    contender = next(c for c in analysis.contenders if c["name"] == name)
    if contender["twin"]:
        return "noise floor's twin"
    if not contender.get("computes", True):
        return "it computes nothing"
    return "it shares no launch with the leader"


def pays(analysis: Analysis, choice: Recommendation) -> str:
    """What a late start of whoever leads costs, where the use weighs no start."""
    weighed = {each["measure"] for each in choice.objectives if each["weight"]}
    if not choice.ranking or "first_result" in weighed:
        return ""
    leader = choice.ranking[0]["contender"]
    return breakeven.pays(analysis.breakeven, leader, choice.comparisons)


def concerning(analysis: Analysis, choice: Recommendation) -> list[dict[str, Any]]:
    """Warnings about who leads a choice, in what that rests on; a note is none."""
    leader = choice.ranking[0]["contender"] if choice.ranking else ""
    used = {*choice.comparisons}
    return [
        each
        for each in analysis.warnings
        if leader in each["contenders"]
        and each["advice"]
        and (not each["comparisons"] or used & {*each["comparisons"]})
    ]


def kinds_of_memory(comparison: Comparison) -> dict[str, str]:
    """What was read of memory in a comparison: the record's key, and its heading."""
    there = {key for cell in comparison.cells for key, v in (cell.memory or {}).items() if v}
    return {key: head for key, head in KINDS_OF_MEMORY.items() if key in there}


def rows_of_manifest(analysis: Analysis) -> list[dict[str, Any]]:
    """What each contender is, and what it ran with, key by key; `differs` where not alike."""
    shown = analysis.shown
    manifests = [c["manifest"] or {} for c in shown]
    summaries = [c.get("summary") for c in shown]
    rows: list[dict[str, Any]] = [{"key": "in words", "values": summaries, "differs": False}]
    for key in dict.fromkeys(key for manifest in manifests for key in manifest):
        values = [manifest.get(key) for manifest in manifests]
        stated = {json.dumps(v, sort_keys=True): v for v in values if v is not None}
        if key in GIVEN and len(stated) == 1:
            values = [*stated.values()] * len(values)
        told = [json.dumps(v, sort_keys=True, default=str) for v in values]
        differ = len({one for one, v in zip(told, values, strict=True) if v is not None}) > 1
        # Of one framework's variants, one that does not say differs as well.
        alike = {(c["adapter"], one) for c, one in zip(shown, told, strict=True)}
        differ = differ or len(alike) > len({adapter for adapter, _ in alike})
        rows.append({"key": key, "values": values, "differs": differ})
    return rows
