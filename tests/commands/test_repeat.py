"""Claims about a run that is repeated: the same plan, a name of its own, one page of all."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
import typer

from harness.commands import repeat
from harness.errors import Wrong
from harness.plan import plan
from harness.record import records
from tests.conftest import Typed, refused
from tests.support.runs import RELU, Start, measured, suite_of
from tests.support.synthetic import WORKLOADS, write_run


def test_each_repetition_is_a_run_of_the_same_plan_and_one_answer_is_of_them_all(
    bakeoff: Start, tmp_path: Path
) -> None:
    suite = suite_of(tmp_path, RELU)
    measured(bakeoff, tmp_path, suite, "numpy,numpy", launches=1)
    Path(suite).unlink()  # a suite that is gone, or another by now, changes nothing
    process = bakeoff("repeat", "r", "--times", "2", "--no-page")
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    first, *again = (plan.read(tmp_path / name) for name in ("r", "r-2", "r-3"))
    for made in again:
        assert (
            made.created >= first.created and made.command == "bakeoff repeat r --times 2 --no-page"
        )
        own = {"run": first.run, "created": first.created, "command": first.command}
        assert msgspec.structs.replace(made, **own) == first
        [group] = records.read(tmp_path / made.run).groups
        assert group["turns"]
    assert "r · r-2 · r-3" in told


def test_another_version_is_no_repetition(typed: Typed, bakeoff: Start, tmp_path: Path) -> None:
    measured(bakeoff, tmp_path, suite_of(tmp_path, RELU), "numpy", launches=1)
    made = plan.read(tmp_path / "r")
    before = {**made.fingerprint, "version of numpy": "0.1"}
    plan.write(msgspec.structs.replace(made, fingerprint=before), tmp_path / "r")
    words = ("cannot repeat: version of numpy was 0.1", "bakeoff run")
    refused(typed("repeat", "r"), *words)
    assert not (tmp_path / "r-2").exists()


def test_a_repetition_of_a_repetition_is_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path))
    for name in ("mine", "mine-2", "mine-10", "mine-x", "other-7"):
        write_run(tmp_path / name, launches=1)
    (tmp_path / "published").mkdir()
    write_run(tmp_path / "published" / "mine-11", launches=1)
    assert repeat._first(tmp_path / "mine-10") == tmp_path / "mine"
    assert repeat._first(tmp_path / "other-7") == tmp_path / "other-7"
    assert repeat._free("mine") == "mine-12"
    assert repeat._free("other-7") == "other-7-2"


def test_only_runs_of_the_same_are_put_on_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path))
    for name in ("mine", "mine-2", "mine-3", "mine-4", "mine-5", "mine-more-2"):
        write_run(tmp_path / name, launches=1)
    write_run(tmp_path / "mine-6", launches=1, workloads=WORKLOADS[:2])  # another question
    write_run(tmp_path / "mine-7", launches=1, budget_s=60.0)
    (tmp_path / "mine-8").mkdir()  # its greeting was interrupted
    shutil.copy(tmp_path / "mine" / "plan.json", tmp_path / "mine-8")
    environment = json.loads((tmp_path / "mine-3" / "environment.json").read_text())
    environment["machine"]["cpu"] = "Another processor"
    (tmp_path / "mine-3" / "environment.json").write_text(json.dumps(environment))
    (tmp_path / "mine-4" / "plan.json").write_text("{")
    for path in (tmp_path / "mine-5").glob("records-*"):
        path.unlink()
    for name in ("mine", "mine-2"):
        found = repeat._replicates(tmp_path / name, "mine")
        assert sorted(run.name for run in found) == ["mine", "mine-2"]


def test_each_begins_so_long_after_the_one_before(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first at once; and where one took longer than that, the next one too."""
    now, slept = 0.0, []
    takes = iter((600.0, 4000.0, 600.0))

    def measure(*_: object, **__: object) -> None:
        nonlocal now
        now += next(takes)

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    write_run(tmp_path / "r", launches=1)
    monkeypatch.setattr(repeat, "_begin", lambda *_: (None, tmp_path / "r"))
    monkeypatch.setattr(repeat, "measure", measure)
    monkeypatch.setattr(repeat.time, "monotonic", lambda: now)
    monkeypatch.setattr(repeat.time, "sleep", sleep)
    done = typed("repeat", "r", "--times", "3", "--every", "1h", "--no-page")
    assert done.returncode == 0, done.stderr
    assert slept == [3000.0]
    assert done.stdout.count("Ctrl-C ends here") == 1


def test_who_is_interrupted_is_told_how_to_have_the_rest(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise typer.Exit(130)

    write_run(tmp_path / "r", launches=1)
    monkeypatch.setattr(repeat, "_begin", lambda *_: (None, tmp_path / "r"))
    monkeypatch.setattr(repeat, "measure", interrupted)
    done = typed("repeat", "r", "--times", "3")
    assert done.returncode == 130
    assert "What is left then: bakeoff repeat r --times 2" in done.stdout


def test_who_is_interrupted_between_two_runs_is_told_that_as_well(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    write_run(tmp_path / "r", launches=1)
    monkeypatch.setattr(repeat, "_begin", lambda *_: (None, tmp_path / "r"))
    monkeypatch.setattr(repeat, "measure", lambda *_, **__: None)
    monkeypatch.setattr(repeat.time, "sleep", interrupted)
    done = typed("repeat", "r", "--times", "3", "--every", "2h")
    assert done.returncode == 130
    assert "What is left then: bakeoff repeat r --times 2" in done.stdout


def test_what_was_measured_before_an_upgrade_is_still_told_together(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("r", "r-2"):
        write_run(tmp_path / name)
    found = [records.read(tmp_path / name) for name in ("r-2", "r")]
    begun: list[str] = []

    def begin(folder: Path, name: str) -> tuple[None, Path]:
        begun.append(name)
        if len(begun) > 1:
            raise Wrong("cannot repeat: version of torch was 2.12, is 2.13")
        return None, tmp_path / "r-2"

    monkeypatch.setattr(repeat, "_begin", begin)
    monkeypatch.setattr(repeat, "measure", lambda *_, **__: None)
    monkeypatch.setattr(repeat, "_replicates", lambda folder, family: found)
    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path))
    answer = typed("repeat", "r", "--times", "3", "--no-page")
    assert answer.returncode == 2 and "version of torch was 2.12" in answer.stderr
    assert "Over 2 runs" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("repeat", "nosuch"), ("nosuch",)),
        (("repeat", "r", "--every", "soon"), ("--every 'soon'", "1h30m")),
        (("repeat", "r", "--times", "0"), ("--times",)),
    ],
)
def test_what_cannot_be_repeated_is_one_line(
    typed: Typed, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    write_run(tmp_path / "r", launches=1)
    refused(typed(*arguments), *words)
