"""Whole convnets. All end in logits; a training's loss is their cross-entropy.

AlexNet, OverFeat, VGG and GoogLeNet are as convnet-benchmarks has them: a ReLU after
every convolution and hidden linear layer, no dropout, no local response normalisation,
no softmax. ResNet-50 is v1.5 everywhere.
"""

from typing import Any

from suites.blocks import (
    basic,
    bottleneck,
    conv_bn_relu,
    conv_relu,
    inception,
    inverted_residual,
)
from suites.workload import convnet


def _classifier(net: Any, x: Any, *widths: int) -> Any:
    """Linear layers with ReLU between them; the last gives the logits."""
    for number, width in enumerate(widths, start=1):
        x = net.linear(f"fc{number}", x, width)
        if number < len(widths):
            x = net.relu(x)
    return x


@convnet(input=(3, 32, 32), batch=50)
def threelayer(net: Any, x: Any) -> Any:
    """The three-layer convnet of Stanford's cs231n: conv, pool, two linear layers.

    Assignment 2's ThreeLayerConvNet with its default sizes: 32 filters 7x7, hidden 100.
    """
    x = net.max_pool(conv_relu(net, x, "conv", 32, 7, padding=3), 2)
    return _classifier(net, net.flatten(x), 100, 10)


@convnet(input=(1, 32, 32), batch=64)
def lenet5(net: Any, x: Any) -> Any:
    """LeNet-5 (LeCun et al. 1998), with ReLU, max pooling, and all of C3's connections."""
    x = net.max_pool(conv_relu(net, x, "c1", 6, 5), 2)
    x = net.max_pool(conv_relu(net, x, "c3", 16, 5), 2)
    return _classifier(net, net.flatten(x), 120, 84, 10)


@convnet(input=(3, 32, 32), batch=128)
def resnet20(net: Any, x: Any) -> Any:
    """ResNet-20 for CIFAR (He et al. 2015, section 4.2), with projection shortcuts.

    The paper's shortcuts there are option A (strided, padded with zero channels), which
    the algebra does not have; option B adds 2,752 parameters.
    """
    x = conv_bn_relu(net, x, "stem", 16, 3)
    for stage, width in enumerate((16, 32, 64), start=1):
        for number in range(3):
            stride = 2 if stage > 1 and number == 0 else 1
            x = basic(net, x, f"stage{stage}.{number}", width, stride)
    return _classifier(net, net.global_avg_pool(x), 10)


@convnet(input=(3, 224, 224), batch=128)
def alexnet(net: Any, x: Any) -> Any:
    """AlexNet, one column (Krizhevsky 2014)."""
    x = net.max_pool(conv_relu(net, x, "conv1", 64, 11, 4, 2), 3, 2)
    x = net.max_pool(conv_relu(net, x, "conv2", 192, 5, padding=2), 3, 2)
    x = conv_relu(net, x, "conv3", 384, 3, padding=1)
    x = conv_relu(net, x, "conv4", 256, 3, padding=1)
    x = net.max_pool(conv_relu(net, x, "conv5", 256, 3, padding=1), 3, 2)
    return _classifier(net, net.flatten(x), 4096, 4096, 1000)


@convnet(input=(3, 231, 231), batch=128)
def overfeat(net: Any, x: Any) -> Any:
    """OverFeat [fast] (Sermanet et al. 2013)."""
    x = net.max_pool(conv_relu(net, x, "conv1", 96, 11, 4), 2)
    x = net.max_pool(conv_relu(net, x, "conv2", 256, 5), 2)
    x = conv_relu(net, x, "conv3", 512, 3, padding=1)
    x = conv_relu(net, x, "conv4", 1024, 3, padding=1)
    x = net.max_pool(conv_relu(net, x, "conv5", 1024, 3, padding=1), 2)
    return _classifier(net, net.flatten(x), 3072, 4096, 1000)


@convnet(input=(3, 224, 224), batch=64)
def vgg_a(net: Any, x: Any) -> Any:
    """VGG model A, also called VGG-11 (Simonyan and Zisserman 2014)."""
    for stage, widths in enumerate(((64,), (128,), (256, 256), (512, 512), (512, 512)), start=1):
        for number, width in enumerate(widths, start=1):
            x = conv_relu(net, x, f"conv{stage}_{number}", width, 3, padding=1)
        x = net.max_pool(x, 2)
    return _classifier(net, net.flatten(x), 4096, 4096, 1000)


@convnet(input=(3, 224, 224), batch=128)
def googlenet(net: Any, x: Any) -> Any:
    """GoogLeNet V1 (Szegedy et al. 2014), without the auxiliary classifiers."""
    x = net.max_pool(conv_relu(net, x, "conv1", 64, 7, 2, 3), 3, 2, 1)
    x = conv_relu(net, x, "conv2_reduce", 64, 1)
    x = net.max_pool(conv_relu(net, x, "conv2", 192, 3, padding=1), 3, 2, 1)
    for name, one, three, five, pool in (
        ("3a", 64, (96, 128), (16, 32), 32),
        ("3b", 128, (128, 192), (32, 96), 64),
        ("4a", 192, (96, 208), (16, 48), 64),
        ("4b", 160, (112, 224), (24, 64), 64),
        ("4c", 128, (128, 256), (24, 64), 64),
        ("4d", 112, (144, 288), (32, 64), 64),
        ("4e", 256, (160, 320), (32, 128), 128),
        ("5a", 256, (160, 320), (32, 128), 128),
        ("5b", 384, (192, 384), (48, 128), 128),
    ):
        x = inception(net, x, name, one, three, five, pool)
        if name in ("3b", "4e"):
            x = net.max_pool(x, 3, 2, 1)
    return _classifier(net, net.flatten(net.avg_pool(x, 7, 1)), 1000)


def _resnet_stem(net: Any, x: Any) -> Any:
    return net.max_pool(conv_bn_relu(net, x, "stem", 64, 7, 2), 3, 2, 1)


@convnet(input=(3, 224, 224), batch=32)
def resnet18(net: Any, x: Any) -> Any:
    """ResNet-18 (He et al. 2015)."""
    x = _resnet_stem(net, x)
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for number in range(2):
            stride = 2 if stage > 1 and number == 0 else 1
            x = basic(net, x, f"stage{stage}.{number}", width, stride)
    return _classifier(net, net.global_avg_pool(x), 1000)


@convnet(input=(3, 224, 224), batch=32)
def resnet50(net: Any, x: Any) -> Any:
    """ResNet-50 v1.5: the stride in the bottleneck's 3x3, no biases before batch norm."""
    x = _resnet_stem(net, x)
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
        for number in range(blocks):
            stride = 2 if stage > 1 and number == 0 else 1
            x = bottleneck(net, x, f"stage{stage}.{number}", width, stride)
    return _classifier(net, net.global_avg_pool(x), 1000)


@convnet(input=(3, 224, 224), batch=32)
def mobilenet_v2(net: Any, x: Any) -> Any:
    """MobileNetV2 (Sandler et al. 2018), with ReLU where it has ReLU6."""
    x = conv_bn_relu(net, x, "stem", 32, 3, 2)
    for stage, (expand, width, blocks, first) in enumerate(
        (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ),
        start=1,
    ):
        for number in range(blocks):
            stride = first if number == 0 else 1
            x = inverted_residual(net, x, f"stage{stage}.{number}", width, stride, expand)
    x = conv_bn_relu(net, x, "head", 1280, 1)
    return _classifier(net, net.global_avg_pool(x), 1000)
