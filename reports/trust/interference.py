"""Interference: what a machine did to turns and launches, as far as it was counted.

Other programs, the hypervisor, page faults, threads beyond those that were given, launches in
which all were slower, processes that keep a mode for life. Each is a warning of `warn.py`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from harness.record.records import Run
from harness.stats import busy, modes, readings
from reports import words
from reports.analysis import Comparison, warning

THREADS_OFF = 0.20
# Page faults are told where they take over 1% of a call, at half a microsecond each (a
# fault cost 0.9 on a virtual machine: 20,000 of them made a call of 76 ms one of 95 ms).
FAULT_SECONDS, FAULT_SHARE = 0.5e-6, 0.01
# One launch in seven of the published run lies so far from its contender's median, half of them
# within 5%: it is that several do at once which speaks of the machine.
SLOW_LAUNCH = math.log(1.15)
LEAST_OTHERS = 4  # launches, of which one can be said to be unlike the others
SWITCHES = 0.5  # involuntary switches a millisecond of a turn: somebody else wants the processor
# Of some of it nothing is to be done: what a reader should know of it instead.
KEPT = (
    "glibc is told to keep its memory, and maps some blocks anew all the same (such as those over "
    "64 MiB: docs/method.md); a program of yours pays that too"
)
AS_SHIPPED = (
    "compare with --allocator tuned, the default, by which glibc keeps its memory; as shipped is "
    "what a program of yours pays"
)
OWN_THREADS = (
    "other programs took little meanwhile: its own threads are more than the processors it was "
    "given, and take them from one another"
)
OTHERS = "close other programs, and measure again; `bakeoff doctor` names the busiest"


def warnings(run: Run, comparisons: list[Comparison]) -> list[dict[str, Any]]:
    return [
        *_load(run),
        *_slow_launches(run, comparisons),
        *_threads(run),
        *_too_many_threads(run),
        *_page_faults(run),
        *_switches(run),
        *_stolen(run),
        *_not_steady(run),
        *_modes(run, comparisons),
    ]


def _load(run: Run) -> list[dict[str, Any]]:
    """Launches that were measured beside others, though not so many as to screen the run."""
    loaded = [g for g in run.groups if busy.why(g["machine"])]
    if not loaded or busy.throughout(run.groups):
        return []  # then the whole run is a screening, and says so
    worst = max(loaded, key=lambda g: g["machine"].get("foreign_cpu_share") or 0.0)
    why = busy.why(worst["machine"])
    return [
        warning(
            "load",
            f"{len(loaded)} of {len(run.groups)} comparisons in launches were measured on a busy "
            f"machine (in {worst['comparison']}, launch {worst['launch']}, {why})",
            "load hits contenders differently; close other programs and measure again",
            comparisons=[group["comparison"] for group in loaded],
        )
    ]


def _slow_launches(run: Run, comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """Launches in which several contenders were slower than in their others, at once.

    That is the machine. It cancels out of ratios as far as it hits all alike; where it does
    not, one launch widens every interval of its comparison.
    """
    found: dict[int, list[tuple[str, dict[str, float], int]]] = {}
    for comparison in comparisons:
        groups = run.groups_of(comparison.id)
        by = comparison.by_turn
        names, logs = readings.launch_table(groups, run.times(comparison.id, by), by)
        known = np.isfinite(logs).any(axis=0)
        names, logs = [n for n, k in zip(names, known, strict=True) if k], logs[:, known]
        if len(logs) < LEAST_OTHERS:
            continue
        for group, row in zip(groups, logs - np.nanmedian(logs, axis=0), strict=True):
            there = {n: float(v) for n, v in zip(names, row, strict=True) if np.isfinite(v)}
            slow = {n: v for n, v in there.items() if v > SLOW_LAUNCH}
            if len(slow) >= max(2, len(there) / 3):
                found.setdefault(group["launch"], []).append((comparison.id, slow, len(there)))
    return [
        warning(
            f"launch {launch}",
            "the machine was slower for several contenders at once, up to "
            f"{math.exp(max(v for _, slow, _ in seen for v in slow.values())):.2f} times: "
            + ", ".join(f"{len(slow)} of {all_} in {where}" for where, slow, all_ in seen),
            "intervals hold it and are wider for it; more launches make them narrower",
            [where for where, _, _ in seen],
            dict.fromkeys(name for _, slow, _ in seen for name in slow),
        )
        for launch, seen in sorted(found.items())
    ]


def _threads(run: Run) -> list[dict[str, Any]]:
    """Processor time over wall time of a large product tells how many threads worked."""
    asked = run.plan.get("settings", {}).get("threads")
    if not asked or run.plan.get("settings", {}).get("device") != "cpu":
        return []
    return [
        warning(
            probe["contender"],
            f"a large product kept {probe['effective_threads']:.1f} processors busy, "
            f"{asked} were asked for",
            _advice(probe["effective_threads"] > asked, asked),
            contenders=[probe["contender"]],
        )
        for probe in run.probes
        if abs(probe["effective_threads"] / asked - 1) > THREADS_OFF
    ]


def _advice(many: bool, asked: int) -> str:
    setting = "its thread setting may not take effect"
    setting += "; compare with --threads 1" if asked > 1 else ""
    return setting if many else f"the machine was busy: measure again; or {setting}"


def _too_many_threads(run: Run) -> list[dict[str, Any]]:
    """Processor time over wall time of its turns, past what it was given."""
    asked = run.plan.get("settings", {}).get("threads")
    if not asked or run.plan.get("settings", {}).get("device") != "cpu":
        return []

    def busy(turns: list[dict[str, Any]]) -> float:
        return sum(t.get("cpu_ns", 0) for t in turns) / sum(t["wall_ns"] for t in turns)

    what = "it keeps {} processors busy, more than it has threads,"
    advice = "its thread setting does not take effect: it is not alike"
    given = {c["id"]: c.get("threads") or asked for c in run.plan["comparisons"]}
    most = {place: (1 + THREADS_OFF) * count for place, count in given.items()}
    return _many(_past(run, busy, most), what, advice)


def _page_faults(run: Run) -> list[dict[str, Any]]:
    def share(turns: list[dict[str, Any]]) -> float:
        seconds = sum(t["wall_ns"] for t in turns) * 1e-9
        return FAULT_SECONDS * sum(t.get("minor_faults", 0) for t in turns) / seconds

    found = [(where, name, 100 * value) for where, name, value in _past(run, share, FAULT_SHARE)]
    what = "its memory comes from the kernel anew at every call, which takes about {}% of its time"
    if run.plan.get("settings", {}).get("allocator") == "as-shipped":
        return _many(found, what, AS_SHIPPED)
    return _many(found, what, why=KEPT)


def _switches(run: Run) -> list[dict[str, Any]]:
    """Beside a load it is that; in launches without one its own threads take turns."""

    def rate(turns: list[dict[str, Any]]) -> float:
        milliseconds = sum(t["wall_ns"] for t in turns) / 1e6
        return sum(t.get("involuntary_switches", 0) for t in turns) / milliseconds

    def quiet(group: dict[str, Any]) -> bool:
        share = group.get("machine", {}).get("foreign_cpu_share")
        return share is not None and share <= busy.FOREIGN

    found = _past(run, rate, SWITCHES)
    alone = {each[:2] for each in _past(run, rate, SWITCHES, quiet)}
    what = "the system took its processor away {} times a millisecond (involuntary switches)"
    own = [each for each in found if each[:2] in alone]
    others = [each for each in found if each[:2] not in alone]
    return [*_many(own, what, why=OWN_THREADS), *_many(others, what, OTHERS)]


def _stolen(run: Run) -> list[dict[str, Any]]:
    def share(turns: list[dict[str, Any]]) -> float:
        seconds = sum(t.get("asked_s") or t["wall_ns"] * 1e-9 for t in turns)
        # It was counted on all that the run may use, which may be more than the workers were given.
        processors = len(run.environment.get("machine", {}).get("affinity") or []) or 1
        return sum(t.get("stolen_s", 0.0) for t in turns) / seconds / processors

    return _many(
        [(where, name, 100 * value) for where, name, value in _past(run, share, busy.STOLEN)],
        "the hypervisor took the processors from its turns for {}% of their time",
        "neighbours on the same host are busy: measure again at another hour, or elsewhere",
    )


def _not_steady(run: Run) -> list[dict[str, Any]]:
    unsteady = [
        (c["comparison"], c["contender"], float(c["warmup"]["seconds"]))
        for c in run.cells
        if c.get("warmup") and not c["warmup"].get("steady", True)
    ]
    return _many(
        unsteady,
        "not steady: its calls went on changing until warm-up ended after {} s",
        "look at its launches; the suite `full` warms up for 30 s",
    )


def _modes(run: Run, comparisons: list[Comparison]) -> list[dict[str, Any]]:
    turns = {(where, name): launches for where, name, launches in _cells(run)}
    return [
        warning(
            f"{cell.contender}, {c.id}",
            f"its launches fall into {len(cell.modes)} modes: "
            + ", ".join(f"{1e3 * mode:.3g} ms" for mode in cell.modes)
            + _cause(turns.get((c.id, cell.contender), {}), c.by_turn),
            "a process keeps its mode as long as it lives: more launches, or mend the cause",
            [c.id],
            [cell.contender],
        )
        for c in comparisons
        for cell in c.cells
        if cell.modes and _own_modes(run, c, cell.contender)
    ]


def _own_modes(run: Run, comparison: Comparison, name: str) -> bool:
    """Whether it has modes beside the others too, who were measured in the same launches: a machine
    that was slower in some of them puts all into modes, and no process keeps that."""
    groups, by = run.groups_of(comparison.id), comparison.by
    names, logs = readings.launch_table(groups, run.times(comparison.id, by), by)
    mine = logs[:, names.index(name)]
    there = np.isfinite(mine)
    whole = [n != name and bool(np.isfinite(logs[there, k]).all()) for k, n in enumerate(names)]
    if not any(whole):
        return True
    beside = mine[there] - logs[there][:, whole].mean(axis=1)
    return len(modes.clusters(beside)) > 1


def _cause(launches: dict[int, list[dict[str, Any]]], by: str) -> str:
    """What the slow launches have that the fast ones have not, as far as it was counted."""
    statistic = readings.STATISTICS[by]
    rows = [
        (
            readings.trimmed_mean(np.log([statistic(t) for t in turns])),
            _per_call(turns, "minor_faults"),
            _per_call(turns, "involuntary_switches"),
        )
        for turns in launches.values()
        if turns
    ]
    clusters = modes.clusters(np.array([row[0] for row in rows]))
    if len(clusters) == 1:
        return ""  # the modes are those of blocks without a pause: turns have none
    slowest = clusters[-1]
    slow = [row for row in rows if row[0] >= slowest[0]]
    fast = [row for row in rows if row[0] < slowest[0]]
    for place, what in ((1, "page faults"), (2, "involuntary switches")):
        ours, theirs = (float(np.median([row[place] for row in part])) for part in (slow, fast))
        if ours > 1 and ours > 5 * theirs:
            often, seldom = words.tally(ours), words.tally(theirs)
            return f" (the slow ones take {often} {what} a call, the fast ones {seldom})"
    return " (no cause was seen: neither page faults nor switches tell them apart)"


def _cells(
    run: Run, wanted: Callable[[dict[str, Any]], bool] = lambda group: True
) -> Iterator[tuple[str, str, dict[int, list[dict[str, Any]]]]]:
    """(comparison, contender, its turns by launch), of the groups that are wanted."""
    found: dict[tuple[str, str], dict[int, list[dict[str, Any]]]] = {}
    for group in filter(wanted, run.groups):
        for name, turns in group["turns"].items():
            found.setdefault((group["comparison"], name), {})[group["launch"]] = turns
    for (comparison, name), launches in found.items():
        yield comparison, name, launches


def _per_call(turns: list[dict[str, Any]], what: str) -> float:
    return sum(t.get(what, 0) for t in turns) / max(1, sum(len(t["calls"]) for t in turns))


def _past(
    run: Run,
    figure: Callable[[list[dict[str, Any]]], float],
    most: float | Mapping[str, float],
    wanted: Callable[[dict[str, Any]], bool] = lambda group: True,
) -> list[tuple[str, str, float]]:
    """(comparison, contender, figure), where a figure of all its turns is past `most`, or what
    that is of the comparison.

    wanted: of which groups, where not of all.
    """
    found = []
    for comparison, name, launches in _cells(run, wanted):
        turns = [turn for turns in launches.values() for turn in turns if turn.get("wall_ns")]
        limit = most if isinstance(most, float) else most.get(comparison, math.inf)
        if turns and (value := figure(turns)) > limit:
            found.append((comparison, name, value))
    return found


def _many(
    found: list[tuple[str, str, float]], what: str, advice: str = "", why: str = ""
) -> list[dict[str, Any]]:
    """One warning a contender, however many comparisons it was seen in: the worst is named.

    what: a sentence up to where it was seen, with {} for the figure.
    """
    warned = []
    for name in sorted({name for _, name, _ in found}):
        mine = [(value, where) for where, who, value in found if who == name]
        value, where = max(mine)
        others = f", and in {len(mine) - 1} more" if len(mine) > 1 else ""
        told = f"{what.format(words.tally(value))} in {where}{others}"
        warned.append(warning(name, told, advice, [where for _, where in mine], [name], why))
    return warned
