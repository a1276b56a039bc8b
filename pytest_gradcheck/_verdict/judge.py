"""From the sweep to verdicts: what is settled, what is asked again, what stays open."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .._difference.directions import Stream, random_weights
from .._difference.ladder import RATIO, Line
from .._difference.stencils import COMPLEX_STEP
from .._difference.sweep import (
    AGREE,
    DISAGREE,
    OPEN,
    Outcome,
    Sweep,
    curvature,
    least_step,
    line_of,
    value_size,
)
from .._evaluate.evaluator import BudgetExhausted
from .._evaluate.problem import Analytic, Problem
from .._options import Options
from .refine import parabolic, refine
from .tolerance import (
    BENDS,
    CONFIDENCE,
    EXHAUSTED,
    FINE,
    KINK,
    NOISY,
    Tolerance,
    conclude,
    settled,
    tolerance,
    within,
)

Array = np.ndarray[Any, Any]

TRIED = 12
"""Of the entries that a demanded rtol leaves open, so many are climbed before the rest are
given up when not one of them could be settled."""

NOISY_BLOCK = 1e-7
"""An error bar above this part of the block's gradient: the block is badly scaled."""

GROUP_RANGE = 1e4
"""Entries of one direction differ in size by at most this factor, or the largest would hide the
smallest."""

GROUP_RTOL = 1e-9
"""By how much a direction may be off before its entries are asked one by one."""

TINY = 1e-5
"""An entry below this part of the block's gradient is badly scaled, too."""

FEW = 0.02
"""Entries that small are the tail of any network's gradient while they are fewer than this part
of all, and get no directions of their own: they are known to `tolerance.IN_BLOCK` all the same."""

SHARP = 1e-5
MOST_STUBBORN = 32
"""Badly scaled entries that a direction does not resolve to this part of them are asked one by
one, the largest first, at most so many."""

DEAD_STEP = 1e-3
"""In parts of the scale: what does not respond to this is taken not to depend at all."""

GROUP_RUNGS = 4
DEEP_GROUP_RUNGS = 10
"""Rungs of a direction through entries that are small beside their error bars; for badly scaled
ones the second number, of which each is two ordinary rungs from the next."""


def judge(
    problem: Problem,
    analytic: Analytic,
    options: Options,
    found: Sweep,
    denied: Callable[[Tolerance], Array] | None = None,
) -> Tolerance:
    """Reach a verdict on every coordinate, with as few further evaluations as that needs.

    Parameters
    ----------
    problem : Problem
    analytic : Analytic
    options : Options
    found : Sweep
        Its outcome is changed in place.
    denied : callable, optional
        Says what else is known to be wrong by these tolerances: it is asked no more.

    Returns
    -------
    Tolerance
        What the verdicts were reached by.
    """
    outcome, a = found.outcome, analytic.vector
    size = value_size(problem, a)
    fine = fine_limit(found.noise.sigma, size)
    limits = tolerance(
        outcome.numeric,
        problem.scale,
        problem.blocks,
        analytic.precision,
        options,
        fine,
        abs(float(problem.center)),
    )
    limits.atol[:] += analytic.jitter
    bad = ~np.isfinite(a)
    outcome.verdict[bad] = DISAGREE
    evaluated = found.step > 0
    asked = evaluated & ~bad
    agrees = within(outcome, a, limits)
    dead = found.flat & (a == 0)
    if denied is not None:
        plain = asked & ~agrees & denied(limits)
        outcome.verdict[plain] = DISAGREE
        asked &= ~plain
    if options.eps is not None or options.scheme == COMPLEX_STEP.name:
        _judge_fixed(found, a, limits, asked, agrees, problem)
    else:
        try:
            for i in np.flatnonzero(asked & (~agrees | found.bent)).tolist():
                # One that agrees is asked only whether it is on a kink.
                _refine_one(i, problem, a, limits, found, kink_alone=bool(agrees[i]))
            smooth = ~found.bent | (outcome.verdict == AGREE)
            smooth[list(outcome.slopes)] = False
            done = settled(outcome, a, limits)
            coarse = np.flatnonzero(asked & agrees & smooth & ~done & ~dead)
            _test_dead(
                np.flatnonzero(asked & agrees & dead & ~found.bent),
                problem,
                a,
                limits,
                found,
                options.seed,
            )
            if options.rtol is not None:
                _refine_each(coarse, problem, a, limits, found)
                coarse = np.flatnonzero(
                    asked & agrees & smooth & done & ~dead & _by_atol_alone(outcome, a, limits)
                )
            _test_groups(coarse, problem, a, limits, found, options.seed)
        except BudgetExhausted:
            left = np.flatnonzero((outcome.verdict == OPEN) & ~agrees)
            outcome.reasons.update(dict.fromkeys(left.tolist(), EXHAUSTED))
    variation = max(abs(float(problem.center)), curvature(problem, found))
    conclude(outcome, a, problem.scale, problem.blocks, limits, options, variation)
    for i in np.flatnonzero(outcome.verdict == OPEN).tolist():
        outcome.reasons.setdefault(i, NOISY if evaluated[i] else EXHAUSTED)
    return limits


def fine_limit(sigma: float, size: float) -> float:
    """Return the relative error bar that settles an entry: what two evaluations give, times 30."""
    balanced = 30 * (sigma / size) ** (2 / 3) if size > 0 else 0.0
    return max(FINE, balanced)


def _by_atol_alone(outcome: Outcome, a: Array, limits: Tolerance) -> Array:
    """Return where the error bar meets the absolute goal, but not the relative one (bool)."""
    with np.errstate(all="ignore"):
        size = np.fmax(np.abs(a), np.abs(outcome.numeric))
        blunt: Array = limits.goal_rtol * size < CONFIDENCE * outcome.error
    return blunt


def _refine_one(
    i: int,
    problem: Problem,
    a: Array,
    limits: Tolerance,
    found: Sweep,
    *,
    kink_alone: bool = False,
) -> int:
    outcome = found.outcome
    ladder = line_of(problem, i, found.noise, found)
    question = limits.question(i, a[i])
    answer = refine(
        ladder,
        replace(question, goal_atol=math.inf) if kink_alone else question,
        float(found.step[i]),
        float(problem.scale[i]),
        least_step(problem, i),
    )
    outcome.numeric[i], outcome.error[i] = answer.value, answer.error
    outcome.verdict[i] = answer.verdict
    if answer.verdict != AGREE:
        found.ladders[i] = ladder.differences()
    outcome.reasons.pop(i, None)
    if answer.reason:  # of one that agrees, and is on no kink, `conclude` forgets it
        outcome.reasons[i] = answer.reason
    if answer.slopes is not None:
        outcome.slopes[i] = answer.slopes
    return answer.verdict


def _refine_each(
    members: Array, problem: Problem, a: Array, limits: Tolerance, found: Sweep
) -> None:
    """Climb for each entry, best resolved first, and give up when none of the first settles."""
    with np.errstate(all="ignore"):
        size = np.fmax(np.abs(a[members]), np.abs(found.outcome.numeric[members]))
        ease = found.outcome.error[members] / (
            limits.goal_atol[members] + limits.goal_rtol[members] * size
        )
    order = members[np.argsort(ease, kind="stable")]
    verdicts: list[int] = []
    for i in order.tolist():
        if len(verdicts) == TRIED and AGREE not in verdicts and DISAGREE not in verdicts:
            return
        verdicts.append(_refine_one(i, problem, a, limits, found))


def _test_groups(
    members: Array, problem: Problem, a: Array, limits: Tolerance, found: Sweep, seed: int
) -> None:
    """Judge entries that are small beside their error bars together, by like size.

    Their error bars at the sweep's step are rounding, and a direction may take larger steps:
    one ladder tells for all of them at once whether any is wrong.  If so the group is halved.
    """
    # By the analytic entry: the numeric one is noise here.
    with np.errstate(over="ignore"):
        size = np.abs(a) * problem.scale
    left = members[np.argsort(-size[members], kind="stable")]
    first = True
    while left.size:
        alike = size[left] >= size[left[0]] / GROUP_RANGE
        if not first and np.count_nonzero(alike) < FEW * problem.size:
            return
        first = False
        _test_group(left[alike], problem, a, limits, found, seed)
        left = left[~alike]


def _test_group(
    members: Array, problem: Problem, a: Array, limits: Tolerance, found: Sweep, seed: int
) -> None:
    outcome = found.outcome
    weights = random_weights(members.size, seed, Stream.GROUP, members.size, int(members[0]))
    direction = weights * problem.scale[members]
    shift = np.zeros(problem.size)
    shift[members] = direction
    terms = (a[members] * direction).astype(np.float64)
    relative = float(np.median(found.step[members] / problem.scale[members]))
    noisy = outcome.error[members] > NOISY_BLOCK * limits.rms[members]
    tiny = (a[members] != 0) & (np.abs(a[members]) < TINY * limits.rms[members])
    deep = bool(np.count_nonzero(noisy | tiny) >= FEW * problem.size)
    value, error = _group_derivative(problem, found, shift, relative, deep=deep)
    gap = abs(float(terms.sum()) - value)
    allowed = float(GROUP_RTOL * np.linalg.norm(terms))
    if abs(value) <= 10 * CONFIDENCE * error:
        allowed += float(np.linalg.norm(limits.dust[members] * direction))
    if gap <= allowed + CONFIDENCE * error:
        bound = (gap / CONFIDENCE + error) / np.abs(direction)
        outcome.bound[members] = np.minimum(outcome.bound[members], bound)
        outcome.verdict[members] = AGREE
        if deep:
            _refine_stubborn(members, problem, a, limits, found)
    elif members.size == 1:
        _refine_one(int(members[0]), problem, a, limits, found)
    elif math.isfinite(error):
        half = members.size // 2
        for part in (members[:half], members[half:]):
            _test_group(part, problem, a, limits, found, seed)


def _refine_stubborn(
    members: Array, problem: Problem, a: Array, limits: Tolerance, found: Sweep
) -> None:
    """Ask those entries of an agreeing direction one by one that it does not resolve well."""
    reached = CONFIDENCE * found.outcome.bound[members]
    size = np.abs(a[members])
    poor = members[(size > 0) & (reached > SHARP * size)]
    order = np.argsort(-np.abs(a[poor] * problem.scale[poor]), kind="stable")
    for i in poor[order][:MOST_STUBBORN].tolist():
        _refine_one(i, problem, a, limits, found)


def _test_dead(
    members: Array, problem: Problem, a: Array, limits: Tolerance, found: Sweep, seed: int
) -> None:
    """See that func does not respond to larger steps either where it was flat, all at once."""
    if members.size and problem.still is not None:
        known = problem.still(members)
        found.outcome.bound[members[known]] = 0.0
        members = members[~known]
    if not members.size:
        return
    shift = np.zeros(problem.size)
    weights = random_weights(members.size, seed, Stream.DEAD)
    shift[members] = weights * problem.scale[members]
    values = problem.evaluator.along(shift, (DEAD_STEP, -DEAD_STEP))
    if np.all(values == problem.center) or not np.isfinite(values).all():
        found.outcome.bound[members] = 0.0
        return
    _test_group(members, problem, a, limits, found, seed)


def _group_derivative(
    problem: Problem, found: Sweep, shift: Array, relative: float, *, deep: bool
) -> tuple[float, float]:
    """Return the derivative along `shift` and its error bar, from steps as large as pay."""

    def evaluate(steps: Any) -> Any:
        return steps, tuple(problem.evaluator.along(shift, steps))

    ladder = Line(evaluate, problem.center, found.noise)
    step = relative * RATIO**2
    ratio, rungs = (RATIO**2, DEEP_GROUP_RUNGS) if deep else (RATIO, GROUP_RUNGS)
    best, value, worse = math.inf, math.nan, 0
    for _ in range(rungs):
        rung = ladder.add(step)
        if not math.isfinite(rung.central):
            break
        estimate = ladder.estimate()
        if estimate is not None:
            worse = worse + 1 if estimate.error > 0.5 * best else 0
            if estimate.error < best:
                best, value = estimate.error, estimate.value
        if worse == 2:
            break
        if rung.h >= 1 and not parabolic(ladder):
            break
        step *= ratio
    return value, best


def _judge_fixed(
    found: Sweep, a: Array, limits: Tolerance, asked: Array, agrees: Array, problem: Problem
) -> None:
    """Judge by one step alone.

    A value between the two slopes of a bend is a subgradient when the step is small; when it is
    large, one step can't tell a kink, curvature or noise from a wrong gradient.
    """
    outcome: Outcome = found.outcome
    outcome.verdict[asked] = np.where(agrees[asked], AGREE, DISAGREE)
    outcome.verdict[asked & ~np.isfinite(outcome.error)] = OPEN
    allowed = limits.of(a, outcome.numeric)
    small = found.step <= 1e-4 * problem.scale
    two_sided = found.ends.all(axis=1) & np.isfinite(outcome.error)
    for i in np.flatnonzero(asked & two_sided & (found.bent | ~agrees)).tolist():
        up, down = found.ends[i]
        forward = float((found.pairs[i, 0] - problem.center) / up)
        backward = float((found.pairs[i, 1] - problem.center) / down)
        slack = outcome.error[i] + allowed[i]
        between = min(forward, backward) - slack <= a[i] <= max(forward, backward) + slack
        if found.bent[i] and small[i]:
            outcome.verdict[i] = AGREE if between else DISAGREE
            outcome.reasons[i] = KINK
            outcome.slopes[i] = (backward, forward)
        elif between and not agrees[i]:
            outcome.verdict[i] = OPEN
            outcome.reasons[i] = BENDS
