"""What every framework adapter is: the algebra, and the verbs to run it with.

An adapter is one file in `adapters/`, found by its name, holding one subclass of
`Adapter`. Importing the file must not import the framework: that happens in
`__init__`, in a worker process of the framework's own environment. So a framework that
is absent costs nothing and breaks nothing.

The life of an adapter object, all in one worker:

    adapter = Torch(variant="compile", device="cpu", precision="float32", threads=2)
    params  = {name: adapter.place(value, spec.role, spec.groups) for ...}
    x, y    = adapter.place(images, "image"), adapter.place(labels, "labels")
    call    = adapter.infer(workload)             # nothing is timed but what these return
    out     = call(params, x); adapter.sync(out); adapter.dump(out, "image")
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from typing import Any, ClassVar, NamedTuple

import numpy as np

from adapters.core.precision import NO_TF32, PLAIN

Array = Any  # a framework's own array


class Unsupported(Exception):
    """This adapter cannot run that cell; the message says why, for a person."""


@dataclass(frozen=True)
class Variant:
    """One way to run an adapter: a line in its table.

    `compile_seconds` is a rough cost, per convolution or linear layer of a workload, of
    the first call beyond running it; it serves time estimates and nothing else.
    `joins`: the kinds of device on which it takes part where nobody is named: () for one that
    wants to be named.
    `of`: the contender beside which it is the framework's own idiomatic model (native.py). Such
    a one is shown beside it, and never ranked. `environment`: where it does not live with the
    adapter's other variants. `trains`: False for one that infers alone, where the adapter trains.
    """

    summary: str
    options: dict[str, Any]
    compile_seconds: float = 0.0
    joins: tuple[str, ...] = ("cpu", "cuda")
    of: str = ""
    environment: str = ""
    trains: bool = True

    def joins_on(self, device: str) -> bool:
        """Whether it takes part unasked on "cpu", "cuda" or "cuda:1"."""
        return device.partition(":")[0] in self.joins


class State(NamedTuple):
    """What a training step consumes and returns; names as the network layer gives them."""

    params: dict[str, Array]  # trained
    stats: dict[str, Array]  # batch-norm means and variances
    velocity: dict[str, Array]  # momentum, one for each of params


class Adapter:
    """Subclass this once per framework and give it the operations of `Operations`."""

    # The modules that must be importable, and the distributions that tell its version.
    requires: ClassVar[tuple[str, ...]] = ()
    distributions: ClassVar[tuple[str, ...]] = ()
    # The way it runs, by name; "" is the default, and comes first.
    variants: ClassVar[dict[str, Variant]] = {"": Variant("as it is", {})}
    # What it computes in, of the words in precision.py.
    precisions: ClassVar[tuple[str, ...]] = PLAIN
    # Which environment it lives in; "" is one named as its file is.
    environment: ClassVar[str] = ""
    # False for an adapter that does no work (the null adapter): never verified or ranked.
    computes: ClassVar[bool] = True
    # True for what Bakeoff brings itself, to hold frameworks against: ranked with them, and
    # recommended to nobody.
    baseline: ClassVar[bool] = False
    # False for an inference engine; a variant may be one, where its adapter is not.
    trains: bool = True
    # Why it computes on a CPU alone; "" where it does not.
    no_cuda: ClassVar[str] = ""
    # The only workloads it has, where it interprets none but brings models of its own.
    workloads: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def refuses(cls, device: str, precision: str) -> str | None:
        """Why it cannot be asked for that, as far as is known without its framework."""
        if device != "cpu" and cls.no_cuda:
            return cls.no_cuda
        if precision not in cls.precisions:
            return f"it computes in {' and '.join(cls.precisions)}, not {precision}"
        if precision == "tf32" and device == "cpu":
            return f"{NO_TF32}: a CPU has none"
        return None

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        """Import the framework and settle what is settled once per process.

        device is "cpu" or "cuda" (a worker sees only its own GPU, as number 0);
        precision is one of `precisions`; "float32" is strict: no TF32, no bfloat16 passes.
        Raises Unsupported.
        """
        if reason := self.refuses(device, precision):
            raise Unsupported(reason)
        self.options = self.variants[variant].options
        self.trains = self.trains and self.variants[variant].trains
        self.device, self.precision, self.threads = device, precision, threads

    def settle(self) -> None:
        """Sets switches that are the whole process's (TF32, float64) as this object wants them.

        `__init__` does so; whoever holds several adapters in one process calls it before each use.
        """

    @classmethod
    def missing(cls, variant: str) -> str | None:
        """Why `variant` cannot run in this interpreter, or None. Imports nothing."""
        for module in cls.requires:
            if util.find_spec(module) is None:
                return f"the Python package '{module}' is not installed"
        return None

    @classmethod
    def version(cls) -> str | None:
        """The installed framework's version, without importing it."""
        for name in cls.distributions:
            try:
                return metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return None

    @classmethod
    def requirements(cls, device: str) -> list[str] | None:
        """What its environment is made from on "cpu" or "cuda", as lines that pip reads.

        For an adapter of another package, which names itself, NumPy and its framework,
        pinned. None: what lies in `adapters/requirements/` holds, or there is no environment.
        """
        return None

    @classmethod
    def prepare(cls) -> None:
        """What set-up does once in this adapter's own environment: compiling. Raises Unsupported.

        A run does not rely on it: what it finds missing it makes.
        """

    # --- arrays -----------------------------------------------------------------

    def place(self, value: np.ndarray, role: str, groups: int = 1) -> Array:
        """A canonical NumPy array -> this framework's own, fresh, on its device, in its layout.

        role: `image` (N, C, H, W); `features` (N, F); `labels` (N,), whole numbers; `kernel`
        (O, C / groups, KH, KW); `matrix` (O, F), a linear layer's; or a vector's role. All but
        labels are cast to this adapter's precision; in mixed precision what a workload is given,
        images or features, is low, and nothing else (precision.py).
        """
        raise NotImplementedError

    def dump(self, handle: Array, role: str, groups: int = 1) -> np.ndarray:
        """The inverse of `place`: a canonical NumPy array that shares no memory.

        Activations of four dimensions are `image`, all others (logits, losses) `features`;
        `labels` come back as they were placed, all else in float32 or float64.
        """
        raise NotImplementedError

    def clone(self, array: Array) -> Array:
        """A fresh copy of one array: of the same kind and layout, sharing no memory."""
        raise NotImplementedError

    def zeros_like(self, array: Array) -> Array:
        """Fresh zeros of an array's shape and kind: momentum at its start. For who trains."""
        raise NotImplementedError

    def copy(self, tree: Any) -> Any:
        """A fresh copy of every array in a State (or dict, or array): by default, one by one."""
        if isinstance(tree, State):
            return State(*map(self.copy, tree))
        if isinstance(tree, dict):
            return {name: self.copy(array) for name, array in tree.items()}
        return self.clone(tree)

    def export(self, workload: Any, batch: int, params: dict[str, Array]) -> Any:
        """What a user of it has on disk before it starts: by default just the weights.

        An engine's model file is written here. That is the benchmark's own work: its seconds are in
        no figure, nor is its memory, but for what stays of the modules that wrote it.
        """
        return params

    def bind(self, workload: Any, batch: int, params: Any) -> Any:
        """What the calls below take for `params`, from what `export` gave: by default just that.

        It may empty `params`, which nobody asks for again.

        A model that holds its weights itself is built here, and takes them in: untimed.
        """
        return params

    def start(self, params: dict[str, Array], trained: set[str]) -> State:
        """The state before the first step: copies of the parameters, zero momentum."""
        own = self.copy(params)
        weights = {n: p for n, p in own.items() if n in trained}
        stats = {n: p for n, p in own.items() if n not in trained}
        return State(weights, stats, {n: self.zeros_like(p) for n, p in weights.items()})

    # --- what is timed ------------------------------------------------------------

    def infer(self, workload: Any) -> Callable[[Any, Array], Array]:
        """-> call(params, x) -> the workload's output; params as `bind` gave them.

        x is the same object in every timed call, and may stay bound; another one must be bound
        anew. The next call may write over a result, so `dump` copies.
        """
        raise NotImplementedError

    def gradients(
        self, workload: Any, trained: set[str]
    ) -> Callable[[dict[str, Array], Array, Array], tuple[Array, dict[str, Array]]]:
        """-> call(params, x, labels) -> (loss, gradients by name), with no update.

        Forward and backward, batch norm in its training form (its new state is thrown
        away). Where `workload.input_gradient`, the gradients hold one for "input" too.
        """
        raise NotImplementedError

    def train(
        self, workload: Any, lr: float, momentum: float
    ) -> Callable[[State, Array, Array], tuple[State, Array]]:
        """-> step(state, x, labels) -> (new state, loss). The step consumes its state.

        Loss, gradients of all params, then SGD with momentum:
        v' = momentum * v + g; p' = p - lr * v'. Batch-norm state moves too.
        """
        raise NotImplementedError

    # --- the rest -------------------------------------------------------------------

    def sync(self, result: Any) -> None:
        """Return once every effect of the call that gave `result` is done."""

    def profile(
        self, call: Callable[[], Any], sync: Callable[[Any], None]
    ) -> list[tuple[str, float, int]]:
        """Where the time of one `sync(call())` goes, as the framework's own profiler sees it.

        The call is warm, and not timed. -> (name, seconds, count) of each operator, kernel or
        primitive. Seconds are its own, without what it calls, as profiling.py has it: on a
        CPU of the thread that waits for it, however many help; on a device, of the device.
        Raises Unsupported.
        """
        raise Unsupported("its framework has no profiler that is read here")

    def memory(self) -> dict[str, int]:
        """Bytes on the device as the framework knows them: `allocated`, `reserved` peaks."""
        return {}

    def forget_trials(self) -> None:
        """Called once a first call is over, where nothing is timed: on a device, give back memory
        that is not in use, and forget the peaks so far, where the framework can. What it tried to
        choose between kernels took its own."""

    def manifest(self) -> dict[str, Any]:
        """What really runs, for the record: layout, compile mode, TF32, threads, versions."""
        return {}

    def reset(self) -> None:
        """Forget compiled code and cached memory: called between two workloads."""

    def close(self) -> None:
        """Called once, last."""
