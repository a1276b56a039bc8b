"""The ladder of one coordinate, function by function: rungs, the tableau, bends and kinks.

Every value here is worked out by hand from the formulas of docs/numerics.md, on steps and slopes
chosen so that floats are exact; the letters are theirs, and ρ = 3.8197 is the ratio of steps.
"""

import math
import sys

import pytest
from by_hand import approx, bends, line, slopes, through

from pytest_gradcheck._difference import step_search_and_kinks as _kinks
from pytest_gradcheck._difference.noise_and_extrapolation import Estimate, Line, Noise, best_entry
from pytest_gradcheck._difference.step_search_and_kinks import tell_grain

NAN, INF, EPS = math.nan, math.inf, sys.float_info.epsilon
JUST_ABOVE = 1 + 1e-9


# -- extrapolation: rungs --------------------------------------------------------------------------


def test_a_rung_of_equal_steps():
    """3 + 2t + 5t² at t = ±¼."""
    made = line(center=3.0, changes=(), unit=2.0**-10)
    rung = made.record((0.25, -0.25), (3.8125, 2.8125))
    assert (rung.h, rung.forward, rung.backward) == (0.25, 3.25, 0.75)
    assert (rung.central, rung.bend) == (2.0, 2.5)
    # 0.6 units in the last place of the largest value.
    assert rung.sigma == approx(0.6 * 2.0**-10 * 3.8125)
    assert rung.bend_noise == approx(2.45 * rung.sigma / 0.25)
    assert made.moves == [(0.25, 0.8125), (-0.25, 0.1875)]
    assert made.change == 0.8125
    assert made.rungs == [rung]


def test_a_rung_of_unequal_steps_has_the_slope_between_its_ends():
    """3 + 2t + 5t² at ½ and −¼: (5.25 − 2.8125)/0.75 = 3.25 between slopes 4.5 and 0.75."""
    made = line(center=3.0, changes=())
    rung = made.record((0.5, -0.25), (5.25, 2.8125))
    assert (rung.h, rung.central, rung.bend) == (0.375, 3.25, 3.75)
    assert (rung.forward, rung.backward) == (5.125, 1.375)


def test_the_mean_of_equal_steps_is_of_the_values_themselves():
    """The slopes 8/3 and 1/3 are rounded, and their mean is (8 + 1)/6 to the last bit."""
    made = line(center=2.0**53, changes=())
    rung = made.record((3.0, -3.0), (2.0**53 + 8, 2.0**53 - 1))
    assert rung.central == 9 / 6
    assert rung.bend == approx(8 / 3 - 1 / 3)


def test_a_side_that_is_not_finite_or_was_not_stepped_to_has_no_slope():
    for bad in (NAN, INF, -INF):
        made = line(center=3.0, changes=(), sigma=0.5)
        rung = made.record((0.5, -0.5), (bad, 2.0))
        assert math.isnan(rung.forward)
        assert rung.backward == 2.0
        assert (made.sides(), made.moves, rung.sigma) == ("backward", [(-0.5, 1.0)], 0.5)
        rung = made.record((0.25, -0.25), (4.0, bad))
        assert rung.forward == 4.0
        assert math.isnan(rung.backward)
        assert (made.sides(), made.moves) == ("forward", [(-0.5, 1.0), (0.25, 1.0)])
        made.record((0.125, -0.125), (bad, bad))
        assert (made.sides(), made.change) == ("none", 1.0)
    made = line(center=3.0, changes=())
    assert math.isnan(made.record((0.0, -0.5), (3.0, 2.0)).forward)
    assert made.sides() == "backward"
    assert math.isnan(made.record((0.25, 0.0), (4.0, 3.0)).backward)
    assert made.sides() == "forward"
    made.record((0.1, -0.1), (4.0, 2.0))
    assert made.sides() == "both"


def test_rungs_are_kept_with_the_largest_step_first():
    made, seen = through(lambda t: 3 + 2 * t)
    for h in (0.25, 1.0, 0.5):
        assert made.add(h).h == h
    assert [rung.h for rung in made.rungs] == [1.0, 0.5, 0.25]
    assert seen == [0.25, -0.25, 1.0, -1.0, 0.5, -0.5]


def test_flat_and_the_grain_of_a_func_that_moves_in_jumps():
    assert line(changes=()).change == line(changes=(0.0, 0.0)).change == 0.0
    assert line(changes=(0.0, 1e-300)).change == 1e-300
    assert line(changes=(0.0, 0.0)).grain == 0.0
    assert line(changes=(0.5, 0.25), center=1e3).grain == 0.0
    assert line(changes=(0.5, 0.0, 0.25), center=-32.0).grain == approx(0.3 * 0.25)
    # 32·2⁻⁷ is ¼: what jumps by more is no rounding of a format.
    assert line(changes=(0.0, 0.25), center=-0.5).grain == approx(0.075)  # however large


def test_the_noise_of_a_slope():
    rungs = ((2.0, 4.0, 2.0, 0.01), (0.5, NAN, 3.0, 0.02), (0.25, -5.0, NAN, 0.02))
    made = line(*rungs, ulp=0.125)
    ulp = 0.3 * 0.125
    assert made.series("both") == [
        (2.0, 3.0, approx(math.sqrt(0.5) * 0.01 / 2 + ulp * 3 / 2 + 3 * EPS))
    ]
    assert made.series("forward") == [
        (2.0, 4.0, approx(math.sqrt(2) * 0.01 / 2 + ulp * 4 / 2 + 4 * EPS)),
        (0.25, -5.0, approx(math.sqrt(2) * 0.02 / 0.25 + ulp * 5 / 0.25 + 5 * EPS)),
    ]
    assert [item[:2] for item in made.series("backward")] == [(2.0, 2.0), (0.5, 3.0)]
    # With neither noise nor a coarse parameter, one unit of rounding is left.
    assert slopes((1.0, -8.0)).series("both") == [(1.0, -8.0, 8 * EPS)]
    # The grain counts where it is louder than the noise.
    made = line((2.0, 0.0, 0.0, 0.01), changes=(0.0, 0.1), center=32.0)
    assert made.series("both")[0][2] == approx(math.sqrt(0.5) * 0.03 / 2)
    made = line((2.0, 0.0, 0.0, 0.04), changes=(0.0, 0.1), center=32.0)
    assert made.series("both")[0][2] == approx(math.sqrt(0.5) * 0.04 / 2)


def test_what_a_report_keeps_of_a_line():
    assert slopes((2.0, 3.0), (1.0, 4.0)).differences() == ((2.0, 3.0), (1.0, 4.0))
    made = line((2.0, 3.0, 5.0, 0.0), (1.0, NAN, 4.0, 0.0))
    assert made.differences() == ((2.0, 4.0),)
    assert line((2.0, NAN, 5.0, 0.0), (1.0, NAN, 4.0, 0.0)).differences() == (
        (2.0, 5.0),
        (1.0, 4.0),
    )
    assert line((2.0, 7.0, NAN, 0.0), (1.0, 6.0, NAN, 0.0)).differences() == (
        (2.0, 7.0),
        (1.0, 6.0),
    )
    assert line((2.0, NAN, 5.0, 0.0), (1.0, NAN, NAN, 0.0)).differences() == ()


# -- extrapolation: the tableau --------------------------------------------------------------------


def test_one_slope_is_no_estimate():
    outside = line((2.0, 1.0, 1.0, 0.0), (1.0, NAN, NAN, 0.0))
    for found in (
        best_entry([], even=True),
        best_entry([(1.0, 2.0, 0.0)], even=True),
        best_entry([(2.0, NAN, 0.0), (1.0, 2.0, 0.0)], even=True),
        slopes((1.0, 2.0)).estimate(),
        slopes((1.0, 2.0)).noisier_estimate(),
        outside.estimate(),
        outside.noisier_estimate(),
    ):
        assert math.isnan(found.value)
        assert (found.error, found.h) == (INF, 0.0)


@pytest.mark.parametrize("steps", [(16.0, 4.0, 2.0, 1.0), (9.0, 4.0, 2.0, 1.0)])
@pytest.mark.parametrize(("even", "second"), [(True, 0.0), (True, 2.0), (False, 0.0), (False, 2.0)])
def test_three_columns_take_two_terms_of_the_error_away_at_any_steps(even, second, steps):
    """1 + x/4 + d·x² with x = h² or h: Neville's rule is exact, and two rungs say the same.

    The second column is left with −d·x₁·x₂ of the two smallest steps, which is the error bar.
    """

    def x(h):
        return h**2 if even else h

    found = best_entry([(h, 1 + x(h) / 4 + second * x(h) ** 2 / 64, 0.0) for h in steps], even=even)
    left = second * x(2.0) * x(1.0) / 64
    assert (found.value, found.rounding, found.h) == (approx(1.0), 0.0, 1.0)
    assert found.error == pytest.approx(left + 4 * EPS, rel=1e-9, abs=4 * EPS)


def test_no_fourth_column_is_trusted():
    """1 + h + h³/4096: the third column leaves h₁·h₂·h₃ of 4096, 8 at last and 64 before."""
    found = best_entry(
        [(h, 1 + h + h**3 / 4096, 0.0) for h in (16.0, 8.0, 4.0, 2.0, 1.0)], even=False
    )
    assert found.value == approx(1 + 8 / 4096)
    assert found.error == pytest.approx((64 - 8) / 4096, rel=1e-9)


def test_the_noise_of_an_extrapolated_value():
    """Two rungs, h and h/2: (4s₂ − s₁)/3 has noise √17/3, and the third column 15 parts of that."""
    r = 0.25
    rough = [(4.0, 1.0, r), (2.0, 1.0, r), (1.0, 1.0, r)]
    # All three agree: no truncation, so the plain slope with the least noise is the best.
    assert best_entry(rough, even=True) == Estimate(1.0, approx(3 * r + 4 * EPS), 3 * r, 2.0)
    quiet = 2.0**-20
    curved = [(h, 1 + h**2, quiet) for h in (4.0, 2.0, 1.0)]
    found = best_entry(curved, even=True)
    second = math.hypot(16 / 15, 1 / 15) * math.sqrt(17) / 3 * quiet
    assert found.value == 1.0
    assert found.rounding == approx(3 * second)
    assert found.error == approx(3 * second + 4 * EPS)
    assert found.h == 1.0


def test_truncation_is_what_neighbours_differ_by():
    """Two rungs of 1 + h²/4: ¾ between them; the extrapolation differs by 1 from the first."""
    found = best_entry([(2.0, 2.0, 0.0), (1.0, 1.25, 0.0)], even=True)
    assert found == Estimate(1.25, approx(0.75 + 5 * EPS), 0.0, 1.0)
    found = best_entry([(2.0, 2.0, 0.125), (1.0, 1.25, 0.125)], even=True)
    assert found == Estimate(1.25, approx(0.75 + 0.375 + 5 * EPS), 0.375, 1.0)
    # A later column is judged by the last one of the row before where that is shorter: 1 + h².
    found = best_entry([(4.0, 5.0, 0.0), (2.0, 3.0, 0.0), (1.0, 1.5, 0.0)], even=True)
    # Row 1: 3, 7/3.  Row 2: 3/2, 1, 1 − (7/3 − 1)/15.  Their truncations: 3/2; 4/3; 64/45 …
    assert (found.value, found.error) == (1.0, approx(4 / 3 + 4 * EPS))


def test_an_error_bar_covers_what_smaller_steps_say_beyond_their_noise():
    """Slopes that agree at two large steps, and another at a small one: fine structure."""
    told = [(4.0, 1.0, 0.0), (2.0, 1.0, 0.0), (1.0, 3.0, 0.125)]
    found = best_entry(told, even=True)
    # 1, off by 2 − 3·⅛ from the finer slope; 3 itself differs by 2 and has its noise.
    assert found == Estimate(1.0, approx(1.625 + 4 * EPS), 0.0, 2.0)
    # Where the finer one is as noisy as that it says nothing.
    told[-1] = (1.0, 3.0, 0.75)
    assert best_entry(told, even=True) == Estimate(1.0, approx(4 * EPS), 0.0, 2.0)


def test_a_line_in_float64_takes_four_standard_deviations_for_chance():
    """Slopes of 1 down to h = 2⁻⁹, and there 1 + 4σ: the bar covers what is beyond 3σ, or 4.5."""
    sigma = 2.0**-30
    off = 4 * math.sqrt(0.5) * sigma / 2.0**-9
    told = [(2.0**-k, 1 + off * (k == 9)) for k in (1, 3, 5, 7, 9)]
    wide, narrow = (
        slopes(*told, sigma=sigma, unit=unit).estimate().error for unit in (2.0**-53, 2.0**-24)
    )
    assert wide < 0.05 * off < narrow


def test_a_line_extrapolates_both_sides_in_h_squared_and_one_side_in_h():
    made = slopes(*((h, 1 + h**2 / 4) for h in (4.0, 2.0, 1.0)))
    assert made.estimate().value == approx(1.0)
    one = [(h, 1 + h / 4, NAN, 0.0) for h in (4.0, 2.0, 1.0)]
    assert line(*one).estimate().value == approx(1.0)
    other = [(h, NAN, 1 - h / 4, 0.0) for h in (4.0, 2.0, 1.0)]
    assert line(*other).estimate().value == approx(1.0)


def test_a_louder_noise_is_what_explains_the_largest_difference():
    """Slopes 1, 1.5, 1.25 at 4, 2, 1: σ = max(0.5·2, 0.25·1) = 1, and noise σ/h."""
    made = slopes((4.0, 1.0), (2.0, 1.5), (1.0, 1.25))
    assert made.noisier_estimate() == Estimate(1.5, approx(0.5 + 1.5 + 6 * EPS), 1.5, 2.0)
    # One side is extrapolated in h: with noise of its own louder than that, each keeps it.
    one = [(h, slope, NAN, 4.0) for h, slope in ((4.0, 1.0), (2.0, 1.5))]
    noise = 3 * math.sqrt(2) * 4 / 2
    found = line(*one).noisier_estimate()
    assert (found.value, found.error) == (1.5, approx(0.5 + noise))
    # Exact in h alone: 1 + h/4, known to be loud by σ = 0.5·2.
    steps = [(h, 1 + h / 4, NAN, 0.0) for h in (4.0, 2.0)]
    assert line(*steps).noisier_estimate().error == approx(0.5 + 1.5 + 6 * EPS)


# -- extrapolation: bends and kinks ----------------------------------------------------------------


def rungs(*pairs, sigma=0.0):
    return bends(*pairs, sigma=sigma).rungs


def test_the_power_of_the_step_that_a_bend_follows():
    power = _kinks.bend_power
    assert power(rungs((8.0, -8.0), (2.0, -2.0))) == approx(1.0)
    assert power(rungs((8.0, 3.0), (2.0, 3.0))) == 0.0
    assert power(rungs((8.0, 1.0), (2.0, 4.0))) == approx(-1.0)
    assert power(rungs((99.0, 1.0), (8.0, 4.0), (2.0, -2.0))) == approx(0.5)  # the smallest two
    assert power(rungs((8.0, 4.0), (4.0, NAN), (2.0, 2.0))) == approx(0.5)
    assert math.isnan(power(rungs((8.0, 4.0), (2.0, INF))))
    assert math.isnan(power(rungs((8.0, 4.0))))
    assert math.isnan(power(rungs((8.0, 4.0), (8.0, 2.0))))
    # Below eight times its noise, 8·2.45·σ/h, a bend is not seen: at h = 1 that is 19.6 σ.
    assert math.isnan(power(rungs((2.0, 40.0), (1.0, 8 * 2.45), sigma=1.0)))
    assert power(rungs((2.0, 39.2), (1.0, 8 * 2.45 * JUST_ABOVE), sigma=1.0)) == pytest.approx(1)


def test_a_kink_keeps_its_bend_over_three_steps():
    kink = _kinks.on_kink
    assert kink(rungs((16.0, 2.0), (4.0, 2.0), (1.0, 2.0)))
    assert kink(rungs((64.0, 9.0), (16.0, -2.0), (4.0, -2.0), (1.0, -2.0)))  # the last three
    assert kink(rungs((64.0, 2.0), (16.0, 2.0), (4.0, 0.0), (1.0, 2.0)))  # that show it
    assert not kink(rungs((4.0, 2.0), (1.0, 2.0)))
    assert not kink(rungs((16.0, 2.0), (4.0, -2.0), (1.0, 2.0)))
    # 4^0.25 is √2: the powers of both pairs must be below.
    assert kink(rungs((16.0, 1.96), (4.0, 1.4), (1.0, 1.0)))
    assert kink(rungs((256.0, 4.0), (16.0, 2.0), (1.0, 1.0)))  # ¼, exactly
    assert not kink(rungs((16.0, 1.4), (4.0, 1.4), (1.0, 0.98)))
    assert not kink(rungs((16.0, 1.43), (4.0, 1.0), (1.0, 1.0)))
    assert not kink(rungs((16.0, 1.0), (4.0, 1.0), (1.0, 1.43)))
    # A smaller step that no longer shows it, for noise or for a side outside the domain.
    assert not kink(rungs((16.0, 2.0), (4.0, 2.0), (1.0, 2.0), (0.25, 0.0)))
    assert not kink(rungs((16.0, 2.0), (4.0, 2.0), (1.0, 2.0), (0.25, NAN)))
    at_noise = 8 * 2.45
    assert not kink(rungs((4.0, at_noise), (2.0, at_noise), (1.0, at_noise), sigma=1.0))
    assert kink(rungs((4.0, 19.7), (2.0, 19.7), (1.0, 19.7), sigma=1.0))


def test_the_step_at_which_only_a_kink_at_theta_shows():
    """The bend's noise is 5 % of it there: 2.45·σ/(0.05·|bend|) = 0.049 for σ = 10⁻³, bend 1."""
    step = _kinks.nearest_kink_step
    assert step(bends((1.0, -1.0), sigma=1e-3), 0.0) == approx(0.049)
    assert step(bends((9.0, 0.0), (1.0, 2.0), sigma=1e-3), 0.0) == approx(0.0245)
    assert step(bends((0.5, 1.0), sigma=1e-3), 0.0) == approx(0.049)
    assert step(bends((1.0, 1.0), sigma=1e-3), 0.25) == 0.25
    assert step(bends((0.75, 1.0), sigma=1e-3), 0.25) is None  # within three of it
    assert step(bends((0.76, 1.0), sigma=1e-3), 0.25) == 0.25


def test_the_slopes_at_a_kink_are_extrapolated_each_from_its_own_side():
    """1 + h/4 to the right and −1 − h/8 to the left, of which an even series would not get rid."""
    made = line(*((h, 1 + h / 4, -1 - h / 8, 0.0) for h in (4.0, 2.0, 1.0)))
    forward, backward = _kinks.kink_slopes(made)
    assert (forward.value, backward.value) == (approx(1.0), approx(-1.0))
    for made in (
        line((1.0, 1.0, 0.0, 0.0)),
        line((2.0, 1.0, 0.0, 0.0), (1.0, 1.0, NAN, 0.0)),
        line((2.0, 1.0, 0.0, 0.0), (1.0, NAN, 1.0, 0.0)),
    ):
        assert INF in [one.error for one in _kinks.kink_slopes(made)]


def test_a_func_that_moves_by_its_noise_is_not_asked_far_away():
    """Values beyond the first change lie within that step again, however loud func is."""
    seen = []

    def evaluate(steps):
        seen.extend(steps)
        return list(steps), [1e-6 * (t > 0.5) for t in steps]

    made = Line(evaluate, 0.0, Noise(1.0, 2.0**-53, "float64"))
    made.add(1.0)
    made.add(0.1)
    del seen[:]
    tell_grain(made)
    assert made.grainy
    assert 1.0 <= max(seen) <= 2.0
