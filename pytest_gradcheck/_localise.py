"""Finding the wrong parameters among millions.

In this order, each step dearer than the one before it:

*match*, at no evaluation: if one entry i is wrong, the residuals are α·vⱼ(i) for one α, and no
other column of weights fits them;

*patterns*, at two evaluations to confirm: if a block is wrong by a multiple of its own gradient,
of θ, of a constant, or only in a row or a column, the residuals are λ·Σ p·vⱼ for that pattern p;

*split*: directions over single blocks and then over halves tell where the error is, until a part
is small enough to match;

*sample*: errors everywhere, by no pattern, are counted on some coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from ._blocks import Block, position_of
from ._calibrate import ACCUSED
from ._exchanges import exchanges
from ._match import DISTINCT, Confirm, Findings, match, spread_of, threshold
from ._patterns import Pattern, patterns
from ._screen import Screen
from ._split import MOST_ENTRIES, split

Array = np.ndarray[Any, Any]

MOST_DIRECTIONS = 7
"""Over all parameters; more directions tell columns apart whose weights are alike."""


def localise(screen: Screen, confirm: Confirm, allowed: float, budget: int) -> Findings:
    """Find what is wrong.

    Parameters
    ----------
    screen : Screen
        Its ``truth`` is filled with the wrong entries that were confirmed.
    confirm : callable
    allowed : float
        What tolerances add up to along a direction.
    budget : int
        Evaluations of func in the whole check at which to stop.

    Returns
    -------
    Findings
    """
    found = Findings()
    limit = allowed + ACCUSED * screen.sigma
    while len(screen.truth) < MOST_ENTRIES:
        residuals = screen.clean(screen.residuals)
        if max(abs(y) for y in residuals.values()) <= limit:
            return found
        if _named_entry(screen, residuals, confirm):
            continue
        if not screen.truth and _named_pattern(screen, residuals, found, confirm, limit):
            return found
        if len(screen.residuals) < MOST_DIRECTIONS and _promising(screen, residuals):
            screen.measure(len(screen.residuals))
            continue
        break
    if not split(screen, confirm, found, limit, budget):
        found.unexplained = True
    return found


def _promising(screen: Screen, residuals: dict[int, float]) -> bool:
    """Return whether the best entry fits and only is not distinct yet."""
    fit, _ = match(screen, residuals)
    return fit.misfit <= threshold(len(residuals))


def _named_entry(screen: Screen, residuals: dict[int, float], confirm: Confirm) -> bool:
    fit, alone = match(screen, residuals)
    if not alone or fit.what in screen.truth:
        return False
    error = confirm(fit.what)
    if error is None:
        return False
    screen.truth[fit.what] = error
    return True


def _named_pattern(
    screen: Screen, residuals: dict[int, float], found: Findings, confirm: Confirm, limit: float
) -> bool:
    numbers = sorted(residuals)
    y = np.array([residuals[j] for j in numbers])
    variance = spread_of(screen, residuals.values())
    fits: list[tuple[float, float, Pattern]] = []
    for pattern in _all_patterns(screen, len(numbers)):
        square = float(pattern.columns @ pattern.columns)
        if square and pattern.holds(amount := float(pattern.columns @ y) / square):
            misfit = float(np.sum((y - amount * pattern.columns) ** 2)) / variance
            fits.append((misfit, amount, pattern))
    order = [id(fit[2]) for fit in fits]
    fits.sort(key=lambda fit: fit[0])
    if not fits or fits[0][0] > threshold(len(numbers)):
        return False
    # Two names for the same vector are no rivals: a matrix of one row is a row, and with all
    # parameters equal θ is a constant.  What was tried first is the simplest.
    alike = [fit for fit in fits if _proportional(fit[2].columns, fits[0][2].columns)]
    misfit, amount, best = min(alike, key=lambda fit: order.index(id(fit[2])))
    rivals = [fit for fit in fits if not _proportional(fit[2].columns, best.columns)]
    if rivals and rivals[0][0] <= DISTINCT * max(misfit, threshold(len(numbers))):
        return False
    fresh = len(screen.residuals)
    for number in (fresh, fresh + 1):
        screen.measure(number)
    predicted = next(p.columns for p in _all_patterns(screen, fresh + 2) if p.same(best))
    gap = max(abs(screen.residuals[j] - amount * predicted[j]) for j in (fresh, fresh + 1))
    if gap > limit + 1e-6 * abs(amount) * float(np.abs(predicted[fresh:]).max()):
        return False
    found.patterns.append((best, amount))
    _confirm_largest(screen, best, confirm)
    return True


def _proportional(one: Array, other: Array) -> bool:
    lengths = float(one @ one) * float(other @ other)
    return abs(float(one @ other)) >= (1 - 1e-13) * math.sqrt(lengths)


def _all_patterns(screen: Screen, count: int) -> Iterator[Pattern]:
    return chain(patterns(screen, count), exchanges(screen, count))


def entries_of(screen: Screen, pattern: Pattern, block: Block) -> Array:
    """Return the flat coordinates of a block that a pattern says are wrong."""
    values = _values(screen, pattern, block)
    if pattern.code == "constant":
        return np.arange(block.start, block.stop)
    if pattern.place is None:
        return block.start + np.flatnonzero(values)
    axis, position = pattern.place
    every = np.arange(block.start, block.stop).reshape(block.shape)
    every = np.take(every, position, axis=axis).ravel()
    chosen: Array = every[values[every - block.start] != 0]
    return chosen


def _values(screen: Screen, pattern: Pattern, block: Block) -> Array:
    """Return what the error of each entry is proportional to."""
    own: Array = screen.analytic[block.window]
    if pattern.code == "transposed":
        square = own.reshape(block.shape)
        return np.asarray(square - square.T).ravel()
    if pattern.code == "swapped":
        name = next(name for name in pattern.names if name != block.name)
        other = next(b for b in screen.problem.blocks if b.name == name)
        return np.asarray(own - screen.analytic[other.window])
    if pattern.code not in ("theta", "sign-theta"):
        return screen.analytic[block.window]
    work = screen.problem.evaluator.work
    return work.theta[position_of(work.blocks, block.start)]


def _confirm_largest(screen: Screen, pattern: Pattern, confirm: Confirm) -> None:
    """Difference the entry of a block that the pattern makes largest: a number to show."""
    for block in screen.problem.blocks:
        if block.name not in pattern.names or screen.truth:
            continue
        entries = entries_of(screen, pattern, block)
        if entries.size:
            size = np.abs(_values(screen, pattern, block)[entries - block.start])
            i = int(entries[np.argmax(size)])
            error = confirm(i)
            if error is not None:
                screen.truth[i] = error
