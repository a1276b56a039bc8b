"""Whether a narrow gradient is off by its own rounding: grad in float64 tells, beside it.

A float32 gradient of a saturated tanh, or of values far from zero before a normalisation, has few
digits, though its formula is right.  Where func is differenced in float64, grad is asked there,
too: a formula that is wrong is wrong in float64 as well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._constants import (
    BESIDE_PAIRS,
    COARSEST_RTOL,
    FAR_STEP,
    GRAD_ROUNDINGS,
    IN_BLOCK,
    IN_CHECK,
    WIDER_RATIO,
    WIDER_ROUNDINGS,
)
from .._difference.every_coordinate import value_size
from .._difference.stencils_and_steps import Stream, random_weights
from .._evaluate.problem import Analytic, Problem
from .._options import Options
from .._params.arrays_and_structure import Array
from .tolerance_and_comparison import (
    AGREE,
    DISAGREE,
    GRAD_ROUNDED,
    OPEN,
    Comparison,
    Tolerance,
    tolerance,
)


def with_wider_grad(
    found: Comparison, problem: Problem, analytic: Analytic, options: Options
) -> Comparison:
    """Return the comparison in which nothing is called wrong that grad has right in float64."""
    wrong = (found.verdict == DISAGREE) & np.isfinite(found.analytic) & ~found.kinked
    here = _wider(analytic) if wrong.any() else None
    if here is None:
        return found
    limits = found.tolerance
    wrong &= replace(limits, analytic=here).within(found.numeric, found.error) & np.isfinite(here)
    if not wrong.any():
        return found  # a formula that is wrong is so at any precision
    allowed = limits.allowed(found.numeric, found.error)
    wrong &= _rounds_alone(here, allowed, problem, analytic, options.seed)
    off = np.where(wrong, np.abs(found.analytic - found.numeric), 0.0)
    little = _little(off, found.numeric, problem, options)
    found = replace(found, tolerance=replace(limits, atol=limits.atol + np.where(little, off, 0.0)))
    found.verdict[wrong & little], found.verdict[wrong & ~little] = AGREE, OPEN
    left = np.flatnonzero(wrong & ~little).tolist()
    found.reasons.update(dict.fromkeys(left, GRAD_ROUNDED))
    return found


def told_by_wider_grad(
    problem: Problem, analytic: Analytic, options: Options
) -> tuple[Array, Array] | None:
    """Return grad in float64, and where it is another one by rounding that is not little; (n,).

    None where it is another one by more than rounding, or can't be asked.
    """
    here = _wider(analytic)
    if here is None or not np.isfinite(here).all():
        return None
    vector, precision = analytic.vector, analytic.precision
    known = problem.scale, problem.blocks, precision, options, 0.0, abs(float(problem.center))
    limits: Tolerance = tolerance(vector, here, *known)
    beyond = ~limits.within(here, 0.0)
    if beyond.any():
        rounded = _rounds_alone(here, limits.allowed(here, 0.0), problem, analytic, options.seed)
        if (beyond & ~rounded).any():
            return None
        beyond &= ~_little(np.abs(vector - here), here, problem, options)
    return here, beyond


def _wider(analytic: Analytic) -> Array | None:
    """Return grad in float64, if it can be asked there."""
    if analytic.wider is None or analytic.at is None:
        return None
    try:
        return analytic.wider(None)
    except Exception:  # grad may refuse float64 in any way it likes
        return None


def _little(off: Array, numeric: Array, problem: Problem, options: Options) -> Array:
    """Return where rounding by so much passes (bool, (n,))."""
    # Where it is little beside its entry, its block or everything seen, as error bars pass that are
    # as large. More is left open, and so is what misses a tolerance that was given.
    if options.rtol is not None or options.atol is not None:
        return np.zeros(problem.size, dtype=bool)
    little: Array = (off <= COARSEST_RTOL * np.abs(numeric)) | _is_dust(off, problem, numeric)
    for block in problem.blocks:
        known = numeric[block.window]
        known = known[np.isfinite(known)]
        size = float(np.linalg.norm(known)) / max(known.size, 1) ** 0.5
        little[block.window] |= off[block.window] <= IN_BLOCK * size
    return little


def _is_dust(off: Array, problem: Problem, numeric: Array) -> Array:
    """Return where so much is little beside everything that func was seen to be (bool, (n,))."""
    dust: Array = off * np.minimum(problem.scale, 1.0) <= IN_CHECK * value_size(problem, numeric)
    return dust


@np.errstate(all="ignore")
def _rounds_alone(
    here: Array, allowed: Array, problem: Problem, analytic: Analytic, seed: int
) -> Array:
    """Return where grad is another one in float64, `here`, by rounding alone (bool, (n,))."""
    # What a kernel for narrow types does wrong is a part of the gradient, or the same, wherever it
    # is asked; rounding is another one beside θ. That of constant data need not be, but comes to no
    # more than a few tolerances; what is dust no kernel shows.
    own = analytic.vector - here
    small: Array = (np.abs(own) <= GRAD_ROUNDINGS * allowed) | _is_dust(np.abs(own), problem, here)
    if small.all():
        return small
    sums = np.zeros((4, problem.size))
    try:
        for pair in range(BESIDE_PAIRS):
            for shift in _beside(problem, seed, pair):
                wide = analytic.wider(shift)  # type: ignore[misc]
                error = analytic.at(shift) - wide  # type: ignore[misc]
                sums += (error, error**2, error * wide, wide**2)
    except Exception:  # outside its domain: nothing is learnt
        return small
    mean, square, both, wide = sums / (2 * BESIDE_PAIRS)
    part = own / here
    apart = square - 2 * part * both + part**2 * wide  # of what the same part makes there
    rounds: Array = own**2 <= WIDER_ROUNDINGS**2 * (square - mean**2)
    rounds &= ~(WIDER_ROUNDINGS**2 * apart < square)
    return rounds | small


def _beside(problem: Problem, seed: int, pair: int) -> tuple[Array, Array]:
    """Return two opposite shifts to points that the parameters' own types hold."""
    step = FAR_STEP / WIDER_RATIO**pair * problem.scale
    step *= random_weights(problem.size, seed, Stream.BESIDE, pair)
    both = (step, -step)
    for shift in both:
        for block in problem.blocks:
            theta, w = problem.theta[block.window], block.window
            shift[w] = (theta + shift[w]).astype(block.dtype).astype(theta.dtype) - theta
    return both
