"""The machine is described without fail, and others' work is told from ours."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.host import cgroups, machine

SPIN = "import time\nend = time.time() + 30\nwhile time.time() < end: pass"


def test_a_machine_that_hides_everything_is_still_described(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "read_text", lambda path: None)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    described = machine.describe()
    assert described["gpu"] == [] and described["python"]
    assert described["governor"] is None and described["hypervisor"] is None
    assert machine.devices() == ["cpu"]


def test_threads_are_physical_cores_of_the_affinity_mask() -> None:
    mask = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mask)})
        assert machine.threads() == 1
        assert machine.cpu_set() == {min(mask)}
    finally:
        os.sched_setaffinity(0, mask)
    assert machine.cpu_set(1) == {min(mask)}
    assert machine.threads(3) == 3


Groups = Callable[[str, dict[str, str]], None]


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Groups:
    """`groups("0::/a/b", {"a/cpu.max": "100000 100000"})`: what the kernel says of ours."""

    def put(mine: str, files: dict[str, str]) -> None:
        (tmp_path / "mine").write_text(mine)
        for name, told in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(told)

    monkeypatch.setattr(cgroups, "MINE", tmp_path / "mine")
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "cpu_set", lambda: {*range(8)})
    return put


@pytest.mark.parametrize(
    ("mine", "files", "allowed"),
    [
        ("0::/", {"cpu.max": "250000 100000\n"}, 2.5),
        ("0::/", {"cpu.max": "max 100000\n"}, None),
        ("0::/job/step", {"job/cpu.max": "400000 100000", "job/step/cpu.max": "max 100000"}, 4.0),
        ("0::/job/step", {"job/cpu.max": "3 1", "job/step/cpu.max": "5 1"}, 3.0),
        ("0::/of/the/host", {"cpu.max": "2 1"}, 2.0),
        ("0::/mine", {"other/cpu.max": "2 1"}, None),
        ("4:cpu,cpuacct:/docker/1\n0::/x", {"cpu/cpu.cfs_quota_us": "150000",
         "cpu/cpu.cfs_period_us": "100000"}, 1.5),
        ("4:cpu:/a", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, None),
        ("4:cpuset:/a", {"cpu/a/cpu.cfs_quota_us": "1", "cpu/a/cpu.cfs_period_us": "1"}, None),
    ],
)  # fmt: skip
def test_no_more_threads_than_a_control_group_lets_run(
    groups: Groups, mine: str, files: dict[str, str], allowed: float | None
) -> None:
    groups(mine, files)
    assert cgroups.processors() == allowed
    assert machine.threads() == int(allowed or 8)
    assert machine.threads(6) == 6


def test_less_than_a_processor_is_one_thread(groups: Groups) -> None:
    groups("0::/", {"cpu.max": "50000 100000"})
    assert machine.threads() == 1


def test_of_a_control_group_s_memory_caches_of_files_give_way(groups: Groups) -> None:
    groups("0::/job", {})
    assert cgroups.memory() == math.inf
    files = "anon 1000\ninactive_file 500000000\nactive_file 250000000\nfile_dirty 7\n"
    groups("0::/job", {"memory.max": "8000000000", "memory.current": "7000000000"})
    groups("0::/job", {"memory.stat": files, "job/memory.max": "max", "job/memory.current": "9"})
    assert cgroups.memory() == 1.75e9
    groups("0::/job", {"job/memory.max": "1000000009"})
    assert cgroups.memory() == 1e9  # the tighter one
    usage = {"memory/a/memory.limit_in_bytes": "1000", "memory/a/memory.usage_in_bytes": "700"}
    stat = "inactive_file 40\ntotal_inactive_file 50\ntotal_active_file 1\n"
    groups("3:memory:/a", usage | {"memory/a/memory.stat": stat})
    assert cgroups.memory() == 351


def test_a_governor_is_that_of_all_processors_that_are_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "CPUS", tmp_path)
    monkeypatch.setattr(machine, "cpu_set", lambda: {1, 2, 3})
    told = ("userspace", "performance", "powersave", "performance")
    for cpu, governor in enumerate(told):
        folder = tmp_path / f"cpu{cpu}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{governor}\n")
    assert machine.describe()["governor"] == "performance, powersave"


def test_two_threads_of_one_core_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    siblings = {"cpu0": "0,2", "cpu2": "0,2", "cpu1": "1,3", "cpu3": "1,3"}
    monkeypatch.setattr(machine, "read_text", lambda path: siblings[path.parent.parent.name])
    assert machine.cpu_set() == {0, 1}


def test_workers_differ_in_nothing_but_device_and_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cpu = machine.worker_environment("cpu", 2, tmp_path / "a")
    gpu = machine.worker_environment("cuda:1", 2, tmp_path / "a")
    assert cpu["CUDA_VISIBLE_DEVICES"] == "" and gpu["CUDA_VISIBLE_DEVICES"] == "1"
    differing = {key for key in cpu if cpu[key] != gpu[key]}
    assert differing == {"CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS"}
    caches = [value for value in cpu.values() if str(tmp_path) in value]
    assert len(caches) == 5 and len(set(caches)) == 5


@pytest.mark.parametrize("name", ["OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "OV_CPU_MAX_ISA"])
def test_a_shell_that_bars_one_library_from_instructions_reaches_no_worker(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second took 1.4 to 1.9 times as long in torch, the third 1.8 in OpenVINO's batch norm."""
    monkeypatch.setenv(name, "default")
    assert name not in machine.handed_on()
    assert name in machine.left_out()


def test_where_cudas_tools_are_is_handed_on_and_no_other_flag_of_xla(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = "--xla_gpu_cuda_data_dir=/opt/cuda"
    monkeypatch.setenv("XLA_FLAGS", f"--xla_cpu_multi_thread_eigen=false {where}")
    assert machine.handed_on()["XLA_FLAGS"] == where


def test_an_old_allocator_is_told_as_much_as_it_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It refuses more in silence, and would map every block from 128 kB on anew."""

    def told(answer: bytes) -> str:
        machine._threshold.cache_clear()
        monkeypatch.setattr(machine.subprocess, "check_output", lambda *_: answer)
        return machine.worker_environment("cpu", 1, tmp_path)["MALLOC_MMAP_THRESHOLD_"]

    assert int(told(b"0\n")) == 32 * 2**20
    assert told(b"1\n") == told(b"") == machine.ALLOCATOR["MALLOC_MMAP_THRESHOLD_"]
    machine._threshold.cache_clear()


def test_the_allocator_can_be_left_as_shipped(tmp_path: Path) -> None:
    tuned = machine.worker_environment("cpu", 2, tmp_path)
    shipped = machine.worker_environment("cpu", 2, tmp_path, as_shipped=True)
    assert set(tuned) - set(shipped) == set(machine.ALLOCATOR)


def test_our_own_work_is_not_foreign_and_a_strangers_is() -> None:
    """A child that spins is ours; one whose parent has died belongs to nobody of ours."""
    load = machine.Load()
    ours = subprocess.Popen([sys.executable, "-c", SPIN])
    time.sleep(0.6)
    with_ours = load.since()["foreign_cpu_share"]
    ours.kill()
    ours.wait()

    orphan = "Popen([sys.executable, '-c', sys.argv[1]], stdout=DEVNULL, start_new_session=True)"
    launch = f"import sys\nfrom subprocess import *\nprint({orphan}.pid)"
    stranger = int(subprocess.check_output([sys.executable, "-c", launch, SPIN]))
    try:
        with_stranger = machine.busy_now(0.6)["foreign_cpu_share"]
    finally:
        os.kill(stranger, 9)
    assert with_ours is not None and with_stranger is not None
    one_core = 1 / len(os.sched_getaffinity(0))
    assert with_stranger > 0.5 * one_core
    assert with_ours < with_stranger


def test_more_threads_than_cores_may_use_the_cores_second_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    siblings = {"cpu0": "0,2", "cpu1": "1,3", "cpu2": "0,2", "cpu3": "1,3"}
    monkeypatch.setattr(machine, "read_text", lambda path: siblings[path.parts[-3]])
    assert machine.cpu_set() == {0, 1} == machine.cpu_set(2)
    assert machine.cpu_set(1) == {0}
    assert machine.cpu_set(3) == {0, 1, 2} and machine.cpu_set(4) == {0, 1, 2, 3}


def test_what_a_shell_has_set_for_its_libraries_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("OMP_WAIT_POLICY", "XLA_FLAGS", "NVIDIA_TF32_OVERRIDE", "TF_USE_DEEP_CONV2D")
    for name in names:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TORCH7_HOME", "/opt/torch")
    left = machine.describe()["variables_left_out"]
    assert {*names} <= {*left}
    assert "TORCH7_HOME" not in left


def test_what_is_preloaded_is_handed_on_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "libjemalloc.so")
    assert machine.describe()["preloaded"] == machine.handed_on()["LD_PRELOAD"] == "libjemalloc.so"
