"""Claims about Darknet: what it can say is right, what it cannot is refused, where it is absent
it is said what to install. The library itself is Debian's; without it those tests are skipped."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapters.core.base import Unsupported
from adapters.core.cost import declare
from adapters.darknet import LIBRARY, Darknet
from harness.check.conformance import Check
from suites import catalogue
from tests.support.checked import held, opened

REFUSED = {
    "conv5x20_stride2", "conv3x5_unequal", "max_pool_unequal", "avg_pool7", "avg_pool3_padded",
    "avg_pool3_stride2_padded", "batch_norm", "batch_norm_of_four_values", "batch_norm_eps",
}  # fmt: skip


@pytest.fixture
def check() -> Iterator[Check]:
    with opened("darknet") as found:
        yield found


def test_every_operation_block_and_clock_is_right_or_refused_with_a_reason(check: Check) -> None:
    held(check, REFUSED, "Darknet")


def test_whole_networks_are_right(check: Check) -> None:
    """Routes to earlier layers, shortcuts, strided 1x1 convolutions; batch norm twenty deep."""
    for name in ("threelayer", "lenet5", "resnet20"):
        finding = check._right(catalogue.get(name), "infer")
        assert finding is None, f"{name}: {finding}"


def written(function: Any, shape: tuple[int, ...] = (2, 4, 8, 8)) -> list[str]:
    """The sections that Darknet is given for a workload of this function; needs no library."""
    workload = SimpleNamespace(name="one", function=function, input=shape[1:])
    params = {n: p.initial(n, 0) for n, p in declare(workload).items()}
    adapter = Darknet.__new__(Darknet)
    adapter._write(workload, params, np.zeros(shape, np.float32))
    return [
        " ".join([layer.kind, *(f"{k}={v}" for k, v in layer.options.items())])
        for layer in adapter.layers
    ]


def test_batch_norm_and_relu_join_the_convolution_before_them() -> None:
    def function(net: Any, x: Any) -> Any:
        return net.relu(net.batch_norm("bn", net.conv("conv", x, 4, 3, 1, 1)))

    assert written(function) == [
        "convolutional filters=4 size=3 stride=1 padding=1 groups=1 activation=relu "
        "batch_normalize=1"
    ]


def test_what_another_layer_has_read_is_joined_by_nothing() -> None:
    """The sum reads the convolution before the relu: it must not see it after."""

    def function(net: Any, x: Any) -> Any:
        y = net.conv("conv", x, 4, 3, 1, 1)
        z = net.add(net.max_pool(y, 1), y)
        return net.add(net.relu(y), z)

    kinds = [line.partition(" ")[0] for line in written(function)]
    assert kinds == ["convolutional", "maxpool", "shortcut", "route", "activation", "shortcut"]


def test_an_input_that_is_read_again_is_copied_by_a_first_layer() -> None:
    def function(net: Any, x: Any) -> Any:
        return net.add(net.conv("conv", x, 4, 3, 1, 1), x)

    lines = written(function)
    assert lines[0] == "activation activation=linear"
    assert lines[2] == "shortcut from=0 activation=linear"


def test_the_stride_that_a_1x1_convolution_would_ignore_goes_before_it() -> None:
    lines = written(lambda net, x: net.conv("conv", x, 6, 1, 2))
    assert lines[0] == "maxpool size=1 stride=2 padding=0" and "stride=1" in lines[1]


def test_what_darknet_cannot_say_is_refused() -> None:
    with pytest.raises(Unsupported, match="square: not 3 x 5"):
        written(lambda net, x: net.conv("conv", x, 4, (3, 5), 1, (1, 2)))
    with pytest.raises(Unsupported, match="only behind a convolution without a bias"):
        written(lambda net, x: net.batch_norm("bn", net.conv("conv", x, 4, 3, bias=True)))
    with pytest.raises(Unsupported, match="ignores its padding"):
        written(lambda net, x: net.conv("conv", x, 4, 1, 1, 1))


def test_where_it_is_absent_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(LIBRARY, str(tmp_path / "libdarknet.so"))
    reason = Darknet.missing("")
    assert reason is not None and "apt-get install darknet" in reason
    assert Darknet.variants[""].joins == ()  # a run of everyone leaves it out
