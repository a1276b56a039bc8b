"""The checks: flatten → probes → steps → evaluate → estimate → compare → diagnose → report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from . import _coordinates as coordinates
from ._again import look_again, of_suspects, remembered
from ._assemble import assemble
from ._compare import Tolerance, tolerance
from ._evaluated import evaluate_gradient
from ._found import finding_of
from ._given import announced
from ._gradient import Patterns, as_tuple, differenced, options_from, raise_domain_error
from ._judge import judge
from ._options import Options, Workers
from ._points import at_points
from ._problem import Analytic, Call, Problem, prepare, require_callable
from ._question import NOT_FINITE
from ._report import GradientReport, hide_frame
from ._scale import AtScale
from ._scale_report import report_at_scale
from ._stale import reconsidered
from ._watch import Watch


def check_gradients(
    func: Callable[..., Any],
    grad: Any,
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
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
    workers: Workers = 1,
    vectorized: bool = False,
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
    options = options_from(
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
        workers=workers,
        vectorized=vectorized,
    )
    call = Call(as_tuple(args), has_aux, in_place, copy)
    return announced(
        at_points(lambda at: run_check(func, grad, at, call, options), params, points, grad)
    )


def assert_gradients_close(
    func: Callable[..., Any],
    grad: Any,
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
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
    workers: Workers = 1,
    vectorized: bool = False,
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
        Floating point, real or complex.  The gradient of a complex parameter is ∂J/∂Re +
        i·∂J/∂Im; where yours is the conjugate, as `jax.grad` gives it, pass `numpy.conj` of it.
    points : iterable of params, optional
        Several points, in place of params: all are checked, and the report is that of the first
        that fails, with all of them in its `points`.
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
    workers : int, executor, or map-like callable, optional
        Who evaluates func, with the same results: so many threads (-1: one for each processor),
        a ``concurrent.futures.Executor`` (then func can be pickled, as a process pool wants it),
        Dask's ``client.get_executor()``, or a ``map(function, list)``.  Default 1, the caller.
    vectorized : bool, optional
        func takes many points at once: every array in params has a leading batch axis, floats
        are arrays of shape (batch,), and J has shape (batch,).  grad gets params without it.

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
        points=points,
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
        workers=workers,
        vectorized=vectorized,
    ).raise_if_failed()


def run_check(
    func: Callable[..., Any], grad: Any, params: Any, call: Call, options: Options
) -> GradientReport:
    """Run a check from arguments to report."""
    started = time.perf_counter()
    asked = remembered()
    require_callable(func, grad)
    problem = prepare(func, params, call, options, returns_pair=grad is True)
    watch = problem.evaluator.watch = Watch(problem.evaluator, problem.blocks)
    try:
        analytic = evaluate_gradient(grad, problem, call, options)
        watch.analytic = analytic.vector
        # Before anything else is evaluated, which must not influence it.
        along = goes_along_directions(problem, options)
        reasons = tuple(text for text in (problem.unrepeated, analytic.unrepeated) if text)
        again = None if reasons else look_again(problem, analytic, options, asked)
        if again is not None:
            found, limits, reasons = again.found, again.limits, (again.reason,)
        elif along and not reasons:
            check = AtScale(problem, analytic, options)
            watch.answers = check.answers
            check.run()
            problem.evaluator.require_unchanged("func")
            return report_at_scale(name_of(func), check, time.perf_counter() - started)
        else:
            found, limits = _one_by_one(problem, analytic, options, evaluated=not reasons)
        problem.evaluator.require_unchanged("func")
        finding = finding_of(name_of(func), problem, analytic, found, limits, reasons, options)
        report = assemble(finding, options, time.perf_counter() - started)
        report = replace(report, evaluations=problem.evaluator.evaluations)
        report = reconsidered(report, grad, problem, analytic, call, options)
    except KeyboardInterrupt as stop:
        stop.add_note(watch.note())
        raise
    finally:
        problem.evaluator.close()
    return of_suspects(report) if again is not None else report


def _one_by_one(
    problem: Problem, analytic: Analytic, options: Options, *, evaluated: bool
) -> tuple[coordinates.Sweep, Tolerance]:
    """Difference every parameter and judge it; not `evaluated`: only say how it would be."""
    if evaluated:
        found, _ = differenced(problem, analytic, options)
        limits = judge(problem, analytic, options, found)
        if NOT_FINITE in found.outcome.reasons.values():
            raise_domain_error(problem)
        return found, limits
    found = coordinates.nothing(problem)
    limits = tolerance(
        found.outcome.numeric,
        problem.scale,
        problem.blocks,
        analytic.precision,
        options,
        fine=1.0,
    )
    return found, limits


def name_of(func: Callable[..., Any]) -> str:
    """Return func's name for a report."""
    return str(getattr(func, "__qualname__", type(func).__name__))


def goes_along_directions(problem: Problem, options: Options) -> bool:
    """Return whether differencing every parameter takes more evaluations than are allowed.

    A given step, or another formula, is for parameters one by one, and so is never screened.
    """
    if options.eps is not None or options.scheme != "central":
        return False
    most = EXHAUSTIVE if options.max_evals is None else options.max_evals
    return problem.evaluator.evaluations + 2 * problem.size + OVERHEAD > most


EXHAUSTIVE = 4200
"""Evaluations up to which every parameter is differenced when ``max_evals`` is not given."""

OVERHEAD = 7
"""Evaluations that measuring the noise takes."""
