"""Parameters as named blocks of one flat vector, and a gradient in the same layout.

A *block* is a leaf that is checked: a window on one flat vector of real coordinates, two of them
for a complex entry.  A gradient's names, shapes and lengths must match those of params exactly:
nothing is broadcast, transposed or reordered.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import accumulate, repeat
from numbers import Number
from operator import attrgetter, eq, sub
from types import FunctionType
from typing import Any, overload

import numpy as np

from .._constants import EPS, SMALLEST_PART
from .._quoting import brief, listing, quoted
from .arrays_and_structure import (
    CHUNK,
    DOUBLE,
    ROOT,
    Array,
    Leaf,
    Structure,
    complex_of,
    coordinates,
    flatten,
    foreign_kind,
    is_masked,
    kind_of,
    read,
    same_bits,
)

SMALLEST_SCALE = 1e-3  # a parameter near zero is stepped as one of this part of its block's median


def middle(values: Array) -> float:
    """Return the median of some numbers, which may be reordered."""
    # `numpy.median` takes ten times as long on few of them, and a copy of many. To look for both
    # numbers in the middle takes numpy seven times as long as for one.
    half = values.size // 2
    if values.size > FEW_TO_SORT:
        values.partition(half)
        below = values[half] if values.size % 2 else values[:half].max()
    else:
        values.sort()
        below = values[~half]
    return 0.5 * float(values[half]) + 0.5 * float(below)


@dataclass(frozen=True)
class Scale:
    """The scale of a block's coordinates: ``|θ|``, held above zero by two numbers.

    `at_zero` is the median of the block's non-zero entries, or 1 where all are zero, and so that of
    the scales; `floor` 10⁻³ of that, or of 1 where that is smaller. Of several blocks both are
    vectors, one number for each, or one for each coordinate.
    """

    floor: Any
    at_zero: Any

    def of(self, theta: Array) -> Array:
        """Return the scale of each coordinate, of the shape of `theta`, float64."""
        size = np.abs(theta).astype(np.float64, copy=False)
        zero = size == 0 if np.count_nonzero(size) < size.size else None
        np.maximum(size, self.floor, out=size)
        if zero is not None:
            np.copyto(size, self.at_zero, where=zero)
        np.maximum(size, LEAST_SCALE, out=size)
        return np.minimum(size, MOST_SCALE, out=size)

    def along(self, theta: Array) -> Array:
        """Return by how much each coordinate moves along a direction, of the shape of `theta`."""
        size = self.of(theta)
        np.maximum(size, SMALLEST_PART * self.at_zero, out=size)
        return size

    def within(self, counts: Array, run: range) -> Scale:
        """Return that of the blocks with some numbers, of so many coordinates, for each of these.

        Here it has a number for each block.
        """
        if len(run) == 1:
            return Scale(self.floor[run.start], self.at_zero[run.start])
        each = slice(run.start, run.stop)
        own = counts[each]
        return Scale(np.repeat(self.floor[each], own), np.repeat(self.at_zero[each], own))


def scale_of(theta: Array) -> Scale:
    """Return how the coordinates of a block, shape (n,), are scaled."""
    found = scales_of([(range(1), theta)], [theta.size])
    return Scale(found.floor[0], found.at_zero[0])


def scales_of(parts: Iterable[tuple[range, Array]], lengths: Sequence[int]) -> Scale:
    """Return how the coordinates of blocks of some lengths are scaled (see `middles`)."""
    medians = middles(parts, lengths)
    return Scale(SMALLEST_SCALE * np.minimum(medians, 1.0), np.minimum(medians, MOST_SCALE))


def middles(parts: Iterable[tuple[range, Array]], lengths: Sequence[int]) -> Array:
    """Return the median of the sizes above 0 in blocks of some lengths, 1 where there is none.

    `parts` are numbers of blocks in a row, each with the vector on which these are.
    """
    # Short ones of one length are many as a rule, and are sorted together. Long ones are copied to
    # a vector as long as all: the memory of a shorter one would be of no use to those that follow.
    every: Array = np.empty(sum(lengths))
    found = np.ones(len(lengths))
    for run, vector in parts:
        alone: Iterable[tuple[int, Array]] = ((run.start, vector),)
        if len(run) > 1:
            own = lengths[run.start : run.stop]
            if len({*own}) == 1 and own[0] <= FEW_TO_SORT:
                found[run.start : run.stop] = _middles_of(vector.reshape(len(run), own[0]))
                continue
            alone = _grouped(run, vector, own, found)
        for k, part in alone:
            size = np.abs(part, out=every[: part.size])
            size = size if np.count_nonzero(size) == size.size else size[size > 0]
            found[k] = middle(size) if size.size else 1.0
    return found


def _grouped(
    run: range, vector: Array, lengths: Sequence[int], found: Array
) -> list[tuple[int, Array]]:
    """Put the medians of what is of one length into `found`; return the others, with numbers."""
    alike, start = defaultdict[int, list[tuple[int, Array]]](list), 0
    for k, length in zip(run, lengths, strict=True):
        alike[length].append((k, vector[start : start + length]))
        start += length
    left: list[tuple[int, Array]] = []
    for length, those in alike.items():
        if len(those) == 1 or length > FEW_TO_SORT:
            left += those
        else:
            rows = joint([part for _, part in those]).reshape(len(those), length)
            found[[k for k, _ in those]] = _middles_of(rows)
    return left


def _middles_of(rows: Array) -> Array:
    """Return the median of the sizes above 0 in every row, 1 where there is none."""
    count, length = rows.shape
    if not length:
        return np.ones(count)
    rows = np.sort(np.abs(rows).astype(np.float64, copy=False), axis=1)
    zeros = length - np.count_nonzero(rows, axis=1)
    row, half = np.arange(count), (length - zeros) // 2
    low = np.minimum(length - 1 - half, length - 1)
    high = np.minimum(zeros + half, length - 1)
    medians = 0.5 * rows[row, high] + 0.5 * rows[row, low]
    return np.where(zeros < length, medians, 1.0)


FEW_TO_SORT = 4096  # up to so many numbers sorting is faster than partitioning

LEAST_SCALE = float(np.finfo(np.float64).tiny) * 1e6
"""Room for a step below a scale that is itself subnormal."""

MOST_SCALE = float(np.finfo(np.float64).max) / 16
"""And room for a weight and a step above the largest."""


@dataclass(unsafe_hash=True)
class Block:
    """A leaf that is checked: a named window, from `start` to `stop`, on the vector of coordinates.

    `shape` is the leaf's, `leaf` its number in the structure, `dtype` that of one coordinate: the
    leaf's own, or where it is complex, and each entry two coordinates, that of its real part.
    Where only some entries are checked, `places` has their coordinates in the leaf, whose shape is
    `whole`, and `shape` is the number of these entries.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_complex: bool
    start: int
    stop: int
    leaf: int
    places: Array | None = field(default=None, compare=False, kw_only=True)
    whole: tuple[int, ...] | None = field(default=None, kw_only=True)
    # Nothing writes to a block. It is not `frozen`, for that takes four times as long to make, and
    # there may be tens of thousands.

    @property
    def within(self) -> Any:
        """What of the leaf's coordinates is in the block: an index of them."""
        return slice(None) if self.places is None else self.places

    @property
    def leaf_shape(self) -> tuple[int, ...]:
        """The shape of the leaf."""
        return self.shape if self.whole is None else self.whole

    @property
    def coordinate_shape(self) -> tuple[int, ...]:
        """The shape of the block's coordinates: real and imaginary part last."""
        return (*self.shape, 2) if self.is_complex else self.shape

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
        place = coordinate if self.places is None else int(self.places[coordinate])
        entry, shape = place // 2 if self.is_complex else place, self.leaf_shape
        return tuple(int(i) for i in np.unravel_index(entry, shape)) if shape else ()

    def label(self, coordinate: int) -> str:
        """Return the name of a coordinate of the block: ``W2[1, 3]``, ``z[0].imag``."""
        index = ", ".join(map(str, self.index(coordinate)))
        part = (".imag" if coordinate % 2 else ".real") if self.is_complex else ""
        return self.name + (f"[{index}]" if self.shape else "") + part


class Blocks(Sequence[Block]):
    """Whole arrays of float64 as blocks: of each a `Block` is made where one is asked for.

    `names`, `shapes` and `ends`, where each stops on the vector, are lists, `leaves` the numbers of
    the blocks in the structure.
    """

    # There may be tens of thousands, and a check of a gradient that is right asks for none.

    def __init__(
        self,
        names: list[str],
        shapes: list[tuple[int, ...]],
        ends: list[int],
        leaves: Sequence[int],
    ) -> None:
        self.names, self.shapes, self.ends, self.leaves = names, shapes, ends, leaves
        self._made: tuple[Block, ...] | None = None

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, key: int) -> Block: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Block, ...]: ...
    def __getitem__(self, key: int | slice) -> Block | tuple[Block, ...]:
        if self._made is not None or isinstance(key, slice):
            return self._all()[key]
        k = range(len(self))[key]
        start, stop = self.ends[k - 1] if k else 0, self.ends[k]
        return Block(self.names[k], self.shapes[k], DOUBLE, False, start, stop, self.leaves[k])

    def __iter__(self) -> Iterator[Block]:
        return iter(self._all())

    def _all(self) -> tuple[Block, ...]:
        if self._made is None:
            starts = [0, *self.ends]
            alike = repeat(DOUBLE), repeat(False)
            self._made = tuple(
                map(Block, self.names, self.shapes, *alike, starts, self.ends, self.leaves)
            )
        return self._made


MANY = 64  # of more blocks what is done is done for all at once where it can be


def ends_of(blocks: Sequence[Block]) -> list[int]:
    """Return where each block stops on the vector."""
    return blocks.ends if type(blocks) is Blocks else [block.stop for block in blocks]


def leaves_of(blocks: Sequence[Block]) -> Sequence[int]:
    """Return the number of each block's leaf in the structure."""
    return blocks.leaves if type(blocks) is Blocks else [block.leaf for block in blocks]


def counts_of(blocks: Sequence[Block]) -> list[int]:
    """Return how many coordinates each block has."""
    if type(blocks) is Blocks:
        return [*map(sub, blocks.ends, [0, *blocks.ends])]
    return [block.stop - block.start for block in blocks]


def names_of(blocks: Sequence[Block]) -> list[str]:
    """Return the name of each block."""
    return blocks.names if type(blocks) is Blocks else [block.name for block in blocks]


def shapes_of(blocks: Sequence[Block]) -> list[tuple[int, ...]]:
    """Return the shape of each block."""
    return blocks.shapes if type(blocks) is Blocks else [block.shape for block in blocks]


def are_plain(blocks: Sequence[Block]) -> bool:
    """Return whether every block is the whole of a real array."""
    if type(blocks) is Blocks:
        return True
    return not any(block.is_complex or block.places is not None for block in blocks)


def selected(name: str, only: Sequence[str], skip: Sequence[str]) -> bool:
    """Return whether the patterns leave the block `name` in the check."""

    def matches(patterns: Sequence[str]) -> bool:
        # Equality first: in a glob, the [3] of "layers[3].bias" means the letter 3.
        return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)

    return (not only or matches(only)) and not matches(skip)


def blocks_of(
    structure: Structure,
    only: Sequence[str],
    skip: Sequence[str],
    entries: Sequence[tuple[str, Any]] = (),
    of: str = ROOT,
) -> Sequence[Block]:
    """Choose the leaves that are checked, by name or glob pattern, and lay them out in one vector.

    Of leaves that `entries` names, by pattern, what its mask or index chooses. TypeError for a
    chosen leaf that is not floating point, ValueError for a pattern that matches none; both call
    the structure `of`.
    """
    names = structure.names
    of_entries = tuple(pattern for pattern, _ in entries)
    for option, patterns in (("only", only), ("skip", skip), ("entries", of_entries)):
        for pattern in patterns:
            if not any(selected(name, (pattern,), ()) for name in names):
                raise ValueError(
                    f"{option}: {quoted(pattern)} matches no block of {of}; they are "
                    f"{listing(names) or 'none'}"
                )
    which: Sequence[int] = range(len(names))
    if only or skip:
        which = [k for k in which if selected(names[k], only, skip)]
    if len(which) > MANY and not entries:
        named = names if len(which) == len(names) else [names[k] for k in which]
        values = structure.values if named is names else [structure.values[k] for k in which]
        if {*map(type, values)} == {np.ndarray} and all(v.dtype is DOUBLE for v in values):
            # Of each shape one tuple is kept: each of them would be looked at by the collector.
            shapes = dict[tuple[int, ...], tuple[int, ...]]()
            own = [shapes.setdefault(shape, shape) for shape in map(_shape, values)]
            return Blocks(named, own, [*accumulate([value.size for value in values])], which)
    blocks, start = list[Block](), 0
    for position in which:
        leaf = structure.leaves[position]
        value = checked_value(leaf, structure.leaves, skip, of)
        is_complex = value.dtype.kind == "c"
        size = value.size * (2 if is_complex else 1)
        dtype = value.real.dtype
        block = Block(leaf.name, value.shape, dtype, is_complex, start, start + size, position)
        for pattern, index in entries:
            if selected(leaf.name, (pattern,), ()):
                block = _chosen(block, index)
        blocks.append(block)
        start = block.stop
    return tuple(blocks)


def _chosen(block: Block, index: Any) -> Block:
    """Return a block of the entries that a mask or an index chooses."""
    kind = foreign_kind(index)
    own = read(kind, index, "entries") if kind else index
    own = np.asarray(own, dtype=None if own else int) if isinstance(own, list) else own
    shape = getattr(own, "shape", ())
    if getattr(getattr(own, "dtype", None), "kind", "") == "b" and shape != block.shape:
        raise ValueError(
            f"entries: the mask of {brief(block.name)} has shape {shape}, but the block has "
            f"{block.shape}; shapes must be equal"
        )
    mask = np.zeros(block.shape, dtype=bool)
    try:
        mask[own] = True
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"entries: {brief(block.name)} of shape {block.shape} can't be indexed by "
            f"{quoted(index)} ({error})"
        ) from None
    chosen = np.flatnonzero(mask)
    if not chosen.size:
        raise ValueError(
            f"entries: nothing of {brief(block.name)} is chosen; leave the block out with "
            f"skip={block.name!r}"
        )
    places = np.stack([2 * chosen, 2 * chosen + 1], 1).ravel() if block.is_complex else chosen
    stop = block.start + places.size
    return replace(block, shape=chosen.shape, stop=stop, places=places, whole=block.shape)


def checked_value(
    leaf: Leaf, leaves: Sequence[Leaf], skip: Sequence[str] = (), of: str = ROOT
) -> np.ndarray[Any, Any]:
    """Return a parameter as an array of a floating-point type, or say why it can't be one."""
    # Of `leaves`, those of the whole structure, which is called `of`, an error names all that
    # `skip` would have to name.
    value = leaf.value
    if type(value) is np.ndarray and value.dtype.kind in "fc":  # nearly always
        return leaf.array
    alone = len(leaves) == 1 and leaf.name == ROOT
    name = of if alone else brief(leaf.name)
    without = "" if alone else f", or leave the block out with skip={name!r}"
    if is_masked(value):
        raise TypeError(
            f"{name} is a masked array: what a masked entry's gradient is, is not defined; "
            f"pass the data without the mask{without}"
        )
    if not _is_parameter(leaf):
        others = [
            brief(other.name)
            for other in leaves
            if not _is_parameter(other) and selected(other.name, (), skip)
        ]
        left_out = [*skip, *others] if skip or len(others) > 1 else name
        ways = [way] if (way := _as_array(value, of)) else []
        if not alone:
            ways.append(f"pass other things in args=, or leave them out with skip={left_out!r}")
        said = (
            f"{name} is {_kind(value)}, but a parameter is an array or a number, in dicts, lists, "
            "tuples and dataclasses"
        )
        raise TypeError("; ".join([said, *ways]))
    array = leaf.array
    if array.dtype.kind not in "fc":
        change = f"{quoted(value)}.0" if type(value) is int else "x.astype(float)"
        change += ", or list(x) of an array of arrays" if array.dtype.kind == "O" else ""
        change = "a float64 copy" if leaf.is_array and type(array) is not type(value) else change
        change = "{name: x[name] for name in x.dtype.names}" if array.dtype.names else change
        raise TypeError(
            f"{name} is {_kind(value)}, which has no small steps to take; pass floating-point "
            f"values ({change}){without}"
        )
    return array


def _is_parameter(leaf: Leaf) -> bool:
    return leaf.numeric and not isinstance(leaf.value, bool)


def runs(blocks: Sequence[Block]) -> Iterator[range]:
    """Yield the numbers of blocks in a row that have `CHUNK` coordinates or less, or of one block.

    What is computed for small blocks is so for many at once, and of large ones no copy is made.
    """
    ends = ends_of(blocks)
    if len(ends) == 1:
        yield range(1)
        return
    first = start = 0
    while first < len(ends):
        position = max(bisect_right(ends, start + CHUNK, first), first + 1)
        yield range(first, position)
        first, start = position, ends[position - 1]


def narrow(blocks: Sequence[Block]) -> bool:
    """Return whether a block is of a type that is narrower than float64."""
    return type(blocks) is not Blocks and any(block.dtype.itemsize < 8 for block in blocks)


def joint(parts: Sequence[Array]) -> Array:
    """Return some arrays as one vector, and a single vector as it is."""
    return parts[0].ravel() if len(parts) == 1 else np.concatenate(parts, axis=None)


def _as_array(value: Any, of: str) -> str:
    """Return how to make arrays of a value that is none; nothing where that is not known."""
    if method := _own_way(value):
        return f"pass its .{method}()"
    if isinstance(value, FunctionType) and of == ROOT:
        return "the order is func, grad, params"
    if isinstance(value, (Number, Decimal)):
        return "pass float(x)"
    if isinstance(value, Mapping):
        return f"pass dict({of})"
    held = getattr(value, "__dict__", {})
    if isinstance(held, dict) and any(isinstance(item, np.ndarray) for item in held.values()):
        return (
            "of an object that holds arrays, a layer, pass vars(layer), with in_place=True and "
            "functions without params"
        )
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, set, frozenset)):
        return f"pass list({of}), or dict({of}) of names with arrays"
    return ""


def _own_way(value: Any) -> str:
    """Return the method by which a table or a sparse matrix makes an array of itself."""
    return next((way for way in ("to_numpy", "toarray") if callable(getattr(value, way, None))), "")


def _kind(value: Any) -> str:
    if hasattr(value, "dtype") and kind_of(value) is not None:
        return f"{type(value).__name__} of dtype {value.dtype}"
    return type(value).__name__


def vector_of(structure: Structure, blocks: Sequence[Block]) -> np.ndarray[Any, Any]:
    """Return the coordinates of all blocks as one vector: float64, or longdouble if any is."""
    parts = [coordinates(structure.leaves[b.leaf].array)[b.within] for b in blocks]
    wide = np.result_type(np.float64, *{part.dtype for part in parts})
    return np.concatenate([part.astype(wide, copy=False) for part in parts] or [np.empty(0)])


def to_structure(
    structure: Structure, blocks: Sequence[Block], vector: np.ndarray[Any, Any]
) -> Any:
    """Put a vector, shape (n,), laid out by `blocks`, into the containers of the parameters."""
    # Arrays are new and float64, or complex128 where the parameter is complex; numbers are
    # Python's; leaves that were not checked are None.
    values: list[Any] = [None] * len(structure.leaves)
    for block in blocks:
        array = _whole(block, np.array(vector[block.window]))
        values[block.leaf] = array if structure.leaves[block.leaf].is_array else array.item()
    return structure.rebuild(values)


def _whole(block: Block, part: Array) -> Array:
    """Return the coordinates of a block as an array of its leaf's shape, zeros in the others."""
    if block.places is not None:
        full = np.zeros(math.prod(block.leaf_shape) * (2 if block.is_complex else 1), part.dtype)
        full[block.places] = part
        part = full
    return (complex_of(part) if block.is_complex else part).reshape(block.leaf_shape)


def beside(structure: Structure, blocks: Sequence[Block], vector: Array) -> Any:
    """Put a vector, shape (n,), into the containers, as what goes beside the values: a tangent."""
    # Arrays are of the values' own kinds and dtypes: products of the two then stay in that type.
    # What is in no block is zero, or as it is where it is no number.
    values = [
        leaf.kind.beside(leaf.value, np.zeros_like(leaf.array)) if leaf.kind else leaf.value
        for leaf in structure.leaves
    ]
    for block in blocks:
        values[block.leaf] = _part_beside(structure.leaves[block.leaf], block, vector)
    return structure.rebuild(values)


def _part_beside(leaf: Leaf, block: Block, vector: Array) -> Any:
    part = _whole(block, np.array(vector[block.window], dtype=block.dtype))
    return leaf.kind.beside(leaf.value, part) if leaf.kind else part


def rounded(structure: Structure, blocks: Sequence[Block], vector: Array) -> Array:
    """Return a vector, shape (n,), as `beside` passes it on: in the types of the blocks."""
    parts = []
    for block in blocks:
        made = _part_beside(structure.leaves[block.leaf], block, vector)
        whole = coordinates(np.asarray(read(kind_of(made), made, block.name)))
        parts.append(whole[block.within])
    return np.concatenate(parts or [np.empty(0)]).astype(vector.dtype)


def position_of(blocks: Sequence[Block], coordinate: int) -> int:
    """Return the number of the block that a coordinate of the flat vector is in."""
    # Empty blocks share their start with the next one, which comes behind them.
    if type(blocks) is Blocks:
        return bisect_right(blocks.ends, coordinate, hi=len(blocks) - 1)
    return bisect_right(blocks, coordinate, key=lambda block: block.start) - 1


def offsets_in(blocks: Sequence[Block], places: Array) -> list[Array]:
    """Return which of some coordinates of the flat vector each block has, from its start on."""
    return [places[(places >= b.start) & (places < b.stop)] - b.start for b in blocks]


def labels(blocks: Sequence[Block]) -> Callable[[int], str]:
    """Return the function from a coordinate of the flat vector to its label."""

    def label(coordinate: int) -> str:
        block = blocks[position_of(blocks, coordinate)]
        return block.label(coordinate - block.start)

    return label


def gradient_vector(
    gradient: Any,
    structure: Structure,
    blocks: Sequence[Block],
    what: str = "the gradient",
    of: str = "params",
    known: Array | None = None,
) -> tuple[Array, tuple[float, ...]]:
    """Match a gradient in params' structure with the blocks; return it, (n,), and their precision.

    It is longdouble if the gradient is, else float64; NaN and infinity stay. The precision of a
    block is the machine epsilon of its type, float64's for Python's numbers and integers. Leaves
    that are not checked may be missing or None. ValueError when names or shapes differ, TypeError
    for a leaf that is no array or number, or complex where the parameter is real; both call it
    `what`, and that which it is matched with `of`. Where it is `known`, bit for bit, that vector is
    returned: there is no second one.
    """
    if blocks and gradient is None:
        wanted = f"the structure of {of}"
        wanted = "params' structure (is a return missing?)" if of == ROOT else wanted
        raise TypeError(f"{what} is None; it must have {wanted}")
    values = structure.values_of(gradient)
    if values is None:
        other = flatten(gradient, what)
        found = dict(zip(other.names, other.values, strict=True))
        _refuse_pair(gradient, found, blocks, what)
        _match_names(set(found), structure, blocks, what, of)
        values = [found[name] for name in names_of(blocks)]
    elif len(blocks) < len(values):
        values = [values[k] for k in leaves_of(blocks)]
    if len(blocks) > MANY and _plainly_match(values, blocks):
        parts, precision, wide = values, (EPS,) * len(blocks), DOUBLE
    else:
        parts, precision = _one_by_one(values, blocks, what, of)
        types = {part.dtype for part in parts}
        wide = DOUBLE if types == {DOUBLE} else np.result_type(np.float64, *types)
    if known is not None and _holds(known, parts, blocks, wide):
        return known, precision
    return np.concatenate(parts or [np.empty(0)], axis=None, dtype=wide), precision


_shape = attrgetter("shape")


def _plainly_match(values: Sequence[Any], blocks: Sequence[Block]) -> bool:
    """Return whether all are arrays of numpy's, of float64 and of the blocks' own shapes."""
    # Nearly always, and there may be tens of thousands: no function is called for each.
    return (
        {*map(type, values)} == {np.ndarray}
        and {value.dtype for value in values} == {DOUBLE}
        and all(map(eq, map(_shape, values), shapes_of(blocks)))
        and are_plain(blocks)
    )


def _one_by_one(
    values: Sequence[Any], blocks: Sequence[Block], what: str, of: str
) -> tuple[list[Array], tuple[float, ...]]:
    """Return the coordinates of a gradient in each block, and their precision."""
    parts, precision = [], []
    for value, block in zip(values, blocks, strict=True):
        plain = type(value) is np.ndarray and value.dtype is DOUBLE and value.shape == block.shape
        if plain and block.places is None and not block.is_complex:  # most of them
            parts.append(value.ravel())
            precision.append(EPS)
        else:
            leaf = Leaf(block.name, value, kind_of(value))
            parts.append(coordinates(_matched(leaf, block, what, of))[block.within])
            precision.append(leaf.eps)
    return parts, tuple(precision)


def _holds(
    known: Array, parts: Sequence[Array], blocks: Sequence[Block], wide: np.dtype[Any]
) -> bool:
    """Return whether a vector has the same bits as what is in its parts."""
    ends = [0, *ends_of(blocks)]

    def equals(run: range) -> bool:
        new = joint(parts[run.start : run.stop]).astype(wide, copy=False)
        return same_bits(known[ends[run.start] : ends[run.stop]], new)

    return all(map(equals, runs(blocks)))


def _refuse_pair(
    gradient: Any, found: Mapping[str, Any], blocks: Sequence[Block], what: str
) -> None:
    """Raise TypeError for what looks like (J, gradient)."""
    if not (isinstance(gradient, tuple) and len(gradient) == 2):
        return
    first = flatten(gradient[0], what).leaves
    if len(first) != 1 or not first[0].numeric or first[0].size != 1:
        return
    if any(name not in found for name in names_of(blocks)):
        raise TypeError(
            f"{what} is a tuple of a number and something else; if a function returns "
            "(J, gradient), pass it as func, with grad=True"
        )


def _match_names(
    found: set[str], structure: Structure, blocks: Sequence[Block], what: str, of: str
) -> None:
    known, wanted = {*structure.names}, names_of(blocks)
    missing = [name for name in wanted if name not in found]
    extra = sorted(found - known)
    if not missing and not extra:
        return
    if kinds := _kinds(missing, extra, known, of):
        raise ValueError(f"{what} does not match {of}: {kinds}")
    said = [f"it has no {listing(missing)}"] if missing else []
    said += [f"{of} has no {listing(extra)}"] if extra else []
    hint = ""
    for prefix in ("d", "grad_", "g_", "d_"):
        if missing and all(prefix + name in found for name in missing):
            hint = (
                "; give it params' names, for instance "
                f"{{name: grads[{prefix!r} + name] for name in params}}"
            )
            break
    if not hint and missing and not extra:
        hint = (
            "; return one for each parameter, zeros where func does not depend on it, or leave it "
            f"out with skip={brief(missing[0])!r}"
        )
    hint = hint or f"; return the structure of {of}"
    if not known:
        said, hint = [f"{of} holds no array and no number"], ""
    raise ValueError(f"{what} does not match {of}: {' and '.join(said)}{hint}")


def _kinds(missing: Sequence[str], extra: Sequence[str], known: set[str], of: str) -> str:
    """Say where a gradient is a list, has names or is one array, and params are otherwise."""
    if not extra or not missing:
        return ""
    if known == {missing[0]} and all(name.startswith(f"{missing[0]}[") for name in extra):
        name = of if missing[0] == ROOT else brief(missing[0])
        how = "the one in it" if len(extra) == 1 else "an array"
        return f"it is a list or tuple where {name} is an array or a number: return {how}"
    if len(extra) == 1 and all(name.startswith(f"{extra[0]}[") for name in missing):
        name = of if extra[0] == ROOT else brief(extra[0])
        return (
            f"it is an array or a number where {name} is a list: pass np.array(x0) for a list of "
            "numbers x0, or return a list"
        )
    if extra == [ROOT]:
        return f"it is one array or number where {of} has {listing(missing)}: return each by name"
    if known == {ROOT}:
        return f"it has names ({listing(extra)}) where {of} is one array or number: return that"
    listed = [all(_POSITION.match(name) for name in names) for names in (extra, known)]
    if listed == [True, False]:
        said = f"it is a list or tuple where {of} has names: return"
        if len(missing) == len(extra) and all(name.isidentifier() for name in missing):
            return f"{said} dict(zip({list(missing)}, gradient))"
        return f"{said} each by name ({listing(missing)})"
    if listed == [False, True]:
        return f"it has names where {of} is a list or tuple: return a list in that order"
    return ""


_POSITION = re.compile(re.escape(ROOT) + r"\[\d+\]")


def _matched(leaf: Leaf, block: Block, what: str, of: str) -> Array:
    """Return a leaf of a gradient as an array that has a block's shape, and is real if it is."""
    plain = type(leaf.value) is np.ndarray
    # Of a single array the block has the name of all parameters, whatever it is matched with.
    named = what if block.name == ROOT != of else f"{what} of {brief(block.name)}"
    masked = is_masked(leaf.value)
    if not plain and (not _is_parameter(leaf) or masked):
        method = "filled" if masked else _own_way(leaf.value)
        how = f": return its .{method}({'0' if masked else ''})" if method else ""
        raise TypeError(
            f"{named} is {type(leaf.value).__name__}; it must be "
            f"{'an array of shape ' + str(block.leaf_shape) if block.leaf_shape else 'a number'}"
            f"{how}"
        )
    value = leaf.array if plain else read(leaf.kind, leaf.value, named)
    if value.dtype.kind not in "fciu":
        how = ": return it .astype(float)" if value.dtype.kind in "Ob" else ""
        raise TypeError(f"{named} has dtype {value.dtype}; it must be numeric{how}")
    if value.shape != block.leaf_shape:
        raise ValueError(
            f"{named} has shape {value.shape}, but {of} has "
            f"{block.leaf_shape}; shapes must be equal, nothing is broadcast or transposed"
            f"{_shape_hint(value.shape, block.leaf_shape)}"
        )
    if block.is_complex:
        return value.astype(np.result_type(value.dtype, np.complex64))
    if value.dtype.kind == "c":
        raise TypeError(
            f"{named} is complex ({value.dtype}), but the parameter is real; "
            "pass its real part if that is the gradient"
        )
    return value


def _shape_hint(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Say by what two shapes differ: an order of axes, axes of length 1, samples not summed."""
    if given == wanted[::-1]:
        return "; return its transpose, .T"
    if [n for n in given if n != 1] == [n for n in wanted if n != 1]:
        return f"; return it with .reshape({wanted})"
    if len(given) == len(wanted) + 1 and given[1:] == wanted:
        return "; is there one for each sample? sum them over axis 0"
    return "" if given else "; a gradient has an entry for each of the parameter's"


_INDEX = re.compile(r"(?:\[([0-9, ]*)\])?(\.real|\.imag)?")


def coordinate_of(blocks: Sequence[Block], label: str) -> int | None:
    """Return the coordinate with a label, or None if there is none (any more)."""
    for block in blocks:
        match = _INDEX.fullmatch(label, len(block.name)) if label.startswith(block.name) else None
        if match is None:
            continue
        index = tuple(int(part) for part in (match[1] or "").replace(",", " ").split())
        try:
            entry = int(np.ravel_multi_index(index, block.leaf_shape)) if index else 0
        except (ValueError, TypeError):  # of another shape, or beyond all integers
            continue
        offset = 2 * entry + (match[2] == ".imag") if block.is_complex else entry
        if block.places is not None:
            offset = int(np.searchsorted(block.places, offset))
        if offset < block.size and block.label(offset) == label:
            return block.start + offset
    return None
