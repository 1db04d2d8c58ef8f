"""NumPy arrays with channels last: what its adapters place, dump and join without computing.

Images lie NHWC, kernels (KH, KW, I / groups, O), so that a row of a window is one run of
memory. The adapters on top (`numpy`, `c`) bring the arithmetic.
"""

import numpy as np

from adapters.core.layout import TO_FIRST, TO_HWIO, TO_LAST, from_memory, permuted, to_memory
from adapters.core.tape import Node, TapeAdapter

ORDERS = {"image": TO_LAST, "kernel": TO_HWIO}


class ChannelsLast(TapeAdapter):
    """Subclass this and give it the operations that compute."""

    def shape(self, x: Node) -> tuple[int, ...]:
        return permuted(x.value.shape, TO_FIRST)

    def concat(self, xs: list[Node]) -> Node:
        borders = np.cumsum([x.value.shape[3] for x in xs])[:-1]
        return self.tape.record(
            np.concatenate([x.value for x in xs], axis=3),
            xs,
            lambda dy: [np.ascontiguousarray(part) for part in np.split(dy, borders, axis=3)],
        )

    def flatten(self, x: Node) -> Node:
        batch, height, width, channels = x.value.shape

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dy = dy.reshape(batch, channels, height, width)
            return [np.ascontiguousarray(dy.transpose(TO_LAST))]

        return self.tape.record(
            np.ascontiguousarray(x.value.transpose(TO_FIRST)).reshape(batch, -1), [x], gradients
        )

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> Node:
        if role == "labels":
            return Node(value.astype(np.int64))
        return Node(np.array(to_memory(value, role, ORDERS), self.dtype, order="C"))

    def dump(self, handle: Node, role: str, groups: int = 1) -> np.ndarray:
        return np.array(from_memory(handle.value, role, ORDERS))
