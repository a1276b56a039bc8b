"""The engine without an analytic gradient to judge: every coordinate as well as it can be known."""

from __future__ import annotations

import itertools
import math

import numpy as np

from .._evaluate.problem import Problem
from .kinks import kink_slopes, on_kink
from .ladder import RATIO, Estimate, Line
from .sweep import Sweep, least_step, line_of

ENOUGH = 1e-10
"""A relative error bar below this is not improved further."""

MOST_RUNGS = 12


def climb_all(problem: Problem, found: Sweep, *, only_missing: bool) -> list[int]:
    """Replace derivatives by the best estimate of a ladder, and error bars with it.

    Parameters
    ----------
    problem : Problem
    found : Sweep
        Its numeric and error are changed in place.
    only_missing : bool
        Climb only where the sweep found nothing finite, at the edge of func's domain.

    Returns
    -------
    list of int
        Where the slope has no limit that can be seen, though it is finite.
    """
    without_limit = []
    which = ~np.isfinite(found.numeric) if only_missing else np.ones(problem.size, dtype=bool)
    for i in np.flatnonzero(which).tolist():
        ladder = line_of(problem, i, found.noise, found)
        estimate = _climb(
            ladder,
            float(found.step[i]),
            float(problem.scale[i]),
            least_step(problem, i),
        )
        found.numeric[i], found.error[i] = estimate.value, estimate.error
        if math.isinf(estimate.error) and math.isfinite(estimate.value):
            without_limit.append(i)
    return without_limit


def unbounded(line: Line) -> bool:
    """Return whether the smallest steps show a slope that has no limit, as √x has none at 0.

    The slopes of a smooth func come nearer to each other as the step falls, by the square or by
    the whole of what it falls by, and those of x^1.5 by its root.
    """
    side = line.sides()
    series = line.series(side) if side != "none" else []
    # Rounding by the format alone: the estimate of func's noise takes such a bend for noise.
    unit = line.noise.unit * (abs(float(line.center)) + max(line.changes, default=0.0))
    gaps = []
    for (wide, slope, _), (h, finer, _) in reversed(list(itertools.pairwise(series))):
        if abs(finer - slope) * h > LOUD * unit:
            gaps.append(((finer - slope) / math.log(wide / h), math.sqrt(wide * h)))
        elif gaps:
            break
    gaps = gaps[:APART]
    if len(gaps) < APART or min(gap for gap, _ in gaps) * max(gap for gap, _ in gaps) <= 0:
        return False
    return all(
        abs(gap) > abs(wider) * (h / step) ** NEARER
        for (gap, h), (wider, step) in itertools.pairwise(gaps)
    )


APART = 5
"""So many slopes in a row must stay as far from the one before."""

LOUD = 8.0
"""Units in the last place of func's value by which two slopes differ, or it may be rounding."""

NEARER = 0.15
"""The distance of two slopes falls at least by this power of the step where there is a limit."""

VAGUE = 1e-3
"""A relative error bar above this is doubted."""


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
    if best is not None and best.error > VAGUE * abs(best.value) and unbounded(line):
        return Estimate(best.value, math.inf)
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
