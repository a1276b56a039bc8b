"""One experiment after a check failed, to see whether grad remembers what was evaluated before.

A backward pass that reads what a forward pass left behind is right only where both saw the same
parameters.  So grad is called at θ again, after func was evaluated elsewhere, and after grad was.
And one block is moved at a time: a gradient that stays the same, bit for bit, where the numeric
one does not, was computed from something that did not follow, or leaves out what would.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ._analytic import gradient_vector
from ._blocks import Block
from ._differences import Evaluator
from ._names import listing, shown
from ._options import Options
from ._probes import random_weights
from ._problem import Analytic, Call, Problem
from ._repair import CERTAIN, Diagnosis
from ._report import GradientReport
from ._stencils import COMPLEX_STEP
from ._work import WorkCopy

Array = np.ndarray[Any, Any]

AWAY = 1e-2
"""How far away grad is called, in parts of the parameters' scales."""

STEP = 1e-4
"""Of a difference there, which need only show that the gradient changes by `CHANGED`."""

CHANGED = 1e-4

SAME = 1e-9
"""By how much of their largest entry two gradients at θ may differ."""

MOST_BLOCKS = 12
"""Blocks that are moved."""

UNSURE = ("backward", "slice", "entry")
"""Codes that say where, not what: a cache may be behind them."""

CACHE = "reads what an earlier call left behind (a stale cache)"


def reconsidered(
    report: GradientReport,
    grad: Any,
    problem: Problem,
    analytic: Analytic,
    call: Call,
    options: Options,
) -> GradientReport:
    """Return the report, with a diagnosis if grad depends on what was evaluated before.

    Parameters
    ----------
    report : GradientReport
        Of a check that may have failed; only then is anything tried.
    grad : object
        As the user gave it; only a callable can remember anything.
    problem, analytic : Problem, Analytic
    call : Call
    options : Options

    Returns
    -------
    GradientReport
    """
    if not callable(grad) or not (report.wrong or report.reasons):
        return report
    if not np.isfinite(analytic.vector).all():
        return report
    if not report.wrong and (problem.unrepeated or not analytic.unrepeated):
        if not problem.unrepeated:
            return report
        return replace(report, diagnoses=(_noise(problem.unrepeated), *report.diagnoses))
    try:
        found = _experiment(report, grad, problem, analytic, call, options)
    except Exception:  # grad may refuse elsewhere in any way it likes, and the check is done
        found = None
    return replace(
        report,
        diagnoses=report.diagnoses if found is None else (found, *report.diagnoses),
        evaluations=problem.evaluator.evaluations,
    )


def _noise(sentence: str) -> Diagnosis:
    return Diagnosis("noise", sentence, (), CERTAIN)


def _experiment(
    report: GradientReport,
    grad: Callable[..., Any],
    problem: Problem,
    analytic: Analytic,
    call: Call,
    options: Options,
) -> Diagnosis | None:
    blocks = problem.blocks
    wide = all(block.dtype.itemsize >= 8 for block in blocks)
    work = problem.evaluator.work
    work = work if wide else WorkCopy(problem.structure, blocks, None, call.in_place)
    watch = Evaluator(grad, work)

    def gradient(shift: Array | None = None) -> Array:
        try:
            if shift is not None:
                work.move(shift, 1.0)
            params = work.fresh() if call.copy else work.params
            found = grad(*call.args) if call.in_place else grad(params, *call.args)
            vector = gradient_vector(found, problem.structure, blocks)[0]
        finally:
            if shift is not None:
                work.reset()
        if shift is None:
            watch.require_unchanged("grad")
        return vector

    if analytic.unrepeated:
        return _repeats(gradient(), gradient(), analytic)
    known = any(diagnosis.code not in UNSURE for diagnosis in report.diagnoses)
    if known or options.eps is not None or options.scheme == COMPLEX_STEP.name:
        return None  # a given step promises a number of evaluations
    away = AWAY * random_weights(problem.size, options.seed, 6) * problem.scale
    problem.evaluator.along(away, (1.0,))
    after_func = gradient()
    gradient(away)
    for vector, what in ((after_func, "func"), (gradient(), "grad")):
        changed = _names(blocks, _differs(vector, analytic))
        if changed:
            sentence = (
                f"grad in {_listed(changed)} changed at the same parameters after {what} was "
                f"called at others: it {CACHE}"
            )
            return Diagnosis("stale", sentence, changed, CERTAIN)
    return _unseen(gradient, problem, analytic, away, options, report.noise)


def _repeats(third: Array, fourth: Array, analytic: Analytic) -> Diagnosis:
    """Tell a gradient that settles, or adds up, from one that is random."""
    if not _differs(fourth, replace(analytic, vector=third, jitter=0.0)).any():
        return Diagnosis("stale", f"{analytic.unrepeated}: it {CACHE}", (), CERTAIN)
    if not _differs(fourth - third, replace(analytic, jitter=0.0)).any():
        return Diagnosis(
            "stale", f"{analytic.unrepeated}: it adds to what the call before left", (), CERTAIN
        )
    return _noise(analytic.unrepeated)


def _unseen(
    gradient: Callable[[Array], Array],
    problem: Problem,
    analytic: Analytic,
    away: Array,
    options: Options,
    noise: float,
) -> Diagnosis | None:
    """Name the blocks that the gradient does not follow."""
    unseen = []
    along = random_weights(problem.size, options.seed, 7) * problem.scale
    for block in problem.blocks[:MOST_BLOCKS]:
        shift = np.zeros(problem.size)
        shift[block.window] = away[block.window]
        same = block.size > 0 and np.array_equal(gradient(shift), analytic.vector)
        if same and _changes(problem, along, shift, noise):
            unseen.append(block.name)
    if not unseen or not np.any(analytic.vector):
        return None
    names = tuple(unseen)
    sentence = (
        f"grad stays the same, bit for bit, at another {_listed(names)}, and numeric does not: "
        f"it leaves out a term or a factor, or {CACHE}"
    )
    return Diagnosis("stale", sentence, names, CERTAIN)


def _changes(problem: Problem, along: Array, shift: Array, sigma: float) -> bool:
    """Return whether the derivative along a direction is another one after a shift."""
    ends = [
        float(problem.evaluator.along(base * shift + sign * STEP * along, (1.0,))[0])
        for base in (0.0, 1.0)
        for sign in (1.0, -1.0)
    ]
    here, there = ends[0] - ends[1], ends[2] - ends[3]
    noise = max(64 * 2.0**-52 * max(map(abs, ends)), problem.jitter, 8 * sigma)
    changed = abs(here - there) > CHANGED * max(abs(here), abs(there)) + 4 * noise
    return math.isfinite(here - there) and changed


def _differs(vector: Array, analytic: Analytic) -> Array:
    """Return where a gradient at θ is not what it was (bool)."""
    size = float(np.abs(analytic.vector).max(initial=0.0))
    narrow = 64 * max(analytic.precision, default=0.0)
    gap = np.abs(vector - analytic.vector)
    differs: Array = ~(gap <= max(SAME, narrow) * size + 4 * analytic.jitter)
    return differs


def _names(blocks: tuple[Block, ...], which: Array) -> tuple[str, ...]:
    return tuple(block.name for block in blocks if which[block.window].any())


def _listed(names: tuple[str, ...]) -> str:
    clean = [shown(name) for name in names]
    return " and ".join(clean) if len(clean) == 2 else listing(clean, 4)
