"""What the tests of the engine share: lines and problems that are made by hand."""

import pytest

from pytest_gradcheck._difference.noise_and_extrapolation import Line, Noise, Rung
from pytest_gradcheck._evaluate.call import Call
from pytest_gradcheck._evaluate.problem import prepare
from pytest_gradcheck._options import Options

RHO = 3.8197
"""The ratio of steps."""


def approx(value):
    return pytest.approx(value, rel=1e-12, abs=0)


def each(*values):
    return [approx(value) for value in values]


def line(*rungs, changes=(1.0,), center=1.0, sigma=0.0, unit=2.0**-53, ulp=0.0):
    """Return a line with rungs (h, forward, backward, noise of the values)."""

    def evaluate(steps):
        raise AssertionError(f"nothing is to be evaluated, but {steps}")

    made, moves = [Rung(*rung) for rung in rungs], [(1.0, change) for change in changes]
    return Line(evaluate, center, Noise(sigma, unit, "float64"), ulp, made, moves)


def slopes(*pairs, sigma=0.0, **given):
    """Return a line with rungs (h, slope) of no bend."""
    return line(*((h, slope, slope, sigma) for h, slope in pairs), **given)


def bends(*pairs, central=0.0, sigma=0.0, **given):
    """Return a line with rungs (h, bend), the slopes to both sides as far from `central`."""
    made = ((h, central + bend / 2, central - bend / 2, sigma) for h, bend in pairs)
    return line(*made, **given)


def through(func, sigma=1e-16, unit=2.0**-53):
    """Return the line of a function of one variable at 0, and the list of its evaluations."""
    seen = []

    def evaluate(steps):
        seen.extend(steps)
        return steps, tuple(func(t) for t in steps)

    return Line(evaluate, func(0.0), Noise(sigma, unit, "float64")), seen


def prepared(func, params, **options):
    given = Options(**options)
    return prepare(Call(func), params, given), given


def quadratic(p):
    """3·x₀ + 2·x₁² − y: slopes 3, 4·x₁, −1."""
    return float(3 * p["x"][0] + 2 * p["x"][1] ** 2 - p["y"])
