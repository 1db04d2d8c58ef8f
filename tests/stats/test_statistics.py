"""Claims about the statistics, formula by formula; rates against known truth are in test_proof."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.proof import claims, traces
from harness.stats import modes, readings
from harness.stats import statistics as st
from tests.support.synthetic import of_spread

# --- formulas -------------------------------------------------------------------------------


def test_the_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 5.0, 5.5, 7.0])
    expected = stats.t.interval(0.95, 5, np.mean(values), stats.sem(values))
    assert st.t_interval(values) == pytest.approx(expected)


def test_one_launch_has_no_interval() -> None:
    assert st.t_interval(np.array([0.1])) == (-math.inf, math.inf)
    assert st.p_value(np.array([0.1])) == 1.0
    found = st.compare(np.array([0.1]))
    assert (found.low, found.high, found.verdict) == (0.0, math.inf, "screening")


def test_holm_steps_down() -> None:
    """Holm 1979: 3 x 0.01, then 2 x 0.02, then the larger of that and 0.03."""
    assert st.holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert st.holm([]) == []
    assert st.holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_trimmed_mean_forgets_its_tails_from_five_on() -> None:
    assert readings.trimmed_mean(np.array([0.0] * 9)) == 0.0
    assert readings.trimmed_mean(np.array([0.0] * 9 + [1000.0])) == 0.0
    assert readings.trimmed_mean(np.array([0.0] * 4 + [9.0])) == 0.0
    assert readings.trimmed_mean(np.array([0.0] * 3 + [8.0])) == 2.0  # of four none can be left out


def test_a_turn_s_two_statistics() -> None:
    turn = {"calls": [900, 100, 200, 300, 400], "dropped": 1, "total_ns": 1000}
    assert readings.latency(turn) == pytest.approx(175e-9)
    assert readings.per_call(turn) == pytest.approx(250e-9)
    assert readings.per_call({**turn, "queued_ns": 400}) == pytest.approx(100e-9)


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


def test_a_material_difference_wants_one_in_a_hundred_however_noisy_the_machine() -> None:
    """p is 0.02: beyond the margin by its 95% interval, and a chance of five in a hundred."""
    wave = np.array([(-1.0) ** i for i in range(6)])
    found = st.compare(-0.30 + 0.20 * wave)
    assert found.high < 1 / 1.03 and 0.01 < found.p < 0.05
    assert found.verdict == "faster"
    assert st.compare(-0.30 + 0.10 * wave).verdict == "materially_faster"


def test_what_could_have_been_seen_is_no_less_than_the_interval_allows() -> None:
    """Where launches were planned by the first six's spread, and with what was seen once."""
    logs = np.concatenate([of_spread(0.04, 6), of_spread(0.01, 14)])
    for first_stage, allowance in ((None, 0.0), (6, 0.0), (6, 0.05)):
        found = st.compare(logs, first_stage=first_stage, allowance=allowance)
        assert math.log1p(found.detectable) > math.log(found.high / found.ratio)
    early = st.compare(0.9 + of_spread(0.01, 3), settled=True)
    assert math.log1p(early.detectable) > math.log(early.high / early.ratio)


def test_what_is_open_says_how_many_launches_would_tell() -> None:
    found = st.compare(0.03 + 0.1 * np.array([1, -1, 1, -1, 1, -1.0]))
    assert found.verdict == "inconclusive"
    assert found.detectable > 0.05
    assert found.launches_needed is None  # so near the margin none would, not even a thousand
    for mean, told in ((0.0, "tie"), (-0.012, "tie"), (0.06, "materially_slower")):
        needed = st.compare(mean + of_spread(0.05, 6)).launches_needed
        assert needed is not None and needed > 6
        assert st.compare(mean + of_spread(0.05, needed)).verdict == told
        assert st.compare(mean + of_spread(0.05, needed - 1)).verdict != told


@pytest.mark.parametrize("allowance", [0.0, 0.02])
def test_many_of_all_kinds_are_told_by_as_many_launches_as_was_said(allowance: float) -> None:
    rng, checked = np.random.default_rng(11), 0
    for _ in range(300):
        mean, spread = rng.normal(0, 0.08), rng.uniform(0.005, 0.1)
        found = st.compare(mean + of_spread(spread, 6), allowance=allowance)
        if (needed := found.launches_needed) is not None:
            checked += 1
            then = st.compare(mean + of_spread(spread, needed), allowance=allowance)
            assert then.verdict in ("tie", "materially_faster", "materially_slower")
    assert checked > 100


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
    assert [len(c) for c in modes.clusters(np.concatenate([slow, fast]))] == [3, 2]
    assert (
        len(modes.clusters(np.log([1.10, 1.11, 1.09, 1.12, 2.10]))) == 1
    )  # one alone is no cluster
    assert len(modes.clusters(np.log([1.0, 1.02, 1.04, 1.06, 1.08, 1.10]))) == 1  # no gap


def test_overlapping_modes_are_neither_a_tie_nor_a_win() -> None:
    two = np.log([1.1, 1.1, 1.1, 2.1, 2.1, 2.1])
    one = np.log([1.3] * 6)
    assert modes.overlap(two, one)
    assert st.compare(two - one, modes=True).verdict == "multimodal"
    assert not modes.overlap(two, np.log([5.0] * 6))  # its slowest still beats the other


def test_who_was_in_no_launch_has_no_modes() -> None:
    assert not modes.overlap(np.array([]), np.log([1.0, 1.01, 2.0, 2.01]))


def test_only_launches_that_hold_all_workloads_count() -> None:
    logs = [{1: 0.1, 2: 0.2, 3: 0.3}, {2: 0.4, 3: 0.5, 4: 0.6}]
    assert st.shared_launches(logs) == pytest.approx([0.3, 0.4])
    assert len(st.shared_launches([])) == 0


def test_the_trace_with_two_modes_is_called_multimodal() -> None:
    logs = traces.by_launch("conv-two-modes")
    assert len(modes.clusters(logs[:, 0])) > 1
    assert modes.overlap(logs[:, 0], logs[:, 1])
    verdict = st.compare(logs[:, 0] - logs[:, 1], modes=True).verdict
    assert verdict == "multimodal"


@pytest.mark.parametrize("freedom", [1, 2, 5, 19])
def test_quantiles_and_rates_are_those_of_scipy_stats(freedom: int) -> None:
    """Which is not imported where a command must answer at once."""
    for probability in (0.025, 0.5, 0.95, 0.975, 0.9995):
        wanted = stats.t.ppf(probability, freedom)
        assert st.quantile(probability, freedom) == pytest.approx(wanted, rel=1e-9)
    for count, trials in ((0, 30), (3, 200), (30, 30)):
        found = claims.rate("rate", count, trials)
        wanted = stats.binomtest(count, trials).proportion_ci(0.95)
        assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), rel=1e-9)


def test_turned_round_a_pair_says_the_opposite_also_with_what_was_seen_once() -> None:
    for mean, verdict in ((-0.2, "materially_faster"), (-0.07, "faster"), (0.0, "tie")):
        logs = mean + of_spread(0.01, 8)
        one, other = st.compare(logs, allowance=0.02), st.compare(-logs, allowance=0.02)
        if verdict == "faster":
            one, other = (st.compare(x, allowance=0.05) for x in (logs, -logs))
        assert one.verdict == verdict and other.verdict == st.OPPOSITE.get(verdict, verdict)
        assert (other.low, other.high) == pytest.approx((1 / one.high, 1 / one.low))
        assert one.low < one.ratio < one.high and one.p == other.p


def test_p_is_the_larger_one_where_launches_were_planned() -> None:
    """As the interval is the wider one: of the first six's spread, or of all."""
    for first, later in ((0.2, 0.01), (0.01, 0.2)):
        logs = 0.1 + np.concatenate([of_spread(first, 6), of_spread(later, 8)])
        found = st.p_value(logs, first_stage=6)
        t = logs.mean() * math.sqrt(len(logs)) / logs[:6].std(ddof=1)
        stages = [stats.ttest_1samp(logs, 0.0).pvalue, 2 * stats.t.sf(t, 5)]
        assert found == pytest.approx(max(stages))
        assert max(stages) > 2 * min(stages)


def test_launches_that_would_tell_are_as_many_as_the_first_six_s_spread_asks_for() -> None:
    first, quiet = of_spread(0.05, 6), of_spread(0.01, 4)
    needed = st.compare(np.append(first, quiet), first_stage=6).launches_needed
    assert needed is not None
    for count, told in ((needed - 1, False), (needed, True)):
        logs = np.append(first, of_spread(0.01, count - 6))
        assert (st.compare(logs, first_stage=6).verdict == "tie") is told


@pytest.mark.parametrize("launches", [5, 6])
def test_who_left_early_has_the_wider_interval_below_six_launches_alone(launches: int) -> None:
    logs = 1.0 + of_spread(0.01, launches)
    confidence = 0.999 if launches < 6 else 0.95
    assert st.compare(logs, settled=True).confidence == confidence
    found = st.change(np.zeros(launches), logs, settled=True)
    assert (found.confidence, found.verdict) == (confidence, "materially_slower")


def test_a_change_between_runs_has_the_rules_of_a_pair() -> None:
    """p below 1% for what is material; 90% for a tie; modes leave it open."""
    wave = np.array([(-1.0) ** i for i in range(6)])
    noisy = st.change(0.18 * wave, -0.30 + 0.18 * wave)
    assert noisy.high < 1 / 1.03 and noisy.p > 0.01 and noisy.verdict == "faster"
    assert st.change(0.05 * wave, -0.30 + 0.05 * wave).verdict == "materially_faster"
    near = st.change(0.023 * wave, 0.023 * wave)
    assert near.high > 1.03 and near.verdict == "tie"  # by its 90% interval alone
    assert st.change(0.05 * wave, -0.30 + 0.05 * wave, modes=True).verdict == "multimodal"
    assert st.change(0.05 * wave[:5], 0.05 * wave, modes=True).verdict == "screening"
