"""Claims about what is said before anything is measured: what, by whom, and how long."""

import re
from pathlib import Path

from tests.conftest import Typed, refused


def test_a_dry_run_says_what_would_be_measured_and_measures_nothing(
    typed: Typed, tmp_path: Path
) -> None:
    result = typed("run", "--dry-run", "--suite", "smoke", "--contenders", "numpy", COLUMNS="200")
    assert result.returncode == 0, result.stderr
    for word in ("relu_16x32x32", "lenet5", "for six launches", "budget"):
        assert word in result.stdout
    again = "Up to 10% of it goes to further starts"
    assert again not in result.stdout  # smoke has no cold pass
    assert again in typed("run", "--dry-run", "-c", "numpy,c", "-w", "resnet18").stdout
    assert not (tmp_path / "results").exists()


def test_a_dry_run_in_eighty_columns_breaks_no_word(typed: Typed) -> None:
    told = typed("run", "--dry-run", "--suite", "quick", "-c", "numpy", COLUMNS="80").stdout
    assert re.search(r"comparison +contenders +cold +first +later +in all", told)
    assert "conv3x3_64_128_56_stride2 b8 infer" in told


def test_a_budget_that_cannot_hold_six_launches_is_said_to_decide_nothing(typed: Typed) -> None:
    """Of workloads that were named nothing is left out: it has to be said."""
    arguments = ("run", "--dry-run", "-c", "numpy,c", "-w", "resnet18", "--budget")
    told = typed(*arguments, "5s", COLUMNS="80").stdout.splitlines()[-1]
    [whole] = re.findall(
        r"^Too short to decide: 6 launches need about (\w+); give --budget \1$", told
    )
    assert "Too short" not in typed(*arguments, whole).stdout


def test_the_noise_floors_twin_is_no_contender_in_a_dry_run(typed: Typed) -> None:
    arguments = ("run", "--dry-run", "-w", "lenet5", "--python", "current")
    told = typed(*arguments, "-c", "numpy,c", COLUMNS="200").stdout
    assert re.findall(r"lenet5 b\d+ \w+ +(\d)", told) == ["2", "2"]
    assert "And c again, for the noise floor, in 1 of 2 comparisons." in told
    assert "nothing to compare" not in told
    alone = typed(*arguments, "-c", "numpy", COLUMNS="200").stdout
    assert "Only numpy takes part: there is nothing to compare it with." in alone


def test_a_precision_that_nobody_has_is_refused_and_who_lacks_one_is_told(typed: Typed) -> None:
    arguments = ("run", "--dry-run", "-w", "lenet5", "--python", "current", "-c", "numpy,c")
    refused(typed(*arguments, "--precision", "tf32"), "nobody can do", "numpy: it computes in")
    refused(typed(*arguments, "--precision", "bfloat16"), "not bfloat16")
    told = typed(*arguments[:-1], "numpy,null", "--precision", "bfloat16", COLUMNS="200")
    assert told.returncode == 0
    assert "Unsupported: numpy: it computes in float32 and float64, not bfloat16" in told.stdout


def test_who_named_several_does_not_get_a_run_of_one(typed: Typed) -> None:
    """Minutes of measuring would compare nobody; of two that are left the third is told."""
    arguments = ("run", "--dry-run", "-w", "lenet5", "--python", "current")
    refused(typed(*arguments, "-c", "numpy,mlx"), "only numpy of those named", "mlx: ")
    told = typed(*arguments, "-c", "numpy,c,mlx", COLUMNS="200")
    assert told.returncode == 0 and "Absent: mlx" in told.stdout


def test_names_may_be_given_one_by_one_or_between_commas(typed: Typed) -> None:
    arguments = ("run", "--dry-run", "--python", "current")
    told = typed(*arguments, "-c", "numpy", "-c", "c", "-w", "lenet5", "-w", "threelayer").stdout
    rows = re.findall(r"(lenet5|threelayer) b\d+ \w+ +(\d)", told)
    assert {name for name, _ in rows} == {"lenet5", "threelayer"}
    assert {count for _, count in rows} == {"2"}


def test_a_dry_run_reckons_with_the_launches_that_were_asked_for(typed: Typed) -> None:
    arguments = ("run", "--dry-run", "-w", "lenet5", "--python", "current", "-c", "numpy,c")
    found = {}
    for launches in ("2", "60"):
        told = typed(*arguments, "--launches", launches, COLUMNS="200").stdout
        [(each, unit)] = re.findall(rf"About (\d+)(s|m) for {launches} launches", told)
        found[launches] = int(each) * (60 if unit == "m" else 1)
    assert found["60"] > 5 * found["2"]
    assert "give --budget" in told
