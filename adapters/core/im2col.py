"""Convolution of NHWC arrays by im2col and matrix products, the way Stanford's cs231n teaches it.

What makes it fast: channels last, so that a row of a window (kernel width x channels) is one run
of memory; a few images at a time, so that the unfolded windows stay in cache; and, where the
stride is 1, the input's gradient as a convolution of its own instead of a scatter.

Where an image keeps its height, and its channels make long products, only the rows of the
windows are unfolded, and each row of the kernel is a product of its own, added where they meet:
a third of the copying for 3x3, 1.02 to 1.6 times as fast.

Kernels lie (KH, KW, I, O); strides and paddings are (height, width).
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from adapters.core.algebra import Pair

# Unfolded windows are kept to about this size (larger ones were 1.2 times slower), or to twice
# the weight's: a product reads, and BLAS rearranges, the whole weight for each chunk.
CHUNK_BYTES = 4 << 20
ROW = 48  # numbers in a row of a window, from which on the kernel's rows are products of their own
IMAGE_BYTES = 8 << 20  # of one image's rows, up to which they are (at 10 MB it was slower)
ALONE = 512  # pixels: enough for the weight's gradient of one image to be products without a copy


def conv(x: np.ndarray, w: np.ndarray, stride: Pair, padding: Pair) -> np.ndarray:
    """(N, H, W, C) with (KH, KW, C, O) -> (N, H', W', O)."""
    matrix = w.reshape(-1, w.shape[3])
    if w.shape[:2] == stride == (1, 1) and padding == (0, 0):
        return (x.reshape(-1, x.shape[3]) @ matrix).reshape(*x.shape[:3], -1)
    if _apart(x, w.shape, stride, padding):
        return _conv_by_rows(x, w, stride, padding)
    windows = _windows(pad(x, padding, 0.0), (w.shape[0], w.shape[1]), stride)
    y = np.empty((*windows.shape[:3], w.shape[3]), x.dtype)
    for part in _chunks(windows, w):
        np.matmul(_unfold(windows[part]), matrix, out=y[part].reshape(-1, w.shape[3]))
    return y


def conv_to_weight(
    x: np.ndarray, dy: np.ndarray, shape: tuple[int, ...], stride: Pair, padding: Pair
) -> np.ndarray:
    """The weight's gradient: unfolded windows, transposed, times dy."""
    if shape[:2] == stride == (1, 1) and padding == (0, 0):
        return (x.reshape(-1, shape[2]).T @ dy.reshape(-1, shape[3])).reshape(shape)
    if _apart(x, shape, stride, padding):
        return _conv_to_weight_by_rows(x, dy, shape, stride, padding)
    windows = _windows(pad(x, padding, 0.0), (shape[0], shape[1]), stride)
    total = np.empty((shape[0] * shape[1] * shape[2], shape[3]), x.dtype)
    first, *more = _chunks(windows, total)
    np.matmul(_unfold(windows[first]).T, dy[first].reshape(-1, shape[3]), out=total)
    for part in more:
        total += _unfold(windows[part]).T @ dy[part].reshape(-1, shape[3])
    return total.reshape(shape)


def conv_to_input(
    dy: np.ndarray, w: np.ndarray, shape: tuple[int, ...], stride: Pair, padding: Pair
) -> np.ndarray:
    """The input's gradient: with stride 1 a convolution with the kernel turned round."""
    kernel = (w.shape[0], w.shape[1])
    inner = (kernel[0] - 1 - padding[0], kernel[1] - 1 - padding[1])
    if stride == (1, 1) and min(inner) >= 0:
        turned = np.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))
        return conv(dy, turned, stride, inner)
    padded = (shape[0], shape[1] + 2 * padding[0], shape[2] + 2 * padding[1], shape[3])
    dx = np.zeros(padded, dy.dtype)
    flat = np.ascontiguousarray(dy).reshape(-1, dy.shape[3])
    matrices = w.reshape(-1, *w.shape[2:])
    for place, matrix in zip(places(padded, kernel, stride), matrices, strict=True):
        dx[place] += (flat @ matrix.T).reshape(*dy.shape[:3], -1)
    return unpad(dx, padding)


def _windows(x: np.ndarray, kernel: Pair, stride: Pair) -> np.ndarray:
    """A view (N, H', W', KH, KW * C): a row of a window is one run of memory."""
    batch, height, width, channels = x.shape
    out = (_extent(height, kernel[0], stride[0]), _extent(width, kernel[1], stride[1]))
    c = x.itemsize  # by hand: NumPy leaves strides of extents of 1 open
    w, h, n = channels * c, width * channels * c, height * width * channels * c
    return as_strided(
        x,
        (batch, *out, kernel[0], kernel[1] * channels),
        (n, h * stride[0], w * stride[1], h, c),
        writeable=False,
    )


def _unfold(windows: np.ndarray) -> np.ndarray:
    return windows.reshape(-1, windows.shape[3] * windows.shape[4])


def _chunks(windows: np.ndarray, weight: np.ndarray) -> list[tuple[slice, slice]]:
    """A few images at a time, or a few rows of one."""
    room = max(CHUNK_BYTES, 2 * weight.nbytes)
    row = windows[0, 0].size * windows.itemsize
    batch, height = windows.shape[:2]
    images = max(1, room // (row * height))
    rows = height if images > 1 else -(-height // -(-row * height // room))  # alike in size
    return [
        (slice(image, image + images), slice(top, top + rows))
        for image in range(0, batch, images)
        for top in range(0, height, rows)
    ]


# --- the kernel's rows as products of their own ---------------------------------------------


def _apart(x: np.ndarray, shape: tuple[int, ...], stride: Pair, padding: Pair) -> bool:
    """Whether the kernel's rows are products of their own: each falls on the same rows, shifted.

    Not where these make short products, nor where those of one image overflow the cache.
    """
    same = stride[0] == 1 and 1 < shape[0] == 2 * padding[0] + 1
    row = shape[1] * shape[2]
    return same and row >= ROW and x.shape[1] * x.shape[2] * row * x.itemsize <= IMAGE_BYTES


def _conv_by_rows(x: np.ndarray, w: np.ndarray, stride: Pair, padding: Pair) -> np.ndarray:
    height, middle, outs = x.shape[1], padding[0], w.shape[3]
    matrices = w.reshape(w.shape[0], -1, outs)
    width = _extent(x.shape[2], w.shape[1], stride[1], padding[1])
    y = np.empty((*x.shape[:2], width, outs), x.dtype)
    for part, rows in _rows(x, w.shape, stride, padding):
        if part.start == 0:
            product = np.empty_like(y[part])
        flat, mine, into = _matrix(rows), y[part], product[: len(rows)]
        np.matmul(flat, matrices[middle], out=_matrix(mine))
        for k, matrix in enumerate(matrices):
            if k != middle:
                np.matmul(flat, matrix, out=_matrix(into))
                to, of = _meeting(height, height, k, 1, middle)
                mine[:, to] += into[:, of]
    return y


def _conv_to_weight_by_rows(
    x: np.ndarray, dy: np.ndarray, shape: tuple[int, ...], stride: Pair, padding: Pair
) -> np.ndarray:
    height = x.shape[1]
    total = np.empty((shape[0], shape[1] * shape[2], shape[3]), x.dtype)
    for part, rows in _rows(x, shape, stride, padding, ALONE):
        for k in range(shape[0]):
            to, of = _meeting(height, height, k, 1, padding[0])
            a, b = rows[:, of], dy[part, to]
            if len(rows) > 1 and k != padding[0]:
                # No views of both are matrices: all rows, and zeros where none meet.
                a, b = rows, np.zeros_like(dy[part])
                b[:, of] = dy[part, to]
            if part.start == 0:
                np.matmul(_matrix(a).T, _matrix(b), out=total[k])
            else:
                total[k] += _matrix(a).T @ _matrix(b)
    return total.reshape(shape)


def _rows(
    x: np.ndarray, shape: tuple[int, ...], stride: Pair, padding: Pair, alone: float = math.inf
) -> Iterator[tuple[slice, np.ndarray]]:
    """Some images at a time, and the rows of their windows: (images, H, W', KW * C).

    An image of `alone` pixels or more comes alone. The memory is the same each time; where a
    window lies past the border, it stays zero.
    """
    batch, height, width, channels = x.shape
    out = _extent(width, shape[1], stride[1], padding[1])
    assert batch, "images are convolved"
    image = height * out * (shape[1] * channels + 2 * shape[3]) * x.itemsize  # and its products
    room = max(CHUNK_BYTES, 4 * math.prod(shape[1:]) * x.itemsize)
    images = 1 if height * out >= alone else min(batch, max(1, room // image))
    rows = np.zeros((images, height, out, shape[1], channels), x.dtype)
    for first in range(0, batch, images):
        part = x[first : first + images]
        for k in range(shape[1]):
            to, of = _meeting(width, out, k, stride[1], padding[1])
            rows[: len(part), :, to, k] = part[:, :, of]
        yield slice(first, first + images), rows[: len(part)].reshape(*part.shape[:2], out, -1)


def _meeting(size: int, out: int, k: int, stride: int, padding: int) -> tuple[slice, slice]:
    """The outputs, along one axis, whose k-th input is no padding, and those inputs."""
    first = max(0, -((k - padding) // stride))
    last = max(first, min(out, (size - 1 - k + padding) // stride + 1))
    start = first * stride + k - padding
    return slice(first, last), slice(start, start + (last - first) * stride, stride)


def _matrix(x: np.ndarray) -> np.ndarray:
    """A view: all but the last axis are rows."""
    return x.reshape(-1, x.shape[-1])


# --- borders and places ---------------------------------------------------------------------


def _extent(size: int, kernel: int, stride: int, padding: int = 0) -> int:
    return (size + 2 * padding - kernel) // stride + 1


def pad(x: np.ndarray, padding: Pair, value: float) -> np.ndarray:
    """Always with its own memory where padded; contiguous."""
    if padding == (0, 0):
        return np.ascontiguousarray(x)
    batch, height, width, channels = x.shape
    padded = np.full(
        (batch, height + 2 * padding[0], width + 2 * padding[1], channels), value, x.dtype
    )
    padded[:, padding[0] : padding[0] + height, padding[1] : padding[1] + width] = x
    return padded


def unpad(x: np.ndarray, padding: Pair) -> np.ndarray:
    if padding == (0, 0):
        return x
    height, width = x.shape[1:3]
    return np.ascontiguousarray(
        x[:, padding[0] : height - padding[0], padding[1] : width - padding[1]]
    )


def places(shape: tuple[int, ...], kernel: Pair, stride: Pair) -> list[Any]:
    """For each kernel position, where in a padded NHWC image it falls."""
    out = (_extent(shape[1], kernel[0], stride[0]), _extent(shape[2], kernel[1], stride[1]))
    return [
        (
            slice(None),
            slice(row, row + stride[0] * (out[0] - 1) + 1, stride[0]),
            slice(column, column + stride[1] * (out[1] - 1) + 1, stride[1]),
        )
        for row in range(kernel[0])
        for column in range(kernel[1])
    ]
