"""What the rules of sampling.py save on a real suite, and whether they name another winner.

`quick` is measured with twenty launches of everything, once. Then the rules are played on
its records, as if its launches had come one by one: who would have left, how many launches
each of the others would have got, who would have been named.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness.errors import Wrong
from harness.paths import ROOT
from harness.proof.claims import Figure
from harness.proof.simulated import fixed_winner, planned_run
from harness.record import documents, records
from harness.stats import readings, sampling

NAME = "quick-20"


def measure(folder: Path, say: Callable[..., None]) -> list[Figure]:
    """Measures `quick` with 20 launches unless the folder holds it; half an hour on two cores."""
    path = folder / NAME
    there = (path / "plan.json").exists()
    arguments = ["--resume", NAME] if there else ["--suite", "quick", "--run-id", NAME]
    arguments += [] if there else ["--launches", str(sampling.MOST_LAUNCHES), "--device", "cpu"]
    # Interrupted in its greeting it holds a plan and nothing to read: it is gone on with as well.
    if not documents.is_begun(path) or _launches(records.read(path)) < sampling.MOST_LAUNCHES:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "harness.cli", "run", *arguments]
        result = subprocess.run(
            [*command, "--budget", "3h", "--no-page"],
            cwd=ROOT,
            env={**os.environ, "BAKEOFF_RESULTS": str(folder)},
            stdout=sys.stderr,  # half an hour should show that it goes on
        )
        if result.returncode:
            raise Wrong(f"`quick` ended with exit status {result.returncode}; call again to go on")
    return replay(records.read(path))


def _launches(run: records.Run) -> int:
    """Those of every comparison: one that was cut short holds some alone, and keeps its number."""
    counts = Counter(g["comparison"] for g in run.groups)
    return min((counts[c["id"]] for c in run.plan["comparisons"]), default=0)


def replay(run: records.Run) -> list[Figure]:
    """The rules, comparison by comparison; the uses that a comparison speaks of are left out."""
    same = other = comparisons = spent = fixed = 0
    spent_seconds = fixed_seconds = 0.0
    told = []
    for comparison in run.plan["comparisons"]:
        by = readings.rank_of(comparison)[0]
        names, times = readings.launch_log_times(run.groups, comparison["id"], by)
        kept = [i for i, name in enumerate(names) if "#" not in name]
        times = times[: sampling.MOST_LAUNCHES, kept]
        times = times[np.isfinite(times).all(axis=1)]
        if len(times) < sampling.MOST_LAUNCHES:
            continue
        played = planned_run(times)
        winner = fixed_winner(times)
        comparisons += 1
        same += played.winner == winner
        spent += sum(played.launches)
        fixed += times.size
        seconds = _turn_seconds(run, comparison["id"], [names[i] for i in kept])
        spent_seconds += float(seconds @ np.array(played.launches))
        fixed_seconds += float(seconds.sum() * len(times))
        other += played.winner not in (winner, None)
        if played.winner != winner:
            ours, theirs = (
                "nobody" if w is None else names[kept[w]] for w in (played.winner, winner)
            )
            told.append(Figure(f"{comparison['id']}: {ours} instead of {theirs}", 1, unit="count"))
    if not comparisons:
        raise Wrong(f"{run.folder} has no comparison with {sampling.MOST_LAUNCHES} launches")
    return [
        Figure(
            f"the same outcome, a winner or nobody, in {comparisons} comparisons",
            same / comparisons,
        ),
        Figure("another winner named than by 20 launches", other, most=0, unit="count"),
        Figure("launches of a contender in a comparison, of 20 for each", spent / fixed, most=1.0),
        Figure(
            "seconds of turns, of 20 launches for each", spent_seconds / fixed_seconds, most=1.0
        ),
        *told,
    ]


def _turn_seconds(run: records.Run, comparison: str, names: list[str]) -> np.ndarray:
    """Mean wall seconds of a contender's turns in one launch."""
    groups = [g for g in run.groups if g["comparison"] == comparison]
    return np.array(
        [
            np.mean([sum(t["wall_ns"] for t in g["turns"][n]) for g in groups if n in g["turns"]])
            for n in names
        ]
    ) * 1e-9  # fmt: skip
