"""Whether a gradient is as good as its precision allows: beside that of the plain formula in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._params.layout import Block
from .._quoting import brief

Array = np.ndarray[Any, Any]


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
    """Return the errors of each block that has entries; vectors of shape (n,).

    `precision` has the machine epsilon of each block of the analytic gradient: rounding the
    reference to it is an error that the baseline's is never taken to be below.
    """
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
