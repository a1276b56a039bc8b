"""From func to an evaluator, here or in another process: what the user passed, kept together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ._batched import Batched
from ._blocks import Block
from ._call import bound
from ._differences import Evaluator, Pool
from ._names import brief
from ._structure import Structure, flatten
from ._work import WorkCopy


@dataclass(frozen=True)
class Recipe:
    """How func is to be called, all of it as the user passed it, so that it can be pickled.

    Parameters
    ----------
    func : callable
    params : object
    args : tuple
    blocks : sequence of Block
        Those of `params` that are perturbed.
    takes_first, returns_pair, has_aux : bool
        What func returns (see `bound`).
    in_place, copy, vectorized : bool
        What func takes.
    """

    func: Callable[..., Any]
    params: Any
    args: tuple[Any, ...]
    blocks: Sequence[Block]
    returns_pair: bool = False
    has_aux: bool = False
    in_place: bool = False
    copy: bool = False
    vectorized: bool = False

    def structure(self) -> Structure:
        """Take the parameters apart, as it was done where the blocks were chosen.

        Raises
        ------
        ValueError
            When they come apart differently, for want of an adapter.
        """
        structure = flatten(self.params)
        for block in self.blocks:
            if (
                block.leaf >= len(structure.leaves)
                or structure.leaves[block.leaf].name != block.name
            ):
                raise ValueError(
                    f"in a worker process params has no {brief(block.name)}: the "
                    "gradcheck_flatten hook that takes params apart is not registered there; "
                    "pass plain containers, or use threads, workers=2"
                )
        return structure

    def evaluator(
        self,
        structure: Structure,
        dtype: Any = None,
        *,
        gradients: list[Any] | None = None,
        max_evals: int | None = None,
        pool: Pool | None = None,
        watch: Callable[[Callable[[Any], Any]], Callable[[Any], Any]] | None = None,
    ) -> Evaluator:
        """Return an evaluator of func on a copy of the parameters of its own.

        Parameters
        ----------
        structure : Structure
            Of the parameters.
        dtype : numpy dtype, optional
            See `WorkCopy`.
        gradients : list, optional
            Where the gradient goes of a func that returns ``(J, gradient)``.
        max_evals : int, optional
        pool : Pool, optional
        watch : callable, optional
            Wraps each call.
        """
        work = WorkCopy(structure, self.blocks, dtype, self.in_place)
        pair = [] if gradients is None else gradients
        call = bound(
            self.func,
            self.args,
            takes_params=not self.in_place,
            takes_first=self.has_aux or self.returns_pair,
            gradients=pair if self.returns_pair else None,
            has_aux=self.has_aux and self.returns_pair,
            fresh=work.fresh if self.copy and not self.vectorized else None,
        )
        call = call if watch is None else watch(call)
        if self.vectorized:
            return Batched(call, structure, work, max_evals, pool)
        return Evaluator(call, work, max_evals, pool)
