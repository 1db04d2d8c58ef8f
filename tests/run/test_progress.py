"""Claims about what is shown while a run goes on."""

import io
import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from rich.console import Console

from harness.commands import measuring
from harness.plan import fitting, suite
from harness.run import progress, runner
from harness.run.progress import Progress
from harness.stats import readings
from reports import terminal, verdicts
from tests.support.plans import planned
from tests.support.synthetic import edit_groups, write_run


def _told(folder: Path) -> str:
    groups: list[dict[str, Any]] = []
    edit_groups(folder, lambda group: groups.append(group) is None)
    console = Console(file=io.StringIO(), width=200)
    plan = json.loads((folder / "plan.json").read_text())
    by = {each["id"]: readings.rank_of(each)[0] for each in plan["comparisons"]}
    with Progress(console, 60.0, ["torch", "jax"], by) as say:
        for group in groups:
            say("record", record=json.loads(json.dumps(group)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_who_is_ahead_in_training_is_read_from_turns(tmp_path: Path) -> None:
    """An asynchronous framework's queued calls return at once."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0, "null": 0.001})

    def queue(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["jax"] if group["direction"] == "train" else ():
            kept = turn["calls"][turn["dropped"] :]
            turn["calls"][turn["dropped"] :] = [1000] * (len(kept) - 1) + [sum(kept)]
        return True

    edit_groups(folder, queue)
    lines = [line for line in _told(folder).splitlines() if "ahead" in line]
    assert len(lines) == 4 * 2  # after the first launch, and after the sixth
    assert all(re.search(r"torch ahead, 0\.(49|50|51)x the time of jax", line) for line in lines)


def test_who_is_ahead_in_training_without_a_pause_is_read_as_the_report_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals: None
) -> None:
    shown: dict[str, str] = {}

    class Told(Progress):
        def __init__(self, console: Console, budget: float, ranked: list[str], by: dict[str, str]):
            super().__init__(console, budget, ranked, by)
            shown.update(by)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    full = suite.load("full")
    asked = [c for c in full.comparisons if c.workload == "resnet50" and c.headline]
    made, _ = planned(full, ["torch"], asked, budget=3600.0, device="cuda:0", named=True)
    monkeypatch.setattr(progress, "Progress", Told)
    monkeypatch.setattr(runner, "Runner", interrupted)
    with pytest.raises(typer.Exit):
        measuring.measure(made, tmp_path, Console(file=io.StringIO()), 1.0, False)
    assert [*shown.values()] == ["sustained", "latency"]


def test_how_long_a_budget_would_have_to_be_is_what_was_spent_and_what_is_wanting() -> None:
    with Progress(Console(file=io.StringIO()), 60.0, [], {}) as say:
        say("budget", reason="spent")
        assert say.needs is None
        say.begin -= 60
        say("budget", reason="3 of 6 launches fit into 60s", needs=90.0)
        assert say.needs is not None and 150 <= say.needs < 160
        assert say.wanting == pytest.approx(90)


def test_a_budget_to_go_on_with_is_what_is_missing_and_opening_all_again() -> None:
    """Launches past the first six were not among those that had no room."""

    def at(seconds: float, what: str, **fields: Any) -> None:
        say.begin = time.monotonic() - seconds
        say(what, **fields)

    by = {"c": "latency"}
    with Progress(Console(file=io.StringIO()), 100.0, [], by) as say:
        at(20, "oracle", comparison="c")  # answers are kept, and so are cold starts
        at(35, "group", launch=1, left=65.0, comparisons=["c"])
        at(40, "room", reason="d had to leave after launch 1", needs=100.0)
        record = {"comparison": "c", "statuses": {}, "turns": {}, "names": []}
        say.groups, say._standing = [], lambda _: ""  # type: ignore[method-assign]
        at(70, "record", record={**record, "launch": 6})
        at(95, "record", record={**record, "launch": 9})
    assert say.wanting == pytest.approx(40 + 100 - 70 + 20, abs=1)


@pytest.mark.parametrize("resumed", [False, True])
def test_what_a_resumed_run_still_wants_is_asked_for_and_not_what_all_of_it_takes(
    resumed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its budget begins anew; nobody knows here what the part before it took."""

    class Short:
        def __init__(self, planned: Any, folder: Path, say: Progress, timeout: float):
            self.say = say

        def run(self) -> None:
            self.say.begin -= 290
            self.say("budget", reason="2 of 6 launches fit", needs=60.0)

    made, _ = planned(suite.load("smoke"), ["numpy"], budget=300.0)
    monkeypatch.setattr(runner, "Runner", Short)
    if resumed:
        (tmp_path / "environment.json").write_text("{}")
        monkeypatch.setattr(measuring.records, "read", lambda _: SimpleNamespace(groups=[]))
        monkeypatch.setattr(terminal, "render", lambda *_: None)
        monkeypatch.setattr(verdicts, "analyse", lambda _: None)
        monkeypatch.setattr(measuring, "earlier", lambda _: [])
    console = Console(file=io.StringIO(), width=300)
    with pytest.raises(typer.Exit):  # nothing was measured, by this one
        measuring.measure(made, tmp_path, console, 1.0, False)
    [line] = [x for x in console.file.getvalue().splitlines() if "Too short" in x]  # type: ignore[attr-defined]
    go_on = f"go on: bakeoff run --resume {measuring.named(tmp_path)} --budget 60s"
    whole = "" if resumed else ": 6 launches need about 6m; give --budget 6m"
    assert line == f"Too short to decide{whole}{'; ' if resumed else ', or '}{go_on}"


def test_a_budget_that_held_six_launches_of_some_is_too_short_for_all() -> None:
    console = Console(file=io.StringIO(), width=200)
    with Progress(console, 60.0, [], {}) as say:
        say("room", reason="c had to leave after launch 1", needs=90.0)
        assert say.partly and say.needs is not None and say.needs >= 90
        assert "had to leave" in console.file.getvalue()  # type: ignore[attr-defined]
        told = fitting.too_short(say.needs, "all")
        assert told.startswith("Too short to decide all: 6 launches need about 9")
        say("room", reason="b had to leave after launch 2", needs=30.0)  # all without c
        assert say.needs >= 90
        say("budget", reason="5 of 6 launches fit into 60s", needs=20.0)
        assert not say.partly


def test_a_run_past_its_budget_says_so() -> None:
    console = Console(file=io.StringIO())
    assert "past its budget" in Progress(console, 0.0, [], {}).__rich__().plain
    assert "at most 1:00 more" in Progress(console, 60.5, [], {}).__rich__().plain
