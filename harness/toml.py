"""Files of a user's own, suites and profiles: TOML, checked strictly; what is wrong in one line."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from harness.errors import Wrong

Shape = TypeVar("Shape")


def load(what: str, name: str, folder: Path, known: Sequence[str], shape: type[Shape]) -> Shape:
    """One of the `known`, which lie in `folder`, by its name; or any by its path. Raises Wrong."""
    if name not in known and Path(name).suffix != ".toml":
        there = ", ".join(known)
        raise Wrong(f"unknown {what} '{name}'; there are: {there}, or the path of a .toml file")
    path = folder / f"{name}.toml" if name in known else Path(name)
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8-sig")), shape)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise Wrong(f"{what} '{name}' cannot be read: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise Wrong(f"{what} '{name}' is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise Wrong(f"{what} '{name}': {_in_words(error, shape)}") from None


def _in_words(error: msgspec.ValidationError, shape: type) -> str:
    """msgspec says what and where; a wrong key or word is told which there are."""
    text, _, place = str(error).replace("Object", "A table").partition(" - at `$")
    there: list[Any] = [shape]
    for key in re.findall(r"\.(\w+)", place):
        there = _parts(get_type_hints(_table(there))[key])
    text += f" (at `{place})" if place else ""
    if "unknown field" in text:
        text += f"; the keys are: {', '.join(_table(there).__struct_fields__)}"
    if "enum" in text:
        words = dict.fromkeys(part for part in there if isinstance(part, str))
        text += f"; expected {', '.join(words)}"
    return text


def _table(parts: list[Any]) -> Any:
    return next(part for part in parts if hasattr(part, "__struct_fields__"))


def _parts(kind: Any) -> list[Any]:
    """What a type is made of: `list[X] | None` of X and None, a Literal of its words."""
    return [part for each in get_args(kind) for part in _parts(each)] or [kind]
