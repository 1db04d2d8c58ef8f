"""What a run's own records hold against it: for whoever asks for a yes or a no, as a check does."""

from collections import Counter
from typing import Any

from harness.plan.plan import original
from harness.record import records
from harness.stats import statistics


def told(run: records.Run, named: bool) -> list[str]:
    """Who did not open, who failed in which comparison, and what nobody could be held against.

    A comparison that a framework does not support counts where somebody named it.
    """
    opened = run.environment["contenders"]
    shut = {name: seen for name, seen in opened.items() if seen.get("status", "ok") != "ok"}
    outcomes = [((cell["contender"], cell["comparison"]), cell) for cell in run.cells]
    outcomes += [
        ((name, group["comparison"]), outcome)
        for group in run.groups
        for name, outcome in group["statuses"].items()
    ]
    failed: dict[str, dict[str, Any]] = {}
    for (name, comparison), outcome in outcomes:
        passed = ("ok",) if named else ("ok", "unsupported")
        if outcome["status"] not in passed and original(name) not in shut:
            failed.setdefault(f"{name}, {comparison}", outcome)
    found = [f"{who}: {seen['status']}: {seen['reason']}" for who, seen in (shut | failed).items()]
    found += [f"{each['name']}: {each['reason']}" for each in run.plan.get("absent", [])]
    return found + [event["reason"] for event in run.events if event["what"] == "unverified"]


def too_few(run: records.Run) -> str | None:
    """That its verdicts are screenings, where they are."""
    launches, settled = Counter(g["comparison"] for g in run.groups), run.settled
    fewest = statistics.LEAST_LAUNCHES
    for comparison in run.plan["comparisons"]:
        id_, names = comparison["id"], comparison["contenders"]
        left = sum((id_, name) in settled for name in names)
        if left < max(1, len(names) - 1):  # else all but one left early: that is enough
            fewest = min(fewest, launches[id_])
    if fewest == statistics.LEAST_LAUNCHES:
        return None
    told = f"{fewest} launches of all of it, where {statistics.LEAST_LAUNCHES} decide: a screening"
    return f"{told}; ONLY=suite with a longer LIMIT= measures more"
