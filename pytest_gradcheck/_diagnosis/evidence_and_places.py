"""How much a block's numbers speak for a repair, in bits, and where a block is wrong.

A *repair* is a formula that turns the analytic block into the numeric one.  An entry whose gap it
closes from |n − a| down to the error bar speaks for it by log₂ of that ratio; each fitted number
costs the entry that speaks loudest, and the formula costs what `Repair.prior` says: the number of
its like, and how odd it is.  See docs/numerics.md, "Hints".  Fitted numbers come with their
uncertainty, and with the names that they may have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from .._constants import CONFIDENCE, ENTRY_ROUNDINGS, STANDS_CLEAR
from .._params.arrays_and_structure import Array
from .._quoting import ellipsis, shown

OFFERED = 16.0  # bits below which nothing is said
CERTAIN = 60.0  # bits given to what is seen and not inferred: NaN, a kink, noise, a cache
MOST_PER_ENTRY = 40.0  # bits of one entry at most: error bars are not known better than that
CLOSE = 1e-6  # of an entry: a repair leaves no larger gap than this, or than its error bar allows
OF_THE_GAP = 1e-2  # nor a larger part of the gap that it is to close
OF_ENTRIES = ("analytic", "numeric", "error", "theta", "wrong", "agrees", "known", "allowed")
REPEATED = 4.0  # bits of an entry that repeats another of its group
MOST_NUMERATOR = 12  # of a fraction, if that is not n / (n - 1)
# 1/m is named up to such an m, where it is known to be whole, to a thousandth.
MOST_SIZE, SMALL_SPREAD = 1_000_000, 1e-3
LEAST_SIZE = 4  # entries of a block in which a place is more than these


@dataclass(frozen=True)
class Diagnosis:
    """What the error of a gradient looks like.

    Attributes
    ----------
    code : str
        A stable word, listed in ``docs/hints.md``: "factor", "transposed", "theta", ...
    sentence : str
        One plain sentence, with the figure.
    blocks : tuple of str
        The names of the blocks that it is about; empty when it is about the whole check.
    bits : float
        The evidence: how many bits of the gradient the formula explains, less its own cost.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import check_gradients
    >>> report = check_gradients(lambda x: np.sum(x**3), lambda x: x**2, np.array([1.0, 2.0, 3.0]))
    >>> report.diagnoses[0].code, report.diagnoses[0].sentence
    ('factor', 'analytic = 1/3 x numeric, everywhere in the block')
    """

    code: str
    sentence: str
    blocks: tuple[str, ...] = ()
    bits: float = 0.0


@dataclass(frozen=True)
class BlockData:
    """One block for the hints: arrays of its shape, float64 and bool.

    `error` is the error bar of `numeric`; `theta` the parameters, NaN where they are not known
    (two given gradients).  Entries that are `wrong` disagree, those in `agrees` were evaluated and
    agree, others can't be told; those not `known` were not evaluated, or are on a kink.  `allowed`
    is the error that would have passed, `eps` the machine epsilon of `analytic`.  `sizes` are
    lengths of parameters, with what alone has each; `constants` lengths and numbers among func's
    data; `parameter` is what `theta` is called where that is not `name` (a Jacobian's block);
    `others` are all parameters by name; `norm` is that of the whole analytic gradient, zero where
    unknown; `part`: it is a part of a block.
    """

    name: str
    analytic: Array
    numeric: Array
    error: Array
    theta: Array
    wrong: Array
    agrees: Array
    known: Array
    allowed: Array
    eps: float = 2.0**-52
    sizes: dict[int, str] = field(default_factory=dict)
    parameter: str = ""
    constants: Mapping[float, str] = field(default_factory=dict)
    others: Mapping[str, Array] = field(default_factory=dict)
    norm: float = 0.0
    part: bool = False

    def only(self, which: Array) -> BlockData:
        """Return the entries chosen, in one row, as a block of its own."""
        own = {name: getattr(self, name)[which] for name in OF_ENTRIES}
        return replace(self, **own, norm=0.0, part=True)

    @property
    def shape(self) -> tuple[int, ...]:
        """The block's shape."""
        return tuple(self.analytic.shape)

    @cached_property
    def valid(self) -> Array:
        """Which entries can be compared at all."""
        finite: Array = np.isfinite(self.numeric) & np.isfinite(self.error)
        return finite & np.isfinite(self.analytic) & self.known

    @cached_property
    def asked(self) -> Array:
        """Which entries a repair is to explain."""
        return np.asarray(self.wrong & self.valid)

    @cached_property
    def gap(self) -> Array:
        """|n − a|; zero where it is not known."""
        return np.where(self.valid, np.abs(self.numeric - self.analytic), 0.0)

    @cached_property
    def size(self) -> Array:
        """max(|a|, |n|); zero where it is not known."""
        larger = np.maximum(np.abs(self.analytic), np.abs(self.numeric))
        return np.where(self.valid, larger, 0.0)

    @cached_property
    def floor(self) -> Array:
        """A gap that means nothing: the error bar, and rounding in the analytic value."""
        largest = float(self.size.max(initial=0.0))
        return np.asarray(self.error + self.eps * (8 * self.size + largest))

    @cached_property
    def slack(self) -> Array:
        """The gap that a repair may leave."""
        return self.slack_of(self.size)

    def slack_of(self, size: Array) -> Array:
        """Return the gap that a repair may leave which makes entries of this size of others."""
        largest = float(self.size.max(initial=0.0))
        near = np.where(self.wrong, np.minimum(CLOSE * size, OF_THE_GAP * self.gap), 0.0)
        right = np.where(self.wrong, 0.0, CLOSE * self.size + self.allowed)
        rounding = ENTRY_ROUNDINGS * self.eps * (self.size + largest / 2)
        return np.asarray(3 * self.error + rounding + near + right)

    @cached_property
    def seen(self) -> Array:
        """Which entries stand well above their error bars."""
        return np.asarray(self.valid & (np.abs(self.numeric) > 100 * self.floor))

    @cached_property
    def still(self) -> Array:
        """Which entries func does not answer to: numeric is zero within its error bar."""
        return np.asarray(self.valid & (np.abs(self.numeric) <= CONFIDENCE * self.error))

    @property
    def mostly_still(self) -> bool:
        """Whether func does not answer to most of what is asked: no factor makes it of nothing."""
        return bool(2 * (self.asked & self.still).sum() > self.asked.sum())

    @property
    def unmoved(self) -> bool:
        """Whether func answers to nothing here, though the block is wrong: there is no formula."""
        told = self.valid & (self.wrong | self.agrees)
        clear = told & (np.abs(self.numeric) > STANDS_CLEAR * CONFIDENCE * self.error)
        return self.mostly_still and not clear.any()

    @cached_property
    def whole(self) -> bool:
        """Whether every entry is known."""
        return bool(self.valid.all())

    @cached_property
    def sampled(self) -> bool:
        """Whether most entries are not known: then nothing is said of where it is right."""
        return 2 * int(np.count_nonzero(self.valid)) < self.valid.size


@dataclass(frozen=True)
class Repair:
    """A formula with its numbers filled in, `fitted` of them from the block; `prior` is its cost.

    `key` is equal for the same formula with the same numbers, in whatever block.  `apply` says what
    a block should be; None, or an error of a block of another shape, where that is not defined (see
    `predicted`).  In `hint`, for one block, ``{0}`` stands for its name and ``{where}`` for what
    `place` says; in `told`, for several, ``{names}`` for theirs; unset: the hint with these names,
    or "in" them.
    `part` is the sentence where the formula holds at some entries alone; empty: it can't.
    """

    code: str
    key: tuple[Any, ...]
    hint: str
    apply: Callable[[BlockData], Predicted | None]
    prior: float
    told: str = ""
    fitted: int = 0
    part: str = ""
    place: Callable[[BlockData], str] | None = None

    def sentence(self, names: str) -> str:
        """Return what is told of several blocks."""
        asks, told = "?" * self.hint.endswith("?"), self.told or self.hint
        if not (self.told or is_named_in(self.hint)):
            told = f"{told.removesuffix('?')}, in {{names}}{asks}"
        return told.format(names, names=names)

    def predicted(self, block: BlockData) -> Predicted | None:
        """Return what a block should be; None where the formula is none of its shape."""
        try:
            predicted = self.apply(block)
        except (ValueError, IndexError):  # another number of axes, or other lengths
            return None
        fits = predicted is not None and predicted.values.shape == block.shape
        return predicted if fits else None

    def bits(self, block: BlockData) -> float | None:
        """Return what a block says for the repair before its cost, or None: it does not hold."""
        predicted = self.predicted(block)
        return None if predicted is None else gained(block, predicted, self.fitted)


@dataclass(frozen=True)
class Predicted:
    """What a repair says a block should be; NaN in `values` where nothing.

    `of_analytic`: it predicts the analytic block from the numeric one.  Entries of one of `groups`
    are one statement: the one that fits worst speaks.  Wrong entries in `loose` may stay
    unexplained; `bar` is how uncertain the prediction itself is.
    """

    values: Array
    of_analytic: bool = False
    groups: Array | None = None
    loose: Array | None = None
    bar: Array | None = None


def is_named_in(words: str) -> bool:
    """Return whether words that are still to be formatted have a place for a parameter's name."""
    return "{" in words.replace("{{", "")


# Yields the repairs that a block's numbers suggest, numbers filled in, not yet weighed.
Suggest = Callable[[BlockData], Iterator[Repair]]


def makes_numeric(function: Callable[[Array], Array]) -> Callable[[BlockData], Predicted]:
    """Return what says that numeric is a function of analytic."""
    return lambda block: Predicted(function(block.analytic))


def makes_analytic(function: Callable[[Array], Array]) -> Callable[[BlockData], Predicted]:
    """Return what says that analytic is a function of numeric."""
    return lambda block: Predicted(function(block.numeric), of_analytic=True)


def gained(block: BlockData, predicted: Predicted, fitted: int) -> float | None:
    """Return the bits that a prediction explains, less the `fitted` loudest entries, or None."""
    gains = gains_of(block, predicted)
    return None if gains is None else float(gains[: max(gains.size - fitted, 0)].sum())


def gains_of(block: BlockData, predicted: Predicted) -> Array | None:
    """Return the bits that a prediction explains, entry by entry, the least first, or None."""
    target = block.analytic if predicted.of_analytic else block.numeric
    must = block.valid if predicted.loose is None else block.valid & ~predicted.loose
    asked = block.asked & must
    if not asked.any():
        return None
    miss = np.abs(target - predicted.values)
    # Of a gradient that is 1e10 too large a millionth is more than all of the right one.
    slack, floor = block.slack_of(np.fmax(np.abs(target), np.abs(predicted.values))), block.floor
    if predicted.bar is not None:
        slack, floor = slack + 3 * predicted.bar, floor + predicted.bar
    if not np.all(miss[must] <= slack[must]):  # False for NaN, too
        return None
    gain = np.log2(block.gap[asked] / np.maximum(miss[asked], floor[asked]))
    gain = np.fmin(np.fmax(gain, 0.0), MOST_PER_ENTRY)  # NaN: nothing
    if predicted.groups is not None:
        asked_of = predicted.groups[asked]
        _, each, counts = np.unique(asked_of, return_inverse=True, return_counts=True)
        least = np.full(counts.size, np.inf)
        np.minimum.at(least, each.ravel(), gain)
        # An entry that only repeats another of its group says little more.
        gain = least + np.minimum(least, REPEATED) * (counts - 1)
    return np.sort(gain)


@dataclass(frozen=True)
class Fitted:
    """A number with its uncertainty."""

    value: float
    spread: float

    def is_(self, other: float) -> bool:
        """Return whether it can be this number."""
        return abs(self.value - other) <= 3 * self.spread + 1e-9 * abs(other)

    def inverse(self) -> Fitted:
        """Return one over it."""
        return Fitted(1 / self.value, self.spread / self.value / self.value)

    @property
    def neat(self) -> float:
        """The number in at most three digits where it can be that, else as fitted."""
        short = float(f"{self.value:.3g}")
        return short if self.is_(short) else self.value


def fit(y: Array, columns: tuple[Array, ...], bar: Array) -> tuple[Fitted, ...] | None:
    """Fit y ≈ Σ kⱼ·columnsⱼ, of shape (n,), by least squares weighted by the uncertainty of each y.

    None: the columns can't be told apart.
    """
    largest = float(bar.max(initial=0.0))
    if not largest:  # or nothing is known
        return None
    # One entry far better known than all others would leave them no say in the fit.
    weight = np.minimum(largest / bar, float(np.median(largest / bar)) * 1e3)
    matrix = np.stack([column * weight for column in columns], axis=1)
    norms = np.linalg.norm(matrix, axis=0)
    if not np.all(np.isfinite(norms)) or not norms.all():
        return None
    left, singular, right = np.linalg.svd(matrix / norms, full_matrices=False)
    if singular[-1] < 1e-6 * singular[0]:
        return None
    values = right.T @ ((left.T @ (y * weight)) / singular) / norms
    spreads = largest * np.linalg.norm(right.T / singular, axis=1) / norms
    return tuple(Fitted(float(v), float(s)) for v, s in zip(values, spreads, strict=True))


def named_factor(ratio: Fitted, sizes: dict[int, str]) -> tuple[Fraction, float] | None:
    """Return the small fraction that a ratio is, and the bits to name it, or None."""
    # The lengths in `sizes` are as good as small numbers, and n / (n - 1) as its larger number.
    if not ratio.value or not math.isfinite(ratio.value) or ratio.spread > 1e-3 * abs(ratio.value):
        return None
    simple = Fraction(ratio.value).limit_denominator(1000)
    if 1 / MOST_SIZE <= abs(ratio.value) < 1e-3:  # 1/m for a batch of many
        one_over = ratio.inverse()
        if one_over.spread < SMALL_SPREAD:
            simple = Fraction(1, round(one_over.value))
    if simple and ratio.is_(float(simple)):
        p, q = abs(simple.numerator), simple.denominator
        costs = [min(math.log2(k), 2.0 if k in sizes else math.inf) for k in (p, q)]
        if q == 1 or p <= MOST_NUMERATOR or abs(p - q) == 1:
            bits = sum(costs) if q == 1 or p <= MOST_NUMERATOR else max(costs) + 2.0
            return simple, bits + (1.0 if simple < 0 else 0.0)
    for p in sizes:  # ratios of sizes, of which 13/784 is one
        for q in sizes:
            if ratio.is_(p / q):
                return Fraction(p, q), 4.0
    return None


def slice_word(shape: tuple[int, ...], axis: int) -> str:
    """Return what one position along an axis is called: an entry, a row, a column, a position."""
    if len(shape) < 3:
        return "entry" if len(shape) == 1 else ("row", "column")[axis]
    return f"position along axis {axis}"


def rows_of(values: Array, axis: int | None) -> Array:
    """Return the slices along an axis as rows, shape (length, -1); None: each entry is one."""
    if axis is None:
        return values.reshape(-1, 1)
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def number(value: float) -> str:
    """Return a number with up to five digits."""
    return f"{value:.5g}"


# Where a block is wrong, when only a small part of it is: an entry, a row, an edge, a diagonal.
#
# A place is no repair: it says nothing of what the values should be.  Its evidence is the entries
# elsewhere, each of which would hardly be right by chance.

RIGHT_BITS = 8.0  # what a right entry outside says
# What it says that the wrong entries there are all zero, or have a formula of their own.
EXPLAINED = 20.0
ODD = 8.0  # what any place costs, besides the number of its like
MOST_ENTRIES = 2
MOST_EXACT = 10_000  # binomial coefficients of more take too long
# Positions along an axis that are named one by one, and entries by all their indices.
MOST_LISTED, MOST_SHOWN = 6, 4


@dataclass(frozen=True)
class Place:
    """Entries of a block (bool) in words ("column 0", "2 of 9 entries"), and the bits to name them.

    `key` is equal for the same place in blocks of several shapes, along axis 0; `verb` goes with
    the words; `single`: it is one entry, or one of each row or column.
    """

    where: str
    cost: float
    key: tuple[Any, ...]
    inside: Array
    code: str = "slice"
    verb: str = "are"
    single: bool = False


@dataclass(frozen=True)
class Located:
    """A place that holds, with its evidence; the names of several blocks follow `begin`."""

    place: Place
    bits: float
    begin: str
    rest: str

    @property
    def hint(self) -> str:
        """What is said of one block."""
        return self.begin + self.rest

    def told(self, names: str) -> str:
        """Return what is said of several blocks."""
        return f"{self.begin} of {names}{self.rest}"


def locate(block: BlockData, said: Callable[[BlockData, str], str]) -> Located | None:
    """Return where the block is wrong, or None when it is wrong in too many places."""
    # `said` says what the wrong entries of a block that is called so look like, or "".
    wrong = block.asked
    right = block.seen & block.agrees
    told = np.array_equal(wrong, block.wrong) and bool(np.all(wrong | block.agrees))
    if not told:
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
    return Located(place, bits, f"only {place.where}", f" {place.verb} wrong{what}")


def _unwritten(block: BlockData, right: Array) -> Located | None:
    """Return that analytic is zero in many entries that are no place."""
    count, size = int(block.asked.sum()), block.asked.size
    if count <= MOST_ENTRIES:
        return None
    place = replace(_entries(block), code="zero", where=f"{count} of {size} entries")
    bits = RIGHT_BITS * int(right.sum()) + MOST_PER_ENTRY * count - place.cost - ODD
    return Located(place, bits, f"analytic is zero in {place.where}", ", the rest is right")


def _masked(block: BlockData) -> Located | None:
    """Return where numeric is zero and analytic is not: what func leaves out there."""
    wrong = block.asked
    gain = np.log2(block.gap[wrong] / np.maximum(block.floor[wrong], 1e-300))
    explained = float(np.clip(gain, 0.0, MOST_PER_ENTRY).sum())
    silent = (place for place in _silent(block) if block.still[place.inside].all())
    most = [place for place in silent if 2 * wrong.sum() >= place.inside.sum()]
    found = min(most, key=lambda place: place.cost)
    place = replace(found, code="mask", key=("mask", *found.key))
    bits = explained - place.cost - ODD
    if bits < OFFERED:
        return None
    return Located(place, bits, place.where, ": numeric is zero, analytic is not: a mask?")


def _silent(block: BlockData) -> Iterator[Place]:
    """Yield the places that hold all wrong entries: positions along an axis, or each by itself."""
    wrong = block.asked
    for axis in (axis for axis, length in enumerate(block.shape) if length > 1):
        yield _slices(wrong, axis)
    yield from (place for place in _triangles(block) if not np.any(wrong & ~place.inside))
    alone, count = _entries(block), int(wrong.sum())
    where = alone.where if count <= MOST_LISTED else f"{count} of {wrong.size} entries"
    yield replace(alone, key=(block.name, tuple(np.flatnonzero(wrong).tolist())), where=where)


def _slices(which: Array, axis: int, most: int = MOST_LISTED) -> Place:
    """Return the positions along an axis at which something is chosen, with all that is there."""
    hit = np.flatnonzero(which.any(axis=tuple(k for k in range(which.ndim) if k != axis)))
    where = _positions(which.shape, axis, hit.tolist(), most)
    cost = _bits_of_choice(hit.size, which.shape[axis])
    # The positions of a sum over rows are those of its rows: W[2, :] and b[2].
    key = ("along", axis, tuple(hit.tolist()))
    return Place(where, cost, key, _chosen(which.shape, axis, hit))


def _chosen(shape: tuple[int, ...], axis: int, positions: Array | int) -> Array:
    """Return all entries at some positions along an axis (bool)."""
    chosen = np.zeros(shape, dtype=bool)
    np.moveaxis(chosen, axis, 0)[positions] = True
    return chosen


def named(inside: Array, outside: Array) -> Place:
    """Return entries in words, with the bits that it takes to name them among all."""
    # A row is named when none of it is `outside`; the first and the last are where a bias is.
    shape, count = inside.shape, int(inside.sum())
    long = [axis for axis, length in enumerate(shape) if length > 1]
    for axis in long if len(long) > 1 or count > MOST_ENTRIES else ():
        place = _slices(inside, axis)
        if not np.any(place.inside & outside):
            return replace(place, cost=_to_name(place.key[-1], shape[axis]))
    for axis in long if len(shape) == 2 and len(long) == 2 else ():
        if np.all(inside.sum(axis=1 - axis) == 1):
            each = slice_word(shape, axis)
            bits = shape[axis] * math.log2(shape[1 - axis])
            return Place(f"one entry of each {each}", bits, ("each", each), inside, single=True)
    hit = tuple(np.flatnonzero(inside).tolist())
    key = ("along", 0, hit) if len(long) == 1 else ("entries", hit)
    bits = _to_name(hit, inside.size)
    first = np.argwhere(inside)[: count if count <= MOST_SHOWN else MOST_SHOWN - 1]
    indices = list(map(str, first.tolist()))
    where = joined(indices)
    if count > len(indices):
        where = f"{count} of {inside.size} entries ({', '.join(indices)}, {ellipsis()})"
    return Place(where, bits, key, inside, single=count == 1)


def all_of(inside: Array) -> str:
    """Return the rows or columns that entries are all of in words, else how many entries."""
    place = named(inside, ~inside)
    rows = place.key[0] == "along"
    return place.where if rows else f"{np.count_nonzero(inside):,} of {inside.size:,} entries"


def _to_name(hit: tuple[int, ...], length: int) -> float:
    return 0.0 if hit in ((0,), (length - 1,)) else _bits_of_choice(len(hit), length)


def _bits_of_choice(count: int, length: int) -> float:
    """Return log2 of a binomial coefficient, of a large one by Stirling's series."""
    if length < MOST_EXACT:
        return math.log2(math.comb(length, count))
    whole, *parts = (math.lgamma(k + 1) for k in (length, count, length - count))
    return (whole - sum(parts)) / math.log(2)


def _positions(shape: tuple[int, ...], axis: int, positions: list[int], most: int) -> str:
    """Return positions along an axis in words: all, from where to where, or else how many."""
    # Of more than `most`, those that are evenly spaced are told by their ends.
    steps = set(np.diff(positions).tolist())
    listed = joined(list(map(str, positions)))
    if len(positions) > most and len(steps) == 1:
        step = steps.pop()
        listed = f"{positions[0]} to {positions[-1]}" + (f" by {step}" if step > 1 else "")
    elif len(positions) > MOST_LISTED:
        listed = f"{len(positions)} of {shape[axis]}"
        if len(shape) == 1:
            return f"{listed} entries"
    elif most < MOST_LISTED and positions == [shape[axis] - 1]:
        listed += " (the last)"
    return at(shape, axis, listed, len(positions))


def at(shape: tuple[int, ...], axis: int, listed: str, count: int) -> str:
    """Return positions that are listed with what they are called, as many as they are."""
    word, _, along = slice_word(shape, axis).partition(" ")
    if count > 1:
        word = "entries" if word == "entry" else f"{word}s"
    return " ".join(filter(None, (word, listed, along)))


def joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _places(block: BlockData) -> Iterator[Place]:
    wrong = block.asked
    count, size = int(wrong.sum()), wrong.size
    if count <= MOST_ENTRIES:
        yield _entries(block)
    if size < LEAST_SIZE or count == 1:  # a row of zeros but for one entry is that entry
        return
    long = [axis for axis, length in enumerate(block.shape) if length > 1]
    for axis in long:
        place = _along(block, axis)
        if place is not None and (len(long) > 1 or len(place.key[-1]) > MOST_ENTRIES):
            yield place
    if len(long) > 1:
        yield from _edges(block, long)
    yield from _triangles(block)


def _entries(block: BlockData) -> Place:
    indices = np.argwhere(block.asked).tolist()
    count = len(indices)
    key: tuple[object, ...] = ("entry", str(indices), block.name)
    if sum(length > 1 for length in block.shape) == 1:  # a bias: alike with rows of its matrix
        key = ("along", 0, tuple(np.flatnonzero(block.asked).tolist()))
    cost = _bits_of_choice(count, block.asked.size)
    where = f"the entr{'y' if count == 1 else 'ies'} {joined(list(map(str, indices)))}"
    return Place(where, cost, key, block.asked, "entry", "is" if count == 1 else "are")


def _along(block: BlockData, axis: int) -> Place | None:
    """Return a few positions along an axis, if they are few enough or evenly spaced."""
    place = _slices(block.asked, axis, MOST_ENTRIES)
    hit, length = place.key[-1], block.shape[axis]
    count = len(hit)
    steps = set(np.diff(hit).tolist())
    even = len(steps) == 1
    most = MOST_LISTED if len(block.shape) > 1 else MOST_ENTRIES
    if count > length // 2 or (count > most and not even):
        return None
    cost = 2 * math.log2(length) if even else place.cost
    cost += math.log2(len(block.shape)) + (2.0 if steps - {1} and count > MOST_ENTRIES else 0.0)
    return replace(place, cost=cost, verb="is" if count == 1 else "are")


def _edges(block: BlockData, long: list[int]) -> Iterator[Place]:
    """Yield first and last positions along several axes together: what a loop leaves out."""
    shape = block.shape
    ends = (("first", 0), ("last", -1))
    one, other = (
        [(f"{name} {slice_word(shape, axis)}", _chosen(shape, axis, at)) for name, at in ends]
        for axis in long[-2:]
    )
    if all(shape[axis] > 2 for axis in long[-2:]):
        border = np.logical_or.reduce([inside for _, inside in (*one, *other)])
        yield Place("the border", 3.0, ("border",), border, verb="is")
    for (first, these), (second, those) in product(one, other):
        where = f"the {first} and the {second}"
        yield Place(where, 4.0, ("edges", first, second), these | those)


def _triangles(block: BlockData) -> Iterator[Place]:
    if len(block.shape) != 2 or 1 in block.shape:
        return
    rows, columns = np.indices(block.shape)
    for name, inside in (
        ("the diagonal", rows == columns),
        ("the part above the diagonal", rows < columns),
        ("the part below the diagonal", rows > columns),
        ("the upper triangle", rows <= columns),
        ("the lower triangle", rows >= columns),
    ):
        yield Place(name, 3.0, ("triangle", name), inside, verb="is")
