"""One wrong entry among millions, from a few residuals: the column of weights that fits them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._patterns import Pattern
from ._screen import Screen, Subset

Array = np.ndarray[Any, Any]

DISTINCT = 4.0
"""The second best must fit so many times worse."""

SIX_DIGITS = 1e-6

Confirm = Callable[[int], float | None]
"""Differences one coordinate; its error, or None when it is not wrong."""


@dataclass
class Findings:
    """What was found.

    Attributes
    ----------
    patterns : list of (Pattern, float)
        With the fitted number.
    shares : dict of str to (int, int)
        Of a block with errors everywhere: how many of the sampled entries are wrong.
    slices : list of (str, str, int, int, int)
        A row or column with errors by no pattern: block, index, wrong ones of the sampled ones,
        and its size.
    unexplained : bool
        Something is wrong that was not found within the evaluations allowed.
    """

    patterns: list[tuple[Pattern, float]] = field(default_factory=list)
    shares: dict[str, tuple[int, int]] = field(default_factory=dict)
    slices: list[tuple[str, str, int, int, int]] = field(default_factory=list)
    unexplained: bool = False


@dataclass(frozen=True)
class Fit:
    """A coordinate, its error, and χ² of the residuals without it."""

    what: Any
    amount: float
    misfit: float


def threshold(count: int) -> float:
    """Return the largest χ² of a fit with one free number to `count` residuals."""
    free = count - 1
    return free + 4 * math.sqrt(2 * free) + 6


def spread_of(screen: Screen, residuals: Iterable[float], loud: float = 1.0) -> float:
    """Return the variance that χ² of residuals is reckoned with.

    σ is measured along one direction, and others may be a few times as loud.  Where residuals
    are a million times as large, that must not keep a fit to six digits from being one.
    """
    largest = max((abs(y) for y in residuals), default=0.0)
    return loud * (screen.sigma**2 + (SIX_DIGITS * largest) ** 2)


def _best_two(y: Array, weights: Sequence[Array]) -> list[tuple[float, int, float]]:
    """Return (gain, position, amount) of the two columns that explain most of y, best first."""
    if not weights[0].size:
        return []
    cross, square = np.zeros_like(weights[0]), np.zeros_like(weights[0])
    for value, w in zip(y.tolist(), weights, strict=True):
        cross += value * w
        w *= w
        square += w
    gain = cross * cross
    gain /= square
    top = np.argpartition(gain, -2)[-2:] if gain.size > 1 else np.array([0])
    return [
        (float(gain[k]), k, float(cross[k] / square[k]))
        for k in top[np.argsort(-gain[top], kind="stable")].tolist()
    ]


def match(
    screen: Screen, residuals: dict[int, float], subset: Subset | None = None, loud: float = 1.0
) -> tuple[Fit, bool]:
    """Return the single entry that explains the residuals best, and whether it alone does.

    Parameters
    ----------
    screen : Screen
    residuals : dict of int to float
        By number of direction.
    subset : Subset, optional
        Where the entry may be.
    loud : float
        The residuals' variance, in parts of a direction's: they may be differences of others.

    Returns
    -------
    fit : Fit
        ``what`` is the coordinate in the flat vector.
    alone : bool
    """
    total = sum(y * y for y in residuals.values())
    best, second = (-1.0, -1, 0.0), -1.0
    for block in screen.problem.blocks if subset is None else subset.blocks:
        if not block.size:
            continue
        for part, weights in screen.columns(tuple(residuals), block):
            inside = None if subset is None or subset.inside is None else subset.within(part)
            if inside is not None:
                weights = [w[inside - part.start] for w in weights]
            found = _best_two(np.array(list(residuals.values())), weights)
            for gain, k, amount in found:
                if gain > best[0]:
                    second = best[0]
                    offset = part.start + k if inside is None else int(inside[k])
                    best = (gain, block.start + offset, amount)
                else:
                    second = max(second, gain)
    variance = spread_of(screen, residuals.values(), loud)
    misfit = max(total - best[0], 0.0) / variance
    runner_up = (total - second) / variance
    count = len(residuals)
    alone = misfit <= threshold(count) and runner_up > DISTINCT * max(misfit, threshold(count))
    return Fit(best[1], best[2], misfit), alone
