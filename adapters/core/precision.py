"""Precisions: what a person may ask for, and what each means for every adapter alike.

`float32` is strict and `float64` is for checking. `tf32` keeps everything in float32 but
the inputs of convolutions and matrix products, of which a GPU reads ten bits of fraction.
`bfloat16` and `float16` are *mixed*, as each framework's own users have it: the parameters,
their momentum, batch norm's statistics and arithmetic, the loss and the update stay in
float32; images or features that come in, the inputs and weights of convolutions and linear
layers, and so all activations between the layers, are low.

In float16 small gradients vanish, so the loss is multiplied by a fixed power of two before
the backward pass and the gradients are divided by it, in float32, after it: exact both ways,
so the momentum of a first step still *is* the gradient. Frameworks' own scalers also adapt
the factor and skip steps that overflow; that belongs to a training's course, and not here.
"""

PRECISIONS = ("float32", "float64", "tf32", "bfloat16", "float16")
PLAIN = ("float32", "float64")  # what an adapter has that says nothing
MIXED = ("bfloat16", "float16")
LOSS_SCALE = {"float16": 1024.0}

NO_TF32 = "TF32 is a mode of NVIDIA's GPUs from compute capability 8.0 on"


def stored(precision: str) -> str:
    """What parameters, batch-norm state, loss and momentum are kept in."""
    return "float64" if precision == "float64" else "float32"


def lowered(precision: str) -> str:
    """What images, and the operands of convolutions and products, are in."""
    return precision if precision in MIXED else stored(precision)


def value_bytes(precision: str) -> int:
    """Of one activation: the cost model counts four."""
    return {"float64": 8, "bfloat16": 2, "float16": 2}.get(precision, 4)
