"""What people choose a framework for: which comparisons speak of which use.

Recommendations are made for profiles (`reports/choice/profiles.py`), whose objectives each speak of
a use, over all its comparisons together; so a contender is measured until it is settled
there, too.
"""

from typing import Any

USES = {
    "training": lambda c: c.direction == "train",
    "single-image latency": lambda c: (
        c.direction == "infer" and c.batch == 1 and c.kind == "convnet"
    ),
    "throughput": lambda c: c.direction == "infer" and c.batch > 1 and c.kind != "micro",
}


def groups(comparisons: list[Any]) -> list[tuple[str, str, str, list[Any]]]:
    """(use, device, precision, its comparisons), for each that has any.

    A comparison is anything with a direction, batch, kind, device and precision.
    """
    found = []
    for use, belongs in USES.items():
        chosen = [c for c in comparisons if belongs(c)]
        for device, precision in sorted({(c.device, c.precision) for c in chosen}):
            same = [c for c in chosen if (c.device, c.precision) == (device, precision)]
            found.append((use, device, precision, same))
    return found


def all_together(comparisons: list[Any]) -> list[list[Any]]:
    """Those that any use speaks of, for each device and precision: some profiles weigh all uses."""
    found: dict[tuple[str, str], list[Any]] = {}
    for comparison in comparisons:
        if any(belongs(comparison) for belongs in USES.values()):
            found.setdefault((comparison.device, comparison.precision), []).append(comparison)
    return list(found.values())
