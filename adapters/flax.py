"""Flax NNX as its users write it: nnx.Module, nnx.Optimizer with optax, nnx.jit.

The native lane of `jax` (core/native.py). The jitted functions are bound to model and
optimizer by `nnx.cached_partial`, as its guide to performance has it: without it every call
walks through the module in Python. Flax keeps the biased variance in batch norm.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.core.base import Variant
from adapters.core.native import Native, canonical, channels_last, renamed

# The network layer's names, and the paths of the variables below.
NAMES = (
    (r"^stem\.(conv|bn)", r"\g<1>1"),
    (r"^stage(\d)\.(\d)\.(\d)\.(conv|bn)", r"layer\1.layers.\2.\4\3"),
    (r"^stage(\d)\.(\d)\.skip\.conv", r"layer\1.layers.\2.downsample.layers.0"),
    (r"^stage(\d)\.(\d)\.skip\.bn", r"layer\1.layers.\2.downsample.layers.1"),
    (r"\.weight$", ".kernel"),
    (r"\.shift$", ".bias"),
)


class Flax(Native):
    """Images NHWC, kernels HWIO."""

    requires = ("flax", "optax", "jax")
    distributions = ("flax",)
    variants = {
        "": Variant("Flax NNX and optax, nnx.jit", {}, compile_seconds=0.15, joins=(), of="jax")
    }

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        import flax
        import optax
        from flax import nnx

        self.nnx, self.optax, self.flax_version = nnx, optax, flax.__version__

    def build(self, workload: Any) -> Any:
        return networks(self.nnx, self.home.dtype)[workload.name](workload.input)

    def variables(self) -> dict[str, Any]:
        found = self._inside(self.model)
        return {name: found[renamed(name, NAMES)] for name in self.parameters}

    def momenta(self) -> dict[str, Any]:
        state = self._inside(self.optimizer)
        traces = {p.partition(".trace.")[2]: v for p, v in state.items() if ".trace." in p}
        return {n: traces[renamed(n, NAMES)] for n, p in self.parameters.items() if p.trained}

    def _inside(self, node: Any) -> dict[str, Any]:
        variables = self.nnx.iter_graph(node)
        return {
            ".".join(map(str, path)): value
            for path, value in variables
            if isinstance(value, self.nnx.Variable)
        }

    def read(self, name: str, variable: Any) -> np.ndarray:
        value = np.array(canonical(self.parameters, name, np.asarray(variable[...])))
        if name.endswith(".var"):
            return self.unbiased(name, value, int(self.optimizer.step[...]))
        return value

    def write(self, name: str, variable: Any, value: np.ndarray) -> None:
        value = np.array(channels_last(self.parameters, name, value), self.home.dtype, order="C")
        variable[...] = self.home.jax.device_put(value)

    def infer(self, workload: Any) -> Callable[[Any, Any], Any]:
        nnx = self.nnx
        self.model.eval()

        @nnx.jit
        def forward(model: Any, x: Any) -> Any:
            return model(x)

        call = nnx.cached_partial(forward, self.model)
        return lambda _, x: call(x)

    def train(self, workload: Any, lr: float, momentum: float) -> Callable[..., Any]:
        nnx, optax = self.nnx, self.optax
        self.model.train()
        self.optimizer = nnx.Optimizer(self.model, optax.sgd(lr, momentum), wrt=nnx.Param)

        @nnx.jit(donate_argnums=(0, 1))
        def move(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
            def loss_of(model: Any) -> Any:
                losses = optax.softmax_cross_entropy_with_integer_labels(model(x), y)
                return losses.mean()

            loss, gradients = nnx.value_and_grad(loss_of)(model)
            optimizer.update(model, gradients)
            return loss

        call = nnx.cached_partial(move, self.model, self.optimizer)
        return lambda state, x, y: (state, call(x, y))

    def restarted(self) -> None:
        self.optimizer.step[...] = self.home.jnp.zeros_like(self.optimizer.step[...])

    def manifest(self) -> dict[str, Any]:
        return self.home.manifest() | {
            "framework": "flax",
            "flax": self.flax_version,
            "mode": "nnx.jit, nnx.cached_partial",
            "model": "nnx.Module",
            "optimizer": "nnx.Optimizer, optax.sgd, donated",
        }


def networks(nnx: Any, dtype: Any) -> dict[str, Callable[[tuple[int, ...]], Any]]:
    """The modules by workload; each is made from its input's extents."""
    rngs, types = nnx.Rngs(0), {"dtype": dtype, "param_dtype": dtype}

    def conv(inputs: int, width: int, kernel: int, stride: int = 1, padding: int = 0) -> Any:
        return nnx.Conv(
            inputs,
            width,
            (kernel, kernel),
            (stride, stride),
            padding=padding,
            use_bias=False,
            rngs=rngs,
            **types,
        )

    def biased(inputs: int, width: int, kernel: int, stride: int = 1, padding: int = 0) -> Any:
        size = (kernel, kernel)
        return nnx.Conv(inputs, width, size, (stride, stride), padding=padding, rngs=rngs, **types)

    def norm(width: int) -> Any:
        return nnx.BatchNorm(width, momentum=0.9, epsilon=1e-5, rngs=rngs, **types)

    def linear(inputs: int, width: int) -> Any:
        return nnx.Linear(inputs, width, rngs=rngs, **types)

    def pool(x: Any, size: int, stride: int, padding: int = 0) -> Any:
        edges = ((padding, padding),) * 2
        return nnx.max_pool(x, (size, size), (stride, stride), edges)

    class BasicBlock(nnx.Module):
        expansion = 1

        def __init__(self, inputs: int, width: int, stride: int, downsample: Any):
            self.conv1, self.bn1 = conv(inputs, width, 3, stride, 1), norm(width)
            self.conv2, self.bn2 = conv(width, width, 3, 1, 1), norm(width)
            self.downsample = downsample

        def __call__(self, x: Any) -> Any:
            y = nnx.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            return nnx.relu(y + (x if self.downsample is None else self.downsample(x)))

    class Bottleneck(nnx.Module):
        expansion = 4

        def __init__(self, inputs: int, width: int, stride: int, downsample: Any):
            self.conv1, self.bn1 = conv(inputs, width, 1), norm(width)
            self.conv2, self.bn2 = conv(width, width, 3, stride, 1), norm(width)
            self.conv3, self.bn3 = conv(width, 4 * width, 1), norm(4 * width)
            self.downsample = downsample

        def __call__(self, x: Any) -> Any:
            y = nnx.relu(self.bn1(self.conv1(x)))
            y = nnx.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            return nnx.relu(y + (x if self.downsample is None else self.downsample(x)))

    class ResNet(nnx.Module):
        def __init__(self, block: Any, depths: tuple[int, ...]):
            self.conv1, self.bn1 = conv(3, 64, 7, 2, 3), norm(64)
            inputs = 64
            for stage, depth in enumerate(depths, start=1):
                width, blocks = 32 * 2**stage, []
                out = width * block.expansion
                for number in range(depth):
                    stride = 2 if stage > 1 and number == 0 else 1
                    fits = stride == 1 and inputs == out
                    skip = None if fits else nnx.Sequential(conv(inputs, out, 1, stride), norm(out))
                    blocks.append(block(inputs, width, stride, skip))
                    inputs = out
                setattr(self, f"layer{stage}", nnx.Sequential(*blocks))
            self.fc1 = linear(inputs, 1000)

        def __call__(self, x: Any) -> Any:
            x = pool(nnx.relu(self.bn1(self.conv1(x))), 3, 2, 1)
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc1(x.mean((1, 2)))

    class AlexNet(nnx.Module):
        def __init__(self, side: int):
            self.conv1 = biased(3, 64, 11, 4, 2)
            self.conv2 = biased(64, 192, 5, 1, 2)
            self.conv3 = biased(192, 384, 3, 1, 1)
            self.conv4 = biased(384, 256, 3, 1, 1)
            self.conv5 = biased(256, 256, 3, 1, 1)
            side = (side + 4 - 11) // 4 + 1
            for _ in range(3):
                side = (side - 3) // 2 + 1
            self.fc1 = linear(256 * side * side, 4096)
            self.fc2, self.fc3 = linear(4096, 4096), linear(4096, 1000)

        def __call__(self, x: Any) -> Any:
            x = pool(nnx.relu(self.conv1(x)), 3, 2)
            x = pool(nnx.relu(self.conv2(x)), 3, 2)
            x = nnx.relu(self.conv4(nnx.relu(self.conv3(x))))
            x = pool(nnx.relu(self.conv5(x)), 3, 2)
            x = nnx.relu(self.fc1(x.reshape(x.shape[0], -1)))
            return self.fc3(nnx.relu(self.fc2(x)))

    class ThreeLayer(nnx.Module):
        def __init__(self, side: int):
            self.conv = biased(3, 32, 7, 1, 3)
            self.fc1, self.fc2 = linear(32 * (side // 2) ** 2, 100), linear(100, 10)

        def __call__(self, x: Any) -> Any:
            x = pool(nnx.relu(self.conv(x)), 2, 2)
            return self.fc2(nnx.relu(self.fc1(x.reshape(x.shape[0], -1))))

    return {
        "resnet18": lambda input: ResNet(BasicBlock, (2, 2, 2, 2)),
        "resnet50": lambda input: ResNet(Bottleneck, (3, 4, 6, 3)),
        "alexnet": lambda input: AlexNet(input[1]),
        "threelayer": lambda input: ThreeLayer(input[1]),
    }
