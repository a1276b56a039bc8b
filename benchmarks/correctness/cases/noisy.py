"""J with noise far above rounding: rounded, stopped early, adaptive, tabulated, hashed.

The gradient is that of what J approximates.  Whether a checker can confirm it depends on the
noise, so both "agree" and "inconclusive" are right, and an accusation is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named, vector

exp, sin, cos = np.exp, np.sin, np.cos
X = vector(0.3, -1.2, 2.1)


def smooth(x: Any) -> Any:
    return np.sum(sin(x) + x**2 / 2) + 2


def d_smooth(x: Any) -> Any:
    return cos(x) + x


def hashed(size: float) -> Any:
    """Return noise that repeats itself but follows no pattern that a difference could see."""
    return lambda x: smooth(x) + size * sin(1e15 * np.sum(x) % 6.2)


def fixed_point(tolerance: float) -> tuple[Any, Any, Any]:
    """X = cos(a x) + b solved by iteration until the change is small; implicit gradient."""

    def solve(p: Any, stop: float) -> Any:
        x = 0 * p[0]
        for _ in range(10_000):
            new = cos(p[0] * x) / 2 + p[1]
            if abs(new - x) < stop:
                return new
            x = new
        return x

    def grad(p: Any) -> Any:
        x = solve(p, 1e-15)
        s = sin(p[0] * x) / 2
        return vector(-s * x, 1) / (1 + s * p[0]) * 2 * x

    return (lambda p: solve(p, tolerance) ** 2), grad, lambda p: solve(p, 0.0) ** 2


def bisected(p: Any) -> Any:
    """Bisect for the root of x³ + p₀ x = p₁, down to 1e-9."""
    low, high = 0.0, 4.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if middle**3 + p[0] * middle < p[1] else (low, middle)
    return (low + high) / 2


def newton(p: Any) -> Any:
    x = 0 * p[0] + 1
    for _ in range(60):
        x = x - (x**3 + p[0] * x - p[1]) / (3 * x**2 + p[0])
    return x


def d_root(p: Any) -> Any:
    x = newton(p)
    return vector(-x, 1) / (3 * x**2 + p[0])


def adaptive(p: Any, tolerance: float = 1e-7) -> Any:
    """∫₀¹ exp(−p₀ t) cos(p₁ t²) dt by adaptive Simpson: the mesh jumps as p moves."""

    def f(t: float) -> float:
        return float(exp(-p[0] * t) * cos(p[1] * t * t))

    def simpson(a: float, b: float, fa: float, fm: float, fb: float, stop: float) -> float:
        m = (a + b) / 2
        left, right = f((a + m) / 2), f((m + b) / 2)
        whole = (b - a) / 6 * (fa + 4 * fm + fb)
        halves = (b - a) / 12 * (fa + 4 * left + 2 * fm + 4 * right + fb)
        if b - a < 1e-4 or abs(halves - whole) < 15 * stop:
            return halves
        return simpson(a, m, fa, left, fm, stop / 2) + simpson(m, b, fm, right, fb, stop / 2)

    return simpson(0.0, 1.0, f(0.0), f(0.5), f(1.0), tolerance)


NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)
T = (NODES + 1) / 2


def gauss(p: Any) -> Any:
    return np.sum(WEIGHTS / 2 * exp(-p[0] * T) * cos(p[1] * T**2))


def d_gauss(p: Any) -> Any:
    e = WEIGHTS / 2 * exp(-p[0] * T)
    return vector(np.sum(-T * e * cos(p[1] * T**2)), np.sum(-(T**2) * e * sin(p[1] * T**2)))


def power_iteration(m: Any) -> Any:
    """Find the largest eigenvalue of the symmetric part, to 1e-8."""
    s = (m + m.T) / 2
    v, last = np.ones(len(s)), 0.0
    for _ in range(1000):
        w = s @ v
        value = v @ w / (v @ v)
        if abs(value - last) < 1e-8:
            break
        v, last = w / np.sqrt(w @ w), value
    return value


def top_eigenvalue(m: Any) -> Any:
    return np.linalg.eigvalsh((m + m.T) / 2)[-1]


def d_top_eigenvalue(m: Any) -> Any:
    v = np.linalg.eigh((m + m.T) / 2)[1][:, -1]
    return np.outer(v, v)


def tabulated(points: int) -> tuple[Any, Any]:
    """Linear interpolation in a table of sines; the gradient is the table's own."""
    grid = np.linspace(-4, 4, points)
    table = sin(grid)
    slope = np.diff(table) / np.diff(grid)

    def func(x: Any) -> Any:
        cell = np.searchsorted(grid, x.astype(float)) - 1
        return np.sum(table[cell] + slope[cell] * (x - grid[cell]))

    return func, lambda x: slope[np.searchsorted(grid, x) - 1]


def cases() -> list[Case]:
    exact = {"reference": smooth}
    root = {"reference": lambda p: newton(p)}
    random = np.random.default_rng(1)
    matrix = random.standard_normal((4, 4)) + np.diag([1.0, 2, 4, 9])
    early, d_early, converged = fixed_point(1e-7)
    late, d_late, _ = fixed_point(1e-12)
    rows: list[Any] = [
        ("rounded to 4 digits after the point", lambda x: np.round(smooth(x), 4), d_smooth, X,
         exact),
        ("rounded to 8 digits after the point", lambda x: np.round(smooth(x), 8), d_smooth, X,
         exact),
        ("printed with 6 digits", lambda x: float(f"{smooth(x):.6g}"), d_smooth, X, exact),
        ("printed with 12 digits", lambda x: float(f"{smooth(x):.12g}"), d_smooth, X, exact),
        ("hashed noise of 1e-12", hashed(1e-12), d_smooth, X, exact),
        ("hashed noise of 1e-9", hashed(1e-9), d_smooth, X, exact),
        ("hashed noise of 1e-6", hashed(1e-6), d_smooth, X, exact),
        ("hashed noise of 1e-3", hashed(1e-3), d_smooth, X, exact),
        ("fixed point stopped at 1e-7", early, d_early, vector(0.9, 0.4), {"reference": converged}),
        ("fixed point stopped at 1e-12", late, d_late, vector(0.9, 0.4), {"reference": converged}),
        ("bisection stopped at 1e-9", bisected, d_root, vector(1.5, 2.7), root),
        ("adaptive Simpson, 1e-7", adaptive, d_gauss, vector(0.8, 3.1), {"reference": gauss}),
        ("adaptive Simpson, 1e-11", lambda p: adaptive(p, 1e-11), d_gauss, vector(0.8, 3.1),
         {"reference": gauss}),
        ("power iteration to 1e-8", power_iteration, d_top_eigenvalue, matrix,
         {"reference": top_eigenvalue}),
    ]  # fmt: skip
    made = named("noisy", [(*row[:4], {"expect": "inconclusive-ok", **row[4]}) for row in rows])
    steady = [
        ("newton to convergence", newton, d_root, vector(1.5, 2.7)),
        ("gauss quadrature", gauss, d_gauss, vector(0.8, 3.1)),
        ("table of 80 cells, inside a cell", *tabulated(81), X + 0.013),
        ("table of 8000 cells, inside a cell", *tabulated(8001), X + 0.00042),
    ]
    return made + named("noisy", steady)
