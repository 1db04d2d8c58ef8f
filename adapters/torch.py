"""PyTorch: eager, and through torch.compile; channels last unless `contiguous`.

Channels last is the better layout on a CPU by far for 1x1 convolutions (half of NCHW's
time went into reorders), and what tensor cores want on a GPU. What its own users write
is what runs here: `torch.nn.functional`, `inference_mode`, `autograd.grad`, and the update
of `torch.optim.SGD` as it is by default. With `compile`, the forward pass and the loss
are compiled, and the backward pass through them; the update stays outside, as users have
it. With `compile-freezing` weights are constants, as inference engines have them: it does not
train. Mixed precision is `torch.autocast` about the forward pass and the loss.
"""

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable
from contextlib import nullcontext
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from adapters.core.algebra import Pair
from adapters.core.algebra import Tensor as T
from adapters.core.base import Adapter, State, Unsupported, Variant
from adapters.core.network import Network
from adapters.core.precision import LOSS_SCALE, MIXED, NO_TF32, PRECISIONS, lowered, stored

# Which switches hold for a convolution and for a matrix product.
_USED = {"cpu": ("mkldnn.conv", "mkldnn.matmul"), "cuda": ("cudnn.conv", "cuda.matmul")}
_TRIES = ("max-autotune", "max-autotune-no-cudagraphs")  # the modes that choose by trying
# What trains in another mode than it infers: a CUDA graph would copy all weights at each replay,
# as they belong to no module here.
_TRAINS = {"max-autotune": "max-autotune-no-cudagraphs"}
# The modes that capture CUDA graphs, and what each is without them.
_GRAPHS = {
    "max-autotune": "torch:compile-max-autotune-no-cudagraphs",
    "reduce-overhead": "torch:compile",
}


class Torch(Adapter):
    """Tensors are logical NCHW, as torch has them; in memory images and kernels are NHWC, or,
    in the variant `contiguous`, as PyTorch lays them out when nobody asks."""

    requires = ("torch",)
    distributions = ("torch",)
    variants = {
        "": Variant("eager, channels last", {}),
        "compile": Variant(
            "torch.compile with inductor, channels last",
            {"compile": "default"},
            compile_seconds=0.7,
        ),
        "compile-max-autotune-no-cudagraphs": Variant(
            "torch.compile, inductor trying kernels, without CUDA graphs, channels last",
            {"compile": "max-autotune-no-cudagraphs"},
            compile_seconds=1.5,
            joins=(),
        ),
        "compile-max-autotune": Variant(
            "torch.compile, inductor trying kernels, inference by CUDA graphs, channels last",
            {"compile": "max-autotune"},
            compile_seconds=1.5,
            joins=(),
        ),
        # What serves is compared with engines that have their weights as constants, too.
        "compile-freezing": Variant(
            "inference alone: torch.compile, weights frozen into the code, channels last",
            {"compile": "default", "freezing": True},
            compile_seconds=0.7,
            joins=(),
            trains=False,
        ),
        # XLA gives a device a whole graph at once; so whoever wants short calls takes this. Its
        # training, without graphs (_TRAINS), is that of `compile`.
        "compile-reduce-overhead": Variant(
            "inference alone: torch.compile with CUDA graphs, channels last",
            {"compile": "reduce-overhead"},
            compile_seconds=0.7,
            joins=("cuda",),
            trains=False,
        ),
        # On a GPU without TF32 nobody knows beforehand which layout is the better one: cuDNN's
        # float32 kernels were written for NCHW. So both take part there, eager and compiled.
        "contiguous": Variant("eager, contiguous (NCHW)", {"contiguous": True}, joins=("cuda",)),
        # Given channels last, inductor keeps to it; given this, it decides for each graph.
        "compile-contiguous": Variant(
            "torch.compile, given contiguous (NCHW), inductor choosing its layout",
            {"compile": "default", "contiguous": True},
            compile_seconds=0.7,
            joins=("cuda",),
        ),
    }

    precisions = PRECISIONS

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        # As many as compute: left to itself inductor takes one for each core of the machine.
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(threads))
        import torch

        self.torch, self.F = torch, torch.nn.functional
        self.mode = self.options.get("compile")  # of what was built last: see _compiled
        self._skipped_before = 0  # graphs, in workloads that `reset` forgot
        self.freezing = "freezing" in self.options
        if self.graphs and device == "cpu":
            raise Unsupported(f"a CPU has no CUDA graphs: {_GRAPHS[self.mode]} is the same there")
        contiguous = "contiguous" in self.options
        self.memory_format = torch.contiguous_format if contiguous else torch.channels_last
        self.dtype, self.low = (getattr(torch, of(precision)) for of in (stored, lowered))
        self.scale = LOSS_SCALE.get(precision)
        if device == "cuda" and not torch.cuda.is_available():
            built = "its build has none" if torch.version.cuda is None else "none is visible"
            raise Unsupported(f"torch {torch.__version__} finds no CUDA device: {built}")
        if not hasattr(torch.backends.cudnn, "conv"):
            raise Unsupported(f"torch {torch.__version__} has no fp32_precision: 2.9 is needed")
        if precision == "tf32" and torch.cuda.get_device_capability() < (8, 0):
            raise Unsupported(f"{NO_TF32}: {torch.cuda.get_device_name()} has none")
        self.settle()

    def settle(self) -> None:
        torch = self.torch
        torch.set_num_threads(self.threads)
        if self.freezing or "torch._inductor.config" in sys.modules:  # eager need not import it
            import torch._inductor.config as inductor

            inductor.freezing = self.freezing  # dynamo asks too: compile's options do not reach it
        # Inductor asks by the old names, and torch refuses an answer where old and new disagree;
        # releases differ in which it asks. So the old ones first, the leaves, which hold, last.
        allowed = self.precision == "tf32"
        torch.set_float32_matmul_precision("high" if allowed else "highest")
        torch.backends.cudnn.allow_tf32 = allowed
        torch.backends.cudnn.fp32_precision = "tf32" if allowed else "ieee"
        for name, leaf in self._leaves().items():
            meant = name in (*_USED[self.device], "cudnn.rnn")  # which must agree with cudnn.conv
            leaf.fp32_precision = "tf32" if allowed and meant else "ieee"
        torch.backends.cudnn.benchmark = True  # XLA and TensorFlow choose by trying, too

    @classmethod
    def missing(cls, variant: str) -> str | None:
        reason = super().missing(variant)
        if reason is None and "compile" in cls.variants[variant].options:
            compiler = os.environ.get("CXX", "g++")
            if shutil.which(compiler) is None:
                return f"torch.compile needs a C++ compiler ({compiler}): install g++"
            if not Path(sysconfig.get_path("include"), "Python.h").exists():
                return "torch.compile needs Python's headers (Python.h): install python3-dev"
        return reason

    # --- the algebra --------------------------------------------------------------------

    def shape(self, x: T) -> tuple[int, ...]:
        return tuple(x.shape)

    def conv2d(self, x: T, weight: T, bias: T, stride: Pair, padding: Pair, groups: int) -> T:
        return self.F.conv2d(x, weight, bias, stride, padding, 1, groups)

    def linear(self, x: T, weight: T, bias: T) -> T:
        return self.F.linear(x, weight, bias)

    def batch_norm(self, x: T, scale: T, shift: T, mean: T, var: T, eps: float) -> T:
        return self.F.batch_norm(x, mean, var, scale, shift, False, 0.0, eps)

    def batch_norm_train(
        self, x: T, scale: T, shift: T, mean: T, var: T, momentum: float, eps: float
    ) -> tuple[T, T, T]:
        if self.mode:  # torch updates them in place, as its modules do; a graph wants them whole
            mean, var = mean.clone(), var.clone()
        return self.F.batch_norm(x, mean, var, scale, shift, True, momentum, eps), mean, var

    def relu(self, x: T, consume: bool) -> T:
        return self.F.relu(x, inplace=consume)

    def add(self, a: T, b: T) -> T:
        return a + b

    def max_pool(self, x: T, kernel: Pair, stride: Pair, padding: Pair) -> T:
        return self.F.max_pool2d(x, kernel, stride, padding)

    def avg_pool(self, x: T, kernel: Pair, stride: Pair, padding: Pair) -> T:
        return self.F.avg_pool2d(x, kernel, stride, padding, count_include_pad=True)

    def global_avg_pool(self, x: T) -> T:
        return x.mean((2, 3))

    def concat(self, xs: list[T]) -> T:
        return self.torch.cat(xs, 1)

    def flatten(self, x: T) -> T:
        return x.flatten(1)

    def cross_entropy(self, logits: T, labels: T) -> T:
        # autocast would see to it on a GPU, and does not on a CPU
        return self.F.cross_entropy(logits.to(self.dtype), labels)

    # --- arrays -------------------------------------------------------------------------

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> T:
        kinds = {"labels": self.torch.int64, "image": self.low, "features": self.low}
        tensor = self.torch.tensor(value, dtype=kinds.get(role, self.dtype), device=self.device)
        if role in ("image", "kernel"):
            return tensor.contiguous(memory_format=self.memory_format)
        return tensor

    def dump(self, handle: T, role: str, groups: int = 1) -> np.ndarray:
        value = handle.detach().cpu()  # NumPy has no bfloat16
        return np.array(value.to(self.dtype) if value.is_floating_point() else value, order="C")

    def clone(self, array: T) -> T:
        return array.detach().clone().requires_grad_(array.requires_grad)  # its layout is kept

    def zeros_like(self, array: T) -> T:
        return self.torch.zeros_like(array)

    def start(self, params: dict[str, T], trained: set[str]) -> State:
        state = super().start(params, trained)
        for weight in state.params.values():
            weight.requires_grad_()
        return state

    def bind(self, workload: Any, batch: int, params: dict[str, T]) -> Any:
        """Where weights are frozen they must be a module's own, as inductor knows them by that."""
        if not self.freezing:
            return params
        module = self.torch.nn.Module()
        held = [self.torch.nn.Parameter(p, requires_grad=False) for p in params.values()]
        module.names, module.weights = [*params], self.torch.nn.ParameterList(held)
        return module

    # --- what is timed ------------------------------------------------------------------

    @property
    def graphs(self) -> bool:
        return self.mode in _GRAPHS

    def _compiled(self, function: Callable[..., Any], training: bool = False) -> Callable[..., Any]:
        asked = self.options.get("compile")
        self.mode = _TRAINS.get(asked, asked) if training else asked
        if self.mode is None:
            return function
        return self.torch.compile(function, fullgraph=True, dynamic=False, mode=self.mode)

    def _autocast(self) -> Any:
        """Nothing in one precision: switched off, it would still take 2 microseconds of a call."""
        if self.precision not in MIXED:
            return nullcontext()
        return self.torch.autocast(self.device, self.low)

    def infer(self, workload: Any) -> Callable[[dict[str, T], T], T]:
        def forward(params: Any, x: T) -> T:
            if self.freezing:
                params = dict(zip(params.names, params.weights, strict=True))
            with self._autocast():
                return Network(self, params).run(workload, x)

        call = self.torch.inference_mode()(self._compiled(forward))
        return self._with_static_weights(call) if self.graphs else call

    def _with_static_weights(self, call: Callable[..., T]) -> Callable[..., T]:
        """A CUDA graph copies every input at each replay but those that stay where they are.

        In a module of PyTorch's own, weights are parameters, and known to stay.
        """
        marked = False

        def marking(params: dict[str, T], x: T) -> T:
            nonlocal marked
            if not marked:
                for weight in params.values():
                    self.torch._dynamo.mark_static_address(weight)
                marked = True
            return call(params, x)

        return marking

    def _loss(self, workload: Any) -> Callable[[dict[str, T], T, T], tuple[T, dict[str, T]]]:
        def loss(params: dict[str, T], x: T, y: T) -> tuple[T, dict[str, T]]:
            net = Network(self, params, training=True)
            with self._autocast():
                return net.loss(net.run(workload, x), y), net.updates

        return self._compiled(loss, training=True)

    def _differentiated(self, loss: T, by: list[T]) -> list[T]:
        """Gradients, through a scaled loss where the precision wants one."""
        if self.scale is None:
            return [*self.torch.autograd.grad(loss, by)]
        found = [g.to(self.dtype) for g in self.torch.autograd.grad(loss * self.scale, by)]
        return self.torch._foreach_div(found, self.scale)

    def gradients(self, workload: Any, trained: set[str]) -> Callable[..., Any]:
        loss_of = self._loss(workload)

        def call(params: dict[str, T], x: T, y: T) -> tuple[T, dict[str, T]]:
            wanted = {n: p.requires_grad_() for n, p in params.items() if n in trained}
            if workload.input_gradient:
                wanted["input"] = x.requires_grad_()
            loss, _ = loss_of(params, x, y)
            found = self._differentiated(loss, [*wanted.values()])
            return loss.detach(), dict(zip(wanted, found, strict=True))

        return call

    def train(self, workload: Any, lr: float, momentum: float) -> Callable[..., Any]:
        from torch.optim.sgd import sgd  # what torch.optim.SGD.step calls

        loss_of = self._loss(workload)
        options = {"weight_decay": 0.0, "dampening": 0.0, "nesterov": False, "maximize": False}

        def step(state: State, x: T, y: T) -> tuple[State, T]:
            params, velocity = [*state.params.values()], [*state.velocity.values()]
            loss, stats = loss_of({**state.params, **state.stats}, x, y)
            found = self._differentiated(loss, params)
            with self.torch.no_grad():
                sgd(params, found, velocity, lr=lr, momentum=momentum, **options)
            return state._replace(stats={**state.stats, **stats}), loss.detach()

        return step

    # --- the rest -----------------------------------------------------------------------

    def sync(self, result: Any) -> None:
        if self.device == "cuda":  # on a CPU a call returns when it is done
            self.torch.cuda.synchronize()

    def profile(
        self, call: Callable[[], Any], sync: Callable[[Any], None]
    ) -> list[tuple[str, float, int]]:
        from torch.autograd import DeviceType
        from torch.profiler import ProfilerActivity, profile

        cuda = self.device == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
        with profile(activities=activities) as profiler:
            sync(call())
        # A kernel's name does not say what it serves, so eager operators tell; what was compiled
        # is launched by none.
        on = DeviceType.CUDA if cuda and self.mode else DeviceType.CPU
        return [
            (e.key, 1e-6 * (e.self_device_time_total if cuda else e.self_cpu_time_total), e.count)
            for e in profiler.key_averages()
            if e.device_type == on
        ]

    def memory(self) -> dict[str, int]:
        if self.device == "cpu":
            return {}
        cuda = self.torch.cuda
        return {"allocated": cuda.max_memory_allocated(), "reserved": cuda.max_memory_reserved()}

    def forget_trials(self) -> None:
        # cuDNN's benchmark is given the largest workspace of any candidate that there is room for,
        # and the pool keeps it.
        if self.device == "cuda":
            self.torch.cuda.empty_cache()
            self.torch.cuda.reset_peak_memory_stats()

    def manifest(self) -> dict[str, Any]:
        torch, environment = self.torch, sorted(os.environ.items())
        found = {name: leaf.fp32_precision for name, leaf in self._leaves().items()}
        conv, matmul = (found[name] for name in _USED[self.device])
        layout = "NHWC" if self.memory_format is torch.channels_last else "NCHW"
        if self.mode and layout == "NCHW":
            layout = "NCHW, or what inductor chose"
        onednn = re.search(r"MKL-DNN v([\d.]+)", torch.__config__.show())
        return {
            "framework": "torch",
            "version": torch.__version__,
            "layout": layout,
            "mode": f"torch.compile, inductor, mode {self.mode}" if self.mode else "eager",
            "weights": "constants of the code" if self.freezing else "arguments",
            "graphs": self._captured(),
            "conv_precision": self.precision if conv == "ieee" else conv,
            "matmul_precision": self.precision if matmul == "ieee" else matmul,
            "tf32_conv": found["cudnn.conv"] == "tf32",
            "tf32_matmul": found["cuda.matmul"] == "tf32",
            "mixed": f"autocast to {self.precision}" if self.precision in MIXED else "no",
            "loss_scale": self.scale,
            "autotune": self._autotuned() > 0
            or (self.device == "cuda" and torch.backends.cudnn.benchmark),
            "autotuned": self._autotuned(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "threads": torch.get_num_threads(),
            "optimizer": "SGD with momentum, torch.optim's default form",
            "compilations": self._compilations(),
            "fp32_precision": " ".join(f"{name}={value}" for name, value in found.items()),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "onednn": onednn and onednn[1],
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "allocator": " ".join(f"{k}={v}" for k, v in environment if "ALLOC" in k) or "default",
        }

    def _leaves(self) -> dict[str, Any]:
        """Where float32's precision is set: the umbrella switches missed some in some releases.

        Reading an old name (allow_tf32) raises where the leaves disagree with it.
        """
        names = [*_USED["cpu"], *_USED["cuda"], "cudnn.rnn", "mkldnn.rnn"]
        return {name: attrgetter(name)(self.torch.backends) for name in names}

    def _compilations(self) -> int:
        if self.mode is None:
            return 0
        from torch._dynamo.utils import counters  # not at the top: eager need not import it

        return int(counters["stats"]["unique_graphs"])

    def _autotuned(self) -> int:
        """Choices that inductor made by trying: 0 says that it saw nothing to try.

        So it was on a CPU, for all of its C++ templates: they want weights that are frozen
        into the compiled code, and here weights are arguments, as in training they must be.
        """
        if self.mode not in _TRIES:
            return 0
        from torch._dynamo.utils import counters

        return int(counters["inductor"]["select_algorithm_autotune"])

    def _captured(self) -> str:
        if not self.graphs:
            return "none"
        # Where inductor cannot capture it runs without, and says so in its log alone.
        return "skipped" if self._skips() > self._skipped_before else "CUDA graphs"

    def _skips(self) -> int:
        from torch._dynamo.utils import counters

        return int(counters["inductor"]["cudagraph_skips"])

    def reset(self) -> None:
        # Dynamo counts recompilations per code object, and all workloads share those of this
        # file: without this it gives up after eight of them.
        if self.mode:
            self.torch._dynamo.reset()
            self._skipped_before = self._skips()
        self.forget_trials()
