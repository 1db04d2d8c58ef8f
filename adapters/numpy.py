"""NumPy: what an array library alone brings, and no framework's kernel.

Convolution is im2col and matrix products (`core/im2col.py`). The product is BLAS; all else runs
on one core. Gradients come from the tape.
"""

from typing import Any

import numpy as np

from adapters.core import im2col
from adapters.core.algebra import Pair
from adapters.core.base import Variant
from adapters.core.channels_last import ChannelsLast
from adapters.core.tape import Node


class NumPy(ChannelsLast):
    """Images lie NHWC, kernels (KH, KW, I / groups, O)."""

    distributions = ("numpy",)
    no_cuda = "NumPy computes on the CPU alone"
    baseline = True
    variants = {
        "": Variant(
            "Bakeoff's own convolutions in plain NumPy (im2col): a baseline, no framework", {}
        )
    }

    # --- the algebra --------------------------------------------------------------------

    def conv2d(
        self, x: Node, weight: Node, bias: Node | None, stride: Pair, padding: Pair, groups: int
    ) -> Node:
        value, w = x.value, weight.value
        if groups == value.shape[3] == w.shape[3]:
            y = self._depthwise(x, weight, stride, padding)
        elif groups > 1:
            y = self._grouped(x, weight, stride, padding, groups)
        else:

            def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
                dx = im2col.conv_to_input(dy, w, value.shape, stride, padding) if x.wanted else None
                return [dx, im2col.conv_to_weight(value, dy, w.shape, stride, padding)]

            y = self.tape.record(im2col.conv(value, w, stride, padding), [x, weight], gradients)
        return y if bias is None else self._add_bias(y, bias)

    def _depthwise(self, x: Node, weight: Node, stride: Pair, padding: Pair) -> Node:
        """One multiply-add per kernel position, over all channels at once."""
        padded, w = im2col.pad(x.value, padding, 0.0), weight.value[:, :, 0, :]
        kernel = (w.shape[0], w.shape[1])
        places = im2col.places(padded.shape, kernel, stride)
        y = padded[places[0]] * w[0, 0]
        for place, position in zip(places[1:], w.reshape(-1, w.shape[2])[1:], strict=True):
            y += padded[place] * position

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dpadded, dw = np.zeros_like(padded), np.empty_like(w)
            flat = dw.reshape(-1, dw.shape[2])
            for number, place in enumerate(places):
                flat[number] = np.einsum("nhwc,nhwc->c", padded[place], dy)
                dpadded[place] += dy * w.reshape(flat.shape)[number]
            return [im2col.unpad(dpadded, padding), dw[:, :, None, :]]

        return self.tape.record(y, [x, weight], gradients)

    def _grouped(self, x: Node, weight: Node, stride: Pair, padding: Pair, groups: int) -> Node:
        xs = [np.ascontiguousarray(part) for part in np.split(x.value, groups, axis=3)]
        ws = [np.ascontiguousarray(part) for part in np.split(weight.value, groups, axis=3)]
        parts = [im2col.conv(a, w, stride, padding) for a, w in zip(xs, ws, strict=True)]

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dys = [np.ascontiguousarray(part) for part in np.split(dy, groups, axis=3)]
            dx = [
                im2col.conv_to_input(d, w, a.shape, stride, padding)
                for a, w, d in zip(xs, ws, dys, strict=True)
            ]
            dw = [
                im2col.conv_to_weight(a, d, w.shape, stride, padding)
                for a, w, d in zip(xs, ws, dys, strict=True)
            ]
            return [np.concatenate(dx, axis=3), np.concatenate(dw, axis=3)]

        return self.tape.record(np.concatenate(parts, axis=3), [x, weight], gradients)

    def _add_bias(self, y: Node, bias: Node) -> Node:
        y.value += bias.value  # y is fresh: nobody else holds it
        return self.tape.record(y.value, [y, bias], lambda dy: [dy, _over_rows(dy)])

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        a, w = x.value, weight.value
        y = self.tape.record(
            a @ w.T, [x, weight], lambda dy: [dy @ w if x.wanted else None, dy.T @ a]
        )
        return y if bias is None else self._add_bias(y, bias)

    def batch_norm(
        self, x: Node, scale: Node, shift: Node, mean: Node, var: Node, eps: float
    ) -> Node:
        factor = scale.value / np.sqrt(var.value + self.dtype.type(eps))
        y = x.value * factor
        y += shift.value - mean.value * factor
        return self.tape.record(y, [x], lambda dy: [dy * factor])

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
        number = self.dtype.type
        count = x.value.size // x.value.shape[3]
        batch_mean = _over_rows(x.value) / number(count)
        normal = x.value - batch_mean
        batch_var = _over_rows(normal * normal) / number(count)
        inverse = 1 / np.sqrt(batch_var + number(eps))
        normal *= inverse
        y = normal * scale.value
        y += shift.value

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dshift, dscale = _over_rows(dy), np.einsum("nhwc,nhwc->c", dy, normal)
            dx = dy - normal * (dscale / number(count))
            dx -= dshift / number(count)
            dx *= scale.value * inverse
            return [dx, dscale, dshift]

        keep, take = number(1 - momentum), number(momentum)
        unbiased = batch_var * number(count / (count - 1))
        return (
            self.tape.record(y, [x, scale, shift], gradients),
            Node(keep * mean.value + take * batch_mean),
            Node(keep * var.value + take * unbiased),
        )

    def relu(self, x: Node, consume: bool) -> Node:
        y = np.maximum(x.value, 0, out=x.value if consume else None)
        return self.tape.record(y, [x], lambda dy: [dy * (y > 0)])

    def add(self, a: Node, b: Node) -> Node:
        return self.tape.record(a.value + b.value, [a, b], lambda dy: [dy, dy])

    def max_pool(self, x: Node, kernel: Pair, stride: Pair, padding: Pair) -> Node:
        padded = im2col.pad(x.value, padding, -np.inf)
        places = im2col.places(padded.shape, kernel, stride)
        y = padded[places[0]].copy()
        for place in places[1:]:
            np.maximum(y, padded[place], out=y)

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dpadded, open_ = np.zeros_like(padded), np.ones(y.shape, bool)
            for place in places:
                here = (padded[place] == y) & open_
                dpadded[place] += dy * here
                open_ ^= here
            return [im2col.unpad(dpadded, padding)]

        return self.tape.record(y, [x], gradients)

    def avg_pool(self, x: Node, kernel: Pair, stride: Pair, padding: Pair) -> Node:
        padded = im2col.pad(x.value, padding, 0.0)
        places = im2col.places(padded.shape, kernel, stride)
        y = padded[places[0]].copy()
        for place in places[1:]:
            y += padded[place]
        y /= len(places)

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dpadded, share = np.zeros_like(padded), dy / self.dtype.type(len(places))
            for place in places:
                dpadded[place] += share
            return [im2col.unpad(dpadded, padding)]

        return self.tape.record(y, [x], gradients)

    def global_avg_pool(self, x: Node) -> Node:
        value = x.value
        area = self.dtype.type(value.shape[1] * value.shape[2])

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            return [np.ascontiguousarray(np.broadcast_to((dy / area)[:, None, None], value.shape))]

        return self.tape.record(value.mean(axis=(1, 2)), [x], gradients)

    def cross_entropy(self, logits: Node, labels: Node) -> Node:
        value, rows = logits.value, np.arange(len(logits.value))
        shifted = value - value.max(axis=1, keepdims=True)
        exponents = np.exp(shifted)
        total = exponents.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - shifted[rows, labels.value]).mean()

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            grad = exponents / total
            grad[rows, labels.value] -= 1
            return [grad * (dy / self.dtype.type(len(value))), None]

        return self.tape.record(np.asarray(loss), [logits, labels], gradients)

    # --- the verbs --------------------------------------------------------------------------

    def manifest(self) -> dict[str, Any]:
        blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        return {
            "framework": "numpy",
            "version": np.__version__,
            "layout": "NHWC",
            "mode": "eager",
            "conv_precision": self.precision,
            "matmul_precision": self.precision,
            "threads": self.threads,
            "optimizer": "SGD with momentum, in place",
            "blas": f"{blas.get('name')} {blas.get('version')}",
        }


def _over_rows(x: np.ndarray) -> np.ndarray:
    """Sum over all but the last axis, as a matrix product: BLAS adds in blocks."""
    rows = x.reshape(-1, x.shape[-1])
    return np.ones(len(rows), x.dtype) @ rows
