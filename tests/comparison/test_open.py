"""Claims about what keeps a verdict open, who does, and how that is told."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.record import records
from harness.stats import statistics
from reports.choice.sentences import behind, open_in_short, status, why_open, would_tell
from reports.verdicts import analyse
from tests.support.synthetic import edit_groups, of_spread, write_run


def _scattered(folder: Path, who: str, spread: float) -> None:
    """Launches of one differ by so much, as a log ratio, evenly about what they were."""

    def edit(group: dict[str, Any]) -> bool:
        by = math.exp(spread * (-1) ** group["launch"])
        for turn in group["turns"].get(who, []):
            turn["calls"] = [int(by * call) for call in turn["calls"]]
            turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(folder, edit)


def test_who_keeps_a_choice_open_is_named_and_not_who_is_next_in_speed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"a": 1.0, "b": 2.0, "c": 3.0})
    edit_groups(folder, lambda group: _without(group, "c", group["launch"] > 5))
    for comparison in analyse(records.read(folder)).comparisons:
        assert comparison.winner is None and comparison.runner_up == "c"
        assert "Screening only" in comparison.why and "of c" in comparison.why


def _without(group: dict[str, Any], who: str, really: bool) -> bool:
    if really:
        group["turns"].pop(who, None)
    return True


@pytest.mark.parametrize(
    ("verdict", "high", "why"),
    [
        ("multimodal", 0.9, "launches fall into modes that overlap"),
        ("faster", 0.9, "the lead is beyond the margin of 3%, but p is not below 1%"),
        ("faster", 0.99, "the lead is not proven to be beyond the margin of 3%"),
        ("inconclusive", 1.01, "another may be ahead"),
        ("inconclusive", None, "another may be ahead"),
    ],
)
def test_what_keeps_a_pair_open_is_told_as_it_is(
    verdict: str, high: float | None, why: str
) -> None:
    """Of modes that overlap p may be as low as it likes."""
    assert why_open(SimpleNamespace(verdict=verdict, high=high)) == why


@pytest.mark.parametrize(
    ("verdict", "high", "worst", "why"),
    [
        ("multimodal", 0.9, None, "launches fall into modes"),
        ("faster", 0.9, None, "beyond 3%, but p is not below 1%"),
        ("faster", 0.99, None, "ahead, not surely by 3%"),
        ("faster", 0.99, 1.08, "at worst 8.0% behind jax"),  # against another than the nearest
        ("inconclusive", 1.01, 1.01, "at worst 1.0% behind jax"),
        ("inconclusive", None, None, "either may lead"),
    ],
)
def test_a_table_says_in_short_what_keeps_a_pair_open(
    verdict: str, high: float | None, worst: float | None, why: str
) -> None:
    assert (
        open_in_short(SimpleNamespace(verdict=verdict, high=high, worst=worst, worst_of="jax"))
        == why
    )


def test_how_far_a_leader_that_is_not_proven_may_be_behind_is_told(tmp_path: Path) -> None:
    """By the far end of the widest interval against whom it is not shown to beat."""
    folder = write_run(tmp_path / "run", {"a": 1.0, "b": 1.02, "c": 1.03})
    _scattered(folder, "b", 0.1)
    _scattered(folder, "c", 0.2)
    [found] = [
        each
        for each in analyse(records.read(folder)).recommendations
        if each.profile == "batch-inference"
    ]
    rivals = [row["low"] for row in found.ranking[1:]]
    assert found.worst_of == "c"
    assert found.choice is None and found.worst is not None
    assert found.worst == pytest.approx(max(1 / low for low in rivals)) and found.worst > 1.05
    assert f"At worst it is {behind(found.worst)} behind c." in found.sentence
    assert status(found) == "open"


@pytest.mark.parametrize(
    ("count", "of", "told"),
    [
        (None, "launches", "More launches would hardly tell."),
        (20, "launches", "About 20 launches would tell."),
        (
            57,
            "launches",
            "About 57 launches (more than the 20 that a run takes by itself: --launches 57, and a "
            "--budget for them) would tell.",
        ),
        (57, "runs", "About 57 runs would tell."),
        (101, "launches", "Only hundreds of launches would tell."),
    ],
)
def test_more_launches_than_a_run_takes_by_itself_are_told_with_how_to_have_them(
    count: int | None, of: str, told: str
) -> None:
    assert would_tell(SimpleNamespace(launches_needed=count), of) == told


def test_beyond_the_margin_and_not_sure_enough_is_said_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"a": 0.74, "b": 1.0})
    _scattered(folder, "b", 0.19)
    comparison = analyse(records.read(folder)).comparisons[0]
    pair = comparison.ratio("a", "b")
    assert pair is not None and pair.verdict == "faster" and (pair.high or 1) < 0.97
    assert comparison.why.startswith(
        "No winner: the lead is beyond the margin of 3%, but p is not below 1%"
    )
    needed = pair.launches_needed
    assert needed is not None
    for count, verdict in ((needed - 1, "faster"), (needed, "materially_faster")):
        logs = math.log(pair.ratio) + of_spread(0.19 * math.sqrt(6 / 5), count)
        assert statistics.compare(logs).verdict == verdict


def test_a_tie_of_several_is_of_each_with_the_first(tmp_path: Path) -> None:
    """The others were not all held against each other, and may differ by twice as much."""
    analysis = analyse(records.read(write_run(tmp_path, {"a": 1.0, "b": 1.01, "c": 1.02})))
    assert "A tie of a, b and c: each is within 3% of a" in analysis.comparisons[0].why


def test_who_is_open_beside_a_tie_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"a": 1.0, "b": 1.005, "c": 1.02})
    _scattered(folder, "c", 0.12)
    analysis = analyse(records.read(folder))
    for comparison in analysis.comparisons:
        assert (
            comparison.why.startswith("A tie of ")
            and "Not yet told apart from them: c." in comparison.why
        )
    choice = next(r for r in analysis.recommendations if r.tied)
    assert "Not yet told apart from them: c." in choice.sentence


def test_the_runner_up_is_the_next_in_time_and_not_the_one_with_the_wider_interval(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path / "run", {"a": 1.0, "b": 1.3, "c": 1.5})
    _scattered(folder, "c", 0.15)
    analysis = analyse(records.read(folder))
    assert {c.runner_up for c in analysis.comparisons} == {"b"}
    assert {r.runner_up for r in analysis.recommendations if r.choice == "a"} == {"b"}
