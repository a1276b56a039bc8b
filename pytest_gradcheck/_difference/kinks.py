"""Kinks seen from both sides, and whether a func that stands still is rounded or flat.

A kink shows in slopes to both sides whose difference does not fall with the step.  A rounded value
(to six decimals, say) moves in jumps, and small steps tell nothing of its slope.  That of a hinge
on its flat side is told by them exactly: zero.  Between the largest step without a change and the
smallest with one, the change of a rounded value stays a jump, and that beyond a kink falls to
nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from .._constants import (
    BEND_PART,
    GRAIN_FINER,
    GRAIN_ROUGH,
    GRAIN_SHOWN,
    JUMP_HALVINGS,
    JUMP_LAST,
    JUMP_STAYS,
    KINK_FAINT,
    KINK_NEAR,
    KINK_POWER,
    KINK_RUNGS,
    LIMIT_POWER,
    LINE_LOUDER,
    NOISE_SAMPLES,
    PARABOLA,
    ROUNDING_FACTOR,
    ROUNDING_SIGMA,
    SMOOTH_POWER,
    UNLIMITED_SLOPES,
    UNLIMITED_ULPS,
)
from .extrapolation import SIDES, Estimate, Line, Rung, best_entry, slope_of
from .noise import table_estimate


def bend_power(rungs: Sequence[Rung]) -> float | None:
    """Return p in bend ∝ h^p over the smallest steps at which the bend is above its noise.

    It is 1 where func is smooth, 0 at a kink, −1 at a jump; None when fewer than two rungs show a
    bend.
    """
    shown = [rung for rung in rungs if rung.bends]
    if len(shown) < 2:
        return None
    big, small = shown[-2], shown[-1]
    if big.h == small.h:  # steps that were rounded to one
        return None
    return math.log(abs(big.bend / small.bend)) / math.log(big.h / small.h)


def on_kink(rungs: Sequence[Rung]) -> bool:
    """Return whether the bend stays as the step shrinks.

    Over three rungs that show it, the power of the step is within `KINK_POWER` of 0 both times,
    and the signs are the same.
    """
    shown = [rung for rung in rungs if rung.bends][-KINK_RUNGS:]
    if len(shown) < KINK_RUNGS or len({rung.bend > 0 for rung in shown}) > 1:
        return False
    if rungs[-1] is not shown[-1]:
        return False  # a smaller step no longer shows it
    powers = [bend_power(pair) for pair in (shown[:2], shown[1:])]
    return all(power is not None and abs(power) <= KINK_POWER for power in powers)


def bent(line: Line, size: float) -> bool:
    """Return whether a kink is possible: the slopes differ, and not as a smooth func's do.

    By how much they must, their `size` says.
    """
    rung = line.rungs[-1]
    if not rung.bends:
        return False
    if abs(rung.bend) <= BEND_PART * max(size, 1e-300):
        return False
    shown = [r.bend > 0 for r in line.rungs if r.bends][-KINK_RUNGS:]
    if len(shown) == KINK_RUNGS and len(set(shown)) > 1:
        return False  # of no sign of its own: noise beyond what was measured
    power = bend_power(line.rungs)
    return power is None or power < SMOOTH_POWER


def rough(line: Line, size: float) -> bool:
    """Return whether the bend hardly falls with the step, or rises: smaller ones won't help."""
    power = bend_power(line.rungs)
    return bent(line, size) and power is not None and power < KINK_POWER


def parabolic(line: Line) -> bool:
    """Return whether the two largest steps see one curvature: a bounded func does not."""
    one, other = ((rung.bend / rung.h, rung.bend_noise / rung.h) for rung in line.rungs[:2])
    size = max(abs(one[0]), abs(other[0]))
    allowed = PARABOLA * size + ROUNDING_FACTOR * one[1] + ROUNDING_FACTOR * other[1]
    return abs(one[0] - other[0]) <= allowed


def unbounded(line: Line) -> bool:
    """Return whether the smallest steps show a slope that has no limit, as √x has none at 0.

    The slopes of a smooth func come nearer to each other as the step falls, by the square or by
    the whole of what it falls by, and those of x^1.5 by its root.
    """
    side = line.sides()
    series = line.series(side) if side != "none" else []
    # Rounding by the format alone: the estimate of func's noise takes such a bend for noise.
    unit = line.noise.unit * (abs(float(line.center)) + max(line.changes, default=0.0))
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


def kink_slopes(line: Line) -> tuple[Estimate, Estimate] | None:
    """Return the forward and the backward slope, each extrapolated from its own side."""
    forward, backward = (best_entry(line.series(side), even=False) for side in SIDES)
    return None if forward is None or backward is None else (forward, backward)


def may_be_grainy(line: Line) -> bool:
    """Return whether a side has steps that change nothing, and larger ones that do."""
    return bool(line.grain) and any(_bounds(line, side)[0] > 0 for side in (1, -1))


def tell_grain(line: Line) -> None:
    """Find out whether a line that has flat steps is grainy, and measure its noise if it is."""
    side = 1 if _bounds(line, 1)[2] <= _bounds(line, -1)[2] else -1
    _, moved, change = _bounds(line, side)
    noise = line.noise.sigma
    part = min(max(GRAIN_FINER, GRAIN_SHOWN * noise / change), 1 / NOISE_SAMPLES)
    near = line.values(side * moved, side * moved * part)
    sigma = table_estimate(near)
    line.grainy = sigma is None or sigma > GRAIN_ROUGH * float(np.ptp(near)) + LINE_LOUDER * noise
    if line.grainy:
        sigma = line.table(side * moved, side * moved / NOISE_SAMPLES)
        line.take_noise(ROUNDING_SIGMA * change if sigma is None else sigma)


def jump_between(line: Line, near: Rung, far: Rung) -> float:
    """Return the size of a jump of func between two steps to one side; 0 where it has none.

    Half by half, nearer to where func changes most by what the slope of the nearer step does not
    explain: that of a jump stays.
    """
    slope = near.central
    side = 1 if abs(far.forward - slope) >= abs(far.backward - slope) else -1
    low, high = ((r.h, r.h * (slope_of(r, SIDES[side < 0]) - slope)) for r in (near, far))
    seen = []
    for _ in range(JUMP_HALVINGS):
        (step,), (value,) = line.evaluate((side * 0.5 * (low[0] + high[0]),))
        middle = abs(step), side * (float(value - line.center) - slope * step)
        parts = (low, middle), (middle, high)
        low, high = max(parts, key=lambda part: abs(part[1][1] - part[0][1]))
        seen.append(abs(high[1] - low[1]))
    stays = JUMP_STAYS * seen[-1] > seen[-1 - JUMP_LAST]
    return seen[-1] if stays and seen[-1] > GRAIN_SHOWN * line.noise.sigma else 0.0


def _bounds(line: Line, side: int) -> tuple[float, float, float]:
    """Return the largest step that changes nothing, and the smallest that does, with its change."""
    moved = [(abs(t), c) for t, c in line.moves if t * side > 0 and c]
    flat = [abs(t) for t, c in line.moves if t * side > 0 and not c]
    if not moved or not flat:
        return 0.0, math.inf, math.inf
    return max(flat), *min(moved)
