"""Claims about the statistics: held against known truth and against recorded noise.

The full campaign, with live launches, is a target of its own; these are the simulated
claims of docs/method.md, and the recorded traces of identical workers.
"""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness import statistics as st

TRACES = Path(__file__).parent / "data" / "traces"
RNG = np.random.default_rng
MATERIAL = ("materially_faster", "materially_slower")
DIFFERENT = (*MATERIAL, "faster", "slower")


# --- formulas -------------------------------------------------------------------------------


def test_the_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 5.0, 5.5, 7.0])
    expected = stats.t.interval(0.95, 5, np.mean(values), stats.sem(values))
    assert st.t_interval(values) == pytest.approx(expected)


def test_one_launch_has_no_interval() -> None:
    assert st.t_interval(np.array([0.1])) == (-math.inf, math.inf)
    assert st.p_value(np.array([0.1])) == 1.0


def test_holm_steps_down() -> None:
    """Holm 1979: 3 x 0.01, then 2 x 0.02, then the larger of that and 0.03."""
    assert st.holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert st.holm([]) == []
    assert st.holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_trimmed_mean_forgets_its_tails_from_ten_on() -> None:
    assert st.trimmed_mean(np.array([0.0] * 9)) == 0.0
    assert st.trimmed_mean(np.array([0.0] * 9 + [1000.0])) == 0.0
    assert st.trimmed_mean(np.array([0.0] * 8 + [9.0])) == 1.0


def test_stein_plans_from_the_first_stage_alone() -> None:
    first = np.array([0.0, 0.02, -0.02, 0.01, -0.01, 0.0])
    t = stats.t.ppf(0.975, 5)
    expected = math.ceil((t * first.std(ddof=1) / 0.01) ** 2)
    assert st.stein_launches(first, 0.01) == expected > 6
    assert st.stein_launches(np.zeros(6), 0.01) == 6


def test_a_turn_s_two_statistics() -> None:
    turn = {"calls": [900, 100, 200, 300, 400], "dropped": 1, "total_ns": 1000}
    assert st.latency(turn) == pytest.approx(175e-9)
    assert st.per_call(turn) == pytest.approx(250e-9)
    assert st.per_call({**turn, "queued_ns": 400}) == pytest.approx(100e-9)


# --- verdicts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "spread", "launches", "verdict"),
    [
        (0.0, 0.001, 5, "screening"),
        (0.0, 0.001, 6, "tie"),
        (0.02, 0.001, 6, "tie"),
        (-0.1, 0.001, 6, "materially_faster"),
        (0.1, 0.001, 6, "materially_slower"),
        (-0.031, 0.003, 8, "faster"),
        (0.031, 0.003, 8, "slower"),
        (0.0, 0.2, 8, "inconclusive"),
        (-0.5, 0.2, 1, "screening"),
    ],
)
def test_the_first_verdict_that_holds(
    mean: float, spread: float, launches: int, verdict: str
) -> None:
    wave = np.array([(-1.0) ** i for i in range(launches)])
    found = st.compare(mean + spread * (wave - wave.mean()))
    assert found.verdict == verdict
    assert found.ratio == pytest.approx(math.exp(mean))


def test_what_is_open_says_how_many_launches_would_tell() -> None:
    found = st.compare(0.03 + 0.1 * np.array([1, -1, 1, -1, 1, -1.0]))
    assert found.verdict == "inconclusive"
    assert found.launches_needed is not None and found.launches_needed > 6
    assert found.detectable > 0.05


def test_identical_launches_without_any_spread_are_a_tie_and_no_crash() -> None:
    assert st.compare(np.zeros(6)).verdict == "tie"
    assert st.compare(np.full(6, -0.5)).verdict == "materially_faster"
    assert st.compare(np.array([])).verdict == "screening"


def test_a_winner_beats_every_other_materially() -> None:
    verdicts = {("a", "b"): "materially_faster", ("a", "c"): "materially_faster"}
    assert st.winner(verdicts, ["a", "b", "c"]) == "a"
    assert st.winner({**verdicts, ("a", "c"): "faster"}, ["a", "b", "c"]) is None
    assert st.winner({}, ["a"]) is None


def test_launches_in_two_clusters_are_two_modes() -> None:
    fast, slow = np.log([1.10, 1.11, 1.09]), np.log([2.10, 2.12])
    assert [len(c) for c in st.modes(np.concatenate([slow, fast]))] == [3, 2]
    assert len(st.modes(np.log([1.10, 1.11, 1.09, 1.12, 2.10]))) == 1  # one alone is no cluster
    assert len(st.modes(np.log([1.0, 1.02, 1.04, 1.06, 1.08, 1.10]))) == 1  # no gap


def test_overlapping_modes_are_neither_a_tie_nor_a_win() -> None:
    two = np.log([1.1, 1.1, 1.1, 2.1, 2.1, 2.1])
    one = np.log([1.3] * 6)
    assert st.modes_overlap(two, one)
    assert st.compare(two - one, modes=True).verdict == "multimodal"
    assert not st.modes_overlap(two, np.log([5.0] * 6))  # its slowest still beats the other


# --- rates, against known truth -----------------------------------------------------------------


def _noise(kind: str, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    if kind == "gaussian":
        return rng.normal(0, 0.02, size)
    if kind == "t3":
        return 0.02 * rng.standard_t(3, size)
    if kind == "bimodal":
        return rng.choice([-0.03, 0.03], size) + rng.normal(0, 0.005, size)
    # Rounds that remember each other, and a drift that both contenders share and that cancels.
    rounds = np.zeros((*size, 12))
    for i in range(1, 12):
        rounds[..., i] = 0.9 * rounds[..., i - 1] + rng.normal(0, 0.01, size)
    drift = np.linspace(0, 0.3, 12)
    return rng.normal(0, 0.02, size) + ((rounds + drift) - drift).mean(axis=-1)


@pytest.mark.parametrize("kind", ["gaussian", "t3", "bimodal", "autocorrelated"])
def test_intervals_cover_with_the_planning_of_launches_included(kind: str) -> None:
    """METHOD, claim 3: at least 93%, Stein's second stage and all."""
    rng, covered, trials = RNG(3), 0, 1500
    for sample in _noise(kind, rng, (trials, 20)):
        wanted = min(20, st.stein_launches(sample[:6], 0.02))
        low, high = st.t_interval(sample[:wanted], first_stage=6)
        covered += low <= 0 <= high
    assert covered / trials >= 0.93


def test_stopping_at_the_first_significance_would_not_keep_its_promise() -> None:
    """The control: look after every launch, stop once it is significant."""
    rng, alarms, trials = RNG(4), 0, 400
    for sample in rng.normal(0, 0.02, (trials, 20)):
        alarms += any(st.p_value(sample[:n]) < 0.05 for n in range(3, 21))
    assert alarms / trials > 0.12


@pytest.mark.parametrize(("slowdown", "launches", "power"), [(0.03, 10, 0.90), (0.05, 8, 0.98)])
def test_a_planted_slowdown_is_found(slowdown: float, launches: int, power: float) -> None:
    """METHOD, claim 2, with the 1.8% spread between launches of a quiet machine."""
    rng, found, trials = RNG(5), 0, 600
    for sample in rng.normal(math.log1p(slowdown), 0.018, (trials, launches)):
        found += st.compare(sample).verdict in ("slower", "materially_slower")
    assert found / trials >= power


def test_a_process_s_lasting_offset_gives_no_false_alarms() -> None:
    """METHOD, claim 5: 2% an offset, 0.2% within: launches replicate it, rounds do not."""
    rng, trials, rounds = RNG(6), 600, 12
    alarms = naive = 0
    for _ in range(trials):
        offsets = rng.normal(0, 0.02, 6)
        within = offsets[:, None] + rng.normal(0, 0.002, (6, rounds))
        by_launch = np.array([st.trimmed_mean(row) for row in within])
        alarms += st.p_value(by_launch) < 0.05
        naive += st.p_value(within[0]) < 0.05
    assert alarms / trials <= 0.08
    assert naive / trials > 0.80


def test_shared_launches_keep_five_percent_and_independent_workloads_would_not() -> None:
    """METHOD, claim 10: the same processes serve all workloads."""
    rng, trials, alarms, naive = RNG(7), 600, 0, 0
    for _ in range(trials):
        shared = rng.normal(0, 0.02, 6)
        logs = [
            {k: shared[k] + effect for k, effect in enumerate(rng.normal(0, 0.004, 6))}
            for _ in range(8)
        ]
        alarms += st.p_value(st.shared_launches(logs)) < 0.05
        naive += st.p_value(np.concatenate([[*one.values()] for one in logs])) < 0.05
    assert alarms / trials <= 0.08
    assert naive / trials > 0.20


def test_only_launches_that_hold_all_workloads_count() -> None:
    logs = [{1: 0.1, 2: 0.2, 3: 0.3}, {2: 0.4, 3: 0.5, 4: 0.6}]
    assert st.shared_launches(logs) == pytest.approx([0.3, 0.4])
    assert len(st.shared_launches([])) == 0


# --- recorded noise ---------------------------------------------------------------------------


def _trace_logs(name: str) -> np.ndarray:
    """(launches, workers): log seconds of each worker in each launch, as runs compute them."""
    calls = np.load(TRACES / f"{name}.npz")["call_ns"].astype(float)
    kept = calls[..., max(1, min(5, calls.shape[-1] // 5)) :]
    quartiles = np.quantile(kept, 0.25, axis=-1)
    trimmed = np.apply_along_axis(lambda row: st.trimmed_mean(np.log(row)), 2, quartiles)
    return trimmed


@pytest.mark.parametrize("name", ["conv-small", "conv-malloc-fixed"])
def test_identical_workers_are_seldom_called_different(name: str) -> None:
    """METHOD, claim 1, on recorded noise: labels swapped at random in each launch."""
    logs = _trace_logs(name)
    rng, trials, wrong, material = RNG(8), 1000, 0, 0
    difference = logs[:, 0] - logs[:, 1]
    for _ in range(trials):
        launches = rng.choice(len(difference), 10, replace=False)
        signed = difference[launches] * rng.choice([-1, 1], 10)
        verdict = st.compare(signed).verdict
        wrong += verdict in DIFFERENT
        material += verdict in MATERIAL
    assert wrong / trials <= 0.06
    assert material / trials <= 0.01


def test_a_quiet_trace_of_identical_workers_is_a_tie() -> None:
    """METHOD, claim 8: with a spread of 2% at most, ten launches tie nine times in ten."""
    logs = _trace_logs("conv-small")
    difference = logs[:, 0] - logs[:, 1]
    assert difference.std(ddof=1) <= 0.02
    rng, trials, ties = RNG(9), 400, 0
    for _ in range(trials):
        launches = rng.choice(len(difference), 10, replace=False)
        ties += st.compare(difference[launches] * rng.choice([-1, 1], 10)).verdict == "tie"
    assert ties / trials >= 0.90


def test_the_trace_with_two_modes_is_called_multimodal() -> None:
    logs = _trace_logs("conv-two-modes")
    assert len(st.modes(logs[:, 0])) > 1
    assert st.modes_overlap(logs[:, 0], logs[:, 1])
    verdict = st.compare(logs[:, 0] - logs[:, 1], modes=True).verdict
    assert verdict == "multimodal"


def test_drift_moves_no_ratio_taken_in_turns_and_does_move_a_sequential_one() -> None:
    """METHOD, claim 4: a 30% ramp, and a 2x step in the middle, over recorded rounds."""
    quartiles = np.log(np.quantile(np.load(TRACES / "conv-small.npz")["call_ns"], 0.25, axis=-1))
    rounds = quartiles.shape[2]
    for drift in (
        np.log(np.linspace(1, 1.3, rounds)),
        np.log(np.where(np.arange(rounds) < 9, 1, 2)),
    ):
        moved = quartiles + drift
        pairs = [
            [st.trimmed_mean(launch[0] - launch[1]) for launch in logs]
            for logs in (quartiles, moved)
        ]
        assert abs(np.mean(pairs[0]) - np.mean(pairs[1])) < 0.005
        half = rounds // 2
        sequential = moved[:, 0, :half].mean(axis=1) - moved[:, 1, half:].mean(axis=1)
        assert abs(np.mean(sequential)) > 0.05
