"""Kinks: exactly on one, with subgradients and other values, and at 1e-12 … 1e-2 from one."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named, vector

# |x − 1| and the like; a positive side and a negative side, as (func, grad).
SHAPES: dict[str, tuple[Any, Any]] = {
    "abs": (
        lambda x: np.where(x > 1, x - 1, 1 - x),
        lambda x: np.where(x > 1, 1.0, -1.0),
    ),
    "relu": (lambda x: np.where(x > 1, x - 1, 0 * x), lambda x: np.where(x > 1, 1.0, 0.0)),
    "clip": (
        lambda x: np.where(x > 1, 1 + 0 * x, np.where(x < -1, -1 + 0 * x, x)),
        lambda x: np.where(np.abs(x) < 1, 1.0, 0.0),
    ),
    "max": (
        lambda x: np.where(x**2 > 2 - x, x**2, 2 - x),
        lambda x: np.where(x**2 > 2 - x, 2 * x, -1.0),
    ),
}
DISTANCES = (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def beside() -> list[Case]:
    """One entry at a distance from the kink at 1, the others far from it; smooth terms added."""
    rows = []
    for number, distance in enumerate(DISTANCES):
        for shape, (kink, slope) in SHAPES.items():
            side = 1 if (number + len(shape)) % 2 else -1
            x = vector(1 + side * distance, 0.3, 1.9)

            def func(x: Any, kink: Any = kink) -> Any:
                return np.sum(kink(x) + np.sin(x))

            def grad(x: Any, slope: Any = slope) -> Any:
                return slope(x) + np.cos(x)

            more: dict[str, Any] = {}
            if distance < 5e-6:
                more = {"expect": "inconclusive-ok"}
            if distance < 5e-8:
                # θ can't be told from the kink: a subgradient is one more right answer, so a
                # mutant between the slopes proves nothing; one outside them does.
                lifted, lowered = grad(x), grad(x)
                lifted[0], lowered[0] = 4.0, -3.0
                more |= {"also": ("kink",), "mutants": "none"}
                more["wrong"] = (("above both slopes", lifted), ("below both slopes", lowered))
            rows.append((f"{shape} at {side * distance:+.0e} from its kink", func, grad, x, more))
    return named("kink beside", rows)


def maximum(x: Any) -> Any:
    return np.max(x) + np.sum(x**2) / 4


def ordered(x: Any) -> Any:
    """Weighted order statistics: kinks where two entries are equal."""
    return np.sort(x) @ np.arange(1, x.size + 1) + np.sum(np.sin(x))


def pinball(x: Any) -> Any:
    return np.sum(np.where(x > 0, 0.9 * x, -0.1 * x)) + np.sum(np.cos(x))


def lasso(x: Any) -> Any:
    return np.sum((x - vector(1, 2, 0.5, -1)) ** 2) + 0.7 * np.sum(np.abs(x))


def hinge(w: Any) -> Any:
    """Margins 1 − y x·w; the first row's is exactly zero at w = (1, 0.5)."""
    rows = vector(1, 0, 0.5, 1, -2, 1).reshape(3, 2)
    margin = 1 - vector(1, -1, 1) * (rows @ w)
    return np.sum(np.where(margin > 0, margin, 0 * margin)) + np.sum(w**2) / 10


def relu_net(p: Any) -> Any:
    """One hidden unit whose pre-activation is exactly zero for one of two rows."""
    rows = vector(1, 2, 2, -1).reshape(2, 2)
    z = rows @ p["W"] + p["b"]
    return np.sum((np.where(z > 0, z, 0 * z) @ p["v"] - vector(1, -1)) ** 2)


def relu_net_grad(p: Any, at_zero: float) -> Any:
    rows = vector(1, 2, 2, -1).reshape(2, 2)
    z = rows @ p["W"] + p["b"]
    gate = np.where(z > 0, 1.0, np.where(z < 0, 0.0, at_zero))
    a = z * (z > 0)
    r = 2 * (a @ p["v"] - vector(1, -1))
    back = np.outer(r, p["v"]) * gate
    return {"W": rows.T @ back, "b": np.sum(back, axis=0), "v": a.T @ r}


def on() -> list[Case]:
    """θ exactly on a kink, the gradient a subgradient in every coordinate."""

    def const(g: Any) -> Any:
        return lambda x: g

    one = vector(0.0, 0.7)
    tie = vector(0.8, 0.8, -1)
    half = tie / 2
    rank = np.cos(vector(0.4, 0.4, 2))
    base = 2 * (vector(0, 3, 0, -2) - vector(1, 2, 0.5, -1)) + 0.7 * vector(0, 1, 0, -1)
    net = {"W": vector(1, 0.5, -0.5, 0.3).reshape(2, 2), "b": vector(0, 0.1), "v": vector(1.5, -1)}

    def absolute(x: Any) -> Any:
        return np.sum(np.abs(x)) + np.sum(np.sin(x))

    def relu(x: Any) -> Any:
        return np.sum(np.where(x > 0, x, 0 * x)) + np.sum(x**2)

    def clipped(x: Any) -> Any:
        return np.sum(np.clip(x, -1, 1) * 3) + np.sum(x**2)

    def lone(x: Any) -> Any:
        return np.abs(x)

    def norm(x: Any) -> Any:
        return np.sqrt(np.sum(x**2))

    def knots(x: Any) -> Any:
        return np.sum(np.where(x < 1, x, np.where(x < 2, 3 * x - 2, x**2)))

    cos = np.cos(one)
    rows: list[Any] = [
        ("abs at 0, gradient 0", absolute, cos + vector(0, 1), one, cos + vector(-1.3, 1),
         cos + vector(2, 1)),
        ("abs at 0, gradient 1", absolute, cos + vector(1, 1), one, cos + vector(1.1, 1),
         cos + vector(0, 1.2)),
        ("abs at 0 alone, gradient 0", lone, 0.0, 0.0, 1.5, -4.0),
        ("abs at 0 alone, gradient -1", lone, -1.0, 0.0, -1.01, 3.0),
        ("relu at 0, gradient 0", relu, vector(0, 2.4), one, vector(-0.1, 2.4), vector(2, 2.4)),
        ("relu at 0, gradient 1", relu, vector(1, 2.4), one, vector(1.1, 2.4), vector(1, 2.5)),
        ("relu at 0, gradient 1/2", relu, vector(0.5, 2.4), one, vector(-0.5, 2.4),
         vector(0.5, 0)),
        ("maximum of a tie, the first", maximum, half + vector(1, 0, 0), tie,
         half + vector(2, 0, 0), half + vector(0, 0, 1)),
        ("maximum of a tie, shared", maximum, half + vector(0.5, 0.5, 0), tie,
         half + vector(0.5, -0.5, 0), half + vector(1.5, 0.5, 0)),
        ("sort with a tie", ordered, rank + vector(1, 2, 3), vector(0.4, 0.4, 2),
         rank + vector(1, 3, 3), rank + vector(0.5, 2, 3)),
        ("clip at its bound", clipped, vector(2 + 3, 1 + 3), vector(1, 0.5), vector(6, 4),
         vector(1, 4)),
        ("pinball loss at 0", pinball, vector(0.3, 0.9) - np.sin(one), one,
         vector(1.3, 0.9) - np.sin(one), vector(-0.3, 0.9) - np.sin(one)),
        ("lasso with zeros", lasso, base, vector(0, 3, 0, -2), base + vector(-1, 0, 0, 0),
         base + vector(0, 0, 0.9, 0)),
        ("hinge loss, one margin 0", hinge, None, vector(1, 0.5), None, None),
        ("norm at 0", norm, np.zeros(3), np.zeros(3), vector(0, 0, 1.2), vector(-2, 0, 0)),
        ("piecewise, at a knot", knots, vector(2, 4, 1), vector(1, 2.0, -3), vector(0.5, 4, 1),
         vector(2, 4.5, 1)),
        ("relu network, a unit at 0", relu_net, relu_net_grad(net, 0.0), net,
         relu_net_grad(net, -0.5), relu_net_grad(net, 1.5)),
        ("relu network, a unit at 0, gate 1", relu_net, relu_net_grad(net, 1.0), net,
         relu_net_grad(net, -0.3), relu_net_grad(net, 2.0)),
    ]  # fmt: skip
    made = []
    for name, func, right, params, *wrong in rows:
        if right is None:
            right, wrong = hinge_gradients(params)
        made.append(
            (name, func, const(right), params,
             {"expect": "kink", "mutants": "none", "slopes": True,
              "wrong": tuple((f"outside the slopes {k}", w) for k, w in enumerate(wrong))})
        )  # fmt: skip
    return named("kink at", made)


def hinge_gradients(w: Any) -> tuple[Any, list[Any]]:
    rows = vector(1, 0, 0.5, 1, -2, 1).reshape(3, 2)
    y = vector(1, -1, 1)
    margin = 1 - y * (rows @ w)

    def at(gate: float) -> Any:
        on = np.where(margin > 0, 1.0, np.where(margin < 0, 0.0, gate))
        return -(on * y) @ rows + w / 5

    return at(0.5), [at(-0.5), at(2.0)]


def smooth() -> list[Case]:
    """Only the second derivative jumps: the gradient exists, and is to be found right."""

    def huber(x: Any) -> Any:
        return np.sum(np.where(np.abs(x) < 1, x**2 / 2, np.abs(x) - 0.5))

    rows = [
        ("x |x| at 0", lambda x: np.sum(x * np.abs(x)) + np.sum(x), lambda x: 2 * np.abs(x) + 1,
         vector(0, 0.7)),
        ("huber at its corner", huber, lambda x: np.clip(x, -1, 1), vector(1, -1, 0.3, 2)),
        ("relu² at 0", lambda x: np.sum(np.where(x > 0, x, 0 * x) ** 2 + 3 * x),
         lambda x: 2 * np.where(x > 0, x, 0 * x) + 3, vector(0, 0.7, -1)),
        ("|x|^1.5 at 0", lambda x: np.sum(np.abs(x) ** 1.5 + x),
         lambda x: 1.5 * np.sign(x) * np.sqrt(np.abs(x)) + 1, vector(0, 0.5),
         {"expect": "inconclusive-ok", "also": ("kink",), "truth_rtol": 1e-6}),
        ("sort, no ties", ordered, lambda x: np.cos(x) + 1 + np.argsort(np.argsort(x)),
         vector(0.4, -1, 2, 0.9)),
        ("maximum, no ties", maximum, lambda x: x / 2 + (x == np.max(x)), vector(0.4, -1, 2, 0.9)),
        ("lasso, no zeros", lasso,
         lambda x: 2 * (x - vector(1, 2, 0.5, -1)) + 0.7 * np.sign(x), vector(0.3, 3, -0.2, -2)),
    ]  # fmt: skip
    return named("kink beside", rows)


def cases() -> list[Case]:
    return beside() + on() + smooth()
