"""When a machine is too busy to name winners on: what others take of it, and the limits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Shares of the processors' time.
FOREIGN, STOLEN = 0.10, 0.05


def why(load: Mapping[str, Any]) -> str | None:
    """Why a machine is too busy, or None.

    load: what `machine.Load` gives, and how many processes of others computed on the GPU.
    """
    foreign, stolen = load.get("foreign_cpu_share") or 0.0, load.get("steal_share") or 0.0
    if foreign > FOREIGN:
        return f"other processes take {foreign:.0%} of its processors"
    if stolen > STOLEN:
        return f"the hypervisor takes {stolen:.0%} of its processors"
    if load.get("foreign_gpu_processes"):
        return f"processes of others compute on its GPU: {load['foreign_gpu_processes']}"
    return None


def throughout(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why it was, in the median of these launches: of a run, or of one of its comparisons."""
    loads = [group["machine"] for group in groups]
    reasons = []
    for key, limit, who in (
        ("foreign_cpu_share", FOREIGN, "other processes took"),
        ("steal_share", STOLEN, "the hypervisor took"),
    ):
        shares = [load[key] for load in loads if load.get(key) is not None]
        if shares and float(np.median(shares)) > limit:
            share = f"{float(np.median(shares)):.0%}"
            reasons.append(f"{who} {share} of the processors while it was measured")
    on_gpu = [bool(load.get("foreign_gpu_processes")) for load in loads]
    if sum(on_gpu) > len(on_gpu) / 2:
        reasons.append("processes of others computed on the GPU while it was measured")
    return reasons
