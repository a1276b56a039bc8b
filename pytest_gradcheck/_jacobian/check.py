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
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from .._difference.ladder import RATIO
from .._difference.noise import Noise
from .._difference.stencils import STENCILS, relative_step
from .._difference.sweep import Sweep, noise_of, sweep, value_size
from .._evaluate.call import Call, name_of
from .._evaluate.evaluator import BudgetExhausted, Evaluator, Move
from .._evaluate.problem import (
    REPEATS_WITHIN,
    Analytic,
    Problem,
    gradient_precision,
    prepare,
    repetition,
)
from .._options import Options
from .._params.layout import position_of
from .._params.structure import Leaf, Structure
from .._params.work_copy import WorkCopy
from .._quoting import brief, quoted
from .._report.assemble import Finding, assemble, contradicted
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
from .outputs import OUTPUT, Outputs, PairBlock, pair_blocks

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
    outputs : Outputs
    problem : Problem
    options : Options
    started : float
    shape : Shape
        What the analytic Jacobian must look like.
    pairs : tuple of PairBlock
        How its entries are laid out and called.
    """

    outputs: Outputs
    problem: Problem
    options: Options
    started: float
    shape: Shape = field(init=False)
    pairs: tuple[PairBlock, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.points = Points(self.problem)
        self.shape = Shape(self.outputs, self.problem.structure, self.problem.blocks)
        self.pairs = pair_blocks(self.outputs.blocks, self.problem.blocks)

    @property
    def exhaustive(self) -> bool:
        """Whether two evaluations for every parameter are allowed."""
        most = self.options.max_evals or MOST_EVALUATIONS
        cost = self.problem.evaluator.evaluations + 2 * self.problem.size + OVERHEAD
        m = self.problem.center.size
        return cost <= most and m <= MOST_OUTPUTS and m * self.problem.size <= MOST_ENTRIES


@contextmanager
def checking(
    call: Call, params: Any, options: Options, called: str = OUTPUT, *, beside: bool = False
) -> Iterator[Check]:
    """Prepare the check of a Jacobian, and put everything back in the end (see `Outputs`)."""
    started = time.perf_counter()
    outputs = Outputs(called, beside=beside)
    call = replace(call, read=outputs.read, bits=outputs.bits)
    problem = prepare(call, params, options)
    evaluator = problem.evaluator
    with closing(evaluator), evaluator.progress.interruptible():
        for block in problem.blocks:
            if block.is_complex:
                raise TypeError(
                    f"{brief(block.name)} is complex: pass real and imaginary part as two "
                    f"parameters, or leave it out with skip={quoted(block.name)}"
                )
        first = evaluator.at_theta()
        jitter = np.abs(first - evaluator.at_theta()).astype(np.float64)
        yield Check(outputs, replace(problem, center=first, jitter=jitter), options, started)
        evaluator.require_unchanged("func")


def given(function: Any, check: Check) -> tuple[Any, ...]:
    """Return what the user's derivative is at θ: of a callable two results, else itself."""
    if not callable(function) or is_operator(function):
        return (function,)
    return tuple(function(own_params(check), *check.problem.call.args) for _ in range(2))


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


class Points:
    """func's outputs at every point that was asked for, kept.

    Attributes
    ----------
    left : float
        Evaluations that may still be spent on directions, which serve a single output.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.left = math.inf
        self._kept: dict[Any, Array] = {}

    def evaluate(self, move: Move) -> Array:
        """Return the outputs at some points; shape (m, *move.values.shape)."""
        if move.shift is not None:
            return self._along(move.shift, move)
        key = move.position, tuple(move.coordinates), move.values.tobytes()
        if key not in self._kept:
            found = self.problem.evaluator.evaluate(move)
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

    @cached_property
    def still(self) -> Array:
        """Which outputs do not answer to a large step of which parameter; (m, n), bool."""
        parts = []
        for position, block in enumerate(self.problem.blocks):
            theta = self.problem.evaluator.work.theta[position]
            step = DEAD_STEP * self.problem.scale[block.window]
            to = (theta + step).astype(theta.dtype)[:, None]
            parts.append(self.evaluate(Move(to, position, range(block.size)))[:, :, 0])
        found: Array = np.concatenate(parts, axis=1) == self.problem.center[:, None]
        return found


class Row(Evaluator):
    """One output as the engine's func: looks its values up among all."""

    def __init__(self, points: Points, number: int, narrow: int | None) -> None:
        runner = points.problem.evaluator
        super().__init__(points.problem.call, runner.work)
        self.kind, self.narrow, self.keeps = runner.kind, narrow, True
        self._points, self._number = points, number

    def evaluate(self, move: Move) -> Array:
        """Return this output at some points; shape of ``move.values``."""
        found: Array = self._points.evaluate(move)[self._number]
        return found


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
    check: Check,
    rows: Sequence[int],
    analytic: Sequence[Analytic],
    bias: Bias | None = None,
) -> Rows:
    """Judge the rows of a Jacobian.

    Parameters
    ----------
    check : Check
    rows : sequence of int
        Which outputs.
    analytic : sequence of Analytic
        The row of each.
    bias : callable, optional
        Takes an output's number, and a function from a number to that output's sweep; returns by
        how much analytic and numeric may differ beside tolerance and error bar, shape (n,).

    Returns
    -------
    Rows
    """
    options = check.options
    problems = {k: _problem(check, k) for k in range(check.problem.center.size)}
    noise = {k: noise_of(problem, options) for k, problem in problems.items()}
    check.points.left = MOST_DIRECTIONS
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


def _problem(check: Check, k: int) -> Problem:
    """Return output k as the engine's problem."""
    problem, outputs = check.problem, check.outputs
    # What a func returns beside its outputs comes behind them, in the same layout.
    which = position_of(outputs.blocks, k % outputs.size)
    return replace(
        problem,
        evaluator=Row(check.points, k, problem.evaluator.narrow[which]),
        center=problem.center[k],
        jitter=max(float(problem.jitter[k]), check.options.nondet_tol),
        still=lambda members: check.points.still[k, members],
    )


def _unrepeated(check: Check) -> str:
    """Return the sentence that names an output that differs between two calls, or nothing."""
    center, jitter = check.problem.center, check.problem.jitter
    for block in check.outputs.blocks:
        gap, own = jitter[block.window], np.abs(center[block.window])
        bad = gap > check.options.nondet_tol + REPEATS_WITHIN * np.max(own, initial=0.0)
        if bad.any():
            k = int(np.argmax(gap))
            return (
                f"func does not repeat itself: {brief(block.label(k))} differs by {gap[k]:.3g} "
                "between two calls at the same parameters (dropout, shuffling or an unseeded "
                "generator?)"
            )
    return ""


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
    reasons = tuple(text for text in (_unrepeated(check), repeats) if text)
    if reasons:
        rows = Rows([], [], [])
    else:
        try:
            rows = judged_rows(check, range(m), analytic, _leeway(check, first, bias))
        except BudgetExhausted:
            raise ValueError(
                f"max_evals={options.max_evals} is too few for {n} parameters: a Jacobian takes "
                f"2 evaluations for each, and {OVERHEAD} more"
            ) from None
    finding = _finding(check, rows, first.dense, reasons, may_be_zero)
    finding = replace(
        finding, name=name or name_of(check.problem.call.func), scheme=scheme or finding.scheme
    )
    report = assemble(finding, options, time.perf_counter() - check.started)
    return contradicted(report, first.remark) if first.remark else report


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


def _finding(
    check: Check, rows: Rows, dense: Array, reasons: tuple[str, ...], may_be_zero: bool
) -> Finding:
    problem, pairs = check.problem, check.pairs
    m, n = dense.shape
    judged = bool(rows.sweeps)

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
        vector(rows.found, "bound", np.inf),
        vector(rows.found, "verdict", OPEN).astype(np.int8),
    )
    for k, own in enumerate(rows.found):
        found.reasons.update({int(where[k * n + i]): x for i, x in own.reasons.items()})
        found.slopes.update({int(where[k * n + i]): x for i, x in own.slopes.items()})
    scale = in_pairs(check, np.broadcast_to(problem.scale, (m, n)))
    _settle_beside_block(pairs, found, scale, check.options)
    flat = vector(rows.sweeps, "flat", 0).astype(bool)
    shown = int(np.argmax([noise.sigma for noise in rows.noise])) if judged else 0
    return Finding(
        name="",
        structure=_left_out(problem),
        blocks=pairs,
        theta=in_pairs(check, np.broadcast_to(problem.theta, (m, n))),
        scale=scale,
        comparison=found,
        flat=flat,
        evaluated=vector(rows.sweeps, "step", 0.0) > 0,
        value=float(check.problem.center[shown]),
        noise=rows.noise[shown].sigma if judged else 0.0,
        precision=rows.noise[shown].format if judged else "",
        evaluations=problem.evaluator.evaluations,
        scheme=rows.sweeps[0].title if judged else "",
        reasons=reasons,
        may_be_zero=_zero_by_nature(check, flat & (found.analytic == 0), may_be_zero),
    )


def _settle_beside_block(
    pairs: Sequence[PairBlock], found: Comparison, scale: Array, options: Options
) -> None:
    """Let a row agree that is too small for func's noise, where its block is large enough.

    A row is judged by its own size first; an output that hardly answers (a saturated unit, in
    float32) is then as well known as small entries of any gradient need be.
    """
    agrees = found.within()
    for pair in pairs:
        w = pair.window
        own = block_size(found.numeric[w], scale[w])
        found.tolerance.rms[w] = own / scale[w]
        if options.rtol is not None:
            continue
        bar = CONFIDENCE * found.reach[w]
        known = agrees[w] & (found.verdict[w] == OPEN) & (bar * scale[w] <= IN_BLOCK * own)
        for i in (np.flatnonzero(known) + pair.start).tolist():
            if found.reasons.get(i) == NOISY and i not in found.slopes:
                found.verdict[i] = AGREE
                del found.reasons[i]


def _left_out(problem: Problem) -> Structure:
    """Return the leaves that are not checked, for the report to name."""
    checked = {block.leaf for block in problem.blocks}
    left = tuple(
        Leaf(leaf.name, None)
        for position, leaf in enumerate(problem.structure.leaves)
        if position not in checked
    )
    return Structure(left, problem.structure.rebuild)


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
