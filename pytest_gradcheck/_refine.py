"""What is asked of one coordinate after two evaluations did not settle it.

The ladder is climbed one rung at a time, towards whatever limits the estimate: up where noise
does, down where truncation or a kink does.  Nothing is accused before a *sentinel* rung far
below the others confirms that no finer structure was stepped over.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from ._ladder import (
    COARSEST_JUMP,
    JUMP_POWER,
    KINK_POWER,
    RATIO,
    SMOOTH_POWER,
    Estimate,
    Line,
    bend_power,
    kink_slopes,
    nearest_kink_step,
    on_kink,
)

CONFIDENCE = 1.5
"""K: an error bar counts this many times when a verdict is reached."""

MOST_RUNGS = 16

ROUGH_RUNGS = 8
"""A bend that is neither a kink's nor a smooth func's after so many rungs stays unexplained."""

GAP = RATIO**2.5
"""Neighbouring rungs farther apart than this have room for another between them."""

FARTHEST = 1e6
"""Steps go beyond the parameter's own scale, up to this many times it, only while func is a
parabola at them: a tiny entry beside a huge J can be resolved in no other way."""

AGREE, DISAGREE, OPEN = 0, 1, 2

NOISY = "func is too noisy here"
JUMP = "func jumps here"
NOT_SMOOTH = "func is not smooth at any step that its noise allows"
NOT_FINITE = "func is not finite near here"
EXHAUSTED = "max_evals reached"
KINK = "not differentiable here"


@dataclass(frozen=True)
class Question:
    """What a coordinate is to be judged by.

    Parameters
    ----------
    analytic : float
    rtol : float
        Relative tolerance.
    atol : float
        Absolute tolerance.
    dust : float
        By how much rounding in the analytic gradient itself may be off; see `within`.
    goal_rtol, goal_atol : float
        The error bar that settles it: ``goal_atol + goal_rtol·max(|a|, |n|)``.
    """

    analytic: float
    rtol: float
    atol: float
    dust: float
    goal_rtol: float
    goal_atol: float

    def size(self, numeric: float) -> float:
        """Return max(|a|, |n|), which tolerances are relative to."""
        return max(abs(self.analytic), abs(numeric))

    def within(self, numeric: float, error: float) -> bool:
        """Return whether analytic and numeric are equal as far as `error` can tell."""
        gap = abs(self.analytic - numeric)
        if gap <= self.atol + self.rtol * self.size(numeric) + CONFIDENCE * error:
            return True
        # Terms that cancel leave dust in the analytic entry.  A numeric value that stands clear
        # of its error bar shows a gradient that is there, and dust is no excuse.
        return gap <= self.dust and abs(numeric) <= 10 * CONFIDENCE * error

    def settled(self, numeric: float, error: float) -> bool:
        """Return whether `error` is small enough for agreement to mean something."""
        return CONFIDENCE * error <= self.goal_atol + self.goal_rtol * self.size(numeric)


@dataclass(frozen=True)
class Answer:
    """What was found out of one coordinate."""

    value: float
    error: float
    verdict: int
    reason: str = ""
    slopes: tuple[float, float] | None = None


def refine(line: Line, question: Question, first: float, scale: float, least: float) -> Answer:
    """Climb until the coordinate is settled.

    Parameters
    ----------
    line : Line
        With the rungs that were evaluated before, if any.
    question : Question
    first : float
        The step to begin with.
    scale : float
        The parameter's scale s.
    least : float
        The smallest step that the parameter's format allows.

    Returns
    -------
    Answer
    """
    if not line.rungs:
        line.add(first)
    _enter_domain(line, least)
    confirmed = False
    while True:
        if on_kink(line.rungs):
            step = nearest_kink_step(line, least)
            if step is None and (at_kink := _judge_kink(line, question)) is not None:
                return at_kink
            if step is not None and len(line.rungs) < MOST_RUNGS:
                line.add(step)
                continue
        estimate = line.estimate()
        if estimate is not None:
            if line.flat and (step := _until_it_moves(line, question, scale)) is not None:
                line.add(step)
                continue
            agrees = question.within(estimate.value, estimate.error)
            if not agrees and confirmed and _smooth_enough(line, question):
                return Answer(estimate.value, estimate.error, DISAGREE)
            if (
                agrees
                and question.settled(estimate.value, estimate.error)
                and not _bent(line, question)
            ):
                return Answer(estimate.value, estimate.error, AGREE)
            if not agrees and not confirmed:
                confirmed = True
                step = _sentinel(line, question, estimate, least)
                if step is not None:
                    line.add(step)
                continue
        step = _next_step(line, question, estimate, scale, least)
        rough = len(line.rungs) >= ROUGH_RUNGS and _rough(line, question)
        if step is None or rough or len(line.rungs) >= MOST_RUNGS:
            return _left_open(line, question, estimate)
        line.add(step)


def _enter_domain(line: Line, least: float) -> None:
    """Shrink the step until both sides are finite, or one is and the other will not be."""
    for _ in range(6):
        step = line.rungs[-1].h / RATIO**2
        if line.sides() == "both" or step < least:
            return
        line.add(step)


def _until_it_moves(line: Line, question: Question, scale: float) -> float | None:
    """Return a larger step while func has not changed, though its steps may be too coarse to.

    A func that rounds its value (to float32, to six decimals) is flat at small steps.  It is
    truly flat when it does not move where the analytic slope says by more than any rounding.
    """
    top = line.rungs[0].h
    told = abs(question.analytic) * top > 4 * COARSEST_JUMP * abs(float(line.center))
    if question.analytic == 0 or told or top >= scale:
        return None
    return min(top * RATIO**2, scale)


def _next_step(
    line: Line, question: Question, estimate: Estimate | None, scale: float, least: float
) -> float | None:
    """Return the step that promises most, or None."""
    if _bent(line, question):
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
    if top.h >= scale and not _flat_top(line):
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


def _flat_top(line: Line) -> bool:
    """Return whether no truncation shows at the largest steps."""
    series = line.series("both")
    if len(series) < 2:
        return False
    (_, s0, r0), (_, s1, r1) = series[:2]
    return abs(s0 - s1) <= 3 * (r0 + r1)


def _sentinel(line: Line, question: Question, estimate: Estimate, least: float) -> float | None:
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


def _bent(line: Line, question: Question) -> bool:
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


def _rough(line: Line, question: Question) -> bool:
    """Return whether the bend hardly falls with the step, or rises: smaller ones won't help."""
    power = bend_power(line.rungs)
    return _bent(line, question) and power is not None and power < KINK_POWER


def _smooth_enough(line: Line, question: Question) -> bool:
    """Return whether the two sides leave no room for the analytic value to be a subgradient."""
    both = [rung for rung in line.rungs if math.isfinite(rung.bend)]
    if not both:
        return True
    gaps = [(rung, abs(question.analytic - rung.central)) for rung in both]
    telling = [(rung, gap) for rung, gap in gaps if 8 * rung.bend_noise < gap]
    rung, gap = telling[-1] if telling else gaps[0]
    if abs(rung.bend) <= 8 * rung.bend_noise or gap > 0.75 * abs(rung.bend):
        return True
    power = bend_power(line.rungs)
    return power is not None and power >= SMOOTH_POWER


def _judge_kink(line: Line, question: Question) -> Answer | None:
    slopes = kink_slopes(line)
    if slopes is None:
        return None
    forward, backward = slopes
    low, high = sorted((forward, backward), key=lambda slope: slope.value)
    mean = 0.5 * (low.value + high.value)
    size = max(abs(low.value), abs(high.value), abs(question.analytic))
    if not math.isfinite(size):
        between = False
    else:
        slack = question.atol + question.rtol * size
        between = (
            low.value - slack - CONFIDENCE * low.error
            <= question.analytic
            <= high.value + slack + CONFIDENCE * high.error
        )
    return Answer(
        mean,
        0.5 * (high.value - low.value),
        AGREE if between else DISAGREE,
        KINK,
        (backward.value, forward.value),
    )


def _left_open(line: Line, question: Question, estimate: Estimate | None) -> Answer:
    """Return the best that is known when no further step helps, with the reason."""
    if estimate is None:
        return Answer(line.rungs[-1].central, math.inf, OPEN, NOT_FINITE)
    if _bent(line, question):
        power = bend_power(line.rungs)
        jump = power is not None and power < JUMP_POWER
        return Answer(estimate.value, estimate.error, OPEN, JUMP if jump else NOT_SMOOTH)
    louder = line.noisier_estimate()
    best = estimate
    if louder is not None and louder.error < best.error:
        best = louder
    if question.within(best.value, best.error):
        verdict = AGREE if question.settled(best.value, best.error) else OPEN
        return Answer(best.value, best.error, verdict, NOISY)
    if best is louder and _every_rung_denies(line, question, best):
        return Answer(best.value, best.error, DISAGREE)
    return Answer(estimate.value, estimate.error, OPEN, NOISY)


def _every_rung_denies(line: Line, question: Question, estimate: Estimate) -> bool:
    """Return whether a loud func still tells that the analytic value is wrong.

    What looked like noise could be structure finer than the steps.  It is not when no step
    comes near the analytic value, and several come near the estimate.
    """
    gap = abs(question.analytic - estimate.value)
    slopes = [slope for _, slope, _ in line.series(line.sides())]
    near = sum(abs(slope - estimate.value) < 0.1 * gap for slope in slopes)
    denied = all(abs(slope - question.analytic) > 0.3 * gap for slope in slopes)
    return near >= 3 and denied
