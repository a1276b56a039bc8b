"""A Jacobian: every output judged as a func of its own, on evaluations that all outputs share.

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
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from . import _coordinates as coordinates
from ._blocks import position_of
from ._compare import Tolerance
from ._coordinates import Sweep
from ._differences import BudgetExhausted, Evaluator
from ._judge import DEAD_STEP, judge
from ._ladder import RATIO
from ._names import brief
from ._noise import Noise
from ._options import Options
from ._outputs import Capture
from ._problem import REPEATS_WITHIN, Analytic, Problem
from ._question import CONFIDENCE
from ._stencils import STENCILS
from ._steps import relative_step

Array = np.ndarray[Any, Any]

Bias = Callable[[int, Callable[[int], Sweep]], Array]

MANY = 300
"""Suspicious entries beyond which a second step accuses what is plainly wrong."""

MOST_DIRECTIONS = 4200
"""Evaluations along directions of a single output's, in one check: what would be learnt beyond is
about entries that are small beside their row."""

PLAIN = 0.05
"""Two steps that differ by at most this part of the gap, which is more than what is allowed over
this, need no ladder to be believed."""

SUSPICIOUS = 1e-6
"""Analytic and numeric that differ by this part are looked at again."""


class Shared:
    """func's outputs at every point that was asked for, kept.

    Parameters
    ----------
    problem : Problem
        Of the engine, whose func is `capture`.
    capture : Capture
    allowed : float
        By how much outputs may differ between two calls (``nondet_tol``).

    Attributes
    ----------
    center, jitter : ndarray, shape (m,)
        The outputs at the parameters, and by how much two calls of func differ.
    dtypes : tuple of numpy.dtype
        Of each block of outputs.
    directions : int
        Evaluations so far along directions that served a single output.
    """

    def __init__(self, problem: Problem, capture: Capture, allowed: float = 0.0) -> None:
        self.problem, self.capture, self.allowed = problem, capture, allowed
        self.runner = problem.evaluator
        self.directions = 0
        self._swept: dict[tuple[int, tuple[int, ...], bytes], Array] = {}
        self._along: dict[tuple[bytes, float], Array] = {}
        self._still: Array | None = None
        self.runner.at_theta()
        self.center = first = _required(capture.last)
        self.dtypes = capture.dtypes
        self.runner.at_theta()
        self.jitter = np.abs(first - _required(capture.last)).astype(np.float64)

    def unrepeated(self) -> str:
        """Return the sentence that names an output that differs between two calls, or nothing."""
        for block in self.capture.outputs.blocks:
            gap, own = self.jitter[block.window], np.abs(self.center[block.window])
            bad = gap > self.allowed + REPEATS_WITHIN * np.max(own, initial=0.0)
            if bad.any():
                k = int(np.argmax(gap))
                return (
                    f"func does not repeat itself: {brief(block.label(k))} differs by {gap[k]:.3g} "
                    "between two calls at the same parameters (dropout, shuffling or an unseeded "
                    "generator?)"
                )
        return ""

    def _now(self) -> Array:
        found = self.capture.last
        return np.full(self.center.size, np.nan) if found is None else found

    def sweep(self, position: int, offsets: Sequence[int], values: Array) -> Array:
        """Return the outputs with single coordinates changed: shape (m, *values.shape)."""
        key = position, tuple(offsets), values.tobytes()
        if key not in self._swept:
            found = np.empty((self.center.size, *values.shape), self.center.dtype)
            for row, offset in enumerate(offsets):
                for column in range(values.shape[1]):
                    self.runner.sweep(position, [offset], values[row : row + 1, column, None])
                    found[:, row, column] = self._now()
            self._swept[key] = found
        return self._swept[key]

    def along(self, shift: Array, step: float) -> Array:
        """Return the outputs along a direction; shape (m,)."""
        key = shift.tobytes(), step
        if key not in self._along:
            self.runner.along(shift, (step,))
            self._along[key] = self._now()
        return self._along[key]

    def still(self) -> Array:
        """Return which outputs do not answer to a large step of which parameter; (m, n), bool."""
        if self._still is None:
            parts = []
            for position, block in enumerate(self.problem.blocks):
                theta = self.runner.work.theta[position]
                step = DEAD_STEP * self.problem.scale[block.window]
                to = (theta + step).astype(theta.dtype)[:, None]
                parts.append(self.sweep(position, range(block.size), to)[:, :, 0])
            self._still = np.concatenate(parts, axis=1) == self.center[:, None]
        return self._still


def _required(vector: Array | None) -> Array:
    assert vector is not None  # the call before returned
    return vector


class Row(Evaluator):
    """One output as the engine's func: looks its values up among all.

    Parameters
    ----------
    shared : Shared
    number : int
        Which output.
    dtype : numpy.dtype
        Its type.
    """

    def __init__(self, shared: Shared, number: int, dtype: np.dtype[Any]) -> None:
        super().__init__(shared.runner.call, shared.runner.work)
        self.kind = shared.center.dtype.type
        self.narrow = np.finfo(dtype).nmant + 1 if dtype.itemsize < 8 else None
        self.first: Sweep | None = None
        self._from, self._number = shared, number
        self._grid: dict[int, set[int]] = {}

    def sweep(self, position: int, coordinates: Sequence[int], values: Array) -> Array:
        """Return this output with single coordinates of a block changed; shape of `values`."""
        found: Array = self._from.sweep(position, coordinates, values)[self._number]
        return found

    def along(self, shift: Array, steps: Sequence[float]) -> Array:
        """Return this output along a direction; shape (k,)."""
        found = []
        for step in steps:
            before = self._from.runner.evaluations
            found.append(self._from.along(shift, step)[self._number])
            if self.first is not None:
                self._from.directions += self._from.runner.evaluations - before
        if self._from.directions > MOST_DIRECTIONS:
            raise BudgetExhausted
        return np.array(found, dtype=self.kind)

    def shared(self, position: int, offset: int, steps: Sequence[float]) -> Sequence[float]:
        """Move a ladder's step onto the grid of its coordinate, but no two onto one of it."""
        block = self._from.problem.blocks[position]
        i = block.start + offset
        if self.first is None or len(steps) != 2 or not self.first.step[i] > 0:
            return steps
        base, theta = float(self.first.step[i]), self.work.theta[position][offset]
        taken = self._grid.setdefault(i, {0})
        number = round(math.log(abs(steps[0]) / base) / math.log(RATIO))
        h = base * RATIO**number
        if number in taken or h < 16.0 * float(np.spacing(np.abs(theta))):
            return steps
        taken.add(number)
        return (h, -h)


@dataclass(frozen=True)
class Rows:
    """Every row judged: arrays of shape (m, n), unless said otherwise.

    Attributes
    ----------
    sweeps : list of Sweep
        One for each output.
    limits : list of Tolerance
    noise : list of Noise
    """

    sweeps: list[Sweep]
    limits: list[Tolerance]
    noise: list[Noise]

    def stacked(self, take: Callable[[Sweep], Array]) -> Array:
        """Return a vector of each row, stacked."""
        return np.stack([take(sweep) for sweep in self.sweeps])


def judged_rows(
    shared: Shared,
    rows: Sequence[int],
    analytic: Sequence[Analytic],
    options: Options,
    bias: Bias | None = None,
) -> Rows:
    """Judge the rows of a Jacobian.

    Parameters
    ----------
    shared : Shared
    rows : sequence of int
        Which outputs.
    analytic : sequence of Analytic
        The row of each.
    options : Options
    bias : callable, optional
        Takes an output's number, and a function from a number to that output's sweep; returns by
        how much analytic and numeric may differ beside tolerance and error bar, shape (n,).

    Returns
    -------
    Rows
    """
    problems = {k: _problem(shared, k) for k in range(shared.center.size)}
    noise = {k: coordinates.noise_of(problem, options) for k, problem in problems.items()}
    sizes = {
        k: coordinates.value_size(problems[k], a.vector)
        for k, a in zip(rows, analytic, strict=True)
    }
    row = STENCILS["central"]
    steps = [relative_step(row, noise[k].sigma, sizes[k]) for k in rows]
    relative = math.exp(float(np.median(np.log(steps))))

    def sweep(k: int, part: float = 1.0) -> Sweep:
        size = sizes.get(k, 0.0)
        return coordinates.sweep(
            problems[k], row, noise[k], options, size, relative=relative * part
        )

    sweeps: dict[int, Sweep] = {}

    def swept(k: int) -> Sweep:
        if k not in sweeps:
            sweeps[k] = sweep(k)
        return sweeps[k]

    found = Rows([], [], [])
    suspicious = 0
    for k, own in zip(rows, analytic, strict=True):
        first = swept(k)
        runner = problems[k].evaluator
        assert isinstance(runner, Row)
        runner.first = first
        if bias is not None:
            own = replace(own, jitter=own.jitter + bias(k, swept))
        with np.errstate(all="ignore"):
            gap = np.abs(own.vector - first.outcome.numeric)
            size = np.fmax(np.abs(own.vector), np.abs(first.outcome.numeric))
            suspicious += int(np.count_nonzero(gap > SUSPICIOUS * size + 3 * first.outcome.error))
        denied = None
        if suspicious > MANY:
            denied = partial(_denied, first, sweep(k, RATIO**-2), own.vector)
        found.limits.append(judge(problems[k], own, options, first, denied))
        found.sweeps.append(first)
        found.noise.append(noise[k])
    return found


def _denied(found: Sweep, closer: Sweep, a: Array, limits: Tolerance) -> Array:
    """Return where two steps agree with each other, and both plainly not with the analytic value.

    The smaller step stands for the sentinel of a ladder: fine structure would show between them.
    """
    one, other = found.outcome, closer.outcome
    with np.errstate(all="ignore"):
        gap = np.minimum(np.abs(a - one.numeric), np.abs(a - other.numeric))
        bars = CONFIDENCE * np.maximum(one.error, other.error)
        near = np.abs(one.numeric - other.numeric) <= PLAIN * gap
        allowed = limits.of(a, one.numeric) + bars
        plain: Array = near & (gap > allowed / PLAIN) & ~found.bent & ~closer.bent
    return plain


def _problem(shared: Shared, k: int) -> Problem:
    """Return output k as the engine's problem."""
    outputs = shared.capture.outputs
    # What a func returns beside its outputs comes behind them, in the same layout.
    which = position_of(outputs.blocks, k % outputs.size)
    return replace(
        shared.problem,
        evaluator=Row(shared, k, shared.dtypes[which]),
        center=shared.center[k],
        jitter=max(float(shared.jitter[k]), shared.allowed),
        still=lambda members: shared.still()[k, members],
    )
