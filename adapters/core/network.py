"""The network layer: parameter names, shapes, initial values and batch-norm state.

Operations are nameless; a network is not. This one layer, shared by all interpreters,
keeps the names, so that an adapter stays a translation table and a workload a plain
function `f(net, x)`. Running a workload over the cost model *declares* its parameters:
there is no separate list to fall out of step.

It is written to be traced: no array is looked at, and new batch-norm state is put into
a dictionary made afresh for each trace, which jit, tf.function and dynamo all accept.
"""

import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.core.algebra import Operations, Pair, Tensor

BATCH_NORM_EPS = 1e-5
BATCH_NORM_MOMENTUM = 0.1


def pair(value: int | Pair) -> Pair:
    """3 -> (3, 3); (3, 5) stays."""
    return (value, value) if isinstance(value, int) else value


@dataclass(frozen=True)
class Parameter:
    """What a workload declares: enough to make an initial value and to lay it out.

    `role` is `kernel` (O, I / groups, KH, KW), `matrix` (O, F), or a vector (C,): `bias`,
    `scale`, `shift`, and the batch-norm state `mean` and `var`, which is not trained.
    """

    shape: tuple[int, ...]
    role: str
    groups: int = 1

    @property
    def trained(self) -> bool:
        return self.role not in ("mean", "var")

    def initial(self, name: str, seed: int) -> np.ndarray:
        """The canonical float32 value: the same for every interpreter and every order.

        Kernels and matrices are He-normal (He et al. 2015, fan-in, gain sqrt 2), the
        vectors random about their neutral values: an operation that ignored its bias or
        its running mean would otherwise go unnoticed.
        """
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        if self.role in ("kernel", "matrix"):
            std = math.sqrt(2.0 / math.prod(self.shape[1:]))
            return rng.standard_normal(self.shape, dtype=np.float32) * np.float32(std)
        low, high = {
            "bias": (-0.1, 0.1),
            "shift": (-0.1, 0.1),
            "mean": (-0.1, 0.1),
            "scale": (0.8, 1.2),
            "var": (0.8, 1.2),
        }[self.role]
        return rng.uniform(low, high, self.shape).astype(np.float32)


class Network:
    """One pass of one workload: what `net` is in `f(net, x)`.

    `parameters` maps names to handles. An interpreter that only looks at shapes (the
    cost model) passes a mapping that makes the handle when it is first asked for.
    After a training pass `updates` holds the new batch-norm state by name.
    """

    def __init__(self, ops: Operations, parameters: Any, training: bool = False):
        self.ops = ops
        self.training = training
        self.updates: dict[str, Tensor] = {}
        self._parameters = parameters
        self._borrowed: list[Tensor] = []

    def run(self, workload: Any, x: Tensor) -> Tensor:
        """The workload's output for x, which is borrowed: no `relu` may consume it."""
        self._borrowed = [x]
        return workload.function(self, x)

    def _get(self, name: str, shape: tuple[int, ...], role: str, groups: int = 1) -> Tensor:
        declare = getattr(self._parameters, "declare", None)
        if declare is not None:
            return declare(name, Parameter(shape, role, groups))
        return self._parameters[name]

    def shape(self, x: Tensor) -> tuple[int, ...]:
        """Logical (N, C, H, W) or (N, F)."""
        return self.ops.shape(x)

    def channels(self, x: Tensor) -> int:
        return self.ops.shape(x)[1]

    def conv(
        self,
        name: str,
        x: Tensor,
        width: int,
        kernel: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        groups: int = 1,
        bias: bool = False,
    ) -> Tensor:
        """Convolution to `width` channels; owns `NAME.weight` and perhaps `NAME.bias`."""
        shape = (width, self.channels(x) // groups, *pair(kernel))
        weight = self._get(f"{name}.weight", shape, "kernel", groups)
        offset = self._get(f"{name}.bias", (width,), "bias") if bias else None
        return self.ops.conv2d(x, weight, offset, pair(stride), pair(padding), groups)

    def linear(self, name: str, x: Tensor, width: int, bias: bool = True) -> Tensor:
        """Fully connected layer to `width` features; owns `NAME.weight` and `NAME.bias`."""
        weight = self._get(f"{name}.weight", (width, self.channels(x)), "matrix")
        offset = self._get(f"{name}.bias", (width,), "bias") if bias else None
        return self.ops.linear(x, weight, offset)

    def batch_norm(self, name: str, x: Tensor, eps: float = BATCH_NORM_EPS) -> Tensor:
        """Batch norm in the form that the pass asks for; owns scale, shift, mean, var."""
        roles = ("scale", "shift", "mean", "var")
        scale, shift, mean, var = (
            self._get(f"{name}.{role}", (self.channels(x),), role) for role in roles
        )
        if not self.training:
            return self.ops.batch_norm(x, scale, shift, mean, var, eps)
        y, mean, var = self.ops.batch_norm_train(
            x, scale, shift, mean, var, BATCH_NORM_MOMENTUM, eps
        )
        self.updates[f"{name}.mean"], self.updates[f"{name}.var"] = mean, var
        return y

    def relu(self, x: Tensor) -> Tensor:
        """Consumes x, unless x is the workload's own input."""
        return self.ops.relu(x, consume=not self._is_borrowed(x))

    def _is_borrowed(self, x: Tensor) -> bool:
        return any(x is tensor for tensor in self._borrowed)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return self.ops.add(a, b)

    def max_pool(
        self,
        x: Tensor,
        kernel: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
    ) -> Tensor:
        """The stride is the kernel where it is not given."""
        stride = pair(kernel if stride is None else stride)
        return self.ops.max_pool(x, pair(kernel), stride, pair(padding))

    def avg_pool(
        self,
        x: Tensor,
        kernel: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
    ) -> Tensor:
        """The stride is the kernel where it is not given; padding counts."""
        stride = pair(kernel if stride is None else stride)
        return self.ops.avg_pool(x, pair(kernel), stride, pair(padding))

    def global_avg_pool(self, x: Tensor) -> Tensor:
        return self.ops.global_avg_pool(x)

    def concat(self, xs: list[Tensor]) -> Tensor:
        return self.ops.concat(xs)

    def flatten(self, x: Tensor) -> Tensor:
        y = self.ops.flatten(x)
        if self._is_borrowed(x):  # it may be a view of x
            self._borrowed.append(y)
        return y

    def loss(self, y: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of a workload's output.

        An output that is still an image (a microbenchmark's) is averaged over height
        and width first: the cheapest head of the algebra that gives it a gradient.
        """
        if len(self.ops.shape(y)) == 4:
            y = self.ops.global_avg_pool(y)
        return self.ops.cross_entropy(y, labels)
