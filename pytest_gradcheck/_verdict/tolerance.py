"""The rule: |a − n| ≤ atol + rtol·max(|a|, |n|) + K·u, for one value or for all at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np

from .._constants import (
    COARSEST_RTOL,
    CONFIDENCE,
    DEMANDED_IN_BLOCK,
    DUST,
    FINEST_RTOL,
    LEAST_TERM,
    NARROW,
    STANDS_CLEAR,
)
from .._options import Options
from .._params.layout import Block

Array = np.ndarray[Any, Any]


class Verdict(IntEnum):
    """What is concluded of a coordinate."""

    AGREE = 0
    DISAGREE = 1
    OPEN = 2


AGREE, DISAGREE, OPEN = Verdict


NOISY = "func is too noisy here"
JUMP = "func jumps here"
NOT_SMOOTH = "func is not smooth at any step that its noise allows"
BENDS = "func bends, or is noisy, by as much within eps"
ROUNDED = "func is rounded, and moves in jumps here"
NOT_FINITE = "func is not finite near here"
EXHAUSTED = "max_evals reached"
KINK = "not differentiable here"
TOGETHER = "not a subgradient together with others at this kink"


@dataclass(frozen=True, eq=False)
class Tolerance:
    """What analytic values are judged by: one value and numbers, or vectors of shape (n,).

    By `dust` rounding in the analytic gradient itself may be off (see `within`); an error bar of
    ``goal_atol + goal_rtol·max(|a|, |n|)`` settles a value; `rms` is the block's gradient as one
    number, over the coordinate's scale.
    """

    analytic: Any
    rtol: Any = 0.0
    atol: Any = 0.0
    dust: Any = 0.0
    goal_rtol: Any = 0.0
    goal_atol: Any = 0.0
    rms: Any = 0.0

    def size(self, numeric: Any) -> Any:
        """Return max(|a|, |n|), which tolerances are relative to; |a| where n is NaN."""
        one, other = abs(self.analytic), abs(numeric)
        return np.fmax(one, other) if isinstance(one, np.ndarray) else max(one, other)

    def allowed(self, numeric: Any, error: Any) -> Any:
        """Return by how much analytic and numeric may differ, with the error bar `error`."""
        with np.errstate(all="ignore"):
            return self.atol + self.rtol * self.size(numeric) + CONFIDENCE * error

    def within(self, numeric: Any, error: Any) -> Any:
        """Return whether analytic and numeric are equal as far as `error` can tell."""
        with np.errstate(all="ignore"):
            gap = abs(self.analytic - numeric)
            # Terms that cancel leave dust in the analytic entry.  A numeric value that stands
            # clear of its error bar shows a gradient that is there, and dust is no excuse.
            dusty = (gap <= self.dust) & (abs(numeric) <= STANDS_CLEAR * CONFIDENCE * error)
            return (gap <= self.allowed(numeric, error)) | dusty

    def goal(self, numeric: Any) -> Any:
        """Return the error, K times its bar, at which agreement means something."""
        with np.errstate(all="ignore"):
            return self.goal_atol + self.goal_rtol * self.size(numeric)

    def settled(self, numeric: Any, error: Any) -> Any:
        """Return whether `error` is small enough for agreement to mean something."""
        return CONFIDENCE * error <= self.goal(numeric)

    def at(self, i: int) -> Tolerance:
        """Return what one coordinate is judged by."""
        return Tolerance(*(float(getattr(self, item.name)[i]) for item in fields(self)))


@dataclass(frozen=True)
class Answer:
    """What was found out of one coordinate."""

    value: float
    error: float
    verdict: Verdict
    reason: str = ""
    slopes: tuple[float, float] | None = None


def relative_difference(a: Array, b: Array) -> float:
    """Return ‖a − b‖₂ / (‖a‖₂ + ‖b‖₂) of two arrays of one shape, 0 when both are zero."""
    first, second = (x.astype(np.result_type(x.dtype, np.float64), copy=False) for x in (a, b))
    largest = max((float(np.max(np.abs(x))) for x in (first, second) if x.size), default=0.0)
    if largest == 0.0:
        return 0.0
    if not math.isfinite(largest):
        return math.nan if np.isnan(first).any() or np.isnan(second).any() else math.inf
    # By a power of two, which changes no digit.
    unit = 2.0 ** (math.frexp(largest)[1] - 1)
    scaled, other = first / unit, second / unit
    sizes = [math.sqrt(float(np.vdot(x, x).real)) for x in (scaled - other, scaled, other)]
    return sizes[0] / (sizes[1] + sizes[2])


def block_size(values: Array, scale: Array) -> float:
    """Return the root mean square of gradient times scale: the block's gradient as one number."""
    with np.errstate(over="ignore"):
        product = (values * scale).astype(np.float64)
    product = product[np.isfinite(product)]
    if not product.size:
        return 0.0
    largest = float(np.abs(product).max())
    if largest == 0.0:
        return 0.0
    return largest * math.sqrt(float(np.mean((product / largest) ** 2)))


def common_size(rms: Any) -> float:
    """Return a block's gradient as one number, over the scale that is common to its coordinates.

    The large ones count: of a tiny parameter the block's gradient over its own scale is no size.
    """
    least = float(np.min(rms, initial=math.inf))
    if not 0 < least < math.inf:
        return 0.0
    return least / math.sqrt(float(np.mean((least / rms) ** 2)))


def of_block(
    analytic: Any,
    own: float,
    scale: Any,
    eps: float,
    options: Options,
    fine: float = 0.0,
    value: float = 0.0,
) -> Tolerance:
    """Return the tolerances in a block, for one value or for a vector of them.

    `own` is the block's gradient as one number, `eps` the machine epsilon of the analytic one,
    `fine` the relative error bar that settles an entry when rtol is unset, `value` |J| at θ.
    """
    low = min(max(FINEST_RTOL, eps ** (2 / 3)), COARSEST_RTOL)
    rms = own / scale
    narrow = eps > NARROW
    rtol = low if options.rtol is None else options.rtol
    atol = options.atol
    if atol is None:
        atol = DUST * eps * rms if narrow else 0.0
        if options.rtol is not None:
            # An adjoint that is solved to rtol is off by that of its block, not of each entry.
            atol = np.maximum(atol, rtol * DEMANDED_IN_BLOCK * common_size(rms))
    # The terms that cancel may be as large as J itself, or larger when J is zero by that.
    dust = np.maximum(DUST * eps * rms, DUST * eps * max(value, LEAST_TERM) / scale)
    if options.rtol is None:
        goal = min(max(fine, 2 * low if narrow else 0.0), COARSEST_RTOL), atol
    else:
        goal = rtol, np.maximum(atol, rtol * DEMANDED_IN_BLOCK * rms)
    return Tolerance(analytic, rtol, atol, dust, *goal, rms)


def tolerance(
    analytic: Array,
    numeric: Array,
    scale: Array,
    blocks: Sequence[Block],
    precision: Sequence[float],
    options: Options,
    fine: float = 1.0,
    value: float = 0.0,
) -> Tolerance:
    """Return the tolerances of a gradient by each block's numeric gradient; see `of_block`.

    Vectors are of shape (n,), and `precision` has the machine epsilon of each block.
    """
    names = [item.name for item in fields(Tolerance)[1:]]
    columns = {name: np.empty(scale.size) for name in names}
    for block, eps in zip(blocks, precision, strict=True):
        w = block.window
        own = block_size(numeric[w], scale[w])
        made = of_block(analytic[w], own, scale[w], eps, options, fine, value)
        for name, column in columns.items():
            column[w] = getattr(made, name)
    return Tolerance(analytic, **columns)
