"""Claims about what would flip a choice: a weight, an error, other evidence."""

import math
from pathlib import Path

import pytest

from reports.choice import elsewhere, flip
from reports.choice.decide import ONCE, decide
from tests.synthetic import edit_groups, write_run
from tests.test_decide import aspect
from tests.test_profiles import asked
from tests.test_recommend import MANY, NETS, times

LAUNCHES = range(1, 9)


def test_of_several_the_one_that_is_overtaken_by_the_smallest_error_is_named() -> None:
    at = {"a": 0.0, "b": 0.1, "c": 0.3}
    level = {n: dict.fromkeys(LAUNCHES, v) for n, v in at.items()}
    start = aspect({n: {ONCE: 0.0} for n in at}, 0.5, allowance=math.log(1.3))
    found = decide([aspect(level, 0.5), start], at)
    assert flip.factor(start, found) == (pytest.approx(math.exp(0.1)), "b")
    assert flip.unmeasured(0.25, found) == (pytest.approx(math.exp(0.05 * 3)), "b")
    assert flip.unmeasured(0.0, found) is None
    alone = decide([aspect(level, 0.5), start], "a")
    assert flip.factor(start, alone) is None and flip.unmeasured(0.25, alone) is None


def test_weights_that_flip_are_those_on_either_side_of_what_it_is_now() -> None:
    leads = ((0.0, "a"), (0.2, "b"), (0.5, "c"), (0.8, "d"))
    for now, told in (
        (0.1, [("above", 0.2, "b")]),
        (0.3, [("below", 0.2, "a"), ("above", 0.5, "c")]),
        (0.5, [("below", 0.5, "b"), ("above", 0.8, "d")]),
        (0.9, [("below", 0.8, "c")]),
    ):
        assert flip.Weight("latency", None, now, leads).flips() == told


def test_where_the_evidence_is_not_whole_nobody_is_said_to_lead_by_it() -> None:
    level = {n: dict.fromkeys(LAUNCHES, v) for n, v in (("a", 0.0), ("b", 0.1), ("c", 0.2))}
    found = decide([aspect(level)], level)
    turned = {"a": level["c"], "b": level["b"], "c": level["a"]}
    assert flip.leads([aspect(turned)], found) == "c"
    without = {n: level[n] for n in "bc"}
    assert flip.leads([aspect(without)], found) is None  # the leader has none
    assert flip.leads([aspect({n: level[n] for n in "ab"})], found) == "a"  # c has none
    assert flip.leads([aspect({"a": level["a"]})], found) is None
    never = {"a": level["a"], "b": {9: 0.0}, "c": level["c"]}
    assert flip.leads([aspect(never)], found) is None  # two that never met


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (1, "without a"),
        (2, "without a or without b"),
        (4, "without a, without b, without c or without d"),
        (5, "without a, without b, without c or without one of 2 more"),
    ],
)
def test_each_workload_that_a_choice_rests_on_is_told_by_itself(count: int, told: str) -> None:
    """Not that it takes leaving out all of them."""
    assert elsewhere._either([f"without {name}" for name in "abcde"[:count]]) == told


def test_a_choice_that_rests_on_either_of_two_workloads_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.0}, workloads=NETS)
    ahead = {"resnet20": 1.052, "alexnet": 1.052, "vgg": 1.002}
    edit_groups(folder, times({net: {"jax": by} for net, by in ahead.items()}))
    found = asked(folder, MANY)
    assert found.choice == "torch"
    either = "without resnet20 b32 infer or without alexnet b32 infer"
    assert f"torch leads, but is no longer decided, {either}" in found.flips


def test_who_leads_is_exact_also_where_two_others_cross() -> None:
    lines = {"a": (0.0, 0.0), "b": (1.0, -1.0), "c": (3.0, -2.0)}
    found = flip._envelope(lines)
    assert [name for _, name in found] == ["a", "b", "c"]
    assert [start for start, _ in found] == pytest.approx([0.0, 1 / 2, 2 / 3])
