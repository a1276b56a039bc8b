"""One coordinate, function by function: the ladder, where to climb, the answer.

Every value here is worked out by hand from the formulas of docs/numerics.md, on steps and slopes
chosen so that floats are exact; the letters are theirs, and ρ = 3.8197 is the ratio of steps.
"""

import math
import sys

import pytest
from by_hand import RHO, approx, bends, line, slopes, through

from pytest_gradcheck._difference import step_search_and_kinks as _kinks
from pytest_gradcheck._difference.noise_and_extrapolation import Estimate, Noise
from pytest_gradcheck._verdict import further_steps as _refine
from pytest_gradcheck._verdict.tolerance_and_comparison import (
    AGREE,
    DISAGREE,
    JUMP,
    KINK,
    NOISY,
    NOT_FINITE,
    NOT_SMOOTH,
    OPEN,
    Tolerance,
)

NAN, INF, EPS = math.nan, math.inf, sys.float_info.epsilon
JUST_ABOVE = 1 + 1e-9


def question(analytic, rtol=0.0, atol=0.0, dust=0.0, goal_rtol=0.0, goal_atol=0.0):
    return Tolerance(analytic, rtol, atol, dust, goal_rtol, goal_atol)


# -- the rule -------------------------------------------------------------------------------------


def test_within_allows_atol_and_rtol_of_the_larger_and_one_and_a_half_error_bars():
    assert question(-3.0).size(2.0) == 3.0
    assert question(1.0).size(-2.0) == 2.0
    # 4 and 3: tol = 0.25 + 0.125·4 = 0.75, and 1.5·u fills the gap of 1 from u = 1/6 on.
    asked = question(3.0, rtol=0.125, atol=0.25)
    assert asked.within(4.0, 0.1667)
    assert not asked.within(4.0, 0.1666)
    assert question(4.0, rtol=0.25).within(3.0, 0.0)  # exactly: "≤"
    assert not question(4.0, rtol=0.2499).within(3.0, 0.0)


def test_dust_excuses_only_what_is_zero_within_ten_times_that():
    asked = question(1e-3, dust=1e-3)
    assert asked.within(0.0, 0.0)
    assert asked.within(2e-3, 2e-3 / 15)  # |n| = 15·u, exactly
    assert not asked.within(2e-3, 1.9e-3 / 15)
    assert not question(1e-3, dust=0.9e-3).within(0.0, 0.0)


def test_settled_compares_the_error_bar_with_the_goal():
    asked = question(-2.0, goal_rtol=0.25, goal_atol=0.25)  # goal: 0.25 + 0.25·2
    assert asked.settled(1.0, 0.5)
    assert not asked.settled(1.0, 0.5 * JUST_ABOVE)
    assert asked.settled(-4.0, 0.8)  # 1.5·0.8 ≤ 0.25 + 0.25·4
    assert not asked.settled(-4.0, 0.84)


# -- which step is next ----------------------------------------------------------------------------


def test_a_flat_func_is_asked_farther_until_the_analytic_slope_would_show():
    """J = 32: a slope of 2 makes four times as much of a step of 64."""
    move = _refine.until_it_moves
    made = slopes((0.5, 0.0), (0.1, 0.0), center=-32.0)
    # A value of few digits may be rounded to them.
    assert move(made, question(2.0), 0.01) == approx(0.5 * RHO**2)
    made = slopes((0.5, 0.0), (0.1, 0.0), center=-math.nextafter(32.0, 0.0))
    assert move(made, question(-2.0), 100.0) == approx(0.5 * RHO**2)
    assert move(made, question(2.0), 5.0) == approx(0.5 * RHO**2)
    assert move(made, question(0.0), 100.0) is None
    # Not beyond 256 scales, nor so near to the last step that it would tell nothing new.
    assert move(made, question(2.0), 0.01) == 2.56
    assert move(made, question(2.0), 0.0022) == approx(0.5632)
    assert move(made, question(2.0), 0.0021) is None
    # Beyond the scale only as far as func must move.
    assert move(made, question(200.0), 0.1) == approx(0.64)
    # A larger step that is rounded to the same: there is none.
    assert move(slopes((0.5, 0.0), (0.5, 0.0), center=-32.0), question(2.0), 100.0) is None


def test_the_next_step_goes_up_for_noise_and_down_for_truncation():
    made = slopes((1.0, 1.0), (0.25, 1.0))
    up, down = approx(RHO), approx(0.25 / RHO)

    def following(rounding, scale=10.0, least=0.0, h=0.25):
        told = Estimate(1.0, 0.125, rounding, h)
        return _refine.next_step(made, question(1.0), told, scale, least)

    assert following(0.0625) == up
    assert following(0.0624) == down
    assert following(0.0625, scale=0.5) == up  # flat and parabolic: beyond the scale
    assert following(0.0624, least=1.0) == up
    assert following(0.0625, scale=1e-7) == down
    assert following(0.0625, scale=1e-7, least=1.0) is None
    assert _refine.next_step(made, question(1.0), Estimate(), 10.0, 0.0) == up
    assert _refine.next_step(made, question(1.0), Estimate(), 1e-7, 0.0) == down
    # What bends is followed down, whatever the estimate says.
    kinked = bends((1.0, 2.0), (0.25, 2.0))
    told = Estimate(0.0, 1.0, 1.0, 1.0)
    assert _refine.next_step(kinked, question(0.0), told, 10.0, 0.0) == down
    assert _refine.next_step(kinked, question(0.0), told, 10.0, 1.0) is None
    # A single step that bends by chance, below which there is none, is followed up.
    assert _refine.next_step(bends((1.0, 2.0)), question(0.0), Estimate(), 10.0, 1.0) == up


def test_a_wide_gap_between_rungs_is_filled_first():
    """Wider than ρ^2.5 = 28.5, from its larger step."""
    made = slopes((1.0, 1.0), (0.03, 1.0), (0.001, 1.0))
    asked = question(1.0)

    def following(h, rounding=1.0):
        return _refine.next_step(made, asked, Estimate(1.0, 1.0, rounding, h), 10.0, 0.0)

    assert following(0.001) == approx(0.03 / RHO)
    assert following(0.03) == approx(1 / RHO)
    assert following(1.0) == approx(RHO)
    assert following(1.0, 0.0) == approx(1 / RHO)
    assert following(0.03, 0.0) == approx(0.03 / RHO)
    assert following(0.001, 0.0) == approx(0.001 / RHO)
    close = slopes((RHO**2.5, 1.0), (1.0, 1.0))
    told = Estimate(1.0, 1.0, 1.0, 1.0)
    assert _refine.next_step(close, asked, told, 100.0, 0.0) == approx(RHO**3.5)
    told = Estimate(1.0, 1.0, 0.0, RHO**2.5)
    assert _refine.next_step(close, asked, told, 100.0, 0.0) == approx(1 / RHO)
    close = slopes((1.0, 1.0), (1 / 28.5, 1.0))
    told = Estimate(1.0, 1.0, 1.0, 1 / 28.5)
    assert _refine.next_step(close, asked, told, 10.0, 0.0) == approx(RHO)


def test_steps_above_the_scale_only_while_func_is_a_parabola():
    asked, told = question(1.0), Estimate(1.0, 1.0, 1.0, 1.0)

    def following(made, scale):
        return _refine.next_step(made, asked, told, scale, 1.0)

    assert following(slopes((4.0, 1.0), (1.0, 1.0)), 4.0) == approx(4 * RHO)
    assert following(slopes((4.0, 1.5), (1.0, 1.0)), 4.0) is None  # a slope that changes
    assert following(slopes((4.0, 1.5), (1.0, 1.0)), 4.1) == approx(4 * RHO)
    made = line((4.0, 5.0, -3.0, 0.0), (1.0, 2.5, -0.5, 0.0))  # one slope, two curvatures
    assert following(made, 4.0) is None
    made = line((4.0, 5.0, -3.0, 0.0), (1.0, 2.0, 0.0, 0.0))  # 1 + t + t²
    assert following(made, 4.0) == approx(4 * RHO)
    assert following(made, 4.0001e-6) == approx(4 * RHO)
    assert following(made, 4e-6) is None  # a million times the scale
    assert following(line((4.0, 1.0, NAN, 0.0), (1.0, 1.0, 1.0, 0.0)), 10.0) is None


def test_larger_steps_are_twice_as_long_where_much_is_wanted():
    """Noise 3·σ/h is to fall to the goal: 4.5·σ/goal against h·ρ⁴ = 212.9."""
    told = Estimate(1.0, 1.0, 1.0, 1.0)

    def following(sigma, asked=None):
        made = slopes((1.0, 2.0), (0.5, 2.0), sigma=sigma)
        return _refine.next_step(made, asked or question(-1.0, goal_rtol=0.5), told, 1e9, 0.0)

    assert following(212.8 / 4.5) == approx(RHO)  # goal: ½ of the larger, the numeric slope
    assert following(213.0 / 4.5) == approx(RHO**2)
    assert following(RHO**4, question(-1.0, goal_atol=4.5)) == approx(RHO**2)
    wide = question(-1.0, goal_rtol=0.25, goal_atol=0.5)
    assert following(212.8 / 4.5, wide) == approx(RHO)
    assert following(213.0 / 4.5, wide) == approx(RHO**2)


def test_after_one_rung_the_step_that_the_noise_asks_for_is_taken_at_once():
    def following(scale, sigma=1e-9):
        made = slopes((1e-3, 1.0), sigma=sigma)
        asked = question(1.0, goal_rtol=1e-6)
        return _refine.next_step(made, asked, Estimate(), scale, 0.0)

    assert following(1.0) == approx(4.5e-3)
    assert following(0.004) == 0.004
    assert following(0.003) == 0.003
    assert following(1.0, 1e-10) == approx(1e-3 * RHO)


def test_no_step_is_so_small_that_noise_hides_the_slope():
    """Not below σ/(0.3·|slope|), the largest of the analytic one and both sides."""
    told = Estimate(1.0, 1.0, 0.0, 0.5)

    def following(analytic, forward, backward, sigma, least=0.0):
        made = line((0.5, forward, backward, sigma))
        return _refine._smaller(made, told.h, question(analytic), least)

    down = approx(0.5 / RHO)  # 0.1309
    assert following(-2.0, 1.0, 1.0, 0.0785) == down
    assert following(-2.0, 1.0, 1.0, 0.0786) is None
    assert following(1.0, -2.0, 1.0, 0.0785) == down
    assert following(1.0, 1.0, -2.0, 0.0785) == down
    assert following(1.0, 1.0, -2.0, 0.0786) is None
    assert following(NAN, 2.0, NAN, 0.0785) == down
    assert following(NAN, NAN, NAN, 1e-9) is None
    assert following(0.0, 0.0, 0.0, 0.0) == down
    assert following(1.0, 1.0, 1.0, 0.0, least=0.5 / RHO) == down
    assert following(1.0, 1.0, 1.0, 0.0, least=0.131) is None


def test_parabolic_and_flat_tops():
    parabola = _kinks.parabolic
    assert parabola(bends((4.0, 8.0), (1.0, 2.0), (0.5, 9.0)))
    assert parabola(bends((4.0, 8.0), (1.0, 2.002)))
    assert not parabola(bends((4.0, 8.0), (1.0, 2.0021)))
    assert not parabola(bends((4.0, 8.0), (1.0, 1.9979)))
    assert not parabola(bends((4.0, 8.0), (1.0, -2.0)))
    # A thousandth of the larger one, whichever that is.
    assert parabola(bends((4.0, 8.008004), (1.0, 2.0)))
    assert parabola(bends((4.0, 8.0), (1.0, 2.002001)))
    # And three times the noise of a curvature, 7.35·σ/h²: 0.0078 for σ = 10⁻³, h = 4 and 1.
    noise = 1e-3 * 7.35 * (1 + 1 / 16)
    assert parabola(bends((4.0, 8.0), (1.0, 2.0 - 0.002 - 0.99 * noise), sigma=1e-3))
    assert not parabola(bends((4.0, 8.0), (1.0, 2.0 - 0.002 - 1.01 * noise), sigma=1e-3))

    flat = _refine.may_go_beyond
    assert not flat(slopes((1.0, 1.0)))
    assert flat(slopes((4.0, 0.0), (1.0, 0.0)))
    assert flat(slopes((4.0, 1.0), (1.0, 1.0)))
    # Noise √½·σ/h: 3·√½·(¼ + 1) = 2.65.
    assert flat(slopes((4.0, 1.0), (1.0, -1.65), (0.5, 9.0), sigma=1.0))
    assert not flat(slopes((4.0, 1.0), (1.0, -1.66), sigma=1.0))


def test_a_sentinel_goes_as_far_down_as_noise_allows():
    def step(analytic, value, sigma, least=0.0, h=1.0):
        made = slopes((9.0, 1.0), (5.0, 1.0), (h, 1.0), sigma=sigma)
        return _refine.sentinel(made, question(analytic), Estimate(value, 1.0), least)

    # gap 1: noise is 2 % of it at 0.03; 3 % of the value 2 at 0.01; ρ⁻² is 0.0685.
    assert step(-2.0, -1.0, 6e-4) == approx(0.03)
    assert step(1.0, 2.0, 6e-4) == approx(0.03)
    assert step(3.0, 1.0, 1.2e-3) == approx(0.03)
    assert step(2.0, 1.0, 2e-3) == approx(RHO**-2)
    assert step(2.0, 1.0, 0.012) == approx(0.2)  # the value is faint
    assert step(2.0, 1.0, 0.02) is None
    assert step(2.0, 1.0, 6e-4, least=0.2) == 0.2
    assert step(2.0, 1.0, 6e-4, least=0.3) is None
    assert step(2.0, 1.0, 6e-4, least=1 / RHO) == 1 / RHO
    assert step(2.0, 1.0, 6e-4, least=0.52, h=2.0) == 0.52
    assert step(1.0, 1.0, 6e-4) == approx(RHO**-2)
    assert step(0.0, 0.0, 6e-4) is None
    assert step(NAN, 1.0, 6e-4) is None


def test_what_is_bent():
    zero = question(0.0)
    bent = _refine._bent
    assert bent(bends((4.0, 1.0), (1.0, 1.0)), zero)
    assert bent(bends((1.0, 1.0)), zero)  # one rung can't tell
    assert not bent(bends((4.0, 4.0), (1.0, 1.0)), zero)  # falls with the step
    assert bent(bends((4.0, 2.0), (1.0, 1.0)), zero)
    assert not bent(bends((32.0, 8.0), (1.0, 1.0)), zero)  # with a power of 0.6, exactly
    assert not bent(bends((4.0, 1.0), (1.0, NAN)), zero)
    assert not bent(bends((4.0, 1.0), (1.0, INF)), zero)
    # Not above a tenth of the slopes, numeric or analytic.
    assert not bent(bends((4.0, 1.0), (1.0, 1.0), central=10.0), zero)
    assert bent(bends((4.0, 1.0), (1.0, 1.0), central=-9.9), zero)
    assert not bent(bends((4.0, 1.0), (1.0, 1.0)), question(-10.0))
    # Nor within eight times its noise, 19.6·σ/h.
    assert not bent(bends((4.0, 1.0), (1.0, 8 * 2.45), sigma=1.0), zero)
    # Nor within three times it of what falls with a power of 0.6: 50/2.297 + 7.35.
    assert not bent(bends((4.0, 50.0), (1.0, 29.0), sigma=1.0), zero)
    assert bent(bends((4.0, 50.0), (1.0, 29.2), sigma=1.0), zero)
    assert bent(bends((4.0, 1.0), (1.0, 19.7), sigma=1.0), zero)
    # Nor where it has no sign of its own over the last three that show it.
    assert not bent(bends((16.0, 1.0), (4.0, -1.0), (1.0, 1.0)), zero)
    assert bent(bends((64.0, -1.0), (16.0, 1.0), (4.0, 1.0), (1.0, 1.0)), zero)
    assert not bent(bends((64.0, 1.0), (16.0, 1.0), (4.0, -1.0), (1.0, 1.0)), zero)
    assert bent(bends((8.0, 19.7), (2.0, -8 * 2.45 / 2), (1.0, 19.7), sigma=1.0), zero)
    assert bent(bends((4.0, -1.0), (1.0, 1.0)), zero)
    assert bent(bends((16.0, -19.0), (4.0, 19.7), (1.0, 19.7), sigma=1.0), zero) is False
    assert bent(bends((16.0, -1.0), (4.0, 19.7), (1.0, 19.7), sigma=1.0), zero)


# -- _refine: its parts ----------------------------------------------------------------------------


def test_an_estimate_is_not_trusted_near_a_kink_in_noise_or_in_a_narrow_format():
    steps = [(4.0**-k, 1.0) for k in range(5)]
    assert _refine._trusted(slopes(*steps), question(2.5), 1.0, Estimate(1.0, 0.25))
    kinked = bends((4.0, 4.0), (1.0, 4.0))
    assert not _refine._trusted(kinked, question(2.5), 1.0, Estimate(0.0, 0.01))
    # Nor, in a func that changes by its noise alone, where a step comes near the analytic value.
    loud = slopes((4.0, 1.0), (1.0, 1.0), (0.25, 7.0), changes=(1.0,))
    assert _refine._trusted(loud, question(9.0), 1.0, Estimate(1.0, 0.01))
    loud.noise = Noise(1.0, 2.0**-53, "float64")
    assert not _refine._trusted(loud, question(9.0), 1.0, Estimate(1.0, 0.01))
    assert _refine._trusted(loud, question(11.0), 1.0, Estimate(1.0, 0.01))
    narrow = slopes(*steps, unit=2.0**-24)
    assert not _refine._trusted(narrow, question(2.5), 1.0, Estimate(1.0, 0.2))
    assert _refine._trusted(narrow, question(2.5), 1.0, Estimate(1.0, 0.1))


def test_three_steps_must_converge_before_a_value_is_accused():
    """Slopes 1 + h² at three steps have the limit 1; h itself is no series in h²."""

    def converged(*pairs, analytic=3.0, value=1.0, h=0.0, **given):
        estimate = Estimate(value, 0.01, 0.0, h)
        return _refine._converged(slopes(*pairs, **given), question(analytic), estimate)

    smooth = [(2.0**-k, 1 + 4.0**-k) for k in range(4)]
    assert converged(*smooth[:3])
    assert not converged(*smooth[:2])  # two may agree by chance
    assert not converged((1.0, 1.0), (0.9, 1.0), (0.7, 1.0))  # two measurements, at 1 and 0.7 × 0.9
    assert converged((1.0, 1.0), (0.9, 1.0), (0.6, 1.0), (0.3, 1.0))
    # Slopes that differ more from step to step do not converge, unless noise makes them.
    grows = [(1.0, 1.0), (0.5, 1.02), (0.25, 1.1)]
    assert not converged(*grows)
    assert converged(*grows, sigma=0.01)  # 0.707·0.01·3·(2 + 4) is 0.13
    # Not near enough: a quarter of the gap of 2.
    assert not converged((1.0, 1.51), (0.5, 1.51), (0.25, 1.51))
    assert converged((1.0, 1.49), (0.5, 1.49), (0.25, 1.49))
    # Three finer steps in a row that come near the analytic value, whatever their noise is.
    finer = [(0.03, 2.9), (0.01, 3.1), (0.003, 2.95)]
    assert not converged(*smooth[:3], *finer, h=0.2, sigma=1.0)
    assert converged(*smooth[:3], *finer[:2], h=0.2, sigma=1e-9)
    assert converged(*smooth[:3], finer[0], (0.01, 0.0), finer[2], h=0.2, sigma=1e-9)


def test_steps_that_are_louder_than_an_estimate_do_not_widen_its_error_bar():
    made = line((2.0, 1.0, 1.0, 0.0), (1.0, 1.0, 1.0, 0.0), (0.01, 1.5, 1.5, 0.01))
    told = Estimate(1.0, 0.5, 0.0, 1.0)
    found = _refine._best_known(made, question(5.0), told)
    assert (found.value, found.h) == (1.0, 1.0)
    assert found.error < 1e-14
    assert _refine._best_known(made, question(1.0), told) is told  # which it would not deny
    assert _refine._best_known(made, question(5.0), Estimate(1.0, 1e-17, 0.0, 1.0)).error == 1e-17


def test_a_func_that_stands_still_at_small_steps_does_not_converge():
    """Stairs: nothing moves at the three smallest steps, and something did before."""
    steps = [(1.0, 0.9), (0.1, 0.0), (0.03, 0.0), (0.01, 0.0)]
    made = slopes(*steps, changes=(0.9, 0.0, 0.0, 0.0))
    asked, estimate = question(0.9), Estimate(0.0, 1e-3)
    assert not _refine._converged(made, asked, estimate)
    made.grainy = False  # it was seen to be flat as far as a kink
    assert _refine._converged(made, asked, estimate)
    made = slopes(*steps[1:], changes=(0.0, 0.0, 0.0))
    assert _refine._converged(made, asked, estimate)  # it never moved at all


def test_narrow_formats_need_eight_times_the_proof():
    told = Estimate(1.0, 0.125)  # 8·1.5·⅛ = 1.5
    for unit, analytic, clear in (
        (2.0**-24, 2.5, False),
        (2.0**-24, -0.5, False),
        (2.0**-24, 2.51, True),
        (2.0**-24, -0.51, True),
        (1e-10, 2.5, False),
        (0.99e-10, 1.1, True),
    ):
        assert _refine._trusted(line(unit=unit), question(analytic), 1.0, told) is clear


def test_a_func_that_changes_by_its_noise_alone():
    noise = _refine._all_noise
    assert noise(line(sigma=1.1, changes=(10.0, 0.0)))
    assert not noise(line(sigma=1.0, changes=(0.0, 10.0)))
    assert not noise(line(sigma=1.0, changes=()))
    assert not noise(line(sigma=1.0, changes=(0.0, 0.0)))


def test_the_step_at_which_the_analytic_slope_of_an_oscillation_would_show():
    """Changes of up to 2 and slopes that differ by 2: a quarter of 2/2."""

    def step(h, sigma=1.0, analytic=3.0):
        made = slopes((9.0, 1.0), (8.0, 1.0), (h, 1.0), sigma=sigma, changes=(1.0, 2.0))
        made.noise = Noise(sigma, 2.0**-53, "float64")
        return _refine._step_that_shows(made, question(analytic), Estimate(1.0, 0.1))

    assert step(0.6) == 0.25
    assert step(0.6, analytic=-1.0) == 0.25
    assert step(0.6, sigma=0.1) is None
    # A large part of a func bends within that step: an eighth of it, and so on to a hundredth.
    assert step(0.5) == 0.0625
    assert step(0.0026) == 0.000325
    assert step(0.0025) is None


@pytest.mark.parametrize("analytic", [0.5, 1.0])
def test_the_flat_side_of_a_kink_has_the_slope_zero(analytic):
    """Steps of 1e-3 and more see the other side; that smaller ones see nothing is no rounding."""
    made, _ = through(lambda t: 3.0 + max(t - 1e-3, 0.0))
    asked = question(analytic, rtol=1e-7, goal_rtol=3e-6)
    answer = _refine.refine(made, asked, 1e-5, 1.0, 1e-17)
    assert (answer.verdict, answer.value) == (DISAGREE, 0.0)
    assert answer.error < 3 * 0.6 * 2.0**-53 * 3 / 1e-5  # no more than noise at the first step


def test_two_sides_leave_room_for_a_subgradient_or_not():
    enough = _refine.smooth_enough
    kinked = bends((4.0, 1.0), (1.0, 1.0))
    assert not enough(kinked, question(0.3))
    assert not enough(kinked, question(-0.75))
    assert not enough(bends((4.0, 1.0), (1.0, 1.0), central=5.0), question(5.3))
    assert not enough(line((1.0, 4.25, -4.25, 1 / 2.45)), question(0.3))  # 8.5 of its noise
    assert enough(kinked, question(0.76))
    assert enough(kinked, question(-0.76))
    assert enough(bends((4.0, 4.0), (1.0, 1.0)), question(0.3))
    assert not enough(bends((4.0, 2.0), (1.0, 1.0)), question(0.3))
    assert enough(bends((4.0, 2.4), (1.0, 1.0)), question(0.3))  # 4^0.6 = 2.30
    assert enough(bends((32.0, 8.0), (1.0, 1.0)), question(0.3))
    assert not enough(bends((1.0, 1.0)), question(0.3))
    assert not enough(bends((4.0, 1.0), (1.0, 1.0), (0.25, NAN)), question(0.3))
    assert enough(bends((4.0, NAN), (1.0, INF)), question(0.3))
    assert enough(bends((1.0, 0.0)), question(0.0))
    # The smallest step whose noise, 19.6·σ/h, leaves the gap to be seen is looked at …
    made = line((4.0, 0.025, -0.025, 0.02), (1.0, 0.5, -0.5, 0.02))
    assert enough(made, question(0.3))
    assert not enough(made, question(0.4))
    # … and the largest where there is none.
    assert enough(line((4.0, 0.25, -0.25, 0.2), (1.0, 4.0, -4.0, 0.2)), question(0.3))
    assert not enough(line((4.0, 1.0, -1.0, 0.2), (1.0, 0.5, -0.5, 0.2)), question(0.3))


def test_a_value_between_the_slopes_of_a_kink_is_a_subgradient():
    def judged(analytic, made=None, **given):
        made = made or line((4.0, 1.0, -1.0, 0.0), (1.0, 1.0, -1.0, 0.0))
        return _refine._judge_kink(made, question(analytic, **given))

    found = judged(0.3)
    assert (found.value, found.error, found.verdict) == (0.0, 1.0, AGREE)
    assert (found.reason, found.slopes) == (KINK, (-1.0, 1.0))
    assert judged(1.0).verdict == judged(-1.0).verdict == AGREE
    # Each slope is known to 4 eps, of which 1.5 count.
    assert judged(1 + 6 * EPS).verdict == judged(-1 - 6 * EPS).verdict == AGREE
    assert judged(1.01).verdict == judged(-1.01).verdict == DISAGREE
    assert judged(1.01).reason == KINK
    # atol + rtol·|a| = 0.1 + 0.1·1.2 = 0.22.
    slack = {"rtol": 0.1, "atol": 0.1}
    assert judged(1.21, **slack).verdict == judged(-1.21, **slack).verdict == AGREE
    assert judged(1.23, **slack).verdict == judged(-1.23, **slack).verdict == DISAGREE
    # Relative to the larger slope where that is larger.
    steep = line((4.0, 4.0, -1.0, 0.0), (1.0, 4.0, -1.0, 0.0))
    assert judged(-1.4, steep, rtol=0.1).verdict == AGREE
    assert judged(-1.41, steep, rtol=0.1).verdict == DISAGREE
    steep = line((4.0, 1.0, -4.0, 0.0), (1.0, 1.0, -4.0, 0.0))
    assert judged(1.4, steep, rtol=0.1).verdict == AGREE
    found = judged(0.0, steep)
    assert (found.value, found.error, found.slopes) == (-1.5, 2.5, (-4.0, 1.0))
    # The error bar of each slope is what its side differs by: 0.1, of which 1.5 count.
    known = line((4.0, 1.1, -1.1, 0.0), (1.0, 1.0, -1.0, 0.0))
    assert judged(1.14, known).verdict == judged(-1.14, known).verdict == AGREE
    assert judged(1.16, known).verdict == judged(-1.16, known).verdict == DISAGREE
    # Concave: the backward slope is the larger one.
    roof = line((4.0, -1.0, 1.0, 0.0), (1.0, -1.0, 1.0, 0.0))
    found = judged(0.3, roof)
    assert (found.error, found.verdict, found.slopes) == (1.0, AGREE, (1.0, -1.0))
    assert judged(NAN).verdict == judged(INF).verdict == DISAGREE
    assert judged(0.3, line((1.0, 1.0, -1.0, 0.0))) is None


@pytest.mark.parametrize("side", [1, -1])
def test_a_value_beyond_the_slopes_of_a_kink_is_accused_from_further_off_in_float32(side):
    def judged(analytic, unit):
        made = line((4.0, 1.1, -1.1, 0.0), (1.0, 1.0, -1.0, 0.0), unit=unit)
        return _refine._judge_kink(made, question(side * analytic))

    # Each slope is known to 0.1, of which 1.5 count, and in float32 eight times that.
    slope = judged(0.0, 2.0**-53).slopes[1]
    for analytic in (slope + 0.16, slope + 1.1):
        assert judged(analytic, 2.0**-53).verdict == DISAGREE
        assert judged(analytic, 2.0**-24) is None
    assert judged(slope + 1.3, 2.0**-24).verdict == DISAGREE
    assert judged(slope + 0.14, 2.0**-24).verdict == AGREE


def test_what_is_left_open_says_why():
    left = _refine._left_open
    found = left(line((1.0, NAN, NAN, 0.0)), question(1.0), Estimate())
    assert math.isnan(found.value)
    assert (found.error, found.verdict, found.reason) == (INF, OPEN, NOT_FINITE)
    assert left(slopes((1.0, 3.0)), question(1.0), Estimate()).value == 3.0
    told = Estimate(0.25, 0.5)
    found = left(bends((4.0, 1.0), (1.0, 2.4)), question(0.0), told)  # power −0.63
    assert found == _refine.Answer(0.25, 0.5, OPEN, JUMP)
    found = left(bends((4.0, 1.0), (1.0, 2.2)), question(0.0), told)  # power −0.57
    assert found == _refine.Answer(0.25, 0.5, OPEN, NOT_SMOOTH)
    assert left(bends((1.0, 1.0)), question(0.0), told).reason == NOT_SMOOTH
    assert left(bends((32.0, 1.0), (1.0, 8.0)), question(0.0), told).reason == NOT_SMOOTH  # −0.6


def test_a_loud_func_is_judged_by_the_noise_that_its_slopes_show():
    """Slopes 1, 1.5, 1.25 at 4, 2, 1: 1.5 ± 2, as above."""
    rungs = ((4.0, 1.0), (2.0, 1.5), (1.0, 1.25))
    made, told = slopes(*rungs), Estimate(1.2, 5.0)
    left = _refine._left_open
    found = left(made, question(1.6, goal_atol=3.01), told)
    assert (found.value, found.error) == (1.5, approx(2 + 6 * EPS))
    assert (found.verdict, found.reason) == (AGREE, NOISY)
    assert left(made, question(1.6, goal_atol=2.99), told).verdict == OPEN
    assert left(made, question(1.6, goal_atol=2.99), told).reason == NOISY
    # What it denies stays open, and nothing is said of it where the given estimate is as good.
    assert left(made, question(10.0), told) == _refine.Answer(1.2, 5.0, OPEN, NOISY)
    good = Estimate(1.2, 1.9)
    assert left(made, question(10.0), good) == _refine.Answer(1.2, 1.9, OPEN, NOISY)
    assert left(made, question(1.3, goal_atol=2.86), good) == _refine.Answer(1.2, 1.9, AGREE, NOISY)


def test_the_distance_of_values_that_tell_the_noise_along_a_line():
    """At most 2⁻¹⁶ of the scale, and so near that J changes by 2⁻¹⁴ of itself."""
    near, made = _refine.spacing, slopes((1.0, 2.0), (0.25, 2.0), center=-8.0, changes=(4.0,))
    assert near(made, question(0.0), 2.0) == near(made, question(1e-9), 2.0) == 2.0**-15
    assert near(made, question(-64.0), 2.0) == 2.0**-17
    # Where J is zero, of what it changes by, if it does.
    assert near(slopes((1.0, 2.0), center=0.0, changes=(4.0,)), question(64.0), 2.0) == 2.0**-18
    assert near(slopes((1.0, 0.0), center=0.0, changes=()), question(64.0), 2.0) == 2.0**-15
    # All eight within the largest step that is inside the domain, or the smallest if none is; and
    # to the side on which the domain goes on.
    edge = line((1.0, NAN, 1.0, 0.0), (2.0**-14, 1.0, 1.0, 0.0), (2.0**-15, 1.0, 1.0, 0.0))
    assert near(edge, question(0.0), 2.0) == -(2.0**-17)
    assert near(line((2.0**-13, NAN, 1.0, 0.0)), question(0.0), 4.0) == -(2.0**-16)
    assert near(line((2.0**-13, 1.0, NAN, 0.0)), question(0.0), 4.0) == 2.0**-16


def test_what_stands_still_is_not_accused_where_two_larger_steps_come_near_the_analytic_slope():
    told = Estimate(0.0, 0.01)
    for steps, near in (
        (((8.0, 1.05), (4.0, 0.95), (1.0, 0.0)), True),  # by a tenth of what they differ by
        (((8.0, 1.05), (4.0, 0.85), (1.0, 0.0)), False),
        (((8.0, 1.0), (4.0, 0.0), (2.0, 1.0), (1.0, 0.0)), False),
    ):
        assert _refine._seen_farther(slopes(*steps), question(1.0), told) == near


def test_a_kink_is_not_beside_where_no_step_reaches_it():
    assert _refine._kink_beside(bends((1e-10, 1.0)), question(0.0), 1.0) is None
    assert _refine._kink_beside(bends((1.0, 1.0)), question(0.0), 1.0) is None


# -- _refine: the climb ----------------------------------------------------------------------------

FINE = {"rtol": 1e-7, "goal_rtol": 3e-6}


def answered(
    func, analytic, first=1e-5, scale=1.0, least=1e-15, sigma=1e-16, unit=2.0**-53, **goal
):
    made, seen = through(func, sigma, unit)
    found = _refine.refine(made, question(analytic, **(goal or FINE)), first, scale, least)
    return found, seen, made


def sine(t):
    return math.sin(0.7 + t)


SLOPE = math.cos(0.7)


def test_a_right_slope_agrees_and_a_wrong_one_does_not():
    found, seen, made = answered(sine, SLOPE)
    assert (found.verdict, found.reason, found.slopes) == (AGREE, "", None)
    assert abs(found.value - SLOPE) <= found.error
    assert 1.5 * found.error <= 3e-6 * found.value
    assert seen[:2] == [1e-5, -1e-5]
    assert len(seen) == 2 * len(made.rungs) <= 6
    for factor in (1.0001, -1.0, 0.0, 1e9):
        found, _, made = answered(sine, SLOPE * factor)
        assert (found.verdict, found.reason, found.slopes) == (DISAGREE, "", None)
        assert abs(found.value - SLOPE) <= found.error
        # Nothing is accused without a step far below the first.
        assert made.rungs[-1].h < 1e-5 / RHO


def test_what_was_evaluated_before_is_not_evaluated_again():
    made, seen = through(sine)
    made.add(1e-5)
    del seen[:]
    _refine.refine(made, question(SLOPE, **FINE), 123.0, 1.0, 1e-15)
    assert seen
    assert 123.0 not in seen
    assert 1e-5 not in seen


def test_a_kink_at_theta_is_seen_and_one_beside_it_stepped_under():
    for analytic, verdict in ((0.3, AGREE), (-1.0, AGREE), (1.5, DISAGREE)):
        found, _, _ = answered(abs, analytic, sigma=1e-12)
        assert (found.verdict, found.reason) == (verdict, KINK)
        assert found.slopes == (approx(-1.0), approx(1.0))
        assert (found.value, found.error) == (0.0, approx(1.0))

    def beside(t):
        return max(0.0, t - 1e-6) + 0.5 * t

    found, _, made = answered(beside, 0.5, sigma=1e-15)
    assert (found.verdict, found.reason) == (AGREE, "")
    assert found.value == pytest.approx(0.5)
    assert made.rungs[-1].h < 1e-6
    found, _, _ = answered(beside, 1.0, sigma=1e-15)
    assert found.verdict == DISAGREE
    # Also when three steps have shown it before the first that does not reach it.
    made, _ = through(beside, sigma=1e-15)
    for h in (1e-2, 3e-3, 1e-3):
        made.add(h)
    assert _kinks.on_kink(made.rungs)
    found = _refine.refine(made, question(0.5, **FINE), 1e-2, 1.0, 1e-15)
    assert (found.verdict, found.reason) == (AGREE, "")


def test_one_side_of_the_domain_is_enough():
    found, _, _ = answered(lambda t: math.exp(t) if t >= 0 else NAN, 1.0)
    assert (found.verdict, found.reason) == (AGREE, "")
    found, _, _ = answered(lambda t: math.exp(t) if t <= 0 else NAN, 1.1)
    assert found.verdict == DISAGREE
    assert found.value == pytest.approx(1.0)
    found, seen, _ = answered(lambda t: NAN if t else 1.0, 1.0)
    assert (found.error, found.verdict, found.reason) == (INF, OPEN, NOT_FINITE)
    assert len(seen) <= 32


def test_jumps_and_roots_are_named():
    found, _, _ = answered(lambda t: t + (t > 0), 1.0)
    assert (found.verdict, found.reason) == (OPEN, JUMP)
    found, _, made = answered(lambda t: abs(t) ** 1.5, 0.0, scale=1e-5, least=1e-8)
    assert (found.verdict, found.reason) == (OPEN, NOT_SMOOTH)
    assert len(made.rungs) <= 16


def hashed(t):
    """Return what repeats itself and is noise at every step."""
    return math.sin(1e9 * math.sin(1e9 * t) + 1e5 * t)


def test_noise_is_named():
    """As loud as func itself, where the smallest step would show the analytic slope."""
    found, seen, _ = answered(hashed, 1e9, sigma=0.5, least=1e-8)
    assert (found.error, found.verdict, found.reason) == (INF, OPEN, NOISY)
    assert len(seen) == 2
    found, _, _ = answered(lambda t: t + 1e-4 * hashed(t), 1.0, sigma=1e-4, goal_rtol=1e-13)
    assert (found.verdict, found.reason) == (OPEN, NOISY)
    assert abs(found.value - 1) <= found.error
    found, _, _ = answered(lambda t: t + 1e-4 * hashed(t), 3.0, sigma=1e-4, goal_rtol=1e-3)
    assert found.verdict == DISAGREE


def test_an_oscillation_that_was_taken_for_noise():
    """½·sin(10⁹·t): as loud as its noise at all steps but those that show the analytic slope."""

    def fast(t):
        return 0.5 * math.sin(1e9 * t)

    found, _, made = answered(fast, 0.5e9, first=1e-3, least=1e-13, sigma=0.5, goal_rtol=1.0)
    assert found.verdict != DISAGREE
    found, _, made = answered(fast, 0.5e9, first=1e-3, least=0.8e-9, sigma=0.5, goal_rtol=1e-3)
    assert (found.verdict, found.reason) == (OPEN, NOISY)
    assert made.rungs[-1].h >= 0.8e-9


def test_at_most_sixteen_steps():
    """A line whose noise no step makes small enough for what is asked, on a scale without end."""
    found, seen, made = answered(
        lambda t: t + 1e-4 * hashed(t), 1.0, scale=1e30, sigma=1e-4, goal_rtol=1e-300
    )
    assert (found.verdict, found.reason) == (OPEN, NOISY)
    assert len(made.rungs) == 16
    # And the noise along the line was measured: it is far louder than was said, and falls by 16
    # each time that it is looked at closer, three times and once more beside each.
    assert len(seen) == 32 + 7 * 7


def test_a_bend_that_no_step_lessens_is_given_up_after_eight():
    """|t|^0.6: neither a kink, nor a jump, nor smooth; its bend grows as h^−0.4."""
    found, _, made = answered(lambda t: abs(t) ** 0.6, 0.0, first=1e-2, sigma=1e-20)
    assert (found.verdict, found.reason) == (OPEN, NOT_SMOOTH)
    assert len(made.rungs) == 8


def test_a_rounded_func_is_asked_until_it_moves():
    """sin to six decimals does not move at a step of 10⁻⁸."""
    found, _, made = answered(
        lambda t: round(sine(t), 6), SLOPE, first=1e-8, sigma=1e-7, rtol=1e-3, goal_rtol=1e-2
    )
    assert found.verdict == AGREE
    assert made.rungs[0].h > 1e-4
    found, _, _ = answered(lambda t: 1.0, 1.0, first=1e-8)
    assert (found.value, found.verdict) == (0.0, DISAGREE)
    found, seen, _ = answered(lambda t: 1.0, 0.0, first=1e-8, goal_atol=1e-6)
    assert (found.value, found.verdict) == (0.0, AGREE)
    assert len(seen) == 4


def test_a_ripple_finer_than_the_first_steps_is_found():
    """t + 10⁻⁴·sin(10⁶·t): the slope at 0 is 101, which only steps below 10⁻⁶ show."""

    def ripple(t):
        return t + 1e-4 * math.sin(1e6 * t)

    for analytic, verdict in ((101.0, AGREE), (1.0, DISAGREE), (102.0, DISAGREE)):
        found, _, _ = answered(ripple, analytic, first=1e-3, sigma=1e-20)
        assert found.verdict == verdict
        assert found.value == pytest.approx(101.0, rel=1e-4)
