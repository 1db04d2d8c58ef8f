"""Runs a plan: greet, answer, cold pass, launch groups; records come out.

    greet     every contender opens once: versions, the machine's rates, who cannot run
    oracle    the reference's answer for every comparison
    cold      headline cells from nothing to a first result
    steady    launch groups, 6 at first; then as many as the first stage asks for

What was reported is on the disk. Whatever happens next (Ctrl-C, a killed worker, a
full disk) ends this run early and loses nothing; `--resume` measures what is missing.
"""

import json
import os
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import budget, cold, machine, oracle, probe, records, statistics
from harness.launch import Launcher, attempt, two_at_a_time
from harness.plan import LAUNCHES, MOST_LAUNCHES, Plan, PlannedComparison
from harness.processes import WorkerFailed
from harness.steady import Frozen, LaunchGroup

Say = Callable[..., None]


class Runner:
    """One invocation: a plan, a folder, and what is done already."""

    def __init__(self, plan: Plan, folder: Path, say: Say, timeout: float):
        self.plan, self.folder, self.say, self.timeout = plan, folder, say, timeout
        self.began = time.monotonic()
        settings = plan.settings
        device = plan.comparisons[0].device if plan.comparisons else "cpu"
        self.launcher = Launcher(
            folder=folder,
            device=device,
            current=settings["python"] == "current",
            threads=settings["threads"],
            cpus=settings["cpus"],
            as_shipped=settings["allocator"] == "as-shipped",
        )
        self.writer = records.Writer(folder)
        self.done = records.read(folder) if (folder / "environment.json").exists() else None
        self.contenders = {c.name: c for c in plan.contenders}
        self.answers: dict[str, Path] = {}
        self.frozen = _thaw(self.done)
        self.rounds: dict[str, int] = {}
        self.last: budget.Launch | None = None
        self.counts = Counter(g["comparison"] for g in self.done.groups) if self.done else Counter()
        self.wanted = plan.settings.get("launches") or LAUNCHES
        self.launches = max([g["launch"] for g in self.done.groups], default=0) if self.done else 0

    def run(self) -> None:
        """To the end of the plan or of the budget, whichever comes first."""
        try:
            self._greet()
            self._ask_oracle()
            self._cold_pass()
            self._first_stage()
            self._second_stage()
        finally:
            self.launcher.kill_all()
            self.launcher.forget_caches()
            self.writer.close()

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.plan.budget_s - (time.monotonic() - self.began)

    # --- before anything is timed ----------------------------------------------------

    def _greet(self) -> None:
        """Open each contender once: its versions, and this machine's rates through it."""
        self._look_for_load()
        names = [c.name for c in self.plan.contenders if c.copy == 1]
        precision = self.plan.comparisons[0].precision
        self.say("greet", contenders=names)
        workers = {
            n: self.launcher.start(self.contenders[n], f"greet-{n}", f"greet-{n}") for n in names
        }
        opened = two_at_a_time(
            lambda n: attempt(
                lambda: self.launcher.open(workers[n], self.contenders[n], precision)
            ),
            names,
        )
        seen: dict[str, Any] = {}
        for name, (answer, failed) in zip(names, opened, strict=True):
            contender = self.contenders[name]
            seen[name] = {
                "version": contender.version,
                "manifest": answer.get("manifest", {}),
                **cold.outcome(failed),
            }
            if failed:
                self._give_up(name, failed)
            elif contender.variant == "" and contender.computes and not self._probed(name):
                self.say("probe", contender=name)
                found, _ = attempt(lambda n=name: probe.measure(workers[n], self.launcher.kind))  # type: ignore[misc]
                if found:
                    self.writer.write("probe", contender=name, launch=0, **found)
        for worker in workers.values():
            self.launcher.close(worker)
        if self.done is None:
            environment = {"machine": machine.describe(self.launcher.threads), "contenders": seen}
            _write_document(self.folder / "environment.json", environment)

    def _probed(self, name: str) -> bool:
        return self.done is not None and any(p["contender"] == name for p in self.done.probes)

    def _give_up(self, name: str, failed: WorkerFailed) -> None:
        """A contender that does not even open has failed in all its comparisons."""
        for comparison in self.plan.comparisons:
            for copy in comparison.contenders:
                key = (comparison.id, copy)
                if copy.partition("#")[0] != name.partition("#")[0] or self.frozen.given_up(key):
                    continue
                self.frozen.give_up(key)
                record = cold.blank("steady", comparison.id, copy, None)
                self.writer.write("cell", **record, **cold.outcome(failed))

    def _look_for_load(self) -> None:
        load = machine.busy_now()
        reason = statistics.busy(load)
        if reason:
            self.say("busy", reason=reason)
            self.writer.write("event", what="busy", reason=f"before measuring: {reason}")

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
        known = {
            (c["pass"], c["comparison"], c["contender"])
            for c in (self.done.cells if self.done else [])
        }
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
                    if state == "warm" and not self.launcher.holds(cache):
                        break  # nothing was kept: a second start is like the first
                    self.say(state, comparison=comparison.id, contender=name)
                    record = cold.measure(
                        self.launcher,
                        comparison,
                        contender,
                        state,
                        self.answers.get(comparison.id),
                        self.timeout,
                    )
                    self.writer.write("cell", **record)
                    if record["status"] != "ok":
                        self.frozen.failed((comparison.id, name), record["status"])
                        break
                    self.frozen.verified.add((comparison.id, name))
                self.launcher.keep_cache(cache, f"steady-{name}")

    # --- the steady pass ---------------------------------------------------------------

    def _first_stage(self) -> None:
        """Six launch groups, or what was asked for, with as many rounds as the budget bears."""
        missing = self.wanted - min((self.counts[c.id] for c in self.plan.comparisons), default=0)
        self.rounds = {c.id: budget.whole_square(len(c.contenders)) for c in self.plan.comparisons}
        for done in range(missing):
            if self.last is not None:
                self.rounds = self.last.fit(self.rounds, self.left / (missing - done))
                need = self.last.expected(self.rounds)
                if need > self.left:
                    reason = (
                        f"{done} of {missing} launches fit into {self.plan.budget_s:.0f} s; "
                        f"another would take about {need:.0f} s, {max(0, self.left):.0f} s are left"
                    )
                    self.writer.write("event", what="budget", reason=reason)
                    self.say("budget", reason=reason)
                    return
            self._launch_group(self.plan.comparisons)

    def _second_stage(self) -> None:
        """As many more as the first six ask for, planned once, while the budget lasts."""
        if self.plan.settings.get("launches"):
            return
        run = records.read(self.folder)
        planned = {
            c.id: min(MOST_LAUNCHES, budget.launches_needed(run, c.id, LAUNCHES))
            for c in self.plan.comparisons
            if self.counts[c.id] >= LAUNCHES
        }
        more = ", ".join(f"{i}: {count}" for i, count in planned.items() if count > LAUNCHES)
        if more and not any(e["what"] == "second stage" for e in run.events):
            self.writer.write("event", what="second stage", reason=f"launches planned: {more}")
        while opened := [c for c in self.plan.comparisons if self._open(c, planned)]:
            rounds = {c.id: self.rounds[c.id] for c in opened}
            known = self.last is not None and self.last.covers(rounds)
            if known and self.last.expected(rounds) > self.left:  # type: ignore[union-attr]
                return
            self._launch_group(opened)

    def _open(self, comparison: PlannedComparison, planned: dict[str, int]) -> bool:
        return self.counts[comparison.id] < planned.get(comparison.id, 0)

    def _launch_group(self, comparisons: list[PlannedComparison]) -> None:
        self.launches += 1
        self.say(
            "group", launch=self.launches, left=self.left, comparisons=[c.id for c in comparisons]
        )
        group = LaunchGroup(
            launcher=self.launcher,
            number=self.launches,
            contenders=self.contenders,
            answers=self.answers,
            frozen=self.frozen,
            warmup_limit=self.plan.settings["warmup_limit_s"],
            timeout=self.timeout,
            rng=random.Random(zlib.crc32(f"{self.plan.run} {self.launches}".encode())),
            write=self._write,
            say=self.say,
        )
        self.last = group.measure(comparisons, {c.id: self.rounds[c.id] for c in comparisons})

    def _write(self, kind: str, **fields: Any) -> None:
        self.writer.write(kind, **fields)
        if kind == "group":
            self.counts[fields["comparison"]] += 1
            self.say("record", record=fields)


def _thaw(done: records.Run | None) -> Frozen:
    """What earlier launches of this run froze, from their records."""
    frozen = Frozen()
    for cell in done.cells if done else []:
        key = (cell["comparison"], cell["contender"])
        if cell["status"] != "ok":
            frozen.failed(key, cell["status"])
            continue
        frozen.verified.add(key)
        if cell.get("warmup"):
            frozen.freeze(key, cell["warmup"])
    return frozen


def _write_document(path: Path, document: dict[str, Any]) -> None:
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(temporary, path)
