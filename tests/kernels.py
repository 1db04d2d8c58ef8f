"""How good the NumPy and C convolutions are, as ratios of figures taken in turns in one process.

    make bench-kernels        or        python -m tests.kernels [--launches N] [--shapes 3x3]

NumPy's against the rate at which this machine's BLAS multiplies large matrices; C's against
PyTorch's, channels last, on the convolutions of ResNet-18 and ResNet-50 at batch 16, all on
one thread; and C's on two threads against one. Forward, and backward to input and weight
together. Each launch is a fresh process in PyTorch's environment (which has NumPy too); the
controller reads its turns by the statistics of a run.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adapters.core.cost import CostModel, Declaration, Shape
from adapters.core.discovery import adapter_class
from adapters.core.network import Network
from adapters.core.tape import Node
from harness.host import machine
from harness.stats import readings
from harness.worker import timing
from suites import catalogue

BATCH = 16
TWO = "c, two threads"
ROUNDS = 3
SECONDS = 0.05  # of one turn
PRODUCT = 2048  # rows and columns of the matrices that tell BLAS's rate
NUMPY = ((128, 28), (256, 14), (512, 7))  # channels and pixels of the 3x3 convolutions


class Conv(NamedTuple):
    image: tuple[int, ...]  # (N, C, H, W)
    kernel: tuple[int, ...]  # (O, I, KH, KW)
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def name(self) -> str:
        c, (o, i, k, _) = self.image, self.kernel
        return f"{k}x{k} {i}-{o} on {c[2]}" + (f" by {self.stride[0]}" * (self.stride[0] > 1))

    @property
    def flops(self) -> float:
        pairs = zip(self.image[2:], self.kernel[2:], self.stride, self.padding, strict=True)
        area = math.prod((size + 2 * pad - k) // step + 1 for size, k, step, pad in pairs)
        return 2.0 * self.image[0] * area * math.prod(self.kernel)


class Noting(CostModel):
    """The cost model, which also writes down what is convolved."""

    def __init__(self) -> None:
        super().__init__()
        self.convs: list[Conv] = []

    def conv2d(self, x: Any, w: Any, b: Any, stride: Any, padding: Any, groups: int) -> Shape:
        self.convs.append(Conv(x.dims, w.dims, stride, padding))
        return super().conv2d(x, w, b, stride, padding, groups)


def resnet() -> list[Conv]:
    """Every convolution of ResNet-18 and ResNet-50, once."""
    noting = Noting()
    for name in ("resnet18", "resnet50"):
        workload = catalogue.get(name)
        Network(noting, Declaration()).run(workload, Shape((BATCH, *workload.input)))
    return list(dict.fromkeys(noting.convs))


def calls(adapter: Any, conv: Conv) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A forward call, and a backward one that gives the gradients of input and weight."""
    rng = np.random.default_rng(0)
    x = adapter.place(rng.standard_normal(conv.image, np.float32), "image")
    w = adapter.place(rng.standard_normal(conv.kernel, np.float32), "kernel")
    rest = (None, conv.stride, conv.padding, 1)
    if isinstance(x, Node):
        y = adapter.conv2d(Node(x.value, True), Node(w.value, True), *rest)
        dy = np.ones_like(y.value)
        return lambda: adapter.conv2d(x, w, *rest), lambda: y.gradients(dy)
    torch = adapter.torch
    wanted = [x.clone().requires_grad_(), w.clone().requires_grad_()]
    y = adapter.conv2d(*wanted, *rest)
    dy = torch.ones_like(y)
    forward = torch.inference_mode()(lambda: adapter.conv2d(x, w, *rest))
    return forward, lambda: torch.autograd.grad(y, wanted, dy, retain_graph=True)


def comparisons(
    adapters: dict[str, Any], shapes: str
) -> Iterator[tuple[str, dict[str, Callable[[], Any]], dict[str, Any]]]:
    """Name, contenders, and what `harness.record.records` would say of it."""
    a = np.random.default_rng(0).standard_normal((PRODUCT, PRODUCT), np.float32)

    for channels, size in NUMPY:
        image, kernel = (BATCH, channels, size, size), (channels, channels, 3, 3)
        conv = Conv(image, kernel, (1, 1), (1, 1))
        for direction, call in zip(
            ("forward", "backward"), calls(adapters["numpy"], conv), strict=True
        ):
            flops = conv.flops * (1 if direction == "forward" else 2)
            if shapes in conv.name:
                about = {"kind": "numpy", "direction": direction, "scale": flops / 2 / PRODUCT**3}
                yield conv.name, {"blas": lambda: a @ a, "numpy": call}, about
    for conv in resnet():
        if shapes not in conv.name:
            continue
        ours, theirs = calls(adapters["c"], conv), calls(adapters["torch"], conv)
        for direction, mine, other in zip(("forward", "backward"), ours, theirs, strict=True):
            about = {"kind": "c", "direction": direction, "scale": 1.0}
            yield conv.name, {"c": mine, "torch": other, TWO: mine}, about


def launch(shapes: str) -> None:
    """One process: a line of JSON for each comparison."""
    adapters: dict[str, Any] = {
        n: adapter_class(n)("", "cpu", "float32", 1) for n in ("torch", "c", "numpy")
    }
    for name, contenders, about in comparisons(adapters, shapes):
        turns: dict[str, list[Any]] = {each: [] for each in contenders}
        count: dict[str, int] = {}
        order = list(contenders)
        for _ in range(ROUNDS):
            for each in order:
                call = contenders[each]
                adapters["c"].use(2 if each == TWO else 1)
                if each not in count:
                    seconds = timing.warm_up(call, adapters["c"].sync, 0.5)["call"]
                    count[each] = timing.calls_for(seconds, SECONDS)
                turns[each].append(timing.turn(call, adapters["c"].sync, count[each], True, False))
            order = order[1:] + order[:1]
        print(json.dumps({"comparison": f"{name} {about['direction']}", "turns": turns, **about}))


def report(groups: list[dict[str, Any]]) -> None:

    print(f"{'':34}{'numpy: of BLAS':>16}{'c over torch':>16}{'c, two threads':>16}")
    rows: dict[tuple[str, str], list[float]] = {}
    names = list(dict.fromkeys((g["comparison"], g["kind"], g["direction"]) for g in groups))
    for name, kind, direction in names:
        mine = [g for g in groups if (g["comparison"], g["kind"]) == (name, kind)]

        def ratio(a: str, b: str, mine: Any = mine, name: str = name) -> float:
            logs = readings.launch_log_ratios(mine, name, a, b)
            return math.exp(sum(logs.values()) / len(logs))

        if kind == "numpy":
            found = {"numpy": ratio("blas", "numpy") * mine[0]["scale"]}
        else:
            found = {"c": ratio("c", "torch"), "two": ratio("c", TWO)}
        for each, value in found.items():
            rows.setdefault((each, direction), []).append(value)
        print(f"{name:34}" + "".join(f"{found[e]:16.2f}" if e in found else " " * 16
                                     for e in ("numpy", "c", "two")))  # fmt: skip
    for (each, direction), values in rows.items():
        mean = math.exp(sum(map(math.log, values)) / len(values))
        label = {"numpy": "numpy of BLAS's rate", "c": "c over torch", "two": "c, two threads"}[
            each
        ]
        print(f"{label}, {direction}: {mean:.2f} ({min(values):.2f} to {max(values):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--launches", type=int, default=3)
    parser.add_argument("--shapes", default="", help="those whose name holds this, as in 3x3")
    parser.add_argument("--launch", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.launch:
        launch(given.shapes)
        return
    from harness.install.environments import python_of, why_absent

    python = python_of("torch", "cpu")
    if python is None:
        sys.exit(f"torch: {why_absent('torch', 'cpu')}")
    groups = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {**machine.handed_on(), **machine.worker_environment("cpu", 1, Path(folder))}
        for number in range(given.launches):
            command = [python, "-m", "tests.kernels", "--launch", "--shapes", given.shapes]
            lines = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
            if lines.returncode:
                sys.exit(f"launch {number + 1} ended with exit status {lines.returncode}")
            groups += [{**json.loads(line), "launch": number} for line in lines.stdout.splitlines()]
    report(groups)


if __name__ == "__main__":
    main()
