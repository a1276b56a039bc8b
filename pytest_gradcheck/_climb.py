"""Which step to take next, for one coordinate: larger, smaller, or none that would tell more."""

from __future__ import annotations

import itertools
import math

from ._ladder import COARSEST_JUMP, KINK_POWER, RATIO, SMOOTH_POWER, Estimate, Line, bend_power
from ._question import CONFIDENCE, Question

GAP = RATIO**2.5
"""Neighbouring rungs farther apart than this have room for another between them."""

FARTHEST = 1e6
"""Steps go beyond the parameter's own scale, up to this many times it, only while func is a
parabola at them: a tiny entry beside a huge J can be resolved in no other way."""


def enter_domain(line: Line, least: float) -> None:
    """Shrink the step until both sides are finite, or one is and the other will not be."""
    for _ in range(6):
        step = line.rungs[-1].h / RATIO**2
        if line.sides() == "both" or step < least:
            return
        line.add(step)


def until_it_moves(line: Line, question: Question, scale: float) -> float | None:
    """Return a larger step while func has not changed, though its steps may be too coarse to.

    A func that rounds its value (to float32, to six decimals) is flat at small steps.  It is
    truly flat when it does not move where the analytic slope says by more than any rounding.
    """
    top = line.rungs[0].h
    told = abs(question.analytic) * top > 4 * COARSEST_JUMP * abs(float(line.center))
    if question.analytic == 0 or told or top >= scale:
        return None
    return min(top * RATIO**2, scale)


def next_step(
    line: Line, question: Question, estimate: Estimate | None, scale: float, least: float
) -> float | None:
    """Return the step that promises most, or None."""
    if bent(line, question):
        return _smaller(line, line.rungs[-1].h, question, least)
    pivot = estimate.h if estimate is not None else line.rungs[-1].h
    larger = _larger(line, pivot, question, scale)
    smaller = _smaller(line, pivot, question, least)
    if estimate is None or estimate.rounding >= 0.5 * estimate.error:
        return larger or smaller
    return smaller or larger


def _larger(line: Line, pivot: float, question: Question, scale: float) -> float | None:
    """Return a step above `pivot`: in the first gap between rungs, or beyond the largest."""
    steps = [rung.h for rung in reversed(line.rungs) if rung.h >= pivot * 0.999]
    for low, high in itertools.pairwise(steps):
        if high > low * GAP:
            return high / RATIO
    top = line.rungs[0]
    if not math.isfinite(top.central) or top.h >= FARTHEST * scale:
        return None
    if top.h >= scale and not (_flat_top(line) and parabolic(line)):
        return None
    goal = question.goal_atol + question.goal_rtol * question.size(top.central)
    wanted = CONFIDENCE * 3 * top.sigma / max(goal, 1e-300)
    if len(line.rungs) == 1:
        # So far from what is asked that many rungs would be needed: begin near the top.
        return min(max(top.h * RATIO, wanted), max(scale, top.h * RATIO))
    return top.h * (RATIO if wanted < top.h * RATIO**4 else RATIO**2)


def _smaller(line: Line, pivot: float, question: Question, least: float) -> float | None:
    """Return a step below `pivot`: in the first gap between rungs, or beyond the smallest."""
    steps = [rung.h for rung in line.rungs if rung.h <= pivot * 1.001]
    for high, low in itertools.pairwise(steps):
        if high > low * GAP:
            return high / RATIO
    bottom = line.rungs[-1]
    slopes = (question.analytic, bottom.forward, bottom.backward)
    value = max((abs(x) for x in slopes if math.isfinite(x)), default=0.0)
    # Below this step noise is a third of the value, and nothing can be learnt.
    useful = bottom.sigma / max(0.3 * value, 1e-300)
    step = bottom.h / RATIO
    return step if step >= max(least, useful) else None


def parabolic(line: Line) -> bool:
    """Return whether the two largest steps see one curvature: a bounded func does not."""
    one, other = ((rung.bend / rung.h, 3 * rung.bend_noise / rung.h) for rung in line.rungs[:2])
    size = max(abs(one[0]), abs(other[0]))
    return abs(one[0] - other[0]) <= 1e-3 * size + one[1] + other[1]


def _flat_top(line: Line) -> bool:
    """Return whether no truncation shows at the largest steps."""
    series = line.series("both")
    if len(series) < 2:
        return False
    (_, s0, r0), (_, s1, r1) = series[:2]
    return abs(s0 - s1) <= 3 * (r0 + r1)


def sentinel(line: Line, question: Question, estimate: Estimate, least: float) -> float | None:
    """Return a step far below the others at which noise still leaves something to see."""
    smallest = line.rungs[-1]
    if not math.isfinite(question.analytic):
        return None
    gap = abs(question.analytic - estimate.value)
    value = question.size(estimate.value)
    # The bend's noise is 3.5 times the slope's, and a kink must show here if there is one.
    telling = smallest.sigma / (0.02 * gap) if gap else math.inf
    faint = smallest.sigma / (0.03 * value) if value else math.inf
    step = max(min(telling, smallest.h / RATIO**2), faint, least)
    return step if step <= smallest.h / RATIO else None


def bent(line: Line, question: Question) -> bool:
    """Return whether a kink is possible: the slopes differ, and not as a smooth func's do."""
    rung = line.rungs[-1]
    if not math.isfinite(rung.bend) or abs(rung.bend) <= 8 * rung.bend_noise:
        return False
    if abs(rung.bend) <= 0.1 * max(question.size(rung.central), 1e-300):
        return False
    shown = [r.bend > 0 for r in line.rungs if abs(r.bend) > 8 * r.bend_noise][-3:]
    if len(shown) == 3 and len(set(shown)) > 1:
        return False  # of no sign of its own: noise beyond what was measured
    power = bend_power(line.rungs)
    return power is None or power < SMOOTH_POWER


def rough(line: Line, question: Question) -> bool:
    """Return whether the bend hardly falls with the step, or rises: smaller ones won't help."""
    power = bend_power(line.rungs)
    return bent(line, question) and power is not None and power < KINK_POWER
