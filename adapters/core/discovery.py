"""Finds adapters by the names of their files, and of installed entry points.

Every file in `adapters/` is an adapter; what they share lives in `adapters/core/`. A
package elsewhere joins in through the entry point group `bakeoff.adapters`, whose
value names its Adapter subclass. No list is edited to add one.
"""

import importlib
import inspect
from importlib import metadata
from pathlib import Path

from adapters.core.base import Adapter

FOLDER = Path(__file__).resolve().parent.parent


def names() -> list[str]:
    """All adapters that exist, installed or not, in alphabetical order."""
    files = {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_")}
    return sorted(files | {entry.name for entry in _entry_points()})


def adapter_class(name: str) -> type[Adapter]:
    """The Adapter subclass of that name. Raises KeyError, with a message, for an unknown one."""
    if (FOLDER / f"{name}.py").exists():
        module = importlib.import_module(f"adapters.{name}")
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Adapter) and value.__module__ == module.__name__:
                return value
        raise KeyError(f"adapters/{name}.py holds no subclass of Adapter")
    for entry in _entry_points():
        if entry.name == name:
            return entry.load()
    raise KeyError(f"unknown adapter '{name}'; there are: {', '.join(names())}")


def _entry_points() -> metadata.EntryPoints:
    return metadata.entry_points(group="bakeoff.adapters")
