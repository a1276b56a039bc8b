"""Where there is little or nothing to difference: jumps, randomness, stationary and flat points."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from cases._case import Case, named, vector

sin, cos = np.sin, np.cos


def jumps() -> list[Case]:
    def floors(x: Any) -> Any:
        return np.sum(np.floor(x.real) + x**2)

    def gated(x: Any) -> Any:
        return x[0] ** 2 + 1 if x[0] > x[1] else 3 * x[1]

    def d_gated(x: Any) -> Any:
        return vector(2 * x[0], 0) if x[0] > x[1] else vector(0, 3)

    def steps(x: Any) -> Any:
        return np.sum(sin(x) + 0.01 * np.where(x > 0.5, 1, 0))

    near, on = {"expect": "inconclusive-ok"}, {"expect": "inconclusive", "mutants": "none"}
    rows: list[Any] = [
        ("floor, 0.4 from a jump", floors, lambda x: 2 * x, vector(2.4, -1.7)),
        ("floor, 1e-3 from a jump", floors, lambda x: 2 * x, vector(2.001, -1.7)),
        ("floor, 1e-4 from a jump", floors, lambda x: 2 * x, vector(2 - 1e-4, -1.7)),
        ("floor, 1e-7 from a jump", floors, lambda x: 2 * x, vector(2 + 1e-7, -1.7), near),
        ("floor, on a jump", floors, lambda x: 2 * x, vector(2, -1.7), on),
        ("small step, 1e-2 from it", steps, cos, vector(0.51, 0.2)),
        ("small step, 1e-6 from it", steps, cos, vector(0.500001, 0.2), near),
        ("small step, on it", steps, cos, vector(0.5, 0.2), on),
        ("gate that switches a branch, away", gated, d_gated, vector(1.3, 0.4)),
        ("gate that switches a branch, on it", gated, lambda x: vector(1.6, 0), vector(0.8, 0.8),
         on),
        ("cusp: square root of |x| at 0", lambda x: np.sum(np.sqrt(np.abs(x))),
         lambda x: vector(0, 0.5 / np.sqrt(0.7)), vector(0, 0.7), on | {"also": ("kink",)}),
    ]  # fmt: skip
    return named("jump", rows)


def random_ones() -> list[Case]:
    x = vector(0.3, -1.2, 2.1)

    def dropout(seed: int, keep: float) -> Any:
        random = np.random.default_rng(seed)
        return lambda x: np.sum(sin(x) ** 2 * (random.random(x.size) < keep)) / keep

    def jitter(seed: int, size: float) -> Any:
        random = np.random.default_rng(seed)
        return lambda x: np.sum(sin(x)) + size * random.standard_normal()

    def counting() -> Any:
        calls = itertools.count()
        return lambda x: np.sum(sin(x)) + 1e-3 * next(calls)

    def batches(seed: int) -> Any:
        random = np.random.default_rng(seed)
        data = random.standard_normal((100, 3))
        return lambda x: np.mean((data[random.permutation(100)[:10]] @ x) ** 2)

    def d_noisy(seed: int) -> Any:
        random = np.random.default_rng(seed)
        return lambda x: cos(x) + 1e-3 * random.standard_normal(x.size)

    told = {"expect": "nonrepeatable", "mutants": "none", "copies": False}
    shown = told | {"copies": True}
    rows = [
        ("dropout without a seed", dropout(1, 0.5), lambda x: sin(2 * x), x, shown),
        ("jitter of 1e-6", jitter(2, 1e-6), cos, x, shown),
        ("jitter of 1e-12", jitter(3, 1e-12), cos, x, shown),
        ("answer that drifts with each call", counting(), cos, x, shown),
        ("a new mini-batch each time", batches(4), lambda x: 2 * x, x, shown),
        ("gradient with jitter", lambda x: np.sum(sin(x)), d_noisy(5), x, told),
    ]
    return named("random", rows)


def stationary() -> list[Case]:
    zero = {"also": ("vacuous",)}

    def valley(x: Any) -> Any:
        return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    def d_valley(x: Any) -> Any:
        r = x[1] - x[0] ** 2
        return np.stack([-400 * x[0] * r - 2 * (1 - x[0]), 200 * r])

    rows = [
        ("rosenbrock at its minimum", valley, d_valley, vector(1, 1), zero),
        ("bowl at its minimum, offset 5", lambda x: 5 + np.sum((x - vector(1, 2)) ** 2),
         lambda x: 2 * (x - vector(1, 2)), vector(1, 2), zero),
        ("cosine at its top among others", lambda x: np.sum(cos(x)), lambda x: -sin(x),
         vector(0, 0.7, -2)),
        ("cosine near its top", lambda x: np.sum(cos(x)), lambda x: -sin(x),
         vector(1e-7, 0.7, -2)),
        ("saddle", lambda x: x[0] ** 2 - x[1] ** 2 + np.sin(x[2]),
         lambda x: np.stack([2 * x[0], -2 * x[1], cos(x[2])]), vector(0, 0, 0.4)),
        ("cube at 0", lambda x: np.sum(x**3), lambda x: 3 * x**2, vector(0, 1.2)),
        ("fourth power at 0", lambda x: np.sum(x**4), lambda x: 4 * x**3, vector(0, 1.2)),
        ("fourth power at 0, alone", lambda x: np.sum(x**4) + 1, lambda x: 4 * x**3, vector(0),
         zero),
        ("nearly stationary, 1e-6 from the minimum", valley, d_valley,
         vector(1 + 1e-6, 1 + 3e-6)),
        ("least squares at its solution", lambda w: np.sum((DESIGN @ w - TARGET) ** 2),
         lambda w: 2 * DESIGN.T @ (DESIGN @ w - TARGET), SOLUTION, zero | {"truth_rtol": 1}),
        ("exp x - x at 0, offset", lambda x: 10 + np.sum(np.exp(x) - x), lambda x: np.exp(x) - 1,
         vector(0, 0, 1e-3)),
    ]  # fmt: skip
    return named("stationary", rows)


DESIGN = np.random.default_rng(8).standard_normal((12, 3))
TARGET = np.random.default_rng(9).standard_normal(12)
SOLUTION = np.linalg.solve(DESIGN.T @ DESIGN, DESIGN.T @ TARGET)


def vacuous() -> list[Case]:
    def dead(p: Any) -> Any:
        z = DESIGN @ p["W"] + p["b"]
        return np.sum((np.where(z > 0, z, 0 * z) @ p["v"] - 1 + p["c"]) ** 2)

    def d_dead(p: Any) -> Any:
        r = 2 * 12 * (p["c"] - 1)
        return {"W": 0 * p["W"], "b": 0 * p["b"], "v": 0 * p["v"], "c": r}

    asleep = {
        "W": 0.1 * np.random.default_rng(6).standard_normal((3, 4)),
        "b": np.full(4, -9.0),
        "v": np.ones(4),
        "c": 0.3,
    }
    bold = {"W": np.full((3, 4), 0.2), "b": np.zeros(4), "v": np.zeros(4), "c": d_dead(asleep)["c"]}
    x = vector(0.3, -1.2)
    flat = {"expect": "vacuous", "mutants": "none"}

    def told(*wrong: Any) -> dict[str, Any]:
        return flat | {"wrong": tuple(("not zero", w) for w in wrong)}

    rows = [
        ("constant function", lambda x: 3.0 + 0 * np.sum(x), lambda x: 0 * x, x,
         told(vector(1, 0), vector(1e-3, 1e-3))),
        ("constant zero", lambda x: 0 * np.sum(x), lambda x: 0 * x, x, told(vector(0, 2))),
        ("relu layer, all dead", dead, d_dead, asleep, told(bold)),
        ("step function of each entry", lambda x: np.sum(np.floor(x.real)) + 0 * np.sum(x),
         lambda x: 0 * x, x, told(vector(1, 1))),
        ("all inputs clipped away", lambda x: np.sum(np.where(x.real > -5, 1, x**2)) + 0 * x[0],
         lambda x: 0 * x, x, told(vector(0.5, 0))),
    ]  # fmt: skip
    return named("vacuous", rows)


def cases() -> list[Case]:
    return jumps() + random_ones() + stationary() + vacuous()
