"""The doctor: what on this machine would spoil a measurement, looked at beforehand.

Every check looks at one thing and gives a finding: `ok`, `note` (it belongs to what is
measured here, and cannot or need not be changed), or `warn` (it can be mended, and a
measurement is worth more afterwards). What a machine does not tell is no finding.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import maybe
from harness.host import cgroups, energy, gpus, machine
from harness.install import clashes, environments
from harness.paths import ROOT, results
from harness.stats import busy

SYS = Path("/sys")
HOT = 85.0  # degrees Celsius, from which processors and GPUs begin to slow down
LEAST_MEMORY = 6e9  # `quick` peaks at about 5 GB
LEAST_DISK = 1e9
SLOW_CLOCK = 1e-6  # seconds that one reading may take


@dataclass(frozen=True)
class Finding:
    name: str
    state: str  # ok, note, warn
    what: str
    advice: str = ""


def examine() -> list[Finding]:
    """Every finding, in the order of what spoils most. Takes about two seconds."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _load, _cores, _frequency, _heat, _memory, _virtual, _clock, _disk, _variables, _energy,
        _gpus, _environments,
    )  # fmt: skip
    return [finding for check in checks for finding in check()]


def _load() -> Iterator[Finding]:
    load = machine.busy_now()
    reason = busy.why(load)
    if reason:
        yield Finding("load", "warn", reason, f"close other programs{_busiest()}")
    else:
        share = load["foreign_cpu_share"]
        what = "idle" if share is None else f"others take {share:.0%} of the processors"
        yield Finding("load", "ok", what)


def _busiest() -> str:
    """The program that takes most, by name: so that one knows what to close."""
    import psutil

    mine = {os.getpid(), *(c.pid for c in psutil.Process().children(recursive=True))}
    others = [p for p in psutil.process_iter(["name", "pid"]) if p.pid not in mine]
    for process in others:
        maybe(process.cpu_percent)
    time.sleep(0.2)
    shares = [(maybe(p.cpu_percent) or 0.0, p.info["name"] or "nameless") for p in others]
    share, name = max(shares, default=(0.0, ""))
    return f"; the busiest is {name} ({share:.0f}% of a core)" if share > 5 else ""


def _cores() -> Iterator[Finding]:
    usable, threads = len(os.sched_getaffinity(0)), machine.threads()
    quota, cores = cgroups.processors(), len(machine.cpu_set())
    if quota is not None and quota < cores:
        yield Finding(
            "cores",
            "warn" if quota < threads else "note",
            f"a control group allows {quota:g} processors of {cores}: threads are {threads}",
            "have it allow more; who uses more than it allows is stopped mid-call by the kernel",
        )
        return
    siblings = f", on {usable} logical processors" if usable != threads else ""
    yield Finding("cores", "ok", f"{threads} threads, one for each physical core{siblings}")


def _variables() -> Iterator[Finding]:
    if names := [n for n in machine.left_out() if machine.handed_on().get(n) != os.environ[n]]:
        yield Finding(
            "variables",
            "note",
            f"the shell sets {', '.join(names)}: no worker is given them, so that all are alike",
            "a program of yours that has them may run at another speed than what is measured",
        )
    if elsewhere := os.environ.get("PYTHONPATH"):
        yield Finding(
            "packages",
            "warn",
            f"PYTHONPATH puts {elsewhere} before every environment's own packages, and what was "
            "recorded of those would not be what runs",
            "unset PYTHONPATH, unless an adapter of yours lies there",
        )
    if preloaded := os.environ.get("LD_PRELOAD"):
        yield Finding(
            "preloaded",
            "warn",
            f"LD_PRELOAD puts {preloaded} into every worker: an allocator there stands in for ours",
            "unset LD_PRELOAD, unless the frameworks do not import without it",
        )


def _frequency() -> Iterator[Finding]:
    told = machine.describe()
    governor, turbo = told["governor"], told["turbo"]
    if {"powersave", "ondemand", "conservative"} & {*(governor or "").split(", ")}:
        yield Finding(
            "governor",
            "warn",
            f"the frequency governor is {governor}: clocks follow the load",
            "`cpupower frequency-set -g performance`",
        )
    elif governor:
        yield Finding("governor", "ok", f"the frequency governor is {governor}")
    if turbo:
        yield Finding(
            "turbo",
            "note",
            "turbo is on: clocks depend on heat and on how many cores work",
            "turns cancel it between contenders; switch it off to compare runs of two days",
        )


def _heat() -> Iterator[Finding]:
    zones = sorted((SYS / "class/thermal").glob("thermal_zone*/temp"))
    degrees = [
        int(text) / 1000 for zone in zones if (text := machine.read_text(zone) or "").isdigit()
    ]
    if degrees and max(degrees) >= HOT:
        yield Finding(
            "heat", "warn", f"it is at {max(degrees):.0f} °C", "let it cool, and clear its vents"
        )
    elif degrees:
        yield Finding("heat", "ok", f"at most {max(degrees):.0f} °C")


def _memory() -> Iterator[Finding]:
    import psutil

    free, swap = min(psutil.virtual_memory().available, cgroups.memory()), psutil.swap_memory()
    if free < LEAST_MEMORY:
        yield Finding(
            "memory",
            "warn",
            f"{free / 1e9:.1f} GB of memory are free, `quick` takes about 5",
            "close other programs, or measure fewer --contenders at a time",
        )
    else:
        yield Finding("memory", "ok", f"{free / 1e9:.0f} GB are free")
    if swap.used > 0.1e9:
        yield Finding(
            "swap",
            "warn",
            f"{swap.used / 1e9:.1f} GB lie in swap: pages may come back in a turn",
            "`swapoff -a && swapon -a` once there is memory enough",
        )


def _virtual() -> Iterator[Finding]:
    vendor = machine.describe()["hypervisor"]
    if vendor:
        yield Finding(
            "virtual machine",
            "note",
            f"a virtual machine ({vendor}): its neighbours are not seen, but their noise is",
            "`bakeoff calibrate` tells what can be resolved here",
        )


def _clock() -> Iterator[Finding]:
    source = machine.read_text(SYS / "devices/system/clocksource/clocksource0/current_clocksource")
    begin = time.perf_counter()
    for _ in range(1000):
        time.perf_counter_ns()
    cost = (time.perf_counter() - begin) / 1000
    what = f"reading the clock{f' ({source})' if source else ''} takes {cost * 1e9:.0f} ns"
    if cost > SLOW_CLOCK:
        advice = "boot with a faster clock source, such as tsc"
        yield Finding("clock", "warn", what, advice)
    else:
        yield Finding("clock", "ok", what)


def _disk() -> Iterator[Finding]:
    where = results()
    there = next(each for each in (where, *where.parents) if each.exists())
    free = maybe(lambda: shutil.disk_usage(there).free)
    if free is not None and free < LEAST_DISK:
        what = f"{free / 1e9:.1f} GB of disk are free where results are kept"
        yield Finding("disk", "warn", what, "make room: a run stops when it is full")


def _energy() -> Iterator[Finding]:
    """Nothing in a virtual machine: it has no meter to read."""
    if energy.meters("cpu"):
        names = ", ".join(meter.name for meter in energy.meters("cpu"))
        yield Finding("energy", "ok", f"the processor counts its joules: {names}")
    elif list(energy.POWERCAP.glob("intel-rapl:*")):
        yield Finding(
            "energy",
            "note",
            "the processor's meters may not be read, so energy is not measured",
            "run as root, or `sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj`",
        )


# --- GPUs ---------------------------------------------------------------------------------------


def _gpus() -> Iterator[Finding]:
    """Through the driver's library; nothing where there is none."""
    try:
        nvml, handles = gpus.driver()
        found = [each for n, handle in enumerate(handles) for each in _gpu(nvml, handle, n)]
    except Exception:
        return
    yield from found


def _gpu(nvml: Any, handle: Any, index: int) -> Iterator[Finding]:
    name = f"gpu {index}"

    def ask(question: str, *arguments: Any) -> Any:
        return maybe(lambda: getattr(nvml, question)(handle, *arguments))

    found = []
    others = ask("nvmlDeviceGetComputeRunningProcesses") or []
    if others:
        pids = ", ".join(str(p.pid) for p in others)
        advice = "end them, or give the run another GPU with --device cuda:N"
        found.append(Finding(name, "warn", f"other processes compute on it: {pids}", advice))
    limit, default = (
        ask("nvmlDeviceGetPowerManagementLimit"),
        ask("nvmlDeviceGetPowerManagementDefaultLimit"),
    )
    if limit and default and limit < default:
        what = f"its power is limited to {limit / 1000:.0f} W of {default / 1000:.0f} W"
        found.append(Finding(name, "note", what, "figures hold for this limit alone"))
    degrees = ask("nvmlDeviceGetTemperature", 0)
    if degrees and degrees >= HOT:
        found.append(Finding(name, "warn", f"it is at {degrees} °C", "let it cool"))
    slowed = gpus.slowdown(index)
    if slowed:
        advice = "mend the cause: turns measured meanwhile are of a slower GPU"
        found.append(Finding(name, "warn", f"it is slowed by {slowed}", advice))
    if admitted := gpus.ALONE.get(ask("nvmlDeviceGetComputeMode") or 0):
        advice = "`nvidia-smi -c DEFAULT`: contenders stay loaded side by side"
        found.append(Finding(name, "warn", f"its compute mode admits {admitted}", advice))
    label = ask("nvmlDeviceGetName") or "a GPU"
    yield from found or [Finding(name, "ok", f"{label}: free, and not slowed down")]


# --- environments ---------------------------------------------------------------------------------


def _environments() -> Iterator[Finding]:
    for path in sorted((ROOT / ".envs").glob("*/bin/python")):
        folder = path.parent.parent
        yield from _environment(
            f"environment {folder.name}",
            list(folder.glob("lib/python*/site-packages")),
            f"remove .envs/{folder.name} and run `make env`: one framework an environment",
        )
    yield from _environment(
        "this Python",
        _importable(),
        "--python current measures with them as they are: use the frameworks' own environments",
    )
    device = environments.default_device()
    from adapters.core import discovery

    names = [
        n
        for n in discovery.names()
        if environments.unnamed(n, device) and environments.environment_of(n, device)
    ]
    absent = [n for n in names if not environments.python_of(n, device)]
    if absent:
        what = f"not ready: {', '.join(absent)}"
        yield Finding("environments", "note", what, "`make env` makes what is missing")
    else:
        yield Finding("environments", "ok", f"ready: {', '.join(names)}")


def _importable() -> list[Path]:
    """Where --python current finds packages: the system's, the user's own, PYTHONPATH's."""
    folders = dict.fromkeys(Path(each).resolve() for each in sys.path)
    return [each for each in folders if any(each.glob("*.dist-info"))]


def _environment(name: str, folders: list[Path], advice: str) -> Iterator[Finding]:
    for folder in folders:
        for clash in clashes.find(folder):
            yield Finding(name, "warn", str(clash), advice)
