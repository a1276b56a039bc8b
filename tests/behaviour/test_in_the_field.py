"""Kinds of situation that public reports hold and constructed problems did not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, check_jvp, check_vjp

Array = np.ndarray[Any, Any]

LARGEST = float(np.finfo(np.float64).max)


class TestEdgesOfFormats:
    """Where numbers end, a check goes on."""

    @pytest.mark.parametrize("part", [0.51, 0.7, 0.95])
    def test_value_above_half_of_the_largest_float_is_checked(self, part: float) -> None:
        """A power of two above it is none."""
        x = np.array([1.5, -0.25])

        def func(x: Array) -> float:
            return float(part * LARGEST * (0.9 + 0.01 * math.sin(x[0]) * math.exp(x[1])))

        def grad(x: Array, factor: float = 1.0) -> Array:
            s, e, size = math.sin(x[0]), math.exp(x[1]), 0.01 * part * LARGEST
            return factor * size * np.array([math.cos(x[0]) * e, s * e])

        assert check_gradients(func, grad, x).verdict == "agree"
        assert check_gradients(func, lambda x: grad(x, 1.001), x).verdict == "disagree"

    def test_slopes_near_the_largest_float_are_told(self) -> None:
        """Neither their sum nor their squares are floats."""
        x = np.array([0.5, 709.75])
        report = check_gradients(lambda x: np.exp(x).sum(), np.exp, x)
        assert report.verdict == "agree"
        wrong = check_gradients(lambda x: np.exp(x).sum(), lambda x: np.exp(x) * 0.99, x)
        assert [entry.label for entry in wrong.worst if entry.verdict == "disagree"] == [
            "params[1]"
        ]

    @pytest.mark.parametrize("seed", [109, 117])
    def test_steps_that_float32_rounds_to_one_are_one(self, seed: int) -> None:
        """A parameter that does not move a float32 J is not divided by zero."""
        rng = np.random.default_rng(seed)
        w = rng.normal(size=3).astype(np.float32) * np.float32(1e-5)
        c = np.full(3, 3e-4, np.float32)

        def func(w: Array) -> Any:
            if w.dtype != np.float32:
                raise TypeError("float32 alone")
            return np.float32(50) + c @ w

        assert check_gradients(func, lambda w: c, w).verdict != "disagree"

    def test_errors_of_other_linear_algebra_shrink_the_step(self) -> None:
        """torch's LinAlgError is a RuntimeError, and JAX's carries numpy's in its text."""

        class _LinAlgError(RuntimeError):
            pass

        errors = [
            _LinAlgError("the input is not what it should be"),
            RuntimeError("INTERNAL: callback: LinAlgError: Matrix is singular"),
            RuntimeError("all elements of input should be between 0 and 1"),
            RuntimeError("ARPACK error -1: No convergence (100 iterations)"),
        ]
        for error in errors:

            def func(x: Array, error: Exception = error) -> float:
                if x[0] >= 1:
                    raise error
                return float(np.log(1 - x[0]))

            report = check_gradients(func, lambda x: -1 / (1 - x), np.array([1 - 1e-6]))
            assert report.verdict == "agree"

    def test_other_errors_of_a_framework_end_the_check(self) -> None:
        """A RuntimeError that says nothing of values is the user's to see."""

        def func(x: Array) -> float:
            if x[0] >= 1:
                raise RuntimeError("CUDA out of memory")
            return float(np.log(1 - x[0]))

        with pytest.raises(RuntimeError, match="out of memory"):
            check_gradients(func, lambda x: -1 / (1 - x), np.array([1 - 1e-6]))


class TestRepetition:
    """`nondet_tol` is by how much two calls may differ, and nothing else."""

    @pytest.mark.parametrize("nondet_tol", [1e-6, 1e-2, 10.0])
    def test_func_that_repeats_itself_is_not_taken_for_noisy(self, nondet_tol: float) -> None:
        """What is allowed and not seen hides no wrong gradient."""
        x = np.array([0.4, -1.1, 2.0])
        options: Any = {"nondet_tol": nondet_tol}
        right = check_gradients(lambda x: np.cos(x).sum(), lambda x: -np.sin(x), x, **options)
        wrong = check_gradients(
            lambda x: np.cos(x).sum(), lambda x: -1.001 * np.sin(x), x, **options
        )
        assert (right.verdict, wrong.verdict) == ("agree", "disagree")
        assert right.resolution < 1e-5

    def test_jacobian_of_a_func_that_repeats_itself_is_judged_as_without(self) -> None:
        """Each output has its own noise, and none of it comes from the option."""
        x = np.array([0.4, -1.1])
        report = check_vjp(np.sin, lambda x, u: 1.01 * u * np.cos(x), x, nondet_tol=1e-2)
        assert report.verdict == "disagree"

    @pytest.mark.parametrize(("size", "allowed"), [(1e-11, 0.0), (3e-8, 1e-6), (1e-5, 1e-3)])
    @pytest.mark.parametrize("check", [check_vjp, check_jvp])
    def test_products_that_repeat_to_some_digits_are_linear(
        self, check: Any, size: float, allowed: float
    ) -> None:
        """Sums in changing order, as on a GPU, are no nonlinearity."""
        for seed in range(10):
            rng = np.random.default_rng(seed)
            x = rng.normal(size=7)

            def product(x: Array, u: Array, rng: Any = rng) -> Array:
                exact = u * np.cos(x)
                return exact * (1 + size * rng.normal(size=x.size))

            report = check(np.sin, product, x, nondet_tol=allowed, rtol=max(1e-7, 10 * size))
            assert report.verdict == "agree"

    @pytest.mark.parametrize("check", [check_vjp, check_jvp])
    def test_product_that_is_not_linear_is_still_told(self, check: Any) -> None:
        """Neither by an allowance, nor by what it repeats to."""
        x = np.array([0.5, 1.5, -0.5])
        report = check(
            np.sin, lambda x, u: u * np.cos(x) + 1e-3 * u * u, x, nondet_tol=1e-6, rtol=0.5
        )
        assert (report.verdict, "is not linear" in str(report)) == ("disagree", True)

    @pytest.mark.parametrize("check", [check_vjp, check_jvp])
    def test_product_that_does_not_repeat_itself_is_named(self, check: Any) -> None:
        """By the two values at the same vector."""
        rng = np.random.default_rng(0)
        report = check(
            np.sin, lambda x, u: u * np.cos(x) * rng.uniform(0.9, 1.1), np.array([0.5, 1.5])
        )
        assert report.verdict == "disagree"
        assert "p does not repeat itself" in str(report)
