"""A case of the check in words: its shapes, and the operations that it asks for."""

from collections.abc import Mapping
from typing import Any

from adapters.core.cost import CostModel, Declaration, Shape, cost, declare, output_shape
from adapters.core.network import Network
from adapters.core.precision import PLAIN
from harness.stats import comparable
from suites.workload import Workload

SHOWN = 4  # parameters whose shapes are told; a whole network has hundreds


def described(workload: Workload, direction: str) -> str:
    """The shapes it has, and whether it is forward or backward."""
    batch = min(workload.batch, 3)
    parts = [f"input {(batch, *workload.input)}"]
    trained = [f"{name} {each.shape}" for name, each in declare(workload).items() if each.trained]
    parts += trained if len(trained) <= SHOWN else [f"{len(trained)} parameters"]
    parts.append(f"output {output_shape(workload, batch)}")
    return f"{workload.name.removeprefix('check_')}, {direction}: {'; '.join(parts)}"


def ran(workload: Workload, direction: str) -> str:
    """What it ran: where a process just ends, nothing else names its operations."""
    training = direction != "infer"
    names = ", ".join(operations(workload, training))
    return f"it ran {names}{', and their gradients' if training else ''}"


def operations(workload: Workload, training: bool) -> list[str]:
    """By their names in the algebra, in the order of their first use; in training with the loss.

    The cost model alone leaves out those that cost nothing, and the loss.
    """
    interpreter = _Named()
    net = Network(interpreter, Declaration(), training)
    y = net.run(workload, Shape((workload.batch, *workload.input), constant=True))
    if training:
        net.loss(y, Shape((workload.batch,)))
    return list(interpreter.names)


def coarse(
    workload: Workload, direction: str, precision: str, oracle: Mapping[str, Any]
) -> str | None:
    """That a single operation, right by every gate, ran in another precision than was asked for.

    oracle: as a worker's `verify` answers.
    """
    asked = cost(workload, workload.batch, direction).operations
    layers = sum(operation.name in ("conv2d", "linear") for operation in asked)
    if precision not in PLAIN and not layers:
        return None  # a pooling under autocast may be in float32
    if precision == "float32" and oracle["ran"] is None:
        return "right but for its gradients: each of them is as far off as in a lower precision"
    ran = comparable.Ran({}, oracle["ran"], oracle["ran_error"])
    return comparable.disagreement(ran, precision, layers)


class _Named:
    """An interpreter over shapes alone that keeps the names of the operations asked for."""

    def __init__(self) -> None:
        self.model = CostModel()
        self.names: dict[str, None] = {}

    def __getattr__(self, name: str) -> Any:
        if name != "shape":
            self.names[name] = None
        return getattr(self.model, name)
