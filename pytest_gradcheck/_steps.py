"""Step sizes, and the step really taken.

The step of a parameter balances rounding against truncation: h = C·s·(σ/V)^(1/(p + 1)) for a
formula of order p, with s the parameter's scale, σ the noise of func and V the size of its
values (W. H. Press et al., *Numerical Recipes*, 3rd ed., section 5.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._stencils import Stencil

Array = np.ndarray[Any, Any]

SMALLEST_SCALE = 1e-3
"""A parameter near zero is stepped as one of this part of its block's median."""

LARGEST_STEP = 0.05
"""The first step is at most this part of the parameter's scale."""

STEP_FACTOR = 2.0
"""C: the third derivative of most functions is smaller than V/s³, so the balance lies higher."""


def middle(values: Array) -> float:
    """Return the median of some numbers, which may be reordered.

    `numpy.median` takes ten times as long on few of them, and a copy of many.
    """
    half = values.size // 2
    if values.size > FEW:
        values.partition((values.size - 1 - half, half))
    else:
        values = np.sort(values)
    return 0.5 * float(values[half]) + 0.5 * float(values[~half])


@dataclass(frozen=True)
class Scale:
    """The scale of a block's coordinates: ``|θ|``, held above zero by two numbers.

    Parameters
    ----------
    floor : float
        10⁻³ of the median of the block's non-zero entries, or of 1 where that is smaller.
    at_zero : float
        That median, or 1 where all are zero.
    """

    floor: float
    at_zero: float

    def of(self, theta: Array) -> Array:
        """Return the scale of each coordinate.

        Parameters
        ----------
        theta : ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n,), float64
        """
        size = np.abs(theta).astype(np.float64, copy=False)
        zero = size == 0
        np.maximum(size, self.floor, out=size)
        size[zero] = self.at_zero
        return size.clip(LEAST_SCALE, MOST_SCALE, out=size)


def scale_of(theta: Array) -> Scale:
    """Return how the coordinates of a block are scaled.

    Parameters
    ----------
    theta : ndarray, shape (n,)
    """
    size = np.abs(theta).astype(np.float64, copy=False)
    if np.count_nonzero(size) < size.size:
        size = size[size > 0]
    median = middle(size) if size.size else 1.0
    return Scale(SMALLEST_SCALE * min(median, 1.0), median)


FEW = 4096
"""Up to so many numbers sorting is faster than partitioning."""

LEAST_SCALE = float(np.finfo(np.float64).tiny) * 1e6
"""Room for a step below a scale that is itself subnormal."""

MOST_SCALE = float(np.finfo(np.float64).max) / 16
"""And room for a weight and a step above the largest."""


@dataclass(frozen=True)
class Points:
    """Where func is evaluated for a block.

    Parameters
    ----------
    values : ndarray, shape (n, k)
        The parameter at each offset of the stencil that is not 0, in the dtype func gets.
    taken : ndarray, shape (n,)
        The step to divide by.
    offsets : tuple of float
        Those of the columns of `values`.
    """

    values: Array
    taken: Array
    offsets: tuple[float, ...]


def relative_step(row: Stencil, noise: float, size: float) -> float:
    """Return h/s for a func with noise σ and values of size V."""
    ratio = noise / size if size > 0 else 0.0
    floor = float(np.finfo(np.float64).eps) / 4
    balanced = STEP_FACTOR * float(max(ratio, floor)) ** (1.0 / (row.order + 1))
    return float(min(balanced, LARGEST_STEP) / row.reach)


def points(theta: Array, step: Array, row: Stencil, *, exact: bool) -> Points:
    """Lay out the evaluations for a block.

    Parameters
    ----------
    theta : ndarray, shape (n,)
        The coordinates, in the dtype that func gets.
    step : ndarray, shape (n,)
        The step wanted.
    row : Stencil
        The formula.
    exact : bool
        True: θ + o·step as it is rounded, divided by `step` itself, as for an explicit ``eps``.
        False: the step is changed so that it is exactly representable next to θ, and what is
        divided by is what was really taken.

    Returns
    -------
    Points
    """
    offsets = tuple(float(offset) for offset in row.offsets if offset != 0)
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


def derivatives(values: Array, center: Any, row: Stencil, taken: Array) -> Array:
    """Apply a formula.

    Parameters
    ----------
    values : ndarray, shape (n, k)
        Of func, at the offsets that are not 0.
    center : float
        func at θ.
    row : Stencil
    taken : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,), float64
        NaN where a value is not finite: an infinite slope would be within any tolerance.
    """
    weights = [float(w) for o, w in zip(row.offsets, row.weights, strict=True) if o != 0]
    with np.errstate(all="ignore"):
        if row.symmetric:
            # Differences of pairs first: each is small and exact to the last bits.
            half = len(weights) // 2
            total = sum(weights[j] * (values[:, j] - values[:, -1 - j]) for j in range(half))
        else:
            # The weight of the value at θ is what makes their sum zero.
            total = sum(w * (values[:, j] - center) for j, w in enumerate(weights))
        slopes = np.asarray(total / taken, dtype=np.float64)
    return np.where(np.isfinite(slopes), slopes, np.nan)
