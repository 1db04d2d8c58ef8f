"""OpenVINO: an inference engine for CPUs. A workload becomes an ONNX model, which it compiles.

Run as its own users would where one answer at a time is wanted: the hint LATENCY, one
request, used again and again, its input bound. The precision is pinned: left to itself it
computes float32 models in bfloat16 where the processor can, and nobody is told. In bfloat16 and
float16 that is what is asked for; the model, its input and its output stay float32, as its
users have them. The result is the request's own output: the next call writes over it.
"""

import re
from functools import cached_property
from importlib import metadata
from typing import Any

import numpy as np

from adapters.core.base import Unsupported, Variant
from adapters.core.engine import Run
from adapters.core.onnx_graph import OPSET, OnnxEngine

# By precision: what the processor must be capable of, and the hint, in OpenVINO's words.
HINTS = {"float32": ("FP32", "f32"), "bfloat16": ("BF16", "bf16"), "float16": ("FP16", "f16")}


class OpenVino(OnnxEngine):
    requires = ("openvino", "onnx")
    distributions = ("openvino",)
    precisions = tuple(HINTS)
    no_cuda = "OpenVINO has no CUDA: it computes on a CPU here"
    variants = {
        "": Variant(
            "inference alone: hint LATENCY, one request", {}, compile_seconds=0.04, joins=()
        )
    }

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        import openvino

        self.ov = openvino
        self.core = openvino.Core()
        able, self.hint = HINTS[precision]
        if able not in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Unsupported(f"OpenVINO would not compute in {precision} on this processor")
        self.compiled: Any = None

    @cached_property
    def onnx(self) -> Any:
        import onnx

        return onnx

    def dump(self, handle: Any, role: str, groups: int = 1) -> np.ndarray:
        return np.array(handle if isinstance(handle, np.ndarray) else handle.data)

    def opens(self, path: str, x: np.ndarray) -> Run:
        read = self.core.read_model(path)
        asked = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": self.hint,
        }
        self.compiled = self.core.compile_model(read, "CPU", asked)
        request = self.compiled.create_infer_request()
        request.set_input_tensor(self.ov.Tensor(x, shared_memory=True))
        output = request.get_output_tensor()

        def call() -> Any:
            request.infer(share_outputs=True)  # asynchronously, a small call doubles
            return output

        return call

    def manifest(self) -> dict[str, Any]:
        found = {key: self._property(key) for key in ("INFERENCE_PRECISION_HINT", "NUM_STREAMS")}
        real = re.search(r"'(\w+)'", found["INFERENCE_PRECISION_HINT"] or "")  # <Type: 'float32'>
        precision = real[1] if real else self.precision
        return {
            "framework": "openvino",
            "version": self.ov.__version__,
            "layout": "NCHW at its borders; oneDNN's blocks of channels within",
            "mode": f"ONNX opset {OPSET}, compiled, hint LATENCY, input bound",
            "conv_precision": precision,
            "matmul_precision": precision,
            "tf32_conv": False,
            "tf32_matmul": False,
            "autotune": False,
            "threads": self._property("INFERENCE_NUM_THREADS") or self.threads,
            "streams": found["NUM_STREAMS"],
            "cpu_pinning": self._property("ENABLE_CPU_PINNING"),
            "weights": "constants of the model",
            "onnx": metadata.version("onnx"),
        }

    def _property(self, name: str) -> Any:
        """As the compiled model has it; None before there is one."""
        if self.compiled is None:
            return None
        value = self.compiled.get_property(name)
        return value if isinstance(value, int | bool) else str(value)

    def reset(self) -> None:
        self.compiled = None
