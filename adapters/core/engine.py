"""The adapter that every inference engine shares, whatever it reads a model from.

What is placed are NumPy arrays. By the first call weights become constants of a model, as an
engine's users have them, and the input is bound to the engine, where it computes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.core.base import Adapter
from adapters.core.precision import stored

Run = Callable[[], Any]


class Engine(Adapter):
    """A subclass `builds`, and places arrays otherwise where its images do not lie NCHW."""

    trains = False

    def builds(self, workload: Any, params: dict[str, np.ndarray], x: np.ndarray) -> Run:
        """The workload with these weights within and this input bound -> run(), which computes."""
        raise NotImplementedError

    def shape(self, x: Any) -> tuple[int, ...]:
        return tuple(x.shape)

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> np.ndarray:
        return np.array(value, np.int64 if role == "labels" else stored(self.precision), order="C")

    def dump(self, handle: Any, role: str, groups: int = 1) -> np.ndarray:
        return np.array(handle)

    def clone(self, array: np.ndarray) -> np.ndarray:
        return array.copy()

    def infer(self, workload: Any) -> Callable[[dict[str, np.ndarray], np.ndarray], Any]:
        built: tuple[Any, Any] = (None, None)
        run: Any = None

        def call(params: dict[str, np.ndarray], x: np.ndarray) -> Any:
            nonlocal built, run
            if built[0] is not params or built[1] is not x:
                run, built = self.builds(workload, params, x), (params, x)
            return run()

        return call
