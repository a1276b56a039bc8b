"""The difference formulas: exact arithmetic, and what is derived from it."""

import math
from fractions import Fraction

import numpy as np
import pytest

from pytest_gradcheck import numerical_gradient
from pytest_gradcheck._difference.stencils_and_steps import (
    STENCILS,
    derivatives,
    points,
    relative_step,
)
from pytest_gradcheck._options import SCHEMES
from pytest_gradcheck._params.layout import scale_of

ROWS = [pytest.param(row, id=name) for name, row in STENCILS.items()]

ORDERS = {
    "central": 2,
    "central4": 4,
    "central6": 6,
    "forward": 1,
    "backward": 1,
    "forward2": 2,
    "backward2": 2,
}


def scales(theta):
    return scale_of(theta).of(theta)


def polynomial(degree):
    """Return Σ (k + 1)·x^k up to `degree`, and its derivative, in exact arithmetic."""

    def value(x):
        return sum((k + 1) * x**k for k in range(degree + 1))

    def slope(x):
        return sum(((k + 1) * k * x ** (k - 1) for k in range(1, degree + 1)), Fraction(0))

    return value, slope


def apply(row, func, x, h):
    return (
        sum(
            (w * func(x + o * h) for o, w in zip(row.offsets, row.weights, strict=True)),
            Fraction(0),
        )
        / h
    )


def solved(offsets):
    """Return the weights for the first derivative from the moment conditions, by elimination."""
    n = len(offsets)
    rows = [[o**k for o in offsets] + [Fraction(k == 1)] for k in range(n)]
    for i in range(n):
        pivot = next(j for j in range(i, n) if rows[j][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [item / rows[i][i] for item in rows[i]]
        for j in range(n):
            if j != i:
                rows[j] = [b - rows[j][i] * a for a, b in zip(rows[i], rows[j], strict=True)]
    return tuple(row[-1] for row in rows)


def test_the_options_and_the_table_name_the_same_schemes():
    assert {*STENCILS, "complex"} == set(SCHEMES)
    assert len(set(SCHEMES)) == len(SCHEMES)
    assert all(row.name == name for name, row in STENCILS.items())


def test_each_title_is_its_own():
    titles = [row.title for row in STENCILS.values()] + ["complex step"]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("row", ROWS)
def test_weights_solve_the_moment_conditions(row):
    assert row.weights == solved(row.offsets)
    assert all(isinstance(item, Fraction) for item in (*row.offsets, *row.weights))


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_exact_on_polynomials_up_to_its_order_and_not_beyond(row):
    assert row.order == ORDERS[row.name]
    for x in (Fraction(0), Fraction(3, 7), Fraction(-5)):
        for h in (Fraction(1), Fraction(1, 1000)):
            for degree in range(row.order + 1):
                func, slope = polynomial(degree)
                assert apply(row, func, x, h) == slope(x)
    func, slope = polynomial(row.order + 1)
    assert apply(row, func, Fraction(0), Fraction(1)) != slope(Fraction(0))


@pytest.mark.parametrize("row", ROWS)
def test_error_constant_is_that_of_the_first_power_missed(row):
    power = row.order + 1
    h = Fraction(1, 10)
    # f = x^power has f^(power) = power!, so the error is C·h^order·power! with nothing behind it.
    missed = apply(row, lambda x: x**power, Fraction(0), h)
    assert missed / (h**row.order * math.factorial(power)) == Fraction(
        row.moment(power), math.factorial(power)
    )


def test_error_constants_of_the_textbook():
    known = {"central": 1 / 6, "central4": -1 / 30, "central6": 1 / 140, "forward": 1 / 2}
    known |= {"backward": -1 / 2, "forward2": -1 / 3, "backward2": -1 / 3}
    for name, row in STENCILS.items():
        power = row.order + 1
        assert float(row.moment(power)) / math.factorial(power) == pytest.approx(known.pop(name))
    assert not known


@pytest.mark.parametrize("row", ROWS)
def test_noise_gain_reach_and_symmetry(row):
    assert row.noise_gain**2 == pytest.approx(float(sum(w * w for w in row.weights)))
    assert row.reach == max(abs(float(o)) for o in row.offsets)
    assert row.symmetric == row.name.startswith("central")
    # The powers of the step that the error holds: every second one where the row is symmetric.
    step = 2 if row.symmetric else 1
    assert all(row.moment(row.order + 1 + step * column) != 0 for column in range(3))
    assert not row.symmetric or row.moment(row.order + 2) == 0


@pytest.mark.parametrize("row", ROWS)
def test_the_error_falls_with_the_order(row):
    errors = [abs(float(apply(row, math.exp, 0.3, h)) - math.exp(0.3)) for h in (0.2, 0.1)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(row.order, abs=0.25)


@pytest.mark.parametrize("name", SCHEMES)
def test_an_explicit_eps_is_the_step_that_is_taken(name):
    """x³ at 2 with eps = ½: the exact answer of each formula, f' = 12 and what it misses."""
    exact = {
        "central": 12.25,
        "central4": 12.0,
        "central6": 12.0,
        "forward": 15.25,
        "backward": 9.25,
        "forward2": 11.5,
        "backward2": 11.5,
        "complex": 11.75,
    }
    assert numerical_gradient(lambda x: x**3, 2.0, eps=0.5, scheme=name) == pytest.approx(
        exact[name], rel=1e-14
    )


def test_eps_is_divided_by_as_given_and_the_points_are_theta_plus_and_minus_eps():
    seen = []

    def func(theta):
        seen.append(float(theta[0]))
        return float(theta[0] ** 2)

    numeric = numerical_gradient(func, np.array([0.3]), eps=1e-7)
    assert {0.3 + 1e-7, 0.3 - 1e-7, 0.3} == set(seen)
    assert numeric[0] == ((0.3 + 1e-7) ** 2 - (0.3 - 1e-7) ** 2) / (2 * 1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("row", ROWS)
def test_automatic_steps_are_exactly_representable(row, dtype):
    theta = np.array([0.1, 1.0, 3.0, -1e3, 1e-3, 0.0], dtype=dtype)
    step = 1e-2 * scales(theta)
    values, taken = points(theta, step, row, exact=False)
    assert values.dtype == dtype
    wide = values.astype(np.longdouble) - theta.astype(np.longdouble)[:, None]
    offsets = np.array(row.steps, dtype=np.longdouble)
    np.testing.assert_array_equal(wide, taken.astype(np.longdouble)[:, None] * offsets)
    assert np.all(taken > 0)


def test_a_step_below_the_grain_of_the_parameter_is_enlarged_and_never_zero():
    theta = np.array([1e16, 1.0])
    values, _ = points(theta, np.array([1e-3, 1e-30]), STENCILS["central"], exact=False)
    assert np.all(values[:, 0] > theta)
    assert np.all(values[:, 1] < theta)


def test_scales_follow_the_parameter_and_where_it_is_zero_the_block():
    np.testing.assert_array_equal(scales(np.array([2.0, -4.0])), [2.0, 4.0])
    np.testing.assert_array_equal(scales(np.zeros(3)), np.ones(3))
    np.testing.assert_array_equal(scales(np.array([0.0, 6.0, 6.0])), [6.0, 6.0, 6.0])
    # An entry near zero is stepped as a thousandth of the median, or of 1.
    np.testing.assert_allclose(scales(np.array([1e-9, 0.5, 0.5]))[0], 5e-4)
    np.testing.assert_allclose(scales(np.array([1e-9, 50.0, 50.0]))[0], 1e-3)


def test_more_noise_and_a_higher_order_take_larger_steps():
    central = STENCILS["central"]
    small, large = (relative_step(central, noise, 1.0) for noise in (1e-16, 1e-8))
    assert small < large <= 0.05
    assert relative_step(STENCILS["central6"], 1e-16, 1.0) > small
    assert relative_step(central, 0.0, 0.0) > 0


def test_differences_cancel_before_they_are_weighed():
    """A large constant in func must cost no digit in a formula's sum: pairs are differenced."""
    row = STENCILS["central6"]
    offsets = [float(o) for o in row.offsets]
    values = np.array([[2.0**40 + o for o in offsets]])
    assert derivatives(values, 2.0**40, row, np.array([1.0]))[0] == pytest.approx(1.0, abs=1e-15)
