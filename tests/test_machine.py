"""The machine is described without fail, and others' work is told from ours."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import machine, runner
from reports import warn

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


class SharedDriver:
    """pynvml of four GPUs, of which a control group hides the second; one has a MIG part."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def nvmlDeviceGetCount(self) -> int:
        return 4

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index == 1:
            raise RuntimeError("Insufficient Permissions")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != "MIG-a":
            raise RuntimeError("Not Found")
        return uuid

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return {0: "GPU-1a2b", 2: "GPU-1c3d", 3: "GPU-4e5f"}[handle]

    def nvmlDeviceGetName(self, handle: Any) -> str:
        return f"GPU {handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> SimpleNamespace:
        if handle == "MIG-a":
            raise RuntimeError("Insufficient Permissions")
        return SimpleNamespace(total=8 << 30)


@pytest.mark.parametrize(
    ("given", "names", "seen"),
    [
        (None, ["GPU 0", "GPU 2", "GPU 3"], ["0", "1", "2"]),  # as CUDA counts what it may use
        ("2", ["GPU 3"], ["2"]),
        ("1, 0", ["GPU 2", "GPU 0"], ["1", "0"]),
        ("MIG-a", ["GPU MIG-a"], ["MIG-a"]),
        ("0,GPU-gone,1", ["GPU 0"], ["0"]),  # as CUDA: nothing behind what is not there
        ("GPU-4,GPU-1c", ["GPU 3", "GPU 2"], ["GPU-4", "GPU-1c"]),
        ("GPU-1", [], []),  # which of two?
        ("7", [], []),
        ("", [], []),
    ],
)
def test_cuda_n_is_the_nth_of_the_gpus_that_this_process_was_given(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    given: str | None,
    names: list[str],
    seen: list[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", SharedDriver())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert [gpu["name"] for gpu in machine.gpus()] == names
    assert machine.devices() == ["cpu", *(f"cuda:{n}" for n in range(len(names)))]
    found = [machine.worker_environment(d, 1, tmp_path) for d in machine.devices()[1:]]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in found] == seen
    assert machine.worker_environment("cpu", 1, tmp_path)["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("given", "order"),
    [(None, "PCI_BUS_ID"), ("MIG-a", "PCI_BUS_ID"), ("", "PCI_BUS_ID"), ("1", "FASTEST_FIRST")],
)
def test_another_order_of_gpus_holds_only_for_numbers_that_were_given_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str | None, order: str
) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert machine.worker_environment("cuda:0", 1, tmp_path)["CUDA_DEVICE_ORDER"] == order
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    assert machine.worker_environment("cuda:0", 1, tmp_path)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.parametrize("given", ["", "3", "GPU-a"])
def test_no_worker_sees_a_gpu_that_this_process_was_not_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert machine.worker_environment("cuda:1", 1, tmp_path)["CUDA_VISIBLE_DEVICES"] == ""


def test_readings_are_of_the_gpu_that_the_worker_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = SharedDriver()
    driver.nvmlDeviceGetTotalEnergyConsumption = {2: 2_000, 3: 3_000, "MIG-a": 9_000}.__getitem__
    driver.nvmlDeviceGetCurrentClocksEventReasons = {2: 0, 3: 0x20, "MIG-a": 0}.__getitem__
    held = [SimpleNamespace(pid=7, usedGpuMemory=5), SimpleNamespace(pid=8, usedGpuMemory=6)]
    driver.nvmlDeviceGetComputeRunningProcesses = {2: [], 3: held[:1], "MIG-a": held}.__getitem__
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,2,1")
    assert [machine.gpu_joules(n) for n in range(4)] == [9.0, 3.0, 2.0, None]
    assert [machine.gpu_slowdown(n) for n in range(4)] == [None, "heat", None, None]
    assert [machine.gpu_processes(n) for n in range(4)] == [2, 1, 0, None]
    assert [machine.gpu_memory(n, 8) for n in range(4)] == [6, None, None, None]


@pytest.mark.parametrize(
    ("device", "held", "told"),
    [
        ("cuda:1", 2, ["before measuring: processes of others compute on the GPU: 2"]),
        ("cuda:1", 0, []),
        ("cuda:1", None, []),  # the driver does not say
        ("cpu", 2, []),
    ],
)
def test_a_run_tells_who_else_computes_on_its_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, held: int | None, told: list[str]
) -> None:
    """As the event that the page's warnings show."""
    quiet = {"load1": 0.0, "foreign_cpu_share": 0.0, "steal_share": 0.0}
    monkeypatch.setattr(machine, "busy_now", lambda: quiet)
    monkeypatch.setattr(machine, "gpu_processes", {1: held}.__getitem__)
    events: list[dict[str, Any]] = []
    asked: Any = SimpleNamespace(
        launcher=SimpleNamespace(device=device),
        say=lambda *_, **__: None,
        writer=SimpleNamespace(write=lambda kind, **event: events.append({"kind": kind, **event})),
    )
    runner.Runner._look_for_load(asked)
    assert events == [{"kind": "event", "what": "busy", "reason": reason} for reason in told]
    shown = warn._events(SimpleNamespace(events=events))  # type: ignore[arg-type]
    assert [warning["what"] for warning in shown] == told


def test_a_gpu_that_is_missed_says_what_may_hide_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "nvidia-ml-py" in machine.unseen()
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES is ''" in machine.unseen()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert machine.unseen() == ""


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
    assert len(caches) == 4 and len(set(caches)) == 4


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
    for name in ("OMP_WAIT_POLICY", "XLA_FLAGS", "NVIDIA_TF32_OVERRIDE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TORCH7_HOME", "/opt/torch")
    left = machine.describe()["variables_left_out"]
    assert {"OMP_WAIT_POLICY", "XLA_FLAGS", "NVIDIA_TF32_OVERRIDE"} <= {*left}
    assert "TORCH7_HOME" not in left
