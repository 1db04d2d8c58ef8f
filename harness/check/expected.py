"""What the reference expects of small cases: each computed once, whoever is checked against it.

with Expected() as expected:
    path = expected.of(workload, "train", steps=3)  # an .npz, as a worker's `verify` reads it
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from harness.errors import Wrong
from harness.host import machine
from harness.process.launch import Launcher
from harness.process.processes import WorkerFailed, WorkerProcess
from harness.run import oracle
from suites.workload import Workload

PATIENCE = 300.0
SMALL = {"alexnet": 95, "resnet18": 64, "resnet50": 64, "vgg_stage": 28}  # pixels: of the largest
BATCH = 3  # at most


class Expected:
    """A worker of the reference, once it is asked for, and a folder that is gone with it."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._launcher: Launcher | None = None
        self._worker: WorkerProcess | None = None
        self._known: dict[tuple[str, str, int, int], Path] = {}

    def __enter__(self) -> "Expected":
        return self

    def __exit__(self, *_: object) -> None:
        if self._launcher is not None:
            self._launcher.kill_all()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def folder(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="bakeoff-expected-")
        return Path(self._folder.name)

    @property
    def worker(self) -> WorkerProcess:
        """A new one where the last has died. Raises Wrong where it does not open."""
        count = machine.threads()
        if self._launcher is None:
            cpus = sorted(machine.cpu_set(count))
            self._launcher = Launcher(
                self.folder, "cpu", True, count, cpus, False, timeout=PATIENCE
            )
        if self._worker is None or self._worker.dead is not None:
            self._worker = self._launcher.start_reference("reference")
            try:
                with _whole(self._worker):
                    oracle.open_reference(self._worker, count)
            except WorkerFailed as failed:
                why = f"{failed.status}: {failed.reason}"
                raise Wrong(f"the reference does not open: {why}") from None
        return self._worker

    def of(self, workload: Workload, direction: str, steps: int = 1, seed: int = 0) -> Path:
        """After so many steps; past the first, what one step alone defines (an update by the
        gradient) is left out. seed: of the inputs. Raises Wrong where the reference has none."""
        key = (workload.name, direction, steps, seed)
        if key not in self._known:
            worker = self.worker
            path = self.folder / f"answer-{len(self._known)}.npz"
            try:
                with _whole(worker):
                    load(worker, workload, direction)
                    if seed:
                        worker.ask("feed", seed=seed)
                    worker.ask("first")
                    if steps > 1:
                        worker.ask("again", calls=steps - 1)
                    worker.ask("answer", path=str(path), rows=None, precision="float64")
            except WorkerFailed as failed:  # which is no fault of an adapter's
                raise Wrong(
                    f"the reference failed in {workload.name}, {direction}: {failed.status}: "
                    f"{failed.reason}; that says nothing of who is checked: make room on this "
                    "machine, and check again"
                ) from None
            if steps > 1:
                with np.load(path) as arrays:
                    kept = {n: arrays[n] for n in arrays.files if not n.startswith("params:")}
                np.savez(path, **kept)
            self._known[key] = path
        return self._known[key]


@contextmanager
def _whole(worker: WorkerProcess) -> Iterator[None]:
    """Whoever is interrupted while it computes (a share of the time is over) leaves nobody a worker
    whose late answer would be taken for another's."""
    try:
        yield
    except WorkerFailed:
        raise
    except BaseException:
        worker.kill()
        raise


def load(worker: WorkerProcess, workload: Workload, direction: str) -> None:
    """A case at its small size, in whatever worker."""
    worker.ask(
        "load",
        workload=workload.name,
        batch=min(workload.batch, BATCH),
        size=SMALL.get(workload.name),
        direction=direction,
    )
