"""What an XLA program is made of: a profile's `ynn_fusion.15` says nothing, `ynn_fusion.15:
convolution` does.

JAX prints its program, TensorFlow gives its own form of it; both are read into `Program`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from adapters.core.profiling import Event, Span

# The instructions of a program's computations: name, what it does, computations it calls.
Program = Mapping[str, list[tuple[str, str, list[str]]]]

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


def of_proto(module: Any) -> Program:
    """XLA's own form of a program, an HloModuleProto."""
    names = {each.id: each.name for each in module.computations}
    return {
        computation.name: [
            (
                each.name,
                doing(
                    each.opcode,
                    each.custom_call_target,
                    each.metadata.op_name,
                    several=len(each.shape.tuple_shapes) > 1,
                ),
                [names[number] for number in each.called_computation_ids],
            )
            for each in computation.instructions
        ]
        for computation in module.computations
    }


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
