"""What it takes to go on with a run: the same code, machine and versions, and nobody else at it.

Otherwise two runs would be mixed in one, and no record would say which line is whose. For the
same reason a run stops where its code is edited meanwhile.
"""

import os
import platform
from collections.abc import Callable, Iterable
from typing import Any

from harness.errors import Wrong, maybe
from harness.host import gpus, machine
from harness.plan import code
from harness.plan.plan import PlannedContender


class Edited(Wrong):
    """What measures, or is measured, is no longer what a run was begun with."""


WHOLE = "all code"  # that of others too: for telling what changed from run to run


def fingerprint(
    versions: dict[str, str], device: str, contenders: Iterable[PlannedContender]
) -> dict[str, str]:
    """What must not change within a run: the code that measures, the machine, the versions.

    And, for the next run to tell, the whole code. Of GPUs the very one that `device` names: two of
    one kind are not equally fast.
    """
    index = gpus.number(device)
    driven = [
        f"{gpu.get('name')} {gpu.get('uuid')}, driver {gpu.get('driver')}, "
        f"{gpu.get('power_limit_watts')} W"
        for gpu in (gpus.described()[index : index + 1] if index is not None else ())
    ]
    return {
        "code": maybe(lambda: code_of(contenders)) or "unreadable",
        WHOLE: code.everything(),
        "machine": f"{platform.node()} {platform.machine()} {machine.processor()}",
        "system": platform.release(),
        **({"gpu": "; ".join(driven)} if driven else {}),
        **{f"version of {name}": version for name, version in sorted(versions.items())},
    }


def refuse_change(
    before: dict[str, str],
    now: dict[str, str],
    doing: str = "resume",
    instead: str = "start one without --resume",
) -> None:
    """Raises Wrong where two machines, versions or codes would be mixed in one run, or taken for
    replicates.

    doing, instead: what is refused, and what to do then.
    """
    for key in sorted((before.keys() | now.keys()) - {WHOLE}):
        if before.get(key) != now.get(key):
            raise Wrong(
                f"cannot {doing}: {key} was {before.get(key)}, is {now.get(key)}; "
                f"that is another run: {instead}"
            )


def code_of(contenders: Iterable[PlannedContender]) -> str:
    return code.measuring((each.adapter, each.variant) for each in contenders)


def refuse_edited(before: str, look: Callable[[], str]) -> None:
    """Raises Edited where `look` does not find that code any more. Takes milliseconds.

    Workers start from the files as they are then, beside a runner that was loaded earlier.
    """
    if maybe(look) != before:  # None: a file went while it was read
        raise Edited(
            "the code changed during the run: its adapters, harness/ or suites/ were edited; what "
            "was measured before is kept; start another run, or put the files back and go on"
        )


def refuse_replaced(name: str, before: Any, now: Any) -> None:
    """Raises Edited where a worker holds another release of its framework than the run is of."""
    if now != before:
        raise Edited(
            f"{name} was upgraded during the run: its version was {before}, is {now}; what was "
            "measured before is kept; start another run, or put that version back and go on"
        )


def refuse_lost(cpus: Iterable[int], doing: str = "resume") -> None:
    """Raises Wrong where a processor that the run's workers keep to may no longer be used."""
    lost = {*cpus} - os.sched_getaffinity(0)
    if lost:
        told = ", ".join(map(str, sorted(lost)))
        raise Wrong(
            f"cannot {doing}: processor {told} may no longer be used by this process; "
            "give it back (taskset, the container's cpuset), or start another run"
        )
