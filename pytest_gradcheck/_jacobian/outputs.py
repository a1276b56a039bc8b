"""What func returns, laid out in one vector, and the pairs of its blocks with the parameters'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._evaluate.call import ComplexValueError, bits_of
from .._params.arrays import eps_of
from .._params.layout import Block, labels
from .._params.structure import ROOT, Leaf, Structure, flatten
from .._quoting import brief, listing

Array = np.ndarray[Any, Any]

OUTPUT = "output"
"""What an output without a name is called."""


def output_name(name: str, called: str = OUTPUT) -> str:
    """Return the name of a leaf of what func returned: ``output``, ``output[1]``, ``residual``."""
    rest = name[len(ROOT) :]
    return called + rest if name.startswith(ROOT) and rest[:1] in ("", "[") else name


class Outputs:
    """What func returns, as one vector: its layout is learnt from the first value that is read.

    An output without a name is called `called`; with `beside`, func returns its outputs and a
    vector that goes behind them.  The structure holds functions made on the spot, and stays at
    home when this is pickled.
    """

    def __init__(self, called: str = OUTPUT, *, beside: bool = False) -> None:
        self.called, self.beside = called, beside
        self.structure = _NOTHING
        self.leaves: list[tuple[str, tuple[int, ...]]] = []
        self.blocks: tuple[Block, ...] = ()
        self.precision: tuple[float, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "structure": _NOTHING}

    @property
    def size(self) -> int:
        """How many outputs."""
        return self.blocks[-1].stop if self.blocks else 0

    def read(self, value: Any) -> Array:
        """Return what func returned as a vector, shape (m,), and what is beside it."""
        value, *rest = value if self.beside else (value,)
        first = not self.blocks
        if first:
            self._learn(value)
        vector = output_vector(value, self)
        if first and not np.isfinite(vector).all():
            k = int(np.argmin(np.isfinite(vector)))
            self.blocks, label = (), labels(self.blocks)(k)
            raise ValueError(
                f"func returned {brief(label)} = {vector[k]} at params; outputs must be finite "
                "to be differenced"
            )
        return np.concatenate([vector, *rest])

    def bits(self, value: Any) -> list[int | None]:
        """Return the bits of precision of each block of outputs that is narrower than float64."""
        return [bits_of(eps) for eps in precision_of(value[0] if self.beside else value)]

    def _learn(self, value: Any) -> None:
        structure = flatten(value, "what func returned")
        blocks, start = list[Block](), 0
        for position, leaf in enumerate(structure.leaves):
            name = output_name(leaf.name, self.called)
            array = _real(leaf, name)
            dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
            stop = start + array.size
            blocks.append(Block(name, array.shape, dtype, False, start, stop, position))
            start = stop
        if not start:
            raise ValueError(
                "func returned nothing to differentiate; it must return an array or a number, or "
                "containers of them (is a return missing?)"
            )
        self.leaves = [(structure.leaves[block.leaf].name, block.shape) for block in blocks]
        self.structure, self.blocks = structure, tuple(blocks)
        self.precision = precision_of(value)


def _rebuilt(_: Any) -> None:
    """Rebuild nothing: a lambda could not be pickled."""


_NOTHING = Structure((), _rebuilt)


def _real(leaf: Leaf, name: str) -> Array:
    value, name = leaf.value, brief(name)
    try:
        array = leaf.array if leaf.numeric else np.asarray(value)
    except TypeError as error:  # a tensor of a type that numpy can't take is told so
        if leaf.numeric:
            raise TypeError(f"func returned {name}: {error}") from error
        array = np.asarray(None)
    except Exception:  # what a foreign object's conversion raises is its own business
        array = np.asarray(None)
    if array.dtype.kind == "c":
        raise ComplexValueError(
            f"func returned a complex {name} ({array.dtype}); outputs must be real: return real "
            "and imaginary parts, numpy.stack([z.real, z.imag])"
        )
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"func returned {name} of type {type(value).__name__}; an output is an array or a "
            "number, in dicts, lists, tuples and dataclasses (pass has_aux=True if func returns "
            "(outputs, anything))"
        )
    return array


def output_vector(value: Any, outputs: Outputs, what: str = "func") -> Array:
    """Return what `what` returned as one vector, shape (m,), in the layout of `outputs`.

    TypeError is raised when names or shapes are not those of the outputs at the parameters.
    """
    leaves = flatten(value).leaves
    shapes = [(leaf.name, np.shape(leaf.value)) for leaf in leaves]
    if shapes != outputs.leaves:
        raise TypeError(
            f"{what} returned {_told(shapes)}, but func's outputs are {_told(outputs.leaves)} at "
            "the parameters; names and shapes must be equal"
        )
    parts = [
        _real(leaf, block.name).reshape(-1)
        for leaf, block in zip(leaves, outputs.blocks, strict=True)
    ]
    wide = np.result_type(np.float64, *{part.dtype for part in parts})
    return np.concatenate([part.astype(wide) for part in parts])


def _told(shapes: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    return listing([f"{output_name(name)} of shape {shape}" for name, shape in shapes]) or "nothing"


def precision_of(value: Any) -> tuple[float, ...]:
    """Return the machine epsilon of each leaf of a derivative: float64's for integers."""
    return tuple(
        leaf.eps if leaf.numeric else eps_of(np.asarray(leaf.value).dtype)
        for leaf in flatten(value).leaves
    )


@dataclass(frozen=True, kw_only=True)
class PairBlock(Block):
    """One block of outputs by one block of parameters, in labels ``residual[4] / W[2, 0]``."""

    output: Block
    param: Block

    def label(self, coordinate: int) -> str:
        """Return the name of an entry of the block."""
        k, i = divmod(coordinate, max(self.param.size, 1))
        return f"{self.output.label(k)} / {self.param.label(i)}"


@dataclass(frozen=True, eq=False, kw_only=True)
class SparsePair(PairBlock):
    """The stored entries of one such pair: `rows` and `columns` in it, shape (size,).

    A column of -1 stands for none.
    """

    rows: Array
    columns: Array

    def index(self, coordinate: int) -> tuple[int, ...]:
        """Return the multi-index of an entry in the whole pair."""
        k, i = int(self.rows[coordinate]), int(self.columns[coordinate])
        return self.output.index(k) + self.param.index(i)

    def label(self, coordinate: int) -> str:
        """Return the name of an entry."""
        k, i = int(self.rows[coordinate]), int(self.columns[coordinate])
        return f"{self.output.label(k)} / {self.param.label(i) if i >= 0 else self.param.name}"


def sparse_pair(
    pair: PairBlock, start: int, param: Block, rows: Array, columns: Array
) -> SparsePair:
    """Return entries of a pair, from `start` on; `rows` and `columns` are those of all blocks."""
    within = np.where(columns < 0, -1, columns - param.start)
    return SparsePair(
        pair.name,
        (rows.size,),
        pair.dtype,
        False,
        start,
        start + rows.size,
        pair.leaf,
        output=pair.output,
        param=param,
        rows=rows - pair.output.start,
        columns=within,
    )


def sparse_pairs(
    outputs: Sequence[Block], params: Sequence[Block], rows: Array, columns: Array
) -> tuple[tuple[SparsePair, ...], Array]:
    """Lay out entries at `rows` and `columns`, shape (nnz,), as `pair_blocks` does a matrix.

    Returned is, too, their order in that layout, shape (nnz,).
    """
    output_of = np.searchsorted([block.start for block in outputs], rows, side="right") - 1
    param_of = np.searchsorted([block.start for block in params], columns, side="right") - 1
    number = output_of * len(params) + param_of
    order = np.lexsort((columns, rows, number))
    ends = np.searchsorted(number[order], np.arange(len(outputs) * len(params) + 1)).tolist()
    blocks = list[SparsePair]()
    for k, pair in enumerate(pair_blocks(outputs, params)):
        mine = order[ends[k] : ends[k + 1]]
        blocks.append(
            sparse_pair(pair, ends[k], params[pair.leaf % len(params)], rows[mine], columns[mine])
        )
    return tuple(blocks), order


def in_pairs(outputs: Sequence[Block], params: Sequence[Block], matrix: Array) -> Array:
    """Return a matrix (m, n) as the vector of its pairs of blocks."""
    parts = [matrix[o.window, p.window].ravel() for o in outputs for p in params]
    return np.concatenate(parts or [np.empty(0)])


def pair_blocks(outputs: Sequence[Block], params: Sequence[Block]) -> tuple[PairBlock, ...]:
    """Lay out a Jacobian: one block for each pair, outputs outermost."""
    blocks, start = list[PairBlock](), 0
    for output in outputs:
        for param in params:
            stop = start + output.size * param.size
            blocks.append(
                PairBlock(
                    f"{output.name} / {param.name}",
                    output.coordinate_shape + param.coordinate_shape,
                    param.dtype,
                    False,
                    start,
                    stop,
                    len(blocks),
                    output=output,
                    param=param,
                )
            )
            start = stop
    return tuple(blocks)
