"""The algebra written down as an ONNX model; and the adapter that engines which read one share.

ONNX Runtime and OpenVINO read the same model, and `bakeoff export` writes it for any other:
here an operation computes nothing, it appends a node. The shapes are the cost model's, which
also refuses what cannot be. Weights become initializers: constants of the model, as an
engine's users have them, which it may lay out anew, fold into each other and keep.

The `onnx` package is handed in by the adapter that imports it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.core.algebra import Pair
from adapters.core.base import Unsupported
from adapters.core.cost import CostModel, Shape
from adapters.core.engine import Engine
from adapters.core.network import Network
from adapters.core.precision import stored

OPSET = 17  # of 2022: every engine of today reads it, and it holds all that the algebra needs
IR_VERSION = 8  # the file format that goes with it


class OnnxGraph(CostModel):
    """The interpreter: shapes from the cost model, and beside each a node."""

    def __init__(self, onnx: Any, precision: str):
        super().__init__()
        self.onnx, self.precision = onnx, precision
        self.nodes: list[Any] = []
        self._names: dict[Shape, str] = {}  # a Shape is itself alone, whatever its extents

    def named(self, name: str, dims: tuple[int, ...]) -> Shape:
        """A tensor that is there from the start: the input, or an initializer."""
        made = Shape(dims)
        self._names[made] = name
        return made

    def _node(self, kind: str, inputs: list[Shape | None], y: Shape, **attributes: Any) -> Shape:
        names = [self._names[x] for x in inputs if x is not None]  # what may be None comes last
        self._names[y] = f"{kind}_{len(self.nodes)}"
        make = self.onnx.helper.make_node
        self.nodes.append(make(kind, names, [self._names[y]], self._names[y], **attributes))
        return y

    def conv2d(
        self, x: Shape, weight: Shape, bias: Shape | None, stride: Pair, padding: Pair, groups: int
    ) -> Shape:
        y = super().conv2d(x, weight, bias, stride, padding, groups)
        window = {"kernel_shape": weight.dims[2:], "strides": stride, "pads": padding * 2}
        return self._node("Conv", [x, weight, bias], y, group=groups, **window)

    def linear(self, x: Shape, weight: Shape, bias: Shape | None) -> Shape:
        return self._node("Gemm", [x, weight, bias], super().linear(x, weight, bias), transB=1)

    def batch_norm(
        self, x: Shape, scale: Shape, shift: Shape, mean: Shape, var: Shape, eps: float
    ) -> Shape:
        y = super().batch_norm(x, scale, shift, mean, var, eps)
        return self._node("BatchNormalization", [x, scale, shift, mean, var], y, epsilon=eps)

    def batch_norm_train(self, *arguments: Any) -> tuple[Shape, Shape, Shape]:
        raise Unsupported("a model for inference engines holds no training")

    def relu(self, x: Shape, consume: bool) -> Shape:
        return self._node("Relu", [x], super().relu(x, consume))

    def add(self, a: Shape, b: Shape) -> Shape:
        return self._node("Add", [a, b], super().add(a, b))

    def max_pool(self, x: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Shape:
        y = super().max_pool(x, kernel, stride, padding)
        return self._node("MaxPool", [x], y, kernel_shape=kernel, strides=stride, pads=padding * 2)

    def avg_pool(self, x: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Shape:
        y = super().avg_pool(x, kernel, stride, padding)
        window = {"kernel_shape": kernel, "strides": stride, "pads": padding * 2}
        return self._node("AveragePool", [x], y, count_include_pad=1, **window)

    def global_avg_pool(self, x: Shape) -> Shape:
        pooled = self._node("GlobalAveragePool", [x], Shape((*x.dims[:2], 1, 1)))
        return self._node("Flatten", [pooled], super().global_avg_pool(x), axis=1)

    def concat(self, xs: list[Shape]) -> Shape:
        return self._node("Concat", [*xs], super().concat(xs), axis=1)

    def flatten(self, x: Shape) -> Shape:
        return self._node("Flatten", [x], super().flatten(x), axis=1)

    def cross_entropy(self, logits: Shape, labels: Shape) -> Shape:
        raise Unsupported("a model for inference engines holds no loss")

    def model(self, name: str, x: Shape, y: Shape, weights: dict[str, np.ndarray]) -> Any:
        """A ModelProto from `input` to `output`."""
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.precision))
        last = self._names[y]
        for node in self.nodes:  # the result is found by a name that is always the same
            node.input[:] = ["output" if each == last else each for each in node.input]
            node.output[:] = ["output" if each == last else each for each in node.output]
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("input", kind, x.dims)],
            [helper.make_tensor_value_info("output", kind, y.dims)],
            [self.onnx.numpy_helper.from_array(w, key) for key, w in weights.items()],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="bakeoff"
        )


class OnnxEngine(Engine):
    """What opens an ONNX model. A subclass imports `onnx` where it is asked for: it writes models,
    and who only opens one has no need of it."""

    @property
    def onnx(self) -> Any:
        raise NotImplementedError

    def written(self, workload: Any, batch: int, params: dict[str, np.ndarray]) -> bytes:
        model = self.model(workload, params, (batch, *workload.input))
        return bytes(model.SerializeToString())

    def model(self, workload: Any, params: dict[str, np.ndarray], dims: tuple[int, ...]) -> Any:
        """The workload as a ModelProto, its input of shape `dims`, these weights within."""
        graph = OnnxGraph(self.onnx, stored(self.precision))
        handles = {name: graph.named(name, value.shape) for name, value in params.items()}
        x = graph.named("input", dims)
        y = Network(graph, handles).run(workload, x)
        return graph.model(workload.name, x, y, params)

    def profile(
        self, call: Callable[[], Any], sync: Callable[[Any], None]
    ) -> list[tuple[str, float, int]]:
        raise Unsupported("its profiler must be on before it compiles, and so would be timed")
