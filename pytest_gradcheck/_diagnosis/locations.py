"""Where a block is wrong, when only a small part of it is: an entry, a row, an edge, a diagonal.

A place is no repair: it says nothing of what the values should be.  Its evidence is the entries
elsewhere, each of which would hardly be right by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .._quoting import shown
from .evidence import MOST_PER_ENTRY, OFFERED, Array, BlockData, slice_word

RIGHT_BITS = 8.0
"""What a right entry outside says."""

EXPLAINED = 20.0
"""What it says that the wrong entries there are all zero, or have a formula of their own."""

ODD = 8.0
"""What any place costs, besides the number of its like."""

MOST_ENTRIES = 2


@dataclass(frozen=True)
class Place:
    """Part of a block, in words with their verb, and the bits to name it.

    `key` is equal for the same place in blocks of several shapes, along axis 0.
    """

    code: str
    key: tuple[object, ...]
    where: str
    verb: str
    inside: Array
    cost: float


@dataclass(frozen=True)
class Located:
    """A place that holds, with its evidence."""

    place: Place
    bits: float
    hint: str
    told: str


def locate(block: BlockData, said: Callable[[BlockData, str], str]) -> Located | None:
    """Return where the block is wrong, or None when it is wrong in too many places.

    `said` says what the wrong entries of a block that is called so look like, or "".
    """
    wrong = block.asked
    right = block.seen & block.agrees
    told = np.array_equal(wrong, block.wrong) and bool(np.all(wrong | block.agrees))
    if not told or not wrong.any():
        return None
    masked = _masked(block) if block.still[wrong].all() else None
    if masked is not None or not right.any():
        return masked
    best: tuple[float, Place] | None = None
    for place in _places(block):
        inside = place.inside
        if np.any(wrong & ~inside):
            continue
        kept, spoilt = int((right & inside).sum()), int(wrong.sum())
        if 2 * kept > spoilt:
            continue
        bits = RIGHT_BITS * (int((right & ~inside).sum()) - kept) - place.cost - ODD
        if best is None or bits > best[0]:
            best = bits, place
    zero = not block.analytic[wrong].any()
    if best is None or best[0] < 0:
        return _unwritten(block, right) if zero else None
    bits, place = best
    what = ": analytic is zero there" if zero else said(block, shown(block.parameter or block.name))
    bits += EXPLAINED if what else 0.0
    if bits < OFFERED:
        return None
    start = f"only {place.where}"
    return Located(
        place,
        bits,
        f"{start} {place.verb} wrong{what}",
        f"{start} of {{names}} {place.verb} wrong{what.replace('{', '{{').replace('}', '}}')}",
    )


def _unwritten(block: BlockData, right: Array) -> Located | None:
    """Return that analytic is zero in many entries that are no place."""
    count, size = int(block.asked.sum()), block.asked.size
    if count <= MOST_ENTRIES:
        return None
    place = replace(_entries(block, count), code="zero", where=f"{count} of {size} entries")
    bits = RIGHT_BITS * int(right.sum()) + MOST_PER_ENTRY * count - place.cost - ODD
    told = f"analytic is zero in {place.where}"
    return Located(
        place, bits, f"{told}, the rest is right", f"{told} of {{names}}, the rest is right"
    )


def _masked(block: BlockData) -> Located | None:
    """Return where numeric is zero and analytic is not: what func leaves out there."""
    wrong = block.asked
    gain = np.log2(block.gap[wrong] / np.maximum(block.floor[wrong], 1e-300))
    explained = float(np.clip(gain, 0.0, MOST_PER_ENTRY).sum())
    silent = [
        place
        for place in _silent(block)
        if block.still[place.inside].all() and 2 * wrong.sum() >= place.inside.sum()
    ]
    place = min(silent, key=lambda place: place.cost)
    bits = explained - place.cost - ODD
    if bits < OFFERED:
        return None
    told = "numeric is zero, analytic is not: a mask?"
    return Located(place, bits, f"{place.where}: {told}", f"{place.where} of {{names}}: {told}")


def _silent(block: BlockData) -> Iterator[Place]:
    """Yield the places that hold all wrong entries: positions along an axis, or each by itself."""
    wrong = block.asked
    count, size = int(wrong.sum()), wrong.size
    for axis in (axis for axis, length in enumerate(block.shape) if length > 1):
        hit = np.flatnonzero(wrong.any(axis=tuple(k for k in range(wrong.ndim) if k != axis)))
        inside = np.zeros(wrong.shape, dtype=bool)
        np.moveaxis(inside, axis, 0)[hit] = True
        where = _positions(block.shape, axis, hit.tolist())
        cost = math.log2(math.comb(block.shape[axis], hit.size))
        yield Place("mask", ("mask", axis, tuple(hit.tolist())), where, "are", inside, cost)
    if len(block.shape) == 2 and min(block.shape) > 1:
        for place in _triangles(block):
            if not np.any(wrong & ~place.inside):
                yield replace(place, code="mask", key=("mask", *place.key))
    alone = _entries(block, count)
    where = alone.where if count <= MOST_LISTED else f"{count} of {size} entries"
    key = ("mask", block.name, tuple(np.flatnonzero(wrong).tolist()))
    yield replace(alone, code="mask", key=key, where=where)


@dataclass(frozen=True)
class Part:
    """Some entries of a block in words ("column 0", "7 of 20 entries"), and the bits to name them.

    `key` is as in `Place`; `single`: it is one entry, or one of each row or column.
    """

    where: str
    cost: float
    key: tuple[object, ...]
    single: bool = False


def named(inside: Array, outside: Array) -> Part:
    """Return entries in words, with the bits that it takes to name them among all.

    A row is named when none of it is `outside`; the first and the last are where a bias is.
    """
    shape, count = inside.shape, int(inside.sum())
    long = [axis for axis, length in enumerate(shape) if length > 1]
    for axis in long if len(long) > 1 or count > MOST_ENTRIES else ():
        others = tuple(k for k in range(len(shape)) if k != axis)
        hit = np.flatnonzero(inside.any(axis=others))
        whole = np.zeros(shape, dtype=bool)
        np.moveaxis(whole, axis, 0)[hit] = True
        if not np.any(whole & outside):
            where = _positions(shape, axis, hit.tolist())
            return Part(where, _to_name(hit, shape[axis]), ("along", axis, tuple(hit.tolist())))
    for axis in long if len(shape) == 2 and len(long) == 2 else ():
        if np.all(inside.sum(axis=1 - axis) == 1):
            each = slice_word(shape, axis)
            bits = shape[axis] * math.log2(shape[1 - axis])
            return Part(f"one entry of each {each}", bits, ("each", each), single=True)
    hit = np.flatnonzero(inside)
    key = ("along", 0, tuple(hit.tolist())) if len(long) == 1 else ("entries", tuple(hit.tolist()))
    bits = _to_name(hit, inside.size)
    first = np.argwhere(inside)[: count if count <= MOST_SHOWN else MOST_SHOWN - 1]
    indices = [f"[{', '.join(map(str, index))}]" for index in first.tolist()]
    if count > len(indices):
        return Part(f"{count} of {inside.size} entries ({', '.join(indices)}, …)", bits, key)
    return Part(_joined(indices), bits, key, single=count == 1)


def _to_name(hit: Array, length: int) -> float:
    usual = hit.size == 1 and hit[0] in (0, length - 1)
    return 0.0 if usual else math.log2(math.comb(length, hit.size))


def _positions(shape: tuple[int, ...], axis: int, positions: list[int]) -> str:
    """Return positions along an axis in words: all of them, or evenly spaced ones, or how many."""
    if len(positions) <= MOST_LISTED:
        return _at(shape, axis, _joined([str(k) for k in positions]), len(positions))
    if len(set(np.diff(positions).tolist())) == 1:
        return _named_positions(shape, axis, positions)
    listed = f"{len(positions)} of {shape[axis]}"
    return f"{listed} entries" if len(shape) == 1 else _at(shape, axis, listed, len(positions))


def _at(shape: tuple[int, ...], axis: int, listed: str, count: int) -> str:
    """Return positions that are listed with what they are called, as many as they are."""
    word, _, along = slice_word(shape, axis).partition(" ")
    if count > 1:
        word = "entries" if word == "entry" else f"{word}s"
    return f"{word} {listed} {along}".rstrip()


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


MOST_LISTED, MOST_SHOWN = 6, 4
"""Positions along an axis that are named one by one, and entries by all their indices."""


def _places(block: BlockData) -> Iterator[Place]:
    wrong = block.asked
    count, size = int(wrong.sum()), wrong.size
    if count <= MOST_ENTRIES:
        yield _entries(block, count)
    if size < LEAST_SIZE or count == 1:  # a row of zeros but for one entry is that entry
        return
    long = [axis for axis, length in enumerate(block.shape) if length > 1]
    for axis in long:
        others = tuple(k for k in range(wrong.ndim) if k != axis)
        hit = np.flatnonzero(wrong.any(axis=others))
        if len(long) == 1 and hit.size <= MOST_ENTRIES:
            continue
        place = _along(block, axis, hit)
        if place is not None:
            yield place
    if len(long) > 1:
        yield from _edges(block, long)
    if len(block.shape) == 2 and min(block.shape) > 1:
        yield from _triangles(block)


LEAST_SIZE = 4


def _entries(block: BlockData, count: int) -> Place:
    indices = [tuple(int(k) for k in index) for index in np.argwhere(block.asked)]
    shown = [f"[{', '.join(map(str, index))}]" for index in indices]
    key: tuple[object, ...] = ("entry", tuple(indices), block.name)
    if sum(length > 1 for length in block.shape) == 1:  # a bias: alike with rows of its matrix
        axis = next(axis for axis, length in enumerate(block.shape) if length > 1)
        key = ("along", 0, tuple(index[axis] for index in indices))
    cost = math.log2(math.comb(block.asked.size, count))
    where = f"the entr{'y' if count == 1 else 'ies'} {_joined(shown)}"
    return Place("entry", key, where, _verb(count), block.asked, cost)


def _verb(count: int) -> str:
    return "is" if count == 1 else "are"


def _along(block: BlockData, axis: int, hit: Array) -> Place | None:
    """Return a few positions along an axis, if they are few enough or evenly spaced."""
    length, count = block.shape[axis], int(hit.size)
    steps = set(np.diff(hit).tolist())
    even = len(steps) == 1
    most = MOST_LISTED if len(block.shape) > 1 else MOST_ENTRIES
    if count > length // 2 or (count > most and not even):
        return None
    inside = np.zeros(block.shape, dtype=bool)
    np.moveaxis(inside, axis, 0)[hit] = True
    cost = 2 * math.log2(length) if even else math.log2(math.comb(length, count))
    cost += math.log2(len(block.shape)) + (2.0 if steps - {1} and count > MOST_ENTRIES else 0.0)
    positions = hit.tolist()
    where = _named_positions(block.shape, axis, positions)
    # The positions of a sum over rows are those of its rows: W[2, :] and b[2].
    key: tuple[object, ...] = ("along", axis, tuple(positions))
    return Place("slice", key, where, _verb(count), inside, cost)


def _named_positions(shape: tuple[int, ...], axis: int, positions: list[int]) -> str:
    steps = set(np.diff(positions).tolist())
    if len(positions) > MOST_ENTRIES and len(steps) == 1:
        step = steps.pop()
        listed = f"{positions[0]} to {positions[-1]}" + (f" by {step}" if step > 1 else "")
    else:
        listed = _joined([str(k) for k in positions])
    if positions == [shape[axis] - 1]:
        listed += " (the last)"
    return _at(shape, axis, listed, len(positions))


def _edges(block: BlockData, long: list[int]) -> Iterator[Place]:
    """Yield first and last positions along several axes together: what a loop leaves out."""
    shape = block.shape
    axes = long[-2:]
    sides: dict[str, Array] = {}
    for axis in axes:
        for name, position in (("first", 0), ("last", -1)):
            inside = np.zeros(shape, dtype=bool)
            np.moveaxis(inside, axis, 0)[position] = True
            sides[f"{name} {slice_word(shape, axis)}"] = inside
    names = list(sides)
    border = np.logical_or.reduce([sides[name] for name in names])
    if all(shape[axis] > 2 for axis in axes):
        yield Place("slice", ("border",), "the border", "is", border, 3.0)
    for first in names[:2]:
        for second in names[2:]:
            inside = sides[first] | sides[second]
            where = f"the {first} and the {second}"
            yield Place("slice", ("edges", first, second), where, "are", inside, 4.0)


def _triangles(block: BlockData) -> Iterator[Place]:
    rows, columns = np.indices(block.shape)
    for name, inside in (
        ("the diagonal", rows == columns),
        ("the part above the diagonal", rows < columns),
        ("the part below the diagonal", rows > columns),
        ("the upper triangle", rows <= columns),
        ("the lower triangle", rows >= columns),
    ):
        yield Place("slice", ("triangle", name), name, "is", inside, 3.0)
