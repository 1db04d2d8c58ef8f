"""SAME is the algebra's padding just where it puts the same windows."""

from itertools import product

import pytest

from adapters.core.same import is_same


def _windows(kernel: int, stride: int, before: int, count: int) -> list[range]:
    """Which rows each window lies over; those below 0 are padding."""
    starts = [number * stride - before for number in range(count)]
    return [range(at, at + kernel) for at in starts]


def test_it_is_where_every_window_lies_the_same() -> None:
    found = set()
    for size, kernel, stride in product(range(1, 16), range(1, 8), range(1, 5)):
        for padding in range(1, kernel // 2 + 1):
            if size + 2 * padding < kernel:
                continue
            there = (size + 2 * padding - kernel) // stride + 1  # windows, as algebra.py has it
            ours = _windows(kernel, stride, padding, there)
            count = -(-size // stride)  # and so on as TensorFlow's documentation has it
            before = max((count - 1) * stride + kernel - size, 0) // 2
            same = ours == _windows(kernel, stride, before, count)
            assert is_same((size,) * 2, (kernel,) * 2, (stride,) * 2, (padding,) * 2) == same
            found.add((stride > 1, same))
    assert len(found) == 4  # with strides and without, where it is and where it is not


@pytest.mark.parametrize(
    ("sizes", "kernel", "stride", "padding", "same"),
    [
        ((7, 7), (3, 3), (2, 2), (1, 1), True),
        ((8, 8), (3, 3), (2, 2), (1, 1), False),
        ((7, 8), (3, 3), (2, 2), (1, 1), False),  # in both directions, or not
        ((8, 8), (3, 3), (1, 1), (1, 1), True),
        ((8, 8), (1, 3), (1, 1), (0, 1), True),
        ((8, 8), (3, 3), (1, 1), (0, 0), False),  # which is VALID
    ],
)
def test_both_directions_count(
    sizes: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    same: bool,
) -> None:
    assert is_same(sizes, kernel, stride, padding) == same
