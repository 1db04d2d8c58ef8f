"""Claims about time, shared out: what a launch takes, what gives way, how many it takes."""

import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import budget, design, records
from harness.budget import Launch, Spent
from tests.synthetic import edit_groups, write_run
from tests.test_leaving import _read


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
    plan, groups = _read(folder)
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
