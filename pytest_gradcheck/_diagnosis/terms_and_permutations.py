"""Repairs by a term (weight decay, an L1 penalty, a constant), and by moving entries.

`causes` weighs what is yielded here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial

import numpy as np

from .._params.arrays_and_structure import Array
from .evidence_and_places import (
    BlockData,
    Fitted,
    Predicted,
    Repair,
    Suggest,
    at,
    fit,
    joined,
    makes_analytic,
    makes_numeric,
    named_factor,
    number,
    rows_of,
)
from .evidence_and_places import named as place_of
from .factors import NAMED, UNCHANGED, factor_words

OTHER_TERM = 18.0  # bits of a term in `FUNCTIONS`, whose coefficient must be a simple number
INTERCEPT = 3.0  # bits that it costs to say which of the places of an intercept has no decay
# Bits that a number of samples costs besides where func reads nothing of that length.
UNKNOWN_SIZE = 4.0
LEAST_PACKED = 3  # an index is off by less
# Slices that are matched; runs of them that are named; and what another order costs, in bits.
MOST_SLICES, MOST_RUNS, ODD_ORDER = 1024, 4, 3.0


def term(block: BlockData) -> Iterator[Repair]:
    """Name a term that is missing or too much: λθ, λ·sign(θ), a constant; with a factor, too."""
    yield from _term(block, "constant", np.ones_like, 14.0, _constant_words)
    of_jacobian = bool(block.parameter)
    yield from _term(block, "theta", np.asarray, 12.0, MULTIPLE if of_jacobian else DECAY)
    yield from _term(block, "sign-theta", np.sign, 13.0, SIGNS if of_jacobian else LASSO)
    if block.theta.size > 1 and np.ptp(block.theta):
        for words, function in FUNCTIONS:
            yield from _term(block, "theta", function, OTHER_TERM, words, simple_only=True)


# Takes the amount, and whether people choose such numbers; returns the sentence, what it is where
# the term is but in a part, and what is told of several blocks, or "" (see `Repair`).
Words = Callable[[float, bool], tuple[str, str, str]]


def _term(
    block: BlockData,
    code: str,
    of_theta: Callable[[Array], Array],
    prior: float,
    words: Words,
    *,
    simple_only: bool = False,
) -> Iterator[Repair]:
    x, where = of_theta(block.theta), block.valid
    one_sign = code == "sign-theta" and np.unique(x[where]).size < 2
    prior += ONE_SIGN * one_sign
    d = block.analytic[where] - block.numeric[where]
    alone = fit(d, (x[where],), block.floor[where])
    if alone is not None and np.all(
        np.abs(d - alone[0].value * x[where]) <= block.slack[where] + 3 * alone[0].spread
    ):
        amount, fitted = alone[0].neat, 1
        named = code == "constant" and (block.part or block.analytic.size > 1)
        unit = named_factor(alone[0], {}) if named else None
        if unit is not None and abs(unit[0].numerator) == 1:  # 1, or 1/m
            amount, fitted, prior = float(unit[0]), 0, UNIT + unit[1]
        simple = Fraction(alone[0].value).limit_denominator(MOST_SIMPLE)
        bits = math.log2(abs(simple.numerator) * simple.denominator or 1)
        plain = simple and alone[0].is_(float(simple)) and bits <= NAMED_BY
        plain = plain and not (one_sign or code == "constant")
        if plain and np.count_nonzero(block.asked) > 1 and _tells(block, x):
            amount, fitted, prior = float(simple), 0, prior + bits
        elif simple_only:
            return

        def apply(other: BlockData) -> Predicted:
            return Predicted(other.analytic - amount * of_theta(other.theta))

        chosen = float(f"{amount:.3g}") == amount or named_factor(alone[0], block.sizes) is not None
        hint, part, told = words(amount, chosen)
        yield Repair(code, (code, amount, words), hint, apply, prior, told, fitted, part)
    elif of_theta is np.asarray:
        yield from _factor_and_decay(block, prior, lambda shape: (np.ones(shape, bool), ""))
        for spared in _intercepts(block.shape):
            yield from _factor_and_decay(block, prior + INTERCEPT, spared)


# Says of a shape which entries have the decay, and what to add to the sentence.
Mask = Callable[[tuple[int, ...]], tuple[Array, str]]


def _intercepts(shape: tuple[int, ...]) -> Iterator[Mask]:
    """Yield what spares the first or the last position along an axis, where an intercept stands."""
    for axis, place in itertools.product(range(len(shape)), (0, -1)):

        def mask(other: tuple[int, ...], axis: int = axis, place: int = place) -> tuple[Array, str]:
            decays = np.ones(other, dtype=bool)
            decays[(slice(None),) * axis + (place,)] = False
            return decays, f" (not in {place_of(~decays, decays).where})"

        if shape[axis] > 2:
            yield mask


# A coefficient is named by a fraction of such numbers at most, and of so many bits, in place of one
# entry.
MOST_SIMPLE, NAMED_BY = 1000, 16.0
MOST_CHOSEN = 2  # digits of a decay that people choose, beside a factor that has no name
UNIT = 6.0  # bits that a difference of 1, or 1/m, costs besides those of m
# Where all parameters have one sign, λ·sign(θ) is a constant, and that is told first.
ONE_SIGN = 3.0


def _factor_and_decay(block: BlockData, prior: float, mask: Mask) -> Iterator[Repair]:
    """Yield a factor and a multiple of θ together: analytic = ρ·numeric + λθ, where a mask is."""
    where = block.valid
    decays, spared = mask(block.shape)
    found = fit(
        block.numeric[where],
        (block.analytic[where], (block.theta * decays)[where]),
        block.floor[where],
    )
    if found is None or abs(found[0].value) <= 3 * found[0].spread or _multiple(block, block.theta):
        return
    ratio = found[0].inverse()
    named = named_factor(ratio, block.sizes)
    value = float(named[0]) if named else ratio.value
    scaled = Fitted(-found[1].value * value, found[1].spread * abs(value))
    if abs(value - 1) < UNCHANGED or abs(scaled.value) <= 3 * scaled.spread:
        return
    amount = scaled.neat

    def apply(other: BlockData) -> Predicted:
        return Predicted((other.analytic - amount * other.theta * mask(other.shape)[0]) / value)

    sign = "-" if amount < 0 else "+"
    what = factor_words(named[0] if named else None, value, block)
    # Of analytic = ρ(numeric − λθ) + λθ and ρ(numeric − λθ), the one whose λ has fewer digits.
    beside, within = (
        Fitted(amount / by, scaled.spread / abs(by)).neat for by in (1 - value, -value)
    )
    note, chosen = "", named or _digits(beside) <= MOST_CHOSEN
    if chosen and beside > 0 and (within < 0 or _digits(beside) < _digits(within)):
        note = f": all but weight decay of {number(beside)} has the factor"
    if amount == 1:
        note = ": the parameters after a step of gradient descent?"

    yield Repair(
        "theta",
        ("factor and theta", value, amount, spared),
        f"analytic = {what} {sign} {number(abs(amount))} x {{0}}{spared}{note}",
        apply,
        prior + (named[1] + 4 if named else 8),
        fitted=1 if named else 2,
    )


def _digits(value: float) -> int:
    return len(f"{value:.4e}".partition("e")[0].replace(".", "").strip("-").rstrip("0"))


def _tells(block: BlockData, x: Array) -> bool:
    """Return whether a simple coefficient of x is no matter of course."""
    # It is one where numeric is a multiple of x, all numbers are whole, or analytic is one number.
    n, a = block.numeric[block.valid], block.analytic[block.valid]
    whole = np.all(np.abs(n - np.round(n)) <= WHOLE)
    return not (whole or np.ptp(a) == 0 or _multiple(block, x))


def _multiple(block: BlockData, x: Array) -> bool:
    """Return whether numeric is a multiple of x: then a formula with that needs no analytic."""
    where = block.valid
    x, n = x[where], block.numeric[where]
    alone = fit(n, (x,), block.floor[where])
    assert alone is not None  # x is none of zeros: something was fitted to it before
    rest = np.abs(n - alone[0].value * x)
    return bool(np.all(rest <= block.slack[where] + 3 * alone[0].spread * np.abs(x)))


def _penalty(
    what: str, called: str, rather: str, amount: float, chosen: bool
) -> tuple[str, str, str]:
    """Say what is missing or too much: in the whole block, and in a part of it."""
    # A number that nobody chooses may come from elsewhere: a norm's derivative is along θ, too.
    begin = f"analytic - numeric = {number(amount)} x {what}: "
    whole = "missing from the gradient" if amount < 0 else "in the gradient once too often"
    part = "missing" if amount < 0 else "once too often"
    if not called:
        said = f"{begin}a multiple of {what} is {'missing' if amount < 0 else 'too much'}"
        return said, said, ""
    if not chosen:
        begin += f"a multiple of {what} is "
        return f"{begin}{whole} ({rather}?)", f"{begin}{part} ({rather}?)", ""
    begin += f"{called} with coefficient "
    return f"{begin}{number(abs(amount))} is {whole}", f"{begin}{abs(amount):.3g} is {part}", ""


DECAY: Words = partial(_penalty, "{0}", "weight decay", "weight decay, or the derivative of a norm")
LASSO: Words = partial(_penalty, "sign({0})", "an L1 penalty", "an L1 penalty")
# Of a Jacobian, to which nobody adds a penalty.
MULTIPLE: Words = partial(_penalty, "{0}", "", "")
SIGNS: Words = partial(_penalty, "sign({0})", "", "")


def _other_words(form: str, amount: float, chosen: bool) -> tuple[str, str, str]:
    del chosen
    term = f"analytic - numeric = {form.format(number(amount), '{0}')}"
    ends = f": a term that is {'missing' if amount < 0 else 'too much'}"
    # Of several blocks: exp(-p) for p in W and b, as it is no function of "W and b".
    return term + ends, term + ends, f"{term.format('p')} for p in {{names}}{ends}"


# What the logarithm of a determinant, a barrier, a double well, a likelihood or the divergence of
# two Gaussians adds to a gradient: the term, and how it is told.
FUNCTIONS: tuple[tuple[Words, Callable[[Array], Array]], ...] = (
    (partial(_other_words, "{} / {}"), lambda t: 1 / t),
    (partial(_other_words, "{} x {}^2"), lambda t: t * t),
    (partial(_other_words, "{} x {}^3"), lambda t: t * t * t),
    (partial(_other_words, "{} x exp({})"), np.exp),
    (partial(_other_words, "{} x (exp({}) - 1)"), np.expm1),
    (partial(_other_words, "{} x exp(-{})"), lambda t: np.exp(-t)),
)


def _constant_words(amount: float, chosen: bool) -> tuple[str, str, str]:
    del chosen
    part = f"analytic - numeric = {number(amount)}"
    return f"{part}, the same in every entry", part, ""


def target_words(repair: Repair) -> str:
    """Ask whether a one-hot target is at fault, where a constant is 1, or 1/m of a mean."""
    if repair.code != "constant" or repair.fitted:
        return ""
    return f": a one-hot target {'not subtracted' if repair.key[1] > 0 else 'subtracted twice'}?"


def _size_bits(m: int, block: BlockData) -> float:
    """Return the bits of a number of samples: func reads so many, or it is rather none."""
    known = m == 1 or m in block.sizes or m in block.constants
    return math.log2(m) + (0.0 if known else UNKNOWN_SIZE)


def targets(block: BlockData) -> Iterator[Repair]:
    """Name differences that are counts, or counts out of m: targets not subtracted, or others."""
    d, bar = block.analytic - block.numeric, block.floor
    if d.ndim != 1 or d.size < 2 or not block.whole or block.still[block.asked].all():
        return
    if np.ptp(block.analytic) == 0:
        return  # a sum, rather
    if np.abs(d[block.asked]).max() > MOST_COUNTED:
        return
    few = np.flatnonzero(block.asked)[:FEW]
    most = np.arange(1, MOST_TARGETS + 1)
    near = np.minimum(3 * np.outer(most, bar[few]), WHOLE)
    whole = np.abs(np.outer(most, d[few]) - np.round(np.outer(most, d[few]))) <= near
    for m in most[whole.all(axis=1)].tolist():
        counts = np.round(d * m)
        if np.all(np.abs(d * m - counts) <= np.minimum(3 * m * bar, WHOLE)):
            break
    else:
        return
    total, out_of = int(counts.sum()), m
    if (
        np.count_nonzero(counts) < 2
        or np.unique(counts).size < 2
        or (abs(total) not in (0, out_of) and out_of > 1)
    ):
        return
    own = block.numeric * out_of
    if np.all(np.abs(own - np.round(own)) <= WHOLE):
        return  # all is whole numbers here, right or wrong

    def apply(other: BlockData) -> Predicted | None:
        return Predicted(other.analytic - counts / out_of) if other.shape == d.shape else None

    how = ("other than func's", "not subtracted", "subtracted twice")[int(np.sign(total))]
    over = f" / {out_of}" if out_of > 1 else ""
    cost = float(np.sum(1 + 2 * np.log2(1 + np.abs(counts))))
    yield Repair(
        "target",
        ("target", block.name),
        f"analytic - numeric = whole numbers{over}, {total / out_of:g} in all: targets {how}?",
        apply,
        NAMED + 4 + _size_bits(out_of, block) + cost,
    )


# Samples in a mean, and targets of one kind; how near to a whole number a count is seen to be; and
# entries that are asked first.
MOST_TARGETS, MOST_COUNTED, WHOLE, FEW = 1000, 1e6, 1e-3, 8


# The table of repairs that move entries: swapped axes, another order, shifts, reversals

PLAIN = 8.0  # bits that a rearrangement costs, besides the number of its like
MOST_SHIFT = 16  # shifts up to so many are tried to both sides; all of them along shorter axes

Move = Callable[[Array], Array]


def rearranged(block: BlockData) -> Iterator[Repair]:
    """Name the same values in other places."""
    if block.analytic.size < 2:
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


# Of a rearrangement the code, the key, the hint, what makes it, and what it costs in bits.
Row = tuple[str, tuple[object, ...], str, Move, float]


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
        moved = move(other.analytic)
        if scale != 1 and np.array_equal(moved, other.analytic):
            return None  # a factor alone
        values = scale * moved
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
            what, cost = "the transpose of numeric", 0.0
            if len(shape) > 2:
                verb, cost = ("swapped", 3.0) if len(swapped) == 2 else ("permuted", 5.0)
                what = f"numeric with axes {', '.join(map(str, swapped))} {verb}"
            move = partial(np.transpose, axes=order)
            yield "transposed", ("transposed", order), f"analytic = {what}", move, cost
            continue
        fortran = order == tuple(reversed(range(len(shape))))
        in_order, cost = ("Fortran", 2.0) if fortran else ("another", 6.0)
        hint = f"analytic has the values of numeric in {in_order} memory order (a wrong reshape)"
        yield "reshaped", ("reshaped", order), hint, partial(_read_in, order), cost
        yield "reshaped", ("reshaped back", order), hint, partial(_written_in, order), cost + 0.5


def _read_in(order: tuple[int, ...], a: Array) -> Array:
    return a.reshape([a.shape[axis] for axis in order]).transpose(np.argsort(order))


def _written_in(order: tuple[int, ...], a: Array) -> Array:
    return a.transpose(order).reshape(a.shape)


def _ends(shape: tuple[int, ...]) -> Iterator[Row]:
    """Yield reversals along one or more axes."""
    long = [axis for axis, length in enumerate(shape) if length > 1]
    for count in range(1, min(len(long), 4) + 1):
        for axes in itertools.combinations(long, count):
            word = "axis" if count == 1 else "axes"
            hint = f"analytic = numeric reversed along {word} {' and '.join(map(str, axes))}"
            cost = 0.5 if axes == tuple(long[-count:]) else 1.5
            yield "flipped", ("flipped", axes), hint, partial(np.flip, axis=axes), cost


def _steps(block: BlockData, axis: int | None, scale: float) -> list[int]:
    """Return the shifts to try: all of a short axis, of a long one those of its largest slice."""
    a, n, slack = (rows_of(x, axis) for x in (block.analytic, block.numeric, block.slack))
    length = a.shape[0]
    if length <= 2 * MOST_SHIFT:
        found = list(range(1, length))
    else:
        largest = int(np.argmax(np.abs(n).max(axis=1)))
        alike = np.all(np.abs(scale * a - n[largest]) <= slack[largest], axis=1)
        found = [(j - largest) % length for j in np.flatnonzero(alike)[:MOST_SHIFT].tolist()]
    return [k if k <= length // 2 else k - length for k in found if k]


def _shifts(block: BlockData, scale: float) -> Iterator[Row]:
    """Yield rolls along one axis, and along the flat block."""
    shape = block.shape
    axes: list[int | None] = [axis for axis, length in enumerate(shape) if length > 1]
    for axis in [*axes, None] if len(axes) > 1 else axes:
        along, cost = ("in flat order", 5.0) if axis is None else (f"along axis {axis}", 1.0)
        for k in _steps(block, axis, scale):
            packed = len(shape) == 1 and abs(k) >= LEAST_PACKED
            asks = ": parts packed in another order?" if packed else ""
            hint = f"analytic = numeric rolled by {k} {along}{asks}"
            move = partial(np.roll, shift=-k, axis=axis)
            yield "rolled", ("rolled", axis, k), hint, move, cost + 2 * math.log2(abs(k))


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

            hint = f"analytic = numeric shifted by {k} along axis {axis}"
            yield "rolled", ("shifted", axis, k), hint, move, 6.0 + abs(k)


def _another_order(scale: float) -> Repair:
    def apply(other: BlockData) -> Predicted:
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
        ends = (np.diff((order - np.arange(length))[moved]) != 0) | (np.diff(moved) > 1)
        runs = np.split(moved, np.flatnonzero(ends) + 1)
        two = len(runs) == 2 and len(runs[0]) == len(runs[1])
        if len(block.shape) == 1 and len(runs) > MOST_RUNS:
            continue  # entries in any order
        listed = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
        where = f"{moved.size} of {length} {at(block.shape, axis, '', 2)}"
        if len(runs) <= MOST_RUNS:
            where = at(block.shape, axis, joined(listed), 2)
        how = "exchanged" if two else "in another order"
        yield Repair(
            "swapped",
            ("exchanged", axis, tuple(order.tolist())),
            f"analytic = numeric with {where} {how}",
            makes_numeric(partial(np.take, indices=np.argsort(order), axis=axis)),
            PLAIN + ODD_ORDER + 2 * len(runs) * float(np.log2(length)),
        )


def _matched(block: BlockData, axis: int) -> Array | None:
    """Return for each slice of analytic which of numeric it is, or None: some are none."""
    a, n, slack = (rows_of(x, axis) for x in (block.analytic, block.numeric, block.slack))
    wrong = np.flatnonzero(rows_of(block.asked, axis).any(axis=1))
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
    rows: tuple[tuple[str, Move], ...] = (
        ("numeric = analytic + its transpose", lambda a: a + a.swapaxes(0, 1)),
        ("numeric = (analytic + its transpose) / 2", lambda a: (a + a.swapaxes(0, 1)) / 2),
        (
            "numeric = analytic + its transpose, the diagonal once",
            lambda a: a + a.swapaxes(0, 1) - np.diag(np.diag(a)),
        ),
    )
    a = block.analytic
    one_side = not (np.triu(a, 1).any() and np.tril(a, -1).any())
    why = (
        "one side of the diagonal is not filled"
        if one_side
        else "one of two uses{} is not accumulated"
    )
    for cost, (words, move) in enumerate(rows):
        yield Repair(
            "shared",
            ("shared", words),
            f"{words}: {why.format(' of it')}",
            makes_numeric(move),
            PLAIN + 2 + cost,
            told=f"{words}, in {{names}}: {why.format('')}",
        )
    begin, end = "analytic = (numeric + its transpose) / 2", "made symmetric, which numeric is not"
    yield Repair(
        "shared",
        ("shared", begin),
        f"{begin}: {end}",
        makes_analytic(lambda n: (n + n.swapaxes(0, 1)) / 2),
        PLAIN + 4,
        told=f"{begin} in {{names}}: {end}",
    )


REARRANGED: tuple[Suggest, ...] = (rearranged, exchanged, shared)
