"""Energy: what the machine's own meters counted while a contender computed.

Two kinds of meter can be read without a cable. A processor counts the joules of its packages
and of its memory (RAPL, on Linux under `powercap`, of Intel and of AMD; its counters move
every millisecond, see Intel's Software Developer's Manual, volume 3B, "Platform Specific
Power Management Support"). An NVIDIA GPU of Volta or later counts its own
(`nvmlDeviceGetTotalEnergyConsumption`, in NVML's reference). How often that moves is nowhere
promised: about every 100 ms, the ML.ENERGY project found, for whom windows of a second are
still too short. And on an A100 or H100 the sensor looks a quarter of the time only (Yang,
Adamek and Armour, arXiv 2312.02741), so work whose power swings may be counted wrong.

What is counted is all that the meters see: a machine that idles beside the work is in it,
alike for all contenders. A figure is kept only where it lasted ten steps of the slowest
meter; a virtual machine has no meter at all, and then nothing is said of energy.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.host import gpus, machine

POWERCAP = Path("/sys/class/powercap")
RAPL_STEP, NVML_STEP = 0.001, 0.1  # seconds between two values of a counter
STEPS = 10  # as many at least, for an error of a tenth at most


@dataclass(frozen=True)
class Meter:
    """One counter of joules, which may start anew at `wraps`."""

    name: str
    step_s: float
    read: Callable[[], float | None]
    wraps: float | None = None

    def between(self, before: float | None, now: float | None) -> float | None:
        """Joules from one reading to a later one; None where one is lacking."""
        if before is None or now is None:
            return None
        spent = now - before
        if spent < 0:
            return spent + self.wraps if self.wraps else None
        return spent


@cache
def meters(device: str) -> tuple[Meter, ...]:
    """Those that work on this device draws from: the processor's, and the GPU's own.

    A processor whose counters only root may read (most, since 2020) has none.
    """
    found = [meter for meter in _processor() if meter.read() is not None]
    number = gpus.number(device)
    if number is not None:
        gpu = Meter(f"gpu {number}", NVML_STEP, lambda: gpus.joules(number))
        found = [*found, gpu] if gpu.read() is not None else []  # a GPU's work without the GPU?
    return tuple(found)


def _processor() -> Iterator[Meter]:
    """A package holds its cores, so its parts are not added to it; memory is apart."""
    for zone in sorted(POWERCAP.glob("intel-rapl:*")):  # not intel-rapl-mmio: the same counters
        name = machine.read_text(zone / "name") or ""
        if name.startswith(("package", "dram")):
            wraps = _microjoules(zone / "max_energy_range_uj")
            yield Meter(
                name if name.startswith("package") else f"{name} of {zone.name}",
                RAPL_STEP,
                lambda zone=zone: _microjoules(zone / "energy_uj"),  # type: ignore[misc]
                wraps,
            )


def _microjoules(path: Path) -> float | None:
    text = machine.read_text(path)
    return int(text) / 1e6 if text and text.isdigit() else None


class Energy:
    """Joules from one call of `since` to the next, over all meters of a device."""

    def __init__(self, device: str):
        self._meters = meters(device)
        self._shortest = STEPS * max((meter.step_s for meter in self._meters), default=0.0)
        self._begin, self._before = self._now()

    def _now(self) -> tuple[float, list[float | None]]:
        return time.monotonic(), [meter.read() for meter in self._meters]

    def since(self) -> float | None:
        """None where there is no meter, or too little time has passed for what they resolve."""
        begin, before = self._begin, self._before
        self._begin, self._before = self._now()
        if not self._meters or self._begin - begin < self._shortest:
            return None
        pairs = zip(self._meters, before, self._before, strict=True)
        spent = [meter.between(then, now) for meter, then, now in pairs]
        known = [joules for joules in spent if joules is not None]
        return sum(known) if len(known) == len(spent) else None
