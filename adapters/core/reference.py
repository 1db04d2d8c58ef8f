"""The reference: the algebra in NumPy float64, the executable form of its docstrings.

Clear before fast: every operation says what it means in the shortest way, and its
gradient stands beside it. Tests hold each gradient against finite differences. It calls
no framework, shares no operation with the numpy adapter, and uses a tensor that `relu`
consumed for nothing: whoever touches it is told.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from adapters.core.algebra import Pair
from adapters.core.tape import Node, TapeAdapter


class Consumed(Exception):
    """A workload used a tensor after `relu` had consumed it."""


class Reference(TapeAdapter):
    """Logical NCHW throughout; tensors are tape nodes."""

    def __init__(
        self,
        variant: str = "",
        device: str = "cpu",
        precision: str = "float64",
        threads: int = 1,
    ):
        super().__init__(variant, device, precision, threads)

    # --- the algebra ------------------------------------------------------------------

    def shape(self, x: Node) -> tuple[int, ...]:
        return _value(x).shape

    def conv2d(
        self, x: Node, weight: Node, bias: Node | None, stride: Pair, padding: Pair, groups: int
    ) -> Node:
        w = _value(weight)
        padded = _pad(_value(x), padding, 0.0)
        windows = _windows(padded, w.shape[2:], stride)  # (N, C, H', W', KH, KW)
        batch, channels, height, width = windows.shape[:4]
        kernels = w.reshape(groups, len(w) // groups, -1)  # (G, O/G, C/G KH KW)
        places = batch * height * width

        def columns() -> np.ndarray:
            """What the kernels are laid over: (G, C/G KH KW, N H' W')."""
            return windows.transpose(1, 4, 5, 0, 2, 3).reshape(groups, -1, places)

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dy = dy.swapaxes(0, 1).reshape(groups, -1, places)
            dw = dy @ columns().swapaxes(1, 2)
            dcolumns = kernels.swapaxes(1, 2) @ dy
            taps = dcolumns.reshape(channels, *w.shape[2:], batch, height, width)
            dpadded = np.zeros_like(padded)
            for row, column, place in _places(w.shape[2:], stride, (height, width)):
                dpadded[(..., *place)] += taps[:, row, column].swapaxes(0, 1)
            return [_unpad(dpadded, padding), dw.reshape(w.shape)]

        product = (kernels @ columns()).reshape(len(w), batch, height, width).swapaxes(0, 1)
        y = self.tape.record(product, [x, weight], gradients)
        return y if bias is None else self._add_bias(y, bias)

    def _add_bias(self, y: Node, bias: Node) -> Node:
        value = _value(bias).reshape((1, -1) + (1,) * (y.value.ndim - 2))
        others = (0, 2, 3)[: y.value.ndim - 1]
        return self.tape.record(y.value + value, [y, bias], lambda dy: [dy, dy.sum(axis=others)])

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        a, w = _value(x), _value(weight)
        y = self.tape.record(a @ w.T, [x, weight], lambda dy: [dy @ w, dy.T @ a])
        return y if bias is None else self._add_bias(y, bias)

    def batch_norm(
        self, x: Node, scale: Node, shift: Node, mean: Node, var: Node, eps: float
    ) -> Node:
        """An inference: nobody differentiates it."""
        normal = (_value(x) - _column(mean)) / np.sqrt(_column(var) + eps)
        return Node(normal * _column(scale) + _column(shift))

    def batch_norm_train(
        self,
        x: Node,
        scale: Node,
        shift: Node,
        mean: Node,
        var: Node,
        momentum: float,
        eps: float,
    ) -> tuple[Node, Node, Node]:
        value, over = _value(x), (0, 2, 3)
        count = value.size // value.shape[1]
        batch_mean = value.mean(axis=over, keepdims=True)
        batch_var = ((value - batch_mean) ** 2).mean(axis=over, keepdims=True)
        inverse = 1.0 / np.sqrt(batch_var + eps)
        normal = (value - batch_mean) * inverse

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dnormal = dy * _column(scale)
            centred = (
                dnormal
                - dnormal.mean(axis=over, keepdims=True)
                - normal * (dnormal * normal).mean(axis=over, keepdims=True)
            )
            return [centred * inverse, (dy * normal).sum(axis=over), dy.sum(axis=over)]

        y = normal * _column(scale) + _column(shift)
        unbiased = batch_var.ravel() * count / (count - 1)
        return (
            self.tape.record(y, [x, scale, shift], gradients),
            Node((1 - momentum) * _value(mean) + momentum * batch_mean.ravel()),
            Node((1 - momentum) * _value(var) + momentum * unbiased),
        )

    def relu(self, x: Node, consume: bool) -> Node:
        value = _value(x)
        positive = value > 0
        y = self.tape.record(value * positive, [x], lambda dy: [dy * positive])
        if consume:
            for node in _sharing(x):
                node.value = CONSUMED
        return y

    def add(self, a: Node, b: Node) -> Node:
        return self.tape.record(_value(a) + _value(b), [a, b], lambda dy: [dy, dy])

    def max_pool(self, x: Node, kernel: Pair, stride: Pair, padding: Pair) -> Node:
        padded = _pad(_value(x), padding, -np.inf)
        windows = _windows(padded, kernel, stride)
        flat = windows.reshape(*windows.shape[:4], -1)
        chosen = flat.argmax(axis=-1)
        y = np.take_along_axis(flat, chosen[..., None], axis=-1)[..., 0]

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dpadded = np.zeros_like(padded)
            for number, (_, _, place) in enumerate(_places(kernel, stride, dy.shape[2:])):
                dpadded[(slice(None), slice(None), *place)] += dy * (chosen == number)
            return [_unpad(dpadded, padding)]

        return self.tape.record(y, [x], gradients)

    def avg_pool(self, x: Node, kernel: Pair, stride: Pair, padding: Pair) -> Node:
        padded = _pad(_value(x), padding, 0.0)
        y = _windows(padded, kernel, stride).mean(axis=(-2, -1))

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dpadded = np.zeros_like(padded)
            for _, _, place in _places(kernel, stride, dy.shape[2:]):
                dpadded[(slice(None), slice(None), *place)] += dy / (kernel[0] * kernel[1])
            return [_unpad(dpadded, padding)]

        return self.tape.record(y, [x], gradients)

    def global_avg_pool(self, x: Node) -> Node:
        value = _value(x)
        area = value.shape[2] * value.shape[3]

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            return [np.broadcast_to(dy[:, :, None, None] / area, value.shape)]

        return self.tape.record(value.mean(axis=(2, 3)), [x], gradients)

    def concat(self, xs: list[Node]) -> Node:
        values = [_value(x) for x in xs]
        borders = np.cumsum([value.shape[1] for value in values])[:-1]
        return self.tape.record(
            np.concatenate(values, axis=1), xs, lambda dy: np.split(dy, borders, axis=1)
        )

    def flatten(self, x: Node) -> Node:
        value = _value(x)
        y = self.tape.record(
            value.reshape(len(value), -1), [x], lambda dy: [dy.reshape(value.shape)]
        )
        y.view_of = x
        return y

    def cross_entropy(self, logits: Node, labels: Node) -> Node:
        value, chosen = _value(logits), _value(labels)
        rows = np.arange(len(value))
        shifted = value - value.max(axis=1, keepdims=True)
        log_total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        loss = -(shifted - log_total)[rows, chosen].mean()

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            probabilities = np.exp(shifted - log_total)
            probabilities[rows, chosen] -= 1.0
            return [dy * probabilities / len(value), None]

        return self.tape.record(np.asarray(loss), [logits, labels], gradients)

    # --- the verbs --------------------------------------------------------------------

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> Node:
        return Node(value.astype(np.int64 if role == "labels" else self.dtype))

    def dump(self, handle: Node, role: str, groups: int = 1) -> np.ndarray:
        return np.array(_value(handle))

    def manifest(self) -> dict[str, Any]:
        return {"framework": "reference", "version": np.__version__, "layout": "NCHW"}


class _Poison:
    """Stands where a consumed tensor's value was."""


CONSUMED: Any = _Poison()


def _sharing(x: Node) -> Iterator[Node]:
    """x, and what it was flattened from: elsewhere they may lie in one memory."""
    node: Node | None = x
    while node is not None:
        yield node
        node = node.view_of


def _value(x: Node) -> np.ndarray:
    if any(node.value is CONSUMED for node in _sharing(x)):
        raise Consumed("this tensor was consumed by relu: use what relu returned instead")
    return x.value


def _column(vector: Node) -> np.ndarray:
    """(C,) -> (1, C, 1, 1)."""
    return _value(vector)[None, :, None, None]


def _pad(x: np.ndarray, padding: Pair, value: float) -> np.ndarray:
    if padding == (0, 0):
        return x
    edges = ((0, 0), (0, 0), (padding[0], padding[0]), (padding[1], padding[1]))
    return np.pad(x, edges, constant_values=value)


def _unpad(x: np.ndarray, padding: Pair) -> np.ndarray:
    height, width = x.shape[2:]
    return x[:, :, padding[0] : height - padding[0], padding[1] : width - padding[1]]


def _windows(x: np.ndarray, kernel: Pair, stride: Pair) -> np.ndarray:
    """(N, C, H, W) -> a view (N, C, H', W', KH, KW) of every window."""
    windows = sliding_window_view(x, kernel, axis=(2, 3))
    return windows[:, :, :: stride[0], :: stride[1]]


def _places(kernel: Pair, stride: Pair, out: tuple[int, ...]) -> list[tuple[int, int, Any]]:
    """For each kernel position: row, column, and where in the input it falls."""
    return [
        (
            row,
            column,
            (
                slice(row, row + stride[0] * (out[0] - 1) + 1, stride[0]),
                slice(column, column + stride[1] * (out[1] - 1) + 1, stride[1]),
            ),
        )
        for row in range(kernel[0])
        for column in range(kernel[1])
    ]
