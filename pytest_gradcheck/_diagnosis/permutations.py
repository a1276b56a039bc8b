"""The table of repairs that move entries: swapped axes, another order, shifts, reversals."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from .evidence import Array, BlockData, Predicted, Repair, Suggest, fit, named_factor, slice_word

PLAIN = 8.0
"""Bits that a rearrangement costs, besides the number of its like."""

MOST_SHIFT = 16
"""Shifts up to so many are tried to both sides; all of them along shorter axes."""

Move = Callable[[Array], Array]


def rearranged(block: BlockData) -> Iterator[Repair]:
    """Name the same values in other places."""
    if block.analytic.size < 2 or not np.isfinite(block.analytic).all():
        return
    shape = block.shape
    scale = _scale(block) if block.whole else 1.0
    if scale is not None:
        for row in itertools.chain(_axes(shape), _ends(shape), _shifts(block, scale)):
            yield _moved(row, scale)
        if block.whole and block.analytic.size > 2:
            yield _another_order(scale)
    for row in _shifts_with_edges(shape):
        # What comes in at the edge is free, and pays for as much that is explained: in a block of
        # equal values one wrong entry at the edge would look like a shift.
        yield _moved(row, 1.0, free=int(np.isnan(row[3](block.analytic)).sum()))


Row = tuple[str, tuple[object, ...], str, Move, float]
"""Of a rearrangement the code, the key, the hint, what makes it, and what it costs in bits."""


def _scale(block: BlockData) -> float | None:
    """Return the factor between the two sets of values, or None when they are not alike."""
    a, n = np.abs(block.analytic).ravel(), np.abs(block.numeric).ravel()
    of_a, of_n = np.argsort(a), np.argsort(n)
    slack = 3 * block.error.ravel()[of_n] + 1e-6 * n[of_n] + 1e-9 * float(n.max())
    found = fit(n[of_n], (a[of_a],), np.maximum(block.floor.ravel()[of_n], 1e-300))
    if found is None or np.any(np.abs(n[of_n] - found[0].value * a[of_a]) > slack):
        return None
    if found[0].is_(1.0) or abs(found[0].value - 1) < 1e-6:
        return 1.0
    named = named_factor(found[0], block.sizes)
    return float(named[0]) if named else None


def _moved(row: Row, scale: float, free: int = 0) -> Repair:
    """Return a rearrangement, times a factor, of which so many entries are not predicted."""
    code, key, hint, move, cost = row

    def apply(other: BlockData) -> Predicted | None:
        try:
            values = scale * move(other.analytic)
        except (ValueError, IndexError):  # another number of axes, or other lengths
            return None
        if values.shape != other.shape:
            return None
        return Predicted(values, loose=np.isnan(values) if free else None)

    times = "" if scale == 1 else f", times {1 / scale:.5g}"
    prior = PLAIN + cost + (0.0 if scale == 1 else 8.0)
    return Repair(code, (*key, scale), hint + times, apply, prior, fitted=free)


def _axes(shape: tuple[int, ...]) -> Iterator[Row]:
    """Yield all orders of the axes: within the shape where it allows, else through reshape."""
    if not 2 <= len(shape) <= 4:
        return
    for order in itertools.permutations(range(len(shape))):
        long = [axis for axis in order if shape[axis] > 1]
        if long == sorted(long):
            continue  # the same entries in the same order
        swapped = tuple(axis for axis, old in enumerate(order) if axis != old)
        permuted = tuple(shape[axis] for axis in order)
        if permuted == shape:
            plain = len(shape) == 2
            what = "the transpose of numeric"
            if not plain:
                listed = ", ".join(map(str, swapped))
                verb = "swapped" if len(swapped) == 2 else "permuted"
                what = f"numeric with axes {listed} {verb}"
            cost = 0.0 if plain else 3.0 if len(swapped) == 2 else 5.0
            yield (
                "transposed",
                ("transposed", order),
                f"analytic = {what}",
                lambda a, order=order: a.transpose(order),  # type: ignore[misc]
                cost,
            )
            continue
        # Written in one order of the axes and read in another.
        back = tuple(int(k) for k in np.argsort(order))
        fortran = order == tuple(reversed(range(len(shape))))
        in_order = "Fortran" if fortran else "another"
        yield (
            "reshaped",
            ("reshaped", order),
            f"analytic has the values of numeric in {in_order} memory order (a wrong reshape)",
            lambda a, permuted=permuted, back=back: a.reshape(permuted).transpose(back),  # type: ignore[misc]
            2.0 if fortran else 6.0,
        )
        yield (
            "reshaped",
            ("reshaped back", order),
            f"analytic has the values of numeric in {in_order} memory order (a wrong reshape)",
            lambda a, order=order: a.transpose(order).reshape(a.shape),  # type: ignore[misc]
            2.5 if fortran else 6.5,
        )


def _ends(shape: tuple[int, ...]) -> Iterator[Row]:
    """Yield reversals along one or more axes."""
    long = [axis for axis, length in enumerate(shape) if length > 1]
    for count in range(1, min(len(long), 4) + 1):
        for axes in itertools.combinations(long, count):
            word = "axis" if count == 1 else "axes"
            listed = " and ".join(map(str, axes))
            last = axes == tuple(long[-count:])
            yield (
                "flipped",
                ("flipped", axes),
                f"analytic = numeric reversed along {word} {listed}",
                lambda a, axes=axes: np.flip(a, axes),  # type: ignore[misc]
                0.5 if last else 1.5,
            )


def _steps(block: BlockData, axis: int | None, scale: float) -> list[int]:
    """Return the shifts to try: all of a short axis, of a long one those of its largest slice."""
    a, n, slack = (_slices(x, axis) for x in (block.analytic, block.numeric, block.slack))
    length = a.shape[0]
    if length <= 2 * MOST_SHIFT:
        found = list(range(1, length))
    else:
        largest = int(np.argmax(np.abs(n).max(axis=1)))
        alike = np.all(np.abs(scale * a - n[largest]) <= slack[largest], axis=1)
        found = [(j - largest) % length for j in np.flatnonzero(alike)[:MOST_SHIFT].tolist()]
    return [k if k <= length // 2 else k - length for k in found if k]


def _slices(values: Array, axis: int | None) -> Array:
    """Return the slices along an axis as rows, shape (length, -1); unset: each entry is one."""
    if axis is None:
        return values.reshape(-1, 1)
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def _shifts(block: BlockData, scale: float) -> Iterator[Row]:
    """Yield rolls along one axis, and along the flat block."""
    shape = block.shape
    for axis, length in enumerate(shape):
        for k in _steps(block, axis, scale) if length > 1 else ():
            packed = len(shape) == 1 and abs(k) >= LEAST_PACKED
            yield (
                "rolled",
                ("rolled", axis, k),
                f"analytic = numeric rolled by {k} along axis {axis}"
                + (": parts packed in another order?" if packed else ""),
                lambda a, axis=axis, k=k: np.roll(a, -k, axis),  # type: ignore[misc]
                1.0 + float(np.log2(abs(k)) * 2),
            )
    if sum(length > 1 for length in shape) > 1:
        for k in _steps(block, None, scale):
            yield (
                "rolled",
                ("rolled", None, k),
                f"analytic = numeric rolled by {k} in flat order",
                lambda a, k=k: np.roll(a, -k),  # type: ignore[misc]
                5.0 + float(np.log2(abs(k)) * 2),
            )


LEAST_PACKED = 3
"""An index is off by less."""


def _shifts_with_edges(shape: tuple[int, ...]) -> Iterator[Row]:
    """Yield shifts by one or two that do not come back at the other end."""
    for axis, length in enumerate(shape):
        for k in (1, -1, 2, -2):
            if length <= 2 * abs(k) + 1:
                continue

            def move(a: Array, axis: int = axis, k: int = k) -> Array:
                values = np.roll(a, -k, axis).astype(np.float64)
                edge: list[slice] = [slice(None)] * a.ndim
                edge[axis] = slice(-k, None) if k > 0 else slice(None, -k)
                values[tuple(edge)] = np.nan
                return values

            yield (
                "rolled",
                ("shifted", axis, k),
                f"analytic = numeric shifted by {k} along axis {axis}",
                move,
                6.0 + abs(k),
            )


def _another_order(scale: float) -> Repair:
    def apply(other: BlockData) -> Predicted | None:
        if not other.whole:
            return None
        a, n = other.analytic.ravel(), other.numeric.ravel()
        values = np.empty(a.size)
        values[np.argsort(n, kind="stable")] = np.sort(scale * a)
        return Predicted(values.reshape(other.shape))

    return Repair(
        "reshaped",
        ("another order", scale),
        "analytic has the same values as numeric, in another order",
        apply,
        24.0,
        fitted=2,
    )


def exchanged(block: BlockData) -> Iterator[Repair]:
    """Name rows, columns or other slices that stand in each other's place: gates, channels."""
    if not block.whole:
        return
    for axis, length in enumerate(block.shape):
        order = _matched(block, axis) if 2 <= length <= MOST_SLICES else None
        if order is None:
            continue
        moved = np.flatnonzero(order != np.arange(length))
        if not moved.size:  # alike but for a factor
            continue
        runs = np.split(moved, np.flatnonzero(np.diff(order - np.arange(length))[moved[:-1]]) + 1)
        runs = [
            run for part in runs for run in np.split(part, np.flatnonzero(np.diff(part) > 1) + 1)
        ]
        two = len(runs) == 2 and len(runs[0]) == len(runs[1])
        if len(block.shape) == 1 and len(runs) > MOST_RUNS:
            continue  # entries in any order
        what, _, axis_word = slice_word(block.shape, axis).partition(" ")
        many = "entries" if what == "entry" else f"{what}s"
        along = f" {axis_word}" if axis_word else ""
        listed = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
        where = f"{many} {' and '.join(listed)}" if two else f"{moved.size} of {length} {many}"
        if not two and len(listed) <= MOST_RUNS:
            where = f"{many} {', '.join(listed[:-1])} and {listed[-1]}"
        how = "exchanged" if two else "in another order"

        def apply(other: BlockData, axis: int = axis, order: Array = order) -> Predicted | None:
            if axis >= other.analytic.ndim or other.shape[axis] != order.size:
                return None
            return Predicted(np.take(other.analytic, np.argsort(order), axis))

        yield Repair(
            "swapped",
            ("exchanged", axis, tuple(order.tolist())),
            f"analytic = numeric with {where}{along} {how}",
            apply,
            PLAIN + ODD_ORDER + 2 * len(runs) * float(np.log2(length)),
        )


MOST_SLICES, MOST_RUNS, ODD_ORDER = 1024, 4, 3.0
"""Slices that are matched; runs of them that are named; and what another order costs, in bits."""


def _matched(block: BlockData, axis: int) -> Array | None:
    """Return for each slice of analytic which of numeric it is, or None: some are none."""
    a, n, slack = (_slices(x, axis) for x in (block.analytic, block.numeric, block.slack))
    wrong = np.flatnonzero(_slices(block.asked, axis).any(axis=1))
    if wrong.size < 2:
        return None
    order, free = np.arange(a.shape[0]), np.ones(wrong.size, dtype=bool)
    for j in wrong.tolist():
        alike = free & np.all(np.abs(n[wrong] - a[j]) <= slack[wrong], axis=1)
        if not alike.any():
            return None
        first = int(np.argmax(alike))
        order[j], free[first] = wrong[first], False
    return order


def shared(block: BlockData) -> Iterator[Repair]:
    """Name a contribution that is missing where a matrix is used twice, once transposed."""
    if len(block.shape) != 2 or block.shape[0] != block.shape[1] or block.shape[0] < 2:
        return

    def diagonal(a: Array) -> Array:
        return np.diag(np.diag(a))

    rows: tuple[tuple[str, str, Move, float], ...] = (
        ("sum", "numeric = analytic + its transpose", lambda a: a + a.T, 0.0),
        ("mean", "numeric = (analytic + its transpose) / 2", lambda a: (a + a.T) / 2, 1.0),
        (
            "symmetric",
            "numeric = analytic + its transpose, the diagonal once",
            lambda a: a + a.T - diagonal(a),
            2.0,
        ),
    )
    for name, words, move, cost in rows:

        def apply(other: BlockData, move: Move = move) -> Predicted | None:
            square = other.analytic.ndim == 2 and other.shape[0] == other.shape[1]
            return Predicted(move(other.analytic)) if square else None

        yield Repair(
            "shared",
            ("shared", name),
            f"{words}: one of two uses of it is not accumulated",
            apply,
            PLAIN + 2 + cost,
            told=f"{words}, in {{names}}: one of two uses is not accumulated",
        )

    def symmetrised(other: BlockData) -> Predicted | None:
        if other.analytic.ndim != 2 or other.shape[0] != other.shape[1] or not other.whole:
            return None
        return Predicted((other.numeric + other.numeric.T) / 2, of_analytic=True)

    yield Repair(
        "shared",
        ("shared", "symmetrised"),
        "analytic = (numeric + its transpose) / 2: made symmetric, which numeric is not",
        symmetrised,
        PLAIN + 4,
        told="analytic = (numeric + its transpose) / 2 in {names}: made symmetric, which numeric "
        "is not",
    )


REARRANGED: tuple[Suggest, ...] = (rearranged, exchanged, shared)
