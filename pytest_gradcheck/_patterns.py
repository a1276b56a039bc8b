"""The patterns that bugs make, as sums over random directions: Σ p·vⱼ, at no evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._screen import Screen

Array = np.ndarray[Any, Any]


def patterns(screen: Screen, count: int) -> Iterator[tuple[str, str, tuple[str, ...], Array]]:
    """Yield what bugs make: code, sentence, blocks, and Σ p·vⱼ for each direction.

    Parameters
    ----------
    screen : Screen
    count : int
        Directions 0 … count − 1.

    Yields
    ------
    code, sentence, names : str, str, tuple of str
        The sentence has ``{}`` for the fitted number.
    columns : ndarray, shape (count,)
    """
    problem = screen.problem
    sums: dict[str, Array] = {}
    names = tuple(block.name for block in problem.blocks if block.size)
    for block in problem.blocks:
        if not block.size:
            continue
        kinds = {
            "gradient": screen.analytic[block.window],
            "theta": problem.theta[block.window],
            "constant": np.ones(block.size),
        }
        columns = {kind: np.zeros(count) for kind in kinds}
        lines: dict[int, Array] = {}
        for j in range(count):
            weights = screen.weights(j, block)
            for kind, vector in kinds.items():
                columns[kind][j] = float(np.dot(weights, vector))
            if len(block.shape) >= 2 and not block.is_complex:
                product = (weights * kinds["gradient"]).reshape(block.shape)
                for axis in range(len(block.shape)):
                    others = tuple(k for k in range(len(block.shape)) if k != axis)
                    rows = lines.setdefault(axis, np.zeros((block.shape[axis], count)))
                    rows[:, j] = product.sum(axis=others)
        for kind, values in columns.items():
            sums[kind] = sums.get(kind, np.zeros(count)) + values
            yield kind, _SENTENCES[kind], (block.name,), values
        for axis, rows in lines.items():
            for position in range(rows.shape[0]):
                place = ["…"] * len(block.shape)
                place[axis] = str(position)
                where = f"{block.name}[{', '.join(place)}]".replace("…", ":")
                yield (
                    "slice",
                    f"only {where} is wrong: analytic = {{}} x numeric there",
                    (block.name,),
                    rows[position],
                )
    if len(names) > 1:
        for kind in ("gradient", "theta"):
            yield kind, _SENTENCES[kind], names, sums[kind]
        yield from _from_layer(screen, names, count)


def _from_layer(
    screen: Screen, names: tuple[str, ...], count: int
) -> Iterator[tuple[str, str, tuple[str, ...], Array]]:
    """Yield the gradient of all blocks up to one: an error that enters the backward pass there."""
    total = np.zeros(count)
    blocks = [block for block in screen.problem.blocks if block.size]
    for position, block in enumerate(blocks[:-1]):
        for j in range(count):
            total[j] += float(np.dot(screen.weights(j, block), screen.analytic[block.window]))
        if position:
            yield "gradient", _SENTENCES["gradient"], names[: position + 1], total.copy()


_SENTENCES = {
    "gradient": "analytic = {} x numeric, everywhere",
    "theta": "error = {} x the parameters: a term like weight decay is missing or too much",
    "constant": "error = {}, the same everywhere",
}


def simple(value: float) -> str:
    """Return a number as a small fraction where it is one, else with five digits."""
    for denominator in range(1, 13):
        if abs(value * denominator - round(value * denominator)) < 1e-5 * denominator:
            whole = round(value * denominator)
            return f"{whole}" if denominator == 1 else f"{whole}/{denominator}"
    return f"{value:.5g}"
