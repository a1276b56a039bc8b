"""One check at several points: a report of each, and one of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ._report import GradientReport


def at_points(
    check: Callable[[Any], GradientReport], params: Any, points: Any, grad: Any, what: str = "grad"
) -> GradientReport:
    """Check at every point, and return the report of the first that fails, with all of them.

    Parameters
    ----------
    check : callable
        Takes params and returns a report.
    params : object
        The one point when `points` is None.
    points : iterable of object, or None
    grad : object
        The analytic derivative: of several points it must be a function.
    what : str, optional
        What it is called.

    Returns
    -------
    GradientReport
        Where all pass, the one that is known worst.

    Raises
    ------
    TypeError, ValueError
        When both or neither of params and points are given, or points are none.
    """
    if points is None:
        if params is None:
            raise TypeError("params is missing: pass params, or points=[params, ...]")
        return check(params)
    if params is not None:
        raise TypeError("pass params or points, not both: points=[params, ...] has every point")
    if isinstance(points, (str, dict)) or not isinstance(points, Iterable):
        raise TypeError(
            f"points must be a list of params, or another iterable, not {type(points).__name__}"
        )
    if grad is not True and not callable(grad):
        raise TypeError(
            f"{what} must be a function where there are points: a derivative that you have is one "
            "point's alone"
        )
    reports = []
    for number, point in enumerate(points):
        try:
            reports.append(replace(check(point), at=f"points[{number}]"))
        except Exception as error:
            error.add_note(f"gradcheck: at points[{number}]")
            raise
    if not reports:
        raise ValueError("points is empty: nothing would be checked")
    failed = [report for report in reports if not report.ok]
    shown = failed[0] if failed else max(reports, key=lambda report: report.resolution)
    return replace(
        shown,
        points=tuple(reports),
        evaluations=sum(report.evaluations for report in reports),
        seconds=sum(report.seconds for report in reports),
        warning=next((report.warning for report in reports if report.warning), ""),
    )
