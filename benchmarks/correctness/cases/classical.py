"""Sums of squares of Moré, Garbow and Hillstrom (ACM TOMS 7, 1981), at their starting points.

Each is a residual and its Jacobian, derived by hand from the paper's definitions; the number is
the paper's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, least_squares, named, stack, vector

exp, sqrt = np.exp, np.sqrt

BARD = vector(
    0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39
)
BELL = vector(0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989)
KOWALIK_Y = vector(
    0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246
)
KOWALIK_U = vector(4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625)
MEYER = 1e1 * vector(
    3478, 2861, 2365, 1963, 1637, 1372, 1154, 974.4, 826.1, 703, 600.5, 514.7, 442.7, 382, 330.7,
    287.2,
)  # fmt: skip
OSBORNE = 1e-3 * vector(
    844, 908, 932, 936, 925, 908, 881, 850, 818, 784, 751, 718, 685, 658, 628, 603, 580, 558, 538,
    522, 506, 490, 478, 467, 457, 448, 438, 431, 424, 420, 414, 411, 406,
)  # fmt: skip


def rosenbrock() -> Any:  # 1
    return least_squares(
        lambda x: stack(10 * (x[1] - x[0] ** 2), 1 - x[0]),
        lambda x: [[-20 * x[0], 10], [-1, 0]],
    )


def freudenstein_roth() -> Any:  # 2
    return least_squares(
        lambda x: stack(
            -13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1],
            -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1],
        ),
        lambda x: [
            [1, 10 * x[1] - 3 * x[1] ** 2 - 2],
            [1, 3 * x[1] ** 2 + 2 * x[1] - 14],
        ],
    )


def powell_badly_scaled() -> Any:  # 3
    return least_squares(
        lambda x: stack(1e4 * x[0] * x[1] - 1, exp(-x[0]) + exp(-x[1]) - 1.0001),
        lambda x: [[1e4 * x[1], 1e4 * x[0]], [-exp(-x[0]), -exp(-x[1])]],
    )


def brown_badly_scaled() -> Any:  # 4
    return least_squares(
        lambda x: stack(x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2),
        lambda x: [[1, 0], [0, 1], [x[1], x[0]]],
    )


def beale() -> Any:  # 5
    y, i = vector(1.5, 2.25, 2.625), np.arange(1, 4)
    return least_squares(
        lambda x: y - x[0] * (1 - x[1] ** i),
        lambda x: np.stack([x[1] ** i - 1, x[0] * i * x[1] ** (i - 1)], axis=1),
    )


def jennrich_sampson() -> Any:  # 6
    i = np.arange(1, 11)
    return least_squares(
        lambda x: 2 + 2 * i - (exp(i * x[0]) + exp(i * x[1])),
        lambda x: np.stack([-i * exp(i * x[0]), -i * exp(i * x[1])], axis=1),
    )


def helical_valley() -> Any:  # 7
    def residual(x: Any) -> Any:
        turn = np.arctan(x[1] / x[0]) / (2 * np.pi) + (0.5 if x[0].real < 0 else 0)
        return stack(10 * (x[2] - 10 * turn), 10 * (sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2])

    def jacobian(x: Any) -> Any:
        r2 = x[0] ** 2 + x[1] ** 2
        k = 100 / (2 * np.pi * r2)
        r = sqrt(r2)
        return [[k * x[1], -k * x[0], 10], [10 * x[0] / r, 10 * x[1] / r, 0], [0, 0, 1]]

    return least_squares(residual, jacobian)


def bard() -> Any:  # 8
    u = np.arange(1, 16)
    v = 16 - u
    w = np.minimum(u, v)

    def jacobian(x: Any) -> Any:
        k = u / (v * x[1] + w * x[2]) ** 2
        return np.stack([-np.ones(15), v * k, w * k], axis=1)

    return least_squares(lambda x: BARD - (x[0] + u / (v * x[1] + w * x[2])), jacobian)


def gaussian() -> Any:  # 9
    t = (8 - np.arange(1, 16)) / 2
    y = np.concatenate([BELL, BELL[-2::-1]])

    def jacobian(x: Any) -> Any:
        d = t - x[2]
        e = exp(-x[1] * d**2 / 2)
        return np.stack([e, -x[0] * e * d**2 / 2, x[0] * e * x[1] * d], axis=1)

    return least_squares(lambda x: x[0] * exp(-x[1] * (t - x[2]) ** 2 / 2) - y, jacobian)


def meyer() -> Any:  # 10
    t = 45 + 5 * np.arange(1, 17)

    def jacobian(x: Any) -> Any:
        d = t + x[2]
        e = exp(x[1] / d)
        return np.stack([e, x[0] * e / d, -x[0] * e * x[1] / d**2], axis=1)

    return least_squares(lambda x: x[0] * exp(x[1] / (t + x[2])) - MEYER, jacobian)


def gulf() -> Any:  # 11
    t = np.arange(1, 100) / 100
    y = 25 + (-50 * np.log(t)) ** (2 / 3)

    def jacobian(x: Any) -> Any:
        p = (y - x[1]) ** x[2]
        e = exp(-p / x[0])
        return np.stack(
            [e * p / x[0] ** 2, e * x[2] * p / (y - x[1]) / x[0], -e * p * np.log(y - x[1]) / x[0]],
            axis=1,
        )

    return least_squares(lambda x: exp(-((y - x[1]) ** x[2]) / x[0]) - t, jacobian)


def box() -> Any:  # 12
    t = np.arange(1, 11) / 10
    c = exp(-t) - exp(-10 * t)
    return least_squares(
        lambda x: exp(-t * x[0]) - exp(-t * x[1]) - x[2] * c,
        lambda x: np.stack([-t * exp(-t * x[0]), t * exp(-t * x[1]), -c], axis=1),
    )


def powell_singular() -> Any:  # 13
    a, b = sqrt(5), sqrt(10)

    def jacobian(x: Any) -> Any:
        p, q = 2 * (x[1] - 2 * x[2]), 2 * b * (x[0] - x[3])
        return [[1, 10, 0, 0], [0, 0, a, -a], [0, p, -2 * p, 0], [q, 0, 0, -q]]

    return least_squares(
        lambda x: stack(
            x[0] + 10 * x[1], a * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, b * (x[0] - x[3]) ** 2
        ),
        jacobian,
    )


def wood() -> Any:  # 14
    a, b = sqrt(90), sqrt(10)

    def residual(x: Any) -> Any:
        return stack(
            10 * (x[1] - x[0] ** 2),
            1 - x[0],
            a * (x[3] - x[2] ** 2),
            1 - x[2],
            b * (x[1] + x[3] - 2),
            (x[1] - x[3]) / b,
        )

    def jacobian(x: Any) -> Any:
        return [
            [-20 * x[0], 10, 0, 0],
            [-1, 0, 0, 0],
            [0, 0, -2 * a * x[2], a],
            [0, 0, -1, 0],
            [0, b, 0, b],
            [0, 1 / b, 0, -1 / b],
        ]

    return least_squares(residual, jacobian)


def kowalik_osborne() -> Any:  # 15
    u = KOWALIK_U

    def jacobian(x: Any) -> Any:
        top, low = u**2 + u * x[1], u**2 + u * x[2] + x[3]
        k = x[0] * top / low**2
        return np.stack([-top / low, -x[0] * u / low, u * k, k], axis=1)

    return least_squares(
        lambda x: KOWALIK_Y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3]), jacobian
    )


def brown_dennis() -> Any:  # 16
    t = np.arange(1, 21) / 5

    def jacobian(x: Any) -> Any:
        p = 2 * (x[0] + t * x[1] - exp(t))
        q = 2 * (x[2] + x[3] * np.sin(t) - np.cos(t))
        return np.stack([p, p * t, q, q * np.sin(t)], axis=1)

    return least_squares(
        lambda x: (x[0] + t * x[1] - exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2,
        jacobian,
    )


def osborne() -> Any:  # 17
    t = 10.0 * np.arange(33)

    def jacobian(x: Any) -> Any:
        p, q = exp(-t * x[3]), exp(-t * x[4])
        return np.stack([-np.ones(33), -p, -q, x[1] * t * p, x[2] * t * q], axis=1)

    return least_squares(
        lambda x: OSBORNE - (x[0] + x[1] * exp(-t * x[3]) + x[2] * exp(-t * x[4])), jacobian
    )


def cases() -> list[Case]:
    points = [
        (rosenbrock, vector(-1.2, 1)),
        (freudenstein_roth, vector(0.5, -2)),
        (powell_badly_scaled, vector(0, 1)),
        (brown_badly_scaled, vector(1, 1)),
        (beale, vector(1, 1)),
        (jennrich_sampson, vector(0.3, 0.4)),
        (helical_valley, vector(-1, 0, 0)),
        (bard, vector(1, 1, 1)),
        (gaussian, vector(0.4, 1, 0)),
        (meyer, vector(0.02, 4000, 250)),
        (gulf, vector(5, 2.5, 0.15)),
        (box, vector(0, 10, 20)),
        (powell_singular, vector(3, -1, 0, 1)),
        (wood, vector(-3, -1, -3, -1)),
        (kowalik_osborne, vector(0.25, 0.39, 0.415, 0.39)),
        (brown_dennis, vector(25, 5, -5, -1)),
        (osborne, vector(0.5, 1.5, -1, 0.01, 0.02)),
    ]
    starts = [(make.__name__, *make(), x) for make, x in points]
    near = [
        ("rosenbrock near its minimum", *rosenbrock(), vector(1.001, 1.0019)),
        ("powell singular near its minimum", *powell_singular(), vector(1e-2, -1e-3, 2e-3, 1e-2)),
        ("brown badly scaled near its minimum", *brown_badly_scaled(), vector(999999, 2.1e-6)),
        ("powell badly scaled near its minimum", *powell_badly_scaled(), vector(1.1e-5, 9.1)),
    ]
    return named("classical", starts + near)
