"""The public checks of Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Unpack

import numpy as np

from ._blocks import to_structure
from ._combined import along_cotangents, along_tangents, cotangent
from ._given import announced
from ._gradient import as_tuple
from ._jacobian import Check, Judging, checking, given, judging
from ._matrix import Matrix, is_operator, is_sparse, matrix_of
from ._pairs import report_of
from ._points import at_points
from ._problem import Call
from ._report import GradientReport, hide_frame

Array = np.ndarray[Any, Any]


def check_jacobian(
    func: Callable[..., Any],
    jac: Any,
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[Judging],
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
    call, judged = Call(as_tuple(args), has_aux), judging(options)

    def at(point: Any) -> GradientReport:
        with checking(func, point, call, judged) as check:
            found = given(jac, check, call)
            if check.exhaustive:
                return report_of(check, [matrix_of(one, check.shape) for one in found])
            combined = _operator_combined if is_operator(found[0]) else _matrix_combined
            return combined(check, found[0], call)

    return announced(at_points(at, params, points, jac, "jac"))


def assert_jacobian_close(
    func: Callable[..., Any],
    jac: Any,
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[Judging],
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
        ``rtol``, ``atol``, ``threshold``, ``max_evals``, ``seed``, ``only``, ``skip``,
        ``nondet_tol``, ``inconclusive``, ``kinks``, ``vacuous`` and ``max_report``, as in
        `assert_gradients_close`.  Tolerances hold for an entry, relative to its output's row.

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
    All outputs share the evaluations: 2 for each parameter, some 12 more, one more for each
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
    return check_jacobian(
        func, jac, params, points=points, args=args, has_aux=has_aux, **options
    ).raise_if_failed()


def _matrix_combined(check: Check, jac: Any, call: Call) -> GradientReport:
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

    return along_cotangents(check, rows, call, columns)


def _operator_combined(check: Check, jac: Any, call: Call) -> GradientReport:
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

        return along_tangents(check, products, call, "matvec")
    return along_cotangents(
        check,
        lambda u: to_structure(structure, blocks, np.asarray(jac.rmatvec(u)).reshape(n)[chosen]),
        call,
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
