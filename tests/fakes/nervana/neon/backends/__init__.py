"""Speaks as much of neon's CPU backend as `adapters/neon.py` calls, with arithmetic of its own.

So the adapter is held against the reference where neon itself is absent. What neon does that
one may trip over, this does too: padding left out of an average, the biased variance, outputs
that are accumulated into, errors that are written to. Op-trees run at once here.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np


class Tensor:
    def __init__(self, array: Any, dtype: Any = np.float32):
        array = np.asarray(array, dtype)
        self._tensor = array if array.ndim > 1 else array.reshape(-1, 1)
        self.shape, self.dtype = self._tensor.shape, self._tensor.dtype

    def get(self) -> np.ndarray:
        return self._tensor.copy()

    def reshape(self, shape: tuple[int, ...]) -> "Tensor":
        return Tensor(self._tensor.reshape(shape), self.dtype)

    @property
    def T(self) -> "Tensor":
        return Tensor(self._tensor.T, self.dtype)

    def __getitem__(self, key: slice) -> "Tensor":
        return Tensor(self._tensor[key], self.dtype)

    def __setitem__(self, key: slice, value: Any) -> None:
        self._tensor[key] = _array(value)

    def __add__(self, other: Any) -> "Tensor":
        return Tensor(self._tensor + _array(other))

    def __sub__(self, other: Any) -> "Tensor":
        return Tensor(self._tensor - _array(other))

    def __mul__(self, other: Any) -> "Tensor":
        return Tensor(self._tensor * _array(other))

    def __truediv__(self, other: Any) -> "Tensor":
        return Tensor(self._tensor / _array(other))


def _array(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value._tensor
    assert isinstance(value, int | float), f"neon's op-trees take no {type(value).__name__}"
    return value


class Backend:
    def empty(self, shape: Any, dtype: Any = np.float32) -> Tensor:
        return Tensor(np.zeros(shape, dtype), dtype)

    zeros = empty

    def array(self, values: Any, dtype: Any = np.float32) -> Tensor:
        return Tensor(np.array(values, dtype), dtype)

    # --- op-trees -------------------------------------------------------------------------------

    def equal(self, a: Tensor, b: Tensor) -> Tensor:
        return Tensor(a._tensor == b._tensor)

    def greater(self, a: Tensor, b: float) -> Tensor:
        return Tensor(a._tensor > b)

    def maximum(self, a: Tensor, b: float) -> Tensor:
        return Tensor(np.maximum(a._tensor, b))

    def exp(self, a: Tensor) -> Tensor:
        return Tensor(np.exp(a._tensor))

    def log(self, a: Tensor) -> Tensor:
        return Tensor(np.log(a._tensor))

    def max(self, a: Tensor, axis: int) -> Tensor:
        return Tensor(a._tensor.max(axis, keepdims=True))

    def sum(self, a: Tensor, axis: int) -> Tensor:
        return Tensor(a._tensor.sum(axis, keepdims=True))

    def mean(self, a: Tensor, axis: int) -> Tensor:
        return Tensor(a._tensor.mean(axis, keepdims=True))

    # --- layers ---------------------------------------------------------------------------------

    def conv_layer(self, dtype: Any, **extents: int) -> Any:
        e = SimpleNamespace(**extents)
        return SimpleNamespace(
            **extents,
            P=(e.H + 2 * e.pad_h - e.R) // e.str_h + 1,
            Q=(e.W + 2 * e.pad_w - e.S) // e.str_w + 1,
        )

    def pool_layer(self, dtype: Any, op: str, **extents: int) -> Any:
        layer = self.conv_layer(dtype, **extents)
        layer.op = op
        return layer

    def fprop_conv(self, layer: Any, I: Tensor, F: Tensor, O: Tensor, bias: Any = None) -> None:  # noqa: E741
        taps = F._tensor.reshape(layer.C, -1, layer.K)
        O._tensor[:] = np.einsum("tcpqn,ctk->kpqn", _windows(layer, I, 0), taps, optimize=True)
        if bias is not None:
            O._tensor[:] += bias._tensor.reshape(-1, 1, 1, 1)

    def bprop_conv(self, layer: Any, F: Tensor, E: Tensor, grad_I: Tensor) -> None:
        taps = F._tensor.reshape(layer.C, -1, layer.K)
        grad_I._tensor[:] = _scattered(
            layer, np.einsum("kpqn,ctk->tcpqn", E._tensor, taps, optimize=True)
        )

    def update_conv(self, layer: Any, I: Tensor, E: Tensor, U: Tensor, grad_bias: Any) -> None:  # noqa: E741
        update = np.einsum("tcpqn,kpqn->ctk", _windows(layer, I, 0), E._tensor, optimize=True)
        U._tensor[:] = update.reshape(U.shape)
        if grad_bias is not None:
            grad_bias._tensor[:] = E._tensor.sum((1, 2, 3)).reshape(-1, 1)

    def fprop_pool(self, layer: Any, I: Tensor, O: Tensor, argmax: Any) -> None:  # noqa: E741
        windows = _windows(layer, I, np.nan)
        if layer.op == "max":
            argmax._tensor[:] = np.nanargmax(windows, axis=0)
        pooled = np.nanmax(windows, 0) if layer.op == "max" else np.nanmean(windows, 0)
        O._tensor[:] = O._tensor * 0.0 + pooled

    def bprop_pool(self, layer: Any, I: Tensor, O: Tensor, argmax: Any) -> None:  # noqa: E741
        places = np.arange(layer.R * layer.S).reshape(-1, 1, 1, 1, 1)
        if layer.op == "max":
            spread = (places == argmax._tensor) * I._tensor
        else:
            spread = np.repeat(I._tensor[None] / len(places), len(places), axis=0)
        O._tensor[:] = O._tensor * 0.0 + _scattered(layer, spread)
        I._tensor[:] = I._tensor * 1.0

    def compound_dot(self, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
        C._tensor[:] = A._tensor @ B._tensor
        return C

    def compound_fprop_bn(
        self, x: Any, xsum: Any, xvar: Any, gmean: Any, gvar: Any, gamma: Any, beta: Any, y: Any,
        eps: float, rho: float, compute_batch_sum: bool, inference: bool = False,
    ) -> None:  # fmt: skip
        if not inference:
            xsum[:], xvar[:] = self.mean(x, 1), Tensor(x._tensor.var(1, keepdims=True))
            gmean[:] = gmean * rho + xsum * (1 - rho)
            gvar[:] = gvar * rho + xvar * (1 - rho)
        mean, var = (gmean, gvar) if inference else (xsum, xvar)
        y[:] = y * 0.0 + (x - mean) / Tensor(np.sqrt(var._tensor + np.float32(eps))) * gamma + beta

    def compound_bprop_bn(
        self, delta_out: Any, grad_gamma: Any, grad_beta: Any, delta_in: Any, x: Any, xsum: Any,
        xvar: Any, gamma: Any, eps: float,
    ) -> None:  # fmt: skip
        root = Tensor(np.sqrt(xvar._tensor + np.float32(eps)))
        normal = (x - xsum) / root
        grad_gamma[:], grad_beta[:] = self.sum(normal * delta_in, 1), self.sum(delta_in, 1)
        common = (normal * grad_gamma + grad_beta) / float(x.shape[1])
        delta_out.reshape(delta_in.shape)[:] = (delta_in - common) * gamma / root


def _places(layer: Any) -> list[Any]:
    """For each kernel position, where in a padded (C, H, W, N) image it falls."""
    return [
        np.s_[
            :,
            r : r + layer.str_h * (layer.P - 1) + 1 : layer.str_h,
            s : s + layer.str_w * (layer.Q - 1) + 1 : layer.str_w,
        ]
        for r in range(layer.R)
        for s in range(layer.S)
    ]


def _windows(layer: Any, image: Tensor, outside: float) -> np.ndarray:
    """(kernel positions, C, P, Q, N)."""
    edges = [(0, 0), (layer.pad_h,) * 2, (layer.pad_w,) * 2, (0, 0)]
    padded = np.pad(image._tensor, edges, constant_values=outside)
    return np.stack([padded[place] for place in _places(layer)])


def _scattered(layer: Any, windows: np.ndarray) -> np.ndarray:
    """The transpose of `_windows`."""
    height, width = layer.H + 2 * layer.pad_h, layer.W + 2 * layer.pad_w
    padded = np.zeros((layer.C, height, width, layer.N), np.float32)
    for place, part in zip(_places(layer), windows, strict=True):
        padded[place] += part
    return padded[:, layer.pad_h : height - layer.pad_h, layer.pad_w : width - layer.pad_w]


def gen_backend(backend: str, datatype: Any) -> Backend:
    assert (backend, datatype) == ("cpu", np.float32)
    return Backend()
