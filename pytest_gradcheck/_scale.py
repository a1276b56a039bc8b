"""A check of more parameters than can be differenced one by one: screen, then localise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import _coordinates as coordinates
from ._blocks import Block, position_of
from ._calibrate import ACCUSED, PROVEN, calibrate, reexamine, screen_all
from ._compare import COARSEST_RTOL, DUST, FINEST_RTOL, LEAST_TERM
from ._differences import BudgetExhausted
from ._ladder import RATIO, ROUNDING_FACTOR, Estimate
from ._localise import localise
from ._match import Findings
from ._names import brief
from ._options import Options
from ._problem import Analytic, Problem
from ._question import CONFIDENCE, DISAGREE, Answer, Question
from ._refine import NARROW, refine
from ._screen import Screen, Subset

Array = np.ndarray[Any, Any]

SMALLEST_ALLOWED = 1e-9

SHOWN_BAD = 5
"""NaN and infinite entries whose numeric value is looked up, to be shown."""

GROSS = 0.3
"""A block that directions over all parameters do not resolve is so near the noise of func that
only an error of this part of it is believed."""

CLEAR = 10.0
"""Or one that stands so far above its error bar."""

FEW = 64
"""Entries of such a block that are differenced one by one, to name those that are wrong."""

MOST_EXTRA = 2000
"""Evaluations that localising may take when ``max_evals`` is not given."""


class AtScale:
    """One check along directions: what each stage leaves for the report."""

    def __init__(self, problem: Problem, analytic: Analytic, options: Options) -> None:
        self.problem, self.analytic, self.options = problem, analytic, options
        self.answers: dict[int, Answer] = {}
        self.findings = Findings()
        self.verdict = "agree"
        self.reasons: list[str] = []
        self.screen: Screen | None = None
        self.sizes: dict[int, float] = {}
        self.bad: dict[int, float] = {}
        self.vacuous: list[str] = []
        self.reached: dict[str, float] = {}

    def tolerances(self, block: Block) -> tuple[float, float]:
        """Return a block's relative tolerance, and its gradient as one number."""
        eps = self.analytic.precision[self.problem.blocks.index(block)]
        low = min(max(FINEST_RTOL, eps ** (2 / 3)), COARSEST_RTOL)
        if not block.size or self.screen is None:
            return self.options.rtol or low, 0.0
        if block.start not in self.sizes:
            self.sizes[block.start] = self.screen.size(block)
        return self.options.rtol or low, self.sizes[block.start]

    def allowed(self) -> float:
        """Return what the tolerances of all parameters come to along a direction."""
        total = 0.0
        for block, eps in zip(self.problem.blocks, self.analytic.precision, strict=True):
            _, own = self.tolerances(block)
            part = max(DUST * eps, SMALLEST_ALLOWED)
            total += (self.options.rtol or part) ** 2 * own**2 * block.size
        return math.sqrt(total * 13 / 12)

    def nothing(self, block: Block) -> bool:
        """Return whether a block's gradient is zero, or what rounding leaves of a zero.

        So it is for a bias before a batch normalisation, and for one of the keys of attention.
        """
        eps = self.analytic.precision[self.problem.blocks.index(block)]
        largest = max(abs(float(self.problem.center)), LEAST_TERM)
        return self.tolerances(block)[1] <= DUST * eps * largest

    def total(self) -> float:
        """Return what the gradient of all parameters comes to along a direction."""
        return math.sqrt(sum(self.tolerances(b)[1] ** 2 * b.size for b in self.problem.blocks))

    def confirm(self, i: int) -> float | None:
        """Difference one parameter; return its error if it is wrong, else None."""
        problem, screen = self.problem, self.screen
        assert screen is not None
        if i in self.bad:
            return None
        block = problem.blocks[position_of(problem.blocks, i)]
        rtol, own = self.tolerances(block)
        s = self.scale_at(i)
        eps = self.analytic.precision[problem.blocks.index(block)]
        dust = DUST * eps * own / s
        atol = self.options.atol if self.options.atol is not None else dust if eps > 1e-10 else 0.0
        a = float(self.analytic.vector[i])
        ladder = coordinates.line(problem, i, screen.noise)
        question = Question(a, rtol, atol, dust, 1e-3, atol)
        least = coordinates.least_step(problem, i)
        rung = ladder.add(screen.single * s)
        bar = ROUNDING_FACTOR * rung.sigma / (math.sqrt(2.0) * rung.h)
        if question.within(rung.central, bar) and abs(rung.bend) * 10 < abs(a):
            return None
        answer = refine(ladder, question, rung.h, s, least)
        self.answers[i] = answer
        return a - answer.value if answer.verdict == DISAGREE else None

    def scale_at(self, i: int) -> float:
        """Return the scale of one coordinate."""
        position = position_of(self.problem.blocks, i)
        offset = i - self.problem.blocks[position].start
        return float(self.problem.scale_of(position, slice(offset, offset + 1))[0])

    def run(self) -> None:
        """Calibrate, screen, look again, localise."""
        problem, vector = self.problem, self.analytic.vector
        bad = np.flatnonzero(~np.isfinite(vector))
        if bad.size:
            self.verdict = "disagree"
            self.bad = {i: float(vector[i]) for i in bad.tolist()}
            vector[bad] = 0.0
        limit = self.options.max_evals or problem.evaluator.evaluations + MOST_EXTRA
        try:
            self.screen = calibrate(problem, self.analytic, self.options)
            allowed = self.allowed()
            for i in list(self.bad)[:SHOWN_BAD]:
                ladder = coordinates.line(problem, i, self.screen.noise)
                ladder.add(self.screen.step * self.scale_at(i))
                ladder.add(ladder.rungs[-1].h / RATIO)
                numeric = ladder.estimate() or Estimate(math.nan, math.inf)
                self.answers[i] = Answer(numeric.value, numeric.error, DISAGREE)
            if len(self.bad) < problem.size and math.isfinite(self.screen.sigma):
                if screen_all(self.screen, allowed):
                    self.look_again(allowed, limit)
                if self.verdict == "agree":
                    self.look_at_blocks()
        except BudgetExhausted:
            self.reasons.append("max_evals reached before all that is wrong was found")
            self.verdict = "inconclusive" if self.verdict == "agree" else self.verdict
        if self.verdict == "agree" and not self.resolved():
            self.verdict = "inconclusive"

    def look_again(self, allowed: float, limit: int) -> None:
        """Judge the direction that stands out, then find what is wrong along it."""
        screen = self.screen
        assert screen is not None
        again = reexamine(screen, allowed)
        if again.verdict != DISAGREE:
            return
        self.verdict = "disagree"
        self.findings = localise(screen, self.confirm, allowed, limit)
        if screen.truth or self.findings.patterns:
            return
        if screen.noise.unit > NARROW:
            # Kinks and rounding to float32 along a dense direction look alike to any ladder.
            self.verdict = "inconclusive"
            self.reasons.append(
                "a random direction disagrees, but nothing that is wrong was found: func is "
                f"{screen.noise.format}, and noisy along it"
            )
        else:
            self.reasons.append(
                "the gradient is wrong along random directions, by no pattern that was recognised"
            )

    def look_at_blocks(self) -> None:
        """Give a direction of its own to each block that those over all do not resolve."""
        screen = self.screen
        assert screen is not None
        unseen = ACCUSED * screen.sigma + self.allowed()
        for block in self.problem.blocks:
            rtol, own = self.tolerances(block)
            norm = own * math.sqrt(block.size)
            if not block.size or (norm and unseen <= COARSEST_RTOL * norm):
                continue
            if norm and self.nothing(block):
                continue  # like a zero, it is resolved against the whole gradient
            shift = screen.shift(0, Subset((block,)))
            if not norm:
                values = self.problem.evaluator.along(shift, (screen.step, -screen.step))
                if np.all(values == self.problem.center):
                    self.vacuous.append(block.name)
                continue
            told = float(np.dot(screen.analytic, shift))
            question = Question(told, rtol, 0.0, DUST * 2.0**-52 * norm, COARSEST_RTOL / 4, 0.0)
            answer = refine(screen.line(shift), question, screen.step, 1.0, 1e-12)
            self.reached[block.name] = CONFIDENCE * answer.error / norm
            known = answer.verdict != DISAGREE and self.reached[block.name] <= COARSEST_RTOL
            if not known:
                self.doubt(block, told, answer)

    def doubt(self, block: Block, told: float, answer: Answer) -> None:
        """Conclude on a block that its own direction denies, or does not resolve."""
        assert self.screen is not None
        gap, bar = abs(told - answer.value), PROVEN * CONFIDENCE * answer.error
        denied = answer.verdict == DISAGREE and self.screen.noise.unit < NARROW
        gross = gap > bar and (gap > GROSS * abs(told) or gap > CLEAR * bar)
        few = range(block.start, block.stop) if block.size <= FEW else ()
        wrong = [i for i in few if self.confirm(i) is not None] if denied else []
        if wrong or (denied and gross):
            self.verdict = "disagree"
            self.reasons.append(
                f"{brief(block.name)}: along a direction of its own analytic {told:.6g} != numeric "
                f"{answer.value:.6g} +- {answer.error:.0e}"
            )
        elif self.verdict == "agree":
            self.verdict = "inconclusive"
            self.reasons.append(
                f"{brief(block.name)}: func is too noisy for so small a gradient, or float32"
            )

    def resolved(self) -> bool:
        """Return whether the directions could see what was demanded of them; if not, say so."""
        screen = self.screen
        total = self.total()
        reach = ACCUSED * screen.sigma / total if screen is not None and total else math.inf
        demanded = self.options.rtol or COARSEST_RTOL
        if reach <= demanded:
            return True
        if self.screen is not None and not math.isfinite(self.screen.sigma):
            self.reasons.append("func is not finite near here, along random directions")
        error = self.problem.evaluator.domain_error
        if not math.isfinite(reach) and total and error is not None:
            error.add_note("gradcheck: raised by func at every step along a random direction")
            raise error
        if self.reasons:
            return False
        if not total:
            self.reasons.append("nothing was checked: the gradient is zero in every parameter")
        else:
            self.reasons.append(
                f"along random directions only errors above {reach:.0e} of the gradient are seen: "
                "func is noisy or float32; pass a larger max_evals to difference every parameter"
            )
        return False
