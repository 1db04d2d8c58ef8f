"""The plan: what a run will measure, written down before it starts (`plan.json`).

It is a run's first document; resuming reads it back and measures what is missing of it, on the
same machine, with the same versions and code, or not at all. How it is made: planning.py.
"""

import math
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from harness import disk
from harness.errors import Wrong
from harness.plan import estimate
from harness.stats import readings, sampling
from harness.worker import timing

# The suite of `calibrate` and `prove`, which go on with their runs themselves; it has no file.
ITSELF = "itself"


class Cost(msgspec.Struct):
    """Of one call; see adapters/core/cost.py."""

    flops: float
    bytes: float
    parameters: int
    activations: float
    layers: int


class PlannedContender(msgspec.Struct):
    name: str
    adapter: str
    version: str | None
    variant: str
    copy: int
    summary: str
    computes: bool = True
    trains: bool = True  # False: an inference engine, which takes part in inference alone
    baseline: bool = False  # Bakeoff's own: ranked, and recommended to nobody
    planted: float = 0.0  # a slowdown that is to be found, as a share of each call's own time
    of: str = ""  # the portable contender beside which a native one is shown, and not ranked
    code: str = ""  # a hash of what runs for it, of this project; see code.py


class PlannedComparison(msgspec.Struct):
    id: str
    workload: str
    kind: str
    summary: str
    batch: int
    size: int | None
    input: list[int]
    direction: str
    precision: str
    device: str
    headline: bool
    contenders: list[str]
    cost: Cost
    sustained_s: float = 0.0  # seconds of a block of training without a pause; 0: none
    calls: int = 0  # timed ones that a launch is to hold of each; 0: what its turns come to
    operations: str = ""  # a hash of what the workload asks for; see adapters/core/cost.py
    threads: int = 0  # that each contender has; 0 in old plans: the settings'
    unsupported: dict[str, str] = {}  # who of them can do nothing in it, and why

    @property
    def able(self) -> list[str]:
        """Who is expected to be measured: the others are entered, and shown as unsupported."""
        return [name for name in self.contenders if name not in self.unsupported]

    @property
    def apart_from_threads(self) -> tuple[Any, ...]:
        """The same for those that differ in the number of threads alone."""
        return (
            self.workload,
            self.batch,
            self.size,
            self.direction,
            self.precision,
            self.device,
        )

    @property
    def work(self) -> estimate.Work:
        return estimate.Work(
            self.cost.flops,
            self.cost.bytes,
            self.cost.layers,
            self.direction != "infer",
            self.device,
            self.threads,
        )

    @property
    def latency(self) -> bool:
        """Whether each call is waited for; training is timed by the block."""
        return self.direction == "infer"

    @property
    def least_calls(self) -> int:
        """Calls in a turn at the least, so that `sampling.LEAST_ROUNDS` of them hold `calls`."""
        return timing.holding(math.ceil(self.calls / sampling.LEAST_ROUNDS)) if self.calls else 1

    @property
    def ranked_by(self) -> list[str]:
        return readings.ranked_by(self.direction, self.batch, self.sustained_s > 0)


class NoiseFloor(msgspec.Struct):
    """The contender that is entered twice, and in which comparisons."""

    twin: str
    of: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a run measures, whatever it measures: the same for all its contenders."""

    device: str
    python: str = "own"  # an environment for each contender; or "current", this interpreter
    threads: int  # of every worker; the most, where the run asks several (--threads 1,2)
    cpus: list[int]  # the numbers of those that workers are pinned to; to the first, with fewer
    allocator: str = "tuned"  # or "as-shipped"
    warmup_limit_s: float
    launches: int | None = None  # so many of each comparison; None: as many as it takes
    named: bool = False  # the user chose the workloads: none is left out for want of time


class Plan(msgspec.Struct):
    schema: int
    run: str
    created: str
    command: str
    suite: dict[str, str]
    settings: Settings
    budget_s: float
    fingerprint: dict[str, str]
    contenders: list[PlannedContender]
    absent: list[dict[str, str]]  # asked for, or known, but not runnable here: name, reason
    noise_floor: NoiseFloor | None
    comparisons: list[PlannedComparison]
    left_out: list[dict[str, str]]  # comparison, reason

    @property
    def itself(self) -> bool:
        """Whether `calibrate` or `prove` made it; a file may have that name, too."""
        return self.suite["name"] == ITSELF and not self.suite.get("path")

    @property
    def twin(self) -> tuple[str, str] | None:
        """The noise floor's, and whose it is: it is nobody's rival."""
        return (self.noise_floor.twin, self.noise_floor.of) if self.noise_floor else None

    @property
    def natives(self) -> dict[str, str]:
        """A framework's own models -> the portable contender beside which each is shown."""
        return {c.name: c.of for c in self.contenders if c.of}

    @property
    def rivals(self) -> list[PlannedContender]:
        """Those that may be ahead of one another."""
        twin = self.noise_floor.twin if self.noise_floor else None
        return [c for c in self.contenders if c.computes and not c.of and c.name != twin]

    @property
    def recommended(self) -> list[PlannedContender]:
        """Those of them that may be chosen for a use: not Bakeoff's own, unless all are."""
        return [c for c in self.rivals if not c.baseline] or self.rivals

    @property
    def own(self) -> set[str]:
        """Who may be ahead in a comparison, and is chosen for no use."""
        return {c.name for c in self.rivals} - {c.name for c in self.recommended}


def together(comparisons: list[PlannedComparison]) -> list[list[PlannedComparison]]:
    """In their order, those as one that differ in the number of threads alone: what one of them is
    given or leaves out, all are. Else the work would be ranked by one figure on two threads and by
    another on one, or be there on one alone, beside nothing."""
    found: dict[tuple[Any, ...], list[PlannedComparison]] = {}
    for comparison in comparisons:
        found.setdefault(comparison.apart_from_threads, []).append(comparison)
    return [*found.values()]


def original(name: str) -> str:
    """`torch#2` -> `torch`: what it is another entry of."""
    return name.partition("#")[0]


def check_run_name(name: str) -> str:
    """Raises Wrong for a name that is not one plain folder."""
    if name == "published":
        raise Wrong("run name 'published': the published runs lie there; choose another --run-id")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise Wrong(
            f"run name '{name}': expected letters, digits, '.', '_' and '-' "
            "(at most 100, beginning with a letter or digit); choose another --run-id"
        )
    return name


def write(plan: Plan, folder: Path) -> None:
    text = msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n"
    disk.write_whole(folder / "plan.json", text)


def begin(plan: Plan, folder: Path) -> None:
    """Makes a run's folder, with its plan in it; where that cannot be, the folder is gone again."""
    folder.mkdir(parents=True)
    try:
        write(plan, folder)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        reason = error.strerror or error
        raise Wrong(f"{folder} cannot be begun: {reason}; mend that, and start again") from None


def read(folder: Path) -> Plan:
    """Raises Wrong for a plan that is missing, torn, or another version's."""
    path = folder / "plan.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except FileNotFoundError:
        raise Wrong(f"{folder} is not a run: it has no plan.json") from None
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise Wrong(f"{path} cannot be read: {error}") from None


def command_line() -> str:
    """The command as typed, for the record."""
    import shlex

    return "bakeoff " + shlex.join(sys.argv[1:])
