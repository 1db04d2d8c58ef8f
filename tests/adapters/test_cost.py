"""Claims about the cost model: what is counted, by hand, and what cannot be."""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.core.cost import cost, declare
from suites import catalogue
from suites.workload import Workload

Function = Callable[[Any, Any], Any]


def workload(
    function: Function, input: tuple[int, ...] = (3, 5, 5), input_gradient: bool = False
) -> Workload:
    return Workload("tried", "check", function, input, 2, "", input_gradient)


def test_a_convolution_by_hand() -> None:
    made = workload(lambda net, x: net.conv("c", x, 4, 3, 2, 1, bias=True))
    counted = cost(made, 2, "infer")
    (operation,) = counted.operations
    assert counted.output == (2, 4, 3, 3)
    assert operation.reduction == 3 * 3 * 3
    assert counted.flops == 2 * (2 * 4 * 3 * 3) * 27
    assert counted.bytes == 4 * (2 * 3 * 25 + 4 * 27 + 4 + 2 * 4 * 9)
    assert counted.parameters == 4 * 27 + 4
    assert counted.activations == 2 * 4 * 9


def test_a_grouped_convolution_adds_up_its_group_alone() -> None:
    made = workload(lambda net, x: net.conv("c", x, 6, 3, groups=3), (3, 5, 5))
    counted = cost(made, 1, "infer")
    assert counted.operations[0].reduction == 9
    assert counted.flops == 2 * (6 * 3 * 3) * 9
    assert counted.parameters == 6 * 9


def test_a_linear_layer_by_hand() -> None:
    counted = cost(workload(lambda net, x: net.linear("fc", x, 5), (7,)), 3, "infer")
    assert counted.flops == 2 * 3 * 5 * 7
    assert counted.bytes == 4 * (3 * 7 + 5 * 7 + 5 + 3 * 5)
    assert counted.output == (3, 5)


def test_training_costs_three_forward_passes_and_two_for_a_first_layer() -> None:
    def two(net: Any, x: Any) -> Any:
        return net.conv("b", net.conv("a", x, 4, 1), 5, 1)

    first, second = (2 * 2 * 25 * n for n in (3 * 4, 4 * 5))
    for direction in ("train", "fwd_bwd"):
        assert cost(workload(two), 2, direction).flops == 2 * first + 3 * second
    asked = workload(two, input_gradient=True)
    assert cost(asked, 2, "fwd_bwd").flops == 3 * (first + second)
    assert cost(asked, 2, "train").flops == 2 * first + 3 * second  # an update does not want it


def test_a_layer_behind_nothing_but_reshaping_is_still_the_first() -> None:
    made = workload(lambda net, x: net.linear("fc", net.flatten(x), 5))
    assert cost(made, 2, "train").flops == 2 * cost(made, 2, "infer").flops


def test_what_a_compiler_can_fuse_moves_no_bytes_but_on_the_input_it_does() -> None:
    alone = cost(workload(lambda net, x: net.relu(x)), 2, "infer")
    assert alone.bytes == 4 * 2 * (2 * 3 * 25)
    conv = cost(workload(lambda net, x: net.conv("c", x, 4, 1)), 2, "infer")
    fused = cost(workload(lambda net, x: net.relu(net.conv("c", x, 4, 1))), 2, "infer")
    assert fused.bytes == conv.bytes
    assert fused.flops == conv.flops


def test_pooling_is_read_and_written_once_forward_and_once_backward() -> None:
    made = workload(lambda net, x: net.max_pool(net.conv("c", x, 4, 1), 5))
    pooling = cost(made, 2, "infer").operations[1]
    assert pooling.bytes == 4 * 2 * 4 * (25 + 1)
    infer, train = cost(made, 2, "infer"), cost(made, 2, "train")
    assert train.bytes == 2 * (infer.bytes - pooling.bytes) + 2 * pooling.bytes


# Parameters and multiply-adds per image as torchvision's documentation lists them.
PUBLISHED = {
    "resnet18": (11_689_512, 1.81e9),
    "resnet50": (25_557_032, 4.09e9),
    "alexnet": (61_100_840, 0.71e9),
    "vgg_a": (132_863_336, 7.61e9),
    "mobilenet_v2": (3_504_872, 0.30e9),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_known_networks_have_their_published_size(name: str) -> None:
    parameters, products = PUBLISHED[name]
    counted = cost(catalogue.get(name), 2, "infer")
    assert counted.parameters == parameters
    assert counted.flops == pytest.approx(2 * 2 * products, rel=0.01)
    assert counted.output == (2, 1000)


@pytest.mark.parametrize("name", catalogue.load())
def test_every_workload_can_be_at_its_usual_sizes(name: str) -> None:
    made = catalogue.get(name)
    for direction in ("infer", "fwd_bwd"):
        assert cost(made, made.batch, direction).output[0] == made.batch


def test_batch_norm_state_is_declared_and_is_no_trained_parameter() -> None:
    made = workload(lambda net, x: net.batch_norm("bn", x))
    assert list(declare(made)) == ["bn.scale", "bn.shift", "bn.mean", "bn.var"]
    assert cost(made, 2, "infer").parameters == 2 * 3


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda net, x: net.conv("c", x, 4, 7), r"conv2d: kernel \(7, 7\) does not fit into 5x5"),
        (lambda net, x: net.conv("c", x, 4, 3, 0), r"conv2d: impossible .* stride \(0, 0\)"),
        (lambda net, x: net.conv("c", x, 4, 3, 1, -1), r"conv2d: impossible .* \(-1, -1\)"),
        (lambda net, x: net.conv("c", x, 4, 3, groups=2), "conv2d of 3 to 4 .* 2 groups"),
        (lambda net, x: net.conv("c", x, 0, 3), "conv2d .* impossible shape"),
        (lambda net, x: net.linear("fc", x, 4), "linear wants .*flatten or pool first"),
        (lambda net, x: net.add(x, net.conv("c", x, 3, 3)), "add wants equal shapes"),
        (lambda net, x: net.concat([x, net.max_pool(x, 2)]), "concat wants equal N, H, W"),
        (lambda net, x: net.max_pool(x, 6), "max_pool: kernel .* does not fit"),
        (lambda net, x: net.max_pool(x, 3, 2, 2), "max_pool: padding .* more than half"),
        (lambda net, x: net.avg_pool(x, 3, 0), "avg_pool: impossible"),
        (lambda net, x: net.batch_norm("bn", net.flatten(x)), r"batch_norm wants \(N, C, H, W\)"),
        (lambda net, x: net.flatten(net.flatten(x)), "flatten wants"),
        (
            lambda net, x: net.add(net.conv("c", x, 3, 1), net.conv("c", x, 3, 3, 1, 1)),
            "parameter c.weight is used as",
        ),
    ],
)
def test_what_cannot_be_is_an_error_that_names_the_operation(
    function: Function, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cost(workload(function), 2, "infer")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # of equal outputs, and as many products in each value
        (
            lambda net, x: net.conv("c", x, 4, (1, 3), 1, (0, 1)),
            lambda net, x: net.conv("c", x, 4, (3, 1), 1, (1, 0)),
        ),
        (
            lambda net, x: net.conv("c", x, 3, 3, 1, 1),
            lambda net, x: net.conv("c", x, 3, 3, 1, 1, bias=True),
        ),
        (lambda net, x: net.conv("c", x, 3, 3, 2, 1), lambda net, x: net.conv("c", x, 3, 3)),
        (lambda net, x: net.max_pool(x, 3, 2, 1), lambda net, x: net.max_pool(x, 2, 2, 1)),
        (lambda net, x: net.batch_norm("n", x), lambda net, x: net.batch_norm("n", x, eps=0.5)),
    ],
)
def test_layers_of_one_output_that_differ_within_are_other_work(
    one: Function, other: Function
) -> None:
    hashes = [cost(workload(each), 2, "infer") for each in (one, other)]
    assert hashes[0].output == hashes[1].output
    assert hashes[0].identity != hashes[1].identity


def test_one_value_a_channel_can_be_inferred_but_not_trained() -> None:
    made = workload(lambda net, x: net.batch_norm("bn", net.avg_pool(x, 5)))
    cost(made, 1, "infer")
    cost(made, 2, "train")
    with pytest.raises(ValueError, match="batch_norm in training wants 2 values"):
        cost(made, 1, "train")


@pytest.mark.parametrize("use", [lambda net, y: net.add(y, y), lambda net, y: net.flatten(y)])
def test_a_tensor_that_relu_consumed_is_poisoned(use: Function) -> None:
    def again(net: Any, x: Any) -> Any:
        y = net.conv("c", x, 3, 1)
        net.relu(y)
        return use(net, y)

    with pytest.raises(ValueError, match="a tensor that relu has consumed"):
        cost(workload(again), 2, "infer")
    cost(workload(lambda net, x: net.add(net.relu(x), x)), 2, "infer")  # its input is only lent


@pytest.mark.parametrize("flat_first", [True, False])
def test_what_was_flattened_is_poisoned_with_what_it_was(flat_first: bool) -> None:
    """It may be a view."""

    def again(net: Any, x: Any) -> Any:
        y = net.conv("c", x, 3, 1)
        flat = net.flatten(y)
        net.relu(flat if flat_first else y)
        return net.flatten(y) if flat_first else net.linear("fc", flat, 5)

    with pytest.raises(ValueError, match="a tensor that relu has consumed"):
        cost(workload(again), 2, "infer")
