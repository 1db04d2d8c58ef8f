"""What profiles have in common: events out of each framework's profiler, and their kinds.

An event is (name, seconds, count): one operator, kernel or primitive, over one call. Where a
profiler gives spans of time, on several threads or nested, each moment belongs to the span
that began last among those under way (`shares`): so no moment counts twice, and the sum is
never more than the call took. What an XLA fusion is made of stands in its program, which
`described` reads: `ynn_fusion.15` says nothing, `ynn_fusion.15: convolution` does.

`kind_of` puts a name into a kind by one table of patterns, read in order.
"""

import cProfile
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

Event = tuple[str, float, int]  # name, seconds, how often
Span = tuple[str, float, float]  # name, begin, end
# The instructions of a program's computations: name, what it does, computations it calls.
Program = Mapping[str, list[tuple[str, str, list[str]]]]

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


def closed(found: Iterable[Span]) -> list[Span]:
    """XLA's spans on a CPU: one that goes on elsewhere is over where an `end: NAME` begins."""
    begun: dict[str, list[list[float]]] = defaultdict(list)
    for name, begin, end in sorted(found, key=lambda span: span[1]):
        inner = name.removeprefix("end: ")
        if inner == name:
            begun[name].append([begin, end])
        elif begun[inner]:
            begun[inner][-1][1] = max(begin, begun[inner][-1][1])
    return [(name, begin, end) for name, each in begun.items() for begin, end in each]


# --- what an XLA program is made of -------------------------------------------------------------

_PLAIN = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "broadcast", "iota",
          "reshape", "fusion", "call", "custom-call", "convert"}  # fmt: skip
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) .*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][a-z0-9-]*)\(")
_CALLED = re.compile(r"\b(?:calls|to_apply|body)=%?([\w.-]+)")
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_SOURCE = re.compile(r'op_name="([^"]*)"')
_POOLS = re.compile(r"\w*pool\w*|reduce_window\w*|select_and_scatter\w*", re.IGNORECASE)


def program(text: str) -> Program:
    """An HLO module as XLA prints it."""
    found: dict[str, list[tuple[str, str, list[str]]]] = {}
    inside = ""
    for line in text.splitlines():
        if start := _COMPUTATION.match(line):
            inside = start[1]
        elif inside and (match := _INSTRUCTION.match(line)):
            target, source = _TARGET.search(line), _SOURCE.search(line)
            does = doing(
                match[3],
                target[1] if target else "",
                source[1] if source else "",
                match[2].startswith("("),
            )
            found.setdefault(inside, []).append((match[1], does, _CALLED.findall(line)))
    return found


def doing(opcode: str, target: str, source: str, several: bool) -> str:
    """What an instruction does: also the library it calls, and whether it is a pool.

    XLA writes sums as `reduce-window` too, so its source must say so; but for the gradient of
    a max pool, which XLA takes apart into a scatter and a search for the places of the maxima:
    a `reduce-window` of `several` results, which says nothing of where it is from.
    """
    found = _POOLS.search(source.rpartition("/")[2])
    pool = found[0] if found else ""
    if opcode == "reduce-window" and several:
        pool = "select_and_scatter"
    return ", ".join(filter(None, [opcode, target, pool]))


def named(events: Iterable[Event], told: Mapping[str, str]) -> list[Event]:
    """With what each is made of, where that is known."""
    return [(told.get(name, name), seconds, count) for name, seconds, count in events]


def described(found: Program) -> dict[str, str]:
    """Instruction -> its name with what it does, looked up in the computations it calls."""

    def does(what: str, called: list[str], depth: int = 0) -> list[str]:
        own = [each for each in what.split(", ") if each not in _PLAIN]
        if depth > 4 or what.split(", ")[0] in ("reduce", "reduce-window", "select-and-scatter"):
            return own  # what these call adds two numbers
        inner = [does(w, c, depth + 1) for name in called for _, w, c in found.get(name, [])]
        return [*own, *(each for more in inner for each in more)]

    told = {}
    for instructions in found.values():
        for name, what, called in instructions:
            parts = list(dict.fromkeys(does(what, called)))
            told[name] = f"{name}: {', '.join(parts)}" if parts else name
    return told


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
