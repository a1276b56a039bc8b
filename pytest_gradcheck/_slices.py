"""The repair with most numbers in it: a factor of its own for each row or column."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ._repair import Array, BlockData, Predicted, Repair

PER_SLICE = 30.0
"""Bits that it costs, besides one entry for each factor."""

LEAST = 3
"""Entries in a slice that can contradict its factor, and one more."""

RANK_ONE = 1e-6
"""Below this the second singular value is none: then any error in one of two factors of an outer
product looks like a factor per row, and names nothing."""


def factor_per_slice(block: BlockData) -> Iterator[Repair]:
    """Name a factor for each position along an axis, as of units that lack their scale."""
    for axis, length in enumerate(block.shape):
        if length < 2 or block.analytic.size < LEAST * length:
            continue
        if not block.whole or _rank_one(block, axis):
            continue
        a = np.moveaxis(block.analytic, axis, 0).reshape(length, -1)
        n = np.moveaxis(block.numeric, axis, 0).reshape(length, -1)
        weight = np.moveaxis(block.floor, axis, 0).reshape(length, -1) ** -2.0
        with np.errstate(all="ignore"):
            ratio = (weight * a * n).sum(axis=1) / (weight * a * a).sum(axis=1)
        ratio = np.where(np.isfinite(ratio), ratio, 1.0)

        def apply(other: BlockData, axis: int = axis, ratio: Array = ratio) -> Predicted | None:
            if axis >= other.analytic.ndim or other.shape[axis] != ratio.size:
                return None
            by = ratio.reshape([-1 if k == axis else 1 for k in range(other.analytic.ndim)])
            return Predicted(other.analytic * by)

        each = ("row", "column")[axis] if len(block.shape) == 2 else f"position along axis {axis}"
        yield Repair(
            "factor",
            ("factor per slice", axis, block.name),
            f"analytic = a factor x numeric, another one in each {each}",
            apply,
            PER_SLICE,
            fitted=length,
        )


def _rank_one(block: BlockData, axis: int) -> bool:
    matrix = np.moveaxis(block.numeric, axis, 0).reshape(block.shape[axis], -1)
    singular = np.linalg.svd(matrix, compute_uv=False)
    noise = float(np.linalg.norm(block.floor))
    return bool(singular.size < 2 or singular[1] <= RANK_ONE * singular[0] + 3 * noise)
