"""How many launches, and of whom: pure functions on arrays, no input or output.

A launch is what costs, so it goes where a verdict is still open:

    looks   after 4 and 5 launches, a contender that is far behind takes no further part;
    plan    after the sixth, once: as many launches as each contender's own distance from
            the best asks for;
    rounds  in a launch, from what a launch and a round cost, and how much each varies.

Looking early and often is what makes false alarms, so the looks are at 99.9% (Haybittle,
Brit. J. Radiol. 44, 793, 1971; Peto et al., Brit. J. Cancer 34, 585, 1976: an interim
look at so high a level leaves the final one its 95%), and a contender must be behind by
half besides. The plan is Stein's (Ann. Math. Statist. 16, 243, 1945), with a width that
is relative to the distance; `bakeoff prove planning` simulates all of it. What is left out on
purpose: a contender is never closed for being *near* the best.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.stats import readings, statistics
from harness.stats.statistics import MARGIN

FIRST_STAGE = statistics.LEAST_LAUNCHES
MOST_LAUNCHES = statistics.MOST_LAUNCHES
# Not after three: at 99.9% their interval is 2.8 times as wide as of four (t is 31.6, then 12.9),
# and stays so wide in every score that the contender is part of.
LOOKS = (4, 5)
# How often an autotuner chooses anew: launches that share one choice are no replicates of it.
DRAWS = 3
FAR = math.log(1.5)  # four launches can lie close together by chance: demand a distance as well
NEAR = math.log(1.1)  # of the best so far: it may yet turn out to be the best itself
HALF_WIDTH = 0.02
# Of what lies between the ratio and the margin: enough to stay clear of it, twice over.
RELATIVE = 0.5
BARE_ROUNDS = 2  # where the time allows no more
LEAST_ROUNDS, MOST_ROUNDS = 10, 24  # from 10 on, a trimmed mean leaves out two at each end
# What launches are taken to differ by, as a standard deviation of a log ratio, before any was
# seen; it counts as much as four launches, since a few may look alike, or apart, by chance.
USUAL_SPREAD, USUAL_WEIGHT = 0.01, 4


def far_behind(logs: np.ndarray) -> bool:
    """Whether a contender's log ratios over the best, one a launch, settle it early.

    True where the 99.9% interval lies beyond the margin and the mean beyond 1.5 times.
    """
    if len(logs) not in LOOKS or not np.isfinite(logs).all():
        return False
    low, _ = statistics.t_interval(logs, statistics.LOOK_CONFIDENCE)
    return bool(low > MARGIN and np.mean(logs) > FAR)


def leaves(over: Mapping[Any, np.ndarray]) -> bool:
    """Whether a contender takes leave; `over` holds its log ratios over each of its rivals.

    It must be far behind the best of them, and clear of every other that may yet turn out
    to be the best: within a tenth of it by now.
    """
    means = {rival: float(np.mean(logs)) for rival, logs in over.items() if len(logs)}
    if not means:
        return False
    best = max(means, key=lambda rival: means[rival])
    near = [rival for rival in means if means[rival] > means[best] - NEAR]
    lows = [statistics.t_interval(over[r], statistics.LOOK_CONFIDENCE)[0] for r in near]
    return far_behind(over[best]) and min(lows) > MARGIN


def half_width(mean: float) -> float:
    """The half-width that a verdict at this mean log ratio wants: 2%, or more when far off.

    A contender that takes three times as long needs no interval of 2%.
    """
    return max(HALF_WIDTH, RELATIVE * (abs(mean) - MARGIN))


def stein_launches(first_stage: np.ndarray, half_width: float, confidence: float = 0.95) -> int:
    """Launches in all for an interval of +- half_width: ceil((t s / h)^2), at least the stage's.

    Stein's two stages: s and its degrees of freedom come from the first stage alone, so
    the interval's coverage is exact for normal launches whatever the plan comes to.
    """
    freedom = len(first_stage) - 1
    if freedom < 1:
        return len(first_stage)
    t = statistics.quantile((1 + confidence) / 2, freedom)
    spread = float(np.std(first_stage, ddof=1))
    return max(len(first_stage), math.ceil((t * spread / half_width) ** 2))


def launches_planned(first_stage: np.ndarray) -> int:
    """Launches in all of a contender, from its log ratios over the best in the first stage."""
    if len(first_stage) < 2 or not np.isfinite(first_stage).all():
        return len(first_stage)
    wanted = half_width(float(np.mean(first_stage)))
    return min(MOST_LAUNCHES, stein_launches(first_stage, wanted))


def best_rounds(
    launch_seconds: float, round_seconds: float, round_spread: float, launch_spread: float
) -> float:
    """R* = sqrt(c_launch / c_round) s_round / s_launch: the least variance for the time.

    launch_seconds: what a launch costs beside its rounds. The spreads are standard
    deviations of log ratios: between rounds of a launch, and between launches beside
    that. inf where launches do not differ. (Kalibera and Jones, ISMM 2013, section 6.)
    """
    if round_spread == 0:
        return 1.0
    if launch_spread == 0 or round_seconds == 0:
        return math.inf
    return math.sqrt(launch_seconds / round_seconds) * round_spread / launch_spread


def expected_spread(seen: float, launches: int) -> float:
    """What launches may be taken to differ by, from what so many of them did."""
    usual, weight = USUAL_SPREAD, USUAL_WEIGHT
    return math.sqrt((weight * usual**2 + launches * seen**2) / (weight + launches))


def spreads(rounds: list[np.ndarray]) -> tuple[float, float]:
    """Standard deviations between rounds, and between launches, of one pair's log ratios.

    `rounds` holds a launch's log ratios, round by round, for each launch. Both are as the
    trimmed mean sees them: one disturbed turn in ten would make rounds look three times
    as noisy as they are to it. The first is from the winsorised variance (J. W. Tukey and
    D. H. McLaughlin, Sankhya A 25, 331, 1963); the second is the launches' variance less
    what the rounds bring into it: at least 0, and 0 where there is one launch.
    """
    kept = [values for values in rounds if len(values) > 1]
    if not kept:
        return math.nan, math.nan
    of_a_round = [readings.winsorised_variance(values) for values in kept]
    within = math.sqrt(float(np.mean(of_a_round)))
    if len(kept) == 1:
        return within, 0.0
    brought = float(np.mean([v / len(values) for v, values in zip(of_a_round, kept, strict=True)]))
    between = float(np.var([readings.trimmed_mean(values) for values in kept], ddof=1)) - brought
    return within, math.sqrt(max(between, 0.0))


def whole_squares(rounds: float, square: int) -> int:
    """Rounds as whole Williams squares of `square` rounds: about 10 to 24, at least one square."""
    if math.isnan(rounds):
        rounds = LEAST_ROUNDS
    squares = round(min(rounds, MOST_ROUNDS) / square)
    return square * max(math.ceil(LEAST_ROUNDS / square), squares)
