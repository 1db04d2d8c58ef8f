"""Claims about verdicts, on runs whose truth is known."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from harness.record import records
from reports import verdicts
from reports.analysis import Analysis, Ratio
from reports.pages import page
from reports.verdicts import analyse
from tests.support.synthetic import EVERYONE, WORKLOADS, edit_groups, on_a_gpu, write_run


def _analysed(folder: Path, *arguments: Any, **options: Any) -> Analysis:
    return analyse(records.read(write_run(folder / "run", *arguments, **options)))


def test_the_fastest_wins_where_it_is_faster_by_more_than_the_margin(tmp_path: Path) -> None:
    analysis = _analysed(tmp_path)
    assert not analysis.screening
    assert {c.winner for c in analysis.comparisons} == {"torch:compile"}
    training = next(r for r in analysis.recommendations if r.profile == "training-throughput")
    assert training.choice == "torch:compile"
    assert training.runner_up in ("torch", "jax")
    assert training.ratio == pytest.approx(0.82, abs=0.02)
    assert training.low is not None and training.high is not None
    assert training.low < 0.82 < training.high
    assert "Materially slower" in training.sentence and "numpy" in training.sentence


def test_a_tie_is_called_a_tie_and_nobody_wins(tmp_path: Path) -> None:
    analysis = _analysed(tmp_path, {"torch": 1.0, "jax": 1.0, "numpy": 5.0})
    assert {c.winner for c in analysis.comparisons} == {None}
    training = next(r for r in analysis.recommendations if r.profile == "training-throughput")
    assert training.choice is None
    assert set(training.tied) == {"torch", "jax"}
    assert "tie" in training.sentence


def test_the_noise_floors_twin_is_never_ranked(tmp_path: Path) -> None:
    analysis = _analysed(tmp_path, {"torch": 1.0, "jax": 2.0})
    for comparison in analysis.comparisons:
        assert comparison.winner == "torch"
        assert all("torch#2" not in (r.a, r.b) for r in comparison.ratios)
        assert comparison.noise_floor is not None
    assert analysis.noise_floor is not None and analysis.noise_floor["percent"] < 3
    for choice in analysis.recommendations:
        assert all(row["contender"] != "torch#2" for row in choice.ranking)


def test_a_wrong_contender_is_shown_and_not_ranked_however_fast(tmp_path: Path) -> None:
    failures = {("resnet18", "torch:compile"): ("wrong", "the output is off by 0.5")}
    analysis = _analysed(tmp_path, failures=failures)
    for comparison in analysis.comparisons:
        if comparison.workload == "resnet18":
            assert comparison.winner != "torch:compile"
            assert comparison.cell("torch:compile").status == "wrong"
    training = next(r for r in analysis.recommendations if r.profile == "training-throughput")
    assert training.choice != "torch:compile"
    assert [row["contender"] for row in training.incomplete] == ["torch:compile"]
    assert "off by 0.5" in training.incomplete[0]["why"]


def test_fewer_than_six_launches_name_nobody(tmp_path: Path) -> None:
    analysis = _analysed(tmp_path, launches=5)
    assert analysis.screening
    assert {c.winner for c in analysis.comparisons} == {None}
    assert {r.choice for r in analysis.recommendations} == {None}
    assert {r.verdict for c in analysis.comparisons for r in c.ratios} == {"screening"}


@pytest.mark.parametrize(
    ("contenders", "known"), [(("torch", "jax", "numpy"), True), (("torch", "jax"), False)]
)
def test_a_probe_that_nobody_else_comes_near_is_no_roof_and_is_told(
    tmp_path: Path, contenders: tuple[str, ...], known: bool
) -> None:
    """Such as an adapter's that hands out a stored result; of two, nobody says which is right."""
    run = records.read(write_run(tmp_path / "run", dict.fromkeys(contenders, 1.0)))
    plain = analyse(run)
    run.probes[:] = [
        {**probe, "flops_per_s": 1e17} if probe["contender"].startswith("torch") else probe
        for probe in run.probes
    ]
    analysis = analyse(run)
    assert analysis.roof == (plain.roof if known else None)
    said = "left out of this machine's roof" if known else "this machine has no roof"
    [told] = [w for w in analysis.warnings if said in w["what"]]
    assert told["contenders"] == ["torch"]
    assert not [w for w in plain.warnings if "machine's roof" in w["what"]]


def test_a_call_that_is_faster_than_any_machine_is_suspected_of_a_stored_result(
    tmp_path: Path,
) -> None:
    analysis = _analysed(tmp_path, {"torch": 1e-5, "jax": 1.0})
    advice = {w["advice"] for w in analysis.warnings if "past the machine's" in w["what"]}
    assert advice and all("a stored result" in each for each in advice)


def test_ratios_are_each_others_inverse(tmp_path: Path) -> None:
    for comparison in _analysed(tmp_path).comparisons:
        for pair in comparison.ratios:
            back = comparison.ratio(pair.b, pair.a)
            assert back is not None
            assert back.ratio * pair.ratio == pytest.approx(1)
            assert back.p == pair.p


def test_the_order_and_the_names_of_contenders_change_nothing(tmp_path: Path) -> None:
    """Only who is fast decides: another order of entry, other names, the same verdict."""
    turned = dict(reversed(EVERYONE.items()))
    assert {c.winner for c in _analysed(tmp_path / "a", turned).comparisons} == {"torch:compile"}
    renamed = {f"x{name}": speed for name, speed in EVERYONE.items()}
    assert {c.winner for c in _analysed(tmp_path / "b", renamed).comparisons} == {"xtorch:compile"}


@pytest.mark.parametrize(
    ("speeds", "tailed"),
    [({"a": 1.0, "b": 1.15}, "a"), ({"a": 1.1, "b": 1.0, "c": 1.0}, "bc")],
)
def test_latency_and_throughput_that_disagree_name_nobody(
    tmp_path: Path, speeds: dict[str, float], tailed: str
) -> None:
    """Some have the shorter calls but for rare long ones, which their turns pay for.

    Also where two such are equal, and so no winner by their calls.
    """
    folder = write_run(tmp_path / "run", {**speeds, "far": 5.0})

    def slow_tail(group: dict[str, Any]) -> bool:
        for turn in (turn for name in tailed for turn in group["turns"][name]):
            turn["calls"][-1] *= 4
            turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(folder, slow_tail)
    analysis = analyse(records.read(folder))
    batched = next(c for c in analysis.comparisons if c.direction == "infer" and c.batch > 1)
    assert batched.winner is None
    assert "the better latency" in batched.why and "the better throughput" in batched.why

    def full(group: dict[str, Any]) -> bool:
        if group["comparison"] == batched.id:
            del group["turns"]["far"]
            group["statuses"]["far"] = {"status": "oom", "reason": "no memory"}
        return True

    edit_groups(folder, full)  # which comes first: nobody may be named, whatever the figures say
    [again] = [c for c in analyse(records.read(folder)).comparisons if c.id == batched.id]
    assert again.why.startswith("Nobody is named: far had no room beside the others.")


def test_a_contender_alone_has_nothing_to_win(tmp_path: Path) -> None:
    analysis = _analysed(tmp_path, {"torch": 1.0})
    assert {c.winner for c in analysis.comparisons} == {None}
    assert all("nothing to" in c.why for c in analysis.comparisons)


def test_everything_can_be_said_in_json(tmp_path: Path) -> None:
    import json
    from dataclasses import asdict

    for launches in (0, 1, 6):
        analysis = _analysed(tmp_path / str(launches), launches=launches)
        json.dumps(asdict(analysis), allow_nan=False)


def test_contenders_that_never_met_in_a_launch_have_no_ratio(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0}, launches=8)

    def apart(group: dict[str, Any]) -> bool:
        del group["turns"]["jax" if group["launch"] % 2 else "torch"]
        return True

    edit_groups(folder, apart)
    analysis = analyse(records.read(folder))
    assert all(not c.ratios and c.winner is None for c in analysis.comparisons)
    assert all(r.choice is None for r in analysis.recommendations)
    assert all(len(r.incomplete) == 1 for r in analysis.recommendations)


def test_who_left_early_is_no_runner_up_for_its_wide_interval(tmp_path: Path) -> None:
    """jax leaves after three launches that spread widely: numpy, which stayed, is nearer."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 8.0, "numpy": 1.5})
    net = "resnet20/b32/infer/float32/cpu"

    def leave(group: dict[str, Any]) -> bool:
        if group["launch"] > 3:
            del group["turns"]["jax"]
        else:
            for turn in group["turns"]["jax"]:
                by = 1.0 + 0.14 * (group["launch"] - 1)
                turn["calls"] = [int(ns * by) for ns in turn["calls"]]
                turn["total_ns"] = int(turn["total_ns"] * by)
        return True

    edit_groups(folder, leave)
    writer = records.Writer(folder)
    for comparison in records.read(folder).plan["comparisons"]:
        told = {"comparison": comparison["id"], "contender": "jax", "reason": "far behind"}
        writer.write("event", what="settled", **told)
    analysis = analyse(records.read(folder))
    found = next(c for c in analysis.comparisons if c.id == net)
    jax, numpy = found.ratio("jax", "torch"), found.ratio("numpy", "torch")
    assert jax is not None and numpy is not None and jax.low is not None and numpy.low is not None
    assert jax.confidence == 0.999 and jax.low < numpy.low
    assert found.runner_up == "numpy"
    for choice in analysis.recommendations:  # there it is named only where it alone is open
        verdicts = {row["contender"]: row["verdict"] for row in choice.ranking}
        alone = verdicts["numpy"] == "materially_slower" != verdicts["jax"]
        assert choice.runner_up == ("jax" if alone else "numpy")
    assert {choice.runner_up for choice in analysis.recommendations} == {"jax", "numpy"}
    assert not analysis.screening  # the comparison has its six launches


def _missed(folder: Path, who: str, launch: int, **changes: Any) -> None:
    """In one launch, in every comparison, it failed: once, as a launch tells it."""

    def edit(group: dict[str, Any]) -> bool:
        if group["launch"] == launch and who in group["turns"]:
            del group["turns"][who]
            group["statuses"][who] = {"status": "crash", "reason": "killed by SIGBUS", **changes}
        return True

    edit_groups(folder, edit)


def test_a_start_that_fails_once_is_one_failure_and_costs_nobody_its_place(tmp_path: Path) -> None:
    """A launch that cannot set it up says so twice: as a cell, and in its group."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.5}, launches=7)
    _missed(folder, "torch", 6)
    [path] = folder.glob("records-*.jsonl")
    cells = [json.loads(line) for line in path.read_text().splitlines()]
    told = {"pass": "steady", "status": "crash", "reason": "killed by SIGBUS", "launch": 6}
    failed = [
        {**cell, **told} for cell in cells
        if cell["kind"] == "cell" and cell["contender"] == "torch" and cell["pass"] != "warm"
    ]  # fmt: skip
    path.write_text(path.read_text() + "".join(f"{json.dumps(cell)}\n" for cell in failed))
    for comparison in analyse(records.read(folder)).comparisons:
        cell = comparison.cell("torch")
        assert (cell.status, cell.launches) == ("ok", 6)
        assert cell.reason == "killed by SIGBUS"
        assert comparison.winner == "torch"


def test_a_launch_that_one_missed_moves_no_place(tmp_path: Path) -> None:
    """It was slow by a fifth, for all: who is 1% slower than the best is not ahead for it."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.01, "numpy": 3.0}, launches=7)

    def slow(group: dict[str, Any]) -> bool:
        for turns in group["turns"].values() if group["launch"] == 3 else ():
            for turn in turns:
                turn["calls"] = [int(1.2 * call) for call in turn["calls"]]
                turn["total_ns"] = int(1.2 * turn["total_ns"])
        return True

    edit_groups(folder, slow)
    _missed(folder, "jax", 3)
    for comparison in analyse(records.read(folder)).comparisons:
        assert comparison.leader == "torch"
        pair = comparison.ratio("jax", "torch")
        assert pair is not None and comparison.cell("jax").relative == pytest.approx(pair.ratio)


def test_twins_that_never_met_give_no_noise_floor(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.5}, launches=2)
    _missed(folder, "torch", 1)
    _missed(folder, "torch#2", 2)
    analysis = analyse(records.read(folder))
    assert analysis.noise_floor is None
    json.dumps(asdict(analysis), allow_nan=False)


def test_a_comparison_and_the_choice_that_rests_on_it_alone_say_the_same(tmp_path: Path) -> None:
    """Stein's rule is for both: the first six launches' spread stays in force."""
    folder = write_run(tmp_path / "run", {"a": 0.95, "b": 1.0}, launches=14)

    def wide(group: dict[str, Any]) -> bool:
        by = math.exp(0.04 * (-1) ** group["launch"]) if group["launch"] <= 6 else 1.0
        for turn in group["turns"]["b"]:
            turn["calls"] = [int(by * call) for call in turn["calls"]]
            turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(folder, wide)
    for planned, verdict, winner in ((False, "materially_faster", "a"), (True, "faster", None)):
        if planned:
            records.Writer(folder).write("event", what="second stage", reason="launches planned")
        analysis = analyse(records.read(folder))
        training = next(r for r in analysis.recommendations if r.profile == "training-throughput")
        [name] = training.comparisons
        pair = analysis.comparison(name).ratio("a", "b")
        assert pair is not None and training.verdict == pair.verdict == verdict
        assert training.choice == analysis.comparison(name).winner == winner


def test_on_a_device_who_takes_the_time_is_told_and_means_of_both_kinds_are_warned_of(
    tmp_path: Path,
) -> None:
    more = ("mobilenet_v2", "convnet", 4, 112, "train", False)
    folder = write_run(tmp_path / "run", workloads=[*WORKLOADS, more])
    assert {c.bound for each in analyse(records.read(folder)).comparisons for c in each.cells} == {
        None
    }
    on_a_gpu(folder)

    def drained(group: dict[str, Any]) -> bool:
        by = 3.0 if "resnet18" in group["comparison"] else 0.1
        for turn in (turn for turns in group["turns"].values() for turn in turns):
            turn["drain_ns"] = int(by * turn["calls"][-1])
        return True

    edit_groups(folder, drained)
    analysis = analyse(records.read(folder))
    bounds = {c.workload: {cell.bound for cell in c.cells} for c in analysis.comparisons}
    assert bounds["resnet18"] == {"device"} and bounds["mobilenet_v2"] == {"host"}
    [told] = [w for w in analysis.warnings if "the host bounds" in w["what"]]
    assert told["where"].startswith("training on cuda") and len(told["comparisons"]) == 2
    assert "bound by" in page.render(analysis)


def test_of_queued_calls_quantiles_are_of_turns(tmp_path: Path) -> None:
    """An asynchronous framework's calls return at once, and its last one pays for all."""
    folder = write_run(tmp_path / "run")

    def queue(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["jax"] if group["direction"] == "train" else ():
            kept = turn["calls"][turn["dropped"] :]
            turn["calls"][turn["dropped"] :] = [1000] * (len(kept) - 1) + [sum(kept)]
        return True

    plain = analyse(records.read(folder)).comparisons[-1].cell("jax")
    edit_groups(folder, queue)
    comparison = analyse(records.read(folder)).comparisons[-1]
    cell = comparison.cell("jax")
    assert comparison.direction == "train" and cell.latency is not None and cell.seconds
    assert cell.latency["p50"] == pytest.approx(cell.seconds, rel=0.02)
    assert cell.latency["p99"] is None
    assert cell.calls == plain.calls
    assert cell.throughput == pytest.approx(comparison.batch / cell.seconds)


def test_items_a_second_are_of_the_launches_that_the_time_is_of(tmp_path: Path) -> None:
    """Four quick launches and two of twice the time: a median of them would leave those out."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.2}, workloads=WORKLOADS[1:2])
    cell = analyse(records.read(folder)).comparisons[0].cell("jax")  # one image: by its latency

    def slow(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["jax"] if group["launch"] in (2, 5) else ():
            turn["calls"] = [2 * call for call in turn["calls"]]
            turn["total_ns"] *= 2
        return True

    edit_groups(folder, slow)
    slower = analyse(records.read(folder)).comparisons[0].cell("jax")
    assert cell.throughput and slower.throughput and cell.seconds and slower.seconds
    by = slower.seconds / cell.seconds
    assert by == pytest.approx(2 ** (1 / 3), rel=0.01)
    assert cell.throughput / slower.throughput == pytest.approx(by, rel=0.01)


def test_a_mean_of_workloads_that_disagree_says_so(tmp_path: Path) -> None:
    two = [WORKLOADS[3], ("resnet20", "convnet", 50, None, "train", False)]
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.2}, workloads=two)

    def turned(group: dict[str, Any]) -> bool:
        if "resnet20" in group["comparison"]:
            group["turns"]["torch"], group["turns"]["jax"] = (
                group["turns"][name] for name in ("jax", "torch")
            )
            for turn in group["turns"]["jax"]:
                turn["calls"] = [call // 2 for call in turn["calls"]]
                turn["total_ns"] //= 2
        return True

    edit_groups(folder, turned)
    analysis = analyse(records.read(folder))
    training = next(r for r in analysis.recommendations if r.profile == "training-throughput")
    assert training.choice == "jax"
    [there] = training.split
    assert there["leader"] == "torch" and there["comparison"].startswith("resnet18@112")
    assert "But on resnet18@112 b4 train it takes 1.2" in training.sentence
    assert "but behind on resnet18@112 b4 train (torch 17% less time" in page.render(analysis)


@pytest.mark.parametrize(("short", "told"), [(0.9, True), (0.99, False), (1.2, False)])
def test_who_leads_in_short_turns_alone_is_told_and_a_twin_or_a_hair_is_not(
    tmp_path: Path, short: float, told: bool
) -> None:
    """The noise floor's twin is ahead in every second run; that is no boost."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": short}, workloads=WORKLOADS[3:])
    on_a_gpu(folder, sustained={"torch": 1.0, "jax": 1.1, "torch#2": 1.0})

    def lucky(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["torch#2"]:
            turn["total_ns"] = int(0.95 * turn["total_ns"])
        return True

    edit_groups(folder, lucky)
    analysis = analyse(records.read(folder))
    assert analysis.comparisons[0].winner == "torch"
    boosted = [w["what"] for w in analysis.warnings if "in short turns" in w["what"]]
    assert boosted == (
        ["torch leads in training without a pause, jax in short turns"] if told else []
    )


@pytest.mark.parametrize(("speed", "verdict"), [(1.1, "materially_faster"), (1.0, "tie")])
@pytest.mark.parametrize("step", [1.12, 2.0])
def test_a_machine_that_becomes_slower_half_way_is_in_no_verdict(
    tmp_path: Path, speed: float, verdict: str, step: float
) -> None:
    """Both contenders' launches fall into two modes by it, and every launch says the same."""
    net = ("resnet20", "convnet", 32, None, "infer", False)
    folder = write_run(tmp_path, {"torch": 1.0, "jax": speed}, launches=8, workloads=[net])

    def slower(group: dict[str, Any]) -> bool:
        for turn in (t for ts in group["turns"].values() for t in ts if group["launch"] > 4):
            turn["calls"] = [int(step * call) for call in turn["calls"]]
            turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(folder, slower)
    analysis = analyse(records.read(folder))
    [comparison] = analysis.comparisons
    pair = comparison.ratio("torch", "jax")
    assert pair is not None and pair.verdict == verdict
    [batch] = [r for r in analysis.recommendations if r.title == "Batch inference"]
    assert (batch.choice, comparison.winner) == (("torch",) * 2 if speed > 1 else (None, None))


def test_nobody_leads_whom_another_goes_before_in_the_launches_they_share() -> None:
    """Standings over all launches may say otherwise, where one had launches that others had not."""

    def pair(a: str, b: str, ratio: float) -> list[Ratio]:
        both = ((a, b, ratio), (b, a, 1 / ratio))
        return [Ratio(*each, 0.9, 1.1, "inconclusive", 0.5, 6, None, None, 0.95) for each in both]

    ratios = [*pair("a", "b", 1.01), *pair("a", "c", 0.8), *pair("b", "c", 0.9)]
    assert verdicts._winner(ratios, ["a", "b", "c"]) == (None, "b", "a")
    circle = [*pair("a", "b", 1.01), *pair("b", "c", 1.01), *pair("c", "a", 1.01)]
    assert verdicts._winner(circle, ["a", "b", "c"])[1] == "a"  # by their standing, then
    assert verdicts._winner([], []) == (None, None, None)
