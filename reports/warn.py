"""Warnings: what a reader should know before trusting a figure, and what to do about it."""

from harness.records import Run
from reports.analysis import Comparison

THREADS_OFF = 0.20


def warnings(run: Run, comparisons: list[Comparison]) -> list[dict[str, str]]:
    """Each with `where`, `what` and `advice`."""
    return [
        *_events(run),
        *_threads(run),
        *_modes(comparisons),
        *_disagreements(comparisons),
        *_past_the_roof(comparisons),
        *_one_compilation(comparisons),
    ]


def _warning(where: str, what: str, advice: str) -> dict[str, str]:
    return {"where": where, "what": what, "advice": advice}


ADVICE = {
    "busy": "close other programs, or use a machine of its own, and measure again",
    "budget": "give it a larger --budget, or fewer contenders or workloads",
    "not_steady": "look at its launches; a longer warm-up comes with the full suite",
    "unverified": "read the reason; without an oracle its figures are only timings",
}


def _events(run: Run) -> list[dict[str, str]]:
    return [
        _warning(event["what"].replace("_", " "), event["reason"], ADVICE[event["what"]])
        for event in run.events
        if event["what"] in ADVICE
    ]


def _threads(run: Run) -> list[dict[str, str]]:
    """Processor time over wall time of a large product tells how many threads worked."""
    asked = run.plan.get("settings", {}).get("threads")
    if not asked or run.plan.get("settings", {}).get("device") != "cpu":
        return []
    return [
        _warning(
            probe["contender"],
            f"a large product kept {probe['effective_threads']:.1f} processors busy, "
            f"{asked} were asked for",
            "its thread setting may not take effect; compare with --threads 1",
        )
        for probe in run.probes
        if abs(probe["effective_threads"] / asked - 1) > THREADS_OFF
    ]


def _modes(comparisons: list[Comparison]) -> list[dict[str, str]]:
    return [
        _warning(
            f"{cell.contender}, {c.id}",
            f"its launches fall into {len(cell.modes)} modes: "
            + ", ".join(f"{1e3 * mode:.3g} ms" for mode in cell.modes),
            "identical processes differ for life: more launches, or find the cause",
        )
        for c in comparisons
        for cell in c.cells
        if cell.modes
    ]


def _disagreements(comparisons: list[Comparison]) -> list[dict[str, str]]:
    return [
        _warning(c.id, c.why, "decide which of the two your use needs")
        for c in comparisons
        if c.winner is None and "the better" in c.why
    ]


def _past_the_roof(comparisons: list[Comparison]) -> list[dict[str, str]]:
    """Faster than the measured roof: caches and Winograd can do it, four times at the most."""
    return [
        _warning(
            f"{cell.contender}, {c.id}",
            f"it reaches {cell.share_of_peak:.1f} times the machine's measured roof",
            "data that stay in cache, or a convolution with fewer operations; past 4 times "
            "suspect the measurement",
        )
        for c in comparisons
        for cell in c.cells
        if cell.share_of_peak and cell.share_of_peak > 1.5
    ]


def _one_compilation(comparisons: list[Comparison]) -> list[dict[str, str]]:
    autotuned = sorted(
        {
            cell.contender
            for c in comparisons
            for cell in c.cells
            if cell.status == "ok" and cell.manifest.get("autotune")
        }
    )
    if not autotuned:
        return []
    return [
        _warning(
            ", ".join(autotuned),
            "it autotunes, and all launches share the choice of the first",
            "its figures are conditional on one compilation: run again, and compare",
        )
    ]
