"""The public checks of second derivatives: Hessians and products with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from .._constants import CONFIDENCE, ENTRY_ROUNDINGS, EPS, LEAST_TERM, STANDS_CLEAR
from .._difference.every_coordinate import Sweep
from .._difference.stencils_and_steps import STENCILS, derivatives, points
from .._evaluate.call import Call, ShapeError, as_tuple, name_of, scalar
from .._evaluate.evaluator import Evaluator
from .._evaluate.problem import require_callable
from .._gradient.check import at_points
from .._jacobian.check import Check, checking, report_of, with_lines
from .._jacobian.maps import Products, calls_of, matrices_of
from .._jacobian.outputs_and_matrices import Matrix
from .._options import DerivativeOptions, Options, options_from, takes
from .._params.arrays_and_structure import Array, Structure, flatten
from .._params.layout import Block, blocks_of, labels, scale_of, to_structure
from .._params.work_copy import WorkCopy
from .._quoting import brief, listing
from .._report.assemble import contradicted
from .._report.report import GradientReport
from .._verdict.tolerance_and_comparison import DISAGREE
from .gradients import announced, asserting

MOST_WITHOUT_GRADIENT = 60
"""Parameters of a Hessian without a gradient: it takes at least 12 n² evaluations of func."""

SYMMETRIC_WITHIN = 1e-7  # relative difference of mirrored entries that rounding may leave


@takes(DerivativeOptions)
def check_hessian(
    func: Callable[..., Any],
    hess: Any,
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    grad: Callable[..., Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    **options: Unpack[DerivativeOptions],
) -> GradientReport:
    """Check a Hessian as `assert_hessian_close` does, and always return a report."""
    call, judged = Call(func, as_tuple(args), has_aux), options_from(check_hessian, options)

    def at(point: Any) -> GradientReport:
        with _second_order(call, grad, point, judged) as check:
            matrices = matrices_of(hess, calls_of(hess, check), check, "hess")
            return with_lines(_report(check, matrices, "hess"), hess, check)

    return announced(at_points(at, params, points, hess, "hess"))


@asserting(check_hessian, DerivativeOptions)
def assert_hessian_close() -> None:
    """Assert that an analytic Hessian is that of func, and symmetric.

    Parameters
    ----------
    func : callable
        ``func(params, *args) -> J``, as in `assert_gradients_close`.  Not called where `grad` is
        given.
    hess : callable or object
        A callable of the same arguments, or the Hessian itself, in any of the forms of
        `assert_jacobian_close`, with params' structure for the outputs'.
    params, points, args
        As in `assert_jacobian_close`.
    grad : callable, optional
        The gradient, which is then differenced: 2 n evaluations of it.  Check it first.  Unset:
        second differences of func, at least 12 n² evaluations, for at most 60 parameters.
    has_aux : bool, optional
        func returns ``(J, anything)``.
    **options
        As in `assert_jacobian_close`.

    Returns
    -------
    GradientReport
        Labels are ``W[0, 1] / b[2]``: the derivative by ``b[2]`` of the gradient's ``W[0, 1]``.

    Raises
    ------
    GradientMismatch
        An entry disagrees or can't be told; or the Hessian is not symmetric, which is the first of
        the report's `reasons` and names the two entries.
    TypeError, ValueError
        For bad input.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import assert_hessian_close
    >>> A = np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> def func(x):
    ...     return np.log(x @ A @ x)
    >>> def grad(x):
    ...     return 2 * A @ x / (x @ A @ x)
    >>> def hess(x):
    ...     return 2 * A / (x @ A @ x) - np.outer(grad(x), grad(x))
    >>> assert_hessian_close(func, hess, np.array([1.0, 2.0]), grad=grad).verdict
    'agree'
    """


@takes(DerivativeOptions)
def check_hvp(
    func: Callable[..., Any],
    hvp: Callable[..., Any],
    params: Any = None,
    *,
    points: Iterable[Any] | None = None,
    grad: Callable[..., Any] | None = None,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    strided: bool = False,
    **options: Unpack[DerivativeOptions],
) -> GradientReport:
    """Check a Hessian-vector product as `assert_hvp_close` does, and always return a report."""
    require_callable(hvp, form="hvp(params, v, *args)")
    call, judged = Call(func, as_tuple(args), has_aux), options_from(check_hvp, options)

    def at(point: Any) -> GradientReport:
        with _second_order(call, grad, point, judged) as check:
            hessian = Products(check, hvp, "hvp", "v", strided=strided)
            if grad is not None and not hessian.affordable:
                return hessian.combined()
            return _report(check, [hessian.dense()], "hvp")

    return announced(at_points(at, params, points, hvp, "hvp"))


@asserting(check_hvp, DerivativeOptions)
def assert_hvp_close() -> None:
    """Assert that a Hessian-vector product is that of func, and of a symmetric Hessian.

    Parameters
    ----------
    func, params, points, grad, args, has_aux
        As in `assert_hessian_close`.
    hvp : callable
        ``hvp(params, v, *args)`` with v in params' structure; returns H v in params' structure.
    strided : bool, optional
        As in `assert_jvp_close`.
    **options
        As in `assert_jacobian_close`.

    Returns
    -------
    GradientReport
        Of the whole Hessian, entry by entry; along three random v (``W[0, 1] / v1``) where there
        are more than 2,000 parameters, or more than ``max_evals`` allows.

    Raises
    ------
    GradientMismatch
        An entry disagrees or can't be told, the Hessian is not symmetric, or the product is not
        linear in v.
    TypeError, ValueError
        For bad input.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import assert_hvp_close
    >>> def grad(x):
    ...     return 4 * x**3
    >>> def hvp(x, v):
    ...     return 12 * x**2 * v
    >>> x = np.array([1.0, 2.0])
    >>> assert_hvp_close(lambda x: np.sum(x**4), hvp, x, grad=grad).verdict
    'agree'
    """


@contextmanager
def _second_order(
    call: Call, grad: Callable[..., Any] | None, params: Any, options: Options
) -> Iterator[Check]:
    """Prepare the check of a gradient's Jacobian; without a gradient, of differences of func."""
    require_callable(call.func)
    if grad is not None:
        require_callable(grad, form="grad(params, *args)")
        # A framework may sort the keys of a dict, and rows are to be in the order of the columns.
        order = [leaf.name for leaf in flatten(params).leaves]
        gradient = replace(call, func=grad, has_aux=False)
        with checking(gradient, params, options, "params", order=order) as check:
            _require_gradient(check)
            yield check
        return
    structure = flatten(params)
    blocks = blocks_of(structure, options.only, options.skip)
    n = sum(block.size for block in blocks)
    if not n:
        raise ValueError("there is no parameter to differentiate by: params has no entries")
    if n > MOST_WITHOUT_GRADIENT:
        raise ValueError(
            f"second differences of func would take {12 * n * n:,} evaluations or more for {n} "
            "parameters; pass grad=, which is checked with assert_gradients_close, and is "
            "differenced once"
        )
    func = Slopes(replace(call, read=_number), structure, blocks)
    try:
        with checking(
            replace(call, func=func, has_aux=False), params, options, "params", beside=True
        ) as check:
            yield check
    except ShapeError as error:  # at whatever parameters
        raise ShapeError(*error.args) from None


def _number(value: Any) -> Any:
    """Return J, or say that func is J where it returns several numbers, as its gradient does."""
    try:
        return scalar(value)
    except (TypeError, ShapeError) as error:
        several = isinstance(error, ShapeError) or isinstance(value, (tuple, list, dict))
        if not several:
            raise
        said = str(error).partition("; J must")[0].partition(", or grad=True")[0]
        raise ShapeError(
            f"{said}; func is J here, one number: pass its gradient as grad=, or call "
            "assert_jacobian_close(func, hess, params) or assert_jvp_close(func, hvp, params), "
            "where func may return any number of them"
        ) from None


def _require_gradient(check: Check) -> None:
    """Raise ValueError where what grad returns is like params neither in whole nor in part."""
    outputs, whole = check.outputs, check.shape.structure.leaves
    known = {(leaf.name, np.shape(leaf.value)) for leaf in whole}
    if outputs.size in (check.problem.size, check.shape.full[1]) or known.issuperset(
        outputs.leaves
    ):
        return
    found = listing([f"{brief(block.name)} of shape {block.shape}" for block in outputs.blocks])
    wanted = listing([f"{brief(one.name)} of shape {np.shape(one.value)}" for one in whole])
    advice = "is it J?" if outputs.size == 1 else "of (J, gradient) pass lambda p: f(p)[1]"
    raise ValueError(
        f"grad returned {found}, but params has {wanted}: grad is the gradient of J, in params' "
        f"structure ({advice})"
    )


def _report(check: Check, matrices: Sequence[Matrix], what: str) -> GradientReport:
    """Judge a Hessian, and see that it is symmetric."""
    m, n = matrices[0].dense.shape
    beside = check.problem.center.size > m

    def bias(k: int, swept: Callable[[int], Sweep]) -> Array:
        gap = np.abs(swept(k).numeric - swept(k + m).numeric)
        return np.where(np.isfinite(gap), gap, 0.0)

    report = report_of(check, matrices, what=what, may_be_zero=True, bias=bias if beside else None)
    scheme = "second differences" if beside else "central differences of grad"
    report = replace(report, scheme=scheme)
    if isinstance(slopes := check.problem.call.func, Slopes):
        report = replace(report, evaluations=report.evaluations * slopes.each)
    if m != n:
        return report
    if not beside and (remark := _of_nothing(check, report)):
        report = contradicted(report, remark)
    remark = _asymmetry(check, matrices[0], what, report)
    return contradicted(report, remark) if remark else report


def _of_nothing(check: Check, report: GradientReport) -> str:
    """Return that grad's numeric derivative is not symmetric, beyond its error bars, or nothing."""
    # A gradient's derivative is: by Schwarz's theorem no func has another.
    evidence = report.evidence
    if evidence is None:
        return ""
    where = check.where()
    numeric, error = evidence.numeric[where], evidence.error_bar[where]
    known = np.isfinite(numeric) & np.isfinite(error)
    known &= known.T
    with np.errstate(all="ignore"):
        largest = float(np.abs(numeric[known]).max(initial=0.0))
        allowed = STANDS_CLEAR * CONFIDENCE * (error + error.T) + SYMMETRIC_WITHIN * largest
        # In float32 bars may be too small. By what passes, or can't be told, an entry is off.
        off = np.abs(evidence.analytic - evidence.numeric)[where]
        off = np.where(evidence.verdict[where] == DISAGREE, 0.0, off)
        allowed += off + off.T
        beyond = np.where(known, np.abs(numeric - numeric.T) - allowed, 0.0)
    what = "grad is the gradient of nothing: its numeric derivative"
    return _mirrored(what, numeric, beyond, check)


def _mirrored(what: str, matrix: Array, beyond: Array, check: Check) -> str:
    """Say that a matrix is not symmetric, by the mirrored entries farthest `beyond`; or nothing."""
    if not np.any(beyond > 0):
        return ""
    i, j = divmod(int(np.argmax(beyond)), matrix.shape[1])
    from .._report.message import told_apart

    label, (one, other) = labels(check.shape.blocks), told_apart(matrix[i, j], matrix[j, i])
    return (
        f"{what} is not symmetric: {brief(label(i))} / {brief(label(j))} is {one}, "
        f"{brief(label(j))} / {brief(label(i))} is {other}"
    )


def _asymmetry(check: Check, matrix: Matrix, what: str, report: GradientReport) -> str:
    """Return the sentence that names two mirrored entries that differ, or nothing."""
    scale, dense = check.problem.scale, matrix.dense
    with np.errstate(all="ignore"):
        scaled = np.abs(dense * np.outer(scale, scale))
        largest = np.max(scaled, axis=1, initial=0.0)
        # What is added in float64 to what was computed in the parameters' format hides that.
        formats = [float(np.finfo(block.dtype).eps) for block in check.problem.blocks]
        eps = max(*matrix.precision, *formats, EPS)
        gap = np.abs(dense - dense.T) * np.outer(scale, scale)
        within = max(SYMMETRIC_WITHIN, ENTRY_ROUNDINGS * eps)
        size = np.maximum(scaled, scaled.T)
        dust = np.maximum(size, np.minimum.outer(largest, largest))
        dust = np.where(_zero(check, report), np.maximum(dust, LEAST_TERM), dust)
        allowed = within * size + ENTRY_ROUNDINGS * eps * dust
    return _mirrored(what, dense, np.where(gap > allowed, gap, 0.0), check)


def _zero(check: Check, report: GradientReport) -> Array:
    """Return where a Hessian and its mirror are zero, as far as their error bars tell (bool)."""
    # What cancels in them is of no size that they show.
    evidence = report.evidence
    if evidence is None:
        return np.zeros((), dtype=bool)
    where = check.where()
    zero = np.abs(evidence.numeric[where]) <= CONFIDENCE * evidence.error_bar[where]
    both: Array = zero & zero.T
    return both


INNER_STEP = 1e-2
"""Of the parameter's scale: the step of the differences that stand for the gradient, where none is
given.  Sixth order leaves 1e-12 of truncation there, and noise of 1e-14 for the outer ones."""


class Slopes:
    """The gradient of func by differences of sixth order, and of fourth beside it.

    What the two differ by bounds what the first is off by.
    """

    def __init__(self, call: Call, structure: Structure, blocks: Sequence[Block]) -> None:
        self.__qualname__ = name_of(call.func)
        self._call, self._blocks = replace(call, args=()), blocks
        theta = WorkCopy(structure, blocks).theta
        self._steps = [INNER_STEP * scale_of(part).of(part) for part in theta]
        self.each = 6 * sum(part.size for part in theta)
        """Evaluations of func at one point."""

    @property
    def wrapped(self) -> Callable[..., Any]:
        """Func itself."""
        return self._call.func

    def wrapping(self, func: Callable[..., Any]) -> Slopes:
        """Return the same of another func."""
        twin = copy(self)
        twin._call = replace(self._call, func=func)
        return twin

    def __call__(self, params: Any, *args: Any) -> tuple[Any, Array]:
        """Return the gradient of sixth order, in params' structure, and that of fourth."""
        structure = flatten(params)
        work = WorkCopy(structure, self._blocks)
        runner = Evaluator(replace(self._call, args=args), work)
        fine, coarse = STENCILS["central6"], STENCILS["central4"]
        best, second = [], []
        for position, block in enumerate(self._blocks):
            at, taken = points(work.theta[position], self._steps[position], fine, exact=False)
            values = runner.sweep(position, range(block.size), at)
            inner = [fine.steps.index(step) for step in coarse.steps]
            best.append(derivatives(values, 0.0, fine, taken))
            second.append(derivatives(values[:, inner], 0.0, coarse, taken))
        found = to_structure(structure, self._blocks, np.concatenate(best))
        return found, np.concatenate(second)
