"""A check of more parameters than can be differenced one by one: screen, localise, report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._diagnosis.evidence import CERTAIN, MOST_PER_ENTRY, Diagnosis
from .._difference.ladder import RATIO, ROUNDING_FACTOR, Estimate
from .._difference.sweep import least_step, line_of
from .._evaluate.evaluator import BudgetExhausted
from .._evaluate.problem import Analytic, Problem
from .._options import Options
from .._params.layout import Block, labels, position_of
from .._quoting import brief, listing, shown
from .._report.report import VERDICTS, BlockReport, Entry, GradientReport
from .._verdict.refine import NARROW, refine
from .._verdict.tolerance import (
    COARSEST_RTOL,
    CONFIDENCE,
    DISAGREE,
    DUST,
    FINEST_RTOL,
    LEAST_TERM,
    Answer,
    Tolerance,
    of_block,
)
from .localise import Findings, entries_of, localise
from .patterns import Pattern
from .screen import ACCUSED, PROVEN, SCREENED, Screen, Subset, calibrate, reexamine, screen_all

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
        s = self.scale_at(i)
        eps = self.analytic.precision[problem.blocks.index(block)]
        a = float(self.analytic.vector[i])
        value = abs(float(problem.center))
        limits = of_block(a, self.tolerances(block)[1], s, eps, self.options, value=value)
        ladder = line_of(problem, i, screen.noise)
        question = replace(limits, goal_rtol=1e-3, goal_atol=limits.atol)
        least = least_step(problem, i)
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
                ladder = line_of(problem, i, self.screen.noise)
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
            question = Tolerance(told, rtol, 0.0, DUST * 2.0**-52 * norm, COARSEST_RTOL / 4)
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


ZERO = "analytic is zero everywhere: never written?"

PATTERN = 16.0
"""Bits that a pattern costs: one of hundreds that were tried."""

FEW_NAMED = 2
"""So many wrong entries are named as such."""


def code_of(pattern: Pattern) -> str:
    """Return the stable code of a pattern."""
    return "factor" if pattern.code == "gradient" else pattern.code


def diagnoses_at_scale(check: AtScale, blocks: Sequence[BlockReport]) -> tuple[Diagnosis, ...]:
    """Return what a check along directions found, best first.

    Parameters
    ----------
    check : AtScale
        After its run.
    blocks : sequence of BlockReport

    Returns
    -------
    tuple of Diagnosis
    """
    found = [*_not_finite(check), *_patterns(check)]
    named = {name for diagnosis in found for name in diagnosis.blocks}
    for block in blocks:
        if block.code in ("zero", "slice") and block.name not in named:
            found.append(Diagnosis(block.code, block.hint, (block.name,), _bits(check)))
    found += _wrong_entries(check, {name for one in found for name in one.blocks})
    return tuple(sorted(found, key=lambda diagnosis: -diagnosis.bits))


def _bits(check: AtScale) -> float:
    """Return the evidence of the directions: what each residual stands above its noise."""
    screen = check.screen
    if screen is None or not screen.residuals or not screen.sigma < math.inf:
        return 0.0
    least = screen.sigma or 1e-300
    each = [math.log2(max(abs(y) / least, 1.0)) for y in screen.residuals.values()]
    total = sum(min(bits, MOST_PER_ENTRY) for bits in sorted(each)[:-1])
    return round(max(total - PATTERN, 0.0), 1)


def _patterns(check: AtScale) -> list[Diagnosis]:
    found = []
    ranks = {block.name: len(block.shape) for block in check.problem.blocks}
    for pattern, amount in check.findings.patterns:
        sentence = pattern.sentence(amount, ranks[pattern.names[0]])
        if len(pattern.names) > 1 and pattern.code != "swapped":
            sentence += f", in {listing([shown(name) for name in pattern.names], 4)}"
        found.append(Diagnosis(code_of(pattern), sentence, pattern.names, _bits(check)))
    return found


def _not_finite(check: AtScale) -> list[Diagnosis]:
    names = tuple(
        block.name
        for block in check.problem.blocks
        if any(block.start <= i < block.stop for i in check.bad)
    )
    said = "analytic is NaN or infinite"
    return [Diagnosis("not-finite", said, names, CERTAIN)] if names else []


def _wrong_entries(check: AtScale, named: set[str]) -> list[Diagnosis]:
    """Name one or two entries that alone are wrong."""
    screen = check.screen
    if screen is None or check.findings.unexplained or check.findings.shares:
        return []
    found = []
    for block in check.problem.blocks:
        mine = sorted(i for i in screen.truth if block.start <= i < block.stop)
        if not 0 < len(mine) <= FEW_NAMED or block.name in named:
            continue
        places = " and ".join(
            f"[{', '.join(map(str, block.index(i - block.start)))}]" for i in mine
        )
        what = "entry" if len(mine) == 1 else "entries"
        verb = "is" if len(mine) == 1 else "are"
        sentence = f"only the {what} {places} {verb} wrong"
        found.append(Diagnosis("entry", sentence, (block.name,), _bits(check)))
    return found


MISSED = 0.13
"""The chance that one direction hides an error of ten times its resolution: that of two equal
wrong entries whose weights nearly cancel.  It is 0.08 for an error spread over many entries,
|N(0, 1)| < 0.1, and none for a single one."""


def report_at_scale(name: str, check: AtScale, seconds: float) -> GradientReport:
    """Return the report of a check along directions.

    Parameters
    ----------
    name : str
        func's name.
    check : AtScale
        After its run.
    seconds : float

    Returns
    -------
    GradientReport
    """
    problem, options, screen = check.problem, check.options, check.screen
    wrong = {i: answer for i, answer in check.answers.items() if answer.verdict == DISAGREE}
    blocks = tuple(_block(check, block, wrong) for block in problem.blocks)
    difference = _difference(check)
    verdict = check.verdict
    if verdict == "agree" and check.vacuous and options.vacuous == "fail":
        verdict = "inconclusive"
    ok = verdict == "agree" or (check.verdict == "inconclusive" and options.inconclusive != "fail")
    if options.threshold is not None and not difference < options.threshold:
        ok = False
    warn = check.verdict == "inconclusive" and options.inconclusive == "warn"
    directions = len(screen.residuals) if screen is not None else 0
    names = {block.name for block in problem.blocks}
    return GradientReport(
        name=name,
        ok=ok,
        verdict=verdict,
        difference=difference,
        size=problem.size,
        checked=problem.size if directions >= SCREENED else len(check.answers),
        wrong=sum(block.wrong for block in blocks),
        open=0,
        kinks=0,
        evaluations=problem.evaluator.evaluations,
        seconds=seconds,
        rtol=options.rtol,
        atol=options.atol,
        rtol_used=options.rtol or FINEST_RTOL,
        threshold=options.threshold,
        resolution=max(
            (b.resolution for b in blocks if b.size and not b.vacuous), default=math.inf
        ),
        noise=screen.noise.sigma if screen is not None else math.nan,
        precision=screen.noise.format if screen is not None else "",
        value=float(problem.center),
        seed=options.seed,
        scheme="central differences along random directions",
        blocks=blocks,
        worst=_entries(check, wrong),
        reasons=tuple(check.reasons),
        vacuous=tuple(check.vacuous),
        warning=f"gradcheck of {brief(name)}: inconclusive" if warn else "",
        skipped=tuple(leaf.name for leaf in problem.structure.leaves if leaf.name not in names),
        max_report=options.max_report,
        directions=directions,
        miss=MISSED**SCREENED,
        patterns=_sentences(check),
        diagnoses=diagnoses_at_scale(check, blocks),
    )


def _sentences(check: AtScale) -> tuple[str, ...]:
    said = []
    for pattern, amount in check.findings.patterns:
        if len(pattern.names) > 1:
            names = (
                "every block" if len(pattern.names) == _filled(check) else listing(pattern.names)
            )
            said.append(f"{names}: {pattern.sentence(amount, 0)}")
    for name, (wrong, count) in check.findings.shares.items():
        said.append(f"{brief(name)}: {wrong} of {count} sampled entries are wrong, by no pattern")
    for name, index, wrong, count, _ in check.findings.slices:
        said.append(
            f"{brief(name)}{index}: {wrong} of {count} sampled entries are wrong, by no pattern"
        )
    if check.findings.unexplained and check.screen is not None and check.screen.truth:
        said.append("more is wrong than was found within the evaluations allowed")
    return tuple(said)


def _filled(check: AtScale) -> int:
    return sum(block.size > 0 for block in check.problem.blocks)


def _block(check: AtScale, block: Block, wrong: dict[int, Answer]) -> BlockReport:
    mine = [i for i in wrong if block.start <= i < block.stop]
    share = check.findings.shares.get(block.name)
    not_finite = sum(block.start <= i < block.stop for i in check.bad)
    count, hint, code = max(len(mine), not_finite), "", ""
    for pattern, amount in check.findings.patterns:
        if block.name in pattern.names and check.screen is not None:
            count = max(count, int(entries_of(check.screen, pattern, block).size))
            code = code_of(pattern)
            hint = pattern.sentence(amount, len(block.shape)) if len(pattern.names) == 1 else ""
    for name, index, bad, sampled, size in check.findings.slices:
        if name == block.name:
            count = max(count, round(size * bad / sampled))
            hint, code = f"only {index} is wrong", "slice"
    if share is not None:
        if not np.any(check.analytic.vector[block.window]):
            hint, code = ZERO, "zero"
        count = max(count, round(block.size * share[0] / share[1]))
    _, own = check.tolerances(block)
    norm = check.total() if check.nothing(block) else own * math.sqrt(block.size)
    sigma = check.screen.sigma if check.screen is not None else math.inf
    return BlockReport(
        name=block.name,
        shape=block.shape,
        size=block.size,
        checked=block.size,
        wrong=count,
        open=0,
        kinks=0,
        difference=math.nan,
        resolution=min(
            (ACCUSED * sigma + check.allowed()) / norm if norm else math.inf,
            check.reached.get(block.name, math.inf),
        ),
        vacuous=block.name in check.vacuous,
        verdict=VERDICTS[1] if count else VERDICTS[0],
        hint=hint,
        code=code,
    )


def _difference(check: AtScale) -> float:
    """Return the difference as the residuals estimate it, entries weighed by their scales."""
    screen = check.screen
    if screen is None or not screen.residuals:
        return math.nan
    norm = math.sqrt(
        sum(check.tolerances(b)[1] ** 2 * b.size for b in check.problem.blocks) * 13 / 12
    )
    error = math.sqrt(sum(y * y for y in screen.residuals.values()) / len(screen.residuals))
    return error / (2 * norm + error) if norm else 0.0 if not error else 1.0


def _entries(check: AtScale, wrong: dict[int, Answer]) -> tuple[Entry, ...]:
    label = labels(check.problem.blocks)
    entries = []
    for i, answer in wrong.items():
        block = check.problem.blocks[position_of(check.problem.blocks, i)]
        rtol, _ = check.tolerances(block)
        a = check.bad.get(i, float(check.analytic.vector[i]))
        gap = abs(a - answer.value)
        passed = rtol * max(abs(a), abs(answer.value)) + CONFIDENCE * answer.error
        entries.append(
            Entry(
                label=label(i),
                block=block.name,
                index=block.index(i - block.start),
                analytic=a,
                numeric=answer.value,
                error_bar=answer.error,
                error=gap,
                ratio=gap / passed if math.isfinite(gap) and passed else math.inf,
                verdict="disagree",
                reason=answer.reason,
                slopes=answer.slopes,
            )
        )
    return tuple(sorted(entries, key=lambda entry: -entry.ratio))
