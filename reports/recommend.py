"""What to choose, by use: training, single-image latency, throughput.

A use is a set of comparisons. Contenders are ranked over it by the geometric mean of
their time ratios, launch by launch, since the launches are shared (METHOD). One that
misses a comparison of the use is incomplete, and not ranked. It speaks of these workloads
on this machine, and says so.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness import statistics, uses
from harness.records import Run
from reports.analysis import Comparison, finite, nearness, ranked
from reports.words import interval, launches, times


@dataclass(frozen=True)
class Recommendation:
    """The choice for one use; `choice` is None where nothing is sure enough."""

    use: str
    choice: str | None
    tied: list[str]
    sentence: str
    verdict: str
    runner_up: str | None
    ratio: float | None
    low: float | None
    high: float | None
    launches: int
    comparisons: list[str]
    ranking: list[dict[str, Any]]  # contender, ratio (time over the leader's), low, high, verdict
    incomplete: list[dict[str, str]]
    conditions: list[str] = field(default_factory=list)
    confidence: float = 0.95  # of the interval: 0.999 where one of the two left early


def recommend(run: Run, comparisons: list[Comparison], busy: bool) -> list[Recommendation]:
    """One for each use, device and precision that the run has comparisons for."""
    found = []
    for use, device, precision, same in uses.groups(comparisons):
        plain = (device, precision) == (comparisons[0].device, "float32")
        name = use if plain else f"{use} ({precision}, {device})"
        found.append(_for_use(name, run, same, busy))
    return found


def _for_use(use: str, run: Run, comparisons: list[Comparison], busy: bool) -> Recommendation:
    ids = [c.id for c in comparisons]
    complete, incomplete = [], []
    for name in ranked(run):
        missing = [
            (c.id, cell)
            for c in comparisons
            for cell in c.cells
            if cell.contender == name and cell.status != "ok"
        ]
        if missing:
            where, cell = missing[0]
            why = f"{cell.status} in {where}" + (f": {cell.reason}" if cell.reason else "")
            incomplete.append({"contender": name, "why": why})
        elif all(any(cell.contender == name for cell in c.cells) for c in comparisons):
            complete.append(name)
    apart = _apart(run, comparisons, complete)
    complete = [name for name in complete if name not in apart]
    incomplete += [{"contender": n, "why": "shares no launch with the others"} for n in apart]
    times = [statistics.log_times(run.groups_of(c.id), c.id, c.by) for c in comparisons]
    pairs = {(a, b): _pair(run, comparisons, times, a, b, busy) for a in complete for b in complete}
    order = sorted(complete, key=lambda a: sum(np.log(pairs[a, b].ratio) for b in complete))
    leader = order[0] if order else ""
    others = order[1:]
    verdicts = {(a, b): found.verdict for (a, b), found in pairs.items()}
    choice = statistics.winner(verdicts, complete)
    runner_up = min(others, key=lambda b: nearness(pairs[b, leader]), default=None)
    best = pairs[leader, runner_up] if leader and runner_up else None
    tied = [b for b in others if verdicts[leader, b] == "tie"] if leader else []
    return Recommendation(
        use=use,
        choice=choice,
        tied=[leader, *tied] if tied and leader and not choice else [],
        sentence=_sentence(leader, runner_up, best, choice, tied, busy, len(ids), comparisons)
        + _ruled_out([(b, pairs[b, leader]) for b in others if b != runner_up]),
        verdict=best.verdict if best else "screening",
        runner_up=runner_up,
        ratio=best.ratio if best else None,
        low=finite(best.low) if best else None,
        high=finite(best.high) if best else None,
        launches=best.launches if best else 0,
        comparisons=ids,
        ranking=[
            {
                "contender": name,
                "ratio": pairs[name, leader].ratio,
                "low": finite(pairs[name, leader].low),
                "high": finite(pairs[name, leader].high),
                "verdict": verdicts[name, leader] if name != leader else "best",
                "confidence": pairs[name, leader].confidence,
            }
            for name in order
        ],
        incomplete=incomplete,
        conditions=_conditions(comparisons, order[:2]),
        confidence=best.confidence if best else 0.95,
    )


def _apart(run: Run, comparisons: list[Comparison], names: list[str]) -> list[str]:
    """Contenders that share no launch with the most measured one: there is no ratio to it."""
    held = {
        name: set.intersection(
            *({g["launch"] for g in run.groups_of(c.id) if name in g["turns"]} for c in comparisons)
        )
        for name in names
    }
    most = max(held.values(), key=len, default=set())
    return [name for name in names if not held[name] & most]


def _pair(
    run: Run,
    comparisons: list[Comparison],
    times: list[statistics.Times],
    a: str,
    b: str,
    busy: bool,
) -> statistics.Comparison:
    """a against b by the geometric mean over the comparisons, launch by launch."""
    logs = [statistics.log_ratios(each, a, b) for each in times]
    modal = any(
        r is not None and r.verdict == "multimodal" for r in (c.ratio(a, b) for c in comparisons)
    )
    settled = any(run.settled(c.id, name) for c in comparisons for name in (a, b))
    found = statistics.compare(statistics.shared_launches(logs), modal, settled=settled)
    return statistics.Comparison(**{**found.__dict__, "verdict": "screening"}) if busy else found


def _sentence(
    leader: str | None,
    runner_up: str | None,
    best: statistics.Comparison | None,
    choice: str | None,
    tied: list[str],
    busy: bool,
    count: int,
    comparisons: list[Comparison],
) -> str:
    """For a person who reads nothing else."""
    over = comparisons[0].id if count == 1 else f"{count} workloads (geometric mean)"
    if leader is None:
        return "No contender was measured in all of its comparisons."
    if best is None or runner_up is None:
        return f"Only {leader} was measured in all of its comparisons: nothing to choose from."
    fact = f"it takes {times(best.ratio)} the time of {runner_up}"
    sure = f"{interval(best.confidence)} {best.low:.2f} to {best.high:.2f}"
    sure += f", {best.launches} launches"
    sure = sure if np.isfinite(best.high) else f"{best.launches} launch"
    if choice:
        return f"Choose {choice}: {fact} ({sure}), over {over}."
    if tied:
        names = ", ".join([leader, *tied])
        slower = _deciders(comparisons, [leader, *tied])
        return f"A tie of {names}: they differ by less than 3% over {over}.{slower}"
    if best.verdict == "screening":
        why = "the machine was busy" if busy else f"only {best.launches} of 6 launches"
        return f"{leader} is ahead, not proved ({why}): {fact} ({sure}), over {over}."
    more = ""
    if best.launches_needed:
        more = f" {launches(best.launches_needed).capitalize()} would tell."
    return f"No winner by the margin of 3%: {leader} leads, {fact} ({sure}), over {over}.{more}"


def _ruled_out(others: list[tuple[str, statistics.Comparison]]) -> str:
    """Who need not be considered: a choice that is open is seldom open between all."""
    slower = [
        f"{name} ({times(pair.ratio)})"
        for name, pair in others
        if pair.verdict == "materially_slower"
    ]
    return f" Clearly slower: {', '.join(slower)}." if slower else ""


def _deciders(comparisons: list[Comparison], names: list[str]) -> str:
    """What then decides between tied contenders: time to first result, then memory."""
    cold = {
        name: [cold["total"] for c in comparisons if (cold := c.cell(name).cold)] for name in names
    }
    if not all(cold.values()):
        return ""
    mean = {name: float(np.mean(values)) for name, values in cold.items()}
    quickest = min(mean, key=lambda name: mean[name])
    return f" What then decides: {quickest} gives a first result in {mean[quickest]:.1f} s, " + (
        ", ".join(f"{n} in {mean[n]:.1f} s" for n in names if n != quickest) + "."
    )


def _conditions(comparisons: list[Comparison], names: list[str]) -> list[str]:
    autotuned = [n for n in names if any(c.cell(n).manifest.get("autotune") for c in comparisons)]
    if not autotuned:
        return []
    return [f"conditional on one compilation: {', '.join(autotuned)} autotunes"]
