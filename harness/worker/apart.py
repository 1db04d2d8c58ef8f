"""How far two arrays are apart: all that verification asks of a pair, in one pass over both.

VGG has 133 million weights. A float64 copy of each, and an array for each difference, would
be gigabytes that nobody looks at twice; pieces of them stay in a processor's cache.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

PIECE = 1 << 15  # values, so that a handful of float64 pieces fits a core's own cache


@dataclass(frozen=True)
class Apart:
    """An answer `got` beside its reference `ref`, in float64."""

    size: int
    finite: bool  # whether all of got is
    worst: float  # largest |got - ref|
    largest: float  # largest |ref|
    error: float  # L2 norm of got - ref
    norm: float  # L2 norm of ref
    product: float  # <got, ref>

    @property
    def relative(self) -> float:
        """The largest error over the largest reference value."""
        return over(self.worst, self.largest)


def apart(got: np.ndarray, ref: np.ndarray) -> Apart:
    """Of two arrays of one shape, of any layout and floating-point type."""
    finite, worst, largest = True, np.float64(0.0), np.float64(0.0)
    squared_error = squared = product = 0.0
    for mine, true in _pieces(got, ref):
        error = mine - true
        finite = finite and bool(np.isfinite(mine).all())
        worst = np.maximum(worst, np.abs(error).max())  # unlike max(), it keeps what is no number
        largest = np.maximum(largest, np.abs(true).max())
        squared_error += _dot(error, error)
        squared += _dot(true, true)
        product += _dot(mine, true)
    norms = math.sqrt(squared_error), math.sqrt(squared)
    return Apart(ref.size, finite, float(worst), float(largest), *norms, product)


def update(
    got: np.ndarray, ref: np.ndarray, own: np.ndarray, true: np.ndarray, rate: float
) -> tuple[float, float, float]:
    """A parameter after a step of SGD, held against what its `own` gradient makes of it.

    `ref` is the reference's, which took the step by the `true` gradient -> L2 norms: of the
    difference, of the step, of the parameter as it should be.
    """
    difference = step = whole = 0.0
    for value, its, gradient, its_gradient in _pieces(got, ref, own, true):
        expected = its + rate * (its_gradient - gradient)
        off = value - expected
        difference += _dot(off, off)
        step += _dot(gradient, gradient)
        whole += _dot(expected, expected)
    return math.sqrt(difference), rate * math.sqrt(step), math.sqrt(whole)


def over(error: float, size: float) -> float:
    """error / size; the error itself where the reference is all zeros."""
    return error / (size or 1.0)


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """Without BLAS, whose threads wait for each other at every piece: beside a contender
    that compiled, a training step of ResNet-18 took 18 s to verify with it, and 0.8 without."""
    return float(np.einsum("i,i->", a, b))


def _pieces(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """The same places of each, as float64, in the order in which they lie in memory."""
    return iter(
        np.nditer(
            arrays,
            ["external_loop", "buffered", "zerosize_ok"],
            [["readonly"]] * len(arrays),
            [np.float64] * len(arrays),
            buffersize=PIECE,
        )
    )
