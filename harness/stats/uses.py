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


Condition = tuple[str, str, int]


def condition(comparison: Any) -> Condition:
    """What a worker is opened with: device, precision, threads. Each has processes of its own in
    every launch, and no use is over two."""
    return comparison.device, comparison.precision, comparison.threads or 0


def groups(comparisons: list[Any]) -> list[tuple[str, list[Any]]]:
    """(use, its comparisons), for each that has any in a condition.

    A comparison is anything with a direction, batch, kind, device, precision and threads.
    """
    found = []
    for use, belongs in USES.items():
        chosen = [c for c in comparisons if belongs(c)]
        for its in sorted({condition(c) for c in chosen}):
            found.append((use, [c for c in chosen if condition(c) == its]))
    return found


def all_together(comparisons: list[Any]) -> list[list[Any]]:
    """Those that any use speaks of, for each condition: some profiles weigh all uses."""
    found: dict[Condition, list[Any]] = {}
    for comparison in comparisons:
        if any(belongs(comparison) for belongs in USES.values()):
            found.setdefault(condition(comparison), []).append(comparison)
    return list(found.values())
