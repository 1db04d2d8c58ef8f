"""Our clock against other people's, in a process of its own; see tests/*_agreement.py."""

import json
import subprocess
from pathlib import Path

from harness import machine
from harness.errors import Wrong
from harness.paths import ROOT


def ratios(
    module: str, python: Path | str, device: str, cache: Path, limit: float | None = None
) -> dict[str, dict[str, float]]:
    """`clock`: our mean time over theirs, by operation; and what else `tests.MODULE` compares.

    device is "cpu" or "cuda[:N]"; limit is in seconds. Raises Wrong with the last line of what
    went wrong.
    """
    count = machine.threads()
    try:
        result = subprocess.run(
            [python, "-m", f"tests.{module}", device.partition(":")[0], str(count)],
            cwd=ROOT,
            env={**machine.handed_on(), **machine.worker_environment(device, count, cache)},
            capture_output=True,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        raise Wrong(f"tests.{module} was not over in {limit:.0f} s, and was ended") from None
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise Wrong(f"tests.{module} ended with exit status {result.returncode}: {last}")
    return json.loads(result.stdout.splitlines()[-1])
