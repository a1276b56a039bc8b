"""A Jacobian judged: its rows put together, pair of blocks by pair of blocks, into a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ._assemble import Finding, assemble
from ._blocks import position_of
from ._compare import DUST, IN_BLOCK, Outcome, Tolerance, block_size, within
from ._coordinates import Sweep
from ._differences import BudgetExhausted
from ._evaluated import gradient_precision, repetition
from ._jacobian import OVERHEAD, Check
from ._matrix import Matrix
from ._options import Options
from ._outputs import PairBlock
from ._problem import Analytic, Problem
from ._question import AGREE, CONFIDENCE, NOISY, OPEN
from ._report import GradientReport
from ._rows import Bias, Rows, judged_rows
from ._structure import Leaf, Structure

Array = np.ndarray[Any, Any]

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
    finding = _finding(check, rows, first.dense, reasons, may_be_zero)
    finding = replace(
        finding, name=name or check.capture.__qualname__, scheme=scheme or finding.scheme
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
                    [
                        swept(j).outcome.numeric[block.window]
                        for j in range(window.start, window.stop)
                    ]
                )
                scale = np.broadcast_to(check.problem.scale[block.window], numeric.shape)
                sizes[row, column] = block_size(numeric.ravel(), scale.ravel())
            found[block.window] = (
                DUST * eps * sizes[row, column] / check.problem.scale[block.window]
            )
        return found if bias is None else found + bias(k, swept)

    return leeway


def contradicted(report: GradientReport, remark: str) -> GradientReport:
    """Return a report that fails for what the analytic side says of itself."""
    return replace(report, ok=False, verdict="disagree", reasons=(remark, *report.reasons))


def _finding(
    check: Check, rows: Rows, dense: Array, reasons: tuple[str, ...], may_be_zero: bool
) -> Finding:
    problem, pairs = check.problem, check.pairs
    m, n = dense.shape
    judged = bool(rows.sweeps)

    def vector(take: Any, empty: float) -> Array:
        whole = rows.stacked(take) if judged else np.full((m, n), empty)
        return in_pairs(check, whole)

    place = in_pairs(check, np.arange(m * n).reshape(m, n)).astype(np.intp)
    where = np.empty(m * n, dtype=np.intp)
    where[place] = np.arange(m * n)
    outcome = Outcome(
        vector(lambda s: s.outcome.numeric, np.nan),
        vector(lambda s: s.outcome.error, np.inf),
        vector(lambda s: s.outcome.bound, np.inf),
        vector(lambda s: s.outcome.verdict, 2).astype(np.int8),
    )
    for k, sweep in enumerate(rows.sweeps):
        outcome.reasons |= {int(where[k * n + i]): x for i, x in sweep.outcome.reasons.items()}
        outcome.slopes |= {int(where[k * n + i]): x for i, x in sweep.outcome.slopes.items()}
    names = ("rtol", "atol", "dust", "goal_rtol", "goal_atol", "rms")
    limits = Tolerance(
        *(
            in_pairs(check, np.stack([getattr(one, name) for one in rows.limits]))
            if judged
            else np.zeros(m * n)
            for name in names
        )
    )
    analytic = in_pairs(check, dense)
    scale = in_pairs(check, np.broadcast_to(problem.scale, (m, n)))
    _settle_beside_block(pairs, outcome, analytic, scale, limits, check.options)
    flat = vector(lambda s: s.flat, 0).astype(bool)
    shown = int(np.argmax([noise.sigma for noise in rows.noise])) if judged else 0
    return Finding(
        name="",
        structure=_left_out(problem),
        blocks=pairs,
        theta=in_pairs(check, np.broadcast_to(problem.theta, (m, n))),
        scale=scale,
        analytic=analytic,
        outcome=outcome,
        limits=limits,
        flat=flat,
        evaluated=vector(lambda s: s.step > 0, 0).astype(bool),
        value=float(check.shared.center[shown]),
        noise=rows.noise[shown].sigma if judged else 0.0,
        precision=rows.noise[shown].format if judged else "",
        evaluations=problem.evaluator.evaluations,
        scheme=rows.sweeps[0].title if judged else "",
        reasons=reasons,
        may_be_zero=_zero_by_nature(check, flat & (analytic == 0), may_be_zero),
    )


def _settle_beside_block(
    pairs: Sequence[PairBlock],
    outcome: Outcome,
    analytic: Array,
    scale: Array,
    limits: Tolerance,
    options: Options,
) -> None:
    """Let a row agree that is too small for func's noise, where its block is large enough.

    A row is judged by its own size first; an output that hardly answers (a saturated unit, in
    float32) is then as well known as small entries of any gradient need be.
    """
    agrees = within(outcome, analytic, limits)
    for pair in pairs:
        w = pair.window
        own = block_size(outcome.numeric[w], scale[w])
        limits.rms[w] = own / scale[w]
        if options.rtol is not None:
            continue
        bar = CONFIDENCE * np.minimum(outcome.error[w], outcome.bound[w])
        known = agrees[w] & (outcome.verdict[w] == OPEN) & (bar * scale[w] <= IN_BLOCK * own)
        for i in (np.flatnonzero(known) + pair.start).tolist():
            if outcome.reasons.get(i) == NOISY and i not in outcome.slopes:
                outcome.verdict[i] = AGREE
                del outcome.reasons[i]


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
