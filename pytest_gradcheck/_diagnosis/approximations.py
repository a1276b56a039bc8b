"""Right to some digits: an error that all entries share, as a solver that stops early leaves it.

It is a cause only where nothing stands out: no formula holds, and no entry is far beyond the
others.  What is named is computed to pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._constants import COARSEST_RTOL, CONFIDENCE, DEMANDED_IN_BLOCK
from .._params.layout import Block
from .._verdict.comparison import Comparison
from .._verdict.tolerance import AGREE, DISAGREE, OPEN, common_size

Array = np.ndarray[Any, Any]

FEWEST_DIGITS = 3
"""Digits that all wrong entries have in common with the numeric ones, or are a bug."""

SMALL = 1e-4
"""Part of its block's gradient that an error is at most, where a solver's tolerance is absolute."""

FAR, LONE = 30.0, 100.0
"""Errors so many times as large as all right entries' are no part of the same spread; nor are one
or two that are so far beyond the other wrong ones."""

SPREAD = 10.0
"""An error is relative while small entries have at most so much more of it than large ones."""

SAME = 1e-2
"""Errors that are one part of their entries to this are a factor, which no tolerance makes."""

MARGIN = 1.1
"""By how much a tolerance is wider than what was seen: another step sees another error."""

ALONE = 2
"""So few wrong entries are compared with all right ones, not only with those of their blocks."""


@dataclass(frozen=True)
class Approximation:
    """What is said of a gradient that is right to some digits: beside a block, and of the check.

    `bits` are what the wrong entries have in common with the numeric ones.
    """

    hint: str
    told: str
    bits: float


def approximation(
    found: Comparison, blocks: Sequence[Block], atol: float | None
) -> Approximation | None:
    """Return to how many digits, or to what part of their blocks, all entries are right.

    `atol` is what was demanded.  None: some are plainly wrong, stand out, or were not looked at.
    """
    limits, wrong = found.tolerance, found.verdict == DISAGREE
    known = np.isfinite(found.analytic) & np.isfinite(found.numeric) & ~found.kinked
    if not wrong.any() or not found.evaluated.all() or not known[wrong].all():
        return None
    if _one_factor(found, wrong):
        return None
    with np.errstate(all="ignore"):
        gap, bar = np.abs(found.analytic - found.numeric), CONFIDENCE * found.error
        # Entries are off by this at least, and by this at most.
        net = np.where(known, np.maximum(gap - bar, 0.0), 0.0)
        most = np.where(known, gap + bar, 0.0)
        size = limits.size(found.numeric)
        unit = size + (_allowed_by_rtol(limits.rms, blocks) if atol is None else 0.0)
        relative, part = (float((net / x)[wrong].max()) for x in (size, limits.rms))
        by_unit, by_block = (np.nan_to_num([net / x, most / x]) for x in (unit, limits.rms))
    advice, count = "", int(np.count_nonzero(wrong))
    # One absolute error for all is a large relative one of small entries alone.
    alike = relative <= SPREAD * float(by_unit[0, wrong].max()) or part > SMALL
    if 0 < relative <= 10.0**-FEWEST_DIGITS and alike and not _stands_out(by_unit, wrong, blocks):
        hint = f"agrees to {round(-math.log10(relative))} digits everywhere"
        advice = f"{hint}: if J or the gradient is approximate by design, rtol="
        # What agrees must be resolved to an rtol that is given, too.
        told = (found.verdict == AGREE) & (np.abs(found.analytic) > np.maximum(bar, limits.dust))
        coarse = CONFIDENCE * found.reach[told] / np.maximum(unit[told], 1e-300)
        least = max(limits.rtol.max(), coarse[coarse <= COARSEST_RTOL].max(initial=0.0))
        needed, bits = max(least, by_unit[0, wrong].max()), -math.log2(relative) * count
    elif 0 < part <= SMALL and not _stands_out(by_block, wrong, blocks):
        largest = float(np.max(by_block[0], where=limits.rms > 0, initial=0.0))
        hint = f"all errors are below {_power(rounded_up(largest))} of the block"
        advice = f"{hint}: a solver's tolerance? atol="
        needed, bits = (net - limits.rtol * size).max(), -math.log2(part) * count
    if not advice:
        return None
    passes = "allows for that" if (found.verdict == OPEN).any() else "passes"
    advice += f"{_power(rounded_up(MARGIN * float(needed)))} {passes}"
    return Approximation(hint, advice, bits)


def _allowed_by_rtol(rms: Array, blocks: Sequence[Block]) -> Array:
    """Return what a demanded rtol allows every entry of a block, over rtol; see `of_block`."""
    allowed = np.zeros(rms.size)
    for block in blocks:
        allowed[block.window] = DEMANDED_IN_BLOCK * common_size(rms[block.window])
    return allowed


def _one_factor(found: Comparison, wrong: Array) -> bool:
    """Return whether all that is wrong is so by one factor: of one entry, by one such as 1.001."""
    a, n, bar = (x[wrong] for x in (found.analytic, found.numeric, found.error))
    if not n.all():
        return False
    with np.errstate(all="ignore"):
        excess, same = float(np.median(a / n - 1)), SAME
        if n.size == 1:
            excess, same = float(f"{excess:.0e}"), SAME / 10
        close = same * abs(excess) * np.abs(n)
        told = np.count_nonzero(3 * bar <= close) >= min(n.size, 2)
        return bool(told and np.all(np.abs(a - n - excess * n) <= close + 3 * bar))


def _stands_out(off: Array, wrong: Array, blocks: Sequence[Block]) -> bool:
    """Return whether a wrong entry is far beyond others, or all wrong ones beyond the right ones.

    `off`, of shape (2, n), is how large each error is at least and at most.  That of many wrong
    ones must be beyond what any right one's can be; of one or two, beyond what most can and each is
    seen to be.
    """
    few = np.count_nonzero(wrong) <= ALONE
    for window in [slice(None)] if few else [block.window for block in blocks]:
        least, most = off[:, window]
        errors, right = np.sort(least[wrong[window]])[::-1], ~wrong[window]
        if errors.size and right.any():
            near = max(np.median(most[right]), least[right].max()) if few else most[right].max()
            if errors[-1] > FAR * near:
                return True
        first = errors[: ALONE + 1]
        if np.any(first[:-1] > LONE * first[1:]):
            return True
    return False


def _power(value: float) -> str:
    """Return a number of one digit as people write it: 3e-5."""
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e+")


def rounded_up(value: float) -> float:
    """Return the value rounded up to one digit: 3.2e-5 to 4e-5."""
    if value <= 0:
        return 0.0
    power = math.floor(math.log10(value))
    return float(f"{math.ceil(value / 10**power - 1e-9)}e{power}")
