"""One self-contained HTML page: every figure of a run, offline, verdicts first.

Jinja2 escapes whatever comes from records. Charts travel as JSON that nothing executes;
the only script is ours with the Vega runtime, allowed by its hash in a content security
policy that lets nothing be fetched. Vega's expressions run in its interpreter, so the
policy needs no `eval`.
"""

import base64
import hashlib
import json
from importlib import util
from pathlib import Path
from typing import Any

from harness.errors import Wrong
from harness.records import Run
from reports import charts, words
from reports.verdicts import Analysis, Comparison, analyse

FOLDER = Path(__file__).resolve().parent
TEMPLATES = FOLDER / "templates"
NEEDS = ("altair", "vl_convert", "jinja2")
HEAT = (1.03, 1.1, 1.25, 1.5, 2.0, 4.0)  # ratios at which a cell of the heat map changes colour


def write(run: Run, output: Path | None = None, title: str | None = None) -> Path:
    """Writes the page of a run; returns where. Raises Wrong where a library is absent."""
    lacking = [name for name in NEEDS if util.find_spec(name) is None]
    if lacking:
        raise Wrong(
            f"the page needs {' and '.join(lacking)}, which this Python lacks; carry "
            f"{run.folder} to a machine that has Bakeoff's environment, and run "
            f"`bakeoff report {run.folder.name}` there"
        )
    path = output or FOLDER / "html" / f"{run.plan['run']}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(analyse(run), title), encoding="utf-8")
    return path


def render(analysis: Analysis, title: str | None = None) -> str:
    """The page as text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
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
        label=charts.label,
        plain=_plain,
    )
    script = _script()
    started = [c for c in analysis.comparisons if any(cell.cold for cell in c.cells)]
    return environment.get_template("page.html.j2").render(
        run=analysis,
        title=title or f"{analysis.title}: which framework?",
        specs={name: _json(spec) for name, spec in charts.specs(analysis).items()},
        started=started,
        names=[c["name"] for c in analysis.contenders if not c["twin"]],
        colours=charts.colours(analysis),
        heat=heat,
        mark=mark,
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


def _plain(value: Any) -> str:
    """Any value of a manifest or environment, for a cell of a table."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_plain(v)}" for k, v in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _json(value: Any) -> Any:
    """JSON that may stand inside a script element: nothing in it can close one."""
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
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
