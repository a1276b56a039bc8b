"""The user's Jacobian as a matrix: outputs by parameters, in the layout of the check.

A Jacobian comes dense, in the structure of outputs and parameters or as one matrix; sparse; or as
an operator with ``matvec`` and ``rmatvec``.  None of the libraries that make these is imported:
they are told by what they have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._constants import EPS
from .._params.arrays import eps_of, foreign_kind, native, read
from .._params.layout import Block, labels
from .._params.structure import Structure, flatten
from .._quoting import brief, listing
from .outputs import Outputs, output_name

Array = np.ndarray[Any, Any]


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
    it does; `jitter` is by how much two products with one vector were seen to differ.
    """

    dense: Array
    precision: tuple[float, ...]
    remark: str = ""
    jitter: float = 0.0


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
    """Match a Jacobian with outputs and parameters; an error calls it `what`.

    TypeError or ValueError is raised when it is none, or of other names or shapes, with both.
    """
    if jac is None and shape.blocks:
        raise TypeError(
            f"{what} is None; it must be the matrix, or have outputs' structure of params' "
            f"(does {what} lack a return?)"
        )
    if is_operator(jac):
        return _of_operator(jac, shape, what)
    if is_sparse(jac):
        _require_shape(tuple(jac.shape), shape, what)
        return _cut(np.asarray(jac.toarray()), shape, what)
    if not isinstance(jac, np.ndarray) and (kind := foreign_kind(jac)) is not None:
        own = kind.eps(jac)
        found = matrix_of(read(kind, jac, what), shape, what)
        return replace(found, precision=tuple(max(own, eps) for eps in found.precision))
    single = len(shape.outputs.blocks) == 1 and len(shape.structure.leaves) == 1
    if isinstance(jac, (list, tuple)) and single:
        jac = _array(jac)
    if not isinstance(jac, (np.ndarray, np.generic, int, float)):
        return _of_structure(jac, shape, what)
    array = np.asarray(jac)
    if (plain := native(array)) is not array:
        found = matrix_of(plain, shape, what)
        return replace(found, precision=(eps_of(array.dtype),) * len(found.precision))
    if single:
        wanted = shape.outputs.blocks[0].shape + np.shape(shape.structure.leaves[0].value)
        if array.shape == wanted:
            return _cut(array.reshape(shape.full), shape, what)
    if array.ndim == 2 or single:
        _require_shape(array.shape, shape, what)
        return _cut(array, shape, what)
    return _of_structure(jac, shape, what)


def _array(value: Any) -> Any:
    """Return a list of numbers as the array that it spells; anything else as it is."""
    try:
        array = np.asarray(value)
    except ValueError:
        return value
    return array if array.dtype.kind in "fiu" else value


def _require_shape(found: tuple[int, ...], shape: Shape, what: str) -> None:
    m, n = shape.full
    if found == (m, n):
        return
    wanted = f"({m}, {n})"
    if len(shape.outputs.blocks) == 1 and len(shape.structure.leaves) == 1:
        whole = shape.outputs.blocks[0].shape + np.shape(shape.structure.leaves[0].value)
        wanted += "" if whole == (m, n) else f" or {whole}"
    hint = "; it is transposed" if found == (n, m) else ""
    raise ValueError(
        f"{what} has shape {found}, but {m} outputs and {n} parameters need {wanted}, outputs "
        f"first{hint}; nothing is broadcast or transposed"
    )


def _cut(array: Array, shape: Shape, what: str) -> Matrix:
    _require_real(array, what)
    count = len(shape.outputs.blocks) * len(shape.blocks)
    columns = shape.columns()
    chosen = array if columns.size == array.shape[1] else array[:, columns]
    wide = np.result_type(array.dtype, np.float64)
    return Matrix(chosen.astype(wide), (eps_of(array.dtype),) * count)


def _require_real(array: Array, what: str) -> None:
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{what} has dtype {array.dtype}; it must be real and numeric")


def _of_structure(jac: Any, shape: Shape, what: str) -> Matrix:
    """Match a Jacobian in the outputs' structure of the parameters' structure."""
    params, outputs = shape.structure, shape.outputs
    numbers = [0.0] * len(params.leaves)
    template = flatten(outputs.structure.rebuild([params.rebuild(numbers)] * len(outputs.blocks)))
    found = {leaf.name: leaf for leaf in flatten(jac, what).leaves}
    names = [leaf.name for leaf in template.leaves]
    checked = {block.leaf for block in shape.blocks}
    needed = [name for j, name in enumerate(names) if j % len(params.leaves) in checked]
    missing = [name for name in needed if name not in found]
    extra = sorted(set(found) - set(names))
    if missing or extra:
        said = [f"it has no {listing(missing)}"] if missing else []
        said += [f"outputs and params have no {listing(extra)}"] if extra else []
        raise ValueError(
            f"{what} does not match: {' and '.join(said)}; it has outputs' structure, and in "
            "place of each output params' structure"
        )
    rows, precision = [], list[float]()
    for k, output in enumerate(outputs.blocks):
        row = []
        for block in shape.blocks:
            name = names[k * len(params.leaves) + block.leaf]
            leaf, wanted = found[name], output.shape + block.leaf_shape
            array = leaf.array if leaf.numeric else np.asarray(leaf.value)
            if array.shape != wanted:
                raise ValueError(
                    f"{what} of {brief(output.name)} by {brief(block.name)} has shape "
                    f"{array.shape}, but must have {wanted}: the output's, then the parameter's; "
                    "nothing is broadcast or transposed"
                )
            if array.dtype.kind not in "fiu":
                raise TypeError(
                    f"{what} of {brief(output.name)} by {brief(block.name)} has dtype "
                    f"{array.dtype}; it must be real and numeric"
                )
            whole = array.reshape(output.size, math.prod(block.leaf_shape))
            row.append(whole[:, block.within])
            precision.append(leaf.eps if leaf.numeric else EPS)
        rows.append(np.concatenate(row, axis=1))
    dense = np.concatenate(rows, axis=0)
    return Matrix(dense.astype(np.result_type(dense.dtype, np.float64)), tuple(precision))


def _of_operator(jac: Any, shape: Shape, what: str) -> Matrix:
    """Multiply an operator out, and see that `rmatvec` is the adjoint of `matvec`."""
    _require_shape(tuple(jac.shape), shape, what)
    m, n = shape.full
    dense = np.empty((m, n))
    basis = np.zeros(n)
    for i in range(n):
        basis[i] = 1.0
        dense[:, i] = np.asarray(jac.matvec(basis)).reshape(m)
        basis[i] = 0.0
    dtype = getattr(jac, "dtype", None)
    dtype = dtype if isinstance(dtype, np.dtype) and dtype.kind == "f" else np.dtype(np.float64)
    found = _cut(dense.astype(dtype), shape, what)
    return Matrix(found.dense, found.precision, _adjoint_remark(jac, dense, shape))


def _adjoint_remark(jac: Any, dense: Array, shape: Shape) -> str:
    """Return the sentence that names an entry in which `rmatvec` contradicts `matvec`."""
    m, n = dense.shape
    basis = np.zeros(m)
    worst = (0.0, 0, 0, 0.0)
    for k in range(m):
        basis[k] = 1.0
        try:
            row = np.asarray(jac.rmatvec(basis)).reshape(n)
        except (NotImplementedError, AttributeError, TypeError):
            return ""  # an operator need not have one
        basis[k] = 0.0
        gap = np.abs(row - dense[k])
        largest = max(float(np.abs(dense).max(initial=0.0)), 1e-300)
        allowed = 1e-10 * largest + shape.nondet_tol
        i = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
        if not gap[i] <= allowed and not gap[i] <= worst[0]:
            worst = (float(gap[i]), k, i, float(row[i]))
    if not worst[0]:
        return ""
    _, k, i, value = worst
    output = labels(shape.outputs.blocks)(k)
    ends = np.cumsum([0, *(leaf.size for leaf in shape.structure.leaves)])
    leaf = int(np.searchsorted(ends, i, side="right")) - 1
    block = next((b for b in shape.blocks if b.leaf == leaf), None)
    column = block.label(i - int(ends[leaf])) if block else output_name(f"params[{i}]")
    return (
        f"rmatvec is not the adjoint of matvec: {brief(output)} / "
        f"{brief(column)} is {dense[k, i]:.6g} by matvec, {value:.6g} by rmatvec"
    )
