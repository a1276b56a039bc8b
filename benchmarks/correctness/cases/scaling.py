"""Badly scaled: parameters or gradients spread over many orders of magnitude, offsets, zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named, vector
from cases.networks import sigmoid, softmax

exp, log = np.exp, np.log
LADDER = 10.0 ** np.arange(-8, 9)


def quadratic(weights: Any) -> tuple[Any, Any]:
    return lambda x: np.sum(weights * x**2) / 2, lambda x: weights * x


def softplus(x: Any) -> Any:
    return np.sum(np.log1p(exp(x)))


def spread_net(seed: int = 4) -> tuple[Any, Any, Any]:
    """Make a tanh layer whose inputs span twelve orders of magnitude, and whose weights undo it."""
    random = np.random.default_rng(seed)
    units = 10.0 ** vector(-6, -3, 0, 3, 6)
    x = random.standard_normal((10, 5)) * units

    def func(p: Any) -> Any:
        return np.sum((np.tanh(x @ p["W"]) @ p["v"]) ** 2)

    def grad(p: Any) -> Any:
        a = np.tanh(x @ p["W"])
        r = 2 * a @ p["v"]
        return {"W": x.T @ (np.outer(r, p["v"]) * (1 - a**2)), "v": a.T @ r}

    return (
        func,
        grad,
        {
            "W": random.standard_normal((5, 3)) / units[:, None],
            "v": random.standard_normal(3),
        },
    )


def scaling() -> list[Case]:
    far = vector(-30, -2, 0.5, 3)
    mixed = {"tiny": 1e-8 * vector(1, -2, 3), "one": vector(0.5, 1.5), "huge": 1e8 * vector(1, 2)}
    rows = [
        ("squares of logs, params 1e-8 to 1e8", lambda x: np.sum(log(x) ** 2),
         lambda x: 2 * log(x) / x, 3 * LADDER),
        ("raw quadratic, params 1e-8 to 1e8", *quadratic(1.0), 1.7 * LADDER),
        ("balanced quadratic, params 1e-8 to 1e8", *quadratic(1 / LADDER**2), 1.7 * LADDER),
        ("quadratic of condition 1e12", *quadratic(10.0 ** np.arange(-6, 7)), np.full(13, 0.7)),
        ("sines in units 1e-8 to 1e8", lambda x: np.sum(np.sin(x / LADDER)),
         lambda x: np.cos(x / LADDER) / LADDER, 0.4 * LADDER),
        ("exp at -30 among others", lambda x: np.sum(exp(x)), exp, far),
        ("exp at -30 alone", lambda x: exp(x), exp, -30.0),
        ("softplus at -30 among others", softplus, sigmoid, far),
        ("softplus at -30 alone", lambda x: np.log1p(exp(x)), sigmoid, -30.0),
        ("sigmoid at -30 and 5", lambda x: np.sum(sigmoid(x)),
         lambda x: sigmoid(x) * sigmoid(-x), vector(-30, 5)),
        ("J of 1e12, small gradients", lambda x: 1e12 + 1e3 * np.sum(np.sin(x)),
         lambda x: 1e3 * np.cos(x), vector(0.3, 1.1, -2)),
        ("J of 1e-12", lambda x: 1e-12 * np.sum(np.sin(x) ** 2 + x),
         lambda x: 1e-12 * (np.sin(2 * x) + 1), vector(0.3, 1.1, -2)),
        ("J of 1e-200", lambda x: 1e-200 * np.sum(exp(x)), lambda x: 1e-200 * exp(x),
         vector(0.3, 1.1, -2)),
        ("J of 1e200", lambda x: 1e200 * np.sum(exp(x)), lambda x: 1e200 * exp(x),
         vector(0.3, 1.1, -2)),
        ("blocks of 1e-8, 1 and 1e8",
         lambda p: np.sum(np.sin(1e8 * p["tiny"])) * np.sum(p["one"] ** 2)
         + np.sum(np.cos(1e-8 * p["huge"])),
         lambda p: {"tiny": 1e8 * np.cos(1e8 * p["tiny"]) * np.sum(p["one"] ** 2),
                    "one": 2 * p["one"] * np.sum(np.sin(1e8 * p["tiny"])),
                    "huge": -1e-8 * np.sin(1e-8 * p["huge"])}, mixed),
        ("network in badly scaled units", *spread_net()),
        ("Arrhenius rate", lambda p: p[0] * exp(-p[1] / (8.314 * 700)),
         lambda p: exp(-p[1] / (8.314 * 700)) * vector(1, -p[0] / (8.314 * 700)),
         vector(1e13, 1.2e5)),
        ("planet's energy in SI units",
         lambda p: p[0] * (p[1] ** 2 / 2 - 1.327e20 / p[2]),
         lambda p: vector(p[1] ** 2 / 2 - 1.327e20 / p[2], p[0] * p[1],
                          p[0] * 1.327e20 / p[2] ** 2), vector(5.97e24, 2.98e4, 1.496e11)),
    ]  # fmt: skip
    return named("badly scaled", rows)


def offsets() -> list[Case]:
    x = vector(0.3, -1.2, 2.1)

    def shifted(offset: float) -> tuple[Any, Any, Any]:
        return (lambda x: offset + np.sum(np.sin(x) + x**2 / 2)), (lambda x: np.cos(x) + x), x

    rows = [
        ("offset 1e3", *shifted(1e3)),
        ("offset 1e6", *shifted(1e6)),
        ("offset 1e9", *shifted(1e9), {"expect": "inconclusive-ok"}),
        ("offset 1e12", *shifted(1e12), {"expect": "inconclusive-ok"}),
        ("parameter at 1e6, structure of 1", lambda x: np.sum(np.sin(x)), np.cos,
         vector(1e6, 1e6 + 1)),
        ("parameter at 1e9, a parabola of width 1", lambda x: np.sum((x - 1e9) ** 2),
         lambda x: 2 * (x - 1e9), vector(1e9 + 0.75, 1e9 - 2.5)),
        ("one large term, 1e8, of its own", lambda x: x[0] ** 4 + np.sum(np.sin(x[1:])),
         lambda x: np.concatenate([4 * x[:1] ** 3, np.cos(x[1:])]), vector(100, 0.4, 2.2, -0.9)),
        ("variance of data at 1e6", lambda x: np.mean((x - np.mean(x)) ** 2),
         lambda x: 2 * (x - np.mean(x)) / x.size, 1e6 + vector(0.25, 1.75, -2.25, 0.5)),
    ]  # fmt: skip
    return named("offset", rows)


def tiny() -> list[Case]:
    random = np.random.default_rng(3)
    features = random.standard_normal((12, 4))
    labels = np.eye(3)[random.integers(3, size=12)]

    def shifted_softmax(p: Any) -> Any:
        return -np.sum(labels * log(softmax(features @ p["W"] + p["shift"])))

    def d_shifted_softmax(p: Any) -> Any:
        r = softmax(features @ p["W"] + p["shift"]) - labels
        return {"W": features.T @ r, "shift": 0.0}

    def centred(x: Any) -> Any:
        return np.sum(np.sin(x - np.mean(x)) ** 3)

    def d_centred(x: Any) -> Any:
        c = x - np.mean(x)
        s = 3 * np.sin(c) ** 2 * np.cos(c)
        return s - np.mean(s)

    hidden = {"used": vector(0.4, -0.7), "unused": vector(1.0, 2.0, 3.0)}
    rows = [
        ("shift before a softmax", shifted_softmax, d_shifted_softmax,
         {"W": random.standard_normal((4, 3)), "shift": 0.7}, {"also": ("vacuous",)}),
        ("sum of a softmax times its weights", lambda x: np.sum(softmax(x)) + 0.1 * np.sin(x[0]),
         lambda x: np.concatenate([0.1 * np.cos(x[:1]), np.zeros(3)]), vector(0.2, 1, -1, 2)),
        ("function of centred values", centred, d_centred, vector(1, 2, 4, 8, -3)),
        ("gradient of 1e-9 among ones", lambda x: np.sum(np.sin(x) * vector(1, 1e-9, 1)),
         lambda x: np.cos(x) * vector(1, 1e-9, 1), vector(0.3, 0.5, 0.7)),
        ("gradient of 1e-4 among ones", lambda x: np.sum(np.sin(x) * vector(1, 1e-4, 1)),
         lambda x: np.cos(x) * vector(1, 1e-4, 1), vector(0.3, 0.5, 0.7)),
        ("gaussian tail", lambda x: np.sum(exp(-(x**2))), lambda x: -2 * x * exp(-(x**2)),
         vector(0.5, 4.5, 6)),
        ("log at 1e6", lambda x: np.sum(log(x)), lambda x: 1 / x, vector(1e6, 3e6)),
        ("log at 1e12 beside log at 1", lambda x: np.sum(log(x)), lambda x: 1 / x,
         vector(1e12, 1.3)),
        ("one block that func ignores", lambda p: np.sum(np.sin(p["used"])),
         lambda p: {"used": np.cos(p["used"]), "unused": np.zeros(3)}, hidden,
         {"expect": "vacuous", "also": ("agree",)}),
        ("one entry that func ignores", lambda x: np.sin(x[0]) * x[2],
         lambda x: vector(np.cos(x[0]) * x[2], 0, np.sin(x[0])), vector(0.4, 5, 1.2)),
    ]  # fmt: skip
    return named("tiny or zero", rows)


def cases() -> list[Case]:
    return scaling() + offsets() + tiny()
