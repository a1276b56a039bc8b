"""Checks of Jacobians: every output by every parameter, with the engine's verdicts and report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

import numpy as np

from ._assemble import Finding, assemble
from ._blocks import Leaf, Structure
from ._compare import Outcome, Tolerance
from ._differences import BudgetExhausted
from ._gradient import Patterns
from ._matrix import Matrix, Shape, is_operator
from ._options import Options
from ._outputs import OUTPUT, Capture, PairBlock, pair_blocks
from ._problem import (
    Analytic,
    Call,
    Problem,
    gradient_precision,
    prepare,
    repetition,
    require_callable,
)
from ._report import GradientReport
from ._rows import Rows, Shared, judged_rows
from ._work import WorkCopy

Array = np.ndarray[Any, Any]

MOST_EVALUATIONS = 4200
"""Evaluations up to which every parameter is differenced when ``max_evals`` is not given."""

MOST_ENTRIES = 4_000_000
"""Entries of a Jacobian that are judged one by one."""

OVERHEAD = 12
"""Evaluations at the parameters, and for the noise."""


class Judging(TypedDict, total=False):
    """The options of `assert_gradients_close` that the checks of other derivatives take."""

    rtol: float | None
    atol: float | None
    threshold: float | None
    max_evals: int | None
    seed: int
    only: Patterns
    skip: Patterns
    nondet_tol: float
    inconclusive: str
    kinks: str
    vacuous: str
    max_report: int


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
        return cost <= most and self.shared.center.size * self.problem.size <= MOST_ENTRIES


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
                    f"{block.name} is complex: pass real and imaginary part as two parameters, or "
                    f"leave it out with skip={block.name!r}"
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
    bias: Any = None,
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
            rows = judged_rows(check.shared, range(m), analytic, options, bias)
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
    flat = vector(lambda s: s.flat, 0).astype(bool)
    shown = int(np.argmax([noise.sigma for noise in rows.noise])) if judged else 0
    return Finding(
        name="",
        structure=_left_out(problem),
        blocks=pairs,
        theta=in_pairs(check, np.broadcast_to(problem.theta, (m, n))),
        scale=in_pairs(check, np.broadcast_to(problem.scale, (m, n))),
        analytic=in_pairs(check, dense),
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
        may_be_zero=_zero_by_nature(check, flat & (in_pairs(check, dense) == 0), may_be_zero),
    )


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
