"""A check of a gradient: prepare, difference, judge, explain, report; what failed before first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .._constants import (
    AHEAD_EXTRA,
    EPS,
    EXHAUSTIVE,
    LOOKED_AHEAD,
    LOUD_CHANGE,
    MOST_EXTRA,
    NARROW,
    NOISE_SAMPLES,
    PATIENCE,
    SUSPECT_ERROR,
    SUSPECT_EVALUATIONS,
    SUSPECTS,
    WHOLE_AGAIN,
)
from .._difference.every_coordinate import (
    Sweep,
    central_row,
    differenced,
    noise_beside,
    noise_of,
    not_analytic,
    raise_domain_error,
    sweep,
    unevaluated,
    value_size,
)
from .._difference.noise_and_extrapolation import Noise
from .._difference.stencils_and_steps import at_one_step, by_another_formula
from .._evaluate.call import Call, ShapeError, exchanged
from .._evaluate.evaluator import BudgetExhausted, Progress
from .._evaluate.problem import (
    Analytic,
    Problem,
    depends_on_the_past,
    evaluate_gradient,
    prepare,
    remarks_of,
    require_callable,
)
from .._options import Options
from .._params.arrays_and_structure import Array
from .._params.layout import coordinate_of, labels, narrow, offsets_in
from .._quoting import brief, quoted
from .._report.assemble import Rows, Subject, agrees_plainly, assemble, rows_of, with_rounded
from .._report.report import VERDICTS, GradientReport
from .._verdict.groups_and_rounding import told_by_wider_grad
from .._verdict.judge import judge, plainly_right, unjudged
from .._verdict.tolerance_and_comparison import (
    AGREE,
    DISAGREE,
    NOT_FINITE,
    OPEN,
    Comparison,
    tolerance,
)
from ..hookspecs import plugin_manager

MANY_DIRECTIONS = 300
"""Evaluations that a check along directions takes, about, where something is wrong."""


def run_check(
    call: Call, grad: Any, params: Any, options: Options, eps: float = EPS
) -> GradientReport:
    """Run a check from arguments to report; the gradient is no more precise than `eps`."""
    started, asked = time.perf_counter(), remembered()
    require_callable(call.func, grad)
    try:
        call = replace(call, returns_pair=True) if grad is True else call
        problem = prepare(call, params, options)
    except (TypeError, ShapeError) as error:
        if str(error).startswith("func returned"):
            if grad is True or call.has_aux:
                error.add_note("gradcheck: of what func returns, J comes first")
            elif exchanged(call, grad, params):
                error.add_note("gradcheck: grad returns a number: are func and grad exchanged?")
        raise
    progress = problem.evaluator.progress
    with closing(problem.evaluator), progress.interruptible():
        analytic = evaluate_gradient(grad, problem, options, eps)
        label = labels(problem.blocks)
        progress.worst = partial(worst_so_far, progress, analytic.vector, label)
        # Before anything else is evaluated, which must not influence it.
        along = goes_along_directions(problem, options)
        reasons = tuple(text for text in (problem.unrepeated, analytic.unrepeated) if text)
        again = looked = noise = None
        if not reasons:
            whole = MANY_DIRECTIONS if along else 2 * problem.size
            again = look_again(problem, analytic, options, asked, whole)
        if not reasons and again is None:
            noise, looked = _looked(problem, analytic, options, along=along)
        if looked is not None:
            subject, found = looked
            doubted = not callable(found) and found.verdict != AGREE
            told = depends_on_the_past(problem, options, from_afar=doubted)[1]
            reasons = (told,) if told else ()
            if not callable(found):
                rows = found
            elif not told:
                return _passed(problem, subject, found, options, started)
        if looked is None or reasons:
            sweep, comparison, reasons = again or _one_by_one(
                problem, analytic, options, reasons, noise
            )
            problem.evaluator.work.require_unchanged("func")
            right = callable(comparison)
            subject, make = _explained(problem, analytic, sweep, reasons, options, right=right)
            if callable(comparison):
                return _passed(problem, subject, lambda: make(comparison()), options, started)
            from .follow_up_calls import experiments, with_convergence

            rows = make(comparison)
            more = experiments(rows, grad, problem, analytic, options, subject.noise)
            if more is not None:
                rows = replace(rows, diagnoses=(more, *rows.diagnoses))
            if again is None:
                rows = with_convergence(rows, problem, sweep, options)
        if rows.verdict == DISAGREE:
            from .follow_up_calls import with_lines

            rows = with_lines(rows, grad, problem, options)
        evaluations, seconds = problem.evaluator.evaluations, time.perf_counter() - started
        report = assemble(subject, rows, options, evaluations, seconds, remarks_of(problem))
    return of_suspects(report) if again is not None else report


def _looked(
    problem: Problem, analytic: Analytic, options: Options, *, along: bool
) -> tuple[Noise | None, tuple[Subject, Rows | Callable[[], Rows]] | None]:
    """Look along directions where that is asked for, or lasts less; return the noise if known."""
    if along:
        return None, _along(problem, analytic, options)
    return _ahead(problem, analytic, options) if _lasts(problem, options) else (None, None)


def _lasts(problem: Problem, options: Options) -> bool:
    """Return whether differencing every parameter lasts, by what func takes at the parameters."""
    # With ``max_evals`` or a formula given every parameter is asked for.
    if problem.size < LOOKED_AHEAD or options.max_evals is not None or options.vectorized:
        return False
    seconds = 2 * problem.size * problem.evaluator.seconds
    return seconds > PATIENCE and not by_another_formula(options)


def _ahead(
    problem: Problem, analytic: Analytic, options: Options
) -> tuple[Noise, tuple[Subject, Rows | Callable[[], Rows]] | None]:
    """Look along a direction first; return what is wrong if anything plainly is, and the noise."""
    # An entry must have been differenced alone and found wrong: nothing is accused along directions
    # that would not be accused without.
    from .along_directions import plainly_wrong

    noise = noise_of(problem, options)
    if not plainly_wrong(problem, analytic, options, noise):
        return noise, None
    subject, rows = _along(problem, analytic, options, AHEAD_EXTRA)
    if callable(rows) or not any(entry.verdict == VERDICTS[DISAGREE] for entry in rows.worst):
        return noise, None
    said = (
        "func takes long, so a direction was looked along first; "
        f"max_evals={3 * problem.size + AHEAD_EXTRA} differences every parameter"
    )
    return noise, (subject, replace(rows, patterns=(*rows.patterns, said)))


def _along(
    problem: Problem, analytic: Analytic, options: Options, extra: int = MOST_EXTRA
) -> tuple[Subject, Rows | Callable[[], Rows]]:
    """Check along directions; of a narrow gradient that is wrong, also what it is in float64."""
    from .along_directions import along_directions

    subject, rows = along_directions(problem, analytic, options, extra)
    if callable(rows) or rows.verdict != DISAGREE or analytic.wider is None:
        return subject, rows
    if (told := told_by_wider_grad(problem, analytic, options)) is None:
        return subject, rows
    wide, rounded = told
    right = along_directions(problem, replace(analytic, vector=wide), options, extra)
    found = right[1]() if callable(right[1]) else right[1]
    if found.verdict == DISAGREE:
        return subject, rows
    return (right[0], with_rounded(found, subject, rounded)) if rounded.any() else right


def _one_by_one(
    problem: Problem,
    analytic: Analytic,
    options: Options,
    reasons: tuple[str, ...],
    noise: Noise | None = None,
) -> tuple[Sweep, Comparison | Callable[[], Comparison], tuple[str, ...]]:
    """Difference every parameter and judge it, if there are no `reasons` not to."""
    # These are that func or grad does not repeat itself, and that J is another one after the sweep;
    # where it is so by little, that is the noise, and the sweep is made again.
    gap = 0.0
    if not reasons:
        with problem.evaluator.quietly():
            sweep, comparison, told = _judged(problem, analytic, options, noise)
            if not told and not at_one_step(options):
                gap, told = depends_on_the_past(problem, options)
            if not told and gap > max(LOUD_CHANGE * sweep.noise.sigma, problem.jitter):
                sweep, comparison, _ = _judged(replace(problem, jitter=gap), analytic, options)
        if not told:
            return sweep, comparison, ()
        reasons = (told,)
    sweep = unevaluated(problem)
    limits = tolerance(
        analytic.vector, sweep.numeric, problem.scale, problem.blocks, analytic.precision, options
    )
    return sweep, unjudged(limits, sweep), reasons


def _judged(
    problem: Problem, analytic: Analytic, options: Options, noise: Noise | None = None
) -> tuple[Sweep, Comparison | Callable[[], Comparison], str]:
    """Difference and judge; a sentence says why what a complex step found does not hold."""
    # Where all of it plainly agrees the comparison is one to be made when a report is read.
    if noise is None and (seen := _first_look(problem, analytic, options)):
        return *seen, ""
    sweep = differenced(problem, analytic, options, noise)
    told = not_analytic(problem, sweep, options) if options.scheme == "complex" else ""
    if options.threshold is None and (right := plainly_right(problem, analytic, sweep, options)):
        return sweep, right, told
    comparison = judge(problem, analytic, sweep, options)
    if NOT_FINITE in comparison.reasons.values():
        raise_domain_error(problem)
    plain = options.threshold is None and agrees_plainly(comparison)
    return sweep, (lambda: comparison) if plain else comparison, told


def _first_look(
    problem: Problem, analytic: Analytic, options: Options
) -> tuple[Sweep, Callable[[], Comparison]] | None:
    """Difference few parameters before func's noise is measured; return what plainly agrees."""
    # To measure the noise takes as many evaluations as this. That all entries agree within bars of
    # too little noise does not happen by chance; where one does not, nothing of this is used.
    few = 0 < 2 * problem.size + 2 <= NOISE_SAMPLES
    asked = options.max_evals is not None or options.threshold is not None
    if not few or asked or by_another_formula(options) or narrow(problem.blocks):
        return None
    size = value_size(problem, analytic.vector)
    noise = noise_beside(problem, options)
    if noise.unit > NARROW and problem.evaluator.narrow is None:
        return None  # three values don't tell a narrow format from the grid of terms
    found = sweep(problem, central_row(options), noise, options, size)
    right = plainly_right(problem, analytic, found, options)
    return (found, right) if right else None


def _explained(
    problem: Problem,
    analytic: Analytic,
    sweep: Sweep,
    reasons: tuple[str, ...],
    options: Options,
    *,
    right: bool,
) -> tuple[Subject, Callable[[Comparison], Rows]]:
    """Return what was checked, and what makes rows of a comparison; of a `right` one, any time."""
    subject = Subject.of(problem, sweep.title, sweep.noise, float(problem.center), right=right)
    asked: dict[str, Any] = {}
    if not right:  # else neither func nor what it reads is kept with the report
        from .follow_up_calls import acts_through

        subject = replace(subject, constants=problem.call.constants)
        asked["upstream"] = partial(acts_through, problem, options, sweep.noise.sigma)
    return subject, partial(
        rows_of,
        subject,
        options=options,
        scale=problem.scale,
        theta=problem.theta,
        precision=analytic.precision,
        reasons=reasons,
        **asked,
    )


def _passed(
    problem: Problem,
    subject: Subject,
    rows: Callable[[], Rows],
    options: Options,
    started: float,
) -> GradientReport:
    """Return the report of a gradient that is right, whose rows are made when they are read."""
    remarks, evaluations = remarks_of(problem), problem.evaluator.evaluations
    seconds = time.perf_counter() - started

    def whole() -> GradientReport:
        return assemble(subject, rows(), options, evaluations, seconds, remarks)

    known = {"evaluations": evaluations, "seconds": seconds, "name": subject.name}
    return GradientReport.later(whole, ok=True, verdict=VERDICTS[AGREE], warning="", **known)


def goes_along_directions(problem: Problem, options: Options) -> bool:
    """Return whether differencing every parameter takes more evaluations than are allowed."""
    if by_another_formula(options):
        return False
    most = EXHAUSTIVE if options.max_evals is None else options.max_evals
    noise = NOISE_SAMPLES - 1  # J at the parameters is known
    return problem.evaluator.evaluations + 2 * problem.size + noise > most


def of_suspects(report: GradientReport) -> GradientReport:
    """Return a report that claims nothing of the parameters that were not looked at."""
    whole = {block.name for block in report.blocks if block.checked == block.size}
    blocks = tuple(
        block
        if block.name in whole
        else replace(block, hint="", code="")
        if block.wrong
        else replace(block, verdict=VERDICTS[OPEN], vacuous=False, hint="", code="")
        for block in report.blocks
    )
    # A factor explains the one entry that was looked at, whatever the others are.
    diagnoses = tuple(one for one in report.diagnoses if whole.issuperset(one.blocks))
    return replace(report, blocks=blocks, diagnoses=diagnoses, vacuous=(), repeated=True)


def at_points(
    check: Callable[[Any], GradientReport], params: Any, points: Any, grad: Any, what: str = "grad"
) -> GradientReport:
    """Check at every point; return the report of the first that fails, or the worst known one."""
    # It holds those of all points. `params` is the one point where `points` is None; of several
    # points the analytic derivative, which errors call `what`, must be a function.
    if points is None:
        if params is None:
            given = grad is True or callable(grad)
            order = "" if given else f"; the order is func, {what}, params"
            raise TypeError(f"params is missing: pass params, or points=[params, ...]{order}")
        return check(params)
    if params is not None:
        raise TypeError("pass params or points, not both: points=[params, ...] has every point")
    if isinstance(points, (str, dict)) or not isinstance(points, Iterable):
        raise TypeError(
            f"points must be a list of params, or another iterable, not {type(points).__name__}"
        )
    if grad is not True and not callable(grad):
        raise TypeError(
            f"{what} must be a function where there are points: a derivative that you have is one "
            "point's alone"
        )
    reports = []
    for number, point in enumerate(points):
        try:
            reports.append(replace(check(point), at=f"points[{number}]"))
        except Exception as error:
            error.add_note(f"gradcheck: at points[{number}]")
            raise
    if not reports:
        raise ValueError("points is empty: nothing would be checked")
    failed = [report for report in reports if not report.ok]
    shown = failed[0] if failed else max(reports, key=lambda report: report.resolution)
    return replace(
        shown,
        points=tuple(reports),
        evaluations=sum(report.evaluations for report in reports),
        seconds=sum(report.seconds for report in reports),
        warning=next((report.warning for report in reports if report.warning), ""),
    )


# What stands out in a check before it is over: for a live line, and for whoever interrupts it


STANDS_OUT = 1e-6
"""Analytic and numeric that differ by less than this part of them, or by what noise explains, do
not stand out before the check has looked again."""


def worst_so_far(progress: Progress, analytic: Array, label: Callable[[int], str]) -> str:
    """Return the entry of `analytic`, shape (n,), that stands out most so far, or nothing."""
    found, note = _confirmed(progress, analytic), "confirmed"
    if found is None:
        found, note = _apparent(progress, analytic), "not confirmed"
    if found is None:
        return ""
    i, numeric = found
    return f"{brief(label(i))}: analytic {float(analytic[i]):.6g}, numeric {numeric:.6g} ({note})"


def _confirmed(progress: Progress, a: Array) -> tuple[int, float] | None:
    """Return what is most wrong of the entries that were looked at again."""
    wrong = progress.accused()

    def gap(i: int) -> float:
        size = abs(float(a[i]) - wrong[i])
        return size if math.isfinite(size) else math.inf

    worst = max(wrong, key=gap, default=None)
    return None if worst is None else (worst, wrong[worst])


def _apparent(progress: Progress, a: Array) -> tuple[int, float] | None:
    """Return the entry whose two sides differ most, beside their size and func's noise."""
    so_far = progress.so_far()
    if so_far is None or not so_far[0].size:
        return None
    place, numeric, noise = so_far
    with np.errstate(all="ignore"):
        size = np.fmax(np.abs(a[place]), np.abs(numeric))
        gap = np.abs(a[place] - numeric)
        score = np.asarray(gap / (STANDS_OUT * size + noise), dtype=np.float64)
    score[~np.isfinite(a[place])] = math.inf
    score[np.isnan(score)] = 0.0
    k = int(np.argmax(score))
    return (int(place[k]), float(numeric[k])) if score[k] > 1 else None


# Parameters that were wrong in the last run are differenced before all others.
#
# Whoever implements the hook ``gradcheck_suspects`` remembers them; here they are found again by
# their labels, and confirmed in the way that every parameter is before it is accused. Where a whole
# check takes no time to speak of it is made at once: it says more.


def remembered() -> Sequence[str]:
    """Return the labels of parameters that were wrong in the last run."""
    # Called at the beginning of every check: whoever remembers counts them.
    labels: list[str] = []
    for said in plugin_manager().hook.gradcheck_suspects():
        if not isinstance(said, (list, tuple)) or not all(isinstance(one, str) for one in said):
            raise TypeError(
                f"gradcheck_suspects returned {quoted(said)}; return a list or tuple of labels "
                '("W2[1, 3]"), or None'
            )
        labels += said
    return labels


def look_again(
    problem: Problem, analytic: Analytic, options: Options, asked: Sequence[str], whole: int
) -> tuple[Sweep, Comparison, tuple[str, ...]] | None:
    """Difference what was wrong in the last run; return it, as `_one_by_one`, if it still is."""
    # It alone is in the sweep, and disagrees, and nothing is open. Unknown labels are passed over.
    # Where nothing is returned the whole check, of about `whole` evaluations, is to be made, and is
    # not influenced.
    if not asked or problem.evaluator.seconds * whole <= WHOLE_AGAIN:
        return None
    places = [coordinate_of(problem.blocks, label) for label in asked[:SUSPECTS]]
    which = np.unique([i for i in places if i is not None]).astype(np.intp)
    # The whole check could still be made behind this, as if this had not been.
    most = math.inf if options.max_evals is None else options.max_evals
    spare = most - problem.evaluator.evaluations - 2 * problem.size
    affordable = spare >= SUSPECT_EVALUATIONS * (which.size + 2)
    if at_one_step(options) or not which.size or not affordable:
        return None
    try:
        noise = noise_of(problem, options)
        size = value_size(problem, analytic.vector)
        chosen = offsets_in(problem.blocks, which)
        found = sweep(problem, central_row(options), noise, options, size, chosen)
    except BudgetExhausted:
        return None
    # Tolerances are relative to the block: the analytic gradient stands in for what was not
    # differenced.
    a = analytic.vector
    left = np.ones(problem.size, dtype=bool)
    left[which] = False
    numeric, finite = found.numeric.copy(), left & np.isfinite(a)
    numeric[finite] = a[finite]
    made = judge(problem, analytic, replace(found, numeric=numeric), options)
    numeric = np.where(left, np.nan, made.numeric)
    with np.errstate(invalid="ignore"):
        faint = np.abs(a - numeric) <= SUSPECT_ERROR * made.tolerance.rms
    # Of the others nothing is said, of those that can't be told neither.
    wrong = (made.verdict == DISAGREE) & ~left & ~faint
    still = int(np.count_nonzero(wrong))
    if not still:
        return None
    made = replace(
        made,
        numeric=numeric,
        verdict=np.where(wrong, DISAGREE, AGREE).astype(np.int8),
        reasons={i: reason for i, reason in made.reasons.items() if wrong[i]},
        slopes={i: slopes for i, slopes in made.slopes.items() if wrong[i]},
    )
    those = "1 parameter that was" if still == 1 else f"{still} parameters that were"
    are = "is" if still == 1 else "are"
    said = f"{those} wrong in the last run still {are}; the others were not checked"
    return found, made, (said,)
