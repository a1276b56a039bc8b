"""The public checks of Jacobians, and of products with one: forward mode and reverse mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack

import numpy as np

from .._difference.directions import random_weights
from .._evaluate.call import Call, as_tuple, calling
from .._evaluate.problem import require_callable
from .._gradient.check import at_points
from .._jacobian.check import Check, checking, given, own_params, report_of
from .._jacobian.linear import Matrix, is_operator, is_sparse, matrix_of
from .._jacobian.outputs import dtypes_of, output_vector
from .._jacobian.random_combinations import along_cotangents, along_tangents, cotangent, tangent
from .._options import DerivativeOptions, options_from, require_known, takes
from .._params.layout import Block, gradient_vector, to_structure
from .._quoting import brief
from .._report.report import GradientReport, hide_frame
from .._verdict.tolerance import LEAST_TERM
from .gradients import announced

Array = np.ndarray[Any, Any]


@takes(DerivativeOptions)
def check_jacobian(
    func: Callable[..., Any],
    jac: Any,
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[DerivativeOptions],
) -> GradientReport:
    """Check an analytic Jacobian against centred differences and return the report.

    Takes what `assert_jacobian_close` takes, but never raises for a Jacobian that is wrong.

    Returns
    -------
    GradientReport

    Raises
    ------
    TypeError, ValueError
        For bad input, as `assert_jacobian_close` does.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import check_jacobian
    >>> def residual(x):
    ...     return np.array([x[0] ** 2 + x[1], np.sin(x[1])])
    >>> def jac(x):
    ...     return np.array([[2 * x[0], 1.0], [np.cos(x[1]), 0.0]])  # the second row is mirrored
    >>> report = check_jacobian(residual, jac, np.array([1.0, 2.0]))
    >>> [entry.label for entry in report.worst]
    ['output[1] / params[0]', 'output[1] / params[1]']
    """
    call, judged = Call(func, as_tuple(args), has_aux), options_from(check_jacobian, options)

    def at(point: Any) -> GradientReport:
        with checking(call, point, judged) as check:
            found = given(jac, check)
            if check.exhaustive:
                return report_of(check, [matrix_of(one, check.shape) for one in found])
            combined = _operator_combined if is_operator(found[0]) else _matrix_combined
            return combined(check, found[0])

    return announced(at_points(at, params, points, jac, "jac"))


@takes(DerivativeOptions)
def assert_jacobian_close(
    func: Callable[..., Any],
    jac: Any,
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[DerivativeOptions],
) -> GradientReport:
    """Assert that an analytic Jacobian is that of func.

    Parameters
    ----------
    func : callable
        ``func(params, *args) -> outputs``, an array, a number, or dicts, lists, tuples, named
        tuples and dataclasses of them.  An output without a name is called ``output``.
    jac : callable or object
        A callable of the same arguments, or the Jacobian itself: a matrix of shape (outputs,
        parameters), dense or sparse; an array of shape output + parameter where there is one of
        each; the outputs' structure with, in place of each output, params' structure of arrays of
        shape output + parameter; or an operator with ``matvec`` and, if it has one, ``rmatvec``.
        A matrix has the entries of all leaves in order, each in C order.
    params : array, number, dict, list, tuple, named tuple, dataclass, nested at will
        Where the Jacobian is checked, real and floating point.  func gets a private copy.
    points : iterable of params, optional
        Several points, in place of params: all are checked, and the report is that of the first
        that fails, with all of them in its `points`.  The derivative is then a callable.
    args : tuple, optional
        Passed on to func and jac behind params.
    has_aux : bool, optional
        func returns ``(outputs, anything)``.
    **options
        As in `Options`.

    Returns
    -------
    GradientReport
        Its blocks are pairs, ``residual / W``, its labels ``residual[4] / W[2, 0]``.

    Raises
    ------
    GradientMismatch
        An entry disagrees, or, by the options, can't be told; or the operator contradicts itself.
    TypeError, ValueError
        For bad input.

    Notes
    -----
    Tolerances hold for an entry, relative to its output's row.

    All outputs share the evaluations: 2 for each parameter, some 10 more, one more for each
    parameter that some output does not answer to, and ladders for entries in doubt.  Where that
    is more than ``max_evals`` (unset: 4,200), or there are more than 2 million entries, random
    combinations of the outputs are checked as gradients are, and the report says so.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import assert_jacobian_close
    >>> def residual(params):
    ...     return {"residual": np.tanh(params["W"] @ np.array([1.0, 2.0]))}
    >>> def jac(params):
    ...     slope = 1 - np.tanh(params["W"] @ np.array([1.0, 2.0])) ** 2
    ...     by_w = np.einsum("k,kl,j->klj", slope, np.eye(3), np.array([1.0, 2.0]))
    ...     return {"residual": {"W": by_w}}
    >>> params = {"W": np.array([[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]])}
    >>> assert_jacobian_close(residual, jac, params).blocks[0].name
    'residual / W'
    """
    __tracebackhide__ = hide_frame
    require_known(assert_jacobian_close, options)
    return check_jacobian(
        func, jac, params, points=points, args=args, has_aux=has_aux, **options
    ).raise_if_failed()


def _matrix_combined(check: Check, jac: Any) -> GradientReport:
    """Check combinations of a Jacobian's rows; a sparse one stays sparse."""
    structure, blocks, shape = check.problem.structure, check.problem.blocks, check.shape
    count = len(shape.outputs.blocks)
    if is_sparse(jac):
        if tuple(jac.shape) != shape.full:
            matrix_of(np.broadcast_to(0.0, jac.shape), shape)  # says what is wrong
        chosen = shape.columns()
        compressed = jac.tocsc()

        def rows(u: Array) -> Any:
            return to_structure(structure, blocks, (jac.T @ u)[chosen])

        def columns(which: Array) -> Matrix:
            dense = np.asarray(compressed[:, chosen[which]].toarray(), dtype=np.float64)
            return Matrix(dense, (np.dtype(jac.dtype),) * (count * which.size))
    else:
        matrix = matrix_of(jac, shape)

        def rows(u: Array) -> Any:
            return to_structure(structure, blocks, u @ matrix.dense)

        def columns(which: Array) -> Matrix:
            return Matrix(matrix.dense[:, which], (matrix.dtypes[0],) * (count * which.size))

    return along_cotangents(check, rows, columns)


def _operator_combined(check: Check, jac: Any) -> GradientReport:
    """Check an operator's products: by `rmatvec` where it has one, else by `matvec`."""
    structure, blocks, chosen = check.problem.structure, check.problem.blocks, check.shape.columns()
    m, n = check.shape.full
    try:
        jac.rmatvec(np.zeros(m))
    except (NotImplementedError, AttributeError, TypeError):

        def products(v: Array) -> Any:
            whole = np.zeros(n)
            whole[chosen] = v
            return cotangent(check, np.asarray(jac.matvec(whole)).reshape(m))

        return along_tangents(check, products, "matvec")
    return along_cotangents(
        check,
        lambda u: to_structure(structure, blocks, np.asarray(jac.rmatvec(u)).reshape(n)[chosen]),
        lambda which: _operator_columns(check, jac, chosen[which]),
    )


def _operator_columns(check: Check, jac: Any, which: Array) -> Matrix:
    m, n = check.shape.full
    parts = []
    for i in which.tolist():
        basis = np.zeros(n)
        basis[i] = 1.0
        parts.append(np.asarray(jac.matvec(basis), dtype=np.float64).reshape(m))
    count = len(check.shape.outputs.blocks) * which.size
    return Matrix(np.stack(parts, axis=1), (np.dtype(np.float64),) * count)


MOST_PRODUCTS = 2000
"""Products with basis vectors, beyond which random vectors are taken."""

LINEAR_WITHIN = 64.0
"""Machine epsilons, times the size of the terms, by which a product with a random vector may differ
from the sum of those with basis vectors."""


@takes(DerivativeOptions)
def check_jvp(
    func: Callable[..., Any],
    jvp: Callable[..., Any],
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[DerivativeOptions],
) -> GradientReport:
    """Check a Jacobian-vector product against centred differences and return the report.

    Takes what `assert_jvp_close` takes, but never raises for a product that is wrong.

    Returns
    -------
    GradientReport

    Raises
    ------
    TypeError, ValueError
        For bad input.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import check_jvp
    >>> check_jvp(np.sin, lambda x, v: np.cos(x) * v, np.array([0.5, 1.5])).verdict
    'agree'
    """
    require_callable(jvp)
    call, judged = Call(func, as_tuple(args), has_aux), options_from(check_jvp, options)

    def at(point: Any) -> GradientReport:
        with checking(call, point, judged) as check:

            def product(v: Array) -> Any:
                with calling(call.form("jvp").replace("params", "params, v")):
                    return jvp(own_params(check), tangent(check, v), *call.args)

            if check.problem.size > MOST_PRODUCTS or not check.exhaustive:
                return along_tangents(check, product, "jvp")
            return report_of(check, [by_columns(check, product, "jvp")])

    return announced(at_points(at, params, points, jvp, "jvp"))


@takes(DerivativeOptions)
def assert_jvp_close(
    func: Callable[..., Any],
    jvp: Callable[..., Any],
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[DerivativeOptions],
) -> GradientReport:
    """Assert that a Jacobian-vector product (forward mode) is that of func.

    Parameters
    ----------
    func : callable
        ``func(params, *args) -> outputs``, as in `assert_jacobian_close`.
    jvp : callable
        ``jvp(params, v, *args)`` with v in params' structure; returns J v in the outputs'.
    params : object
        As in `assert_jacobian_close`.
    points, args, has_aux
        As in `assert_jacobian_close`.
    **options
        As in `assert_jacobian_close`.

    Returns
    -------
    GradientReport
        Of the whole Jacobian, entry by entry; along three random v (``residual[4] / v1``) where
        there are more than 2,000 parameters, or more than ``max_evals`` allows.

    Raises
    ------
    GradientMismatch
        An entry disagrees or can't be told, or the product is not linear in v.
    TypeError, ValueError
        For bad input.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import assert_jvp_close
    >>> def residual(x):
    ...     return np.array([x[0] * x[1], x[1] ** 2])
    >>> def jvp(x, v):
    ...     return np.array([v[0] * x[1] + x[0] * v[1], 2 * x[1] * v[1]])
    >>> assert_jvp_close(residual, jvp, np.array([1.0, 2.0])).checked
    4
    """
    __tracebackhide__ = hide_frame
    require_known(assert_jvp_close, options)
    return check_jvp(
        func, jvp, params, points=points, args=args, has_aux=has_aux, **options
    ).raise_if_failed()


@takes(DerivativeOptions)
def check_vjp(
    func: Callable[..., Any],
    vjp: Callable[..., Any],
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[DerivativeOptions],
) -> GradientReport:
    """Check a vector-Jacobian product against centred differences and return the report.

    Takes what `assert_vjp_close` takes, but never raises for a product that is wrong.

    Returns
    -------
    GradientReport

    Raises
    ------
    TypeError, ValueError
        For bad input.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import check_vjp
    >>> A = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> check_vjp(lambda x: A @ x, lambda x, u: A @ u, np.array([0.5, 1.5])).blocks[0].hint
    'analytic = the transpose of numeric'
    """
    require_callable(vjp)
    call, judged = Call(func, as_tuple(args), has_aux), options_from(check_vjp, options)

    def at(point: Any) -> GradientReport:
        with checking(call, point, judged) as check:

            def product(u: Array) -> Any:
                with calling(call.form("vjp").replace("params", "params, u")):
                    return vjp(own_params(check), cotangent(check, u), *call.args)

            if check.outputs.size > MOST_PRODUCTS or not check.exhaustive:
                return along_cotangents(check, product)
            return report_of(check, [_by_rows(check, product)])

    return announced(at_points(at, params, points, vjp, "vjp"))


@takes(DerivativeOptions)
def assert_vjp_close(
    func: Callable[..., Any],
    vjp: Callable[..., Any],
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[DerivativeOptions],
) -> GradientReport:
    """Assert that a vector-Jacobian product (reverse mode, a layer's backward) is that of func.

    Parameters
    ----------
    func : callable
        ``func(params, *args) -> outputs``, as in `assert_jacobian_close`.
    vjp : callable
        ``vjp(params, u, *args)`` with u in the outputs' structure; returns uᵀ J in params'.
    params : object
        As in `assert_jacobian_close`.
    points, args, has_aux
        As in `assert_jacobian_close`.
    **options
        As in `assert_jacobian_close`.

    Returns
    -------
    GradientReport
        Of the whole Jacobian, entry by entry; of three random u, parameter by parameter, where
        there are more than 2,000 outputs, or more parameters than ``max_evals`` allows.

    Raises
    ------
    GradientMismatch
        An entry disagrees or can't be told, or the product is not linear in u.
    TypeError, ValueError
        For bad input.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import assert_vjp_close
    >>> def layer(params):
    ...     return np.tanh(params["W"] @ np.array([1.0, 2.0]) + params["b"])
    >>> def backward(params, u):
    ...     dz = u * (1 - layer(params) ** 2)
    ...     return {"W": np.outer(dz, [1.0, 2.0]), "b": dz}
    >>> params = {"W": np.array([[0.1, 0.2], [0.3, -0.4]]), "b": np.array([0.5, 0.6])}
    >>> [block.name for block in assert_vjp_close(layer, backward, params).blocks]
    ['output / W', 'output / b']
    """
    __tracebackhide__ = hide_frame
    require_known(assert_vjp_close, options)
    return check_vjp(
        func, vjp, params, points=points, args=args, has_aux=has_aux, **options
    ).raise_if_failed()


def by_columns(check: Check, product: Callable[[Array], Any], what: str) -> Matrix:
    """Multiply a product J v out, column by column.

    Parameters
    ----------
    check : Check
    product : callable
        Takes v, shape (n,), and returns J v in the outputs' structure.
    what : str
        How an error calls it.

    Returns
    -------
    Matrix
    """
    outputs, n = check.outputs, check.problem.size
    dtypes: tuple[np.dtype[Any], ...] = (np.dtype(np.float64),) * len(outputs.blocks)
    basis, columns = np.zeros(n), []
    for i in range(n):
        basis[i] = 1.0
        value = product(basis)
        columns.append(output_vector(value, outputs, what))
        dtypes = dtypes_of(value)
        basis[i] = 0.0
    dense = np.stack(columns, axis=1) if columns else np.empty((outputs.size, 0))
    v, narrow = _weights(check, check.problem.blocks)
    found = output_vector(product(v), outputs, what) if n else dense @ v
    center = float(np.abs(check.problem.center).max(initial=LEAST_TERM))
    dust = center * float(np.sum(np.abs(v) / check.problem.scale))
    precisions = (*dtypes, *narrow)
    remark = _linear(dense * v, found, precisions, what, "v", check.outputs.blocks, dust)
    each = len(check.shape.blocks)
    return Matrix(dense, tuple(dtype for dtype in dtypes for _ in range(each)), remark)


def _by_rows(check: Check, product: Callable[[Array], Any]) -> Matrix:
    """Multiply a product uᵀJ out, row by row."""
    structure, blocks, m = check.problem.structure, check.problem.blocks, check.outputs.size
    dtypes: tuple[np.dtype[Any], ...] = ()
    basis, rows = np.zeros(m), []
    for k in range(m):
        basis[k] = 1.0
        row, dtypes = gradient_vector(product(basis), structure, blocks, "vjp")
        rows.append(row)
        basis[k] = 0.0
    dense = np.stack(rows)
    u, narrow = _weights(check, check.outputs.blocks)
    found, _ = gradient_vector(product(u), structure, blocks, "vjp")
    center = np.maximum(np.abs(check.problem.center[:m]), LEAST_TERM)
    dust = float(np.abs(u) @ center) / check.problem.scale
    remark = _linear(dense.T * u, found, (*dtypes, *narrow), "vjp", "u", blocks, dust)
    return Matrix(dense, dtypes * len(check.outputs.blocks), remark)


def _weights(check: Check, blocks: Sequence[Block]) -> tuple[Array, tuple[np.dtype[Any], ...]]:
    """Return a random vector for `_linear`, and the types in which the product may be computed.

    The vector is what the product gets, rounded to the type of each block.  It is never positive
    throughout: a product that takes |v| or max(v, 0) for v is linear there.
    """
    vector = random_weights(blocks[-1].stop if blocks else 0, check.options.seed, 8)
    if (vector > 0).all():
        vector = -vector
    for block in blocks:
        vector[block.window] = vector[block.window].astype(block.dtype)
    every = (*check.problem.blocks, *check.outputs.blocks)
    return vector, tuple(block.dtype for block in every)


def _linear(
    terms: Array, found: Array, dtypes: Any, what: str, name: str, blocks: Any, dust: Any
) -> str:
    """Return the sentence that says where a product is not the sum of its terms, or nothing.

    `dust` is what func's own values come to along the vector: terms as large may have cancelled
    inside each product.
    """
    eps = max((float(np.finfo(dtype).eps) for dtype in dtypes), default=0.0)
    with np.errstate(all="ignore"):
        told = terms.sum(axis=1)
        gap = np.abs(told - found)
        size = np.abs(terms).sum(axis=1) + dust
        bad = gap > LINEAR_WITHIN * max(eps, 2.0**-52) * size
    if not bad.any():
        return ""
    i = int(np.argmax(np.where(bad, gap, 0)))
    block = next(b for b in blocks if b.start <= i < b.stop)
    return (
        f"{what} is not linear in {name}: {brief(block.label(i - block.start))} is "
        f"{float(found[i]):.6g} for a random {name}, and {float(told[i]):.6g} as the sum over "
        "basis vectors"
    )
