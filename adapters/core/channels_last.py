"""NumPy arrays with channels last: what its adapters place, dump and join without computing.

Images lie NHWC, kernels (KH, KW, I / groups, O), so that a row of a window is one run of
memory. The adapters on top (`numpy`, `c`) bring the arithmetic.
"""

import numpy as np

from adapters.core.tape import Node, TapeAdapter


class ChannelsLast(TapeAdapter):
    """Subclass this and give it the operations that compute."""

    def shape(self, x: Node) -> tuple[int, ...]:
        dims = x.value.shape
        return (dims[0], dims[3], dims[1], dims[2]) if len(dims) == 4 else dims

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
            return [np.ascontiguousarray(dy.transpose(0, 2, 3, 1))]

        return self.tape.record(
            np.ascontiguousarray(x.value.transpose(0, 3, 1, 2)).reshape(batch, -1), [x], gradients
        )

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> Node:
        if role == "labels":
            return Node(value.astype(np.int64))
        order = {"image": (0, 2, 3, 1), "kernel": (2, 3, 1, 0)}.get(role)
        value = value.astype(self.dtype)
        return Node(np.ascontiguousarray(value.transpose(order)) if order else value)

    def dump(self, handle: Node, role: str, groups: int = 1) -> np.ndarray:
        order = {"image": (0, 3, 1, 2), "kernel": (3, 2, 0, 1)}.get(role)
        return np.array(handle.value.transpose(order) if order else handle.value)
