"""The checks: flatten → probes → steps → evaluate → estimate → compare → diagnose → report."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from . import _coordinates as coordinates
from ._analytic import gradient_vector
from ._assemble import Finding, assemble
from ._blocks import to_structure
from ._compare import Outcome, relative_difference, tolerance, within
from ._complex import complex_sweep
from ._differences import BudgetExhausted
from ._judge import judge
from ._noise import Noise, from_values
from ._numeric import climb_all
from ._options import Options, merged
from ._probes import sample
from ._problem import (
    Analytic,
    Call,
    Problem,
    evaluate_gradient,
    prepare,
    require_callable,
    structure_of,
)
from ._refine import AGREE, DISAGREE
from ._report import GradcheckWarning, GradientMismatch, GradientReport, hide_frame
from ._stencils import COMPLEX_STEP
from .hookspecs import observer, plugin_manager

Patterns = str | Sequence[str]


def _options(**given: Any) -> Options:
    return merged(("gradcheck", given))


def check_gradients(
    func: Callable[..., Any],
    grad: Any,
    params: Any,
    *,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    in_place: bool = False,
    copy: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
    eps: float | None = None,
    threshold: float | None = None,
    scheme: str = "central",
    max_evals: int | None = None,
    seed: int = 0,
    only: Patterns = (),
    skip: Patterns = (),
    nondet_tol: float = 0.0,
    inconclusive: str = "fail",
    kinks: str = "pass",
    vacuous: str = "fail",
    max_report: int = 5,
) -> GradientReport:
    """Check an analytic gradient against centred differences and return the report.

    Takes what `assert_gradients_close` takes and does the same, but never raises for a gradient
    that is wrong.

    Returns
    -------
    GradientReport

    Raises
    ------
    TypeError, ValueError
        For bad input, as `assert_gradients_close` does.

    Examples
    --------
    >>> from pytest_gradcheck import check_gradients
    >>> report = check_gradients(lambda x: x**3, lambda x: 2 * x**2, 2.0)
    >>> report.verdict, report.worst[0].analytic, round(report.worst[0].numeric, 6)
    ('disagree', 8.0, 12.0)
    """
    options = _options(
        rtol=rtol,
        atol=atol,
        eps=eps,
        threshold=threshold,
        scheme=scheme,
        max_evals=max_evals,
        seed=seed,
        only=only,
        skip=skip,
        nondet_tol=nondet_tol,
        inconclusive=inconclusive,
        kinks=kinks,
        vacuous=vacuous,
        max_report=max_report,
    )
    report = _run(func, grad, params, Call(_tuple(args), has_aux, in_place, copy), options)
    return _announced(report)


def assert_gradients_close(
    func: Callable[..., Any],
    grad: Any,
    params: Any,
    *,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    in_place: bool = False,
    copy: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
    eps: float | None = None,
    threshold: float | None = None,
    scheme: str = "central",
    max_evals: int | None = None,
    seed: int = 0,
    only: Patterns = (),
    skip: Patterns = (),
    nondet_tol: float = 0.0,
    inconclusive: str = "fail",
    kinks: str = "pass",
    vacuous: str = "fail",
    max_report: int = 5,
) -> GradientReport:
    """Assert that an analytic gradient is that of func.

    Parameters
    ----------
    func : callable
        ``func(params, *args) -> J``, a real number, or a 0-d or one-element array.
    grad : callable, True, or object
        A callable of the same arguments; or the gradient itself, in params' structure; or True:
        func returns ``(J, gradient)``.
    params : array, number, dict, list, tuple, named tuple, dataclass, nested at will
        Where the gradient is checked.  func gets a private copy; yours are never changed.
        Floating point, real or complex (then the gradient is ∂J/∂Re + i·∂J/∂Im).
    args : tuple, optional
        Passed on to func and grad behind params, untouched.
    has_aux : bool, optional
        func returns ``(J, anything)``; with ``grad=True``, ``((J, anything), gradient)``.
    in_place : bool, optional
        func takes no params but reads these very arrays through a closure.  They are perturbed
        in place and restored bit for bit, whatever happens.
    copy : bool, optional
        Give func a fresh copy at every evaluation, because it changes its parameters on purpose.
    rtol : float, optional
        Relative tolerance per parameter, a demand: what can't be established is inconclusive.
        Unset: as tight as the dtypes and the noise of func allow, from 1e-7 to 1e-2.
    atol : float, optional
        Absolute tolerance per parameter.  Unset: relative to the gradient of the block, and far
        below rtol's.
    eps : float, optional
        The step, the same for every parameter and taken exactly: 2 evaluations per parameter
        and 2 more.  Unset: chosen per parameter.
    threshold : float, optional
        Largest `difference`, ‖a − n‖₂ / (‖a‖₂ + ‖n‖₂), that passes.  Unset: not applied.
    scheme : str, optional
        "central" (default), "central4", "central6", "forward", "backward", "forward2",
        "backward2", or "complex" for a func that accepts complex parameters.
    max_evals : int, optional
        Most evaluations of func.  What is then left unsettled is inconclusive.
    seed : int, optional
        Of the random directions, default 0.
    only, skip : str or sequence of str, optional
        Names of blocks, or glob patterns, to check or to leave out.
    nondet_tol : float, optional
        By how much func may differ between two calls, default 0.
    inconclusive : {"fail", "warn", "pass"}, optional
        What a parameter that can't be told does.
    kinks : {"pass", "fail"}, optional
        Whether a value between the two slopes of a kink passes.
    vacuous : {"fail", "warn", "pass"}, optional
        What a block on which nothing was checked does.
    max_report : int, optional
        Worst parameters in the failure, default 5; 0: all.

    Returns
    -------
    GradientReport

    Raises
    ------
    GradientMismatch
        An `AssertionError` with the report as ``.report``: a parameter disagrees, or, by the
        options, can't be told.
    TypeError, ValueError
        For bad input: structures that do not match, a func that returns no number or writes to
        its parameters, options out of range.

    Notes
    -----
    A parameter *agrees* when |a − n| ≤ atol + rtol·max(|a|, |n|) + 1.5·u, with u the error bar
    of the numeric value n, and u is small enough to tell.  See ``docs/numerics.md``.

    References
    ----------
    .. [1] J. J. Moré and S. M. Wild, "Estimating Computational Noise", SIAM J. Sci. Comput.
       33(3), 2011.
    .. [2] W. H. Press et al., *Numerical Recipes*, 3rd ed., section 5.7.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import assert_gradients_close
    >>> def cost(params):
    ...     return np.sum(np.tanh(params["W"] @ np.array([1.0, 2.0])))
    >>> def backward(params):
    ...     h = np.tanh(params["W"] @ np.array([1.0, 2.0]))
    ...     return {"W": np.outer(1 - h**2, [1.0, 2.0])}
    >>> report = assert_gradients_close(cost, backward, {"W": np.array([[0.1, 0.2], [0.3, -0.4]])})
    >>> report.verdict
    'agree'
    """
    __tracebackhide__ = hide_frame
    return check_gradients(
        func,
        grad,
        params,
        args=args,
        has_aux=has_aux,
        in_place=in_place,
        copy=copy,
        rtol=rtol,
        atol=atol,
        eps=eps,
        threshold=threshold,
        scheme=scheme,
        max_evals=max_evals,
        seed=seed,
        only=only,
        skip=skip,
        nondet_tol=nondet_tol,
        inconclusive=inconclusive,
        kinks=kinks,
        vacuous=vacuous,
        max_report=max_report,
    ).raise_if_failed()


def compare_gradients(
    analytic: Any,
    reference: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    threshold: float | None = None,
    only: Patterns = (),
    skip: Patterns = (),
    max_report: int = 5,
) -> GradientReport:
    """Compare two gradients that you already have, and return the report.

    Parameters
    ----------
    analytic, reference : array, number or container of them
        Of the same structure.  `reference` stands where the numeric gradient stands in reports,
        without an error bar.
    rtol : float, optional
        Relative tolerance per entry.  Unset: 1e-7, or coarser by the dtypes.
    atol : float, optional
        Absolute tolerance per entry.  Unset: 32 eps of the block's root mean square.
    threshold : float, optional
        Largest difference that passes.  Unset: not applied.
    only, skip : str or sequence of str, optional
        Names of blocks, or glob patterns.
    max_report : int, optional
        Worst entries in the message, default 5.

    Returns
    -------
    GradientReport
        Call its ``raise_if_failed()`` to assert.

    Raises
    ------
    TypeError, ValueError
        When the structures do not match.

    Examples
    --------
    >>> from pytest_gradcheck import compare_gradients
    >>> report = compare_gradients({"W": [1.0, 2.0]}, {"W": [1.0, 2.5]})
    >>> report.ok, report.worst[0].label
    (False, 'W[1]')
    """
    started = time.perf_counter()
    options = _options(
        rtol=rtol, atol=atol, threshold=threshold, only=only, skip=skip, max_report=max_report
    )
    structure, blocks = structure_of(reference, options)
    numeric, narrow = gradient_vector(reference, structure, blocks, "reference")
    a, dtypes = gradient_vector(analytic, structure, blocks, "analytic")
    precision = [
        max(float(np.finfo(x).eps), float(np.finfo(y).eps), 2.0**-52)
        for x, y in zip(dtypes, narrow, strict=True)
    ]
    n = a.size
    outcome = Outcome(
        numeric.astype(np.float64), np.zeros(n), np.full(n, np.inf), np.zeros(n, np.int8)
    )
    ones = np.ones(n)
    limits = tolerance(outcome.numeric, ones, blocks, precision, options, fine=1.0)
    agrees = within(outcome, a, limits) & np.isfinite(a)
    outcome.verdict[:] = np.where(agrees, AGREE, DISAGREE)
    finding = Finding(
        name="compare_gradients",
        structure=structure,
        blocks=blocks,
        theta=numeric,
        scale=ones,
        analytic=a,
        outcome=outcome,
        limits=limits,
        flat=numeric == 0,
        evaluated=np.ones(n, dtype=bool),
        value=float("nan"),
        noise=0.0,
        precision="given",
        evaluations=0,
        scheme="two gradients as given",
    )
    return _announced(assemble(finding, options, time.perf_counter() - started))


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
) -> Any:
    """Return the gradient of func by differences, in params' structure.

    Parameters
    ----------
    func, params, args, has_aux, in_place, copy, eps, scheme, seed, only, skip
        As in `assert_gradients_close`.

    Returns
    -------
    object
        params' containers with float64 arrays (complex128 for complex parameters) and floats;
        None for what was left out.

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
    options = _options(eps=eps, scheme=scheme, seed=seed, only=only, skip=skip)
    call = Call(_tuple(args), has_aux, in_place, copy)
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
) -> tuple[Any, Any]:
    """Return the gradient of func by extrapolated differences, and its error bars.

    Every parameter is differenced at several steps, 6 to 30 evaluations each.

    Parameters
    ----------
    func, params, args, has_aux, in_place, copy, seed, only, skip
        As in `assert_gradients_close`.

    Returns
    -------
    gradient, error : object
        Both in params' structure.  At a kink the gradient is the mean of the two slopes and the
        error bar half of their distance; where func is finite on neither side it is infinite.

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
    options = _options(seed=seed, only=only, skip=skip)
    call = Call(_tuple(args), has_aux, in_place, copy)
    problem, outcome = _engine(func, params, call, options, accurate=True)
    return (
        to_structure(problem.structure, problem.blocks, outcome.numeric),
        to_structure(problem.structure, problem.blocks, outcome.error),
    )


def _engine(
    func: Callable[..., Any], params: Any, call: Call, options: Options, *, accurate: bool
) -> tuple[Problem, Outcome]:
    problem = prepare(func, params, call, options, returns_pair=False)
    try:
        if problem.unrepeated:
            raise ValueError(problem.unrepeated)
        found, _ = _differenced(problem, None, options)
        if accurate or not np.isfinite(found.outcome.numeric).all():
            climb_all(problem, found, only_missing=not accurate)
        if np.isnan(found.outcome.numeric).any():
            _require_inside(problem, found)
    finally:
        problem.evaluator.work.restore()
    return problem, found.outcome


def _differenced(
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
        affordable = (options.max_evals - problem.evaluator.evaluations) // each
        if affordable < problem.size:
            picked = sample(problem.size, max(affordable, 0), options.seed)
            chosen = [
                picked[(picked >= b.start) & (picked < b.stop)] - b.start for b in problem.blocks
            ]
    size = coordinates.value_size(problem, analytic.vector if analytic else None)
    return coordinates.sweep(problem, row, noise, options, size, chosen), noise


def _run(
    func: Callable[..., Any], grad: Any, params: Any, call: Call, options: Options
) -> GradientReport:
    """Run a check from arguments to report."""
    started = time.perf_counter()
    require_callable(func, grad)
    problem = prepare(func, params, call, options, returns_pair=grad is True)
    try:
        analytic = evaluate_gradient(grad, problem, call, options)
        reasons = tuple(text for text in (problem.unrepeated, analytic.unrepeated) if text)
        if reasons:
            found = coordinates.nothing(problem)
            limits = tolerance(
                found.outcome.numeric,
                problem.scale,
                problem.blocks,
                analytic.precision,
                options,
                fine=1.0,
            )
        else:
            found, _ = _differenced(problem, analytic, options)
            limits = judge(problem, analytic, options, found)
            _require_inside(problem, found)
            problem.evaluator.require_unchanged("func")
    finally:
        problem.evaluator.work.restore()
    finding = Finding(
        name=getattr(func, "__qualname__", type(func).__name__),
        structure=problem.structure,
        blocks=problem.blocks,
        theta=problem.theta,
        scale=problem.scale,
        analytic=analytic.vector,
        outcome=found.outcome,
        limits=limits,
        flat=found.flat,
        evaluated=found.step > 0,
        value=float(problem.center),
        noise=found.noise.sigma,
        precision=found.noise.format,
        evaluations=problem.evaluator.evaluations,
        scheme=found.title,
        reasons=reasons,
    )
    return assemble(finding, options, time.perf_counter() - started)


def _require_inside(problem: Problem, found: coordinates.Sweep) -> None:
    """Raise what func raised near θ when no step was inside its domain."""
    error = problem.evaluator.domain_error
    if error is not None and (np.isinf(found.outcome.error) & (found.step > 0)).any():
        error.add_note("gradcheck: raised by func at every step from the parameters that was tried")
        raise error


def _announced(report: GradientReport) -> GradientReport:
    """Add the hints of plugins, tell the observer, and warn where the options ask for it."""
    if not report.ok:
        said = plugin_manager().hook.gradcheck_explain(report=report)
        hints = tuple(str(hint) for hint in said if hint)
        if hints:
            report = replace(report, hints=hints)
    watcher = observer.get()
    if watcher is not None:
        watcher(report)
    if report.warning:
        warnings.warn(report.warning, GradcheckWarning, stacklevel=3)
    return report


def _tuple(args: Any) -> tuple[Any, ...]:
    if not isinstance(args, (tuple, list)):
        raise TypeError(f"args must be a tuple of what follows params, not {type(args).__name__}")
    return tuple(args)


__all__ = [
    "GradientMismatch",
    "assert_gradients_close",
    "check_gradients",
    "compare_gradients",
    "numerical_gradient",
    "numerical_gradient_with_error",
    "relative_difference",
]
