"""The user's Jacobian as a linear map: a matrix, an operator, or products with vectors.

All of it is judged entry by entry where that is affordable; else random combinations are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._constants import (
    BESIDE_PAIRS,
    ENTRY_ROUNDINGS,
    EPS,
    LEAST_TERM,
    MOST_PRODUCTS,
    PRODUCT_JITTERS,
    PRODUCT_ROUNDING,
    REPEATS_WITHIN,
)
from .._difference.stencils_and_steps import Stream, random_weights
from .._evaluate.call import calling
from .._evaluate.problem import Problem, repetition
from .._options import converted, flag
from .._params.arrays_and_structure import Array, eps_of, flatten
from .._params.layout import beside, gradient_vector, labels, rounded
from .._quoting import brief
from .._report.report import GradientReport
from .check import Check, asked_again, is_called, report_of
from .coloring_and_combinations import along_cotangents, along_tangents, by_groups
from .outputs_and_matrices import (
    Matrix,
    Outputs,
    adjoint_of,
    basis,
    entries_of,
    is_operator,
    is_sparse,
    matrix_of,
    output_vector,
    precision_of,
    product_of,
)


def calls_of(jac: Any, check: Check) -> list[Any]:
    """Return the user's Jacobian; of a function, what two calls give."""
    return [check.called(jac) for _ in range(2)] if is_called(jac) else [jac]


def matrices_of(jac: Any, made: Sequence[Any], check: Check, what: str = "jac") -> list[Matrix]:
    """Match what `calls_of` returned; of a function, with the matrix elsewhere."""
    first, *others = (matrix_of(one, check.shape, what) for one in made)
    if is_called(jac):
        first = asked_again(first, check, lambda: matrix_of(check.called(jac), check.shape))
    return [first, *others]


def judged(check: Check, jac: Any) -> GradientReport:
    """Check the user's Jacobian."""
    made = calls_of(jac, check)
    stored = [entries_of(one, check.shape) for one in made if is_sparse(one)]
    if stored and (by_column := by_groups(check, stored)) is not None:
        return by_column
    if check.exhaustive:
        return report_of(check, matrices_of(jac, made, check))
    return _operator(made[0], check) if is_operator(made[0]) else _matrix(made[0], check)


def judged_modes(check: Check, modes: Mapping[str, Products]) -> tuple[str, GradientReport]:
    """Check products that should be of one map; return the first that fails, or the last."""
    # Once one agrees with func in every entry, it is enough that another agrees with it. That is
    # seen along a random vector, which no difference but rounding is orthogonal to.
    known: Array | None = None
    for name in sorted(modes, key=lambda name: modes[name].own.size):
        one = modes[name]
        if known is not None and not one.against(known)[0]:
            continue
        if one.affordable:
            matrix = one.dense()
            report = report_of(check, [matrix])
            tight = check.options.rtol is None and check.options.atol is None
            known = matrix.dense if tight and report.verdict == "agree" else None
        else:
            report = one.combined()
        if not report.ok:
            break
    return name, report


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


def _columns(check: Check, dense: Array, eps: float) -> Matrix:
    return Matrix(dense, (eps,) * (len(check.outputs.blocks) * dense.shape[1]))


def _matrix(jac: Any, check: Check) -> GradientReport:
    """Check random combinations of a matrix's rows; a sparse one, matched before, stays sparse."""
    if is_sparse(jac):
        whole, eps = jac.tocsc()[:, check.shape.columns()], eps_of(jac.dtype)
    else:
        matrix = matrix_of(jac, check.shape)
        whole, eps = matrix.dense, max(matrix.precision, default=EPS)

    def columns(which: Array) -> Matrix:
        part = whole[:, which]
        dense = part.toarray().astype(np.float64) if is_sparse(part) else part
        return _columns(check, dense, eps)

    return along_cotangents(check, lambda u: check.structured(u @ whole), columns, eps)


def _operator(jac: Any, check: Check) -> GradientReport:
    """Check an operator's products: by `rmatvec` where it has one, else by `matvec`."""
    chosen, (m, n) = check.shape.columns(), check.shape.full

    def product(v: Array, which: Array) -> Array:
        whole = np.zeros(n)
        whole[which] = v
        return product_of(jac.matvec, whole, m)

    adjoint = adjoint_of(jac, m)
    if adjoint is None:
        return along_tangents(
            check, lambda v: structured(check.outputs, product(v, chosen)), "matvec"
        )

    def rows(u: Array) -> Any:
        return check.structured(product_of(adjoint, u, n)[chosen])

    def columns(which: Array) -> Matrix:
        parts = [product(np.ones(1), chosen[[i]]).astype(np.float64) for i in which]
        return _columns(check, np.stack(parts, axis=1), EPS)

    return along_cotangents(check, rows, columns)


class Products:
    """Products with vectors called `name`: v over the parameters, or u over the outputs.

    The user's `function` is called as ``jvp(params, v, *args)``, and `what` in errors; `own` is
    what the vectors are over, and `other` what the products are.
    """

    def __init__(
        self, check: Check, function: Callable[..., Any], what: str, name: str, *, strided: bool
    ) -> None:
        self.check, self.function, self.what, self.name = check, function, what, name
        self.strided, self.forward = converted("strided", strided, flag), name == "v"
        self.own: Problem | Outputs = check.problem if self.forward else check.outputs
        self.other: Problem | Outputs = check.outputs if self.forward else check.problem

    @property
    def affordable(self) -> bool:
        """Whether all of it can be judged entry by entry, by products with basis vectors."""
        return self.own.size <= MOST_PRODUCTS and self.check.exhaustive

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
        found = replace(found, remark=remark, jitter=jitter)
        return asked_again(found, self.check, self._of_basis) if few else found

    def _of_basis(self) -> Matrix:
        """Return the products with all basis vectors, with the precision of the last one."""
        found, outputs = [self._of(v) for v in basis(self.own.size)], self.check.outputs
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
                single = bool((first.astype(np.float32) == first).all())
                most = PRODUCT_ROUNDING if single else REPEATS_WITHIN
                if rounding <= most * float(size.max()):
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
