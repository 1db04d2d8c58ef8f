"""Keras 3 as its users write it: a functional model, `train_on_batch`, `predict_on_batch`.

The native lane of its three back ends (core/native.py), each beside that framework's
portable contender. The networks are written by hand: `keras.applications` has ResNet-50 v1,
another network. Where stride and padding meet, a ZeroPadding2D stands before the layer, as
there ("same" is not symmetric at stride 2 on even sizes). Keras keeps the biased variance in
batch norm, and its momentum is -lr times the algebra's: both are undone where the state is read.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.core.base import Variant
from adapters.core.native import Native, canonical, channels_last

SUFFIXES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "scale",
    "beta": "shift",
    "moving_mean": "mean",
    "moving_variance": "var",
}
DOT = "-"  # in a layer's name: PyTorch, beneath Keras, allows no dot there
DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}


class Keras(Native):
    """Layers bear the network layer's names; their variables are HWIO on every back end."""

    requires = ("keras",)
    distributions = ("keras",)
    environment = "tensorflow"  # which brings Keras
    variants = {
        "": Variant(
            "Keras on TensorFlow, graph (jit_compile=False)",
            {"backend": "tensorflow"},
            compile_seconds=0.05,
            joins=(),
            of="tensorflow",
        ),
        "xla": Variant(
            "Keras on TensorFlow, XLA (jit_compile=True)",
            {"backend": "tensorflow", "jit": True},
            compile_seconds=0.15,
            joins=(),
            of="tensorflow:xla",
        ),
        "jax": Variant(
            "Keras on JAX, jit",
            {"backend": "jax", "jit": True},
            compile_seconds=0.15,
            joins=(),
            of="jax",
            environment="flax",
        ),
        "torch": Variant(
            "Keras on PyTorch, eager, channels first",
            {"backend": "torch"},
            joins=(),
            of="torch",
            environment="keras-torch",
        ),
    }

    def __init__(self, variant: str, device: str, precision: str, threads: int):
        super().__init__(variant, device, precision, threads)
        os.environ["KERAS_BACKEND"] = self.options["backend"]
        import keras

        self.keras = keras
        self.settle()

    def settle(self) -> None:
        super().settle()
        self.keras.config.set_floatx(self.precision)
        first = self.options["backend"] == "torch"  # its images are logical NCHW
        self.keras.config.set_image_data_format("channels_first" if first else "channels_last")

    def build(self, workload: Any) -> Any:
        channels, *space = workload.input
        first = self.keras.config.image_data_format() == "channels_first"
        x = self.keras.Input((channels, *space) if first else (*space, channels))
        return self.keras.Model(x, _Layers(self.keras).network(workload.name, x))

    def variables(self) -> dict[str, Any]:
        return {_ours(variable): variable for variable in self.model.weights if _is_kept(variable)}

    def momenta(self) -> dict[str, Any]:
        trained = map(_ours, self.model.trainable_variables)
        return dict(zip(trained, map(_Momentum, self.optimizer.momentums), strict=True))

    def read(self, name: str, variable: Any) -> np.ndarray:
        if isinstance(variable, _Momentum):
            rate = float(self.optimizer.learning_rate)
            return self.read(name, variable.variable) / -rate
        value = np.array(self.keras.ops.convert_to_numpy(variable.value))
        value = np.array(canonical(self.parameters, name, value))
        if name.endswith(".var"):
            return self.unbiased(name, value, int(self.optimizer.iterations))
        return value

    def write(self, name: str, variable: Any, value: np.ndarray) -> None:
        if isinstance(variable, _Momentum):  # always zeros
            variable = variable.variable
        variable.assign(channels_last(self.parameters, name, value))

    def infer(self, workload: Any) -> Callable[[Any, Any], Any]:
        # Left to itself Keras chooses by device: XLA where there is a GPU, and not on a CPU.
        self.model.compile(jit_compile=bool(self.options.get("jit")))
        predict = self.model.predict_on_batch
        return lambda _, x: predict(x)

    def train(self, workload: Any, lr: float, momentum: float) -> Callable[..., Any]:
        keras, model = self.keras, self.model
        self.optimizer = keras.optimizers.SGD(lr, momentum)
        model.compile(
            optimizer=self.optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=bool(self.options.get("jit")),
        )
        self.optimizer.build(model.trainable_variables)
        return lambda state, x, y: (state, model.train_on_batch(x, y))

    def restarted(self) -> None:
        self.optimizer.iterations.assign(0)

    def manifest(self) -> dict[str, Any]:
        own = {  # what Keras does otherwise than the framework's portable contender
            "tensorflow": {"batch_norm": "moments"},
            "torch": {"layout": "NCHW"},
        }
        return (
            self.home.manifest()
            | own.get(self.options["backend"], {})
            | {
                "framework": f"keras on {self.options['backend']}",
                "keras": self.keras.__version__,
                "model": "keras.Model, functional",
                "optimizer": "keras.optimizers.SGD in train_on_batch",
            }
        )

    def reset(self) -> None:
        super().reset()
        self.keras.utils.clear_session()


class _Momentum:
    """A momentum variable: Keras's is -lr times the algebra's."""

    def __init__(self, variable: Any):
        self.variable = variable


def _is_kept(variable: Any) -> bool:
    return variable.path.rpartition("/")[2] in SUFFIXES


def _ours(variable: Any) -> str:
    layer, _, kind = variable.path.rpartition("/")
    return f"{layer.replace(DOT, '.')}.{SUFFIXES[kind]}"


class _Layers:
    """The networks, in Keras's functional way."""

    def __init__(self, keras: Any):
        self.layers = keras.layers
        self.axis = 1 if keras.config.image_data_format() == "channels_first" else -1

    def network(self, name: str, x: Any) -> Any:
        if name == "threelayer":
            return self.threelayer(x)
        return self.alexnet(x) if name == "alexnet" else self.resnet(x, name)

    def _conv(self, name: str, x: Any, width: int, kernel: int, stride: int = 1) -> Any:
        """Padded to keep its size."""
        mode = "same"
        if stride > 1 and kernel > 1:
            x, mode = self.layers.ZeroPadding2D(kernel // 2)(x), "valid"
        name = name.replace(".", DOT)
        conv, bn = f"{name}{DOT}conv", f"{name}{DOT}bn"
        layer = self.layers.Conv2D(width, kernel, stride, mode, use_bias=False, name=conv)
        norm = self.layers.BatchNormalization(axis=self.axis, momentum=0.9, epsilon=1e-5, name=bn)
        return norm(layer(x))

    def _basic(self, name: str, x: Any, width: int, stride: int) -> Any:
        y = self.layers.ReLU()(self._conv(f"{name}.1", x, width, 3, stride))
        y = self._conv(f"{name}.2", y, width, 3)
        return self._sum(name, x, y, stride)

    def _bottleneck(self, name: str, x: Any, width: int, stride: int) -> Any:
        """ResNet v1.5: the stride is in the 3x3."""
        y = self.layers.ReLU()(self._conv(f"{name}.1", x, width, 1))
        y = self.layers.ReLU()(self._conv(f"{name}.2", y, width, 3, stride))
        y = self._conv(f"{name}.3", y, 4 * width, 1)
        return self._sum(name, x, y, stride)

    def _sum(self, name: str, x: Any, y: Any, stride: int) -> Any:
        """Of a block's input and its branch; the input by a 1x1 where their extents differ."""
        width = y.shape[self.axis]
        if stride != 1 or x.shape[self.axis] != width:
            x = self._conv(f"{name}.skip", x, width, 1, stride)
        return self.layers.ReLU()(self.layers.Add()([x, y]))

    def resnet(self, x: Any, name: str) -> Any:
        layers, block = self.layers, self._bottleneck if name == "resnet50" else self._basic
        x = layers.ReLU()(self._conv("stem", x, 64, 7, 2))
        x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))  # of what is 0 or more
        for stage, depth in enumerate(DEPTHS[name], start=1):
            for number in range(depth):
                stride = 2 if stage > 1 and number == 0 else 1
                x = block(f"stage{stage}.{number}", x, 32 * 2**stage, stride)
        return layers.Dense(1000, name="fc1")(layers.GlobalAveragePooling2D()(x))

    def alexnet(self, x: Any) -> Any:
        layers = self.layers
        x = layers.Conv2D(64, 11, 4, activation="relu", name="conv1")(layers.ZeroPadding2D(2)(x))
        x = layers.MaxPooling2D(3, 2)(x)
        for number, (width, kernel) in enumerate(((192, 5), (384, 3), (256, 3), (256, 3)), start=2):
            layer = layers.Conv2D(
                width, kernel, padding="same", activation="relu", name=f"conv{number}"
            )
            x = layer(x)
            if number in (2, 5):
                x = layers.MaxPooling2D(3, 2)(x)
        x = layers.Flatten()(x)
        x = layers.Dense(4096, activation="relu", name="fc1")(x)
        x = layers.Dense(4096, activation="relu", name="fc2")(x)
        return layers.Dense(1000, name="fc3")(x)

    def threelayer(self, x: Any) -> Any:
        layers = self.layers
        x = layers.Conv2D(32, 7, padding="same", activation="relu", name="conv")(x)
        x = layers.Flatten()(layers.MaxPooling2D(2)(x))
        x = layers.Dense(100, activation="relu", name="fc1")(x)
        return layers.Dense(10, name="fc2")(x)
