"""The engine alone: the numeric gradient, in params' structure."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _coordinates as coordinates
from ._blocks import labels, to_structure
from ._compare import Outcome
from ._complex import complex_sweep
from ._differences import BudgetExhausted
from ._names import listing
from ._noise import Noise, from_values
from ._numeric import climb_all
from ._options import Options, Workers, merged
from ._probes import sample
from ._problem import Analytic, Call, Problem, prepare
from ._stencils import COMPLEX_STEP
from ._watch import Watch

Patterns = str | Sequence[str]


def options_from(**given: Any) -> Options:
    """Return the options of a call."""
    return merged(("gradcheck", given))


def as_tuple(args: Any) -> tuple[Any, ...]:
    """Return ``args`` as a tuple; a string or an array there is a mistake."""
    if not isinstance(args, (tuple, list)):
        raise TypeError(f"args must be a tuple of what follows params, not {type(args).__name__}")
    return tuple(args)


def numerical_gradient(
    func: Callable[..., Any],
    params: Any,
    *,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    in_place: bool = False,
    copy: bool = False,
    eps: float | None = None,
    scheme: str = "central",
    seed: int = 0,
    only: Patterns = (),
    skip: Patterns = (),
    workers: Workers = 1,
    vectorized: bool = False,
) -> Any:
    """Return the gradient of func by differences, in params' structure.

    Parameters
    ----------
    func, params, args, has_aux, in_place, copy, eps, scheme, seed, only, skip, workers, vectorized
        As in `assert_gradients_close`.

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
    options = options_from(
        eps=eps,
        scheme=scheme,
        seed=seed,
        only=only,
        skip=skip,
        workers=workers,
        vectorized=vectorized,
    )
    call = Call(as_tuple(args), has_aux, in_place, copy)
    problem, outcome = _engine(func, params, call, options, accurate=False)
    return to_structure(problem.structure, problem.blocks, outcome.numeric)


def numerical_gradient_with_error(
    func: Callable[..., Any],
    params: Any,
    *,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    in_place: bool = False,
    copy: bool = False,
    seed: int = 0,
    only: Patterns = (),
    skip: Patterns = (),
    workers: Workers = 1,
    vectorized: bool = False,
) -> tuple[Any, Any]:
    """Return the gradient of func by extrapolated differences, and its error bars.

    Every parameter is differenced at several steps, 6 to 30 evaluations each.

    Parameters
    ----------
    func, params, args, has_aux, in_place, copy, seed, only, skip, workers, vectorized
        As in `assert_gradients_close`.

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
    options = options_from(seed=seed, only=only, skip=skip, workers=workers, vectorized=vectorized)
    call = Call(as_tuple(args), has_aux, in_place, copy)
    problem, outcome = _engine(func, params, call, options, accurate=True)
    return (
        to_structure(problem.structure, problem.blocks, outcome.numeric),
        to_structure(problem.structure, problem.blocks, outcome.error),
    )


def _engine(
    func: Callable[..., Any], params: Any, call: Call, options: Options, *, accurate: bool
) -> tuple[Problem, Outcome]:
    problem = prepare(func, params, call, options, returns_pair=False)
    watch = problem.evaluator.watch = Watch(problem.evaluator, problem.blocks)
    try:
        if problem.unrepeated:
            raise ValueError(problem.unrepeated)
        found, _ = differenced(problem, None, options)
        if accurate or not np.isfinite(found.outcome.numeric).all():
            vague = climb_all(problem, found, only_missing=not accurate)
            if vague and not accurate:
                _warn(problem, vague)
        if np.isnan(found.outcome.numeric).any():
            raise_domain_error(problem)
    except KeyboardInterrupt as stop:
        stop.add_note(watch.note())
        raise
    finally:
        problem.evaluator.close()
    return problem, found.outcome


def _warn(problem: Problem, vague: Sequence[int]) -> None:
    from ._report import GradcheckWarning

    label = labels(problem.blocks)
    names = listing([label(i) for i in vague], 4)
    warnings.warn(
        f"numerical_gradient: the slope of func by {names}, at the edge of its domain, grows as "
        "the step falls: the derivative may be infinite there, and what is returned is no estimate",
        GradcheckWarning,
        stacklevel=4,
    )


def differenced(
    problem: Problem, analytic: Analytic | None, options: Options
) -> tuple[coordinates.Sweep, Noise]:
    """Difference every coordinate, or, when max_evals allows no more, a sample of them."""
    if options.scheme == COMPLEX_STEP.name:
        found = complex_sweep(problem, options)
        return found, found.noise
    row = coordinates.central_row(options)
    try:
        noise = coordinates.noise_of(problem, options)
    except BudgetExhausted:
        noise = from_values(np.array([problem.center]), problem.jitter)
    each = sum(1 for offset in row.offsets if offset != 0)
    chosen = None
    if options.max_evals is not None:
        left = max(options.max_evals - problem.evaluator.evaluations, 0)
        if left < each * problem.size:
            # A fifth is kept for asking again, or what looks wrong could never be confirmed.
            picked = sample(problem.size, 4 * left // (5 * each), options.seed)
            chosen = [
                picked[(picked >= b.start) & (picked < b.stop)] - b.start for b in problem.blocks
            ]
    size = coordinates.value_size(problem, analytic.vector if analytic else None)
    return coordinates.sweep(problem, row, noise, options, size, chosen), noise


def raise_domain_error(problem: Problem) -> None:
    """Raise what func raised near θ, if it did, when no step was inside its domain."""
    error = problem.evaluator.domain_error
    if error is not None:
        error.add_note("gradcheck: raised by func at every step from the parameters that was tried")
        raise error
