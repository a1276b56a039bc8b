"""Patterns of a gradient in the wrong place: a square block transposed, two blocks exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ._blocks import Block
from ._patterns import Pattern
from ._screen import Array, Screen

MOST_PAIRS = 8
"""Pairs of blocks of one shape that are tried: neighbours, in the order of the parameters."""


def exchanges(screen: Screen, count: int) -> Iterator[Pattern]:
    """Yield what gradients in the wrong place make, for directions 0 … count − 1.

    Parameters
    ----------
    screen : Screen
    count : int

    Yields
    ------
    Pattern
    """
    blocks = [b for b in screen.problem.blocks if b.size > 1 and not b.is_complex]
    for block in blocks:
        if len(block.shape) == 2 and block.shape[0] == block.shape[1]:
            a = screen.analytic[block.window].reshape(block.shape)
            error = (a - a.T).ravel()
            columns = np.array([screen.weights(j, block) @ error for j in range(count)])
            yield Pattern("transposed", (block.name,), columns)
    shapes: dict[tuple[int, ...], list[Block]] = {}
    for block in blocks:
        shapes.setdefault(block.shape, []).append(block)
    pairs = [pair for alike in shapes.values() for pair in pairwise(alike)]
    for one, other in pairs[:MOST_PAIRS]:
        gap: Array = screen.analytic[one.window] - screen.analytic[other.window]
        swapped = [
            screen.weights(j, one) @ gap - screen.weights(j, other) @ gap for j in range(count)
        ]
        yield Pattern("swapped", (one.name, other.name), np.array(swapped))
