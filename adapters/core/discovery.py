"""Finds adapters by the names of their files, and of installed entry points.

Every file in `adapters/` is an adapter; what they share lives in `adapters/core/`. A
package elsewhere joins in through the entry point group `bakeoff.adapters`, whose
value names its Adapter subclass. No list is edited to add one.
"""

import importlib
import inspect
from importlib import metadata
from pathlib import Path

from adapters.core.base import Adapter, Variant

FOLDER = Path(__file__).resolve().parent.parent


def names() -> list[str]:
    """All adapters that exist, installed or not, in alphabetical order."""
    files = {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_")}
    return sorted(files | {entry.name for entry in _entry_points()})


def adapter_class(name: str) -> type[Adapter]:
    """The Adapter subclass of that name.

    Raises KeyError, with a message, for an unknown one; for one that is broken whatever its
    file raises, or TypeError for one without such a class, or with a table that others would
    stumble over.
    """
    try:
        kind = _imported(name)
    except SystemExit as left:
        raise ImportError(f"its file exits with {left.code} where it is imported") from None
    variants = kind.variants
    if not (isinstance(variants, dict) and "" in variants) or not all(
        isinstance(variant, Variant) for variant in variants.values()
    ):
        raise TypeError(f'variants is {variants!r}: expected a dict of Variant, that holds ""')
    for table in ("requires", "distributions"):
        named = getattr(kind, table)
        if not isinstance(named, tuple) or not all(isinstance(each, str) for each in named):
            raise TypeError(f'{table} is {named!r}: expected a tuple of names, as in ("numpy",)')
    return kind


def _imported(name: str) -> type[Adapter]:
    if (FOLDER / f"{name}.py").exists():
        module = importlib.import_module(f"adapters.{name}")
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Adapter) and value.__module__ == module.__name__:
                return value
        raise TypeError(
            "it holds no subclass of Adapter: `bakeoff new-adapter` writes one to fill in"
        )
    for entry in _entry_points():
        if entry.name == name:
            return entry.load()
    raise KeyError(f"unknown adapter '{name}'; there are: {', '.join(names())}")


def _entry_points() -> metadata.EntryPoints:
    return metadata.entry_points(group="bakeoff.adapters")
