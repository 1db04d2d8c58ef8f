"""Limits in seconds that hold on a slow machine too.

A limit is meant for a processor that needs `USUAL` seconds for a fixed piece of work. Where
that work takes longer just now, before or after what is timed, the limit is as much longer:
shared machines have been seen to be half as fast as an hour before. Both are processor time,
which other tests beside do not lengthen much.
"""

import json
import time

USUAL = 0.020  # seconds, in a quick hour of two cores of an AMD EPYC
WORK = json.dumps([*range(100_000)])


class Limit:
    """`with Limit(20) as limit: ...; assert limit.kept, limit`: at most 20 usual seconds."""

    def __init__(self, seconds: float):
        self.seconds, self.took = seconds, float("inf")

    def __enter__(self) -> "Limit":
        self._slow = slowness()
        self._begin = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.took = time.process_time() - self._begin
        self._slow = max(self._slow, slowness())

    @property
    def kept(self) -> bool:
        return self.took < self.seconds * self._slow

    def __repr__(self) -> str:
        return f"{self.took:.1f} s, of {self.seconds} s at {self._slow:.2f}x the usual time"


def slowness() -> float:
    """This machine's time for the work over the usual one, by the fastest of a few; at least 1."""
    return max(1.0, min(_once() for _ in range(5)) / USUAL)


def _once() -> float:
    begin = time.process_time()
    json.dumps(json.loads(WORK))
    return time.process_time() - begin
