"""From records to verdicts: who wins what, by how much, and how sure that is.

`analyse` reads a run and nothing else; what it says has the shapes of `analysis.py`.
Choices by profile are in `recommend.py`, warnings in `warn.py`.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.record.records import Run
from harness.stats import comparable, readings, statistics
from harness.stats.busy import throughout as busy_throughout
from reports.analysis import (
    Analysis,
    Cell,
    Comparison,
    Ratio,
    baselines,
    finite,
    nearness,
    ranked,
    short,
)
from reports.choice import breakeven, profiles, recommend
from reports.choice.sentences import why_open, within, would_tell
from reports.comparison import cells as cells_of
from reports.comparison import conditions, lanes, pairs, roof, unnamed, why
from reports.trust import again, warn
from reports.words import ends, few, interval, listed, times


def analyse(
    run: Run, chosen: Sequence[profiles.Profile] | None = None, price: float | None = None
) -> Analysis:
    """All verdicts of a run. Never raises for what records hold: what is missing is missing.

    chosen: the profiles to recommend for; default: all that come along. price: of an hour of
    this machine, for costs.
    """
    wanted = profiles.load() if chosen is None else chosen
    peak = roof.rates(run)
    # A comparison in another precision than the probes' has no roof: another unit computes it. Nor
    # has one on fewer threads, which reach less.
    measured_in = run.probes[0].get("precision", "float32") if peak else None
    probed = measured_in, run.plan.get("settings", {}).get("threads")
    busy = busy_throughout(run.groups)
    comparisons = [
        _comparison(run, plan, peak if _condition(run, plan) == probed else None, busy)
        for plan in run.plan["comparisons"]
        if plan["id"] not in run.unbegun
    ]
    screening = list(busy)
    loud = [short(c.id) for c in comparisons if c.busy and not busy]
    if loud:
        screening.append(f"the machine was busy while {few(loud)} was measured")
    short_of = [c for c in comparisons if c.launches and not _enough(run, c)]
    if short_of:
        most = max(c.launches for c in short_of)
        have = "has" if len(short_of) == 1 else "have"
        which = f"{len(short_of)} of {len(comparisons)} comparisons {have} "
        screening.append(
            f"{which if len(comparisons) > 1 else ''}fewer than {statistics.LEAST_LAUNCHES} "
            f"launches (at most {most})"
        )
    return Analysis(
        run=run.name,
        title=run.plan["suite"]["title"],
        created=run.plan["created"],
        command=run.plan["command"],
        budget_s=run.plan["budget_s"],
        machine=run.environment.get("machine", {}),
        settings=run.plan.get("settings", {}),
        contenders=_contenders(run),
        absent=run.plan.get("absent", []),
        screening=screening,
        comparisons=comparisons,
        recommendations=recommend.recommend(run, comparisons, wanted, price),
        breakeven=breakeven.break_even(run, comparisons),
        price=price,
        noise_floor=_noise_floor(run, comparisons),
        roof=peak,
        roof_precision=measured_in,
        warnings=warn.warnings(run, comparisons),
        failures=[
            {
                "comparison": c.id,
                "contender": cell.contender,
                "status": cell.status,
                "reason": cell.reason,
                "log": cell.log,
            }
            for c in comparisons
            for cell in c.cells
            if cell.status not in ("ok", "missing")
        ],
        left_out=run.plan.get("left_out", [])
        + [{"comparison": i, "reason": NO_ROOM} for i in sorted(run.unbegun)],
        problems=run.problems,
        lanes=lanes.lanes(run, comparisons),
        precisions=conditions.precisions(run, comparisons),
        scaling=conditions.threads(run, comparisons),
        profiled=why.why(run, comparisons),
    )


def _condition(run: Run, plan: dict[str, Any]) -> tuple[str, int | None]:
    """A comparison's precision, and how many threads its contenders have."""
    return plan["precision"], plan.get("threads") or run.plan.get("settings", {}).get("threads")


def _enough(run: Run, comparison: Comparison) -> bool:
    """Six launches; or fewer, where all but one contender were far behind and left."""
    able = [c.contender for c in comparison.cells if c.status == "ok" and c.seconds]
    left = [name for name in able if (comparison.id, name) in run.settled]
    return comparison.launches >= statistics.LEAST_LAUNCHES or (
        bool(left) and len(left) >= len(able) - 1
    )


NO_ROOM = "the budget has no room for its launches, beside those of what the suite asks before it"
MOST_FLOORS = 3  # that are told in words, the widest first


# --- one comparison ---------------------------------------------------------------------------


def _comparison(
    run: Run, plan: dict[str, Any], peak: dict[str, float] | None, busy: list[str]
) -> Comparison:
    name = plan["id"]
    busy = busy or busy_throughout(run.groups_of(name))
    groups = run.groups_of(name)
    bys = readings.rank_of(plan)
    by = bys[0]
    times = run.times(name, by)
    contenders, logs = readings.launch_table(groups, times, by)
    columns = {c: logs[:, i] for i, c in enumerate(contenders)}
    floor_seconds = _floor(plan["cost"], peak)
    cells = [
        cells_of.cell(run, plan, c, groups, columns.get(c, np.array([])), floor_seconds)
        for c in plan["contenders"]
    ]
    cells = _separated(run, plan, cells)
    able = [
        c.contender for c in cells if c.status == "ok" and c.seconds and c.contender in ranked(run)
    ]
    behind = readings.standing(np.array([columns[c] for c in able]).T) if able else np.array([])
    able = [able[place] for place in np.argsort(behind)]  # NaN, for who met nobody, is last
    ratios = _ratios(run, name, able, times, bool(busy))
    winner, best, runner_up = _winner(ratios, able)
    # Who beats all leads, whatever launches the others did not share.
    able = [*([best] if best else []), *(each for each in able if each != best)]
    idle = {c["name"] for c in run.plan["contenders"] if not c.get("computes", True)}
    native = {c["name"] for c in run.plan["contenders"] if c.get("of")}
    cells = [
        c
        if c.contender in native
        else cells_of.placed(c, readings.log_ratios(times, c.contender, best or ""), idle)
        for c in cells
    ]
    nobody = unnamed.reason(bool(busy), [c.contender for c in cells if c.crowded])
    why = _why(ratios, able, winner, runner_up, nobody, cells)
    other = _beats(run, name, able, bys[1], winner) if winner and len(bys) > 1 else None
    if other and not nobody:
        why = f"No winner: {winner} has the better {bys[0]}, {other} the better {bys[1]}."
    floor = run.plan.get("noise_floor")
    twins = None
    sound = {c.contender for c in cells if c.status == "ok"} & columns.keys()
    if floor and {floor["twin"], floor["of"]} <= sound:
        twins = _ratio(run, name, floor["twin"], floor["of"], times, False)
    return Comparison(
        **{k: plan[k] for k in ("id", "workload", "batch", "size", "direction", "precision")},
        threads=_condition(run, plan)[1],
        **{k: plan[k] for k in ("device", "kind", "summary", "headline", "cost")},
        winner=None if nobody or other else winner,
        leader=best,
        runner_up=runner_up,
        why=why,
        by=by,
        launches=len({g["launch"] for g in groups}),
        cells=cells,
        ratios=ratios,
        noise_floor=twins if twins and twins.launches else None,
        floor_seconds=floor_seconds,
        command=_command(run, plan),
        busy=busy,
        disagree=other is not None,
    )


def _separated(run: Run, plan: dict[str, Any], cells: list[Cell]) -> list[Cell]:
    """Those that ran otherwise than the others are not failed, and not ranked either."""
    ran = {c.contender: c.as_ran for c in cells if c.status == "ok"}
    precision, threads = _condition(run, plan)
    layers = plan["cost"].get("layers", 1)
    reasons = comparable.apart(ran, precision, layers, threads)
    return [
        replace(c, status="incomparable", reason=reasons[c.contender])
        if c.contender in reasons
        else c
        for c in cells
    ]


def _ratios(
    run: Run,
    name: str,
    able: list[str],
    times: readings.Times,
    busy: bool,
) -> list[Ratio]:
    """Every pair both ways. A verdict rests on the pair's own p: a winner has to beat every other,
    which is harder already."""
    found = [_ratio(run, name, a, b, times, busy) for a, b in itertools.combinations(able, 2)]
    found = [ratio for ratio in found if ratio.launches]  # two that never met have no ratio
    adjusted = statistics.holm([r.p for r in found])
    both = []
    for ratio, p in zip(found, adjusted, strict=True):
        forward = replace(ratio, p_adjusted=p)
        backward = replace(
            forward,
            a=ratio.b,
            b=ratio.a,
            ratio=1 / ratio.ratio,
            low=1 / ratio.high if ratio.high else None,
            high=1 / ratio.low if ratio.low else None,
            verdict=statistics.OPPOSITE.get(ratio.verdict, ratio.verdict),
        )
        both += [forward, backward]
    return both


def _ratio(run: Run, name: str, a: str, b: str, times: readings.Times, busy: bool) -> Ratio:
    found = pairs.judged(run, pairs.pair(run, name, times, a, b, busy))
    return Ratio(
        a,
        b,
        found.ratio,
        finite(found.low),
        finite(found.high),
        found.verdict,
        found.p,
        found.launches,
        finite(found.detectable),
        found.launches_needed,
        found.confidence,
    )


def _winner(ratios: list[Ratio], able: list[str]) -> tuple[str | None, str | None, str | None]:
    """Who is materially faster than all; who leads, the one whom nobody goes before in the launches
    that they share, if there is one; and the next: of those not proved to be behind, if any."""
    winner = statistics.winner({(r.a, r.b): r.verdict for r in ratios}, able)
    slower = {r.a for r in ratios if r.ratio > 1}
    leader = winner or next((n for n in able if n not in slower), able[0] if able else None)
    others = [r for r in ratios if r.b == leader]
    nearest = min(others, key=nearness, default=None)
    return winner, leader, nearest.a if nearest else None


def _beats(run: Run, name: str, able: list[str], by: str, winner: str) -> str | None:
    """Who is materially faster than the winner by the second statistic, the fastest of them."""
    times = run.times(name, by)
    others = [_ratio(run, name, each, winner, times, False) for each in able if each != winner]
    better = [r for r in others if r.verdict == "materially_faster"]
    return min(better, key=lambda r: r.ratio).a if better else None


def _why(
    ratios: list[Ratio],
    able: list[str],
    winner: str | None,
    runner_up: str | None,
    nobody: str,
    cells: list[Cell],
) -> str:
    """One sentence, in plain words. nobody: why no winner may be named, if so."""
    if not able:
        return "Nothing was measured."
    leader = winner or able[0]
    pair = next((r for r in ratios if (r.a, r.b) == (leader, runner_up)), None)
    if pair is None and len(able) > 1:
        return f"{leader} shares no launch with {', '.join(able[1:])}: there is no ratio."
    if pair is None:
        apart = ", ".join(c.contender for c in cells if c.status == "incomparable")
        if apart:
            return f"Nothing can be ranked against {leader}: {apart} ran in other settings."
        return f"Only {leader} was measured: there is nothing to compare it with."
    fact = f"{leader} takes {times(pair.ratio)} the time of {runner_up}"
    if pair.low is not None and pair.high is not None:
        fact += f" ({interval(pair.confidence)} {ends(pair.low, pair.high)}"
        fact += f", {pair.launches} launches)"
    if nobody:
        return f"Nobody is named: {nobody}. {fact}."
    if winner:
        return f"{fact}."
    tied = [r.a for r in ratios if r.b == leader and r.verdict == "tie"]
    if tied:
        names = listed([leader, *sorted(tied)])
        proved = {r.a for r in ratios if r.b == leader and r.verdict == "materially_slower"}
        others = [name for name in able if name not in (leader, *tied, *proved)]
        left = f" Not yet told apart from them: {', '.join(others)}." if others else ""
        return f"A tie of {names}: {within([leader, *tied])}.{left} {fact}."
    if pair.verdict == "screening":
        return f"Screening only, with {pair.launches} of 6 launches. {fact}."
    return f"No winner: {why_open(pair)}. {fact}. {would_tell(pair)}"


def _command(run: Run, plan: dict[str, Any]) -> str:
    """The command that measures this comparison again; the run's own, where no suite asks it."""
    if any(c.get("planted") for c in run.plan["contenders"]):
        return run.plan["command"]
    native = [c["name"] for c in run.plan["contenders"] if c.get("of")]
    names = [name for name in plan["contenders"] if name in (*ranked(run), *native)]
    return again.command(run, [plan], names)


# --- the run ------------------------------------------------------------------------------------


def _floor(cost: dict[str, Any], peak: dict[str, float] | None) -> float | None:
    """Seconds below which only fewer operations, or caches, can go: the larger of two times."""
    if peak is None:
        return None
    return max(cost["flops"] / peak["flops_per_s"], cost["bytes"] / peak["bytes_per_s"])


def _contenders(run: Run) -> list[dict[str, Any]]:
    seen = run.environment.get("contenders", {})
    floor = run.plan.get("noise_floor") or {}
    versions = run.versions
    own = baselines(run)
    return [
        {
            **contender,
            "twin": contender["name"] == floor.get("twin"),
            "baseline": contender["name"] in own,
            "version": versions[contender["name"]],
            **{
                key: seen.get(contender["name"].partition("#")[0], {}).get(key)
                for key in ("manifest", "status", "reason")
            },
        }
        for contender in run.plan["contenders"]
    ]


def _noise_floor(run: Run, comparisons: list[Comparison]) -> dict[str, Any] | None:
    """What the twins differ by: the largest difference, and each."""
    floor = run.plan.get("noise_floor")
    pairs = [(c.id, c.noise_floor) for c in comparisons if c.noise_floor]
    if not floor or not pairs:
        return None
    apart = {c: abs(math.log(r.ratio)) for c, r in pairs}
    between = {c: f" ({r.low:.2f} to {r.high:.2f})" if r.low and r.high else "" for c, r in pairs}
    widest = sorted(apart, key=lambda c: -apart[c])[:MOST_FLOORS]
    return {
        **floor,
        "percent": 100 * math.expm1(apart[widest[0]]),
        "widest": widest[0],
        "told": ", ".join(
            f"{100 * math.expm1(apart[c]):.1f}% in {short(c)}{between[c]}" for c in widest
        ),
        "comparisons": [
            {"comparison": c, "ratio": r.ratio, "low": r.low, "high": r.high} for c, r in pairs
        ],
    }
