"""All workloads: importing their modules is what fills the list."""

import difflib

from suites import blocks, checks, convnets, micro, probes
from suites.workload import WORKLOADS, Workload

MODULES = (micro, blocks, convnets, checks, probes)


def load() -> dict[str, Workload]:
    """Every workload by name; those of kind `check` and `probe` are not for ranking."""
    return WORKLOADS


def get(name: str) -> Workload:
    """Raises KeyError, with the nearest names, for an unknown one."""
    if name not in WORKLOADS:
        near = difflib.get_close_matches(name, WORKLOADS, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else "; `bakeoff list` shows them"
        raise KeyError(f"unknown workload '{name}'{hint}")
    return WORKLOADS[name]
