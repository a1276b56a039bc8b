"""A three-layer network whose backward pass was written by hand.

    linear, relu, linear, relu, linear, sigmoid; cross-entropy

There are m examples, one per column: x is (4, m), y and the output are (1, m).  The parameters
are a dictionary: W1 (5, 4), b1 (5, 1), W2 (3, 5), b2 (3, 1), W3 (1, 3), b3 (1, 1).
"""

import numpy as np


def relu(z):
    """Return z where it is positive, else 0."""
    return np.maximum(z, 0.0)


def sigmoid(z):
    """Return 1 / (1 + exp(-z))."""
    return 1.0 / (1.0 + np.exp(-z))


def forward(params, x, y):
    """Return the cost, and the activations that the backward pass needs."""
    A1 = relu(params["W1"] @ x + params["b1"])
    A2 = relu(params["W2"] @ A1 + params["b2"])
    A3 = sigmoid(params["W3"] @ A2 + params["b3"])
    cost = -np.sum(y * np.log(A3) + (1 - y) * np.log(1 - A3)) / y.size
    return cost, (A1, A2, A3)


def backward(params, x, y):
    """Return the gradient of the cost, under the names of the parameters."""
    _, (A1, A2, A3) = forward(params, x, y)
    dZ3 = (A3 - y) / y.size
    dZ2 = (params["W3"].T @ dZ3) * (A2 > 0)
    dZ1 = (params["W2"].T @ dZ2) * (A1 > 0)
    return {
        "W1": dZ1 @ x.T,
        "b1": np.sum(dZ1, axis=1, keepdims=True),
        "W2": dZ2 @ A1.T,
        "b2": np.sum(dZ2, axis=1, keepdims=True),
        "W3": dZ3 @ A2.T,
        "b3": np.sum(dZ3, axis=1, keepdims=True),
    }


def draw(seed=1):
    """Return parameters, x and y; seed 1 draws what the deep learning course draws."""
    np.random.seed(seed)
    x = np.random.randn(4, 3)
    y = np.array([[1, 1, 0]])
    shapes = {"W1": (5, 4), "b1": (5, 1), "W2": (3, 5), "b2": (3, 1), "W3": (1, 3), "b3": (1, 1)}
    return {name: np.random.randn(*shape) for name, shape in shapes.items()}, x, y
