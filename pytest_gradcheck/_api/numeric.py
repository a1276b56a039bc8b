"""The engine alone: the numeric gradient, in params' structure, under a constraint if need be."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Unpack

import numpy as np

from .._difference.climb import climb_all, climb_nearer
from .._difference.sweep import Sweep, differenced, raise_domain_error
from .._evaluate.call import Call, as_tuple
from .._evaluate.problem import Problem, prepare, require_callable
from .._options import EvaluationOptions, NumericOptions, Options, options_from, takes
from .._params.layout import blocks_of, labels, to_structure, vector_of
from .._params.structure import flatten
from .._quoting import listing

Array = np.ndarray[Any, Any]


@takes(NumericOptions)
def numerical_gradient(
    func: Callable[..., Any],
    params: Any,
    *,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    in_place: bool = False,
    copy: bool = False,
    **options: Unpack[NumericOptions],
) -> Any:
    """Return the gradient of func by differences, in params' structure.

    Parameters
    ----------
    func, params, args, has_aux, in_place, copy
        As in `assert_gradients_close`.
    **options
        As in `Options`.

    Returns
    -------
    object
        params' containers with float64 arrays (complex128 for complex parameters) and floats;
        None for what was left out.  At the edge of func's domain the slope of one side; where that
        grows without limit as the step falls, as that of √x does at 0, with a `GradcheckWarning`.

    Raises
    ------
    TypeError, ValueError
        For bad input.

    See Also
    --------
    numerical_gradient_with_error : the same with error bars, at more evaluations.

    Examples
    --------
    >>> from pytest_gradcheck import numerical_gradient
    >>> gradient = numerical_gradient(lambda p: p["a"] * p["b"] ** 2, {"a": 2.0, "b": 3.0})
    >>> {name: round(value, 6) for name, value in gradient.items()}
    {'a': 9.0, 'b': 12.0}
    """
    chosen = options_from(numerical_gradient, options)
    call = Call(func, as_tuple(args), has_aux, in_place, copy)
    problem, found = _engine(call, params, chosen, accurate=False)
    return to_structure(problem.structure, problem.blocks, found.numeric)


@takes(EvaluationOptions)
def numerical_gradient_with_error(
    func: Callable[..., Any],
    params: Any,
    *,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    in_place: bool = False,
    copy: bool = False,
    **options: Unpack[EvaluationOptions],
) -> tuple[Any, Any]:
    """Return the gradient of func by extrapolated differences, and its error bars.

    Every parameter is differenced at several steps, 6 to 30 evaluations each.

    Parameters
    ----------
    func, params, args, has_aux, in_place, copy
        As in `assert_gradients_close`.
    **options
        As in `Options`.

    Returns
    -------
    gradient, error : object
        Both in params' structure.  At a kink the gradient is the mean of the two slopes and the
        error bar half of their distance; where slopes have no limit as the step falls, as that
        of √x at 0 has none, or func is finite on neither side, it is infinite.

    Raises
    ------
    TypeError, ValueError
        For bad input.

    Examples
    --------
    >>> import math
    >>> from pytest_gradcheck import numerical_gradient_with_error
    >>> slope, error = numerical_gradient_with_error(math.sin, 1.0)
    >>> abs(slope - math.cos(1.0)) <= error < 1e-9
    True
    """
    chosen = options_from(numerical_gradient_with_error, options)
    call = Call(func, as_tuple(args), has_aux, in_place, copy)
    problem, found = _engine(call, params, chosen, accurate=True)
    return (
        to_structure(problem.structure, problem.blocks, found.numeric),
        to_structure(problem.structure, problem.blocks, found.error),
    )


def _engine(call: Call, params: Any, options: Options, *, accurate: bool) -> tuple[Problem, Sweep]:
    problem = prepare(call, params, options)
    with closing(problem.evaluator), problem.evaluator.progress.interruptible():
        if problem.unrepeated:
            raise ValueError(problem.unrepeated)
        found, _ = differenced(problem, None, options)
        if accurate or not np.isfinite(found.numeric).all():
            vague = climb_all(problem, found, only_missing=not accurate)
            if vague and not accurate:
                _warn(problem, vague)
        climb_nearer(problem, found, options.seed)
        if np.isnan(found.numeric).any():
            raise_domain_error(problem)
    return problem, found


def _warn(problem: Problem, vague: Sequence[int]) -> None:
    from .._options import GradcheckWarning

    label = labels(problem.blocks)
    names = listing([label(i) for i in vague], 4)
    warnings.warn(
        f"numerical_gradient: the slope of func by {names}, at the edge of its domain, grows as "
        "the step falls: the derivative may be infinite there, and what is returned is no estimate",
        GradcheckWarning,
        stacklevel=4,
    )


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
