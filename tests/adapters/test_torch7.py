"""Claims about Lua Torch: what nn can say is right, what it cannot is refused, where it is absent
it is said what to install. Held against a Torch of one's own where TORCH7_HOME names it, and
always against a stand-in that speaks its interface, in the LuaJIT that Debian packages."""

import ctypes.util
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapters.core.base import Unsupported
from adapters.core.cost import declare
from adapters.torch7 import HOME, Torch7
from harness.paths import ROOT
from suites import catalogue
from tests.support.checked import held, opened

STANDIN = ROOT / "tests/fakes/torch7"
REFUSED = {
    "conv3x3_groups2", "conv3x3_groups2_stride2", "depthwise3x3", "depthwise3x3_stride2_even",
    "depthwise3x3_stride2_odd", "depthwise_doubled", "mobilenet_block",
}  # fmt: skip


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> None:
    if ctypes.util.find_library("luajit-5.1") is None:
        pytest.skip("LuaJIT is not installed: `apt-get install libluajit-5.1-2`")
    monkeypatch.setenv(HOME, str(STANDIN))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_what_it_tells_a_stand_in_is_right(standin: None, precision: str) -> None:
    """Every operation: its output, gradients, three steps. Blocks would take plain loops long."""
    stages = {"the file", "arrays", "operations", "gradients", "training"}
    with opened("torch7", precision) as check:
        held(check, REFUSED - {"mobilenet_block"}, "Torch's nn", stages)


def test_a_network_with_branches_is_right_in_a_stand_in(standin: None) -> None:
    with opened("torch7") as check:
        finding = check._right(catalogue.get("resnet20"), "train")
        assert finding is None, finding


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_torch_itself_is_right_where_it_is_installed(precision: str) -> None:
    if HOME not in os.environ:
        pytest.skip(f"{HOME} names no installation of Lua Torch")
    with opened("torch7", precision) as check:
        held(check, REFUSED, "Torch's nn")
        for name in ("threelayer", "lenet5", "resnet20"):
            for direction in ("infer", "train"):
                finding = check._right(catalogue.get(name), direction)
                assert finding is None, f"{name}, {direction}: {finding}"


def written(
    function: Any, shape: tuple[int, ...] = (2, 4, 8, 8), training: bool = False
) -> list[str]:
    """The nodes that Torch is given for a workload of this function; needs no library."""
    workload = SimpleNamespace(name="one", function=function, input=shape[1:])
    named = {n: p.initial(n, 0) for n, p in declare(workload).items()}
    adapter = Torch7.__new__(Torch7)
    adapter._written(workload, {**named, "input": np.zeros(shape)}, training, False)
    return adapter.nodes


def test_a_network_is_written_as_modules_and_what_they_read() -> None:
    def function(net: Any, x: Any) -> Any:
        y = net.conv("conv", x, 5, (3, 5), (2, 1), (0, 2))
        return net.concat([y, net.relu(net.batch_norm("bn", y))])

    assert written(function) == [
        '{nn.SpatialConvolution(4, 5, 5, 3, 1, 2, 2, 0):noBias(), 0, weight = "conv.weight"}',
        '{nn.SpatialBatchNormalization(5, 1e-05), 1, weight = "bn.scale", bias = "bn.shift", '
        'running_mean = "bn.mean", running_var = "bn.var"}',
        "{nn.ReLU(true), 2}",
        "{nn.JoinTable(2), {1, 3}}",
    ]


def test_a_relu_leaves_alone_what_another_module_has_read() -> None:
    """Its backward pass reads it again; and what is flattened is the memory of another."""

    def function(net: Any, x: Any) -> Any:
        y = net.conv("conv", x, 4, 3, 1, 1)
        z = net.batch_norm("bn", y)
        return net.relu(net.flatten(net.add(z, net.relu(y))))

    kinds = [line[1:].partition(",")[0] for line in written(function)]
    assert kinds[2] == kinds[-1] == "nn.ReLU()"


def test_what_nn_cannot_say_is_refused() -> None:
    with pytest.raises(Unsupported, match="in groups"):
        written(lambda net, x: net.conv("conv", x, 4, 3, groups=2))
    with pytest.raises(Unsupported, match="single image"):
        written(lambda net, x: net.batch_norm("bn", x), (1, 4, 8, 8), training=True)


def test_where_it_is_absent_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))
    reason = Torch7.missing("")
    assert reason is not None and "torch/distro" in reason and HOME in reason
    assert Torch7.version() is None
    monkeypatch.setenv(HOME, str(STANDIN))
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    assert "apt-get install libluajit-5.1-2" in str(Torch7.missing(""))
    assert Torch7.variants[""].joins == ()  # a run of everyone leaves it out


@pytest.mark.parametrize(
    "ways, threads, told",
    [
        (2, 2, "OpenMP's threads"),
        (1, 2, "libopenblas0-openmp"),
        (1, 1, "one thread"),
        (0, 2, "one"),
    ],
)
def test_its_manifest_says_whose_threads_multiply(
    ways: int, threads: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = Torch7.__new__(Torch7)
    adapter.home, adapter.threads = STANDIN, threads
    assert adapter._blas().startswith("not OpenBLAS")  # the stand-in has no libTH.so
    library = SimpleNamespace(openblas_get_parallel=lambda: ways)
    monkeypatch.setattr(ctypes, "CDLL", lambda path: library)
    assert told in adapter._blas()
