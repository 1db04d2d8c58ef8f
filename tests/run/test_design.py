"""Claims about the order of turns."""

import random
from itertools import pairwise

import pytest

from harness.run import design


@pytest.mark.parametrize("count", range(1, 9))
def test_every_round_holds_every_contender_once(count: int) -> None:
    assert all(sorted(row) == list(range(count)) for row in design.williams(count))


@pytest.mark.parametrize("count", range(2, 9))
def test_every_contender_follows_every_other_equally_often(count: int) -> None:
    square = design.williams(count)
    follows = [step for row in square for step in pairwise(row)]
    assert len(square) == (count if count % 2 == 0 else 2 * count)
    expected = len(follows) // (count * (count - 1))
    assert expected >= 1
    assert {follows.count((a, b)) for a in range(count) for b in range(count) if a != b} == {
        expected
    }


@pytest.mark.parametrize("count", range(2, 9))
def test_every_contender_has_every_place_equally_often(count: int) -> None:
    square = design.williams(count)
    for place in range(count):
        column = [row[place] for row in square]
        assert {column.count(c) for c in range(count)} == {len(square) // count}


def test_rounds_are_dealt_anew_and_whole_squares_stay_whole() -> None:
    rng = random.Random(1)
    first, second = (design.rounds(list("abcd"), 4, rng) for _ in range(2))
    assert first != second
    assert len(design.rounds(list("abcd"), 9, rng)) == 8
    assert len(design.rounds(list("abcd"), 2, rng)) == 2


@pytest.mark.parametrize("count", range(1, 9))
def test_a_launch_never_has_more_rounds_than_it_was_allowed(count: int) -> None:
    square = len(design.williams(count))
    for wanted in range(1, 40):
        rounds = design.rounds([*range(count)], wanted, random.Random(wanted))
        assert len(rounds) == (wanted if wanted < square else wanted - wanted % square)
