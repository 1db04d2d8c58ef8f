"""Claims about the doctor: what would spoil a measurement is found, with what to do about it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from harness import doctor
from harness.host import cgroups, gpus, machine
from harness.paths import ROOT
from tests.support.gpu import FakeDriver


@pytest.fixture(autouse=True)
def nobody_names_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def _states(findings: Iterator[doctor.Finding]) -> list[tuple[str, str]]:
    return [(finding.name, finding.state) for finding in findings]


def test_a_busy_machine_is_a_warning_that_names_who(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = {"load1": 2.0, "foreign_cpu_share": 0.6, "steal_share": 0.0}
    monkeypatch.setattr(machine, "busy_now", lambda: busy)
    [finding] = doctor._load()
    assert finding.state == "warn" and "60%" in finding.what and "close" in finding.advice
    monkeypatch.setattr(machine, "busy_now", lambda: {**busy, "foreign_cpu_share": 0.01})
    assert _states(doctor._load()) == [("load", "ok")]


def test_programs_that_hide_their_names_and_are_as_busy_as_each_other_are_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def process(pid: int, name: str | None) -> SimpleNamespace:
        return SimpleNamespace(pid=pid, info={"name": name}, cpu_percent=lambda: 40.0)

    others = [process(-1, None), process(-2, "spin"), process(-3, None)]
    monkeypatch.setattr(psutil, "process_iter", lambda asked: others)
    assert re.fullmatch(r"; the busiest is \w+ \(40% of a core\)", doctor._busiest())


def test_a_container_s_quota_is_noted_and_one_that_stops_even_one_thread_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "cpu_set", lambda: {*range(8)})
    monkeypatch.setattr(cgroups, "processors", lambda: 2.5)
    [finding] = doctor._cores()
    assert finding.state == "note" and "2.5 processors of 8: threads are 2" in finding.what
    for allowed, state in ((0.5, "warn"), (8.0, "ok"), (None, "ok")):
        monkeypatch.setattr(cgroups, "processors", lambda allowed=allowed: allowed)
        assert _states(doctor._cores()) == [("cores", state)]


def test_a_container_s_memory_is_what_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "memory", lambda: 1.75e9)
    assert ("memory", "warn") in _states(doctor._memory())


def test_room_is_looked_for_where_runs_will_lie(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Though nothing is there yet."""
    asked: list[Path] = []
    usage = SimpleNamespace(free=0.5e9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: asked.append(path) or usage)
    monkeypatch.setenv("BAKEOFF_RESULTS", str(tmp_path / "not" / "yet"))
    assert _states(doctor._disk()) == [("disk", "warn")] and asked == [tmp_path]
    monkeypatch.setenv("BAKEOFF_RESULTS", "")
    monkeypatch.chdir(tmp_path)
    assert [*doctor._disk()] and asked[1].is_relative_to(ROOT)


def test_a_governor_that_follows_the_load_and_heat_are_warnings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = {"governor": "powersave", "turbo": True, "hypervisor": "KVM"}
    monkeypatch.setattr(machine, "describe", lambda: told)
    assert _states(doctor._frequency()) == [("governor", "warn"), ("turbo", "note")]
    told["governor"] = "performance, powersave"  # of some processors each
    assert _states(doctor._frequency())[0] == ("governor", "warn")
    assert _states(doctor._virtual()) == [("virtual machine", "note")]
    monkeypatch.setattr(doctor, "SYS", tmp_path)
    zone = tmp_path / "class" / "thermal" / "thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("91000\n")
    [finding] = doctor._heat()
    assert finding.state == "warn" and "91 °C" in finding.what


def test_an_environment_whose_libraries_were_overwritten_is_a_warning_that_says_whose(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packages = tmp_path / ".envs" / "both-cuda" / "lib" / "python3.12" / "site-packages"
    (packages.parents[2] / "bin").mkdir(parents=True)
    (packages.parents[2] / "bin" / "python").touch()
    library = packages / "nvidia" / "cudnn" / "lib" / "libcudnn.so.9"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"x" * 100)
    for name, size in (("nvidia_cudnn_cu12", 80), ("nvidia_cudnn_cu13", 100)):
        record = packages / f"{name}-9.0.dist-info" / "RECORD"
        record.parent.mkdir()
        record.write_text(f"nvidia/cudnn/lib/libcudnn.so.9,sha256=abc{size},{size}\n")
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    finding = next(doctor._environments())
    assert (finding.name, finding.state) == ("environment both-cuda", "warn")
    assert "nvidia-cudnn-cu12 9.0 was overwritten by nvidia-cudnn-cu13 9.0" in finding.what
    assert "remove .envs/both-cuda" in finding.advice


def test_clashes_are_looked_for_wherever_this_python_finds_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PYTHONPATH, a user's own, a distribution's: `--python current` measures with all of them."""
    own = tmp_path / "own"
    about = own / "tiny-1.dist-info"
    about.mkdir(parents=True)
    (about / "RECORD").write_text("tiny.so,sha256=abc,5\n")
    (tmp_path / "link").symlink_to(own)
    monkeypatch.setattr(sys, "path", [str(own), str(tmp_path / "link"), str(tmp_path), *sys.path])
    told = [each.what for each in doctor._environments() if each.name == "this Python"]
    assert told[0] == "1 library of tiny 1 was removed: tiny.so"
    assert doctor._importable().count(own) == 1 and tmp_path not in doctor._importable()


def test_what_the_shell_tells_libraries_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    [finding] = doctor._variables()
    assert finding.state == "note" and "OMP_WAIT_POLICY" in finding.what


def test_packages_that_come_before_every_environments_own_are_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/opt/scipy-stack")
    (found,) = [each for each in doctor._variables() if each.name == "packages"]
    assert found.state == "warn" and "/opt/scipy-stack" in found.what


def test_what_is_preloaded_into_every_worker_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "libjemalloc.so")
    (found,) = [each for each in doctor._variables() if each.name == "preloaded"]
    assert found.state == "warn" and "libjemalloc.so" in found.what


def test_a_quiet_gpu_is_fine_and_a_software_power_cap_is_its_own_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeDriver())
    assert _states(doctor._gpus()) == [("gpu 0", "ok")]
    assert gpus.slowdown(0) is None


def test_a_gpu_that_is_shared_hot_limited_or_slowed_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = FakeDriver(
        nvmlDeviceGetComputeRunningProcesses=[SimpleNamespace(pid=4711)],
        nvmlDeviceGetPowerManagementLimit=200_000,
        nvmlDeviceGetTemperature=92,
        nvmlDeviceGetCurrentClocksEventReasons=0x40 | 0x80,
        nvmlDeviceGetComputeMode=3,
    )
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    findings = list(doctor._gpus())
    text = " ".join(f"{f.what} {f.advice}" for f in findings)
    for part in ("4711", "200 W of 300 W", "92 °C", "a power brake", "one process alone"):
        assert part in text
    assert {f.state for f in findings} == {"warn", "note"}


def test_a_turn_is_disturbed_by_sleep_and_by_a_hot_gpu_and_by_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept = [10.0, 10.0, 12.0, 12.0]
    monkeypatch.setattr(machine, "asleep", lambda: slept.pop(0))
    watched = machine.Disturbances("cpu")
    assert watched.since() is None
    assert watched.since() == "the machine was suspended"
    assert watched.since() is None
    monkeypatch.setattr(machine, "asleep", lambda: 0.0)
    monkeypatch.setitem(
        sys.modules, "pynvml", FakeDriver(nvmlDeviceGetCurrentClocksEventReasons=0x20)
    )
    assert machine.Disturbances("cuda:0").since() == "the GPU was slowed by heat"
    assert machine.Disturbances("cpu").since() is None


def test_a_gpu_that_was_hot_during_a_turn_is_told_though_it_is_idle_when_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what may be reported of any GPU whose clocks go down is no cause."""
    heat = [5e9, 5e9, 5.1e9, 5.1e9]  # nanoseconds so far, each time it is asked
    driver = FakeDriver(nvmlDeviceGetCurrentClocksEventReasons=0x8)
    driver.NVML_PERF_POLICY_THERMAL = 1  # type: ignore[attr-defined]
    driver.nvmlDeviceGetViolationStatus = (  # type: ignore[attr-defined]
        lambda *_: SimpleNamespace(violationTime=heat.pop(0))
    )
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    watched = machine.Disturbances("cuda:0")
    assert watched.since() is None
    assert watched.since() == "the GPU was slowed by heat"
    assert watched.since() is None


def test_a_reading_of_heat_that_failed_is_no_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """All heat since boot would else seem to be of one turn."""
    heat = [5.0, None, 5.0, 5.0, 5.1]
    monkeypatch.setattr(gpus, "heat_seconds", lambda _: heat.pop(0))
    monkeypatch.setattr(gpus, "slowdown", lambda _: None)
    watched = machine.Disturbances("cuda:0")
    told = [watched.since() for _ in range(4)]
    assert told == [None, None, None, "the GPU was slowed by heat"]


def test_the_command_says_it_in_json_and_in_its_exit_status(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "harness.cli", "doctor", "--json"],
        cwd=ROOT,
        env={**os.environ, "BAKEOFF_RESULTS": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    findings = json.loads(result.stdout)
    assert {"load", "clock", "environments"} <= {finding["name"] for finding in findings}
    warned = any(finding["state"] == "warn" for finding in findings)
    assert result.returncode == (1 if warned else 0)
