"""Claims about the command that measures something again: it asks what the run asked."""

import json
import math
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.commands import measure
from harness.host import machine
from harness.record import records
from reports.trust import again
from reports.verdicts import analyse
from tests.support.synthetic import WORKLOADS, write_run

OWN = """
[[compare]]
workload = "relu_16x32x32"
batch = 7
[[compare]]
workload = "lenet5"
batch = 3
precision = ["float32", "float64"]
"""


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The plans that `bakeoff run` makes here, none of which is measured."""
    made: list[Any] = []

    def greeted(plan: Any, folder: Path, *_: Any) -> None:
        environment = {"machine": machine.describe(), "contenders": {}}
        (folder / "environment.json").write_text(json.dumps(environment))
        made.append(plan)

    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(measure, "measure", greeted)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text(OWN)
    yield made


def _run(command: str) -> None:
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output


OPTIONS = [
    "--suite own.toml",
    "--suite own.toml --threads 1 --allocator as-shipped --python current",
    "--suite quick --workloads relu_64x56x56,lenet5",
    "--workloads lenet5 --precision float64",
    "--suite quick --workloads lenet5,resnet18 --batch 2,3",
    "--suite quick --workloads lenet5 --direction fwd_bwd,train --size 32,40 --batch 2",
    "--suite quick --direction train --precision float32,float64",
    "--suite own.toml --workloads lenet5 --precision float32",
]


@pytest.mark.parametrize("options", OPTIONS)
def test_measured_again_means_the_same_work_in_the_same_settings(
    planned: list[Any], tmp_path: Path, options: str
) -> None:
    _run(f"bakeoff run --contenders numpy,numpy --device cpu --run-id first {options}")
    [first] = planned
    run = records.read(tmp_path / "results" / "first")
    for number, comparison in enumerate(run.plan["comparisons"]):
        said = again.command(run, [comparison], comparison["contenders"])
        _run(f"{said} --run-id again-{number}")
        second = planned[-1]
        assert [comparison["id"]] == [each.id for each in second.comparisons]
        assert [c.name for c in second.contenders] == [c.name for c in first.contenders]
        for key in ("device", "python", "threads", "allocator"):
            assert getattr(second.settings, key) == getattr(first.settings, key)


@pytest.mark.parametrize("options", OPTIONS[-4:-2])
def test_all_of_a_run_is_asked_again_where_options_multiply_to_it(
    planned: list[Any], tmp_path: Path, options: str
) -> None:
    _run(f"bakeoff run --contenders numpy,numpy --device cpu --run-id first {options}")
    run = records.read(tmp_path / "results" / "first")
    chosen = [c for c in run.plan["comparisons"] if c["workload"] == "lenet5"]
    _run(f"{again.command(run, chosen, ['numpy'])} --run-id again")
    assert [c["id"] for c in chosen] == [each.id for each in planned[-1].comparisons]
    assert len(chosen) == 4


def test_how_long_a_warm_up_may_take_is_the_suites_and_not_its_names(
    planned: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "quick.toml").write_text(OWN)
    (tmp_path / "slow.toml").write_text(f'warm_up = "2m"\n{OWN}')
    for suite in ("quick", "smoke", "quick.toml", "slow.toml"):
        _run(f"bakeoff run --contenders numpy --device cpu --suite {suite} --run-id of-{suite}")
    limits = [each.settings.warmup_limit_s for each in planned]
    assert limits == [3.0, 3.0, 30.0, 120.0]


def test_a_run_of_many_threads_elsewhere_says_how_many(tmp_path: Path) -> None:
    """The machine that it is run on again may have another number of cores."""
    settings = {"device": "cuda:1", "python": "own", "threads": 16, "allocator": "as-shipped"}
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0}, settings=settings)
    said = analyse(records.read(folder)).comparisons[0].command
    assert "--device cuda:1 --threads 16 --allocator as-shipped" in said
    assert "torch#2" not in said


def _minutes(seconds: float) -> str:
    return f"{max(2, math.ceil(1.2 * seconds / 60))}m"


def test_the_budget_is_what_six_launches_took(tmp_path: Path) -> None:
    """A record is written when a visit is over, a launch's first with its start: ten seconds, and
    visits of five and of seven, in another order in every other launch."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0}, workloads=WORKLOADS[1:3])
    path, names = (
        folder / "records-000.jsonl",
        [c["id"] for c in records.read(folder).plan["comparisons"]],
    )
    seconds, found = dict(zip(names, (5.0, 7.0), strict=True)), records_of(path)

    def turned(group: dict[str, Any]) -> tuple[int, int]:
        place = names.index(group["comparison"])
        return group["launch"], place if group["launch"] % 2 else -place

    groups = sorted((each for each in found if each["kind"] == "group"), key=turned)
    clock = 1e9
    for before, group in zip([{"launch": 0}, *groups], groups, strict=False):
        clock += seconds[group["comparison"]] + 10.0 * (before["launch"] != group["launch"])
        group["at"] = datetime.fromtimestamp(clock, UTC).isoformat()
    others = [each for each in found if each["kind"] != "group"]
    write(path, [*others, *groups])
    cold = {
        name: sum(
            each["seconds"]["total"]
            for each in others
            if each["kind"] == "cell" and each["comparison"] == name and each["seconds"]
        )
        for name in names
    }

    def budget(name: str) -> str:
        run = records.read(folder)
        [asked] = [c for c in run.plan["comparisons"] if c["id"] == name]
        return again.command(run, [asked], ["torch"]).partition("--budget ")[2]

    for name in names:
        took = 6 * (10 + seconds[name]) + cold[name]
        assert budget(name) == _minutes(took)
    # The suite has one of them in another precision, and larger: that was left out, and stays so.
    plan = json.loads((folder / "plan.json").read_text())
    low = names[1].replace("float32", "bfloat16")
    larger = low.replace("/b32/", "/b64/")
    plan["left_out"] = [{"comparison": c, "reason": "no room"} for c in (low, larger, f"{low}/odd")]
    (folder / "plan.json").write_text(json.dumps(plan))
    run = records.read(folder)
    [asked] = [c for c in run.plan["comparisons"] if c["id"] == names[1]]
    alone = 6 * (10 + seconds[names[1]]) + cold[names[1]]
    said = again.command(run, [asked], ["torch"])
    assert f"--precision float32 --contenders torch --device cpu --budget {_minutes(alone)}" in said
    whole = 6 * (10 + 2 * seconds[names[1]]) + 2 * cold[names[1]]
    both = again.command(run, [asked, {**asked, "precision": "bfloat16"}], ["torch"])
    end = f"--contenders torch --device cpu --budget {_minutes(whole)}"
    assert both.endswith(f"--batch 32 --precision float32,bfloat16 {end}")
    # Of several that no options multiply to, what they do not share is as the suite has it.
    odd = again.command(run, [asked, {**asked, "precision": "bfloat16", "batch": 64}], ["torch"])
    whole = 6 * (10 + 3 * seconds[names[1]]) + 3 * cold[names[1]]
    end = f"--contenders torch --device cpu --budget {_minutes(whole)}"
    assert odd.endswith(f"--workloads resnet20 --direction infer {end}")
    endless = [{**each, "seconds": {"total": 1e308}} for each in others if each["kind"] == "cell"]
    write(path, [*others, *endless, *groups])
    assert budget(names[0]) == ""
    for odd in ("never", None, 7):
        write(path, [*others, *({**group, "at": odd} for group in groups)])
        assert budget(names[0]) == ""


def records_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, found: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in found))
