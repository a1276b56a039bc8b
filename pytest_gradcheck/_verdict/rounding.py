"""Rounding that differs from parameter to parameter: lines along which J is quieter than others."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from .._constants import CONFIDENCE, FINE, LOUD, MOST_LOUD, MOST_SOUNDED, QUIETER_LINE
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
    if not noise.sigma > LOUD * noise.floor or not abs(problem.center) > sweep.change.max():
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
