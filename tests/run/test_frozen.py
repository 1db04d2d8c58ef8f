"""Claims about what a cell's first launch decides for the later ones: calls in a turn."""

from typing import Any

import pytest

from harness.run.frozen import Frozen


def test_near_contenders_take_turns_of_as_many_calls() -> None:
    """Whoever is far takes turns of about 40 ms all the same, and so does another comparison."""
    frozen = Frozen()
    seconds = {"torch": 2.1e-3, "torch#2": 1e-3, "jax": 4e-3, "numpy": 13e-3}
    for name, call in seconds.items():
        frozen.freeze(("one", name), {"needed": 10, "call": call})
    frozen.freeze(("two", "torch"), {"needed": 10, "call": 8.5e-3})
    found = {name: frozen.calls(("one", name)) for name in seconds}
    assert found == {"torch": 20, "torch#2": 20, "jax": 20, "numpy": 4}
    assert frozen.calls(("two", "torch")) == 5


def test_contenders_far_apart_are_not_near_by_way_of_others_between_them() -> None:
    """Each is 2.9 times the one before; the last takes 200 times what the first does."""
    frozen = Frozen()
    seconds = [2e-4 * 2.9**step for step in range(6)]
    for place, call in enumerate(seconds):
        frozen.freeze(("one", str(place)), {"needed": 10, "call": call})
    turns = [frozen.calls(("one", str(place))) * call for place, call in enumerate(seconds)]
    assert min(turns) > 0.01 and max(turns) < 0.2


def test_a_chain_that_is_too_long_is_cut_where_contenders_lie_furthest_apart() -> None:
    """Not between two who differ by 2%, of whom the second is past nine times the first."""
    frozen = Frozen()
    for call in (1.0, 2.9, 8.6, 8.9, 9.1):
        frozen.freeze(("one", str(call)), {"needed": 10, "call": call * 1e-3})
    found = [frozen.calls(("one", name)) for name in ("1.0", "2.9", "8.6", "8.9", "9.1")]
    assert found[0] == found[1] > found[2] == found[3] == found[4]


def test_contenders_that_follow_closely_on_one_another_are_never_parted() -> None:
    """Eight, each 1.4 times the one before: the last takes ten times what the first does."""
    frozen = Frozen()
    for step in range(8):
        frozen.freeze(("one", str(step)), {"needed": 10, "call": 1e-3 * 1.4**step})
    assert len({frozen.calls(("one", str(step))) for step in range(8)}) == 1


def test_a_warm_up_that_was_disturbed_throughout_is_mended_by_the_turns() -> None:
    """And one that was right stays as it is, whatever the turns' own noise."""
    frozen = Frozen()
    for name, call in (("torch", 14e-3), ("torch#2", 1e-3)):
        frozen.freeze(("one", name), {"needed": 10, "call": call})
    assert [frozen.calls(("one", name)) for name in ("torch", "torch#2")] == [3, 40]
    turns = [
        {"calls": [0] * (calls + 1), "dropped": 1, "total_ns": int(calls * each * 1e9)}
        for calls, each in ((2, 9e-3), (2, 1.1e-3), (2, 3e-3))
    ]
    for name in ("torch", "torch#2"):
        frozen.seen(("one", name), turns, kept_queued=False)
    both = 39  # 40 ms of the mean of 1.0 and 1.1
    assert [frozen.calls(("one", name)) for name in ("torch", "torch#2")] == [both, both]


@pytest.mark.parametrize("training", [False, True])
def test_queued_calls_that_take_less_are_no_sign_of_a_disturbed_warm_up(training: bool) -> None:
    """On a device a call that nobody waits for may take half the time of one that is waited for."""
    waited, queued = 2_000_000, 1_100_000
    turn: dict[str, Any] = {"calls": [waited] * 12, "dropped": 2, "total_ns": 10 * waited}
    turn["queued_ns"] = 10 * queued
    if training:
        turn |= {"calls": [waited] * 2 + [queued] * 10, "total_ns": 10 * queued, "queued_ns": None}
    frozen = Frozen()
    frozen.freeze(("one", "torch"), {"needed": 10, "call": 2e-3})
    before = frozen.calls(("one", "torch"))
    frozen.seen(("one", "torch"), [turn], kept_queued=training)
    assert frozen.calls(("one", "torch")) == before == 20
