"""Claims about a decision, on random evidence: what must hold whatever was measured."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.stats import statistics
from reports.choice import flip
from reports.choice.decide import ONCE, Aspect, Decision, decide, dominates, split
from tests.support.choices import aspect
from tests.support.synthetic import of_spread

ROUNDS = 60


def drawn(luck: random.Random) -> tuple[list[Aspect], list[str]]:
    """A few contenders, some of them near each other, by some objectives of either kind."""
    names = [f"c{i}" for i in range(luck.randint(2, 6))]
    aspects, count = [], 7 + luck.randint(0, 6)
    for _ in range(luck.randint(1, 4)):
        once = bool(aspects) and luck.random() < 0.5
        spread = luck.choice((0.002, 0.01, 0.05))
        times = {}
        for name in names:
            level = luck.choice((0.0, 0.0, luck.gauss(0, 0.05), luck.gauss(0, 1)))
            launches = (ONCE,) if once else range(1, count)
            times[name] = {k: level + (0 if once else luck.gauss(0, spread)) for k in launches}
        allowance = luck.choice((0.0, 0.05, 0.3)) if once else None
        aspects.append(aspect(times, luck.choice((0.0, 0.3, 1.0)), allowance=allowance))
    if not any(each.weight for each in aspects):
        aspects[0] = replace(aspects[0], weight=1.0)
    total = sum(each.weight for each in aspects)
    return [replace(each, weight=each.weight / total) for each in aspects], names


def cases() -> Iterator[tuple[random.Random, list[Aspect], list[str], Decision]]:
    for seed in range(ROUNDS):
        luck = random.Random(seed)
        aspects, names = drawn(luck)
        yield luck, aspects, names, decide(aspects, names)


def same(one: Decision, other: Decision) -> None:
    assert (one.order, one.choice, one.tied, one.runner_up) == (
        other.order,
        other.choice,
        other.tied,
        other.runner_up,
    )


def changed(aspects: list[Aspect], name: Callable[[str], str], by: float = 0.0) -> list[Aspect]:
    """The same evidence under other names, in another unit."""
    return [
        replace(
            each,
            logs={(name(a), name(b)): logs for (a, b), logs in each.logs.items()},
            values={name(a): value * math.exp(by) for a, value in each.values.items()},
        )
        for each in aspects
    ]


def test_who_is_dominated_never_leads() -> None:
    seen = 0
    for _, aspects, names, found in cases():
        assert found.leader is not None
        beaten = [n for n in names if dominates(aspects, n, found.leader)]
        assert not beaten, found
        seen += any(dominates(aspects, a, b) for a in names for b in names if a != b)
    assert seen > ROUNDS / 4  # the claim was put to the test


def test_the_order_in_which_contenders_and_objectives_come_changes_nothing() -> None:
    for luck, aspects, names, found in cases():
        luck.shuffle(names)
        luck.shuffle(aspects)
        other = decide(aspects, names)
        assert (other.choice, set(other.tied)) == (found.choice, set(found.tied))
        assert other.leader == found.leader


def test_other_names_change_nothing() -> None:
    for _, aspects, names, found in cases():
        turned = {n: f"z{len(names) - i}" for i, n in enumerate(names)}
        other = decide(changed(aspects, turned.__getitem__), turned.values())
        assert other.choice == (turned[found.choice] if found.choice else None)
        assert set(other.tied) == {turned[n] for n in found.tied}


def test_a_machine_twice_as_fast_changes_nothing() -> None:
    """All times by a factor, those of one objective alone: only ratios count."""
    for luck, aspects, names, _ in cases():
        by = luck.gauss(0, 3)
        levels = {
            n: {k: luck.gauss(0, 0.5) for k in (range(1, 8) if not x.once else (ONCE,))}
            for x in aspects[:1]
            for n in names
        }
        one = [aspect(levels, aspects[0].weight, allowance=aspects[0].allowance), *aspects[1:]]
        scaled = {n: {k: v + by for k, v in of.items()} for n, of in levels.items()}
        two = [aspect(scaled, aspects[0].weight, allowance=aspects[0].allowance), *aspects[1:]]
        first, second = decide(one, names), decide(two, names)
        assert (first.choice, first.leader) == (second.choice, second.leader)
        assert {k: v.verdict for k, v in first.pairs.items()} == {
            k: v.verdict for k, v in second.pairs.items()
        }


def test_a_contender_that_nobody_would_choose_changes_no_choice_between_the_others() -> None:
    for _, aspects, names, found in cases():
        if found.choice is None:
            continue
        rest = [n for n in names if n == found.choice or n != found.order[-1]]
        if len(rest) > 1:
            assert decide(aspects, rest).choice == found.choice


def test_a_choice_beats_every_other_with_all_that_was_seen_once_at_its_worst() -> None:
    chosen = 0
    for _, aspects, names, found in cases():
        if found.choice is None:
            continue
        chosen += 1
        for name in names:
            if name != found.choice:
                assert math.log(found.pairs[found.choice, name].high) < -statistics.MARGIN
                worst = sum(x.weight * (x.allowance or 0.0) for x in aspects)
                mean = math.log(found.pairs[found.choice, name].ratio)
                assert mean + worst < -statistics.MARGIN
    assert chosen > ROUNDS / 5


def test_what_was_seen_once_decides_nothing_by_less_than_one_look_is_good_to() -> None:
    level = {"a": dict.fromkeys(range(1, 9), 0.0), "b": {k: 0.001 * k for k in range(1, 9)}}
    start = {"a": {ONCE: 0.0}, "b": {ONCE: 0.2}}
    trusted = [aspect(level, 0.5), aspect(start, 0.5, allowance=0.0)]
    doubted = [aspect(level, 0.5), aspect(start, 0.5, allowance=math.log(1.3))]
    assert decide(trusted, "ab").choice == "a"
    assert decide(doubted, "ab").choice is None
    assert decide(doubted, "ab").leader == "a"
    assert decide(doubted, "ab").pairs["a", "b"].launches_needed is None  # none would tell


def test_of_what_is_enough_by_any_look_nothing_is_doubted() -> None:
    """Both start within two seconds, however far one look is off: neither is the better."""
    level = {"a": dict.fromkeys(range(1, 9), 0.0), "b": {k: 0.1 + 0.001 * k for k in range(1, 9)}}
    start = aspect({"a": {ONCE: 0.0}, "b": {ONCE: 0.0}}, 0.5, allowance=math.log(1.3), enough=2.0)
    for slower, chosen in ((1.5, "a"), (1.6, None), (2.5, None)):
        known = replace(start, values={"a": 0.5, "b": slower})
        assert decide([aspect(level, 0.5), known], "ab").choice == chosen
        assert known.doubt("a", "b") == known.doubt("b", "a") == (0.0 if chosen else math.log(1.3))


def test_what_was_seen_once_alone_proves_nothing() -> None:
    found = decide([aspect({"a": {ONCE: 0.0}, "b": {ONCE: 2.0}}, allowance=0.0)], "ab")
    assert found.leader == "a" and found.choice is None
    assert found.pairs["a", "b"].verdict == "screening"
    assert found.pairs["a", "b"].ratio == pytest.approx(math.exp(-2))


def test_a_tie_is_shown_and_not_assumed() -> None:
    near = {n: {k: 0.001 * ((k * i) % 3) for k in range(1, 9)} for i, n in enumerate("ab")}
    wide = {n: {k: 0.2 * ((k * (i + 1)) % 3) for k in range(1, 9)} for i, n in enumerate("ab")}
    assert set(decide([aspect(near)], "ab").tied) == {"a", "b"}
    assert decide([aspect(wide)], "ab").tied == []


# --- what would flip it -------------------------------------------------------------------------


def reweighed(aspects: list[Aspect], place: int, weight: float) -> list[Aspect]:
    """One weight anew; the others keep their proportions."""
    rest = 1 - aspects[place].weight
    return [
        replace(x, weight=weight if i == place else x.weight / rest * (1 - weight))
        for i, x in enumerate(aspects)
    ]


def test_at_the_weight_that_is_named_the_lead_changes_and_not_before() -> None:
    flipped = 0
    for _, aspects, names, found in cases():
        for weight in flip.weights(aspects, found):
            place = next(
                i for i, x in enumerate(aspects) if (x.weight, x.measure) == (weight.now, x.measure)
            )
            if [x.weight for x in aspects].count(weight.now) > 1:
                continue
            for side, at, other in weight.flips():
                step = 1e-6 if side == "above" else -1e-6
                if not 1e-5 < at + step < 1 - 1e-5:
                    continue
                before = decide(reweighed(aspects, place, at - step), names)
                after = decide(reweighed(aspects, place, at + step), names)
                if before.choice is None and after.choice is None:
                    assert after.leader == other
                    assert before.leader == found.leader
                    flipped += 1
    assert flipped > 10


def test_the_steps_of_a_limit_are_what_would_be_decided_at_each_limit() -> None:
    for luck, aspects, names, found in cases():
        limited = aspect({n: {ONCE: luck.gauss(0, 1)} for n in names}, 0.0, allowance=0.0)
        [limit] = flip.limits(aspects, [limited], found)
        assert limit.steps[0].kind == "nobody"
        assert [s.low for s in limit.steps] == sorted({s.low for s in limit.steps})
        for most in (luck.gauss(0, 1) for _ in range(5)):
            able = [n for n in names if limited.values[n] <= math.exp(most)]
            step = [s for s in limit.steps if s.low <= math.exp(most)][-1]
            inside = decide(aspects, able)
            assert step.leader == inside.leader
            assert set(step.tied) == set(inside.tied)
            assert (step.kind == "choice") == (inside.choice is not None and len(able) > 1)


def test_a_figure_seen_once_flips_the_lead_at_the_factor_that_is_named() -> None:
    level = {n: dict.fromkeys(range(1, 9), v) for n, v in (("a", 0.4), ("b", 0.0))}
    start = {"a": {ONCE: 0.0}, "b": {ONCE: 1.0}}
    aspects = [aspect(level, 0.5), aspect(start, 0.5, allowance=0.3)]
    off = flip.factor(aspects[1], decide(aspects, "ab"))
    assert off == (pytest.approx(math.exp(0.6)), "b")


def test_identical_contenders_are_chosen_between_in_at_most_one_of_twenty_cases() -> None:
    """Launches spread by 3%; each start, seen once, is off by a tenth: two in three of them."""
    false = 0
    for seed in range(200):
        luck = random.Random(seed)
        names = [f"c{i}" for i in range(luck.randint(2, 4))]
        level = {n: {k: luck.gauss(0, 0.03) for k in range(1, 9)} for n in names}
        start = {n: {ONCE: luck.gauss(0, 0.1)} for n in names}
        aspects = [aspect(level, 0.5), aspect(start, 0.5, allowance=math.log(1.3))]
        false += decide(aspects, names).choice is not None
    assert false <= 10


def test_the_runner_up_is_who_keeps_the_choice_open_not_who_is_near_and_beaten() -> None:
    launches = range(1, 7)
    times = {
        "best": dict.fromkeys(launches, 0.0),
        "near": {k: 0.1 + 0.001 * (k % 2) for k in launches},
        "wild": {k: 0.3 + 0.9 * (-1) ** k for k in launches},
    }
    found = decide([aspect(times)], times)
    assert (found.leader, found.choice, found.runner_up) == ("best", None, "wild")
    beaten = decide([aspect({name: times[name] for name in ("best", "near")})], ("best", "near"))
    assert (beaten.choice, beaten.runner_up) == ("best", "near")


def test_one_who_never_met_the_leader_is_no_runner_up_while_another_did() -> None:
    """Of two launches the leader missed the first and that one the second: NaN is no nearness."""
    times = {"torch": {2: 0.0}, "jax": {1: 0.1}, "tensorflow": {1: 0.5, 2: 0.5}}
    found = decide([aspect(times)], times)
    assert (found.leader, found.runner_up) == ("torch", "tensorflow")
    assert found.best is not None and found.best.launches == 1


def test_a_figure_that_is_enough_has_to_be_off_by_what_lies_below_it_as_well() -> None:
    """a starts in 0.8 s of the 2 that are enough: at 2 s nobody has noticed yet."""
    level = {"a": dict.fromkeys(range(1, 9), 0.0), "b": dict.fromkeys(range(1, 9), 0.1)}
    start = aspect({n: {ONCE: 0.0} for n in "ab"}, 0.5, allowance=math.log(1.3), enough=2.0)
    start = replace(start, values={"a": 0.8, "b": 1.0})
    off = flip.factor(start, decide([aspect(level, 0.5), start], "ab"))
    assert off is not None and off == (pytest.approx(2.0 / 0.8 * math.exp(0.1)), "b")
    for by, leader in ((0.99, "a"), (1.01, "b")):
        late = math.log(max(0.8 * off[0] * by, 2.0) / 2.0)
        moved = aspect({"a": {ONCE: late}, "b": {ONCE: 0.0}}, 0.5, allowance=math.log(1.3))
        assert decide([aspect(level, 0.5), moved], "ab").leader == leader


def test_what_was_counted_cannot_be_off() -> None:
    """The size of an installation is no single look."""
    times = {"a": dict.fromkeys(range(1, 7), 0.0), "b": dict.fromkeys(range(1, 7), 0.1)}
    once = {"a": {ONCE: 0.5}, "b": {ONCE: 0.0}}
    for allowance, told in ((0.0, False), (0.3, True)):
        aspects = [aspect(times, 0.9), aspect(once, 0.1, allowance=allowance)]
        assert (flip.factor(aspects[1], decide(aspects, ["a", "b"])) is not None) is told


def test_before_six_launches_only_who_left_early_is_judged() -> None:
    """That one contender left says nothing of the two that did not."""
    times = {"a": 0.0, "b": 1.0, "c": 1.0}
    drawn = {n: {k: at + 0.001 * ((k * i) % 3) for k in range(1, 5)}
             for i, (n, at) in enumerate(times.items())}  # fmt: skip
    found = decide([aspect(drawn)], drawn, settled=["c"])
    assert found.pairs["a", "c"].verdict == "materially_faster"
    assert found.pairs["a", "b"].verdict == "screening" and found.choice is None


def test_launches_that_only_one_wish_has_put_nobody_in_front() -> None:
    """By each wish's own launches a takes less of both; by those that hold both, more."""
    zero = dict.fromkeys(range(1, 19), 0.0)
    both = {k: 0.1 + 0.001 * k for k in range(1, 7)}
    alone = [dict.fromkeys(range(first, first + 6), -1.0) for first in (7, 13)]
    aspects = [aspect({"a": both | more, "b": zero}, 0.5) for more in alone]
    found = decide(aspects, "ab")
    assert (found.leader, found.choice) == ("b", "b")
    assert all(weight.leads == ((0.0, "b"),) for weight in flip.weights(aspects, found))


def test_two_that_never_met_are_ordered_by_those_whom_they_met() -> None:
    """One left after three launches, another crashed in those: there is no ratio between them."""
    early, late, whole = range(1, 4), range(4, 7), range(1, 7)
    times = {
        "a": dict.fromkeys(whole, 0.0),
        "x": dict.fromkeys(early, 2.0),
        "y": dict.fromkeys(late, 0.5),
        "z": dict.fromkeys(whole, 1.0),
    }
    assert decide([aspect(times)], "xyza").order == ["a", "y", "z", "x"]


def test_launches_that_were_added_keep_the_spread_of_those_they_were_planned_from() -> None:
    first, more = of_spread(0.1, 6), of_spread(0.001, 24)
    logs = dict(enumerate(np.append(first, more) - 0.06, start=1))
    times = {"a": logs, "b": dict.fromkeys(logs, 0.0)}
    assert decide([aspect(times)], "ab").choice == "a"
    assert decide([aspect(times)], "ab", first_stage=6).choice is None


def test_modes_leave_a_choice_open_only_where_launches_disagree() -> None:
    """Whichever way round the pair is named."""
    zero = dict.fromkeys(range(1, 9), 0.0)
    for near, open_ in ((-0.01, True), (-0.2, False)):
        times = {"a": {k: near if k % 2 else -0.6 for k in zero}, "b": zero}
        for pair in (("a", "b"), ("b", "a")):
            found = decide([aspect(times)], "ab", modal=[pair])
            assert (found.pairs["a", "b"].verdict == "multimodal") is open_
            assert (found.pairs["b", "a"].verdict == "multimodal") is open_
        assert decide([aspect(times)], "ab").pairs["a", "b"].verdict != "multimodal"


def test_nobody_is_before_the_leader_by_what_the_two_have_alone() -> None:
    """c left after three launches, which were bad ones for b: by its mean against both a would
    lead, and the score of b over a, in ten launches, says the other."""
    times = {
        "a": dict.fromkeys(range(1, 11), 0.0),
        "b": {k: 0.2 if k < 4 else -0.1 for k in range(1, 11)},
        "c": dict.fromkeys(range(1, 4), 0.5),
    }
    other = {"a": 0.0, "b": 0.005, "c": 0.5}  # so that neither dominates the other
    more = {name: dict.fromkeys(of, other[name]) for name, of in times.items()}
    found = decide([aspect(times, 0.5), aspect(more, 0.5)], "abc", settled=["c"])
    assert found.pairs["b", "a"].ratio < 1
    assert found.order == ["b", "a", "c"]


def test_a_network_on_which_another_is_ahead_is_told_beside_a_larger_luck() -> None:
    """On the second network the widest of all is far, and not told from nothing."""

    def pair(ratio: float, verdict: str) -> Any:
        return SimpleNamespace(ratio=ratio, verdict=verdict)

    first = {"b": pair(0.8, "materially_faster"), "c": pair(0.8, "materially_faster")}
    second = {"b": pair(1.1, "materially_slower"), "c": pair(1.3, "inconclusive")}
    [found] = split({"one": first, "two": second})
    assert (found["comparison"], found["leader"], found["proven"]) == ("two", "b", True)
    second["c"] = pair(1.3, "slower")
    [found] = split({"one": first, "two": second})
    assert (found["leader"], found["proven"]) == ("b", True)
    assert split({"one": {"b": pair(0.8, "faster")}, "two": {"c": pair(1.2, "slower")}}) == []
