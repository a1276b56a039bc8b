"""Near and on the edge of a domain: log, roots, arcsin, barriers, near-singular matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named, vector

log, sqrt = np.log, np.sqrt


def barrier(gap: float) -> tuple[Any, Any, Any]:
    """Make a linear objective inside a polytope, one face at distance ``gap``."""
    a = np.array([[1.0, 1, 0], [-1, 0, 1], [0, -1, -1], [1, -1, 1]])
    x = vector(0.3, -0.2, 0.5)
    b = a @ x + vector(gap, 0.5, 1, 2)
    c = vector(1, -2, 0.5)
    return (lambda x: c @ x - np.sum(log(b - a @ x))), (lambda x: c + a.T @ (1 / (b - a @ x))), x


def log_det(smallest: float) -> tuple[Any, Any, Any, Any]:
    """Half the log determinant by Cholesky, of a matrix with one small eigenvalue.

    The matrix is a function of three factors, so that right gradients stay symmetric.
    """
    random = np.random.default_rng(7)
    q, _ = np.linalg.qr(random.standard_normal((4, 4)))
    base = (q * vector(1, 0.5, 2, smallest)) @ q.T
    parts = np.array([(m + m.T) / 2 for m in random.standard_normal((3, 4, 4))])
    parts = np.array([smallest * part for part in parts])

    def matrix(x: Any) -> Any:
        return base + np.tensordot(x, parts, axes=1)

    def func(x: Any) -> Any:
        return np.sum(log(np.diag(np.linalg.cholesky(matrix(x)))))

    def reference(x: Any) -> Any:
        return log(np.linalg.det(matrix(x))) / 2

    def grad(x: Any) -> Any:
        return np.einsum("kij,ji->k", parts, np.linalg.inv(matrix(x))) / 2

    return func, grad, vector(0.05, -0.08, 0.03), reference


def analytic_center(n: int = 6) -> tuple[Any, Any, Any]:
    """Entropy of probabilities, one of them 1e-12."""
    x = np.append(np.full(n - 1, 0.19), 1e-12)
    return (lambda x: np.sum(x * log(x))), (lambda x: log(x) + 1), x


def cases() -> list[Case]:
    def total(f: Any) -> Any:
        return lambda x: np.sum(f(x))

    touching = {"expect": "agree", "also": ("inconclusive",)}
    hard = {"expect": "inconclusive-ok"}
    rows: list[Any] = [
        ("log at 1e-8 and 1", total(log), lambda x: 1 / x, vector(1e-8, 1.3)),
        ("log at 1e-300 alone", log, lambda x: 1 / x, 1e-300),
        ("log at 1e-3, a vector", total(log), lambda x: 1 / x, vector(1e-3, 2e-3, 7)),
        ("sqrt at 1e-12 among ones", total(sqrt), lambda x: 0.5 / sqrt(x), vector(1e-12, 0.7, 2)),
        ("sqrt at 1e-20 alone", sqrt, lambda x: 0.5 / sqrt(x), 1e-20),
        ("x log x at 1e-10", total(lambda x: x * log(x)), lambda x: log(x) + 1,
         vector(1e-10, 0.4)),
        ("entropy with a probability of 1e-12", *analytic_center()),
        ("arcsin at 1 - 1e-4", total(np.arcsin), lambda x: 1 / sqrt((1 - x) * (1 + x)),
         vector(1 - 1e-4, 0.2)),
        ("arcsin at 1 - 1e-8", total(np.arcsin), lambda x: 1 / sqrt((1 - x) * (1 + x)),
         vector(1 - 1e-8, -0.5), {"truth_rtol": 1e-7}),
        ("arccosh at 1 + 1e-6", total(np.arccosh), lambda x: 1 / sqrt((x - 1) * (x + 1)),
         vector(1 + 1e-6, 2.5)),
        ("atanh at 0.9999", total(np.arctanh), lambda x: 1 / ((1 - x) * (1 + x)),
         vector(0.9999, 0.1)),
        ("log1p at -1 + 1e-6", total(np.log1p), lambda x: 1 / (1 + x), vector(-1 + 1e-6, 0.4)),
        ("logit of 1e-5", total(lambda p: log(p / (1 - p))), lambda p: 1 / (p * (1 - p)),
         vector(1e-5, 0.5, 0.99)),
        ("bernoulli likelihood at 1e-6", lambda p: -(3 * log(p) + 5 * log(1 - p)),
         lambda p: -3 / p + 5 / (1 - p), 1e-6),
        ("barrier, gap 1e-2", *barrier(1e-2)),
        ("barrier, gap 1e-5", *barrier(1e-5)),
        ("barrier, gap 1e-8", *barrier(1e-8), {"truth_rtol": 1e-7}),
        ("power 1.5 at 1e-6", total(lambda x: x**1.5), lambda x: 1.5 * sqrt(x),
         vector(1e-6, 0.8)),
        ("box-cox with a small exponent", total(lambda x: (x**0.1 - 1) / 0.1),
         lambda x: x**-0.9, vector(1e-5, 3)),
        ("distance from a point 1e-6 away", lambda x: sqrt(np.sum((x - vector(1, 2)) ** 2)),
         lambda x: (x - vector(1, 2)) / sqrt(np.sum((x - vector(1, 2)) ** 2)),
         vector(1 + 1e-6, 2 - 2e-6), {"truth_rtol": 1e-7}),
        # On the edge itself func has only one side.
        ("on the edge: 3 x + x^2.5 at 0", lambda x: np.sum(3 * x + x**2 * sqrt(x)),
         lambda x: 3 + 2.5 * x * sqrt(x), vector(0, 0.4), touching),
        ("on the edge: x^1.5 at 0", lambda x: np.sum(x * sqrt(x)), lambda x: 1.5 * sqrt(x),
         vector(0, 0.4), hard),
        ("on the edge: exp of a root's square", lambda x: np.exp(sqrt(x[0]) ** 2) + x[1] ** 2,
         lambda x: np.stack([np.exp(x[0]), 2 * x[1]]), vector(0, 0.4), touching),
        ("raises outside its domain", _guarded, lambda x: 1 / (1 - x) + 0 * x,
         vector(1 - 1e-5, 0.2), {"reference": lambda x: -np.sum(log(1 - x))}),
        ("infinite outside its domain", _walled, lambda x: -1 / x + 2 * x, vector(1e-6, 0.8),
         {"reference": lambda x: np.sum(-log(x) + x**2)}),
    ]  # fmt: skip
    for smallest in (1e-4, 1e-10):
        *made, reference = log_det(smallest)
        more = {"reference": reference, "truth_rtol": 1e-6 if smallest < 1e-8 else 1e-9}
        # inv and cholesky each lose ε/1e-10 of the small eigenvalue, in different ways.
        more["expect"] = "inconclusive-ok" if smallest < 1e-8 else "agree"
        rows.append((f"log det, smallest eigenvalue {smallest:.0e}", *made, more))
    return named("domain edge", rows)


def _guarded(x: Any) -> Any:
    """Answer a log barrier, or raise as `math.log` would."""
    if np.any(x >= 1):
        raise ValueError("outside the domain")
    return -np.sum(log(1 - x))


def _walled(x: Any) -> Any:
    if np.any(x <= 0):
        return np.inf
    return np.sum(-log(x) + x**2)
