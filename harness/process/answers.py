"""What a worker's answers must hold, request by request: the table of docs/worker.md.

A worker may come to be anybody's program. An answer that lacks what is read of it later, or that
no record could hold, is that contender's crash, and nobody else's.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import field

from harness.record import records

Seconds = float
Memory = dict[str, int | None]


class Failed(msgspec.Struct):
    failed: Literal["wrong", "oom", "crash", "timeout", "unsupported"]
    reason: str | None = None


class Opened(msgspec.Struct):
    protocol: Literal[3]
    import_: Seconds = field(name="import")
    rss_bytes: int
    manifest: dict[str, Any]


class Loaded(msgspec.Struct):
    load: Seconds
    drawn: Seconds = 0.0
    rss_bytes: int | None = None


class First(msgspec.Struct):
    first_call: Seconds
    finished: Seconds
    peak_rss_bytes: int
    memory: Memory
    manifest: dict[str, Any]


class Verified(msgspec.Struct):
    ok: bool
    oracle: dict[str, Any]
    reason: str | None = None


class Loss(msgspec.Struct):
    loss: float | None


class Waited(msgspec.Struct):
    unfinished: float


class Warmed(msgspec.Struct):
    calls: int
    seconds: Seconds
    steady: bool


class Steadied(Warmed):
    """Warmed up until it was steady, not for a number of calls."""

    needed: int
    call: Seconds


class Timed(records.Turn, kw_only=True):
    """As records keep it; a probe divides by what they can do without."""

    cpu_ns: records.Count
    wall_ns: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class TimedQueue(Timed, kw_only=True):
    queued_ns: records.Count


class Turned(msgspec.Struct):
    turn: Timed


class Queued(msgspec.Struct):
    """Asked for with `queue`."""

    turn: TimedQueue


class Sustained(msgspec.Struct):
    block: records.Block


class Profiled(msgspec.Struct):
    profile: dict[str, Any]


class MemoryTold(msgspec.Struct):
    peak_rss_bytes: int
    memory: Memory


ANSWERS: dict[str, type[msgspec.Struct]] = {
    "open": Opened,
    "load": Loaded,
    "first": First,
    "verify": Verified,
    "loss": Loss,
    "waits": Waited,
    "warm": Warmed,
    "turn": Turned,
    "block": Sustained,
    "profile": Profiled,
    "memory": MemoryTold,
}


def read(line: bytes, do: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request: an object with every field that is read of it. Raises ValueError."""
    try:
        answer: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        msgspec.convert(answer, _shape(answer, do, arguments))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"{error}: {line[:100].decode(errors='replace')}") from None
    return answer


def _shape(answer: dict[str, Any], do: str, arguments: dict[str, Any]) -> Any:
    if "failed" in answer:
        return Failed
    if do == "warm" and arguments.get("calls") is None:
        return Steadied
    if do == "turn" and arguments.get("queue"):
        return Queued
    return ANSWERS.get(do, dict)
