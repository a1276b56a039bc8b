"""The rule |a − n| ≤ atol + rtol·max(|a|, |n|) + K·u, and two gradients compared by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from .._constants import (
    COARSEST_RTOL,
    CONFIDENCE,
    DEMANDED_IN_BLOCK,
    DUST,
    FINEST_RTOL,
    IN_CHECK,
    IN_ONE_OR_TWO,
    LEAST_TERM,
    MOST_DUST,
    NARROW,
    STANDS_CLEAR,
)
from .._options import Options
from .._params.arrays_and_structure import Array
from .._params.layout import Block, counts_of, ends_of
from .._quoting import brief

Verdict = int
"""What is concluded of a coordinate; plain numbers, which numpy compares quickest with arrays."""

AGREE, DISAGREE, OPEN = 0, 1, 2

NOISY = "func is too noisy here"
JUMP = "func jumps here"
NOT_SMOOTH = "func is not smooth at any step that its noise allows"
BENDS = "func bends, or is noisy, by as much within eps: leave eps out, and steps are chosen"
ROUNDED = "func is rounded, and moves in jumps here"
GRAD_ROUNDED = "rounding moves the gradient itself by as much as it is off here"
NOT_FINITE = "func is not finite near here"
EXHAUSTED = "max_evals reached"
KINK = "not differentiable here"
TOGETHER = "not a subgradient together with others at this kink"


@dataclass(frozen=True, eq=False)
class Tolerance:
    """What analytic values are judged by: one value and numbers, or vectors of shape (n,).

    By `dust` rounding in the analytic gradient itself may be off (see `within`); an error bar of
    ``goal_atol + goal_rtol·max(|a|, |n|)`` settles a value; `rms` is the block's gradient as one
    number, over the coordinate's scale.
    """

    analytic: Any
    rtol: Any = 0.0
    atol: Any = 0.0
    dust: Any = 0.0
    goal_rtol: Any = 0.0
    goal_atol: Any = 0.0
    rms: Any = 0.0

    def size(self, numeric: Any) -> Any:
        """Return max(|a|, |n|), which tolerances are relative to; |a| where n is NaN."""
        one, other = abs(self.analytic), abs(numeric)
        return np.fmax(one, other) if isinstance(one, np.ndarray) else max(one, other)

    def allowed(self, numeric: Any, error: Any) -> Any:
        """Return by how much analytic and numeric may differ, with the error bar `error`."""
        with np.errstate(all="ignore"):
            return self.atol + self.rtol * self.size(numeric) + CONFIDENCE * error

    def within(self, numeric: Any, error: Any) -> Any:
        """Return whether analytic and numeric are equal as far as `error` can tell."""
        with np.errstate(all="ignore"):
            gap = abs(self.analytic - numeric)
            # Terms that cancel leave dust in the analytic entry.  A numeric value that stands
            # clear of its error bar shows a gradient that is there, and dust is no excuse.
            dusty = (gap <= self.dust) & (abs(numeric) <= STANDS_CLEAR * CONFIDENCE * error)
            return (gap <= self.allowed(numeric, error)) | dusty

    def goal(self, numeric: Any) -> Any:
        """Return the error, K times its bar, at which agreement means something."""
        with np.errstate(all="ignore"):
            return self.goal_atol + self.goal_rtol * self.size(numeric)

    def settled(self, numeric: Any, error: Any) -> Any:
        """Return whether `error` is small enough for agreement to mean something."""
        return CONFIDENCE * error <= self.goal(numeric)

    def at(self, i: int) -> Tolerance:
        """Return what one coordinate is judged by."""
        return Tolerance(*(float(getattr(self, item.name)[i]) for item in fields(self)))


@dataclass(frozen=True)
class Answer:
    """What was found out of one coordinate."""

    value: float
    error: float
    verdict: Verdict
    reason: str = ""
    slopes: tuple[float, float] | None = None


def relative_difference(a: Array, b: Array) -> float:
    """Return ‖a − b‖₂ / (‖a‖₂ + ‖b‖₂) of two arrays of one shape, 0 when both are zero."""
    first, second = (x.astype(np.result_type(x.dtype, np.float64), copy=False) for x in (a, b))
    largest = max((float(np.max(np.abs(x))) for x in (first, second) if x.size), default=0.0)
    if largest == 0.0:
        return 0.0
    if not math.isfinite(largest):
        return math.nan if np.isnan(first).any() or np.isnan(second).any() else math.inf
    # By a power of two, which changes no digit.
    unit = 2.0 ** (math.frexp(largest)[1] - 1)
    scaled, other = first / unit, second / unit
    sizes = [math.sqrt(float(np.vdot(x, x).real)) for x in (scaled - other, scaled, other)]
    return sizes[0] / (sizes[1] + sizes[2])


def relative_differences(a: Array, b: Array, seen: Array, blocks: Sequence[Block]) -> list[float]:
    """Return `relative_difference` of each block, of what was `seen` of it (bool)."""
    largest = np.zeros(0)
    if len(blocks) > 1 and seen.all():
        largest = largest_of(np.maximum(np.abs(a), np.abs(b)), blocks)
    if not largest.size or not np.isfinite(largest).all():
        windows = [block.window for block in blocks]
        return [relative_difference(a[w][seen[w]], b[w][seen[w]]) for w in windows]
    unit = spread(np.ldexp(1.0, np.frexp(largest)[1] - 1), blocks)
    first, second = a / unit, b / unit
    gap = first - second
    found = []
    for block, most in zip(blocks, largest.tolist(), strict=True):
        parts = [x[block.start : block.stop] for x in (gap, first, second)] if most else []
        sizes = [math.sqrt(float(np.vdot(part, part))) for part in parts]
        found.append(sizes[0] / (sizes[1] + sizes[2]) if sizes else 0.0)
    return found


def counts(which: Array, blocks: Sequence[Block]) -> list[int]:
    """Return how many coordinates of each block are chosen (bool)."""
    if len(blocks) == 1:
        return [int(np.count_nonzero(which))]
    before = np.append(0, np.cumsum(which))
    edges = np.array([(block.start, block.stop) for block in blocks], dtype=np.intp).reshape(-1, 2)
    found: list[int] = (before[edges[:, 1]] - before[edges[:, 0]]).tolist()
    return found


def block_size(values: Array, scale: Array) -> float:
    """Return the root mean square of gradient times scale: the block's gradient as one number."""
    with np.errstate(over="ignore"):
        product = (values * scale).astype(np.float64)
    finite = np.isfinite(product)
    if not finite.all():
        product = product[finite]
    largest = float(np.abs(product).max(initial=0.0))
    if largest == 0.0:
        return 0.0
    product /= largest
    return largest * math.sqrt(float(np.add.reduce(product * product)) / product.size)


def block_sizes(values: Array, scale: Array, blocks: Sequence[Block]) -> list[float]:
    """Return `block_size` of each block."""
    if len(blocks) < 2:
        return [block_size(values[b.window], scale[b.window]) for b in blocks]
    with np.errstate(all="ignore"):
        product = (values * scale).astype(np.float64)
        largest = largest_of(np.abs(product), blocks)
        if not np.isfinite(largest).all():
            return [block_size(values[b.window], scale[b.window]) for b in blocks]
        squares = np.nan_to_num(product / spread(largest, blocks)) ** 2
    sums = [np.add.reduce(squares[b.start : b.stop]) for b in blocks]
    return [
        most * math.sqrt(float(total / block.size)) if most else 0.0
        for most, total, block in zip(largest.tolist(), sums, blocks, strict=True)
    ]


def largest_of(values: Array, blocks: Sequence[Block]) -> Array:
    """Return the largest value in each block, NaN if there is one, 0 of an empty one."""
    sizes = np.array(counts_of(blocks), dtype=np.intp)
    starts, filled = np.array(ends_of(blocks), dtype=np.intp) - sizes, sizes > 0
    found = np.zeros(len(blocks))
    if filled.any():
        found[filled] = np.maximum.reduceat(values, starts[filled])
    return found


def spread(values: Any, blocks: Sequence[Block]) -> Array:
    """Return a number for each block as one for each coordinate, shape (n,)."""
    return np.asarray(values).repeat(counts_of(blocks))


def common_size(rms: Any) -> float:
    """Return a block's gradient as one number, over the scale that is common to its coordinates."""
    # The large ones count: of a tiny parameter the block's gradient over its own scale is no size.
    least = float(np.min(rms, initial=math.inf))
    if not 0 < least < math.inf:
        return 0.0
    return least / math.sqrt(float(np.mean((least / rms) ** 2)))


def shared(off: Array, rms: Array, blocks: Sequence[Block]) -> Array:
    """Return the largest errors that may be shared by all of a block, shape (n,), by those seen."""
    # The error of a solver is in many entries: what is far beyond the third largest is another.
    with np.errstate(all="ignore"):
        part = np.nan_to_num(off / rms)
        third = [np.partition(part[b.window], -3)[-3] if b.size > 2 else 0.0 for b in blocks]
        return IN_ONE_OR_TWO * spread(third, blocks) * rms


def dust_of(eps: Any) -> Any:
    """Return by which part of a block's gradient rounding to a format of that ε may be off."""
    return np.minimum(DUST * eps, MOST_DUST)


def of_block(
    analytic: Any,
    own: Any,
    scale: Any,
    eps: float,
    options: Options,
    fine: float = 0.0,
    value: float = 0.0,
    common: Callable[[Any], Any] = common_size,
) -> Tolerance:
    """Return the tolerances in a block, for one value or for a vector of them."""
    # `own` is the block's gradient as one number, `eps` the machine epsilon of the analytic one,
    # `fine` the relative error bar that settles an entry when rtol is unset, `value` |J| at θ. Of
    # several blocks at once, `own` is one number for each coordinate, and so is what `common`
    # makes.
    low = max(min(max(FINEST_RTOL, eps ** (2 / 3)), COARSEST_RTOL), eps / 2)
    lost = dust_of(eps)
    rms = own / scale
    narrow = eps > NARROW
    rtol = low if options.rtol is None else options.rtol
    atol = options.atol
    if atol is None:
        atol = lost * rms if narrow else 0.0
        if options.rtol is not None:
            # An adjoint that is solved to rtol is off by that of its block, not of each entry.
            atol = np.maximum(atol, rtol * DEMANDED_IN_BLOCK * common(rms))
    # The terms that cancel may be as large as J itself, or larger when J is zero by that.
    # And no smaller where the parameter is large, as a bias of a thousand before a softmax.
    part = np.maximum(lost / scale, np.minimum(lost, IN_CHECK / scale))
    dust = np.maximum(lost * rms, part * max(value, LEAST_TERM))
    if options.rtol is None:
        goal = min(max(fine, 2 * low if narrow else 0.0), COARSEST_RTOL), atol
    else:
        goal = rtol, np.maximum(atol, rtol * DEMANDED_IN_BLOCK * rms)
    return Tolerance(analytic, rtol, atol, dust, *goal, rms)


def tolerance(
    analytic: Array,
    numeric: Array,
    scale: Array,
    blocks: Sequence[Block],
    precision: Sequence[float],
    options: Options,
    fine: float = 1.0,
    value: float = 0.0,
    error: Any = 0.0,
) -> Tolerance:
    """Return the tolerances of a gradient by each block's numeric gradient; see `of_block`."""
    # Vectors are of shape (n,); `precision` has the machine epsilon of each block, `error` the
    # error bars of the numeric gradient.
    columns = np.empty((6, scale.size))
    own = spread(block_sizes(numeric, scale, blocks), blocks)
    for eps, run in groupby(zip(blocks, precision, strict=True), lambda pair: pair[1]):
        alike = [block for block, _ in run]
        start, w = alike[0].start, slice(alike[0].start, alike[-1].stop)

        def common(rms: Array, alike: list[Block] = alike, start: int = start) -> Array:
            each = [common_size(rms[b.start - start : b.stop - start]) for b in alike]
            return spread(each, alike)

        made = of_block(analytic[w], own[w], scale[w], eps, options, fine, value, common)
        columns[0, w], columns[1, w], columns[2, w] = made.rtol, made.atol, made.dust
        columns[3, w], columns[4, w], columns[5, w] = made.goal_rtol, made.goal_atol, made.rms
    if options.rtol is not None and options.atol is None:
        with np.errstate(all="ignore"):
            off = np.fmax(np.abs(analytic - numeric) - CONFIDENCE * error, 0.0)
        rounding = dust_of(spread(precision, blocks)) * columns[5]
        most = np.maximum(shared(off, columns[5], blocks), rounding)
        np.minimum(columns[1], most, out=columns[1])
    return Tolerance(analytic, *columns)


# Two gradients beside each other: what is known of every coordinate, for verdicts and reports


Ladder = tuple[tuple[float, float], ...]
"""Steps h and the central differences at them, one-sided ones at the edge of func's domain."""


@dataclass(frozen=True, eq=False)
class Group:
    """Part of a block that is wrong, though none of its entries can be told alone.

    `label` names it, `places` are its coordinates; `told` and `value` are what grad and func say
    along a direction through it, `error` the latter's error bar, `part` what they differ by, in
    parts of its gradient; `weight` that of the only coordinate, where there is but one. `alike`:
    all of it may be wrong by that part.
    """

    block: Block
    label: str
    places: Array
    told: float
    value: float
    error: float
    part: float
    weight: float = 1.0
    alike: bool = True


class Seen(NamedTuple):
    """How large errors would have been seen in a block that was told by groups.

    Of one `entry`, in parts of the root mean square of the block's gradient, of one `row` along
    the first axis, in parts of its own, and of all of the `block`, in parts of its gradient.
    """

    entry: float
    row: float
    block: float


UNSEEN = (None, None, None)
"""In place of them, for a block that was not."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The analytic gradient, in `tolerance`, beside the numeric one; vectors of shape (n,).

    NaN and infinity in `numeric` and `error` where nothing was evaluated; `flat`: func did not
    respond to what was. `bound` is how large the analytic entry's error can be at most where a
    direction through several entries agreed, infinity elsewhere. By coordinate, `reasons` say why
    it was left open or is special, `slopes` are those before and behind a kink, `ladders` what was
    seen of coordinates that were asked again and did not agree, and `stairs` those of which steps
    that tell another slope lie within one stair of a rounded func. `answers`: func was seen to
    answer to a step, by more than its noise. `groups` are parts of blocks that are wrong, though no
    entry of theirs is known to be; `seen`, by a block's start, what would have been. `inner` is the
    format that func rounds to on the way. `rounded` is by how much rounding moves an analytic entry
    where that is little, and in its tolerance, and `doubt` where it is not.
    """

    tolerance: Tolerance
    numeric: Array
    error: Array
    evaluated: Array
    flat: Array
    bound: Array
    verdict: Array
    reasons: dict[int, str] = field(default_factory=dict)
    slopes: dict[int, tuple[float, float]] = field(default_factory=dict)
    ladders: dict[int, Ladder] = field(default_factory=dict)
    stairs: set[int] = field(default_factory=set)
    answers: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))
    groups: list[Group] = field(default_factory=list)
    seen: dict[int, Seen] = field(default_factory=dict)
    inner: str = ""
    rounded: Array = field(default_factory=lambda: np.zeros(0))
    doubt: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def unjudged(
        cls,
        tolerance: Tolerance,
        numeric: Array,
        error: Array,
        evaluated: Array,
        flat: Array,
        answers: Array | None = None,
    ) -> Comparison:
        """Return a comparison in which every verdict is open."""
        answers = ~flat if answers is None else answers
        known = numeric.copy(), error.copy(), evaluated, flat
        bound, verdict = np.full(numeric.size, np.inf), np.full(numeric.size, OPEN, np.int8)
        return cls(tolerance, *known, bound, verdict, answers=answers)

    @classmethod
    def of_two(cls, tolerance: Tolerance, numeric: Array, error: Array) -> Comparison:
        """Return a comparison with a gradient that is known, and was not differenced here."""
        every = np.ones(numeric.size, dtype=bool)
        found = cls.unjudged(tolerance, numeric, error, every, numeric == 0)
        finite = np.isfinite(found.analytic) & np.isfinite(numeric)
        found.verdict[:] = np.where(found.within() & finite, AGREE, DISAGREE)
        return found

    @property
    def analytic(self) -> Array:
        """The analytic gradient."""
        vector: Array = self.tolerance.analytic
        return vector

    @property
    def kinked(self) -> Array:
        """Which coordinates are on a kink (bool)."""
        kinked = np.zeros(self.analytic.size, dtype=bool)
        if self.slopes:
            kinked[list(self.slopes)] = True
        return kinked

    def reasoned(self, *reasons: str) -> list[int]:
        """Return the coordinates for which one of these reasons stands."""
        return [i for i, reason in self.reasons.items() if reason in reasons]

    def within(self) -> Array:
        """Return where analytic and numeric are equal as far as the error bar tells (bool)."""
        near: Array = self.tolerance.within(self.numeric, self.error)
        return near

    def accused(self) -> dict[int, float]:
        """Return the numeric derivative of each coordinate that is known to be wrong."""
        wrong = np.flatnonzero((self.verdict == DISAGREE) & np.isfinite(self.error))
        return {int(i): float(self.numeric[i]) for i in wrong}

    @property
    def reach(self) -> Array:
        """The error bar, or the bound where that is known to be smaller."""
        return np.minimum(self.error, self.bound)


@dataclass(frozen=True, eq=False)
class Evidence:
    """The vectors of a check in which each parameter was differenced.

    Attributes
    ----------
    blocks : sequence of Block
        The layout of the vectors.
    params, analytic, numeric, error_bar : ndarray, shape (n,)
        NaN in `numeric` and infinity in `error_bar` where nothing was evaluated.
    allowed : ndarray, shape (n,)
        The error that would have passed: tolerance and error bar.
    verdict : ndarray, shape (n,)
        0 agree, 1 disagree, 2 inconclusive.
    kinks : ndarray of bool, shape (n,)
    evaluated : ndarray of bool, shape (n,)
        What was differenced: not all, where ``max_evals`` or the last run chose.
    ladders : mapping of int to ladder
        By coordinate, what the steps said of it; of some that are wrong or open.
    """

    blocks: Sequence[Block]
    params: Array
    analytic: Array
    numeric: Array
    error_bar: Array
    allowed: Array
    verdict: Array
    kinks: Array
    evaluated: Array
    ladders: Mapping[int, Ladder] = field(default_factory=dict)

    def arrays(self, block: Block) -> dict[str, Array]:
        """Return a block's part of each vector, by the name of the attribute.

        Parameters
        ----------
        block : Block

        Returns
        -------
        dict of str to ndarray
            Of the block's shape; with a last axis of 2 more where its parameters are complex,
            for real and imaginary part.
        """
        names = [item.name for item in fields(self) if item.name not in ("blocks", "ladders")]
        shape = block.coordinate_shape
        return {name: getattr(self, name)[block.window].reshape(shape) for name in names}


# Whether a gradient is as good as its precision allows: beside that of the plain formula in it


@dataclass(frozen=True)
class Errors:
    """The error of a block and that of its baseline, by maximum and by norm, as `times` each other.

    `allowed` is how large the error of an entry may be; `worst` the coordinate in the block that
    has the largest.
    """

    block: Block
    maximum: tuple[float, float]
    norm: tuple[float, float]
    worst: int
    factor: float

    @property
    def times(self) -> tuple[float, float]:
        """How many times that of the baseline the error is, by maximum and by norm."""
        pairs = self.maximum, self.norm
        return tuple(own / base if base else (np.inf if own else 0.0) for own, base in pairs)  # type: ignore[return-value]

    @property
    def allowed(self) -> float:
        """The largest error of an entry that passes."""
        return self.factor * self.maximum[1]

    @property
    def ok(self) -> bool:
        """Whether the block passes; an error that is no number does not."""
        return all(times <= self.factor for times in self.times)

    def sentence(self) -> str:
        """Return what the block's error is beside the baseline's."""
        (own, base), (by_maximum, by_norm) = self.maximum, self.times
        return (
            f"{brief(self.block.name)}: the error is {by_maximum:.2g} times that of baseline by "
            f"maximum ({own:.2g} at {brief(self.block.label(self.worst))}, beside {base:.2g}) and "
            f"{by_norm:.2g} times by norm; {self.factor:g} times is allowed"
        )


def errors_of(
    blocks: Sequence[Block],
    analytic: Array,
    reference: Array,
    baseline: Array,
    precision: Sequence[float],
    factor: float,
) -> list[Errors]:
    """Return the errors of each block that has entries; vectors of shape (n,)."""
    # `precision` has the machine epsilon of each block of the analytic gradient: rounding the
    # reference to it is an error that the baseline's is never taken to be below.
    found = []
    with np.errstate(all="ignore"):
        for block, eps in zip(blocks, precision, strict=True):
            if not block.size:
                continue
            exact = reference[block.window]
            error = np.abs(analytic[block.window] - exact)
            rounding = eps / 2 * np.abs(exact)
            base = np.abs(baseline[block.window] - exact)
            worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
            least = max(float(np.linalg.norm(part)) for part in (base, rounding))
            largest = max(float(base.max()), float(rounding.max()))
            norm = float(np.linalg.norm(error)), least
            found.append(Errors(block, (float(error[worst]), largest), norm, worst, factor))
    return found
