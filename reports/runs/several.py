"""What several runs have in common: contenders, comparisons, turns; and what each one was."""

import re
from typing import Any

import numpy as np

from harness.errors import Wrong
from harness.record.records import Run
from harness.stats import readings
from reports.analysis import ranked
from reports.runs.lost import Cells
from reports.words import threads

ALL = ""  # the place of a geometric mean over all comparisons that every run holds


def refuse_twice(runs: list[Run]) -> None:
    """Raises Wrong for a run that stands beside itself, or beside its copy: always the same."""
    folders = [run.folder.resolve() for run in runs]
    if len(set(folders)) < len(folders):
        raise Wrong("a run was named twice; name different ones, or the folder of another")
    measured: list[tuple[Run, object]] = [(run, run.groups[0]) for run in runs if run.groups]
    for place, (run, first) in enumerate(measured):
        for other, its_first in measured[:place]:
            if first == its_first:
                raise Wrong(
                    f"'{run.name}' is a copy of '{other.name}': the same times to the last digit; "
                    "name runs that were measured each for itself"
                )


def contenders(runs: list[Run]) -> list[str]:
    return [n for n in ranked(runs[0]) if all(n in ranked(run) for run in runs[1:])]


def comparisons(runs: list[Run]) -> list[list[dict[str, Any]]]:
    """The same work in every run's plan, on whatever device each has."""
    return [each for each in _of_one_name(runs) if not _changed(each)]


def partly(runs: list[Run]) -> list[str]:
    """What some of them were to measure and others not, or what was other work there; by name."""
    named = _by_work(runs)
    kept = {each[0]["id"] for each in comparisons(runs)}
    everything = [work for its in named for work in its]
    shared = {work for work, c in named[0].items() if c["id"] in kept}
    return [work for work in dict.fromkeys(everything) if work not in shared]


def changed_work(runs: list[Run]) -> list[str]:
    """What one name stood for in some of them, and something else in others."""
    return [_work(each[0]) for each in _of_one_name(runs) if _changed(each)]


def _of_one_name(runs: list[Run]) -> list[list[dict[str, Any]]]:
    found = _by_work(runs)
    return [[each[key] for each in found] for key in found[0] if all(key in f for f in found)]


def _by_work(runs: list[Run]) -> list[dict[str, dict[str, Any]]]:
    """Each run's comparisons, by what they are on whatever device.

    Where one of the runs has several numbers of threads, the others' single one is told as well: it
    is one of them, or none.
    """
    tells = [any(_THREADS.search(_work(c)) for c in run.plan["comparisons"]) for run in runs]
    found = []
    for run, told in zip(runs, tells, strict=True):
        count = run.plan.get("settings", {}).get("threads")
        more = f"/{count}t" if any(tells) and not told else ""
        found.append({_work(c) + more: c for c in run.plan["comparisons"]})
    return found


_THREADS = re.compile(r"/\d+t$")


def _changed(each: list[dict[str, Any]]) -> bool:
    """An old plan may not say what its workloads asked for, or in another form (core/cost.py)."""
    forms: dict[str, set[str]] = {}
    for told in filter(None, (c.get("operations") for c in each)):
        forms.setdefault(told.rpartition(":")[0], set()).add(told)
    return any(len(found) > 1 for found in forms.values())


def _work(comparison: dict[str, Any]) -> str:
    """`resnet18@224/b1/infer/float32/cuda:1` -> all of it but the device."""
    return comparison["id"].removesuffix(f"/{comparison['device']}")


def turns(
    runs: list[Run], asked: list[dict[str, Any]], seen: list[Cells], paid: bool = False
) -> list[readings.Times]:
    """The turns of one comparison in each run, by the statistic it is ranked by.

    Of sound cells alone: a wrong answer's time is no time. paid: by what is paid for instead,
    which is all calls and not the quicker ones.
    """
    bys = {readings.rank_of(comparison)[0] for comparison in asked}
    first = asked[0]
    by = bys.pop() if len(bys) == 1 else readings.ranked_by(first["direction"], first["batch"])[0]
    by = "throughput" if paid and by == "latency" else by
    found = []
    for run, comparison, its in zip(runs, asked, seen, strict=True):
        place = comparison["id"]
        times = run.times(place, by)
        sound = {n for n in times if (place, n) in its and its[place, n].status == "ok"}
        found.append({name: times[name] for name in times if name in sound})
    return found


def whole(runs: list[Run], asked: list[list[dict[str, Any]]]) -> list[bool]:
    """Of each comparison, whether a mean over all is over it: not if in some run it made room for
    the rest, and has few launches there, unless all did."""
    found = [
        all(comparison["id"] not in run.left for run, comparison in zip(runs, each, strict=True))
        for each in asked
    ]
    return found if any(found) else [True] * len(found)


def steadiest(timed: list[list[readings.Times]], names: list[str]) -> str | None:
    """Who is measured in most places, in the most launches, with the least spread between them."""

    def order(name: str) -> tuple[int, int, float]:
        logs = [run[name] for each in timed for run in each if name in run]
        spreads = [
            float(np.std([float(np.mean(rounds)) for rounds in launches.values()]))
            for launches in logs
        ]
        return -len(logs), -sum(map(len, logs)), float(np.mean(spreads)) if spreads else np.inf

    measured = [name for name in names if order(name)[0] < 0]
    return min(measured, key=order, default=None)


def one_machine(runs: list[Run]) -> bool:
    """Whether they are of the same, as far as they tell.

    A hypervisor may call unlike processors by one name. An old record has no instruction sets, but
    what a framework found that it could use.
    """
    told = {run.environment.get("machine", {}).get("instructions") for run in runs} - {None}
    used: dict[str, set[str]] = {}
    for run in runs:
        for version, capability in _capabilities(run).items():
            used.setdefault(version, set()).add(capability)
    unlike = any(len(capabilities) > 1 for capabilities in used.values())
    return len({str(_place(run)) for run in runs}) == 1 and len(told) <= 1 and not unlike


def _capabilities(run: Run) -> dict[str, str]:
    """By PyTorch's version, what it calls the best that it can use: `AVX2`."""
    seen = [one.get("manifest") or {} for one in run.environment.get("contenders", {}).values()]
    return {
        str(one.get("version")): str(one["cpu_capability"])
        for one in seen
        if one.get("cpu_capability")
    }


def _place(run: Run) -> tuple[Any, ...]:
    """What makes a machine another one: its processor, cores, GPUs, and which of them."""
    machine = run.environment.get("machine", {})
    gpus = [gpu.get("name") for gpu in machine.get("gpu") or []]
    return machine.get("cpu"), machine.get("cores_physical"), gpus, _device(run)


def _device(run: Run) -> str | None:
    return run.plan.get("settings", {}).get("device")


def machine_of(run: Run) -> str:
    """A machine in a line."""
    machine = run.environment.get("machine", {})
    settings = run.plan.get("settings", {})
    gpus = [gpu["name"] for gpu in machine.get("gpu") or [] if gpu.get("name")]
    parts = [machine.get("cpu") or "unknown processor", *sorted({*_capabilities(run).values()})]
    counts = {c.get("threads") for c in run.plan["comparisons"]} - {None, 0}
    parts.append(threads(sorted(counts) or [settings.get("threads")]))
    return ", ".join([*parts, *gpus, str(settings.get("device", ""))])
