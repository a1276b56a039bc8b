"""Numbers fitted to a block, with their uncertainty, and the names that they may have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


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
    """Fit y ≈ Σ kⱼ·columnsⱼ by weighted least squares.

    Parameters
    ----------
    y : ndarray, shape (n,)
    columns : tuple of ndarray, shape (n,)
    bar : ndarray, shape (n,)
        The uncertainty of each y.

    Returns
    -------
    tuple of Fitted, or None when the columns can't be told apart
    """
    largest = float(bar.max(initial=0.0))
    if not y.size or not largest:
        return None
    # One entry far better known than all others would leave them no say in the fit.
    weight = np.minimum(largest / bar, float(np.median(largest / bar)) * 1e3)
    matrix = np.stack([column * weight for column in columns], axis=1)
    norms = np.linalg.norm(matrix, axis=0)
    if not np.all(np.isfinite(norms)) or not norms.all():
        return None
    with np.errstate(all="ignore"):
        left, singular, right = np.linalg.svd(matrix / norms, full_matrices=False)
    if singular[-1] < 1e-6 * singular[0]:
        return None
    values = right.T @ ((left.T @ (y * weight)) / singular) / norms
    spreads = largest * np.linalg.norm(right.T / singular, axis=1) / norms
    return tuple(Fitted(float(v), float(s)) for v, s in zip(values, spreads, strict=True))


def named_factor(ratio: Fitted, sizes: dict[int, str]) -> tuple[Fraction, float] | None:
    """Return the small fraction that a ratio is, and the bits to name it, or None.

    Parameters
    ----------
    ratio : Fitted
    sizes : dict of int to str
        Lengths that are as good as small numbers.
    """
    if not ratio.value or not math.isfinite(ratio.value) or ratio.spread > 1e-3 * abs(ratio.value):
        return None
    simple = Fraction(ratio.value).limit_denominator(1000)
    if simple and ratio.is_(float(simple)):
        p, q = abs(simple.numerator), simple.denominator
        if q == 1 or p <= MOST_NUMERATOR:
            bits = sum(min(math.log2(k), 2.0 if k in sizes else math.inf) for k in (p, q))
            return simple, bits + (1.0 if simple < 0 else 0.0)
    for p in sizes:  # ratios of sizes, of which 13/784 is one
        for q in sizes:
            if ratio.is_(p / q):
                return Fraction(p, q), 4.0
    return None


MOST_NUMERATOR = 12


def number(value: float) -> str:
    """Return a number with up to five digits."""
    return f"{value:.5g}"
