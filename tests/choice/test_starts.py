"""Claims about starts: who makes several, and how sure what rests on them is."""

import json
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.record import records
from harness.run import cold, starts
from reports.choice import sentences
from reports.choice.objectives import Evidence, _repeated
from reports.choice.recommend import Recommendation
from reports.verdicts import analyse
from tests.support.choices import asked
from tests.support.synthetic import WORKLOADS, edit_cells, write_run

TRAINED = "resnet18@112/b4/train/float32/cpu"
SOON = """[[objective]]
measure = "first_result"
of = "training"
weight = 1
[[objective]]
measure = "throughput"
of = "training"
weight = 1
"""


def test_the_quickest_start_again_as_long_as_two_rounds_of_them_fit() -> None:
    took = {("net", "torch"): 2.0, ("net", "jax"): 1.0, ("net", "tensorflow"): 8.0}
    assert starts.rounds(took, 22.0) == (2, {"torch", "jax", "tensorflow"})
    assert starts.rounds(took, 21.9) == (5, {"torch", "jax"})
    assert starts.rounds(took, 6.5) == (2, {"torch", "jax"})
    assert starts.rounds(took, 5.9) == (0, set())  # one alone has nobody to be compared with
    assert starts.rounds({}, 60.0) == (0, set())


def test_who_takes_four_times_the_median_start_has_one() -> None:
    """A compiler is far from the others, and its rounds would be theirs."""
    took = {("net", "torch"): 2.0, ("net", "jax"): 1.0, ("net", "torch:compile"): 8.1}
    assert starts.rounds(took, 1000.0) == (5, {"torch", "jax"})


def test_a_round_is_of_all_that_somebody_waits_for() -> None:
    """What a contender's rounds cost is the sum over its comparisons."""
    took = {(net, name): 2.0 for net in ("one", "two") for name in ("torch", "jax")}
    assert starts.rounds(took, 24.0) == (3, {"torch", "jax"})
    assert starts.rounds(took, 15.9) == (0, set())


@pytest.mark.parametrize(
    ("spent", "share"), [(0.0, 60.0), (150.0, 60.0), (180.0, 30.0), (210.0, 0.0), (300.0, -90.0)]
)
def test_launches_keep_two_thirds_of_a_budget_whatever_compiling_took(
    spent: float, share: float
) -> None:
    assert starts.allowed(600.0, spent) == pytest.approx(share)
    assert starts.rounds({("net", "torch"): 1.0, ("net", "jax"): 1.0}, share)[0] == (
        5 if share >= 10 else 0
    )


def test_they_start_in_rounds_and_in_an_order_drawn_anew() -> None:
    keys = [(net, name) for net in ("one", "two") for name in "abcd"]
    found = [*starts.turns(keys, 3, random.Random(0))]
    assert [(start, net) for start, (net, _) in found] == sorted(
        (start, net) for start in (2, 3, 4) for net, _ in keys
    )
    rows = ["".join(name for s, (n, name) in found if (s, n) == (start, net))
            for start in (2, 3, 4) for net in ("one", "two")]  # fmt: skip
    assert {"".join(sorted(row)) for row in rows} == {"abcd"} and len({*rows}) > 3


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, True),
        ({"direction": "train", "batch": 50}, True),
        ({"headline": False}, False),
        ({"batch": 32}, False),  # a pile of images has time
        ({"kind": "block"}, False),
    ],
)
def test_starts_that_somebody_waits_for_are_made_again(
    changes: dict[str, Any], found: bool
) -> None:
    usual = {"headline": True, "direction": "infer", "batch": 1, "kind": "convnet"}
    assert starts.waited(SimpleNamespace(**usual | changes)) == found  # type: ignore[arg-type]


def test_a_further_start_begins_with_nothing_leaves_nothing_and_is_only_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not verified, nor profiled: the first one was."""
    done: list[str] = []

    class Worker:
        log, started, pid = tmp_path / "log.txt", 0.0, 1

        def ask(self, do: str) -> dict[str, Any]:
            done.append(do)
            first = {"first_call": 1.0, "finished": 2.0, "peak_rss_bytes": 1, "memory": {}}
            return first | {"manifest": {"mode": "jit"}}

    launcher: Any = SimpleNamespace(
        device="cpu",
        forget_cache=lambda name: done.append(f"forget {name}"),
        start=lambda contender, cache, log: done.append("start") or Worker(),
        open=lambda *_: {"import": 0.5, "rss_bytes": 1},
        close=lambda worker: done.append("close"),
    )
    monkeypatch.setattr("harness.run.oracle.load", lambda *_, **__: {"load": 0.1, "drawn": 0.25})
    launcher.of = lambda threads: launcher
    comparison: Any = SimpleNamespace(id="net", precision="float32", threads=2)
    contender: Any = SimpleNamespace(name="jax", computes=True)
    record = cold.measure(launcher, comparison, contender, "again", tmp_path / "answer.npz", 3)
    cache = "forget cold-net-jax"
    assert done == [cache, "start", "first", "close", cache]
    assert (record["pass"], record["launch"], record["status"]) == ("again", 3, "ok")
    assert record["seconds"]["total"] == 1.75 and record["manifest"] == {"mode": "jit"}
    assert record["oracle"] is None and record["profile"] is None


def again(folder: Path, totals: dict[str, list[float]]) -> None:
    """Adds further starts of the trained network."""
    [path] = folder.glob("records-*.jsonl")
    cells = [json.loads(line) for line in path.read_text().splitlines()]
    lines = []
    for name, seconds in totals.items():
        cold = next(
            c
            for c in cells
            if c["kind"] == "cell"
            and (c["comparison"], c["contender"], c["pass"]) == (TRAINED, name, "cold")
        )
        for number, total in enumerate(seconds, start=2):
            more = {
                "pass": "again",
                "launch": number,
                "seconds": {**cold["seconds"], "total": total},
            }
            lines.append(f"{json.dumps({**cold, **more, 'oracle': None})}\n")
    with path.open("a") as file:
        file.writelines(lines)


def _choice(
    folder: Path, torch: list[float], jax: list[float], wanted: str = SOON
) -> Recommendation:
    """Two that train alike; the first start of each, and the further ones."""
    write_run(folder, {"torch": 1.0, "jax": 1.0}, workloads=[WORKLOADS[3]])
    for name, (first, *_) in (("torch", torch), ("jax", jax)):
        edit_cells(folder, name, seconds={"total": first})
    again(folder, {"torch": torch[1:], "jax": jax[1:]})
    assert not records.read(folder).problems
    return asked(folder, wanted)


def test_a_choice_for_starts_alone_says_how_often_they_were_measured(tmp_path: Path) -> None:
    """As often as what was measured least: a peak of memory beside them was seen once."""
    torch, jax = [2.0, 2.02, 1.98], [2.4, 2.41, 2.39]
    start, _, _ = SOON.partition('[[objective]]\nmeasure = "throughput"')
    told = _choice(tmp_path / "starts", torch, jax, start).sentence
    assert "not proven (it was measured 3 times; several runs" in told
    both = start + '[[objective]]\nmeasure = "peak_memory"\nof = "training"\nweight = 1\n'
    told = _choice(tmp_path / "both", torch, jax, both).sentence
    assert "not proven (it was measured once; several runs" in told


@pytest.mark.parametrize(
    ("torch", "jax", "decides"),
    [
        ([2.0, 2.02, 1.98], [2.4, 2.41, 2.39], "measured 3 times: torch 2 s, jax 2.4 s"),
        ([2.0, 2.5, 1.6], [2.4, 2.0, 2.9], ""),
        ([2.0], [2.4], ""),  # one start is trusted to 30%
        ([2.0], [2.7], "measured once: torch 2 s, jax 2.7 s"),
    ],
)
def test_starts_decide_between_the_tied_as_far_as_they_are_trusted(
    tmp_path: Path, torch: list[float], jax: list[float], decides: str
) -> None:
    step = SOON.partition("weight = 1\n")[2]
    found = _choice(tmp_path / "run", torch, jax, step)
    assert found.tied == ["torch", "jax"] or found.tied == ["jax", "torch"]
    assert ("What then decides: time to first result" in found.sentence) == bool(decides)
    assert decides in found.sentence


def test_a_lead_that_one_start_cannot_prove_three_can(tmp_path: Path) -> None:
    """By a fifth: one start is trusted to 30%."""
    once = _choice(tmp_path / "once", [2.0], [2.4])
    assert once.choice is None and once.once == 0.5 and once.starts == 0
    thrice = _choice(tmp_path / "thrice", [2.0, 2.02, 1.98], [2.4, 2.41, 2.39])
    assert thrice.choice == "torch" and thrice.once == 0 and thrice.starts == 3
    assert ", 3 starts)" in thrice.sentence
    # What is better is told as far as it is sure.
    assert once.balance == "" and "17% less time to a first result (50%)" in thrice.balance
    restless = _choice(tmp_path / "restless", [2.0, 2.5, 1.6], [2.4, 2.0, 2.9])
    assert restless.choice is None and restless.starts == 3 and restless.balance == ""
    [told] = (each for each in thrice.unknown if "time to first result" in each)
    assert "3 times for each contender: the interval is wider by that of the starts" in told
    assert "fewer than 3" not in told


def test_the_interval_is_wider_by_that_of_the_starts(tmp_path: Path) -> None:
    torch, jax = [2.0, 2.1, 1.9, 2.2], [3.0, 3.3, 2.7, 2.9]  # the first of each as in `bare`
    found = _choice(tmp_path / "run", torch, jax)
    bare = _choice(tmp_path / "bare", [2.0], [3.0])
    logs = [math.log(x / y) for x, y in zip(torch, jax, strict=True)]
    half = float(stats.t.ppf(0.995, 3) * stats.tstd(logs) / 2)
    for low, high, by in ((found.low, found.high, half), (bare.low, bare.high, math.log(1.3))):
        assert low is not None and high is not None
        launches = math.log(high / low) / 2 - 0.5 * by
        assert launches == pytest.approx(
            math.log((bare.high or 0) / (bare.low or 1)) / 2 - 0.1311825, abs=1e-4
        )


def test_over_two_workloads_a_start_is_one_value_of_as_many_as_both_have(tmp_path: Path) -> None:
    """And none where one of the two failed. Ratios are of starts that both made."""
    nan = math.nan
    cells: dict[str, list[list[float | None]]] = {
        "torch": [[2.0, 2.2, 2.4, 2.0, 2.0], [4.0, 4.4, 4.8, 4.0]],
        "jax": [[3.0, 3.3, None, 3.0, 3.0, 9.9], [6.0, 6.6, 7.2, 6.0, 6.0]],
    }
    comparisons: list[Any] = [
        SimpleNamespace(cell=lambda name, of=of: SimpleNamespace(starts=cells[name][of]))
        for of in (0, 1)
    ]
    looks = Evidence._looks(None, "first_result", comparisons, [*cells], 1.0)  # type: ignore[arg-type]
    assert looks["torch"] == pytest.approx([math.log(x * math.sqrt(2)) for x in (2, 2.2, 2.4, 2)])
    assert looks["jax"] == pytest.approx(
        [math.log(x * math.sqrt(2)) for x in (3.0, 3.3, nan, 3.0, math.sqrt(18) / math.sqrt(2))],
        nan_ok=True,
    )
    assert _repeated(looks)["jax", "torch"] == pytest.approx([math.log(1.5)] * 3)
    assert not _repeated({"a": looks["torch"][:2], "b": looks["torch"]})
    clamped = Evidence._looks(None, "first_result", comparisons, [*cells], 50.0)  # type: ignore[arg-type]
    assert np.nanmax(np.abs(_repeated(clamped)["jax", "torch"])) == 0


def test_a_start_that_only_one_of_two_made_moves_no_ratio(tmp_path: Path) -> None:
    """Nor does it add to how sure the ratio is."""
    torch, jax = [2.0, 2.02, 1.98], [2.4, 2.41, 2.39]
    both = _choice(tmp_path / "both", torch, jax)
    more = _choice(tmp_path / "more", [*torch, 9.0, 9.0], jax)
    assert (more.choice, more.ratio, more.low) == (both.choice, both.ratio, both.low)
    assert more.starts == 3


def test_no_number_of_a_start_makes_a_reader_count_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    _choice(folder, [2.0, 2.1], [2.4, 2.3])
    [path] = folder.glob("records-*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for record in lines:
        record |= {"launch": 10**10} if record.get("pass") == "again" else {}
    path.write_text("".join(f"{json.dumps(record)}\n" for record in lines))
    run = records.read(folder)
    assert {c["launch"] for c in run.again} == {10**10}
    assert analyse(run).comparison(TRAINED).cell("jax").starts == [2.4]


@pytest.mark.parametrize("later", [[1e308, 1e308], [1e-300, 1e300]])
def test_no_start_is_so_long_that_nothing_is_said(tmp_path: Path, later: list[float]) -> None:
    """A record may be damaged."""
    found = _choice(tmp_path / "run", [2.0, *later], [2.4, 2.4, 2.4])
    assert found.choice is None and found.ranking


def test_a_start_s_figure_is_the_mean_of_all_and_its_parts_add_up(tmp_path: Path) -> None:
    _choice(tmp_path / "run", [2.0, 4.5, 3.0], [2.4])
    analysis = analyse(records.read(tmp_path / "run"))
    torch, jax = (analysis.comparison(TRAINED).cell(name) for name in ("torch", "jax"))
    assert torch.cold is not None and torch.starts == [2.0, 4.5, 3.0]
    assert torch.cold["total"] == pytest.approx(3.0)
    parts = [value for part, value in torch.cold.items() if part != "total"]  # 3.6 in each start
    assert sum(parts) == pytest.approx(3.6 * 3.0 / ((2.0 + 4.5 + 3.0) / 3))
    assert jax.cold is not None and jax.cold["total"] == 2.4 and jax.starts == [2.4]


def test_one_that_was_started_once_is_trusted_as_before_beside_one_that_was_often(
    tmp_path: Path,
) -> None:
    found = _choice(tmp_path / "run", [2.0, 2.02, 1.98], [2.4])
    assert found.choice is None and found.once == 0.5 and found.starts == 0
    [told] = (each for each in found.unknown if "time to first result" in each)
    assert "measured 1 to 3 times for each contender" in told
    assert sentences.measured_once(found.once) == "50% of the score rests on a single measurement."


def test_whose_starts_are_few_is_told_beside_those_whose_are_many(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path / "run", {"torch": 1.0, "jax": 1.0, "late": 1.0}, workloads=[WORKLOADS[3]]
    )
    again(folder, {"torch": [4.0, 4.0], "jax": [4.1, 4.1]})
    [told] = (each for each in asked(folder, SOON).unknown if "time to first result" in each)
    assert "measured 1 to 3 times" in told and "(fewer than 3 are trusted to 30%)" in told


def test_a_later_start_that_fails_costs_the_others_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    _choice(folder, [2.0, 2.02, 1.98, 2.01], [2.4, 2.41, 2.39, 2.4])
    [path] = folder.glob("records-*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    failed = next(r for r in lines if r.get("pass") == "again" and r["contender"] == "jax")
    failed |= {"status": "crash", "reason": "it ended", "seconds": {}}
    path.write_text("".join(f"{json.dumps(record)}\n" for record in lines))
    jax = analyse(records.read(folder)).comparison(TRAINED).cell("jax")
    assert jax.starts == [2.4, None, 2.39, 2.4] and jax.status == "ok"
    assert asked(folder, SOON).choice == "torch"
