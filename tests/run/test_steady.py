"""Claims about a launch group: what it takes, whom it calls how often, what is measured again."""

import math
import time
from types import SimpleNamespace
from typing import Any

import pytest

from harness.process.processes import WorkerFailed
from harness.run import steady
from harness.run.budget import Launch, Spent
from harness.run.frozen import Frozen
from harness.run.steady import LaunchGroup
from tests.support.launches import Worker, group_of

COMPARISON: Any = SimpleNamespace(id="one", device="cpu", latency=True)
LENET: dict[str, Any] = {"device": "cpu", "latency": True, "contenders": ["torch", "jax"]}
LENET |= {
    "precision": "float32",
    "threads": 2,
    "condition": ("float32", 2),
    "direction": "infer",
    "sustained_s": 0,
    "calls": 0,
}


def _disturb(monkeypatch: pytest.MonkeyPatch, reasons: list[str | None]) -> None:
    class Disturbances:
        def __init__(self, device: str):
            pass

        def since(self) -> str | None:
            return reasons.pop(0)

    monkeypatch.setattr(steady, "Disturbances", Disturbances)


def test_a_disturbed_turn_is_measured_again_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    _disturb(monkeypatch, ["the machine was suspended", None])
    turn, failed, repeated = group_of(written)._turn(COMPARISON, "torch", again=2)
    assert (turn["calls"], failed, repeated) == ([2], None, 1)
    assert written == ["one, launch 3: a turn of torch: the machine was suspended; measured again"]


def test_past_a_fifth_of_them_a_disturbed_turn_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    _disturb(monkeypatch, ["the GPU was slowed by heat"] * 2)
    turn, _, repeated = group_of(written)._turn(COMPARISON, "torch", again=1)
    assert (turn["calls"], repeated) == ([2], 1)
    assert written[-1].endswith("kept: too many were discarded")


def test_an_undisturbed_turn_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    _disturb(monkeypatch, [None])
    turn, failed, repeated = group_of(written)._turn(COMPARISON, "torch", again=4)
    assert (turn["calls"], failed, repeated) == ([1], None, 0)
    assert not written


def test_a_comparison_discards_at_most_a_fifth_of_its_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten turns, each disturbed for ever: two are measured again, and all ten are there."""
    _disturb(monkeypatch, ["the machine was suspended"] * 100)
    group = group_of([])
    turns = group._turns(COMPARISON, [["torch"]] * 10, {})
    assert len(turns["torch"]) == 10
    assert group.workers["torch"].turns == 12  # type: ignore[attr-defined]


def _launched(monkeypatch: pytest.MonkeyPatch, *ids: str) -> tuple[LaunchGroup, list[Any]]:
    """A launch group of torch and jax, whose calls take a second by their warm-up."""
    _disturb(monkeypatch, [None] * 100)
    group = group_of([])
    for key in [(i, name) for i in ids for name in ("torch", "jax")]:
        group.frozen.freeze(key, {"needed": 1, "call": 1.0})
    group.write = lambda kind, **fields: None

    class Slow(Worker):
        def ask(self, do: str, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
            time.sleep(0.01)
            return super().ask(do, **arguments)

    def launch(names: list[str], comparison: Any) -> dict[str, Any]:
        group.workers |= {name: Slow() for name in names}  # type: ignore[misc]
        return {}

    group.contenders = dict.fromkeys(("torch", "jax"))  # type: ignore[assignment]
    group.launcher = SimpleNamespace(close=lambda worker: None)  # type: ignore[assignment]
    monkeypatch.setattr(group, "_launch", launch)
    monkeypatch.setattr(group, "_set_up", lambda comparison, names: {})
    return group, [SimpleNamespace(**LENET | {"id": i}) for i in ids]


def test_what_is_costly_is_visited_last_in_its_order_and_only_where_it_has_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By then it is known what the others took."""
    group, comparisons = _launched(monkeypatch, "a", "b", "c", "d")
    seen: list[tuple[str, set[str]]] = []

    def holds(comparison: str, visited: Launch) -> bool:
        seen.append((comparison, {*visited.comparisons}))
        assert visited.warmed and all(each.seconds > 0 for each in visited.comparisons.values())
        return comparison != "a"

    group.costly, group.holds = ["a", "c"], holds
    last = group.measure(comparisons, dict.fromkeys("abcd", 2))
    assert seen == [("a", {"b", "d"}), ("c", {"b", "d"})]
    assert {*last.comparisons} == {"b", "c", "d"}


def test_what_had_no_room_leaves_its_share_of_the_time_to_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group, comparisons = _launched(monkeypatch, "a", "b", "c")
    shares: list[tuple[str, float]] = []

    def visit(comparison: Any, rounds: int, share: float) -> Spent:
        shares.append((comparison.id, share))
        return Spent(1.0, 1.0, 1)

    monkeypatch.setattr(group, "_visit", visit)
    group.costly, group.holds = ["a", "c"], lambda comparison, visited: comparison != "a"
    group.measure(comparisons, dict.fromkeys("abc", 2), most=30.0)
    assert shares == [("b", 10.0), ("c", 29.0)]


def test_a_worker_that_died_while_it_took_no_part_is_launched_again_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody has asked it since: the next comparison would have its failure."""
    group, comparisons = _launched(monkeypatch, "one", "two")
    launched, written = [], []
    launch = group._launch

    class Dying(Worker):
        def gone(self) -> bool:
            self.dead = WorkerFailed("oom", "killed by the kernel")  # type: ignore[assignment]
            return True

    def watched(names: list[str], comparison: Any) -> dict[str, Any]:
        launched.append(names)
        found = launch(names, comparison)
        if len(launched) == 1:
            group.workers["jax"] = Dying()  # type: ignore[assignment]
        return found

    monkeypatch.setattr(group, "_launch", watched)
    group.write = lambda kind, **fields: written.append(fields)
    group.measure(comparisons, {"one": 2, "two": 2})
    assert launched == [["torch", "jax"], ["jax"]]
    assert [each["what"] for each in written if "what" in each] == ["launched_again"]
    assert [each["statuses"] for each in written if "turns" in each] == [{}, {}]


def test_a_launch_is_charged_the_rounds_it_took_whatever_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nine rounds of two are four whole squares, eight rounds: the ninth is nobody's cost."""
    group, comparisons = _launched(monkeypatch, "one")
    last = group.measure(comparisons, {"one": 9})
    assert last.comparisons["one"].rounds == 8
    assert last.comparisons["one"].round >= 0.02
    assert last.overhead >= 0


def test_a_launch_that_has_little_time_takes_fewer_rounds_of_each_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its warm-up a round takes four seconds here: of 17 the first may have half, two rounds.
    It takes far less, and the other has all the rest: four rounds."""
    group, comparisons = _launched(monkeypatch, "one", "two")
    last = group.measure(comparisons, {"one": 8, "two": 8}, most=17.0)
    assert sorted(spent.rounds for spent in last.comparisons.values()) == [2, 4]


def test_on_a_device_where_calls_are_queued_as_well_a_round_takes_twice_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group, comparisons = _launched(monkeypatch, "one")
    comparisons[0].device = "cuda:0"
    last = group.measure(comparisons, {"one": 8}, most=33.0)
    assert last.comparisons["one"].rounds == 4  # 8 on a CPU


def test_a_launch_that_has_no_time_takes_two_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    group, comparisons = _launched(monkeypatch, "one")
    last = group.measure(comparisons, {"one": 8}, most=-5.0)
    assert last.comparisons["one"].rounds == 2


def test_where_calls_are_asked_for_a_launch_that_has_no_time_has_rounds_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two designs of two contenders fewer would hold 80 calls of the hundred."""
    group, comparisons = _launched(monkeypatch, "one")
    comparisons[0].calls = 100
    for asked, most in ((8, -5.0), (10, -5.0), (14, -5.0), (8, math.inf)):
        spent = group.measure(comparisons, {"one": asked}, most=most).comparisons["one"]
        assert (spent.rounds, spent.least) == (10, 10)


def test_an_autotuner_chooses_anew_in_three_launches_and_who_does_not_tune_compiles_once() -> None:
    group = group_of([])
    drawn = {}
    for group.number in range(1, 8):
        drawn[group.number] = (group.draw("torch"), group.draw("torch#2"), group.draw("jax"))
    assert [draw for draw, *_ in drawn.values()] == [0, 1, 2, 0, 1, 2, 0]
    assert all(first == twin and never == 0 for first, twin, never in drawn.values())


def test_each_condition_is_first_in_as_many_launches() -> None:
    """What a launch's beginning is slower by is on neither side of their ratio."""
    group = group_of([])
    conditions = {("cpu", "float32", 1), ("cpu", "float32", 2), ("cpu", "bfloat16", 2)}
    found = []
    for group.number in range(1, 7):
        found.append(group._in_turn(conditions))
    assert all({*order} == conditions for order in found)
    for place in range(3):
        seen = [order[place] for order in found]
        assert {seen.count(each) for each in seen} == {2}
    assert group._in_turn({*found[0][:1]}) == found[0][:1]


def test_whose_call_is_wrong_after_its_turns_keeps_neither_turns_nor_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group, comparisons = _launched(monkeypatch, "one")
    written: list[dict[str, Any]] = []

    def found_wrong(comparison: Any, turns: Any, statuses: dict[str, WorkerFailed]) -> None:
        statuses["torch"] = WorkerFailed("wrong", "the output is off")

    monkeypatch.setattr(group, "_blocks", lambda *_: {"torch": {}, "jax": {}})
    monkeypatch.setattr(group, "_verify_again", found_wrong)
    group.write = lambda kind, **fields: written.append(fields)
    group.measure(comparisons, {"one": 2})
    [record] = written
    assert [*record["turns"]] == [*record["sustained"]] == ["jax"]


def test_who_else_computes_on_the_gpu_is_counted_beside_our_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = group_of([])
    for seen, told in ((3, 1), (2, 0), (1, 0), (None, None)):
        monkeypatch.setattr(steady.gpus, "processes", {1: seen}.__getitem__)
        group.workers = {name: Worker() for name in ("torch", "jax")}  # type: ignore[misc]
        found = group._others("cuda:1")
        assert found == ({} if told is None else {"foreign_gpu_processes": told})
    assert group._others("cpu") == {}


@pytest.mark.parametrize(
    ("autotuned", "warmed"),
    [({"torch"}, [False, False, True, False]), (set(), [True, False, False, False])],
)
def test_the_last_launch_that_compiles_is_the_one_after_which_set_ups_are_short(
    monkeypatch: pytest.MonkeyPatch, autotuned: set[str], warmed: list[bool]
) -> None:
    """An autotuner's caches are empty in the first three."""
    comparison: Any = SimpleNamespace(
        id="one", contenders=["torch"], device="cpu", precision="float32", threads=2
    )
    found = []
    frozen = Frozen()
    for number in range(1, 5):
        group = group_of([])
        group.autotuned, group.frozen = autotuned, frozen
        # As after a resume: caches are an invocation's own, however many launches there were.
        group.begun, group.number = number, number + 2
        group.contenders = dict.fromkeys(("torch",))  # type: ignore[assignment]
        group.launcher = SimpleNamespace(close=lambda worker: None)  # type: ignore[assignment]
        monkeypatch.setattr(group, "_launch", lambda names, comparison: {})
        monkeypatch.setattr(group, "_visit", lambda *asked: Spent(1.0, 1.0, 1))
        monkeypatch.setattr(group, "_compiling", lambda name: 0.0)
        found.append(group.measure([comparison], {"one": 1}).warmed)
        frozen.freeze(("one", "torch"), {"needed": 1, "call": 1.0})
    assert found == warmed
