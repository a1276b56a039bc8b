"""The one private copy of the parameters that func sees, perturbed in place.

Bookkeeping per evaluation is O(1): one entry is assigned before and one after.  Restoring is
assignment of the saved value, never an inverse operation, so it is exact whatever func did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._blocks import Block, Structure, coordinates
from ._probes import chunks

Array = np.ndarray[Any, Any]


class _NumberCell:
    """A leaf that is a Python or numpy number: its structure is rebuilt at every change."""

    def __init__(self, work: WorkCopy, leaf: int, kind: type, parts: list[Any]) -> None:
        self.work, self.leaf, self.kind, self.parts = work, leaf, kind, parts

    def __setitem__(self, key: Any, value: Any) -> None:
        self.parts[key] = value
        number = complex(*self.parts) if len(self.parts) == 2 else self.parts[0]
        self.work.values[self.leaf] = self.kind(number)
        self.work.params = self.work.structure.rebuild(self.work.values)


class WorkCopy:
    """A copy of the parameters to perturb, and the saved values to restore.

    Parameters
    ----------
    structure : Structure
        The user's parameters.
    blocks : sequence of Block
        Those that will be perturbed.
    dtype : numpy dtype, optional
        Precision of the perturbed leaves; unset: each leaf's own.
    in_place : bool
        Perturb the user's own arrays, because func reads them through a closure.

    Attributes
    ----------
    params : object
        What func is called with.

    Raises
    ------
    TypeError, ValueError
        When `in_place` is asked for and a block can't be perturbed in place.
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
        checked = {block.leaf: block for block in blocks}
        self.values: list[Any] = []
        for position, leaf in enumerate(structure.leaves):
            value = leaf.value
            if leaf.is_array and not in_place:
                value = self._copied(value, checked.get(position), dtype)
            elif position in checked and isinstance(value, np.generic) and dtype is not None:
                value = np.result_type(dtype, value.dtype).type(value)
            self.values.append(value)
        self.params: Any = structure.rebuild(self.values)
        # What is compared bit for bit and, in place, restored.  The user's own arrays will do
        # where func can't reach them through its parameters.
        self._saved = [
            self._kept(leaf.value, value)
            for leaf, value in zip(structure.leaves, self.values, strict=True)
        ]
        self._cells = [self._cell(block) for block in blocks]
        self.theta = [self._saved_coordinates(block) for block in blocks]

    def _kept(self, own: Any, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        same = not self.in_place and own.dtype == value.dtype
        return own if same else value.copy(order="K")

    @staticmethod
    def _copied(value: Any, block: Block | None, dtype: Any) -> Any:
        if block is None:
            return value.copy(order="K")
        if block.is_complex:
            wanted = value.dtype if dtype is None else np.result_type(dtype, np.complex64)
            return np.array(value, dtype=wanted, order="C", subok=True)
        return value.copy(order="K") if dtype is None else value.astype(dtype, order="K")

    def _cell(self, block: Block) -> Any:
        value = self.values[block.leaf]
        if not isinstance(value, np.ndarray):
            parts = self._saved_coordinates(block).tolist()
            kind = float if type(value) is int else type(value)
            cell = _NumberCell(self, block.leaf, kind, parts)
            if type(value) is int:
                cell[0] = parts[0]
            return cell
        plain = value.view(np.ndarray)
        if block.is_complex:
            return plain.reshape(-1).view(plain.real.dtype)
        # A one-dimensional view where the memory allows it; else C order through flat.
        return plain.reshape(-1) if plain.flags.c_contiguous else plain.flat

    def _saved_coordinates(self, block: Block) -> Array:
        saved = self._saved[block.leaf]
        if isinstance(saved, np.ndarray):
            return coordinates(saved.view(np.ndarray))
        # The float that a lone Python int stands for.
        return coordinates(float(saved) if type(saved) is int else saved)

    def cell(self, position: int) -> Any:
        """Return what ``cell[i] = value`` sets coordinate i of block number `position` through."""
        return self._cells[position]

    def move(self, shift: Array, step: float) -> None:
        """Set every coordinate to θ + step·shift.

        Parameters
        ----------
        shift : ndarray, shape (n,)
            A direction over all blocks.
        step : float
            How far along it.
        """
        for block, cell, theta in zip(self.blocks, self._cells, self.theta, strict=True):
            if isinstance(cell, np.ndarray):
                # In parts: of a million parameters, no further vector is made.
                along = shift[block.window]
                for part in chunks(block.size):
                    cell[part] = along[part] * step + theta[part]
            else:
                self._assign(block, cell, theta + step * shift[block.window])

    def _assign(self, block: Block, cell: Any, values: Array) -> None:
        if isinstance(cell, _NumberCell):
            for part, value in enumerate(values.tolist()):
                cell[part] = value
        elif block.size:
            cell[:] = values

    def reset(self) -> None:
        """Set every coordinate to its saved value."""
        for block, cell, theta in zip(self.blocks, self._cells, self.theta, strict=True):
            self._assign(block, cell, theta)

    def restore(self) -> None:
        """Put the user's arrays back, bit for bit, whatever was written to them."""
        if not self.in_place:
            return
        for value, saved in zip(self.values, self._saved, strict=True):
            if isinstance(value, np.ndarray) and not same_bits(value, saved):
                np.copyto(value, saved)

    def fresh(self) -> Any:
        """Return another copy of the parameters as they stand, for a func that scribbles."""
        return self.structure.rebuild(
            [v.copy(order="K") if isinstance(v, np.ndarray) else v for v in self.values]
        )

    def changed(self) -> str | None:
        """Return the name of a leaf that is not what it was, or None.

        Called while nothing is perturbed: what differs was written by func.
        """
        from ._blocks import flatten

        now = flatten(self.params).leaves
        before = self.structure.leaves
        if [leaf.name for leaf in now] != [leaf.name for leaf in before]:
            names = {leaf.name for leaf in now} ^ {leaf.name for leaf in before}
            return sorted(names)[0] if names else before[0].name
        for leaf, value, saved in zip(now, self.values, self._saved, strict=True):
            if isinstance(saved, np.ndarray):
                if leaf.value is not value or not same_bits(value, saved):
                    return leaf.name
            elif leaf.numeric and leaf.value != value:
                return leaf.name
        return None


def same_bits(a: Array, b: Array) -> bool:
    """Return whether two arrays of one dtype hold the same bits, NaN and the sign of 0 included."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    first, second = np.ascontiguousarray(a), np.ascontiguousarray(b)
    if first.dtype.hasobject:
        return all(x is y for x, y in zip(first.flat, second.flat, strict=True))
    if (first.dtype.itemsize == 16 and first.dtype.kind == "f") or first.dtype.itemsize == 32:
        # The padding bytes of a longdouble are not part of its value.
        return bool(np.array_equal(first, second, equal_nan=True))
    if first.nbytes <= 1 << 16:
        return first.tobytes() == second.tobytes()
    # Of many parameters no copy is made.
    whole = np.dtype(np.uint64 if first.dtype.itemsize % 8 == 0 else np.uint8)
    one, other = first.reshape(-1).view(whole), second.reshape(-1).view(whole)
    return bool(np.array_equal(one, other))


def _require_in_place(structure: Structure, blocks: Sequence[Block]) -> None:
    arrays: list[tuple[str, Array]] = []
    for block in blocks:
        value = structure.leaves[block.leaf].value
        if not isinstance(value, np.ndarray):
            raise TypeError(
                f"in_place=True: {block.name} is a {type(value).__name__}, which can't be changed "
                "in place; pass arrays, or a func that takes params"
            )
        if not value.flags.writeable:
            raise ValueError(f"in_place=True: {block.name} is read-only; pass writable arrays")
        if block.is_complex and not value.flags.c_contiguous:
            raise ValueError(
                f"in_place=True: {block.name} is complex and not C-contiguous; pass an array made "
                "with numpy.ascontiguousarray"
            )
        for name, other in arrays:
            if np.shares_memory(value, other):
                raise ValueError(
                    f"in_place=True: {block.name} and {name} share memory, so one can't be "
                    "perturbed without the other; pass each array once"
                )
        arrays.append((block.name, value))
