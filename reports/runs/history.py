"""What the same networks took in 2016, beside this run's: two machines, never one ranking.

convnet-benchmarks timed four networks and five layers, forward and backward without an
update, on one Titan X; the suite `convnet-benchmarks` asks for the same work, and the
published figures lie in `results/published/convnet-benchmarks/`. A batch that another
machine cannot hold is no other question, so what is shown is images a second, with each
batch beside it.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.analysis import Analysis, Comparison
from reports.words import threads

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published" / "convnet-benchmarks"
TITLES = {
    "alexnet": "AlexNet",
    "overfeat": "OverFeat [fast]",
    "vgg_a": "VGG model A",
    "googlenet": "GoogLeNet V1",
}
LAYERS = {f"layer_l{n}": f"Layer L{n}" for n in range(1, 6)}
LAYER_BATCH = 128
NETWORKS_MACHINE = "NVIDIA Titan X, 2015 to 2016"
LAYERS_MACHINE = "a GPU of 2015, not stated unambiguously"


@dataclass(frozen=True)
class Entry:
    """One library, or contender: images a second; None where it was not measured.

    threads: in words, where the run has several numbers of them.
    """

    name: str
    batch: int
    precision: str
    forward: float | None
    both: float | None  # forward and backward
    threads: str = ""


@dataclass(frozen=True)
class Work:
    """One network or layer, then and now; each list by its own images a second."""

    title: str
    machine: str  # of the published figures
    then: list[Entry]
    now: list[Entry]
    batches: list[int]  # this run's
    same_batch: bool
    sentence: str


def history(analysis: Analysis) -> list[Work]:
    """The work of convnet-benchmarks that a run holds; nothing where the figures are absent."""
    if not PUBLISHED.is_dir():
        return []
    mine: dict[str, list[Comparison]] = {}
    for comparison in analysis.comparisons:
        known = comparison.workload in TITLES or comparison.workload in LAYERS
        if known and comparison.direction in ("infer", "fwd_bwd"):
            mine.setdefault(comparison.workload, []).append(comparison)
    if not any(c.direction == "fwd_bwd" for found in mine.values() for c in found):
        return []  # inference alone is no run of convnet-benchmarks
    then = published()
    return [
        _work(then[name], title, mine[name], analysis, name in LAYERS)
        for name, title in {**TITLES, **LAYERS}.items()
        if name in mine and _now(mine[name], analysis)
    ]


def published() -> dict[str, list[Entry]]:
    """Workload -> its entries of 2016."""
    found: dict[str, list[Entry]] = {name: [] for name in (*TITLES, *LAYERS)}
    for row in _rows("convnet-benchmarks-titanx.csv"):
        batch = int(row["batch"])
        rates = [1e3 * batch / float(row[key]) for key in ("forward_ms", "total_ms")]
        found[row["model"]].append(
            Entry(row["library"], batch, row["precision"], rates[0], rates[1])
        )
    layers = list(_rows("convnet-benchmarks-layers.csv"))
    backward = {row["library"]: row for row in layers if row["direction"] == "backward"}
    for row in layers:
        if row["direction"] != "forward" or row["library"] == "cherry-picking":
            continue  # the best of each layer is no library
        for name, title in LAYERS.items():
            key = f"{title.partition(' ')[2]}_ms"
            forward = float(row[key])
            both = forward + float(backward[row["library"]][key])
            rates = [1e3 * LAYER_BATCH / milliseconds for milliseconds in (forward, both)]
            found[name].append(Entry(row["library"], LAYER_BATCH, "float32", rates[0], rates[1]))
    return {name: sorted(entries, key=_order) for name, entries in found.items()}


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (PUBLISHED / name).open(newline="") as file:
        yield from csv.DictReader(file)


def _order(entry: Entry) -> float:
    return -(entry.both or 0.0)


def _rate(value: float | None) -> str:
    return f"{value or 0:,.0f}" if (value or 0) >= 100 else f"{value or 0:.3g}"


def _now(comparisons: list[Comparison], analysis: Analysis) -> list[Entry]:
    """What was measured of one workload here, a row a contender, batch, precision and number of
    threads."""
    several = len(analysis.threads) > 1
    rates: dict[tuple[str, int, str, str], dict[str, float]] = {}
    for comparison in comparisons:
        for cell in analysis.cells(comparison):
            if cell.status == "ok" and cell.seconds:
                told = threads([comparison.threads]) if several else ""
                key = (cell.contender, comparison.batch, comparison.precision, told)
                rates.setdefault(key, {})[comparison.direction] = comparison.batch / cell.seconds
    found = [
        Entry(name, batch, precision, rate.get("infer"), rate.get("fwd_bwd"), told)
        for (name, batch, precision, told), rate in rates.items()
    ]
    return sorted(found, key=_order)


def _work(
    then: list[Entry], title: str, comparisons: list[Comparison], analysis: Analysis, layer: bool
) -> Work:
    now = _now(comparisons, analysis)
    batches = sorted({entry.batch for entry in now})
    machine = LAYERS_MACHINE if layer else NETWORKS_MACHINE
    best = then[0]
    sentence = f"Then, the most of {len(then)} libraries was {_rate(best.both)} images a second"
    sentence += f" forward and backward ({best.name}, batch {best.batch}, {machine})."
    whole = [entry for entry in now if entry.both]
    if whole:
        gpus: list[Any] = analysis.machine.get("gpu") or []
        device = analysis.settings.get("device", "cpu")
        here = gpus[0]["name"] if gpus and device != "cpu" else analysis.machine.get("cpu")
        sentence += f" Here the most is {_rate(whole[0].both)} ({whole[0].name}, batch "
        where = ", ".join(filter(None, (whole[0].threads, here or "this machine")))
        sentence += f"{whole[0].batch}, {where})."
    same = batches == sorted({entry.batch for entry in then})
    return Work(title, machine, then, now, batches, same, sentence)
