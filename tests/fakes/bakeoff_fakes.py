"""Adapters that misbehave, each in one way: a package of its own, found by entry points.

All are the numpy adapter with one thing broken, so that everything else is as it is in
a real run. Put this folder on PYTHONPATH and run with `--python current`.
"""

import os
import signal
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from adapters.core.base import Unsupported
from adapters.core.tape import Node
from adapters.numpy import NumPy


class Unprobed(NumPy):
    """NumPy but for the machine's rates: a run that asks each of these takes seconds more."""

    def infer(self, workload: Any) -> Any:
        if workload.kind == "probe":
            raise Unsupported("this machine's rates are NumPy's to find")
        return super().infer(workload)


class Liar(Unprobed):
    """Its ReLU leaks: fast, and wrong."""

    def relu(self, x: Any, consume: bool) -> Any:
        y = super().relu(x, consume=False)
        return self.add(y, y)


class _AfterAFewCalls(Unprobed):
    """Behaves for the first calls, so that the failure falls into the timed turns."""

    def infer(self, workload: Any) -> Any:
        call, made = super().infer(workload), 0

        def counted(params: Any, x: Any) -> Any:
            nonlocal made
            made += 1
            if made > 60:
                self.misbehave()
            return call(params, x)

        return counted

    def misbehave(self) -> None:
        raise NotImplementedError


class Hangs(_AfterAFewCalls):
    def misbehave(self) -> None:
        time.sleep(3600)


class Dies(_AfterAFewCalls):
    def misbehave(self) -> None:
        print("about to die of a planted fault", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)


class Tiring(_AfterAFewCalls):
    """Its ReLU leaks from some call on, as another path that a compiler takes may."""

    def infer(self, workload: Any) -> Any:
        self.leaks = False
        return super().infer(workload)

    def misbehave(self) -> None:
        self.leaks = True

    def relu(self, x: Any, consume: bool) -> Any:
        y = super().relu(x, consume)
        return self.add(y, y) if self.leaks else y


class _Batch(Unprobed):
    """Computes another batch than it is given."""

    def infer(self, workload: Any) -> Any:
        call = super().infer(workload)
        return lambda params, x: call(params, Node(self.taken(x.value)))

    def taken(self, images: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class Chunked(_Batch):
    """A piece of four images, and forgets that there may be more than one."""

    def taken(self, images: np.ndarray) -> np.ndarray:
        return images[:4]


class Tailless(_Batch):
    """All of it but the last image, which it takes for the one before."""

    def taken(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([images[:-1], images[-2:-1]])


class Fragile(Unprobed):
    """Killed once, the second time that it starts: in a run, at its first launch."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        with open(os.environ["FRAGILE"], "ab", buffering=0) as starts:
            starts.write(b"started\n")
            # Where its own line ends: two that start at once would each count both.
            if starts.tell() == 2 * len(b"started\n"):
                os.kill(os.getpid(), signal.SIGKILL)


class Starved(Unprobed):
    """Its device has no memory left."""

    def infer(self, workload: Any) -> Any:
        raise RuntimeError("CUDA error: out of memory (tried to allocate 20.00 GiB)")


class Forks(Unprobed):
    """Leaves a child that does nothing, and holds whatever was open."""

    def infer(self, workload: Any) -> Any:
        child = os.fork()
        if child == 0:
            time.sleep(3600)
        print(child, flush=True)
        return super().infer(workload)


class Poisoned(Unprobed):
    """A kernel went astray: CUDA answers every further call of the process so."""

    def infer(self, workload: Any) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


class Odd(Unprobed):
    """Once it has loaded a cell, its manifest holds what JSON has no word for."""

    rate = 0.0

    def infer(self, workload: Any) -> Any:
        self.rate = float("nan")
        return super().infer(workload)

    def manifest(self) -> dict[str, Any]:
        return {**super().manifest(), "rate": self.rate}


class Babbles(Unprobed):
    """Says what it was told to before its worker has answered."""

    def infer(self, workload: Any) -> Any:
        os.write(int(sys.argv[2]), os.environb[b"BABBLE"] + b"\n")
        return super().infer(workload)


class Loud(Unprobed):
    """Prints on both streams at every call, JSON too."""

    def infer(self, workload: Any) -> Any:
        call = super().infer(workload)

        def noisy(params: Any, x: Any) -> Any:
            print('{"turn": "forged"}', flush=True)
            print("noise " * 20, file=sys.stderr, flush=True)
            return call(params, x)

        return noisy


class Shuts(Unprobed):
    """Does not even open."""

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        raise ImportError("libshut.so.1: cannot open shared object file")


class Slow(Unprobed):
    """Takes twice its own time: a difference that must be found."""

    times = 2.0

    def infer(self, workload: Any) -> Any:
        call = super().infer(workload)

        def twice(params: Any, x: Any) -> Any:
            begin = time.perf_counter()
            result = call(params, x)
            end = begin + self.times * (time.perf_counter() - begin)
            while time.perf_counter() < end:
                pass
            return result

        return twice


class Crawls(Slow):
    """Far behind on any machine, however noisy."""

    times = 10.0


class Streamed(Unprobed):
    """Stands in for a GPU: an inference is queued, and a stream of its own computes it."""

    no_cuda = ""
    trials = 64 << 20  # bytes that its first call tried kernels in

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, "cpu", precision, threads)
        self.device = device
        self.stream = ThreadPoolExecutor(1)

    def infer(self, workload: Any) -> Any:
        call = super().infer(workload)
        return lambda params, x: self.stream.submit(self.late, call, params, x)

    def late(self, call: Any, params: Any, x: Any) -> Any:
        return call(params, x)

    def shape(self, x: Any) -> Any:
        return super().shape(x.result() if isinstance(x, Future) else x)

    def dump(self, handle: Any, role: str, groups: int = 1) -> Any:
        value = handle.result() if isinstance(handle, Future) else handle
        return super().dump(value, role, groups)

    def sync(self, result: Any) -> None:
        if isinstance(result, Future):
            result.result()

    def memory(self) -> dict[str, int]:
        return {"allocated": self.trials + (1 << 20), "reserved": self.trials + (2 << 20)}

    def forget_trials(self) -> None:
        self.trials = 0

    def manifest(self) -> dict[str, Any]:
        return {**super().manifest(), "autotune": self.device == "cuda"}


class Hasty(Streamed):
    """Its `sync` does not wait: fast on paper."""

    def late(self, call: Any, params: Any, x: Any) -> Any:
        time.sleep(0.003)
        return call(params, x)

    def sync(self, result: Any) -> None:
        pass
