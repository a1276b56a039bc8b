"""Sums of squares of variable dimension: Moré, Garbow and Hillstrom, numbers 18 and up."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, least_squares, named, stack, vector

exp = np.exp


def biggs() -> Any:  # 18
    t = np.arange(1, 14) / 10
    y = exp(-t) - 5 * exp(-10 * t) + 3 * exp(-4 * t)

    def jacobian(x: Any) -> Any:
        p, q, r = exp(-t * x[0]), exp(-t * x[1]), exp(-t * x[4])
        return np.stack([-t * x[2] * p, t * x[3] * q, p, -q, -t * x[5] * r, r], axis=1)

    return least_squares(
        lambda x: x[2] * exp(-t * x[0]) - x[3] * exp(-t * x[1]) + x[5] * exp(-t * x[4]) - y,
        jacobian,
    )


def watson(n: int = 6) -> Any:  # 20
    t = np.arange(1, 30)[:, None] / 29
    j = np.arange(n)
    powers = t**j
    slopes = np.zeros((29, n))
    slopes[:, 1:] = j[1:] * t ** (j[1:] - 1)

    def residual(x: Any) -> Any:
        body = slopes @ x - (powers @ x) ** 2 - 1
        return np.concatenate([body, stack(x[0], x[1] - x[0] ** 2 - 1)])

    def jacobian(x: Any) -> Any:
        tail = np.zeros((2, n))
        tail[0, 0], tail[1, 0], tail[1, 1] = 1, -2 * x[0], 1
        return np.concatenate([slopes - 2 * (powers @ x)[:, None] * powers, tail])

    return least_squares(residual, jacobian)


def extended_rosenbrock() -> Any:  # 21
    def func(x: Any) -> Any:
        a, b = x[0::2], x[1::2]
        return np.sum(100 * (b - a**2) ** 2 + (1 - a) ** 2)

    def grad(x: Any) -> Any:
        a, b = x[0::2], x[1::2]
        g = np.empty_like(x)
        g[0::2] = -400 * a * (b - a**2) - 2 * (1 - a)
        g[1::2] = 200 * (b - a**2)
        return g

    return func, grad


def penalty_1(n: int = 10) -> Any:  # 23
    c = np.sqrt(1e-5)
    return least_squares(
        lambda x: np.concatenate([c * (x - 1), [np.sum(x**2) - 0.25]]),
        lambda x: np.concatenate([c * np.eye(n), 2 * x[None, :]]),
    )


def penalty_2(n: int = 4) -> Any:  # 24
    c = np.sqrt(1e-5)
    i = np.arange(2, n + 1)
    y = exp(i / 10) + exp((i - 1) / 10)
    w = np.arange(n, 0, -1)

    def residual(x: Any) -> Any:
        e = exp(x / 10)
        return np.concatenate(
            [[x[0] - 0.2], c * (e[1:] + e[:-1] - y), c * (e[1:] - exp(-0.1)), [w @ x**2 - 1]]
        )

    def jacobian(x: Any) -> Any:
        e = exp(x / 10) / 10
        first = np.eye(1, n)
        here = np.diag(e)[1:]
        before = np.diag(e[:-1], 0) @ np.eye(n - 1, n)
        return np.concatenate([first, c * (here + before), c * here, 2 * (w * x)[None, :]])

    return least_squares(residual, jacobian)


def variably_dimensioned(n: int = 10) -> Any:  # 25
    j = np.arange(1, n + 1)

    def jacobian(x: Any) -> Any:
        return np.concatenate([np.eye(n), [j], [2 * (j @ (x - 1)) * j]])

    return least_squares(
        lambda x: np.concatenate([x - 1, [j @ (x - 1)], [(j @ (x - 1)) ** 2]]), jacobian
    )


def trigonometric(n: int = 10) -> Any:  # 26
    i = np.arange(1, n + 1)
    return least_squares(
        lambda x: n - np.sum(np.cos(x)) + i * (1 - np.cos(x)) - np.sin(x),
        lambda x: np.sin(x)[None, :] + np.diag(i * np.sin(x) - np.cos(x)),
    )


def brown_almost_linear(n: int = 10) -> Any:  # 27
    def jacobian(x: Any) -> Any:
        return np.concatenate([(np.eye(n) + 1)[:-1], [np.prod(x) / x]])

    return least_squares(
        lambda x: np.concatenate([x[:-1] + np.sum(x) - (n + 1), [np.prod(x) - 1]]), jacobian
    )


def boundary_value(n: int = 10) -> Any:  # 28
    h = 1 / (n + 1)
    t = h * np.arange(1, n + 1)
    second = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return least_squares(
        lambda x: second @ x + h**2 * (x + t + 1) ** 3 / 2,
        lambda x: second + np.diag(1.5 * h**2 * (x + t + 1) ** 2),
    )


def integral_equation(n: int = 10) -> Any:  # 29
    h = 1 / (n + 1)
    t = h * np.arange(1, n + 1)
    lower = np.tril(np.outer(1 - t, t))
    upper = np.triu(np.outer(t, 1 - t), 1)
    kernel = h / 2 * (lower + upper)
    return least_squares(
        lambda x: x + kernel @ (x + t + 1) ** 3,
        lambda x: np.eye(n) + kernel * (3 * (x + t + 1) ** 2)[None, :],
    )


def broyden_tridiagonal(n: int = 10) -> Any:  # 30
    off = np.eye(n, k=-1) + 2 * np.eye(n, k=1)
    return least_squares(
        lambda x: (3 - 2 * x) * x - off @ x + 1, lambda x: np.diag(3 - 4 * x) - off
    )


def broyden_banded(n: int = 10) -> Any:  # 31
    band = np.array([[1.0 if j != i and i - 5 <= j <= i + 1 else 0.0 for j in range(n)]
                     for i in range(n)])  # fmt: skip
    return least_squares(
        lambda x: x * (2 + 5 * x**2) + 1 - band @ (x * (1 + x)),
        lambda x: np.diag(2 + 15 * x**2) - band * (1 + 2 * x)[None, :],
    )


def linear_full_rank(n: int = 5, m: int = 10) -> Any:  # 32
    a = np.eye(m, n) - 2 / m
    return least_squares(lambda x: a @ x - 1, lambda x: a)


def linear_rank_1(n: int = 5, m: int = 10) -> Any:  # 33
    a = np.outer(np.arange(1, m + 1), np.arange(1, n + 1)).astype(float)
    return least_squares(lambda x: a @ x - 1, lambda x: a)


def chebyquad(n: int = 8) -> Any:  # 35
    i = np.arange(1, n + 1)
    integral = np.where(i % 2 == 0, -1 / np.where(i % 2 == 0, i**2 - 1.0, 1), 0)

    def polynomials(x: Any) -> tuple[Any, Any]:
        z = 2 * x - 1
        t, d = [np.ones_like(z), z], [np.zeros_like(z), np.ones_like(z)]
        for _ in range(n - 1):
            t.append(2 * z * t[-1] - t[-2])
            d.append(2 * t[-2] + 2 * z * d[-1] - d[-2])
        return np.stack(t[1:]), 2 * np.stack(d[1:])

    return least_squares(
        lambda x: np.mean(polynomials(x)[0], axis=1) - integral,
        lambda x: polynomials(x)[1] / n,
    )


def cases() -> list[Case]:
    t = np.arange(1, 11) / 11
    rows = [
        ("biggs", *biggs(), vector(1, 2, 1, 1, 1, 1)),
        ("watson", *watson(), np.zeros(6)),
        ("watson of 12 near its minimum", *watson(12), 0.3 * np.sin(np.arange(12.0))),
        ("extended rosenbrock", *extended_rosenbrock(), np.tile(vector(-1.2, 1), 10)),
        ("penalty 1", *penalty_1(), np.arange(1, 11.0)),
        ("penalty 2", *penalty_2(), np.full(4, 0.5)),
        ("variably dimensioned", *variably_dimensioned(), 1 - np.arange(1, 11) / 10),
        ("trigonometric", *trigonometric(), np.full(10, 0.1)),
        ("brown almost linear", *brown_almost_linear(), np.full(10, 0.5)),
        ("boundary value", *boundary_value(), t * (t - 1)),
        ("integral equation", *integral_equation(), t * (t - 1)),
        ("broyden tridiagonal", *broyden_tridiagonal(), np.full(10, -1.0)),
        ("broyden banded", *broyden_banded(), np.full(10, -1.0)),
        ("linear full rank", *linear_full_rank(), np.ones(5)),
        ("linear rank 1", *linear_rank_1(), np.ones(5)),
        ("chebyquad", *chebyquad(), np.arange(1, 9) / 9),
    ]
    return named("classical", rows)
