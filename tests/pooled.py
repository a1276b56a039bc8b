"""Functions to check in other processes: what is sent there must be found in a module."""

import math
import os
import signal
import time
from pathlib import Path

import numpy as np

HOME = "GRADCHECK_TEST_HOME"
"""Names the process that must not be ended."""

ONCE = "GRADCHECK_TEST_ONCE"
"""Names a file that is made when a process is ended, so that it happens once."""


def params():
    rng = np.random.default_rng(3)
    return {"W": rng.normal(size=(4, 5)), "b": [rng.normal(size=5), 0.75]}


def cost(p, power=2):
    return float(np.sum(np.tanh(p["W"] @ p["b"][0]) ** power) + np.exp(p["b"][1]))


def cost_beside(p, anything):
    return cost(p)


def slow_cost(p):
    time.sleep(0.001)  # long enough for a part of the sweep to be one coordinate
    return cost(p)


def gradient(p):
    z = p["W"] @ p["b"][0]
    d = 2 * np.tanh(z) / np.cosh(z) ** 2
    return {"W": np.outer(d, p["b"][0]), "b": [p["W"].T @ d, math.exp(p["b"][1])]}


def wrong_gradient(p):
    found = gradient(p)
    found["W"][2, 3] *= 1.01
    found["b"][1] *= -1
    return found


def both(p):
    return (cost(p), "aux"), gradient(p)


def moved(p):
    return p["W"][0, 2] != params()["W"][0, 2]


def ends_process(p):
    if moved(p) and os.environ.get(HOME) != str(os.getpid()):
        os._exit(3)
    return cost(p)


def kills_process(p):
    if moved(p) and os.environ.get(HOME) != str(os.getpid()):
        os.kill(os.getpid(), signal.SIGKILL)
    return cost(p)


def ends_process_once(p):
    if moved(p) and not Path(os.environ[ONCE]).exists():
        Path(os.environ[ONCE]).touch()
        return ends_process(p)
    return cost(p)


class OfTwoError(Exception):
    """An exception that pickle can't bring back: it takes two arguments and keeps one."""

    def __init__(self, first, second):
        super().__init__(first)


class WithoutTextError(Exception):
    """An exception that can't be shown."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


def raises_without_text(p):
    if moved(p):
        raise WithoutTextError
    return cost(p)


def raises_of_two(p):
    if moved(p):
        raise OfTwoError("no way", 2)
    return cost(p)


def raises_key_error(p):
    return cost(p) if p["W"][1, 2] == params()["W"][1, 2] else {}["absent"]


def layer(p):
    """Outputs in containers; one of them is narrow, one does not answer to b."""
    z = p["W"] @ p["b"][0]
    return {"z": np.tanh(z), "narrow": np.float32(z[0] ** 2), "alone": p["b"][1] ** 3}


def layer_jacobian(p):
    z = p["W"] @ p["b"][0]
    by_w, slope = np.einsum("ik,j->ikj", np.eye(4), p["b"][0]), 1 / np.cosh(z) ** 2
    zero = {"W": np.zeros((4, 5)), "b": [np.zeros(5), 0.0]}
    first = {"W": 2 * z[0] * by_w[0], "b": [2 * z[0] * p["W"][0], 0.0]}
    return {
        "z": {"W": slope[:, None, None] * by_w, "b": [slope[:, None] * p["W"], np.zeros(4)]},
        "narrow": first,
        "alone": {**zero, "b": [np.zeros(5), 3 * p["b"][1] ** 2]},
    }


def wrong_layer_jacobian(p):
    found = layer_jacobian(p)
    found["z"]["W"][2, 2, 3] *= 1.01
    found["alone"]["b"][1] *= -1
    return found


def many(x):
    return np.tanh(x) + np.roll(x, 1) ** 2


def many_vjp(x, u):
    found = u / np.cosh(x) ** 2 + np.roll(u, -1) * 2 * x
    found[7] *= 1.01
    return found


def logarithm(x):
    return float(np.log(np.sum(x**2) + x[0] * x[1]))


def logarithm_gradient(x):
    along = 2 * x + np.array([x[1], x[0], *np.zeros(x.size - 2)])
    return along / (np.sum(x**2) + x[0] * x[1])


def outside(p):
    if np.min(p["b"][1]) > params()["b"][1]:
        raise ValueError("above")
    return layer(p)
