"""What counts as right: a contender's answer held against the oracle's.

The gates are one table. They stand well above what correct float32 code was seen to
differ by (forward 2e-7 to 1.6e-6, batch-norm state 2.4e-6) and well below what a mistake
makes. Gradients in float32 need two gates of their own: where a ReLU or a pooling flips
to its other branch, single gradients move by percents, in a direction that is mostly
orthogonal to the gradient. So their L2 distance has a wide gate, and their length along
the reference's, which a gradient scaled by 1.01 cannot hide from, a narrow one.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapters.core.precision import PLAIN
from harness.worker.apart import Apart, apart, over, update
from harness.worker.cell import LEARNING_RATE

Arrays = dict[str, np.ndarray]  # by quantity and tensor, as `Cell.answer` gives them
Pairs = dict[str, Apart]  # by tensor: the answer's beside the reference's


# A gradient this small beside the largest one is zero but for rounding, and has no length
# to compare (a bias before a batch norm): over 13 networks and blocks, true zeros came out below
# 2e-7 in float32, and the smallest gradient that was none was 1.2e-4.
NEGLIGIBLE = 1e-5


@dataclass(frozen=True)
class Gates:
    """Largest allowed relative errors; see `compare` for each one's meaning."""

    forward: float
    loss: float
    stats: float
    distance: float  # of all gradients together
    length: float  # of each gradient
    update: float  # of each parameter
    resolution: float  # an update smaller than this part of its parameter drowns in rounding
    nothing: float = NEGLIGIBLE  # what a gradient that is zero may have, of the largest one's norm


# The low precisions' are twice or more of what correct code was off by: every operation and
# block, and five convnets (MobileNet v2, with 52 batch norms, among them) in torch, TensorFlow
# and JAX on a CPU. bfloat16: output 1.6e-2, loss 5.6e-3, batch-norm state 1.6e-2 (over the square
# of depth, as below), gradients 0.36 apart and 0.12 too long or short; float16: 1.7e-3, 7.6e-4,
# 3.1e-3, 0.14, 0.11. TF32 has float16's fraction and float32's range, and was seen on no GPU yet.
# So a gradient that is 1% too long passes in these, and in a deep net a gradient may be
# anything: what is wrong with an adapter's backward pass, float32 has to show.
GATES = {
    "float64": Gates(1e-11, 1e-11, 1e-11, 1e-11, 1e-8, 1e-6, 1e-9),
    "float32": Gates(1e-5, 1e-5, 1e-5, 5e-2, 3e-3, 1e-2, 1e-5),
    "tf32": Gates(5e-3, 2e-3, 8e-3, 0.3, 0.25, 1e-2, 1e-5, 1e-2),
    "bfloat16": Gates(4e-2, 1.2e-2, 4e-2, 0.75, 0.25, 1e-2, 1e-5, 1e-2),
    "float16": Gates(5e-3, 2e-3, 8e-3, 0.3, 0.25, 1e-2, 1e-5, 1e-2),
}

# On a device, float32 convolutions by Winograd or FFT lose digits with the length of the
# sums they add up: all gates but the update's grow with its square root beyond this length.
# The gradients' too: noise of 3e-6 on each convolution, which such a kernel has, put those of
# ResNet-50 (batch 2) 0.077 apart; TF32 puts its batch-norm state 0.013 apart, of 9.3e-4 allowed.
DEVICE_REDUCTION = 64

# In training, every batch norm hands rounding on enlarged: with 20 of them correct code was
# off by 2.4e-6 in their state, with 53 (ResNet-50, batches of 2 to 16) by 4.7e-5, and by
# 1.4e-5 in the loss. These two gates grow with the square of the number beyond this one.
# Inference, where nothing is enlarged, keeps its gate, and so do gradients: theirs held on a CPU.
SHALLOW = 16

# An error that points anywhere lies along a gradient of n values by chance, with a standard
# deviation of 1 / sqrt(n) of its size. Flipped branches did not exceed five of these by more
# than 1.6e-3, over 3,519 gradients of correct code.
CHANCE = 5.0


# The least L2 error of any gradient, at most, where the precision ran. A flipped branch makes
# an error larger, and nothing makes one smaller: over all operations in torch, TensorFlow and
# JAX on a CPU it was at most 3.2e-7 in float32; in bfloat16 at least 4.2e-4, blocks included.
# Which of the low ones ran, an error cannot tell: depth adds more than the eight-fold between
# float16 (which has TF32's fraction) and bfloat16.
GRADIENT_SHOWS = {"float64": 1e-9, "float32": 3e-5}
LOW = "less than float32"
TELLING = 16  # values that such a gradient must have: fewer may be right by chance


@dataclass(frozen=True)
class Check:
    """One quantity: `where` is the tensor that was furthest off, `finding` says how."""

    quantity: str
    where: str
    error: float
    gate: float
    finding: str

    @property
    def ok(self) -> bool:
        return bool(self.error <= self.gate)


@dataclass(frozen=True)
class Verification:
    """All checks of one answer, and the first that failed in words."""

    checked: list[Check] = field(default_factory=list)
    reason: str | None = None
    ran_error: float | None = None
    ran: str | None = None  # which precision that error shows; None where nothing can tell

    @property
    def ok(self) -> bool:
        return self.reason is None

    def as_dict(self, rows: int | None) -> dict[str, Any]:
        """As a record keeps it. An error that is not a number becomes null."""
        return {
            "ok": self.ok,
            "rows": rows,
            "ran": self.ran,
            "ran_error": self.ran_error,
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
    answer: Arrays,
    oracle: Arrays,
    precision: str,
    device: str = "cpu",
    reduction: int = 1,
) -> Verification:
    """Holds an answer (see `Cell.answer`) against the oracle's, quantity by quantity.

    `output`, `loss`, `stats`: the largest difference over the largest reference value of
    the same tensor. `gradient scale`: each gradient's length along the reference's,
    <g, ref> / <ref, ref>, against 1. `gradient`: the L2 distance of all gradients together
    over the L2 norm. `params`: p' against p - lr * g over the size of that update, with the
    contender's *own* g, so that a flipped branch is not held against the update as well.
    `reduction` is the longest sum that the workload's operations add up; how deep it is,
    the oracle's batch norms tell.
    Raises ValueError where the oracle has nothing to say.
    """
    if not oracle:
        raise ValueError("the oracle's answer is empty: there is nothing to verify")
    pairs: dict[str, Pairs] = {}
    for name, expected in oracle.items():
        if name not in answer:
            return Verification(reason=f"{_words(name)} is missing")
        if answer[name].shape != expected.shape:
            shapes = f"has shape {answer[name].shape}, expected {expected.shape}"
            return Verification(reason=f"{_words(name)} {shapes}")
        quantity, _, where = name.partition(":")
        both = pairs.setdefault(quantity, {})[where] = apart(answer[name], expected)
        if not both.finite:
            return Verification(reason=f"{_words(name)} holds values that are not finite")
    gates = GATES[precision]
    wider = math.sqrt(max(1.0, reduction / DEVICE_REDUCTION)) if device != "cpu" else 1.0
    own = wider if precision in PLAIN else 1.0  # the low ones' leave room enough for that
    norms = sum(name.startswith("gradient:") and name.endswith(".scale") for name in oracle)
    deeper = max(1.0, norms / SHALLOW) ** 2
    checks = _forward(pairs, gates, own, deeper)
    if gradients := pairs.get("gradient"):
        enlarged = own if precision in PLAIN else deeper  # rounding is what grows, not a mistake
        checks.append(_length(gradients, gates, enlarged))
        checks.append(_distance(gradients, gates.distance * enlarged))
    if params := pairs.get("params"):
        checks.append(_update(list(params), answer, oracle, gates))
    failed = next((check for check in checks if not check.ok), None)
    return Verification(checks, failed.finding if failed else None, *_ran(pairs, wider, deeper))


def _ran(pairs: dict[str, Pairs], wider: float, deeper: float) -> tuple[float | None, str | None]:
    """The largest error of output, loss and batch-norm state; and the precision it shows.

    That is the finest one whose gates all of these pass, and whose gradients' least error is
    as small. Where a finer one's gates hold and the gradients do not (a branch flipped, or a
    loss is right by chance), nothing is said.
    """
    forward = _forward(pairs, GATES["float32"], wider, deeper)
    if not forward:
        return None, None
    error = max(check.error for check in forward)
    gradients = [g for g in pairs.get("gradient", {}).values() if g.norm and g.size >= TELLING]
    least = min((g.error / g.norm for g in gradients), default=0.0)
    for precision, most in GRADIENT_SHOWS.items():
        if all(check.ok for check in _forward(pairs, GATES[precision], wider, deeper)):
            if least <= most:
                return error, precision
            if precision == "float32":
                return error, None
    return error, LOW


def _forward(pairs: dict[str, Pairs], gates: Gates, wider: float, deeper: float) -> list[Check]:
    """Output, loss and batch-norm state, as far as the answer has them."""
    return [
        _largest(quantity, pairs[quantity], gate)
        for quantity, gate in (
            ("output", gates.forward * wider),
            ("loss", gates.loss * deeper * wider),
            ("stats", gates.stats * deeper * wider),
        )
        if quantity in pairs
    ]


def _largest(quantity: str, pairs: Pairs, gate: float) -> Check:
    """The tensor with the largest error, relative to its own largest value."""
    where = max(pairs, key=lambda name: pairs[name].relative)
    error = pairs[where].relative
    subject = _words(f"{quantity}:{where}" if where else quantity)
    finding = f"{subject} is off by {error:.2g} relative (allowed: {gate:.2g})"
    return Check(quantity, where, error, gate, finding)


def _length(pairs: Pairs, gates: Gates, enlarged: float) -> Check:
    """The gradient that is most too long or too short, along the reference's.

    A gradient's gate is wider by what chance puts along it of an error that is orthogonal
    otherwise; a gradient that should be negligible must be so.
    """
    largest = max(gradient.norm for gradient in pairs.values())
    checks = []
    for name, gradient in pairs.items():
        subject = _words(f"gradient:{name}")
        error, norm, allowed = gradient.error, gradient.norm, gates.nothing
        if norm <= NEGLIGIBLE * largest:
            error = over(error, largest)
            finding = f"{subject} should be zero and is off by {error:.2g} of the largest one's"
            finding += f" norm (allowed: {allowed:.2g})"
        else:
            times = gradient.product / norm**2
            along = abs(times - 1.0)
            across = math.sqrt(max((error / norm) ** 2 - along**2, 0.0))
            error = along
            allowed = gates.length * enlarged + CHANCE * across / math.sqrt(gradient.size)
            finding = f"{subject} is {times:.4f} times the reference's (allowed: 1 ± {allowed:.2g})"
        checks.append(Check("gradient scale", name, error, allowed, finding))
    return max(checks, key=lambda check: check.error / check.gate)


def _distance(pairs: Pairs, gate: float) -> Check:
    """L2 over all gradients together; `where` is the one that contributes most."""
    norm = math.hypot(*(gradient.norm for gradient in pairs.values()))
    error = over(math.hypot(*(gradient.error for gradient in pairs.values())), norm)
    where = max(pairs, key=lambda name: pairs[name].error)
    finding = f"the gradients are off by {error:.2g} of their norm, that of {where} most"
    return Check("gradient", where, error, gate, f"{finding} (allowed: {gate:.2g})")


def _update(names: list[str], answer: Arrays, oracle: Arrays, gates: Gates) -> Check:
    """The parameter whose update differs most from lr times the contender's own gradient."""
    errors = {}
    for name in names:
        kinds = f"params:{name}", f"gradient:{name}"
        (got, own), (ref, true) = ([arrays[k] for k in kinds] for arrays in (answer, oracle))
        off, step, whole = update(got, ref, own, true, LEARNING_RATE)
        errors[name] = over(off, max(step, gates.resolution * whole))
    where = max(errors, key=lambda name: errors[name])
    subject = _words(f"params:{where}")
    finding = f"{subject} is off by {errors[where]:.2g} of its update (allowed: {gates.update:.2g})"
    return Check("params", where, errors[where], gates.update, finding)


def _words(name: str) -> str:
    """`stats:bn1.var` -> "the new batch-norm state bn1.var"."""
    quantity, _, where = name.partition(":")
    return {
        "gradient": f"the gradient of {where}",
        "params": f"the updated value of {where}",
        "stats": f"the new batch-norm state {where}",
    }.get(quantity, f"the {quantity}")
