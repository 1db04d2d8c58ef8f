"""Claims about going on with a run: alone, and on what it was begun with, or not at all."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from harness.commands import measuring
from harness.errors import Wrong
from harness.host import gpus
from harness.plan import code, inventory, plan, resuming, suite
from harness.process import launch
from harness.process.launch import Launcher
from harness.process.processes import WorkerFailed
from harness.record import records
from harness.run import budget, cold, entrants, frozen, runner
from harness.run.budget import Launch, Spent
from harness.run.entrants import Entrants
from harness.run.frozen import Frozen
from harness.run.runner import Runner
from tests.support import plans
from tests.support.plans import settings


@pytest.mark.parametrize("name", ["suites/c.c", "harness/some.lua", "harness/worker/timing.py"])
def test_other_code_is_another_run_in_whatever_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(code, "ROOT", tmp_path)
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text("one")
    before = resuming.fingerprint({"torch": "2.13"}, "cpu", ())
    resuming.refuse_change(before, resuming.fingerprint({"torch": "2.13"}, "cpu", ()))
    path.write_text("two")
    with pytest.raises(Wrong, match="cannot resume: code was"):
        resuming.refuse_change(before, resuming.fingerprint({"torch": "2.13"}, "cpu", ()))


@pytest.mark.parametrize(
    ("key", "other", "told"),
    [
        ("driver", "2", "gpu was A GPU-a, driver 1, 700.0 W, is A GPU-a, driver 2, 700.0 W"),
        ("uuid", "GPU-b", "is A GPU-b, driver 1"),  # of the same name, and not as fast
        ("power_limit_watts", 350.0, "driver 1, 350.0 W"),
    ],
)
def test_another_gpu_or_driver_is_another_run(
    monkeypatch: pytest.MonkeyPatch, key: str, other: Any, told: str
) -> None:
    of = {"name": "A", "uuid": "GPU-a", "driver": "1", "power_limit_watts": 700.0}
    seen: list[dict[str, Any]] = [dict(of), dict(of)]
    monkeypatch.setattr(gpus, "described", lambda: seen)
    before = [resuming.fingerprint({}, device, ()) for device in ("cuda:1", "cuda:0", "cpu")]
    seen[1][key] = other
    with pytest.raises(Wrong, match=told):
        resuming.refuse_change(before[0], resuming.fingerprint({}, "cuda:1", ()))
    resuming.refuse_change(before[1], resuming.fingerprint({}, "cuda:0", ()))
    resuming.refuse_change(before[2], resuming.fingerprint({}, "cpu", ()))


def test_a_processor_that_is_gone_is_told() -> None:
    resuming.refuse_lost(os.sched_getaffinity(0))
    with pytest.raises(Wrong, match="processor 99999 may no longer be used"):
        resuming.refuse_lost([99999, *os.sched_getaffinity(0)])


def test_a_run_from_which_an_idle_contender_was_dropped_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine for inference alone, of a suite of trainings: its version is nobody's business."""
    rows = [{"name": n, "home": n, "version": "1.22"} for n in ("numpy", "onnxruntime")]

    def contenders(device: str, current: bool, named: Any, everyone: bool) -> list[dict[str, Any]]:
        return [row for row in rows if row["name"] in {each.adapter for each in named}]

    monkeypatch.setattr(inventory, "contenders", contenders)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})  # the plan's; ours may be others
    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path))
    smoke = suite.load("smoke")
    trainings = [c for c in smoke.comparisons if c.direction == "train"]
    made, _ = plans.planned(smoke, ["numpy", "onnxruntime"], trainings, rows=rows)
    plan.begin(made, tmp_path / "r")
    assert [gone["name"] for gone in made.absent] == ["onnxruntime"]
    assert measuring.carried_on("r", tmp_path / "r", "resume", "start another")[0] == made


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path, "cpu", True, 1, [0], False, timeout=7.0)


def test_a_cache_that_cannot_be_kept_is_an_empty_one(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    (launcher.cache("cold") / "compiled").write_text("kernel")

    def half(source: Path, into: Path, **_: Any) -> None:
        (into / "half").write_text("ker")
        raise shutil.Error([("a", "b", "No space left on device")])

    monkeypatch.setattr(shutil, "copytree", half)
    launcher.keep_cache("cold", "steady")
    assert not launcher.is_filled("steady") and not launcher.is_filled("cold")


def test_the_limit_of_a_request_is_every_contender_s_and_not_the_reference_s(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That one is slow, and nobody's adapter."""
    limits: list[float] = []
    monkeypatch.setattr(launch, "WorkerProcess", lambda *given: limits.append(given[-1]))
    launcher._start(Path("python"), "cache", "log")
    launcher.start_reference("reference")
    assert limits == [7.0, 600.0]


@pytest.mark.parametrize(
    ("seconds", "asked", "limit"),
    [(90.0, None, 120.0), (600.0, None, 150.0), (7200.0, None, 600.0), (600.0, 7.0, 7.0)],
)
def test_a_contender_that_hangs_takes_a_quarter_of_a_short_run_at_most(
    tmp_path: Path, planned: plan.Plan, seconds: float, asked: float | None, limit: float
) -> None:
    planned.budget_s = seconds
    plan.begin(planned, tmp_path / "r")
    made = Runner(planned, tmp_path / "r", lambda *_, **__: None, asked)
    os.close(made.lock)
    assert made.launcher.timeout == limit


@pytest.mark.parametrize(
    ("statuses", "given_up"),
    [(["timeout"], False), (["timeout", "timeout"], True), (["wrong"], True)],
)
def test_what_failed_in_turns_has_failed_after_a_resume_too(
    statuses: list[str], given_up: bool
) -> None:
    """Turns that failed are told in their group alone; set-ups in a cell and in their group."""
    ok = {"pass": "steady", "comparison": "c", "contender": "slow", "launch": 1, "status": "ok"}
    ok |= {"oracle": None}
    cells: list[dict[str, Any]] = [{**ok, "warmup": {"needed": 5, "call": 0.01}}]
    cells += [{**ok, "launch": 2, "status": statuses[0], "warmup": None}]
    groups = [
        {"comparison": "c", "launch": 2 + place, "turns": {}, "statuses": {"slow": {"status": s}}}
        for place, s in enumerate(statuses)
    ]
    done: Any = SimpleNamespace(cells=cells, groups=groups)
    assert frozen.thaw(done, set()).given_up(("c", "slow")) == given_up


def test_a_start_that_failed_is_none_of_its_launches_failures() -> None:
    """Its number is that of a launch in which it failed as well: that makes two."""
    cell = {"comparison": "c", "contender": "jax", "launch": 2, "status": "crash", "oracle": None}
    group = {"comparison": "c", "launch": 2, "turns": {}, "statuses": {"jax": {"status": "crash"}}}
    for passed, given_up in (("again", True), ("steady", False)):
        done: Any = SimpleNamespace(cells=[{**cell, "pass": passed}], groups=[group])
        assert frozen.thaw(done, set()).given_up(("c", "jax")) == given_up


def _starting(further: list[dict[str, Any]], cold: Callable[..., dict[str, Any]]) -> Any:
    """A run whose cold pass is over, and which made these further starts before it was resumed."""
    net = SimpleNamespace(id="net", headline=True, direction="train", batch=1, kind="convnet")
    names = ("torch", "jax", "numpy")
    first = [
        {"pass": "cold", "comparison": "net", "contender": name, "launch": None, "status": "ok"}
        | {"seconds": {"total": 1.5}}
        for name in names
    ]
    return SimpleNamespace(
        plan=SimpleNamespace(
            run="r",
            budget_s=160.0,  # a tenth of it is four rounds
            comparisons=[net],
            recommended=[SimpleNamespace(name=name) for name in ("torch", "jax")],
        ),
        left=160.0,
        cells=first + further,
        done=SimpleNamespace(again=further),
        contenders={name: name for name in names},
        frozen=SimpleNamespace(given_up=lambda key: False),
        say=lambda what, **told: None,
        _cold=cold,
        _write=lambda kind, **fields: None,
    )


@pytest.mark.parametrize("status", ["ok", "crash"])
def test_a_resumed_run_makes_the_starts_that_are_missing(status: str) -> None:
    """Three of eight were made, of which one may have failed: that one is not tried again."""
    further = [
        {"pass": "again", "comparison": "net", "contender": name, "launch": start, "status": how}
        for start, name, how in ((2, "torch", "ok"), (2, "jax", "ok"), (3, "jax", status))
    ]
    made: list[tuple[int, str]] = []

    def cold(comparison: Any, contender: str, state: str, start: int) -> dict[str, Any]:
        made.append((start, contender))
        return {"status": "ok"}

    Runner._start_again(_starting(further, cold))
    assert sorted(made) == [(3, "torch"), (4, "jax"), (4, "torch"), (5, "jax"), (5, "torch")]


@pytest.mark.parametrize(("seconds", "last"), [(0.0, 5), (1000.0, 3)])
def test_further_starts_end_with_their_share_of_the_time_but_not_before_there_are_three(
    monkeypatch: pytest.MonkeyPatch, seconds: float, last: int
) -> None:
    """What a start takes may have been underrated: a model is written, weights are drawn."""
    now = 0.0
    monkeypatch.setattr(runner.time, "monotonic", lambda: now)
    made: list[int] = []

    def cold(comparison: Any, contender: str, state: str, start: int) -> dict[str, Any]:
        nonlocal now
        now += seconds
        made.append(start)
        return {"status": "ok"}

    Runner._start_again(_starting([], cold))
    assert sorted(made) == [start for start in range(2, last + 1) for _ in ("torch", "jax")]


def test_what_had_to_leave_keeps_nobody_in_the_rest(
    planned: plan.Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No launch holds all of a use that it is part of: nobody would be far behind there."""
    asked: list[list[str]] = []

    def leaving(plan: plan.Plan, *_: Any) -> list[Any]:
        asked.append([c.id for c in plan.comparisons])
        return []

    monkeypatch.setattr(entrants.leaving, "leaving", leaving)
    [one] = planned.comparisons
    stays = msgspec.structs.replace(one, id="stays")
    both = msgspec.structs.replace(planned, comparisons=[one, stays])
    Entrants(both, Frozen(), [], [], set()).leave({one.id})
    assert asked == [["stays"]]


def test_who_did_not_even_open_has_failed_after_a_resume_too() -> None:
    """What it ran with is in the environment's record, which is written once: who has no manifest
    there never opened. Who failed to open at a resume alone is asked again at the next."""
    cell = {"pass": "steady", "comparison": "c", "contender": "jax#2", "launch": None}
    for manifest, status, given_up in (
        ({}, "crash", True),
        ({"framework": "jax"}, "timeout", False),
        ({"framework": "jax"}, "unsupported", True),
    ):
        done: Any = SimpleNamespace(
            cells=[{**cell, "status": status, "oracle": None}],
            groups=[],
            environment={"contenders": {"jax": {"manifest": manifest}}},
        )
        assert frozen.thaw(done, set()).given_up(("c", "jax#2")) == given_up


def test_what_is_verified_anew_after_a_resume_is_an_autotuners_choice_and_a_first_result() -> None:
    """Its caches went with the run; and what the cold pass verified was another process.

    Nor was anything verified where the reference had no answer, which it may have by now.
    """
    ok = {"comparison": "c", "launch": 1, "status": "ok", "oracle": {"worst": 1e-7}}
    cells = [
        {**ok, "pass": "steady", "contender": "torch"},
        {**ok, "pass": "steady", "contender": "tensorflow", "oracle": None},
        {**ok, "pass": "steady", "contender": "jax#2"},
        {**ok, "pass": "cold", "contender": "numpy", "launch": None},
    ]
    done: Any = SimpleNamespace(cells=cells, groups=[])
    assert frozen.thaw(done, {"jax"}).verified == {(("c", "torch"), 0)}


@pytest.mark.parametrize(("left", "most"), [(600.0, 300.0), (0.0, None)])
def test_a_resumed_second_stage_keeps_to_what_is_left_of_the_budget(
    left: float, most: float | None
) -> None:
    """What a launch takes is not known yet: its turns may have half of what is left."""
    launched, told = [], []
    one = SimpleNamespace(id="c", contenders=["torch", "jax"])
    run: Any = SimpleNamespace(
        plan=SimpleNamespace(
            settings=settings(), comparisons=[one], natives={}, twin=None, own=set()
        ),
        last=None,
        left=left,
        counts={"c": 6},
        done=SimpleNamespace(events=[]),
        groups=[],
        rounds={},
        say=lambda *_, **__: None,
        writer=SimpleNamespace(write=lambda kind, **fields: told.append(fields["what"])),
        entrants=SimpleNamespace(unsettled=lambda: [one], undecided=lambda c: c.contenders),
        frozen=SimpleNamespace(able=lambda comparison: comparison.contenders),
        _worthwhile=lambda comparison: 10,
    )

    def launch(taking: dict[str, list[str]], seconds: float) -> None:
        launched.append(seconds)
        run.counts["c"] += 1

    run._launch_group = launch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "launches_planned", lambda *_: {"torch": 7, "jax": 7})
        Runner._second_stage(run)
    assert launched == ([] if most is None else [most])
    assert told == ["second stage", *(["budget"] if most is None else [])]


def test_further_launches_lose_rounds_and_then_the_comparisons_that_cost_most() -> None:
    spent = {"costly": Spent(100.0, 10.0, 10), "cheap": Spent(1.0, 10.0, 10)}
    launched, told = [], []
    both = [SimpleNamespace(id=name, contenders=["torch", "jax"]) for name in spent]
    run: Any = SimpleNamespace(
        plan=SimpleNamespace(
            settings=settings(), comparisons=both, natives={}, twin=None, own=set()
        ),
        last=Launch(spent, overhead=5.0, warmed=False),
        left=20.0,
        counts={"costly": 6, "cheap": 6},
        done=SimpleNamespace(events=[]),
        groups=[],
        rounds={"costly": 10, "cheap": 10},
        say=lambda *_, **__: None,
        writer=SimpleNamespace(write=lambda kind, **fields: told.append(fields["reason"])),
        entrants=SimpleNamespace(unsettled=lambda: both, undecided=lambda c: c.contenders),
        frozen=SimpleNamespace(able=lambda comparison: comparison.contenders),
        _worthwhile=lambda comparison: 24,
    )

    def launch(taking: dict[str, list[str]], seconds: float) -> None:
        launched.append(([*taking], run.rounds["cheap"]))
        run.counts |= {name: run.counts[name] + 1 for name in taking}
        run.last, run.left = Launch({"cheap": spent["cheap"]}, 5.0, False), 7.0

    run._launch_group = launch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "launches_planned", lambda *_: {"torch": 9, "jax": 9})
        Runner._second_stage(run)
    assert launched == [(["cheap"], 14)]  # then even the fewest rounds do not fit
    assert [text.split(" for ")[1] for text in told[1:]] == ["2 of 2 comparisons"]


def test_a_launch_that_was_cut_short_before_its_first_group_keeps_its_number(
    tmp_path: Path, planned: plan.Plan
) -> None:
    """Its cells were set up, and are recorded. A further start's number is another thing."""
    folder = tmp_path / "r"
    plan.begin(planned, folder)
    (folder / "environment.json").write_text('{"machine": {}, "contenders": {}}')
    writer = records.Writer(folder)
    for name, number in (("steady", None), ("steady", 2), ("again", 5)):
        cell = cold.blank(name, planned.comparisons[0].id, "numpy", None) | {"launch": number}
        writer.write("cell", **cell, **cold.outcome(WorkerFailed("timeout", "it hung")))
    writer.close()
    made = Runner(planned, folder, lambda *_, **__: None, 1.0)
    os.close(made.lock)
    assert made.launches == 2


def test_a_call_is_held_again_after_a_resume_unless_its_turns_were_recorded() -> None:
    """An interrupted launch has verified a first call, and held nothing after its turns."""
    ok = {"comparison": "c", "launch": 1, "status": "ok", "pass": "steady", "oracle": {}}
    cells = [{**ok, "contender": n, "oracle": {"worst": 1e-7}} for n in ("torch", "jax")]
    cells.append({**ok, "contender": "tensorflow", "oracle": None})  # nobody could tell
    turns = {name: [] for name in ("jax", "numpy", "tensorflow")}
    group = {"comparison": "c", "launch": 1, "statuses": {}, "turns": turns}
    done: Any = SimpleNamespace(cells=cells, groups=[group])
    thawed = frozen.thaw(done, {"numpy"})
    assert thawed.verified == {(("c", "torch"), 0), (("c", "jax"), 0)}
    assert thawed.still_right == {(("c", "jax"), 0)}
