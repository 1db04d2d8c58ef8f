"""A run's folder: its two documents, each whole or not there, and who holds it.

`plan.json` is written first, `environment.json` once every contender has been opened, before
anything is measured; between them stand only the records of a greeting.
"""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from harness import disk
from harness.errors import Wrong

SCHEMA = 1

# What no reader can do without.


class _Contender(msgspec.Struct):
    name: str
    adapter: str
    variant: str


class _Cost(msgspec.Struct):
    flops: float
    bytes: float


class _Comparison(msgspec.Struct):
    id: str
    workload: str
    kind: str
    summary: str
    batch: int
    size: int | None
    direction: str
    precision: str
    device: str
    headline: bool
    contenders: list[str]
    cost: _Cost


class _Suite(msgspec.Struct):
    name: str
    title: str


class _Plan(msgspec.Struct):
    run: str
    created: str
    command: str
    suite: _Suite
    budget_s: float
    contenders: list[_Contender]
    comparisons: list[_Comparison]


class _Seen(msgspec.Struct):
    manifest: dict[str, Any]


class _Environment(msgspec.Struct):
    machine: dict[str, Any]
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
