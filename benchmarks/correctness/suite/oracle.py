"""Whether float64 can tell a mutant from the right gradient at all.

The oracle knows the right gradient, which no checker does.  For an entry it takes centred
differences of func on a dense ladder of steps, from 30 times the parameter's scale down to where
θ ± h is θ, with Richardson's tableau up to order 8, and asks how near any entry of it comes to
the right value, counting three standard deviations of that entry's own rounding error:

    floor = min over the tableau of |D − g| + 3 σ_D,    σ_D from the measured noise of func,

where |D − g| is the worse of two neighbouring steps, so that luck is not taken for resolution.
A gradient in float32 or float16 is itself trusted to 16 ε of its own size or of its block's.

The noise of func is estimated from difference tables at spacings so small that func is a
straight line (Hamming's table, the idea of Moré and Wild's ECNoise), independently of the
project's code, and is at least the rounding of J to the coarsest format that holds its values.
A mutant is resolvable when its error in some entry is above 10 floors.  On the edge of a domain,
where no centred difference is finite, the forward and backward tableaux are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import Case

from suite.flat import coarsest, complex_entries, flatten, kind, rebuild

RATIO = 2.2
ORDER = 5
MARGIN = 10.0


def _value(func: Callable[[np.ndarray], Any], x: np.ndarray) -> Any:
    try:
        value = func(x)
    except Exception:
        return math.nan
    return value if np.isfinite(value) else math.nan


def format_epsilon(values: list[Any]) -> float:
    """Return half a unit in the last place, relative, of the format that holds all values."""
    array = np.asarray(values)
    for dtype in (np.float16, np.float32):
        with np.errstate(all="ignore"):
            if np.all(array.astype(dtype) == array):
                return float(np.finfo(dtype).eps) / 2
    return float(np.finfo(array.dtype).eps) / 2


def noise(func: Callable[[np.ndarray], Any], theta: np.ndarray) -> float:
    """Estimate the standard deviation of func's noise near theta."""
    random = np.random.default_rng(1)
    # Powers of two, so that θ + k·step is exact and the table sees func's noise alone.
    size = np.where(theta != 0, np.abs(theta), 1.0).astype(np.float64)
    unit = 2.0 ** np.floor(np.log2(size)) * random.choice([-1.0, 1.0], theta.size)
    epsilon = float(np.finfo(theta.real.dtype).eps)
    estimates: list[float] = []
    for power in range(4, 46, 3):
        table = np.array([_value(func, theta + k * epsilon * 2.0**power * unit) for k in range(9)])
        # Values that repeat hide the noise: a coarse J is flat over so short a way.
        if not np.all(np.isfinite(table)) or len(set(table.tolist())) < 7:
            continue
        least = 0.3 * format_epsilon(list(table)) * float(np.max(np.abs(table)))
        largest = float(np.max(np.abs(table)))
        table = table / largest
        deviations = []
        for k in range(1, 7):
            table = np.diff(table)
            factor = math.factorial(k) ** 2 / math.factorial(2 * k)
            deviations.append(largest * math.sqrt(factor * float(np.mean(table**2))))
        estimates.append(max(least, min(deviations[2:])))
        if len(estimates) == 3:
            break
    if not estimates:
        here = _value(func, theta)
        return 0.3 * format_epsilon([here]) * float(abs(here))
    return float(np.median(estimates))


def floor(
    func: Callable[[np.ndarray], Any], theta: np.ndarray, i: int, g: Any, sigma: float
) -> float:
    """Return how near differences of func come to the right value of one entry.

    A complex entry is judged by its worse part.
    """
    found = []
    parts = [(1, np.real(g))] + ([(1j, np.imag(g))] if np.iscomplexobj(g) else [])
    for unit, right in parts:
        best = min(_tableau(func, theta, i, unit, right, sigma, side) for side in (0,))
        if not np.isfinite(best):
            best = min(_tableau(func, theta, i, unit, right, sigma, side) for side in (-1, 1))
        found.append(best)
    return max(found)


def _tableau(
    func: Callable[[np.ndarray], Any],
    theta: np.ndarray,
    i: int,
    unit: Any,
    right: Any,
    sigma: float,
    side: int,
) -> float:
    scale = float(np.abs(theta[i])) or 1.0
    real = theta.real.dtype.type
    rungs = int(np.log(0.1 / float(np.finfo(real).eps)) / np.log(RATIO))
    best = math.inf
    last: list[tuple[Any, float]] = []
    for k in range(-4, rungs):
        h = real(scale) / real(RATIO) ** k
        up, down = theta.copy(), theta.copy()
        up[i] += h * unit * (side >= 0)
        down[i] -= h * unit * (side <= 0)
        step = np.abs(up[i] - theta[i]) + np.abs(theta[i] - down[i])
        if step == 0:
            break
        value = (_value(func, up) - _value(func, down)) / step
        row = [(value, math.sqrt(2) * sigma / float(step))]
        for m in range(1, min(ORDER, len(last) + 1)):
            # Powers of h: even ones for centred differences, all of them for one-sided ones.
            factor = RATIO ** (2 * m if side == 0 else m)
            entry = (factor * row[m - 1][0] - last[m - 1][0]) / (factor - 1)
            deviation = math.hypot(factor * row[m - 1][1], last[m - 1][1]) / (factor - 1)
            row.append((entry, deviation))
        for m, (entry, deviation) in enumerate(row):
            # One step may hit the truth by luck; two in a row do not.
            before = last[m][0] if m < len(last) else math.nan
            error = float(max(abs(entry - right), abs(before - right))) + 3 * deviation
            best = min(best, error if error == error and before == before else math.inf)
        last = row
    return best


def floors(case: Case, entries: set[int]) -> tuple[dict[int, float], float]:
    """Return the floor of each entry, and the noise of func."""
    dtype = kind(case.params)
    theta, g = flatten(case.params, dtype), flatten(case.grad(case.params), dtype)
    is_complex = complex_entries(case.params)

    def func(flat: np.ndarray) -> Any:
        return case.func(rebuild(case.params, flat))

    sigma = noise(func, theta)
    rounding = 16 * coarsest(case.grad(case.params))
    unit = np.where(theta != 0, np.abs(theta), 1.0)
    typical = np.sqrt(np.mean(np.abs(g * unit) ** 2)) if rounding > 1e-12 else 0.0
    found = {}
    for i in entries:
        right = g[i] if is_complex[i] else g[i].real
        own = rounding * float(max(abs(g[i]), typical / unit[i]))
        found[i] = floor(func, theta, i, right, sigma) + own
    return found, sigma
