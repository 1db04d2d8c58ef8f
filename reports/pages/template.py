"""What every page shares: its frame (`base.html.j2`), escaping, the script, and the writing.

Jinja2 escapes whatever comes from records. Charts travel as JSON that nothing executes;
the only script is ours with the Vega runtime, allowed by its hash in a content security
policy that lets nothing be fetched. Vega's expressions run in its interpreter, so the
policy needs no `eval`; styles may be inline, because Vega sets them on what it draws.
"""

import base64
import hashlib
import json
import os
import re
from contextlib import suppress
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

from harness.errors import Wrong
from harness.unseen import UNSEEN
from reports import analysis, words
from reports.charts import marks
from reports.choice import breakeven, overall, sentences

FOLDER = Path(__file__).resolve().parents[1]
TEMPLATES = FOLDER / "templates"
SCRIPTS = ("charts.js", "filter.js", "cell.js", "page.js")  # one module, in this order
NEEDS = ("altair", "vl_convert", "jinja2")
OUTLINES = {  # of a contender's mark in the text, as Vega draws it in the charts
    "circle": "circle(38%)",
    "diamond": "polygon(50% 4%, 96% 50%, 50% 96%, 4% 50%)",
    "square": "inset(17%)",
    "triangle-up": "polygon(50% 8%, 92% 88%, 8% 88%)",
    "cross": "polygon(35% 8%, 65% 8%, 65% 35%, 92% 35%, 92% 65%, 65% 65%, 65% 92%, 35% 92%,"
    " 35% 65%, 8% 65%, 8% 35%, 35% 35%)",
    "triangle-down": "polygon(50% 92%, 92% 12%, 8% 12%)",
    "triangle-left": "polygon(8% 50%, 88% 8%, 88% 92%)",
    "triangle-right": "polygon(92% 50%, 12% 8%, 12% 92%)",
    "arrow": "polygon(43% 96%, 57% 96%, 57% 44%, 69% 44%, 50% 4%, 31% 44%, 43% 44%)",
    "wedge": "polygon(50% 4%, 64% 96%, 36% 96%)",
}


LONGEST = 150  # bytes of a page's name


def lacking(folder: Path) -> None:
    """Raises Wrong where a library of the page is absent: measuring needs none of them."""
    absent = [name for name in NEEDS if util.find_spec(name) is None]
    if absent:
        raise Wrong(
            f"the page needs {' and '.join(absent)}, which this Python lacks; carry "
            f"{folder} to a machine that has Bakeoff's environment, and run "
            f"`bakeoff report {folder.name}` there"
        )


def place(*runs: str) -> Path:
    """Where the page of these runs goes unless told: a name from a record leads nowhere else."""
    name = re.sub(r"[^\w.@+-]", "-", "-".join(runs))
    if len(encoded := name.encode()) > LONGEST:  # of a file's name a system takes 255
        digest = hashlib.sha256(encoded).hexdigest()[:8]
        name = f"{encoded[:LONGEST].decode(errors='ignore')}-and-more-{digest}"
    return FOLDER / "html" / f"{name}.html"


def save(path: Path, text: str, what: str = "page") -> Path:
    """Writes a page, or what else it is, whatever is on it; returns where. Raises Wrong."""
    target = Path(os.path.realpath(path))  # where a link leads to
    partial = target.parent / f".{os.getpid()}.partial"
    try:
        if target.parent == FOLDER / "html":  # a checkout has none; any other is the user's to make
            target.parent.mkdir(exist_ok=True)
        if (target.exists() and not target.is_file()) or not os.access(target.parent, os.W_OK):
            path.write_text(text, encoding="utf-8")  # /dev/stdout, say
            return path
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)  # a page that was whole is not left half
    except OSError as error:
        raise Wrong(f"the {what} cannot be written to {path}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return path


@cache
def _environment() -> Any:
    """The templates and what they may call: each is compiled once, however many pages follow."""
    try:
        import jinja2
    except ImportError:
        raise Wrong("the page needs jinja2, which this Python lacks") from None

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        seconds=words.seconds,
        short=analysis.short,
        times=words.times,
        less=words.less,
        behind=sentences.behind,
        percent=words.percent,
        rate=words.rate,
        size=words.size,
        joules=words.joules,
        interval=words.interval,
        needed=words.needed,
        number=words.figure,
        verdict=words.verdict,
        unreadable=overall.unreadable,
        end=words.end,
        label=marks.label,
        plain=words.plain,
        count=breakeven.count,
        tight=tight,
        sortkey=sortkey,
        typed=typed,
    )
    return environment


def render(file: str, specs: dict[str, Any] | None = None, /, **given: Any) -> str:
    """A page as text. specs: its charts by place; None is a page without any script."""
    script = "" if specs is None else _script()
    theme = (TEMPLATES / "theme.js").read_text("utf-8")
    return (
        _environment()
        .get_template(file)
        .render(
            specs={place: _json(spec) for place, spec in (specs or {}).items()},
            outlines=OUTLINES,
            glyphs={name: f"g{n}" for n, name in enumerate(given.get("colours", ()))},
            style=(TEMPLATES / "style.css").read_text("utf-8"),
            script=script,
            script_hash=_hash(script),
            theme=theme,
            theme_hash=_hash(theme),
            **given,
        )
    )


def visible(value: Any) -> Any:
    """Text with the marks shown that would turn what stands around it, or that nobody sees."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return value.translate(UNSEEN)
    return value


def tight(text: Any) -> Any:
    """Without the line breaks between elements: a table of ten thousand rows is half of them.

    What came from a record is escaped by then, so that no `>` or `<` is its own.
    """
    from markupsafe import Markup

    return Markup(re.sub(r">(?:\n|\s{2,})<", "><", str(text)))


def typed(text: str) -> Any:
    """Text in which a command of ours, between backticks, stands as code; all of it is escaped."""
    from markupsafe import Markup

    parts = re.split(r"`(bakeoff [^`]*)`", str(visible(text)))
    mark = Markup("<code>{}</code>")
    return Markup("").join(mark.format(p) if place % 2 else p for place, p in enumerate(parts))


def sortkey(value: float | None) -> str:
    """What a cell of a table sorts by, to five digits; what was not measured sorts last."""
    return "NaN" if value is None else f"{value:.5g}"


def _json(value: Any) -> Any:
    """JSON that may stand inside a script element: nothing in it can close one."""
    from markupsafe import Markup

    text = json.dumps(_visible(value), separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _visible(value: Any) -> Any:
    """As in the text, whatever it is in."""
    if isinstance(value, dict):
        return {visible(key): _visible(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(each) for each in value]
    return visible(value)


@cache
def _script() -> Any:
    """Vega, Vega-Lite, Vega-Embed and our own SCRIPTS, in one."""
    import vl_convert
    from markupsafe import Markup

    ours = "\n".join((TEMPLATES / name).read_text("utf-8") for name in SCRIPTS)
    bundle = vl_convert.javascript_bundle(ours)
    return Markup(bundle.replace("</script", "<\\/script"))


def _hash(script: str) -> str:
    digest = hashlib.sha256(str(script).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
