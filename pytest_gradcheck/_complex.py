"""The complex step: one evaluation per coordinate, no subtraction, no noise.

f'(x) = Im f(x + ih)/h + O(h²), with h so small that h² is nothing (W. Squire and G. Trapp, SIAM
Review 40, 1998).  func must be analytic in its parameters as it is written: no abs, no conjugate,
no comparison, and nothing that drops an imaginary part.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _coordinates as coordinates
from ._coordinates import Sweep
from ._ladder import FLOOR
from ._names import brief
from ._noise import from_values
from ._options import Options
from ._probes import sample
from ._problem import Problem
from ._stencils import COMPLEX_STEP

Array = np.ndarray[Any, Any]

STEP = 1e-20
"""In parts of the parameter's scale: its square is below the smallest rounding of anything."""


def complex_sweep(problem: Problem, options: Options) -> Sweep:
    """Difference every coordinate by the complex step.

    Parameters
    ----------
    problem : Problem
    options : Options
        ``eps`` given: that step.

    Returns
    -------
    Sweep

    Raises
    ------
    TypeError
        When a parameter is complex already or perturbed in place, or func's value for complex
        parameters is real or no number.
    """
    work = problem.evaluator.work
    for block in problem.blocks:
        if block.is_complex:
            raise TypeError(
                f'scheme="complex": {brief(block.name)} is complex already; use "central"'
            )
    if work.in_place:
        raise TypeError(
            'scheme="complex": real arrays can\'t be perturbed in place by an imaginary step'
        )
    noise = from_values(np.array([problem.center]), problem.jitter)
    found = coordinates.nothing(problem, noise, COMPLEX_STEP.title)
    arrays = [
        np.array(value, dtype=complex)
        if leaf.is_array
        else complex(value)
        if position in {block.leaf for block in problem.blocks}
        else value
        for position, (leaf, value) in enumerate(
            zip(problem.structure.leaves, work.values, strict=True)
        )
    ]
    left = problem.size
    if options.max_evals is not None:
        left = max(options.max_evals - problem.evaluator.evaluations, 0)
    picked = sample(problem.size, left, options.seed)
    for block in problem.blocks:
        value = arrays[block.leaf]
        steps = (
            np.full(block.size, options.eps)
            if options.eps is not None
            else STEP * problem.scale[block.window]
        )
        for i in (picked[(picked >= block.start) & (picked < block.stop)] - block.start).tolist():
            h = float(steps[i])
            if isinstance(value, np.ndarray):
                theta = value.flat[i]
                value.flat[i] = theta + 1j * h
                out = _imaginary(problem, problem.structure.rebuild(arrays), block.label(i))
                value.flat[i] = theta
            else:
                changed = list(arrays)
                changed[block.leaf] = value + 1j * h
                out = _imaginary(problem, problem.structure.rebuild(changed), block.label(i))
            place = block.start + i
            found.outcome.numeric[place] = out / h
            found.outcome.error[place] = 4 * FLOOR * abs(out / h)
            found.step[place] = h
            found.flat[place] = out == 0
    return found


def _imaginary(problem: Problem, params: Any, label: str) -> float:
    problem.evaluator.spend()
    try:
        with np.errstate(all="ignore"):
            out = np.asarray(problem.evaluator.call(params))
    except TypeError as error:
        error.add_note(
            f"gradcheck: func got complex parameters ({brief(label)} + ih), because of "
            'scheme="complex"; use "central" if it can\'t take them'
        )
        raise
    if out.size != 1 or out.dtype.kind != "c":
        raise TypeError(
            f'scheme="complex": func returned {out.dtype} of shape {out.shape} for complex '
            "parameters; it must return one complex number (something in it drops the imaginary "
            'part), or use "central"'
        )
    return float(out.reshape(()).imag)
