"""The public checks of gradients: of func's, and of two that the user already has."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Never, Unpack

import numpy as np

from .._diagnosis.evidence import Diagnosis
from .._evaluate.call import Call, as_tuple
from .._evaluate.problem import structure_of
from .._gradient.check import at_points, run_check
from .._options import (
    CheckOptions,
    ComparisonOptions,
    GradcheckWarning,
    Options,
    options_from,
    refuse_more,
    require_known,
    takes,
)
from .._params.layout import Block, blocks_of, gradient_vector, labels
from .._params.structure import flatten
from .._quoting import brief, quoted, shown
from .._report.assemble import Subject, assemble, contradicted, left_out, rows_of
from .._report.report import GradientReport, hide_frame
from .._verdict.baseline import Errors, errors_of
from .._verdict.comparison import Comparison
from .._verdict.tolerance import relative_difference as _difference
from .._verdict.tolerance import tolerance
from ..hookspecs import plugin_manager

Array = np.ndarray[Any, Any]


@takes(CheckOptions)
def check_gradients(
    func: Callable[..., Any],
    grad: Any,
    params: Any = None,
    *more: Never,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    in_place: bool = False,
    copy: bool = False,
    **options: Unpack[CheckOptions],
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
    refuse_more("check_gradients", more)
    chosen = options_from(check_gradients, options)
    call = Call(func, as_tuple(args), has_aux, in_place, copy)
    return announced(at_points(lambda at: run_check(call, grad, at, chosen), params, points, grad))


@takes(CheckOptions)
def assert_gradients_close(
    func: Callable[..., Any],
    grad: Any,
    params: Any = None,
    *more: Never,
    points: Iterable[Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    in_place: bool = False,
    copy: bool = False,
    **options: Unpack[CheckOptions],
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
    **options
        As in `Options`.

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
    refuse_more("assert_gradients_close", more)
    require_known(assert_gradients_close, options)
    return check_gradients(
        func,
        grad,
        params,
        points=points,
        args=args,
        has_aux=has_aux,
        in_place=in_place,
        copy=copy,
        **options,
    ).raise_if_failed()


@takes(ComparisonOptions)
def compare_gradients(
    analytic: Any,
    reference: Any,
    *,
    baseline: Any = None,
    factor: float = 2.0,
    **options: Unpack[ComparisonOptions],
) -> GradientReport:
    """Compare two gradients that you already have, and return the report.

    Parameters
    ----------
    analytic, reference : array, number or container of them
        Of the same structure.  `reference` stands where the numeric gradient stands in reports,
        without an error bar.
    baseline : array, number or container of them, optional
        What the plain formula gives in the precision of `analytic`, of the same structure.  Each
        block then passes when its error is at most `factor` times that of `baseline`, both against
        `reference`, the largest of an entry and the norm of all; and no less than rounding
        `reference` to analytic's precision would make it.  rtol and atol are not taken with it.
    factor : float, optional
        How many times the baseline's error is allowed, default 2.
    rtol : float, optional
        Relative tolerance per entry.  Unset: 1e-7, or coarser by the dtypes.
    atol : float, optional
        Absolute tolerance per entry.  Unset: 32 eps of the block's root mean square.
    threshold : float, optional
        Largest difference that passes.  Unset: not applied.
    only, skip : str or sequence of str, optional
        Names of blocks, or glob patterns.
    entries : dict, optional
        Which entries of a block are compared, as in `Options`.
    max_report : int, optional
        Worst entries in the message, default 5.

    Returns
    -------
    GradientReport
        Call its ``raise_if_failed()`` to assert.

    Raises
    ------
    TypeError, ValueError
        When the structures do not match, or a baseline or its reference is not finite.

    Examples
    --------
    >>> from pytest_gradcheck import compare_gradients
    >>> report = compare_gradients({"W": [1.0, 2.0]}, {"W": [1.0, 2.5]})
    >>> report.ok, report.worst[0].label
    (False, 'W[1]')

    A kernel in float16 is off by 3e-4 in an entry in which the plain formula is off by 2e-4:

    >>> exact, plain, kernel = [0.1234, 1.0], [0.1236, 1.0], [0.1237, 1.0]
    >>> compare_gradients(kernel, exact, baseline=plain).ok
    True
    """
    started = time.perf_counter()
    chosen = options_from(compare_gradients, options)
    structure, blocks = structure_of(_floating(reference), chosen)
    numeric, narrow = gradient_vector(reference, structure, blocks, "reference")
    a, own = gradient_vector(analytic, structure, blocks, "analytic", "reference")
    precision = [max(both) for both in zip(own, narrow, strict=True)]
    numeric = numeric.astype(np.float64)
    ones = np.ones(a.size)
    limits = tolerance(a, numeric, ones, blocks, precision, chosen)
    errors: list[Errors] = []
    if baseline is not None:
        plain, _ = gradient_vector(baseline, structure, blocks, "baseline", "reference")
        _require_baseline(plain, numeric, blocks, factor, chosen)
        errors = errors_of(blocks, a, numeric, plain, own, factor)
        allowed = np.concatenate([np.full(one.block.size, one.allowed) for one in errors] or [ones])
        limits = replace(limits, rtol=0 * ones, atol=allowed, dust=0 * ones)
    found = Comparison.of_two(limits, numeric, np.zeros(a.size))
    how = "two gradients as given" + (", beside a baseline" if errors else "")
    subject = Subject("compare_gradients", blocks, how, left_out(structure, blocks))
    rows = rows_of(subject, found, chosen, scale=ones, precision=precision)
    report = assemble(subject, rows, chosen, 0, time.perf_counter() - started)
    failed = [one for one in errors if not one.ok]
    for one in failed:
        report = contradicted(report, one.sentence())
    if errors and not failed:
        report = replace(report, remarks=(max(errors, key=lambda one: one.times).sentence(),))
    return announced(report)


def _require_baseline(
    baseline: Array, reference: Array, blocks: Sequence[Block], factor: float, options: Options
) -> None:
    if options.rtol is not None or options.atol is not None:
        raise ValueError(
            "baseline= says what error is allowed: leave out rtol and atol, or leave out baseline"
        )
    if not (isinstance(factor, (int, float)) and 0 < factor < math.inf):
        raise ValueError(f"factor must be a positive finite number, not {quoted(factor)}")
    for vector, what in ((reference, "reference"), (baseline, "baseline")):
        if not (finite := np.isfinite(vector)).all():
            label = labels(blocks)(int(np.argmin(finite)))
            raise ValueError(
                f"{what} of {brief(label)} is not finite: there is no error to compare"
            )


def relative_difference(a: Any, b: Any) -> float:
    """Return ‖a − b‖₂ / (‖a‖₂ + ‖b‖₂), 0 when both are zero: the difference of the course.

    Parameters
    ----------
    a, b : array_like, or containers of arrays
        Of the same shape, or of the same names and shapes, or a ValueError says so.  Nothing
        overflows on the way.

    Returns
    -------
    float

    Examples
    --------
    >>> from pytest_gradcheck import relative_difference
    >>> relative_difference([4.0, 0.0], [1.0, 0.0])
    0.6
    """
    first, second = _arrays(a, b)
    if first.shape != second.shape:
        raise ValueError(f"shapes differ: {first.shape} and {second.shape}")
    return _difference(first, second)


def _arrays(a: Any, b: Any) -> tuple[Array, Array]:
    """Return two arrays, or two structures as vectors."""
    try:
        arrays = np.asarray(a), np.asarray(b)
    except Exception:  # a list of arrays of several shapes, or an array that numpy can't take
        arrays = np.array(None), np.array(None)
    if all(array.dtype.kind in "fciub" for array in arrays):
        return arrays
    structure = flatten(b, "b")
    blocks = blocks_of(structure, (), ())
    first, _ = gradient_vector(a, structure, blocks, "a", "b")
    second, _ = gradient_vector(b, structure, blocks)
    return first, second


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
    """Add the hints of plugins, tell who listens, and warn where the options ask for it."""
    hook = plugin_manager().hook
    if not report.ok:
        report = _with_hints(report, hook.gradcheck_explain(report=report))
    hook.gradcheck_checked(report=report)
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
