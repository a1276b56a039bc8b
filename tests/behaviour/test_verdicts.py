"""The three answers: what agrees, what disagrees, what can't be told and why."""

import math

import numpy as np
import pytest
from amounts import woven

from pytest_gradcheck import check_gradients, compare_gradients

THETA = np.array([0.3, 0.7])


def verdict(func, grad, params, **options):
    return check_gradients(func, grad, params, **options).verdict


def of(slope):
    """Return a grad that gives `slope` whatever it is asked."""
    return lambda *_: slope


# -- smooth, scaled in every way -------------------------------------------------------------------

SMOOTH = {
    "square": (lambda x: x * x, lambda x: 2 * x, 1.3),
    "exp": (math.exp, math.exp, 2.0),
    "exp(-30)": (math.exp, math.exp, -30.0),
    "softplus(-30)": (lambda x: math.log1p(math.exp(x)), lambda x: 1 / (1 + math.exp(-x)), -30.0),
    "sin(100x)": (lambda x: math.sin(100 * x), lambda x: 100 * math.cos(100 * x), 0.7),
    "sin(1e4x)": (lambda x: math.sin(1e4 * x), lambda x: 1e4 * math.cos(1e4 * x), 0.7),
    "log": (math.log, lambda x: 1 / x, 0.5),
    "log near 0": (math.log, lambda x: 1 / x, 1e-8),
    "log of 1e6": (math.log, lambda x: 1 / x, 1e6),
    "sqrt near 0": (math.sqrt, lambda x: 0.5 / math.sqrt(x), 1e-8),
    "arcsin near 1": (math.asin, lambda x: 1 / math.sqrt(1 - x * x), 1 - 1e-8),
    "barrier": (lambda x: -math.log(1 - x), lambda x: 1 / (1 - x), 1 - 1e-7),
    "x^7": (lambda x: x**7, lambda x: 7 * x**6, -3.0),
    "large offset": (lambda x: 1e6 + math.sin(x), math.cos, 0.7),
    "beside a fine ripple": (
        lambda x: x + 1e-3 * math.sin(1e4 * x),
        lambda x: 1 + 10 * math.cos(1e4 * x),
        0.7,
    ),
    "tanh, saturated": (math.tanh, lambda x: 1 / math.cosh(x) ** 2, 6.0),
    "cancelling at a root": (lambda x: (x - 1) * math.exp(x), lambda x: x * math.exp(x), 1.0),
    "at x = 0": (lambda x: math.exp(x) * (1 + x), lambda x: math.exp(x) * (2 + x), 0.0),
}


@pytest.mark.parametrize(("name", "factor"), woven(SMOOTH, [1, -1, 1e-12, 1e12], every=2))
def test_right_gradients_agree_and_errors_of_a_thousandth_are_found(name, factor):
    func, slope, x = SMOOTH[name]
    right = factor * slope(x)
    assert verdict(lambda t: factor * func(t), of(right), x) == "agree"
    assert verdict(lambda t: factor * func(t), of(right * 1.001), x) == "disagree"
    assert verdict(lambda t: factor * func(t), of(0.0), x) == "disagree"


@pytest.mark.parametrize("claim", [1e-3, 0.1, 1.0, 1e3])
@pytest.mark.parametrize("slope", [1e-14, 1e-12, 1e-11, 1e-10, 1e-9])
def test_a_claim_where_func_moves_by_little_more_than_its_rounding_is_denied(slope, claim):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        theta, weights = rng.uniform(0.5, 1.5, 6), rng.normal(size=6)
        weights[3] = slope

        def gradient(x, weights=weights):
            found = weights * np.cos(x)
            found[3] = claim
            return found

        report = check_gradients(lambda x, w=weights: float(w @ np.sin(x)), gradient, theta)
        assert report.verdict == "disagree"
        assert [entry.index for entry in report.worst] == [(3,)]


@pytest.mark.parametrize("name", sorted(set(SMOOTH) - {"large offset", "tanh, saturated"}))
@pytest.mark.parametrize("off", [1e-2, 1e-4, 1e-5])
def test_what_float64_can_resolve_is_resolved(name, off):
    func, slope, x = SMOOTH[name]
    assert verdict(func, of(slope(x) * (1 - off)), x) == "disagree"


@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1e-100, 1e-20, 1e20, 1e100, 1e150, 1e200, 1e300])
def test_J_of_any_size(unit):
    def func(t):
        return unit * (t[0] ** 2 + math.sin(t[1]))

    right = unit * np.array([2 * THETA[0], math.cos(THETA[1])])
    assert verdict(func, of(right), THETA) == "agree"
    assert verdict(func, of(right * [1, 1.001]), THETA) == "disagree"


@pytest.mark.parametrize("unit", [1e-150, 1e-100, 1e-20, 1e-8, 1e8, 1e20, 1e100, 1e150, 1e300])
def test_a_parameter_of_any_size(unit):
    x = 0.7 * unit
    right = math.cos(0.7) / unit
    assert verdict(lambda t: math.sin(t / unit), of(right), x) == "agree"
    assert verdict(lambda t: math.sin(t / unit), of(right * 1.001), x) == "disagree"


@pytest.mark.parametrize("x", [5e-324, 1e-310, 1e-300])
def test_parameters_at_the_small_end_of_float64(x):
    assert verdict(math.atan, of(1.0), x) == "agree"
    assert verdict(math.atan, of(1.01), x) == "disagree"


def test_parameters_at_the_large_end_of_float64():
    x = 1.7e308
    slope = 1e-308 / (1 + (x / 1e308) ** 2)
    assert verdict(lambda t: math.atan(t / 1e308), of(slope), x) != "disagree"
    assert verdict(lambda t: math.atan(t / 1e308), of(1.1 * slope), x) != "agree"


def test_parameters_from_1e_minus_8_to_1e8_in_one_block_and_apart():
    sizes = 10.0 ** np.arange(-8, 9)

    def func(t):
        return float(np.sum(np.sin(t / sizes)))

    right = np.cos(0.7) / sizes
    assert verdict(func, of(right), 0.7 * sizes) == "agree"
    for i in range(sizes.size):
        wrong = right.copy()
        wrong[i] *= 1.01
        report = check_gradients(func, of(wrong), 0.7 * sizes)
        assert [entry.label for entry in report.worst] == [f"params[{i}]"]
    apart = {f"p{i}": 0.7 * size for i, size in enumerate(sizes)}
    report = check_gradients(
        lambda p: sum(math.sin(p[f"p{i}"] / size) for i, size in enumerate(sizes)),
        of({f"p{i}": g * (1.01 if i == 3 else 1) for i, g in enumerate(right)}),
        apart,
    )
    assert [block.name for block in report.blocks if block.wrong] == ["p3"]


def test_a_huge_J_with_small_gradients():
    def func(t):
        return 1e12 + float(np.sum(1e3 * np.sin(t)))

    right = 1e3 * np.cos(THETA)
    assert verdict(func, of(right), THETA) in ("agree", "inconclusive")
    assert verdict(func, of(2 * right), THETA) == "disagree"
    value = check_gradients(lambda t: 1e12 + 0 * t, of(1.0), 1.0)
    assert value.verdict == "disagree"


def brown(t):
    return (t[0] - 1e6) ** 2 + (t[1] - 2e-6) ** 2 + (t[0] * t[1] - 2) ** 2


def brown_slope(t):
    inner = 2 * (t[0] * t[1] - 2)
    return np.array([2 * (t[0] - 1e6) + inner * t[1], 2 * (t[1] - 2e-6) + inner * t[0]])


@pytest.mark.parametrize("at", [(1.0, 1.0), (3.0, -2.0), (1e6, 1.0)])
def test_brown_badly_scaled(at):
    theta = np.array(at)
    right = brown_slope(theta)
    assert verdict(brown, of(right), theta) == "agree"
    for i in range(2):
        wrong = right.copy()
        wrong[i] *= 1.01
        assert verdict(brown, of(wrong), theta) != "agree"


def test_a_raw_quadratic_of_1e_minus_8_to_1e8():
    scales = 10.0 ** np.arange(-8, 9, 2)
    theta = np.ones(scales.size)

    def func(t):
        return float(np.sum(scales * t**2))

    right = 2 * scales
    assert verdict(func, of(right), theta) == "agree"
    for i in range(scales.size):
        wrong = right.copy()
        wrong[i] *= 1.01
        assert verdict(func, of(wrong), theta) == "disagree"


def test_a_tiny_entry_beside_large_ones_is_judged_where_the_noise_allows():
    def func(t):
        return math.exp(t[0]) + t[1] ** 3

    theta = np.array([-30.0, 1.2])
    right = np.array([math.exp(-30.0), 3 * 1.44])
    assert verdict(func, of(right), theta) == "agree"
    assert verdict(func, of(right * [2, 1]), theta) == "disagree"
    assert verdict(func, of(right * [0, 1]), theta) == "disagree"


def test_a_whole_block_of_tiny_gradients_is_not_swallowed():
    theta = np.full(5, 1e6)
    assert verdict(lambda t: float(np.sum(np.log(t))), of(np.zeros(5)), theta) == "disagree"
    assert verdict(lambda t: 5e-4 * float(np.sum(t)), of(np.full(5, 1e-3)), theta) == "disagree"


# -- rtol, demanded and unset ----------------------------------------------------------------------


def rounded32(x):
    return float(np.float32(math.sin(x)))


def test_an_explicit_rtol_is_a_demand():
    assert verdict(math.sin, of(math.cos(0.7)), 0.7, rtol=1e-8) == "agree"
    tight = check_gradients(rounded32, of(math.cos(0.7)), 0.7, rtol=1e-6)
    assert tight.verdict == "inconclusive"
    assert not tight.ok
    assert "rtol=" in tight.message()
    assert "could be concluded" in tight.message()
    exact = check_gradients(math.sin, of(math.cos(0.7)), 0.7, rtol=1e-12)
    assert exact.verdict == "inconclusive"
    assert exact.reasons[0].endswith("; rtol=1e-07 could be concluded")
    assert verdict(math.sin, of(math.cos(0.7)), 0.7, rtol=1e-7) == "agree"
    assert verdict(rounded32, of(math.cos(0.7)), 0.7, rtol=1e-2) == "agree"
    assert verdict(math.sin, of(math.cos(0.7) * 1.001), 0.7, rtol=1e-2) == "agree"
    assert verdict(math.sin, of(math.cos(0.7) * 1.001), 0.7, rtol=1e-4) == "disagree"


def test_the_rtol_that_the_message_names_can_be_concluded():
    tight = check_gradients(rounded32, of(math.cos(0.7)), 0.7, rtol=1e-7)
    said = float(tight.message().split("rtol=")[1].split()[0])
    assert 1e-7 < said <= 1e-2
    assert verdict(rounded32, of(math.cos(0.7)), 0.7, rtol=said) == "agree"


def test_unset_rtol_is_as_tight_as_func_allows_and_tells_its_resolution():
    fine = check_gradients(math.sin, of(math.cos(0.7)), 0.7)
    coarse = check_gradients(rounded32, of(math.cos(0.7)), 0.7)
    assert fine.ok
    assert coarse.ok
    assert 1e-7 <= fine.resolution < 1.01e-7 < coarse.resolution < 1e-2
    assert verdict(math.sin, of(math.cos(0.7) * (1 + 1e-6)), 0.7) == "disagree"
    assert verdict(rounded32, of(math.cos(0.7) * 1.02), 0.7) == "disagree"


def sines(x):
    return float(np.sum(np.sin(x)))


NEAR_ONE = np.array([0.7, 0.8, 0.9])

OFF_BY = {
    "what is passed unasked": (9e-8, float, {}),
    "a demanded rtol": (0.05, float, {"rtol": 0.1}),
    "a demanded atol": (0.05, float, {"atol": 0.1}),
    "float32": (1e-5, np.float32, {}),
    "float16": (5e-3, np.float16, {}),
    "both gradients given": (0.05, float, {"rtol": 0.1}),
}


@pytest.mark.parametrize("name", OFF_BY)
def test_an_error_that_passes_is_not_above_the_resolution(name):
    """A report that says 9e-11 of a gradient 5 % off claims what it did not see."""
    off, dtype, options = OFF_BY[name]
    wrong = ((1 + off) * np.cos(NEAR_ONE)).astype(dtype)
    if name == "both gradients given":
        report = compare_gradients(wrong, np.cos(NEAR_ONE), **options)
    else:
        report = check_gradients(sines, of(wrong), NEAR_ONE, **options)
    assert report.verdict == "agree"
    assert report.resolution >= off
    assert report.blocks[0].resolution == report.resolution
    # And one well above it does not pass.
    wrong = ((1 + 3 * report.resolution) * np.cos(NEAR_ONE)).astype(dtype)
    if name == "both gradients given":
        assert compare_gradients(wrong, np.cos(NEAR_ONE), **options).verdict == "disagree"
    else:
        assert verdict(sines, of(wrong), NEAR_ONE, **options) == "disagree"


def test_an_error_in_a_zero_gradient_is_not_said_to_be_seen_where_it_passes():
    """Of a block that is zero the resolution is a part of the whole gradient."""
    theta = {"W": NEAR_ONE, "b": np.ones(2)}

    def func(p):
        return sines(p["W"]) + 0.0 * float(np.sum(p["b"]))

    right = {"W": np.cos(NEAR_ONE), "b": np.zeros(2)}
    tight, wide = (
        check_gradients(func, right, theta, vacuous="pass", **options).blocks[1]
        for options in ({}, {"atol": 1e-3})
    )
    assert tight.resolution < 1e-7
    whole = math.sqrt(np.mean((NEAR_ONE * np.cos(NEAR_ONE)) ** 2))
    assert wide.resolution == pytest.approx(1e-3 / whole, rel=1e-9)


def test_atol_given_is_added():
    assert verdict(math.sin, of(math.cos(0.7) + 1e-4), 0.7, atol=1e-3) == "agree"
    assert verdict(math.sin, of(math.cos(0.7) + 1e-2), 0.7, atol=1e-3) == "disagree"


@pytest.mark.parametrize(
    "name", ["central", "central4", "central6", "forward", "backward2", "forward2"]
)
def test_every_scheme_reaches_the_same_verdicts(name):
    assert verdict(math.sin, of(math.cos(0.7)), 0.7, scheme=name) == "agree"
    assert verdict(math.sin, of(math.cos(0.7) * 1.0001), 0.7, scheme=name) == "disagree"


def test_the_complex_step():
    def func(t):
        return np.sum(np.exp(t) * t**2)

    right = np.exp(THETA) * (THETA**2 + 2 * THETA)
    assert verdict(func, of(right), THETA, scheme="complex") == "agree"
    wrong = check_gradients(func, of(right * [1, 1 + 1e-6]), THETA, scheme="complex")
    assert wrong.verdict == "disagree"
    assert [entry.label for entry in wrong.worst] == ["params[1]"]
    assert verdict(func, of(right), THETA, scheme="complex", rtol=1e-12) == "agree"
    with pytest.raises(TypeError, match='scheme="complex"'):
        check_gradients(lambda t: float(np.sum(np.abs(t))), of(right), THETA, scheme="complex")


# -- kinks -----------------------------------------------------------------------------------------

KINKS = {
    "abs": (abs, -1.0, 1.0),
    "relu": (lambda x: max(x, 0.0), 0.0, 1.0),
    "max of two": (lambda x: max(2 * x, -3 * x), -3.0, 2.0),
    "min of two": (lambda x: min(2 * x, -3 * x), -3.0, 2.0),
    "clip": (lambda x: min(max(x, -1.0), 0.0), 0.0, 1.0),
    "hinge": (lambda x: max(0.0, -x), -1.0, 0.0),
    "leaky relu": (lambda x: max(x, 0.01 * x), 0.01, 1.0),
    "piecewise": (lambda x: x * x if x < 0 else 3 * x, 0.0, 3.0),
}


@pytest.mark.parametrize(
    ("name", "unit", "at"), woven(KINKS, [1.0, 1e-6, 1e6], [0.0, 1.0, -3.0, 1e-3, 1e3])
)
def test_on_a_kink_values_between_the_slopes_agree_and_those_outside_do_not(name, unit, at):
    func, low, high = KINKS[name]
    jump = high - low

    def moved(x):
        return unit * (func(x - at) + 0.1 * jump * x)

    for inside in (0.0, 0.3, 0.5, 1.0):
        value = check_gradients(moved, of(unit * (low + (inside + 0.1) * jump)), at)
        assert (value.verdict, value.kinks, value.ok) == ("agree", 1, True), inside
    for outside in (-1.0, -0.05, 1.05, 2.0):
        value = check_gradients(moved, of(unit * (low + (outside + 0.1) * jump)), at)
        assert value.verdict == "disagree", outside
        slopes = [unit * (slope + 0.1 * jump) for slope in (low, high)]
        assert sorted(value.worst[0].slopes) == pytest.approx(slopes, abs=1e-2 * unit * jump)


BESIDE = [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, -1e-6, -1e-4, -1e-2]


@pytest.mark.parametrize(
    ("name", "at", "distance"),
    woven(["abs", "relu", "max of two", "leaky relu"], [0.0, 1.0, -3.0], BESIDE),
)
def test_beside_a_kink_the_slope_of_that_side_alone_agrees(name, at, distance):
    func, low, high = KINKS[name]
    jump = high - low
    right, other = (high, low) if distance > 0 else (low, high)

    def moved(x):
        return func(x - at) + 0.1 * jump * x

    x, add = at + distance, 0.1 * jump
    wrong = (0.5 * (right + other) + add, other + add, (right + add) * 1.01)
    if abs(distance) < 1e-5:  # so near that it may be called undecided
        assert verdict(moved, of(right + add), x) != "disagree"
        assert "agree" not in [verdict(moved, of(slope), x) for slope in wrong]
    else:
        assert verdict(moved, of(right + add), x) == "agree"
        assert {verdict(moved, of(slope), x) for slope in wrong} == {"disagree"}


@pytest.mark.parametrize("distance", [0.0, 1e-13, 1e-12, -1e-12, 1e-11, 1e-10, -1e-10, 1e-9, 1e-8])
@pytest.mark.parametrize("at", [0.0, 1.0, -3.0, 1e-3, 1e3])
@pytest.mark.parametrize("share", [1.0, 1e-2, 1e-3])
def test_a_right_gradient_is_never_accused_at_or_beside_a_kink(share, at, distance):
    """`share`: how much of the slope the kink is; one relu unit of many, for instance."""

    def func(x):
        return share * abs(x - at) + x + 0.3 * math.sin(x)

    x = at + distance
    side = math.copysign(1.0, x - at)
    assert verdict(func, of(share * side + 1 + 0.3 * math.cos(x)), x) != "disagree"


@pytest.mark.parametrize("seed", range(10))
def test_a_relu_layer_in_which_one_unit_of_one_sample_is_near_its_kink(seed):
    """One of 40 terms of each gradient entry has a kink nearby."""
    rng = np.random.default_rng(seed)
    x, weights = rng.normal(size=(3, 40)), rng.normal(size=(1, 3))
    near = 10.0 ** rng.uniform(-13, -2) * rng.choice([-1, 1])
    bias = near - (weights @ x)[0, 7]

    def func(w):
        return float(np.sum(np.maximum(w @ x + bias, 0) ** 1))

    right = (weights @ x + bias > 0) @ x.T
    assert verdict(func, of(right), weights) != "disagree"
    assert verdict(func, of(right * 1.05), weights) != "agree"


def test_kinks_of_arrays_are_counted_per_entry():
    theta = np.array([0.0, 1.0, -2.0, 0.0])

    def func(t):
        return float(np.sum(np.abs(t)) + np.sum(np.maximum(t, 0)))

    value = check_gradients(func, lambda t: np.sign(t) + (t > 0), theta)
    assert (value.verdict, value.kinks, value.ok) == ("agree", 2, True)
    assert {entry.label for entry in value.worst} == {"params[0]", "params[3]"}
    assert "2 at a kink" in value.summary()
    assert value.blocks[0].kinks == 2
    strict = check_gradients(func, lambda t: np.sign(t) + (t > 0), theta, kinks="fail")
    assert (strict.ok, strict.verdict) == (False, "inconclusive")


@pytest.mark.parametrize("kinks", ["pass", "fail"])
def test_kinks_fail_does_not_touch_smooth_functions(kinks):
    assert check_gradients(lambda t: float(t @ t), lambda t: 2 * t, THETA, kinks=kinks).ok


def test_sort_and_maximum_over_an_array():
    theta = np.array([0.4, -1.0, 2.5, 2.5 - 1e-4])
    weights = np.array([4.0, 3.0, 2.0, 1.0])

    def func(t):
        return float(np.sort(t) @ weights)

    right = weights[np.argsort(np.argsort(theta))]
    assert verdict(func, of(right), theta) == "agree"
    assert verdict(func, of(weights), theta) == "disagree"
    ties = check_gradients(
        lambda t: float(np.max(t)), of(np.array([1.0, 0.0])), np.array([2.0, 2.0])
    )
    assert (ties.verdict, ties.kinks) == ("agree", 2)
    beyond = check_gradients(
        lambda t: float(np.max(t)), of(np.array([1.5, 0.0])), np.array([2.0, 2.0])
    )
    assert [entry.label for entry in beyond.worst if entry.verdict == "disagree"] == ["params[0]"]


@pytest.mark.parametrize("at", [0.0, 1.0])
def test_curvature_that_jumps_is_no_kink(at):
    """x·|x| and max(x, 0)² have a slope at 0."""

    def func(x):
        return 3 * x + (x - at) * abs(x - at) + max(x - at, 0) ** 2

    value = check_gradients(func, of(3.0), at)
    assert (value.verdict, value.kinks) == ("agree", 0)
    assert verdict(func, of(3.03), at) == "disagree"


def test_a_jump_is_neither_right_nor_wrong():
    def step(x):
        return x * x + (x > 1.0)

    value = check_gradients(step, of(2.0), 1.0)
    assert value.verdict == "inconclusive"
    assert "jump" in value.message()
    assert verdict(step, of(2.4), 1.2) == "agree"
    assert verdict(step, of(2.5), 1.2) == "disagree"


def test_whether_a_step_function_is_rounded_can_not_be_told():
    def floor(x):
        return float(np.floor(10 * x))

    assert verdict(floor, of(0.0), 0.55) == "inconclusive"
    value = check_gradients(floor, of(10.0), 0.55)
    assert value.verdict == "inconclusive"
    assert "func is rounded, and moves in jumps here" in str(value.reasons)


# -- noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [1e-12, 1e-9, 1e-6])
def test_a_noisy_func_is_judged_as_well_as_its_noise_allows(noise):
    def func(t):
        return float(np.sum(np.sin(t)) + noise * np.sin(1e15 * np.sum(t)))

    assert verdict(func, of(np.cos(THETA)), THETA) == "agree"
    assert verdict(func, of(np.cos(THETA) * 1.2), THETA) == "disagree"
    demanded = check_gradients(func, of(np.cos(THETA)), THETA, rtol=1e-9 * (noise / 1e-12) ** 0.5)
    assert demanded.verdict == "inconclusive"


def test_a_func_that_is_mostly_noise_is_said_to_be():
    def func(t):
        return float(np.sum(np.sin(t)) + 1e-2 * np.sin(1e15 * np.sum(t)))

    value = check_gradients(func, of(np.cos(THETA)), THETA)
    assert value.verdict == "inconclusive"
    assert "noisy" in value.message()


def test_a_func_that_moves_only_at_large_steps_is_not_said_to_answer_to_nothing():
    def func(t):
        return 1e9 + 1e-3 * float(np.sum(np.sin(t)))

    for factor, expected in ((1, "agree"), (-1, "disagree"), (2, "disagree")):
        value = check_gradients(func, of(factor * 1e-3 * np.cos(THETA)), THETA)
        assert value.verdict == expected
        assert not any("answers to no parameter" in reason for reason in value.reasons)


def test_a_point_of_inflexion_is_stationary_as_others_are():
    value = check_gradients(lambda x: np.sum(x**3), lambda x: 3 * x**2, np.zeros(3))
    assert value.verdict == "agree"
    assert len(value.reasons) == 1
    assert "at a stationary point" in value.reasons[0]
    value = check_gradients(lambda x: np.sum(x**3), lambda x: 3 * x**2 + 1e-3, np.zeros(3))
    assert value.verdict == "disagree"


FLAT = {
    "hinge above": lambda t, d: max(0.0, t - d),
    "hinge below": lambda t, d: max(0.0, -t - d),
    "between two kinks": lambda t, d: max(0.0, abs(t - 0.3 * d) - d),
}


@pytest.mark.parametrize(
    ("name", "distance", "amount", "offset"),
    woven(FLAT, [1e-6, 1e-5, 1e-4, 1e-3, 0.02], [0.01, 3.0], [0.0, 1.0, 100.0]),
)
def test_beside_a_kink_func_may_be_flat_without_being_rounded(name, distance, amount, offset):
    at = np.array([0.7, 1.0, -0.4])

    def func(x):
        return amount * FLAT[name](float(x[0] - 0.7), distance) + np.sum(np.sin(x[1:])) + offset

    def grad(first):
        return np.array([first, math.cos(1.0), math.cos(-0.4)])

    assert verdict(func, grad(0.0), at) == "agree"
    for wrong in (amount, amount / 2, -amount / 2, 1e-3 * amount):
        assert verdict(func, grad(wrong), at) == "disagree"


@pytest.mark.parametrize("digits", [4, 6, 8])
@pytest.mark.parametrize("slope", [1.0, 30.0])
def test_a_rounded_func_is_not_taken_for_one_with_kinks(digits, slope):
    def func(x):
        return round(float(slope * np.sin(x[0]) + x[1] ** 2), digits)

    at = np.array([0.3, 0.8])
    right = np.array([slope * math.cos(0.3), 1.6])
    assert verdict(func, right, at) != "disagree"
    for wrong in (right * 1.2, right * [0.0, 1.0], right * [1.0, 0.0]):
        assert verdict(func, wrong, at) != "agree"


def test_a_rounded_J():
    def func(x):
        return round(x * math.sin(x), 6)

    right = math.sin(0.7) + 0.7 * math.cos(0.7)
    assert verdict(func, of(right), 0.7) != "disagree"
    assert verdict(func, of(right * 1.1), 0.7) == "disagree"


def test_a_func_in_float32_is_recognised():
    rng = np.random.default_rng(0)
    weights, x = (rng.normal(size=shape).astype(np.float32) for shape in ((6, 4), (4, 3)))

    def func(w):
        return np.sum(np.tanh(w.astype(np.float32) @ x))

    right = ((1 - np.tanh(weights @ x) ** 2) @ x.T).astype(float)
    value = check_gradients(func, of(right), weights.astype(float))
    assert (value.verdict, value.precision) == ("agree", "float32")
    assert 1e-5 < value.resolution < 1e-2
    demanded = check_gradients(func, of(right), weights.astype(float), rtol=1e-7)
    assert demanded.verdict == "inconclusive"
    assert "float32" in demanded.message()
    wrong = right.copy()
    wrong[2, 1] *= 1.1
    report = check_gradients(func, of(wrong), weights.astype(float))
    assert [entry.label for entry in report.worst if entry.verdict == "disagree"] == [
        "params[2, 1]"
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("values", [(0.1, 0.2, 0.3), (1.0, 2.0, 3.0), (-4.0, 0.5, 100.0)])
def test_narrow_parameters_are_evaluated_in_float64_when_func_allows(dtype, values):
    theta = np.array(values, dtype=dtype)
    seen = set()

    def func(t):
        seen.add(t.dtype)
        return np.sum(t**2)

    value = check_gradients(func, lambda t: 2 * t, theta)
    assert value.verdict == "agree"
    assert np.dtype(float) in seen
    assert (value.evidence.error_bar < 1e-6 * np.abs(value.evidence.numeric)).all()
    assert verdict(func, lambda t: t * dtype(2.5), theta) == "disagree"


def test_narrow_number_leaves_are_evaluated_in_float64_too():
    params = {"k": np.float32(0.9), "W": np.array([0.3, 1.7], np.float32)}

    def func(p):
        return float(np.sum(np.sin(p["W"])) + p["k"] ** 3)

    right = {"k": 3 * 0.9**2, "W": np.cos(params["W"].astype(float))}
    value = check_gradients(func, right, params)
    assert value.verdict == "agree"
    assert value.resolution < 1e-6


def test_a_func_that_insists_on_float32_is_judged_at_that():
    theta = np.array([0.3, 1.7, 2.2], np.float32)

    def func(t):
        if t.dtype != np.float32:
            raise TypeError("float32 only")
        return np.sum(np.sin(t))

    assert verdict(func, lambda t: np.cos(t), theta) == "agree"
    assert verdict(func, lambda t: 1.1 * np.cos(t), theta) == "disagree"


def test_a_gradient_in_float32_of_a_func_in_float64():
    theta = np.linspace(0.1, 2.0, 30)
    assert (
        verdict(lambda t: float(np.sum(t**3)), lambda t: (3 * t**2).astype(np.float32), theta)
        == "agree"
    )
    assert (
        verdict(lambda t: float(np.sum(t**3)), lambda t: (3.003 * t**2).astype(np.float32), theta)
        == "disagree"
    )


# -- what does not repeat itself -------------------------------------------------------------------


def test_a_func_that_does_not_repeat_itself_is_blamed_before_the_gradient():
    rng = np.random.default_rng(0)
    grads = []

    def func(t):
        return float(np.sum(t**2 * rng.normal(size=2)))

    def grad(t):
        grads.append(1)
        return 100 * t

    value = check_gradients(func, grad, THETA)
    assert (value.verdict, value.wrong) == ("inconclusive", 0)
    assert value.evaluations <= 3
    assert value.message().startswith("func does not repeat itself: ")
    assert "dropout" in value.message()
    assert value.summary().split(": ")[1].startswith("inconclusive, ")  # of no entry, not "of 0"


def test_a_grad_that_does_not_repeat_itself():
    rng = np.random.default_rng(0)
    value = check_gradients(
        lambda t: float(t @ t), lambda t: 2 * t * rng.uniform(0.5, 1.5, size=2), THETA
    )
    assert (value.verdict, value.wrong) == ("inconclusive", 0)
    assert value.message().startswith("grad does not repeat itself: params[")


def test_nondet_tol_allows_known_jitter_and_enters_the_error_bar():
    rng = np.random.default_rng(0)

    def func(t):
        return float(np.sum(np.sin(t)) + 1e-9 * rng.uniform(-1, 1))

    value = check_gradients(func, of(np.cos(THETA)), THETA, nondet_tol=4e-9)
    assert value.verdict == "agree"
    assert value.resolution > 1e-7
    assert verdict(func, of(1.2 * np.cos(THETA)), THETA, nondet_tol=4e-9) == "disagree"
    assert verdict(func, of(np.cos(THETA)), THETA, nondet_tol=4e-9, rtol=1e-8) == "inconclusive"
    # So little of J needs no permission: it is noise.
    assert verdict(func, of(np.cos(THETA)), THETA) == "agree"


def test_the_last_bits_of_a_threaded_sum_are_no_nondeterminism():
    signs = iter([1, -1] * 1000)

    def func(t):
        return float(np.sum(np.sin(t))) * (1 + next(signs) * 2.0**-52)

    assert verdict(func, of(np.cos(THETA)), THETA) == "agree"


# -- edges of the domain ---------------------------------------------------------------------------

EDGES = {
    "log": (np.log, lambda x: 1 / x, [1e-3, 1e-6, 1e-10, 1e-100]),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x), [1e-3, 1e-6, 1e-10, 1e-100]),
    "arcsin": (np.arcsin, lambda x: 1 / np.sqrt(1 - x * x), [1 - 1e-3, 1 - 1e-6, 1e-6 - 1]),
    "barrier": (lambda x: -np.log(1 - x), lambda x: 1 / (1 - x), [1 - 1e-3, 1 - 1e-8]),
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2, [1e-3, -1e-8]),
    "math.log": (math.log, lambda x: 1 / x, [1e-3, 1e-10]),
    "x log x": (lambda x: x * np.log(x), lambda x: np.log(x) + 1, [1e-3, 1e-8]),
    "inf beyond": (lambda x: x * x if x < 2 + 1e-9 else math.inf, lambda x: 2 * x, [2.0]),
    "-inf beyond": (lambda x: x * x if x > 2 - 1e-9 else -math.inf, lambda x: 2 * x, [2.0]),
    "nan beyond": (lambda x: x * x if x < 2 + 1e-9 else math.nan, lambda x: 2 * x, [2.0]),
    "closed at 1": (lambda x: x**1.5 if x <= 1 else math.nan, lambda x: 1.5 * x**0.5, [1.0]),
    "overflow": (lambda x: np.exp(x) * 1e-300, lambda x: np.exp(x) * 1e-300, [709.78]),
}


@pytest.mark.parametrize("name", EDGES)
def test_at_the_edge_of_the_domain(name):
    func, slope, points = EDGES[name]
    for x in points:
        right = float(slope(x))
        assert verdict(func, of(right), x) == "agree", x
        assert verdict(func, of(right * 1.01), x) == "disagree", x
        assert verdict(func, of(-right), x) == "disagree", x


@pytest.mark.parametrize("at", [1.0, 1.0 - 1e-7])
def test_a_func_that_raises_above_its_domain_is_differenced_below(at):
    def func(x):
        return math.sqrt(1 - x) ** 5 + 3 * x

    slope = 3 - 2.5 * (1 - at) ** 1.5
    assert verdict(func, of(slope), at) == "agree"
    assert verdict(func, of(1.001 * slope), at) == "disagree"


def test_one_entry_at_an_edge_among_others():
    theta = np.array([1.5, 1e-9, 2.5])
    wrong = 1 / theta
    wrong[1] *= 1.01
    for beyond in (math.nan, math.inf, -math.inf):

        def func(t, beyond=beyond):
            return float(np.sum(np.log(t))) if (t > 0).all() else beyond

        assert verdict(func, of(1 / theta), theta) == "agree"
        report = check_gradients(func, of(wrong), theta)
        assert [entry.label for entry in report.worst] == ["params[1]"]


def test_cholesky_near_singular():
    matrix = np.array([[1.0, 1 - 1e-6], [1 - 1e-6, 1.0]])

    def func(a):
        return float(2 * np.sum(np.log(np.diag(np.linalg.cholesky(a)))))

    # The factorisation reads the lower half alone.
    inverse = np.linalg.inv(matrix)
    right = np.array([[inverse[0, 0], 0.0], [2 * inverse[1, 0], inverse[1, 1]]])
    assert verdict(func, of(right), matrix) == "agree"
    assert verdict(func, of(right * [[1, 1], [1.01, 1]]), matrix) == "disagree"


def test_where_nothing_near_is_finite_is_inconclusive_and_says_so():
    value = check_gradients(lambda x: 1.0 if x == 0.5 else math.nan, of(0.3), 0.5)
    assert value.verdict == "inconclusive"
    assert "not finite" in value.message()


# -- complex parameters ----------------------------------------------------------------------------


def modulus4(z):
    return float(np.sum(np.abs(z) ** 4) + np.sum(z.real * z.imag))


def modulus4_slope(z):
    return 4 * np.abs(z) ** 2 * z + (z.imag + 1j * z.real)


def test_complex_parameters_and_their_convention():
    """The gradient is ∂J/∂Re + i·∂J/∂Im; its conjugate, another convention, is caught."""
    z = np.array([[0.3 + 0.4j, -1.2 + 0.7j], [0.5 - 0.5j, 2.0 + 0.1j]])
    assert verdict(modulus4, modulus4_slope, z) == "agree"
    conjugate = check_gradients(modulus4, lambda p: modulus4_slope(p).conj(), z)
    assert {entry.label for entry in conjugate.worst} == {
        f"params[{i}, {j}].imag" for i in (0, 1) for j in (0, 1)
    }
    half = check_gradients(modulus4, lambda p: modulus4_slope(p) / 2, z)
    assert half.wrong == 8


def test_one_part_of_one_entry():
    z = np.array([0.3 + 0.4j, -1.2 + 0.7j])
    wrong = modulus4_slope(z)
    wrong[1] = complex(wrong[1].real * 1.001, wrong[1].imag)
    report = check_gradients(modulus4, of(wrong), z)
    assert [(entry.label, entry.index) for entry in report.worst] == [("params[1].real", (1,))]


# -- vacuous ---------------------------------------------------------------------------------------


def test_a_constant_func_checks_nothing():
    value = check_gradients(lambda t: 3.0, lambda t: 0 * t, THETA)
    assert (value.verdict, value.ok, value.vacuous) == ("inconclusive", False, ("params",))
    assert "nothing was checked" in value.message()
    assert check_gradients(lambda t: 3.0, lambda t: 0 * t, THETA, vacuous="pass").ok
    assert verdict(lambda t: 3.0, lambda t: 0 * t + 1e-9, THETA) == "disagree"


def test_where_all_was_checked_vacuous_says_nothing():
    options = {"vacuous": "fail", "threshold": 1e-3}
    report = check_gradients(lambda t: float(t @ t), lambda t: 2 * t, np.ones(3), **options)
    assert (report.verdict, report.ok) == ("agree", True)


def test_a_stationary_point_agrees_with_a_remark():
    value = check_gradients(lambda t: float(t @ t), lambda t: 2 * t, np.zeros(3))
    assert (value.verdict, value.ok) == ("agree", True)
    assert "at a stationary point" in value.summary()
    assert "a wrong factor would not be seen here" in value.details()
    value = check_gradients(lambda t: float(t @ t), lambda t: 2 * t, np.zeros(3), vacuous="fail")
    assert (value.verdict, value.ok) == ("inconclusive", False)
    assert "not stationary" in value.message()
    assert verdict(lambda t: float(t @ t), lambda t: 2 * t + 1e-3, np.zeros(3)) == "disagree"


def test_nothing_is_called_zero_that_is_only_unknown():
    """A jump or a vertical slope has an error bar that holds zero: that is no stationary point."""
    for func, x in ((lambda x: x + (x > 1.0), 1.0), (math.sqrt, 0.0), (np.cbrt, 0.0)):
        value = check_gradients(func, of(0.5), x)
        assert value.verdict != "agree"
        assert "stationary" not in value.message()


def test_a_dead_layer_is_named_and_the_rest_is_checked():
    params = {"W": np.full((2, 2), -1.0), "b": np.array([0.4, 0.5])}

    def func(p):
        return float(np.sum(np.maximum(p["W"], 0)) + np.sum(p["b"] ** 2))

    right = {"W": np.zeros((2, 2)), "b": 2 * params["b"]}
    value = check_gradients(func, right, params)
    assert (value.ok, value.verdict, value.vacuous) == (True, "agree", ("W",))
    assert ", nothing checked in W," in value.summary()
    value = check_gradients(func, right, params, vacuous="fail")
    assert (value.ok, value.verdict, value.vacuous) == (False, "inconclusive", ("W",))
    assert value.message().startswith("W: nothing was checked, func does not depend on it here")
    assert check_gradients(func, right, params, vacuous="pass").verdict == "agree"
    wrong = check_gradients(func, {**right, "b": 3 * params["b"]}, params, vacuous="pass")
    assert (wrong.wrong, wrong.vacuous) == (2, ("W",))


def test_a_few_zero_entries_in_a_block_are_no_vacuous_block():
    theta = np.array([0.5, -1.0, -2.0])
    value = check_gradients(
        lambda t: float(np.sum(np.maximum(t, 0) ** 2)), lambda t: 2 * np.maximum(t, 0), theta
    )
    assert (value.verdict, value.ok, value.vacuous) == ("agree", True, ())


def test_a_block_that_func_ignores_with_a_gradient_is_wrong_and_not_vacuous():
    value = check_gradients(lambda p: p["a"] ** 2, of({"a": 2.0, "b": 1.0}), {"a": 1.0, "b": 1.0})
    assert (value.verdict, value.vacuous) == ("disagree", ())


# -- gradients that are no numbers -----------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "options", [{}, {"eps": 1e-6}, {"rtol": 1e-3}, {"scheme": "complex"}, {"atol": 1.0}]
)
def test_a_gradient_that_is_not_finite_disagrees(bad, options):
    value = check_gradients(
        lambda t: np.sum(t * t), lambda t: np.array([bad, 2 * t[1]]), THETA, **options
    )
    assert (value.verdict, value.wrong, value.open) == ("disagree", 1, 0)


# -- a given step ----------------------------------------------------------------------------------


def test_a_given_step_judges_by_that_step():
    def func(t):
        return float(np.sum(np.sin(t)))

    assert verdict(func, lambda t: np.cos(t), THETA, eps=1e-5, rtol=1e-5) == "agree"
    assert verdict(func, lambda t: 1.001 * np.cos(t), THETA, eps=1e-5, rtol=1e-5) == "disagree"
    assert check_gradients(abs, of(0.3), 0.0, eps=1e-6).kinks == 1
    assert verdict(abs, of(1.2), 0.0, eps=1e-6, rtol=1e-5) == "disagree"


STEEP = np.array([0.2, -0.5, 1.3, 4.0])

AT_A_GIVEN_STEP = {
    "a fast sine": (lambda x: np.sum(np.sin(900 * x)), lambda x: 900 * np.cos(900 * x), STEEP),
    "a barrier": (lambda x: -np.sum(np.log(x)), lambda x: -1 / x, np.geomspace(3e-5, 0.4, 5)),
    "a well": (
        lambda r: np.sum(4 * (r**-12 - r**-6)),
        lambda r: 4 * (6 * r**-7 - 12 * r**-13),
        np.linspace(0.85, 2.5, 6),
    ),
    "a minimum": (lambda x: np.sum((x - STEEP) ** 2), lambda x: 2 * (x - STEEP), STEEP + 1e-9),
    "a constant of 1e9": (lambda x: 1e9 + np.sum(np.cos(x)), lambda x: -np.sin(x), STEEP),
    "six digits": (lambda x: float(f"{x @ x:.6g}"), lambda x: 2 * x, STEEP),
}


@pytest.mark.parametrize("scheme", ["central", "forward"])
@pytest.mark.parametrize("name", AT_A_GIVEN_STEP)
def test_a_given_step_that_can_not_tell_accuses_nothing(name, scheme):
    """Its truncation and its noise are known by other steps, which what looks wrong is asked at."""
    func, grad, theta = AT_A_GIVEN_STEP[name]
    right = [check_gradients(func, grad, theta, eps=10.0**-k, scheme=scheme) for k in range(1, 9)]
    assert "disagree" not in [report.verdict for report in right]
    told = [report.message() for report in right if "within eps" in str(report.reasons)]
    assert told
    assert all("leave eps out" in message for message in told)
    wrong = check_gradients(func, lambda x: grad(x) + 1, theta, eps=1e-5, scheme=scheme)
    assert wrong.verdict == "disagree"


def test_a_given_step_beside_a_kink():
    assert verdict(abs, of(1.0), 1e-3, eps=1e-5, rtol=1e-3) == "agree"
    assert verdict(abs, of(-1.0), 1e-3, eps=1e-5, rtol=1e-3) == "disagree"


@pytest.mark.parametrize("size", [1.0, 1e6])
@pytest.mark.parametrize("seed", range(8))
def test_a_bias_before_a_normalisation_has_no_gradient_but_rounding(seed, size):
    """A bias of a million makes that rounding a million times larger, and the gradient no less."""
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(20, 3)), rng.normal(size=20)
    params = {"W": rng.normal(size=(3, 4)), "b": size * rng.normal(size=4), "v": rng.normal(size=4)}

    def forward(p):
        z = x @ p["W"] + p["b"]
        deviation = np.sqrt(z.var(axis=0) + 1e-5)
        h = (z - z.mean(axis=0)) / deviation
        return h, deviation, np.tanh(h @ p["v"]) - t

    def cost(p):
        return np.sum(forward(p)[-1] ** 2)

    def grad(p):
        h, deviation, gap = forward(p)
        do = 2 * gap * (1 - (gap + t) ** 2)
        dh = np.outer(do, p["v"])
        dz = (dh - dh.mean(axis=0) - h * (dh * h).mean(axis=0)) / deviation
        return {"W": x.T @ dz, "b": dz.sum(axis=0), "v": h.T @ do}

    assert 0 < np.abs(grad(params)["b"]).max() < 1e-12 * size * 100
    report = check_gradients(cost, grad, params)
    assert report.verdict == "agree", report
    off = check_gradients(cost, lambda p: grad(p) | {"b": 1e-8 * size * np.ones(4)}, params)
    assert off.verdict == "disagree"


@pytest.mark.parametrize("wrong", [1e-8, 1e-4])
def test_what_moves_by_rounding_alone_denies_a_slope(wrong):
    """At steps of hundreds a softmax rounds its logits more coarsely: that is no stair of it."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(20, 2)), np.eye(3)[rng.integers(0, 3, 20)]

        def chances(p, x=x):
            z = x @ p["W"] + p["offset"]
            e = np.exp(z - z.max(1, keepdims=True))
            return e / e.sum(1, keepdims=True)

        def cost(p, y=y, chances=chances):
            return -np.mean(np.log(np.sum(chances(p) * y, 1)))

        def grad(p, x=x, y=y, chances=chances):
            gap = (chances(p) - y) / 20
            return {"W": x.T @ gap, "offset": gap.sum() + wrong}

        params = {"W": rng.normal(size=(2, 3)), "offset": 1.0}
        assert check_gradients(cost, grad, params).verdict == "disagree"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [2, 4])
def test_zero_at_the_bottom_of_a_bowl_without_an_offset(power, dtype):
    """J and its noise are zero there in float32, too: nothing hides a slope."""

    def check(off):
        x = np.zeros(4, dtype)
        return verdict(lambda x: np.sum(x**power), lambda x: power * x ** (power - 1) + off, x)

    assert check(dtype(0)) == "agree"
    assert check(dtype(1e-6)) == "disagree"


@pytest.mark.parametrize(
    ("rate", "start", "steps"), [(3.9, 0.3, 50), (3.9, 0.3, 60), (3.7, 0.41, 80)]
)
def test_chaos_that_float64_can_hardly_follow_accuses_nobody(rate, start, steps):
    def orbit(p):
        x, dx = p[1], np.array([0.0, 1.0])
        for _ in range(steps):
            x, dx = p[0] * x * (1 - x), p[0] * (1 - 2 * x) * dx + np.array([x * (1 - x), 0.0])
        return x, dx

    report = check_gradients(lambda p: orbit(p)[0], lambda p: orbit(p)[1], np.array([rate, start]))
    assert report.verdict != "disagree"
