"""Two runs by the clock: seconds, and what a million items cost at an hour's price.

Of two machines nothing else can be said, and of one it is not what changed: see `compare.py`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.stats import readings
from harness.stats.changes import Change

Prices = tuple[float | None, float | None]  # of an hour of each run's machine
Timed = tuple[str, list[readings.Times]]  # a comparison, and its turns in each run


@dataclass(frozen=True)
class Cost:
    """What a million items cost on each run's machine, at its price an hour; new over old."""

    comparison: str
    contender: str
    old: float | None
    new: float | None
    ratio: float | None
    low: float | None
    high: float | None


def by_launch(rounds: dict[int, np.ndarray]) -> dict[int, float]:
    return {launch: readings.trimmed_mean(logs) for launch, logs in rounds.items()}


def told(clocked: list[Change]) -> str:
    """In a sentence."""
    rows = [c for c in clocked if c.comparison]
    less = sum(c.verdict == "materially_faster" for c in rows)
    more = sum(c.verdict == "materially_slower" for c in rows)
    ratios = sorted(c.ratio for c in rows)
    span = f"{ratios[0]:.2f} to {ratios[-1]:.2f} times the first's"
    return (
        f"Two machines: on the second, {less} of {len(rows)} surely take less time by the clock, "
        f"{more} more ({span})."
    )


def costs(
    shared: list[str],
    both: list[list[dict[str, Any]]],
    timed: list[Timed],
    clocked: list[Change],
    prices: Prices,
) -> list[Cost]:
    """Of every contender in every comparison of which one of the prices, an hour, is known.

    timed, clocked: by what is paid for; see `several.turns`.
    """
    changes = {(c.comparison, c.contender): c for c in clocked}
    rows = []
    for pair, (place, each) in zip(both, timed, strict=True):
        for name in shared:
            each_cost = []
            for comparison, run, price in zip(pair, each, prices, strict=True):
                logs = list(by_launch(run.get(name, {})).values())
                cost = None
                if logs and price is not None:
                    cost = price / 3600 * float(np.exp(np.mean(logs))) / comparison["batch"] * 1e6
                each_cost.append(cost)
            change = changes.get((place, name))
            scale = prices[1] / prices[0] if prices[0] and prices[1] is not None else None
            ends: list[float | None] = [None, None, None]
            if change and scale:
                ends = [scale * end for end in (change.ratio, change.low, change.high)]
            if any(cost is not None for cost in each_cost):
                rows.append(Cost(place, name, *each_cost, *ends))
    return rows
