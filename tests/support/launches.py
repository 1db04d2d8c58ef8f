"""A launch group without processes: its workers answer from a script."""

import random
from typing import Any

from harness.run.frozen import Frozen
from harness.run.steady import LaunchGroup


class Worker:
    """Answers the first turn with 1, the next one with 2, and so on."""

    dead = None
    limit = 1.0

    def __init__(self) -> None:
        self.turns = 0

    def ask(self, do: str, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
        self.turns += 1
        return {"turn": {"calls": [self.turns], "dropped": 0, "total_ns": 1}}

    def stop(self) -> None:
        pass

    def gone(self) -> bool:
        return self.dead is not None


def group_of(written: list[str]) -> LaunchGroup:
    frozen = Frozen()
    frozen.freeze(("one", "torch"), {"needed": 1, "call": 1.0})
    nothing: Any = None
    group = LaunchGroup(
        launcher=nothing,
        number=3,
        begun=3,
        contenders={},
        answers={},
        frozen=frozen,
        warmup_limit=1.0,
        autotuned={"torch"},
        rng=random.Random(0),
        write=lambda kind, **fields: written.append(fields["reason"]),
        say=lambda what, **told: None,
    )
    group.workers["torch"] = Worker()  # type: ignore[assignment]
    return group
