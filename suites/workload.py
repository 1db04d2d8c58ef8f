"""What a workload is: a plain function over the network layer, and its usual sizes.

    @convnet(input=(3, 224, 224), batch=32)
    def alexnet(net, x):
        '''AlexNet, one column.'''
        ...

The decorator puts it into WORKLOADS under the function's name. Nothing here, and no
workload, knows a framework.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Workload:
    """`function(net, x)` with x of logical shape (batch, *input)."""

    name: str
    # micro, block, convnet; or, never ranked: check (is it right), probe (the machine's rates)
    kind: str
    function: Callable[[Any, Any], Any]
    input: tuple[int, ...]  # (C, H, W), or (F,)
    batch: int
    summary: str
    # Whether the backward pass also differentiates by x: true for a layer that stands
    # for one in the middle of a network, false for a network's first layer.
    input_gradient: bool = False

    def resized(self, size: int | None) -> "Workload":
        """The same function on square images of `size` pixels; None changes nothing."""
        if size is None:
            return self
        return replace(self, input=(self.input[0], size, size))


WORKLOADS: dict[str, Workload] = {}


def add(workload: Workload) -> None:
    """Raises ValueError where the name is taken."""
    if workload.name in WORKLOADS:
        raise ValueError(f"two workloads are called '{workload.name}'")
    WORKLOADS[workload.name] = workload


def _decorator(kind: str, input_gradient: bool) -> Callable[..., Any]:
    def with_sizes(input: tuple[int, ...], batch: int) -> Callable[[Any], Any]:
        def register(function: Any) -> Any:
            summary = (function.__doc__ or "").strip().partition("\n")[0]
            add(Workload(function.__name__, kind, function, input, batch, summary, input_gradient))
            return function

        return register

    return with_sizes


micro = _decorator("micro", input_gradient=True)
block = _decorator("block", input_gradient=True)
convnet = _decorator("convnet", input_gradient=False)
