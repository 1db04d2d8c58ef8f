"""The machine: what it is, what a worker is given of it, and who else is using it.

Whatever cannot be found out is None: describing a machine never fails a run. What is
alike for all contenders (threads, processors, allocator, caches) is settled here, in
environment variables, because frameworks read them once, as they are imported.
"""

import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import maybe
from harness.host import cgroups, gpus

CPUS = Path("/sys/devices/system/cpu")
VECTORS = (
    "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile",
    "amx_bf16", "asimd", "asimdhp", "bf16", "sve", "sve2",
)  # fmt: skip


# glibc gives large blocks back to the kernel at every free, or not, by chance of a
# process's history: identical processes then differ two-fold, for life. With these, one
# mode was seen in 51 of 51 launches.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}


def describe(threads_used: int | None = None) -> dict[str, Any]:
    """What environment.json says of the machine. Memory in bytes; unknown is None."""
    import psutil

    memory = psutil.virtual_memory
    return {
        "cpu": processor(),
        "instructions": _instructions(),
        "cores_physical": maybe(lambda: psutil.cpu_count(logical=False)),
        "cores_logical": maybe(psutil.cpu_count),
        "affinity": maybe(lambda: sorted(os.sched_getaffinity(0))),
        "threads_used": threads_used,
        "memory_bytes": maybe(lambda: memory().total),
        "memory_available_bytes": maybe(lambda: memory().available),
        "governor": maybe(_governor),
        "turbo": _turbo(),
        "load": maybe(lambda: list(os.getloadavg())),
        "os": maybe(lambda: platform.freedesktop_os_release()["PRETTY_NAME"]),
        "kernel": platform.release(),
        "hypervisor": _hypervisor(),
        "python": platform.python_version(),
        "gpu": gpus.described(),
        "variables_left_out": left_out(),
        "preloaded": os.environ.get("LD_PRELOAD") or None,  # handed on: some systems need it
    }


def processor() -> str | None:
    """The processor's model, as the system names it."""
    return _cpuinfo("model name") or platform.processor() or None


def _instructions() -> str | None:
    """Those of its vector and matrix instruction sets that libraries choose kernels by.

    A virtual machine's processor may be called the same and have others.
    """
    told = (_cpuinfo("flags") or _cpuinfo("Features") or "").split()
    return " ".join(name for name in VECTORS if name in told) or None


def devices() -> list[str]:
    """What `--device` may name: "cpu", then "cuda:0", "cuda:1", ..."""
    return ["cpu", *(f"cuda:{i}" for i in range(len(gpus.described())))]


# --- what a worker is given -------------------------------------------------------------


def cpu_set(count: int | None = None, among: Iterable[int] | None = None) -> set[int]:
    """One logical CPU of each physical core that this process may use; the first `count`.

    among: these CPUs, in place of all that it may use.

    Two threads of one core share its units: a matrix product gains nothing from the second.
    Where more are wanted than there are cores, those follow.
    """
    usable = os.sched_getaffinity(0) if among is None else {*among}
    cores: dict[str, int] = {}
    for cpu in sorted(usable):
        siblings = read_text(CPUS / f"cpu{cpu}/topology/thread_siblings_list")
        cores.setdefault(siblings or str(cpu), cpu)
    chosen = list(cores.values())
    if count is not None:
        chosen += sorted(usable - {*chosen})
    return set(chosen[:count])


def threads(requested: int | None = None) -> int:
    """Threads for every worker: those asked for, else one per physical core it may use.

    And no more than a control group's quota lets run: it would stop them in the midst of calls.
    """
    most = cgroups.processors()
    allowed = math.inf if most is None else max(1, math.floor(most))
    return requested or int(min(len(cpu_set()), allowed))


# What a shell may have set that would make contenders unlike, or unlike what was recorded:
# libraries read these, and no worker is given them. (OPENBLAS_CORETYPE=Haswell, set for all
# programs of a machine with AVX-512, halved NumPy's matrix rate, and nothing said so.)
OWN = (
    *("OMP_", "GOMP_", "KMP_", "OPENBLAS_", "GOTO_", "MKL_", "BLIS_", "ONEDNN_", "DNNL_"),
    *(
        "MALLOC_",
        "GLIBC_TUNABLES",
        "XLA_",
        "JAX_",
        "KERAS_",
        "TORCH_",
        "PYTORCH_",
        "TORCHINDUCTOR_",
    ),
    *("TF_", "TORCHDYNAMO_", "NVIDIA_TF32_OVERRIDE", "CUDA_LAUNCH_BLOCKING"),
    *("CUDNN_", "CUBLAS_", "ATEN_", "OV_", "MLX_", "FLAGS_"),
)


def left_out() -> list[str]:
    """Variables of this process's environment that workers are not given."""
    return sorted(name for name in os.environ if name.startswith(OWN))


def handed_on() -> dict[str, str]:
    """This process's environment, as workers are given it.

    Of XLA's flags the one that says where CUDA's tools are, without which it compiles nothing.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    flags = os.environ.get("XLA_FLAGS", "").split()
    if where := [flag for flag in flags if flag.startswith("--xla_gpu_cuda_data_dir=")]:
        kept["XLA_FLAGS"] = " ".join(where)
    return kept


def thread_environment(threads: int) -> dict[str, str]:
    """What libraries read when they are imported: as many threads as everybody has."""
    names = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TORCHINDUCTOR_COMPILE_THREADS",  # as XLA's; one took 1.2 to 1.5 times as long
    )
    return dict.fromkeys(names, str(threads))


def worker_environment(
    device: str, threads: int, cache: Path, *, as_shipped: bool = False
) -> dict[str, str]:
    """Environment variables that make workers alike.

    `cache` is a folder private to the run: every compiler keeps what it compiles there,
    and nothing of an earlier run is found. An empty one makes a first call cold.
    `as_shipped` leaves the allocator as the system has it.

    OMP_WAIT_POLICY stays unset, as every wheel is shipped: PASSIVE cost PyTorch a factor
    of 1.5 in training and 3 in inference of a small network, ACTIVE changed nothing.
    """
    kind, number = device.partition(":")[0], gpus.number(device)
    return {
        **thread_environment(threads),
        "CUDA_VISIBLE_DEVICES": "" if number is None else gpus.visible(number),
        "CUDA_DEVICE_ORDER": gpus.order(),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
        "CUDA_CACHE_PATH": str(cache / "cuda"),
        "BAKEOFF_CACHE": str(cache),  # for an adapter whose compiler has no variable of its own
        "JAX_COMPILATION_CACHE_DIR": str(cache / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        # Else the path of XLA's own cache is part of JAX's key (0.10.2), and ours are copied.
        "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",
        # Naming cuda makes JAX fail where it finds none, rather than run on the CPU.
        "JAX_PLATFORMS": "cpu" if kind == "cpu" else "cuda,cpu",
        # Memory is taken as it is needed, by all, so that its peak means something.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_CPP_MIN_LOG_LEVEL": "1",
        "PYTHONHASHSEED": "0",
        # oneDNN may compute float32 in bfloat16 and say nothing: not here, whoever asks.
        "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
        "TF_SET_ONEDNN_FPMATH_MODE": "STRICT",
        **({} if as_shipped else ALLOCATOR | {"MALLOC_MMAP_THRESHOLD_": _threshold()}),
    }


@cache
def _threshold() -> str:
    """From how many bytes on a block is mapped anew: as many as this machine's glibc takes.

    Older ones refuse more than half of a heap of their own, 32 MiB (mallopt answers 0), and of
    what a variable asks in vain they say nothing: then every block from 128 kB on would be mapped.
    Asked in a process of its own, since it takes effect.
    """
    usual = ALLOCATOR["MALLOC_MMAP_THRESHOLD_"]
    ask = "import ctypes, sys; took = ctypes.CDLL(None).mallopt(-3, int(sys.argv[1])); print(took)"
    told = maybe(lambda: subprocess.check_output([sys.executable, "-S", "-c", ask, usual]))
    return "33554432" if told == b"0\n" else usual


# --- who else is using it ---------------------------------------------------------------


class Load:
    """What others took of the processors since this object was made.

    Counted over the CPUs in our affinity mask, as shares of all their time: 0.5 on two
    cores is one core's worth. Ours is this process and its descendants, the reaped too.
    """

    def __init__(self) -> None:
        self._before = self._sample()

    def since(self) -> dict[str, float | None]:
        """-> load1, foreign_cpu_share, steal_share: the last is time the hypervisor took."""
        (total, busy, steal, ours), before = self._sample(), self._before
        capacity = total - before[0]
        foreign = stolen = None
        if capacity > 0:
            foreign = max(0.0, (busy - before[1]) - (ours - before[3])) / capacity
            stolen = (steal - before[2]) / capacity
        return {
            "load1": maybe(lambda: os.getloadavg()[0]),
            "foreign_cpu_share": foreign,
            "steal_share": stolen,
        }

    @staticmethod
    def _sample() -> tuple[float, float, float, float]:
        """Seconds so far: total, busy, stolen, and ours."""
        total, busy, steal = _processor_seconds()
        return total, busy, steal, _our_seconds()


def stolen() -> float:
    """Seconds that the hypervisor has taken from our CPUs since boot, in ticks of 10 ms or so."""
    return _processor_seconds()[2]


def asleep() -> float:
    """Seconds that this machine has been suspended since boot: clocks of ours stand still then."""
    return maybe(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()) or 0.0


HEATED = 1e-3  # seconds of a turn in which heat held the GPU's clocks down


class Disturbances:
    """Causes that have nothing to do with a contender, for which a turn is measured again."""

    def __init__(self, device: str):
        self._gpu = gpus.number(device)
        self._asleep, self._heat = asleep(), self._heated()

    def since(self) -> str | None:
        """What disturbed the time since the last call, or None."""
        before, self._asleep = self._asleep, asleep()
        if self._asleep - before > 0.1:
            return "the machine was suspended"
        if self._gpu is None:
            return None
        heat, self._heat = self._heat, self._heated()
        # A reading that failed is no zero: all heat since boot would seem to be of this turn.
        heated = heat is not None and self._heat is not None and self._heat - heat > HEATED
        reason = "heat" if heated else gpus.slowdown(self._gpu)
        return f"the GPU was slowed by {reason}" if reason else None

    def _heated(self) -> float | None:
        return None if self._gpu is None else gpus.heat_seconds(self._gpu)


def busy_now(seconds: float = 1.0) -> dict[str, float | None]:
    """Looks at the machine for `seconds` while we do nothing; as `Load.since`."""
    load = Load()
    time.sleep(seconds)
    return load.since()


def _processor_seconds() -> tuple[float, float, float]:
    """Total, busy and stolen seconds of the CPUs in our mask since boot (proc(5), /proc/stat)."""
    mine = {f"cpu{cpu}" for cpu in os.sched_getaffinity(0)}
    tick = os.sysconf("SC_CLK_TCK")
    total = busy = steal = 0
    for line in (read_text(Path("/proc/stat")) or "").splitlines():
        name, *rest = line.split()
        if name in mine:
            # user and nice hold the guests' time already
            user, nice, system, idle, iowait, irq, softirq, stolen = (
                int(value) for value in (*rest, *["0"] * 8)[:8]
            )
            work = user + nice + system + irq + softirq
            busy, steal = busy + work, steal + stolen
            total += work + idle + iowait + stolen
    return total / tick, busy / tick, steal / tick


def _our_seconds() -> float:
    import psutil

    me = psutil.Process()
    seconds = 0.0
    for process in [me, *me.children(recursive=True)]:
        with suppress(psutil.Error):  # it ended while we looked
            seconds += sum(process.cpu_times()[:4])  # its own, and its reaped children's
    return seconds


# --- small readers ------------------------------------------------------------------------


def read_text(path: Path) -> str | None:
    return maybe(lambda: path.read_text().strip())


def _cpuinfo(key: str) -> str | None:
    for line in (read_text(Path("/proc/cpuinfo")) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _governor() -> str | None:
    """Of all processors that are used: "performance", or "performance, powersave"."""
    found = {read_text(CPUS / f"cpu{cpu}/cpufreq/scaling_governor") for cpu in cpu_set()}
    return ", ".join(sorted(filter(None, found))) or None


def _turbo() -> bool | None:
    no_turbo = read_text(CPUS / "intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == "0"
    boost = read_text(CPUS / "cpufreq/boost")
    return None if boost is None else boost == "1"


def _hypervisor() -> str | None:
    """A virtual machine's vendor as its firmware tells it; None on bare metal, or if it hides."""
    if "hypervisor" not in (_cpuinfo("flags") or "").split():
        return None
    return read_text(Path("/sys/class/dmi/id/sys_vendor")) or "unknown"
