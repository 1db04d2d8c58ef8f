"""Worker processes, as the runner sees them: start, ask, stop, continue, kill.

A worker speaks JSON lines over two pipes of its own; what its framework prints goes to
a log file and cannot break the talk. It leads a process group, so that a stop or a kill
reaches its children too, and it asks the kernel for SIGKILL at its parent's death
(worker.py), so that none outlives the runner, not even a stopped one (its children: guard.py).
That signal is sent when the *thread* that forked ends: workers are started by the main thread only.

A process that has ended keeps its id until it is reaped; from then on the id may be another
program's. So a worker's end is seen without reaping it, its group is killed first, and from
when it is reaped (`returncode` is set then, and nowhere else) it is sent no signal.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.host import machine
from harness.paths import ROOT, python_path
from harness.process import answers, guard

LOG_TAIL = 64 * 1024
KILLED = 30.0  # seconds a process may take to be gone that was killed
TESTING = ("PYTEST", "COV_")
# After these CUDA answers every further call with the same error: the process must be ended.
# https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html (cudaError)
POISONED = re.compile(
    r"illegal (memory access|address|instruction)|misaligned address|device-side assert"
    r"|unspecified launch failure|launch timed out|uncorrectable ECC|invalid program counter"
    r"|hardware stack error|CUDA error: unknown error|STATUS_EXECUTION_FAILED"
    r"|CUDA_ERROR_(ILLEGAL|MISALIGNED|LAUNCH|ASSERT|ECC|INVALID_PC|HARDWARE_STACK|UNKNOWN)",
    re.IGNORECASE,
)


PATIENCE = 600.0  # seconds for one request


class WorkerFailed(Exception):
    """A worker could not do what it was asked: a status of records.py, and why."""

    def __init__(self, status: str, reason: str):
        super().__init__(reason)
        self.status, self.reason = status, reason


class WorkerProcess:
    """One worker. Every `ask` waits for its answer, or raises WorkerFailed."""

    def __init__(
        self, python: Path, environment: dict[str, str], log: Path, limit: float = PATIENCE
    ):
        """limit: seconds for a request of which nothing else is said."""
        self.log, self.limit = log, limit
        self.started = time.monotonic()  # the whole system's: what a worker tells lies on it
        self.dead: WorkerFailed | None = None
        self._stuck = False  # killed, and not gone
        self._ooms = _oom_kills()
        ask_read, ask_write = os.pipe()
        answer_read, answer_write = os.pipe()
        inherited = {k: v for k, v in machine.handed_on().items() if not k.startswith(TESTING)}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [python, "-m", "harness.worker.worker", str(ask_read), str(answer_write)],
                cwd=ROOT,
                env={**inherited, **environment, "PYTHONPATH": python_path()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(ask_read, answer_write),
                start_new_session=True,
            )
        guard.watch(self._process.pid)
        os.close(ask_read)
        os.close(answer_write)
        self._reaping = threading.Lock()  # no signal between being reaped and being known to be
        self._ask, self._answer = ask_write, answer_read
        self._end = _pidfd(self.pid)
        self._buffer = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, do: str, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
        """Sends one request, returns its answer. Raises WorkerFailed. timeout: another limit.

        After a death, a `timeout`, and an answer that cannot be read the worker is gone, and
        every further `ask` raises the same again; other failures leave it usable.
        """
        if self.dead is not None:
            raise self.dead
        self.resume()
        timeout = self.limit if timeout is None else timeout
        try:
            os.write(self._ask, json.dumps({"do": do, **arguments}).encode() + b"\n")
            line = self._line(time.monotonic() + timeout)
        except (BrokenPipeError, EOFError):
            raise self._died() from None
        except TimeoutError:
            reason = f"'{do}' took longer than its limit of {timeout:.0f} s and was ended"
            raise self._ended_for(WorkerFailed("timeout", reason)) from None
        try:
            answer = answers.read(line, do, arguments)
        except ValueError as error:
            reason = f"its answer to '{do}' cannot be read: {error}"
            raise self._ended_for(WorkerFailed("crash", reason)) from None
        if "failed" in answer:
            failed = WorkerFailed(answer["failed"], answer.get("reason") or "it gave no reason")
            raise self._ended_for(failed) if POISONED.search(failed.reason) else failed
        return answer

    def _ended_for(self, failed: WorkerFailed) -> WorkerFailed:
        self.dead = failed  # before it is killed, which would be its reason
        self.kill()
        return failed

    def _line(self, deadline: float) -> bytes:
        """Its next answer. A child of its may hold the pipe open when it has died."""
        while b"\n" not in self._buffer:
            if not _ready(self._answer, self._end, seconds=deadline - time.monotonic()):
                if self._answer < 0:  # another thread has killed it
                    raise EOFError
                raise TimeoutError
            # Dead or not, what it has said is in the pipe.
            data = os.read(self._answer, 1 << 16) if _ready(self._answer) else b""
            if not data:
                raise EOFError
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _died(self) -> WorkerFailed:
        """Its pipe is closed: say how it ended, with the last thing it printed."""
        ended = self._ended(5)
        self.kill()
        code = self._process.returncode if ended else None
        if code is None:
            how = "closed its pipe, went on, and was ended"
        elif code < 0:
            how = f"killed by {_signal_name(-code)}"
        else:
            how = f"ended with exit status {code}"
        status = "crash"
        if code == -signal.SIGKILL and _oom_kills() > self._ooms:
            status, how = "oom", "killed by the kernel, which was out of memory"
        last = last_line(self.log)
        self.dead = WorkerFailed(status, f"{how}; last output: {last}" if last else how)
        return self.dead

    def gone(self) -> bool:
        """Whether it has ended, asked or not: `dead` says how."""
        if self.dead is None and self._ended(0):
            self._died()
        return self.dead is not None

    def stop(self) -> None:
        """Suspend it and its children: an idle framework's threads may spin."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self, by_force: bool = False) -> None:
        """End it in peace, or else by force; keep the tail of its log."""
        if self.dead is None and not by_force:
            try:
                self.ask("close", timeout=10)
                self._ended(5)
            # After an interruption another thread may still be asking, and close its pipes.
            except (WorkerFailed, OSError, ValueError):
                pass
        self.kill()
        _keep_tail(self.log)

    def kill(self) -> None:
        """It and its children, whether it has ended or not; then it is reaped."""
        with self._reaping:
            self._send(signal.SIGKILL)
            # One that the kernel does not let go of (in a driver, or a disk) is left behind.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0 if self._stuck else KILLED)
            self._stuck = self._process.returncode is None
            # One thread's alone: a number that is closed twice may be another file's by then.
            descriptors = self._ask, self._answer, self._end
            self._ask = self._answer = self._end = -1
        if not self._stuck:
            guard.forget(self.pid)
        for descriptor in descriptors:
            if descriptor >= 0:
                os.close(descriptor)
        if self.dead is None:
            how = "cannot be ended, even by force" if self._stuck else "has been ended"
            self.dead = WorkerFailed("crash", f"the worker {how}")

    def _ended(self, seconds: float) -> bool:
        """Whether it ends within `seconds`. It is not reaped by that."""
        deadline = time.monotonic() + seconds
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        with suppress(ChildProcessError):  # another thread has reaped it
            while os.waitid(os.P_PID, self.pid, look) is None:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.005)
        return True

    def _signal(self, number: int) -> None:
        with self._reaping:
            self._send(number)

    def _send(self, number: int) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # where SIGCHLD is ignored the kernel reaps
                os.killpg(self.pid, number)


def _pidfd(pid: int) -> int:
    """A descriptor that can be read once a process has ended; -1 where there are none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # Linux before 5.3: its pipe alone tells of its end
        return -1


def _ready(*descriptors: int, seconds: float = 0.0) -> list[int]:
    """Those that can be read within `seconds`; of none, none at once."""
    there = [descriptor for descriptor in descriptors if descriptor >= 0]
    if not there:
        return []
    return select.select(there, [], [], max(0.0, seconds))[0]


def last_line(log: Path) -> str:
    """The last line of a log that says something, for a reason of one line."""
    try:
        text = _tail(log).decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _tail(log: Path) -> bytes:
    """The end of a log, which may be larger than memory."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL))
        return file.read(LOG_TAIL)


def _keep_tail(log: Path) -> None:
    """Cut a log to its tail; an empty one goes."""
    try:
        size = log.stat().st_size
        if not size:
            log.unlink()
        elif size > LOG_TAIL:
            log.write_bytes(b"(the beginning is cut)\n" + _tail(log))
    except OSError as error:
        print(f"{log}: {error}", file=sys.stderr)


def _oom_kills() -> int:
    """How many processes the kernel has killed for memory since it started."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def _signal_name(number: int) -> str:
    """Real-time signals have numbers alone."""
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
