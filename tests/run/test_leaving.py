"""Claims about who leaves a comparison early, on runs whose truth is known."""

from pathlib import Path
from typing import Any

import pytest

from harness.plan.plan import Plan
from harness.record import records
from harness.run.leaving import Key, leaving
from tests.conftest import Typed
from tests.support import plans
from tests.support.synthetic import edit_groups, write_run

SPEEDS = {"torch": 1.0, "jax": 1.1, "numpy": 9.0}
RELU = "relu/b32/infer/float32/cpu"
TWO_NETS = (
    ("relu", "micro", 32, None, "infer", False),
    ("resnet20", "convnet", 32, None, "infer", False),
    ("resnet_basic", "block", 8, None, "infer", False),
)


def _made(folder: Path, launches: int = 4, **options: Any) -> tuple[Plan, list[dict[str, Any]]]:
    return plans.read(write_run(folder / "run", SPEEDS, launches=launches, **options))


def _all(name: str, plan: Plan) -> list[Key]:
    return [(c.id, name) for c in plan.comparisons]


def test_who_is_far_behind_everywhere_leaves_everywhere(tmp_path: Path) -> None:
    plan, groups = _made(tmp_path)
    assert leaving(plan, groups, set(), set()) == _all("numpy", plan)


def test_blocks_of_one_training_keep_nobody_in_the_comparisons_that_have_none(
    tmp_path: Path,
) -> None:
    """Each comparison is asked by what it is ranked by, and a use holds several."""
    plan, groups = _made(tmp_path)
    trained = plan.comparisons[-1]
    assert trained.direction == "train"
    trained.sustained_s = 20.0
    for group in groups:
        if group["comparison"] == trained.id:
            group["sustained"] = {
                name: {"calls": 10, "total_ns": turns[0]["total_ns"]}
                for name, turns in group["turns"].items()
            }
    assert leaving(plan, groups, set(), set()) == _all("numpy", plan)


@pytest.mark.parametrize(("scatter", "leaves"), [(0.0, True), (0.8, False)])
def test_who_is_far_behind_by_the_usual_call_and_not_surely_by_the_slowest_stays(
    tmp_path: Path, scatter: float, leaves: bool
) -> None:
    """One image, whose slowest call in a hundred is asked for: four launches that scatter in it
    show less than six do, and whoever left would keep the use open."""
    one = (("resnet18", "convnet", 1, 224, "infer", False),)
    speeds = {"torch": 1.0, "jax": 1.1, "tensorflow": 1.7}
    plan, groups = plans.read(write_run(tmp_path / "run", speeds, launches=4, workloads=one))
    [comparison] = plan.comparisons
    comparison.calls = 100
    for group in groups:
        for name, turns in group["turns"].items():
            for turn in turns:
                turn["calls"] = [*turn["calls"][:2], *turn["calls"][2:] * 10]
                slow = 1 + scatter * (name == "tensorflow") * (-1) ** group["launch"]
                turn["calls"][-3:] = [int(1.5 * slow * call) for call in turn["calls"][-3:]]
    assert leaving(plan, groups, set(), set()) == [(comparison.id, "tensorflow")] * leaves


@pytest.mark.parametrize("launches", [1, 2, 6])
def test_nobody_leaves_before_the_third_launch_or_after_the_fifth(
    tmp_path: Path, launches: int
) -> None:
    assert leaving(*_made(tmp_path, launches), set(), set()) == []


def _as_fast_as_torch(folder: Path, comparison: str) -> list[dict[str, Any]]:
    """numpy takes torch's turns in one comparison: it is far behind in the others alone."""

    def even(group: dict[str, Any]) -> bool:
        if group["comparison"] == comparison:
            group["turns"]["numpy"] = group["turns"]["torch"]
        return True

    edit_groups(folder / "run", even)
    return records.read(folder / "run").groups


def test_who_is_far_behind_in_a_comparison_but_not_in_its_use_stays(tmp_path: Path) -> None:
    """A recommendation wants all its comparisons from the same launches.

    Nine times as long in one of two and as long in the other is three times over both: so it
    stays only as long as four launches cannot tell that.
    """
    plan, _ = _made(tmp_path, workloads=TWO_NETS)
    block = plan.comparisons[2].id
    groups = _as_fast_as_torch(tmp_path, block)
    left = leaving(plan, groups, set(), set())
    assert (block, "numpy") not in left and (RELU, "numpy") in left

    def restless(group: dict[str, Any]) -> bool:
        if group["comparison"] == block and group["launch"] == 2:
            for turn in group["turns"]["numpy"]:
                turn["calls"] = [40 * ns for ns in turn["calls"]]
                turn["total_ns"] *= 40
        return True

    edit_groups(tmp_path / "run", restless)
    left = leaving(plan, records.read(tmp_path / "run").groups, set(), set())
    assert left == [(RELU, "numpy")]  # a use of its own it has none


def test_the_noise_floors_pair_stays_however_slow(tmp_path: Path) -> None:
    plan, groups = _made(tmp_path)
    assert plan.noise_floor is not None
    plan.noise_floor.of = "numpy"
    assert leaving(plan, groups, set(), set()) == []


def test_who_left_or_failed_is_not_asked_again(tmp_path: Path) -> None:
    plan, groups = _made(tmp_path)
    everywhere = set(_all("numpy", plan))
    assert leaving(plan, groups, everywhere, set()) == []
    assert leaving(plan, groups, set(), everywhere) == []


def test_nobody_leaves_for_the_sake_of_who_may_not_be_ranked(tmp_path: Path) -> None:
    """torch ran in TF32: that jax takes twice as long as it says nothing, and numpy is near jax."""
    net = [("resnet20", "convnet", 32, None, "infer", False)]
    speeds = {"torch": 1.0, "jax": 2.0, "numpy": 2.1}
    folder = write_run(tmp_path / "run", speeds, launches=4, workloads=net)
    plan, groups = plans.read(folder)
    [comparison] = plan.comparisons
    assert {name for _, name in leaving(plan, groups, set(), set())} == {"jax", "numpy"}
    assert leaving(plan, groups, set(), {(comparison.id, "torch")}) == []


def test_nobody_leaves_for_the_sake_of_who_is_chosen_for_no_use(tmp_path: Path) -> None:
    """A baseline that leads makes nobody leave who is near the best of those who may be chosen."""
    net = [("lenet5", "convnet", 1, None, "infer", False)]
    speeds = {"numpy": 1.0, "torch": 2.2, "jax": 2.3, "tensorflow": 9.0}
    folder = write_run(tmp_path / "run", speeds, launches=4, workloads=net)
    plan, groups = plans.read(folder)
    plan.noise_floor = None
    assert {n for _, n in leaving(plan, groups, set(), set())} == {"torch", "jax", "tensorflow"}
    for contender in plan.contenders:
        contender.baseline = contender.adapter == "numpy"
    assert {n for _, n in leaving(plan, groups, set(), set())} == {"tensorflow"}
    for contender in plan.contenders:
        contender.baseline = True  # then they are the question
    assert {n for _, n in leaving(plan, groups, set(), set())} == {"torch", "jax", "tensorflow"}


def test_who_is_far_behind_in_one_use_and_ahead_in_another_stays(tmp_path: Path) -> None:
    """A profile that weighs both wants all its launches of both."""
    nets = [
        ("resnet18", "convnet", 4, 112, "train", True),
        ("resnet20", "convnet", 32, None, "infer", False),
    ]
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0}, launches=4, workloads=nets)

    def quick(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["jax"] if group["direction"] == "infer" else ():
            turn["calls"] = [call // 4 for call in turn["calls"]]
            turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    plan, groups = plans.read(folder)
    assert {n for _, n in leaving(plan, groups, set(), set())} == {"jax"}
    edit_groups(folder, quick)
    assert leaving(*plans.read(folder), set(), set()) == []


def test_the_noise_floors_contender_leaves_where_its_twin_is_not(tmp_path: Path) -> None:
    plan, groups = _made(tmp_path)
    assert plan.noise_floor is not None
    plan.noise_floor.of = "numpy"
    plan.comparisons[0].contenders.remove(plan.noise_floor.twin)
    assert plan.comparisons[0].id == RELU
    assert leaving(plan, groups, set(), set()) == [(RELU, "numpy")]


def test_after_the_sixth_launch_nobody_leaves_though_it_was_in_three_alone(tmp_path: Path) -> None:
    """It missed the others: how many launches it gets is the plan's business by then."""
    plan, _ = _made(tmp_path, launches=6)
    edit_groups(
        tmp_path / "run", lambda group: group["launch"] < 4 or bool(group["turns"].pop("numpy"))
    )
    assert leaving(plan, records.read(tmp_path / "run").groups, set(), set()) == []


def test_what_keeps_all_to_the_end_says_so_where_it_is_asked_for(typed: Typed) -> None:
    told = " ".join(typed("run", "--help", COLUMNS="200").stdout.split())
    assert "--launches" in told and "nobody then leaves early for being far behind" in told
