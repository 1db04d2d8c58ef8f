"""Profiles of a test's own, what is recommended for them, and evidence made up."""

import math
from dataclasses import replace
from pathlib import Path

from harness.record import records
from reports.choice import profiles
from reports.choice.decide import Aspect
from reports.choice.recommend import Recommendation
from reports.verdicts import analyse

NETS = [(net, "convnet", 32, None, "infer", False) for net in ("resnet20", "alexnet", "vgg")]
TRAINING = '[[objective]]\nmeasure = "throughput"\nof = "training"\nweight = 1\n'
MANY = TRAINING.replace("training", "throughput")
BOTH = "".join(
    f'[[objective]]\nmeasure = "{m}"\nof = "single-image latency"\nweight = 1\n'
    for m in ("latency", "latency_p99")
)
P99 = BOTH.split("[[objective]]")[2]

Times = dict[str, dict[int, float]]  # contender -> launch -> log


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def asked(folder: Path, text: str, price: float | None = None) -> Recommendation:
    """What a run in that folder recommends for a profile of one's own."""
    chosen = profiles.load([written(folder, f'title = "Mine"\n{text}')])
    [found] = analyse(records.read(folder), chosen, price).recommendations
    return found


def aspect(times: Times, weight: float = 1.0, **more: object) -> Aspect:
    """An objective from logs of what each contender took, launch by launch."""
    logs = {
        (a, b): {k: times[a][k] - times[b][k] for k in times[a] if k in times[b]}
        for a in times
        for b in times
        if a != b
    }
    values = {name: math.exp(max(of.values())) for name, of in times.items()}
    return replace(Aspect("throughput", None, weight, logs, values), **more)  # type: ignore[arg-type]
