"""Claims about planning: who leaves early, how many launches the others get, how many rounds."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.stats import sampling, statistics

STAGE = np.array([0.01, -0.01, 0.005, -0.005, 0.02, -0.02])


def test_far_behind_is_seen_at_four_launches_and_no_other_is() -> None:
    assert sampling.far_behind(math.log(3) + np.array([0.01, -0.01, 0.0, 0.0]))
    assert not sampling.far_behind(math.log(3) + np.array([0.01, -0.01, 0.0]))  # as wide as 2.8
    assert not sampling.far_behind(-math.log(3) + np.array([0.01, -0.01, 0.0, 0.0]))  # it is ahead
    assert not sampling.far_behind(math.log(1.4) + np.zeros(4))  # alike by chance, and not far
    assert not sampling.far_behind(math.log(3) + np.array([0.3, -0.3, 0.0, 0.0]))  # too noisy
    assert not sampling.far_behind(math.log(3) + np.zeros(6))  # the plan's business by then


def test_it_must_be_clear_of_whoever_may_yet_turn_out_to_be_the_best() -> None:
    steady = math.log(3) + np.array([0.01, -0.01, 0.0, 0.0])
    unsure = math.log(2.9) + np.array([0.3, -0.3, 0.0, 0.0])
    assert sampling.leaves({"best": steady})
    assert not sampling.leaves({"best": steady, "nearly": unsure})
    assert sampling.leaves({"best": steady, "behind it": unsure - math.log(2)})
    assert not sampling.leaves({}) and not sampling.leaves({"never met": np.array([])})


def test_the_width_that_is_wanted_grows_with_the_distance() -> None:
    assert sampling.half_width(0.0) == sampling.half_width(0.05) == 0.02
    assert sampling.half_width(math.log(3)) == pytest.approx((math.log(3) - math.log(1.03)) / 2)
    assert sampling.half_width(-math.log(3)) == sampling.half_width(math.log(3))


def test_who_is_far_off_gets_no_further_launch_and_who_is_near_does() -> None:
    noisy = 3 * STAGE
    assert sampling.launches_planned(math.log(2) + noisy) == 6
    near = sampling.launches_planned(0.01 + noisy)
    assert near == min(20, sampling.stein_launches(noisy, 0.02)) > 6
    assert sampling.launches_planned(np.array([0.1, np.nan, 0.1])) == 3


def test_stein_plans_from_the_first_stage_alone() -> None:
    first = np.array([0.0, 0.02, -0.02, 0.01, -0.01, 0.0])
    t = stats.t.ppf(0.975, 5)
    expected = math.ceil((t * first.std(ddof=1) / 0.01) ** 2)
    assert sampling.stein_launches(first, 0.01) == expected > 6
    assert sampling.stein_launches(np.zeros(6), 0.01) == 6


def test_the_best_number_of_rounds_by_hand() -> None:
    """sqrt(8 / 2) x 0.10 / 0.05 = 4."""
    assert sampling.best_rounds(8.0, 2.0, 0.10, 0.05) == pytest.approx(4.0)
    assert sampling.best_rounds(8.0, 2.0, 0.10, 0.0) == math.inf  # launches are alike: stay in one
    assert sampling.best_rounds(8.0, 0.0, 0.10, 0.05) == math.inf  # rounds that cost nothing
    assert sampling.best_rounds(8.0, 2.0, 0.0, 0.05) == 1.0  # rounds are alike: one is enough
    assert sampling.whole_squares(math.inf, 6) == 24
    assert sampling.whole_squares(1.0, 6) == sampling.whole_squares(math.nan, 6) == 12
    assert sampling.whole_squares(13.0, 6) == 12
    assert sampling.whole_squares(math.inf, 14) == 28  # whole designs, of about 24 rounds
    assert sampling.whole_squares(1.0, 2) == 10  # what a trimmed mean needs


def test_a_few_launches_that_look_alike_or_apart_by_chance_are_believed_by_halves() -> None:
    assert sampling.expected_spread(0.0, 4) == pytest.approx(0.01 / math.sqrt(2))
    assert sampling.expected_spread(0.05, 4) == pytest.approx(0.05 / math.sqrt(2), rel=0.03)
    assert sampling.expected_spread(0.05, 400) == pytest.approx(0.05, rel=0.01)


def test_spreads_between_rounds_and_between_launches_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    offsets = rng.normal(0, 0.05, 400)
    rounds = [offset + rng.normal(0, 0.10, 12) for offset in offsets]
    within, between = sampling.spreads(rounds)
    # A trimmed mean of Gaussian rounds has 1.15 times a plain mean's variance, or a little more.
    assert within == pytest.approx(0.10 * math.sqrt(1.15), rel=0.07)
    assert between == pytest.approx(0.05, rel=0.15)
    within, between = sampling.spreads(rounds[:1])  # of one launch: what is known by then
    assert 0.05 < within < 0.15 and between == 0.0
    assert all(math.isnan(value) for value in sampling.spreads([np.zeros(1)]))


def test_a_contender_that_left_early_keeps_the_interval_by_which_it_left() -> None:
    logs = math.log(3) + np.array([0.01, -0.01, 0.0])
    found = statistics.compare(logs, settled=True)
    assert (found.verdict, found.confidence, found.launches) == ("materially_slower", 0.999, 3)
    low, high = statistics.t_interval(logs, 0.999)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((low, high))
    assert statistics.compare(logs).verdict == "screening"  # nobody said that it left
    assert statistics.compare(logs[:2], settled=True).verdict == "screening"


def test_a_change_between_runs_is_welchs() -> None:
    rng = np.random.default_rng(1)
    old, new = rng.normal(0.0, 0.01, 6), rng.normal(0.2, 0.03, 8)
    found = statistics.change(old, new)
    assert found.verdict == "materially_slower"
    assert found.ratio == pytest.approx(math.exp(new.mean() - old.mean()))
    welch = stats.ttest_ind(new, old, equal_var=False)
    interval = welch.confidence_interval(0.95)
    # Degrees of freedom are rounded down: a little wider than with broken ones.
    assert math.log(found.low) <= interval.low <= interval.high <= math.log(found.high)
    assert math.log(found.high) == pytest.approx(interval.high, rel=0.02)
    assert statistics.change(old[:5], new).verdict == "screening"
    assert statistics.change(old[:1], new).high == math.inf  # one launch has no interval
    assert statistics.change(np.zeros(6), np.zeros(6)).verdict == "tie"


def test_a_disturbed_turn_in_ten_does_not_make_rounds_look_noisy() -> None:
    rng = np.random.default_rng(0)
    quiet = [offset + rng.normal(0, 0.02, 12) for offset in rng.normal(0, 0.01, 200)]
    disturbed = [values + 0.5 * rng.permutation(np.eye(12)[0]) for values in quiet]
    (calm, launches), (shaken, apart) = sampling.spreads(quiet), sampling.spreads(disturbed)
    assert shaken < 2 * calm and apart < 3 * launches
    assert np.mean([np.std(values, ddof=1) for values in disturbed]) > 4 * calm
