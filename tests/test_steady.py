"""Claims about a turn in a launch group: measured again for a cause, never for its value."""

import random
from types import SimpleNamespace
from typing import Any

import pytest

from harness import steady
from harness.steady import Frozen, LaunchGroup

COMPARISON: Any = SimpleNamespace(id="one", device="cpu", latency=True)


class Worker:
    """Answers the first turn with 1, the next one with 2, and so on."""

    def __init__(self) -> None:
        self.turns = 0

    def ask(self, do: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        self.turns += 1
        return {"turn": {"calls": [self.turns]}}

    def stop(self) -> None:
        pass


def _group(written: list[str]) -> LaunchGroup:
    frozen = Frozen()
    frozen.calls["one", "torch"] = 1
    nothing: Any = None
    group = LaunchGroup(
        launcher=nothing,
        number=3,
        contenders={},
        answers={},
        frozen=frozen,
        warmup_limit=1.0,
        timeout=1.0,
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


def test_an_autotuner_chooses_anew_in_three_launches_and_who_does_not_tune_compiles_once() -> None:
    group = _group([])
    drawn = {}
    for group.number in range(1, 8):
        drawn[group.number] = (group._draw("torch"), group._draw("torch#2"), group._draw("jax"))
    assert [draw for draw, *_ in drawn.values()] == [0, 1, 2, 0, 1, 2, 0]
    assert all(first == twin and never == 0 for first, twin, never in drawn.values())
