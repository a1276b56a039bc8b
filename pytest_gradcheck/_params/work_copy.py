"""The one private copy of the parameters that func sees, perturbed in place.

Bookkeeping per evaluation is O(1): one entry is assigned before and one after.  Restoring is
assignment of the saved value, never an inverse operation, so it is exact whatever func did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .._quoting import brief
from .arrays_and_structure import (
    CHUNK,
    NUMBER,
    Array,
    Leaf,
    Structure,
    Unreadable,
    chunks,
    coordinates,
    flatten,
)
from .layout import Block

Run = tuple[slice, list[tuple[slice, Array, Array]]]
"""A part of the flat vector; where in it, θ of it, and what sets it, for each array there."""


class WorkCopy:
    """A copy of the parameters to perturb, `params`, and the saved values to restore.

    `dtype` is the precision of the leaves that are perturbed; unset: each one's own. `in_place`
    perturbs the user's own arrays, because func reads them through a closure; TypeError or
    ValueError where a block can't be.
    """

    def __init__(
        self,
        structure: Structure,
        blocks: Sequence[Block],
        dtype: Any = None,
        in_place: bool = False,
    ) -> None:
        self.structure = structure
        self.blocks = blocks
        self.in_place = in_place
        if in_place:
            _require_in_place(structure, blocks)
        self._names = [leaf.name for leaf in structure.leaves]
        checked = {block.leaf: block for block in blocks}
        self.values: list[Any] = []
        for position, leaf in enumerate(structure.leaves):
            value = leaf.value
            if leaf.kind is not None and not in_place:
                value = leaf.kind.copy(value, _wanted(checked.get(position), dtype))
            self.values.append(value)
        self.params: Any = structure.rebuild(self.values)
        self._require_rebuilt()
        # What is compared bit for bit and, in place, restored.  The user's own arrays will do
        # where func can't reach them through its parameters.
        self._saved = [
            value if leaf.kind is None else self._kept(leaf, value)
            for leaf, value in zip(structure.leaves, self.values, strict=True)
        ]
        self._put_back = self.set_aside() if in_place else []
        self.theta: list[Array] = [self._saved_coordinates(block) for block in blocks]
        self._cells = [self._cell(block) for block in blocks]

    def _require_rebuilt(self) -> None:
        """Raise TypeError when what takes params apart doesn't put it together again."""
        before, now = self.structure.leaves, flatten(self.params).leaves
        if [leaf.name for leaf in now] != self._names or any(
            first.is_array and leaf.value is not value
            for leaf, first, value in zip(now, before, self.values, strict=True)
        ):
            raise TypeError(
                f"params can't be rebuilt: the {type(self.params).__name__} that its rebuild made "
                "of new children does not hold them (a gradcheck_flatten hook, or a class that "
                "copies or changes what it is given?)"
            )

    def _kept(self, leaf: Leaf, value: Any) -> Any:
        assert leaf.kind is not None
        own = leaf.value
        if not self.in_place and isinstance(own, np.ndarray) and own.dtype == value.dtype:
            return own
        return leaf.kind.copy(value)

    def _cell(self, block: Block) -> Any:
        kind = self.structure.leaves[block.leaf].kind
        assert kind is not None

        def publish(value: Any) -> None:
            self.values[block.leaf] = value
            self.params = self.structure.rebuild(self.values)

        try:
            cell = kind.cell(self.values[block.leaf], publish)
            if block.places is None:
                return cell
            whole = coordinates(kind.to_numpy(self._saved[block.leaf])).copy()
            return _Chosen(cell, block.places, whole)
        except Unreadable as error:
            raise TypeError(f"{brief(block.name)} {error}") from error

    def _saved_coordinates(self, block: Block) -> Array:
        kind, saved = self.structure.leaves[block.leaf].kind, self._saved[block.leaf]
        assert kind is not None
        array = kind.to_numpy(saved)
        # The float that a lone Python int stands for.
        whole = coordinates(array.astype(float) if type(saved) is int else array)
        chosen: Array = whole[block.within]
        return chosen

    def set_aside(self) -> list[Callable[[], None]]:
        """Take off what the last call left beside the values; return what puts it back."""
        undo = [
            leaf.kind.set_aside(value)
            for leaf, value in zip(self.structure.leaves, self.values, strict=True)
            if leaf.kind is not None
        ]
        return [put_back for put_back in undo if put_back is not None]

    def cell(self, position: int) -> Any:
        """Return what ``cell[i] = value`` sets coordinate i of block number `position` through."""
        return self._cells[position]

    def move(self, shift: Array, step: float) -> None:
        """Set every coordinate to θ + step·shift, a direction over all blocks, shape (n,)."""
        runs, others = self._runs
        for window, parts in runs:
            along = shift[window] * step
            for here, theta, cell in parts:
                np.add(along[here], theta, cell, casting="same_kind")
        for position in others:
            block, cell, theta = self.blocks[position], self._cells[position], self.theta[position]
            self._assign(block, cell, theta + step * shift[block.window])

    @cached_property
    def _runs(self) -> tuple[list[Run], list[int]]:
        """Return numpy's cells in parts of at most `CHUNK`, and the numbers of other blocks.

        Many small blocks are moved together, and of a million parameters no further vector is made.
        """
        runs, others, start = list[Run](), list[int](), 0
        for position, block in enumerate(self.blocks):
            cell, theta = self._cells[position], self.theta[position]
            if not isinstance(cell, np.ndarray):
                others.append(position)
                continue
            for part in chunks(block.size):
                first, last = block.start + part.start, block.start + part.stop
                if not runs or runs[-1][0].stop != first or last - start > CHUNK:
                    runs.append((slice(first, first), []))
                    start = first
                parts = runs[-1][1]
                parts.append((slice(first - start, last - start), theta[part], cell[part]))
                runs[-1] = (slice(start, last), parts)
        return runs, others

    def set(self, vector: Array) -> None:
        """Set every coordinate, to a vector over all blocks, shape (n,)."""
        for block, cell in zip(self.blocks, self._cells, strict=True):
            self._assign(block, cell, vector[block.window])

    def _assign(self, block: Block, cell: Any, values: Array) -> None:
        if block.size:
            cell[:] = values

    def reset(self) -> None:
        """Set every coordinate to its saved value."""
        for block, cell, theta in zip(self.blocks, self._cells, self.theta, strict=True):
            self._assign(block, cell, theta)

    def restore(self) -> None:
        """Put the user's arrays back, bit for bit, whatever was written to them."""
        if not self.in_place:
            return
        for leaf, value, saved in zip(self.structure.leaves, self.values, self._saved, strict=True):
            if leaf.kind is not None and leaf.is_array and not leaf.kind.same_bits(value, saved):
                leaf.kind.restore(value, saved)
        for put_back in self._put_back:
            put_back()

    def fresh(self) -> Any:
        """Return another copy of the parameters as they stand, for a func that scribbles."""
        return self.structure.rebuild(
            [
                value if leaf.kind is None else leaf.kind.copy(value)
                for leaf, value in zip(self.structure.leaves, self.values, strict=True)
            ]
        )

    def changed(self) -> str | None:
        """Return the name of a leaf that is not what it was, or None.

        Called while nothing is perturbed: what differs was written by func.
        """
        now, before = flatten(self.params).leaves, self.structure.leaves
        names = [leaf.name for leaf in now]
        if names != self._names:
            apart = {*names} ^ {*self._names}
            return sorted(apart)[0] if apart else before[0].name
        for leaf, first, value, saved in zip(now, before, self.values, self._saved, strict=True):
            kind = first.kind
            if kind is None:
                continue
            if leaf.kind is not kind:
                return leaf.name
            if kind is NUMBER:
                saved = value  # a number can't be written to, only replaced
            elif leaf.value is not value:
                return leaf.name
            if not kind.same_bits(leaf.value, saved):
                return leaf.name
        return None

    def require_unchanged(self, who: str) -> None:
        """Raise ValueError when the work copy is not what it was: `who` wrote to it."""
        name = self.changed()
        if name is not None:
            self.restore()
            raise ValueError(
                f"{who} changed its parameters: {brief(name)} is not what it was before the call; "
                "copy what is to be changed, or pass copy=True for a fresh copy in each call (your "
                "own arrays are as they were)"
            )


class _Chosen:
    """Sets some coordinates of an array, those at `places`; the others stay as in `whole`."""

    def __init__(self, cell: Any, places: Array, whole: Array) -> None:
        self.cell, self.places, self.whole = cell, places, whole

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, slice):
            moved = self.whole.copy()
            moved[self.places] = value
            self.cell[:] = moved
        else:
            self.cell[int(self.places[key])] = value


def _wanted(block: Block | None, dtype: Any) -> np.dtype[Any] | None:
    """Return the precision of the copy of a leaf; None: its own."""
    if block is None or dtype is None:
        return None
    return np.dtype(np.result_type(dtype, np.complex64) if block.is_complex else dtype)


def _overlaps_itself(array: Array) -> bool:
    """Return whether two entries of an array share memory, as views by strides may."""
    if not array.size:
        return False
    axes = [(abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1]
    reach = array.itemsize
    for step, count in sorted(axes):
        if step < reach:
            break
        reach += step * (count - 1)
    else:  # each axis steps over all that those below it reach
        return False
    starts = np.zeros((), dtype=np.int64)
    for step, count in axes:
        starts = np.add.outer(starts, step * np.arange(count))
    return bool((np.diff(np.sort(starts, axis=None)) < array.itemsize).any())


def _require_in_place(structure: Structure, blocks: Sequence[Block]) -> None:
    arrays: list[Array] = []
    for block in blocks:
        leaf = structure.leaves[block.leaf]
        assert leaf.kind is not None
        if not leaf.kind.mutable:
            raise TypeError(
                f"in_place=True: {brief(block.name)} is {type(leaf.value).__name__}, which "
                "can't be changed in place; pass arrays that can, or a func that takes params"
            )
        if refusal := leaf.kind.refuses_in_place(leaf.value):
            raise ValueError(f"in_place=True: {brief(block.name)} {refusal}")
        value = leaf.array
        if block.is_complex and not value.flags.c_contiguous:
            raise ValueError(
                f"in_place=True: {brief(block.name)} is complex and not C-contiguous; pass an "
                "array made with numpy.ascontiguousarray"
            )
        if _overlaps_itself(value):
            raise ValueError(
                f"in_place=True: entries of {brief(block.name)} share memory, so one can't be "
                "perturbed without the others; pass a copy"
            )
        arrays.append(value)
    # Of thousands only those are compared whose memory begins before another's ends.
    spans = sorted((*_span(array), k) for k, array in enumerate(arrays))
    reaching: list[tuple[int, int, int]] = []
    for start, end, k in spans:
        reaching = [one for one in reaching if one[1] > start]
        for _, _, other in reaching:
            if np.shares_memory(arrays[k], arrays[other]):
                one, two = (brief(blocks[each].name) for each in sorted((k, other), reverse=True))
                raise ValueError(
                    f"in_place=True: {one} and {two} share memory, so one can't be perturbed "
                    "without the other; pass each array once"
                )
        reaching.append((start, end, k))


def _span(array: Array) -> tuple[int, int]:
    """Return where an array's memory begins and ends."""
    reach = [step * (n - 1) for step, n in zip(array.strides, array.shape, strict=True)]
    start = array.__array_interface__["data"][0] + sum(min(each, 0) for each in reach)
    return start, start + sum(map(abs, reach)) + array.itemsize
