"""Rounding that differs from parameter to parameter.

There are lines along which J is quieter than along others, and some along which it stands still and
jumps, because func rounds to a narrow format on the way to J.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np

from .._constants import (
    CONFIDENCE,
    FINE,
    GRAIN_SHOWN,
    GROUP_RUNGS,
    LOUD_ALONG_OTHERS,
    LOUD_INSIDE,
    MOST_DIGITS,
    MOST_LOUD,
    MOST_SOUNDED,
    MOST_STILL,
    NARROW,
    NOISE_WIDER,
    QUIETER_LINE,
    RATIO,
    STILL,
    STILL_WIDE,
)
from .._difference.climb import climb, rise
from .._difference.extrapolation import Estimate, Line
from .._difference.noise import Noise
from .._difference.stencils import STENCILS
from .._difference.step_size import relative_step
from .._difference.sweep import Sweep, line_of, value_size
from .._evaluate.problem import Problem
from .comparison import Comparison
from .refine import spacing

Array = np.ndarray[Any, Any]


def quieter_lines(
    members: Array, found: Comparison, sweep: Sweep, problem: Problem
) -> tuple[list[tuple[int, Line]], list[tuple[Array, Noise]]]:
    """Return the coarse entries along which J is quieter than along all, with that measured.

    And, with their noise, those that were too many to ask, by blocks of which all others were
    quieter.  `members` (bool) may be asked.  Noise is known along one direction through all
    parameters: an ill-conditioned one makes it loud, and others are smooth to the last digit.
    """
    noise = sweep.noise
    change = sweep.change[np.isfinite(sweep.change)].max(initial=0.0)
    if not may_be_quieter(noise) or not abs(problem.center) > change:
        return [], []  # where J vanishes, its noise is not of one size
    limits = found.tolerance
    fine = np.maximum(FINE, 2 * limits.rtol) * limits.size(found.numeric)
    with np.errstate(all="ignore"):
        coarse = members & (CONFIDENCE * found.error > fine)
    quiet: list[tuple[int, Line]] = []
    loud = Counter[int]()
    order = _round_robin(coarse, found, problem)
    asked = 0
    for position, i in order:
        if asked == MOST_SOUNDED or loud[position] == MOST_LOUD:
            continue
        asked += 1
        line = line_of(problem, i, noise, sweep)
        sigma = line.table(0.0, spacing(line, limits.at(i), float(problem.scale[i])))
        if sigma is not None and sigma * QUIETER_LINE < noise.sigma:
            line.sounded = True
            line.take_noise(sigma)
            quiet.append((i, line))
        else:
            loud[position] += 1
    known = {i for i, _ in quiet}
    rest = []
    for position, block in enumerate(problem.blocks):
        own = [line.noise for i, line in quiet if block.start <= i < block.stop]
        mine = np.array([i for at, i in order if at == position and i not in known])
        if own and mine.size and not loud[position]:
            rest.append((mine, max(own, key=lambda noise: noise.sigma)))
    return quiet, rest


def may_be_quieter(noise: Noise) -> bool:
    """Return whether func may be quieter along some lines than along that on which it was heard."""
    return noise.sigma > LOUD_ALONG_OTHERS * noise.floor


def _round_robin(which: Array, found: Comparison, problem: Problem) -> list[tuple[int, int]]:
    """Return blocks and entries: the largest of each block first, then the second of each."""
    with np.errstate(over="ignore"):
        size = np.abs(found.analytic * problem.scale)
    ranked = []
    for position, block in enumerate(problem.blocks):
        mine = block.start + np.flatnonzero(which[block.window])
        mine = mine[np.argsort(-size[mine], kind="stable")]
        ranked += [(rank, position, i) for rank, i in enumerate(mine.tolist())]
    return [(position, i) for _, position, i in sorted(ranked)]


def inner_format(found: Comparison, sweep: Sweep, problem: Problem) -> str:
    """Return the format that func rounds to on the way to J; "" if to none.

    A func in float64 moves when a parameter does by 2⁻³¹ of itself.  One that rounds on the way
    stands still there along what lies before, whatever it does along the others, and is noisier
    at larger distances than a constant makes it that is added in float64.
    """
    if sweep.noise.unit > NARROW or _decimal(problem.center):
        return ""
    which = found.evaluated & np.isfinite(found.analytic) & ~found.kinked
    least = LOUD_INSIDE * value_size(problem, found.analytic)
    for _, i in _round_robin(which, found, problem)[:MOST_STILL]:
        line = line_of(problem, i, sweep.noise)
        told = abs(float(found.analytic[i])) * float(problem.scale[i])
        if told * STILL > GRAIN_SHOWN * sweep.noise.floor and _still(line, STILL, problem.scale[i]):
            loud = line.table(0.0, float(problem.scale[i]) * NOISE_WIDER)
            if not _moves(line, problem.scale[i]) or (loud is not None and loud < least):
                continue
            if _still(line, STILL_WIDE, problem.scale[i]):
                return "a format of 16 bits"
            return "float32"
    return ""


def by_larger_steps(i: int, found: Comparison, sweep: Sweep, problem: Problem) -> Estimate | None:
    """Return the derivative by steps that suit float32, along a line that is rounded on the way."""
    scale, size = float(problem.scale[i]), value_size(problem, found.analytic)
    line = line_of(problem, i, sweep.noise)
    sigma = line.table(0.0, scale * NOISE_WIDER)
    if sigma is None:
        return None
    line.take_noise(sigma)
    first = scale * relative_step(STENCILS["central"], line.noise.sigma, size) / RATIO
    return climb(line, rise(line, first, GROUP_RUNGS, lambda step: step <= scale))


def _still(line: Line, part: float, scale: float) -> bool:
    """Return whether most of the values at this distance are equal."""
    values = line.values(0.0, part * float(scale)).tolist()
    still = sum(bool(x == y) for x, y in itertools.pairwise(values))
    return still >= len(values) / 2


def _moves(line: Line, scale: float) -> bool:
    """Return whether func moves on both sides at a larger distance: a hinge does on one alone."""
    ends = [float(line.values(side * scale * 1e-2, side * scale * 1e-3)[0]) for side in (1, -1)]
    return all(end != line.center for end in ends)


def _decimal(value: Any) -> bool:
    """Return whether J is rounded to decimals itself."""
    number = float(value)
    return number in (round(number, MOST_DIGITS - 2), float(f"{number:.{MOST_DIGITS}g}"))
