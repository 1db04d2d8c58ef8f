"""Verdicts on changes between two runs: all of them as one family, and beyond what a day moves.

Two chances stand between a change and its cause. Launches differ: each interval holds that,
and since one of many moves by luck, p is adjusted over all of them. And days differ, by more than
launches do, in what they do to one contender and not to another. Of that those tell of whom
nothing changed, the *yardsticks*; few of them tell little.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from harness.stats import statistics

MATERIAL = ("materially_slower", "materially_faster")
FAMILY = 0.05  # the chance, of all changes together, that one is called material by luck
DRAWS = 100_000


@dataclass(frozen=True)
class Change:
    """One contender in one comparison: new time over old, both as ratios to the anchor."""

    comparison: str  # "" is all of them together
    contender: str
    old_version: str | None
    new_version: str | None
    ratio: float
    low: float
    high: float
    verdict: str
    p: float  # adjusted (Holm) over all that were looked at with it
    launches: tuple[int, int]
    confidence: float = 0.95  # of the interval: 0.999 for who left a run early


@dataclass(frozen=True)
class Drift:
    """What moved by itself: by how much at most, and what another must have moved by. Logs."""

    who: str | None  # the yardstick that moved most; None: none of them moved detectably
    by: float
    reach: float  # the margin alone where none of several moved
    yardsticks: int
    proved: bool = False  # that it moved, and not by luck as one of many that were looked at


def family(rows: Sequence[Change]) -> list[Change]:
    """With p adjusted over all of them; of what is not both sure and material, `perhaps_...`."""
    found = []
    for row, p in zip(rows, statistics.holm([row.p for row in rows]), strict=True):
        sure = row.verdict in MATERIAL and p < FAMILY
        found.append(replace(row, p=p, verdict=row.verdict if sure else _perhaps(row.verdict)))
    return found


def _perhaps(verdict: str) -> str:
    """`materially_slower` and `slower` -> `perhaps_slower`; all else stays."""
    which = verdict.removeprefix("materially_")
    return f"perhaps_{which}" if which in statistics.OPPOSITE else verdict


def beyond_drift(
    rows: Sequence[Change], same: set[str], margin: float
) -> tuple[list[Change], Drift]:
    """What of a `family` is told from drift; `same` names those of whom nothing changed.

    Their own material changes are called drift. Of the others only what moved by more than
    `reach` stays material. A screening, as where a machine was busy, tells of no drift.
    margin: a log ratio.
    """
    yardsticks = {row.contender for row in rows if row.verdict != "screening"} & same
    others = {row.contender for row in rows} - same
    moved = [
        row
        for row in rows
        if row.contender in same and row.verdict != "screening" and not row.low <= 1 <= row.high
    ]
    most, by = _most(moved)
    proved, surely = _most([row for row in moved if row.p < FAMILY])
    # What moved for sure tells of days, by the factor. What may have moved by luck, one of many, is
    # no such sample; but what moved no more than it did may be the same luck, or the same day.
    reach = margin + by
    if proved and others:
        reach = max(reach, margin + surely * factor(len(yardsticks), len(others)))
    if len(yardsticks) == 1:
        # That one alone does not move is a day's luck more often than one of twenty (claim 12), so
        # a change has to pass what it may have moved by.
        [only] = yardsticks
        reach = max(reach, margin + max(_farthest(row) for row in rows if row.contender == only))
    found = []
    for row in rows:
        verdict = row.verdict
        if verdict in MATERIAL and row.contender in same:
            verdict = "drift"
        elif verdict in MATERIAL and math.log(row.low) < reach and math.log(row.high) > -reach:
            verdict = _perhaps(verdict)
        found.append(row if verdict == row.verdict else replace(row, verdict=verdict))
    who = most.contender if most else None
    return found, Drift(who, by, reach, len(yardsticks), most is not None and most is proved)


def _farthest(row: Change) -> float:
    """By how much it may have moved, as a log: the far end of its interval."""
    return max(abs(math.log(row.low)), abs(math.log(row.high)))


def _most(rows: Sequence[Change]) -> tuple[Change | None, float]:
    """Which moved most, and by how much, as a log."""
    most = max(rows, key=lambda row: abs(math.log(row.ratio)), default=None)
    return most, abs(math.log(most.ratio)) if most else 0.0


@cache
def factor(yardsticks: int, others: int) -> float:
    """How many times the yardsticks' greatest move any of the others moves by luck in 1 of 20.

    Of days that move each contender by chance (Gaussian, alike for all), the anchor as well, which
    is in every ratio: 10.9 with one yardstick and one other, 3.0 with two, 1.7 with four.
    """
    days = np.random.default_rng(12).normal(size=(DRAWS, 1 + yardsticks + others))
    apart = np.abs(days[:, 1:] - days[:, :1])
    times = apart[:, yardsticks:].max(axis=1) / apart[:, :yardsticks].max(axis=1)
    return float(np.quantile(times, 1 - FAMILY))
