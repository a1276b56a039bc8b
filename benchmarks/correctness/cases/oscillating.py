"""Fast oscillations, chirps and sharp local structure: a step that is too long sees an alias."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases._case import Case, named, stack, vector

exp, sin, cos = np.exp, np.sin, np.cos


def wave(omega: float, size: float = 1.0, base: float = 1.0) -> tuple[Any, Any]:
    """Make a parabola with a ripple of frequency omega."""
    return (
        lambda x: np.sum(base * x**2 + size * sin(omega * x)),
        lambda x: 2 * base * x + size * omega * cos(omega * x),
    )


def bump(width: float, place: float, height: float) -> tuple[Any, Any]:
    """Make a parabola with a Gaussian bump of the given width."""

    def parts(x: Any) -> tuple[Any, Any]:
        z = (x - place) / width
        return z, height * exp(-(z**2) / 2)

    return (
        lambda x: np.sum(x**2 + parts(x)[1]),
        lambda x: 2 * x - parts(x)[0] / width * parts(x)[1],
    )


def weierstrass(terms: int) -> tuple[Any, Any]:
    k = np.arange(terms)

    def func(x: Any) -> Any:
        return np.sum(0.5**k * cos(3.0**k * np.pi * x[:, None]))

    def grad(x: Any) -> Any:
        return np.sum(-(1.5**k) * np.pi * sin(3.0**k * np.pi * x[:, None]), axis=1)

    return func, grad


def interference() -> tuple[Any, Any, Any]:
    """Intensity of nine antennas at forty angles: position in wavelengths times 60."""
    angle = np.linspace(-1, 1, 40)

    def sums(x: Any) -> tuple[Any, Any, Any]:
        phase = 60 * angle[:, None] * x
        return phase, np.sum(cos(phase), axis=1), np.sum(sin(phase), axis=1)

    def func(x: Any) -> Any:
        _, c, s = sums(x)
        return np.sum(c**2 + s**2) / 40

    def grad(x: Any) -> Any:
        phase, c, s = sums(x)
        slope = -c[:, None] * sin(phase) + s[:, None] * cos(phase)
        return 2 * 60 * np.sum(slope * angle[:, None], axis=0) / 40

    return func, grad, np.linspace(0.2, 2.9, 9) ** 1.3


def cases() -> list[Case]:
    near = {"expect": "inconclusive-ok"}
    rows = [
        ("sin 50 x", lambda x: np.sum(sin(50 * x)), lambda x: 50 * cos(50 * x), vector(0.3, 1.7)),
        ("sin 1000 x", lambda x: np.sum(sin(1e3 * x)), lambda x: 1e3 * cos(1e3 * x),
         vector(0.3, 1.7, -0.4)),
        ("sin 2π 4^k x, an alias of ratio 4", lambda x: np.sum(sin(2 * np.pi * 4**6 * x)),
         lambda x: 2 * np.pi * 4**6 * cos(2 * np.pi * 4**6 * x), vector(1.0, 2.0, 0.37)),
        ("sin 1e5 x", lambda x: np.sum(sin(1e5 * x)), lambda x: 1e5 * cos(1e5 * x),
         vector(0.3, 1.7)),
        ("parabola with ripple 100", *wave(100, 1e-2), vector(0.8, -1.9)),
        ("parabola with ripple 1e4", *wave(1e4, 1e-4), vector(0.8, -1.9)),
        ("parabola with ripple 1e6", *wave(1e6, 1e-6), vector(0.8, -1.9), near),
        ("large parabola with a faint ripple", *wave(1e3, 1e-5, 1e2), vector(0.8, -1.9)),
        ("chirp sin x²", lambda x: np.sum(sin(x**2)), lambda x: 2 * x * cos(x**2),
         vector(1, 17.3, 91.2)),
        ("chirp sin exp x", lambda x: np.sum(sin(exp(x))), lambda x: exp(x) * cos(exp(x)),
         vector(0.1, 3.3, 7.7)),
        ("chirp sin 1/x", lambda x: np.sum(sin(1 / x)), lambda x: -cos(1 / x) / x**2,
         vector(0.5, 0.03, 0.004)),
        ("x² sin 1/x near zero", lambda x: np.sum(x**2 * sin(1 / x)),
         lambda x: 2 * x * sin(1 / x) - cos(1 / x), vector(1e-2, 3e-3, 0.7)),
        ("weierstrass, 5 terms", *weierstrass(5), vector(0.13, 0.77)),
        ("weierstrass, 9 terms", *weierstrass(9), vector(0.13, 0.77)),
        ("interference of antennas", *interference()),
        ("product of two frequencies", lambda x: sin(200 * x[0]) * cos(3 * x[1]) + x[1] ** 2,
         lambda x: stack(200 * cos(200 * x[0]) * cos(3 * x[1]),
                         -3 * sin(200 * x[0]) * sin(3 * x[1]) + 2 * x[1]), vector(0.61, 1.2)),
        ("flank of a bump of width 1e-2", *bump(1e-2, 0.7, 0.1), vector(0.708, 2.0)),
        ("flank of a bump of width 1e-4", *bump(1e-4, 0.7, 1e-2), vector(0.70012, 2.0)),
        ("flank of a faint bump of width 1e-5", *bump(1e-5, 0.7, 1e-6), vector(0.700007, 2.0),
         near),
        ("beside a bump of width 1e-3", *bump(1e-3, 0.7, 0.5), vector(0.69, 0.71)),
        ("steep tanh", lambda x: np.sum(np.tanh(1e3 * (x - 0.5))),
         lambda x: 1e3 / np.cosh(1e3 * (x - 0.5)) ** 2, vector(0.5004, 0.4993)),
        ("steeper tanh", lambda x: np.sum(np.tanh(1e6 * (x - 0.5))),
         lambda x: 1e6 / np.cosh(1e6 * (x - 0.5)) ** 2, vector(0.5000004, 0.4999993)),
        ("pole nearby", lambda x: np.sum(1 / (x - 1)), lambda x: -1 / (x - 1) ** 2,
         vector(1.001, 0.99, 3)),
        ("Runge in the complex plane", lambda x: np.sum(1 / (1 + 1e4 * x**2)),
         lambda x: -2e4 * x / (1 + 1e4 * x**2) ** 2, vector(0.004, -0.5, 1.3)),
    ]  # fmt: skip
    return named("oscillating", rows)
