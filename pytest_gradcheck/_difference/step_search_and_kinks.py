"""Climbing a line, each step and its end said by a policy; and the kinks that are seen there.

A policy is a generator: it yields the next step, looks at the line that has grown by a rung, and
returns what it is content with.  Policies are made of one another by ``yield from``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import numpy as np

from .._constants import (
    BEND_PART,
    ENOUGH,
    ENTRY_RUNGS,
    GRAIN_FINER,
    GRAIN_ROUGH,
    GRAIN_STEEP,
    GROUP_PROOF,
    JUMP_HALVINGS,
    JUMP_LAST,
    JUMP_STAYS,
    KINK_FAINT,
    KINK_NEAR,
    KINK_POWER,
    KINK_RUNGS,
    LIMIT_POWER,
    LIMITING,
    LINE_LOUDER,
    LONG_LADDER,
    LOUD,
    NOISE_SAMPLES,
    NOISE_SPACING,
    PARABOLA,
    RATIO,
    RESPONDS,
    ROUNDING_FACTOR,
    ROUNDING_SIGMA,
    SMOOTH_POWER,
    UNLIMITED_SLOPES,
    UNLIMITED_ULPS,
    VAGUE,
)
from .._evaluate.problem import Problem
from .every_coordinate import Sweep, least_step, line_of
from .noise_and_extrapolation import (
    SIDES,
    Estimate,
    Line,
    Rung,
    best_entry,
    grid,
    slope_of,
    table_estimate,
)

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
) -> Policy[Estimate]:
    """Take larger steps, from `step` on, and return the best estimate."""
    # At most so many; as long as the next may be taken; and until so many in a row have not paid.
    best = line.estimate()
    unpaid = 0
    for _ in range(most):
        if unpaid >= patience or not further(step):
            break
        yield step
        step *= ratio
        estimate = line.estimate()
        unpaid = unpaid + 1 if estimate.error > LIMITING * best.error else 0
        if estimate.error < best.error:
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


def enter(line: Line, first: float, least: float, most: int = ENTRY_RUNGS) -> Policy[None]:
    """Shrink the step until both sides are in func's domain, or one is and the other won't be."""
    if not line.rungs:
        yield first
    yield from fall(line, most, lambda step: line.sides() != "both" and step >= least, RATIO**2)


def as_well_as_can_be(line: Line, first: float, scale: float, least: float) -> Policy[Estimate]:
    """Learn a derivative with no analytic one to judge: up while it pays, then down."""
    yield from enter(line, first, least, ENTRY_RUNGS - 1)
    yield line.rungs[-1].h / RATIO

    def vague() -> bool:
        best = line.estimate()
        return not best.error <= ENOUGH * abs(best.value)

    def truncated() -> bool:
        best = line.estimate()
        return best.h > 0 and vague() and best.rounding < LIMITING * best.error

    top = line.rungs[0].h
    yield from rise(
        line, top * RATIO, LONG_LADDER, lambda step: step <= scale and vague(), patience=1
    )
    yield from fall(line, LONG_LADDER, lambda step: step >= least and truncated())
    best = line.estimate()
    if best.error > VAGUE * abs(best.value) and unbounded(line):
        return Estimate(best.value, math.inf)
    if on_kink(line.rungs):
        forward, backward = kink_slopes(line)
        gap = 0.5 * abs(forward.value - backward.value)
        return Estimate(0.5 * (forward.value + backward.value), gap + forward.error)
    return best


def follow_bend(line: Line, first: float, least: float) -> Policy[bool]:
    """Take smaller steps while func bends as no smooth one does; return whether at a kink."""
    yield first
    for _ in range(LONG_LADDER):
        if not line.rungs[-1].bends or bend_power(line.rungs) >= SMOOTH_POWER:
            break
        step: float | None = line.rungs[-1].h / RATIO
        if on_kink(line.rungs):
            step = nearest_kink_step(line, least)
        if step is None:
            return True
        yield step
    return False


def climb_all(problem: Problem, found: Sweep, *, only_missing: bool) -> list[int]:
    """Replace a sweep's derivatives by the best estimate of a ladder, and error bars with it."""
    # `only_missing`: only where nothing finite was found, at the edge of func's domain. Returned is
    # where the slope has no limit that can be seen, though it is finite.
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


def climb_nearer(problem: Problem, found: Sweep) -> None:
    """Replace a sweep's derivatives where its steps passed over what func does nearer to θ."""
    # The values that told the noise of func tell the slope along their direction, too: where the
    # derivatives do not add up to it, each is climbed for from the steps of those values on.
    (slope, error), shift = found.noise.slope, found.noise.direction
    if shift is None:
        return
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


# Kinks seen from both sides, and whether a func that stands still is rounded or flat.
#
# A kink shows in slopes to both sides whose difference does not fall with the step.  A rounded
# value (to six decimals, say) moves in jumps, and small steps tell nothing of its slope.  That of
# a hinge on its flat side is told by them exactly: zero.  Between the largest step without a
# change and the smallest with one, the change of a rounded value stays a jump, and that beyond a
# kink falls to nothing.


def bend_power(rungs: Sequence[Rung]) -> float:
    """Return p in bend ∝ h^p over the smallest steps at which the bend is above its noise."""
    # It is 1 where func is smooth, 0 at a kink, −1 at a jump; NaN when fewer than two rungs show a
    # bend, or the steps of two were rounded to one.
    shown = [rung for rung in rungs if rung.bends]
    if len(shown) < 2 or shown[-2].h == shown[-1].h:
        return math.nan
    big, small = shown[-2:]
    return math.log(abs(big.bend / small.bend)) / math.log(big.h / small.h)


def on_kink(rungs: Sequence[Rung]) -> bool:
    """Return whether the bend stays as the step shrinks."""
    # Over three rungs that show it, the power of the step is within `KINK_POWER` of 0 both times,
    # and the signs are the same.
    shown = [rung for rung in rungs if rung.bends][-KINK_RUNGS:]
    if len(shown) < KINK_RUNGS or len({rung.bend > 0 for rung in shown}) > 1:
        return False
    if rungs[-1] is not shown[-1]:
        return False  # a smaller step no longer shows it
    return all(abs(bend_power(pair)) <= KINK_POWER for pair in (shown[:2], shown[1:]))


def bent(line: Line, size: float) -> bool:
    """Return whether a kink is possible: the slopes differ, and not as a smooth func's do."""
    # By how much they must, their `size` says.
    rung = line.rungs[-1]
    if not rung.bends or abs(rung.bend) <= BEND_PART * max(size, 1e-300):
        return False
    shown = [r for r in line.rungs if r.bends][-KINK_RUNGS:]
    if len(shown) == KINK_RUNGS and len({r.bend > 0 for r in shown}) > 1:
        return False  # of no sign of its own: noise beyond what was measured
    if len(shown) < 2 or shown[-2].h == rung.h:
        return True
    smooth: float = abs(shown[-2].bend) * (rung.h / shown[-2].h) ** SMOOTH_POWER
    return abs(rung.bend) > smooth + ROUNDING_FACTOR * rung.bend_noise


def parabolic(line: Line) -> bool:
    """Return whether the two largest steps see one curvature: a bounded func does not."""
    one, other = ((rung.bend / rung.h, rung.bend_noise / rung.h) for rung in line.rungs[:2])
    size = max(abs(one[0]), abs(other[0]))
    allowed = PARABOLA * size + ROUNDING_FACTOR * one[1] + ROUNDING_FACTOR * other[1]
    return abs(one[0] - other[0]) <= allowed


def unbounded(line: Line) -> bool:
    """Return whether the smallest steps show a slope that has no limit, as √x has none at 0."""
    # The slopes of a smooth func come nearer to each other as the step falls, by the square or by
    # the whole of what it falls by, and those of x^1.5 by its root.
    series = line.series(line.sides())
    # Rounding by the format alone: the estimate of func's noise takes such a bend for noise.
    unit = line.noise.unit * (abs(float(line.center)) + line.change)
    gaps = []
    for (wide, slope, _), (h, finer, _) in reversed(list(itertools.pairwise(series))):
        if abs(finer - slope) * h > UNLIMITED_ULPS * unit:
            gaps.append(((finer - slope) / math.log(wide / h), math.sqrt(wide * h)))
        elif gaps:
            break
    gaps = gaps[:UNLIMITED_SLOPES]
    signs = {gap > 0 for gap, _ in gaps}
    if len(gaps) < UNLIMITED_SLOPES or len(signs) > 1:
        return False
    return all(
        abs(gap) > abs(wider) * (h / step) ** LIMIT_POWER
        for (gap, h), (wider, step) in itertools.pairwise(gaps)
    )


def nearest_kink_step(line: Line, least: float) -> float | None:
    """Return the step at which a kink at θ itself would still be seen, if none so small was tried.

    A kink beside θ bends the slopes of all steps that reach it; only one that does not can tell.
    """
    bottom = line.rungs[-1]
    wanted = max(least, bottom.bend_noise * bottom.h / (KINK_FAINT * abs(bottom.bend)))
    return wanted if bottom.h > KINK_NEAR * wanted else None


def kink_slopes(line: Line) -> tuple[Estimate, Estimate]:
    """Return the forward and the backward slope, each extrapolated from its own side."""
    forward, backward = (best_entry(line.series(side), even=False) for side in SIDES)
    return forward, backward


def may_be_grainy(line: Line) -> bool:
    """Return whether a side has steps that change nothing, and larger ones that do."""
    return bool(line.grain) and any(line.bounds(side)[0] > 0 for side in (1, -1))


def tell_grain(line: Line) -> None:
    """Find out whether a line that has flat steps is grainy, and measure its noise if it is."""
    if line.noise.digits:
        line.grainy = True
        return
    side = 1 if line.bounds(1)[2] <= line.bounds(-1)[2] else -1
    _, moved, change = line.bounds(side)
    noise = line.noise.sigma
    part = min(max(GRAIN_FINER, RESPONDS * noise / change), 1 / NOISE_SAMPLES)
    near = line.values(side * moved, side * moved * part)
    sigma = table_estimate(near)
    spread = float(np.ptp(near))
    rough = sigma is None or sigma > GRAIN_ROUGH * spread + LINE_LOUDER * noise
    if not spread or not (rough or noise <= LOUD * line.noise.floor):
        # These are beyond all that func moves by, as a clipped value does, or farther from each
        # other than stairs of which the noise is that was known.
        rough = _jumps(line, side)
    # Within twice the step a rounded func makes a few more of these jumps; one that is steep there
    # is rough because the values are too far from each other.
    line.grainy = rough and spread <= GRAIN_STEEP * change
    if line.grainy:
        sigma = line.table(side * moved, side * moved / NOISE_SAMPLES)
        line.take_noise(ROUNDING_SIGMA * change if sigma is None else sigma)
    else:
        # Of a J that is zero, flat as far as a kink, nothing but the grid of its terms is known: it
        # may move by less than that.
        line.take_noise(max(noise, ROUNDING_SIGMA * grid(near)))


def jump_between(line: Line, near: Rung, far: Rung) -> float:
    """Return the size of a jump of func as far as a step to one side; 0 where it has none."""
    # Half by half, nearer to where func changes most by what the slope of the nearer step does not
    # explain: that of a jump stays, and that of a pole grows. A weight decay, which bends as much
    # to both sides, would hide it.
    slope, curve = near.central, far.bend / (2 * far.h)
    side = 1 if abs(far.forward - slope) >= abs(far.backward - slope) else -1

    def excess(t: float, change: float) -> float:
        return side * (change - slope * t - curve * t * t)

    end = far.h, excess(side * far.h, side * far.h * slope_of(far, SIDES[side < 0]))
    before, last = _halved(line, side, (0.0, 0.0), end, excess)
    stays = 1 / JUMP_STAYS < last / (before or math.inf) < JUMP_STAYS
    return last if stays and last > RESPONDS * line.noise.sigma else 0.0


def _jumps(line: Line, side: int) -> bool:
    """Return whether func jumps where it first moves, and is not at the kink of a smooth one."""
    flat, moved, change = line.bounds(side)
    before, last = _halved(line, side, (flat, 0.0), (moved, change), lambda t, change: abs(change))
    return last * JUMP_STAYS > before


def _halved(
    line: Line,
    side: int,
    low: tuple[float, float],
    high: tuple[float, float],
    excess: Callable[[float, float], float],
) -> tuple[float, float]:
    """Go half by half to where func changes most between two steps, each with its `excess`.

    Returned is what it changes by there, `JUMP_LAST` halvings before the last and at the last.
    """
    seen = []
    for _ in range(JUMP_HALVINGS):
        (step,), (value,) = line.evaluate((side * 0.5 * (low[0] + high[0]),))
        middle = abs(step), excess(step, float(value - line.center))
        parts = (low, middle), (middle, high)
        low, high = max(parts, key=lambda part: abs(part[1][1] - part[0][1]))
        seen.append(abs(high[1] - low[1]))
    return seen[-1 - JUMP_LAST], seen[-1]
