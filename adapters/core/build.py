"""Compiles an adapter's C source, once: for this source, these flags, this compiler and processor.

The library lies in the environment of the Python that runs (or in the user's cache, where that
cannot be written), under a name that is a hash of all it depends on: what has changed is
compiled anew, and a folder carried to another machine harms nobody. It is renamed into
place, so whoever finds it finds it whole.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from adapters.core.base import Unsupported

ERRORS = ("error", "cannot find", "unrecognized", "unsupported option", "not found")


def compiler() -> list[str]:
    """$CC, which may have arguments, or the system's."""
    named = shlex.split(os.environ.get("CC", ""))
    return named or [next(filter(shutil.which, ("cc", "gcc", "clang")), "cc")]


def missing() -> str | None:
    """Why nothing can be compiled here, or None."""
    name = compiler()[0]
    if shutil.which(name) is None:
        return f"it needs a C compiler with OpenMP ({name}): install gcc, or name one in CC"
    return None


def described() -> str:
    """The compiler and its version, in its own words."""
    return _call([*compiler(), "--version"]).splitlines()[0]


def library(source: Path, flags: Sequence[str], folder: Path | None = None) -> Path:
    """The shared library made of `source`, compiled first where there is none yet.

    Raises Unsupported, in one line with the compiler's own words.
    """
    reason = missing()
    if reason:
        raise Unsupported(reason)
    folder = folder or _folder()
    path = folder / f"{source.stem}-{_key(source, flags)}.so"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as own:
            made = Path(own, path.name)
            _call([*compiler(), *flags, "-o", str(made), str(source), "-lm"])
            os.replace(made, path)
    except OSError as error:
        raise Unsupported(f"{source.name} cannot be compiled into {folder}: {error}") from None
    return path


def _key(source: Path, flags: Sequence[str]) -> str:
    """With -v the compiler tells its version and what -march=native means on this processor."""
    command = [*compiler(), *flags]
    said = _call([*command, "-v", "-E", "-x", "c", os.devnull])
    parts = (source.read_bytes(), repr(command).encode(), said.encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _folder() -> Path:
    own = Path(sys.prefix)
    if os.access(own, os.W_OK):
        return own / "bakeoff"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bakeoff"


def _call(command: list[str]) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        env=environment,
    )  # fmt: skip
    if result.returncode:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        told = [line for line in lines if any(word in line.lower() for word in ERRORS)]
        reason = (told or lines or [f"exit status {result.returncode}"])[0]
        name = shlex.join(compiler())
        raise Unsupported(f"the C compiler ({name}) failed; it must have OpenMP: {reason}")
    return result.stdout + result.stderr
