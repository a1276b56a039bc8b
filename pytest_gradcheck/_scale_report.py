"""The report of a check along directions."""

from __future__ import annotations

import math

import numpy as np

from ._blocks import Block, labels, position_of
from ._calibrate import ACCUSED, SCREENED
from ._compare import FINEST_RTOL
from ._localise import entries_of
from ._names import brief, listing
from ._question import CONFIDENCE, DISAGREE, Answer
from ._report import VERDICTS, BlockReport, Entry, GradientReport
from ._scale import AtScale
from ._scale_diagnoses import ZERO, code_of, diagnoses_at_scale

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
