"""Formulas that hold at some entries of a block alone, the others being rightly as they are.

A term that an intercept lacks, a factor in a few rows, a target that is not subtracted: each is a
formula of the wrong entries, and costs besides what it takes to say which those are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .evidence import OFFERED, Array, BlockData, Predicted, Repair, Suggest
from .factors import chain, factor
from .locations import Part, named
from .terms import INTERCEPT, target_words, term

ENTRY_BY_ENTRY: tuple[Suggest, ...] = (factor, term, chain)
"""Formulas that say something of each entry by itself."""

PARTIAL = 8.0
"""Further bits when only some entries have the formula."""

FEWEST, ALONE = 2, 4.0
"""Wrong entries of which a formula is a cause; one is a place, and its formula costs more bits."""


def in_part(block: BlockData) -> Iterator[Repair]:
    """Name a formula of the wrong entries, and where those are or which it spares."""
    asked = block.asked
    if np.count_nonzero(asked) < FEWEST or not np.any(block.valid & ~asked):
        return
    if not block.analytic[asked].any() or block.still[asked].all():
        return  # never written, or not masked: a place, and what is off there is one of the two
    for repair in _of(block.only(asked)):
        found = _part(block, repair)
        if found is None:
            continue
        where, spared = found

        def apply(
            other: BlockData,
            repair: Repair = repair,
            key: tuple[object, ...] = (where.key, spared),
        ) -> Predicted | None:
            theirs, predicted = _part(other, repair), repair.apply(other)
            if predicted is None or theirs is None or (theirs[0].key, theirs[1]) != key:
                return None
            return Predicted(np.where(other.wrong, predicted.values, other.analytic))

        def place(other: BlockData, repair: Repair = repair) -> str:
            theirs = _part(other, repair)
            return theirs[0].where if theirs else ""

        target = target_words(repair) if where.single and not block.parameter else ""
        names = "" if "{" in repair.part.replace("{{", "") else " of {names}"
        of_all = f"{where.where}{names}"
        ends = (", except in {where}", f", except in {of_all}")
        if not spared:
            ends = (" in {where}, the rest is right", f" in {of_all}, the rest is right")
        part, told = f"{repair.part}{ends[0]}{target}", f"{repair.part}{ends[1]}{target}"
        yield Repair(
            "target" if target else repair.code,
            (*repair.key, where.key, spared),
            part,
            apply,
            repair.prior
            + (
                INTERCEPT
                if spared and not where.cost and not repair.fitted
                else PARTIAL + where.cost
            ),
            told=told.replace("{0}", "{names}").replace("{}", "{names}"),
            fitted=repair.fitted,
            place=place,
        )


def _of(block: BlockData) -> Iterator[Repair]:
    """Yield the formulas that hold in a block, and can be said of a part."""
    for suggest in ENTRY_BY_ENTRY:
        for repair in suggest(block):
            if repair.part and repair.bits(block) is not None:
                yield repair


def _part(block: BlockData, repair: Repair) -> tuple[Part, bool] | None:
    """Return the entries with the formula, or the fewer that it spares, and whether it is those."""
    predicted = repair.apply(block)
    if predicted is None:
        return None
    due: Array = ~(np.abs(predicted.values - block.analytic) <= block.slack)
    spared = block.valid & ~block.wrong & due
    if not spared.any():
        return None
    few = np.count_nonzero(spared) <= np.count_nonzero(block.asked)
    return (named(spared, block.asked), True) if few else (named(block.asked, spared), False)


def said_of(block: BlockData, name: str) -> str:
    """Return what the wrong entries of a block look like, whatever the others are; or ""."""
    only = block.only(block.asked)
    weighed = [((repair.bits(only) or 0.0) - repair.prior, repair) for repair in _of(only)]
    if not weighed:
        return ""
    bits, best = max(weighed, key=lambda pair: pair[0])
    if bits < OFFERED + (ALONE if only.analytic.size < FEWEST else 0.0):
        return ""
    alone = only.analytic.size == 1 and not block.parameter  # of a Jacobian there are no targets
    target = target_words(best) if alone else ""
    return f": {best.part.format(name)} there{target}"
