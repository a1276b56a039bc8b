"""The analytic gradient: evaluated twice, to see that it repeats itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._analytic import gradient_vector
from ._blocks import Block, labels
from ._call import calling
from ._differences import Evaluator
from ._kinds import same_bits
from ._names import brief
from ._options import Options
from ._problem import Analytic, Call, Problem
from ._work import WorkCopy

Array = np.ndarray[Any, Any]

GRADIENT_REPEATS_WITHIN = 1e-10
"""Two gradients may differ by this part of their largest entry, in float64."""


def evaluate_gradient(grad: Any, problem: Problem, call: Call, options: Options) -> Analytic:
    """Return the analytic gradient; a callable is called twice to see that it repeats itself.

    Parameters
    ----------
    grad : callable, True, or object
        True: what func returned at θ is used.
    problem : Problem
    call : Call
    options : Options

    Returns
    -------
    Analytic
    """
    structure, blocks = problem.structure, problem.blocks
    found = list(problem.gradients)
    if grad is not True and not callable(grad):
        found = [gradient_vector(grad, structure, blocks)]
    if callable(grad):
        # grad sees the parameters in the user's own precision, func perhaps in float64.
        wide = all(block.dtype.itemsize >= 8 for block in blocks)
        work = problem.evaluator.work
        work = work if wide else WorkCopy(structure, blocks, None, call.in_place)
        watch = Evaluator(grad, work)
        for _ in range(2):
            work.set_aside()
            params = work.fresh() if call.copy else work.params
            with calling(call.form("grad"), params):
                gradient = grad(*call.args) if call.in_place else grad(params, *call.args)
            found.append(gradient_vector(gradient, structure, blocks))
            del gradient  # of a million parameters: before the next one is made
            watch.require_unchanged("grad")
    vector, dtypes = found[0]
    gap = repetition(vector, found[-1][0], dtypes, blocks, options)
    return Analytic(vector, gradient_precision(dtypes), *gap)


def gradient_precision(dtypes: Sequence[np.dtype[Any]]) -> tuple[float, ...]:
    """Return the machine epsilon of each block of a gradient, float64's at the least."""
    return tuple(max(float(np.finfo(dtype).eps), 2.0**-52) for dtype in dtypes)


def repetition(
    first: Array,
    second: Array,
    dtypes: Sequence[np.dtype[Any]],
    blocks: Sequence[Block],
    options: Options,
    what: str = "grad",
) -> tuple[Any, str]:
    """Return by how much two gradients differ, and the sentence when that is too much."""
    if first is second or same_bits(first, second):
        return 0.0, ""
    if np.array_equal(first, second, equal_nan=True):  # -0.0 equals 0.0
        return 0.0, ""
    with np.errstate(invalid="ignore"):
        gap = np.abs(first - second).astype(np.float64)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    gap[same] = 0.0
    finite = np.abs(first[np.isfinite(first)])
    largest = float(finite.max()) if finite.size else 0.0
    narrow = max((float(np.finfo(dtype).eps) for dtype in dtypes), default=0.0)
    allowed = max(GRADIENT_REPEATS_WITHIN, 64 * narrow) * largest + options.nondet_tol
    bad = ~(gap <= allowed)
    if not bad.any():
        return gap, ""
    worst = int(np.argmax(np.where(np.isnan(gap), math.inf, gap)))
    return gap, (
        f"{what} does not repeat itself: {brief(labels(blocks)(worst))} is "
        f"{float(first[worst])!r}, then {float(second[worst])!r}, at the same parameters"
    )
