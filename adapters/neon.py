"""Nervana neon, of 2015 to 2018: its CPU backend, used where somebody has it.

neon's layers are thin; what computes is its backend, whose operations are driven here as the
layers drive them: `fprop_conv`, `bprop_conv`, `update_conv` and their like on tensors with the
batch last, (C, H, W, N), and op-trees, which run when they are assigned. Every operation is
neon's own, backward passes too; the tape only keeps their order. Nothing of it is copied.

The backend is NumPy in loops: a matrix product for each pixel of a convolution's output, and
two calls for each pixel of *each channel* of a pooling's: ResNet-50's first max pooling took over
a second, whatever the batch, and a convolution behind it 17 to 49 ms. That is what its users
have on a CPU without the MKL build of its own. Outputs are made afresh in each call, where a model
of neon's keeps its own: below 1% of a convolution, up to a tenth of a ReLU.

What it cannot say is refused: its convolution has no groups, and its average pooling leaves
padding out of the mean. Its batch norm moves the variance by the biased one; one op-tree more,
over the channels, adds what the unbiased one has beyond it.
"""

import os
import re
import sys
from importlib import util
from importlib.machinery import PathFinder
from itertools import accumulate, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from adapters.core.algebra import Pair
from adapters.core.base import Unsupported, Variant
from adapters.core.tape import Node, Tape, TapeAdapter

HOME = "NEON_HOME"  # the variable that names a checkout
NEEDS = ("appdirs", "future")  # what neon imports beside NumPy
TOLD = r"""^VERSION = ['"](.+)['"]"""  # the version, in the files where neon tells it


class Neon(TapeAdapter):
    """A Node's value is neon's tensor; a loss alone is NumPy's, as neon hands its cost out.

    Images lie (C, H, W, N), kernels (I, KH, KW, O), matrices (F, O), vectors (C, 1).
    """

    no_cuda = "neon runs on the CPU here: its GPU backend is PyCUDA's, of 2018"
    variants = {"": Variant("its CPU backend: NumPy, a product a pixel", {}, joins=())}
    precisions = ("float32",)
    environment = "numpy"

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        home = _home()
        assert home is not None, "missing() has said so"
        self.home, self.be = home, _backend(home)
        self.tape = Tape(self._sum)
        self.layers: dict[tuple[Any, ...], Any] = {}

    @classmethod
    def missing(cls, variant: str) -> str | None:
        home = _home()
        if home is None:
            return (
                "Nervana neon is not here: clone github.com/NervanaSystems/neon, "
                f"`pip install --target CLONE {' '.join(NEEDS)}`, and put CLONE's absolute path "
                f"into {HOME}"
            )
        absent = [n for n in NEEDS if PathFinder.find_spec(n, [str(home), *sys.path]) is None]
        if absent:
            names = " ".join(absent)
            return f"neon needs {names}: `pip install --target {home} {names}`"
        return None

    @classmethod
    def version(cls) -> str | None:
        home = _home()
        return home and _version(home)

    # --- the algebra ----------------------------------------------------------------------------

    def shape(self, x: Node) -> tuple[int, ...]:
        dims = x.value.shape
        return (*dims[-1:], *dims[:-1])

    def conv2d(
        self, x: Node, weight: Node, bias: Node | None, stride: Pair, padding: Pair, groups: int
    ) -> Node:
        if groups > 1:
            raise Unsupported("neon's convolution has no groups")
        be, image, kernel = self.be, x.value, weight.value
        _, *size, width = kernel.shape
        layer = self._layer("conv", image.shape, tuple(size), stride, padding, K=width)
        y = be.empty((width, layer.P, layer.Q, image.shape[3]))
        be.fprop_conv(layer, image, kernel, y, bias=None if bias is None else bias.value)

        def gradients(dy: Any) -> list[Any]:
            dx = be.empty(image.shape) if x.wanted else None
            if dx is not None:
                be.bprop_conv(layer, kernel, dy, dx)
            dw, db = be.empty(kernel.shape), None if bias is None else be.empty((width, 1))
            be.update_conv(layer, image, dy, dw, grad_bias=db)
            return [dx, dw] if bias is None else [dx, dw, db]

        parents = [x, weight] if bias is None else [x, weight, bias]
        return self.tape.record(y, parents, gradients)

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        be, a, w = self.be, x.value, weight.value
        y = be.empty((w.shape[1], a.shape[1]))
        be.compound_dot(w.T, a, y)
        if bias is not None:
            y[:] = y + bias.value

        def gradients(dy: Any) -> list[Any]:
            dx = be.compound_dot(w, dy, be.empty(a.shape)) if x.wanted else None
            dw = be.compound_dot(a, dy.T, be.empty(w.shape))
            return [dx, dw] if bias is None else [dx, dw, self._new((y.shape[0], 1), be.sum(dy, 1))]

        parents = [x, weight] if bias is None else [x, weight, bias]
        return self.tape.record(y, parents, gradients)

    def batch_norm(
        self, x: Node, scale: Node, shift: Node, mean: Node, var: Node, eps: float
    ) -> Node:
        be, y = self.be, self.be.empty(x.value.shape)
        state = (mean.value, var.value, scale.value, shift.value)
        be.compound_fprop_bn(
            _rows(x.value), None, None, *state, _rows(y), eps, 0.0, False, inference=True
        )
        return Node(y)  # nothing is ever differentiated in this form

    def batch_norm_train(
        self, x: Node, scale: Node, shift: Node, mean: Node, var: Node, momentum: float, eps: float
    ) -> tuple[Node, Node, Node]:
        be, a, y = self.be, _rows(x.value), self.be.empty(x.value.shape)
        batch_mean, batch_var = be.empty(mean.value.shape), be.empty(mean.value.shape)
        new_mean, new_var = self.clone(mean), self.clone(var)
        state = (batch_mean, batch_var, new_mean.value, new_var.value, scale.value, shift.value)
        be.compound_fprop_bn(a, *state, _rows(y), eps, 1.0 - momentum, True)
        new_var.value[:] = new_var.value + batch_var * (momentum / (a.shape[1] - 1))

        def gradients(dy: Any) -> list[Any]:
            found = [be.empty(tensor.shape) for tensor in (y, scale.value, shift.value)]
            be.compound_bprop_bn(*found, _rows(dy), a, batch_mean, batch_var, scale.value, eps)
            return found

        return self.tape.record(y, [x, scale, shift], gradients), new_mean, new_var

    def relu(self, x: Node, consume: bool) -> Node:
        y = x.value if consume else self.be.empty(x.value.shape)
        y[:] = self.be.maximum(x.value, 0)
        return self.tape.record(y, [x], lambda dy: [self._new(y.shape, self.be.greater(y, 0) * dy)])

    def add(self, a: Node, b: Node) -> Node:
        return self.tape.record(self._sum(a.value, b.value), [a, b], lambda dy: [dy, dy])

    def max_pool(self, x: Node, kernel: Pair, stride: Pair, padding: Pair) -> Node:
        return self._pool("max", x, kernel, stride, padding)

    def avg_pool(self, x: Node, kernel: Pair, stride: Pair, padding: Pair) -> Node:
        if padding != (0, 0):
            raise Unsupported("neon's average pooling leaves padding out of the mean")
        return self._pool("avg", x, kernel, stride, padding)

    def global_avg_pool(self, x: Node) -> Node:
        size = x.value.shape[1:3]
        return self.flatten(self._pool("avg", x, size, size, (0, 0)))

    def _pool(self, op: str, x: Node, kernel: Pair, stride: Pair, padding: Pair) -> Node:
        be, image = self.be, x.value
        layer = self._layer(op, image.shape, kernel, stride, padding)
        y = be.empty((image.shape[0], layer.P, layer.Q, image.shape[3]))
        places = be.empty(y.shape, np.int32) if op == "max" else None
        be.fprop_pool(layer, image, y, places)

        def gradients(dy: Any) -> list[Any]:
            dx = be.empty(image.shape)
            be.bprop_pool(layer, dy, dx, places)
            return [dx]

        return self.tape.record(y, [x], gradients)

    def concat(self, xs: list[Node]) -> Node:
        ends = list(accumulate(_columns(x.value).shape[0] for x in xs))
        places = [slice(a, b) for a, b in pairwise((0, *ends))]
        y = self.be.empty((sum(x.value.shape[0] for x in xs), *xs[0].value.shape[1:]))
        for place, x in zip(places, xs, strict=True):
            _columns(y)[place] = _columns(x.value)

        def gradients(dy: Any) -> list[Any]:
            parts = [_columns(dy)[place] for place in places]
            return [part.reshape(x.value.shape) for part, x in zip(parts, xs, strict=True)]

        return self.tape.record(y, xs, gradients)

    def flatten(self, x: Node) -> Node:
        return self.tape.record(_columns(x.value), [x], lambda dy: [dy.reshape(x.value.shape)])

    def cross_entropy(self, logits: Node, labels: Node) -> Node:
        """Its own CrossEntropyMulti cuts off at exp(-50): these op-trees do not.

        The one-hot labels are a comparison, where neon's `onehot` trips over today's NumPy.
        """
        be, (count, batch) = self.be, logits.value.shape
        classes = be.array(np.arange(count).reshape(count, 1), np.int32)
        hot = self._new((count, batch), be.equal(classes, labels.value))
        shifted = self._new((count, batch), logits.value - be.max(logits.value, axis=0))
        exponents = self._new((count, batch), be.exp(shifted))
        total = self._new((1, batch), be.sum(exponents, axis=0))
        each = self._new((1, batch), be.log(total) - be.sum(hot * shifted, axis=0))
        loss = self._new((1, 1), be.mean(each, axis=1))

        def gradients(dy: Any) -> list[Any]:
            grad = (exponents / total - hot) * (float(dy) / batch)
            return [self._new((count, batch), grad), None]

        return self.tape.record(loss.get().reshape(()), [logits, labels], gradients)

    # --- neon's tensors and layers --------------------------------------------------------------

    def _new(self, shape: tuple[int, ...], tree: Any) -> Any:
        """A tensor of its own with what an op-tree says."""
        tensor = self.be.empty(shape)
        tensor[:] = tree
        return tensor

    def _sum(self, a: Any, b: Any) -> Any:
        return self._new(a.shape, a + b)

    def _layer(
        self, op: str, image: Any, kernel: Pair, stride: Pair, padding: Pair, **more: int
    ) -> Any:
        """neon's description of a layer, made once, as a model of neon's makes it."""
        key = (op, image, kernel, stride, padding, *more.values())
        if key not in self.layers:
            names = ("C", "H", "W", "N", "R", "S", "str_h", "str_w", "pad_h", "pad_w")
            extents = dict(zip(names, (*image, *kernel, *stride, *padding), strict=True)) | more
            self.layers[key] = (
                self.be.conv_layer(np.float32, **extents)
                if op == "conv"
                else self.be.pool_layer(np.float32, op, **extents)
            )
        return self.layers[key]

    # --- the verbs ------------------------------------------------------------------------------

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> Node:
        if role == "labels":
            return Node(self.be.array(value.reshape(1, -1), np.int32))
        order = {4: (1, 2, 3, 0), 2: (1, 0)}.get(value.ndim, (0,))
        return Node(self.be.array(np.ascontiguousarray(value.transpose(order)), np.float32))

    def dump(self, handle: Node, role: str, groups: int = 1) -> np.ndarray:
        if isinstance(handle.value, np.ndarray):
            return handle.value.copy()
        value = handle.value.get()
        if role == "labels":
            return value.reshape(-1).astype(np.int64)
        if value.ndim == 4:
            return value.transpose(3, 0, 1, 2)
        return value.T if role in ("matrix", "features") else value.reshape(-1)

    def clone(self, array: Node) -> Node:
        return Node(self.be.array(array.value.get(), array.value.dtype))

    def zeros_like(self, array: Node) -> Node:
        return Node(self.be.zeros(array.value.shape))

    def update(self, param: Any, velocity: Any, grad: Any, lr: float, momentum: float) -> None:
        velocity[:] = velocity * momentum + grad
        param[:] = param - velocity * lr

    def manifest(self) -> dict[str, Any]:
        blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        return {
            "framework": "neon",
            "version": self.version(),
            "folder": str(self.home),
            "backend": type(self.be).__name__,
            "layout": "CHWN",
            "mode": "eager",
            "conv_precision": self.precision,
            "matmul_precision": self.precision,
            "threads": self.threads,  # of NumPy's BLAS; all else runs on one core
            "optimizer": "SGD with momentum, op-trees",
            "numpy": np.__version__,
            "blas": f"{blas.get('name')} {blas.get('version')}",
        }

    def reset(self) -> None:
        self.layers = {}


def _rows(tensor: Any) -> Any:
    """(C, H, W, N) seen as (C, H*W*N): what batch norm normalises is a row."""
    return tensor.reshape((tensor.shape[0], -1))


def _columns(tensor: Any) -> Any:
    """(C, H, W, N) seen as (C*H*W, N), neon's matrix of images."""
    return tensor.reshape((-1, tensor.shape[-1]))


# --- finding neon -------------------------------------------------------------------------------


def _home() -> Path | None:
    """The folder that holds neon's package: the named checkout, or where Python finds it."""
    named = os.environ.get(HOME)
    spec = None if named else util.find_spec("neon")
    origin = None if spec is None else spec.origin
    home = Path(named) if named else Path(origin).parents[1] if origin else None
    return home if home and (home / "neon" / "backends" / "__init__.py").exists() else None


def _version(home: Path) -> str | None:
    for path in (home / "neon" / "version.py", home / "setup.py"):
        if path.exists() and (found := re.search(TOLD, path.read_text(), re.M)):
            return found[1]
    return None


def _backend(home: Path) -> Any:
    """neon's CPU backend. In a checkout one module is missing, which neon's set-up writes."""
    sys.path.insert(0, str(home))
    if not (home / "neon" / "version.py").exists():
        told = ModuleType("neon.version")
        told.VERSION = told.SHORT_VERSION = _version(home) or "unknown"  # type: ignore[attr-defined]
        sys.modules["neon.version"] = told
    from neon.backends import gen_backend

    return gen_backend(backend="cpu", datatype=np.float32)
