"""Claims about what would flip a choice: a weight, an error, other evidence."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.record import records
from reports.choice import elsewhere, flip, profiles
from reports.choice.decide import ONCE, decide
from reports.choice.recommend import Recommendation
from reports.verdicts import analyse
from tests.support.choices import MANY, NETS, asked, aspect, written
from tests.support.synthetic import edit_groups, times, write_run

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


def test_what_is_enough_is_so_in_each_workload_by_itself() -> None:
    """One start of a is noticed at once, the other only past 2 s: by the worst alone, it would be
    e to 0.2. And b's own starts tell as much where they are the ones above what is enough."""
    level = {n: dict.fromkeys(LAUNCHES, v) for n, v in (("a", 0.0), ("b", 0.2))}
    for each, by in (
        ({"a": (0.5, 2.0), "b": (0.5, 1.0)}, math.exp(0.4)),
        ({"a": (0.5, 1.0), "b": (8.0, 4.0)}, math.exp(0.2)),
        ({"a": (1.0, 1.6), "b": (0.5, 1.0)}, 2 / 1.6 * math.exp(0.4)),
    ):
        start = aspect({n: {ONCE: 0.0} for n in "ab"}, 0.5, allowance=math.log(1.3), enough=2.0)
        start = replace(start, each=each, values={n: max(its) for n, its in each.items()})
        assert flip.factor(start, decide([aspect(level, 0.5), start], "ab")) == (
            pytest.approx(by),
            "b",
        )


def test_the_other_leads_once_starts_are_off_by_the_factor_that_is_told(tmp_path: Path) -> None:
    """Of torch's two starts one may be 4 times as late before anybody notices."""
    two = [(net, "convnet", 1, None, "infer", True) for net in ("resnet18", "alexnet")]
    wish = '[[objective]]\nof = "single-image latency"\nweight = 1\nmeasure = '
    wishes = f'{wish}"latency"\n{wish}"first_result"\nenough = "2 s"\n'

    def found(by: float) -> Recommendation:
        folder = write_run(tmp_path / f"by-{by}", {"torch": 1.0, "jax": 1.2}, workloads=two)
        for path in folder.glob("records-*.jsonl"):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            for each in lines:
                if each["kind"] == "cell":
                    start = by * (0.5 if each["comparison"].startswith("resnet18") else 2.5)
                    each["seconds"]["total"] = start if each["contender"] == "torch" else 1.0
            path.write_text("".join(f"{json.dumps(each)}\n" for each in lines))
        return asked(folder, wishes)

    [told] = [each for each in found(1.0).flips if "measured once" in each]
    assert told.startswith("jax leads if time to first result in single-image latency")
    off = float(re.findall(r"off by ([\d.]+)x", told)[0])
    for by, leader in ((0.98, "torch"), (1.02, "jax")):
        assert found(by * off).ranking[0]["contender"] == leader


def test_of_one_who_never_met_the_leader_no_factor_is_told() -> None:
    level = {"a": {1: 0.0}, "b": {2: 0.3, 1: 0.3}, "c": {2: 0.1}}
    start = aspect({n: {ONCE: 0.0} for n in level}, 0.5, allowance=math.log(1.3))
    found = decide([aspect(level, 0.5), start], level)
    assert found.leader == "a" and math.isnan(found.pairs["a", "c"].ratio)
    assert flip.factor(start, found) == (pytest.approx(math.exp(0.3)), "b")


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


@pytest.mark.parametrize(("nets", "told"), [(("alexnet", "vgg"), True), (("alexnet",), False)])
def test_another_precision_means_the_very_same_networks(
    tmp_path: Path, nets: tuple[str, ...], told: bool
) -> None:
    """alexnet alone, where jax leads, would say in bfloat16 what it says in float32."""
    both = [("alexnet", "convnet", 32, None, "infer", False)]
    both += [("vgg", *both[0][1:]), *((f"{net}-low", *both[0][1:]) for net in nets)]
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.5}, workloads=both)
    faster = ("alexnet", *(f"{net}-low" for net in nets))
    edit_groups(folder, times({net: {"jax": 0.5} for net in faster}))
    for path in (folder / "plan.json", *folder.glob("records-*.jsonl")):
        low = path.read_text().replace("-low/b32/infer/float32", "/b32/infer/bfloat16")
        path.write_text(low)
    plan = json.loads((folder / "plan.json").read_text())
    for each in plan["comparisons"]:
        each["precision"] = each["id"].split("/")[3]
        each["workload"] = each["workload"].removesuffix("-low")
    (folder / "plan.json").write_text(json.dumps(plan))
    chosen = profiles.load([written(folder, f'title = "Mine"\n{MANY}')])
    found = analyse(records.read(folder), chosen).recommendations[0]
    assert (found.precision, found.ranking[0]["contender"]) == ("float32", "torch")
    assert ("jax leads in bfloat16 on cpu" in found.flips) is told
    assert ("another precision" in found.steady) is told


def test_who_leads_is_exact_also_where_two_others_cross() -> None:
    lines = {"a": (0.0, 0.0), "b": (1.0, -1.0), "c": (3.0, -2.0)}
    found = flip._envelope(lines)
    assert [name for _, name in found] == ["a", "b", "c"]
    assert [start for start, _ in found] == pytest.approx([0.0, 1 / 2, 2 / 3])
