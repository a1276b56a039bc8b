"""From the stages of a check to what its report is made from."""

from __future__ import annotations

from functools import partial

from ._assemble import Finding
from ._compare import Tolerance
from ._coordinates import Sweep
from ._options import Options
from ._problem import Analytic, Problem
from ._upstream import acts_through


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
