"""One experiment after a check failed, to see whether grad remembers what was evaluated before.

A backward pass that reads what a forward pass left behind is right only where both see the same
parameters.  So grad is called at θ again, after func was evaluated elsewhere, and after grad was
called elsewhere; and a block whose gradient is the same elsewhere, bit for bit, while the numeric
one is not, was computed from something that did not follow.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._analytic import gradient_vector
from ._blocks import Block
from ._compare import Outcome
from ._differences import BudgetExhausted, Evaluator
from ._names import listing, shown
from ._options import Options
from ._probes import random_weights
from ._problem import Analytic, Call, Problem
from ._question import DISAGREE
from ._repair import CERTAIN, Diagnosis
from ._work import WorkCopy

Array = np.ndarray[Any, Any]

AWAY = 1e-2
"""How far away grad is called, in parts of the parameters' scales."""

STEP = 1e-4
"""Of a difference there; it need only show that the gradient changes by more than 10⁻⁴."""

CHANGED = 1e-4

SAME = 1e-9
"""By how much of their largest entry two gradients at θ may differ."""


def remembers(
    grad: Any, problem: Problem, analytic: Analytic, call: Call, options: Options, outcome: Outcome
) -> tuple[Diagnosis, ...]:
    """Return the diagnosis when grad depends on what was evaluated before, else nothing.

    Parameters
    ----------
    grad : object
        As the user gave it; only a callable can remember anything.
    problem, analytic : Problem, Analytic
    call : Call
    options : Options
    outcome : Outcome
        The verdicts, of which at least one is *disagree* for anything to be tried.

    Returns
    -------
    tuple of Diagnosis
    """
    wrong = outcome.verdict == DISAGREE
    if not callable(grad) or not wrong.any() or not np.isfinite(analytic.vector).all():
        return ()
    try:
        return _experiment(grad, problem, analytic, call, options, wrong)
    except BudgetExhausted:
        return ()
    except Exception:  # elsewhere grad may refuse in any way it likes; the check itself is done
        return ()


def _experiment(
    grad: Any, problem: Problem, analytic: Analytic, call: Call, options: Options, wrong: Array
) -> tuple[Diagnosis, ...]:
    blocks = problem.blocks
    wide = all(block.dtype.itemsize >= 8 for block in blocks)
    work = (
        problem.evaluator.work if wide else WorkCopy(problem.structure, blocks, None, call.in_place)
    )
    watch = Evaluator(grad, work)

    def gradient() -> Array:
        params = work.fresh() if call.copy else work.params
        found = grad(*call.args) if call.in_place else grad(params, *call.args)
        return gradient_vector(found, problem.structure, blocks)[0]

    # The last evaluations of func were elsewhere.
    after_func = gradient()
    watch.require_unchanged("grad")
    shift = random_weights(problem.size, options.seed, 6) * problem.scale
    try:
        work.move(shift, AWAY)
        elsewhere = gradient()
    finally:
        work.reset()
    again = gradient()
    watch.require_unchanged("grad")
    for vector, what in ((after_func, "func"), (again, "grad")):
        changed = _names(blocks, _differs(vector, analytic))
        if changed:
            return (
                Diagnosis(
                    "stale",
                    f"grad at the same parameters changed after {what} was called at others (in "
                    f"{_listed(changed)}): it reads what an earlier call left behind (a cache)",
                    changed,
                    CERTAIN,
                ),
            )
    kept = tuple(
        block
        for block in blocks
        if wrong[block.window].any()
        and np.any(analytic.vector[block.window])
        and np.array_equal(elsewhere[block.window], analytic.vector[block.window])
    )
    kept = tuple(block for block in kept if _moves(block, problem, shift, options))
    if not kept:
        return ()
    names = tuple(block.name for block in kept)
    return (
        Diagnosis(
            "stale",
            f"grad of {_listed(names)} is the same at other parameters, bit for bit, where numeric "
            "changes: it is computed from something that does not follow (a stale cache)",
            names,
            CERTAIN,
        ),
    )


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
    return listing([shown(name) for name in names], 4)


def _moves(block: Block, problem: Problem, shift: Array, options: Options) -> bool:
    """Return whether the block's own derivative differs between θ and the other point."""
    mine = np.zeros(problem.size)
    weights = random_weights(block.size, options.seed, 7, block.start)
    mine[block.window] = weights * problem.scale[block.window]
    # Four values at θ ± h and at the other point ± h, as shifts of θ themselves.
    ends = [
        _value(problem, base * AWAY * shift + sign * STEP * mine)
        for base in (0.0, 1.0)
        for sign in (1.0, -1.0)
    ]
    here, there = ends[0] - ends[1], ends[2] - ends[3]
    size = max(abs(here), abs(there))
    noise = 64 * 2.0**-52 * max(map(abs, ends))
    return math.isfinite(size) and abs(here - there) > CHANGED * size + noise


def _value(problem: Problem, shift: Array) -> float:
    return float(problem.evaluator.along(shift, (1.0,))[0])
