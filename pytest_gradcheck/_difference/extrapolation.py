"""One coordinate as a function of one variable: its derivative, known how well, and its kinks.

Rungs are central (or, at the edge of the domain, one-sided) differences at steps with an
irrational ratio; a Romberg tableau extrapolates them.  Every entry of the tableau carries

* rounding, from the noise of func;
* truncation, from what its neighbours disagree by; it must also cover whatever a smaller step
  says beyond its own noise, so a structure finer than the large steps can't be extrapolated away.

The entry with the smallest sum is the estimate.  Sources: Press et al., *Numerical Recipes*,
section 5.7 (Ridders' method) for the tableau; the ratio and the cover are this project's own,
and `docs/numerics.md` has what they measured.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._constants import (
    BEND_CLEAR,
    BEND_GAIN,
    COLUMNS,
    EPS,
    LEAST_BAR,
    LEAST_DISTANCE,
    LINE_CLOSER,
    LINE_FALLS,
    LINE_LOOKS,
    LINE_LOUDER,
    LINE_WIDER,
    NARROW,
    NOISE_SAMPLES,
    OUTLYING,
    QUIETER,
    ROUNDING_FACTOR,
    ROUNDING_SIGMA,
)
from .noise import Noise, table_estimate

Array = np.ndarray[Any, Any]


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


def slope_of(rung: Rung, side: str) -> float:
    """Return the slope that a side tells: "both" is the central one, and "none" tells NaN."""
    slopes = {"both": rung.central, "forward": rung.forward, "backward": rung.backward}
    return slopes.get(side, math.nan)


@dataclass(frozen=True)
class Estimate:
    """A derivative and its error bar.

    `rounding` is the part of the bar that noise makes, `h` the smallest step that is in it.
    """

    value: float
    error: float
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
    to move in jumps (see `kinks`), `sounded` whether its noise was measured along it.
    """

    evaluate: Callable[[Sequence[float]], tuple[Sequence[float], Sequence[Any]]]
    center: Any
    noise: Noise
    ulp: float = 0.0
    rungs: list[Rung] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    moves: list[tuple[float, float]] = field(default_factory=list)
    grainy: bool | None = None
    sounded: bool = False

    def sound(self, spacing: float) -> None:
        """Measure the noise of func along this very line.

        That along a direction over all parameters is made loud by an ill-conditioned one among
        them, and knows nothing of one that is rounded on its way to J.
        """
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
        if sigma is not None:
            self.take_noise(sigma)

    def table(self, start: float, spacing: float) -> float | None:
        """Return the noise of func at equal distances from `start` on, as `table_estimate` does."""
        values = self.values(start, spacing)
        sigma = table_estimate(values)
        # θ itself may be on a jump or a kink: then the values beside it are quieter by far.
        beside = table_estimate(values[1:])
        quiet = sigma is not None and beside is not None and beside < QUIETER * sigma
        return beside if quiet else sigma

    def values(self, start: float, spacing: float) -> Array:
        """Return func at equal distances from `start` on, without those outside its domain."""
        least = max(abs(spacing), 4 * self.ulp, LEAST_DISTANCE)
        d = math.copysign(2.0 ** math.floor(math.log2(least)), spacing)
        _, found = self.evaluate([start + d * k for k in range(bool(start == 0), NOISE_SAMPLES)])
        both: Array = np.array([*([] if start else [self.center]), *found])
        return both[np.isfinite(both)]

    def take_noise(self, sigma: float) -> None:
        """Take `sigma` for the noise of func, at all steps so far, too."""
        slopes = [abs(rung.central) for rung in self.rungs if math.isfinite(rung.central)][-3:]
        # A parameter is no better known than its floats lie apart, by the slopes near it.
        apart = ROUNDING_SIGMA * self.ulp * max(slopes, default=0.0)
        self.noise = replace(self.noise, sigma=max(sigma, self.noise.floor, apart))
        self.rungs = [
            replace(rung, sigma=float(self.noise.at(np.array([rung.largest]))[0]))
            for rung in self.rungs
        ]

    @property
    def flat(self) -> bool:
        """Whether func has not changed at all so far."""
        return not any(self.changes)

    @property
    def grain(self) -> float:
        """The noise of a func that moves in small jumps, as a rounded one does; else 0.

        Where some steps change nothing, the smallest change that was seen is taken for the size
        of the jumps.
        """
        moved = [change for change in self.changes if change]
        if len(moved) == len(self.changes) or not moved or self.grainy is False:
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
                self.changes.append(self.moves[-1][1])
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
        if not self.rungs:
            return "none"
        last = self.rungs[-1]
        known = (math.isfinite(last.forward), math.isfinite(last.backward))
        return {
            (True, True): "both",
            (True, False): "forward",
            (False, True): "backward",
            (False, False): "none",
        }[known]

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
                noise += ROUNDING_SIGMA * self.ulp / rung.h * abs(slope)
                found.append((rung.h, slope, noise + EPS * abs(slope)))
        return found

    def differences(self) -> tuple[tuple[float, float], ...]:
        """Return (step, difference): central ones, or one-sided where no step allows more."""
        central = tuple((rung.h, rung.central) for rung in self.rungs)
        central = tuple(pair for pair in central if math.isfinite(pair[1]))
        side = self.sides()
        if central or side == "none":
            return central
        return tuple((h, slope) for h, slope, _ in self.series(side))

    def estimate(self) -> Estimate | None:
        """Return the best entry of the tableau, or None while one rung is all there is."""
        side, even = self.sides(), self.sides() == "both"
        cover = OUTLYING if self.noise.unit < NARROW else ROUNDING_FACTOR
        return None if side == "none" else best_entry(self.series(side), even=even, cover=cover)

    def noisier_estimate(self) -> Estimate | None:
        """Return the estimate when what small steps disagree by is called noise.

        Noise makes slopes differ by σ/h, more the smaller the step.  The σ that would explain
        the largest such difference replaces the measured one wherever it is larger.
        """
        side = self.sides()
        if side == "none":
            return None
        series = self.series(side)
        sigma = max(
            (abs(s1 - s2) * h2 for (_, s1, _), (h2, s2, _) in itertools.pairwise(series)),
            default=0.0,
        )
        louder = [(h, slope, max(rounding, sigma / h)) for h, slope, rounding in series]
        return best_entry(louder, even=side == "both")


def best_entry(
    series: Sequence[tuple[float, float, float]], *, even: bool, cover: float = ROUNDING_FACTOR
) -> Estimate | None:
    """Extrapolate slopes of (h, slope, rounding), h falling, and choose the entry known best.

    `even`: the error is a series in h² (central) and not in h (one-sided); `cover`: the bar covers
    what a finer step says beyond so many of its σ. None for fewer than two slopes.
    """
    best: Estimate | None = None
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
        for j, (value, noise) in enumerate(row if k else ()):
            beside = [abs(value - previous[min(j, len(previous) - 1)][0])]
            if j:
                beside.append(abs(value - row[j - 1][0]))
            truncation = max(beside)
            for _, finer, finer_noise in series[k + 1 :]:
                truncation = max(truncation, abs(finer - value) - cover * finer_noise)
            error = truncation + ROUNDING_FACTOR * noise + LEAST_BAR * abs(value)
            if math.isfinite(error) and (best is None or error < best.error):
                best = Estimate(value, error, ROUNDING_FACTOR * noise, h)
        previous = row
    return best


SIDES = ("forward", "backward")
