"""Claims about workloads and suites: they are what their papers and sources say."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import suites
from adapters.core.cost import cost, declare, output_shape
from harness import durations
from harness.errors import Wrong
from harness.plan import planning, suite
from harness.stats import uses
from suites import catalogue, micro
from suites.workload import Workload

PARAMETERS = {
    "resnet18": 11_689_512,  # torchvision
    "resnet50": 25_557_032,  # torchvision, v1.5
    "alexnet": 61_100_840,  # torchvision
    "vgg_a": 132_863_336,  # torchvision's vgg11
    "mobilenet_v2": 3_504_872,  # torchvision
    "googlenet": 6_998_552,  # without auxiliary classifiers
    "overfeat": 145_920_872,  # by hand, from convnet-benchmarks' table
    "lenet5": 61_706,  # with all of C3's connections
    "resnet20": 272_474,  # 0.27 M, and projections for two shortcuts
    "threelayer": 825_046,  # 4,736 + 819,300 + 1,010
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_has_its_published_number_of_parameters(name: str) -> None:
    assert cost(catalogue.get(name), 1, "infer").parameters == PARAMETERS[name]


@pytest.mark.parametrize("name", sorted(catalogue.load()))
def test_every_workload_is_possible_and_described(name: str) -> None:
    workload = catalogue.get(name)
    assert workload.summary
    output = output_shape(workload, workload.batch)
    assert output[0] == workload.batch
    trained = any(p.trained for p in declare(workload).values())
    forward = cost(workload, workload.batch, "infer")
    backward = cost(workload, workload.batch, "train" if trained else "fwd_bwd")
    assert backward.flops >= 2 * forward.flops and backward.bytes >= forward.bytes


def test_resnet50_is_v1_5() -> None:
    """The stride is in the 3x3: the first 1x1 of a down-sampling bottleneck keeps its size."""
    convs = [
        op for op in cost(catalogue.get("resnet50"), 1, "infer").operations if op.name == "conv2d"
    ]
    assert cost(catalogue.get("resnet50"), 1, "infer").flops == pytest.approx(8.178e9, rel=1e-3)
    assert not [p for n, p in declare(catalogue.get("resnet50")).items() if "conv.bias" in n]
    assert (1, 128, 56, 56) in [op.output for op in convs]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("layer_l1", (128, 96, 118, 118)),
        ("layer_l2", (128, 128, 56, 56)),
        ("layer_l3", (128, 128, 24, 24)),
        ("layer_l4", (128, 128, 10, 10)),
        ("layer_l5", (128, 384, 11, 11)),
    ],
)
def test_the_five_layers_have_their_shapes(name: str, shape: tuple[int, ...]) -> None:
    assert output_shape(catalogue.get(name), catalogue.get(name).batch) == shape


def test_deepbench_is_whole() -> None:
    rows = micro.deepbench_shapes()
    shapes = {tuple(v for k, v in row.items() if k != "set") for row in rows}
    assert len(rows) == 218
    assert len(shapes) == 192
    assert sum(name.startswith("deepbench_") for name in catalogue.load()) == 192
    assert sum(row["kernel_h"] != row["kernel_w"] for row in rows) == 15
    assert sum(row["stride_h"] != row["stride_w"] for row in rows) == 1


def test_quick_is_ten_comparisons_two_of_them_trained_and_three_headlines() -> None:
    quick = suite.load("quick").comparisons
    assert len(quick) == 10
    assert sum(c.direction == "train" for c in quick) == 2
    assert sum(c.headline for c in quick) == 3


def test_what_a_slow_machine_keeps_of_quick_speaks_of_every_use() -> None:
    """A budget leaves out what comes last; at 10 minutes such a machine had no latency at all."""
    first = [
        SimpleNamespace(
            direction=c.direction,
            batch=c.batch,
            kind=catalogue.get(c.workload).kind,
            device="cpu",
            precision=c.precision,
            threads=2,
        )
        for c in suite.load("quick").comparisons[:3]
    ]
    assert {use for use, *_ in uses.groups(first)} == uses.USES.keys()


@pytest.mark.parametrize("name", suite.names())
def test_every_suite_loads_and_says_what_it_is_for(name: str) -> None:
    loaded = suite.load(name)
    assert loaded.summary and durations.seconds(loaded.budget) > 0
    assert len({c.id for c in loaded.comparisons}) == len(loaded.comparisons)


def test_an_entry_that_repeats_a_comparison_keeps_its_headline(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[compare]]\nworkload = "lenet5"\nheadline = true\n'
        '[[compare]]\nworkload = "lenet*"\ndirection = ["infer", "train"]\n'
    )
    assert [c.headline for c in suite.load(str(path)).comparisons] == [True, False]


def test_convnet_benchmarks_has_four_networks_and_five_layers_both_ways() -> None:
    comparisons = suite.load("convnet-benchmarks").comparisons
    assert len(comparisons) == 18
    assert {c.direction for c in comparisons} == {"infer", "fwd_bwd"}
    batches = {c.workload: c.batch for c in comparisons}
    assert batches["vgg_a"] == 64
    assert {n: b for n, b in batches.items() if b != 128} == {"vgg_a": 64}


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda net, x: None, "tiny: the workload returns None"),
        (lambda net, x: net.conv("a", x, 3, 3, pad=1), "tiny: TypeError: .*argument 'pad'"),
        (lambda net, x: net.conv("a", x, 3, 30), "tiny: conv2d: kernel .* does not fit"),
    ],
)
def test_a_workload_that_cannot_be_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, function: Any, told: str
) -> None:
    tiny = Workload("tiny", "convnet", function, (3, 8, 8), 2, "")
    monkeypatch.setitem(catalogue.load(), "tiny", tiny)
    with pytest.raises(Wrong, match=told):
        planning._comparison(suite.Comparison("tiny", 2), "cpu", [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = (\n", "line 1: SyntaxError"),
        ("\nimport no_such_module\n", "line 2: ModuleNotFoundError"),
        ("from suites.workload import micro as m\n\n@m((3, 8, 8), 2)\ndef relu(net, x): ...\n"
         "\n@m((3, 8, 8), 2)\ndef relu(net, x): ...\n", "line 6: ValueError: two workloads"),
    ],
)  # fmt: skip
def test_a_broken_file_of_workloads_is_told_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "odd.py").write_text(text)
    broken = pytest.raises(catalogue.Broken, match=f"suites/odd.py, {told}")
    with _beside_ours(monkeypatch, tmp_path), broken:
        catalogue.load.__wrapped__()


def test_a_file_of_ones_own_is_found_by_lying_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = "from suites.workload import convnet\n\n@convnet(input=(3, 8, 8), batch=2)\n"
    own += "def odd_net(net, x):\n    'Odd.'\n    return net.linear('fc', x, 10)\n"
    (tmp_path / "odd.py").write_text(own)
    (tmp_path / ".#odd.py").write_text("an editor's lock")
    (tmp_path / "test_odd.py").write_text("raise SystemError")
    with _beside_ours(monkeypatch, tmp_path):
        before = [*catalogue.WORKLOADS]
        assert [*catalogue.load.__wrapped__()] == [*before, "odd_net"]


@contextmanager
def _beside_ours(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[None]:
    """What is in this folder is beside our own files, all of which were read before."""
    before = dict(catalogue.load())
    monkeypatch.setattr(suites, "__path__", [str(folder)])
    try:
        yield
    finally:
        sys.modules.pop("suites.odd", None)
        catalogue.WORKLOADS.clear()
        catalogue.WORKLOADS.update(before)
