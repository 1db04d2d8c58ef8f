"""What can be wanted, and what the records hold of it: objectives into evidence.

Times are replicated over launches and come as log ratios, launch by launch. A peak of memory, a
size, a compiler's start were seen once; `allowance` is how far such a look is trusted. Of a start
that was made again (`harness/run/starts.py`) the interval over starts tells, from three on:

* first_result, 30%: the time to import one framework, taken in five fresh processes of
  one run, differed by up to 29% (JAX, 0.24 to 0.31 s). Between six runs within an hour and
  a half (results/published/quick-2core and -2 to -6) the ratio of two contenders was off its
  median by up to 28%.
* peak_memory, 15%: there that ratio was off by up to 13%. From the second run to the third
  what is resident after an import became less for all, by 6 MB (NumPy) to 78 MB
  (TensorFlow), and stayed so: of files written just before a process maps more
  (`harness/install/pagecache.py`, which sees to that since). Within a run it is equal to 1%.
* installed_size, 0: files are counted, not sampled.

Nobody is ruled out for what was not measured. Where one of those who failed nothing lacks
a figure, the objective is left out for all, and the recommendation says so; but where the
figure has a hard limit, who is not known to keep it is out. Where nobody has one in some of the
workloads, so much of the objective's weight is not measured; of what is seen once, the workloads
that were chosen to be seen (`harness/run/starts.py`) stand for all.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import geometric_mean

import numpy as np

from harness.record.records import Run
from harness.stats import readings, statistics, uses
from reports import words
from reports.analysis import Cell, Comparison, baselines, ranked
from reports.choice.decide import ONCE, Aspect
from reports.choice.profiles import Objective
from reports.comparison.cells import energy, tells_p99

LEAST_STARTS = 3  # of which an interval is made
CALLS = readings.P99_CALLS


@dataclass(frozen=True)
class Measure:
    """How one thing that can be wanted is called, told, and trusted."""

    title: str
    tell: Callable[[float], str]
    of: str  # what a ratio is of, less of which is better: "18% less time per call"
    allowance: float | None = None  # None: replicated over launches
    absent: str = "it was not measured in this run"


def _rate(seconds: float) -> str:
    return words.rate(1 / seconds)


MEASURES = {
    "throughput": Measure("throughput", _rate, "time per image"),
    "latency": Measure("latency", words.seconds, "time per call"),
    "latency_p99": Measure(
        "latency, p99",
        words.seconds,
        "time of its slowest calls",
        absent=f"it takes {CALLS} calls a launch, as `calls = {CALLS}` in a suite asks for",
    ),
    "first_result": Measure(
        "time to first result",
        words.seconds,
        "time to a first result",
        math.log(1.3),
    ),
    "peak_memory": Measure("peak memory", words.size, "memory", math.log(1.15)),
    "energy": Measure(
        "energy of an item",
        words.joules,
        "energy",
        absent="no meter of this machine could be read",
    ),
    "installed_size": Measure(
        "size of the installation",
        words.size,
        "disk space",
        0.0,
    ),
    "cost": Measure(
        "cost of a million",
        lambda money: f"{money:.3g}",
        "cost",
        absent="no price was given: --price",
    ),
}


class Evidence:
    """A run's figures, by objective. What has been paired once is kept for the next profile."""

    def __init__(self, run: Run, price: float | None = None):
        self.run = run
        self.price = price
        own = baselines(run)
        self.names = [name for name in ranked(run) if name not in own]
        self._paired: dict[tuple[str, ...], dict[int, float]] = {}
        self._read: dict[tuple[str, str, str], float | None] = {}

    def failures(self, objectives: Iterable[tuple[Objective, list[Comparison]]]) -> dict[str, str]:
        """contender -> why it is out: it failed, or does not take part, where it is needed."""
        found: dict[str, str] = {}
        engines = {c["name"] for c in self.run.plan["contenders"] if not c.get("trains", True)}
        for objective, comparisons in objectives:
            if objective.of == "training":  # whether this run measured one or not
                found |= {n: "it does not train" for n in self.names if n in engines}
            for comparison in comparisons if objective.measure != "installed_size" else ():
                there = {cell.contender: cell for cell in comparison.cells}
                for name in self.names:
                    cell = there.get(name)
                    if cell is None:
                        found.setdefault(name, f"not entered in {comparison.id}")
                    elif cell.status != "ok":
                        why = f": {cell.reason}" if cell.reason else ""
                        found.setdefault(name, f"{cell.status} in {comparison.id}{why}")
        return found

    def absent(self, measure: str, comparisons: list[Comparison]) -> str:
        """Why a figure is, in words."""
        if not comparisons:
            return "no such workload in this run"
        plans = self.run.plan["comparisons"]
        asked = {c["id"] for c in plans if (c.get("calls") or 0) >= CALLS}
        if measure == "latency_p99" and any(c.id in asked for c in comparisons):
            return f"neither all launches nor six of them held {CALLS} calls"
        return MEASURES[measure].absent

    def aspect(
        self, objective: Objective, comparisons: list[Comparison], names: list[str]
    ) -> tuple[Aspect | None, list[str]]:
        """The evidence, and who of these lacks it; None where all do."""
        measure = objective.measure
        used, missing = [], []
        for c in comparisons:
            has = any(self._value(measure, c, name) is not None for name in names)
            if has:
                used.append(c)
            elif _applies(measure, c) and MEASURES[measure].allowance is None:
                missing.append(c.id)
        lacking = [n for n in names if any(self._value(measure, c, n) is None for c in used)]
        known = [name for name in names if name not in lacking]
        if not used or not known:
            return None, names
        seen = {n: [self._value(measure, c, n) or 0.0 for c in used] for n in known}
        least = objective.enough
        logs = {
            (a, b): self._logs(measure, used, a, b, least) for a in known for b in known if a != b
        }
        looks = self._looks(measure, used, known, least)
        repeated = _repeated(looks)
        logs |= {pair: {ONCE: float(np.mean(ratios))} for pair, ratios in repeated.items()}
        made = Aspect(
            measure=measure,
            of=objective.of,
            weight=objective.weight * (len(used) / (len(used) + len(missing))),
            logs=logs,
            values={n: max(self._limited(measure, c, n) for c in used) for n in known},
            means={n: geometric_mean(values) if all(values) else 0.0 for n, values in seen.items()},
            each={n: tuple(values) for n, values in seen.items()},
            allowance=MEASURES[measure].allowance,
            repeated=repeated,
            looks={name: int(np.isfinite(each).sum()) for name, each in looks.items()},
            at_most=objective.at_most,
            enough=objective.enough,
            comparisons=tuple(c.id for c in used) if measure != "installed_size" else (),
            missing=tuple(missing),
        )
        return made, lacking

    def _logs(
        self,
        measure: str,
        comparisons: list[Comparison],
        a: str,
        b: str,
        enough: float | None,
    ) -> dict[int, float]:
        """ln of a over b: the mean over comparisons, in each launch that holds them all.

        enough: what was seen once and is less than this is taken for as much.
        """
        if MEASURES[measure].allowance is not None:
            least = enough or 0.0
            pairs = [
                [max(self._value(measure, c, name) or 1.0, least) for name in (a, b)]
                for c in comparisons
            ]
            return {ONCE: float(np.mean([math.log(x / y) for x, y in pairs]))}
        found = [self._pair(measure, c, a, b) for c in comparisons]
        launches = sorted(set.intersection(*(set(one) for one in found)))
        means = statistics.shared_launches(found)
        return dict(zip(launches, (float(mean) for mean in means), strict=True))

    def _looks(
        self, measure: str, comparisons: list[Comparison], names: list[str], enough: float | None
    ) -> dict[str, np.ndarray]:
        """ln of each start's seconds, its mean over the comparisons; NaN for one that failed."""
        if measure != "first_result":
            return {}
        least = enough or 0.0
        found = {}
        for name in names:
            of = [comparison.cell(name).starts for comparison in comparisons]
            rows = [
                [math.log(max(s, least)) if s and s > 0 else math.nan for s in its]
                for its in zip(*of, strict=False)  # as many as each comparison has
            ]
            found[name] = np.array([np.mean(row) for row in rows])
        return found

    def _pair(self, measure: str, comparison: Comparison, a: str, b: str) -> dict[int, float]:
        if b < a:
            return {k: -v for k, v in self._pair(measure, comparison, b, a).items()}
        key = (measure, comparison.id, a, b)
        if key not in self._paired:
            if measure in ("latency", "throughput", "cost"):
                # Where training was also measured without a pause, that is its throughput.
                whole = "sustained" if comparison.by == "sustained" else "throughput"
                # Calls of training are queued: when each was done, nobody knows.
                single = measure == "latency" and comparison.direction == "infer"
                by = "latency" if single else whole
                found = readings.log_ratios(self.run.times(comparison.id, by), a, b)
            else:
                ours, theirs = (self._launches(measure, comparison, name) for name in (a, b))
                found = {k: math.log(ours[k] / theirs[k]) for k in ours if k in theirs}
            self._paired[key] = found
        return self._paired[key]

    def _launches(self, measure: str, comparison: Comparison, name: str) -> dict[int, float]:
        """A figure of all the turns of a launch together; none where too little was seen."""
        groups = self.run.groups_of(comparison.id)
        if measure == "energy":
            return energy(groups, name, comparison.batch)
        if not _applies(measure, comparison):
            return {}
        turns = {g["launch"]: g["turns"][name] for g in groups if g["turns"].get(name)}
        found = {launch: readings.p99(its) for launch, its in turns.items()}
        known = {launch: figure for launch, figure in found.items() if figure is not None}
        # A launch fewer here is one fewer in the whole score.
        return known if tells_p99(len(known), len(found)) else {}

    def _value(self, measure: str, comparison: Comparison, name: str) -> float | None:
        """What a person reads, of one contender in one comparison; None: not known."""
        key = (measure, comparison.id, name)
        if key not in self._read:
            self._read[key] = self._reading(measure, comparison, name)
        return self._read[key]

    def _limited(self, measure: str, comparison: Comparison, name: str) -> float:
        """What a limit is held against: of calls the usual one, not the lower quartile."""
        cell = comparison.cell(name) if measure == "latency" else None
        usual = (cell.latency or {}).get("p50") if cell else None
        return usual or self._value(measure, comparison, name) or 0.0

    def _ranks(self, measure: str, comparison: Comparison) -> bool:
        """Whether the comparison is ranked by the very figure that is asked for."""
        if measure == "latency":
            return comparison.by == "latency" or comparison.direction != "infer"
        return measure == "throughput" and comparison.by in ("throughput", "sustained")

    def _reading(self, measure: str, comparison: Comparison, name: str) -> float | None:
        cell = comparison.find(name)
        if cell is None or cell.status != "ok":
            return None
        if measure in ("latency_p99", "energy"):
            launches = self._launches(measure, comparison, name)
            return float(np.median([*launches.values()])) if launches else None
        if measure == "installed_size":
            seen = self.run.environment.get("contenders", {}).get(name.partition("#")[0]) or {}
            return (seen.get("environment") or {}).get("installed_bytes") or None
        if measure == "cost":
            cost = VALUES["throughput"](cell)
            return cost * self.price / 3600 * 1e6 if cost and self.price else None
        if measure == "peak_memory":
            return _memory(cell, comparison)
        if cell.seconds and self._ranks(measure, comparison):
            # What the ratios are of, so that two figures beside a ratio come to it.
            return cell.seconds / (1 if measure == "latency" else comparison.batch)
        return VALUES[measure](cell)


def _applies(measure: str, comparison: Comparison) -> bool:
    """Whether it could have such a figure: no call of training is timed alone."""
    return measure != "latency_p99" or comparison.direction == "infer"


def _repeated(looks: Mapping[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """(a, b) -> ln of a over b in each start that both made, where those are enough."""
    found = {}
    for a, b in itertools.permutations(looks, 2):
        both = min(len(looks[a]), len(looks[b]))
        ratios = looks[a][:both] - looks[b][:both]
        ratios = ratios[np.isfinite(ratios)]
        if len(ratios) >= LEAST_STARTS:
            found[a, b] = ratios
    return found


def _memory(cell: Cell, comparison: Comparison) -> float | None:
    """What the process took at its peak; on a device its own memory, one kind for all.

    What a framework says that it allocated, where each of them says so; else what the driver saw
    of each. One of the one and another of the other are not the same thing.
    """
    if comparison.device == "cpu":
        return (cell.memory or {}).get("peak_rss_bytes") or None
    # Whose start was measured: the noise floor's twin has none.
    sound = [each.memory or {} for each in comparison.cells if each.status == "ok" and each.cold]
    for kind in ("allocated", "device"):
        if all(each.get(kind) for each in sound):
            return (cell.memory or {}).get(kind)
    return None


VALUES: dict[str, Callable[[Cell], float | None]] = {
    "throughput": lambda cell: 1 / cell.throughput if cell.throughput else None,
    "latency": lambda cell: (cell.latency or {}).get("p25"),
    "first_result": lambda cell: (cell.cold or {}).get("total"),
}


def comparisons_of(of: str | None, comparisons: list[Comparison]) -> list[Comparison]:
    """Those of a use; with no use named, those of any."""
    belongs = [uses.USES[of]] if of else list(uses.USES.values())
    return [c for c in comparisons if any(each(c) for each in belongs)]
