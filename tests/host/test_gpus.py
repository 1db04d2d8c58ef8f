"""`cuda:N` is the N-th GPU that this process was given, for workers and for readings alike."""

import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import gpu_check
from harness.commands import common
from harness.errors import Wrong
from harness.host import gpus, machine
from harness.install import environments
from harness.run import greeting
from reports.trust import warn


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
    assert [gpu["name"] for gpu in gpus.described()] == names
    assert machine.devices() == ["cpu", *(f"cuda:{n}" for n in range(len(names)))]
    found = [machine.worker_environment(d, 1, tmp_path) for d in machine.devices()[1:]]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in found] == seen
    assert machine.worker_environment("cpu", 1, tmp_path)["CUDA_VISIBLE_DEVICES"] == ""


def test_one_gpu_has_one_name_however_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else two runs on it would be of two devices."""
    monkeypatch.setattr(gpus, "described", lambda: [{}, {}])
    named = [common.device_of(text) for text in ("cuda", "cuda:0", None)]
    assert {*named, environments.default_device()} == {"cuda:0"}
    assert [common.device_of(text) for text in ("cuda:1", "cpu")] == ["cuda:1", "cpu"]
    monkeypatch.setattr(gpus, "described", list)
    assert common.device_of(None) == environments.default_device() == "cpu"


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
    driver: Any = SharedDriver()
    driver.nvmlDeviceGetTotalEnergyConsumption = {2: 2_000, 3: 3_000, "MIG-a": 9_000}.__getitem__
    driver.nvmlDeviceGetCurrentClocksEventReasons = {2: 0, 3: 0x20, "MIG-a": 0}.__getitem__
    held = [SimpleNamespace(pid=7, usedGpuMemory=5), SimpleNamespace(pid=8, usedGpuMemory=6)]
    driver.nvmlDeviceGetComputeRunningProcesses = {2: [], 3: held[:1], "MIG-a": held}.__getitem__
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,2,1")
    assert [gpus.joules(n) for n in range(4)] == [9.0, 3.0, 2.0, None]
    assert [gpus.slowdown(n) for n in range(4)] == [None, "heat", None, None]
    assert [gpus.processes(n) for n in range(4)] == [2, 1, 0, None]
    assert [gpus.memory(n, 8) for n in range(4)] == [6, None, None, None]


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
    monkeypatch.setattr(gpus, "processes", {1: held}.__getitem__)
    events: list[dict[str, Any]] = []
    greeting.look_for_load(
        device,
        lambda kind, **event: events.append({"kind": kind, **event}),
        lambda *_, **__: None,
    )
    assert events == [{"kind": "event", "what": "busy", "reason": reason} for reason in told]
    run: Any = SimpleNamespace(events=events, plan={"comparisons": []})
    shown = warn._events(run)
    assert [warning["what"] for warning in shown] == told


@pytest.mark.parametrize(
    ("mode", "order", "given", "told"),
    [
        (0, None, None, None),
        (3, None, None, "cuda:0: its compute mode admits one process alone"),
        (2, None, "1", "its compute mode admits no process"),
        (None, "FASTEST_FIRST", None, None),  # nobody gave a number that counts by it
        (None, "FASTEST_FIRST", "1", "counts by CUDA_DEVICE_ORDER=FASTEST_FIRST"),
        (None, "FASTEST_FIRST", "GPU-4", None),
    ],
)
def test_a_gpu_that_contenders_cannot_share_or_that_is_another_is_refused_beforehand(
    monkeypatch: pytest.MonkeyPatch,
    mode: int | None,
    order: str | None,
    given: str | None,
    told: str | None,
) -> None:
    driver: Any = SharedDriver()
    driver.nvmlDeviceGetComputeMode = lambda handle: mode
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    for key, value in (("CUDA_DEVICE_ORDER", order), ("CUDA_VISIBLE_DEVICES", given)):
        monkeypatch.delenv(key, raising=False)
        if value is not None:
            monkeypatch.setenv(key, value)
    with pytest.raises(Wrong, match=told) if told else nullcontext():
        gpus.refuse("cuda:0")
    gpus.refuse("cpu")


def test_what_a_gpu_promises_is_that_of_its_data_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA's: H100 SXM 66.9 TFLOPS, 3.35 TB/s; T4 8.1 TFLOPS, 320 GB/s. A MIG part says none."""
    cores = {"H100": (16896, 1980, 5120, 2619), "T4": (2560, 1590, 256, 5001), "MIG": None}

    class Driver:
        NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2

        def nvmlInit(self) -> None: ...

        def nvmlDeviceGetCount(self) -> int:
            return len(cores)

        def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
            return list(cores.values())[index]

        def nvmlDeviceGetNumGpuCores(self, gpu: Any) -> int:
            return int(gpu[0])

        def nvmlDeviceGetMaxClockInfo(self, gpu: Any, clock: int) -> int:
            return int(gpu[{1: 1, 2: 3}[clock]])

        def nvmlDeviceGetMemoryBusWidth(self, gpu: Any) -> int:
            return int(gpu[2])

    monkeypatch.setitem(sys.modules, "pynvml", Driver())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.rates(0) == pytest.approx((66.9e12, 3.35e12), rel=0.01)
    assert gpus.rates(1) == pytest.approx((8.1e12, 3.2e11), rel=0.01)
    assert gpus.rates(2) is None
    assert gpus.rates(3) is None


def test_a_gpu_that_is_missed_says_what_may_hide_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "nvidia-ml-py" in gpus.unseen()
    monkeypatch.setitem(sys.modules, "pynvml", SharedDriver())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES is ''" in gpus.unseen()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert gpus.unseen() == ""


class NVMLError_LibraryNotFound(Exception):
    """As nvidia-ml-py has it: with a number, and words for it."""

    def __init__(self) -> None:
        super().__init__(12)

    def __str__(self) -> str:
        return "NVML Shared Library\nNot Found"


def test_a_driver_that_does_not_answer_is_no_machine_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PyTorch finds it nevertheless, where its library is not on the loader's path."""

    def absent() -> None:
        raise NVMLError_LibraryNotFound

    driver: Any = SharedDriver()
    driver.nvmlInit = absent
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    why = (
        "; NVIDIA's driver does not answer: NVMLError_LibraryNotFound: NVML Shared Library "
        "Not Found"
    )
    with pytest.raises(Wrong) as refused:
        common.device_of("cuda")
    assert str(refused.value) == f"device 'cuda': expected one of cpu{why}"
    assert gpu_check.main(["--device", "cuda", "--only", "parity"]) == 2
    assert capsys.readouterr().err == f"device 'cuda:0': this machine has cpu{why}\n"
