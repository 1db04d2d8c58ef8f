"""Break-even: compiling costs seconds and saves milliseconds. After how many calls is it won?

A contender that starts in s seconds (from nothing to its first result, with an empty
cache) and takes c for every further call has spent s + (n - 1) c after n of them. Of two,
whoever starts later is ahead from n = 1 + (s_b - s_a) / (c_a - c_b) on, or never.

A call's time is the plain mean over a launch, with slow calls and pauses, where a verdict takes
a lower quartile and trims rounds: calls add up. The difference of the calls is replicated: its
t-interval is over launches, paired. The starts were seen once or a few times, and are trusted to
the factor of `objectives.MEASURES` all the same; the interval of n holds both, each at its worst.
Inputs are records, nothing is drawn here.
"""

import itertools
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from harness.record.records import Run
from harness.stats import readings, statistics
from reports.analysis import Comparison, baselines, finite, first_stage, ranked, short
from reports.choice.objectives import MEASURES
from reports.words import listed, seconds

GOOD_TO = math.exp(MEASURES["first_result"].allowance or 0.0)
MOST = 1e9  # calls; what pays only after more is called never
MOMENT = 1.2  # who is overtaken before so many times the calls it leads from is not told of


@dataclass(frozen=True)
class _Line:
    """What n calls of a contender take: `start` + (n - 1) `call`."""

    name: str
    start: float
    cached: float  # its start where the compiler's cache is filled
    call: float
    launches: np.ndarray  # seconds of a call, by launch; NaN where it took no part


@dataclass(frozen=True)
class Crossing:
    """`late` starts later than `early` and takes less for a call: when it is ahead, if ever."""

    early: str
    late: str
    later_s: float  # by so much it starts later
    saved_s: float  # by so much a call is shorter; below 0 it is longer
    calls: float | None  # from so many on `late` is ahead; None: never
    low: float | None
    high: float | None  # None: perhaps never
    cached: float | None  # the same where the compiler's cache is filled; None: never
    launches: int
    screening: bool
    confidence: float = 0.95  # of the calls' interval: 0.999 where one of the two left early


@dataclass(frozen=True)
class BreakEven:
    """One comparison: who is ahead after how many calls."""

    comparison: str
    batch: int
    direction: str
    starts: dict[str, float]  # contender -> seconds to a first result
    calls: dict[str, float]  # contender -> seconds of a further call
    ahead: list[tuple[float, str]]  # (from so many calls on, who), ascending
    baseline: str
    crossings: list[Crossing]  # every pair, the handovers of `ahead` first
    sentence: str

    def spent(self, contender: str, calls: float) -> float:
        return self.starts[contender] + (calls - 1) * self.calls[contender]

    def of(self, early: str, late: str) -> Crossing | None:
        return next((c for c in self.crossings if (c.early, c.late) == (early, late)), None)


def break_even(run: Run, comparisons: list[Comparison]) -> list[BreakEven]:
    """For every comparison whose starts were measured."""
    found = [_of(run, comparison) for comparison in comparisons]
    return [each for each in found if each is not None]


def _of(run: Run, comparison: Comparison) -> BreakEven | None:
    cells = {
        cell.contender: cell
        for cell in comparison.cells
        if cell.contender in ranked(run) and cell.status == "ok" and cell.cold and cell.seconds
    }
    if len(cells) < 2:
        return None
    by = "mean" if comparison.by == "latency" else comparison.by  # calls add up, quartiles do not
    means = readings.launch_means(run.groups_of(comparison.id), by)
    seconds = {name: means[name] for name in cells}
    starts = {name: (cell.cold or {})["total"] for name, cell in cells.items()}
    calls = _calls(seconds)
    own = baselines(run)  # nobody's choice, however early it starts
    ahead = _ahead({name: s for name, s in starts.items() if name not in own} or starts, calls)
    lines = [
        _Line(
            name,
            starts[name],
            (cell.warm or cell.cold or {})["total"],  # whoever keeps no cache starts as before
            calls[name],
            seconds[name],
        )
        for name, cell in sorted(cells.items(), key=lambda item: (starts[item[0]], item[0]))
    ]
    left = {name for name in cells if (comparison.id, name) in run.settled}
    crossings = [
        _crossing(
            early,
            late,
            bool({early.name, late.name} & left),
            bool(comparison.busy),
            first_stage(run),
        )
        for early, late in itertools.combinations(lines, 2)
    ]
    handovers = [(a, b) for (_, a), (_, b) in itertools.pairwise(ahead)]
    crossings.sort(key=lambda c: (c.early, c.late) not in handovers)
    found = BreakEven(
        comparison=comparison.id,
        batch=comparison.batch,
        direction=comparison.direction,
        starts=starts,
        calls=calls,
        ahead=ahead,
        baseline=ahead[-2][1] if len(ahead) > 1 else ahead[-1][1],
        crossings=crossings,
        sentence="",
    )
    return replace(found, sentence=_sentence(found, own))


def _calls(seconds: dict[str, np.ndarray]) -> dict[str, float]:
    """Seconds of a call: the mean over launches. Of whoever missed some, as a ratio, of the
    launches they share, to one that is in most: no launch counts for one and not for the other."""
    known = {name: np.isfinite(of) for name, of in seconds.items()}
    base = max(sorted(seconds), key=lambda name: known[name].sum())
    found = {}
    for name, of in seconds.items():
        shared = known[name] & known[base]
        if shared.any():
            whole = seconds[base][known[base]].mean()
            found[name] = float(whole * of[shared].mean() / seconds[base][shared].mean())
        else:
            found[name] = float(of[known[name]].mean())
    return found


def _ahead(starts: dict[str, float], calls: dict[str, float]) -> list[tuple[float, str]]:
    """Who has spent least after 1, 2, ... calls: the lower envelope of straight lines."""
    now = min(starts, key=lambda n: (starts[n], calls[n], n))
    found = [(1.0, now)]
    while True:
        place = found[-1][0]
        later = [
            (1 + (starts[n] - starts[now]) / (calls[now] - calls[n]), calls[n], n)
            for n in starts
            if calls[n] < calls[now]
        ]
        later = [each for each in later if place <= each[0] <= MOST]
        if not later:
            return found
        place, _, now = min(later)
        found = [*(each for each in found if each[0] < place), (place, now)]


def _crossing(
    early: _Line, late: _Line, settled: bool, busy: bool, stage: int | None = None
) -> Crossing:
    """The pair's break-even, with an interval: the calls' over launches, the starts' at worst.

    settled: one of the two left early, being far behind.
    """
    differences = early.launches - late.launches
    differences = differences[np.isfinite(differences)]
    count = len(differences)
    few = count < statistics.LEAST_LAUNCHES
    confidence = statistics.LOOK_CONFIDENCE if settled and few else 0.95
    saved = early.call - late.call
    off = saved - float(np.mean(differences)) if count else 0.0  # where one of them missed launches
    low, high = (end + off for end in statistics.t_interval(differences, confidence, stage))
    later = late.start - early.start
    least = max(0.0, late.start / GOOD_TO - early.start * GOOD_TO)
    most = late.start * GOOD_TO - early.start / GOOD_TO
    return Crossing(
        early=early.name,
        late=late.name,
        later_s=later,
        saved_s=saved,
        calls=_from(later, saved),
        low=_from(least, high),
        high=_from(most, low),
        cached=_from(max(0.0, late.cached - early.cached), saved),
        launches=count,
        screening=busy or (few and not (settled and count >= statistics.LEAST_SETTLED)),
        confidence=confidence,
    )


def _from(later: float, saved: float) -> float | None:
    """1 + later / saved; None where that is never."""
    if not saved > 0:
        return None
    calls = 1 + later / saved
    return finite(calls) if calls <= MOST else None


def _sentence(found: BreakEven, own: Collection[str]) -> str:
    """What the picture shows, for a person who reads nothing else."""
    call = "step" if found.direction == "train" else "call"
    first = found.ahead[0][1]

    def from_(calls: float) -> str:
        told = count(calls)
        return f"the first {call}" if told == "1" else f"{told} {call}s"

    if len(found.ahead) == 1:
        others = [c for c in found.crossings if c.early == first and c.late not in own]
        screening = ", a screening" if any(each.screening for each in others) else ""
        possible = sorted((each.low, each.late) for each in others if each.low)
        if possible:
            calls, late = possible[0]
            may = f"{late} may overtake it from {from_(calls)} on{screening}"
            told = f"{first} starts first and, by what was measured, stays ahead; {may}."
        else:
            told = (
                f"{first} starts first and is never overtaken: no other both starts and "
                f"calls fast enough to catch up{screening}."
            )
        return told + _near(found, own)
    parts = [f"{first} is ahead at first"]
    for early, late, place in _told(found):
        pair = found.of(early, late)
        at = pair.calls if pair and pair.calls else place  # the pair's own, as the table has it
        text = f"{late} from {from_(at)} on"
        if pair is not None:
            high = count(pair.high) if pair.high else "never"
            text += f" ({count(pair.low or 1.0)} to {high})"
            text += ", a screening" if pair.screening else ""
        parts.append(text)
    told = ", ".join(parts[:-1]) + (", then " if len(parts) > 2 else "; ") + parts[-1] + "."
    return told + _near(found, own)


def _near(found: BreakEven, own: Collection[str]) -> str:
    """Whose start cannot be told from the first one's, as far as a start is trusted."""
    first = found.ahead[0][1]
    near = [
        name
        for name, start in found.starts.items()
        if name not in (first, *own) and start < found.starts[first] * GOOD_TO
    ]
    if not near:
        return ""
    told = f" Whether it starts before {listed(sorted(near))} is not told: a start may be off by "
    return f"{told}{GOOD_TO - 1:.0%}."


def _told(found: BreakEven) -> list[tuple[str, str, float]]:
    """(early, late, from so many calls on) of each handover; who leads for a moment is skipped."""
    stays = [
        (place, name)
        for (place, name), (end, _) in itertools.pairwise([*found.ahead, (math.inf, "")])
        if place == 1.0 or end > MOMENT * place
    ]
    return [(early, late, place) for (_, early), (place, late) in itertools.pairwise(stays)]


def pays(found: Iterable[BreakEven], leader: str, comparisons: Collection[str]) -> str:
    """From how many calls on whoever leads a use is worth its start, where another starts sooner;
    nothing where none does, or it never is."""
    told = []
    for each in found:
        until = {
            late: (early, place) for (_, early), (place, late) in itertools.pairwise(each.ahead)
        }
        if each.comparison in comparisons and leader in until:
            early, place = until[leader]
            pair = each.of(early, leader)
            at = count(pair.calls if pair and pair.calls else place)
            call = "step" if each.direction == "train" else "call"
            ends = ""
            if pair is not None:
                ends = (
                    f" ({count(pair.low or 1.0)} to {count(pair.high) if pair.high else 'never'})"
                )
            screening = ", a screening" if pair is not None and pair.screening else ""
            calls = f"{at} {call}s on{ends}{screening}"
            told.append((each.starts[leader], calls, short(each.comparison), early))
    return "; ".join(
        f"{f'on {where} ' if len(comparisons) > 1 else ''}it starts in {seconds(start)}: ahead "
        f"from {calls}, before that {early}"
        for start, calls, where, early in told
    )


def count(calls: float) -> str:
    """A number of calls as a person says it: two figures."""
    rounded = float(f"{calls:.2g}") if calls >= 10 else math.ceil(calls)
    return f"{rounded:,.0f}"
