"""Claims about published runs: whoever reads docs/method.md finds what they say.

Ratios, intervals, p, verdicts and winners are computed again from `plan.json` and
`records-*.jsonl` with NumPy and SciPy and no code of ours, as the document says, and held
against what `bakeoff show --json` tells.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.paths import ROOT
from harness.record import records
from harness.stats import statistics
from reports.verdicts import analyse
from tests.conftest import Typed

PUBLISHED = ROOT / "results" / "published"
MARGIN = math.log(1.03)
Series = dict[str, dict[int, np.ndarray]]  # contender -> launch -> ln x of its rounds


def _records(folder: Path) -> list[dict[str, Any]]:
    lines = "".join(path.read_text() for path in sorted(folder.glob("records-*.jsonl")))
    return [json.loads(line) for line in lines.splitlines()]


def _x(turn: dict[str, Any], by: str) -> float:
    kept = turn["calls"][turn["dropped"] :]
    return float(np.percentile(kept, 25)) if by == "latency" else turn["total_ns"] / len(kept)


def _series(groups: list[dict[str, Any]], by: str) -> Series:
    found: Series = {}
    for group in groups:
        for name, turns in group["turns"].items():
            if turns:
                logs = np.log([_x(turn, by) for turn in turns])
                found.setdefault(name, {})[group["launch"]] = logs
    return found


def _trimmed(values: np.ndarray) -> float:
    return float(stats.trim_mean(values, 0.2))


def _test(m: np.ndarray, level: float, stage: int | None) -> tuple[float, float, float]:
    """The interval, and p; of a run with a second stage the wider of two, and the larger."""
    found = []
    for part in (m, m[:stage]) if stage else (m,):
        error = part.std(ddof=1) / math.sqrt(len(m))
        half = stats.t.ppf((1 + level) / 2, len(part) - 1) * error
        found.append((half, 2 * stats.t.sf(abs(m.mean()) / error, len(part) - 1)))
    half, p = (max(each) for each in zip(*found, strict=True))
    return m.mean() - half, m.mean() + half, p


def _modes(logs: np.ndarray) -> list[np.ndarray]:
    logs = np.sort(logs)
    gaps = np.diff(logs)
    for place in np.argsort(-gaps):
        parts = logs[: place + 1], logs[place + 1 :]
        if min(map(len, parts)) < 2 or gaps[place] <= math.log(1.05):
            continue
        if gaps[place] > 4 * max(part.std(ddof=1) for part in parts):
            return [*_modes(parts[0]), *_modes(parts[1])]
    return [logs]


def _open(a: np.ndarray, b: np.ndarray, m: np.ndarray) -> bool:
    """Whether modes leave a pair open."""
    ends = [[part.mean() for part in _modes(logs)] for logs in (a, b)]
    if len(ends[0]) == len(ends[1]) == 1:
        return False
    apart = any(max(x) + MARGIN < min(y) for x, y in (ends, ends[::-1]))
    same = m.max() < -MARGIN or m.min() > MARGIN or bool(np.all(np.abs(m) < MARGIN))
    return not apart and not same


def _verdict(low: float, high: float, inner: tuple[float, float], p: float) -> str:
    if inner[0] > -MARGIN and inner[1] < MARGIN:
        return "tie"
    if p < 0.01 and (high < -MARGIN or low > MARGIN):
        return "materially_faster" if high < 0 else "materially_slower"
    return "faster" if high < 0 else "slower" if low > 0 else "inconclusive"


def _pair(series: Series, a: str, b: str, left: bool, stage: int | None) -> dict[str, Any]:
    launches = sorted(series[a].keys() & series[b].keys())
    m = np.array([_trimmed(series[a][k] - series[b][k]) for k in launches])
    early = left and 3 <= len(m) < 6
    low, high, p = _test(m, 0.999 if early else 0.95, stage)
    inner = (low, high) if early else _test(m, 0.90, stage)[:2]
    first, second = (np.array([_trimmed(series[n][k]) for k in sorted(series[n])]) for n in (a, b))
    verdict = _verdict(low, high, inner, p)
    if len(m) < 6 and not early:
        verdict = "screening"
    elif _open(first, second, m):
        verdict = "multimodal"
    return {"ratio": math.exp(m.mean()), "low": math.exp(low), "high": math.exp(high), "p": p,
            "verdict": verdict, "launches": len(m)}  # fmt: skip


def _best(found: dict[tuple[str, str], str], names: list[str]) -> str | None:
    wins = [a for a in names if all(found[a, b] == "materially_faster" for b in names if b != a)]
    return wins[0] if wins else None


@pytest.mark.parametrize("run", ["quick-2core", "quick-2core-5", "serving-xeon"])
def test_every_ratio_and_winner_follows_from_the_records_by_the_document(
    typed: Typed, run: str
) -> None:
    folder = PUBLISHED / run
    plan, records = json.loads((folder / "plan.json").read_text()), _records(folder)
    events = [r for r in records if r["kind"] == "event"]
    left = {(e["comparison"], e["contender"]) for e in events if e["what"] == "settled"}
    stage = 6 if any(e["what"] == "second stage" for e in events) else None
    told = json.loads(typed("show", run, "--json", BAKEOFF_RESULTS=str(PUBLISHED)).stdout)
    checked = 0
    for comparison in told["comparisons"]:
        name, ranked = comparison["id"], sorted({r["a"] for r in comparison["ratios"]})
        groups = _groups(records, name)
        infer = comparison["direction"] == "infer"
        first = "latency" if infer and comparison["batch"] == 1 else "throughput"
        verdicts = {}
        for by in (first, "latency") if infer and comparison["batch"] > 1 else (first,):
            series = _series(groups, by)
            for a in ranked:
                for b in (each for each in ranked if each != a):
                    gone = bool({(name, a), (name, b)} & left)
                    verdicts[by, a, b] = _pair(series, a, b, gone, stage)
        for ratio in comparison["ratios"]:
            mine = verdicts[first, ratio["a"], ratio["b"]]
            for key in ("ratio", "low", "high", "p"):
                assert mine[key] == pytest.approx(ratio[key], rel=1e-6), (name, ratio)
            assert [mine[k] for k in ("verdict", "launches")] == [
                ratio["verdict"], ratio["launches"]
            ], (name, ratio)  # fmt: skip
            checked += 1
        of = {by: {(a, b): v["verdict"] for (w, a, b), v in verdicts.items() if w == by}
              for by, *_ in verdicts}  # fmt: skip
        winners = {by: _best(found, ranked) for by, found in of.items()}
        agreed = len({w for w in winners.values() if w}) < 2
        assert comparison["winner"] == (winners[first] if agreed else None), name
    assert checked > 10 * 30
    assert plan["settings"].get("margin", 0.03) == 0.03  # which plans say no longer


def _groups(records: list[dict[str, Any]], comparison: str) -> list[dict[str, Any]]:
    return [r for r in records if r["kind"] == "group" and r["comparison"] == comparison]


def _kept(turn: dict[str, Any]) -> list[int]:
    return turn["calls"][turn["dropped"] :]


def _mean_calls(groups: list[dict[str, Any]], name: str) -> np.ndarray:
    """Seconds of a call, launch by launch, of those that hold it."""
    held = [group["turns"][name] for group in groups if group["turns"].get(name)]
    return np.array([np.mean([np.mean(_kept(turn)) for turn in turns]) for turns in held]) * 1e-9


def test_a_cells_figures_follow_from_the_records_by_the_document(typed: Typed) -> None:
    """Of a run in which nobody's calls were queued but a training's."""
    run = "quick-2core"
    plan, records = (
        json.loads((PUBLISHED / run / "plan.json").read_text()),
        _records(PUBLISHED / run),
    )
    costs = {comparison["id"]: comparison["cost"] for comparison in plan["comparisons"]}
    probes = [r for r in records if r["kind"] == "probe"]
    peak = {key: max(probe[key] for probe in probes) for key in ("flops_per_s", "bytes_per_s")}
    told = json.loads(typed("show", run, "--json", BAKEOFF_RESULTS=str(PUBLISHED)).stdout)
    checked = 0
    for comparison in told["comparisons"]:
        cost, groups = costs[comparison["id"]], _groups(records, comparison["id"])
        least = max(cost["flops"] / peak["flops_per_s"], cost["bytes"] / peak["bytes_per_s"])
        series = _series(groups, comparison["by"])
        for cell in (each for each in comparison["cells"] if each["status"] == "ok"):
            logs = [_trimmed(rounds) for rounds in series[cell["contender"]].values()]
            seconds = math.exp(np.mean(logs)) * 1e-9
            assert cell["seconds"] == pytest.approx(seconds)
            assert cell["share_of_peak"] == pytest.approx(least / seconds)
            if comparison["by"] == "throughput":
                assert cell["throughput"] == pytest.approx(comparison["batch"] / seconds)
            if comparison["direction"] == "infer":
                pooled = [
                    [ns for turn in turns for ns in _kept(turn)]
                    for turns in (group["turns"].get(cell["contender"]) for group in groups)
                    if turns
                ]
                for share, key in ((0.25, "p25"), (0.5, "p50"), (0.99, "p99")):
                    telling = [c for c in pooled if key != "p99" or len(c) >= 100]
                    known = len(telling) == len(pooled) or len(telling) >= 6
                    seen = [np.quantile(calls, share) * 1e-9 for calls in telling]
                    wanted = pytest.approx(np.median(seen)) if known else None
                    assert cell["latency"][key] == wanted
            checked += 1
    assert checked > 70


def test_break_even_follows_from_the_records_by_the_document(typed: Typed) -> None:
    """Of every pair that no launch misses."""
    run = "quick-2core"
    records, checked = _records(PUBLISHED / run), 0
    told = json.loads(typed("show", run, "--json", BAKEOFF_RESULTS=str(PUBLISHED)).stdout)
    for found in told["breakeven"]:
        groups = _groups(records, found["comparison"])
        cold = [r for r in records if r["kind"] == "cell" and r["pass"] == "cold"]
        cold = [cell for cell in cold if cell["comparison"] == found["comparison"]]
        starts = {cell["contender"]: cell["seconds"]["total"] for cell in cold}
        calls = {name: _mean_calls(groups, name) for name in starts}
        for pair in found["crossings"]:
            early, late = pair["early"], pair["late"]
            if {len(calls[early]), len(calls[late])} != {len(groups)}:
                continue
            saved = calls[early] - calls[late]
            half = stats.t.ppf(0.975, len(saved) - 1) * saved.std(ddof=1) / math.sqrt(len(saved))
            later = {
                "calls": starts[late] - starts[early],
                "low": max(0.0, starts[late] / 1.3 - starts[early] * 1.3),
                "high": starts[late] * 1.3 - starts[early] / 1.3,
            }
            for key, by in (("calls", 0.0), ("low", half), ("high", -half)):
                less = saved.mean() + by
                n = 1 + later[key] / less if less > 0 else math.inf
                assert pair[key] == (pytest.approx(n) if n <= 1e9 else None), (key, pair)
                checked += 1
    assert checked > 60


@pytest.mark.parametrize("name", ["quick-2core", "quick-2core-2"])
def test_what_is_called_material_has_the_p_that_the_rule_names(name: str) -> None:
    analysis = analyse(records.read(PUBLISHED / name))
    ratios = [ratio for comparison in analysis.comparisons for ratio in comparison.ratios]
    material = [ratio for ratio in ratios if ratio.verdict.startswith("materially")]
    assert len(material) > 100 and all(r.p < statistics.MATERIAL_P for r in material)
    assert all(r.p_adjusted is not None and r.p_adjusted >= r.p for r in ratios)
    assert any((r.p_adjusted or 0.0) > statistics.MATERIAL_P for r in material)
