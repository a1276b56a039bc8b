"""Multilayer networks: a forward and a backward pass, params as a dict of arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from cases._case import Case, named

exp = np.exp


def sigmoid(z: Any) -> Any:
    return 1 / (1 + exp(-z))


def _gelu(z: Any) -> Any:
    return z / 2 * (1 + np.tanh(0.8 * (z + 0.045 * z**3)))


def _d_gelu(z: Any) -> Any:
    t = np.tanh(0.8 * (z + 0.045 * z**3))
    return (1 + t) / 2 + z / 2 * (1 - t**2) * 0.8 * (1 + 0.135 * z**2)


# name: (activation, its derivative in terms of the pre-activation)
ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: z * (z > 0), lambda z: 1.0 * (z > 0)),
    "leaky relu": (lambda z: np.where(z > 0, z, 0.1 * z), lambda z: np.where(z > 0, 1.0, 0.1)),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
    "softplus": (lambda z: np.log1p(exp(z)), sigmoid),
    "elu": (
        lambda z: np.where(z > 0, z, exp(z * (z <= 0)) - 1),
        lambda z: np.where(z > 0, 1.0, exp(z * (z <= 0))),
    ),
    "gelu": (_gelu, _d_gelu),
    "swish": (lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z)))),
    "sine": (np.sin, np.cos),
}


def squares(out: Any, y: Any) -> tuple[Any, Any]:
    return np.sum((out - y) ** 2) / (2 * len(y)), (out - y) / len(y)


def softmax(z: Any) -> Any:
    e = exp(z - np.max(z.real, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def cross_entropy(out: Any, y: Any) -> tuple[Any, Any]:
    """Y holds one-hot rows."""
    shifted = out - np.max(out.real, axis=1, keepdims=True)
    logs = shifted - np.log(np.sum(exp(shifted), axis=1, keepdims=True))
    return -np.sum(y * logs) / len(y), (softmax(out) - y) / len(y)


def binary_cross_entropy(out: Any, y: Any) -> tuple[Any, Any]:
    value = np.sum(np.log(1 + exp(out)) - y * out) / len(y)
    return value, (sigmoid(out) - y) / len(y)


@dataclass(frozen=True)
class Net:
    """A dense network; x has one row per example."""

    x: Any
    y: Any
    activation: str
    loss: Callable[[Any, Any], tuple[Any, Any]]
    decay: float = 0.0
    residual: bool = False
    mask: Any = None

    def _forward(self, p: Any) -> tuple[list[Any], list[Any]]:
        depth = len(p) // 2
        activate = ACTIVATIONS[self.activation][0]
        inputs, outputs = [self.x], []
        for k in range(1, depth + 1):
            z = inputs[-1] @ p[f"W{k}"] + p[f"b{k}"]
            outputs.append(z)
            if k < depth:
                a = activate(z)
                if self.mask is not None:
                    a = a * self.mask
                if self.residual and a.shape == inputs[-1].shape:
                    a = a + inputs[-1]
                inputs.append(a)
        return inputs, outputs

    def func(self, p: Any) -> Any:
        """Return the loss and the penalty."""
        _, outputs = self._forward(p)
        penalty = sum(np.sum(p[key] ** 2) for key in p if key[0] == "W")
        return self.loss(outputs[-1], self.y)[0] + self.decay / 2 * penalty

    def grad(self, p: Any) -> Any:
        """Return the gradient by back-propagation."""
        inputs, outputs = self._forward(p)
        slope = ACTIVATIONS[self.activation][1]
        back = self.loss(outputs[-1], self.y)[1]
        after: Any = 0
        found = {}
        for k in range(len(outputs), 0, -1):
            found[f"W{k}"] = inputs[k - 1].T @ back + self.decay * p[f"W{k}"]
            found[f"b{k}"] = np.sum(back, axis=0)
            if k > 1:
                through = back @ p[f"W{k}"].T
                # Layer k passes its input on unchanged as well, if it is residual.
                skips = self.residual and k < len(outputs)
                if skips and outputs[k - 1].shape == inputs[k - 1].shape:
                    through = through + after
                after = through
                masked = through if self.mask is None else through * self.mask
                back = masked * slope(outputs[k - 2])
        return {key: found[key] for key in p}


def weights(random: Any, widths: tuple[int, ...], size: float = 1.0) -> dict[str, Any]:
    p = {}
    for k, (m, n) in enumerate(pairwise(widths), start=1):
        p[f"W{k}"] = size * random.standard_normal((m, n)) / np.sqrt(m)
        p[f"b{k}"] = 0.1 * random.standard_normal(n)
    return p


def one_hot(random: Any, rows: int, classes: int) -> Any:
    return np.eye(classes)[random.integers(classes, size=rows)]


def net(
    seed: int,
    widths: tuple[int, ...],
    activation: str = "tanh",
    loss: Callable[[Any, Any], tuple[Any, Any]] = squares,
    rows: int = 8,
    size: float = 1.0,
    **more: Any,
) -> tuple[Any, Any, Any]:
    """Make (func, grad, params) of a random network and data."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, widths[0]))
    if loss is cross_entropy:
        y = one_hot(random, rows, widths[-1])
    elif loss is binary_cross_entropy:
        y = random.integers(2, size=(rows, widths[-1])).astype(float)
    else:
        y = random.standard_normal((rows, widths[-1]))
    made = Net(x, y, activation, loss, **more)
    return made.func, made.grad, weights(random, widths, size)


def cases() -> list[Case]:
    drop = (np.random.default_rng(5).random((8, 12)) > 0.4) / 0.6
    rows = [
        ("logistic regression", *net(1, (6, 1), loss=binary_cross_entropy, rows=30)),
        # The softmax does not see a constant added to its input: those bias directions are flat,
        # but not the single biases.
        ("softmax regression", *net(2, (6, 4), loss=cross_entropy, rows=30)),
        ("linear regression", *net(3, (7, 1), rows=40)),
        ("mlp tanh 4-3-2", *net(4, (4, 3, 2))),
        ("mlp tanh 10-16-8-3", *net(5, (10, 16, 8, 3), loss=cross_entropy, rows=12)),
        ("mlp relu 5-8-1", *net(6, (5, 8, 1), "relu", binary_cross_entropy)),
        ("mlp relu 8-12-6-3", *net(7, (8, 12, 6, 3), "relu", cross_entropy, 20)),
        ("mlp leaky relu", *net(8, (5, 9, 2), "leaky relu")),
        ("mlp sigmoid", *net(9, (5, 9, 2), "sigmoid", binary_cross_entropy)),
        ("mlp sigmoid, saturated", *net(10, (5, 9, 2), "sigmoid", size=8.0)),
        ("mlp tanh, saturated", *net(11, (5, 9, 2), "tanh", size=6.0)),
        ("mlp softplus", *net(12, (5, 9, 2), "softplus")),
        ("mlp elu", *net(13, (5, 9, 2), "elu")),
        ("mlp gelu", *net(14, (6, 10, 3), "gelu", cross_entropy)),
        ("mlp swish", *net(15, (6, 10, 3), "swish")),
        ("mlp of sines", *net(16, (2, 12, 1), "sine", size=4.0)),
        ("mlp deep and narrow", *net(17, (3, 4, 4, 4, 4, 4, 4, 2), "tanh")),
        ("mlp deep sigmoid, vanishing", *net(18, (3, 4, 4, 4, 4, 4, 4, 2), "sigmoid")),
        ("mlp with weight decay", *net(19, (5, 8, 2), "tanh", decay=0.3)),
        ("mlp with residual blocks", *net(20, (6, 6, 6, 6, 2), "tanh", residual=True)),
        ("mlp with a fixed dropout mask", *net(21, (5, 12, 2), "tanh", mask=drop)),
        ("mlp tiny weights", *net(22, (5, 8, 2), "tanh", size=1e-4)),
        ("mlp nearly certain", *net(23, (5, 8, 3), "tanh", cross_entropy, size=5.0)),
        ("autoencoder", *net(24, (8, 3, 8), "tanh", rows=10)),
        ("mlp wide 20-16-4", *net(25, (20, 16, 4), "relu", cross_entropy, 10)),
    ]
    return named("network", rows)
