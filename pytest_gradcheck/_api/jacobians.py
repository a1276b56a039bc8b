"""The public checks of Jacobians, and of products with one: forward mode and reverse mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Unpack

from .._evaluate.call import Call, as_tuple
from .._evaluate.problem import require_callable
from .._gradient.check import at_points
from .._jacobian.check import checking, with_lines
from .._jacobian.maps import Products, judged, judged_modes
from .._options import JacobianOptions, Options, options_from, takes
from .._report.report import GradientReport
from .gradients import announced, asserting


@takes(JacobianOptions)
def check_jacobian(
    func: Callable[..., Any],
    jac: Any,
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[JacobianOptions],
) -> GradientReport:
    """Check a Jacobian as `assert_jacobian_close` does, and always return a report."""
    call, chosen = Call(func, as_tuple(args), has_aux), options_from(check_jacobian, options)

    def at(point: Any) -> GradientReport:
        with checking(call, point, chosen) as check:
            return with_lines(judged(check, jac), jac, check)

    return announced(at_points(at, params, points, jac, "jac"))


@asserting(check_jacobian, JacobianOptions)
def assert_jacobian_close() -> None:
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

    Of a sparse matrix columns that no row has two of are moved together, 2 evaluations for each
    group of them: a band takes 2 for each entry of a row, and some 20 more, however long it is.
    An entry that is not stored is seen where it should be, and named; the report says how many
    groups there were.

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


def check_products(
    func: Callable[..., Any],
    modes: Mapping[str, Callable[..., Any]],
    params: Any,
    *,
    strided: bool = False,
    **options: Any,
) -> tuple[str, GradientReport]:
    """Check ``jvp`` and ``vjp`` of one func by the same differences; nobody is told of it."""
    # Returned is the report of the first that fails, or of both, and whose it is. Nothing compared
    # at all is a failure, whatever the options say.
    call, chosen = Call(func, (), False), options_from(check_jvp, options)
    name, report = _of_modes(call, modes, params, chosen, strided)
    if report.reasons and not report.checked:  # func, or a product, does not repeat itself
        report = replace(report, ok=False)
    return name, report


def _of_modes(
    call: Call,
    modes: Mapping[str, Callable[..., Any]],
    params: Any,
    options: Options,
    strided: bool,
) -> tuple[str, GradientReport]:
    """Check the products of `modes`, ``jvp`` and ``vjp``, at one point."""
    for mode, one in modes.items():
        require_callable(one, form=f"{mode}(params, {VECTORS[mode]}, *args)")
    with checking(call, params, options) as check:
        maps = {
            mode: Products(check, one, mode, VECTORS[mode], strided=strided)
            for mode, one in modes.items()
        }
        return judged_modes(check, maps)


def _checked(
    mode: str, product: Any, call: Call, params: Any, points: Any, options: Options, strided: bool
) -> GradientReport:
    """Check one product, ``jvp`` or ``vjp``, at one point or several."""

    def at(point: Any) -> GradientReport:
        return _of_modes(call, {mode: product}, point, options, strided)[1]

    return announced(at_points(at, params, points, product, mode))


VECTORS = {"jvp": "v", "vjp": "u"}
"""What the vector of each mode is called: over the parameters, or over the outputs."""


@takes(JacobianOptions)
def check_jvp(
    func: Callable[..., Any],
    jvp: Callable[..., Any],
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    strided: bool = False,
    **options: Unpack[JacobianOptions],
) -> GradientReport:
    """Check a Jacobian-vector product as `assert_jvp_close` does, and always return a report."""
    call, chosen = Call(func, as_tuple(args), has_aux), options_from(check_jvp, options)
    return _checked("jvp", jvp, call, params, points, chosen, strided)


@asserting(check_jvp, JacobianOptions)
def assert_jvp_close() -> None:
    """Assert that a Jacobian-vector product (forward mode) is that of func.

    Parameters
    ----------
    func, params, points, args, has_aux
        As in `assert_jacobian_close`: ``func(params, *args) -> outputs``.
    jvp : callable
        ``jvp(params, v, *args)`` with v in params' structure; returns J v in the outputs'.
    strided : bool, optional
        Pass v as arrays with gaps between their entries in memory, where there are strides: a
        product may take contiguous ones for granted.
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


@takes(JacobianOptions)
def check_vjp(
    func: Callable[..., Any],
    vjp: Callable[..., Any],
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    strided: bool = False,
    **options: Unpack[JacobianOptions],
) -> GradientReport:
    """Check a vector-Jacobian product as `assert_vjp_close` does, and always return a report."""
    call, chosen = Call(func, as_tuple(args), has_aux), options_from(check_vjp, options)
    return _checked("vjp", vjp, call, params, points, chosen, strided)


@asserting(check_vjp, JacobianOptions)
def assert_vjp_close() -> None:
    """Assert that a vector-Jacobian product (reverse mode, a layer's backward) is that of func.

    Parameters
    ----------
    func, params, points, args, has_aux
        As in `assert_jacobian_close`: ``func(params, *args) -> outputs``.
    vjp : callable
        ``vjp(params, u, *args)`` with u in the outputs' structure; returns uᵀ J in params'.
    strided : bool, optional
        As in `assert_jvp_close`, of u.
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
