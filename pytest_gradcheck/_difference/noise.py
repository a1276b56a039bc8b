"""The noise of func: the part of its value that is rounding, measured and not assumed.

Method: J. J. Moré and S. M. Wild, *Estimating Computational Noise*, SIAM J. Sci. Comput. 33(3),
2011 (ECNoise): differences of order k of values on a line, so close that the smooth part
vanishes, estimate the standard deviation of what does not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._constants import (
    FEW_VALUES,
    FEWEST_VALUES,
    GRID_BITS,
    LARGEST_TERM,
    LEAST_DISTANCE,
    NOISE_LOUD,
    NOISE_NARROWER,
    NOISE_SAMPLES,
    NOISE_SETTLED,
    NOISE_SPACING,
    NOISE_WIDER,
    QUIETER,
    ROUNDING_SIGMA,
    SPARE_BITS,
    SUBNORMAL,
    UNUSED_BITS,
)

Array = np.ndarray[Any, Any]


FORMATS = ((8, "bfloat16"), (11, "float16"), (24, "float32"), (53, "float64"), (64, "longdouble"))
"""Bits of precision, and the name of the format that has them."""


@dataclass(frozen=True)
class Noise:
    """What is known of func's rounding: σ of its value near θ, and the format that it has.

    The format is the coarsest in which every value seen is exact, so ``"float32"`` for a func that
    computes in it, whatever it returns; `unit` is half the spacing of the format, relative to a
    value. `slope` is the derivative along the direction of the table at its tiny steps, and its
    error bar.
    """

    sigma: float
    unit: float
    format: str
    floor: float = field(default=0.0, compare=False)
    slope: tuple[float, float] = field(default=(math.nan, math.inf), compare=False)

    @property
    def terms(self) -> float:
        """The size of the terms that J is a sum of, by the grid of its values; 0 where coarser.

        A value that is rounded to decimals, or float32 on the way, lies on a grid of its own.
        """
        size = self.floor / (2 * ROUNDING_SIGMA * self.unit)
        return size if LEAST_DISTANCE < size <= LARGEST_TERM else 0.0

    def at(self, values: Array) -> Array:
        """Return σ for `values`, which may be much larger than J at θ; shape of `values`."""
        return np.maximum(
            self.sigma, 2 * ROUNDING_SIGMA * self.unit * np.abs(values).astype(np.float64)
        )


def grid(values: Array, least: float = 0.0) -> float:
    """Return the largest power of two of which every value is a multiple; 0 for too few values.

    Differences of large terms lie on the grid of the terms.  That k values all lie on one 2^j
    times coarser than their own format's by chance has a probability of 2^(-jk). What is no larger
    than `least` may be 0, too.
    """
    if values.dtype.itemsize > 8:
        return 0.0
    coarser = 2.0 ** math.frexp(least)[1]
    if least and any(math.isfinite(x) and x % coarser for x in values[:16].tolist()):
        return 0.0
    seen = values[np.isfinite(values) & (values != 0)]
    # Some are nearly always enough, and sorting all takes longer than the rest.
    if len(set(seen[:16].tolist())) < FEW_VALUES and np.unique(seen).size < FEW_VALUES:
        return 0.0
    mantissas, exponents = np.frexp(np.abs(seen))
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    lowest = np.frexp((whole & -whole).astype(np.float64))[1] - 1 + exponents - 53
    return float(np.ldexp(1.0, int(lowest.min())))


def precision(values: Array) -> int:
    """Return the bits of the narrowest format of `FORMATS` that holds all values exactly.

    Fewer than three different ones say little: 1.0 is exact in every format, so they must use more
    than half of the bits of a format to be taken for it.
    """
    widest = 64 if values.dtype.itemsize > 8 else 53
    # Nearly always one of the first few values needs more bits than any narrow format has.
    first = values[:16].tolist() if widest == 53 else []
    if any(math.isfinite(x) and math.frexp(x)[0] * 2**24 % 1 for x in first):
        return 53
    seen = np.unique(values[np.isfinite(values) & (values != 0)])
    mantissas, exponents = np.frexp(np.abs(seen))
    below = exponents.max(initial=-9999) - exponents

    def exact(bits: int) -> bool:
        scaled = np.ldexp(mantissas, bits)
        return bool(np.all(scaled == np.floor(scaled)))

    for bits, _name in FORMATS:
        if bits >= widest:
            break
        if exact(bits):
            few = seen.size < FEW_VALUES and (bits < 24 or exact(bits // 2 + SPARE_BITS))
            # Small differences of large terms have few bits, too: one value must use nearly all.
            unused = seen.size >= FEW_VALUES and exact(bits - UNUSED_BITS)
            # And the small ones have no finer bits than the large ones, as in a format they do.
            small = np.ldexp(mantissas, bits - below)
            terms = below.sum() >= GRID_BITS and bool(np.all(small == np.floor(small)))
            return widest if few or unused or terms else bits
    return widest


def from_values(values: Array, jitter: float = 0.0, narrow: int | None = None) -> Noise:
    """Return the noise that a set of values of func implies by its format alone.

    `jitter` is known noise beside rounding (what two calls differed by);
    `narrow` the bits of the type that func returns, if that is known to be narrow.
    """
    bits = min(precision(values), narrow or 64)
    unit = 2.0**-bits
    finite = np.abs(values[np.isfinite(values)]).astype(np.float64)
    largest = float(finite.max()) if finite.size else 0.0
    spacing = 2 * unit * largest
    rounding = ROUNDING_SIGMA * max(spacing, grid(values, spacing))
    floor = max(rounding, jitter, SUBNORMAL if largest else 0.0)
    return Noise(floor, unit, dict(FORMATS)[bits], floor)


def table_estimate(values: Array) -> float | None:
    """Return ECNoise's σ for five or more equally spaced values; None when most of them repeat.

    The spacing is then too small. A table that does not settle, because the smooth part shows in
    it, gives too large an estimate.
    """
    # Plain numbers: on eight values numpy's calls would cost more than the rest of a small check.
    numbers = values.tolist()
    count = len(numbers)
    repeats = sum([x == y for x, y in itertools.pairwise(numbers)])
    if count < FEWEST_VALUES or repeats >= count / 2:
        return None
    # In units of the largest value, so that squares of differences can't overflow; the power of
    # two below it, as that above the largest floats is none.
    unit = 2.0 ** (math.frexp(float(max(map(abs, numbers))))[1] - 1)
    differences = [number / unit for number in numbers]
    gamma = 1.0
    level: list[float] = []
    changes_sign: list[bool] = []
    for order in range(1, count - 1):
        differences = [y - x for x, y in itertools.pairwise(differences)]
        gamma *= 0.5 * order / (2 * order - 1)
        mean = float(sum([x * x for x in differences])) / len(differences)
        level.append(math.sqrt(gamma * mean))
        changes_sign.append(min(differences) * max(differences) < 0)
    for k in range(len(level) - 2):
        three = level[k : k + 3]
        if max(three) <= NOISE_SETTLED * min(three) and changes_sign[k]:
            return level[k] * unit
    # Not settled: the last levels hold the least of the smooth part.
    return max(level[-3:]) * unit


def measured(
    along: Callable[[Sequence[float]], Array],
    center: Any,
    jitter: float = 0.0,
    narrow: int | None = None,
) -> tuple[Noise, Array]:
    """Measure the noise of func along one direction; return it, and all values that were seen.

    `along` takes steps and returns func there, NaN outside its domain; `jitter` and `narrow` are as
    in `from_values`.
    """
    seen = [np.array([center])]
    sigma: float | None = None
    louder: float | None = None
    spacing = NOISE_SPACING
    for _ in range(2):
        values = along([spacing * k for k in range(1, NOISE_SAMPLES)])
        seen.append(values)
        table = np.concatenate([[center], values])
        table = table[np.isfinite(table)]
        if table.size < FEWEST_VALUES:
            break  # the edge of the domain is nearer than the steps
        sigma = table_estimate(table)
        # θ itself may be on a jump or a kink: then the values beside it are quieter by far.
        beside = table_estimate(table[1:]) if table.size > FEWEST_VALUES else None
        if sigma is not None and beside is not None and beside < QUIETER * sigma:
            sigma = beside
        if louder is not None:
            sigma = min(louder, sigma or louder)
        elif sigma is None:
            spacing = NOISE_WIDER
        elif sigma > NOISE_LOUD * float(np.abs(table).max()):
            # What looks like noise here may be an oscillation, which a narrower table resolves.
            louder, spacing = sigma, NOISE_NARROWER
        else:
            break
    everything = np.concatenate(seen)
    floor = from_values(everything, jitter, narrow)
    sigma = max(floor.sigma, sigma or 0.0)
    return Noise(sigma, floor.unit, floor.format, floor.floor), everything
