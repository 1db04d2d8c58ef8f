"""Who may be ranked with whom: contenders of one comparison that did not run alike stand apart.

A comparison asks for one precision. A contender that computed in another, for whatever
reason, did other work: it keeps its figures, its status becomes `incomparable`, with the
reason, and nobody is ranked against it, nor leaves early or is launched more for its sake.
What matters is the one table below; layout, compile mode, autotuning and graphs are what
variants *are*, and exclude nobody.

What a manifest declares is not all: the error against the oracle shows what ran (see
`ran` in harness/worker/verify.py), and that counts as well.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MATTERS = {  # a key of the manifest -> how it is told
    "conv_precision": "convolutions in {}",
    "matmul_precision": "matrix products in {}",
    "tf32_conv": "TF32 for convolutions: {}",
    "tf32_matmul": "TF32 for matrix products: {}",
    "deterministic": "deterministic algorithms alone: {}",
    "threads": "{} threads",
}
# As worker/verify.py says it.
FINENESS = {"less than float32": 0, "float32": 1, "float64": 2}
FINE = {"tf32": 0, "bfloat16": 0, "float16": 0, "float32": 1, "float64": 2}


@dataclass(frozen=True)
class Ran:
    """What a contender says it ran with, and which precision the error of its answer shows."""

    manifest: Mapping[str, Any] = field(default_factory=dict)
    ran: str | None = None
    ran_error: float | None = None


def ran(cells: Sequence[Mapping[str, Any]]) -> Ran:
    """Of a contender's cell records of one comparison, oldest first."""
    manifest: Mapping[str, Any] = next(
        (c["manifest"] for c in reversed(cells) if c["manifest"]), {}
    )
    told = (c["oracle"] for c in cells if (c["oracle"] or {}).get("ran"))
    oracle: Mapping[str, Any] = next(told, {})
    return Ran(manifest, oracle.get("ran"), oracle.get("ran_error"))


def apart(
    contenders: Mapping[str, Ran], precision: str, layers: int, threads: int | None
) -> dict[str, str]:
    """Who stands apart, and why; `contenders` are those that did not fail.

    layers: how many convolutions and matrix products the workload has.
    """
    asked = _asked(precision, threads)
    alike = {key: _usual(contenders.values(), key, asked.get(key)) for key in MATTERS}
    found = {}
    for name, each in contenders.items():
        reasons = [
            f"{_words(key, each.manifest[key])}, where the others have {_words(key, usual)}"
            for key, usual in alike.items()
            if each.manifest.get(key) is not None and each.manifest[key] != usual
        ]
        if measured := disagreement(each, precision, layers):
            reasons.append(measured)
        if reasons:
            found[name] = "; ".join(reasons)
    return found


def disagreement(each: Ran, asked: str, layers: int) -> str | None:
    """What its error says, where that is not what the comparison asks for."""
    fineness = FINENESS.get(each.ran or "")
    if fineness is None or asked not in FINE or fineness == FINE[asked]:
        return None
    if asked == "float32" and fineness > FINE[asked]:
        return None  # some operations are exact (a maximum is): that shows nothing
    if asked == "tf32" and not layers:
        return None  # nothing in it that TF32 speaks of
    return f"its error of {each.ran_error:.1e} is that of {each.ran}, {asked} was asked for"


def _asked(precision: str, threads: int | None) -> dict[str, Any]:
    lower = dict.fromkeys(("tf32_conv", "tf32_matmul"), precision == "tf32")
    return {"conv_precision": precision, "matmul_precision": precision, "threads": threads} | lower


def _usual(contenders: Any, key: str, asked: Any) -> Any:
    """What was asked for, where anybody has it; else what most have."""
    values = [each.manifest[key] for each in contenders if each.manifest.get(key) is not None]
    if asked in values or not values:
        return asked
    return Counter(values).most_common(1)[0][0]


def _words(key: str, value: Any) -> str:
    shown = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
    return MATTERS[key].format(shown)
