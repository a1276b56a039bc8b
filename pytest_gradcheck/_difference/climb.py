"""Climbing a line: which step is next, and when it is enough, is said by a policy.

A policy is a generator: it yields the next step, looks at the line that has grown by a rung, and
returns what it is content with.  Policies are made of one another by ``yield from``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import numpy as np

from .._constants import (
    ENOUGH,
    ENTRY_RUNGS,
    GROUP_PROOF,
    LIMITING,
    MOST_KINK_STEPS,
    NOISE_SPACING,
    NUMERIC_RUNGS,
    RATIO,
    SMOOTH_POWER,
    VAGUE,
    WORSE,
)
from .._evaluate.problem import Problem
from .extrapolation import Estimate, Line
from .kinks import bend_power, kink_slopes, nearest_kink_step, on_kink, unbounded
from .sweep import Sweep, least_step, line_of, noise_direction

T = TypeVar("T")

Policy = Generator[float, Any, T]


def climb(line: Line, policy: Policy[T]) -> T:
    """Take the steps that a policy asks for, until it is content; return what with."""
    try:
        while True:
            line.add(next(policy))
    except StopIteration as content:
        found: T = content.value
        return found


def rise(
    line: Line,
    step: float,
    most: int,
    further: Callable[[float], bool],
    ratio: float = RATIO,
    patience: float = math.inf,
) -> Policy[Estimate | None]:
    """Take larger steps, from `step` on, and return the best estimate.

    At most so many; as long as the next may be taken; and until so many in a row have not paid.
    """
    best = line.estimate()
    unpaid = 0
    for _ in range(most):
        if unpaid >= patience or not further(step):
            break
        yield step
        step *= ratio
        estimate = line.estimate()
        if estimate is None:
            continue
        unpaid = unpaid + 1 if best is not None and estimate.error > WORSE * best.error else 0
        if best is None or estimate.error < best.error:
            best = estimate
    return best


def fall(
    line: Line, most: int, further: Callable[[float], bool], ratio: float = RATIO
) -> Policy[None]:
    """Take smaller steps: at most so many, as long as the next may be taken."""
    for _ in range(most):
        step = line.rungs[-1].h / ratio
        if not further(step):
            return
        yield step


def enter(line: Line, least: float, most: int = ENTRY_RUNGS) -> Policy[None]:
    """Shrink the step until both sides are in func's domain, or one is and the other won't be."""
    return fall(line, most, lambda step: line.sides() != "both" and step >= least, RATIO**2)


def as_well_as_can_be(line: Line, first: float, scale: float, least: float) -> Policy[Estimate]:
    """Learn a derivative with no analytic one to judge: up while it pays, then down."""
    if not line.rungs:
        yield first
    yield from enter(line, least, ENTRY_RUNGS - len(line.rungs))
    yield line.rungs[-1].h / RATIO

    def vague() -> bool:
        best = line.estimate()
        return best is None or best.error > ENOUGH * abs(best.value)

    def truncated() -> bool:
        best = line.estimate()
        return best is not None and vague() and best.rounding < LIMITING * best.error

    top = line.rungs[0].h
    yield from rise(
        line, top * RATIO, NUMERIC_RUNGS, lambda step: step <= scale and vague(), patience=1
    )
    yield from fall(line, NUMERIC_RUNGS, lambda step: step >= least and truncated())
    best = line.estimate()
    if best is not None and best.error > VAGUE * abs(best.value) and unbounded(line):
        return Estimate(best.value, math.inf)
    slopes = kink_slopes(line) if on_kink(line.rungs) else None
    if slopes is not None:
        forward, backward = slopes
        gap = 0.5 * abs(forward.value - backward.value)
        return Estimate(0.5 * (forward.value + backward.value), gap + forward.error)
    return best if best is not None else Estimate(math.nan, math.inf)


def follow_bend(line: Line, first: float, least: float) -> Policy[bool]:
    """Take smaller steps while func bends as no smooth one does; return whether at a kink."""
    yield first
    for _ in range(MOST_KINK_STEPS):
        power = bend_power(line.rungs)
        if not line.rungs[-1].bends or (power or 0.0) >= SMOOTH_POWER:
            break
        step: float | None = line.rungs[-1].h / RATIO
        if on_kink(line.rungs):
            step = nearest_kink_step(line, least)
        if step is None:
            return True
        yield step
    return False


def climb_all(problem: Problem, found: Sweep, *, only_missing: bool) -> list[int]:
    """Replace a sweep's derivatives by the best estimate of a ladder, and error bars with it.

    `only_missing`: only where nothing finite was found, at the edge of func's domain.  Returned
    is where the slope has no limit that can be seen, though it is finite.
    """
    without_limit = []
    which = ~np.isfinite(found.numeric) if only_missing else np.ones(problem.size, dtype=bool)
    for i in np.flatnonzero(which).tolist():
        line = line_of(problem, i, found.noise, found)
        first, scale = float(found.step[i]), float(problem.scale[i])
        estimate = climb(line, as_well_as_can_be(line, first, scale, least_step(problem, i)))
        found.numeric[i], found.error[i] = estimate.value, estimate.error
        if math.isinf(estimate.error) and math.isfinite(estimate.value):
            without_limit.append(i)
    return without_limit


def climb_nearer(problem: Problem, found: Sweep, seed: int) -> None:
    """Replace a sweep's derivatives where its steps passed over what func does nearer to θ.

    The values that told the noise of func tell the slope along their direction, too: where the
    derivatives do not add up to it, each is climbed for from the steps of those values on.
    """
    slope, error = found.noise.slope
    shift = noise_direction(problem, seed)
    with np.errstate(all="ignore"):
        gap = abs(float((found.numeric * shift).sum()) - slope)
        bar = float((found.error * np.abs(shift)).sum())
    if not gap > GROUP_PROOF * (error + bar):
        return
    for i, first in enumerate((NOISE_SPACING * np.abs(shift)).tolist()):
        line, scale = line_of(problem, i, found.noise), float(problem.scale[i])
        near = climb(line, as_well_as_can_be(line, first, scale, least_step(problem, i)))
        apart = abs(near.value - found.numeric[i]) > near.error + found.error[i]
        if apart or near.error < found.error[i]:
            found.numeric[i], found.error[i] = near.value, near.error
