"""Why nobody may be named, whatever the figures say: one rule for a comparison, a use and runs.

Ratios stay what they are. What falls is the claim that somebody wins.
"""

from collections.abc import Collection, Mapping

from reports.words import listed, percent

# Of what a use weighs has to be measured: at a half, whoever leads by 8% in the one half would be
# decided on, and flipped by 8% in the other.
ENOUGH = 2 / 3


def enough(measured: float) -> bool:
    """Whether so large a share of what a use weighs is."""
    return measured >= ENOUGH - 1e-9


def reason(busy: bool, crowded: Collection[str], lost: float = 0.0) -> str:
    """In words; "" where somebody may be named.

    busy: the machine was. crowded: who had no room beside the others, since who came first had
    it. lost: the share of the weight that has no figure.
    """
    if not enough(1 - lost):
        return f"{percent(lost)} of what is weighed was not measured"
    if busy:
        return "the machine was busy"
    return f"{listed([*crowded])} had no room beside the others" if crowded else ""


def over(reasons: Mapping[str, str]) -> str:
    """The same of several runs together, whose own reasons these are: each, and where it holds."""
    where: dict[str, list[str]] = {}
    for run, why in reasons.items():
        if why:
            where.setdefault(why, []).append(run)
    every = {why: "every run" for why, runs in where.items() if len(runs) == len(reasons)}
    return "; ".join(f"in {every.get(why) or listed(runs)} {why}" for why, runs in where.items())
