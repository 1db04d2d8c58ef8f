"""One self-contained HTML page: every figure of a run, offline, verdicts first.

Jinja2 escapes whatever comes from records. Charts travel as JSON that nothing executes;
the only script is ours with the Vega runtime, allowed by its hash in a content security
policy that lets nothing be fetched. Vega's expressions run in its interpreter, so the
policy needs no `eval`; styles may be inline, because Vega sets them on what it draws.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any

from harness.errors import Wrong
from harness.records import Run
from reports import charts, words
from reports.analysis import Analysis, Comparison
from reports.breakeven import count
from reports.objectives import MEASURES
from reports.profiles import Profile
from reports.verdicts import analyse

FOLDER = Path(__file__).resolve().parent
TEMPLATES = FOLDER / "templates"
NEEDS = ("altair", "vl_convert", "jinja2")
OUTLINES = {  # of a contender's mark in the text, as Vega draws it in the charts
    "circle": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z",
    "diamond": "M0-5.5L5.5 0L0 5.5L-5.5 0Z",
    "square": "M-4-4H4V4H-4Z",
    "triangle-up": "M0-5L5.5 4.5H-5.5Z",
    "cross": "M-1.8-5H1.8V-1.8H5V1.8H1.8V5H-1.8V1.8H-5V-1.8H-1.8Z",
}
KINDS_OF_MEMORY = {
    "import_rss_bytes": "memory after import",
    "peak_rss_bytes": "peak",
    "allocated": "device: allocated",
    "reserved": "reserved",
    "device": "as the device sees it",
}
TURNING = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
CONTROLS = (*(c for c in range(0x20) if chr(c) not in "\t\n\r"), *range(0x7F, 0xA0))
LIMITS = {  # measure -> heading, question, unit
    "first_result": ("It must give a first result within", "Within", "s"),
    "peak_memory": ("It must fit in memory", "In", "B"),
    "installed_size": ("Its installation must be no larger than", "At most", "B"),
    "cost": ("A million must cost no more than", "At most", ""),
}
UNSEEN = {mark: f"\\u{mark:04x}" for mark in (*TURNING, *CONTROLS)}
HEAT = (1.03, 1.1, 1.25, 1.5, 2.0, 4.0)  # ratios at which a cell of the heat map changes colour


def write(
    run: Run,
    output: Path | None = None,
    title: str | None = None,
    chosen: Sequence[Profile] | None = None,
    price: float | None = None,
) -> Path:
    """Writes the page of a run; returns where. Raises Wrong where it cannot."""
    lacking = [name for name in NEEDS if util.find_spec(name) is None]
    if lacking:
        raise Wrong(
            f"the page needs {' and '.join(lacking)}, which this Python lacks; carry "
            f"{run.folder} to a machine that has Bakeoff's environment, and run "
            f"`bakeoff report {run.folder.name}` there"
        )
    path = output or FOLDER / "html" / f"{run.plan['run']}.html"
    return save(path, render(analyse(run, chosen, price), title))


def save(path: Path, text: str) -> Path:
    """Writes a page, whatever is on it; returns where. Raises Wrong."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Wrong(f"the page cannot be written to {path}: {error.strerror}") from None
    return path


def render(analysis: Analysis, title: str | None = None) -> str:
    """The page as text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        seconds=words.seconds,
        times=words.times,
        percent=words.percent,
        rate=words.rate,
        size=words.size,
        interval=words.interval,
        label=charts.label,
        plain=words.plain,
        count=count,
        short=lambda name: charts.label(analysis.comparison(name)),
    )
    script = _script()
    return environment.get_template("page.html.j2").render(
        run=analysis,
        title=title or f"{analysis.title}: which framework?",
        specs={name: _json(spec) for name, spec in charts.specs(analysis).items()},
        started=charts.started(analysis),
        natives=[c["name"] for c in analysis.contenders if c.get("of")],
        names=[c["name"] for c in analysis.contenders if not c["twin"]],
        named=any(c.winner for c in analysis.comparisons)
        or any(r.choice for r in analysis.recommendations),
        colours=charts.colours(analysis),
        shapes=charts.shapes(analysis),
        outlines=OUTLINES,
        start_phases=charts.PHASES,
        memory_parts=charts.memory_parts,
        kinds_of_memory=kinds_of_memory,
        heat=heat,
        steps=(1, *HEAT),
        mark=mark,
        limits=limits,
        rows_of_manifest=rows_of_manifest(analysis),
        style=(TEMPLATES / "style.css").read_text(),
        script=script,
        script_hash=_hash(script),
    )


def heat(relative: float | None) -> int:
    """0 (the best, or within 3% of it) to 6 (four times its time and more)."""
    return sum(relative >= step for step in HEAT) if relative else 0


def mark(comparison: Comparison, contender: str) -> str:
    """What the verdict makes of a contender: `winner`, `tie`, or nothing."""
    if contender == comparison.winner:
        return "winner"
    pair = comparison.ratio(contender, comparison.leader or "")
    return "tie" if pair is not None and pair.verdict == "tie" else ""


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


def kinds_of_memory(comparison: Comparison) -> dict[str, str]:
    """What was read of memory in a comparison: the record's key, and its heading."""
    there = {key for cell in comparison.cells for key, v in (cell.memory or {}).items() if v}
    return {key: head for key, head in KINDS_OF_MEMORY.items() if key in there}


def rows_of_manifest(analysis: Analysis) -> list[dict[str, Any]]:
    """What each contender ran with, key by key; `differs` where they are not alike."""
    shown = [c for c in analysis.contenders if not c["twin"]]
    manifests = [c["manifest"] or {} for c in shown]
    rows = []
    for key in dict.fromkeys(key for manifest in manifests for key in manifest):
        values = [manifest.get(key) for manifest in manifests]
        known = {json.dumps(v, sort_keys=True, default=str) for v in values if v is not None}
        rows.append({"key": key, "values": values, "differs": len(known) > 1})
    return rows


def _visible(value: Any) -> Any:
    """Text with the marks shown that would turn what stands around it, or that nobody sees."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return value.translate(UNSEEN)
    return value


def _json(value: Any) -> Any:
    """JSON that may stand inside a script element: nothing in it can close one."""
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    for mark, shown in UNSEEN.items():  # as in the text: marks that turn what stands around them
        text = text.replace(json.dumps(chr(mark))[1:-1], f"\\{shown}")
    return Markup(text)


def _script() -> Any:
    """Vega, Vega-Lite, Vega-Embed and our own few lines, in one."""
    import vl_convert
    from markupsafe import Markup

    bundle = vl_convert.javascript_bundle((TEMPLATES / "page.js").read_text())
    return Markup(bundle.replace("</script", "<\\/script"))


def _hash(script: str) -> str:
    digest = hashlib.sha256(str(script).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
