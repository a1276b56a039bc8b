"""The rule: |a − n| ≤ atol + rtol·max(|a|, |n|) + K·u, for one value or for all at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
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


Verdict = int
"""What is concluded of a coordinate; plain numbers, which numpy compares quickest with arrays."""

AGREE, DISAGREE, OPEN = 0, 1, 2

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
            return self._allowed(numeric, error)

    def _allowed(self, numeric: Any, error: Any) -> Any:
        return self.atol + self.rtol * self.size(numeric) + CONFIDENCE * error

    def within(self, numeric: Any, error: Any) -> Any:
        """Return whether analytic and numeric are equal as far as `error` can tell."""
        with np.errstate(all="ignore"):
            gap = abs(self.analytic - numeric)
            # Terms that cancel leave dust in the analytic entry.  A numeric value that stands
            # clear of its error bar shows a gradient that is there, and dust is no excuse.
            dusty = (gap <= self.dust) & (abs(numeric) <= STANDS_CLEAR * CONFIDENCE * error)
            return (gap <= self._allowed(numeric, error)) | dusty

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


def relative_differences(a: Array, b: Array, seen: Array, blocks: Sequence[Block]) -> list[float]:
    """Return `relative_difference` of each block, of what was `seen` of it (bool)."""
    largest = np.zeros(0)
    if len(blocks) > 1 and seen.all():
        largest = largest_of(np.maximum(np.abs(a), np.abs(b)), blocks)
    if not largest.size or not np.isfinite(largest).all():
        windows = [block.window for block in blocks]
        return [relative_difference(a[w][seen[w]], b[w][seen[w]]) for w in windows]
    unit = spread(np.ldexp(1.0, np.frexp(largest)[1] - 1), blocks)
    first, second = a / unit, b / unit
    gap = first - second
    found = []
    for block, most in zip(blocks, largest.tolist(), strict=True):
        parts = [x[block.start : block.stop] for x in (gap, first, second)] if most else []
        sizes = [math.sqrt(float(np.vdot(part, part))) for part in parts]
        found.append(sizes[0] / (sizes[1] + sizes[2]) if sizes else 0.0)
    return found


def counts(which: Array, blocks: Sequence[Block]) -> list[int]:
    """Return how many coordinates of each block are chosen (bool)."""
    if len(blocks) == 1:
        return [int(np.count_nonzero(which))]
    before = np.append(0, np.cumsum(which))
    edges = np.array([(block.start, block.stop) for block in blocks], dtype=np.intp).reshape(-1, 2)
    found: list[int] = (before[edges[:, 1]] - before[edges[:, 0]]).tolist()
    return found


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


def block_sizes(values: Array, scale: Array, blocks: Sequence[Block]) -> list[float]:
    """Return `block_size` of each block."""
    one_by_one = len(blocks) < 2
    with np.errstate(all="ignore"):
        if not one_by_one:
            product = (values * scale).astype(np.float64)
            largest = largest_of(np.abs(product), blocks)
            one_by_one = not np.isfinite(largest).all()
        if one_by_one:
            return [block_size(values[b.window], scale[b.window]) for b in blocks]
        squares = np.nan_to_num(product / spread(largest, blocks)) ** 2
    sums = [np.add.reduce(squares[b.start : b.stop]) for b in blocks]
    return [
        most * math.sqrt(float(total / block.size)) if most else 0.0
        for most, total, block in zip(largest.tolist(), sums, blocks, strict=True)
    ]


def largest_of(values: Array, blocks: Sequence[Block], least: float = 0.0) -> Array:
    """Return the largest value in each block, NaN if there is one, `least` of an empty one."""
    starts = np.array([block.start for block in blocks if block.size], dtype=np.intp)
    found = np.full(len(blocks), least)
    if starts.size:
        found[[block.size > 0 for block in blocks]] = np.maximum.reduceat(values, starts)
    return found


def spread(values: Any, blocks: Sequence[Block]) -> Array:
    """Return a number for each block as one for each coordinate, shape (n,)."""
    return np.repeat(values, [block.size for block in blocks])


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
    own: Any,
    scale: Any,
    eps: float,
    options: Options,
    fine: float = 0.0,
    value: float = 0.0,
    common: Callable[[Any], Any] = common_size,
) -> Tolerance:
    """Return the tolerances in a block, for one value or for a vector of them.

    `own` is the block's gradient as one number, `eps` the machine epsilon of the analytic one,
    `fine` the relative error bar that settles an entry when rtol is unset, `value` |J| at θ. Of
    several blocks at once, `own` is one number for each coordinate, and so is what `common` makes.
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
            atol = np.maximum(atol, rtol * DEMANDED_IN_BLOCK * common(rms))
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
    columns = np.empty((6, scale.size))
    own = spread(block_sizes(numeric, scale, blocks), blocks)
    for eps, run in groupby(zip(blocks, precision, strict=True), lambda pair: pair[1]):
        alike = [block for block, _ in run]
        start, w = alike[0].start, slice(alike[0].start, alike[-1].stop)

        def common(rms: Array, alike: list[Block] = alike, start: int = start) -> Array:
            each = [common_size(rms[b.start - start : b.stop - start]) for b in alike]
            return spread(each, alike)

        made = of_block(analytic[w], own[w], scale[w], eps, options, fine, value, common)
        columns[0, w], columns[1, w], columns[2, w] = made.rtol, made.atol, made.dust
        columns[3, w], columns[4, w], columns[5, w] = made.goal_rtol, made.goal_atol, made.rms
    return Tolerance(analytic, *columns)
