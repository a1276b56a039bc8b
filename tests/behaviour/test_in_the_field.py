"""Kinds of situation that public reports hold and constructed problems did not."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, check_jacobian, check_jvp, check_vjp

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
        """By more than the allowance, whatever it repeats to."""
        x = np.array([0.5, 1.5, -0.5])
        report = check(
            np.sin, lambda x, u: u * np.cos(x) + 1e-3 * u * u, x, nondet_tol=1e-6, rtol=1e-5
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


class TestZeroGradients:
    """A zero that is right passes, and is said not to have told much."""

    @pytest.mark.parametrize("options", [{}, {"eps": 1e-5}, {"scheme": "central4"}, {"rtol": 1e-5}])
    def test_block_that_func_ignores_is_named_and_passes(self, options: Any) -> None:
        """The others were checked."""

        def func(p: Any) -> float:
            return float(np.sum(np.exp(p["used"])) + 7)

        params = {"used": np.array([0.2, -0.6, 0.1]), "idle": np.array([[3.0, 1.0]])}
        grad = {"used": np.exp(params["used"]), "idle": np.zeros((1, 2))}
        report = check_gradients(func, grad, params, **options)
        assert (report.verdict, report.ok, report.vacuous) == ("agree", True, ("idle",))
        assert report.warning == ""
        assert "nothing checked in idle" in report.summary()
        grad["idle"][0, 1] = 1e-3
        assert check_gradients(func, grad, params, **options).verdict == "disagree"

    @pytest.mark.parametrize("offset", [0.0, 1.0, -250.0])
    @pytest.mark.parametrize("power", [2, 4])
    def test_stationary_point_agrees_and_a_wrong_entry_is_accused(
        self, offset: float, power: int
    ) -> None:
        """Zero is a value like any other where func answers."""
        x = np.array([0.5, -2.0])

        def func(x: Array) -> float:
            return float(np.sum((x - [0.5, -2.0]) ** power) * 20 + offset)

        report = check_gradients(func, lambda x: 0 * x, x)
        assert (report.verdict, report.ok) == ("agree", True)
        assert not report.vacuous or power == 4  # flat at the steps of a derivative
        assert "stationary" in report.summary()
        assert math.isinf(report.resolution)
        wrong = check_gradients(func, lambda x: np.array([0.0, 1e-3]), x)
        assert wrong.verdict == "disagree"

    def test_jacobian_of_which_all_is_zero(self) -> None:
        """As a gradient."""
        x = np.array([0.0, 0.0])
        report = check_jacobian(lambda x: np.array([x @ x, 3 + x[0] * x[1]]), np.zeros((2, 2)), x)
        assert (report.verdict, report.ok) == ("agree", True)
        assert not check_jacobian(lambda x: np.ones(2), np.zeros((2, 2)), x).ok

    @pytest.mark.parametrize("vacuous", ["note", "fail", "warn", "pass"])
    def test_func_that_answers_to_nothing_is_told(self, vacuous: Any) -> None:
        """Nothing was checked, whatever passes."""
        x = np.ones(3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = check_gradients(lambda x: 1.5, lambda x: 0 * x, x, vacuous=vacuous)
        assert (report.verdict, report.ok) == ("inconclusive", vacuous in ("warn", "pass"))

    @pytest.mark.parametrize("size", [0.0, 1e-19, 1e-16])
    def test_rounding_on_both_sides_is_no_resolution(self, size: float) -> None:
        """func that answers by rounding alone answers to nothing."""
        rng = np.random.default_rng(4)
        z = rng.normal(size=6)

        def func(z: Array) -> float:
            p = np.exp(z - z.max())
            return float(np.sum(p / p.sum()))  # 1, but for rounding

        report = check_gradients(func, lambda z: size * rng.normal(size=6), z, nondet_tol=1e-15)
        assert report.verdict != "disagree"
        assert math.isinf(report.resolution)


class WarmStart:
    """J of the solution of u³ + u + B u = θ, from where the last solution was."""

    def __init__(self, seed: int, tol: float) -> None:
        rng = np.random.default_rng(seed)
        self.theta = rng.uniform(0.3, 1.5, 5)
        self.B, self.u, self.tol = 0.15 * rng.normal(size=(5, 5)), np.ones(5), tol

    def matrix(self) -> Array:
        return np.diag(3 * self.u**2 + 1) + self.B

    def solve(self, theta: Array) -> Array:
        while np.abs(off := self.u**3 + self.u + self.B @ self.u - theta).max() > self.tol:
            self.u = self.u - 0.8 * np.linalg.solve(self.matrix(), off)
        return self.u

    def func(self, theta: Array) -> float:
        return float(np.sum(self.solve(theta) ** 2))

    def grad(self, theta: Array) -> Array:
        u = self.solve(theta)
        return np.linalg.solve(self.matrix().T, 2 * u)


class TestMemory:
    """A func that goes on from where it was."""

    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize("tol", [3e-4, 1e-6])
    def test_it_is_named(self, seed: int, tol: float) -> None:
        """By J at the parameters before, and after other points."""
        one = WarmStart(seed, tol)
        report = check_gradients(one.func, one.grad, one.theta)
        assert report.verdict == "inconclusive"
        assert "evaluated before (a warm start, a cache)" in report.message()

    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize("tol", [1e-9, 1e-12])
    def test_little_of_it_is_noise(self, seed: int, tol: float) -> None:
        """What J comes back to but for its last digits is checked."""
        one = WarmStart(seed, tol)
        assert check_gradients(one.func, one.grad, one.theta).verdict == "agree"
        wrong = check_gradients(one.func, lambda t: 1.05 * one.grad(t), one.theta)
        # Three steps converge on a value only where what is remembered is far below the error.
        assert wrong.verdict in (["disagree"] if tol < 1e-9 else ["disagree", "inconclusive"])

    def test_it_is_named_by_the_output_of_a_jacobian(self) -> None:
        """Where not all agrees."""
        one = WarmStart(1, 3e-4)

        def jac(theta: Array) -> Array:
            one.solve(theta)
            return np.linalg.inv(one.matrix())

        report = check_jacobian(lambda t: one.solve(t).copy(), jac, one.theta)
        assert report.verdict == "inconclusive"
        assert ": output[" in report.message()
        assert "after other points" in report.message()

    def test_it_is_named_among_many_parameters(self) -> None:
        """Along directions, too."""
        theta, last = np.linspace(1, 2, 6000), [0.0]

        def func(x: Array) -> float:
            last[0] += 0.4 * (float(np.sum(np.sin(x))) - last[0])
            return last[0]

        for _ in range(80):
            func(theta)
        report = check_gradients(func, np.cos, theta)
        assert report.verdict == "inconclusive"
        assert "evaluated before" in report.message()

    def test_values_that_differ_much_are_refused(self) -> None:
        """As those of dropout."""
        rng = np.random.default_rng(3)
        report = check_gradients(
            lambda x: float(x @ x) * (1 + 1e-6 * rng.normal()), lambda x: 2 * x, np.ones(3)
        )
        assert (report.verdict, report.evaluations) == ("inconclusive", 2)
        assert "does not repeat itself" in report.message()

    def test_another_evaluation_at_the_parameters_is_all_it_costs(self) -> None:
        """And none for a given step, of which their number is promised, where all agrees."""
        seen: list[bytes] = []

        def func(x: Array) -> float:
            seen.append(x.tobytes())
            return float(np.sum(np.exp(x)))

        x = np.array([0.1, 0.2, 0.3])
        check_gradients(func, np.exp, x)
        assert seen.count(x.tobytes()) == 3
        assert seen[-1] == x.tobytes()
        del seen[:]
        check_gradients(func, np.exp, x, eps=1e-5)
        assert len(seen) == 2 * 3 + 2


class TestComplexStep:
    """What has no imaginary part at x + ih is not seen by it, and it is not believed then."""

    @pytest.mark.parametrize("part", [1.0, 1e-2, 1e-4])
    @pytest.mark.parametrize(
        ("term", "slope"),
        [
            (lambda x: (x * np.conj(x)).sum(), lambda x: 2 * x),
            (lambda x: np.vdot(np.sin(x), x), lambda x: np.sin(x) + x * np.cos(x)),
            (lambda x: np.exp(x).real.sum(), np.exp),
            (lambda x: (abs(x) ** 3).sum(), lambda x: 3 * x * abs(x)),
        ],
    )
    def test_func_that_is_not_analytic_is_named(self, part: float, term: Any, slope: Any) -> None:
        """Whatever the gradient is."""
        x = np.array([0.4, -1.3, 0.8, 2.2])

        def func(x: Array) -> Any:
            return np.cos(2 * x).sum() + part * term(x)

        for grad in (
            lambda x: -2 * np.sin(2 * x),
            lambda x: -2 * np.sin(2 * x) + part * slope(x),
        ):
            report = check_gradients(func, grad, x, scheme="complex")
            assert report.verdict == "inconclusive"
            assert "not analytic" in report.message()
            assert 'scheme="central"' in report.message()
        assert check_gradients(func, grad, x).verdict == "agree"

    @pytest.mark.parametrize("seed", range(12))
    def test_what_two_steps_miss_alike_is_named_though_it_is_little(self, seed: int) -> None:
        """A millionth of the slope, beside terms that hardly bend."""
        x = 1e-3 * np.random.default_rng(seed).normal(size=3)

        def func(x: Array) -> Any:
            return np.sum(np.real(x) ** 3) + np.sum(x)

        for grad in (lambda x: 3 * x**2 + 1, np.ones_like):
            report = check_gradients(func, grad, x, scheme="complex")
            assert report.verdict == "inconclusive"
            assert "not analytic" in report.message()

    def test_a_saturated_unit_has_a_gradient_of_zero(self) -> None:
        """Beside one of 1e-43, which the complex step knows and no float64 sum of terms shows."""
        x = np.array([50.0, -300.0, 0.4])

        def grad(x: Array) -> Array:
            return 2 * np.tanh(x) * (1 - np.tanh(x) ** 2)

        def func(x: Array) -> Any:
            return np.sum(np.tanh(x) ** 2)

        assert grad(x)[0] == 0
        assert check_gradients(func, grad, x, scheme="complex").verdict == "agree"
        wrong = check_gradients(func, lambda x: 0 * x, x, scheme="complex")
        assert wrong.wrong == 1

    @pytest.mark.parametrize("seed", range(20))
    def test_func_that_is_analytic_is_believed(self, seed: int) -> None:
        """At two evaluations more than it takes."""
        rng = np.random.default_rng(seed)
        A, x = rng.normal(size=(6, 6)), 10.0 ** rng.uniform(-3, 2) * rng.normal(size=6)

        def func(x: Array) -> Any:
            return np.sum(np.tanh(A @ x)) + 1e3 * np.prod(np.cos(x)) + 1e6

        def grad(x: Array) -> Array:
            return A.T @ (1 - np.tanh(A @ x) ** 2) - 1e3 * np.prod(np.cos(x)) * np.tan(x)

        report = check_gradients(func, grad, x, scheme="complex", rtol=1e-8)
        assert (report.verdict, report.evaluations) == ("agree", 2 + 6 + 2)
        wrong = check_gradients(func, lambda x: 1.001 * grad(x), x, scheme="complex")
        assert wrong.verdict == "disagree"

    def test_stationary_point(self) -> None:
        """The complex step alone would see nothing that answers."""
        x = np.array([1.0, 2.0])
        report = check_gradients(
            lambda x: ((x - [1, 2]) ** 2).sum(), lambda x: 0 * x, x, scheme="complex"
        )
        assert (report.verdict, report.ok) == ("agree", True)


def pools(z: Array) -> float:
    """Three max pools of 4."""
    return float(z[:4].max() + 2 * z[4:8].max() - 0.5 * z[8:].max() + 0.1 * np.sum(np.sin(z)))


def pools_grad(z: Array, share: Any) -> Array:
    """`share` makes weights of which entries of a pool are largest."""
    parts = [
        w * share(one == one.max()) for w, one in zip((1, 2, -0.5), z.reshape(3, 4), strict=True)
    ]
    return np.concatenate(parts) + 0.1 * np.cos(z)


def first(top: Array) -> Array:
    """The first index alone."""
    return np.arange(top.size) == np.argmax(top)


class TestTies:
    """Several entries at one kink."""

    @pytest.mark.parametrize("count", [2, 3, 5])
    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_tie_of_one_maximum(self, count: int, sign: float) -> None:
        """The share and the first index agree, and all of it does not."""
        z = np.full(count + 1, 0.7)
        z[-1] = -0.2

        def check(g: Array) -> str:
            return str(check_gradients(lambda z: sign * z.max() * 3, 3 * sign * g, z).verdict)

        top = (z == z.max()) * 1.0
        assert check(top) == "disagree"
        assert check(top / count) == "agree"
        assert check(first(top) * 1.0) == "agree"
        assert check(0 * top) == "disagree"

    @pytest.mark.parametrize("shares", [(0.9, 0.4), (0.6, 0.0), (0.5, 0.4), (0.8, 0.6)])
    def test_shares_of_a_tie_that_do_not_add_up_to_one(self, shares: tuple[float, float]) -> None:
        """Where one rises as the other falls they look right, and where both rise they don't."""
        z, g = np.ones(2), np.array(shares)
        assert check_gradients(np.max, g, z).verdict == "disagree"
        assert check_gradients(np.max, g / g.sum(), z).verdict == "agree"

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_a_sum_that_is_zero_has_one_share_for_all(self, sign: float) -> None:
        """relu(x ± y) at zero: what is right by itself need not be so together."""
        a = np.array([1.0, sign])
        for shares, verdict in (((0.6, 0.6), "agree"), ((0.8, 0.6), "disagree")):
            g = a * shares
            report = check_gradients(lambda z: max(float(a @ z), 0.0), g, np.array([1.0, -sign]))
            assert report.verdict == verdict

    def test_ties_among_many_pools(self) -> None:
        """The pool that is wrong is found."""
        z = np.array([0.4, 0.4, 0.1, -1, 2, 2, 2, 0.5, 0.3, -0.3, 0.3, 0.0])
        for share in (lambda top: top / top.sum(), first):
            assert check_gradients(pools, lambda z, share=share: pools_grad(z, share), z).ok
        right = pools_grad(z, first)
        wrong = pools_grad(z, lambda top: top * 1.0)
        report = check_gradients(pools, wrong, z)
        assert report.verdict == "disagree"
        assert "no subgradient together" in report.message()
        for pool in (slice(0, 4), slice(4, 8), slice(8, 12)):
            mixed = right.copy()
            mixed[pool] = wrong[pool]
            report = check_gradients(pools, mixed, z)
            named = {entry.index[0] for entry in report.worst if entry.verdict == "disagree"}
            assert named
            assert named <= set(range(12)[pool])

    def test_kinks_of_sums_and_differences(self) -> None:
        """Of the subgradients of |a·x| all are parts of a."""
        a, x = np.array([3.0, -0.5]), np.array([0.25, 1.5])
        for g, verdict in (
            (a, "agree"),
            (0.3 * a, "agree"),
            (-a, "agree"),
            (a * [1, -1], "disagree"),
            (a * [0.5, -0.5], "disagree"),
        ):
            assert check_gradients(lambda x: abs(a @ x), g, x).verdict == verdict

    def test_separate_kinks_are_told_nothing_of(self) -> None:
        """Any value between its own slopes is right for each."""
        x = np.zeros(40)
        rng = np.random.default_rng(5)
        g = rng.uniform(-1, 1, size=40)

        def func(x: Array) -> float:
            return float(np.abs(x).sum())

        assert check_gradients(func, g, x).verdict == "agree"
        g[7] = 1.2
        assert check_gradients(func, g, x).wrong == 1


class TestManyBlocks:
    """A parameter each, as the layers of a large network."""

    @staticmethod
    def report(count: int, change: Any, **options: Any) -> Any:
        """Check a sum over blocks of size 1."""
        rng = np.random.default_rng(11)
        c, at = rng.normal(size=count), rng.normal(size=count)
        params = {f"p{i}": at[i : i + 1] for i in range(count)}

        def vector(p: Any) -> Array:
            return np.concatenate(list(p.values()))

        def grad(p: Any) -> Any:
            g = change(c * np.cos(vector(p)))
            return dict(zip(p, g[:, None], strict=True))

        return check_gradients(lambda p: float(c @ np.sin(vector(p))), grad, params, **options)

    def test_what_is_right_and_what_is_wrong_among_thousands(self) -> None:
        """Nothing is looked for in a list of all blocks, which would take minutes."""
        report = self.report(3000, lambda g: g)
        assert report.verdict == "agree"
        assert report.evaluations < 40

        def wrong(g: Array) -> Array:
            g[[5, 1177]] *= 1.5
            return g

        report = self.report(1500, wrong, max_evals=500)
        assert {entry.block for entry in report.worst} == {"p5", "p1177"}
        report = self.report(
            1500, lambda g: np.where(np.arange(1500) % 2, np.nan, g), max_evals=300
        )
        assert (report.verdict, report.wrong) == ("disagree", 750)

    def test_many_wrong_ones_end_with_the_evaluations_allowed(self) -> None:
        """Each block had directions of its own, however many there were."""
        report = self.report(600, lambda g: g * np.where(np.arange(600) % 3, 1, 1.7), max_evals=400)
        assert report.verdict == "disagree"
        assert report.evaluations <= 400


@pytest.mark.parametrize("atol", [1e-6, 3e-4])
def test_errors_of_atol_add_up_along_directions(atol: float) -> None:
    """As those of an adjoint that is solved to an absolute error."""
    rng = np.random.default_rng(3)
    c, at = rng.normal(size=900), rng.normal(size=900)

    def report(off: Array, **options: Any) -> Any:
        return check_gradients(
            lambda x: float(c @ np.sin(x)), c * np.cos(at) + off, at, max_evals=400, **options
        )

    everywhere = atol * rng.choice([-1.0, 1.0], size=900)
    passed = report(everywhere, atol=atol)
    assert passed.verdict == "agree"
    assert passed.resolution > atol
    assert report(everywhere).verdict == "disagree"
    one = np.where(np.arange(900) == 321, 600 * atol, 0)
    assert [entry.index for entry in report(one, atol=atol).worst] == [(321,)]


# Error bars of wrong entries


@pytest.mark.parametrize("seed", range(100, 116))
def test_wrong_entries_have_the_error_bars_of_right_ones(seed):
    """Steps that only ask whether J moves at all widen no error bar, and make no block coarse."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(30, 5)), np.eye(4)[rng.integers(0, 4, 30)]
    params = {"W": rng.normal(size=(5, 4)), "b": rng.normal(size=4)}

    def shares(p):
        z = X @ p["W"] + p["b"]
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def cost(p):
        return -np.mean(np.log(np.sum(shares(p) * y, axis=1)))

    def grad(p):
        d = shares(p) - y  # without 1/30
        return {"W": X.T @ d, "b": d.sum(axis=0)}

    report = check_gradients(cost, grad, params, rtol=1e-6, max_report=None)
    assert report.wrong == 24
    assert max(block.resolution for block in report.blocks) < 1.1e-6
    for entry in report.worst:
        assert abs(entry.numeric - entry.analytic / 30) <= entry.error_bar < 1e-7
