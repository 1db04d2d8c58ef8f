"""The worker: the only code of ours that runs beside a framework.

    python -m harness.worker.worker ASK ANSWER

ASK and ANSWER are file descriptors: it reads one request a line, as JSON, and answers
each with one line. It needs the standard library, NumPy and its framework. What a
framework prints goes to standard output and error, which nobody parses.

A request names a method below (`do`) and its arguments. An answer is the method's
result, or {"failed": STATUS, "reason": ONE LINE}; the traceback goes to the log. The whole
protocol, for workers in other languages: docs/worker.md.

    open -> (load -> first -> verify? -> warm -> waits? -> turn* -> block? -> unload)* -> close
"""

import ctypes
import gc
import json
import math
import os
import resource
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from adapters.core import profiling
from adapters.core.base import Adapter, Unsupported
from harness.worker import roundtrips, timing, verify
from harness.worker.cell import Cell, WrongRows
from suites import catalogue

PROTOCOL = 3  # docs/worker.md; rises when an old worker would be misunderstood
# What frameworks, cuDNN and cuBLAS say, in capitals, where memory is all there was too little of.
NO_MEMORY = (
    "OUT OF MEMORY", "OUTOFMEMORY", "OUT_OF_MEMORY", "RESOURCE_EXHAUSTED",
    "STATUS_ALLOC_FAILED", "FAILED TO ALLOCATE MEMORY", "RESOURCEEXHAUSTED",
    "OOM WHEN ALLOCATING",
)  # fmt: skip
LEAST_WARM = 0.2  # seconds, on a device: its clocks rise as it works
NOT_FINITE = {"failed": "wrong", "reason": "the loss is no longer finite after one turn"}


class Worker:
    """One adapter, and at most one cell at a time."""

    adapter: Adapter
    cell: Cell

    def open(
        self,
        adapter: str,
        variant: str,
        device: str,
        precision: str,
        threads: int,
        cpus: list[int] | None = None,
        planted: float = 0.0,
    ) -> dict[str, Any]:
        """Import the framework and settle what is settled once per process.

        planted: a slowdown that is to be found, as a share of each call's own time.
        """
        self.planted = planted
        for thread in os.listdir("/proc/self/task") if cpus else ():
            os.sched_setaffinity(int(thread), cpus or ())  # NumPy's BLAS has threads by now
        begin = time.perf_counter()
        kind = _adapter_class(adapter)
        reason = kind.missing(variant)
        if reason is not None:
            raise Unsupported(reason)
        self.adapter = kind(variant, device, precision, threads)
        seconds = time.perf_counter() - begin
        manifest = self.adapter.manifest()
        if not isinstance(manifest, dict):
            raise TypeError(f"manifest gives {manifest!r}: expected a dict")
        return {
            "protocol": PROTOCOL,
            "import": seconds,
            "rss_bytes": _resident("VmRSS"),
            "manifest": manifest,
        }

    def load(
        self,
        workload: str,
        batch: int,
        direction: str,
        size: int | None = None,
        rows: int | None = None,
        once: bool = False,
    ) -> dict[str, Any]:
        """Place weights and inputs. `rows`: for an oracle, of the batch only so many. `once`: for a
        first result alone, and what that takes: a start state is not kept, nor the benchmark's own
        copies of the weights counted."""
        if not once and not gc.get_freeze_count() and "cell" not in self.__dict__:
            # What an import has left stays: else each collection walks all of it, two at every
            # `unload`, which took 0.36 s on average and takes 0.05. Not where a person's start is
            # measured, whose Python does not do that.
            gc.freeze()
        if "cell" in self.__dict__:  # before the next takes as much again: it is part of a cycle
            self.result = None
            del self.cell
            gc.collect()
        begin = time.perf_counter()
        resized = catalogue.get(workload).resized(size)
        self.cell = Cell(self.adapter, resized, batch, direction, rows, once=once)
        self.cell.build()
        if self.planted:
            self.cell.step = timing.slowed(self.cell.step, self.cell.sync, self.planted)
        told: dict[str, Any] = {}
        if once:
            began = time.perf_counter()
            told = _forget_peak()
            self.cell.drawn += time.perf_counter() - began
        took, drawn = time.perf_counter() - begin, self.cell.drawn
        return {"load": took - drawn, "drawn": drawn, **told}

    def first(self) -> dict[str, Any]:
        """The first call, which compiles; its result is kept for `verify`."""
        begin = time.perf_counter()
        self.result = self.cell.step()
        self.cell.sync(self.result)
        return {
            "first_call": time.perf_counter() - begin,
            "finished": time.monotonic(),
            "peak_rss_bytes": _resident("VmHWM"),
            "memory": self.adapter.memory(),
            "manifest": self.adapter.manifest() | self.cell.manifest(),
        }

    def verify(self, oracle: str, rows: int | None) -> dict[str, Any]:
        """Hold the first call's own result against the oracle's answer (an .npz file)."""
        answer = self.cell.answer(self.result, rows)
        with np.load(oracle) as arrays:
            expected = {name: arrays[name] for name in arrays.files}
        found = verify.compare(
            answer,
            expected,
            self.adapter.precision,
            device=self.adapter.device,
            reduction=self.cell.reduction,
        )
        del answer, expected
        _trim()
        return {"oracle": found.as_dict(rows), "ok": found.ok, "reason": found.reason}

    def answer(self, path: str, rows: int | None, precision: str) -> dict[str, Any]:
        """Write the first call's result, as canonical arrays, to an .npz file."""
        kept = np.float32 if precision != "float64" else np.float64
        answer = self.cell.answer(self.result, rows)
        arrays: dict[str, Any] = {name: value.astype(kept) for name, value in answer.items()}
        temporary = Path(path).with_suffix(f".{os.getpid()}.npz")
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())  # else a power cut leaves its name, and nothing in it
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return {}

    def loss(self) -> dict[str, Any]:
        """The first call's loss: compared between contenders where no oracle can follow."""
        loss = self.cell.loss(self.result)
        if loss is not None and not math.isfinite(loss):
            return {"failed": "wrong", "reason": f"the loss of the whole batch is {loss}"}
        return {"loss": loss}

    def warm(self, calls: int | None = None, limit: float = 3.0) -> dict[str, Any]:
        """Until it is steady; or a fixed number of calls, as an earlier launch found."""
        self.result = None
        self.adapter.forget_trials()  # else its neighbours on a device have less
        self.cell.restore()
        if calls is None:
            least = 0.0 if self.adapter.device == "cpu" else LEAST_WARM
            return timing.warm_up(self.cell.step, self.cell.sync, limit, least)
        begin = time.perf_counter()
        timing.synced(self.cell.step, self.cell.sync, calls)
        return {"calls": calls, "seconds": time.perf_counter() - begin, "steady": True}

    def again(self, calls: int) -> dict[str, Any]:
        """So many further calls; the last one's result is kept for `verify`."""
        for _ in range(calls):
            self.result = self.cell.step()
        self.cell.sync(self.result)
        return {}

    def feed(self, seed: int) -> dict[str, Any]:
        """Other inputs into the same call: one that keeps its first result does not see them."""
        self.cell.feed(seed)
        return {}

    def round_trips(self) -> dict[str, Any]:
        """Whether what is placed comes back as it was."""
        reason = roundtrips.mistake(self.adapter)
        return {"failed": "wrong", "reason": reason} if reason else {}

    def turn(self, calls: int, latency: bool, queue: bool) -> dict[str, Any]:
        """One turn, from the start state; a training's loss must still be finite after it."""
        self.cell.restore()
        turn = timing.turn(self.cell.step, self.cell.sync, calls, latency, queue)
        return {"turn": turn} if self.cell.finite() else NOT_FINITE

    def block(self, calls: int, seconds: float) -> dict[str, Any]:
        """Training without a pause, for about `seconds`; its loss must still be finite."""
        cell = self.cell
        block = timing.sustained(cell.step, cell.sync, cell.restore, calls, seconds)
        return {"block": block} if cell.finite() else NOT_FINITE

    def waits(self, abandoned: bool = False) -> dict[str, Any]:
        """Whether this adapter's `sync` waits for the work: else every figure is a lie.

        abandoned: also whether a call computes whose result nobody asks for.
        """
        asked = self.cell.step, self.cell.sync, self.cell.fetch
        share = timing.unfinished(*asked)
        if share > timing.MOST_UNFINISHED:
            reason = f"its sync does not wait: {share:.0%} of the time of its calls comes after it"
            return {"failed": "wrong", "reason": reason}
        left = timing.abandoned(*asked) if abandoned else 0.0
        if left > timing.MOST_UNFINISHED:
            reason = (
                f"a call does not compute until its result is asked for: {left:.0%} of it was left "
                "once the next call's was there"
            )
            return {"failed": "wrong", "reason": reason}
        return {"unfinished": share}

    def memory(self, calls: int = 0) -> dict[str, Any]:
        """Peaks so far; or, on a device, of so many further calls, whose kernels are chosen."""
        if calls:
            self.result = None
            self.adapter.forget_trials()
            timing.synced(self.cell.step, self.cell.sync, calls)
        return {"peak_rss_bytes": _resident("VmHWM"), "memory": self.adapter.memory()}

    def profile(self, calls: int = 2, draws: int = 3) -> dict[str, Any]:
        """`calls` warm ones; then by turns one that is timed, and one under the profiler.

        The quickest of `draws` of each is told: another program only ever makes them longer.
        """
        self.result, began, took = None, 0.0, 0.0
        cell = self.cell
        cell.restore()
        timing.synced(cell.step, cell.sync, calls)

        def call() -> Any:
            nonlocal began
            began = time.perf_counter()
            return cell.step()

        def sync(result: Any) -> None:
            nonlocal took
            cell.sync(result)
            took = time.perf_counter() - began

        plain: list[float] = []
        profiled: list[tuple[float, list[tuple[str, float, int]]]] = []
        for _ in range(draws):
            sync(call())
            plain.append(took)
            events = self.adapter.profile(call, sync)
            profiled.append((took, events))
        least, events = min(profiled, key=lambda one: one[0])
        told = {"wall_s": min(plain), "profiled_s": least, **profiling.summary(events)}
        return {"profile": told}

    def unload(self) -> dict[str, Any]:
        """Forget the cell and what was compiled for it."""
        self.result = None
        self.__dict__.pop("cell", None)
        gc.collect()  # a cell is part of a cycle; what it held is free before the pools are emptied
        self.adapter.reset()
        gc.collect()
        _trim()
        return {}

    def close(self) -> dict[str, Any]:
        if "adapter" in self.__dict__:
            self.adapter.close()
        return {}


def _forget_peak() -> dict[str, int]:
    """From here on this process's peak is of what it holds now -> that, in bytes.

    What it took to draw weights, to place them and to write a model no user's process takes.
    Where the kernel will not forget it, nothing is told: the peak stays that of the whole process.
    """
    gc.collect()
    _trim()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): VmHWM becomes VmRSS
    except OSError:
        return {}
    return {"rss_bytes": _resident("VmRSS")}


def _trim() -> None:
    """glibc was told to keep what is freed (machine.py): seven idle workers would fill memory."""
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def _adapter_class(name: str) -> type[Adapter]:
    if name == "reference":  # no contender: it answers for the oracle
        from adapters.core.reference import Reference

        return Reference
    from adapters.core.discovery import adapter_class

    return adapter_class(name)


def failure(error: BaseException) -> dict[str, str]:
    """An exception as an answer: a status, and one line for a person."""
    whole = " ".join(str(error).split())  # TensorFlow says what it lacked after where it was
    text = whole[:500]
    if isinstance(error, Unsupported):
        return {"failed": "unsupported", "reason": text}
    if isinstance(error, WrongRows):
        return {"failed": "wrong", "reason": text}
    shouted = f"{type(error).__name__} {whole}".upper()
    if isinstance(error, MemoryError) or any(mark in shouted for mark in NO_MEMORY):
        return {"failed": "oom", "reason": text or type(error).__name__}
    if isinstance(error, ImportError):
        return {"failed": "unsupported", "reason": f"its framework does not import: {text}"}
    return {"failed": "crash", "reason": f"{type(error).__name__}: {text}"}


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the runner ends: a stopped process sees no closed pipe."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def serve(ask: int, answer: int) -> None:
    """Until `close`. After an `open` that failed, every answer is how it failed."""
    worker, refused = Worker(), None
    with os.fdopen(ask, "rb") as requests, os.fdopen(answer, "wb", buffering=0) as answers:
        for line in requests:
            request = json.loads(line)
            do = request.pop("do")
            try:
                # What did not open has nothing else to say.
                reply = refused if refused and do != "close" else getattr(worker, do)(**request)
            except Exception as error:
                if not isinstance(error, Unsupported):  # which is said, and no mishap
                    traceback.print_exc()
                sys.stderr.flush()
                reply = failure(error)
            if do == "open" and "failed" in reply:
                refused = reply
            answers.write(json.dumps(reply).encode() + b"\n")
            if do == "close":
                return


def _resident(field: str) -> int:
    """VmRSS (now) or VmHWM (peak) of this process, in bytes."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    die_with_parent()
    serve(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a framework's own exit handlers may hang or crash after the work is done
