"""The step that suits a formula, and where it is taken in the floats that func gets.

The step of a parameter balances rounding against truncation: h = C·s·(σ/V)^(1/(p + 1)) for a
formula of order p, with s the parameter's scale, σ the noise of func and V the size of its
values (W. H. Press et al., *Numerical Recipes*, 3rd ed., section 5.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._constants import LARGEST_STEP, QUIETEST, STEP_FACTOR
from .stencils import Stencil

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Points:
    """Where func is evaluated for a block: values, shape (n, k), in the dtype that func gets.

    There is a column for each of `offsets`, those of the stencil that are not 0; `taken`, shape
    (n,), is the step to divide by.
    """

    values: Array
    taken: Array
    offsets: tuple[float, ...]


def relative_step(row: Stencil, noise: float, size: float) -> float:
    """Return h/s for a func with noise σ and values of size V."""
    ratio = noise / size if size > 0 else 0.0
    balanced = STEP_FACTOR * float(max(ratio, QUIETEST)) ** (1.0 / (row.order + 1))
    return float(min(balanced, LARGEST_STEP) / row.reach)


def points(theta: Array, step: Array, row: Stencil, *, exact: bool) -> Points:
    """Lay out the evaluations for a block at θ, (n,), in the dtype that func gets.

    `exact`: θ + o·step as it is rounded, divided by `step` itself, as for an explicit ``eps``. Else
    the step is changed so that it is exactly representable next to θ, and what is divided by is
    what was really taken.
    """
    offsets = row.steps
    wide = np.result_type(theta.dtype, np.float64)
    base = theta.astype(wide)
    h = step.astype(wide)
    if not exact:
        reach = (np.abs(theta) + (row.reach * h).astype(theta.dtype)).astype(theta.dtype)
        grain = np.spacing(reach).astype(wide)
        h = np.maximum(np.round(h / grain), 1.0) * grain
    values = (base[:, None] + h[:, None] * np.array(offsets)[None, :]).astype(theta.dtype)
    if exact:
        return Points(values, h, offsets)
    ends = np.concatenate([values, theta[:, None]], axis=1).astype(wide)
    span = max(*offsets, 0.0) - min(*offsets, 0.0)
    return Points(values, (ends.max(axis=1) - ends.min(axis=1)) / span, offsets)
