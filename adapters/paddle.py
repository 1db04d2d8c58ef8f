"""PaddlePaddle: eager (its dynamic graph), and through `paddle.jit.to_static`; NCHW.

NCHW is its default, and its better layout on a CPU: its convolution of NHWC transposes to NCHW
and back. What its own users write is what runs here: `paddle.nn.functional`, `no_grad`,
`paddle.grad`, and the kernel that `paddle.optimizer.Momentum` calls, in place. With `static` the
forward pass and the loss are one program (and its backward pass another); the update stays
outside, as users have it. The CPU package has no CINN, so nothing is compiled: the program
spares Python between operators.

No oneDNN takes part on a CPU: FLAGS_use_onednn is off as it is shipped, changed nothing in eager
mode in version 3.3, and made a `to_static` function fail or crash. A convolution takes what the
same product takes in its MKL, which on an AMD EPYC reached 0.4 of OpenBLAS's rate (two threads).
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.core import network
from adapters.core.algebra import Pair
from adapters.core.algebra import Tensor as T
from adapters.core.base import Adapter, State, Variant
from adapters.core.network import Network


class Paddle(Adapter):
    """Tensors lie as the algebra has them, but for matrices, which are (F, O) here."""

    requires = ("paddle",)
    distributions = ("paddlepaddle",)
    variants = {
        "": Variant("eager, NCHW", {}, joins=()),
        "static": Variant(
            "paddle.jit.to_static, whole graphs, NCHW", {"static": True}, 0.1, joins=()
        ),
    }

    # Not float64: a batch norm's new mean was off by 1e-7 there, as if its momentum were float32,
    # and so was the gradient of an average pooling.
    precisions = ("float32",)
    no_cuda = "Paddle's CUDA packages of version 3 lie on its own index, not on PyPI"

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # it takes one thread where this is unset
        # As torch has it: else MKL may take fewer than it is told.
        os.environ["MKL_DYNAMIC"] = "FALSE"
        import paddle
        from paddle import _C_ops

        self.paddle, self.F, self.ops = paddle, paddle.nn.functional, _C_ops
        paddle.set_device("cpu")
        self.static = "static" in self.options
        if self.static:  # it rewrites the source of what it calls: no branch there hangs on data
            paddle.jit.ignore_module([network])
        self.dtype = precision

    # --- the algebra --------------------------------------------------------------------

    def shape(self, x: T) -> tuple[int, ...]:
        return tuple(x.shape)

    def conv2d(self, x: T, weight: T, bias: T, stride: Pair, padding: Pair, groups: int) -> T:
        return self.F.conv2d(x, weight, bias, [*stride], [*padding], 1, groups)

    def linear(self, x: T, weight: T, bias: T) -> T:
        return self.F.linear(x, weight, bias)

    def batch_norm(self, x: T, scale: T, shift: T, mean: T, var: T, eps: float) -> T:
        return self.F.batch_norm(x, mean, var, scale, shift, epsilon=eps)

    def batch_norm_train(
        self, x: T, scale: T, shift: T, mean: T, var: T, momentum: float, eps: float
    ) -> tuple[T, T, T]:
        # Its running variance is the biased one: n / (n - 1) before and after makes it the other.
        count = x.shape[0] * x.shape[2] * x.shape[3]
        biased = (count - 1) / count
        mean, var = mean.clone(), var * biased  # which paddle then updates in place
        y = self.F.batch_norm(x, mean, var, scale, shift, True, 1 - momentum, eps)
        return y, mean, var * (1 / biased)

    def relu(self, x: T, consume: bool) -> T:
        return self.F.relu(x)

    def add(self, a: T, b: T) -> T:
        return a + b

    def max_pool(self, x: T, kernel: Pair, stride: Pair, padding: Pair) -> T:
        return self.F.max_pool2d(x, [*kernel], [*stride], [*padding])

    def avg_pool(self, x: T, kernel: Pair, stride: Pair, padding: Pair) -> T:
        return self.F.avg_pool2d(x, [*kernel], [*stride], [*padding], exclusive=False)

    def global_avg_pool(self, x: T) -> T:
        return x.mean((2, 3))

    def concat(self, xs: list[T]) -> T:
        return self.paddle.concat(xs, 1)

    def flatten(self, x: T) -> T:
        return x.flatten(1)

    def cross_entropy(self, logits: T, labels: T) -> T:
        return self.F.cross_entropy(logits, labels)

    # --- arrays -------------------------------------------------------------------------

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> T:
        value = value.T if role == "matrix" else value
        dtype = "int64" if role == "labels" else self.dtype
        return self.paddle.to_tensor(np.array(value, dtype, order="C"))

    def dump(self, handle: T, role: str, groups: int = 1) -> np.ndarray:
        value = handle.detach().numpy()
        return np.array(value.T if role == "matrix" else value, order="C")

    def clone(self, array: T) -> T:
        found = array.detach().clone()
        found.stop_gradient = array.stop_gradient
        return found

    def zeros_like(self, array: T) -> T:
        return self.paddle.zeros_like(array)

    def start(self, params: dict[str, T], trained: set[str]) -> State:
        state = super().start(params, trained)
        for weight in state.params.values():
            weight.stop_gradient = False
        return state

    # --- what is timed ------------------------------------------------------------------

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not self.static:
            return function
        return self.paddle.jit.to_static(function, full_graph=True)

    def infer(self, workload: Any) -> Callable[[dict[str, T], T], T]:
        def forward(params: dict[str, T], x: T) -> T:
            return Network(self, params).run(workload, x)

        return self.paddle.no_grad()(self._function(forward))

    def _loss(self, workload: Any) -> Callable[[dict[str, T], T, T], tuple[T, dict[str, T]]]:
        def loss(params: dict[str, T], x: T, y: T) -> tuple[T, dict[str, T]]:
            net = Network(self, params, training=True)
            found = net.loss(net.run(workload, x), y)
            return found, net.updates

        return self._function(loss)

    def gradients(self, workload: Any, trained: set[str]) -> Callable[..., Any]:
        loss_of = self._loss(workload)

        def call(params: dict[str, T], x: T, y: T) -> tuple[T, dict[str, T]]:
            wanted = {n: p for n, p in params.items() if n in trained}
            if workload.input_gradient:
                wanted["input"] = x
            for tensor in wanted.values():
                tensor.stop_gradient = False
            loss, _ = loss_of(params, x, y)
            found = self.paddle.grad(loss, [*wanted.values()])
            return loss.detach(), dict(zip(wanted, found, strict=True))

        return call

    def train(self, workload: Any, lr: float, momentum: float) -> Callable[..., Any]:
        loss_of = self._loss(workload)
        rate = self.paddle.to_tensor(lr, self.dtype)

        def step(state: State, x: T, y: T) -> tuple[State, T]:
            loss, stats = loss_of({**state.params, **state.stats}, x, y)
            found = self.paddle.grad(loss, [*state.params.values()])
            with self.paddle.no_grad():
                for (name, p), g in zip(state.params.items(), found, strict=True):
                    # What paddle.optimizer.Momentum.step calls: no master weight, no Nesterov.
                    self.ops.momentum_(
                        p, g, state.velocity[name], rate, None, momentum, False, "", 0.0, False, 1.0
                    )
            return state._replace(stats={**state.stats, **stats}), loss.detach()

        return step

    # --- the rest: on a CPU a call returns when it is done --------------------------------

    def manifest(self) -> dict[str, Any]:
        paddle = self.paddle
        return {
            "framework": "paddle",
            "version": paddle.__version__,
            "layout": "NCHW",
            "mode": "to_static (PIR program)" if self.static else "eager",
            "cinn": paddle.is_compiled_with_cinn(),
            "conv_precision": self.precision,
            "matmul_precision": self.precision,
            "threads": int(os.environ["OMP_NUM_THREADS"]),
            "optimizer": "SGD with momentum, the kernel of paddle.optimizer.Momentum, in place",
            "blas": "MKL" if paddle.version.mkl() == "ON" else "OpenBLAS",
            "onednn": "off",
        }
