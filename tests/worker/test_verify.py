"""Claims about verification: what is wrong is caught and named, and what is right is not."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from adapters.core.algebra import Pair
from adapters.core.reference import Reference
from adapters.core.tape import Node
from harness.worker import verify
from harness.worker.cell import Cell
from suites import catalogue
from suites.blocks import bottleneck
from suites.workload import Workload

CHECKS = [workload for workload in catalogue.load().values() if workload.kind == "check"]


def answer(kind: type[Reference], workload: Workload, direction: str, precision: str) -> Any:
    cell = Cell(kind(precision=precision), workload, workload.batch, direction)
    cell.build()
    return cell.answer(cell.step())


@cache
def expected(name: str, direction: str) -> dict[str, np.ndarray]:
    return answer(Reference, catalogue.get(name), direction, "float64")


def directions(workload: Workload) -> tuple[str, ...]:
    trained = any(p.trained for p in Cell(Reference(), workload, 2, "infer").parameters.values())
    return ("infer", "fwd_bwd", "train") if trained else ("infer", "fwd_bwd")


def verified(
    kind: type[Reference], workload: Workload, direction: str, precision: str = "float32"
) -> verify.Verification:
    made = answer(kind, workload, direction, precision)
    return verify.compare(made, expected(workload.name, direction), precision)


def reasons(kind: type[Reference]) -> dict[tuple[str, str], str]:
    """What the conformance workloads say, by check and direction."""
    found = {}
    for workload in CHECKS:
        for direction in directions(workload):
            reason = verified(kind, workload, direction).reason
            if reason is not None:
                found[workload.name.removeprefix("check_"), direction] = reason
    return found


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("workload", CHECKS, ids=lambda workload: workload.name)
def test_what_is_right_passes_every_check(workload: Workload, precision: str) -> None:
    for direction in directions(workload):
        found = verified(Reference, workload, direction, precision)
        assert found.ok, found.reason
        assert found.checked


# --- planted mistakes --------------------------------------------------------------------------


class Leaky(Reference):
    """max(x, x / 100)."""

    def relu(self, x: Node, consume: bool) -> Node:
        value = x.value
        slope = np.where(value > 0, 1, 0.01).astype(value.dtype)
        return self.tape.record(value * slope, [x], lambda dy: [dy * slope])


class Clobbering(Reference):
    """Overwrites what it was told not to consume."""

    def relu(self, x: Node, consume: bool) -> Node:
        y = super().relu(x, consume=False)
        x.value = y.value
        return y


class OneSided(Reference):
    """Pads a strided convolution more below and on the right, as SAME does."""

    def conv2d(
        self, x: Node, weight: Node, bias: Node | None, stride: Pair, padding: Pair, groups: int
    ) -> Node:
        if max(stride) == 1 or padding == (0, 0):
            return super().conv2d(x, weight, bias, stride, padding, groups)
        (top, left), (height, width) = [max(p - 1, 0) for p in padding], x.value.shape[2:]
        edges = [(0, 0), (0, 0), (top, 2 * padding[0] - top), (left, 2 * padding[1] - left)]
        inside = np.s_[:, :, top : top + height, left : left + width]
        padded = self.tape.record(np.pad(x.value, edges), [x], lambda dy: [dy[inside]])
        return super().conv2d(padded, weight, bias, stride, (0, 0), groups)


class Flipped(Reference):
    """Convolves where it should correlate."""

    def conv2d(self, x: Node, weight: Node, *rest: Any) -> Node:
        turned = self.tape.record(
            weight.value[:, :, ::-1, ::-1], [weight], lambda dy: [dy[:, :, ::-1, ::-1]]
        )
        return super().conv2d(x, turned, *rest)


class ZeroPadded(Reference):
    """Its max pooling sees zeros where there is nothing."""

    def max_pool(self, x: Node, kernel: Pair, stride: Pair, padding: Pair) -> Node:
        (above, left), (height, width) = padding, x.value.shape[2:]
        edges = [(0, 0), (0, 0), (above, above), (left, left)]
        inside = np.s_[:, :, above : above + height, left : left + width]
        padded = self.tape.record(np.pad(x.value, edges), [x], lambda dy: [dy[inside]])
        return super().max_pool(padded, kernel, stride, (0, 0))


class Uncounted(Reference):
    """Its average pooling divides by the values that are there."""

    def avg_pool(self, x: Node, kernel: Pair, stride: Pair, padding: Pair) -> Node:
        ones = super().avg_pool(Node(np.ones_like(x.value)), kernel, stride, padding).value
        y = super().avg_pool(x, kernel, stride, padding)
        return self.tape.record(y.value / ones, [y], lambda dy: [dy / ones])


class Biased(Reference):
    """Keeps the variance that it normalised by."""

    def batch_norm_train(self, x: Node, scale: Node, shift: Node, *rest: Any) -> Any:
        _, var, momentum, _ = rest
        y, new_mean, new_var = super().batch_norm_train(x, scale, shift, *rest)
        n = x.value.size // x.value.shape[1]
        kept = (1 - momentum) * var.value
        return y, new_mean, Node(kept + (new_var.value - kept) * (n - 1) / n)


class ChannelFastest(Reference):
    """Flattens as channels-last memory lies."""

    def flatten(self, x: Node) -> Node:
        turned = self.tape.record(
            x.value.transpose(0, 2, 3, 1), [x], lambda dy: [dy.transpose(0, 3, 1, 2)]
        )
        return super().flatten(turned)


class Stretched(Reference):
    """The gradient of a convolution's weight is 1.01 times what it should be."""

    def conv2d(self, x: Node, weight: Node, *rest: Any) -> Node:
        return super().conv2d(x, _stretched(self, weight), *rest)


class StretchedInput(Reference):
    """The same, of a convolution's input."""

    def conv2d(self, x: Node, weight: Node, *rest: Any) -> Node:
        return super().conv2d(_stretched(self, x), weight, *rest)


def _stretched(ops: Reference, x: Node) -> Node:
    return ops.tape.record(x.value, [x], lambda dy: [dy * x.value.dtype.type(1.01)])


def strided_and_padded(name: str) -> bool:
    return ("stride" in name and "conv1x1" not in name and "5x20" not in name) or name in (
        "conv3x5_unequal",
        "residual_down",
    )


def has_convolution(name: str) -> bool:
    return name.startswith(("conv", "depthwise", "residual")) or name in (
        "relu_consuming",
        "concat",
        "image_output",
    )


# The mistake; which checks must fail, and no others; in which directions.
MISTAKES: dict[type[Reference], tuple[Callable[[str], bool], set[str]]] = {
    Leaky: (lambda name: name.startswith(("relu", "residual")), {"infer", "fwd_bwd", "train"}),
    Clobbering: (lambda name: name == "relu_of_the_input", {"infer"}),
    OneSided: (
        lambda name: strided_and_padded(name) and "pool" not in name,
        {"infer", "fwd_bwd", "train"},
    ),
    Flipped: (
        lambda name: has_convolution(name) and "conv1x1" not in name,
        {"infer", "fwd_bwd", "train"},
    ),
    ZeroPadded: (
        lambda name: name.startswith("max_pool") and ("padded" in name or "unequal" in name),
        {"infer", "fwd_bwd"},
    ),
    Uncounted: (
        lambda name: name.startswith("avg_pool") and "padded" in name,
        {"infer", "fwd_bwd"},
    ),
    Biased: (lambda name: name.startswith(("batch_norm", "residual")), {"train"}),
    Stretched: (has_convolution, {"fwd_bwd", "train"}),
    StretchedInput: (has_convolution, {"fwd_bwd"}),
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda kind: kind.__name__)
def test_a_mistake_fails_the_checks_of_its_operation_and_no_others(
    mistake: type[Reference],
) -> None:
    concerns, where = MISTAKES[mistake]
    names = {workload.name.removeprefix("check_") for workload in CHECKS}
    failed = reasons(mistake)
    caught = {name for name, _ in failed}
    assert caught == {name for name in names if concerns(name)}
    assert {direction for _, direction in failed} >= where


def test_a_leaky_relu_is_caught_and_named() -> None:
    reason = reasons(Leaky)["relu_of_the_input", "infer"]
    assert reason.startswith("the output is off by 0.0")
    assert reason.endswith("relative (allowed: 1e-05)")


def test_one_sided_padding_is_caught_and_named() -> None:
    failed = reasons(OneSided)
    for name in ("conv3x3_stride2_even", "conv3x3_stride2_odd", "depthwise3x3_stride2_even"):
        assert failed[name, "infer"].startswith("the output is off by")


def test_a_biased_running_variance_is_caught_and_named() -> None:
    """In training alone, where the state moves; the mean is right."""
    failed = reasons(Biased)
    assert {direction for _, direction in failed} == {"train"}
    assert failed["batch_norm_of_four_values", "train"].startswith(
        "the new batch-norm state bn.var is off by 0.0"
    )


def test_a_swapped_flatten_order_is_caught_and_named() -> None:
    failed = reasons(ChannelFastest)
    assert failed["flatten", "infer"].startswith("the output is off by")
    assert failed["flatten_linear", "train"].startswith("the loss is off by")
    flat = ("linear", "linear_no_bias", "global_avg_pool", "image_output", "avg_pool7")
    assert not any(name in flat for name, _ in failed)


def test_a_gradient_scaled_by_a_hundredth_is_caught_and_named() -> None:
    failed = reasons(Stretched)
    for direction in ("fwd_bwd", "train"):
        assert failed["conv3x3", direction] == (
            "the gradient of conv.weight is 1.0100 times the reference's (allowed: 1 ± 0.003)"
        )
    assert not any(direction == "infer" for _, direction in failed)
    assert reasons(StretchedInput)["conv3x3", "fwd_bwd"] == (
        "the gradient of input is 1.0100 times the reference's (allowed: 1 ± 0.003)"
    )


def test_a_scaled_gradient_is_caught_in_float64_too() -> None:
    found = verified(Stretched, catalogue.get("check_conv3x3"), "fwd_bwd", "float64")
    assert found.reason is not None
    assert found.reason.startswith("the gradient of conv.weight is 1.0100 times")


@pytest.mark.parametrize("rate", [0.0, 0.9, 1.1])
def test_one_parameter_updated_at_another_rate_is_caught_and_named(rate: float) -> None:
    class Careless(Reference):
        def train(self, workload: Any, lr: float, momentum: float) -> Any:
            step = super().train(workload, lr, momentum)

            def careless(state: Any, x: Node, y: Node) -> Any:
                before = state.params["block.1.bn.shift"].value.copy()
                new, loss = step(state, x, y)
                after = new.params["block.1.bn.shift"]
                after.value = (before + rate * (after.value - before)).astype(before.dtype)
                return new, loss

            return careless

    found = verified(Careless, catalogue.get("check_residual"), "train")
    off = f"{abs(rate - 1):.2g}"
    assert found.reason is not None
    assert found.reason.startswith(
        f"the updated value of block.1.bn.shift is off by {off} of its update"
    )


# --- a network whose branches flip ----------------------------------------------------------------


class NoisyBranches(Reference):
    """Rounds so coarsely before a ReLU that some of its branches flip."""

    grain = 3e-4

    def relu(self, x: Node, consume: bool) -> Node:
        shape = x.value.shape
        noise = np.random.default_rng(len(self.tape._made)).standard_normal(shape) * self.grain
        positive = x.value + noise > 0
        return self.tape.record(np.maximum(x.value, 0), [x], lambda dy: [dy * positive])


class NoisyAndStretched(NoisyBranches):
    def conv2d(self, x: Node, weight: Node, *rest: Any) -> Node:
        return super().conv2d(x, _stretched(self, weight), *rest)


def test_flipped_branches_are_no_mistake_and_hide_none() -> None:
    workload = catalogue.get("resnet20").resized(16)
    answers = {
        kind: answer_at(kind, workload) for kind in (Reference, NoisyBranches, NoisyAndStretched)
    }
    oracle = answers[Reference]
    right = verify.compare(answers[NoisyBranches], oracle, "float32")
    distance = next(c.error for c in right.checked if c.quantity == "gradient")
    assert distance > 3e-3, "the test wants a noise that a scale of 1.01 could hide in"
    assert right.ok, right.reason
    wrong = verify.compare(answers[NoisyAndStretched], oracle, "float32")
    assert wrong.reason is not None
    assert ".weight is 1.01" in wrong.reason


def answer_at(kind: type[Reference], workload: Workload) -> dict[str, np.ndarray]:
    cell = Cell(kind(), workload, 4, "fwd_bwd")
    cell.build()
    return cell.answer(cell.step())


# --- the comparison itself ------------------------------------------------------------------------


def gradient(*values: float) -> np.ndarray:
    return np.array(values)


def test_a_gradient_that_should_be_zero_may_be_rounding_but_no_more() -> None:
    oracle = {"gradient:w": gradient(1, 2, 2), "gradient:b": gradient(1e-17, -1e-17)}
    rounding = {"gradient:w": gradient(1, 2, 2), "gradient:b": gradient(3e-7, -4e-7)}
    assert verify.compare(rounding, oracle, "float32").ok
    more = rounding | {"gradient:b": gradient(3e-4, -4e-4)}
    assert verify.compare(more, oracle, "float32").reason == (
        "the gradient of b should be zero and is off by 0.00017 of the largest one's norm"
        " (allowed: 1e-05)"
    )


def test_a_small_gradient_is_held_to_the_same_length_as_a_large_one() -> None:
    oracle = {"gradient:w": gradient(1, 2, 2), "gradient:b": gradient(3e-4, 4e-4)}
    missing = {"gradient:w": gradient(1, 2, 2), "gradient:b": gradient(0, 0)}
    reason = verify.compare(missing, oracle, "float32").reason
    assert reason is not None and reason.startswith("the gradient of b is 0.0000 times")


def test_gradients_that_point_elsewhere_are_caught() -> None:
    rng = np.random.default_rng(0)
    ref, off = rng.standard_normal((2, 10_000))
    off -= ref * (off @ ref) / (ref @ ref)
    found = verify.compare({"gradient:w": ref + 0.1 * off}, {"gradient:w": ref}, "float32")
    assert found.reason is not None
    assert found.reason.startswith("the gradients are off by 0.1 of their norm, that of w most")


@pytest.mark.parametrize("quantity", ["output", "loss", "stats:bn.var", "gradient:w"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_wrong(quantity: str, value: float) -> None:
    found = verify.compare({quantity: gradient(1, value)}, {quantity: gradient(1, 2)}, "float32")
    assert not found.ok
    assert found.reason is not None and found.reason.endswith("holds values that are not finite")


def test_what_is_missing_or_has_another_shape_is_wrong() -> None:
    oracle = {"loss": np.array(1.0), "gradient:conv.weight": np.ones((2, 3))}
    found = verify.compare({"loss": np.array(1.0)}, oracle, "float32")
    assert found.reason == "the gradient of conv.weight is missing"
    turned = oracle | {"gradient:conv.weight": np.ones((3, 2))}
    found = verify.compare(turned, oracle, "float32")
    assert found.reason == "the gradient of conv.weight has shape (3, 2), expected (2, 3)"


def test_an_empty_oracle_is_no_proof() -> None:
    with pytest.raises(ValueError, match="nothing to verify"):
        verify.compare({"output": np.ones(1)}, {}, "float32")


def test_gates_widen_on_a_device_with_the_length_of_the_sums_and_nowhere_else() -> None:
    oracle, off = {"output": gradient(1.0, 0.5)}, {"output": gradient(1.00005, 0.5)}
    assert verify.compare(off, oracle, "float32", device="cuda", reduction=4608).ok
    assert not verify.compare(off, oracle, "float32", device="cuda", reduction=64).ok
    assert not verify.compare(off, oracle, "float32", device="cpu", reduction=4608).ok


class Winograd(Reference):
    """Its convolutions are off as a float32 kernel by Winograd is, of 512 channels."""

    def conv2d(self, x: Node, weight: Node, *rest: Any) -> Node:
        y = super().conv2d(x, weight, *rest)
        noise = np.random.default_rng(len(self.tape._made)).standard_normal(y.value.shape)
        y.value = y.value + 4.5e-6 * y.value.std() * noise
        return y


class TenBits(Reference):
    """Its convolutions read ten bits of fraction, as TF32's do."""

    def conv2d(self, *arguments: Any) -> Node:
        x, weight, *rest = arguments
        return super().conv2d(self._rounded(x), self._rounded(weight), *rest)

    def _rounded(self, x: Node) -> Node:
        fraction, exponent = np.frexp(x.value)
        value = np.ldexp(np.round(fraction * 2**11) / 2**11, exponent)
        return self.tape.record(value, [x], lambda dy: [dy])


def test_a_gpu_s_float32_by_winograd_is_right_in_a_deep_training_and_tf32_is_not() -> None:
    """As deep as ResNet-50, of fewer channels, on images as small as its last."""

    def bottlenecks(net: Any, x: Any) -> Any:
        for number in range(17):
            x = bottleneck(net, x, f"block{number}", 64)
        return net.linear("fc", net.global_avg_pool(x), 10)

    workload, answers = Workload("deep", "check", bottlenecks, (64, 4, 4), 2, ""), {}
    for kind in (Reference, Winograd, TenBits):
        cell = Cell(kind(), workload, 2, "train")
        cell.build()
        answers[kind] = cell.answer(cell.step())
    right, wrong = (
        verify.compare(answers[kind], answers[Reference], "float32", "cuda", reduction=4608)
        for kind in (Winograd, TenBits)
    )
    length = next(check.error for check in right.checked if check.quantity == "gradient scale")
    assert length > verify.GATES["float32"].length  # which is a CPU's gate
    assert right.ok, right.reason
    assert "stats" in {check.quantity for check in wrong.checked if not check.ok}


def test_the_distance_of_gradients_may_be_wider_on_a_device_and_not_any() -> None:
    """0.077 is ResNet-50's, of noise as above."""
    ref, off = np.random.default_rng(0).standard_normal((2, 10_000))
    off -= ref * (off @ ref) / (ref @ ref)
    oracle, noisy, elsewhere = ({"gradient:w": ref + part * off} for part in (0, 0.077, 0.5))
    assert verify.compare(noisy, oracle, "float32", "cuda", reduction=4608).ok
    assert not verify.compare(noisy, oracle, "float32", "cpu", reduction=4608).ok
    assert not verify.compare(noisy, oracle, "float32", "cuda", reduction=64).ok
    assert not verify.compare(elsewhere, oracle, "float32", "cuda", reduction=4608).ok


def test_gates_widen_with_the_batch_norms_of_a_training_and_not_of_a_shallow_one() -> None:
    def found(norms: int, error: float) -> verify.Verification:
        scales = {f"gradient:{n}.bn.scale": gradient(1, 1) for n in range(norms)}
        oracle = scales | {"loss": gradient(1.0), "stats:0.bn.var": gradient(1.0, 0.5)}
        off = {"loss": gradient(1 + error / 3), "stats:0.bn.var": gradient(1 + error, 0.5)}
        return verify.compare(scales | off, oracle, "float32")

    assert found(norms=53, error=4.7e-5).ok
    assert not found(norms=53, error=2e-4).ok
    assert not found(norms=16, error=1.1e-5).ok


@pytest.mark.parametrize("count", [98, 784])
def test_a_biased_running_variance_shows_in_a_deep_network_too(count: int) -> None:
    """98 values a channel are the last stage of ResNet-50 at a batch of 2, 784 at 16."""
    scales = {f"gradient:{n}.bn.scale": gradient(1, 1) for n in range(53)}
    oracle = scales | {"stats:0.bn.var": gradient(0.9 + 0.1 * count / (count - 1))}
    found = verify.compare(scales | {"stats:0.bn.var": gradient(1.0)}, oracle, "float32")
    assert not found.ok


def test_float64_is_held_to_float64() -> None:
    oracle, off = {"output": gradient(1.0, 0.5)}, {"output": gradient(1.0 + 1e-9, 0.5)}
    assert verify.compare(off, oracle, "float32").ok
    assert not verify.compare(off, oracle, "float64").ok


def test_a_record_of_a_verification_is_plain_json() -> None:
    found = verify.compare({"output": gradient(1, 3)}, {"output": gradient(1, 2)}, "float32")
    assert found.as_dict(rows=2) == {
        "ok": False,
        "rows": 2,
        "ran": verify.LOW,
        "ran_error": 0.5,
        "checked": [
            {"quantity": "output", "where": "", "error": 0.5, "gate": 1e-5, "ok": False},
        ],
    }
