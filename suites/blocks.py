"""Blocks: what networks are stacked from, and, with a name in front, what they call."""

from typing import Any

from suites.workload import block


def conv_bn_relu(
    net: Any, x: Any, name: str, width: int, kernel: int, stride: int = 1, groups: int = 1
) -> Any:
    """Convolution padded to keep its size, batch norm, ReLU."""
    y = net.conv(f"{name}.conv", x, width, kernel, stride, kernel // 2, groups)
    return net.relu(net.batch_norm(f"{name}.bn", y))


def conv_relu(
    net: Any, x: Any, name: str, width: int, kernel: int, stride: int = 1, padding: int = 0
) -> Any:
    """Convolution with a bias, ReLU: the networks before batch norm."""
    return net.relu(net.conv(name, x, width, kernel, stride, padding, bias=True))


def basic(net: Any, x: Any, name: str, width: int, stride: int = 1) -> Any:
    """ResNet's basic block (He et al. 2015, figure 5 left)."""
    y = conv_bn_relu(net, x, f"{name}.1", width, 3, stride)
    y = net.batch_norm(f"{name}.2.bn", net.conv(f"{name}.2.conv", y, width, 3, 1, 1))
    return net.relu(net.add(y, shortcut(net, x, name, width, stride)))


def bottleneck(net: Any, x: Any, name: str, width: int, stride: int = 1) -> Any:
    """ResNet's bottleneck, v1.5: the stride is in the 3x3, not in the first 1x1."""
    y = conv_bn_relu(net, x, f"{name}.1", width, 1)
    y = conv_bn_relu(net, y, f"{name}.2", width, 3, stride)
    y = net.batch_norm(f"{name}.3.bn", net.conv(f"{name}.3.conv", y, 4 * width, 1))
    return net.relu(net.add(y, shortcut(net, x, name, 4 * width, stride)))


def shortcut(net: Any, x: Any, name: str, width: int, stride: int) -> Any:
    """x itself where it fits, else a 1x1 convolution with batch norm (option B)."""
    if stride == 1 and net.channels(x) == width:
        return x
    return net.batch_norm(f"{name}.skip.bn", net.conv(f"{name}.skip.conv", x, width, 1, stride))


def inception(
    net: Any, x: Any, name: str, one: int, three: tuple[int, int], five: tuple[int, int], pool: int
) -> Any:
    """GoogLeNet's module (Szegedy et al. 2014): four branches side by side.

    one: 1x1; three and five: (reduction, width) of the 3x3 and 5x5; pool: projection.
    """
    a = conv_relu(net, x, f"{name}.1x1", one, 1)
    b = conv_relu(net, x, f"{name}.3x3_reduce", three[0], 1)
    b = conv_relu(net, b, f"{name}.3x3", three[1], 3, padding=1)
    c = conv_relu(net, x, f"{name}.5x5_reduce", five[0], 1)
    c = conv_relu(net, c, f"{name}.5x5", five[1], 5, padding=2)
    d = conv_relu(net, net.max_pool(x, 3, 1, 1), f"{name}.pool", pool, 1)
    return net.concat([a, b, c, d])


def inverted_residual(
    net: Any, x: Any, name: str, width: int, stride: int = 1, expand: int = 6
) -> Any:
    """MobileNetV2's block (Sandler et al. 2018), with ReLU where it has ReLU6."""
    wide = net.channels(x) * expand
    y = conv_bn_relu(net, x, f"{name}.expand", wide, 1) if expand > 1 else x
    y = conv_bn_relu(net, y, f"{name}.depthwise", wide, 3, stride, groups=wide)
    y = net.batch_norm(f"{name}.project.bn", net.conv(f"{name}.project.conv", y, width, 1))
    return net.add(y, x) if stride == 1 and net.channels(x) == width else y


@block(input=(64, 56, 56), batch=16)
def resnet_basic(net: Any, x: Any) -> Any:
    """ResNet's basic block, 64 channels on 56x56."""
    return basic(net, x, "block", 64)


@block(input=(64, 56, 56), batch=16)
def resnet_basic_down(net: Any, x: Any) -> Any:
    """ResNet's basic block, down-sampling: 64 channels on 56x56 to 128 on 28x28."""
    return basic(net, x, "block", 128, 2)


@block(input=(256, 56, 56), batch=16)
def resnet_bottleneck(net: Any, x: Any) -> Any:
    """ResNet's bottleneck, 256 channels on 56x56."""
    return bottleneck(net, x, "block", 64)


@block(input=(256, 56, 56), batch=16)
def resnet_bottleneck_down(net: Any, x: Any) -> Any:
    """ResNet's bottleneck, down-sampling: 256 channels on 56x56 to 512 on 28x28."""
    return bottleneck(net, x, "block", 128, 2)


@block(input=(192, 28, 28), batch=16)
def inception_3a(net: Any, x: Any) -> Any:
    """GoogLeNet's first inception module."""
    return inception(net, x, "3a", 64, (96, 128), (16, 32), 32)


@block(input=(24, 56, 56), batch=16)
def mobilenet_block(net: Any, x: Any) -> Any:
    """MobileNetV2's inverted residual, 24 channels on 56x56, expanded six-fold."""
    return inverted_residual(net, x, "block", 24)


@block(input=(128, 56, 56), batch=16)
def vgg_stage(net: Any, x: Any) -> Any:
    """VGG's third stage: two 3x3 convolutions to 256 channels, and a pooling."""
    x = conv_relu(net, x, "conv1", 256, 3, padding=1)
    x = conv_relu(net, x, "conv2", 256, 3, padding=1)
    return net.max_pool(x, 2)
