"""What a coordinate is judged by, and verdicts over all coordinates at once.

The rules are those of `Question`, which holds them for one coordinate; they are applied to
vectors, too, and to what only a whole block can say: how large its gradient is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
from .._params.layout import Block, blocks_of, gradient_vector
from .._params.structure import flatten

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
NOT_FINITE = "func is not finite near here"
EXHAUSTED = "max_evals reached"
KINK = "not differentiable here"


@dataclass(frozen=True)
class Question:
    """What a coordinate is to be judged by.

    Parameters
    ----------
    analytic : float
    rtol : float
        Relative tolerance.
    atol : float
        Absolute tolerance.
    dust : float
        By how much rounding in the analytic gradient itself may be off; see `within`.
    goal_rtol, goal_atol : float
        The error bar that settles it: ``goal_atol + goal_rtol·max(|a|, |n|)``.
    """

    analytic: float
    rtol: float
    atol: float
    dust: float
    goal_rtol: float
    goal_atol: float

    def size(self, numeric: float) -> float:
        """Return max(|a|, |n|), which tolerances are relative to."""
        return max(abs(self.analytic), abs(numeric))

    def within(self, numeric: float, error: float) -> bool:
        """Return whether analytic and numeric are equal as far as `error` can tell."""
        gap = abs(self.analytic - numeric)
        if gap <= self.atol + self.rtol * self.size(numeric) + CONFIDENCE * error:
            return True
        # Terms that cancel leave dust in the analytic entry.  A numeric value that stands clear
        # of its error bar shows a gradient that is there, and dust is no excuse.
        return gap <= self.dust and abs(numeric) <= STANDS_CLEAR * CONFIDENCE * error

    def settled(self, numeric: float, error: float) -> bool:
        """Return whether `error` is small enough for agreement to mean something."""
        return CONFIDENCE * error <= self.goal_atol + self.goal_rtol * self.size(numeric)


@dataclass(frozen=True)
class Answer:
    """What was found out of one coordinate."""

    value: float
    error: float
    verdict: Verdict
    reason: str = ""
    slopes: tuple[float, float] | None = None


def _arrays(a: Any, b: Any) -> tuple[Array, Array]:
    """Return two arrays, or two structures as vectors."""
    try:
        arrays = np.asarray(a), np.asarray(b)
    except Exception:  # a list of arrays of several shapes, or an array that numpy can't take
        arrays = np.array(None), np.array(None)
    if all(array.dtype.kind in "fciub" for array in arrays):
        return arrays
    structure = flatten(b, "b")
    blocks = blocks_of(structure, (), ())
    first, _ = gradient_vector(a, structure, blocks, "a")
    second, _ = gradient_vector(b, structure, blocks)
    return first, second


def relative_difference(a: Any, b: Any) -> float:
    """Return ‖a − b‖₂ / (‖a‖₂ + ‖b‖₂), 0 when both are zero: the difference of the course.

    Parameters
    ----------
    a, b : array_like, or containers of arrays
        Of the same shape, or of the same names and shapes, or a ValueError says so.  Nothing
        overflows on the way.

    Returns
    -------
    float

    Examples
    --------
    >>> from pytest_gradcheck import relative_difference
    >>> relative_difference([4.0, 0.0], [1.0, 0.0])
    0.6
    """
    arrays = _arrays(a, b)
    if arrays[0].shape != arrays[1].shape:
        raise ValueError(f"shapes differ: {arrays[0].shape} and {arrays[1].shape}")
    first, second = (x.astype(np.result_type(x.dtype, np.float64), copy=False) for x in arrays)
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


@dataclass(frozen=True)
class Tolerance:
    """What each coordinate is judged by: vectors of shape (n,), as in `Question`.

    `rms` is the block's gradient as one number, over the coordinate's scale.
    """

    rtol: Array
    atol: Array
    dust: Array
    goal_rtol: Array
    goal_atol: Array
    rms: Array

    def question(self, coordinate: int, analytic: float) -> Question:
        """Return the rules for one coordinate."""
        i = coordinate
        return Question(
            float(analytic),
            float(self.rtol[i]),
            float(self.atol[i]),
            float(self.dust[i]),
            float(self.goal_rtol[i]),
            float(self.goal_atol[i]),
        )

    def of(self, analytic: Array, numeric: Array) -> Array:
        """Return atol + rtol·max(|a|, |n|)."""
        with np.errstate(all="ignore"):
            size: Array = np.fmax(np.abs(analytic), np.abs(numeric))
            allowed: Array = self.atol + self.rtol * size
        return allowed


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


def tolerance(
    numeric: Array,
    scale: Array,
    blocks: Sequence[Block],
    precision: Sequence[float],
    options: Options,
    fine: float,
    value: float = 0.0,
) -> Tolerance:
    """Return the tolerances, from the options, the precision and each block's numeric gradient.

    Parameters
    ----------
    numeric, scale : ndarray, shape (n,)
    blocks : sequence of Block
    precision : sequence of float
        Machine epsilon of each block's analytic gradient.
    options : Options
    fine : float
        The relative error bar that settles an entry when rtol is unset.
    value : float
        |J| at θ.
    """
    columns = [np.empty(scale.size) for _ in range(6)]
    rtol, atol, dust, goal_rtol, goal_atol, rms = columns
    for block, eps in zip(blocks, precision, strict=True):
        w = block.window
        low = min(max(FINEST_RTOL, eps ** (2 / 3)), COARSEST_RTOL)
        size = rms[w] = block_size(numeric[w], scale[w]) / scale[w]
        rtol[w] = low if options.rtol is None else options.rtol
        narrow = eps > NARROW
        if options.atol is not None:
            atol[w] = options.atol
        else:
            atol[w] = DUST * eps * size if narrow else 0.0
        # The terms that cancel may be as large as J itself, or larger when J is zero by that.
        dust[w] = DUST * eps * np.maximum(size, max(value, LEAST_TERM) / scale[w])
        if options.rtol is None:
            goal_rtol[w] = min(max(fine, 2 * low if narrow else 0.0), COARSEST_RTOL)
            goal_atol[w] = atol[w]
        else:
            goal_rtol[w] = options.rtol
            goal_atol[w] = np.maximum(atol[w], options.rtol * DEMANDED_IN_BLOCK * size)
    return Tolerance(*columns)
