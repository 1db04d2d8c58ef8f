"""Conformance: every operation, from the smallest up, at sizes that show mistakes.

These workloads are run by tests only, in every direction. Each ends in `flatten`, whose
result serves as logits, so that the gradient that comes back is dense and different
everywhere: a pooled one would hide a swapped axis. Odd sizes, unequal pairs and tiny
batches are where frameworks differ from each other.
"""

from collections.abc import Callable
from typing import Any

from suites.blocks import basic
from suites.workload import Workload, add

Function = Callable[[Any, Any], Any]


def _check(
    name: str, input: tuple[int, ...], function: Function, batch: int = 2, flat: bool = True
) -> None:
    def flattened(net: Any, x: Any) -> Any:
        y = function(net, x)
        return net.flatten(y) if len(net.shape(y)) == 4 else y

    chosen = flattened if flat else function
    add(Workload(f"check_{name}", "check", chosen, input, batch, name, input_gradient=True))


def _conv(name: str, input: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    _check(name, input, lambda net, x: net.conv("conv", x, *arguments, **options))


_check("flatten", (3, 4, 5), lambda net, x: net.flatten(x))
# Each comes after what else it uses: the first that is wrong names the operation that is.
_check("add", (3, 5, 4), lambda net, x: net.add(x, x))
_check("relu_of_the_input", (3, 5, 4), lambda net, x: net.add(net.relu(x), x))
_check("linear", (7,), lambda net, x: net.linear("fc", x, 5), batch=3)
_check("linear_no_bias", (7,), lambda net, x: net.linear("fc", x, 5, bias=False), batch=3)
_check("flatten_linear", (3, 4, 5), lambda net, x: net.linear("fc", net.flatten(x), 6))
_check("global_avg_pool", (6, 5, 4), lambda net, x: net.global_avg_pool(x))

_conv("conv1x1", (5, 6, 7), 4, 1)
_conv("conv1x1_stride2", (5, 6, 7), 4, 1, 2)
_conv("conv3x3", (4, 7, 6), 5, 3, padding=1)
_conv("conv3x3_bias", (4, 7, 6), 5, 3, padding=1, bias=True)
_conv("conv3x3_unpadded", (4, 7, 6), 5, 3)
_conv("conv3x3_stride2_even", (4, 8, 8), 5, 3, 2, 1)
_conv("conv3x3_stride2_odd", (4, 7, 9), 5, 3, 2, 1)
_conv("conv5x5", (3, 9, 8), 4, 5, padding=2)
_conv("conv7x7_stride2", (3, 17, 16), 4, 7, 2, 3)
_conv("conv9x9", (3, 12, 11), 4, 9)
_conv("conv11x11_stride4", (3, 27, 31), 4, 11, 4, 2)
_conv("conv5x20_stride2", (1, 11, 29), 3, (5, 20), 2)
_conv("conv3x5_unequal", (3, 10, 11), 4, (3, 5), (2, 1), (0, 2))
_conv("conv3x3_overpadded", (3, 5, 4), 4, 3, padding=2)
_conv("conv3x3_groups2", (6, 7, 6), 4, 3, padding=1, groups=2)
_conv("conv3x3_groups2_stride2", (6, 7, 8), 4, 3, 2, 1, groups=2)
_conv("depthwise3x3", (6, 7, 6), 6, 3, padding=1, groups=6)
_conv("depthwise3x3_stride2_even", (6, 8, 8), 6, 3, 2, 1, groups=6)
_conv("depthwise3x3_stride2_odd", (6, 7, 9), 6, 3, 2, 1, groups=6)
_conv("depthwise_doubled", (4, 7, 6), 8, 3, padding=1, groups=4)

_check("max_pool2", (3, 8, 6), lambda net, x: net.max_pool(x, 2))
_check("max_pool2_odd", (3, 7, 9), lambda net, x: net.max_pool(x, 2))
# Channels enough that some window at the border holds no positive value: padding with zeros shows.
_check("max_pool3_stride2_padded", (8, 8, 7), lambda net, x: net.max_pool(x, 3, 2, 1))
_check("max_pool3_stride1_padded", (3, 5, 6), lambda net, x: net.max_pool(x, 3, 1, 1))
_check("max_pool_unequal", (3, 8, 9), lambda net, x: net.max_pool(x, (2, 3), (2, 1), (0, 1)))
_check("avg_pool7", (5, 7, 7), lambda net, x: net.avg_pool(x, 7, 1))
_check("avg_pool3_padded", (3, 6, 7), lambda net, x: net.avg_pool(x, 3, 1, 1))
_check("avg_pool3_stride2_padded", (3, 8, 7), lambda net, x: net.avg_pool(x, 3, 2, 1))

_check("batch_norm", (4, 5, 3), lambda net, x: net.batch_norm("bn", x), batch=3)
_check("batch_norm_of_four_values", (3, 1, 2), lambda net, x: net.batch_norm("bn", x))
# The variances here are about 1, beside which the usual eps of 1e-5 is nothing.
_check("batch_norm_eps", (4, 5, 3), lambda net, x: net.batch_norm("bn", x, eps=0.5), batch=3)


def _relu_consuming(net: Any, x: Any) -> Any:
    return net.relu(net.conv("conv", x, 5, 3, padding=1))


def _concat(net: Any, x: Any) -> Any:
    return net.concat([net.conv("a", x, 3, 1), x, net.conv("b", x, 2, 3, padding=1)])


_check("relu_consuming", (4, 6, 6), _relu_consuming)
_check("concat", (4, 6, 5), _concat)
_check("residual", (6, 8, 7), lambda net, x: basic(net, x, "block", 6), batch=3)
_check("residual_down", (6, 8, 7), lambda net, x: basic(net, x, "block", 8, 2), batch=3)
# Ends in an image, as microbenchmarks do.
_check("image_output", (4, 6, 5), lambda net, x: net.conv("conv", x, 5, 3, padding=1), flat=False)
