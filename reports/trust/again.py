"""The command that measures something of a run again, as the run measured it; of two runs, both
versions of what changed, in turns."""

import functools
import math
import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

from harness.record.records import Run
from harness.stats import statistics

LEAST, ROOM = 2, 1.2  # minutes of a budget; what it has to spare


def command(run: Run, comparisons: Sequence[dict[str, Any]], contenders: Sequence[str]) -> str:
    """`bakeoff run` of these comparisons of the run's plan, on its device, in its settings, with
    what else the suite asks of their workloads.

    What has a default that another machine would answer otherwise is spelt out. A precision
    goes in where all comparisons share one: of several the suite knows which. The budget is what
    six launches of all that took in the run.
    """
    settings = run.plan.get("settings", {})
    suite = run.plan["suite"]
    options = {
        "--suite": suite.get("path") or suite["name"],
        "--workloads": ",".join(dict.fromkeys(c["workload"] for c in comparisons)),
        "--contenders": ",".join(contenders),
        "--device": settings.get("device"),
    }
    precisions = {c["precision"] for c in comparisons}
    if len(precisions) == 1 and precisions != {"float32"}:
        [options["--precision"]] = precisions
    took = _seconds(run, [c for c in run.plan["comparisons"] if _asked(c, comparisons)])
    if took is not None:
        options["--budget"] = f"{max(LEAST, math.ceil(ROOM * took / 60))}m"
    versions = any("@" in name for name in contenders)  # of which a Python of yours has one
    if settings.get("python") == "current" and not versions:
        options["--python"] = "current"
    cores = run.environment.get("machine", {}).get("cores_physical")
    if settings.get("threads") not in (None, cores):
        options["--threads"] = str(settings["threads"])
    if settings.get("allocator") not in (None, "tuned"):
        options["--allocator"] = settings["allocator"]
    parts = [part for name, value in options.items() if value for part in (name, value)]
    return shlex.join(["bakeoff", "run", *parts])


def _asked(comparison: dict[str, Any], again: Sequence[dict[str, Any]]) -> bool:
    """Whether a suite that is asked for the workloads of these has this one of them."""
    return any(
        (comparison["workload"], comparison["precision"]) == (c["workload"], c["precision"])
        for c in again
    )


def _seconds(run: Run, comparisons: Sequence[dict[str, Any]]) -> float | None:
    """What the first six launches of these, and their cold pass, took in the run, of all who took
    part; None where the records do not tell.

    A record is written when a visit is over. So what a launch's first visit took is not known by
    itself, but with the start of its workers: of that the median of its other visits is taken off.
    """
    visits: dict[str, list[float]] = {}
    firsts: list[tuple[str, float]] = []
    for before, after in pairwise(run.groups):
        if after["launch"] <= statistics.LEAST_LAUNCHES:
            took = _written(after) - _written(before)
            if not took >= 0:  # a clock that was set, or none that can be read
                continue
            if before["launch"] == after["launch"]:
                visits.setdefault(after["comparison"], []).append(took)
            else:
                firsts.append((after["comparison"], took))
    names = {c["id"] for c in comparisons}
    if not names <= visits.keys():
        return None
    usual = {name: median(seen) for name, seen in visits.items()}
    starts = [took - usual[name] for name, took in firsts if name in usual]
    launch = max(0.0, median(starts)) if starts else 0.0
    steady = statistics.LEAST_LAUNCHES * launch
    for name in names:
        missing = max(0, statistics.LEAST_LAUNCHES - len(visits[name]))
        steady += sum(visits[name]) + missing * usual[name]
    cold = [c["seconds"] for c in run.cells if c["comparison"] in names and c["seconds"]]
    whole = steady + sum(seconds.get("total", 0.0) for seconds in cold)
    return whole if 0 <= whole < math.inf else None


def _written(record: dict[str, Any]) -> float:
    """When, in seconds; NaN where that cannot be read."""
    at = record.get("at")
    return _moment(at) if isinstance(at, str) else math.nan


@functools.lru_cache(maxsize=100_000)
def _moment(at: str) -> float:
    """Kept, since every comparison's command asks it of all records."""
    try:
        return datetime.fromisoformat(at).timestamp()
    except (ValueError, OverflowError):
        return math.nan


def in_turns(
    new: Run,
    comparisons: Sequence[dict[str, Any]],
    before: dict[str, str | None],
    after: dict[str, str | None],
) -> str | None:
    """Both versions of what changed between two runs, as two contenders of one; None where
    nothing did. `before`, `after`: by contender, the version in the old run and in the new.

    `torch` of the first run and `torch@2.12` of the second are two versions of one thing.
    """
    pairs: list[str] = []
    olds, news = _releases(before), _releases(after)
    for what in olds:
        if what in news and olds[what] != news[what]:
            adapter, colon, variant = what.partition(":")
            pairs += [f"{adapter}@{v}{colon}{variant}" for v in (olds[what], news[what])]
    if not pairs or not comparisons:
        return None
    device = new.plan.get("settings", {}).get("device", "cpu").partition(":")[0]
    made = shlex.join(["bakeoff", "setup", "--device", device, *pairs])
    return f"{made} && {command(new, comparisons, pairs)}"


def _releases(versions: dict[str, str | None]) -> dict[str, str]:
    """By adapter and variant, the release that an installer would be asked for: no local part
    (`+cpu`), which indexes do not have. Who was there in two versions is left out, and who has
    no release."""
    found: dict[str, set[str]] = {}
    for name, version in versions.items():
        asked = re.match(r"\d+(\.\d+)*(?=\+|$)", version or "")
        if "#" not in name and asked:
            found.setdefault(re.sub("@[^:]*", "", name), set()).add(asked[0])
    return {what: next(iter(each)) for what, each in found.items() if len(each) == 1}
