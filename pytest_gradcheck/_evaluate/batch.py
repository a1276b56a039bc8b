"""An evaluator made from what the user passed, ``vectorized`` ones included.

A `Recipe` can be pickled, so that a worker makes the same evaluator in another process.  With
``vectorized=True`` func takes many points at once, along a leading axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._params.arrays import NUMBER, ArrayKind, kind_of, read
from .._params.layout import Block
from .._params.structure import Structure, flatten
from .._params.work_copy import WorkCopy
from .._quoting import brief
from .call import ComplexValueError, J, bound
from .evaluator import Array, Evaluator, Pool

BATCH_BYTES = 64 * 2**20
"""Memory that the parameters of one batch may take."""

NUDGE = 1e-4
"""By this part of itself (of 1 for a zero) every parameter is moved to see whether entries mix."""


class BatchShapeError(ValueError):
    """func did not return one J for each entry: never a sign that a probe left its domain."""


class Batched(Evaluator):
    """Calls func with batches of points.

    Every array of the parameters, perturbed or not, gets a leading axis of the batch's length;
    every float or complex number becomes an array of that length.  Whole numbers that are not
    checked, strings and the like stay what they are.  The arrays are new in every call, plain,
    C-contiguous and writable.

    Parameters
    ----------
    func : callable
        Takes params with the leading axis and returns J, shape (batch,).
    structure : Structure
    work : WorkCopy
        Holds θ; never given to func.
    max_evals : int, optional
        An entry of a batch counts as an evaluation.
    pool : Pool, optional
    """

    def __init__(
        self,
        func: Callable[[Any], Any],
        structure: Structure,
        work: WorkCopy,
        max_evals: int | None = None,
        pool: Pool | None = None,
    ) -> None:
        super().__init__(self._alone, work, max_evals, pool)
        self.func = func
        self.structure = structure
        size = sum(getattr(value, "nbytes", 0) for value in work.values)
        self.largest = max(1, BATCH_BYTES // max(size, 8))
        self.tested = False

    def _alone(self, params: Any) -> Any:
        """Return J at one point, params as they are without the leading axis."""
        values = [leaf.value for leaf in flatten(params).leaves]
        return self._called(self._batch(1, values), 1)[0]

    def _batch(self, count: int, values: Sequence[Any] | None = None) -> list[Any]:
        """Return the leaves, the work copy's if unset, with the leading axis, arrays as numpy's."""
        pairs = zip(self.structure.leaves, values or self.work.values, strict=True)
        return [_repeated(leaf.kind, value, count) for leaf, value in pairs]

    def _called(self, values: list[Any], count: int) -> Array:
        own = [
            leaf.kind.like(leaf.value, value) if leaf.kind and leaf.is_array else value
            for leaf, value in zip(self.structure.leaves, values, strict=True)
        ]
        return _checked(self.func(self.structure.rebuild(own)), count)

    def at_theta(self) -> Any:
        """Return J at the parameters as they are; the first time, look whether entries mix."""
        try:
            value = super().at_theta()
        except Exception as error:
            if not isinstance(error, BatchShapeError):
                error.add_note(
                    "gradcheck: func got every array with a leading axis, here of length 1, and "
                    "floats as arrays, because of vectorized=True"
                )
            raise
        if not self.tested:
            self.tested = True
            self._require_entries_apart(float(value))
        return value

    def _require_entries_apart(self, alone: float) -> None:
        """Raise ValueError when J of one point depends on the other points of its batch."""
        theta = np.concatenate([part.astype(np.float64) for part in self.work.theta])
        shift = np.where(theta == 0, 1.0, theta)
        self._allow(2)
        self.evaluations += 2
        try:
            with self.quiet():
                nudged, beside = map(float, self._points_along(shift, (NUDGE, 0.0)))
        except BatchShapeError:
            raise
        except Exception:  # it may have left func's domain: what follows finds out
            return
        eps = np.finfo(self.kind).eps if self.narrow is None else 2.0**-self.narrow
        floor = 64 * float(eps) * max(abs(alone), abs(nudged), abs(beside))
        if not abs(beside - alone) > max(0.1 * abs(nudged - alone), floor):
            return
        if float(super().at_theta()) != alone:
            return  # func does not repeat itself, and is told so
        raise ValueError(
            f"vectorized=True: func mixes the entries of a batch: J at params is {alone!r} alone "
            f"and {beside!r} beside another entry; compute each entry of axis 0 on its own "
            "(reduce over the other axes only), or leave out vectorized"
        )

    def _sweep_here(self, position: int, coordinates: Sequence[int], values: Array) -> Array:
        found = np.empty(values.shape, dtype=self.kind)
        rows = max(1, self.largest // max(values.shape[1], 1))
        for start in range(0, len(coordinates), rows):
            some = slice(start, start + rows)
            found[some] = self._rows(position, coordinates[some], values[some])
            if self.watch is not None:
                self.watch.gathered(found[: start + rows].reshape(-1))
        return found

    def _rows(self, position: int, coordinates: Sequence[int], values: Array) -> Array:
        block = self.work.blocks[position]
        try:
            batch = self._batch(values.size)
            places = np.repeat(np.asarray(coordinates, dtype=np.intp), values.shape[1])
            flat = _window(batch, block, values.size)
            flat[np.arange(values.size), places] = values.ravel()
            with self.quiet():
                out = self._called(batch, values.size)
        except BatchShapeError:
            raise
        except Exception:
            # One point of them raised: one by one it has a name, or is known to have no J.
            return super()._sweep_here(position, coordinates, values)
        self.evaluations += values.size
        return out.reshape(values.shape)

    def _along_here(self, shift: Array, steps: Sequence[float]) -> Array:
        try:
            with self.quiet():
                found = self._points_along(shift, steps)
        except BatchShapeError:
            raise
        except Exception:
            return super()._along_here(shift, steps)
        self.evaluations += len(steps)
        if self.watch is not None:
            self.watch.advance()
        return found

    def _points_along(self, shift: Array, steps: Sequence[float]) -> Array:
        found: list[Array] = []
        for start in range(0, len(steps), self.largest):
            some = np.asarray(steps[start : start + self.largest])
            batch = self._batch(some.size)
            for block, theta in zip(self.work.blocks, self.work.theta, strict=True):
                points = theta + some[:, None] * shift[block.window]
                _window(batch, block, some.size)[...] = points
            found.append(self._called(batch, some.size))
        return np.concatenate(found).astype(self.kind)


def _repeated(kind: ArrayKind | None, value: Any, count: int) -> Any:
    if kind is None or (kind is NUMBER and not isinstance(value, (np.inexact, float, complex))):
        return value
    return np.repeat(kind.to_numpy(value)[None], count, axis=0)


def _window(batch: list[Any], block: Block, count: int) -> Array:
    """Return a block of a batch as an array of shape (count, block.size) to assign to."""
    flat = batch[block.leaf].reshape(count, -1)
    view: Array = flat.view(flat.real.dtype) if block.is_complex else flat
    return view


def _checked(out: Any, count: int) -> Array:
    """Return what func returned as an array of shape (count,), or say what it should be."""
    advice = (
        "return one J for each entry of the leading axis of its parameters, for instance a sum "
        "over all other axes"
    )
    if isinstance(out, tuple):
        raise TypeError(
            f"vectorized=True: func returned a tuple of {len(out)}; pass has_aux=True if it "
            "returns (J, anything)"
        )
    kind = kind_of(out)
    array = np.asarray(out) if kind is None else read(kind, out, J)
    if array.dtype.kind not in "fiuc":
        raise TypeError(f"vectorized=True: func returned {type(out).__name__} ({out!r:.60})")
    if array.dtype.kind == "c" and count > 1:
        raise ComplexValueError  # one by one it is told to the user, or taken for a NaN
    if array.shape != (count,):
        raise BatchShapeError(
            f"vectorized=True: func returned shape {array.shape} for a batch of {count}; it must "
            f"return shape ({count},): {advice}; a func of single points needs no vectorized"
        )
    return array


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
