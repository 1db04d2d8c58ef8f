"""The algebra written down as a .tflite model, in the form in which converters leave one.

An operation computes nothing here, it appends a node; the shapes are the cost model's.
Images lie NHWC and kernels (O, KH, KW, I / groups), as the format has them. What its engine
leaves to the converter is done here, as converters do it: batch norm goes into the convolution
before it, a convolution without a bias has one of zeros, and padding is a node of its own,
unless SAME puts the very same windows. ReLU is a node: the engine fuses that by itself.

The format's classes (`schema`, which brings `flatbuffers`) are handed in by the adapter.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from adapters.core.algebra import Pair
from adapters.core.base import Unsupported
from adapters.core.cost import CostModel, Shape
from adapters.core.layout import TO_FIRST, TO_LAST, permuted
from adapters.core.same import is_same

ROOM = 1 << 20  # bytes beside the weights: a model that outgrows its builder doubles it
# The kinds of nodes, and the class of each one's options.
OPTIONS = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "RELU": "",
    "RESHAPE": "ReshapeOptions",
    "TRANSPOSE": "TransposeOptions",
}


@dataclass(eq=False)
class Tensor:
    """What a model has a number for: its extents as they lie, and its value where constant."""

    dims: tuple[int, ...]
    value: np.ndarray | None = None


class Node(NamedTuple):
    kind: str
    inputs: list[Tensor]
    options: dict[str, Any]


def constant(value: Any, dtype: str = "float32") -> Tensor:
    value = np.ascontiguousarray(value, dtype)
    return Tensor(value.shape, value)


class TfliteGraph(CostModel):
    """The interpreter: shapes from the cost model, and beside each a tensor."""

    def __init__(self, schema: Any):
        super().__init__()
        self.schema = schema
        self._nodes: dict[Tensor, Node] = {}  # by what each gives, in order
        self._tensors: dict[Shape, Tensor] = {}  # a Shape is itself alone, whatever its extents

    def given(self, tensor: Tensor) -> Shape:
        """What is there from the start: the input, or a constant."""
        x = Shape(permuted(tensor.dims, TO_FIRST))
        self._tensors[x] = tensor
        return x

    def _value(self, weight: Shape) -> Any:
        return self._tensors[weight].value

    def _append(
        self, kind: str, inputs: list[Tensor], dims: tuple[int, ...], **options: Any
    ) -> Tensor:
        y = Tensor(dims)
        self._nodes[y] = Node(kind, inputs, options)
        return y

    def _node(self, kind: str, inputs: list[Tensor], y: Shape, **options: Any) -> Shape:
        self._tensors[y] = self._append(kind, inputs, permuted(y.dims, TO_LAST), **options)
        return y

    def conv2d(
        self, x: Shape, weight: Shape, bias: Shape | None, stride: Pair, padding: Pair, groups: int
    ) -> Shape:
        y = super().conv2d(x, weight, bias, stride, padding, groups)
        kernel, kind = self._value(weight), "CONV_2D"  # whose groups the kernel's extents tell
        offset = self._value(bias) if bias else np.zeros(len(kernel))
        source, window = self._window(x, weight.dims[2:], stride, padding)
        if 1 < groups == x.dims[1]:
            kind, window["depthMultiplier"] = "DEPTHWISE_CONV_2D", len(kernel) // groups
            kernel = kernel.transpose(3, 1, 2, 0)
        return self._node(kind, [source, constant(kernel), constant(offset)], y, **window)

    def _window(
        self, x: Shape, kernel: Any, stride: Pair, padding: Pair, fill: float = 0.0
    ) -> tuple[Tensor, dict[str, Any]]:
        """What a window slides over, padded unless SAME puts the very same windows; and how."""
        same = is_same(x.dims[2:], kernel, stride, padding)
        source = self._tensors[x] if same else self._padded(x, padding, fill)
        ways = self.schema.Padding
        steps = {"strideH": stride[0], "strideW": stride[1]}
        return source, steps | {"padding": ways.SAME if same else ways.VALID}

    def _padded(self, x: Shape, padding: Pair, fill: float = 0.0) -> Tensor:
        """By zeros within XNNPACK, which takes them into the convolution; by others outside."""
        source = self._tensors[x]
        if padding == (0, 0):
            return source
        edges = np.array([(p, p) for p in (0, *padding, 0)])
        inputs = [source, constant(edges, "int32"), *([constant(fill)] if fill else [])]
        dims = source.dims + edges.sum(axis=1)
        return self._append("PADV2" if fill else "PAD", inputs, tuple(dims.tolist()))

    def linear(self, x: Shape, weight: Shape, bias: Shape | None) -> Shape:
        y = super().linear(x, weight, bias)
        offset = self._value(bias) if bias else np.zeros(y.dims[1])
        inputs = [self._tensors[x], self._tensors[weight], constant(offset)]
        return self._node("FULLY_CONNECTED", inputs, y)

    def batch_norm(
        self, x: Shape, scale: Shape, shift: Shape, mean: Shape, var: Shape, eps: float
    ) -> Shape:
        y = super().batch_norm(x, scale, shift, mean, var, eps)
        source = self._tensors[x]
        factor = self._value(scale) / np.sqrt(self._value(var) + np.float32(eps))
        offset = self._value(shift) - self._value(mean) * factor
        convolution = self._nodes.get(source)
        if convolution is None or "CONV_2D" not in convolution.kind:
            scaled = self._append("MUL", [source, constant(factor)], source.dims)
            return self._node("ADD", [scaled, constant(offset)], y)
        # Another convolution beside that one, which falls away unless somebody else reads it.
        source, kernel, bias = convolution.inputs
        out_last = convolution.kind == "DEPTHWISE_CONV_2D"
        folded = kernel.value * (factor if out_last else factor[:, None, None, None])
        inputs = [source, constant(folded), constant(bias.value * factor + offset)]
        return self._node(convolution.kind, inputs, y, **convolution.options)

    def batch_norm_train(self, *arguments: Any) -> tuple[Shape, Shape, Shape]:
        raise Unsupported("a model for inference engines holds no training")

    def relu(self, x: Shape, consume: bool) -> Shape:
        return self._node("RELU", [self._tensors[x]], super().relu(x, consume))

    def add(self, a: Shape, b: Shape) -> Shape:
        return self._node("ADD", [self._tensors[a], self._tensors[b]], super().add(a, b))

    def max_pool(self, x: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Shape:
        y = super().max_pool(x, kernel, stride, padding)
        source, window = self._window(x, kernel, stride, padding, fill=-np.inf)
        extents = {"filterHeight": kernel[0], "filterWidth": kernel[1]}
        return self._node("MAX_POOL_2D", [source], y, **extents, **window)

    def avg_pool(self, x: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Shape:
        y = super().avg_pool(x, kernel, stride, padding)
        padded = self.given(self._padded(x, padding))  # what SAME pads does not count in a mean
        source, window = self._window(padded, kernel, stride, (0, 0))
        extents = {"filterHeight": kernel[0], "filterWidth": kernel[1]}
        return self._node("AVERAGE_POOL_2D", [source], y, **extents, **window)

    def global_avg_pool(self, x: Shape) -> Shape:
        inputs = [self._tensors[x], constant((1, 2), "int32")]
        return self._node("MEAN", inputs, super().global_avg_pool(x), keepDims=False)

    def concat(self, xs: list[Shape]) -> Shape:
        inputs = [self._tensors[x] for x in xs]
        return self._node("CONCATENATION", inputs, super().concat(xs), axis=3)

    def flatten(self, x: Shape) -> Shape:
        y = super().flatten(x)
        inputs = [self._tensors[x], constant(TO_FIRST, "int32")]
        first = self._append("TRANSPOSE", inputs, x.dims)
        return self._node("RESHAPE", [first, constant(y.dims, "int32")], y, newShape=[*y.dims])

    def cross_entropy(self, logits: Shape, labels: Shape) -> Shape:
        raise Unsupported("a model for inference engines holds no loss")

    def model(self, name: str, x: Shape, y: Shape) -> bytes:
        """The file, from x to y, without what nothing reads."""
        first, last = self._tensors[x], self._tensors[y]
        nodes: list[tuple[Tensor, Node]] = []
        read = {last}
        for output, node in reversed(self._nodes.items()):
            if output in read:
                nodes.insert(0, (output, node))
                read.update(node.inputs)
        tensors = dict.fromkeys([first, *(t for made, node in nodes for t in (*node.inputs, made))])
        numbers = {tensor: number for number, tensor in enumerate(tensors)}
        s, kinds = self.schema, [*dict.fromkeys(node.kind for _, node in nodes)]
        codes = [getattr(s.BuiltinOperator, kind) for kind in kinds]
        graph = s.SubGraphT(
            tensors=[self._tensor(tensor, number) for tensor, number in numbers.items()],
            inputs=[numbers[first]],
            outputs=[numbers[last]],
            operators=[
                s.OperatorT(
                    opcodeIndex=kinds.index(node.kind),
                    inputs=[numbers[tensor] for tensor in node.inputs],
                    outputs=[numbers[output]],
                    **self._options(node),
                )
                for output, node in nodes
            ],
            name=name,
        )
        data = [t.value if t.value is None else t.value.ravel().view(np.uint8) for t in tensors]
        model = s.ModelT(
            version=3,
            operatorCodes=[s.OperatorCodeT(code, builtinCode=code) for code in codes],
            subgraphs=[graph],
            description="bakeoff",
            buffers=[s.BufferT(), *map(s.BufferT, data)],  # the first is always empty
        )
        size = sum(each.nbytes for each in data if each is not None)
        builder = s.flatbuffers.Builder(size + ROOM)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(memoryview(builder.Bytes)[builder.Head() :])  # Output() is a copy of its own

    def _tensor(self, tensor: Tensor, number: int) -> Any:
        kinds = self.schema.TensorType
        whole = tensor.value is not None and tensor.value.dtype == np.int32
        return self.schema.TensorT(
            shape=[*tensor.dims],
            type=kinds.INT32 if whole else kinds.FLOAT32,
            buffer=number + 1,
            name=f"tensor_{number}",
        )

    def _options(self, node: Node) -> dict[str, Any]:
        name = OPTIONS[node.kind]
        if not name:
            return {}
        kind, options = getattr(self.schema.BuiltinOptions, name), getattr(self.schema, f"{name}T")
        return {"builtinOptionsType": kind, "builtinOptions": options(**node.options)}
