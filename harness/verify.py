"""What counts as right: a contender's answer held against the oracle's.

The gates are one table. They stand well above what correct float32 code was seen to
differ by (forward 2e-7 to 1.6e-6, batch-norm state 2.4e-6) and well below what a mistake
makes. Gradients in float32 need two gates of their own: where a ReLU or a pooling flips
to its other branch, single gradients move by percents, in a direction that is mostly
orthogonal to the gradient. So their L2 distance has a wide gate, and their projection on
the reference's, which a gradient scaled by 1.01 cannot hide from, a narrow one.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.cell import LEARNING_RATE


@dataclass(frozen=True)
class Gates:
    """Largest allowed relative errors; see `compare` for each one's meaning."""

    forward: float
    loss: float
    stats: float
    gradient: float  # L2 over all tensors
    projection: float | None  # |<g, ref> / <ref, ref> - 1|, each tensor
    update: float  # p' against p - lr * v, v being the contender's own


GATES = {
    "float64": Gates(1e-11, 1e-11, 1e-11, 1e-11, None, 1e-11),
    "float32": Gates(1e-5, 1e-5, 1e-5, 5e-2, 3e-3, 1e-6),
}

# On a device, float32 convolutions by Winograd or FFT lose digits with the length of the
# sums they add up: forward gates grow with its square root beyond this length.
DEVICE_REDUCTION = 64

# A tensor whose reference gradient is this small a part of the largest one (a bias before
# a batch norm has none at all) is rounding: its direction says nothing.
NEGLIGIBLE = 1e-3


@dataclass(frozen=True)
class Check:
    """One quantity: `where` is the tensor that was furthest off."""

    quantity: str
    where: str
    error: float
    gate: float

    @property
    def ok(self) -> bool:
        return bool(self.error <= self.gate)


@dataclass(frozen=True)
class Verification:
    """All checks of one answer, and the first that failed in words."""

    checked: list[Check] = field(default_factory=list)
    reason: str | None = None

    @property
    def ok(self) -> bool:
        return self.reason is None

    def as_dict(self, rows: int | None) -> dict[str, Any]:
        """As a record keeps it. An error that is not a number becomes null."""
        return {
            "ok": self.ok,
            "rows": rows,
            "checked": [
                {
                    "quantity": c.quantity,
                    "where": c.where,
                    "error": c.error if math.isfinite(c.error) else None,
                    "gate": c.gate,
                    "ok": c.ok,
                }
                for c in self.checked
            ],
        }


def compare(
    answer: dict[str, np.ndarray],
    oracle: dict[str, np.ndarray],
    precision: str,
    device: str = "cpu",
    reduction: int = 1,
) -> Verification:
    """Holds an answer (see `Cell.answer`) against the oracle's, quantity by quantity.

    Errors are relative: the largest difference over the largest reference value of the
    same tensor (`output`, `loss`, `stats`); for gradients the L2 distance over the L2
    norm, of all tensors together, and each tensor's projection. Updated parameters must
    be p - lr * v for the contender's *own* v, so that a flipped branch is not held
    against the update a second time.
    """
    for name, expected in oracle.items():
        if name not in answer:
            return Verification(reason=f"{_words(name)} is missing")
        if answer[name].shape != expected.shape:
            shapes = f"has shape {answer[name].shape}, expected {expected.shape}"
            return Verification(reason=f"{_words(name)} {shapes}")
        if not np.isfinite(answer[name]).all():
            return Verification(reason=f"{_words(name)} holds values that are not finite")
    gates = GATES[precision]
    wider = math.sqrt(max(1.0, reduction / DEVICE_REDUCTION)) if device != "cpu" else 1.0
    pairs: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for name, expected in oracle.items():
        quantity, _, where = name.partition(":")
        both = (answer[name].astype(np.float64), expected.astype(np.float64))
        pairs.setdefault(quantity, {})[where] = both
    checks = []
    simple = {"output": gates.forward, "loss": gates.loss, "stats": gates.stats}
    for quantity, gate in simple.items():
        if quantity in pairs:
            checks.append(_worst(quantity, pairs[quantity], gate * wider))
    gradients = pairs.get("gradient", {})
    if gradients:
        checks.append(_distance(gradients, gates.gradient))
        if gates.projection is not None:
            checks.append(_projection(gradients, gates.projection))
    if params := pairs.get("params"):
        own = {
            name: (got, ref + LEARNING_RATE * (gradients[name][1] - gradients[name][0]))
            for name, (got, ref) in params.items()
        }
        checks.append(_worst("params", own, gates.update))
    failed = next((check for check in checks if not check.ok), None)
    return Verification(checks, failed and _reason(failed))


def _worst(
    quantity: str, pairs: dict[str, tuple[np.ndarray, np.ndarray]], gate: float
) -> Check:
    """The tensor with the largest relative error."""
    errors = {
        where: float(np.abs(got - expected).max(initial=0.0) / _scale(expected))
        for where, (got, expected) in pairs.items()
    }
    where = max(errors, key=lambda name: errors[name])
    return Check(quantity, where, errors[where], gate)


def _distance(pairs: dict[str, tuple[np.ndarray, np.ndarray]], gate: float) -> Check:
    """L2 over all tensors together; `where` is the one that contributes most."""
    squares = {n: float(((got - ref) ** 2).sum()) for n, (got, ref) in pairs.items()}
    norm = math.sqrt(sum(float((ref**2).sum()) for _, ref in pairs.values()))
    error = math.sqrt(sum(squares.values())) / max(norm, 1e-300)
    return Check("gradient", max(squares, key=lambda name: squares[name]), error, gate)


def _projection(pairs: dict[str, tuple[np.ndarray, np.ndarray]], gate: float) -> Check:
    """The tensor whose gradient is longest or shortest along the reference's.

    Where branches flipped, the error points anywhere, and along the gradient by chance
    only: there |<g, ref> / <ref, ref> - 1| is a small part of |g - ref| / |ref|. It counts
    in full where it is at least half of that, and else a tenth.
    """
    norms = {name: float(np.linalg.norm(ref)) for name, (_, ref) in pairs.items()}
    floor = NEGLIGIBLE * max(norms.values())
    errors = {}
    for name, (got, ref) in pairs.items():
        if norms[name] <= floor:
            continue
        along = abs(float((got * ref).sum()) / norms[name] ** 2 - 1.0)
        total = float(np.linalg.norm(got - ref)) / norms[name]
        errors[name] = along if 2 * along >= total else along / 10
    if not errors:
        return Check("gradient scale", next(iter(pairs)), 0.0, gate)
    where = max(errors, key=lambda name: errors[name])
    return Check("gradient scale", where, errors[where], gate)


def _scale(expected: np.ndarray) -> float:
    return float(np.abs(expected).max(initial=0.0)) or 1.0


def _words(name: str) -> str:
    quantity, _, where = name.partition(":")
    return f"the {_NAMES.get(quantity, quantity)}" + (f" of {where}" if where else "")


_NAMES = {
    "params": "updated value",
    "stats": "new batch-norm state",
    "gradient scale": "length of the gradient",
}


def _reason(check: Check) -> str:
    where = _words(f"{check.quantity}:{check.where}" if check.where else check.quantity)
    return f"{where} is off by {check.error:.2g} relative (allowed: {check.gate:.2g})"
