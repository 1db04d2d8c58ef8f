"""What two runs share and no row tells of: who, where, and why.

Who failed in one of the runs alone is in `lost.py`. Here is the rest, which would otherwise be gone
without a word: what a run had no room for, what it holds a single launch of, who failed in both.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.record.records import Run
from reports.analysis import short
from reports.runs.lost import Cells
from reports.words import listed

WHICH = ("first", "second")


@dataclass(frozen=True)
class Uncompared:
    sentences: list[str]
    hurried: bool  # whether more time would have brought a row


@dataclass(frozen=True)
class Rows:
    """Both runs, their comparisons, and what became of them."""

    runs: Sequence[Run]
    both: Sequence[Sequence[dict[str, Any]]]
    seen: Sequence[Cells]
    anchor: str
    # (place, contender) -> in how many launches of each run it met the anchor
    launches: dict[tuple[str, str], tuple[int, ...]]

    def told(self, names: Iterable[str], known: set[tuple[str, str]]) -> Uncompared:
        """Of these contenders, in every comparison, unless it is `known`: a row, or lost."""
        sentences, hurried = [], False
        whys: dict[tuple[str, str], list[str]] = {}
        for pair in self.both:
            place = pair[0]["id"]
            if where := self._unbegun(pair):
                sentences.append(f"{short(place)} is not compared: {where} had no room for it.")
                hurried = True
                continue
            for name in names:
                if name != self.anchor and (place, name) not in known:
                    why, few = self._why(pair, name)
                    hurried = hurried or few
                    whys.setdefault((name, why), []).append(place)
        return Uncompared([*sentences, *self._grouped(whys)], hurried)

    def no_mean(self, names: Iterable[str], whole: set[str]) -> list[str]:
        """Who lacks a comparison that the mean over all is over, and so has no such mean."""
        missing: dict[tuple[str, ...], list[str]] = {}
        for name in names:
            at = [p for p in sorted(whole) if min(self.launches.get((p, name), (0, 0))) < 2]
            if name != self.anchor and len(whole) > 1 and 0 < len(at) < len(whole):
                missing.setdefault(tuple(at), []).append(name)
        return [
            f"No mean over all is told of {listed(who)}: too little is known in {self._places(at)}."
            for at, who in missing.items()
        ]

    def _unbegun(self, pair: Sequence[dict[str, Any]]) -> str:
        found = [
            which
            for which, run, comparison in zip(WHICH, self.runs, pair, strict=True)
            if comparison["id"] in run.unbegun
        ]
        return "both runs" if len(found) == 2 else f"the {found[0]} run" if found else ""

    def _why(self, pair: Sequence[dict[str, Any]], name: str) -> tuple[str, bool]:
        """In words, none where nobody asked for it; and whether it is for want of launches."""
        if not any(name in comparison["contenders"] for comparison in pair):
            return "", False
        for who in (name, self.anchor):
            if states := self._states(pair, who):
                return ("" if who == name else f"{who}, the anchor, is ") + states, False
        counts = self.launches.get((pair[0]["id"], name), (0, 0))
        few = [
            f"{'a single launch' if count else 'no launch'} beside {self.anchor} in the {which} run"
            for which, count in zip(WHICH, counts, strict=True)
            if count < 2
        ]
        return listed(few) or "its launches tell nothing", bool(few)

    def _states(self, pair: Sequence[dict[str, Any]], name: str) -> str:
        """`crash in the first run`; nothing where it is sound in both."""
        found: dict[str, list[str]] = {}
        for which, comparison, seen in zip(WHICH, pair, self.seen, strict=True):
            cell = seen.get((comparison["id"], name))
            status = cell.status if cell else "not entered"
            if status != "ok":
                found.setdefault(status, []).append(which)
        told = [
            f"{status} in {'both runs' if len(where) == 2 else f'the {where[0]} run'}"
            for status, where in found.items()
        ]
        return listed(told)

    def _grouped(self, whys: dict[tuple[str, str], list[str]]) -> list[str]:
        """What is said of several in the same words is said once."""
        groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for (name, why), places in whys.items():
            if why:
                groups.setdefault((why, tuple(places)), []).append(name)
        return [
            f"{listed(who)} {'is' if len(who) == 1 else 'are'} not compared in "
            f"{self._places(places)}: {why}."
            for (why, places), who in groups.items()
        ]

    def _places(self, places: Sequence[str]) -> str:
        if 1 < len(places) == len(self.both):
            return f"any of {len(places)} comparisons"
        return listed([short(place) for place in places])
