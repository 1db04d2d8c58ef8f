"""Claims about the reference: what each operation means, and that its gradient is its gradient."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from adapters.core.reference import Consumed, Reference
from adapters.core.tape import Node
from harness.worker.cell import Cell
from suites import catalogue
from suites.workload import Workload

Operation = Callable[..., Node]


def leaf(*values: Any, shape: tuple[int, ...] | None = None) -> Node:
    array = np.array(values, dtype=np.float64)
    return Node(array.reshape(shape) if shape else array)


def randoms(*shapes: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


# --- gradients, against central differences ---------------------------------------------------


def weighted(ops: Reference, y: Node, weights: np.ndarray) -> Node:
    """A scalar in which every value of y counts differently."""
    total = np.asarray((y.value * weights).sum())
    return ops.tape.record(total, [y], lambda dy: [dy * weights])


def assert_gradients(operation: Operation, arrays: list[np.ndarray]) -> None:
    """Every element of every argument, by (f(x + h) - f(x - h)) / 2h."""
    ops = Reference()
    leaves = [Node(array, wanted=True) for array in arrays]
    y = operation(ops, *leaves)
    (weights,) = randoms(y.value.shape, seed=1)
    ops.tape.backward(weighted(ops, y, weights))

    def value(moved: list[np.ndarray]) -> float:
        return float((operation(Reference(), *map(Node, moved)).value * weights).sum())

    step = 1e-5
    for number, array in enumerate(arrays):
        expected = np.empty_like(array)
        for place in np.ndindex(*array.shape):
            up, down = [[a.copy() for a in arrays] for _ in range(2)]
            up[number][place] += step
            down[number][place] -= step
            expected[place] = (value(up) - value(down)) / (2 * step)
        np.testing.assert_allclose(leaves[number].grad, expected, rtol=1e-6, atol=1e-7)


# x, weight, stride, padding, groups
CONVOLUTIONS = {
    "1x1": ((2, 3, 3, 4), (2, 3, 1, 1), (1, 1), (0, 0), 1),
    "padded": ((2, 2, 4, 3), (3, 2, 3, 3), (1, 1), (1, 1), 1),
    "strided, even": ((1, 2, 6, 4), (2, 2, 3, 3), (2, 2), (1, 1), 1),
    "strided, odd": ((1, 2, 5, 7), (2, 2, 3, 3), (2, 2), (1, 1), 1),
    "rows left over": ((1, 1, 8, 9), (2, 1, 3, 3), (4, 3), (0, 0), 1),
    "not square": ((1, 2, 4, 7), (2, 2, 2, 5), (2, 1), (1, 2), 1),
    "padded beyond the kernel": ((1, 1, 3, 2), (2, 1, 2, 2), (1, 1), (2, 2), 1),
    "grouped": ((2, 4, 3, 4), (6, 2, 2, 3), (1, 1), (0, 1), 2),
    "depthwise": ((2, 3, 4, 5), (3, 1, 3, 3), (2, 2), (1, 1), 3),
    "depthwise, doubled": ((1, 2, 4, 3), (4, 1, 3, 3), (1, 1), (1, 1), 2),
}


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_the_gradient_of_a_convolution(case: Any, bias: bool) -> None:
    x, weight, stride, padding, groups = case

    def conv(ops: Reference, x: Node, weight: Node, bias: Node | None = None) -> Node:
        return ops.conv2d(x, weight, bias, stride, padding, groups)

    assert_gradients(conv, randoms(x, weight, *([(weight[0],)] if bias else [])))


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_a_convolution_is_its_definition(case: Any) -> None:
    """Sum over the kernel and the group's channels of padded input times weight, unflipped."""
    x_shape, w_shape, stride, padding, groups = case
    x, w = randoms(x_shape, w_shape)
    y = Reference().conv2d(Node(x), Node(w), None, stride, padding, groups).value
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    (outputs, per_group, height, width), expected = w.shape, np.empty_like(y)
    for n, o, i, j in product(*map(range, y.shape)):
        first, top, left = o // (outputs // groups) * per_group, i * stride[0], j * stride[1]
        channels = slice(first, first + per_group)
        window = padded[n, channels, top : top + height, left : left + width]
        expected[n, o, i, j] = (window * w[o]).sum()
    extents = [
        (size + 2 * p - k) // s + 1
        for size, p, k, s in zip(x_shape[2:], padding, w_shape[2:], stride, strict=True)
    ]
    assert y.shape == (x_shape[0], outputs, *extents)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("operation", "shapes"),
    [
        (lambda ops, x, w: ops.linear(x, w, None), [(3, 4), (2, 4)]),
        (lambda ops, x, w, b: ops.linear(x, w, b), [(3, 4), (2, 4), (2,)]),
        (lambda ops, x: ops.relu(x, consume=False), [(2, 3, 2, 2)]),
        (lambda ops, a, b: ops.add(a, b), [(2, 3), (2, 3)]),
        (lambda ops, a: ops.add(a, a), [(2, 3)]),
        (lambda ops, x: ops.max_pool(x, (2, 2), (2, 2), (0, 0)), [(2, 2, 5, 4)]),
        (lambda ops, x: ops.max_pool(x, (3, 3), (2, 2), (1, 1)), [(1, 2, 6, 5)]),
        (lambda ops, x: ops.max_pool(x, (2, 3), (1, 2), (1, 0)), [(1, 2, 3, 7)]),
        (lambda ops, x: ops.avg_pool(x, (3, 3), (2, 2), (1, 1)), [(1, 2, 6, 5)]),
        (lambda ops, x: ops.avg_pool(x, (2, 3), (2, 1), (0, 1)), [(1, 2, 5, 4)]),
        (lambda ops, x: ops.global_avg_pool(x), [(2, 3, 3, 2)]),
        (lambda ops, a, b, c: ops.concat([a, b, c]), [(2, n, 2, 3) for n in (1, 3, 2)]),
        (lambda ops, x: ops.concat([x, x]), [(2, 2, 2, 1)]),
        (lambda ops, x: ops.flatten(x), [(2, 3, 2, 2)]),
        (lambda ops, x: ops.cross_entropy(x, Node(np.array([2, 0, 3]))), [(3, 4)]),
    ],
)
def test_the_gradient_of_an_operation(operation: Operation, shapes: list[tuple[int, ...]]) -> None:
    assert_gradients(operation, randoms(*shapes))


@pytest.mark.parametrize("shape", [(3, 2, 3, 1), (2, 3, 1, 1)])
def test_the_gradient_of_a_batch_norm_flows_through_the_batch_statistics(
    shape: tuple[int, ...],
) -> None:
    channels = shape[1]

    def normalised(ops: Reference, x: Node, scale: Node, shift: Node) -> Node:
        state = Node(np.zeros(channels)), Node(np.ones(channels))
        return ops.batch_norm_train(x, scale, shift, *state, 0.1, 1e-2)[0]

    assert_gradients(normalised, randoms(shape, (channels,), (channels,)))


@pytest.mark.parametrize("name", ["check_residual_down", "check_concat", "check_relu_of_the_input"])
def test_the_gradient_of_a_network_predicts_its_loss(name: str) -> None:
    """Along a random direction through the input and all parameters."""
    workload = catalogue.get(name)
    cell = Cell(Reference(), workload, workload.batch, "fwd_bwd")
    trained = {n for n, p in cell.parameters.items() if p.trained}
    call = Reference().gradients(workload, trained)
    values = {n: p.initial(n, 0).astype(float) for n, p in cell.parameters.items()}
    (image,) = randoms((workload.batch, *workload.input))
    labels = Node(np.arange(workload.batch))
    _, grads = call({n: Node(v) for n, v in values.items()}, Node(image), labels)
    assert set(grads) == trained | {"input"}
    rng = np.random.default_rng(2)
    towards = {n: rng.standard_normal(g.value.shape) for n, g in grads.items()}

    def loss(step: float) -> float:
        moved = {n: Node(v + step * towards[n] if n in trained else v) for n, v in values.items()}
        return float(call(moved, Node(image + step * towards["input"]), labels)[0].value)

    slope = sum((g.value * towards[n]).sum() for n, g in grads.items())
    assert slope == pytest.approx((loss(1e-6) - loss(-1e-6)) / 2e-6, rel=1e-6)


# --- values, by hand ----------------------------------------------------------------------------


def test_a_convolution_by_hand_does_not_flip_its_kernel() -> None:
    x = leaf(*range(1, 10), shape=(1, 1, 3, 3))
    w = leaf(1, 2, 3, 4, shape=(1, 1, 2, 2))
    y = Reference().conv2d(x, w, leaf(0.5), (1, 1), (0, 0), 1)
    np.testing.assert_array_equal(y.value[0, 0], [[37.5, 47.5], [67.5, 77.5]])


def test_a_linear_layer_by_hand() -> None:
    x, w = leaf(1, 2, shape=(1, 2)), leaf(3, 4, 5, 6, 7, 8, shape=(3, 2))
    y = Reference().linear(x, w, leaf(0, 0, 1))
    np.testing.assert_array_equal(y.value, [[11, 17, 24]])


def test_flatten_is_channel_slowest() -> None:
    x = leaf(*range(12), shape=(1, 3, 2, 2))
    np.testing.assert_array_equal(Reference().flatten(x).value, [range(12)])


def test_max_pool_pads_with_minus_infinity() -> None:
    x = leaf(-1, -2, -3, -4, shape=(1, 1, 2, 2))
    y = Reference().max_pool(x, (2, 2), (2, 2), (1, 1))
    np.testing.assert_array_equal(y.value[0, 0], [[-1, -2], [-3, -4]])


def test_avg_pool_counts_its_padding() -> None:
    x = leaf(4, 8, 12, 16, shape=(1, 1, 2, 2))
    y = Reference().avg_pool(x, (2, 2), (2, 2), (1, 1))
    np.testing.assert_array_equal(y.value[0, 0], [[1, 2], [3, 4]])


def test_global_avg_pool_and_concat_by_hand() -> None:
    ops = Reference()
    a, b = leaf(1, 3, shape=(1, 1, 1, 2)), leaf(5, 6, 7, 8, shape=(1, 2, 1, 2))
    joined = ops.concat([a, b])
    np.testing.assert_array_equal(joined.value[0, :, 0], [[1, 3], [5, 6], [7, 8]])
    np.testing.assert_array_equal(ops.global_avg_pool(joined).value, [[2, 5.5, 7.5]])


def test_the_gradient_of_relu_at_zero_is_zero() -> None:
    ops, x = Reference(), Node(np.array([[-1.0, 0.0, 2.0]]), wanted=True)
    y = ops.relu(x, consume=False)
    ops.tape.backward(weighted(ops, y, np.ones((1, 3))))
    np.testing.assert_array_equal(x.grad, [[0, 0, 1]])


def test_cross_entropy_by_hand_and_far_out() -> None:
    labels = Node(np.array([0, 1]))
    logits = leaf(0, np.log(3), 0, np.log(3), shape=(2, 2))
    loss = Reference().cross_entropy(logits, labels)
    assert loss.value.shape == ()
    assert loss.value == pytest.approx((np.log(4) + np.log(4 / 3)) / 2, rel=1e-14)
    far = Reference().cross_entropy(leaf(2000, 0, 0, 1000, shape=(2, 2)), labels)
    assert far.value == 0.0


def test_batch_norm_normalises_by_the_biased_variance_and_keeps_the_unbiased_one() -> None:
    x = leaf(1, 2, 3, 6, shape=(2, 1, 1, 2))  # mean 3, squares 14
    y, mean, var = Reference().batch_norm_train(
        x, leaf(2), leaf(1), leaf(1), leaf(2), momentum=0.1, eps=0.5
    )
    np.testing.assert_allclose(y.value.ravel(), 2 * np.array([-2, -1, 0, 3]) / 2 + 1)
    assert mean.value == pytest.approx(0.9 * 1 + 0.1 * 3)
    assert var.value == pytest.approx(0.9 * 2 + 0.1 * 14 / 3)


def test_batch_norm_in_inference_uses_the_state_it_is_given() -> None:
    x = leaf(1, 2, 3, 6, shape=(2, 1, 1, 2))
    y = Reference().batch_norm(x, leaf(2), leaf(1), leaf(1), leaf(3.5), 0.5)
    np.testing.assert_allclose(y.value.ravel(), [1, 2, 3, 6])


# --- the handle that relu consumed ----------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda ops, x: ops.add(x, x),
        lambda ops, x: ops.relu(x, consume=False),
        lambda ops, x: ops.flatten(x),
        lambda ops, x: ops.concat([x, x]),
        lambda ops, x: ops.max_pool(x, (1, 1), (1, 1), (0, 0)),
        lambda ops, x: ops.conv2d(x, leaf(1, shape=(1, 1, 1, 1)), None, (1, 1), (0, 0), 1),
        lambda ops, x: ops.shape(x),
        lambda ops, x: ops.dump(x, "image"),
    ],
)
def test_a_consumed_tensor_cannot_be_used_again(use: Operation) -> None:
    ops, x = Reference(), leaf(1, 2, shape=(1, 1, 1, 2))
    ops.relu(x, consume=True)
    with pytest.raises(Consumed, match="consumed by relu: use what relu returned"):
        use(ops, x)


def test_what_was_flattened_is_consumed_with_what_it_was_and_neither_alone() -> None:
    for taken, kept in ((0, 1), (1, 0)):
        ops, x = Reference(), leaf(1, 2, shape=(1, 1, 1, 2))
        both = x, ops.flatten(x)
        ops.relu(both[taken], consume=True)
        with pytest.raises(Consumed):
            ops.shape(both[kept])


def test_a_workload_that_uses_a_consumed_tensor_is_refused_but_not_for_its_input() -> None:
    def after_relu(net: Any, x: Any) -> Any:
        y = net.conv("conv", x, 2, 1)
        return net.add(net.relu(y), y)

    workload = Workload("after_relu", "check", after_relu, (2, 3, 3), 2, "")
    call = Reference().infer(workload)
    (image, weight) = map(Node, randoms((2, 2, 3, 3), (2, 2, 1, 1)))
    with pytest.raises(Consumed):
        call({"conv.weight": weight}, image)
    call = Reference().infer(catalogue.get("check_relu_of_the_input"))
    np.testing.assert_array_equal(call({}, image).value, call({}, image).value)


# --- the verbs ------------------------------------------------------------------------------------


def test_an_inference_records_nothing_and_a_backward_pass_leaves_nothing() -> None:
    workload = catalogue.get("check_residual_down")
    for direction in ("infer", "fwd_bwd", "train"):
        ops = Reference()
        cell = Cell(ops, workload, 2, direction)
        cell.build()
        cell.step()
        assert ops.tape._made == []


def test_a_training_step_is_momentum_on_the_gradients_and_moves_the_state() -> None:
    workload, ops = catalogue.get("check_residual"), Reference()
    lr, momentum = 0.5, 0.9
    cell = Cell(ops, workload, workload.batch, "fwd_bwd")
    start = {n: Node(p.initial(n, 0).astype(float)) for n, p in cell.parameters.items()}
    trained = {n for n, p in cell.parameters.items() if p.trained}
    (image,) = map(Node, randoms((workload.batch, *workload.input)))
    labels = Node(np.arange(workload.batch))
    state = ops.start(start, trained)
    step, gradients = ops.train(workload, lr, momentum), ops.gradients(workload, trained)
    velocity = {n: np.zeros_like(start[n].value) for n in trained}
    for _ in range(2):
        before = {n: p.value.copy() for n, p in {**state.params, **state.stats}.items()}
        expected_loss, grads = gradients({n: Node(v) for n, v in before.items()}, image, labels)
        state, loss = step(state, image, labels)
        assert loss.value == expected_loss.value
        for name in trained:
            velocity[name] = momentum * velocity[name] + grads[name].value
            np.testing.assert_allclose(state.velocity[name].value, velocity[name])
            moved = before[name] - lr * velocity[name]
            np.testing.assert_allclose(state.params[name].value, moved)
        for name, stat in state.stats.items():
            assert not np.allclose(stat.value, before[name])
    for name, param in start.items():  # the step consumed copies
        np.testing.assert_array_equal(param.value, cell.parameters[name].initial(name, 0))
