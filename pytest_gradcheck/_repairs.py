"""The table of repairs that keep each entry in its place.

Each function takes one block and yields the repairs that its numbers suggest; `_diagnose` weighs
them.  To add one, write the function and put it in `REPAIRS`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from ._fits import Fitted, fit, named_factor, number
from ._repair import (
    Array,
    BlockData,
    Predicted,
    Repair,
    Suggest,
)

NAMED, FITTED = 7.0, 12.0
"""Bits that a formula costs when its number is a name or is fitted."""

UNCHANGED = 1e-5
"""A factor nearer to 1 is none."""


def zero(block: BlockData) -> Iterator[Repair]:
    """Name a block that was never written."""

    def apply(other: BlockData) -> Predicted | None:
        empty = not np.any(other.analytic[other.valid]) and other.seen.any()
        return Predicted(np.zeros(other.shape), of_analytic=True) if empty else None

    yield Repair(
        "zero",
        ("zero",),
        "analytic is zero everywhere: never written?",
        apply,
        prior=4.0,
        told="analytic is zero everywhere in {names}: never written?",
    )


def factor(block: BlockData) -> Iterator[Repair]:
    """Name a constant factor: in the whole block, or where it is wrong."""
    ratio = _ratio_where(block, block.valid)
    partial = ratio is None
    if ratio is None:
        ratio = _ratio_where(block, block.asked)
    if ratio is None or abs(ratio.value - 1) < UNCHANGED or not ratio.value:
        return
    named = named_factor(ratio, block.sizes)
    value = float(named[0]) if named else ratio.value
    prior = NAMED + named[1] if named else FITTED

    def whole(other: BlockData) -> Predicted | None:
        return Predicted(other.analytic / value)

    def where_wrong(other: BlockData) -> Predicted | None:
        return Predicted(np.where(other.wrong, other.analytic / value, other.analytic))

    what = factor_words(named[0] if named else None, value, block.sizes)
    if not partial:
        sign = ": the sign is wrong" if value == -1 else ""
        yield Repair(
            "factor",
            ("factor", value),
            f"analytic = {what[0]}, everywhere in the block{sign}",
            whole,
            prior,
            fitted=0 if named else 1,
            told=f"analytic = {what[1]} in all of {{names}}{sign}",
        )
        return
    wrong, content = int(block.asked.sum()), int((block.valid & (block.numeric != 0)).sum())
    # Each entry costs a bit: whether it is one of them.
    yield Repair(
        "factor",
        ("factor in part", value, block.name),
        f"analytic = {what[0]} in {wrong} of {content} entries, the rest is right",
        where_wrong,
        prior + PARTIAL + content,
        fitted=0 if named else 1,
    )


PARTIAL = 8.0
"""Further bits when only some entries have the factor."""


def _ratio_where(block: BlockData, where: Array) -> Fitted | None:
    """Return analytic / numeric, if it is one number for the entries chosen."""
    n, a = block.numeric[where], block.analytic[where]
    # As n = k·a: the numeric value is the one with an error bar.
    found = fit(n, (a,), block.floor[where])
    if found is None or not found[0].value:
        return None
    inverse = found[0]
    if np.any(np.abs(n - inverse.value * a) > block.slack[where]):
        return None
    return inverse.inverse()


def factor_words(named: Fraction | None, value: float, sizes: dict[int, str]) -> tuple[str, str]:
    """Return "2 x numeric", without and with what a size in it is the size of."""
    if value == -1:
        return "-numeric", "-numeric"
    text = f"{named if named is not None else number(value)} x numeric"
    notes = [
        f"{k} is {sizes[k]}"
        for k in ((abs(named.numerator), named.denominator) if named else ())
        if k >= LEAST_SIZE and sizes.get(k)
    ]
    return text, f"{text} ({'; '.join(notes)})" if notes else text


LEAST_SIZE = 4
"""Smaller numbers are factors for reasons enough."""


def reduction(block: BlockData) -> Iterator[Repair]:
    """Name a sum or a mean over the wrong axes, broadcast."""
    axes = [axis for axis, length in enumerate(block.shape) if length > 1]
    for count in range(1, len(axes) + 1):
        for chosen in itertools.combinations(axes, count):
            yield from _reduced(block, chosen)


def _reduced(block: BlockData, axes: tuple[int, ...]) -> Iterator[Repair]:
    place = f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
    for kind, what in ((np.sum, "sum"), (np.mean, "mean")):

        def of_numeric(other: BlockData, kind: Callable[..., Array] = kind) -> Predicted | None:
            if not other.whole or other.analytic.ndim <= axes[-1]:
                return None
            values = np.broadcast_to(kind(other.numeric, axis=axes, keepdims=True), other.shape)
            # Where func does not answer at all, no step was small enough to say how well: it is 0.
            known = np.where(other.numeric == 0, 0.0, other.floor)
            bar = np.broadcast_to(kind(known, axis=axes, keepdims=True), other.shape)
            groups = _groups(other.shape, axes)
            return Predicted(values, of_analytic=True, groups=groups, bar=bar)

        def of_analytic(other: BlockData, kind: Callable[..., Array] = kind) -> Predicted | None:
            if other.analytic.ndim <= axes[-1]:
                return None
            values = np.broadcast_to(kind(other.analytic, axis=axes, keepdims=True), other.shape)
            return Predicted(values, groups=_groups(other.shape, axes))

        one, other_way = f"the {what} over {place} of numeric", f"the {what} over {place}"
        yield Repair(
            "reduction",
            ("reduction", what, axes),
            f"analytic is {one}, broadcast",
            of_numeric,
            11.0,
            told=f"analytic is {one}, broadcast, in {{names}}",
        )
        yield Repair(
            "reduction",
            ("not reduced", what, axes),
            f"numeric is {other_way} of analytic, broadcast: not reduced over it",
            of_analytic,
            13.0,
            told=f"numeric is {other_way} of analytic, broadcast, in {{names}}",
        )


def _groups(shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    reduced = tuple(1 if axis in axes else length for axis, length in enumerate(shape))
    labels = np.arange(int(np.prod(reduced))).reshape(reduced)
    return np.broadcast_to(labels, shape)


def single(block: BlockData) -> Iterator[Repair]:
    """Name errors in the seventh digit, as arithmetic in single precision makes them."""
    asked = block.asked
    if not asked.any():
        return
    size = block.size + float(np.sqrt(np.mean(block.size[block.valid] ** 2)))
    near = bool(np.all(block.gap[block.valid] <= SEVENTH * size[block.valid]))
    written = block.analytic[asked]
    with np.errstate(all="ignore"):
        narrow = written.astype(np.float32).astype(np.float64) == written
    declared = block.eps > 1e-10
    # Beside much larger ones an entry may be off by all of itself, which no digit of it survives.
    off = float(np.median(block.gap[asked] / np.maximum(block.size[asked], 1e-300)))
    if not near or off > 10 * SEVENTH or not (declared or narrow.all()):
        return

    def apply(other: BlockData) -> Predicted | None:
        values = np.where(other.wrong, other.numeric, other.analytic)
        far = other.gap[other.valid] > SEVENTH * (
            other.size[other.valid] + float(np.sqrt(np.mean(other.size[other.valid] ** 2)))
        )
        mine = other.analytic[other.asked]
        with np.errstate(all="ignore"):
            exact = mine.astype(np.float32).astype(np.float64) == mine
        plain = other.eps > 1e-10 or bool(exact.all())
        return None if far.any() or not plain else Predicted(values)

    yield Repair(
        "float32",
        ("float32",),
        "analytic is right to seven digits alone: computed in single precision (float32)",
        apply,
        8.0,
        told="analytic is right to seven digits alone in {names}: computed in single precision "
        "(float32)",
    )


SEVENTH = 4e-6
"""What single precision leaves, relative to an entry and its block together."""


REPAIRS: tuple[Suggest, ...] = (
    zero,
    factor,
    reduction,
    single,
)
