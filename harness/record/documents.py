"""A run's folder: its two documents, each whole or not there, and who holds it.

`plan.json` is written first, `environment.json` once every contender has been opened, before
anything is measured; between them stand only the records of a greeting.
"""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec

from harness import disk
from harness.errors import Wrong

SCHEMA = 1

# What no reader can do without, and the kind of what he may find beside it.

Size = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e30)]  # what charts can still draw


class _Contender(msgspec.Struct):
    name: str
    adapter: str
    variant: str
    summary: str
    version: str | None = None
    copy: Positive = 1
    computes: bool = True
    trains: bool = True
    baseline: bool = False
    planted: float = 0.0
    of: str = ""
    code: str = ""


class _Cost(msgspec.Struct):
    flops: Amount
    bytes: Amount
    parameters: Amount = 0.0
    activations: Amount = 0.0
    layers: Size = 0


class _Comparison(msgspec.Struct):
    id: str
    workload: str
    kind: str
    summary: str
    batch: Positive
    size: int | None
    direction: str
    precision: str
    device: str
    headline: bool
    contenders: list[str]
    cost: _Cost
    input: list[int] = []
    sustained_s: float = 0.0
    calls: Size = 0
    operations: str = ""
    threads: Size = 0
    unsupported: dict[str, str] = {}


class _Suite(msgspec.Struct):
    name: str
    title: str
    path: str = ""
    summary: str = ""


class _Settings(msgspec.Struct):
    device: str = ""
    python: str = ""
    threads: Size = 0
    cpus: list[int] = []
    allocator: str = ""
    warmup_limit_s: float = 0.0
    launches: int | None = None
    named: bool = False


class _Floor(msgspec.Struct):
    twin: str
    of: str


class _Plan(msgspec.Struct):
    run: str
    created: str
    command: str
    suite: _Suite
    budget_s: float
    contenders: list[_Contender]
    comparisons: list[_Comparison]
    settings: _Settings = msgspec.field(default_factory=_Settings)
    fingerprint: dict[str, str | None] = {}
    absent: list[dict[str, str]] = []
    noise_floor: _Floor | None = None
    left_out: list[dict[str, str]] = []

    def __post_init__(self) -> None:
        known = {contender.name for contender in self.contenders}
        for comparison in self.comparisons:
            if unknown := {*comparison.contenders} - known:
                raise ValueError(f"no contender is called {sorted(unknown)[0]!r}")


class _Machine(msgspec.Struct):
    cpu: str | None = None
    cores_physical: int | None = None
    cores_logical: int | None = None
    memory_bytes: int | None = None
    memory_available_bytes: int | None = None
    threads_used: int | None = None
    affinity: list[int] | None = None
    load: list[float] | None = None
    gpu: list[dict[str, Any]] | None = None
    energy_meters: list[str] = []
    variables_left_out: list[str] = []


class _Installed(msgspec.Struct):
    name: str | None = None
    installed_bytes: Size | None = None
    packages: list[str] | None = None


class _Seen(msgspec.Struct):
    manifest: dict[str, Any]
    environment: _Installed | None = None
    version: str | None = None
    status: str | None = None
    reason: str | None = None


class _Environment(msgspec.Struct):
    machine: _Machine
    contenders: dict[str, _Seen]


def is_begun(folder: Path) -> bool:
    """Whether there is anything to read: a run that was ended in its first seconds holds nothing.

    Its environment is written once every contender has been opened, before anything is measured.
    """
    return (folder / "environment.json").is_file()


def begin(folder: Path, environment: dict[str, Any]) -> None:
    """Writes down what every contender and the machine said of themselves."""
    disk.write_whole(
        folder / "environment.json", json.dumps(environment, indent=1).encode() + b"\n"
    )


def forget_greeting(folder: Path) -> None:
    """Takes away what a run that never began has written. Raises Wrong where that is not so."""
    _refuse_headless(folder)
    for path in folder.glob("records-*.jsonl"):
        path.unlink()


def _refuse_headless(folder: Path) -> None:
    """Raises Wrong where there are measurements, of a folder without environment.json."""
    measured = (b'"kind":"group"', b'"pass":"cold"')
    for path in folder.glob("records-*.jsonl"):
        if any(each in path.read_bytes() for each in measured):
            raise Wrong(
                f"{folder} holds measurements and no environment.json: a part of it is gone; "
                "bring that back, or start another run"
            )


def claim(folder: Path) -> int:
    """Claims a run's folder until what it returns is closed. Raises Wrong where another has."""
    file = os.open(folder, os.O_RDONLY)
    for pause in (0.05, 0.0):  # another may only be asking whether it is claimed
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if pause:
                time.sleep(pause)
                continue
            os.close(file)
            raise Wrong(
                f"run '{folder.resolve().name}' is being measured by another process; "
                "wait for its end, or end it"
            ) from None
        except OSError:  # a file system that knows no locks
            pass
        break
    return file


def is_claimed(folder: Path) -> bool:
    """Whether a process measures into this run now."""
    try:
        os.close(claim(folder))
    except Wrong:
        return True
    return False


def _document(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        if name != "plan.json":
            os.close(claim(folder))  # refused while a run greets: nothing has ended yet
            _refuse_headless(folder)
            raise Wrong(
                f"{folder} was ended before anything was measured (it has no {name}): "
                f"`bakeoff run --resume {folder.name}` goes on"
            ) from None
        raise Wrong(
            f"{folder} is not a run: it has no {name}; `ls results` shows the runs"
        ) from None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Wrong(f"{path} cannot be read: {error}") from None
    return document


def _whole(path: Path, document: dict[str, Any], shape: type) -> None:
    """Raises Wrong where a document lacks what every reader needs."""
    try:
        msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        raise Wrong(
            f"{path} is not whole: {error}; bring it back from a copy, or start another run"
        ) from None


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's plan and environment. Raises Wrong where the folder is no run, or a part is gone."""
    plan = _document(folder, "plan.json")
    if plan.get("schema") != SCHEMA:
        raise Wrong(
            f"{folder} has schema {plan.get('schema')!r}, this Bakeoff reads {SCHEMA}: "
            "read it with the version that wrote it"
        )
    _whole(folder / "plan.json", plan, _Plan)
    environment = _document(folder, "environment.json")
    _whole(folder / "environment.json", environment, _Environment)
    return plan, environment
