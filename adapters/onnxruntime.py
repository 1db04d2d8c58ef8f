"""ONNX Runtime: an inference engine. A workload becomes an ONNX model, and that a session.

Run as its own users would: all graph optimisations, which fold batch norm into convolutions
and lay those out in blocks; one operator at a time on all threads; input and output bound
where it computes, so that no copy lies within a call. The result is the bound output: the
next call writes over it. On a GPU a call is queued, as everybody's is, and `sync` waits.
"""

import ctypes
import os
from functools import cached_property
from importlib import metadata
from typing import Any

import numpy as np

from adapters.core.base import Unsupported, Variant
from adapters.core.engine import Run
from adapters.core.onnx_graph import OPSET, OnnxEngine
from adapters.core.precision import NO_TF32

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime(OnnxEngine):
    requires = ("onnxruntime", "onnx")
    distributions = ("onnxruntime", "onnxruntime-gpu")
    variants = {
        "": Variant(
            "inference alone: a session with all optimisations",
            {},
            compile_seconds=0.03,
            joins=(),
        )
    }

    precisions = ("float32", "float64", "tf32")

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        if device == "cpu" and precision != "float32":
            raise Unsupported(f"ONNX Runtime has no convolution in {precision} on a CPU")
        if device == "cuda" and precision == "float32":
            # Where cuDNN has no strict plan for a convolution, the session takes one that is not,
            # whatever `use_tf32` says; this its libraries obey, which read it as they are loaded.
            os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
        import onnxruntime

        self.ort = onnxruntime
        if device == "cuda":
            onnxruntime.preload_dlls()  # CUDA and cuDNN from the wheels beside it
        self.provider = PROVIDERS[device]
        if self.provider not in onnxruntime.get_available_providers():
            raise Unsupported(f"onnxruntime {onnxruntime.__version__} has no {self.provider}")
        if precision == "tf32" and (found := _capability()) < 8:  # it would compute in float32
            raise Unsupported(f"{NO_TF32}: this GPU's begins with {found}")
        self.session: Any = None
        self.binding: Any = None

    @cached_property
    def onnx(self) -> Any:
        import onnx

        return onnx

    def dump(self, handle: Any, role: str, groups: int = 1) -> np.ndarray:
        self.sync(handle)  # a copy goes through another stream than the session's
        return np.array(handle if isinstance(handle, np.ndarray) else handle.numpy())

    def shape(self, x: Any) -> tuple[int, ...]:
        return tuple(x.shape if isinstance(x, np.ndarray) else x.shape())

    def opens(self, path: str, x: np.ndarray) -> Run:
        options = self.ort.SessionOptions()
        options.graph_optimization_level = self.ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = self.ort.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # Unset, TF32 is on; and cuDNN's algorithms are chosen by trying (until 1.20, where plans of
        # cuDNN's frontend came: there by its slower heuristic).
        allowed = str(int(self.precision == "tf32"))
        chosen = {"use_tf32": allowed, "cudnn_conv_algo_search": "EXHAUSTIVE"}
        provider = (self.provider, chosen if self.device == "cuda" else {})
        session = self.ort.InferenceSession(path, options, providers=[provider])
        if session.get_providers()[0] != self.provider:  # it would fall back in silence
            raise Unsupported(f"the session runs on {session.get_providers()[0]}")
        binding = session.io_binding()
        binding.bind_ortvalue_input("input", self._value(x))
        shape = session.get_outputs()[0].shape
        output = self._value(np.empty(shape, x.dtype))
        binding.bind_ortvalue_output("output", output)
        self.session, self.binding, run = session, binding, session.run_with_iobinding
        how = self.ort.RunOptions()
        if self.device == "cuda":
            how.add_run_config_entry("disable_synchronize_execution_providers", "1")

        def call() -> Any:
            run(binding, how)
            return output

        return call

    def sync(self, result: Any) -> None:
        if self.device == "cuda" and self.binding:  # on a CPU a call returns when it is done
            self.binding.synchronize_outputs()

    def _value(self, array: np.ndarray) -> Any:
        return self.ort.OrtValue.ortvalue_from_numpy(array, self.device, 0)

    def manifest(self) -> dict[str, Any]:
        cuda = self.device == "cuda"
        return {
            "framework": "onnxruntime",
            "version": self.ort.__version__,
            "layout": "NCHW" if cuda else "NCHW, in blocks of channels where it convolves",
            "mode": f"ONNX opset {OPSET}, session with all graph optimisations, outputs bound",
            "conv_precision": self.precision,
            "matmul_precision": self.precision,
            "tf32_conv": self.precision == "tf32",
            "tf32_matmul": self.precision == "tf32",
            "autotune": cuda and _release(self.ort.__version__) < (1, 20),
            "tf32_override": os.environ.get("NVIDIA_TF32_OVERRIDE"),
            "threads": self.threads,
            "provider": self.session.get_providers()[0] if self.session else self.provider,
            "weights": "constants of the model",
            "onnx": metadata.version("onnx"),
        }

    def reset(self) -> None:
        self.session = self.binding = None


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _capability() -> int:
    """The first digit of the GPU's compute capability, by its driver: the package does not tell."""
    driver, major = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
    driver.cuInit(0)
    driver.cuDeviceGetAttribute(ctypes.byref(major), 75, 0)  # COMPUTE_CAPABILITY_MAJOR, device 0
    return major.value
