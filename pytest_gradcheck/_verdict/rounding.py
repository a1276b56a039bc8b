"""Rounding that differs from parameter to parameter: lines along which J is quieter than others."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._constants import CONFIDENCE, FINE, LOUD, MOST_SOUNDED, QUIETER_LINE
from .._difference.extrapolation import Line
from .._difference.noise import Noise
from .._difference.sweep import Sweep, line_of
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
    if not noise.sigma > LOUD * noise.floor > 0:
        return [], []
    limits = found.tolerance
    fine = np.maximum(FINE, 2 * limits.rtol) * limits.size(found.numeric)
    with np.errstate(all="ignore"):
        coarse = members & (CONFIDENCE * found.error > fine)
    order = _round_robin(coarse, found, problem)
    quiet: list[tuple[int, Line]] = []
    for i in order[:MOST_SOUNDED]:
        line = line_of(problem, i, noise, sweep)
        line.sound(spacing(line, limits.at(i), float(problem.scale[i])))
        if line.noise.sigma * QUIETER_LINE < noise.sigma:
            quiet.append((i, line))
    asked, left = np.array(order[:MOST_SOUNDED]), np.array(order[MOST_SOUNDED:])
    rest = []
    for block in problem.blocks:
        own = [line.noise for i, line in quiet if block.start <= i < block.stop]
        mine = left[(left >= block.start) & (left < block.stop)]
        if mine.size and len(own) == np.sum((asked >= block.start) & (asked < block.stop)):
            rest.append((mine, max(own, key=lambda noise: noise.sigma)))
    return quiet, rest


def _round_robin(which: Array, found: Comparison, problem: Problem) -> list[int]:
    """Return the entries, the largest of each block first, then the second of each, and so on."""
    with np.errstate(over="ignore"):
        size = np.abs(found.analytic * problem.scale)
    ranked = []
    for block in problem.blocks:
        mine = block.start + np.flatnonzero(which[block.window])
        mine = mine[np.argsort(-size[mine], kind="stable")]
        ranked += list(enumerate(mine.tolist()))
    return [i for _, i in sorted(ranked)]
