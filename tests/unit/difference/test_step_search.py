"""Climbing a line: the steps that policies ask for, on lines that are made by hand."""

import math

import numpy as np
import pytest
from by_hand import RHO, approx, each, prepared, through

from pytest_gradcheck._difference.every_coordinate import differenced
from pytest_gradcheck._difference.step_search_and_kinks import (
    as_well_as_can_be,
    climb,
    climb_all,
    enter,
    fall,
    rise,
)

NAN, INF = math.nan, math.inf
JUST_ABOVE = 1 + 1e-9


def steps(line):
    return [rung.h for rung in line.rungs]


def test_a_policy_s_steps_are_taken_until_it_is_content():
    made, seen = through(lambda t: t)

    def policy():
        for step in (1.0, 0.25):
            yield step
            assert step in steps(made)  # a policy looks at the line that has grown
        return "content"

    assert climb(made, policy()) == "content"
    assert seen == [1.0, -1.0, 0.25, -0.25]


def test_entering_the_domain_shrinks_by_the_ratio_squared():
    def inside(t):
        return t if abs(t) < 0.1 else NAN

    made, _ = through(inside)
    climb(made, enter(made, 1.0, 1e-9))
    assert steps(made) == [1.0, approx(1 / RHO**2)]
    made, _ = through(inside)
    made.add(0.05)
    climb(made, enter(made, 9.0, 1e-9))
    assert len(made.rungs) == 1
    made, _ = through(lambda t: t if t >= 0 else NAN)
    climb(made, enter(made, 1.0, 1e-99))
    assert len(made.rungs) == 7  # six times and no more
    assert made.rungs[-1].h == approx(RHO**-12)
    climb(made, enter(made, 1.0, 1e-99, most=1))
    assert len(made.rungs) == 8
    made, _ = through(lambda t: t if t >= 0 else NAN)
    climb(made, enter(made, 1.0, RHO**-2 * JUST_ABOVE))
    assert len(made.rungs) == 1
    climb(made, enter(made, 1.0, 1 / RHO**2))  # the least step may be taken
    assert steps(made) == [1.0, 1 / RHO**2]


def test_falling_ends_after_so_many_or_where_it_may_go_no_further():
    made, _ = through(lambda t: t)
    made.add(1.0)
    climb(made, fall(made, 2, lambda _: True, ratio=2.0))
    assert steps(made) == [1.0, 0.5, 0.25]
    climb(made, fall(made, 9, lambda step: step > 0.1, ratio=2.0))
    assert steps(made) == [1.0, 0.5, 0.25, 0.125]


@pytest.mark.parametrize(("patience", "taken"), [(1, 3), (2, 4), (INF, 6)])
def test_rising_ends_where_so_many_steps_have_not_paid(patience, taken):
    """t + t³: three rungs are exact with two columns of the tableau, and further ones tell less."""
    made, _ = through(lambda t: t + t**3)
    made.add(0.25)
    best = climb(made, rise(made, 0.5, 6, lambda _: True, 2.0, patience))
    assert len(made.rungs) - 1 == taken
    assert best.error <= made.estimate().error


def test_rising_pays_while_rounding_limits_and_gives_the_best_estimate():
    """A straight line: each step twice as large has half of the rounding."""
    made, _ = through(lambda t: 2.0 * t, sigma=1e-6)
    best = climb(made, rise(made, 0.5, 4, lambda step: step < 3.0, 2.0, patience=1))
    assert steps(made) == [2.0, 1.0, 0.5]
    assert best.value == 2.0
    # 3·√½·σ/h at the smaller one of the two largest steps.
    assert best.rounding == pytest.approx(3 * math.sqrt(0.5) * 1e-6, rel=1e-8)
    made, _ = through(lambda t: t)
    assert climb(made, rise(made, 1.0, 1, lambda _: True)).error == math.inf  # one rung
    assert climb(made, rise(made, 1.0, 9, lambda _: False)).error == math.inf


def test_only_what_a_sweep_is_missing_is_climbed_for():
    def func(p):
        return p[1] ** 3 + (3 * p[0] if p[0] >= 0 else NAN)

    problem, given = prepared(func, np.array([0.0, 2.0]))
    found = differenced(problem, None, given)
    before = found.numeric.tolist()
    assert climb_all(problem, found, only_missing=True) == []
    assert math.isnan(before[0])
    assert found.numeric.tolist() == [pytest.approx(3.0, rel=1e-9), before[1]]


def test_the_engine_alone_rises_within_the_scale_and_falls_to_the_least_step():
    made, _ = through(lambda t: t, sigma=1e-6)
    found = climb(made, as_well_as_can_be(made, 1.0, RHO**2 * JUST_ABOVE, 1e-9))
    assert steps(made) == each(RHO**2, RHO, 1.0, 1 / RHO)
    assert found.value == approx(1.0)
    made, _ = through(lambda t: t + t**3)
    climb(made, as_well_as_can_be(made, 1.0, 1.0, 0.01))
    assert made.rungs[0].h == 1.0
    assert made.rungs[-1].h >= 0.01
