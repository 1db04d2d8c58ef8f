"""What a person sees while a run goes on: what is measured, how sure it is, how long yet.

The runner calls `say(what, **fields)`. On a terminal that moves one live line and leaves
one line for each thing that is finished; elsewhere (a log, CI) only the latter.
"""

import time
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.stats import readings, statistics
from harness.stats.sampling import FIRST_STAGE


class Progress:
    """`with Progress(console, ...) as say: Runner(..., say=say)`.

    ranked: contenders that may be ahead. by: comparison -> what it is ranked by, of
    `readings.STATISTICS`.
    """

    def __init__(self, console: Console, budget: float, ranked: list[str], by: dict[str, str]):
        self.console, self.budget, self.begin = console, budget, time.monotonic()
        self.ranked, self.by = ranked, by
        self.group: dict[str, Any] = {}
        self.visited = 0
        self.needs: float | None = None  # seconds, where the budget did not hold all launches,
        self.partly = False  # or held them of some comparisons
        self.opening = self.staged = 0.0  # seconds until all had been greeted; until six launches
        self.groups: list[dict[str, Any]] = []
        # A refresh costs the measured process a few milliseconds of a core: it is drawn between
        # turns only (see `__call__`), never by a thread of its own.
        self.live = Live(self, console=console, transient=True, auto_refresh=False)
        self.text = ""

    @property
    def wanting(self) -> float:
        """Seconds that are missing of what it needs: a budget to go on with, which opens every
        contender again. Launches past the first stage are none of those that were missing."""
        return max(0.0, (self.needs or 0.0) - self.staged) + self.opening

    def __enter__(self) -> "Progress":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def __rich__(self) -> Text:
        spent = time.monotonic() - self.begin
        left = max(0.0, self.budget - spent)
        ending = f"at most {_clock(left)} more" if left else "past its budget"
        return Text(f"{_clock(spent)}  {self.text}  ({ending})", style="dim")

    def __call__(self, what: str, **fields: Any) -> None:
        message = getattr(self, f"_{what.replace(' ', '_')}")(**fields)
        if message is not None:
            self.text = message
        if self.console.is_terminal:
            self.live.refresh()

    def line(self, text: str, style: str = "") -> None:
        self.console.print(
            Text(f"{_clock(time.monotonic() - self.begin)}  {text}", style=style),
            highlight=False,
            soft_wrap=True,
        )

    # --- one method for each thing the runner says --------------------------------------

    def _busy(self, reason: str) -> None:
        self.line(
            f"This machine is busy: {reason}. Close other programs: else it may be a screening.",
            "yellow",
        )

    def _greet(self, contenders: list[str]) -> str:
        self.line(f"Opening each contender once: {', '.join(contenders)}")
        return "importing every framework once"

    def _probe(self, contender: str) -> str:
        return f"this machine's rates, through {contender}"

    def _unprobed(self, reason: str) -> None:
        self.line(f"Not known: {reason}", "yellow")

    def _oracle(self, comparison: str) -> str:
        self.opening = self.opening or time.monotonic() - self.begin
        return f"the reference's answer for {comparison}"

    def _cold(self, comparison: str, contender: str) -> str:
        if self.group.get("cold") != comparison:
            self.group["cold"] = comparison
            self.line(f"Cold start of {comparison}")
        return f"cold start: {contender} in {comparison}"

    def _warm(self, comparison: str, contender: str) -> str:
        return f"start with a full compiler cache: {contender} in {comparison}"

    def _again(self, comparison: str, start: int, starts: int) -> str:
        if self.group.get("again") != starts:
            self.group["again"] = starts
            self.line(f"Who starts soon starts {starts} times, in turns")
        return f"cold start {start} of {starts}: {comparison}"

    def _group(self, launch: int, left: float, comparisons: list[str]) -> str:
        self.visited, self.group = 0, {"launch": launch, "of": len(comparisons)}
        self.line(
            f"Launch {launch}: fresh processes over {len(comparisons)} comparisons "
            f"({_clock(left)} of the budget left)"
        )
        return f"launch {launch}"

    def _launch(self, contenders: list[str]) -> str:
        return f"launch {self.group['launch']}: starting {len(contenders)} workers"

    def _set_up(self, comparison: str) -> str:
        self.visited += 1
        return f"{self._place()} {comparison}: setting up"

    def _round(self, comparison: str, round: int, rounds: int) -> str:
        return f"{self._place()} {comparison}: round {round} of {rounds}"

    def _block(self, comparison: str, contender: str) -> str:
        return f"{self._place()} {comparison}: {contender} trains without a pause"

    def _place(self) -> str:
        return f"launch {self.group['launch']}, {self.visited}/{self.group['of']}"

    def _record(self, record: dict[str, Any]) -> None:
        self.groups.append(record)
        if record["launch"] <= FIRST_STAGE:
            self.staged = time.monotonic() - self.begin
        for name, outcome in record["statuses"].items():
            self.line(
                f"  {name} in {record['comparison']}: {outcome['status']}: {outcome['reason']}",
                "red",
            )
        if record["launch"] in (1, FIRST_STAGE):
            self.line(f"  {record['comparison']}: {self._standing(record)}", "dim")

    def _settled(self, reason: str) -> None:
        self.line(f"  Settled: {reason}", "dim")

    def _budget(self, reason: str, needs: float | None = None) -> None:
        if needs is not None:
            self.staged = time.monotonic() - self.begin
            self.needs = self.staged + needs
            self.partly = False
        self.line(f"The budget is spent: {reason}. The results are a screening.", "yellow")

    def _further(self, reason: str) -> None:
        self.line(f"  Little time is left: {reason}", "dim")

    def _room(self, reason: str, needs: float) -> None:
        whole = time.monotonic() - self.begin + needs
        self.needs, self.partly = max(self.needs or 0.0, whole), True
        self.line(f"Too little time for all: {reason}", "yellow")

    def _standing(self, record: dict[str, Any]) -> str:
        """Who is ahead, and how sure that is by now."""
        by = self.by[record["comparison"]]
        names, logs = readings.launch_log_times(self.groups, record["comparison"], by)
        places = [place for place, name in enumerate(names) if name in self.ranked]
        if len(places) < 2:
            return "measured"
        order = np.argsort(readings.standing(logs[:, places]))
        first, second = (places[place] for place in order[:2])
        pairs = logs[:, first] - logs[:, second]
        pairs = pairs[np.isfinite(pairs)]
        if not len(pairs):
            return "measured"
        text = f"{names[first]} ahead, {np.exp(np.mean(pairs)):.2f}x the time of {names[second]}"
        if len(pairs) > 1:
            interval = statistics.t_interval(pairs)
            text += f" (95%: {np.exp(interval[0]):.2f} to {np.exp(interval[1]):.2f})"
        return text


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:d}:{int(seconds) % 60:02d}"
