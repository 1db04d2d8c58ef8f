"""Claims about budgets: what is measured in one, what gives way when time or room is short, and the
estimates that say so."""

import os
import re
import subprocess
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from harness import durations
from harness.commands import outlook
from harness.host import gpus, machine
from harness.plan import estimate, fitting, plan, suite
from harness.plan.question import Question, select
from harness.plan.suite import Comparison
from harness.run import budget
from harness.run.runner import Runner
from harness.stats import uses
from harness.worker import timing
from tests.support.plans import planned

NAMES = ["torch", "torch:compile", "tensorflow", "tensorflow:xla", "jax", "numpy"]


def test_what_cannot_fit_is_left_out_with_its_reason_and_the_first_never_is() -> None:
    made, _ = planned(suite.load("full"), NAMES, budget=1.0)
    assert len(made.comparisons) == 1
    assert len(made.left_out) == len(suite.load("full").comparisons) - 1
    assert all("would not fit" in left["reason"] for left in made.left_out)


def test_what_is_too_large_leaves_room_for_what_fits_though_it_is_asked_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 1e11)  # two cores
    made, _ = planned(suite.load("full"), NAMES, budget=7200.0)
    assert made.left_out[0]["comparison"].startswith("resnet50/b32/train")
    assert len(made.comparisons) > 1


def test_what_the_user_named_is_never_left_out() -> None:
    made, _ = planned(suite.load("full"), NAMES, budget=1.0, named=True)
    assert not made.left_out


def test_a_smaller_question_gets_its_share_of_the_time_but_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 3e11)
    quick = suite.load("quick")
    assert planned(quick, NAMES)[0].budget_s == 600
    assert planned(quick, NAMES[:3])[0].budget_s == 300
    few = select(quick, Question("resnet18"))
    assert {c.direction for c in few} == {"infer", "train"}
    assert planned(quick, ["torch", "jax"], few)[0].budget_s == fitting.LEAST_BUDGET


def test_two_networks_of_a_suite_of_ten_have_more_than_a_fifth_of_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They take as long as all its operations together: by their number they had too little."""
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 3e11)
    quick = suite.load("quick")
    few = select(quick, Question("resnet18"))
    cheap = select(quick, Question("relu*"))
    budgets = [planned(quick, NAMES, chosen)[0].budget_s for chosen in (few, cheap)]
    assert 600 / 5 * 1.5 < budgets[0] < 600
    assert budgets[1] == fitting.LEAST_BUDGET


def test_who_can_do_nothing_of_the_suite_itself_has_a_budget_for_what_is_asked_beside_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[compare]]\nworkload = "lenet5"\ndirection = "train"\n')
    mine = suite.load(str(path))
    asked = [Comparison("lenet5", 1)]
    assert planned(mine, ["onnxruntime"], asked)[0].budget_s >= fitting.LEAST_BUDGET


def test_a_suite_that_names_its_contenders_has_the_budget_it_asks_for(tmp_path: Path) -> None:
    for asked, wanted in (("10m", 600), ("30s", 30)):
        path = tmp_path / "mine.toml"
        path.write_text(
            f'title = "Mine"\nsummary = "Two."\nbudget = "{asked}"\n'
            'contenders = ["torch", "jax"]\n[[compare]]\nworkload = "relu_16x32x32"\n',
            "utf-8-sig",  # as some editors write it
        )
        assert planned(suite.load(str(path)), ["torch", "jax"])[0].budget_s == wanted


@pytest.mark.parametrize("seconds", [20.0, 240.0])
def test_a_budget_that_is_too_small_names_the_one_that_holds_all(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that is slower by a tenth when it is asked again, too."""

    def shown(budget: float, rate: float) -> str:
        monkeypatch.setattr(estimate, "matrix_rate", lambda: rate)
        console = Console(file=StringIO(), width=200)
        quick = suite.load("quick")
        made, estimates = planned(quick, ["numpy", "c"], budget=budget)
        outlook.show(made, quick, estimates, console)
        return console.file.getvalue()  # type: ignore[attr-defined]

    short = shown(seconds, 5e10)
    assert ("Left out: resnet18" in short) == (seconds == 20)
    [whole] = re.findall(r"in six launches: --budget (\w+)", short)
    enough = shown(durations.seconds(whole), 0.9 * 5e10)
    assert "left out" not in enough.lower() and "six launches: --budget" not in enough


def test_one_image_has_the_calls_of_a_p99_where_they_take_a_part_of_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """3.6e9 operations at 0.3 of 1.6e11 a second, by two, 100 times, in six launches: 91 s."""
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 1.6e11)
    quick = suite.load("quick")
    assert (quick.calls, quick.calls_share) == (100, 0.25)

    def held(budget: float) -> tuple[int, str]:
        made, estimates = planned(quick, ["numpy", "c"], budget=budget)
        [one] = [c for c in made.comparisons if c.batch == 1]
        assert not any(c.calls for c in made.comparisons if c is not one)
        console = Console(file=StringIO(), width=200)
        outlook.show(made, quick, estimates, console)
        return one.calls, console.file.getvalue()  # type: ignore[attr-defined]

    short, told = held(340.0)
    assert short == 0
    [needed] = re.findall(r"with the slowest in a hundred: --budget (\w+)", told)
    for seconds in (380.0, durations.seconds(needed)):
        enough, told = held(seconds)
        assert enough == 100 and "slowest in a hundred" not in told


def test_a_share_goes_to_the_first_of_a_suite_that_have_room_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six launches of 100 calls, by two: ResNet-18 takes 91 s, MobileNet 29, GoogLeNet 79."""
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 1.6e11)
    serving = msgspec.structs.replace(suite.load("serving"), calls_share=0.25)
    for seconds, names in (
        (500.0, {"resnet18", "mobilenet_v2"}),
        (340.0, {"mobilenet_v2"}),
        (1000.0, {"resnet18", "mobilenet_v2", "googlenet"}),
    ):
        made, _ = planned(serving, ["numpy", "c"], budget=seconds)
        assert {c.workload for c in made.comparisons if c.calls} == names


def test_a_suite_that_names_no_share_holds_its_calls_whatever_they_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 1e11)
    made, _ = planned(suite.load("serving"), ["numpy", "c"], budget=60.0)
    assert {c.calls for c in made.comparisons if c.batch == 1} == {100}


@pytest.mark.parametrize("budget", [60.0, 150.0, 400.0, 1500.0, 3600.0])
def test_what_differs_in_threads_alone_is_had_or_left_as_one(
    budget: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one number would be ranked by its slowest calls or its blocks, and the other not."""
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 1e11)
    for name, device in (("quick", "cpu"), ("full", "cuda:0")):
        loaded = suite.load(name)
        asked = select(loaded, Question(threads="1,2"))
        made, _ = planned(loaded, NAMES[:4], asked, budget=budget, device=device, threads=2)
        assert made.comparisons
        for same in plan.together(made.comparisons):
            assert [c.threads for c in same] == [1, 2]
            assert len({(c.calls, c.sustained_s) for c in same}) == 1


def test_what_a_gpu_has_no_room_for_is_not_said_to_want_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = [{"name": "GPU", "memory_bytes": 5e9}]
    monkeypatch.setattr(gpus, "described", lambda: small)
    asked = [Comparison("vgg_a", batch, 224, "train") for batch in (1, 256)]
    made, estimates = planned(suite.load("full"), NAMES[:2], asked, 36000.0, device="cuda:0")
    [left] = made.left_out
    assert "side by side" in left["reason"]
    out = StringIO()
    outlook.show(made, suite.load("full"), estimates, Console(file=out, width=300))
    assert "side by side" in out.getvalue() and "want of time" not in out.getvalue()


def test_a_processors_rate_is_of_all_its_cores_whatever_a_shell_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cluster's often says one thread, and a budget would seem too small by as many. One core is
    asked, which other programs hinder least, and counted as often as there are cores."""
    asked: dict[str, str] = {}
    run = subprocess.run

    def seen(command: list[str], **how: Any) -> Any:
        asked.update(how["env"])
        return run(command, **how)

    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(subprocess, "run", seen)
    monkeypatch.setattr(machine, "cpu_set", lambda *_: {*range(1000)})
    assert estimate.matrix_rate.__wrapped__() > 1e12
    assert asked["OMP_NUM_THREADS"] == asked["OPENBLAS_NUM_THREADS"] == "1"


def test_a_gpus_time_is_not_guessed_from_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 1e10)
    work = estimate.Work(flops=8e11, bytes=1e9, layers=50, trains=True)
    assert estimate.call(work) > 100 > 1 > estimate.call(replace(work, device="cuda:0"))


def test_what_a_gpus_driver_promises_decides_what_a_budget_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An hour of `full`: on a fast GPU all kinds of work, on a slow one no single operations."""
    full = suite.load("full")
    kept = {}
    for gpu, promised in {"H100": (6.7e13, 3.4e12), "T4": (8.1e12, 3.2e11), "": None}.items():
        monkeypatch.setattr(gpus, "rates", {0: promised}.__getitem__)
        made, _ = planned(full, NAMES[:-1], device="cuda:0")
        kept[gpu] = made.comparisons
        kinds = {c.kind for c in made.comparisons}
        assert kinds == {"block", "convnet"} | ({"micro"} if gpu == "H100" else set())
        precisions = {c.precision for c in made.comparisons}
        assert precisions == {"float32", "bfloat16"} | ({"tf32"} if gpu == "H100" else set())
        assert {c.direction for c in made.comparisons} == {"infer", "fwd_bwd", "train"}
    assert len(kept["H100"]) > 1.5 * len(kept["T4"])
    assert kept[""] == kept["T4"]


@pytest.mark.parametrize(("gigabytes", "gone"), [(14, 1), (80, 0), (None, 0)])
def test_what_a_gpu_has_no_room_for_side_by_side_is_left_out_unless_it_was_named(
    monkeypatch: pytest.MonkeyPatch, gigabytes: int | None, gone: int
) -> None:
    """Else whoever comes last is out of memory: five times 3 GB at the least in resnet50, b32,
    numpy having no GPU."""
    size = gigabytes and gigabytes * 10**9
    monkeypatch.setattr(gpus, "described", lambda: [{"name": "A GPU", "memory_bytes": size}])
    asked = [
        Comparison(workload="resnet50", batch=32, direction="train"),
        Comparison(workload="resnet18", batch=64, direction="train"),
        Comparison(workload="resnet50", batch=32, direction="infer"),
    ]
    full = suite.load("full")
    for named in (False, True):
        made, _ = planned(full, NAMES, asked, budget=1e9, device="cuda:0", named=named)
        left = [each["comparison"] for each in made.left_out]
        assert left == (
            [] if named else [f"{c.workload}/b{c.batch}/train/float32/cuda:0" for c in asked[:gone]]
        )
        for each in made.left_out:
            assert re.fullmatch(
                r"5 contenders side by side take \d+ GB of the GPU at the least, which has 14; "
                "name fewer with --contenders",
                each["reason"],
            )


def test_first_calls_that_overlap_on_a_processor_follow_one_another_on_a_device() -> None:
    work = estimate.Work(flops=0, bytes=0, layers=50, trains=True)
    alone = replace(work, device="cuda:0")
    assert estimate.later_launch(alone, 1.0) == pytest.approx(2 * estimate.later_launch(work, 1.0))


def test_headline_trainings_have_blocks_as_many_as_fit_into_a_quarter_of_the_budget() -> None:
    """With `full`'s own budget and its four contenders on a GPU, one of its two at least."""
    full = suite.load("full")
    made, _ = planned(full, NAMES, device="cuda:0")
    blocks = [c for c in made.comparisons if c.sustained_s]
    for c in blocks:  # which are no turns
        bare = msgspec.structs.replace(c, sustained_s=0.0)
        with_, without = (fitting.estimated(each, made.contenders, 6) for each in (c, bare))
        assert with_.turns == without.turns > 0
        assert with_.first == pytest.approx(without.first + c.sustained_s * len(c.able))
    assert blocks and all(c.headline and c.direction == "train" for c in blocks)
    needed = sum(6 * c.sustained_s * len([n for n in c.contenders if "#" not in n]) for c in blocks)
    assert needed <= made.budget_s / 4
    counts = {}
    for launches in (1, 3, 20):
        other, _ = planned(full, NAMES, device="cuda:0", launches=launches)
        counts[launches] = sum(c.sustained_s > 0 for c in other.comparisons)
    assert counts[1] >= counts[3] >= len(blocks) > counts[20] == 0


def test_a_launch_of_one_image_holds_the_hundred_calls_that_a_suite_asks_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of whole networks, however long a call takes; what else is timed has turns of 40 ms."""
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 3e11)
    made, estimates = planned(suite.load("serving"), ["torch", "onnxruntime", "numpy"])
    plan.begin(made, tmp_path / "r")
    runner = Runner(made, tmp_path / "r", lambda *_, **__: None, 1.0)
    os.close(runner.lock)
    asked = {c.id for c in made.comparisons if c.calls}
    assert asked == {c.id for c in made.comparisons if c.batch == 1} < set(estimates)
    for comparison in made.comparisons:
        key = (comparison.id, "torch")
        runner.frozen.freeze(key, {"needed": 10, "call": 0.3})
        calls = runner.frozen.calls(key)
        kept = budget.least_rounds(3) * (calls - timing.dropped_of(calls))
        assert (kept >= 100) == (comparison.id in asked) == (calls > 1)
    asking = suite.load("serving")
    bare = msgspec.structs.replace(asking, calls=0)
    less = planned(bare, ["torch", "onnxruntime", "numpy"])[1]
    few = [c for c in bare.comparisons if (c.workload, c.batch) == ("resnet18", 1)]
    shares = [planned(each, [*each.contenders], few)[0].budget_s for each in (bare, asking)]
    assert shares[1] > 1.1 * shares[0]
    alone = [planned(asking, [*asking.contenders], [c])[0].budget_s for c in asking.comparisons]
    assert sum(alone) == pytest.approx(1800, rel=0.1) and min(alone) > fitting.LEAST_BUDGET
    dearer = {i for i in estimates if estimates[i].launch > less[i].launch}
    assert dearer == asked


def test_on_a_device_every_draw_of_an_autotuner_is_expected_to_compile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two of the five later launches take as long as the first, which the others do not."""
    quick = suite.load("quick")
    asked = list(quick.comparisons)[-1:]
    found = {}
    for draws in (1, 3):
        monkeypatch.setattr(fitting, "DRAWS", draws)
        _, estimates = planned(quick, ["torch:compile"], asked, device="cuda:0", named=True)
        [found[draws]] = estimates.values()
    once, thrice = found[1], found[3]
    assert thrice.launch == pytest.approx((2 * once.first + 3 * once.launch) / 5)
    assert thrice.launch > 1.5 * once.launch


def test_fewer_threads_are_estimated_to_take_longer_and_need_starts_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(estimate, "matrix_rate", lambda: 1e10)
    monkeypatch.setattr(machine, "cpu_set", lambda: {0, 1})
    one, two = (Comparison("resnet18", 8, threads=n) for n in (1, 2))
    made, _ = planned(suite.load("quick"), ["numpy"], [one, two], budget=1e9, threads=2)
    assert [*map(uses.condition, made.comparisons)] == [
        ("cpu", "float32", 1), ("cpu", "float32", 2)
    ]  # fmt: skip
    slow, fast = (estimate.call(c.work) for c in made.comparisons)
    assert slow == pytest.approx(2 * fast, rel=0.01)
    both = fitting.launching(made.comparisons, made.contenders, 6)
    assert both == 13 / 7 * fitting.launching(made.comparisons[:1], made.contenders, 6)
