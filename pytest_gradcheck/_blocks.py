"""Parameters as named blocks: which leaves are checked, laid out in one vector.

A *block* is a leaf that is checked: a window on one flat vector of real coordinates, two of them
for a complex entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from ._kinds import complex_of, coordinates, kind_of, to_float
from ._names import brief, listing, quoted
from ._structure import ROOT, Leaf, Structure


@dataclass(frozen=True)
class Block:
    """A leaf that is checked: a named window on the flat vector of coordinates.

    Parameters
    ----------
    name : str
        As in labels.
    shape : tuple of int
        The leaf's.
    dtype : numpy.dtype
        Of one coordinate: the leaf's own, or that of its real part.
    is_complex : bool
        Whether an entry is two coordinates.
    start, stop : int
        The window.
    leaf : int
        Which leaf of the structure it is.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_complex: bool
    start: int
    stop: int
    leaf: int

    @property
    def size(self) -> int:
        """How many coordinates."""
        return self.stop - self.start

    @property
    def window(self) -> slice:
        """The block's place in the flat vector."""
        return slice(self.start, self.stop)

    def index(self, coordinate: int) -> tuple[int, ...]:
        """Return the multi-index of the entry that coordinate `coordinate` of the block is in."""
        entry = coordinate // 2 if self.is_complex else coordinate
        return tuple(int(i) for i in np.unravel_index(entry, self.shape)) if self.shape else ()

    def label(self, coordinate: int) -> str:
        """Return the name of a coordinate of the block: ``W2[1, 3]``, ``z[0].imag``."""
        index = ", ".join(map(str, self.index(coordinate)))
        part = (".imag" if coordinate % 2 else ".real") if self.is_complex else ""
        return self.name + (f"[{index}]" if self.shape else "") + part


def selected(name: str, only: Sequence[str], skip: Sequence[str]) -> bool:
    """Return whether the patterns leave the block `name` in the check."""

    def matches(patterns: Sequence[str]) -> bool:
        # Equality first: in a glob, the [3] of "layers[3].bias" means the letter 3.
        return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)

    return (not only or matches(only)) and not matches(skip)


def blocks_of(structure: Structure, only: Sequence[str], skip: Sequence[str]) -> tuple[Block, ...]:
    """Choose the leaves that are checked and lay them out in one vector.

    Parameters
    ----------
    structure : Structure
        The parameters.
    only, skip : sequence of str
        Names or glob patterns.

    Returns
    -------
    tuple of Block

    Raises
    ------
    TypeError
        For a leaf of the selection that is not real or complex floating point.
    ValueError
        For a pattern that matches no leaf.
    """
    names = [leaf.name for leaf in structure.leaves]
    for option, patterns in (("only", only), ("skip", skip)):
        for pattern in patterns:
            if not any(selected(name, (pattern,), ()) for name in names):
                raise ValueError(
                    f"{option}: {quoted(pattern)} matches no block of params; they are "
                    f"{listing(names) or 'none'}"
                )
    blocks, start = list[Block](), 0
    for position, leaf in enumerate(structure.leaves):
        if not selected(leaf.name, only, skip):
            continue
        value = checked_value(leaf, structure.leaves, skip)
        is_complex = value.dtype.kind == "c"
        size = value.size * (2 if is_complex else 1)
        dtype = value.real.dtype
        block = Block(leaf.name, value.shape, dtype, is_complex, start, start + size, position)
        blocks.append(block)
        start += size
    return tuple(blocks)


def checked_value(
    leaf: Leaf, leaves: Sequence[Leaf], skip: Sequence[str] = ()
) -> np.ndarray[Any, Any]:
    """Return a parameter as an array of a floating-point type, or say why it can't be one.

    Of `leaves`, those of the whole structure, an error names all that `skip` would have to name.
    """
    value, name = leaf.value, brief(leaf.name)
    alone = len(leaves) == 1 and leaf.name == ROOT
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array: what a masked entry's gradient is, is not defined; "
            f"pass the data without the mask, or leave the block out with skip={name!r}"
        )
    if not _is_parameter(leaf):
        others = [
            brief(other.name)
            for other in leaves
            if not _is_parameter(other) and selected(other.name, (), skip)
        ]
        raise TypeError(
            f"{name} is {_kind(value)}, but a parameter is an array or a number, in dicts, "
            "lists, tuples and dataclasses; pass other things in args=, or leave them out with "
            f"skip={[*skip, *others] if skip or len(others) > 1 else name!r}"
        )
    if alone and type(value) is int:
        if math.isinf(number := to_float(value)):
            raise ValueError(f"params must be finite to be differenced: {name} is {quoted(value)}")
        return np.array(number)
    array = leaf.array
    if array.dtype.kind not in "fc":
        change = f"{quoted(value)}.0" if type(value) is int else "x.astype(float)"
        change = "a float64 copy" if leaf.is_array and type(array) is not type(value) else change
        raise TypeError(
            f"{name} is {_kind(value)}, which has no small steps to take; pass floating-point "
            f"values ({change}), or leave the block out with skip={name!r}"
        )
    return array


def _is_parameter(leaf: Leaf) -> bool:
    return leaf.numeric and not isinstance(leaf.value, bool)


def require_finite(structure: Structure, block: Block) -> None:
    """Raise ValueError when an entry of a parameter is NaN or infinite."""
    value = checked_leaf(structure, block)
    finite = np.isfinite(value)
    if not finite.all():
        entry = int(np.argmin(finite))
        label = block.label(entry * (2 if block.is_complex else 1))
        raise ValueError(
            f"params must be finite to be differenced: {brief(label)} is {value.reshape(-1)[entry]}"
        )


def _kind(value: Any) -> str:
    if hasattr(value, "dtype") and kind_of(value) is not None:
        return f"{type(value).__name__} of dtype {value.dtype}"
    return type(value).__name__


def vector_of(structure: Structure, blocks: Sequence[Block]) -> np.ndarray[Any, Any]:
    """Return the coordinates of all blocks as one vector: float64, or longdouble if any is."""
    parts = [coordinates(checked_leaf(structure, block)) for block in blocks]
    wide = any(part.dtype.itemsize > 8 for part in parts)
    dtype = np.dtype(np.longdouble if wide else np.float64)
    return np.concatenate([part.astype(dtype, copy=False) for part in parts] or [np.empty(0)])


def checked_leaf(structure: Structure, block: Block) -> np.ndarray[Any, Any]:
    """Return the array of a block, a lone Python int as the float that it stands for."""
    return np.asarray(
        structure.leaves[block.leaf].array,
        dtype=None
        if block.shape
        else (np.result_type(block.dtype, np.complex64) if block.is_complex else block.dtype),
    )


def to_structure(
    structure: Structure, blocks: Sequence[Block], vector: np.ndarray[Any, Any]
) -> Any:
    """Put a vector into the structure of the parameters.

    Parameters
    ----------
    structure : Structure
        Of the parameters.
    blocks : sequence of Block
        Their layout in `vector`.
    vector : ndarray, shape (n,)

    Returns
    -------
    object
        The same containers with new arrays, float64 (complex128 where the parameter is complex);
        numbers are Python floats; leaves that were not checked are None.
    """
    values: list[Any] = [None] * len(structure.leaves)
    for block in blocks:
        part = np.array(vector[block.window])
        part = complex_of(part) if block.is_complex else part
        array = part.reshape(block.shape)
        values[block.leaf] = array if structure.leaves[block.leaf].is_array else array.item()
    return structure.rebuild(values)


def position_of(blocks: Sequence[Block], coordinate: int) -> int:
    """Return the number of the block that a coordinate of the flat vector is in."""
    return next(p for p, b in enumerate(blocks) if b.start <= coordinate < b.stop)


def labels(blocks: Sequence[Block]) -> Callable[[int], str]:
    """Return the function from a coordinate of the flat vector to its label."""

    def label(coordinate: int) -> str:
        block = blocks[position_of(blocks, coordinate)]
        return block.label(coordinate - block.start)

    return label
