"""Claims about a launch group: what it takes, whom it calls how often, what is measured again."""

import math
import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.process.processes import WorkerFailed
from harness.run import steady
from harness.run.budget import Launch, Spent
from harness.run.frozen import Frozen
from harness.run.setting import Setting
from harness.run.steady import LaunchGroup
from harness.worker import timing

COMPARISON: Any = SimpleNamespace(id="one", device="cpu", latency=True)
LENET: dict[str, Any] = {"device": "cpu", "latency": True, "contenders": ["torch", "jax"]}
LENET |= {"precision": "float32", "direction": "infer", "sustained_s": 0, "calls": 0}


class Worker:
    """Answers the first turn with 1, the next one with 2, and so on."""

    dead = None
    limit = 1.0

    def __init__(self) -> None:
        self.turns = 0

    def ask(self, do: str, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
        self.turns += 1
        return {"turn": {"calls": [self.turns], "dropped": 0, "total_ns": 1}}

    def stop(self) -> None:
        pass

    def gone(self) -> bool:
        return self.dead is not None


def _group(written: list[str]) -> LaunchGroup:
    frozen = Frozen()
    frozen.freeze(("one", "torch"), {"needed": 1, "call": 1.0})
    nothing: Any = None
    group = LaunchGroup(
        launcher=nothing,
        number=3,
        begun=3,
        contenders={},
        answers={},
        frozen=frozen,
        warmup_limit=1.0,
        autotuned={"torch"},
        rng=random.Random(0),
        write=lambda kind, **fields: written.append(fields["reason"]),
        say=lambda what, **told: None,
    )
    group.workers["torch"] = Worker()  # type: ignore[assignment]
    return group


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
    turn, failed, repeated = _group(written)._turn(COMPARISON, "torch", again=2)
    assert (turn["calls"], failed, repeated) == ([2], None, 1)
    assert written == ["one, launch 3: a turn of torch: the machine was suspended; measured again"]


def test_past_a_fifth_of_them_a_disturbed_turn_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    _disturb(monkeypatch, ["the GPU was slowed by heat"] * 2)
    turn, _, repeated = _group(written)._turn(COMPARISON, "torch", again=1)
    assert (turn["calls"], repeated) == ([2], 1)
    assert written[-1].endswith("kept: too many were discarded")


def test_an_undisturbed_turn_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    _disturb(monkeypatch, [None])
    turn, failed, repeated = _group(written)._turn(COMPARISON, "torch", again=4)
    assert (turn["calls"], failed, repeated) == ([1], None, 0)
    assert not written


def test_a_comparison_discards_at_most_a_fifth_of_its_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten turns, each disturbed for ever: two are measured again, and all ten are there."""
    _disturb(monkeypatch, ["the machine was suspended"] * 100)
    group = _group([])
    turns = group._turns(COMPARISON, [["torch"]] * 10, {})
    assert len(turns["torch"]) == 10
    assert group.workers["torch"].turns == 12  # type: ignore[attr-defined]


def _launched(monkeypatch: pytest.MonkeyPatch, *ids: str) -> tuple[LaunchGroup, list[Any]]:
    """A launch group of torch and jax, whose calls take a second by their warm-up."""
    _disturb(monkeypatch, [None] * 100)
    group = _group([])
    for key in [(i, name) for i in ids for name in ("torch", "jax")]:
        group.frozen.freeze(key, {"needed": 1, "call": 1.0})
    group.write = lambda kind, **fields: None

    class Slow(Worker):
        def ask(self, do: str, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
            time.sleep(0.01)
            return super().ask(do, **arguments)

    def launch(names: list[str], precision: str) -> dict[str, Any]:
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

    def watched(names: list[str], precision: str) -> dict[str, Any]:
        launched.append(names)
        found = launch(names, precision)
        if len(launched) == 1:
            group.workers["jax"] = Dying()  # type: ignore[assignment]
        return found

    monkeypatch.setattr(group, "_launch", watched)
    group.write = lambda kind, **fields: written.append(fields)
    group.measure(comparisons, {"one": 2, "two": 2})
    assert launched == [["torch", "jax"], ["jax"]]
    assert [each["what"] for each in written if "what" in each] == ["launched_again"]
    assert [each["statuses"] for each in written if "turns" in each] == [{}, {}]


def test_who_died_when_its_call_was_held_again_is_not_told_of_twice() -> None:
    """Its comparison has the failure, in words of its own."""
    written: list[str] = []
    group = _group(written)
    group.frozen = Frozen()
    setting = _set_up(group)
    statuses: dict[str, WorkerFailed] = {}
    died = WorkerFailed("crash", "killed by SIGSEGV")

    class Dies(SetUp):
        def ask(self, do: str, timeout: float | None = None, **arguments: Any) -> Any:
            self.dead = died  # type: ignore[assignment]
            raise died

    group.workers["torch"] = Dies()  # type: ignore[assignment]
    group._verify_again(setting.comparison, {"torch": [{"calls": [1]}]}, statuses)
    assert statuses["torch"].reason.endswith("after 1 timed ones: killed by SIGSEGV")
    group._tell("torch", setting.comparison)
    assert not written


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
    group = _group([])
    drawn = {}
    for group.number in range(1, 8):
        drawn[group.number] = (group.draw("torch"), group.draw("torch#2"), group.draw("jax"))
    assert [draw for draw, *_ in drawn.values()] == [0, 1, 2, 0, 1, 2, 0]
    assert all(first == twin and never == 0 for first, twin, never in drawn.values())


def test_each_precision_is_first_in_as_many_launches() -> None:
    """What a launch's beginning is slower by is on neither side of their ratio."""
    group = _group([])
    found = []
    for group.number in range(1, 7):
        found.append(group._in_turn({"float32", "bfloat16", "tf32"}))
    assert all(sorted(order) == ["bfloat16", "float32", "tf32"] for order in found)
    for place in range(3):
        seen = [order[place] for order in found]
        assert {seen.count(each) for each in seen} == {2}
    assert group._in_turn({"float32"}) == ["float32"]


def test_near_contenders_take_turns_of_as_many_calls() -> None:
    """Whoever is far takes turns of about 40 ms all the same, and so does another comparison."""
    frozen = Frozen()
    seconds = {"torch": 2.1e-3, "torch#2": 1e-3, "jax": 4e-3, "numpy": 13e-3}
    for name, call in seconds.items():
        frozen.freeze(("one", name), {"needed": 10, "call": call})
    frozen.freeze(("two", "torch"), {"needed": 10, "call": 8.5e-3})
    found = {name: frozen.calls(("one", name)) for name in seconds}
    assert found == {"torch": 20, "torch#2": 20, "jax": 20, "numpy": 4}
    assert frozen.calls(("two", "torch")) == 5


def test_contenders_far_apart_are_not_near_by_way_of_others_between_them() -> None:
    """Each is 2.9 times the one before; the last takes 200 times what the first does."""
    frozen = Frozen()
    seconds = [2e-4 * 2.9**step for step in range(6)]
    for place, call in enumerate(seconds):
        frozen.freeze(("one", str(place)), {"needed": 10, "call": call})
    turns = [frozen.calls(("one", str(place))) * call for place, call in enumerate(seconds)]
    assert min(turns) > 0.01 and max(turns) < 0.2


def test_a_chain_that_is_too_long_is_cut_where_contenders_lie_furthest_apart() -> None:
    """Not between two who differ by 2%, of whom the second is past nine times the first."""
    frozen = Frozen()
    for call in (1.0, 2.9, 8.6, 8.9, 9.1):
        frozen.freeze(("one", str(call)), {"needed": 10, "call": call * 1e-3})
    found = [frozen.calls(("one", name)) for name in ("1.0", "2.9", "8.6", "8.9", "9.1")]
    assert found[0] == found[1] > found[2] == found[3] == found[4]


def test_contenders_that_follow_closely_on_one_another_are_never_parted() -> None:
    """Eight, each 1.4 times the one before: the last takes ten times what the first does."""
    frozen = Frozen()
    for step in range(8):
        frozen.freeze(("one", str(step)), {"needed": 10, "call": 1e-3 * 1.4**step})
    assert len({frozen.calls(("one", str(step))) for step in range(8)}) == 1


class SetUp(Worker):
    """Loads, verifies and warms up, and notes what it was asked; `fails` at one of these."""

    log = SimpleNamespace(name="log")

    def __init__(self, fails: str = ""):
        super().__init__()
        self.fails, self.asked = fails, []  # type: ignore[var-annotated]

    def ask(self, do: str, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
        self.asked.append(do)
        if do == self.fails:
            raise WorkerFailed("oom", "no memory")
        verified = {"oracle": {"checked": []}, "ok": True, "reason": None}
        return {
            "load": 0.1,
            "first_call": 0.1,
            "manifest": {},
            "needed": 1,
            "call": 0.01,
        } | verified


TORCH: Any = SimpleNamespace(name="torch", computes=True)


HUGE = {"direction": "train", "cost": SimpleNamespace(flops=1e15, activations=1.0)}


def _set_up(group: LaunchGroup, fails: str = "", **of: Any) -> Setting:
    asked: Any = SimpleNamespace(
        id="one",
        batch=1,
        workload="w",
        size=None,
        device="cuda",
        **{"direction": "infer", "cost": None} | of,
    )
    group.contenders = {"torch": TORCH}
    group.answers = {"one": Path("answer.npz")}
    group.workers["torch"] = SetUp(fails)  # type: ignore[assignment]
    setting = group._setting(asked, "torch")
    setting.load()
    return setting


@pytest.mark.parametrize("fails", ["first", "verify", "warm"])
def test_whoever_fails_in_its_set_up_holds_no_memory_beside_the_others(fails: str) -> None:
    group = _group([])
    group.frozen = Frozen()
    setting = _set_up(group, fails)
    setting.warm()
    assert setting.failed is not None and setting.failed.status == "oom"
    assert setting.worker.asked[-2:] == [fails, "unload"]  # type: ignore[attr-defined]


def test_every_draw_of_an_autotuner_is_verified_once_and_other_code_once() -> None:
    for autotuned, launches in (({"torch"}, [1, 2, 3]), (set(), [1])):
        group = _group([])
        group.frozen, group.autotuned = Frozen(), autotuned  # type: ignore[assignment]
        verified = []
        for group.number in range(1, 6):
            setting = _set_up(group)
            if "verify" in setting.worker.asked:  # type: ignore[attr-defined]
                verified.append(group.number)
                assert setting.record["oracle"] is not None
        assert verified == launches


def test_of_a_later_draw_of_what_no_reference_follows_the_loss_alone_is_asked() -> None:
    """The small batch that is verified in its place is no draw of what is timed."""
    group = _group([])
    group.frozen, group.autotuned, found = Frozen(), {"torch"}, []
    for group.number in range(1, 5):
        setting = _set_up(group, **HUGE)
        asked = setting.worker.asked  # type: ignore[attr-defined]
        found.append(tuple(asked.count(do) for do in ("load", "first", "verify", "loss")))
        assert (setting.record["oracle"] is None) == (group.number == 4)
    assert found == [(2, 2, 1, 1), (1, 1, 0, 1), (1, 1, 0, 1), (1, 1, 0, 0)]


@pytest.mark.parametrize(("fails", "verified"), [([], [2, 0, 0]), ([1], [1, 1, 0])])
def test_a_call_is_held_again_after_the_first_turns_that_it_survives(
    fails: list[int], verified: list[int]
) -> None:
    """Where it crashed in its turns, those of the next launch are the first."""
    frozen, found = Frozen(), []
    for number in (1, 2, 3):
        group = _group([])
        group.number, group.frozen, group.autotuned = number, frozen, set()
        setting = _set_up(group)
        statuses = {"torch": WorkerFailed("crash", "it ended")} if number in fails else {}
        group._verify_again(setting.comparison, {"torch": [{"calls": [1]}]}, statuses)
        found.append(setting.worker.asked.count("verify"))  # type: ignore[attr-defined]
    assert found == verified


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


def test_a_disturbed_window_does_not_make_a_call_long() -> None:
    """Five calls of six wait 30 ms, and so does a window's quartile: a call is still 0.2 ms."""
    made = 0

    def step() -> None:
        nonlocal made
        made += 1
        time.sleep(0.03 if made % 6 else 2e-4)

    warmed = timing.warm_up(step, lambda _: None, 0.5)
    assert warmed["call"] < 0.003


def test_a_warm_up_that_was_disturbed_throughout_is_mended_by_the_turns() -> None:
    """And one that was right stays as it is, whatever the turns' own noise."""
    frozen = Frozen()
    for name, call in (("torch", 14e-3), ("torch#2", 1e-3)):
        frozen.freeze(("one", name), {"needed": 10, "call": call})
    assert [frozen.calls(("one", name)) for name in ("torch", "torch#2")] == [3, 40]
    turns = [
        {"calls": [0] * (calls + 1), "dropped": 1, "total_ns": int(calls * each * 1e9)}
        for calls, each in ((2, 9e-3), (2, 1.1e-3), (2, 3e-3))
    ]
    for name in ("torch", "torch#2"):
        frozen.seen(("one", name), turns, kept_queued=False)
    both = 39  # 40 ms of the mean of 1.0 and 1.1
    assert [frozen.calls(("one", name)) for name in ("torch", "torch#2")] == [both, both]


@pytest.mark.parametrize("training", [False, True])
def test_queued_calls_that_take_less_are_no_sign_of_a_disturbed_warm_up(training: bool) -> None:
    """On a device a call that nobody waits for may take half the time of one that is waited for."""
    waited, queued = 2_000_000, 1_100_000
    turn: dict[str, Any] = {"calls": [waited] * 12, "dropped": 2, "total_ns": 10 * waited}
    turn["queued_ns"] = 10 * queued
    if training:
        turn |= {"calls": [waited] * 2 + [queued] * 10, "total_ns": 10 * queued, "queued_ns": None}
    frozen = Frozen()
    frozen.freeze(("one", "torch"), {"needed": 10, "call": 2e-3})
    before = frozen.calls(("one", "torch"))
    frozen.seen(("one", "torch"), [turn], kept_queued=training)
    assert frozen.calls(("one", "torch")) == before == 20


def test_who_else_computes_on_the_gpu_is_counted_beside_our_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = _group([])
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
    comparison: Any = SimpleNamespace(id="one", contenders=["torch"], precision="float32")
    found = []
    frozen = Frozen()
    for number in range(1, 5):
        group = _group([])
        group.autotuned, group.frozen = autotuned, frozen
        # As after a resume: caches are an invocation's own, however many launches there were.
        group.begun, group.number = number, number + 2
        group.contenders = dict.fromkeys(("torch",))  # type: ignore[assignment]
        group.launcher = SimpleNamespace(close=lambda worker: None)  # type: ignore[assignment]
        monkeypatch.setattr(group, "_launch", lambda names, precision: {})
        monkeypatch.setattr(group, "_visit", lambda *asked: Spent(1.0, 1.0, 1))
        monkeypatch.setattr(group, "_compiling", lambda name: 0.0)
        found.append(group.measure([comparison], {"one": 1}).warmed)
        frozen.freeze(("one", "torch"), {"needed": 1, "call": 1.0})
    assert found == warmed


def test_a_sync_is_held_to_its_word_once_for_each_direction() -> None:
    """It waits for a result of that kind; a large one takes a GPU's host long to fetch."""
    asked: list[str] = []

    def ask(do: str, *_: Any, **__: Any) -> dict[str, Any]:
        asked.append(do)
        return {}

    group = _group([])
    worker = SimpleNamespace(ask=ask, log=Path("log"))
    group.workers["torch"] = worker  # type: ignore[assignment]
    group.contenders = {"torch": TORCH}
    for place, direction in (("one", "infer"), ("two", "infer"), ("three", "train")):
        comparison: Any = SimpleNamespace(id=place, direction=direction)
        group._setting(comparison, "torch")._warm(None)
    assert asked == ["warm", "waits", "warm", "warm", "waits"]
