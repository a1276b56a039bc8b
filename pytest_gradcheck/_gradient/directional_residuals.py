"""Checking all parameters at once, along random directions.

Along v two evaluations give y(v) = a·v − (J(θ + hv) − J(θ − hv))/2h = e·v + noise, with e the
error of the analytic gradient a.  The weights of v are regenerated from the seed whenever they
are needed and never kept: memory is a few vectors, whatever the number of directions.

The step of a direction and the noise of its residual are measured along one; a residual that
stands out is examined as a function of one variable before anything is accused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from .._constants import (
    ACCUSED,
    ACCUSED_TOGETHER,
    CALIBRATION_DOWN,
    CONFIDENCE,
    EACH_ALONE,
    FARTHEST_ALONG,
    LEAST_ALONG,
    LONG_LADDER,
    MARGINAL_STEPS,
    NARROW,
    PROVEN,
    PROVEN_NARROW,
    RATIO,
    SAFETY,
    SCREENED,
)
from .._difference.every_coordinate import line_along, noise_of, value_size
from .._difference.noise_and_extrapolation import Line, Noise
from .._difference.stencils_and_steps import (
    STENCILS,
    Stream,
    fill_with_weights,
    generator,
    relative_step,
)
from .._difference.step_search_and_kinks import Policy, climb, enter, fall, rise
from .._evaluate.problem import Analytic, Problem
from .._options import Options
from .._params.arrays_and_structure import Array, chunks
from .._params.layout import Block, position_of
from .._verdict.further_steps import refine
from .._verdict.tolerance_and_comparison import AGREE, DISAGREE, OPEN, Answer, Tolerance


@dataclass
class Screen:
    """Directions that were measured, and how well.

    `step` is h in parts of the parameters' scales, `single` the first step of one coordinate in
    parts of its own; `sigma` the standard deviation of a residual; `residuals` are y over all
    parameters, by number of direction. `wrong` has the parameters found wrong, with their errors,
    which `unexplained` takes out.
    """

    problem: Problem
    analytic: Array
    seed: int
    noise: Noise
    step: float = 0.0
    sigma: float = math.inf
    residuals: dict[int, float] = field(default_factory=dict)
    wrong: dict[int, float] = field(default_factory=dict)
    single: float = 0.0

    @cached_property
    def whole(self) -> Array | None:
        """The spread of all coordinates, shape (n,), where there are many blocks; else None."""
        # One vector more, and one stream of weights for all blocks in place of one for each: what
        # is done for a block takes as long as for a thousand coordinates.
        few = np.count_nonzero(self.problem.counts) <= EACH_ALONE
        return None if few else self.problem.scales(along=True)

    @cached_property
    def by_name(self) -> dict[str, Block]:
        """The blocks by their names."""
        return {block.name: block for block in self.problem.blocks}

    def drawing(self, number: int, block: Block, start: int = 0) -> tuple[np.random.Generator, int]:
        """Return what draws a direction's weights from `start` in a block on, behind a few."""
        home, offset = (0, block.start + start) if self.whole is not None else (block.start, start)
        rng = generator(self.seed, Stream.SCREEN, number, home, skip=offset // 4)
        return rng, offset % 4

    def columns(self, numbers: Sequence[int], block: Block) -> Iterator[tuple[slice, list[Array]]]:
        """Yield parts of a block, each with several directions' weights in it, side by side."""
        # They are ±uniform[½, 3/2], times the scale.
        drawing = []
        for number in numbers:
            rng, before = self.drawing(number, block)
            fill_with_weights(np.empty(before), rng)
            drawing.append(rng)
        for part in chunks(block.size):
            spread = self.spread(block, part)
            drawn = [np.empty(spread.size) for _ in drawing]
            for weights, rng in zip(drawn, drawing, strict=True):
                fill_with_weights(weights, rng)
                weights *= spread
            yield part, drawn

    def spread(self, block: Block, part: slice) -> Array:
        """Return by how much coordinates of a block move along a direction; a new array."""
        if self.whole is not None:
            own: Array = self.whole[block.window][part].copy()
        else:
            position = position_of(self.problem.blocks, block.start)
            own = self.problem.scale_of(position, part, along=True)
        return own

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

    def sizes(self) -> Array:
        """Return `size` of every block, 0 of an empty one; of many, all at once."""
        found = np.zeros(len(self.problem.blocks))
        if self.whole is None:
            found[:] = [*map(self.size, self.problem.blocks)]
            return found
        filled = self.problem.counts > 0
        counts = self.problem.counts[filled]
        starts = np.cumsum(counts) - counts
        with np.errstate(over="ignore"):
            product = (self.analytic * self.whole).astype(np.float64, copy=False)
        np.abs(product, out=product)
        product[~np.isfinite(product)] = 0.0
        largest = np.maximum.reduceat(product, starts)
        product /= np.repeat(np.where(largest > 0, largest, 1.0), counts)
        product *= product
        found[filled] = largest * np.sqrt(np.add.reduceat(product, starts) / counts)
        return found

    def shift(self, number: int, subset: Subset | None = None) -> Array:
        """Return a direction over all parameters, zero outside `subset`."""
        if self.whole is not None and (subset is None or subset.inside is None):
            return self._of_many(number, None if subset is None else subset.blocks)
        vector = (np.empty if subset is None else np.zeros)(self.problem.size)
        for block in self.problem.blocks if subset is None else subset.blocks:
            inside = None if subset is None or subset.inside is None else subset.within
            self._fill(vector[block.window], number, block, inside)
        return vector

    def shift_in(self, number: int, block: Block) -> Array:
        """Return what a direction is in one block, with no vector of all parameters."""
        if self.whole is not None:
            return self._of_many(number, (block,))[block.window]
        own: Array = np.empty(block.size)
        self._fill(own, number, block)
        return own

    def _fill(
        self,
        own: Array,
        number: int,
        block: Block,
        within: Callable[[slice], Array] | None = None,
    ) -> None:
        """Write a direction's weights to `own`, a block's, or to the offsets `within` its parts."""
        for part, (weights,) in self.columns((number,), block):
            if within is None:
                own[part] = weights
            else:
                inside = within(part)
                own[inside] = weights[inside - part.start]

    def _of_many(self, number: int, blocks: Sequence[Block] | None) -> Array:
        """Return a direction over all parameters, or zero outside some blocks."""
        assert self.whole is not None
        vector: Array = np.empty(self.problem.size)
        rng = generator(self.seed, Stream.SCREEN, number, 0)
        for part in chunks(vector.size):
            fill_with_weights(vector[part], rng)
            vector[part] *= self.whole[part]
        if blocks is None or len(blocks) == len(self.problem.blocks):
            return vector
        inside = np.zeros_like(vector)
        for block in blocks:
            inside[block.window] = vector[block.window]
        return inside

    def measure(self, number: int, subset: Subset | None = None) -> float:
        """Return the residual along a direction, at two evaluations."""
        residual = self.residual(self.shift(number, subset))
        if subset is None:
            self.residuals[number] = residual
        return residual

    def residual(self, vector: Array) -> float:
        """Return by how much the analytic slope along a vector, shape (n,), is above func's."""
        told = float(np.dot(self.analytic, vector))
        up, down = self.problem.evaluator.along(vector, (self.step, -self.step))
        return told - float((up - down) / (2 * self.step))

    def line(self, vector: Array) -> Line:
        """Return func along a direction as a function of one variable."""
        return line_along(self.problem, vector, self.noise)

    def explained(self, number: int, subset: Subset | None = None) -> float:
        """Return the part of a residual that the wrong parameters found so far account for."""
        total = 0.0
        for i, error in self.wrong.items():
            block = self.problem.blocks[position_of(self.problem.blocks, i)]
            if subset is None or subset.has(i):
                total += error * self.weight(number, block, i - block.start)
        return total

    def weight(self, number: int, block: Block, offset: int) -> float:
        """Return one weight of a direction, at a cost that does not depend on where it is."""
        rng, before = self.drawing(number, block, offset)
        few = np.empty(before + 1)
        fill_with_weights(few, rng)
        return float(few[-1] * self.spread(block, slice(offset, offset + 1))[0])

    def unexplained(self, numbers: Iterable[int]) -> dict[int, float]:
        """Return the residuals without what is known already."""
        return {j: self.residuals[j] - self.explained(j) for j in numbers}


@dataclass(frozen=True)
class Subset:
    """Some coordinates: whole blocks, or of one block those at the offsets `inside`, in order."""

    blocks: Sequence[Block]
    inside: Array | None = None

    @property
    def size(self) -> int:
        """How many coordinates."""
        if self.inside is not None:
            return int(self.inside.size)
        return sum(block.size for block in self.blocks)

    def as_one(self) -> Subset:
        """Return these as coordinates of one block that holds all up to the last of them."""
        if len(self.blocks) < 2:
            return self
        stop = max(block.stop for block in self.blocks)
        inside = np.concatenate([np.arange(block.start, block.stop) for block in self.blocks])
        whole = replace(self.blocks[0], shape=(stop,), is_complex=False, start=0, stop=stop)
        return Subset((whole,), inside)

    def within(self, part: slice) -> Array:
        """Return which of the block's coordinates in a part are among these."""
        if self.inside is None:
            return np.arange(part.start, part.stop)
        # Of another type, they would have all coordinates copied into it.
        ends = np.array((part.start, part.stop), self.inside.dtype)
        first, last = np.searchsorted(self.inside, ends)
        return self.inside[first:last]

    def has(self, i: int) -> bool:
        """Return whether a coordinate of the flat vector is among these."""
        position = position_of(self.blocks, i)
        if position < 0 or i >= self.blocks[position].stop:
            return False
        offset = i - self.blocks[position].start
        return bool(self.within(slice(offset, offset + 1)).size)


def calibrate(problem: Problem, analytic: Analytic, options: Options) -> Screen:
    """Choose the step along directions, learn how noisy their residuals are, and measure the first.

    From the step that balances rounding against the truncation of an average func, go to larger
    ones until truncation shows above the noise, then stay one below.
    """
    # Of a million parameters every vector counts.
    noise = replace(noise_of(problem, options), direction=None)
    screen = Screen(problem, analytic.vector, options.seed, noise)
    row = STENCILS["central"]
    first = relative_step(row, noise.sigma, value_size(problem, analytic.vector))
    screen.single = first
    vector = screen.shift(0)
    told = float(np.dot(analytic.vector, vector))
    line = screen.line(vector)
    climb(line, _until_truncation_shows(line, first))
    if len(line.series("both")) < 2:
        return screen  # func is finite at no step: σ stays infinite, and nothing is resolved
    screen.step, screen.sigma, slope = _best_rung(line)
    screen.residuals[0] = told - slope
    return screen


def _until_truncation_shows(line: Line, first: float) -> Policy[None]:
    yield from enter(line, first, LEAST_ALONG)
    step = line.rungs[-1].h
    yield step / RATIO

    def differ(pair: slice) -> bool:
        (_, one, loud), (_, other, louder) = line.series("both")[pair]
        return abs(one - other) > ACCUSED * (loud + louder)

    def further(step: float) -> bool:
        inside = step < 2 * RATIO * line.series("both")[0][0]
        return step <= FARTHEST_ALONG and inside and not differ(slice(2))

    if len(line.series("both")) < 2:
        return
    # Down where there are kinks within the step, or a fast oscillation.
    yield from fall(line, CALIBRATION_DOWN - len(line.rungs), lambda _: differ(slice(-2, None)))
    yield from rise(line, step * RATIO, LONG_LADDER - len(line.rungs), further)


def _best_rung(line: Line) -> tuple[float, float, float]:
    """Return the step, the σ of a difference at it, and the difference, of the best rung."""
    series = line.series("both")
    found = []
    for k, (h, slope, rounding) in enumerate(series):
        # What truncation is at this step, by the one above it; at the largest, all they differ by.
        beside = series[k - 1 if k else 1][1]
        observed = abs(beside - slope) / (RATIO**2 - 1 if k else 1.0)
        finer = [abs(slope - s) - 2 * (rounding + r) for _, s, r in series[k + 1 :]]
        found.append((h, SAFETY * math.hypot(rounding, max([observed, *finer])), slope))
    return min(found, key=lambda rung: rung[1])


def screen_all(screen: Screen, allowed: float) -> bool:
    """Measure the directions of a screen; return whether any residual is larger than is allowed."""
    # `allowed` is what the tolerances of the parameters add up to along a direction.
    for number in range(1, SCREENED):
        screen.measure(number)
    # Kinks leave small steps, so much noise that an error shows in all directions or in none.
    together = screen.sigma if screen.step < screen.single else 0.0
    return stand_out(screen.residuals.values(), allowed + ACCUSED * screen.sigma, together)


def stand_out(residuals: Collection[float], limit: float, sigma: float = 0.0) -> bool:
    """Return whether a residual is above the limit, or with σ all of them together above theirs."""
    if max(map(abs, residuals)) > limit:
        return True
    mean = math.sqrt(sum(y * y for y in residuals) / len(residuals))
    return sigma > 0 and mean > limit - (ACCUSED - ACCUSED_TOGETHER) * sigma


def reexamine(screen: Screen, allowed: float) -> Answer:
    """Ask the direction with the largest residual again, as one coordinate would be."""
    number = max(screen.residuals, key=lambda j: abs(screen.residuals[j]))
    vector = screen.shift(number)
    told = float(np.dot(screen.analytic, vector))
    goal = allowed + ACCUSED * screen.sigma
    question = Tolerance(told, atol=allowed, goal_atol=goal)
    line = screen.line(vector)
    answer = refine(line, question, screen.step, 1.0, LEAST_ALONG)
    proven = CONFIDENCE * (PROVEN if screen.noise.unit < NARROW else PROVEN_NARROW)

    def clear(answer: Answer) -> bool:
        return abs(told - answer.value) > allowed + proven * answer.error

    if answer.verdict == DISAGREE:
        answer = climb(line, _until_clear(line, question, answer, clear))
        if clear(answer):
            return answer
    return replace(answer, verdict=AGREE if answer.verdict == AGREE else OPEN)


def excuse(screen: Screen, answer: Answer) -> None:
    """Take the step for too large along the direction that stands out: σ is what it shows."""
    worst = max(map(abs, screen.residuals.values()))
    screen.sigma = max(screen.sigma, worst / ACCUSED, answer.error / ACCUSED)


def _until_clear(
    line: Line, question: Tolerance, answer: Answer, clear: Callable[[Answer], bool]
) -> Policy[Answer]:
    """Take larger steps while an error is wrong by the measure of one coordinate, but marginally.

    They have less rounding, and what they have of truncation is extrapolated.
    """
    for _ in range(MARGINAL_STEPS):
        step = line.rungs[0].h * RATIO
        if clear(answer) or step > FARTHEST_ALONG:
            break
        yield step
        better = line.estimate()
        if not math.isfinite(line.rungs[0].central):
            break
        if not question.within(*better.known):
            answer = Answer(*better.known, DISAGREE)
    return answer
