"""MLX: Apple's lazy arrays, eager or through mx.compile; channels last, the only layout it has.

What its own users write is what runs here: `mx.conv2d`, the poolings, loss and SGD of its
`nn` and `optimizers`, `mx.value_and_grad`, and one `mx.eval` a call, which computes what the call
has only described, and waits for it. Batch norm is that of `nn.BatchNorm` in fewer passes over the
image: scale and deviation are multiplied first. With `compile` the whole call is one
`mx.compile`d function, the update in it; that fuses elementwise operations, on a CPU by g++.

MLX is made for Apple's GPUs. Its CPU build for Linux, as the package index has it, brings the
BLAS of Netlib, one thread of plain Fortran, and convolves with that, after im2col: 15 to 58 times
PyTorch's time, one thread each. Grouped convolutions, and the gradient by the image of strided
ones, are loops without any BLAS. Fusing what is left gains nothing there (`compile` took 0.95 to
1.1 times as long as eager). With OpenBLAS put before that one, as a build of one's own may link it,
ResNet-18's latency was a twelfth: LD_PRELOAD=libopenblas.so.0 does that, and the manifest tells.

It has no mixed precision as precision.py means it: its users cast whole models. On a GPU this file
was never tried.
"""

import os
import shutil
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from adapters.core.algebra import Pair
from adapters.core.algebra import Tensor as T
from adapters.core.base import Adapter, State, Unsupported, Variant
from adapters.core.layout import TO_FIRST, TO_LAST, TURNED, from_memory, permuted, to_memory
from adapters.core.network import Network
from adapters.core.precision import NO_TF32

ORDERS = {"image": TO_LAST, "kernel": TO_LAST, "matrix": TURNED}
_MAPS = Path("/proc/self/maps")


class Mlx(Adapter):
    """Images lie NHWC, kernels OHWI, as MLX has them. Matrices are (in, out): the product with
    `nn.Linear`'s (out, in) takes 1.5 times as long in the BLAS that it brings."""

    requires = ("mlx",)
    distributions = ("mlx",)
    variants = {
        "": Variant("eager, channels last, one thread on a CPU", {}, joins=()),
        "compile": Variant(
            "mx.compile, channels last, one thread on a CPU",
            {"compile": True},
            compile_seconds=0.4,
            joins=(),
        ),
    }

    precisions = ("float32", "tf32")

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        if precision == "float64":
            where = "MLX has float64 on a CPU alone"
            raise Unsupported(f"{where}, and its convolution there computes it in float32")
        super().__init__(variant, device, precision, threads)
        self.compiling = "compile" in self.options
        os.environ["MLX_ENABLE_TF32"] = "1" if precision == "tf32" else "0"  # unset, it is on
        if folder := os.environ.get("BAKEOFF_CACHE"):
            os.makedirs(folder, exist_ok=True)
            os.environ["TMPDIR"] = folder  # what it compiles is kept there, and looked for there
        try:
            import mlx.core as mx
        except ImportError as error:  # mlx itself comes without what computes
            raise Unsupported(f"mlx finds no backend (mlx[cpu], mlx[cuda13]): {error}") from None
        from mlx import nn, optimizers

        self.mx, self.nn, self.optimizers = mx, nn, optimizers
        place = mx.cpu if device == "cpu" else mx.gpu
        if not mx.is_available(place):
            raise Unsupported(f"mlx {mx.__version__} finds no GPU")
        if precision == "tf32" and int(mx.device_info(place)["compute_capability_major"]) < 8:
            raise Unsupported(f"{NO_TF32}: {mx.device_info(place)['device_name']} has none")
        mx.set_default_device(place)
        self.dtype = mx.float32
        self._max_pool, self._avg_pool = cache(nn.MaxPool2d), cache(nn.AvgPool2d)

    @classmethod
    def missing(cls, variant: str) -> str | None:
        reason = super().missing(variant)
        compiling = "compile" in cls.variants[variant].options
        if reason is None and compiling and shutil.which("g++") is None:  # it would be eager
            return "mx.compile needs a C++ compiler on a CPU: install g++"
        return reason

    # --- the algebra --------------------------------------------------------------------

    def shape(self, x: T) -> tuple[int, ...]:
        return permuted(tuple(x.shape), TO_FIRST)

    def conv2d(self, x: T, weight: T, bias: T, stride: Pair, padding: Pair, groups: int) -> T:
        y = self.mx.conv2d(x, weight, stride, padding, 1, groups)
        return y if bias is None else y + bias

    def linear(self, x: T, weight: T, bias: T) -> T:
        return x @ weight if bias is None else self.mx.addmm(bias, x, weight)

    def batch_norm(self, x: T, scale: T, shift: T, mean: T, var: T, eps: float) -> T:
        return (x - mean) * (scale * self.mx.rsqrt(var + eps)) + shift

    def batch_norm_train(
        self, x: T, scale: T, shift: T, mean: T, var: T, momentum: float, eps: float
    ) -> tuple[T, T, T]:
        count, over = x.size // x.shape[3], (0, 1, 2)
        batch_mean = x.mean(over)
        # The mean's part in the variance has no gradient, as it is zero: left in, it costs a pass.
        apart = x - self.mx.stop_gradient(batch_mean)
        batch_var = self.mx.square(apart).mean(over)
        return (
            (x - batch_mean) * (scale * self.mx.rsqrt(batch_var + eps)) + shift,
            (1 - momentum) * mean + momentum * batch_mean,
            (1 - momentum) * var + momentum * count / (count - 1) * batch_var,
        )

    def relu(self, x: T, consume: bool) -> T:
        return self.nn.relu(x)

    def add(self, a: T, b: T) -> T:
        return a + b

    def max_pool(self, x: T, kernel: Pair, stride: Pair, padding: Pair) -> T:
        return self._max_pool(kernel, stride, padding)(x)

    def avg_pool(self, x: T, kernel: Pair, stride: Pair, padding: Pair) -> T:
        return self._avg_pool(kernel, stride, padding)(x)

    def global_avg_pool(self, x: T) -> T:
        return x.mean((1, 2))

    def concat(self, xs: list[T]) -> T:
        return self.mx.concatenate(xs, 3)

    def flatten(self, x: T) -> T:
        return x.transpose(*TO_FIRST).reshape(x.shape[0], -1)

    def cross_entropy(self, logits: T, labels: T) -> T:
        return self.nn.losses.cross_entropy(logits, labels, reduction="mean")

    # --- arrays -------------------------------------------------------------------------

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> T:
        value = np.array(to_memory(value, role, ORDERS), order="C")
        return self._made(self.mx.array(value, self.mx.int32 if role == "labels" else self.dtype))

    def dump(self, handle: T, role: str, groups: int = 1) -> np.ndarray:
        return np.array(from_memory(np.array(handle), role, ORDERS), order="C")

    def _made(self, tree: Any) -> Any:
        """The same, computed: nothing of it is left for the call that reads it."""
        self.mx.eval(tree)
        return tree

    def clone(self, array: T) -> T:
        return self._made(self.mx.array(array))

    def zeros_like(self, array: T) -> T:
        return self._made(self.mx.zeros_like(array))

    # --- what is timed ------------------------------------------------------------------

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self.mx.compile(function) if self.compiling else function

    def infer(self, workload: Any) -> Callable[[dict[str, T], T], T]:
        forward = self._compiled(lambda params, x: Network(self, params).run(workload, x))
        return lambda params, x: self._made(forward(params, x))

    def _differentiated(self, workload: Any) -> Callable[..., Any]:
        """-> call(wanted, x, stats, labels) -> ((loss, new stats), gradients of all wanted)."""

        def loss(wanted: dict[str, T], x: T, stats: dict[str, T], y: T) -> Any:
            net = Network(self, {**wanted, **stats}, training=True)
            return net.loss(net.run(workload, wanted.get("input", x)), y), net.updates

        return self.mx.value_and_grad(loss)

    def gradients(self, workload: Any, trained: set[str]) -> Callable[..., Any]:
        differentiate = self._compiled(self._differentiated(workload))

        def call(params: dict[str, T], x: T, y: T) -> Any:
            wanted = {n: p for n, p in params.items() if n in trained}
            stats = {n: p for n, p in params.items() if n not in trained}
            if workload.input_gradient:
                wanted["input"] = x
            (loss, _), found = differentiate(wanted, x, stats, y)
            return self._made((loss, found))

        return call

    def train(self, workload: Any, lr: float, momentum: float) -> Callable[..., Any]:
        sgd = self.optimizers.SGD(self.mx.array(lr, self.dtype), momentum)
        differentiate = self._differentiated(workload)

        def updated(state: State, x: T, y: T) -> tuple[State, T]:
            (loss, stats), found = differentiate(state.params, x, state.stats, y)
            params, velocity = {}, {}
            for name, parameter in state.params.items():
                own = {"v": state.velocity[name]}
                params[name] = sgd.apply_single(found[name], parameter, own)
                velocity[name] = own["v"]
            return State(params, stats, velocity), loss

        inner = self._compiled(updated)

        def step(state: State, x: T, y: T) -> tuple[State, T]:
            new, loss = inner(state, x, y)
            for held, made in zip(state, new, strict=True):
                held.update(made)  # as a model does: MLX writes over what nobody holds any more
            self.mx.eval(loss, state)
            return state, loss

        return step

    # --- the rest -----------------------------------------------------------------------

    def sync(self, result: Any) -> None:
        self.mx.eval(result)  # each call has done so: this finds nothing left

    def memory(self) -> dict[str, int]:
        return {} if self.device == "cpu" else {"allocated": self.mx.get_peak_memory()}

    def manifest(self) -> dict[str, Any]:
        cpu, blas = self.device == "cpu", _blas()
        ours = "tf32" if os.environ["MLX_ENABLE_TF32"] == "1" and not cpu else self.precision
        return {
            "framework": "mlx",
            "version": self.mx.__version__,
            "layout": "NHWC",
            "mode": "mx.compile" if self.compiling else "eager",
            "conv_precision": ours,
            "matmul_precision": ours,
            "mixed": "no",
            "tf32_conv": ours == "tf32",
            "tf32_matmul": ours == "tf32",
            # A CPU's stream is one thread; a build of one's own may have a BLAS with more.
            "threads": 1 if cpu and "openblas" not in blas else self.threads,
            "blas": blas,
            "optimizer": "SGD with momentum, mlx.optimizers' default form",
            "backend": " ".join(_backends()),
        }

    def reset(self) -> None:
        self.mx.clear_cache()
        self.mx.reset_peak_memory()


def _blas() -> str:
    """The BLAS that MLX has loaded, by its file: NumPy has one of its own beside it."""
    lines = _MAPS.read_text().splitlines() if _MAPS.exists() else []
    files = {Path(line.split()[-1]) for line in lines if "blas" in line and "/" in line}
    return " ".join(sorted(f.name for f in files if f.parent.name != "numpy.libs")) or "unknown"


def _backends() -> list[str]:
    found = []
    for name in ("mlx-cpu", "mlx-cuda-12", "mlx-cuda-13"):
        try:
            found.append(f"{name}={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found
