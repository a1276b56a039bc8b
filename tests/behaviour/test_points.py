"""One check at several points."""

import numpy as np
import pytest

from pytest_gradcheck import (
    GradientMismatch,
    assert_gradients_close,
    assert_hessian_close,
    assert_hvp_close,
    assert_jacobian_close,
    assert_jvp_close,
    assert_vjp_close,
    check_gradients,
    check_jacobian,
)


def cost(x):
    return np.sum(np.abs(x) ** 3)


def right(x):
    return 3 * x * np.abs(x)


def wrong_where_negative(x):
    return 3 * x**2


POINTS = [np.array([1.0, 2.0]), np.array([3.0, -1.0]), np.array([-1.0, -2.0])]


def test_all_points_are_checked():
    report = assert_gradients_close(cost, right, points=POINTS)
    assert [point.at for point in report.points] == ["points[0]", "points[1]", "points[2]"]
    assert all(point.ok for point in report.points)
    assert report.evaluations == sum(point.evaluations for point in report.points)
    assert ", at 3 points" in report.summary()


def test_the_first_that_fails_is_named_in_the_first_line_and_the_others_in_the_report():
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients_close(cost, wrong_where_negative, points=iter(POINTS))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("at points[1]: params[1]: analytic 3 != numeric -3 (")
    assert "2 of 3 points fail: points[1], points[2]" in lines
    report = caught.value.report
    assert [point.ok for point in report.points] == [True, False, False]
    assert [point.at for point in report.points if not point.ok] == ["points[1]", "points[2]"]
    assert [point["ok"] for point in report.to_dict()["points"]] == [True, False, False]
    assert ", at points[1]" in report.summary()


def test_a_generator_makes_points(gradcheck, gradcheck_rng):
    report = gradcheck(cost, right, points=(gradcheck_rng.normal(size=3) for _ in range(4)))
    assert len(report.points) == 4


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({}, TypeError, "params is missing: pass params, or points="),
        ({"params": POINTS[0], "points": POINTS}, TypeError, "pass params or points, not both"),
        ({"points": []}, ValueError, "points is empty: nothing would be checked"),
        ({"points": {"x": POINTS[0]}}, TypeError, "points must be a list of params, or another"),
        ({"points": 3}, TypeError, "points must be a list of params, or another iterable, not int"),
        ({"points": POINTS, "grad": np.ones(2)}, TypeError, "grad must be a function where there"),
    ],
)
def test_bad_points(given, error, text):
    with pytest.raises(error) as caught:
        check_gradients(cost, **({"grad": right} | given))
    assert str(caught.value).startswith(text)


def test_an_error_says_at_which_point_it_was_raised():
    with pytest.raises(ValueError, match="params must be finite") as caught:
        check_gradients(cost, right, points=[POINTS[0], np.array([np.nan, 1.0])])
    assert caught.value.__notes__ == ["gradcheck: at points[1]"]


DERIVATIVES = {
    "jacobian": (assert_jacobian_close, lambda x: x * np.abs(x), lambda x: np.diag(2 * np.abs(x))),
    "jvp": (assert_jvp_close, lambda x: x * np.abs(x), lambda x, v: 2 * np.abs(x) * v),
    "vjp": (assert_vjp_close, lambda x: x * np.abs(x), lambda x, u: 2 * np.abs(x) * u),
    "hessian": (assert_hessian_close, cost, lambda x: np.diag(6 * np.abs(x))),
    "hvp": (assert_hvp_close, cost, lambda x, v: 6 * np.abs(x) * v),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_other_derivatives_are_checked_at_several_points(name):
    check, func, derivative = DERIVATIVES[name]
    report = check(func, derivative, points=POINTS)
    assert [point.at for point in report.points] == ["points[0]", "points[1]", "points[2]"]
    with pytest.raises(GradientMismatch) as caught:
        check(func, lambda x, *v: derivative(np.maximum(x, 0), *v), points=POINTS)
    assert str(caught.value).startswith("at points[1]: ")
    assert [point.ok for point in caught.value.report.points] == [True, False, False]
    with pytest.raises(TypeError, match="params is missing: pass params, or points="):
        check(func, derivative)


def test_a_jacobian_of_several_points_is_a_function():
    with pytest.raises(TypeError, match="jac must be a function where there are points"):
        check_jacobian(lambda x: x, np.eye(2), points=POINTS)
