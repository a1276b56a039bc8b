"""Sums of 1e5 and 1e6 terms: the rounding of J is far above one unit in its last place."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named, vector

exp, log = np.exp, np.log


def logistic(rows: int, seed: int = 1) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, 3))
    y = random.integers(2, size=rows)
    return (
        lambda w: np.sum(log(1 + exp(x @ w)) - y * (x @ w)),
        lambda w: x.T @ (1 / (1 + exp(-(x @ w))) - y),
        vector(0.3, -0.8, 0.1),
    )


def normal(rows: int, seed: int = 2) -> tuple[Any, Any, Any]:
    y = np.random.default_rng(seed).normal(5, 2, rows)
    return (
        lambda p: np.sum((y - p[0]) ** 2) / (2 * exp(2 * p[1])) + rows * p[1],
        lambda p: np.stack([-np.sum(y - p[0]) / exp(2 * p[1]),
                            -np.sum((y - p[0]) ** 2) / exp(2 * p[1]) + rows]),
        vector(4.9, 0.6),
    )  # fmt: skip


def running(rows: int, seed: int = 3) -> tuple[Any, Any, Any]:
    """Terms added one after another, as a plain loop adds them."""
    y = np.random.default_rng(seed).uniform(0, 1, rows)
    return (
        lambda p: np.cumsum(np.sin(p[0] * y) + p[1] * y**2)[-1],
        lambda p: vector(np.sum(y * np.cos(p[0] * y)), np.sum(y**2)),
        vector(1.4, 0.3),
    )


def log_sum(rows: int, seed: int = 4) -> tuple[Any, Any, Any]:
    y = np.random.default_rng(seed).standard_normal((rows, 2))

    def grad(p: Any) -> Any:
        weight = exp(y @ p)
        return y.T @ weight / np.sum(weight)

    return (lambda p: log(np.sum(exp(y @ p)))), grad, vector(0.8, -0.5)


def mean_of_products(rows: int, seed: int = 5) -> tuple[Any, Any, Any]:
    """Make a polynomial fit of degree three, mean squared error."""
    t = np.linspace(-1, 1, rows)
    y = np.sin(3 * t) + 0.1 * np.random.default_rng(seed).standard_normal(rows)
    basis = np.stack([t**k for k in range(4)], axis=1)
    return (
        lambda p: np.mean((basis @ p - y) ** 2),
        lambda p: 2 * basis.T @ (basis @ p - y) / rows,
        vector(0.1, 2.5, 0.2, -2),
    )


def cancelling(rows: int, seed: int = 6) -> tuple[Any, Any, Any]:
    """Terms of ±1e3 whose sum is of order one."""
    y = np.random.default_rng(seed).standard_normal(rows)
    y = y - np.mean(y)
    return (
        lambda p: np.sum(1e3 * y * p[0] + np.sin(p[0]) / rows),
        lambda p: np.stack([1e3 * np.sum(y) + np.cos(p[0])]),
        vector(0.7),
    )


def cases() -> list[Case]:
    few = {"mutants": "few"}
    rows = [
        ("logistic loss of 1e5 rows", *logistic(100_000), few),
        ("normal likelihood of 1e5 rows", *normal(100_000), few),
        ("normal likelihood of 1e6 rows", *normal(1_000_000), few),
        ("running sum of 1e5 terms", *running(100_000), few),
        ("log of a sum of 1e5 terms", *log_sum(100_000), few),
        ("mean of 1e6 squares", *mean_of_products(1_000_000), few),
        # Summing y leaves a rounding error of its own in grad.
        ("cancelling sum of 1e5 terms", *cancelling(100_000),
         few | {"expect": "inconclusive-ok", "truth_rtol": 1e-6}),
    ]  # fmt: skip
    return named("big sum", rows)
