"""Claims about verdicts, on runs whose truth is known."""

from pathlib import Path
from typing import Any

import pytest

from harness import records
from reports.analysis import Analysis
from reports.verdicts import analyse
from tests.synthetic import EVERYONE, edit_groups, write_run


def _analysed(folder: Path, *arguments: Any, **options: Any) -> Analysis:
    return analyse(records.read(write_run(folder / "run", *arguments, **options)))


def test_the_fastest_wins_where_it_is_faster_by_more_than_the_margin(tmp_path: Path) -> None:
    analysis = _analysed(tmp_path)
    assert not analysis.screening
    assert {c.winner for c in analysis.comparisons} == {"torch:compile"}
    training = next(r for r in analysis.recommendations if r.profile == "large-scale-training")
    assert training.choice == "torch:compile"
    assert training.runner_up in ("torch", "jax")
    assert training.ratio == pytest.approx(0.82, abs=0.02)
    assert training.low is not None and training.high is not None
    assert training.low < 0.82 < training.high
    assert "Clearly slower" in training.sentence and "numpy" in training.sentence


def test_a_tie_is_called_a_tie_and_nobody_wins(tmp_path: Path) -> None:
    analysis = _analysed(tmp_path, {"torch": 1.0, "jax": 1.0, "numpy": 5.0})
    assert {c.winner for c in analysis.comparisons} == {None}
    training = next(r for r in analysis.recommendations if r.profile == "large-scale-training")
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
    training = next(r for r in analysis.recommendations if r.profile == "large-scale-training")
    assert training.choice != "torch:compile"
    assert [row["contender"] for row in training.incomplete] == ["torch:compile"]
    assert "off by 0.5" in training.incomplete[0]["why"]


def test_fewer_than_six_launches_name_nobody(tmp_path: Path) -> None:
    analysis = _analysed(tmp_path, launches=5)
    assert analysis.screening
    assert {c.winner for c in analysis.comparisons} == {None}
    assert {r.choice for r in analysis.recommendations} == {None}
    assert {r.verdict for c in analysis.comparisons for r in c.ratios} == {"screening"}


def test_a_busy_machine_names_nobody_and_says_why(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")

    def busy(group: dict[str, Any]) -> bool:
        group["machine"]["foreign_cpu_share"] = 0.4
        return True

    edit_groups(folder, busy)
    analysis = analyse(records.read(folder))
    assert any("40%" in reason for reason in analysis.screening)
    assert {c.winner for c in analysis.comparisons} == {None}


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


def test_latency_and_throughput_that_disagree_name_nobody(tmp_path: Path) -> None:
    """a has the shorter calls but for rare long ones, which its turns pay for."""
    folder = write_run(tmp_path / "run", {"a": 1.0, "b": 1.15})

    def slow_tail(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["a"]:
            turn["calls"][-1] *= 4
            turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(folder, slow_tail)
    analysis = analyse(records.read(folder))
    batched = next(c for c in analysis.comparisons if c.direction == "infer" and c.batch > 1)
    assert batched.winner is None
    assert "the better latency" in batched.why and "the better throughput" in batched.why


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
                turn["calls"] = [ns * group["launch"] for ns in turn["calls"]]
                turn["total_ns"] *= group["launch"]
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
        assert choice.runner_up == ("jax" if alone else "numpy") and choice.choice is None
    assert {choice.runner_up for choice in analysis.recommendations} == {"jax", "numpy"}
    assert not analysis.screening  # the comparison has its six launches
