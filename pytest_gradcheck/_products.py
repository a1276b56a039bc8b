"""The public checks of products with a Jacobian: forward mode and reverse mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack

import numpy as np

from ._analytic import gradient_vector
from ._blocks import Block
from ._call import calling
from ._combined import along_cotangents, along_tangents, cotangent, tangent
from ._compare import LEAST_TERM
from ._given import announced
from ._gradient import as_tuple
from ._jacobian import Check, Judging, checking, judging, own_params
from ._matrix import Matrix
from ._names import brief
from ._outputs import dtypes_of, output_vector
from ._pairs import report_of
from ._points import at_points
from ._probes import random_weights
from ._problem import Call, require_callable
from ._report import GradientReport, hide_frame

Array = np.ndarray[Any, Any]

MOST_PRODUCTS = 2000
"""Products with basis vectors, beyond which random vectors are taken."""

LINEAR_WITHIN = 64.0
"""Machine epsilons, times the size of the terms, by which a product with a random vector may differ
from the sum of those with basis vectors."""


def check_jvp(
    func: Callable[..., Any],
    jvp: Callable[..., Any],
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[Judging],
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
    call, judged = Call(as_tuple(args), has_aux), judging(options)

    def at(point: Any) -> GradientReport:
        with checking(func, point, call, judged) as check:

            def product(v: Array) -> Any:
                with calling(call.form("jvp").replace("params", "params, v")):
                    return jvp(own_params(check), tangent(check, v), *call.args)

            if check.problem.size > MOST_PRODUCTS or not check.exhaustive:
                return along_tangents(check, product, call, "jvp")
            return report_of(check, [by_columns(check, product, "jvp")])

    return announced(at_points(at, params, points, jvp, "jvp"))


def assert_jvp_close(
    func: Callable[..., Any],
    jvp: Callable[..., Any],
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[Judging],
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
    points, args, has_aux, **options
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
    return check_jvp(
        func, jvp, params, points=points, args=args, has_aux=has_aux, **options
    ).raise_if_failed()


def check_vjp(
    func: Callable[..., Any],
    vjp: Callable[..., Any],
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[Judging],
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
    call, judged = Call(as_tuple(args), has_aux), judging(options)

    def at(point: Any) -> GradientReport:
        with checking(func, point, call, judged) as check:

            def product(u: Array) -> Any:
                with calling(call.form("vjp").replace("params", "params, u")):
                    return vjp(own_params(check), cotangent(check, u), *call.args)

            if check.capture.outputs.size > MOST_PRODUCTS or not check.exhaustive:
                return along_cotangents(check, product, call)
            return report_of(check, [_by_rows(check, product)])

    return announced(at_points(at, params, points, vjp, "vjp"))


def assert_vjp_close(
    func: Callable[..., Any],
    vjp: Callable[..., Any],
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[Judging],
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
    points, args, has_aux, **options
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
    outputs, n = check.capture.outputs, check.problem.size
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
    center = float(np.abs(check.shared.center).max(initial=LEAST_TERM))
    dust = center * float(np.sum(np.abs(v) / check.problem.scale))
    precisions = (*dtypes, *narrow)
    remark = _linear(dense * v, found, precisions, what, "v", check.capture.outputs.blocks, dust)
    each = len(check.shape.blocks)
    return Matrix(dense, tuple(dtype for dtype in dtypes for _ in range(each)), remark)


def _by_rows(check: Check, product: Callable[[Array], Any]) -> Matrix:
    """Multiply a product uᵀJ out, row by row."""
    structure, blocks, m = check.problem.structure, check.problem.blocks, check.capture.outputs.size
    dtypes: tuple[np.dtype[Any], ...] = ()
    basis, rows = np.zeros(m), []
    for k in range(m):
        basis[k] = 1.0
        row, dtypes = gradient_vector(product(basis), structure, blocks, "vjp")
        rows.append(row)
        basis[k] = 0.0
    dense = np.stack(rows)
    u, narrow = _weights(check, check.capture.outputs.blocks)
    found, _ = gradient_vector(product(u), structure, blocks, "vjp")
    center = np.maximum(np.abs(check.shared.center[:m]), LEAST_TERM)
    dust = float(np.abs(u) @ center) / check.problem.scale
    remark = _linear(dense.T * u, found, (*dtypes, *narrow), "vjp", "u", blocks, dust)
    return Matrix(dense, dtypes * len(check.capture.outputs.blocks), remark)


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
    every = (*check.problem.blocks, *check.capture.outputs.blocks)
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
