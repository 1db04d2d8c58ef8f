"""Time, shared out: how many rounds a launch can bear, and how many launches it takes.

A run has a budget in wall time. Six launches come first: a comparison that takes more
than its share loses rounds, never launches. Then the number of launches is planned
once, by Stein's rule, from the spread the first six showed.
"""

import math
from dataclasses import dataclass

import numpy as np

from harness import design, statistics
from harness.records import Run

LEAST_ROUNDS = 2
# After the first launch compilers' caches are full, warm-ups known: a guess, until seen.
LATER_SETUP = 0.4
HALF_WIDTH = 0.02


@dataclass(frozen=True)
class Spent:
    """Measured seconds of one comparison in one launch: setting up, and a round."""

    setup: float
    round: float

    def total(self, rounds: int) -> float:
        return self.setup + self.round * rounds


@dataclass(frozen=True)
class Launch:
    """What one launch group took: each comparison, and starting and ending its workers."""

    comparisons: dict[str, Spent]
    overhead: float
    first: bool  # with compilation, verification and the search for a steady state

    def expected(self, rounds: dict[str, int]) -> float:
        """Seconds the next launch should take, over the comparisons in `rounds`."""
        return self._setups(rounds) + sum(
            self.comparisons[i].round * count for i, count in rounds.items()
        )

    def covers(self, rounds: dict[str, int]) -> bool:
        """Whether it has seen all of these comparisons."""
        return rounds.keys() <= self.comparisons.keys()

    def _setups(self, rounds: dict[str, int]) -> float:
        factor = LATER_SETUP if self.first else 1.0
        return self.overhead + factor * sum(self.comparisons[i].setup for i in rounds)

    def fit(self, rounds: dict[str, int], share: float) -> dict[str, int]:
        """The rounds that fit into `share` seconds: the costliest comparisons give way first.

        Every comparison gets the same number of seconds at most (none of which a cheap
        one gives up for a costly one), and at least 2 rounds.
        """
        left = share - self._setups(rounds)
        level = math.inf
        costs = {i: self.comparisons[i].round for i in rounds}
        wanting = sorted(rounds, key=lambda i: costs[i] * rounds[i])
        for place, i in enumerate(wanting):
            level = left / (len(wanting) - place)
            if costs[i] * rounds[i] > level:
                break
            left -= costs[i] * rounds[i]
        else:
            return dict(rounds)
        return {
            i: max(LEAST_ROUNDS, min(count, int(level / max(costs[i], 1e-9))))
            for i, count in rounds.items()
        }


def whole_square(contenders: int) -> int:
    """Rounds of one Williams design."""
    return len(design.williams(contenders))


def launches_needed(run: Run, comparison: str, first_stage: int) -> int:
    """Launches for a 95% interval of +-2% between the leader and each other contender.

    From the first stage's log ratios alone (Stein); the largest over the pairs.
    """
    _, logs = statistics.launch_log_times(run.groups, comparison)
    logs = logs[:first_stage]
    if len(logs) < first_stage or logs.shape[1] < 2 or np.isnan(logs).all(axis=0).any():
        return first_stage
    leader = int(np.argmin(np.nanmean(logs, axis=0)))
    others = np.delete(logs, leader, axis=1) - logs[:, [leader]]
    needed = [
        statistics.stein_launches(pair, HALF_WIDTH) for pair in others.T if np.isfinite(pair).all()
    ]
    return max([first_stage, *needed])
