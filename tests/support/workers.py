"""Workers of real adapters, and the reference's answers, each computed once."""

import sys
from pathlib import Path
from typing import Any

from harness.host import machine
from harness.process.processes import WorkerFailed, WorkerProcess
from tests.support import inside

THREADS = machine.threads()
Key = tuple[str, str, int, int | None]  # workload, direction, batch, size


Opened = tuple[WorkerProcess, dict[str, Any]]  # a worker, and what it answered to `open`


def start(python: Path, adapter: str, variant: str, precision: str, folder: Path) -> WorkerProcess:
    """One compiler cache for all tests: else each prepares the compiler's own headers anew."""
    return _opened(python, adapter, variant, precision, folder, folder.parent / "compiled")[0]


def ready(adapter: str, precision: str, folder: Path, variant: str = "") -> Opened:
    """In the adapter's own environment, with a cache that nobody filled before."""
    python = inside.python_of(adapter)
    return _opened(python, adapter, variant, precision, folder, folder / "cache")


def _opened(
    python: Path, adapter: str, variant: str, precision: str, folder: Path, cache: Path
) -> Opened:
    environment = machine.worker_environment("cpu", THREADS, cache)
    worker = WorkerProcess(python, environment, folder / f"{adapter}-{variant}-{precision}.txt")
    asked = {"adapter": adapter, "variant": variant, "device": "cpu", "precision": precision}
    try:
        return worker, worker.ask("open", **asked, threads=THREADS)
    except WorkerFailed:
        worker.close()
        raise


def load(worker: WorkerProcess, key: Key) -> None:
    name, direction, batch, size = key
    worker.ask("load", workload=name, direction=direction, batch=batch, size=size)


class Oracle:
    """The reference's answers, each computed once, for all who test side by side."""

    def __init__(self, folder: Path, answers: Path):
        self.folder, self.answers = folder, answers
        self._worker: WorkerProcess | None = None

    @property
    def worker(self) -> WorkerProcess:
        if self._worker is None:
            self._worker = start(Path(sys.executable), "reference", "", "float64", self.folder)
        return self._worker

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()

    def answer(self, key: Key, precision: str) -> Path:
        path = self.answers / f"{'-'.join(map(str, key))}-{precision}.npz"
        if not path.exists():
            own = self.folder / path.name
            load(self.worker, key)
            self.worker.ask("first")
            self.worker.ask("answer", path=str(own), rows=None, precision=precision)
            self.worker.ask("unload")
            own.rename(path)  # whole, or not there
        return path
