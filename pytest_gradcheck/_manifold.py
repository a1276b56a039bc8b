"""Parameters under a constraint: perturbed along a retraction, which keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._blocks import blocks_of, vector_of
from ._gradient import numerical_gradient
from ._problem import require_callable
from ._structure import flatten

Array = np.ndarray[Any, Any]


def pulled_back(
    func: Callable[..., Any],
    grad: Any,
    params: Any,
    *,
    retract: Callable[[Any, Any], Any],
    tangent: Any,
) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
    """Return func, gradient and point in tangent coordinates, for `assert_gradients_close`.

    A unit quaternion, a rotation matrix or a vector of probabilities has no neighbours along its
    entries: a step leaves the constraint, and func may mean nothing there.  Steps are taken along
    ``retract(params, t)`` instead, which obeys the constraint for every t.

    Parameters
    ----------
    func : callable
        ``func(params, *args) -> J``.
    grad : callable or object
        The gradient, of either kind: in tangent's structure it is the tangent gradient, ∂J/∂t at
        t = 0; in params' structure the ambient one, which is pulled back by the retraction's own
        differential, so its part across the constraint does not count.  Where both structures are
        the same it is taken for the ambient one.
    params : object
        A point that obeys the constraint.
    retract : callable
        ``retract(params, t) -> params``, with ``retract(params, 0)`` equal to params.
    tangent : object
        Zeros of t's structure and shape.

    Returns
    -------
    func, grad, tangent
        Of t; their order is `assert_gradients_close`'s.

    Raises
    ------
    ValueError
        When tangent is not zero, ``retract(params, tangent)`` is not params, or the gradient has
        neither structure.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import assert_gradients_close, pulled_back
    >>> def on_sphere(x, t):
    ...     return (x + t) / np.linalg.norm(x + t)
    >>> x, a = np.array([0.6, 0.8, 0.0]), np.array([1.0, -2.0, 0.5])
    >>> made = pulled_back(lambda x: a @ x, lambda x: a, x, retract=on_sphere, tangent=np.zeros(3))
    >>> assert_gradients_close(*made).verdict
    'agree'
    """
    require_callable(func)
    zero = flatten(tangent)
    if _vector(tangent).any():
        raise ValueError("tangent must be zeros: it gives the structure of t, and is its origin")
    start = _vector(retract(params, tangent))
    here = _vector(params)
    if start.shape != here.shape or not np.allclose(start, here, rtol=1e-6, atol=1e-8):
        raise ValueError(
            "retract(params, tangent) is not params: a retraction leaves the point where it is "
            "for a tangent of zeros (does params obey the constraint?)"
        )

    def along(t: Any, *args: Any) -> Any:
        return func(retract(params, t), *args)

    def gradient(t: Any, *args: Any) -> Any:
        found = grad(retract(params, t), *args) if callable(grad) else grad
        shapes = _shapes(found)
        # Where t has params' own structure, as on the sphere above, the ambient one is meant: a
        # tangent gradient is pulled back to itself there when the retraction projects.
        if shapes == _shapes(tangent) != _shapes(params):
            return found
        if shapes != _shapes(params):
            raise ValueError(
                f"the gradient has shapes {shapes}; they must be tangent's, {_shapes(tangent)}, or "
                f"params', {_shapes(params)}"
            )
        weights = _vector(found)
        return numerical_gradient(lambda s: float(weights @ _vector(retract(params, s))), t)

    along.__qualname__ = str(getattr(func, "__qualname__", type(func).__name__))
    return along, gradient, zero.rebuild([leaf.value for leaf in zero.leaves])


def _vector(value: Any) -> Array:
    structure = flatten(value)
    return vector_of(structure, blocks_of(structure, (), ()))


def _shapes(value: Any) -> list[tuple[str, tuple[int, ...]]]:
    return [(leaf.name, np.shape(leaf.value)) for leaf in flatten(value).leaves]
