"""Claims about a run whose code, or whose framework, became another one meanwhile."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from rich.console import Console

from harness.commands import measuring
from harness.errors import Wrong
from harness.plan import code, plan, resuming
from harness.process.launch import Launcher
from harness.record import records
from harness.run import runner
from harness.run.runner import Runner
from harness.run.steady import LaunchGroup
from tests.support.synthetic import write_run


def test_a_run_whose_code_was_edited_meanwhile_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: plan.Plan
) -> None:
    """Between two launches: the second's workers would run other code than the first's."""
    launched = []

    class Group:
        def __init__(self, number: int, refuse: Callable[[], None], **_: Any):
            self.number, self.refuse = number, refuse

        def measure(self, *_: Any) -> None:
            self.refuse()
            launched.append(self.number)

    for name in ("_greet", "_ask_oracle", "_cold_pass"):
        monkeypatch.setattr(Runner, name, lambda self: None)
    monkeypatch.setattr(runner, "LaunchGroup", Group)
    found = iter([planned.fingerprint["code"], "0123456789abcdef"])
    monkeypatch.setattr(code, "measuring", lambda _: next(found))
    plan.begin(planned, tmp_path / "r")
    with pytest.raises(resuming.Edited, match=r"the code changed during the run: .* is kept"):
        Runner(planned, tmp_path / "r", lambda *_, **__: None, 1.0).run()
    assert launched == [1]
    [event] = map(json.loads, (tmp_path / "r" / "records-000.jsonl").read_text().splitlines())
    assert event["what"] == "edited" and "harness/" in event["reason"]


def test_a_run_whose_framework_was_upgraded_meanwhile_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: plan.Plan
) -> None:
    """Before anything of that launch is asked for or written down."""
    asked: list[str] = []

    class Worker:
        def ask(self, do: str, **_: Any) -> dict[str, Any]:
            asked.append(do)
            return {"manifest": {"version": "2.5"}}

        def stop(self) -> None: ...

        def kill(self) -> None: ...

        def close(self, by_force: bool) -> None: ...

    def start(self: Launcher, *_: Any) -> Any:
        self.live.append(Worker())  # type: ignore[arg-type]
        return self.live[-1]

    seen = {"numpy": {"manifest": {"version": "2.4"}}}
    told = {"machine": {}, "contenders": seen}
    greeted = SimpleNamespace(failed={}, seen=seen, environment=lambda launcher: told)
    monkeypatch.setattr(runner, "greet", lambda *_: greeted)
    monkeypatch.setattr(runner, "look_for_load", lambda *_: None)
    monkeypatch.setattr(Runner, "_ask_oracle", lambda self: None)
    monkeypatch.setattr(Launcher, "start", start)
    plan.begin(planned, tmp_path / "r")
    for _ in ("at first", "resumed"):
        with pytest.raises(resuming.Edited, match=r"numpy.* was upgraded .* 2\.4, is 2\.5"):
            Runner(planned, tmp_path / "r", lambda *_, **__: None, 1.0).run()
    events = [e["what"] for e in records.read(tmp_path / "r").events]
    assert events == ["edited", "resumed", "edited"] and {*asked} == {"open"}
    assert not records.read(tmp_path / "r").cells


def test_a_contender_that_is_no_more_is_told_as_other_code(planned: plan.Plan) -> None:
    gone = [msgspec.structs.replace(c, variant="renamed") for c in planned.contenders]
    now = resuming.fingerprint({}, "cpu", gone)
    with pytest.raises(Wrong, match=r"cannot resume: code was .*, is unreadable"):
        resuming.refuse_change({**now, "code": planned.fingerprint["code"]}, now)


def test_a_process_that_would_start_from_edited_code_does_not(
    tmp_path: Path, planned: plan.Plan
) -> None:
    """Within a launch, too: for another precision, or in place of one that died."""
    edited = resuming.Edited("edited")

    def refuse() -> None:
        raise edited

    nothing: Any = SimpleNamespace(threads=2, of=lambda threads: None)
    group = LaunchGroup(
        launcher=nothing, number=1, begun=1, contenders={}, answers={}, frozen=nothing,
        warmup_limit=1.0, autotuned=set(), rng=nothing, write=print,
        say=lambda *_, **__: None, refuse=refuse,
    )  # fmt: skip
    with pytest.raises(resuming.Edited):
        group._launch(["torch"], nothing)
    assert not group.workers


def test_a_file_that_is_gone_while_the_code_is_read_is_an_edit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone() -> str:
        raise FileNotFoundError

    with pytest.raises(resuming.Edited):
        resuming.refuse_edited("0123456789abcdef", gone)


def test_what_was_measured_before_an_edit_is_shown_and_the_command_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: plan.Plan, signals: None
) -> None:
    class Edited:
        def __init__(self, *_: Any): ...

        def run(self) -> None:
            raise resuming.Edited("edited")

    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path))
    monkeypatch.setattr(runner, "Runner", Edited)
    console = Console(file=StringIO(), width=200)
    with pytest.raises(resuming.Edited, match="edited"):
        measuring.measure(planned, write_run(tmp_path / "r"), console, 1.0, False)
    assert "torch:compile" in console.file.getvalue()  # type: ignore[attr-defined]
