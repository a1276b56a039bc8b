"""What the error looks like along directions, in the codes of all hints."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._names import listing, shown
from ._patterns import Pattern
from ._repair import CERTAIN, MOST_PER_ENTRY, Diagnosis
from ._report import BlockReport
from ._scale import AtScale

ZERO = "analytic is zero everywhere: never written?"

PATTERN = 16.0
"""Bits that a pattern costs: one of hundreds that were tried."""

FEW = 2
"""So many wrong entries are named as such."""


def code_of(pattern: Pattern) -> str:
    """Return the stable code of a pattern."""
    return "factor" if pattern.code == "gradient" else pattern.code


def diagnoses_at_scale(check: AtScale, blocks: Sequence[BlockReport]) -> tuple[Diagnosis, ...]:
    """Return what a check along directions found, best first.

    Parameters
    ----------
    check : AtScale
        After its run.
    blocks : sequence of BlockReport

    Returns
    -------
    tuple of Diagnosis
    """
    found = [*_not_finite(check), *_patterns(check)]
    named = {name for diagnosis in found for name in diagnosis.blocks}
    for block in blocks:
        if block.code in ("zero", "slice") and block.name not in named:
            found.append(Diagnosis(block.code, block.hint, (block.name,), _bits(check)))
    found += _entries(check, {name for one in found for name in one.blocks})
    return tuple(sorted(found, key=lambda diagnosis: -diagnosis.bits))


def _bits(check: AtScale) -> float:
    """Return the evidence of the directions: what each residual stands above its noise."""
    screen = check.screen
    if screen is None or not screen.residuals or not screen.sigma < math.inf:
        return 0.0
    least = screen.sigma or 1e-300
    each = [math.log2(max(abs(y) / least, 1.0)) for y in screen.residuals.values()]
    total = sum(min(bits, MOST_PER_ENTRY) for bits in sorted(each)[:-1])
    return round(max(total - PATTERN, 0.0), 1)


def _patterns(check: AtScale) -> list[Diagnosis]:
    found = []
    ranks = {block.name: len(block.shape) for block in check.problem.blocks}
    for pattern, amount in check.findings.patterns:
        sentence = pattern.sentence(amount, ranks[pattern.names[0]])
        if len(pattern.names) > 1 and pattern.code != "swapped":
            sentence += f", in {listing([shown(name) for name in pattern.names], 4)}"
        found.append(Diagnosis(code_of(pattern), sentence, pattern.names, _bits(check)))
    return found


def _not_finite(check: AtScale) -> list[Diagnosis]:
    names = tuple(
        block.name
        for block in check.problem.blocks
        if any(block.start <= i < block.stop for i in check.bad)
    )
    said = "analytic is NaN or infinite"
    return [Diagnosis("not-finite", said, names, CERTAIN)] if names else []


def _entries(check: AtScale, named: set[str]) -> list[Diagnosis]:
    """Name one or two entries that alone are wrong."""
    screen = check.screen
    if screen is None or check.findings.unexplained or check.findings.shares:
        return []
    found = []
    for block in check.problem.blocks:
        mine = sorted(i for i in screen.truth if block.start <= i < block.stop)
        if not 0 < len(mine) <= FEW or block.name in named:
            continue
        places = " and ".join(
            f"[{', '.join(map(str, block.index(i - block.start)))}]" for i in mine
        )
        what = "entry" if len(mine) == 1 else "entries"
        verb = "is" if len(mine) == 1 else "are"
        sentence = f"only the {what} {places} {verb} wrong"
        found.append(Diagnosis("entry", sentence, (block.name,), _bits(check)))
    return found
