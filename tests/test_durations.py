"""Claims about durations, as people write and read them."""

import pytest

from harness import durations
from harness.errors import Wrong


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("2h", 7200)]
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "m", "ten", "-5m", "0", "1.5h", "10 m m", "1h30", "99999999h", "9" * 5000]
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(Wrong) as refused:
        durations.seconds(text)
    assert len(str(refused.value)) < 120


def test_a_bare_number_that_is_likely_meant_as_minutes_is_refused() -> None:
    assert durations.seconds("60") == 60
    with pytest.raises(Wrong, match=r"--budget '5': expected a unit: 5s or 5m"):
        durations.seconds("5", "--budget")


@pytest.mark.parametrize(
    ("time", "told"),
    [(0, "0s"), (44.2, "45s"), (121, "3m"), (750, "13m"), (7500, "2h10m"), (104753, "30h")],
)
def test_a_time_is_told_in_units_that_people_read_and_a_budget_takes(
    time: float, told: str
) -> None:
    """Never less than it is: a budget of what is told holds it."""
    assert durations.spell(time) == told
    assert not time or durations.seconds(told) >= time
