"""Suites: which workloads, at which sizes, in which directions. TOML, checked strictly.

    title = "Quick"
    summary = "Ten comparisons in under ten minutes"
    budget = "10m"
    contenders = ["torch", "jax"]    # unless --contenders says; default: as of a plain run
    sustained = "20s"                # on a GPU: headline trainings also in blocks so long
    calls = 100                      # of one image, in every launch: what a p99 takes
    calls_share = 0.25               # if they take no more of the budget, by estimate
    warm_up = "3s"                   # before a contender's first turn, at most; default: 30s

    [[compare]]
    workload = "resnet18"            # a name, or a glob
    batch = [1, 32]                  # default: the workload's own
    size = 112                       # square images of so many pixels; default: its own
    direction = ["infer", "train"]   # default: infer
    precision = "float32"            # or float64, tf32, bfloat16, float16
    headline = true                  # takes part in the cold pass, too

Lists multiply. A wrong key or value is refused in one line that names it.
"""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from adapters.core import cost
from harness import toml
from harness.errors import Wrong, in_words
from harness.plan import inventory
from harness.stats import sampling
from harness.worker import timing
from suites import catalogue

FOLDER = Path(catalogue.__file__).parent

# In so many rounds as a launch is sure to have, of the longest turns.
MOST_CALLS = sampling.LEAST_ROUNDS * (timing.MOST_CALLS - timing.MOST_DROPPED)
Direction = Literal["infer", "fwd_bwd", "train"]
Precision = Literal["float32", "float64", "tf32", "bfloat16", "float16"]


class Comparison(msgspec.Struct, frozen=True):
    """All cells that differ in the contender alone. `batch` is at least 1."""

    workload: str
    batch: int
    size: int | None = None
    direction: str = "infer"
    precision: str = "float32"
    threads: int = 0  # 0: as many as the run has; else it has several, and each tells
    device: str = "cpu"
    headline: bool = False

    @property
    def id(self) -> str:
        size = f"@{self.size}" if self.size else ""
        parts = (f"{self.workload}{size}", f"b{self.batch}", self.direction)
        threads = (f"{self.threads}t",) if self.threads else ()
        return "/".join((*parts, self.precision, *threads, self.device))


class Suite(msgspec.Struct, frozen=True):
    """A suite, expanded: one entry a comparison, in the order of the file.

    `path` is that of a file of the user's own, as it was given; "" for one that comes along.
    """

    name: str
    title: str
    summary: str
    budget: str
    contenders: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    sustained: str = ""
    calls: int = 0
    calls_share: float | None = None  # None: they are held, whatever they take
    warm_up: str = "30s"
    path: str = ""

    @property
    def called(self) -> str:
        """As a person named it, for what is said of it."""
        return self.path or self.name


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    examples: ClassVar = {"workload": 'workload = "resnet18"'}
    workload: str
    batch: int | list[int] | None = None
    size: int | None = None
    direction: Direction | list[Direction] = "infer"
    precision: Precision | list[Precision] = "float32"
    headline: bool = False


class _File(msgspec.Struct, forbid_unknown_fields=True):
    examples: ClassVar = {
        "compare": '[[compare]] and below it workload = "resnet18"',
        "budget": 'budget = "10m"',
        "sustained": 'sustained = "20s"',
        "calls": "calls = 100",
        "calls_share": "calls_share = 0.25",
        "warm_up": 'warm_up = "3s"',
    }
    compare: list[_Entry]
    title: str = ""
    summary: str = ""
    budget: str = "10m"
    sustained: str = ""
    calls: int = 0
    calls_share: float | None = None
    warm_up: str = "30s"
    contenders: list[str] | None = None


def names() -> list[str]:
    """The suites that come with Bakeoff."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Suite:
    """A suite by its name, or by the path of a TOML file. Raises Wrong."""
    file = toml.load("suite", name, FOLDER, names(), _File)
    if not file.compare:
        raise Wrong(f"suite '{name}' compares nothing: give it a [[compare]] table")
    if not 0 <= file.calls <= MOST_CALLS:
        raise Wrong(
            f"suite '{name}' has calls = {file.calls}; expected 0 to {MOST_CALLS}, such as 100"
        )
    if file.calls_share is not None and not 0 < file.calls_share <= 1:
        share = f"calls_share = {file.calls_share:g}"
        raise Wrong(f"suite '{name}' has {share}; expected a part of the budget, such as 0.25")
    if file.calls_share is not None and not file.calls:
        raise Wrong(f"suite '{name}' has calls_share and no calls; add calls = 100")
    if file.contenders is not None and name not in names():  # ours are held by tests
        try:
            inventory.parse_list(",".join(file.contenders))
        except Wrong as wrong:
            raise Wrong(f"suite '{name}': contenders: {wrong}") from None
    return Suite(
        name=Path(name).stem,
        title=file.title or Path(name).stem,
        summary=file.summary,
        budget=file.budget,
        contenders=tuple(file.contenders or ()),
        comparisons=unique(c for entry in file.compare for c in _expand(name, entry)),
        sustained=file.sustained,
        calls=file.calls,
        calls_share=file.calls_share,
        warm_up=file.warm_up,
        path="" if name in names() else name,
    )


def unique(comparisons: Iterable[Comparison]) -> tuple[Comparison, ...]:
    """Each once, in their order; what is a headline in one place stays one."""
    found: dict[str, Comparison] = {}
    for made in comparisons:
        before = found.get(made.id)
        found[made.id] = before if before and before.headline else made
    return tuple(found.values())


def _expand(suite: str, entry: _Entry) -> list[Comparison]:
    """One entry -> its comparisons. Raises Wrong where one could not be measured."""
    known = catalogue.load()
    found = [n for n, w in known.items() if fnmatch(n, entry.workload) and w.kind not in HIDDEN]
    if not found:
        try:
            catalogue.get(entry.workload)
        except KeyError as error:
            raise Wrong(f"suite '{suite}': {error.args[0]}") from None
        raise Wrong(f"suite '{suite}': '{entry.workload}' is for tests, not for ranking")
    made = [
        Comparison(name, batch, entry.size, direction, precision, headline=entry.headline)
        for name in found
        for batch in _many(known[name].batch if entry.batch is None else entry.batch)
        for direction in _many(entry.direction)
        for precision in _many(entry.precision)
    ]
    if not made:
        raise Wrong(f"suite '{suite}': an empty list leaves nothing of '{entry.workload}'")
    for comparison in made:
        check(comparison, f"suite '{suite}'")
    return made


def check(comparison: Comparison, where: str) -> None:
    """Raises Wrong for sizes that cannot be, or a training of nothing."""
    name = comparison.workload
    if comparison.batch < 1:
        raise Wrong(f"{where}: {name} has batch {comparison.batch}; expected 1 or more")
    if comparison.size is not None and comparison.size < 1:
        raise Wrong(f"{where}: {name} has size {comparison.size}; expected 1 pixel or more")
    try:
        workload = catalogue.get(name).resized(comparison.size)
        trained = cost.cost(workload, comparison.batch, comparison.direction).parameters
    except Exception as error:  # a workload is anybody's function
        raise Wrong(f"{where}: {comparison.id} cannot be: {in_words(error)}") from None
    if comparison.direction == "train" and not trained:
        raise Wrong(f"{where}: {name} has no parameters to train; use infer or fwd_bwd")


HIDDEN = ("check", "probe")


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
