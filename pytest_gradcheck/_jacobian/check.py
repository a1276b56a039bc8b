"""A Jacobian: every output by every parameter, with the engine's verdicts and report.

Each row is judged as the gradient of a func of one number (`judged_rows`); pair of blocks by pair
of blocks, they are put together into a report.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property, partial
from itertools import product
from operator import attrgetter
from typing import Any

import numpy as np

from .._constants import (
    ALONE_FOR_EACH,
    CONFIDENCE,
    DEAD_STEP,
    DEAD_STEP_NARROW,
    EXHAUSTIVE,
    IN_BLOCK,
    LONGEST_CHAIN,
    MANY_SUSPICIOUS,
    MOST_CELLS,
    MOST_OUTPUTS,
    NARROW,
    PLAIN,
    RATIO,
    ROUNDING_FACTOR,
    SEEN,
    SUSPICIOUS,
)
from .._difference.every_coordinate import Sweep, noise_direction, noise_of, sweep, value_size
from .._difference.noise_and_extrapolation import Noise
from .._difference.stencils_and_steps import STENCILS, relative_step
from .._evaluate.call import Call
from .._evaluate.evaluator import BudgetExhausted, Evaluator, Move
from .._evaluate.problem import (
    PAST,
    Analytic,
    Problem,
    is_wider,
    may_differ_by,
    prepare,
    remarks_of,
    repetition,
    wide_work,
)
from .._gradient.check import worst_so_far
from .._gradient.follow_up_calls import lines_behind
from .._options import Options
from .._params.arrays_and_structure import Array
from .._params.layout import labels, offsets_in, position_of, to_structure
from .._params.work_copy import WorkCopy
from .._quoting import brief, listing, quoted
from .._report.assemble import Subject, assemble, contradicted, rows_of
from .._report.report import GradientReport
from .._verdict.groups_and_rounding import Known, seen_in
from .._verdict.judge import judge
from .._verdict.tolerance_and_comparison import (
    AGREE,
    NOISY,
    OPEN,
    Comparison,
    Tolerance,
    block_size,
    dust_of,
)
from .outputs_and_matrices import (
    OUTPUT,
    Matrix,
    Outputs,
    PairBlock,
    Shape,
    in_pairs,
    is_operator,
    matrix_of,
    pair_blocks,
)

OVERHEAD = 12
"""Evaluations at the parameters, and for the noise."""


@dataclass
class Check:
    """A Jacobian being checked: what it must look like, and how its entries are called."""

    outputs: Outputs
    problem: Problem
    options: Options
    started: float
    shape: Shape = field(init=False)
    pairs: tuple[PairBlock, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.points = Points(self.problem)
        structure, blocks = self.problem.structure, self.problem.blocks
        self.shape = Shape(self.outputs, structure, blocks, self.options.nondet_tol)
        self.pairs = pair_blocks(self.outputs.blocks, self.problem.blocks)

    def in_pairs(self, matrix: Array) -> Array:
        """Return a matrix (m, n), or a row (n,) for each output, as the vector of its pairs."""
        m, n = self.outputs.size, self.problem.size
        blocks = self.outputs.blocks, self.problem.blocks
        return in_pairs(*blocks, np.broadcast_to(matrix, (m, n)))

    def places(self) -> Array:
        """Return where in the matrix, flattened, each entry of its pairs is."""
        m, n = self.outputs.size, self.problem.size
        return self.in_pairs(np.arange(m * n).reshape(m, n)).astype(np.intp)

    def where(self) -> Array:
        """Return where among the entries of its pairs each of the matrix is, shape (m, n)."""
        return np.argsort(self.places()).reshape(self.outputs.size, self.problem.size)

    @cached_property
    def own(self) -> WorkCopy:
        """The parameters in the user's own precision, to be copied."""
        return WorkCopy(self.problem.structure, self.problem.blocks)

    def structured(self, vector: Array) -> Any:
        """Return a vector over the parameters in their structure."""
        return to_structure(self.problem.structure, self.problem.blocks, vector)

    def called(self, function: Callable[..., Any]) -> Any:
        """Return what the user's derivative is at the parameters."""
        return function(self.own.fresh(), *self.problem.call.args)

    def copied(self) -> Any:
        """Return a copy of the parameters in the precision in which they are differenced."""
        problem = self.problem
        other = problem.numeric is not problem.call
        return (problem.evaluator.work if other else self.own).fresh()

    def affords(self, count: int) -> bool:
        """Return whether the outputs may be differenced by so many parameters, or groups."""
        most, m = self.options.max_evals or EXHAUSTIVE, self.problem.center.size
        cost = self.problem.evaluator.evaluations + 2 * count + OVERHEAD
        return cost <= most and m <= MOST_OUTPUTS and m * count <= MOST_CELLS

    @property
    def exhaustive(self) -> bool:
        """Whether two evaluations for every parameter are allowed."""
        return self.affords(self.problem.size)


@contextmanager
def checking(
    call: Call,
    params: Any,
    options: Options,
    called: str = OUTPUT,
    *,
    beside: bool = False,
    order: Sequence[str] = (),
) -> Iterator[Check]:
    """Prepare the check of a Jacobian, and put everything back in the end (see `Outputs`)."""
    started = time.perf_counter()
    outputs = Outputs(called, beside=beside, order=order)
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
        yield Check(outputs, problem, options, started)
        evaluator.work.require_unchanged("func", takes_copy=False)


def is_called(function: Any) -> bool:
    """Return whether the user's derivative is a function, and not a matrix or an operator."""
    return callable(function) and not is_operator(function)


def _beyond(check: Check, gap: Array, known: Array) -> int | None:
    """Return an output that differs by more than `known` and noise explain, if any; shapes (m,)."""
    for block, narrow in zip(check.outputs.blocks, check.problem.evaluator.narrow, strict=True):
        w = block.window
        largest = np.abs(check.problem.center[w]).max(initial=0.0)
        if (gap[w] > known[w] + may_differ_by(largest, narrow, check.options)).any():
            return block.start + int(np.argmax(gap[w]))
    return None


def _unrepeated(check: Check) -> str:
    """Return the sentence that names an output that differs between two calls, or nothing."""
    jitter = check.problem.jitter
    k = _beyond(check, jitter, np.zeros_like(jitter))
    if k is None:
        return ""
    return (
        f"func does not repeat itself: {brief(labels(check.outputs.blocks)(k))} differs by "
        f"{jitter[k]:.3g} between two calls at the same parameters (dropout, shuffling or an "
        "unseeded generator?)"
    )


def _depends_on_the_past(check: Check, rows: JudgedRows) -> str:
    """Return the sentence that names an output that func does not come back to, or nothing."""
    if not any((found.verdict != AGREE).any() for found in rows.found):
        return ""
    evaluator, center = check.problem.evaluator, check.problem.center
    try:
        with evaluator.quiet():
            again = evaluator.at_theta()
    except BudgetExhausted:
        return ""
    k = _beyond(check, np.abs(again - center), check.problem.jitter)
    if k is None:
        return ""
    label = brief(labels(check.outputs.blocks)(k))
    return PAST.format(label, float(center[k]), float(again[k]))


def with_lines(report: GradientReport, function: Any, check: Check) -> GradientReport:
    """Return a report with the lines that made what is wrong, of a func with one output."""
    # The parts of the user's derivative then have the names of the parameters.
    if report.verdict != "disagree" or not is_called(function):
        return report
    names = {pair.name: pair.param.name for pair in check.pairs}
    if len(check.outputs.blocks) != 1 or not {block.name for block in report.blocks} <= set(names):
        return report
    lines = lines_behind(
        lambda: check.called(function),
        check.problem.call.func,
        check.problem,
        [replace(block, name=names[block.name]) for block in report.blocks],
        report.evidence,
        None if check.options.repairs == "skip" else function,
        lambda found: check.in_pairs(matrix_of(found, check.shape).dense),
    )
    pairs = {param: pair for pair, param in names.items()}
    named = (replace(line, blocks=tuple(pairs[name] for name in line.blocks)) for line in lines)
    return replace(report, lines=tuple(named))


def report_of(
    check: Check,
    matrices: Sequence[Matrix],
    *,
    what: str = "jac",
    may_be_zero: bool = False,
    bias: Bias | None = None,
) -> GradientReport:
    """Judge a Jacobian, one matrix or what two calls gave, entry by entry."""
    # With `may_be_zero` a parameter that nothing depends on is no sign of a check of nothing;
    # `bias` is that of `judged_rows`.
    first = matrices[0]
    rows = judged_matrices(check, matrices, what, bias)
    found = stacked(check, rows, first.dense)
    report = reported(check, check.pairs, check.in_pairs, found, rows, may_be_zero, first.precision)
    return contradicted(report, first.remark) if first.remark else report


def judged_matrices(
    check: Check, matrices: Sequence[Matrix], what: str = "jac", bias: Bias | None = None
) -> JudgedRows:
    """Judge every row of a Jacobian, if there are no reasons not to."""
    options, pairs = check.options, check.pairs
    first, last = matrices[0], matrices[-1]
    m, n = first.dense.shape
    both = check.in_pairs(first.dense), check.in_pairs(last.dense)
    _, repeats = repetition(*both, first.precision, pairs, options, what)
    reasons = tuple(text for text in (_unrepeated(check), repeats) if text)
    if reasons:
        return JudgedRows(reasons=reasons)
    with np.errstate(all="ignore"):  # infinity less infinity
        gaps = np.abs(first.dense - last.dense).astype(np.float64)
    gaps[~np.isfinite(gaps)] = 0.0
    gaps += first.jitter
    outputs = check.outputs.blocks
    precision = np.reshape(first.precision, (len(outputs), -1))
    analytic = [
        Analytic(
            first.dense[k],
            tuple(precision[position_of(outputs, k)].tolist()),
            gaps[k],
            at=partial(_row, first.at, k) if first.at else None,
            wider=partial(_row, first.wider, k) if first.wider else None,
        )
        for k in range(m)
    ]
    try:
        leeway = _leeway(check, first, bias)
        rows = judged_rows(check.points, check.outputs, analytic, options, leeway)
        told = _depends_on_the_past(check, rows)
    except BudgetExhausted:
        raise ValueError(
            f"max_evals={options.max_evals} is too few for {n} parameters: a Jacobian takes "
            f"2 evaluations for each, and {OVERHEAD} more"
        ) from None
    return JudgedRows(reasons=(told,)) if told else rows


def asked_again(found: Matrix, check: Check, make: Callable[[], Matrix]) -> Matrix:
    """Return a matrix with what makes it at θ and a shift, and in float64."""
    # Every row asks for the same few, so they are kept.
    known: dict[bytes, Array] = {}
    wide: dict[bytes, Array] = {}

    def at(shift: Array) -> Array:
        key = shift.tobytes()
        if key not in known:
            check.own.move(shift, 1.0)
            try:
                known[key] = make().dense
            finally:
                check.own.reset()
        return known[key]

    def wider(shift: Array | None) -> Array:
        key = b"" if shift is None else shift.tobytes()
        if key not in wide:
            own = check.own
            with wide_work(check.problem, shift) as check.own:
                try:
                    wide[key] = make().dense
                finally:
                    check.own = own
        return wide[key]

    return replace(found, at=at, wider=wider if is_wider(check.problem) else None)


def _row(of: Callable[[Any], Array], k: int, shift: Array | None) -> Array:
    row: Array = of(shift)[k]
    return row


def reported(
    check: Check,
    pairs: Sequence[PairBlock],
    laid_out: Callable[[Array], Array],
    found: Comparison,
    rows: JudgedRows,
    may_be_zero: bool = False,
    precision: Sequence[float] = (),
) -> GradientReport:
    """Put what was found of every entry, in the layout of `pairs`, into a report."""
    problem, options, noise = check.problem, check.options, rows.noise
    loudest = int(np.argmax([one.sigma for one in noise])) if noise else 0
    loud = noise[loudest] if noise else Noise(0.0, 0.0, "")
    scheme = rows.sweeps[0].title if rows.sweeps else ""
    subject = Subject.of(problem, scheme, loud, float(problem.center[loudest]))
    subject = replace(subject, blocks=pairs, jacobian=True)
    # Of a parameter that some other output answers to, or that nothing need depend on.
    zero = found.flat & (found.analytic == 0)
    answered = {p.param.name for p in pairs if not zero[p.window].all()}
    by_nature = frozenset(p.name for p in pairs if may_be_zero or p.param.name in answered)
    compared = rows_of(
        subject,
        found,
        options,
        scale=laid_out(problem.scale),
        theta=laid_out(problem.theta),
        precision=precision,
        reasons=rows.reasons,
        may_be_zero=by_nature,
    )
    seconds = time.perf_counter() - check.started
    evaluations, remarks = problem.evaluator.evaluations, remarks_of(problem)
    return assemble(subject, compared, options, evaluations, seconds, remarks)


def _leeway(check: Check, matrix: Matrix, bias: Bias | None) -> Callable[..., Array]:
    """Return what entries may be off by beside their error bars; see `judged_rows`."""
    outputs, blocks = check.shape.outputs.blocks, check.shape.blocks
    sizes: dict[tuple[int, int], float] = {}

    def leeway(k: int, swept: Callable[[int], Sweep]) -> Array:
        found = np.zeros(check.problem.size)
        row = position_of(outputs, k)
        for column, block in enumerate(blocks):
            eps = matrix.precision[row * len(blocks) + column]
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
            size = dust_of(eps) * sizes[row, column]
            found[block.window] = size / check.problem.scale[block.window]
        return found if bias is None else found + bias(k, swept)

    return leeway


def stacked(check: Check, rows: JudgedRows, dense: Array) -> Comparison:
    """Return the comparisons of all rows as one, pair of blocks by pair of blocks."""

    def vector(name: str, empty: Any) -> Array:
        own = [*map(attrgetter(name), rows.found)]
        return check.in_pairs(np.stack(own) if own else np.full(dense.shape, empty))

    where, (_, *columns) = check.where(), (item.name for item in fields(Tolerance))
    found = Comparison(
        Tolerance(check.in_pairs(dense), *(vector(f"tolerance.{name}", 0.0) for name in columns)),
        vector("numeric", np.nan),
        vector("error", np.inf),
        vector("evaluated", False),
        vector("flat", False),
        vector("bound", np.inf),
        vector("verdict", np.int8(OPEN)),
        answers=vector("answers", False),
    )
    for k, own in enumerate(rows.found):
        found.reasons.update({int(where[k, i]): x for i, x in own.reasons.items()})
        found.slopes.update({int(where[k, i]): x for i, x in own.slopes.items()})
    scale = check.in_pairs(check.problem.scale)
    _keep_groups(check, rows, found, scale, where)
    return _settle_beside_block(check.pairs, found, scale, check.options)


def _keep_groups(
    check: Check, rows: JudgedRows, found: Comparison, scale: Array, where: Array
) -> None:
    """Keep what rows were told by groups: which are wrong, and what would be seen of a pair."""
    # `where`, shape (m, n), has the place of each entry in `found`. One wrong group stands for all
    # of a pair, the plainest. An error of a pair is seen when it is as large as those that would
    # have passed in each of its rows together.
    every = itertools.product(check.shape.outputs.blocks, check.shape.blocks)
    for pair, (output, param) in zip(check.pairs, every, strict=True):
        own = rows.found[output.window]
        wrong = [(k, g) for k, row in enumerate(own) for g in row.groups if g.block == param]
        if wrong:
            group = max((g for _, g in wrong), key=lambda g: abs(g.told - g.value) / g.error)
            alike = [k for k, g in wrong if g.label == group.label]
            names = [output.label(k) for k in alike] if len(alike) < output.size else [output.name]
            label = f"{listing(names)} / {group.label}"
            places = where[output.start + np.array(alike)[:, None], group.places].ravel()
            found.groups.append(replace(group, block=pair, label=label, places=places))
        told = {k: row.seen[param.start] for k, row in enumerate(own) if param.start in row.seen}
        if not told:
            continue
        w = pair.window
        with np.errstate(all="ignore"):
            size = (found.analytic * scale)[w].reshape(-1, param.size).astype(np.float64)
            bars = (CONFIDENCE * found.reach * scale)[w].reshape(size.shape)
        norms, passes = np.linalg.norm(size, axis=1), np.linalg.norm(bars, axis=1)
        for k, seen in told.items():
            passes[k] = min(passes[k], seen.block * norms[k]) if norms[k] else passes[k]
        reach = float(np.linalg.norm(passes)) / SEEN
        known = Known(pair, float(np.linalg.norm(norms)), reach=reach)
        found.seen[pair.start] = seen_in(known, found.reach[w], scale[w])


def _settle_beside_block(
    pairs: Sequence[PairBlock], found: Comparison, scale: Array, options: Options
) -> Comparison:
    """Let a row agree that is too small for func's noise, where its block is large enough."""
    # A row is judged by its own size first; an output that hardly answers (a saturated unit, in
    # float32) is then as well known as small entries of any gradient need be.
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


# Rows of a Jacobian: each output judged as the engine judges a func of one number.
#
# func is evaluated once for each perturbed point and returns all m outputs; that is remembered.
# Output k is then a func of one number for the whole engine: its noise is measured, its differences
# get their error bars, and its row of the Jacobian is judged with its own tolerances.  What that
# costs is 2n evaluations, however many outputs there are, and some more:
#
# * a parameter to which some output does not answer is moved once by more, to see that it is so;
# * a ladder takes steps of one grid, so outputs that doubt the same parameter share its rungs;
# * where more entries are in doubt than can be climbed for one by one, all are differenced once
#   more at a smaller step, and what both steps deny plainly is accused.


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
        self.empty: Array = np.broadcast_to(np.False_, (problem.center.size, problem.size))
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
        """Return the central differences that are known, shape (m, n), and their steps, (n,)."""
        # `found` is what func returned so far in the last move; steps are 0 where none was taken.
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
        narrow = any(self.problem.evaluator.narrow)
        step = (DEAD_STEP_NARROW if narrow else DEAD_STEP) * self.problem.scale
        with np.errstate(invalid="ignore"):
            flat = self.differences([])[0] == 0
        asked = np.count_nonzero(flat.any(axis=0))
        found = np.zeros(flat.shape, dtype=bool)
        # What other outputs answer to is moved together: half of it, and the other half, for each
        # bit of its number. Then what one output does not answer to, where outputs are few.
        number = _apart(~flat)
        bits = int(number.max(initial=0)).bit_length()
        halves = [(number >> bit & 1) == side for bit, side in product(range(bits), (0, 1))]
        for moved in halves if len(halves) < asked else []:
            found |= moved & self._unmoved(step * moved)
        left = flat & ~found
        together = np.unique(left[left.any(axis=1)], axis=0)
        many = ALONE_FOR_EACH * len(together) <= np.count_nonzero(left.any(axis=0))
        for moved in together if many else []:
            found |= moved & self._unmoved(step * moved)
        left = flat & ~found
        alone = np.flatnonzero(left.any(axis=0))
        if alone.size > ALONE_FOR_EACH * np.count_nonzero(left.any(axis=1)):
            return found
        for position, which in enumerate(offsets_in(self.problem.blocks, alone)):
            if which.size:
                theta = self.problem.evaluator.work.theta[position][which]
                place = self.problem.blocks[position].start + which
                to = (theta + step[place]).astype(theta.dtype)[:, None]
                values = self.evaluate(Move(to, position, which.tolist()))[:, :, 0]
                found[:, place] = values == self.problem.center[:, None]
        return found

    def _unmoved(self, shift: Array) -> Array:
        """Return which outputs a shift leaves as they are, shape (m, 1), bool."""
        values = self.evaluate(Move(np.ones(1), shift=shift))
        unmoved: Array = values == self.problem.center[:, None]
        return unmoved

    def still_of(self, k: int, zero: Array) -> Array:
        """Return `still` of one output, where `zero` says which entries ask; shapes (n,)."""
        found: Array = (self.still if (zero & ~self.empty[k]).any() else self.empty)[k]
        return found


def _apart(answers: Array) -> Array:
    """Return numbers of the parameters, shape (n,), equal where one output answers to both."""
    # `answers` is (m, n), bool. All are equal where outputs hang together in a long chain.
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
class JudgedRows:
    """Every row judged: a sweep, a comparison and the noise of each output; or why none was."""

    sweeps: list[Sweep] = field(default_factory=list)
    found: list[Comparison] = field(default_factory=list)
    noise: list[Noise] = field(default_factory=list)
    reasons: tuple[str, ...] = ()


def judged_rows(
    points: Points, outputs: Outputs, analytic: Sequence[Analytic], options: Options, bias: Bias
) -> JudgedRows:
    """Judge the rows of a Jacobian."""
    # `bias` takes an output's number, and a function from a number to that output's sweep; it
    # returns by how much analytic and numeric may differ beside tolerance and error bar, shape
    # (n,).
    problems = [row_of(points, outputs, k) for k in range(points.problem.center.size)]
    shift = noise_direction(points.problem, options.seed)
    noise = [noise_of(problem, options, shift) for problem in problems]
    points.left = EXHAUSTIVE
    sizes = [value_size(problem, a.vector) for problem, a in zip(problems, analytic, strict=False)]
    row = STENCILS["central"]
    steps = [relative_step(row, one.sigma, size) for one, size in zip(noise, sizes, strict=False)]
    relative = math.exp(float(np.median(np.log(steps))))
    _announce(points, outputs, problems, analytic, noise)

    def difference(k: int, part: float = 1.0) -> Sweep:
        return sweep(problems[k], row, noise[k], options, 0.0, relative=relative * part)

    swept = cache(difference)
    found = JudgedRows(noise=noise[: len(analytic)])
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
    """Return where two steps agree with each other, and both plainly not with the analytic."""
    # The smaller step stands for the sentinel of a ladder: fine structure would show between them.
    with np.errstate(all="ignore"):
        gap = np.minimum(np.abs(a - one.numeric), np.abs(a - other.numeric))
        near = np.abs(one.numeric - other.numeric) <= PLAIN * gap
        allowed = limits.allowed(one.numeric, np.maximum(one.error, other.error))
        plain: Array = near & (gap > allowed / PLAIN) & ~one.bent & ~other.bent
    return plain
