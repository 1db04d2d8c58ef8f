"""Who may be ranked with whom: cells of one comparison that did not run alike stand apart.

A comparison asks for one precision. A contender that computed in another, for whatever
reason, did other work: it keeps its figures, its status becomes `incomparable`, with the
reason, and nobody is ranked against it. What matters is the one table below; layout,
compile mode, autotuning and graphs are what variants *are*, and exclude nobody.

What a manifest declares is not all: the error against the oracle shows what ran (see
`ran` in harness/verify.py), and that counts as well.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

from reports.analysis import Cell

MATTERS = {  # a key of the manifest -> how it is told
    "conv_precision": "convolutions in {}",
    "matmul_precision": "matrix products in {}",
    "tf32_conv": "TF32 for convolutions: {}",
    "tf32_matmul": "TF32 for matrix products: {}",
    "deterministic": "deterministic algorithms alone: {}",
    "threads": "{} threads",
}
FINENESS = {"less than float32": 0, "float32": 1, "float64": 2}  # as harness/verify.py says it
FINE = {"tf32": 0, "bfloat16": 0, "float16": 0, "float32": 1, "float64": 2}


def separated(cells: list[Cell], plan: dict[str, Any], threads: int | None) -> list[Cell]:
    """The cells, those set apart with their status and reason."""
    asked = _asked(plan["precision"], threads)
    alike = {key: _usual(cells, key, asked.get(key)) for key in MATTERS}
    return [_placed(cell, plan, alike) for cell in cells]


def disagreement(cell: Cell, plan: dict[str, Any]) -> str | None:
    """What its error says, where that is not what the comparison asks for."""
    asked, ran = plan["precision"], FINENESS.get(cell.ran or "")
    if ran is None or asked not in FINE or ran == FINE[asked]:
        return None
    if asked == "float32" and ran > FINE[asked]:
        return None  # some operations are exact (a maximum is): that shows nothing
    if asked == "tf32" and not plan["cost"].get("layers", 1):
        return None  # nothing in it that TF32 speaks of
    return f"its error of {cell.ran_error:.1e} is that of {cell.ran}, {asked} was asked for"


def _asked(precision: str, threads: int | None) -> dict[str, Any]:
    lower = dict.fromkeys(("tf32_conv", "tf32_matmul"), precision == "tf32")
    return {"conv_precision": precision, "matmul_precision": precision, "threads": threads} | lower


def _usual(cells: list[Cell], key: str, asked: Any) -> Any:
    """What was asked for, where anybody has it; else what most have."""
    values = [cell.manifest[key] for cell in cells if _told(cell, key)]
    if asked in values or not values:
        return asked
    return Counter(values).most_common(1)[0][0]


def _told(cell: Cell, key: str) -> bool:
    return cell.status == "ok" and cell.manifest.get(key) is not None


def _placed(cell: Cell, plan: dict[str, Any], alike: dict[str, Any]) -> Cell:
    if cell.status != "ok":
        return cell
    reasons = [
        f"{_words(key, cell.manifest[key])}, where the others have {_words(key, usual)}"
        for key, usual in alike.items()
        if _told(cell, key) and cell.manifest[key] != usual
    ]
    if measured := disagreement(cell, plan):
        reasons.append(measured)
    if not reasons:
        return cell
    return replace(cell, status="incomparable", reason="; ".join(reasons))


def _words(key: str, value: Any) -> str:
    shown = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
    return MATTERS[key].format(shown)
