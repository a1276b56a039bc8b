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
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._blocks import Block
from ._patterns import patterns, simple
from ._probes import generator
from ._screen import ACCUSED, Screen, Subset

Array = np.ndarray[Any, Any]

MOST_DIRECTIONS = 7
"""Over all parameters; more directions tell columns apart whose weights are alike."""

DISTINCT = 4.0
"""The second best must fit so many times worse."""

SAMPLED = 12

MOST_ENTRIES = 40

Confirm = Callable[[int], float | None]
"""Differences one coordinate; its error, or None when it is not wrong."""


@dataclass
class Findings:
    """What was found.

    Attributes
    ----------
    patterns : list of (str, str)
        A block's name (or several) and a sentence.
    shares : dict of str to (int, int)
        Of a block with errors everywhere: how many of the sampled entries are wrong.
    unexplained : bool
        Something is wrong that was not found within the evaluations allowed.
    """

    patterns: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    shares: dict[str, tuple[int, int]] = field(default_factory=dict)
    unexplained: bool = False


@dataclass(frozen=True)
class _Fit:
    what: Any
    amount: float
    misfit: float


def _threshold(count: int) -> float:
    """Return the largest χ² of a fit with one free number to `count` residuals."""
    free = count - 1
    return free + 4 * math.sqrt(2 * free) + 6


def match(
    screen: Screen, residuals: dict[int, float], subset: Subset | None = None
) -> tuple[_Fit, bool]:
    """Return the single entry that explains the residuals best, and whether it alone does.

    Parameters
    ----------
    screen : Screen
    residuals : dict of int to float
        By number of direction.
    subset : Subset, optional
        Where the entry may be.

    Returns
    -------
    fit : _Fit
        ``what`` is the coordinate in the flat vector.
    alone : bool
    """
    total = sum(y * y for y in residuals.values())
    best, second = (-1.0, -1, 0.0), -1.0
    for block in screen.problem.blocks if subset is None else subset.blocks:
        if not block.size:
            continue
        cross, square = np.zeros(block.size), np.zeros(block.size)
        for number, y in residuals.items():
            weights = screen.weights(number, block)
            cross += y * weights
            square += weights * weights
        gain = cross * cross / square
        if subset is not None and subset.inside is not None:
            outside = np.ones(block.size, dtype=bool)
            outside[subset.inside] = False
            gain[outside] = -1.0
        top = np.argpartition(gain, -2)[-2:] if block.size > 1 else np.array([0])
        for i in top[np.argsort(-gain[top])].tolist():
            if gain[i] > best[0]:
                second = best[0]
                best = (float(gain[i]), block.start + i, float(cross[i] / square[i]))
            else:
                second = max(second, float(gain[i]))
    variance = screen.sigma**2
    misfit = max(total - best[0], 0.0) / variance
    runner_up = (total - second) / variance
    count = len(residuals)
    alone = misfit <= _threshold(count) and runner_up > DISTINCT * max(misfit, _threshold(count))
    return _Fit(best[1], best[2], misfit), alone


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
    if not _split(screen, confirm, found, limit, budget):
        found.unexplained = True
    return found


def _promising(screen: Screen, residuals: dict[int, float]) -> bool:
    """Return whether the best entry fits and only is not distinct yet."""
    fit, _ = match(screen, residuals)
    return fit.misfit <= _threshold(len(residuals))


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
    fits: list[tuple[float, float, str, str, tuple[str, ...], Array]] = []
    for code, sentence, names, columns in patterns(screen, len(numbers)):
        square = float(columns @ columns)
        if not square:
            continue
        amount = float(columns @ y) / square
        misfit = float(np.sum((y - amount * columns) ** 2)) / screen.sigma**2
        fits.append((misfit, amount, code, sentence, names, columns))
    fits.sort(key=lambda fit: fit[0])
    if not fits or fits[0][0] > _threshold(len(numbers)):
        return False
    misfit, amount, code, sentence, names, _ = fits[0]
    rivals = [fit for fit in fits[1:] if not np.allclose(fit[5], fits[0][5], rtol=1e-9)]
    if rivals and rivals[0][0] <= DISTINCT * max(misfit, _threshold(len(numbers))):
        return False
    fresh = len(screen.residuals)
    for number in (fresh, fresh + 1):
        screen.measure(number)
    predicted = next(
        columns
        for c, s, n, columns in patterns(screen, fresh + 2)
        if (c, s, n) == (code, sentence, names)
    )
    gap = max(abs(screen.residuals[j] - amount * predicted[j]) for j in (fresh, fresh + 1))
    if gap > limit + 1e-6 * abs(amount) * float(np.abs(predicted[fresh:]).max()):
        return False
    told = 1 / (1 - amount) if code in ("gradient", "slice") and amount != 1 else amount
    found.patterns.append((names, sentence.format(simple(told))))
    _confirm_largest(screen, names, code, confirm)
    return True


def _confirm_largest(screen: Screen, names: tuple[str, ...], code: str, confirm: Confirm) -> None:
    """Difference the entry of each block that the pattern makes largest: a number to show."""
    for block in screen.problem.blocks:
        if block.name in names and block.size:
            part = screen.analytic if code in ("gradient", "slice") else screen.problem.theta
            i = block.start + int(np.argmax(np.abs(part[block.window])))
            error = confirm(i)
            if error is not None:
                screen.truth[i] = error
            if len(screen.truth) >= 3:
                return


def _split(screen: Screen, confirm: Confirm, found: Findings, limit: float, budget: int) -> bool:
    """Divide what is wrong until its parts match; return whether all of it was explained."""
    numbers = tuple(range(SCREEN_SPLIT))
    whole = {j: screen.clean([j])[j] for j in numbers}
    blocks = [block for block in screen.problem.blocks if block.size]
    dirty: list[tuple[Subset, dict[int, float]]] = []
    left = dict(whole)
    for position, block in enumerate(blocks):
        subset = Subset((block,))
        last = position == len(blocks) - 1
        ys = dict(left) if last else {j: _clean(screen, j, subset) for j in numbers}
        left = {j: left[j] - ys[j] for j in numbers}
        if max(map(abs, ys.values())) > limit:
            dirty.append((subset, ys))
    fine = True
    for subset, ys in dirty:
        fine &= _search(screen, confirm, found, subset, ys, limit, budget)
    return fine


SCREEN_SPLIT = 3


def _clean(screen: Screen, number: int, subset: Subset) -> float:
    return screen.measure(number, subset) - screen.explained(number, subset)


def _search(
    screen: Screen,
    confirm: Confirm,
    found: Findings,
    subset: Subset,
    ys: dict[int, float],
    limit: float,
    budget: int,
) -> bool:
    """Search one block: match, and halve what does not match."""
    block = subset.blocks[0]
    queue = [(subset, ys)]
    named = 0
    while queue:
        part, residuals = queue.pop()
        if max(map(abs, residuals.values())) <= limit:
            continue
        if screen.problem.evaluator.evaluations >= budget or len(screen.truth) >= MOST_ENTRIES:
            return _sample(screen, confirm, found, block)
        fit, alone = match(screen, residuals, part)
        if (alone or part.size == 1) and fit.what not in screen.truth:
            error = confirm(fit.what)
            if error is not None:
                named += 1
                screen.truth[fit.what] = error
                weights = {
                    j: float(screen.weights(j, block)[fit.what - block.start]) for j in residuals
                }
                queue.append((part, {j: y - error * weights[j] for j, y in residuals.items()}))
                continue
        if part.size == 1:
            continue
        first, second = _halves(screen, part)
        measured = {j: _clean(screen, j, first) for j in residuals}
        rest = {j: residuals[j] - measured[j] for j in residuals}
        queue += [(first, measured), (second, rest)]
        both = all(max(map(abs, ys.values())) > limit for ys in (measured, rest))
        if both and not named and len(queue) > DENSE:
            return _sample(screen, confirm, found, block)
    return True


DENSE = 5
"""Halved so often, with errors in every half and none that matches: they are everywhere."""


def _halves(screen: Screen, part: Subset) -> tuple[Subset, Subset]:
    inside = np.arange(part.blocks[0].size) if part.inside is None else part.inside
    order = generator(screen.seed, 6, int(inside[0]), inside.size).permutation(inside.size)
    half = inside.size // 2
    return (
        Subset(part.blocks, np.sort(inside[order[:half]])),
        Subset(part.blocks, np.sort(inside[order[half:]])),
    )


def _sample(screen: Screen, confirm: Confirm, found: Findings, block: Block) -> bool:
    """Count wrong entries among some of a block's; return whether any was found."""
    count = min(SAMPLED, block.size)
    chosen = generator(screen.seed, 7, block.start).choice(block.size, count, replace=False)
    wrong = 0
    for offset in np.sort(chosen).tolist():
        i = block.start + offset
        error = screen.truth.get(i) or confirm(i)
        if error is not None:
            wrong += 1
            screen.truth[i] = error
    found.shares[block.name] = (wrong, count)
    return wrong > 0
