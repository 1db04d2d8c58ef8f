"""A cell: one workload through one adapter, built, called, and asked for its answer.

The reference makes the oracle's answer by the very same steps by which a contender is
timed and checked: same seeded weights, same inputs, same direction. What `step` runs is
what is timed and what is verified; there is no twin of it.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from adapters.core.base import Adapter, State, Unsupported
from adapters.core.cost import cost, declare, output_shape

# Small, so that a step from random weights stays finite however often it is repeated.
LEARNING_RATE = 1e-3
MOMENTUM = 0.9


def inputs(workload: Any, batch: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Canonical images (batch, *input), float32 normal, and labels (batch,), int64.

    Random, never constant: frameworks and processors are faster on zeros.
    """
    rng = np.random.default_rng([seed, batch, *workload.input])
    images = rng.standard_normal((batch, *workload.input), dtype=np.float32)
    classes = output_shape(workload, batch)[1]
    return images, rng.integers(0, classes, batch)


def ends(array: np.ndarray, rows: int | None) -> np.ndarray:
    """So many rows: the first ones, and the last for whoever computes a batch in pieces."""
    return array if rows is None else np.concatenate([array[: rows - 1], array[-1:]])


class WrongRows(Exception):
    """An output of more images than went in, or fewer."""


class Cell:
    """`build`, then `step` as often as wanted; `answer` for what the first call computed."""

    def __init__(
        self,
        adapter: Adapter,
        workload: Any,
        batch: int,
        direction: str,
        rows: int | None = None,
        seed: int = 0,
        once: bool = False,
    ):
        """`rows`: compute only these of the batch (for the oracle of an inference): see `ends`.
        `once`: a training is never taken back to its start, so nothing is kept for that."""
        if direction != "infer" and not adapter.trains:
            raise Unsupported("an inference engine: it does not train")
        if direction == "train":  # an update needs no gradient of the input: nobody computes it
            workload = replace(workload, input_gradient=False)
        self.adapter, self.workload = adapter, workload
        self.batch, self.direction, self.rows, self.seed = batch, direction, rows, seed
        self.once = once
        self.parameters = declare(workload)
        if direction == "train" and not any(p.trained for p in self.parameters.values()):
            raise ValueError(f"{workload.name} has no parameters to train")
        operations = cost(workload, batch, direction).operations
        self.reduction = max([op.reduction for op in operations], default=1)
        self.sync = adapter.sync
        # Seconds that are the benchmark's own, and no framework's: drawing weights and inputs,
        # writing what its users have on disk.
        self.drawn = 0.0

    def build(self) -> None:
        """Place weights and inputs, make the call; afterwards `step()` runs it."""
        params = self._draw(self.adapter.export, self.workload, self.batch, self._weights())
        params = self.adapter.bind(self.workload, self.batch, params)
        trained = {name for name, p in self.parameters.items() if p.trained}
        self.feed(self.seed)
        self.restore: Callable[[], None] = lambda: None
        self._last_loss: Any = None
        if self.direction == "infer":
            infer = self.adapter.infer(self.workload)
            self.step: Callable[[], Any] = lambda: infer(params, self._x)
        elif self.direction == "fwd_bwd":
            gradients = self.adapter.gradients(self.workload, trained)
            self.step = lambda: gradients(params, self._x, self._y)
        else:
            self._build_training(self.adapter.start(params, trained))

    def _weights(self) -> dict[str, Any]:
        return {
            name: self.adapter.place(self._draw(p.initial, name, self.seed), p.role, p.groups)
            for name, p in self.parameters.items()
        }

    def feed(self, seed: int) -> None:
        """The inputs of that seed, from here on, into the call that is built."""
        place = self.adapter.place
        images, labels = self._draw(inputs, self.workload, self.batch, seed)
        images, labels = (ends(array, self.rows) for array in (images, labels))
        self._x = place(images, "image" if images.ndim == 4 else "features")
        self._y = place(labels, "labels")

    def _draw(self, of: Callable[..., Any], *arguments: Any) -> Any:
        begin = time.perf_counter()
        drawn = of(*arguments)
        self.drawn += time.perf_counter() - begin
        return drawn

    def _build_training(self, snapshot: State) -> None:
        """`step` moves a state on; `restore` takes it back to its start, in fresh arrays."""
        train = self.adapter.train(self.workload, LEARNING_RATE, MOMENTUM)
        copy = self.adapter.copy
        state = copy(snapshot)

        def step() -> tuple[State, Any]:
            nonlocal state
            state, loss = train(state, self._x, self._y)
            self._last_loss = loss
            return state, loss

        def restore() -> None:
            nonlocal state
            state = copy(snapshot)

        self.step = step
        if not self.once:
            self.restore = restore

    def manifest(self) -> dict[str, Any]:
        """What this cell adds to its adapter's manifest."""
        return {"input_gradient": self.direction == "fwd_bwd" and self.workload.input_gradient}

    def finite(self) -> bool:
        """Whether a training that just ran still has a finite loss."""
        if self._last_loss is None:
            return True
        return bool(np.isfinite(self.adapter.dump(self._last_loss, "features")).all())

    def fetch(self, result: Any) -> int:
        """Brings a result to the host: whoever has it has waited. -> its bytes there.

        The output, or the loss and all gradients; of a training's step the loss alone, which
        needs all of the steps before it.
        """
        if self.direction == "train":
            self.loss(result)
            return 0
        return sum(array.nbytes for array in self.answer(result).values())

    def loss(self, result: Any) -> float | None:
        """The loss that a call returned; None for inference."""
        if self.direction == "infer":
            return None
        loss = result[0] if self.direction == "fwd_bwd" else result[1]
        return float(self.adapter.dump(loss, "features"))

    def answer(self, result: Any, rows: int | None = None) -> dict[str, np.ndarray]:
        """A call's result as canonical arrays, by quantity; of inference, `rows` of them: `ends`.

        `output` | `loss`, `gradient:NAME` (for a training step from zero momentum the
        momentum is the gradient), `params:NAME`, `stats:NAME`. Raises WrongRows.
        """
        dump = self.adapter.dump
        if self.direction == "infer":
            four = len(self.adapter.shape(result)) == 4  # type: ignore[attr-defined]
            output = dump(result, "image" if four else "features")
            if len(output) != (self.rows or self.batch):
                raise WrongRows(f"the output has {len(output)} rows, the batch {self.batch}")
            return {"output": output if self.rows else ends(output, rows)}
        if self.direction == "fwd_bwd":
            loss, gradients = result
            return {"loss": dump(loss, "features")} | self._dump("gradient", gradients)
        state, loss = result
        return (
            {"loss": dump(loss, "features")}
            | self._dump("gradient", state.velocity)
            | self._dump("params", state.params)
            | self._dump("stats", state.stats)
        )

    def _dump(self, quantity: str, arrays: dict[str, Any]) -> dict[str, np.ndarray]:
        dumped = {}
        for name, array in arrays.items():
            if name == "input":
                role, groups = ("image" if len(self.workload.input) == 3 else "features"), 1
            else:
                role, groups = self.parameters[name].role, self.parameters[name].groups
            dumped[f"{quantity}:{name}"] = self.adapter.dump(array, role, groups)
        return dumped
