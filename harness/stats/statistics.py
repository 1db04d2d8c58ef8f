"""The statistics of launches: pure functions on arrays, no input or output.

What a launch says of two contenders is one log ratio (`readings.py`); launches are the only
independent replicates there are. All ratios are of times: below 1, the first is faster. Logs
are natural.

Sources: Student 1908 (t); C. Stein, Ann. Math. Statist. 16, 243, 1945 (intervals after
two stages); D. J. Schuirmann, J. Pharmacokinet. Biopharm. 15, 657, 1987 (two one-sided
tests); S. Holm, Scand. J. Statist. 6, 65, 1979 (adjusted p-values); T. Kalibera and
R. Jones, ISMM 2013 (replication at the highest level); R. L. Berger, Technometrics 24,
295, 1982 (a claim that *all* of several hypotheses fail needs no adjustment), and
S. Gutmann and Z. Maymin, Ann. Statist. 15, 456, 1987 (nor does it where the claim is made
of the one that the data themselves put first).
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MARGIN = math.log(1.03)  # the smallest difference that matters in practice
# A false material difference may happen in 1 of 100 comparisons, not in 5: where launches
# spread by more than the margin, the margin alone is no guard (`bakeoff prove identical-live`).
MATERIAL_P = 0.01
LEAST_LAUNCHES = 6  # fewer are a screening, and name nothing,
# But for contenders that were far behind, and these intervals: sampling.py looks after four; who
# missed one of those has three, and so has who left a run that looked after three.
LEAST_SETTLED = 3
MOST_LAUNCHES = 20  # that a run takes by itself, whatever a verdict asks for
LOOK_CONFIDENCE = 0.999

OPPOSITE = {
    "materially_faster": "materially_slower",
    "materially_slower": "materially_faster",
    "faster": "slower",
    "slower": "faster",
}

# --- intervals --------------------------------------------------------------------------------


def t_interval(
    values: np.ndarray, confidence: float = 0.95, first_stage: int | None = None
) -> tuple[float, float]:
    """Interval for the mean over launches; (-inf, inf) below two of them.

    first_stage: where the number of launches was planned from the first so many (Stein),
    their standard deviation and its degrees of freedom stay in force: half = t_5 s_6 / sqrt(K).
    Of no more launches than that, all are the first. Where all together say more, that holds:
    with Student's t of three degrees as noise Stein's own interval covered 92.6% of 95, the
    wider of the two 97.5%.
    """
    count = len(values)
    half = _half(values, values, confidence)
    if first_stage is not None:
        half = max(half, _half(values[:first_stage], values, confidence))
    mean = average(values) if count else 0.0
    return mean - half, mean + half


def _half(spread_of: np.ndarray, values: np.ndarray, confidence: float) -> float:
    """t s / sqrt(K), with s and its degrees of freedom from some of the launches."""
    spread, freedom = deviation(spread_of)
    if freedom < 1:
        return math.inf
    return quantile((1 + confidence) / 2, freedom) * spread / math.sqrt(len(values))


@functools.cache
def quantile(probability: float, freedom: int) -> float:
    """Of Student's t."""
    from scipy import special  # here: it is a third of what a command takes to start

    return float(special.stdtrit(freedom, probability))


# Of a handful of values, as launches are: np.mean and np.std take four times as long over them,
# which was most of what the simulated proofs took.


def average(values: np.ndarray) -> float:
    return float(np.add.reduce(values)) / len(values)


def _variance(values: np.ndarray) -> float:
    """Of the population that two values or more are a sample of."""
    off = values - np.add.reduce(values) / len(values)
    return float(off @ off) / (len(values) - 1)


def deviation(values: np.ndarray) -> tuple[float, int]:
    """Standard deviation and its degrees of freedom."""
    return (math.sqrt(_variance(values)) if len(values) > 1 else math.nan), len(values) - 1


def p_value(values: np.ndarray, first_stage: int | None = None) -> float:
    """Two-sided p of the mean being 0; 1 below two launches. first_stage: as `t_interval`."""
    if first_stage is not None:
        return max(p_value(values), _p(values[:first_stage], values))
    return _p(values, values)


def _p(spread_of: np.ndarray, values: np.ndarray) -> float:
    spread, freedom = deviation(spread_of)
    if freedom < 1:
        return 1.0
    mean = average(values)
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    return _two_sided(mean / spread * math.sqrt(len(values)), freedom)


def _two_sided(t: float, freedom: int) -> float:
    """The p of Student's t."""
    from scipy import special  # not `scipy.stats`, which takes half a second more

    return float(2 * special.stdtr(freedom, -abs(t)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: step down, each at least the one before."""
    count = len(p_values)
    adjusted, largest = [0.0] * count, 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


# --- power ------------------------------------------------------------------------------------


def detectable(
    values: np.ndarray,
    confidence: float = 0.95,
    first_stage: int | None = None,
    power: float = 0.8,
) -> float:
    """The smallest |log ratio| that so much data would have told from 0, with 80% power.

    By the interval that `t_interval` gives, the wider of its two where launches were planned.
    """
    found = []
    for spread_of in (values, values if first_stage is None else values[:first_stage]):
        spread, freedom = deviation(spread_of)
        if freedom < 1:
            return math.inf
        t = quantile((1 + confidence) / 2, freedom) + quantile(power, freedom)
        found.append(t * spread / math.sqrt(len(values)))
    return max(found)


def launches_to_see(
    spread: float, difference: float, confidence: float = 0.95, most: int = 1000
) -> int | None:
    """Launches for an interval of +- that difference; None beyond `most`.

    spread: standard deviation of the launches' log ratios.
    """
    if not math.isfinite(spread) or difference <= 0:
        return None
    for count in range(2, most + 1):
        if quantile((1 + confidence) / 2, count - 1) * spread / math.sqrt(count) <= difference:
            return count
    return None


def _launches_to_tell(
    logs: np.ndarray, first_stage: int | None, margin: float, allowance: float
) -> int | None:
    """Launches that would show a tie or a material difference, if mean and spread stay as they are.

    None where none would: beyond `launches_to_see`'s most, as at the margin itself; or where the
    margin lies within the allowance, which launches do not make smaller.
    """
    size = abs(average(logs))
    inside, beyond = margin - allowance - size, size - allowance - margin
    if inside > 0:
        wanted = [_to_see(logs, first_stage, inside, 0.90)]
    else:  # by its interval, and by its p
        wanted = [
            _to_see(logs, first_stage, beyond, 0.95),
            _to_see(logs, first_stage, size - allowance, 1 - MATERIAL_P),
        ]
    return None if None in wanted else max(LEAST_LAUNCHES, *(w for w in wanted if w))


def _to_see(
    logs: np.ndarray, first_stage: int | None, difference: float, confidence: float
) -> int | None:
    """`launches_to_see`; no fewer than the first stage's spread asks for, which stays in force."""
    seen = launches_to_see(deviation(logs)[0], difference, confidence)
    if first_stage is None or seen is None:
        return seen
    spread, freedom = deviation(logs[:first_stage])
    if freedom < 1:
        return None
    return max(
        seen, math.ceil((quantile((1 + confidence) / 2, freedom) * spread / difference) ** 2)
    )


# --- verdicts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """a against b over launches: exp of the mean log ratio, its interval, and a verdict on a."""

    ratio: float
    low: float
    high: float
    verdict: str
    p: float
    launches: int
    detectable: float
    launches_needed: int | None
    confidence: float = 0.95  # of the interval
    spread: float = math.nan  # standard deviation of the launches' log ratios


def compare(
    logs: np.ndarray,
    modes: bool = False,
    first_stage: int | None = None,
    margin: float = MARGIN,
    settled: bool = False,
    allowance: float = 0.0,
) -> Comparison:
    """The verdict on a pair: the first that holds.

    logs: m_k, one a launch. modes: whether either contender's launches fall into modes
    that overlap the other's. `tie` is two one-sided tests at 5%: the 90% interval lies
    inside the margin; `materially_...`: the 95% interval lies beyond it, and p is below 1%
    (on a noisy machine the first alone was false in 5% of comparisons). settled: one of
    the two left early, being far behind; with fewer than 6 launches both intervals are
    then the 99.9% one by which it left. allowance: by how much the mean may be wrong for a
    cause that launches do not show (something was seen once): intervals grow by it on both
    sides, and p is that of a mean so much nearer to 0.
    """
    count = len(logs)
    mean = average(logs) if count else math.nan
    early = settled and LEAST_SETTLED <= count < LEAST_LAUNCHES
    confidence = LOOK_CONFIDENCE if early else 0.95
    low, high = t_interval(logs, confidence, first_stage)
    inner = (low, high) if early else t_interval(logs, 0.90, first_stage)
    low, high = low - allowance, high + allowance
    inner = inner[0] - allowance, inner[1] + allowance
    p = p_value(logs - math.copysign(min(abs(mean), allowance), mean), first_stage)
    if count < LEAST_LAUNCHES and not early:
        verdict = "screening"
    elif modes:
        verdict = "multimodal"
    else:
        verdict = _verdict(low, high, *inner, margin, p)
    open_ = verdict in ("inconclusive", "faster", "slower")
    return Comparison(
        math.exp(mean) if count else math.nan,
        math.exp(low),
        _exp(high),
        verdict,
        p,
        count,
        math.expm1(min(detectable(logs, confidence, first_stage) + allowance, 20.0)),
        _launches_to_tell(logs, first_stage, margin, allowance) if open_ else None,
        confidence,
        deviation(logs)[0],
    )


def change(
    old: np.ndarray,
    new: np.ndarray,
    modes: bool = False,
    margin: float = MARGIN,
    settled: bool = False,
) -> Comparison:
    """The verdict on new against old: log ratios over one contender, from two runs' launches.

    Launches of two runs are no pairs. The interval is Welch's (Biometrika 34, 28, 1947),
    with his degrees of freedom, rounded down; `launches` is the smaller number of the two.
    modes: whether either run's launches fall into modes that overlap the other's.
    settled: one of the two contenders left a run early; as in `compare`, with too few launches
    the interval is the 99.9% one.
    """
    count = min(len(old), len(new))
    if count < 2:
        return compare(np.array([]), margin=margin)
    mean = average(new) - average(old)
    parts = [_variance(values) / len(values) for values in (old, new)]
    error = math.sqrt(sum(parts))
    below = sum(part**2 / (len(values) - 1) for part, values in zip(parts, (old, new), strict=True))
    freedom = max(1, int(sum(parts) ** 2 / below)) if below else count - 1
    early = settled and LEAST_SETTLED <= count < LEAST_LAUNCHES
    confidence = LOOK_CONFIDENCE if early else 0.95
    half = quantile((1 + confidence) / 2, freedom) * error
    inner = half if early else quantile(0.95, freedom) * error
    p = _two_sided(mean / error, freedom) if error else float(mean == 0)
    found = _verdict(mean - half, mean + half, mean - inner, mean + inner, margin, p)
    if count < LEAST_LAUNCHES and not early:
        found = "screening"
    elif modes:
        found = "multimodal"
    return Comparison(
        math.exp(mean),
        math.exp(mean - half),
        _exp(mean + half),
        found,
        p,
        count,
        math.expm1(min(half + quantile(0.8, freedom) * error, 20.0)),
        None,
        confidence,
    )


def _exp(value: float) -> float:
    """Infinite where there is no interval, or one that no float can hold."""
    return math.exp(value) if value < 700 else math.inf


def _verdict(
    low: float, high: float, inner_low: float, inner_high: float, margin: float, p: float
) -> str:
    """The first that holds, of an interval and a narrower one for two one-sided tests."""
    if -margin < inner_low and inner_high < margin:
        return "tie"
    if high < -margin and p < MATERIAL_P:
        return "materially_faster"
    if low > margin and p < MATERIAL_P:
        return "materially_slower"
    if high < 0:
        return "faster"
    return "slower" if low > 0 else "inconclusive"


def winner(verdicts: dict[tuple[str, str], str], names: Sequence[str]) -> str | None:
    """Who is materially faster than every other; None where nobody is, or is alone.

    verdicts[a, b] is on a. All claims together say "all others lose": an intersection-
    union test, each at its own 5% (Berger 1982; Gutmann and Maymin 1987).
    """
    if len(names) < 2:
        return None
    for name in names:
        others = [other for other in names if other != name]
        if all(verdicts.get((name, other)) == "materially_faster" for other in others):
            return name
    return None


def shared_launches(logs: Sequence[Mapping[int, float]]) -> np.ndarray:
    """g_k: the mean over workloads, for launches that hold them all, in their order.

    The same processes serve all workloads, so their launch effects are shared, and only
    launches are independent (treating workloads as independent gave 38% false alarms).
    """
    if not logs:
        return np.array([])
    common = sorted(set.intersection(*(set(one) for one in logs)))
    return np.array([[one[launch] for launch in common] for one in logs]).mean(axis=0)
