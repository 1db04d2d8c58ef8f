"""Runs that never were: folders of records whose truth is known, as the runner leaves them.

`write_run` makes one; its contenders differ by what it is told, and by a little noise from
launch to launch.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import numpy as np

from harness.record import records
from tests.support import plans

EVERYONE = {"torch": 1.0, "torch:compile": 0.82, "jax": 1.01, "tensorflow": 1.6, "numpy": 9.0}
WORKLOADS = (  # workload, kind, batch, size, direction, headline
    ("relu", "micro", 32, None, "infer", False),
    ("resnet18", "convnet", 1, 224, "infer", True),
    ("resnet20", "convnet", 32, None, "infer", False),
    ("resnet18", "convnet", 4, 112, "train", True),
)
LOWER = {"bfloat16": 0.5, "tf32": 0.8}  # time over float32's
Failures = Mapping[tuple[str, str], tuple[str, str]]
# What was published of 2016, and is measured today.
CONVNETS = tuple(
    (name, "convnet", batch, None, direction, False)
    for name, batch in (("alexnet", 128), ("vgg_a", 2), ("layer_l5", 128))
    for direction in ("infer", "fwd_bwd")
)
# What a record may hold that is not ours, and must stay text wherever it is shown.
HOSTILE = "</script><script>alert('r')</script><img src=x onerror=alert(1)>\u202e&amp;{{ 7*7 }}"


def write_run(
    folder: Path,
    speeds: Mapping[str, float] = EVERYONE,
    launches: int = 6,
    failures: Failures | None = None,
    workloads: Sequence[tuple[Any, ...]] = WORKLOADS,
    **plan: Any,
) -> Path:
    """A run's folder as the runner leaves it, of contenders whose speed is known.

    workloads: what `_comparison` takes; a precision may stand last, and after it a
    number of threads. speeds: relative time
    of each contender; the first is entered twice. failures: (workload, contender) -> (status,
    reason). plan: what to put in the plan instead.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    failures = failures or {}
    first = next(iter(speeds))
    speeds = {**speeds, f"{first}#2": speeds[first]}
    comparisons = [_comparison(list(speeds), *workload) for workload in workloads]
    document = {
        "schema": 1,
        "run": folder.name,
        "created": "2026-01-02T03:04:05+00:00",
        "command": "bakeoff run --suite quick",
        "suite": {"name": "quick", "title": "Quick", "summary": "a few"},
        "settings": msgspec.to_builtins(plans.settings(threads=2, cpus=[0, 1])),
        "budget_s": 600.0,
        "fingerprint": {},
        "contenders": [_contender(name) for name in speeds],
        "absent": [],
        "noise_floor": {"twin": f"{first}#2", "of": first},
        "comparisons": comparisons,
        "left_out": [],
        **plan,
    }
    (folder / "plan.json").write_text(json.dumps(document))
    machine = {"cpu": "A processor", "cores_physical": 2, "memory_bytes": 8 * 2**30, "gpu": []}
    seen = {
        name: {
            "version": "1.2",
            "status": "ok",
            "reason": None,
            "manifest": {"layout": "NHWC", "mode": name.partition(":")[2] or "eager"},
        }
        for name in speeds
    }
    environment = {"machine": machine, "contenders": seen}
    (folder / "environment.json").write_text(json.dumps(environment))
    if launches:
        with mock.patch.object(os, "fdatasync"):  # what never was need not outlast a power cut
            _measure(records.Writer(folder), comparisons, speeds, launches, failures, rng)
    return folder


def _contender(name: str) -> dict[str, Any]:
    plain, _, copy = name.partition("#")
    adapter, _, variant = plain.partition(":")
    return {"name": name, "adapter": adapter, "version": None, "variant": variant} | {
        "copy": int(copy or 1), "summary": f"{adapter}, {variant or 'plain'}", "computes": True,
        "baseline": False
    }  # fmt: skip


def _comparison(
    names: list[str],
    workload: str,
    kind: str,
    batch: int,
    size: int | None,
    direction: str,
    headline: bool,
    precision: str = "float32",
    threads: int = 0,
) -> dict[str, Any]:
    place = f"{workload}@{size}" if size else workload
    condition = f"{precision}/{threads}t" if threads else precision
    return {
        "id": f"{place}/b{batch}/{direction}/{condition}/cpu",
        "workload": workload,
        "kind": kind,
        "summary": f"{workload} as a test has it",
        "batch": batch,
        "size": size,
        "input": [3, size or 32, size or 32],
        "direction": direction,
        "precision": precision,
        **({"threads": threads} if threads else {}),
        "device": "cpu",
        "headline": headline,
        "contenders": names,
        "cost": {"flops": 4e8, "bytes": 5e6, "parameters": 1000, "activations": 10000},
    }


def _measure(
    writer: records.Writer,
    comparisons: list[dict[str, Any]],
    speeds: Mapping[str, float],
    launches: int,
    failures: Failures,
    rng: np.random.Generator,
) -> None:
    for name in speeds:
        rates = {"flops_per_s": 7e10, "bytes_per_s": 2e10, "effective_threads": 2.0}
        writer.write("probe", contender=name, launch=0, **rates)
    for comparison in comparisons:
        for name in speeds:
            failure = failures.get((comparison["workload"], name))
            cold = comparison["headline"] and "#" not in name  # a twin is not started for it
            for stage in ("cold", "warm") if cold else ("steady",):
                writer.write("cell", **_cell(comparison, name, stage, failure))
        names = [n for n in speeds if (comparison["workload"], n) not in failures]
        statuses = {
            n: dict(zip(("status", "reason"), failures[comparison["workload"], n], strict=True))
            for n in speeds
            if n not in names
        }
        for launch in range(1, launches + 1):
            luck = {name: rng.normal(0, 0.004) for name in names}
            call = 1e7 * LOWER.get(comparison["precision"], 1.0)
            turns = {
                name: [_turn(call * speeds[name] * np.exp(luck[name]), rng) for _ in range(2)]
                for name in names
            }
            writer.write(
                "group",
                **{k: comparison[k] for k in ("direction", "precision", "device")},
                comparison=comparison["id"],
                launch=launch,
                rounds=2,
                order=[names, names[::-1]],
                turns=turns,
                statuses=statuses,
                machine={"load1": 0.1, "foreign_cpu_share": 0.0, "steal_share": 0.0},
            )


def _turn(nanoseconds: float, rng: np.random.Generator) -> dict[str, Any]:
    calls = (nanoseconds * (1 + 0.002 * rng.random(8))).astype(int).tolist()
    return {"calls": calls, "dropped": 2, "total_ns": sum(calls[2:])}


def _cell(
    comparison: dict[str, Any], name: str, stage: str, failure: tuple[str, str] | None
) -> dict[str, Any]:
    first_call = {"cold": 2.0, "warm": 0.5}.get(stage, 0.1)
    check = {"quantity": "output", "where": "", "error": 3e-7, "gate": 1e-5, "ok": True}
    return {
        "pass": stage,
        "comparison": comparison["id"],
        "contender": name,
        "status": failure[0] if failure else "ok",
        "reason": failure[1] if failure else None,
        "seconds": {"import": 1.4, "load": 0.2, "first_call": first_call, "total": 2 + first_call},
        "memory": {"peak_rss_bytes": 4 * 10**8, "import_rss_bytes": 10**8},
        "oracle": {"checked": [check], "rows": 2, "ok": True},
        "manifest": {"layout": "NHWC", "mode": name.partition(":")[2] or "eager"},
        "log": f"logs/{name}.txt",
        "warmup": None,
    }


def edit_groups(folder: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrites a run's groups: each as `keep` leaves it, those for which it is true."""
    [path] = folder.glob("records-*.jsonl")
    found = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [record for record in found if record["kind"] != "group" or keep(record)]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in kept))


def on_a_gpu(folder: Path, sustained: Mapping[str, float] | None = None) -> None:
    """As if a run had been measured on a GPU.

    sustained: relative times in training without a pause, where that was measured, too.
    """
    for path in (folder / "plan.json", *folder.glob("records-*.jsonl")):
        path.write_text(path.read_text().replace("float32/cpu", "float32/cuda"))
    document = json.loads((folder / "plan.json").read_text())
    for comparison in document["comparisons"]:
        comparison["device"] = "cuda"
        if sustained and comparison["direction"] == "train":
            comparison["sustained_s"] = 30.0
    (folder / "plan.json").write_text(json.dumps(document))

    def blocks(group: dict[str, Any]) -> bool:
        if sustained and group["direction"] == "train":
            luck = 1 + 0.002 * (-1) ** group["launch"]
            group["sustained"] = {
                name: {"calls": 100, "total_ns": int(1e9 * speed * luck), "turns": 10, "made": 110,
                       "settle_s": 7.0, "wall_s": 30.0}
                for name, speed in sustained.items()
            }  # fmt: skip
        return True

    edit_groups(folder, blocks)


# What the harness itself writes from a fixed set, and reads again as such.
FIXED = {"kind", "pass", "status", "direction", "at", "created"}
BY_NAME = {"turns", "statuses", "contenders"}  # tables by contender
OPEN = {"manifest", "machine", "settings"}  # tables whose keys are anybody's


def poison(folder: Path, text: str) -> None:
    """Appends a text to every string of a run, names of contenders and of settings among them."""

    def all_of(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            known = {k + text if key in BY_NAME else k: all_of(v, k) for k, v in value.items()}
            return known | ({f"key{text}": f"value{text}"} if key in OPEN else {})
        if isinstance(value, list):
            return [all_of(each) for each in value]
        return f"{value}{text}" if isinstance(value, str) and key not in FIXED else value

    for name in ("plan.json", "environment.json"):
        (folder / name).write_text(json.dumps(all_of(json.loads((folder / name).read_text()))))
    for path in folder.glob("records-*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(f"{json.dumps(all_of(line))}\n" for line in lines))


def of_spread(spread: float, count: int) -> np.ndarray:
    """So many numbers around 0, with that standard deviation."""
    values = np.arange(count) - (count - 1) / 2
    return values * spread / np.std(values, ddof=1)


def edit_cells(folder: Path, contender: str, **changes: Any) -> None:
    """Rewrites what one contender's cold cells say."""
    [path] = folder.glob("records-*.jsonl")
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for record in found:
        if record["kind"] == "cell" and record["contender"] == contender:
            for key, value in changes.items():
                record[key] = {**record[key], **value}
    path.write_text("".join(f"{json.dumps(record)}\n" for record in found))


def add(folder: Path, *lines: dict[str, Any]) -> None:
    [path] = folder.glob("records-*.jsonl")
    with path.open("a") as file:
        file.writelines(f"{json.dumps({'schema': 1, 'at': '', **line})}\n" for line in lines)


def times(by: dict[str, dict[str, float]]) -> Callable[[dict[str, Any]], bool]:
    """Makes the calls of a workload so many times as long, contender by contender."""

    def edit(group: dict[str, Any]) -> bool:
        for name, factor in by.get(group["comparison"].partition("/")[0], {}).items():
            for turn in group["turns"].get(name, ()):
                turn["calls"] = [int(factor * ns) for ns in turn["calls"]]
                turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    return edit


def many_calls(group: dict[str, Any]) -> bool:
    for turns in group["turns"].values():
        for turn in turns:
            turn["calls"] *= 20
            turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
    return True
