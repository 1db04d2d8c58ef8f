"""The cold pass: fresh processes for each headline cell, from nothing to a first result.

What a person waits for when they start: import, loading, the first call (which
compiles), each timed; once with an empty compiler cache (`cold`), once with the cache
that left behind (`warm`). Memory is read next, while it means something, and only then
is that first result verified; a device's after some more calls. In the last of a cell's
processes, when all is read, one call runs under the framework's own profiler: where its time
goes. Whoever starts soon starts again, with an empty cache each time (`again`; `starts.py` says
who, and how often), and only starts.
"""

import time
from pathlib import Path
from typing import Any

from harness.host import gpus
from harness.plan.plan import PlannedComparison, PlannedContender
from harness.process.kin import Kin
from harness.process.launch import Launcher, attempt
from harness.process.processes import WorkerFailed, WorkerProcess
from harness.run import oracle

WARM = 3  # calls before a device's memory is read: a CUDA graph is recorded in the second


def measure(
    launcher: Launcher,
    comparison: PlannedComparison,
    contender: PlannedContender,
    state: str,
    answer: Path | None,
    start: int | None = None,
) -> dict[str, Any]:
    """One cell record. `state`: "cold" and "again" empty its cache beforehand, "warm" does not.

    `answer` is the oracle's, or None where there is nothing to verify. `start`: which one it is,
    of those that are made again.
    """
    launcher = launcher.of(comparison.threads)
    cache = f"cold-{comparison.id}-{contender.name}"
    if state != "warm":
        launcher.forget_cache(cache)
    # A start that is made once more, after a resume, leaves the first one's log alone.
    log = f"{state}-{comparison.id}-{contender.name}-{time.monotonic_ns() % 10**6}"
    worker = launcher.start(contender, cache, log)
    record = blank(state, comparison.id, contender.name, worker.log.name) | {"launch": start}
    try:
        _, failed = attempt(
            lambda: _fill(record, worker, launcher, comparison, contender, cache, answer)
        )
    finally:
        launcher.close(worker)
        if state == "again":
            launcher.forget_cache(cache)
    return {**record, **outcome(failed)}


def _fill(
    record: dict[str, Any],
    worker: WorkerProcess,
    launcher: Launcher,
    comparison: PlannedComparison,
    contender: PlannedContender,
    cache: str,
    answer: Path | None,
) -> dict[str, Any]:
    opened = launcher.open(worker, contender, comparison.precision)
    loaded = oracle.load(worker, comparison, once=True)
    with Kin(worker.pid) as kin:
        first = worker.ask("first")
    record["seconds"] = {
        "import": opened["import"],
        "load": loaded["load"],
        "first_call": first["first_call"],
        # A user has weights, or an engine's model, in a file: to read it takes no time beside what
        # drawing and writing it takes.
        "total": first["finished"] - worker.started - loaded.get("drawn", 0.0),
    }
    record["memory"] = {
        "peak_rss_bytes": first["peak_rss_bytes"],  # since it was loaded, where that is known
        "import_rss_bytes": opened["rss_bytes"],
        "load_rss_bytes": loaded.get("rss_bytes"),
        "kin_bytes": kin.most,  # of processes that it started, while it made its first call
        **first["memory"],
    }
    record["manifest"] = first["manifest"]
    if record["pass"] == "again":
        return record
    wanted = answer if contender.computes else None
    whole = oracle.question(comparison).whole
    loss: dict[str, Any] = {}
    if wanted and whole:
        _verify(record, worker, comparison, wanted)
    elif wanted:  # a batch that the reference cannot follow
        loss = worker.ask("loss")
    gpu = gpus.number(launcher.device)
    if gpu is not None:
        # Of later calls: what the first one tried, to choose between kernels, needs no room.
        record["memory"] |= worker.ask("memory", calls=WARM)["memory"]
        record["memory"]["device"] = gpus.memory(gpu, worker.pid)
    if wanted and not whole:  # a smaller one, which unloads it
        _verify(record, worker, comparison, wanted)
        record["oracle"] |= loss
    # The last of its processes: nothing is timed in it any more, and a second start is over.
    if contender.computes and (record["pass"] == "warm" or not launcher.is_filled(cache)):
        record["profile"] = _profile(worker, comparison)
    return record


def _verify(
    record: dict[str, Any], worker: WorkerProcess, comparison: PlannedComparison, answer: Path
) -> None:
    """Keeps what was found, right or wrong. Raises Mistaken."""
    try:
        record["oracle"] = oracle.verify(worker, comparison, answer)
    except oracle.Mistaken as mistaken:
        record["oracle"] = mistaken.evidence
        raise


def _profile(worker: WorkerProcess, comparison: PlannedComparison) -> dict[str, Any]:
    """Where a call's time goes. How it failed is kept, and counts for nothing else."""

    def profile() -> dict[str, Any]:
        if not oracle.question(comparison).whole:  # it holds the small batch that was verified
            oracle.load(worker, comparison)
            worker.ask("first")
        found: dict[str, Any] = worker.ask("profile")["profile"]
        return found

    found, failed = attempt(profile)
    return {"failed": f"{failed.status}: {failed.reason}"} if failed else found


def blank(state: str, comparison: str, contender: str, log: str | None) -> dict[str, Any]:
    """A cell record in which nothing has been seen yet."""
    return {
        "pass": state,
        "comparison": comparison,
        "contender": contender,
        "launch": None,
        "log": f"logs/{log}" if log else None,
        "seconds": {},
        "memory": {},
        "manifest": {},
        "oracle": None,
        "profile": None,
        "warmup": None,
    }


def outcome(failed: WorkerFailed | None) -> dict[str, Any]:
    """A status and its reason, as records keep them."""
    if failed is None:
        return {"status": "ok", "reason": None}
    return {"status": failed.status, "reason": failed.reason}
