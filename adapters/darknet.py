"""Darknet, of 2013 to 2018, from C: Debian's package, used where somebody has installed it.

Darknet has no operations, only networks: a list of layers in a configuration file, each fed
by the one before, with weights in a file of their own. So this interpreter writes those two
files. On its first call a workload is run over nameless shapes, each operation becomes a
layer (and a `[route]` where it wants another layer's output than the last one's), and from
then on the call is `network_predict`, Darknet's own. Only its public functions are called, by
ctypes: nothing here knows how its structures lie in memory, and nothing of it is copied.

What it cannot say is refused: pooling and convolution are square, average pooling is global,
batch norm stands behind a convolution without a bias (a layer of its own writes through a
pointer that Darknet never set). It trains nothing here: its batch norm keeps the biased
variance at a momentum of 0.01 where the algebra asks for the unbiased at 0.1, so the step
that is checked would not be Darknet's.
"""

import ctypes
import os
import struct
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adapters.core.algebra import Pair
from adapters.core.base import Adapter, Unsupported, Variant
from adapters.core.network import Network

LIBRARY = "DARKNET_LIBRARY"  # the variable that names a library elsewhere
DEBIANS = Path("/usr/lib/darknet/libdarknet.so")
INPUT = -1  # the place of the network's own input, before the first layer


@dataclass
class Layer:
    """A section of the configuration file, and its weights in the order of the other."""

    kind: str
    options: dict[str, Any]
    weights: list[np.ndarray] = field(default_factory=list)
    normal: list[np.ndarray] = field(default_factory=list)  # scales, means and variances
    plain: bool = False  # a convolution that has no bias of its own
    used: bool = False  # whether a later layer reads it: then no operation may join it


@dataclass(frozen=True, eq=False)
class Handle:
    """A tensor while a network is written down: its shape, and whose output it is."""

    shape: tuple[int, ...]
    layer: int


class _Reread(Exception):
    """The input is wanted once more, when other layers follow it already."""


class Darknet(Adapter):
    """Images are NCHW, as Darknet has them. What is placed is an array; a trace has Handles."""

    no_cuda = "Darknet runs on the CPU here: Debian builds it without CUDA"
    variants = {"": Variant("its C library, one core", {}, joins=())}
    environment = "numpy"
    trains = False

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        if precision != "float32":
            raise Unsupported("Darknet computes in float32 alone")
        path = _library()
        assert path is not None, "missing() has said so"
        self.path, self.lib = path, ctypes.CDLL(str(path))
        for name, result, arguments in (
            ("parse_network_cfg", ctypes.c_void_p, [ctypes.c_char_p]),
            ("load_weights", None, [ctypes.c_void_p, ctypes.c_char_p]),
            ("network_predict", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_void_p]),
            ("free_network", None, [ctypes.c_void_p]),
        ):
            function = getattr(self.lib, name)
            function.restype, function.argtypes = result, arguments
        self.layers: list[Layer] = []
        self.networks: list[int] = []

    @classmethod
    def missing(cls, variant: str) -> str | None:
        if _library() is not None:
            return None
        return (
            "Darknet's library is not installed: on Debian and Ubuntu `apt-get install darknet`, "
            f"or name a libdarknet.so in {LIBRARY}"
        )

    @classmethod
    def version(cls) -> str | None:
        if _library() != DEBIANS:
            return None
        try:
            command = ["dpkg-query", "-W", "-f", "${Version}", "darknet"]
            return subprocess.run(command, capture_output=True, text=True).stdout or None
        except OSError:
            return None

    # --- the algebra: each operation writes a layer -------------------------------------------

    def shape(self, x: Any) -> tuple[int, ...]:
        return tuple(x.shape)

    def conv2d(
        self, x: Handle, weight: Any, bias: Any, stride: Pair, padding: Pair, groups: int
    ) -> Handle:
        (width, _, *kernel), image = weight.shape, x.shape[2:]
        size, step, pad = _one("kernel", kernel), _one("stride", stride), _one("padding", padding)
        height, length = ((n + 2 * pad - size) // step + 1 for n in image)
        if size == 1 and pad:
            raise Unsupported("Darknet's 1x1 convolution ignores its padding")
        if size == 1 and step > 1:  # it ignores its stride, too: what it leaves out goes before
            x, step = self.max_pool(x, (1, 1), stride, (0, 0)), 1
        options = {"filters": width, "size": size, "stride": step, "padding": pad}
        options |= {"groups": groups, "activation": "linear"}
        weights = [np.zeros(width, np.float32) if bias is None else bias, weight]
        made = Layer("convolutional", options, weights, plain=bias is None)
        return self._add(made, x, (x.shape[0], width, height, length))

    def linear(self, x: Handle, weight: Any, bias: Any) -> Handle:
        width = weight.shape[0]
        weights = [np.zeros(width, np.float32) if bias is None else bias, weight]
        made = Layer("connected", {"output": width, "activation": "linear"}, weights)
        return self._add(made, x, (x.shape[0], width))

    def batch_norm(
        self, x: Handle, scale: Any, shift: Any, mean: Any, var: Any, eps: float
    ) -> Handle:
        behind = self._open(x)
        if behind is None or not behind.plain or behind.normal:
            raise Unsupported("Darknet has batch norm only behind a convolution without a bias")
        # Darknet divides by sqrt(var) + 1e-6, the algebra by sqrt(var + eps): the variance
        # it is given is the one for which both are the same.
        root = np.sqrt(var.astype(np.float64) + eps) - 1e-6
        behind.options["batch_normalize"] = 1
        behind.weights[0] = shift
        behind.normal = [scale, mean, (root * root).astype(np.float32)]
        return Handle(x.shape, x.layer)

    def relu(self, x: Handle, consume: bool) -> Handle:
        before = self._open(x)
        if consume and before is not None and before.options.get("activation") == "linear":
            before.options["activation"] = "relu"
            return Handle(x.shape, x.layer)
        return self._add(Layer("activation", {"activation": "relu"}), x, x.shape)

    def add(self, a: Handle, b: Handle) -> Handle:
        if b.layer == len(self.layers) - 1:
            a, b = b, a  # the last layer's output is at hand
        if b.layer == INPUT:
            raise _Reread
        self.layers[b.layer].used = True
        return self._add(Layer("shortcut", {"from": b.layer, "activation": "linear"}), a, a.shape)

    def max_pool(self, x: Handle, kernel: Pair, stride: Pair, padding: Pair) -> Handle:
        size, step, pad = _one("kernel", kernel), _one("stride", stride), _one("padding", padding)
        height, length = ((n + 2 * pad - size) // step + 1 for n in x.shape[2:])
        options = {"size": size, "stride": step, "padding": 2 * pad}  # of both sides together
        return self._add(Layer("maxpool", options), x, (*x.shape[:2], height, length))

    def avg_pool(self, x: Handle, kernel: Pair, stride: Pair, padding: Pair) -> Handle:
        raise Unsupported("Darknet has no average pooling but the global one")

    def global_avg_pool(self, x: Handle) -> Handle:
        return self._add(Layer("avgpool", {}), x, x.shape[:2])

    def concat(self, xs: list[Handle]) -> Handle:
        shape = (xs[0].shape[0], sum(x.shape[1] for x in xs), *xs[0].shape[2:])
        return self._route(xs, shape)

    def flatten(self, x: Handle) -> Handle:
        return Handle((x.shape[0], int(np.prod(x.shape[1:]))), x.layer)  # it lies so already

    # --- writing a network ----------------------------------------------------------------------

    def _open(self, x: Handle) -> Layer | None:
        """The layer that made x, where nothing else has read it: an operation may join it."""
        layer = self.layers[x.layer] if x.layer != INPUT else None
        return None if layer is None or layer.used else layer

    def _add(self, layer: Layer, x: Handle, shape: tuple[int, ...]) -> Handle:
        """A layer that reads x, which must be the last one's output: else it is fetched."""
        if x.layer != len(self.layers) - 1:
            x = self._route([x], x.shape)
        if x.layer != INPUT:
            self.layers[x.layer].used = True
        self.layers.append(layer)
        return Handle(shape, len(self.layers) - 1)

    def _route(self, xs: list[Handle], shape: tuple[int, ...]) -> Handle:
        for x in xs:
            if x.layer == INPUT:
                raise _Reread
            self.layers[x.layer].used = True
        self.layers.append(Layer("route", {"layers": ",".join(str(x.layer) for x in xs)}))
        return Handle(shape, len(self.layers) - 1)

    def _write(self, workload: Any, params: dict[str, Any], x: np.ndarray) -> Handle:
        """Fills `layers`. An input that is read later, or never, is copied by a first layer."""
        for copies in (False, True):
            self.layers = [Layer("activation", {"activation": "linear"})] if copies else []
            try:
                start = Handle(x.shape, len(self.layers) - 1)
                y = Network(self, params).run(workload, start)  # type: ignore[arg-type]
                last = len(self.layers) - 1
                return y if y.layer == last != INPUT else self._route([y], y.shape)
            except _Reread:
                continue
        raise AssertionError("a network that copies its input never rereads it")

    def _built(self, x: np.ndarray) -> int:
        """Darknet's own network of what `layers` says, by way of its two files."""
        sections = [("net", {"batch": x.shape[0], "subdivisions": 1, **_extents(x.shape)})]
        sections += [(layer.kind, layer.options) for layer in self.layers]
        text = "".join(
            f"[{kind}]\n" + "".join(f"{key}={value}\n" for key, value in options.items())
            for kind, options in sections
        )
        with tempfile.TemporaryDirectory(prefix="bakeoff-darknet-") as folder:
            cfg, weights = Path(folder, "network.cfg"), Path(folder, "network.weights")
            cfg.write_text(text)
            with weights.open("wb") as file:
                file.write(struct.pack("=iiiQ", 0, 2, 0, 0))  # format 0.2, no images seen
                for layer in self.layers:
                    bias, *kernels = layer.weights or [None]
                    for array in (bias, *layer.normal, *kernels):
                        if array is not None:
                            file.write(np.ascontiguousarray(array, np.float32).tobytes())
            network = self.lib.parse_network_cfg(os.fsencode(cfg))
            self.lib.load_weights(network, os.fsencode(weights))
        self.networks.append(network)
        return network

    # --- arrays ---------------------------------------------------------------------------------

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> np.ndarray:
        return np.array(value, np.int64 if role == "labels" else np.float32, order="C")

    def dump(self, handle: np.ndarray, role: str, groups: int = 1) -> np.ndarray:
        return np.array(handle)

    def clone(self, array: np.ndarray) -> np.ndarray:
        return array.copy()

    # --- what is timed --------------------------------------------------------------------------

    def infer(self, workload: Any) -> Callable[[dict[str, Any], np.ndarray], np.ndarray]:
        """The first call builds the network: its weights are Darknet's own copy from then on.

        The output lies in Darknet's memory, as its users have it, until the next call.
        """
        predict = self.lib.network_predict
        network: int | None = None
        output: np.ndarray

        def call(params: dict[str, Any], x: np.ndarray) -> np.ndarray:
            nonlocal network, output
            if network is None:
                y = self._write(workload, params, x)
                network = self._built(x)
                at = ctypes.cast(predict(network, x.ctypes.data), ctypes.POINTER(ctypes.c_float))
                output = np.ctypeslib.as_array(at, y.shape)
            else:
                predict(network, x.ctypes.data)
            return output

        return call

    # --- the rest -------------------------------------------------------------------------------

    def manifest(self) -> dict[str, Any]:
        return {
            "framework": "darknet",
            "version": self.version(),
            "library": str(self.path),
            "layout": "NCHW",
            "mode": "network_predict",
            "conv_precision": self.precision,
            "matmul_precision": self.precision,
            "threads": 1,  # Debian builds it without OpenMP
            "layers": " ".join(layer.kind for layer in self.layers),
        }

    def reset(self) -> None:
        for network in self.networks:
            self.lib.free_network(network)
        self.networks, self.layers = [], []


def _library() -> Path | None:
    named = os.environ.get(LIBRARY)
    path = Path(named) if named else DEBIANS
    return path if path.exists() else None


def _one(what: str, values: Any) -> int:
    """A pair that must be square."""
    height, width = values
    if height != width:
        raise Unsupported(f"Darknet's {what} is square: not {height} x {width}")
    return int(height)


def _extents(shape: tuple[int, ...]) -> dict[str, int]:
    channels, height, width = (*shape[1:], 1, 1)[:3]
    return {"channels": channels, "height": height, "width": width}
