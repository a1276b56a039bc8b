"""What a new user ran into: products that are linear, sentences that were false, odd inputs."""

import numpy as np
import pytest

from pytest_gradcheck import check_jvp, check_vjp

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
