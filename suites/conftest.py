"""The pytest front: cells of a suite as pytest-benchmark tests, in this interpreter.

It is the one file of this folder that knows the harness. A contender takes part where its
framework can be imported here. Cells of one comparison come one after the other and share
the reference's answer, which is computed once. A shell's variables for libraries count for
nothing, as in a run; but the allocator is as shipped: this process has begun by then.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest

from harness.host import machine

# Libraries read these when they are imported, NumPy's BLAS next: what no worker is given goes, and
# of threads there are as many as everybody has.
given = machine.handed_on() | machine.thread_environment(machine.threads())
for name in machine.left_out():
    del os.environ[name]
os.environ.update(given)

import numpy as np

from adapters.core import discovery
from adapters.core.base import Adapter, Unsupported
from adapters.core.cost import cost
from adapters.core.reference import Reference
from harness.errors import Wrong
from harness.plan import suite
from harness.plan.inventory import Contender
from harness.plan.suite import Comparison
from harness.run import oracle
from harness.worker import timing, verify
from harness.worker.cell import Cell
from suites import catalogue

WARM_UP_SECONDS = 3.0
TRAINING_SECONDS = 2.0


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bakeoff")
    group.addoption("--suite", default="quick", help="a suite's name, or a TOML file's path")
    group.addoption("--device", default="cpu", help="cpu, or cuda:N")


def pytest_configure(config: pytest.Config) -> None:
    """Refuses wrong options; settles what frameworks read when the tests import them."""
    try:
        suite.load(config.getoption("--suite"))
    except (Wrong, catalogue.Broken) as wrong:
        raise pytest.UsageError(str(wrong)) from None
    device = config.getoption("--device")
    if device not in machine.devices():
        raise pytest.UsageError(f"--device {device}: there are {', '.join(machine.devices())}")
    folder = Path(tempfile.mkdtemp(prefix="bakeoff-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ.update(
        machine.worker_environment(device, machine.threads(), folder, as_shipped=True)
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" not in metafunc.fixturenames:
        return
    comparisons = suite.load(metafunc.config.getoption("--suite")).comparisons
    device = metafunc.config.getoption("--device")
    pairs = [(contender, each) for each in comparisons for contender in _contenders(device)]
    names = [f"{contender.name}-{_short(each)}" for contender, each in pairs]
    cells = [FrontCell(contender, each, device) for contender, each in pairs]
    metafunc.parametrize("cell", cells, ids=names, indirect=True)


@pytest.fixture
def cell(request: pytest.FixtureRequest) -> Iterator["FrontCell"]:
    """A cell that is loaded; a contender that cannot run it skips, with its reason."""
    made: FrontCell = request.param
    try:
        made.load()
        yield made
    except Unsupported as reason:
        pytest.skip(str(reason))
    finally:
        made.unload()


@dataclass(eq=False)
class FrontCell:
    """One contender in one comparison."""

    contender: Contender
    comparison: Comparison
    device: str
    cell: Cell | None = None

    def load(self, batch: int | None = None) -> None:
        """batch: another than the comparison's."""
        self.adapter = _adapter(self.contender, self.device, self.comparison.precision)
        self.adapter.settle()  # another one was the last to be used
        asked = self.comparison
        self.cell = Cell(self.adapter, _workload(asked), batch or asked.batch, asked.direction)
        self.cell.build()

    def unload(self) -> None:
        self.cell = None
        if hasattr(self, "adapter"):
            self.adapter.reset()

    def verified(self) -> dict[str, Any]:
        """Makes the first call and holds it against the reference -> what ran, and how far off.

        Of a training past the reference's reach a batch of two is verified in its place.
        """
        asked = _question(self.comparison)
        if not asked.whole:
            self.unload()
            self.load(asked.batch)
        assert self.cell is not None
        result = self.cell.step()
        self.cell.sync(result)
        found = verify.compare(
            self.cell.answer(result, asked.rows),
            _expected(self.comparison),
            self.adapter.precision,
            device=self.adapter.device,
            reduction=self.cell.reduction,
        )
        assert found.ok, f"{self.contender.name} computes something else: {found.reason}"
        if not asked.whole:
            self.unload()
            self.load()
            self.cell.sync(self.cell.step())
        return {
            "contender": self.contender.name,
            "workload": self.comparison.workload,
            "batch": self.comparison.batch,
            "direction": self.comparison.direction,
            "precision": self.comparison.precision,
            "manifest": self.adapter.manifest(),
            "oracle": {**found.as_dict(asked.rows), "batch": asked.batch},
        }

    def measure(self, benchmark: Any) -> None:
        """A call and its wait, timed by pytest-benchmark; a training starts from its start."""
        assert self.cell is not None
        step, sync, restore = self.cell.step, self.cell.sync, self.cell.restore

        def call() -> None:
            sync(step())

        def begin() -> None:
            """The copies of the start state may only be queued: a call that nobody times waits."""
            restore()
            call()

        restore()
        rounds = 1
        if benchmark.enabled:
            warm = timing.warm_up(step, sync, WARM_UP_SECONDS)
            benchmark.extra_info["steady"] = warm["steady"]
            rounds = max(5, min(100, int(TRAINING_SECONDS / warm["call"])))
        if self.comparison.direction == "train":  # the same step twice is not the same work
            benchmark.pedantic(call, setup=begin, rounds=rounds)
        else:
            benchmark(call)
        assert self.cell.finite(), "the loss is no longer finite"


def _short(comparison: Comparison) -> str:
    """`resnet18@112/b4/train`: a comparison's id, less its device and float32."""
    parts = comparison.id.split("/")
    return "/".join(parts[:3] if comparison.precision == "float32" else parts[:4])


def _workload(comparison: Comparison) -> Any:
    return catalogue.get(comparison.workload).resized(comparison.size)


def _question(comparison: Comparison) -> oracle.Question:
    """What is verified of it, as a run has it."""
    batch, direction = comparison.batch, comparison.direction
    return oracle.asked_of(batch, direction, cost(_workload(comparison), batch, direction))


@cache
def _contenders(device: str) -> list[Contender]:
    """Every variant of every adapter that this interpreter can import; it must compute."""
    found = []
    for name in discovery.names():
        try:
            kind = discovery.adapter_class(name)
        except Exception:  # `bakeoff list` shows why; the others are measured
            continue
        if kind.computes:
            usual = [v for v, entry in kind.variants.items() if entry.joins_on(device)]
            found += [Contender(name, variant=v) for v in usual if not kind.missing(v)]
    return found


@cache
def _adapter(contender: Contender, device: str, precision: str) -> Adapter:
    """One object for all its cells: a framework settles its threads and device only once."""
    kind = discovery.adapter_class(contender.adapter)
    return kind(contender.variant, device.partition(":")[0], precision, machine.threads())


@lru_cache(maxsize=1)
def _expected(comparison: Comparison) -> dict[str, np.ndarray]:
    """The float64 reference's answer."""
    reference = Reference("", "cpu", "float64", machine.threads())
    asked = _question(comparison)
    workload, direction = _workload(comparison), comparison.direction
    made = Cell(reference, workload, asked.batch, direction, rows=asked.rows)
    made.build()
    return made.answer(made.step(), asked.rows)
