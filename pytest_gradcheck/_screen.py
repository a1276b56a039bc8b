"""Checking all parameters at once, along random directions.

Along v two evaluations give y(v) = a·v − (J(θ + hv) − J(θ − hv))/2h = e·v + noise, with e the
error of the analytic gradient a.  The weights of v are regenerated from the seed whenever they
are needed and never kept: memory is a few vectors, whatever the number of directions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._blocks import Block, position_of
from ._ladder import Line
from ._noise import Noise
from ._probes import chunks, fill_with_weights, generator
from ._problem import Problem
from ._steps import middle

Array = np.ndarray[Any, Any]

SMALLEST_PART = 0.5
"""Along a direction a parameter moves at least as one of this part of its block's median would,
or errors of the small ones would hardly be seen."""


@dataclass
class Screen:
    """Directions that were measured, and how well.

    Attributes
    ----------
    problem : Problem
    analytic : ndarray, shape (n,)
    seed : int
    noise : Noise
    step : float
        h, in parts of the parameters' scales.
    sigma : float
        Standard deviation of a residual.
    residuals : dict of int to float
        y of each direction over all parameters, by number.
    truth : dict of int to float
        Parameters that were found wrong, with the error of each, which `clean` takes out.
    floors : dict of int to float
        By a block's start, the least that a coordinate of it moves by.
    single : float
        The first step of one coordinate, in parts of its scale.
    """

    problem: Problem
    analytic: Array
    seed: int
    noise: Noise
    step: float = 0.0
    sigma: float = math.inf
    residuals: dict[int, float] = field(default_factory=dict)
    truth: dict[int, float] = field(default_factory=dict)
    floors: dict[int, float] = field(default_factory=dict)
    single: float = 0.0

    def weights(self, number: int, block: Block) -> Array:
        """Return the weights of direction `number` in a block: ±uniform[½, 3/2], times the scale.

        Parameters
        ----------
        number : int
        block : Block

        Returns
        -------
        ndarray, shape (block.size,)
        """
        drawn: Array = np.empty(block.size)
        for part, (weights,) in self.columns((number,), block):
            drawn[part] = weights
        return drawn

    def columns(self, numbers: Sequence[int], block: Block) -> Iterator[tuple[slice, list[Array]]]:
        """Yield the weights of several directions in a block, side by side, part by part.

        Parameters
        ----------
        numbers : sequence of int
            Of the directions.
        block : Block

        Yields
        ------
        part : slice
            Of the block.
        weights : list of ndarray, shape (part,)
            One for each direction.
        """
        drawing = [generator(self.seed, 5, number, block.start) for number in numbers]
        for part in chunks(block.size):
            spread = self.spread(block, part)
            drawn = [np.empty(spread.size) for _ in drawing]
            for weights, rng in zip(drawn, drawing, strict=True):
                fill_with_weights(weights, rng)
                weights *= spread
            yield part, drawn

    def spread(self, block: Block, part: slice) -> Array:
        """Return by how much coordinates of a block move along a direction; a new array."""
        position = position_of(self.problem.blocks, block.start)
        scale: Array = self.problem.scale_of(position, part)
        np.maximum(scale, self.floor(block), out=scale)
        return scale

    def floor(self, block: Block) -> float:
        """Return the least that a coordinate of a block moves by."""
        if block.start not in self.floors:
            position = position_of(self.problem.blocks, block.start)
            every = self.problem.scale_of(position, slice(None))
            self.floors[block.start] = SMALLEST_PART * middle(every) if every.size else 0.0
        return self.floors[block.start]

    def size(self, block: Block) -> float:
        """Return the root mean square of gradient times spread: the gradient as one number."""
        total, largest = 0.0, 0.0
        for unit in (None, 1.0):  # largest first: squares of what is divided by it can't overflow
            for part in chunks(block.size):
                with np.errstate(over="ignore"):
                    product = self.analytic[block.window][part] * self.spread(block, part)
                product[~np.isfinite(product)] = 0.0
                if unit is None:
                    largest = max(largest, float(np.abs(product).max()))
                else:
                    product /= largest
                    total += float(np.dot(product, product))
            if largest == 0.0:
                return 0.0
        return largest * math.sqrt(total / block.size)

    def shift(self, number: int, subset: Subset | None = None) -> Array:
        """Return a direction over all parameters, zero outside `subset`."""
        vector = (np.empty if subset is None else np.zeros)(self.problem.size)
        for block in self.problem.blocks if subset is None else subset.blocks:
            own = vector[block.window]
            for part, (weights,) in self.columns((number,), block):
                if subset is None or subset.inside is None:
                    own[part] = weights
                else:
                    inside = subset.within(part)
                    own[inside] = weights[inside - part.start]
        return vector

    def measure(self, number: int, subset: Subset | None = None) -> float:
        """Return the residual along a direction, at two evaluations."""
        vector = self.shift(number, subset)
        told = float(np.dot(self.analytic, vector))
        up, down = self.problem.evaluator.along(vector, (self.step, -self.step))
        residual = told - float((up - down) / (2 * self.step))
        if subset is None:
            self.residuals[number] = residual
        return residual

    def line(self, vector: Array) -> Line:
        """Return func along a direction as a function of one variable."""

        def evaluate(steps: Sequence[float]) -> tuple[Sequence[float], Sequence[Any]]:
            return steps, tuple(self.problem.evaluator.along(vector, steps))

        return Line(evaluate, self.problem.center, self.noise)

    def explained(self, number: int, subset: Subset | None = None) -> float:
        """Return the part of a residual that the wrong parameters found so far account for."""
        total = 0.0
        for i, error in self.truth.items():
            block = self.problem.blocks[position_of(self.problem.blocks, i)]
            if subset is None or (block in subset.blocks and subset.holds(i - block.start)):
                total += error * self.weight(number, block, i - block.start)
        return total

    def weight(self, number: int, block: Block, offset: int) -> float:
        """Return one entry of `weights`, at a cost that does not depend on where it is."""
        few = np.empty(offset % 4 + 1)
        fill_with_weights(few, generator(self.seed, 5, number, block.start, skip=offset // 4))
        return float(few[-1] * self.spread(block, slice(offset, offset + 1))[0])

    def clean(self, numbers: Iterable[int]) -> dict[int, float]:
        """Return the residuals without what is known already."""
        return {j: self.residuals[j] - self.explained(j) for j in numbers}


@dataclass(frozen=True)
class Subset:
    """Some coordinates: whole blocks, or some of one block.

    Parameters
    ----------
    blocks : tuple of Block
    inside : ndarray of int, optional
        Offsets in the one block, in order; unset: all of every block.
    """

    blocks: tuple[Block, ...]
    inside: Array | None = None

    @property
    def size(self) -> int:
        """How many coordinates."""
        if self.inside is not None:
            return int(self.inside.size)
        return sum(block.size for block in self.blocks)

    def within(self, part: slice) -> Array:
        """Return which of the block's coordinates in a part are among these."""
        if self.inside is None:
            return np.arange(part.start, part.stop)
        first, last = np.searchsorted(self.inside, (part.start, part.stop))
        return self.inside[first:last]

    def holds(self, offset: int) -> bool:
        """Return whether a coordinate of the block is among these."""
        return bool(self.within(slice(offset, offset + 1)).size)
