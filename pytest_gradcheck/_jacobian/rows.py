"""Rows of a Jacobian: each output judged as the engine judges a func of one number.

func is evaluated once for each perturbed point and returns all m outputs; that is remembered.
Output k is then a func of one number for the whole engine: its noise is measured, its differences
get their error bars, and its row of the Jacobian is judged with its own tolerances.  What that
costs is 2n evaluations, however many outputs there are, and some more:

* a parameter to which some output does not answer is moved once by more, to see that it is so;
* a ladder takes steps of one grid, so outputs that doubt the same parameter share its rungs;
* where more entries are in doubt than can be climbed for one by one, all are differenced once
  more at a smaller step, and what both steps deny plainly is accused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import product
from typing import Any

import numpy as np

from .._constants import (
    DEAD_STEP,
    LONGEST_CHAIN,
    MANY_SUSPICIOUS,
    MOST_ALONG,
    PLAIN,
    RATIO,
    ROUNDING_FACTOR,
    SUSPICIOUS,
)
from .._difference.noise import Noise
from .._difference.stencils import STENCILS
from .._difference.step_size import relative_step
from .._difference.sweep import Sweep, noise_of, sweep, value_size
from .._evaluate.evaluator import BudgetExhausted, Evaluator, Move
from .._evaluate.problem import Analytic, Problem
from .._gradient.worst_so_far import worst_so_far
from .._options import Options
from .._params.layout import labels, position_of
from .._verdict.comparison import Comparison
from .._verdict.judge import judge
from .._verdict.tolerance import Tolerance
from .outputs import Outputs

Array = np.ndarray[Any, Any]

Bias = Callable[[int, Callable[[int], Sweep]], Array]


class Points:
    """func's outputs at every point that was asked for, kept.

    `moves` are those of single coordinates, in order; the last one may be under way.  `left` is how
    many evaluations may still be spent on directions, which serve a single output; `empty`, shape
    (m, n), are entries that stand for no parameter, of which nothing more is asked than that they
    are zero.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.left = math.inf
        self.empty: Array | None = None
        self.moves: list[Move] = []
        self._kept: dict[Any, Array] = {}

    def evaluate(self, move: Move) -> Array:
        """Return the outputs at some points; shape (m, *move.values.shape)."""
        if move.shift is not None:
            return self._along(move.shift, move)
        key = _key(move)
        if key not in self._kept:
            evaluator = self.problem.evaluator
            self.moves.append(move)
            evaluator.progress.whole = len(move.values)
            found = evaluator.evaluate(move)
            evaluator.progress.whole = 0
            self._kept[key] = np.ascontiguousarray(np.moveaxis(found, -1, 0))
        return self._kept[key]

    def _along(self, shift: Array, move: Move) -> Array:
        keys = [(shift.tobytes(), step) for step in move.values.tolist()]
        new = [k for k, key in enumerate(keys) if key not in self._kept]
        if new:
            before = self.problem.evaluator.evaluations
            found = self.problem.evaluator.evaluate(replace(move, values=move.values[new]))
            self._kept.update(zip((keys[k] for k in new), found, strict=True))
            self.left -= self.problem.evaluator.evaluations - before
        if self.left < 0:
            raise BudgetExhausted
        return np.stack([self._kept[key] for key in keys], axis=1)

    def differences(self, found: Sequence[Any] | Array) -> tuple[Array, Array]:
        """Return the central differences that are known, shape (m, n), and their steps, (n,).

        `found` is what func returned so far in the last move; steps are 0 where none was taken.
        """
        m, n = self.problem.center.size, self.problem.size
        numeric, taken = np.full((m, n), np.nan), np.zeros(n)
        first = {move.position: move for move in reversed(self.moves)}
        for position, move in first.items():
            values = self._kept.get(_key(move))
            if values is None:
                k = len(found) // 2
                values = np.moveaxis(np.array(found[: 2 * k]).reshape(k, 2, m), -1, 0)
            span = (move.values[:, 0] - move.values[:, 1])[: values.shape[1]]
            which = self.problem.blocks[position].start + np.arange(span.size)
            with np.errstate(all="ignore"):
                numeric[:, which] = (values[:, :, 0] - values[:, :, 1]) / span
            taken[which] = span / 2
        return numeric, taken

    @cached_property
    def still(self) -> Array:
        """Which outputs do not answer to a large step of which parameter; (m, n), bool."""
        center, step = self.problem.center[:, None], DEAD_STEP * self.problem.scale
        with np.errstate(invalid="ignore"):
            flat = self.differences([])[0] == 0
        asked = flat.any(axis=0)
        found = np.zeros(flat.shape, dtype=bool)
        # What other outputs answer to is moved together: half of it, and the other half, for each
        # bit of its number.
        number = _apart(~flat)
        bits = int(number.max(initial=0)).bit_length()
        if 2 * bits < np.count_nonzero(asked):
            for bit, side in product(range(bits), (0, 1)):
                moved = (number >> bit & 1) == side
                found |= moved & (self.evaluate(Move(np.ones(1), shift=step * moved)) == center)
        left = np.flatnonzero((flat & ~found).any(axis=0))
        for position, block in enumerate(self.problem.blocks):
            which = left[(left >= block.start) & (left < block.stop)] - block.start
            if which.size:
                theta = self.problem.evaluator.work.theta[position][which]
                to = (theta + step[block.window][which]).astype(theta.dtype)[:, None]
                values = self.evaluate(Move(to, position, which.tolist()))[:, :, 0]
                found[:, block.start + which] = values == center
        return found

    def still_of(self, k: int, zero: Array) -> Array:
        """Return `still` of one output, where `zero` says which entries ask; shapes (n,)."""
        if self.empty is not None and not (zero & ~self.empty[k]).any():
            empty: Array = self.empty[k]
            return empty
        found: Array = self.still[k]
        return found


def _apart(answers: Array) -> Array:
    """Return numbers of the parameters, shape (n,), equal where one output answers to both.

    `answers` is (m, n), bool.  All are equal where outputs hang together in a long chain.
    """
    number = answers.any(axis=0) * np.arange(1, answers.shape[1] + 1)
    for _ in range(LONGEST_CHAIN):
        before = number
        of_output = (answers * number).max(axis=1, initial=0)
        number = (answers * of_output[:, None]).max(axis=0, initial=0)
        if (number == before).all():
            return np.unique(number, return_inverse=True)[1]
    return np.zeros_like(number)


def _key(move: Move) -> Any:
    return move.position, tuple(move.coordinates), move.values.tobytes()


class Row(Evaluator):
    """One output as the engine's func: a column of what func returned, which is kept."""

    def __init__(self, points: Points, number: int, narrow: int | None) -> None:
        runner = points.problem.evaluator
        super().__init__(points.problem.numeric, runner.work)
        self.kind, self.narrow, self.keeps = runner.kind, narrow, True
        self._points, self._number = points, number

    def evaluate(self, move: Move) -> Array:
        """Return this output at some points; shape of ``move.values``."""
        found: Array = self._points.evaluate(move)[self._number]
        return found


def row_of(points: Points, outputs: Outputs, k: int) -> Problem:
    """Return output k as the engine's problem."""
    problem = points.problem
    # What a func returns beside its outputs comes behind them, in the same layout.
    which = position_of(outputs.blocks, k % outputs.size)
    row = replace(
        problem,
        evaluator=Row(points, k, problem.evaluator.narrow[which]),
        center=problem.center[k],
        jitter=float(problem.jitter[k]),
    )
    # What is made of the parameters alone is made once for all outputs.
    vars(row).update(theta=problem.theta, scale=problem.scale, scaling=problem.scaling)
    return row


@dataclass(frozen=True)
class Rows:
    """Every row judged: a sweep, a comparison and the noise of each output."""

    sweeps: list[Sweep]
    found: list[Comparison]
    noise: list[Noise]


def judged_rows(
    points: Points,
    outputs: Outputs,
    analytic: Sequence[Analytic],
    options: Options,
    bias: Bias,
) -> Rows:
    """Judge the rows of a Jacobian.

    `bias` takes an output's number, and a function from a number to that output's sweep; it
    returns by how much analytic and numeric may differ beside tolerance and error bar, shape (n,).
    """
    problems = [row_of(points, outputs, k) for k in range(points.problem.center.size)]
    noise = [noise_of(problem, options) for problem in problems]
    points.left = MOST_ALONG
    sizes = [value_size(problem, a.vector) for problem, a in zip(problems, analytic, strict=False)]
    row = STENCILS["central"]
    steps = [relative_step(row, one.sigma, size) for one, size in zip(noise, sizes, strict=False)]
    relative = math.exp(float(np.median(np.log(steps))))
    _announce(points, outputs, problems, analytic, noise)

    def difference(k: int, part: float = 1.0) -> Sweep:
        return sweep(problems[k], row, noise[k], options, 0.0, relative=relative * part)

    swept = cache(difference)
    found = Rows([], [], noise[: len(analytic)])
    suspicious = 0
    for k, own in enumerate(analytic):
        first = swept(k)
        own = replace(own, jitter=own.jitter + bias(k, swept))
        with np.errstate(all="ignore"):
            gap = np.abs(own.vector - first.numeric)
            size = np.fmax(np.abs(own.vector), np.abs(first.numeric))
            suspicious += int(np.count_nonzero(gap > SUSPICIOUS * size + 3 * first.error))
        denied = None
        if suspicious > MANY_SUSPICIOUS:
            with suppress(BudgetExhausted):
                denied = partial(_denied, first, difference(k, RATIO**-2), own.vector)
        zero = first.flat & (own.vector == 0)
        if zero.any():
            with suppress(BudgetExhausted):
                first = replace(first, still=points.still_of(k, zero))
        found.found.append(judge(problems[k], own, first, options, denied))
        found.sweeps.append(first)
    return found


def _announce(
    points: Points,
    outputs: Outputs,
    rows: Sequence[Problem],
    analytic: Sequence[Analytic],
    noise: Sequence[Noise],
) -> None:
    """Tell whoever listens to the check what there is to come, and which entry stands out."""
    problem, progress = points.problem, points.problem.evaluator.progress
    of_output, of_param, n = labels(outputs.blocks), labels(problem.blocks), problem.size
    gain = ROUNDING_FACTOR * STENCILS["central"].noise_gain
    sigma = np.array([one.sigma for one in noise[: len(analytic)]])

    def so_far(found: Sequence[Any] | Array) -> tuple[Array, Array, Array]:
        numeric, taken = points.differences(found)
        for k, row in enumerate(rows[: len(analytic)]):
            known = row.evaluator.progress.numeric
            numeric[k] = numeric[k] if known is None else known
        every = np.arange(len(analytic) * n).reshape(-1, n)
        place = every[:, taken > 0].ravel()
        return place, numeric.ravel()[place], gain * sigma[place // n] / taken[place % n]

    progress.plan(2 * n, so_far)
    progress.accused = lambda: {
        k * n + i: value
        for k, row in enumerate(rows)
        for i, value in row.evaluator.progress.accused().items()
    }
    progress.worst = partial(
        worst_so_far,
        progress,
        np.concatenate([a.vector for a in analytic]),
        lambda j: f"{of_output(j // n)} / {of_param(j % n)}",
    )


def _denied(one: Sweep, other: Sweep, a: Array, limits: Tolerance) -> Array:
    """Return where two steps agree with each other, and both plainly not with the analytic value.

    The smaller step stands for the sentinel of a ladder: fine structure would show between them.
    """
    with np.errstate(all="ignore"):
        gap = np.minimum(np.abs(a - one.numeric), np.abs(a - other.numeric))
        near = np.abs(one.numeric - other.numeric) <= PLAIN * gap
        allowed = limits.allowed(one.numeric, np.maximum(one.error, other.error))
        plain: Array = near & (gap > allowed / PLAIN) & ~one.bent & ~other.bent
    return plain
