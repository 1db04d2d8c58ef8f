"""The contenders: how they are named, and which of them can run here.

A contender is `ADAPTER[@VERSION][:VARIANT][#N]`. Whether it can run is asked of its own
environment's Python, by a few lines that look without importing a framework, so the
answer takes a second. A broken adapter file is listed with its error and hides no other.
"""

import difflib
import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapters.core import discovery
from adapters.core.base import Variant
from harness.errors import Wrong
from harness.install import environments

PATIENCE = 60  # seconds for a look into one environment

# Runs in the adapter's environment: NumPy, the standard library and ours.
LOOK = """
import json, sys
from adapters.core.discovery import adapter_class
found = {}
for name in sys.argv[1:]:
    try:
        kind = adapter_class(name)
        missing = {variant: kind.missing(variant) for variant in kind.variants}
        found[name] = {"version": kind.version(), "missing": missing}
    except BaseException as error:
        found[name] = {"broken": f"{type(error).__name__}: {error}"}
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Contender:
    """Who takes part. Variant "" is the adapter's default; copy 2 is the same one entered again."""

    adapter: str
    version: str | None = None
    variant: str = ""
    copy: int = 1

    @property
    def name(self) -> str:
        """As `parse` reads it."""
        version = f"@{self.version}" if self.version else ""
        variant = f":{self.variant}" if self.variant else ""
        copy = f"#{self.copy}" if self.copy > 1 else ""
        return f"{self.adapter}{version}{variant}{copy}"


def parse(text: str) -> Contender:
    """`torch@2.12:compile#2` -> Contender. Raises Wrong, with the names there are."""
    match = re.fullmatch(
        r"(?P<adapter>[\w-]+)(@(?P<version>\d[\w.+!-]*))?(:(?P<variant>[\w-]+))?(#(?P<copy>[1-9]\d?))?",
        text.strip(),
    )
    if match is None:
        raise Wrong(
            f"contender '{text}': expected ADAPTER[@VERSION][:VARIANT][#N], as in "
            "torch:compile or torch@2.12"
        )
    adapter, version, variant = match["adapter"], match["version"], match["variant"] or ""
    names = discovery.names()
    if adapter not in names:
        raise Wrong(
            f"unknown contender '{text}'{_nearest(adapter, names)}; there are: {', '.join(names)}"
        )
    try:
        kind = discovery.adapter_class(adapter)
        variants = [name for name in kind.variants if name]
    except Exception as error:
        raise Wrong(
            f"contender '{text}': adapters/{adapter}.py is broken: {_line(error)}"
        ) from None
    if version and not kind.distributions:
        raise Wrong(f"contender '{text}': {adapter} has no releases to choose from")
    if variant and variant not in variants:
        known = ", ".join([adapter, *(f"{adapter}:{name}" for name in variants)])
        raise Wrong(f"unknown variant '{text}'{_nearest(variant, variants)}; there are: {known}")
    return Contender(adapter, version, variant, int(match["copy"] or 1))


def parse_list(text: str) -> list[Contender]:
    """Names with commas between them. One that is named twice is entered twice: `#2`."""
    found: list[Contender] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        contender = parse(part)
        while contender in found:
            contender = replace(contender, copy=contender.copy + 1)
        found.append(contender)
    if not found:
        raise Wrong("no contender is named; `bakeoff list` shows them")
    for contender in found:  # the first is who is cold-started, and whose version is recorded
        first = replace(contender, copy=1)
        if first not in found:
            copy = f"#{contender.copy} is another {first.name}"
            raise Wrong(f"contender '{contender.name}': {copy}; name that too")
    return found


def versions(names: Iterable[str], rows: list[dict[str, Any]]) -> dict[str, str]:
    """By the environment that they live in: `torch`, `torch@2.12`, `keras:torch`.

    rows: of `contenders`.
    """
    taking = {name.partition("#")[0] for name in names}
    return {r["home"]: r["version"] or "" for r in rows if r["name"] in taking}


def contenders(
    device: str,
    current: bool = False,
    named: Iterable[Contender] = (),
    everyone: bool = True,
) -> list[dict[str, Any]]:
    """Every adapter in every variant, by name, whether or not it can run on `device`.

    Each is name, adapter, home (whose environment it lives in: the adapter, with its version if
    one was asked for, and its variant if that has one of its own), variant, summary, version
    (None: not known), available, reason (why not; else None), computes (False: the null
    adapter, never ranked), named_only (left out where nobody is named, as the null adapter is),
    and of (the portable contender it is shown beside, or "").
    `named`: contenders that ask for a version of their own are looked up besides. Raises
    Wrong for those where `current`. Without `everyone` nobody else's environment is asked.
    """
    named = [*named]
    others = {(c.adapter, c.version) for c in named if c.version}
    if current:
        refuse_versions(named)
    wanted = discovery.names() if everyone else sorted({c.adapter for c in named})
    homes: list[tuple[str, str | None]] = [(name, None) for name in wanted]
    homes += sorted(others)
    pythons = {
        Contender(name, version, variant): environments.python_of(
            name, device, current, version, variant
        )
        for name, version in homes
        for variant in _variants(name)
    }
    looks: dict[Path, list[str]] = {}
    for contender, python in pythons.items():
        if python is not None and contender.adapter not in looks.setdefault(python, []):
            looks[python].append(contender.adapter)
    with ThreadPoolExecutor(max_workers=4) as pool:
        answers = dict(zip(looks, pool.map(lambda look: _look(*look), looks.items()), strict=True))
    return [
        _found(contender, device, answers[python].get(contender.adapter) if python else None)
        for contender, python in pythons.items()
    ]


def refuse_versions(named: Iterable[Contender]) -> None:
    """Raises Wrong where one asks for a version of its own: this Python has what it has."""
    others = {(c.adapter, c.version) for c in named if c.version}
    if others:
        told = ", ".join(f"{adapter}@{version}" for adapter, version in sorted(others))
        raise Wrong(f"{told}: this Python has one version of each; leave out --python current")


def _variants(name: str) -> list[str]:
    """Of an adapter; of a broken one, the one that tells of its error."""
    try:
        return list(discovery.adapter_class(name).variants)
    except Exception:
        return [""]


def _found(contender: Contender, device: str, seen: dict[str, Any] | None) -> dict[str, Any]:
    """A contender's row; `seen` is what its environment's Python said, None without one."""
    name, asked, variant = contender.adapter, contender.version, contender.variant
    try:
        kind = discovery.adapter_class(name)
    except Exception as error:
        reason = f"adapters/{name}.py is broken: {_line(error)}"
        return _row(contender, device, Variant("", {}), True, None, reason)
    if seen is None:
        version, reason = None, environments.why_absent(name, device, asked, variant)
    else:
        version = seen.get("version")
        reason = seen.get("broken") or seen.get("missing", {}).get(variant)
    if device != "cpu" and kind.no_cuda:
        reason = kind.no_cuda
    return _row(contender, device, kind.variants[variant], kind.computes, version, reason)


def _row(
    contender: Contender,
    device: str,
    variant: Variant,
    computes: bool,
    version: str | None,
    reason: str | None,
) -> dict[str, Any]:
    return {
        "name": contender.name,
        "adapter": contender.adapter,
        "home": (contender if variant.environment else replace(contender, variant="")).name,
        "variant": contender.variant,
        "available": reason is None,
        "reason": reason,
        "version": version,
        "summary": variant.summary,
        "computes": computes,
        "named_only": not (computes and variant.joins_on(device)),
        "of": variant.of,
    }


def _look(python: Path, adapters: list[str]) -> dict[str, dict[str, Any]]:
    """Asks one environment about the adapters that live in it."""
    try:
        result = environments.run_python(python, "-c", LOOK, *adapters, timeout=PATIENCE)
        return json.loads(result.stdout.splitlines()[-1])
    except Wrong:
        why = f"its environment did not answer within {PATIENCE} s"
    except (OSError, ValueError, IndexError):
        why = "this Python does not answer"
        folder = python.parent.parent
        if folder.parent == environments.ROOT / ".envs":
            why = f"its environment is broken: remove {folder}, and call `bakeoff setup` again"
    return {name: {"broken": why} for name in adapters}


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f", did you mean '{near[0]}'?" if near else ""


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
