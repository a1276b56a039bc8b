"""The one private copy of the parameters that func sees, perturbed in place.

Bookkeeping per evaluation is O(1): one entry is assigned before and one after.  Restoring is
assignment of the saved value, never an inverse operation, so it is exact whatever func did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import is_
from typing import Any

import numpy as np

from .._quoting import brief
from .arrays_and_structure import (
    CHUNK,
    DOUBLE,
    NUMBER,
    Array,
    ArrayKind,
    Leaf,
    Structure,
    Unreadable,
    chunks,
    coordinates,
    flatten,
    same_bits,
)
from .layout import Block, position_of

Window = tuple[slice, Array, Any]
"""A window on the flat vector, θ there, and what sets it: of one block, or of many small ones."""


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
        self.values: list[Any] = [leaf.value for leaf in structure.leaves]
        self.theta: list[Array] = [np.empty(0)] * len(blocks)
        self._cells: list[Any] = [None] * len(blocks)
        self._windows: list[Window] = []
        self._shared: list[tuple[range, Array, Array]] = []
        self._waits = self._stale = False
        shared: set[int] = set()
        for run, kind in () if in_place else _side_by_side(structure, blocks, dtype):
            self._share(run, kind)
            shared.update(blocks[position].leaf for position in run)
        checked = {block.leaf: block for block in blocks}
        alone = [k for k, leaf in enumerate(structure.leaves) if leaf.kind and k not in shared]
        for k in () if in_place else alone:
            wanted = _wanted(checked.get(k), dtype)
            self.values[k] = self._kind(k).copy(self.values[k], wanted)
        self.params: Any = structure.rebuild(self.values)
        self._require_rebuilt()
        # What is compared bit for bit and, in place, restored.  The user's own arrays will do
        # where func can't reach them through its parameters.
        self._saved = {k: self._kept(k) for k in alone}
        nothing = ArrayKind.set_aside
        self._leave_behind = [k for k in alone if type(self._kind(k)).set_aside is not nothing]
        self._put_back = self.set_aside() if in_place else []
        for position, block in enumerate(blocks):
            if block.leaf not in shared:
                saved = self._kind(block.leaf).to_numpy(self._saved[block.leaf])
                self.theta[position] = coordinates(saved)[block.within]
                self._cells[position] = self._cell(block)
                own = block.window, self.theta[position], self._cells[position]
                self._windows.append(own)

    def require_finite(self) -> None:
        """Raise ValueError when a parameter is NaN or infinite."""
        for window, theta, _ in self._windows:
            finite = np.isfinite(theta)
            if not finite.all():
                place = window.start + int(np.argmin(finite))
                block = self.blocks[position_of(self.blocks, place)]
                value = self.structure.leaves[block.leaf].array[block.index(place - block.start)]
                self.restore()
                raise ValueError(
                    "params must be finite to be differenced: "
                    f"{brief(block.label(place - block.start))} is {value}"
                )

    def _share(self, run: range, dtype: Any) -> None:
        """Copy the arrays of the blocks with these numbers into one piece of memory."""
        blocks = [self.blocks[position] for position in run]
        own = [self.values[block.leaf].ravel() for block in blocks]
        memory = np.concatenate(own, dtype=dtype)
        saved, first = memory.copy(), blocks[0].start
        for position, block in zip(run, blocks, strict=True):
            part = slice(block.start - first, block.stop - first)
            self.theta[position] = saved[part]
            self.values[block.leaf] = memory[part].reshape(block.shape)
        self._windows.append((slice(first, blocks[-1].stop), saved, memory))
        self._shared.append((run, saved, memory))

    def _require_rebuilt(self) -> None:
        """Raise TypeError when what takes params apart doesn't put it together again."""
        if self._holds_its_values():
            return
        before, now = self.structure.leaves, flatten(self.params).leaves
        if _names(now) != _names(before) or any(
            first.is_array and leaf.value is not value
            for leaf, first, value in zip(now, before, self.values, strict=True)
        ):
            raise TypeError(
                f"params can't be rebuilt: the {type(self.params).__name__} that its rebuild made "
                "of new children does not hold them (a gradcheck_flatten hook, or a class that "
                "copies or changes what it is given?)"
            )

    def _holds_its_values(self) -> bool:
        """Return whether `params` are known to hold `values`, and nothing else."""
        if self.structure.form == ():
            return True  # an array alone, in no container
        held = self.structure.values_of(self.params)
        return held is not None and all(map(is_, held, self.values))

    def _kind(self, k: int) -> ArrayKind:
        kind = self.structure.leaves[k].kind
        assert kind is not None
        return kind

    def _kept(self, k: int) -> Any:
        own, value = self.structure.leaves[k].value, self.values[k]
        if not self.in_place and isinstance(own, np.ndarray) and own.dtype == value.dtype:
            return own
        return self._kind(k).copy(value)

    def _cell(self, block: Block) -> Any:
        kind = self._kind(block.leaf)

        def publish(value: Any) -> None:
            self.values[block.leaf] = value
            self._stale = True
            if not self._waits:
                self._rebuild()

        try:
            cell = kind.cell(self.values[block.leaf], publish)
            if block.places is None:
                return cell
            whole = coordinates(kind.to_numpy(self._saved[block.leaf])).copy()
            return _Chosen(cell, block.places, whole)
        except Unreadable as error:
            raise TypeError(f"{brief(block.name)} {error}") from error

    def set_aside(self) -> list[Callable[[], None]]:
        """Take off what the last call left beside the values; return what puts it back."""
        undo = [self._kind(k).set_aside(self.values[k]) for k in self._leave_behind]
        return [put_back for put_back in undo if put_back is not None]

    def cell(self, position: int) -> Any:
        """Return what ``cell[i] = value`` sets coordinate i of block number `position` through."""
        cell = self._cells[position]  # none of those that share memory
        return self.values[self.blocks[position].leaf].ravel() if cell is None else cell

    def move(self, shift: Array, step: float) -> None:
        """Set every coordinate to θ + step·shift, a direction over all blocks, shape (n,)."""
        self._waits = True
        for window, theta, cell in self._windows:
            along = shift[window]
            if not isinstance(cell, np.ndarray):
                if window.start < window.stop:
                    cell[:] = theta + step * along
                continue
            for part in chunks(theta.size):  # of a million parameters no further vector is made
                np.add(along[part] * step, theta[part], cell[part], casting="same_kind")
        self._rebuild()

    def _rebuild(self) -> None:
        """Renew `params` where an array that never changes was replaced; of many, once for all."""
        self._waits = False
        if self._stale:
            self.params, self._stale = self.structure.rebuild(self.values), False

    def set(self, vector: Array) -> None:
        """Set every coordinate, to a vector over all blocks, shape (n,)."""
        self._set((window, cell, vector[window]) for window, _, cell in self._windows)

    def reset(self) -> None:
        """Set every coordinate to its saved value."""
        self._set((window, cell, theta) for window, theta, cell in self._windows)

    def _set(self, values: Iterable[tuple[slice, Any, Array]]) -> None:
        self._waits = True
        for window, cell, own in values:
            if window.start < window.stop:
                cell[:] = own
        self._rebuild()

    def restore(self) -> None:
        """Put the user's arrays back, bit for bit, whatever was written to them."""
        if not self.in_place:
            return
        for k, saved in self._saved.items():
            if self._written(k):
                self._kind(k).restore(self.values[k], saved)
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
        """Return the name of a leaf that is not what it was, or None."""
        # Called while nothing is perturbed: what differs was written by func.
        before = self.structure.leaves
        if not self._holds_its_values():
            now = flatten(self.params).leaves
            if _names(now) != _names(before):
                apart = {*_names(now)} ^ {*_names(before)}
                return sorted(apart)[0] if apart else before[0].name
            for leaf, first, value in zip(now, before, self.values, strict=True):
                kind = first.kind
                # A number can't be written to, only replaced.
                same = kind.same_bits if kind is NUMBER else is_
                if kind and not (leaf.kind is kind and same(leaf.value, value)):
                    return leaf.name
        for k in self._saved:
            if self._written(k):
                return before[k].name
        for run, saved, memory in self._shared:
            if not same_bits(memory, saved):
                own = next(k for k in run if not same_bits(self.cell(k), self.theta[k]))
                return self.blocks[own].name
        return None

    def _written(self, k: int) -> bool:
        """Return whether something was written to the array that is leaf k, of its own memory."""
        kind = self._kind(k)
        return kind is not NUMBER and not kind.same_bits(self.values[k], self._saved[k])

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


def _names(leaves: Sequence[Leaf]) -> list[str]:
    return [leaf.name for leaf in leaves]


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


FEWEST = 64
"""Small blocks that follow each other and share memory: of fewer, each is copied by itself."""


def _side_by_side(
    structure: Structure, blocks: Sequence[Block], dtype: Any
) -> Iterator[tuple[range, np.dtype[Any]]]:
    """Yield the numbers of many small blocks of one type in a row, and the type of their copy."""
    # They are numpy's plain arrays, as a copy in one piece of memory has them. Types are compared
    # in tuples: that of float64 is equal to None.

    def copied_as(position: int) -> tuple[np.dtype[Any], ...]:
        block = blocks[position]
        value = structure.leaves[block.leaf].value
        if type(value) is not np.ndarray or block.places is not None or value.size > CHUNK:
            return ()
        own = value.dtype
        plain = (own is DOUBLE or (own.isnative and own.kind == "f")) and value.flags.c_contiguous
        return (_wanted(block, dtype) or own,) if plain else ()

    for own, run in groupby(range(len(blocks)), copied_as) if len(blocks) > FEWEST else ():
        numbers = list(run)
        if own and len(numbers) > FEWEST:
            yield range(numbers[0], numbers[-1] + 1), own[0]


def _wanted(block: Block | None, dtype: Any) -> np.dtype[Any] | None:
    """Return the precision of the copy of a leaf; None: its own."""
    if block is None or dtype is None:
        return None
    return np.dtype(np.result_type(dtype, np.complex64) if block.is_complex else dtype)


def _overlaps_itself(array: Array) -> bool:
    """Return whether two entries of an array share memory, as views by strides may."""
    if not array.size or array.flags.forc:
        return False
    starts = np.zeros((), dtype=np.int64)
    for step, count in zip(array.strides, array.shape, strict=True):
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
