"""Situations that public reports and attacks found, as kinds: each is drawn anew for every seed.

A kind is a function of a random generator that returns func, its gradient, parameters and a wrong
gradient.  What is counted of each: how often the right one is accused or left open, and how often
the wrong one is caught or passes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pytest_gradcheck import check_gradients

Drawn = tuple[Callable[..., Any], Callable[..., Any], Any, Callable[..., Any]]

KINDS: dict[str, Callable[[np.random.Generator], Drawn]] = {}


def kind(title: str) -> Callable[[Any], Any]:
    """Enter a kind under its title."""

    def enter(draw: Any) -> Any:
        KINDS[title] = draw
        return draw

    return enter


def one_off(grad: Callable[..., Any], k: int, part: float) -> Callable[..., Any]:
    """Return a gradient (n,) of which one entry is off by a part of it."""
    return lambda x: grad(x) * np.where(np.arange(np.size(x)) == k, 1 + part, 1)


@kind("a block that func ignores, wrong 1e-2")
def ignored(rng: np.random.Generator) -> Drawn:
    params = {"x": rng.normal(size=4), "unused": rng.normal(size=3)}

    def grad(p: Any, part: float = 0.0) -> Any:
        return {"x": np.cos(p["x"]) * (1 + part), "unused": np.zeros(3)}

    return lambda p: np.sum(np.sin(p["x"])), grad, params, lambda p: grad(p, 1e-2)


@kind("a stationary point, wrong by 1e-3")
def stationary(rng: np.random.Generator) -> Drawn:
    at, a = rng.normal(size=4), rng.uniform(1, 3, size=4)
    return (
        lambda x: a @ (x - at) ** 2,
        lambda x: 2 * a * (x - at),
        at,
        lambda x: 2 * a * (x - at) + 1e-3,
    )


@kind("a confident softmax, one entry off by 1e-2")
def confident(rng: np.random.Generator) -> Drawn:
    z = 9 * rng.normal(size=4)

    def grad(z: Any) -> Any:
        e = np.exp(z - z.max())
        return e / e.sum() - (np.arange(4) == 0)

    def func(z: Any) -> Any:
        return z.max() + np.log(np.exp(z - z.max()).sum()) - z[0]

    return func, grad, z, one_off(grad, int(np.argmax(np.abs(grad(z)))), 1e-2)


@kind("an offset before a softmax, off by 1e-2")
def offset(rng: np.random.Generator) -> Drawn:
    c, y = 10.0 ** rng.uniform(2, 4), rng.normal(size=5)

    def chances(p: Any) -> Any:
        e = np.exp(p["z"] + p["c"] - (p["z"] + p["c"]).max())
        return e / e.sum()

    def grad(p: Any, off: float = 0.0) -> Any:
        s = chances(p)
        slopes = s * (y - s @ y)
        return {"z": slopes, "c": slopes.sum() + off}

    params = {"z": rng.normal(size=5), "c": c}
    return lambda p: chances(p) @ y, grad, params, lambda p: grad(p, 1e-2)


@kind("a block of 1e-9 of the others, off by 1e-1")
def small_block(rng: np.random.Generator) -> Drawn:
    params = {"large": rng.normal(size=6), "small": rng.normal(size=4)}

    def grad(p: Any, part: float = 0.0) -> Any:
        return {"large": np.cos(p["large"]), "small": 1e-9 * np.cos(p["small"]) * (1 + part)}

    def func(p: Any) -> Any:
        return np.sin(p["large"]).sum() + 1e-9 * np.sin(p["small"]).sum()

    return func, grad, params, lambda p: grad(p, 0.1)


@kind("float32 J near the edge of a domain, off by half")
def edge(rng: np.random.Generator) -> Drawn:
    x = np.array([1 - 10.0 ** rng.uniform(-6.5, -1)], dtype=np.float32)

    def grad(x: Any) -> Any:
        return 1 / (1 - x.astype(float) ** 2)

    return lambda x: np.float32(np.arctanh(x)[0]), grad, x, lambda x: 1.5 * grad(x)


@kind("float32 before some parameters and behind others, off by 1e-2")
def cast(rng: np.random.Generator) -> Drawn:
    x, y = rng.normal(size=(6, 3)), rng.normal(size=6)
    params = {"w": rng.normal(size=3), "v": rng.normal(size=6)}

    def grad(p: Any, part: float = 0.0) -> Any:
        h = np.tanh(x @ p["w"])
        off = 2 * (h * p["v"] - y)
        return {"w": x.T @ (off * p["v"] * (1 - h * h)) * (1 + part), "v": off * h}

    def func(p: Any) -> Any:
        h = np.tanh(x @ p["w"]).astype(np.float32).astype(float)
        return np.sum((h * p["v"] - y) ** 2)

    return func, grad, params, lambda p: grad(p, 1e-2)


@kind("terms in float32, their mean in float64, off by 1e-2")
def terms(rng: np.random.Generator) -> Drawn:
    x, y, w = rng.normal(size=(30, 3)), rng.normal(size=30), rng.normal(size=3)

    def func(w: Any) -> Any:
        return np.mean(((np.tanh(x @ w) - y) ** 2).astype(np.float32), dtype=float)

    def grad(w: Any) -> Any:
        t = np.tanh(x @ w)
        return 2 * x.T @ ((t - y) * (1 - t * t)) / 30

    return func, grad, w, lambda w: 1.01 * grad(w)


@kind("an entry beside an ill-conditioned one, off by 2e-4")
def neighbour(rng: np.random.Generator) -> Drawn:
    x = np.sort(rng.uniform(0, 5, 15))
    y, d = np.sin(2 * x), (x[:, None] - x) ** 2

    def kernel(p: Any) -> Any:
        return np.exp(-0.5 * d / np.exp(2 * p["length"])) + 1e-10 * np.eye(15)

    def func(p: Any) -> Any:
        z = np.linalg.solve(np.linalg.cholesky(kernel(p)), y - p["mean"])
        return 0.5 * z @ z

    def grad(p: Any, part: float = 0.0) -> Any:
        a = np.linalg.solve(kernel(p), y - p["mean"])
        slope = kernel(p) * d / np.exp(2 * p["length"])
        return {"length": -0.5 * a @ slope @ a, "mean": -a.sum() * (1 + part)}

    return func, grad, {"length": np.log(0.7), "mean": rng.normal()}, lambda p: grad(p, 2e-4)


@kind("a sum behind a normalisation, off by 1e-3")
def normalised(rng: np.random.Generator) -> Drawn:
    def func(x: Any) -> Any:
        off = x - x.mean(1, keepdims=True)
        return (off / np.sqrt(off.var(1, keepdims=True) + 1e-5)).sum()

    def grad(x: Any) -> Any:
        off = x - x.mean(1, keepdims=True)
        size = np.sqrt(off.var(1, keepdims=True) + 1e-5)
        return -(off / size) * (off / size).mean(1, keepdims=True) / size

    x = rng.normal(size=(8, 5))
    return func, grad, x, lambda x: grad(x) + 1e-3 * (np.arange(x.size) == 7).reshape(x.shape)


@kind("J rounded to decimals, off by half")
def decimals(rng: np.random.Generator) -> Drawn:
    c, digits = rng.normal(size=3), int(rng.integers(1, 6))
    return lambda x: round(float(c @ x), digits), lambda x: c, rng.normal(size=3), lambda x: 1.5 * c


@kind("a near tie of max, off by 1e-2")
def near_tie(rng: np.random.Generator) -> Drawn:
    v, gap = rng.uniform(0.3, 3), 10.0 ** rng.uniform(-15, -4)

    def grad(x: Any, part: float = 0.0) -> Any:
        return np.array([x[0] > x[1], x[1] >= x[0], np.cos(x[2])], float) * (1 + part)

    at = np.array([v, v * (1 + gap), 0.3 * v])
    return lambda x: max(x[0], x[1]) + np.sin(x[2]), grad, at, lambda x: grad(x, 1e-2)


@kind("a fast phase, sin(x / w), w from 1e-10 to 1e-6, off by 1e-1")
def phase(rng: np.random.Generator) -> Drawn:
    w, x = 10.0 ** rng.uniform(-10, -6), rng.uniform(0.5, 2)

    def grad(x: Any) -> Any:
        return np.cos(x / w) / w

    return lambda x: np.sin(x / w), grad, x, lambda x: 1.1 * grad(x)


@kind("a constant of 1e10 to 1e14 in J, off by half")
def constant(rng: np.random.Generator) -> Drawn:
    c = 10.0 ** rng.uniform(10, 14)
    return lambda x: np.sum(x**2) + c, lambda x: 2 * x, rng.normal(size=4), lambda x: 3 * x


@kind("log det, condition 1e6 to 1e12, off by half")
def log_det(rng: np.random.Generator) -> Drawn:
    q, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    a = q @ np.diag(np.geomspace(1, 10.0 ** -rng.uniform(6, 12), 5)) @ q.T

    def grad(a: Any) -> Any:
        return np.linalg.inv(a).T

    return lambda a: np.linalg.slogdet(a)[1], grad, a, lambda a: 1.5 * grad(a)


@kind("curvature that jumps at θ, off by 1e-2 of the largest slope")
def knot(rng: np.random.Generator) -> Drawn:
    one, other, b = rng.normal(size=3), rng.normal(size=3), rng.normal(size=3)
    b[0] = 0

    def func(x: Any) -> Any:
        t = x - 1
        return np.exp(np.sum(b * t + np.where(t > 0, one, other) * t * t))

    return func, lambda x: b * func(x), np.ones(3), lambda x: b * func(x) + 0.01 * np.abs(b).max()


@kind("below 1e-308, off by half")
def subnormal(rng: np.random.Generator) -> Drawn:
    unit = 10.0 ** rng.uniform(-321, -309)
    x = rng.normal(size=3)
    return (
        lambda x: unit * np.sum(np.sin(x)),
        lambda x: unit * np.cos(x),
        x,
        lambda x: 1.5 * unit * np.cos(x),
    )


@kind("J printed with 2 to 8 digits, the gradient's sign turned")
def printed(rng: np.random.Generator) -> Drawn:
    x, digits = rng.normal(size=(20, 6)), int(rng.integers(2, 9))
    y, w = rng.normal(size=20), rng.normal(size=6)

    def func(w: Any) -> Any:
        return float(f"{np.sum((np.tanh(x @ w) - y) ** 2):.{digits}g}")

    def grad(w: Any) -> Any:
        t = np.tanh(x @ w)
        return 2 * x.T @ ((t - y) * (1 - t * t))

    return func, grad, w, lambda w: -grad(w)


def rates(seeds: int) -> Iterator[str]:
    """Yield the lines of a table: a row for each kind."""
    yield "| kind | right accused | right open | wrong caught | wrong open | wrong passes |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for number, (title, draw) in enumerate(KINDS.items()):
        right, wrong = Counter[str](), Counter[str]()
        for seed in range(seeds):
            func, grad, params, other = draw(np.random.default_rng([number, seed]))
            with np.errstate(all="ignore"):
                right[check_gradients(func, grad, params).verdict] += 1
                wrong[check_gradients(func, other, params).verdict] += 1
        counts = (right["disagree"], right["inconclusive"], wrong["disagree"])
        parts = (*counts, wrong["inconclusive"], wrong["agree"])
        yield f"| {title} | " + " | ".join(f"{count} of {seeds}" for count in parts) + " |"
