"""Claims about how one contender is set up in a launch: what is verified, when, and of whom."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.process.processes import WorkerFailed
from harness.run.frozen import Frozen
from harness.run.setting import Setting
from harness.run.steady import LaunchGroup
from tests.support.launches import Worker, group_of

TORCH: Any = SimpleNamespace(name="torch", computes=True)
HUGE = {"direction": "train", "cost": SimpleNamespace(flops=1e15, activations=1.0)}


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
    group = group_of([])
    group.frozen = Frozen()
    setting = _set_up(group, fails)
    setting.warm()
    assert setting.failed is not None and setting.failed.status == "oom"
    assert setting.worker.asked[-2:] == [fails, "unload"]  # type: ignore[attr-defined]


def test_every_draw_of_an_autotuner_is_verified_once_and_other_code_once() -> None:
    for autotuned, launches in (({"torch"}, [1, 2, 3]), (set(), [1])):
        group = group_of([])
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
    group = group_of([])
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
        group = group_of([])
        group.number, group.frozen, group.autotuned = number, frozen, set()
        setting = _set_up(group)
        statuses = {"torch": WorkerFailed("crash", "it ended")} if number in fails else {}
        group._verify_again(setting.comparison, {"torch": [{"calls": [1]}]}, statuses)
        found.append(setting.worker.asked.count("verify"))  # type: ignore[attr-defined]
    assert found == verified


def test_a_sync_is_held_to_its_word_once_for_each_direction() -> None:
    """It waits for a result of that kind; a large one takes a GPU's host long to fetch."""
    asked: list[str] = []

    def ask(do: str, *_: Any, **__: Any) -> dict[str, Any]:
        asked.append(do)
        return {}

    group = group_of([])
    worker = SimpleNamespace(ask=ask, log=Path("log"))
    group.workers["torch"] = worker  # type: ignore[assignment]
    group.contenders = {"torch": TORCH}
    for place, direction in (("one", "infer"), ("two", "infer"), ("three", "train")):
        comparison: Any = SimpleNamespace(id=place, direction=direction)
        group._setting(comparison, "torch")._warm(None)
    assert asked == ["warm", "waits", "warm", "warm", "waits"]


def test_who_died_when_its_call_was_held_again_is_not_told_of_twice() -> None:
    """Its comparison has the failure, in words of its own."""
    written: list[str] = []
    group = group_of(written)
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
