"""What the processes that a worker starts take while it works: a compiler may be one of them.

The kernel keeps a peak for each process, and none for a process with those that it started; of
ended ones it keeps the largest alone, which for a child that was forked is its parent's. So they
are looked at while they live. A page that several share counts in parts (PSS: proc(5),
smaps_rollup): a compiler's workers are forks of one another.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path

EVERY = 0.5  # seconds: to look at three processes of 400 MB took 15 ms, 3% of a core
PROC = Path("/proc")


class Kin:
    """Looks from its beginning to its end, in a thread: `with Kin(pid) as kin: ...; kin.most`."""

    def __init__(self, pid: int, every: float = EVERY):
        self.pid, self.every = pid, every
        self.most = 0  # bytes, of all together at one time
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Kin":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self.every):
            self.most = max(self.most, sum(map(_share, descendants(self.pid))))


def descendants(pid: int) -> list[int]:
    """Of a process that lives, and theirs; of one that is gone, none."""
    found: list[int] = []
    tasks = PROC / str(pid) / "task"
    with suppress(OSError):  # the process is gone, or a thread of it
        for task in os.listdir(tasks):
            with suppress(OSError):
                for child in map(int, (tasks / task / "children").read_text().split()):
                    found += [child, *descendants(child)]
    return found


def _share(pid: int) -> int:
    """Bytes of a process, of what it shares its part; 0 of one that is gone, or not ours to see."""
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in text.splitlines() if line.startswith("Pss:")]
    return 1024 * int(found[0]) if found else 0
