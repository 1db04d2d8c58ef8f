"""The numpy adapter: what it unfolds at a time, and how, changes no result."""

import numpy as np
import pytest

from adapters.core import im2col
from adapters.core.tape import Node
from adapters.numpy import NumPy


def _convolved(
    shape: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, int] = (1, 2)
) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    numpy = NumPy("", "cpu", "float64", 1)
    x, w = (Node(rng.standard_normal(dims), True) for dims in (shape, kernel))
    y = numpy.conv2d(x, w, None, stride, (1, 0), 1)
    dx, dw = y.gradients(rng.standard_normal(y.value.shape))
    return [y.value, dx, dw]


@pytest.mark.parametrize("room", [1, 4 << 10, 12 << 10])  # a row, a few of an image, an image
def test_a_convolution_is_the_same_by_images_and_by_rows(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, kernel = (3, 9, 17, 2), (3, 3, 2, 5)
    whole = _convolved(shape, kernel)
    monkeypatch.setattr(im2col, "CHUNK_BYTES", room)
    for found, wanted in zip(_convolved(shape, kernel), whole, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("room", [1, 2000, 40 << 10, 1 << 20])  # few images at a time, and all
@pytest.mark.parametrize("stride", [(1, 1), (1, 2)])
@pytest.mark.parametrize("alone", [1, 10**6])  # images alone, or some of them together
@pytest.mark.parametrize(
    "shape, kernel",
    [
        ((3, 9, 17, 2), (3, 3, 2, 5)),
        ((2, 1, 5, 3), (3, 5, 3, 2)),  # a row of the kernel may fall on no row of the image
        ((5, 4, 3, 1), (3, 1, 1, 4)),
    ],
)
def test_a_convolution_is_the_same_by_rows_of_its_kernel(
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    alone: int,
    room: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not im2col._apart(np.zeros(shape), kernel, stride, (1, 0))
    whole = _convolved(shape, kernel, stride)
    monkeypatch.setattr(im2col, "ROW", 1)
    monkeypatch.setattr(im2col, "ALONE", alone)
    monkeypatch.setattr(im2col, "CHUNK_BYTES", room)
    assert im2col._apart(np.zeros(shape), kernel, stride, (1, 0))
    for found, wanted in zip(_convolved(shape, kernel, stride), whole, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_chunks_cover_every_window_once(monkeypatch: pytest.MonkeyPatch) -> None:
    windows, weight = np.zeros((5, 7, 3, 3, 6)), np.zeros(1)
    for room in (1, 500, 1500, 4000, 9000, 20000, 1 << 20):
        monkeypatch.setattr(im2col, "CHUNK_BYTES", room)
        for part in im2col._chunks(windows, weight):
            windows[part] += 1
        assert (windows == 1).all(), room
        windows[:] = 0
