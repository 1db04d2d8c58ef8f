"""`pytest suites/` is pytest-benchmark as people know it, and nothing unverified is timed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.host import machine
from harness.install.environments import ROOT
from tests.support import inside

SUITE = """
[[compare]]
workload = "resnet20"
batch = 2

[[compare]]
workload = "threelayer"
batch = 2
direction = "train"

[[compare]]
workload = "threelayer"
batch = 2
precision = "float64"
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
        "test_workload[numpy-threelayer/b2/infer/float64]",
    }
    assert names <= set(benchmarks)
    for name in names:
        each = benchmarks[name]
        assert each["stats"]["median"] > 0
        assert each["extra_info"]["manifest"]
        assert each["extra_info"]["precision"] == ("float64" if "64]" in name else "float32")
        assert each["extra_info"]["oracle"]["checked"]


def test_with_benchmarks_disabled_it_is_a_conformance_test(tmp_path: Path) -> None:
    result = front(tmp_path, "--benchmark-disable")
    assert result.returncode == 0, result.stdout
    assert "3 passed" in result.stdout


def test_of_what_the_reference_cannot_follow_two_are_verified(tmp_path: Path) -> None:
    """As in a run; here its reach is cut down to nothing."""
    (tmp_path / "short_reach.py").write_text(
        "from harness.run import oracle\noracle.MOST_FLOPS = 1.0\n"
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


# NumPy with a switch that is the whole process's, as TF32 is, or JAX's float64.
SWITCHED = """
from adapters.numpy import NumPy

now, infer = [], NumPy.infer

def settle(self):
    now[:] = [self.precision]

def switched(self, workload):
    call = infer(self, workload)

    def checked(params, x):
        assert now == [self.precision], f"{self.precision} where {now} is switched on"
        return call(params, x)

    return checked

NumPy.settle, NumPy.infer = settle, switched
"""


def test_cells_of_several_precisions_do_not_change_each_other_s_switches(tmp_path: Path) -> None:
    """Their adapters live side by side, and each is used again after the other."""
    (tmp_path / "switched.py").write_text(SWITCHED)
    suite = tmp_path / "mine.toml"
    suite.write_text(
        "".join(
            f'[[compare]]\nworkload = "{workload}"\nbatch = 2\nprecision = "{precision}"\n'
            for workload in ("lenet5", "resnet20")
            for precision in ("float64", "float32")
        )
    )
    options = ["--suite", str(suite), "-k", "numpy", "--benchmark-disable"]
    options += ["-p", "switched", "-o", f"pythonpath={ROOT} {tmp_path}"]
    result = pytest_run("suites/", *options)
    assert result.returncode == 0 and "4 passed" in result.stdout, result.stdout


# Two objects of one framework in a process; the first is used after the second was made.
SETTLED = """
import numpy as np
from adapters.core import discovery
from adapters.core.reference import Reference
from harness.worker.cell import Cell
from suites import catalogue

kind = discovery.adapter_class("{name}")
first, second = (kind("", "cpu", precision, 1) for precision in ("float64", "float32"))
answers = []
for adapter in (first, second, first, Reference()):
    adapter.settle()
    cell = Cell(adapter, catalogue.get("check_conv3x3"), 2, "infer")
    cell.build()
    answers.append(cell.answer(cell.step())["output"])
*found, expected = answers
print(*(np.abs(each - expected).max() / np.abs(expected).max() < 1e-11 for each in found))
"""


@pytest.mark.parametrize("name", ["jax", "torch", "tensorflow"])
def test_a_framework_s_switches_are_set_anew_for_another_precision(name: str) -> None:
    assert inside.run(name, SETTLED.format(name=name)) == "True False True\n"


def test_torch_is_told_anew_whether_it_may_use_tf32() -> None:
    """And its two ways of saying so never disagree, which it refuses to answer."""
    code = (
        "from adapters.torch import Torch\n"
        "strict, loose = (Torch('', 'cpu', 'float32', 1) for _ in range(2))\n"
        "strict.device, loose.device, loose.precision = 'cuda', 'cuda', 'tf32'\n"
        "for each in (loose, strict, loose, strict):\n"
        "    each.settle()\n"
        "    torch = each.torch\n"
        "    print(torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32,\n"
        "          torch.backends.cuda.matmul.allow_tf32)\n"
    )
    told = inside.run("torch", code).splitlines()
    assert told == ["high True True", "highest False False"] * 2


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


def test_a_broken_file_of_workloads_is_told_in_one_line() -> None:
    code = (
        "import pytest, types\n"
        "import suites.conftest as front\n"
        "from suites import catalogue\n"
        "def load(name): raise catalogue.Broken('suites/odd.py, line 1: NameError')\n"
        "front.suite.load = load\n"
        "try: front.pytest_configure(types.SimpleNamespace(getoption=lambda _: 'quick'))\n"
        "except pytest.UsageError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == "suites/odd.py, line 1: NameError\n", result.stderr


def test_numpy_has_the_threads_that_its_manifest_says() -> None:
    """OpenBLAS counts logical processors unless it is told otherwise before it is imported."""
    code = (
        "import suites.conftest, ctypes, numpy, pathlib; from harness.host import machine;"
        "[blas] = (pathlib.Path(numpy.__file__).parents[1] / 'numpy.libs').glob('*openblas*');"
        "count = ctypes.CDLL(str(blas)).scipy_openblas_get_num_threads64_();"
        "assert count == machine.threads(), (count, machine.threads())"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(machine.threads() + 1)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_what_a_shell_tells_libraries_is_gone_before_numpy_is_there() -> None:
    """But for where CUDA's tools are, as in a run."""
    told = {"OPENBLAS_CORETYPE": "Haswell", "OMP_WAIT_POLICY": "PASSIVE"}
    where = "--xla_gpu_cuda_data_dir=/opt/cuda"
    told["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=false {where}"
    code = (
        "import os, sys; found = {}\n"
        "class Asked:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'numpy': found.update(os.environ)\n"
        "sys.meta_path.insert(0, Asked()); import suites.conftest\n"
        f"print([found.get(name) for name in {[*told]}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | told,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{[None, None, where]}\n", done.stderr
