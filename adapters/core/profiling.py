"""What profiles have in common: events out of each framework's profiler, and their kinds.

An event is (name, seconds, count): one operator, kernel or primitive, over one call. Where a
profiler gives spans of time, on several threads or nested, each moment belongs to the span
that began last among those under way (`shares`): so no moment counts twice, and the sum is
never more than the call took. What XLA's own names say nothing of is read in `xla.py`.

`kind_of` puts a name into a kind by one table of patterns, read in order.
"""

import cProfile
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

Event = tuple[str, float, int]  # name, seconds, how often
Span = tuple[str, float, float]  # name, begin, end

SHOWN, LONGEST_NAME = 30, 200
# Read in order: the first that is found in a name tells its kind.
KINDS = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        # A kernel of inductor's bears the names of all around it, convolutions among them.
        ("normalisation", r"^triton_(?!tem).*batch_norm"),
        ("pooling", r"^triton_(?!tem).*pool"),
        ("elementwise", r"^triton_(?!tem)"),
        # On a CPU all that inductor compiled between two library calls is one event.
        ("fused", r"CompiledFxGraph"),
        # A node of autograd: its own time is bookkeeping, its operators have their own.
        ("other", r"autograd::|(?-i:Backward\d*$)"),
        ("convolution", r"conv(?!ert)|fprop|dgrad|wgrad|winograd|depthwise|grouped"),
        ("normalisation", r"batch_?norm|\bbn_"),
        ("pooling", r"pool|reduce_window|select_and_scatter"),
        ("matrix product", r"matmul|gemm|\bdot\b|::(add|b)?mm\b|linear|FullyConnected"),
        ("copy", r"memcpy|nchwTo|nhwcTo|reorder|reshape"),
        ("copy", r"::(copy_|clone|contiguous|cat|to|_to_copy)$"),
        ("copy", r"^copy[.\d]*(:|$)|: (copy|transpose)(, (copy|transpose))*$|^(concat|flatten)\b"),
        ("copy", r":(_Mkl(Native)?)?(Transpose|Pad|Concat|Slice|Split)\w*$"),
        ("elementwise", r"elementwise|fusion|reduce|relu|threshold|softmax|entropy|nll_loss|clamp"),
        ("elementwise", r"foreach|multi_tensor|update|gradients|broadcast|select|compare|scatter"),
        ("elementwise", r"add|sub|mul|div|sum|mean|max|exp|\blog|sqrt|square|fill|zero|tile|cast"),
        ("elementwise", r"assign|eltwise|ResourceApply"),
    )
)


def kind_of(name: str) -> str:
    """What sort of work an event is, by its name; `other` where nobody can tell."""
    return next((kind for kind, pattern in KINDS if pattern.search(name)), "other")


def summary(events: Iterable[Event]) -> dict[str, Any]:
    """`by_kind` (seconds) of all events, and `events`: the longest, the rest summed as one."""
    found = sorted((e for e in events if e[1] > 0), key=lambda e: -e[1])
    by_kind: dict[str, float] = defaultdict(float)
    for name, seconds, _ in found:
        by_kind[kind_of(name)] += seconds
    rows = [
        {"name": n[:LONGEST_NAME], "kind": kind_of(n), "seconds": s, "count": c}
        for n, s, c in found[:SHOWN]
    ]
    if rest := found[SHOWN:]:
        seconds, count = sum(s for _, s, _ in rest), sum(c for _, _, c in rest)
        name = f"({len(rest)} more)"
        rows.append({"name": name, "kind": "other", "seconds": seconds, "count": count})
    return {"events": rows, "by_kind": dict(by_kind)}


def shares(spans: Iterable[Span], unit: float) -> list[Event]:
    """Each moment to the span that began last among those under way. `unit`: in seconds."""
    ordered = sorted(spans, key=lambda span: (span[1], -span[2]))
    edges = sorted({edge for _, begin, end in ordered for edge in (begin, end)})
    seconds: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    for name, _, _ in ordered:
        count[name] += 1
    under_way: list[Span] = []
    coming = iter([*ordered, None])
    following = next(coming)
    for begin, end in pairwise(edges):
        while following and following[1] <= begin:
            under_way.append(following)
            following = next(coming)
        while under_way and under_way[-1][2] <= begin:
            under_way.pop()
        latest = next((span for span in reversed(under_way) if span[2] > begin), None)
        if latest:
            seconds[latest[0]] += (end - begin) * unit
    return [(name, seconds[name], number) for name, number in count.items()]


# --- profilers that are not a framework's -------------------------------------------------------


@contextmanager
def traced(suffix: str) -> Iterator[tuple[str, Callable[[], Path]]]:
    """A folder for a profiler to write into, and what then finds its one file there."""
    with tempfile.TemporaryDirectory(prefix="bakeoff-profile-") as folder:
        yield folder, lambda: next(Path(folder).rglob(f"*{suffix}"))


def by_operation(run: Callable[[], Any], operations: Iterable[str]) -> list[Event]:
    """The time inside an adapter's own operations, as Python's cProfile saw it.

    An operation is a method of that name, with all that it calls; its gradient is the
    function or lambda that it left behind. What is in none of them (Python, the tape) is
    not told.
    """
    names = set(operations)
    profiler = cProfile.Profile()
    profiler.runcall(run)
    known = {}
    for entry in profiler.getstats():
        name = _operation(entry.code, names)
        if name:
            known[entry.code] = (name, entry)
    seconds: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    for name, entry in known.values():
        nested = sum(sub.totaltime for sub in entry.calls or () if sub.code in known)
        seconds[name] += entry.totaltime - nested
        count[name] += entry.callcount
    return [(name, seconds[name], count[name]) for name in seconds]


def _operation(code: Any, names: set[str]) -> str | None:
    if isinstance(code, str):  # a built-in function: gradients meet in this one
        return "sum of gradients" if "operator.add" in code else None
    owner, _, inner = code.co_qualname.partition(".<locals>.")
    kind, _, method = owner.rpartition(".")
    if kind in ("", "Network"):  # which calls the adapter's operation of the same name
        return None
    if inner in ("gradients", "<lambda>") and (method in names or method.startswith("_")):
        return f"{method.lstrip('_')}, gradient"
    return method if method in names and not inner else None
