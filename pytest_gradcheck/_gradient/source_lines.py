"""Where in the user's code wrong numbers are made: grad is called once more, under a tracer.

It is called after everything else, and only where a gradient is wrong.  What goes wrong here is
nobody's concern: the check is done, and its report then names no lines.
"""

from __future__ import annotations

from dataclasses import replace
from types import CodeType
from typing import Any

from .._evaluate.problem import Problem, work_of_grad
from .._report.assemble import Rows
from .._source.lines import SourceLine, lines_of
from .._source.trace import run_by, traced
from .._verdict.tolerance import DISAGREE


def with_lines(rows: Rows, grad: Any, problem: Problem) -> Rows:
    """Return what a check found with the lines that made what is wrong."""
    if rows.verdict != DISAGREE or not (callable(grad) or grad is True):
        return rows
    try:
        with problem.evaluator.quiet():
            return replace(rows, lines=_lines(rows, grad, problem))
    except Exception:
        return rows


def _lines(rows: Rows, grad: Any, problem: Problem) -> tuple[SourceLine, ...]:
    call, evaluator = problem.call, problem.evaluator
    if grad is True:  # func returns the gradient as well
        _, seen = traced(evaluator.at_theta)
        gradient, innocent = evaluator.gradients[0], set[CodeType]()
    else:
        with work_of_grad(problem) as work:
            params = work.fresh() if call.copy else work.params
            given = call.args if call.in_place else (params, *call.args)
            gradient, seen = traced(lambda: grad(*given))
        innocent = run_by(call.func)
    if seen.over:  # the rest is not known, and may have changed everything
        return ()
    wrong = {block.name: block.code for block in rows.blocks if block.wrong}
    right = [
        block.name
        for block in rows.blocks
        if block.verdict == "agree" and not block.vacuous and (block.checked or rows.directions)
    ]
    return lines_of(gradient, seen, wrong, right, innocent)
