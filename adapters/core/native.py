"""What native adapters share: a framework's own model, beside the portable one.

The suspicion against a neutral algebra is that it shows the lowest common denominator. So
for a few networks there is the model as the framework's users write it, with the same
weights, through the same cell, oracle and clock. A variant names the portable contender it
stands beside (`of`), is shown next to that one, and is never ranked.

Such a model holds its weights itself: `bind` builds it and puts them in, `copy` of a start
state puts that back, both untimed, and the timed call is the user's own line. How arrays
are placed, what precision is set and what is waited for is the portable adapter's affair,
which is asked, so that the two lanes cannot differ in it.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from adapters.core.base import Adapter, State, Unsupported
from adapters.core.cost import CostModel, Declaration, Shape, declare
from adapters.core.discovery import adapter_class
from adapters.core.layout import TO_HWIO, TO_OIHW
from adapters.core.network import BATCH_NORM_EPS, BATCH_NORM_MOMENTUM, Network, Parameter


@dataclass(frozen=True, eq=False)
class Held:
    """Something inside a model, in canonical form: read when it is asked for, not before."""

    read: Callable[[], np.ndarray]


class Native(Adapter):
    """Subclass it with `build`, `variables`, `momenta`, `read` and `write`, `infer` and `train`."""

    workloads = ("alexnet", "resnet18", "resnet50", "threelayer")

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        home, way = _portable(self, variant)
        self.home = home(way, device, precision, threads)

    @classmethod
    def missing(cls, variant: str) -> str | None:
        home, way = _portable(cls, variant)
        return super().missing(variant) or home.missing(way)

    # --- what a framework says of its models --------------------------------------------------

    def build(self, workload: Any) -> Any:
        """The model of that workload, with any weights."""
        raise NotImplementedError

    def variables(self) -> dict[str, Any]:
        """What `self.model` trains and keeps, by the network layer's names."""
        raise NotImplementedError

    def momenta(self) -> dict[str, Any]:
        """The optimizer's momentum of each trained variable, by the same names."""
        raise NotImplementedError

    def read(self, name: str, variable: Any) -> np.ndarray:
        """Canonical values of a variable, or of a momentum."""
        raise NotImplementedError

    def write(self, name: str, variable: Any, value: np.ndarray) -> None:
        """Puts canonical values into a variable, or into a momentum."""
        raise NotImplementedError

    def restarted(self) -> None:
        """Called after weights and momenta were put back: forget what else a step leaves."""

    def settle(self) -> None:
        self.home.settle()

    # --- the verbs ------------------------------------------------------------------------------

    def bind(self, workload: Any, batch: int, params: dict[str, Any]) -> Any:
        if workload.name not in self.workloads:
            known = ", ".join(self.workloads)
            raise Unsupported(f"it has models of its own for {known}, and none for {workload.name}")
        self.parameters = declare(workload)
        self.averaged = _averaged(workload, batch)
        values = {
            n: self.home.dump(params[n], p.role, p.groups) for n, p in self.parameters.items()
        }
        self.model = self.build(workload)
        self._begin = State(
            {n: v for n, v in values.items() if self.parameters[n].trained},
            {n: v for n, v in values.items() if not self.parameters[n].trained},
            {n: np.zeros_like(v) for n, v in values.items() if self.parameters[n].trained},
        )
        self._put(self.variables(), values)
        return self.model

    def _put(self, variables: dict[str, Any], values: dict[str, np.ndarray]) -> None:
        if variables.keys() != values.keys():
            odd = ", ".join(sorted(variables.keys() ^ values.keys())[:4])
            raise ValueError(f"the model and the workload differ in their parameters: {odd}")
        for name, value in values.items():
            self.write(name, variables[name], value)

    def start(self, params: Any, trained: set[str]) -> State:
        return self._begin

    def copy(self, tree: Any) -> Any:
        """Of a start state: the model itself, put back to it. What a step then moves is there."""
        if tree is not getattr(self, "_begin", None):
            return self.home.copy(tree)
        self._put(self.variables(), {**tree.params, **tree.stats})
        self._put(self.momenta(), tree.velocity)
        self.restarted()
        return State(
            {n: self._held(n, v) for n, v in self.variables().items() if n in tree.params},
            {n: self._held(n, v) for n, v in self.variables().items() if n in tree.stats},
            {n: self._held(n, v) for n, v in self.momenta().items()},
        )

    def _held(self, name: str, variable: Any) -> Held:
        return Held(lambda: self.read(name, variable))

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> Any:
        return self.home.place(value, role, groups)

    def dump(self, handle: Any, role: str, groups: int = 1) -> np.ndarray:
        if isinstance(handle, Held):
            return handle.read()
        if isinstance(handle, np.ndarray | np.generic | float):
            return np.array(handle)
        return self.home.dump(handle, role, groups)

    def shape(self, x: Any) -> tuple[int, ...]:
        return tuple(x.shape)  # of a result, which are logits in all of these networks

    def gradients(self, workload: Any, trained: set[str]) -> Callable[..., Any]:
        raise Unsupported("native models are measured in inference and in training")

    def sync(self, result: Any) -> None:
        self.home.sync(result[1] if isinstance(result, tuple) else result)  # of a step, the loss

    def profile(
        self, call: Callable[[], Any], sync: Callable[[Any], None]
    ) -> list[tuple[str, float, int]]:
        return self.home.profile(call, sync)

    def memory(self) -> dict[str, int]:
        return self.home.memory()

    def forget_trials(self) -> None:
        self.home.forget_trials()

    def manifest(self) -> dict[str, Any]:
        return self.home.manifest()

    def reset(self) -> None:
        self.__dict__.pop("model", None)
        self.__dict__.pop("_begin", None)
        self.home.reset()

    def unbiased(self, name: str, var: np.ndarray, steps: int) -> np.ndarray:
        """A running variance of a framework that keeps the biased one, as if it kept the other.

        Each step adds the batch's share; only those shares differ, by n / (n - 1).
        """
        count = self.averaged[name.removesuffix(".var")]
        factor, kept = count / (count - 1), (1 - BATCH_NORM_MOMENTUM) ** steps
        return factor * var + kept * (1 - factor) * self._begin.stats[name]


def renamed(name: str, rules: Iterable[tuple[str, str]]) -> str:
    """A name of the network layer as a model has it: each rule (pattern, replacement) in turn."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def channels_last(parameters: dict[str, Parameter], name: str, value: np.ndarray) -> np.ndarray:
    """A canonical kernel or matrix as models with channels last have it: HWIO, (in, out).

    A matrix behind a flattened image takes its rows in that image's own order.
    """
    if parameters[name].role == "kernel":
        return value.transpose(TO_HWIO)
    if parameters[name].role == "matrix":
        channels, side = _flattened(parameters, name)
        image = value.reshape(len(value), channels, side, side)
        return image.transpose(TO_HWIO).reshape(-1, len(value))
    return value


def canonical(parameters: dict[str, Parameter], name: str, value: np.ndarray) -> np.ndarray:
    """The inverse of `channels_last`."""
    if parameters[name].role == "kernel":
        return value.transpose(TO_OIHW)
    if parameters[name].role == "matrix":
        channels, side = _flattened(parameters, name)
        image = value.reshape(side, side, channels, -1)
        return image.transpose(TO_OIHW).reshape(value.shape[1], -1)
    return value


def _flattened(parameters: dict[str, Parameter], name: str) -> tuple[int, int]:
    """Channels and extent of the square image that a matrix takes; a vector has extent 1."""
    before = list(parameters)[: list(parameters).index(name)]
    weights = [parameters[n] for n in before if parameters[n].role in ("kernel", "matrix")]
    channels = weights[-1].shape[0]
    return channels, isqrt(parameters[name].shape[1] // channels)


def _portable(kind: Any, variant: str) -> tuple[type[Adapter], str]:
    """The adapter of which a variant is the native form, and that one's variant."""
    name, _, way = kind.variants[variant].of.partition(":")
    return adapter_class(name), way


def _averaged(workload: Any, batch: int) -> dict[str, int]:
    """How many values each batch norm averages over, by its name."""
    counts: dict[str, int] = {}

    class Counting(Network):
        def batch_norm(self, name: str, x: Any, eps: float = BATCH_NORM_EPS) -> Any:
            n, _, height, width = self.shape(x)
            counts[name] = n * height * width
            return super().batch_norm(name, x, eps)

    Counting(CostModel(), Declaration()).run(workload, Shape((batch, *workload.input)))
    return counts
