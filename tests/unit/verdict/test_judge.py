"""All coordinates at once, function by function: tolerances, the sweep, what is asked again.

Every value here is worked out by hand from the formulas of docs/numerics.md, on functions whose
derivatives are known.
"""

import math
import sys
import warnings
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from by_hand import RHO, approx, each, prepared

from pytest_gradcheck import relative_difference
from pytest_gradcheck._constants import TRIED
from pytest_gradcheck._difference import every_coordinate as coordinates
from pytest_gradcheck._difference.every_coordinate import differenced
from pytest_gradcheck._difference.noise_and_extrapolation import Noise
from pytest_gradcheck._difference.stencils_and_steps import STENCILS
from pytest_gradcheck._evaluate.problem import Analytic
from pytest_gradcheck._options import UNSET, Options
from pytest_gradcheck._params.layout import Block
from pytest_gradcheck._verdict import judge as _judge
from pytest_gradcheck._verdict.judge import _claims_little, conclude, curvature
from pytest_gradcheck._verdict.tolerance_and_comparison import (
    AGREE,
    BENDS,
    DISAGREE,
    EXHAUSTED,
    JUMP,
    KINK,
    NOISY,
    NOT_FINITE,
    NOT_SMOOTH,
    OPEN,
    Comparison,
    Tolerance,
    block_size,
    tolerance,
)

NAN, INF, EPS = math.nan, math.inf, sys.float_info.epsilon


def block(name, start, stop):
    return Block(name, (stop - start,), np.dtype(float), False, start, stop, 0)


def limits(n, **given):
    """Return tolerances, each a number or n numbers, 0 where nothing is given."""
    names = ("analytic", "rtol", "atol", "dust", "goal_rtol", "goal_atol", "rms")
    return Tolerance(*(np.broadcast_to(given.get(name, 0.0), n).astype(float) for name in names))


def compared(numeric, error, verdict=OPEN, bound=INF, analytic=None, made=None):
    numeric = np.array(numeric, dtype=float)
    analytic = numeric if analytic is None else np.array(analytic, dtype=float)
    made = made or limits(numeric.size, rtol=1e-7, goal_rtol=1e-5)

    def full(value, dtype=float):
        return np.broadcast_to(value, numeric.shape).astype(dtype)

    made = replace(made, analytic=analytic)
    every = full(True, bool)
    return Comparison(
        made, numeric, full(error), every, ~every, full(bound), full(verdict, np.int8)
    )


def of_sweep(found, analytic, made=None):
    """Return a sweep beside an analytic gradient, nothing judged yet."""
    analytic = np.array(analytic, dtype=float)
    made = replace(made or limits(analytic.size), analytic=analytic)
    return _judge.unjudged(made, found)


def case_of(problem, sweep, options=UNSET):
    """Return what the steps of a verdict are given, of which they ask for no analytic gradient."""
    return _judge.Case(problem, None, sweep, options)


# -- _compare: the difference of the course --------------------------------------------------------


def test_relative_difference():
    assert relative_difference([4.0, 0.0], [1.0, 0.0]) == 0.6
    assert relative_difference([3.0, 4.0], [0.0, 0.0]) == 1.0
    assert relative_difference([3.0, 4.0], [-3.0, -4.0]) == 1.0
    assert relative_difference(np.float32([3.0]), np.float32([1.0])) == 0.5
    assert relative_difference(3, 1) == 0.5
    assert relative_difference([0.0, 0.0], [0, 0]) == 0.0
    assert relative_difference([], []) == 0.0
    assert relative_difference([1j], [1.0]) == approx(math.sqrt(2) / 2)
    assert relative_difference([True], [False]) == 1.0
    # Nothing overflows, nor vanishes.
    assert relative_difference([1.7e308] * 3, [-1.7e308] * 3) == approx(1.0)
    assert relative_difference([3e-320], [1e-320]) == pytest.approx(0.5, rel=1e-3)
    assert relative_difference([1.0], [NAN]) is not relative_difference([1.0], [1.0])
    for a, b in ((NAN, 1.0), (1.0, NAN), (NAN, INF)):
        assert math.isnan(relative_difference([a], [b]))
    assert relative_difference([INF], [1.0]) == INF
    assert relative_difference([1.0], [-INF]) == INF
    # float32 values are differenced in float64: 1 + 2⁻²³ and 1.
    assert relative_difference(np.float32([1 + 2.0**-23]), np.float32([1])) == approx(
        2.0**-23 / (2 + 2.0**-23)
    )
    half = np.ones(5000, np.float16)
    assert relative_difference(half, half * (np.arange(5000) == 0)) == approx(
        math.sqrt(4999) / (math.sqrt(5000) + 1)
    )
    wide = np.longdouble(1) + np.finfo(np.longdouble).eps
    assert relative_difference(wide, np.longdouble(1)) > 0


def test_relative_difference_of_containers():
    a = {"W": np.array([[3.0], [0.0]]), "b": 4.0}
    b = {"b": 0.0, "W": np.array([[0.0], [0.0]])}
    assert relative_difference(a, b) == 1.0
    assert relative_difference(
        {"W": np.array([[4.0], [0.0]]), "b": 0.0}, {**b, "b": 1.0}
    ) == approx(math.sqrt(17) / 5)
    assert relative_difference([np.ones(2), np.ones(3)], [np.ones(2), np.ones(3)]) == 0.0
    with pytest.raises(ValueError, match=r"shapes differ: \(2,\) and \(3,\)"):
        relative_difference([1, 2], [1, 2, 3])
    with pytest.raises(ValueError) as caught:
        relative_difference({"W": np.ones(2)}, {"W": np.ones(3)})
    assert str(caught.value).startswith("a of W has shape (2,), but ")
    with pytest.raises(ValueError, match="a "):
        relative_difference({"V": 1.0}, {"W": 1.0})
    with pytest.raises(TypeError, match="a "):
        relative_difference({"W": "x"}, {"W": 1.0})


# -- _compare: tolerances --------------------------------------------------------------------------


def test_a_tolerance_of_one_coordinate_and_of_all():
    made = limits(
        2,
        analytic=[9, 7],
        rtol=[9, 0.5],
        atol=[9, 2],
        dust=[9, 3],
        goal_rtol=[9, 4],
        goal_atol=[9, 5],
    )
    asked = made.at(1)
    assert (asked.analytic, asked.rtol, asked.atol, asked.dust) == (7.0, 0.5, 2.0, 3.0)
    assert (asked.goal_rtol, asked.goal_atol) == (4.0, 5.0)
    assert type(asked.analytic) is type(asked.rtol) is float
    made = limits(3, analytic=[-4.0, 1.0, NAN], rtol=0.5, atol=2)
    found = made.allowed(np.array([2.0, -8.0, 2.0]), np.array([0.0, 2.0, 0.0]))
    assert found.tolist() == [4.0, 9.0, 3.0]


RULES = {"rtol": 0.125, "atol": 0.25, "dust": 1e-3, "goal_rtol": 0.125, "goal_atol": 0.25}


def test_one_value_is_judged_as_every_one_of_a_vector_is():
    """One rule: the same code for both, and the same answers."""
    rng = np.random.default_rng(0)
    analytic, numeric = (rng.choice([0.0, 1e-3, -1e-3, 1.0, -4.0, INF], 500) for _ in range(2))
    error = rng.choice([0.0, 1e-4, 0.5, INF], 500)
    made = limits(500, analytic=analytic, **RULES)
    for rule in ("within", "settled", "allowed"):
        whole = getattr(made, rule)(numeric, error).tolist()
        each = [getattr(made.at(i), rule)(float(numeric[i]), float(error[i])) for i in range(500)]
        np.testing.assert_array_equal(each, whole)


def test_the_gradient_of_a_block_as_one_number():
    one = np.ones(2)
    assert block_size(np.array([3.0, 4.0]), one) == approx(math.sqrt(12.5))
    assert block_size(np.array([3.0, -2.0]), np.array([1.0, 2.0])) == approx(math.sqrt(12.5))
    assert block_size(np.array([3.0, NAN]), one) == 3.0
    assert block_size(np.array([-3.0, INF]), one) == 3.0
    assert block_size(np.array([NAN, INF]), one) == 0.0
    assert block_size(np.zeros(2), one) == 0.0
    assert block_size(np.empty(0), np.empty(0)) == 0.0
    assert block_size(np.array([1e200, -1e200]), one) == 1e200
    assert block_size(np.array([1e-200, 1e-200]), one) == 1e-200
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert block_size(np.array([1e300, 1.0]), np.array([1e300, 2.0])) == 2.0


W, B = block("W", 0, 2), block("b", 2, 3)


def tolerances(eps=EPS, fine=3e-6, value=0.0, **options):
    """Of W with gradient times scale (3, 8), rms √36.5, and of b with 1."""
    return tolerance(
        np.zeros(3),
        np.array([3.0, 4.0, 1.0]),
        np.array([1.0, 2.0, 1.0]),
        (W, B),
        (eps, EPS),
        Options(**options),
        fine,
        value,
    )


RMS = math.sqrt(36.5)


def test_tolerances_where_nothing_is_asked():
    found = tolerances()
    assert found.rms.tolist() == each(RMS, RMS / 2, 1.0)
    assert found.rtol.tolist() == [1e-7] * 3
    assert found.atol.tolist() == found.goal_atol.tolist() == [0.0] * 3
    assert found.goal_rtol.tolist() == [3e-6] * 3
    # 32 eps of the block, or of J, or of 0.1 where that is smaller still; of no less of J over a
    # scale above 1.
    assert found.dust.tolist() == each(32 * EPS * RMS, 16 * EPS * RMS, 32 * EPS)
    found = tolerances(value=100.0)
    assert found.dust.tolist() == each(3200 * EPS, 3200 * EPS, 3200 * EPS)
    rest = np.ones(1), (block("x", 0, 1),), (EPS,), Options(), 1e-6
    small = tolerance(np.zeros(1), np.array([1e-3]), *rest, 1e-3)
    assert small.dust.tolist() == each(3.2 * EPS)
    small = tolerance(np.zeros(1), np.array([1e-3]), *rest)
    assert small.dust.tolist() == each(3.2 * EPS)
    assert tolerances(fine=1e-3).goal_rtol.tolist() == [1e-3] * 3
    assert tolerances(fine=0.5).goal_rtol.tolist() == [1e-2] * 3
    assert tolerances(fine=1e-8).goal_rtol.tolist() == [1e-8] * 3


def test_tolerances_of_a_gradient_in_a_narrow_format():
    eps = 2.0**-24
    found = tolerances(eps=eps)
    assert found.rtol.tolist() == each(2.0**-16, 2.0**-16, 1e-7)
    assert found.atol.tolist() == [approx(32 * eps * RMS), approx(16 * eps * RMS), 0.0]
    assert found.goal_atol.tolist() == found.atol.tolist()
    assert found.goal_rtol.tolist() == each(2.0**-15, 2.0**-15, 3e-6)
    assert tolerances(eps=eps, fine=1e-3).goal_rtol.tolist() == [1e-3] * 3
    found = tolerances(eps=2.0**-9)
    assert found.rtol.tolist() == [1e-2, 1e-2, 1e-7]
    assert found.goal_rtol.tolist() == [1e-2, 1e-2, 3e-6]
    assert tolerances(eps=2.0**-24, rtol=1e-6).rtol.tolist() == [1e-6] * 3
    assert tolerances(eps=1e-10).atol.tolist() == [0.0] * 3


def test_tolerances_that_are_asked_for():
    found = tolerances(rtol=1e-4, fine=0.5)
    assert found.rtol.tolist() == found.goal_rtol.tolist() == [1e-4] * 3
    common = 1e-6 * RMS / math.sqrt(2.5)  # by the scale of both coordinates, 1 and 2
    assert found.atol.tolist() == each(32 * EPS * RMS, 16 * EPS * RMS, 32 * EPS)
    assert found.goal_atol.tolist() == each(1e-6 * RMS, max(0.5e-6 * RMS, common), 1e-6)
    found = tolerances(rtol=1e-4, atol=2.0)
    assert found.atol.tolist() == found.goal_atol.tolist() == [2.0] * 3
    found = tolerances(atol=2.0)
    assert found.goal_atol.tolist() == [2.0] * 3
    assert found.goal_rtol.tolist() == [3e-6] * 3
    assert tolerances(rtol=0.0).rtol.tolist() == [0.0] * 3
    with pytest.raises(ValueError, match="shorter"):
        tolerance(np.ones(3), np.ones(3), np.ones(3), (W, B), (EPS,), Options(), 1e-6)


@pytest.mark.parametrize("off", [[2, -3, 4, 0], [-400, 2, 5, 3]])
@pytest.mark.parametrize("error", [0.0, 2.0**-30])
def test_rtol_allows_a_block_ten_times_what_three_entries_are_off_by(off, error):
    numeric, scale = np.array([8.0, 8.0, 8.0, 16.0]), np.array([1.0, 1.0, 1.0, 0.5])
    gap = np.array(off) * 2.0**-30 / scale
    bars, four = np.full(4, error) / scale, (block("x", 0, 4),)
    rest = numeric, scale, four, (EPS,), Options(rtol=1e-4)
    found = tolerance(numeric + gap, *rest, error=bars)
    third = sorted(map(abs, off))[1] * 2.0**-30 - 1.5 * error
    assert found.atol == approx(10 * third / scale)
    # But no more than a hundredth of rtol of the block.
    wide = tolerance(numeric + 1e4 * gap, *rest, error=bars)
    assert wide.atol == approx(np.full(4, 1e-6 * 8 / math.sqrt((3 + 0.25) / 4)))


# -- _compare: verdicts ----------------------------------------------------------------------------


def test_what_a_parameter_claims_that_is_too_small_to_move_func():
    """A millionth of the largest parameter, or of 1, is near enough for steps that reach it."""
    analytic = np.array([9.0, 9.0, 0.25, 0.26, -0.26])
    scale = np.array([4.0, 1e-6, 0.9e-6, 0.9e-6, 0.9e-6])
    assert _claims_little(analytic, scale, 0.25).tolist() == [True, True, True, False, False]
    # At the size of the largest, ½, 0.4 comes to 0.2 and 0.6 to 0.3.
    scale = np.array([0.5, 1e-9, 1e-9])
    assert _claims_little(np.array([9.0, 0.4, 0.6]), scale, 0.25).tolist() == [True, True, False]
    assert _claims_little(np.empty(0), np.empty(0), 0.25).size == 0


def test_a_structure_without_end_is_named_as_the_argument_that_it_is():
    deep = [1.0]
    for _ in range(300):
        deep = [deep]
    for name, pair in (("a", (deep, [1.0])), ("b", ([1.0], deep))):
        with pytest.raises(ValueError, match=f"^{name} is nested too deeply"):
            relative_difference(*pair)


def test_within():
    # tol + 1.5·u = ¼ + ⅛·4 + 1.5·½ = 1.5 beside 4.
    made = limits(6, atol=0.25, rtol=0.125)
    analytic = [2.5, 2.49, 4.0, -4.0, 4.0, 1e9]
    numeric, error = [4.0, 4.0, 5.5, -5.5, NAN, 4.0], [0.5] * 5 + [INF]
    judged = compared(numeric, error, analytic=analytic, made=made).within()
    assert judged.tolist() == [True, False, True, True, False, True]
    # Dust is an excuse only where n is within 15 error bars of zero.
    numeric, error = [0.0, 2e-3, 2e-3, 0.0], [0.0, 2e-3 / 15, 1.9e-3 / 15, 0.0]
    analytic = [1e-3, 1e-3, 1e-3, 1.1e-3]
    judged = compared(numeric, error, analytic=analytic, made=limits(4, dust=1e-3)).within()
    assert judged.tolist() == [True, True, False, False]


def test_settled():
    # ¼ + ⅛·4 = 0.75 beside 1.5·½.
    made = limits(6, goal_atol=0.25, goal_rtol=0.125)
    numeric, error = [4.0, 1.0, -3.9, NAN, 4.0, 4.0], [0.5, 0.5, 0.5, 0.5, 0.501, INF]
    analytic = [1.0, -4.0, 1.0, 4.0, 1.0, 1.0]
    found = compared(numeric, error, analytic=analytic, made=made)
    judged = found.tolerance.settled(found.numeric, found.error)
    assert judged.tolist() == [True, True, False, True, False, False]


def test_infinite_values_are_judged_without_a_warning():
    made, bars = limits(4, dust=1.0), [INF, 1.0, 0.0, 1.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compared([INF, NAN, -INF, 1.0], bars, analytic=[1.0, NAN, -INF, INF], made=made)
        assert found.tolerance.settled(found.numeric, found.error).tolist() == [False] * 4
        found = compared([INF, NAN, -INF, 1.0], bars, analytic=[INF, 1.0, -INF, INF], made=made)
        assert found.within().tolist() == [False] * 4
        found.verdict[3] = DISAGREE
        assert concluded(found, [INF, 1.0, -INF, INF]) == [OPEN, OPEN, OPEN, DISAGREE]


def concluded(found, analytic, value=0.0, blocks=None, scale=None, made=None, **options):
    n = len(analytic)
    made = replace(made or found.tolerance, analytic=np.array(analytic, float))
    found = replace(found, tolerance=made)
    scale = np.ones(n) if scale is None else scale
    conclude(found, scale, blocks or [block("x", 0, n)], Options(**options), value)
    return found.verdict.tolist()


def test_agreement_counts_where_the_error_bar_is_small_beside_entry_or_block():
    # The block's size is 4.5 = rms(1, …): an entry is known to a thousandth of it, or a hundredth
    # of itself, or to the goal.
    numeric = [9.0, 1e-4, 1e-4, 1.0]
    rms = math.sqrt((81 + 1 + 2e-8) / 4)
    errors = [0.059, 0.99e-3 * rms / 1.5, 1.01e-3 * rms / 1.5, 0.0099 / 1.5]
    assert concluded(compared(numeric, errors), numeric) == [AGREE, AGREE, OPEN, AGREE]
    assert concluded(compared(numeric, errors, AGREE), numeric) == [AGREE, AGREE, OPEN, AGREE]
    assert concluded(compared([9.0], [0.061]), [9.0]) == [OPEN]
    # A demanded rtol knows none of these excuses.
    assert concluded(compared(numeric, errors), numeric, rtol=1e-7) == [OPEN] * 4
    good = [0.99e-5 * 9 / 1.5, 1e-9 / 1.5, 1.01e-9 / 1.5, 0.0]
    assert concluded(compared(numeric, good), numeric, rtol=1e-7) == [AGREE, AGREE, OPEN, AGREE]
    made = limits(4, rtol=1e-7, goal_rtol=1e-5, goal_atol=1e-9)
    assert concluded(compared(numeric, good), numeric, made=made, rtol=1e-7)[2] == AGREE
    made = limits(1, rtol=1e-7, goal_atol=1e-9)
    assert concluded(compared([1e-12], [6e-10]), [1e-12], made=made) == [AGREE]


def test_each_block_has_a_size_of_its_own_in_parts_of_the_scale():
    numeric = [100.0, 1e-6, 1.0, 1e-6]
    blocks = [block("x", 0, 2), block("y", 2, 4)]
    bar = 1e-3 * math.sqrt(0.5) / 1.5  # a thousandth of y, and less of x
    errors = [0.0, 0.99 * bar, 0.0, 1.01 * bar]
    assert concluded(compared(numeric, errors), numeric, blocks=blocks) == [
        AGREE,
        AGREE,
        AGREE,
        OPEN,
    ]
    errors[3] = 0.99 * bar
    assert concluded(compared(numeric, errors), numeric, blocks=blocks)[3] == AGREE
    # With scale 2 for that entry alone its error bar counts twice.
    scale = np.array([1.0, 1, 1, 2])
    assert concluded(compared(numeric, errors), numeric, blocks=blocks, scale=scale)[3] == OPEN


def test_zero_on_both_sides_counts_beside_everything_that_was_seen():
    def one(error, value=1.0, analytic=0.0, scale=1.0, **options):
        found = compared([0.0], [error])
        return concluded(found, [analytic], value, scale=np.array([scale]), **options)[0]

    just = 1e-6 / 1.5
    assert one(0.99 * just) == AGREE
    assert one(1.01 * just) == OPEN
    assert one(1.01 * just, value=2.0) == AGREE
    assert one(0.99 * just, scale=2.0) == OPEN
    assert one(0.99 * just, analytic=0.98e-6) == AGREE
    assert one(0.99 * just, rtol=1e-5) == AGREE
    assert one(1e-9 / 1.5, analytic=1e-9, rtol=1e-7) == AGREE
    assert one(1e-9 / 1.5, analytic=-1.00001e-9, rtol=1e-1, value=9.0) == OPEN
    # Other blocks count too.
    found = compared([0.0, 5.0], [2e-6, 0.0])
    assert concluded(found, [0.0, 5.0], blocks=[block("x", 0, 1), block("y", 1, 2)])[0] == AGREE
    found = compared([0.0, 2.0], [2e-6, 0.0])
    assert concluded(found, [0.0, 2.0], blocks=[block("x", 0, 1), block("y", 1, 2)])[0] == OPEN


def test_what_a_direction_bounds_is_as_good_as_an_error_bar():
    assert concluded(compared([1.0], [0.5], bound=1e-6), [1.0]) == [AGREE]
    assert concluded(compared([1.0], [0.5], bound=INF), [1.0]) == [OPEN]


def test_what_is_left_as_it_was():
    # What disagrees, what was never evaluated, and what does not agree.
    assert concluded(compared([1.0], [1e-9], DISAGREE), [1.0]) == [DISAGREE]
    assert concluded(compared([1.0], [INF], AGREE), [1.0]) == [AGREE]
    assert concluded(compared([NAN], [INF]), [1.0]) == [OPEN]
    assert concluded(compared([1.0], [1e-9]), [2.0]) == [OPEN]
    # What is special for its shape: reasons stay, and so does a kink's agreement.
    for reason in (BENDS, JUMP, NOT_SMOOTH):
        found = compared([1.0], [1e-9])
        found.reasons[0] = reason
        assert concluded(found, [1.0]) == [OPEN]
        assert found.reasons == {0: reason}
    found = compared([1.0, 1.0], [1.0, 1e-9], [AGREE, OPEN])
    found.reasons.update({0: KINK, 1: NOISY})
    found.slopes[0] = (0.0, 2.0)
    assert concluded(found, [1.5, 1.0]) == [AGREE, AGREE]
    assert found.reasons == {0: KINK}
    found = compared([1.0], [1.0])
    found.reasons[0] = NOISY
    assert concluded(found, [1.0]) == [OPEN]
    assert found.reasons == {0: NOISY}


def test_nothing_is_judged_at_first():
    numeric, error = np.array([1.0, NAN]), np.array([0.5, INF])
    found = Comparison.unjudged(limits(2), numeric, error, *np.ones((2, 2), bool))
    assert found.bound.tolist() == [INF] * 2
    assert found.verdict.tolist() == [OPEN] * 2
    assert found.verdict.dtype == np.int8
    # What is found out of them afterwards is no part of the sweep.
    found.numeric[:] = found.error[:] = 7.0
    assert (numeric[0], error[0]) == (1.0, 0.5)
    assert (found.reasons, found.slopes, found.ladders) == ({}, {}, {})


def test_the_largest_curvature():
    """|f''|·s²: 4·2² for x₁; what bends counts only once it was found smooth, a kink never."""
    problem, options = prepared(
        lambda p: 3 * p[0] + 2 * p[1] ** 2 - p[2], np.array([1.0, 2.0, 4.0])
    )
    noise = Noise(1e-12, 0.0, "")
    sweep = coordinates.sweep(problem, STENCILS["central"], noise, options, 1.0, None, 2.0**-6)
    judged = of_sweep(sweep, sweep.numeric)
    assert curvature(problem, sweep, judged) == approx(16.0)
    sweep.bent[1] = True
    assert curvature(problem, sweep, judged) == 0.0
    judged.verdict[1] = AGREE
    assert curvature(problem, sweep, judged) == approx(16.0)
    judged.slopes[1] = (0.0, 1.0)
    assert curvature(problem, sweep, judged) == 0.0
    assert curvature(problem, coordinates.unevaluated(problem), judged) == 0.0


# -- _judge ----------------------------------------------------------------------------------------


def judged(func, analytic, params, denied=None, jitter=0.0, at=None, **given):
    """Return what a check comes to, and what it cost beyond the first differences."""
    problem, options = prepared(func, params, **given)
    made = Analytic(np.array(analytic, dtype=float), (EPS,) * len(problem.blocks), jitter, "", at)
    found = differenced(problem, made, options)
    before = problem.evaluator.evaluations
    comparison = _judge.judge(problem, made, found, options, denied)
    return comparison, problem.evaluator.evaluations - before


def verdicts(*args, **given):
    return judged(*args, **given)[0].verdict.tolist()


def exponentials(x):
    return float(np.sum(np.exp(x)))


THETA = np.array([0.1, 0.5, -0.7, 1.2])
RIGHT = np.exp(THETA)


def test_right_entries_need_nothing_more():
    found, cost = judged(exponentials, RIGHT, THETA)
    assert found.verdict.tolist() == [AGREE] * 4
    assert cost == 0
    assert (found.reasons, found.slopes, found.ladders) == ({}, {}, {})


def told_at_once(func, analytic, theta, direction=1.0, **given):
    """Return what the error bars alone say, and what all of a verdict does, of the same sweep."""
    problem, options = prepared(func, theta, **given)
    made = Analytic(np.array(analytic, dtype=float), (EPS,) * len(problem.blocks))
    found = differenced(problem, made, options)
    value, error = found.noise.slope
    found = replace(found, noise=replace(found.noise, slope=(direction * value, error)))
    plain, cost = _judge.plainly_right(problem, made, found, options), problem.evaluator.evaluations
    comparison = _judge.judge(problem, made, found, options)
    return plain and plain(), comparison, problem.evaluator.evaluations - cost


FINE = np.linspace(-2.0, 3.0, 9)
PLAIN = {
    "exponentials": (exponentials, RIGHT, THETA),
    "a quadratic": (lambda x: float(x @ x), 2 * FINE, FINE),
    "tanh, a large constant": (
        lambda x: float(np.tanh(x).sum() + 8),
        1 - np.tanh(FINE / 2) ** 2,
        FINE / 2,
    ),
    "one number": (lambda x: float(3.7 * x[0]), [3.7], np.array([0.3])),
    "by 1e-10": (exponentials, RIGHT * (1 + 1e-13), THETA),
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(
    "given", [{}, {"eps": 1e-5}, {"atol": 1e-9}, {"scheme": "central4"}], ids=str
)
def test_what_error_bars_alone_tell_is_what_judging_says(name, given):
    plain, comparison, cost = told_at_once(*PLAIN[name], **given)
    assert cost == 0
    assert (
        plain.verdict.tolist() == comparison.verdict.tolist() == [AGREE] * comparison.numeric.size
    )
    for one in ("numeric", "error", "evaluated", "flat", "bound", "answers"):
        assert np.array_equal(getattr(plain, one), getattr(comparison, one)), one
    for one in ("analytic", "rtol", "atol", "dust", "goal_rtol", "goal_atol", "rms"):
        assert np.array_equal(getattr(plain.tolerance, one), getattr(comparison.tolerance, one)), (
            one
        )


HINGE = np.array([0.4, 0.0, -0.7])


@pytest.mark.parametrize(
    ("why", "func", "analytic", "theta", "given"),
    [
        ("one is wrong", exponentials, RIGHT * [1, 1 + 1e-6, 1, 1], THETA, {}),
        ("one is not finite", exponentials, RIGHT * [1, NAN, 1, 1], THETA, {}),
        ("one does nothing", lambda x: float(x[0] ** 2), [0.8, 0, 0], HINGE, {}),
        ("a kink", lambda x: float(np.abs(x).sum()), [1, 0, -1], HINGE, {}),
        (
            "what is small beside the rest",
            lambda x: float(x[0] + 1e-9 * x[1] + 1e3),
            [1, 1e-9],
            THETA[:2],
            {},
        ),
        ("rtol is given", exponentials, RIGHT, THETA, {"rtol": 1e-7}),
        ("J is printed", lambda x: float(f"{np.exp(x).sum():.6g}"), RIGHT, THETA, {}),
        (
            "J is loud",
            lambda x: exponentials(x) + 1e-7 * math.sin(1e15 * x.sum()),
            RIGHT,
            THETA,
            {},
        ),
        ("not all could be evaluated", exponentials, RIGHT, THETA, {"max_evals": 12}),
        ("there is nothing", lambda x: 1.0, [], np.zeros(0), {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_error_bars_alone_do_not_tell(why, func, analytic, theta, given):
    assert told_at_once(func, analytic, theta, **given)[0] is None


def test_entries_that_agree_must_add_up_to_what_the_tiny_steps_of_the_noise_tell():
    assert told_at_once(exponentials, RIGHT, THETA, direction=1.0)[0] is not None
    assert told_at_once(exponentials, RIGHT, THETA, direction=0.9)[0] is None


def test_a_wrong_entry_is_asked_again_alone():
    for factor in (1.001, 0.0, -1.0):
        wrong = RIGHT * [1, factor, 1, 1]
        found, cost = judged(exponentials, wrong, THETA)
        assert found.verdict.tolist() == [AGREE, DISAGREE, AGREE, AGREE]
        assert 2 <= cost <= 20
        assert abs(found.numeric[1] - RIGHT[1]) <= found.error[1] < 1e-6
        assert list(found.ladders) == [1]
        steps = [h for h, _ in found.ladders[1]]
        assert steps == sorted(steps, reverse=True)
        assert 2 * len(steps) == cost  # and a step far beyond them
        assert found.reasons == {}


def test_what_is_not_finite_is_wrong_without_being_asked():
    for bad in (NAN, INF, -INF):
        found, cost = judged(exponentials, [*RIGHT[:3], bad], THETA)
        assert found.verdict.tolist() == [AGREE, AGREE, AGREE, DISAGREE]
        assert cost == 0


def test_what_is_known_to_be_wrong_is_asked_no_more():
    asked = []

    def denied(tolerances):
        asked.append(tolerances.rtol.tolist())
        return np.array([True, True, False, False])

    wrong = RIGHT * [1, 1.5, 1.5, NAN]
    found, cost = judged(exponentials, wrong, THETA, denied)
    assert found.verdict.tolist() == [AGREE, DISAGREE, DISAGREE, DISAGREE]
    assert asked == [[1e-7] * 4]
    assert list(found.ladders) == [2]
    assert cost == 2 * (len(found.ladders[2]) - 1) + 2  # and a step far beyond them


def test_of_many_that_are_as_wrong_twelve_are_asked():
    theta = np.linspace(-1.0, 1.0, 60)
    found, _ = judged(exponentials, 1.5 * np.exp(theta), theta)
    assert found.verdict.tolist() == [DISAGREE] * 60
    assert len(found.ladders) == TRIED
    assert {0, 59} & found.ladders.keys()  # from the largest excess to the smallest


def test_grad_is_asked_at_ten_points_beside_its_own_where_an_entry_disagrees():
    theta = np.array([0.3, 40.0])
    slopes, shifts = np.array([1.0, 3.0]), []

    def at(shift):
        shifts.append(shift)
        return slopes

    def line(x):
        return float(x @ slopes) + abs(float(x[0]) - 0.3)

    # The first is on a kink, so that more is asked of func; of grad it is not.
    assert verdicts(line, [1.0, 3.0], theta, at=at) == [AGREE, AGREE]
    assert shifts == []
    assert verdicts(line, [1.0, 3.1], theta, at=at) == [AGREE, DISAGREE]
    near = np.abs(shifts[:10]) / theta
    assert np.all(near > 2.0**-36)
    assert np.all(near < 2.0**-33)
    assert [one.tolist() for one in shifts[1:10:2]] == [(-one).tolist() for one in shifts[:10:2]]
    # By a percent of itself it is another one there, and so it is asked nearer, as well.
    assert [(8 * one).tolist() for one in shifts[10:20]] == [one.tolist() for one in shifts[:10]]
    # Grad has the same values there, and further away, too: no rounding of it is to be seen.
    assert len(shifts) == 30
    assert np.all(np.abs(shifts[20:]) / theta > 2.0**-7)


def test_what_grad_itself_does_not_repeat_is_tolerated():
    off = RIGHT + np.array([0, 1e-3, 0, 0])
    assert verdicts(exponentials, off, THETA) == [AGREE, DISAGREE, AGREE, AGREE]
    assert verdicts(exponentials, off, THETA, jitter=2e-3) == [AGREE] * 4
    assert verdicts(exponentials, off, THETA, atol=2e-3) == [AGREE] * 4
    jitter = np.array([1.0, 0.0, 1.0, 1.0])
    assert verdicts(exponentials, off, THETA, jitter=jitter)[1] == DISAGREE


def test_kinks_are_judged_by_their_two_slopes():
    def func(x):
        return float(np.sum(np.maximum(x, 0)))

    theta = np.array([0.0, 0.0, 0.0, -1.0, 2.0])
    found, _ = judged(func, [0.3, 1.0, 1.5, 0.0, 1.0], theta)
    assert found.verdict.tolist() == [AGREE, AGREE, DISAGREE, AGREE, AGREE]
    assert found.reasons == {0: KINK, 1: KINK, 2: KINK}
    assert found.slopes == {k: (0.0, pytest.approx(1.0)) for k in range(3)}
    assert list(found.ladders) == [2]


def test_a_central_value_at_a_kink_is_still_found_to_be_on_one():
    found, _ = judged(lambda x: float(np.sum(np.maximum(x, 0))), [0.5, 1.0], np.array([0.0, 2.0]))
    assert found.verdict.tolist() == [AGREE, AGREE]
    assert found.reasons == {0: KINK}
    assert found.bound.tolist() == [INF, INF]  # it is no part of a direction


def test_an_entry_that_agrees_is_only_asked_whether_it_is_on_a_kink():
    """(x − 1)² beside 1: two more evaluations show that its bend falls with the step."""
    theta = np.array([1 + 1e-6])
    found, cost = judged(lambda x: float((x[0] - 1) ** 2), 2 * (theta - 1), theta)
    assert found.verdict.tolist() == [AGREE]
    assert found.reasons == {}
    assert cost == 2


def test_entries_that_func_does_not_depend_on():
    """Flat and zero: all together are asked once more, at a thousandth of their scales."""

    def func(x):
        return float(np.exp(x[0]))

    theta = np.array([0.5, 1.0, 2.0])
    right = [math.exp(0.5), 0.0, 0.0]
    found, cost = judged(func, right, theta)
    assert found.verdict.tolist() == [AGREE] * 3
    assert cost == 2
    assert found.bound.tolist() == [INF, 0.0, 0.0]

    # A step of a thousandth shows what the sweep's did not.
    def dead(x):
        return float(np.exp(x[0]) + (round(100 * x[1], 1) - 100) * 1e-3)

    found, cost = judged(dead, right, theta)
    assert cost > 2
    assert found.verdict[0] == AGREE
    assert found.verdict[1] != AGREE or found.bound[1] > 0


def test_small_entries_are_asked_together_along_one_direction():
    """Beside J = 10⁸ the slopes of 100 sines are lost in noise at the sweep's step."""
    n = 100
    theta = np.linspace(0.2, 1.2, n)

    def func(x):
        return 1e8 + float(np.sum(np.sin(x)))

    right = np.cos(theta)
    found, cost = judged(func, right, theta)
    assert found.verdict.tolist() == [AGREE] * n
    # At most ten steps of two evaluations; then the 32 largest may be climbed for, too.
    assert 2 <= cost <= 20 + 32 * 32
    assert len(found.ladders) <= 32
    assert (found.bound < 1e-3).all()
    # An error that the sweep's own error bar hides is seen there, and found by halving.
    assert 1.5 * found.error[17] > 0.005
    wrong = right.copy()
    wrong[17] += 0.005
    found, cost = judged(func, wrong, theta)
    assert found.verdict[17] == DISAGREE
    assert (np.delete(found.verdict, 17) == AGREE).all()
    assert found.bound[17] == INF
    assert (np.delete(found.bound, 17) < 1e-3).all()


def test_entries_a_little_too_small_cost_four_steps_for_all_of_them():
    """Fifty slopes of about 2·10⁻⁴ beside fifty of about 1."""
    theta = np.linspace(0.2, 1.2, 100)
    factors = np.where(np.arange(100) % 2, 1.0, 2e-4)

    def func(x):
        return float(np.sum(factors * np.sin(x)))

    right = factors * np.cos(theta)
    found, cost = judged(func, right, theta)
    assert found.verdict.tolist() == [AGREE] * 100
    assert cost == 4 * 2
    small = factors < 1
    assert (found.bound[small] < 3e-6 * right[small]).all()
    assert (found.bound[~small] == INF).all()
    # Also where J itself is nearly zero: what its terms are like is told by the gradient.
    halved = np.where(small, factors / 2, factors)
    near_zero = float(np.sum(halved * np.sin(theta))) - 1e-6
    found, cost = judged(
        lambda x: float(np.sum(halved * np.sin(x))) - near_zero, halved * np.cos(theta), theta
    )
    assert cost == 4 * 2
    # A demanded rtol that only its absolute part is met by is established so, too.
    found, cost = judged(func, right, theta, rtol=1e-6)
    assert found.verdict.tolist() == [AGREE] * 100
    assert cost == 4 * 2
    assert (found.bound < INF).tolist() == small.tolist()
    off = 0.8 * found.error[16]
    found, _ = judged(func, right + np.eye(100)[16] * off, theta)
    assert found.bound[16] == INF or found.bound[16] > off / 2
    assert (np.delete(found.verdict, 16) == AGREE).all()


def test_a_demanded_rtol_is_climbed_for_entry_by_entry():
    theta = np.array([0.3, 0.7, 1.1])

    def func(x):
        return 1e4 + float(np.sum(np.sin(x)))

    right = np.cos(theta)
    found, cost = judged(func, right, theta, rtol=1e-7)
    assert found.verdict.tolist() == [AGREE] * 3
    assert cost >= 6
    assert (1.5 * found.error <= 1e-7 * right + 1e-9).all()
    # What no step can settle is left open, with the reason.
    found, _ = judged(func, right, theta, rtol=1e-13)
    assert found.verdict.tolist() == [OPEN] * 3
    assert found.reasons == dict.fromkeys(range(3), NOISY)
    assert sorted(found.ladders) == [0, 1, 2]


def test_a_demanded_rtol_that_the_first_twelve_do_not_reach_is_given_up():
    theta = np.linspace(0.3, 1.3, 30)

    def func(x):
        return 1e4 + float(np.sum(np.sin(x)))

    found, _ = judged(func, np.cos(theta), theta, rtol=1e-13)
    assert found.verdict.tolist() == [OPEN] * 30
    assert len(found.ladders) == 12


def test_entries_left_when_max_evals_is_reached():
    wrong = RIGHT * [1, 1.001, 1.002, 1.003]
    most = 2 + 7 + 8  # two at θ, seven for the noise, two for each entry, and nothing more
    found, cost = judged(exponentials, wrong, THETA, max_evals=most)
    assert cost == 0
    assert found.verdict.tolist() == [AGREE, OPEN, OPEN, OPEN]
    assert found.reasons == dict.fromkeys((1, 2, 3), EXHAUSTED)
    found, _ = judged(exponentials, [NAN, *wrong[1:]], THETA, max_evals=most)
    assert found.verdict.tolist() == [DISAGREE, OPEN, OPEN, OPEN]
    assert found.reasons == dict.fromkeys((1, 2, 3), EXHAUSTED)
    found, _ = judged(exponentials, RIGHT, THETA, max_evals=9 + 5)
    # A fifth is kept back: four fifths of five evaluations are two entries.
    assert sorted(found.verdict.tolist()) == [AGREE, AGREE, OPEN, OPEN]
    assert list(found.reasons.values()) == [EXHAUSTED, EXHAUSTED]


def test_the_error_bar_that_settles_an_entry():
    assert _judge.fine_limit(1e-16, 1.0) == 3e-6
    assert _judge.fine_limit(1e-9, 1.0) == approx(3e-5)
    assert _judge.fine_limit(8e-9, 8.0) == approx(3e-5)
    assert _judge.fine_limit(1.0, 0.0) == 3e-6


def derivative(func, params, shift, deep, relative=2.0**-10, sigma=1e-9):
    """Return what a direction's ladder says, and its steps: parameter 0 moves by them."""
    seen = []

    def recorded(x):
        seen.append(float(x[0]))
        return func(x)

    problem, _ = prepared(recorded, params)
    del seen[:]
    line = coordinates.line_along(problem, np.array(shift), Noise(sigma, 2.0**-53, "float64"))
    value, error = _judge._group_derivative(line, relative, deep=deep)
    steps = [abs(x - params[0]) for x in seen]
    assert steps[::2] == pytest.approx(steps[1::2], rel=1e-6)
    return value, error, steps[::2]


def test_a_direction_is_climbed_by_four_steps_or_by_ten_of_twice_the_length():
    def linear(x):
        return float(3 * x[0] + 5 * x[1])

    first = 2.0**-10 * RHO**2
    value, error, steps = derivative(linear, np.array([1.0, 1.0]), [1.0, 2.0], deep=False)
    assert steps == pytest.approx([first * RHO**k for k in range(4)])
    assert abs(value - 13) <= error
    # Three standard deviations of σ/(√2·h), by the largest step.
    assert error < 3.1 * 1e-9 / math.sqrt(2) / steps[-2]
    value, error, steps = derivative(linear, np.array([1.0, 1.0]), [1.0, 2.0], deep=True)
    assert steps == pytest.approx([first * RHO ** (2 * k) for k in range(10)])
    assert abs(value - 13) <= error


def test_a_direction_is_left_where_steps_tell_no_more():
    # Of 4·t two steps say all: the third is no better, nor the fourth, and that suffices.
    value, error, steps = derivative(
        lambda x: float(4 * x[0]), np.array([0.0]), [1.0], deep=True, sigma=0.0
    )
    assert (value, len(steps)) == (4.0, 4)
    # Beyond its own scale a sine is no parabola.
    value, error, steps = derivative(
        lambda x: math.sin(x[0]), np.array([1.0]), [1.0], deep=True, sigma=1e-3
    )
    assert steps[-2] < 1 <= steps[-1]
    assert abs(value - math.cos(1.0)) <= error
    # exp(30·x): from 0.015 on each step is worse than the one before, and two of these suffice.
    value, error, steps = derivative(
        lambda x: math.exp(30 * x[0]) / 30, np.array([0.0]), [1.0], deep=False, sigma=1e-16
    )
    assert abs(value - 1) <= error
    assert len(steps) == 4
    value, error, steps = derivative(
        lambda x: math.exp(30 * x[0]) / 30, np.array([0.0]), [1.0], deep=True, sigma=1e-16
    )
    assert len(steps) < 10
    # At the edge of the domain nothing is known, or what was known before.
    value, error, steps = derivative(
        lambda x: math.log(x[0]) if x[0] > 0 else NAN, np.array([0.01]), [1.0], deep=False
    )
    assert (len(steps), error) == (1, INF)
    assert math.isnan(value)
    value, error, steps = derivative(
        lambda x: math.log(x[0]) if x[0] > 0 else NAN, np.array([1.0]), [1.0], deep=False
    )
    assert (len(steps), abs(value - 1) <= error < 0.1) == (4, True)


def climbed(n, rank, wrong=(), goal_atol=0.0, func=None):
    """Return which of n sines beside 10⁴ are climbed for, in order: those that do not agree.

    Their error bars are `rank` parts of what is asked, which no step can reach.
    """
    theta = np.linspace(0.3, 1.3, n)
    problem, options = prepared(lambda x: 1e4 + float(np.sum(np.sin(x))), theta, rtol=1e-13)
    right = np.cos(theta)
    sweep = differenced(problem, Analytic(right, (EPS,)), options)
    made = limits(n, rtol=1e-13, goal_rtol=1e-13, goal_atol=goal_atol)
    found = of_sweep(sweep, right * np.where(np.isin(np.arange(n), wrong), 1.5, 1.0), made)
    size = np.maximum(found.analytic, found.numeric)
    found.error[:] = rank * (made.goal_atol + 1e-13 * size)
    _judge._refine_each(np.arange(n), found, case_of(problem, sweep, options))
    return list(found.ladders)


def test_the_twelve_that_are_nearest_to_what_is_asked_are_climbed_for_first():
    rank = np.random.default_rng(0).permutation(15) + 1.0
    nearest = np.argsort(rank).tolist()
    assert climbed(15, rank) == nearest[:12]
    assert climbed(15, rank, goal_atol=np.linspace(1e-13, 1e-14, 15)) == nearest[:12]
    # One that is settled among them is worth going on for.
    assert climbed(15, rank, wrong=nearest[11:12]) == nearest
    assert climbed(15, rank, wrong=nearest[12:13]) == nearest[:12]
    easy = np.where(rank == 12, 1.0, 0.0)
    assert climbed(15, rank, goal_atol=easy) == [i for i in nearest if rank[i] != 12]
    assert climbed(12, rank[:12]) == np.argsort(rank[:12]).tolist()


def test_the_largest_that_a_direction_does_not_resolve_are_asked_one_by_one():
    n = 50
    slopes = np.linspace(1.0, 2.0, n)
    slopes[7] = 0.0
    theta = np.ones(n)
    theta[::2] = 4.0
    problem, options = prepared(lambda x: float(slopes @ x), theta)
    sweep = differenced(problem, Analytic(slopes, (EPS,)), options)
    found = of_sweep(sweep, slopes, limits(n, rtol=1e-7, goal_rtol=3e-6))

    def asked(members, bound):
        found.error[:] = 123.0
        found.bound[:] = bound
        _judge._refine_stubborn(members, found, case_of(problem, sweep, options))
        return np.flatnonzero(found.error != 123.0).tolist()

    # Resolved is what is known to 10⁻⁵ of it, 1.5 times its bound.
    assert asked(np.arange(5), 0.99e-5 * slopes / 1.5) == []
    assert asked(np.arange(5), 1.01e-5 * slopes / 1.5) == [0, 1, 2, 3, 4]
    assert asked(np.array([3, 7, 9]), 1.0) == [3, 9]
    assert asked(np.array([3, 9]), np.where(np.arange(n) == 3, 0.0, 1.0)) == [9]
    # At most 32 of them, the largest in parts of the scale: all 25 at 4, and the last 7 at 1.
    large = sorted([*range(0, n, 2), *range(37, n, 2)])
    assert len(large) == 32
    assert asked(np.arange(n), 1.0) == large


class Grouped:
    """A linear func whose entries are tested along directions, and what moved at each evaluation.

    `step` and `error` are those of the sweep before, `rms` the size of the block: all numbers of
    the test's own.
    """

    def __init__(self, slopes, theta=None, center=0.0, sigma=1e-15, func=None):
        self.slopes = np.array(slopes, dtype=float)
        self.theta = np.ones(self.slopes.size) if theta is None else np.array(theta, dtype=float)
        self.moves = []
        call = func or (lambda x: center + float(self.slopes @ (x - self.theta)))

        def recorded(x):
            self.moves.append(x - self.theta)
            return call(x)

        self.problem, _ = prepared(recorded, self.theta)
        del self.moves[:]
        self.sweep = coordinates.unevaluated(self.problem, Noise(sigma, 2.0**-53, "float64"))
        self.sweep.step[:] = 2.0**-10 * np.abs(self.theta)
        self.limits = limits(self.slopes.size, rtol=1e-7, goal_rtol=3e-6, rms=3.0)
        self.found = of_sweep(self.sweep, self.slopes, self.limits)
        self.found.error[:] = 1e-12

    def test(self, members=None, analytic=None):
        """Return at how many evaluations, and which coordinates moved, for each direction."""
        del self.moves[:]
        members = np.arange(self.slopes.size) if members is None else np.array(members, dtype=int)
        analytic = self.slopes if analytic is None else np.array(analytic, dtype=float)
        # The same vectors are filled.
        found = replace(self.found, tolerance=replace(self.limits, analytic=analytic))
        _judge._test_group(members, found, case_of(self.problem, self.sweep))
        moved = [tuple(np.flatnonzero(move).tolist()) for move in self.moves]
        return [(len(list(run)), who) for who, run in groupby(moved)]


def test_a_direction_moves_each_entry_in_parts_of_its_scale():
    made = Grouped([1.0, 2.0, 3.0], theta=[1.0, 4.0, 0.25])
    made.sweep.step[:] = [1e-3, 2e-3, 5e-4]  # 1, ½ and 2 thousandths of the scales
    assert made.test() == [(8, (0, 1, 2))]
    first = np.abs(made.moves[0]) / (1e-3 * RHO**2 * np.array([1.0, 4.0, 0.25]))
    assert ((first > 0.49) & (first < 1.51)).all()
    assert made.found.verdict.tolist() == [AGREE] * 3
    assert (made.found.bound < 1e-6).all()
    made = Grouped([1.0, 2.0, 3.0])
    assert made.test(members=[2, 0]) == [(8, (0, 2))]
    assert made.found.verdict.tolist() == [AGREE, OPEN, AGREE]
    assert made.found.bound[1] == INF
    # What is known better stays.
    made.found.bound[:] = 1e-30
    made.test()
    assert made.found.bound.tolist() == [1e-30] * 3


def test_badly_scaled_entries_make_a_direction_ten_long_steps():
    """Two in a hundred that are noisy beside the block, 10⁻⁷·3, or tiny, 10⁻⁵·3, but not zero."""

    def long(slopes=(), errors=()):
        made = Grouped(np.ones(100))
        made.slopes[: len(slopes)] = slopes
        made.found.error[50 : 50 + len(errors)] = errors
        assert made.test()[0][1] == tuple(range(100))
        assert (made.found.verdict == AGREE).all()
        ratio = np.median(np.abs(made.moves[2] / made.moves[0]))
        assert ratio in (pytest.approx(RHO), pytest.approx(RHO**2))
        return ratio > 10

    assert not long()
    assert not long(errors=[1.0])
    assert long(errors=[1.0, 1.0])
    assert long(errors=[3.1e-7, 3.1e-7])
    assert not long(errors=[2.9e-7, 2.9e-7])
    assert long(slopes=[2.9e-5, -2.9e-5])
    assert not long(slopes=[3.1e-5, -3.1e-5])
    assert not long(slopes=[0.0, 0.0, 0.0])
    assert not long(slopes=[2.9e-5])
    assert long(slopes=[2.9e-5], errors=[1.0])


def test_dust_is_an_excuse_for_a_direction_whose_slope_is_zero_within_its_error_bar():
    """One entry of scale 4, known to u: its slope is so many times u, its error ten times."""

    def agrees(times, off=10.0, dust=11.0):
        still = Grouped([0.0], theta=[4.0], sigma=1e-9)
        still.found.error[:] = 0.0
        still.test()
        u = still.found.bound[0]  # all of the gap is the error bar
        made = Grouped([times * u], theta=[4.0], sigma=1e-9)
        made.limits.dust[:] = dust * u
        made.limits.rms[:] = 1e-20  # beside which it is not tiny
        made.found.error[:] = 0.0
        made.found.numeric[0] = NAN
        made.test(analytic=[(times + off) * u])
        return math.isnan(made.found.numeric[0])  # else it was asked alone

    assert agrees(0.0)
    assert agrees(12.0)
    assert agrees(14.5)
    assert not agrees(15.6)
    assert not agrees(100.0)
    assert not agrees(0.0, dust=8.0)
    assert agrees(0.0, off=1.4, dust=0.0)
    assert not agrees(0.0, off=1.6, dust=0.0)
    assert agrees(100.0, off=1.4, dust=0.0)


def test_the_bound_of_an_entry_is_what_the_direction_is_off_by():
    """(gap/1.5 + u) over the entry's own part of the direction."""
    made = Grouped([5.0], theta=[4.0], sigma=1e-9)
    made.test()
    u = made.found.bound[0]
    made.found.bound[0] = INF
    made.test(analytic=[5.0 + 1.2 * u])
    assert made.found.bound[0] == pytest.approx((1.2 / 1.5 + 1) * u, rel=0.05)
    part = np.abs(made.moves[0][0]) / (2.0**-10 * RHO**2)
    assert 1.9 < part < 6.1  # ½ to 3/2 of the scale


def test_a_direction_that_disagrees_is_halved_until_one_entry_is_left():
    made = Grouped(np.ones(7))
    analytic = np.ones(7)
    analytic[4] = 1.001
    asked = made.test(analytic=analytic)
    whole, low, high = (0, 1, 2, 3, 4, 5, 6), (0, 1, 2), (3, 4, 5, 6)
    assert [who for _, who in asked if len(who) > 1] == [whole, low, high, (3, 4), (5, 6)]
    assert made.found.verdict.tolist() == [AGREE] * 4 + [DISAGREE] + [AGREE] * 2
    assert list(made.found.ladders) == [4]


def test_a_direction_out_of_the_domain_tells_nothing():
    made = Grouped(np.ones(4), func=lambda x: 1.0 if (x == 1).all() else NAN)
    assert made.test() == [(2, (0, 1, 2, 3))]
    assert made.found.verdict.tolist() == [OPEN] * 4
    assert (made.found.bound == INF).all()


def test_what_is_known_to_be_still_is_not_asked():
    problem, _ = prepared(exponentials, np.zeros(3))
    sweep = coordinates.unevaluated(problem)
    found = of_sweep(sweep, np.zeros(3))
    known = replace(sweep, still=np.array([True, True, True]))
    before = problem.evaluator.evaluations
    _judge._test_dead(np.array([0, 2]), found, case_of(problem, known))
    assert problem.evaluator.evaluations == before
    assert found.bound.tolist() == [0.0, INF, 0.0]
    made = Grouped(np.zeros(4), theta=[1.0, 1.0, 4.0, 0.25])
    known = replace(made.sweep, still=np.arange(4) == 1)
    _judge._test_dead(np.arange(1, 4), made.found, case_of(made.problem, known))
    assert made.found.bound.tolist() == [INF, 0.0, 0.0, 0.0]
    # The others move by ½ to 3/2 thousandths of their scales, to both sides.
    up, down = made.moves
    part = np.abs(up) / (1e-3 * made.theta)
    assert part[:2].tolist() == [0.0, 0.0]
    assert ((part[2:] > 0.49) & (part[2:] < 1.51)).all()
    assert down.tolist() == pytest.approx((-up).tolist())
    problem, _ = prepared(exponentials, np.zeros(3))
    before = problem.evaluator.evaluations
    _judge._test_dead(np.empty(0, int), found, case_of(problem, sweep))
    assert problem.evaluator.evaluations == before


def test_what_is_not_finite_a_thousandth_away_counts_as_still():
    def func(x):
        return 1.0 if abs(x[0] - 1) < 1e-4 else NAN

    problem, _ = prepared(func, np.array([1.0]))
    sweep = coordinates.unevaluated(problem)
    found = of_sweep(sweep, np.zeros(1))
    before = problem.evaluator.evaluations
    _judge._test_dead(np.array([0]), found, case_of(problem, sweep))
    assert problem.evaluator.evaluations == before + 2
    assert found.bound.tolist() == [0.0]


# -- _judge: a given step --------------------------------------------------------------------------


def test_one_step_tells_right_from_wrong():
    wrong = RIGHT * [1, 1.01, 1, 1]
    found, cost = judged(exponentials, wrong, THETA, eps=1e-5, rtol=1e-4)
    assert found.verdict.tolist() == [AGREE, DISAGREE, AGREE, AGREE]
    assert judged(exponentials, RIGHT, THETA, eps=1e-5, rtol=1e-4)[1] == 0
    assert 7 < cost <= 16  # what is wrong is asked at steps of its own
    assert found.reasons == {}


def test_a_kink_at_a_small_step_and_at_a_large_one():
    def func(x):
        return float(np.sum(np.maximum(x, 0)))

    theta = np.array([0.0, 0.0, 2.0])
    found, cost = judged(func, [0.3, 1.5, 1.0], theta, eps=1e-5, rtol=1e-4)
    assert cost <= 16
    assert found.verdict.tolist() == [AGREE, DISAGREE, AGREE]
    assert found.reasons == {0: KINK, 1: KINK}
    assert found.slopes == {k: (0.0, pytest.approx(1.0)) for k in range(2)}
    # 10⁻⁴ of the scale, 2, is the largest step that is small; beyond it smaller ones are asked.
    for eps, most in ((1.9e-4, 16), (2.1e-4, 32)):
        found, cost = judged(func, [0.3, 1.5, 1.0], theta, eps=eps, rtol=1e-3)
        assert found.verdict.tolist() == [AGREE, DISAGREE, AGREE]
        assert found.reasons == {0: KINK, 1: KINK}
        assert most - 16 < cost <= most
    # Forward differences have no two sides: what they deny is asked at steps that do.
    found, _ = judged(func, [0.3, 1.0, 1.0], theta, eps=1e-5, rtol=1e-4, scheme="forward")
    assert found.verdict.tolist() == [AGREE, AGREE, AGREE]
    assert found.slopes == {0: (0.0, pytest.approx(1.0))}
    found, _ = judged(func, [1.5, 1.0, 1.0], theta, eps=1e-5, rtol=1e-4, scheme="forward")
    assert found.verdict.tolist() == [DISAGREE, AGREE, AGREE]
    # Concave: the backward slope is the larger.
    found, _ = judged(lambda x: -func(x), [-0.3, 0.5, -1.0], theta, eps=1e-5, rtol=1e-4)
    assert found.verdict.tolist() == [AGREE, DISAGREE, AGREE]
    assert found.slopes[0] == (0.0, pytest.approx(-1.0))


SMALL, LARGE = 2.0**-17, 2.0**-7

GIVEN = {
    # step, forward and backward slope, analytic, bent, agrees: verdict, reason
    "a subgradient": (SMALL, 1, -1, 0.3, True, False, AGREE, KINK),
    "of a roof": (SMALL, -1, 1, 0.3, True, False, AGREE, KINK),
    "the central value": (SMALL, 1, -1, 0.0, True, True, AGREE, KINK),
    "above by less than the slack": (SMALL, 1, -1, 1.375, True, False, AGREE, KINK),
    "above": (SMALL, 1, -1, 1.38, True, False, DISAGREE, KINK),
    "below by less than the slack": (SMALL, 1, -1, -1.375, True, False, AGREE, KINK),
    "below": (SMALL, 1, -1, -1.38, True, False, DISAGREE, KINK),
    "above a roof": (SMALL, -1, 1, 1.38, True, False, DISAGREE, KINK),
    "smooth and right": (SMALL, 1, 1, 1.0, False, True, AGREE, None),
    "smooth and wrong": (SMALL, 1, 1, 3.0, False, False, DISAGREE, None),
    "curved": (SMALL, 1, -1, 0.3, False, False, OPEN, BENDS),
    "bent at a large step": (LARGE, 1, -1, 0.3, True, False, OPEN, BENDS),
    "bent there, and right": (LARGE, 1, -1, 0.0, True, True, AGREE, None),
    "bent there, and wrong": (LARGE, 1, -1, 1.38, True, False, DISAGREE, None),
    "the largest small step": (1e-4, 1, -1, 0.3, True, False, AGREE, KINK),
}


def at_a_given_step(case, **change):
    """Judge one coordinate; its error bar is ¼ and its tolerance ⅛."""
    h, forward, backward, analytic, bent, agrees, _, _ = case
    problem, _ = prepared(lambda x: 7.0 + 0 * x[0], np.ones(1))
    sweep = coordinates.unevaluated(problem)
    sweep.numeric[0] = (forward + backward) / 2
    sweep.error[0] = change.get("error", 0.25)
    sweep.step[0] = h
    sweep.ends[0] = change.get("ends", (h, -h))
    sweep.pairs[0] = 7 + forward * h, 7 - backward * h
    sweep.bent[0] = bent
    asked = np.array([change.get("asked", True)])
    made = of_sweep(sweep, [analytic], limits(1, atol=0.125))
    _judge._judge_fixed(made, case_of(problem, sweep), asked, np.array([agrees]))
    return int(made.verdict[0]), made.reasons.get(0), made.slopes.get(0)


@pytest.mark.parametrize("name", GIVEN)
def test_one_step_alone(name):
    case = GIVEN[name]
    verdict, reason, slopes = at_a_given_step(case)
    assert (verdict, reason) == case[-2:]
    if reason == KINK:
        assert slopes == pytest.approx((case[2], case[1]), rel=1e-6)
    else:
        assert slopes is None


def test_one_step_with_one_side_or_no_value_or_no_question():
    kink = GIVEN["a subgradient"]
    h = kink[0]
    assert at_a_given_step(kink, error=INF) == (OPEN, None, None)
    assert at_a_given_step(kink, asked=False) == (OPEN, None, None)
    assert at_a_given_step(GIVEN["smooth and right"], asked=False) == (OPEN, None, None)
    for ends in ((h, 0.0), (0.0, -h), (0.0, 0.0)):
        assert at_a_given_step(kink, ends=ends) == (DISAGREE, None, None)
        assert at_a_given_step(GIVEN["the central value"], ends=ends) == (AGREE, None, None)


def test_what_is_not_finite_at_the_given_step_is_open():
    def func(x):
        with np.errstate(all="ignore"):
            return float(np.log(x[0]) + x[1])

    found, _ = judged(func, [10.0, 1.0], np.array([0.1, 1.0]), eps=0.2, rtol=0.1)
    assert found.verdict.tolist() == [OPEN, AGREE]
    assert found.reasons == {0: NOT_FINITE}
    found, _ = judged(func, [NAN, 1.0], np.array([0.1, 1.0]), eps=1e-5, rtol=1e-4)
    assert found.verdict.tolist() == [DISAGREE, AGREE]


# -- _judge: what noise leaves open ----------------------------------------------------------------

LAYER = np.cos(np.arange(16 * 24.0) ** 2).reshape(16, 24).astype(np.float32)
LOUD = {"a": np.linspace(-0.29, 0.31, 16), "b": np.linspace(0.2, 0.4, 8)}


def rounded_mean(p):
    """The mean of sixteen tanh, in float32."""
    return np.tanh(LAYER @ np.concatenate([p["a"], p["b"]]).astype(np.float32)).mean()


def slopes_of_mean():
    weights = LAYER.astype(float)
    z = weights @ np.concatenate([LOUD["a"], LOUD["b"]])
    return (1 - np.tanh(z) ** 2) @ weights / 16


@pytest.mark.parametrize(
    ("part", "factor", "counts", "seen", "groups"),
    [
        (slice(0), 1.0, [24, 0, 0], [0, 16], []),
        (slice(16, 24), 1.1, [16, 6, 2], [0], [("b", 0.1)]),
        (slice(0, 16), 1.02, [8, 3, 13], [16], [("a", 0.02)]),
        # A single wrong entry has its name, and its block is asked no more; others are.
        (slice(3, 4), 1.5, [8, 1, 15], [16], []),
        (slice(20, 21), 1.5, [16, 1, 7], [0], []),
    ],
)
def test_blocks_tell_what_float32_leaves_open_of_their_entries(part, factor, counts, seen, groups):
    analytic = slopes_of_mean()
    analytic[part] *= factor
    found, _ = judged(lambda p: rounded_mean(p) + np.float32(30), analytic, LOUD)
    assert np.bincount(found.verdict, minlength=3).tolist() == counts
    assert sorted(found.seen) == seen
    assert [(one.label, pytest.approx(one.part, rel=0.1)) for one in found.groups] == groups
    assert set(found.reasons.values()) <= {NOISY}


@pytest.mark.parametrize(("factor", "wrong"), [(1.0, 0), (1.1, 8)])
def test_what_is_rounded_on_the_way_is_judged_by_larger_steps(factor, wrong):
    analytic = slopes_of_mean()
    analytic[16:] *= factor
    analytic[:16] += 0.06 * LOUD["a"]
    found, _ = judged(
        lambda p: float(rounded_mean(p)) + 0.03 * float(np.sum(p["a"] ** 2)), analytic, LOUD
    )
    assert found.inner == "float32"
    assert np.bincount(found.verdict, minlength=3).tolist() == [24 - wrong, wrong, 0]
    assert not found.reasons
