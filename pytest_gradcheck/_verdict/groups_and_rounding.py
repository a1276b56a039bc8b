"""What noise leaves open, told by groups of entries, and along lines that are quieter.

Single derivatives drown in the rounding of a func in float32, while that along a direction through
a whole block does not: it is larger by the root of the number of entries, and allows larger steps.
Each direction is a line with differences at several steps, extrapolated.  Where func has kinks
within the steps, differences change by what they cross, and directions cross different ones: no
direction is taken to be known better than that of its block that is known worst.

A block agrees when all of its directions do.  A wrong one is halved along its axes, as long as one
half is seen to be wrong and the other to be right.

Entries at one kink are judged together, too (`judge_ties`): each lies between its own two slopes,
and they are no subgradient together.  max at a tie has slopes 0 and 1 in each of the entries, and
yet (1, 1) is no subgradient of it.  What is one lies, along every direction d, between the two
one-sided derivatives: g·d does.  Along a direction in which the one-sided slopes of the entries
just add up their kinks are separate, and nothing follows.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from .._constants import (
    BESIDE_PAIRS,
    COARSEST_JUMP,
    COARSEST_RTOL,
    CONFIDENCE,
    EXHAUSTIVE,
    FAR_STEP,
    FARTHEST,
    FARTHEST_ALONG,
    FINE,
    FLOAT32,
    GRAD_ROUNDINGS,
    GROUP_DIRECTIONS,
    GROUP_GOAL,
    GROUP_PROOF,
    GROUP_RESOLVED,
    GROUP_STEPS,
    HALVED_GOAL,
    IN_BLOCK,
    IN_CHECK,
    KINKS_SPREAD,
    LEAST_ALONG,
    LEAST_TERM,
    LIMITING,
    LOUD_ALONG_OTHERS,
    LOUD_INSIDE,
    MOST_LOUD,
    MOST_SOUNDED,
    MOST_STILL,
    MOST_TIES,
    NARROW,
    NEAR_ESTIMATE,
    NEAR_LIMIT,
    NOISE_FARTHER,
    NOISE_FARTHEST,
    NOISE_WIDER,
    QUIETER_LINE,
    RATIO,
    RESPONDS,
    ROUNDING_FACTOR,
    ROUNDING_SIGMA,
    SEEN,
    SHOWN_BY,
    SLICE_ALONE,
    SLICE_ASKED,
    SLICE_CLEAR,
    SLICE_DIRECTIONS,
    SLICE_DOUBTED,
    SLICE_MOST,
    SLICE_MOST_OF,
    SLICE_PILOT,
    SLICE_SEEN,
    SLICE_SLICE,
    SLICE_SOUGHT,
    STAIR_BENDS,
    STILL,
    STILL_IN_16_BITS,
    TIE_SLOPE,
    TIE_WITHIN,
    WIDER_RATIO,
    WIDER_ROUNDINGS,
)
from .._difference.every_coordinate import Sweep, line_along, line_of, value_size
from .._difference.noise_and_extrapolation import Estimate, Line, Noise, digits_of
from .._difference.stencils_and_steps import STENCILS, Stream, random_weights, relative_step
from .._difference.step_search_and_kinks import Policy, climb, enter, rise
from .._evaluate.evaluator import BudgetExhausted
from .._evaluate.problem import Analytic, Problem
from .._options import Options
from .._params.arrays_and_structure import Array
from .._params.layout import Block, position_of
from .further_steps import may_go_beyond, refine, spacing
from .tolerance_and_comparison import (
    AGREE,
    DISAGREE,
    GRAD_ROUNDED,
    OPEN,
    TOGETHER,
    Comparison,
    Group,
    Seen,
    Tolerance,
    Verdict,
    dust_of,
    tolerance,
)


class Case(NamedTuple):
    """What verdicts are reached on: a problem, its analytic gradient, and what the sweep saw.

    Beyond `most` evaluations nothing more is told apart of a gradient that is known to be wrong.
    """

    problem: Problem
    analytic: Analytic
    sweep: Sweep
    options: Options
    most: float = math.inf


Window = tuple[slice, ...]
"""A part of a block: a range along each of its axes."""


@dataclass(frozen=True)
class Along:
    """One direction through a part of a block: what grad tells, and what func does.

    `weights` (k,) are those of the part's coordinates, in order; `atol` is by how much the analytic
    derivative may be rounded, `doubt` by how much it was seen to be. `aligned`: it is the direction
    of the gradient, by signs, along which func changes most, and its slope by the most.
    """

    aligned: bool
    line: Line
    weights: Array
    told: float
    atol: float
    estimate: Estimate
    doubt: float = 0.0

    def gap(self, estimate: Estimate) -> float:
        """Return by how much analytic and numeric differ beyond the rounding of the former."""
        return max(abs(self.told - estimate.value) - self.atol, 0.0)


@dataclass
class Known:
    """What is known of a block, or of a part of one.

    `norm` is that of gradient times spread, `reach` the error that would have passed along a
    direction; `bound` (size,) how large the error of a single entry can be at most, `row` the part
    by which a row of its own size would be seen to be wrong, where it was looked for.
    """

    block: Block
    norm: float
    verdict: Verdict = OPEN
    reach: float = math.inf
    bound: Array = field(default_factory=lambda: np.zeros(0))
    row: float = math.inf
    wrong: Group | None = None


class Groups:
    """Directions through parts of blocks, as many as `EXHAUSTIVE` evaluations allow.

    `rounding` returns by how much each analytic entry is rounded, (n,), and `doubt` is that where
    it was asked; `inner` is the format that func rounds to on the way to J, "" if to none.
    """

    def __init__(
        self,
        problem: Problem,
        analytic: Analytic,
        noise: Noise,
        seed: int,
        rounding: Callable[[], Array] | None = None,
        inner: str = "",
        doubt: Array | None = None,
    ) -> None:
        self.inner = inner
        self.doubt = np.zeros(problem.size)
        if doubt is not None and doubt.size:
            self.doubt = doubt
        self.rounding = cache(rounding) if rounding and analytic.at else None
        self.problem, self.analytic, self.noise, self.seed = problem, analytic, noise, seed
        self.size = value_size(problem, analytic.vector)
        self.first = relative_step(STENCILS["central"], noise.sigma, self.size)
        self.most = problem.evaluator.evaluations + EXHAUSTIVE
        self.whole = math.sqrt(sum(self.norm(k) ** 2 for k in range(len(problem.blocks))))

    def spread(self, position: int) -> Array:
        """Return by how much the coordinates of a block move along a direction; (size,)."""
        scale: Array = self.problem.scale_of(position, slice(None), along=True)
        return scale

    def weights(self, position: int, number: int) -> Array:
        """Return those of a random direction through a block, (size,)."""
        block = self.problem.blocks[position]
        drawn = random_weights(block.size, self.seed, Stream.BLOCK, number, block.start)
        return drawn * self.spread(position)

    def norm(self, position: int) -> float:
        """Return the norm of gradient times spread in a block."""
        block = self.problem.blocks[position]
        if not block.size:
            return 0.0
        a = self.analytic.vector[block.window]
        return float(np.linalg.norm((a * self.spread(position)).astype(np.float64)))

    def dust(self, position: int) -> float:
        """Return what rounding can leave of a block's gradient, times spread, that is zero."""
        # It leaves no exact zeros: those nobody wrote, or func does not move by them.
        if not self.norm(position):
            return 0.0
        block, eps = self.problem.blocks[position], self.analytic.precision[position]
        terms = max(LEAST_TERM * abs(float(self.problem.center)), self.whole)
        most = float(dust_of(eps)) * terms * math.sqrt(block.size)
        if most < self.norm(position) or self.rounding is None:
            return most
        # Tiny parameters have a gradient that is as small, and that repeats itself beside θ.
        off = self.rounding()[block.window] * self.spread(position)
        return min(most, GRAD_ROUNDINGS * float(np.linalg.norm(off)))

    def zero(self, position: int) -> bool:
        """Return whether a block's gradient is what rounding leaves of a zero."""
        return self.norm(position) <= self.dust(position)

    def ask(self, position: int, number: int, inside: Array, goal: float) -> Along:
        """Measure along a direction through coordinates of a block, those at the offsets `inside`.

        The first direction is that of the gradient, by signs: an error in proportion to it shows
        most along it.  `goal` is the error bar that will do.
        """
        if self.problem.evaluator.evaluations > self.most:
            raise BudgetExhausted
        block = self.problem.blocks[position]
        a = self.analytic.vector[block.window][inside].astype(np.float64)
        weights = self.weights(position, number)[inside]
        if number == 0:
            weights = np.where(a, np.abs(weights) * np.sign(a), weights)
        shift = np.zeros(self.problem.size)
        shift[block.start + inside] = weights
        terms = a * weights
        rounded = dust_of(self.analytic.precision[position]) * float(np.linalg.norm(terms))
        atol = self.dust(position) if self.zero(position) else rounded

        # Points along a direction are rounded to the floats of each parameter.
        theta = self.problem.evaluator.work.theta[position][inside]
        apart = ROUNDING_SIGMA * float(np.linalg.norm(a * np.spacing(np.abs(theta))))
        noise = replace(self.noise, sigma=max(self.noise.sigma, apart))
        line, first = line_along(self.problem, shift, noise), self.first
        if self.inner:  # small steps stay within one stair of it
            sigma = line.table(0.0, loud_at(self.inner)) or 0.0
            line.take_noise(max(sigma, noise.sigma))
            line.sounded = True
            first = relative_step(STENCILS["central"], line.noise.sigma, self.size)
        told = float(terms.sum())
        goal = max(goal, GROUP_GOAL * abs(told)) if number == 0 else goal
        # Whether func answers to exact zeros is asked as far as its noise allows.
        blank = not self.norm(position)
        needed = GROUP_RESOLVED * abs(told) if blank or not self.zero(position) else math.inf
        estimate = climb(line, _measured(line, first, goal, needed))
        doubt = float((self.doubt[block.start + inside] * np.abs(weights)).sum())
        return Along(number == 0, line, weights, told, atol, estimate, doubt)

    def judged(self, asked: Sequence[Along]) -> tuple[Verdict, list[Estimate]]:
        """Return the verdict on directions through one part, and what they are known to be."""
        # Beside kinks a gap that is too small to accuse agrees, and is all that is known: some
        # right directions are off by more than their bars there.
        best = [one.estimate for one in asked]
        finest = [one for one in (_before_kinks(each.line) for each in asked) if one is not None]
        # A single direction may show no bend by chance.
        if len(finest) == len(asked) > 1:
            pairs = zip(best, finest, strict=True)
            best = [min(pair, key=lambda estimate: estimate.error) for pair in pairs]
        shown = [estimate.error - estimate.rounding for estimate in best]
        alike = max((t for t, one in zip(shown, asked, strict=True) if not one.aligned), default=0)
        proof = GROUP_PROOF if self.noise.unit > NARROW else 1.0
        passes = 1.0 if all(_converges(one.line) for one in asked) else proof
        known, verdict = [], AGREE
        for one, own, estimate in zip(asked, shown, best, strict=True):
            bar, gap = estimate.rounding + max(own, alike), one.gap(estimate)
            near = gap <= passes * CONFIDENCE * bar
            error = max(bar, gap / CONFIDENCE) if near else bar
            estimate = Estimate(estimate.value, error, estimate.rounding, estimate.h)
            known.append(estimate)
            if near:
                continue
            if gap > one.doubt + proof * CONFIDENCE * bar and self._denied(one):
                return DISAGREE, known
            verdict = OPEN
        return verdict, known

    def _denied(self, one: Along) -> bool:
        """Return whether smaller steps confirm that a direction is wrong."""
        # Beyond the scale of the parameters func may be another one than nearby, where all of it
        # drowns: then what is told must be denied within the scale, too.
        if one.line.rungs[0].h > FARTHEST_ALONG:
            inside = [rung for rung in one.line.rungs if rung.h <= FARTHEST_ALONG]
            if not any(
                2 * rung.h * abs(one.told - rung.central) > RESPONDS * rung.sigma for rung in inside
            ):
                return False
        question = Tolerance(one.told, atol=one.atol, goal_atol=one.atol)
        answer = refine(one.line, question, self.first, FARTHEST_ALONG, LEAST_ALONG)
        return answer.verdict == DISAGREE

    def block(self, position: int) -> Known:
        """Judge a block by directions through all of it; name what is wrong in it."""
        block = self.problem.blocks[position]
        norm = self.norm(position)
        size = self.whole if self.zero(position) else norm
        every = np.arange(block.size)
        asked = [
            self.ask(position, number, every, GROUP_GOAL * size if norm else 0.0)
            for number in range(min(GROUP_DIRECTIONS, block.size))
        ]
        verdict, estimates = self.judged(asked)
        found = Known(block, norm, verdict)
        found.reach = CONFIDENCE * max(
            # Along the gradient an error in proportion to it counts in parts of what is told.
            estimate.error / (max(abs(one.told) / norm, 1.0) if one.aligned and norm else 1.0)
            for one, estimate in zip(asked, estimates, strict=False)
        )
        with np.errstate(all="ignore"):
            bounds = [
                (one.gap(estimate) / CONFIDENCE + estimate.error) / np.abs(one.weights)
                for one, estimate in zip(asked, estimates, strict=False)
            ]
        found.bound = np.min(bounds, axis=0)
        if verdict == DISAGREE:
            number = len(estimates) - 1
            whole = tuple(slice(0, n) for n in block.coordinate_shape)
            found.wrong = self.split(position, number, whole, asked[number], estimates[number])
            if found.wrong.label == block.name and norm and not _by_one_part(asked):
                gaps = [one.told - one.estimate.value for one in asked if not one.aligned]
                size = float(np.sqrt(np.mean(np.square(gaps)))) / norm
                found.wrong = replace(found.wrong, alike=False, part=size)
        if self.noise.unit > NARROW and block.size > 1 and not self.zero(position):
            slices = [block.size // n for n in block.coordinate_shape if n > 1]
            vague = found.wrong is not None and found.wrong.places.size > max(slices)
            sought = SLICE_SOUGHT if block.size > SLICE_MOST else GROUP_RESOLVED
            hidden = found.verdict == OPEN or found.reach > sought * norm
            if vague or (not found.wrong and hidden):
                self.look_closer(position, max(one.estimate.h for one in asked[1:]), found)
        # Exact zeros are a gradient that nobody wrote, where func moves by more than its noise.
        moves = not norm and any(
            one.gap(one.estimate) > CONFIDENCE * _bar(one.line) for one in asked
        )
        if found.verdict == AGREE and (moves or not found.reach <= GROUP_RESOLVED * size):
            found.verdict = OPEN
        return found

    def look_closer(self, position: int, step: float, found: Known) -> None:
        """Look for what noise hides: a wrong row or column, or all of a block wrong by little."""
        # The slice of each axis that stands out is asked alone: few kinks are within its steps, and
        # only that accuses it. Of a block that is wrong, no part being known to be, the slice must
        # explain nearly all of what is. More directions than a block has entries show nothing new.
        block, step = found.block, min(step, FARTHEST_ALONG)
        left = self.most - self.problem.evaluator.evaluations
        left -= 2 * GROUP_DIRECTIONS * GROUP_STEPS * (len(self.problem.blocks) - position)
        if left < 4 * SLICE_MOST or not step:
            return  # at no step at all may nothing be known
        many = self.many(position, np.arange(block.size), block.coordinate_shape, step)
        many.take(SLICE_DIRECTIONS)
        if not many.answers:
            return
        found.reach = min(found.reach, max(many.noise, 1.0) * many.bar)
        rows = block.shape[0] if len(block.shape) > 1 else 1
        part = SLICE_SEEN / math.sqrt(SLICE_DIRECTIONS - SLICE_SEEN**2)
        found.row = part * many.noise * many.bar * math.sqrt(rows) / found.norm
        whole = tuple(slice(0, n) for n in block.coordinate_shape)
        for axis in range(len(whole)):
            explained = many.explained(axis)
            worst = int(explained.argmax())
            if explained[worst] > (SLICE_ALONE if found.wrong else SLICE_ASKED**2 / len(many.y)):
                window = (*whole[:axis], slice(worst, worst + 1), *whole[axis + 1 :])
                one = self.ask(position, 0, _offsets(block, window), 0.0)
                verdict, (estimate,) = self.judged([one])
                if verdict == DISAGREE or self.slice_is_wrong(position, window, step):
                    found.verdict = DISAGREE
                    found.wrong = self.split(position, 0, window, one, estimate)
                    return
        if found.wrong or block.size <= SLICE_MOST:
            return
        if many.denies():
            found.verdict, gap = DISAGREE, many.noise * many.bar
            places = block.start + np.arange(block.size)
            along = found.norm, found.norm - gap, many.bar, gap / found.norm
            alike = bool(many.explained(-1)[0] > SLICE_MOST_OF)
            found.wrong = Group(block, block.name, places, *along, alike=alike)
        elif many.noise <= 1:
            found.verdict = AGREE  # steps of other directions may have been too large

    def slice_is_wrong(self, position: int, window: Window, step: float) -> bool:
        """Return whether directions through one slice alone show that it is."""
        # More directions than it has entries would all cross the same kinks.
        inside = _offsets(self.problem.blocks[position], window)
        if inside.size < SLICE_SLICE:
            return False
        many = self.many(position, inside, (), step)
        many.take(SLICE_SLICE)
        clear = many.answers and many.noise > SLICE_CLEAR
        return clear and bool(many.explained(-1)[0] > SLICE_ALONE)

    def many(self, position: int, inside: Array, shape: tuple[int, ...], step: float) -> Directions:
        """Measure along some directions through part of a block, at the step with least bars."""
        wider, found = (Directions(self, position, inside, shape, h) for h in (step * RATIO, step))
        wider.take(SLICE_PILOT)
        found.take(SLICE_PILOT)
        while True:
            finer = Directions(self, position, inside, shape, found.step / RATIO)
            finer.take(SLICE_PILOT)
            if not finer.bar < found.bar:
                change = np.array(wider.y) - found.y
                found.truncation = float(np.sqrt(np.mean(change**2))) / (RATIO**2 - 1)
                return found
            wider, found = found, finer

    def entry(self, position: int, offset: int, known: Known) -> tuple[Verdict, Estimate]:
        """Judge a single entry of a block that is known, by steps as large as the block's."""
        asked = self.ask(position, 1, np.array([offset]), GROUP_GOAL * known.norm)
        verdict, (estimate,) = self.judged([asked])
        weight = abs(float(asked.weights[0]))
        bar = estimate.error + weight * float(known.bound[offset])
        if verdict == OPEN and asked.gap(estimate) <= CONFIDENCE * bar:
            verdict = AGREE
        return verdict, Estimate(estimate.value / float(asked.weights[0]), estimate.error / weight)

    def split(
        self, position: int, number: int, window: Window, along: Along, estimate: Estimate
    ) -> Group:
        """Return the smallest part of a wrong part that is known to be wrong, and alone."""
        block = self.problem.blocks[position]
        while True:
            found = self._half(position, number, window, along.gap(estimate))
            if found is None:
                break
            window, along, estimate, number = found
        inside = _offsets(block, window)
        norm = float(np.linalg.norm(along.weights * self.analytic.vector[block.window][inside]))
        gap = abs(along.told - estimate.value)
        # Along the gradient, what is wrong by a part of itself is wrong by that part.
        # Of none, it is wrong by all that it should be.
        size = (norm if number else 0.0) or abs(estimate.value)
        return Group(
            block,
            _label(block, window),
            block.start + inside,
            along.told,
            estimate.value,
            estimate.error,
            gap / size if size else math.inf,
            float(along.weights[0]) if inside.size == 1 else 1.0,
        )

    def _half(
        self, position: int, number: int, window: Window, gap: float
    ) -> tuple[Window, Along, Estimate, int] | None:
        """Return the half that is wrong where the other is right, along any axis; or None."""
        block = self.problem.blocks[position]
        try:
            for halves in _halves(window):
                wrong = []
                clean = 0
                for half in halves:
                    inside = _offsets(block, half)
                    for which in (number, 0 if number else 1):
                        one = self.ask(position, which, inside, HALVED_GOAL * gap)
                        verdict, known = self.judged([one])
                        if verdict != AGREE:
                            break
                    if verdict == DISAGREE:
                        wrong.append((half, one, known[0], which))
                    clean += verdict == AGREE and known[0].error <= gap / GROUP_PROOF
                if len(wrong) == clean == 1:
                    return wrong[0]
        except BudgetExhausted:
            pass
        return None


class Directions:
    """Many directions through a block, at one step: along each, grad is off by y = e·d + noise.

    A slice of the block that is wrong by the part c of itself is in y as c·x, with x what it adds
    to g·d.  What kinks add to y they add to half the bend, too, whichever side they are on.
    """

    def __init__(
        self, groups: Groups, position: int, inside: Array, shape: tuple[int, ...], step: float
    ) -> None:
        self.groups, self.position, self.inside = groups, position, inside
        self.shape, self.step, self.truncation = shape, step, 0.0
        self.y: list[float] = []
        self.bends: list[float] = []
        self.x: list[list[Array]] = [[] for _ in (*shape, 1)]

    def take(self, count: int) -> None:
        """Measure along further directions, until they are so many."""
        problem, step, axes = self.groups.problem, self.step, range(len(self.shape))
        places = problem.blocks[self.position].start + self.inside
        a, center = self.groups.analytic.vector[places], float(problem.center)
        for number in range(len(self.y), count):
            weights = self.groups.weights(self.position, GROUP_DIRECTIONS + number)[self.inside]
            shift = np.zeros(problem.size)
            shift[places] = weights
            up, down = map(float, problem.evaluator.along(shift, (step, -step)))
            terms = (a * weights).reshape(self.shape or -1)
            for axis in axes:
                self.x[axis].append(terms.sum(axis=tuple(k for k in axes if k != axis)))
            self.x[-1].append(terms.sum(keepdims=True).ravel())
            self.y.append(float(terms.sum()) - (up - down) / (2 * step))
            self.bends.append((up + down - 2 * center) / (2 * step))

    @property
    def bars(self) -> Array:
        """By how much a right gradient is off along each: half the bend, rounding, truncation."""
        bends = np.abs(self.bends)
        rounding = self.groups.noise.sigma / self.step
        return np.hypot(bends, math.hypot(np.median(bends), rounding, self.truncation))

    @property
    def answers(self) -> bool:
        """Whether func does, and does not stand still."""
        moved = 2 * self.step * np.sqrt(np.mean((np.ravel(self.x[-1]) - self.y) ** 2))
        noise = self.groups.noise.at(np.array(float(self.groups.problem.center)))
        return bool(self.noise > 0 and RESPONDS * noise < moved < math.inf)

    @property
    def noise(self) -> float:
        """The root mean square of y, in parts of the bars."""
        with np.errstate(all="ignore"):
            return float(np.sqrt(np.mean(np.square(self.y / self.bars))))

    @property
    def bar(self) -> float:
        """That of the bars, those counting most that are the least."""
        with np.errstate(all="ignore"):
            return float(np.mean(self.bars**-2.0) ** -0.5)

    def explained(self, axis: int) -> Array:
        """Return which part of Σy² each slice along an axis explains; along -1 it is the block."""
        bars = self.bars
        x, y = np.array(self.x[axis]) / bars[:, None], self.y / bars
        square = np.maximum(np.sum(x * x, axis=0), np.finfo(float).tiny)
        explained: Array = (y @ x) ** 2 / square / (y @ y)
        return explained

    def denies(self) -> bool:
        """Return whether the gradient of all of the block is wrong."""
        # Where it is by a part of itself, that must explain most of y. A kink that all directions
        # cross is in y likewise, and explains less, unless most of the gradient is behind it.
        if self.noise > GROUP_PROOF:
            return True
        if self.explained(-1)[0] > SLICE_DOUBTED**2 / len(self.y):
            self.take(SLICE_MOST)
        part = float(self.explained(-1)[0])
        off = math.sqrt(part) * self.noise * self.bar
        return part > SLICE_MOST_OF and off > SLICE_CLEAR * self.truncation


def _measured(line: Line, first: float, goal: float, needed: float) -> Policy[Estimate]:
    """Take steps until the error bar is `goal`, as long as they promise it."""
    # Larger ones where rounding limits the estimate, and smaller ones where truncation does, or
    # kinks within the step: as long as rounding leaves something to learn there. Where it leaves
    # nothing of what is `needed`, tiny parameters beside a large J, steps go beyond their scale.
    yield from enter(line, first, LEAST_ALONG)
    step = line.rungs[-1].h * (RATIO if len(line.rungs) == 1 else 1 / RATIO)
    yield step
    for _ in range(GROUP_STEPS - len(line.rungs)):
        best, bar = line.estimate(), _bar(line)
        if not best.h or CONFIDENCE * bar <= goal:
            break
        larger, smaller = line.rungs[0].h * RATIO, line.rungs[-1].h / RATIO
        limited = best.rounding >= LIMITING * bar
        louder = ROUNDING_FACTOR * RATIO * line.series(line.sides())[-1][2]
        rises = math.isfinite(line.rungs[0].central) and larger <= FARTHEST_ALONG
        if not limited and louder < LIMITING * bar:
            yield smaller
        elif rises and (limited or _converges(line)):
            yield larger
        else:
            break
    within = len(line.rungs)
    yield from rise(
        line,
        line.rungs[0].h * RATIO,
        2 * GROUP_STEPS,
        lambda step: step <= FARTHEST and CONFIDENCE * _bar(line) > needed and may_go_beyond(line),
    )
    # What stands still out there may have moved by less than its noise nearby, as tanh does.
    while len(line.rungs) > within and not line.rungs[0].answers:
        del line.rungs[0]
    return replace(line.estimate(), error=_bar(line))


def _before_kinks(line: Line) -> Estimate | None:
    """Return what the smallest step tells where it shows no bend, though larger ones cross kinks.

    A central difference over one kink is off by half of what the slopes to both sides differ by.
    """
    last = line.rungs[-1]
    if _converges(line) or not abs(last.bend) <= last.bend_noise:
        return None
    rounding = ROUNDING_FACTOR * line.series(line.sides())[-1][2]
    bar = rounding + 0.5 * (abs(last.bend) + last.bend_noise)
    return Estimate(last.central, bar, rounding, last.h)


def _bar(line: Line) -> float:
    """Return the error bar of a line, that of kinks included."""
    # By how much two steps differ, which is the truncation of a smooth func many times over, kinks
    # within the steps may be off themselves.
    best = line.estimate()
    spread = 1.0 if _converges(line) else KINKS_SPREAD
    return best.rounding + spread * (best.error - best.rounding) + _half_jump(line)


def _converges(line: Line) -> bool:
    """Return whether differences change with the step as a smooth func's, as far as is known."""
    series = line.series(line.sides())
    changes = [
        (abs(slope - finer), ROUNDING_FACTOR * (loud + louder))
        for (_, slope, loud), (_, finer, louder) in itertools.pairwise(series)
    ]
    return all(
        change <= wider / RATIO + noise
        for (wider, _), (change, noise) in itertools.pairwise(changes)
    )


def _half_jump(line: Line) -> float:
    """Return half of what the slopes to both sides can differ by at a step of none."""
    # By so much a central difference is off whose steps, even the smallest, are beyond a kink.
    both = [rung for rung in line.rungs if math.isfinite(rung.bend)]
    jumps = []
    for wide, near in itertools.pairwise(both):
        if wide.h > near.h:
            part = 1 / (wide.h / near.h - 1)
            jump = near.bend + part * (near.bend - wide.bend)
            noise = math.hypot((1 + part) * near.bend_noise, part * wide.bend_noise)
            jumps.append(abs(jump) + noise)
    return 0.5 * min(jumps, default=0.0)


def _by_one_part(asked: Sequence[Along]) -> bool:
    """Return whether directions through a block may all be off by the same part of what is told."""
    # The first is along the gradient, where such an error shows most; that of one row is along
    # another direction as large, and of another sign.
    first, *others = asked
    right = first.estimate.value / first.told
    return all(
        abs(one.estimate.value - right * one.told)
        <= SHOWN_BY * (one.estimate.error + abs(one.told / first.told) * first.estimate.error)
        for one in others
    )


def _halves(window: Window) -> Iterator[tuple[Window, Window]]:
    """Yield the halves of a part along each of its axes."""
    for axis, part in enumerate(window):
        if part.stop - part.start > 1:
            cut = (part.start + part.stop) // 2
            before, after = window[:axis], window[axis + 1 :]
            yield (
                (*before, slice(part.start, cut), *after),
                (*before, slice(cut, part.stop), *after),
            )


def _offsets(block: Block, window: Window) -> Array:
    """Return the offsets in a block of a part of it, in order."""
    return np.arange(block.size).reshape(block.coordinate_shape)[window].ravel()


def _label(block: Block, window: Window) -> str:
    """Return the name of a part: ``W``, ``W[3, :]``, ``W[0:4, 2]``."""
    window = window[: len(block.shape)]
    if all(part.stop - part.start == n for part, n in zip(window, block.shape, strict=True)):
        return block.name
    said = (
        ":"
        if part.stop - part.start == n
        else str(part.start)
        if part.stop - part.start == 1
        else f"{part.start}:{part.stop}"
        for part, n in zip(window, block.shape, strict=True)
    )
    return f"{block.name}[{', '.join(said)}]"


def seen_in(known: Known, reach: Array, spread: Array) -> Seen:
    """Return how large errors would have been seen in a block, in parts of its gradient."""
    # That of one entry by what is known of it, `reach`. Of a row, or all of the block, by the
    # directions: a random error of `SEEN` times what passes along one of them is missed by all
    # three with a chance of 5 %.
    size = known.block.size
    if not known.norm:
        return Seen(math.inf, math.inf, math.inf)
    entry = CONFIDENCE * float(np.max(reach * spread)) * math.sqrt(size) / known.norm
    block = min(SEEN * known.reach / known.norm, entry)
    rows = known.block.shape[0] if len(known.block.shape) > 1 else size
    row = max(min(block * math.sqrt(rows), known.row), block)
    return Seen(entry, min(row, entry), block)


def judge_ties(found: Comparison, case: Case) -> None:
    """Accuse entries on a kink that agree one by one and not together."""
    ties = _Ties(found, case)
    members = [i for i in sorted(found.slopes) if found.verdict[i] == AGREE]
    # What bends upwards and what bends downwards apart: of their sum there are no such bounds.
    for sign in (1, -1):
        alike = [i for i in members if sign * (found.slopes[i][1] - found.slopes[i][0]) > 0]
        for group in ties.wrong(np.array(alike, dtype=np.intp)):
            found.verdict[group] = DISAGREE
            found.reasons.update(dict.fromkeys(group.tolist(), TOGETHER))


class _Ties:
    """Directions through some entries, in which the kink of each is of size 1."""

    def __init__(self, found: Comparison, case: Case) -> None:
        self.found, self.sweep, self.problem = found, case.sweep, case.problem
        self.left = MOST_TIES

    def wrong(self, members: Array) -> Iterator[Array]:
        """Yield the smallest groups of entries that are no subgradient together."""
        if members.size < 2:
            return
        separate, outside = True, False
        for sides in self._sides(members):
            if not self.left:
                return
            self.left -= 1
            apart, outside = self._along(members, sides)
            separate &= apart
            if outside:
                break
        if separate:
            return
        parts: list[Array] = []
        if members.size > 2:
            half = members.size // 2
            parts = [one for part in (members[:half], members[half:]) for one in self.wrong(part)]
        yield from parts or ([members] if outside else [])

    def _sides(self, members: Array) -> Iterator[Array]:
        """Yield to which side each entry goes: 1 or -1, and no two ways that are opposite."""
        # To that to which each is farther from the middle of its slopes: what is right by itself is
        # then farthest from being so together. But two that are tied may look separate that way, as
        # max(x, y) does where x rises and y falls, so every other one goes to its other side; and
        # all go to one, along which those at a tie of equals stay there.
        slopes = np.array([self.found.slopes[i] for i in members.tolist()])
        farther = np.where(self.found.analytic[members] >= slopes.mean(axis=1), 1.0, -1.0)
        other = farther * (-1.0) ** np.arange(members.size)
        seen: set[tuple[float, ...]] = set()
        for sides in (farther, other, np.ones(members.size)):
            way = tuple((sides * sides[0]).tolist())
            if way not in seen:
                seen.add(way)
                yield sides

    def _along(self, members: Array, sides: Array) -> tuple[bool, bool]:
        """Return whether the kinks are separate, and whether g·d is outside its two bounds."""
        slopes = np.array([self.found.slopes[i] for i in members.tolist()])
        g, low, high = self.found.analytic[members], slopes.min(axis=1), slopes.max(axis=1)
        d = sides / (high - low)  # as far as makes all kinks alike
        step = float(np.min(self.sweep.step[members] / np.abs(d)))
        shift = np.zeros(self.problem.size)
        shift[members] = d
        center = self.problem.center
        up, down = self.problem.evaluator.along(shift, (step, -step))
        forward, backward = float((up - center) / step), float((center - down) / step)
        sigma = float(self.sweep.noise.at(np.array([up, down, center])).max())
        allowed = TIE_WITHIN + TIE_SLOPE * float(np.abs(g * d).sum())
        allowed += ROUNDING_FACTOR * 2 * sigma / step
        if not np.isfinite([forward, backward]).all():
            return True, False
        behind, ahead = slopes[:, 0], slopes[:, 1]
        alone = (
            float(np.sum(d * np.where(d > 0, ahead, behind))),
            float(np.sum(d * np.where(d > 0, behind, ahead))),
        )
        separate = max(abs(forward - alone[0]), abs(backward - alone[1])) <= allowed
        told = float(np.sum(g * d))
        bounds = min(forward, backward) - allowed, max(forward, backward) + allowed
        return separate, not bounds[0] <= told <= bounds[1]


# Rounding that differs from parameter to parameter.
#
# There are lines along which J is quieter than along others, and some along which it stands still
# and jumps, because func rounds to a narrow format on the way to J.


def quieter_lines(
    members: Array, found: Comparison, case: Case
) -> tuple[list[tuple[int, Line]], list[tuple[Array, Noise]]]:
    """Return the coarse entries along which J is quieter than along all, with that measured."""
    # And, with their noise, those that were too many to ask, by blocks of which all others were
    # quieter. `members` (bool) may be asked. Noise is known along one direction through all
    # parameters: an ill-conditioned one makes it loud, and others are smooth to the last digit.
    problem, sweep, noise = case.problem, case.sweep, case.sweep.noise
    change = sweep.change[np.isfinite(sweep.change)].max(initial=0.0)
    if not abs(problem.center) > change:
        return [], []  # where J vanishes, its noise is not of one size
    limits = found.tolerance
    fine = np.maximum(FINE, 2 * limits.rtol) * limits.size(found.numeric)
    coarse = members & (CONFIDENCE * found.error > fine)
    quiet: list[tuple[int, Line]] = []
    loud = Counter[int]()
    order = _round_robin(coarse, found, problem)
    asked = 0
    for position, i in order:
        if asked == MOST_SOUNDED or loud[position] == MOST_LOUD:
            continue
        asked += 1
        line = line_of(problem, i, noise, sweep)
        within = spacing(line, limits.at(i), float(problem.scale[i]))
        sigma = line.table(0.0, within)
        if sigma is not None and sigma * QUIETER_LINE < noise.sigma:
            sigma = line.as_quiet(sigma, within)
        if sigma is not None and sigma * QUIETER_LINE < noise.sigma:
            line.sounded = True
            line.take_noise(sigma)
            quiet.append((i, line))
        else:
            loud[position] += 1
    known = {i for i, _ in quiet}
    rest = []
    for position, block in enumerate(problem.blocks):
        own = [line.noise for i, line in quiet if block.start <= i < block.stop]
        mine = np.array([i for at, i in order if at == position and i not in known])
        if own and mine.size and not loud[position]:
            rest.append((mine, max(own, key=lambda noise: noise.sigma)))
    return quiet, rest


def may_be_quieter(noise: Noise) -> bool:
    """Return whether func may be quieter along some lines than along that on which it was heard."""
    return noise.sigma > LOUD_ALONG_OTHERS * noise.floor


def _round_robin(which: Array, found: Comparison, problem: Problem) -> list[tuple[int, int]]:
    """Return blocks and entries: the largest of each block first, then the second of each."""
    size = np.abs(found.analytic * problem.scale)
    ranked = []
    for position, block in enumerate(problem.blocks):
        mine = block.start + np.flatnonzero(which[block.window])
        mine = mine[np.argsort(-size[mine], kind="stable")]
        ranked += [(rank, position, i) for rank, i in enumerate(mine.tolist())]
    return [(position, i) for _, position, i in sorted(ranked)]


BITS_32, BITS_16, FEW_BITS = "float32", "a format of 16 bits", "a narrow format"


def loud_at(inner: str) -> float:
    """Return at which distances, in parts of a scale, func is noisy that rounds to this format."""
    return NOISE_WIDER if inner == BITS_32 else NOISE_FARTHER


def inner_format(found: Comparison, case: Case) -> str:
    """Return the format that func rounds to on the way to J; "" if to none."""
    # A func in float64 moves when a parameter does by 2⁻³¹ of itself. One that rounds on the way
    # stands still there along what lies before, whatever it does along the others, and is noisier
    # at larger distances than a constant makes it that is added in float64.
    problem, noise = case.problem, case.sweep.noise
    if noise.unit > NARROW or digits_of(float(problem.center)):
        return ""
    which = found.evaluated & np.isfinite(found.analytic) & ~found.kinked
    least = LOUD_INSIDE * value_size(problem, found.analytic)
    for _, i in _round_robin(which, found, problem)[:MOST_STILL]:
        line, scale = line_of(problem, i, noise), float(problem.scale[i])
        told = float(found.analytic[i]) * scale
        if in_one_stair(i, found, line, problem):
            loud = line.table(0.0, scale * NOISE_WIDER)
            if loud is not None and loud < least:
                continue
            moves = _moves(line, scale)
            size = max(abs(float(line.center)), line.noise.terms, moves)
            # What is louder than any format makes it is a structure of func.
            most = ROUNDING_SIGMA * COARSEST_JUMP * size
            if not moves or (loud is not None and not loud <= most):
                continue
            if not _within_stair(line, told, scale, STILL_IN_16_BITS, abs(told)):
                return BITS_32
            # Where func hardly slopes float32 stands still as far; but its stairs are low.
            far = line.table(0.0, scale * NOISE_FARTHER)
            return BITS_16 if far is None or far > FLOAT32 * RESPONDS * size else FEW_BITS
    return ""


def reach_of(i: int, problem: Problem) -> float:
    """Return how far a coordinate may move: by its scale, or that of its block where smaller."""
    block = problem.scaling.at_zero[position_of(problem.blocks, i)]
    return max(float(problem.scale[i]), float(block))


def in_one_stair(i: int, found: Comparison, line: Line, problem: Problem) -> bool:
    """Return whether the smallest steps stay within one stair, of which what denies an entry is."""
    scale, told, known = (float(x[i]) for x in (problem.scale, found.analytic, found.numeric))
    accused, gap = found.verdict[i] == DISAGREE, abs(told - known)
    # Before it is known that func is rounded, little that is wrong says nothing of it.
    shown = gap if accused and found.inner else abs(told)
    within = _within_stair(line, told * scale, scale, STILL, shown * scale)
    if not (within and accused):
        return within
    # A smooth func whose gradient is wrong moves farther off as it does nearby.
    step = (FAR_STEP if found.inner in ("", BITS_32) else NOISE_FARTHEST) * reach_of(i, problem)
    steps, values = line.evaluate((step, -step))
    far = float((values[0] - values[1]) / (steps[0] - steps[1]))
    return not abs(far - known) <= NEAR_LIMIT * gap


def _within_stair(line: Line, told: float, scale: float, part: float, gap: float) -> bool:
    """Return whether most values at this distance move alike, and not as `told` of a scale."""
    # Within one stair func stands still, or moves as a smooth term beside it does: a weight decay.
    # `gap` is by how much that is another slope, of a scale.
    noise, told = RESPONDS * line.noise.floor, told * part
    moved = np.diff(line.values(0.0, part * scale))
    if not abs(told) > noise or not moved.size:
        return False
    usual = float(np.median(moved))
    # What moves by less than its noise does so by chance, unless it does not move at all; beside
    # more, a smooth term may bend.
    allowed = max(noise, STAIR_BENDS * abs(usual)) if abs(usual) > noise else 0.0
    alike = np.abs(moved - usual) <= allowed
    other = abs(usual - told) > max(noise, NEAR_ESTIMATE * gap * part)
    return bool(other and np.count_nonzero(alike) >= moved.size / 2)


def _moves(line: Line, scale: float) -> float:
    """Return by how much func moves on both sides, farther off: a hinge does on one alone."""
    ends = (line.values(side * scale * 1e-2, side * scale * 1e-3)[:1] for side in (1, -1))
    return min(float(np.abs(end - line.center).max(initial=0.0)) for end in ends)


# Whether a narrow gradient is off by its own rounding: grad in float64 tells, beside it.
#
# A float32 gradient of a saturated tanh, or of values far from zero before a normalisation, has few
# digits, though its formula is right. Where func is differenced in float64, grad is asked there,
# too: a formula that is wrong is wrong in float64 as well.


def with_wider_grad(found: Comparison, case: Case) -> Comparison:
    """Return the comparison in which nothing is called wrong that grad has right in float64."""
    problem, analytic, _, options, _ = case
    wrong = (found.verdict == DISAGREE) & np.isfinite(found.analytic) & ~found.kinked
    here = _wider(analytic) if wrong.any() else None
    if here is None:
        return found
    limits = found.tolerance
    wrong &= replace(limits, analytic=here).within(found.numeric, found.error) & np.isfinite(here)
    if not wrong.any():
        return found  # a formula that is wrong is so at any precision
    allowed = limits.allowed(found.numeric, found.error)
    wrong &= _rounds_alone(here, allowed, problem, analytic, options.seed)
    off = np.where(wrong, np.abs(found.analytic - found.numeric), 0.0)
    little = _little(off, found.numeric, limits, problem, options)
    found = replace(found, tolerance=replace(limits, atol=limits.atol + np.where(little, off, 0.0)))
    found.verdict[wrong & little], found.verdict[wrong & ~little] = AGREE, OPEN
    left = np.flatnonzero(wrong & ~little).tolist()
    found.reasons.update(dict.fromkeys(left, GRAD_ROUNDED))
    return found


def told_by_wider_grad(
    problem: Problem, analytic: Analytic, options: Options
) -> tuple[Array, Array] | None:
    """Return grad in float64, and where it is another one by rounding that is not little; (n,).

    None where it is another one by more than rounding, or can't be asked.
    """
    here = _wider(analytic)
    if here is None or not np.isfinite(here).all():
        return None
    vector, precision = analytic.vector, analytic.precision
    known = problem.scale, problem.blocks, precision, options, 0.0, abs(float(problem.center))
    limits: Tolerance = tolerance(vector, here, *known)
    beyond = ~limits.within(here, 0.0)
    if beyond.any():
        rounded = _rounds_alone(here, limits.allowed(here, 0.0), problem, analytic, options.seed)
        if (beyond & ~rounded).any():
            return None
        beyond &= ~_little(np.abs(vector - here), here, limits, problem, options)
    return here, beyond


def _wider(analytic: Analytic) -> Array | None:
    """Return grad in float64, if it can be asked there."""
    if analytic.wider is None or analytic.at is None:
        return None
    try:
        return analytic.wider(None)
    except Exception:  # grad may refuse float64 in any way it likes
        return None


def _little(
    off: Array, numeric: Array, limits: Tolerance, problem: Problem, options: Options
) -> Array:
    """Return where rounding by so much passes (bool, (n,))."""
    # Where it is little beside its entry, its block or everything seen, as error bars pass that are
    # as large. More is left open, and so is what misses a tolerance that was given.
    if options.rtol is not None or options.atol is not None:
        return np.zeros(problem.size, dtype=bool)
    size = np.maximum(COARSEST_RTOL * np.abs(numeric), IN_BLOCK * limits.rms)
    little: Array = (off <= size) | is_dust(off, problem, numeric)
    return little


def is_dust(off: Array, problem: Problem, gradient: Array) -> Array:
    """Return where so much is little beside everything that func was seen to be (bool, (n,))."""
    # Terms that cancel in it by a large parameter are no smaller for its size: see `of_block`.
    dust: Array = off * np.minimum(problem.scale, 1.0) <= IN_CHECK * value_size(problem, gradient)
    return dust


@np.errstate(all="ignore")
def _rounds_alone(
    here: Array, allowed: Array, problem: Problem, analytic: Analytic, seed: int
) -> Array:
    """Return where grad is another one in float64, `here`, by rounding alone (bool, (n,))."""
    # What a kernel for narrow types does wrong is a part of the gradient, or the same, wherever it
    # is asked; rounding is another one beside θ. That of constant data need not be, but comes to no
    # more than a few tolerances; what is dust no kernel shows.
    own = analytic.vector - here
    small: Array = (np.abs(own) <= GRAD_ROUNDINGS * allowed) | is_dust(np.abs(own), problem, here)
    if small.all():
        return small
    sums = np.zeros((4, problem.size))
    assert analytic.at is not None  # see `_wider`
    assert analytic.wider is not None
    try:
        for pair in range(BESIDE_PAIRS):
            for shift in _beside(problem, seed, pair):
                wide = analytic.wider(shift)
                error = analytic.at(shift) - wide
                sums += (error, error**2, error * wide, wide**2)
    except Exception:  # outside its domain: nothing is learnt
        return small
    mean, square, both, wide = sums / (2 * BESIDE_PAIRS)
    part = own / here
    apart = square - 2 * part * both + part**2 * wide  # of what the same part makes there
    rounds: Array = own**2 <= WIDER_ROUNDINGS**2 * (square - mean**2)
    rounds &= ~(WIDER_ROUNDINGS**2 * apart < square)
    return rounds | small


def _beside(problem: Problem, seed: int, pair: int) -> tuple[Array, Array]:
    """Return two opposite shifts to points that the parameters' own types hold."""
    step = FAR_STEP / WIDER_RATIO**pair * problem.scale
    step *= random_weights(problem.size, seed, Stream.WIDER, pair)
    both = (step, -step)
    for shift in both:
        for block in problem.blocks:
            theta, w = problem.theta[block.window], block.window
            shift[w] = (theta + shift[w]).astype(block.dtype).astype(theta.dtype) - theta
    return both
