"""Parameters that were wrong in the last run are differenced before all others.

Whoever sets `hookspecs.suspects` remembers them; here they are found again by their labels, and
confirmed in the way that every parameter is before it is accused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import _coordinates as coordinates
from ._blocks import Block
from ._compare import Tolerance
from ._differences import BudgetExhausted
from ._judge import judge
from ._options import Options
from ._problem import Analytic, Problem
from ._question import AGREE, DISAGREE
from ._report import VERDICTS, BlockReport, GradientReport
from ._stencils import COMPLEX_STEP
from .hookspecs import suspects

Array = np.ndarray[Any, Any]

MOST = 20
"""So many parameters are looked at first."""

COST = 16
"""Evaluations that one of them is allowed for, of those that ``max_evals`` leaves over."""

CLEAR = 1e-9
"""Of the block's gradient: an error below this is left to the whole check, because tolerances are
known to it that few parameters do not tell."""

_INDEX = re.compile(r"(?:\[([0-9, ]*)\])?(\.real|\.imag)?")


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

    found: coordinates.Sweep
    limits: Tolerance
    reason: str


def coordinate_of(blocks: Sequence[Block], label: str) -> int | None:
    """Return the coordinate with a label, or None if there is none (any more)."""
    for block in blocks:
        if not label.startswith(block.name):
            continue
        match = _INDEX.fullmatch(label, len(block.name))
        if match is None:
            continue
        index = tuple(int(part) for part in (match[1] or "").replace(",", " ").split())
        fits = len(index) == len(block.shape)
        if not fits or any(i >= n for i, n in zip(index, block.shape, strict=True)):
            continue
        entry = int(np.ravel_multi_index(index, block.shape)) if block.shape else 0
        offset = 2 * entry + (match[2] == ".imag") if block.is_complex else entry
        if offset < block.size and block.label(offset) == label:
            return block.start + offset
    return None


def remembered() -> Sequence[str]:
    """Return the labels of parameters that were wrong in the last run.

    Called at the beginning of every check: whoever remembers counts them.
    """
    ask = suspects.get()
    return () if ask is None else ask()


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
        noise = coordinates.noise_of(problem, options)
        size = coordinates.value_size(problem, analytic.vector)
        chosen = [which[(which >= b.start) & (which < b.stop)] - b.start for b in problem.blocks]
        row = coordinates.central_row(options)
        found = coordinates.sweep(problem, row, noise, options, size, chosen)
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


def of_suspects(report: GradientReport) -> GradientReport:
    """Return a report that claims nothing of the parameters that were not looked at."""
    whole = {block.name for block in report.blocks if block.checked == block.size}
    blocks = tuple(
        block if block.name in whole else _partly(block, told=bool(block.wrong))
        for block in report.blocks
    )
    # A factor explains the one entry that was looked at, whatever the others are.
    diagnoses = tuple(one for one in report.diagnoses if whole.issuperset(one.blocks))
    return replace(report, blocks=blocks, diagnoses=diagnoses, vacuous=(), repeated=True)


def _partly(block: BlockReport, told: bool) -> BlockReport:
    verdict = block.verdict if told else VERDICTS[2]
    return replace(block, verdict=verdict, vacuous=told and block.vacuous, hint="", code="")
