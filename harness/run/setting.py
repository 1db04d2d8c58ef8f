"""One cell being set up in one launch: what comes before its turns, and is not timed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.plan.plan import PlannedComparison
from harness.process.launch import attempt
from harness.process.processes import WorkerFailed
from harness.run import oracle
from harness.run.cold import blank

if TYPE_CHECKING:
    from harness.run.steady import LaunchGroup


class Setting:
    """One cell being set up in one launch: loaded and called once; then warmed up."""

    def __init__(self, group: "LaunchGroup", comparison: PlannedComparison, name: str):
        self.group, self.comparison, self.name = group, comparison, name
        self.key = (comparison.id, name)
        self.worker = group.workers[name]
        self.first_time = self.key not in group.frozen.warmup
        self.record = blank("steady", comparison.id, name, self.worker.log.name)
        self.record["launch"] = group.number
        self.failed: WorkerFailed | None = None

    def load(self) -> "Setting":
        """Loads it, calls it once, and verifies that; a failure is kept in `failed`."""
        _, self.failed = attempt(self._load)
        if isinstance(self.failed, oracle.Mistaken):
            self.record["oracle"] = self.failed.evidence
        if self.failed:
            self._release()
        self.worker.stop()
        return self

    def _release(self) -> None:
        """Whoever failed holds no memory that the others may want, on a device above all."""
        attempt(lambda: self.worker.ask("unload"))

    def _load(self) -> dict[str, Any]:
        """Load and call once; verify what has not been verified in this run: an autotuner's
        next draw is other code."""
        frozen = self.group.frozen
        computes = self.group.contenders[self.name].computes
        answer = self.group.answers.get(self.comparison.id)
        code = (self.key, self.group.draw(self.name))
        verify = computes and answer is not None and code not in frozen.verified
        whole = oracle.question(self.comparison).whole
        if verify and not whole:
            self.record["oracle"] = self._verify(answer)
        loaded = oracle.load(self.worker, self.comparison)
        first = self.worker.ask("first")
        self.record["seconds"] = {"load": loaded["load"], "first_call": first["first_call"]}
        self.record["manifest"] = first["manifest"]
        if verify and whole:
            self.record["oracle"] = self._verify(answer)
        elif verify:
            self.record["oracle"] |= self.worker.ask("loss")
        if verify:
            frozen.verified.add(code)
        return {}

    def _verify(self, answer: Path | None) -> dict[str, Any]:
        assert answer is not None
        return oracle.verify(self.worker, self.comparison, answer)

    def warm(self) -> None:
        """Until steady the first time; 1.5 times as many calls in every later launch."""
        if self.failed:
            return
        frozen, limit = self.group.frozen, self.group.warmup_limit
        known = frozen.warmup.get(self.key)
        warmed, self.failed = attempt(lambda: self._warm(known, limit))
        if self.failed:
            self._release()
        self.worker.stop()
        if self.failed is None and known is None:
            frozen.freeze(self.key, warmed)
            self.record["warmup"] = warmed

    def _warm(self, known: int | None, limit: float) -> dict[str, Any]:
        """The first time, its `sync` is held to its word before anything is timed.

        Once for each direction: what it waits for is a result of that kind, whatever its size,
        and a large one takes a GPU's host many seconds to fetch so often.
        """
        warmed = self.worker.ask("warm", calls=known, limit=limit)
        kind = self.name, self.comparison.direction
        if kind not in self.group.frozen.waits and self.group.contenders[self.name].computes:
            self.worker.ask("waits")
            self.group.frozen.waits.add(kind)
        return warmed
