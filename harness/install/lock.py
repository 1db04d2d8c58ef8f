"""What an environment really holds: its lock, the lock's hash, and the installed size.

Requirements pin a framework, not what comes with it. So an environment is asked, by its own
Python, for every package it holds; that list is the lock, in the form that pip reads, and its
SHA-256 goes into the records: two runs with one hash ran the same packages. pip is left out,
being no part of what is measured, and compiled Python files too, which pip writes and uv does
not; so both installers give the same list and size.
"""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Runs in the environment's own Python: the standard library alone. The first distribution
# of a name is the one that is imported.
LOOK = """
import json, os, platform, re, sys
from importlib import metadata
held, size = {}, 0
for each in metadata.distributions():
    name = re.sub("[-_.]+", "-", each.metadata["Name"] or "").lower()
    if name in ("", "pip") or name in held:
        continue
    held[name] = each.version
    for file in each.files or ():
        if file.suffix != ".pyc":
            try:
                size += os.lstat(file.locate()).st_size
            except OSError:
                pass
python = f"# {platform.python_implementation()} {platform.python_version()}"
lines = [f"{python}, {sys.platform} {platform.machine()}"]
lines += [f"{name}=={held[name]}" for name in sorted(held)]
print(json.dumps({"lines": lines, "bytes": size}))
"""


@dataclass(frozen=True)
class Lock:
    """The packages of an environment, `name==version` a line, under a line for its Python."""

    lines: tuple[str, ...]
    installed_bytes: int

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def look(python: Path, isolated: bool = True) -> Lock | None:
    """Asks one Python; None where it does not answer. Under a second for a large framework.

    `isolated`: without PYTHONPATH and packages of the user's own.
    """
    try:
        result = subprocess.run(
            [str(python), *(["-I"] if isolated else []), "-c", LOOK],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        found = json.loads(result.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Lock(tuple(found["lines"]), found["bytes"])
