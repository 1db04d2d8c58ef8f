"""Ends what the workers of a killed runner leave behind: their own children.

A worker dies with its runner, the kernel sees to that. What it has started does not (inductor
compiles in a process of its own), and where it is suspended it notices nothing, for ever. So one
process beside the runner is told every worker's process group, and kills those that are left
once the runner's end of the pipe is closed, however that came about.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress

_guard: "subprocess.Popen[bytes] | None" = None
_watched: set[int] = set()


def watch(group: int) -> None:
    """A worker's process group, from here on. A run goes on without a guard, if it must."""
    global _guard
    _watched.add(group)
    with suppress(OSError):
        if _guard is None or _guard.poll() is not None:
            # In a session of its own: what a terminal tells the runner, it does not tell this one.
            _guard = subprocess.Popen(
                [sys.executable, "-S", "-E", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            _tell(*(f"+{each}" for each in _watched))
        else:
            _tell(f"+{group}")


def forget(group: int) -> None:
    """It has been killed: its number may be another program's by now."""
    _watched.discard(group)
    with suppress(OSError):
        _tell(f"-{group}")


def _tell(*lines: str) -> None:
    if _guard is not None and _guard.stdin is not None:
        _guard.stdin.write("".join(f"{line}\n" for line in lines).encode())
        _guard.stdin.flush()


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
