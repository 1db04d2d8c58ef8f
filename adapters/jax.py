"""JAX: everything under one `jit`, channels last unless `nchw`.

NHWC is XLA's better layout on a CPU (NCHW took 1.31 times as long in inference). A
training step donates its state, as JAX's users do, so that updates need no second copy.
Mixed precision is what Flax's layers do with `dtype`, but for a bias, which they cast too: the
operands are cast within the jit, batch norm computes in float32 and gives back what it was given.

On a CPU, XLA of JAX 0.10 gives convolutions, products and sums to YNNPACK, a library of kernels
(in google/XNNPACK). On two cores ResNet-18's latency was twice that of XLA's own convolution, so
`no-ynn` takes part there as well.
"""

import functools
import os
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import numpy as np

from adapters.core import profiling, xla
from adapters.core.algebra import Pair
from adapters.core.algebra import Tensor as T
from adapters.core.base import Adapter, State, Unsupported, Variant
from adapters.core.layout import TO_FIRST, TO_HWIO, TO_LAST, TURNED, Order, from_memory, to_memory
from adapters.core.network import Network
from adapters.core.precision import LOSS_SCALE, MIXED, NO_TF32, PRECISIONS, lowered, stored


class Jax(Adapter):
    """Images lie NHWC, kernels HWIO; in the variant `nchw`, as the algebra has them."""

    requires = ("jax", "jaxlib")
    distributions = ("jax",)
    variants = {
        "": Variant("jit, channels last", {"layout": "NHWC"}, compile_seconds=0.1),
        # Below Hopper XLA gives cuDNN float32 convolutions as NCHW, and turns all others round (its
        # gpu/transforms/layout_assignment.cc): there both layouts take part, as of torch.
        "nchw": Variant(
            "jit, NCHW",
            {"layout": "NCHW"},
            compile_seconds=0.1,
            joins=("cuda",),
        ),
        "no-ynn": Variant(
            "jit, channels last, without YNNPACK, the library of kernels that XLA calls on a CPU "
            "for convolutions, products and sums: jax.jit(f, compiler_options="
            "{'xla_cpu_experimental_ynn_fusion_type': ''})",
            {"layout": "NHWC", "compiler": {"xla_cpu_experimental_ynn_fusion_type": ""}},
            compile_seconds=0.1,
            joins=("cpu",),
        ),
        # XLA's own depthwise convolution is slow on a CPU, in TensorFlow too: some 190 times the
        # time of torch in depthwise3x3_144_56 (results/published/quick-2core, AVX-512), and less on
        # other processors; jax-ml/jax#23713 reports JAX's. MobileNet v2 took ten times as long as
        # with slices (serving-2core, batch 8), pooling's gradient a fifth of a small net's step.
        "slices": Variant(
            "as no-ynn; depthwise convolution and pooling written as slices",
            {
                "layout": "NHWC",
                "slices": True,
                "compiler": {"xla_cpu_experimental_ynn_fusion_type": ""},
            },
            compile_seconds=0.1,
            joins=(),
        ),
    }

    precisions = PRECISIONS

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        self.compiler: dict[str, Any] = self.options.get("compiler", {})
        if self.compiler and device != "cpu":
            raise Unsupported("XLA calls YNNPACK on a CPU alone")
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        os.environ["NPROC"] = str(threads)  # the size of XLA's pool of threads
        import jax
        from jax import lax
        from jax import numpy as jnp

        self.jax, self.lax, self.jnp = jax, lax, jnp
        # Else it looks for a GPU on a CPU's behalf, and takes a CPU where it finds no GPU.
        jax.config.update("jax_platforms", "cpu" if device == "cpu" else "cuda,cpu")
        self.settle()
        try:
            self._device = jax.devices(device)[0]
        except RuntimeError as error:
            reason = f"jax {jax.__version__} finds no {device} device: {error}"
            raise Unsupported(reason) from None
        if precision == "tf32" and float(self._device.compute_capability) < 8.0:
            raise Unsupported(f"{NO_TF32}: {self._device.device_kind} has none")
        self.dtype, self.low = (jnp.dtype(of(precision)) for of in (stored, lowered))
        self.scale = LOSS_SCALE.get(precision, 1.0)
        self.layout, self.slices = self.options["layout"], "slices" in self.options
        last = self.layout == "NHWC"
        self.channel, self.space = (3, (1, 2)) if last else (1, (2, 3))
        self.dimensions = (self.layout, "HWIO" if last else "OIHW", self.layout)
        # XLA's product of a few rows with (out, in) takes up to 1.6 times as long on a CPU, and
        # of one row 20 times.
        self.orders: dict[str, Order] = {"matrix": TURNED}
        if last:
            self.orders |= {"image": TO_LAST, "kernel": TO_HWIO}
        self._copied = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))
        self._jitted: list[Any] = []
        self._compiled_before = 0  # by those that `reset` forgot

    def settle(self) -> None:
        # Unset, this means TF32 on an A100 and later, and so does "high". Of low operands it means
        # nothing, but XLA gives Triton no product of which more than the default is asked.
        asked: str | None = "tensorfloat32" if self.precision == "tf32" else "highest"
        if self.precision in MIXED:
            asked = None
        self.jax.config.update("jax_default_matmul_precision", asked)
        self.jax.config.update("jax_enable_x64", self.precision == "float64")

    @classmethod
    def missing(cls, variant: str) -> str | None:
        reason = super().missing(variant)
        if reason is None and "compiler" in cls.variants[variant].options:
            version = cls.version() or "0.0"
            if tuple(map(int, version.split(".")[:2])) < (0, 8):
                return f"XLA of jax {version} has no option for YNNPACK: 0.8 and later have"
        return reason

    # --- the algebra --------------------------------------------------------------------

    def shape(self, x: T) -> tuple[int, ...]:
        dims = tuple(x.shape)
        if len(dims) != 4:
            return dims
        return (dims[0], dims[self.channel], *(dims[axis] for axis in self.space))

    def _wide(self, vector: T) -> T:
        """(C,) -> what is added to an image along its channels."""
        return vector if self.channel == 3 else vector[:, None, None]

    def _each(self, pair: Any, other: Any) -> tuple[Any, ...]:
        """What holds for height and width, put in their places among an image's axes."""
        return (other, *pair, other) if self.channel == 3 else (other, other, *pair)

    def conv2d(self, x: T, weight: T, bias: T, stride: Pair, padding: Pair, groups: int) -> T:
        x, weight = self._lowered(x, weight)
        if self.slices and 1 < groups == x.shape[3] == weight.shape[3]:
            parts = self._slices(x, 0.0, (weight.shape[0], weight.shape[1]), stride, padding)
            y = sum(part * weight[i, j, 0] for (i, j), part in parts)
        else:
            y = self.lax.conv_general_dilated(
                x,
                weight,
                stride,
                [(p, p) for p in padding],
                dimension_numbers=self.dimensions,
                feature_group_count=groups,
            )
        return y if bias is None else (y + self._wide(bias)).astype(y.dtype)

    def _slices(
        self, x: T, outside: float, kernel: Pair, stride: Pair, padding: Pair
    ) -> Iterator[tuple[Pair, T]]:
        """For each place of a kernel what it meets: as many pixels as the result has."""
        x = self.jnp.pad(x, self._each([(p, p) for p in padding], (0, 0)), constant_values=outside)
        last = [x.shape[axis] - k for axis, k in zip(self.space, kernel, strict=True)]
        for i, j in np.ndindex(*kernel):
            rows, columns = (
                slice(i, last[0] + i + 1, stride[0]),
                slice(j, last[1] + j + 1, stride[1]),
            )
            yield (i, j), x[:, rows, columns]

    def _lowered(self, *operands: T) -> list[T]:
        """The operands of a convolution or product, in what those compute in.

        A bias stays as it is, and is added in float32 to a result that is rounded already: its
        gradient is a sum over all pixels, which XLA would make in bfloat16 on a CPU, off by 80%.
        """
        return [each.astype(self.low) for each in operands]

    def linear(self, x: T, weight: T, bias: T) -> T:
        x, weight = self._lowered(x, weight)
        y = x @ weight
        return y if bias is None else (y + bias).astype(y.dtype)

    def batch_norm(self, x: T, scale: T, shift: T, mean: T, var: T, eps: float) -> T:
        factor = scale * self.lax.rsqrt(var + eps)
        y = (x - self._wide(mean)) * self._wide(factor) + self._wide(shift)
        return y.astype(x.dtype)

    def batch_norm_train(
        self, x: T, scale: T, shift: T, mean: T, var: T, momentum: float, eps: float
    ) -> tuple[T, T, T]:
        count, over = x.size // x.shape[self.channel], (0, *self.space)
        batch_mean = x.mean(over, dtype=self.dtype)  # in float32 at least, as all that follows
        # The mean's part in the variance has no gradient, as it is zero: left in, it costs a pass.
        apart = x - self._wide(self.lax.stop_gradient(batch_mean))
        batch_var = (apart * apart).mean(over)
        factor = scale * self.lax.rsqrt(batch_var + eps)
        y = (x - self._wide(batch_mean)) * self._wide(factor) + self._wide(shift)
        return (
            y.astype(x.dtype),
            (1 - momentum) * mean + momentum * batch_mean,
            (1 - momentum) * var + momentum * count / (count - 1) * batch_var,
        )

    def relu(self, x: T, consume: bool) -> T:
        return self.jax.nn.relu(x)

    def add(self, a: T, b: T) -> T:
        return a + b

    def max_pool(self, x: T, kernel: Pair, stride: Pair, padding: Pair) -> T:
        return self._pool(x, -self.jnp.inf, self.lax.max, kernel, stride, padding)

    def avg_pool(self, x: T, kernel: Pair, stride: Pair, padding: Pair) -> T:
        total = self._pool(x, 0.0, self.lax.add, kernel, stride, padding)
        return total / (kernel[0] * kernel[1])

    def _pool(self, x: T, start: float, fold: Any, kernel: Pair, stride: Pair, padding: Pair) -> T:
        if self.slices:
            parts = (part for _, part in self._slices(x, start, kernel, stride, padding))
            if fold is self.lax.max:  # of equals it would give each a share of the gradient
                return functools.reduce(lambda y, part: self.jnp.where(part > y, part, y), parts)
            return functools.reduce(fold, parts)
        edges = self._each([(p, p) for p in padding], (0, 0))
        window, steps = self._each(kernel, 1), self._each(stride, 1)
        return self.lax.reduce_window(x, start, fold, window, steps, edges)

    def global_avg_pool(self, x: T) -> T:
        return x.mean(self.space)

    def concat(self, xs: list[T]) -> T:
        return self.jnp.concatenate(xs, self.channel)

    def flatten(self, x: T) -> T:
        x = x.transpose(TO_FIRST) if self.channel == 3 else x
        return x.reshape(x.shape[0], -1)

    def cross_entropy(self, logits: T, labels: T) -> T:
        logs = self.jax.nn.log_softmax(logits.astype(self.dtype))
        return -self.jnp.take_along_axis(logs, labels[:, None], 1).mean()

    # --- arrays ---------------------------------------------------------------------------

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> T:
        value = to_memory(value, role, self.orders)
        kinds = {"labels": np.dtype(np.int32), "image": self.low, "features": self.low}
        dtype = kinds.get(role, self.dtype)
        return self.jax.device_put(np.array(value, dtype, order="C"), self._device)

    def dump(self, handle: T, role: str, groups: int = 1) -> np.ndarray:
        value = from_memory(np.asarray(handle), role, self.orders)
        return np.array(value, None if value.dtype == np.int32 else self.dtype)

    def clone(self, array: T) -> T:
        return self._copied(array)

    def copy(self, tree: Any) -> Any:
        """All in one program: one by one, each shape would be compiled, for seconds of a start."""
        return self._copied(tree)

    def zeros_like(self, array: T) -> T:
        return self.jax.device_put(np.zeros(array.shape, array.dtype), self._device)

    # --- what is timed ----------------------------------------------------------------------

    def _jit(self, function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        if self.compiler:
            options["compiler_options"] = self.compiler
        self._jitted.append(self.jax.jit(function, **options))
        return self._jitted[-1]

    def infer(self, workload: Any) -> Callable[[dict[str, T], T], T]:
        return self._jit(lambda params, x: Network(self, params).run(workload, x))

    def _loss(self, workload: Any) -> Callable[..., Any]:
        def loss(params: dict[str, T], x: T, stats: dict[str, T], y: T) -> Any:
            net = Network(self, {**params, **stats}, training=True)
            found = net.loss(net.run(workload, x), y)
            return self.scale * found, (found, net.updates)

        return loss

    def _unscaled(self, gradients: Any) -> Any:
        """Gradients of the loss itself; what is divided is float32, as the input's may not be."""
        if self.precision not in LOSS_SCALE:
            return gradients
        return self.jax.tree.map(lambda g: g.astype(self.dtype) / self.scale, gradients)

    def gradients(self, workload: Any, trained: set[str]) -> Callable[..., Any]:
        by = (0, 1) if workload.input_gradient else (0,)
        differentiate = self.jax.value_and_grad(self._loss(workload), by, has_aux=True)

        def call(params: dict[str, T], x: T, y: T) -> Any:
            own = {n: p for n, p in params.items() if n in trained}
            stats = {n: p for n, p in params.items() if n not in trained}
            (_, (loss, _)), grads = differentiate(own, x, stats, y)
            grads = self._unscaled(grads)
            return loss, {**grads[0], **({"input": grads[1]} if len(grads) > 1 else {})}

        return self._jit(call)

    def train(self, workload: Any, lr: float, momentum: float) -> Callable[..., Any]:
        differentiate = self.jax.value_and_grad(self._loss(workload), has_aux=True)

        def step(state: State, x: T, y: T) -> tuple[State, T]:
            (_, (loss, stats)), grads = differentiate(state.params, x, state.stats, y)
            grads = self._unscaled(grads)
            velocity = {n: momentum * v + grads[n] for n, v in state.velocity.items()}
            params = {n: p - lr * velocity[n] for n, p in state.params.items()}
            return State(params, {**state.stats, **stats}, velocity), loss

        return self._jit(step, donate_argnums=0)

    # --- the rest -----------------------------------------------------------------------------

    def sync(self, result: Any) -> None:
        self.jax.block_until_ready(result)

    def profile(
        self, call: Callable[[], Any], sync: Callable[[Any], None]
    ) -> list[tuple[str, float, int]]:
        profiler = self.jax.profiler
        options = profiler.ProfileOptions()
        options.python_tracer_level = 0
        with profiling.traced(".xplane.pb") as (folder, written):
            with profiler.trace(folder, profiler_options=options):
                sync(call())
            planes = list(profiler.ProfileData.from_file(str(written())).planes)
        spans = _spans(planes)
        told: dict[str, str] = {}
        for executable in self._device.client.live_executables():
            for module in executable.hlo_modules():
                told |= xla.described(xla.program(module.to_string()))
        return xla.named(profiling.shares(xla.closed(spans), 1e-9), told)

    def memory(self) -> dict[str, int]:
        stats = self._device.memory_stats() or {}  # None on a CPU
        names = {"peak_bytes_in_use": "allocated", "peak_pool_bytes": "reserved"}
        return {ours: stats[theirs] for theirs, ours in names.items() if theirs in stats}

    def manifest(self) -> dict[str, Any]:
        settings = sorted(os.environ.items())
        asked, flags = self.jax.config.jax_default_matmul_precision, os.environ.get("XLA_FLAGS", "")
        low = self.precision in MIXED  # of whose operands there is no other precision
        known = {"highest": self.precision, "tensorfloat32": "tf32"}
        precision = self.precision if low else known.get(asked, str(asked))
        tf32 = self.device == "cuda" and not low and asked != "highest"
        return {
            "framework": "jax",
            "version": self.jax.__version__,
            "layout": self.layout,
            "mode": "jit (XLA)",
            "compiler_options": " ".join(f"{n}={v!r}" for n, v in self.compiler.items())
            or "default",
            "conv_precision": precision,  # one setting serves both
            "matmul_precision": precision,
            "mixed": f"operands cast to {self.precision}" if self.precision in MIXED else "no",
            "loss_scale": self.scale if self.precision in LOSS_SCALE else None,
            "tf32_conv": tf32,
            "tf32_matmul": tf32,
            "autotune": self.device == "cuda" and "xla_gpu_autotune_level=0" not in flags,
            "deterministic": "xla_gpu_deterministic_ops=true" in flags,
            "threads": self.threads,
            "optimizer": "SGD with momentum, in the compiled step, state donated",
            "compilations": self._compilations(),
            "jaxlib": metadata.version("jaxlib"),
            "platform": f"{self._device.platform} {self._device.client.platform_version}",
            "x64": bool(self.jax.config.jax_enable_x64),
            "xla_flags": flags,
            "allocator": " ".join(f"{k}={v}" for k, v in settings if "ALLOC" in k) or "default",
        }

    def _compilations(self) -> int:
        return self._compiled_before + sum(f._cache_size() for f in self._jitted)

    def reset(self) -> None:
        self._compiled_before = self._compilations()
        self._jitted.clear()
        self.jax.clear_caches()


def _spans(planes: list[Any]) -> list[profiling.Span]:
    """XLA's instructions, out of a profile: of the GPU where it has one, else of the processor.

    While it is profiled XLA launches one by one what it has in command buffers (unless
    `xla_enable_command_buffers_during_profiling` is set), so that kernels have their
    instructions' names; one that has none keeps its own.
    """
    on_gpu = [plane for plane in planes if plane.name.startswith("/device:GPU")]
    spans = []
    for line in (each for plane in on_gpu or planes for each in plane.lines):
        kernels = bool(on_gpu) and line.name.startswith("Stream")
        for event in line.events:
            hlo = dict(event.stats).get("hlo_op")
            if hlo or kernels or event.name.startswith("end: "):
                spans.append((hlo or event.name, event.start_ns, event.end_ns))
    return spans
