"""What func returns as one vector, and the user's Jacobian as a matrix in that layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._constants import EPS
from .._evaluate.call import ComplexValueError, bits_of
from .._params.arrays_and_structure import (
    ROOT,
    Array,
    Leaf,
    Structure,
    eps_of,
    flatten,
    foreign_kind,
    is_masked,
    native,
    read,
)
from .._params.layout import Block, labels
from .._quoting import brief, listing

OUTPUT = "output"
"""What an output without a name is called."""


def output_name(name: str, called: str) -> str:
    """Return the name of a leaf of what func returned: ``output``, ``output[1]``, ``residual``."""
    rest = name[len(ROOT) :]
    return called + rest if name.startswith(ROOT) and rest[:1] in ("", "[") else name


class Outputs:
    """What func returns, as one vector: its layout is learnt from the first value that is read.

    An output without a name is called `called`; with `beside`, func returns its outputs and a
    vector that goes behind them.  Those whose names are in `order` come in this one.  The structure
    holds functions made on the spot, and stays at home when this is pickled.
    """

    def __init__(
        self, called: str = OUTPUT, *, beside: bool = False, order: Sequence[str] = ()
    ) -> None:
        self.called, self.beside = called, beside
        # The outputs of a gradient have the names of params.
        self.who = "func" if called == OUTPUT else "grad"
        self.order = {name: k for k, name in enumerate(order)}
        self.structure = _NOTHING
        self.leaves: list[tuple[str, tuple[int, ...]]] = []
        self.blocks: tuple[Block, ...] = ()
        self.precision: tuple[float, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "structure": _NOTHING}

    @property
    def size(self) -> int:
        """How many outputs."""
        return self.blocks[-1].stop

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
                f"{self.who} returned {brief(label)} = {vector[k]} at params; outputs must be "
                "finite to be differenced"
            )
        return np.concatenate([vector, *rest])

    def bits(self, value: Any) -> list[int | None]:
        """Return the bits of precision of each block of outputs that is narrower than float64."""
        return [bits_of(eps) for eps in precision_of(value[0] if self.beside else value, self)]

    def _learn(self, value: Any) -> None:
        structure = flatten(value, "what func returned")
        blocks, start = list[Block](), 0
        last = len(self.order)
        for position, leaf in sorted(
            enumerate(structure.leaves), key=lambda pair: self.order.get(pair[1].name, last)
        ):
            name = output_name(leaf.name, self.called)
            array = _real(leaf, name, self.who)
            dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
            stop = start + array.size
            blocks.append(Block(name, array.shape, dtype, False, start, stop, position))
            start = stop
        if not start:
            raise ValueError(
                f"{self.who} returned nothing to differentiate; it must return an array or a "
                "number, or containers of them (is a return missing?)"
            )
        self.leaves = [(structure.leaves[block.leaf].name, block.shape) for block in blocks]
        self.structure, self.blocks = structure, tuple(blocks)
        self.precision = precision_of(value, self)


_NOTHING = Structure([], [], [], (tuple, 0, 0))


def _real(leaf: Leaf, name: str, who: str) -> Array:
    """Return an output that `who` returned as a real array; TypeError for what is none."""
    value, name = leaf.value, brief(name)
    try:
        array = leaf.array if leaf.numeric else np.asarray(value)
    except TypeError as error:  # a tensor of a type that numpy can't take is told so
        if leaf.numeric:
            raise TypeError(f"{who} returned {name}: {error}") from error
        array = np.asarray(None)
    except Exception:  # what a foreign object's conversion raises is its own business
        array = np.asarray(None)
    if array.dtype.kind == "c":
        raise ComplexValueError(
            f"{who} returned a complex {name} ({array.dtype}); outputs must be real: return real "
            "and imaginary parts, numpy.stack([z.real, z.imag])"
        )
    if array.dtype.kind not in "fiu":
        if isinstance(value, np.ndarray) and array.dtype.kind != "O":
            raise TypeError(
                f"{who} returned {name} of dtype {array.dtype}; it must be real and numeric"
            )
        advice = " (pass has_aux=True if func returns (outputs, anything))" if who == "func" else ""
        raise TypeError(
            f"{who} returned {name} of type {type(value).__name__}; an output is an array or a "
            f"number, in dicts, lists, tuples and dataclasses{advice}"
        )
    return array


def output_vector(value: Any, outputs: Outputs, what: str = "") -> Array:
    """Return what `what` returned as one vector, shape (m,), in the layout of `outputs`."""
    # TypeError is raised when names or shapes are not those of the outputs at the parameters.
    what, leaves = what or outputs.who, _in_order(value, outputs)
    parts = [_real(leaf, output_name(leaf.name, outputs.called), what) for leaf in leaves]
    shapes = [(leaf.name, part.shape) for leaf, part in zip(leaves, parts, strict=True)]
    if shapes != outputs.leaves:
        those = "func's outputs are" if outputs.who == "func" else "the gradient is"
        raise TypeError(
            f"{what} returned {_told(shapes, outputs.called)}, but {those} "
            f"{_told(outputs.leaves, outputs.called)} at the parameters; names and shapes must be "
            "equal"
        )
    wide = np.result_type(np.float64, *{part.dtype for part in parts})
    return np.concatenate([part.astype(wide).reshape(-1) for part in parts])


def _in_order(value: Any, outputs: Outputs) -> Sequence[Leaf]:
    """Return the leaves of a value in the order of the outputs: JAX sorts the keys of a dict."""
    order = {name: k for k, (name, _) in enumerate(outputs.leaves)}
    return sorted(flatten(value).leaves, key=lambda leaf: order.get(leaf.name, len(order)))


def _told(shapes: Sequence[tuple[str, tuple[int, ...]]], called: str) -> str:
    told = listing([f"{output_name(name, called)} of shape {shape}" for name, shape in shapes])
    return told or "nothing"


def precision_of(value: Any, outputs: Outputs) -> tuple[float, ...]:
    """Return the machine epsilon of each output of a derivative: float64's for integers."""
    return tuple(
        leaf.eps if leaf.numeric else eps_of(np.asarray(leaf.value).dtype)
        for leaf in _in_order(value, outputs)
    )


@dataclass(unsafe_hash=True, kw_only=True)
class PairBlock(Block):
    """One block of outputs by one block of parameters, in labels ``residual[4] / W[2, 0]``."""

    output: Block
    param: Block

    def place(self, coordinate: int) -> tuple[int, int]:
        """Return an entry's row and column, in the blocks of outputs and of parameters."""
        return divmod(coordinate, max(self.param.size, 1))

    def label(self, coordinate: int) -> str:
        """Return the name of an entry."""
        k, i = self.place(coordinate)
        return f"{self.output.label(k)} / {self.param.label(i) if i >= 0 else self.param.name}"


@dataclass(eq=False, kw_only=True)
class SparsePair(PairBlock):
    """The stored entries of one such pair: `rows` and `columns` in it, shape (size,).

    A column of -1 stands for none.
    """

    rows: Array
    columns: Array

    def place(self, coordinate: int) -> tuple[int, int]:
        """Return an entry's row and column."""
        return int(self.rows[coordinate]), int(self.columns[coordinate])

    def index(self, coordinate: int) -> tuple[int, ...]:
        """Return the multi-index of an entry in the whole pair."""
        k, i = self.place(coordinate)
        return self.output.index(k) + self.param.index(i)


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
    """Lay out entries at `rows` and `columns`, shape (nnz,), as `pair_blocks` does a matrix."""
    # Returned is, too, their order in that layout, shape (nnz,).
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


# The user's Jacobian as a matrix: outputs by parameters, in the layout of the check.
#
# A Jacobian comes dense, in the structure of outputs and parameters or as one matrix; sparse; or as
# an operator with ``matvec`` and ``rmatvec``.  None of the libraries that make these is imported:
# they are told by what they have.


@dataclass(frozen=True)
class Shape:
    """What a Jacobian must look like: structure and checked blocks are those of the parameters.

    Two products with one vector may differ by `nondet_tol`.
    """

    outputs: Outputs
    structure: Structure
    blocks: Sequence[Block]
    nondet_tol: float = 0.0

    @property
    def full(self) -> tuple[int, int]:
        """Outputs by parameters, those that are left out included."""
        return self.outputs.size, sum(leaf.size for leaf in self.structure.leaves)

    @property
    def whole(self) -> tuple[int, ...] | None:
        """Output by parameter, where there is one of each."""
        if len(self.outputs.blocks) != 1 or len(self.structure.leaves) != 1:
            return None
        return (*self.outputs.blocks[0].shape, *np.shape(self.structure.leaves[0].value))

    def columns(self) -> Array:
        """Return which columns of a whole matrix are checked, in order."""
        ends = np.cumsum([0, *(leaf.size for leaf in self.structure.leaves)])
        leaves = [np.arange(ends[b.leaf], ends[b.leaf + 1]) for b in self.blocks]
        parts = [leaf[b.within] for leaf, b in zip(leaves, self.blocks, strict=True)]
        return np.concatenate(parts or [np.empty(0, dtype=int)])


@dataclass(frozen=True)
class Matrix:
    """A Jacobian that was matched with outputs and parameters, shape (m, n); NaN and infinity stay.

    `dense`, shape (m, n), is float64, or longdouble if it was; `precision` has the machine epsilon
    of each pair of blocks, outputs outermost; `remark` says how the Jacobian contradicts itself, if
    it does; `jitter` is by how much two products with one vector were seen to differ. `at` returns
    `dense` elsewhere, at θ and a shift, if what made it can be called, and `wider` as `Analytic`.
    """

    dense: Array
    precision: tuple[float, ...]
    remark: str = ""
    jitter: float = 0.0
    at: Callable[[Array], Array] | None = None
    wider: Callable[[Array | None], Array] | None = None


@dataclass(frozen=True, eq=False)
class Entries:
    """The stored entries of a sparse Jacobian, row by row: places and values of shape (nnz,).

    `columns` are numbers of checked parameters, `eps` is the machine epsilon; what is stored twice
    is added up.
    """

    rows: Array
    columns: Array
    values: Array
    eps: float


def is_sparse(value: Any) -> bool:
    """Return whether a value is a sparse matrix or array, of scipy or alike."""
    return hasattr(value, "toarray") and hasattr(value, "nnz")


def entries_of(jac: Any, shape: Shape, what: str = "jac") -> Entries:
    """Return what a sparse Jacobian holds, explicit zeros too; errors as those of `matrix_of`."""
    _require_shape(tuple(jac.shape), shape, what)
    csr = jac.tocsr(copy=True)[:, shape.columns()]
    csr.sum_duplicates()
    held = csr.tocoo()
    data = np.asarray(held.data)
    _require_real(data, what)
    rows, columns = held.row.astype(np.intp), held.col.astype(np.intp)
    values = data.astype(np.result_type(data.dtype, np.float64))
    return Entries(rows, columns, values, eps_of(data.dtype))


def is_operator(value: Any) -> bool:
    """Return whether a value is a linear operator: `matvec`, and no entries."""
    return callable(getattr(value, "matvec", None)) and not hasattr(value, "__array__")


def matrix_of(jac: Any, shape: Shape, what: str = "jac") -> Matrix:
    """Match a Jacobian with outputs and parameters; an error calls it `what`."""
    # TypeError or ValueError is raised when it is none, or of other names or shapes, with both.
    if jac is None and shape.blocks:
        raise TypeError(
            f"{what} is None; it must be the matrix, or have outputs' structure of params' "
            f"(does {what} lack a return?)"
        )
    _require_unmasked(jac, what)
    if is_operator(jac):
        return _of_operator(jac, shape, what)
    if is_sparse(jac):
        _require_shape(tuple(jac.shape), shape, what)
        jac = jac.toarray()
    if (kind := foreign_kind(jac)) is not None:
        own = kind.eps(jac)
        found = matrix_of(read(kind, jac, what), shape, what)
        return replace(found, precision=tuple(max(own, eps) for eps in found.precision))
    single = shape.whole is not None
    if isinstance(jac, (list, tuple)) and single:
        array = _spelt(jac)
        # Of params that are a list or tuple of one array, it may be one, too.
        own = array is None or array.shape not in (shape.whole, shape.full)
        if own and [leaf.name for leaf in flatten(jac, what).leaves] == _names(shape):
            return _of_structure(jac, shape, what)
        jac = jac if array is None else array
    if not isinstance(jac, (np.ndarray, np.generic, int, float)):
        return _of_structure(jac, shape, what)
    array = np.asarray(jac)
    if array.shape == shape.whole:
        return _cut(array.reshape(shape.full), shape, what)
    if array.ndim == 2 or single:
        _require_shape(array.shape, shape, what)
        return _cut(array, shape, what)
    return _of_structure(jac, shape, what)


def _spelt(value: Any) -> Array | None:
    """Return the array that a list of numbers spells, None where it spells none."""
    try:
        array = np.asarray(value)
    except Exception:  # of rows of several lengths, or a tensor that refuses
        return None
    return array if array.dtype.kind in "fiu" else None


def _require_shape(found: tuple[int, ...], shape: Shape, what: str) -> None:
    m, n = shape.full
    if found == (m, n):
        return
    wanted = f"({m}, {n})" if shape.whole in (None, (m, n)) else f"({m}, {n}) or {shape.whole}"
    hint = ": return its transpose, .T" if found == (n, m) else "; nothing is broadcast"
    raise ValueError(
        f"{what} has shape {found}, but {m} outputs and {n} parameters need {wanted}, outputs "
        f"first{hint}"
    )


def _cut(given: Array, shape: Shape, what: str) -> Matrix:
    array = native(given)
    _require_real(array, what)
    precision = (eps_of(given.dtype),) * (len(shape.outputs.blocks) * len(shape.blocks))
    columns = shape.columns()
    chosen = array if columns.size == array.shape[1] else array[:, columns]
    return Matrix(chosen.astype(np.result_type(array.dtype, np.float64)), precision)


def _require_real(array: Array, what: str) -> None:
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{what} has dtype {array.dtype}; it must be real and numeric")


def _require_unmasked(value: Any, what: str) -> None:
    if is_masked(value) and np.any(value.mask):
        raise TypeError(f"{what} is a masked array; it must be an array: return its .filled(0)")


def _names(shape: Shape) -> list[str]:
    """Return the names of the leaves of a Jacobian in the outputs' structure of params'."""
    params, outputs = shape.structure, shape.outputs
    numbers = [0.0] * len(params.leaves)
    template = flatten(outputs.structure.rebuild([params.rebuild(numbers)] * len(outputs.blocks)))
    return [leaf.name for leaf in template.leaves]


def _of_structure(jac: Any, shape: Shape, what: str) -> Matrix:
    """Match a Jacobian in the outputs' structure of the parameters' structure."""
    params, outputs = shape.structure, shape.outputs
    found = {leaf.name: leaf for leaf in flatten(jac, what).leaves}
    names = _names(shape)
    checked = {block.leaf for block in shape.blocks}
    needed = [name for j, name in enumerate(names) if j % len(params.leaves) in checked]
    missing = [name for name in needed if name not in found]
    extra = sorted(set(found) - set(names))
    if missing or extra:
        said = [f"it has no {listing(missing)}"] if missing else []
        said += [f"outputs and params have no {listing(extra)}"] if extra else []
        raise ValueError(
            f"{what} does not match: {' and '.join(said)}; it has outputs' structure, and in "
            "place of each output params' structure; of a list of rows pass np.array(rows)"
        )
    rows, precision = [], list[float]()
    for output in outputs.blocks:
        row = []
        for block in shape.blocks:
            name = names[output.leaf * len(params.leaves) + block.leaf]
            leaf, wanted = found[name], output.shape + block.leaf_shape
            _require_unmasked(leaf.value, f"{what} of {brief(output.name)} by {brief(block.name)}")
            array = leaf.array if leaf.numeric else np.asarray(leaf.value)
            _require_real(array, f"{what} of {brief(output.name)} by {brief(block.name)}")
            if array.shape != wanted:
                raise ValueError(
                    f"{what} of {brief(output.name)} by {brief(block.name)} has shape "
                    f"{array.shape}, but must have {wanted}: the output's, then the parameter's; "
                    "nothing is broadcast or transposed"
                )
            whole = array.reshape(output.size, math.prod(block.leaf_shape))
            row.append(whole[:, block.within])
            precision.append(leaf.eps if leaf.numeric else EPS)
        rows.append(np.concatenate(row, axis=1))
    dense = np.concatenate(rows, axis=0)
    return Matrix(dense.astype(np.result_type(dense.dtype, np.float64)), tuple(precision))


def basis(count: int) -> Iterator[Array]:
    """Yield the unit vectors, each a new one: a product may return it, or write to it."""
    for i in range(count):
        vector = np.zeros(count)
        vector[i] = 1.0
        yield vector


def product_of(method: Callable[[Array], Any], v: Array, size: int) -> Array:
    """Return an operator's product as a new vector; ValueError if it is not of this size."""
    name = getattr(method, "__name__", "product")
    try:
        vector = np.array(method(v))
    except Exception as error:
        error.add_note(f"gradcheck: raised by the operator's {name}")
        raise
    if vector.size != size:  # it may be a column
        raise ValueError(
            f"the operator's {name} returned an array of shape {vector.shape}; it must return "
            f"{size} numbers"
        )
    return vector.reshape(size)


def adjoint_of(jac: Any, m: int) -> Callable[[Array], Any] | None:
    """Return the `rmatvec` of an operator with m rows, None where it has none: it need not."""
    # scipy's operators have the method in any case, and say so only when it is called.
    try:
        jac.rmatvec(np.zeros(m))
    except (NotImplementedError, AttributeError, TypeError):
        return None
    adjoint: Callable[[Array], Any] = jac.rmatvec
    return adjoint


def _of_operator(jac: Any, shape: Shape, what: str) -> Matrix:
    """Multiply an operator out, and see that `rmatvec` is the adjoint of `matvec`."""
    _require_shape(tuple(jac.shape), shape, what)
    m, n = shape.full
    columns = [product_of(jac.matvec, v, m) for v in basis(n)]
    dense = np.ascontiguousarray(np.array(columns).reshape(n, m).T)
    _require_real(dense, what)
    dtype = getattr(jac, "dtype", None)
    dtype = dtype if isinstance(dtype, np.dtype) and dtype.kind == "f" else np.dtype(np.float64)
    remark = _adjoint_remark(jac, dense[:, shape.columns()], shape)
    return replace(_cut(dense.astype(dtype), shape, what), remark=remark)


def _adjoint_remark(jac: Any, dense: Array, shape: Shape) -> str:
    """Return the sentence that names an entry in which `rmatvec` contradicts `matvec`."""
    m, n = shape.full
    adjoint = adjoint_of(jac, m)
    if adjoint is None:
        return ""
    products = [product_of(adjoint, u, n) for u in basis(m)]
    rows = np.array(products)[:, shape.columns()]
    gap = np.abs(rows - dense)
    largest = max(float(np.abs(dense).max(initial=0.0)), 1e-300)
    bad = ~(gap <= 1e-10 * largest + shape.nondet_tol)
    if not bad.any():
        return ""
    k, i = divmod(int(np.argmax(np.where(np.isnan(gap), np.inf, gap))), dense.shape[1])
    output, column = labels(shape.outputs.blocks)(k), labels(shape.blocks)(i)
    return (
        f"rmatvec is not the adjoint of matvec: {brief(output)} / "
        f"{brief(column)} is {dense[k, i]:.6g} by matvec, {rows[k, i]:.6g} by rmatvec"
    )
