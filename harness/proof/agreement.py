"""Our clock against other people's, in a process of its own; see tests/*_agreement.py."""

import json
import subprocess
from pathlib import Path

from harness.errors import Wrong
from harness.host import bounded, machine
from harness.paths import ROOT

Ratios = dict[str, dict[str, float]]


class Unfinished(Wrong):
    """It ended too early; `found` is what it had said by then."""

    def __init__(self, message: str, found: Ratios):
        super().__init__(message)
        self.found = found


def ratios(
    module: str, python: Path | str, device: str, cache: Path, limit: float | None = None
) -> Ratios:
    """`clock`: our mean time over theirs, by operation; and what else `tests.MODULE` compares.

    device is "cpu" or "cuda[:N]"; limit is in seconds. Raises Unfinished with the last line of
    what went wrong.
    """
    count = machine.threads()
    try:
        result = bounded.run(
            [python, "-m", f"tests.{module}", device.partition(":")[0], str(count)],
            ROOT,
            {**machine.handed_on(), **machine.worker_environment(device, count, cache)},
            limit,
        )
    except subprocess.TimeoutExpired as late:
        found, missed = _said((late.stdout or b"").decode(errors="replace"))  # bytes all the same
        why = f"tests.{module} was not over in {limit:.0f} s, and was ended{missed}"
        raise Unfinished(why, found) from None
    found, missed = _said(result.stdout)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no output"])[-1]
        why = f"tests.{module} ended with exit status {result.returncode}: {last}{missed}"
        raise Unfinished(why, found)
    if missed or not found:
        raise Unfinished(f"tests.{module} did not tell all it was asked{missed}", found)
    return found


KINDS = ("clock", "adapter")  # of ratios


def _said(output: str) -> tuple[Ratios, str]:
    """What its whole lines hold, all together; and in words what of it was `asked` and is not
    there. Others' lines may lie between."""
    found: Ratios = {}
    asked: list[str] = []
    for line in output[: output.rfind("\n") + 1].splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if not isinstance(said, dict):
            continue
        if isinstance(said.get("asked"), list):
            asked += map(str, said["asked"])
        for kind in {*KINDS} & said.keys():
            if isinstance(said[kind], dict):
                found.setdefault(kind, {}).update(said[kind])
    missed = [name for name in asked if name not in found.get("clock", {})]
    return found, f"; not reached: {', '.join(missed)}" if missed else ""
