"""Warnings: what a reader should know before trusting a figure, and what to do about it."""

from typing import Any

import numpy as np

from harness.record.records import Run
from harness.stats import comparable, readings, statistics, uses
from reports.analysis import Comparison, ranked, short, warning
from reports.comparison import roof
from reports.trust import interference, rounds
from reports.words import size

COMPILERS = 0.1  # of a peak: what is less beside it needs no telling
IMPOSSIBLE = 100  # times the roof: no cache and no algorithm is as fast


def warnings(run: Run, comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """Of a run, in the order in which they are shown; each is as `analysis.warning` makes it."""
    return [
        *_events(run),
        *interference.warnings(run, comparisons),
        *_other_precision(comparisons),
        *_whole_peaks(run, comparisons),
        *_compilers(comparisons),
        *_losses(run, comparisons),
        *_disagreements(comparisons),
        *rounds.warnings(run, comparisons),
        *_boosted(run, comparisons),
        *_mixed(comparisons),
        *_past_the_roof(comparisons),
        *_alone(run),
        *_one_compilation(comparisons),
    ]


ADVICE = {
    "busy": "close other programs, or use a machine of its own, and measure again",
    "budget": "give it a larger --budget, or fewer contenders or workloads",
    "launched_again": "read why; where it was killed, see what takes the memory",
    "disturbed": "mend the cause: let it cool, give it power, keep it from sleeping",
    "edited": "start another run, and edit none of its code meanwhile",
    "unprobed": "read the reason; the roof is what the others reached",
    "unverified": "read the reason; without an oracle its figures are only timings",
}


ENDED = ("budget", "edited")


def _events(run: Run) -> list[dict[str, Any]]:
    """What ended an invocation is told of the run's last one alone: an earlier one was resumed."""
    whats = [event["what"] for event in run.events]
    resumed = len(whats) - whats[::-1].index("resumed") if "resumed" in whats else 0

    def named(reason: str) -> str:
        for comparison in run.plan["comparisons"]:
            reason = reason.replace(comparison["id"], short(comparison["id"]))
        return reason

    return [
        warning(event["what"].replace("_", " "), named(event["reason"]), ADVICE[event["what"]])
        for place, event in enumerate(run.events)
        if event["what"] in ADVICE and (event["what"] not in ENDED or place >= resumed)
    ]


def _other_precision(comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """A manifest says what was set; an answer's error says what ran."""
    found = [
        (cell.contender, c, told)
        for c in comparisons
        for cell in c.cells
        if cell.status in ("ok", "incomparable")
        and (told := comparable.disagreement(cell.as_ran, c.precision, c.cost.get("layers", 1)))
    ]
    return [
        warning(
            f"{name}, {c.id}",
            f"another precision ran than the one it declares: {told}",
            "it is not ranked; look at its manifest, and for a switch that lowers or raises "
            "precision in silence",
            [c.id],
            [name],
        )
        for name, c, told in found
    ]


def _whole_peaks(run: Run, comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """An engine whose model was built within the peak: half of that is the benchmark's own."""
    engines = {  # a framework's variant that only infers builds no model
        c["name"]
        for c in run.plan["contenders"]
        if not c.get("trains", True) and not c.get("variant")
    }
    found = [
        (c.id, cell.contender)
        for c in comparisons
        for cell in c.cells
        if cell.contender in engines
        and c.device == "cpu"
        and (cell.memory or {}).get("peak_rss_bytes")
        and not (cell.memory or {}).get("load_rss_bytes")
    ]
    if not found:
        return []
    return [
        warning(
            "memory",
            "peaks hold what the benchmark took to build the models that engines open: less is "
            "theirs than is shown",
            "measure again, where the kernel forgets a peak (docs/method.md); till then choose "
            "nobody by this memory",
            [comparison for comparison, _ in found],
            dict.fromkeys(name for _, name in found),
        )
    ]


def _compilers(comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """Whose first call compiles in processes of their own, which no peak of the process holds."""
    found: dict[str, list[tuple[int, str]]] = {}
    for comparison in comparisons:
        for cell in comparison.cells:
            memory = cell.memory or {}
            beside, peak = memory.get("kin_bytes") or 0, memory.get("peak_rss_bytes") or 0
            if cell.status == "ok" and beside > COMPILERS * peak > 0:
                found.setdefault(cell.contender, []).append((beside, comparison.id))
    return [
        warning(
            name,
            f"its first call compiles in processes of their own, which take up to "
            f"{size(max(places)[0])} beside it and are not in its peak of memory",
            "where it starts with an empty cache, give the container room for both; or bring the "
            "cache along",
            [id_ for _, id_ in places],
            [name],
        )
        for name, places in found.items()
    ]


def _losses(run: Run, comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """Where the reference could follow a small batch alone, contenders vouch for each other."""
    found = []
    for comparison in comparisons:
        losses: dict[str, list[float]] = {}  # of every draw of an autotuner
        gate = 0.0
        for cell in comparison.cells:
            for record in run.cells_of(comparison.id, cell.contender):
                oracle = record["oracle"] or {}
                if cell.status == "ok" and oracle.get("loss") is not None:
                    losses.setdefault(cell.contender, []).append(oracle["loss"])
                    checked = oracle.get("checked") or []
                    gates = [c["gate"] for c in checked if c["quantity"] == "loss"]
                    gate = max([gate, *gates])
        usual = [float(np.median(each)) for each in losses.values()]
        middle = float(np.median(usual)) if usual else 0.0
        off = {
            name: loss
            for name, each in losses.items()
            for loss in each
            if not abs(loss - middle) <= gate * abs(middle)
        }
        if off:
            told = ", ".join(f"{name} {loss:.8g}" for name, loss in off.items())
            found.append(
                warning(
                    comparison.id,
                    f"losses of the whole batch differ, of which no reference was computed: "
                    f"{told}, in the middle {middle:.8g} (allowed: {gate:.2g})",
                    "rank nobody by it before it is known who is right: `bakeoff check NAME`",
                    [comparison.id],
                    off,
                )
            )
    return found


def _disagreements(comparisons: list[Comparison]) -> list[dict[str, Any]]:
    return [
        warning(c.id, c.why, "decide which of the two your use needs", [c.id])
        for c in comparisons
        if c.disagree
    ]


def _boosted(run: Run, comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """Training on a GPU in turns of 40 ms runs at clocks at which nobody trains."""
    trained = [c for c in comparisons if c.direction == "train" and c.device != "cpu" and c.leader]
    bursts = [c.id for c in trained if c.by != "sustained"]
    found = []
    if bursts:
        found.append(
            warning(
                ", ".join(bursts),
                "timed in short turns, at clocks that a GPU does not keep when it trains for long",
                "a suite with `sustained`, as `full` has, also trains in blocks without a pause",
                bursts,
            )
        )
    for comparison in trained:
        leader = comparison.leader or ""
        times = run.times(comparison.id, "throughput")
        over = {
            cell.contender: float(np.mean([*ratios.values()]))
            for cell in comparison.cells
            if cell.status == "ok" and cell.contender in ranked(run)
            if (ratios := readings.log_ratios(times, cell.contender, leader))
        }
        first = min(over, key=lambda name: over[name], default=leader)
        if comparison.by == "sustained" and over.get(first, 0.0) < -statistics.MARGIN:
            found.append(
                warning(
                    comparison.id,
                    f"{comparison.leader} leads in training without a pause, "
                    f"{first} in short turns",
                    "the first is how people train, and is what is ranked; the other is its boost",
                    [comparison.id],
                )
            )
    return found


def _mixed(comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """Uses whose mean is over comparisons that the host bounds and such as the device does."""
    found = []
    for use, used in uses.groups(comparisons):
        bounds: dict[str | None, list[str]] = {}
        for comparison in used:
            if comparison.leader:
                bounds.setdefault(comparison.cell(comparison.leader).bound, []).append(
                    comparison.id
                )
        if {"host", "device"} <= bounds.keys():
            found.append(
                warning(
                    f"{use} on {used[0].device}, {used[0].precision}",
                    f"its mean holds what the host bounds ({', '.join(bounds['host'])}) and what "
                    f"the device does ({', '.join(bounds['device'])})",
                    "look at them one by one: another device moves only the second",
                    [*bounds["host"], *bounds["device"]],
                )
            )
    return found


def _past_the_roof(comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """Faster than the measured roof: caches and Winograd can do it, four times at the most."""
    past = [
        (c.id, {x.contender: s for x in c.cells if (s := x.share_of_peak or 0.0) > 1.5})
        for c in comparisons
    ]
    usual = (
        "data stay in cache, or a convolution needs fewer operations; past 4 times suspect the "
        "measurement"
    )
    idle = "nobody computes so fast: is a stored result handed out? `bakeoff check NAME`"
    warned = []
    for comparison, found in past:
        if found:
            shares = ", ".join(f"{name} {share:.1f} times" for name, share in found.items())
            advice, why = ("", usual) if max(found.values()) <= IMPOSSIBLE else (idle, "")
            told = f"past the machine's measured roof: {shares}"
            warned.append(warning(comparison, told, advice, [comparison], found, why))
    return warned


def _alone(run: Run) -> list[dict[str, Any]]:
    left = "it is left out of this machine's roof"
    if not roof.rates(run):
        left = "nobody tells which is right, so this machine has no roof"
    return [
        warning(
            one.contender,
            f"{one.what} went {one.apart:.3g} times as fast as {one.next}'s, the next: {left}",
            "either it does not really compute (`bakeoff check NAME` tells), or the next one uses "
            "a single core",
            contenders=[one.contender],
        )
        for one in roof.alone(run)
    ]


def _one_compilation(comparisons: list[Comparison]) -> list[dict[str, Any]]:
    found = [
        (cell.contender, c.id)
        for c in comparisons
        for cell in c.cells
        if cell.status == "ok" and cell.one_compilation
    ]
    if not found:
        return []
    autotuned = sorted({name for name, _ in found})
    return [
        warning(
            ", ".join(autotuned),
            "it autotunes, and all its launches share one choice",
            "its figures are conditional on one compilation: three launches draw three",
            [where for _, where in found],
            autotuned,
        )
    ]
