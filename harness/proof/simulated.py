"""Claims that need no machine: the statistics against launches whose truth is known.

Every noise is a model of launches: what differs between fresh processes of one contender,
as the standard deviation of a log. All draws come from a seed, so that anybody gets the
same figures.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.proof.claims import Figure, rate
from harness.stats import changes, modes, readings, sampling, statistics

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

SPREAD = 0.02  # of launches; a quiet machine shows 1 to 2%, a noisy one 5 to 15%
HOUR = 0.03  # of what an hour does to one contender alone: see docs/method.md
DIFFERENT = ("materially_faster", "materially_slower", "faster", "slower")
SLOWER = ("materially_slower", "slower")


def gaussian(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    return rng.normal(0.0, SPREAD, size)


def heavy(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Student's t with three degrees of freedom: now and then a launch is far off."""
    return SPREAD * rng.standard_t(3, size)


def bimodal(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Launches fall into one of two modes, 6% apart, for life."""
    return rng.choice([-0.03, 0.03], size) + rng.normal(0.0, 0.005, size)


def drifting(rng: np.random.Generator, size: tuple[int, ...], rounds: int = 12) -> np.ndarray:
    """Rounds that remember each other (0.9), within launches that differ; both drift by 30%.

    The drift goes on from turn to turn: in a round it is against who comes second, and of each two
    rounds (a Williams design) that is either once.
    """
    noise = rng.normal(0.0, 0.01, (*size, rounds))
    for i in range(1, rounds):
        noise[..., i] += 0.9 * noise[..., i - 1]
    first = rng.choice([-1, 1], (*size, rounds // 2, 1))
    order = np.concatenate([first, -first], axis=-1).reshape(noise.shape)
    turns = np.log(np.linspace(1.0, 1.3, 2 * rounds))
    cut = int(readings.TRIM * rounds)
    kept = np.sort(noise + order * np.diff(turns)[::2], axis=-1)[..., cut : rounds - cut]
    return gaussian(rng, size) + kept.mean(axis=-1)


NOISES: dict[str, Draw] = {
    "Gaussian": gaussian,
    "Student's t, 3 degrees": heavy,
    "bimodal": bimodal,
    "autocorrelated, with drift": drifting,
}


def power(trials: int) -> list[Figure]:
    """Claim 2: planted slowdowns, at the spread of a quiet machine (1.8%)."""
    found = []
    for slowdown, launches, least in ((0.03, 10, 0.90), (0.05, 8, 0.98)):
        rng, seen, covered = np.random.default_rng(2), 0, 0
        truth = math.log1p(slowdown)
        for sample in rng.normal(truth, 0.018, (trials, launches)):
            result = statistics.compare(sample)
            seen += result.verdict in SLOWER
            covered += math.log(result.low) <= truth <= math.log(result.high)
        what = f"{slowdown:.0%} slower, {launches} launches"
        found.append(rate(f"{what}: found", seen, trials, least=least))
        found.append(rate(f"{what}: the interval holds the truth", covered, trials, least=0.93))
    return found + _power_curves(trials // 10)


def _power_curves(trials: int, spread: float = 0.018) -> list[Figure]:
    """How often a slowdown of a given size is called slower: by launches."""
    found = []
    for launches in (6, 8, 10, 20):
        rng = np.random.default_rng(22)
        for percent in (0, 1, 2, 3, 4, 5, 6, 8):
            truth = math.log1p(percent / 100)
            seen = sum(
                statistics.compare(sample).verdict in SLOWER
                for sample in rng.normal(truth, spread, (trials, launches))
            )
            found.append(
                Figure(
                    f"{percent}% slower, {launches} launches: called slower",
                    seen / trials,
                    series=f"{launches} launches",
                    x=float(percent),
                )
            )
    return found


def coverage(trials: int) -> list[Figure]:
    """Claim 3: 95% intervals, with the planning of launches included."""
    found = []
    for name, draw in NOISES.items():
        rng, covered = np.random.default_rng(3), 0
        for sample in draw(rng, (trials, sampling.MOST_LAUNCHES)):
            count = sampling.launches_planned(sample[: sampling.FIRST_STAGE])
            low, high = statistics.t_interval(sample[:count], first_stage=sampling.FIRST_STAGE)
            covered += low <= 0 <= high
        found.append(rate(f"{name}: covered", covered, trials, least=0.93))
    rng, alarms = np.random.default_rng(3), 0
    for sample in gaussian(rng, (trials, sampling.MOST_LAUNCHES)):
        alarms += any(
            statistics.p_value(sample[:n]) < 0.05 for n in range(3, sampling.MOST_LAUNCHES + 1)
        )
    control = "looking after every launch, stopping when significant: false alarms"
    return [*found, rate(control, alarms, trials, least=0.10, control=True)]


def lasting_offsets(trials: int, launches: int = 6, rounds: int = 12) -> list[Figure]:
    """Claim 5: 2% between processes for life, 0.2% within."""
    rng, alarms, naive = np.random.default_rng(5), 0, 0
    for _ in range(trials):
        offsets = rng.normal(0.0, 0.02, launches)
        within = offsets[:, None] + rng.normal(0.0, 0.002, (launches, rounds))
        by_launch = np.array([readings.trimmed_mean(row) for row in within])
        alarms += statistics.p_value(by_launch) < 0.05
        naive += statistics.p_value(within[0]) < 0.05
    return [
        rate("false alarms over launches", alarms, trials, most=0.06),
        rate("one launch, its rounds as replicates", naive, trials, least=0.80, control=True),
    ]


def shared_effects(trials: int, workloads: int = 8, launches: int = 6) -> list[Figure]:
    """Claim 10: geometric means over workloads whose launches are the same processes."""
    rng, alarms, naive = np.random.default_rng(10), 0, 0
    for _ in range(trials):
        shared = rng.normal(0.0, 0.02, launches)
        logs = [
            {k: shared[k] + own for k, own in enumerate(rng.normal(0.0, 0.004, launches))}
            for _ in range(workloads)
        ]
        alarms += statistics.p_value(statistics.shared_launches(logs)) < 0.05
        naive += statistics.p_value(np.concatenate([[*one.values()] for one in logs])) < 0.05
    return [
        rate("false alarms, by launch", alarms, trials, most=0.06),
        rate("workloads as if independent", naive, trials, least=0.20, control=True),
    ]


def upgrades(trials: int) -> list[Figure]:
    """Claim 12: two days, contenders over an anchor, all but one of them the same on both."""
    found = []
    for name, day, slower, same in (
        ("days alike, nothing slower", 0.0, 0.0, 4),
        ("days that move each contender by 5%, nothing slower", 0.05, 0.0, 4),
        ("days alike, 8% slower", 0.0, math.log(1.08), 4),
        ("one the same, days that move each by 5%, nothing slower", 0.05, 0.0, 1),
        ("one the same, days alike, 12% slower", 0.0, math.log(1.12), 1),
    ):
        rng, called, naive = np.random.default_rng(12), 0, 0
        yardsticks = {str(name) for name in range(1, same + 1)}
        for _ in range(trials):
            rows = changes.family(_two_days(rng, day, slower, same))
            held, _ = changes.beyond_drift(rows, yardsticks, statistics.MARGIN)
            called += any(row.verdict in changes.MATERIAL for row in held)
            naive += any(row.verdict in changes.MATERIAL for row in rows)
        most, least = (None, 0.8) if slower else (0.05, None)
        found.append(rate(f"{name}: called", called, trials, most, least))
        if day:
            told = f"{name}: called by launches alone"
            found.append(rate(told, naive, trials, least=0.5, control=True))
    return found


def hours(trials: int) -> list[Figure]:
    """Claim 13: six runs, and what the hour does to each of two contenders in them."""
    found = []
    for name, faster in (("the same", 0.0), ("10% faster", math.log(1.1))):
        rng, over, alone, covered = np.random.default_rng(13), 0, 0, 0
        for _ in range(trials):
            runs = rng.normal(-faster, HOUR * math.sqrt(2), (statistics.LEAST_LAUNCHES, 1))
            logs = runs + gaussian(rng, (len(runs), statistics.LEAST_LAUNCHES))
            told = statistics.compare(logs.mean(axis=1))
            over += told.verdict in changes.MATERIAL
            alone += statistics.compare(logs[0]).verdict in changes.MATERIAL
            covered += math.log(told.low) <= -faster <= math.log(told.high)
        where = f"hours that move each contender by {100 * HOUR:.0f}%, {name}"
        most, least = (None, None) if faster else (0.02, 0.20)
        found.append(rate(f"{where}: six runs decide", over, trials, most))
        found.append(rate(f"{where}: the interval holds the truth", covered, trials, least=0.93))
        if not faster:
            told_alone = f"{where}: a single run decides"
            found.append(rate(told_alone, alone, trials, least=least, control=True))
    return found


def _two_days(
    rng: np.random.Generator, day: float, slower: float, same: int
) -> list[changes.Change]:
    """Contenders over contender 0, in three comparisons and all together: so many that are the
    same on both days, and the last, which was upgraded."""
    # days, contenders, comparisons, launches
    times = rng.normal(0.0, SPREAD, (2, same + 2, 3, 10))
    times[1] += rng.normal(0.0, day, same + 2)[:, None, None]
    times[1, same + 1] += slower
    ratios = times[:, 1:] - times[:, :1]
    rows = []
    for name, (old, new) in enumerate(ratios.swapaxes(0, 1), start=1):
        pairs = [*zip(old, new, strict=True), (old.mean(axis=0), new.mean(axis=0))]
        for place, pair in enumerate(pairs):
            one = statistics.change(*pair, modes=modes.overlap(*pair))
            rows.append(
                changes.Change(
                    str(place),
                    str(name),
                    "1",
                    "2",
                    one.ratio,
                    one.low,
                    one.high,
                    one.verdict,
                    one.p,
                    (10, 10),
                )
            )
    return rows


# --- the whole plan: looks, second stage, winner ---------------------------------------------


@dataclass(frozen=True)
class PlannedRun:
    """What a run would make of one comparison of contenders 0, 1, 2 ..."""

    winner: int | None
    launches: list[int]  # spent, by contender
    over_first: dict[int, tuple[float, float]]  # interval of each one's log ratio over contender 0


def planned_run(times: np.ndarray) -> PlannedRun:
    """times: logs of seconds, (20 launches, contenders).

    The rules are those of sampling.py and statistics.py themselves, as the runner follows
    them.
    """
    contenders = times.shape[1]
    count = [sampling.FIRST_STAGE] * contenders
    taking = set(range(contenders))
    for look in sampling.LOOKS:
        for i in sorted(taking):
            if sampling.leaves({j: times[:look, i] - times[:look, j] for j in taking - {i}}):
                count[i] = look
                taking.discard(i)
    stage = times[: sampling.FIRST_STAGE]
    best = min(taking, key=lambda i: float(stage[:, i].mean()))
    for i in taking - {best}:
        count[i] = sampling.launches_planned(stage[:, i] - stage[:, best])
    count[best] = max(count[i] for i in (taking if len(taking) > 1 else range(contenders)))

    def pair(a: int, b: int) -> statistics.Comparison:
        logs = (times[:, a] - times[:, b])[: min(count[a], count[b])]
        staged = sampling.FIRST_STAGE if len(logs) > sampling.FIRST_STAGE else None
        early = not {a, b} <= taking
        return statistics.compare(logs, first_stage=staged, settled=early)

    leader = min(taking, key=lambda i: float(times[: count[i], i].mean()))
    others = [i for i in range(contenders) if i != leader]
    verdicts = {(str(leader), str(i)): pair(leader, i).verdict for i in others}
    named = statistics.winner(verdicts, [str(i) for i in range(contenders)])
    found = {i: pair(i, 0) for i in range(1, contenders)}
    return PlannedRun(
        None if named is None else int(named),
        count,
        {i: (math.log(ratio.low), math.log(ratio.high)) for i, ratio in found.items()},
    )


FIELDS = {  # true log ratios of six contenders, as `quick` shows them
    "six identical": (0.0,) * 6,
    "two tie, four far": (0.0, 0.0, 0.4, 0.8, 1.1, 4.9),
    "one leads by 3%": (0.0, math.log(1.03), 0.2, 0.4, 0.8, 1.3),
    "one leads by 10%": (0.0, 0.1, 0.2, 0.4, 0.8, 1.3),
}
SAVED = 2 / 3  # of 20 launches of each are enough, at most, where anybody is behind


def planning(trials: int) -> list[Figure]:
    """The rules of sampling.py together: who is named, what is covered, what is saved."""
    found = []
    for spread in (1.0, 3.0):  # times 2%: a quiet machine, and a noisy one
        for noise in ("Gaussian", "Student's t, 3 degrees", "bimodal"):
            for field, truth in FIELDS.items():
                found += _planning(field, np.array(truth), noise, spread, trials)
    return found


def _planning(
    field: str, truth: np.ndarray, noise: str, spread: float, trials: int
) -> list[Figure]:
    rng = np.random.default_rng(11)
    wrong = right = fixed_right = covered = pairs = 0
    spent = 0
    best = set(np.flatnonzero(truth < truth.min() + 1e-9))
    alone = len(best) == 1 and np.partition(truth, 1)[1] > statistics.MARGIN + 1e-9
    for _ in range(trials):
        draws = NOISES[noise](rng, (sampling.MOST_LAUNCHES, len(truth)))
        times = truth + spread * draws
        run = planned_run(times)
        spent += sum(run.launches)
        wrong += run.winner is not None and (not alone or run.winner not in best)
        right += alone and run.winner in best
        fixed_right += alone and fixed_winner(times) in best
        for i, (low, high) in run.over_first.items():
            pairs += 1
            covered += low <= truth[i] - truth[0] <= high
    where = f"{field}, {noise}, {2 * spread:.0f}%"
    fixed = sampling.MOST_LAUNCHES * len(truth) * trials
    figures = [
        rate(f"{where}: a wrong winner", wrong, trials, most=0.05),
        rate(f"{where}: intervals hold the truth", covered, pairs, least=0.93),
        Figure(
            f"{where}: launches, of 20 for each", spent / fixed, most=SAVED if truth.any() else None
        ),
    ]
    if alone:
        figures.append(rate(f"{where}: the winner is named", right, trials))
        figures.append(rate(f"{where}: named by 20 launches of each", fixed_right, trials))
    return figures


def fixed_winner(times: np.ndarray) -> int | None:
    """Who is named by every launch of every contender."""
    contenders = times.shape[1]
    leader = int(np.argmin(times.mean(axis=0)))
    verdicts = {
        (str(leader), str(i)): statistics.compare(times[:, leader] - times[:, i]).verdict
        for i in range(contenders)
        if i != leader
    }
    named = statistics.winner(verdicts, [str(i) for i in range(contenders)])
    return None if named is None else int(named)
