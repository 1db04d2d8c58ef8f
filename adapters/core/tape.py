"""A reverse-mode tape over NumPy arrays, and the verbs of an adapter that has one.

An operation hands `record` its result, its inputs, and a function from the result's
gradient to the inputs' gradients. `backward` walks the results in the reverse of the
order in which they were made (which is a topological order) and lets go of each as it
passes. The reference and the numpy adapter share this file, and no operation or gradient.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adapters.core import profiling
from adapters.core.algebra import Operations
from adapters.core.base import Adapter, State
from adapters.core.network import Network

Gradients = Callable[[np.ndarray], Sequence[np.ndarray | None]]


class Node:
    """A value on the tape. Without parents it is a leaf: a parameter or an input."""

    __slots__ = ("grad", "gradients", "parents", "value", "view_of", "wanted")

    def __init__(self, value: np.ndarray, wanted: bool = False):
        self.value = value
        self.wanted = wanted  # whether anybody asks for its gradient
        self.grad: Any = None
        self.parents: Sequence[Node] = ()
        self.gradients: Gradients | None = None
        self.view_of: Node | None = None  # whose memory this may share, for who watches over that


class Tape:
    """Records operations in the order they happen; nothing, where nobody wants gradients."""

    def __init__(self, add: Callable[[np.ndarray, np.ndarray], np.ndarray] = operator.add) -> None:
        """`add` gives the sum, in memory of its own, of gradients that meet in one place."""
        self._made: list[Node] = []
        self._add = add

    def record(self, value: np.ndarray, parents: Sequence[Node], gradients: Gradients) -> Node:
        """`gradients(dy)` gives one array, or None, for each of `parents`."""
        node = Node(value, any(parent.wanted for parent in parents))
        if node.wanted:
            node.parents, node.gradients = parents, gradients
            self._made.append(node)
        return node

    def backward(self, loss: Node) -> None:
        """Fills `grad` of every wanted leaf below `loss`, a scalar; empties the tape."""
        loss.grad = np.ones_like(loss.value)
        while self._made:
            node = self._made.pop()
            if node.grad is None or node.gradients is None:
                continue
            for parent, grad in zip(node.parents, node.gradients(node.grad), strict=True):
                if parent.wanted and grad is not None:
                    before = parent.grad
                    parent.grad = grad if before is None else self._add(before, grad)
            node.grad = node.gradients = None
            node.parents = ()


class TapeAdapter(Adapter):
    """Subclass this and give it `place`, `dump` and the operations over Nodes."""

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        self.dtype = np.dtype(precision)
        self.tape = Tape()

    def clone(self, array: Node) -> Node:
        return Node(array.value.copy())

    def zeros_like(self, array: Node) -> Node:
        return Node(np.zeros_like(array.value))

    def infer(self, workload: Any) -> Callable[[dict[str, Node], Node], Node]:
        return lambda params, x: Network(self, params).run(workload, x)  # type: ignore[arg-type]

    def gradients(
        self, workload: Any, trained: set[str]
    ) -> Callable[[dict[str, Node], Node, Node], tuple[Node, dict[str, Node]]]:
        def call(params: dict[str, Node], x: Node, y: Node) -> tuple[Node, dict[str, Node]]:
            loss, grads, _ = self._differentiate(workload, params, trained, x, y)
            return loss, grads

        return call

    def train(
        self, workload: Any, lr: float, momentum: float
    ) -> Callable[[State, Node, Node], tuple[State, Node]]:
        def step(state: State, x: Node, y: Node) -> tuple[State, Node]:
            params = {**state.params, **state.stats}
            loss, grads, stats = self._differentiate(workload, params, set(state.params), x, y)
            for name, param in state.params.items():
                velocity = state.velocity[name].value
                self.update(param.value, velocity, grads[name].value, lr, momentum)
            return state._replace(stats={**state.stats, **stats}), loss

        return step

    def update(
        self, param: np.ndarray, velocity: np.ndarray, grad: np.ndarray, lr: float, momentum: float
    ) -> None:
        """SGD with momentum, in place."""
        velocity *= momentum
        velocity += grad
        param -= lr * velocity

    def profile(
        self, call: Callable[[], Any], sync: Callable[[Any], None]
    ) -> list[tuple[str, float, int]]:
        def whole() -> None:
            sync(call())

        own = {name for name in vars(Operations) if not name.startswith("_")}
        return profiling.by_operation(whole, own - {"shape"} | {"update"})

    def _differentiate(
        self, workload: Any, params: dict[str, Node], trained: set[str], x: Node, y: Node
    ) -> tuple[Node, dict[str, Node], dict[str, Node]]:
        """Loss, gradients by name, new batch-norm state."""
        leaves = {n: Node(p.value, wanted=n in trained) for n, p in params.items()}
        image = Node(x.value, wanted=workload.input_gradient)
        net = Network(self, leaves, training=True)  # type: ignore[arg-type]
        loss = net.loss(net.run(workload, image), y)
        self.tape.backward(loss)
        wanted = {n: leaf for n, leaf in leaves.items() if leaf.wanted}
        if workload.input_gradient:
            wanted["input"] = image
        grads = {
            n: Node(np.zeros_like(leaf.value) if leaf.grad is None else leaf.grad)
            for n, leaf in wanted.items()
        }
        return Node(loss.value), grads, net.updates
