"""`check_grad` as scipy.optimize has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .._api import gradients, jacobians
from .._constants import CONFIDENCE
from .._evaluate.problem import require_callable
from .._quoting import quoted
from .._report.report import GradientReport
from . import LENIENT

__all__ = ["check_grad"]


def check_grad(
    func: Callable[..., Any],
    grad: Callable[..., Any],
    x0: Any,
    *args: Any,
    epsilon: float | None = None,
    direction: str = "all",
    rng: Any = None,
    seed: Any = None,
) -> float:
    """Return the norm of analytic minus numeric gradient, as ``scipy.optimize.check_grad`` does.

    Parameters
    ----------
    func : callable
        ``func(x0, *args)``, a number, or a vector whose Jacobian `grad` is.
    grad : callable
        ``grad(x0, *args)``.
    x0 : array_like
    *args
        Passed on.
    epsilon, rng, seed : optional
        Taken and not used: steps are chosen for each parameter, with error bars.
    direction : {"all", "random"}, optional
        Both check every parameter.

    Returns
    -------
    float
        What the error bar of the numeric gradient explains counts as 0, so a right gradient
        gives far less than scipy's, whatever its scale.  The report goes to pytest's summary.

    Raises
    ------
    ValueError
        For a `direction` of another name.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck.compat.scipy import check_grad
    >>> check_grad(lambda x: x[0] ** 2 - x[1], lambda x: np.array([2 * x[0], -1.0]), [3.0, 4.0])
    0.0
    >>> round(check_grad(lambda x: x[0] ** 2, lambda x: np.array([x[0]]), [3.0]), 6)
    3.0
    """
    if direction not in ("all", "random"):
        raise ValueError(f"direction must be 'all' or 'random', not {quoted(direction)}")
    require_callable(func, form="func(x0, *args)")
    require_callable(grad, form="grad(x0, *args)")
    start = np.asarray(x0)
    dtype = np.result_type(start, np.float32) if start.dtype.kind == "f" else np.float64
    x = np.atleast_1d(start).astype(dtype)
    value = np.asarray(func(x.copy(), *args))

    def analytic(x: Any, *args: Any) -> Any:
        made = grad(x, *args)
        if made is None:  # not an array of dtype object: said as for any other gradient
            return None
        found = np.asarray(made)
        wanted = value.shape + x.shape if value.size != 1 else x.shape
        return found.reshape(wanted) if found.size == math.prod(wanted) else found

    if value.size != 1:
        report = jacobians.check_jacobian(func, analytic, x, args=args, **LENIENT)
    else:
        report = gradients.check_gradients(func, analytic, x, args=args, **LENIENT)
    return _norm(report)


def _norm(report: GradientReport) -> float:
    """Return the norm of the differences that error bars do not explain."""
    evidence = report.evidence
    if evidence is None:  # along random directions: what was found wrong is all that is known
        return math.sqrt(sum(entry.error**2 for entry in report.worst if not report.ok))
    with np.errstate(all="ignore"):
        gap = np.abs(evidence.analytic - evidence.numeric).astype(np.float64)
        gap -= np.where(evidence.verdict == 0, evidence.allowed, CONFIDENCE * evidence.error_bar)
    gap[evidence.kinks & (evidence.verdict == 0)] = 0.0
    gap = np.where((evidence.verdict == 1) | (gap > 0), gap, 0.0)
    return float(np.linalg.norm(gap))
