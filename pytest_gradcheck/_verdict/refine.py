"""What is asked of one coordinate after two evaluations did not settle it.

The ladder is climbed one rung at a time, towards whatever limits the estimate: up where noise
does, down where truncation or a kink does.  Nothing is accused before a *sentinel* rung far
below the others confirms that no finer structure was stepped over.
"""

from __future__ import annotations

import itertools
import math

from .._difference.kinks import (
    bend_power,
    kink_slopes,
    may_be_grainy,
    nearest_kink_step,
    on_kink,
    tell_grain,
)
from .._difference.ladder import (
    COARSEST_JUMP,
    JUMP_POWER,
    KINK_POWER,
    RATIO,
    SMOOTH_POWER,
    Estimate,
    Line,
    Rung,
)
from .tolerance import (
    AGREE,
    CONFIDENCE,
    DISAGREE,
    FARTHEST,
    JUMP,
    KINK,
    NOISY,
    NOT_FINITE,
    NOT_SMOOTH,
    OPEN,
    ROUNDED,
    Answer,
    Tolerance,
)

GAP = RATIO**2.5
"""Neighbouring rungs farther apart than this have room for another between them."""


def enter_domain(line: Line, least: float) -> None:
    """Shrink the step until both sides are finite, or one is and the other will not be."""
    for _ in range(6):
        step = line.rungs[-1].h / RATIO**2
        if line.sides() == "both" or step < line.ulp:
            return
        line.add(step)


FLAT_AS_FAR_AS = 256.0


def until_it_moves(line: Line, question: Tolerance, scale: float) -> float | None:
    """Return a larger step while func has not changed, though its steps may be too coarse to.

    A func that rounds its value (to float32, to six decimals) is flat at small steps.  It is
    truly flat when it does not move where the analytic slope says by more than any rounding.
    """
    top = line.rungs[0].h
    if question.analytic == 0 or not math.isfinite(question.analytic):
        return None
    told = 4 * abs(float(line.center) / question.analytic)
    most = min(max(scale, told), FLAT_AS_FAR_AS * scale)
    return min(top * RATIO**2, most) if top < 0.9 * most else None


def next_step(
    line: Line, question: Tolerance, estimate: Estimate | None, scale: float, least: float
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


def _larger(line: Line, pivot: float, question: Tolerance, scale: float) -> float | None:
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
    wanted: float = CONFIDENCE * 3 * top.sigma / max(question.goal(top.central), 1e-300)
    if len(line.rungs) == 1:
        # So far from what is asked that many rungs would be needed: begin near the top.
        return min(max(top.h * RATIO, wanted), max(scale, top.h * RATIO))
    return top.h * (RATIO if wanted < top.h * RATIO**4 else RATIO**2)


def _smaller(line: Line, pivot: float, question: Tolerance, least: float) -> float | None:
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


def sentinel(line: Line, question: Tolerance, estimate: Estimate, least: float) -> float | None:
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


def bent(line: Line, question: Tolerance) -> bool:
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


def rough(line: Line, question: Tolerance) -> bool:
    """Return whether the bend hardly falls with the step, or rises: smaller ones won't help."""
    power = bend_power(line.rungs)
    return bent(line, question) and power is not None and power < KINK_POWER


MOST_RUNGS = 16

NARROW = 1e-10
"""Half the spacing of func's format, relative: above this it is float32 or narrower."""

NARROW_PROOF = 8.0
"""There an error must be so many times what would do, or it is left open."""

ROUGH_RUNGS = 8
"""A bend that is neither a kink's nor a smooth func's after so many rungs stays unexplained."""


def refine(line: Line, question: Tolerance, first: float, scale: float, least: float) -> Answer:
    """Climb until the coordinate is settled.

    Parameters
    ----------
    line : Line
        With the rungs that were evaluated before, if any.
    question : Tolerance
        Numbers: what the coordinate is judged by.
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
    if _all_noise(line) and abs(question.analytic) * least > line.noise.sigma:
        # sin(1e30·θ): J changes by more than itself between neighbouring floats.
        return Answer(line.rungs[-1].central, math.inf, OPEN, NOISY)
    enter_domain(line, least)
    confirmed = False
    while True:
        if on_kink(line.rungs):
            step = nearest_kink_step(line, least)
            if step is None and (at_kink := _judge_kink(line, question)) is not None:
                return at_kink
            if step is not None and len(line.rungs) < MOST_RUNGS + line.probes:
                line.add(step)
                continue
        if line.grainy is None and line.noise.unit < NARROW and may_be_grainy(line):
            tell_grain(line)
            if line.grainy and line.noise.sigma > 0.3 * COARSEST_JUMP * abs(float(line.center)):
                return Answer(line.rungs[0].central, math.inf, OPEN, ROUNDED)
            if not line.grainy:
                # Beyond these steps there is a kink: nearer ones tell the slope.
                below = line.rungs[-1].h
                for step in (below / RATIO, below / RATIO**2):
                    if step >= least:
                        line.add(step)
        estimate = line.estimate()
        if estimate is not None:
            if line.flat and (step := until_it_moves(line, question, scale)) is not None:
                line.add(step)
                continue
            agrees = question.within(estimate.value, estimate.error)
            trusted = not agrees and confirmed and _trusted(line, question, estimate)
            if trusted and not _converged(line, question, estimate):
                trusted = False
                if not line.sounded:
                    line.sound(_spacing(line, question, scale))
                    confirmed = False
                    continue
            if trusted:
                step = _step_that_shows(line, question, estimate)
                if step is None:
                    return Answer(estimate.value, estimate.error, DISAGREE)
                if step < least or len(line.rungs) >= MOST_RUNGS + line.probes:
                    return Answer(estimate.value, estimate.error, OPEN, NOISY)
                line.add(step)
                continue
            if (
                agrees
                and question.settled(estimate.value, estimate.error)
                and not bent(line, question)
            ):
                return Answer(estimate.value, estimate.error, AGREE)
            if not agrees and not confirmed:
                confirmed = True
                step = sentinel(line, question, estimate, least)
                if step is not None:
                    line.add(step)
                continue
        step = next_step(line, question, estimate, scale, least)
        stuck = len(line.rungs) >= ROUGH_RUNGS and rough(line, question)
        if step is None or stuck or len(line.rungs) >= MOST_RUNGS + line.probes:
            before = line.noise.sigma
            if not line.sounded and estimate is not None:
                line.sound(_spacing(line, question, scale))
                if not 0.5 * before < line.noise.sigma < 2 * before:
                    confirmed = False
                    continue
            return _left_open(line, question, estimate)
        line.add(step)


def _trusted(line: Line, question: Tolerance, estimate: Estimate) -> bool:
    """Return whether an estimate is good enough to accuse by."""
    if not _clear(line, question, estimate):
        return False
    if _all_noise(line) and not _none_is_near(line, question, estimate):
        return False
    return _smooth_enough(line, question)


APART = 1.5
"""Steps nearer to each other than this are one measurement."""


def _converged(line: Line, question: Tolerance, estimate: Estimate) -> bool:
    """Return whether three steps apart from each other converge on the estimate, and not on a.

    Two that agree may do so by chance, by one stair of a rounded func, or since both are far
    beyond what func does near θ.
    """
    gap = abs(question.analytic - estimate.value)
    apart: list[tuple[Rung, float, float]] = []
    side = line.sides()
    rungs = [rung for rung in line.rungs if math.isfinite(_slope(rung, side))]
    for rung, (h, slope, rounding) in zip(rungs, line.series(side), strict=True):
        speaks = h < estimate.h and 9 * rounding < gap and slope
        if speaks and abs(slope - question.analytic) < abs(slope - estimate.value):
            return False
        if not apart or h * APART <= apart[-1][0].h:
            apart.append((rung, slope, rounding))
    power = 2 if side == "both" else 1
    for (one, s1, _), (two, s2, r2), (three, s3, r3) in zip(
        apart, apart[1:], apart[2:], strict=False
    ):
        ends = (
            s2 + (s2 - s1) / ((one.h / two.h) ** power - 1),
            s3 + (s3 - s2) / ((two.h / three.h) ** power - 1),
        )
        near = all(abs(s - estimate.value) <= gap / 4 for s in (s3, *ends))
        falls = abs(s2 - s3) <= max(abs(s1 - s2), 3 * (r2 + r3))
        bend = max(abs(r.bend) if math.isfinite(r.bend) else 0.0 for r in (one, two, three))
        bends = bend_power([one, two, three])
        smooth = bend <= gap / 4 or bends is None or bends >= SMOOTH_POWER
        stands = not (two.forward or two.backward) or not (three.forward or three.backward)
        still = line.grainy is not False and stands and any(line.changes)
        if near and falls and smooth and not still:
            return True
    return False


def _slope(rung: Rung, side: str) -> float:
    return {"both": rung.central, "forward": rung.forward, "backward": rung.backward}[side]


def _spacing(line: Line, question: Tolerance, scale: float) -> float:
    """Return the distance of values along a line: near, and func must not change by much."""
    value = abs(question.analytic) if math.isfinite(question.analytic) else 0.0
    shown = 2.0**-14 * abs(float(line.center)) / value if value else math.inf
    return min(2.0**-16 * scale, shown or math.inf)


def _clear(line: Line, question: Tolerance, estimate: Estimate) -> bool:
    """Return whether an error is beyond what narrow formats make of a right gradient.

    Rounding to float32 inside func is no noise of one size, and hides the kinks that a step
    crosses: of the entries of torch's transformer layer one in a thousand is off by five bars.
    """
    gap = abs(question.analytic - estimate.value)
    return line.noise.unit < NARROW or gap > NARROW_PROOF * CONFIDENCE * estimate.error


def _step_that_shows(line: Line, question: Tolerance, estimate: Estimate) -> float | None:
    """Return a step at which the analytic slope would show; 0 if it did, None if it did not.

    Only for a func with noise as large as itself: that may be an oscillation or chaos, too fast
    for the steps so far, of which the analytic slope is a right part.  Where that part is a large
    one func bends within the step, so some smaller ones are asked too.
    """
    if not _all_noise(line):
        return None
    gap: float = abs(question.analytic - estimate.value)
    wanted = max(line.changes) / (4 * gap)
    last = line.rungs[-1].h
    if last > 2 * wanted:
        return wanted
    fine = [rung.central for rung in line.rungs if rung.h < wanted / 4]
    if any(abs(question.analytic - slope) < 0.3 * gap for slope in fine):
        return 0.0
    return last / 8 if last > wanted / 100 else None


def _all_noise(line: Line) -> bool:
    """Return whether what func changes by is no more than its noise."""
    return line.noise.sigma > 0.1 * max(line.changes, default=0.0) > 0


def _smooth_enough(line: Line, question: Tolerance) -> bool:
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


def _judge_kink(line: Line, question: Tolerance) -> Answer | None:
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


def _left_open(line: Line, question: Tolerance, estimate: Estimate | None) -> Answer:
    """Return the best that is known when no further step helps, with the reason."""
    if estimate is None:
        return Answer(line.rungs[-1].central, math.inf, OPEN, NOT_FINITE)
    if bent(line, question):
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
    denied = best is louder and _every_rung_denies(line, question, best)
    denied = denied and _converged(line, question, best)
    if denied and _clear(line, question, best):
        return Answer(best.value, best.error, DISAGREE)
    return Answer(estimate.value, estimate.error, OPEN, NOISY)


def _every_rung_denies(line: Line, question: Tolerance, estimate: Estimate) -> bool:
    """Return whether a loud func still tells that the analytic value is wrong.

    What looked like noise could be structure finer than the steps.  It is not when no step
    comes near the analytic value, and several come near the estimate.
    """
    gap = abs(question.analytic - estimate.value)
    slopes = [slope for _, slope, _ in line.series(line.sides())]
    near = sum(abs(slope - estimate.value) < 0.1 * gap for slope in slopes)
    return near >= 3 and _none_is_near(line, question, estimate)


def _none_is_near(line: Line, question: Tolerance, estimate: Estimate) -> bool:
    """Return whether no step comes near the analytic value, for the distance of the estimate."""
    gap = abs(question.analytic - estimate.value)
    slopes = (slope for _, slope, _ in line.series(line.sides()))
    return all(abs(slope - question.analytic) > 0.3 * gap for slope in slopes)
