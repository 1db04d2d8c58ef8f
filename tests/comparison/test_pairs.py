"""Claims about two contenders in one run: what leaves them open, in one comparison or several."""

from pathlib import Path
from typing import Any

import pytest

from harness.record import records
from reports.comparison import pairs
from tests.support.synthetic import edit_groups, write_run

WORKLOAD = "resnet20/b32/infer/float32/cpu"


@pytest.fixture
def run(tmp_path: Path) -> records.Run:
    return records.read(write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0}))


def _pair(run: records.Run, busy: bool = False) -> pairs.Pair:
    times = run.times(WORKLOAD, "throughput")
    return pairs.pair(run, WORKLOAD, times, "torch", "jax", busy)


def test_on_a_busy_machine_a_ratio_stays_and_its_verdict_does_not(run: records.Run) -> None:
    quiet, busy = (pairs.judged(run, _pair(run, busy)) for busy in (False, True))
    assert (quiet.verdict, busy.verdict) == ("materially_faster", "screening")
    assert (quiet.ratio, quiet.low, quiet.high) == (busy.ratio, busy.low, busy.high)


def test_two_that_never_met_have_no_ratio(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 2.0})

    def apart(group: dict[str, Any]) -> bool:
        del group["turns"]["torch" if group["launch"] % 2 else "jax"]
        return True

    edit_groups(folder, apart)
    run = records.read(folder)
    found = pairs.judged(run, _pair(run))
    assert found.launches == 0 and found.verdict == "screening" and found.ratio != found.ratio


@pytest.mark.parametrize("what", ["modal", "left", "busy"])
def test_what_leaves_one_comparison_open_leaves_the_mean_over_several_open(what: str) -> None:
    logs = dict.fromkeys(range(1, 7), -0.7)
    plain = {"modal": False, "left": False, "busy": False}
    each = [pairs.Pair(logs, **plain), pairs.Pair(logs, **plain | {what: True})]
    for order in (each, each[::-1]):
        together = pairs.together(order)
        assert {key: getattr(together, key) for key in plain} == plain | {what: True}
    assert not any(getattr(pairs.together(each[:1] * 2), key) for key in plain)


def test_a_mean_over_several_is_of_the_launches_that_hold_them_all() -> None:
    def of(logs: dict[int, float]) -> pairs.Pair:
        return pairs.Pair(logs, modal=False, left=False, busy=False)

    together = pairs.together([of({1: 0.1, 2: 0.2, 4: 0.4}), of({2: 0.4, 3: 9.0, 4: 0.8})])
    assert [round(value, 9) for _, value in sorted(together.logs.items())] == [0.3, 0.6]
