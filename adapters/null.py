"""Does nothing: the floor under every measurement.

What a turn of it takes is what the timing loop and an adapter's own Python cost. It is
measured like all others where it is asked for, never verified and never ranked.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.core.base import Adapter, State, Variant
from adapters.core.precision import PRECISIONS


class Null(Adapter):
    variants = {"": Variant("does nothing: the floor under every measurement", {})}
    environment = "numpy"
    computes = False
    precisions = PRECISIONS

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> None:
        return None

    def dump(self, handle: None, role: str, groups: int = 1) -> np.ndarray:
        return np.zeros(())

    def clone(self, array: None) -> None:
        return None

    def zeros_like(self, array: None) -> None:
        return None

    def infer(self, workload: Any) -> Callable[[Any, Any], None]:
        return lambda params, x: None

    def gradients(self, workload: Any, trained: set[str]) -> Callable[[Any, Any, Any], Any]:
        return lambda params, x, y: (None, {})

    def train(self, workload: Any, lr: float, momentum: float) -> Callable[[State, Any, Any], Any]:
        return lambda state, x, y: (state, None)

    def manifest(self) -> dict[str, Any]:
        return {"framework": "null", "mode": "nothing"}
