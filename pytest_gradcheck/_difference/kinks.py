"""Kinks seen from both sides, and whether a func that stands still is rounded or flat.

A kink shows in slopes to both sides whose difference does not fall with the step.  A rounded value
(to six decimals, say) moves in jumps, and small steps tell nothing of its slope.  That of a hinge
on its flat side is told by them exactly: zero.  Between the largest step without a change and the
smallest with one, the change of a rounded value stays a jump, and that beyond a kink falls to
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .ladder import KINK_POWER, SIDES, Estimate, Line, Rung, best_entry
from .noise import SAMPLES, table_estimate


def bend_power(rungs: Sequence[Rung]) -> float | None:
    """Return p in bend ∝ h^p over the smallest steps at which the bend is above its noise.

    Returns
    -------
    float or None
        1 where func is smooth, 0 at a kink, −1 at a jump; None when fewer than two rungs show a
        bend.
    """
    shown = [
        rung for rung in rungs if math.isfinite(rung.bend) and abs(rung.bend) > 8 * rung.bend_noise
    ]
    if len(shown) < 2:
        return None
    big, small = shown[-2], shown[-1]
    return math.log(abs(big.bend / small.bend)) / math.log(big.h / small.h)


def on_kink(rungs: Sequence[Rung]) -> bool:
    """Return whether the bend stays as the step shrinks.

    Over three rungs that show it, the power of the step is within `KINK_POWER` of 0 both times,
    and the signs are the same.
    """
    shown = [
        rung for rung in rungs if math.isfinite(rung.bend) and abs(rung.bend) > 8 * rung.bend_noise
    ][-3:]
    if len(shown) < 3 or len({rung.bend > 0 for rung in shown}) > 1:
        return False
    if rungs[-1] is not shown[-1]:
        return False  # a smaller step no longer shows it
    powers = [bend_power(pair) for pair in (shown[:2], shown[1:])]
    return all(power is not None and abs(power) <= KINK_POWER for power in powers)


def nearest_kink_step(line: Line, least: float) -> float | None:
    """Return the step at which a kink at θ itself would still be seen, if none so small was tried.

    A kink beside θ bends the slopes of all steps that reach it; only one that does not can tell.
    """
    bottom = line.rungs[-1]
    wanted = max(least, bottom.bend_noise * bottom.h / (0.05 * abs(bottom.bend)))
    return wanted if bottom.h > 3 * wanted else None


def kink_slopes(line: Line) -> tuple[Estimate, Estimate] | None:
    """Return the forward and the backward slope, each extrapolated from its own side."""
    forward, backward = (best_entry(line.series(side), even=False) for side in SIDES)
    return None if forward is None or backward is None else (forward, backward)


ROUGH = 0.03
FINER = 2.0**-12
"""Beyond a kink func is smooth: over distances this part of the step at which it was first seen to
move it moves by as much less, and its noise there is below the other part of that."""


def may_be_grainy(line: Line) -> bool:
    """Return whether a side has steps that change nothing, and larger ones that do."""
    return bool(line.grain) and any(_bounds(line, side)[0] > 0 for side in (1, -1))


def tell_grain(line: Line) -> None:
    """Find out whether a line that has flat steps is grainy, and measure its noise if it is."""
    side = 1 if _bounds(line, 1)[2] <= _bounds(line, -1)[2] else -1
    _, moved, change = _bounds(line, side)
    least = 8 * line.noise.sigma / change
    near = line.values(side * moved, side * moved * max(FINER, least))
    sigma = table_estimate(near)
    line.grainy = sigma is None or sigma > ROUGH * float(np.ptp(near)) + 4 * line.noise.sigma
    if line.grainy:
        sigma = line.table(side * moved, side * moved / SAMPLES)
        line.quieten(0.3 * change if sigma is None else sigma)


def _bounds(line: Line, side: int) -> tuple[float, float, float]:
    """Return the largest step that changes nothing, and the smallest that does, with its change."""
    moved = [(abs(t), c) for t, c in line.moves if t * side > 0 and c]
    flat = [abs(t) for t, c in line.moves if t * side > 0 and not c]
    if not moved or not flat:
        return 0.0, math.inf, math.inf
    return max(flat), *min(moved)
