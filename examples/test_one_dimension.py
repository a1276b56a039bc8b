"""Check the smallest gradient there is: J(theta) = theta * x, so dJ/dtheta = x."""

import pytest

from pytest_gradcheck import assert_gradients_close


def cost(theta, x):
    return theta * x


def slope(theta, x):
    return x


def test_slope():
    assert_gradients_close(cost, slope, 4.0, args=(2.0,))


def test_slope_with_a_step_of_our_own():
    report = assert_gradients_close(cost, slope, 4.0, args=(2.0,), eps=1e-7, threshold=1e-7)
    assert report.difference == pytest.approx(2.919e-10, rel=5e-4)  # rounding: x is exact
