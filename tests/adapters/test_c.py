"""The c adapter: its library is compiled once and anew where it must be; its kernels' edges."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from adapters.c import FLAGS, C
from adapters.core import build
from adapters.core.base import Unsupported
from adapters.core.discovery import adapter_class
from adapters.core.tape import Node

pytestmark = pytest.mark.skipif(build.missing() is not None, reason="there is no C compiler")

# Input (N, H, W, C), channels, kernel, stride, padding, groups.
EDGES = [
    ((1, 5, 9, 1), 1, (3, 3), (1, 1), (1, 1), 1),
    ((2, 9, 7, 4), 67, (2, 3), (4, 5), (1, 0), 1),  # the stride beyond the kernel
    ((1, 1, 1, 130), 65, (1, 1), (1, 1), (0, 0), 1),
    ((3, 13, 11, 1030), 3, (1, 1), (2, 2), (0, 0), 1),  # deeper than a panel
    ((2, 40, 41, 10), 14, (3, 2), (2, 1), (2, 1), 2),
    ((2, 31, 17, 3), 5, (7, 7), (2, 2), (3, 3), 1),  # few channels: padding is made
    # few channels, whose gradient is taken by blocks of pixels: with and without a stride, an
    # image smaller than the block, a stride that leaves pixels without any kernel position
    ((2, 23, 18, 1), 20, (5, 5), (1, 1), (2, 2), 1),
    ((1, 37, 29, 3), 33, (11, 11), (4, 4), (2, 2), 1),
    ((2, 3, 2, 3), 8, (5, 5), (1, 1), (2, 2), 1),
    ((2, 16, 15, 2), 9, (4, 2), (3, 3), (0, 1), 1),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled into a folder of the test's own, not into the environment."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("library")
    patch.setattr(build, "_folder", lambda: folder)
    yield
    patch.undo()


def _both(kind: type, case: tuple, threads: int = 1) -> list[np.ndarray]:
    shape, width, kernel, stride, padding, groups = case
    rng = np.random.default_rng(0)
    adapter = kind("", "cpu", "float64", threads)
    x = Node(rng.standard_normal(shape), True)
    w = Node(rng.standard_normal((*kernel, shape[3] // groups, width)), True)
    b = Node(rng.standard_normal(width), True)
    y = adapter.conv2d(x, w, b, stride, padding, groups)
    value = y.value.copy()
    dy = rng.standard_normal(y.value.shape)
    adapter.tape.backward(adapter.tape.record(np.asarray(0.0), [y], lambda _: [dy]))
    return [value, x.grad, w.grad, b.grad]


@pytest.mark.parametrize("case", EDGES, ids=str)
def test_odd_convolutions_agree_with_numpys_and_do_not_know_the_number_of_threads(
    library: None, case: tuple
) -> None:
    mine = _both(C, case)
    for found, wanted in zip(mine, _both(adapter_class("numpy"), case), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-11)
    for one, two in zip(mine, _both(C, case, threads=2), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_library_is_compiled_once_and_anew_where_its_source_changes(tmp_path: Path) -> None:
    source = tmp_path / "tiny.c"
    source.write_text("int one(void) { return 1; }\n")
    first = build.library(source, FLAGS, tmp_path)
    made = first.stat().st_mtime_ns
    assert build.library(source, FLAGS, tmp_path) == first and first.stat().st_mtime_ns == made
    source.write_text("int one(void) { return 2; }\n")
    assert build.library(source, FLAGS, tmp_path) != first
    assert len(list(tmp_path.iterdir())) == 3  # and no half-made file


def test_what_cannot_be_compiled_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "tiny.c"
    source.write_text("int one(void) { return undeclared; }\n")
    with pytest.raises(Unsupported, match=r"must have OpenMP: .*undeclared") as caught:
        build.library(source, FLAGS, tmp_path)
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("CC", "no-such-compiler")
    assert "install gcc" in (C.missing("") or "")
