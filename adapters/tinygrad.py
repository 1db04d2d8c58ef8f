"""tinygrad: through TinyJit, as its own users run a step; in the variant `eager` without.

What its users write is what runs here: the operations of `Tensor`, the arithmetic of
`nn.BatchNorm`, and `nn.optim.SGD`, which updates the weights where they lie. TinyJit records
the kernels of a call and runs those again; weights are those it saw when it recorded, as a
model's are, images and labels its arguments. It would record at a second call, as a first may
have weights left to make: here there are none, so the first is recorded. What a call returns
the next one writes over. On a CPU tinygrad 0.14 compiles with clang and computes on one
thread: what it calls threads are parts of a kernel, which it runs one after another.
"""

import os
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.core.algebra import Pair
from adapters.core.algebra import Tensor as T
from adapters.core.base import Adapter, State, Unsupported, Variant
from adapters.core.network import Network

# Switches have no prefix: what a shell has set of those that change what it computes, or print.
_SWITCHES = (
    *("BEAM", "CACHELEVEL", "CCACHE", "DEBUG", "DEFAULT_INT", "EMULATED_DTYPES", "EXPAND_SSA"),
    *("FLOAT16", "FUSE_OPTIM", "HCQ2", "IMAGE", "JIT", "JITBEAM", "JIT_BATCH_SIZE", "LRU", "MV"),
    *("NOOPT", "NO_MEMORY_PLANNER", "PCONTIG", "PROFILE", "SCACHE", "SPLIT_REDUCEOP", "SUM_DTYPE"),
    *("TC", "TC_OPT", "THREADS", "TRAINING", "TRANSCENDENTAL", "VALIDATE_WITH_CPU", "VIZ", "WINO"),
)


class Tinygrad(Adapter):
    """Everything lies as the algebra has it: tinygrad knows no other layout."""

    requires = ("tinygrad",)
    distributions = ("tinygrad",)
    no_cuda = "tinygrad was tried on a CPU alone"
    variants = {
        "": Variant("TinyJit, NCHW, one thread", {"jit": True}, compile_seconds=1.0, joins=()),
        "eager": Variant(
            "without TinyJit: every call is scheduled anew, one thread",
            {},
            compile_seconds=1.0,
            joins=(),
        ),
    }

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        for name in _SWITCHES:
            os.environ.pop(name, None)
        if folder := os.environ.get("BAKEOFF_CACHE"):
            os.environ["CACHEDB"] = os.path.join(folder, "tinygrad", "cache.db")
        # Read once, as it is imported. Its optimizer keeps float32 whatever the weights are in.
        os.environ |= {
            "DEV": "CPU",
            "NUM_CPU_THREADS": str(threads),
            "PARALLEL": str(threads if threads > 1 else 0),  # processes that compile
            "DEFAULT_FLOAT": precision,
            "OPTIM_DTYPE": precision,
        }
        import tinygrad
        from tinygrad.codegen import to_program_cache
        from tinygrad.engine.realize import runtime_cache

        self.tinygrad, self.Tensor = tinygrad, tinygrad.Tensor
        self._device = tinygrad.Device["CPU"]
        self._programs, self._loaded = to_program_cache, runtime_cache
        self._compiled_before = 0  # kernels, of those that `reset` forgot

    @classmethod
    def missing(cls, variant: str) -> str | None:
        reason = super().missing(variant)
        compiler = os.environ.get("CC", "clang")
        if reason is None and "clang" not in compiler:
            return f"tinygrad compiles with clang alone, and CC is {compiler}: unset it"
        if reason is None and shutil.which(compiler) is None:
            return f"tinygrad compiles with clang on a CPU ({compiler}): install clang"
        return reason

    # --- the algebra --------------------------------------------------------------------

    def shape(self, x: T) -> tuple[int, ...]:
        return tuple(x.shape)

    def conv2d(self, x: T, weight: T, bias: T, stride: Pair, padding: Pair, groups: int) -> T:
        return x.conv2d(weight, bias, groups, stride, padding=padding)

    def linear(self, x: T, weight: T, bias: T) -> T:
        return x.linear(weight.transpose(), bias)  # as nn.Linear

    def batch_norm(self, x: T, scale: T, shift: T, mean: T, var: T, eps: float) -> T:
        return x.batchnorm(scale, shift, mean, var.add(eps).rsqrt())

    def batch_norm_train(
        self, x: T, scale: T, shift: T, mean: T, var: T, momentum: float, eps: float
    ) -> tuple[T, T, T]:
        """As nn.BatchNorm: the mean's part in the variance has no gradient, as it is zero."""
        over, count = (0, 2, 3), x.numel() // x.shape[1]
        batch_mean = x.mean(over)
        centred = x - batch_mean.detach().reshape(1, -1, 1, 1)
        batch_var = (centred * centred).mean(over)
        return (
            x.batchnorm(scale, shift, batch_mean, batch_var.add(eps).rsqrt()),
            (1 - momentum) * mean + momentum * batch_mean.detach(),
            (1 - momentum) * var + momentum * count / (count - 1) * batch_var.detach(),
        )

    def relu(self, x: T, consume: bool) -> T:
        return x.relu()

    def add(self, a: T, b: T) -> T:
        return a + b

    def max_pool(self, x: T, kernel: Pair, stride: Pair, padding: Pair) -> T:
        return x.max_pool2d(kernel, stride, padding=padding)

    def avg_pool(self, x: T, kernel: Pair, stride: Pair, padding: Pair) -> T:
        return x.avg_pool2d(kernel, stride, padding=padding)

    def global_avg_pool(self, x: T) -> T:
        return x.mean((2, 3))

    def concat(self, xs: list[T]) -> T:
        return xs[0].cat(*xs[1:], dim=1)

    def flatten(self, x: T) -> T:
        return x.flatten(1)

    def cross_entropy(self, logits: T, labels: T) -> T:
        return logits.sparse_categorical_crossentropy(labels)

    # --- arrays -------------------------------------------------------------------------

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> T:
        dtype = np.int32 if role == "labels" else self.precision
        return self.Tensor(np.array(value, dtype, order="C"), device="CPU").realize()

    def dump(self, handle: T, role: str, groups: int = 1) -> np.ndarray:
        return np.array(handle.numpy())

    def clone(self, array: T) -> T:
        return array.clone().realize()

    def zeros_like(self, array: T) -> T:
        return self.place(np.zeros(array.shape), "velocity")

    def copy(self, tree: Any) -> Any:
        if not isinstance(tree, dict) or not tree:
            return super().copy(tree)
        copied = {name: tensor.clone() for name, tensor in tree.items()}
        self.Tensor.realize(*copied.values())  # all at once: each alone would be scheduled anew
        return copied

    def start(self, params: dict[str, T], trained: set[str]) -> State:
        state = super().start(params, trained)
        return state._replace(stats={n: p.is_param_(False) for n, p in state.stats.items()})

    # --- what is timed ------------------------------------------------------------------

    def _jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, which realizes what it returns."""
        if "jit" not in self.options:
            return function
        made = self.tinygrad.TinyJit(function)
        made.cnt = 1  # calls so far: at the second it records
        return made

    def _holding(self, build: Callable[[Any], Callable[..., Any]]) -> Callable[..., Any]:
        """What `build` makes of the first tensors that come, holding them as a model does.

        Others that come later are assigned to those, which are the first of what a call returns.
        """
        own: Any = None
        made: Callable[..., Any] | None = None

        def call(tensors: Any, *rest: T) -> tuple[Any, Any]:
            nonlocal own, made
            if made is None:
                own, made = tensors, self._jit(build(tensors))
            elif tensors is not own:
                pairs = zip(_flat(own), _flat(tensors), strict=True)
                self.Tensor.realize(*[held.assign(value) for held, value in pairs])
            return own, made(*rest)

        return call

    def infer(self, workload: Any) -> Callable[[dict[str, T], T], T]:
        def build(params: dict[str, T]) -> Callable[[T], T]:
            def forward(x: T) -> T:
                y = Network(self, params).run(workload, x)
                # TinyJit refuses to record nothing, as where y is x in another shape.
                return (y.clone() if y.uop.base is x.uop.base else y).realize()

            return forward

        call = self._holding(build)
        return lambda params, x: call(params, x)[1]

    def gradients(self, workload: Any, trained: set[str]) -> Callable[..., Any]:
        def build(params: dict[str, T]) -> Callable[[T, T], Any]:
            def differentiated(x: T, y: T) -> list[T]:
                net = Network(self, params, training=True)
                loss = net.loss(net.run(workload, x), y)
                by = [params[name] for name in names] + ([x] if workload.input_gradient else [])
                found = [loss, *loss.gradient(*by)]
                self.Tensor.realize(*found)
                return found

            names = [name for name in params if name in trained]
            order.extend([*names, "input"] if workload.input_gradient else names)
            return differentiated

        order: list[str] = []
        call = self._holding(build)

        def gradients(params: dict[str, T], x: T, y: T) -> tuple[T, dict[str, T]]:
            loss, *found = call(params, x, y)[1]
            return loss, dict(zip(order, found, strict=True))

        return gradients

    def train(self, workload: Any, lr: float, momentum: float) -> Callable[..., Any]:
        def build(state: State) -> Callable[[T, T], T]:
            weights = [*state.params.values()]
            sgd = self.tinygrad.nn.optim.SGD([*weights, *state.stats.values()], lr, momentum)
            sgd.b = [*state.velocity.values()]  # in place of zeros of its own
            sgd.lr.realize()

            def step(x: T, y: T) -> T:
                with self.tinygrad.Context(TRAINING=1):
                    net = Network(self, {**state.params, **state.stats}, training=True)
                    loss = net.loss(net.run(workload, x), y)
                    for weight, found in zip(weights, loss.gradient(*weights), strict=True):
                        weight.grad = found
                    for name, value in net.updates.items():
                        state.stats[name].assign(value)
                    return loss.realize(*sgd.schedule_step())

            return step

        return self._holding(build)

    # --- the rest -----------------------------------------------------------------------

    def sync(self, result: Any) -> None:
        self._device.synchronize()

    def profile(
        self, call: Callable[[], Any], sync: Callable[[Any], None]
    ) -> list[tuple[str, float, int]]:
        raise Unsupported("tinygrad names its kernels by their shapes: what one does is not told")

    def manifest(self) -> dict[str, Any]:
        return {
            "framework": "tinygrad",
            "version": self.version(),
            "layout": "NCHW",
            "mode": "TinyJit" if "jit" in self.options else "eager",
            "conv_precision": self.precision,
            "matmul_precision": self.precision,
            "mixed": "no",
            "autotune": self.tinygrad.helpers.BEAM.value > 0,
            "threads": 1,  # of those told; see above
            "optimizer": "SGD with momentum, nn.optim's, weights in place",
            "compilations": self._compiled_before + len(self._programs),
            "renderer": type(self._device.renderer).__name__,
            "parts_of_a_kernel": self.tinygrad.helpers.NUM_CPU_THREADS.value,
        }

    def reset(self) -> None:
        self._compiled_before += len(self._programs)
        self._programs.clear()
        self._loaded.clear()
        self._device.allocator.free_cache()


def _flat(tensors: Any) -> list[T]:
    dicts = tensors if isinstance(tensors, State) else [tensors]
    return [tensor for each in dicts for tensor in each.values()]
