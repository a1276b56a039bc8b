"""Dividing what is wrong until its parts can be named.

The residuals of one half are measured, those of the other follow by subtraction.  Parts are
halved along an axis of their block, so that a wrong row or column keeps together while
everything beside it is found clean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._blocks import Block, position_of
from ._match import Confirm, Findings, match
from ._probes import generator
from ._screen import Screen, Subset

Array = np.ndarray[Any, Any]

NUMBERS = (0, 1, 2)
"""The directions that are restricted to parts."""

SAMPLED = 12
SAMPLED_IN_SLICE = 4

MOST_ENTRIES = 40

LARGE = 0.05
"""Blocks with less than this part of all parameters are measured together at first."""

GLANCE = 3
"""Entries looked at when both halves of a block are wrong: most of them are, if errors are
everywhere."""


class Part:
    """Some of a block, its residuals by direction, and their variance in parts of a direction's."""

    def __init__(
        self, subset: Subset, residuals: dict[int, float], loud: float, axis: int | None, depth: int
    ) -> None:
        self.subset, self.residuals, self.loud = subset, residuals, loud
        self.axis, self.depth = axis, depth

    def dirty(self, limit: float) -> bool:
        """Return whether something is wrong in it."""
        return max(map(abs, self.residuals.values())) > limit * math.sqrt(self.loud)


def split(screen: Screen, confirm: Confirm, found: Findings, limit: float, budget: int) -> bool:
    """Divide what is wrong until its parts match; return whether all of it was explained.

    Parameters
    ----------
    screen : Screen
    confirm : callable
    found : Findings
        Filled.
    limit : float
        The largest residual of a part that is right.
    budget : int
        Evaluations of func in the whole check at which to stop.

    Returns
    -------
    bool
    """
    blocks = tuple(block for block in screen.problem.blocks if block.size)
    large = [b for b in blocks if b.size >= LARGE * screen.problem.size]
    small = tuple(b for b in blocks if b not in large)
    groups = [*((b,) for b in large), *([small] if small else [])]
    explained = True
    for part in _parted(screen, groups, screen.clean(NUMBERS), 1.0):
        parts = [part]
        if len(part.subset.blocks) > 1:
            while part.dirty(limit) and _matched(screen, confirm, part):
                pass
            each = [(b,) for b in part.subset.blocks]
            dirty = part.dirty(limit)
            parts = _parted(screen, each, part.residuals, part.loud) if dirty else []
        for each_part in parts:
            explained &= _search(screen, confirm, found, each_part, limit, budget)
    return explained


def _parted(
    screen: Screen, groups: Sequence[tuple[Block, ...]], left: dict[int, float], loud: float
) -> list[Part]:
    """Measure groups of blocks, the last by subtraction from what they come to together."""
    parts: list[Part] = []
    for position, group in enumerate(groups):
        subset = Subset(group)
        last = position == len(groups) - 1
        ys = dict(left) if last else {j: _clean(screen, j, subset) for j in NUMBERS}
        left = {j: left[j] - ys[j] for j in NUMBERS}
        parts.append(Part(subset, ys, loud + len(groups) - 1 if last else 1.0, None, 0))
    return parts


def _clean(screen: Screen, number: int, subset: Subset) -> float:
    return screen.measure(number, subset) - screen.explained(number, subset)


def _search(
    screen: Screen, confirm: Confirm, found: Findings, whole: Part, limit: float, budget: int
) -> bool:
    """Search one block: match, and halve what does not match."""
    block = whole.subset.blocks[0]
    queue = [whole]
    while queue:
        part = queue.pop()
        if not part.dirty(limit):
            continue
        if screen.problem.evaluator.evaluations >= budget or len(screen.truth) >= MOST_ENTRIES:
            return _sample(screen, confirm, found, block)
        if _matched(screen, confirm, part):
            queue.append(part)
            continue
        if part.subset.size == 1:
            continue
        if _slice_found(screen, confirm, found, part, block):
            continue
        halves = _divide(screen, part, block, limit)
        queue += halves
        if part.depth == 0 and all(half.dirty(limit) for half in halves):
            glance = generator(screen.seed, 9, block.start).choice(block.size, GLANCE)
            if 2 * _count(screen, confirm, block, np.unique(glance)) > GLANCE:
                return _sample(screen, confirm, found, block)
    return True


def _matched(screen: Screen, confirm: Confirm, part: Part) -> bool:
    """Name the one entry that explains a part, if there is one, and take its error out."""
    fit, alone = match(screen, part.residuals, part.subset, part.loud)
    if not (alone or part.subset.size == 1) or fit.what in screen.truth:
        return False
    error = confirm(fit.what)
    if error is None:
        return False
    screen.truth[fit.what] = error
    block = screen.problem.blocks[position_of(screen.problem.blocks, fit.what)]
    for number in part.residuals:
        weight = screen.weight(number, block, fit.what - block.start)
        part.residuals[number] -= error * weight
    return True


def _positions(inside: Array, block: Block, axis: int) -> Array:
    """Return where along an axis each of some offsets in a block is."""
    stride = math.prod(block.shape[axis + 1 :])
    places: Array = inside // stride
    places %= block.shape[axis]
    return places


def _inside(part: Part, block: Block) -> Array:
    if part.subset.inside is not None:
        return part.subset.inside
    # Half the memory of what numpy would choose, where it will do.
    return np.arange(block.size, dtype=np.int32 if block.size < 2**31 else np.int64)


def _axes(block: Block) -> tuple[int, ...]:
    if block.is_complex or len(block.shape) < 2:
        return ()
    return tuple(axis for axis, length in enumerate(block.shape) if length > 1)


def _slice_found(
    screen: Screen, confirm: Confirm, found: Findings, part: Part, block: Block
) -> bool:
    """Name a part that is one row or column, when several of its entries are wrong."""
    inside = _inside(part, block)
    if part.depth == 0 or inside.size < SAMPLED_IN_SLICE or part.axis is None:
        return False
    places = np.unique(_positions(inside, block, part.axis))
    if places.size > 1:
        return False
    rng = generator(screen.seed, 8, int(inside[0]), inside.size)
    chosen = rng.choice(inside, SAMPLED_IN_SLICE, replace=False)
    wrong = _count(screen, confirm, block, chosen)
    if wrong < SAMPLED_IN_SLICE // 2:
        return False
    index = [":"] * len(block.shape)
    index[part.axis] = str(int(places[0]))
    found.slices.append(
        (block.name, f"[{', '.join(index)}]", wrong, SAMPLED_IN_SLICE, int(inside.size))
    )
    return True


def _divide(screen: Screen, part: Part, block: Block, limit: float) -> list[Part]:
    """Halve a part along the axis on which one half is clean, if there is one."""
    axes = _axes(block)
    if part.axis is not None and part.depth:
        axes = (part.axis, *(axis for axis in axes if axis != part.axis))
    tries = []
    for axis in axes or (None,):
        halves = _halved(screen, part, block, axis)
        if halves is None:
            continue
        tries.append(halves)
        # Only a whole block is worth the evaluations of a second axis.
        if part.depth or sum(half.dirty(limit) for half in halves) < 2:
            return halves
    if tries:
        return tries[0]
    return _halved(screen, part, block, None) or []


def _halved(screen: Screen, part: Part, block: Block, axis: int | None) -> list[Part] | None:
    inside = _inside(part, block)
    if axis is None:
        rng = generator(screen.seed, 6, int(inside[0]), inside.size)
        first = np.arange(inside.size) < inside.size // 2
        rng.shuffle(first)
    else:
        places = _positions(inside, block, axis)
        known = np.flatnonzero(np.bincount(places, minlength=block.shape[axis]))
        if known.size < 2:
            return None
        first = places < known[known.size // 2]
        del places
    one = Subset(part.subset.blocks, inside[first])
    other = Subset(part.subset.blocks, inside[np.logical_not(first, out=first)])
    del inside, first
    measured = {j: _clean(screen, j, one) for j in part.residuals}
    rest = {j: y - measured[j] for j, y in part.residuals.items()}
    return [
        Part(one, measured, 1.0, axis, part.depth + 1),
        Part(other, rest, part.loud + 1.0, axis, part.depth + 1),
    ]


def _count(screen: Screen, confirm: Confirm, block: Block, offsets: Array) -> int:
    wrong = 0
    for offset in np.sort(offsets).tolist():
        i = block.start + offset
        error = screen.truth.get(i) or confirm(i)
        if error is not None:
            wrong += 1
            screen.truth[i] = error
    return wrong


def _sample(screen: Screen, confirm: Confirm, found: Findings, block: Block) -> bool:
    """Count wrong entries among some of a block's; return whether any was found."""
    count = min(SAMPLED, block.size)
    chosen = generator(screen.seed, 7, block.start).choice(block.size, count, replace=False)
    wrong = _count(screen, confirm, block, chosen)
    found.shares[block.name] = (wrong, count)
    return wrong > 0
