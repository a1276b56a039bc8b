"""Parameters that were wrong in the last run are differenced before all others.

Whoever implements the hook ``gradcheck_suspects`` remembers them; here they are found again by
their labels, and confirmed in the way that every parameter is before it is accused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._difference.stencils import COMPLEX_STEP
from .._difference.sweep import AGREE, DISAGREE, Sweep, central_row, noise_of, sweep, value_size
from .._evaluate.evaluator import BudgetExhausted
from .._evaluate.problem import Analytic, Problem
from .._options import Options
from .._params.layout import coordinate_of
from .._quoting import quoted
from ..hookspecs import plugin_manager
from .judge import judge
from .tolerance import Tolerance

Array = np.ndarray[Any, Any]

MOST = 20
"""So many parameters are looked at first."""

COST = 16
"""Evaluations that one of them is allowed for, of those that ``max_evals`` leaves over."""

CLEAR = 1e-9
"""Of the block's gradient: an error below this is left to the whole check, because tolerances are
known to it that few parameters do not tell."""


@dataclass(frozen=True)
class Again:
    """Parameters that were wrong in the last run and still are.

    Parameters
    ----------
    found : Sweep
        They alone are in it.
    limits : Tolerance
    reason : str
        The sentence for the report.
    """

    found: Sweep
    limits: Tolerance
    reason: str


def remembered() -> Sequence[str]:
    """Return the labels of parameters that were wrong in the last run.

    Called at the beginning of every check: whoever remembers counts them.
    """
    labels: list[str] = []
    for said in plugin_manager().hook.gradcheck_suspects():
        if not isinstance(said, (list, tuple)) or not all(isinstance(one, str) for one in said):
            raise TypeError(
                f"gradcheck_suspects returned {quoted(said)}; return a list or tuple of labels "
                '("W2[1, 3]"), or None'
            )
        labels += said
    return labels


def look_again(
    problem: Problem, analytic: Analytic, options: Options, asked: Sequence[str]
) -> Again | None:
    """Difference what was wrong in the last run; return it if any of it still is.

    Parameters
    ----------
    problem : Problem
    analytic : Analytic
    options : Options
    asked : sequence of str
        Labels; unknown ones are passed over.

    Returns
    -------
    Again or None
        None: the whole check is to be made, and is not influenced.
    """
    if not asked:
        return None
    places = [coordinate_of(problem.blocks, label) for label in asked[:MOST]]
    which = np.unique([i for i in places if i is not None]).astype(np.intp)
    # A given step or the complex one promises a number of evaluations, and is never refined.
    fixed = options.eps is not None or options.scheme == COMPLEX_STEP.name
    if fixed or not which.size or not _affordable(which.size, problem, options):
        return None
    try:
        noise = noise_of(problem, options)
        size = value_size(problem, analytic.vector)
        chosen = [which[(which >= b.start) & (which < b.stop)] - b.start for b in problem.blocks]
        row = central_row(options)
        found = sweep(problem, row, noise, options, size, chosen)
    except BudgetExhausted:
        return None
    # Tolerances are relative to the block: the analytic gradient stands in for what was not
    # differenced.
    outcome = found.outcome
    left = np.ones(problem.size, dtype=bool)
    left[which] = False
    finite = left & np.isfinite(analytic.vector)
    outcome.numeric[finite] = analytic.vector[finite]
    limits = judge(problem, analytic, options, found)
    outcome.numeric[left] = np.nan
    # Of the others nothing is said, of those that can't be told neither.
    outcome.verdict[left | (outcome.verdict != DISAGREE)] = AGREE
    with np.errstate(invalid="ignore"):
        faint = np.abs(analytic.vector - outcome.numeric) <= CLEAR * limits.rms
    outcome.verdict[faint] = AGREE
    for i in [i for i in outcome.reasons if outcome.verdict[i] != DISAGREE]:
        del outcome.reasons[i]
    for i in [i for i in outcome.slopes if outcome.verdict[i] != DISAGREE]:
        del outcome.slopes[i]
    still = int(np.count_nonzero(outcome.verdict == DISAGREE))
    return Again(found, limits, _sentence(still)) if still else None


def _affordable(count: int, problem: Problem, options: Options) -> bool:
    """Return whether the whole check could still be made behind this, as if this had not been."""
    if options.max_evals is None:
        return True
    spare = options.max_evals - problem.evaluator.evaluations - 2 * problem.size
    return spare >= COST * (count + 2)


def _sentence(still: int) -> str:
    if still == 1:
        return "1 parameter that was wrong in the last run still is; the others were not checked"
    return (
        f"{still} parameters that were wrong in the last run still are; the others were not checked"
    )
