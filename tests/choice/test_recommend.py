"""Claims about what a recommendation rests on, and what it says that it does not know."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.record import records
from reports.analysis import Comparison
from reports.choice import overall, sentences
from reports.choice.decide import decide
from reports.choice.objectives import Evidence
from reports.choice.overall import answer
from reports.choice.profiles import Objective
from reports.choice.recommend import Recommendation
from reports.pages import page
from reports.verdicts import analyse
from tests.conftest import Typed
from tests.support.choices import BOTH, MANY, NETS, TRAINING, asked, aspect, written
from tests.support.synthetic import (
    WORKLOADS,
    add,
    edit_cells,
    edit_groups,
    many_calls,
    on_a_gpu,
    times,
    write_run,
)

TRAINED = [WORKLOADS[3], ("resnet20", "convnet", 50, None, "train", False)]


def of(folder: Path, profile: str) -> Recommendation:
    found = analyse(records.read(folder)).recommendations
    return next(each for each in found if each.profile == profile)


def test_what_made_room_for_the_rest_does_not_undo_what_the_rest_decides(tmp_path: Path) -> None:
    """It was measured in one launch, and a score is of the launches that hold all of it."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3}, workloads=TRAINED)
    gone = "resnet20/b50/train/float32/cpu"
    edit_groups(folder, lambda group: group["comparison"] != gone or group["launch"] == 1)
    undone = of(folder, "training-throughput")
    assert undone.choice is None and undone.launches == 1
    add(folder, {"kind": "event", "what": "budget", "reason": "no time", "left": [gone]})
    found = of(folder, "training-throughput")
    assert (found.choice, found.launches) == ("torch", 6)
    assert found.comparisons == ["resnet18@112/b4/train/float32/cpu"]
    assert any(each.startswith("resnet20 b50 train: it made room") for each in found.unknown)


def test_what_was_not_even_set_up_is_left_out_like_what_was_never_planned(tmp_path: Path) -> None:
    """The budget had no room for it: nobody is out for it, and no row of the page is empty."""
    gone = "resnet18@112/b4/train/float32/cpu"
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3}, workloads=TRAINED)
    [path] = folder.glob("records-*.jsonl")
    kept = [line for line in path.read_text().splitlines() if gone not in line]
    path.write_text("".join(f"{line}\n" for line in kept))
    assert of(folder, "training-throughput").choice is None
    add(folder, {"kind": "event", "what": "budget", "reason": "no room", "left": [gone]})
    found = of(folder, "training-throughput")
    assert (found.choice, found.comparisons) == ("torch", ["resnet20/b50/train/float32/cpu"])
    analysis = analyse(records.read(folder))
    assert [left["comparison"] for left in analysis.left_out] == [gone]
    assert gone not in [comparison.id for comparison in analysis.comparisons]
    assert not any("missing" in cell.status for c in analysis.comparisons for cell in c.cells)
    # One that did not even open is told to have failed in it, too: that is nobody else's matter.
    failed: dict[str, Any] = {
        "kind": "cell",
        "pass": "steady",
        "comparison": gone,
        "contender": "jax#2",
    }
    failed |= {"status": "crash", "reason": "it does not open", "seconds": {}, "memory": {}}
    add(folder, failed | {"oracle": None, "manifest": {}, "log": None})
    assert not records.read(folder).problems
    assert of(folder, "training-throughput").choice == "torch"


def test_a_choice_that_rests_on_one_workload_says_so(tmp_path: Path) -> None:
    """Without it the same one leads, by less than the margin."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.0}, workloads=NETS)
    edit_groups(
        folder, times({"resnet20": {"jax": 1.3}, "alexnet": {"jax": 1.01}, "vgg": {"jax": 1.01}})
    )
    found = asked(folder, MANY)
    assert found.choice == "torch"
    assert "torch leads, but is no longer decided, without resnet20 b32 infer" in found.flips


def test_what_two_wishes_rest_on_is_left_out_of_both(tmp_path: Path) -> None:
    """A latency and its 99th percentile: without a workload is without it in either."""
    nets = [(net, "convnet", 1, None, "infer", False) for net in ("resnet20", "alexnet", "vgg")]
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.0}, workloads=nets)
    edit_groups(folder, many_calls)
    edit_groups(
        folder, times({"resnet20": {"jax": 1.3}, "alexnet": {"jax": 1.01}, "vgg": {"jax": 1.01}})
    )
    found = asked(folder, BOTH)
    assert found.choice == "torch" and found.lost == 0
    [told] = [each for each in found.flips if "no longer decided" in each]
    assert told.count("without") == 1 and "resnet20" in told


def test_a_difference_whose_sign_no_launch_tells_is_not_told(tmp_path: Path) -> None:
    """Of two wishes: in the one jax is 6% behind on average, and in every second launch ahead."""
    ahead = dict.fromkeys(range(1, 7), -0.2)
    unsure = {1: 0.30, 2: -0.20, 3: 0.32, 4: -0.22, 5: 0.28, 6: -0.12}
    zero = dict.fromkeys(range(1, 7), 0.0)
    sure = aspect({"a": ahead, "b": zero}, 0.8, measure="latency")
    unsure_ = aspect({"a": unsure, "b": zero}, 0.2, measure="throughput")
    told = sentences.balance(decide([sure, unsure_], "ab"), [sure, unsure_])
    assert told == "18% less time per call (80%); no clear difference in time per image (20%)"


def test_two_throughputs_are_told_apart_by_what_they_are_of(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    edit_groups(folder, times({"resnet18@112": {"jax": 0.7}}))
    found = asked(folder, TRAINING + MANY)
    assert "in batch inference" in found.balance and "in training" in found.balance


def test_a_workload_that_another_does_better_is_told_though_not_by_the_margin(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.0}, workloads=TRAINED)
    luck = dict(enumerate((0.92, 0.95, 0.98, 1.0, 0.94, 0.97), start=1))  # launch by launch
    edit_groups(
        folder,
        lambda group: times(
            {"resnet20": {"jax": 1.5}, "resnet18@112": {"jax": luck[group["launch"]]}}
        )(group),
    )
    found = asked(folder, TRAINING)
    assert found.choice == "torch"
    assert "But on resnet18@112 b4 train it takes 1.04x jax's time (more, not surely by 3%)" in (
        found.sentence
    )
    assert "not surely by 3%" in page.render(analyse(records.read(folder)))


def test_a_limit_is_held_against_the_usual_call(tmp_path: Path) -> None:
    """Half of all calls take longer than 10 ms, though a quarter takes less than 9."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 3.0})

    def uneven(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["torch"]:
            turn["calls"] = [*turn["calls"][:2], *[int(8e6)] * 2, *[int(11e6)] * 4]
            turn["total_ns"] = sum(turn["calls"][2:])
        return True

    edit_groups(folder, uneven)
    limit = (
        '[[objective]]\nmeasure = "latency"\nweight = 1\nof = "single-image latency"\nat_most = '
    )
    assert {out["contender"] for out in asked(folder, f'{limit}"10 ms"\n').incomplete} == {
        "torch",
        "jax",
    }
    [out] = asked(folder, f'{limit}"12 ms"\n').incomplete
    assert out["contender"] == "jax"


def test_a_limit_is_no_part_of_what_a_score_is_of(tmp_path: Path) -> None:
    """Nor do modes leave a choice open that are in what it only has to stay below."""
    wanted = '[[objective]]\nmeasure = "throughput"\nof = "training"\nweight = 1\n'
    limit = '[[objective]]\nmeasure = "latency"\nof = "single-image latency"\nweight = 0\n'
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.05})
    alone = asked(folder, wanted)
    found = asked(folder, f'{wanted}{limit}at_most = "1 s"\n')
    assert found.choice == alone.choice == "torch" and found.sentence == alone.sentence
    assert [place for place in found.comparisons if place not in alone.comparisons]

    def torn(group: dict[str, Any]) -> bool:
        if group["comparison"].startswith("resnet18@224"):
            for turn in group["turns"]["torch"]:
                by = 1.0 if group["launch"] % 2 else 1.3
                turn["calls"] = [int(by * call) for call in turn["calls"]]
        return True

    edit_groups(folder, torn)
    assert asked(folder, f'{wanted}{limit}at_most = "1 s"\n').choice == "torch"


def test_what_was_measured_once_alone_is_not_said_to_want_launches(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.1})
    told = asked(folder, '[[objective]]\nmeasure = "peak_memory"\nweight = 1\n').sentence
    assert "not proven (it was measured once; several runs, read together, tell)" in told
    assert "0 launch" not in told and "1 objectives" not in told


def test_who_breaks_a_limit_by_one_look_may_be_within_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.1})
    edit_cells(folder, "jax", memory={"peak_rss_bytes": 410_000_000})
    memory = '[[objective]]\nmeasure = "peak_memory"\nweight = 1\nat_most = "405 MB"\n'
    [out] = asked(folder, memory).incomplete
    assert out["contender"] == "jax" and out["why"].endswith("and may be within it")


def test_memory_on_a_device_is_of_one_kind_for_all(tmp_path: Path) -> None:
    """What one says that it allocated, and what another's process takes, are not to be compared."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "onnxruntime": 1.1})
    on_a_gpu(folder)
    edit_cells(folder, "torch", memory={"allocated": 6 * 10**7})

    def memory() -> dict[str, float] | None:
        run = records.read(folder)
        used: list[Comparison] = [c for c in analyse(run).comparisons if c.headline]
        found, _ = Evidence(run).aspect(
            Objective("peak_memory", 1.0), used, ["torch", "onnxruntime"]
        )
        return dict(found.values) if found else None

    assert memory() is None
    for name, bytes_ in (("torch", 6 * 10**8), ("onnxruntime", 9 * 10**8)):
        edit_cells(folder, name, memory={"device": bytes_})
    assert memory() == {"torch": 6e8, "onnxruntime": 9e8}


def test_a_frameworks_variant_that_only_infers_is_no_engine(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "torch:compile-freezing": 0.8})
    plan = json.loads((folder / "plan.json").read_text())
    plan["contenders"][1]["trains"] = False
    (folder / "plan.json").write_text(json.dumps(plan))
    assert overall.unasked(analyse(records.read(folder)))


def test_nobody_is_told_to_be_behind_whom_nobody_may_choose(tmp_path: Path) -> None:
    """A baseline wins one of two workloads, and whoever is out might as well."""
    three = {"torch": 1.0, "jax": 1.5, "numpy": 3.0}
    folder = write_run(tmp_path / "run", three, workloads=NETS[:2])
    edit_groups(folder, times({"alexnet": {"numpy": 0.2}}))
    assert [row["leader"] for row in asked(folder, MANY).split] == ["numpy"]
    plan = json.loads((folder / "plan.json").read_text())
    plan["contenders"][2]["baseline"] = True
    (folder / "plan.json").write_text(json.dumps(plan))
    assert asked(folder, MANY).split == []


def test_after_a_limit_that_nobody_keeps_nothing_is_called_unmeasured(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    found = asked(folder, BOTH.replace('latency_p99"', 'latency_p99"\nat_most = "50 ms"'))
    assert (found.ranking, found.lost, found.lacking) == ([], 0.0, [])
    assert not any("was not measured in this run" in told for told in found.unknown)
    assert {row["contender"] for row in found.incomplete} == {"torch", "jax"}


def test_a_screening_says_nothing_of_what_its_score_is_made_of(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.5}, launches=3)
    found = asked(folder, TRAINING + MANY)
    assert found.verdict == "screening" and found.balance == ""


def test_who_serves_is_told_whom_nobody_asked(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    analysis = analyse(records.read(folder))
    [(told, command)] = overall.unasked(analysis)
    assert "Inference engines" in told and command == "make bench-serving"
    assert told in (text := page.render(analysis)) and command in text
    plan = json.loads((folder / "plan.json").read_text())
    plan["contenders"][1]["trains"] = False
    (folder / "plan.json").write_text(json.dumps(plan))
    assert not overall.unasked(analyse(records.read(folder)))


@pytest.mark.parametrize(
    ("instructions", "device", "precision", "why"),
    [
        ("avx2 avx512f avx512_bf16 amx_bf16", "cpu", "float32", "in bfloat16 as well (amx_bf16)"),
        ("avx avx2 avx512f", "cpu", "float32", ""),  # where it is no faster
        ("avx2 avx512_bf16", "cpu", "bfloat16", ""),
        ("avx2", "cuda", "float32", "GPUs have units for bfloat16"),
    ],
)
def test_a_precision_that_a_machine_has_units_for_is_told_where_none_was_measured_in_it(
    tmp_path: Path, instructions: str, device: str, precision: str, why: str
) -> None:
    analysis = analyse(records.read(write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})))
    asked = replace(
        analysis,
        machine=analysis.machine | {"instructions": instructions},
        settings=analysis.settings | {"device": device},
        comparisons=[replace(c, precision=precision) for c in analysis.comparisons],
    )
    told = [t for t, command in overall.unasked(asked) if "--precision float32,bfloat16" in command]
    assert [why in each for each in told] == ([True] if why else [])


def test_another_hour_is_among_what_is_not_known(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    assert "another hour of this machine" in of(folder, "batch-inference").unknown[0]


def test_limits_that_nobody_keeps_are_told_with_who_is_nearest(tmp_path: Path) -> None:
    """And not as a figure that is missing: all were measured."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    limit = '[[objective]]\nmeasure = "latency"\nof = "single-image latency"\nweight = 0\n'
    found = asked(folder, f'{TRAINING}{limit}at_most = "1 us"\n')
    assert found.choice is None and not found.ranking and not found.lost
    assert re.match(
        r"Nobody keeps the limits\. The nearest is torch: .* of .* ms, at most 1 µs is asked for\.",
        found.sentence,
    )
    assert {row["contender"] for row in found.incomplete} == {"torch", "jax"}


def test_a_profile_of_which_the_run_tells_nothing_is_refused_where_it_was_asked_for(
    typed: Typed, tmp_path: Path
) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    mine = written(tmp_path, f'title = "Mine"\nworkloads = ["nosuch*"]\n{TRAINING}')
    for command in ("show", "report"):
        result = typed(command, str(folder), "--profile", mine)
        assert result.returncode == 2
        assert "profile 'mine': this run holds too little" in result.stderr
        assert "workloads nosuch*; it has " in result.stderr


def test_who_is_just_within_a_limit_keeps_it(tmp_path: Path) -> None:
    """`at most` is at most, as in what would flip it."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    memory = '[[objective]]\nmeasure = "peak_memory"\nweight = 0\nat_most = '
    for most, out in (("400 MB", set()), ("399 MB", {"torch", "jax"})):
        found = asked(folder, f'{TRAINING}{memory}"{most}"\n')
        assert {each["contender"] for each in found.incomplete} == out


def test_three_launches_choose_nobody_among_those_that_did_not_leave(tmp_path: Path) -> None:
    """numpy left: that it is behind is known, and of the other two nothing is."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0, "numpy": 9.0}, launches=3)
    place = "resnet18@112/b4/train/float32/cpu"
    left = {"kind": "event", "what": "settled", "reason": "", "comparison": place}
    add(folder, {**left, "contender": "numpy"})
    found = of(folder, "training-throughput")
    verdicts = {row["contender"]: row["verdict"] for row in found.ranking}
    assert found.choice is None
    assert (verdicts["jax"], verdicts["numpy"]) == ("screening", "materially_slower")
    add(folder, {**left, "contender": "jax"})
    assert of(folder, "training-throughput").choice == "torch"


def test_who_in_some_launches_is_as_fast_leaves_a_choice_open_as_it_does_a_comparison(
    tmp_path: Path,
) -> None:
    """In two launches of twelve jax is in a mode that is torch's; its mean is behind."""
    speeds = {"torch": 1.0, "jax": 3.0}
    folder = write_run(tmp_path / "run", speeds, launches=12, workloads=WORKLOADS[3:])
    assert of(folder, "training-throughput").choice == "torch"
    quick = times({"resnet18@112": {"jax": 0.33}})
    edit_groups(folder, lambda group: group["launch"] not in (3, 8) or quick(group))
    [comparison] = analyse(records.read(folder)).comparisons
    found = of(folder, "training-throughput")
    assert (comparison.winner, found.choice, found.verdict) == (None, None, "multimodal")
    assert found.high is not None and found.high < 1 / 1.03


def test_a_run_s_added_launches_keep_the_spread_of_the_first_six(tmp_path: Path) -> None:
    """In a verdict and in a choice: six spread by a quarter, and those after them agree."""
    folder = write_run(
        tmp_path / "run", {"torch": 1.0, "jax": 1.15}, launches=20, workloads=WORKLOADS[3:]
    )

    def noisy(group: dict[str, Any]) -> bool:
        by = math.exp(0.25 * (-1) ** group["launch"]) if group["launch"] < 7 else 1.0
        return times({"resnet18@112": {"jax": by}})(group)

    edit_groups(folder, noisy)
    assert of(folder, "training-throughput").choice == "torch"
    add(folder, {"kind": "event", "what": "second stage", "reason": ""})
    [comparison] = analyse(records.read(folder)).comparisons
    found = of(folder, "training-throughput")
    assert (comparison.winner, found.choice, found.launches) == (None, None, 20)
    pair = comparison.ratio("torch", "jax")
    assert pair is not None and (found.low, found.high) == pytest.approx((pair.low, pair.high))


def test_a_run_in_which_nobody_has_a_rival_says_so_in_its_first_line(tmp_path: Path) -> None:
    run = records.read(write_run(tmp_path / "alone", {"torch": 1.0}))
    assert answer(analyse(run).recommendations) == "Nothing is decided: torch has no rival."
    assert answer([]) == ""
