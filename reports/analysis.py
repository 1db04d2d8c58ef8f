"""What is said about a run: the shapes of it, without how it is found.

`verdicts.analyse` makes an Analysis from records; the terminal, the JSON and the page only
read one. All is plain data, so `dataclasses.asdict` of it is what `show --json` prints.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.record.records import Run
from harness.stats import comparable, statistics

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)  # of a launch's calls


@dataclass(frozen=True)
class Cell:
    """One contender in one comparison. Times in seconds, memory in bytes."""

    contender: str
    # As records.Status has it; or `missing`: planned and not measured; or `incomparable`.
    status: str
    reason: str | None = None
    launches: int = 0
    latency: dict[str, float | None] | None = None  # p25, p50, mean, p99
    seconds: float | None = None  # of a call, by the statistic the comparison is ranked by
    throughput: float | None = None  # items per second
    energy: float | None = None  # joules of an item, where the machine's meters could be read
    relative: float | None = None  # time over the best contender's
    share_of_peak: float | None = None
    bound: str | None = None  # on a device, who takes the time: "host" or "device"
    cold: dict[str, float] | None = None  # the mean of its starts
    # Of every start with an empty cache, in their order; None for one that failed.
    starts: list[float | None] = field(default_factory=list)
    warm: dict[str, float] | None = None
    memory: dict[str, int | None] | None = None
    oracle: dict[str, Any] | None = None
    ran: str | None = None  # the precision that its error shows
    ran_error: float | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    compilations: int = 0  # how many its launches drew, where it keeps what it compiled
    log: str | None = None
    crowded: bool = False  # it was out of memory beside the others, not known to be so alone
    modes: list[float] = field(default_factory=list)
    launch_seconds: list[float] = field(default_factory=list)
    # Launch by launch, the QUANTILES of its calls; the last is None below a hundred calls.
    calls: list[list[float | None]] = field(default_factory=list)

    @property
    def as_ran(self) -> comparable.Ran:
        return comparable.Ran(self.manifest, self.ran, self.ran_error)

    @property
    def one_compilation(self) -> bool:
        """Whether its figures hold for one choice of an autotuner, which another may not make."""
        return bool(self.manifest.get("autotune")) and self.compilations <= 1


@dataclass(frozen=True)
class Ratio:
    """time of a / time of b, its interval, and a verdict on a."""

    a: str
    b: str
    ratio: float
    low: float | None
    high: float | None
    verdict: str
    p: float  # of this pair alone, as the verdict has it
    launches: int
    detectable: float | None
    launches_needed: int | None
    confidence: float = 0.95  # of the interval: 0.999 where one of the two left early
    p_adjusted: float | None = None  # over all pairs of the comparison (Holm)


@dataclass(frozen=True)
class Comparison:
    """Contenders that are ranked against each other."""

    id: str
    workload: str
    batch: int
    size: int | None
    direction: str
    precision: str
    threads: int | None  # of every contender; None where an old record does not tell
    device: str
    kind: str
    summary: str
    headline: bool
    cost: dict[str, Any]
    winner: str | None
    leader: str | None
    runner_up: str | None
    why: str
    by: str
    launches: int
    cells: list[Cell]
    ratios: list[Ratio]
    noise_floor: Ratio | None
    floor_seconds: float | None
    command: str
    busy: list[str]  # why nobody is named: the machine was, in the run or in this alone
    disagree: bool  # the two statistics that it is ranked by each have another ahead

    @property
    def crowded(self) -> list[str]:
        """Who had no room beside the others: who came first had it, so nobody is named."""
        return [cell.contender for cell in self.cells if cell.crowded]

    @property
    def by_turn(self) -> str:
        """What it is ranked by, of turns: blocks without a pause rank what turns tell too."""
        return "latency" if self.by == "latency" else "throughput"

    def ratio(self, a: str, b: str) -> Ratio | None:
        return next((r for r in self.ratios if (r.a, r.b) == (a, b)), None)

    def find(self, contender: str) -> Cell | None:
        return next((c for c in self.cells if c.contender == contender), None)

    def cell(self, contender: str) -> Cell:
        return next(c for c in self.cells if c.contender == contender)

    def mark(self, contender: str) -> str:
        """What the verdict makes of a contender: `winner`, `tie`, or nothing."""
        if contender == self.winner:
            return "winner"
        pair = self.ratio(contender, self.leader or "")
        return "tie" if pair is not None and pair.verdict == "tie" else ""


@dataclass(frozen=True)
class Analysis:
    """Everything that is said about a run."""

    run: str
    title: str
    created: str
    command: str
    budget_s: float
    machine: dict[str, Any]
    settings: dict[str, Any]
    contenders: list[dict[str, Any]]
    absent: list[dict[str, str]]
    screening: list[str]
    comparisons: list[Comparison]
    recommendations: list[Any]  # recommend.Recommendation
    breakeven: list[Any]  # breakeven.BreakEven
    price: float | None  # an hour, as it was given
    noise_floor: dict[str, Any] | None
    roof: dict[str, float] | None
    roof_precision: str | None
    warnings: list[dict[str, Any]]
    failures: list[dict[str, str | None]]
    left_out: list[dict[str, str]]
    problems: list[str]
    lanes: list[Any] = field(default_factory=list)
    precisions: Any = None  # conditions.Effects
    scaling: Any = None  # the same, of threads
    profiled: list[Any] = field(default_factory=list)  # why.Why

    @property
    def measured(self) -> bool:
        """Whether anything was."""
        return any(cell.status == "ok" for c in self.comparisons for cell in c.cells)

    @property
    def named(self) -> bool:
        """Whether anybody is, for a workload or for a use."""
        return any(c.winner for c in self.comparisons) or any(
            r.choice for r in self.recommendations
        )

    @property
    def shown(self) -> list[dict[str, Any]]:
        """Contenders as a reader sees them: the noise floor's twin is none."""
        return [c for c in self.contenders if not c["twin"]]

    def cells(self, comparison: Comparison) -> list[Cell]:
        """Those of the contenders that are shown."""
        names = {c["name"] for c in self.shown}
        return [cell for cell in comparison.cells if cell.contender in names]

    def comparison(self, name: str) -> Comparison:
        return next(c for c in self.comparisons if c.id == name)

    @property
    def threads(self) -> Sequence[int | None]:
        """Of the contenders: one number, or all that the run asks, from few to many."""
        return sorted({c.threads for c in self.comparisons if c.threads}) or [
            self.settings.get("threads")
        ]

    def versions(self) -> list[str]:
        """`torch 2.13.0`: each framework once, as far as its version is known."""
        found = [(c["adapter"], c["version"]) for c in self.contenders if not c.get("of")]
        # OpenVINO tells the commit that it was built from as well; the manifest has all of it.
        known = [f"{adapter} {version.partition('-')[0]}" for adapter, version in found if version]
        return list(dict.fromkeys(known))


def warning(
    where: str,
    what: str,
    advice: str,
    comparisons: Iterable[str] = (),
    contenders: Iterable[str] = (),
    why: str = "",
) -> dict[str, Any]:
    """What a reader should know before trusting a figure (`what`), and what to do (`advice`).

    Without advice it is a note: nothing is to be done, and `why` says what to know of it.

    comparisons, contenders: that it is about. One without the first is about these contenders
    everywhere, one without the second about everybody there, one without both about the run.
    In the words they have their short names.
    """
    about = {"comparisons": list(dict.fromkeys(comparisons)), "contenders": list(contenders)}
    for comparison in about["comparisons"]:
        where, what = (text.replace(comparison, short(comparison)) for text in (where, what))
    return {"where": where, "what": what, "advice": advice, "why": why, **about}


def engines(run: Run) -> set[str]:
    """Inference engines; a framework's variant that only infers is none."""
    contenders = run.plan["contenders"]
    return {c["name"] for c in contenders if not c.get("trains", True) and not c.get("variant")}


def ranked(run: Run) -> list[str]:
    """Contenders that may win: no twin, no native model, not what does no work."""
    floor = run.plan.get("noise_floor") or {}
    return [
        c["name"]
        for c in run.plan["contenders"]
        if c.get("computes", True) and not c.get("of") and c["name"] != floor.get("twin")
    ]


def baselines(run: Run) -> list[str]:
    """Of those who may win a comparison, whom nobody can choose for a use: Bakeoff's own kernels.

    Unless there is nobody else: then that was the question.
    """
    old = ("numpy", "c")  # plans of before 2026-12 do not say
    own = {c["name"] for c in run.plan["contenders"] if c.get("baseline", c["adapter"] in old)}
    found = [name for name in ranked(run) if name in own]
    return found if len(found) < len(ranked(run)) else []


def first_stage(run: Run) -> int | None:
    """Launches of a first stage that more were planned from (Stein); None where none were."""
    staged = any(event["what"] == "second stage" for event in run.events)
    return statistics.LEAST_LAUNCHES if staged else None


def finite(value: float) -> float | None:
    """For JSON and the page: what is not finite is not there."""
    return float(value) if math.isfinite(value) else None


def nearness(pair: Ratio | statistics.Comparison) -> tuple[bool, float]:
    """The smallest is the runner-up, `pair` being its ratio to the leader.

    Whoever is not proved to be behind comes first: that is who keeps a choice open. Among
    equals the ratio counts, and not the end of an interval, which who left early has wider.
    """
    return pair.verdict == "materially_slower", pair.ratio


def short(comparison: str) -> str:
    """`resnet18@112/b4/train/float32/cpu` -> `resnet18@112 b4 train`; "" is all of them.

    A run is on one device, which its page names once.
    """
    parts = [part for part in comparison.split("/") if part not in ("float32", "cpu")]
    parts = [part for part in parts if part.partition(":")[0] != "cuda"]
    return " ".join(parts) or "all, geometric mean"
