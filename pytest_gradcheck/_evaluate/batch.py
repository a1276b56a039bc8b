"""``vectorized=True``: func takes many points at once, along a leading axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._params.arrays import NUMBER, ArrayKind, kind_of, read
from .._params.layout import Block
from .._params.structure import flatten
from .._params.work_copy import WorkCopy
from .call import Call, ComplexValueError, J
from .evaluator import Array, Evaluator, Move, Pool, Progress

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
    C-contiguous and writable.  The work copy is never given to func, and an entry of a batch
    counts as an evaluation.
    """

    def __init__(
        self,
        call: Call,
        work: WorkCopy,
        progress: Progress | None = None,
        pool: Pool | None = None,
    ) -> None:
        super().__init__(call, work, progress, pool)
        self.func, self.call = self.call, self._alone
        self.structure = work.structure
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
        if not self.tested and self.work.blocks:
            self.tested = True
            self._require_entries_apart(float(value))
        return value

    def _require_entries_apart(self, alone: float) -> None:
        """Raise ValueError when J of one point depends on the other points of its batch."""
        theta = np.concatenate([part.astype(np.float64) for part in self.work.theta])
        shift = np.where(theta == 0, 1.0, theta)
        self.progress.allow(2)
        self.progress.evaluations += 2
        try:
            with self.quiet():
                nudged, beside = map(float, self._points(shift, np.array([NUDGE, 0.0])))
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

    def _here(self, move: Move) -> Array:
        found = np.empty(move.values.size, dtype=self.kind)
        rows, done = max(1, self.largest // max(move.values[:1].size, 1)), 0
        for start in range(0, len(move.values), rows):
            some = self._together(move.part(start, start + rows))
            found[done : done + len(some)] = some
            done += len(some)
            self.progress.gathered(found[:done])
        return found

    def _together(self, move: Move) -> Sequence[Any] | Array:
        """Return J at points that are one batch; one by one where the batch raises."""
        try:
            with self.quiet():
                found = self._points_of(move)
        except BatchShapeError:
            raise
        except Exception:
            # One point of them raised: one by one it has a name, or is known to have no J.
            return super()._here(move)
        self.progress.evaluations += len(found)
        return found

    def _points_of(self, move: Move) -> Array:
        if move.shift is not None:
            return self._points(move.shift, move.values)
        count, width = move.values.size, move.values.shape[1]
        batch = self._batch(count)
        places = np.repeat(np.asarray(move.coordinates, dtype=np.intp), width)
        block = self.work.blocks[move.position]
        places = places if block.places is None else block.places[places]
        flat = _window(batch, block, count)
        flat[np.arange(count), places] = move.values.ravel()
        return self._called(batch, count)

    def _points(self, shift: Array, steps: Array) -> Array:
        batch = self._batch(steps.size)
        for block, theta in zip(self.work.blocks, self.work.theta, strict=True):
            _window(batch, block, steps.size)[:, block.within] = (
                theta + steps[:, None] * shift[block.window]
            )
        return self._called(batch, steps.size)


def _repeated(kind: ArrayKind | None, value: Any, count: int) -> Any:
    if kind is None or (kind is NUMBER and not isinstance(value, (np.inexact, float, complex))):
        return value
    return np.repeat(kind.to_numpy(value)[None], count, axis=0)


def _window(batch: list[Any], block: Block, count: int) -> Array:
    """Return the leaf of a block of a batch as an array to assign to, a row for each point."""
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


def evaluator_of(
    call: Call, work: WorkCopy, progress: Progress | None = None, pool: Pool | None = None
) -> Evaluator:
    """Return what evaluates func on a copy of the parameters of its own."""
    return (Batched if call.vectorized else Evaluator)(call, work, progress, pool)
