"""Starts workers: each contender's Python, its environment variables, its caches, its log."""

import shutil
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import Wrong
from harness.host import machine
from harness.install import environments
from harness.plan import resuming
from harness.plan.plan import PlannedContender, original
from harness.process.processes import PATIENCE, WorkerFailed, WorkerProcess

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Launcher:
    """How workers of one run are started: alike for all."""

    folder: Path
    device: str
    current: bool  # run in this interpreter's environment instead of the adapter's own
    threads: int
    cpus: list[int]
    as_shipped: bool  # the allocator as the system has it
    timeout: float = PATIENCE  # seconds for one request
    # Of the run's contenders, where known: no worker of another release is measured with them.
    versions: dict[str, Any] = field(default_factory=dict)
    live: list[WorkerProcess] = field(default_factory=list)

    def of(self, threads: int) -> "Launcher":
        """The same for workers that have so many threads: on the first of its CPUs. Not more than
        it has itself; 0: as many."""
        if threads in (0, self.threads):
            return self
        return replace(self, threads=threads, cpus=sorted(machine.cpu_set(threads, self.cpus)))

    @property
    def kind(self) -> str:
        """What an adapter is told: its worker sees one GPU at most."""
        return self.device.partition(":")[0]

    def start(self, contender: PlannedContender, cache: str, log: str) -> WorkerProcess:
        """A fresh process. `cache` names its compiler caches; the same name shares them.

        Main thread only (see processes.py). Raises Wrong where there is no environment.
        """
        python = self.python_of(contender)
        if python is None:
            its = contender.adapter, self.kind, contender.version, contender.variant
            raise Wrong(f"{contender.name}: {environments.why_absent(*its)}")
        return self._start(python, cache, log)

    def python_of(self, contender: PlannedContender) -> Path | None:
        """Whose Python it runs in."""
        return environments.python_of(
            contender.adapter, self.kind, self.current, contender.version, contender.variant
        )

    def start_reference(self, log: str) -> WorkerProcess:
        """The reference needs NumPy alone, which the runner has."""
        patience = max(self.timeout, PATIENCE)  # it is slow, and nobody's adapter
        return self._start(Path(sys.executable), "reference", log, patience)

    def _start(
        self, python: Path, cache: str, log: str, limit: float | None = None
    ) -> WorkerProcess:
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        environment = machine.worker_environment(
            self.device, self.threads, self.cache(cache), as_shipped=self.as_shipped
        )
        path = logs / f"{file_name(log)}.txt"
        worker = WorkerProcess(python, environment, path, limit or self.timeout)
        self.live.append(worker)
        return worker

    def open(
        self, worker: WorkerProcess, contender: PlannedContender, precision: str
    ) -> dict[str, Any]:
        """Raises WorkerFailed; resuming.Edited where its framework was replaced meanwhile."""
        answer = worker.ask(
            "open",
            adapter=contender.adapter,
            variant=contender.variant,
            device=self.kind,
            precision=precision,
            threads=self.threads,
            cpus=self.cpus,
            **({"planted": contender.planted} if contender.planted else {}),
        )
        before = self.versions.get(original(contender.name))
        if before is not None:
            name, now = contender.name, answer["manifest"].get("version")
            resuming.refuse_replaced(name, before, now)
        return answer

    def close(self, worker: WorkerProcess) -> None:
        """In peace; by force on the way out of an interruption, since whoever compiles would not
        answer for seconds."""
        passing = sys.exception()
        worker.close(by_force=passing is not None and not isinstance(passing, WorkerFailed))
        self.live.remove(worker)

    def kill_all(self) -> None:
        """Whatever still runs, on the way out."""
        for worker in self.live:
            worker.kill()
        self.live.clear()

    def cache(self, name: str) -> Path:
        """Private to the run, and gone with it."""
        path = self.folder / "cache" / file_name(name)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def is_filled(self, name: str) -> bool:
        """Whether a compiler left anything in a cache."""
        return any(path.is_file() for path in self.cache(name).rglob("*"))

    def keep_cache(self, name: str, into: str) -> None:
        """What was compiled once need not be compiled again in the same run, if it can be kept."""
        try:
            shutil.copytree(self.cache(name), self.cache(into), dirs_exist_ok=True)
        except OSError:  # shutil.Error, too: half a cache is none
            self.forget_cache(into)
        self.forget_cache(name)

    def forget_cache(self, name: str) -> None:
        shutil.rmtree(self.folder / "cache" / file_name(name), ignore_errors=True)

    def forget_caches(self) -> None:
        shutil.rmtree(self.folder / "cache", ignore_errors=True)


def two_at_a_time(do: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Set-up that is not timed may overlap. An interruption does not wait for what is under way."""
    pool = ThreadPoolExecutor(max_workers=2)
    try:
        return list(pool.map(do, items))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def attempt(do: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], WorkerFailed | None]:
    """The answer, or how it failed: one contender's failure is never another's."""
    try:
        return do(), None
    except WorkerFailed as failure:
        return {}, failure


def file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in text)
