"""A Jacobian: every output by every parameter, with the engine's verdicts and report.

func is evaluated once for each perturbed point and returns all m outputs; that is remembered.
Output k is then a func of one number for the whole engine: its noise is measured, its differences
get their error bars, and its row of the Jacobian is judged with its own tolerances.  What that
costs is 2n evaluations, however many outputs there are, and some more:

* a parameter to which some output does not answer is moved once by more, to see that it is so;
* a ladder takes steps of one grid, so outputs that doubt the same parameter share its rungs;
* where more entries are in doubt than can be climbed for one by one, all are differenced once
  more at a smaller step, and what both steps deny plainly is accused.

The rows are put together, pair of blocks by pair of blocks, into a report.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from .._difference.ladder import RATIO
from .._difference.noise import Noise
from .._difference.stencils import STENCILS, relative_step
from .._difference.sweep import Sweep, noise_of, sweep, value_size
from .._evaluate.evaluator import BudgetExhausted, Evaluator
from .._evaluate.problem import (
    REPEATS_WITHIN,
    Analytic,
    Call,
    Problem,
    gradient_precision,
    prepare,
    repetition,
    require_callable,
)
from .._options import Options
from .._params.layout import position_of
from .._params.work_copy import WorkCopy
from .._quoting import brief, quoted
from .._report.assemble import Subject, assemble, contradicted, left_out, rows_of
from .._report.report import GradientReport
from .._verdict.comparison import Comparison
from .._verdict.judge import DEAD_STEP, judge
from .._verdict.tolerance import (
    AGREE,
    CONFIDENCE,
    DUST,
    IN_BLOCK,
    NOISY,
    OPEN,
    Tolerance,
    block_size,
)
from .linear import Matrix, Shape, is_operator
from .outputs import OUTPUT, Capture, PairBlock, pair_blocks

Array = np.ndarray[Any, Any]

MOST_EVALUATIONS = 4200
"""Evaluations up to which every parameter is differenced when ``max_evals`` is not given."""

MOST_ENTRIES = 2_000_000
MOST_OUTPUTS = 5000
"""Entries of a Jacobian that are judged one by one, and rows of it: each takes a millisecond."""

OVERHEAD = 12
"""Evaluations at the parameters, and for the noise."""


@dataclass
class Check:
    """A Jacobian being checked.

    Parameters
    ----------
    capture : Capture
        func.
    problem : Problem
        The engine's, for one of the outputs.
    shared : Shared
        All outputs.
    options : Options
    started : float
    shape : Shape
        What the analytic Jacobian must look like.
    pairs : tuple of PairBlock
        How its entries are laid out and called.
    """

    capture: Capture
    problem: Problem
    shared: Shared
    options: Options
    started: float
    shape: Shape = field(init=False)
    pairs: tuple[PairBlock, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.shape = Shape(self.capture.outputs, self.problem.structure, self.problem.blocks)
        self.pairs = pair_blocks(self.capture.outputs.blocks, self.problem.blocks)

    @property
    def exhaustive(self) -> bool:
        """Whether two evaluations for every parameter are allowed."""
        most = self.options.max_evals or MOST_EVALUATIONS
        cost = self.problem.evaluator.evaluations + 2 * self.problem.size + OVERHEAD
        m = self.shared.center.size
        return cost <= most and m <= MOST_OUTPUTS and m * self.problem.size <= MOST_ENTRIES


@contextmanager
def checking(
    func: Callable[..., Any],
    params: Any,
    call: Call,
    options: Options,
    called: str = OUTPUT,
    beside: Callable[[], Array] | None = None,
) -> Iterator[Check]:
    """Prepare the check of a Jacobian, and put everything back in the end."""
    started = time.perf_counter()
    require_callable(func)
    capture = Capture(func, call.has_aux, called, beside)
    problem = prepare(capture, params, replace(call, has_aux=False), options, returns_pair=False)
    try:
        for block in problem.blocks:
            if block.is_complex:
                raise TypeError(
                    f"{brief(block.name)} is complex: pass real and imaginary part as two "
                    f"parameters, or leave it out with skip={quoted(block.name)}"
                )
        yield Check(
            capture,
            replace(problem, unrepeated=""),
            Shared(problem, capture, options.nondet_tol),
            options,
            started,
        )
        problem.evaluator.require_unchanged("func")
    finally:
        problem.evaluator.close()


def given(function: Any, check: Check, call: Call) -> tuple[Any, ...]:
    """Return what the user's derivative is at θ: of a callable two results, else itself."""
    if not callable(function) or is_operator(function):
        return (function,)
    return tuple(function(own_params(check), *call.args) for _ in range(2))


def own_params(check: Check) -> Any:
    """Return a copy of the parameters in the user's own precision."""
    return WorkCopy(check.problem.structure, check.problem.blocks).fresh()


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
    found : list of Comparison
    noise : list of Noise
    """

    sweeps: list[Sweep]
    found: list[Comparison]
    noise: list[Noise]


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
    noise = {k: noise_of(problem, options) for k, problem in problems.items()}
    sizes = {k: value_size(problems[k], a.vector) for k, a in zip(rows, analytic, strict=True)}
    row = STENCILS["central"]
    steps = [relative_step(row, noise[k].sigma, sizes[k]) for k in rows]
    relative = math.exp(float(np.median(np.log(steps))))

    def difference(k: int, part: float = 1.0) -> Sweep:
        size = sizes.get(k, 0.0)
        return sweep(problems[k], row, noise[k], options, size, relative=relative * part)

    sweeps: dict[int, Sweep] = {}

    def swept(k: int) -> Sweep:
        if k not in sweeps:
            sweeps[k] = difference(k)
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
            gap = np.abs(own.vector - first.numeric)
            size = np.fmax(np.abs(own.vector), np.abs(first.numeric))
            suspicious += int(np.count_nonzero(gap > SUSPICIOUS * size + 3 * first.error))
        denied = None
        if suspicious > MANY:
            denied = partial(_denied, first, difference(k, RATIO**-2), own.vector)
        found.found.append(judge(problems[k], own, first, options, denied))
        found.sweeps.append(first)
        found.noise.append(noise[k])
    return found


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


NARROW = 1e-10
"""A machine epsilon above this is float32's or coarser."""


def in_pairs(check: Check, rows: Array) -> Array:
    """Return a matrix (m, n) as the vector of its pairs of blocks."""
    parts = [
        rows[o.window, p.window].ravel()
        for o in check.shape.outputs.blocks
        for p in check.shape.blocks
    ]
    return np.concatenate(parts or [np.empty(0)])


def report_of(
    check: Check,
    matrices: Sequence[Matrix],
    *,
    what: str = "jac",
    name: str | None = None,
    may_be_zero: bool = False,
    bias: Bias | None = None,
    scheme: str = "",
) -> GradientReport:
    """Judge a Jacobian entry by entry and return the report.

    Parameters
    ----------
    check : Check
    matrices : sequence of Matrix
        One, or what two calls gave.
    what : str
        How the report calls the analytic side, when it does not repeat itself.
    name : str, optional
        Of the report; unset: func's.
    may_be_zero : bool
        A parameter that nothing depends on is no sign of a check of nothing.
    bias : callable, optional
        See `judged_rows`.
    scheme : str
        The formula in words; unset: as it is.
    """
    options, pairs = check.options, check.pairs
    first, last = matrices[0], matrices[-1]
    m, n = first.dense.shape
    both = (in_pairs(check, first.dense), in_pairs(check, last.dense))
    _, repeats = repetition(*both, first.dtypes, pairs, options, what)
    with np.errstate(all="ignore"):  # infinity less infinity
        gaps = np.abs(first.dense - last.dense).astype(np.float64)
    gaps[~np.isfinite(gaps)] = 0.0
    precision = gradient_precision(first.dtypes)
    per_row = len(check.shape.blocks)
    eps = {
        k: precision[b * per_row : (b + 1) * per_row]
        for b, block in enumerate(check.shape.outputs.blocks)
        for k in range(block.start, block.stop)
    }
    analytic = [Analytic(first.dense[k], eps[k], gaps[k]) for k in range(m)]
    reasons = tuple(text for text in (check.shared.unrepeated(), repeats) if text)
    if reasons:
        rows = Rows([], [], [])
    else:
        try:
            rows = judged_rows(
                check.shared, range(m), analytic, options, _leeway(check, first, bias)
            )
        except BudgetExhausted:
            raise ValueError(
                f"max_evals={options.max_evals} is too few for {n} parameters: a Jacobian takes "
                f"2 evaluations for each, and {OVERHEAD} more"
            ) from None
    report = _reported(
        check,
        rows,
        first.dense,
        reasons,
        may_be_zero,
        name or check.capture.__qualname__,
        scheme or (rows.sweeps[0].title if rows.sweeps else ""),
    )
    return contradicted(report, first.remark) if first.remark else report


def _reported(
    check: Check,
    rows: Rows,
    dense: Array,
    reasons: tuple[str, ...],
    may_be_zero: bool,
    name: str,
    scheme: str,
) -> GradientReport:
    """Put the rows together into a report."""
    problem, options = check.problem, check.options
    scale = in_pairs(check, np.broadcast_to(problem.scale, dense.shape))
    found = _settle_beside_block(check.pairs, _stacked(check, rows, dense), scale, options)
    loudest = int(np.argmax([noise.sigma for noise in rows.noise])) if rows.noise else 0
    noise = rows.noise[loudest] if rows.noise else Noise(0.0, 0.0, "")
    skipped = left_out(problem.structure, problem.blocks)
    value = float(check.shared.center[loudest])
    subject = Subject(name, check.pairs, scheme, skipped, value, noise.sigma, noise.format)
    compared = rows_of(
        subject,
        found,
        options,
        scale=scale,
        theta=in_pairs(check, np.broadcast_to(problem.theta, dense.shape)),
        reasons=reasons,
        may_be_zero=_zero_by_nature(check, found.flat & (found.analytic == 0), may_be_zero),
    )
    seconds = time.perf_counter() - check.started
    return assemble(subject, compared, options, problem.evaluator.evaluations, seconds)


def _leeway(check: Check, matrix: Matrix, bias: Bias | None) -> Callable[..., Array]:
    """Return what entries may be off by beside their error bars; see `judged_rows`."""
    outputs, blocks = check.shape.outputs.blocks, check.shape.blocks
    sizes: dict[tuple[int, int], float] = {}

    def leeway(k: int, swept: Callable[[int], Sweep]) -> Array:
        found = np.zeros(check.problem.size)
        row = position_of(outputs, k)
        for column, block in enumerate(blocks):
            eps = float(np.finfo(matrix.dtypes[row * len(blocks) + column]).eps)
            if eps < NARROW:
                continue
            # A narrow Jacobian has the rounding of its block, however small a row of it is.
            if (row, column) not in sizes:
                window = outputs[row].window
                numeric = np.stack(
                    [swept(j).numeric[block.window] for j in range(window.start, window.stop)]
                )
                scale = np.broadcast_to(check.problem.scale[block.window], numeric.shape)
                sizes[row, column] = block_size(numeric.ravel(), scale.ravel())
            found[block.window] = (
                DUST * eps * sizes[row, column] / check.problem.scale[block.window]
            )
        return found if bias is None else found + bias(k, swept)

    return leeway


def _stacked(check: Check, rows: Rows, dense: Array) -> Comparison:
    """Return the comparisons of all rows as one, pair of blocks by pair of blocks."""
    m, n = dense.shape

    def vector(each: Sequence[Any], name: str, empty: float) -> Array:
        own = [getattr(one, name) for one in each]
        return in_pairs(check, np.stack(own) if own else np.full((m, n), empty))

    place = in_pairs(check, np.arange(m * n).reshape(m, n)).astype(np.intp)
    where = np.empty(m * n, dtype=np.intp)
    where[place] = np.arange(m * n)
    limits = [own.tolerance for own in rows.found]
    names = ("rtol", "atol", "dust", "goal_rtol", "goal_atol", "rms")
    found = Comparison(
        Tolerance(in_pairs(check, dense), *(vector(limits, name, 0.0) for name in names)),
        vector(rows.found, "numeric", np.nan),
        vector(rows.found, "error", np.inf),
        vector(rows.found, "evaluated", False).astype(bool),
        vector(rows.found, "flat", False).astype(bool),
        vector(rows.found, "bound", np.inf),
        vector(rows.found, "verdict", OPEN).astype(np.int8),
    )
    for k, own in enumerate(rows.found):
        found.reasons.update({int(where[k * n + i]): x for i, x in own.reasons.items()})
        found.slopes.update({int(where[k * n + i]): x for i, x in own.slopes.items()})
    return found


def _settle_beside_block(
    pairs: Sequence[PairBlock], found: Comparison, scale: Array, options: Options
) -> Comparison:
    """Let a row agree that is too small for func's noise, where its block is large enough.

    A row is judged by its own size first; an output that hardly answers (a saturated unit, in
    float32) is then as well known as small entries of any gradient need be.
    """
    rms, verdict, reasons = np.empty(scale.size), found.verdict.copy(), dict(found.reasons)
    agrees = found.within()
    for pair in pairs:
        w = pair.window
        own = block_size(found.numeric[w], scale[w])
        rms[w] = own / scale[w]
        if options.rtol is not None:
            continue
        bar = CONFIDENCE * found.reach[w]
        known = agrees[w] & (verdict[w] == OPEN) & (bar * scale[w] <= IN_BLOCK * own)
        for i in (np.flatnonzero(known) + pair.start).tolist():
            if reasons.get(i) == NOISY and i not in found.slopes:
                verdict[i] = AGREE
                del reasons[i]
    limits = replace(found.tolerance, rms=rms)
    return replace(found, tolerance=limits, verdict=verdict, reasons=reasons)


def _zero_by_nature(check: Check, zero: Array, may_be_zero: bool) -> frozenset[str]:
    """Return the pairs that may be zero: those of a parameter that some other output answers to."""
    answered = {
        pair.param.name
        for pair in check.pairs
        if pair.param is not None and pair.size and not zero[pair.window].all()
    }
    return frozenset(
        pair.name
        for pair in check.pairs
        if pair.param is not None and (may_be_zero or pair.param.name in answered)
    )
