"""What TensorFlow and its relatives call SAME padding, beside the algebra's."""

from collections.abc import Sequence

from adapters.core.algebra import Pair


def is_same(sizes: Sequence[int], kernel: Pair, stride: Pair, padding: Pair) -> bool:
    """Whether SAME puts the very same windows over an image of these (height, width).

    It makes ceil(size / stride) of them, and pads what they need in all: half of it before the
    image, the odd one after. So 3x3 by strides of 2 it pads 7 rows by one above and one below, as
    the algebra does, and 8 rows by one below alone. Where nothing is padded, VALID says the same.
    A mean over such a window does not count the padding, so average pooling cannot use it.
    """
    return padding != (0, 0) and all(
        (windows := -(-size // s)) == (size + 2 * p - k) // s + 1
        and max((windows - 1) * s + k - size, 0) // 2 == p
        for size, k, s, p in zip(sizes, kernel, stride, padding, strict=True)
    )
