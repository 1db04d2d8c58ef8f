"""`make gpu-check`: is this GPU measured right? Then measure it, and carry the run home.

For a machine that has a GPU and no network, with whatever frameworks its Python has. Every
check and block is held against the float64 reference on the device, PyTorch's operations
are timed by ours and by its own timer, and the suite `quick` runs. A failure stops nothing:
all of it is told at the end, and in the exit status.

    python3 -m harness.gpu_check --device cuda     # or cpu, for a trial
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from adapters.core.cost import declare
from harness import environments, inventory, machine, oracle, plan
from harness.agreement import ratios
from harness.errors import Wrong
from harness.launch import Launcher, attempt
from harness.plan import PlannedComparison, PlannedContender
from harness.processes import ROOT
from harness.suite import Comparison, Suite
from suites import catalogue
from suites.workload import Workload

WITHIN = 0.02  # of torch.utils.benchmark
PATIENCE = 300.0
RUN = "gpu-check"
BUDGET = "5m"

Failures = list[str]


def parity(device: str) -> Failures:
    """Every check workload and block, inference and training, in float32, on each framework.

    Each adapter in its default variant: compiling everything twice would take the hour.
    """
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
        planned = _plan(device)
        count = machine.threads()
        cpus = sorted(machine.cpu_set(count))
        launcher = Launcher(Path(folder), device, True, count, cpus, as_shipped=False)
        try:
            answers = _answers(launcher, planned.comparisons)
            return [
                failure
                for contender in planned.contenders
                if contender.variant == "" and contender.computes and contender.copy == 1
                for failure in _hold(launcher, contender, planned.comparisons, answers)
            ]
        finally:
            launcher.kill_all()


def _plan(device: str) -> plan.Plan:
    rows = inventory.contenders(device, current=True)
    for row in rows:
        state = row["version"] or "here" if row["available"] else f"absent: {row['reason']}"
        print(f"  {row['name']:18} {state}")
    usable = [inventory.parse(row["name"]) for row in rows if row["available"] and row["computes"]]
    if not usable:
        raise Wrong("this Python has no framework that Bakeoff knows; PYTHON= names another")
    asked = [
        Comparison(workload.name, min(workload.batch, 4), direction=direction)
        for workload in catalogue.load().values()
        if workload.kind in ("check", "block")
        for direction in ("infer", _backward(workload))
    ]
    suite = Suite("parity", "Parity", "", "10m", (), tuple(asked))
    return plan.make(
        run="parity",
        command="",
        suite=suite,
        comparisons=asked,
        contenders=usable,
        absent=[],
        device=device,
        budget=600.0,
        explicit=True,
        settings={},
        versions={},
    )[0]


def _backward(workload: Workload) -> str:
    """A training step, whose momentum is the gradient; where nothing is trained, the gradient."""
    return "train" if any(p.trained for p in declare(workload).values()) else "fwd_bwd"


def _answers(launcher: Launcher, comparisons: list[PlannedComparison]) -> dict[str, Path]:
    """The reference's answer to each, from one process."""
    worker = launcher.start_reference("reference")
    oracle.open_reference(worker, launcher.threads)
    answers = {}
    for number, comparison in enumerate(comparisons):
        asked = oracle.question(comparison)
        path = launcher.folder / f"answer-{number}.npz"
        oracle.load(worker, comparison, PATIENCE, batch=asked.batch, rows=asked.rows)
        worker.ask("first", PATIENCE)
        worker.ask("answer", path=str(path), rows=asked.rows, precision="float32")
        answers[comparison.id] = path
    launcher.close(worker)
    return answers


def _hold(
    launcher: Launcher,
    contender: PlannedContender,
    comparisons: list[PlannedComparison],
    answers: dict[str, Path],
) -> Failures:
    """One framework against the answers; what it does not support is said, and no failure."""
    begin = time.monotonic()
    worker = launcher.start(contender, contender.name, contender.name)
    _, failure = attempt(lambda: launcher.open(worker, contender, "float32"))
    if failure is not None:
        launcher.close(worker)
        if failure.status == "unsupported":
            print(f"  {contender.name}: unsupported: {failure}")
            return []
        return [f"{contender.name}: {failure.status}: {failure}"]
    failures, right, unsupported = [], 0, 0
    for comparison in comparisons:

        def check(comparison: PlannedComparison = comparison) -> dict[str, object]:
            oracle.load(worker, comparison, PATIENCE)
            worker.ask("first", PATIENCE)
            found = oracle.verify(worker, comparison, answers[comparison.id], PATIENCE)
            worker.ask("unload", PATIENCE)
            return found

        _, failure = attempt(check)
        if failure is None:
            right += 1
        elif failure.status == "unsupported":
            unsupported += 1
        else:
            failures.append(f"{contender.name}, {comparison.id}: {failure.status}: {failure}")
            if worker.dead is not None:
                break
    launcher.close(worker)
    took = time.monotonic() - begin
    print(
        f"  {contender.name}: {right} of {len(comparisons)} right, {len(failures)} not, "
        f"{unsupported} unsupported, in {took:.0f} s"
    )
    return failures


def agreement(device: str) -> Failures:
    """Our clock against PyTorch's own, where there is PyTorch."""
    if importlib.util.find_spec("torch") is None:
        print("  not checked: there is no PyTorch here")
        return []
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
        try:
            found = ratios("torch_agreement", sys.executable, device, Path(folder))
        except Wrong as wrong:
            return [str(wrong)]
    failures = []
    for operation, ratio in found["clock"].items():
        beside = found["adapter"][operation]
        print(f"  {operation:12} ours over theirs {ratio:.4f}; adapter over bare {beside:.4f}")
        if abs(ratio - 1) > WITHIN:
            failures.append(f"{operation}: ours over torch.utils.benchmark is {ratio:.4f}")
    return failures


def measure(device: str) -> Failures:
    """The suite `quick`, to a run that can be carried home."""
    name = _free_name()
    command = [sys.executable, "-m", "harness.cli", "run", "--suite", "quick", "--budget", BUDGET]
    command += ["--device", device, "--python", "current", "--run-id", name]
    status = subprocess.run(command, cwd=ROOT).returncode
    if status:
        return [f"bakeoff run ended with exit status {status}"]
    print(f"  carry results/{name} home; there, `bakeoff report {name}` writes its page")
    return []


def _free_name() -> str:
    number = 1
    while (ROOT / "results" / (name := RUN if number == 1 else f"{RUN}-{number}")).exists():
        number += 1
    return name


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m harness.gpu_check")
    parser.add_argument("--device", default=environments.default_device(), help="cuda, cuda:N, cpu")
    device = parser.parse_args(arguments).device
    device = "cuda:0" if device == "cuda" else device
    if device not in machine.devices():
        known = ", ".join(machine.devices())
        print(f"device '{device}': this machine has {known}", file=sys.stderr)
        return 2
    failures: Failures = []
    for title, part in (
        ("Parity with the float64 reference", parity),
        ("Agreement with torch.utils.benchmark", agreement),
        ("The suite quick", measure),
    ):
        print(f"{title}, on {device}", flush=True)
        begin = time.monotonic()
        try:
            failures += part(device)
        except Wrong as wrong:
            print(wrong, file=sys.stderr)
            return 2
        print(f"  {time.monotonic() - begin:.0f} s", flush=True)
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    print("Everything agrees." if not failures else f"{len(failures)} failed.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
