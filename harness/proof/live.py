"""Claims that need this machine: fresh launches of real workers, by the runner itself.

A run of many cheap workloads serves many comparisons with the same processes. So those
comparisons are not independent: intervals of a rate are over runs, never over comparisons.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from harness.errors import Wrong
from harness.host import machine
from harness.install import environments
from harness.plan import inventory, plan, planning, resuming
from harness.plan.suite import Comparison, Suite
from harness.proof import agreement
from harness.proof.claims import Figure, allowed
from harness.proof.simulated import DIFFERENT, SLOWER
from harness.record import records
from harness.run.runner import Runner
from harness.stats import busy, modes, readings, statistics
from harness.worker import timing

Say = Callable[..., None]
# Whoever ends a campaign, by whatever signal, ends its load as well (PR_SET_PDEATHSIG).
WITH_US = "import ctypes; ctypes.CDLL(None).prctl(1, 9)\n"
# Its child goes on alone, and holds nothing of ours open; it ends after half an hour all the
# same, since nobody may be left with a program that spins.
ORPHAN = """
pid = os.fork()
if pid:
    print(pid, flush=True)
    os._exit(0)
os.setsid()
os.close(1)
import signal
signal.alarm(1800)
"""
SUITE = plan.ITSELF  # no file: these runs are made by nothing but this one

# Twenty that take up to milliseconds: none compiles anything in numpy or eager PyTorch. Those
# below a tenth of one come last: 3% of them is less than it costs to plant a slowdown.
WORKLOADS = (
    ("conv1x1_64_256_56", 1), ("conv3x3_64_56", 1), ("conv3x3_64_128_56_stride2", 1),
    ("depthwise3x3_144_56", 2), ("resnet_basic", 1), ("lenet5", 8), ("lenet5", 32),
    ("resnet20", 1), ("resnet20", 4), ("threelayer", 4), ("threelayer", 16), ("conv3x3_64_56", 2),
    ("relu_64x56x56", 8), ("conv1x1_64_256_56", 2), ("lenet5", 64), ("resnet20", 8),
    ("relu_16x32x32", 8), ("relu_64x56x56", 2), ("depthwise3x3_144_56", 1), ("relu_16x32x32", 32),
)  # fmt: skip


def quick_to_start(device: str) -> str:
    """PyTorch, eager, where it can run; else NumPy, which starts quicker still; else another."""
    rows = [r for r in inventory.contenders(device) if r["available"] and r["computes"]]
    for name in ("torch", "numpy"):
        if any(row["name"] == name for row in rows):
            return name
    if not rows:
        raise Wrong("no contender can run here; `make env` installs them")
    return rows[0]["name"]


@dataclass(frozen=True)
class Itself:
    """One contender against itself: so many copies of it, and one for each planted slowdown."""

    contender: str
    planted: tuple[float, ...]  # slowdowns, as shares of each call's own time
    copies: int
    launches: int
    workloads: int  # the first so many of WORKLOADS
    device: str = "cpu"

    @property
    def slowed(self) -> list[str]:
        """The names of those that are made slower, as in `torch+5%`."""
        return [f"{self.contender}+{100 * share:g}%" for share in self.planted]

    def plan(self, name: str) -> plan.Plan:
        asked = [
            Comparison(workload, batch, device=self.device)
            for workload, batch in WORKLOADS[: self.workloads]
        ]
        count = machine.threads()
        named = [inventory.parse(self.contender)]
        rows = inventory.contenders(self.device, named=named, everyone=False)
        made, _ = planning.make(
            run=name,
            command=plan.command_line(),
            suite=Suite(SUITE, "One contender against itself", "", "6h", (), tuple(asked)),
            comparisons=asked,
            contenders=inventory.parse_list(",".join([self.contender] * self.copies)),
            absent=[],
            budget=6 * 3600.0,
            settings=plan.Settings(
                device=self.device,
                threads=count,
                cpus=sorted(machine.cpu_set(count)),
                warmup_limit_s=1.0,
                launches=self.launches,
                named=True,
            ),
            rows=rows,
        )
        first = made.contenders[0]
        made.contenders = [c for c in made.contenders if c.copy <= self.copies]  # no other twin
        made.noise_floor = None
        for slowed, share in zip(self.slowed, self.planted, strict=True):
            made.contenders.append(msgspec.structs.replace(first, name=slowed, planted=share))
        for comparison in made.comparisons:
            comparison.contenders[:] = [c.name for c in made.contenders]
        return made


def measure(folder: Path, itself: Itself, say: Say) -> records.Run:
    """The run in `folder`, measured as far as it is not: a whole one is only read.

    Raises Wrong where the folder holds another run, or one of other code or another machine.
    """
    made = itself.plan(folder.name)
    if (folder / "plan.json").exists():
        begun = plan.read(folder)
        if not begun.itself:
            raise Wrong(
                f"{folder.name} is another run, of the suite {begun.suite['name']}: "
                "choose another --run-id"
            )
        resuming.refuse_change(
            begun.fingerprint, made.fingerprint, instead="choose another --run-id"
        )
        run = records.read(folder) if (folder / "environment.json").exists() else None
        if run and _whole(run, begun):
            return run
        made = begun
    else:
        plan.begin(made, folder)
    Runner(made, folder, say, timeout=120.0).run()
    return records.read(folder)


def _whole(run: records.Run, planned: plan.Plan) -> bool:
    counts = Counter(g["comparison"] for g in run.groups)
    wanted = planned.settings.launches or 0
    return all(counts[c.id] >= wanted for c in planned.comparisons)


def pairs(
    run: records.Run, a: str, b: str, launches: int | None = None
) -> dict[str, statistics.Comparison]:
    """By comparison: a against b, from the first `launches` launches, where there are enough.

    Raises Wrong where no comparison has.
    """
    found = {}
    for comparison in run.plan["comparisons"]:
        name = comparison["id"]
        by = readings.rank_of(comparison)[0]
        times = readings.log_times(run.groups, name, by, a, b)
        logs = readings.log_ratios(times, a, b)
        values = readings.in_order(logs)[:launches]
        if len(values) >= statistics.LEAST_LAUNCHES:
            own, other = (readings.by_launch(times, who)[:launches] for who in (a, b))
            found[name] = statistics.compare(values, modes.leave_open(own, other, values))
    if not found:
        raise Wrong(
            f"{a} could not be measured {statistics.LEAST_LAUNCHES} times beside {b}; "
            f"`bakeoff show {run.folder}` says why"
        )
    return found


def over_runs(
    name: str,
    rates: list[float],
    most: float | None = None,
    least: float | None = None,
) -> Figure:
    """A rate over runs, with a t-interval over them: the comparisons of one share launches."""
    values = np.array(rates)
    low = high = None
    if len(values) > 1:
        low, high = statistics.t_interval(values)
        low, high = max(0.0, low), min(1.0, high)
    return Figure(name, float(values.mean()), low, high, most, least)


# --- claim 1 ----------------------------------------------------------------------------------


def identical(folder: Path, runs: int, workloads: int, say: Say) -> list[Figure]:
    """Claim 1, live: a contender entered twice, beside other programs on every core."""
    different, material, total = [], [], 0
    names = ["numpy", quick_to_start("cpu")]
    for number in range(runs):
        contender = names[number % len(names)]
        with background_load():
            itself = Itself(contender, (), copies=2, launches=6, workloads=workloads)
            run = measure(folder / f"identical-{number}", itself, say)
        verdicts = [p.verdict for p in pairs(run, contender, f"{contender}#2").values()]
        total += len(verdicts)
        different.append(sum(v in DIFFERENT for v in verdicts) / len(verdicts))
        material.append(sum(v.startswith("materially") for v in verdicts) / len(verdicts))
    where = f"{total} comparisons beside a load on every core"
    most = {"called different": (different, 0.08), "materially different": (material, 0.01)}
    return [
        # The short form's one run: a right method has one alarm of eight in every fourth.
        over_runs(f"{where}: {what}", rates, allowed(share, total) if runs == 1 else share)
        for what, (rates, share) in most.items()
    ]


def guarded(folder: Path, say: Say) -> list[Figure]:
    """The guard itself: beside somebody else's programs nothing is claimed, and it is told why."""
    itself = Itself("numpy", (), copies=2, launches=6, workloads=4)
    with background_load(ours=False):
        run = measure(folder / "guarded", itself, say)
    loads = [busy.why(group["machine"]) is not None for group in run.groups]
    if not loads:
        raise Wrong(f"nothing could be measured; `bakeoff show {run.folder}` says why")
    name = "beside a foreign load on every core: launches of a comparison seen as busy"
    return [Figure(name, _mean(loads), least=0.95)]


@contextmanager
def background_load(ours: bool = True) -> Iterator[None]:
    """Another program on each core: it counts, and lets nobody rest.

    ours: as our own children, so that a run does not take them for somebody else's: verdicts
    are judged as they would be without the guard that makes a busy machine a screening. Else
    they belong to nobody: their parent has ended.
    """
    bound = WITH_US if ours else ORPHAN
    spin = f"import itertools, os\n{bound}for _ in itertools.count(): pass"
    others = [
        subprocess.Popen(
            [sys.executable, "-c", spin],
            preexec_fn=lambda cpu=cpu: os.sched_setaffinity(0, {cpu}),
            stdout=None if ours else subprocess.PIPE,
        )
        for cpu in sorted(os.sched_getaffinity(0))
    ]
    pids = [other.pid for other in others]
    if not ours:
        pids = [int(other.communicate()[0]) for other in others]
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for other in others:
            other.wait()


# --- claim 2 ----------------------------------------------------------------------------------

PLANTED = ((0.03, 10, 0.90), (0.05, 8, 0.98))  # slowdown, launches, to be found in so many
# Waiting disturbs the call that comes after it: 3% planted alone, in one process and in turns
# with the call itself, came to 3.1 to 3.25%, 5% to 5.2 to 5.3% (60 turns of each, a noisy 2-core
# machine), where intervals can be as narrow as 0.3%. So the truth is known to so much.
KNOWN_TO = 0.002


def planted(folder: Path, runs: int, workloads: int, say: Say) -> list[Figure]:
    """Claim 2, live: the same contender, slowed in proportion to its own time."""
    seen: dict[float, list[float]] = {share: [] for share, *_ in PLANTED}
    held: dict[float, list[float]] = {share: [] for share, *_ in PLANTED}
    spreads = []
    contender = quick_to_start("cpu")
    for number in range(runs):
        shares = tuple(share for share, *_ in PLANTED)
        itself = Itself(contender, shares, copies=1, launches=10, workloads=workloads)
        run = measure(folder / f"planted-{number}", itself, say)
        for (share, launches, _), slowed in zip(PLANTED, itself.slowed, strict=True):
            found = pairs(run, slowed, contender, launches)
            truth = 1 + share
            seen[share].append(_mean([p.verdict in SLOWER for p in found.values()]))
            held[share].append(
                _mean([p.low - KNOWN_TO <= truth <= p.high + KNOWN_TO for p in found.values()])
            )
            spreads += [p.spread for p in found.values()]
    figures = [Figure("spread between launches, median", float(np.median(spreads)))]
    for share, launches, least in PLANTED:
        what = f"{share:.0%} slower, {launches} launches"
        figures.append(over_runs(f"{what}: found", seen[share], least=least))
        figures.append(over_runs(f"{what}: the interval holds the truth", held[share], least=0.93))
    return figures


def _mean(values: list[bool]) -> float:
    return sum(values) / len(values)


# --- claims 6, 7 --------------------------------------------------------------------------------


def overhead(tries: int = 7, calls: int = 100_000) -> list[Figure]:
    """Claim 6: empty calls through the timing loop, against a bare loop around the same."""

    def step() -> Any:
        pass

    def sync(result: Any) -> None:
        pass

    def bare() -> float:
        begin = time.perf_counter_ns()
        for _ in range(calls):
            sync(step())
        return (time.perf_counter_ns() - begin) / calls

    # Each at its least undisturbed: the least of the differences would be of a disturbed bare loop.
    took = [(float(np.median(timing.synced(step, sync, calls))), bare()) for _ in range(tries)]
    added = min(ours for ours, _ in took) - min(loop for _, loop in took)
    return [Figure("added to a call", max(0.0, added) / 1000, most=0.3, unit="us")]


def agreeing(folder: Path) -> list[Figure]:
    """Claim 7: our mean of an operation over that of two well-known timers, interleaved."""
    torch = environments.python_of("torch", "cpu")
    if torch is None:
        raise Wrong("torch has no environment here; run `make env`")
    ours = Path(sys.executable)  # which has pytest-benchmark
    figures = []
    for module, python, theirs in (
        ("torch_agreement", torch, "torch.utils.benchmark"),
        ("pytest_agreement", ours, "pytest-benchmark"),
    ):
        found = agreement.ratios(module, python, "cpu", folder / "cache")
        for name, ratio in found["clock"].items():
            what = f"{name}: ours over {theirs}"
            figures.append(Figure(what, ratio, most=1.01, least=0.99, unit="ratio"))
        for name, ratio in found.get("adapter", {}).items():  # no clock's doing, so no bound
            figures.append(Figure(f"{name}: the adapter over bare PyTorch", ratio, unit="ratio"))
    return figures


# --- claim 9 ------------------------------------------------------------------------------------


def hasty() -> list[Figure]:
    """Claim 9: an asynchronous device whose `sync` does nothing, and one whose sync waits."""
    from concurrent.futures import Future, ThreadPoolExecutor

    with ThreadPoolExecutor(1) as device:  # does one thing after the other, as a stream does

        def step() -> Future[None]:
            return device.submit(time.sleep, 0.004)

        def wait(result: Future[None]) -> None:
            result.result()

        def fetch(result: Future[None]) -> int:
            wait(result)
            return 0

        lying = timing.unfinished(step, lambda result: None, fetch)
        honest = timing.unfinished(step, wait, fetch)
    most = timing.MOST_UNFINISHED
    return [
        Figure("a sync that does nothing: work left after it", lying, least=most),
        Figure("a sync that waits: work left after it", honest, most=most),
    ]
