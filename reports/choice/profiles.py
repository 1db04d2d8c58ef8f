"""Profiles: what a kind of user wants, as data. TOML, checked strictly; the user's own too.

    title = "Serving on a small box"
    summary = "quick for one image, and it has to fit"
    device = "cpu"                   # only there; default: wherever it was measured
    workloads = ["resnet*"]          # only these; default: all
    without = ["lenet5"]             # of these not; default: none

    [[objective]]
    measure = "latency"              # one of `objectives.MEASURES`
    of = "single-image latency"      # a use (harness/stats/uses.py); default: all of them
    weight = 3

    [[objective]]
    measure = "peak_memory"
    weight = 1
    at_most = "800 MB"               # a hard limit; with weight 0, nothing but a limit
    enough = "200 MB"                # less than this is no better: nobody would notice

A weight is an exponent: with 2 for latency and 1 for memory, half the latency is worth a
quarter of the memory. Weights are divided by their sum. The order in which profiles are
shown is `ORDER`.
"""

import math
import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from harness import toml
from harness.errors import Wrong
from harness.stats import uses

FOLDER = Path(__file__).resolve().parents[1] / "profiles"
ORDER = (
    "general-use",
    "training-throughput",
    "prototyping",
    "low-latency-serving",
    "batch-inference",
    "cpu-deployment",
    "small-memory",
)
Measure = Literal[
    "throughput",
    "latency",
    "latency_p99",
    "first_result",
    "peak_memory",
    "energy",
    "installed_size",
    "cost",
]
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}
UNITS |= {"J": 1.0, "mJ": 1e-3}
SEEN_ONCE = ("first_result", "peak_memory", "installed_size")
FITTING = {  # which units a limit may be given in; cost is a bare number
    "throughput": ("s", "ms", "us"),
    "latency": ("s", "ms", "us"),
    "latency_p99": ("s", "ms", "us"),
    "first_result": ("s", "ms", "us"),
    "peak_memory": ("B", "kB", "MB", "GB"),
    "installed_size": ("B", "kB", "MB", "GB"),
    "energy": ("J", "mJ"),
    "cost": (),
}


class Objective(msgspec.Struct, frozen=True):
    """One thing that is wanted little of. `weight` is a share; amounts in s, bytes, J."""

    measure: str
    weight: float
    of: str | None = None
    at_most: float | None = None
    enough: float | None = None


class Profile(msgspec.Struct, frozen=True):
    """What a kind of user wants. The weights of its objectives sum to 1."""

    name: str
    title: str
    summary: str
    objectives: tuple[Objective, ...]
    device: str | None = None
    workloads: tuple[str, ...] = ("*",)
    without: tuple[str, ...] = ()

    def speaks_of(self, comparison: Any) -> bool:
        """Whether a comparison is of a device and a workload that it asks for."""
        kind = comparison.device.partition(":")[0]
        named, left = (
            any(fnmatch(comparison.workload, pattern) for pattern in patterns)
            for patterns in (self.workloads, self.without)
        )
        return named and not left and self.device in (None, kind)


class _Objective(msgspec.Struct, forbid_unknown_fields=True):
    examples: ClassVar = {"measure": 'measure = "latency"', "weight": "weight = 1"}
    measure: Measure
    weight: Annotated[float, msgspec.Meta(ge=0)]
    of: str | None = None
    at_most: float | str | None = None
    enough: float | str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    examples: ClassVar = {
        "title": 'title = "Serving on a small box"',
        "objective": '[[objective]] and below it measure = "latency" and weight = 1',
    }
    title: str
    objective: list[_Objective]
    summary: str = ""
    device: Literal["cpu", "cuda"] | None = None
    workloads: list[str] | None = None
    without: list[str] = []


def names() -> list[str]:
    """The profiles that come with Bakeoff, in the order in which they are shown."""
    found = {path.stem for path in FOLDER.glob("*.toml")}
    return [*(name for name in ORDER if name in found), *sorted(found - {*ORDER})]


def load(chosen: list[str] | None = None) -> list[Profile]:
    """Profiles by name, or by the path of a TOML file; default: all that come along."""
    return [_load(name) for name in (chosen or names())]


def refuse_silent(chosen: Iterable[Profile], analysis: Any) -> None:
    """Raises Wrong for one that was asked for and of which the run tells nothing."""
    told = {each.profile for each in analysis.recommendations}
    for profile in chosen:
        if profile.name not in told:
            where = f" on {profile.device}" if profile.device else ""
            asked = ", ".join(profile.workloads)
            asked += f" without {', '.join(profile.without)}" if profile.without else ""
            there = ", ".join(dict.fromkeys(c.workload for c in analysis.comparisons))
            raise Wrong(
                f"profile '{profile.name}': this run holds too little of what it weighs, in "
                f"workloads {asked}{where}; it has {there or 'none'}; see `measure` and `of` of "
                "its objectives"
            )


def _load(name: str) -> Profile:
    """Raises Wrong, in one line."""
    file = toml.load("profile", name, FOLDER, names(), _File)
    total = sum(each.weight for each in file.objective)
    if not 0 < total < math.inf:
        raise Wrong(f"profile '{name}' weighs nothing: give an [[objective]] a weight above 0")
    seen = [(each.measure, each.of) for each in file.objective]
    for measure, of in seen:
        if seen.count((measure, of)) > 1:
            what = f"'{measure}'" + (f" of '{of}'" if of else "")
            raise Wrong(f"profile '{name}' has {what} twice: give it one weight")
    return Profile(
        name=Path(name).stem,
        title=file.title,
        summary=file.summary,
        objectives=tuple(_objective(name, each, total) for each in file.objective),
        device=file.device,
        workloads=("*",) if file.workloads is None else tuple(file.workloads),
        without=tuple(file.without),
    )


def _objective(name: str, given: _Objective, total: float) -> Objective:
    if given.of is not None and given.of not in uses.USES:
        raise Wrong(
            f"profile '{name}': of = '{given.of}' is no use; expected one of "
            + ", ".join(f"'{use}'" for use in uses.USES)
        )
    if given.enough is not None and given.measure not in SEEN_ONCE:
        raise Wrong(
            f"profile '{name}': enough is for {', '.join(SEEN_ONCE)}; {given.measure} is "
            "compared launch by launch, and has at_most alone"
        )
    most, enough = (_amount(name, given, key) for key in ("at_most", "enough"))
    return Objective(given.measure, given.weight / total, given.of, most, enough)


def _amount(name: str, given: _Objective, key: str) -> float | None:
    """'800 MB' -> 8e8; a bare number is in seconds, bytes, joules, or money. Raises Wrong."""
    text = getattr(given, key)
    if text is None:
        return None
    units = FITTING[given.measure]
    told = text if isinstance(text, str) else f"{text:.12f}"  # 5e-05 is a number too
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", told)
    if match is None or float(match[1]) <= 0 or (match[2] and match[2] not in units):
        wanted = f"a number above 0, or with a unit of {', '.join(units)}" if units else "a number"
        raise Wrong(f"profile '{name}': {key} = {text!r} for {given.measure}; expected {wanted}")
    return float(match[1]) * UNITS.get(match[2], 1.0)
