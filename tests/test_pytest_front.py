"""`pytest suites/` is pytest-benchmark as people know it, and nothing unverified is timed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import machine
from harness.environments import ROOT

SUITE = """
[[compare]]
workload = "resnet20"
batch = 2

[[compare]]
workload = "threelayer"
batch = 2
direction = "train"
"""


def front(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs `pytest suites/` on NumPy, the framework that every interpreter of ours has."""
    suite = tmp_path / "mine.toml"
    suite.write_text(SUITE)
    return pytest_run("suites/", "--suite", str(suite), "-k", "numpy", *options)


def pytest_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    # Not as a child of this pytest: benchmarks are off where tests run two at a time.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_each_cell_is_a_benchmark_with_its_manifest(tmp_path: Path) -> None:
    written = tmp_path / "out.json"
    result = front(tmp_path, "--benchmark-only", f"--benchmark-json={written}")
    assert result.returncode == 0, result.stdout
    benchmarks = {each["name"]: each for each in json.loads(written.read_text())["benchmarks"]}
    names = {
        "test_workload[numpy-resnet20/b2/infer]",
        "test_workload[numpy-threelayer/b2/train]",
    }
    assert names <= set(benchmarks)
    for name in names:
        each = benchmarks[name]
        assert each["stats"]["median"] > 0
        assert each["extra_info"]["manifest"]
        assert each["extra_info"]["oracle"]["checked"]


def test_with_benchmarks_disabled_it_is_a_conformance_test(tmp_path: Path) -> None:
    result = front(tmp_path, "--benchmark-disable")
    assert result.returncode == 0, result.stdout
    assert "2 passed" in result.stdout


def test_of_what_the_reference_cannot_follow_two_are_verified(tmp_path: Path) -> None:
    """As in a run; here its reach is cut down to nothing."""
    (tmp_path / "short_reach.py").write_text(
        "from harness import oracle\noracle.MOST_FLOPS = 1.0\n"
    )
    written = tmp_path / "out.json"
    suite = tmp_path / "large.toml"
    suite.write_text('[[compare]]\nworkload = "threelayer"\nbatch = 5\ndirection = "train"\n')
    options = ["--suite", str(suite), "-k", "numpy", "--benchmark-only"]
    options += ["-p", "short_reach", "-o", f"pythonpath={ROOT} {tmp_path}"]
    result = pytest_run("suites/", *options, f"--benchmark-json={written}")
    assert result.returncode == 0, result.stdout
    [told] = json.loads(written.read_text())["benchmarks"]
    assert (told["extra_info"]["batch"], told["extra_info"]["oracle"]["batch"]) == (5, 2)


def test_a_plain_pytest_collects_no_benchmark() -> None:
    listed = pytest_run("--collect-only", "-q").stdout
    assert "suites/test_workloads.py" not in listed
    assert "test_pytest_front.py" in listed


@pytest.mark.parametrize(("option", "value"), [("--suite", "no-such-suite"), ("--device", "tpu")])
def test_a_wrong_option_is_refused_in_one_line(option: str, value: str) -> None:
    result = pytest_run("suites/", option, value)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert value in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_numpy_has_the_threads_that_its_manifest_says() -> None:
    """OpenBLAS counts logical processors unless it is told otherwise before it is imported."""
    code = (
        "import suites.conftest, ctypes, numpy, pathlib; from harness import machine;"
        "[blas] = (pathlib.Path(numpy.__file__).parents[1] / 'numpy.libs').glob('*openblas*');"
        "count = ctypes.CDLL(str(blas)).scipy_openblas_get_num_threads64_();"
        "assert count == machine.threads(), (count, machine.threads())"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(machine.threads() + 1)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
