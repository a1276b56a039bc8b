"""A check of more parameters than can be differenced one by one: screen, localise, report."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import cached_property, partial

import numpy as np

from .._constants import (
    ACCUSED,
    COARSEST_RTOL,
    CONFIDENCE,
    DUST,
    EACH_ALONE,
    EPS,
    EXHAUSTIVE,
    GROUP_DIRECTIONS,
    GROUP_GOAL,
    GROUP_RESOLVED,
    GROUP_RTOL,
    GROUP_STEPS,
    KINKS_SPREAD,
    LEAST_ALONG,
    MISSED,
    MOST_EXPLAINED,
    MOST_EXTRA,
    NARROW,
    PARTS,
    PROVEN,
    RATIO,
    RESPONDS,
    ROUNDING_FACTOR,
    SCREENED,
    SHOWN_BAD,
    SHOWN_BY,
    STANDS_CLEAR,
    STRAIGHT,
    TRIED,
)
from .._diagnosis.causes import Explained, approximation, explain, not_finite
from .._diagnosis.evidence_and_places import CERTAIN, MOST_PER_ENTRY, Diagnosis, all_of
from .._difference.every_coordinate import least_step, line_of, value_size
from .._difference.noise_and_extrapolation import Noise
from .._difference.stencils_and_steps import STENCILS, Stream, generator, relative_step
from .._difference.step_search_and_kinks import climb, follow_bend
from .._evaluate.evaluator import BudgetExhausted
from .._evaluate.problem import Analytic, Problem
from .._options import Options
from .._params.arrays_and_structure import Array, chunks
from .._params.layout import Block, position_of
from .._quoting import brief, listing, shown, together
from .._report.assemble import (
    GROUP,
    NOT_STATIONARY,
    STATIONARY,
    Rows,
    Subject,
    diagnosis_of,
    entries_of,
    entry_of,
    to_settle,
)
from .._report.report import VERDICTS, BlockReport, Entry
from .._verdict.further_steps import refine
from .._verdict.groups_and_rounding import Groups, seen_in
from .._verdict.tolerance_and_comparison import (
    AGREE,
    DISAGREE,
    EXHAUSTED,
    OPEN,
    UNSEEN,
    Answer,
    Comparison,
    Evidence,
    Group,
    Seen,
    Tolerance,
    dust_of,
    of_block,
)
from .directional_residuals import Screen, Subset, calibrate, excuse, reexamine, screen_all
from .localise import Findings, Search, Share, unit_of
from .localise import entries_of as entries_with


class AtScale:
    """One check along directions: what each stage leaves for the report.

    `extra` is how many evaluations localising may take where ``max_evals`` does not say.
    """

    def __init__(
        self, problem: Problem, analytic: Analytic, options: Options, extra: int = MOST_EXTRA
    ) -> None:
        self.extra = extra
        finite = np.isfinite(analytic.vector)
        self.bad = {i: float(analytic.vector[i]) for i in np.flatnonzero(~finite).tolist()}
        if self.bad:
            analytic = replace(analytic, vector=np.where(finite, analytic.vector, 0.0))
        self.problem, self.analytic, self.options = problem, analytic, options
        self.answers: dict[int, Answer] = {}
        self.findings = Findings()
        self.verdict = DISAGREE if self.bad else AGREE
        self.reasons: list[str] = []
        # In place of one that could not be calibrated: it resolves nothing.
        self.screen = Screen(problem, analytic.vector, options.seed, Noise(math.nan, 0.0, ""))
        self.vacuous: set[str] = set()
        self.reached: dict[str, float] = {}
        self.groups: dict[str, Group] = {}
        self.seen: dict[str, Seen] = {}
        self.nothing = self.stationary = self.responds = self.kinked = False
        self.small_in_all: bool | None = None  # not asked yet: see `small`

    @cached_property
    def sizes(self) -> Array:
        """Every block's gradient as one number, shape (blocks,)."""
        return self.screen.sizes()

    @cached_property
    def precision(self) -> Array:
        """The machine epsilon of every block's gradient, shape (blocks,)."""
        return np.array(self.analytic.precision)

    @cached_property
    def rtol(self) -> dict[float, float]:
        """What entries are judged by, by the machine epsilon of their block's gradient."""
        every = self.analytic.precision
        return {eps: self.tolerance(every.index(eps)).rtol for eps in {*every}}

    def tolerance(self, position: int, analytic: float = 0.0, scale: float = 1.0) -> Tolerance:
        """Return what an entry of block number `position` is judged by."""
        own, eps = float(self.sizes[position]), self.analytic.precision[position]
        value = abs(float(self.problem.center))
        return of_block(analytic, own, scale, eps, self.options, value=value)

    def tolerance_at(self, i: int) -> Tolerance:
        """Return what one coordinate is judged by."""
        a = self.bad.get(i, float(self.analytic.vector[i]))
        return self.tolerance(position_of(self.problem.blocks, i), a, self.scale_at(i))

    @cached_property
    def sampled(self) -> Explained:
        """What the samples look like of blocks that are wrong by no pattern."""
        return in_samples(self)

    @cached_property
    def allowed(self) -> float:
        """What the tolerances of all parameters come to along a direction."""
        # Their errors add up as their squares do: of ``atol`` three times that, at most.
        parts = np.maximum(dust_of(self.precision), GROUP_RTOL)
        relative = self.norm(self.options.rtol or parts, along=True)
        blocks = self.problem.blocks if self.options.atol else ()
        return math.hypot(relative, math.sqrt(sum(self.absolute(block) ** 2 for block in blocks)))

    def absolute(self, block: Block) -> float:
        """Return what errors of `atol` in a block come to along a direction, at most."""
        if not self.options.atol:
            return 0.0
        spreads = (self.screen.spread(block, part) for part in chunks(block.size))
        square = sum(float(np.dot(spread, spread)) for spread in spreads)
        return ROUNDING_FACTOR * self.options.atol * math.sqrt(square * 13 / 12)

    @cached_property
    def zero(self) -> Array:
        """Of which blocks the gradient is zero, or what rounding leaves of a zero (bool)."""
        # So it is for a bias before a batch normalisation, and for one of the keys of attention.
        own, eps = self.sizes, self.precision
        value, found = abs(float(self.problem.center)), np.zeros(own.size, dtype=bool)
        for one in {*self.analytic.precision}:
            limits = of_block(0.0, own, 1.0, one, self.options, value=value)
            found |= (eps == one) & (own <= limits.dust)
        return found

    def norm(self, parts: Array | float = 1.0, *, along: bool = False) -> float:
        """Return the norm of gradient times scale, each block's or a part of it."""
        # `along` a direction its weights count, whose mean square is 13/12.
        unit = unit_of((float(np.abs(self.sizes).max(initial=0.0)),))
        squares = parts**2 * (self.sizes / unit) ** 2 * self.problem.counts
        total = float(np.cumsum(squares)[-1])
        return unit * math.sqrt(total * 13 / 12 if along else total)

    def confirm(self, i: int, about: float = math.inf) -> float | None:
        """Difference a parameter that may be wrong by `about`; return its error, None if untold."""
        problem, screen = self.problem, self.screen
        if i in self.bad:
            return 0.0
        s, limits = self.scale_at(i), self.tolerance_at(i)
        ladder = line_of(problem, i, screen.noise)
        part = abs(about / (SHOWN_BY * limits.analytic)) if limits.analytic else math.inf
        question = replace(limits, goal_rtol=min(GROUP_GOAL, part), goal_atol=limits.atol)
        least = least_step(problem, i)
        rung = ladder.add(screen.single * s)
        bar = ROUNDING_FACTOR * rung.sigma / (math.sqrt(2.0) * rung.h)
        smooth = abs(rung.bend) < STRAIGHT * abs(limits.analytic)
        shown = not part < GROUP_GOAL or question.settled(rung.central, bar)
        if smooth and shown and question.within(rung.central, bar):
            self.answers[i] = Answer(rung.central, bar, AGREE)
            return 0.0
        answer = refine(ladder, question, rung.h, s, least)
        self.answers[i] = answer
        if answer.verdict == OPEN:
            return None
        return limits.analytic - answer.value if answer.verdict == DISAGREE else 0.0

    def accused(self) -> dict[int, float]:
        """Return the numeric derivative of each parameter that is known to be wrong."""
        return {i: x.value for i, x in self.answers.items() if x.verdict == DISAGREE}

    def scale_at(self, i: int) -> float:
        """Return the scale of one coordinate."""
        position = position_of(self.problem.blocks, i)
        offset = i - self.problem.blocks[position].start
        return float(self.problem.scale_of(position, slice(offset, offset + 1))[0])

    def run(self) -> None:
        """Calibrate, screen, look again, localise."""
        problem = self.problem
        limit = self.options.max_evals or problem.evaluator.evaluations + self.extra
        try:
            self.screen = calibrate(problem, self.analytic, self.options)
            for i in list(self.bad)[:SHOWN_BAD]:
                ladder = line_of(problem, i, self.screen.noise)
                ladder.add(self.screen.step * self.scale_at(i))
                ladder.add(ladder.rungs[-1].h / RATIO)
                numeric = ladder.estimate()
                self.answers[i] = Answer(numeric.value, numeric.error, DISAGREE)
            if len(self.bad) < problem.size and math.isfinite(self.screen.sigma):
                if screen_all(self.screen, self.allowed):
                    self.look_again(limit)
                if self.verdict != DISAGREE and self.has_groups():
                    self.look_at_groups()
                elif self.verdict == AGREE:
                    self.look_at_blocks()
                if self.verdict != DISAGREE and self.options.kinks == "fail":
                    self.look_for_kinks()
        except BudgetExhausted:
            if not self.screen.wrong and self.small_in_all:
                self.verdict, self.findings = AGREE, Findings()
            wrong = self.verdict == DISAGREE
            end = "all that is wrong was found" if wrong else "the check was done"
            self.reasons.append(f"{EXHAUSTED} before {end}")
            self.verdict = OPEN if self.verdict == AGREE else self.verdict
        if self.verdict == AGREE and not self.resolved():
            self.verdict = OPEN
        if self.verdict == OPEN:
            self.reasons += to_settle(self.subject().ways((), self.options))

    def subject(self, *, right: bool = False) -> Subject:
        """Return what was checked, and how noisy func is seen to be along directions."""
        scheme, value = "central differences along random directions", float(self.problem.center)
        return Subject.of(self.problem, scheme, self.screen.noise, value, right=right)

    @property
    def agrees_plainly(self) -> bool:
        """Whether all agrees, and no option can make anything else of that."""
        # What is stationary, nothing or on a kink has its reason.
        untold = self.reasons or self.vacuous or self.options.threshold is not None
        return self.verdict == AGREE and not untold

    def look_again(self, limit: int) -> None:
        """Judge the direction that stands out, then find what is wrong along it."""
        screen = self.screen
        answer = reexamine(screen, self.allowed)
        search = Search(screen, self.confirm, self.allowed, limit, self.small_everywhere)
        if answer.verdict == DISAGREE:
            self.verdict = DISAGREE
            self.findings = search.found  # what it holds by then, where `max_evals` ends it
            search.run()
            if not screen.wrong and self.small():
                self.verdict, self.findings = AGREE, Findings()
        elif screen.noise.unit < NARROW:
            # Kinks may leave no steps to prove it by; an entry that explains it has its own.
            with suppress(BudgetExhausted):
                search.run(entries_alone=True)
        if not screen.wrong and (answer.verdict != DISAGREE or self.verdict == AGREE):
            excuse(screen, answer)
            return
        self.verdict = DISAGREE
        if screen.wrong or self.findings.patterns:
            return
        if screen.noise.unit > NARROW:
            # Kinks and rounding to float32 along a dense direction look alike to any ladder.
            self.verdict = DISAGREE if self.bad else OPEN
            self.reasons.append(
                "a random direction disagrees, but nothing that is wrong was found: func is "
                f"{screen.noise.format}, and noisy along it"
            )
        else:
            self.reasons.append(
                "the gradient is wrong along random directions, by no pattern that was recognised"
            )

    def small(self) -> bool:
        """Return whether rtol allows all what the directions show, and some that are asked."""
        # To be seen, one of a million must be wrong by far more than all may be.
        rtol = np.array([self.rtol[eps] for eps in self.analytic.precision])
        most = self.norm(rtol, along=True)
        if self.bad or max(map(abs, self.screen.residuals.values())) > most:
            return False
        if self.small_in_all is None:
            rng = generator(self.options.seed, Stream.ALL_SMALL)
            few = np.unique(rng.integers(self.problem.size, size=TRIED)).tolist()
            told = [self.confirm(i) for i in few]
            self.small_in_all = not any(told) and 2 * told.count(0.0) > len(told)
        return self.small_in_all

    def small_everywhere(self) -> bool:
        """Return whether all parts of the parameters are off, by what rtol allows them."""
        # Else few may be, by more, and are to be found.
        if not self.small():
            return False
        screen, shown = self.screen, np.zeros(PARTS, dtype=bool)
        least = self.allowed / math.sqrt(PARTS) + ACCUSED * screen.sigma
        for number in range(2):
            vector = screen.shift(number)
            edges = np.linspace(0, vector.size, PARTS + 1).astype(np.intp)
            for part in np.flatnonzero(~shown).tolist():
                own, w = np.zeros_like(vector), slice(edges[part], edges[part + 1])
                own[w] = vector[w]
                shown[part] = abs(screen.residual(own)) > least
        return int(np.count_nonzero(shown)) >= PARTS - 1

    def look_at_blocks(self) -> None:
        """Give a direction of its own to each block that those over all do not resolve."""
        screen = self.screen
        unseen = ACCUSED * screen.sigma + self.allowed
        norms = self.sizes * np.sqrt(self.problem.counts)
        # What is like a zero is resolved against the whole gradient.
        clear = (norms > 0) & ((unseen <= COARSEST_RTOL * norms) | self.zero)
        left = np.flatnonzero((self.problem.counts > 0) & ~clear)
        if screen.whole is not None:
            left = self.look_together(left, norms)
        for position in left.tolist():
            block, norm = self.problem.blocks[position], float(norms[position])
            if not norm:
                self.see_whether_they_move([position])
                continue
            question, answer = self.ask([position], norms)
            self.reached[block.name] = question.allowed(answer.value, answer.error) / norm
            known = CONFIDENCE * answer.error / norm <= COARSEST_RTOL and answer.verdict != DISAGREE
            if not known:
                self.doubt(block, question.analytic, answer)

    def look_together(self, left: Array, norms: Array) -> Array:
        """Give a direction to all these blocks, as often as it resolves half; return the others."""
        # Of thousands of small ones each would take as many evaluations as the whole check.
        zero, left = left[norms[left] == 0], left[norms[left] > 0]
        if zero.size > 1 and not self.see_whether_they_move(zero.tolist()):
            zero = zero[:0]
        half = True
        while half and left.size > 1:
            question, answer = self.ask(left.tolist(), norms)
            reach = question.allowed(answer.value, answer.error) / norms[left]
            seen = (reach <= COARSEST_RTOL) & (answer.verdict != DISAGREE)
            for position, own in zip(left[seen].tolist(), reach[seen].tolist(), strict=True):
                self.reached[self.problem.blocks[position].name] = own
            half, left = 2 * int(seen.sum()) >= left.size, left[~seen]
        return np.sort(np.append(zero, left))

    def ask(self, which: list[int], norms: Array) -> tuple[Tolerance, Answer]:
        """Measure along a direction through some blocks, well enough for half of them."""
        screen, blocks = self.screen, tuple(self.problem.blocks[k] for k in which)
        shift = screen.shift(0, Subset(blocks))
        coarsest = max(which, key=self.analytic.precision.__getitem__)
        norm = math.hypot(*norms[which].tolist())
        question = Tolerance(
            float(np.dot(screen.analytic, shift)),
            self.tolerance(coarsest).rtol,
            math.hypot(*map(self.absolute, blocks)),
            DUST * EPS * norm,
            COARSEST_RTOL / 4 * (float(np.median(norms[which])) / norm),
        )
        return question, refine(screen.line(shift), question, screen.step, 1.0, LEAST_ALONG)

    def see_whether_they_move(self, which: list[int]) -> bool:
        """See whether func answers to blocks of which the gradient is zero."""
        screen, evaluator = self.screen, self.problem.evaluator
        blocks = tuple(self.problem.blocks[k] for k in which)
        shift = screen.shift(0, Subset(blocks))
        values = evaluator.along(shift, (screen.step, -screen.step))
        moved = bool(np.any(values != self.problem.center))
        if not moved:
            self.vacuous.update(block.name for block in blocks)
        change = np.abs(values - self.problem.center).max()
        self.responds |= bool(change > RESPONDS * screen.noise.at(values).max())
        return moved

    def has_groups(self) -> bool:
        """Return whether func is float32, and its blocks few enough for directions of their own."""
        spent, most = self.problem.evaluator.evaluations, self.options.max_evals
        left = EXHAUSTIVE if most is None else most - spent
        filled = int(np.count_nonzero(self.problem.counts))
        enough = 2 * GROUP_DIRECTIONS * GROUP_STEPS * filled <= min(left, EXHAUSTIVE)
        return self.screen.noise.unit > NARROW and self.options.rtol is None and enough

    def look_at_groups(self) -> None:
        """Judge each block by several directions of its own, and name the part that is wrong."""
        # Of a direction over all parameters neither its noise nor what its kinks do is known well.
        screen, problem = self.screen, self.problem
        self.verdict, self.reasons = DISAGREE if self.bad else AGREE, []
        groups = Groups(problem, self.analytic, screen.noise, self.options.seed)
        for position, block in enumerate(problem.blocks):
            if not block.size:
                continue
            if not self.sizes[position] and not self.see_whether_they_move([position]):
                continue
            known = groups.block(position)
            if known.wrong is not None:
                self.accuse(known.wrong)
            elif known.verdict != AGREE:
                self.leave_open(block)
            elif known.norm:
                self.reached[block.name] = known.reach / known.norm
                self.seen[block.name] = seen_in(known, known.bound, groups.spread(position))

    def accuse(self, group: Group) -> None:
        """Keep what is known of a wrong part of a block; a single entry is one like any other."""
        self.verdict = DISAGREE
        if group.places.size > 1:
            self.groups[group.block.name] = group
            return
        value, error = group.value / group.weight, group.error / abs(group.weight)
        self.answers[int(group.places[0])] = Answer(value, error, DISAGREE)

    def leave_open(self, block: Block) -> None:
        """Say that a block can't be told, where nothing is known to be wrong."""
        if self.verdict == AGREE:
            self.verdict = OPEN
            self.reasons.append(
                f"{brief(block.name)}: func is too noisy for so small a gradient, or float32"
            )

    def look_for_kinks(self) -> None:
        """See whether func bends along a direction by what stays as the step falls."""
        screen = self.screen
        line = screen.line(screen.shift(0))
        if climb(line, follow_bend(line, screen.step, LEAST_ALONG)):
            self.kinked = True
            self.reasons.insert(0, KINKED)

    def doubt(self, block: Block, told: float, answer: Answer) -> None:
        """Conclude on a block that its own direction denies, or does not resolve."""
        gap, bar = abs(told - answer.value), PROVEN * CONFIDENCE * answer.error
        denied = answer.verdict == DISAGREE and self.screen.noise.unit < NARROW
        gross = gap > bar and (gap > GROUP_RESOLVED * abs(told) or gap > STANDS_CLEAR * bar)
        few = range(block.start, block.stop) if block.size <= EACH_ALONE else ()
        wrong = [i for i in few if self.confirm(i)] if denied else []
        if wrong or (denied and gross):
            self.verdict = DISAGREE
            self.reasons.append(
                f"{brief(block.name)}: along a direction of its own analytic {told:.6g} != numeric "
                f"{answer.value:.6g} +- {answer.error:.0e}"
            )
        else:
            self.leave_open(block)

    def resolved(self) -> bool:
        """Return whether the directions could see what was demanded of them; if not, say so."""
        screen = self.screen
        total = self.norm()
        reach = ACCUSED * screen.sigma / total if total else math.inf
        demanded = self.options.rtol or COARSEST_RTOL
        if reach <= demanded or self.seen:
            return True
        if not math.isfinite(screen.sigma):
            self.reasons.append("func is not finite near here, along random directions")
        error = self.problem.evaluator.domain_error
        if not math.isfinite(reach) and total and error is not None:
            error.add_note("gradcheck: raised by func at every step along a random direction")
            raise error
        if not self.reasons and not total:
            self.stationary, self.nothing = self.responds, not self.responds
            said = NOT_STATIONARY if self.options.vacuous == "fail" else STATIONARY
            zero = "nothing was checked: the gradient is zero in every parameter"
            self.reasons.append(said if self.responds else zero)
            return True
        if not self.reasons:
            self.reasons.append(
                f"along random directions only errors above {reach:.0e} of the gradient are seen: "
                "func is noisy or float32; pass a larger max_evals to difference every parameter"
            )
        return False


KINKED = (
    'func is not differentiable here along a random direction, and kinks="fail"; pass a larger '
    "max_evals to name the parameter"
)
"""What is said of a kink that no parameter was seen to be on."""

ZERO = "analytic is zero everywhere: never written?"

PATTERN = 16.0
"""Bits that a pattern costs: one of hundreds that were tried."""

FEW_NAMED = 2
"""So many wrong entries are named as such."""


def diagnoses_at_scale(check: AtScale, blocks: Sequence[BlockReport]) -> tuple[Diagnosis, ...]:
    """Return what a check along directions found, best first."""
    every = check.problem.blocks
    bad = tuple(every[position].name for position in sorted(by_block(every, check.bad)))
    found = [Diagnosis("not-finite", "analytic is NaN or infinite", bad, CERTAIN)] if bad else []
    found += [*_patterns(check), *map(diagnosis_of, check.groups.values())]
    found += check.sampled.diagnoses
    named = {name for diagnosis in found for name in diagnosis.blocks}
    for block in blocks:
        if block.code in ("zero", "slice") and block.name not in named:
            found.append(Diagnosis(block.code, block.hint, (block.name,), _bits(check)))
    found += _wrong_entries(check, {name for one in found for name in one.blocks})
    return tuple(sorted(found, key=lambda diagnosis: -diagnosis.bits))


def _bits(check: AtScale) -> float:
    """Return the evidence of the directions: what each residual stands above its noise."""
    screen = check.screen
    least = screen.sigma or 1e-300
    each = [math.log2(max(abs(y) / least, 1.0)) for y in screen.residuals.values()]
    total = sum(min(bits, MOST_PER_ENTRY) for bits in sorted(each)[:-1])
    return round(max(total - PATTERN, 0.0), 1)


def _patterns(check: AtScale) -> list[Diagnosis]:
    found = []
    for pattern, amount in check.findings.patterns:
        first = next(b for b in check.problem.blocks if b.name == pattern.names[0])
        sentence = pattern.sentence(amount, len(first.shape))
        if len(pattern.names) > 1 and pattern.code != "swapped":
            sentence += f", in {listing([shown(name) for name in pattern.names], 4)}"
        found.append(Diagnosis(pattern.code, sentence, pattern.names, _bits(check)))
    return found


def _wrong_entries(check: AtScale, named: set[str]) -> list[Diagnosis]:
    """Name one or two entries that alone are wrong."""
    screen = check.screen
    if check.findings.unexplained or not all(share.index for share in check.findings.shares):
        return []
    found = []
    for position, mine in sorted(by_block(check.problem.blocks, sorted(screen.wrong)).items()):
        block = check.problem.blocks[position]
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


def plainly_wrong(problem: Problem, analytic: Analytic, options: Options, noise: Noise) -> bool:
    """Return whether a gradient is wrong along a random direction, at four evaluations."""
    # It accuses of nothing: what is wrong by little, or where func bends, is for closer looks.
    check = AtScale(problem, analytic, options)
    if check.bad:
        return True
    screen = check.screen = Screen(problem, analytic.vector, options.seed, noise)
    step = relative_step(STENCILS["central"], noise.sigma, value_size(problem, analytic.vector))
    vector = screen.shift(0)
    line = screen.line(vector)
    line.add(step)
    line.add(step / RATIO)
    series = line.series("both")
    if len(series) < 2:
        return False
    (_, one, loud), (_, other, louder) = series
    off = abs(float(np.dot(analytic.vector, vector)) - other)
    return off > STANDS_CLEAR * (abs(one - other) + loud + louder + check.allowed)


def along_directions(
    problem: Problem, analytic: Analytic, options: Options, extra: int = MOST_EXTRA
) -> tuple[Subject, Rows | Callable[[], Rows]]:
    """Check all parameters at once; `extra` is as `AtScale` has it.

    Of a gradient that is right the rows are made when they are read.
    """
    check = AtScale(problem, analytic, options, extra)
    problem.evaluator.progress.accused = check.accused
    check.run()
    problem.evaluator.work.require_unchanged("func")
    shown = {i: x for i, x in check.answers.items() if x.verdict == DISAGREE or x.slopes}
    # Of no vector: a report that is kept does not keep those of a million parameters.
    passing = partial(_passing, problem.blocks, _resolutions(check), check.reached, check.seen)
    if check.agrees_plainly and not shown:
        rows = _rows(check, (), shown)
        return check.subject(right=True), lambda: replace(rows, blocks=passing())
    mine, bad = by_block(problem.blocks, shown), by_block(problem.blocks, check.bad)
    found = check.findings.by_name()
    named = {*found, *check.vacuous, *check.groups}
    left, cleared = check.findings.unexplained, check.findings.cleared
    blocks = tuple(
        _block(check, problem.blocks[k], one, [shown[i] for i in mine[k]], len(bad[k]), found)
        if k in mine or k in bad or one.name in named
        else replace(one, verdict=VERDICTS[OPEN])
        if left and one.size and one.name not in cleared
        else one
        for k, one in enumerate(passing())
    )
    return check.subject(), _rows(check, blocks, shown)


def _rows(check: AtScale, blocks: tuple[BlockReport, ...], shown: dict[int, Answer]) -> Rows:
    problem, screen = check.problem, check.screen
    directions = len(screen.residuals)
    return Rows(
        verdict=check.verdict,
        blocks=blocks,
        worst=(*map(entry_of, check.groups.values()), *_entries(check, shown)),
        difference=_difference(check),
        rtol=max(check.rtol.values()),
        checked=problem.size if directions >= SCREENED else len(check.answers),
        reasons=tuple(check.reasons),
        nothing=check.nothing,
        stationary=check.stationary,
        kinked=check.kinked or any(answer.slopes for answer in shown.values()),
        diagnoses=diagnoses_at_scale(check, blocks),
        directions=directions,
        miss=MISSED**SCREENED,
        patterns=_sentences(check),
    )


def _sentences(check: AtScale) -> tuple[str, ...]:
    said = []
    filled = np.count_nonzero(check.problem.counts)
    for pattern, amount in check.findings.patterns:
        if len(pattern.names) > 1:
            names = "every block" if len(pattern.names) == filled else listing(pattern.names)
            said.append(f"{names}: {pattern.sentence(amount, 0)}")
    for share in sorted(check.findings.shares, key=lambda one: bool(one.index)):
        of = f"{share.wrong} of {share.sampled} sampled entries"
        unlike = ", by no pattern" if share.name not in check.sampled.hints else ""
        said.append(f"{brief(share.name)}{share.index}: {of} are wrong{unlike}")
    ended = any(reason.startswith(EXHAUSTED) for reason in check.reasons)
    if check.findings.unexplained and check.screen.wrong and not ended:
        said.append("more is wrong than was found within the evaluations allowed")
    return tuple(said)


def by_block(blocks: Sequence[Block], coordinates: Iterable[int]) -> dict[int, list[int]]:
    """Return some coordinates by the number of the block that they are in."""
    found: dict[int, list[int]] = defaultdict(list)
    for i in coordinates:
        found[position_of(blocks, i)].append(i)
    return found


def _resolutions(check: AtScale) -> list[float]:
    """Return how large an error of each block would have been seen, in parts of its gradient."""
    # One that is zero is resolved against the whole gradient.
    norms = check.sizes * np.sqrt(check.problem.counts)
    norm = np.where(check.zero, check.norm(), norms)
    with np.errstate(all="ignore"):
        found = np.where(norm, (ACCUSED * check.screen.sigma + check.allowed) / norm, math.inf)
    resolutions: list[float] = found.tolist()
    return resolutions


def _passing(
    blocks: Sequence[Block],
    resolutions: Sequence[float],
    reached: Mapping[str, float],
    seen: Mapping[str, Seen],
) -> tuple[BlockReport, ...]:
    """Return the reports of blocks of which nothing is wrong."""
    return tuple(
        BlockReport(
            block.name,
            block.shape,
            block.size,
            checked=block.size,
            wrong=0,
            open=0,
            kinks=0,
            difference=math.nan,
            resolution=min(resolution, reached.get(block.name, math.inf)),
            verdict=VERDICTS[AGREE],
            entry_seen=entry_seen,
            row_seen=row_seen,
            block_seen=block_seen,
        )
        for block, resolution in zip(blocks, resolutions, strict=True)
        for entry_seen, row_seen, block_seen in [seen.get(block.name, UNSEEN)]
    )


def _block(
    check: AtScale,
    block: Block,
    passing: BlockReport,
    mine: list[Answer],
    bad: int,
    found: Mapping[str, Findings],
) -> BlockReport:
    """Return one block's report, `mine` its entries that are shown, `bad` how many are not finite.

    `passing` is what it were if all agreed, `found` what the search says of each block.
    """
    wrong = sum(answer.verdict == DISAGREE for answer in mine)
    count, hint, code = max(wrong, bad), "", ""
    own = found.get(block.name, Findings())
    for pattern, amount in own.patterns:
        count = max(count, int(entries_with(check.screen, pattern, block).size))
        code = pattern.code
        hint = pattern.sentence(amount, len(block.shape)) if len(pattern.names) == 1 else ""
    slices = [share for share in own.shares if share.index]
    whole = [share for share in own.shares if not share.index]
    count = max(count, sum(share.count for share in slices), *(share.count for share in whole))
    if whole and not np.any(check.analytic.vector[block.window]):
        hint, code = ZERO, "zero"
    elif whole:
        code, hint = check.sampled.hints.get(block.name, ("", ""))
    elif slices:
        hint, code = _of_slices(check, block, slices), "slice"
    if bad:
        hint, code = not_finite(bad, block.size), "not-finite"
    group = check.groups.get(block.name)
    if group is not None:
        hint, code = diagnosis_of(group).sentence, GROUP
    return replace(
        passing,
        wrong=count,
        kinks=sum(answer.slopes is not None for answer in mine),
        vacuous=block.name in check.vacuous,
        verdict=VERDICTS[DISAGREE if count or group else AGREE],
        hint=hint,
        code=code,
    )


def _of_slices(check: AtScale, block: Block, slices: Sequence[Share]) -> str:
    """Say which rows or columns are wrong, and that no others are, where those would show."""
    alone = all(share.alone for share in slices)
    verb, blank = "is" if len(slices) == 1 else "are", all(share.blank for share in slices)
    where = together([share.index for share in slices[::-1]])  # found from the last on
    zero = "there"
    if blank and not alone:
        every = check.analytic.vector[block.window].reshape(block.coordinate_shape) == 0
        zero = f"in {all_of(every)}"
    why = f": analytic is zero {zero}" * blank
    return f"{'only ' * alone}{where} {verb} wrong{why}"


def in_samples(check: AtScale) -> Explained:
    """Return what is seen in the samples of blocks that are wrong by no pattern."""
    # As if these blocks were all there is, and no other entries known.
    names = {share.name for share in check.findings.shares if not share.index}
    if not names:
        return Explained({}, ())
    every, bad = check.problem.blocks, by_block(check.problem.blocks, check.bad)
    which = [
        k
        for k, one in enumerate(every)
        if one.name in names and k not in bad and one.size <= MOST_EXPLAINED
    ]
    if not which:
        return Explained({}, ())
    work, stop, blocks, params = check.problem.evaluator.work, 0, [], []
    mine, last, samples = by_block(every, check.answers), 0, []
    for k in which:
        start, stop = stop, stop + every[k].size
        first, last = last, last + len(mine[k])
        blocks.append(replace(every[k], start=start, stop=stop))
        samples.append(replace(every[k], start=first, stop=last))
        params.append(work.theta[position_of(work.blocks, every[k].start)])
    numeric, error = np.full(stop, math.nan), np.full(stop, math.inf)
    allowed, verdict, kinks = np.zeros(stop), np.full(stop, OPEN), np.zeros(stop, dtype=bool)
    # Beside kinks that noise hides, one bar of fifty is too short.
    spread = KINKS_SPREAD if check.screen.noise.unit > NARROW else 1.0
    for k, block in zip(which, blocks, strict=True):
        for i in mine[k]:
            answer, here = check.answers[i], i - every[k].start + block.start
            # What can't be told from zero would speak for any formula that makes little of it.
            drowned = abs(answer.value) <= SHOWN_BY * answer.error and answer.verdict == DISAGREE
            told = answer.verdict != OPEN and not drowned
            numeric[here], verdict[here] = answer.value, answer.verdict
            error[here] = spread * answer.error if told else math.inf
            allowed[here] = check.tolerance_at(i).allowed(answer.value, answer.error)
            kinks[here] = answer.slopes is not None
    evidence = Evidence(
        blocks=blocks,
        params=np.concatenate(params),
        analytic=np.concatenate([check.analytic.vector[every[k].window] for k in which]),
        numeric=numeric,
        error_bar=error,
        allowed=allowed,
        verdict=verdict,
        kinks=kinks,
        evaluated=np.isfinite(numeric),
    )
    return explain(
        evidence,
        [check.analytic.precision[k] for k in which],
        params_known=True,
        reasons={},
        upstream=None,
        constants=check.problem.call.constants,
        approximate=approximation(
            _compared(check, {i: check.answers[i] for k in which for i in mine[k]}),
            samples,
            check.options.atol,
            sampled=True,
        ),
    )


def _difference(check: AtScale) -> float:
    """Return the difference as the residuals estimate it, entries weighed by their scales."""
    screen = check.screen
    if not screen.residuals:
        return math.nan
    norm = check.norm(along=True)
    unit = unit_of(screen.residuals.values())
    squares = sum((y / unit) ** 2 for y in screen.residuals.values())
    error = unit * math.sqrt(squares / len(screen.residuals))
    return error / (2 * norm + error) if norm else 0.0 if not error else 1.0


def _entries(check: AtScale, shown: dict[int, Answer]) -> tuple[Entry, ...]:
    """Return the parameters that were found wrong, or on a kink, as those of any check."""
    places, found = np.array(list(shown), dtype=np.intp), _compared(check, shown)
    return entries_of(found, check.problem.blocks, check.options.max_report, places)


def _compared(check: AtScale, answers: Mapping[int, Answer]) -> Comparison:
    """Return the comparison of these parameters alone, in their order."""
    limits = [check.tolerance_at(i) for i in answers]
    columns = ([getattr(one, item.name) for one in limits] for item in fields(Tolerance))
    every = np.ones(len(limits), dtype=bool)
    found = Comparison.unjudged(
        Tolerance(*map(np.array, columns)),
        np.array([answer.value for answer in answers.values()]),
        np.array([answer.error for answer in answers.values()]),
        every,
        ~every,
    )
    for k, answer in enumerate(answers.values()):
        found.verdict[k] = answer.verdict
        if answer.reason:
            found.reasons[k] = answer.reason
        if answer.slopes is not None:
            found.slopes[k] = answer.slopes
    return found
