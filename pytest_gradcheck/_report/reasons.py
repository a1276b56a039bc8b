"""Why a check can't tell, or checked nothing, and what would settle it: in sentences."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from .._constants import COARSEST_RTOL, CONFIDENCE, FINEST_RTOL
from .._diagnosis.approximations import rounded_up
from .._verdict.comparison import Comparison
from .._verdict.tolerance import DISAGREE, NOISY, OPEN, TOGETHER

LARGE = 0.01
"""The resolution is that of entries at least this part of their block's gradient."""


STATIONARY = (
    "analytic and numeric are zero within the error bars, at a stationary point: a wrong factor "
    "would not be seen here"
)
NOT_STATIONARY = (
    "nothing was checked: analytic and numeric are zero within the error bars; check at a point "
    "that is not stationary"
)
"""A remark, and where `vacuous` makes it a failure, what to do."""


def reasons_of(
    found: Comparison,
    given: tuple[str, ...],
    noisy: str,
    *,
    nothing: bool = False,
    stationary: bool = False,
    strict: bool = False,
    unmoved: str = "",
) -> tuple[str, ...]:
    """Return the sentences that say why a check can't tell, and what would settle it.

    `given` are known already; `noisy` is the half of a sentence that says how noisy func is, and
    `unmoved` names the parameters that it does not answer to, though their gradient is not zero.
    `nothing` is answered to, or the point is `stationary`, which is a failure if `strict`.
    """
    said, flat = list(given), bool(found.flat.all())
    if found.analytic.size and flat and np.any(found.analytic) and not np.any(found.numeric):
        said.append(
            "func answers to no parameter, while the gradient is not zero: does it read the arrays "
            "through a closure (in_place=True) or remember results by identity (copy=True)?"
        )
    elif unmoved:
        said.append(
            f"func does not move with {unmoved}, while the gradient there is not zero: does it "
            "round on the way (a straight-through estimator), or read other arrays (in_place=True)?"
        )
    if found.inner:
        said.append(f"func rounds to {found.inner} on the way to J")
    if together := sum(reason == TOGETHER for reason in found.reasons.values()):
        said.append(
            f"{together:,} entries, each between its own two slopes, are no subgradient together: "
            "those of a max at a tie add up to 1"
        )
    if found.groups or (found.verdict == DISAGREE).any():
        return tuple(said)
    if nothing and not said:
        if not found.analytic.size:
            return ("nothing was checked: there is no parameter to difference",)
        if flat:
            return (
                "nothing was checked: func is constant in every parameter, and the gradient zero",
            )
        return (
            "nothing was checked: func answers to no parameter beyond its rounding, and the "
            "gradient is zero but for that",
        )
    if stationary and not said:
        return (NOT_STATIONARY if strict else STATIONARY,)
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
        f"; rtol={rounded_up(reach):g} could be concluded"
        if FINEST_RTOL <= reach < COARSEST_RTOL
        else "; no useful rtol could be concluded at these parameters"
    )
    return f"{count:,} undecided: {noisy}{could}"
