"""Steps, noise and random directions, function by function.

Every value here follows from what the docstrings and docs/numerics.md say, on numbers chosen so
that floats are exact.
"""

import math
import sys
from fractions import Fraction

import numpy as np
import pytest
from by_hand import approx, through

from pytest_gradcheck._difference.noise_and_extrapolation import (
    Noise,
    from_values,
    grid,
    measured,
    precision,
    table_estimate,
)
from pytest_gradcheck._difference.stencils_and_steps import (
    STENCILS,
    Stencil,
    Stream,
    derivatives,
    fill_with_weights,
    generator,
    points,
    random_weights,
    relative_step,
    sample,
)
from pytest_gradcheck._params.arrays_and_structure import chunks
from pytest_gradcheck._params.layout import Scale, middle, scale_of

NAN, INF, EPS = math.nan, math.inf, sys.float_info.epsilon


# -- _stencils -------------------------------------------------------------------------------------


def test_a_row_has_a_weight_for_each_offset():
    row = Stencil("short", (Fraction(1),), (Fraction(1), Fraction(-1)), "short")
    with pytest.raises(ValueError, match="longer"):
        row.moment(1)
    with pytest.raises(ValueError, match="longer"):
        derivatives(np.ones((1, 1)), 0.0, row, np.ones(1))


# -- _steps ----------------------------------------------------------------------------------------


def test_the_middle_of_few_numbers_and_of_many():
    assert middle(np.array([3.0, 1.0, 2.0])) == 2.0
    assert middle(np.array([4.0, 1.0, 8.0, 2.0])) == 3.0
    assert middle(np.array([7.0])) == 7.0
    assert middle(np.array([16.0, 1.0, 100.0, 8.0, 2.0, 4.0])) == 6.0
    assert middle(np.array([1.0, 100.0, 8.0, 2.0, 4.0])) == 4.0
    rng = np.random.default_rng(0)
    for count in (4095, 4096, 4097, 4098):
        squares = rng.permutation(np.arange(float(count)) ** 2)
        low, high = (count - 1) // 2, count // 2
        assert middle(squares) == (low**2 + high**2) / 2


def test_the_scale_of_a_block():
    assert scale_of(np.array([2.0, -4.0])) == Scale(1e-3, 3.0)
    assert scale_of(np.array([0.0, 0.5, 0.0, -0.5])) == Scale(5e-4, 0.5)
    assert scale_of(np.zeros(2)) == scale_of(np.empty(0)) == Scale(1e-3, 1.0)
    theta = np.array([2.0, -4.0, 0.1, -0.1, 0.0], dtype=np.float32)
    found = Scale(0.5, 3.0).of(theta)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [2.0, 4.0, 0.5, 0.5, 3.0])
    assert theta[2] == np.float32(0.1)
    # Within what leaves room for a step: 10⁶ of the smallest normal number, a 16th of the largest.
    extremes = Scale(0.0, 0.0).of(np.array([5e-324, 1.7e308, 0.0, 1e-301, 1e307]))
    small, large = 1e6 * sys.float_info.min, sys.float_info.max / 16
    np.testing.assert_array_equal(extremes, [small, large, small, 1e-301, 1e307])


def test_the_step_balances_noise_and_truncation():
    """2·(σ/V)^(1/(p + 1)), at most 0.05, over the largest offset."""
    rows = STENCILS
    assert relative_step(rows["central"], 1e-9, 1.0) == approx(2e-3)
    assert relative_step(rows["central"], 8e-9, 8.0) == approx(2e-3)
    assert relative_step(rows["forward"], 1e-8, 1.0) == approx(2e-4)
    assert relative_step(rows["central4"], 1e-10, 1.0) == approx(2e-2 / 2)
    assert relative_step(rows["central"], 1e-3, 1.0) == 0.05
    assert relative_step(rows["central4"], 1e-3, 1.0) == 0.025
    assert relative_step(rows["central6"], 1.0, 1.0) == approx(0.05 / 3)
    # No func is quieter than a quarter of eps.
    least = approx(2 * (EPS / 4) ** (1 / 3))
    assert relative_step(rows["central"], 0.0, 1.0) == least
    assert relative_step(rows["central"], 1.0, 0.0) == least
    assert relative_step(rows["central"], 0.0, 0.0) == least


def test_a_given_step_is_taken_as_it_stands():
    theta, step = np.array([1.0, -2.0], dtype=np.float32), np.array([0.3, 1e-30])
    values, taken = points(theta, step, STENCILS["central"], exact=True)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, np.float32([[1.3, 0.7], [-2.0, -2.0]]))
    np.testing.assert_array_equal(taken, step)


def test_a_step_of_ones_own_is_a_multiple_of_the_grain_at_the_farthest_point():
    """float16 has 2⁻¹⁰ between 1 and 2, and 2⁻⁹ beyond: 0.3 is 307.2 of the former."""

    def laid(theta, step, name):
        theta, step = np.array([theta], dtype=np.float16), np.array([step])
        return [one.tolist() for one in points(theta, step, STENCILS[name], exact=False)]

    part = 307 / 1024
    assert laid(1.0, 0.3, "central") == [[[1 + part, 1 - part]], [part]]
    assert laid(-1.0, 0.3, "forward") == [[[-1 + part]], [part]]
    # Three steps of 0.5005 reach beyond 2, and five of 2⁻⁹ are too fine for beyond 4.
    assert laid(1.0, 0.5005, "central6") == [[[2.5, 2.0, 1.5, 0.5, 0.0, -0.5]], [0.5]]
    assert laid(1.0, 0.25, "backward2") == [[[0.75, 0.5]], [0.25]]
    # Never zero.
    assert laid(1.0, 1e-9, "central")[1] == [2.0**-10]
    theta = np.ones(1, np.longdouble) + np.finfo(np.longdouble).eps
    for exact in (True, False):
        values, taken = points(theta, np.full(1, 0.25), STENCILS["central"], exact=exact)
        assert taken.dtype == values.dtype == np.longdouble
        assert values[0].tolist() == [theta[0] + 0.25, theta[0] - 0.25]


def test_formulas_applied_to_numbers():
    one = np.array([0.5])

    def slope(values, name, center=NAN, taken=one):
        return derivatives(np.array([values]), center, STENCILS[name], taken)[0]

    assert slope([3.0, 1.0], "central") == 2.0
    assert slope([12.0, 6.0, 3.0, 0.0], "central4") == approx((-12 / 12 + 3 * 2 / 3) / 0.5)
    assert slope([3.0], "forward", 1.0) == 4.0
    assert slope([3.0], "backward", 1.0) == -4.0
    assert slope([3.0, 7.0], "forward2", 1.0) == 2.0  # 2·2 − ½·6
    assert math.isnan(slope([INF, 1.0], "central"))
    assert math.isnan(slope([NAN, 1.0], "central"))
    assert math.isnan(slope([3.0, 1.0], "central", taken=np.zeros(1)))
    found = derivatives(np.ones((2, 1), np.longdouble), 0.0, STENCILS["forward"], np.ones(2))
    assert found.dtype == np.float64
    assert found.tolist() == [1.0, 1.0]


# -- _noise ----------------------------------------------------------------------------------------


def test_the_noise_of_larger_values():
    found = Noise(0.5, 2.0**-10, "").at(np.array([1.0, -1e4], dtype=np.float32))
    assert found.tolist() == [0.5, approx(0.6 * 2.0**-10 * 1e4)]
    assert found.dtype == np.float64


def bits(*values, dtype=np.float64):
    return precision(np.array(values, dtype=dtype))


def test_the_narrowest_format_that_holds_all_values():
    third = 1 / 3
    assert bits(third, 2.0, 3.0) == 53
    assert bits(*np.float32([third, 0.7, 2.1])) == 24
    assert bits(*np.float16([third, 0.7, 2.1])) == 11
    assert bits(1 + 2.0**-7, 2.0, -3.0) == 8
    assert bits(1 + 2.0**-8, 2.0, 3.0) == 11
    assert bits(1 + 2.0**-10, 2.0, 3.0) == 11
    assert bits(1 + 2.0**-21, 2.0, 3.0) == 24
    assert bits(-1 - 2.0**-23, 2.0, 3.0) == 24
    assert bits(1 + 2.0**-24, 2.0, 3.0) == 53
    # Zero and what is not finite say nothing, and the same value says it once.
    assert bits(0.0, NAN, INF, -INF, *np.float16([third, 0.7, 2.1])) == 11
    assert bits(2.0, 2.0, 3.0) == bits(0.0, 2.0, 3.0) == bits(NAN, 2.0, 3.0) == 53
    assert bits(0.0) == bits(NAN) == 53
    assert bits(*[2.0] * 16, third) == 53
    assert bits(*[0.0] * 20, *np.float32([third, 0.7, 2.1])) == 24


def test_one_or_two_values_must_use_more_than_half_of_a_formats_bits():
    assert bits(1.0) == bits(1.0, 2.0) == bits(*np.float16([1 / 3, 0.7])) == 53
    assert bits(1 + 2.0**-15) == bits(1 + 2.0**-15, 2.0) == 53  # 16 bits: 24/2 + 4
    assert bits(1 + 2.0**-16) == bits(1 + 2.0**-16, 2.0) == 24


def test_values_that_use_few_bits_of_a_format_are_not_taken_for_it():
    """Small differences of large terms are short: all but two bits must be in use somewhere."""
    assert bits(1 + 2.0**-11, 2.0, 3.0) == bits(1 + 2.0**-20, 2.0, 3.0) == 53
    assert bits(1.0, 2.0, 3.0, 5.0) == 53
    assert bits(1 + 2.0**-4, 2.0, 3.0) == 53
    assert bits(1 + 2.0**-5, 2.0, 3.0) == 8


def test_the_grid_of_values():
    fine = 2.0**-49
    assert grid(np.array([1e-12 // fine * fine, 5 * fine, 3 * fine, 14 * fine])) == fine
    assert grid(np.array([12.0, 4.0, 20.0, NAN, 0.0])) == 4.0
    assert grid(np.array([12.0, 4.0, 4.0])) == 0.0  # two values say little
    assert grid(np.array([1 / 3, 0.7, 2.1])) <= 2.0**-51
    # It is the least that noise can be.
    values = np.array([5 * fine, 3 * fine, 14 * fine])
    assert from_values(values).sigma == 0.3 * fine
    assert from_values(values).format == "float64"


@pytest.mark.parametrize("size", [5e-324, 3e-310, 1.0, 7e300])
def test_the_grid_of_a_few_values_is_that_of_the_same_ones_many_times(size):
    few = size * np.array([3.0, -1.0, 5.0, 7.25, 2.0**-20])
    few = few[few != 0]
    exact = map(Fraction, few.tolist())
    least = min(Fraction(x.numerator & -x.numerator, x.denominator) for x in exact)
    assert grid(few) == grid(np.tile(few, 7)) == least


def test_below_the_smallest_normal_number_values_are_coarse():
    assert from_values(np.array([1e-315, 3e-315, 7e-315])).sigma >= 2.0**-1074


@pytest.mark.skipif(np.finfo(np.longdouble).nmant != 63, reason="longdouble is no 80-bit format")
def test_the_format_of_longdouble_values():
    wide = np.longdouble(1)

    def of(*values):
        return bits(*values, dtype=np.longdouble)

    assert of(wide + wide / 2**60, 2, 3) == 64
    assert of(1 + 2.0**-52, 2, 3) == 53
    assert of(1.0, 2.0, 3.0) == 64
    assert of(1 + 2.0**-29) == of(1 + 2.0**-29, 2) == 64  # 30 bits: 53//2 + 4
    assert of(1 + 2.0**-30) == of(1 + 2.0**-30, 2) == 53


def test_noise_by_the_format_alone():
    values = np.array([1 / 3, -4.0, NAN, INF, 2.0])
    assert from_values(values) == Noise(0.6 * 2.0**-53 * 4, 2.0**-53, "float64")
    assert from_values(values, jitter=0.5).sigma == 0.5
    assert from_values(values, narrow=11) == Noise(0.6 * 2.0**-11 * 4, 2.0**-11, "float16")
    short = np.array([1.0 + 2.0**-6, -4.0, 3.0])
    assert from_values(short) == Noise(0.6 * 2.0**-8 * 4, 2.0**-8, "bfloat16")
    assert from_values(short, narrow=24).format == "bfloat16"
    assert from_values(np.array([NAN])) == Noise(0.0, 2.0**-53, "float64")


def test_the_table_of_differences():
    """ECNoise, by hand: ±a by turns have differences ±2ᵏ·a of order k, and γ = (k!)²/(2k)!."""
    turns = np.array([1.0, -1.0] * 4)
    for unit in (1.0, 1e-300, 1e300, -0.01):
        assert table_estimate(unit * turns) == approx(abs(unit) * math.sqrt(2))
    # A trend hides it from the first order: 4/√6 of the second is left.
    trend = 64.0 * np.arange(8)
    assert table_estimate(turns + trend) == approx(4 / math.sqrt(6))
    assert table_estimate(turns[:6] + trend[:6]) == approx(4 / math.sqrt(6))
    # Half of the pairs may not repeat.
    assert table_estimate(np.array([1.0, 1, 1, 1, 2])) is None
    assert table_estimate(np.array([1.0, 1, 1, 2, 2, 1])) is None
    assert table_estimate(np.array([1.0, 1, 1, 2, 1])) is not None
    assert table_estimate(np.zeros(8)) is None


def test_a_table_settles_where_three_levels_are_within_four_and_signs_change():
    """A parabola and ±1 by turns: levels √(8A² + 2), √((4A² + 16)/6) and 8/√20 of orders 1 to 3."""
    place = np.arange(8) - 3.5
    turns = np.array([1.0, -1.0] * 4)
    # 3.9 times the least, then 4.6: order 2 does not change its sign, so it is order 3.
    assert table_estimate(2.4 * place**2 + turns) == approx(math.sqrt(8 * 2.4**2 + 2))
    assert table_estimate(2.84 * place**2 + turns) == approx(8 / math.sqrt(20))
    # Steps of 0 and 1 change no sign; their differences, 1, 0, −1, 1, 0, 0, do.
    assert table_estimate(np.array([0.0, 0, 1, 2, 2, 3, 4, 5])) == approx(math.sqrt(3 / 6 / 6))


def test_a_table_that_does_not_settle_gives_the_largest_of_its_last_three_levels():
    """10ⁱ: differences of order k are 9ᵏ·10ⁱ, none of which changes its sign."""
    squares = 1 + 100 + 10**4 + 10**6
    assert table_estimate(10.0 ** np.arange(5)) == approx(9 * math.sqrt(squares / 4 / 2))
    # With a sixth value the first order is no longer among the last three.
    assert table_estimate(10.0 ** np.arange(6)) == approx(81 * math.sqrt(squares / 4 / 6))


class Direction:
    """func along a direction, and the spacings at which it was asked."""

    def __init__(self, func):
        self.func = func
        self.spacings = []

    def __call__(self, steps):
        unit = steps[0]
        self.spacings.append(unit)
        assert list(steps) == [unit * k for k in range(1, 8)]
        return np.array([self.func(unit, k) for k in range(1, 8)])


FIRST, NARROW, WIDE = 2.0**-30, 2.0**-40, 2.0**-12


def turning(size):
    return lambda unit, k: 1 / 3 + size * (-1) ** k


def test_noise_is_measured_at_one_distance_where_that_tells():
    along = Direction(turning(1e-12))
    found, values = measured(along, 1 / 3 + 1e-12)
    assert along.spacings == [FIRST]
    assert found.sigma == pytest.approx(math.sqrt(2) * 1e-12, rel=1e-3)
    assert (found.unit, found.format) == (2.0**-53, "float64")
    assert values.tolist() == [1 / 3 + 1e-12, *along([FIRST * k for k in range(1, 8)])]
    assert measured(Direction(turning(1e-12)), 1 / 3 + 1e-12, 0.5)[0].sigma == 0.5
    assert measured(Direction(turning(1e-12)), 1 / 3 + 1e-12, 0.0, 11)[0].format == "float16"


def test_values_that_repeat_are_asked_farther_away():
    def stairs(unit, k):
        return 1 / 3 if unit == FIRST else 1 / 3 + 1e-7 * (-1) ** k

    along = Direction(stairs)
    found, values = measured(along, 1 / 3 + 1e-7)
    assert along.spacings == [FIRST, WIDE]
    assert values.size == 15
    assert found.sigma == pytest.approx(math.sqrt(2) * 1e-7, rel=1e-3)
    along = Direction(lambda unit, k: 1 / 3)
    found, _ = measured(along, 1 / 3)
    assert along.spacings == [FIRST, WIDE, 2.0**-7, 2.0**-2]
    assert found.sigma == approx(0.6 * 2.0**-53 / 3)


def along(func):
    return lambda steps: np.array([func(step) for step in steps])


@pytest.mark.parametrize("grain", [0.06, 0.1, 1 / 7])
def test_values_that_repeat_as_far_as_can_be_are_rounded_or_flat(grain):
    """A rounded func stands still beyond a jump, too; one that is flat as far as a kink moves."""
    found, _ = measured(
        along(lambda t: grain * round((5 + t / 3) / grain)), grain * round(5 / grain)
    )
    assert found.sigma == pytest.approx(0.3 * grain)
    found, _ = measured(along(lambda t: 5 + max(0.0, t - 0.2)), 5.0)
    assert found.sigma < 1e-15


def test_a_printed_J_has_fewer_decimals_where_it_is_larger():
    found, _ = measured(along(lambda t: float(f"{9.4 + 30 * t:.4g}")), 9.4)
    assert found.digits == 4
    assert found.sigma == pytest.approx(0.3e-3, rel=0.5)
    assert found.at(np.array([12.5, 400.0, 7e4])) == approx([0.003, 0.03, 3])
    assert found.at(np.array([0.0, 3.2, 9.4])) == approx(found.sigma)
    # Rounded to decimals, a larger value has more digits, which it shows itself.
    fixed, _ = measured(along(lambda t: round(9.4 + 30 * t, 3)), 9.4)
    assert fixed.at(np.array([123.456, 9.4])) == approx(fixed.sigma)
    assert measured(along(lambda t: 9.4 + 1e3 * t), 9.4)[0].digits == 0
    assert measured(along(lambda t: np.float32(9.4 + t)), np.float32(9.4))[0].digits == 0


def test_loud_noise_is_looked_at_again_closer():
    """An oscillation is smooth at a thousandth of the distance; noise stays, and may be louder."""

    def oscillation(unit, k):
        return 1 / 3 + (1e-6 if unit == FIRST else 1e-14) * (-1) ** k

    along = Direction(oscillation)
    found, values = measured(along, 1 / 3)
    assert along.spacings == [FIRST, NARROW]
    assert values.size == 15
    assert found.sigma < 1e-13
    along = Direction(turning(1e-6))
    found, _ = measured(along, 1 / 3 + 1e-6)
    assert along.spacings == [FIRST, NARROW]
    assert found.sigma == pytest.approx(math.sqrt(2) * 1e-6, rel=1e-3)
    louder = Direction(lambda unit, k: turning(1e-6 if unit == FIRST else 1e-3)(unit, k))
    assert measured(louder, 1 / 3 + 1e-6)[0].sigma == pytest.approx(math.sqrt(2) * 1e-6, rel=1e-3)
    # Closer, all values are the same: nothing quieter was seen.
    same = Direction(lambda unit, k: turning(1e-6 if unit == FIRST else 0)(unit, k))
    assert measured(same, 1 / 3 + 1e-6)[0].sigma == pytest.approx(math.sqrt(2) * 1e-6, rel=1e-3)


def test_kinks_among_the_values_along_a_line_are_no_noise():
    """Sixteen times closer they show by a sixteenth, rounding by a quarter at least."""
    distance, places = 2.0**-16, (0.3, 1.7, 3.1, 4.4, 6.2)

    def relu(t):
        bends = ((-1) ** k * max(t - c * distance, 0.0) for k, c in enumerate(places))
        return 1 / 3 + t / 7 + 1e-3 * sum(bends)

    line, _ = through(relu)
    line.sound(distance)
    assert line.noise.sigma < 1e-15
    line, _ = through(lambda t: 1 / 3 + 1e-6 * math.sqrt(abs(t)) * math.cos(1e9 * t))
    line.sound(distance)
    assert line.noise.sigma > 1e-10


def test_loud_is_above_a_ten_thousand_millionth_of_the_values():
    along = Direction(lambda unit, k: -1 + 0.7e-10 * (-1) ** k)
    measured(along, -1 + 0.7e-10)  # √2·0.7 = 0.99
    assert along.spacings == [FIRST]
    along = Direction(lambda unit, k: -1 + 0.72e-10 * (-1) ** k)
    measured(along, -1 + 0.72e-10)
    assert along.spacings == [FIRST, NARROW]
    along = Direction(lambda unit, k: -1e3 + 0.7e-7 * (-1) ** k)
    measured(along, -1e3 + 0.7e-7)
    assert along.spacings == [FIRST]


def test_a_jump_at_theta_itself_is_no_noise():
    along = Direction(turning(1e-12))
    found, _ = measured(along, 1.0)
    assert found.sigma == pytest.approx(math.sqrt(2) * 1e-12, rel=1e-3)
    assert along.spacings == [FIRST]
    # A value at θ that is off by twice the noise is of the noise.
    assert measured(Direction(turning(1e-12)), 1 / 3 + 3e-12)[0].sigma > 1.5e-12
    # Five values beside θ can tell, and four can't.
    for count, quiet in ((6, True), (5, False)):
        along = Direction(lambda unit, k, n=count: turning(1e-12)(unit, k) if k < n else NAN)
        assert (measured(along, 1.0)[0].sigma < 1e-11) is quiet


def test_no_noise_is_measured_across_the_edge_of_a_domain():
    along = Direction(lambda unit, k: turning(1e-3)(unit, k) if k < 4 else NAN)
    found, _ = measured(along, 1 / 3 + 1e-3)
    assert along.spacings == [FIRST]
    assert found.sigma == approx(0.6 * 2.0**-53 * (1 / 3 + 1e-3))
    # Five values suffice: θ and four.
    along = Direction(lambda unit, k: turning(1e-12)(unit, k) if k < 5 else INF)
    found, _ = measured(along, 1 / 3 + 1e-12)
    assert found.sigma == pytest.approx(math.sqrt(2) * 1e-12, rel=1e-3)


# -- _probes ---------------------------------------------------------------------------------------


def test_generators_repeat_and_have_streams_of_their_own():
    one, other = Stream(1), Stream(2)
    first = generator(5, one, 2).random(12)
    np.testing.assert_array_equal(generator(5, one, 2).random(12), first)
    np.testing.assert_array_equal(generator(5, one, 2, skip=2).random(4), first[8:])
    for rng in (generator(6, one, 2), generator(5, other, 1), generator(5, one)):
        assert not np.isin(rng.random(12), first).any()


def test_a_vector_is_made_in_parts_of_32768():
    parts = list(chunks(70000))
    assert parts == [slice(0, 32768), slice(32768, 65536), slice(65536, 70000)]
    assert list(chunks(65536)) == parts[:2]
    assert list(chunks(1)) == [slice(0, 1)]
    assert list(chunks(0)) == []


def test_weights_are_signs_times_one_half_to_three_halves():
    weights = random_weights(40_000, 3, Stream.NOISE)
    size = np.abs(weights)
    assert 0.5 <= size.min() < 0.501
    assert 1.499 < size.max() <= 1.5
    # Uniform: mean 1 and variance 1/12, and as many of either sign.
    assert size.mean() == pytest.approx(1, abs=0.01)
    assert size.var() == pytest.approx(1 / 12, abs=0.002)
    assert (weights > 0).mean() == pytest.approx(0.5, abs=0.02)
    assert np.unique(weights).size == weights.size
    np.testing.assert_array_equal(random_weights(40_000, 3, Stream.NOISE), weights)
    np.testing.assert_array_equal(random_weights(32_770, 3, Stream.NOISE), weights[:32_770])
    assert not np.isin(random_weights(100, 4, Stream.NOISE), weights).any()
    assert not np.isin(random_weights(100, 3, Stream.GROUP), weights).any()
    assert random_weights(0, 3, Stream.NOISE).shape == (0,)
    out, rng = np.empty(8), np.random.default_rng(0)
    fill_with_weights(out[:4], rng)
    fill_with_weights(out[4:], rng)
    whole = np.empty(8)
    fill_with_weights(whole, np.random.default_rng(0))
    np.testing.assert_array_equal(out, whole)


def test_samples():
    for count in (5, 6):
        assert sample(5, count, 0).tolist() == [0, 1, 2, 3, 4]
    chosen = sample(1000, 300, 0)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert chosen.size == 300
    assert 0 <= chosen[0] < chosen[-1] < 1000
    np.testing.assert_array_equal(sample(1000, 300, 0), chosen)
    assert sample(1000, 300, 1).tolist() != chosen.tolist()
