"""What control groups allow this process of processors and memory, in version 2 or 1.

A limit may stand at its own group or at any above it: a container's, a batch system's, a
systemd slice's. The tightest holds. A container may name its group by the host's path, which is
not there to be read; its own limits then lie at the mount's root.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from harness.errors import maybe

MOUNT, MINE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def processors() -> float | None:
    """How many it may keep busy; None where nothing limits them."""
    found = [quota for folder in _groups("cpu") if (quota := _quota(folder)) is not None]
    return min(found, default=None)


def memory() -> float:
    """Bytes that it may still take; infinite where nothing limits them."""
    return min((_left(folder) for folder in _groups("memory")), default=math.inf)


def _groups(controller: str) -> Iterator[Path]:
    """The folders of our group and of all above it, which tell of a controller."""
    for line in _read(MINE).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        group = (MOUNT / controller if controllers else MOUNT) / path.strip("/")
        yield from (each for each in (group, *group.parents) if each.is_relative_to(MOUNT))


def _quota(folder: Path) -> float | None:
    """Version 2 has "200000 100000" for two processors, and "max 100000"; version 1 two files."""
    told = _read(folder / "cpu.max") or " ".join(
        _read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")
    )
    quota, _, period = told.partition(" ")
    return maybe(lambda: int(quota) / int(period)) if quota.isdigit() else None  # -1: none


def _left(folder: Path) -> float:
    """The limit, less what is in use and no cache of files, which gives way. Version 1 counts what
    lies in groups below in `total_`; its limit is a huge number where there is none."""
    for limit, used, counts in (
        ("memory.max", "memory.current", "(?:in)?active_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_(?:in)?active_file"),
    ):
        told = [_read(folder / name) for name in (limit, used)]
        if all(each.isdigit() for each in told):
            cached = re.findall(rf"(?m)^{counts} (\d+)", _read(folder / "memory.stat"))
            return float(told[0]) - float(told[1]) + sum(map(int, cached))
    return math.inf


def _read(path: Path) -> str:
    return maybe(lambda: path.read_text().strip()) or ""
