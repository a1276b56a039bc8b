"""The noise of func, measured, and derivatives extrapolated along a line, known how well.

Method: J. J. Moré and S. M. Wild, *Estimating Computational Noise*, SIAM J. Sci. Comput. 33(3),
2011 (ECNoise): differences of order k of values on a line, so close that the smooth part
vanishes, estimate the standard deviation of what does not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from operator import eq, mul, sub
from typing import Any

import numpy as np

from .._constants import (
    BEND_CLEAR,
    BEND_GAIN,
    COLUMNS,
    EPS,
    FEW_VALUES,
    FEWEST_VALUES,
    GRID_BITS,
    LARGEST_TERM,
    LEAST_BAR,
    LEAST_DISTANCE,
    LINE_CLOSER,
    LINE_FALLS,
    LINE_LOOKS,
    LINE_LOUDER,
    LINE_WIDER,
    LOUD,
    MOST_DIGITS,
    NARROW,
    NOISE_FARTHER,
    NOISE_FARTHEST,
    NOISE_LOUD,
    NOISE_NARROWER,
    NOISE_SAMPLES,
    NOISE_SETTLED,
    NOISE_SPACING,
    NOISE_WIDER,
    OUTLYING,
    QUIETER,
    RATIO,
    RESPONDS,
    ROUNDING_FACTOR,
    ROUNDING_SIGMA,
    SPARE_BITS,
    SUBNORMAL,
    UNUSED_BITS,
)
from .._params.arrays_and_structure import Array

FORMATS = ((8, "bfloat16"), (11, "float16"), (24, "float32"), (53, "float64"), (64, "longdouble"))
"""Bits of precision, and the name of the format that has them."""


@dataclass(frozen=True)
class Noise:
    """What is known of func's rounding: σ of its value near θ, and the format that it has.

    The format is the coarsest in which every value seen is exact, so ``"float32"`` for a func that
    computes in it, whatever it returns; `unit` is half the spacing of the format, relative to a
    value. `digits` are the significant ones of a J that is printed, 0 of any other: a larger value
    has fewer decimals. `slope` is the derivative along `direction`, that of the table, (n,), at its
    tiny steps, and its error bar.
    """

    sigma: float
    unit: float
    format: str
    floor: float = field(default=0.0, compare=False)
    digits: int = field(default=0, compare=False)
    slope: tuple[float, float] = field(default=(math.nan, math.inf), compare=False)
    direction: Array | None = field(default=None, compare=False, repr=False)

    @property
    def terms(self) -> float:
        """The size of the terms that J is a sum of, by the grid of its values; 0 where coarser."""
        # A value that is rounded to decimals, or float32 on the way, lies on a grid of its own.
        size = self.floor / (2 * ROUNDING_SIGMA * self.unit)
        return size if LEAST_DISTANCE < size <= LARGEST_TERM else 0.0

    def at(self, values: Array) -> Array:
        """Return σ for `values`, which may be much larger than J at θ; shape of `values`."""
        size = np.abs(values).astype(np.float64, copy=False)
        sigma: Array = 2 * self.unit * ROUNDING_SIGMA * size
        if self.digits:
            with np.errstate(divide="ignore"):
                last = np.floor(np.log10(size)) + 1
            digits = max(self.digits, *map(digits_of, size.ravel().tolist()))
            sigma = ROUNDING_SIGMA * 10.0 ** (last - digits)
        return np.maximum(self.sigma, sigma)

    def sloping(self, sigma: float, slope: tuple[float, float], direction: Array) -> Noise:
        """Return this with another σ, and a slope along a direction."""
        return Noise(sigma, self.unit, self.format, self.floor, self.digits, slope, direction)


def grid(values: Array, least: float = 0.0) -> float:
    """Return the largest power of two of which every value is a multiple; 0 for too few values."""
    # Differences of large terms lie on the grid of the terms. That k values all lie on one 2^j
    # times coarser than their own format's by chance has a probability of 2^(-jk). What is no
    # larger than `least` may be 0, too.
    if values.dtype.itemsize > 8:
        return 0.0
    coarser, first = 2.0 ** math.frexp(least)[1], values[:16].tolist()
    if least and any(math.isfinite(x) and x % coarser for x in first):
        return 0.0
    if len(first) == len(values):
        some = {x for x in first if math.isfinite(x) and x}
        few, common = len(some) < FEW_VALUES, min(map(last_bit, some), default=math.inf)
    else:
        seen = values[np.isfinite(values) & (values != 0)]
        # Some are nearly always enough, and sorting all takes longer than the rest.
        few = len(set(seen[:16].tolist())) < FEW_VALUES and np.unique(seen).size < FEW_VALUES
        common = float(last_bits(seen).min(initial=np.inf))
    # A few multiples of so fine a grid are all that terms which cancel leave of a J near zero.
    return common if common <= EPS * LARGEST_TERM or not few else 0.0


def last_bit(value: float) -> float:
    """Return the largest power of two of which a value is a multiple; it is not 0."""
    numerator, denominator = value.as_integer_ratio()
    return (numerator & -numerator) / denominator


def last_bits(values: Array) -> Array:
    """Return the largest power of two of which each value is a multiple; infinity for 0."""
    mantissas, exponents = np.frexp(np.abs(values))
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    bits = np.ldexp((whole & -whole).astype(np.float64), exponents - 53)
    return np.where(bits > 0, bits, np.inf)


def precision(values: Array) -> int:
    """Return the bits of the narrowest format of `FORMATS` that holds all values exactly."""
    # Fewer than three different ones say little: 1.0 is exact in every format, so they must use
    # more than half of the bits of a format to be taken for it.
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


def _exact(values: Array, unit: float) -> bool:
    """Return whether values are exact in the format of which half the spacing is `unit`."""
    return bool(np.all(last_bits(values) >= unit * np.exp2(np.frexp(values)[1])))


def digits_of(value: float) -> int:
    """Return how many significant digits a value has, 0 where more than `MOST_DIGITS`."""
    # Below 1e-300 floats have few digits themselves.
    text = f"{value:.{MOST_DIGITS - 1}e}"
    if float(text) != value or 0 < abs(value) < LEAST_DISTANCE:
        return 0
    return len(text.strip("-").partition("e")[0].rstrip("0")) - 1


def printed(values: Array) -> int:
    """Return with how many significant digits values are printed; 0 where not, or all are one."""
    # There are so few numbers of 12 digits that one float in some thousand is one of them by
    # chance.
    seen = values[np.isfinite(values)].tolist()
    digits = list(itertools.takewhile(bool, map(digits_of, seen)))
    return max(digits) if len(digits) == len(seen) and len(set(seen)) > 1 else 0


def from_values(
    values: Array, jitter: float = 0.0, narrow: int | None = None, bits: int = 0
) -> Noise:
    """Return the noise that a set of values of func implies by its format alone."""
    # `jitter` is known noise beside rounding (what two calls differed by); `narrow` the bits of the
    # type that func returns, if that is known to be narrow; `bits` those of the format, if known.
    bits = bits or min(precision(values), narrow or 64)
    unit = 2.0**-bits
    largest = float(max((abs(x) for x in values.tolist() if math.isfinite(x)), default=0.0))
    spacing = 2 * unit * largest
    rounding = ROUNDING_SIGMA * max(spacing, grid(values, spacing))
    floor = max(rounding, jitter, SUBNORMAL if largest else 0.0)
    return Noise(floor, unit, dict(FORMATS)[bits], floor)


def table_estimate(values: Array) -> float | None:
    """Return ECNoise's σ for five or more equally spaced values; None when most of them repeat."""
    # The spacing is then too small. A table that does not settle, because the smooth part shows in
    # it, gives too large an estimate.
    # Plain numbers, and loops in C: on eight values numpy's calls would cost more than the rest of
    # a small check.
    numbers = values.tolist()
    count = len(numbers)
    repeats = sum(map(eq, numbers[1:], numbers))
    if count < FEWEST_VALUES or repeats >= count / 2:
        return None
    # In units of the largest value, so that squares of differences can't overflow; the power of
    # two below it, as that above the largest floats is none.
    unit = 2.0 ** (math.frexp(float(max(map(abs, numbers))))[1] - 1)
    differences = [number / unit for number in numbers]
    gamma = 1.0
    level: list[float] = []
    table: list[list[float]] = []
    for order in range(1, count - 1):
        differences = list(map(sub, differences[1:], differences))
        gamma *= 0.5 * order / (2 * order - 1)
        mean = float(sum(map(mul, differences, differences))) / len(differences)
        level.append(math.sqrt(gamma * mean))
        table.append(differences)
        three = level[-3:]
        if order > 2 and max(three) <= NOISE_SETTLED * min(three):
            first = table[-3]
            if min(first) * max(first) < 0:  # noise, as the smooth part changes no sign
                return three[0] * unit
    # Not settled: the last levels hold the least of the smooth part.
    return max(level[-3:]) * unit


def beside_jumps(values: Array) -> float | None:
    """Return `table_estimate`, without the first value, at θ, where it alone makes it loud."""
    # θ itself may be on a jump or a kink: then the values beside it are quieter by far.
    sigma = table_estimate(values)
    if sigma is None:
        return None
    beside = table_estimate(values[1:])
    return sigma if beside is None or not beside < QUIETER * sigma else beside


def measured(
    along: Callable[[Sequence[float]], Array],
    center: Any,
    jitter: float = 0.0,
    narrow: int | None = None,
) -> tuple[Noise, Array]:
    """Measure the noise of func along one direction; return it, and all values that were seen."""
    # `along` takes steps and returns func there, NaN outside its domain; `jitter` and `narrow` are
    # as in `from_values`.
    at_theta = np.array([center])
    everything, sigma, moved = [at_theta], None, False

    def table(spacing: float, start: float = 0.0) -> Array:
        values = along([start + spacing * k for k in range(1, NOISE_SAMPLES)])
        everything.append(values)
        both: Array = np.concatenate([at_theta, values])
        return both[np.isfinite(both)]

    for spacing in (NOISE_SPACING, NOISE_WIDER, NOISE_FARTHER, NOISE_FARTHEST):
        values = table(spacing)
        if values.size < FEWEST_VALUES:
            break  # the edge of the domain is nearer than the steps
        sigma, moved = beside_jumps(values), spacing > NOISE_SPACING and bool(np.ptp(values))
        if sigma is not None or moved:
            break
    if moved and (spacing > NOISE_WIDER or (spacing == NOISE_WIDER and sigma is None)):
        # func stood still nearer to θ: it is flat as far as a kink, or it is rounded, and stands
        # still beyond a jump, too.
        far = spacing * NOISE_SAMPLES
        beyond, seen = table(NOISE_WIDER * far, far)[1:], np.concatenate(everything)
        still = beyond.size >= FEWEST_VALUES and table_estimate(beyond) is None
        jumps = np.diff(np.unique(seen[np.isfinite(seen)]))
        sigma = ROUNDING_SIGMA * float(jumps.min()) if still else None
    elif spacing == NOISE_SPACING and sigma and sigma > NOISE_LOUD * float(np.abs(values).max()):
        # What looks like noise here may be an oscillation, which a narrower table resolves.
        sigma = min(sigma, beside_jumps(table(NOISE_NARROWER)) or sigma)
    seen = np.concatenate(everything)
    near = seen if len(everything) <= 3 else np.concatenate(everything[:3])
    floor = from_values(near, jitter, narrow)
    if narrow is None and floor.unit > NARROW:
        # Values of one size on a grid, that of terms which cancel, look like those of a narrow
        # format. Larger ones have more bits then, and in a format they have not.
        wide = table(NOISE_FARTHEST) if spacing < NOISE_FARTHEST else seen
        if not _exact(wide[np.isfinite(wide)], floor.unit):
            floor = from_values(near, jitter, bits=precision(np.concatenate([seen, wide])))
    if sigma and floor.unit < NARROW and (digits := printed(seen)):
        floor = replace(floor, digits=digits)
        floor = replace(floor, floor=float(floor.at(at_theta)[0]))
    return replace(floor, sigma=max(floor.floor, sigma or 0.0)), seen


# One coordinate as a function of one variable: its derivative, known how well, and its kinks.
#
# Rungs are central (or, at the edge of the domain, one-sided) differences at steps with an
# irrational ratio; a Romberg tableau extrapolates them.  Every entry of the tableau carries
#
# * rounding, from the noise of func;
# * truncation, from what its neighbours disagree by; it must also cover whatever a smaller step
#   says beyond its own noise, so a structure finer than the large steps can't be extrapolated away.
#
# The entry with the smallest sum is the estimate.  Sources: Press et al., *Numerical Recipes*,
# section 5.7 (Ridders' method) for the tableau; the ratio and the cover are this project's own,
# and `docs/numerics.md` has what they measured.


@dataclass(frozen=True)
class Rung:
    """Differences at one step h: the slopes to both sides, NaN where that is out of the domain.

    `sigma` is the noise of the values they were made from, `largest` the largest of these.
    """

    h: float
    forward: float
    backward: float
    sigma: float
    largest: float = 0.0

    @property
    def central(self) -> float:
        """The mean of the slopes."""
        return 0.5 * self.forward + 0.5 * self.backward  # of two large slopes there is no sum

    @property
    def bend(self) -> float:
        """Forward minus backward slope: h·f'' where smooth, the jump of the slope at a kink."""
        return self.forward - self.backward

    @property
    def bend_noise(self) -> float:
        """Standard deviation of `bend`: three values, weights 1, 2 and 1."""
        return BEND_GAIN * self.sigma / self.h

    @property
    def bends(self) -> bool:
        """Whether the bend stands above its noise."""
        return math.isfinite(self.bend) and abs(self.bend) > BEND_CLEAR * self.bend_noise

    @property
    def answers(self) -> bool:
        """Whether what func changes by, from one side to the other, stands above its noise."""
        return abs(2 * self.h * self.central) > RESPONDS * self.sigma


def slope_of(rung: Rung, side: str) -> float:
    """Return the slope that a side tells: "both" is the central one, and "none" tells NaN."""
    slopes = {"both": rung.central, "forward": rung.forward, "backward": rung.backward}
    return slopes.get(side, math.nan)


@dataclass(frozen=True)
class Estimate:
    """A derivative and its error bar; NaN and infinity where nothing is known.

    `rounding` is the part of the bar that noise makes, `h` the smallest step that is in it, or 0.
    """

    value: float = math.nan
    error: float = math.inf
    rounding: float = 0.0
    h: float = 0.0

    @property
    def known(self) -> tuple[float, float]:
        """The value and its error bar."""
        return self.value, self.error


@dataclass
class Line:
    """func along one coordinate, remembered.

    `evaluate` takes steps, to be rounded to what is representable, and returns those taken and func
    there; `center` is func at θ, `ulp` the spacing of floats at the coordinate: what func makes of
    it is rounded as coarsely. `grainy` says whether a func that some steps do not change was seen
    to move in jumps (`step_search_and_kinks`), `sounded` whether its noise was measured along it;
    `reach` is the size of most parameters of its block.
    """

    evaluate: Callable[[Sequence[float]], tuple[Sequence[float], Sequence[Any]]]
    center: Any
    noise: Noise
    ulp: float = 0.0
    rungs: list[Rung] = field(default_factory=list)
    moves: list[tuple[float, float]] = field(default_factory=list)
    grainy: bool | None = None
    sounded: bool = False
    reach: float = 0.0

    def sound(self, spacing: float) -> None:
        """Measure the noise of func along this very line."""
        # That along a direction over all parameters is made loud by an ill-conditioned one among
        # them, and knows nothing of one that is rounded on its way to J.
        self.sounded = True
        sigma = self.table(0.0, spacing)
        if sigma is None:
            sigma = self.table(0.0, LINE_WIDER * spacing)
        for _ in range(LINE_LOOKS):
            if sigma is None or sigma <= LINE_LOUDER * self.noise.sigma:
                break
            spacing /= LINE_CLOSER
            closer = self.table(0.0, spacing)
            if closer is None and self.grainy is False:
                closer = 0.0  # flat as far as a kink
            if closer is None or LINE_FALLS * closer > sigma:
                break
            # Rounding may leave no trace in values whose distance is a multiple of its grid.
            sigma = max(closer, self.table(0.0, spacing / LINE_CLOSER) or 0.0)
        if sigma is None:
            return
        if LINE_LOUDER * sigma < self.noise.sigma:
            sigma = self.as_quiet(sigma, spacing)
        self.take_noise(sigma)

    def as_quiet(self, sigma: float, spacing: float) -> float:
        """Return a noise that is less than was known, as values on the other side tell it."""
        # Eight values know it to a half, and may lie in one stair, or on its like of others.
        other = self.table(0.0, -spacing * math.sqrt(0.5)) or 0.0
        return max(sigma, min(other, self.noise.sigma))

    def table(self, start: float, spacing: float) -> float | None:
        """Return the noise of func at equal distances from `start` on."""
        return beside_jumps(self.values(start, spacing))

    def values(self, start: float, spacing: float) -> Array:
        """Return func at equal distances from `start` on, without those outside its domain."""
        d = max(abs(spacing), (1 if self.edge else 4) * self.ulp, LEAST_DISTANCE)
        # An odd number of floats: beside a constant, multiples of a power of two round all alike.
        d = (d // self.ulp // 2 * 2 + 1) * self.ulp if d * EPS < self.ulp else d
        d = math.copysign(d, spacing)
        _, found = self.evaluate([start + d * k for k in range(bool(start == 0), NOISE_SAMPLES)])
        both: Array = np.array([*([] if start else [self.center]), *found])
        return both[np.isfinite(both)]

    def take_noise(self, sigma: float) -> None:
        """Take `sigma` for the noise of func, at all steps so far, too."""
        slopes = [abs(rung.central) for rung in self.rungs if math.isfinite(rung.central)][-3:]
        # A parameter is no better known than its floats lie apart, by the slopes near it.
        apart = self.apart * max(slopes, default=0.0)
        self.noise = replace(self.noise, sigma=max(sigma, self.noise.floor, apart))
        self.rungs = [
            replace(rung, sigma=float(self.noise.at(np.array([rung.largest]))[0]))
            for rung in self.rungs
        ]

    @property
    def change(self) -> float:
        """By how much func has changed at most, so far."""
        return max((change for _, change in self.moves), default=0.0)

    @property
    def grain(self) -> float:
        """The noise of a func that moves in small jumps, as a rounded one does; else 0."""
        # Where some steps change nothing, the smallest change that was seen is taken for the size
        # of the jumps.
        moved = [change for _, change in self.moves if change]
        if len(moved) == len(self.moves) or not moved or self.grainy is False:
            return 0.0
        return ROUNDING_SIGMA * min(moved)

    def add(self, h: float) -> Rung:
        """Evaluate at ±h, remember the rung and return it."""
        return self.record(*self.evaluate((h, -h)))

    def record(self, steps: Sequence[float], values: Sequence[Any]) -> Rung:
        """Remember a rung that was evaluated elsewhere: steps (+h, −h) and func there."""
        up, down = steps
        high, low = values
        for step, value in zip(steps, values, strict=True):
            if math.isfinite(value):
                self.moves.append((step, abs(float(value - self.center))))
        finite = [v for v in (high, low, self.center) if math.isfinite(v)]
        largest = float(max(abs(v) for v in finite))
        sigma = float(self.noise.at(np.array([largest]))[0])
        forward = float((high - self.center) / up) if math.isfinite(high) and up else math.nan
        backward = float((self.center - low) / -down) if math.isfinite(low) and down else math.nan
        if math.isfinite(forward) and math.isfinite(backward):
            # Weighed so that their mean is (f₊ − f₋)/(h₊ + h₋), whether the steps are equal or not.
            mean, half = float((high - low) / (up - down)), 0.5 * (forward - backward)
            forward, backward = mean + half, mean - half
        rung = Rung(0.5 * (up - down), forward, backward, sigma, largest)
        self.rungs.append(rung)
        self.rungs.sort(key=lambda item: -item.h)
        return rung

    def sides(self) -> str:
        """Return which slopes are known at the smallest step: "both", "forward", …, "none"."""
        last = self.rungs[-1:]
        known = [side for side in SIDES for rung in last if math.isfinite(getattr(rung, side))]
        return known[0] if len(known) == 1 else "both" if known else "none"

    @property
    def edge(self) -> int:
        """The side on which some step left func's domain: 1, −1, or 0 for none."""
        ahead, behind = ([getattr(r, side) for r in self.rungs] for side in SIDES)
        return any(map(math.isnan, ahead)) - any(map(math.isnan, behind))

    @property
    def apart(self) -> float:
        """By how much func is taken to round the parameter, as its floats lie apart."""
        # At the edge of a domain steps are a few of them: what is measured among them is believed.
        return 0.0 if self.sounded and self.edge else ROUNDING_SIGMA * self.ulp

    def series(self, side: str) -> list[tuple[float, float, float]]:
        """Return (step, slope, standard deviation of its rounding), largest step first."""
        found: list[tuple[float, float, float]] = []
        grain = self.grain
        for rung in self.rungs:
            slope = slope_of(rung, side)
            gain = math.sqrt(0.5) if side == "both" else math.sqrt(2.0)
            # Two steps may be one when they are rounded to a narrow format.
            if math.isfinite(slope) and not (found and found[-1][0] == rung.h):
                noise = gain * max(rung.sigma, grain) / rung.h
                noise += self.apart / rung.h * abs(slope)
                found.append((rung.h, slope, noise + EPS * abs(slope)))
        return found

    def differences(self) -> tuple[tuple[float, float], ...]:
        """Return (step, difference): central ones, or one-sided where no step allows more."""
        central = tuple((rung.h, rung.central) for rung in self.rungs)
        central = tuple(pair for pair in central if math.isfinite(pair[1]))
        side = self.sides()
        return central or tuple((h, slope) for h, slope, _ in self.series(side))

    def estimate(self) -> Estimate:
        """Return the best entry of the tableau."""
        side = self.sides()
        cover = OUTLYING if self.noise.unit < NARROW else ROUNDING_FACTOR
        best = best_entry(self.series(side), even=side == "both", cover=cover)
        if side == "both" and self.edge:  # steps into the domain alone may be larger
            inner = best_entry(self.series(SIDES[self.edge > 0]), even=False, cover=cover)
            best = min(best, inner, key=lambda one: one.error)
        if self.grainy and best.h and not self.noise.digits:
            best = replace(best, error=best.error + self.within_stair)
        return best

    @property
    def within_stair(self) -> float:
        """By how much the slope changes within the stair that θ is in: half of it tells no θ."""
        # Where func rounds its parameters, its slope is that at the middle of a stair; where it
        # rounds J, as J's own format does, that at θ.
        curvature, ends = self.curvature, [self.bounds(side) for side in (1, -1)]
        jump = min(change for *_, change in ends)
        if not curvature or not LOUD * self.noise.floor < jump < math.inf:
            return 0.0
        least, most = (sum(end[k] for end in ends if math.isfinite(end[2])) for k in (0, 1))
        width = math.sqrt(least * most) if most < RATIO**2 * least else most
        return 0.5 * width * curvature

    @property
    def curvature(self) -> float:
        """By how much the slope changes over a distance, the least that steps show; 0 if none."""
        return min((abs(rung.bend) / rung.h for rung in self.rungs if rung.bends), default=0.0)

    def bounds(self, side: int) -> tuple[float, float, float]:
        """Return the largest step that changes nothing and the smallest that does, its change."""
        moved = [(abs(t), c) for t, c in self.moves if t * side > 0 and c]
        flat = [abs(t) for t, c in self.moves if t * side > 0 and not c]
        if not moved or not flat:
            return 0.0, math.inf, math.inf
        return max(flat), *min(moved)

    def noisier_estimate(self) -> Estimate:
        """Return the estimate when what small steps disagree by is called noise."""
        # Noise makes slopes differ by σ/h, more the smaller the step. The σ that would explain the
        # largest such difference replaces the measured one wherever it is larger.
        side = self.sides()
        series = self.series(side)
        sigma = max(
            (abs(s1 - s2) * h2 for (_, s1, _), (h2, s2, _) in itertools.pairwise(series)),
            default=0.0,
        )
        louder = [(h, slope, max(rounding, sigma / h)) for h, slope, rounding in series]
        return best_entry(louder, even=side == "both")


def best_entry(
    series: Sequence[tuple[float, float, float]], *, even: bool, cover: float = ROUNDING_FACTOR
) -> Estimate:
    """Extrapolate slopes of (h, slope, rounding), h falling, and choose the entry known best."""
    # `even`: the error is a series in h² (central) and not in h (one-sided); `cover`: the bar
    # covers what a finer step says beyond so many of its σ. Of fewer than two slopes nothing is
    # known.
    best = Estimate()
    previous: list[tuple[float, float]] = []
    power = 2 if even else 1
    for k, (h, slope, rounding) in enumerate(series):
        row = [(slope, rounding)]
        for j in range(1, min(k, COLUMNS - 1) + 1):
            # Neville's rule in x = h² or h: any steps will do, not only those of one ratio.
            factor = (series[k - j][0] / h) ** power - 1.0
            value = row[j - 1][0] + (row[j - 1][0] - previous[j - 1][0]) / factor
            noise = math.hypot(row[j - 1][1] * (1 + 1 / factor), previous[j - 1][1] / factor)
            row.append((value, noise))
        later = series[k + 1 :]
        for j, (value, noise) in enumerate(row if k else ()):
            known = ROUNDING_FACTOR * noise
            if known > best.error:
                continue
            truncation = abs(value - previous[min(j, len(previous) - 1)][0])
            if j:
                truncation = max(truncation, abs(value - row[j - 1][0]))
            for _, finer, finer_noise in later:
                truncation = max(truncation, abs(finer - value) - cover * finer_noise)
            error = truncation + known + LEAST_BAR * abs(value)
            if error < best.error:
                best = Estimate(value, error, known, h)
        previous = row
    return best


SIDES = ("forward", "backward")
