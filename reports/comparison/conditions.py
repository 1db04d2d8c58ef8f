"""What another precision, or more threads, change: a contender's time so, over its own in float32,
or on the fewest threads.

Both were measured in the same launches, each in a process of its own, minutes apart: what a process
is fast or slow by, and what the machine did in between, is in the interval. In every launch another
condition comes first, so that what its beginning is slower by is on neither side.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.record.records import Run
from harness.stats import modes, readings, statistics
from reports.analysis import Comparison, finite, ranked
from reports.comparison import pairs
from reports.words import threads as spelt

PLAIN = "float32"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A time in one condition over one in the plain one, its interval, and a verdict on it.

    told: the condition, as far as it is not the run's only one: what is asked about comes first.
    """

    contender: str
    precision: str
    threads: int | None
    told: str
    ratio: float
    low: float | None
    high: float | None
    verdict: str
    launches: int
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Change(Judged):
    """Time of `contender` in `comparison` over that of `of` in the same work, plain."""

    of: str
    comparison: str


@dataclass(frozen=True, kw_only=True)
class Mean(Judged):
    """A contender's change over all the work that it was measured at in both."""

    workloads: int


@dataclass(frozen=True)
class Effects:
    """Of all conditions of one kind. what: "in another precision". plain: what they are held
    against, in words. own: of every contender itself. leaders: of who leads in a condition, over
    who leads in the plain one. means: of every contender in every other condition."""

    what: str
    plain: str
    own: list[Change]
    leaders: list[Change]
    means: list[Mean]

    @property
    def any(self) -> bool:
        return bool(self.own or self.leaders or self.means)

    @property
    def plainly(self) -> str:
        """in float32"""
        return f"{self.what.partition(' ')[0]} {self.plain}"


def precisions(run: Run, comparisons: Sequence[Comparison]) -> Effects:
    """All that the run has of it; nothing where no work was measured in float32 and another."""

    def told(comparison: Comparison) -> str:
        return ", ".join([comparison.precision, *_several(comparisons, _threads, comparison)])

    what = "in another precision", PLAIN
    return _effects(run, comparisons, what, lambda c: c.precision == PLAIN, _but_precision, told)


def threads(run: Run, comparisons: Sequence[Comparison]) -> Effects:
    """The same of threads, held against the fewest; nothing where all had as many."""
    fewest = min((c.threads for c in comparisons if c.threads), default=None)

    def told(comparison: Comparison) -> str:
        return ", ".join([_threads(comparison), *_several(comparisons, _precision, comparison)])

    what = "on more threads", spelt([fewest]) if fewest else ""
    return _effects(run, comparisons, what, lambda c: c.threads == fewest, _but_threads, told)


def _precision(comparison: Comparison) -> str:
    return comparison.precision


def _threads(comparison: Comparison) -> str:
    return spelt([comparison.threads] if comparison.threads else [])


def _several(
    comparisons: Sequence[Comparison], word: Callable[[Comparison], str], of: Comparison
) -> Iterator[str]:
    """What is said of a comparison where not all of them have it."""
    if len({word(c) for c in comparisons}) > 1:
        yield word(of)


def _work(comparison: Comparison) -> tuple[object, ...]:
    c = comparison
    return c.workload, c.size, c.batch, c.direction, c.device


def _but_precision(comparison: Comparison) -> tuple[object, ...]:
    """What two comparisons share that differ in their precision alone."""
    return *_work(comparison), comparison.threads


def _but_threads(comparison: Comparison) -> tuple[object, ...]:
    return *_work(comparison), comparison.precision


def _effects(
    run: Run,
    comparisons: Sequence[Comparison],
    what: tuple[str, str],
    is_plain: Callable[[Comparison], bool],
    work: Callable[[Comparison], tuple[object, ...]],
    told: Callable[[Comparison], str],
) -> Effects:
    """what: as `Effects` has it, and plain. work: what a comparison is beside its condition. told:
    the condition in words."""
    bases = {work(c): c for c in comparisons if is_plain(c)}
    both = [(c, bases[work(c)]) for c in comparisons if not is_plain(c) and work(c) in bases]
    contenders = ranked(run)
    own: list[tuple[Change, _Both]] = []
    leaders: list[Change] = []
    for comparison, base in both:
        sound = [c.contender for c in comparison.cells if c.status == "ok"]
        names = [(name, name) for name in contenders if name in sound]
        own += _changes(run, comparison, base, names, told(comparison))
        if comparison.leader and base.leader:
            first = [(comparison.leader, base.leader)]
            leaders += [c for c, _ in _changes(run, comparison, base, first, told(comparison))]
    return Effects(*what, [each for each, _ in own], leaders, _means(run, own))


@dataclass(frozen=True)
class _Both:
    """The log of its seconds in the one and in the other, launch by launch."""

    first: dict[int, float]
    second: dict[int, float]
    left: bool  # one of the two left early, being far behind
    busy: bool  # the machine was
    room: bool = False  # one of the two made room for the rest, and has few launches

    def pair(self) -> pairs.Pair:
        logs = {k: self.first[k] - self.second[k] for k in self.first if k in self.second}
        sides = readings.in_order(self.first), readings.in_order(self.second)
        modal = modes.leave_open(*sides, readings.in_order(logs))
        return pairs.Pair(logs, modal, self.left, self.busy)


def _changes(
    run: Run,
    comparison: Comparison,
    base: Comparison,
    names: Sequence[tuple[str, str]],
    told: str,
) -> list[tuple[Change, _Both]]:
    """Of those that have a launch with both."""
    found = []
    where: dict[str, Any] = {"precision": comparison.precision, "threads": comparison.threads}
    for name, of in names:
        cell = base.find(of)
        if cell is None or cell.status != "ok":
            continue
        both = _both(run, comparison, base, name, of)
        if both.pair().logs:
            figures = _figures(run, both)
            change = Change(
                contender=name, of=of, comparison=comparison.id, told=told, **where, **figures
            )
            found.append((change, both))
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
    room = not run.left.isdisjoint({comparison.id, base.id})
    return _Both(first, second, left, bool(comparison.busy or base.busy), room)


def _means(run: Run, own: Sequence[tuple[Change, _Both]]) -> list[Mean]:
    """Contender by contender, in their order; of each the conditions, in theirs.

    Modes leave a mean open where they do so in the mean: one workload's, that others make nothing
    of, do not. What made room for the rest is in none: a mean is of the launches that hold it all.
    """
    grouped: dict[tuple[str, str], list[tuple[Change, _Both]]] = {}
    for name in ranked(run):
        for change, both in own:
            if change.contender == name:
                grouped.setdefault((name, change.told), []).append((change, both))
    found = []
    for (name, told), each in grouped.items():
        change = each[0][0]
        all_ = [both for _, both in each if not both.room] or [both for _, both in each]
        first, second = (
            dict(enumerate(statistics.shared_launches([_held(b, side) for b in all_])))
            for side in ("first", "second")
        )
        whole = _Both(first, second, any(b.left for b in all_), any(b.busy for b in all_))
        if whole.pair().logs:
            found.append(
                Mean(
                    contender=name,
                    precision=change.precision,
                    threads=change.threads,
                    told=told,
                    workloads=len(all_),
                    **_figures(run, whole),
                )
            )
    return found


def _held(both: _Both, side: str) -> dict[int, float]:
    """One side, in the launches that hold both."""
    return {k: v for k, v in getattr(both, side).items() if k in both.first and k in both.second}


def _figures(run: Run, both: _Both) -> dict[str, Any]:
    """The fields of `Judged` that were measured."""
    judged = pairs.judged(run, both.pair())
    return {
        "ratio": judged.ratio,
        "low": finite(judged.low),
        "high": finite(judged.high),
        "verdict": judged.verdict,
        "launches": judged.launches,
        "confidence": judged.confidence,
    }
