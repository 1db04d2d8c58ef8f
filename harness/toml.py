"""Files of a user's own, suites and profiles: TOML, checked strictly; what is wrong in one line."""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from harness.errors import Wrong
from harness.unseen import IN_A_LINE

Shape = TypeVar("Shape")
KINDS = {  # of JSON -> of a TOML file; null is not among them
    "array": "a list",
    "object": "a table",
    "str": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}


def load(what: str, name: str, folder: Path, known: Sequence[str], shape: type[Shape]) -> Shape:
    """One of the `known`, which lie in `folder`, by its name; or any by its path. Raises Wrong.

    A table of the `shape` may have `examples`: by key, what one could write there.
    """
    if name not in known and Path(name).suffix != ".toml":
        there = ", ".join(known)
        raise Wrong(f"unknown {what} '{name}'; there are: {there}, or the path of a .toml file")
    path = folder / f"{name}.toml" if name in known else Path(name)
    given: dict[str, Any] = {}
    try:
        given = _plain(tomllib.loads(path.read_text("utf-8-sig")))
        return msgspec.convert(given, shape)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise Wrong(f"{what} '{name}' cannot be read: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise Wrong(f"{what} '{name}' is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise Wrong(f"{what} '{name}': {_in_words(error, shape, given)}") from None


def _plain(given: Any) -> Any:
    """The same with every text as it may be shown anywhere: what is unseen is made visible."""
    if isinstance(given, dict):
        return {key.translate(IN_A_LINE): _plain(value) for key, value in given.items()}
    if isinstance(given, list):
        return [_plain(each) for each in given]
    return given.translate(IN_A_LINE) if isinstance(given, str) else given


def _in_words(error: msgspec.ValidationError, shape: type, given: Any) -> str:
    """msgspec says where, in words of JSON; here is what was given there, and what to write."""
    text, _, place = str(error).partition(" - at `$")
    where, there, example = place.strip(".`"), [shape], None
    for step in re.findall(r"\w+", place):
        if step.isdigit():
            given = given[int(step)]
        else:
            table, given = _table(there), given[step]
            there, example = _parts(get_type_hints(table)[step]), _example(table, step)
    if field := re.search(r"(unknown|required) field `(.*)`", text):
        table, at = _table(there), f" in {where}" if where else ""
        if field[1] == "unknown":
            keys = ", ".join(table.__struct_fields__)
            return f"unknown key '{field[2]}'{at}; the keys are: {keys}"
        example = _example(table, field[2])
        return f"'{field[2]}' is missing{at}" + (f"; give it, as in {example}" if example else "")
    if example is None and "`array" in text and str in there and isinstance(given, str):
        example = f"{step} = [{_shown(given)}]"
    wanted = f"expected {_wanted(text, there)}" + (f", as in {example}" if example else "")
    return f"{where} is {_shown(given)}: {wanted}"


def _example(table: Any, key: str) -> str | None:
    return getattr(table, "examples", {}).get(key)


def _shown(given: Any) -> str:
    """As a file has it, in a few words."""
    if isinstance(given, dict | list):
        return "a table" if isinstance(given, dict) else "a list"
    return json.dumps(given) if isinstance(given, str | bool) else str(given)


def _wanted(text: str, there: list[Any]) -> str:
    """Of "Expected `int | array | null`, got ..." what a file can hold; of a Literal its words."""
    words = dict.fromkeys(part for part in there if isinstance(part, str))
    if words:
        return ", ".join(words)
    kinds = re.search(r"Expected `([^`]*)`(?: >= ([\d.]+))?", text)
    if kinds is None:
        return text
    wanted = " or ".join(KINDS[kind] for kind in kinds[1].split(" | ") if kind in KINDS)
    return wanted + (f", {float(kinds[2]):g} or more" if kinds[2] else "")


def _table(parts: list[Any]) -> Any:
    return next(part for part in parts if hasattr(part, "__struct_fields__"))


def _parts(kind: Any) -> list[Any]:
    """What a type is made of: `list[X] | None` of X and None, a Literal of its words."""
    return [part for each in get_args(kind) for part in _parts(each)] or [kind]
