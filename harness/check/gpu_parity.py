"""The parity part of gpu-check: each framework through every step of `bakeoff check`, on time.

Of each the whole is told, and not the first thing wrong alone: another call on a machine with a
GPU may cost a day.
"""

import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.core.discovery import adapter_class
from harness.check import conformance
from harness.check.expected import Expected
from harness.errors import Wrong
from harness.paths import results
from harness.plan import inventory
from harness.process.launch import file_name
from harness.process.processes import WorkerFailed

LOGS = "gpu-check-logs"  # beside the runs: of whom parity found wrong
MOST_KEPT = 1 << 20  # bytes of a log, its last


class Late(BaseException):
    """The time there was is over. No `except Exception` on the way keeps it to itself."""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises Late in the midst of what is under way: it may be a call that hangs."""

    def late(*_: object) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _compiling(name: str) -> float:
    contender = inventory.parse(name)
    return adapter_class(contender.adapter).variants[contender.variant].compile_seconds


def parity(contenders: list[str], device: str, seconds: float, failures: list[str]) -> None:
    """Everything of `bakeoff check`, in float32. Whoever compiles least is first: who is quick
    leaves the others its time."""
    until = time.monotonic() + seconds
    shutil.rmtree(results() / LOGS, ignore_errors=True)  # of an earlier check
    with Expected() as expected:
        for place, name in enumerate(sorted(contenders, key=_compiling)):
            share = (until - time.monotonic()) / (len(contenders) - place)
            _examine(inventory.parse(name), device, share, failures, expected)


def _examine(
    contender: inventory.Contender,
    device: str,
    seconds: float,
    failures: list[str],
    expected: Expected | None = None,
) -> None:
    """One framework through every step, or as far as it comes in `seconds`.

    What it does not support within a step is said, and no failure. Where anything failed, all
    that was printed is kept.
    """
    begin, before = time.monotonic(), len(failures)
    right = unsupported = 0

    def fail(what: str, *more: str | None) -> None:
        failures.append(f"{contender.name}{what}")
        print(f"  FAILED {failures[-1]}", flush=True)
        for line in filter(None, more):
            print(f"    {line}", flush=True)

    with (
        conformance.Check(contender, device, "float32", True, expected) as check,
        _keeping_logs(check, contender.name, failures),
    ):
        steps = _soonest(check.steps())
        try:
            with _at_most(seconds):
                for step in steps:
                    finding = step.run()
                    if finding is None:
                        right += 1
                    elif finding.unsupported:
                        unsupported += 1
                    else:
                        more = finding.evidence, finding.cause, *check.printed()
                        fail(f", {finding.case}: {finding.what}", *more)
                        if step.stage == "the file":  # it does not open: nothing else can be right
                            break
        except conformance.Refused as refused:
            fail(f": unsupported: {refused}")
        except (Wrong, WorkerFailed) as failed:
            fail(f": {failed}")
        except Late:
            missed = steps[right + unsupported + len(failures) - before :]
            if missed:
                told = f"{len(missed)} of {len(steps)} steps were not reached in {seconds:.0f} s"
                fail(f": {told}, from '{missed[0].name}' on")
        if not right and len(failures) == before:
            fail(": no step was right")
    print(
        f"  {contender.name}: {right} right, {len(failures) - before} not, "
        f"{unsupported} unsupported, in {time.monotonic() - begin:.0f} s",
        flush=True,
    )


def _soonest(steps: Iterable[conformance.Step]) -> list[conformance.Step]:
    """What a GPU is most likely to get wrong, and what all figures rest on, before time is over:
    the clock, and what is said of precision, right behind the first operation that runs; last the
    training of each operation alone, of which `gradients` holds the backward pass, and `blocks` and
    "three steps" the update."""
    steps = [*steps]
    stages = [step.stage for step in steps]
    if "operations" not in stages:  # it brings whole models: few steps, and no clock among them
        return steps
    first, *rest = steps[stages.index("operations") :]
    rest.sort(key=_rank)
    return [*steps[: stages.index("operations")], first, *rest]


def _rank(step: conformance.Step) -> int:
    if step.stage in ("clock", "manifest"):
        return 0
    return 2 if step.stage == "training" and step.name != conformance.THREE_STEPS else 1


@contextmanager
def _keeping_logs(check: conformance.Check, name: str, failures: list[str]) -> Iterator[None]:
    """They would go with the check, which has shown their last lines only."""
    before = len(failures)
    try:
        yield
    finally:
        if len(failures) > before:
            print(f"  {name}: {_kept(check.logs, name)}", flush=True)


def _kept(logs: Path, name: str) -> str:
    """Where logs lie from now on, in place of an earlier check's; or why they are lost."""
    folder = results() / LOGS / file_name(name)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        for log in logs.glob("*.txt"):
            with log.open("rb") as file:
                file.seek(max(0, log.stat().st_size - MOST_KEPT))
                (folder / log.name).write_bytes(file.read())
    except OSError as error:  # of a full disk, say
        return f"not all of its logs could be kept: {error}"
    return f"its logs are kept in {folder}"
