"""Check a model made of nested dataclasses: labels follow the attributes, layers[1].bias[0]."""

from dataclasses import dataclass

import numpy as np

from pytest_gradcheck import assert_gradients_close, check_gradients


@dataclass
class Dense:
    """One affine layer; a gradient has the same form."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass
class Model:
    """A stack of layers with tanh between them, and the strength of the weight decay."""

    layers: list[Dense]
    log_decay: float


def loss(model, x, target):
    first, second = model.layers
    output = np.tanh(x @ first.weight + first.bias) @ second.weight + second.bias
    weights = np.sum(first.weight**2) + np.sum(second.weight**2)
    return np.mean((output - target) ** 2) + np.exp(model.log_decay) * weights


def gradient(model, x, target):
    first, second = model.layers
    hidden = np.tanh(x @ first.weight + first.bias)
    output = hidden @ second.weight + second.bias
    decay = np.exp(model.log_decay)

    d_output = 2 * (output - target) / output.size
    d_hidden = (d_output @ second.weight.T) * (1 - hidden**2)
    return Model(
        layers=[
            Dense(x.T @ d_hidden + 2 * decay * first.weight, d_hidden.sum(axis=0)),
            Dense(hidden.T @ d_output + 2 * decay * second.weight, d_output.sum(axis=0)),
        ],
        log_decay=decay * (np.sum(first.weight**2) + np.sum(second.weight**2)),
    )


def example():
    rng = np.random.default_rng(7)
    layers = [
        Dense(rng.normal(size=(3, 4)), rng.normal(size=4)),
        Dense(rng.normal(size=(4, 2)), rng.normal(size=2)),
    ]
    return Model(layers, log_decay=-2.0), rng.normal(size=(6, 3)), rng.normal(size=(6, 2))


def test_every_layer():
    model, x, target = example()
    assert_gradients_close(loss, gradient, model, args=(x, target))


def test_a_wrong_bias_is_named():
    model, x, target = example()
    wrong = gradient(model, x, target)
    wrong.layers[1].bias[0] *= 1.001
    report = check_gradients(loss, wrong, model, args=(x, target))
    assert not report.ok
    assert [entry.label for entry in report.worst] == ["layers[1].bias[0]"]
