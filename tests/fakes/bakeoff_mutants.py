"""The numpy adapter with one mistake each, of the kind that newcomers make: `bakeoff check`
must catch and name them all. Found by entry points, as bakeoff_fakes is."""

import os
import sys
import threading
import wave  # stands for a framework that is imported too early
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from adapters.core.algebra import Pair
from adapters.core.network import Network
from adapters.core.tape import Node
from adapters.numpy import NumPy

assert wave


class Early(NumPy):
    requires = ("wave",)


class Leaky(NumPy):
    def relu(self, x: Node, consume: bool) -> Node:
        slope = np.where(x.value > 0, 1, 0.01).astype(x.value.dtype)
        return self.tape.record(x.value * slope, [x], lambda dy: [dy * slope])


class OneSided(NumPy):
    """Pads a strided convolution more below and on the right, as SAME does."""

    def conv2d(
        self, x: Node, weight: Node, bias: Any, stride: Pair, padding: Pair, groups: int
    ) -> Node:
        if max(stride) == 1 or padding == (0, 0):
            return super().conv2d(x, weight, bias, stride, padding, groups)
        (top, left), (height, width) = [max(p - 1, 0) for p in padding], x.value.shape[1:3]
        edges = [(0, 0), (top, 2 * padding[0] - top), (left, 2 * padding[1] - left), (0, 0)]
        inside = np.s_[:, top : top + height, left : left + width]
        padded = self.tape.record(np.pad(x.value, edges), [x], lambda dy: [dy[inside]])
        return super().conv2d(padded, weight, bias, stride, (0, 0), groups)


class Biased(NumPy):
    """Its running variance moves by the biased one."""

    def batch_norm_train(
        self, x: Node, scale: Node, shift: Node, mean: Node, var: Node, momentum: float, eps: float
    ) -> Any:
        y, new_mean, new_var = super().batch_norm_train(x, scale, shift, mean, var, momentum, eps)
        n = x.value.size // x.value.shape[3]
        old = (1 - momentum) * var.value
        return y, new_mean, Node(old + (new_var.value - old) * (n - 1) / n)


class Swapped(NumPy):
    """Flattens in the order of its memory."""

    def flatten(self, x: Node) -> Node:
        shape = x.value.shape
        flat = x.value.reshape(shape[0], -1)
        return self.tape.record(flat, [x], lambda dy: [dy.reshape(shape)])


class Longer(NumPy):
    """Its gradients are 1% too long."""

    def _differentiate(self, *arguments: Any) -> Any:
        loss, grads, stats = super()._differentiate(*arguments)
        return loss, {n: Node(g.value * g.value.dtype.type(1.01)) for n, g in grads.items()}, stats


class Sluggish(NumPy):
    """Another momentum: the first step, from zero momentum, cannot tell."""

    def train(self, workload: Any, lr: float, momentum: float) -> Any:
        return super().train(workload, lr, 0.8)


class Sharing(NumPy):
    """Its copies are the same arrays, which a training then writes into."""

    def clone(self, array: Any) -> Any:
        return array


class Greedy(NumPy):
    """Computes with two threads, whatever it was told."""

    def infer(self, workload: Any) -> Any:
        call = super().infer(workload)

        def both(params: Any, x: Any) -> Any:
            other = threading.Thread(target=call, args=(params, x))
            other.start()
            result = call(params, x)
            other.join()
            return result

        return both


class Transposed(NumPy):
    """Swaps height and width where it hands an image out."""

    def dump(self, handle: Any, role: str, groups: int = 1) -> np.ndarray:
        value = super().dump(handle, role, groups)
        return value.swapaxes(2, 3).copy() if role == "image" else value


class Stored(NumPy):
    """Computes once, and hands out what it has: no other is as fast."""

    def infer(self, workload: Any) -> Any:
        call, kept = super().infer(workload), None

        def stored(params: Any, x: Any) -> Any:
            nonlocal kept
            kept = kept or call(params, x)
            return kept

        return stored


class Remembering(NumPy):
    """Trains on the first batch that it got, whatever it gets."""

    def train(self, *arguments: Any) -> Any:
        call = super().train(*arguments)
        kept: list[Any] = []

        def step(state: Any, x: Any, y: Any) -> Any:
            kept.extend([] if kept else [x, y])
            return call(state, *kept)

        return step


class Shortened(NumPy):
    """Its gradients have TF32's ten bits of fraction."""

    def _differentiate(self, *arguments: Any) -> Any:
        loss, grads, stats = super()._differentiate(*arguments)
        bits = {n: g.value.copy().view(np.uint32) & 0xFFFFE000 for n, g in grads.items()}
        return loss, {n: Node(each.view(np.float32)) for n, each in bits.items()}, stats


class Unlowered(NumPy):
    """Takes bfloat16 for a wish, and computes in float32."""

    precisions = ("float32", "float64", "bfloat16")

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, "float32", threads)
        self.precision = precision


class Rootless(NumPy):
    """Its batch norm knows no eps in inference."""

    def batch_norm(
        self, x: Node, scale: Node, shift: Node, mean: Node, var: Node, eps: float
    ) -> Node:
        return super().batch_norm(x, scale, shift, mean, var, 0.0)


class Inner(NumPy):
    """Tells shapes as they lie in memory."""

    def shape(self, x: Node) -> tuple[int, ...]:
        return x.value.shape


class Lent(NumPy):
    """Hands out its own memory, though to be read alone."""

    def dump(self, handle: Any, role: str, groups: int = 1) -> np.ndarray:
        if role != "image":
            return super().dump(handle, role, groups)
        view = handle.value.transpose(0, 3, 1, 2)
        view.flags.writeable = False
        return view


class Halved(NumPy):
    """Hands out less than float32."""

    def dump(self, handle: Any, role: str, groups: int = 1) -> np.ndarray:
        value = super().dump(handle, role, groups)
        return value if role == "labels" else value.astype(np.float16)


class Tongued(NumPy):
    """Says in words what really runs."""

    def manifest(self) -> Any:
        return "NHWC"


class Silent(NumPy):
    """Says nothing of what really runs."""

    def manifest(self) -> Any:
        return {"framework": "silent", "threads": None}


class Steep(NumPy):
    """Its ReLU's gradient is 1 where the result is 0: everywhere."""

    def relu(self, x: Node, consume: bool) -> Node:
        y = np.maximum(x.value, 0)
        return self.tape.record(y, [x], lambda dy: [dy * (y >= 0)])


class Blocked(NumPy):
    """Forgets the gradient of the input."""

    def _differentiate(self, *arguments: Any) -> Any:
        loss, grads, stats = super()._differentiate(*arguments)
        return loss, {n: g for n, g in grads.items() if n != "input"}, stats


class Damped(NumPy):
    """Momentum as some have it: v = m * v + (1 - m) * g."""

    def update(self, param: Any, velocity: Any, grad: Any, lr: float, momentum: float) -> None:
        super().update(param, velocity, grad * grad.dtype.type(1 - momentum), lr, momentum)


class Asked:
    """What is computed once somebody asks for it."""

    def __init__(self, compute: Callable[[], Any]):
        self.compute = cache(compute)

    def part(self, name: str) -> "Asked":
        return Asked(lambda: self.compute()[1][name])


def _asked(value: Any) -> Any:
    return value.compute() if isinstance(value, Asked) else value


class Lazy(NumPy):
    """Computes what `sync` is given, all of it, and no other call."""

    def infer(self, workload: Any) -> Any:
        call = super().infer(workload)
        return lambda params, x: Asked(lambda: call(params, x))

    def sync(self, result: Any) -> None:
        _asked(result)

    def shape(self, x: Any) -> Any:
        return super().shape(_asked(x))

    def dump(self, handle: Any, role: str, groups: int = 1) -> Any:
        return super().dump(_asked(handle), role, groups)


class LossAlone(NumPy):
    """Its `sync` waits for the loss; gradients come when they are asked for."""

    def gradients(self, workload: Any, trained: set[str]) -> Any:
        call = super().gradients(workload, trained)

        def lazy(params: Any, x: Any, y: Any) -> Any:
            net = Network(self, params, training=True)
            loss = net.loss(net.run(workload, x), y)
            both = Asked(lambda: call(params, x, y))
            names = [*trained, *(["input"] if workload.input_gradient else [])]
            return loss, {name: both.part(name) for name in names}

        return lazy

    def dump(self, handle: Any, role: str, groups: int = 1) -> Any:
        return super().dump(_asked(handle), role, groups)


class Folding(NumPy):
    """Folds batch norm into its scale, in place: right once."""

    def batch_norm(
        self, x: Node, scale: Node, shift: Node, mean: Node, var: Node, eps: float
    ) -> Any:
        scale.value *= 1 / np.sqrt(var.value + self.dtype.type(eps))
        y = (x.value - mean.value) * scale.value + shift.value
        return self.tape.record(y, [x], lambda dy: [dy])


class Lost(NumPy):
    """Its sum is not a number."""

    def add(self, a: Node, b: Node) -> Node:
        y = super().add(a, b)
        y.value *= np.nan
        return y


class Empty(NumPy):
    """Its sum is forgotten."""

    def add(self, a: Node, b: Node) -> Any:
        return None


class Quits(NumPy):
    """Its sum ends the process."""

    def add(self, a: Node, b: Node) -> Any:
        os._exit(3)


class Leaves(NumPy):
    """Its sum ends the process in peace."""

    def add(self, a: Node, b: Node) -> Any:
        sys.exit(0)
