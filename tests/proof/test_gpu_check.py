"""`make gpu-check` on a bare Python, and how it tells what failed. No GPU is needed."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import gpu_check
from harness.check import faults
from harness.commands import common
from harness.errors import Wrong
from harness.paths import ROOT
from harness.plan import inventory
from harness.record import records
from tests.support.gpu import question
from tests.support.synthetic import write_run


def test_a_python_without_what_measuring_needs_is_told_in_one_line() -> None:
    command = [sys.executable, "-S", "-m", "harness.gpu_check"]  # -S: no installed packages
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "gpu-check needs numpy, scipy, msgspec" in done.stderr


def test_a_python_that_cannot_look_for_gpus_says_what_it_lacks_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu_check.main(["--device", "cuda", "--only", "parity"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "this machine has" not in told
    assert "needs nvidia-ml-py, which" in told and "wheels" in told
    with pytest.raises(Wrong, match="lacks nvidia-ml-py: carry its wheel") as refused:
        common.device_of("cuda")
    assert "this machine has no other" not in str(refused.value)


# --- the parts, their time, and what is told at the end ---------------------------------------


def rows_of(*here: str) -> Callable[..., list[dict[str, Any]]]:
    """`inventory.contenders` of a Python that has these adapters' frameworks, and no other."""

    def rows(
        device: str, current: bool, named: Any = (), everyone: bool = True
    ) -> list[dict[str, Any]]:
        adapters = here if everyone else sorted({each.adapter for each in named})
        lacks = "it has no such package"
        return [
            inventory._found(
                inventory.Contender(name, variant=variant),
                device,
                {"version": "1.2", "missing": {} if name in here else {variant: lacks}},
            )
            for name in adapters
            for variant in inventory._variants(name)
        ]

    return rows


Noted = list[tuple[str, gpu_check.Asked, float]]


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Noted:
    """How parts that take no time were asked: their name, what, in how many seconds.

    The first fails.
    """
    asked: Noted = []

    def part(name: str) -> Callable[..., None]:
        def note(given: gpu_check.Asked, seconds: float, failures: list[str]) -> None:
            asked.append((name, given, seconds))
            failures += ["torch, relu: off"] if name == "parity" else []

        return note

    monkeypatch.setattr(gpu_check, "PARTS", {n: (n, part(n)) for n in gpu_check.PARTS})
    monkeypatch.setattr(
        gpu_check,
        "usual",
        lambda _, variants: ["torch", "torch:compile", "jax"] if variants else ["torch", "jax"],
    )
    monkeypatch.setattr(inventory, "contenders", rows_of("torch", "jax", "null"))
    monkeypatch.setattr(gpu_check, "has", lambda module: True)
    return asked


def test_a_failure_stops_nothing_and_is_told_at_the_end(
    noted: Noted, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_check.main(["--device", "cpu"]) == 1
    assert [name for name, *_ in noted] == ["parity", "agreement", "suite"]
    assert noted[0][1] == question(contenders=["torch", "jax"])
    told = capsys.readouterr()
    assert "FAILED torch, relu: off" in told.err
    assert "1 failed. Checked: parity, agreement, suite; torch, jax; " in told.out


def test_each_part_has_its_share_of_the_limit_and_the_suite_has_what_they_leave(
    noted: Noted,
) -> None:
    gpu_check.main(["--device", "cpu"])
    seconds = {name: given for name, _, given in noted}
    assert seconds["parity"] == 240 and seconds["agreement"] == 96
    assert 470 < seconds["suite"] <= 480  # they took nothing
    noted.clear()
    gpu_check.main(["--device", "cpu", "--only", "parity", "--limit", "10m"])
    assert 590 < noted[0][2] <= 600  # alone it has all of it


@pytest.mark.parametrize(
    ("arguments", "all_of_them"),
    [
        (["--only", "suite", "--suite", "full"], True),
        (["--only", "suite"], False),  # of eight minutes
        (["--only", "agreement,suite", "--suite", "full"], False),
    ],
)
def test_a_suite_of_a_gpu_s_sizes_alone_is_of_every_variant(
    noted: Noted, arguments: list[str], all_of_them: bool
) -> None:
    gpu_check.main(["--device", "cpu", *arguments])
    assert ("torch:compile" in noted[-1][1].contenders) == all_of_them


def test_one_part_can_be_asked_for_alone_of_some_contenders_and_for_longer(
    noted: Noted, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--device", "cpu", "--only", "suite", "--contenders", "jax", "--budget", "9m"]
    arguments += ["--suite", "full"]
    assert gpu_check.main(arguments) == 0
    [(_, asked, _)] = noted
    assert asked == question(
        contenders=["jax"], named=True, suite="full", workloads=None, budget=540.0
    )
    for wrong, told in (
        (["--only", "sweet"], "expected some of parity, agreement, suite"),
        (["--only", "suite", "--suite", "quirk"], "unknown suite 'quirk'"),
        (["--only", "suite", "--workloads", "resnet19"], "unknown workload 'resnet19'"),
        (["--limit", "soon"], "--limit 'soon': expected something like"),
        (["--contenders", "jxa"], "did you mean 'jax'"),
        (["--contenders", "torch,tensorflow"], "contender 'tensorflow': it has no such package"),
        (["--contenders", "torch,null"], "contender 'null': it computes nothing"),
    ):
        assert gpu_check.main(["--device", "cpu", *wrong]) == 2
        assert told in capsys.readouterr().err


def test_the_last_line_says_what_was_checked_and_what_was_not(
    noted: Noted, capsys: pytest.CaptureFixture[str]
) -> None:
    def last(*arguments: str) -> str:
        assert gpu_check.main(["--device", "cpu", "--only", "agreement,suite", *arguments]) == 0
        return capsys.readouterr().out.splitlines()[-1]

    assert last() == (
        "Everything agrees. Checked: agreement, suite; torch, jax; float32; not torch.compile."
    )
    assert last("--contenders", "jax").endswith("suite; jax; float32.")
    assert last("--contenders", "torch:compile").endswith("suite; torch:compile; float32.")


def test_what_no_pytorch_is_there_for_is_not_called_checked(
    noted: Noted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_check, "has", lambda module: module != "torch")
    assert gpu_check.main(["--device", "cpu", "--contenders", "jax"]) == 1
    told = capsys.readouterr().out
    assert "agreement is not checked: there is no PyTorch here" in told
    assert "Checked: parity, suite; jax; float32." in told
    assert gpu_check.main(["--device", "cpu", "--only", "agreement"]) == 2


def test_an_interrupted_check_tells_what_it_found(
    noted: Noted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(gpu_check.PARTS, "agreement", ("agreement", interrupted))
    assert gpu_check.main(["--device", "cpu"]) == 130
    told = capsys.readouterr()
    assert "FAILED torch, relu: off" in told.err
    assert told.out.endswith("Interrupted; 1 failed until then.\n")


def test_a_device_that_is_not_here_and_a_python_with_no_framework_exit_with_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_check.main(["--device", "cuda:99"]) == 2
    assert "this machine has cpu" in capsys.readouterr().err
    monkeypatch.setattr(inventory, "contenders", lambda *_, **__: [])
    assert gpu_check.main(["--device", "cpu"]) == 2
    assert "no framework that Bakeoff knows" in capsys.readouterr().err


def test_a_gpu_that_contenders_cannot_share_is_told_at_once(
    noted: Noted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_check.machine, "devices", lambda: ["cpu", "cuda:0"])
    monkeypatch.setattr(gpu_check.gpus, "alone", lambda index: "one process alone")
    assert gpu_check.main(["--device", "cuda"]) == 2 and not noted
    assert "its compute mode admits one process alone" in capsys.readouterr().err


def test_who_takes_part_only_where_it_is_named_is_left_out_and_so_are_variants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = rows_of("torch", "jax", "onnxruntime", "numpy")
    monkeypatch.setattr(inventory, "contenders", here)
    assert gpu_check.usual("cuda:0") == ["torch", "jax"]
    assert gpu_check.usual("cpu") == ["torch", "jax", "numpy"]
    for_an_hour = gpu_check.usual("cuda:0", variants=True)
    assert {"torch", "torch:contiguous", "torch:compile", "jax", "jax:nchw"} <= {*for_an_hour}
    assert "onnxruntime" not in for_an_hour


# --- the suite --------------------------------------------------------------------------------


def test_a_run_lies_where_it_is_said_to_lie_though_it_is_started_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BAKEOFF_RESULTS", "mine")
    write = "import os; open(os.environ['BAKEOFF_RESULTS'], 'w')"
    assert gpu_check._ended([sys.executable, "-c", write], 20.0) == 0
    assert (tmp_path / "mine").is_file()


def _shut(folder: Path, name: str, reason: str) -> None:
    """Who did not open, as a run's environment has it."""
    path = folder / "environment.json"
    environment = json.loads(path.read_text())
    environment["contenders"][name] |= {"status": "unsupported", "reason": reason}
    path.write_text(json.dumps(environment))


def test_what_a_run_s_records_hold_against_anybody_has_failed(tmp_path: Path) -> None:
    failures = {
        ("relu", "torch"): ("wrong", "output off"),
        ("relu", "numpy"): ("unsupported", "no such thing"),
        ("resnet20", "jax"): ("unsupported", "no cuda device"),
    }
    folder = write_run(tmp_path / "r", failures=failures, absent=[{"name": "x", "reason": "gone"}])
    _shut(folder, "jax", "no cuda device")
    writer = records.Writer(folder)
    writer.write("event", what="unverified", reason="resnet18: no contender could be verified")
    writer.write("event", what="busy", reason="before measuring: others compute")
    writer.close()
    found = [
        "jax: unsupported: no cuda device",
        "torch, relu/b32/infer/float32/cpu: wrong: output off",
        "x: gone",
        "resnet18: no contender could be verified",
    ]
    assert faults.told(records.read(folder), named=False) == found
    named = faults.told(records.read(folder), named=True)
    assert sorted({*named} - {*found}) == [
        "numpy, relu/b32/infer/float32/cpu: unsupported: no such thing"
    ]
    assert faults.told(records.read(write_run(tmp_path / "well")), named=True) == []


def _measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float, ended: Any = 0, **asked: Any
) -> tuple[list[str], list[str]]:
    """The command by which the suite is run, and what failed: in a run that torch got wrong.

    It leaves a compiler's cache, as one that is killed.
    """
    commands: list[list[str]] = []

    def run(command: list[str], given: float) -> int:
        commands.append(command)
        assert given == seconds - 25  # to tell its verdicts, and to be gone
        write_run(tmp_path / "gpu-check", failures={("relu", "torch"): ("crash", "it died")})
        (tmp_path / "gpu-check" / "cache" / "torch").mkdir(parents=True)
        if isinstance(ended, Exception):
            raise ended
        return ended

    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path))
    monkeypatch.setattr(gpu_check, "_ended", run)
    failures: list[str] = []
    gpu_check.measure(question(**asked), seconds, failures)
    assert not (tmp_path / "gpu-check" / "cache").exists()
    return commands[0] if commands else [], failures


def test_launches_that_decide_nothing_are_told_and_few_of_whom_the_rest_left_are_not(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path / "few", {"torch": 1.0, "jax": 2.0}, launches=3)
    run = records.read(folder)
    assert (faults.too_few(run) or "").startswith("3 launches of all of it, where 6 decide")
    run = records.read(folder)
    places = [(c["id"], n) for c in run.plan["comparisons"] for n in ("jax", "torch#2")]
    run.events.extend({"what": "settled", "comparison": c, "contender": n} for c, n in places)
    assert faults.too_few(run) is None
    whole = records.read(write_run(tmp_path / "whole", {"torch": 1.0, "jax": 2.0}))
    assert faults.too_few(whole) is None


def test_the_suite_has_what_it_was_given_and_no_more_than_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def budget(name: str, seconds: float, **asked: Any) -> str:
        command, _ = _measured(monkeypatch, tmp_path / name, seconds, **asked)
        return command[command.index("--budget") + 1]

    assert budget("a", 400) == "350s"
    assert budget("b", 400, budget=90.0) == "90s"
    command, failures = _measured(monkeypatch, tmp_path / "c", 90)
    assert command == []
    [failure] = failures
    assert "not measured: 90 s were left, and 110 are needed; give a longer --limit" in failure


def test_by_default_six_launches_of_a_few_workloads_are_asked_for_and_of_another_suite_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command, _ = _measured(monkeypatch, tmp_path / "a", 400)
    assert command[command.index("--workloads") + 1] == gpu_check.FEW
    assert command[command.index("--contenders") + 1] == "torch"
    command, _ = _measured(monkeypatch, tmp_path / "b", 400, suite="full", workloads=None)
    assert "--workloads" not in command


def test_a_run_s_failures_count_however_it_ended_and_it_is_carried_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    died = "torch, relu/b32/infer/float32/cpu: crash: it died"
    assert _measured(monkeypatch, tmp_path / "a", 400)[1] == [died]
    found = _measured(monkeypatch, tmp_path / "b", 400, ended=1)[1]
    assert found == ["bakeoff run ended with exit status 1", died]
    late = subprocess.TimeoutExpired("bakeoff", 380)
    found = _measured(monkeypatch, tmp_path / "c", 400, ended=late)[1]
    assert found[0].endswith("was ended; what it measured is kept") and found[1] == died
    told = capsys.readouterr().out
    assert told.count("  carry gpu-check.tgz home; there, ") == 3
    assert told.count("`bakeoff report gpu-check` writes its page") == 3


def test_a_run_is_packed_by_the_command_that_is_told_with_its_logs_and_without_caches(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path / "my results" / "gpu-check-2")
    (folder / "cache").mkdir()
    command = gpu_check._packing(folder)
    assert command == (
        f"tar -C '{tmp_path}/my results' --exclude=cache -czf gpu-check-2.tgz gpu-check-2"
    )
    (folder.parent / "gpu-check-logs" / "torch").mkdir(parents=True)
    command = gpu_check._packing(folder)
    assert command.endswith(" gpu-check-2 gpu-check-logs")
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True)
    (home := tmp_path / "home").mkdir()
    subprocess.run(["tar", "-C", home, "-xzf", tmp_path / "gpu-check-2.tgz"], check=True)
    assert (home / "gpu-check-logs" / "torch").is_dir()
    assert {path.name for path in (home / "gpu-check-2").iterdir()} == {
        path.name for path in folder.iterdir()
    } - {"cache"}


def test_a_run_that_is_out_of_time_is_told_so_and_may_tell_its_verdicts(tmp_path: Path) -> None:
    code = (
        "import pathlib, signal, sys, time\n"
        "def told(*_):\n"
        "    time.sleep(0.5)\n"
        "    pathlib.Path(sys.argv[1]).touch()\n"
        "    sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, told)\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(subprocess.TimeoutExpired):
        gpu_check._ended([sys.executable, "-c", code, str(tmp_path / "verdicts")], 5.0)
    assert (tmp_path / "verdicts").exists()


def test_a_run_that_a_terminal_has_interrupted_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    did: list[Any] = []

    class Child:
        terminate = kill = lambda self: did.append("signal")

        def __init__(self, *_: Any, **__: Any): ...

        def wait(self, seconds: float) -> None:
            did.append(seconds)
            if len(did) == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Child)
    with pytest.raises(KeyboardInterrupt):
        gpu_check._ended(["bakeoff"], 100)
    # A signal kills what has not ended, and that is waited for, so that its cache can go.
    assert did[:3] == [100, gpu_check.PATIENCE, "signal"]
    [gone] = did[3:]
    assert 0 < gone < gpu_check.RESERVE
