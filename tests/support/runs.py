"""Real runs of small suites, for tests: of the numpy adapter, and those of tests/fakes."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from harness.paths import ROOT
from harness.record import records
from reports.analysis import Analysis
from reports.verdicts import analyse

FAKES = ROOT / "tests" / "fakes"
Start = Callable[..., subprocess.Popen[str]]  # the fixture `bakeoff`


def suite_of(folder: Path, *tables: str, name: str = "mine") -> str:
    path = folder / f"{name}.toml"
    path.write_text(
        'title = "Mine"\nbudget = "5m"\n' + "".join(f"[[compare]]\n{t}\n" for t in tables)
    )
    return str(path)


RELU = 'workload = "relu_16x32x32"\nbatch = 2'
NET = 'workload = "lenet5"\nbatch = 4'
TRAIN = 'workload = "lenet5"\nbatch = 4\ndirection = "train"'


def measured(
    bakeoff: Start, folder: Path, suite: str, contenders: str, *more: str, launches: int = 6
) -> Analysis:
    arguments = ["run", "--suite", suite, "--contenders", contenders, "--python", "current"]
    arguments += ["--run-id", "r", "--no-page", "--launches", str(launches), *more]
    process = bakeoff(*arguments)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return analyse(records.read(folder / "r"))
