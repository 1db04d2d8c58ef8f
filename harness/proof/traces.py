"""Claims held against recorded noise: timings of one convolution against itself.

Three traces of a noisy two-core virtual machine, each of several workers in many launch
groups (tests/data/traces/README.md). Every difference between two workers is noise, so
the truth is known: there is none. Labels are swapped at random in each launch.
"""

import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.paths import ROOT
from harness.proof.claims import Figure, rate
from harness.proof.simulated import DIFFERENT
from harness.run import design
from harness.stats import modes, readings, statistics
from harness.worker import timing

FOLDER = ROOT / "tests" / "data" / "traces"
ONE_MODE = ("conv-small", "conv-malloc-fixed")
QUIET = ("conv-small",)  # launches differ by at most 2%
LAUNCHES = 10
MOVED = 0.005  # by drift, at most
DEALS = 200  # of who comes first in which round, in every launch


def quartiles(name: str, folder: Path = FOLDER) -> np.ndarray:
    """(launches, workers, rounds): log of the lower quartile of each turn's kept calls, in ns."""
    calls = np.load(folder / f"{name}.npz")["call_ns"].astype(float)
    dropped = timing.dropped_of(calls.shape[-1])
    return np.log(np.quantile(calls[..., dropped:], 0.25, axis=-1))


def by_launch(name: str) -> np.ndarray:
    """(launches, workers): trimmed means over rounds."""
    return np.apply_along_axis(readings.trimmed_mean, 2, quartiles(name))


def _comparisons(name: str, trials: int, seed: int) -> list[statistics.Comparison]:
    """Ten launches drawn without return, labels swapped at random: identical contenders."""
    logs, rng = by_launch(name), np.random.default_rng(seed)
    difference = logs[:, 0] - logs[:, 1]
    found = []
    for _ in range(trials):
        drawn = rng.choice(len(difference), LAUNCHES, replace=False)
        found.append(statistics.compare(difference[drawn] * rng.choice([-1, 1], LAUNCHES)))
    return found


def identical(trials: int) -> list[Figure]:
    """Claim 1 on recorded noise."""
    figures = []
    for name in ONE_MODE:
        verdicts = [found.verdict for found in _comparisons(name, trials, 1)]
        different = sum(v in DIFFERENT for v in verdicts)
        material = sum(v.startswith("materially") for v in verdicts)
        figures.append(rate(f"{name}: called different", different, trials, most=0.05))
        figures.append(rate(f"{name}: materially different", material, trials, most=0.01))
    return figures


def ties(trials: int) -> list[Figure]:
    """Claim 8: what is the same is called so; of what falls into modes nobody is called faster."""
    figures = []
    for name in QUIET:
        logs = by_launch(name)
        spread = float(np.std(logs[:, 0] - logs[:, 1], ddof=1))
        tied = sum(found.verdict == "tie" for found in _comparisons(name, trials, 8))
        figures.append(Figure(f"{name}: spread between launches", spread, most=0.02))
        figures.append(rate(f"{name}: called a tie", tied, trials, least=0.90))
    logs = by_launch("conv-two-modes")
    rng, named = np.random.default_rng(8), 0
    for _ in range(trials):
        drawn = rng.choice(len(logs), LAUNCHES, replace=False)
        a, b = logs[drawn, 0], logs[drawn, 1]
        if len(modes.clusters(a)) == len(modes.clusters(b)) == 1:
            continue  # these ten happened to lie in one mode each: nothing overlaps
        modal = modes.leave_open(a, b, a - b)
        verdict = statistics.compare(a - b, modes=modal).verdict
        named += verdict in DIFFERENT
    figures.append(
        rate("conv-two-modes: overlapping modes called different", named, trials, most=0)
    )
    return figures


def drift() -> list[Figure]:
    """Claim 4: a 30% ramp, and a 2x step, laid over the turns of recorded rounds.

    The machine drifts from turn to turn: of a round's two the second has more of it. Who that is
    was dealt by chance, so the deal is made many times.
    """
    figures = []
    for name in ONE_MODE:
        logs = quartiles(name)[:, :2]
        launches, _, rounds = logs.shape
        rounds -= rounds % 2  # whole designs, as a run has them
        logs, turns, rng = logs[..., :rounds], 2 * rounds, random.Random(4)
        ramp = np.log(np.linspace(1.0, 1.3, turns))
        first = [_points([[0, 1]] * rounds)] * launches
        one_by_one = [np.arange(turns).reshape(2, rounds)] * launches
        ramps, steps = [], []
        for _ in range(DEALS):
            dealt = np.array([_points(design.rounds([0, 1], rounds, rng)) for _ in range(launches)])
            ramps.append(abs(_moved(logs, ramp[dealt])))
            at = np.array([rng.randrange(1, turns) for _ in range(launches)])
            steps.append(_moved(logs, np.log(np.where(dealt < at[:, None, None], 1.0, 2.0))))
        what, step = f"{name}, ramp of 30%", f"{name}, step of 2x"
        shift, often = abs(float(np.mean(steps))), float(np.quantile(np.abs(steps), 0.95))
        figures += [
            Figure(
                f"{what}: ratio moved by, in the worst of {DEALS} deals", max(ramps), most=MOVED
            ),
            _control(
                f"{what}: always the same one first", _moved(logs, ramp[np.array(first)]), MOVED
            ),
            _control(
                f"{what}: one contender after the other",
                _moved(logs, ramp[np.array(one_by_one)]),
                0.05,
            ),
            Figure(f"{step}: ratio moved by, on average over {DEALS} deals", shift, most=MOVED),
            Figure(f"{step}: in 95% of the deals by at most", often),
        ]
    return figures


def _control(name: str, moved: float, least: float) -> Figure:
    return Figure(name, abs(moved), least=least, control=True)


def _points(rounds: Sequence[Sequence[int]]) -> np.ndarray:
    """(workers, rounds): which turn of the launch each one's is, counted from its start."""
    return np.array([[2 * r + row.index(w) for r, row in enumerate(rounds)] for w in (0, 1)])


def _moved(logs: np.ndarray, drift: np.ndarray) -> float:
    """By how much the ratio differs once each turn has its share of the drift."""
    return _ratio(logs + drift) - _ratio(logs)


def _ratio(rounds: np.ndarray) -> float:
    """The mean over launches of the trimmed mean over rounds, as runs have it."""
    pairs = rounds[:, 0] - rounds[:, 1]
    return math.expm1(np.mean([readings.trimmed_mean(launch) for launch in pairs]))
