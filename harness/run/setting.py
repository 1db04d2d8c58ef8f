"""One cell being set up in one launch: what comes before its turns, and is not timed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.plan.plan import PlannedComparison, PlannedContender
from harness.process.launch import attempt
from harness.process.processes import WorkerFailed, WorkerProcess
from harness.run import oracle
from harness.run.cold import blank
from harness.run.frozen import Frozen


@dataclass
class Setting:
    """One cell being set up in one launch: loaded and called once; then warmed up.

    answer: the reference's, where it has one. frozen: what earlier launches found of the cell,
    and what this one adds. draw: which of an autotuner's compilations this launch is of.
    """

    comparison: PlannedComparison
    contender: PlannedContender
    worker: WorkerProcess
    answer: Path | None
    frozen: Frozen
    launch: int
    draw: int
    warmup_limit: float
    failed: WorkerFailed | None = None
    record: dict[str, Any] = field(init=False)
    first_time: bool = field(init=False)

    def __post_init__(self) -> None:
        self.first_time = self.key not in self.frozen.warmup
        log = self.worker.log.name
        self.record = blank("steady", self.comparison.id, self.contender.name, log)
        self.record["launch"] = self.launch

    @property
    def key(self) -> tuple[str, str]:
        return self.comparison.id, self.contender.name

    def load(self) -> None:
        """Loads it, calls it once, and verifies that; a failure is kept in `failed`."""
        _, self.failed = attempt(self._load)
        if isinstance(self.failed, oracle.Mistaken):
            self.record["oracle"] = self.failed.evidence
        if self.failed:
            self._release()
        self.worker.stop()

    def _release(self) -> None:
        """Whoever failed holds no memory that the others may want, on a device above all."""
        attempt(lambda: self.worker.ask("unload"))

    def _load(self) -> dict[str, Any]:
        """Load and call once; verify what has not been verified in this run: an autotuner's
        next draw is other code. Where a smaller batch is verified in place of the timed one, that
        is no draw of what is timed: of a later one the loss alone is asked."""
        code = (self.key, self.draw)
        verified = self.frozen.verified
        fresh = self.contender.computes and code not in verified
        answer = self.answer if fresh else None
        whole = oracle.question(self.comparison).whole
        if answer and not whole:
            small = all(key != self.key for key, _ in verified)
            self.record["oracle"] = (
                oracle.verify(self.worker, self.comparison, answer) if small else {}
            )
        loaded = oracle.load(self.worker, self.comparison)
        first = self.worker.ask("first")
        self.record["seconds"] = {"load": loaded["load"], "first_call": first["first_call"]}
        self.record["manifest"] = first["manifest"]
        if answer and whole:
            self.record["oracle"] = oracle.verify(self.worker, self.comparison, answer)
        elif answer:
            self.record["oracle"] |= self.worker.ask("loss")
        if answer:
            verified.add(code)
        return {}

    def warm(self) -> None:
        """Until steady the first time; 1.5 times as many calls in every later launch."""
        if self.failed:
            return
        known = self.frozen.warmup.get(self.key)
        warmed, self.failed = attempt(lambda: self._warm(known))
        if self.failed:
            self._release()
        self.worker.stop()
        if self.failed is None and known is None:
            self.frozen.freeze(self.key, warmed)
            self.record["warmup"] = warmed

    def _warm(self, known: int | None) -> dict[str, Any]:
        """The first time, its `sync` is held to its word before anything is timed.

        Once for each direction: what it waits for is a result of that kind, whatever its size,
        and a large one takes a GPU's host many seconds to fetch so often.
        """
        warmed = self.worker.ask("warm", calls=known, limit=self.warmup_limit)
        kind = self.contender.name, self.comparison.direction
        if kind not in self.frozen.waits and self.contender.computes:
            self.worker.ask("waits")
            self.frozen.waits.add(kind)
        return warmed
