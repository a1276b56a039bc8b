"""Hessians, products with them, adjoint pairs, Taylor remainders."""

import math
import re

import numpy as np
import pytest

from pytest_gradcheck import (
    GradientMismatch,
    assert_adjoint,
    assert_hessian_close,
    assert_hvp_close,
    assert_taylor_rate,
    check_adjoint,
    check_hessian,
    check_hvp,
    check_jacobian,
    taylor_rates,
)

RNG = np.random.default_rng(3)


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_grad(x):
    g = np.zeros_like(x)
    g[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    g[1:] += 200 * (x[1:] - x[:-1] ** 2)
    return g


def rosenbrock_hess(x):
    diagonal = np.zeros_like(x)
    diagonal[:-1] = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
    diagonal[1:] += 200
    return np.diag(diagonal) + np.diag(-400 * x[:-1], 1) + np.diag(-400 * x[:-1], -1)


X = RNG.normal(size=6)
DATA, SIGNS = RNG.normal(size=(40, 3)), np.sign(RNG.normal(size=40))


def logistic(p):
    return np.sum(np.logaddexp(0, -SIGNS * (DATA @ p["w"] + p["b"]))) + 0.5 * p["w"] @ p["w"]


def logistic_grad(p):
    s = -SIGNS / (1 + np.exp(SIGNS * (DATA @ p["w"] + p["b"])))
    return {"w": DATA.T @ s + p["w"], "b": np.sum(s)}


def logistic_hess(p):
    s = 1 / (1 + np.exp(-(DATA @ p["w"] + p["b"])))
    d = s * (1 - s)
    ww = DATA.T @ (d[:, None] * DATA) + np.eye(3)
    return {"w": {"w": ww, "b": DATA.T @ d}, "b": {"w": DATA.T @ d, "b": np.sum(d)}}


P = {"w": np.array([0.2, -0.4, 0.1]), "b": 0.3}


@pytest.mark.parametrize("given", [True, False])
def test_right_hessians_agree(given):
    grads = {"grad": rosenbrock_grad} if given else {}
    report = assert_hessian_close(rosenbrock, rosenbrock_hess, X, **grads)
    assert report.size == 36
    assert report.resolution < 1e-5
    assert report.scheme == ("central differences of grad" if given else "second differences")
    grads = {"grad": logistic_grad} if given else {}
    report = assert_hessian_close(logistic, logistic_hess, P, **grads)
    assert [block.name for block in report.blocks] == ["w / w", "w / b", "b / w", "b / b"]


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("factor", [2.0, 1.001])
def test_a_wrong_pair_of_entries_is_named(given, factor):
    def hess(p):
        found = logistic_hess(p)
        found["w"]["b"] = found["b"]["w"] = found["w"]["b"] * np.array([1.0, factor, 1.0])
        return found

    grads = {"grad": logistic_grad} if given else {}
    report = check_hessian(logistic, hess, P, **grads)
    assert {entry.label for entry in report.worst} == {"w[1] / b", "b / w[1]"}
    with pytest.raises(GradientMismatch):
        assert_hessian_close(logistic, hess, P, **grads)


def test_a_hessian_that_is_not_symmetric_is_said_to_be_so():
    def hess(x):
        return np.triu(rosenbrock_hess(x))

    report = check_hessian(rosenbrock, hess, X, grad=rosenbrock_grad)
    assert report.reasons[0].startswith("hess is not symmetric: params[")
    assert report.wrong == 5


@pytest.mark.parametrize("seed", range(4))
def test_a_hessian_in_float32_is_symmetric_but_for_its_rounding(seed):
    """X.T @ (q[:, None] * X) rounds the two sides otherwise, and an eye in float64 hides it."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(20, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32)

    def cost(w):
        return np.mean(np.logaddexp(0, x @ w)) + 0.05 * w @ w

    def hess(w):
        p = 1 / (1 + np.exp(-(x @ w)))
        return x.T @ ((p * (1 - p))[:, None] * x) / 20 + 0.1 * np.eye(4)

    assert hess(w).dtype == np.float64
    assert np.any(hess(w) != hess(w).T)
    assert check_hessian(cost, hess, w).verdict == "agree"
    lean = 1e-3 * np.triu(np.ones((4, 4)), 1)
    wrong = check_hessian(cost, lambda w: hess(w) + lean, w)
    assert wrong.verdict == "disagree"


@pytest.mark.parametrize("seed", range(4))
def test_a_hessian_that_is_rounding_alone_is_symmetric(seed):
    """Of |p / |p||**2, which is 1 wherever p is, its terms cancel: 4e-16 beside 3e-16."""

    def cost(p):
        return float(np.linalg.norm(p / np.linalg.norm(p)) ** 2)

    def hvp(p, v):
        size = np.linalg.norm(p)
        u = p / size
        along = (v - u * (u @ v)) / size
        change = along - along * (u @ u) - u * (2 * (u @ along))
        return 2 * (change / size - (u - u * (u @ u)) * (u @ v) / size**2)

    p = np.random.default_rng(seed).normal(size=3)
    matrix = np.array([hvp(p, v) for v in np.eye(3)])
    assert np.any(matrix != matrix.T)
    assert check_hvp(cost, hvp, p).verdict == "agree"
    assert check_hessian(cost, lambda p: matrix, p).verdict == "agree"
    lean = 1e-12 * np.triu(np.ones((3, 3)), 1)
    assert check_hessian(cost, lambda p: matrix + lean, p).verdict == "disagree"


def test_two_entries_are_told_with_the_digits_in_which_they_differ():
    def hess(x):
        return rosenbrock_hess(x) + 1e-8 * np.triu(np.ones((6, 6)), 1)

    said = check_hessian(rosenbrock, hess, X, grad=rosenbrock_grad).reasons[0]
    one, other = re.findall(r" is (-?[\d.e-]+)", said)
    assert float(one) != float(other)


def test_a_gradient_of_no_func_has_a_hessian_that_is_not_symmetric():
    def grad(x):
        return np.array([x[1], 2 * x[0]])

    report = check_hessian(
        lambda x: x[0] * x[1], np.array([[0.0, 1.0], [2.0, 0.0]]), np.ones(2), grad=grad
    )
    assert report.wrong == 0
    assert report.verdict == "disagree"
    assert report.message().startswith("hess is not symmetric: params[0] / params[1] is 1, ")


def rotated(p, turn):
    """Return a gradient of 0.5 |w|² c with a rotation added, which is the gradient of nothing."""
    return {
        "w": p["w"] * p["c"] + turn * np.array([-p["w"][1], p["w"][0], 0.0]),
        "c": 0.5 * np.sum(p["w"] ** 2),
    }


def bowl(p):
    return 0.5 * np.sum(p["w"] ** 2) * p["c"]


def bowl_hess(p):
    return {
        "w": {"w": p["c"] * np.eye(3), "c": p["w"]},
        "c": {"w": p["w"], "c": 0.0},
    }


BOWL = {"w": np.array([0.4, -0.7, 1.1]), "c": 1.3}


def test_a_grad_whose_numeric_derivative_is_not_symmetric_is_the_gradient_of_nothing():
    report = check_hessian(bowl, bowl_hess, BOWL, grad=lambda p: rotated(p, 0.25))
    assert report.verdict == "disagree"
    assert report.reasons == (
        "grad is the gradient of nothing: its numeric derivative is not symmetric: "
        "w[0] / w[1] is -0.25, w[1] / w[0] is 0.25",
    )


@pytest.mark.parametrize("bowl_is", [bowl_hess, lambda p: {"w": {"w": np.eye(3), "c": p["w"]},
                                                           "c": {"w": p["w"], "c": 0.0}}],
                         ids=["right", "wrong"])  # fmt: skip
def test_a_grad_with_a_symmetric_derivative_is_not_said_to_be_the_gradient_of_nothing(bowl_is):
    report = check_hessian(bowl, bowl_is, BOWL, grad=lambda p: rotated(p, 0.0))
    assert report.reasons == ()
    assert report.ok == (bowl_is is bowl_hess)


def test_a_hessian_of_a_linear_parameter_may_be_zero():
    report = check_hessian(
        lambda p: p["a"] ** 2 + p["b"], {"a": {"a": 2.0, "b": 0.0}, "b": {"a": 0.0, "b": 0.0}},
        {"a": 1.0, "b": 2.0},
    )  # fmt: skip
    assert report.verdict == "agree"


def test_second_differences_cost_what_they_are_said_to():
    calls = 0

    def func(x):
        nonlocal calls
        calls += 1
        return rosenbrock(x)

    report = assert_hessian_close(func, rosenbrock_hess, X)
    assert report.evaluations == calls
    assert calls <= 12 * 6**2 + 6 * 6 * 50
    with pytest.raises(ValueError, match="second differences of func would take 44,652"):
        check_hessian(rosenbrock, np.eye(61), np.ones(61))


def test_of_a_parameter_that_is_left_out_the_rows_are_checked():
    report = check_hessian(logistic, logistic_hess, P, grad=logistic_grad, skip="b")
    assert (report.verdict, report.checked) == ("agree", 12)
    assert [block.name for block in report.blocks] == ["w / w", "b / w"]


def test_a_hessian_by_fewer_evaluations_than_it_takes_is_an_error():
    with pytest.raises(ValueError, match="max_evals=10 is too few for 4 parameters: a Jacobian"):
        check_hessian(logistic, logistic_hess, P, grad=logistic_grad, max_evals=10)


def test_products_with_a_hessian():
    def hvp(x, v):
        return rosenbrock_hess(x) @ v

    def wrong(x, v):
        found = hvp(x, v)
        found[2] += 0.1 * v[4]
        return found

    for grads in ({}, {"grad": rosenbrock_grad}):
        assert_hvp_close(rosenbrock, hvp, X, **grads)
        report = check_hvp(rosenbrock, wrong, X, **grads)
        assert report.worst[0].label == "params[2] / params[4]"
        assert report.reasons[0].startswith("hvp is not symmetric: ")


def test_products_with_a_large_hessian():
    x = RNG.normal(size=5000)

    def wrong(x, v):
        found = 12 * x**2 * v
        found[77] *= 1.01
        return found

    assert_hvp_close(lambda x: np.sum(x**4), lambda x, v: 12 * x**2 * v, x, grad=lambda x: 4 * x**3)
    report = check_hvp(lambda x: np.sum(x**4), wrong, x, grad=lambda x: 4 * x**3)
    assert report.worst[0].label.startswith("params[77] / v")


def test_the_gradient_of_a_gradient_is_the_jacobian_of_the_gradient():
    assert check_jacobian(rosenbrock_grad, rosenbrock_hess, X).verdict == "agree"


# Adjoint pairs


def forward(p):
    return {"image": np.cumsum(p["signal"]), "mean": np.mean(p["signal"]) + 2 * p["level"]}


def backward(y):
    image = np.cumsum(y["image"][::-1])[::-1]
    n = y["image"].size
    return {"signal": image + y["mean"] / n, "level": 2 * y["mean"]}


@pytest.mark.parametrize("size", [5, 1000])
def test_an_adjoint_pair(size):
    x = {"signal": np.zeros(size), "level": 0.0}
    right = assert_adjoint(forward, backward, x)
    assert (right.verdict, right.vacuous) == ("agree", ())  # though no image is of a level

    def wrong(y):
        return backward(y) | {"level": y["mean"]}

    report = check_adjoint(forward, wrong, x)
    assert {block.name for block in report.blocks if block.wrong} == {"mean / level"}
    assert report.worst[0].label.startswith("mean / level")
    with pytest.raises(GradientMismatch):
        assert_adjoint(forward, wrong, x)


def test_a_wrong_entry_of_a_small_pair_is_named():
    def wrong(y):
        found = backward(y)
        found["signal"][1] += 1e-6 * y["image"][3]
        return found

    report = check_adjoint(forward, wrong, {"signal": np.zeros(5), "level": 0.0})
    assert [entry.label for entry in report.worst] == ["image[3] / signal[1]"]


@pytest.mark.parametrize("size", [16, 2048])
def test_a_complex_pair_has_the_conjugate_transpose(size):
    x = np.zeros(size, complex)
    assert_adjoint(np.fft.fft, lambda y: size * np.fft.ifft(y), x)
    assert not check_adjoint(np.fft.fft, np.fft.ifft, x).ok
    assert not check_adjoint(np.fft.fft, lambda y: np.fft.fft(y), x).ok


def test_float32_pairs_round_as_such():
    matrix = RNG.normal(size=(300, 200)).astype(np.float32)
    x = np.zeros(200, np.float32)
    assert_adjoint(lambda x: matrix @ x, lambda y: matrix.T @ y, x)
    bent = matrix.T.copy()
    bent[0] *= 1.01
    assert not check_adjoint(lambda x: matrix @ x, lambda y: bent @ y, x).ok


def test_shapes_stand_for_samples():
    report = assert_adjoint(lambda x: x.T, lambda y: y.T, (2, 3), (3, 2))
    assert report.blocks[0].name == "output / x"
    assert report.blocks[0].shape == (3, 2, 2, 3)


def test_operators_that_are_not_linear_are_said_to_be_so():
    report = check_adjoint(lambda x: x + 1, lambda y: y, np.zeros(3))
    assert "forward is not linear: output[0] of forward(0) is 1, not 0" in report.message()
    report = check_adjoint(lambda x: x * np.abs(x), lambda y: y, np.zeros(3))
    assert report.reasons[0].startswith("forward is not linear: output[")
    report = check_adjoint(lambda x: x, lambda y: y**3, np.zeros(3))
    assert report.reasons[0].startswith("adjoint is not linear: x[")


def test_an_adjoint_of_another_shape():
    with pytest.raises(ValueError, match=r"adjoint has shape \(3,\), but x has \(4,\)"):
        check_adjoint(lambda x: x[:3], lambda y: y, np.zeros(4))


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (np.zeros(0), None, "^x has no entries, so there is nothing to compare"),
        ((0, 3), None, "^x has no entries"),
        ({}, None, "^x has no entries"),
        (np.zeros(2), np.zeros(0), "^y has no entries"),
        (np.zeros(2), None, "^what forward returned has no entries"),
    ],
)
def test_operators_between_nothing_are_an_error(x, y, text):
    with pytest.raises(ValueError, match=text):
        check_adjoint(lambda x: np.zeros(0), lambda y: np.zeros(2), x, y)


@pytest.mark.parametrize(("func", "params"), [(rosenbrock_grad, X), (logistic_grad, P)])
def test_a_gradient_in_place_of_j_is_told_where_it_belongs(func, params):
    for check in (check_hessian, check_hvp):
        with pytest.raises(ValueError, match="func is J here, one number: pass its grad") as caught:
            check(func, lambda *_: None, params)
        assert "assert_jvp_close(func, hvp, params)" in str(caught.value)
        assert not hasattr(caught.value, "__notes__")  # it is so at whatever parameters


@pytest.mark.parametrize(
    ("grad", "text"),
    [
        (logistic, r"grad returned params of shape \(\), but params has w .* \(is it J\?\)$"),
        (
            lambda p: (logistic(p), logistic_grad(p)),
            r"of \(J, gradient\) pass lambda p: f\(p\)\[1\]",
        ),
    ],
)
def test_j_in_place_of_a_gradient_is_told_to_be_it(grad, text):
    for check in (check_hessian, check_hvp):
        with pytest.raises(ValueError, match=text):
            check(logistic, lambda *_: None, P, grad=grad)


def test_the_gradient_of_some_of_the_parameters_is_one():
    def hvp(p, v):
        return {"w": logistic_hess(p)["w"]["w"] @ v["w"]}

    def grad(p):
        return {"w": logistic_grad(p)["w"]}

    assert check_hvp(logistic, hvp, P, grad=grad, skip="b").verdict == "agree"
    with pytest.raises(TypeError, match=r"hvp returned w of shape \(\), but the gradient is w of"):
        check_hvp(logistic, lambda p, v: {"w": 1.0}, P, grad=grad, skip="b")


def test_the_keys_of_a_gradient_come_in_any_order():
    def turned(tree):  # JAX sorts them
        return {key: tree[key] for key in sorted(tree)}

    def hess(p):
        return {row: turned(logistic_hess(p)[row]) for row in "bw"}

    def hvp(p, v):
        made = logistic_hess(p)
        return {row: sum(np.dot(made[row][by], v[by]) for by in "bw") for row in "bw"}

    grad = lambda p: turned(logistic_grad(p))  # noqa: E731
    report = check_hessian(logistic, hess, P, grad=grad)
    assert report.verdict == "agree"
    assert [block.name for block in report.blocks] == ["w / w", "w / b", "b / w", "b / b"]
    assert check_hvp(logistic, hvp, P, grad=grad).verdict == "agree"
    wrong = check_hvp(logistic, lambda p, v: {**hvp(p, v), "b": 1.5 * hvp(p, v)["b"]}, P, grad=grad)
    assert {entry.block for entry in wrong.worst} == {"b / w", "b / b"}


def test_a_hessian_by_nothing_is_an_error():
    with pytest.raises(ValueError, match="there is no parameter to differentiate by"):
        check_hessian(np.sum, np.zeros((0, 0)), np.zeros(0))


# Taylor remainders


def test_taylor_rates_tell_right_from_wrong():
    rates = taylor_rates(rosenbrock, rosenbrock_grad, X)
    assert rates.rate0 == pytest.approx(1, abs=0.1)
    assert rates.rate1 == pytest.approx(2, abs=0.1)
    assert assert_taylor_rate(rosenbrock, rosenbrock_grad, X).rate1 == rates.rate1
    wrong = taylor_rates(rosenbrock, lambda x: 1.01 * rosenbrock_grad(x), X)
    assert wrong.rate1 < 1.5
    with pytest.raises(AssertionError) as caught:
        assert_taylor_rate(rosenbrock, lambda x: 1.5 * rosenbrock_grad(x), X)
    first, _, heading, *_ = str(caught.value).splitlines()
    assert first.startswith("rosenbrock: first-order Taylor remainder falls as h^1.0")
    assert heading == "step      zeroth    rate  first     rate"


def test_a_linear_func_has_no_remainder_and_passes():
    rates = assert_taylor_rate(lambda x: np.sum(3 * x), lambda x: np.full(4, 3.0), np.ones(4))
    assert rates.exact
    assert np.isnan(rates.rate1)
    assert [line[-1] for line in str(rates).splitlines()[2:-1]] == ["-"] * (len(rates.steps) - 1)
    with pytest.raises(AssertionError):
        assert_taylor_rate(lambda x: np.sum(3 * x), lambda x: np.full(4, 3.1), np.ones(4))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"step": 0}, "step must be a positive finite number, not 0"),
        ({"step": math.inf}, "step must be a positive finite number, not inf"),
        ({"count": 2}, "count must be a whole number, 3 or more, not 2"),
        ({"count": 4.0}, "count must be a whole number, 3 or more, not 4.0"),
    ],
)
def test_bad_steps(given, text):
    with pytest.raises(ValueError, match=text):
        taylor_rates(rosenbrock, rosenbrock_grad, X, **given)


def test_a_func_that_does_not_repeat_itself_has_no_rates():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="func does not repeat itself"):
        taylor_rates(lambda x: rosenbrock(x) + rng.normal(), rosenbrock_grad, X)


@pytest.mark.parametrize("seed", [1, 2, 8])
def test_a_gradient_that_is_float32_inside_is_not_accused_by_mirrored_entries(seed):
    # Beside a weight decay in float64, of columns of 1e-3 to 1e3: what rounds in one row of the
    # derivative stands still in another, and error bars are too small there.
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(30, 5)) * [1e-3, 1, 1e3, 1, 10] + [0, 100, 0, 0, 5]
    data = columns.astype(np.float32)
    w = (rng.normal(size=5) / np.abs(data).max(axis=0)).astype(np.float32)
    y = (rng.random(30) < 0.5).astype(np.float32)

    def loss(w):
        return float(np.mean(0.5 * (data @ w - y) ** 2)) + 0.5 * float(w @ w)

    def grad(w):
        return data.T @ ((data @ w - y).astype(np.float32) / np.float32(30)) + w

    def hess(w):
        return data.T @ data / np.float32(30) + np.eye(5, dtype=np.float32)

    assert check_hessian(loss, hess, w, grad=grad).verdict == "agree"
    wrong = check_hessian(loss, lambda w: hess(w) - np.eye(5, dtype=np.float32), w, grad=grad)
    assert wrong.verdict == "disagree"
