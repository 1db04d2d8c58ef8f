"""The steady pass: one launch group, the unit that is replicated.

A launch group is one fresh process per contender and condition: a precision, and a number of
threads. Together they visit every open comparison, in an order drawn anew; in each, rounds; in
each round, one turn of each contender. Nothing is timed while anything else of ours runs: idle
workers are stopped. A comparison becomes one record when its last turn is over, or none at all.
"""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.host import gpus, machine
from harness.host.energy import Energy
from harness.host.machine import Disturbances, Load
from harness.plan import fitting
from harness.plan.plan import PlannedComparison, PlannedContender, original
from harness.process.launch import Launcher, attempt, two_at_a_time
from harness.process.processes import WorkerFailed, WorkerProcess
from harness.run import budget, cold, design, oracle
from harness.run.budget import Launch, Spent
from harness.run.frozen import Frozen, keeps_queued
from harness.run.setting import Setting
from harness.stats.sampling import DRAWS
from harness.stats.uses import Condition
from harness.stats.uses import condition as condition_of

MOST_DISCARDED = 0.2  # of a comparison's turns in a launch; past that nothing is discarded


def cache_of(contender: str, threads: int, draw: int = 0) -> str:
    """The name of a compiler cache in the steady pass; the first is what the cold pass left.

    Code is compiled for so many threads.
    """
    return f"steady-{contender}-{threads}t-{draw}"


@dataclass
class LaunchGroup:
    """One launch group being measured."""

    launcher: Launcher
    number: int
    begun: int  # which launch of this invocation, from 1: compiler caches live no longer than it
    contenders: dict[str, PlannedContender]
    answers: dict[str, Path]
    frozen: Frozen
    warmup_limit: float
    autotuned: set[str]  # contenders that choose by trying
    rng: random.Random
    write: Callable[..., None]
    say: Callable[..., None]
    # What is visited last, in this order, and only where it has room beside what was by then.
    costly: list[str] = field(default_factory=list)
    holds: Callable[[str, Launch], bool] = lambda comparison, visited: True
    refuse: Callable[[], None] = lambda: None  # raises where no process may start any more
    workers: dict[str, WorkerProcess] = field(default_factory=dict)
    told: list[WorkerFailed] = field(default_factory=list)  # failures that are in a record

    def measure(
        self,
        comparisons: list[PlannedComparison],
        rounds: dict[str, int],
        most: float = math.inf,
    ) -> Launch:
        """Visits all `comparisons`; `rounds` by id, fewer where all would take more than `most`
        seconds. Returns what each took."""
        begin = time.monotonic()
        new = any(not self._known(c) for c in comparisons)  # before any is visited
        spent: dict[str, Spent] = {}
        due = len(comparisons)
        for condition in self._in_turn({*map(condition_of, comparisons)}):
            visited = [c for c in comparisons if condition_of(c) == condition]
            self.rng.shuffle(visited)
            visited.sort(key=lambda c: self.costly.index(c.id) if c.id in self.costly else -1)
            needed = {name for c in visited for name in self.frozen.able(c)}
            try:
                self._launch([n for n in self.contenders if n in needed], visited[0])
                for comparison in visited:
                    share = most / due
                    due -= 1
                    if comparison.id in self.costly:
                        seen = self._seen(comparisons, spent, begin, new)
                        if not self.holds(comparison.id, seen):
                            continue
                    visit = self._visit(comparison, rounds[comparison.id], share)
                    spent[comparison.id] = visit
                    most -= visit.turns
            finally:
                for worker in self.workers.values():
                    self.launcher.close(worker)
                self.workers.clear()
        return self._seen(comparisons, spent, begin, new)

    def _in_turn(self, conditions: set[Condition]) -> list[Condition]:
        """Each is opened in processes of its own, one after the other. Another begins in every
        launch, so that what a launch's beginning is slower by is in none of them alone."""
        order = sorted(conditions)
        first = self.number % max(1, len(order))
        return order[first:] + order[:first]

    def _seen(
        self,
        comparisons: list[PlannedComparison],
        spent: dict[str, Spent],
        begin: float,
        new: bool,
    ) -> Launch:
        """What it took so far. new: it found some that no earlier launch had warmed up."""
        beside = time.monotonic() - begin - sum(s.seconds for s in spent.values())
        # Autotuners begin with an empty cache in each of the first launches.
        taking = {original(name) for c in comparisons for name in c.contenders}
        if taking & self.autotuned:
            warmed = self.begun == DRAWS
        else:  # after a resume warm-ups are known, and only who compiles takes longer once more
            compiling = (self._compiling(n) for c in comparisons for n in self.frozen.able(c))
            warmed = self.begun == 1 and (new or any(compiling))
        return Launch(spent, beside, warmed)

    def _known(self, comparison: PlannedComparison) -> bool:
        """Whether an earlier launch has warmed it up already."""
        return all((comparison.id, n) in self.frozen.warmup for n in self.frozen.able(comparison))

    def _launch(self, names: list[str], comparison: PlannedComparison) -> dict[str, WorkerFailed]:
        """Fresh processes for this and what shares its condition; two import at a time. A failed
        one fails again when asked."""
        launcher = self.launcher.of(comparison.threads)
        self.say("launch", contenders=names)
        self.refuse()
        for name in names:
            if name in self.workers:
                self.launcher.close(self.workers.pop(name))
            log = f"launch{self.number}-{name}-{time.monotonic_ns() % 10**6}"
            cache = cache_of(name, comparison.threads, self.draw(name))
            self.workers[name] = launcher.start(self.contenders[name], cache, log)

        def open_one(name: str) -> WorkerFailed | None:
            worker = self.workers[name]
            contender = self.contenders[name]
            _, failed = attempt(lambda: launcher.open(worker, contender, comparison.precision))
            worker.stop()
            return failed

        failures = two_at_a_time(open_one, names)
        return {name: failed for name, failed in zip(names, failures, strict=True) if failed}

    def draw(self, name: str) -> int:
        """Which compiler cache a contender uses in this launch: one, or an autotuner's three in
        turn, the first of which the cold pass leaves."""
        return (self.number - 1) % DRAWS if original(name) in self.autotuned else 0

    def _visit(self, comparison: PlannedComparison, rounds: int, share: float) -> Spent:
        """One comparison: set up, rounds (at most `share` seconds of them), record, unload."""
        begin = time.monotonic()
        failures: dict[str, WorkerFailed] = {}
        names = self.frozen.able(comparison)
        dead = [n for n in names if self.workers[n].gone()]
        if dead:  # it died in another comparison, or since: that costs this one nothing
            for name in dead:
                self._tell(name, comparison)
            failures |= self._launch(dead, comparison)
        self.say("set up", comparison=comparison.id)
        alive = [n for n in names if n not in failures]
        failures |= self._set_up(comparison, alive)
        ready = [n for n in names if n not in failures]
        opened = time.monotonic()
        a_round = sum(self.frozen.turn((comparison.id, name)) for name in ready)
        a_round *= 1 + _queues_as_well(comparison)  # as many calls again
        least = budget.fewest_rounds(comparison, len(ready))
        rounds = max(least, budget.bearable(rounds, a_round, share, least))
        order = design.rounds(ready, rounds, self.rng) if ready else []
        load, others = Load(), self._others(comparison.device)
        turns = self._turns(comparison, order, failures)
        timed = time.monotonic()
        blocks = self._blocks(comparison, ready, failures)
        sustained = time.monotonic()
        beside = load.since() | {
            key: max(count, others.get(key, 0))
            for key, count in self._others(comparison.device).items()
        }
        self._verify_again(comparison, turns, failures)
        self.told += failures.values()
        for name, failed in failures.items():
            self.frozen.failed((comparison.id, name), failed.status)
        kept = {name: block for name, block in blocks.items() if name not in failures}
        for name, seen in turns.items():
            queued = keeps_queued(comparison.direction, comparison.device)
            self.frozen.seen((comparison.id, name), seen, queued)
        self.write(
            "group",
            comparison=comparison.id,
            launch=self.number,
            direction=comparison.direction,
            precision=comparison.precision,
            device=comparison.device,
            world_size=1,
            input="resident",
            rounds=len(order),
            order=order,
            turns={name: turns[name] for name in ready if name not in failures},
            statuses={name: cold.outcome(failed) for name, failed in failures.items()},
            machine=beside,
            compilations={name: self.draw(name) for name in ready},
            **({"sustained": kept} if kept else {}),
        )
        two_at_a_time(lambda n: attempt(lambda: self.workers[n].ask("unload")), ready)
        for name in ready:
            self.workers[name].stop()
        setup = opened - begin + time.monotonic() - sustained  # unloading as well
        return Spent(setup, timed - opened, len(order), sustained - timed, least)

    def _others(self, device: str) -> dict[str, int]:
        """How many processes compute on the GPU that are not ours; nothing where none tells."""
        index = gpus.number(device)
        seen = None if index is None else gpus.processes(index)
        ours = sum(worker.dead is None for worker in self.workers.values())
        return {} if seen is None else {"foreign_gpu_processes": max(0, seen - ours)}

    def _tell(self, name: str, comparison: PlannedComparison) -> None:
        """Of a worker that died where no comparison has its failure: at its start, or unloading."""
        died = self.workers[name].dead
        if not any(died is told for told in self.told):
            reason = f"{name} was launched again before {comparison.id}: {died}"
            self.write("event", what="launched_again", contender=name, reason=reason)

    def _set_up(self, comparison: PlannedComparison, names: list[str]) -> dict[str, WorkerFailed]:
        """Every contender loaded, verified and warm; who failed, and how.

        Two load (and compile) at a time; they warm up one by one: two that compute with all
        threads at once take more than twice as long. On a device a first call chooses kernels
        by timing them, and has it for itself.
        """
        slowest_first = sorted(names, key=self._compiling, reverse=True)
        settings = [self._setting(comparison, name) for name in slowest_first]
        if comparison.device == "cpu":
            two_at_a_time(Setting.load, settings)
        else:
            for setting in settings:
                setting.load()
        for setting in settings:
            setting.warm()
        for setting in settings:
            if setting.first_time or setting.failed or setting.record["oracle"]:
                self.write("cell", **setting.record, **cold.outcome(setting.failed))
        return {s.contender.name: s.failed for s in settings if s.failed}

    def _setting(self, comparison: PlannedComparison, name: str) -> Setting:
        return Setting(
            comparison=comparison,
            contender=self.contenders[name],
            worker=self.workers[name],
            answer=self.answers.get(comparison.id),
            frozen=self.frozen,
            launch=self.number,
            draw=self.draw(name),
            warmup_limit=self.warmup_limit,
        )

    def _compiling(self, name: str) -> float:
        """So that the longest compilation does not start last."""
        return fitting.compile_seconds(self.contenders[name])

    def _turns(
        self,
        comparison: PlannedComparison,
        order: list[list[str]],
        failures: dict[str, WorkerFailed],
    ) -> dict[str, list[dict[str, Any]]]:
        """The timed part. A contender that dies here leaves the others their rounds."""
        turns: dict[str, list[dict[str, Any]]] = {}
        again = math.ceil(MOST_DISCARDED * sum(len(row) for row in order))
        for number, row in enumerate(order, start=1):
            self.say("round", comparison=comparison.id, round=number, rounds=len(order))
            for name in row:
                if name in failures:
                    continue
                turn, failed, repeated = self._turn(comparison, name, again)
                again -= repeated
                if failed is not None:
                    failures[name] = failed
                else:
                    turns.setdefault(name, []).append(turn)
        return turns

    def _turn(
        self, comparison: PlannedComparison, name: str, again: int
    ) -> tuple[dict[str, Any], WorkerFailed | None, int]:
        """One turn; measured again, at most `again` times, where something disturbed it."""
        worker, calls = self.workers[name], self.frozen.calls((comparison.id, name))
        queue = _queues_as_well(comparison)
        disturbances = Disturbances(comparison.device)
        for repeated in range(again + 1):
            stolen, energy = machine.stolen(), Energy(comparison.device)
            begin = time.monotonic()
            answer, failed = attempt(
                lambda: worker.ask("turn", calls=calls, latency=comparison.latency, queue=queue)
            )
            joules, asked = energy.since(), time.monotonic() - begin
            worker.stop()
            reason = disturbances.since()
            turn = answer.get("turn", {})
            if turn:
                turn["asked_s"] = round(asked, 4)
                turn["stolen_s"] = round(machine.stolen() - stolen, 3)
                turn |= {} if joules is None else {"energy_j": round(joules, 6)}
            if failed is not None or reason is None:
                return turn, failed, repeated
            kept = "kept: too many were discarded" if repeated == again else "measured again"
            text = f"{comparison.id}, launch {self.number}: a turn of {name}: {reason}; {kept}"
            self.write("event", what="disturbed", reason=text)
        return turn, failed, again

    def _verify_again(
        self,
        comparison: PlannedComparison,
        turns: dict[str, list[dict[str, Any]]],
        failures: dict[str, WorkerFailed],
    ) -> None:
        """Holds a call against the oracle once more, now that its turns are over.

        From the same start; of whoever was not held so yet, in this draw. Weights that a call
        spoils, or another path that a compiler takes after so many calls, are wrong from some call
        on, and that is what was timed.
        """
        answer = self.answers.get(comparison.id)
        if answer is None or not oracle.question(comparison).whole:
            return

        def hold(name: str) -> WorkerFailed | None:
            worker = self.workers[name]

            def once_more() -> dict[str, Any]:
                worker.ask("warm", calls=0)  # back to the start
                worker.ask("again", calls=1)
                return oracle.verify(worker, comparison, answer)

            _, failed = attempt(once_more)
            worker.stop()
            return failed

        codes = {
            n: ((comparison.id, n), self.draw(n))
            for n in turns
            if n not in failures and self.contenders[n].computes
        }
        names = [n for n, code in codes.items() if code not in self.frozen.still_right]
        for name, failed in zip(names, two_at_a_time(hold, names), strict=True):
            if failed is None:
                self.frozen.still_right.add(codes[name])
            else:
                self.told.append(failed)  # which its worker may have died of: see `_tell`
                calls = sum(len(turn["calls"]) for turn in turns[name])
                reason = f"right at its first call; after {calls} timed ones: {failed.reason}"
                failures[name] = WorkerFailed(failed.status, reason)
                if isinstance(failed, oracle.Mistaken):
                    self._write_evidence(comparison, name, failed.evidence, failures[name])

    def _write_evidence(
        self,
        comparison: PlannedComparison,
        name: str,
        evidence: dict[str, Any],
        failed: WorkerFailed,
    ) -> None:
        """How far off it was: its group's record has the reason alone."""
        log = self.workers[name].log.name
        record = cold.blank("steady", comparison.id, name, log) | cold.outcome(failed)
        self.write("cell", **record | {"launch": self.number, "oracle": evidence})

    def _blocks(
        self, comparison: PlannedComparison, names: list[str], failures: dict[str, WorkerFailed]
    ) -> dict[str, dict[str, Any]]:
        """One block of training without a pause for each, in the design's row of this launch."""
        if not comparison.sustained_s:
            return {}
        square = design.williams(len(names)) if names else [[]]
        blocks: dict[str, dict[str, Any]] = {}
        for name in (sorted(names)[place] for place in square[(self.number - 1) % len(square)]):
            if name in failures:
                continue
            self.say("block", comparison=comparison.id, contender=name)
            worker, key = self.workers[name], (comparison.id, name)
            energy = Energy(comparison.device)
            answer, failed = attempt(
                lambda worker=worker, key=key: worker.ask(  # type: ignore[misc]
                    "block",
                    worker.limit + comparison.sustained_s,
                    calls=self.frozen.block_calls(key),
                    seconds=comparison.sustained_s,
                )
            )
            joules = energy.since()
            worker.stop()
            if failed is not None:
                failures[name] = failed
            else:
                told = {} if joules is None else {"energy_j": round(joules, 6)}
                blocks[name] = answer["block"] | told
        return blocks


def _queues_as_well(comparison: PlannedComparison) -> bool:
    """Whether a turn has calls that are queued and waited for once, after those one by one."""
    return comparison.latency and comparison.device != "cpu"
