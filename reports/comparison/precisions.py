"""What another precision changes: a contender's time in it, over its own in float32.

Both were measured in the same launches, each in a process of its own, minutes apart: what a process
is fast or slow by, and what the machine did in between, is in the interval. In every launch another
precision comes first, so that what its beginning is slower by is on neither side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.record.records import Run
from harness.stats import modes, readings, statistics
from reports.analysis import Comparison, finite, ranked
from reports.comparison import pairs

PLAIN = "float32"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A time in `precision` over one in float32, its interval, and a verdict on it."""

    contender: str
    precision: str
    ratio: float
    low: float | None
    high: float | None
    verdict: str
    launches: int
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Change(Judged):
    """Time of `contender` in `comparison` over that of `of` in the same work in float32."""

    of: str
    comparison: str


@dataclass(frozen=True, kw_only=True)
class Mean(Judged):
    """A contender's change over all the work that it was measured at in both."""

    workloads: int


@dataclass(frozen=True)
class Precisions:
    """own: of every contender itself. leaders: of who leads in a precision, over who leads in
    float32. means: of every contender in every other precision."""

    own: list[Change]
    leaders: list[Change]
    means: list[Mean]

    @property
    def any(self) -> bool:
        return bool(self.own or self.leaders or self.means)


def precisions(run: Run, comparisons: Sequence[Comparison]) -> Precisions:
    """All that the run has of it; nothing where no work was measured in float32 and another."""
    plain = {_work(c): c for c in comparisons if c.precision == PLAIN}
    both = [(c, plain[_work(c)]) for c in comparisons if c.precision != PLAIN and _work(c) in plain]
    contenders = ranked(run)
    own: list[tuple[Change, _Both]] = []
    leaders: list[tuple[Change, _Both]] = []
    for comparison, base in both:
        sound = [c.contender for c in comparison.cells if c.status == "ok"]
        names = [name for name in contenders if name in sound]
        own += _changes(run, comparison, base, [(name, name) for name in names])
        if comparison.leader and base.leader:
            leaders += _changes(run, comparison, base, [(comparison.leader, base.leader)])
    return Precisions([each for each, _ in own], [each for each, _ in leaders], _means(run, own))


@dataclass(frozen=True)
class _Both:
    """The log of its seconds in the one and in the other, launch by launch."""

    first: dict[int, float]
    second: dict[int, float]
    left: bool  # one of the two left early, being far behind
    busy: bool  # the machine was

    def pair(self) -> pairs.Pair:
        logs = {k: self.first[k] - self.second[k] for k in self.first if k in self.second}
        sides = readings.in_order(self.first), readings.in_order(self.second)
        modal = modes.leave_open(*sides, readings.in_order(logs))
        return pairs.Pair(logs, modal, self.left, self.busy)


def _work(comparison: Comparison) -> tuple[object, ...]:
    """What two comparisons share that differ in their precision alone."""
    c = comparison
    return c.workload, c.size, c.batch, c.direction, c.device


def _changes(
    run: Run, comparison: Comparison, base: Comparison, names: Sequence[tuple[str, str]]
) -> list[tuple[Change, _Both]]:
    """Of those that have a launch with both."""
    found = []
    for name, of in names:
        cell = base.find(of)
        if cell is None or cell.status != "ok":
            continue
        both = _both(run, comparison, base, name, of)
        if both.pair().logs:
            figures = _figures(run, name, comparison.precision, both)
            found.append((Change(of=of, comparison=comparison.id, **figures), both))
    return found


def _both(run: Run, comparison: Comparison, base: Comparison, name: str, of: str) -> _Both:
    """By what both are ranked by; or by their turns, where only one has blocks without a pause."""
    same = comparison.by == base.by
    times = [run.times(c.id, c.by if same else c.by_turn) for c in (comparison, base)]
    first, second = (
        {launch: readings.trimmed_mean(logs) for launch, logs in each.get(who, {}).items()}
        for each, who in zip(times, (name, of), strict=True)
    )
    left = not run.settled.isdisjoint({(comparison.id, name), (base.id, of)})
    return _Both(first, second, left, bool(comparison.busy or base.busy))


def _means(run: Run, own: Sequence[tuple[Change, _Both]]) -> list[Mean]:
    """Contender by contender, in their order; of each the precisions, in theirs.

    Modes leave a mean open where they do so in the mean: one workload's, that others make nothing
    of, do not.
    """
    grouped: dict[tuple[str, str], list[_Both]] = {}
    for name in ranked(run):
        for change, both in own:
            if change.contender == name:
                grouped.setdefault((name, change.precision), []).append(both)
    found = []
    for (name, precision), each in grouped.items():
        first, second = (
            dict(enumerate(statistics.shared_launches([_held(b, side) for b in each])))
            for side in ("first", "second")
        )
        whole = _Both(first, second, any(b.left for b in each), any(b.busy for b in each))
        if whole.pair().logs:
            found.append(Mean(workloads=len(each), **_figures(run, name, precision, whole)))
    return found


def _held(both: _Both, side: str) -> dict[int, float]:
    """One side, in the launches that hold both."""
    return {k: v for k, v in getattr(both, side).items() if k in both.first and k in both.second}


def _figures(run: Run, contender: str, precision: str, both: _Both) -> dict[str, Any]:
    """The fields of `Judged`."""
    judged = pairs.judged(run, both.pair())
    return {
        "contender": contender,
        "precision": precision,
        "ratio": judged.ratio,
        "low": finite(judged.low),
        "high": finite(judged.high),
        "verdict": judged.verdict,
        "launches": judged.launches,
        "confidence": judged.confidence,
    }
