"""Microbenchmarks: single operations, at sizes that occur in well-known networks.

Names say what they are: `conv3x3_64_56` is a 3x3 convolution of 64 channels on 56x56.
A layer stands for one in the middle of a network, so a backward pass computes its
input's gradient too. Their loss is the cross-entropy of the output's mean over height
and width: the cheapest head that the algebra has.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suites.workload import Workload, add

DATA = Path(__file__).parent / "data"

Pair = tuple[int, int]


def _micro(
    name: str, function: Callable[[Any, Any], Any], input: tuple[int, ...], batch: int, summary: str
) -> None:
    add(Workload(name, "micro", function, input, batch, summary, input_gradient=True))


def _conv(
    name: str,
    input: tuple[int, ...],
    width: int,
    kernel: int | Pair,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    groups: int = 1,
    batch: int = 16,
    summary: str = "",
) -> None:
    def convolution(net: Any, x: Any) -> Any:
        return net.conv("conv", x, width, kernel, stride, padding, groups)

    _micro(name, convolution, input, batch, summary)


# --- elementwise --------------------------------------------------------------------------


def _relu(net: Any, x: Any) -> Any:
    return net.relu(x)


for _shape in ((16, 32, 32), (64, 56, 56), (64, 112, 112), (256, 56, 56)):
    _name = f"relu_{_shape[0]}x{_shape[1]}x{_shape[2]}"
    _micro(_name, _relu, _shape, 16, "ReLU alone: bound by memory, or by the call itself")

# --- convolutions: ResNet's and AlexNet's ---------------------------------------------------

_conv("conv1x1_64_256_56", (64, 56, 56), 256, 1, summary="1x1, a bottleneck's way out")
_conv("conv1x1_256_64_56", (256, 56, 56), 64, 1, summary="1x1, a bottleneck's way in")
_conv("conv3x3_64_56", (64, 56, 56), 64, 3, padding=1, summary="3x3, ResNet's first stage")
_conv("conv3x3_128_28", (128, 28, 28), 128, 3, padding=1, summary="3x3, ResNet's second stage")
_conv("conv3x3_256_14", (256, 14, 14), 256, 3, padding=1, summary="3x3, ResNet's third stage")
_conv("conv3x3_512_7", (512, 7, 7), 512, 3, padding=1, summary="3x3, ResNet's last stage")
_conv("conv3x3_64_128_56_stride2", (64, 56, 56), 128, 3, 2, 1, summary="3x3 with stride 2")
_conv("conv5x5_64_192_27", (64, 27, 27), 192, 5, padding=2, summary="5x5, AlexNet's second")
_conv("conv7x7_3_64_224_stride2", (3, 224, 224), 64, 7, 2, 3, summary="7x7, ResNet's first")
_conv("conv11x11_3_64_224_stride4", (3, 224, 224), 64, 11, 4, 2, summary="11x11, AlexNet's first")
_conv(
    "conv3x3_256_14_groups32",
    (256, 14, 14),
    256,
    3,
    padding=1,
    groups=32,
    summary="3x3 in 32 groups, the kind that ResNeXt has",
)
_conv(
    "depthwise3x3_144_56",
    (144, 56, 56),
    144,
    3,
    padding=1,
    groups=144,
    summary="3x3 depthwise, as MobileNetV2 has it",
)
_conv(
    "depthwise3x3_144_56_stride2",
    (144, 56, 56),
    144,
    3,
    2,
    1,
    groups=144,
    summary="3x3 depthwise with stride 2",
)

# --- the rest ---------------------------------------------------------------------------------


def _batch_norm(net: Any, x: Any) -> Any:
    return net.batch_norm("bn", x)


def _max_pool(net: Any, x: Any) -> Any:
    return net.max_pool(x, 3, 2, 1)


def _avg_pool(net: Any, x: Any) -> Any:
    return net.avg_pool(x, 3, 1, 1)


def _linear(net: Any, x: Any) -> Any:
    return net.linear("fc", x, 4096)


_micro("batch_norm_64_56", _batch_norm, (64, 56, 56), 16, "Batch norm alone")
_micro("max_pool3x3_64_112", _max_pool, (64, 112, 112), 16, "Max pooling, ResNet's")
_micro("avg_pool3x3_192_28", _avg_pool, (192, 28, 28), 16, "Average pooling, Inception's")
_micro("linear_4096", _linear, (4096,), 64, "A fully connected layer, AlexNet's second")

# --- the five layers of convnet-benchmarks ---------------------------------------------------

for _name, _input, _width, _kernel in (
    ("layer_l1", (3, 128, 128), 96, 11),
    ("layer_l2", (64, 64, 64), 128, 9),
    ("layer_l3", (128, 32, 32), 128, 9),
    ("layer_l4", (128, 16, 16), 128, 7),
    ("layer_l5", (384, 13, 13), 384, 3),
):
    _summary = f"convnet-benchmarks' layer {_name[-2:].upper()}, {_kernel}x{_kernel}"
    _conv(_name, _input, _width, _kernel, batch=128, summary=_summary)

# --- DeepBench ----------------------------------------------------------------------------------


def deepbench_shapes() -> list[dict[str, Any]]:
    """The rows of the table: `set` as it is, all else whole numbers."""
    with (DATA / "deepbench-conv-shapes.csv").open(newline="") as file:
        return [
            {key: value if key == "set" else int(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]


def _short(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def _deepbench() -> None:
    seen = set()
    for row in deepbench_shapes():
        kernel = (row["kernel_h"], row["kernel_w"])
        stride = (row["stride_h"], row["stride_w"])
        padding = (row["pad_h"], row["pad_w"])
        name = (
            f"deepbench_n{row['batch']}_c{row['in_channels']}_{row['height']}x{row['width']}"
            f"_o{row['out_channels']}_k{_short(kernel)}_s{_short(stride)}_p{_short(padding)}"
        )
        if name in seen:  # the same shape in another set
            continue
        seen.add(name)
        _conv(
            name,
            (row["in_channels"], row["height"], row["width"]),
            row["out_channels"],
            kernel,
            stride,
            padding,
            batch=row["batch"],
            summary="A convolution of DeepBench",
        )


_deepbench()
