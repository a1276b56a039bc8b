"""Is a func that small steps do not change rounded, or is it flat as far as a kink.

A rounded value (to six decimals, say) moves in jumps, and small steps tell nothing of its slope.
That of a hinge on its flat side is told by them exactly: zero.  Between the largest step without
a change and the smallest with one, the change of a rounded value stays a jump, and that beyond a
kink falls to nothing.
"""

from __future__ import annotations

import math

from ._ladder import Line

CLOSE = 1.15
"""The two steps are brought so near to each other,"""

MOST = 10
"""by evaluations at so many steps at most."""

NEAR, FAR = 1.5, 3.0
"""A step so many times as large tells what the slope is beyond."""

PART = 0.35
"""A change below this part of what that slope comes to is no jump.  Beyond a kink it is at most
(1 - 1/1.15) / (1 - 1.15/2) of it, 0.31; of a rounded straight line or parabola about 1."""


def may_be_grainy(line: Line) -> bool:
    """Return whether a side has steps that change nothing, and larger ones that do."""
    return bool(line.grain) and any(_bounds(line, side)[0] > 0 for side in (1, -1))


def tell_grain(line: Line, least: float) -> None:
    """Find out whether a line that has flat steps is grainy.

    Parameters
    ----------
    line : Line
        Its `grainy` is set.  What was evaluated is kept if it is not.
    least : float
        The smallest step that the parameter's format allows.
    """
    before = list(line.rungs), list(line.changes), list(line.moves)
    line.grainy = not _falls_to_nothing(line, least)
    if line.grainy:
        line.rungs, line.changes, line.moves = before
    else:
        line.probes = len(line.rungs) - len(before[0])


def _falls_to_nothing(line: Line, least: float) -> bool:
    side = 1 if _bounds(line, 1)[2] <= _bounds(line, -1)[2] else -1
    flat, moved, change = _bounds(line, side)
    for _ in range(MOST):
        middle = math.sqrt(flat * moved)
        if moved <= CLOSE * flat or middle < least:
            break
        line.add(middle)
        flat, moved, change = _bounds(line, side)
    if not flat < moved <= CLOSE * flat:
        return False

    def beyond() -> list[tuple[float, float]]:
        return [(abs(t), c) for t, c in line.moves if NEAR * moved < t * side < FAR * moved]

    if not beyond():
        line.add(2 * moved)
    if not beyond():
        return False
    step, there = min(beyond())
    return change < PART * there * moved / step


def _bounds(line: Line, side: int) -> tuple[float, float, float]:
    """Return the largest step that changes nothing, and the smallest that does, with its change."""
    moved = [(abs(t), c) for t, c in line.moves if t * side > 0 and c]
    flat = [abs(t) for t, c in line.moves if t * side > 0 and not c]
    if not moved or not flat:
        return 0.0, math.inf, math.inf
    return max(flat), *min(moved)
