"""Claims about what an objective's figures are of: which launches, which statistic."""

from pathlib import Path
from typing import Any

import pytest

from harness.record import records
from reports.choice.objectives import Evidence
from reports.choice.profiles import Objective
from reports.verdicts import analyse
from tests.support.choices import BOTH, NETS, asked
from tests.support.synthetic import edit_groups, many_calls, write_run


def test_energy_is_of_the_launches_that_both_were_in(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3}, launches=8)

    def metered(group: dict[str, Any]) -> bool:
        for name, joules in (("torch", 3.0), ("jax", 2.0)):
            for turn in group["turns"][name]:
                turn["energy_j"] = joules + 0.001 * group["launch"]
        if group["launch"] == 8:
            del group["turns"]["jax"]
        if group["launch"] == 7:
            del group["turns"]["torch"]
        return True

    edit_groups(folder, metered)
    found = asked(folder, '[[objective]]\nmeasure = "energy"\nof = "training"\nweight = 1\n')
    assert (found.choice, found.launches) == ("jax", 6)


def test_a_figure_of_latency_is_what_the_ratio_is_of(tmp_path: Path) -> None:
    """Of calls by their lower quartile, launch by launch; in training of whole turns."""
    analysis = analyse(records.read(write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})))
    evidence = Evidence(records.read(tmp_path / "run"))
    ranked = [c for c in analysis.comparisons if c.by == "latency" or c.direction == "train"]
    assert {c.direction for c in ranked} == {"infer", "train"}
    for comparison in ranked:
        found, _ = evidence.aspect(Objective("latency", 1.0), [comparison], ["torch", "jax"])
        pair = comparison.ratio("jax", "torch")
        assert found is not None and pair is not None
        assert found.means["torch"] == comparison.cell("torch").seconds
        assert found.means["jax"] / found.means["torch"] == pytest.approx(pair.ratio, rel=1e-3)


def test_a_figure_that_one_workload_of_three_has_weighs_a_third(tmp_path: Path) -> None:
    """A launch's slowest calls are known of resnet20 alone, where jax is better in both: it would
    be half of the score, and two other networks' usual calls the other half."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3}, workloads=NETS)

    def long(group: dict[str, Any]) -> bool:
        return "resnet20" not in group["comparison"] or many_calls(group)

    singles = BOTH.replace("single-image latency", "throughput")
    edit_groups(folder, long)
    found = asked(folder, singles)
    assert found.lost == pytest.approx(1 / 3)
    [text] = [each for each in found.unknown if "p99" in each]
    assert "alexnet" in text and "vgg" in text and "33% of the weight" in text
    assert "resnet20" not in text
    limited = asked(folder, singles + 'at_most = "9 s"\n')
    assert (limited.choice, limited.ranking) == (None, [])
    assert "is not known in" in limited.incomplete[0]["why"]
    edit_groups(folder, many_calls)
    assert asked(folder, singles).lost == 0.0
