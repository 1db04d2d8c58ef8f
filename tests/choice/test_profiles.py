"""Claims about profiles: what can be written in one, and what is then recommended."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Wrong
from harness.record import records
from harness.stats import uses
from reports.choice import objectives, overall, profiles
from reports.verdicts import analyse
from tests.support.choices import asked, written
from tests.support.synthetic import EVERYONE, WORKLOADS, edit_cells, edit_groups, write_run

GOOD = '[[objective]]\nmeasure = "latency"\nweight = 1\n'


def test_every_profile_that_comes_along_is_read_and_in_the_order_of_the_page() -> None:
    found = profiles.load()
    assert [each.name for each in found] == list(profiles.ORDER)
    for each in found:
        assert sum(objective.weight for objective in each.objectives) == pytest.approx(1)
        assert each.title and each.summary
        assert {o.of for o in each.objectives} <= {None, *uses.USES}
    assert set(objectives.MEASURES) == set(profiles.FITTING)


def test_a_score_is_the_product_of_its_factors_to_the_power_of_their_weights(
    tmp_path: Path,
) -> None:
    """What the page works out in front of the reader comes to the score that was compared."""
    folder = write_run(tmp_path / "run")
    edit_cells(folder, "jax", seconds={"total": 9.0})
    seen = 0
    for choice in analyse(records.read(folder)).recommendations:
        for row in choice.ranking:
            assert sum(each["weight"] for each in row["factors"]) == pytest.approx(1)
            made = math.prod(each["ratio"] ** each["weight"] for each in row["factors"])
            assert made == pytest.approx(row["ratio"])
            seen += len(row["factors"]) > 1 and row["ratio"] != 1
    assert seen


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["title"]),
        ('title = "x"', ["'objective' is missing", "as in [[objective]] and below it measure ="]),
        ('title = "x"\n' + GOOD + "wait = 3", ["wait", "measure", "weight", "at_most"]),
        ('titel = "x"\n' + GOOD, ["titel", "title"]),
        ('title = "x"\n' + GOOD.replace("1", "-1"), ["weight is -1: expected a number, 0 or more"]),
        ('title = "x"\nworkloads = "three*"\n' + GOOD, ['as in workloads = ["three*"]']),
        ('title = "x"\n' + GOOD.replace("[[", "[").replace("]]", "]"), ["as in [[objective]] and"]),
        ('title = "x"\n' + GOOD.replace("1", "nan"), ["weight"]),
        ('title = "x"\n' + GOOD.replace("1", "inf"), ["weighs nothing"]),
        ('title = "x"\n' + GOOD.replace("1", "0"), ["weighs nothing", "above 0"]),
        (
            'title = "x"\n' + GOOD.replace("latency", "speed"),
            ["speed", "throughput", "peak_memory"],
        ),
        ('title = "x"\n' + GOOD + 'of = "fun"', ["'fun'", "'training'"]),
        ('title = "x"\n' + GOOD + 'at_most = "5 MB"', ["5 MB", "latency", "ms"]),
        ('title = "x"\n' + GOOD + "at_most = -1", ["-1"]),
        ('title = "x"\n' + GOOD + GOOD, ["twice", "'latency'"]),
        ('title = "x"\ndevice = "tpu"\n' + GOOD, ["tpu", "cpu, cuda"]),
        ("title = ", ["is not TOML"]),
        ('title = "x"\n' + GOOD + 'enough = "5 ms"', ["enough", "first_result", "latency"]),
    ],
)
def test_a_wrong_profile_is_one_line_that_names_what_is_wrong(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(Wrong) as wrong:
        profiles.load([written(tmp_path, text)])
    for word in words:
        assert word in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_profile_that_is_not_there_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(Wrong, match=r"unknown profile 'trainin'.*training-throughput"):
        profiles.load(["trainin"])
    with pytest.raises(Wrong, match="cannot be read"):
        profiles.load([str(tmp_path / "gone.toml")])


def test_a_limit_may_have_a_unit(tmp_path: Path) -> None:
    text = 'title = "x"\n' + GOOD + 'at_most = "5 ms"\n'
    text += '[[objective]]\nmeasure = "peak_memory"\nweight = 0\nat_most = "1.5 GB"\n'
    [found] = profiles.load([written(tmp_path, text)])
    assert [o.at_most for o in found.objectives] == [0.005, 1.5e9]
    small = 'title = "x"\n' + GOOD + "at_most = 0.00005\n"
    [found] = profiles.load([written(tmp_path, small)])
    assert found.objectives[0].at_most == pytest.approx(5e-5)


# --- what is recommended ------------------------------------------------------------------------

TRAINING = '[[objective]]\nmeasure = "throughput"\nof = "training"\nweight = 1\n'
START = '[[objective]]\nmeasure = "first_result"\nof = "training"\n'


def test_a_limit_rules_out_the_fastest_and_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    edit_cells(folder, "torch:compile", seconds={"total": 40.0})
    free = asked(folder, TRAINING)
    assert free.choice == "torch:compile"
    bound = asked(folder, TRAINING + START + 'weight = 0\nat_most = "5 s"\n')
    assert bound.choice != "torch:compile"
    [out] = [row["why"] for row in bound.incomplete if row["contender"] == "torch:compile"]
    assert "40 s" in out and "at most 5 s" in out
    [steps] = [limit.steps for limit in free.limits if limit.measure == "first_result"]
    assert [(s.low, s.leader) for s in steps[1:]] == [
        (pytest.approx(4.0), bound.ranking[0]["contender"]),
        (pytest.approx(40.0), "torch:compile"),
    ]


def test_a_weight_on_the_start_changes_the_choice_and_the_flip_is_told_beforehand(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path, {"torch": 1.0, "slow-start": 0.5})
    edit_cells(folder, "slow-start", seconds={"total": 64.0})  # 16 times the other's 4 s
    free = asked(folder, TRAINING)
    assert free.choice == "slow-start"
    # 0.5^(1-w) 16^w = 1 at w = 1/5
    assert "torch leads if time to first result weighs more than 20% (now 0%)" in free.flips
    assert asked(folder, TRAINING + START + "weight = 0.11\n").choice == "slow-start"
    assert asked(folder, TRAINING + START + "weight = 0.22\n").choice is None  # 30% of a look
    assert asked(folder, TRAINING + START + "weight = 1\n").choice == "torch"


def test_less_than_enough_is_no_better(tmp_path: Path) -> None:
    """4 s against 0.2 s of a start decides, unless nobody would notice."""
    folder = write_run(tmp_path, {"torch": 1.0, "numpy": 3.0})
    edit_cells(folder, "numpy", seconds={"total": 0.2})
    assert asked(folder, TRAINING + START + "weight = 1\n").choice == "numpy"
    assert asked(folder, TRAINING + START + 'weight = 1\nenough = "5 s"\n').choice == "torch"


@pytest.mark.parametrize("name", profiles.ORDER)
@pytest.mark.parametrize("status", ["wrong", "crash", "oom", "timeout", "unsupported"])
def test_who_failed_what_a_profile_needs_does_not_win_it(
    tmp_path: Path, name: str, status: str
) -> None:
    failures = {("resnet18", "torch:compile"): (status, "it did")}
    folder = write_run(tmp_path, failures=failures)
    [found] = analyse(records.read(folder), profiles.load([name])).recommendations
    needs_it = any("resnet18" in id_ for id_ in found.comparisons)
    if needs_it:
        assert found.choice != "torch:compile" and "torch:compile" not in found.tied
        assert [row["contender"] for row in found.incomplete] == ["torch:compile"]
    else:
        assert name == "batch-inference" and found.choice == "torch:compile"


def test_who_does_not_train_is_no_choice_where_training_is_weighed_though_none_was_measured(
    tmp_path: Path,
) -> None:
    """The fastest engine of a run of inference alone is not the one framework for everything."""
    folder = write_run(tmp_path, {"torch": 1.0, "engine": 0.5}, workloads=WORKLOADS[1:3])
    plan = json.loads((folder / "plan.json").read_text())
    for contender in plan["contenders"]:
        contender["trains"] = contender["adapter"] != "engine"
    (folder / "plan.json").write_text(json.dumps(plan))
    found = {r.profile: r for r in analyse(records.read(folder)).recommendations}
    assert found["batch-inference"].choice == "engine"
    assert "general-use" not in found  # 40% of it is training
    some = asked(folder, GOOD.replace("weight = 1", "weight = 3") + TRAINING)
    assert some.lacking == ["throughput in training"]
    assert {"contender": "engine", "why": "it does not train"} in some.incomplete


def test_what_was_not_measured_is_said_and_counts_against_nobody(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    found = asked(folder, TRAINING + '[[objective]]\nmeasure = "energy"\nweight = 0.5\n')
    assert found.choice == "torch:compile"
    assert any("energy" in text and "33%" in text for text in found.unknown)
    most = asked(folder, TRAINING + '[[objective]]\nmeasure = "energy"\nweight = 9\n')
    assert most.choice is None
    assert "90% of what is weighed was not measured" in most.sentence


def test_latency_in_training_is_of_whole_turns_since_its_calls_are_queued(tmp_path: Path) -> None:
    """Host stamps of a queue: one waits for all, the others for nothing. Their quartile is 0."""
    folder = write_run(tmp_path, {"torch": 1.0, "jax": 2.0})

    def queued(group: dict[str, Any]) -> bool:
        if group["direction"] == "train":
            for turn in group["turns"]["jax"]:
                last = turn["total_ns"] - 1000 * (len(turn["calls"]) - 3)
                turn["calls"] = [*([1000] * (len(turn["calls"]) - 1)), last]
        return True

    edit_groups(folder, queued)
    for measure in ("latency", "throughput"):
        wish = f'[[objective]]\nmeasure = "{measure}"\nof = "training"\nweight = 1\n'
        found = asked(folder, wish)
        assert found.choice == "torch" and found.ratio == pytest.approx(0.5, rel=0.02)
    assert asked(folder, wish).objectives[0]["told"]["jax"] in ("199/s", "200/s")
    tail = '[[objective]]\nmeasure = "latency_p99"\nof = "training"\nweight = 1\n'
    assert asked(folder, tail).choice is None  # nobody knows


def test_energy_counts_where_turns_have_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path)

    def metered(group: dict[str, Any]) -> bool:
        for name, turns in group["turns"].items():
            for turn in turns:
                turn["energy_j"] = 60.0 if name == "torch:compile" else 6.0
        return True

    edit_groups(folder, metered)
    wish = '[[objective]]\nmeasure = "energy"\nof = "training"\nweight = 1\n'
    found = asked(folder, wish)
    assert found.choice is None and "torch:compile" not in found.tied
    told = found.objectives[0]["told"]
    # Eight calls a turn, the dropped ones too, of 4 images each.
    assert (told["torch"], told["torch:compile"]) == ("188 mJ", "1.88 J")


def test_a_figure_beside_a_ratio_over_several_workloads_is_their_geometric_mean(
    tmp_path: Path,
) -> None:
    nets = [("big", "convnet", 1, 224, "train", True), ("small", "convnet", 100, 32, "train", True)]
    folder = write_run(tmp_path, {"torch": 1.0, "jax": 2.0}, workloads=nets)
    found = asked(folder, TRAINING)
    [rate] = [each for each in found.objectives if each["measure"] == "throughput"]
    # Calls of 10 ms: 100 and 10,000 items a second, whose geometric mean is 1,000.
    assert rate["over"] == "geometric mean of 2 workloads"
    assert rate["told"]["torch"] in ("998/s", "999/s", "1 k/s", "1e+03/s")
    assert rate["values"]["torch"] == pytest.approx(0.01, rel=0.02)  # what a limit is held against


def test_all_choices_are_told_in_a_breath_and_what_is_not_proved_is_told_apart(
    tmp_path: Path,
) -> None:
    analysis = analyse(records.read(write_run(tmp_path, {"torch": 1.0, "jax": 2.0})))
    told = overall.answer(analysis.recommendations)
    assert told.startswith("Decided: torch for General use, Training throughput, ")
    assert told.endswith(" and Small memory. Leading, not proven: torch for Low-latency serving.")
    tied = replace(analysis.recommendations[0], choice=None, tied=["a", "b"], untold=["c", "d"])
    told = overall.answer([tied])
    assert (
        told == "Nothing is decided. A tie: a and b for General use (c and d not told apart yet)."
    )
    few = analyse(records.read(write_run(tmp_path / "few", {"a": 1.0, "b": 2.0}, 2)))
    told = overall.answer(few.recommendations)
    assert told.startswith("Nothing is decided. Leading, not proven: a for General use, ")
    uses = few.recommendations
    alone = [replace(each, choice=None, tied=[], ranking=each.ranking[:1]) for each in uses]
    assert overall.answer(alone) == "Nothing is decided: a has no rival."  # nor does he lead


def test_the_size_of_an_installation_counts_where_it_is_known_of_all(tmp_path: Path) -> None:
    folder = write_run(tmp_path, {"torch": 1.0, "jax": 1.0})
    wish = '[[objective]]\nmeasure = "installed_size"\nweight = 1\n' + TRAINING
    assert sum("size of the installation" in text for text in asked(folder, wish).unknown) == 1
    path = folder / "environment.json"
    seen = json.loads(path.read_text())
    for name, size in (("torch", 9 * 10**8), ("jax", 3 * 10**8)):
        seen["contenders"][name]["environment"] = {"installed_bytes": size}
    path.write_text(json.dumps(seen))
    found = asked(folder, wish)
    assert found.choice == "jax"
    assert found.ratio == pytest.approx(3**-0.5, rel=0.02)
    assert found.once == 0  # a size is counted, not sampled


def test_a_price_gives_what_a_million_costs_and_changes_no_choice(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    wish = TRAINING.replace("throughput", "cost")
    assert any("--price" in text for text in asked(folder, TRAINING + wish).unknown)
    found = asked(folder, wish, price=3.6)
    assert found.choice == "torch:compile"
    [row] = [each for each in found.objectives if each["measure"] == "cost"]
    # 10 ms a call of 4 images at 0.001 a second: 2.5 for a million
    assert row["values"]["torch"] == pytest.approx(2.5, rel=0.02)
    plain = asked(folder, TRAINING, price=3.6)
    assert (plain.choice, plain.ratio) == (found.choice, pytest.approx(found.ratio))
    assert any(each["measure"] == "cost" for each in plain.objectives)


def test_only_the_workloads_that_are_named_count(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    found = asked(folder, 'workloads = ["resnet20"]\n' + GOOD)
    assert found.comparisons == ["resnet20/b32/infer/float32/cpu"]


def test_workloads_that_are_left_out_do_not_count(tmp_path: Path) -> None:
    """What is trained in minutes says nothing of days: a mean would weigh it like the others."""
    nets = [WORKLOADS[3], ("threelayer", "convnet", 50, None, "train", False)]
    folder = write_run(tmp_path / "both", workloads=nets)
    found = {r.profile: r for r in analyse(records.read(folder)).recommendations}
    assert found["training-throughput"].comparisons == ["resnet18@112/b4/train/float32/cpu"]
    assert len(found["prototyping"].comparisons) == 2
    mine = asked(folder, 'without = ["resnet*"]\n' + TRAINING)
    assert mine.comparisons == ["threelayer/b50/train/float32/cpu"]
    folder = write_run(tmp_path / "toy", workloads=nets[1:])
    told = {r.profile for r in analyse(records.read(folder)).recommendations}
    assert "training-throughput" not in told and "prototyping" in told


def test_a_workload_that_decides_alone_is_named_among_what_flips_it(tmp_path: Path) -> None:
    """torch:compile wins by one net; without it, torch leads."""
    nets = [
        ("resnet20", "convnet", 32, None, "infer", False),
        ("alexnet", "convnet", 32, None, "infer", False),
    ]
    folder = write_run(tmp_path, {"torch": 1.0, "torch:compile": 0.6}, workloads=nets)

    def slow(group: dict[str, Any]) -> bool:
        if group["comparison"].startswith("alexnet"):
            for turn in group["turns"]["torch:compile"]:
                turn["calls"] = [2 * ns for ns in turn["calls"]]
                turn["total_ns"] *= 2
        return True

    edit_groups(folder, slow)
    found = asked(folder, GOOD.replace("latency", "throughput") + 'of = "throughput"\n')
    assert found.choice == "torch:compile"
    alexnet, resnet20 = (f"{net} b32 infer" for net in ("alexnet", "resnet20"))
    assert f"torch leads without {resnet20}" in found.flips
    assert not any("alone" in flip or alexnet in flip for flip in found.flips)  # told once


def test_who_is_level_elsewhere_and_faster_here_is_named_beside_one_that_leads_by_its_start(
    tmp_path: Path,
) -> None:
    """And who is faster everywhere is not: that would be said of every workload."""
    for speed, told in ((1.0, "But on threelayer b50 train it takes 1.5"), (0.8, "")):
        two = [WORKLOADS[3], ("threelayer", "convnet", 50, None, "train", False)]
        names = {"torch": 1.0, "slow-start": speed}
        folder = write_run(tmp_path / str(speed), names, workloads=two)
        edit_cells(folder, "slow-start", seconds={"total": 64.0})

        def faster(group: dict[str, Any]) -> bool:
            for turn in group["turns"]["slow-start"] if "three" in group["comparison"] else ():
                turn["calls"] = [2 * call // 3 for call in turn["calls"]]
                turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
            return True

        edit_groups(folder, faster)
        found = asked(folder, TRAINING + START + "weight = 1\n")
        assert found.choice == "torch"
        assert ("But on" in found.sentence) == bool(told) and told in found.sentence


def test_what_profiles_say_goes_into_json(tmp_path: Path) -> None:
    for launches in (0, 1, 6):
        folder = write_run(tmp_path / str(launches), EVERYONE, launches=launches)
        found = asdict(analyse(records.read(folder), price=2.0))
        json.dumps(found, allow_nan=False)
        assert len(found["recommendations"]) == 7
        assert all({"flips", "limits", "unknown"} <= set(r) for r in found["recommendations"])


def _turned(folder: Path, where: str) -> None:
    """Among these comparisons jax, which is the slower one, takes half of torch's time."""

    def edit(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["jax"] if where in group["comparison"] else ():
            turn["calls"] = [call // 3 for call in turn["calls"]]
            turn["total_ns"] //= 3
        return True

    edit_groups(folder, edit)


def test_another_batch_means_the_very_same_networks(tmp_path: Path) -> None:
    one = ("resnet18", "convnet", 1, 224, "infer", False)
    for name, more, told in (
        ("same", ("resnet18", "convnet", 32, 224, "infer", False), True),
        ("other", ("resnet20", "convnet", 32, None, "infer", False), False),
    ):
        folder = write_run(tmp_path / name, {"torch": 1.0, "jax": 1.5}, workloads=[one, more])
        _turned(folder, "/b32/")
        found = asked(folder, GOOD + 'of = "single-image latency"\n')
        assert found.choice == "torch"
        assert ("jax leads at batch 32" in found.flips) is told
        assert ("another batch" in found.steady) is told


def test_what_cannot_be_tried_is_not_said_to_flip_nothing(tmp_path: Path) -> None:
    one = [("resnet18", "convnet", 1, 224, "infer", False)]
    folder = write_run(tmp_path / "one", {"torch": 1.0, "jax": 1.5}, workloads=one)
    assert asked(folder, GOOD).steady == "every weight"


def test_who_breaks_a_limit_takes_no_objective_from_the_others(tmp_path: Path) -> None:
    """jax is out for its latency; that its memory is not known takes memory from nobody."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "tensorflow": 1.2, "jax": 5.0})
    edit_cells(folder, "jax", memory={"peak_rss_bytes": None})
    found = asked(
        folder,
        '[[objective]]\nmeasure = "peak_memory"\nweight = 0.5\nof = "single-image latency"\n'
        '[[objective]]\nmeasure = "latency"\nweight = 0.5\nof = "single-image latency"\n'
        'at_most = "20 ms"\n',
    )
    assert [row["contender"] for row in found.incomplete] == ["jax"]
    assert [each["measure"] for each in found.objectives if each["weight"]] == [
        "peak_memory",
        "latency",
    ]


def test_a_limit_on_a_rate_is_told_as_the_least_that_is_asked_for(tmp_path: Path) -> None:
    """It is given as the time of an item: 3 ms are 333 a second. Four items take
    10 and 20, and a bit.
    """
    folder = write_run(tmp_path, {"torch": 1.0, "jax": 2.0})
    found = asked(folder, TRAINING + 'at_most = "3 ms"\n')
    [out] = found.incomplete
    assert out == {"contender": "jax", "why": "throughput of 199/s, at least 333/s is asked for"}
