"""The usual cause of a mistake in an adapter, by what was checked and what is off."""

import re

# The first pattern that is found in a finding's words: of what was computed, and is wrong.
CAUSES = (
    (r"lower precision|was asked for", "settle in __init__ what `precision` says, for the backward "
     "pass too: a framework's default may be TF32, or float32 where bfloat16 was asked for"),
    (r"other inputs", "the call must compute anew from the x that it is given: it keeps an earlier "
     "result, or an earlier input"),
    (r"second call", "a call must leave its weights and inputs as they were: it wrote into them, "
     "in place, or keeps something from one call to the next"),
    (r"cores busy", "settle the threads in __init__ from `threads`, before the framework starts "
     "its own"),
    (r"until its result is asked for", "evaluate in the call itself: `sync` is given the last of "
     "several results, and the work of the others counts too"),
    (r"sync, fwd_bwd", "`sync` must wait for the gradients as well, not for the loss alone"),
    (r"third step", "v' = momentum * v + g, then p' = p - lr * v': and the new batch-norm state "
     "must be in the state that is returned"),
    (r"after a restore", "`clone` and `zeros_like` must make fresh arrays: the step wrote into its "
     "snapshot"),
    (r"gradient of input (is missing|is -?0\.0000 times)", "the backward pass stops at the input: "
     "it is wanted here"),
    (r"train: .* is 0\.1000 times", "v' = momentum * v + g, with no dampening: the gradient was "
     "multiplied by 1 - momentum"),
    (r"(flatten, fwd_bwd|linear, train): .*times the reference's", "every gradient is too long or "
     "too short by one factor: the loss is a mean, not a sum, and is scaled by nothing"),
    (r"updated value", "p' = p - lr * v', with v' = momentum * v + g, no dampening, no Nesterov"),
    (r"relu_of_the_input", "a slope below 0; or relu overwrote its argument though `consume` "
     "was False; or the gradient at 0 is not 0"),
    (r"relu", "max(x, 0), with no slope below 0, and gradient 0 at 0"),
    (r"flatten.*(output|gradient)", "flatten must go by (C, H, W), channel slowest, whatever the "
     "layout in memory: with NHWC, transpose first"),
    (r"linear.*(output|shape)", "the weight is (out, in): x @ weight.T + bias, and the bias may be "
     "None"),
    (r"conv.*(groups|depthwise)", "group g maps input channels [g*C/groups, ...) to output "
     "channels [g*O/groups, ...); the kernel is (O, C / groups, KH, KW)"),
    (r"conv.*stride.*shape|conv.*shape", "output extents are floor((in + 2p - k) / s) + 1: pads "
     "and strides are pairs (height, width)"),
    (r"conv.*stride", "padding is p above and p below; what is called SAME pads a strided "
     "convolution more below and on the right: pad explicitly"),
    (r"conv.*unequal|5x20", "kernel, stride and padding are (height, width): they may be swapped"),
    (r"conv.*bias", "the bias is (O,), one for each output channel, or None"),
    (r"conv.*output", "convolution here is cross-correlation, the kernel not flipped; and its "
     "layout in `place` must be what the framework expects"),
    (r"max_pool.*padded|max_pool_unequal", "max pooling pads with minus infinity, not with zeros"),
    (r"avg_pool.*padded", "padding counts in the mean: the divisor is always KH * KW"),
    (r"batch_norm_of_four.*var|state.*var", "the new variance is the unbiased one, times "
     "n / (n - 1), and new = (1 - momentum) * old + momentum * batch's"),
    (r"state.*mean", "new mean = (1 - momentum) * old + momentum * batch's; momentum is the new "
     "value's share (some frameworks call 1 - momentum so)"),
    (r"batch_norm|bn", "inference uses the running statistics, training the batch's own with the "
     "biased variance; eps goes under the root"),
    (r"cross_entropy|the loss", "the loss is the mean over the batch of -log softmax[label]"),
    (r"fwd_bwd: .*gradient", "the backward pass of this operation: it is right forward, and so are "
     "the gradients of all that was checked before"),
    (r"times the reference's", "every gradient is too long or too short by one factor: the loss is "
     "a mean, not a sum, and is scaled by nothing"),
    (r"sync", "`sync` must wait until the device has finished, not until the call returned"),
)  # fmt: skip


def usual(finding: str, wrong: bool = True) -> str | None:
    """What most often makes a check fail so, for a person; None where nobody can tell.

    wrong: it computed, and its figures are off. Of a crash no figure tells anything.
    """
    if not wrong:
        unwritten = "NotImplementedError" in finding
        return "that operation or verb is still to be written" if unwritten else None
    return next((words for pattern, words in CAUSES if re.search(pattern, finding)), None)
