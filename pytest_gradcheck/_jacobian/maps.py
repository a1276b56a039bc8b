"""The user's Jacobian as a linear map: a matrix, an operator, or products with vectors.

All of it is judged entry by entry where that is affordable; else random combinations are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .._constants import (
    BESIDE_PAIRS,
    ENTRY_ROUNDINGS,
    EPS,
    LEAST_TERM,
    MOST_PRODUCTS,
    PRODUCT_JITTERS,
    REPEATS_WITHIN,
)
from .._difference.stencils_and_steps import Stream, random_weights
from .._evaluate.problem import repetition
from .._options import Options
from .._params.arrays_and_structure import Array, Structure, eps_of
from .._params.layout import Block, gradient_vector, labels, rounded, to_structure
from .._quoting import brief
from .._report.report import GradientReport
from .check import Check, elsewhere, report_of
from .coloring_and_combinations import along_cotangents, along_tangents, by_groups, cotangent
from .outputs_and_matrices import (
    Entries,
    Matrix,
    entries_of,
    is_operator,
    is_sparse,
    matrix_of,
    output_vector,
    precision_of,
)


@dataclass(frozen=True)
class LinearMap:
    """An analytic Jacobian, in whatever form.

    `dense` returns all of it, at so many `products` with basis vectors; `combined` checks random
    combinations of its rows or columns; `against` says how products with a random vector differ
    from those of a matrix, shape (m, n).
    """

    dense: Callable[[], Matrix]
    combined: Callable[[], GradientReport]
    products: int = 0
    entries: Callable[[], Entries] | None = None
    against: Callable[[Array], tuple[str, float]] | None = None

    def affordable(self, check: Check) -> bool:
        """Return whether it can be judged entry by entry."""
        return self.products <= MOST_PRODUCTS and check.exhaustive


def judged(check: Check, maps: Sequence[LinearMap]) -> GradientReport:
    """Check a Jacobian: one map, or what two calls gave."""
    stored = [one.entries() for one in maps if one.entries is not None]
    if stored and (by_column := by_groups(check, stored)) is not None:
        return by_column
    if maps[0].affordable(check):
        return report_of(check, [one.dense() for one in maps])
    return maps[0].combined()


def judged_modes(check: Check, modes: Mapping[str, LinearMap]) -> tuple[str, GradientReport]:
    """Check maps that should be one; return the first that fails, or the last, with its name."""
    # Once one agrees with func in every entry, it is enough that another agrees with it. That is
    # seen along a random vector, which no difference but rounding is orthogonal to.
    known: Array | None = None
    for name in sorted(modes, key=lambda name: modes[name].products):
        one = modes[name]
        if known is not None and one.against is not None and not one.against(known)[0]:
            continue
        if one.affordable(check):
            matrix = one.dense()
            report = report_of(check, [matrix])
            tight = check.options.rtol is None and check.options.atol is None
            known = matrix.dense if tight and report.verdict == "agree" else None
        else:
            report = one.combined()
        if not report.ok:
            break
    return name, report


def map_of(jac: Any, check: Check, at: Callable[[Array], Array] | None = None) -> LinearMap:
    """Return a matrix or an operator as a map; a sparse matrix stays sparse in combinations."""
    # `at` returns the matrix elsewhere.
    combined = _operator if is_operator(jac) else _sparse if is_sparse(jac) else _matrix
    entries = partial(entries_of, jac, check.shape) if is_sparse(jac) else None
    return LinearMap(
        lambda: replace(matrix_of(jac, check.shape), at=at),
        partial(combined, jac, check),
        entries=entries,
    )


def _rows(check: Check, product: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """Return uᵀJ in the structure of the parameters, for a product that has all columns."""
    chosen = check.shape.columns()

    def rows(u: Array) -> Any:
        structure, blocks = check.problem.structure, check.problem.blocks
        return to_structure(structure, blocks, np.asarray(product(u)).reshape(-1)[chosen])

    return rows


def _columns(check: Check, dense: Array, eps: float) -> Matrix:
    return Matrix(dense, (eps,) * (len(check.outputs.blocks) * dense.shape[1]))


def _matrix(jac: Any, check: Check) -> GradientReport:
    matrix, problem = matrix_of(jac, check.shape), check.problem
    return along_cotangents(
        check,
        lambda u: to_structure(problem.structure, problem.blocks, u @ matrix.dense),
        lambda which: _columns(check, matrix.dense[:, which], matrix.precision[0]),
        max(matrix.precision, default=EPS),
    )


def _sparse(jac: Any, check: Check) -> GradientReport:
    if tuple(jac.shape) != check.shape.full:
        matrix_of(np.broadcast_to(0.0, jac.shape), check.shape)  # says what is wrong
    chosen, compressed = check.shape.columns(), jac.tocsc()

    def columns(which: Array) -> Matrix:
        dense = np.asarray(compressed[:, chosen[which]].toarray(), dtype=np.float64)
        return _columns(check, dense, eps_of(jac.dtype))

    return along_cotangents(check, _rows(check, lambda u: jac.T @ u), columns, eps_of(jac.dtype))


def _operator(jac: Any, check: Check) -> GradientReport:
    """Check an operator's products: by `rmatvec` where it has one, else by `matvec`."""
    chosen, (m, n) = check.shape.columns(), check.shape.full

    def product(v: Array, which: Array) -> Array:
        whole = np.zeros(n)
        whole[which] = v
        return np.asarray(jac.matvec(whole)).reshape(m)

    try:
        jac.rmatvec(np.zeros(m))
    except (NotImplementedError, AttributeError, TypeError):
        return along_tangents(check, lambda v: cotangent(check, product(v, chosen)), "matvec")

    def columns(which: Array) -> Matrix:
        parts = [product(np.ones(1), chosen[[i]]).astype(np.float64) for i in which]
        return _columns(check, np.stack(parts, axis=1), EPS)

    return along_cotangents(check, _rows(check, jac.rmatvec), columns)


def forward(check: Check, product: Callable[[Array], Any], what: str) -> LinearMap:
    """Return the map of a product that takes v, shape (n,), and returns J v, as outputs are."""
    outputs, n = check.outputs, check.problem.size

    def read(value: Any) -> tuple[Array, tuple[float, ...]]:
        return output_vector(value, outputs, what), precision_of(value, outputs)

    def against(matrix: Array) -> tuple[str, float]:
        v, narrow = _weights(check, check.problem.structure, check.problem.blocks)
        if not n:
            return "", 0.0
        (first, precision), (again, _) = (read(product(v)) for _ in range(2))
        center = float(np.abs(check.problem.center).max(initial=LEAST_TERM))
        dust = center * float(np.sum(np.abs(v) / check.problem.scale))
        said = _Said(check.options, what, "v", outputs.blocks, precision, narrow)
        return said.of(matrix * v, (first, again), v, dust, lambda: read(product(3 * v))[0] / 3)

    def dense() -> Matrix:
        columns, precision = _with_basis(product, read, n)
        precision = precision or (EPS,) * len(outputs.blocks)
        matrix = np.stack(columns, axis=1) if columns else np.empty((outputs.size, 0))
        each = len(check.shape.blocks)
        return Matrix(matrix, tuple(eps for eps in precision for _ in range(each)))

    return LinearMap(
        partial(_of_products, check, dense, against, n),
        lambda: along_tangents(check, product, what),
        n,
        against=against,
    )


def backward(check: Check, product: Callable[[Array], Any], what: str) -> LinearMap:
    """Return the map of a product that takes u, shape (m,), and returns uᵀJ, as params are."""
    structure, blocks = check.problem.structure, check.problem.blocks
    outputs, m = check.outputs, check.outputs.size

    def read(value: Any) -> tuple[Array, tuple[float, ...]]:
        return gradient_vector(value, structure, blocks, what)

    def against(matrix: Array) -> tuple[str, float]:
        u, narrow = _weights(check, outputs.structure, outputs.blocks)
        (first, precision), (again, _) = (read(product(u)) for _ in range(2))
        center = np.maximum(np.abs(check.problem.center[:m]), LEAST_TERM)
        dust = float(np.abs(u) @ center) / check.problem.scale
        said = _Said(check.options, what, "u", blocks, precision, narrow)
        return said.of(matrix.T * u, (first, again), u, dust, lambda: read(product(3 * u))[0] / 3)

    def dense() -> Matrix:
        rows, precision = _with_basis(product, read, m)
        return Matrix(np.stack(rows), precision * len(outputs.blocks))

    return LinearMap(
        partial(_of_products, check, dense, against, m),
        lambda: along_cotangents(check, product),
        m,
        against=against,
    )


def _of_products(
    check: Check, dense: Callable[[], Matrix], against: Callable[[Array], Any], products: int
) -> Matrix:
    """Return a matrix of products, what they say of themselves, and what makes it elsewhere."""
    # Each of `BESIDE_PAIRS` asks for two more.
    found = dense()
    at = elsewhere(check, dense) if 2 * BESIDE_PAIRS * products <= MOST_PRODUCTS else None
    remark, jitter = against(found.dense)
    return replace(found, remark=remark, jitter=jitter, at=at)


def _with_basis(
    product: Callable[[Array], Any], read: Callable[[Any], tuple[Array, Any]], count: int
) -> tuple[list[Array], tuple[float, ...]]:
    """Return the products with all basis vectors, and the precision of the last one."""
    basis, found, precision = np.zeros(count), [], ()
    for i in range(count):
        basis[i] = 1.0
        vector, precision = read(product(basis))
        found.append(vector)
        basis[i] = 0.0
    return found, precision


def _weights(
    check: Check, structure: Structure, blocks: Sequence[Block]
) -> tuple[Array, tuple[float, ...]]:
    """Return a random vector for `_Said`, and the precision that the product may be computed in."""
    # The vector is what the product gets, rounded to the type of each block. It is never positive
    # throughout: a product that takes |v| or max(v, 0) for v is linear there.
    vector = random_weights(blocks[-1].stop if blocks else 0, check.options.seed, Stream.LINEARITY)
    if (vector > 0).all():
        vector = -vector
    vector = rounded(structure, blocks, vector)
    params, outputs = check.problem, check.outputs
    every = [params.structure.leaves[block.leaf].eps for block in params.blocks]
    return vector, (*every, *outputs.precision)


@dataclass(frozen=True)
class _Said:
    """What a product says of itself: whether it repeats itself and is linear in `name`."""

    options: Options
    what: str
    name: str
    blocks: Sequence[Block]
    precision: Sequence[float]
    narrow: Sequence[float]

    def of(
        self,
        terms: Array,
        found: Sequence[Array],
        vector: Array,
        dust: Any,
        scaled: Callable[[], Array],
    ) -> tuple[str, float]:
        """Return the sentence that says what is wrong, or nothing, and how two products differ."""
        # `found` are two products with a vector whose products with basis vectors are `terms`.
        # `dust` is what func's own values come to along the vector: terms as large may have
        # cancelled inside each product; if that is not all, `scaled` is the product with a multiple
        # of the vector, which rounds differently.
        first, again = found
        gap, unrepeated = repetition(
            first, again, self.precision, self.blocks, self.options, self.what
        )
        if unrepeated:
            return unrepeated, 0.0
        jitter = float(np.max(gap, initial=0.0))
        eps = max((*self.precision, *self.narrow), default=EPS)
        leeway = (
            self.options.nondet_tol * (1 + float(np.abs(vector).sum())) + PRODUCT_JITTERS * jitter
        )
        with np.errstate(all="ignore"):
            told = terms.sum(axis=1)
            off = np.abs(told - first)
            terms_size = np.abs(terms).sum(axis=1)
            size = terms_size + dust
            # What is solved to a tolerance is linear to that.
            leeway = leeway + (self.options.rtol or 0.0) * terms_size
            leeway = leeway + (self.options.atol or 0.0) * np.abs(vector).sum()
            bad = off > ENTRY_ROUNDINGS * eps * size + leeway
            bad |= np.isnan(first) & np.isfinite(told)
            if bad.any():
                gap = np.abs(scaled() - first)
                rounding = float(gap.max()) if np.isfinite(gap).all() else math.inf
                if rounding <= REPEATS_WITHIN * float(terms_size.max()):
                    bad &= ~(off <= PRODUCT_JITTERS * rounding)
        if not bad.any():
            return "", jitter
        i = int(np.argmax(np.where(bad, off, 0)))
        one, other = float(first[i]), float(told[i])
        digits = next((d for d in (6, 9, 12) if f"{one:.{d}g}" != f"{other:.{d}g}"), 17)
        return (
            f"{self.what} is not linear in {self.name}: {brief(labels(self.blocks)(i))} is "
            f"{one:.{digits}g} for a random {self.name}, and {other:.{digits}g} as the sum over "
            "basis vectors"
        ), jitter
