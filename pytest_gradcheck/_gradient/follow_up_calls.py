"""What func and grad are asked after a check failed: what grad remembers, and its lines.

Does grad remember what was evaluated before?  A backward pass that reads what a forward pass left
behind is right only where both saw the same parameters.  So grad is called at θ again, after func
was evaluated elsewhere, and after grad was.  And one block is moved at a time: a gradient that
stays the same, bit for bit, where the numeric one does not, was computed from something that did
not follow, or leaves out what would.

Does func read some blocks only through others?  The order of a dict is not the order of layers:
three blocks that have nothing to do with each other, two of them wrong, look like a backward pass
that goes wrong behind the third.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.linalg import norm

from .._constants import (
    AWAY,
    BEND_CLEAR,
    CHANGE_STEP,
    CHANGED,
    CONFIDENCE,
    DRAWN_STEPS,
    ENTRY_ROUNDINGS,
    EPS,
    FAR_ABOVE_NOISE,
    GRADIENT_REPEATS_WITHIN,
    LARGEST_DRAWN,
    LOUD_CHANGE,
    MENDED,
    MOST_MOVED,
    PATIENCE,
    RESPONDS,
)
from .._diagnosis.evidence_and_places import CERTAIN, Diagnosis
from .._difference.every_coordinate import Sweep, least_step, line_of
from .._difference.stencils_and_steps import Stream, at_one_step, by_another_formula, random_weights
from .._evaluate.problem import Analytic, Problem, work_of_grad
from .._options import Options
from .._params.arrays_and_structure import Array
from .._params.layout import Block, coordinate_of, gradient_vector
from .._quoting import layer_numbers, together
from .._report.assemble import Rows
from .._report.report import VERDICTS, BlockReport
from .._source.lines import SourceLine, lines_of, placed_by, with_repairs
from .._source.repairs import Outcome, repairs
from .._source.trace import run_by, traced
from .._verdict.tolerance_and_comparison import AGREE, DISAGREE, Evidence

UNSURE = ("backward", "slice", "entry", "mask", "approximate")
"""Codes that say where or how much, not what: a cache may be behind them."""

CACHE = "reads what an earlier call left behind (a stale cache)"


def experiments(
    rows: Rows, grad: Any, problem: Problem, analytic: Analytic, options: Options, noise: float
) -> Diagnosis | None:
    """Return a diagnosis if a check failed and grad depends on what was evaluated before."""
    # Only a grad that can be called can remember anything; `noise` is that of func.
    wrong = rows.verdict == DISAGREE
    if not callable(grad) or not (wrong or rows.reasons):
        return None
    if not np.isfinite(analytic.vector).all():
        return None
    if problem.unrepeated:
        return Diagnosis("noise", problem.unrepeated, (), CERTAIN)
    if not wrong and not analytic.unrepeated:
        return None
    known = any(diagnosis.code not in UNSURE for diagnosis in rows.diagnoses)
    try:
        return _experiment(known, problem, analytic, options, noise)
    except Exception:  # grad may refuse elsewhere in any way it likes, and the check is done
        return None


def _experiment(
    known: bool, problem: Problem, analytic: Analytic, options: Options, noise: float
) -> Diagnosis | None:
    blocks, gradient = problem.blocks, analytic.at
    assert gradient is not None
    if analytic.unrepeated:
        return _repeats(gradient(), gradient(), analytic)
    if known or at_one_step(options):
        return None
    away = AWAY * random_weights(problem.size, options.seed, Stream.STALE_POINT) * problem.scale
    gradient()  # what grad remembers of its own calls is of θ now
    problem.evaluator.along(away, (1.0,))
    after_func = gradient()
    gradient(away)
    for vector, what in ((after_func, "func"), (gradient(), "grad")):
        changed = _names(blocks, _differs(vector, analytic))
        if changed:
            sentence = (
                f"grad in {together(changed)} changed at the same parameters after {what} was "
                f"called at others: it {CACHE}"
            )
            return Diagnosis("stale", sentence, changed, CERTAIN)
    return _unseen(gradient, problem, analytic, away, options, noise)


def _repeats(third: Array, fourth: Array, analytic: Analytic) -> Diagnosis:
    """Tell a gradient that settles, or adds up, from one that is random."""
    if not _differs(fourth, replace(analytic, vector=third, jitter=0.0)).any():
        return Diagnosis("stale", f"{analytic.unrepeated}: it {CACHE}", (), CERTAIN)
    if not _differs(fourth - third, replace(analytic, jitter=0.0)).any():
        return Diagnosis(
            "stale", f"{analytic.unrepeated}: it adds to what the call before left", (), CERTAIN
        )
    return Diagnosis("noise", analytic.unrepeated, (), CERTAIN)


def _unseen(
    gradient: Callable[[Array], Array],
    problem: Problem,
    analytic: Analytic,
    away: Array,
    options: Options,
    noise: float,
) -> Diagnosis | None:
    """Name the blocks that the gradient does not follow."""
    unseen = []
    along = random_weights(problem.size, options.seed, Stream.STALE_DIRECTION) * problem.scale
    for block in problem.blocks[:MOST_MOVED]:
        shift = np.zeros(problem.size)
        shift[block.window] = away[block.window]
        same = block.size > 0 and np.array_equal(gradient(shift), analytic.vector)
        if same and _changes(problem, along, shift, noise):
            unseen.append(block.name)
    if not unseen or not np.any(analytic.vector):
        return None
    names = tuple(unseen)
    sentence = (
        f"grad stays the same, bit for bit, at another {together(names)}, and numeric does not: "
        f"it leaves out a term or a factor, or {CACHE}"
    )
    return Diagnosis("stale", sentence, names, CERTAIN)


def _changes(problem: Problem, along: Array, shift: Array, sigma: float) -> bool:
    """Return whether the derivative along a direction is another one after a shift."""
    ends = [
        float(problem.evaluator.along(base * shift + sign * CHANGE_STEP * along, (1.0,))[0])
        for base in (0.0, 1.0)
        for sign in (1.0, -1.0)
    ]
    here, there = ends[0] - ends[1], ends[2] - ends[3]
    noise = max(ENTRY_ROUNDINGS * EPS * max(map(abs, ends)), problem.jitter, BEND_CLEAR * sigma)
    allowed = CHANGED * max(abs(here), abs(there)) + LOUD_CHANGE * noise
    return bool(abs(here - there) > allowed)


def _differs(vector: Array, analytic: Analytic) -> Array:
    """Return where a gradient at θ is not what it was (bool)."""
    size = float(np.abs(analytic.vector).max(initial=0.0))
    narrow = ENTRY_ROUNDINGS * max(analytic.precision, default=0.0)
    gap = np.abs(vector - analytic.vector)
    allowed = max(GRADIENT_REPEATS_WITHIN, narrow) * size + LOUD_CHANGE * analytic.jitter
    differs: Array = ~(gap <= allowed)
    return differs


def _names(blocks: Sequence[Block], which: Array) -> tuple[str, ...]:
    return tuple(block.name for block in blocks if which[block.window].any())


_POSITION = re.compile(r"params\[\d+\]")


def acts_through(
    problem: Problem, options: Options, noise: float, before: Sequence[str], behind: Sequence[str]
) -> bool:
    """Return whether the blocks `before` act on func through those `behind`."""
    # They do when func no longer depends on them where those behind are zero. Where a way past them
    # is left (a residual connection, weight decay), or func is not defined there, they do when
    # their names number the layers and each of them acts together with those behind. Takes 3
    # evaluations, or 4 and 2 for each block before; none where a given step promises how many.
    if at_one_step(options):
        return False
    asked = _Asked(problem, noise, options.seed)
    if asked.blocked(before, behind):
        return True
    # Numbers that are merely positions in one list are none of layers.
    numbered = all(layer_numbers(x) and not _POSITION.fullmatch(x) for x in (*before, *behind))
    return numbered and asked.together(before, behind)


class _Asked:
    """Values of func where some blocks are moved, and others are zero."""

    def __init__(self, problem: Problem, noise: float, seed: int) -> None:
        self.problem = problem
        self.windows = {block.name: block.window for block in problem.blocks}
        self.away = AWAY * random_weights(problem.size, seed, Stream.MOVED_BLOCKS) * problem.scale
        self.center = float(problem.center)
        self.noise = max(float(problem.jitter), BEND_CLEAR * noise)

    def value(self, moved: Sequence[str], zero: Sequence[str] = ()) -> float:
        shift = np.zeros(self.problem.size)
        for name in moved:
            shift[self.windows[name]] = self.away[self.windows[name]]
        for name in zero:
            shift[self.windows[name]] = -self.problem.theta[self.windows[name]]
        try:
            return float(self.problem.evaluator.along(shift, (1.0,))[0])
        except Exception:  # func may refuse there in any way it likes, and the check is done
            return math.nan

    def loud(self, *values: float) -> float:
        """Return the noise of a difference of values."""
        return self.noise + ENTRY_ROUNDINGS * EPS * max(map(abs, values))

    def blocked(self, before: Sequence[str], behind: Sequence[str]) -> bool:
        """Return whether func does not see `before` while all of `behind` are zero."""
        one, other = self.value((), behind), self.value(before, behind)
        here = self.value(before) - self.center
        loud = self.loud(one, other, here)
        return abs(one - other) <= loud and abs(here) > FAR_ABOVE_NOISE * loud

    def together(self, before: Sequence[str], behind: Sequence[str]) -> bool:
        """Return whether moving `behind` changes what moving each one of `before` does."""
        base = self.value(behind)
        for name in before:
            alone, both = self.value((name,)), self.value((name, *behind))
            here, there = alone - self.center, both - base
            allowed = CHANGED * max(abs(here), abs(there)) + self.loud(alone, both, base)
            if not allowed < abs(here - there) < math.inf:
                return False
        return True


def with_convergence(rows: Rows, problem: Problem, sweep: Sweep, options: Options) -> Rows:
    """Return what was found with differences at many steps for the parameter that is worst."""
    # Two or three steps were enough to judge it: too few for a picture in which truncation and
    # rounding leave a valley between them. No verdict comes of it, and a func that is slow, or
    # whose evaluations are promised, is not asked.
    asked = by_another_formula(options) or options.max_evals is not None
    lasts = 2 * DRAWN_STEPS * problem.evaluator.seconds > PATIENCE
    evidence = rows.evidence
    if evidence is None or not evidence.ladders or rows.verdict != DISAGREE or asked or lasts:
        return rows
    wrong = (evidence.verdict == DISAGREE) & np.isfinite(evidence.analytic)
    worst = coordinate_of(problem.blocks, rows.worst[0].label)
    if worst is None or not wrong[worst]:
        return rows
    line, least = line_of(problem, worst, sweep.noise), least_step(problem, worst)
    for k in range(DRAWN_STEPS):
        h = LARGEST_DRAWN * 10.0**-k * float(problem.scale[worst])
        if least <= h < math.inf:
            # The verdict stands: a func that fails at a step of ours only costs a point.
            with suppress(Exception):
                line.add(h)
    seen = {*evidence.ladders.get(worst, ()), *line.differences()}
    others = {i: steps for i, steps in evidence.ladders.items() if i != worst}
    ladders = {worst: tuple(sorted(seen, reverse=True)), **others}
    return replace(rows, evidence=replace(evidence, ladders=ladders))


# Where in the user's code wrong numbers are made: grad is called once more, under a tracer.
#
# It is called after everything else, and only where a gradient is wrong.  What goes wrong here is
# nobody's concern: the check is done, and its report then names no lines.


def with_lines(rows: Rows, grad: Any, problem: Problem, options: Options) -> Rows:
    """Return what a check found with the lines that made what is wrong."""
    if not (callable(grad) or grad is True):
        return rows
    call, evaluator = problem.call, problem.evaluator
    found: list[Any] = []
    pair = call.on(evaluator.work, found)

    def beside() -> Any:  # func returns the gradient as well, and J stays what it is
        with evaluator.context():
            if evaluator.read(pair(evaluator.work.params)) != problem.center:
                raise ValueError("func returns another J")
        return found[0]

    def gradient() -> Any:
        with work_of_grad(problem) as work:
            return call.asked(grad, work)

    def vector(gradient: Any) -> Array:
        return gradient_vector(gradient, problem.structure, problem.blocks)[0]

    func = None if grad is True else call.func
    enters = any(diagnosis.code == "backward" for diagnosis in rows.diagnoses)
    call_grad = beside if grad is True else gradient
    user = None if options.repairs == "skip" else call.func if grad is True else grad
    lines = lines_behind(call_grad, func, problem, rows.blocks, rows.evidence, user, vector, enters)
    return replace(rows, lines=lines)


def lines_behind(
    call: Callable[[], Any],
    func: Callable[..., Any] | None,
    problem: Problem,
    blocks: Sequence[BlockReport],
    evidence: Evidence | None,
    user: Callable[..., Any] | None,
    vector: Callable[[Any], Array],
    enters: bool = False,
) -> tuple[SourceLine, ...]:
    """Return the lines that made the wrong ones of some blocks of what `call` returns."""
    # What `func` runs is right; `vector` makes of what `call` returns the analytic side of the
    # evidence. With `user`, the function that makes them, statements are changed until all blocks
    # agree. `enters`: the error enters a backward pass next to a right block.
    try:
        with problem.evaluator.quiet():
            value, seen = traced(call)
        wrong = {block.name: block.code for block in blocks if block.wrong}
        plain = [b for b in blocks if b.verdict == VERDICTS[AGREE] and not b.vacuous]
        right = [block.name for block in plain if 0 < block.size == block.checked]
        names = [block.name for block in blocks]
        last = max(map(names.index, wrong), default=0)
        after = next((name for name in right if names.index(name) > last), "") if enters else ""
        innocent = run_by(func) - placed_by(value, seen) if func is not None else set()
        if seen.over:
            return ()
        where: dict[str, Array] = {}
        if evidence is not None:
            parts = map(evidence.arrays, evidence.blocks)
            where = {n: part["verdict"] == DISAGREE for n, part in zip(names, parts, strict=True)}
        lines = lines_of(value, seen, wrong, right, innocent, after, where)
        found: list[SourceLine] = []
        # Where func answers to nothing, any factor of zero would agree.
        told = evidence is not None and np.any(
            (evidence.verdict == DISAGREE) & (abs(evidence.numeric) > evidence.error_bar)
        )
        if evidence is not None and user is not None and told:
            work = problem.evaluator.work
            roots = [user, problem.call.func, work.params, work.values, problem.call.args]
            with suppress(Exception), problem.evaluator.quiet():
                windows = {
                    name: block.window
                    for name, block in zip(names, evidence.blocks, strict=True)
                    if name in wrong
                }
                agrees = _agreeing(call, value, windows, evidence, vector)
                order = [(line.file, line.line) for line in lines]
                unchanged = partial(_func_repeats, problem)
                found = repairs(agrees, wrong, seen, order, innocent, roots, unchanged)
        return with_repairs(lines, found)
    except Exception:
        return ()


def _func_repeats(problem: Problem) -> bool:
    """Return whether func is what it was: a change to code that it runs as well may change J."""
    if problem.call.vectorized:
        return True
    evaluator = problem.evaluator
    with evaluator.context():
        value = evaluator.read(evaluator.call(evaluator.work.params))
    return bool(np.all(np.abs(value - problem.center) <= RESPONDS * problem.jitter))


def _agreeing(
    call: Callable[[], Any],
    gradient: Any,
    windows: Mapping[str, slice],
    evidence: Evidence,
    vector: Callable[[Any], Array],
) -> Callable[[], Outcome]:
    """Return what calls for a gradient, and tells what has become of the wrong blocks in it."""
    # A block is right where each coordinate is as near as would have passed, and little is left of
    # its error; none is where a coordinate that was right is wrong. ValueError if `gradient`, what
    # `call` returned, is not what the check had.
    bad = evidence.verdict == DISAGREE
    known = evidence.evaluated & np.isfinite(evidence.numeric)
    lack = evidence.numeric - evidence.analytic
    # Of a gradient that is 1e10 too large what would have passed is more than all of the right one.
    least = CONFIDENCE * evidence.error_bar + ENTRY_ROUNDINGS * EPS * np.abs(lack)
    left = {
        name: min(
            MENDED * norm(lack[window]),
            MENDED * norm(evidence.numeric[window]) + norm(least[window]),
        )
        for name, window in windows.items()
    }

    def right(change: Array) -> frozenset[str]:
        gap = np.abs(change - lack)
        near = ~known | (gap <= evidence.allowed)
        if not near[~bad].all():
            return frozenset()
        return frozenset(
            name
            for name, window in windows.items()
            if near[window].all() and norm(gap[window]) <= left[name]
        )

    def outcome() -> Outcome:
        change = vector(call()) - evidence.analytic
        moved = np.where(known & bad, change, 0.0)
        size = float(moved @ moved)
        if not 0.0 < size < np.inf:
            return Outcome(right(change))
        times = float(moved @ np.where(moved, lack, 0.0)) / size
        then = right(times * change)
        count = sum(int(np.count_nonzero(moved[windows[name]])) for name in then)
        return Outcome(right(change), times, then, count)

    if not np.array_equal(vector(gradient), evidence.analytic):
        raise ValueError("grad does not repeat itself")
    return outcome
