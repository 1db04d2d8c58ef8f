"""The one timing loop: every figure of every framework comes out of `turn`.

Host wall time around calls that end in the adapter's `sync` is the only clock that all
frameworks share. The loop is bare: two clock readings, the call, the wait. The garbage
collector is off while it runs, since its pauses belong to nobody.
"""

import gc
import math
import resource
import statistics
import time
from collections.abc import Callable
from itertools import count, pairwise
from typing import Any

Step = Callable[[], Any]
Sync = Callable[[Any], None]

MOST_CALLS = 1000
WINDOW = 0.1  # seconds of warm-up that are looked at together
MOST_DROPPED = 5
# Seconds of queued calls in a block, between two returns to the start state.
BLOCK_TURN = 0.25
MOST_SETTLING = 10.0  # seconds at a sustained block's start
MOST_UNFINISHED = 0.3  # of queued calls' time after their sync: see `unfinished`
BUS_LATENCY, SLOWEST_BUS = 1e-4, 0.5e9  # seconds; bytes a second, from a device to the host
SHORT = 1e-3  # seconds: of a shorter call a fetch's own noise would be a large share


def calls_for(seconds_per_call: float, seconds: float = 0.040) -> int:
    """Calls in a turn of about `seconds`: from 1 to 1,000."""
    return min(MOST_CALLS, max(1, math.ceil(seconds / max(seconds_per_call, 1e-9))))


def dropped_of(calls: int) -> int:
    """How many calls at a turn's start are not used: a fifth, at least 1, at most 5."""
    return min(MOST_DROPPED, max(1, math.ceil(calls / 5)))


def holding(kept: int) -> int:
    """The fewest calls of a turn of which so many are used."""
    return next(n for n in count(kept + 1) if n - dropped_of(n) >= kept)


def synced(step: Step, sync: Sync, calls: int) -> list[int]:
    """Latency: nanoseconds of each of `calls` calls, waited for one by one."""
    clock = time.perf_counter_ns
    times = [0] * calls
    for i in range(calls):
        begin = clock()
        sync(step())
        times[i] = clock() - begin
    return times


def queued(step: Step, sync: Sync, calls: int) -> list[int]:
    """Throughput: `calls` calls one after the other, one wait at the end.

    The entries are the host's time per call; their sum is the wall time of the block.
    """
    clock = time.perf_counter_ns
    stamps = [0] * (calls + 1)
    result = None
    stamps[0] = clock()
    for i in range(1, calls):
        result = step()
        stamps[i] = clock()
    result = step()
    sync(result)
    stamps[calls] = clock()
    return [after - before for before, after in pairwise(stamps)]


def turn(step: Step, sync: Sync, calls: int, latency: bool, queue: bool) -> dict[str, Any]:
    """One turn: `calls` calls, of which the first few are dropped (one extra, if calls is 1).

    latency: wait for each call (inference); otherwise the kept calls are queued
    (training, whose time is the block's). queue: add a queued block after the waited
    calls, which gives an asynchronous device's throughput. Returns a record's Turn.
    """
    dropped = dropped_of(calls)
    kept = max(1, calls - dropped)
    collecting = gc.isenabled()
    gc.disable()
    try:
        usage, cpu, wall = _usage(), time.process_time_ns(), time.perf_counter_ns()
        head = synced(step, sync, dropped)
        body = (synced if latency else queued)(step, sync, kept)
        wall, cpu, after = time.perf_counter_ns() - wall, time.process_time_ns() - cpu, _usage()
        block = queued(step, sync, kept) if queue else None
    finally:
        if collecting:
            gc.enable()
    return {
        "calls": head + body,
        "dropped": dropped,
        "total_ns": sum(body),
        "queued_ns": sum(block) if block else None,
        "drain_ns": drain(block or [] if latency else body),
        "cpu_ns": cpu,
        "wall_ns": wall,
        "minor_faults": after.ru_minflt - usage.ru_minflt,
        "involuntary_switches": after.ru_nivcsw - usage.ru_nivcsw,
    }


def drain(queue: list[int]) -> int | None:
    """How much longer the last of queued calls, with its `sync`, took than the others did.

    That is what an asynchronous device still had to do when the host was done with it: next to
    nothing where the host is what takes the time. None of fewer than 4 calls. Nanoseconds.
    """
    if len(queue) < 4:
        return None
    return max(0, queue[-1] - int(statistics.median(queue[:-1])))


def sustained(
    step: Step, sync: Sync, restore: Callable[[], None], calls: int, seconds: float
) -> dict[str, Any]:
    """A block: turns of `calls` queued calls with no pause between, for about `seconds`.

    A turn of 40 ms runs at clocks at which nobody trains. So what falls into the first
    quarter of a block, while the device heats up, is not used (5 to 10 of 20 to 40 s).
    Between turns the start state comes back, and one call is waited for: neither is timed,
    and neither lets the device rest. Returns a record's Block.
    """
    clock = time.perf_counter
    begin, settle = clock(), min(MOST_SETTLING, seconds / 4)
    made = counted = total = turns = 0
    collecting = gc.isenabled()
    gc.disable()
    try:
        while clock() - begin < seconds or not counted:
            restore()
            synced(step, sync, 1)
            settled = clock() - begin >= settle
            took = sum(queued(step, sync, calls))
            made += 1 + calls
            if settled:
                counted, total, turns = counted + calls, total + took, turns + 1
    finally:
        if collecting:
            gc.enable()
    return {
        "calls": counted,
        "total_ns": total,
        "turns": turns,
        "made": made,
        "settle_s": settle,
        "wall_s": clock() - begin,
    }


def warm_up(step: Step, sync: Sync, limit: float, least: float = 0.0) -> dict[str, Any]:
    """Calls until two windows agree, for at least `least` and at most `limit` seconds.

    A window is 20 calls or a tenth of a second, whichever ends first. Two agree when
    their lower quartiles differ by 1%, or by no more than the noise within a window.
    Returns calls made, how many of them it needed (all before the last window, which only
    confirms), seconds, whether it became steady, and the seconds of a call: the fastest of the
    last two windows, since another program can only make a call longer.
    """
    begin = time.perf_counter()
    made, before, fastest = 0, None, math.inf
    while True:
        window: list[int] = []
        opened = time.perf_counter()
        while len(window) < 20 and (len(window) < 2 or time.perf_counter() - opened < WINDOW):
            window += synced(step, sync, 1)
        made += len(window)
        now = _Window(window)
        spent = time.perf_counter() - begin
        steady = before is not None and now.agrees_with(before) and spent >= least
        if steady or spent > limit:
            needed = made - len(window)
            return {
                "calls": made,
                "needed": needed if steady else made,
                "seconds": spent,
                "steady": steady,
                "call": min(fastest, min(window)) * 1e-9,
            }
        before, fastest = now, min(window)


def unfinished(step: Step, sync: Sync, fetch: Callable[[Any], int], tries: int = 3) -> float:
    """How much of some queued calls' time comes after `sync` has returned: 0 is as it must be.

    Calls are queued, `sync` ends them, and their last result is fetched to the host (`fetch`
    tells its bytes): what that takes longer than to fetch a finished one, it has waited. The
    calls take 20 ms, and three times as long as such a fetch at least, or else its own noise
    would accuse. The longest such fetch and the least share of several tries, so that a disturbance
    accuses nobody.

    A result is fetched before the next call is made, and never after: that may write over it (a
    CUDA graph's), or consume it (a training's).
    """
    clock = time.perf_counter

    def queue() -> tuple[float, float]:
        begin = clock()
        for _ in range(calls):
            result = step()
        sync(result)
        synced_at = clock()
        fetch(result)
        return synced_at - begin, clock() - synced_at

    begin = clock()
    fetch(step())
    first = clock() - begin
    patience = max(0.020, 2 * first)
    copy = max(_copying(step, sync, fetch, patience) for _ in range(tries))
    calls = calls_for(first, 0.020)
    while sum(queue()) < 4 * copy:
        calls *= 2
    shares = []
    for _ in range(tries):
        before, after = queue()
        waited = max(0.0, after - copy)
        shares.append(waited / (waited + before))
    return min(shares)


def abandoned(step: Step, sync: Sync, fetch: Callable[[Any], int], tries: int = 5) -> float:
    """How much of a call is left undone where the next is made and its result never asked for.

    A lazy framework computes what it is asked for: of queued calls the last alone, and a turn of
    them counts all. So the first of two results is fetched once the second has been waited for:
    what that takes longer than one that was waited for itself, and than any copy of its size, over
    a call's own time (or over SHORT). The median of several tries: on a busy machine a call alone
    may take several times as long, and the least of them acquitted a lazy framework. Fetched
    against the rule of `unfinished`, so this is for checking an adapter; a result that is gone by
    then (a CUDA graph's) was computed.
    """
    clock = time.perf_counter
    shares = []
    for _ in range(tries):
        sync(step())
        begin = clock()
        last = step()
        sync(last)
        waited = clock()
        fetch(last)
        alone, copy = waited - begin, clock() - waited
        first = step()
        sync(step())
        begin = clock()
        try:
            size = fetch(first)
        except Exception:
            return 0.0
        left = clock() - begin - max(copy, BUS_LATENCY + size / SLOWEST_BUS)
        shares.append(max(0.0, left) / max(alone, SHORT))
    return statistics.median(shares)


def _copying(step: Step, sync: Sync, fetch: Callable[[Any], int], patience: float) -> float:
    """Seconds to fetch a result that is finished, whatever `sync` is worth: it is left alone.

    Frameworks keep what was fetched once (JAX does), so fetching it again tells less than that.
    But one that computes when it is asked has work left, however long it is left alone: the
    first time counts no more above the second than the slowest bus would take.
    """
    clock = time.perf_counter
    result = step()
    sync(result)
    time.sleep(patience)
    begin = clock()
    size = fetch(result)
    fetched = clock()
    fetch(result)
    again = clock() - fetched
    return again + min(max(0.0, fetched - begin - again), BUS_LATENCY + size / SLOWEST_BUS)


def slowed(step: Step, sync: Sync, share: float) -> Step:
    """The same call, made slower by a share of its own time: a difference of known size.

    What this function itself takes, of the order of a microsecond, counts towards the share.
    """
    clock = time.perf_counter

    def slow(share: float, step: Step, own: float) -> Any:
        begin = clock()
        result = step()
        sync(result)
        end = clock()
        end += share * (end - begin) - own
        while clock() < end:
            pass
        return result

    def empty() -> None:
        pass

    own = statistics.median(synced(lambda: slow(0.0, empty, 0.0), sync, 200))
    own = (own - statistics.median(synced(empty, sync, 200))) * 1e-9
    return lambda: slow(share, step, own)


class _Window:
    def __init__(self, times: list[int]):
        self.quartile = statistics.quantiles(times, n=4, method="inclusive")[0]
        spread = statistics.median(times) - self.quartile
        # The standard error of a lower quartile: 1.36 sigma / sqrt(n), and sigma is 1.48 spread.
        self.noise = 2.0 * spread / math.sqrt(len(times))

    def agrees_with(self, other: "_Window") -> bool:
        allowed = max(0.01 * self.quartile, math.hypot(self.noise, other.noise))
        return abs(self.quartile - other.quartile) <= allowed


def _usage() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_SELF)
