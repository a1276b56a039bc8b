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
from .._evaluate.call import calling
from .._evaluate.problem import Problem, repetition
from .._params.arrays_and_structure import Array, eps_of, flatten
from .._params.layout import beside, gradient_vector, labels, rounded, to_structure
from .._quoting import brief
from .._report.report import GradientReport
from .check import Check, elsewhere, is_called, report_of
from .coloring_and_combinations import along_cotangents, along_tangents, by_groups
from .outputs_and_matrices import (
    Entries,
    Matrix,
    Outputs,
    entries_of,
    is_operator,
    is_sparse,
    matrix_of,
    of_basis,
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


def maps_of(jac: Any, check: Check, what: str = "jac") -> list[LinearMap]:
    """Return the user's Jacobian as a map; of a function, what two calls give."""
    made = [jac]
    at: Callable[[Array], Array] | None = None
    if is_called(jac):
        made = [check.called(jac) for _ in range(2)]
        at = elsewhere(check, lambda: matrix_of(check.called(jac), check.shape))

    def map_of(one: Any) -> LinearMap:
        # `at` returns the matrix elsewhere; a sparse one stays sparse in combinations.
        combined = _operator if is_operator(one) else _sparse if is_sparse(one) else _matrix
        return LinearMap(
            lambda: replace(matrix_of(one, check.shape, what), at=at),
            partial(combined, one, check),
            entries=partial(entries_of, one, check.shape, what) if is_sparse(one) else None,
        )

    return list(map(map_of, made))


def structured(side: Problem | Outputs, vector: Array, strided: bool = False) -> Any:
    """Return a vector over parameters or outputs in their structure; zero in what is left out."""
    # `strided` arrays have gaps between their entries in memory.
    made = beside(side.structure, side.blocks, vector)
    if not strided:
        return made
    structure = flatten(made)
    return structure.rebuild(
        [leaf.kind.strided(leaf.value) if leaf.kind else leaf.value for leaf in structure.leaves]
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
        return along_tangents(
            check, lambda v: structured(check.outputs, product(v, chosen)), "matvec"
        )

    def columns(which: Array) -> Matrix:
        parts = [product(np.ones(1), chosen[[i]]).astype(np.float64) for i in which]
        return _columns(check, np.stack(parts, axis=1), EPS)

    return along_cotangents(check, _rows(check, jac.rmatvec), columns)


def product_of(
    check: Check, function: Callable[..., Any], what: str, name: str, *, strided: bool = False
) -> LinearMap:
    """Return the map of a product with v, shape (n,), as outputs are, or with u, shape (m,)."""
    # The user's function is called as ``jvp(params, v, *args)``; `name` is that of the vector, and
    # an error calls the function `what`.
    made = _Products(check, function, what, name, strided)
    return LinearMap(made.dense, made.combined, made.own.size, against=made.against)


class _Products:
    """Products with vectors called `name`: v over the parameters, or u over the outputs.

    `own` is what the vectors are over, and `other` what the products are.
    """

    def __init__(
        self, check: Check, function: Callable[..., Any], what: str, name: str, strided: bool
    ) -> None:
        self.check, self.function, self.what, self.name = check, function, what, name
        self.strided, self.forward = strided, name == "v"
        self.own: Problem | Outputs = check.problem if self.forward else check.outputs
        self.other: Problem | Outputs = check.outputs if self.forward else check.problem

    def product(self, vector: Array) -> Any:
        """Return what the user's function makes of a vector, in the other's structure."""
        call = self.check.problem.call
        with calling(self.function, call.form(self.what).replace("params", f"params, {self.name}")):
            along = structured(self.own, vector, self.strided)
            return self.function(self.check.own.fresh(), along, *call.args)

    def combined(self) -> GradientReport:
        """Check random combinations of columns or rows."""
        if self.forward:
            return along_tangents(self.check, self.product, self.what)
        return along_cotangents(self.check, self.product)

    def _of(self, vector: Array) -> tuple[Array, tuple[float, ...]]:
        """Return the product with a vector, as a vector, and its precision."""
        value, outputs, params = self.product(vector), self.check.outputs, self.check.problem
        if self.forward:
            return output_vector(value, outputs, self.what), precision_of(value, outputs)
        return gradient_vector(value, params.structure, params.blocks, self.what)

    def dense(self) -> Matrix:
        """Return the whole matrix, what products say of themselves, and what makes it elsewhere."""
        found = self._of_basis()
        # Each of `BESIDE_PAIRS` asks for two more.
        few = 2 * BESIDE_PAIRS * self.own.size <= MOST_PRODUCTS
        remark, jitter = self.against(found.dense)
        at = elsewhere(self.check, self._of_basis) if few else None
        return replace(found, remark=remark, jitter=jitter, at=at)

    def _of_basis(self) -> Matrix:
        """Return the products with all basis vectors, with the precision of the last one."""
        found, outputs = of_basis(self._of, self.own.size), self.check.outputs
        vectors = np.array([vector for vector, _ in found])
        matrix = vectors.reshape(self.own.size, self.other.size)
        precision = found[-1][1] if found else (EPS,) * len(outputs.blocks)
        if not self.forward:
            return Matrix(matrix, precision * len(outputs.blocks))
        each = range(len(self.check.shape.blocks))
        return Matrix(np.ascontiguousarray(matrix.T), tuple(x for x in precision for _ in each))

    def _vector(self) -> tuple[Array, tuple[float, ...]]:
        """Return a random vector, and the precision that a product with it may be computed in."""
        # The vector is what the product gets, rounded to the type of each block. It is never
        # positive throughout: a product that takes |v| or max(v, 0) for v is linear there.
        vector = random_weights(self.own.size, self.check.options.seed, Stream.LINEARITY)
        if (vector > 0).all():
            vector = -vector
        vector = rounded(self.own.structure, self.own.blocks, vector)
        params, outputs = self.check.problem, self.check.outputs
        every = [params.structure.leaves[block.leaf].eps for block in params.blocks]
        return vector, (*every, *outputs.precision)

    def _dust(self, vector: Array) -> Any:
        """Return what func's own values come to along a vector: a number, or shape (n,)."""
        problem, m = self.check.problem, self.check.outputs.size
        center = np.maximum(np.abs(problem.center), LEAST_TERM)
        if self.forward:
            return float(center.max()) * float(np.sum(np.abs(vector) / problem.scale))
        return float(np.abs(vector) @ center[:m]) / problem.scale

    def against(self, matrix: Array) -> tuple[str, float]:
        """Return how products with a vector differ from a matrix's, in words, and two of them."""
        # The sentence is empty where they repeat themselves and are linear.
        if not self.own.size:
            return "", 0.0
        options, (vector, narrow) = self.check.options, self._vector()
        (first, precision), (again, _) = (self._of(vector) for _ in range(2))
        gap, unrepeated = repetition(first, again, precision, self.other.blocks, options, self.what)
        if unrepeated:
            return unrepeated, 0.0
        jitter = float(np.max(gap, initial=0.0))
        eps, weight = max((*precision, *narrow), default=EPS), float(np.abs(vector).sum())
        leeway = options.nondet_tol * (1 + weight) + PRODUCT_JITTERS * jitter
        with np.errstate(all="ignore"):
            terms = (matrix if self.forward else matrix.T) * vector
            told, size = terms.sum(axis=1), np.abs(terms).sum(axis=1)
            off = np.abs(told - first)
            # What is solved to a tolerance is linear to that; and terms as large as func's values
            # may have cancelled inside each product.
            leeway = leeway + (options.rtol or 0.0) * size + (options.atol or 0.0) * weight
            bad = off > ENTRY_ROUNDINGS * eps * (size + self._dust(vector)) + leeway
            bad |= np.isnan(first) & np.isfinite(told)
            if bad.any():  # if that is not all: a multiple of the vector rounds differently
                gap = np.abs(self._of(3 * vector)[0] / 3 - first)
                rounding = float(gap.max()) if np.isfinite(gap).all() else math.inf
                if rounding <= REPEATS_WITHIN * float(size.max()):
                    bad &= ~(off <= PRODUCT_JITTERS * rounding)
        if not bad.any():
            return "", jitter
        i = int(np.argmax(np.where(bad, off, 0)))
        one, other = float(first[i]), float(told[i])
        digits = next((d for d in (6, 9, 12) if f"{one:.{d}g}" != f"{other:.{d}g}"), 17)
        return (
            f"{self.what} is not linear in {self.name}: {brief(labels(self.other.blocks)(i))} is "
            f"{one:.{digits}g} for a random {self.name}, and {other:.{digits}g} as the sum over "
            "basis vectors"
        ), jitter
