"""JSON of verdicts and recommendations, in a shape that is promised: `verdicts.schema.json`.

`bakeoff show --json` prints all that is known, and may change; these are the fields that others
may build on (`bakeoff report --format json`). The types below are the promise: a field may come
to them, and none goes or means another thing while `schema` is the same (what contenders, workloads
and profiles are called is no part of it). The schema is made of
them:

    python -m reports.exports.verdicts > reports/exports/verdicts.schema.json
"""

import json
from dataclasses import asdict
from typing import Any, Literal

import msgspec

from reports.analysis import Analysis

Verdict = Literal[
    "screening",
    "multimodal",
    "tie",
    "materially_faster",
    "materially_slower",
    "faster",
    "slower",
    "inconclusive",
]


class Place(msgspec.Struct):
    """A contender's place in a ranking: its time over the leader's, with its interval."""

    contender: str
    ratio: float | None
    low: float | None
    high: float | None
    confidence: float
    verdict: Verdict | Literal["best"]


class Choice(msgspec.Struct):
    """What to choose for one use; `choice` is null where nothing is sure enough."""

    profile: str
    title: str
    choice: str | None
    tied: list[str]
    sentence: str
    verdict: Verdict
    runner_up: str | None
    of: str  # what the ratio is of: "score" of several objectives, "time", "memory" ...
    ratio: float | None
    low: float | None
    high: float | None
    confidence: float
    launches: int
    worst: float | None  # where it is open: the leader's score over another's is at most this
    worst_of: str  # whose
    comparisons: list[str]
    ranking: list[Place]
    conditions: list[str]
    balance: str  # of several objectives: in which the leader is better than the runner-up
    lost: float  # the share of the weight that has no figure, and went to the rest
    lacking: list[str]  # what has none
    once: float  # the share of the weight that rests on what was measured once
    starts: int  # of each of the two, where what is weighed of them was measured so often; else 0
    unnamed: str  # why nobody may be chosen, whatever the figures say


class Cell(msgspec.Struct):
    """A contender in a comparison: seconds, items a second, joules an item."""

    contender: str
    status: Literal[
        "ok", "wrong", "oom", "crash", "timeout", "unsupported", "missing", "incomparable"
    ]
    reason: str | None
    launches: int
    seconds: float | None
    throughput: float | None
    energy: float | None
    relative: float | None


class Ratio(msgspec.Struct):
    """Time of a over time of b, with its interval, and a verdict on a."""

    a: str
    b: str
    ratio: float
    low: float | None
    high: float | None
    confidence: float
    verdict: Verdict
    p: float  # of this pair alone, two-sided: the verdict rests on it
    p_adjusted: float | None  # over all pairs of the comparison (Holm)
    launches: int


class Comparison(msgspec.Struct):
    """Contenders that were measured in turns, and are ranked against each other."""

    id: str
    workload: str
    batch: int
    size: int | None
    direction: str
    precision: str
    threads: int | None
    device: str
    winner: str | None
    leader: str | None
    runner_up: str | None
    why: str
    by: str
    launches: int
    command: str
    cells: list[Cell]
    ratios: list[Ratio]


class Judged(msgspec.Struct):
    """A contender's time in a condition over a time in the plain one, and a verdict on it."""

    contender: str
    precision: str
    threads: int | None
    ratio: float
    low: float | None
    high: float | None
    confidence: float
    verdict: Verdict
    launches: int


class Change(Judged):
    """In one comparison; over that of `of` in the same work, plain."""

    of: str
    comparison: str


class Mean(Judged):
    """Over its own, as the geometric mean over so many workloads."""

    workloads: int


class Effects(msgspec.Struct):
    """What other conditions than the plain one (float32, the fewest threads) change: of every
    contender itself (`own`, and its `means`), and of who leads in one over who leads in the plain
    one (`leaders`)."""

    plain: str
    own: list[Change]
    leaders: list[Change]
    means: list[Mean]


class Warning(msgspec.Struct):
    """What to know before a figure is trusted (`what`, and `where`), and what to do about it; or,
    of a note, why there is nothing to do (`advice` is empty)."""

    where: str
    what: str
    advice: str
    why: str


class NoiseFloor(msgspec.Struct):
    """What one contender, entered twice, differs from itself by, at most."""

    of: str
    percent: float


class Verdicts(msgspec.Struct):
    """What Bakeoff says about a run."""

    schema: Literal[1]
    run: str
    title: str
    created: str
    command: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    screening: list[str]
    noise_floor: NoiseFloor | None
    recommendations: list[Choice]
    comparisons: list[Comparison]
    precisions: Effects
    scaling: Effects
    warnings: list[Warning]
    problems: list[str]  # records that could not be read: what was in them is missing above


def text(analysis: Analysis) -> str:
    """The document; what is not promised is left out of it."""
    known = json.dumps({"schema": 1, **asdict(analysis)}, default=float, allow_nan=False)
    promised = msgspec.json.decode(known, type=Verdicts)
    return msgspec.json.format(msgspec.json.encode(promised), indent=1).decode() + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    made = msgspec.json.schema(Verdicts)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
