"""From the sweep to verdicts: what is settled, what is asked again, what stays open."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from .._constants import (
    BESIDE,
    BESIDE_PAIRS,
    BESIDE_ULPS,
    COARSEST_JUMP,
    COARSEST_RTOL,
    CONFIDENCE,
    DEAD_STEP,
    DEAD_STEP_NARROW,
    DEEP_GROUP_RUNGS,
    DUST,
    EPS,
    FAR_STEP,
    FARTHEST,
    FEW_VALUES,
    FINE,
    FINE_FACTOR,
    FINEST_RTOL,
    FLOAT32,
    GRAD_ROUNDINGS,
    GROUP_PROOF,
    GROUP_RESOLVED,
    GROUP_RTOL,
    GROUP_RUNGS,
    IN_BLOCK,
    IN_CHECK,
    LIMITING,
    LINE_CHANGE,
    LINE_SPACING,
    MOST_STUBBORN,
    NARROW,
    NARROW_PROOF,
    NEAR_ESTIMATE,
    NEARER_PAIRS,
    NOISE_SPACING,
    NOISY_BLOCK,
    RATIO,
    RESPONDS,
    ROUNDING_FACTOR,
    ROUNDING_SIGMA,
    SHARP,
    SMALL_FIXED_STEP,
    STANDS_CLEAR,
    TAIL,
    TINY,
    TOLD_APART,
    TRIED,
)
from .._difference.every_coordinate import (
    Sweep,
    bends,
    least_step,
    line_along,
    line_of,
    noise_of,
    unevaluated,
    value_size,
)
from .._difference.noise_and_extrapolation import Line, last_bits
from .._difference.stencils_and_steps import (
    STENCILS,
    Stream,
    at_one_step,
    random_weights,
    relative_step,
)
from .._difference.step_search_and_kinks import climb, parabolic, rise
from .._evaluate.evaluator import BudgetExhausted
from .._evaluate.problem import Analytic, Problem
from .._options import Options
from .._params.arrays_and_structure import Array
from .._params.layout import Block
from .further_steps import refine, smooth_enough
from .groups_and_rounding import (
    Case,
    Groups,
    in_one_stair,
    inner_format,
    is_dust,
    judge_ties,
    loud_at,
    may_be_quieter,
    quieter_lines,
    reach_of,
    seen_in,
    with_wider_grad,
)
from .tolerance_and_comparison import (
    AGREE,
    BENDS,
    DISAGREE,
    EXHAUSTED,
    GRAD_ROUNDED,
    JUMP,
    KINK,
    NOISY,
    NOT_FINITE,
    NOT_SMOOTH,
    OPEN,
    ROUNDED,
    Comparison,
    Group,
    Tolerance,
    Verdict,
    block_sizes,
    common_size,
    dust_of,
    largest_of,
    tolerance,
)
from .tolerance_and_comparison import spread as each_of


@np.errstate(all="ignore")
def plainly_right(
    problem: Problem, analytic: Analytic, sweep: Sweep, options: Options
) -> Callable[[], Comparison] | None:
    """Return what makes the comparison `judge` would where every error bar alone says agree."""
    # What is within bars that are small beside each entry, and the finest rtol, is right by any
    # tolerances. These are made where somebody reads them, of what is no longer the user's: in a
    # small check they take longer than all else of a verdict.
    noise, (value, error) = sweep.noise, sweep.noise.slope
    if options.rtol is not None or noise.digits or may_be_quieter(noise) or not problem.size:
        return None
    a, bar = analytic.vector, CONFIDENCE * sweep.error
    fine = fine_limit(noise.sigma, sweep.size or value_size(problem, a))
    size = np.abs(sweep.numeric)
    near = np.abs(a - sweep.numeric) <= bar + FINEST_RTOL * size
    near &= bar < min(fine, COARSEST_RTOL) * size
    if np.count_nonzero(near) < near.size or np.count_nonzero(sweep.bent):
        return None
    shift = noise.direction  # see `_passed_over`
    if shift is not None:
        allowed = FINEST_RTOL * float((size * np.abs(shift)).sum()) + GROUP_PROOF * error
        if not abs(float((a * shift).sum()) - value) <= allowed:
            return None
    limits = _limits(Case(problem, analytic, sweep, options))

    def agreed() -> Comparison:
        found = unjudged(limits(), sweep)
        found.verdict[:] = AGREE
        return found

    return agreed


@np.errstate(all="ignore")
def judge(
    problem: Problem,
    analytic: Analytic,
    sweep: Sweep,
    options: Options,
    denied: Callable[[Tolerance], Array] | None = None,
) -> Comparison:
    """Reach a verdict on every coordinate, with as few further evaluations as that needs."""
    # `denied` says what else is known to be wrong by these tolerances: it is asked no more.
    most = problem.evaluator.evaluations + max(2 * problem.size, TOLD_APART)
    a, case = analytic.vector, Case(problem, analytic, sweep, options, most)
    limits = _limits(case)()
    found = unjudged(limits, sweep)
    problem.evaluator.progress.conclude(found.numeric, found.accused)
    bad = ~np.isfinite(a)
    found.verdict[bad] = DISAGREE
    asked = found.evaluated & ~bad & ~_jumps(found, case)
    agrees = found.within()
    fixed = at_one_step(options)
    if (fixed or options.rtol is None) and not may_be_quieter(sweep.noise):
        # What the sweep settles in every entry needs no more: nearly every right gradient.
        settled = asked & agrees & limits.settled(found.numeric, found.error) & ~sweep.bent
        settled &= ~(sweep.flat & (a == 0))
        if settled.all() and _passed_over(found, sweep) is None:
            found.verdict[:] = AGREE
            return found
    if denied is not None:
        plain = asked & ~agrees & denied(limits)
        found.verdict[plain] = DISAGREE
        asked &= ~plain
    rounded = bool((asked & ~agrees).any())
    if rounded:
        found = _rounded(found, case)
        agrees = found.within()
    if fixed:
        _judge_fixed(found, case, asked, agrees)
        _doubt_fixed(found, case)
    else:
        try:
            _ask_again(found, case, asked, agrees)
            _look_between(found, case)
            judge_ties(found, case)
            _leave_standing(found)
        except BudgetExhausted:
            left = (found.verdict == OPEN) & ~agrees
            between = _passed_over(found, sweep) is not None
            if between and not left.any() and not (sweep.bent & ~found.kinked).any():
                left = ~found.kinked  # it is one of them, and nothing may be asked to tell which
            _leave_open(np.flatnonzero(left), found, EXHAUSTED)
    if not rounded and (asked & (~found.within() | (found.verdict == DISAGREE))).any():
        found = _rounded(found, case)
    found = found if fixed else _rounded_inside(found, case)
    found.verdict[asked & (found.verdict == DISAGREE) & found.within() & ~found.kinked] = AGREE
    values = max(abs(float(problem.center)), sweep.noise.terms)
    variation = max(values, curvature(problem, sweep, found))
    # Beside a narrow J no error bar shows that anything is small: it is J's rounding itself.
    narrow = sweep.noise.unit > NARROW
    conclude(found, problem.scale, problem.blocks, options, 0.0 if narrow else variation)
    if options.rtol is None and not fixed:
        with suppress(BudgetExhausted):
            _tell_by_groups(found, case, variation)
        _pass_zeros(found, case, variation)
        for i in [i for i in found.reasons if found.verdict[i] != OPEN and i not in found.slopes]:
            del found.reasons[i]
    found = _leave_rounded(found, case)
    if options.kinks == "fail":
        found.verdict[found.kinked & (found.verdict != DISAGREE)] = OPEN
    _give_reasons(found, options)
    return found


def _give_reasons(found: Comparison, options: Options) -> None:
    """Say of each coordinate that was left open why, where nothing else did."""
    for i in np.flatnonzero(found.verdict == OPEN).tolist():
        found.reasons.setdefault(i, _unsettled(i, found, options))
        # What a straight-through estimator jumps by is no noise that a tolerance could be given.
        useful = CONFIDENCE * found.error[i] <= COARSEST_RTOL * abs(found.numeric[i])
        if i in found.stairs and found.reasons[i] == NOISY and not (useful or found.inner):
            found.reasons[i] = ROUNDED


def _unsettled(i: int, found: Comparison, options: Options) -> str:
    """Return why a coordinate was left open of which nothing else is known."""
    if not found.evaluated[i]:
        return EXHAUSTED
    if options.eps is None:
        return NOISY
    return BENDS if math.isfinite(found.error[i]) else NOT_FINITE


def _jumps(found: Comparison, case: Case) -> Array:
    """Leave open where a J that is printed with a digit or two moves (bool, (n,))."""
    # Whether the slope that its jumps add up to is meant, or that between them, can't be told.
    problem, sweep = case.problem, case.sweep
    jumps: Array = np.zeros(problem.size, dtype=bool)
    if not sweep.noise.digits:
        return jumps
    size = max(abs(float(problem.center)), sweep.noise.terms)
    if sweep.noise.sigma <= ROUNDING_SIGMA * COARSEST_JUMP * size:
        return jumps
    jumps = found.evaluated & ~(sweep.flat & (found.analytic == 0))
    found.error[jumps] = np.inf
    _leave_open(np.flatnonzero(jumps), found, ROUNDED)
    return jumps


def _leave_standing(found: Comparison) -> None:
    """Leave open what func never answered to, where the jumps that others show are as large."""
    # One parameter alone may move a score of whole numbers by none of them, however far it goes.
    rounded = found.reasoned(ROUNDED)
    jumps = [2 * h * abs(slope) for i in rounded for h, slope in found.ladders.get(i, ()) if slope]
    if not jumps:
        return
    for i in np.flatnonzero(found.verdict == DISAGREE).tolist():
        steps, slopes = zip(*found.ladders.get(i, ((0.0, 1.0),)), strict=True)
        if not any(slopes) and abs(found.analytic[i]) * max(steps) <= RESPONDS * min(jumps):
            _leave_open(np.array([i]), found, ROUNDED)


def _tell_by_groups(found: Comparison, case: Case, value: float) -> None:
    """Tell by directions through whole blocks what noise has left open entry by entry."""
    problem, analytic, sweep, options, _ = case
    seed = options.seed
    open_ = (found.verdict == OPEN) & np.isfinite(found.error) & ~found.kinked
    # No direction shows what moves nothing beside the rest of it.
    open_ &= _claims_little(found.analytic, problem.scale, IN_CHECK * value)
    # Kinks that can be told float64 tells by smaller steps, and of one entry there is no group.
    narrow = sweep.noise.unit > NARROW
    blurred = (NOISY, NOT_SMOOTH) if narrow else (NOISY,)
    open_[[i for i, reason in found.reasons.items() if reason not in blurred]] = False
    if not open_.any() or (not narrow and _enough(found, case)):
        return
    rounding = partial(_spread, problem, analytic, seed)
    doubt = np.maximum(found.rounded, found.doubt)
    groups = Groups(problem, analytic, sweep.noise, seed, rounding, found.inner, doubt)
    doubted = np.zeros_like(open_)
    for position, block in enumerate(problem.blocks):
        left = np.flatnonzero(open_[block.window])
        known_wrong = np.count_nonzero(found.verdict[block.window] == DISAGREE)
        w = block.window
        doubtful = _doubtful(found, w) if narrow and left.size else left[:0]
        named = known_wrong == 1 and not doubtful.size  # a single wrong entry
        if not left.size or (block.size == 1 and not narrow) or named:
            continue
        known = groups.block(position)
        if doubtful.size and known.verdict != DISAGREE:
            _leave_open(doubtful + block.start, found, NOISY)
            open_[doubtful + block.start] = True
            left = np.concatenate([doubtful, left])
        for offset in left[~found.within()[w][left]][:MOST_STUBBORN].tolist():
            verdict, estimate = groups.entry(position, offset, known)
            i = block.start + offset
            # Its own steps may know it better, and err only in float32, where they cross kinks; but
            # not at the edge of a domain, where there are few.
            better = narrow and bool(np.isfinite(sweep.numeric[i]))
            better |= estimate.error < found.error[i]
            if better or verdict == DISAGREE:
                found.numeric[i], found.error[i] = estimate.value, estimate.error
            found.verdict[i] = DISAGREE if verdict == DISAGREE else OPEN
            doubted[i] = verdict == OPEN or not better
        if known.wrong is not None:
            _accuse(found, known.wrong)
        if known.verdict == OPEN and not known.norm:
            found.answers[w] = True  # or too little is known of it to pass a zero
        if known.verdict == AGREE:
            told = (found.verdict == OPEN) & open_ & ~doubted
            found.bound[w] = np.minimum(found.bound[w], known.bound)
            found.verdict[w][told[w]] = AGREE
            found.seen[block.start] = seen_in(known, found.reach[w], groups.spread(position))


def _doubtful(found: Comparison, window: slice) -> Array:
    """Return the entries accused in a block of which as many are as far off and stay open."""
    # Those show that error bars are too small there: steps cross many kinks, of which some
    # differences agree by chance.
    gap = np.abs(found.analytic - found.numeric)[window]
    off = (found.verdict[window] == OPEN) & ~found.within()[window]
    accused = (found.verdict[window] == DISAGREE) & ~found.kinked[window]
    few = np.flatnonzero(accused & (gap <= GROUP_PROOF * gap[off].max(initial=0.0)))
    return few if few.size <= np.count_nonzero(off) else few[:0]


def _pass_zeros(found: Comparison, case: Case, value: float) -> None:
    """Pass blocks whose gradient is what rounding leaves of a zero, and is known so far as can be.

    A direction through all of it has not denied it, and each error bar is small beside J, or beside
    the terms that cancel in it.  Beside a narrow J that is so of gradients that are none, too: what
    rounding leaves is another one beside θ (grad is asked there, if it can be).
    """
    _pass_stationary(found, case)
    problem, limits = case.problem, found.tolerance
    narrow = case.sweep.noise.unit > NARROW
    zero = (np.abs(found.analytic) <= limits.dust + limits.atol) & found.within()
    zero &= CONFIDENCE * found.reach * problem.scale <= IN_BLOCK * value
    zero &= _claims_little(found.analytic, problem.scale, IN_CHECK * value)
    zero[found.reasoned(JUMP, NOT_SMOOTH)] = False
    passing = [
        block.window
        for block in problem.blocks
        if zero[block.window].all() and (found.verdict[block.window] == OPEN).any()
    ]
    if narrow and passing:
        off = GRAD_ROUNDINGS * _spread(problem, case.analytic, case.options.seed)
        passing = [
            w
            for w in passing
            if _length(found.analytic[w]) <= _length(off[w])
            # Rounding leaves no exact zeros in all of a block: they were never written.
            and (found.analytic[w].any() or not found.answers[w].any())
        ]
    for w in passing:
        found.verdict[w] = AGREE
    if narrow:
        _pass_coarse(found, problem.blocks)


def _pass_stationary(found: Comparison, case: Case) -> None:
    """Pass what agrees at a point at which func bends by far more than it slopes.

    Where a fit has ended, rounding hides what is left of the gradient: no J tells more of it, and
    zero itself would pass.
    """
    problem, sweep = case.problem, case.sweep
    left = np.flatnonzero((found.verdict == OPEN) & found.within() & (sweep.step > 0))
    left = left[[found.reasons.get(i, NOISY) == NOISY for i in left.tolist()]]
    bend = bends(sweep, problem.center, left)
    over_scale = bend * (problem.scale[left] / sweep.step[left]) ** 2
    far = CONFIDENCE * found.reach[left] * problem.scale[left] <= IN_CHECK * over_scale
    found.verdict[left[far & (bend > RESPONDS * sweep.noise.sigma)]] = AGREE


def _pass_coarse(found: Comparison, blocks: Sequence[Block]) -> None:
    """Pass entries of a narrow J that their own steps know as well as a block must be known."""
    # Near the edge of a domain directions through all of it know less. In a block of which a part
    # is wrong, none that may be in it.
    known = (found.verdict == OPEN) & found.within()
    known &= CONFIDENCE * found.reach <= GROUP_RESOLVED * np.abs(found.numeric)
    coarse = (NOISY, NOT_SMOOTH, NOT_FINITE)
    known[[i for i, reason in found.reasons.items() if reason not in coarse]] = False
    for block in blocks:
        wrong = (found.verdict[block.window] == DISAGREE).any()
        if wrong or any(group.block is block for group in found.groups):
            known[block.window] = False
    found.verdict[known] = AGREE


def _accuse(found: Comparison, group: Group) -> None:
    """Keep what is known of a wrong part of a block; a single entry is one like any other."""
    if group.places.size > 1:
        found.groups.append(group)
        return
    i = int(group.places[0])
    found.numeric[i], found.error[i] = group.value / group.weight, group.error / abs(group.weight)
    found.verdict[i] = DISAGREE


def _rounded(found: Comparison, case: Case) -> Comparison:
    """Return the comparison with the rounding of the analytic gradient in its tolerances."""
    problem, analytic = case.problem, case.analytic
    if analytic.at is None:  # a gradient, or a row of a Jacobian, that can't be asked for elsewhere
        return found
    own, moved, varies, stairs = _rounding(problem, analytic, case.options.seed)
    shared = own.copy()
    for block in problem.blocks:
        # A few neighbours may all round alike: then the block's others tell.
        mine = shared[block.window]
        mine[:] = np.maximum(mine, np.median(mine)) if mine.size else mine
    limits, off = found.tolerance, np.zeros(problem.size)
    size = np.fmax(np.abs(found.analytic), np.abs(found.numeric))
    doubt = np.zeros(problem.size)
    for spread in (GRAD_ROUNDINGS * own, GRAD_ROUNDINGS * shared):
        # What is as large as the gradient itself is no rounding of it.
        little = (spread <= COARSEST_RTOL * size) | is_dust(spread, problem, found.analytic)
        # Where a fit has ended there is no gradient: it is little beside what it moves by.
        little |= spread <= LIMITING * moved
        off[little] = spread[little]
        doubt[~little] = np.minimum(spread, GRAD_ROUNDINGS * varies)[~little]
    zero = np.abs(found.numeric) <= CONFIDENCE * found.error
    doubt[zero] = np.maximum(doubt, GRAD_ROUNDINGS * stairs)[zero]
    limits = replace(limits, atol=limits.atol + off)
    return replace(found, tolerance=limits, rounded=off, doubt=doubt)


def _leave_rounded(found: Comparison, case: Case) -> Comparison:
    """Leave open what is off by no more than rounding moves grad by, though that is no little."""
    found = with_wider_grad(found, case)
    if found.doubt.any():
        within = replace(found.tolerance, atol=found.tolerance.atol + found.doubt)
        doubted = (found.verdict == DISAGREE) & within.within(found.numeric, found.error)
        _leave_open(np.flatnonzero(doubted & ~found.kinked), found, GRAD_ROUNDED)
        beyond = ~found.within() & within.within(found.numeric, found.error)
        noisy = [i for i, reason in found.reasons.items() if reason == NOISY and beyond[i]]
        found.reasons.update(dict.fromkeys(noisy, GRAD_ROUNDED))
    return found


def _rounded_inside(found: Comparison, case: Case) -> Comparison:
    """Return the comparison with tolerances of the format that func rounds to on the way to J."""
    # A gradient by the same formulas without that rounding, or with other, is off by that much.
    limits, options = found.tolerance, case.options
    if not found.reasons and not (found.verdict == DISAGREE).any():
        return found
    rtol = limits.rtol if options.rtol is not None else np.maximum(limits.rtol, FLOAT32 ** (2 / 3))
    wide = replace(limits, rtol=rtol, atol=limits.atol.copy())
    for block in case.problem.blocks if options.atol is None else ():
        off = GRAD_ROUNDINGS * FLOAT32 * common_size(limits.rms[block.window])
        wide.atol[block.window] = np.maximum(limits.atol[block.window], off)
    near = wide.within(found.numeric, found.error) & (found.verdict == DISAGREE)
    near &= np.isfinite(found.analytic) & ~found.kinked
    bar = CONFIDENCE * found.error
    known = found.within() & (bar <= COARSEST_RTOL * limits.size(found.numeric))
    jumps = [
        i
        for i, reason in found.reasons.items()
        if reason in (JUMP, NOT_SMOOTH) or (reason in (ROUNDED, NOISY) and not known[i])
    ]
    if not near.any() and not jumps:
        return found
    try:
        inner = inner_format(found, case)
    except BudgetExhausted:
        inner = ""
    if not inner:
        return found
    found = replace(found, tolerance=wide, inner=inner)
    jumps = [*_accused_in_a_stair(found, case), *jumps]
    for i in jumps[:MOST_STUBBORN]:
        if known[i]:
            found.reasons[i] = NOISY  # its jumps are that rounding
        else:
            _by_larger_steps(i, found, case)
    return found


def _accused_in_a_stair(found: Comparison, case: Case) -> list[int]:
    """Leave open what steps deny that stay within one stair of a rounded func, and return it."""
    # There a smooth term slopes alone, a weight decay.
    accused = (found.verdict == DISAGREE) & np.isfinite(found.analytic) & found.evaluated
    left = []
    with suppress(BudgetExhausted):
        for i in np.flatnonzero(accused & ~found.kinked).tolist():
            line = line_of(case.problem, i, case.sweep.noise)
            if in_one_stair(i, found, line, case.problem):
                left.append(i)
    found.error[left] = np.inf
    _leave_open(np.array(left, dtype=np.intp), found, ROUNDED)
    return left


def _by_larger_steps(i: int, found: Comparison, case: Case) -> None:
    """Judge an open entry, along a line rounded to float32 on the way, by steps that suit that."""
    problem, sweep = case.problem, case.sweep
    scale, size = reach_of(i, problem), value_size(problem, found.analytic)
    line, loud = line_of(problem, i, sweep.noise), loud_at(found.inner)
    try:
        # Eight values may move by the same few roundings each, and then they look smooth.
        tables = [line.table(0.0, part * scale * loud) for part in (1.0, -math.sqrt(0.5))]
        known = [sigma for sigma in tables if sigma is not None]
        if len(known) < len(tables):
            return
        line.take_noise(max(known))
        first = scale * relative_step(STENCILS["central"], line.noise.sigma, size) / RATIO
        best = climb(line, rise(line, first, GROUP_RUNGS, lambda step: step <= scale))
    except BudgetExhausted:
        return
    if not best.error < found.error[i]:
        return
    found.numeric[i], found.error[i], found.reasons[i] = best.value, best.error, NOISY
    question = found.tolerance.at(i)
    clear = not question.within(best.value, NARROW_PROOF * best.error)
    if clear and smooth_enough(line, question):  # all of these steps may cross a kink
        found.verdict[i] = DISAGREE


def _spread(problem: Problem, analytic: Analytic, seed: int) -> Array:
    """Return by how much rounding moves each analytic entry, shape (n,)."""
    return _rounding(problem, analytic, seed)[0]


def _rounding(problem: Problem, analytic: Analytic, seed: int) -> tuple[Array, ...]:
    """Return that, and by how much each moves at all, and by rounding from point to point; (n,).

    And by how much far away, at most as rounding can, where it stands still nearby.

    What cancels in a zero gradient need not be as large as the gradient, or as J over θ: a bias of
    1,000 before a softmax has terms as large as the probabilities.  Of grad at two points beside θ
    that are opposite each other the mean is taken, so that curvature is not in it.
    """
    vector, spread, moved = analytic.vector, np.zeros(problem.size), np.zeros(problem.size)
    pairs = _beside(problem, analytic, seed, BESIDE)
    means = [0.5 * one + 0.5 * other for one, other in pairs]
    for mean, (one, other) in zip(means, pairs, strict=True):
        gap = np.abs(mean - vector).astype(np.float64)
        spread = np.fmax(spread, np.where(np.isfinite(gap), gap, 0.0))
        moved = np.fmax(moved, np.abs(0.5 * one - 0.5 * other).astype(np.float64))
    most = np.fmax(spread, moved)
    much = (most > COARSEST_RTOL * np.abs(vector)) & ~is_dust(
        GRAD_ROUNDINGS * most, problem, vector
    )
    bent = np.zeros(problem.size)
    if much.any():
        # Some sums round to three values, of which a mean may be the same at every pair.
        near = _beside(problem, analytic, seed, BESIDE, NEARER_PAIRS)
        for (one, other), (ahead, behind) in zip(pairs, near, strict=False):
            means.append(0.5 * ahead + 0.5 * behind)
            odd = 0.5 * ahead - 0.5 * behind - NEARER_PAIRS * (0.5 * one - 0.5 * other)
            bent = np.fmax(bent, np.abs(odd).astype(np.float64))
    bent = np.where(much & np.isfinite(bent), bent, 0.0)
    varies = np.fmax(np.ptp(means or [vector], axis=0).astype(np.float64), bent)
    spread = np.fmax(spread, bent)
    stairs = np.zeros(problem.size)
    if pairs and (still := (np.array(pairs) == vector).all(axis=(0, 1))).any():
        far = _beside(problem, analytic, seed, FAR_STEP)  # that was one stair of it
        pairs += far
        if far:
            # A parameter of 1e8 is rounded by as many ε where it is added to something of size 1.
            rounding = dust_of(EPS * np.maximum(problem.scale, 1.0)) * value_size(problem, vector)
            apart = np.ptp([one for both in far for one in both], axis=0).astype(np.float64)
            stairs = np.where(still & (apart <= rounding), apart, 0.0)
    # All may round alike, but they lie on the grid of the terms that cancel in them: one coarser
    # than that of their own format.
    seen = np.sort(np.array([vector, *chain(*pairs)], dtype=np.float64), axis=0)
    single = (seen.astype(np.float32) == seen).all(axis=0)
    eps = np.maximum(each_of(analytic.precision, problem.blocks), np.where(single, FLOAT32, 0.0))
    grid = last_bits(seen).min(axis=0)
    coarse = (grid > 2 * eps * np.abs(vector)) & np.isfinite(seen).all(axis=0)
    coarse &= np.count_nonzero(np.diff(seen, axis=0) > 0, axis=0) + 1 >= FEW_VALUES
    return np.where(coarse, np.maximum(spread, grid), spread), moved, varies, stairs


def _beside(
    problem: Problem, analytic: Analytic, seed: int, distance: float, part: float = 1.0
) -> list[tuple[Array, Array]]:
    """Return grad at pairs of opposite points, so far from θ in parts of the scales."""
    # Or at this part of the way to each of them.
    found: list[tuple[Array, Array]] = []
    at, step = analytic.at, distance * problem.scale
    if at is None:
        return found
    # The gradient of an ill-conditioned func is another one so far away: as near as J tells.
    told, most = _told(analytic, step), LINE_CHANGE * abs(float(problem.center))
    if distance == BESIDE and told > most > 0:
        step *= most / told
    common = step.copy()
    for block in problem.blocks:
        size, ulps = np.abs(problem.theta[block.window]), BESIDE_ULPS * np.finfo(block.dtype).eps
        step[block.window] = np.maximum(step[block.window], ulps * size)
        common[block.window] = np.maximum(step[block.window], ulps * _root_mean_square(size))
    # What is added to a constant is rounded alike within floats of its own, if it is a small one.
    step = common if _told(analytic, common) <= most else step
    for pair in range(BESIDE_PAIRS):
        shift = random_weights(problem.size, seed, Stream.BESIDE, pair) * (part * step)
        try:
            found.append((at(shift), at(-shift)))
        except Exception:  # outside its domain, or no longer what it was: nothing is learnt
            return []
    return found


def _root_mean_square(values: Array) -> float:
    return float(np.linalg.norm(values)) / math.sqrt(max(values.size, 1))


def _told(analytic: Analytic, step: Array) -> float:
    """Return by how much J changes, at most, where every coordinate takes a step."""
    return float(np.nansum(np.abs(analytic.vector) * step))


def unjudged(limits: Tolerance, sweep: Sweep) -> Comparison:
    """Return what a sweep found beside the analytic gradient, every verdict open."""
    with np.errstate(all="ignore"):
        least = RESPONDS * sweep.noise.at(sweep.largest)
        # What is zero but for rounding moves by that alone, and yet func is a sum of terms.
        answers = (sweep.change > least) | ((sweep.largest <= least) & (sweep.change > 0))
    return Comparison.unjudged(
        limits, sweep.numeric, sweep.error, sweep.step > 0, sweep.flat, answers
    )


def _limits(case: Case) -> Callable[[], Tolerance]:
    """Return what makes the tolerances of a check whose parameters were differenced."""
    problem, analytic, sweep, options, _ = case
    error, jitter = sweep.error, analytic.jitter
    if options.rtol is not None:
        # Truncation, h²·f‴/6, is no error of grad's: of 1/x, (h·f″)²/4f′, and of powers less.
        bend = bends(sweep, problem.center, slice(None)) / sweep.step
        error = error + bend**2 / (4 * np.abs(sweep.numeric))
    made = partial(
        tolerance,
        analytic.vector,
        sweep.numeric,
        problem.scale,
        problem.blocks,
        analytic.precision,
        options,
        fine_limit(sweep.noise.sigma, sweep.size or value_size(problem, analytic.vector)),
        max(abs(float(problem.center)), sweep.noise.terms),
        error,
    )

    def limits() -> Tolerance:
        found = made()
        np.add(found.atol, jitter, out=found.atol)
        return found

    return limits


def _ask_again(found: Comparison, case: Case, asked: Array, agrees: Array) -> None:
    """Take further steps for what the sweep did not settle."""
    sweep = case.sweep
    left = _left_beside_alike(asked & (~agrees | sweep.bent), found, case)
    for i in np.flatnonzero(left).tolist():
        # One that agrees is asked only whether it is on a kink.
        _refine_one(i, found, case, kink_alone=bool(agrees[i]))
    smooth = _smooth(found, sweep)
    done = found.tolerance.settled(found.numeric, found.error)
    dead = sweep.flat & (found.analytic == 0)
    if case.options.rtol is None:
        quiet = asked & agrees & smooth & ~dead
        done[_refine_quiet(quiet, found, case)] = True
    coarse = np.flatnonzero(asked & agrees & smooth & ~done & ~dead)
    still = np.flatnonzero(asked & agrees & dead & ~sweep.bent)
    _test_dead(still, found, case)
    if case.options.rtol is not None:
        _refine_each(coarse, found, case)
        # What meets the absolute goal alone.
        blunt = ~replace(found.tolerance, goal_atol=0.0).settled(found.numeric, found.error)
        coarse = np.flatnonzero(asked & agrees & smooth & done & ~dead & blunt)
    if coarse.size and sweep.noise.unit <= NARROW:  # else blocks tell, at larger steps
        _test_group(coarse, found, case)


def _enough(found: Comparison, case: Case) -> bool:
    """Return whether enough was asked of a gradient that is known to be wrong."""
    spent = case.problem.evaluator.evaluations >= case.most
    return spent and bool((found.verdict == DISAGREE).any())


def _left_beside_alike(left: Array, found: Comparison, case: Case) -> Array:
    """Accuse what is as plainly wrong as others of its block that were asked again; bool, (n,)."""
    # Returned is what is still to be asked. Of hundreds that are wrong a few tell for all, unless
    # one of them turns out to be right, on a kink or too noisy: then a few are asked of those that
    # are off by more of their tolerance than that one.
    gap = np.abs(found.analytic - found.numeric)
    excess = gap / found.tolerance.allowed(found.numeric, found.error)
    plain = left & ~case.sweep.bent & (excess > 1) & np.isfinite(excess)
    if np.count_nonzero(plain) <= MOST_STUBBORN:
        return left
    left = left.copy()
    for block in case.problem.blocks:
        members = block.start + np.flatnonzero(plain[block.window])
        members = members[np.argsort(-excess[members], kind="stable")]
        while members.size > TRIED:
            spread = np.linspace(0, members.size - 1, TRIED).astype(np.intp)
            for i in members[spread][left[members[spread]]].tolist():
                _refine_one(i, found, case)
                left[i] = False
            wrong = found.verdict[members[spread]] == DISAGREE
            wrong &= ~found.kinked[members[spread]]
            if wrong.all():
                found.verdict[members] = DISAGREE
                left[members] = False
                break
            members = members[: spread[np.argmin(wrong)]]
    return left


def _smooth(found: Comparison, sweep: Sweep) -> Array:
    """Return where func does not bend, or bends and agrees all the same (bool)."""
    smooth: Array = (~sweep.bent | (found.verdict == AGREE)) & ~found.kinked
    return smooth


def curvature(problem: Problem, sweep: Sweep, found: Comparison) -> float:
    """Return the largest |f''|·s², by what func changes over a scale beside its slope."""
    seen = np.flatnonzero(sweep.step > 0)
    with np.errstate(all="ignore"):
        sizes = bends(sweep, problem.center, seen) * (problem.scale[seen] / sweep.step[seen]) ** 2
    smooth = _smooth(found, sweep)
    # At a stationary point every smooth func bends by more than it slopes.
    smooth[found.reasoned(NOISY)] = True
    sizes = sizes[np.isfinite(sizes) & smooth[seen]]
    return float(sizes.max(initial=0.0))


def fine_limit(sigma: float, size: float) -> float:
    """Return the relative error bar that settles an entry: what two evaluations give, times 30."""
    balanced = FINE_FACTOR * (sigma / size) ** (2 / 3) if size > 0 else 0.0
    return max(FINE, balanced)


def _refine_quiet(members: Array, found: Comparison, case: Case) -> list[int]:
    """Climb for entries that are coarse only because J is loud along others; return which told."""
    if not may_be_quieter(case.sweep.noise):
        return []
    size = value_size(case.problem, found.analytic)
    quiet, rest = quieter_lines(members, found, case)
    told = [i for alike, _ in rest for i in alike.tolist()]
    for alike, noise in rest:
        other = case._replace(sweep=replace(case.sweep, noise=noise))
        _test_group(alike, found, other, sound=True)
    for i, line in quiet:
        goal = found.tolerance.goal_rtol[i]
        own = max(fine_limit(line.noise.sigma, size), 2 * found.tolerance.rtol[i])
        found.tolerance.goal_rtol[i] = own
        if _refine_better(i, found, case, line):
            told.append(i)
        else:
            found.tolerance.goal_rtol[i] = goal
    return told


def _refine_better(
    i: int, found: Comparison, case: Case, line: Line, *, to_agree: bool = False
) -> bool:
    """Climb a line; return whether it told more than what was known before, which else is kept."""
    # `to_agree`: a smaller error bar alone does not tell more where it leaves open what agreed.
    numeric, error, verdict = found.numeric[i], found.error[i], found.verdict[i]
    agreed = to_agree and bool(found.within()[i])
    wrong = _refine_one(i, found, case, line) == DISAGREE
    if wrong or (found.error[i] < error and (not agreed or found.within()[i])):
        return True
    found.numeric[i], found.error[i], found.verdict[i] = numeric, error, verdict
    found.reasons.pop(i, None)
    return False


def _refine_one(
    i: int, found: Comparison, case: Case, line: Line | None = None, *, kink_alone: bool = False
) -> Verdict:
    """Climb for an entry, along a line that is known if any; return what came of it."""
    problem, sweep = case.problem, case.sweep
    ladder = line_of(problem, i, sweep.noise, sweep) if line is None else line
    limits = found.tolerance.at(i)
    answer = refine(
        ladder,
        replace(limits, goal_atol=math.inf) if kink_alone else limits,
        float(sweep.step[i]),
        float(problem.scale[i]),
        least_step(problem, i),
    )
    found.numeric[i], found.error[i] = answer.value, answer.error
    found.verdict[i] = answer.verdict
    if answer.verdict != AGREE:
        found.ladders[i] = ladder.differences()
    if ladder.grainy:
        found.stairs.add(i)
    found.reasons.pop(i, None)
    if answer.reason:  # of one that agrees, and is on no kink, `conclude` forgets it
        found.reasons[i] = answer.reason
    if answer.slopes is not None:
        found.slopes[i] = answer.slopes
    return answer.verdict


def _refine_each(members: Array, found: Comparison, case: Case) -> None:
    """Climb for each entry, best resolved first, and give up when none of the first settles."""
    ease = (found.error / found.tolerance.goal(found.numeric))[members]
    order = members[np.argsort(ease, kind="stable")]
    verdicts: list[Verdict] = []
    for i in order.tolist():
        if len(verdicts) == TRIED and AGREE not in verdicts and DISAGREE not in verdicts:
            return
        verdicts.append(_refine_one(i, found, case))


def _test_group(members: Array, found: Comparison, case: Case, *, sound: bool = False) -> None:
    """Judge entries that are small beside their error bars together."""
    _halve(members, found, case, sound=sound)
    if _badly_scaled(members, found, case):
        _refine_stubborn(members[found.verdict[members] == AGREE], found, case)


def _badly_scaled(members: Array, found: Comparison, case: Case) -> bool:
    """Return whether these are more than the tail of any network's gradient."""
    rms = found.tolerance.rms[members]
    noisy = found.error[members] > NOISY_BLOCK * rms
    tiny = (found.analytic[members] != 0) & (np.abs(found.analytic[members]) < TINY * rms)
    return bool(np.count_nonzero(noisy | tiny) >= TAIL * case.problem.size)


def _halve(members: Array, found: Comparison, case: Case, *, sound: bool) -> None:
    """Ask one direction of these entries, and each half of them if it denies that all are right."""
    # Their error bars at the sweep's step are rounding, and a direction may take larger steps: one
    # ladder tells for all of them at once whether any is wrong. If so the group is halved.
    problem, _, sweep, options, _ = case
    if _enough(found, case):
        return
    a, limits, count = found.analytic[members], found.tolerance, members.size
    weights = random_weights(count, options.seed, Stream.GROUP, count, int(members[0]))
    direction = weights * problem.scale[members]
    shift = np.zeros(problem.size)
    shift[members] = direction
    terms = (a * direction).astype(np.float64)
    relative = float(np.median(sweep.step[members] / problem.scale[members]))
    deep = _badly_scaled(members, found, case)
    line = line_along(problem, shift, sweep.noise)
    if sound:
        line.sound(LINE_SPACING)
    value, error = _group_derivative(line, relative, deep=deep)
    if line.change > RESPONDS * max(rung.sigma for rung in line.rungs):
        found.answers[members] = True
    told = float(terms.sum())
    allowed = max(GROUP_RTOL, options.rtol or 0.0) * _length(terms)
    allowed += ROUNDING_FACTOR * _length(limits.atol[members] * direction)
    if abs(value) <= STANDS_CLEAR * CONFIDENCE * error:
        allowed += _length(limits.dust[members] * direction)
    if not math.isfinite(allowed):
        return  # nothing is told by what no float holds
    if Tolerance(told, atol=allowed).within(value, error):
        gap = abs(told - value)
        bound = (gap / CONFIDENCE + error) / np.abs(direction)
        found.bound[members] = np.minimum(found.bound[members], bound)
        found.verdict[members] = AGREE
    elif members.size == 1:
        # What a direction sees its own steps are to see, too.
        i, told = int(members[0]), CONFIDENCE * error / abs(float(direction[0]))
        size = float(limits.size(found.numeric)[i])
        limits.goal_rtol[i] = min(limits.goal_rtol[i], told / max(size, 1e-300))
        _refine_one(i, found, case)
    elif math.isfinite(error):
        half = members.size // 2
        for part in (members[:half], members[half:]):
            _halve(part, found, case, sound=sound)


def _length(vector: Array) -> float:
    """Return the norm of a vector whose squares may be larger than any float."""
    unit = 2.0 ** (math.frexp(float(np.abs(vector).max()))[1] - 1)
    return unit * float(np.linalg.norm(vector / unit))


def _refine_stubborn(members: Array, found: Comparison, case: Case) -> None:
    """Ask those entries of an agreeing direction one by one that it does not resolve well."""
    reached = CONFIDENCE * found.reach[members]
    size = np.abs(found.analytic[members])
    poor = members[(size > 0) & (reached > SHARP * size)]
    order = np.argsort(-np.abs(found.analytic[poor] * case.problem.scale[poor]), kind="stable")
    for i in poor[order][:MOST_STUBBORN].tolist():
        if not _enough(found, case):
            _refine_one(i, found, case)


def _passed_over(found: Comparison, sweep: Sweep) -> Array | None:
    """Return the direction of the noise's values if what agrees does not add up to their slope."""
    # These values are far nearer than the sweep's: analytic entries that all are right add up to
    # the slope that they tell along their direction.
    (value, error), shift = sweep.noise.slope, sweep.noise.direction
    wrong = found.verdict == DISAGREE
    if shift is None or not found.evaluated.all() or wrong.any():
        return None
    smooth = np.flatnonzero(~found.kinked) if found.slopes else slice(None)
    for i, (behind, ahead) in found.slopes.items():
        value -= (ahead if shift[i] > 0 else behind) * shift[i]
        error += abs((ahead - behind) * shift[i])
    return None if _add_up(smooth, shift, value, error, found) else shift


def _add_up(members: Any, shift: Array, value: float, error: float, found: Comparison) -> bool:
    """Return whether analytic entries add up to the slope along their part of a direction."""
    limits, along = found.tolerance, shift[members]
    a = found.analytic[members]
    off = limits.atol + limits.dust + limits.rtol * limits.size(found.numeric)
    gap = abs(float((a * along).sum()) - value)
    allowed = float((off[members] * np.abs(along)).sum()) + GROUP_PROOF * error
    return not gap > allowed


def _look_between(found: Comparison, case: Case) -> None:
    """Ask once more, at tiny steps, for what agrees with steps that passed over what func does."""
    # Entries are halved until those are found that do not add up. That may take as many evaluations
    # as the sweep did. What was not cleared then stays open, unless one that was asked agreed: so
    # tiny steps may all lie in one stair of a rounded func.
    problem, sweep = case.problem, case.sweep
    shift = _passed_over(found, sweep)
    if shift is None:
        return
    left, stairs = [np.flatnonzero(~found.kinked)], bool(found.stairs)
    most = problem.evaluator.evaluations + 2 * max(problem.size, MOST_STUBBORN)
    while left and problem.evaluator.evaluations < most:
        members = left.pop()
        if members.size == 1 and int(members[0]) in found.stairs:
            continue
        first, along, unit = int(members[0]), np.zeros(problem.size), 1.0
        along[members] = shift[members]
        line = line_along(problem, along, sweep.noise)
        if members.size == 1:
            line, unit = line_of(problem, first, sweep.noise, sweep), float(shift[first])
        least = abs(unit) * NOISE_SPACING
        near = [line.add(RATIO * least), line.add(least)]
        known = replace(line, rungs=near).estimate()
        if members.size == 1 and not known.h:  # outside func's domain
            if math.isfinite(sweep.numeric[first]):
                _leave_open(members, found, NOT_SMOOTH)
            continue  # it was asked at nearer steps
        if _add_up(members, shift, unit * known.value, abs(unit) * known.error, found):
            continue
        gap = NEAR_ESTIMATE * abs(found.analytic[first] - known.value)
        if members.size > 1:
            half = members.size // 2
            left += [members[half:], members[:half]]
        elif min((h for h, _ in found.ladders.get(first, ())), default=math.inf) < least:
            # One that was asked at nearer steps is known as well as by these, at least.
            _refine_better(first, found, case, line, to_agree=True)
        else:
            shown = any(rung.bends and abs(rung.bend) >= gap for rung in line.rungs)
            if _refine_one(first, found, case, line) == DISAGREE and not shown:
                # It may be one stair of a func that is rounded on the way, which does not bend.
                _leave_open(members, found, NOT_SMOOTH)
        stairs |= members.size == 1 and bool(found.within()[first])
    for members in [] if stairs else left:
        _leave_open(members, found, NOT_SMOOTH)


def _leave_open(members: Array, found: Comparison, reason: str) -> None:
    found.verdict[members] = OPEN
    found.reasons.update(dict.fromkeys(members.tolist(), reason))


def _test_dead(members: Array, found: Comparison, case: Case) -> None:
    """See that func does not respond to larger steps either where it was flat, all at once."""
    problem = case.problem
    known = case.sweep.still[members]
    found.bound[members[known]] = 0.0
    members = members[~known]
    if not members.size:
        return
    shift = np.zeros(problem.size)
    weights = random_weights(members.size, case.options.seed, Stream.DEAD)
    shift[members] = weights * problem.scale[members]
    step = DEAD_STEP if problem.evaluator.narrow is None else DEAD_STEP_NARROW
    values = problem.evaluator.along(shift, (step, -step))
    if np.all(values == problem.center) or not np.isfinite(values).all():
        found.bound[members] = 0.0
        return
    _test_group(members, found, case)


def _group_derivative(line: Line, relative: float, *, deep: bool) -> tuple[float, float]:
    """Return the derivative along a line and its error bar, from steps as large as pay."""

    def further(step: float) -> bool:
        top = line.rungs[0] if line.rungs else None
        return top is None or (math.isfinite(top.central) and (top.h < 1 or parabolic(line)))

    ratio, most = (RATIO**2, DEEP_GROUP_RUNGS) if deep else (RATIO, GROUP_RUNGS)
    return climb(line, rise(line, relative * RATIO**2, most, further, ratio, patience=2)).known


def _judge_fixed(found: Comparison, case: Case, asked: Array, agrees: Array) -> None:
    """Judge by one step alone."""
    # A value between the two slopes of a bend is a subgradient when the step is small; when it is
    # large, one step can't tell a kink, curvature or noise from a wrong gradient.
    problem, sweep = case.problem, case.sweep
    a = found.analytic
    # The complex step knows what rounding leaves nothing of: 1 - tanh(θ)² of a saturated unit.
    lost = (a == 0) & (np.abs(found.numeric) <= found.tolerance.dust)
    found.verdict[asked] = np.where((agrees | lost)[asked], AGREE, DISAGREE)
    found.verdict[asked & ~np.isfinite(found.error)] = OPEN
    allowed = found.tolerance.allowed(found.numeric, 0.0)
    small = sweep.step <= SMALL_FIXED_STEP * problem.scale
    two_sided = sweep.ends.all(axis=1) & np.isfinite(found.error)
    for i in np.flatnonzero(asked & two_sided & (sweep.bent | ~agrees)).tolist():
        up, down = sweep.ends[i]
        forward = float((sweep.pairs[i, 0] - problem.center) / up)
        backward = float((sweep.pairs[i, 1] - problem.center) / down)
        slack = found.error[i] + allowed[i]
        between = min(forward, backward) - slack <= a[i] <= max(forward, backward) + slack
        if sweep.bent[i] and small[i]:
            found.verdict[i] = AGREE if between else DISAGREE
            found.reasons[i] = KINK
            found.slopes[i] = (backward, forward)
        elif between and not agrees[i]:
            found.verdict[i] = OPEN
            found.reasons[i] = BENDS


def _doubt_fixed(found: Comparison, case: Case) -> None:
    """Ask what does not agree at the given step by other steps, too."""
    # They tell its truncation and its noise: where these explain what is wrong it can't tell. What
    # the given step is right about keeps the value that it has there.
    problem, options = case.problem, case.options
    asked = (found.verdict == DISAGREE) & np.isfinite(found.error) & np.isfinite(found.analytic)
    asked[found.reasoned(BENDS)] = True
    if options.scheme == "complex" or not asked.any():
        return
    known = found.numeric.copy(), found.error.copy()
    own = Comparison.unjudged(found.tolerance, *known, asked, ~asked)
    with suppress(BudgetExhausted):
        noise = noise_of(problem, replace(options, eps=None))
        size = value_size(problem, found.analytic)
        steps = unevaluated(problem, noise, size=size)
        steps.step[:] = relative_step(STENCILS["central"], noise.sigma, size) * problem.scale
        other = case._replace(sweep=steps)
        for i in np.flatnonzero(_left_beside_alike(asked, own, other)).tolist():
            _refine_one(i, own, other)
    bar = np.fmax(found.error, np.abs(found.numeric - own.numeric) + own.error)
    can_not_tell = asked & found.tolerance.within(found.numeric, bar)
    for i in np.flatnonzero(asked & (can_not_tell | (own.verdict != OPEN))).tolist():
        if own.verdict[i] == DISAGREE or i in own.slopes:
            off = abs(found.numeric[i] - own.numeric[i])
            if i in own.slopes or not off <= CONFIDENCE * (found.error[i] + own.error[i]):
                found.numeric[i], found.error[i] = own.numeric[i], own.error[i]
            found.verdict[i] = own.verdict[i]
            found.reasons.pop(i, None)
        else:
            found.error[i], found.reasons[i], found.verdict[i] = bar[i], BENDS, OPEN
        if i in own.slopes:
            found.slopes[i], found.reasons[i] = own.slopes[i], KINK


def _claims_little(analytic: Array, scale: Array, little: Any, largest: Any = None) -> Array:
    """Return where an entry that can't be resolved may be passed for what it is worth (bool)."""
    # Beside parameters of size 1, one of 1e-38 moves nothing, whatever its gradient is: no step
    # comes near the size of the others, and so its gradient must be small at that size, too. Of
    # several blocks `largest` is the largest scale in each, as one number for each coordinate.
    largest = np.minimum(np.max(scale, initial=0.0) if largest is None else largest, 1.0)
    found: Array = (scale * FARTHEST >= largest) | (np.abs(analytic) * largest <= little)
    return found


def conclude(
    found: Comparison, scale: Array, blocks: Sequence[Block], options: Options, value: float
) -> None:
    """Leave open what agrees but was not resolved; mark as agreeing what is resolved after all."""
    # `value` is how large func's values and their changes over a parameter's scale are: what a
    # gradient that is zero is small beside.
    analytic, limits = found.analytic, found.tolerance
    bar = CONFIDENCE * found.reach
    sizes = block_sizes(found.numeric, scale, blocks)
    everything = max([value, *sizes])
    with np.errstate(all="ignore"):
        # Zero but for rounding: a bias before a batch normalisation has 1e-17 on both sides, and
        # at a stationary point terms cancel that are as large as curvature times parameter.
        dust = np.maximum(limits.dust, DUST * EPS * everything / scale)
        nothing = np.abs(analytic) <= np.maximum(bar, dust) + limits.atol
        little = IN_CHECK * everything
        zero = nothing & (bar * scale <= little) & _claims_little(analytic, scale, little)
        resolved = limits.settled(found.numeric, found.reach)
        if options.rtol is None:
            resolved |= bar <= COARSEST_RTOL * limits.size(found.numeric)
            own = IN_BLOCK * each_of(sizes, blocks)
            largest = each_of(largest_of(scale, blocks), blocks)
            resolved |= _claims_little(analytic, scale, own, largest) & (bar * scale <= own)
    resolved |= zero
    unjudged = (found.verdict != DISAGREE) & np.isfinite(found.error)
    unjudged[found.reasoned(BENDS, EXHAUSTED, JUMP, NOT_SMOOTH)] = False
    change = unjudged & found.within() & ~found.kinked
    found.verdict[change & resolved] = AGREE
    found.verdict[change & ~resolved] = OPEN
    for i in [i for i in found.reasons if found.verdict[i] == AGREE and i not in found.slopes]:
        del found.reasons[i]
