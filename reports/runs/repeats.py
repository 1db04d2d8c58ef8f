"""Runs of one machine as replicates: of what an hour or a day does to one contender and not to
another, which no run sees by itself.

A run's interval is over its own launches, which all lie within minutes. Here a run is what a
launch is there: its ratio, or its score, is one observation, and the rules are those of a run,
with six runs for six launches. What a run saw beside its launches (a start, a peak of memory)
several runs have seen as often, so nothing is added for luck.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from harness.stats import statistics
from reports.analysis import short
from reports.choice import decide, overall, sentences
from reports.choice.recommend import Recommendation
from reports.runs import several
from reports.words import ends, interval, listed, times

# Runs that are added because six did not decide are a second stage: the first six's spread stays in
# force, as that of six launches does.
FIRST = statistics.LEAST_LAUNCHES


@dataclass(frozen=True)
class Repeated:
    """A contender's time over the anchor's, over all runs: their geometric mean."""

    ratio: float
    low: float  # of the 95% interval over runs; of two runs, the lower one
    high: float
    apart: float  # the greatest over the smallest
    runs: int
    verdict: str


@dataclass(frozen=True)
class Choice:
    """What all runs together say of one use; see `recommend.Recommendation`, of one run."""

    title: str
    choice: str | None
    tied: list[str]
    untold: list[str]  # of a tie: who is neither part of it nor shown to be behind
    rival: str  # the nearest to who leads; of a tie, the first that it ties with
    lead: Repeated  # who leads over the rival
    each: list[float]  # the same, run by run
    sentence: str
    ranking: list[dict[str, Any]]  # contender; each: its score over the leader's, run by run
    split: list[dict[str, Any]]  # where another is ahead; as `recommend.Recommendation` has it
    worst: float | None  # the leader's score over another's, at the far end of an open interval
    worst_of: str  # whose that is


def repeat(ratios: Sequence[float] | np.ndarray, unnamed: bool = False) -> Repeated:
    """ratios: one a run. unnamed: the machine does not allow it; then nothing is claimed."""
    logs = np.log(ratios)
    ends = (
        statistics.t_interval(logs, first_stage=FIRST)
        if len(logs) > 2
        else (logs.min(), logs.max())
    )
    ratio, low, high, apart = np.exp([logs.mean(), *ends, np.ptp(logs)]).tolist()
    verdict = "screening" if unnamed else statistics.compare(logs, first_stage=FIRST).verdict
    return Repeated(ratio, low, high, apart, len(logs), verdict)


def moved(repeated: Mapping[str, Mapping[str, Repeated]], anchor: str | None) -> str:
    """By how much at most a ratio was another one in another run."""
    rows = [
        (each.apart, name, place) for place, on in repeated.items() for name, each in on.items()
    ]
    if not rows:
        return ""
    apart, name, place = max(rows)
    told = f" From run to run {name} over {anchor} in {short(place)} moved most, by "
    told += f"{100 * (apart - 1):.2g}%"
    if several.ALL in repeated:
        most = max(each.apart for each in repeated[several.ALL].values())
        told += f"; over all comparisons nobody by more than {100 * (most - 1):.2g}%"
    return f"{told}."


def choose(
    title: str,
    found: Sequence[Recommendation | None],
    shared: set[str],
    names: set[str],
    unnamed: str = "",
    times: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
) -> Choice | None:
    """What to choose for a use, given what each run says of it. None where they do not add up.

    shared: comparisons that were the same work in every run, ranked by the same. names: of whom
    nothing changed from run to run. unnamed: why nobody is named, where a run alone would not
    either. times: of each comparison, each contender's time over one that is the same for all, run
    by run.
    """
    told = [each for each in found if each is not None]
    if len(told) < max(len(found), 2) or len({_asked(each) for each in told}) > 1:
        return None
    if not shared.issuperset(told[0].comparisons):
        return None
    scores = [_scores(each) for each in told]
    held = [name for name in scores[0] if name in names and all(name in s for s in scores)]
    if len(held) < 2:
        return None
    aspect = decide.Aspect(
        measure="score",
        of=None,
        weight=1.0,
        logs={
            (a, b): {run: score[a] - score[b] for run, score in enumerate(scores, start=1)}
            for a in held
            for b in held
            if a != b
        },
    )
    decision = decide.decide([aspect], held, unnamed=bool(unnamed), first_stage=FIRST)
    leader = decision.leader or ""
    rival = decision.runner_up or ""
    over = {name: np.exp([s[name] - s[leader] for s in scores]) for name in decision.order}
    each = 1 / over[rival]
    out = [name for name in dict.fromkeys(n for s in scores for n in s) if name not in held]
    left = f" Not in every run, or changed between them: {', '.join(out)}." if out else ""
    held_by = {c: (times or {}).get(c, {}) for c in told[0].comparisons}
    divided = decide.split(
        {
            comparison: {
                name: repeat(np.divide(on[leader], on[name]), bool(unnamed))
                for name in decision.order[1:]
                if name in on and leader in on
            }
            for comparison, on in held_by.items()
        }
    )
    lost = sentences.without(told[0].lost, told[0].lacking)
    left += f" {lost}" if lost else ""
    worst, worst_of = sentences.at_worst(decision)
    return Choice(
        title=title,
        choice=decision.choice,
        tied=decision.tied,
        untold=decision.untold if decision.tied else [],
        rival=rival,
        lead=repeat(each, bool(unnamed)),
        each=each.tolist(),
        sentence=_sentence(decision, rival, each, told[0].of, unnamed)
        + sentences.divided(divided)
        + left,
        ranking=[{"contender": name, "each": its.tolist()} for name, its in over.items()],
        split=divided,
        worst=worst,
        worst_of=worst_of,
    )


def answer(choices: Mapping[str, Choice | None], begun: Sequence[str]) -> str:
    """All choices in a breath; and how many runs it takes, where there were too few.

    begun: when each run was, as ISO 8601. How far apart tells of what they are replicates.
    """
    found = [each for each in choices.values() if each is not None]
    if not found:
        return ""
    least, runs = statistics.LEAST_LAUNCHES, len(begun)
    few = f" To decide over runs takes {least} of them, at different hours: `bakeoff repeat`."
    few *= runs < least
    return f"Over {runs} runs{_span(begun)}. {overall.answer(found)}{few}"


def _span(begun: Sequence[str]) -> str:
    """`, begun within 5 hours`; nothing where a record's time is none."""
    try:
        moments = [datetime.fromisoformat(each) for each in begun]
        minutes = (max(moments) - min(moments)).total_seconds() / 60
    except (ValueError, TypeError):
        return ""
    for unit, size in (("days", 60 * 24), ("hours", 60)):
        if minutes >= 2 * size:
            return f", begun within {minutes / size:.0f} {unit}"
    return f", begun within {minutes:.0f} min"


def _asked(each: Recommendation) -> str:
    """What was weighed, over which workloads."""
    weighed = [
        (one["measure"], one["of"], round(one["weight"], 6), one["comparisons"])
        for one in each.objectives
        if one["weight"] > 0
    ]
    return repr(weighed)


def _scores(each: Recommendation) -> dict[str, float]:
    """ln of each contender's score over that of who led this run."""
    return {row["contender"]: float(np.log(row["ratio"])) for row in each.ranking if row["ratio"]}


def _sentence(
    decision: decide.Decision,
    rival: str,
    each: np.ndarray,
    of: str,
    unnamed: str,
) -> str:
    """each: the leader's score over the rival's, by run."""
    leader = decision.leader or ""
    best = decision.pairs[leader, rival]
    fact = sentences.told_ratio(best.ratio, of, rival)
    runs, ahead = len(each), int(np.sum(each < 1))
    by_run = f"run by run {listed([times(ratio) for ratio in each])}"
    sure = f"{interval(best.confidence)} {ends(best.low, best.high)}, {runs} runs; {by_run}"
    if decision.choice:
        return f"Choose {leader}: {fact} ({sure})."
    if decision.tied:
        told = f"A tie of {', '.join(decision.tied)}: {sentences.within(decision.tied)} ({sure})."
        left = f" Not yet told apart from them: {', '.join(decision.untold)}."
        return told + (left if decision.untold else "")
    where = f"in {'both' if ahead == 2 else 'all'}" if ahead == runs else f"in {ahead} of {runs}"
    if best.verdict == "screening":
        why = unnamed or f"{runs} of {statistics.LEAST_LAUNCHES} runs"
        return f"{leader} leads, not proven ({why}), ahead {where}: {fact} ({by_run})."
    more = sentences.would_tell(best, "runs")
    why = sentences.why_open(best)
    worst, whom = sentences.at_worst(decision)
    safe = f" At worst it is {sentences.behind(worst)} behind {whom}." if worst else ""
    return f"Open: {why}. {leader} leads, ahead {where}: {fact} ({sure}).{safe} {more}"
