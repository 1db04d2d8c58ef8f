"""Claims about the one timing loop."""

import itertools
import statistics
import time

import pytest

from harness.stats import readings
from harness.worker import timing

pytestmark = pytest.mark.alone


def _sleeper(seconds: float):
    return lambda: time.sleep(seconds)


def _nothing(result: object) -> None:
    pass


def test_at_most_300_nanoseconds_are_added_to_a_call() -> None:
    """METHOD, claim 6: 100,000 empty calls against a bare loop; the best of five tries."""

    def step() -> None:
        pass

    def bare(calls: int) -> int:
        begin = time.perf_counter_ns()
        for _ in range(calls):
            _nothing(step())
        return time.perf_counter_ns() - begin

    added = min(
        statistics.median(timing.synced(step, _nothing, 20_000)) - bare(20_000) / 20_000
        for _ in range(5)
    )
    assert added <= 300


def test_a_turn_of_one_call_has_one_untimed_call_before_it() -> None:
    turn = timing.turn(_sleeper(0), _nothing, calls=1, latency=True, queue=False)
    assert (len(turn["calls"]), turn["dropped"]) == (2, 1)


@pytest.mark.parametrize(("calls", "dropped"), [(1, 1), (2, 1), (5, 1), (6, 2), (20, 4), (200, 5)])
def test_a_fifth_is_dropped_at_least_one_at_most_five(calls: int, dropped: int) -> None:
    assert timing.dropped_of(calls) == dropped


@pytest.mark.parametrize("kept", [*range(1, 40), 100])
def test_no_turn_of_fewer_calls_holds_as_many_that_are_used(kept: int) -> None:
    calls = timing.holding(kept)
    assert calls - timing.dropped_of(calls) >= kept > calls - 1 - timing.dropped_of(calls - 1)


def test_a_turn_takes_about_forty_milliseconds() -> None:
    assert timing.calls_for(0.004) == 10
    assert timing.calls_for(1.0) == 1
    assert timing.calls_for(1e-7) == 1000


def test_a_wait_is_part_of_a_latency_and_ends_a_queue() -> None:
    """Work that only finishes in `sync` is timed all the same: once a call, or once a block."""
    waits: list[float] = []

    def sync(result: object) -> None:
        waits.append(0.002)
        time.sleep(0.002)

    latency = timing.turn(_sleeper(0), sync, calls=5, latency=True, queue=False)
    assert all(ns > 1.9e6 for ns in latency["calls"])
    waits.clear()
    timing.queued(_sleeper(0), sync, 5)
    assert len(waits) == 1


def test_a_queued_block_is_the_sum_of_its_calls() -> None:
    begin = time.perf_counter_ns()
    times = timing.queued(_sleeper(0.001), _nothing, 10)
    wall = time.perf_counter_ns() - begin
    assert len(times) == 10
    assert 10 * 1_000_000 <= sum(times) <= wall


def test_a_block_of_training_leaves_out_what_ran_before_the_device_was_hot() -> None:
    """Quick for a fifth of a second, then half as fast: what counts is how it goes on."""
    begin = time.perf_counter()
    restored = []

    def step() -> None:
        time.sleep(0.001 if time.perf_counter() - begin < 0.2 else 0.002)

    block = timing.sustained(step, _nothing, lambda: restored.append(0), calls=10, seconds=1.0)
    assert block["settle_s"] == 0.25 and block["wall_s"] >= 1.0
    assert block["total_ns"] / block["calls"] >= 2e6
    assert block["total_ns"] <= 0.8e9
    assert block["calls"] == 10 * block["turns"] < 10 * len(restored)


def test_a_block_shorter_than_a_turn_still_counts_one() -> None:
    block = timing.sustained(_sleeper(0.01), _nothing, lambda: None, calls=5, seconds=0.02)
    assert block["turns"] == 1 and block["calls"] == 5


def test_warm_up_goes_on_until_two_windows_agree() -> None:
    calls = 0

    def step() -> None:
        nonlocal calls
        calls += 1
        time.sleep(0.004 if calls < 30 else 0.001)

    warmed = timing.warm_up(step, _nothing, limit=5)
    assert warmed["steady"]
    assert warmed["calls"] > 40  # it did not stop among the slow ones
    assert warmed["call"] < 0.003


def test_warm_up_gives_up_and_says_so() -> None:
    calls = 0

    def step() -> None:
        nonlocal calls
        calls += 1
        time.sleep(0.0005 * 1.05**calls)

    warmed = timing.warm_up(step, _nothing, limit=0.3)
    assert not warmed["steady"]


def test_what_warm_up_needed_is_all_but_the_window_that_only_confirmed_it() -> None:
    warmed = timing.warm_up(lambda: time.sleep(0.002), _nothing, limit=5)
    assert warmed["steady"]
    assert 0 < warmed["needed"] < warmed["calls"]


def test_a_planted_slowdown_is_a_share_of_a_call_s_own_time() -> None:
    def spin() -> None:
        end = time.perf_counter() + 0.002
        while time.perf_counter() < end:
            pass

    slow = timing.slowed(spin, _nothing, 0.5)
    medians = [statistics.median(timing.synced(step, _nothing, 20)) for step in (spin, slow)]
    assert medians[1] / medians[0] == pytest.approx(1.5, rel=0.05)


class _Result:
    """What a call gave: ready at a time, or once it has done its `work`; a copy of it is kept."""

    def __init__(self, size: int, ready: float = 0.0, work: float = 0.0):
        self.size, self.ready, self.work, self.kept = size, ready, work, False

    def wait(self) -> None:
        _spin(self.ready - time.perf_counter())

    def fetch(self) -> int:
        self.wait()
        _spin(0.0 if self.kept else self.work + self.size / 6e9)
        self.kept = True
        return self.size


def _device(seconds: float, size: int):
    """A call of an asynchronous device, which does one thing after the other."""
    free = 0.0

    def step() -> _Result:
        nonlocal free
        free = max(free, time.perf_counter()) + seconds
        return _Result(size, ready=free)

    return step


@pytest.mark.parametrize("size", [4, 1_600_000, 51_400_000])
@pytest.mark.parametrize("seconds", [1e-4, 4e-3])
def test_a_sync_that_does_not_wait_leaves_its_work_to_whoever_fetches_it(
    seconds: float, size: int
) -> None:
    """METHOD, claim 9. A copy may take longer than the call, and be kept, as JAX keeps it."""
    step = _device(seconds, size)
    assert timing.unfinished(step, _nothing, _Result.fetch) > timing.MOST_UNFINISHED
    assert timing.unfinished(step, _Result.wait, _Result.fetch) < 0.15


@pytest.mark.parametrize("size", [4, 1_600_000, 51_400_000])
def test_a_call_that_is_over_when_it_returns_leaves_nothing_but_a_copy(size: int) -> None:
    def step() -> _Result:
        _spin(1e-4)
        return _Result(size)

    assert timing.unfinished(step, _nothing, _Result.fetch) < 0.15


def test_a_framework_that_computes_when_it_is_asked_has_not_waited() -> None:
    """However long it is left alone."""
    fetched = timing.unfinished(lambda: _Result(4096, work=4e-3), _nothing, _Result.fetch)
    assert fetched > timing.MOST_UNFINISHED


def test_a_call_whose_result_nobody_asks_for_has_to_compute_all_the_same() -> None:
    """Of a lazy framework's queued calls the last alone is computed, and all are counted."""

    def lazy() -> _Result:
        return _Result(4096, work=4e-3)

    def asked(result: _Result) -> None:
        result.fetch()

    assert timing.abandoned(lazy, asked, _Result.fetch) > 0.8
    for seconds, size in ((1e-4, 4), (1e-4, 51_400_000), (4e-3, 1_600_000)):
        left = timing.abandoned(_device(seconds, size), _Result.wait, _Result.fetch)
        assert left < timing.MOST_UNFINISHED

    # A call alone, the second of a try, is disturbed in two tries of five.
    works = itertools.chain([4e-3, 20e-3, 4e-3, 4e-3] * 2, itertools.repeat(4e-3))

    def slowed() -> _Result:
        return _Result(4096, work=next(works))

    assert timing.abandoned(slowed, asked, _Result.fetch) > timing.MOST_UNFINISHED

    made: list[_Result] = []

    def step() -> _Result:
        made.append(_Result(4))
        return made[-1]

    def gone(result: _Result) -> int:
        if result is not made[-1]:
            raise RuntimeError("a CUDA graph wrote over it")
        return result.size

    assert timing.abandoned(step, _nothing, gone) == 0.0


@pytest.mark.parametrize(("copy", "older"), [(4e-4, 0.0), (0.0, 3e-4)])
def test_a_short_call_is_not_accused_of_a_slow_fetch(copy: float, older: float) -> None:
    """A GPU's call of 50 microseconds: whose copies are slow, or those of older results are."""
    made: list[_Result] = []

    def step() -> _Result:
        _spin(5e-5)
        made.append(_Result(4))
        return made[-1]

    def fetch(result: _Result) -> int:
        _spin(copy + older * (result is not made[-1]))
        return result.size

    assert timing.abandoned(step, _nothing, fetch) < timing.MOST_UNFINISHED


def test_no_result_is_fetched_once_a_further_call_was_made() -> None:
    """That may write over it, as a CUDA graph does, or consume it, as a training does."""
    made = 0

    def step() -> int:
        nonlocal made
        made += 1
        _spin(1e-3)
        return made

    def fetch(result: int) -> int:
        assert result == made
        return 4

    timing.unfinished(step, _nothing, fetch)


@pytest.mark.parametrize(("device", "host"), [(2e-3, 2e-4), (2e-4, 2e-3)])
def test_what_is_left_when_the_host_is_done_tells_who_takes_the_time(
    device: float, host: float
) -> None:
    ready = 0.0

    def step() -> None:
        nonlocal ready
        _spin(host)
        ready = max(ready, time.perf_counter()) + device

    def sync(_: object) -> None:
        _spin(ready - time.perf_counter())

    turn = timing.turn(step, sync, 12, latency=False, queue=False)
    left = turn["drain_ns"] * 1e-9 / readings.per_call(turn)
    assert (left > 1) == (device > host)
    assert timing.drain([5, 5, 9]) is None


def _spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_a_disturbed_window_does_not_make_a_call_long() -> None:
    """Five calls of six wait 30 ms, and so does a window's quartile: a call is still 0.2 ms."""
    made = 0

    def step() -> None:
        nonlocal made
        made += 1
        time.sleep(0.03 if made % 6 else 2e-4)

    warmed = timing.warm_up(step, lambda _: None, 0.5)
    assert warmed["call"] < 0.003
