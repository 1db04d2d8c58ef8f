"""Claims about modes: launches that fall into some that are steadily faster than others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.record import records
from harness.stats import modes
from reports.verdicts import analyse
from tests.support.synthetic import edit_groups, write_run


@pytest.mark.parametrize(
    ("log", "allowance", "same"),
    [
        (0.05, 0.0, True),  # beyond the margin, which is 0.03 in logs
        (0.05, 0.03, False),  # by a look that is off by so much, perhaps within it
        (0.07, 0.03, True),
        (0.015, 0.0, True),  # within it
        (0.015, 0.01, True),
        (0.015, 0.02, False),
        (0.03, 0.01, False),
    ],
)
def test_launches_say_the_same_with_what_was_seen_once_at_its_worst(
    log: float, allowance: float, same: bool
) -> None:
    for sign in (1, -1):
        assert modes.agree(np.full(6, sign * log), allowance) is same
        assert not modes.agree(np.array([sign * log] * 5 + [-sign * 0.2]), allowance)
    assert not modes.agree(np.array([]), allowance)


def test_what_a_launch_does_to_both_alike_leaves_nothing_open() -> None:
    both = np.log([1.0, 1.01, 1.0, 2.0, 2.02, 2.01])
    assert modes.overlap(both, both + 0.1)
    assert not modes.leave_open(both, both + 0.1, np.full(6, -0.1))
    assert modes.leave_open(both, both + 0.1, np.array([-0.1] * 5 + [0.1]))


def test_a_mode_that_ends_within_the_margin_of_the_other_s_overlaps_it() -> None:
    two = np.log([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    for other, open_ in ((2.02, True), (2.10, False), (0.99, True), (0.95, False), (1.5, True)):
        one = np.log([other] * 6)
        assert modes.overlap(two, one) is modes.overlap(one, two) is open_


def test_of_four_launches_two_and_two_are_modes_and_three_and_one_are_not() -> None:
    assert [len(c) for c in modes.clusters(np.log([2.0, 1.0, 1.01, 2.01]))] == [2, 2]
    assert [len(c) for c in modes.clusters(np.log([2.0, 1.0, 1.01, 1.02]))] == [4]
    assert [len(c) for c in modes.clusters(np.log([1.0, 1.0, 2.0]))] == [3]


@pytest.mark.parametrize(
    ("who", "warned"),
    [(("torch", "torch#2", "jax", "numpy"), set()), (("jax",), {"jax"}), ((), set())],
)
def test_a_machine_that_was_slower_for_all_puts_no_process_into_a_mode(
    tmp_path: Path, who: tuple[str, ...], warned: set[str]
) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.2, "numpy": 2.0})

    def slow(group: dict[str, Any]) -> bool:
        for name in who if group["launch"] > 3 else ():
            for turn in group["turns"][name]:
                turn["calls"] = [int(1.5 * call) for call in turn["calls"]]
                turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(folder, slow)
    analysis = analyse(records.read(folder))
    modal = {cell.contender for c in analysis.comparisons for cell in c.cells if cell.modes}
    assert modal == {*who}
    told = [w for w in analysis.warnings if "launches fall into 2 modes" in w["what"]]
    assert {name for warning in told for name in warning["contenders"]} == warned
