"""Claims about what a worker's own processes take beside it."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.process.kin import Kin, descendants

HOLD = "held = b'x' * {size}; "
WAIT = "print('ready', flush=True); import time; time.sleep(60)"
CHILD = "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {code!r}]); "
SIZE = 60_000_000
# Two forks of a process that holds it: their pages are one.
FORKS = HOLD.format(size=SIZE) + "import os; os.fork() and os.fork(); "


@contextmanager
def started(code: str, ready: int) -> Iterator[int]:
    """A process that is through, and `ready` of them in all."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    try:
        for _ in range(ready):
            assert process.stdout.readline()
        yield process.pid
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def most(pid: int, seconds: float = 0.3) -> int:
    with Kin(pid, every=0.05) as kin:
        time.sleep(seconds)
    return kin.most


def test_a_process_of_its_own_is_seen_with_what_it_holds() -> None:
    held = CHILD.format(code=HOLD.format(size=SIZE) + WAIT)
    with started(held + "import time; time.sleep(60)", ready=1) as pid:
        assert len(descendants(pid)) == 1
        assert SIZE < most(pid) < SIZE + 30e6


def test_so_is_a_process_of_that_process() -> None:
    inner = CHILD.format(code=HOLD.format(size=SIZE) + WAIT) + "child.wait()"
    with started(CHILD.format(code=inner) + "child.wait()", ready=1) as pid:
        assert len(descendants(pid)) == 2
        assert SIZE < most(pid) < SIZE + 60e6


def test_what_forks_share_counts_once() -> None:
    with started(CHILD.format(code=FORKS + WAIT) + "child.wait()", ready=3) as pid:
        assert len(descendants(pid)) == 3
        assert SIZE < most(pid) < SIZE + 60e6


def test_who_starts_none_has_none_and_who_is_gone_neither() -> None:
    with started(HOLD.format(size=SIZE) + WAIT, ready=1) as pid:
        assert descendants(pid) == [] and most(pid) == 0
    assert descendants(pid) == [] and most(pid, 0.1) == 0


def test_it_ends_with_what_it_watches_however_that_ends() -> None:
    began = time.monotonic()
    with pytest.raises(RuntimeError), Kin(os.getpid(), every=30.0):
        raise RuntimeError
    assert time.monotonic() - began < 5


def test_children_that_come_and_go_between_two_looks_end_nothing() -> None:
    code = "import os; os.execvp('sh', ['sh', '-c', 'echo ready; while :; do /bin/true; done'])"
    caught: list[object] = []
    before, threading.excepthook = threading.excepthook, caught.append
    try:
        with started(code, ready=1) as pid, Kin(pid, every=0.0):
            time.sleep(2.0)
    finally:
        threading.excepthook = before
    assert not caught
