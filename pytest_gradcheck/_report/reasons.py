"""Why a check can't tell, or checked nothing, and what would settle it: in sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

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
    ways: Sequence[str] = (),
    demanded: bool = False,
) -> tuple[str, ...]:
    """Return the sentences that say why a check can't tell, and what would settle it.

    `given` are known already; `noisy` is the half of a sentence that says how noisy func is, and
    `unmoved` names the parameters that it does not answer to, though their gradient is not zero.
    `nothing` is answered to, or the point is `stationary`, which is a failure if `strict`. `ways`
    are what could make func less noisy, `demanded` says whether an rtol was.
    """
    said, flat = list(given), bool(found.flat.all())
    # What is small beside the rounding of J moves nothing.
    large = flat and bool((np.abs(found.analytic) > found.tolerance.dust).any())
    if large and not np.any(found.numeric):
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
    if NOISY in counts and ways:
        said += to_settle(ways, math.inf if demanded else _reach(found))
    return tuple(text for text in said if text)


def _advice(reason: str, count: int, noisy: str, found: Comparison) -> str:
    if reason != NOISY:
        return f"{count:,} undecided: {reason}" if reason else ""
    reach = _reach(found)
    could = (
        f"; rtol={rounded_up(reach):g} could be concluded"
        if FINEST_RTOL <= reach < COARSEST_RTOL
        else "; no useful rtol could be concluded at these parameters"
    )
    return f"{count:,} undecided: {noisy}{could}"


def _reach(found: Comparison) -> float:
    """Return the relative tolerance that could be concluded of all that is open."""
    open_ = found.verdict == OPEN
    with np.errstate(all="ignore"):
        # rtol is not asked of entries far below their block's gradient.
        size = np.fmax(found.tolerance.size(found.numeric), LARGE * found.tolerance.rms)[open_]
        needed = CONFIDENCE * found.error[open_] / size
    finite = needed[np.isfinite(needed) & (size > 0)]
    return float(finite.max()) if finite.size else math.inf


def to_settle(ways: Sequence[str], reach: float = math.inf) -> list[str]:
    """Return in sentences what would settle a check that noise left open, the best first.

    `reach` is the relative tolerance that could be concluded, where that is to be said.
    """
    coarser = [f"rtol={rounded_up(reach):g}"] if reach <= COARSEST_GIVEN else []
    return [f"{'or' if k else 'to settle it'}: {way}" for k, way in enumerate([*ways, *coarser])]


def ways_to_settle(
    params: Sequence[Any], precision: str, told: Sequence[str] | None, *, reference: bool
) -> tuple[str, ...]:
    """Return what would make func less noisy, the best first, as lines to write.

    `params` are the values that are checked, `precision` is the format of func's value, and of a
    wide one nothing is said; `told` are the blocks that agree, None of a func that returns no loss;
    `reference`: there is one already.
    """
    if precision not in ("float32", "float16", "bfloat16"):
        return ()
    found = [_in_double(params)]
    if not reference:
        found.append("reference=the same function in double")
    if told is not None:
        found.append(
            "a loss that moves more: (out * weights).sum() with random weights, not a mean"
        )
    if told:
        found.append(f"only={list(told[:FEW_TOLD])!r}, which is what can be told")
    return tuple(found)


def _in_double(params: Sequence[Any]) -> str:
    """Return the line that makes a check one in double precision."""
    if all("64" in str(getattr(value, "dtype", "64")) for value in params):
        return "compute in float64 inside func"
    library = type(params[0]).__module__.partition(".")[0]
    if library == "torch":
        return "model.double(), and double data"
    if library.startswith("jax"):
        return 'jax.config.update("jax_enable_x64", True), and double data'
    return "params.astype(np.float64), and double data"


AVERAGED = "reference=the mean of 64 evaluations of func, for error bars a quarter as large"
"""Where J differs by chance: the best step leaves an error bar in proportion to σ^(2/3)."""

FEW_TOLD = 3
COARSEST_GIVEN = 0.3
"""So many blocks are named, and no coarser rtol is."""
