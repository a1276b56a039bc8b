"""Where in the user's code wrong numbers are made: grad is called once more, under a tracer.

It is called after everything else, and only where a gradient is wrong.  What goes wrong here is
nobody's concern: the check is done, and its report then names no lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._evaluate.problem import Problem, work_of_grad
from .._report.assemble import Rows
from .._report.report import VERDICTS, BlockReport
from .._source.lines import SourceLine, lines_of
from .._source.trace import run_by, traced
from .._verdict.tolerance import AGREE, DISAGREE

Array = np.ndarray[Any, Any]


def with_lines(rows: Rows, grad: Any, problem: Problem) -> Rows:
    """Return what a check found with the lines that made what is wrong."""
    if rows.verdict != DISAGREE or not (callable(grad) or grad is True):
        return rows
    call, evaluator = problem.call, problem.evaluator

    def beside() -> Any:  # func returns the gradient as well
        evaluator.at_theta()
        return evaluator.gradients[0]

    def gradient() -> Any:
        with work_of_grad(problem) as work:
            params = work.fresh() if call.copy else work.params
            return grad(*call.args) if call.in_place else grad(params, *call.args)

    func = None if grad is True else call.func
    enters = any(diagnosis.code == "backward" for diagnosis in rows.diagnoses)
    call_grad = beside if grad is True else gradient
    where = rows.evidence.verdict == DISAGREE if rows.evidence is not None else None
    lines = lines_behind(call_grad, func, problem, rows.blocks, enters, where)
    return replace(rows, lines=lines)


def lines_behind(
    call: Callable[[], Any],
    func: Callable[..., Any] | None,
    problem: Problem,
    blocks: Sequence[BlockReport],
    enters: bool = False,
    where: Array | None = None,
) -> tuple[SourceLine, ...]:
    """Return the lines that made the wrong ones of some blocks of what `call` returns.

    What `func` runs is right; `enters`: the error enters a backward pass next to a right block;
    `where`, shape (n,), are the coordinates that are wrong (bool).
    """
    try:
        with problem.evaluator.quiet():
            value, seen = traced(call)
        wrong = {block.name: block.code for block in blocks if block.wrong}
        right = [block.name for block in blocks if _is_right(block)]
        names = [block.name for block in blocks]
        last = max(map(names.index, wrong), default=0)
        after = next((name for name in right if names.index(name) > last), "") if enters else ""
        innocent = run_by(func) if func is not None else set()
        return () if seen.over else lines_of(value, seen, wrong, right, innocent, after, where)
    except Exception:
        return ()


def _is_right(block: BlockReport) -> bool:
    """Return whether a block acquits what it comes from."""
    whole = 0 < block.size == block.checked
    return whole and block.verdict == VERDICTS[AGREE] and not block.vacuous
