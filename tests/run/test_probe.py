"""The probes: large enough to be past what surrounds them, small enough to be made anew."""

from typing import Any

from adapters.core.cost import declare
from harness.run import probe
from suites import catalogue

ROOM = 126e6  # bytes: the largest L2 of a GPU there is (NVIDIA's B200)


def test_a_gpu_s_stream_is_past_its_caches_and_its_values_are_drawn_in_about_a_second() -> None:
    """Each contender is given them anew: 400 million took the host 8 s and more."""
    product, stream = (catalogue.get(f"probe_{kind}_large") for kind in ("matmul", "stream"))
    channels, height, width = stream.input
    streamed = stream.batch * channels * height * width
    assert 4 * streamed > 2 * ROOM
    weights = [spec.shape for spec in declare(product).values()]
    assert weights == [(product.batch, product.batch)]
    assert streamed + 2 * product.batch**2 <= 110e6


class _Worker:
    """A GPU's: calls of a millisecond, of which the wait is the half."""

    limit = 30.0  # a run's --timeout

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def ask(self, do: str, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
        assert timeout == self.limit
        self.asked.append({"do": do, **arguments})
        queued = 2_000_000 if arguments.get("queue") else None
        turn = {"calls": [1_000_000] * 6, "dropped": 2, "queued_ns": queued}
        return {"seconds": 1e-3, "turn": turn | {"cpu_ns": 1, "wall_ns": 1}}


def test_what_a_gpu_s_call_waits_is_no_part_of_its_rates() -> None:
    """A call of a hundred microseconds would be a launch and a wait by a tenth."""
    on = {device: probe.measure(_Worker(), device, "float32") for device in ("cpu", "cuda")}
    amounts = {"cpu": 2 * 2048**3, "cuda": 2 * 4096**3}
    assert on["cpu"]["flops_per_s"] == amounts["cpu"] / 1e-3
    assert on["cuda"]["flops_per_s"] == amounts["cuda"] / 0.5e-3


def test_a_call_that_a_clock_saw_take_no_time_ends_nobody_s_run() -> None:
    class Worker(_Worker):
        def ask(self, do: str, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
            answer = super().ask(do, timeout, **arguments)
            return answer | {"turn": answer["turn"] | {"calls": [0] * 6}}

    assert probe.measure(Worker(), "cpu", "float32")["flops_per_s"] > 0  # type: ignore[arg-type]
