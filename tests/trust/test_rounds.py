"""Claims about the rounds of a launch: a step and a stall are told, of whom they are."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.paths import ROOT
from harness.record import records
from reports.trust import rounds
from reports.verdicts import analyse
from tests.support.synthetic import edit_groups, write_run

PUBLISHED = ROOT / "results/published"


def _slowed(
    folder: Path, names: set[str], by: float, when: Callable[[int], bool]
) -> list[dict[str, Any]]:
    """The warnings of a run of ten rounds a launch, some of them slower for these contenders."""
    write_run(folder, {"torch": 1.0, "jax": 1.2, "numpy": 2.0})

    def slow(group: dict[str, Any]) -> bool:
        for name, turns in group["turns"].items():
            group["turns"][name] = [copy.deepcopy(turn) for _ in range(5) for turn in turns]
            for number, turn in enumerate(group["turns"][name]):
                if name in names and when(number):
                    turn["calls"] = [int(by * call) for call in turn["calls"]]
                    turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(folder, slow)
    run = records.read(folder)
    return rounds.warnings(run, analyse(run).comparisons)


def test_who_becomes_fast_within_its_launches_is_told(tmp_path: Path) -> None:
    """A compiler of later calls, say: its figure is a mean of two speeds, and nobody's."""
    found = _slowed(tmp_path / "r", {"jax"}, 2.0, lambda number: number < 4)
    assert {each["contenders"][0] for each in found} == {"jax"}
    assert all("50% faster within its launches" not in each["what"] for each in found)
    assert any("100% faster within its launches" in each["what"] for each in found)


def test_pauses_that_are_trimmed_are_told_where_calls_are_counted_by_the_turn(
    tmp_path: Path,
) -> None:
    found = _slowed(tmp_path / "r", {"jax"}, 3.0, lambda number: number in (4, 5))
    assert found and {each["contenders"][0] for each in found} == {"jax"}
    assert all("longer in the mean than what it is ranked by" in each["what"] for each in found)
    assert not any(
        "/b1/" in each["where"] for each in found
    )  # a latency is a quartile, and says so


@pytest.mark.parametrize("when", [{0, 1, 2, 3}, {4, 5}])
def test_what_befalls_all_at_once_is_the_machine(tmp_path: Path, when: set[int]) -> None:
    everyone = {"torch", "torch#2", "jax", "numpy"}
    assert _slowed(tmp_path / "r", everyone, 3.0, when.__contains__) == []


def test_a_quiet_run_has_neither(tmp_path: Path) -> None:
    assert _slowed(tmp_path / "r", set(), 1.0, lambda number: True) == []
    run = records.read(PUBLISHED / "quick-2core")
    assert rounds.warnings(run, analyse(run).comparisons) == []
