"""J and gradients that are rounded elsewhere than at their last bit: right ones are not accused.

What can't be told may be inconclusive; a gradient that is wrong by much is caught all the same.
"""

import zlib
from functools import partial

import numpy as np
import pytest
from amounts import first_quick, long

from pytest_gradcheck import (
    check_gradients,
    check_jacobian,
    check_vjp,
    numerical_gradient,
    numerical_gradient_with_error,
    pulled_back,
)


def verdicts(cases):
    return [check_gradients(func, grad, at).verdict for func, grad, at in cases]


def offsets_in_float32(seed, wrong=0.0, n=40):
    """Offsets in float32 that grad adds to positions in float32, and then goes on in float64."""
    places, weights = np.arange(n, dtype=np.float32), np.cos(np.arange(float(n)))

    def grad(x):
        return -weights * np.sin(places + x) * (1 + wrong * (np.arange(n) == seed))

    theta = np.random.default_rng(seed).normal(size=n).astype(np.float32)
    return lambda x: np.sum(weights * np.cos(places + x)), grad, theta


def test_small_offsets_are_rounded_as_what_they_are_added_to():
    assert verdicts(map(offsets_in_float32, range(20))).count("agree") == 20
    wrong = verdicts(offsets_in_float32(seed, wrong=1e-4) for seed in range(10))
    assert wrong.count("disagree") == 10


def terms_in_float32(seed, factor=1.0, n=40):
    rng = np.random.default_rng([5, seed])
    x, y, w = rng.normal(size=(n, 3)), rng.normal(size=n), 0.5 * rng.normal(size=3)

    def cost(w):
        return float(np.mean((np.sin(x @ w) - y).astype(np.float32) ** 2, dtype=np.float64))

    def grad(w):
        return factor * 2 * x.T @ ((np.sin(x @ w) - y) * np.cos(x @ w)) / n

    return cost, grad, w


def test_terms_in_float32_and_their_mean_in_float64():
    assert "disagree" not in verdicts(map(terms_in_float32, range(25)))
    wrong = verdicts(terms_in_float32(seed, factor=1.5) for seed in range(10))
    assert wrong.count("disagree") >= 9
    assert "agree" not in wrong


def cast_on_the_way(seed, factor=1.0):
    """A normalisation in float32 inside; the parameters lie before it."""
    rng = np.random.default_rng([6, seed])
    x, w, v = rng.normal(size=(6, 4)), rng.normal(size=(4, 5)), rng.normal(size=5)

    def cost(w):
        h = (x @ w).astype(np.float32)
        unit = h / np.sqrt(np.mean(h * h, axis=1, keepdims=True))
        return float(np.mean(np.tanh(unit.astype(np.float64) @ v)))

    def grad(w):
        h = x @ w
        size = np.sqrt(np.mean(h * h, axis=1, keepdims=True))
        unit = h / size
        d = np.outer(1 - np.tanh(unit @ v) ** 2, v) / len(x)
        return factor * x.T @ ((d - unit * np.mean(d * unit, axis=1, keepdims=True)) / size)

    return cost, grad, w


def test_a_func_that_rounds_to_float32_on_the_way():
    right = verdicts(map(cast_on_the_way, range(12)))
    assert right.count("disagree") <= 1
    wrong = verdicts(cast_on_the_way(seed, factor=-1.0) for seed in range(8))
    assert wrong.count("disagree") >= 7
    assert "agree" not in wrong


@pytest.mark.parametrize("offset", [3e11, 2e12, 5e13])
def test_a_large_constant_in_J(offset):
    rng = np.random.default_rng(8)
    cases = [
        (lambda x: float(np.sum(x**2) + offset), lambda x: 2 * x, rng.normal(size=4))
        for _ in range(20)
    ]
    assert "disagree" not in verdicts(cases)


@pytest.mark.parametrize("seeds", [range(4), long(range(4, 12))])
@pytest.mark.parametrize("condition", [1e7, 1e9, 1e11])
def test_the_log_of_a_determinant_of_an_ill_conditioned_matrix(condition, seeds):
    cases = []
    for seed in seeds:
        q, _ = np.linalg.qr(np.random.default_rng([9, seed]).normal(size=(4, 4)))
        cases.append(
            (
                lambda a: np.linalg.slogdet(a)[1],
                lambda a: np.linalg.inv(a).T,
                q @ np.diag(np.geomspace(1, 1 / condition, 4)) @ q.T,
            )
        )
    assert "disagree" not in verdicts(cases)
    func, grad, at = cases[0]
    assert check_gradients(func, lambda a: 2 * grad(a), at).verdict != "agree"


@pytest.mark.parametrize("decimals", [1, 2, 3, 5])
def test_J_rounded_to_decimals(decimals):
    cases = []
    for seed in range(12):
        rng = np.random.default_rng([10, seed])
        c, w = rng.normal(size=3), rng.normal(size=3)
        cases.append((lambda w, c=c: round(float(c @ w), decimals), lambda w, c=c: c, w))
    assert "disagree" not in verdicts(cases)


def printed_losses(seed):
    """Yield losses of a network, of charges and of a regression, with their gradients."""
    rng = np.random.default_rng([33, seed])
    X, y, i, j = rng.normal(size=(20, 4)), rng.normal(size=20), *np.triu_indices(6, 1)

    def network(p):
        return np.mean((np.tanh(X @ p[:12].reshape(4, 3)) @ p[12:] - y) ** 2)

    def network_gradient(p):
        h = np.tanh(X @ p[:12].reshape(4, 3))
        off = (h @ p[12:] - y) / 10
        inner = off[:, None] * p[12:] * (1 - h * h)
        return np.concatenate([(X.T @ inner).ravel(), h.T @ off])

    def charges(p):
        apart = np.linalg.norm(p.reshape(6, 3)[i] - p.reshape(6, 3)[j], axis=1)
        return np.sum(1 / apart) + 0.5 * p @ p

    def forces(p):
        gaps = p.reshape(6, 3)[i] - p.reshape(6, 3)[j]
        pulls = -gaps / np.linalg.norm(gaps, axis=1)[:, None] ** 3
        found = p.reshape(6, 3).copy()
        np.add.at(found, i, pulls)
        np.add.at(found, j, -pulls)
        return found.ravel()

    yield network, network_gradient, rng.normal(size=15)
    yield charges, forces, rng.normal(size=18)
    yield (
        (lambda p: np.sum((X @ p - y) ** 2)),
        (lambda p: 2 * X.T @ (X @ p - y)),
        3 * rng.normal(size=4),
    )


@pytest.mark.parametrize("digits", [2, 3, 4, 5, 7])
def test_J_that_is_printed_with_some_digits(digits):
    """Its last digit is a larger one where J is larger, and beyond a parameter's scale."""
    right, wrong = [], []
    for seed in range(4):
        for func, grad, params in printed_losses(seed):

            def shown(p, func=func):
                return float(f"{func(p):.{digits}g}")

            right.append(check_gradients(shown, grad, params).verdict)
            wrong.append(check_gradients(shown, lambda p, grad=grad: -grad(p), params).verdict)
    assert "disagree" not in right
    assert "agree" not in wrong
    if digits > 3:
        assert right.count("agree") >= 9
        assert wrong.count("disagree") == 12
    else:
        assert wrong.count("disagree") >= (digits - 2) * 8


def test_J_that_is_rounded_to_zero():
    """Of which nothing is a multiple: how far it may stand still its size doesn't tell."""
    c = np.array([0.4, -0.7, 0.2])
    for scale in (0.1, 0.3, 0.6):
        report = check_gradients(lambda w: float(np.round(c @ w)), lambda w: c, scale * np.ones(3))
        assert (report.value, report.verdict) == (0.0, "inconclusive")


def test_a_cost_that_is_zero_for_every_sample_has_no_gradient():
    """Where no margin is violated, however far the next one is that could be."""
    X, y = np.array([[1.0, 2.0], [-2.0, 0.5], [1.5, 1.0]]), np.array([1.0, -1.0, 1.0])
    for far in (3.0, 10.0, 30.0):
        report = check_gradients(
            lambda w: float(np.sum(np.maximum(0.0, 1 - y * (X @ w)))),
            lambda w: -(y @ X),
            far * np.array([1.0, 0.5]),
        )
        assert report.verdict == "disagree"


def test_a_step_function_of_any_height_is_said_to_be_rounded():
    report = check_gradients(
        lambda x: float(np.floor(7 * x[0]) + 3), lambda x: np.full(1, 7.0), np.array([0.4])
    )
    assert report.verdict == "inconclusive"
    assert "rounded, and moves in jumps" in report.message()


def test_an_offset_before_a_softmax_and_a_gradient_that_can_not_be_asked_elsewhere():
    """Its rounding is that of terms as large as J, however large the parameter is."""
    right = []
    for seed in range(20):
        rng = np.random.default_rng([12, seed])
        z, y = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
        params = {"z": z, "c": 10.0 ** rng.uniform(1, 4) * rng.normal(size=(4, 1))}

        def chances(p):
            e = np.exp(p["z"] + p["c"] - (p["z"] + p["c"]).max(1, keepdims=True))
            return e / e.sum(1, keepdims=True)

        s = chances(params)
        slopes = s * (y - (s * y).sum(1, keepdims=True))
        found = {"z": slopes, "c": slopes.sum(1, keepdims=True)}
        right.append(check_gradients(lambda p, y=y: np.sum(chances(p) * y), found, params).verdict)
        found["c"][0] += 1e-3
        wrong = check_gradients(lambda p, y=y: np.sum(chances(p) * y), found, params)
        assert wrong.verdict == "disagree"
    assert right == ["agree"] * 20


@pytest.mark.parametrize("offset", [1e2, 1e3, 1e4])
def test_an_offset_before_a_softmax(offset):
    """Its gradient is a sum of terms that cancel, as large as ever however large the offset is."""
    for seed in range(8):
        rng = np.random.default_rng([11, seed])
        x, y = rng.normal(size=(15, 2)), np.eye(4)[rng.integers(0, 4, 15)]
        params = {"W": rng.normal(size=(2, 4)), "offset": offset}

        def chances(p, x=x):
            z = x @ p["W"] + p["offset"]
            e = np.exp(z - z.max(1, keepdims=True))
            return e / e.sum(1, keepdims=True)

        def cost(p, y=y, chances=chances):
            return -np.mean(np.log(np.sum(chances(p) * y, 1)))

        def grad(p, x=x, y=y, chances=chances):
            off = (chances(p) - y) / len(x)
            return {"W": x.T @ off, "offset": np.sum(off)}

        def wrong(p, grad=grad):
            return {**grad(p), "offset": 1e-3}

        assert check_gradients(cost, grad, params).verdict != "disagree"
        assert check_gradients(cost, wrong, params).verdict != "agree"


def test_an_entry_that_is_nothing_beside_the_others_does_not_jump():
    """J of 1e14 stands still, and at a step of θ's own size it is steep: that is no grain."""
    for seed in range(40):
        x = np.random.default_rng(seed).normal(size=4)
        right = check_gradients(lambda x: np.sum(np.exp(50 * x)), lambda x: 50 * np.exp(50 * x), x)
        assert right.verdict == "agree"
    wrong = check_gradients(lambda x: np.sum(np.exp(50 * x)), lambda x: 50.01 * np.exp(50 * x), x)
    assert wrong.verdict == "disagree"


def test_a_few_multiples_of_a_fine_grid_are_left_of_terms_that_cancel():
    """J = 11 · 2⁻⁴⁷, which is what logsumexp leaves of 50 - 50."""
    for seed in range(40):
        z = 30 * np.random.default_rng(seed).normal(size=5)

        def cost(z):
            return z.max() + np.log(np.sum(np.exp(z - z.max()))) - z[2]

        def grad(z):
            e = np.exp(z - z.max())
            return e / e.sum() - np.eye(5)[2]

        report = check_gradients(cost, grad, z)
        assert report.verdict == "agree"
        assert not report.remarks


@pytest.mark.parametrize("seed", range(12))
def test_where_a_fit_has_ended(seed):
    """What is left of the gradient, 1e-9 of its terms, can't be told from half of it."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)

    def cost(w):
        return np.sum(np.logaddexp(0, x @ w) - y * (x @ w))

    def grad(w):
        return x.T @ (1 / (1 + np.exp(-x @ w)) - y)

    w = np.zeros(3)
    for _ in range(12):
        p = 1 / (1 + np.exp(-x @ w))
        w = w - np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, grad(w))
    near = w + 3e-11 * rng.normal(size=3)
    assert check_gradients(cost, grad, near).verdict == "agree"
    off = check_gradients(cost, lambda w: grad(w) + 1e-7, near)
    assert off.verdict == "disagree"
    # A constant that hides it as well is no curvature.
    hidden = check_gradients(lambda w: 1e14 + cost(w + 1), lambda w: grad(w + 1), near)
    assert hidden.verdict != "disagree"
    assert check_gradients(cost, grad, near, rtol=1e-5).verdict == "inconclusive"


def exact_fit(seed, dtype, error=0.0):
    """J and gradient are 0 at a float32 θ, to the last bit, and not where they are in float64."""
    rng = np.random.default_rng([9, seed])
    x = rng.normal(size=(14, 4)).astype(dtype)
    p = {"w": rng.normal(size=(4, 3)).astype(dtype), "b": np.zeros(3, dtype)}

    def out(p):
        return np.tanh(x @ p["w"] + p["b"])

    y = out(p)

    def cost(p):
        return np.mean((out(p) - y) ** 2)

    def grad(p):
        h = out(p)
        d = 2 * (h - y) * (1 - h**2) / dtype(y.size)
        return {"w": x.T @ d + dtype(error), "b": d.sum(axis=0)}

    return cost, grad, p


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_perfect_fit(dtype):
    assert verdicts(exact_fit(seed, dtype) for seed in range(8)) == ["agree"] * 8
    for error in (1e-1, 1e-3):
        wrong = verdicts(exact_fit(seed, dtype, error) for seed in range(4))
        assert wrong == ["disagree"] * 4


def before_a_normalisation(seed, size, factor=1.0):
    rng = np.random.default_rng([11, seed])
    x, t = rng.normal(size=(18, 3)), rng.normal(size=(18, 4))
    p = {"w": rng.normal(size=(3, 4)), "b": size * rng.uniform(0.5, 2, size=4)}

    def normal(p):
        z = x @ p["w"] + p["b"]
        z = z - z.mean(axis=0)
        spread = np.sqrt((z * z).mean(axis=0) + 1e-5)
        return z / spread, spread

    def cost(p):
        return np.mean((np.sin(normal(p)[0]) - t) ** 2)

    def grad(p):
        n, spread = normal(p)
        d = 2 * (np.sin(n) - t) * np.cos(n) / t.size
        d = (d - d.mean(axis=0) - n * (d * n).mean(axis=0)) / spread
        return {"w": factor * x.T @ d, "b": d.sum(axis=0)}

    return cost, grad, p


def test_a_gradient_that_rounding_moves_by_as_much_as_it_is_off_is_left_open():
    cases = [before_a_normalisation(seed, 1e10) for seed in range(8)]
    reports = [check_gradients(*case) for case in cases]
    assert {report.verdict for report in reports} == {"agree", "inconclusive"}
    said = [report.message() for report in reports if report.verdict == "inconclusive"]
    assert all("rounding moves the gradient itself by as much" in text for text in said)
    wrong = verdicts(before_a_normalisation(seed, 1e10, 1.1) for seed in range(4))
    assert wrong == ["disagree"] * 4


def straight_through(seed, levels):
    rng = np.random.default_rng([13, seed])
    x, y = rng.normal(size=(15, 4)), rng.normal(size=(15, 3))

    def rounded(w):
        return np.round(w * levels) / levels

    return (
        lambda w: np.mean((x @ rounded(w) - y) ** 2),
        lambda w: 2 * x.T @ (x @ rounded(w) - y) / y.size,
        rng.normal(size=(4, 3)),
    )


@pytest.mark.parametrize("levels", [4, 8])
def test_a_straight_through_estimator_is_not_accused_by_slopes_across_stairs(levels):
    reports = [check_gradients(*straight_through(seed, levels)) for seed in range(10)]
    assert {report.verdict for report in reports} == {"inconclusive"}
    assert all("func is rounded, and moves in jumps here" in str(r.reasons) for r in reports)


def test_what_a_clip_cuts_off_is_wrong_however_far_a_step_goes():
    for seed in range(6):
        w = np.random.default_rng([17, seed]).normal(size=(5, 4))
        report = check_gradients(lambda w: np.sum(np.clip(w, -0.4, 0.4)), np.ones_like, w)
        assert (report.wrong, report.open) == (np.count_nonzero(np.abs(w) > 0.4), 0)
        assert any("numeric is zero, analytic is not" in d.sentence for d in report.diagnoses)


@pytest.mark.parametrize(
    "size", first_quick([1e-10, 1e-38, 5e-324, 1e-12, 1e-16, 1e-22, 1e-300], 3)
)
def test_a_parameter_that_is_zero_to_func(size):
    """Its own size is no scale: func stands still there, as it does at any part of it."""
    for func, slope in ((np.exp, np.exp), (lambda x: 5 + 3 * x, lambda x: 3 + 0 * x)):
        for at in (size, np.array([size, -3 * size])):

            def cost(x, func=func):
                return np.sum(func(x))

            right = check_gradients(cost, slope, at)
            assert (right.verdict, right.reasons) == ("agree", ())
            for factor in (1.001, -1.0, 3.0):
                wrong = check_gradients(cost, lambda x, s=slope, k=factor: k * s(x), at)
                assert wrong.verdict == "disagree"


@pytest.mark.parametrize("unit", [1e-30, 1e-200])
def test_a_parameter_in_a_tiny_unit_keeps_its_scale(unit):
    x = unit * np.array([0.3, -1.2])
    right = check_gradients(
        lambda x: np.sum(np.sin(x / unit)), lambda x: np.cos(x / unit) / unit, x
    )
    assert right.verdict == "agree"
    assert right.resolution < 1e-6


def test_a_confident_loss_is_no_float32_and_does_not_jump():
    """Logsumexp(z) - z[0] is a small difference of large terms, and lies on their grid."""
    rng, open_, double = np.random.default_rng(12), 0, 0
    for _ in range(60):
        z = 9 * rng.normal(size=rng.integers(2, 6))

        def cost(z):
            top = z.max()
            return float(top + np.log(np.sum(np.exp(z - top))) - z[0])

        def grad(z):
            e = np.exp(z - z.max())
            return e / e.sum() - np.eye(z.size)[0]

        report = check_gradients(cost, grad, z)
        assert report.verdict != "disagree"
        double += report.precision == "float64"
        assert "jumps" not in report.message()
        open_ += report.verdict == "inconclusive"
    assert open_ <= 12
    # Where the grid leaves just the bits of a float32, the two look alike.
    assert double >= 50


@pytest.mark.parametrize("unit", [1e-309, 1e-314, 1e-321])
def test_below_the_smallest_normal_number_a_wrong_gradient_does_not_agree(unit):
    x = np.array([0.7, -0.3])
    report = check_gradients(
        lambda x: float(unit * np.sum(np.sin(x))), lambda x: 3 * unit * np.cos(x), x
    )
    assert report.verdict != "agree"


@pytest.mark.parametrize("left", [0.0, 1e-19, 1e-17, 3e-16, 1.0])
def test_a_func_that_vanishes_but_for_rounding_is_differenced_as_well_as_any(left):
    x = np.array([0.3, -0.2])

    def func(y):
        return float(np.sin(2 * (y[0] - x[0])) + np.expm1(y[1] - x[1])) + left

    np.testing.assert_allclose(numerical_gradient(func, x), [2.0, 1.0], rtol=1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_a_riemannian_gradient_on_a_sphere(seed):
    """It is orthogonal to the point: what `pulled_back` differences vanishes but for rounding."""
    rng = np.random.default_rng([13, seed])
    m, x = rng.normal(size=(5, 5)), rng.normal(size=5)
    x /= np.linalg.norm(x)
    tangent = np.linalg.svd(x[None])[2][1:].T

    def retract(x, s):
        y = x + tangent @ s
        return y / np.linalg.norm(y)

    def grad(x):
        g = (m + m.T) @ x
        return g - (g @ x) * x

    made = pulled_back(lambda x: float(x @ m @ x), grad, x, retract=retract, tangent=np.zeros(4))
    assert check_gradients(*made).verdict == "agree"


@pytest.mark.parametrize("seed", [2**64 - 1, 2**64, 2**200])
def test_any_seed_may_be_given_for_a_gradient_that_is_wrong(seed):
    x = np.array([1.0, 2.0])
    report = check_gradients(lambda x: np.sum(x**3), lambda x: 3.1 * x**2, x, seed=seed)
    assert report.verdict == "disagree"


def loud_along_one(seed, error=0.0, together=False, n=7):
    """J is rounded at 1e-7 along its first parameter, and smooth to the last digit along others."""
    rng = np.random.default_rng([13, seed])
    at, c, k = rng.normal(size=n), rng.normal(size=n), int(rng.integers(1, n))

    def func(p):
        return ((1e9 + np.sin(p[0])) - 1e9) + float(c[1:] @ np.cosh(p[1:]))

    def grad(p):
        slopes = np.append(np.cos(p[0]), c[1:] * np.sinh(p[1:]))
        return slopes * np.where(np.arange(n) == k, 1 + error, 1)

    if together:
        return func, grad, at
    return (
        lambda p: func(np.append(p["loud"], p["quiet"])),
        lambda p: dict(
            zip(
                ("loud", "quiet"),
                np.split(grad(np.append(p["loud"], p["quiet"])), [1]),
                strict=True,
            )
        ),
        {"loud": at[:1], "quiet": at[1:]},
    )


@pytest.mark.parametrize("together", [False, True])
def test_an_entry_beside_a_noisy_one_is_known_as_well_as_alone(together):
    seeds = range(8)
    assert verdicts(loud_along_one(seed, 0.0, together) for seed in seeds) == ["agree"] * 8
    assert verdicts(loud_along_one(seed, 2e-4, together) for seed in seeds) == ["disagree"] * 8


def test_of_many_entries_beside_a_noisy_one_those_not_asked_are_judged_together():
    assert verdicts([loud_along_one(1, n=90)]) == ["agree"]
    assert verdicts(loud_along_one(s, 2e-3, n=90) for s in range(4)) == ["disagree"] * 4
    assert check_gradients(*loud_along_one(1, n=90)).evaluations < 700


def normalised_sum(seed, dtype, wrong=0.0, axis=1):
    """The sum behind a normalisation is zero, and so is its gradient, but for rounding."""
    rng = np.random.default_rng([14, seed])
    x = rng.normal(size=(12, 4)).astype(dtype)
    k = int(rng.integers(x.size))

    def func(x):
        off = x - x.mean(axis, keepdims=True)
        return (off / np.sqrt(off.var(axis, keepdims=True) + dtype(1e-5))).sum()

    def grad(x):
        off = x - x.mean(axis, keepdims=True)
        size = np.sqrt(off.var(axis, keepdims=True) + dtype(1e-5))
        unit, one = off / size, np.ones_like(x)
        slope = one - one.mean(axis, keepdims=True)
        slope = (slope - unit * (unit * one).mean(axis, keepdims=True)) / size
        slope.flat[k] += dtype(wrong)
        return slope

    return func, grad, x


@pytest.mark.parametrize("seeds", [3, long(10)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_gradient_that_is_zero_but_for_rounding(dtype, axis, seeds):
    right = verdicts(normalised_sum(seed, dtype, axis=axis) for seed in range(seeds))
    assert right.count("agree") >= seeds - (dtype is np.float32)
    assert "disagree" not in right
    wrong = 1e-7 if dtype is np.float64 else 0.02
    found = verdicts(normalised_sum(seed, dtype, wrong, axis) for seed in range(seeds // 2))
    assert found == ["disagree"] * (seeds // 2)


def test_a_stationary_point_at_which_every_step_bends_as_much_to_both_sides():
    at = np.array([2.0, -0.5])
    for factor, verdict in ((2.0, "agree"), (2.1, "agree")):
        report = check_gradients(
            lambda x: float(np.sum((x - at) ** 2)), lambda x, f=factor: f * (x - at), at
        )
        assert report.verdict == verdict
    report = check_gradients(lambda x: float(np.sum((x - at) ** 2)), lambda x: x - at + 1e-4, at)
    assert report.verdict == "disagree"


def behind_and_before_a_cast(seed, block="", error=0.0):
    """`gain` lies behind a kernel in float32, and `w` before it."""
    rng = np.random.default_rng([15, seed])
    x, y = rng.normal(size=(7, 2)), rng.normal(size=7)

    def func(p):
        h = np.sin(x @ p["w"]).astype(np.float32).astype(np.float64)
        return float(np.mean((p["gain"] * h - y) ** 2))

    def grad(p):
        h, off = np.sin(x @ p["w"]), 2 * (p["gain"] * np.sin(x @ p["w"]) - y) / 7
        slopes = {"w": x.T @ (off * p["gain"] * np.cos(x @ p["w"])), "gain": off * h}
        if block:  # of one that is a hundredth of its block less is known
            slopes[block][np.argmax(np.abs(slopes[block]))] *= 1 + error
        return slopes

    return func, grad, {"w": rng.normal(size=2), "gain": rng.normal(size=7)}


def test_what_lies_behind_and_before_a_cast_on_the_way():
    right = [check_gradients(*behind_and_before_a_cast(seed)) for seed in range(20)]
    outcomes = [report.verdict for report in right]
    assert "disagree" not in outcomes
    assert outcomes.count("agree") >= 16
    said = [report for report in right if "rounds to float32 on the way to J" in report.message()]
    assert len(said) >= 7
    for block in ("w", "gain"):
        wrong = verdicts(behind_and_before_a_cast(seed, block, 5e-3) for seed in range(8))
        assert wrong == ["disagree"] * 8


@pytest.mark.parametrize("distance", [1e-9, 1e-7, 1e-5])
def test_a_hinge_is_not_said_to_round(distance):
    report = check_gradients(
        lambda x: float(np.maximum(0, x[0] - 0.6 - distance) + np.exp(x[1])),
        lambda x: np.array([1.0, 1.0001 * np.exp(x[1])]),
        np.array([0.6, 0.3]),
    )
    assert report.verdict == "disagree"
    assert "rounds to" not in report.message()


@pytest.mark.parametrize("part", [slice(0, 12), long(slice(12, 60))], ids=["some", "more"])
@pytest.mark.parametrize("width", [3e-8, 7e-10, 2e-10])
def test_a_fast_phase_is_no_kink(width, part):
    """Large steps see slopes to both sides that differ, now and then alike over three of them."""
    rng = np.random.default_rng(16)
    for at in rng.uniform(0.4, 2.5, size=60)[part]:
        slope = np.cos(at / width) / width
        right = check_gradients(lambda t: float(np.sin(t / width)), lambda t, g=slope: g, at)
        assert right.verdict != "disagree"
        assert not right.kinks
        wrong = check_gradients(lambda t: float(np.sin(t / width)), lambda t, g=slope: 1.2 * g, at)
        assert wrong.verdict == "disagree"


@pytest.mark.parametrize("gap", [3e-15, 2e-14, 5e-13, 4e-12, 6e-11, 3e-10, 2e-9, 4e-7])
def test_a_near_tie_agrees_with_the_slope_of_its_own_side(gap):
    for v in (0.31, 1.7, 2.9):
        at = np.array([v * (1 + gap), v, -0.2])

        def func(x):
            return max(x[0], x[1]) ** 2 + np.cos(x[2])

        def grad(x, factor=1.0):
            top = x[0] > x[1]
            return np.array([2 * x[0] * top * factor, 2 * x[1] * (not top), -np.sin(x[2])])

        assert check_gradients(func, grad, at).verdict == "agree"
        assert check_gradients(func, lambda x: grad(x, 1.02), at).verdict != "agree"


# A natural scale far below the parameter


def spike(width, at):
    def func(x):
        return float(np.exp(-(((x[1] - at) / width) ** 2)) + np.cos(x[0]))

    def grad(x):
        u = (x[1] - at) / width
        return np.array([-np.sin(x[0]), -2 * u * np.exp(-(u**2)) / width])

    return func, grad, np.array([0.7, at + 0.6 * width])


def cusp(distance, at):
    """√|x − c| is even about c: large steps on both sides of it see no slope at all."""

    def func(x):
        return float(np.sqrt(abs(x[1] - at)) + np.cos(x[0]))

    def grad(x):
        return np.array([-np.sin(x[0]), 0.5 * np.sign(x[1] - at) / np.sqrt(abs(x[1] - at))])

    return func, grad, np.array([0.7, at - distance])


def pole(distance, at):
    def func(x):
        return float(1 / (x[1] - at) + np.cos(x[0]))

    def grad(x):
        return np.array([-np.sin(x[0]), -1 / (x[1] - at) ** 2])

    return func, grad, np.array([0.7, at + distance])


@pytest.mark.parametrize("make", [spike, cusp, pole])
@pytest.mark.parametrize("scale", [2e-9, 3e-8, 4e-7, 5e-6])
def test_what_every_large_step_passes_over(make, scale):
    func, grad, x = make(scale, 3.0)
    assert check_gradients(func, grad, x).verdict == "agree"
    for wrong in (0.0, 0.5, 1.05):
        bad = grad(x) * np.array([1.0, wrong])
        assert check_gradients(func, bad, x).verdict != "agree"


@pytest.mark.parametrize("width", [2e-8, 1e-7, 3e-7])
def test_a_ripple_that_leaves_no_trace_in_large_steps(width):
    """Every step of the sweep agrees, to the last digit, with a gradient that leaves it out."""
    x = np.array([0.7, 1.3])

    def func(p, at=1.3):
        u = (p[1] - at) / width
        return float(np.sin(p).sum() + width * u * np.exp(-u * u))

    assert check_gradients(func, np.cos(x) + np.array([0.0, 1.0]), x).verdict == "agree"
    assert check_gradients(func, np.cos(x), x).verdict != "agree"


@pytest.mark.parametrize("width", [1e-9, 1e-10, 1e-11])
@pytest.mark.parametrize("part", [0.1, 1.0])
def test_a_ripple_that_looks_like_noise(width, part):
    """Its slope is seen at steps that noise of that size would make worthless."""

    def made(factor):
        def func(x):
            return float(x**2 + part * width * np.sin(x / width))

        for x in np.random.default_rng(1).uniform(0.5, 2, size=12):
            yield func, lambda x: factor * (2 * x + part * np.cos(x / width)), x

    # Where the ripple's own slope nearly vanishes there is next to nothing to be seen.
    assert verdicts(made(1.0)).count("disagree") <= 1
    assert "agree" not in verdicts(made(2.0))


@pytest.mark.parametrize("seed", [1, 2, 4])
def test_noise_that_values_on_one_side_do_not_show(seed):
    """Beside a constant of ten million eight equally spaced values may all round alike."""
    rng = np.random.default_rng(seed)
    others = ~np.eye(6, dtype=bool)
    _ = rng.normal(size=(6, 2))

    def distances(p):
        gaps = (p["x"] + p["t"])[:, None] - (p["x"] + p["t"])
        return gaps, (gaps**2).sum(-1) + np.eye(6)

    def cost(p):
        q = distances(p)[1]
        return float((1 / q + 0.1 * q)[others].sum())

    def grad(p):
        gaps, q = distances(p)
        pull = 4 * (((0.1 - 1 / q**2) * others)[:, :, None] * gaps).sum(1)
        return {"x": pull, "t": pull.sum(0)}

    params = {"x": rng.normal(size=(6, 2)), "t": 1e7 * rng.normal(size=2)}
    assert check_gradients(cost, grad, params).verdict != "disagree"


@pytest.mark.parametrize("seed", [4, 7])
def test_a_score_of_whole_numbers_that_one_parameter_never_moves(seed):
    """The jumps that others show are larger than all that its slope comes to."""
    rng = np.random.default_rng(seed)
    w, c = rng.normal(size=4), rng.normal(size=4)
    if seed == 4:
        report = check_gradients(lambda w: float(np.round(c @ w / 3)), lambda w: c / 3, w)
    else:
        report = check_gradients(
            lambda w: float(np.floor(np.exp(c @ w / 3))), lambda w: np.exp(c @ w / 3) * c / 3, w
        )
    assert report.verdict == "inconclusive"


@pytest.mark.parametrize("make", [spike, cusp, pole])
def test_the_numerical_gradient_is_that_of_what_lies_within_its_first_steps(make):
    func, grad, x = make(2e-7, 3.0)
    assert np.allclose(numerical_gradient(func, x), grad(x), rtol=1e-5)
    gradient, error = numerical_gradient_with_error(func, x)
    assert np.all(np.abs(gradient - grad(x)) <= error + 1e-9 * np.abs(grad(x)))


def test_a_slope_of_nothing_is_found_among_many_entries():
    width, which = 1e-7, 37
    x = np.linspace(1.0, 2.0, 60)
    center = x[which] + 0.4 * width

    def func(x):
        return float(np.sum(np.sin(x)) + np.tanh((x[which] - center) / width))

    right = np.cos(x)
    right[which] += 1 / np.cosh(0.4) ** 2 / width
    assert check_gradients(func, right, x).verdict == "agree"
    wrong = check_gradients(func, np.cos(x), x)
    assert wrong.verdict == "inconclusive"
    assert [entry.label for entry in wrong.worst if entry.verdict != "agree"] == ["params[37]"]


def test_smooth_gradients_take_no_more_evaluations_for_it():
    x = np.linspace(1.0, 2.0, 60)
    report = check_gradients(lambda x: float(np.sum(np.sin(x))), np.cos, x)
    assert report.verdict == "agree"
    assert report.evaluations <= 2 * x.size + 10


@pytest.mark.parametrize(("distance", "size"), [(7e-11, 100), (3e-9, 100), (1e-9, 400), (2e-8, 50)])
def test_a_cusp_beside_terms_that_are_loud(distance, size):
    """What looks like noise along x is the cusp, and small steps are worth more than it says."""

    def func(x):
        return float(np.sqrt(abs(x[1] - 1.5)) + size * np.cos(x[0]))

    def grad(x):
        return np.array([-size * np.sin(x[0]), -0.5 / np.sqrt(1.5 - x[1])])

    x = np.array([0.7, 1.5 - distance])
    assert check_gradients(func, grad, x).verdict == "agree"
    for wrong in (0.0, 0.9):
        assert check_gradients(func, grad(x) * np.array([1.0, wrong]), x).verdict != "agree"


@pytest.mark.parametrize("seed", [50, 51])
def test_the_log_of_a_determinant_of_a_matrix_that_is_all_but_singular(seed):
    """Beyond 1e-14 of an entry log|1 + g·h| is even, and all larger steps agree on no slope."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    matrix = q @ np.diag(np.geomspace(2.0, 3e-14, 5)) @ q.T
    report = check_gradients(
        lambda a: float(np.linalg.slogdet(a)[1]), lambda a: np.linalg.inv(a).T, matrix
    )
    assert report.verdict != "disagree"


@pytest.mark.parametrize("curvatures", [(1.5, -0.7), (0.4, 2.1), (-0.3, 1.1)])
def test_curvature_that_jumps_where_far_steps_see_huge_values(curvatures):
    """What floats make of a slope that only a step of twice the parameter sees is no noise here."""

    def offset(x):
        return np.where(x > [4.0, 6.0], curvatures[0], curvatures[1]) * (x - [4.0, 6.0]) ** 2

    x = np.array([4.0, 6.0])
    assert (
        check_gradients(lambda x: float(np.exp(offset(x)).sum()), np.zeros(2), x).verdict == "agree"
    )
    wrong = check_gradients(lambda x: float(np.exp(offset(x)).sum()), np.array([0.0, 1e-3]), x)
    assert wrong.verdict == "disagree"


@pytest.mark.parametrize("distance", [3e-4, 5e-4, 8e-4, 1e-3])
def test_the_noise_of_float32_beside_the_edge_of_a_domain(distance):
    """Values that tell the noise reach to the edge, and what they see is no noise."""
    p = np.array([1 - distance], dtype=np.float32)

    def func(p):
        with np.errstate(all="ignore"):
            return np.float32(-np.log(1 - p).sum())

    slope = 1 / (1 - p.astype(float))
    assert check_gradients(func, slope, p).verdict == "agree"
    assert check_gradients(func, 1.5 * slope, p).verdict == "disagree"


AT_AN_EDGE = {
    "arctanh": (np.arctanh, lambda x: 1 / (1 - x * x), 1.0),
    "arcsin": (np.arcsin, lambda x: 1 / np.sqrt(1 - x * x), -1.0),
    "root": (lambda x: np.sqrt(1 - x), lambda x: -0.5 / np.sqrt(1 - x), 1.0),
    "logit": (lambda x: np.log(x / (1 - x)), lambda x: 1 / x + 1 / (1 - x), 1.0),
}


@pytest.mark.parametrize("floats", [25, 90, 700])
@pytest.mark.parametrize("name", AT_AN_EDGE)
def test_float32_some_floats_from_the_edge_of_a_domain(name, floats):
    """Steps of a few floats show the slope; how well is measured among floats, not presumed."""
    func, slope, edge = AT_AN_EDGE[name]
    x = np.array([edge * (1 - floats * 2.0**-24), edge * 0.4], dtype=np.float32)

    def cost(x):
        with np.errstate(all="ignore"):
            return np.float32(np.sum(func(x)))

    right = slope(x.astype(float))
    report = check_gradients(cost, right, x)
    assert report.verdict == "agree"
    assert report.resolution < 0.2
    assert check_gradients(cost, 2 * right, x).verdict == "disagree"
    one = right * [1 + 4 * report.resolution, 1]
    assert check_gradients(cost, one, x).verdict != "agree"


@pytest.mark.parametrize("distance", [4e-13, 7e-13])
def test_float64_at_the_edge_of_a_domain(distance):
    """The values that tell the noise, and the slope along all, lie outside of it."""
    x = np.array([0.8, 1 - distance, 1 - 2e-9])

    def cost(x):
        with np.errstate(all="ignore"):
            return -np.sum(np.log(1 - x))

    slope = 1 / (1 - x)
    assert check_gradients(cost, slope, x).verdict == "agree"
    assert check_gradients(cost, slope * [1, 1.01, 1], x).verdict == "disagree"


def test_steps_within_one_stair_are_no_slope_below_a_structure():
    """They agree to seven digits with each other, and are two thousandths off together."""
    rng = np.random.default_rng([14, 18])
    q, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    matrix = q @ np.diag(np.geomspace(1, 10.0 ** -rng.uniform(6, 12), 5)) @ q.T
    report = check_gradients(
        lambda a: float(np.linalg.slogdet(a)[1]), lambda a: np.linalg.inv(a).T, matrix
    )
    assert report.verdict == "agree"


@pytest.mark.parametrize("seed", range(6))
def test_an_ill_conditioned_matrix_has_a_scale_far_below_its_entries(seed):
    """Steps begin where the analytic slope says that J changes by a part of itself."""
    rng = np.random.default_rng([1, seed])
    q, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    matrix = q @ np.diag(np.geomspace(1, 3e-12, 4)) @ q.T
    matrix = (matrix + matrix.T) / 2

    def cost(a):
        return 2 * np.log(np.diag(np.linalg.cholesky((a + a.T) / 2))).sum()

    # Its rounding, of 1e-4, is seen among the gradients beside it, if they are near enough.
    right = np.linalg.inv
    assert check_gradients(cost, right, matrix).verdict == "agree"
    assert check_gradients(cost, lambda a: 1.05 * right(a), matrix).verdict == "disagree"


# Noise that a table does not show


@pytest.mark.parametrize("share", [4e-4, 7e-5, 2e-5])
def test_differences_of_terms_of_size_one_move_in_stairs(share):
    """Between two stairs J has another slope, which small steps tell to many digits."""

    def draw(seed):
        c, x = share * np.random.default_rng([3, seed]).uniform(0.5, 1.5), 1.3e-4

        def cost(p):
            return float(((2.0 + c * p[0]) - 2.0) / (1 + 3 * p[0]) + 0.1 * c * np.sin(p[1]))

        slope = np.array([c / (1 + 3 * x) ** 2, 0.1 * c * np.cos(0.4)])
        return cost, slope, np.array([x, 0.4])

    right = verdicts(draw(seed) for seed in range(12))
    assert "disagree" not in right
    assert right.count("agree") >= 9
    wrong = [(cost, slope * [1.2, 1.0], x) for cost, slope, x in map(draw, range(4))]
    assert verdicts(wrong) == ["disagree"] * 4


@pytest.mark.parametrize("share", [1e-3, 4e-4, 2e-4])
@pytest.mark.parametrize("constant", [600.0, 4500.0])
def test_a_constant_inside_is_no_float32(share, constant):
    x = np.array([0.8, 1.7])

    def cost(p):
        return float(np.cos(constant + share * p[0]) + np.sin(p[1]))

    right = np.array([-share * np.sin(constant + share * 0.8), np.cos(1.7)])
    assert check_gradients(cost, right, x).verdict == "agree"
    for error in (1e-5, 1e-4):
        wrong = check_gradients(cost, right * [1 + error, 1], x)
        assert wrong.verdict == "disagree"
        assert "float32" not in wrong.message()


@pytest.mark.parametrize("spare", [0, 2])
def test_what_cannot_be_looked_at_between_the_steps_is_no_agreement(spare):
    x, width = np.linspace(0.7, 1.3, 6), 2e-7

    def func(p):
        u = (p[1] - x[1]) / width
        return float(np.sin(p).sum() + width * u * np.exp(-u * u))

    whole = check_gradients(lambda p: float(np.sin(p).sum()), np.cos, x)
    assert whole.verdict == "agree"
    most = whole.evaluations + spare
    smooth = check_gradients(lambda p: float(np.sin(p).sum()), np.cos, x, max_evals=most)
    assert smooth.verdict == "agree"
    report = check_gradients(func, np.cos(x), x, max_evals=most)
    assert report.verdict == "inconclusive"
    assert "max_evals reached" in report.message()


def beside_float32(seed, factor=1.0):
    """A kernel in float32 and a decay in float64: within one stair the decay's slope is left."""
    rng = np.random.default_rng([21, seed])
    x, y = rng.normal(size=(25, 4)).astype(np.float32), rng.normal(size=25).astype(np.float32)
    decay = 10.0 ** rng.uniform(-2, 0.5)

    def cost(w):
        fit = np.mean((np.sin(x @ w.astype(np.float32)) - y) ** 2)
        return float(fit) + decay * float(w @ w)

    def grad(w):
        z = x.astype(float) @ w
        slope = 2 * x.T.astype(float) @ ((np.sin(z) - y) * np.cos(z)) / 25
        return factor * slope + 2 * decay * w

    return cost, grad, rng.normal(size=4)


def test_a_decay_beside_a_kernel_in_float32():
    right = verdicts(beside_float32(seed) for seed in range(15))
    assert "disagree" not in right
    assert right.count("agree") >= 10
    assert verdicts(beside_float32(seed, 1.5) for seed in range(6)) == ["disagree"] * 6


@pytest.mark.parametrize("exponent", [-13, -11, -8])
def test_a_block_all_of_which_is_at_the_edge_of_the_domain(exponent):
    """Directions through it leave the domain to both sides."""
    rng = np.random.default_rng([22, -exponent])
    x = 1 - 10.0 ** (exponent + rng.uniform(0, 1, size=3))

    def cost(x):
        return float(np.sqrt(1 - x).sum()) if np.all(x <= 1) else np.nan

    report = check_gradients(cost, lambda x: -0.5 / np.sqrt(1 - x), x)
    assert report.verdict != "disagree"
    assert check_gradients(cost, lambda x: -1 / np.sqrt(1 - x), x).verdict == "disagree"


def test_the_rounding_of_a_gradient_whose_entries_are_of_many_sizes():
    """That of the others of a block is no measure of an entry that is far smaller."""
    x = np.linspace(0, 4, 12)
    distance = (x[:, None] - x) ** 2

    def kernel(p):
        return np.exp(2 * p[0] - 0.5 * distance / np.exp(2 * p[1])) + 1e-9 * np.eye(12)

    def cost(p, y):
        half = np.linalg.solve(np.linalg.cholesky(kernel(p)), y - p[2])
        return float(0.5 * half @ half)

    def grad(p, y):
        inverse = np.linalg.inv(kernel(p))
        a, k = inverse @ (y - p[2]), kernel(p) - 1e-9 * np.eye(12)
        slope = k * distance / np.exp(2 * p[1])
        return np.array([-a @ k @ a, -0.5 * a @ slope @ a, -a.sum()])

    for seed in range(12):
        rng = np.random.default_rng([23, seed])
        y, p = np.sin(2 * x) + 0.1 * rng.normal(size=12), 0.3 * rng.normal(size=3)
        args = (lambda p, y=y: cost(p, y)), (lambda p, y=y: grad(p, y)), p
        assert check_gradients(*args).verdict != "disagree"
        wrong = grad(p, y) * [1, 1, 1.01]
        assert check_gradients(args[0], wrong, p).verdict == "disagree"


def test_what_float32_leaves_open_at_the_edge_of_a_domain_is_told_in_float64():
    """Within a few floats of the edge no step of float32 has room; float64's have."""

    def angle(p, dtype=np.float32):
        with np.errstate(invalid="ignore"):
            return dtype(np.arccos(p.astype(dtype))[0])

    def grad(p):
        with np.errstate(all="ignore"):
            return -1 / np.sqrt(1 - p.astype(float) ** 2)

    p = np.array([1 - 3 * 2.0**-24], dtype=np.float32)
    report = check_gradients(angle, grad, p)
    assert report.verdict == "inconclusive"
    assert "params.astype(np.float64)" in report.message()
    wide = p.astype(np.float64)
    assert check_gradients(lambda p: angle(p, np.float64), grad, wide).verdict == "agree"


def test_the_noise_along_a_parameter_that_is_zero():
    """The floats beside zero are nearer to each other than any distance of values."""

    def cost(x):
        return float(np.exp(x[0]) - x[0] + 1e-3 * x[1] + 0.5)

    right = np.array([0.0, 1e-3])
    assert check_gradients(cost, right, np.zeros(2)).verdict == "agree"
    assert check_gradients(cost, right + np.array([3e-8, 0.0]), np.zeros(2)).verdict == "disagree"


def normalised(p):
    z = SAMPLES @ p["W"] + p["b"]
    spread = np.sqrt(z.var(axis=0) + 1e-5)
    return (z - z.mean(axis=0)) / spread, spread


def backward_of_normalised(p, u, factor=1.0):
    h, spread = normalised(p)
    dz = (u - u.mean(axis=0) - h * (u * h).mean(axis=0)) / spread
    return {"W": factor * SAMPLES.T @ dz, "b": dz.sum(axis=0)}


SAMPLES = np.random.default_rng(81).normal(size=(7, 3))


@pytest.mark.parametrize("offset", [40.0, 900.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_bias_before_a_normalisation_in_products_and_matrices(seed, offset):
    """Rounding in rows of a Jacobian does not shrink as the parameter grows."""
    rng = np.random.default_rng(seed)
    p = {"W": rng.normal(size=(3, 2)), "b": offset * rng.normal(size=2)}
    target = rng.normal(size=(7, 2))

    def losses(p):
        off = normalised(p)[0] - target
        return np.array([np.mean(off**2), 1e-3 * np.mean(off**2) + 1])

    def backward(p, u, factor=1.0):
        off = normalised(p)[0] - target
        return backward_of_normalised(p, (u @ [1.0, 1e-3]) * 2 * off / off.size, factor)

    def jac(p):
        rows = [backward(p, u) for u in np.eye(2)]
        return {name: np.stack([row[name] for row in rows]) for name in p}

    assert check_vjp(losses, backward, p).verdict == "agree"
    assert check_jacobian(losses, jac, p).verdict == "agree"
    wrong = check_vjp(losses, lambda p, u: backward(p, u, 1.001), p)
    assert wrong.verdict == "disagree"
    assert [block.verdict for block in wrong.blocks] == ["disagree", "agree"]


@pytest.mark.parametrize("seed", range(6))
def test_an_oscillation_within_large_steps_is_no_float32(seed):
    """A cosine of a variance beside a large mean: its noise is in its fifth digit."""
    rng = np.random.default_rng(seed)
    x = 4e5 + rng.normal(size=7)
    report = check_gradients(
        lambda x: np.cos(np.mean(x**2) - np.mean(x) ** 2),
        lambda x: -np.sin(np.var(x)) * 2 / x.size * (x - x.mean()),
        x,
    )
    assert report.verdict != "disagree"
    assert not any("float32" in text for text in report.remarks)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_left_of_a_gradient_at_a_minimum_is_rounding(seed):
    """Terms of the size of curvature times parameter cancel there."""
    rng = np.random.default_rng(seed)
    data = rng.normal(size=(13, 3)) + np.array([60.0, -35.0, 80.0])
    center = data.mean(axis=0)
    report = check_gradients(
        lambda c: np.sum((data - c) ** 2), lambda c: 2 * np.sum(c - data, axis=0), center
    )
    assert report.verdict == "agree"
    off = check_gradients(
        lambda c: np.sum((data - c) ** 2), lambda c: 2 * np.sum(c - data, axis=0) + 1e-4, center
    )
    assert off.verdict == "disagree"


@pytest.mark.parametrize("seed", range(4))
def test_a_gradient_in_float32_whose_terms_cancel(seed):
    """exp(2 s) - 1 moves in stairs of float32 where s is small."""
    rng = np.random.default_rng(seed)
    near = (2e-4 * rng.normal(size=5)).astype(np.float32)

    def grad(s, factor=1.0):
        return np.float32(factor) * (np.exp(2 * s) - np.float32(1))

    def func(s):
        return float(np.sum(0.5 * np.exp(2 * s) - 0.5 - s, dtype=np.float64))

    assert check_gradients(func, grad, near).verdict == "agree"
    assert check_gradients(func, lambda s: grad(s, 1.02), near).verdict == "disagree"


def absolute_deviations(seed, n, constant):
    rng = np.random.default_rng([29, seed])
    x, y, w = rng.normal(size=(n, 2)), rng.normal(size=n), rng.normal(size=2)

    def cost(w):
        return float(np.sum(np.abs(x @ w - y)) + constant)

    def grad(w, factor=1.0):
        return factor * x.T @ np.sign(x @ w - y)

    return cost, grad, w


def test_kinks_within_the_steps_that_a_large_constant_asks_for():
    """Between three large steps that converge by chance and those that are noise there are some."""
    found = [absolute_deviations(seed, 700, 3e11) for seed in range(16)]
    assert "disagree" not in verdicts(found)
    assert verdicts((cost, lambda w, g=grad: g(w, -1.0), w) for cost, grad, w in found) == (
        ["disagree"] * 16
    )


@pytest.mark.parametrize("seed", [1, 5])
def test_a_hinge_in_float32_beside_a_decay_in_float64(seed):
    """Steps beyond the stairs cross kinks, and err by one or two bars."""
    rng = np.random.default_rng([1136, seed])
    n = int(10 ** rng.uniform(1, 3.3))
    x, y, w = rng.normal(size=(n, 3)), rng.normal(size=n), rng.normal(size=3)
    x, y = x.astype(np.float32), y.astype(np.float32)

    def cost(w):
        off = 1 - (x @ w.astype(np.float32) - y)
        return float(np.mean(np.maximum(0, off))) + 0.05 * float(w @ w)

    def grad(w):
        return -x.T.astype(float) @ (1.0 * (x.astype(float) @ w - y < 1)) / n + 0.1 * w

    assert check_gradients(cost, grad, w).verdict != "disagree"
    assert check_gradients(cost, lambda w: -grad(w), w).verdict == "disagree"


def test_roundings_of_a_state_in_float32_that_are_all_alike():
    """Eight values that move by as many roundings each look smooth."""

    def run(p, cast):
        h = 0.0 * p[0]
        for x in (0.3, -1.1, 0.8, 1.7, -0.4):
            h = cast(np.tanh(p[0] * h + p[1] * x))
        return h**2 + p[2] * h

    def narrow(h):
        return np.asarray(h).astype(np.float32).astype(np.float64)

    for seed in range(60, 70):
        p = np.random.default_rng([72, seed]).normal(size=3) * np.array([1.5, 2.0, 0.3])
        grad = np.array([run(p + 1e-20j * e, lambda h: h).imag / 1e-20 for e in np.eye(3)])
        assert check_gradients(lambda p: float(run(p, narrow)), grad, p).verdict != "disagree"


def test_curvature_is_no_structure_below_which_noise_is_measured():
    """Of a logarithm of a sum in float32, most right entries are told."""
    told = []
    for seed in range(6):
        rng = np.random.default_rng([13, seed])
        x, y, w = rng.normal(size=(9, 3)), rng.integers(4, size=9), rng.normal(size=(3, 4))

        def cost(w, x=x, y=y):
            z = x @ w
            top = z.astype(np.float32).max(axis=1, keepdims=True)
            total = np.exp(z.astype(np.float32) - top).sum(axis=1)
            return float(np.mean((np.log(total) + top[:, 0]).astype(float) - z[range(9), y]))

        def grad(w, x=x, y=y):
            p = np.exp(x @ w)
            p /= p.sum(axis=1, keepdims=True)
            p[range(9), y] -= 1
            return x.T @ p / 9

        report = check_gradients(cost, grad, w)
        assert report.verdict != "disagree"
        told.append(report.verdict == "agree")
    assert sum(told) >= 3


@pytest.mark.parametrize("beside", [3e-7, 2e-6])
@pytest.mark.parametrize("error", [1e-5, 1e-3, 1.0])
def test_a_jump_that_stands_alone_is_no_stair(beside, error):
    """It is larger by far than what is missing in a slope, and no noise of func."""
    x = np.array([0.7, -0.4])

    def cost(x):
        return float(np.sum(np.cos(x))) + 4e-3 * (x[0] > 0.7 + beside)

    assert check_gradients(cost, -np.sin(x), x).verdict == "agree"
    report = check_gradients(cost, -np.sin(x) * [1 + error, 1], x)
    assert [entry.label for entry in report.worst if entry.verdict == "disagree"] == ["params[0]"]


def test_a_kernel_in_float32_with_kinks_beside_decay_in_float64():
    """Its small steps agree on the slope of the decay alone, and larger ones cross kinks."""
    right, wrong = [], []
    for seed in range(16):
        rng = np.random.default_rng([35, seed])
        X, y = rng.normal(size=(40, 4)), rng.normal(size=40)
        decay = 10.0 ** rng.uniform(-3, 0)

        X32, y32 = X.astype(np.float32), y.astype(np.float32)

        def func(w, X=X32, y=y32, decay=decay):
            return float(np.mean(np.abs(X @ w.astype(np.float32) - y))) + decay * w @ w

        def grad(w, X=X, y=y, decay=decay):
            return X.T @ np.sign(X @ w - y) / 40 + 2 * decay * w

        w = rng.normal(size=4) * 10.0 ** -rng.uniform(0, 2, size=4)
        right.append(check_gradients(func, grad, w).verdict)
        wrong.append(check_gradients(func, lambda w, grad=grad: 1.5 * grad(w), w).verdict)
    assert "disagree" not in right
    assert wrong.count("disagree") >= 14


def behind_a_cast_beside_a_decay(seed, block="", error=0.0):
    """`gain` lies behind a kernel in float32; along `w`, before it, a decay moves J as well."""
    rng = np.random.default_rng([37, seed])
    x, y, decay = rng.normal(size=(7, 3)), rng.normal(size=7), rng.uniform(0.5, 2)

    def leaky(p):
        z = x @ p["w"]
        return np.maximum(0.2 * z, z), np.where(z > 0, 1.0, 0.2)

    def func(p):
        h = leaky(p)[0].astype(np.float32).astype(np.float64)
        return float(np.sum((p["gain"] * h - y) ** 2) + decay * np.sum(p["w"] ** 2))

    def grad(p):
        h, slope = leaky(p)
        off = 2 * (p["gain"] * h - y)
        slopes = {"w": x.T @ (off * p["gain"] * slope) + 2 * decay * p["w"], "gain": off * h}
        if block:
            slopes[block][np.argmax(np.abs(slopes[block]))] *= 1 + error
        return slopes

    return func, grad, {"w": rng.normal(size=3), "gain": rng.normal(size=7)}


def test_what_lies_behind_a_cast_beside_a_decay():
    """Within one stair func moves by the decay's slope, and yet it rounds on the way."""
    right = [check_gradients(*behind_a_cast_beside_a_decay(seed)) for seed in range(14)]
    assert "disagree" not in [report.verdict for report in right]
    assert any("rounds to float32 on the way to J" in report.message() for report in right)
    for block in ("w", "gain"):
        wrong = verdicts(behind_a_cast_beside_a_decay(seed, block, 1e-2) for seed in range(4))
        assert wrong.count("disagree") >= 3


@pytest.mark.parametrize(("seed", "noise"), [(4, 1e-9), (7, 3e-10)])
def test_what_noise_moves_by_is_no_smooth_term_within_a_stair(seed, noise):
    x = np.random.default_rng(seed).uniform(0.3, 2, 3)

    def func(x):
        chance = zlib.crc32(x.tobytes()) / 2**32 - 0.5
        return float(np.sum(np.exp(x) * np.sin(x)) + 5 * noise * chance)

    def grad(x):
        return np.exp(x) * (np.sin(x) + np.cos(x))

    assert check_gradients(func, grad, x).ok
    report = check_gradients(func, lambda x: grad(x) * (1 + 1e-5), x)
    assert report.verdict == "disagree"
    assert "float32" not in report.message()


@pytest.mark.parametrize("size", [1e-10, 3e-9])
def test_twice_the_resolution_of_a_tiny_block_is_seen(size):
    rng = np.random.default_rng(39)
    x, z = rng.normal(size=(9, 3)), rng.normal(size=(9, 3))
    params = {"large": 2 * rng.normal(size=3), "tiny": size * rng.normal(size=3)}

    def func(p):
        return np.sum(np.arctan(x @ p["large"] + z @ p["tiny"]))

    def grad(p, k=0, part=0.0):
        slope = 1 / (1 + (x @ p["large"] + z @ p["tiny"]) ** 2)
        tiny = z.T @ slope
        tiny[k] *= 1 + part
        return {"large": x.T @ slope, "tiny": tiny}

    right = check_gradients(func, grad, params)
    assert right.verdict == "agree"
    part = 2 * max(1e-7, right.blocks[1].resolution)
    for k in range(3):
        assert check_gradients(func, lambda p, k=k: grad(p, k, part), params).wrong


def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.8 * (x + 0.045 * x**3)))


def gelu_slope(x):
    t = np.tanh(0.8 * (x + 0.045 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.8 * (1 + 0.135 * x * x)


SATURATED = {
    "gelu": (gelu, gelu_slope, -7.2, -5.5),
    "x (1 - tanh x)": (
        lambda x: x * (1 - np.tanh(x)),
        lambda x: 1 - np.tanh(x) - x / np.cosh(x) ** 2,
        10.0,
        18.0,
    ),
    "x (1 - cos x)": (
        lambda x: x * (1 - np.cos(x)),
        lambda x: 1 - np.cos(x) + x * np.sin(x),
        1e-8,
        1e-6,
    ),
}


@pytest.mark.parametrize("name", SATURATED)
def test_a_factor_that_is_a_few_roundings_of_one(name):
    """A product with it is exact within a stair, and small steps agree on the slope of that."""
    func, slope, first, last = SATURATED[name]
    found = {"right": [], "twice": []}
    for x in np.linspace(first, last, 25):
        for what, factor in (("right", 1.0), ("twice", 2.0)):
            report = check_gradients(
                lambda t: float(func(t[0])), lambda t, f=factor: f * slope(t), np.array([x])
            )
            found[what].append(report.verdict)
    assert "disagree" not in found["right"]
    assert found["right"].count("agree") >= 8
    assert found["twice"].count("disagree") >= 12


def sixteen_bits_beside_a_decay(seed, dtype, decay, factor=1.0):
    """A kernel's output in 16 bits; the weights before it have a decay in float64 beside it."""
    rng = np.random.default_rng([41, seed])
    x, y = rng.normal(size=(20, 4)), rng.normal(size=20)

    def kernel(p):
        h = np.tanh(x @ p["w"])
        if dtype == "bfloat16":  # 8 of float32's bits
            mantissa, exponent = np.frexp(h)
            return np.ldexp(np.round(mantissa * 2**8), exponent - 8), h
        return h.astype(dtype).astype(np.float64), h

    def func(p):
        return float(np.mean((kernel(p)[0] + p["b"] - y) ** 2) + decay * np.sum(p["w"] ** 2))

    def grad(p):
        rounded, h = kernel(p)
        off = 2 * (rounded + p["b"] - y) / 20
        slope = x.T @ (off * (1 - h**2)) + 2 * decay * p["w"]
        return {"w": slope, "b": off.sum() * factor}

    return func, grad, {"w": 0.5 * rng.normal(size=4), "b": 0.5 * rng.normal()}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("decay", [1e-3, 5e-2, 1.0])
def test_sixteen_bits_on_the_way_beside_a_decay(dtype, decay):
    """Within one stair, which is much wider than float32's, the decay's slope is no accusation."""
    right = [check_gradients(*sixteen_bits_beside_a_decay(seed, dtype, decay)) for seed in range(8)]
    assert "disagree" not in [report.verdict for report in right]
    said = [report for report in right if "a format of 16 bits on the way" in report.message()]
    assert len(said) >= 6
    wrong = verdicts(sixteen_bits_beside_a_decay(seed, dtype, decay, -1.0) for seed in range(4))
    assert wrong.count("disagree") == 4


def confident(seed, sign=1.0):
    """A softmax loss of which nearly all is cancelled: J is far below its terms."""
    z = np.random.default_rng(seed).uniform(-1, 1, 5)

    def loss(z):
        top = 30 * z.max()
        return float(top + np.log(np.sum(np.exp(30 * z - top))) - top)

    def grad(z):
        weights = np.exp(30 * (z - z.max()))
        slope = 30 * (weights / weights.sum() - (z == z.max()))
        slope[np.argmax(z)] *= sign
        return slope

    return loss, grad, z


def test_a_zero_is_not_known_beyond_the_grid_of_its_terms():
    """J is exactly 0 as far as 0.06 of the parameters, and moves by 4e-15 at once beyond."""
    assert check_gradients(*confident(12)).verdict != "disagree"


def test_a_smooth_loss_with_a_wrong_gradient_is_not_called_rounded():
    """Close by, it moves by another slope than the analytic one; so it does farther off."""
    wrong = [check_gradients(*confident(seed, sign=-1.0)) for seed in range(20)]
    called = [report for report in wrong if "on the way" in report.message()]
    assert len(called) <= 2  # a change by e within the step that tells is too much for it


@pytest.mark.parametrize(("offset", "size"), [(1e2, 1e-6), (1e4, 1e-6), (1e8, 1.0)])
def test_the_grid_of_terms_that_cancel_is_no_narrow_format(offset, size):
    """Few bits are left where J is as small as here; a larger J has more, and float32 has not."""

    def cost(x):
        return (offset + size * np.sum(np.sin(x))) - offset

    called = []
    for seed in range(12):
        x = np.random.default_rng(seed).uniform(-1, 1, 3)
        called.append(check_gradients(cost, lambda x: size * np.cos(x), x).precision)
    assert called.count("float64") >= 10


def test_a_narrow_format_is_told_by_values_of_any_size():
    for seed in range(10):
        x = np.random.default_rng(seed).uniform(-1, 1, 3)
        report = check_gradients(
            lambda x: float(np.exp(np.float32(5) * x.astype(np.float32).sum())),
            lambda x: np.full(3, 5 * np.exp(5 * x.sum())),
            x,
        )
        assert report.precision == "float32"


def test_parameters_rounded_to_float32_on_the_way_are_told():
    """Steps that are rounded bend by whole floats, and yet J is known to five digits."""

    def model(seed):
        rng = np.random.default_rng(seed)
        p = {"w": 0.5 * rng.normal(size=4), "b": rng.normal() * 0.5}
        x, y = rng.normal(size=(20, 4)), rng.normal(size=20)

        def hidden(p):
            return np.tanh(x @ p["w"].astype(np.float32).astype(np.float64) + p["b"])

        def cost(p):
            return np.mean((hidden(p) - y) ** 2)

        def grad(p):
            h = hidden(p)
            off = 2 * (h - y) * (1 - h * h) / 20
            return {"w": x.T @ off, "b": off.sum()}

        return cost, grad, p

    assert set(verdicts(map(model, range(25)))) == {"agree"}


def test_a_float32_loss_at_an_edge_of_which_no_step_tells_anything_is_left_open():
    """No direction has a step at which func answers: there is nothing to look closer at."""
    x = 1 - 10 ** np.random.default_rng(23).uniform(-6, -2, 2)
    x = np.minimum(x.astype(np.float32), np.float32(1) - np.float32(1e-6))

    def cost(x):
        return np.float32(np.sum((1 - x.astype(np.float64)) ** 1.3))

    def grad(x):
        slope = -1.3 * (1 - x.astype(np.float64)) ** 0.3
        slope[0] *= 1.5
        return slope

    assert check_gradients(cost, grad, x).verdict != "agree"


def saturated(seed, form, wrong=0.0):
    """Verdict on outputs in float32 that have come near their bounds, 1 - y² lost in rounding."""
    rng = np.random.default_rng(seed)
    x, w = 6 * rng.normal(size=20).astype(np.float32), rng.normal(size=20).astype(np.float32)
    lacks = np.zeros(20, dtype=np.float32)
    lacks[np.argmin(np.abs(x))] = wrong

    def slope(x):
        return w * (1 - np.tanh(x) ** 2) * (1 - lacks)

    if form == "gradient":
        return check_gradients(lambda x: np.sum(w * np.tanh(x)), slope, x).verdict
    if form == "jacobian":
        return check_jacobian(lambda x: w * np.tanh(x), lambda x: np.diag(slope(x)), x).verdict
    return check_vjp(lambda x: w * np.tanh(x), lambda x, u: u * slope(x), x).verdict


@pytest.mark.parametrize("form", ["gradient", "jacobian", "vjp"])
def test_what_float32_lost_in_the_gradient_is_told_by_the_same_code_in_float64(form):
    assert [saturated(seed, form) for seed in range(6)] == ["agree"] * 6
    assert [saturated(seed, form, wrong=1e-3) for seed in range(6)] == ["disagree"] * 6


def test_a_gradient_that_refuses_float64_is_judged_as_before():
    x = np.linspace(-1, 1, 7, dtype=np.float32)

    def slope(x, factor):
        assert x.dtype == np.float32
        return factor * np.cos(x)

    def verdict(factor):
        return check_gradients(lambda x: np.sum(np.sin(x)), lambda x: slope(x, factor), x).verdict

    assert (verdict(1), verdict(1.01)) == ("agree", "disagree")


def batch_normalised(seed, offset):
    """A bias far from 0 before a batch normalisation: its gradient is rounding, of few values."""
    rng = np.random.default_rng(seed)
    x, c = rng.normal(size=(12, 3)), rng.normal(size=(12, 4))
    params = {"W": rng.normal(size=(3, 4)), "b": offset * (1 + rng.random(4))}

    def parts(p):
        z = x @ p["W"] + p["b"]
        away = z - z.mean(0)
        spread = np.sqrt((away**2).mean(0) + 1e-5)
        return away / spread, spread

    def cost(p):
        return float(np.sum(c * np.tanh(parts(p)[0])))

    def grad(p):
        h, spread = parts(p)
        up = c * (1 - np.tanh(h) ** 2)
        down = (up - up.mean(0) - h * (up * h).mean(0)) / spread
        return {"W": x.T @ down, "b": down.sum(0)}

    return cost, grad, params


@pytest.mark.parametrize("offset", [1e10, 1e11])
@pytest.mark.parametrize("seed", first_quick(range(20), 8))
def test_rounding_of_few_values_accuses_no_entry_and_no_direction(seed, offset):
    cost, grad, params = batch_normalised(seed, offset)
    assert check_gradients(cost, grad, params).verdict != "disagree"


@pytest.mark.parametrize("error", [1e-4, 1e-5])
def test_what_rounding_does_not_explain_is_still_wrong(error):
    cost, grad, params = batch_normalised(0, 1e6)
    wrong = check_gradients(cost, lambda p: {**grad(p), "b": grad(p)["b"] + error}, params)
    assert wrong.verdict == "disagree"
    assert wrong.blocks[1].wrong == 4


def shifted(seed, offset):
    """A correlation of values to which a constant is added: all sums near it round alike."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=10)
    beside = y - y.mean()

    def parts(p):
        away = p["x"] + p["o"]
        away = away - away.mean()
        return away, np.sqrt(away @ away), np.sqrt(beside @ beside)

    def cost(p):
        away, one, other = parts(p)
        return float(away @ beside / one / other)

    def grad(p):
        away, one, other = parts(p)
        g = beside / one / other - away @ beside / one / other * away / one**2
        return {"x": g - g.mean(), "o": g.sum()}

    return cost, grad, {"x": rng.normal(size=10), "o": offset}


@pytest.mark.parametrize("offset", [1e8, 1e10])
@pytest.mark.parametrize("seed", first_quick(range(40), 8))
def test_rounding_that_is_alike_nearby_is_seen_far_away(seed, offset):
    cost, grad, params = shifted(seed, offset)
    assert check_gradients(cost, grad, params).verdict != "disagree"


@pytest.mark.parametrize(("width", "height"), [(1e-9, 1), (1e-10, 30), (1e-11, 1), (1e-11, 30)])
def test_a_ripple_is_not_accused_along_directions(width, height):
    """t + height * width * sin(t / width) of three numbers, of which each alone stays open."""
    right, wrong = [], []
    for seed in range(8):
        t = np.random.default_rng(seed).uniform(0.5, 2, 3)

        def func(t):
            return float(np.sum(t + height * width * np.sin(t / width)))

        def slope(t):
            return 1 + height * np.cos(t / width)

        right.append(check_gradients(func, slope, t).verdict)
        wrong.append(check_gradients(func, lambda t: 1.1 * slope(t), t).verdict)
    assert "disagree" not in right
    assert "agree" not in wrong


def fit_in_float32(seed, penalty, *, ended=True, wrong=0.0):
    """A mean of losses in float32 beside a penalty in float64, where a fit has (nearly) ended."""
    rng = np.random.default_rng([43, seed])
    x, y = rng.normal(size=(2000, 4)).astype(np.float32), rng.gamma(2, 1, 2000).astype(np.float32)

    def slope(w):
        off = 1 - y * np.exp(-x.astype(float) @ w)
        return x.T.astype(float) @ off / 2000 + penalty * w

    def func(w):
        z = (x @ w).astype(np.float32)
        return float((z + y * np.exp(-z)).sum() / 2000) + 0.5 * penalty * float(w @ w)

    w = np.zeros(4)
    for _ in range(40):  # Newton's
        curvature = (x.T.astype(float) * (y * np.exp(-x.astype(float) @ w))) @ x / 2000
        w = w - np.linalg.solve(curvature + penalty * np.eye(4), slope(w))
    if not ended:
        w = w * (1 + 1e-3 * rng.normal(size=4))
    return func, lambda w: slope(w) + wrong, w


@pytest.mark.parametrize("penalty", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("ended", [True, False], ids=["ended", "nearly ended"])
def test_a_penalty_beside_float32_where_a_fit_has_ended(penalty, ended):
    """Within a stair, a thousandth of the parameters wide, the penalty slopes alone."""
    seeds = range(4)
    right = [check_gradients(*fit_in_float32(seed, penalty, ended=ended)) for seed in seeds]
    assert "disagree" not in [report.verdict for report in right]
    assert not any("16 bits" in report.message() for report in right)
    wrong = verdicts(fit_in_float32(seed, penalty, ended=ended, wrong=0.05) for seed in seeds)
    assert wrong == ["disagree"] * 4


@pytest.mark.parametrize("scale", [3.0, 30.0, 100.0])
def test_a_penalty_that_bends_more_than_the_jumps_beside_it(scale):
    """A large parameter of tiny data: the stairs are found beside what the penalty bends by."""
    right, wrong = [], []
    for seed in (0, 1, 19):
        rng = np.random.default_rng([44, seed])
        x = (rng.normal(size=(50, 3)) * [1e-3, 1.0, 3.0]).astype(np.float32)
        y = rng.poisson(2, 50).astype(np.float32)
        w = rng.normal(size=3) * [scale, 0.3, 0.1]

        def func(w, x=x, y=y):
            z = (x @ w).astype(np.float32)
            return float((np.exp(z) - y * z).sum() / 50) + 0.005 * float(w @ w)

        def grad(w, x=x, y=y, factor=1.0):
            slope = x.T.astype(float) @ (np.exp(x.astype(float) @ w) - y) / 50
            return factor * slope + 0.01 * w

        right.append(check_gradients(func, grad, w).verdict)
        wrong.append(check_gradients(func, partial(grad, factor=1.01), w).verdict)
    assert right == ["agree"] * 3
    assert wrong == ["disagree"] * 3


def test_what_float32_hides_is_not_said_to_be_left_unread():
    """J stands still as far as its rounding goes, and the gradient is far below that."""
    func, grad, w = fit_in_float32(3, 0.0, ended=False)
    report = check_gradients(lambda w: np.float32(func(w)), grad, w)
    assert report.verdict == "inconclusive"
    assert "answers to no parameter" not in report.message()
    assert "func is float32" in report.message()
