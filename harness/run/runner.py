"""Runs a plan: greet, answer, cold pass, launch groups; records come out.

    greet     every contender opens once: versions, the machine's rates, who cannot run
    oracle    the reference's answer for every comparison
    cold      headline cells from nothing to a first result; who starts soon, several times
    steady    launch groups, 6 at first; then as many as the first stage asks for, and
              only of contenders whose verdict is open (sampling.py has the rules)

What was reported is on the disk. Whatever happens next (Ctrl-C, a full disk, an edit of this
code) ends this run early and loses nothing; `--resume` measures what is missing.
"""

import math
import os
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from harness import durations
from harness.plan import resuming
from harness.plan.plan import (
    Plan,
    PlannedComparison,
    PlannedContender,
    original,
)
from harness.process.launch import Launcher
from harness.process.processes import WorkerFailed
from harness.record import documents, records
from harness.run import budget, cold, oracle, starts
from harness.run.entrants import Entrants
from harness.run.frozen import thaw
from harness.run.greeting import greet, look_for_load
from harness.run.room import Room
from harness.run.steady import LaunchGroup, cache_of
from harness.stats import sampling

Say = Callable[..., None]


class Runner:
    """One invocation: a plan, a folder, and what is done already."""

    def __init__(self, plan: Plan, folder: Path, say: Say, timeout: float | None):
        """timeout: seconds for one request of a contender; None: what the budget allows."""
        self.plan, self.folder, self.say = plan, folder, say
        self.began = time.monotonic()
        self.lock = documents.claim(folder)
        settings = plan.settings
        self.launcher = Launcher(
            folder=folder,
            device=settings.device,
            current=settings.python == "current",
            threads=settings.threads,
            cpus=settings.cpus,
            as_shipped=settings.allocator == "as-shipped",
            timeout=budget.patience(plan.budget_s) if timeout is None else timeout,
        )
        self.resumed = documents.is_begun(folder)
        if not self.resumed:  # it may have ended while it greeted: it greets again, from nothing
            documents.forget_greeting(folder)
        self.writer = records.Writer(folder)
        nothing = records.Run(folder, {}, {"contenders": {}})
        self.done = records.read(folder) if self.resumed else nothing
        self.contenders = {c.name: c for c in plan.contenders}
        self.launcher.forget_caches()  # of an invocation that was killed
        self.begun = 0  # launches of this invocation
        self.answers: dict[str, Path] = {}
        self.autotuned = _autotuned(self.done.environment["contenders"])
        self.launcher.versions = _versions(self.done.environment["contenders"])
        least = {c.id: c.least_calls for c in plan.comparisons}
        self.frozen = thaw(self.done, self.autotuned, least)
        self.rounds: dict[str, int] = {}
        self.last: budget.Launch | None = None
        self.groups: list[dict[str, Any]] = list(self.done.groups)
        self.cells: list[dict[str, Any]] = list(self.done.cells)
        self.counts = Counter(g["comparison"] for g in self.groups)
        settled = set(self.done.settled)
        self.entrants = Entrants(plan, self.frozen, self.cells, self.groups, settled)
        self.wanted = plan.settings.launches or sampling.FIRST_STAGE
        self.room = Room(plan, self.wanted, self.writer.write, say)
        # One that was cut short before its first group has set cells up: its number is taken.
        begun = [c["launch"] or 0 for c in self.cells if c["pass"] == "steady"]
        self.launches = max([*(g["launch"] for g in self.groups), *begun], default=0)

    def run(self) -> None:
        """To the end of the plan or of the budget, whichever comes first.

        Raises resuming.Edited where the code was edited meanwhile, or a framework replaced.
        """
        try:
            self._greet()
            self._ask_oracle()
            if self.resumed:
                reason = f"after {self.launches} launches"
                self.writer.write("event", what="resumed", reason=reason)
            self._cold_pass()
            self._start_again()
            self._first_stage()
            self._second_stage()
        except resuming.Edited as edited:
            self.writer.write("event", what="edited", reason=str(edited))
            raise
        finally:
            self.launcher.kill_all()
            self.launcher.forget_caches()
            self.writer.close()
            os.close(self.lock)

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.plan.budget_s - (time.monotonic() - self.began)

    # --- before anything is timed ----------------------------------------------------

    def _greet(self) -> None:
        """Who does not even open has failed; what the others say of themselves is kept."""
        look_for_load(self.launcher.device, self.writer.write, self.say)
        known = {p["contender"] for p in self.done.probes}
        greeted = greet(self.plan, self.launcher, known, self.writer.write, self.say)
        for name, failed in greeted.failed.items():
            self._give_up(name, failed, greeted.without(name))
        if not self.resumed:
            self.autotuned = _autotuned(greeted.seen)
            self.launcher.versions = _versions(greeted.seen)
            documents.begin(self.folder, greeted.environment(self.launcher))

    def _give_up(
        self, name: str, failed: WorkerFailed, comparisons: list[PlannedComparison]
    ) -> None:
        """A contender that does not even open has failed in these."""
        for comparison in comparisons:
            for copy in comparison.contenders:
                key = (comparison.id, copy)
                if original(copy) != original(name) or self.frozen.given_up(key):
                    continue
                self.frozen.give_up(key)
                record = cold.blank("steady", comparison.id, copy, None)
                self._write("cell", **record, **cold.outcome(failed))

    def _ask_oracle(self) -> None:
        for comparison in self.plan.comparisons:
            self.say("oracle", comparison=comparison.id)
            try:
                self.answers[comparison.id] = oracle.answer(self.launcher, comparison)
            except WorkerFailed as failed:
                reason = f"{comparison.id}: no contender could be verified: {failed.reason}"
                self.writer.write("event", what="unverified", reason=reason)

    # --- the cold pass ---------------------------------------------------------------

    def _cold_pass(self) -> None:
        known = {(c["pass"], c["comparison"], c["contender"]) for c in self.done.cells}
        for comparison in self.plan.comparisons:
            if not comparison.headline:
                continue
            for name in comparison.contenders:
                contender = self.contenders[name]
                if contender.copy > 1 or self.frozen.given_up((comparison.id, name)):
                    continue
                cache = f"cold-{comparison.id}-{name}"
                for state in ("cold", "warm"):
                    if (state, comparison.id, name) in known:
                        continue
                    if self.left <= 0:
                        spent = f"the budget of {durations.spell(self.plan.budget_s)} is spent"
                        return self._stop(f"the cold pass was left early: {spent}")
                    if state == "warm" and self._cut_short(comparison, name):
                        self._cold(comparison, contender, "cold")  # reported; its cache is gone
                    if state == "warm" and not self.launcher.is_filled(cache):
                        break  # nothing was kept: a second start is like the first
                    self.say(state, comparison=comparison.id, contender=name)
                    record = self._cold(comparison, contender, state)
                    self._write("cell", **record)
                    if record["status"] != "ok":
                        self.frozen.failed((comparison.id, name), record["status"])
                        break
                    whole = oracle.question(comparison).whole  # then what is timed is verified
                    if record["oracle"] and not whole:
                        self.frozen.verified.add(((comparison.id, name), 0))
                self.launcher.keep_cache(cache, cache_of(name, comparison.threads))

    def _cold(
        self,
        comparison: PlannedComparison,
        contender: PlannedContender,
        state: str,
        start: int | None = None,
    ) -> dict[str, Any]:
        self._refuse_edited()
        answer = self.answers.get(comparison.id)
        return cold.measure(self.launcher, comparison, contender, state, answer, start)

    def _start_again(self) -> None:
        """Whoever starts soon, in rounds, each in an order drawn anew."""
        share = starts.allowed(self.plan.budget_s, self.plan.budget_s - self.left)
        end = time.monotonic() + share
        count, planned = starts.planned(self.plan, self.cells, share)
        known = {(c.get("launch"), c["comparison"], c["contender"]) for c in self.done.again}
        comparisons = {c.id: c for c in self.plan.comparisons}
        for start, key in planned:
            if (start, *key) in known or self.frozen.given_up(key):
                continue
            # Fewer than LEAST would be for nothing.
            if start > 1 + starts.LEAST and time.monotonic() > end:
                break
            self.say("again", comparison=key[0], start=start, starts=count)
            contender = self.contenders[key[1]]
            record = self._cold(comparisons[key[0]], contender, "again", start)
            self._write("cell", **record)
            if record["status"] != "ok":
                self.frozen.failed(key, record["status"])

    def _cut_short(self, comparison: PlannedComparison, name: str) -> bool:
        """Whether an earlier invocation ended between its first start and its second.

        The last of a contender's starts is profiled: a first one that was not was to have
        a second.
        """
        return any(
            c["pass"] == "cold" and c["status"] == "ok" and c["profile"] is None
            for c in self.done.cells_of(comparison.id, name)
            if self.contenders[name].computes
        )

    def _refuse_edited(self) -> None:
        """Raises resuming.Edited before workers start from other code."""
        resuming.refuse_edited(
            self.plan.fingerprint["code"], lambda: resuming.code_of(self.plan.contenders)
        )

    def _stop(self, reason: str, needs: float | None = None) -> None:
        """The budget is spent: it is written down, and told. needs: seconds that are wanting."""
        self.writer.write("event", what="budget", reason=reason)
        self.say("budget", reason=reason, needs=needs)

    # --- the steady pass ---------------------------------------------------------------

    def _first_stage(self) -> None:
        """Six launch groups, or what was asked for, with as many rounds as the budget bears."""
        entrants = self.entrants
        able = {c.id for c in entrants.unsettled() if self.frozen.able(c)}
        missing = self.wanted - budget.together(self.groups, able)
        self.rounds = {
            c.id: budget.least_rounds(max(1, len(self.frozen.able(c))))
            for c in self.plan.comparisons
        }
        for done in range(missing):
            share = self.left / (missing - done)
            open_ = [c for c in entrants.unsettled() if self.frozen.able(c)]
            taking = {c.id: entrants.taking(c) for c in open_}
            staying = [i for i in taking if i not in self.room.gone]
            self.room.make(staying, missing - done, self.last, self.launches, self.left)
            taking = {i: names for i, names in taking.items() if i not in self.room.gone}
            if not taking:
                return
            if self.last is not None:
                rounds = {
                    c.id: self._worthwhile(c) for c in self.plan.comparisons if c.id in taking
                }
                fitting = self.last.fit(rounds, share)
                self.rounds |= fitting
                need = self.last.expected(fitting)
                if need > self.left:
                    most = durations.spell(self.plan.budget_s)
                    return self._stop(
                        f"{done} of {missing} launches fit into {most}; "
                        f"another would take about {durations.spell(need)}, "
                        f"{max(0, self.left):.0f} s are left",
                        (missing - done) * need,
                    )
            turns = budget.TURNS * share if self.last is None else math.inf
            self._launch_group(taking, turns, missing - done - 1)
            if not self.plan.settings.launches:
                self._settle()

    def _settle(self) -> None:
        """Who is far behind takes leave, and it is written down."""
        for comparison, name in self.entrants.leave(self.room.gone):
            launches = self.counts[comparison]
            reason = f"{name} is far behind in {comparison} after {launches} launches"
            self.writer.write(
                "event", what="settled", comparison=comparison, contender=name, reason=reason
            )
            self.say("settled", reason=reason)

    def _second_stage(self) -> None:
        """As many more as the first six ask for, planned once, while the budget lasts."""
        if self.plan.settings.launches:
            return
        planned = {
            (c.id, name): count
            for c in self.entrants.unsettled()
            if self.counts[c.id] >= sampling.FIRST_STAGE
            for name, count in budget.launches_planned(
                self.groups,
                c,
                self.entrants.undecided(c),
                self.plan.natives,
                self.plan.twin,
                self.plan.own,
            ).items()
        }
        most = {i: max(n for (j, _), n in planned.items() if j == i) for i, _ in planned}
        more = ", ".join(f"{i}: {n}" for i, n in most.items() if n > sampling.FIRST_STAGE)
        if more and not any(e["what"] == "second stage" for e in self.done.events):
            self.writer.write("event", what="second stage", reason=f"launches planned: {more}")
        gone: set[str] = set()
        while True:
            taking = {
                c.id: [
                    n for n in self.frozen.able(c) if planned.get((c.id, n), 0) > self.counts[c.id]
                ]
                for c in self.plan.comparisons
                if c.id not in gone
            }
            taking = {i: names for i, names in taking.items() if len(names) > 1}
            # Of a resumed run nobody knows yet what a launch takes.
            last = self.last if self.last and self.last.covers(taking) else None
            stay = [*taking] if self.left > 0 else []
            if last is not None:
                stay = last.fitting(sorted(taking, key=last.least), self.left)
            gone |= taking.keys() - stay
            if not stay:
                break
            rounds = {c.id: self._worthwhile(c) for c in self.plan.comparisons if c.id in stay}
            self.rounds |= last.fit(rounds, self.left) if last else rounds
            turns = math.inf if last else budget.TURNS * self.left
            self._launch_group({i: taking[i] for i in taking if i in stay}, turns)
        if gone:
            reason = "it ends before all the further launches that were planned for "
            reason += f"{len(gone)} of {len(self.plan.comparisons)} comparisons"
            self.writer.write("event", what="budget", reason=reason)
            self.say("further", reason=reason)

    def _worthwhile(self, comparison: PlannedComparison) -> int:
        """Rounds of a later launch: R* from what the last one cost, and how much all varied."""
        before = self.rounds[comparison.id]
        if self.last is None or not self.last.covers([comparison.id]):
            return before
        rivals = {c.name for c in self.plan.rivals}
        able = [n for n in self.entrants.comparable(comparison) if n in rivals]
        return budget.best_rounds(self.last, self.groups, comparison, able, before)

    def _launch_group(
        self, taking: dict[str, list[str]], most: float = math.inf, more: int = 0
    ) -> None:
        """One launch of the comparisons in `taking`, by the contenders it names; `most`: seconds
        of their turns. more: launches that follow, of the first stage."""
        self.launches += 1
        self.begun += 1
        comparisons = [
            msgspec.structs.replace(c, contenders=taking[c.id])
            for c in self.plan.comparisons
            if c.id in taking
        ]
        self.say("group", launch=self.launches, left=self.left, comparisons=list(taking))
        new = [c for c in comparisons if not self.counts[c.id]] if self.begun == 1 else []
        outlook = self.room.outlook(new, more)
        group = LaunchGroup(
            launcher=self.launcher,
            number=self.launches,
            begun=self.begun,
            contenders=self.contenders,
            answers=self.answers,
            frozen=self.frozen,
            warmup_limit=self.plan.settings.warmup_limit_s,
            autotuned=self.autotuned,
            rng=random.Random(zlib.crc32(f"{self.plan.run} {self.launches}".encode())),
            write=self._write,
            say=self.say,
            costly=outlook.costly,
            holds=lambda i, visited: self.room.holds(outlook, i, visited, self.left),
            refuse=self._refuse_edited,
        )
        self.last = group.measure(comparisons, {i: self.rounds[i] for i in taking}, most)

    def _write(self, kind: str, **fields: Any) -> None:
        self.writer.write(kind, **fields)
        if kind == "cell":
            self.cells.append(fields)
        if kind == "group":
            self.groups.append(fields)
            self.counts[fields["comparison"]] += 1
            self.say("record", record=fields)


def _autotuned(contenders: dict[str, Any]) -> set[str]:
    """Who said of itself that it chooses among kernels by trying them."""
    return {name for name, seen in contenders.items() if seen["manifest"].get("autotune")}


def _versions(contenders: dict[str, Any]) -> dict[str, Any]:
    """Of whom it is known: which release of its framework the run is of."""
    told = {name: seen["manifest"].get("version") for name, seen in contenders.items()}
    return {name: version for name, version in told.items() if version is not None}
