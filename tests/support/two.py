"""Two synthetic runs side by side: of one machine, another machine, other versions."""

import json
from pathlib import Path
from typing import Any

from harness.record import records
from harness.stats import statistics
from reports.runs.compare import Changes, compare
from tests.support.synthetic import write_run

BOTH = ("compare", "old", "new")
SPEEDS = {"torch": 1.0, "jax": 1.5, "tensorflow": 1.2}


def pair(folder: Path, after: dict[str, float], drift: float = 1.0) -> tuple[Path, Path]:
    """Two runs; the second one's contenders as `after` says, on a machine slower by `drift`."""
    old = write_run(folder / "old", SPEEDS)
    new = write_run(folder / "new", {n: s * drift for n, s in (SPEEDS | after).items()})
    return old, new


def versions(folder: Path, **versions: str) -> None:
    path = folder / "environment.json"
    document = json.loads(path.read_text())
    for name, version in versions.items():
        document["contenders"][name]["manifest"]["version"] = version
        document["contenders"][name]["version"] = None
    path.write_text(json.dumps(document))


def elsewhere(folder: Path, **machine: Any) -> None:
    """The run was measured on another machine."""
    path = folder / "environment.json"
    document = json.loads(path.read_text())
    document["machine"] |= machine
    path.write_text(json.dumps(document))


def compared(old: Path, new: Path, **given: Any) -> Changes:
    options = {"anchor": None, "margin": statistics.MARGIN, **given}
    return compare(records.read(old), records.read(new), **options)
