"""Why one contender is slower than another: where a profiled call's time went, side by side.

A profile is one call under the framework's own profiler, apart from all that is timed. What
it says are shares; they are laid over the time that was measured, so that the bars are as
long as the ranking says. Where a profiler's sum is more than its call took (several threads,
or its own cost), it is scaled to that; what it does not account for is `idle or host`.
"""

from dataclasses import dataclass
from typing import Any

from harness.record.records import Run
from reports import words
from reports.analysis import Comparison
from reports.words import listed

# Told apart by the colour-blind, on a light page as on a dark one, and from every framework.
KINDS = {
    "convolution": "#606890",
    "matrix product": "#9848B0",
    "normalisation": "#C88030",
    "pooling": "#C870C0",
    "elementwise": "#48A070",
    "fused": "#829954",
    "copy": "#A05840",
    "other": "#886068",
    "idle or host": "#858B93",
}
MIXED = 0.25  # of a gap: so much in kernels that mix kinds of work leaves no kind to name
SAME = 0.03  # within this, there is no difference to explain,
OPEN = ("tie", "inconclusive", "multimodal")  # and nor is there where nobody can say who is slower
STRAYED = 1.5  # times the measured call: beyond, the machine was another meanwhile
KERNELS = 12
ROUNDING = 1e-6  # of a call: what is left of it by arithmetic alone


@dataclass(frozen=True)
class Profiled:
    """One contender's call. Seconds; `kernels` as the record has its events."""

    contender: str
    seconds: float  # as measured; of the profile's own plain call where nothing was
    by_kind: dict[str, float]  # adds up to `seconds`
    kernels: list[dict[str, Any]]  # scaled alike
    wall_s: float
    profiled_s: float

    @property
    def strayed(self) -> float:
        """How many times as long as the measured calls the one beside the profile took."""
        return self.wall_s / self.seconds


@dataclass(frozen=True)
class Why:
    """One comparison: who was profiled, why the others were not, and what it comes to."""

    comparison: str
    profiled: list[Profiled]
    unprofiled: list[tuple[str, str]]  # contender, reason
    sentences: list[str]  # each slower one against the fastest of those profiled

    @property
    def kinds(self) -> dict[str, str]:
        """Those that anybody spent time in, and their colours."""
        return {k: c for k, c in KINDS.items() if any(p.by_kind[k] > 0 for p in self.profiled)}

    @property
    def rough(self) -> str:
        """Whose process ran at another speed than when it was timed; "" where none did."""
        found = [p for p in self.profiled if not 1 / STRAYED < p.strayed < STRAYED]
        return ", ".join(f"{p.contender} ({words.times(p.strayed)})" for p in found)


def why(run: Run, comparisons: list[Comparison]) -> list[Why]:
    """Every comparison in which anybody was profiled."""
    found = (_why(run, comparison) for comparison in comparisons if comparison.headline)
    return [each for each in found if each.profiled]


def _why(run: Run, comparison: Comparison) -> Why:
    profiled, unprofiled = [], []
    best = next((c.seconds for c in comparison.cells if c.contender == comparison.leader), None)
    for cell in comparison.cells:
        records = run.cells_of(comparison.id, cell.contender)
        kept = [r["profile"] for r in records if r.get("profile")]
        if not kept:
            continue
        if cell.status != "ok":
            unprofiled.append((cell.contender, f"it is {cell.status}"))
            continue
        if "failed" in kept[-1]:
            unprofiled.append((cell.contender, str(kept[-1]["failed"])))
            continue
        try:
            # As ratios say it, of the launches that it shares with the leader.
            seconds = best * cell.relative if best and cell.relative else cell.seconds
            profiled.append(laid_over(cell.contender, kept[-1], seconds))
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):
            unprofiled.append((cell.contender, "its profile cannot be read"))
    by_time = sorted(profiled, key=lambda p: p.seconds)  # the leader may be unprofiled
    told, alike = [], []
    for slower in by_time[1:]:
        ratio = comparison.ratio(slower.contender, by_time[0].contender)
        if ratio is not None and ratio.verdict in OPEN:
            alike.append(slower.contender)
        elif ratio is not None:
            told.append(sentence(by_time[0], slower))
    if alike:
        told.append(f"{listed(alike)}: not told apart from {by_time[0].contender} here")
    return Why(comparison.id, profiled, unprofiled, [text for text in told if text])


def laid_over(contender: str, profile: dict[str, Any], measured: float | None) -> Profiled:
    """The shares of a profile, over the time that was measured."""
    known = {kind: float(seconds) for kind, seconds in profile["by_kind"].items()}
    wall = float(profile["wall_s"])
    whole = max(wall, sum(known.values()))
    seconds = measured or wall
    scale = seconds / whole
    by_kind = dict.fromkeys(KINDS, 0.0)
    for kind, value in known.items():
        by_kind[kind if kind in KINDS else "other"] += value * scale
    rest = seconds - sum(known.values()) * scale
    by_kind["idle or host"] = rest if rest > ROUNDING * seconds else 0.0
    kernels = [
        {
            "name": str(e["name"]),
            "kind": str(e["kind"]),
            "count": int(e["count"]),
            "seconds": float(e["seconds"]) * scale,
        }
        for e in profile["events"]
    ]
    return Profiled(
        contender, seconds, by_kind, kernels[:KERNELS], wall, float(profile["profiled_s"])
    )


def sentence(fast: Profiled, slow: Profiled) -> str:
    """What the slower one's time goes into beyond the faster one's; "" where there is no gap."""
    gap = slow.seconds - fast.seconds
    if gap < SAME * fast.seconds:
        return ""
    more = {kind: slow.by_kind[kind] - fast.by_kind[kind] for kind in KINDS}
    largest = sorted(more, key=lambda kind: -more[kind])
    ratio = words.times(slow.seconds / fast.seconds)
    text = f"{slow.contender} takes {ratio} {fast.contender}'s time: "
    fused = [each for each in (fast, slow) if each.by_kind["fused"]]
    if len(fused) == 1 and abs(more["fused"]) >= MIXED * gap:
        inside = words.seconds(fused[0].by_kind["fused"])
        return f"{text}{inside} of {fused[0].contender}'s are in fused kernels, which mix kinds"
    named = largest[:1] if more[largest[0]] >= 0.6 * gap else largest[:2]
    named = [kind for kind in named if more[kind] > 0]
    share = sum(more[kind] for kind in named) / gap
    against = {
        kind: f"({words.seconds(slow.by_kind[kind])} against {_less(fast.by_kind[kind])})"
        for kind in named
    }
    if share > 1.1:  # the rest of it is the faster one's loss
        parts = [f"{words.seconds(more[kind])} more in {kind} {against[kind]}" for kind in named]
        return f"{text}{listed(parts)}, and {words.seconds((share - 1) * gap)} less in the rest"
    parts = [f"{kind} {against[kind]}" for kind in named]
    part = "nearly all" if share > 0.97 else words.percent(share)
    return f"{text}{part} of the difference is {listed(parts)}"


def _less(value: float) -> str:
    return words.seconds(value) if value > 0 else "none"


def bars(found: Why) -> list[dict[str, Any]]:
    """The rows of a stacked chart, in milliseconds."""
    return [
        {"contender": p.contender, "phase": kind, "ms": 1e3 * p.by_kind[kind], "order": order}
        for p in found.profiled
        for order, kind in enumerate(KINDS)
    ]
