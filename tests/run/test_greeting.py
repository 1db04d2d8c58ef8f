"""Claims about the greeting, before anything is timed."""

from types import SimpleNamespace
from typing import Any

import pytest

from harness.process.processes import WorkerFailed
from harness.run import greeting, probe


class Worker:
    def __init__(self, name: str):
        self.name, self.stopped = name, False

    def stop(self) -> None:
        self.stopped = True


def test_a_machines_rates_are_probed_while_nobody_else_is_awake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An idle framework's threads may spin for a while after its import."""
    workers: list[Worker] = []
    awake: list[list[str]] = []

    def start(contender: Any, cache: str, log: str) -> Worker:
        workers.append(Worker(contender.name))
        return workers[-1]

    def measure(worker: Any, kind: str, precision: str) -> dict[str, float]:
        worker.stopped = False  # as whoever is asked goes on
        awake.append([each.name for each in workers if not each.stopped])
        if worker.name == "jax":
            raise WorkerFailed("oom", "no room")
        return {}

    monkeypatch.setattr(probe, "measure", measure)
    names = ["torch", "jax", "numpy"]
    plan: Any = SimpleNamespace(
        contenders=[
            SimpleNamespace(name=n, copy=1, variant="", computes=True, version=None) for n in names
        ],
        comparisons=[SimpleNamespace(precision="float32")],
    )
    launcher: Any = SimpleNamespace(
        kind="cpu", start=start, open=lambda *_: {"manifest": {}}, close=lambda worker: None
    )
    written: list[dict[str, Any]] = []

    def write(kind: str, **fields: Any) -> None:
        written.append({"kind": kind, **fields})

    greeted = greeting.greet(plan, launcher, set(), write, lambda *_, **__: None)
    assert awake == [[name] for name in names]
    assert not greeted.failed and all(worker.stopped for worker in workers)
    [event] = written  # whose probe failed takes part, and that it failed is not lost
    assert (event["kind"], event["what"], event["contender"]) == ("event", "unprobed", "jax")
    assert "no room" in event["reason"]


def test_who_does_not_open_with_the_most_threads_is_asked_again_with_fewer() -> None:
    """And in other precisions, where it said itself that it lacks this one."""
    asked = [
        SimpleNamespace(id=f"{precision}/{threads}t", precision=precision, threads=threads)
        for precision in ("float32", "bfloat16")
        for threads in (1, 2)
    ]
    plan: Any = SimpleNamespace(comparisons=asked, settings=SimpleNamespace(threads=2))
    failed = {"torch": WorkerFailed("unsupported", "no"), "jax": WorkerFailed("crash", "died")}
    greeted = greeting.Greeted(plan, "float32", {}, failed)
    assert [c.id for c in greeted.without("torch")] == ["float32/2t"]
    assert [c.id for c in greeted.without("jax")] == ["float32/2t", "bfloat16/2t"]
