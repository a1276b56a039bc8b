"""Textbook test functions of global optimisation, with gradients derived by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named, stack, vector

exp, sin, cos, sqrt, pi = np.exp, np.sin, np.cos, np.sqrt, np.pi


def himmelblau(x: Any) -> Any:
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def d_himmelblau(x: Any) -> Any:
    p, q = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
    return stack(4 * x[0] * p + 2 * q, 2 * p + 4 * x[1] * q)


def _goldstein_parts(x: Any) -> tuple[Any, Any, Any, Any]:
    s, d = x[0] + x[1] + 1, 2 * x[0] - 3 * x[1]
    p = 19 - 14 * x[0] + 3 * x[0] ** 2 - 14 * x[1] + 6 * x[0] * x[1] + 3 * x[1] ** 2
    q = 18 - 32 * x[0] + 12 * x[0] ** 2 + 48 * x[1] - 36 * x[0] * x[1] + 27 * x[1] ** 2
    return s, d, p, q


def goldstein_price(x: Any) -> Any:
    s, d, p, q = _goldstein_parts(x)
    return (1 + s**2 * p) * (30 + d**2 * q)


def d_goldstein_price(x: Any) -> Any:
    s, d, p, q = _goldstein_parts(x)
    u, v = 1 + s**2 * p, 30 + d**2 * q
    dp = stack(-14 + 6 * x[0] + 6 * x[1], -14 + 6 * x[0] + 6 * x[1])
    dq = stack(-32 + 24 * x[0] - 36 * x[1], 48 - 36 * x[0] + 54 * x[1])
    du = 2 * s * p * np.ones(2) + s**2 * dp
    dv = 2 * d * q * vector(2, -3) + d**2 * dq
    return du * v + u * dv


def camel(x: Any) -> Any:
    a, b = x
    return (4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (-4 + 4 * b**2) * b**2


def d_camel(x: Any) -> Any:
    a, b = x
    return stack(8 * a - 8.4 * a**3 + 2 * a**5 + b, a - 8 * b + 16 * b**3)


def easom(x: Any) -> Any:
    return -cos(x[0]) * cos(x[1]) * exp(-np.sum((x - pi) ** 2))


def d_easom(x: Any) -> Any:
    e = exp(-np.sum((x - pi) ** 2))
    c = cos(x[0]) * cos(x[1])
    return e * (2 * c * (x - pi) + stack(sin(x[0]) * cos(x[1]), cos(x[0]) * sin(x[1])))


def mccormick(x: Any) -> Any:
    return sin(x[0] + x[1]) + (x[0] - x[1]) ** 2 - 1.5 * x[0] + 2.5 * x[1] + 1


def d_mccormick(x: Any) -> Any:
    c, d = cos(x[0] + x[1]), 2 * (x[0] - x[1])
    return stack(c + d - 1.5, c - d + 2.5)


def ackley(x: Any) -> Any:
    n = x.size
    near = exp(-0.2 * sqrt(np.sum(x**2) / n))
    return 20 + np.e - 20 * near - exp(np.sum(cos(2 * pi * x)) / n)


def d_ackley(x: Any) -> Any:
    n = x.size
    r = sqrt(np.sum(x**2) / n)
    waves = exp(np.sum(cos(2 * pi * x)) / n)
    return 4 * exp(-0.2 * r) * x / (n * r) + waves * 2 * pi / n * sin(2 * pi * x)


def griewank(x: Any) -> Any:
    i = sqrt(np.arange(1, x.size + 1))
    return 1 + np.sum(x**2) / 4000 - np.prod(cos(x / i))


def d_griewank(x: Any) -> Any:
    i = sqrt(np.arange(1, x.size + 1))
    return x / 2000 + np.prod(cos(x / i)) * np.tan(x / i) / i


def rastrigin(x: Any) -> Any:
    return 10 * x.size + np.sum(x**2 - 10 * cos(2 * pi * x))


def d_rastrigin(x: Any) -> Any:
    return 2 * x + 20 * pi * sin(2 * pi * x)


def styblinski(x: Any) -> Any:
    return np.sum(x**4 - 16 * x**2 + 5 * x) / 2


def d_styblinski(x: Any) -> Any:
    return 2 * x**3 - 16 * x + 2.5


def dixon_price(x: Any) -> Any:
    i = np.arange(2, x.size + 1)
    return (x[0] - 1) ** 2 + np.sum(i * (2 * x[1:] ** 2 - x[:-1]) ** 2)


def d_dixon_price(x: Any) -> Any:
    i = np.arange(2, x.size + 1)
    r = i * (2 * x[1:] ** 2 - x[:-1])
    g = np.zeros_like(x)
    g[0] = 2 * (x[0] - 1)
    g[1:] += 8 * r * x[1:]
    g[:-1] -= 2 * r
    return g


def levy(x: Any) -> Any:
    w = 1 + (x - 1) / 4
    body = (w[:-1] - 1) ** 2 * (1 + 10 * sin(pi * w[:-1] + 1) ** 2)
    tail = (w[-1] - 1) ** 2 * (1 + sin(2 * pi * w[-1]) ** 2)
    return sin(pi * w[0]) ** 2 + np.sum(body) + tail


def d_levy(x: Any) -> Any:
    w = 1 + (x - 1) / 4
    g = np.zeros_like(x)
    g[0] = pi * sin(2 * pi * w[0])
    v = w[:-1]
    s = pi * v + 1
    g[:-1] += 2 * (v - 1) * (1 + 10 * sin(s) ** 2) + (v - 1) ** 2 * 10 * pi * sin(2 * s)
    last = w[-1]
    g[-1] += 2 * (last - 1) * (1 + sin(2 * pi * last) ** 2)
    g[-1] += (last - 1) ** 2 * 2 * pi * sin(4 * pi * last)
    return g / 4


def zakharov(x: Any) -> Any:
    s = np.sum(np.arange(1, x.size + 1) * x) / 2
    return np.sum(x**2) + s**2 + s**4


def d_zakharov(x: Any) -> Any:
    i = np.arange(1, x.size + 1)
    s = np.sum(i * x) / 2
    return 2 * x + (s + 2 * s**3) * i


def lennard_jones(x: Any) -> Any:
    """Energy of a cluster of atoms, x of shape (atoms, 3)."""
    i, j = np.triu_indices(len(x), 1)
    inverse = 1 / np.sum((x[i] - x[j]) ** 2, axis=1) ** 3
    return 4 * np.sum(inverse**2 - inverse)


def d_lennard_jones(x: Any) -> Any:
    i, j = np.triu_indices(len(x), 1)
    d = x[i] - x[j]
    r2 = np.sum(d**2, axis=1)
    force = (4 * (-12 * r2**-7 + 6 * r2**-4))[:, None] * d
    g = np.zeros_like(x)
    np.add.at(g, i, force)
    np.add.at(g, j, -force)
    return g


def cases() -> list[Case]:
    random = np.random.default_rng(11)
    cube = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    atoms = 1.1 * cube + 0.05 * random.standard_normal((8, 3))
    rows = [
        ("himmelblau", himmelblau, d_himmelblau, vector(-1.3, 2.7)),
        ("goldstein-price", goldstein_price, d_goldstein_price, vector(1.4, 0.3)),
        ("six-hump camel", camel, d_camel, vector(0.7, -1.1)),
        ("easom, flat", easom, d_easom, vector(1, 1)),
        ("easom, far", easom, d_easom, vector(-1.5, -0.6)),
        ("mccormick", mccormick, d_mccormick, vector(0.5, -0.9)),
        ("ackley", ackley, d_ackley, vector(0.3, -2.1, 1.7, 0.9)),
        ("griewank", griewank, d_griewank, vector(12.3, -45.6, 78.9, 3.2, 100.1)),
        ("rastrigin", rastrigin, d_rastrigin, random.uniform(-5, 5, 12)),
        ("styblinski-tang", styblinski, d_styblinski, random.uniform(-5, 5, 6)),
        ("dixon-price", dixon_price, d_dixon_price, random.uniform(-9, 9, 7)),
        ("levy", levy, d_levy, random.uniform(-9, 9, 5)),
        ("zakharov", zakharov, d_zakharov, random.uniform(-5, 9, 8)),
        ("lennard-jones", lennard_jones, d_lennard_jones, atoms),
    ]
    return named("classical", rows)
