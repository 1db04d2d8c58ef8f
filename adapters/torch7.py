"""Lua Torch, of 2011 to 2017: torch7 and nn under LuaJIT, where somebody has it installed.

Its language is Lua, so this process gets a Lua of its own (`core/lua.py`), which loads Torch from
the installation that TORCH7_HOME names or that torch/distro makes.

Torch spreads a batch over OpenMP's threads, each of which calls BLAS. With an OpenBLAS that has
threads of its own, which Debian installs first, they wait for each other's products while those
threads want the same processors: a ResNet-18 trained on two took 774 ms, and 113 with an OpenBLAS
of OpenMP. The manifest says which it is.

On its first call a workload is run over nameless shapes, and written down as a table of nn's own
modules in Lua. From then on the call is one function of `torch7.lua`, beside this file, which
runs them forward, and backward, and updates the parameters with Torch's tensor operations.

What nn cannot say is refused: it has no grouped convolution (its depthwise one takes height for
width), and its batch norm takes running statistics where a training batch is a single image.
"""

import ctypes.util
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapters.core.algebra import Pair
from adapters.core.base import Adapter, State, Unsupported, Variant
from adapters.core.lua import Lua
from adapters.core.network import Network

HOME = "TORCH7_HOME"  # the variable that names an installation: bin, lib and share lie in it
DISTROS = Path("torch", "install")  # where torch/distro puts it, below a person's home
SOURCE = Path(__file__).with_suffix(".lua")
COLLIDES = (
    "OpenBLAS with threads of its own beside OpenMP's: give it an OpenBLAS of OpenMP, on "
    "Debian and Ubuntu `apt-get install libopenblas0-openmp` and `update-alternatives`"
)
KINDS = {"float32": "FloatTensor", "float64": "DoubleTensor", "int64": "LongTensor"}


class Held:
    """A tensor in Torch's memory, by its number there."""

    def __init__(self, number: float, shape: tuple[int, ...], left: list[float]):
        self.number, self.shape, self._left = number, shape, left

    def __del__(self) -> None:
        self._left.append(self.number)  # let go of at the next untimed occasion


@dataclass(frozen=True, eq=False)
class Handle:
    """A tensor while a network is written down: a node's output (0: the input), or a name."""

    shape: tuple[int, ...]
    place: int = 0
    name: str = ""


class Torch7(Adapter):
    """Images are NCHW, as nn has them. What is placed is Held; a trace has Handles."""

    no_cuda = "Lua Torch runs on the CPU here: its CUDA packages are not driven"
    variants = {"": Variant("nn's modules, under LuaJIT", {}, joins=())}
    environment = "numpy"

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        home, library = _home(), _luajit()
        assert home is not None and library is not None, "missing() has said so"
        self.home, before = home, _libraries()
        self.dtype, self.left = np.dtype(precision), list[float]()
        self.lua = Lua(library)
        self.lua.run(
            f"package.path = [[{home}/share/lua/5.1/?.lua;{home}/share/lua/5.1/?/init.lua]]\n"
            f"package.cpath = [[{home}/lib/lua/5.1/?.so;{home}/lib/?.so]]"
        )
        # Loaded by name, Torch's libraries find each other without its LD_LIBRARY_PATH.
        for own in (home / "lib/libTH.so", home / "lib/libluaT.so"):
            if own.exists():
                ctypes.CDLL(str(own), mode=ctypes.RTLD_GLOBAL)
        self.lua.run(SOURCE.read_text())
        self.lua.call("setup", KINDS[precision], threads)
        self.libraries = sorted(_libraries() - before)
        self.nodes: list[str] = []
        self.read: set[int] = set()

    @classmethod
    def missing(cls, variant: str) -> str | None:
        if _home() is None:
            return (
                "Lua Torch is not installed: install github.com/torch/distro, which puts it into "
                f"~/{DISTROS}, or put into {HOME} the absolute path of the folder that has "
                "share/lua/5.1/torch and nn"
            )
        if _luajit() is None:
            return (
                "Lua Torch is there, and no LuaJIT for it: on Debian and Ubuntu "
                "`apt-get install libluajit-5.1-2`"
            )
        return None

    @classmethod
    def version(cls) -> str | None:
        """LuaRocks', which installed it (`scm-1`): Torch itself bears no number."""
        home = _home()
        rocks = sorted(home.glob("lib/luarocks/rocks*/torch/*")) if home else []
        return rocks[-1].name if rocks else None

    # --- the algebra: each operation writes a node --------------------------------------------

    def shape(self, x: Any) -> tuple[int, ...]:
        return tuple(x.shape)

    def conv2d(
        self, x: Handle, weight: Handle, bias: Any, stride: Pair, padding: Pair, groups: int
    ) -> Handle:
        if groups != 1:
            raise Unsupported("Torch's nn has no convolution in groups that is right")
        (width, channels, *kernel), (batch, *_) = weight.shape, x.shape
        module = f"nn.SpatialConvolution({channels}, {width}, {_pairs(kernel, stride, padding)})"
        shape = (batch, width, *_extents(x, kernel, stride, padding))
        return self._node(_biased(module, bias), x, shape, weight=weight, bias=bias)

    def linear(self, x: Handle, weight: Handle, bias: Any) -> Handle:
        module, shape = f"nn.Linear({x.shape[1]}, {weight.shape[0]})", (x.shape[0], weight.shape[0])
        return self._node(_biased(module, bias), x, shape, weight=weight, bias=bias)

    def batch_norm(
        self, x: Handle, scale: Handle, shift: Handle, mean: Handle, var: Handle, *numbers: float
    ) -> Handle:
        module = f"nn.SpatialBatchNormalization({x.shape[1]}, {', '.join(map(str, numbers))})"
        named = {"weight": scale, "bias": shift, "running_mean": mean, "running_var": var}
        return self._node(module, x, x.shape, **named)

    def batch_norm_train(self, x: Handle, *arguments: Any) -> tuple[Handle, Handle, Handle]:
        """nn keeps what the algebra asks for, the unbiased variance, and writes it in place."""
        *named, momentum, eps = arguments
        if x.shape[0] == 1:
            raise Unsupported("Torch's nn does not train batch norm on a single image")
        return self.batch_norm(x, *named, eps, momentum), named[2], named[3]

    def relu(self, x: Handle, consume: bool) -> Handle:
        """In place only where no other module has read x: its backward pass may read it again."""
        consume = consume and x.place not in self.read
        return self._node("nn.ReLU(true)" if consume else "nn.ReLU()", x, x.shape)

    def add(self, a: Handle, b: Handle) -> Handle:
        return self._node("nn.CAddTable()", [a, b], a.shape)

    def max_pool(self, x: Handle, kernel: Pair, stride: Pair, padding: Pair) -> Handle:
        return self._pool("nn.SpatialMaxPooling", x, kernel, stride, padding)

    def avg_pool(self, x: Handle, kernel: Pair, stride: Pair, padding: Pair) -> Handle:
        return self._pool("nn.SpatialAveragePooling", x, kernel, stride, padding)

    def global_avg_pool(self, x: Handle) -> Handle:
        return self.flatten(self._pool("nn.SpatialAveragePooling", x, x.shape[2:], (1, 1), (0, 0)))

    def concat(self, xs: list[Handle]) -> Handle:
        shape = (xs[0].shape[0], sum(x.shape[1] for x in xs), *xs[0].shape[2:])
        return self._node("nn.JoinTable(2)", xs, shape)

    def flatten(self, x: Handle) -> Handle:
        shape = (x.shape[0], int(np.prod(x.shape[1:])))
        y = self._node(f"nn.View({shape[0]}, {shape[1]})", x, shape)
        self.read.add(y.place)  # it is x's memory, which another module may have read
        return y

    def cross_entropy(self, logits: Handle, labels: Any) -> Handle:
        """nn's criterion follows: every network in Lua has one."""
        return self._node("nn.LogSoftMax()", logits, logits.shape)

    # --- writing a network ----------------------------------------------------------------------

    def _node(
        self, module: str, x: Handle | list[Handle], shape: tuple[int, ...], **named: Handle | None
    ) -> Handle:
        xs = x if isinstance(x, list) else [x]
        self.read |= {each.place for each in xs}
        reads = ", ".join(str(each.place) for each in xs)
        fields = [module, f"{{{reads}}}" if isinstance(x, list) else reads]
        fields += [f'{field} = "{handle.name}"' for field, handle in named.items() if handle]
        self.nodes.append("{" + ", ".join(fields) + "}")
        return Handle(shape, len(self.nodes))

    def _pool(self, kind: str, x: Handle, kernel: Any, stride: Pair, padding: Pair) -> Handle:
        shape = (*x.shape[:2], *_extents(x, kernel, stride, padding))
        return self._node(f"{kind}({_pairs(kernel, stride, padding)})", x, shape)

    def _written(
        self, workload: Any, named: dict[str, Any], training: bool, image: bool
    ) -> tuple[str, tuple[int, ...]]:
        """The network as Lua has it, and its output's shape. `image`: its gradient is wanted."""
        self.nodes, self.read = [], set()
        names = {name: Handle(each.shape, name=name) for name, each in named.items()}
        net = Network(self, names, training)  # type: ignore[arg-type]
        y = net.run(workload, Handle(named["input"].shape))
        if training:
            y = net.loss(y, None)
        wanted = f"{y.place}, {str(training).lower()}, {str(image).lower()}"
        return "return define({\n" + ",\n".join(self.nodes) + f"\n}}, {wanted})", y.shape

    # --- arrays ---------------------------------------------------------------------------------

    def _held(self, shape: tuple[int, ...], *call: Any) -> Held:
        return Held(self.lua.call(*call), shape, self.left)

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> Held:
        """Lua counts from 1, and so do its labels."""
        kind = np.dtype(np.int64) if role == "labels" else self.dtype
        array = np.ascontiguousarray(value + 1 if role == "labels" else value, kind)
        at = (array.ctypes.data, array.nbytes)
        return self._held(array.shape, "place", KINDS[kind.name], *at, *array.shape)

    def dump(self, handle: Held, role: str, groups: int = 1) -> np.ndarray:
        array = np.empty(handle.shape, np.int64 if role == "labels" else self.dtype)
        self.lua.call("fetch", handle.number, array.ctypes.data, array.nbytes)
        return array - 1 if role == "labels" else array

    def clone(self, array: Held) -> Held:
        return self._held(array.shape, "clone", array.number)

    def zeros_like(self, array: Held) -> Held:
        return self._held(array.shape, "zeros", array.number)

    def copy(self, tree: Any) -> Any:
        if isinstance(tree, State):
            self._tidy()  # here nothing is timed
        return super().copy(tree)

    def _tidy(self) -> None:
        """Lets Torch free what nobody holds any more."""
        while self.left:
            self.lua.call("release", self.left.pop())
        self.lua.call("tidy")

    # --- what is timed --------------------------------------------------------------------------

    def _timed(
        self,
        workload: Any,
        verb: tuple[Any, ...],
        named: Callable[..., dict[str, Held]],
        results: Callable[[Callable[[str], Held]], Any],
        image: bool = False,
    ) -> Callable[..., Any]:
        """A function of torch7.lua, with what follows the network's number.

        Its first call writes the network down. `named` gives all that a network has names for,
        out of what a call is given: where that is what it was, nothing is bound anew. The
        results lie where the modules keep them, as Torch's users have it, until the next call.
        """
        network = found = None
        bound: tuple[Any, ...] = ()

        def call(*given: Any) -> Any:
            nonlocal network, found, bound
            if bound != given:
                tensors = named(*given)
                shapes = {name: tensor.shape for name, tensor in tensors.items()} | {"loss": ()}
                if network is None:
                    text, shapes["output"] = self._written(
                        workload, tensors, verb[0] != "infer", image
                    )
                    network = self.lua.run(text)
                for name, tensor in tensors.items():
                    self.lua.call("bind", network, name, tensor.number)
                bound = given
            self.lua.call(verb[0], network, *verb[1:])
            if found is None:
                found = results(lambda name: self._held(shapes[name], "result", network, name))
            return found

        return call

    def infer(self, workload: Any) -> Callable[[dict[str, Held], Held], Held]:
        def named(params: dict[str, Held], x: Held) -> dict[str, Held]:
            return {**params, "input": x}

        return self._timed(workload, ("infer",), named, lambda result: result("output"))

    def gradients(
        self, workload: Any, trained: set[str]
    ) -> Callable[[dict[str, Held], Held, Held], tuple[Held, dict[str, Held]]]:
        def named(params: dict[str, Held], x: Held, y: Held) -> dict[str, Held]:
            """The batch-norm state that is thrown away must not be the caller's."""
            own = {n: p if n in trained else self.clone(p) for n, p in params.items()}
            return {**own, "input": x, "labels": y}

        image = workload.input_gradient
        wanted = [*trained, "input"] if image else trained
        results = lambda result: (result("loss"), {n: result(n) for n in wanted})  # noqa: E731
        return self._timed(workload, ("gradients",), named, results, image)

    def train(
        self, workload: Any, lr: float, momentum: float
    ) -> Callable[[State, Held, Held], tuple[State, Held]]:
        """The state that a step returns is the one it was given: all is written in place."""

        def named(state: State, x: Held, y: Held) -> dict[str, Held]:
            velocity = {f"velocity of {n}": v for n, v in state.velocity.items()}
            return {**state.params, **state.stats, **velocity, "input": x, "labels": y}

        verb = ("train", lr, momentum)
        call = self._timed(workload, verb, named, lambda result: result("loss"))
        return lambda state, x, y: (state, call(state, x, y))

    # --- the rest -------------------------------------------------------------------------------

    def manifest(self) -> dict[str, Any]:
        return {
            "framework": "torch7",
            "version": self.version(),
            "installation": str(self.home),
            "lua": self.lua.run("return jit.version"),
            "libraries": " ".join(self.libraries),  # among them its BLAS
            "blas": self._blas(),
            "layout": "NCHW",
            "mode": "nn's modules, one after the other",
            "conv_precision": self.precision,
            "matmul_precision": self.precision,
            "threads": int(self.lua.run("return torch.getnumthreads()")),
            "optimizer": "SGD with momentum, in place",
        }

    def _blas(self) -> str:
        """Who spreads a matrix product over threads, in OpenBLAS's own numbers."""
        try:
            ways = ctypes.CDLL(str(self.home / "lib/libTH.so")).openblas_get_parallel()
        except (OSError, AttributeError):
            return "not OpenBLAS, or one that does not tell"
        own = COLLIDES if self.threads > 1 else "OpenBLAS, one thread"
        return {0: "OpenBLAS, one thread", 1: own, 2: "OpenBLAS, OpenMP's threads"}[ways]

    def reset(self) -> None:
        self.lua.call("forget")
        self._tidy()


def _home() -> Path | None:
    """The installation: the one that is named, or else torch/distro's."""
    named = os.environ.get(HOME)
    home = Path(named) if named else Path.home() / DISTROS
    modules = [home / "share/lua/5.1" / name / "init.lua" for name in ("torch", "nn")]
    return home if all(module.exists() for module in modules) else None


def _luajit() -> str | None:
    """The installation's own LuaJIT, or else the system's."""
    home = _home()
    found = sorted(home.glob("lib/libluajit*.so*")) if home else []
    return str(found[0]) if found else ctypes.util.find_library("luajit-5.1")


def _libraries() -> set[str]:
    """The shared libraries that lie in this process, by name."""
    maps = Path("/proc/self/maps")
    text = maps.read_text() if maps.exists() else ""
    return set(re.findall(r"([^/\n]+\.so[.\d]*)$", text, re.M))


def _biased(module: str, bias: Handle | None) -> str:
    return f"{module}:noBias()" if bias is None else module


def _pairs(kernel: Any, stride: Pair, padding: Pair) -> str:
    """Kernel, stride and padding as nn takes them: the width before the height."""
    return ", ".join(f"{width}, {height}" for height, width in (kernel, stride, padding))


def _extents(x: Handle, kernel: Any, stride: Pair, padding: Pair) -> tuple[int, ...]:
    image = x.shape[2:]
    return tuple((image[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
