"""Repairs by a factor: of a block, of each slice, of the chain rule; a zero; a missing sum.

Each function takes one block and yields the repairs that its numbers suggest; `causes` weighs
them.  To add one, write the function and put it in `REPAIRS`; a derivative that a parametrisation
leaves out of the chain rule is a row of `CHAINS`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial

import numpy as np

from .._constants import ENTRY_ROUNDINGS
from .._params.arrays_and_structure import Array
from .._quoting import shown
from .evidence_and_places import (
    BlockData,
    Fitted,
    Predicted,
    Repair,
    Suggest,
    fit,
    makes_analytic,
    makes_numeric,
    named_factor,
    number,
    rows_of,
    slice_word,
)

PER_SLICE = 30.0  # bits that it costs to give each slice a factor, besides one entry for each
LEAST = 3  # entries in a slice that can contradict its factor, and one more
# Below this the second singular value is none: then any error in one of two factors of an outer
# product looks like a factor per row, and names nothing.
RANK_ONE = 1e-6
MOST_OTHERS = 64  # so many other parameters are tried as factors, those next to the block
OTHER = 2.0  # bits that it costs to name another parameter
NAMED, FITTED = 7.0, 12.0  # bits that a formula costs when its number is a name or is fitted
UNCHANGED = 5e-5  # a factor nearer to 1 is none: in five digits it is 1
OF_PARAMETER = 6.0  # bits that it costs to name a factor after a parameter of one number
# How near to a number of one digit a norm is that was clipped: 1e-6 is added to what divides.
OF_A_CHOICE = 1e-5
# Smaller numbers are factors for reasons enough; how near to another number one is that number.
LEAST_SIZE, OF_ONE = 4, 1e-6
SEVENTH = 4e-6  # what single precision leaves, relative to an entry and its block together
# Entries that may be wrong beside others that are right to seven digits; those are more.
MOST_FAR = 2
NARROW = 24.0  # bits that values of float32 in a float64 are worth: one of 2^29 has so few digits
SHORT = 12  # bits of a number such as 0.25, which is in float32 for no reason
MOST_DECIMALS = 8  # decimals to which somebody rounds


def factor_per_slice(block: BlockData) -> Iterator[Repair]:
    """Name a factor for each position along an axis, as of units that lack their scale."""
    for axis, length in enumerate(block.shape):
        if length < 2 or block.analytic.size < LEAST * length:
            continue
        if not block.whole or _rank_one(block, axis):
            continue
        if rows_of(block.asked, axis)[rows_of(block.still, axis).all(axis=1)].any():
            continue  # no factor makes something of nothing
        a, n, weight = (rows_of(x, axis) for x in (block.analytic, block.numeric, block.floor**-2))
        ratio = (weight * a * n).sum(axis=1) / (weight * a * a).sum(axis=1)
        ratio = np.where(np.isfinite(ratio), ratio, 1.0)
        if np.all(np.abs(ratio - 1) < UNCHANGED):
            continue
        yield Repair(
            "factor",
            ("factor per slice", axis, block.name),
            f"analytic = a factor x numeric, another one in each {slice_word(block.shape, axis)}",
            partial(_scaled, function=np.asarray, of=ratio, axis=axis),
            PER_SLICE,
            fitted=length,
        )


def _scaled(
    block: BlockData,
    function: Callable[[Array], Array],
    missing: bool = True,
    sign: float = 1.0,
    of: Array | None = None,
    axis: int | None = None,
) -> Predicted:
    """Return a block times, or over, a function of θ, or of another array (along an axis)."""
    by = sign * function(block.theta if of is None else _along(of, axis, block.analytic.ndim))
    return Predicted(block.analytic * by if missing else block.analytic / by)


def multiples(block: BlockData) -> Iterator[Repair]:
    """Name a whole number for each position along the first axis, as of indices that repeat."""
    if not block.shape or block.shape[0] < 2 or not block.whole:
        return
    length = block.shape[0]
    a, n, bar = (x.reshape(length, -1) for x in (block.analytic, block.numeric, block.floor))
    largest, rows = np.argmax(np.abs(n), axis=1), np.arange(length)
    ways = (
        (n, a, "numeric is analytic", "repeated indices counted once"),
        (a, n, "analytic is numeric", "a division by counts left out"),
    )
    for more, of, begin, asks in ways:
        count = more[rows, largest] / of[rows, largest]
        count[~np.any(np.abs(n) > bar, axis=1)] = 1.0
        whole = np.round(count)
        if not np.all(np.isfinite(count)) or np.any(whole < 1) or np.unique(whole).size < 2:
            continue
        if block.analytic.size == length and np.count_nonzero(whole > 1) < 2:
            continue  # a factor in a single entry says nothing of others
        each = slice_word(block.shape, 0)
        yield Repair(
            "factor",
            ("multiples", more is a, tuple(whole.tolist())),
            f"{begin} times a whole number in each {each}: {asks}?",
            partial(_scaled, function=np.asarray, missing=more is n, of=whole, axis=0),
            NAMED + 4 + float(np.sum(1 + 2 * np.log2(whole))),
        )


def _rank_one(block: BlockData, axis: int) -> bool:
    singular = np.linalg.svd(rows_of(block.numeric, axis), compute_uv=False)
    noise = float(np.linalg.norm(block.floor))
    return bool(singular[1] <= RANK_ONE * singular[0] + 3 * noise)


def _sigmoid(t: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-t)))


# Derivatives of parametrisations, and how much odder than the plainest each is, in bits.
CHAINS: tuple[tuple[str, Callable[[Array], Array], float], ...] = (
    ("exp({0})", np.exp, 0.0),
    ("{0}", lambda t: t, 1.0),
    ("2 x {0}", lambda t: 2 * t, 1.0),
    ("{0}^2", lambda t: t * t, 1.0),
    ("3 x {0}^2", lambda t: 3 * t * t, 3.0),
    ("-1 / {0}^2", lambda t: -1 / (t * t), 1.0),
    ("sigmoid({0})", _sigmoid, 0.0),
    ("(1 - sigmoid({0}))", lambda t: _sigmoid(-t), 2.0),
    ("sigmoid({0}) x (1 - sigmoid({0}))", lambda t: _sigmoid(t) * _sigmoid(-t), 0.0),
    ("(1 - tanh({0})^2)", lambda t: 1 - np.tanh(t) ** 2, 1.0),
    ("2 exp(2 x {0})", lambda t: 2 * np.exp(2 * t), 1.0),
    ("exp(2 x {0})", lambda t: np.exp(2 * t), 2.0),
    ("exp({0} / 2) / 2", lambda t: np.exp(t / 2) / 2, 2.0),
    ("sqrt({0})", lambda t: np.sqrt(t), 2.0),
    ("1 / (2 sqrt({0}))", lambda t: 1 / (2 * np.sqrt(t)), 2.0),
    ("ln(10) x 10^{0}", lambda t: np.log(10) * 10**t, 2.0),
    ("log({0})", np.log, 3.0),
    ("softplus({0})", lambda t: np.logaddexp(0, t), 3.0),
)

CHAIN = 10.0

# Words in a parameter's name, and the derivative that they make likely.
TOLD_BY_NAME = (
    (("log", "ln_"), "exp"),
    (("logit", "raw", "unconstrained"), "sigmoid"),
    (("rho", "softplus"), "sigmoid({0})"),
)

LIKELY = 5.0  # bits that such a name is worth


def chain(block: BlockData) -> Iterator[Repair]:
    """Name the derivative of a parametrisation, in θ, that is missing or once too much."""
    for name, derivative, odd in CHAINS:
        slopes = derivative(block.theta[block.valid])
        if not np.isfinite(slopes).all():
            continue
        if slopes.size > 1 and np.ptp(slopes) <= 1e-6 * np.abs(slopes).max():
            continue  # the same everywhere: a factor
        if slopes.size > 1 and _constant_will_do(block, float(np.median(slopes))):
            continue  # as far as the error bars tell
        if slopes.size == 1 and named_factor(Fitted(float(slopes[0]), 0.0), {}) is not None:
            continue  # 1, 2 or 1/4: a factor, too
        likely = any(
            name.startswith(begin) and any(word in block.name.lower() for word in words)
            for words, begin in TOLD_BY_NAME
        )
        for missing, sign in itertools.product((True, False), (1.0, -1.0)):
            hint = _chain_words(name, missing, sign)
            yield Repair(
                "chain",
                ("chain", name, missing, sign),
                hint,
                partial(_scaled, function=derivative, missing=missing, sign=sign),
                CHAIN + odd + (0.0 if sign > 0 else 2.0) - LIKELY * likely,
                part=hint,
            )
    yield from _softmax(block)
    yield from _of_others(block)


def _constant_will_do(block: BlockData, slope: float) -> bool:
    """Return whether one number in place of slopes explains a block as well, but for signs."""
    a, n = np.abs(block.analytic), np.abs(block.numeric)
    return any(
        bool(np.all((np.abs(target - slope * other) <= block.slack)[block.asked]))
        for target, other in ((a, n), (n, a))
    )


def _chain_words(name: str, missing: bool, sign: float, each: str = "") -> str:
    minus, lacks = "-" if sign < 0 else "", "missing" if missing else "once too many"
    by = f"{'x' if missing else '/'} {name}{each}"
    return f"numeric = {minus}analytic {by}: that factor of the chain rule is {lacks}"


# Functions of another parameter that the chain rule makes a factor, with their bits.
POWERS: tuple[tuple[str, Callable[[Array], Array], float], ...] = (
    ("{}", lambda t: t, 0.0),
    ("{}^2", lambda t: t * t, 2.0),
    ("exp({})", np.exp, 2.0),
    ("exp(2 x {})", lambda t: np.exp(2 * t), 4.0),
)


def _of_others(block: BlockData) -> Iterator[Repair]:
    """Name another parameter that is missing as a factor, or is one once too often."""
    if not block.asked.any():
        return
    names, own = list(block.others), block.parameter or block.name
    here = names.index(own) if own in names else 0
    loudest = np.unravel_index(np.argmax(np.where(block.asked, block.gap, -1)), block.shape)
    a, n, slack = (float(x[loudest]) for x in (block.analytic, block.numeric, block.slack))
    for name in names[max(here - MOST_OTHERS // 2, 0) :][:MOST_OTHERS]:
        theta = block.others[name]
        if name == own or theta.size < 2 or np.ptp(theta) <= 1e-6 * np.abs(theta).max():
            continue  # the same everywhere: a factor
        for axis, each in _placements(theta.shape, block.shape):
            at = np.broadcast_to(_along(theta, axis, len(block.shape)), block.shape)[loudest]
            for (power, function, odd), missing in itertools.product(POWERS, (True, False)):
                one = a * function(at) if missing else a / function(at)
                if abs(one - n) <= slack:  # else it is none, and is not weighed
                    yield Repair(
                        "chain",
                        ("chain of another", name, power, missing, axis),
                        _chain_words(power.format(literal(name)), missing, 1.0, each),
                        partial(_scaled, function=function, missing=missing, of=theta, axis=axis),
                        CHAIN + OTHER + odd,
                    )


def _along(theta: Array, axis: int | None, dimensions: int) -> Array:
    """Return an array so that it broadcasts: as it is, or one entry to each slice along an axis."""
    if axis is None:
        return theta
    return np.moveaxis(theta.reshape(-1, *[1] * (dimensions - 1)), 0, axis)


def _placements(shape: tuple[int, ...], of: tuple[int, ...]) -> list[tuple[int | None, str]]:
    """Return how an array fits another entry by entry, or one to each slice along an axis."""
    if shape == of:
        return [(None, "")]
    if len(of) < 2 or len(shape) > len(of) or max(shape) != int(np.prod(shape)):
        return []
    axes = [axis for axis, length in enumerate(of) if length == max(shape)]
    return [(axis, f" (one in each {slice_word(of, axis)})") for axis in axes]


def _softmax(block: BlockData) -> Iterator[Repair]:
    for axis in (axis for axis, length in enumerate(block.shape) if length > 1):

        def apply(other: BlockData, axis: int = axis) -> Predicted:
            e = np.exp(other.theta - other.theta.max(axis=axis, keepdims=True))
            p = e / e.sum(axis=axis, keepdims=True)
            mean = (p * other.analytic).sum(axis=axis, keepdims=True)
            return Predicted(p * (other.analytic - mean))

        yield Repair(
            "chain",
            ("softmax", axis),
            "numeric = analytic through the derivative of softmax({}), which is missing",
            apply,
            CHAIN + 4,
            told="numeric = analytic through the derivative of softmax, which is missing, in "
            "{names}",
        )


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
    """Name a constant factor."""
    ratio = _ratio(block)
    if ratio is None or abs(ratio.neat - 1) < UNCHANGED:
        return
    named = named_factor(ratio, block.sizes)
    value, words = _named_by_parameter(ratio, block, named[1] if named else math.inf)
    if not words:
        value = float(named[0]) if named else ratio.neat

    what = factor_words(named[0] if named and not words else None, value, block)
    note = words or (": the sign is wrong" if value == -1 else "" if named else _clipped(block))
    yield Repair(
        "factor",
        ("factor", value),
        f"analytic = {what}, everywhere in the block{note}",
        makes_numeric(lambda a: a / value),
        NAMED + OF_PARAMETER if words else NAMED + named[1] if named else FITTED,
        told=f"analytic = {what} in all of {{names}}{note}",
        fitted=0 if words or named else 1,
        part=f"analytic = {what}{words}",
    )


def _named_by_parameter(ratio: Fitted, block: BlockData, most: float) -> tuple[float, str]:
    """Return the power of a one-number parameter that a ratio is, and how to say it, or ""."""
    if most <= OF_PARAMETER or ratio.spread > 1e-3 * abs(ratio.value):
        return ratio.value, ""
    for name, theta in block.others.items():
        if theta.size != 1 or name == block.name:
            continue
        for power, words in ((1, "x {}"), (-1, "/ {}"), (2, "x {}^2"), (-2, "/ {}^2")):
            value = float(theta.ravel()[0] ** power)
            if 0 < abs(value) < math.inf and ratio.is_(value):
                return value, f", which is numeric {words.format(literal(name))}"
    return ratio.value, ""


def literal(name: str) -> str:
    """Return a parameter's name for a sentence that is still to be formatted."""
    return shown(name).replace("{", "{{").replace("}", "}}")


def _clipped(block: BlockData) -> str:
    """Say so where a gradient that was made smaller has a norm that people choose."""
    own = float(np.linalg.norm(block.analytic)) if block.whole else 0.0
    for norm in (own, block.norm):
        chosen = float(f"{norm:.1g}")
        if norm and abs(norm / chosen - 1) < OF_A_CHOICE:
            return f": scaled to a norm of {number(chosen)}?"
    return ""


def _ratio(block: BlockData) -> Fitted | None:
    """Return analytic / numeric, if it is one number for all entries."""
    where = block.valid
    n, a = block.numeric[where], block.analytic[where]
    if block.mostly_still:
        return None
    # As n = k·a: the numeric value is the one with an error bar.
    found = fit(n, (a,), block.floor[where])
    if found is None or not found[0].value:
        return None
    inverse = found[0]
    if np.any(np.abs(n - inverse.value * a) > block.slack[where]):
        return None
    return inverse.inverse()


def factor_words(named: Fraction | None, value: float, block: BlockData) -> str:
    """Return "2 x numeric", with what a size in it is the size of."""
    if value == -1:
        return "-numeric"
    whole = [abs(named.numerator), named.denominator] if named else []
    known = {
        float(k): block.sizes.get(k) or block.constants.get(k) for k in whole if k >= LEAST_SIZE
    }
    # A number that is no size: a temperature, the share that a dropout keeps.
    for k, what in block.constants.items():
        if k % 1 and min(abs(value / k - 1), abs(value * k - 1)) < OF_ONE:
            known[k] = what
    notes = [f"{k:g} is {literal(what)}" for k, what in known.items() if what]
    text = f"{named if named is not None else number(value)} x numeric"
    return f"{text} ({'; '.join(notes)})" if notes else text


def clipped(block: BlockData) -> Iterator[Repair]:
    """Name a bound at which all entries stand that are beyond it."""
    written = block.analytic[block.valid]
    right = block.analytic[block.valid & ~block.wrong]
    if not block.asked.any() or not right.any():
        return
    low, high, size = float(written.min()), float(written.max()), float(np.abs(written).max())
    bounds = (
        (-size, size, f"[{number(-size)}, {number(size)}]", 0.0),
        (-np.inf, high, f"at most {number(high)}", 2.0),
        (low, np.inf, f"at least {number(low)}", 2.0),
    )
    for least, most, words, odd in bounds:
        bound = most if np.isfinite(most) else least
        if abs(bound) <= ENTRY_ROUNDINGS * block.eps * float(block.size.max()):
            continue  # without values of one sign, or nothing but rounding
        stands = block.analytic[block.wrong & (np.abs(block.analytic) == abs(bound))]
        if stands.size < 2:
            continue  # any entry that is too small, and still the largest, stands at a bound
        chosen = float(f"{bound:.2g}") == bound
        if np.ptp(stands) == 0 and (block.parameter or not chosen):
            continue  # 1/h² on the diagonal of a Jacobian, without another term
        if not np.any((right > least) & (right < most) & (right != 0)):
            continue
        yield Repair(
            "clipped",
            ("clipped", least, most),
            f"analytic = numeric clipped to {words}",
            makes_analytic(partial(np.clip, a_min=least, a_max=most)),
            (NAMED + 2 if chosen else FITTED) + odd,
            told=f"analytic = numeric clipped to {words} in {{names}}",
            fitted=0 if chosen else 1,
        )


def reduction(block: BlockData) -> Iterator[Repair]:
    """Name a sum or a mean over the wrong axes, broadcast."""
    axes = [axis for axis, length in enumerate(block.shape) if length > 1]
    for count in range(1, len(axes) + 1):
        for chosen in itertools.combinations(axes, count):
            yield from _reduced(block, chosen, np.sum)
            yield from _reduced(block, chosen, np.mean)


def _reduced(
    block: BlockData, axes: tuple[int, ...], kind: Callable[..., Array]
) -> Iterator[Repair]:
    def spread(values: Array) -> Array:
        return np.broadcast_to(kind(values, axis=axes, keepdims=True), values.shape)

    def of_numeric(other: BlockData) -> Predicted:
        # Where func does not answer at all, no step was small enough to say how well: it is 0.
        bar = spread(np.where(other.numeric == 0, 0.0, other.floor))
        groups = _groups(other.shape, axes)
        return Predicted(spread(other.numeric), of_analytic=True, groups=groups, bar=bar)

    def of_analytic(other: BlockData) -> Predicted:
        return Predicted(spread(other.analytic), groups=_groups(other.shape, axes))

    place = f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
    what = f"the {kind.__name__} over {place} of"
    # Of a single entry that is not zero there is no sum: a mask was left out.
    if np.sum(~block.still, axis=axes).max() > 1:
        hint = f"analytic is {what} numeric, broadcast"
        yield Repair("reduction", ("reduction", kind, axes), hint, of_numeric, 11.0)
    hint, key = f"numeric is {what} analytic, broadcast", ("not reduced", kind, axes)
    told = f"{hint}, in {{names}}"
    yield Repair("reduction", key, f"{hint}: not reduced over it", of_analytic, 13.0, told)


def _groups(shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """Return the same number for entries that are one once some axes are reduced."""
    places = np.arange(math.prod(shape)).reshape(shape)
    return np.broadcast_to(places.min(axis=axes, keepdims=True), shape)


def single(block: BlockData) -> Iterator[Repair]:
    """Name errors in the seventh digit, as arithmetic in single precision makes them."""
    # One or two entries that are farther off are named instead, as the rest says nothing of them.
    asked, far = block.asked, _beyond_seven(block)
    few = int(np.count_nonzero(far))
    near = asked & ~far
    if np.count_nonzero(near) < (1 + MOST_FAR * bool(few)) or few > MOST_FAR:
        return
    # Beside much larger ones an entry may be off by all of itself, which no digit of it survives.
    off = float(np.median(block.gap[near] / np.maximum(block.size[near], 1e-300)))
    if off > 10 * SEVENTH or not _in_single(block, far):
        return

    def apply(other: BlockData) -> Predicted | None:
        theirs = _beyond_seven(other)
        known = np.array_equal(theirs, far) if few else not theirs.any()
        values = np.where(other.wrong & ~theirs, other.numeric, other.analytic)
        return Predicted(values, loose=theirs) if known and _in_single(other, theirs) else None

    prior = 8.0 if block.eps > 1e-10 else 8.0 - NARROW
    if not few:
        hint = "analytic is right to seven digits everywhere: single precision on the way?"
        yield Repair("float32", ("float32",), hint, apply, prior)
        return
    entries = " and ".join(map(str, np.argwhere(far).tolist()))
    zero = "" if block.analytic[far].any() else ", analytic is zero there"
    only = f"only the entries {entries} are" if few > 1 else f"only the entry {entries} is"
    hint = f"{only} wrong{zero}; the rest is right to seven digits: single precision on the way?"
    yield Repair("entry", ("float32 but", entries), hint, apply, prior)


def _beyond_seven(block: BlockData) -> Array:
    """Return which entries are farther off than single precision leaves them."""
    known = max(int(np.count_nonzero(block.valid)), 1)
    size = block.size + float(np.linalg.norm(block.size)) / math.sqrt(known)
    return np.asarray(block.valid & (block.gap > SEVENTH * size))


def _in_single(block: BlockData, far: Array) -> bool:
    """Return whether a gradient is float32, or all its near values have the 24 bits of one."""
    written = block.analytic[block.valid & ~far]
    narrow = written.astype(np.float32).astype(np.float64) == written
    short = np.ldexp(np.frexp(written)[0], SHORT) % 1 == 0  # 0.25 has fewer
    return block.eps > 1e-10 or bool(narrow.all() and not short.all())


def rounded(block: BlockData) -> Iterator[Repair]:
    """Name values that are numeric's in few decimals, or without any: an array of integers."""
    written = block.analytic[block.valid & (block.analytic != 0)]
    whole = [k for k in range(MOST_DECIMALS + 1) if np.array_equal(np.round(written, k), written)]
    if not whole or np.unique(np.abs(written)).size < 2:
        return
    k = whole[0]
    ways: dict[str, Callable[[Array], Array]] = {"rounded": lambda n: np.round(n, k)}
    if not k:
        ways |= {"cut off": np.trunc, "rounded down": np.floor}
    for words, function in ways.items():
        to = f"{k} decimal{'s' * (k > 1)}" if k else "whole numbers: an array of integers?"
        hint = f"analytic = numeric {words} to {to}"
        made = makes_analytic(function)
        yield Repair("rounded", ("rounded", words, k), hint, made, NAMED + 5 + k)


REPAIRS: tuple[Suggest, ...] = (zero, rounded, factor, multiples, clipped, reduction, single)
