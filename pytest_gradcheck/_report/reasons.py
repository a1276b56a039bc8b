"""Why a check can't tell, or checked nothing, and what would settle it: in sentences."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from .._constants import COARSEST_RTOL, CONFIDENCE, FINEST_RTOL
from .._verdict.comparison import Comparison
from .._verdict.tolerance import DISAGREE, NOISY, OPEN

LARGE = 0.01
"""The resolution is that of entries at least this part of their block's gradient."""


def reasons_of(
    found: Comparison, given: tuple[str, ...], noisy: str, *, nothing: bool
) -> tuple[str, ...]:
    """Return the sentences that say why a check can't tell, and what would settle it.

    `given` are known already; `noisy` is the half of a sentence that says how noisy func is.
    """
    said, flat = list(given), bool(found.flat.all())
    if found.analytic.size and flat and np.any(found.analytic) and not np.any(found.numeric):
        said.append(
            "func answers to no parameter, while the gradient is not zero: does it read the arrays "
            "through a closure (in_place=True) or remember results by identity (copy=True)?"
        )
    if (found.verdict == DISAGREE).any():
        return tuple(said)
    if nothing and not said:
        if not found.analytic.size:
            return ("nothing was checked: there is no parameter to difference",)
        if flat:
            return (
                "nothing was checked: func is constant in every parameter, and the gradient zero",
            )
        return (
            "nothing was checked: analytic and numeric are zero within the error bars; check at a "
            "point that is not stationary",
        )
    left = np.flatnonzero(found.verdict == OPEN).tolist()
    counts = Counter(found.reasons.get(i, "") for i in left if i not in found.slopes)
    said += [_advice(reason, count, noisy, found) for reason, count in counts.most_common()]
    return tuple(text for text in said if text)


def _advice(reason: str, count: int, noisy: str, found: Comparison) -> str:
    if reason != NOISY:
        return f"{count:,} undecided: {reason}" if reason else ""
    open_ = found.verdict == OPEN
    with np.errstate(all="ignore"):
        # rtol is not asked of entries far below their block's gradient.
        size = np.fmax(found.tolerance.size(found.numeric), LARGE * found.tolerance.rms)[open_]
        needed = CONFIDENCE * found.error[open_] / size
    finite = needed[np.isfinite(needed) & (size > 0)]
    reach = float(finite.max()) if finite.size else math.inf
    could = (
        f"; rtol={_rounded_up(reach):g} could be concluded"
        if FINEST_RTOL <= reach < COARSEST_RTOL
        else "; no useful rtol could be concluded at these parameters"
    )
    return f"{count:,} undecided: {noisy}{could}"


def _rounded_up(value: float) -> float:
    """Return the value rounded up to one digit: 3.2e-5 to 4e-5."""
    if value <= 0:
        return 0.0
    power = math.floor(math.log10(value))
    return float(f"{math.ceil(value / 10**power - 1e-9)}e{power}")
