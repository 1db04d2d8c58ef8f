"""The algebra: the dozen operations of which every workload is made.

A workload never names a framework. It calls these operations, and whoever gives them
a meaning (a framework adapter, the float64 reference, the cost model) is an
*interpreter* of the algebra. So "the same model" is the same by construction.

The rules that hold for all operations:

* Tensors are opaque handles. What a workload may ask of one is `shape`.
* Every argument and every shape is *logical*: images are (N, C, H, W), convolution
  weights are (out, in / groups, kernel height, kernel width), matrices (N, F). How an
  adapter lays them out in memory is its own affair, settled once, at load.
* `kernel`, `stride` and `padding` are pairs (height, width). Padding is symmetric:
  p rows above and p rows below. Output extents are floor((in + 2p - k) / s) + 1.
* An operation never changes its arguments, with one exception: `relu`.

The reference (`reference.py`) is the executable form of this page: where the words and
the reference differ, one of them has a bug.
"""

from typing import Any, Protocol

Tensor = Any
Pair = tuple[int, int]


class Operations(Protocol):
    """What an interpreter must give a meaning to."""

    def shape(self, x: Tensor) -> tuple[int, ...]:
        """The logical, static shape: (N, C, H, W), (N, F), or () for a loss."""
        ...

    def conv2d(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Pair,
        padding: Pair,
        groups: int,
    ) -> Tensor:
        """Cross-correlation (the kernel is not flipped), padded with zeros.

        x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O,) or None -> (N, O, H', W').
        Group g maps input channels [g*C/groups, (g+1)*C/groups) to output channels
        [g*O/groups, (g+1)*O/groups); groups == C is the depthwise convolution.
        """
        ...

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x (N, F) @ weight (O, F) transposed, plus bias (O,) -> (N, O)."""
        ...

    def batch_norm(
        self, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, var: Tensor, eps: float
    ) -> Tensor:
        """Inference form: (x - mean) / sqrt(var + eps) * scale + shift, per channel.

        x (N, C, H, W); the others (C,). All four are ordinary arguments, which a
        compiler may fold, but an adapter may not fold them by hand ahead of the call. One that
        writes a model for an engine does, within the first call, what the engine's converter does.
        """
        ...

    def batch_norm_train(
        self,
        x: Tensor,
        scale: Tensor,
        shift: Tensor,
        mean: Tensor,
        var: Tensor,
        momentum: float,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Training form -> (y, new mean, new variance). State is returned, not assigned.

        Normalises by the batch's own mean and *biased* variance over (N, H, W), with
        n = N*H*W values a channel, and returns
        mean' = (1 - momentum) * mean + momentum * batch mean,
        var' = (1 - momentum) * var + momentum * batch variance * n / (n - 1), the
        *unbiased* one. Gradients flow through the batch statistics into y, never
        through mean' and var'. n is at least 2.
        """
        ...

    def relu(self, x: Tensor, consume: bool) -> Tensor:
        """max(x, 0). Where `consume`, x may be overwritten: nobody uses it afterwards, nor what
        x was flattened from, or into.

        The gradient at exactly 0 is 0.
        """
        ...

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """Elementwise sum of two tensors of equal shape."""
        ...

    def max_pool(self, x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
        """Largest value in each window, padded with minus infinity; padding <= kernel / 2.

        Where a window holds its maximum twice, the gradient may go to either place.
        """
        ...

    def avg_pool(self, x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
        """Mean of each window; padding counts as zeros: the divisor is always KH * KW."""
        ...

    def global_avg_pool(self, x: Tensor) -> Tensor:
        """Mean over height and width: (N, C, H, W) -> (N, C)."""
        ...

    def concat(self, xs: list[Tensor]) -> Tensor:
        """Join (N, C_i, H, W) along channels, in the order given."""
        ...

    def flatten(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C*H*W), channel slowest, in the logical order; may be a view."""
        ...

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean over the batch of -log softmax(logits)[label], computed in float32 at least.

        logits (N, K), labels (N,) whole numbers in [0, K) -> a scalar, shape ().
        """
        ...
