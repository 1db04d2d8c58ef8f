"""All workloads: importing their modules is what fills the list.

Every Python file of this folder is a module of workloads, but for those named in APART: whoever
adds a file of their own edits none of ours.
"""

import difflib
import importlib
import traceback
from functools import cache
from pathlib import Path

import suites
from suites.workload import WORKLOADS, Workload

OURS = ("micro", "blocks", "convnets", "checks", "probes")  # in the order of lists; others follow
APART = ("__init__.py", "workload.py", "catalogue.py", "conftest.py", "test_*.py", ".*")


class Broken(Exception):
    """A file of workloads cannot be imported; the message is one line, for a person."""


@cache
def load() -> dict[str, Workload]:
    """Every workload by name; those of kind `check` and `probe` are not for ranking.

    Raises Broken.
    """
    for module in _modules():
        try:
            importlib.import_module(f"suites.{module}")
        except Exception as error:
            said = error.msg if isinstance(error, SyntaxError) else error
            raise Broken(f"{_place(error)}: {type(error).__name__}: {said}") from None
    return WORKLOADS


def _modules() -> list[str]:
    found = {
        path.stem
        for path in Path(suites.__path__[0]).glob("*.py")
        if not any(path.match(pattern) for pattern in APART)
    }
    return [*OURS, *sorted(found - {*OURS})]


def _place(error: Exception) -> str:
    """The file of workloads, and the line there, that an error comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, frame.lineno) for frame in frames]
    if isinstance(error, SyntaxError):  # which is in no frame
        places.append((error.filename or "", error.lineno))
    modules = _modules()
    own = [(Path(file).name, line) for file, line in places if Path(file).stem in modules]
    return "suites/{}, line {}".format(*own[-1]) if own else "suites"


def get(name: str) -> Workload:
    """Raises KeyError, with the nearest names, for an unknown one; and Broken."""
    known = load()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else "; `bakeoff list` shows them"
        raise KeyError(f"unknown workload '{name}'{hint}")
    return known[name]
