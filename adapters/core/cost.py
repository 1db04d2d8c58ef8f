"""The cost model: the algebra interpreted over shapes alone.

It says what a workload must do at the least: operations, bytes, parameters, values
kept for a backward pass. It declares parameters (there is no separate list of them),
and, being quick, it is the validator of workloads: a shape that cannot be is an error
that names the operation.

Counting rules, the same for all:

* One multiplication and one addition are two operations. Only convolutions and linear
  layers count: the elementwise rest is bound by bytes.
* Bytes: every convolution, linear layer, pooling and batch norm reads its operands once
  and writes its result once, 4 bytes a value (the plan scales it for other precisions). ReLU, add
  and concat count nothing when they follow another operation, since a compiler can fuse
  them into it; on the workload's own input they do. Flatten moves nothing.
* Backward, the gradient of an operation's input costs one forward pass, and that of its
  weights another. So a training step does three times the operations of inference, but
  for a first layer twice: an update wants no gradient of the workload's own input. Only
  `fwd_bwd` has one, for the workloads that ask for it. Bytes likewise; pooling
  and batch norm, which have no weights to speak of, read and write twice. The loss and
  the update of the weights count nothing: all of this is a lower bound, but for a batch norm in
  inference. Its parameters are constants there, which engines (OpenVINO, ONNX Runtime) and frozen
  variants fold into the convolution before it: they move fewer bytes than are counted.
"""

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

from adapters.core.algebra import Pair
from adapters.core.network import Network, Parameter

VALUE_BYTES = 4
# What a hash of operations is made from, counted up where that changes: one of another form says
# nothing of whether the work is the same.
FORM = 2


@dataclass(eq=False)
class Memory:
    """Where a tensor's values lie; what was flattened may share them with what it was."""

    consumed: bool = False


@dataclass(eq=False)
class Shape:
    """A tensor that is only a shape."""

    dims: tuple[int, ...]
    # Made from the workload's own input alone: no weight lies before it, that would want
    # its gradient, and no operation into which another could be fused.
    constant: bool = False
    memory: Memory = field(default_factory=Memory)

    @property
    def size(self) -> int:
        return math.prod(self.dims)


@dataclass(frozen=True)
class Operation:
    """One operation of the forward pass."""

    name: str
    flops: float
    bytes: float
    reduction: int  # how many products are added up for one output value
    output: tuple[int, ...]
    on_input: bool
    inputs: tuple[tuple[int, ...], ...]  # weights and bias among them
    options: tuple[Any, ...]  # kernel, stride, padding, groups: what no shape tells


@dataclass(frozen=True)
class Cost:
    """Of one call of a workload at one batch, in one direction."""

    flops: float
    bytes: float
    parameters: int  # trained ones
    activations: int  # values that operations produce in a forward pass
    output: tuple[int, ...]
    operations: tuple[Operation, ...] = field(repr=False)
    input_gradient: bool  # whether the backward pass differentiates by the input as well

    @property
    def identity(self) -> str:
        """A hash of the operations and all their shapes, behind its form: another is other work."""
        told = [f"{op.name} {op.inputs} {op.options} {op.output}" for op in self.operations]
        told += ["gradient of the input"] if self.input_gradient else []
        found = hashlib.sha256("\n".join(told).encode()).hexdigest()
        return f"{FORM}:{found[:16]}"


class Declaration(dict[str, Parameter]):
    """Takes a network's parameters as they are asked for."""

    def declare(self, name: str, parameter: Parameter) -> Shape:
        known = self.setdefault(name, parameter)
        if known != parameter:
            raise ValueError(f"parameter {name} is used as {parameter} and as {known}")
        return Shape(parameter.shape)


class CostModel:
    """The interpreter. Raises ValueError for impossible shapes, naming the operation."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def _made(
        self,
        name: str,
        inputs: list[Shape],
        output: tuple[int, ...],
        flops: float = 0.0,
        reduction: int = 1,
        fused: bool = False,
        options: tuple[Any, ...] = (),
    ) -> Shape:
        if any(x.memory.consumed for x in inputs):
            raise ValueError(f"{name} uses a tensor that relu has consumed")
        if min(output, default=1) < 1:
            shapes = ", ".join(str(x.dims) for x in inputs)
            raise ValueError(f"{name} of {shapes} gives the impossible shape {output}")
        on_input = inputs[0].constant
        values = 0 if fused and not on_input else sum(x.size for x in inputs) + math.prod(output)
        self.operations.append(
            Operation(
                name,
                flops,
                VALUE_BYTES * values,
                reduction,
                output,
                on_input,
                tuple(x.dims for x in inputs),
                options,
            )
        )
        return Shape(output, constant=all(x.constant for x in inputs))

    def shape(self, x: Shape) -> tuple[int, ...]:
        return x.dims

    def conv2d(
        self, x: Shape, weight: Shape, bias: Shape | None, stride: Pair, padding: Pair, groups: int
    ) -> Shape:
        batch, channels = _image("conv2d", x)[:2]
        out, per_group, *kernel = weight.dims
        if channels % groups or out % groups or per_group * groups != channels:
            raise ValueError(f"conv2d of {channels} to {out} channels cannot have {groups} groups")
        output = (batch, out, *_extents("conv2d", x, (kernel[0], kernel[1]), stride, padding))
        reduction = per_group * kernel[0] * kernel[1]
        inputs = [x, weight] + ([bias] if bias else [])
        flops = 2.0 * math.prod(output) * reduction
        options = (stride, padding, groups)
        return self._made("conv2d", inputs, output, flops, reduction, options=options)

    def linear(self, x: Shape, weight: Shape, bias: Shape | None) -> Shape:
        if len(x.dims) != 2:
            raise ValueError(f"linear wants (N, F), got {x.dims}: flatten or pool first")
        output = (x.dims[0], weight.dims[0])
        inputs = [x, weight] + ([bias] if bias else [])
        flops = 2.0 * math.prod(output) * x.dims[1]
        return self._made("linear", inputs, output, flops, x.dims[1])

    def batch_norm(
        self, x: Shape, scale: Shape, shift: Shape, mean: Shape, var: Shape, eps: float
    ) -> Shape:
        _image("batch_norm", x)
        return self._made("batch_norm", [x, scale, shift, mean, var], x.dims, options=(eps,))

    def batch_norm_train(
        self,
        x: Shape,
        scale: Shape,
        shift: Shape,
        mean: Shape,
        var: Shape,
        momentum: float,
        eps: float,
    ) -> tuple[Shape, Shape, Shape]:
        batch, _, height, width = _image("batch_norm", x)
        if batch * height * width < 2:
            raise ValueError(f"batch_norm in training wants 2 values a channel, got {x.dims}")
        y = self._made("batch_norm", [x, scale, shift, mean, var], x.dims, options=(eps,))
        return y, Shape(mean.dims), Shape(var.dims)

    def relu(self, x: Shape, consume: bool) -> Shape:
        y = self._made("relu", [x], x.dims, fused=True)
        x.memory.consumed = consume
        return y

    def add(self, a: Shape, b: Shape) -> Shape:
        if a.dims != b.dims:
            raise ValueError(f"add wants equal shapes, got {a.dims} and {b.dims}")
        return self._made("add", [a, b], a.dims, fused=True)

    def max_pool(self, x: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Shape:
        return self._pool("max_pool", x, kernel, stride, padding)

    def avg_pool(self, x: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Shape:
        return self._pool("avg_pool", x, kernel, stride, padding)

    def _pool(self, name: str, x: Shape, kernel: Pair, stride: Pair, padding: Pair) -> Shape:
        batch, channels = _image(name, x)[:2]
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise ValueError(f"{name}: padding {padding} is more than half of kernel {kernel}")
        output = (batch, channels, *_extents(name, x, kernel, stride, padding))
        return self._made(name, [x], output, options=(kernel, stride, padding))

    def global_avg_pool(self, x: Shape) -> Shape:
        return self._made("global_avg_pool", [x], _image("global_avg_pool", x)[:2])

    def concat(self, xs: list[Shape]) -> Shape:
        first = _image("concat", xs[0])
        for x in xs:
            if _image("concat", x)[0::2] != first[0::2] or x.dims[3] != first[3]:
                raise ValueError(f"concat wants equal N, H, W, got {[x.dims for x in xs]}")
        channels = sum(x.dims[1] for x in xs)
        return self._made("concat", xs, (first[0], channels, *first[2:]), fused=True)

    def flatten(self, x: Shape) -> Shape:
        batch, *rest = _image("flatten", x)
        if x.memory.consumed:
            raise ValueError("flatten uses a tensor that relu has consumed")
        return Shape((batch, math.prod(rest)), x.constant, x.memory)

    def cross_entropy(self, logits: Shape, labels: Shape) -> Shape:
        if len(logits.dims) != 2:
            raise ValueError(f"cross_entropy wants (N, K), got {logits.dims}")
        return self._made("cross_entropy", [logits, labels], ())


def declare(workload: Any) -> dict[str, Parameter]:
    """The parameters of a workload, by name, in the order of their first use."""
    return _interpret(workload, 2)[1]


def output_shape(workload: Any, batch: int) -> tuple[int, ...]:
    return _interpret(workload, batch)[2].dims


def cost(workload: Any, batch: int, direction: str) -> Cost:
    """What one call must do. Raises ValueError for sizes at which the workload cannot be."""
    model, parameters, output = _interpret(workload, batch, training=direction != "infer")
    passes = [_passes(op, direction, workload.input_gradient) for op in model.operations]
    return Cost(
        flops=sum(op.flops * n for op, n in zip(model.operations, passes, strict=True)),
        bytes=sum(op.bytes * n for op, n in zip(model.operations, passes, strict=True)),
        parameters=sum(math.prod(p.shape) for p in parameters.values() if p.trained),
        activations=sum(math.prod(op.output) for op in model.operations),
        output=output.dims,
        operations=tuple(model.operations),
        input_gradient=workload.input_gradient and direction == "fwd_bwd",
    )


def _passes(operation: Operation, direction: str, input_gradient: bool) -> int:
    """Forward, and backward by the weights and by the input."""
    if direction == "infer":
        return 1
    by_input = not operation.on_input or (input_gradient and direction == "fwd_bwd")
    return 1 + (operation.flops > 0) + by_input


def _interpret(
    workload: Any, batch: int, training: bool = False
) -> tuple[CostModel, Declaration, Shape]:
    model, parameters = CostModel(), Declaration()
    net = Network(model, parameters, training)
    output = net.run(workload, Shape((batch, *workload.input), constant=True))
    if not isinstance(output, Shape):
        raise ValueError(f"the workload returns {output!r}: expected what an operation gave")
    if training:
        head = Network(CostModel(), {})  # the loss must be possible, and is not counted
        head.loss(output, Shape((batch,)))
    return model, parameters, output


def _image(name: str, x: Shape) -> tuple[int, ...]:
    if len(x.dims) != 4:
        raise ValueError(f"{name} wants (N, C, H, W), got {x.dims}")
    return x.dims


def _extents(name: str, x: Shape, kernel: Pair, stride: Pair, padding: Pair) -> tuple[int, int]:
    if min(*kernel, *stride) < 1 or min(padding) < 0:
        raise ValueError(f"{name}: impossible kernel {kernel}, stride {stride}, padding {padding}")
    extents = [
        (size + 2 * p - k) // s + 1 if size + 2 * p >= k else 0
        for size, k, s, p in zip(x.dims[2:], kernel, stride, padding, strict=True)
    ]
    if min(extents) < 1:
        raise ValueError(
            f"{name}: kernel {kernel} does not fit into {x.dims[2]}x{x.dims[3]} padded by {padding}"
        )
    return extents[0], extents[1]
