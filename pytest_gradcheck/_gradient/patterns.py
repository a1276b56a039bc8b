"""The patterns that bugs make, as sums over random directions: Σ p·vⱼ, at no evaluation.

A gradient in the wrong place is one of them: a square block transposed, two blocks exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

from .._constants import EXACT_PATTERN, MOST_PAIRS
from .._params.layout import Block, position_of
from .screen import Screen

Array = np.ndarray[Any, Any]


EXCHANGED = ("transposed", "rolled", "swapped")
"""Codes of patterns whose entries are right, and elsewhere: there is no number to fit."""


@dataclass(frozen=True)
class Pattern:
    """What a bug makes of the gradient in some blocks, summed over directions 0 … count − 1.

    `code` is "gradient", "theta", "sign-theta", "constant", "slice", or of `EXCHANGED`; `columns`,
    shape (count,), are Σ p·vⱼ; `place` is the axis and position of a slice, or along which axis
    and how far entries are rolled.
    """

    code: str
    names: tuple[str, ...]
    columns: Array
    place: tuple[int, int] | None = None

    def holds(self, amount: float) -> bool:
        """Return whether a fitted number is one that the pattern can have."""
        return self.code not in EXCHANGED or abs(amount - 1) < EXACT_PATTERN

    def same(self, other: Pattern) -> bool:
        """Return whether two patterns are one, whatever the number of directions."""
        return (self.code, self.names, self.place) == (other.code, other.names, other.place)

    def sentence(self, amount: float, rank: int) -> str:
        """Return what it looks like, with the fitted number; `rank` is the block's."""
        if self.code in ("gradient", "slice") and amount != 1:
            told = f"analytic = {simple(1 / (1 - amount))} x numeric"
            if self.place is None:
                return f"{told}, everywhere"
            index = [":"] * rank
            index[self.place[0]] = str(self.place[1])
            return f"{told} in [{', '.join(index)}] alone"
        if self.code == "theta":
            return f"error = {simple(amount)} x the parameters: weight decay missing or too much?"
        if self.code == "sign-theta":
            return (
                f"error = {simple(amount)} x the parameters' signs: an L1 penalty missing or "
                "too much?"
            )
        if self.code == "constant":
            return f"error = {simple(amount)}, the same everywhere"
        if self.code == "transposed":
            return "analytic = the transpose of numeric"
        if self.code == "rolled" and self.place is not None:
            return f"analytic = numeric rolled by {self.place[1]} along axis {self.place[0]}"
        if self.code == "swapped":
            return f"the analytic gradients of {self.names[0]} and {self.names[1]} are swapped"
        return "numeric is zero where analytic is not"


def patterns(screen: Screen, count: int) -> Iterator[Pattern]:
    """Yield what bugs make, for directions 0 … count − 1."""
    problem = screen.problem
    thetas = problem.evaluator.work.theta
    sums: dict[str, Array] = {}
    own: dict[tuple[str, str], Array] = {}
    names = tuple(block.name for block in problem.blocks if block.size)
    for block, theta in zip(problem.blocks, thetas, strict=True):
        if not block.size:
            continue
        signs = np.sign(theta)
        columns = {
            kind: np.zeros(count) for kind in ("gradient", "theta", "sign-theta", "constant")
        }
        slices: dict[int, Array] = {}
        for j in range(count):
            weights = screen.weights(j, block)
            columns["theta"][j] = float(np.dot(weights, theta))
            columns["sign-theta"][j] = float(np.dot(weights, signs))
            columns["constant"][j] = float(weights.sum())
            weights *= screen.analytic[block.window]
            columns["gradient"][j] = float(weights.sum())
            if len(block.shape) >= 2 and not block.is_complex:
                shaped = weights.reshape(block.shape)
                for axis, length in enumerate(block.shape):
                    others = tuple(k for k in range(len(block.shape)) if k != axis)
                    rows = slices.setdefault(axis, np.zeros((length, count)))
                    rows[:, j] = shaped.sum(axis=others)
        for kind, values in columns.items():
            sums[kind] = sums.get(kind, np.zeros(count)) + values
            own[kind, block.name] = values
            yield Pattern(kind, (block.name,), values)
        for axis, rows in slices.items():
            for position in range(rows.shape[0]):
                yield Pattern("slice", (block.name,), rows[position], (axis, position))
    if len(names) > 1:
        for kind in ("gradient", "theta"):
            yield Pattern(kind, names, sums[kind])
            matrices = tuple(
                block.name
                for block in problem.blocks
                if block.size and sum(length > 1 for length in block.shape) > 1
            )
            if 1 < len(matrices) < len(names):  # weight decay leaves biases alone
                columns_of = [own[kind, name] for name in matrices]
                yield Pattern(kind, matrices, np.sum(columns_of, axis=0))
        yield from _from_layer(names, [own["gradient", name] for name in names])


def _from_layer(names: tuple[str, ...], columns: Sequence[Array]) -> Iterator[Pattern]:
    """Yield the gradient of all blocks up to one: an error that enters the backward pass there."""
    total = columns[0].copy()
    for position in range(1, len(names) - 1):
        total += columns[position]
        yield Pattern("gradient", names[: position + 1], total.copy())


def simple(value: float) -> str:
    """Return a number as a small fraction where it is one, else with five digits."""
    for denominator in range(1, 13):
        if abs(value * denominator - round(value * denominator)) < 1e-5 * denominator:
            whole = round(value * denominator)
            return f"{whole}" if denominator == 1 else f"{whole}/{denominator}"
    return f"{value:.5g}"


def exchanges(screen: Screen, count: int) -> Iterator[Pattern]:
    """Yield what gradients in the wrong place make, for directions 0 … count − 1."""

    def pattern(code: str, *where: Block, place: tuple[int, int] | None = None) -> Pattern:
        made = Pattern(code, tuple(block.name for block in where), np.zeros(count), place)
        for block in where:
            error = errors_of(screen, made, block)
            made.columns[:] += [screen.weights(j, block) @ error for j in range(count)]
        return made

    blocks = [b for b in screen.problem.blocks if b.size > 1 and not b.is_complex]
    for block in blocks:
        if len(block.shape) == 2 and block.shape[0] == block.shape[1]:
            yield pattern("transposed", block)
    for block in blocks[:MOST_PAIRS]:
        for axis, k in product(range(len(block.shape)), (1, -1)):
            if block.shape[axis] > 2:
                yield pattern("rolled", block, place=(axis, k))
    shapes: dict[tuple[int, ...], list[Block]] = {}
    for block in blocks:
        shapes.setdefault(block.shape, []).append(block)
    pairs = [pair for alike in shapes.values() for pair in pairwise(alike)]
    for one, other in pairs[:MOST_PAIRS]:
        yield pattern("swapped", one, other)


def errors_of(screen: Screen, pattern: Pattern, block: Block) -> Array:
    """Return what the error of each entry of a block is proportional to, shape (size,)."""
    own: Array = screen.analytic[block.window]
    if pattern.code == "transposed":
        square = own.reshape(block.shape)
        return np.asarray(square - square.T).ravel()
    if pattern.code == "rolled" and pattern.place is not None:
        axis, k = pattern.place
        whole = own.reshape(block.shape)
        return np.asarray(whole - np.roll(whole, -k, axis)).ravel()
    if pattern.code == "swapped":
        name = next(name for name in pattern.names if name != block.name)
        other = next(b for b in screen.problem.blocks if b.name == name)
        return np.asarray(own - screen.analytic[other.window])
    if pattern.code not in ("theta", "sign-theta"):
        return own
    work = screen.problem.evaluator.work
    return work.theta[position_of(work.blocks, block.start)]


def entries_of(screen: Screen, pattern: Pattern, block: Block) -> Array:
    """Return the flat coordinates of a block that a pattern says are wrong."""
    every = np.arange(block.start, block.stop)
    if pattern.code == "constant":
        return every
    if pattern.place is not None and pattern.code != "rolled":
        axis, position = pattern.place
        every = np.take(every.reshape(block.shape), position, axis=axis).ravel()
    chosen: Array = every[errors_of(screen, pattern, block)[every - block.start] != 0]
    return chosen
