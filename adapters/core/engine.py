"""The adapter that every inference engine shares, whatever it reads a model from.

What is placed are NumPy arrays. They become constants of a model in a file, as an engine's users
have them; the first call opens that, and binds the input to the engine, where it computes.
"""

import tempfile
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from adapters.core.base import Adapter
from adapters.core.precision import stored

Run = Callable[[], Any]


class Engine(Adapter):
    """A subclass writes models and `opens` them; it places arrays otherwise where its images do
    not lie NCHW."""

    trains = False

    def written(self, workload: Any, batch: int, params: dict[str, np.ndarray]) -> bytes:
        """The workload as a file that the engine reads, for so many images, weights within."""
        raise NotImplementedError(f"{type(self).__name__} does not say how a model is `written`")

    def opens(self, path: str, x: np.ndarray) -> Run:
        """The engine for the file at `path`, with this input bound -> run(), which computes."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it `opens` a model")

    def shape(self, x: Any) -> tuple[int, ...]:
        return tuple(x.shape)

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> np.ndarray:
        return np.array(value, np.int64 if role == "labels" else stored(self.precision), order="C")

    def dump(self, handle: Any, role: str, groups: int = 1) -> np.ndarray:
        return np.array(handle)

    def clone(self, array: np.ndarray) -> np.ndarray:
        return array.copy()

    def export(self, workload: Any, batch: int, params: dict[str, np.ndarray]) -> IO[bytes]:
        # It has no name, so nothing is left where we are killed.
        file = tempfile.TemporaryFile()  # noqa: SIM115
        file.write(self.written(workload, batch, params))
        file.flush()
        return file

    def infer(self, workload: Any) -> Callable[[IO[bytes], np.ndarray], Any]:
        built: tuple[Any, Any] = (None, None)
        run: Any = None

        def call(model: IO[bytes], x: np.ndarray) -> Any:
            nonlocal built, run
            if built[0] is not model or built[1] is not x:
                run = self.opens(f"/proc/self/fd/{model.fileno()}", x)
                built = model, x
            return run()

        return call
