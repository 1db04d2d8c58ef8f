"""What a person asks of a suite: some of its workloads, in some directions, at other sizes, on so
many threads."""

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import product
from typing import Any, get_args

import msgspec

from adapters.core.precision import PRECISIONS
from harness.errors import Wrong
from harness.plan.suite import HIDDEN, Comparison, Direction, Suite, check, unique
from suites import catalogue

DIRECTIONS = get_args(Direction)


@dataclass(frozen=True)
class Question:
    """Options as they are typed, several values with commas between them; None where one is not:
    then all is as the suite has it."""

    workloads: str | None = None  # names or globs
    direction: str | None = None
    batch: str | None = None
    size: str | None = None
    precision: str | None = None
    threads: str | None = None

    @property
    def counts(self) -> list[int]:
        """Of threads, from few to many. Raises Wrong for none, and for what is no such number."""
        if self.threads is None:
            return []
        return sorted({*_numbers("--threads", self.threads, "1,2,4")})


def select(suite: Suite, asked: Question) -> list[Comparison]:
    """The suite's comparisons: only these workloads, only in these directions, and each of them at
    these batches, sizes and precisions in place of its own; on each of several numbers of threads.
    Lists multiply.

    What is named and the suite lacks, a workload or a direction of it, comes at its usual batch and
    size. Raises Wrong for what is not known, or cannot be.
    """
    chosen = list(suite.comparisons)
    if asked.workloads is not None:
        chosen = _named(suite, asked.workloads)
    if asked.direction is not None:
        directions = _words("--direction", asked.direction, DIRECTIONS)
        chosen = _directed(chosen, directions, asked.workloads is not None)
        if not chosen:
            raise Wrong(
                f"--direction {asked.direction}: suite '{suite.called}' has nothing of it; "
                "name what is to be measured with --workloads"
            )
    casts: dict[str, list[Any]] = {}
    if asked.batch is not None:
        casts["batch"] = _numbers("--batch", asked.batch, "1,8,32")
    if asked.size is not None:
        casts["size"] = _numbers("--size", asked.size, "112,224")
    if asked.precision is not None:
        casts["precision"] = _words("--precision", asked.precision, PRECISIONS)
    if len(asked.counts) > 1:  # a single number is a setting of the run
        casts["threads"] = asked.counts
    made = unique(
        msgspec.structs.replace(each, **dict(zip(casts, values, strict=True)))
        for each in chosen
        for values in product(*casts.values())
    )
    given = {"direction": asked.direction, "batch": asked.batch, "size": asked.size}
    where = " ".join(f"--{name} {value}" for name, value in given.items() if value is not None)
    for comparison in made if where else ():
        check(comparison, where)
    return list(made)


def _named(suite: Suite, globs: str) -> list[Comparison]:
    chosen: list[Comparison] = []
    for pattern in _parts(globs):
        found = [c for c in suite.comparisons if fnmatch(c.workload, pattern)]
        chosen += found or _from_catalogue(pattern)
    if not chosen:
        raise Wrong(f"--workloads '{globs}' names none; `bakeoff list` has them")
    return chosen


def _from_catalogue(pattern: str) -> list[Comparison]:
    known = [w for w in catalogue.load().values() if w.kind not in HIDDEN]
    found = [w for w in known if fnmatch(w.name, pattern)]
    if not found:
        try:
            catalogue.get(pattern)
        except KeyError as error:  # which names its neighbours
            raise Wrong(error.args[0]) from None
        raise Wrong(f"'{pattern}' is for tests, not for ranking; `bakeoff list` shows workloads")
    return [
        _usual(w.name, direction)
        for w in found
        for direction in (("infer", "train") if w.kind == "convnet" else ("infer",))
    ]


def _usual(workload: str, direction: str) -> Comparison:
    batch = catalogue.get(workload).batch
    return Comparison(workload, batch, direction=direction, headline=True)


def _directed(
    comparisons: list[Comparison], directions: list[str], named: bool
) -> list[Comparison]:
    """Those in these directions; of a workload that was named and has none of one, its usual."""
    chosen: list[Comparison] = []
    for workload in dict.fromkeys(c.workload for c in comparisons):
        for direction in directions:
            found = [c for c in comparisons if (c.workload, c.direction) == (workload, direction)]
            chosen += found or ([_usual(workload, direction)] if named else [])
    return chosen if named else [c for c in comparisons if c in chosen]


def _parts(text: str) -> list[str]:
    return [part for part in (each.strip() for each in text.split(",")) if part]


def _words(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    """Raises Wrong for none, and for one that is not known."""
    found = _parts(text)
    if not found or any(word not in known for word in found):
        raise Wrong(f"{option} '{text}': expected {', '.join(known)}, or several of them")
    return found


def _numbers(option: str, text: str, example: str) -> list[int]:
    """Raises Wrong for none, and for what is no whole number from 1 on."""
    found = _parts(text)
    if not found or not all(re.fullmatch("0*[1-9][0-9]{0,8}", number) for number in found):
        raise Wrong(f"{option} '{text}': expected whole numbers from 1 on, such as {example}")
    return [int(number) for number in found]
