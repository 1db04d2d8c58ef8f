"""How long will it take? Rough answers from the cost model, before anything is measured.

They decide what a budget can hold, what --dry-run says, and what a first launch visits last;
once that launch has been seen, its measured costs take over. All seconds.
"""

import functools
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from harness.host import gpus, machine
from harness.worker import timing

# Seconds a worker takes to start and import its framework: 0.1 to 3.6 were seen.
IMPORT = 1.5
# The slowest contender reaches about this share of the matrix rate on convolutions.
SHARE = 0.3
BYTES_PER_SECOND = 5e9
CALL_OVERHEAD = 100e-6
# Of what its data sheet promises, what a GPU's libraries are taken to reach: no GPU was at hand.
REACHED = 0.5
# Where its driver promises nothing, a modest GPU's (NVIDIA's T4): what fits it fits a better one.
MODEST_GPU = 8.1e12, 3.2e11
# What a training step costs a compiler, beyond the forward pass alone.
TRAIN_COMPILES = 2.5
# Warm-up in the first launch, and verification, per cell.
SETTLING = 0.7
TURN = 0.040
# Bytes that a process takes of a GPU before it has allocated anything: a guess, no GPU was at hand.
CONTEXT = 0.4e9
# A profile in the cold pass: its profiler's own starts, and some calls.
PROFILE, PROFILED_CALLS = 2.0, 8


@dataclass(frozen=True)
class Work:
    """What an estimate needs to know of one comparison."""

    flops: float
    bytes: float
    layers: int  # convolutions and linear layers: what a compiler chews on
    trains: bool
    device: str = "cpu"
    threads: int = 0  # 0: one for each physical core


# The fastest of 0.3 s of products, in seconds.
PRODUCTS = """
import time
import numpy as np
a = np.ones(({size}, {size}), np.float32)
best, end = float("inf"), time.perf_counter() + 0.3
while time.perf_counter() < end:
    begin = time.perf_counter()
    a @ a
    best = min(best, time.perf_counter() - begin)
print(best)
"""
SIZE = 512


@functools.cache
def matrix_rate() -> float:
    """This machine's float32 matrix product on all cores, operations per second: so many times what
    one core makes, at its best of 0.3 s.

    By one: two threads beside another program's load wait for each other, and were seen to make a
    tenth of what they make alone; a budget would look too small. And in a process of its own, since
    NumPy here has the threads that a shell said.
    """
    environment = os.environ | machine.thread_environment(1)
    command = [sys.executable, "-P", "-c", PRODUCTS.format(size=SIZE)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return len(machine.cpu_set()) * 2 * SIZE**3 / float(done.stdout)


def call(work: Work) -> float:
    """One call of a slow contender."""
    flops, moved = _rates(work.device, work.threads)
    return max(work.flops / (flops * SHARE), work.bytes / moved) + CALL_OVERHEAD


def _rates(device: str, threads: int) -> tuple[float, float]:
    """Operations and bytes per second that a good library reaches."""
    index = gpus.number(device)
    if index is None:
        cores = len(machine.cpu_set())
        return matrix_rate() * min(threads or cores, cores) / cores, BYTES_PER_SECOND
    flops, moved = gpus.rates(index) or MODEST_GPU
    return REACHED * flops, REACHED * moved


def memory(cost: Any, trains: bool, value_bytes: int) -> float:
    """Bytes of a GPU that a contender takes at the least: a lower bound, for what cannot be.

    A context with its libraries; weights, in training with momentum and gradients; and of what
    a training keeps for its backward pass the half, since half may be computed again.
    """
    weights = cost.parameters * 4.0 * (3 if trains else 1)
    kept = cost.activations * value_bytes / 2 if trains else 0.0
    return CONTEXT + weights + kept


def turn(work: Work, least: int = 1) -> float:
    """least: calls of it, where more are asked for than come of its usual length."""
    seconds = call(work)
    calls = timing.calls_for(seconds, TURN)
    return seconds * max(calls, least, 2)


def compiling(work: Work, per_layer: float) -> float:
    """per_layer: seconds of a forward pass (`Variant.compile_seconds`)."""
    return per_layer * work.layers * (TRAIN_COMPILES if work.trains else 1.0)


def cold(work: Work, per_layer: float) -> float:
    """A cell in the cold pass: a fresh process with an empty cache, then with a full one."""
    again = IMPORT if per_layer else 0.0  # only a compiler leaves a cache to start from
    calls = (4 + PROFILED_CALLS) * call(work) + PROFILE
    return IMPORT + again + calls + 1.15 * compiling(work, per_layer) + SETTLING


def first_launch(work: Work, per_layer: float) -> float:
    """Setting a cell up for the first time: compile, verify, warm up; without its turns."""
    return compiling(work, per_layer) + SETTLING + 10 * call(work)


def later_launch(work: Work, per_layer: float) -> float:
    """The same with a filled cache; warm XLA still traces. On a CPU two are set up at a time."""
    at_a_time = 2 if work.device == "cpu" else 1
    return (0.15 * compiling(work, per_layer) + 0.1 + 10 * call(work)) / at_a_time
