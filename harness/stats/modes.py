"""Launches that fall into modes: identical processes that differ for life, in a few ways.

The same small convolution ran at 1.1 ms in some processes and at 2.1 ms in others, for as long
as they lived (docs/method.md). A mean over two modes is nobody's time: where modes leave open
who is faster, nobody is.
"""

import math

import numpy as np

from harness.stats.statistics import MARGIN, average, deviation

# A gap between launches is one between modes where it is wider than 5%, and than four times the
# spread within.
GAP, GAP_OVER_SPREAD = 0.05, 4.0


def clusters(log_times: np.ndarray) -> list[np.ndarray]:
    """Launches in clusters, fastest first; one cluster where they do not fall apart.

    Two clusters: at least 2 launches each, a gap over 5%, and over 4 times the larger
    spread within (the standard deviation of each part). Applied again to each part.
    """
    ordered = np.sort(log_times[np.isfinite(log_times)])
    gaps = ordered[1:] - ordered[:-1]
    wide = (gaps > math.log1p(GAP)).nonzero()[0]
    for place in wide[gaps[wide].argsort()[::-1]]:
        left, right = ordered[: place + 1], ordered[place + 1 :]
        if min(len(left), len(right)) < 2:
            continue
        spread = max(deviation(left)[0], deviation(right)[0])
        if gaps[place] > GAP_OVER_SPREAD * spread:
            return [*clusters(left), *clusters(right)]
    return [ordered]


def overlap(a: np.ndarray, b: np.ndarray, margin: float = MARGIN) -> bool:
    """Whether modes leave open who is faster: neither's slowest beats the other's fastest."""
    of_a, of_b = clusters(a), clusters(b)
    if not (len(a) and len(b)) or len(of_a) == len(of_b) == 1:
        return False
    ends = [[average(c) for c in parts] for parts in (of_a, of_b)]
    apart = max(ends[0]) + margin < min(ends[1]) or max(ends[1]) + margin < min(ends[0])
    return not apart


def leave_open(a: np.ndarray, b: np.ndarray, logs: np.ndarray) -> bool:
    """Whether modes leave the verdict on a pair open.

    a, b: each one's log times, launch by launch; logs: of a over b, in the launches that both
    were in. What a launch does to both alike (a machine that became slower half-way) puts both
    into modes, and is in no ratio: where every launch says the same, nothing is open.
    """
    return overlap(a, b) and not agree(logs)


def agree(logs: np.ndarray, allowance: float = 0.0, margin: float = MARGIN) -> bool:
    """Whether every launch says the same: beyond the margin on one side, or within it."""
    reach = margin + allowance
    within = bool(np.all(np.abs(logs) < margin - allowance))
    return len(logs) > 0 and (bool(logs.max() < -reach or logs.min() > reach) or within)
