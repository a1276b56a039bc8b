"""Are all parameters right, along random directions?  How fine that is, and looking again.

The step of a direction and the noise of its residual are measured along one; a residual that
stands out is examined as a function of one variable before anything is accused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ._coordinates import noise_of, value_size
from ._ladder import RATIO, Line
from ._options import Options
from ._problem import Analytic, Problem
from ._question import AGREE, CONFIDENCE, DISAGREE, OPEN, Answer, Question
from ._refine import NARROW, refine
from ._screen import Screen
from ._stencils import STENCILS
from ._steps import relative_step

SCREENED = 4
"""Directions of a screen: one misses an error of 10, 100 or 1,000 times the detection limit with
a chance of 8, 0.8 or 0.08 %, if it is spread over many entries (13, 1.4 or 0.15 % if it is two
equal ones), and four with its fourth power."""

ACCUSED = 5.0
"""A residual above so many σ is looked at again."""

SAFETY = 1.5
"""σ of a direction is what calibration says times this."""

PROVEN = 3.0
PROVEN_NARROW = 10.0
"""A direction is wrong when its gap is so many times what would do for a coordinate: entries are
accused by their own differences later, and σ by this one's."""

MARGINAL = 3
"""So many further steps are taken for a direction whose error is not clear."""

LEAST_STEP = 1e-12
"""In parts of the parameters."""

FARTHEST = 0.3
"""Steps along a direction are at most this part of the parameters."""


def calibrate(problem: Problem, analytic: Analytic, options: Options) -> Screen:
    """Choose the step along directions, and learn how noisy their residuals are.

    From the step that balances rounding against the truncation of an average func, go to larger
    ones until truncation shows above the noise, then stay one below.

    Parameters
    ----------
    problem : Problem
    analytic : Analytic
    options : Options

    Returns
    -------
    Screen
        With direction 0 measured.
    """
    noise = noise_of(problem, options)
    screen = Screen(problem, analytic.vector, options.seed, noise)
    row = STENCILS["central"]
    first = relative_step(row, noise.sigma, value_size(problem, analytic.vector))
    screen.single = first
    for block in problem.blocks:
        screen.floor(block)  # a vector of the block's size, gone before the next one is made
    vector = screen.shift(0)
    told = float(np.dot(analytic.vector, vector))
    line = screen.line(vector)
    step = first
    line.add(step)
    while not math.isfinite(line.rungs[-1].central) and len(line.rungs) < 8:
        step /= RATIO**2
        line.add(step)
    line.add(step / RATIO)
    if len(line.series("both")) < 2:
        return screen  # func is finite at no step: σ stays infinite, and nothing is resolved
    while len(line.rungs) < 9 and _differ(line.series("both")[-2:]):
        line.add(line.rungs[-1].h / RATIO)  # kinks within the step, or a fast oscillation
    while step * RATIO <= FARTHEST and len(line.rungs) < 12:
        pair = line.series("both")[:2]
        if pair[0][0] < step or _differ(pair):
            break
        step *= RATIO
        line.add(step)
    screen.step, screen.sigma, slope = _best_rung(line)
    screen.residuals[0] = told - slope
    return screen


def _differ(pair: Sequence[tuple[float, float, float]]) -> bool:
    """Return whether two slopes differ by more than their rounding."""
    (_, one, loud), (_, other, louder) = pair
    return abs(one - other) > 5 * (loud + louder)


def _best_rung(line: Line) -> tuple[float, float, float]:
    """Return the step, the σ of a difference at it, and the difference, of the best rung."""
    series = [item for item in line.series("both") if math.isfinite(item[1])]
    best: tuple[float, float, float] | None = None
    for k, (h, slope, rounding) in enumerate(series):
        seen = [abs(slope - s) - 2 * (rounding + r) for _, s, r in series[k + 1 :]]
        observed = max([0.0, *seen])
        if k:
            above = abs(series[k - 1][1] - slope) / (RATIO**2 - 1)
            beside = abs(series[k - 1][1] - slope)
            observed = max(observed, min(above, beside))
        elif len(series) > 1:
            observed = max(observed, abs(slope - series[1][1]))
        sigma = SAFETY * math.hypot(rounding, observed)
        if best is None or sigma < best[1]:
            best = (h, sigma, slope)
    if best is None:
        rung = line.rungs[-1]
        return rung.h, math.inf, rung.central
    return best


def screen_all(screen: Screen, allowed: float) -> bool:
    """Measure the directions of a screen; return whether any residual is too large.

    Parameters
    ----------
    screen : Screen
    allowed : float
        What the tolerances of the parameters add up to along a direction.
    """
    for number in range(1, SCREENED):
        screen.measure(number)
    worst = max(abs(y) for y in screen.residuals.values())
    return worst > allowed + ACCUSED * screen.sigma


def _clear(answer: Answer, told: float, allowed: float, proven: float) -> bool:
    return abs(told - answer.value) > allowed + proven * answer.error


def reexamine(screen: Screen, allowed: float) -> Answer:
    """Ask the direction with the largest residual again, as one coordinate would be."""
    number = max(screen.residuals, key=lambda j: abs(screen.residuals[j]))
    vector = screen.shift(number)
    told = float(np.dot(screen.analytic, vector))
    goal = allowed + ACCUSED * screen.sigma
    question = Question(told, 0.0, allowed, 0.0, 0.0, goal)
    line = screen.line(vector)
    answer = refine(line, question, screen.step, 1.0, LEAST_STEP)
    proven = CONFIDENCE * (PROVEN if screen.noise.unit < NARROW else PROVEN_NARROW)
    for _ in range(MARGINAL):
        if answer.verdict != DISAGREE or _clear(answer, told, allowed, proven):
            break
        # Wrong by the measure of one coordinate, but marginally.  Larger steps have less
        # rounding, and what they have of truncation is extrapolated.
        step = line.rungs[0].h * RATIO
        if step > FARTHEST or not math.isfinite(line.add(step).central):
            break
        better = line.estimate()
        if better is not None and not question.within(better.value, better.error):
            answer = Answer(better.value, better.error, DISAGREE)
    if answer.verdict == DISAGREE and _clear(answer, told, allowed, proven):
        return answer
    # Excused: the step was too large for this direction, so σ is what its residual shows.
    worst = abs(screen.residuals[number])
    screen.sigma = max(screen.sigma, worst / ACCUSED, answer.error / ACCUSED)
    return Answer(answer.value, answer.error, AGREE if answer.verdict == AGREE else OPEN)
