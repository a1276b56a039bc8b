"""Does func read some blocks only through others?  Asked of func before a backward pass is blamed.

The order of a dict is not the order of layers: three blocks that have nothing to do with each
other, two of them wrong, look like a backward pass that goes wrong behind the third.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from ._names import layer_numbers
from ._options import Options
from ._probes import random_weights
from ._problem import Problem
from ._stencils import COMPLEX_STEP

AWAY = 1e-2
"""How far blocks are moved, in parts of the parameters' scales."""

TOGETHER = 1e-4
"""Two blocks act on each other when moving one changes by this part what moving the other does."""

CLEAR = 1e4
"""What func changes by must stand so far above its noise, or nothing can be said."""

_POSITION = re.compile(r"params\[\d+\]")


def acts_through(
    problem: Problem, options: Options, noise: float, before: Sequence[str], behind: Sequence[str]
) -> bool:
    """Return whether the blocks `before` act on func through those `behind`.

    They do when func no longer depends on them where those behind are zero.  Where a way past
    them is left (a residual connection, weight decay), or func is not defined there, they do when
    their names number the layers and each of them acts together with those behind.  Takes 3
    evaluations, or 4 and 2 for each block before; none where a given step promises how many.

    Parameters
    ----------
    problem : Problem
    options : Options
    noise : float
        Of func.
    before, behind : sequence of str
        Names of blocks.

    Returns
    -------
    bool
    """
    if options.eps is not None or options.scheme == COMPLEX_STEP.name:
        return False
    asked = _Asked(problem, noise, options.seed)
    if asked.blocked(before, behind):
        return True
    return _numbered([*before, *behind]) and asked.together(before, behind)


def _numbered(names: Sequence[str]) -> bool:
    """Return whether names have numbers that are not merely positions in one list."""
    return all(layer_numbers(name) and not _POSITION.fullmatch(name) for name in names)


class _Asked:
    """Values of func where some blocks are moved, and others are zero."""

    def __init__(self, problem: Problem, noise: float, seed: int) -> None:
        self.problem = problem
        self.windows = {block.name: block.window for block in problem.blocks}
        self.away = AWAY * random_weights(problem.size, seed, 8) * problem.scale
        self.center = float(problem.center)
        self.noise = max(problem.jitter, 8 * noise)

    def value(self, moved: Sequence[str], zero: Sequence[str] = ()) -> float:
        shift = np.zeros(self.problem.size)
        for name in moved:
            shift[self.windows[name]] = self.away[self.windows[name]]
        for name in zero:
            shift[self.windows[name]] = -self.problem.theta[self.windows[name]]
        try:
            return float(self.problem.evaluator.along(shift, (1.0,))[0])
        except Exception:  # func may refuse there in any way it likes, and the check is done
            return math.nan

    def loud(self, *values: float) -> float:
        """Return the noise of a difference of values."""
        return self.noise + 64 * 2.0**-52 * max(map(abs, values))

    def blocked(self, before: Sequence[str], behind: Sequence[str]) -> bool:
        """Return whether func does not see `before` while all of `behind` are zero."""
        one, other = self.value((), behind), self.value(before, behind)
        here = self.value(before) - self.center
        loud = self.loud(one, other, here)
        return abs(one - other) <= loud and abs(here) > CLEAR * loud

    def together(self, before: Sequence[str], behind: Sequence[str]) -> bool:
        """Return whether moving `behind` changes what moving each one of `before` does."""
        base = self.value(behind)
        for name in before:
            alone, both = self.value((name,)), self.value((name, *behind))
            here, there = alone - self.center, both - base
            allowed = TOGETHER * max(abs(here), abs(there)) + self.loud(alone, both, base)
            if not allowed < abs(here - there) < math.inf:
                return False
        return True
