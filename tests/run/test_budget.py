"""Claims about time, shared out: what a launch takes, what gives way, how many it takes."""

import math
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.plan.fitting import Estimate
from harness.record import records
from harness.run import budget, design
from harness.run.budget import Launch, Spent
from harness.run.room import Outlook, Room
from tests.support import plans
from tests.support.plans import settings
from tests.support.synthetic import edit_groups, write_run


def test_the_next_launch_is_expected_to_take_its_set_ups_and_its_rounds() -> None:
    spent = {"a": Spent(10.0, 8.0, 4, blocks=3.0), "b": Spent(20.0, 30.0, 10)}
    cold = Launch(spent, overhead=5.0, warmed=False)
    assert cold.expected({"a": 6, "b": 2}) == 5.0 + (10.0 + 3.0 + 6 * 2.0) + (20.0 + 2 * 3.0)
    assert cold.expected({"b": 2}) == 5.0 + 20.0 + 2 * 3.0
    warm = Launch(spent, overhead=5.0, warmed=True)  # its compilers' caches are full by then
    assert warm.expected({"a": 6, "b": 2}) == 5.0 + (4.0 + 3.0 + 6 * 2.0) + (8.0 + 2 * 3.0)
    assert cold.fit({"a": 6, "b": 4}, 5.0 + 13.0 + 20.0 + 24.0) == {"a": 6, "b": 4}
    assert cold.fit({"a": 6, "b": 4}, 5.0 + 13.0 + 20.0 + 23.9) == {"a": 5, "b": 3}
    assert spent["a"].seconds == 10.0 + 8.0 + 3.0


def test_a_cheap_comparison_leaves_the_costly_ones_what_it_does_not_need() -> None:
    rounds = {"costly": 10, "cheap": 2, "middle": 10}
    turns = {"costly": 10.0, "cheap": 1.0, "middle": 2.0}
    launch = Launch({n: Spent(0.0, turns[n], 1) for n in turns}, overhead=0.0, warmed=False)
    for share, costly in ((60.0, 3), (75.0, 5), (122.0, 10), (43.0, 2)):
        assert launch.fit(rounds, share) == rounds | {"costly": costly}
    assert launch.fit(rounds, 40.0) == {"costly": 2, "cheap": 2, "middle": 9}


def first(group: dict[str, Any], name: str) -> dict[str, Any]:
    """Makes one far quicker than all others."""
    for turn in group["turns"].get(name, ()):
        turn["calls"] = [call // 90 for call in turn["calls"]]
        turn["total_ns"] //= 90
    return group


def test_who_is_near_the_best_gets_more_launches_and_the_best_as_many_as_any(
    tmp_path: Path,
) -> None:
    net = [
        ("resnet20", "convnet", 32, None, "infer", False),
        ("threelayer", "convnet", 50, None, "infer", False),  # whose launches are not the other's
    ]
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.005, "numpy": 9.0}, workloads=net)

    def scattered(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["jax"]:
            by = math.exp(0.028 * (-1) ** group["launch"])
            turn["calls"] = [int(by * call) for call in turn["calls"]]
            turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(folder, scattered)
    plan, groups = plans.read(folder)
    comparison = plan.comparisons[0]
    names = ["torch", "jax", "numpy"]
    planned = budget.launches_planned(groups, comparison, names, {})
    assert planned["numpy"] == 6 < planned["jax"] < 20 and planned["torch"] == planned["jax"]
    # Who missed a launch makes up for it, and what is measured later changes no plan.
    edit_groups(folder, lambda g: g["launch"] != 3 or bool(g["turns"].pop("numpy")))
    groups = records.read(folder).groups
    again = budget.launches_planned(groups, comparison, names, {})
    assert again == planned | {"numpy": 7}
    more = [{**group, "launch": group["launch"] + 6} for group in groups]
    assert budget.launches_planned([*groups, *more], comparison, names, {}) == again
    # One that is not ranked goes on together with the one whose ratio to it is wanted.
    paired = budget.launches_planned(groups, comparison, names, {"jax": "numpy"})
    assert paired == dict.fromkeys(names, 7)
    assert budget.launches_planned(groups, comparison, ["torch"], {}) == {}
    # Who leads and may be chosen for nothing: the best of the others is told from the rest as well.
    ahead = ["numpy", "torch", "jax"]
    edit_groups(folder, lambda group: bool(first(group, "numpy")))
    quick = records.read(folder).groups
    by_it = budget.launches_planned(quick, comparison, ahead, {})
    beside = budget.launches_planned(quick, comparison, ahead, {}, own={"numpy"})
    assert by_it["jax"] == by_it["torch"] == 7 < beside["jax"] == beside["torch"]
    # The noise floor's twin is as fast as whose it is, and leads nothing: it goes along.
    for names in (["torch", "torch#2", "jax", "numpy"], ["torch#2", "numpy", "jax", "torch"]):
        found = budget.launches_planned(groups, comparison, names, {}, ("torch#2", "torch"))
        assert found == again | {"torch#2": again["torch"]}


def test_whose_fewest_rounds_are_many_keeps_them_and_the_others_give_way() -> None:
    """With fewer a launch would hold too few calls for a p99, and they would be for nothing."""
    spent = {"slow": Spent(0.0, 20.0, 10, least=10), "quick": Spent(0.0, 10.0, 10)}
    launch = Launch(spent, overhead=0.0, warmed=False)
    assert launch.fit({"slow": 10, "quick": 10}, 30.0) == {"slow": 10, "quick": 10}
    assert launch.fit({"slow": 10, "quick": 10}, 25.0) == {"slow": 10, "quick": 5}
    assert launch.fit({"slow": 20, "quick": 10}, 25.0) == {"slow": 10, "quick": 5}
    assert launch.fit({"slow": 10, "quick": 10}, 15.0) == {"slow": 10, "quick": 2}
    assert launch.least("slow") == 20.0 and launch.least("quick") == 2.0
    assert launch.bare(spent) == 22.0
    assert launch.fitting(["slow", "quick"], 21.0) == ["slow"]
    assert budget.bearable(12, 2.0, 10.0, least=10) == 10 and budget.bearable(12, 2.0, 10.0) == 5


@pytest.mark.parametrize("contenders", range(1, 14))
def test_a_launch_of_however_many_has_rounds_for_all_the_calls_that_are_asked(
    contenders: int,
) -> None:
    """Designs are whole: ten rounds of four contenders were two of four, and 80 calls of 100."""
    asked: Any = SimpleNamespace(calls=100)
    names = [str(number) for number in range(contenders)]
    least = budget.fewest_rounds(asked, contenders)
    assert 10 <= len(design.rounds(names, least, random.Random(0))) == least <= 18
    assert budget.fewest_rounds(SimpleNamespace(calls=0), contenders) == 2  # type: ignore[arg-type]


def test_the_costly_comparison_loses_rounds_and_the_cheap_one_keeps_its_own() -> None:
    launch = Launch(
        {"cheap": Spent(0, 0.5, 1), "costly": Spent(0, 10.0, 1)}, overhead=1.0, warmed=False
    )
    rounds = launch.fit({"cheap": 6, "costly": 6}, share=34.0)
    assert rounds == {"cheap": 6, "costly": 3}
    assert launch.expected(rounds) <= 34.0


def test_rounds_that_fit_are_left_alone_and_two_always_stay() -> None:
    launch = Launch({"a": Spent(1, 1.0, 1), "b": Spent(1, 2.0, 1)}, overhead=0.0, warmed=False)
    assert launch.fit({"a": 6, "b": 6}, share=100.0) == {"a": 6, "b": 6}
    assert launch.fit({"a": 6, "b": 6}, share=0.1) == {"a": 2, "b": 2}


def test_where_the_fewest_rounds_of_all_do_not_fit_what_was_asked_for_last_takes_leave() -> None:
    """And whatever fits behind it stays. Setting up takes less, once it has been done."""
    spent = {name: Spent(1.0, turns, 1) for name, turns in (("a", 2.0), ("b", 4.0), ("c", 0.5))}
    launch = Launch(spent, overhead=1.0, warmed=False)
    order = ["a", "b", "c"]
    assert launch.fitting(order, 17.0) == order  # 1 + (1 + 4) + (1 + 8) + (1 + 1)
    assert launch.fitting(order, 16.9) == ["a", "b"]
    assert launch.fitting(order, 9.0) == ["a", "c"]
    assert launch.fitting(["c", "b", "a"], 9.0) == ["c", "a"]
    assert launch.fitting(["b", "a", "c"], 9.0) == []  # what was asked for first never leaves
    assert launch.fitting(order, 2.0) == []
    first = replace(launch, warmed=True)
    assert first.fitting(order, 15.3) == order and first.fitting(order, 15.1) == ["a", "b"]


SEEN = Launch(
    {name: Spent(0.0, turns, 1) for name, turns in (("a", 2.0), ("b", 4.0), ("c", 2.5))},
    overhead=0.0,
    warmed=False,
)


def _room(**given: Any) -> tuple[Room, list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    plan: Any = SimpleNamespace(
        settings=settings(**given),
        comparisons=[SimpleNamespace(id=name, apart_from_threads=name) for name in "abcd"],
    )
    return Room(plan, 6, lambda kind, **f: told.append(f), lambda what, **f: told.append(f)), told


@pytest.mark.parametrize(
    ("given", "launches", "left", "gone"),
    [
        ({}, 5, 78.0, set()),  # later launches are cheaper by a tenth
        ({}, 5, 77.0, {"c"}),
        ({}, 5, 50.0, {"b"}),
        ({}, 5, 15.0, set()),  # not even the first would fit: fewer launches, then
        ({}, 1, 17.0, set()),
        ({}, 1, 16.9, {"c"}),  # there is none later
        ({"named": True}, 5, 60.0, set()),
        ({"launches": 6}, 5, 60.0, set()),
    ],
)
def test_six_launches_of_some_come_before_four_of_all_unless_all_were_named(
    given: dict[str, Any], launches: int, left: float, gone: set[str]
) -> None:
    room, told = _room(**given)
    room.make(["a", "b", "c"], launches, SEEN, number=1, left=left)
    assert room.gone == gone
    if gone:
        written, said = told
        assert written["what"] == "budget" and written["reason"] == said["reason"]
        assert said["reason"].startswith(f"{next(iter(gone))} had to leave after launch 1")
        assert said["needs"] == launches * 2 * (2.0 + 4.0 + 2.5)
    else:
        assert not told


def test_what_differs_in_threads_alone_leaves_together() -> None:
    """a and c are one work: c alone would be beside nothing."""
    room, _ = _room()
    for comparison in room.plan.comparisons:
        comparison.apart_from_threads = ("ac" if comparison.id in "ac" else comparison.id,)  # type: ignore[misc]
    room.make(["b", "a", "c"], 5, SEEN, number=1, left=77.0)
    assert room.gone == {"a", "c"}


@pytest.mark.parametrize(
    ("costly", "due", "left", "stays"),
    [
        (
            "d",
            "",
            136.4,
            True,
        ),  # 40 + 5 x (17 + 5) = 150, and later launches are cheaper by a tenth
        ("d", "", 136.3, False),
        ("b", "", 77.3, True),  # 40 + 5 x (4 + 5) = 85: beside a alone, which was asked before it
        ("b", "", 77.2, False),
        # Of another precision, whose turn comes later: (40 + 40) + 5 x (9 + 5 + 5) = 175.
        ("d", "b", 159.1, True),
        ("d", "b", 159.0, False),
        ("d", "c", 1.0, False),
        ("d", "gone", 77.3, True),  # all that was asked before it but a has left by then
        ("a", "", 1.0, True),  # whatever it takes: it was asked first
        ("a", "b", 1.0, True),
    ],
)
def test_what_is_costly_to_compile_is_not_begun_where_its_launches_would_have_no_room(
    costly: str, due: str, left: float, stays: bool
) -> None:
    room, told = _room()
    room.gone = {"b", "c"} if due == "gone" else set()
    kept = {i: s for i, s in SEEN.comparisons.items() if i not in (costly, due)}
    visited = replace(SEEN, comparisons=kept)
    outlook = Outlook([], dict.fromkeys("abcd", 40.0), dict.fromkeys("abcd", 5.0), more=5)
    before = {*room.gone}
    assert room.holds(outlook, costly, visited, left) == stays
    assert room.gone - before == (set() if stays else {costly})
    if not stays:
        written, said = told
        assert written["left"] == [costly] and "before it was set up" in said["reason"]
        unseen = 4 - len(kept)
        assert said["needs"] == 40 * unseen + 5 * (visited.bare(kept) + 5 * unseen)


def test_a_first_launch_visits_what_is_costly_last_unless_it_was_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tenth of the budget, by estimate and without its turns, is costly; what the cold pass has
    compiled is not."""
    first = {"a": 82.0, "b": 71.0, "c": 90.0, "d": 73.0}
    monkeypatch.setattr(
        "harness.plan.fitting.estimated",
        lambda c, contenders, launches: Estimate(0.0, first[c.id], 20.0, launches, turns=12.0),
    )
    for given, found in (({}, ["a", "d"]), ({"named": True}, []), ({"launches": 6}, [])):
        room, _ = _room(**given)
        room.plan.budget_s, room.plan.contenders = 600.0, []
        for comparison in room.plan.comparisons:
            comparison.able, comparison.calls = [*"uvwxyz"], 0  # type: ignore[misc]
            comparison.headline = comparison.id == "c"
        outlook = room.outlook(room.plan.comparisons, more=5)
        assert outlook.costly == found
        # Of six contenders a design has six rounds, of which two are enough.
        told = (74.0, 12.0) if found else (None, None)
        assert (outlook.first.get("a"), outlook.later.get("a")) == told and outlook.more == 5


def test_a_resumed_run_has_six_launches_that_hold_all_that_is_measured() -> None:
    """A launch was ended in its middle, and the three after it had room for one alone."""
    held = {1: "abc", 2: "abc", 3: "a", 4: "a", 5: "a", 6: "ac"}
    groups = [{"launch": n, "comparison": name} for n, names in held.items() for name in names]
    assert budget.together(groups, {*"abc"}) == 2
    assert budget.together(groups, {*"ac"}) == 3
    assert budget.together([], {*"a"}) == 0


def test_a_launch_in_which_everybody_failed_leaves_the_next_one_its_rounds() -> None:
    """Both crashed before their first turn; once before, they were measured."""
    turn = {"calls": [1000, 1100], "dropped": 0, "total_ns": 2100}
    groups: list[dict[str, Any]] = [
        {
            "comparison": "one",
            "launch": launch,
            "order": [["torch", "jax"]] * (2 if measured else 0),
            "turns": {"torch": [turn] * 2, "jax": [turn] * 2} if measured else {},
        }
        for launch, measured in ((1, True), (2, False))
    ]
    comparison: Any = SimpleNamespace(id="one", ranked_by=["latency"])
    last = Launch({"one": Spent(1.0, 0.0, 0)}, overhead=1.0, warmed=False)
    assert budget.best_rounds(last, groups, comparison, ["torch", "jax"], before=10) == 10


def test_a_first_launch_has_whole_designs_of_at_least_ten_rounds() -> None:
    assert [budget.least_rounds(n) for n in (1, 2, 3, 4, 6, 7)] == [10, 10, 12, 12, 12, 14]
