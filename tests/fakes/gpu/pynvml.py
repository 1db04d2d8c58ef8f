"""A driver's library that tells of one quiet GPU of 100 W; every worker holds 3 MiB of it.

Put this folder on PYTHONPATH before the real one. The names are NVML's.
"""

import os
import time
from pathlib import Path
from types import SimpleNamespace


def nvmlInit() -> None: ...


def nvmlDeviceGetCount() -> int:
    return 1


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    return index


def nvmlDeviceGetName(handle: int) -> str:
    return "Imaginary GPU"


def nvmlDeviceGetMemoryInfo(handle: int) -> SimpleNamespace:
    return SimpleNamespace(total=8 << 30)


def nvmlSystemGetDriverVersion() -> str:
    return "1.2"


NVML_CLOCK_SM = 1
NVML_PERF_POLICY_THERMAL = 1


def nvmlDeviceGetPowerManagementLimit(handle: int) -> int:
    return 100_000  # milliwatts


def nvmlDeviceGetMaxClockInfo(handle: int, clock: int) -> int:
    return 1980


def nvmlDeviceGetViolationStatus(handle: int, policy: int) -> SimpleNamespace:
    return SimpleNamespace(violationTime=0)


def nvmlDeviceGetCurrentClocksEventReasons(handle: int) -> int:
    return 0


def nvmlDeviceGetTotalEnergyConsumption(handle: int) -> int:
    return int(100_000 * time.monotonic())  # millijoules


def _worker(pid: str) -> bool:
    try:
        return "harness.worker.worker" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def nvmlDeviceGetComputeRunningProcesses(handle: int) -> list[SimpleNamespace]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and _worker(name)]
    return [SimpleNamespace(pid=pid, usedGpuMemory=3 << 20) for pid in pids]
