"""Confirm every right gradient of the suite by means that share nothing with a checker.

Three methods, any of which may confirm: the complex step (no subtraction, hence exact to
rounding), Richardson's tableau over centred differences in long double (80 bits here), and the
same in float64 for what calls LAPACK, torch or scipy.  At a kink the one-sided slopes bound the
right subgradients and exclude the wrong ones.  A method may fail to apply; if none confirms, the
case is wrong and the self-test fails.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import Case

from suite.flat import complex_entries, flatten, kind, rebuild

RATIO = 2.3


def scales(theta: np.ndarray) -> np.ndarray:
    size = np.abs(theta).astype(np.float64)
    return np.where(size > 0, size, 1.0)


def complex_step(
    func: Callable[[np.ndarray], Any], theta: np.ndarray, _: np.ndarray
) -> tuple[Any, Any]:
    """Return the gradient, and as its error what two step lengths disagree by."""
    found = np.empty((2, theta.size))
    for i, scale in enumerate(scales(theta)):
        for row, tiny in enumerate((1e-30, 1e-40)):
            z = theta.astype(np.complex128)
            z[i] += 1j * tiny * scale
            value = func(z)
            if not np.iscomplexobj(value):
                raise TypeError("func drops the imaginary part")
            found[row, i] = np.imag(value) / (tiny * scale)
    return found[0], np.abs(found[0] - found[1])


def tableau(
    func: Callable[[np.ndarray], Any], theta: np.ndarray, i: int, unit: Any, order: int = 5
) -> tuple[Any, Any]:
    """Return the best entry of a Romberg tableau and its neighbours' disagreement."""
    best, bar = np.nan, np.inf
    rows: list[list[Any]] = []
    scale = scales(theta)[i]
    epsilon = np.finfo(theta.real.dtype).eps
    rungs = int(np.log(1 / epsilon) / np.log(RATIO) * 0.8)
    for k in range(-4, rungs):
        h = theta.real.dtype.type(scale) / theta.real.dtype.type(RATIO) ** k
        up, down = theta.copy(), theta.copy()
        up[i] += h * unit
        down[i] -= h * unit
        step = np.abs(up[i] - theta[i]) + np.abs(theta[i] - down[i])
        above, below = func(up), func(down)
        noise = 4 * epsilon * max(abs(above), abs(below)) / step
        row = [(above - below) / step]
        for m in range(1, min(order, len(rows) + 1)):
            factor = RATIO ** (2 * m)
            row.append((factor * row[m - 1] - rows[-1][m - 1]) / (factor - 1))
            error = max(abs(row[m] - row[m - 1]), abs(row[m] - rows[-1][m - 1]), noise)
            if error < bar:
                best, bar = row[m], error
        rows.append(row)
    return best, bar


def differences(
    func: Callable[[np.ndarray], Any], theta: np.ndarray, is_complex: np.ndarray
) -> tuple[Any, Any]:
    """Return ∂J/∂Re + i ∂J/∂Im (or the real gradient) and its errors, in theta's precision."""
    found, bars = np.zeros_like(theta), np.zeros(theta.size)
    for i in range(theta.size):
        found[i], bars[i] = tableau(func, theta, i, 1)
        if is_complex[i]:
            imaginary, bar = tableau(func, theta, i, 1j)
            found[i] += 1j * imaginary
            bars[i] += bar
    return found, bars


def confirmed(
    a: np.ndarray, n: np.ndarray, bars: np.ndarray, theta: np.ndarray, rtol: float
) -> Any:
    """Return (worst error over tolerance, worst relative error)."""
    unit = scales(theta)
    # An entry below 1e-10 of the largest, both scaled, is confirmed to 1e-3 of that bound only.
    floor = 1e-13 * np.max(np.abs(a) * unit) / unit
    tolerance = rtol * np.abs(a) + floor + np.minimum(5 * bars, 1e-6 * np.abs(a) + floor)
    with np.errstate(all="ignore"):
        error = np.abs(a - n)
        ratio = np.where(error == 0, 0, error / tolerance)
        return np.max(np.where(np.isfinite(ratio), ratio, np.inf)), np.max(
            np.where(error == 0, 0, error / np.maximum(np.abs(a), floor))
        )


def slopes(func: Callable[[np.ndarray], Any], theta: np.ndarray) -> tuple[Any, Any]:
    """Return backward and forward slopes, each extrapolated once, in long double."""
    sides = np.empty((2, theta.size))
    base = func(theta)
    for i, scale in enumerate(scales(theta)):
        for row, sign in enumerate((-1, 1)):
            quotients = []
            for h in (1e-7 * scale, 2e-7 * scale):
                moved = theta.copy()
                moved[i] += sign * np.longdouble(h)
                quotients.append((func(moved) - base) / (moved[i] - theta[i]))
            sides[row, i] = 2 * quotients[0] - quotients[1]
    return np.min(sides, axis=0), np.max(sides, axis=0)


def outside(a: np.ndarray, low: Any, high: Any, slack: Any) -> bool:
    return bool(np.any((a < low - slack) | (a > high + slack)))


def check_kink(case: Case, theta: np.ndarray, a: np.ndarray) -> str:
    func = case.reference or case.func
    low, high = slopes(lambda flat: func(rebuild(case.params, flat)), theta.astype(np.longdouble))
    slack = 1e-6 * np.maximum(np.maximum(np.abs(low), np.abs(high)), np.max(np.abs(high)))
    if outside(a, low, high, slack):
        return f"FAILED: {a} is not between {low} and {high}"
    for name, wrong in case.wrong:
        if not outside(flatten(wrong, np.float64), low, high, 10 * slack):
            return f"FAILED: wrong gradient {name!r} is a subgradient"
    if not np.any(high - low > 10 * slack):
        return "FAILED: no kink"
    return "ok, one-sided slopes"


def check(case: Case) -> str:
    """Return "ok, …" or "FAILED: …" for one case."""
    if case.expect in ("nonrepeatable", "inconclusive") and case.reference is None:
        return "ok, no gradient to confirm"
    func = case.reference or case.func
    dtype = kind(case.params)
    theta, a = flatten(case.params, dtype), flatten(case.grad(case.params), dtype)
    if a.shape != theta.shape or not np.all(np.isfinite(a)):
        return f"FAILED: gradient of shape {a.shape}, finite: {np.isfinite(a).all()}"
    if case.slopes:
        return check_kink(case, theta, a)
    wide = np.clongdouble if dtype.kind == "c" else np.longdouble
    methods: list[tuple[str, Callable[..., Any], Any]] = [
        ("long double differences", differences, theta.astype(wide)),
        ("float64 differences", differences, theta),
    ]
    if dtype == np.float64:
        methods.insert(0, ("complex step", complex_step, theta))
    mask = complex_entries(case.params)
    tried = []
    for name, method, point in methods:
        try:
            n, bars = method(lambda flat: func(rebuild(case.params, flat)), point, mask)
            ratio, relative = confirmed(a, n, bars, theta, case.truth_rtol)
        except Exception as error:
            tried.append(f"{name}: {type(error).__name__}: {error}"[:120])
            continue
        if ratio <= 1:
            return f"ok, {name}, {relative:.0e}"
        tried.append(f"{name}: {ratio:.1e} x tolerance, relative {relative:.1e}")
    return "FAILED: " + "; ".join(tried)


def run(cases: list[Case]) -> int:
    """Print one line per case; return how many failed."""
    failed = 0
    for case in cases:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            answer = check(case)
        failed += answer.startswith("FAILED")
        print(f"{case.category:14} {case.name:50} {answer}")
    print(f"{len(cases)} right gradients, {failed} not confirmed")
    return failed
