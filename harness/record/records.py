"""Records: what was measured, append-only, one line of JSON each.

Everything the project says can be recomputed from these lines alone. So a line is
written once, whole, and synced to the disk before the runner calls it done; nothing is
ever changed. Each process that writes has a file of its own (`records-000.jsonl`, and
one more for every resume). A reader skips what it cannot read, and says so.
"""

import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from harness import disk
from harness.errors import Wrong
from harness.record import documents
from harness.stats import readings, statistics

Status = Literal["ok", "wrong", "oom", "crash", "timeout", "unsupported"]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # as NumPy's int64 holds it


class Turn(msgspec.Struct):
    """The calls of one contender in one round; times in nanoseconds."""

    calls: list[Count]
    dropped: Count  # this many calls at the start are not used, and others are left
    total_ns: Count  # wall time of the kept calls
    queued_ns: Count | None = None  # as many calls again, queued, one sync at the end
    drain_ns: Count | None = None  # what was left to do when the last of queued calls was made
    cpu_ns: Count = 0
    wall_ns: Count = 0
    minor_faults: Count = 0
    involuntary_switches: Count = 0
    # From asking for the turn to its answer, all calls that it made: the seconds that took, what
    # the hypervisor took of all our processors meanwhile, and what the meters counted.
    asked_s: float | None = None
    stolen_s: float = 0.0
    energy_j: float | None = None

    def __post_init__(self) -> None:
        if self.dropped >= len(self.calls):
            raise ValueError(f"a turn of {len(self.calls)} calls drops {self.dropped}")


class Block(msgspec.Struct):
    """One contender's training without a pause, on a device (timing.sustained)."""

    calls: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]  # counted: those after the settling
    total_ns: Count  # wall time of the counted calls
    turns: Count = 0
    settle_s: float = 0.0
    wall_s: float = 0.0
    made: Count = 0  # calls in all: those of the settling too, and those waited for
    energy_j: float | None = None  # of all calls made


class Outcome(msgspec.Struct):
    status: Status
    reason: str | None = None


class Beside(msgspec.Struct):
    """What the machine did beside the turns (harness/host/machine.py)."""

    load1: float | None = None
    foreign_cpu_share: float | None = None
    steal_share: float | None = None
    foreign_gpu_processes: int | None = None


class Group(msgspec.Struct, tag_field="kind", tag="group"):
    """One comparison in one launch group: every contender's turns, round by round."""

    schema: Literal[1]
    comparison: str
    launch: int
    direction: str
    precision: str
    device: str
    rounds: int
    order: list[list[str]]
    turns: dict[str, Annotated[list[Turn], msgspec.Meta(min_length=1)]]
    statuses: dict[str, Outcome]
    machine: Beside
    sustained: dict[str, Block] = {}
    compilations: dict[str, int] = {}  # by contender: which of its compiler caches it used


class Checked(msgspec.Struct):
    """One quantity held against the reference: its error, null where that is no number."""

    error: float | None
    gate: Annotated[float, msgspec.Meta(gt=0)]
    quantity: str = ""
    where: str = ""
    ok: bool = True


class Verified(msgspec.Struct):
    """What the reference says of a cell (harness/worker/verify.py)."""

    checked: list[Checked] = []
    ok: bool = True
    batch: int | None = None
    rows: int | None = None
    ran: str | None = None
    ran_error: float | None = None


class WarmUp(msgspec.Struct):
    """How a call was warmed up, in seconds."""

    call: float
    seconds: float
    calls: int = 0
    needed: int = 0
    steady: bool = True


class Cell(msgspec.Struct, tag_field="kind", tag="cell"):
    """One contender in one comparison: what it ran with, whether it was right, what it took."""

    schema: Literal[1]
    comparison: str
    contender: str
    status: Status
    reason: str | None
    seconds: dict[str, float]
    memory: dict[str, int | None]
    oracle: Verified | None
    manifest: dict[str, Any]
    log: str | None
    pass_: Literal["cold", "warm", "again", "steady"] = msgspec.field(name="pass")
    # A steady cell's launch group; of starts made again, which one: 2, 3 ...
    launch: int | None = None
    warmup: WarmUp | None = None
    profile: dict[str, Any] | None = None  # where a call's time goes, or how asking `failed`

    def __post_init__(self) -> None:
        if self.pass_ != "steady" and self.status == "ok" and "total" not in self.seconds:
            raise ValueError("a start without its seconds in all")


class Probe(msgspec.Struct, tag_field="kind", tag="probe"):
    """What this machine reached through one contender's own matrix product and streaming."""

    schema: Literal[1]
    contender: str
    launch: int
    flops_per_s: float
    bytes_per_s: float
    effective_threads: float
    precision: str = "float32"


class Event(msgspec.Struct, tag_field="kind", tag="event"):
    """Anything else that a reader of the run should know."""

    schema: Literal[1]
    what: str
    reason: str
    comparison: str | None = None  # where it speaks of one cell
    contender: str | None = None
    left: list[str] = []  # comparisons that took leave before their launches, for want of time

    def __post_init__(self) -> None:
        if self.what == "settled" and not (self.comparison and self.contender):
            raise ValueError("who settled, and in what, is not said")


_VALID = Group | Cell | Probe | Event


class Writer:
    """Appends records to a file of its own in a run's folder."""

    def __init__(self, folder: Path):
        for number in range(1000):
            path = folder / f"records-{number:03d}.jsonl"
            try:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
                self._file = os.open(path, flags, 0o644)
            except FileExistsError:
                continue
            self.path = path
            disk.sync_folder(folder)
            self._end = 0
            return
        raise Wrong(f"{folder} holds 1,000 record files already; start a new run")

    def write(self, kind: str, **fields: Any) -> None:
        """One `write`, one `fdatasync`; returns only when the record is on the disk.

        Raises OSError (a full disk, say) with the file as it was before.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {"schema": documents.SCHEMA, "kind": kind, "at": at, **fields}
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        try:
            written = os.write(self._file, line)
            if written != len(line):
                raise OSError(28, "No space left on device", str(self.path))
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(line)

    def close(self) -> None:
        os.close(self._file)


@dataclass(frozen=True)
class Run:
    """One run's folder, read. Records are plain dicts, as they lie in the files."""

    folder: Path
    plan: dict[str, Any]
    environment: dict[str, Any]
    cells: list[dict[str, Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    probes: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its folder's: a copy or a renamed one is a run of its own, whatever its plan calls it."""
        return self.folder.resolve().name

    @cached_property
    def versions(self) -> dict[str, str | None]:
        """What ran: of `torch@2.12` the release that it was; else what was asked for."""
        seen = self.environment.get("contenders", {})

        def told(name: str) -> str | None:
            return (seen.get(name.partition("#")[0], {}).get("manifest") or {}).get("version")

        return {c["name"]: told(c["name"]) or c.get("version") for c in self.plan["contenders"]}

    @cached_property
    def settled(self) -> set[tuple[str, str]]:
        """(comparison, contender): who left it early, being far behind (sampling.py)."""
        settled = [e for e in self.events if e["what"] == "settled"]
        return {(e["comparison"], e["contender"]) for e in settled}

    @cached_property
    def again(self) -> list[dict[str, Any]]:
        """Starts that were made again, with an empty cache like the first (starts.py)."""
        return [cell for cell in self.cells if cell["pass"] == "again"]

    @cached_property
    def left(self) -> set[str]:
        """Comparisons that made room for the rest before they had six launches (run/room.py)."""
        gone = {id_ for event in self.events for id_ in event.get("left", [])}
        return {
            id_
            for id_ in gone
            if len({g["launch"] for g in self.groups_of(id_)}) < statistics.LEAST_LAUNCHES
        }

    @cached_property
    def unbegun(self) -> set[str]:
        """Those of them that no launch has held."""
        return {id_ for id_ in self.left if not self.groups_of(id_)}

    def groups_of(self, comparison: str) -> list[dict[str, Any]]:
        return self._groups.get(comparison, [])

    def cells_of(self, comparison: str, contender: str) -> list[dict[str, Any]]:
        return self._cells.get((comparison, contender), [])

    def times(self, comparison: str, by: str) -> readings.Times:
        """`readings.log_times` of its turns, made once: every part of a report asks for them."""
        key = comparison, by
        if key not in self._times:
            self._times[key] = readings.log_times(self.groups_of(comparison), comparison, by)
        return self._times[key]

    @cached_property
    def _times(self) -> dict[tuple[str, str], readings.Times]:
        return {}

    @cached_property
    def _groups(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for group in self.groups:
            found.setdefault(group["comparison"], []).append(group)
        return found

    @cached_property
    def _cells(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for cell in self.cells:
            found.setdefault((cell["comparison"], cell["contender"]), []).append(cell)
        return found


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which looks through all that was read, again and again:
    100,000 records took four times as long with it, and records hold no cycles."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def read(folder: Path) -> Run:
    """Reads a run. Raises Wrong where the folder is not one; bad lines become `problems`."""
    run = Run(folder, *documents.read(folder))
    lists = {"cell": run.cells, "group": run.groups, "probe": run.probes, "event": run.events}
    launches: set[tuple[str, int]] = set()
    with _uncollected():
        paths = sorted(folder.glob("records-*.jsonl"))
        run.problems.extend(_gone(paths))
        for path in paths:
            for number, line in enumerate(_lines(path), start=1):
                try:
                    record = msgspec.json.decode(line)
                    msgspec.convert(record, _VALID)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    run.problems.append(f"{path.name}, line {number}: skipped, {error}")
                    continue
                if record["kind"] == "group":
                    key = record["comparison"], record["launch"]
                    if key in launches:
                        problem = f"{record['comparison']}, launch {record['launch']}: there twice"
                        run.problems.append(f"{path.name}, line {number}: skipped, {problem}")
                        continue
                    launches.add(key)
                lists[record["kind"]].append(record)
    return run


def _gone(paths: list[Path]) -> list[str]:
    """The files that should be there, since later ones are, or since a run has begun."""
    last = paths[-1].stem.rpartition("-")[2] if paths else "0"
    there = {path.name for path in paths}
    wanted = [f"records-{n:03}.jsonl" for n in range(int(last) + 1)] if last.isdigit() else []
    return [f"{name} is gone, and what it held" for name in wanted if name not in there]


def _lines(path: Path) -> Iterator[bytes]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Wrong(f"{path} cannot be read: {error.strerror}") from None
    return (line for line in data.split(b"\n") if line.strip())


@_uncollected()
def frame(run: Run) -> Any:
    """Every timed call as a pandas DataFrame, one row a call.

    Columns: comparison, contender, launch, round, call, ns, kept (False for the calls
    dropped at a turn's start). The one door from records to tables.
    """
    import numpy as np
    import pandas as pd

    columns = ["comparison", "contender", "launch", "round"]
    keys: list[tuple[str, str, int, int]] = []
    turns: list[dict[str, Any]] = []
    for group in run.groups:
        for contender, found in group["turns"].items():
            for number, turn in enumerate(found):
                keys.append((group["comparison"], contender, group["launch"], number))
                turns.append(turn)
    if not keys:
        return pd.DataFrame(columns=[*columns, "call", "ns", "kept"])
    counts = np.array([len(turn["calls"]) for turn in turns])
    total = int(counts.sum())
    ns = np.fromiter(chain.from_iterable(turn["calls"] for turn in turns), np.int64, total)
    call = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    table: dict[str, Any] = {}
    for name, values in zip(columns, zip(*keys, strict=True), strict=True):
        if name in ("launch", "round"):
            table[name] = np.repeat(np.array(values), counts)
        else:  # repeated as codes: as text they would take gigabytes
            known = sorted(set(values))
            place = {value: code for code, value in enumerate(known)}
            codes = np.repeat(np.array([place[v] for v in values], np.int32), counts)
            table[name] = pd.Categorical.from_codes(codes, known)
    dropped = np.repeat([turn["dropped"] for turn in turns], counts)
    return pd.DataFrame({**table, "call": call, "ns": ns, "kept": call >= dropped})
