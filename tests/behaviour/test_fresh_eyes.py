"""What a new user ran into: products that are linear, sentences that were false, odd inputs."""

from collections import UserDict, deque
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from pytest_gradcheck import (
    assert_taylor_rate,
    autograd_gradients,
    check_adjoint,
    check_gradients,
    check_hessian,
    check_jacobian,
    check_jvp,
    check_vjp,
    compare_gradients,
    jax_gradients,
    load_saved,
    relative_difference,
    taylor_rates,
    torch_gradients,
)
from pytest_gradcheck._gradient import check as gradient_check
from pytest_gradcheck.compat.scipy import check_grad

A = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]])
X = np.array([0.3, -0.7, 1.2])


def residual(x):
    return np.sin(A @ x)


def jacobian(x):
    return np.cos(A @ x)[:, None] * A


# Products


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bend", [np.abs, lambda v: np.maximum(v, 0)], ids=["abs", "relu"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_product_that_bends_at_zero_is_not_linear(size, bend, seed):
    x = X[:size]
    report = check_jvp(np.sin, lambda x, v: np.cos(x) * bend(v), x, seed=seed)
    assert not report.ok
    assert "jvp is not linear in v" in report.message()
    report = check_vjp(np.sin, lambda x, u: np.cos(x) * bend(u), x, seed=seed)
    assert not report.ok
    assert "vjp is not linear in u" in report.message()


def test_a_product_with_a_rounded_vector_is_linear():
    """Outputs are float32, so u is; products with it in float64 are exact to float64."""
    report = check_vjp(
        lambda x: residual(x).astype(np.float32),
        lambda x, u: jacobian(x).T @ u.astype(np.float64),
        X.astype(np.float32),
    )
    assert report.ok, report.message()


def test_a_product_that_is_computed_in_float32_and_returned_in_float64_is_linear():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(60, 40)).astype(np.float32)
    x = rng.normal(size=40).astype(np.float32)
    reverse = check_vjp(lambda x: matrix @ x, lambda x, u: (matrix.T @ u).astype(np.float64), x)
    assert reverse.ok, reverse.message()
    forward = check_jvp(lambda x: matrix @ x, lambda x, v: (matrix @ v).astype(np.float64), x)
    assert forward.ok, forward.message()


def test_a_float32_product_that_is_not_linear_is_still_found():
    report = check_jvp(np.tanh, lambda x, v: (1 - np.tanh(x) ** 2) * v**3, X.astype(np.float32))
    assert "jvp is not linear in v" in report.message()


# Hints


def test_a_jacobian_s_hint_names_the_parameter_and_not_the_pair():
    x = np.linspace(-1, 1, 6)
    report = check_jacobian(lambda p: {"y": np.exp(p["s"])}, lambda p: {"y": {"s": np.eye(6)}},
                            {"s": x})  # fmt: skip
    assert [block.hint for block in report.blocks] == [
        "numeric = analytic x exp(s): that factor of the chain rule is missing"
    ]


def test_several_pairs_of_a_jacobian_name_their_parameter_once():
    x = np.linspace(-1, 1, 6)
    report = check_jacobian(
        lambda p: {"y": np.exp(p["s"]), "z": 3 * np.exp(p["s"])},
        lambda p: {"y": {"s": np.eye(6)}, "z": {"s": 3 * np.eye(6)}},
        {"s": x},
    )
    assert [found.sentence for found in report.diagnoses] == [
        "numeric = analytic x exp(s): that factor of the chain rule is missing"
    ]


def dead_unit():
    """Return the report of a network whose backward pass forgets one hidden unit."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(12, 5)), rng.normal(size=(12, 3))
    params = {
        "W1": rng.normal(size=(5, 4)) / 2,
        "b1": rng.normal(size=4) / 5,
        "W2": rng.normal(size=(4, 3)) / 2,
        "b2": rng.normal(size=3) / 5,
    }

    def cost(p):
        h = np.tanh(x @ p["W1"] + p["b1"])
        return 0.5 * np.sum((h @ p["W2"] + p["b2"] - y) ** 2)

    def backward(p):
        h = np.tanh(x @ p["W1"] + p["b1"])
        d = h @ p["W2"] + p["b2"] - y
        dz = (d @ p["W2"].T) * (1 - h**2)
        dz[:, 2] = 0  # bug
        return {"W1": x.T @ dz, "b1": dz.sum(axis=0), "W2": h.T @ d, "b2": d.sum(axis=0)}

    return check_gradients(cost, backward, params)


def test_a_block_with_a_pattern_is_not_said_to_have_none():
    report = dead_unit()
    hints = {block.name: block.hint for block in report.blocks}
    assert hints["W1"] == "only column 2 is wrong: analytic is zero there"
    (backward,) = [found for found in report.diagnoses if found.code == "backward"]
    assert backward.sentence == (
        "the error enters between W2 and W1: W1 and b1 are wrong, W2 and b2 are right"
    )


@pytest.mark.parametrize(
    "grad",
    [lambda x: np.round(2 * x, 3), lambda x: 2 * x * (x > 0), lambda x: 2 * np.cbrt(x)],
    ids=["rounded", "masked", "another"],
)
@pytest.mark.parametrize("scheme", ["central", "central4"])
def test_no_formula_with_weight_decay_where_theta_alone_explains_numeric(grad, scheme):
    """2θ = 0 x analytic + 2 x θ holds for any analytic, and says nothing of it."""
    x = np.random.default_rng(1).normal(size=(4, 4))
    report = check_gradients(lambda x: np.sum(x**2), grad, x, scheme=scheme)
    assert report.verdict == "disagree"
    assert "theta" not in {found.code for found in report.diagnoses}


def test_a_factor_and_weight_decay_are_still_named_together():
    x = np.random.default_rng(1).normal(size=(4, 4))
    report = check_gradients(
        lambda x: np.sum(np.sin(x)) + 0.1 * np.sum(x**2), lambda x: 2 * np.cos(x), x
    )
    (found,) = report.diagnoses
    assert found.sentence == "analytic = 2 x numeric - 0.4 x params"


def test_a_factor_left_out_is_not_laid_to_a_cache_alone():
    """The derivative of sin is missing: grad remembers nothing."""
    a = np.array([0.3, -1.1, 0.7])
    report = check_gradients(lambda x: np.sum(np.sin(a * x)), lambda x: a, X)
    assert [found.sentence for found in report.diagnoses] == [
        "grad stays the same, bit for bit, at another params, and numeric does not: it leaves out "
        "a term or a factor, or reads what an earlier call left behind (a stale cache)"
    ]


# Odd inputs


def test_a_gradient_of_another_kind_than_params_says_which():
    with pytest.raises(
        ValueError, match=r"it is a list or tuple where params is an array or a number"
    ):
        check_gradients(lambda x: np.sum(x**2), lambda x: [2 * v for v in x], X)
    with pytest.raises(ValueError, match=r"it is an array or a number where params is a list"):
        check_gradients(lambda p: sum(v**2 for v in p), lambda p: 2 * np.array(p), list(X))


def test_a_jacobian_that_is_none_lacks_a_return():
    with pytest.raises(TypeError, match=r"^jac is None; .*does jac lack a return\?"):
        check_jacobian(residual, lambda x: None, X)


def test_scipy_s_gradient_that_is_none_lacks_a_return():
    from pytest_gradcheck.compat.scipy import check_grad

    with pytest.raises(TypeError, match=r"the gradient is None.*is a return missing"):
        check_grad(lambda x: np.sum(x**2), lambda x: None, [2.0, -1.0])
    with pytest.raises(TypeError, match=r"jac is None.*lack a return"):
        check_grad(lambda x: x**2, lambda x: None, [2.0, -1.0])


@pytest.mark.extra("torch")
def test_torch_s_func_off_the_graph_is_named():
    import torch

    from pytest_gradcheck.compat.torch import gradcheck, gradgradcheck

    x = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    for func in (lambda x: 2 * x.detach(), lambda x: None, lambda x: (2 * x).tolist()):
        for check in (gradcheck, gradgradcheck):
            with pytest.raises(ValueError, match="func returned no tensor that requires a grad"):
                check(func, (x,))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e308])
def test_a_derivative_that_is_not_finite_or_huge_is_wrong_and_nothing_else(odd):
    reports = (
        check_gradients(lambda x: np.sum(np.sin(x)), lambda x: np.cos(x) + odd, X),
        check_jacobian(np.sin, lambda x: np.diag(np.cos(x)) + odd, X),
        check_jvp(np.sin, lambda x, v: np.cos(x) * v + odd, X),
        check_vjp(np.sin, lambda x, u: np.cos(x) * u + odd, X),
        compare_gradients(X, X + odd),
        compare_gradients(X + odd, X),
    )
    assert [report.verdict for report in reports] == ["disagree"] * len(reports)
    for report in reports:
        assert report.details()


def test_products_without_parameters_check_nothing():
    for report in (
        check_jvp(lambda x: np.ones(2), lambda x, v: np.zeros(2), np.zeros(0)),
        check_vjp(lambda x: np.ones(2), lambda x, u: np.zeros(0), np.zeros(0)),
    ):
        assert not report.ok
        assert report.message().startswith("nothing was checked")


# Files


def test_a_saved_check_is_whole_though_the_last_run_failed(suite, monkeypatch):
    """What was wrong is differenced first, and alone: but not where the vectors are wanted."""
    monkeypatch.setattr(gradient_check, "WHOLE_AGAIN", -1.0)  # as of a check that takes its time
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
    suite.makepyfile(
        """
        import numpy as np
        from pytest_gradcheck import assert_gradients_close

        def test_wrong():
            assert_gradients_close(
                lambda p: np.sum(p["a"] ** 2) + p["b"] ** 2,
                lambda p: {"a": 4 * p["a"], "b": 2 * p["b"]},
                {"a": np.array([1.0, 2.0]), "b": 3.0},
            )
        """
    )
    suite.runpytest().assert_outcomes(failed=1)
    suite.runpytest("--gradcheck-save", "kept").assert_outcomes(failed=1)
    (path,) = (suite.path / "kept").iterdir()
    saved = load_saved(path)
    assert saved.numeric["b"] == pytest.approx(6.0)
    assert saved.verdict["b"] == 0
    again = suite.runpytest()
    again.stdout.fnmatch_lines(["*wrong in the last run still are*"])


# What is told of a slip


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: compare_gradients(X, None), TypeError, "reference is None"),
        (
            lambda: compare_gradients(None, X),
            TypeError,
            "analytic is None; it must have the structure of reference",
        ),
        (lambda: compare_gradients(X[:2], X), ValueError, "analytic has shape (2,), but reference"),
        (
            lambda: compare_gradients(X, np.sin),
            TypeError,
            "reference is ufunc, but a parameter is an array or a number",
        ),
        (
            lambda: compare_gradients(X, X, only="W"),
            ValueError,
            "only: 'W' matches no block of reference",
        ),
        (lambda: relative_difference("a", "b"), TypeError, "b is str, but"),
        (
            lambda: relative_difference(X, None),
            ValueError,
            "a does not match b: b holds no array and no number",
        ),
        (
            lambda: check_adjoint(lambda x: A @ x, lambda y: y, X),
            ValueError,
            "adjoint has shape (2,), but x has (3,)",
        ),
        (
            lambda: check_adjoint(lambda x: A @ x, lambda y: A.T @ y, np.array([1, 2, 3])),
            TypeError,
            "x is ndarray of dtype int64, which has no small steps to take",
        ),
    ],
)
def test_what_is_compared_is_called_by_its_own_name(call, error, said):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(said)


def cube(x):
    return np.sum(x**3)


def slope(x):
    return 3 * x**2


@pytest.mark.parametrize(
    ("grad", "params", "said"),
    [
        (lambda x: (slope(x),), X, "params is an array or a number: return the one in it"),
        (np.ma.masked_array(X, [0, 1, 0]), X, "an array of shape (3,): return its .filled(0)"),
        (X.astype(object), X, "it must be numeric: return it .astype(float)"),
        (np.zeros(0), [], "params holds no array and no number"),
        (slope, Fraction(1, 3), "dataclasses; pass float(x)"),
        (slope, Decimal("0.5"), "dataclasses; pass float(x)"),
        (slope, range(3), "pass list(params), or dict(params) of names with arrays"),
        (slope, {"W": X}.items(), "pass list(params), or dict(params) of names with arrays"),
        (slope, deque([X]), "pass list(params), or dict(params) of names with arrays"),
        (slope, UserDict(W=X), "dataclasses; pass dict(params)"),
        (slope, np.array([X, X[:2]], dtype=object), "or list(x) of an array of arrays)"),
    ],
)
def test_a_slip_is_told_what_to_write(grad, params, said):
    with pytest.raises((TypeError, ValueError)) as caught:
        check_gradients(lambda x: 1.0 if isinstance(x, list) else cube(x), grad, params)
    assert str(caught.value).endswith(said)


def test_a_sparse_matrix_among_params_says_toarray():
    class Sparse:
        def __init__(self):
            self.data = np.ones(3)

        def toarray(self):
            return np.diag(self.data)

    with pytest.raises(TypeError, match=r"dataclasses; pass its \.toarray\(\)$"):
        check_gradients(cube, slope, Sparse())


def test_grad_true_beside_has_aux_needs_both():
    """Of (J, gradient) the J was indexed, and numpy's error told of that."""
    with pytest.raises(TypeError, match=r"says that it returns \(\(J, anything\), gradient\)"):
        check_gradients(lambda x: (cube(x), slope(x)), True, X, has_aux=True)


def test_the_order_of_arguments_is_the_function_s_own():
    with pytest.raises(TypeError, match=r"the order is func, jac, params$"):
        check_jacobian(residual, jacobian(X))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: taylor_rates(cube, slope, X, step="small"), "step must be a positive finite"),
        (lambda: assert_taylor_rate(cube, slope, X, least="two"), "least must be a number"),
        (lambda: torch_gradients(3.0), "loss must be a function of the parameters, but is float"),
        (lambda: jax_gradients(3.0), "loss must be a function of the parameters, but is float"),
        (lambda: autograd_gradients(X), "loss must be a function of the parameters, but is nd"),
        (
            lambda: check_jvp(residual, lambda x, v: v, X, strided="yes"),
            "strided must be True or False, not 'yes'",
        ),
        (
            lambda: check_hessian(cube, np.eye(2), X, grad=lambda x: None),
            "^grad returned nothing to differentiate",
        ),
        (
            lambda: check_jacobian(residual, lambda x: "J", X),
            "^jac of output by params has dtype <U1; it must be real and numeric",
        ),
        (lambda: check_jvp(residual, lambda x, v: "Jv", X), "^jvp returned output of type str"),
        (lambda: check_grad(cube, None, X), r"^grad must be callable, grad\(x0, \*args\), but"),
    ],
)
def test_what_is_no_number_or_no_function_is_refused_by_name(call, said):
    with pytest.raises((TypeError, ValueError), match=said):
        call()


@pytest.mark.filterwarnings("error")
def test_an_async_func_is_named():
    async def cost(x):
        return np.sum(x**2)

    with pytest.raises(TypeError, match=r"func is async; pass lambda params: asyncio\.run\(func"):
        check_gradients(cost, slope, X)


def test_where_nothing_is_differenced_no_tolerance_is_said_to_apply():
    message = check_gradients(cube, slope, X, skip="*").message()
    assert message.startswith("nothing was checked: there is no parameter to difference")
    assert "rtol unset" in message
    assert "rtol 0" not in message
