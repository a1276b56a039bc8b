"""From the stages of a check to what its report is made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ._assemble import GIVEN, Finding
from ._blocks import Block
from ._compare import Outcome, Tolerance, within
from ._coordinates import Sweep
from ._options import Options
from ._problem import Analytic, Problem
from ._question import AGREE, DISAGREE
from ._structure import Structure
from ._upstream import acts_through

Array = np.ndarray[Any, Any]


def finding_of(
    name: str,
    problem: Problem,
    analytic: Analytic,
    found: Sweep,
    limits: Tolerance,
    reasons: tuple[str, ...],
    options: Options,
) -> Finding:
    """Return what a report is made from, of a check that differenced parameters one by one.

    Parameters
    ----------
    name : str
        func's name.
    problem, analytic : Problem, Analytic
    found : Sweep
    limits : Tolerance
    reasons : tuple of str
        Why nothing was differenced, or not all.
    options : Options

    Returns
    -------
    Finding
    """
    return Finding(
        name=name,
        structure=problem.structure,
        blocks=problem.blocks,
        theta=problem.theta,
        scale=problem.scale,
        analytic=analytic.vector,
        outcome=found.outcome,
        limits=limits,
        flat=found.flat,
        evaluated=found.step > 0,
        value=float(problem.center),
        noise=found.noise.sigma,
        precision=found.noise.format,
        precision_of=analytic.precision,
        evaluations=problem.evaluator.evaluations,
        scheme=found.title,
        reasons=reasons,
        ladders=found.ladders,
        upstream=partial(acts_through, problem, options, found.noise.sigma),
    )


def finding_of_two(
    analytic: Array,
    numeric: Array,
    bar: Array,
    limits: Tolerance,
    *,
    name: str,
    scheme: str,
    structure: Structure,
    blocks: Sequence[Block],
    evaluations: int = 0,
    precision_of: Sequence[float] = (),
    may_be_zero: frozenset[str] = frozenset(),
) -> Finding:
    """Return what a report is made from, of two gradients of which none was differenced here.

    Parameters
    ----------
    analytic, numeric, bar : ndarray, shape (n,)
        `bar` is the error bar of `numeric`, which is the one that is right.
    limits : Tolerance
    name, scheme, structure, blocks, evaluations, precision_of, may_be_zero
        As `Finding` has them.

    Returns
    -------
    Finding
    """
    n = analytic.size
    outcome = Outcome(numeric, bar, np.full(n, np.inf), np.zeros(n, np.int8))
    finite = np.isfinite(analytic) & np.isfinite(numeric)
    outcome.verdict[:] = np.where(within(outcome, analytic, limits) & finite, AGREE, DISAGREE)
    return Finding(
        name=name,
        structure=structure,
        blocks=blocks,
        theta=numeric,  # there are no parameters: nothing is said of them
        scale=np.ones(n),
        analytic=analytic,
        outcome=outcome,
        limits=limits,
        flat=numeric == 0,
        evaluated=np.ones(n, dtype=bool),
        value=math.nan,
        noise=0.0,
        precision=GIVEN,
        precision_of=tuple(precision_of),
        evaluations=evaluations,
        scheme=scheme,
        may_be_zero=may_be_zero,
    )
