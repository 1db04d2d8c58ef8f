"""The oracle's answers: the float64 reference's result, once per comparison.

They are computed in a process of their own and kept by hash of the question, in a folder of
the code that gives it its meaning, so that the next run need not ask again. Where the
reference cannot follow (a training batch past its reach), a batch of two is verified in
its place, and the full batch's loss is recorded: reports compare it between contenders.
"""

import hashlib
import os
import shutil
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.paths import ROOT
from harness.plan.plan import PlannedComparison
from harness.process.launch import Launcher
from harness.process.processes import WorkerFailed, WorkerProcess

# What float64 NumPy does in about half a minute on two cores, and in a few gigabytes.
MOST_FLOPS = 1e12
MOST_ACTIVATION_BYTES = 1.5e9
ROWS = 2
KEPT = 24 * 3600.0  # seconds at least, once the code is another

FOLDER = ROOT / ".cache" / "oracle"


@dataclass(frozen=True)
class Question:
    """What is verified of one comparison."""

    batch: int  # of the call that is verified
    rows: int | None  # how many rows of its output; None for all of it
    whole: bool  # whether the verified call is the timed one


def question(comparison: PlannedComparison) -> Question:
    return asked_of(comparison.batch, comparison.direction, comparison.cost)


def asked_of(batch: int, direction: str, cost: Any) -> Question:
    """Inference is row by row, so the timed batch's first and last suffice; training is not.

    cost: of a call of the whole batch (adapters/core/cost.py).
    """
    if direction == "infer":
        return Question(batch, min(batch, ROWS), True)
    if cost.flops <= MOST_FLOPS and 8 * cost.activations <= MOST_ACTIVATION_BYTES:
        return Question(batch, None, True)
    return Question(min(batch, ROWS), None, False)


def path(comparison: PlannedComparison) -> Path:
    """Where its answer is kept."""
    asked = question(comparison)
    key = (
        comparison.workload,
        comparison.size,
        comparison.direction,
        comparison.precision == "float64",
        asked.batch,
        asked.rows,
    )
    return FOLDER / _meaning() / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}.npz"


def _meaning() -> str:
    """A hash of the code that decides what the answer is."""
    digest = hashlib.sha256()
    files = [*(ROOT / "adapters" / "core").glob("*.py"), *(ROOT / "suites").glob("*.py")]
    for file in sorted([*files, ROOT / "harness" / "worker" / "cell.py"]):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:24]


def answer(launcher: Launcher, comparison: PlannedComparison) -> Path:
    """Computes the answer unless it is kept. Raises WorkerFailed."""
    kept = path(comparison)
    if zipfile.is_zipfile(kept):
        with suppress(OSError):
            os.utime(kept.parent)  # in use: see below
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    _forget_all_but(kept.parent)
    asked = question(comparison)
    worker = launcher.start_reference(f"reference-{comparison.id}")
    try:
        open_reference(worker, launcher.threads)
        load(worker, comparison, batch=asked.batch, rows=asked.rows)
        worker.ask("first")
        worker.ask("answer", path=str(kept), rows=asked.rows, precision=comparison.precision)
    finally:
        launcher.close(worker)
    return kept


def _forget_all_but(folder: Path) -> None:
    """Nobody asks again for what other code answered, and VGG's gradients are half a gigabyte.

    What was used lately stays: a run that began before the code was edited may still read it.
    """
    for other in FOLDER.iterdir():
        with suppress(FileNotFoundError):  # another run forgets it now
            if other == folder or time.time() - other.stat().st_mtime < KEPT:
                continue
            if other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink()


def open_reference(worker: WorkerProcess, threads: int) -> None:
    """The reference computes in float64 on the CPU, whatever is measured."""
    worker.ask(
        "open",
        adapter="reference",
        variant="",
        device="cpu",
        precision="float64",
        threads=threads,
    )


def verify(worker: WorkerProcess, comparison: PlannedComparison, kept: Path) -> dict[str, Any]:
    """Holds the worker's first call against the kept answer -> the record's `oracle`.

    Where the timed batch is past the reference's reach, the worker answers for the small
    one instead: what it had loaded is gone afterwards. Raises WorkerFailed, `wrong` with
    the first thing that is.
    """
    asked = question(comparison)
    if not asked.whole:
        load(worker, comparison, batch=asked.batch)
        worker.ask("first")
    found = worker.ask("verify", oracle=str(kept), rows=asked.rows)
    found["oracle"]["batch"] = asked.batch
    if not found["ok"]:
        raise Mistaken(found["reason"], found["oracle"])
    return found["oracle"]


class Mistaken(WorkerFailed):
    """The contender computes something else: it is shown as wrong, with the evidence."""

    def __init__(self, reason: str, evidence: dict[str, Any]):
        super().__init__("wrong", reason)
        self.evidence = evidence


def load(
    worker: WorkerProcess,
    comparison: PlannedComparison,
    batch: int | None = None,
    rows: int | None = None,
    **further: Any,
) -> dict[str, Any]:
    """Asks a worker to place one comparison's weights and inputs. further: of docs/worker.md."""
    return worker.ask(
        "load",
        workload=comparison.workload,
        batch=batch or comparison.batch,
        size=comparison.size,
        direction=comparison.direction,
        rows=rows,
        **further,
    )
