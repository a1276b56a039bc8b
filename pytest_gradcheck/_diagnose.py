"""What the pattern of an error looks like.

A hint is a pure function from one block's numbers to a code and a sentence, or None.  A wrong
hint is worse than none, so each holds for *every* entry of the block within its error bar, and
none is offered on fewer than `LEAST` entries that could contradict it.  To add one, write the
function and put it in `HINTS`; the first that speaks wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LEAST = 3


@dataclass(frozen=True)
class BlockData:
    """One block for the hints: arrays of shape `shape`, all finite but `analytic`."""

    name: str
    analytic: Array
    numeric: Array
    error: Array
    theta: Array


@dataclass(frozen=True)
class Hint:
    """A stable code and one plain sentence."""

    code: str
    sentence: str


def explain(block: BlockData) -> Hint | None:
    """Return what the error of a block looks like, or None when nothing is convincing."""
    if not np.isfinite(block.numeric).all():
        return None
    for hint in HINTS:
        said = hint(block)
        if said is not None:
            return said
    return None


def _equal(a: Array, b: Array, block: BlockData) -> bool:
    gap = np.abs(a - b)
    largest = float(np.max(np.abs(block.numeric), initial=0.0))
    return bool(np.all(gap <= 1e-6 * np.abs(b) + 3 * block.error + 1e-9 * largest))


def _seen(block: BlockData) -> int:
    """Return how many entries are well above their error bars."""
    return int(np.count_nonzero(np.abs(block.numeric) > 100 * block.error))


def not_finite(block: BlockData) -> Hint | None:
    """Name entries that are NaN or infinite."""
    bad = int(np.count_nonzero(~np.isfinite(block.analytic)))
    if not bad:
        return None
    which = "every entry" if bad == block.analytic.size else f"{bad} of {block.analytic.size}"
    return Hint("not-finite", f"analytic is NaN or infinite in {which}")


def zero(block: BlockData) -> Hint | None:
    """Name a block that was never written."""
    if not np.any(block.analytic) and _seen(block):
        return Hint("zero", "analytic is zero everywhere: never written?")
    return None


def factor(block: BlockData) -> Hint | None:
    """Name a constant factor."""
    if _seen(block) < LEAST:
        return None
    # A reference that is given has no error bars: what float64 holds stands in for them.
    least = 1e-16 * float(np.max(np.abs(block.numeric)))
    largest = max(float(np.max(block.error)), least)
    weight = (np.maximum(block.error, least) / largest) ** -2.0
    weight = np.minimum(weight, np.median(weight) * 1e6)
    below = float(np.sum(weight * block.numeric**2))
    ratio = float(np.sum(weight * block.numeric * block.analytic)) / below if below else 0.0
    if not ratio or not _equal(block.analytic / ratio, block.numeric, block):
        return None
    if abs(ratio - 1) < 1e-5:
        return None
    everywhere = "everywhere in the block"
    if abs(ratio + 1) < 1e-5:
        return Hint("factor", f"analytic = -numeric, {everywhere}: the sign is wrong")
    return Hint("factor", f"analytic = {_named(ratio)} x numeric, {everywhere}")


def _named(ratio: float) -> str:
    """Return a factor as a small fraction where it is one, else with five digits."""
    simple = Fraction(ratio).limit_denominator(1000)
    if (
        simple
        and abs(float(simple) / ratio - 1) < 1e-6
        and (simple.denominator == 1 or abs(simple.numerator) <= 12)
    ):
        return str(simple)
    return f"{ratio:.5g}"


def transposed(block: BlockData) -> Hint | None:
    """Name a square block whose axes are swapped."""
    a = block.analytic
    if a.ndim != 2 or a.shape[0] != a.shape[1] or _seen(block) < LEAST:
        return None
    if _equal(a.T, block.numeric, block):
        return Hint("transposed", "analytic = the transpose of numeric")
    return None


HINTS: tuple[Callable[[BlockData], Hint | None], ...] = (not_finite, zero, factor, transposed)
