"""In which order axes lie in memory: what `place` does to an array, `dump` undoes.

An order is what NumPy's `transpose` takes: for each axis in memory, the algebra's. An adapter
says which order each role has (base.py), as in {"image": TO_LAST, "kernel": TO_HWIO}; what it
leaves out lies as the algebra has it.
"""

from collections.abc import Mapping

import numpy as np

Order = tuple[int, ...]


def inverse(order: Order) -> Order:
    return tuple(order.index(axis) for axis in range(len(order)))


TO_LAST = (0, 2, 3, 1)  # channels: an image NCHW -> NHWC, or a kernel OIHW -> OHWI
TO_FIRST = inverse(TO_LAST)
TO_HWIO = (2, 3, 1, 0)  # a kernel
TO_OIHW = inverse(TO_HWIO)
TURNED = (1, 0)  # a matrix: (out, in) -> (in, out)


def to_memory(value: np.ndarray, role: str, orders: Mapping[str, Order]) -> np.ndarray:
    """A canonical array as it is to lie in memory: a view of it."""
    return value.transpose(orders[role]) if role in orders else value


def from_memory(value: np.ndarray, role: str, orders: Mapping[str, Order]) -> np.ndarray:
    """The inverse of `to_memory`."""
    return value.transpose(inverse(orders[role])) if role in orders else value


def permuted(dims: Order, order: Order) -> Order:
    """The extents of an image in another order; those of fewer dimensions as they are."""
    return tuple(dims[axis] for axis in order) if len(dims) == 4 else dims
