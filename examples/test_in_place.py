"""Check layers that own their arrays: loss() takes no arguments and closes over them."""

import numpy as np

from pytest_gradcheck import assert_gradients_close


class Affine:
    """A layer in the object style: forward remembers its input, backward fills the gradients."""

    def __init__(self, rng, inputs, outputs):
        self.weight = rng.normal(size=(inputs, outputs))
        self.bias = rng.normal(size=outputs)

    def forward(self, x):
        """Return x @ weight + bias."""
        self.x = x
        return x @ self.weight + self.bias

    def backward(self, d_output):
        """Fill d_weight and d_bias."""
        self.d_weight = self.x.T @ d_output
        self.d_bias = d_output.sum(axis=0)


def test_affine_layer():
    rng = np.random.default_rng(3)
    layer, x, target = Affine(rng, 4, 2), rng.normal(size=(5, 4)), rng.normal(size=(5, 2))

    def loss():
        return 0.5 * np.sum((layer.forward(x) - target) ** 2)

    layer.backward(layer.forward(x) - target)
    params = {"weight": layer.weight, "bias": layer.bias}
    gradient = {"weight": layer.d_weight, "bias": layer.d_bias}
    before = layer.weight.copy()

    assert_gradients_close(loss, gradient, params, in_place=True)

    assert np.array_equal(layer.weight, before)  # put back bit for bit
