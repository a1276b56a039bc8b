"""What stands out in a check before it is over: for a live line, and for whoever interrupts it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .._evaluate.evaluator import Progress
from .._quoting import brief

Array = np.ndarray[Any, Any]

STANDS_OUT = 1e-6
"""Analytic and numeric that differ by less than this part of them, or by what noise explains, do
not stand out before the check has looked again."""


def worst_so_far(progress: Progress, analytic: Array, label: Callable[[int], str]) -> str:
    """Return the entry of `analytic`, shape (n,), that stands out most so far, or nothing."""
    found, note = _confirmed(progress, analytic), "confirmed"
    if found is None:
        found, note = _apparent(progress, analytic), "not confirmed"
    if found is None:
        return ""
    i, numeric = found
    return f"{brief(label(i))}: analytic {float(analytic[i]):.6g}, numeric {numeric:.6g} ({note})"


def _confirmed(progress: Progress, a: Array) -> tuple[int, float] | None:
    """Return what is most wrong of the entries that were looked at again."""
    wrong = progress.accused()

    def gap(i: int) -> float:
        size = abs(float(a[i]) - wrong[i])
        return size if math.isfinite(size) else math.inf

    worst = max(wrong, key=gap, default=None)
    return None if worst is None else (worst, wrong[worst])


def _apparent(progress: Progress, a: Array) -> tuple[int, float] | None:
    """Return the entry whose two sides differ most, beside their size and func's noise."""
    so_far = progress.so_far()
    if so_far is None or not so_far[0].size:
        return None
    place, numeric, noise = so_far
    with np.errstate(all="ignore"):
        size = np.fmax(np.abs(a[place]), np.abs(numeric))
        gap = np.abs(a[place] - numeric)
        score = np.asarray(gap / (STANDS_OUT * size + noise), dtype=np.float64)
    score[~np.isfinite(a[place])] = math.inf
    score[np.isnan(score)] = 0.0
    k = int(np.argmax(score))
    return (int(place[k]), float(numeric[k])) if score[k] > 1 else None
