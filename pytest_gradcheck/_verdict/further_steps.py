"""What is asked of one coordinate after two evaluations did not settle it.

The ladder is climbed one rung at a time, towards whatever limits the estimate: up where noise
does, down where truncation or a kink does.  Nothing is accused before a *sentinel* rung far
below the others confirms that no finer structure was stepped over.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from .._constants import (
    ALL_NOISE,
    BEND_CLEAR,
    COARSEST_JUMP,
    COARSEST_RTOL,
    CONFIDENCE,
    FAR_ABOVE_NOISE,
    FAR_STEP,
    FARTHEST,
    FINER,
    FINEST,
    FLAT_AS_FAR_AS,
    FLOAT32,
    GROUP_RUNGS,
    JUMP_POWER,
    KINK_BESIDE,
    KINK_POWER,
    LEAP_RUNGS,
    LIMITING,
    LINE_CHANGE,
    LINE_LOUDER,
    LINE_NEWS,
    LINE_SPACING,
    LOUD,
    MOST_RUNGS,
    MOVES_TOLD,
    NARROW,
    NARROW_PROOF,
    NEAR_ANALYTIC,
    NEAR_ESTIMATE,
    NEAR_LIMIT,
    NEAR_RUNGS,
    NOISE_FARTHEST,
    NOISE_LOUD,
    NOISE_SAMPLES,
    QUIETER,
    RATIO,
    RESPONDS,
    ROOM,
    ROUGH_RUNGS,
    ROUNDING_FACTOR,
    ROUNDING_SIGMA,
    SENTINEL_GAP,
    SENTINEL_VALUE,
    SHOWN_BY,
    SMOOTH_POWER,
    STANDS_CLEAR,
    STEPS_APART,
    SUBGRADIENT,
    USEFUL,
)
from .._difference.noise_and_extrapolation import (
    Estimate,
    Line,
    Rung,
    best_entry,
    digits_of,
    slope_of,
)
from .._difference.stencils_and_steps import STENCILS, relative_step
from .._difference.step_search_and_kinks import (
    Policy,
    bend_power,
    bent,
    climb,
    enter,
    fall,
    jump_between,
    kink_slopes,
    may_be_grainy,
    nearest_kink_step,
    on_kink,
    parabolic,
    rise,
    tell_grain,
)
from .tolerance_and_comparison import (
    AGREE,
    DISAGREE,
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


def until_it_moves(line: Line, question: Tolerance, scale: float) -> float | None:
    """Return a larger step while func has not changed, though its steps may be too coarse to."""
    # A func that rounds its value (to float32, to six decimals) is flat at small steps. It is truly
    # flat when it does not move where the analytic slope says by more than any rounding.
    top = line.rungs[0].h
    # A step that is rounded to the one below it shows that there is no larger one.
    stuck = len(line.rungs) > 1 and line.rungs[1].h == top
    if question.analytic == 0 or stuck:
        return None
    # Of a J that is zero nothing is a multiple: it may be rounded to any grain.
    value = abs(float(line.center)) or math.inf
    told = MOVES_TOLD * value / abs(question.analytic)
    # One of few digits may be rounded to them, and where the slope changes it by less than noise it
    # need not move either, up to the scale of zero.
    shown = min(1.0, RESPONDS * line.noise.sigma / abs(question.analytic))
    printed = line.center and digits_of(float(line.center))
    flat = math.inf if printed else max(FLAT_AS_FAR_AS * scale, shown)
    most = min(max(scale, told), flat)
    return min(top * RATIO**2, most) if top < 0.9 * most else None


def next_step(
    line: Line, question: Tolerance, estimate: Estimate, scale: float, least: float
) -> float | None:
    """Return the step that promises most, or None."""
    if _bent(line, question):
        step = _smaller(line, line.rungs[-1].h, question, least)
        if step is not None or not (_few(line) or len(line.rungs) == 1):
            return step  # of a single one, below which all is noise, nothing is known: go on
    pivot = line.rungs[-1].h if _few(line) else estimate.h or line.rungs[-1].h
    larger = _larger(line, pivot, question, scale)
    smaller = _smaller(line, pivot, question, least)
    if not estimate.h or estimate.rounding >= LIMITING * estimate.error:
        # Before smaller steps are taken at the edge of a domain, noise is measured there.
        known = line.edge and estimate.h and not _few(line)
        return larger or (smaller if line.sounded or not known else None)
    return smaller or larger


def _larger(line: Line, pivot: float, question: Tolerance, scale: float) -> float | None:
    """Return a step above `pivot`: in the first gap between rungs, or beyond the largest."""
    steps = [rung.h for rung in reversed(line.rungs) if rung.h >= pivot * 0.999]
    # There may be a step between the largest within the domain and its edge.
    inside = [h for h, _, _ in line.series("both")] if _few(line) else []
    for low, high in itertools.pairwise(steps):
        if high > low * (RATIO * STEPS_APART if low in inside else ROOM):
            return high / RATIO
    top = line.rungs[0]
    if not math.isfinite(top.central) or top.h >= FARTHEST * scale:
        return None
    if top.h >= scale and not may_go_beyond(line):
        return None
    goal = max(question.goal(top.central), 1e-300)
    wanted: float = CONFIDENCE * ROUNDING_FACTOR * top.sigma / goal
    if len(line.rungs) == 1:
        # So far from what is asked that many rungs would be needed: begin near the top.
        return min(max(top.h * RATIO, wanted), scale)
    return top.h * (RATIO if wanted < top.h * RATIO**LEAP_RUNGS else RATIO**2)


def _smaller(line: Line, pivot: float, question: Tolerance, least: float) -> float | None:
    """Return a step below `pivot`: in the first gap between rungs, or beyond the smallest."""
    steps = [rung.h for rung in line.rungs if rung.h <= pivot * 1.001]
    for high, low in itertools.pairwise(steps):
        if high > low * ROOM:
            return high / RATIO
    bottom = line.rungs[-1]
    slopes = (question.analytic, bottom.forward, bottom.backward)
    value = max((abs(x) for x in slopes if math.isfinite(x)), default=0.0)
    # Below this step noise is a third of the value, and nothing can be learnt.
    useful = bottom.sigma / max(USEFUL * value, 1e-300)
    step = bottom.h / RATIO
    return step if step >= max(least, useful) else None


def _few(line: Line) -> bool:
    """Return whether the steps within func's domain are too few to converge, at its edge."""
    return bool(line.edge) and 0 < len(line.series("both")) < NEAR_RUNGS


def may_go_beyond(line: Line) -> bool:
    """Return whether func is a parabola, without truncation, at the largest steps."""
    top = line.series("both")[:2]
    noise = ROUNDING_FACTOR * sum(rounding for _, _, rounding in top)
    return len(top) == 2 and abs(top[0][1] - top[1][1]) <= noise and parabolic(line)


def sentinel(line: Line, question: Tolerance, estimate: Estimate, least: float) -> float | None:
    """Return a step far below the others at which noise still leaves something to see."""
    # Below the others that do: of a step whose noise is larger than the error nothing is learnt.
    gap, value = abs(question.analytic - estimate.value), question.size(estimate.value)
    smallest = min(line.rungs, key=lambda rung: (rung.sigma > gap * rung.h, rung.h))
    # The bend's noise is 3.5 times the slope's, and a kink must show here if there is one.
    telling = smallest.sigma / max(SENTINEL_GAP * gap, 1e-300)
    faint = smallest.sigma / max(SENTINEL_VALUE * value, 1e-300)
    lowest = smallest.h / RATIO**2 if smallest is line.rungs[-1] else math.inf
    step = max(min(telling, lowest), faint, least)
    known = any(step <= STEPS_APART * r.h and r.h <= STEPS_APART * step for r in line.rungs)
    return step if step <= smallest.h / RATIO and not known else None


def refine(line: Line, question: Tolerance, first: float, scale: float, least: float) -> Answer:
    """Climb, from the step `first`, until the coordinate is settled."""
    # The line has the rungs that were evaluated before, if any; the question is of numbers; `scale`
    # is the parameter's, `least` the smallest step that its format allows.
    return climb(line, _until_settled(line, question, first, scale, least))


def _enter(
    line: Line, question: Tolerance, first: float, scale: float, least: float
) -> Policy[float]:
    """Enter func's domain, which may be a few floats wide; return the least step from then on."""
    # Where J would change by more than itself at the first step, its natural scale may be far
    # below.
    yield from enter(line, first, line.ulp or least)
    size = max(abs(float(line.center)), line.noise.terms, line.change)
    slope = question.analytic
    natural = size / max(abs(slope), 1e-300)
    far = line.rungs[-1].h > natural and not line.sounded
    if far and line.sides() == "both" and not _all_noise(line):
        line.sound(spacing(line, question, scale))
        sigma = math.hypot(line.noise.sigma, line.apart * slope)
        near = natural * relative_step(STENCILS["central"], sigma, size)
        if near >= least:
            yield near
            # If so, larger steps without it know nothing of it, however well they agree.
            shown = [r for r in line.rungs if abs(r.central - slope) <= NEAR_ANALYTIC * abs(slope)]
            if line.rungs[-1] in shown:
                line.rungs = shown
    return min(least, line.ulp / STEPS_APART or least) if line.edge else least


def _until_settled(
    line: Line, question: Tolerance, first: float, scale: float, least: float
) -> Policy[Answer]:
    least = yield from _enter(line, question, first, scale, least)
    if _all_noise(line) and _loud(line) and abs(question.analytic) * least > line.noise.sigma:
        # sin(1e30·θ): J changes by more than itself between neighbouring floats.
        return Answer(line.rungs[-1].central, math.inf, OPEN, NOISY)
    confirmed = farther = False
    while True:
        room = len(line.rungs) < MOST_RUNGS
        if on_kink(line.rungs):
            step = nearest_kink_step(line, least)
            if step is None and (at_kink := _judge_kink(line, question)) is not None:
                return at_kink
            if step is not None and room:
                yield step
                continue
        if line.grainy is None and line.noise.unit < NARROW and may_be_grainy(line):
            rounded = yield from _jumps_or_kink(line, least)
            if rounded is not None:
                return rounded
        estimate = line.estimate()
        if (wider := (yield from _moved(line, question, scale, estimate))) is not None:
            scale = wider
            continue
        if estimate.h:
            agrees = question.within(*estimate.known)
            accused = not agrees and confirmed and _trusted(line, question, scale, estimate)
            if accused:
                accused = _converged(line, question, estimate)
                if _doubted(line, question, scale, estimate, accused, least):
                    confirmed = False
                    continue
            if accused and _stands_still(line, question):
                if farther and _seen_farther(line, question, estimate):
                    return Answer(estimate.value, math.inf, OPEN, ROUNDED)
                if not farther:
                    farther = True
                    yield from _far(line, scale)
                    continue
            if accused:
                if (step := _step_that_shows(line, question, estimate)) is None:
                    return Answer(*_best_known(line, question, estimate).known, DISAGREE)
                if step < least or not room:
                    return Answer(*estimate.known, OPEN, NOISY)
                yield step
                continue
            if agrees and not _bent(line, question) and question.settled(*estimate.known):
                return Answer(*estimate.known, AGREE)
            if not agrees and not confirmed:
                confirmed = True
                if (step := sentinel(line, question, estimate, least)) is not None:
                    yield step
                continue
        step = next_step(line, question, estimate, scale, least)
        # Where the bend hardly falls with the step, or rises, smaller ones won't help.
        rough = len(line.rungs) >= ROUGH_RUNGS and bend_power(line.rungs) < KINK_POWER
        if step is None or (rough and _bent(line, question)) or not room:
            if not _news(line, question, scale, estimate):
                return _kink_beside(line, question, scale) or _left_open(line, question, estimate)
            confirmed = False
            continue
        yield step


def _moved(
    line: Line, question: Tolerance, scale: float, estimate: Estimate
) -> Policy[float | None]:
    """Take a larger step where func has not changed; return the scale then, None where it has."""
    step = None if line.change or not estimate.h else until_it_moves(line, question, scale)
    if step is None:
        return None
    yield step
    if line.change and scale < step <= 1.0:
        # So small a parameter is zero to func, whose scale is 1, and the steps at which it stood
        # still tell nothing.
        line.rungs = line.rungs[:1]
        size = abs(float(line.center)) or math.inf
        return max(scale, min(1.0, size / abs(float(question.analytic))))
    return scale


def _best_known(line: Line, question: Tolerance, estimate: Estimate) -> Estimate:
    """Return the estimate without the steps whose own rounding is larger than its error bar."""
    # They were taken to see whether J moves at all, and know nothing of so small an error.
    side = line.sides()
    quiet = [one for one in line.series(side) if ROUNDING_FACTOR * one[2] <= estimate.error]
    best = best_entry(quiet, even=side == "both")
    better = best.error < estimate.error and not question.within(*best.known)
    return best if better else estimate


def _jumps_or_kink(line: Line, least: float) -> Policy[Answer | None]:
    """Learn why a line has flat steps; return the answer where its jumps are too coarse for any."""
    tell_grain(line)
    size = max(abs(float(line.center)), line.noise.terms)
    coarse = ROUNDING_SIGMA * COARSEST_JUMP * size
    if line.grainy and line.noise.sigma > coarse:
        return Answer(line.rungs[0].central, math.inf, OPEN, ROUNDED)
    if not line.grainy:
        yield from fall(line, 2, lambda step: step >= least)  # nearer than the kink
    return None


def _doubted(
    line: Line, question: Tolerance, scale: float, estimate: Estimate, accused: bool, least: float
) -> bool:
    """Measure the noise along a line that is to be accused; return whether to look once more."""
    if not line.sounded and not (accused and _plain(line, question, estimate)):
        line.sound(spacing(line, question, scale))
        return True
    if accused and _stays_nearer(line, question, estimate, least):
        return True
    stair = _stair(line, question, scale, estimate) if accused else 0.0
    if stair:
        line.grainy = line.sounded = True
        line.take_noise(max(ROUNDING_SIGMA * stair, line.noise.sigma))
        return True
    if accused and _shows_nearer(line, question, estimate, least):
        return True
    beneath = accused and _beneath(line, estimate) > 0
    return beneath and _news(line, question, scale, estimate)


def _stays_nearer(line: Line, question: Tolerance, estimate: Estimate, least: float) -> bool:
    """Take a smaller step if it shows stairs, within one of which the slope changes by the gap."""
    # Where func rounds a parameter, what was taken for noise grows with the slope, and no step so
    # far may have been within a stair. By noise func would move at this one.
    slope = question.size(estimate.value)
    step = max(line.noise.sigma / max(RESPONDS**2 * slope, 1e-300), least)
    loud = _loud(line) and not line.noise.digits
    if not loud or line.sides() != "both" or line.rungs[-1].h <= STEPS_APART * step:
        return False
    most = estimate.error + line.rungs[-1].h * line.curvature  # of a stair as wide as can be
    if not question.within(estimate.value, most):
        return False
    try:
        steps, values = line.evaluate((step, -step))
    except Exception:  # no evaluation is left: nothing is known
        return False
    if any(value != line.center for value in values):
        return False
    before = list(line.moves)
    near = line.record(steps, values)
    if question.within(estimate.value, estimate.error + line.within_stair):
        return True
    line.rungs.remove(near)
    line.moves[:] = before
    return False


def _shows_nearer(line: Line, question: Tolerance, estimate: Estimate, least: float) -> bool:
    """Take steps at which the analytic slope shows, if it does, below what looks like noise."""
    # A ripple that is narrower than the distance of the values that tell noise looks like it, and
    # so do its slopes, down to steps at which only the noise that func's format implies is left.
    gap, floor = abs(question.analytic - estimate.value), line.noise.floor
    step = RATIO ** (NEAR_RUNGS - 1) * max(floor / max(SENTINEL_GAP * gap, 1e-300), least)
    least = step / RATIO ** (NEAR_RUNGS - 1) / STEPS_APART
    asked = sum(least <= rung.h <= step * STEPS_APART for rung in line.rungs) >= NEAR_RUNGS
    if asked or not _loud(line) or line.sides() != "both":
        return False
    seen = []
    for _ in range(NEAR_RUNGS):
        try:
            steps, values = line.evaluate((step, -step))
        except Exception:  # no evaluation is left: nothing is known
            return False
        slope = float((values[0] - values[1]) / (steps[0] - steps[1]))
        if not abs(slope - question.analytic) <= NEAR_ESTIMATE * gap:
            return False
        seen.append((steps, values))
        step /= RATIO
    for steps, values in seen:
        line.record(steps, values)
    return True


def _stair(line: Line, question: Tolerance, scale: float, estimate: Estimate) -> float:
    """Return the size of the jump at the end of the stair in which small steps accuse, 0 if none.

    They agree with each other, and yet a larger step comes near the analytic value: all may lie
    within one stair of a rounded func, so one far beyond them is asked, too.
    """
    if line.grainy or line.sides() != "both":
        return 0.0
    gap = abs(question.analytic - estimate.value)
    least = NEAR_ESTIMATE * gap
    # By so much float32 may round func: far off, a jump may leave no more of the gap than that. It
    # is looked for where it hides more than a percent of the slope.
    hidden = gap > COARSEST_RTOL * max(abs(question.analytic), abs(estimate.value))
    rounding = hidden * FLOAT32 * max(abs(float(line.center)), line.noise.terms)
    top = _beyond(line, estimate.value, least, scale, rounding)
    off = abs(top.central - question.analytic)
    if top not in line.rungs and off <= least:
        line.rungs.insert(0, top)  # else it knows less than the nearer ones
    steps = line.rungs if top in line.rungs else [top, *line.rungs]
    allowed = any(abs(r.central - question.analytic) <= least for r in line.rungs)
    rounded = off * top.h <= least * top.h + rounding
    for far, near in reversed(list(itertools.pairwise(steps))):
        if abs(far.central - estimate.value) <= least and not _bends_anew(far, near, least):
            continue
        # At the end of a stair func bends by as much, or slopes otherwise where it ends to both
        # sides, and below by nothing. By far more it does at a jump that stands alone: a stair many
        # steps wide seldom ends within this one.
        above, below = (max(abs(r.bend), abs(r.central - estimate.value)) for r in (far, near))
        ends = LIMITING * gap <= above <= RATIO**3 * gap and below < above * (near.h / far.h) ** 2
        ends &= above > BEND_CLEAR * far.bend_noise
        # Two evaluations tell most smooth funcs, before the many that look for a jump.
        if not (allowed or ends or rounded) or not _unlike_smooth(line, far, estimate.value):
            return 0.0
        jump = jump_between(line, near, far)
        return jump if allowed or ends or jump <= RATIO * rounding else 0.0
    return 0.0


def _beyond(line: Line, value: float, least: float, scale: float, rounding: float) -> Rung:
    """Return a step far beyond those that accuse, or the largest if there is none."""
    top = line.rungs[0]
    for part in (FAR_STEP, NOISE_FARTHEST):
        step = part * max(scale, line.reach)
        if top.h >= step:
            continue
        try:
            steps, values = line.evaluate((step, -step))
        except Exception:  # no evaluation is left, or func fails so far away: nothing is known
            break
        top = line.record(steps, values)
        line.rungs.remove(top)
        # It may be within a stair of float32, too, where it shows nothing else than the others.
        same = abs(top.central - value) <= least and not _bends_anew(top, line.rungs[0], least)
        if not same or RATIO * least * top.h > rounding:
            break
    return top


def _unlike_smooth(line: Line, far: Rung, value: float) -> bool:
    """Return whether func is not off as a smooth one, of third order, is a step nearer."""
    try:
        steps, values = line.evaluate((far.h / RATIO, -far.h / RATIO))
    except Exception:  # no evaluation is left: nothing is known
        return False
    nearer = line.record(steps, values)
    line.rungs.remove(nearer)
    # A jump beyond the nearer one leaves nothing there.
    falls = RATIO * abs(nearer.central - value) <= abs(far.central - value)
    falls &= abs(far.central - value) <= RATIO**3 * abs(nearer.central - value)
    return not falls or _bends_anew(far, nearer, 0.0)


def _bends_anew(far: Rung, near: Rung, least: float) -> bool:
    """Return whether func bends at a step by what it does not as it is smooth at a nearer one."""
    # Where a fit has ended stairs are alike to both sides.
    smooth = max(abs(near.bend), BEND_CLEAR * near.bend_noise) * (far.h / near.h) ** 2
    return abs(far.bend) > max(smooth, BEND_CLEAR * far.bend_noise, least)


def _news(line: Line, question: Tolerance, scale: float, estimate: Estimate) -> bool:
    """Return whether the noise along this very line is not what it was taken for."""
    before, first = line.noise.sigma, not line.sounded
    # Stairs of a rounded func bend by one of them at each step, as a jump at θ does.
    jumps = bend_power(line.rungs) < JUMP_POWER
    if first and (line.sides() == "none" or (_bent(line, question) and not jumps)):
        return False
    # What agrees within its rounding only lower noise would tell more of, and none is below the
    # format's. (At the edge of a domain smaller steps wait for it.)
    as_low = before <= LINE_LOUDER * line.noise.floor and not line.edge
    rounded = estimate.rounding >= LIMITING * estimate.error
    if first and as_low and rounded and question.within(*estimate.known):
        return False
    within = spacing(line, question, scale) if first else _beneath(line, estimate)
    if not within:
        return False
    line.sound(within)
    # Below a structure it must fall, each time, or there would be no end to it.
    falls = line.noise.sigma * LINE_NEWS <= before > 0
    better = line.estimate().error * LINE_NEWS <= estimate.error
    return falls or (first and (better or line.noise.sigma >= before * LINE_NEWS))


def _beneath(line: Line, estimate: Estimate) -> float:
    """Return the distance of values at which the noise below a structure of func shows, or 0."""
    # What was taken for noise is the structure itself, where some steps bend by as much as larger
    # ones differ from the slope that three below them agree on, and not as a smooth func does:
    # rounding has no such bend.
    if line.grainy:
        return 0.0
    below = [rung for rung in line.rungs if rung.central]
    for k in range(1, len(below) - NEAR_RUNGS + 1):
        fine = below[k : k + NEAR_RUNGS]
        gap = abs(fine[-1].central - estimate.value)
        near = all(abs(r.central - fine[-1].central) <= NEAR_ESTIMATE * gap for r in fine)
        # Steps within one stair of a rounded func share its rounding, but are off by little.
        near &= gap >= LIMITING * abs(fine[-1].central)
        if near and ROUNDING_FACTOR * fine[0].sigma > gap * fine[0].h:
            shown = any(
                rung.bends
                and abs(rung.bend) >= NEAR_ESTIMATE * gap
                and abs(rung.bend) > abs(wide.bend) * (rung.h / wide.h) ** SMOOTH_POWER
                for wide, rung in itertools.pairwise(below[:k])
            )
            return fine[0].h / NOISE_SAMPLES if shown else 0.0
    return 0.0


def spacing(line: Line, question: Tolerance, scale: float) -> float:
    """Return the distance of values along a line: near, and func must not change by much."""
    # J may be zero by cancellation: then what it changes by is what it is like.
    size = max(abs(float(line.center)), line.change)
    shown = LINE_CHANGE * size / max(abs(question.analytic), 1e-300)
    inside = [rung.h for rung in line.rungs if math.isfinite(rung.bend)]
    if len(inside) < len(line.rungs):  # the edge of the domain is near
        shown = min(shown, max(inside, default=line.rungs[-1].h) / NOISE_SAMPLES)
    # Into the domain, where func has less of a structure than at its edge.
    return math.copysign(min(LINE_SPACING * scale, shown or math.inf), -line.edge or 1)


def _bent(line: Line, question: Tolerance) -> bool:
    return bent(line, question.size(line.rungs[-1].central))


def _trusted(line: Line, question: Tolerance, scale: float, estimate: Estimate) -> bool:
    """Return whether an estimate is good enough to accuse by."""
    # Rounding to float32 inside func, or coarser, is no noise of one size, and hides the kinks that
    # a step crosses: of the entries of torch's transformer layer one in a thousand is off by five
    # bars.
    gap = abs(question.analytic - estimate.value)
    size = max(abs(float(line.center)), line.noise.terms)
    grainy = bool(line.grainy) and line.noise.sigma > NARROW * size
    narrow = line.noise.unit >= NARROW or grainy or _stands_still(line, question)
    # Beside a smooth term func need not stand still, but its noise is not seen within a stair.
    still = [r for r in line.rungs if abs(r.bend) < QUIETER * r.bend_noise]
    narrow |= sum(abs(r.central - estimate.value) > gap for r in still) >= NEAR_RUNGS
    if narrow and not gap > NARROW_PROOF * CONFIDENCE * estimate.error:
        return False
    if grainy or line.noise.digits:
        # Far beyond the parameter's scale there may be another slope: tanh saturates.
        within = [rung for rung in line.rungs if rung.h <= scale]
        if all(abs(r.central - question.analytic) * r.h <= RESPONDS * r.sigma for r in within):
            return False
    slopes = [slope for _, slope, _ in line.series(line.sides())]
    near = any(abs(slope - question.analytic) <= NEAR_ANALYTIC * gap for slope in slopes)
    return not (near and _all_noise(line)) and smooth_enough(line, question)


def _plain(line: Line, question: Tolerance, estimate: Estimate) -> bool:
    """Return whether the noise need not be measured again: the gap is many bars."""
    # But a bend that grows as the step falls, above its noise, is that of a structure far below,
    # which was taken for noise.
    gap: float = abs(question.analytic - estimate.value)
    clear = [r for r in line.rungs if abs(r.bend) > ROUNDING_FACTOR * r.bend_noise]
    grows = any(abs(fine.bend) > abs(wide.bend) for wide, fine in itertools.pairwise(clear))
    return not grows and gap > STANDS_CLEAR * CONFIDENCE * estimate.error


def _converged(line: Line, question: Tolerance, estimate: Estimate) -> bool:
    """Return whether three steps apart from each other converge on the estimate, and not on a."""
    # Two that agree may do so by chance, by one stair of a rounded func, or since both are far
    # beyond what func does near θ.
    gap = abs(question.analytic - estimate.value)
    side = line.sides()
    apart: list[tuple[Rung, float, float]] = []
    if _converges_on_analytic(line, question, estimate):
        return False
    known = [rung for rung in line.rungs if math.isfinite(slope_of(rung, side))]
    for h, slope, rounding in line.series(side):
        if not apart or h * STEPS_APART <= apart[-1][0].h:
            apart.append((next(rung for rung in known if rung.h == h), slope, rounding))
    return any(
        _limit(line, three, estimate.value, gap)
        for three in zip(apart, apart[1:], apart[2:], strict=False)
    )


def _converges_on_analytic(line: Line, question: Tolerance, estimate: Estimate) -> bool:
    """Return whether three smaller steps in a row come near the analytic value, and not by noise.

    They are worth nothing by what func's noise was taken for, but noise would spread them.
    """
    gap = abs(question.analytic - estimate.value)
    series = [(h, slope) for h, slope, _ in line.series(line.sides()) if h < estimate.h]
    near = [slope and abs(slope - question.analytic) <= NEAR_ESTIMATE * gap for _, slope in series]
    return any(all(near[k : k + NEAR_RUNGS]) for k in range(len(near) - NEAR_RUNGS + 1))


def _limit(
    line: Line, three: Sequence[tuple[Rung, float, float]], value: float, gap: float
) -> bool:
    """Return whether the slopes at three steps, the largest first, have `value` for their limit."""
    (one, s1, _), (two, s2, r2), (last, s3, r3) = three
    power = 2 if line.sides() == "both" else 1
    limits = (
        s2 + (s2 - s1) / ((one.h / two.h) ** power - 1),
        s3 + (s3 - s2) / ((two.h / last.h) ** power - 1),
    )
    near = all(abs(slope - value) <= NEAR_LIMIT * gap for slope in (s3, *limits))
    falls = abs(s2 - s3) <= max(abs(s1 - s2), ROUNDING_FACTOR * (r2 + r3))
    bend = max(abs(r.bend) if math.isfinite(r.bend) else 0.0 for r in (one, two, last))
    bends = bend_power([one, two, last])
    # A small bend that grows as the step falls is that of a structure which no step has reached.
    small = bend <= NEAR_LIMIT * gap and not bends < -KINK_POWER
    smooth = small or bends >= SMOOTH_POWER
    still = not (two.forward or two.backward) or not (last.forward or last.backward)
    stairs = still and line.grainy is not False and _may_be_stairs(line, gap)
    return near and falls and smooth and not stairs


def _may_be_stairs(line: Line, gap: float) -> bool:
    """Return whether steps at which func stands still may lie within one stair of it."""
    # A step at which what is wrong would come to far more than the least by which func was seen to
    # move is within none: it moves by rounding alone, of terms that larger steps made.
    moved = [change for _, change in line.moves if change]
    flat = max(h for h, slope, _ in line.series("both") if not slope)
    shown = line.change > RESPONDS * line.noise.sigma
    return shown and gap * flat <= FAR_ABOVE_NOISE * min(moved)


def _stands_still(line: Line, question: Tolerance) -> bool:
    """Return whether func does not move at some step at which it must, if it is smooth."""
    # By the analytic slope, that is; and it moves at others.
    flat = [rung.h for rung in line.rungs if not rung.forward or not rung.backward]
    shown: bool = abs(question.analytic) * max(flat, default=0.0) > RESPONDS * line.noise.floor
    return shown and line.change > 0 and line.noise.unit < NARROW


def _far(line: Line, scale: float) -> Policy[Estimate]:
    top = line.rungs[0].h
    return rise(line, RATIO * top, GROUP_RUNGS, lambda step: step <= scale, RATIO**2)


def _seen_farther(line: Line, question: Tolerance, estimate: Estimate) -> bool:
    """Return whether two steps larger than those without a change come near the analytic slope."""
    still = max(rung.h for rung in line.rungs if not rung.forward or not rung.backward)
    near: float = NEAR_ESTIMATE * abs(question.analytic - estimate.value)
    gaps = [abs(rung.central - question.analytic) for rung in line.rungs if rung.h > still]
    return sum(bool(gap <= near) for gap in gaps) >= 2


def _step_that_shows(line: Line, question: Tolerance, estimate: Estimate) -> float | None:
    """Return a step at which the analytic slope would show, None if none is left."""
    # Only for a func with noise as large as itself: that may be an oscillation or chaos, too fast
    # for the steps so far, of which the analytic slope is a right part. Where that part is a large
    # one func bends within the step, so some smaller ones are asked too.
    noise = line.noise
    rounding = noise.sigma <= max(NOISE_LOUD * abs(float(line.center)), LOUD * noise.floor)
    if not _all_noise(line) or rounding:
        return None
    gap: float = abs(question.analytic - estimate.value)
    wanted = line.change / (SHOWN_BY * gap)
    last = line.rungs[-1].h
    if last > 2 * wanted:
        return wanted
    return last / FINER if last > wanted / FINEST else None


def _all_noise(line: Line) -> bool:
    """Return whether what func changes by is no more than its noise."""
    return line.noise.sigma > ALL_NOISE * line.change > 0


def _loud(line: Line) -> bool:
    """Return whether the noise is more than what its format implies."""
    return line.noise.sigma > LOUD * line.noise.floor


def smooth_enough(line: Line, question: Tolerance) -> bool:
    """Return whether the two sides leave no room for the analytic value to be a subgradient."""
    both = [rung for rung in line.rungs if math.isfinite(rung.bend)]
    if not both:
        return True
    gaps = [(rung, abs(question.analytic - rung.central)) for rung in both]
    telling = [(rung, gap) for rung, gap in gaps if BEND_CLEAR * rung.bend_noise < gap]
    rung, gap = telling[-1] if telling else gaps[0]
    if abs(rung.bend) <= BEND_CLEAR * rung.bend_noise or gap > SUBGRADIENT * abs(rung.bend):
        return True
    return bend_power(line.rungs) >= SMOOTH_POWER


def _judge_kink(line: Line, question: Tolerance) -> Answer | None:
    forward, backward = kink_slopes(line)
    low, high = sorted((forward, backward), key=lambda slope: slope.value)
    if not max(low.error, high.error) <= LIMITING * (high.value - low.value):
        return None  # a fast oscillation, of which some large steps bend alike by chance
    mean = 0.5 * (low.value + high.value)
    size = max(abs(low.value), abs(high.value), abs(question.analytic))
    slack = question.atol + question.rtol * size
    beyond = max(low.value - question.analytic, question.analytic - high.value) - slack
    bar = CONFIDENCE * (low.error if question.analytic < low.value else high.error)
    between = math.isfinite(size) and beyond <= bar
    if line.noise.unit >= NARROW and bar < beyond <= NARROW_PROOF * bar:
        return None  # two kinks or more may look like one: see `_trusted`
    half, verdict = 0.5 * (high.value - low.value), AGREE if between else DISAGREE
    return Answer(mean, half, verdict, KINK, (backward.value, forward.value))


def _kink_beside(line: Line, question: Tolerance, scale: float) -> Answer | None:
    """Return that a value is one of the slopes at a kink so near that no step tells which."""
    # Steps below its distance see one side alone, but mostly noise.
    beyond = [rung for rung in line.rungs if rung.h >= KINK_BESIDE * scale]
    if not beyond or beyond[-1] is line.rungs[-1] or not on_kink(beyond):
        return None
    answer = _judge_kink(replace(line, rungs=beyond), question)
    return answer if answer is not None and answer.verdict == AGREE else None


def _left_open(line: Line, question: Tolerance, estimate: Estimate) -> Answer:
    """Return the best that is known when no further step helps, with the reason."""
    if math.isinf(estimate.error):
        return Answer(line.rungs[-1].central, math.inf, OPEN, NOT_FINITE)
    if _bent(line, question):
        reason = JUMP if bend_power(line.rungs) < JUMP_POWER else NOT_SMOOTH
        return Answer(*estimate.known, OPEN, reason)
    best = min(estimate, line.noisier_estimate(), key=lambda one: one.error)
    if not question.within(*best.known):
        return Answer(*estimate.known, OPEN, NOISY)
    return Answer(*best.known, AGREE if question.settled(*best.known) else OPEN, NOISY)
