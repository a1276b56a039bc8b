"""The one private copy of the parameters that func sees, perturbed in place.

Bookkeeping per evaluation is O(1): one entry is assigned before and one after.  Restoring is
assignment of the saved value, never an inverse operation, so it is exact whatever func did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, chain, groupby
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
    Structure,
    Unreadable,
    chunks,
    coordinates,
    flatten,
    same_bits,
)
from .layout import MANY, Block, Blocks, joint, leaves_of, position_of, shapes_of

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
        self.values: list[Any] = list(structure.values)
        self._cells: list[Any] = [None] * len(blocks)
        self._windows: list[Window] = []
        self._shared: list[tuple[range, Array, Array]] = []
        self._waits = self._stale = False
        alike = () if in_place else _side_by_side(structure, blocks, dtype)
        shared = [self._share(run, kind) for run, kind in alike]
        alone, own = list[int](), list[int]()
        if sum(map(len, shared)) < len(structure.kinds):  # most often either all are, or none
            done = {*chain(*shared)}
            alone = [k for k, kind in enumerate(structure.kinds) if kind and k not in done]
            own = [p for p, k in enumerate(leaves_of(blocks)) if k not in done]
        checked = {blocks[position].leaf: blocks[position] for position in own}
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
        self._theta: dict[int, Array] = {}
        for position in own:
            block = blocks[position]
            saved = self._kind(block.leaf).to_numpy(self._saved[block.leaf])
            self._theta[position] = theta = coordinates(saved)[block.within]
            self._cells[position] = cell = self._cell(block)
            self._see(block.start, theta, cell)
        if not shared:
            self.theta = [*self._theta.values()]

    @cached_property
    def theta(self) -> Sequence[Array]:
        """θ of every block."""
        # Of many that share memory they are made where they are asked for.
        found = dict(self._theta)
        for run, saved, _ in self._shared:
            sizes = [(math.prod(shape),) for shape in shapes_of(self.blocks)[run.start : run.stop]]
            found.update(zip(run, _parts(saved, sizes), strict=True))
        return [found[position] for position in range(len(self.blocks))]

    def joint(self, run: range) -> Array:
        """Return θ of blocks with some numbers in a row, as one vector."""
        for own, saved, _ in self._shared:
            if own.start <= run.start and run.stop <= own.stop:
                first, last = self.blocks[run.start], self.blocks[run.stop - 1]
                start = self.blocks[own.start].start
                return saved[first.start - start : last.stop - start]
        return joint(self.theta[run.start : run.stop])

    def _see(self, start: int, theta: Array, cell: Any) -> None:
        """Learn of θ from a place of the flat vector on, and of what sets it."""
        # In parts where it can be: of a million parameters no further vector is made by a move.
        parts = chunks(theta.size) if isinstance(cell, np.ndarray) else [slice(0, theta.size)]
        for part in parts:
            window = slice(start + part.start, start + part.stop)
            whole = part.stop - part.start == theta.size
            self._windows.append((window, theta[part], cell if whole else cell[part]))

    def require_finite(self) -> None:
        """Raise ValueError when a parameter is NaN or infinite."""
        for window, theta, _ in self._windows:
            finite = np.isfinite(theta)
            if np.count_nonzero(finite) < finite.size:
                place = window.start + int(np.argmin(finite))
                block = self.blocks[position_of(self.blocks, place)]
                value = self.structure.leaves[block.leaf].array[block.index(place - block.start)]
                self.restore()
                raise ValueError(
                    "params must be finite to be differenced: "
                    f"{brief(block.label(place - block.start))} is {value}"
                )

    def _share(self, run: range, dtype: Any) -> Sequence[int]:
        """Copy the arrays of some blocks into one piece of memory; return the numbers of these."""
        here = slice(run.start, run.stop)
        which, shapes = leaves_of(self.blocks)[here], shapes_of(self.blocks)[here]
        memory = np.concatenate([self.values[k] for k in which], axis=None, dtype=dtype)
        saved = memory.copy()
        for k, own in zip(which, _parts(memory, shapes), strict=True):
            self.values[k] = own
        self._see(self.blocks[run.start].start, saved, memory)
        self._shared.append((run, saved, memory))
        return which

    def _require_rebuilt(self) -> None:
        """Raise TypeError when what takes params apart doesn't put it together again."""
        if self._holds_its_values():
            return
        now, kinds = flatten(self.params), self.structure.kinds
        if now.names != self.structure.names or any(
            kind not in (None, NUMBER) and new is not value
            for new, kind, value in zip(now.values, kinds, self.values, strict=True)
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
        kind = self.structure.kinds[k]
        assert kind is not None
        return kind

    def _kept(self, k: int) -> Any:
        own, value = self.structure.values[k], self.values[k]
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
        return self.values[leaves_of(self.blocks)[position]].ravel() if cell is None else cell

    def move(self, shift: Array, step: float) -> None:
        """Set every coordinate to θ + step·shift, a direction over all blocks, shape (n,)."""
        self._waits = True
        for window, theta, cell in self._windows:
            if isinstance(cell, np.ndarray):
                np.add(shift[window] * step, theta, cell, casting="same_kind")
            elif window.start < window.stop:
                cell[:] = theta + step * shift[window]
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
                value if kind is None else kind.copy(value)
                for kind, value in zip(self.structure.kinds, self.values, strict=True)
            ]
        )

    def changed(self) -> str | None:
        """Return the name of a leaf that is not what it was, or None."""
        # Called while nothing is perturbed: what differs was written by func.
        names = self.structure.names
        if not self._holds_its_values():
            now = flatten(self.params)
            if now.names != names:
                apart = {*now.names} ^ {*names}
                return sorted(apart)[0] if apart else names[0]
            kinds = self.structure.kinds
            for leaf, kind, value in zip(now.leaves, kinds, self.values, strict=True):
                # A number can't be written to, only replaced.
                same = kind.same_bits if kind is NUMBER else is_
                if kind and not (leaf.kind is kind and same(leaf.value, value)):
                    return leaf.name
        for k in self._saved:
            if self._written(k):
                return names[k]
        for run, saved, memory in self._shared:
            if not same_bits(memory, saved):
                own = next(k for k in run if not same_bits(self.cell(k), self.theta[k]))
                return self.blocks[own].name
        return None

    def _written(self, k: int) -> bool:
        """Return whether something was written to the array that is leaf k, of its own memory."""
        kind = self.structure.kinds[k]
        return not (
            kind is NUMBER or kind is None or kind.same_bits(self.values[k], self._saved[k])
        )

    def require_unchanged(self, who: str, takes_copy: bool = True) -> None:
        """Raise ValueError when the work copy is not what it was: `who` wrote to it."""
        # `takes_copy`: the check has the option.
        name = self.changed()
        if name is not None:
            self.restore()
            option = ", or pass copy=True for a fresh copy in each call" if takes_copy else ""
            raise ValueError(
                f"{who} changed its parameters: {brief(name)} is not what it was before the call; "
                f"copy what is to be changed{option} (your own arrays are as they were)"
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


def _side_by_side(
    structure: Structure, blocks: Sequence[Block], dtype: Any
) -> Iterator[tuple[range, np.dtype[Any]]]:
    """Yield the numbers of many small blocks of one type in a row, and the type of their copy."""
    # They are numpy's plain arrays, as a copy in one piece of memory has them.
    if len(blocks) <= MANY:
        return
    values = [structure.values[k] for k in leaves_of(blocks)]
    wanted = None if dtype is None else np.dtype(dtype)
    if type(blocks) is Blocks and all(v.flags.c_contiguous and v.size <= CHUNK for v in values):
        yield range(len(blocks)), DOUBLE if wanted is None else wanted
        return
    # In tuples, for the dtype of float64 is equal to None.
    types = [
        (value.dtype if wanted is None else wanted,)
        if type(value) is np.ndarray
        and value.size <= CHUNK
        and (value.dtype is DOUBLE or (value.dtype.isnative and value.dtype.kind == "f"))
        and value.flags.c_contiguous
        else ()
        for value in values
    ]
    if type(blocks) is not Blocks:
        pairs = zip(types, blocks, strict=True)
        types = [own if block.places is None else () for own, block in pairs]
    start = 0
    for own, run in groupby(types):
        numbers = range(start, start + len(list(run)))
        if own and len(numbers) > MANY:
            yield numbers, own[0]
        start = numbers.stop


def _parts(memory: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Return an array's memory in parts of some shapes."""
    if len({*shapes}) == 1 and shapes[0]:  # of a number the parts would be no arrays
        return list(memory.reshape(len(shapes), *shapes[0]))
    ends = [*accumulate(map(math.prod, shapes), initial=0)]
    edges = zip(ends[:-1], ends[1:], shapes, strict=True)
    return [memory[start:stop].reshape(shape) for start, stop, shape in edges]


def _wanted(block: Block | None, dtype: Any) -> np.dtype[Any] | None:
    """Return the precision of the copy of a leaf; None: its own."""
    if block is None or dtype is None:
        return None
    return np.dtype(np.result_type(dtype, np.complex64) if block.is_complex else dtype)


def _overlaps_itself(array: Array) -> bool:
    """Return whether two entries of an array share memory, as views by strides may."""
    if array.flags.forc:
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
