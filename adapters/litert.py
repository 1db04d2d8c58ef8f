"""LiteRT, the successor of TensorFlow Lite: an inference engine. A workload becomes a .tflite.

Run as its own users would: by an interpreter, with XNNPACK, which it applies by itself, on all
threads; the input is written once, where it computes, so that no copy lies within a call. The
model is what a converter leaves: batch norm is folded into convolutions, which XNNPACK leaves
as it is (MobileNet v2 took 1.17 times as long). The result is the interpreter's own output: the
next call writes over it.
"""

from typing import Any

import numpy as np

from adapters.core.base import Variant
from adapters.core.engine import Engine, Run
from adapters.core.layout import TO_FIRST, TO_LAST, from_memory, permuted, to_memory
from adapters.core.network import Network
from adapters.core.tflite_graph import Tensor, TfliteGraph

ORDERS = {"image": TO_LAST, "kernel": TO_LAST}


class LiteRt(Engine):
    """Images lie NHWC, kernels (O, KH, KW, I / groups)."""

    requires = ("ai_edge_litert",)
    distributions = ("ai-edge-litert",)
    precisions = ("float32",)
    no_cuda = "LiteRT has no CUDA: it computes on a CPU here"
    variants = {
        "": Variant(
            "inference alone: an interpreter with XNNPACK, NHWC",
            {},
            compile_seconds=0.02,
            joins=(),
        )
    }

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        import ai_edge_litert
        from ai_edge_litert import interpreter

        self.litert, self.Interpreter = ai_edge_litert, interpreter.Interpreter
        self.parts: int | None = None

    def shape(self, x: Any) -> tuple[int, ...]:
        return permuted(_array(x).shape, TO_FIRST)

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> np.ndarray:
        return super().place(to_memory(value, role, ORDERS), role, groups)

    def dump(self, handle: Any, role: str, groups: int = 1) -> np.ndarray:
        return np.array(from_memory(_array(handle), role, ORDERS), order="C")

    def written(self, workload: Any, batch: int, params: dict[str, np.ndarray]) -> bytes:
        from ai_edge_litert import schema_py_generated  # who only opens a model has no need of it

        graph = TfliteGraph(schema_py_generated)
        handles = {name: graph.given(Tensor(w.shape, w)) for name, w in params.items()}
        dims = (batch, *workload.input)
        x = graph.given(Tensor(permuted(dims, TO_LAST)))
        return graph.model(workload.name, x, Network(graph, handles).run(workload, x))

    def opens(self, path: str, x: np.ndarray) -> Run:
        interpreter = self.Interpreter(model_path=path, num_threads=self.threads)
        interpreter.allocate_tensors()
        kinds = [operator["op_name"] for operator in interpreter._get_ops_details()]
        self.parts = kinds.count("DELEGATE")
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        # Makes a view where it is asked: while there is one the interpreter refuses to run.
        output = interpreter.tensor(interpreter.get_output_details()[0]["index"])
        invoke = interpreter.invoke

        def call() -> Any:
            invoke()
            return output

        return call

    # A call returns when it is done.

    def manifest(self) -> dict[str, Any]:
        return {
            "framework": "litert",
            "version": self.litert.__version__,
            "layout": "NHWC",
            "mode": "interpreter, input written once",
            "xnnpack_parts": self.parts,  # of the model; between them are its own kernels
            "conv_precision": self.precision,
            "matmul_precision": self.precision,
            "tf32_conv": False,
            "tf32_matmul": False,
            "autotune": False,
            "threads": self.threads,
            "weights": "constants of the model",
            "batch_norm": "folded into the convolution before it, as a converter does",
        }

    def reset(self) -> None:
        self.parts = None


def _array(handle: Any) -> np.ndarray:
    return handle if isinstance(handle, np.ndarray) else handle()
