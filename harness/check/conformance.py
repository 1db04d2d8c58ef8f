"""Is an adapter right? From the smallest thing up, and in words that say what to mend.

    bakeoff check NAME

Everything happens in the adapter's own environment, in a real worker, by the verbs that a
run uses; so an adapter that passes is ready to be measured. It stops at the first thing
wrong: what comes later rests on it.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from adapters.core import discovery
from adapters.core.cost import declare
from harness.check import cases, causes
from harness.check.expected import PATIENCE, SMALL, Expected, load
from harness.host import machine
from harness.install import environments
from harness.plan.inventory import Contender
from harness.plan.planning import planned_contender
from harness.process.launch import Launcher
from harness.process.processes import WorkerFailed, WorkerProcess
from harness.worker import timing
from suites import catalogue
from suites.workload import Workload

LINES = 8  # of what it printed, that are shown
STEPS = 3  # of a training that is followed; one cannot tell the momentum's coefficient
THREE_STEPS = "three steps"  # what the step that follows a training is called
# Nobody can follow these: at the size checked, weights that differ by 1e-7 (float32's rounding)
# move the third step's loss by 0.006 to 0.2, in float64 too. Their restored first step is held.
CHAOTIC = {"resnet50"}
FED = "check_conv3x3"  # a call that must follow its inputs
OTHER = 1  # the seed of other inputs; a run's are of 0
MOST_CORES = 1.3  # that one thread may keep busy: frameworks have threads that wait and tidy
BUSY = "conv3x3_64_56"  # milliseconds of work that every framework spreads over its threads
BUSY_BATCH = 16
# Much work and little to fetch: what the slowest bus is allowed hides none of it, on whatever
# machine. (A large output is allowed more than a fast processor needs to compute it.)
WAITED, WAITED_BATCH = "resnet20", 8
# Of what a manifest may say (stats/comparable.py), what nobody can be ranked fairly without.
TOLD = ("conv_precision", "matmul_precision", "threads")
TOLD_ON_A_GPU = ("tf32_conv", "tf32_matmul")

# Runs in the adapter's environment: which modules its file brings in by being imported.
EARLY = """
import json, sys
from adapters.core.discovery import adapter_class
requires = adapter_class(sys.argv[1]).requires
print(json.dumps([name for name in requires if name != "numpy" and name in sys.modules]))
"""


@dataclass(frozen=True)
class Finding:
    """The first thing wrong: what was checked, what was found, what to look at."""

    case: str
    what: str
    evidence: str | None = None
    cause: str | None = None
    unsupported: bool = False  # said by the adapter itself: no mistake


@dataclass(frozen=True)
class Step:
    """One thing to be checked; `run` gives None where it is right."""

    stage: str
    name: str
    run: Callable[[], Finding | None]


class Refused(Exception):
    """The contender cannot be checked here; the message says why."""


class Check:
    """One contender's conformance on one device. Use it in a `with`, for its processes.

    expected: of the reference, where several contenders are checked against the same.
    """

    def __init__(
        self,
        contender: Contender,
        device: str,
        precision: str,
        current: bool,
        expected: Expected | None = None,
    ):
        self.contender, self.precision, self.current = contender, precision, current
        self.device = device
        self.kind = discovery.adapter_class(contender.adapter)
        self.trains = self.kind.trains and self.kind.variants[contender.variant].trains
        self.expected, self._own = expected or Expected(), expected is None
        self.manifest: dict[str, Any] | None = None  # as the latest case had it
        self._opened = 0  # workers, so far

    def __enter__(self) -> "Check":
        self._folder = tempfile.TemporaryDirectory(prefix="bakeoff-check-")
        self.folder = Path(self._folder.name)
        count = machine.threads()
        cpus = sorted(machine.cpu_set(count))
        self.launcher = self._launcher(count, cpus)
        self._worker: WorkerProcess | None = None
        return self

    def _launcher(self, threads: int, cpus: list[int]) -> Launcher:
        return Launcher(
            self.folder, self.device, self.current, threads, cpus, False, timeout=PATIENCE
        )

    def __exit__(self, *_: object) -> None:
        if self._own:
            self.expected.__exit__()
        self.launcher.kill_all()
        self._folder.cleanup()

    @property
    def logs(self) -> Path:
        """What each worker printed; gone with this check."""
        return self.folder / "logs"

    @property
    def worker(self) -> WorkerProcess:
        """The one that answers for most steps; a new one where the last has died."""
        if self._worker is None or self._worker.dead is not None:
            self._worker = self._open(self.launcher)
        return self._worker

    def _open(self, launcher: Launcher) -> WorkerProcess:
        """With a log of its own: that of one which died says why. Raises WorkerFailed."""
        planned, name = planned_contender(self.contender), self.contender.name
        self._opened += 1
        log = name if self._opened == 1 else f"{name}-{self._opened}"
        worker = launcher.start(planned, name, log)
        launcher.open(worker, planned, self.precision)
        return worker

    def printed(self) -> list[str]:
        """The last lines of what the adapter printed: a traceback, where it raised."""
        latest = sorted(self.logs.glob("*.txt"), key=lambda log: log.stat().st_mtime_ns)[-1:]
        text = "".join(log.read_text(errors="replace") for log in latest)
        return [line.rstrip() for line in text.splitlines() if line.strip()][-LINES:]

    # --- the steps, from the smallest up --------------------------------------------------------

    def steps(self) -> Iterator[Step]:
        """In the order in which they should be mended."""
        yield Step("the file", "imports no framework", self._not_early)
        yield Step("the file", "opens", self._opens)
        yield Step("arrays", "place, dump, copy", self._round_trips)
        yield from self._whole_models() if self.kind.workloads else self._algebra()
        yield Step("manifest", "says what it ran with", self._says)

    def _algebra(self) -> Iterator[Step]:
        """Every operation alone, in every direction, and what is made of them."""
        operations = [w for w in catalogue.load().values() if w.kind == "check"]
        for workload in operations:
            yield self._operation("operations", workload, "infer")
        fed = catalogue.get(FED)
        yield self._fed("operations", fed, "infer")
        if self.trains:
            for workload in operations:
                yield self._operation("gradients", workload, "fwd_bwd")
            yield self._fed("gradients", fed, "fwd_bwd")
            for workload in operations:
                if _trains(workload):
                    yield self._operation("training", workload, "train")
            last = next(w for w in reversed(operations) if w.name.endswith("residual_down"))
            yield Step("training", THREE_STEPS, lambda: self._three_steps(last))
        for workload in catalogue.load().values():
            if workload.kind == "block":
                direction = "train" if self.trains else "infer"
                yield self._operation("blocks", workload, direction)
        for direction in ("infer", "fwd_bwd", "train") if self.trains else ("infer",):
            yield Step("clock", f"sync waits, {direction}", partial(self._waits, direction))
        if self.device == "cpu":
            yield Step("clock", "one thread is one thread", self._one_thread)

    def _whole_models(self) -> Iterator[Step]:
        """Of an adapter that brings models of its own, there is nothing smaller to check."""
        models = [catalogue.get(n).resized(SMALL.get(n)) for n in self.kind.workloads]
        models.sort(key=lambda w: (w.input[1], w.name))
        for workload in models:
            for direction in ("infer", "train") if self.trains else ("infer",):
                yield self._operation("models", workload, direction)
            yield self._fed("models", workload, "infer")
        for workload in models if self.trains else ():
            yield Step("training", THREE_STEPS, lambda w=workload: self._three_steps(w))  # type: ignore[misc]

    def _operation(self, stage: str, workload: Workload, direction: str) -> Step:
        name = f"{workload.name.removeprefix('check_')}, {direction}"
        return Step(stage, name, lambda: self._right(workload, direction))

    def _fed(self, stage: str, workload: Workload, direction: str) -> Step:
        name = f"{workload.name.removeprefix('check_')}, {direction}, other inputs"
        return Step(stage, name, lambda: self._follows(workload, direction))

    def _not_early(self) -> Finding | None:
        """Importing the file must not import the framework: `bakeoff list` reads all files."""
        named = self.contender
        python = environments.python_of(
            named.adapter, self.device, self.current, named.version, named.variant
        )
        if python is None:
            why = environments.why_absent(named.adapter, self.device, named.version, named.variant)
            raise Refused(why)
        done = environments.run_python(python, "-c", EARLY, named.adapter, timeout=PATIENCE)
        said = done.stderr if done.returncode else done.stdout
        last = (said.strip().splitlines() or ["it said nothing"])[-1]
        if done.returncode:
            return Finding("import of its file", last, None, "the file itself does not import")
        if last == "[]":
            return None
        what = f"importing its file imports {', '.join(json.loads(last))}"
        return Finding("import of its file", what, None, "import the framework in __init__")

    def _opens(self) -> Finding | None:
        try:
            self.worker.ask("memory")
        except WorkerFailed as failed:
            if failed.status == "unsupported":
                raise Refused(failed.reason) from None
            return self._finding("__init__ and manifest", failed)
        return None

    def _round_trips(self) -> Finding | None:
        return self._tried("place, dump and clone", lambda: self.worker.ask("round_trips"))

    def _right(self, workload: Workload, direction: str) -> Finding | None:
        """The first call; and the second, which what the first wrote into its weights spoils."""

        def first() -> None:
            load(self.worker, workload, direction)
            self.manifest = self.worker.ask("first")["manifest"]
            self._verify(workload, direction, 1)

        def second() -> None:
            if direction != "train":  # whose second step is another one: see `_three_steps`
                self.worker.ask("again", calls=1)
                self._verify(workload, direction, 1)
            self.worker.ask("unload")

        described = cases.described(workload, direction)
        return self._tried(described, first, workload, direction) or self._tried(
            f"the second call of {described}", second
        )

    def _follows(self, workload: Workload, direction: str) -> Finding | None:
        """A run never changes its inputs: whoever returns its first result would pass, and win."""

        def run() -> None:
            load(self.worker, workload, direction)
            self.worker.ask("first")
            self.worker.ask("feed", seed=OTHER)
            self.worker.ask("again", calls=1)
            self._verify(workload, direction, 1, OTHER)
            self.worker.ask("unload")

        return self._tried(f"other inputs into {cases.described(workload, direction)}", run)

    def _three_steps(self, workload: Workload) -> Finding | None:
        """Three steps, the first again from the restored state, and once more of other inputs.

        All in one cell: a whole model takes seconds to load and to compile.
        """

        def follow() -> None:
            load(self.worker, workload, "train")
            self.worker.ask("first")
            self.worker.ask("again", calls=STEPS - 1)
            if workload.name not in CHAOTIC:
                self._verify(workload, "train", STEPS)

        def restored() -> None:
            self.worker.ask("warm", calls=0)
            self.worker.ask("first")
            self._verify(workload, "train", 1)

        def fed() -> None:
            self.worker.ask("feed", seed=OTHER)
            self.worker.ask("warm", calls=0)
            self.worker.ask("first")
            self._verify(workload, "train", 1, OTHER)
            self.worker.ask("unload")

        described = cases.described(workload, "train")
        return (
            self._tried(f"the third step of {described}", follow)
            or self._tried(f"the first step after a restore of {described}", restored)
            or self._tried(f"other inputs into {described}", fed)
        )

    def _waits(self, direction: str) -> Finding | None:
        def run() -> None:
            self.worker.ask("load", workload=WAITED, batch=WAITED_BATCH, direction=direction)
            self.manifest = self.worker.ask("first")["manifest"]
            # A training's step needs the one before it: none is abandoned.
            self.worker.ask("waits", abandoned=direction != "train")
            self.worker.ask("unload")

        return self._tried(f"sync, {direction}", run)

    def _one_thread(self) -> Finding | None:
        """A worker that was told one thread, free to use every core, must keep one busy."""
        if len(self.launcher.cpus) < 2:
            what = "one processor is usable here: nobody can keep two busy"
            return Finding("the number of threads", what, unsupported=True)
        alone = self._launcher(1, self.launcher.cpus)

        def run() -> None:
            worker = self._open(alone)
            worker.ask("load", workload=BUSY, batch=BUSY_BATCH, direction="infer")
            worker.ask("first")
            call = worker.ask("warm", limit=1.0)["call"]
            calls = timing.calls_for(call, 0.3)
            turn = worker.ask("turn", calls=calls, latency=True, queue=False)["turn"]
            cores = turn["cpu_ns"] / turn["wall_ns"]
            if cores > MOST_CORES:
                raise WorkerFailed("wrong", f"with threads=1 it keeps {cores:.1f} cores busy")

        try:
            return self._tried("the number of threads", run)
        finally:
            alone.kill_all()

    def _says(self) -> Finding | None:
        """Who says nothing of these is ranked with everyone, whatever it ran with."""
        needed = TOLD if self.device == "cpu" else TOLD + TOLD_ON_A_GPU
        if (said := self.manifest) is None:  # which is not right: nobody has looked
            return Finding("manifest", "no call of it ran, so it has not said what it ran with")
        missing = [key for key in needed if said.get(key) is None]
        if not missing:
            return None
        why = 'say what really ran, as in "threads": self.threads; adapters/README.md has the keys'
        return Finding("manifest", f"it says nothing of {', '.join(missing)}", None, why)

    # --- asking and holding ---------------------------------------------------------------------

    def _verify(self, workload: Workload, direction: str, steps: int, seed: int = 0) -> None:
        """Raises WorkerFailed: `wrong`, with the worst element in words behind the reason."""
        answer = self.expected.of(workload, direction, steps, seed)
        found = self.worker.ask("verify", oracle=str(answer), rows=None)
        if not found["ok"]:
            raise WorkerFailed("wrong", found["reason"])
        if steps > 1 or workload.kind != "check":
            return  # rounding is enlarged there: its errors show no precision for sure
        if told := cases.coarse(workload, direction, self.precision, found["oracle"]):
            raise WorkerFailed("wrong", told)

    def _tried(
        self,
        case: str,
        run: Callable[[], Any],
        workload: Workload | None = None,
        direction: str = "infer",
    ) -> Finding | None:
        try:
            run()
        except WorkerFailed as failed:
            evidence = None
            if workload is not None and failed.status == "wrong":
                evidence = self._worst(workload, direction)
            elif workload is not None and not self.kind.workloads:
                evidence = cases.ran(workload, direction)
            return self._finding(case, failed, evidence)
        return None

    def _finding(self, case: str, failed: WorkerFailed, evidence: str | None = None) -> Finding:
        if failed.status == "unsupported":
            return Finding(case, failed.reason, unsupported=True)
        wrong = failed.status == "wrong"
        reason = failed.reason if wrong else f"{failed.status}: {failed.reason}"
        cause = causes.usual(f"{case.partition(':')[0]}: {reason}", wrong)
        return Finding(case, reason, evidence, cause)

    def _worst(self, workload: Workload, direction: str) -> str | None:
        """The element that is furthest off: what was expected there, and what was got."""
        path = self.folder / "got.npz"
        try:
            self.worker.ask("answer", path=str(path), rows=None, precision="float64")
        except WorkerFailed:
            return None
        with np.load(path) as got, np.load(self.expected.of(workload, direction)) as expected:
            worst: tuple[float, str] = (0.0, "")
            for name in expected.files:
                if name not in got or got[name].shape != expected[name].shape:
                    continue
                off = np.abs(np.nan_to_num(got[name] - expected[name], nan=np.inf))
                size = float(np.abs(expected[name]).max(initial=0.0)) or 1.0
                if off.size and float(off.max()) / size > worst[0]:
                    place = np.unravel_index(int(off.argmax()), off.shape)
                    where = f"{name}[{', '.join(str(int(i)) for i in place)}]"
                    wanted, found = expected[name][place], got[name][place]
                    words = f"{where}: expected {wanted:.6g}, got {found:.6g}"
                    worst = (float(off.max()) / size, words)
        return worst[1] or None


def _trains(workload: Workload) -> bool:
    return any(p.trained for p in declare(workload).values())
