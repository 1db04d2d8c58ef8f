"""One contender in one comparison: its figures, out of its records.

What failed keeps its status and its reason; what was not measured stays empty.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean, geometric_mean
from typing import Any

import numpy as np

from harness.record.records import Run
from harness.stats import comparable, modes, readings, statistics
from reports.analysis import QUANTILES, Cell, finite, ranked

MOST_STARTS = 100  # a record is a file's: its number may be anything


def cell(
    run: Run,
    plan: dict[str, Any],
    contender: str,
    groups: list[dict[str, Any]],
    logs: np.ndarray,
    floor_seconds: float | None,
) -> Cell:
    mine = run.cells_of(plan["id"], contender)
    cold = {c["pass"]: c for c in mine}
    starts = _starts(mine)
    turns = [g["turns"][contender] for g in groups if contender in g["turns"]]
    status, reason, log = _status(mine, groups, contender, bool(turns))
    seconds = math.exp(float(np.nanmean(logs))) if np.isfinite(logs).any() else None
    calls, latency, per_call = _figures(turns, queued=plan["direction"] != "infer")
    if seconds and readings.rank_of(plan)[0] != "latency":  # as it is ranked
        per_call = seconds
    joules = energy(groups, contender, plan["batch"])
    clusters = modes.clusters(logs) if np.isfinite(logs).any() else []
    ran = comparable.ran(mine)
    memory = _memory(mine)
    return Cell(
        contender=contender,
        status=status,
        reason=reason,
        launches=len(turns),
        latency=latency,
        seconds=seconds,
        throughput=plan["batch"] / per_call if per_call else None,
        energy=float(np.median([*joules.values()])) if joules else None,
        share_of_peak=floor_seconds / seconds if floor_seconds and seconds else None,
        bound=bound(turns) if plan["device"] != "cpu" else None,
        cold=_mean_start([c["seconds"] for c in starts if c and c["seconds"]]),
        starts=[(c or {}).get("seconds", {}).get("total") for c in starts],
        warm=cold["warm"]["seconds"] or None if "warm" in cold else None,
        memory=memory,
        oracle=_oracle(mine),
        manifest=dict(ran.manifest),
        ran=ran.ran,
        ran_error=ran.ran_error,
        compilations=len(
            {g["compilations"][contender] for g in groups if contender in g.get("compilations", {})}
        ),
        log=log,
        crowded=status == "oom"
        and contender in ranked(run)
        and not any(c["status"] == "oom" and c["pass"] != "steady" for c in mine),
        modes=[math.exp(float(np.mean(c))) for c in clusters] if len(clusters) > 1 else [],
        launch_seconds=[math.exp(float(v)) for v in logs if np.isfinite(v)],
        calls=calls,
    )


def _starts(mine: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """Those with an empty cache, the first one first; None for a later one that failed."""
    made = {1: c for c in mine if c["pass"] == "cold"}  # noqa: B035, there is one at most
    for c in mine:
        number = c.get("launch") or 0
        if c["pass"] == "again" and c["status"] == "ok" and 1 < number < MOST_STARTS:
            made[number] = c
    return [made.get(number) for number in range(1, max(made, default=0) + 1)]


def _mean_start(starts: list[dict[str, float]]) -> dict[str, float] | None:
    """Geometric mean of the totals, as ratios have it; and its parts, in their proportion."""
    if not starts:
        return None
    totals = [seconds.get("total", 0.0) for seconds in starts]
    if min(totals) <= 0 or not math.isfinite(sum(totals)):  # a damaged record
        return starts[0]
    share = geometric_mean(totals) / fmean(totals)
    mean = {part: fmean(s.get(part, 0.0) for s in starts) for part in starts[0]}
    return {part: share * value for part, value in mean.items()}


def _status(
    cells: list[dict[str, Any]], groups: list[dict[str, Any]], contender: str, measured: bool
) -> tuple[str, str | None, str | None]:
    """A wrong answer counts for ever; another failure, where nothing was measured all the same.

    Or where it came twice. A launch that cannot set it up says so in a cell and in its group.
    """
    failed = [c for c in cells if c["status"] != "ok"]
    told = [g["statuses"][contender] for g in groups if contender in g["statuses"]]
    failures = [(c["status"], c["reason"], c["log"]) for c in failed]
    failures += [(each["status"], each["reason"], None) for each in told]
    wrong = [f for f in failures if f[0] == "wrong"]
    if wrong:
        return wrong[0]
    in_launches = sum(c["pass"] == "steady" for c in failed)
    times = len(failed) - in_launches + max(in_launches, len(told))
    if measured and times < 2:
        return "ok", failures[0][1] if failures else None, None
    if failures:
        status, reason, log = failures[0]
        if status == "oom" and any(c["pass"] == "cold" and c["status"] == "ok" for c in cells):
            reason = f"{reason} (beside the others; alone, in the cold pass, it had room: "
            reason += "name fewer with --contenders)"
        return status, reason, log
    return "missing", "planned, and not measured: the run ended before it", None


def _figures(
    turns: list[list[dict[str, Any]]], queued: bool
) -> tuple[list[list[float | None]], dict[str, float | None] | None, float | None]:
    """Quantiles of each launch; their median over launches; and seconds a call by the turn, as
    the time that is ranked: the geometric mean over launches.

    Of calls that were queued nobody knows when each was done: of those it is each turn's mean.
    """
    if not turns:
        return [], None, None
    launches, means, per_call = [], [], []
    for launch in turns:
        calls = (
            [1e9 * readings.per_call(turn) for turn in launch]
            if queued
            else [call for turn in launch for call in turn["calls"][turn["dropped"] :]]
        )
        seen = [1e-9 * value for value in readings.quantiles(calls, *QUANTILES)]
        launches.append(seen if len(calls) >= readings.P99_CALLS else [*seen[:-1], math.nan])
        means.append(1e-9 * sum(calls) / len(calls))
        per_call.append(sum(readings.per_call(t) for t in launch) / len(launch))
    over = dict(zip(QUANTILES, np.median(np.array(launches), axis=0), strict=True))
    known = [seen[-1] for seen in launches if not math.isnan(seen[-1])]
    over[0.99] = np.median(known) if tells_p99(len(known), len(launches)) else math.nan
    figures = {"p25": over[0.25], "p50": over[0.5], "mean": np.median(means), "p99": over[0.99]}
    return (
        [[finite(value) for value in seen] for seen in launches],
        {name: finite(float(value)) for name, value in figures.items()},
        math.exp(float(np.mean(np.log(per_call)))) if all(per_call) else 0.0,
    )


def tells_p99(known: int, launches: int) -> bool:
    """Whether so many launches of P99_CALLS tell a p99: all of them, or as many as a verdict
    takes. A later launch may have had time for fewer rounds."""
    return known == launches or known >= statistics.LEAST_LAUNCHES


def bound(launches: list[list[dict[str, Any]]]) -> str | None:
    """Who takes the time of queued calls: the device, where it has more than a call's work left
    when the host has made the last one; else the host, which it waits for. None where no turn
    queued enough calls to tell."""
    left = [
        1e-9 * turn["drain_ns"] / readings.per_call(turn)
        for launch in launches
        for turn in launch
        if turn.get("drain_ns") is not None
    ]
    if not left:
        return None
    return "device" if float(np.median(left)) > 1 else "host"


def energy(groups: list[dict[str, Any]], contender: str, batch: int) -> dict[int, float]:
    """Launch -> joules of an item, over every call that was made while the meters ran.

    Of training without a pause, where that was measured; else of all turns, where each of
    them was long enough for the meters.
    """
    found = {}
    for group in groups:
        block = group.get("sustained", {}).get(contender)
        spells = [block] if block else group["turns"].get(contender, [])
        drawn = [spell.get("energy_j") for spell in spells]
        calls = sum(_made(spell) for spell in spells)
        # A meter that stood still has measured nothing.
        if calls and all(joules is not None for joules in drawn) and sum(drawn) > 0:
            found[group["launch"]] = sum(drawn) / calls / batch
    return found


def _made(spell: dict[str, Any]) -> int:
    """Calls in a turn or a block, whether they were timed or not."""
    if "made" in spell:
        return int(spell["made"])
    queued = len(spell["calls"]) - spell["dropped"] if spell.get("queued_ns") else 0
    return len(spell["calls"]) + queued


ON_DEVICE = ("allocated", "reserved", "device")


def _memory(cells: list[dict[str, Any]]) -> dict[str, int | None] | None:
    """Of its first start; a device's of the start that took least: what one took beyond that, to
    choose between kernels, needs no room (XLA's peak cannot be forgotten, as torch's is)."""
    told = [cell["memory"] for cell in cells if cell["memory"]]
    if not told:
        return None
    found: dict[str, int | None] = dict(told[0])
    for key in ON_DEVICE:
        seen = [each[key] for each in told if each.get(key) is not None]
        if seen:
            found[key] = min(seen)
    return found


def _oracle(cells: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The check that came nearest to its gate, or past it."""
    checked = [c for cell in cells for c in ((cell["oracle"] or {}).get("checked") or [])]
    if not checked:
        return None
    return max(checked, key=lambda c: math.inf if c["error"] is None else c["error"] / c["gate"])


def placed(cell: Cell, over_best: Mapping[int, float], idle: set[str]) -> Cell:
    """With its place among the others; what does no work (the null adapter) has none.

    over_best: the log of its time over the best's in every launch that holds both: what a
    launch does to all is in neither.
    """
    if cell.contender in idle:
        return replace(cell, share_of_peak=None)
    if not over_best:
        return cell
    return replace(cell, relative=math.exp(float(np.mean([*over_best.values()]))))
