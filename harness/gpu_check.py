"""`make gpu-check`: is this GPU measured right? Then measure it, and carry the run home.

For a machine that has a GPU and no network, with whatever frameworks its Python has. Every
check and block is held against the float64 reference on the device, PyTorch's operations
are timed by ours and by its own timer, and three workloads of `quick` run. A failure stops nothing:
it is told at once, again at the end, and in the exit status. All of it ends within a limit,
of which each part has its share, so that there is a run to carry home.

    python3 -m harness.gpu_check --device cuda     # or cpu, for a trial
    python3 -m harness.gpu_check --only suite --suite full --workloads 'conv*' --limit 30m
"""

import argparse
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NEEDS = ("numpy", "scipy", "msgspec", "typer", "rich", "psutil")


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def lacks(names: str) -> str:
    return (
        f"gpu-check needs {names}, which {sys.executable} lacks: carry wheels here "
        "(pip download), or name another Python with PYTHON="
    )


if absent := [name for name in NEEDS if not has(name)]:
    print(lacks(", ".join(absent)), file=sys.stderr)
    sys.exit(2)

from harness import durations  # noqa: E402
from harness.check import faults  # noqa: E402
from harness.check.gpu_parity import LOGS, parity  # noqa: E402
from harness.errors import Wrong, as_interruptions  # noqa: E402
from harness.host import gpus, machine  # noqa: E402
from harness.install import environments  # noqa: E402
from harness.paths import ROOT, results  # noqa: E402
from harness.plan import inventory, question, suite  # noqa: E402
from harness.proof.agreement import Unfinished, ratios  # noqa: E402
from harness.record import documents, records  # noqa: E402
from suites.catalogue import Broken  # noqa: E402

WITHIN = 0.02  # of torch.utils.benchmark
RUN = "gpu-check"
LIMIT = "8m"
# Of the limit, that a part may take at most; the last one has what is left.
SHARES = {"parity": 0.5, "agreement": 0.2}
# Seconds. Between the end of the suite's budget and the limit: for its last launch and verdicts.
AFTER = 50.0
PATIENCE = 20.0  # for a run that is ended, to tell its verdicts
RESERVE = 5.0  # for one that has to be killed, to be gone; and for what is read and told of it
LEAST = 60.0  # no suite is worth starting with less
# Of `quick`, so few that six launches should fit beside the rest (an estimate: no GPU was at hand):
# there each start of a framework, and each network that XLA compiles, takes many seconds.
FEW = "threelayer,conv3x3_64_56,relu_64x56x56"

Failures = list[str]


@dataclass(frozen=True)
class Asked:
    """What is to be checked, by whom and where; and what is to be measured."""

    device: str
    contenders: list[str]
    named: bool  # whether somebody named them
    suite: str
    workloads: str | None
    budget: float  # seconds of the suite, at most


class Told(KeyboardInterrupt):
    """By a scheduler, say: this process alone, where a terminal tells all of them."""


def _told(*_: object) -> None:
    raise Told


def usual(device: str, variants: bool = False) -> list[str]:
    """Each framework that is here, in its default variant: all others would take the hour.

    variants: also those that a plain run takes. Raises Wrong where there is no framework.
    """
    rows = inventory.contenders(device, current=True)
    for row in rows:
        state = row["version"] or "here" if row["available"] else f"absent: {row['reason']}"
        print(f"  {row['name']:18} {state}")
    plain = [
        row["name"]
        for row in rows
        if row["available"]
        and row["computes"]
        and not ((row["variant"] and not variants) or row["of"] or row["named_only"])
    ]
    if not plain:
        raise Wrong("this Python has no framework that Bakeoff knows; PYTHON= names another")
    return plain


def _parity(asked: Asked, seconds: float, failures: Failures) -> None:
    """Every operation, in float32."""
    parity(asked.contenders, asked.device, seconds, failures)


def agreement(asked: Asked, seconds: float, failures: Failures) -> None:
    """Our clock against PyTorch's own."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-") as folder:
        try:
            found = ratios("torch_agreement", sys.executable, asked.device, Path(folder), seconds)
        except Unfinished as early:
            failures.append(str(early))
            found = early.found
    for operation, ratio in found.get("clock", {}).items():
        beside = found["adapter"][operation]
        print(f"  {operation:12} ours over theirs {ratio:.4f}; adapter over bare {beside:.4f}")
        if abs(ratio - 1) > WITHIN:
            failures.append(f"{operation}: ours over torch.utils.benchmark is {ratio:.4f}")


def measure(asked: Asked, seconds: float, failures: Failures) -> None:
    """The suite, to a run that can be carried home; what its records tell of failures counts."""
    budget = min(asked.budget, seconds - AFTER)
    if seconds - AFTER < LEAST:
        why = f"{seconds:.0f} s were left, and {LEAST + AFTER:.0f} are needed"
        failures.append(f"the suite {asked.suite} was not measured: {why}; give a longer --limit")
        return
    folder = results() / _free_name()
    print(f"  {asked.suite}: {asked.workloads or 'all of it'}; {budget:.0f} s", flush=True)
    command = [sys.executable, "-m", "harness.cli", "run", "--suite", asked.suite]
    command += ["--workloads", asked.workloads] if asked.workloads else []
    command += ["--contenders", ",".join(asked.contenders)]
    command += ["--device", asked.device, "--python", "current"]
    command += ["--budget", f"{budget:.0f}s", "--run-id", folder.name]
    try:
        if status := _ended(command, seconds - PATIENCE - RESERVE):
            failures.append(f"bakeoff run ended with exit status {status}")
    except subprocess.TimeoutExpired:
        why = "was not over in its time, and was ended; what it measured is kept"
        failures.append(f"the suite {asked.suite} {why}")
    finally:
        # Of one that was killed: gigabytes, at times, of what compilers made.
        shutil.rmtree(folder / "cache", ignore_errors=True)
        if documents.is_begun(folder):
            run = records.read(folder)
            failures += faults.told(run, asked.named)
            if few := faults.too_few(run):
                print(f"  {few}")
            print(f"  {folder} is many files; to make one of it: {_packing(folder)}")
            print(
                f"  carry {folder.name}.tgz home; there, `tar -C results -xzf {folder.name}.tgz` "
                f"unpacks it, and `bakeoff report {folder.name}` writes its page"
            )


def _packing(folder: Path) -> str:
    """The command that makes one file of a run, and of the logs that parity left beside it."""
    names = [folder.name, *([LOGS] if (folder.parent / LOGS).is_dir() else [])]
    where = shlex.quote(str(folder.parent))
    return f"tar -C {where} --exclude=cache -czf {folder.name}.tgz {' '.join(names)}"


def _free_name() -> str:
    number = 1
    while (results() / (name := RUN if number == 1 else f"{RUN}-{number}")).exists():
        number += 1
    return name


def _ended(command: list[str], seconds: float) -> int:
    """Its exit status. A run that is interrupted, or out of time, may tell its verdicts first.

    Raises TimeoutExpired where it is out of time.
    """
    here = {**os.environ, "BAKEOFF_RESULTS": str(results())}  # of this folder, if it is relative
    child = subprocess.Popen(command, cwd=ROOT, env=here)
    try:
        return child.wait(seconds)
    except (KeyboardInterrupt, subprocess.TimeoutExpired) as why:
        if isinstance(why, (Told, subprocess.TimeoutExpired)):  # a terminal has told it as well
            child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE)
        raise
    finally:
        child.kill()  # does nothing where it has ended
        with suppress(subprocess.TimeoutExpired):  # a driver may not let go of it
            child.wait(RESERVE / 2)


PARTS = {  # by the word that --only knows: a title, and the part
    "parity": ("Parity with the float64 reference", _parity),
    "agreement": ("Agreement with torch.utils.benchmark", agreement),
    "suite": ("The suite", measure),
}


def main(arguments: list[str] | None = None) -> int:
    began = time.monotonic()
    given = _parser().parse_args(arguments)
    failures: Failures = []
    stopped = False
    try:
        parts = _parts(given.only)
        limit = durations.seconds(given.limit, "--limit")
        asked = _asked(given)
        for part in parts:
            title, check = PARTS[part]
            print(f"{title}, on {asked.device}", flush=True)
            begin = time.monotonic()
            left = began + limit - begin
            share = left if part == parts[-1] else min(left, SHARES[part] * limit)
            try:
                check(asked, share, failures)
            except (Wrong, Broken, OSError) as wrong:
                failures.append(str(wrong))
            print(f"  {time.monotonic() - begin:.0f} s", flush=True)
    except Wrong as wrong:
        print(wrong, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        stopped = True
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    if stopped:
        print(f"Interrupted; {len(failures)} failed until then.")
        return 130
    told = f"{len(failures)} failed." if failures else "Everything agrees."
    print(f"{told} Checked: {_scope(asked, parts)}.")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness.gpu_check")
    add = parser.add_argument
    add("--device", default=environments.default_device(), help="cuda, cuda:N, cpu")
    add("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    add(
        "--contenders",
        default="",
        help="default: each framework, as it comes; of full alone also variants",
    )
    add("--limit", default=LIMIT, help=f"all parts end within it; default {LIMIT}")
    add(
        "--suite",
        default="quick",
        help="default quick, of a CPU's sizes: on a GPU most of it tells what a call's dispatch "
        "costs; full has a GPU's sizes",
    )
    add(
        "--workloads",
        help=f"of the suite, by name or glob; '*' for all. Default: all, but of quick {FEW}, six "
        "launches of which should fit",
    )
    add("--budget", help="of the suite, at most; default: what is left of the limit")
    return parser


def _parts(only: str) -> list[str]:
    """In their order: what comes last has the time that the others leave. Raises Wrong."""
    named = only.split(",")
    if unknown := [part for part in named if part not in PARTS]:
        raise Wrong(f"--only {unknown[0]}: expected some of {', '.join(PARTS)}")
    parts = [part for part in PARTS if part in named]
    if "agreement" in parts and not has("torch"):
        print("agreement is not checked: there is no PyTorch here")
        parts.remove("agreement")
    if not parts:
        raise Wrong(f"--only {only}: nothing is left to check")
    return parts


def _asked(given: argparse.Namespace) -> Asked:
    """Raises Wrong for a device or a contender that is not here, or a GPU that they cannot share; a
    suite or workload that is none.

    Now: after parity there would be no time to say it again.
    """
    device = "cuda:0" if given.device == "cuda" else given.device
    if device.startswith("cuda") and not has("pynvml"):
        raise Wrong(lacks("nvidia-ml-py"))
    if device not in machine.devices():
        known = ", ".join(machine.devices())
        raise Wrong(f"device '{device}': this machine has {known}{gpus.unseen()}")
    budget = durations.seconds(given.budget or given.limit, "--budget")
    gpus.refuse(device)
    whole = given.only == "suite" and given.suite != "quick"
    contenders = (
        _named(given.contenders, device) if given.contenders else usual(device, variants=whole)
    )
    workloads = given.workloads or (FEW if given.suite == "quick" else None)
    question.select(suite.load(given.suite), question.Question(workloads))
    named = bool(given.contenders)
    return Asked(device, contenders, named, given.suite, workloads, budget)


def _named(text: str, device: str) -> list[str]:
    """Raises Wrong for one that cannot be checked here: the run would refuse all for its sake."""
    named = inventory.parse_list(text)
    rows = inventory.contenders(device, current=True, named=named, everyone=False)
    names = [each.name for each in named]
    for row in rows:
        if row["name"] in names and not (row["available"] and row["computes"]):
            raise Wrong(f"contender '{row['name']}': {row['reason'] or 'it computes nothing'}")
    return names


def _scope(asked: Asked, parts: list[str]) -> str:
    """What was looked at; and what nobody should take for checked."""
    who = ", ".join(asked.contenders)
    found = [inventory.parse(name) for name in asked.contenders]
    torch = [c.variant for c in found if c.adapter == "torch"]
    eager = torch and not any(variant.startswith("compile") for variant in torch)
    return f"{', '.join(parts)}; {who}; float32" + ("; not torch.compile" if eager else "")


if __name__ == "__main__":
    as_interruptions()
    signal.signal(signal.SIGTERM, _told)
    sys.exit(main())
