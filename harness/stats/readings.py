"""From turns to launches: what one launch says of a contender, and of two.

A launch group gives every contender's turns, round by round. A turn becomes one figure,
seconds of a call; two contenders are compared within rounds, where drift cancels, and
averaged over the rounds of a launch. What launches together say is `statistics.py`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TRIM = 0.2  # of the rounds of a launch, at either end
P99_CALLS = 100  # of a launch: of fewer nobody knows the slowest in a hundred


def latency(turn: dict[str, Any]) -> float:
    """Seconds of a call: the lower quartile of the kept calls.

    On a quiet machine it ranks best: its spread between launches was 2.0%, the median's
    9.3%, the mean's 14.7% on recorded traces.
    """
    return quantiles(turn["calls"][turn["dropped"] :], 0.25)[0] * 1e-9


def quantiles(values: Sequence[float], *shares: float) -> list[float]:
    """As `numpy.quantile` interpolates; a run has a million turns of a few calls each, on
    which NumPy's own takes eight times as long."""
    ordered = sorted(values)
    found = []
    for share in shares:
        place = share * (len(ordered) - 1)
        below = int(place)
        above = ordered[min(below + 1, len(ordered) - 1)]
        found.append(ordered[below] + (place - below) * (above - ordered[below]))
    return found


def p99(turns: Sequence[dict[str, Any]]) -> float | None:
    """Seconds of the slowest call in a hundred, of all kept calls of a launch's turns."""
    calls = [call for turn in turns for call in turn["calls"][turn["dropped"] :]]
    return quantiles(calls, 0.99)[0] * 1e-9 if len(calls) >= P99_CALLS else None


def per_call(turn: dict[str, Any]) -> float:
    """Seconds of a call: the turn's duration over its kept calls; queued where it was."""
    kept = len(turn["calls"]) - turn["dropped"]
    total = turn["queued_ns"] if turn.get("queued_ns") else turn["total_ns"]
    return total / kept * 1e-9


def mean(turn: dict[str, Any]) -> float:
    """Seconds of a call, each waited for: what many of them add up to, with the slow ones."""
    kept = turn["calls"][turn["dropped"] :]
    return sum(kept) / len(kept) * 1e-9


def sustained(block: dict[str, Any]) -> float:
    """Seconds of a call in a block of training without a pause."""
    return float(block["total_ns"] / block["calls"] * 1e-9)


STATISTICS = {"latency": latency, "throughput": per_call, "mean": mean, "sustained": sustained}


def ranked_by(direction: str, batch: int, sustained: bool = False) -> list[str]:
    """Latency for one image, the turn's duration in training, else both: throughput first.

    sustained: training was also measured in blocks, and those are how people train.
    """
    if sustained:
        return ["sustained"]
    if direction != "infer":
        return ["throughput"]
    return ["latency"] if batch == 1 else ["throughput", "latency"]


def rank_of(comparison: dict[str, Any]) -> list[str]:
    """`ranked_by` of a comparison as plan.json holds it."""
    sustained = bool(comparison.get("sustained_s"))
    return ranked_by(comparison["direction"], comparison["batch"], sustained)


def trimmed_mean(values: np.ndarray) -> float:
    """20% trimmed mean: of 5 to 9 values it leaves out one at each end, below 5 none."""
    cut = int(TRIM * len(values))
    kept = sorted(values.tolist())[cut : len(values) - cut]  # of so few NumPy's calls are slow
    return sum(kept) / len(kept)


Times = dict[str, dict[int, np.ndarray]]  # contender -> launch -> ln x, round by round


def log_times(
    groups: Sequence[dict[str, Any]], comparison: str, by: str = "latency", *names: str
) -> Times:
    """The log of every turn's seconds: all ratios are made of these. names: of them alone."""
    statistic = STATISTICS[by]
    found: Times = {}
    for group in groups:
        if group["comparison"] != comparison:
            continue
        for name, turns in _samples(group, by).items():
            if turns and (not names or name in names):
                seconds = [statistic(turn) for turn in turns]
                if min(seconds) > 0:  # a clock that saw no time go by has no logarithm
                    logs = np.array([math.log(value) for value in seconds])
                    found.setdefault(name, {})[group["launch"]] = logs
    return found


def log_ratios(times: Times, a: str, b: str) -> dict[int, float]:
    """m_k by launch: the mean over rounds of ln x_A - ln x_B, where both were measured."""
    return {launch: trimmed_mean(logs) for launch, logs in _paired(times, a, b).items()}


def in_order(logs: Mapping[int, float]) -> np.ndarray:
    """What `log_ratios` gives, launch by launch."""
    return np.array([logs[launch] for launch in sorted(logs)])


def by_launch(times: Times, name: str) -> np.ndarray:
    """The log of a contender's seconds, launch by launch."""
    found = times.get(name, {})
    return np.array([trimmed_mean(found[launch]) for launch in sorted(found)])


def winsorised_variance(values: np.ndarray) -> float:
    """n times the variance of `trimmed_mean`, estimated from n values; at least two of them.

    The variance of the values with the trimmed ones moved to the nearest that is kept, over
    the square of the share that is kept.
    """
    cut = int(TRIM * len(values))
    ordered = np.sort(values)
    held = np.clip(values, ordered[cut], ordered[len(values) - 1 - cut])
    return float(np.var(held, ddof=1)) / (1 - 2 * cut / len(values)) ** 2


def launch_log_ratios(
    groups: Sequence[dict[str, Any]], comparison: str, a: str, b: str, by: str = "latency"
) -> dict[int, float]:
    """`log_ratios` of two contenders, from the turns."""
    return log_ratios(log_times(groups, comparison, by, a, b), a, b)


def round_log_ratios(
    groups: Sequence[dict[str, Any]], comparison: str, a: str, b: str, by: str = "latency"
) -> dict[int, np.ndarray]:
    """ln x_A - ln x_B by launch, round by round."""
    return _paired(log_times(groups, comparison, by, a, b), a, b)


def _paired(times: Times, a: str, b: str) -> dict[int, np.ndarray]:
    first, second = times.get(a, {}), times.get(b, {})
    both = [k for k in first if k in second and len(first[k]) == len(second[k])]
    return {launch: first[launch] - second[launch] for launch in both}


def launch_log_times(
    groups: Sequence[dict[str, Any]], comparison: str, by: str = "latency"
) -> tuple[list[str], np.ndarray]:
    """Contenders, and the log of their seconds: (launches, contenders), NaN where missing."""
    mine = [g for g in groups if g["comparison"] == comparison]
    return launch_table(mine, log_times(mine, comparison, by), by)


def standing(logs: np.ndarray) -> np.ndarray:
    """How far each is behind the others: the mean of its mean log ratios to each of them.

    logs: (launches, contenders), NaN where missing, as `launch_log_times` has them. A ratio is
    of the launches that hold both, so what a launch does to all cancels, whoever missed one;
    NaN for whom nobody met.
    """
    apart = logs[:, :, None] - logs[:, None, :]
    apart[:, np.eye(logs.shape[1], dtype=bool)] = np.nan
    return _known_mean(_known_mean(apart, 0), 1)


def _known_mean(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean of what is not NaN; NaN where all is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def launch_table(
    groups: Sequence[dict[str, Any]], times: Times, by: str = "latency"
) -> tuple[list[str], np.ndarray]:
    """`launch_log_times`, of one comparison's groups and what `log_times` found in them."""
    names = sorted({name for group in groups for name in _samples(group, by)})
    logs = np.full((len(groups), len(names)), np.nan)
    for column, name in enumerate(names):
        known = times.get(name, {})
        for row, group in enumerate(groups):
            if group["launch"] in known:
                logs[row, column] = trimmed_mean(known[group["launch"]])
    return names, logs


def launch_means(groups: Sequence[dict[str, Any]], by: str) -> dict[str, np.ndarray]:
    """Seconds of a call in each of these launches, by contender: what many of them add up to.

    A plain mean over turns, so that a pause in one of them counts; NaN where it has none.
    """
    names = sorted({name for group in groups for name in _samples(group, by)})
    of = STATISTICS[by]
    return {
        name: np.array(
            [
                float(np.mean([of(sample) for sample in samples])) if samples else math.nan
                for samples in (_samples(group, by).get(name) for group in groups)
            ]
        )
        for name in names
    }


def _samples(group: dict[str, Any], by: str) -> dict[str, list[dict[str, Any]]]:
    """By contender, what a launch gives of it: its turns, or its one block."""
    if by == "sustained":
        return {name: [block] for name, block in (group.get("sustained") or {}).items()}
    return group["turns"]
