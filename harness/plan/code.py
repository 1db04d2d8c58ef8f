"""Which of this project's own code stands behind a figure, as hashes.

A run is gone on with by the very same code, all but the adapters of others. From one run to
another a page may change, too, and a contender be what it was: behind its figures stand its own
adapter, what a worker loads beside it, and which environment it is started with. That is followed
from import to import. What a workload asks for has a hash of its own (adapters/core/cost.py).
"""

import ast
import hashlib
import inspect
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from adapters.core import discovery
from adapters.core.base import Adapter
from harness.paths import ROOT

LANGUAGES = (".py", ".c", ".lua")
# What a worker loads; which variables it is given.
WORKER = ("harness/worker/worker.py", "harness/host/machine.py")


def everything() -> str:
    """Of all code that measures."""
    folders = (ROOT / name for name in ("adapters", "harness", "suites"))
    return _hash(path for folder in folders for path in folder.rglob("*"))


def proving() -> str:
    """Of all code that measures, and of what the campaign's proofs read beside it."""
    read = ("tests/*_agreement.py", "tests/data/traces/*.npz", "suites/*.toml")
    files = sorted(path for pattern in read for path in ROOT.glob(pattern))
    beside = b"".join(path.name.encode() + path.read_bytes() for path in files)
    return _digest(everything().encode() + beside)


def measuring(contenders: Iterable[tuple[str, str]]) -> str:
    """Of all code that a run of these measures with; another adapter is none of it.

    contenders: adapter and variant. Raises what `behind` raises.
    """
    folders = (ROOT / name for name in ("adapters/core", "harness", "suites"))
    own = sorted({behind(adapter, variant) for adapter, variant in contenders})
    shared = _hash(path for folder in folders for path in folder.rglob("*"))
    return _digest((shared + "".join(own)).encode())


def behind(adapter: str, variant: str = "") -> str:
    """Of the code that runs for a contender. Raises what its adapter's own file raises."""
    kind = discovery.adapter_class(adapter)
    own = _home(kind)
    # One in C or Lua has a file beside it, of the same name.
    files = {*_reached([*(ROOT / name for name in WORKER), own]), *own.parent.glob(f"{own.stem}.*")}
    portable = kind.variants[variant].of  # a framework's own models ask that one for the rest
    if not portable:
        return _hash(files)
    return _digest((_hash(files) + behind(portable.partition(":")[0])).encode())


def _home(kind: type[Adapter]) -> Path:
    return Path(inspect.getfile(kind))


def _reached(starts: Iterable[Path]) -> set[Path]:
    """Files of this project that these import, those again import, and so on; with themselves."""
    found: set[Path] = set()
    left = list(starts)
    while left:
        path = left.pop()
        if path not in found and path.is_file():
            found.add(path)
            names = _imported(path.read_bytes())
            left += [ROOT / f"{name.replace('.', '/')}.py" for name in names]
    return found


@cache
def _imported(source: bytes) -> frozenset[str]:
    """Modules; of `from package import name` both, since the name may be one."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def _hash(files: Iterable[Path]) -> str:
    """By name and content; a file that lies elsewhere, as an installed adapter's, by its name."""
    named = {
        (path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name): path
        for path in files
        if path.suffix in LANGUAGES and not path.name.startswith(".")  # an editor's lock
    }
    return _digest(b"".join(name.encode() + named[name].read_bytes() for name in sorted(named)))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
