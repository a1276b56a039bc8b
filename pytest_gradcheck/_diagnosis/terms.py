"""Repairs by a term that is missing or too much: weight decay, an L1 penalty, a constant.

`causes` weighs what is yielded here.
"""

from __future__ import annotations

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
from .factors import UNCHANGED, factor_words
from .locations import named


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


Words = Callable[[float, str, str], str]
"""Takes the amount, the parameters' name, and where the term is rightly not, and returns words."""


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
        amount = alone[0].neat

        def apply(other: BlockData) -> Predicted | None:
            mine = column(other)
            return None if mine is None else Predicted(other.analytic - amount * mine)

        told = words(amount, "{names}", "")
        if "{names}" not in told:
            told += ", in {names}"
        yield Repair(
            code,
            (code, amount),
            words(amount, "{}", ""),
            apply,
            prior,
            fitted=1,
            told=told,
        )
        return
    if code != "constant":
        yield from _except_some(block, code, column, prior, words)
    if code == "theta":
        yield from _factor_and_decay(block, prior)


def _except_some(
    block: BlockData,
    code: str,
    column: Callable[[BlockData], Array | None],
    prior: float,
    words: Words,
) -> Iterator[Repair]:
    """Yield a term that the wrong entries have, and a few rightly lack: an intercept, a bias."""
    x, asked = column(block), block.asked
    if x is None or not asked.any():
        return
    found = fit((block.analytic - block.numeric)[asked], (x[asked],), block.floor[asked])
    if found is None:
        return
    amount = found[0].neat
    spared = _spared(block, amount * x)
    if spared is None:
        return
    where, cost = spared

    def apply(other: BlockData) -> Predicted | None:
        mine = column(other)
        if mine is None:
            return None
        theirs = _spared(other, amount * mine)
        if theirs is None or theirs[0] != where:
            return None
        return Predicted(np.where(other.wrong, other.analytic - amount * mine, other.analytic))

    yield Repair(
        code,
        (code, amount, "except", where),
        words(amount, "{}", where),
        apply,
        prior + cost,
        words(amount, "{names}", where),
        fitted=1,
    )


def _spared(block: BlockData, due: Array) -> tuple[str, float] | None:
    """Return the right entries that a term leaves out, and the bits to name them, if few do."""
    spared = block.valid & ~block.wrong & (np.abs(due) > block.slack)
    count, wrong = int(spared.sum()), int(block.asked.sum())
    if not 0 < count <= wrong:
        return None
    return named(spared, block.wrong)


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
    what, _ = factor_words(named[0] if named else None, value, {})

    def words(name: str) -> str:
        return f"analytic = {what} {sign} {number(abs(amount))} x {name}"

    yield Repair(
        "theta",
        ("factor and theta", value, amount),
        words("{}"),
        apply,
        prior + (named[1] + 4 if named else 8),
        fitted=1 if named else 2,
        told=words("{names}"),
    )


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


def _decay_words(amount: float, name: str, spared: str) -> str:
    told = _told(amount, spared)
    return f"analytic - numeric = {number(amount)} x {name}: weight decay with coefficient {told}"


def _lasso_words(amount: float, name: str, spared: str) -> str:
    told = _told(amount, spared)
    return (
        f"analytic - numeric = {number(amount)} x sign({name}): an L1 penalty with coefficient "
        f"{told}"
    )


def _told(amount: float, spared: str) -> str:
    """Return the coefficient, and whether it is missing or too much."""
    if spared:
        lacks = "missing" if amount < 0 else "once too often"
        return f"{abs(amount):.3g} is {lacks}, except in {spared}"
    lacks = "missing from the gradient" if amount < 0 else "in the gradient once too often"
    return f"{number(abs(amount))} is {lacks}"


def _constant_words(amount: float, name: str, spared: str) -> str:
    del name, spared
    return f"analytic - numeric = {number(amount)}, the same in every entry"
