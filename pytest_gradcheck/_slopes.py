"""A gradient by differences, to be differenced in turn: for a Hessian without a gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._blocks import Block, to_structure
from ._call import bound
from ._check import name_of
from ._differences import Evaluator
from ._stencils import STENCILS
from ._steps import derivatives, points, scale_of
from ._structure import Structure, flatten
from ._work import WorkCopy

Array = np.ndarray[Any, Any]

INNER_STEP = 1e-2
"""Of the parameter's scale: the step of the differences that stand for the gradient, where none is
given.  Sixth order leaves 1e-12 of truncation there, and noise of 1e-14 for the outer ones."""


class Slopes:
    """The gradient of func by differences of sixth order, and of fourth beside it.

    What the two differ by bounds what the first is off by.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        structure: Structure,
        blocks: Sequence[Block],
        *,
        has_aux: bool,
    ) -> None:
        self.evaluations = 0
        self.__qualname__ = name_of(func)
        self._func, self._blocks, self._has_aux = func, blocks, has_aux
        theta = WorkCopy(structure, blocks).theta
        self._steps = [INNER_STEP * scale_of(part).of(part) for part in theta]
        self._coarser = np.empty(0)

    def coarser(self) -> Array:
        """Return the gradient of fourth order at the last call."""
        return self._coarser

    def __call__(self, params: Any, *args: Any) -> Any:
        """Return the gradient of sixth order, in params' structure."""
        structure = flatten(params)
        work = WorkCopy(structure, self._blocks)
        call = bound(self._func, args, takes_params=True, takes_first=self._has_aux)
        runner = Evaluator(call, work)
        fine, coarse = STENCILS["central6"], STENCILS["central4"]
        best, second = [], []
        for position, block in enumerate(self._blocks):
            laid = points(work.theta[position], self._steps[position], fine, exact=False)
            values = runner.sweep(position, range(block.size), laid.values)
            inner = [laid.offsets.index(float(o)) for o in coarse.offsets if o != 0]
            best.append(derivatives(values, 0.0, fine, laid.taken))
            second.append(derivatives(values[:, inner], 0.0, coarse, laid.taken))
        self.evaluations += runner.evaluations
        self._coarser = np.concatenate(second)
        return to_structure(structure, self._blocks, np.concatenate(best))
