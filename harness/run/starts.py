"""Further cold starts, in turns: of whom, and how often.

One start may be off by half where others share a machine, and some uses are chosen for little
else. So whoever starts soon starts again, in rounds and in an order drawn anew, like the turns of a
launch. A compiler's start costs ten of the others', and is far from theirs: it has one.
"""

import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from harness.plan.plan import Plan, PlannedComparison
from harness.stats import uses

SHARE = 0.1  # of the budget
BEFORE = 0.35  # of it: launches have the rest, whatever compiling took
# Further rounds: with fewer than three starts there is no interval worth having, and of six it
# becomes narrow slowly.
LEAST, MOST = 2, 5
FAR = 4.0  # times the median contender's start: whoever takes longer has one
ENDING = 0.5  # seconds a process takes beside its start: to begin one, and to end it
# Whose first result somebody waits for. A pile of images has time (`reports/choice/breakeven.py`).
WAITED = ("training", "single-image latency")

Key = tuple[str, str]  # comparison, contender


def planned(
    plan: Plan, cells: list[dict[str, Any]], share: float
) -> tuple[int, list[tuple[int, Key]]]:
    """How many starts each of those chosen has in all, and the further ones in their order.

    cells: of the cold pass, which tells what a start takes. share: seconds. Only of who may be
    chosen for a use does a start decide anything.
    """
    places = {c.id for c in plan.comparisons if waited(c)}
    names = {c.name for c in plan.recommended}
    took = {
        # Without the drawing of weights, and the writing of an engine's model.
        (c["comparison"], c["contender"]): c["seconds"].get("total", 0.0) + ENDING
        for c in cells
        if (c["pass"], c["status"]) == ("cold", "ok")
        and c["comparison"] in places
        and c["contender"] in names
    }
    count, chosen = rounds(took, share)
    rng = random.Random(zlib.crc32(f"{plan.run} starts".encode()))  # a resume has the same order
    return 1 + count, [*turns([key for key in took if key[1] in chosen], count, rng)]


def waited(comparison: PlannedComparison) -> bool:
    """Whether its starts are made again."""
    return comparison.headline and any(uses.USES[use](comparison) for use in WAITED)


def allowed(budget: float, spent: float) -> float:
    """Seconds that further starts may take of a budget of which so many are spent."""
    return min(SHARE * budget, BEFORE * budget - spent)


def rounds(took: Mapping[Key, float], share: float) -> tuple[int, set[str]]:
    """How many further rounds, and of whom: the quickest, as long as LEAST of all fit into `share`
    seconds. None of one alone, who has nobody to be compared with."""
    each: dict[str, float] = {}
    for (_, name), cost in took.items():
        each[name] = each.get(name, 0.0) + cost
    far = FAR * median(each.values()) if each else 0.0
    chosen: set[str] = set()
    cost = 0.0
    for name in sorted(each, key=lambda name: each[name]):
        if each[name] > far or LEAST * (cost + each[name]) > share:
            break
        chosen.add(name)
        cost += each[name]
    if len(chosen) < 2:
        return 0, set()
    return min(MOST, int(share / cost)), chosen


def turns(keys: Sequence[Key], rounds: int, rng: random.Random) -> Iterator[tuple[int, Key]]:
    """(which start it is, whose), round by round; in each, one comparison after the other, its
    contenders in an order drawn anew."""
    for start in range(2, 2 + rounds):
        for comparison in dict.fromkeys(comparison for comparison, _ in keys):
            row = [key for key in keys if key[0] == comparison]
            yield from ((start, key) for key in rng.sample(row, len(row)))
