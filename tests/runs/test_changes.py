"""Claims about changes between two runs: chance among many, and what a day moves by itself."""

import math

import numpy as np
import pytest

from harness.stats.changes import Change, beyond_drift, factor, family

MARGIN = math.log(1.03)


def _row(contender: str, ratio: float, verdict: str, p: float = 1e-6) -> Change:
    ends = (ratio / 1.01, ratio * 1.01)
    return Change("w", contender, "1", "2", ratio, *ends, verdict, p, (10, 10))


def test_one_of_many_is_not_sure_of_what_it_would_be_sure_of_alone() -> None:
    alone = _row("a", 1.05, "materially_slower", p=0.008)
    assert family([alone]) == [alone]
    judged = family([alone] + [_row(f"b{i}", 1.0, "tie", p=0.5) for i in range(9)])
    assert (judged[0].verdict, judged[0].p) == ("perhaps_slower", pytest.approx(0.08))


@pytest.mark.parametrize(
    ("yardsticks", "told"), [(1, "perhaps_slower"), (2, "perhaps_slower"), (3, "materially_slower")]
)
def test_the_fewer_yardsticks_the_less_is_told_from_drift(yardsticks: int, told: str) -> None:
    """One moved by 5%: of days like these, little is known from one or two."""
    rows = [_row("y0", 1.05, "materially_slower"), _row("new", 1.17, "materially_slower")]
    rows += [_row(f"y{i}", 1.0, "tie", p=1.0) for i in range(1, yardsticks)]
    found, drift = beyond_drift(rows, {f"y{i}" for i in range(yardsticks)}, MARGIN)
    assert [row.verdict for row in found[:2]] == ["drift", told]
    assert (drift.who, drift.yardsticks) == ("y0", yardsticks)
    assert drift.by == pytest.approx(math.log(1.05))


def test_what_moved_no_more_than_a_yardstick_that_may_have_moved_is_not_told_from_it() -> None:
    """Its move is one of many that were looked at, and so not proved; nor is it nothing."""
    rows = [_row("y", 1.08, "perhaps_slower", p=0.24), _row("new", 1.06, "materially_slower")]
    rows += [_row("far", 1.30, "materially_slower")]
    found, drift = beyond_drift(rows, {"y"}, MARGIN)
    assert [row.verdict for row in found[1:]] == ["perhaps_slower", "materially_slower"]
    assert (drift.who, drift.proved) == ("y", False)


def test_what_a_yardstick_did_while_the_machine_was_busy_is_no_drift() -> None:
    rows = [_row("y", 1.30, "screening"), _row("new", 1.06, "materially_slower")]
    found, drift = beyond_drift(rows, {"y"}, MARGIN)
    assert [row.verdict for row in found] == ["screening", "materially_slower"]
    assert (drift.who, drift.yardsticks) == (None, 0)  # nor is it known that none of it moved


def test_where_no_yardstick_moved_the_margin_is_all_there_is_to_pass() -> None:
    still = [_row(y, 1.002, "tie", p=0.6) for y in "yz"]
    found, drift = beyond_drift([*still, _row("new", 1.05, "materially_slower")], {*"yz"}, MARGIN)
    assert [row.verdict for row in found] == ["tie", "tie", "materially_slower"]
    assert drift.who is None and drift.reach == MARGIN


def test_one_that_did_not_move_is_asked_by_how_much_it_may_have() -> None:
    """Two days give each contender what they give: that one got nothing is often luck."""
    rows = [_row("y", 1.002, "tie", p=0.6), _row("near", 1.05, "materially_slower")]
    found, drift = beyond_drift([*rows, _row("far", 1.06, "materially_slower")], {"y"}, MARGIN)
    assert [row.verdict for row in found] == ["tie", "perhaps_slower", "materially_slower"]
    assert drift.who is None and drift.reach == pytest.approx(MARGIN + math.log(1.002 * 1.01))


@pytest.mark.parametrize(("yardsticks", "others"), [(1, 1), (2, 1), (4, 1), (4, 3)])
def test_days_alone_pass_the_factor_in_one_of_twenty(yardsticks: int, others: int) -> None:
    days = np.random.default_rng(0).normal(size=(20_000, 1 + yardsticks + others))
    ratios = np.abs(days[:, 1:] - days[:, :1])
    most = ratios[:, :yardsticks].max(axis=1) * factor(yardsticks, others)
    assert (ratios[:, yardsticks:].max(axis=1) > most).mean() == pytest.approx(0.05, abs=0.006)


def test_the_factor_is_what_its_text_says() -> None:
    found = [factor(1, 1), factor(2, 1), factor(4, 1)]
    assert found == pytest.approx([10.9, 3.0, 1.7], rel=0.03)
