"""Networks with structure: convolution, recurrence, normalisation, attention, embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named
from cases.networks import one_hot, sigmoid, softmax

sqrt, tanh = np.sqrt, np.tanh


def convolution(seed: int = 1) -> tuple[Any, Any, Any]:
    """Two 3×3 filters over 6×6 images, relu, a dense layer, squares."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((4, 6, 6))
    y = random.standard_normal(4)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))

    def forward(p: Any) -> tuple[Any, Any, Any]:
        z = np.einsum("nijkl,fkl->nfij", windows, p["filters"]) + p["bias"][:, None, None]
        a = z * (z > 0)
        return z, a, np.einsum("nfij,fij->n", a, p["dense"]) - y

    def func(p: Any) -> Any:
        return np.sum(forward(p)[2] ** 2) / 2

    def grad(p: Any) -> Any:
        z, a, r = forward(p)
        dz = r[:, None, None, None] * p["dense"] * (z > 0)
        return {
            "filters": np.einsum("nijkl,nfij->fkl", windows, dz),
            "bias": np.sum(dz, axis=(0, 2, 3)),
            "dense": np.einsum("n,nfij->fij", r, a),
        }

    p = {
        "filters": random.standard_normal((2, 3, 3)) / 3,
        "bias": random.standard_normal(2) / 5,
        "dense": random.standard_normal((2, 4, 4)) / 4,
    }
    return func, grad, p


def pooled_convolution(seed: int = 2) -> tuple[Any, Any, Any]:
    """Make a one-dimensional convolution, the maximum over time, and a logistic loss."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((5, 12))
    y = random.integers(2, size=5)
    windows = np.lib.stride_tricks.sliding_window_view(x, 4, axis=1)

    def forward(p: Any) -> tuple[Any, Any, Any]:
        z = tanh(np.einsum("ntk,fk->nft", windows, p["filters"]))
        where = np.argmax(z.real, axis=2)
        top = np.take_along_axis(z, where[:, :, None], axis=2)[:, :, 0]
        return where, top, top @ p["v"]

    def func(p: Any) -> Any:
        out = forward(p)[2]
        return np.sum(np.log(1 + np.exp(out)) - y * out)

    def grad(p: Any) -> Any:
        where, top, out = forward(p)
        r = sigmoid(out) - y
        back = r[:, None] * p["v"] * (1 - top**2)
        picked = windows[np.arange(5)[:, None], where]
        return {"filters": np.einsum("nf,nfk->fk", back, picked), "v": top.T @ r}

    return func, grad, {"filters": random.standard_normal((3, 4)), "v": random.standard_normal(3)}


def recurrent(seed: int = 3, steps: int = 7) -> tuple[Any, Any, Any]:
    """Make an Elman network: back-propagation through time."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((steps, 3))
    y = random.standard_normal((steps, 2))

    def states(p: Any) -> list[Any]:
        h = [np.zeros(4)]
        for t in range(steps):
            h.append(tanh(x[t] @ p["U"] + h[-1] @ p["W"] + p["b"]))
        return h

    def func(p: Any) -> Any:
        return sum(np.sum((h @ p["V"] + p["c"] - y[t]) ** 2) for t, h in enumerate(states(p)[1:]))

    def grad(p: Any) -> Any:
        h = states(p)
        g = {key: np.zeros_like(value) for key, value in p.items()}
        back = np.zeros(4)
        for t in range(steps - 1, -1, -1):
            r = 2 * (h[t + 1] @ p["V"] + p["c"] - y[t])
            g["V"] += np.outer(h[t + 1], r)
            g["c"] += r
            dz = (r @ p["V"].T + back) * (1 - h[t + 1] ** 2)
            g["U"] += np.outer(x[t], dz)
            g["W"] += np.outer(h[t], dz)
            g["b"] += dz
            back = dz @ p["W"].T
        return g

    shapes = {"U": (3, 4), "W": (4, 4), "b": (4,), "V": (4, 2), "c": (2,)}
    return func, grad, {key: random.standard_normal(s) / 2 for key, s in shapes.items()}


def gated(seed: int = 4, steps: int = 5) -> tuple[Any, Any, Any]:
    """Make a minimal gated unit: h ← (1 − f)·h + f·tanh(W[f·h, x])."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((steps, 2))

    def run(p: Any) -> tuple[list[Any], list[Any]]:
        h, kept = [np.full(3, 0.1)], []
        for t in range(steps):
            f = sigmoid(h[-1] @ p["F"] + x[t] @ p["G"])
            c = tanh((f * h[-1]) @ p["H"] + x[t] @ p["K"])
            kept.append((f, c))
            h.append((1 - f) * h[-1] + f * c)
        return h, kept

    def func(p: Any) -> Any:
        return np.sum(run(p)[0][-1] ** 3) + np.sum(run(p)[0][2])

    def grad(p: Any) -> Any:
        h, kept = run(p)
        g = {key: np.zeros_like(value) for key, value in p.items()}
        back = 3 * h[-1] ** 2
        for t in range(steps - 1, -1, -1):
            if t == 1:
                back = back + 1
            f, c = kept[t]
            dc = back * f * (1 - c**2)
            inner = dc @ p["H"].T
            df = (back * (c - h[t]) + inner * h[t]) * f * (1 - f)
            g["H"] += np.outer(f * h[t], dc)
            g["K"] += np.outer(x[t], dc)
            g["F"] += np.outer(h[t], df)
            g["G"] += np.outer(x[t], df)
            back = back * (1 - f) + inner * f + df @ p["F"].T
        return g

    shapes = {"F": (3, 3), "G": (2, 3), "H": (3, 3), "K": (2, 3)}
    return func, grad, {key: random.standard_normal(s) / 2 for key, s in shapes.items()}


def normalised(seed: int, axis: int) -> tuple[Any, Any, Any]:
    """Dense, batch (axis 0) or layer (axis 1) normalisation, scale and shift, tanh, dense.

    With axis 0 the first bias has no effect at all: its gradient is zero in truth.
    """
    random = np.random.default_rng(seed)
    x, y = random.standard_normal((9, 4)), random.standard_normal((9, 2))

    def forward(p: Any) -> tuple[Any, ...]:
        z = x @ p["W"] + p["b"]
        centred = z - np.mean(z, axis=axis, keepdims=True)
        deviation = sqrt(np.mean(centred**2, axis=axis, keepdims=True) + 1e-3)
        unit = centred / deviation
        a = tanh(p["gamma"] * unit + p["beta"])
        return unit, deviation, a, a @ p["V"] - y

    def func(p: Any) -> Any:
        return np.sum(forward(p)[3] ** 2) / 2

    def grad(p: Any) -> Any:
        unit, deviation, a, r = forward(p)
        pre = (r @ p["V"].T) * (1 - a**2)
        du = pre * p["gamma"]
        mean = np.mean(du, axis=axis, keepdims=True)
        along = np.mean(du * unit, axis=axis, keepdims=True)
        dz = (du - mean - unit * along) / deviation
        return {
            "W": x.T @ dz,
            "b": np.sum(dz, axis=0) if axis == 1 else np.zeros_like(p["b"]),
            "gamma": np.sum(pre * unit, axis=0),
            "beta": np.sum(pre, axis=0),
            "V": a.T @ r,
        }

    shapes = {"W": (4, 5), "b": (5,), "gamma": (5,), "beta": (5,), "V": (5, 2)}
    return func, grad, {key: random.standard_normal(s) for key, s in shapes.items()}


def attention(seed: int = 7) -> tuple[Any, Any, Any]:
    """One head over six tokens of width four."""
    random = np.random.default_rng(seed)
    x, y = random.standard_normal((6, 4)), random.standard_normal((6, 3))

    def forward(p: Any) -> tuple[Any, ...]:
        q, k, v = x @ p["Q"], x @ p["K"], x @ p["V"]
        weight = softmax(q @ k.T / sqrt(3))
        return q, k, v, weight, weight @ v - y

    def func(p: Any) -> Any:
        return np.sum(forward(p)[4] ** 2)

    def grad(p: Any) -> Any:
        q, k, v, weight, r = forward(p)
        dw = 2 * r @ v.T
        ds = weight * (dw - np.sum(dw * weight, axis=1, keepdims=True)) / sqrt(3)
        return {"Q": x.T @ (ds @ k), "K": x.T @ (ds.T @ q), "V": x.T @ (weight.T @ (2 * r))}

    return func, grad, {key: random.standard_normal((4, 3)) for key in "QKV"}


def embedding(seed: int = 8) -> tuple[Any, Any, Any]:
    """Mean of looked-up rows, then softmax: rows that no token uses have a zero gradient."""
    random = np.random.default_rng(seed)
    tokens = random.integers(6, size=(5, 4))
    y = one_hot(random, 5, 3)

    def forward(p: Any) -> tuple[Any, Any]:
        mean = np.mean(p[0][tokens], axis=1)
        return mean, mean @ p[1]

    def func(p: Any) -> Any:
        return -np.sum(y * np.log(softmax(forward(p)[1])))

    def grad(p: Any) -> Any:
        mean, out = forward(p)
        r = softmax(out) - y
        g = np.zeros_like(p[0])
        np.add.at(g, tokens, ((r @ p[1].T) / 4)[:, None, :])
        return [g, mean.T @ r]

    return func, grad, [random.standard_normal((8, 3)), random.standard_normal((3, 3))]


def negative_sampling(seed: int = 9) -> tuple[Any, Any, Any]:
    """Skip-gram with negative samples: one centre word, one context, three noise words."""
    random = np.random.default_rng(seed)
    sign = np.array([1.0, -1, -1, -1])

    def func(p: Any) -> Any:
        return np.sum(np.log(1 + np.exp(-sign * (p["context"] @ p["centre"]))))

    def grad(p: Any) -> Any:
        back = -sign * sigmoid(-sign * (p["context"] @ p["centre"]))
        return {"centre": p["context"].T @ back, "context": np.outer(back, p["centre"])}

    p = {"centre": random.standard_normal(6), "context": random.standard_normal((4, 6))}
    return func, grad, p


def cases() -> list[Case]:
    rows = [
        ("convolution, relu, dense", *convolution()),
        ("convolution, maximum over time", *pooled_convolution()),
        ("recurrent network", *recurrent()),
        ("gated recurrent unit", *gated()),
        ("layer normalisation", *normalised(5, 1)),
        ("attention head", *attention()),
        ("embedding", *embedding()),
        ("negative sampling", *negative_sampling()),
    ]
    # A bias before a batch normalisation changes J by rounding alone; calling its block
    # vacuous is right as well.
    zero = ("bias before batch normalisation", *normalised(6, 0), {"also": ("vacuous",)})
    return named("network", rows) + named("tiny or zero", [zero])
