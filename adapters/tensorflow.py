"""TensorFlow: tf.function graphs, the same through XLA, and eager; channels last.

NHWC is what TensorFlow's CPU kernels have. Its pitfalls: explicit padding in a convolution
(slower with AVX-512; single layers of ResNet took 0.8 to 1.1 times as long on two cores of an
AMD EPYC with AVX2: SAME or VALID where they mean it, else a pad before it), grouped
convolutions (on a CPU, XLA has their gradients, and oneDNN in float32 and bfloat16; else split
per group, which took over three times as long in 32 groups; depthwise has an operation of its
own), padded pooling (refused for means, failing under XLA, and by oneDNN slower in max pooling's
gradient: a pad before it), fused batch norm (no float64, slower under XLA: moments there).
Mixed precision is what Keras's policies do: a layer casts its inputs and weights, batch norm
and means compute in float32.
"""

import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.core import profiling, xla
from adapters.core.algebra import Pair, Tensor
from adapters.core.base import Adapter, State, Unsupported, Variant
from adapters.core.layout import (
    TO_FIRST,
    TO_HWIO,
    TO_LAST,
    TURNED,
    from_memory,
    permuted,
    to_memory,
)
from adapters.core.network import Network
from adapters.core.precision import LOSS_SCALE, MIXED, NO_TF32, PRECISIONS, lowered, stored
from adapters.core.same import is_same

ORDERS = {"image": TO_LAST, "kernel": TO_HWIO, "matrix": TURNED}

# In a profile: an operation of a graph, and where one of XLA's is over.
_OPERATION = re.compile(r"^[\w/.-]+:_?[A-Z]\w*$|^end: ")


class TensorFlow(Adapter):
    """Images lie NHWC, kernels HWIO, matrices (in, out): a product with (out, in) takes up to
    twice as long on a CPU. Weights are tf.Variables, as users have them; a training's
    state is updated in place, and taken back to its start by assignment."""

    requires = ("tensorflow",)
    distributions = ("tensorflow", "tensorflow-cpu")
    variants = {
        "": Variant("tf.function graph, channels last", {"xla": False}, compile_seconds=0.03),
        "xla": Variant(
            "tf.function through XLA (jit_compile), channels last",
            {"xla": True},
            compile_seconds=0.1,
        ),
        # What serves is compared with engines that have their weights as constants, too.
        "frozen": Variant(
            "inference alone: tf.function graph, weights frozen into it, channels last",
            {"xla": False, "frozen": True},
            compile_seconds=0.2,
            joins=(),
            trains=False,
        ),
        "eager": Variant("eager, channels last", {"xla": False, "eager": True}, joins=()),
    }

    precisions = PRECISIONS

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        import tensorflow as tf
        from tensorflow.python.util import _pywrap_util_port as port

        self.tf, self.xla = tf, bool(self.options["xla"])
        self.eager, self.frozen = "eager" in self.options, "frozen" in self.options
        self.dtype, self.low = (tf.as_dtype(of(precision)) for of in (stored, lowered))
        self.scale = LOSS_SCALE.get(precision)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        # As shipped, one for each core: a convolution's two gradients then run side by side. With
        # one in all, on two cores, training took 5% (ResNet-20) to 9% (ResNet-18) longer; a single
        # depthwise convolution's inference 8% less.
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.settle()
        gpus = tf.config.list_physical_devices("GPU")
        if device == "cuda" and not gpus:
            raise Unsupported(f"tensorflow {tf.__version__} sees no GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
            details = tf.config.experimental.get_device_details(gpu)
            if precision == "tf32" and details.get("compute_capability", (0, 0)) < (8, 0):
                raise Unsupported(f"{NO_TF32}: {details.get('device_name')} has none")
        self.onednn = bool(port.IsMklEnabled())  # as shipped, where there is VNNI or the like
        self._grouped = (
            self.xla or device == "cuda" or (self.onednn and self.low in (tf.float32, tf.bfloat16))
        )
        self._inferring = False  # or is there a backward pass: set by what calls the operations
        self._place = tf.device("/GPU:0" if device == "cuda" else "/CPU:0")
        self._functions: list[Any] = []
        self._traced_before = 0

    def settle(self) -> None:
        # Of low operands it means nothing, but XLA gives Triton no product of which more than the
        # default is asked, and on is TensorFlow's default.
        allowed = self.precision in ("tf32", *MIXED)
        self.tf.config.experimental.enable_tensor_float_32_execution(allowed)

    # --- the algebra --------------------------------------------------------------------

    def shape(self, x: Tensor) -> tuple[int, ...]:
        return permuted(tuple(x.shape), TO_FIRST)

    def conv2d(
        self, x: Tensor, weight: Tensor, bias: Tensor, stride: Pair, padding: Pair, groups: int
    ) -> Tensor:
        tf, (height, width, _, out) = self.tf, weight.shape
        x, weight, bias = self._lowered(x, weight, bias)
        same = is_same(x.shape[1:3], (height, width), stride, padding)
        if padding != (0, 0) and not same:
            x = self._pad(x, padding, 0)
        mode = "SAME" if same else "VALID"
        if groups == x.shape[3] and groups > 1 and stride[0] == stride[1]:
            depthwise = tf.reshape(weight, (height, width, groups, out // groups))
            y = tf.nn.depthwise_conv2d(x, depthwise, (1, *stride, 1), mode)
        elif groups == 1 or self._grouped:
            y = tf.nn.conv2d(x, weight, stride, mode)
        else:
            parts = zip(tf.split(x, groups, 3), tf.split(weight, groups, 3), strict=True)
            y = tf.concat([tf.nn.conv2d(a, w, stride, mode) for a, w in parts], 3)
        return y if bias is None else tf.nn.bias_add(y, bias)

    def _pad(self, x: Tensor, padding: Pair, value: float) -> Tensor:
        return self.tf.pad(x, _edges(padding), constant_values=self.tf.constant(value, x.dtype))

    def _lowered(self, *operands: Tensor | None) -> list[Tensor | None]:
        """The operands of a convolution or product, in what those compute in."""
        return [None if each is None else self.tf.cast(each, self.low) for each in operands]

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x, weight, bias = self._lowered(x, weight, bias)
        y = self.tf.matmul(x, weight)
        return y if bias is None else self.tf.nn.bias_add(y, bias)

    @property
    def _fused(self) -> bool:
        return not self.xla and self.precision != "float64"

    def batch_norm(
        self, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, var: Tensor, eps: float
    ) -> Tensor:
        if self._fused:
            return self.tf.raw_ops.FusedBatchNormV3(
                x=x, scale=scale, offset=shift, mean=mean, variance=var, epsilon=eps,
                is_training=False,
            )[0]  # fmt: skip
        y = (self.tf.cast(x, self.dtype) - mean) * (scale * self.tf.math.rsqrt(var + eps)) + shift
        return self.tf.cast(y, x.dtype)

    def batch_norm_train(
        self,
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        mean: Tensor,
        var: Tensor,
        momentum: float,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        tf, count = self.tf, x.shape[0] * x.shape[1] * x.shape[2]
        if self._fused:  # its variance is unbiased already
            y, batch_mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
                x=x, scale=scale, offset=shift, mean=tf.zeros_like(mean),
                variance=tf.zeros_like(var), epsilon=eps, is_training=True,
            )  # fmt: skip
        else:
            wide = tf.cast(x, self.dtype)
            batch_mean = tf.reduce_mean(wide, (0, 1, 2))
            # The mean's part in the variance has no gradient, as it is zero: it would cost a pass.
            apart = wide - tf.stop_gradient(batch_mean)
            batch_var = tf.reduce_mean(apart * apart, (0, 1, 2))
            factor = scale * tf.math.rsqrt(batch_var + eps)
            y = tf.cast((wide - batch_mean) * factor + shift, x.dtype)
            unbiased = batch_var * (count / (count - 1))
        return (
            y,
            (1 - momentum) * mean + momentum * tf.stop_gradient(batch_mean),
            (1 - momentum) * var + momentum * tf.stop_gradient(unbiased),
        )

    def relu(self, x: Tensor, consume: bool) -> Tensor:
        return self.tf.nn.relu(x)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def max_pool(self, x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
        if is_same(x.shape[1:3], kernel, stride, padding):
            return self.tf.nn.max_pool2d(x, kernel, stride, "SAME")  # which pads with -inf
        # On two cores of an AMD EPYC with AVX2, ResNet's (8x64x112x112) takes 5 to 9 ms so, and 8
        # to 26 with a pad before it. A gradient has the pad: 26 ms against 62, by oneDNN.
        if padding != (0, 0) and self._inferring and not self.xla:
            return self.tf.nn.max_pool2d(x, kernel, stride, _edges(padding))
        if padding != (0, 0):
            x = self._pad(x, padding, x.dtype.min)
        return self.tf.nn.max_pool2d(x, kernel, stride, "VALID")

    def avg_pool(self, x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
        if padding != (0, 0):
            x = self._pad(x, padding, 0)
        return self.tf.nn.avg_pool2d(x, kernel, stride, "VALID")

    def global_avg_pool(self, x: Tensor) -> Tensor:
        mean = self.tf.reduce_mean(self.tf.cast(x, self.dtype), (1, 2))
        return self.tf.cast(mean, x.dtype)

    def concat(self, xs: list[Tensor]) -> Tensor:
        return self.tf.concat(xs, 3)

    def flatten(self, x: Tensor) -> Tensor:
        return self.tf.reshape(self.tf.transpose(x, TO_FIRST), (x.shape[0], -1))

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits = self.tf.cast(logits, self.dtype)
        losses = self.tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return self.tf.reduce_mean(losses)

    # --- arrays ---------------------------------------------------------------------------

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> Tensor:
        value = np.array(to_memory(value, role, ORDERS), order="C")
        kinds = {"labels": self.tf.int64, "image": self.low, "features": self.low}
        with self._place:
            dtype = kinds.get(role, self.dtype)
            return self.tf.identity(self.tf.cast(self.tf.constant(value), dtype))

    def dump(self, handle: Tensor, role: str, groups: int = 1) -> np.ndarray:
        value = handle.numpy()
        if value.dtype != np.int64:  # NumPy has no bfloat16
            value = value.astype(self.dtype.as_numpy_dtype)
        return np.array(from_memory(value, role, ORDERS))

    def clone(self, array: Tensor) -> Tensor:
        with self._place:
            return self.tf.Variable(array)

    def zeros_like(self, array: Tensor) -> Tensor:
        return self.clone(self.tf.zeros_like(array))

    def bind(self, workload: Any, batch: int, params: dict[str, Tensor]) -> Any:
        return {name: self.clone(params.pop(name)) for name in list(params)}  # never both whole

    # --- what is timed ----------------------------------------------------------------------

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if self.eager:
            return function
        made = self.tf.function(function, jit_compile=self.xla or None, autograph=False)
        self._functions.append(made)
        return made

    def _capturing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` as a graph that holds the variables of its first argument, as Keras's do.

        As arguments each would be looked at in Python on every call: 6% of a training step of
        ResNet-20. Others that come later are assigned to those that came first, which are the
        first of what a call returns.
        """
        own: Any = None
        made: Callable[..., Any] | None = None

        def call(variables: Any, *rest: Tensor) -> tuple[Any, Any]:
            nonlocal own, made
            if made is None:
                own = variables
                made = self._function(lambda *rest: function(own, *rest))
                if not self.eager:  # one trace is called, not looked up: a third of a short call
                    made = made.get_concrete_function(*rest)
            elif variables is not own:
                for held, value in zip(*map(self.tf.nest.flatten, (own, variables)), strict=True):
                    held.assign(value)
            return own, made(*rest)

        return call

    def infer(self, workload: Any) -> Callable[[dict[str, Tensor], Tensor], Tensor]:
        def forward(params: dict[str, Tensor], x: Tensor) -> Tensor:
            self._inferring = True
            return Network(self, _values(params)).run(workload, x)

        if self.frozen:
            return self._freezing(forward)
        call = self._capturing(forward)
        return lambda params, x: call(params, x)[1]

    def _freezing(self, forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """`forward` as a graph whose weights are constants, which Grappler folds into each other
        and oneDNN lays out once; of others it is made anew."""
        from tensorflow.python.framework import convert_to_constants

        own: Any = None
        made: Callable[..., Any] | None = None

        def call(variables: Any, x: Tensor) -> Tensor:
            nonlocal own, made
            if made is None or variables is not own:
                own = variables
                traced = self._function(lambda x: forward(own, x)).get_concrete_function(x)
                made = convert_to_constants.convert_variables_to_constants_v2(traced)
            return made(x)[0]

        return call

    def _differentiate(
        self, workload: Any, params: dict[str, Tensor], stats: dict[str, Tensor], x: Any, y: Any
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Loss, gradients by name, new batch-norm state: inside a tf.function."""
        tf, wanted = self.tf, dict(params)
        self._inferring = False
        if workload.input_gradient:
            wanted["input"] = x
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(wanted)
            net = Network(self, {**params, **stats}, training=True)
            loss = net.loss(net.run(workload, x), y)
            target = loss if self.scale is None else loss * self.scale
        zero = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(target, wanted, unconnected_gradients=zero)
        if self.scale is not None:
            gradients = {n: tf.cast(g, self.dtype) / self.scale for n, g in gradients.items()}
        return loss, gradients, net.updates

    def gradients(self, workload: Any, trained: set[str]) -> Callable[..., Any]:
        def differentiated(params: dict[str, Tensor], x: Tensor, y: Tensor) -> Any:
            values = _values(params)
            own = {n: p for n, p in values.items() if n in trained}
            stats = {n: p for n, p in values.items() if n not in trained}
            return self._differentiate(workload, own, stats, x, y)[:2]

        call = self._capturing(differentiated)
        return lambda params, x, y: call(params, x, y)[1]

    def train(self, workload: Any, lr: float, momentum: float) -> Callable[..., Any]:
        tf = self.tf

        def step(state: State, x: Tensor, y: Tensor) -> Tensor:
            params, stats = _values(state.params), _values(state.stats)
            loss, gradients, updates = self._differentiate(workload, params, stats, x, y)
            factors = {
                "lr": tf.constant(lr, self.dtype),
                "momentum": tf.constant(momentum, self.dtype),
            }
            for name, velocity in state.velocity.items():
                var, accum = state.params[name].handle, velocity.handle
                tf.raw_ops.ResourceApplyMomentum(  # one kernel: v = m v + g, then p -= lr v
                    var=var, accum=accum, grad=gradients[name], **factors
                )
            for name, value in updates.items():
                state.stats[name].assign(value)
            return loss

        return self._capturing(step)

    # --- the rest -----------------------------------------------------------------------------

    def sync(self, result: Any) -> None:
        # On a CPU a tf.function returns when it is done; .numpy() would copy to the host.
        # On a GPU this waits for that device alone; sync_devices() asks the CPU's as well. Of what
        # is Python in it that is half (27 microseconds instead of 58, seen on a CPU).
        if self.device == "cuda":
            with self._place:
                self.tf.raw_ops.SyncDevice()

    def profile(
        self, call: Callable[[], Any], sync: Callable[[Any], None]
    ) -> list[tuple[str, float, int]]:
        from tensorflow.compiler.xla.service import hlo_pb2
        from tensorflow.tsl.profiler.protobuf import xplane_pb2

        profiler = self.tf.profiler.experimental
        with profiling.traced(".xplane.pb") as (folder, written):
            profiler.start(folder, profiler.ProfilerOptions(python_tracer_level=0))
            try:
                sync(call())
            finally:
                profiler.stop()
            space = xplane_pb2.XSpace.FromString(written().read_bytes())
        devices = [p for p in space.planes if p.name.startswith("/device:GPU")]
        spans, told = [], {}
        for plane in devices or space.planes:
            kinds = {number: each.name for number, each in plane.stat_metadata.items()}
            for line in plane.lines:
                for event in line.events:
                    name = plane.event_metadata[event.metadata_id].name
                    hlo = any(kinds[stat.metadata_id] == "hlo_op" for stat in event.stats)
                    if devices or hlo or _OPERATION.match(name):
                        begin = 1000 * line.timestamp_ns + event.offset_ps
                        spans.append((name, begin, begin + event.duration_ps))
        for plane in space.planes:  # XLA's programs, to say what a fusion is made of
            for module in plane.event_metadata.values():
                for stat in module.stats:
                    if plane.stat_metadata[stat.metadata_id].name == "Hlo Proto":
                        proto = hlo_pb2.HloProto.FromString(stat.bytes_value)
                        told |= xla.described(xla.of_proto(proto.hlo_module))
        return xla.named(profiling.shares(xla.closed(spans), 1e-12), told)

    def memory(self) -> dict[str, int]:
        if self.device != "cuda":
            return {}
        return {"allocated": self.tf.config.experimental.get_memory_info("GPU:0")["peak"]}

    def forget_trials(self) -> None:
        if self.device == "cuda":
            self.tf.config.experimental.reset_memory_stats("GPU:0")

    def manifest(self) -> dict[str, Any]:
        tf = self.tf
        tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
        tf32 = tf32 and self.precision not in MIXED  # nothing there is in float32 that it speaks of
        return {
            "framework": "tensorflow",
            "version": tf.__version__,
            "layout": self._layout,
            "mode": self._mode,
            "conv_precision": self.precision,
            "matmul_precision": self.precision,
            "mixed": f"operands cast to {self.precision}" if self.precision in MIXED else "no",
            "loss_scale": self.scale,
            "tf32_conv": tf32,
            "tf32_matmul": tf32,
            "autotune": self.device == "cuda" and os.environ.get("TF_CUDNN_USE_AUTOTUNE") != "0",
            "deterministic": os.environ.get("TF_DETERMINISTIC_OPS", "0").lower() in ("1", "true"),
            "threads": tf.config.threading.get_intra_op_parallelism_threads(),
            "threads_inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
            "weights": "constants of the graph" if self.frozen else "variables",
            "optimizer": "SGD with momentum, in the graph, variables in place"
            if self.trains
            else None,
            "compilations": self._traces(),
            "onednn": "on" if self.onednn else "off",
            "batch_norm": "fused" if self._fused else "moments",
        }

    @property
    def _layout(self) -> str:
        """As images are given; on a GPU Grappler may turn a graph's round, to NCHW."""
        chosen = self.device == "cuda" and not self.xla and not self.eager
        return "NHWC, or what Grappler chose" if chosen else "NHWC"

    @property
    def _mode(self) -> str:
        if self.eager:
            return "eager"
        return f"tf.function, {'XLA' if self.xla else 'frozen graph' if self.frozen else 'graph'}"

    def _traces(self) -> int:
        return self._traced_before + sum(
            f.experimental_get_tracing_count() for f in self._functions
        )

    def reset(self) -> None:
        self._traced_before = self._traces()
        self._functions.clear()
        self.forget_trials()


def _values(variables: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: variable.value() for name, variable in variables.items()}


def _edges(padding: Pair) -> list[tuple[int, int]]:
    """What is added before and after each axis of an image."""
    return [(0, 0), *((p, p) for p in padding), (0, 0)]
