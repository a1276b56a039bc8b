"""Parameters that were wrong in the last run are differenced before all others.

Whoever implements the hook ``gradcheck_suspects`` remembers them; here they are found again by
their labels, and confirmed in the way that every parameter is before it is accused. Where a whole
check takes no time to speak of it is made at once: it says more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._constants import SUSPECT_ERROR, SUSPECT_EVALUATIONS, SUSPECTS, WHOLE_AGAIN
from .._difference.stencils import at_one_step
from .._difference.sweep import Sweep, central_row, noise_of, sweep, value_size
from .._evaluate.evaluator import BudgetExhausted
from .._evaluate.problem import Analytic, Problem
from .._options import Options
from .._params.layout import coordinate_of
from .._quoting import quoted
from ..hookspecs import plugin_manager
from .comparison import Comparison
from .judge import judge
from .tolerance import AGREE, DISAGREE


@dataclass(frozen=True)
class Again:
    """Parameters that were wrong in the last run and still are; they alone are in the sweep.

    They alone disagree, and nothing is open; `reason` is the sentence for the report.
    """

    sweep: Sweep
    comparison: Comparison
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
    problem: Problem, analytic: Analytic, options: Options, asked: Sequence[str], whole: int
) -> Again | None:
    """Difference what was wrong in the last run; return it if any of it still is.

    Unknown labels are passed over.  Where nothing is returned the whole check, of about `whole`
    evaluations, is to be made, and is not influenced.
    """
    if not asked or problem.evaluator.seconds * whole <= WHOLE_AGAIN:
        return None
    places = [coordinate_of(problem.blocks, label) for label in asked[:SUSPECTS]]
    which = np.unique([i for i in places if i is not None]).astype(np.intp)
    if at_one_step(options) or not which.size or not _affordable(which.size, problem, options):
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
    a = analytic.vector
    left = np.ones(problem.size, dtype=bool)
    left[which] = False
    numeric, finite = found.numeric.copy(), left & np.isfinite(a)
    numeric[finite] = a[finite]
    made = judge(problem, analytic, replace(found, numeric=numeric), options)
    numeric = np.where(left, np.nan, made.numeric)
    with np.errstate(invalid="ignore"):
        faint = np.abs(a - numeric) <= SUSPECT_ERROR * made.tolerance.rms
    # Of the others nothing is said, of those that can't be told neither.
    wrong = (made.verdict == DISAGREE) & ~left & ~faint
    still = int(np.count_nonzero(wrong))
    if not still:
        return None
    made = replace(
        made,
        numeric=numeric,
        verdict=np.where(wrong, DISAGREE, AGREE).astype(np.int8),
        reasons={i: reason for i, reason in made.reasons.items() if wrong[i]},
        slopes={i: slopes for i, slopes in made.slopes.items() if wrong[i]},
    )
    return Again(found, made, _sentence(still))


def _affordable(count: int, problem: Problem, options: Options) -> bool:
    """Return whether the whole check could still be made behind this, as if this had not been."""
    if options.max_evals is None:
        return True
    spare = options.max_evals - problem.evaluator.evaluations - 2 * problem.size
    return spare >= SUSPECT_EVALUATIONS * (count + 2)


def _sentence(still: int) -> str:
    if still == 1:
        return "1 parameter that was wrong in the last run still is; the others were not checked"
    return (
        f"{still} parameters that were wrong in the last run still are; the others were not checked"
    )
