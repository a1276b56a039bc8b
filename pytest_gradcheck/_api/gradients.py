"""The public checks of gradients: of func's, and of two that the user already has."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from .._diagnosis.evidence import Diagnosis
from .._evaluate.call import Call, as_tuple
from .._evaluate.problem import structure_of
from .._gradient.check import at_points, run_check
from .._options import GradcheckWarning, Patterns, Workers, options_from
from .._params.layout import gradient_vector
from .._params.structure import flatten
from .._quoting import quoted, shown
from .._report.assemble import assemble, finding_of_two
from .._report.report import GradientReport, hide_frame
from .._verdict.tolerance import tolerance
from ..hookspecs import observer, plugin_manager


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
    call = Call(func, as_tuple(args), has_aux, in_place, copy)
    return announced(at_points(lambda at: run_check(call, grad, at, options), params, points, grad))


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
    options = options_from(
        rtol=rtol, atol=atol, threshold=threshold, only=only, skip=skip, max_report=max_report
    )
    structure, blocks = structure_of(_floating(reference), options)
    numeric, narrow = gradient_vector(reference, structure, blocks, "reference")
    a, dtypes = gradient_vector(analytic, structure, blocks, "analytic")
    precision = [
        max(float(np.finfo(x).eps), float(np.finfo(y).eps), 2.0**-52)
        for x, y in zip(dtypes, narrow, strict=True)
    ]
    numeric = numeric.astype(np.float64)
    finding = finding_of_two(
        a,
        numeric,
        np.zeros(a.size),
        tolerance(numeric, np.ones(a.size), blocks, precision, options, fine=1.0),
        name="compare_gradients",
        scheme="two gradients as given",
        structure=structure,
        blocks=blocks,
        precision_of=precision,
    )
    return announced(assemble(finding, options, time.perf_counter() - started))


def _floating(gradient: Any) -> Any:
    """Return a gradient whose integers are floating point: exact ones are often written so."""
    structure = flatten(gradient, "reference")
    values = [
        leaf.array.astype(float)[()]
        if leaf.numeric and leaf.array.dtype.kind in "iu"
        else leaf.value
        for leaf in structure.leaves
    ]
    return structure.rebuild(values)


def announced(report: GradientReport) -> GradientReport:
    """Add the hints of plugins, tell the observer, and warn where the options ask for it."""
    if not report.ok:
        report = _with_hints(report, plugin_manager().hook.gradcheck_explain(report=report))
    watcher = observer.get()
    if watcher is not None:
        watcher(report)
    if report.warning:
        warnings.warn(report.warning, GradcheckWarning, stacklevel=3)
    return report


LONGEST_HINT = 500
"""Characters of a plugin's sentence."""


def _clean(one: Any) -> str | Diagnosis:
    """Return what a plugin says as it can be printed, on one line; TypeError for anything else."""
    if isinstance(one, str):
        return shown(" ".join(one.split()), LONGEST_HINT)
    if not isinstance(one, Diagnosis):
        raise TypeError(
            f"gradcheck_explain returned {type(one).__name__}; return a sentence (str), a "
            "Diagnosis, a list or tuple of them, or None"
        )
    texts = one.code, one.sentence, *(one.blocks if isinstance(one.blocks, (list, tuple)) else [0])
    bits = one.bits if isinstance(one.bits, (int, float)) else math.nan
    if not all(isinstance(text, str) for text in texts) or math.isnan(bits):
        raise TypeError(
            f"gradcheck_explain returned {quoted(one)}; code and sentence of a Diagnosis are str, "
            "blocks is a tuple of them, and bits is a number"
        )
    sentence = shown(" ".join(one.sentence.split()), LONGEST_HINT)
    return replace(one, code=shown(one.code), sentence=sentence, blocks=tuple(one.blocks))


def _with_hints(report: GradientReport, said: list[Any]) -> GradientReport:
    """Add what implementations of ``gradcheck_explain`` returned: sentences and diagnoses."""
    given: list[Any] = []
    for one in said:
        given += one if isinstance(one, (list, tuple)) else [one]
    every = [clean for one in given if one is not None and (clean := _clean(one))]
    diagnoses = list(report.diagnoses)
    for one in every:
        if isinstance(one, Diagnosis):
            fewer = (i for i, known in enumerate(diagnoses) if known.bits < one.bits)
            diagnoses.insert(next(fewer, len(diagnoses)), one)
    hints = tuple(one.sentence if isinstance(one, Diagnosis) else one for one in every)
    return replace(report, hints=hints, diagnoses=tuple(diagnoses)) if every else report
