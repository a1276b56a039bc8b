"""Whether a narrow gradient is off by its own rounding: grad in float64 tells, beside it.

A float32 gradient of a saturated tanh, or of values far from zero before a normalisation, has few
digits, though its formula is right.  Where func is differenced in float64, grad is asked there,
too: a formula that is wrong is wrong in float64 as well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._constants import COARSEST_RTOL, GRAD_ROUNDINGS, IN_BLOCK, IN_CHECK, WIDER_DISTANCES
from .._difference.every_coordinate import value_size
from .._difference.stencils_and_steps import Stream, random_weights
from .._evaluate.problem import Analytic, Problem
from .._options import Options
from .._params.arrays_and_structure import Array
from .tolerance_and_comparison import AGREE, DISAGREE, GRAD_ROUNDED, OPEN, Comparison


def with_wider_grad(
    found: Comparison, problem: Problem, analytic: Analytic, options: Options
) -> Comparison:
    """Return the comparison in which nothing is called wrong that grad has right in float64."""
    # It passes where it is little beside its entry, its block or everything seen, as error bars do
    # that are as large; more is left open, and so is what misses a tolerance that was given.
    limits, off = found.tolerance, _off(found, problem, analytic, options.seed)
    if not off.any():
        return found
    little = off <= COARSEST_RTOL * np.abs(found.numeric)
    everything = value_size(problem, found.analytic)
    little |= off * np.minimum(problem.scale, 1.0) <= IN_CHECK * everything
    for block in problem.blocks:
        known = found.numeric[block.window]
        known = known[np.isfinite(known)]
        size = float(np.linalg.norm(known)) / max(known.size, 1) ** 0.5
        little[block.window] |= off[block.window] <= IN_BLOCK * size
    if options.rtol is not None or options.atol is not None:
        little[:] = False
    passes, stays = little & (off > 0), ~little & (off > 0)
    found = replace(found, tolerance=replace(limits, atol=limits.atol + np.where(passes, off, 0.0)))
    found.verdict[passes], found.verdict[stays] = AGREE, OPEN
    found.reasons.update(dict.fromkeys(np.flatnonzero(stays).tolist(), GRAD_ROUNDED))
    return found


def _off(found: Comparison, problem: Problem, analytic: Analytic, seed: int) -> Array:
    """Return by how much rounding alone puts off what is called wrong, else zero; shape (n,)."""
    off, wider = np.zeros(problem.size), analytic.wider
    wrong = (found.verdict == DISAGREE) & np.isfinite(found.analytic) & ~found.kinked
    if wider is None or analytic.at is None or not wrong.any():
        return off
    try:
        here = wider(None)
        right = replace(found.tolerance, analytic=here).within(found.numeric, found.error)
        wrong &= right & np.isfinite(here)
        if not wrong.any():
            return off  # a formula that is wrong is so at any precision
        shifts = [s for pair in range(len(WIDER_DISTANCES)) for s in _beside(problem, seed, pair)]
        beside = [(analytic.at(shift), wider(shift)) for shift in shifts]
    except Exception:  # grad may refuse float64, or its domain end nearby: nothing is learnt
        return off
    # What a kernel for narrow types does wrong is a part of the gradient, or the same nearby.
    own = found.analytic - here
    errors = np.array([narrow - wide for narrow, wide in beside])
    parts = errors / np.array([wide for _, wide in beside])
    rounds = np.abs(own) <= GRAD_ROUNDINGS * np.std(errors, axis=0)
    rounds &= ~(np.abs(own / here) > GRAD_ROUNDINGS * np.std(parts, axis=0))
    return np.where(wrong & rounds, np.abs(found.analytic - found.numeric), off)


def _beside(problem: Problem, seed: int, pair: int) -> tuple[Array, Array]:
    """Return two opposite shifts to points that the parameters' own types hold."""
    step = WIDER_DISTANCES[pair] * problem.scale
    step *= random_weights(problem.size, seed, Stream.BESIDE, pair)
    both = (step, -step)
    for shift in both:
        for block in problem.blocks:
            theta, w = problem.theta[block.window], block.window
            shift[w] = (theta + shift[w]).astype(block.dtype).astype(theta.dtype) - theta
    return both
