"""Gradients that are right to some digits by design: what is said, and that it passes."""

import re

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, compare_gradients

RNG = np.random.default_rng(11)
X = RNG.normal(size=(6, 5))
WIDE = RNG.normal(size=50) * 10.0 ** RNG.uniform(-6, 0, 50)


def func(x):
    return np.sum(np.sin(x))


def quartic(x):
    return np.sum(x**2) / 2 + np.sum(x**4)


def off_by(relative, seed=0, shape=X.shape):
    return 1 + relative * np.random.default_rng(seed).normal(size=shape)


def only(report):
    (found,) = report.diagnoses
    return found


@pytest.mark.parametrize(
    ("error", "digits"), [(1e-4, 4), (2e-5, 4), (5e-6, 5), (1e-6, 6), (3e-7, 6)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_right_to_k_digits_says_so_and_the_rtol_passes(error, digits, seed):
    def grad(x):
        return np.cos(x) * off_by(error, seed)

    found = only(check_gradients(func, grad, X))
    told = re.fullmatch(
        r"agrees to (\d) digits everywhere: if J or the gradient is approximate by design, "
        r"rtol=(\S+) passes",
        found.sentence,
    )
    assert found.code == "approximate"
    assert abs(int(told[1]) - digits) <= 1
    rtol = float(told[2])
    assert error < rtol < 10 * error
    assert check_gradients(func, grad, X, rtol=rtol).verdict == "agree"
    assert not check_gradients(func, grad, X, rtol=rtol / 3).ok


@pytest.mark.parametrize(("excess", "digits"), [(4e-5, 4), (-3e-6, 6), (4e-7, 6)])
def test_a_factor_that_five_digits_show_as_one_is_digits(excess, digits):
    found = only(check_gradients(func, lambda x: np.cos(x) * (1 + excess), X))
    told = re.match(r"agrees to (\d) digits everywhere .*, rtol=(\S+) passes", found.sentence)
    sign = "+" if excess > 0 else "-"
    assert f"(all off by a factor of 1 {sign} {abs(excess):.1g}):" in found.sentence
    assert abs(int(told[1]) - digits) <= 1
    grad = (1 + excess) * np.cos(X)
    assert check_gradients(func, grad, X, rtol=float(told[2])).verdict == "agree"


def test_the_rounding_of_an_ill_conditioned_solve_is_digits():
    """J is linear in b: neither it nor its gradient says that both round by the condition."""
    rng = np.random.default_rng(18)
    q, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    p, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    matrix = q @ np.diag(np.geomspace(1, 1e-11, 6)) @ p
    c = rng.normal(size=6)
    grad = np.linalg.solve(matrix.T, c)
    report = check_gradients(lambda b: c @ np.linalg.solve(matrix, b), grad, rng.normal(size=6))
    assert only(report).code == "approximate"


def test_digits_of_several_blocks_are_told_once():
    def cost(p):
        return func(p["a"]) + np.sum(np.exp(p["b"]))

    def grad(p):
        a, b = off_by(1e-6), off_by(1e-6, 5, 3)
        return {"a": np.cos(p["a"]) * a, "b": np.exp(p["b"]) * b}

    report = check_gradients(cost, grad, {"a": X, "b": np.array([0.1, -0.4, 0.9])})
    assert only(report).blocks == ("a", "b")
    assert re.fullmatch("agrees to [56] digits everywhere", report.blocks[0].hint)
    assert "looks like: agrees to " in report.message()


@pytest.mark.parametrize("error", [1e-5, 1e-7, 1e-9])
def test_an_absolute_error_is_offered_an_atol_that_passes(error):
    noise = error * np.random.default_rng(1).normal(size=WIDE.size)

    def grad(x):
        return x + 4 * x**3 + noise

    found = only(check_gradients(quartic, grad, WIDE))
    told = re.fullmatch(
        r"all errors are below \S+ of the block: a solver's tolerance\? atol=(\S+) passes",
        found.sentence,
    )
    assert found.code == "approximate"
    atol = float(told[1])
    assert error < atol < 10 * error
    assert check_gradients(quartic, grad, WIDE, atol=atol).verdict == "agree"


def test_two_given_gradients_have_digits_too():
    found = only(compare_gradients(X * off_by(1e-6), X))
    assert found.sentence.startswith("agrees to ")


def with_entries(x, places, relative, spread=0.0):
    g = np.cos(x) * off_by(spread)
    for place in places:
        g[place] *= 1 + relative
    return g


@pytest.mark.parametrize("error", [1e-3, 1e-4, 1e-5, 1e-6])
@pytest.mark.parametrize("places", [[(2, 3)], [(0, 1), (5, 4)]])
def test_entries_far_beyond_the_others_are_named(error, places):
    report = check_gradients(func, lambda x: with_entries(x, places, error), X)
    assert only(report).code == "entry"


@pytest.mark.parametrize("error", [5e-4, 1e-5])
def test_a_row_far_beyond_the_others_is_named(error):
    report = check_gradients(func, lambda x: with_entries(x, [2], error), X)
    assert only(report).code in ("slice", "factor")


def test_no_digits_where_one_entry_is_far_beyond_the_others_spread():
    report = check_gradients(func, lambda x: with_entries(x, [(2, 3)], 1e-3, 1e-6), X)
    assert report.diagnoses == ()


@pytest.mark.parametrize("factor", [1.001, 0.9995])
def test_a_factor_near_one_is_a_factor(factor):
    assert only(check_gradients(func, lambda x: factor * np.cos(x), X)).code == "factor"
    assert check_gradients(func, lambda x: factor * np.cos(x), np.array([0.3])).diagnoses == ()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_short_factor_of_few_entries_is_no_approximation(size):
    report = check_gradients(func, lambda x: 1.001 * np.cos(x), np.array([0.3, -0.8, 1.1])[:size])
    assert "approximate" not in [found.code for found in report.diagnoses]


def test_no_digits_of_one_number_beside_others_that_are_exact():
    def cost(p):
        return func(p["a"]) + np.sin(p["b"])

    def grad(p):
        return {"a": np.cos(p["a"]), "b": np.cos(p["b"]) * 1.00047}

    report = check_gradients(cost, grad, {"a": X, "b": np.array(0.3)})
    assert [found.code for found in report.diagnoses if found.code == "approximate"] == []


def test_no_digits_where_fewer_than_three_are_common():
    assert check_gradients(func, lambda x: np.cos(x) * off_by(5e-3), X).diagnoses == ()


def test_no_digits_of_what_was_not_all_looked_at():
    def grad(x):
        return np.cos(x) * off_by(1e-5)

    report = check_gradients(func, grad, X, max_evals=20)
    assert "approximate" not in [found.code for found in report.diagnoses]


# With rtol given, what is a hundredth of it of the block is small enough


def test_rtol_allows_small_entries_what_it_allows_their_block():
    x = np.array([1.0, -0.7, 0.02, 0.4])

    def check(error, **options):
        noise = error * np.array([1, -0.5, 1, -1])
        return check_gradients(func_of_small, lambda x: small_gradient(x) + noise, x, **options)

    def func_of_small(x):
        return np.sum(x**5)

    def small_gradient(x):
        return 5 * x**4

    assert check(1e-8, rtol=1e-6).ok
    assert not check(1e-7, rtol=1e-6).ok
    assert not check(1e-8, rtol=1e-8).ok
    assert not check(1e-8).ok
    assert not check(1e-8, rtol=1e-6, atol=0.0).ok


@pytest.mark.parametrize("places", [[7], [2, 40]])
@pytest.mark.parametrize(("size", "error"), [(1e-4, 2e-4), (3e-5, 1e-3), (2e-6, 9e-3)])
def test_rtol_allows_one_or_two_small_entries_no_error_of_their_own(places, size, error):
    x = np.linspace(0.4, 1.5, 60)
    c = np.ones(60)
    c[places] = size

    def func(x):
        return float(c @ np.sin(x))

    def grad(x):
        g = c * np.cos(x)
        g[places] *= 1 + error
        return g

    report = check_gradients(func, grad, x, rtol=1e-5)
    assert sorted(e.index for e in report.worst if e.verdict == "disagree") == [
        (place,) for place in places
    ]
    # What a solver leaves is in all entries, and is no more than that.
    noise = 2e-8 * np.random.default_rng(8).normal(size=60)
    assert check_gradients(func, lambda x: c * np.cos(x) + noise, x, rtol=1e-5).ok


def test_what_the_first_step_is_off_by_excuses_no_error():
    # The step of tiny parameters is far too large here, and their first slopes are off by half.
    def func(x):
        return float(np.sum(np.log(5 * x) ** 2 / 3))

    x = np.logspace(-8, 8, 11)
    right = 2 / 3 * np.log(5 * x) / x
    assert check_gradients(func, right, x, rtol=1e-5).ok
    wrong = right.copy()
    wrong[-1] *= 1.003
    report = check_gradients(func, wrong, x, rtol=1e-5)
    assert [e.index for e in report.worst if e.verdict == "disagree"] == [(10,)]


@pytest.mark.parametrize("tiny", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("error", [1e-3, 5e-6])
def test_rtol_allows_no_more_where_the_parameter_is_tiny(tiny, error):
    x, c = np.array([1.0, -0.7, tiny, 0.4]), np.array([1.0, 2.0, 1.5, 0.7])
    off = 1 + error * np.array([0, 0, 1, 0])
    report = check_gradients(
        lambda x: np.sum(c * np.sin(x)), lambda x: c * np.cos(x) * off, x, rtol=1e-6
    )
    assert report.wrong == 1
