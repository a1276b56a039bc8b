"""The sweep over all coordinates, function by function.

Every value here is worked out by hand from the formulas of docs/numerics.md, on functions whose
derivatives are known.
"""

import itertools
import math
import sys
import warnings

import numpy as np
import pytest
from by_hand import RHO, approx, each, prepared

from pytest_gradcheck._difference import every_coordinate as coordinates
from pytest_gradcheck._difference.noise_and_extrapolation import Noise
from pytest_gradcheck._difference.stencils_and_steps import STENCILS
from pytest_gradcheck._options import Options

NAN, INF, EPS = math.nan, math.inf, sys.float_info.epsilon


# -- _coordinates ----------------------------------------------------------------------------------


def quadratic(p):
    """3·x₀ + 2·x₁² − y: slopes 3, 4·x₁, −1."""
    return float(3 * p["x"][0] + 2 * p["x"][1] ** 2 - p["y"])


def unsteady(gap):
    """The same, but for the second call of all."""
    calls = itertools.count()
    return lambda p: quadratic(p) + (gap if next(calls) == 1 else 0.0)


AT = {"x": np.array([1.0, 2.0]), "y": 4.0}


def test_a_sweep_of_nothing():
    problem, _ = prepared(quadratic, AT)
    found = coordinates.unevaluated(problem, title="none yet")
    assert np.isnan(found.numeric).all()
    assert found.numeric.shape == (3,)
    assert found.error.tolist() == [INF] * 3
    assert found.step.tolist() == found.largest.tolist() == [0.0] * 3
    assert found.bent.tolist() == found.flat.tolist() == [False] * 3
    assert found.bent.dtype == found.flat.dtype == bool
    assert np.isnan(found.pairs).all()
    assert found.pairs.shape == found.ends.shape == (3, 2)
    assert found.ends.tolist() == [[0.0, 0.0]] * 3
    assert (found.title, found.pairs.dtype) == ("none yet", np.float64)
    # J = 7 is exact in any format; it is taken for a float64.
    assert found.noise == Noise(0.6 * 2.0**-53 * 7, 2.0**-53, "float64")
    assert coordinates.unevaluated(problem).title == ""
    noise = Noise(1.0, 1.0, "")
    assert coordinates.unevaluated(problem, noise).noise is noise
    problem, _ = prepared(lambda p: np.float16(quadratic(p)), AT)
    assert coordinates.unevaluated(problem).noise.format == "float16"
    problem, _ = prepared(unsteady(0.25), AT, nondet_tol=0.5)
    assert coordinates.unevaluated(problem).noise.sigma == 0.25
    problem, _ = prepared(lambda p: np.longdouble(quadratic(p)), AT)
    assert coordinates.unevaluated(problem).pairs.dtype == np.longdouble


def test_noise_is_measured_in_parts_of_each_parameter_itself():
    seen = []

    def func(p):
        seen.append(p["x"].copy())
        return float(np.sum(np.exp(-p["x"])))

    theta = np.array([1e-12, -3.0, 0.0, 5.0])
    problem, options = prepared(func, {"x": theta})
    del seen[:]
    noise = coordinates.noise_of(problem, options)
    assert len(seen) == 7
    assert noise.format == "float64"
    assert 1e-17 < noise.sigma < 1e-14
    moved = [np.abs(x - theta) for x in seen]
    # Weights are ½ to 3/2; zero is moved as the median of the others, 3.
    own = np.abs(np.array([1e-12, -3.0, 3.0, 5.0])) * 2.0**-30
    for k, distance in enumerate(moved, start=1):
        assert (distance / own / k >= 0.49).all()
        assert (distance / own / k <= 1.51).all()
    assert np.ptp(moved[0] / own) > 0.01
    again, _ = prepared(func, {"x": theta})
    assert coordinates.noise_of(again, options) == noise


def test_noise_by_the_format_alone_costs_nothing():
    problem, options = prepared(unsteady(0.25), AT, eps=1e-6, nondet_tol=0.5)
    before = problem.evaluator.evaluations
    assert coordinates.noise_of(problem, options) == Noise(0.25, 2.0**-53, "float64")
    assert problem.evaluator.evaluations == before
    # What is allowed is no noise of a func that repeats itself.
    problem, options = prepared(quadratic, AT, eps=1e-6, nondet_tol=0.5)
    assert coordinates.noise_of(problem, options).sigma < 1e-14
    problem, options = prepared(lambda p: np.float32(quadratic(p)), AT, eps=1e-6)
    assert coordinates.noise_of(problem, options).format == "float32"
    problem, options = prepared(lambda p: np.float32(1 / 3), {})
    before = problem.evaluator.evaluations
    assert coordinates.noise_of(problem, options).sigma == pytest.approx(0.6 * 2.0**-24 / 3)
    assert problem.evaluator.evaluations == before
    problem, options = prepared(lambda p: np.longdouble(quadratic(p)) / 3, AT, eps=1e-6)
    assert coordinates.noise_of(problem, options).format == "longdouble"
    # Where it is measured these count too.
    problem, options = prepared(unsteady(0.25), AT, nondet_tol=0.5)
    assert coordinates.noise_of(problem, options).sigma == 0.25
    problem, options = prepared(lambda p: np.float32(quadratic(p)), AT)
    assert coordinates.noise_of(problem, options).format == "float32"


def test_a_narrow_type_is_believed_where_the_values_say_little():
    """One value alone could be of any format; that of the type that func returns is known."""

    def func(p):
        return np.float16(1 / 3) + np.float16(0 * p["y"])

    for given in ({}, {"eps": 0.25}):
        problem, options = prepared(func, AT, **given)
        assert coordinates.noise_of(problem, options).format == "float16"
    found, _ = swept(func, eps=0.25, noise=SILENT)
    assert found.noise.format == "float16"


@pytest.mark.parametrize(("row", "each"), [("central", 2), ("central6", 6), ("forward", 1)])
def test_who_watches_is_told_how_many_evaluations_a_sweep_takes(row, each):
    for chosen, count in ((None, 3), ([np.array([1]), np.array([0])], 2)):
        problem, options = prepared(quadratic, AT)
        progress = problem.evaluator.progress
        coordinates.sweep(problem, STENCILS[row], LOUD, options, 1.0, chosen)
        assert progress.planned == 2 + each * count == problem.evaluator.evaluations


def test_noise_of_parameters_of_any_size():
    def func(p):
        return float(np.arctan(p[0] / 1e305))

    problem, options = prepared(func, np.array([1.7e308]))
    assert math.isfinite(coordinates.noise_of(problem, options).sigma)


def test_the_size_of_func():
    problem, _ = prepared(lambda p: -2.0 + 0 * p["y"], AT)
    assert coordinates.value_size(problem, None) == 2.0
    # |a|·s = 5, 6, 8 with scales 1, 2, 4; what is zero or not finite says nothing.
    assert coordinates.value_size(problem, np.array([5.0, -3.0, 2.0])) == 6.0
    assert coordinates.value_size(problem, np.array([0.0, -3.0, 2.0])) == 7.0
    assert coordinates.value_size(problem, np.array([NAN, -3.0, INF])) == 6.0
    assert coordinates.value_size(problem, np.array([0.0, 0.5, 0.0])) == 2.0
    assert coordinates.value_size(problem, np.zeros(3)) == 2.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert coordinates.value_size(problem, np.array([5.0, 1e308, 1e308])) == 5.0


LOUD = Noise(0.5, 2.0**-53, "float64")


def swept(func=quadratic, params=None, row="central", noise=LOUD, size=1.0, **given):
    chosen, relative = given.pop("chosen", None), given.pop("relative", 2.0**-6)
    problem, options = prepared(func, AT if params is None else params, **given)
    found = coordinates.sweep(problem, STENCILS[row], noise, options, size, chosen, relative)
    return found, problem


def test_a_sweep_of_central_differences():
    found, problem = swept()
    assert problem.evaluator.evaluations == 2 + 2 * 3
    assert found.numeric.tolist() == [3.0, 8.0, -1.0]
    assert found.step.tolist() == [2.0**-6, 2.0**-5, 2.0**-4]  # of scales 1, 2, 4
    h = 2.0**-5
    assert found.pairs[1].tolist() == [7 + 8 * h + 2 * h * h, 7 - 8 * h + 2 * h * h]
    assert found.ends.tolist() == [[s, -s] for s in found.step.tolist()]
    assert found.largest.tolist() == [7 + 3 / 64, found.pairs[1, 0], 7 + 1 / 16]
    assert found.flat.tolist() == found.bent.tolist() == [False] * 3
    assert found.title == "central differences"
    assert found.noise is LOUD
    # Three standard deviations: 3·√½·σ/h, and 4 eps of the value.
    gain = 3 * math.sqrt(0.5) * 0.5
    assert found.error.tolist() == each(*(gain / s for s in found.step.tolist()))
    quiet, _ = swept(noise=Noise(0.0, 0.0, ""))
    assert quiet.error.tolist() == each(12 * EPS, 32 * EPS, 4 * EPS)
    # Larger values have larger noise: 0.6 units of the largest seen.
    coarse, _ = swept(noise=Noise(0.0, 2.0**-10, ""))
    sigma = 0.6 * 2.0**-10 * (7 + 3 / 64)
    assert coarse.error[0] == approx(3 * math.sqrt(0.5) * sigma * 64 + 12 * EPS)


def test_a_sweep_chooses_its_step_by_noise_and_size():
    found, _ = swept(noise=Noise(1e-9, 0.0, ""), relative=None)
    assert found.step.tolist() == pytest.approx([2e-3, 4e-3, 8e-3])
    found, _ = swept(noise=Noise(8e-9, 0.0, ""), size=8.0, relative=None)
    assert found.step.tolist() == pytest.approx([2e-3, 4e-3, 8e-3])


@pytest.mark.parametrize(
    ("row", "count", "paired"),
    [("central6", 6, True), ("forward", 1, False), ("backward2", 2, False)],
)
def test_a_sweep_of_another_formula(row, count, paired):
    found, problem = swept(row=row)
    assert problem.evaluator.evaluations == 2 + count * 3
    bias = {"forward": 2 * 2.0**-5}.get(row, 0)
    assert found.numeric.tolist() == pytest.approx([3.0, 8.0 + bias, -1.0])
    assert found.title == STENCILS[row].title
    assert found.error[0] == approx(3 * STENCILS[row].noise_gain * 0.5 / found.step[0])
    if paired:
        assert found.ends[0].tolist() == [found.step[0], -found.step[0]]
        assert found.pairs[0].tolist() == [7 + 3 * found.step[0], 7 - 3 * found.step[0]]
    else:
        assert found.ends.tolist() == [[0.0, 0.0]] * 3
        assert np.isnan(found.pairs).all()


def test_a_sweep_of_some_coordinates():
    found, problem = swept(chosen=[np.array([1]), np.array([], dtype=int)])
    assert problem.evaluator.evaluations == 4
    assert np.isnan(found.numeric).tolist() == [True, False, True]
    assert found.numeric[1] == 8.0
    assert found.step.tolist() == [0.0, 2.0**-5, 0.0]
    assert found.error[[0, 2]].tolist() == [INF, INF]
    found, _ = swept(chosen=[np.array([], dtype=int), np.array([0])])
    assert found.numeric[2] == -1.0
    assert found.step.tolist() == [0.0, 0.0, 2.0**-4]


def test_what_is_flat_bent_or_not_finite():
    def func(x):
        return float(abs(x[0]) + 0 * x[1] + 100 * x[2] + x[2] ** 2 + np.log(x[3] + 1e-9) + x[4])

    theta = np.array([0.0, 2.0, 1.0, 0.0, 1.0])
    with np.errstate(all="ignore"):
        found, _ = swept(func, theta, noise=Noise(1e-12, 0.0, ""))
    assert found.flat.tolist() == [False, True, False, False, False]
    # A bend beyond a tenth of the slope: a kink, and not the parabola of the third.
    assert found.bent[[0, 1, 2, 4]].tolist() == [True, False, False, False]
    assert np.isnan(found.numeric).tolist() == [False, False, False, True, False]
    assert found.error[3] == INF
    assert found.change[1] == 0.0
    assert found.change[[0, 4]].tolist() == pytest.approx(found.step[[0, 4]].tolist())
    # Nor what eight times its noise, 19.6·σ, explains: h·|bend of the slopes| is 2/64 here.
    for sigma, bent in ((1.55e-3, True), (1.65e-3, False)):
        found, _ = swept(func, theta, noise=Noise(sigma, 0.0, ""))
        assert bool(found.bent[0]) is bent


def test_a_bend_of_a_tenth_of_the_slope_is_looked_at():
    for slope, bent in ((9.9, True), (10.1, False)):
        found, _ = swept(
            lambda x, slope=slope: float(slope * x[0] + 0.5 * abs(x[0])),
            np.array([0.0]),
            noise=Noise(0.0, 0.0, ""),
        )
        assert bool(found.bent[0]) is bent


def test_steps_are_moved_onto_the_grid_of_kept_values_but_no_two_onto_one():
    found, problem = swept(lambda x: x[0] ** 2, np.array([1.0]))
    base = float(found.step[0])
    for keeps, parts in ((False, [4.5, 4.0, 1.1]), (True, [RHO, 4.0, 1.1])):
        problem.evaluator.keeps = keeps
        made = coordinates.line_of(problem, 0, found.noise, found)
        for h in (4.5, 4.0, 1.1):
            made.add(h * base)
        told = [step / base for step, _ in made.moves[2:]]
        assert told[::2] == pytest.approx(parts, rel=1e-6)
        assert told[1::2] == pytest.approx([-part for part in parts], rel=1e-6)
        steps, _ = made.evaluate((0.9 * base, 1.2 * base, -1.3 * base))
        assert steps == pytest.approx([0.9 * base, 1.2 * base, -1.3 * base], rel=1e-6)


SILENT = Noise(0.0, 0.0, "")


def test_a_sweep_at_a_given_step():
    found, problem = swept(lambda p: quadratic(p) + 1 / 3, eps=0.25)
    assert found.step.tolist() == [0.25] * 3
    assert found.numeric.tolist() == pytest.approx([3.0, 8.0, -1.0])
    assert problem.evaluator.evaluations == 8
    assert found.noise == Noise(0.5, 2.0**-53, "float64")
    # The truncation is guessed from the size of the step, and the rounding of θ ± eps from ulps.
    h, s = 0.25, np.array([1.0, 2.0, 4.0])
    ulps = np.spacing(np.array([1.25, 2.25, 4.25]))
    guess = (h / s) ** 2 + ulps / h
    bars = 3 * math.sqrt(0.5) * 0.5 / h + (4 * EPS + guess) * np.array([3.0, 8.0, 1.0])
    np.testing.assert_allclose(found.error, bars, rtol=1e-9)
    found, _ = swept(
        lambda p: 1 / 3 + p["x"][0] + p["x"][1] + p["y"], eps=0.25, row="central6", noise=SILENT
    )
    assert found.error.tolist() == pytest.approx(
        [(3 * h) ** 6, (3 * h / 2) ** 6, (3 * h / 4) ** 6], rel=1e-3
    )
    # At a small step, where J is near 0, what θ ± eps is rounded by is nearly all of it.
    found, _ = swept(lambda p: p["x"][0] + p["x"][1] + p["y"] - 7, eps=2.0**-30, noise=SILENT)
    assert found.error.tolist() == pytest.approx([2.0**-22, 2.0**-21, 2.0**-20], rel=1e-6)


def test_noise_at_a_given_step_is_what_second_differences_show():
    """4·h² = ¼ for x₁ and 0 else: σ is their root mean square, ¼/√3, of 2.45."""
    found, _ = swept(eps=0.25, noise=SILENT)
    # All values are multiples of a sixteenth, and short enough for bfloat16; the small ones have
    # no finer bits than the large ones: that is a grid, not a format.
    assert found.noise.format == "float64"
    assert found.noise.sigma == approx(0.25 / math.sqrt(3) / 2.45)
    # In float64 they are less: 0.6·2⁻⁵³ of the largest value, 7 + ⅓ + 8h + 2h².
    found, _ = swept(lambda p: quadratic(p) + 1 / 3, eps=0.25, noise=SILENT)
    assert found.noise.sigma == approx(600 * 2.0**-53 * (7 + 1 / 3 + 2 + 1 / 8))


def test_noise_at_a_given_step_without_anything_to_see_it_in():
    found, _ = swept(lambda x: 1 / 3 + 0 * x[0], np.ones(1), eps=0.25, noise=SILENT)
    assert found.flat.tolist() == [True]
    assert found.noise.sigma == approx(0.6 * 2.0**-53 / 3)
    found, _ = swept(lambda p: quadratic(p) + 1 / 3, row="forward", eps=0.25, noise=SILENT)
    assert found.noise.sigma == approx(0.6 * 2.0**-53 * (7 + 1 / 3))
    found, _ = swept(lambda p: np.float16(quadratic(p)), eps=0.25, noise=SILENT)
    assert found.noise.unit >= 2.0**-11


def test_a_given_step_that_is_lost():
    with pytest.raises(ValueError) as caught:
        swept(eps=1e-20)
    assert str(caught.value) == (
        "eps=1e-20 is too small for x[0] = 1.0, which does not change by it; pass a larger eps, or "
        "none: a step is then chosen for each parameter"
    )
    with pytest.raises(ValueError, match=r"too small for x\[1\] = 10000000000.0, "):
        swept(params={"x": np.array([1.0, 1e10]), "y": 1.0}, eps=1e-7)
    with pytest.raises(ValueError, match=r"too small for y = 10000000000.0"):
        swept(params={"x": np.array([1.0, 1.0]), "y": 1e10}, eps=1e-7, row="forward")
    # What is not swept may be lost.
    found, _ = swept(
        params={"x": np.array([1e10, 1.0]), "y": 1.0},
        eps=1e-7,
        chosen=[np.array([1]), np.array([0])],
    )
    assert found.step.tolist() == [0.0, 1e-7, 1e-7]


def test_a_line_through_one_coordinate():
    found, problem = swept(noise=Noise(1e-12, 0.0, ""))
    made = coordinates.line_of(problem, 1, LOUD)
    assert (made.rungs, made.center, made.noise) == ([], 7.0, LOUD)
    assert made.ulp == 2.0**-51
    rung = made.add(0.25)
    assert (rung.h, rung.forward, rung.backward) == (0.25, 8.5, 7.5)
    assert problem.evaluator.evaluations == 10
    # A step is what is taken: 2 ± h is rounded to 2⁻⁵² (below) and 2⁻⁵¹ (above).
    assert made.add(2.0**-30 + 2.0**-54).h == 2.0**-30
    seeded = coordinates.line_of(problem, 1, LOUD, found)
    assert [(rung.h, rung.central) for rung in seeded.rungs] == [(2.0**-5, 8.0)]
    assert problem.evaluator.evaluations == 12
    last = coordinates.line_of(problem, 2, LOUD, found)
    assert last.rungs[0].central == -1.0
    assert last.add(1.0).central == -1.0
    one_sided, problem = swept(row="forward")
    assert coordinates.line_of(problem, 1, LOUD, one_sided).rungs == []


def test_the_least_step_and_the_row_of_a_scheme():
    problem, _ = prepared(quadratic, {"x": np.array([1.0, -2.0]), "y": 1e10})
    assert coordinates.least_step(problem, 0) == 16 * 2.0**-52
    assert coordinates.least_step(problem, 1) == 16 * 2.0**-51
    assert coordinates.least_step(problem, 2) == 16 * np.spacing(1e10)
    assert coordinates.central_row(Options(scheme="central6")).name == "central6"
    assert coordinates.central_row(Options(scheme="complex")).name == "central"
