"""Differencing every coordinate, with one formula or by the complex step.

The complex step, f'(x) = Im f(x + ih)/h + O(h²) with h so small that h² is nothing, takes one
evaluation for each coordinate, with no subtraction and no noise (W. Squire and G. Trapp, SIAM
Review 40, 1998).  func must be analytic in its parameters as it is written: no abs, no conjugate,
no comparison, and nothing that drops an imaginary part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from .._constants import (
    ANALYTIC_BEND,
    ANALYTIC_LEAST,
    ANALYTIC_WITHIN,
    BEND_CLEAR,
    BEND_GAIN,
    BEND_PART,
    KEPT_TO_ASK,
    LEAST_BAR,
    LEAST_STEP_ULPS,
    MOST_FIXED_NOISE,
    NEAR_ESTIMATE,
    NOISE_SAMPLES,
    NOISE_SPACING,
    RATIO,
    RESPONDS,
    ROUNDING_FACTOR,
    VANISHES,
)
from .._evaluate.evaluator import BudgetExhausted, Evaluator
from .._evaluate.problem import Analytic, Problem
from .._options import Options
from .._params.arrays_and_structure import CHUNK, Array, flatten
from .._params.layout import LEAST_SCALE, labels, middle, narrow, offsets_in, position_of
from .._params.work_copy import WorkCopy
from .._quoting import brief
from .noise_and_extrapolation import Line, Noise, best_entry, from_values, measured
from .stencils_and_steps import (
    STENCILS,
    Stencil,
    Stream,
    derivatives,
    points,
    random_weights,
    relative_step,
    sample,
)


@dataclass(frozen=True, eq=False)
class Sweep:
    """Two (or more) evaluations of every coordinate, and what they say of its derivative; (n,).

    NaN and infinity in `numeric` and `error`, and 0 in `step`, where nothing was evaluated. `bent`:
    the slopes to both sides differ by more than noise and a smooth func explain; `flat`: func did
    not respond at all; `still`: nor is known to do so to a large step. `pairs`, shape (n, 2), is
    func at +h and −h, where the row has them, `ends` their steps; `largest` the largest |J| seen,
    `change` by how much J changed at most. `size` is V (see `value_size`), 0 where it is not known.
    """

    numeric: Array
    error: Array
    noise: Noise
    step: Array
    bent: Array
    flat: Array
    still: Array
    pairs: Array
    ends: Array
    largest: Array
    change: Array
    title: str = ""
    size: float = 0.0


def unevaluated(
    problem: Problem, noise: Noise | None = None, title: str = "", size: float = 0.0
) -> Sweep:
    """Return a sweep in which no coordinate was evaluated yet."""
    n = problem.size
    return Sweep(
        np.full(n, np.nan),
        np.full(n, np.inf),
        noise or from_values(np.array([problem.center]), problem.jitter, problem.evaluator.narrow),
        np.zeros(n),
        np.zeros(n, dtype=bool),
        np.zeros(n, dtype=bool),
        np.zeros(n, dtype=bool),
        np.full((n, 2), np.nan, dtype=problem.evaluator.kind),
        np.zeros((n, 2)),
        np.zeros(n),
        np.zeros(n),
        title,
        size,
    )


def noise_of(problem: Problem, options: Options, shift: Array | None = None) -> Noise:
    """Measure func's noise along one random direction; by its format alone for a given step."""
    # `shift` is the direction where it is known already.
    if options.eps is not None or problem.size == 0:
        center = np.array([problem.center], dtype=problem.evaluator.kind)
        return from_values(center, problem.jitter, problem.evaluator.narrow)
    shift = noise_direction(problem, options.seed) if shift is None else shift
    noise, seen = measured(
        lambda steps: problem.evaluator.along(shift, steps),
        problem.center,
        problem.jitter,
        problem.evaluator.narrow,
    )
    if narrow(problem.blocks):
        return noise  # no parameter moves by so little
    first, *values = seen[:NOISE_SAMPLES].tolist()
    loud, steps = math.sqrt(2.0) * noise.sigma, range(NOISE_SAMPLES - 1, 0, -2)
    apart = [(NOISE_SPACING * k, float(values[k - 1] - first)) for k in steps]
    rungs = [(h, change / h, loud / h) for h, change in apart]
    slope = best_entry(rungs, even=False)
    return noise.sloping(noise.sigma, slope.known, shift)


def noise_beside(problem: Problem, options: Options) -> Noise:
    """Return func's noise by two values beside θ alone, and what it slopes by between them."""
    # One second difference tells no more than the order of magnitude: what is believed by such
    # noise must be confirmed by more than that.
    shift = noise_direction(problem, options.seed)
    h, center = NOISE_SPACING * (NOISE_SAMPLES - 1), problem.center
    up, down = problem.evaluator.along(shift, (h, -h))
    values = np.array([center, up, down], dtype=problem.evaluator.kind)
    noise = from_values(values, problem.jitter, problem.evaluator.narrow)
    sigma = max(noise.sigma, abs(float((up - center) + (down - center))) / BEND_GAIN)
    slope = float(up - down) / (2 * h), ROUNDING_FACTOR * sigma / (math.sqrt(2.0) * h)
    return noise.sloping(sigma, slope, shift)


def noise_direction(problem: Problem, seed: int) -> Array:
    """Return the direction along which the noise of func is measured, shape (n,)."""
    problem.scaling  # noqa: B018 - it takes a vector to find, so before the next one is made
    shift = random_weights(problem.size, seed, Stream.NOISE)
    for here, theta, scaling in problem.windows():
        # By their own size, where steps go by scales: a parameter of 1e-12 has a domain of its own.
        own = np.abs(theta).astype(np.float64, copy=False)
        if np.count_nonzero(own) < own.size:
            np.copyto(own, scaling.at_zero, where=own == 0)
        shift[here] *= np.minimum(np.maximum(own, LEAST_SCALE), 1e300)
    return shift


def value_size(problem: Problem, analytic: Array | None) -> float:
    """Return V, the size of func's values near θ: |J|, or what a step of size s changes it by."""
    # J may be zero by cancellation; the median of the analytic entries then tells what its terms
    # are like, and a few wrong ones among them do not change it.
    sizes = [abs(float(problem.center))]
    if analytic is not None:
        product = _by_scale(problem, analytic)
        counts = (product > 0) & (product < math.inf)
        product = product if np.count_nonzero(counts) == product.size else product[counts]
        if product.size:
            sizes.append(middle(product))
    return max(sizes)


def _by_scale(problem: Problem, analytic: Array) -> Array:
    """Return |a|·s."""
    if problem.size <= CHUNK:
        with np.errstate(over="ignore"):
            return np.asarray(np.abs(analytic * problem.scale), dtype=np.float64)
    product: Array = np.empty(problem.size)
    with np.errstate(over="ignore"):
        for here, theta, scaling in problem.windows():
            product[here] = np.abs(analytic[here] * scaling.of(theta))
    return product


@np.errstate(all="ignore")
def sweep(
    problem: Problem,
    row: Stencil,
    noise: Noise,
    options: Options,
    size: float,
    chosen: Sequence[Array] | None = None,
    relative: float | None = None,
) -> Sweep:
    """Difference every coordinate with one formula; with ``eps`` at that step, exactly."""
    # `size` is V, as from `value_size`; `chosen` are coordinates of each block, unset all;
    # `relative` the step in parts of the scales, unset the one that suits noise and size.
    fixed = options.eps is not None
    if relative is None:
        relative = relative_step(row, noise.sigma, size)
    evaluator, center, each = problem.evaluator, problem.center, len(row.steps)
    progress, theta = evaluator.progress, evaluator.work.theta
    count = problem.size if chosen is None else sum(which.size for which in chosen)
    gain = ROUNDING_FACTOR * row.noise_gain * noise.sigma
    every: list[_Laid] = []

    def so_far(found: Sequence[Any] | Array) -> tuple[Array, Array, Array]:
        places, slopes, steps = [np.empty(0, dtype=np.intp)], [np.empty(0)], [np.empty(0)]
        for one in every:
            known = one.known
            if one is every[-1] and len(found) >= each:
                known += len(found) // each
                more = np.reshape(found[: each * (known - one.known)], (-1, each))
                one.values[one.known : known] = more
            places.append(one.place[:known])
            steps.append(one.taken[:known])
            slopes.append(derivatives(one.values[:known], center, row, one.taken[:known]))
        return np.concatenate(places), np.concatenate(slopes), gain / np.concatenate(steps)

    progress.plan(each * count, so_far)
    # Small blocks are many: what is computed is so for all of one type at once.
    for _, same in groupby(range(len(theta)), lambda position: theta[position].dtype):
        positions = list(same)
        which = [np.arange(theta[k].size) if chosen is None else chosen[k] for k in positions]
        laid = _laid_out(problem, positions, which, row, options, relative)
        every.append(laid)
        with evaluator.quietly() if len(positions) > 1 else nullcontext():
            for position, own in zip(positions, which, strict=True):
                if own.size:
                    part = slice(laid.known, laid.known + own.size)
                    progress.whole = own.size
                    laid.values[part] = evaluator.sweep(position, own.tolist(), laid.points[part])
                    progress.whole = 0
                    laid.known = part.stop
    result = _recorded(every, problem, noise, row, size)
    known = slice(None) if chosen is None else np.flatnonzero(result.step > 0)
    if fixed:
        result = replace(result, noise=_noise_at_fixed_step(result, problem))
    _set_error_bars(result, known, problem, row, fixed=fixed)
    return result


@dataclass
class _Laid:
    """Coordinates of one type, at `place` in the vector, and func at their `points`, (k, each).

    `taken`, shape (k,), are the steps to divide by; the first `known` rows of `values` are known.
    `here` is `place`, as a slice where it is one.
    """

    place: Array
    here: Any
    theta: Array
    points: Array
    taken: Array
    values: Array
    known: int = 0


def _laid_out(
    problem: Problem,
    positions: Sequence[int],
    which: Sequence[Array],
    row: Stencil,
    options: Options,
    relative: float,
) -> _Laid:
    """Choose the points for the coordinates `which` of each block at some positions, all alike."""
    blocks, fixed = [problem.blocks[k] for k in positions], options.eps is not None
    place = np.concatenate([b.start + own for b, own in zip(blocks, which, strict=True)])
    # All of a run of blocks are a window, which is not copied.
    whole = place.size == blocks[-1].stop - blocks[0].start
    here = slice(blocks[0].start, blocks[-1].stop) if whole else place
    theta = problem.theta[here].astype(problem.evaluator.work.theta[positions[0]].dtype, copy=False)
    step = np.full(place.size, options.eps) if fixed else relative * problem.scale[here]
    at, taken = points(theta, step, row, exact=fixed)
    lost = np.flatnonzero((at == theta[:, None]).any(axis=1)) if fixed else ()
    for k in lost[:1]:
        raise ValueError(
            f"eps={options.eps:g} is too small for {brief(labels(blocks)(int(place[k])))} = "
            f"{theta[k]!s}, which does not change by it; pass a larger eps, or none: a step is "
            "then chosen for each parameter"
        )
    return _Laid(place, here, theta, at, taken, np.empty(at.shape, problem.evaluator.kind))


def _recorded(
    every: Sequence[_Laid], problem: Problem, noise: Noise, row: Stencil, size: float
) -> Sweep:
    """Return a sweep of what was evaluated, whose error bars are still to be set."""
    made = [_columns(laid, problem.center, row) for laid in every]
    n, doubles = problem.size, {np.dtype(np.float64)}
    if len(every) == 1 and every[0].taken.size == n:
        laid = every[0]
        if {laid.values.dtype, laid.taken.dtype} == doubles:  # nearly always: nothing is copied
            bent, still = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
            beside = {"error": np.empty(n), "bent": bent, "still": still}
            return Sweep(noise=noise, title=row.title, size=size, **beside, **made[0])
    result = unevaluated(problem, noise, row.title, size)
    for laid, columns in zip(every, made, strict=True):
        for name, column in columns.items():
            getattr(result, name)[laid.here] = column
    return result


def _columns(laid: _Laid, center: Any, row: Stencil) -> dict[str, Array]:
    """Turn values into derivatives, and what their error bars are made from, by `Sweep`'s names."""
    values, change = laid.values, np.abs(laid.values - center)
    change = np.maximum.reduce(change, axis=1)
    if row.pair is None:
        pairs, ends = np.full((len(values), 2), np.nan), np.zeros((len(values), 2))
    else:
        wide = np.promote_types(laid.theta.dtype, np.float64)
        pairs, ends = values[:, row.pair], laid.points[:, row.pair].astype(wide, copy=False)
        ends = ends - laid.theta.astype(wide, copy=False)[:, None]
    return {
        "numeric": derivatives(values, center, row, laid.taken),
        "step": laid.taken,
        "flat": change == 0,
        "pairs": pairs,
        "ends": ends,
        "largest": np.maximum.reduce(np.abs(values), axis=1),
        "change": change,
    }


def bends(result: Sweep, center: Any, which: Any) -> Array:
    """Return |f(θ + h) − 2f(θ) + f(θ − h)|: noise, and h²·f'' or a kink; NaN where unknown."""
    up, down = result.pairs[which, 0] - center, result.pairs[which, 1] - center
    bend: Array = np.abs(up + down).astype(np.float64)
    return bend


def _noise_at_fixed_step(result: Sweep, problem: Problem) -> Noise:
    """Return the noise that the second differences show, at no further evaluation."""
    # They hold curvature too, so what they show is too large for large steps, and is capped.
    seen, center = result.step > 0, problem.center
    values = np.concatenate([np.array([center]), result.pairs[seen].ravel()])
    base = from_values(values, 0.0, problem.evaluator.narrow)
    bend = bends(result, center, np.flatnonzero(seen & ~result.flat))
    bend = bend[np.isfinite(bend)]
    # 2.45 σ is the standard deviation of a bend.  Not their median: rounding comes in few large
    # jumps where func loses digits, as log(1 - a) does for a near 1.
    shown = float(np.sqrt(np.mean(bend**2))) / BEND_GAIN if bend.size else 0.0
    return replace(
        base, sigma=max(base.sigma, result.noise.sigma, min(shown, MOST_FIXED_NOISE * base.sigma))
    )


def _set_error_bars(
    result: Sweep, which: Any, problem: Problem, row: Stencil, *, fixed: bool
) -> None:
    center = problem.center
    numeric, taken = result.numeric[which], result.step[which]
    largest, size = np.maximum(result.largest[which], abs(float(center))), np.abs(numeric)
    sigma = result.noise.at(largest)
    error = ROUNDING_FACTOR * row.noise_gain * sigma / taken + LEAST_BAR * size
    if fixed:
        # Nothing but the given step may be evaluated, so truncation is guessed from its
        # size, and so is the rounding of θ ± eps, which is divided by eps as given.
        grain = np.spacing(np.abs(problem.theta[which]) + taken).astype(np.float64)
        guess = (row.reach * taken / problem.scale[which]) ** row.order + grain / taken
        error = error + guess * size
    result.error[which] = np.where(np.isfinite(numeric), error, np.inf)
    bent = np.maximum(BEND_CLEAR * BEND_GAIN * sigma, BEND_PART * size * taken)
    result.bent[which] = bends(result, center, which) > bent


Steps = Sequence[float]


def line_of(problem: Problem, coordinate: int, noise: Noise, seeded: Sweep | None = None) -> Line:
    """Return one coordinate as a function of one variable, with the sweep's rung if any."""
    # Where an evaluator keeps its values, other questions ask for those of the coordinate's grid,
    # too: steps are moved onto it, but no two onto one.
    evaluator, position = problem.evaluator, position_of(problem.blocks, coordinate)
    offset = coordinate - problem.blocks[position].start
    theta = evaluator.work.theta[position][offset]
    wide, least = np.result_type(theta.dtype, np.float64), least_step(problem, coordinate)
    base = float(seeded.step[coordinate]) if seeded is not None and evaluator.keeps else 0.0
    taken = {0}

    def on_grid(steps: Steps) -> Steps:
        if len(steps) != 2 or not base > 0:
            return steps
        number = round(math.log(abs(steps[0]) / base) / math.log(RATIO))
        h = base * RATIO**number
        if number in taken or h < least:
            return steps
        taken.add(number)
        return (h, -h)

    def evaluate(steps: Steps) -> tuple[Steps, Sequence[Any]]:
        to = (theta.astype(wide) + np.array(on_grid(steps), dtype=wide)).astype(theta.dtype)
        values = evaluator.sweep(position, [offset], to[None, :])[0]
        return [float(t) for t in to.astype(wide) - theta.astype(wide)], tuple(values)

    new = Line(evaluate, problem.center, noise, float(np.spacing(np.abs(theta))))
    new.reach = float(problem.scaling.at_zero[position])
    if seeded is not None and seeded.ends[coordinate].all():
        up, down = seeded.ends[coordinate].tolist()
        new.record((up, down), tuple(seeded.pairs[coordinate]))
    return new


def line_along(problem: Problem, shift: Array, noise: Noise) -> Line:
    """Return func along a direction over all parameters, shape (n,), as one of one variable."""

    def evaluate(steps: Steps) -> tuple[Steps, Sequence[Any]]:
        return steps, tuple(problem.evaluator.along(shift, steps))

    return Line(evaluate, problem.center, noise)


def least_step(problem: Problem, coordinate: int) -> float:
    """Return the smallest step worth taking: some units in the last place of the parameter."""
    position = position_of(problem.blocks, coordinate)
    block = problem.blocks[position]
    theta = problem.evaluator.work.theta[position][coordinate - block.start]
    return LEAST_STEP_ULPS * float(np.spacing(np.abs(theta)))


def central_row(options: Options) -> Stencil:
    """Return the row that the sweep uses; the complex step has a stage of its own."""
    return STENCILS.get(options.scheme, STENCILS["central"])


STEP = 1e-20
"""In parts of the parameter's scale: its square is below the smallest rounding of anything."""

NOT_REAL = (
    'gradcheck: func got complex parameters, because of scheme="complex"; use "central" if it '
    "can't take them"
)


def complex_sweep(problem: Problem, options: Options) -> Sweep:
    """Difference every coordinate by the complex step; ``eps`` given: that step."""
    # TypeError when a parameter is complex already or perturbed in place, or func's value for
    # complex parameters is real or no number.
    evaluator = _imaginary(problem)
    noise = from_values(np.array([problem.center]), problem.jitter)
    found = unevaluated(problem, noise, "complex step")
    left = problem.size
    if options.max_evals is not None:
        left = max(options.max_evals - evaluator.evaluations, 0)
    picked = sample(problem.size, left, options.seed)

    def so_far(_: Any) -> tuple[Array, Array, Any]:
        done = np.flatnonzero(found.step)
        return done, found.numeric[done], 0.0

    evaluator.progress.plan(picked.size, so_far)
    for position, own in enumerate(offsets_in(problem.blocks, picked)):
        place = problem.blocks[position].start + own
        h = STEP * problem.scale[place] if options.eps is None else np.full(own.size, options.eps)
        try:
            out = evaluator.sweep(position, (2 * own + 1).tolist(), h[:, None])[:, 0]
            if evaluator.domain_error is not None:
                raise evaluator.domain_error  # no step is so small that it leaves a domain
        except Exception as error:
            error.add_note(NOT_REAL)
            raise
        found.numeric[place] = out / h
        found.error[place] = 4 * LEAST_BAR * np.abs(out / h)
        found.step[place] = h
        found.flat[place] = out == 0
        found.change[place] = np.where(out == 0, 0.0, np.inf)
    evaluator.work.require_unchanged("func")
    return found


NOT_ANALYTIC = (
    "the complex step and a real difference disagree: func is not analytic as it is written (conj, "
    'vdot, real, abs, ...); use scheme="central"'
)


def not_analytic(problem: Problem, found: Sweep, options: Options) -> str:
    """Return the sentence that says that the complex step does not hold for func, or nothing."""
    # A real difference along a random direction tells. One that denies is asked for once more, at
    # a larger step, before it is believed: what is missing is there, too, and just as large.
    seen = found.step > 0
    shift = np.where(seen, random_weights(problem.size, options.seed, Stream.ANALYTIC), 0.0)
    shift *= problem.scale
    with np.errstate(all="ignore"):
        terms = np.where(seen, found.numeric * shift, 0.0)
    told, size = float(terms.sum()), float(np.abs(terms).sum())
    sigma, center = found.noise.sigma, problem.center
    h = relative_step(STENCILS["central"], sigma, max(abs(float(center)), size))
    missing, plain = list[float](), True
    for step in (h, RATIO**3 * h):
        try:
            up, down = problem.evaluator.along(shift, (step, -step))
        except BudgetExhausted:
            return ""
        change, bend = max(abs(up - center), abs(down - center)), abs(up - center + (down - center))
        if change > RESPONDS * sigma:
            found.change[seen] = np.inf
        missing.append(float((up - down) / (2 * step)) - told)
        beyond = abs(missing[-1]) - (ROUNDING_FACTOR * sigma + ANALYTIC_BEND * bend) / step
        if not beyond > ANALYTIC_LEAST * size:  # of a step outside func's domain nothing is known
            return ""
        plain = plain and beyond > ANALYTIC_WITHIN * size
    first, last = missing
    alike = abs(first - last) <= NEAR_ESTIMATE * abs(first)
    return NOT_ANALYTIC if alike or plain else ""


def _imaginary(problem: Problem) -> Evaluator:
    """Return what evaluates Im J at complex parameters: an imaginary part is every other one."""
    work = problem.evaluator.work
    for block in problem.blocks:
        if block.is_complex:
            raise TypeError(
                f'scheme="complex": {brief(block.name)} is complex already; use "central"'
            )
    if work.in_place:
        raise TypeError(
            'scheme="complex": real arrays can\'t be perturbed in place by an imaginary step'
        )
    values = list(work.values)
    for block in problem.blocks:
        value = values[block.leaf]
        is_array = problem.structure.leaves[block.leaf].is_array
        values[block.leaf] = np.array(value, dtype=complex) if is_array else complex(value)
    structure = flatten(problem.structure.rebuild(values))
    blocks = [replace(block, is_complex=True) for block in problem.blocks]
    call = replace(problem.numeric, read=_imaginary_part)
    return Evaluator(call, WorkCopy(structure, blocks), problem.evaluator.progress)


def _imaginary_part(value: Any) -> float:
    out = np.asarray(value)
    if out.size != 1 or out.dtype.kind != "c":
        raise TypeError(
            f'scheme="complex": func returned {out.dtype} of shape {out.shape} for complex '
            "parameters; it must return one complex number (something in it drops the imaginary "
            'part), or use "central"'
        )
    return float(out.reshape(()).imag)


def differenced(
    problem: Problem, analytic: Analytic | None, options: Options, noise: Noise | None = None
) -> Sweep:
    """Difference every coordinate, or, when max_evals allows no more, a sample of them."""
    # `noise` is func's, where it was measured before.
    if options.scheme == "complex":
        return complex_sweep(problem, options)
    row = central_row(options)
    try:
        noise = noise or noise_of(problem, options)
    except BudgetExhausted:
        noise = from_values(np.array([problem.center]), problem.jitter)
    each = len(row.steps)
    chosen = None
    if options.max_evals is not None:
        left = max(options.max_evals - problem.evaluator.evaluations, 0)
        if left < each * problem.size:
            # Some are kept for asking again, or what looks wrong could never be confirmed.
            picked = sample(problem.size, int((1 - KEPT_TO_ASK) * left) // each, options.seed)
            chosen = offsets_in(problem.blocks, picked)
    size = value_size(problem, analytic.vector if analytic else None)
    found = sweep(problem, row, noise, options, size, chosen)
    if analytic is None and options.eps is None and size:
        # J may vanish but for rounding, and the step was chosen for values of that size.
        told = value_size(problem, found.numeric)
        if size < VANISHES * told:
            found = sweep(problem, row, noise, options, told, chosen)
    return found


def raise_domain_error(problem: Problem) -> None:
    """Raise what func raised near θ, if it did, when no step was inside its domain."""
    error = problem.evaluator.domain_error
    if error is not None:
        error.add_note("gradcheck: raised by func at every step from the parameters that was tried")
        raise error
