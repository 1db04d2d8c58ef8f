"""What can this machine resolve? The short form of the campaign, for a user's own machine.

One contender against itself: entered twice, which should be a tie, and once more made 5%
slower, which should be found. What it says holds for this machine as it is now.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness.proof import live
from harness.stats import sampling, statistics

WORKLOADS, LAUNCHES, PLANTED = 10, 8, 0.05
PAST_COUNTING = 1000  # launches


def measure(folder: Path, say: Callable[..., None], device: str = "cpu") -> dict[str, Any]:
    """Measures (or goes on with) the campaign in `folder`, and says what it found.

    Raises Wrong where that is too little.
    """
    contender = live.quick_to_start(device)
    itself = live.Itself(contender, (PLANTED,), 2, LAUNCHES, WORKLOADS, device)
    run = live.measure(folder, itself, say)
    twins = live.pairs(run, f"{contender}#2", contender)
    slowed = live.pairs(run, itself.slowed[0], contender)
    return summary(contender, twins, slowed)


def summary(
    contender: str,
    twins: dict[str, statistics.Comparison],
    slowed: dict[str, statistics.Comparison],
) -> dict[str, Any]:
    """As plain data: the noise floor, the smallest difference, the planted slowdown."""
    apart = [abs(math.log(pair.ratio)) for pair in twins.values()]
    smallest = [pair.detectable for pair in twins.values()]
    launches = [
        statistics.launches_to_see(pair.spread, statistics.MARGIN) or PAST_COUNTING
        for pair in twins.values()
    ]
    different = [name for name, pair in twins.items() if pair.verdict in live.DIFFERENT]
    found = [name for name, pair in slowed.items() if pair.verdict in live.SLOWER]
    return {
        "contender": contender,
        "launches": LAUNCHES,
        "comparisons": len(twins),
        "noise_floor": {
            "median": math.expm1(float(np.median(apart))),
            "largest": math.expm1(max(apart)),
            "called_different": different,
        },
        "smallest_difference": {
            "median": float(np.median(smallest)),
            "largest": float(max(smallest)),
        },
        "launches_for_the_margin": {
            "median": int(np.median(launches)),
            "largest": int(max(launches)),
            "most": sampling.MOST_LAUNCHES,
        },
        "planted": {
            "slowdown": PLANTED,
            "found": len(found),
            "of": len(slowed),
            "ratio": float(np.exp(np.mean([math.log(p.ratio) for p in slowed.values()]))),
            "missed": sorted(slowed.keys() - set(found)),
        },
        "details": [
            {
                "comparison": name,
                "twins": twins[name].ratio,
                "verdict": twins[name].verdict,
                "smallest_difference": twins[name].detectable,
                "planted": slowed[name].ratio if name in slowed else None,
                "planted_verdict": slowed[name].verdict if name in slowed else None,
            }
            for name in twins
        ],
    }


def sentences(found: dict[str, Any]) -> list[str]:
    """The same in words, the most useful first."""
    smallest, floor = found["smallest_difference"], found["noise_floor"]
    needed, planted = found["launches_for_the_margin"], found["planted"]
    lines = [
        f"With {found['launches']} launches, differences of {100 * smallest['median']:.1f}% are "
        f"seen here (at worst {100 * smallest['largest']:.1f}%).",
        f"Noise floor: {found['contender']} differs from itself by {100 * floor['median']:.1f}%, "
        f"by {100 * floor['largest']:.1f}% at most, over {found['comparisons']} comparisons.",
        f"A planted slowdown of {planted['slowdown']:.0%} was found in {planted['found']} of "
        f"{planted['of']} comparisons (measured: {100 * (planted['ratio'] - 1):.1f}%).",
    ]
    if floor["called_different"]:
        named = ", ".join(floor["called_different"])
        lines.append(f"Called different though identical: {named}.")
    if needed["median"] > needed["most"]:
        lines.append(
            "This machine is too noisy to resolve the margin of 3%: about "
            f"{needed['median']} launches would do it. Ties stay open here; larger "
            "differences are found all the same."
        )
    else:
        lines.append(
            f"To resolve the margin of 3%: {needed['median']} launches in half of the "
            f"comparisons, {needed['largest']} in the worst."
        )
    return lines
