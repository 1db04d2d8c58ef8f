"""Who takes leave of which comparison: the rule of sampling.py, on what was measured so far.

A contender leaves a comparison where it is far behind in it, in every use that the
comparison speaks of, *and* in all uses together: a recommendation wants all its comparisons
from the same launches, and some weigh every use. It must be so by every statistic that they
are ranked by, and in a use by the slowest call in a hundred, where that is asked for: four
launches show less of it, and whoever left would keep the whole use open. Where `--launches`
asks for so many launches, the runner asks nobody to leave.
"""

import math
from typing import Any

import numpy as np

from harness.plan.plan import Plan, PlannedComparison, PlannedContender
from harness.stats import readings, sampling, statistics, uses

Key = tuple[str, str]  # comparison, contender
P99 = "p99"  # what a suite asks for with `calls`, beside what a comparison is ranked by


def leaving(
    plan: Plan, groups: list[dict[str, Any]], left: set[Key], unranked: set[Key]
) -> list[Key]:
    """Whoever leaves now. left: who did so before; unranked: who failed, or ran otherwise.

    The noise floor's pair stays where it is a pair, since the floor wants all its launches; so
    do a native contender and its portable one, of which the ratio is wanted however slow.
    """
    used = [chosen for _, chosen in uses.groups(plan.comparisons)]
    used += uses.all_together(plan.comparisons)
    found = []
    for comparison in plan.comparisons:
        launches = {g["launch"] for g in groups if g["comparison"] == comparison.id}
        if len(launches) not in sampling.LOOKS:
            continue
        # A comparison ranks all; a use is for those who may be chosen.
        asked = [([comparison], plan.rivals, False)]
        asked += [(chosen, plan.recommended, True) for chosen in used if comparison in chosen]
        for name in comparison.contenders:
            if (comparison.id, name) in left or name in _paired(plan, comparison):
                continue
            if all(
                _far_behind(among, groups, unranked, name, chosen, use)
                for chosen, among, use in asked
            ):
                found.append((comparison.id, name))
    return found


def _paired(plan: Plan, comparison: PlannedComparison) -> set[str]:
    here = set(comparison.contenders)
    pairs = [*plan.natives.items(), *([plan.twin] if plan.twin else [])]
    return {name for pair in pairs if here.issuperset(pair) for name in pair}


def _far_behind(
    among: list[PlannedContender],
    groups: list[dict[str, Any]],
    unranked: set[Key],
    name: str,
    comparisons: list[PlannedComparison],
    use: bool,
) -> bool:
    """Over these comparisons together, launch by launch; False where it is unranked in one.

    use: they are all that a use speaks of, and not one comparison by itself.
    """
    if any((c.id, name) in unranked for c in comparisons):
        return False
    rivals = [
        other.name
        for other in among
        if other.name != name
        and all(other.name in c.contenders for c in comparisons)
        and not any((c.id, other.name) in unranked for c in comparisons)
    ]

    def over(rival: str, by: str) -> np.ndarray:
        return statistics.shared_launches(
            [
                _slowest(groups, c, name, rival)
                if by == P99 and c.calls
                else readings.launch_log_ratios(groups, c.id, name, rival, _ranked(c, by))
                for c in comparisons
            ]
        )

    bys = {by for c in comparisons for by in c.ranked_by}
    bys |= {P99} if use and any(c.calls for c in comparisons) else set()
    return all(sampling.leaves({rival: over(rival, by) for rival in rivals}) for by in bys)


def _slowest(
    groups: list[dict[str, Any]], comparison: PlannedComparison, name: str, rival: str
) -> dict[int, float]:
    """The log ratio of their slowest calls in a hundred, launch by launch."""
    found = {}
    for group in groups:
        turns = group["turns"]
        if group["comparison"] == comparison.id and turns.get(name) and turns.get(rival):
            its, other = readings.p99(turns[name]), readings.p99(turns[rival])
            if its and other:
                found[group["launch"]] = math.log(its / other)
    return found


def _ranked(comparison: PlannedComparison, by: str) -> str:
    """Beside one that is ranked by latency, a training is ranked as it always is: of calls that
    are waited for, or of blocks without a pause, the other has no figures."""
    return by if by in comparison.ranked_by else comparison.ranked_by[0]
