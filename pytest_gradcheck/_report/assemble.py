"""From the stages of a check to its report: what each block and the whole check come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._diagnosis.causes import Explained, Upstream, explain, unknown
from .._options import Options
from .._params.layout import Block, labels, position_of
from .._params.structure import Structure
from .._quoting import brief
from .._verdict.comparison import Comparison, Evidence, Ladder
from .._verdict.tolerance import (
    AGREE,
    CONFIDENCE,
    DISAGREE,
    KINK,
    OPEN,
    Tolerance,
    relative_difference,
)
from .reasons import LARGE, reasons_of
from .report import VERDICTS, BlockReport, Entry, GradientReport

Array = np.ndarray[Any, Any]

GIVEN = "given"
"""The precision of two gradients that are compared: there are no parameters."""

MOST_ENTRIES = 10_000
"""Entries of a report, unless more are to be shown: a million take many seconds to make."""


@dataclass(frozen=True)
class Finding:
    """All that a report is made from; vectors of shape (n,)."""

    name: str
    structure: Structure
    blocks: Sequence[Block]
    theta: Array
    scale: Array
    comparison: Comparison
    flat: Array
    evaluated: Array
    value: float
    noise: float
    precision: str
    evaluations: int
    scheme: str
    reasons: tuple[str, ...] = ()
    precision_of: tuple[float, ...] = ()
    may_be_zero: frozenset[str] = frozenset()
    """Blocks that are no sign of a check of nothing where they are zero."""
    upstream: Upstream = unknown


@dataclass(frozen=True)
class _Judged:
    """The verdicts with the options applied, and what they are ranked by; vectors of shape (n,)."""

    verdicts: Array
    kinked: Array
    reference: Array
    ratio: Array
    gap: Array
    allowed: Array


def assemble(finding: Finding, options: Options, seconds: float) -> GradientReport:
    """Return the report of a check.

    Parameters
    ----------
    finding : Finding
    options : Options
    seconds : float

    Returns
    -------
    GradientReport
    """
    a = finding.comparison.analytic
    judged = _judged(finding, options)
    evidence = _evidence(finding, judged)
    explained = explain(
        evidence,
        finding.precision_of,
        params_known=finding.precision != GIVEN,
        reasons=finding.comparison.reasons,
        upstream=finding.upstream,
    )
    blocks = tuple(_block(finding, block, judged, explained) for block in finding.blocks)
    names = {block.name for block in finding.blocks}
    wrong = int(np.count_nonzero(judged.verdicts == DISAGREE))
    left = int(np.count_nonzero(judged.verdicts == OPEN))
    seen = finding.evaluated
    difference = relative_difference(a[seen], judged.reference[seen])
    vacuous = tuple(block.name for block in blocks if block.vacuous)
    nothing = not a.size or bool(finding.reasons) or _all_zero(finding)
    whole = _whole(wrong, left, nothing)
    ok, warning = _passes(whole, vacuous, left, nothing, difference, finding, options)
    if whole == "agree" and vacuous and options.vacuous == "fail":
        whole = "inconclusive"
    resolutions = [block.resolution for block in blocks if block.checked and not block.vacuous]
    return GradientReport(
        name=finding.name,
        ok=ok,
        verdict=whole,
        difference=difference,
        size=int(a.size),
        checked=int(np.count_nonzero(seen)),
        wrong=wrong,
        open=left,
        kinks=int(np.count_nonzero(judged.kinked)),
        evaluations=finding.evaluations,
        seconds=seconds,
        rtol=options.rtol,
        atol=options.atol,
        rtol_used=float(finding.comparison.tolerance.rtol.max(initial=options.rtol or 0.0)),
        threshold=options.threshold,
        resolution=max(resolutions, default=math.inf),
        noise=finding.noise,
        precision=finding.precision,
        value=finding.value,
        seed=options.seed,
        scheme=finding.scheme,
        blocks=blocks,
        worst=_entries(finding, judged, options.max_report),
        reasons=reasons_of(finding, whole, left, nothing),
        warning=warning,
        vacuous=vacuous,
        skipped=tuple(leaf.name for leaf in finding.structure.leaves if leaf.name not in names),
        max_report=options.max_report,
        evidence=evidence,
        diagnoses=explained.diagnoses,
    )


def _judged(finding: Finding, options: Options) -> _Judged:
    found, kinked = finding.comparison, finding.comparison.kinked
    verdicts = found.verdict.copy()
    if options.kinks == "fail":
        verdicts[kinked & (verdicts != DISAGREE)] = OPEN
    return _Judged(verdicts, kinked, _reference(found), *_ratio(found, verdicts))


def _evidence(finding: Finding, judged: _Judged) -> Evidence:
    return Evidence(
        blocks=finding.blocks,
        params=finding.theta,
        analytic=finding.comparison.analytic,
        numeric=finding.comparison.numeric,
        error_bar=finding.comparison.error,
        allowed=judged.allowed,
        verdict=judged.verdicts,
        kinks=judged.kinked,
        evaluated=finding.evaluated,
        ladders=worst_ladders(finding.comparison.ladders, judged.verdicts, judged.ratio),
    )


def _reference(found: Comparison) -> Array:
    """Return the numeric gradient that is compared: at a kink, the nearest subgradient."""
    reference = found.numeric.copy()
    for i, (backward, forward) in found.slopes.items():
        if found.verdict[i] != DISAGREE:
            a = float(found.analytic[i])
            reference[i] = min(max(a, min(backward, forward)), max(backward, forward))
    return reference


def _ratio(found: Comparison, verdicts: Array) -> tuple[Array, Array, Array]:
    """Return the error over what would have passed, and both; infinity where not finite."""
    a, limits = found.analytic, found.tolerance
    allowed = limits.allowed(found.numeric, found.error)
    with np.errstate(all="ignore"):
        gap = np.abs(a - found.numeric).astype(np.float64)
        ratio = (gap / allowed).astype(np.float64)
    ratio[~np.isfinite(a) | (~np.isfinite(found.numeric) & (verdicts == DISAGREE))] = math.inf
    gap[np.isinf(a)] = math.inf
    for i, (backward, forward) in found.slopes.items():
        outside = max(min(backward, forward) - a[i], a[i] - max(backward, forward), 0.0)
        size = limits.rtol[i] * max(abs(a[i]), abs(backward), abs(forward))
        ratio[i] = outside / max(limits.atol[i] + size, 1e-300)
    ratio[np.isnan(ratio)] = 0.0
    ratio[(verdicts == DISAGREE) & (ratio < 1)] = 1.0
    return ratio, gap, allowed


def _block(finding: Finding, block: Block, judged: _Judged, explained: Explained) -> BlockReport:
    w = block.window
    a, mine = finding.comparison.analytic[w], judged.verdicts[w]
    seen = finding.evaluated[w]
    wrong = int(np.count_nonzero(mine == DISAGREE))
    left = int(np.count_nonzero(mine == OPEN))
    vacuous = bool(
        block.size and seen.all() and not wrong and finding.flat[w].all() and not np.any(a)
    )
    vacuous = vacuous and block.name not in finding.may_be_zero
    hint = explained.hints.get(block.name)
    return BlockReport(
        name=block.name,
        shape=block.shape,
        size=block.size,
        checked=int(np.count_nonzero(seen)),
        wrong=wrong,
        open=left,
        kinks=int(np.count_nonzero(judged.kinked[w])),
        difference=relative_difference(a[seen], judged.reference[w][seen]),
        resolution=_resolution(finding, block),
        verdict=VERDICTS[1] if wrong else VERDICTS[2] if left else VERDICTS[0],
        vacuous=vacuous,
        hint=hint.sentence if hint else "",
        code=hint.code if hint else "",
    )


def _resolution(finding: Finding, block: Block) -> float:
    """Return the worst relative error bar of the block's large entries; infinity for none."""
    w, found, limits = block.window, finding.comparison, finding.comparison.tolerance
    bar = CONFIDENCE * found.reach[w]
    if np.all(np.abs(found.analytic[w]) <= limits.dust[w]):
        # A relative error of zero is none: what would be seen is a part of the whole gradient.
        scale = finding.scale
        with np.errstate(all="ignore"):
            whole = float(np.max(limits.rms * scale, initial=0.0))
            most = float(np.max(bar * scale[w], initial=0.0))
        return most / whole if whole else math.inf
    size = np.abs(found.numeric[w])
    with np.errstate(all="ignore"):
        large = (size > 0) & (size >= LARGE * limits.rms[w]) & np.isfinite(bar)
        ratios = bar[large] / size[large]
    return float(ratios.max()) if ratios.size else math.inf


def _all_zero(finding: Finding) -> bool:
    """Return whether both gradients are zero within the error bars, in every entry."""
    found, a = finding.comparison, finding.comparison.analytic
    if not a.size or (found.verdict != AGREE).any() or found.slopes:
        return False
    bar = CONFIDENCE * found.reach
    with np.errstate(all="ignore"):
        zero = (np.abs(a) <= bar) & (np.abs(found.numeric) <= bar)
    return bool((zero | (finding.flat & (a == 0))).all())


def _whole(wrong: int, left: int, nothing: bool) -> str:
    if wrong:
        return VERDICTS[1]
    return VERDICTS[2] if left or nothing else VERDICTS[0]


def _passes(
    whole: str,
    vacuous: tuple[str, ...],
    left: int,
    nothing: bool,
    difference: float,
    finding: Finding,
    options: Options,
) -> tuple[bool, str]:
    """Apply the options: does a test pass, and with what warning."""
    if whole == "disagree":
        return False, ""
    if options.threshold is not None and not difference < options.threshold:
        return False, ""
    if options.kinks == "fail" and finding.comparison.slopes:
        return False, ""
    ways = []
    if left or finding.reasons:
        ways.append((options.inconclusive, "inconclusive"))
    if vacuous or (nothing and not finding.reasons):
        ways.append((options.vacuous, "nothing was checked"))
    if any(way == "fail" for way, _ in ways):
        return False, ""
    said = [text for way, text in ways if way == "warn"]
    return True, f"gradcheck of {brief(finding.name)}: {', '.join(said)}" if said else ""


def _entries(finding: Finding, judged: _Judged, most: int) -> tuple[Entry, ...]:
    """Return what is wrong, open or on a kink, worst first; else the entry that differs most."""
    found, a = finding.comparison, finding.comparison.analytic
    verdicts, kinked, ratio, gap = judged.verdicts, judged.kinked, judged.ratio, judged.gap
    rank = np.where(verdicts == DISAGREE, 2, np.where(verdicts == OPEN, 1, 0))
    chosen = np.flatnonzero((rank > 0) | kinked)
    if not chosen.size and a.size and finding.evaluated.any():
        chosen = np.array([int(np.argmax(np.where(finding.evaluated, ratio, -1.0)))])
    # NaN before infinity before the rest.  Ratios within a tenth of a decade are equal: what is
    # twice as large as it should be everywhere has its worst where the error is largest.
    decades = np.round(np.log10(np.maximum(ratio[chosen], 1e-300)), 1)
    order = np.lexsort((-gap[chosen], -decades, ~np.isnan(a[chosen]), -rank[chosen]))
    label = labels(finding.blocks)
    entries = []
    kept = chosen[order][: max(MOST_ENTRIES, most)] if most else chosen[order]
    for i in kept.tolist():
        block = finding.blocks[position_of(finding.blocks, i)]
        entries.append(
            Entry(
                label=label(i),
                block=block.name,
                index=block.index(i - block.start),
                analytic=float(a[i]),
                numeric=float(found.numeric[i]),
                error_bar=float(found.error[i]),
                error=float(gap[i]),
                ratio=float(ratio[i]),
                verdict=VERDICTS[int(verdicts[i])],
                reason=found.reasons.get(i, "") or (KINK if kinked[i] else ""),
                slopes=found.slopes.get(i),
            )
        )
    return tuple(entries)


def finding_of_two(
    numeric: Array,
    bar: Array,
    limits: Tolerance,
    *,
    name: str,
    scheme: str,
    structure: Structure,
    blocks: Sequence[Block],
    evaluations: int = 0,
    precision_of: Sequence[float] = (),
    may_be_zero: frozenset[str] = frozenset(),
) -> Finding:
    """Return what a report is made from, of two gradients of which none was differenced here.

    Parameters
    ----------
    numeric, bar : ndarray, shape (n,)
        `bar` is the error bar of `numeric`, which is the one that is right.
    limits : Tolerance
    name, scheme, structure, blocks, evaluations, precision_of, may_be_zero
        As `Finding` has them.

    Returns
    -------
    Finding
    """
    n = numeric.size
    found = Comparison.unjudged(limits, numeric, bar)
    finite = np.isfinite(found.analytic) & np.isfinite(numeric)
    found.verdict[:] = np.where(found.within() & finite, AGREE, DISAGREE)
    return Finding(
        name=name,
        structure=structure,
        blocks=blocks,
        theta=numeric,  # there are no parameters: nothing is said of them
        scale=np.ones(n),
        comparison=found,
        flat=numeric == 0,
        evaluated=np.ones(n, dtype=bool),
        value=math.nan,
        noise=0.0,
        precision=GIVEN,
        precision_of=tuple(precision_of),
        evaluations=evaluations,
        scheme=scheme,
        may_be_zero=may_be_zero,
    )


MOST_LADDERS = 8
"""So many ladders of a check are kept, the worst."""


def worst_ladders(ladders: Mapping[int, Ladder], verdict: Array, ratio: Array) -> dict[int, Ladder]:
    """Return the ladders of what is wrong, then of what is open, the worst first."""
    told = (i for i in ladders if verdict[i])
    # Verdicts are 1 for wrong and 2 for open.
    order = sorted(told, key=lambda i: (int(verdict[i]), -float(ratio[i]), i))
    return {i: ladders[i] for i in order[:MOST_LADDERS]}


def contradicted(report: GradientReport, remark: str) -> GradientReport:
    """Return a report that fails for what the analytic side says of itself."""
    return replace(report, ok=False, verdict="disagree", reasons=(remark, *report.reasons))
