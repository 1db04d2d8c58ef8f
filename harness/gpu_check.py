"""`make gpu-check`: is this GPU measured right? Then measure it, and carry the run home.

For a machine that has a GPU and no network, with whatever frameworks its Python has. Every
check and block is held against the float64 reference on the device, PyTorch's operations
are timed by ours and by its own timer, and the suite `quick` runs. A failure stops nothing:
it is told at once, again at the end, and in the exit status.

    python3 -m harness.gpu_check --device cuda     # or cpu, for a trial
    python3 -m harness.gpu_check --only suite --contenders torch,torch:compile --budget 20m
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

NEEDS = ("numpy", "scipy", "msgspec", "typer", "rich", "psutil")
ABSENT = [name for name in NEEDS if importlib.util.find_spec(name) is None]


def lacks(names: str) -> str:
    return (
        f"gpu-check needs {names}, which {sys.executable} lacks: carry wheels here "
        "(pip download), or name another Python with PYTHON="
    )


if ABSENT:
    print(lacks(", ".join(ABSENT)), file=sys.stderr)
    sys.exit(2)

from harness import conformance, environments, gpus, inventory, machine  # noqa: E402
from harness.agreement import ratios  # noqa: E402
from harness.commands.common import results  # noqa: E402
from harness.errors import Wrong  # noqa: E402
from harness.paths import ROOT  # noqa: E402

WITHIN = 0.02  # of torch.utils.benchmark
RUN = "gpu-check"
BUDGET = "4m"

Failures = list[str]


@dataclass(frozen=True)
class Asked:
    """What is to be checked: by whom, where, and how long the suite may take."""

    device: str
    contenders: list[str]
    budget: str


def usual(device: str) -> list[str]:
    """Each framework that is here, in its default variant: all of them would take the hour.

    Raises Wrong where there is none.
    """
    rows = inventory.contenders(device, current=True)
    for row in rows:
        state = row["version"] or "here" if row["available"] else f"absent: {row['reason']}"
        print(f"  {row['name']:18} {state}")
    usable = [row for row in rows if row["available"] and row["computes"] and not row["of"]]
    if not usable:
        raise Wrong("this Python has no framework that Bakeoff knows; PYTHON= names another")
    return [row["name"] for row in usable if not row["variant"]]


def parity(asked: Asked) -> Failures:
    """Everything of `bakeoff check`, in float32; one failure stops nothing."""
    return [f for name in asked.contenders for f in _hold(inventory.parse(name), asked.device)]


def _hold(contender: inventory.Contender, device: str) -> Failures:
    """One framework through every step; what it does not support is said, and no failure."""
    begin = time.monotonic()
    failures, right, unsupported = [], 0, 0
    with conformance.Check(contender, device, "float32", current=True) as check:
        for step in check.steps():
            try:
                finding = step.run()
            except conformance.Refused as refused:
                print(f"  {contender.name}: unsupported: {refused}")
                return []
            if finding is None:
                right += 1
            elif finding.unsupported:
                unsupported += 1
            else:
                failures.append(f"{contender.name}, {finding.case}: {finding.what}")
                print(f"  FAILED {failures[-1]}", flush=True)
                for line in filter(None, (finding.evidence, finding.cause, *check.printed())):
                    print(f"    {line}", flush=True)
                if step.stage == "the file":  # it does not even open: nothing else can be right
                    break
    took = time.monotonic() - begin
    print(
        f"  {contender.name}: {right} right, {len(failures)} not, "
        f"{unsupported} unsupported, in {took:.0f} s",
        flush=True,
    )
    return failures


def agreement(asked: Asked) -> Failures:
    """Our clock against PyTorch's own, where there is PyTorch."""
    if importlib.util.find_spec("torch") is None:
        print("  not checked: there is no PyTorch here")
        return []
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
        try:
            found = ratios("torch_agreement", sys.executable, asked.device, Path(folder))
        except Wrong as wrong:
            return [str(wrong)]
    failures = []
    for operation, ratio in found["clock"].items():
        beside = found["adapter"][operation]
        print(f"  {operation:12} ours over theirs {ratio:.4f}; adapter over bare {beside:.4f}")
        if abs(ratio - 1) > WITHIN:
            failures.append(f"{operation}: ours over torch.utils.benchmark is {ratio:.4f}")
    return failures


def measure(asked: Asked) -> Failures:
    """The suite `quick`, to a run that can be carried home."""
    name = _free_name()
    command = [sys.executable, "-m", "harness.cli", "run", "--suite", "quick"]
    command += ["--budget", asked.budget, "--contenders", ",".join(asked.contenders)]
    command += ["--device", asked.device, "--python", "current", "--run-id", name]
    status = subprocess.run(command, cwd=ROOT).returncode
    if status:
        return [f"bakeoff run ended with exit status {status}"]
    print(f"  carry {results() / name} home; there, `bakeoff report {name}` writes its page")
    return []


def _free_name() -> str:
    number = 1
    while (results() / (name := RUN if number == 1 else f"{RUN}-{number}")).exists():
        number += 1
    return name


PARTS = {  # by the word that --only knows: a title, and the part
    "parity": ("Parity with the float64 reference", parity),
    "agreement": ("Agreement with torch.utils.benchmark", agreement),
    "suite": ("The suite quick", measure),
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m harness.gpu_check")
    parser.add_argument("--device", default=environments.default_device(), help="cuda, cuda:N, cpu")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--contenders", default="", help="default: each framework, as it comes")
    parser.add_argument("--budget", default=BUDGET, help=f"of the suite, default {BUDGET}")
    given = parser.parse_args(arguments)
    device = "cuda:0" if given.device == "cuda" else given.device
    parts = given.only.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        print(f"--only {unknown[0]}: expected some of {', '.join(PARTS)}", file=sys.stderr)
        return 2
    if device.startswith("cuda") and importlib.util.find_spec("pynvml") is None:
        print(lacks("nvidia-ml-py"), file=sys.stderr)
        return 2
    if device not in machine.devices():
        known = ", ".join(machine.devices())
        print(f"device '{device}': this machine has {known}{gpus.unseen()}", file=sys.stderr)
        return 2
    failures: Failures = []
    try:
        contenders = given.contenders.split(",") if given.contenders else usual(device)
        for title, part in (PARTS[each] for each in parts):
            print(f"{title}, on {device}", flush=True)
            begin = time.monotonic()
            failures += part(Asked(device, contenders, given.budget))
            print(f"  {time.monotonic() - begin:.0f} s", flush=True)
    except Wrong as wrong:
        print(wrong, file=sys.stderr)
        return 2
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    print("Everything agrees." if not failures else f"{len(failures)} failed.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
