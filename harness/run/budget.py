"""Time, shared out: how many rounds a launch can bear, and how many launches it takes.

A run has a budget in wall time. Six launches come first: a comparison that takes more
than its share loses rounds, never launches. Where the fewest rounds of all do not fit, what
was asked for last takes leave. Then the number of launches is planned once, contender by
contender, from the spread that the first six showed.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.plan.plan import PlannedComparison
from harness.process.processes import PATIENCE
from harness.run import design
from harness.stats import readings, sampling
from harness.stats.sampling import BARE_ROUNDS

# After the first launch compilers' caches are full, warm-ups known: a guess, until seen.
LATER_SETUP = 0.4
# Contenders that leave at the looks make later launches up to this much cheaper. Without the
# allowance a comparison was made to leave, for good, for want of 4% of a launch.
CHEAPER = 1.1
# What a launch not yet seen may take for its turns, of its share of the time: a guess as well. At
# their full number, eight comparisons on a slow machine took half of all six launches' time.
TURNS = 0.5
LEAST_PATIENCE = 120.0  # seconds for one request, however short a run: compilers take their time


def patience(budget: float) -> float:
    """Seconds that one request may take where the user gave none: one contender that hangs must not
    take everybody's time."""
    return min(PATIENCE, max(LEAST_PATIENCE, budget / 4))


@dataclass(frozen=True)
class Spent:
    """Measured seconds of one comparison in one launch: loading and unloading, its turns,
    how many rounds these were (those of the design, not those asked for), its blocks, and the
    fewest rounds that are of any use to it."""

    setup: float
    turns: float
    rounds: int
    blocks: float = 0.0
    least: int = BARE_ROUNDS

    @property
    def round(self) -> float:
        return self.turns / max(1, self.rounds)

    @property
    def seconds(self) -> float:
        return self.setup + self.turns + self.blocks


@dataclass(frozen=True)
class Launch:
    """What one launch group took: each comparison, and starting and ending its workers."""

    comparisons: dict[str, Spent]
    overhead: float
    warmed: bool  # it compiled, into caches that the next one finds full

    def expected(self, rounds: dict[str, int]) -> float:
        """Seconds the next launch should take, over the comparisons in `rounds`."""
        return self._setups(rounds) + sum(
            self.comparisons[i].round * count for i, count in rounds.items()
        )

    def covers(self, comparisons: Iterable[str]) -> bool:
        """Whether it has seen all of these comparisons."""
        return {*comparisons} <= self.comparisons.keys()

    def setup(self, comparison: str) -> float:
        """Seconds that a comparison should take in the next launch beside its rounds."""
        spent = self.comparisons[comparison]
        return (LATER_SETUP if self.warmed else 1.0) * spent.setup + spent.blocks

    def least(self, comparison: str) -> float:
        """Seconds that it should take there with the fewest rounds."""
        spent = self.comparisons[comparison]
        return self.setup(comparison) + spent.least * spent.round

    def bare(self, comparisons: Iterable[str]) -> float:
        """Seconds that it should take with the fewest rounds of all of these."""
        return self.overhead + sum(self.least(i) for i in comparisons)

    def _setups(self, rounds: dict[str, int]) -> float:
        return self.overhead + sum(self.setup(i) for i in rounds)

    def fitting(self, comparisons: Sequence[str], share: float) -> list[str]:
        """Those, in this order, that `share` seconds hold with their fewest rounds; none where the
        first does not fit: nothing that is asked for later stays in its place."""
        found, left = [], share - self.overhead
        for i in comparisons:
            need = self.least(i)
            if need <= left:
                found.append(i)
                left -= need
        return found if found[:1] == [*comparisons[:1]] else []

    def fit(self, rounds: dict[str, int], share: float) -> dict[str, int]:
        """The rounds that fit into `share` seconds: the costliest comparisons give way first.

        Every comparison gets the same number of seconds at most (none of which a cheap
        one gives up for a costly one), and at least its fewest rounds, from what others get.
        """
        left = share - self._setups(rounds)
        costs = {i: self.comparisons[i].round for i in rounds}
        least = {i: min(count, self.comparisons[i].least) for i, count in rounds.items()}
        bare: set[str] = set()
        while True:
            free = {i: costs[i] * count for i, count in rounds.items() if i not in bare}
            level = _level(free, left - sum(costs[i] * least[i] for i in bare))
            short = {i for i in free if costs[i] * least[i] > level}
            if not short:
                break
            bare |= short
        fitting = {i: bearable(rounds[i], costs[i], level, least[i]) for i in free}
        return {i: fitting.get(i, least[i]) for i in rounds}


def _level(wanted: dict[str, float], left: float) -> float:
    """The seconds that each may have at most, so that all have `left` together; inf if all fit."""
    for place, seconds in enumerate(sorted(wanted.values())):
        level = left / (len(wanted) - place)
        if seconds > level:
            return level
        left -= seconds
    return math.inf


def bearable(rounds: int, a_round: float, share: float, least: int = BARE_ROUNDS) -> int:
    """Of so many rounds, each of `a_round` seconds, those that `share` seconds bear, or the
    least."""
    if rounds * a_round <= share:
        return rounds
    return max(least, min(rounds, int(share / max(a_round, 1e-9))))


def together(groups: list[dict[str, Any]], comparisons: set[str]) -> int:
    """Launches that hold all of these: what a use rests on, over its workloads.

    Of a run that is resumed one may have been ended in its middle, or had room for some alone.
    """
    held: dict[int, set[str]] = {}
    for group in groups:
        held.setdefault(group["launch"], set()).add(group["comparison"])
    return sum(comparisons <= there for there in held.values())


def least_rounds(contenders: int) -> int:
    """Rounds of a first launch: the fewest whole Williams designs that a trimmed mean can use."""
    return sampling.whole_squares(0.0, len(design.williams(contenders)))


def fewest_rounds(comparison: PlannedComparison, contenders: int) -> int:
    """The fewest rounds with which a launch of so many contenders is of use.

    BARE_ROUNDS; where the suite asks for `calls`, the rounds that hold them, in whole designs where
    a design is shorter.
    """
    if not comparison.calls:
        return BARE_ROUNDS
    square = len(design.williams(max(1, contenders)))
    return least_rounds(contenders) if square < sampling.LEAST_ROUNDS else sampling.LEAST_ROUNDS


def launches_planned(
    groups: list[dict[str, Any]],
    comparison: PlannedComparison,
    names: list[str],
    native: Mapping[str, str],
    twin: tuple[str, str] | None = None,
    own: Collection[str] = (),
) -> dict[str, int]:
    """Launches in all of each contender, from the first stage alone; see sampling.py.

    The best one takes part as long as any other does. Who missed a launch of the first stage
    makes up for it: one failure costs nobody its verdict. `native` maps a contender that is
    not ranked to the portable one whose ratio to it is wanted: the two go on together. `twin`,
    the noise floor's and whose it is, is not ranked either, and goes along: it asks for nothing.
    `own`: who may be the best, and is chosen for no use: the best of the others leads as well.
    """
    mine = [g for g in groups if g["comparison"] == comparison.id]
    first = sorted({g["launch"] for g in mine})[: sampling.FIRST_STAGE]
    stage = [g for g in mine if g["launch"] in first]
    names = [n for n in names if twin is None or n != twin[0]]
    planned: dict[str, int] = {}
    for by in comparison.ranked_by:
        found, logs = readings.launch_log_times(stage, comparison.id, by)
        column = {n: logs[:, found.index(n)] for n in names if n in found}
        if len(column) < 2:
            continue
        able = [n for n in column if n not in native]
        behind = readings.standing(np.array([column[n] for n in able]).T) if able else np.empty(0)
        order = [able[i] for i in np.argsort(behind) if np.isfinite(behind[i])]
        leaders = [*order[:1], *[n for n in order if n not in own][:1]]
        pairs = [(name, leader) for leader in {*leaders} for name in able if name != leader]
        paired = [(name, of) for name, of in native.items() if {name, of} <= column.keys()]
        for name, other in pairs + paired:
            ratios = readings.launch_log_ratios(stage, comparison.id, name, other, by)
            count = sampling.launches_planned(readings.in_order(ratios))
            if ratios and len(ratios) < len(stage):
                count = max(count, sampling.FIRST_STAGE) + len(stage) - len(ratios)
            planned[name] = max(planned.get(name, 0), min(count, sampling.MOST_LAUNCHES))
        for name, of in paired:
            planned[of] = max(planned.get(of, 0), planned[name])
        for leader in leaders:
            planned[leader] = max([planned.get(leader, 0), *planned.values()])
    if twin and twin[0] in comparison.contenders and twin[1] in planned:
        planned[twin[0]] = planned[twin[1]]
    return planned


def best_rounds(
    last: Launch,
    groups: list[dict[str, Any]],
    comparison: PlannedComparison,
    able: list[str],
    before: int,
) -> int:
    """Rounds of a comparison's next launch: R* of the two that lead, as whole squares.

    able: who may be ranked there.
    """
    mine = [g for g in groups if g["comparison"] == comparison.id]
    by = comparison.ranked_by[0]
    found, logs = readings.launch_log_times(mine, comparison.id, by)
    names = [n for n in found if n in able]
    if len(names) < 2:
        return before
    behind = readings.standing(logs[:, [found.index(n) for n in names]])
    first, second = (names[i] for i in np.argsort(behind)[:2])
    pairs = readings.round_log_ratios(mine, comparison.id, first, second, by)
    within, seen = sampling.spreads(list(pairs.values()))
    between = sampling.expected_spread(seen, len(pairs))
    launch = last.setup(comparison.id) + last.overhead / len(last.comparisons)
    a_round = last.comparisons[comparison.id].round
    wanted = sampling.best_rounds(launch, a_round, within, between)
    # A launch in which nobody got as far as a turn has no order.
    row = next(g["order"][0] for g in reversed(mine) if g["order"])
    return sampling.whole_squares(wanted, len(design.williams(len(row))))
