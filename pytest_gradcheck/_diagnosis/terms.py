"""Repairs by a term that is missing or too much: weight decay, an L1 penalty, a constant.

`causes` weighs what is yielded here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

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


def term(block: BlockData) -> Iterator[Repair]:
    """Name a term that is missing or too much: λθ, λ·sign(θ), a constant; with a factor, too."""
    yield from _term(block, "constant", lambda b: np.ones(b.shape), 14.0, _constant_words)
    if block.theta is None:
        return
    yield from _term(block, "theta", lambda b: b.theta, 12.0, _decay_words)
    yield from _term(
        block,
        "sign-theta",
        lambda b: None if b.theta is None else np.sign(b.theta),
        13.0,
        _lasso_words,
    )


Words = Callable[[float, str, bool], tuple[str, str]]
"""Takes the amount, what stands for the parameters' name, and whether people choose such numbers;
returns the sentence, and what it is where the term is but in a part."""


def _term(
    block: BlockData,
    code: str,
    column: Callable[[BlockData], Array | None],
    prior: float,
    words: Words,
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

        def apply(other: BlockData) -> Predicted | None:
            mine = column(other)
            return None if mine is None else Predicted(other.analytic - amount * mine)

        chosen = float(f"{amount:.3g}") == amount or named_factor(alone[0], block.sizes) is not None
        hint, part = words(amount, "{0}", chosen)
        told = words(amount, "{names}", chosen)[0] if "{0}" in hint else ""
        yield Repair(code, (code, amount), hint, apply, prior, told, fitted, part)
    elif code == "theta":
        yield from _factor_and_decay(block, prior)


UNIT = 6.0
"""Bits that a difference of 1, or 1/m, costs besides those of m."""

ONE_SIGN = 3.0
"""Where all parameters have one sign, λ·sign(θ) is a constant, and that is told first."""


def _factor_and_decay(block: BlockData, prior: float) -> Iterator[Repair]:
    """Yield a factor and a multiple of θ together: analytic = ρ·numeric + λθ."""
    where = block.valid
    assert block.theta is not None
    found = fit(
        block.numeric[where],
        (block.analytic[where], block.theta[where]),
        block.floor[where],
    )
    if found is None or abs(found[0].value) <= 3 * found[0].spread or _is_theta(block):
        return
    ratio = found[0].inverse()
    named = named_factor(ratio, block.sizes)
    value = float(named[0]) if named else ratio.value
    scaled = Fitted(-found[1].value * value, found[1].spread * abs(value))
    if abs(value - 1) < UNCHANGED or abs(scaled.value) <= 3 * scaled.spread:
        return
    amount = scaled.neat

    def apply(other: BlockData) -> Predicted | None:
        if other.theta is None:
            return None
        return Predicted((other.analytic - amount * other.theta) / value)

    sign = "-" if amount < 0 else "+"
    what = factor_words(named[0] if named else None, value, block)
    # Of analytic = ρ(numeric − λθ) + λθ and ρ(numeric − λθ), the one whose λ has fewer digits.
    beside, within = (
        Fitted(amount / by, scaled.spread / abs(by)).neat for by in (1 - value, -value)
    )
    note = ""
    if named and beside > 0 and (within < 0 or _digits(beside) < _digits(within)):
        note = f": all but weight decay of {number(beside)} has the factor"

    def words(name: str) -> str:
        return f"analytic = {what} {sign} {number(abs(amount))} x {name}{note}"

    yield Repair(
        "theta",
        ("factor and theta", value, amount),
        words("{}"),
        apply,
        prior + (named[1] + 4 if named else 8),
        fitted=1 if named else 2,
        told=words("{names}"),
    )


def _digits(value: float) -> int:
    return len(f"{value:.4e}".partition("e")[0].replace(".", "").strip("-").rstrip("0"))


def _is_theta(block: BlockData) -> bool:
    """Return whether numeric is a multiple of θ: then a formula with λθ needs no analytic."""
    where = block.valid
    assert block.theta is not None
    x, n = block.theta[where], block.numeric[where]
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


def _constant_words(amount: float, name: str, chosen: bool) -> tuple[str, str]:
    del name, chosen
    part = f"analytic - numeric = {number(amount)}"
    return f"{part}, the same in every entry", part


def target_words(repair: Repair) -> str:
    """Ask whether a one-hot target is at fault, where a constant is 1, or 1/m of a mean."""
    if repair.code != "constant" or repair.fitted:
        return ""
    return f": a one-hot target {'not subtracted' if repair.key[1] > 0 else 'subtracted twice'}?"


def targets(block: BlockData) -> Iterator[Repair]:
    """Name differences that are counts, or counts out of m: targets not subtracted, or others."""
    d, bar = block.analytic - block.numeric, block.floor
    if d.ndim != 1 or d.size < 2 or not block.whole:
        return
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
        NAMED + 4 + math.log2(out_of) + cost,
    )


MOST_TARGETS, MOST_COUNTED, WHOLE, FEW = 1000, 1e6, 1e-3, 8
"""Samples in a mean, and targets of one kind; how near to a whole number a count is seen to be; and
entries that are asked first."""
