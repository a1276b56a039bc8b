"""What a check saw, whole: the vectors behind a report, for hints, pictures and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from .._params.layout import Block

Array = np.ndarray[Any, Any]

Ladder = tuple[tuple[float, float], ...]
"""Steps h and the central differences at them, one-sided ones at the edge of func's domain."""


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
        shape = (*block.shape, 2) if block.is_complex else block.shape
        names = [item.name for item in fields(self) if item.name not in ("blocks", "ladders")]
        return {name: getattr(self, name)[block.window].reshape(shape) for name in names}
