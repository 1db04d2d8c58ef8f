"""What a cell's first launch decides for the later ones, and how it is known again after a resume.

How often it is called before its first turn, how many calls a turn has, whether it was right,
and whether it is tried again. One thing is mended afterwards: a call that a disturbed warm-up made
look long (`seen`).
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from statistics import geometric_mean
from typing import Any

from harness.plan.plan import PlannedComparison, original
from harness.record import records
from harness.worker import timing

Key = tuple[str, str]  # comparison, contender

# A cell that failed in one of these ways is not tried again; any other has a second try.
FINAL = ("wrong", "unsupported")
MOST_FAILURES = 2
LEAST = 1e-9  # seconds of a call: a clock may see no time go by, and that has no mean
DISTURBED = 1.5  # a call that was told to take so many times what it takes: mend it
NEAR = 3.0  # contenders whose calls differ by no more times take turns of as many calls
ALIKE = 1.5  # between whom nothing is cut, however many they are


class Frozen:
    """What a cell's first launch decides for the later ones."""

    def __init__(self, least: Mapping[str, int] | None = None) -> None:
        """least: calls in a turn at the least, by comparison, where a suite asks for many."""
        self._least = least or {}
        self._seconds: dict[Key, float] = {}  # of a call that nothing disturbed
        self.warmup: dict[Key, int] = {}  # calls before the first turn
        # Whose first call was right; and whose call still was when its turns were over. With the
        # draw: other code is verified anew.
        self.verified: set[tuple[Key, int]] = set()
        self.still_right: set[tuple[Key, int]] = set()
        self.waits: set[tuple[str, str]] = set()  # contender, direction: whose `sync` does
        self._failures: Counter[Key] = Counter()
        self._given_up: set[Key] = set()

    def freeze(self, key: Key, warmed: dict[str, Any]) -> None:
        """Later launches warm up 1.5 times as long as the first one needed."""
        self.warmup[key] = math.ceil(1.5 * warmed["needed"])
        self._seconds[key] = max(warmed["call"], LEAST)

    def seen(self, key: Key, turns: list[dict[str, Any]], kept_queued: bool) -> None:
        """What a launch's quickest turn says of a call, where its warm-up said far more.

        A warm-up of a second may be disturbed from its beginning to its end: beside several
        loads, one of two identical contenders was told to take 14 times what its twin took.
        kept_queued: see `keeps_queued`; such calls take less than a warm-up's, that are waited for;
        so are those at a turn's start.
        """
        seconds = max(LEAST, min(_waited(turn, kept_queued) for turn in turns))
        if self._seconds[key] > DISTURBED * seconds:
            self._seconds[key] = seconds

    def calls(self, key: Key) -> int:
        """Calls in a turn, one number for all who are near each other: 40 ms of their mean.

        What a turn's length does to a call (caches, a scheduler's slices on a busy machine)
        is then the same for all between whom little decides. Beside a load on every core, what
        a warm-up tells of identical contenders differs by up to two times: one of two had turns
        of 3 calls and the other of 2, for the whole run, and they differed by 30%.
        """
        mean = geometric_mean(self._near(key))
        return max(timing.calls_for(mean), self._least.get(key[0], 1))

    def block_calls(self, key: Key) -> int:
        """Calls between two returns to the start in a block, in which the device would rest."""
        return timing.calls_for(geometric_mean(self._near(key)), timing.BLOCK_TURN)

    def turn(self, key: Key) -> float:
        """Seconds that a turn should take; one of a single call has another before it."""
        return self._seconds[key] * max(2, self.calls(key))

    def _near(self, key: Key) -> list[float]:
        """Seconds of a call of this one, and of all that it is linked to."""
        every = sorted(s for (comparison, _), s in self._seconds.items() if comparison == key[0])
        return next(chain for chain in _chains(every) if self._seconds[key] in chain)

    def failed(self, key: Key, status: str) -> None:
        self._failures[key] += 1
        if status in FINAL or self._failures[key] >= MOST_FAILURES:
            self.give_up(key)

    def give_up(self, key: Key) -> None:
        self._given_up.add(key)

    def given_up(self, key: Key) -> bool:
        return key in self._given_up

    def able(self, comparison: PlannedComparison) -> list[str]:
        """Those of its contenders that have not failed for good."""
        return [n for n in comparison.contenders if not self.given_up((comparison.id, n))]


def _chains(seconds: list[float]) -> list[list[float]]:
    """Sorted seconds of a call, in parts that steps of NEAR link.

    A chain longer than two such steps is cut, at its widest: where every other one was a step
    further, the shortest calls had turns of a few calls, of which the first are slow for having
    been stopped. Those who are ALIKE stay together all the same: between them little decides.
    """
    steps = [after / before for before, after in itertools.pairwise(seconds)]
    widest = max(steps, default=1.0)
    long = seconds[-1] > NEAR**2 * seconds[0]
    if widest <= (ALIKE if long else NEAR):
        return [seconds]
    cut = steps.index(widest) + 1
    return _chains(seconds[:cut]) + _chains(seconds[cut:])


def keeps_queued(direction: str, device: str) -> bool:
    """Whether nobody waits for the kept calls of a turn one by one: a training's, on a device."""
    return direction != "infer" and device != "cpu"


def _waited(turn: dict[str, Any], kept_queued: bool) -> float:
    """Seconds of a call of a turn that was waited for."""
    if kept_queued:
        return float(min(turn["calls"][: max(1, turn["dropped"])]) * 1e-9)
    return float(turn["total_ns"] / (len(turn["calls"]) - turn["dropped"]) * 1e-9)


def _has_opened(done: records.Run, name: str) -> bool:
    """Whether it said what it is, when the run greeted everybody."""
    return bool(done.environment["contenders"].get(original(name), {}).get("manifest"))


def thaw(done: records.Run, autotuned: set[str], least: Mapping[str, int] | None = None) -> Frozen:
    """What earlier launches of this run froze, from their records."""
    frozen = Frozen(least)
    told = {
        (group["comparison"], group["launch"], name)
        for group in done.groups
        for name in group["statuses"]
    }
    for cell in done.cells:
        key = (cell["comparison"], cell["contender"])
        if cell["status"] != "ok":
            if cell["pass"] == "steady" and cell["launch"] is None:  # it did not even open
                # Where it once did, at a resume alone: the next one asks it again.
                if cell["status"] in FINAL or not _has_opened(done, key[1]):
                    frozen.give_up(key)
            elif cell["pass"] != "steady" or (key[0], cell["launch"], key[1]) not in told:
                frozen.failed(key, cell["status"])  # else its group says it, once
            continue
        # What an autotuner chose went with its caches: it chooses anew, and is verified anew.
        drawn = original(cell["contender"]) in autotuned
        if cell["pass"] == "steady" and cell["oracle"] and not drawn:
            frozen.verified.add((key, 0))
        if cell.get("warmup"):
            frozen.freeze(key, cell["warmup"])
    for group in done.groups:
        for name, outcome in group["statuses"].items():
            frozen.failed((group["comparison"], name), outcome["status"])
        for name, turns in group["turns"].items():
            code = ((group["comparison"], name), 0)
            if original(name) not in autotuned and code in frozen.verified:
                frozen.still_right.add(code)
            if (group["comparison"], name) in frozen.warmup:
                queued = keeps_queued(group["direction"], group["device"])
                frozen.seen((group["comparison"], name), turns, queued)
    return frozen
