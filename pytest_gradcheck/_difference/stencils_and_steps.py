"""Difference formulas as rows of one table, the step that suits each, and directions to go along.

A row is offsets and weights, nothing else: f'(x) ≈ Σ wⱼ·f(x + oⱼ·h) / h.  Its order and its
step (`relative_step`) follow from the row, so no other module branches on a scheme's name.

Sources: B. Fornberg, *Generation of finite difference formulas on arbitrarily spaced grids*,
Math. Comp. 51 (1988), table 1, for the weights; the tests derive the same weights again from the
moment conditions, in exact arithmetic.  W. Squire and G. Trapp, *Using complex variables to
estimate derivatives of real functions*, SIAM Review 40 (1998), for the complex step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from .._constants import FEW_WEIGHTS, LARGEST_STEP, QUIETEST, STEP_FACTOR
from .._options import Options
from .._params.arrays_and_structure import Array, chunks

Row = tuple[Fraction, ...]


@dataclass(frozen=True)
class Stencil:
    """A difference formula with real steps: offsets in steps from the parameter, and weights.

    The option ``scheme`` calls it `name`, reports `title`.
    """

    name: str
    offsets: Row
    weights: Row
    title: str

    def moment(self, power: int) -> Fraction:
        """Return Σ wⱼ·oⱼ^power: 1 at power 1 and 0 at every other power below the order + 1."""
        pairs = zip(self.offsets, self.weights, strict=True)
        return sum((w * o**power for o, w in pairs), start=Fraction(0))

    @cached_property
    def steps(self) -> tuple[float, ...]:
        """The offsets at which func is evaluated: all but 0."""
        return tuple(float(offset) for offset in self.offsets if offset != 0)

    @cached_property
    def as_row(self) -> Array:
        """These, shape (1, k)."""
        return np.array([self.steps])

    @cached_property
    def factors(self) -> tuple[float, ...]:
        """The weights of these."""
        pairs = zip(self.offsets, self.weights, strict=True)
        return tuple(float(weight) for offset, weight in pairs if offset != 0)

    @cached_property
    def pair(self) -> slice | None:
        """Where +1 and −1 are among `steps`, side by side; None, if one of them is not."""
        if not {1.0, -1.0} <= {*self.steps}:
            return None
        ahead = self.steps.index(1.0)
        return slice(ahead, ahead + 2)

    @cached_property
    def ends(self) -> tuple[int, int, float]:
        """Where the largest and the smallest offset are in ``(*steps, 0)``, and their distance."""
        at = (*self.steps, 0.0)
        return at.index(max(at)), at.index(min(at)), max(at) - min(at)

    @cached_property
    def symmetric(self) -> bool:
        """Whether only even powers of the step occur in the error."""
        return set(self.offsets) == {-offset for offset in self.offsets}

    @cached_property
    def order(self) -> int:
        """The power of the step with which the leading error falls."""
        power = 2
        while self.moment(power) == 0:
            power += 1
        return power - 1

    @cached_property
    def noise_gain(self) -> float:
        """‖w‖₂: the derivative's noise is this times the noise of func over h."""
        return math.sqrt(float(sum(w * w for w in self.weights)))

    @cached_property
    def reach(self) -> float:
        """The largest offset."""
        return float(max(abs(offset) for offset in self.offsets))


def _row(name: str, title: str, offsets: str, weights: str) -> Stencil:
    return Stencil(
        name,
        tuple(Fraction(item) for item in offsets.split()),
        tuple(Fraction(item) for item in weights.split()),
        title,
    )


STENCILS: dict[str, Stencil] = {
    row.name: row
    for row in (
        _row("central", "central differences", "1 -1", "1/2 -1/2"),
        _row("central4", "central differences of order 4", "2 1 -1 -2", "-1/12 2/3 -2/3 1/12"),
        _row(
            "central6",
            "central differences of order 6",
            "3 2 1 -1 -2 -3",
            "1/60 -3/20 3/4 -3/4 3/20 -1/60",
        ),
        _row("forward", "forward differences", "0 1", "-1 1"),
        _row("backward", "backward differences", "0 -1", "1 -1"),
        _row("forward2", "forward differences of order 2", "0 1 2", "-3/2 2 -1/2"),
        _row("backward2", "backward differences of order 2", "0 -1 -2", "3/2 -2 1/2"),
    )
}


def at_one_step(options: Options) -> bool:
    """Return whether a parameter is differenced at one step alone: a given, or the complex one."""
    # How many evaluations that takes is promised, so nothing is asked again.
    return options.eps is not None or options.scheme == "complex"


def by_another_formula(options: Options) -> bool:
    """Return whether a step, or another formula than the usual one, was asked for."""
    # It is for every parameter by itself, at as many evaluations as it promises.
    return options.eps is not None or options.scheme != "central"


def derivatives(values: Array, center: Any, row: Stencil, taken: Array) -> Array:
    """Apply a formula to func's values (n, k) at the offsets that are not 0; float64, shape (n,).

    NaN where a value is not finite: an infinite slope would be within any tolerance.
    """
    weights = row.factors
    with np.errstate(all="ignore"):
        if row.symmetric:
            # Differences of pairs first: each is small and exact to the last bits.
            half = len(weights) // 2
            total = sum(weights[j] * (values[:, j] - values[:, -1 - j]) for j in range(half))
        else:
            # The weight of the value at θ is what makes their sum zero.
            total = sum(w * (values[:, j] - center) for j, w in enumerate(weights))
        slopes = np.asarray(total / taken, dtype=np.float64)
    return np.where(np.isfinite(slopes), slopes, np.nan)


# The step that suits a formula, and where it is taken in the floats that func gets.
#
# The step of a parameter balances rounding against truncation: h = C·s·(σ/V)^(1/(p + 1)) for a
# formula of order p, with s the parameter's scale, σ the noise of func and V the size of its
# values (W. H. Press et al., *Numerical Recipes*, 3rd ed., section 5.7).


def relative_step(row: Stencil, noise: float, size: float) -> float:
    """Return h/s for a func with noise σ and values of size V."""
    ratio = noise / size if size > 0 else 0.0
    balanced = STEP_FACTOR * float(max(ratio, QUIETEST)) ** (1.0 / (row.order + 1))
    return float(min(balanced, LARGEST_STEP) / row.reach)


def points(theta: Array, step: Array, row: Stencil, *, exact: bool) -> tuple[Array, Array]:
    """Return where func is evaluated for a block at θ, (n,), and the steps to divide by, (n,).

    The former, (n, k), in the dtype that func gets, has a column for each of the row's `steps`.

    `exact`: θ + o·step as it is rounded, divided by `step` itself, as for an explicit ``eps``. Else
    the step is changed so that it is exactly representable next to θ, and what is divided by is
    what was really taken.
    """
    wide = np.promote_types(theta.dtype, np.float64)
    base, h = theta.astype(wide, copy=False), step.astype(wide, copy=False)
    if not exact:
        reach = np.abs(theta) + (row.reach * h).astype(theta.dtype, copy=False)
        grain = np.spacing(reach).astype(wide, copy=False)
        h = np.maximum(np.rint(h / grain), 1.0) * grain
    at = base[:, None] + h[:, None] * row.as_row
    values = at.astype(theta.dtype, copy=False)
    if exact:
        return values, h
    high, low, span = row.ends
    top, bottom = (
        base if j == len(row.steps) else values[:, j].astype(wide, copy=False) for j in (high, low)
    )
    return values, (top - bottom) / span


# Which directions to difference: every coordinate, a sample, random directions


class Stream(IntEnum):
    """What random numbers are for: each purpose has its own, so that no two share numbers."""

    NOISE = 1
    GROUP = 2
    SAMPLE = 3
    DEAD = 4
    SCREEN = 5
    COTANGENTS = 6
    WRONG_SHARE = 7
    SLICE = 8
    GLANCE = 9
    FIRST_ADDEND = 10
    SECOND_ADDEND = 11
    ADJOINT_X = 12
    ADJOINT_Y = 13
    STALE_POINT = 14
    STALE_DIRECTION = 15
    MOVED_BLOCKS = 16
    LINEARITY = 17
    HALVES = 18
    TANGENTS = 19
    AUTOGRAD = 20
    JAX = 21
    TAYLOR = 22
    ANALYTIC = 23
    BESIDE = 24
    COLUMNS = 25
    BLOCK = 26
    ALONG = 27
    WIDER = 28
    ALL_SMALL = 29


def generator(seed: int, stream: Stream, *which: int, skip: int = 0) -> np.random.Generator:
    """Return a generator for one purpose: the same seed and numbers `which` repeat it."""
    # `skip` leaves numbers out at the beginning, in fours, at no cost: Philox counts by four.
    bits = np.random.Philox(np.random.SeedSequence((seed, stream, *which)))
    bits.advance(skip)
    return np.random.Generator(bits)


def fill_with_weights(out: Array, rng: np.random.Generator) -> None:
    """Draw the weights of a direction: a random sign times uniform on [½, 3/2]."""
    # No weight is near zero, so no single entry hides; no two are equal, so entries can be told
    # apart and two equal errors do not cancel (signs alone would let them, half of the time). Drawn
    # in one piece or in several, the numbers are the same.
    rng.random(out=out)
    out *= 2.0
    out -= 1.0
    out += np.copysign(0.5, out)


def random_weights(count: int, seed: int, stream: Stream, *which: int) -> Array:
    """Return weights for a direction, shape (count,); see `fill_with_weights`."""
    if count > FEW_WEIGHTS:
        return _drawn(count, seed, stream, *which)
    return _few(count, seed, stream, *which).copy()


def _drawn(count: int, seed: int, stream: Stream, *which: int) -> Array:
    rng = generator(seed, stream, *which)
    weights: Array = np.empty(count)
    for part in chunks(count):
        fill_with_weights(weights[part], rng)
    return weights


_few = lru_cache(maxsize=256)(_drawn)


def sample(size: int, count: int, seed: int) -> Array:
    """Return `count` of the coordinates 0 … size − 1, in order, chosen by the seed."""
    if count >= size:
        return np.arange(size)
    chosen = generator(seed, Stream.SAMPLE).choice(size, count, replace=False)
    return np.sort(chosen)
