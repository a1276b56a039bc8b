"""Repairs by a term that is missing or too much: weight decay, an L1 penalty, a constant.

`causes` weighs what is yielded here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial

import numpy as np

from .evidence import (
    Array,
    BlockData,
    Fitted,
    Predicted,
    Repair,
    fit,
    named_factor,
    number,
)
from .factors import NAMED, UNCHANGED, factor_words
from .locations import named as place_of


def term(block: BlockData) -> Iterator[Repair]:
    """Name a term that is missing or too much: λθ, λ·sign(θ), a constant; with a factor, too."""
    yield from _term(block, "constant", lambda b: np.ones(b.shape), 14.0, _constant_words)
    if block.theta is None:
        return
    yield from _term(block, "theta", _theta, 12.0, _decay_words)
    yield from _term(
        block,
        "sign-theta",
        lambda b: None if b.theta is None else np.sign(b.theta),
        13.0,
        _lasso_words,
    )
    for column, words in FUNCTIONS:
        yield from _term(block, "theta", column, OTHER_TERM, words, simple_only=True)


OTHER_TERM = 18.0
"""Bits that such a term costs; and its coefficient must be a simple number."""


def _of_theta(function: Callable[[Array], Array]) -> Callable[[BlockData], Array | None]:
    """Return a term as a function of a block; None where it is not finite, or one number."""

    def column(block: BlockData) -> Array | None:
        if block.theta is None or block.theta.size < 2 or np.ptp(block.theta) == 0:
            return None
        with np.errstate(all="ignore"):
            values = function(block.theta)
        return values if np.isfinite(values).all() else None

    return column


Words = Callable[[float, str, bool], tuple[str, str]]
"""Takes the amount, what stands for the parameters' name, and whether people choose such numbers;
returns the sentence, and what it is where the term is but in a part."""


def _term(
    block: BlockData,
    code: str,
    column: Callable[[BlockData], Array | None],
    prior: float,
    words: Words,
    *,
    simple_only: bool = False,
) -> Iterator[Repair]:
    x, where = column(block), block.valid
    if x is None:
        return
    if code == "sign-theta" and np.unique(x[where]).size < 2:
        prior += ONE_SIGN
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
        plain = code != "constant" and simple and alone[0].is_(float(simple)) and bits <= NAMED_BY
        if plain and np.count_nonzero(block.asked) > 1 and _tells(block, x):
            amount, fitted, prior = float(simple), 0, prior + bits
        elif simple_only:
            return

        def apply(other: BlockData) -> Predicted | None:
            mine = column(other)
            return None if mine is None else Predicted(other.analytic - amount * mine)

        chosen = float(f"{amount:.3g}") == amount or named_factor(alone[0], block.sizes) is not None
        hint, part = words(amount, "{0}", chosen)
        told = words(amount, "{names}", chosen)[0] if "{0}" in hint else ""
        yield Repair(code, (code, amount, words), hint, apply, prior, told, fitted, part)
    elif code == "theta" and column is _theta:
        yield from _factor_and_decay(block, prior, _everywhere)
        for spared in _intercepts(block.shape):
            yield from _factor_and_decay(block, prior + INTERCEPT, spared)


Mask = Callable[[tuple[int, ...]], tuple[Array, str]]
"""Says of a shape which entries have the decay, and what to add to the sentence."""

INTERCEPT = 3.0
"""Bits that it costs to say which of the places of an intercept has no decay."""


def _theta(block: BlockData) -> Array | None:
    return block.theta


def _everywhere(shape: tuple[int, ...]) -> tuple[Array, str]:
    return np.ones(shape, dtype=bool), ""


def _intercepts(shape: tuple[int, ...]) -> Iterator[Mask]:
    """Yield what spares the first or the last position along an axis, where an intercept stands."""
    for axis, place in itertools.product(range(len(shape)), (0, -1)):

        def mask(other: tuple[int, ...], axis: int = axis, place: int = place) -> tuple[Array, str]:
            decays = np.ones(other, dtype=bool)
            decays[(slice(None),) * axis + (place,)] = False
            return decays, f" (not in {place_of(~decays, decays).where})"

        if shape[axis] > 2:
            yield mask


MOST_SIMPLE, NAMED_BY = 1000, 16.0
"""A coefficient is named by a fraction of such numbers at most, and of so many bits, in place of
one entry."""

UNIT = 6.0
"""Bits that a difference of 1, or 1/m, costs besides those of m."""

ONE_SIGN = 3.0
"""Where all parameters have one sign, λ·sign(θ) is a constant, and that is told first."""


def _factor_and_decay(block: BlockData, prior: float, mask: Mask) -> Iterator[Repair]:
    """Yield a factor and a multiple of θ together: analytic = ρ·numeric + λθ, where a mask is."""
    where = block.valid
    assert block.theta is not None
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

    def apply(other: BlockData) -> Predicted | None:
        if other.theta is None or other.analytic.ndim != block.analytic.ndim:
            return None
        return Predicted((other.analytic - amount * other.theta * mask(other.shape)[0]) / value)

    sign = "-" if amount < 0 else "+"
    what = factor_words(named[0] if named else None, value, block)
    # Of analytic = ρ(numeric − λθ) + λθ and ρ(numeric − λθ), the one whose λ has fewer digits.
    beside, within = (
        Fitted(amount / by, scaled.spread / abs(by)).neat for by in (1 - value, -value)
    )
    note = ""
    if named and beside > 0 and (within < 0 or _digits(beside) < _digits(within)):
        note = f": all but weight decay of {number(beside)} has the factor"
    if amount == 1:
        note = ": the parameters after a step of gradient descent?"

    def words(name: str) -> str:
        return f"analytic = {what} {sign} {number(abs(amount))} x {name}{spared}{note}"

    yield Repair(
        "theta",
        ("factor and theta", value, amount, spared),
        words("{}"),
        apply,
        prior + (named[1] + 4 if named else 8),
        fitted=1 if named else 2,
        told=words("{names}"),
    )


def _digits(value: float) -> int:
    return len(f"{value:.4e}".partition("e")[0].replace(".", "").strip("-").rstrip("0"))


def _tells(block: BlockData, x: Array) -> bool:
    """Return whether a simple coefficient of x is no matter of course.

    It is one where numeric is a multiple of x, all numbers are whole, or analytic is one number.
    """
    n, a = block.numeric[block.valid], block.analytic[block.valid]
    whole = np.all(np.abs(n - np.round(n)) <= WHOLE)
    return not (whole or np.ptp(a) == 0 or _multiple(block, x))


def _multiple(block: BlockData, x: Array) -> bool:
    """Return whether numeric is a multiple of x: then a formula with that needs no analytic."""
    where = block.valid
    x, n = x[where], block.numeric[where]
    alone = fit(n, (x,), block.floor[where])
    if alone is None:
        return False
    rest = np.abs(n - alone[0].value * x)
    return bool(np.all(rest <= block.slack[where] + 3 * alone[0].spread * np.abs(x)))


def _decay_words(amount: float, name: str, chosen: bool) -> tuple[str, str]:
    called = "weight decay" if chosen else "weight decay, or the derivative of a norm"
    return _penalty(amount, name, called, chosen)


def _lasso_words(amount: float, name: str, chosen: bool) -> tuple[str, str]:
    return _penalty(amount, f"sign({name})", "an L1 penalty", chosen)


def _penalty(amount: float, what: str, called: str, chosen: bool) -> tuple[str, str]:
    """Say what is missing or too much: in the whole block, and in a part of it.

    A number that nobody chooses may come from elsewhere: a norm's derivative is along θ, too.
    """
    begin = f"analytic - numeric = {number(amount)} x {what}: "
    whole = "missing from the gradient" if amount < 0 else "in the gradient once too often"
    part = "missing" if amount < 0 else "once too often"
    if not chosen:
        begin += f"a multiple of {what} is "
        return f"{begin}{whole} ({called}?)", f"{begin}{part} ({called}?)"
    begin += f"{called} with coefficient "
    return f"{begin}{number(abs(amount))} is {whole}", f"{begin}{abs(amount):.3g} is {part}"


def _other_words(what: str, amount: float, name: str, chosen: bool) -> tuple[str, str]:
    del chosen
    # Of several blocks: exp(-p) for p in W and b, as it is no function of "W and b".
    term = what.format(number(amount), "p" if name == "{names}" else name)
    term += f" for p in {name}" if name == "{names}" else ""
    said = f"analytic - numeric = {term}: a term that is {'missing' if amount < 0 else 'too much'}"
    return said, said


FUNCTIONS: tuple[tuple[Callable[[BlockData], Array | None], Words], ...] = tuple(
    (_of_theta(function), partial(_other_words, name))
    for name, function in (
        ("{} / {}", lambda t: 1 / t),
        ("{} x {}^2", lambda t: t * t),
        ("{} x {}^3", lambda t: t * t * t),
        ("{} x exp({})", np.exp),
        ("{} x (exp({}) - 1)", np.expm1),
        ("{} x exp(-{})", lambda t: np.exp(-t)),
    )
)
"""What the logarithm of a determinant, a barrier, a double well, a likelihood or the divergence of
two Gaussians adds to a gradient: the term, and how it is told."""


def _constant_words(amount: float, name: str, chosen: bool) -> tuple[str, str]:
    del name, chosen
    part = f"analytic - numeric = {number(amount)}"
    return f"{part}, the same in every entry", part


def target_words(repair: Repair) -> str:
    """Ask whether a one-hot target is at fault, where a constant is 1, or 1/m of a mean."""
    if repair.code != "constant" or repair.fitted:
        return ""
    return f": a one-hot target {'not subtracted' if repair.key[1] > 0 else 'subtracted twice'}?"


def _size_bits(m: int, block: BlockData) -> float:
    """Return the bits of a number of samples: func reads so many, or it is rather none."""
    known = m == 1 or m in block.sizes or m in block.constants
    return math.log2(m) + (0.0 if known else UNKNOWN_SIZE)


UNKNOWN_SIZE = 4.0
"""Bits that a number of samples costs besides where func reads nothing of that length."""


def targets(block: BlockData) -> Iterator[Repair]:
    """Name differences that are counts, or counts out of m: targets not subtracted, or others."""
    d, bar = block.analytic - block.numeric, block.floor
    if d.ndim != 1 or d.size < 2 or not block.whole or block.still[block.asked].all():
        return
    if np.ptp(block.analytic) == 0:
        return  # a sum, rather
    clear = np.abs(d[block.asked])
    if not clear.size or clear.max() > MOST_COUNTED:
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
    sentence = (
        f"analytic - numeric = whole numbers{over}, {total / out_of:g} in all: targets {how}?"
    )
    cost = float(np.sum(1 + 2 * np.log2(1 + np.abs(counts))))
    yield Repair(
        "target",
        ("target", block.name),
        sentence,
        apply,
        NAMED + 4 + _size_bits(out_of, block) + cost,
    )


MOST_TARGETS, MOST_COUNTED, WHOLE, FEW = 1000, 1e6, 1e-3, 8
"""Samples in a mean, and targets of one kind; how near to a whole number a count is seen to be; and
entries that are asked first."""
