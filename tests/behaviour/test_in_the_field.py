"""Kinds of situation that public reports hold and constructed problems did not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import check_gradients

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
