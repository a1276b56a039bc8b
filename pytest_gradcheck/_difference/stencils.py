"""Difference formulas as rows of one table: offsets and weights.

A row is offsets and weights, nothing else: f'(x) ≈ Σ wⱼ·f(x + oⱼ·h) / h.  Its order, its error
constants and its step (`step_size`) follow from the row, so no other module branches on a
scheme's name.

Sources: B. Fornberg, *Generation of finite difference formulas on arbitrarily spaced grids*,
Math. Comp. 51 (1988), table 1, for the weights; the tests derive the same weights again from the
moment conditions, in exact arithmetic.  W. Squire and G. Trapp, *Using complex variables to
estimate derivatives of real functions*, SIAM Review 40 (1998), for the complex step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from .._options import Options

Array = np.ndarray[Any, Any]


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
    def factors(self) -> tuple[float, ...]:
        """The weights of these."""
        pairs = zip(self.offsets, self.weights, strict=True)
        return tuple(float(weight) for offset, weight in pairs if offset != 0)

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
    def error_constant(self) -> float:
        """C in the leading error C·h^order·f^(order + 1), signed."""
        return float(self.moment(self.order + 1)) / math.factorial(self.order + 1)

    @cached_property
    def noise_gain(self) -> float:
        """‖w‖₂: the derivative's noise is this times the noise of func over h."""
        return math.sqrt(float(sum(w * w for w in self.weights)))

    @cached_property
    def reach(self) -> float:
        """The largest offset."""
        return float(max(abs(offset) for offset in self.offsets))


@dataclass(frozen=True)
class ComplexStep:
    """The row of another kind: f'(x) ≈ Im f(x + ih) / h, with no subtraction and so no noise."""

    name: str
    title: str
    offsets: tuple[complex, ...] = (1j,)
    order: int = 2
    noise_gain: float = 0.0


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

COMPLEX_STEP = ComplexStep("complex", "complex step")


def at_one_step(options: Options) -> bool:
    """Return whether a parameter is differenced at one step alone: a given, or the complex one.

    How many evaluations that takes is promised, so nothing is asked again.
    """
    return options.eps is not None or options.scheme == COMPLEX_STEP.name


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
