"""NVIDIA GPUs: which of them this process was given, and what their driver tells of each.

`cuda:N` is the N-th GPU that a scheduler or the user gave this process, else the N-th there is;
a worker is shown that one alone. NVML is asked anew each time, no answer is kept: nothing here
fails a run, and what the driver refuses is None.
"""

import importlib.util
import os
import sys
from functools import cache, partial
from typing import Any

from harness.errors import Wrong, maybe, quiet


def described() -> list[dict[str, Any]]:
    """NVIDIA GPUs, as `cuda:N` counts them: name, memory in bytes, driver; [] where none is seen.

    What the driver refuses (the memory of a GPU that is shared out) is None.
    """
    found = maybe(driver)
    return [_described(found[0], gpu) for gpu in found[1]] if found else []


def _described(nvml: Any, gpu: Any) -> dict[str, Any]:
    return {
        "name": maybe(lambda: nvml.nvmlDeviceGetName(gpu)),
        "uuid": maybe(lambda: nvml.nvmlDeviceGetUUID(gpu)),
        "memory_bytes": maybe(lambda: int(nvml.nvmlDeviceGetMemoryInfo(gpu).total)),
        "driver": maybe(lambda: nvml.nvmlSystemGetDriverVersion()),
        "power_limit_watts": maybe(lambda: nvml.nvmlDeviceGetPowerManagementLimit(gpu) / 1000),
        "most_sm_mhz": maybe(lambda: int(nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM))),
    }


@quiet
def rates(index: int) -> tuple[float, float]:
    """What a GPU's data sheet promises: float32 operations, and bytes, per second.

    Cores and bus at their highest clocks, two operations a core (a fused multiply and add),
    two transfers a clock of the memory; the latter as NVIDIA's "How to Query Device Properties"
    has it. For an estimate only: what is reached is measured. None where the driver does not say.
    """
    nvml, handles = driver()
    gpu = handles[index]
    core_mhz = nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM)
    memory_mhz = nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_MEM)
    operations = 2e6 * core_mhz * nvml.nvmlDeviceGetNumGpuCores(gpu)
    moved = 2e6 * memory_mhz * nvml.nvmlDeviceGetMemoryBusWidth(gpu) / 8
    if not (operations and moved):
        raise ValueError("a clock of zero")
    return operations, moved


def driver() -> tuple[Any, list[Any]]:
    """NVML, and its handles of the GPUs that this process may use: that of `cuda:N` is the N-th.

    Raises where there is no driver, or no nvidia-ml-py.
    """
    import pynvml

    _open(pynvml)
    return pynvml, _handles(pynvml)


@cache
def _open(nvml: Any) -> None:
    """Once a process: opening takes milliseconds, and each turn has questions. It ends with us."""
    nvml.nvmlInit()


def _handles(nvml: Any) -> list[Any]:
    """As CUDA counts: those that a control group allows; of them, those that were given, up to
    the first that is not there."""
    numbers = range(nvml.nvmlDeviceGetCount())
    allowed = [maybe(partial(nvml.nvmlDeviceGetHandleByIndex, n)) for n in numbers]
    allowed = [handle for handle in allowed if handle is not None]
    if (tokens := given()) is None:
        return allowed
    found = []
    for token in tokens:
        if (handle := _handle(nvml, allowed, token)) is None:
            break
        found.append(handle)
    return found


def _handle(nvml: Any, allowed: list[Any], token: str) -> Any:
    """Of a number, a UUID (GPU-..., MIG-...), or as much of a GPU's as is its alone; or None."""
    if token.isdigit():
        return allowed[int(token)] if int(token) < len(allowed) else None
    handle = maybe(partial(nvml.nvmlDeviceGetHandleByUUID, token))
    if handle is not None:
        return handle
    uuids = [maybe(partial(nvml.nvmlDeviceGetUUID, each)) or "" for each in allowed]
    alike = [each for each, uuid in zip(allowed, uuids, strict=True) if uuid.startswith(token)]
    return alike[0] if len(alike) == 1 else None


def given() -> list[str] | None:
    """The GPUs that a scheduler or the user gave this process; None: nobody said which."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if named is None else [each.strip() for each in named.split(",") if each.strip()]


def visible(number: int) -> str:
    """What makes a worker see `cuda:N` alone; nothing, where fewer than that were given."""
    named = given()
    return str(number) if named is None else "".join(named[number : number + 1])


def order() -> str:
    """How workers count GPUs: as NVML does, unless numbers were given that count otherwise."""
    counted = any(token.isdigit() for token in given() or [])
    return os.environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID") if counted else "PCI_BUS_ID"


ALONE = {1: "one thread", 2: "no process", 3: "one process alone"}  # nvmlComputeMode_t


@quiet
def alone(index: int) -> str | None:
    """Whom a GPU's compute mode admits, where that is not everybody; None where it is."""
    nvml, handles = driver()
    return ALONE.get(nvml.nvmlDeviceGetComputeMode(handles[index]))


def refuse(device: str) -> None:
    """Raises Wrong where contenders cannot share this GPU, or another would be looked at."""
    index = number(device)
    if index is None:
        return
    if admitted := alone(index):
        raise Wrong(
            f"{device}: its compute mode admits {admitted}, and contenders stay loaded side by "
            "side; `nvidia-smi -c DEFAULT` lets them, or ask for a GPU that all may use"
        )
    found = maybe(driver)
    if order() != "PCI_BUS_ID" and found and found[0].nvmlDeviceGetCount() > 1:
        raise Wrong(
            f"CUDA_VISIBLE_DEVICES={os.environ['CUDA_VISIBLE_DEVICES']} counts by "
            f"CUDA_DEVICE_ORDER={order()}, as the driver does not: name GPUs by their UUID "
            "(`nvidia-smi -L`), or leave CUDA_DEVICE_ORDER out"
        )


def unseen() -> str:
    """What may hide a GPU from us, to be said where one is missed; "" where nothing does."""
    if importlib.util.find_spec("pynvml") is None:
        return f"; to look for GPUs, {sys.executable} lacks nvidia-ml-py: carry its wheel here"
    try:
        driver()
    except Exception as error:  # the framework may find it nevertheless, by another path
        # Not `errors.in_words`: the first argument of NVML's errors is a number.
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return f"; NVIDIA's driver does not answer: {why}"
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if named is None else f"; CUDA_VISIBLE_DEVICES is '{named}'"


# What slows a GPU down for a cause other than the work itself (nvml.h, clocks event reasons).
# A software power cap is not among them: the best-fed contender meets it most. Nor is the plain
# "hardware slowdown", which may be reported while clocks change, as they do after every turn.
SLOWDOWNS = {
    0x20: "heat",
    0x40: "heat, in hardware",
    0x80: "a power brake",
}


@quiet
def slowdown(index: int) -> str | None:
    """Why this GPU runs slower than it could, now; None where it does not, or does not say."""
    nvml, handles = driver()
    reasons = _clocks_event_reasons(nvml, handles[index])
    return " and ".join(cause for bit, cause in SLOWDOWNS.items() if reasons & bit) or None


@quiet
def heat_seconds(index: int) -> float:
    """For how long heat has slowed this GPU down so far; None where its driver does not count.

    A reason of now is that of a GPU that has just become idle; this adds up.
    """
    nvml, handles = driver()
    policy = nvml.NVML_PERF_POLICY_THERMAL
    return float(nvml.nvmlDeviceGetViolationStatus(handles[index], policy).violationTime) * 1e-9


@quiet
def memory(index: int, pid: int) -> int | None:
    """Bytes of a GPU that the driver has given to a process: its context and all it holds.

    None where the driver does not say, as in a container that numbers processes anew.
    """
    held = _processes(index)
    return next((process.usedGpuMemory for process in held if process.pid == pid), None)


@quiet
def processes(index: int) -> int:
    """How many processes compute on a GPU; None where the driver does not say."""
    return len(_processes(index))


def _processes(index: int) -> list[Any]:
    nvml, handles = driver()
    return list(nvml.nvmlDeviceGetComputeRunningProcesses(handles[index]))


@quiet
def joules(index: int) -> float:
    """What a GPU has drawn since its driver was loaded; None where it does not count."""
    nvml, handles = driver()
    return nvml.nvmlDeviceGetTotalEnergyConsumption(handles[index]) / 1000


def _clocks_event_reasons(nvml: Any, handle: Any) -> int:
    """By its new name, or the one it had in older libraries."""
    for name in ("nvmlDeviceGetCurrentClocksEventReasons",
                 "nvmlDeviceGetCurrentClocksThrottleReasons"):  # fmt: skip
        if hasattr(nvml, name):
            return int(getattr(nvml, name)(handle))
    return 0


def number(device: str) -> int | None:
    """0 of "cuda" and "cuda:0"; None of "cpu"."""
    kind, _, number = device.partition(":")
    return int(number or 0) if kind == "cuda" else None
