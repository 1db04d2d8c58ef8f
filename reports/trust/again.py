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
from typing import Any, NamedTuple

from harness.record.records import Run
from harness.stats import statistics

LEAST, ROOM = 2, 1.2  # minutes of a budget; what it has to spare
THREADS = re.compile(r"/(\d+)t/[^/]*$")  # of a comparison's id, where the run has several numbers


def command(run: Run, comparisons: Sequence[dict[str, Any]], contenders: Sequence[str]) -> str:
    """`bakeoff run` of these comparisons of the run's plan, on its device, in its settings: exactly
    these, where options can say so; else with what else the suite asks of their workloads.

    What has a default that another machine would answer otherwise is spelt out. The budget is what
    six launches of all that is measured then took in the run.
    """
    settings = run.plan.get("settings", {})
    suite = run.plan["suite"]
    works = [_work(c) for c in comparisons]
    typed, whole = _options(works)
    options = {
        "--suite": suite.get("path") or suite["name"],
        "--workloads": ",".join(dict.fromkeys(work.workload for work in works)),
        **{f"--{name}": value for name, value in typed.items()},
        "--contenders": ",".join(contenders),
        "--device": settings.get("device"),
    }
    took = _seconds(run, {*(works if whole else _suite(run, works, typed))})
    if took is not None:
        options["--budget"] = f"{max(LEAST, math.ceil(ROOM * took / 60))}m"
    versions = any("@" in name for name in contenders)  # of which a Python of yours has one
    if settings.get("python") == "current" and not versions:
        options["--python"] = "current"
    cores = run.environment.get("machine", {}).get("cores_physical")
    if "threads" not in typed and settings.get("threads") not in (None, cores):
        options["--threads"] = str(settings["threads"])
    if settings.get("allocator") not in (None, "tuned"):
        options["--allocator"] = settings["allocator"]
    parts = [part for name, value in options.items() if value for part in (name, value)]
    return shlex.join(["bakeoff", "run", *parts])


class _Work(NamedTuple):
    """What tells comparisons of a device apart, as it is typed; no size is a workload's own."""

    workload: str
    direction: str
    batch: str
    size: str
    precision: str
    threads: str = ""  # where the run has several numbers of them


def _work(comparison: dict[str, Any]) -> _Work:
    told = {key: str(comparison.get(key) or "") for key in _Work._fields}
    count = THREADS.search(str(comparison["id"]))
    return _Work(**told | {"threads": count[1] if count else ""})


def _left_out(run: Run) -> list[_Work]:
    """What the suite has, and the run had no room for: who names its workload gets it, too."""
    found: list[_Work] = []
    for id_ in (str(each["comparison"]) for each in run.plan.get("left_out", [])):
        parts = id_.split("/")
        count = THREADS.search(id_)
        if len(parts) == (6 if count else 5):
            place, batch, direction, precision, *_ = parts
            workload, _, size = place.partition("@")
            threads = count[1] if count else ""
            found.append(_Work(workload, direction, batch[1:], size, precision, threads))
    return found


def _options(works: Sequence[_Work]) -> tuple[dict[str, str], bool]:
    """What to type for these, besides their workloads; and whether that is exactly these.

    It is where they are all that can be made of these values. Else what they share is typed, and
    the rest is as the suite has it.
    """
    values = {key: dict.fromkeys(getattr(w, key) for w in works) for key in _Work._fields}
    whole = len({*works}) == math.prod(map(len, values.values()))
    del values["workload"]
    typed = {k: ",".join(v) for k, v in values.items() if (whole or len(v) == 1) and "" not in v}
    return typed, whole


def _suite(run: Run, works: Sequence[_Work], typed: dict[str, str]) -> list[_Work]:
    """What a command that types so much selects, as far as the run tells what its suite has."""
    known = [*map(_work, run.plan["comparisons"]), *_left_out(run)]
    names = {work.workload for work in works}
    ways = {typed["direction"]} if "direction" in typed else {each.direction for each in known}
    return [w._replace(**typed) for w in known if w.workload in names and w.direction in ways]


def _seconds(run: Run, works: set[_Work]) -> float | None:
    """What the first six launches of these, and their cold pass, took in the run, of all who took
    part; None where the records do not tell.

    What the run did not measure is taken for the mean of what it did of the same workload.
    """
    usual, visits, launch = _visits(run)
    took: dict[_Work, float] = {}
    for comparison in run.plan["comparisons"]:
        name = comparison["id"]
        if name in usual:
            missing = max(0, statistics.LEAST_LAUNCHES - len(visits[name]))
            cold = [c["seconds"] for c in run.cells if c["comparison"] == name and c["seconds"]]
            took[_work(comparison)] = sum(
                [*visits[name], missing * usual[name], *(s.get("total", 0.0) for s in cold)]
            )
    whole = statistics.LEAST_LAUNCHES * launch
    for work in works:
        like = [seconds for other, seconds in took.items() if other.workload == work.workload]
        if not like:
            return None
        whole += took.get(work, sum(like) / len(like))
    return whole if 0 <= whole < math.inf else None


def _visits(run: Run) -> tuple[dict[str, float], dict[str, list[float]], float]:
    """Of each comparison what a visit usually took, and each one of the first six launches; and
    what the start of a launch's workers did.

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
    usual = {name: median(seen) for name, seen in visits.items()}
    starts = [took - usual[name] for name, took in firsts if name in usual]
    return usual, visits, max(0.0, median(starts)) if starts else 0.0


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
