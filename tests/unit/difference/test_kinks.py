"""Slopes without a limit, bends that are followed to a kink, and far kinks, on lines by hand."""

import math

import numpy as np
import pytest
from by_hand import RHO, approx, prepared, slopes, through

from pytest_gradcheck._difference.every_coordinate import complex_sweep, differenced, not_analytic
from pytest_gradcheck._difference.step_search_and_kinks import (
    climb,
    climb_nearer,
    follow_bend,
    jump_between,
    tell_grain,
    unbounded,
)
from pytest_gradcheck._evaluate.problem import Analytic

NAN = math.nan

STEPS = [4.0**-k for k in range(8)]


def powers(power, *, center=1.0, steps=STEPS, changes=(1.0,)):
    """Return the line of h^power at 0, whose slopes are h^(power − 1)."""
    return slopes(*((h, h ** (power - 1)) for h in steps), center=center, changes=changes)


class TestUnbounded:
    def test_a_root_has_no_limit_and_smooth_ones_have(self):
        assert unbounded(powers(0.5))
        assert unbounded(powers(0.9))
        assert unbounded(powers(1.1))  # a limit, but none that these steps come near to
        assert not unbounded(powers(1.2))
        assert not unbounded(powers(1.5))
        assert not unbounded(powers(2))

    def test_the_power_at_which_a_limit_is_seen(self):
        """Gaps between slopes of h^p fall by h^(p−1): no slower than h^0.15 is a limit."""
        assert unbounded(powers(1.149))
        assert not unbounded(powers(1.151))

    def test_a_logarithm_has_gaps_that_stay(self):
        assert unbounded(slopes(*((h, math.log(h)) for h in STEPS)))
        assert unbounded(slopes(*((h, -math.log(h)) for h in STEPS)))

    def test_it_is_the_slope_for_each_factor_of_the_step_that_counts(self):
        """log h has one slope for each factor, whatever the steps are."""
        uneven = [1.0, 0.5, 0.1, 0.09, 0.01, 0.002, 0.001]
        assert unbounded(slopes(*((h, math.log(h)) for h in uneven)))
        assert not unbounded(slopes(*((h, h) for h in uneven)))

    def test_five_gaps_are_needed(self):
        assert unbounded(powers(0.5, steps=STEPS[:6]))
        assert not unbounded(powers(0.5, steps=STEPS[:5]))

    def test_the_smallest_steps_tell(self):
        """Smooth down to 1/64, no limit from there on; and the reverse."""
        wide = [(4.0**k, 9.0 + 4.0**k) for k in (4, 3, 2, 1)]
        assert unbounded(slopes(*wide, *((h, h**-0.5) for h in STEPS[:6])))
        narrow = [(h, h) for h in STEPS[:6]]
        assert not unbounded(slopes(*((4 * h, h**-0.5) for h in (64.0, 16.0, 4.0)), *narrow))

    def test_gaps_of_both_signs_are_noise(self):
        wavy = [(h, (-2.0) ** k) for k, h in enumerate(STEPS)]
        assert not unbounded(slopes(*wavy))
        signs = [1, 1, 1, 1, 1, 1, -1]
        falling = np.cumsum([0, *(sign * 4.0**-k for k, sign in enumerate(signs))])
        assert not unbounded(slopes(*zip(STEPS, falling.tolist(), strict=True)))

    def test_gaps_within_rounding_are_passed_over_and_end_the_series(self):
        """8 units of |J| + the largest change are 2⁻⁴⁹ where both are 1."""
        tiny = [2.0**-k for k in range(34, 50, 2)]
        assert unbounded(powers(0.5, steps=STEPS + tiny))  # √h changes by more than that
        logs = [(h, math.log(h)) for h in STEPS]
        end = logs[-1][1]
        assert unbounded(slopes(*logs, (1e-6, end), (1e-7, end)))  # the last ones tell nothing
        parted = [*logs[:4], *((h / 8, slope) for h, slope in logs[3:])]
        assert not unbounded(slopes(*parted))  # four gaps below the one that is none
        assert not unbounded(powers(0.5, steps=STEPS[:7], center=2.0**47))
        assert not unbounded(powers(0.5, steps=STEPS[:7], changes=(2.0**47,)))

    def test_rounding_in_numbers(self):
        """Of gap 2⁻⁴⁹/h: one unit above it is seen at every step, one unit below at none."""
        step = [2.0**-k for k in range(8)]
        for part, seen in ((1.01, True), (0.99, False)):
            found, slope = [], 0.0
            for h in step:
                found.append((h, slope))
                slope += part * 2.0**-49 / (h / 2)
            assert unbounded(slopes(*found)) is seen

    def test_one_side_will_do_and_none_does_not(self):
        made, _ = through(lambda t: math.sqrt(t) if t >= 0 else NAN)
        assert not unbounded(made)  # no step was taken
        for h in STEPS:
            made.add(h)
        assert made.sides() == "forward"
        assert unbounded(made)
        made, _ = through(lambda t: NAN if t else 0.0)
        for h in STEPS:
            made.add(h)
        assert not unbounded(made)


class TestFollowBend:
    def steps(self, func, first=0.5, least=1e-15, sigma=1e-12):
        made, _ = through(func, sigma=sigma)
        found = climb(made, follow_bend(made, first, least))
        return found, [rung.h for rung in made.rungs]

    def test_a_kink_is_followed_to_where_only_one_at_theta_shows(self):
        """The bend's noise is 5 % of it at 2.45·σ/(0.05·2), further down than `least`."""
        found, steps = self.steps(abs)
        assert found
        assert steps[:3] == [0.5, approx(0.5 / RHO), approx(0.5 / RHO**2)]
        assert len(steps) == 4  # three that stay, and the nearest
        assert steps[3] == approx(2.45 * 1e-12 / 0.1)

    def test_no_step_is_below_the_least(self):
        found, steps = self.steps(abs, least=1e-3)
        assert found
        assert steps[3:] == [1e-3]

    def test_a_smooth_func_is_left_at_the_second_step(self):
        found, steps = self.steps(lambda t: t * t)
        assert not found
        assert steps == [0.5, approx(0.5 / RHO)]

    def test_what_does_not_bend_is_left_at_once(self):
        found, steps = self.steps(lambda t: 3.0 * t)
        assert not found
        assert steps == [0.5]

    def test_a_kink_beside_is_none_at_theta(self):
        found, steps = self.steps(lambda t: abs(t - 1e-4))
        assert not found
        assert min(steps) < 1e-4

    def test_a_jump_is_followed_as_far_as_a_ladder_goes(self):
        """Its bend rises as the step falls: never a kink, never smooth, 12 steps and the first."""
        found, steps = self.steps(lambda t: float(t > 0), sigma=1e-300)
        assert not found
        assert len(steps) == 13


class TestClimbNearer:
    def found(self, width):
        def func(p):
            x = p["x"]
            return float(x @ x + 1e-3 * width * np.tanh(x[1] / width))

        problem, options = prepared(func, {"x": np.array([1.0, 0.0, 2.0])})
        analytic = Analytic(np.array([2.0, 0.0, 4.0]), np.full(3, 2.0**-53), None)
        sweep = differenced(problem, analytic, options)
        before = sweep.numeric.copy()
        climb_nearer(problem, sweep)
        return before, sweep

    def test_a_narrow_step_that_the_sweep_passed_over_is_found(self):
        before, sweep = self.found(1e-7)
        assert abs(before[1]) < 1e-4  # of 1e-3
        assert sweep.numeric[1] == pytest.approx(1e-3, rel=0.05)
        assert abs(sweep.numeric[1] - 1e-3) <= 3 * sweep.error[1]
        np.testing.assert_allclose(sweep.numeric[[0, 2]], [2.0, 4.0], rtol=1e-8)

    def test_what_adds_up_is_not_asked_again(self):
        before, sweep = self.found(1.0)
        np.testing.assert_array_equal(sweep.numeric, before)


class TestNotAnalytic:
    def asked(self, func, **options):
        params = {"x": np.array([0.3, -1.2, 2.0])}
        problem, given = prepared(func, params, scheme="complex", **options)
        found = complex_sweep(problem, given)
        before = problem.evaluator.evaluations
        said = not_analytic(problem, found, given)
        return bool(said), problem.evaluator.evaluations - before, found

    def test_one_real_difference_confirms_what_is_analytic(self):
        said, evaluations, found = self.asked(
            lambda p: (p["x"][:2] ** 3).sum() + np.exp(p["x"][:2]).prod()
        )
        assert (said, evaluations) == (False, 2)
        assert found.flat.tolist() == [False, False, True]

    def test_a_second_one_at_a_larger_step_before_it_is_denied(self):
        said, evaluations, _ = self.asked(lambda p: (p["x"] * np.conj(p["x"])).sum())
        assert (said, evaluations) == (True, 4)

    def test_a_term_of_a_hundredth_that_is_not_analytic_is_seen(self):
        def func(p):
            return (p["x"] ** 2).sum() + 0.01 * (p["x"] * np.conj(p["x"]))[0]

        assert self.asked(func)[:2] == (True, 4)

    def test_far_curvature_is_no_denial(self):
        said, _, _ = self.asked(lambda p: np.sin(50 * p["x"]).sum())
        assert not said

    def test_func_answers_where_real_steps_change_it(self):
        """The complex step of |x|² is zero, and yet func is no constant."""
        _, _, found = self.asked(lambda p: (p["x"] * np.conj(p["x"])).sum())
        assert np.isinf(found.change).all()

    def test_without_evaluations_left_nothing_is_said(self):
        params = {"x": np.array([0.3, -1.2, 2.0])}
        problem, given = prepared(lambda p: (p["x"] * np.conj(p["x"])).sum(), params)
        given = type(given)(scheme="complex")
        found = complex_sweep(problem, given)
        problem.evaluator.progress.max_evals = problem.evaluator.evaluations + 1
        assert not_analytic(problem, found, given) == ""


@pytest.mark.parametrize("side", [1, -1])
class TestOneSide:
    """A line whose one side jumps, or is flat before it moves; the other is smooth."""

    def test_a_jump_between_two_steps_stays_half_by_half(self, side):
        for change, size in (
            (lambda t: 1e-3 * (t > 0.3), 1e-3),
            (lambda t: 1e-3 * max(t - 0.3, 0.0), 0.0),
            (lambda t: 1e-3 * math.sqrt(max(t - 0.3, 0.0)), 0.0),
        ):
            made, _ = through(lambda t, change=change: 2 * t + change(side * t), sigma=1e-9)
            found = jump_between(made, made.add(0.1), made.add(1.0))
            assert found == pytest.approx(size, rel=0.1)

    def test_stairs_are_told_from_the_flat_side_of_a_hinge(self, side):
        for func, grainy in (
            (lambda t: round(3.0 + t, 3), True),
            (lambda t: 3.0 + max(side * t - 1e-3, 0.0), False),
        ):
            made, _ = through(func)
            for h in (0.01, 1e-4):
                made.add(h)
            tell_grain(made)
            assert made.grainy == grainy
