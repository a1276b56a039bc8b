"""The engine without an analytic gradient to judge: every coordinate as well as it can be known."""

from __future__ import annotations

import math

import numpy as np

from . import _coordinates as coordinates
from ._coordinates import Sweep
from ._ladder import RATIO, Estimate, Line, kink_slopes, on_kink
from ._problem import Problem

ENOUGH = 1e-10
"""A relative error bar below this is not improved further."""

MOST_RUNGS = 12


def climb_all(problem: Problem, found: Sweep, *, only_missing: bool) -> None:
    """Replace derivatives by the best estimate of a ladder, and error bars with it.

    Parameters
    ----------
    problem : Problem
    found : Sweep
        Its outcome is changed in place.
    only_missing : bool
        Climb only where the sweep found nothing finite, at the edge of func's domain.
    """
    outcome = found.outcome
    which = ~np.isfinite(outcome.numeric) if only_missing else np.ones(problem.size, dtype=bool)
    for i in np.flatnonzero(which).tolist():
        ladder = coordinates.line(problem, i, found.noise, found)
        estimate = _climb(
            ladder,
            float(found.step[i]),
            float(problem.scale[i]),
            coordinates.least_step(problem, i),
        )
        outcome.numeric[i], outcome.error[i] = estimate.value, estimate.error


def _climb(line: Line, first: float, scale: float, least: float) -> Estimate:
    if not line.rungs:
        line.add(first)
    while len(line.rungs) < 6 and line.sides() != "both" and line.rungs[-1].h > least:
        line.add(line.rungs[-1].h / RATIO**2)
    line.add(line.rungs[-1].h / RATIO)
    best = line.estimate()
    step = line.rungs[0].h * RATIO
    for _ in range(MOST_RUNGS):
        if (best is not None and best.error <= ENOUGH * abs(best.value)) or step > scale:
            break
        line.add(step)
        step *= RATIO
        estimate = line.estimate()
        worse = best is not None and estimate is not None and estimate.error > 0.5 * best.error
        best = estimate if estimate is not None else best
        if worse:
            break
    best = _descend(line, best, least)
    slopes = kink_slopes(line) if on_kink(line.rungs) else None
    if slopes is not None:
        forward, backward = slopes
        gap = 0.5 * abs(forward.value - backward.value)
        return Estimate(0.5 * (forward.value + backward.value), gap + forward.error)
    return best if best is not None else Estimate(math.nan, math.inf)


def _descend(line: Line, best: Estimate | None, least: float) -> Estimate | None:
    """Take smaller steps while truncation is most of the error bar."""
    for _ in range(MOST_RUNGS):
        if best is None or best.error <= ENOUGH * abs(best.value):
            break
        step = line.rungs[-1].h / RATIO
        if best.rounding >= 0.5 * best.error or step < least:
            break
        line.add(step)
        best = line.estimate()
    return best
