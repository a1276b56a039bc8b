"""Why a check can't tell, or checked nothing, and what would settle it: in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .._verdict.tolerance import COARSEST_RTOL, CONFIDENCE, FINEST_RTOL, OPEN

if TYPE_CHECKING:
    from .assemble import Finding


LARGE = 0.01
"""The resolution is that of entries at least this part of their block's gradient."""


def reasons_of(finding: Finding, whole: str, left: int, nothing: bool) -> tuple[str, ...]:
    """Return the sentences that say why a check can't tell, and what would settle it."""
    said = list(finding.reasons)
    found, a = finding.comparison, finding.comparison.analytic
    if a.size and finding.flat.all() and np.any(a) and not np.any(found.numeric):
        said.append(
            "func answers to no parameter, while the gradient is not zero: does it read the arrays "
            "through a closure (in_place=True) or remember results by identity (copy=True)?"
        )
    if nothing and not said and whole != "disagree":
        if not a.size:
            said.append("nothing was checked: there is no parameter to difference")
        elif finding.flat.all():
            said.append(
                "nothing was checked: func is constant in every parameter, and the gradient zero"
            )
        else:
            said.append(
                "nothing was checked: analytic and numeric are zero within the error bars; check "
                "at a point that is not stationary"
            )
        return tuple(said)
    if left and whole == "inconclusive":
        counts: dict[str, int] = {}
        for i in np.flatnonzero(found.verdict == OPEN).tolist():
            reason = found.reasons.get(i, "")
            counts[reason] = counts.get(reason, 0) + 1
        for reason, count in sorted(counts.items(), key=lambda item: -item[1]):
            said.append(_advice(reason, count, finding))
    return tuple(text for text in said if text)


def _advice(reason: str, count: int, finding: Finding) -> str:
    if reason != "func is too noisy here":
        return f"{count:,} undecided: {reason}" if reason else ""
    found = finding.comparison
    open_ = np.flatnonzero(found.verdict == OPEN)
    with np.errstate(all="ignore"):
        size = np.fmax(np.abs(found.analytic[open_]), np.abs(found.numeric[open_]))
        # rtol is not asked of entries far below their block's gradient.
        size = np.fmax(size, LARGE * found.tolerance.rms[open_])
        needed = CONFIDENCE * found.error[open_] / size
    finite = needed[np.isfinite(needed) & (size > 0)]
    reach = float(finite.max()) if finite.size else math.inf
    what = "float32" if finding.precision == "float32" else "noisy"
    could = (
        f"; rtol={_rounded_up(reach):g} could be concluded"
        if FINEST_RTOL <= reach < COARSEST_RTOL
        else "; no useful rtol could be concluded at these parameters"
    )
    return (
        f"{count:,} undecided: func is {what}, with noise {finding.noise:.0e} in J = "
        f"{finding.value:.4g}{could}"
    )


def _rounded_up(value: float) -> float:
    """Return the value rounded up to one digit: 3.2e-5 to 4e-5."""
    if value <= 0:
        return 0.0
    power = math.floor(math.log10(value))
    return float(f"{math.ceil(value / 10**power - 1e-9)}e{power}")
