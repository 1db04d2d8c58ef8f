"""C: convolution and all else from scratch, compiled by the system's compiler.

What a person could write without any library: the loops are in `c.c` beside this file, and
here stands which of them each operation and each gradient is. Arrays and the tape are
NumPy's; no product of its BLAS is used. It lives in NumPy's environment, and set-up compiles
the library into it.
"""

import ctypes
import hashlib
import platform
from pathlib import Path
from typing import Any

import numpy as np

from adapters.core import build
from adapters.core.algebra import Pair
from adapters.core.base import Variant
from adapters.core.channels_last import ChannelsLast
from adapters.core.tape import Node, Tape

SOURCE = Path(__file__).with_suffix(".c")
# No -ffast-math: it would take infinity from max pooling. These change no result.
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno",
         "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")  # fmt: skip
FEW = 8  # channels: with so few, padding is made, and a whole kernel row is one run of memory


class C(ChannelsLast):
    """Images lie NHWC, kernels (KH, KW, I / groups, O)."""

    environment = "numpy"
    no_cuda = "the C adapter computes on the CPU alone"
    baseline = True
    variants = {"": Variant("from scratch: blocked implicit im2col, channels last", {}, joins=())}

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        self.library = ctypes.CDLL(str(self._built(precision)))
        self.tape = Tape(self._sum)
        self.use(threads)

    def use(self, threads: int) -> None:
        """The number of threads, from now on."""
        self._c("threads", threads)

    @classmethod
    def missing(cls, variant: str) -> str | None:
        return super().missing(variant) or build.missing()

    @classmethod
    def version(cls) -> str:
        """There is none but the source itself."""
        return hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:8]

    @classmethod
    def prepare(cls) -> None:
        for precision in ("float32", "float64"):
            cls._built(precision)

    @staticmethod
    def _built(precision: str) -> Path:
        real = {"float32": "float", "float64": "double"}[precision]
        return build.library(SOURCE, (*FLAGS, f"-DREAL={real}"))

    def _c(self, name: str, *arguments: Any) -> None:
        """Calls a function of c.c."""
        if getattr(self.library, name)(*map(_argument, arguments)):
            raise MemoryError(f"{name} in c.c found no memory for its sums")

    def _new(self, *shape: int) -> np.ndarray:
        return np.empty(shape, self.dtype)

    def _sum(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        y = np.empty_like(a)
        self._c("add", a, b, a.size, y)
        return y

    def _over_rows(self, x: np.ndarray) -> np.ndarray:
        y = self._new(x.shape[-1])
        self._c("sum_rows", x, x.size // x.shape[-1], x.shape[-1], y)
        return y

    # --- the algebra --------------------------------------------------------------------

    def conv2d(
        self, x: Node, weight: Node, bias: Node | None, stride: Pair, padding: Pair, groups: int
    ) -> Node:
        a, w = x.value, weight.value
        kernel, width = (w.shape[0], w.shape[1]), w.shape[3]
        s, out = _window(a.shape, width, kernel, stride, padding, groups)
        if groups == a.shape[3] == width and groups > 1:
            return self._depthwise(s, out, x, weight, bias)
        t = s
        if a.shape[3] <= FEW and padding != (0, 0):
            a = np.pad(a, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
            t, _ = _window(a.shape, width, kernel, stride, (0, 0), groups)
        y = self._new(*out)
        self._c("conv", t, a, w, bias and bias.value, y)

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dx, dw = np.empty_like(x.value) if x.wanted else None, np.empty_like(w)
            if dx is not None:
                self._c("conv_to_input", s, dy, w, None, dx)
            self._c("conv_to_weight", t, a, dy, dw)
            return [dx, dw, *([self._over_rows(dy)] if bias else [])]

        return self.tape.record(y, [x, weight, *([bias] if bias else [])], gradients)

    def _depthwise(
        self, s: Any, out: tuple[int, ...], x: Node, weight: Node, bias: Node | None
    ) -> Node:
        a, w, channels = x.value, weight.value, out[3]
        y = self._new(*out)
        self._c("depthwise", s, a, w, bias and bias.value, channels, y)

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dx, dw = np.empty_like(a), np.empty_like(w)
            self._c("depthwise_to_input", s, dy, w, channels, dx)
            self._c("depthwise_to_weight", s, a, dy, dw)
            return [dx, dw, *([self._over_rows(dy)] if bias else [])]

        return self.tape.record(y, [x, weight, *([bias] if bias else [])], gradients)

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        """A 1x1 convolution from `out` to `in` features, backwards: its weight lies so."""
        a, w = x.value, weight.value
        s, _ = _window((len(a), 1, 1, w.shape[0]), w.shape[1], (1, 1), (1, 1), (0, 0))
        y = self._new(len(a), w.shape[0])
        self._c("conv_to_input", s, a, w, bias and bias.value, y)

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dx, dw = np.empty_like(a) if x.wanted else None, np.empty_like(w)
            if dx is not None:
                self._c("conv", s, dy, w, None, dx)
            self._c("conv_to_weight", s, dy, a, dw)
            return [dx, dw, *([self._over_rows(dy)] if bias else [])]

        return self.tape.record(y, [x, weight, *([bias] if bias else [])], gradients)

    def batch_norm(
        self, x: Node, scale: Node, shift: Node, mean: Node, var: Node, eps: float
    ) -> Node:
        factor = scale.value / np.sqrt(var.value + self.dtype.type(eps))
        y = np.empty_like(x.value)
        offset, rows = shift.value - mean.value * factor, x.value.size // factor.size
        self._c("scale_rows", x.value, factor, offset, rows, factor.size, y)

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dx = np.empty_like(dy)
            self._c("scale_rows", dy, factor, np.zeros_like(factor), rows, factor.size, dx)
            return [dx]

        return self.tape.record(y, [x], gradients)

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
        a, w, count = x.value, scale.value, scale.value.size
        y, rows = np.empty_like(a), a.size // count
        found, inverse, unbiased = (self._new(count) for _ in range(3))
        self._c(
            "batch_norm_train", a, w, shift.value, eps, rows, count, y, found, inverse, unbiased
        )

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dx, dscale, dshift = np.empty_like(a), self._new(count), self._new(count)
            self._c(
                "batch_norm_to_input", a, w, found, inverse, dy, rows, count, dx, dscale, dshift
            )
            return [dx, dscale, dshift]

        keep, take = self.dtype.type(1 - momentum), self.dtype.type(momentum)
        return (
            self.tape.record(y, [x, scale, shift], gradients),
            Node(keep * mean.value + take * found),
            Node(keep * var.value + take * unbiased),
        )

    def relu(self, x: Node, consume: bool) -> Node:
        y = x.value if consume else np.empty_like(x.value)
        self._c("relu", x.value, y.size, y)

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dx = np.empty_like(y)
            self._c("relu_to_input", y, dy, y.size, dx)
            return [dx]

        return self.tape.record(y, [x], gradients)

    def add(self, a: Node, b: Node) -> Node:
        return self.tape.record(self._sum(a.value, b.value), [a, b], lambda dy: [dy, dy])

    def max_pool(self, x: Node, kernel: Pair, stride: Pair, padding: Pair) -> Node:
        a = x.value
        s, out = _window(a.shape, a.shape[3], kernel, stride, padding)
        y = self._new(*out)
        self._c("max_pool", s, a, y)

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dx = np.empty_like(a)
            self._c("max_pool_to_input", s, a, y, dy, dx)
            return [dx]

        return self.tape.record(y, [x], gradients)

    def avg_pool(self, x: Node, kernel: Pair, stride: Pair, padding: Pair) -> Node:
        """A depthwise convolution whose weights are all the same."""
        a = x.value
        s, out = _window(a.shape, a.shape[3], kernel, stride, padding)
        y, share = self._new(*out), np.full(a.shape[3], 1 / (kernel[0] * kernel[1]), self.dtype)
        self._c("depthwise", s, a, share, None, 0, y)

        def gradients(dy: np.ndarray) -> list[np.ndarray | None]:
            dx = np.empty_like(a)
            self._c("depthwise_to_input", s, dy, share, 0, dx)
            return [dx]

        return self.tape.record(y, [x], gradients)

    def global_avg_pool(self, x: Node) -> Node:
        whole = (x.value.shape[1], x.value.shape[2])
        return self.flatten(self.avg_pool(x, whole, whole, (0, 0)))

    def cross_entropy(self, logits: Node, labels: Node) -> Node:
        value, loss = logits.value, self._new()
        grad = np.empty_like(value)
        self._c("cross_entropy", value, labels.value, *value.shape, loss, grad)
        return self.tape.record(loss, [logits, labels], lambda dy: [grad * dy, None])

    def update(
        self, param: np.ndarray, velocity: np.ndarray, grad: np.ndarray, lr: float, momentum: float
    ) -> None:
        self._c("sgd", param, velocity, grad, lr, momentum, param.size)

    # --- the verbs --------------------------------------------------------------------------

    def manifest(self) -> dict[str, Any]:
        return {
            "framework": "c",
            "version": self.version(),
            "layout": "NHWC",
            "mode": "eager",
            "conv_precision": self.precision,
            "matmul_precision": self.precision,
            "threads": self.threads,
            "optimizer": "SGD with momentum, in place",
            "compiler": build.described(),
            "flags": " ".join(FLAGS),
            "processor": platform.machine(),
        }


def _argument(value: Any) -> Any:
    """Arrays by their address, whole numbers as ptrdiff_t, others as double."""
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous, "c.c takes arrays without gaps"
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, int):
        return ctypes.c_ssize_t(value)
    return ctypes.c_double(value) if isinstance(value, float) else value


def _window(
    shape: tuple[int, ...], width: int, kernel: Pair, stride: Pair, padding: Pair, groups: int = 1
) -> tuple[Any, tuple[int, ...]]:
    """c.c's Shape of a convolution to `width` channels, or of a pool; and its output's shape."""
    sides = zip(shape[1:3], kernel, stride, padding, strict=True)
    out = [(size + 2 * pad - k) // step + 1 for size, k, step, pad in sides]
    numbers = (*shape, width, *kernel, *stride, *padding, groups)
    return (ctypes.c_ssize_t * len(numbers))(*numbers), (shape[0], *out, width)
