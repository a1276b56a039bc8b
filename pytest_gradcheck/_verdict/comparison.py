"""Two gradients beside each other: what is known of every coordinate, for verdicts and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from .._params.layout import Block
from .tolerance import AGREE, DISAGREE, OPEN, Tolerance

Array = np.ndarray[Any, Any]

Ladder = tuple[tuple[float, float], ...]
"""Steps h and the central differences at them, one-sided ones at the edge of func's domain."""


@dataclass(frozen=True, eq=False)
class Group:
    """Part of a block that is wrong, though none of its entries can be told alone.

    `label` names it, `places` are its coordinates; `told` and `value` are what grad and func say
    along a direction through it, `error` the latter's error bar, `part` what they differ by, in
    parts of its gradient; `weight` that of the only coordinate, where there is but one.
    """

    block: Block
    label: str
    places: Array
    told: float
    value: float
    error: float
    part: float
    weight: float = 1.0


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
    format that func rounds to on the way.
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
        bound, verdict = np.full(numeric.size, np.inf), np.full(numeric.size, OPEN, np.int8)
        answers = ~flat if answers is None else answers
        return cls(
            tolerance,
            numeric.copy(),
            error.copy(),
            evaluated,
            flat,
            bound,
            verdict,
            answers=answers,
        )

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
