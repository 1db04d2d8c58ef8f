"""PyTorch: eager, and through torch.compile; channels last.

Channels last is the better layout on a CPU by far for 1x1 convolutions (half of NCHW's
time went into reorders), and what tensor cores want on a GPU. What its own users write
is what runs here: `torch.nn.functional`, `inference_mode`, SGD over `_foreach` lists; with
`compile`, the forward pass and the loss are compiled (and, through them, the backward
pass), and the update is the optimizer's own kernel.
"""

import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from adapters.core.algebra import Pair, Tensor
from adapters.core.base import Adapter, State, Unsupported, Variant
from adapters.core.network import Network


class Torch(Adapter):
    """Tensors are logical NCHW as torch has them; in memory, images and kernels are NHWC."""

    requires = ("torch",)
    distributions = ("torch",)
    variants = {
        "": Variant("eager, channels last", {"compile": False}),
        "compile": Variant(
            "torch.compile with inductor, channels last", {"compile": True}, compile_seconds=0.5
        ),
    }

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # it forks workers otherwise
        import torch

        self.torch, self.F = torch, torch.nn.functional
        self.dtype = getattr(torch, precision)
        torch.set_num_threads(threads)
        if device == "cuda" and not torch.cuda.is_available():
            raise Unsupported(f"torch {torch.__version__} sees no CUDA device")
        # Strict float32, leaf by leaf: the umbrella switch missed some in some releases, and
        # reading the old names (allow_tf32) after this raises.
        for leaf in self._precision_leaves().values():
            leaf.fp32_precision = "ieee"

    @classmethod
    def missing(cls, variant: str) -> str | None:
        if variant == "compile" and super().missing(variant) is None:
            if shutil.which("g++") is None:
                return "torch.compile needs a C++ compiler: install g++"
            if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
                return "torch.compile needs Python's headers: install python3-dev"
        return super().missing(variant)

    # --- the algebra --------------------------------------------------------------------

    def shape(self, x: Tensor) -> tuple[int, ...]:
        return tuple(x.shape)

    def conv2d(
        self, x: Tensor, weight: Tensor, bias: Tensor, stride: Pair, padding: Pair, groups: int
    ) -> Tensor:
        return self.F.conv2d(x, weight, bias, stride, padding, 1, groups)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return self.F.linear(x, weight, bias)

    def batch_norm(
        self, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, var: Tensor, eps: float
    ) -> Tensor:
        return self.F.batch_norm(x, mean, var, scale, shift, False, 0.0, eps)

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
        mean, var = mean.clone(), var.clone()  # which torch then updates in place
        return self.F.batch_norm(x, mean, var, scale, shift, True, momentum, eps), mean, var

    def relu(self, x: Tensor, consume: bool) -> Tensor:
        return self.torch.relu_(x) if consume else self.torch.relu(x)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def max_pool(self, x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
        return self.F.max_pool2d(x, kernel, stride, padding)

    def avg_pool(self, x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
        return self.F.avg_pool2d(x, kernel, stride, padding, count_include_pad=True)

    def global_avg_pool(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def concat(self, xs: list[Tensor]) -> Tensor:
        return self.torch.cat(xs, 1)

    def flatten(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.F.cross_entropy(logits, labels)

    # --- arrays ---------------------------------------------------------------------------

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> Tensor:
        if role == "labels":
            return self.torch.tensor(value, dtype=self.torch.int64, device=self.device)
        tensor = self.torch.tensor(value, dtype=self.dtype, device=self.device)
        if role in ("image", "kernel"):
            tensor = tensor.contiguous(memory_format=self.torch.channels_last)
        return tensor

    def dump(self, handle: Tensor, role: str, groups: int = 1) -> np.ndarray:
        return np.array(handle.detach().cpu().contiguous().numpy())

    def copy(self, tree: Any) -> Any:
        if isinstance(tree, State):
            return State(*(self.copy(part) for part in tree))
        if isinstance(tree, dict):
            return {name: self.copy(tensor) for name, tensor in tree.items()}
        return tree.detach().clone().requires_grad_(tree.requires_grad)

    def start(self, params: dict[str, Tensor], trained: set[str]) -> State:
        own = self.copy(params)
        return State(
            {n: p.requires_grad_() for n, p in own.items() if n in trained},
            {n: p for n, p in own.items() if n not in trained},
            {n: self.torch.zeros_like(p) for n, p in params.items() if n in trained},
        )

    # --- what is timed ----------------------------------------------------------------------

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not self.options["compile"]:
            return function
        return self.torch.compile(function, fullgraph=True, dynamic=False)

    def infer(self, workload: Any) -> Callable[[dict[str, Tensor], Tensor], Tensor]:
        forward = self._compiled(lambda params, x: Network(self, params).run(workload, x))
        return self.torch.inference_mode()(forward)

    def _loss(self, workload: Any) -> Callable[..., tuple[Tensor, dict[str, Tensor]]]:
        def loss(params: dict[str, Tensor], stats: dict[str, Tensor], x: Tensor, y: Tensor) -> Any:
            net = Network(self, {**params, **stats}, training=True)
            return net.loss(net.run(workload, x), y), net.updates

        return self._compiled(loss)

    def _gradients(self, loss: Tensor, of: list[Tensor]) -> list[Tensor]:
        return list(
            self.torch.autograd.grad(loss, of, allow_unused=True, materialize_grads=True)
        )

    def gradients(self, workload: Any, trained: set[str]) -> Callable[..., Any]:
        loss_of = self._loss(workload)

        def call(params: dict[str, Tensor], x: Tensor, y: Tensor) -> Any:
            leaves = {n: p.requires_grad_(n in trained) for n, p in params.items()}
            wanted = {n: leaves[n] for n in leaves if n in trained}
            if workload.input_gradient:
                wanted["input"] = x.requires_grad_()
            loss, _ = loss_of(wanted_only(wanted), rest(leaves, trained), x, y)
            return loss, dict(zip(wanted, self._gradients(loss, [*wanted.values()]), strict=True))

        def wanted_only(wanted: dict[str, Tensor]) -> dict[str, Tensor]:
            return {n: p for n, p in wanted.items() if n != "input"}

        def rest(leaves: dict[str, Tensor], trained: set[str]) -> dict[str, Tensor]:
            return {n: p for n, p in leaves.items() if n not in trained}

        return call

    def train(self, workload: Any, lr: float, momentum: float) -> Callable[..., Any]:
        loss_of, torch = self._loss(workload), self.torch

        def step(state: State, x: Tensor, y: Tensor) -> tuple[State, Tensor]:
            params, velocity = [*state.params.values()], [*state.velocity.values()]
            loss, stats = loss_of(state.params, state.stats, x, y)
            gradients = self._gradients(loss, params)
            with torch.no_grad():
                torch._foreach_mul_(velocity, momentum)
                torch._foreach_add_(velocity, gradients)
                torch._foreach_add_(params, velocity, alpha=-lr)
            return state._replace(stats={**state.stats, **stats}), loss.detach()

        return step

    # --- the rest -----------------------------------------------------------------------------

    def sync(self, result: Any) -> None:
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def memory(self) -> dict[str, int]:
        if self.device != "cuda":
            return {}
        cuda = self.torch.cuda
        return {"allocated": cuda.max_memory_allocated(), "reserved": cuda.max_memory_reserved()}

    def _precision_leaves(self) -> dict[str, Any]:
        backends = self.torch.backends
        leaves = {
            "cuda_matmul": getattr(backends.cuda, "matmul", None),
            "cudnn_conv": getattr(backends.cudnn, "conv", None),
            "cudnn_rnn": getattr(backends.cudnn, "rnn", None),
            "mkldnn_matmul": getattr(backends.mkldnn, "matmul", None),
            "mkldnn_conv": getattr(backends.mkldnn, "conv", None),
        }
        return {name: leaf for name, leaf in leaves.items() if hasattr(leaf, "fp32_precision")}

    def manifest(self) -> dict[str, Any]:
        torch = self.torch
        used = {name: leaf.fp32_precision for name, leaf in self._precision_leaves().items()}
        conv = used.get("cudnn_conv" if self.device == "cuda" else "mkldnn_conv")
        matmul = used.get("cuda_matmul" if self.device == "cuda" else "mkldnn_matmul")
        compiling = self.options["compile"]
        return {
            "framework": "torch",
            "version": torch.__version__,
            "layout": "NHWC (channels last)",
            "mode": "torch.compile (inductor, fullgraph, static)" if compiling else "eager",
            "conv_precision": self.precision if self.precision != "float32" else conv,
            "matmul_precision": self.precision if self.precision != "float32" else matmul,
            "tf32_conv": used.get("cudnn_conv") == "tf32",
            "tf32_matmul": used.get("cuda_matmul") == "tf32",
            "autotune": bool(torch.backends.cudnn.benchmark),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "threads": torch.get_num_threads(),
            "optimizer": "SGD with momentum, foreach",
            "compilations": self._compilations() if compiling else 0,
            "onednn": torch.backends.mkldnn.is_available(),
            "cudnn": torch.backends.cudnn.version() if self.device == "cuda" else None,
            "cuda": torch.version.cuda if self.device == "cuda" else None,
        }

    def _compilations(self) -> int:
        from torch._dynamo.utils import counters

        return int(counters["stats"]["unique_graphs"])

    def reset(self) -> None:
        # dynamo counts recompilations per code object, and all workloads share this file's:
        # without this it turns eager in silence after eight of them.
        if self.options["compile"]:
            self.torch._dynamo.reset()
        if self.device == "cuda":
            self.torch.cuda.empty_cache()
