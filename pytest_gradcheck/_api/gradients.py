"""The public checks of gradients, func's or two of the user's, and the numeric gradient alone."""

from __future__ import annotations

import math
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import wraps
from inspect import cleandoc, signature
from typing import TYPE_CHECKING, Any, Never, ParamSpec, Unpack

import numpy as np

from .._difference.every_coordinate import Sweep, differenced, raise_domain_error
from .._difference.step_search_and_kinks import climb_all, climb_nearer
from .._evaluate.call import Call, as_tuple
from .._evaluate.problem import Problem, prepare, require_callable, structure_of
from .._gradient.check import at_points, run_check
from .._options import (
    CheckOptions,
    ComparisonOptions,
    EvaluationOptions,
    GradcheckWarning,
    NumericOptions,
    Options,
    options_from,
    require_arrays,
    require_known,
    takes,
)
from .._params.arrays_and_structure import Array, flatten
from .._params.layout import Block, blocks_of, gradient_vector, labels, to_structure, vector_of
from .._quoting import brief, listing, quoted, shown
from .._report.assemble import Subject, assemble, contradicted, left_out, rows_of
from .._report.report import GradientReport, hide_frame
from .._verdict.tolerance_and_comparison import Comparison, Errors, errors_of, tolerance
from .._verdict.tolerance_and_comparison import relative_difference as _difference
from ..hookspecs import plugin_manager

if TYPE_CHECKING:
    from .._diagnosis.evidence_and_places import Diagnosis


P = ParamSpec("P")

_MISMATCH = re.compile(r"^GradientMismatch\n(?: {4}.*\n)+", re.M)
"""In a docstring, what only an assertion raises."""


def asserting(
    check: Callable[P, GradientReport], kind: type[Any]
) -> Callable[[Callable[[], None]], Callable[P, GradientReport]]:
    """Make of a check, and of the name and docstring of a function, what raises if it fails.

    The check's own docstring is a sentence; what else the function's says holds for both.
    """

    def made(named: Callable[[], None]) -> Callable[P, GradientReport]:
        @wraps(named)
        def assertion(*given: P.args, **options: P.kwargs) -> GradientReport:
            __tracebackhide__ = hide_frame
            require_known(assertion, options)
            try:
                report = check(*given, **options)
            except TypeError as error:
                if (said := str(error)).startswith(check.__name__):  # how it is to be called
                    raise TypeError(said.replace(check.__name__, named.__name__)) from None
                raise
            return report.raise_if_failed()

        assertion.__signature__ = signature(check)  # type: ignore[attr-defined]
        takes(kind)(assertion)
        if check.__doc__ and assertion.__doc__:  # none where Python runs without
            shared = _MISMATCH.sub("", assertion.__doc__.partition("\n\n")[2])
            shared = shared.replace(named.__name__, check.__name__)
            check.__doc__ = f"{cleandoc(check.__doc__)}\n\n{shared}"
        return assertion

    return made


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
    """Check a gradient as `assert_gradients_close` does, and always return a report."""
    chosen = options_from(check_gradients, options)
    require_arrays("check_gradients", func, grad, more)
    call = Call(func, as_tuple(args), has_aux, in_place, copy)
    return announced(at_points(lambda at: run_check(call, grad, at, chosen), params, points, grad))


@asserting(check_gradients, CheckOptions)
def assert_gradients_close() -> None:
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
    **options
        As in `Options`.

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
    structure, blocks = structure_of(_floating(reference), chosen, "reference")
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
    rows = rows_of(
        subject, found, chosen, scale=ones, precision=precision, given=baseline is not None
    )
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
    structure = flatten(_floating(b, "b"), "b")
    blocks = blocks_of(structure, (), (), of="b")
    first, _ = gradient_vector(a, structure, blocks, "a", "b")
    second, _ = gradient_vector(b, structure, blocks)
    return first, second


def _floating(gradient: Any, what: str = "reference") -> Any:
    """Return a gradient whose integers are floating point: exact ones are often written so."""
    structure = flatten(gradient, what)
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
        warnings.warn(report.warning, GradcheckWarning, stacklevel=_outside())
    return report


def _outside() -> int:
    """Return the `stacklevel` with which whoever calls this warns of the user's line."""
    package, level, frame = __name__.partition(".")[0] + ".", 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(package):
        level, frame = level + 1, frame.f_back
    return level


LONGEST_HINT = 500  # characters of a plugin's sentence


def _clean(one: Any) -> str | Diagnosis:
    """Return what a plugin says as it can be printed, on one line; TypeError for anything else."""
    from .._diagnosis.evidence_and_places import Diagnosis

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
        if not isinstance(one, str):
            fewer = (i for i, known in enumerate(diagnoses) if known.bits < one.bits)
            diagnoses.insert(next(fewer, len(diagnoses)), one)
    hints = tuple(one if isinstance(one, str) else one.sentence for one in every)
    return replace(report, hints=hints, diagnoses=tuple(diagnoses)) if every else report


# The engine alone: the numeric gradient, in params' structure, under a constraint if need be


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

    Every parameter is differenced at several steps: 6 to 30 evaluations each, up to 50 where func
    is flat or at the edge of its domain.

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
        found = differenced(problem, None, options)
        if accurate or not np.isfinite(found.numeric).all():
            vague = climb_all(problem, found, only_missing=not accurate)
            if vague and not accurate:
                _warn(problem, vague)
        climb_nearer(problem, found)
        if np.isnan(found.numeric).any():
            raise_domain_error(problem)
    return problem, found


def _warn(problem: Problem, vague: Sequence[int]) -> None:
    label = labels(problem.blocks)
    names = listing([label(i) for i in vague], 4)
    warnings.warn(
        f"numerical_gradient: the slope of func by {names}, at the edge of its domain, grows as "
        "the step falls: the derivative may be infinite there, and what is returned is no estimate",
        GradcheckWarning,
        stacklevel=_outside(),
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
    require_callable(retract, form="retract(params, t) -> params")
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
        weights, at = _vector(found), flatten(t).leaves

        def moved(s: Any) -> float:
            pairs = zip(at, flatten(s).leaves, strict=True)
            to = zero.rebuild([here.value + by.value for here, by in pairs])
            return float(weights @ _vector(retract(params, to)))

        # Steps are those of a tangent of zeros, whatever t is: beside 0 a t of 1e-9 would have
        # steps of its own size, and what rounding makes of such differences is no error of grad's.
        return numerical_gradient(moved, tangent)

    along.__qualname__ = str(getattr(func, "__qualname__", type(func).__name__))
    return along, gradient, zero.rebuild([leaf.value for leaf in zero.leaves])


def _vector(value: Any) -> Array:
    structure = flatten(value)
    return vector_of(structure, blocks_of(structure, (), ()))


def _shapes(value: Any) -> list[tuple[str, tuple[int, ...]]]:
    return [(leaf.name, np.shape(leaf.value)) for leaf in flatten(value).leaves]
