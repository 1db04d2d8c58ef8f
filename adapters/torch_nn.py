"""PyTorch as its users write it: an nn.Module, loss.backward(), torch.optim.SGD.

The native lane of `torch` (core/native.py). Modules are torchvision's in structure and
names, channels last; ReLUs are in place, and a block's sum goes into its branch, as there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.core.base import Variant
from adapters.core.native import Native, renamed

# The network layer's names, and those of the modules below.
NAMES = (
    (r"^stem\.(conv|bn)", r"\g<1>1"),
    (r"^stage(\d)\.(\d)\.(\d)\.(conv|bn)", r"layer\1.\2.\4\3"),
    (r"^stage(\d)\.(\d)\.skip\.conv", r"layer\1.\2.downsample.0"),
    (r"^stage(\d)\.(\d)\.skip\.bn", r"layer\1.\2.downsample.1"),
    (r"\.scale$", ".weight"),
    (r"\.shift$", ".bias"),
    (r"\.mean$", ".running_mean"),
    (r"\.var$", ".running_var"),
)


class TorchNN(Native):
    """The model of `self.home.torch`; its parameters are logical OIHW, as the algebra's are."""

    requires = ("torch",)
    distributions = ("torch",)
    environment = "torch"
    variants = {
        "": Variant("nn.Module, eager, channels last", {}, joins=(), of="torch"),
        "compile": Variant(
            "nn.Module through torch.compile, channels last",
            {"compile": True},
            compile_seconds=0.7,
            joins=(),
            of="torch:compile",
        ),
    }

    def build(self, workload: Any) -> Any:
        torch = self.home.torch
        model = networks(torch)[workload.name](workload.input)
        model.to(self.device, getattr(torch, self.precision))
        return model.to(memory_format=torch.channels_last)

    def variables(self) -> dict[str, Any]:
        tensors = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        return {name: tensors[renamed(name, NAMES)] for name in self.parameters}

    def momenta(self) -> dict[str, Any]:
        state, found = self.optimizer.state, {}
        for name, variable in self.variables().items():
            if self.parameters[name].trained:
                if "momentum_buffer" not in state[variable]:
                    zeros = self.home.torch.zeros_like(variable)
                    state[variable]["momentum_buffer"] = zeros
                found[name] = state[variable]["momentum_buffer"]
        return found

    def read(self, name: str, variable: Any) -> np.ndarray:
        return self.home.dump(variable, self.parameters[name].role)

    def write(self, name: str, variable: Any, value: np.ndarray) -> None:
        torch = self.home.torch
        with torch.no_grad():
            variable.copy_(torch.from_numpy(value))

    def _whole(self) -> Any:
        compiled = self.options.get("compile")
        return self.home.torch.compile(self.model) if compiled else self.model

    def infer(self, workload: Any) -> Callable[[Any, Any], Any]:
        self.model.eval()
        model = self._whole()

        @self.home.torch.inference_mode()
        def call(_: Any, x: Any) -> Any:
            return model(x)

        return call

    def train(self, workload: Any, lr: float, momentum: float) -> Callable[..., Any]:
        torch = self.home.torch
        self.model.train()
        model, criterion = self._whole(), torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr, momentum=momentum)

        def step(state: Any, x: Any, y: Any) -> Any:
            self.optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            self.optimizer.step()
            return state, loss.detach()

        return step

    def restarted(self) -> None:
        self.optimizer.zero_grad()

    def manifest(self) -> dict[str, Any]:
        return self.home.manifest() | {"model": "nn.Module", "optimizer": "torch.optim.SGD"}


def networks(torch: Any) -> dict[str, Callable[[tuple[int, ...]], Any]]:
    """The modules by workload; each is made from its input's extents."""
    nn = torch.nn

    class BasicBlock(nn.Module):
        expansion = 1

        def __init__(self, inputs: int, width: int, stride: int, downsample: Any):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.downsample = downsample

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            y += x if self.downsample is None else self.downsample(x)
            return self.relu(y)

    class Bottleneck(nn.Module):
        expansion = 4

        def __init__(self, inputs: int, width: int, stride: int, downsample: Any):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(4 * width)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = downsample

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            y += x if self.downsample is None else self.downsample(x)
            return self.relu(y)

    class ResNet(nn.Module):
        def __init__(self, block: Any, depths: tuple[int, ...]):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            self.inputs = 64
            self.layer1 = self._stage(block, 64, depths[0], 1)
            self.layer2 = self._stage(block, 128, depths[1], 2)
            self.layer3 = self._stage(block, 256, depths[2], 2)
            self.layer4 = self._stage(block, 512, depths[3], 2)
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc1 = nn.Linear(512 * block.expansion, 1000)

        def _stage(self, block: Any, width: int, depth: int, stride: int) -> Any:
            blocks = []
            for number in range(depth):
                step, out = (stride if number == 0 else 1), width * block.expansion
                downsample = None
                if step != 1 or self.inputs != out:
                    skip = nn.Conv2d(self.inputs, out, 1, step, bias=False)
                    downsample = nn.Sequential(skip, nn.BatchNorm2d(out))
                blocks.append(block(self.inputs, width, step, downsample))
                self.inputs = out
            return nn.Sequential(*blocks)

        def forward(self, x: Any) -> Any:
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc1(torch.flatten(self.avgpool(x), 1))

    class AlexNet(nn.Module):
        def __init__(self, side: int):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 11, 4, 2)
            self.conv2 = nn.Conv2d(64, 192, 5, padding=2)
            self.conv3 = nn.Conv2d(192, 384, 3, padding=1)
            self.conv4 = nn.Conv2d(384, 256, 3, padding=1)
            self.conv5 = nn.Conv2d(256, 256, 3, padding=1)
            self.pool, self.relu = nn.MaxPool2d(3, 2), nn.ReLU(inplace=True)
            side = (side + 4 - 11) // 4 + 1
            for _ in range(3):
                side = (side - 3) // 2 + 1
            self.fc1 = nn.Linear(256 * side * side, 4096)
            self.fc2 = nn.Linear(4096, 4096)
            self.fc3 = nn.Linear(4096, 1000)

        def forward(self, x: Any) -> Any:
            x = self.pool(self.relu(self.conv1(x)))
            x = self.pool(self.relu(self.conv2(x)))
            x = self.relu(self.conv4(self.relu(self.conv3(x))))
            x = torch.flatten(self.pool(self.relu(self.conv5(x))), 1)
            return self.fc3(self.relu(self.fc2(self.relu(self.fc1(x)))))

    class ThreeLayer(nn.Module):
        def __init__(self, side: int):
            super().__init__()
            self.conv = nn.Conv2d(3, 32, 7, padding=3)
            self.pool, self.relu = nn.MaxPool2d(2), nn.ReLU(inplace=True)
            self.fc1 = nn.Linear(32 * (side // 2) ** 2, 100)
            self.fc2 = nn.Linear(100, 10)

        def forward(self, x: Any) -> Any:
            x = torch.flatten(self.pool(self.relu(self.conv(x))), 1)
            return self.fc2(self.relu(self.fc1(x)))

    return {
        "resnet18": lambda input: ResNet(BasicBlock, (2, 2, 2, 2)),
        "resnet50": lambda input: ResNet(Bottleneck, (3, 4, 6, 3)),
        "alexnet": lambda input: AlexNet(input[1]),
        "threelayer": lambda input: ThreeLayer(input[1]),
    }
