"""From what a check found to its report: what passes, and why something can't be told."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._constants import COARSEST_RTOL, CONFIDENCE, FINEST_RTOL, STANDS_CLEAR
from .._difference.noise_and_extrapolation import Noise
from .._evaluate.call import name_of
from .._evaluate.problem import Problem
from .._options import Options
from .._params.arrays_and_structure import ROOT, Array, Structure
from .._params.layout import Block, are_plain, labels, leaves_of, position_of
from .._quoting import brief, listing, rounded_up
from .._verdict.tolerance_and_comparison import (
    AGREE,
    DISAGREE,
    GRAD_ROUNDED,
    KINK,
    NOISY,
    NOT_FINITE,
    OPEN,
    TOGETHER,
    UNSEEN,
    Comparison,
    Evidence,
    Group,
    Ladder,
    Verdict,
    counts,
    largest_of,
    relative_difference,
    relative_differences,
)
from .report import VERDICTS, BlockReport, Entry, GradientReport

if TYPE_CHECKING:
    from .._diagnosis.causes import Explained, Upstream
    from .._diagnosis.evidence_and_places import Diagnosis
    from .._source.lines import SourceLine

GIVEN = "given"  # the precision of two gradients that are compared: there are no parameters
GROUP, NOISE = "group", "noise"  # codes of a part of a block that is wrong, and of noise
# Entries of a report, unless more are to be shown: a million take many seconds to make.
MOST_ENTRIES = 10_000
# Verdicts in the order of entries: what is wrong, what is open, what agrees.
_RANK = np.array([2, 0, 1])
MOST_LADDERS = 8  # so many ladders of a check are kept, the worst


@dataclass(frozen=True)
class Subject:
    """What was checked, and how: func's name, the layout, the formula in words, what was left out.

    `value` is J at the parameters, `noise` its standard deviation, `precision` the format it has;
    `constants` is asked after a failure what of func's data has which value or length; `params` are
    the arrays that are checked, by name, `jacobian` whether of many outputs.
    """

    name: str
    blocks: Sequence[Block]
    scheme: str
    skipped: tuple[str, ...] = ()
    value: float = math.nan
    noise: float = 0.0
    precision: str = GIVEN
    constants: Callable[[], Mapping[float, str]] = dict
    params: Mapping[str, Any] = field(default_factory=dict)
    jacobian: bool = False

    @classmethod
    def of(
        cls, problem: Problem, scheme: str, noise: Noise, value: float, *, right: bool = False
    ) -> Subject:
        """Return what was checked of a func that was differenced."""
        # Where the gradient is `right` there is nothing to ask of the user's arrays, and a report
        # that is kept does not keep them.
        structure, blocks = problem.structure, problem.blocks
        which = () if right else leaves_of(blocks)
        return cls(
            name_of(problem.call.func),
            blocks,
            scheme,
            left_out(structure, blocks),
            value,
            noise.sigma,
            noise.format,
            params={structure.names[k]: structure.values[k] for k in which},
        )

    @property
    def noisy(self) -> str:
        """Half a sentence: how noisy func is."""
        what = "float32" if self.precision == "float32" else "noisy"
        return f"func is {what}, with noise {self.noise:.0e} in J = {self.value:.4g}"

    def ways(self, told: Sequence[str], options: Options) -> tuple[str, ...]:
        """Return what would make func less noisy, the best first, as lines to write."""
        # Of a wide format nothing is said. `told` are the blocks that agree.
        found, referred = [], options.reference is not None
        if self.precision in ("float32", "float16", "bfloat16"):
            found += [_in_double(self.params)]
            found += [] if referred else ["reference=the same function in double"]
            found += [] if self.jacobian else [MOVES_MORE]
            if told and not self.jacobian:
                found.append(f"only={list(told[:FEW_TOLD])!r}, which is what can be told")
        averaged = options.nondet_tol and not referred and self.precision != GIVEN
        return (*found, AVERAGED) if averaged else tuple(found)


@dataclass(frozen=True)
class Rows:
    """What a check found, block by block; no option has said yet what of it passes.

    `rtol` is the largest relative tolerance that was applied, `reasons` are sentences about the
    whole check; `nothing`: both gradients are zero and func answers to no parameter, or there is
    none; `stationary`: both are zero, and func answers; `kinked`: a kink was seen.
    The rest is as `GradientReport` has it.
    """

    verdict: Verdict
    blocks: tuple[BlockReport, ...]
    worst: tuple[Entry, ...]
    difference: float
    rtol: float
    checked: int
    reasons: tuple[str, ...] = ()
    nothing: bool = False
    stationary: bool = False
    kinked: bool = False
    diagnoses: tuple[Diagnosis, ...] = ()
    evidence: Evidence | None = None
    directions: int = 0
    miss: float = 0.0
    patterns: tuple[str, ...] = ()
    lines: tuple[SourceLine, ...] = ()


def assemble(
    subject: Subject,
    rows: Rows,
    options: Options,
    evaluations: int,
    seconds: float,
    remarks: tuple[str, ...] = (),
) -> GradientReport:
    """Return the report of a check."""
    blocks = rows.blocks
    vacuous = tuple(block.name for block in blocks if block.vacuous)
    verdict, ok, warning = _passes(subject.name, rows, vacuous, options)
    resolutions = [block.resolution for block in blocks if block.checked and not block.vacuous]
    return GradientReport(
        name=subject.name,
        ok=ok,
        verdict=verdict,
        difference=rows.difference,
        size=sum(block.size for block in blocks),
        checked=rows.checked,
        wrong=sum(block.wrong for block in blocks),
        open=sum(block.open for block in blocks),
        kinks=sum(block.kinks for block in blocks),
        evaluations=evaluations,
        seconds=seconds,
        rtol=options.rtol,
        atol=options.atol,
        rtol_used=rows.rtol,
        threshold=options.threshold,
        resolution=max(resolutions, default=math.inf),
        noise=subject.noise,
        precision=subject.precision,
        value=subject.value,
        seed=options.seed,
        scheme=subject.scheme,
        blocks=blocks,
        worst=rows.worst,
        reasons=rows.reasons,
        warning=warning,
        vacuous=vacuous,
        skipped=subject.skipped,
        max_report=options.max_report,
        directions=rows.directions,
        miss=rows.miss,
        patterns=rows.patterns,
        remarks=remarks,
        evidence=rows.evidence,
        diagnoses=rows.diagnoses,
        lines=rows.lines,
        coarse=any(block.block_seen is not None for block in blocks),
    )


def _passes(
    name: str, rows: Rows, vacuous: tuple[str, ...], options: Options
) -> tuple[str, bool, str]:
    """Apply the options: return the verdict in words, whether a test passes, and the warning."""
    if rows.verdict == DISAGREE:
        return VERDICTS[DISAGREE], False, ""
    kinked = options.kinks == "fail" and rows.kinked
    open_ = rows.verdict == OPEN or kinked
    untold = rows.nothing or rows.stationary or bool(vacuous)
    why = ", ".join(["inconclusive", *rows.reasons[:1]])
    ways = {why: options.inconclusive} if open_ else {}
    of = f" of {listing(vacuous)}" if vacuous and not rows.nothing else ""
    if options.vacuous == "note":
        ways |= {"nothing was checked": "fail"} if rows.nothing else {}
    elif untold:
        ways[f"nothing was checked{of}"] = options.vacuous
    left = open_ or rows.nothing or (untold and options.vacuous == "fail")
    over = options.threshold is not None and not rows.difference < options.threshold
    ok = not (over or kinked or "fail" in ways.values())
    said = ", ".join(text for text, way in ways.items() if way == "warn")
    warning = f"gradcheck of {brief(name)}: {said}" if ok and said else ""
    return VERDICTS[OPEN if left else AGREE], ok, warning


def agrees_plainly(found: Comparison) -> bool:
    """Return whether every entry agrees and no option can make anything else of that."""
    # There is no kink, nothing that func does not answer to, and the gradient is not zero.
    if found.verdict.any() or found.slopes or found.groups or found.seen or found.inner:
        return False
    if (found.flat & (found.analytic == 0)).any():
        return False
    return bool((np.abs(found.numeric) > CONFIDENCE * found.error).any())


def rows_of(
    subject: Subject,
    found: Comparison,
    options: Options,
    *,
    scale: Array,
    theta: Array | None = None,
    precision: Sequence[float] = (),
    reasons: tuple[str, ...] = (),
    may_be_zero: frozenset[str] = frozenset(),
    upstream: Upstream | None = None,
    given: bool = False,
) -> Rows:
    """Return what a check comes to that compared two gradients entry by entry."""
    # `theta` are the parameters (n,), where there are any; `precision` the machine epsilon of each
    # block's analytic gradient, unset that of float64; `reasons` say why not all was compared; a
    # block that `may_be_zero` is no sign of a check of nothing; `upstream` tells whether func reads
    # some blocks through others; `given`: a baseline says what is allowed, and no rtol can.
    from .._diagnosis.causes import approximation, explain

    seen = found.evaluated
    reference = _reference(found) if found.slopes else found.numeric
    evidence = Evidence(
        blocks=subject.blocks,
        params=found.numeric if theta is None else theta,
        analytic=found.analytic,
        numeric=found.numeric,
        error_bar=found.error,
        allowed=found.tolerance.allowed(found.numeric, found.error),
        verdict=found.verdict,
        kinks=found.kinked,
        evaluated=seen,
        ladders=worst_ladders(found),
    )
    explained = explain(
        evidence,
        precision,
        params_known=theta is not None,
        reasons=found.reasons,
        upstream=upstream,
        constants=subject.constants,
        approximate=None if given else approximation(found, subject.blocks, options.atol),
    )
    blocks = _blocks(found, subject.blocks, reference, scale, explained, may_be_zero)
    wrong = any(block.verdict == VERDICTS[DISAGREE] for block in blocks)
    left = any(block.open for block in blocks) or bool(reasons)
    zero, answers = not reasons and _all_zero(found), bool(found.answers.any())
    told = {name for one in explained.diagnoses if one.code != NOISE for name in one.blocks}
    groups = [diagnosis_of(one) for one in found.groups if one.block.name not in told]
    # Of groups, those count here in whose block no entry is known to be wrong.
    alone = [one for one in found.groups if not (found.verdict[one.block.window] == DISAGREE).any()]
    rows = Rows(
        verdict=DISAGREE if wrong else OPEN if left else AGREE,
        blocks=blocks,
        worst=(*map(entry_of, alone), *entries_of(found, subject.blocks, options.max_report)),
        difference=relative_difference(found.analytic[seen], reference[seen]),
        rtol=float(found.tolerance.rtol.max(initial=options.rtol or 0.0)),
        checked=int(np.count_nonzero(seen)),
        reasons=reasons,
        nothing=zero and not answers,
        stationary=zero and answers,
        kinked=bool(found.slopes),
        diagnoses=(*groups, *explained.diagnoses),
        evidence=evidence,
    )
    unmoved = _unmoved(explained, subject, found)
    return replace(rows, reasons=reasons_of(found, rows, unmoved, subject, options))


def _unmoved(explained: Explained, subject: Subject, found: Comparison) -> str:
    """Return in words which parameters func does not answer to, though their gradient is wrong."""
    # At a stationary point func moves, and does not slope.
    moved = {b.name for b in subject.blocks if b.size and found.answers[b.window].any()}
    names = tuple(name for name in explained.unmoved if name not in moved)
    if not names or subject.precision == GIVEN:  # there is no func
        return ""
    every = len(names) == sum(block.size > 0 for block in subject.blocks)
    return "any parameter" if every else listing(names)


def _reference(found: Comparison) -> Array:
    """Return the numeric gradient that is compared: at a kink, the nearest subgradient."""
    reference = found.numeric.copy()
    for i, (backward, forward) in found.slopes.items():
        if found.verdict[i] != DISAGREE:
            a = float(found.analytic[i])
            reference[i] = min(max(a, min(backward, forward)), max(backward, forward))
    return reference


def _ratio(found: Comparison) -> tuple[Array, Array]:
    """Return the error over what would have passed, and the error; infinity where not finite."""
    a, limits, wrong = found.analytic, found.tolerance, found.verdict == DISAGREE
    with np.errstate(all="ignore"):
        gap = np.abs(a - found.numeric).astype(np.float64)
        ratio = (gap / limits.allowed(found.numeric, found.error)).astype(np.float64)
    ratio[~np.isfinite(a) | (~np.isfinite(found.numeric) & wrong)] = math.inf
    gap[np.isinf(a)] = math.inf
    for i, (backward, forward) in found.slopes.items():
        outside = max(min(backward, forward) - a[i], a[i] - max(backward, forward), 0.0)
        size = limits.rtol[i] * max(abs(a[i]), abs(backward), abs(forward))
        ratio[i] = outside / max(limits.atol[i] + size, 1e-300)
    ratio[np.isnan(ratio)] = 0.0
    ratio[wrong & (ratio < 1)] = 1.0
    return ratio, gap


def _blocks(
    found: Comparison,
    blocks: Sequence[Block],
    reference: Array,
    scale: Array,
    explained: Explained,
    may_be_zero: frozenset[str],
) -> tuple[BlockReport, ...]:
    """Return what was found of each block; vectors are worked on whole, as blocks may be many."""
    a, seen, verdict = found.analytic, found.evaluated, found.verdict
    columns = zip(
        blocks,
        counts(seen, blocks),
        counts(verdict == DISAGREE, blocks),
        counts(verdict == OPEN, blocks),
        counts(seen & found.flat & (a == 0), blocks),
        relative_differences(a, reference, seen, blocks),
        _resolutions(found, blocks, scale),
        strict=True,
    )
    kinks = Counter(position_of(blocks, i) for i in found.slopes)
    made: list[BlockReport] = []
    for block, checked, wrong, left, still, difference, resolution in columns:
        groups = [diagnosis_of(group) for group in found.groups if group.block == block]
        code, said = explained.hints.get(block.name, ("", ""))
        if groups and code in ("", NOISE):
            code, said = GROUP, groups[0].sentence
        entry_seen, row_seen, block_seen = found.seen.get(block.start, UNSEEN)
        vacuous = 0 < block.size == still and block.name not in may_be_zero
        made.append(
            BlockReport(
                name=block.name,
                shape=block.shape,
                size=block.size,
                checked=checked,
                wrong=wrong,
                open=left,
                kinks=kinks[len(made)],
                difference=difference,
                resolution=resolution,
                verdict=VERDICTS[DISAGREE if wrong or groups else OPEN if left else AGREE],
                vacuous=vacuous,
                hint=said,
                code=code,
                entry_seen=entry_seen,
                row_seen=row_seen,
                block_seen=block_seen,
            )
        )
    return tuple(made)


def _by_about(group: Group) -> str:
    """Return in words by how much a group is wrong, and what of it is not known."""
    digits = 2 if group.alike else 1  # of three directions the rest is chance
    much = f"about {float(f'{100 * group.part:.{digits}g}'):g} %"
    if not group.part < STANDS_CLEAR:
        much = "many times its size"
    size = f"{group.places.size:,}"
    if group.alike:
        return f"by {much}; its {size} entries can't all be told"
    return f"by {much} in all; in which of its {size} entries can't be told"


def diagnosis_of(group: Group) -> Diagnosis:
    """Return what is known of a wrong group as a hint."""
    from .._diagnosis.evidence_and_places import CERTAIN, Diagnosis

    whole = "all of it" if group.alike else "it"
    name = group.label if group.label != group.block.name else whole
    return Diagnosis(GROUP, f"{name} is wrong, {_by_about(group)}", (group.block.name,), CERTAIN)


def entry_of(group: Group) -> Entry:
    """Return a wrong group as what stands for it among entries: a direction through it."""
    gap = abs(group.told - group.value)
    return Entry(
        label=group.label,
        block=group.block.name,
        index=(),
        analytic=group.told,
        numeric=group.value,
        error_bar=group.error,
        error=gap,
        ratio=gap / (CONFIDENCE * group.error),
        verdict=VERDICTS[DISAGREE],
        reason=f"along a direction: {_by_about(group)}",
    )


def _resolutions(found: Comparison, blocks: Sequence[Block], scale: Array) -> list[float]:
    """Return of each block the largest error that would have passed, relative to large entries."""
    # Infinity where nothing is known of any of them.
    limits, reach = found.tolerance, found.reach
    allowed = limits.allowed(found.numeric, reach)
    with np.errstate(all="ignore"):
        told, size = np.abs(found.analytic), np.abs(found.numeric)
        large = (size > 0) & (size >= LARGE * limits.rms) & np.isfinite(reach)
        # `rtol` is a part of the larger of both: a wrong analytic value makes nothing coarse.
        ratios = np.where(large, allowed / np.fmax(size, told), -math.inf)
        faint = counts(told <= limits.dust, blocks)
        zero = np.array(faint) == [block.size for block in blocks]
        most = largest_of(ratios, blocks)
        if zero.any():
            # A relative error of zero is none: what is not seen is a part of the whole gradient,
            # if that is more than rounding.
            clear = size > CONFIDENCE * found.error
            whole = float(np.max((limits.rms * scale)[clear], initial=0.0))
            unseen = largest_of(np.maximum(CONFIDENCE * reach, limits.atol) * scale, blocks)
            most = np.where(zero, unseen / whole if whole else math.inf, most)
    unknown = np.isneginf(most)
    return list(map(float, np.where(unknown, math.inf, most)))


def _all_zero(found: Comparison) -> bool:
    """Return whether both gradients are zero within the error bars, in every entry."""
    if (found.verdict != AGREE).any() or found.slopes:
        return False
    a = found.analytic
    with np.errstate(all="ignore"):
        zero = np.abs(found.numeric) <= CONFIDENCE * found.error
        zero &= np.abs(a) <= CONFIDENCE * found.reach
    return bool((zero | (found.flat & (a == 0))).all())


def entries_of(
    found: Comparison, blocks: Sequence[Block], most: int, places: Array | None = None
) -> tuple[Entry, ...]:
    """Return what is wrong, open or on a kink, worst first; else the entry that differs most."""
    # `places` are the coordinates that are compared, where they are not all.
    a, verdicts = found.analytic, found.verdict
    ratio, gap = _ratio(found)
    chosen = np.flatnonzero((verdicts != AGREE) | found.kinked)
    if not chosen.size and found.evaluated.any():
        chosen = np.array([int(np.argmax(np.where(found.evaluated, ratio, -1.0)))])
    if chosen.size > 1:
        # NaN before infinity before the rest.  Ratios within a tenth of a decade are equal: what is
        # twice as large as it should be everywhere has its worst where the error is largest.
        decades = np.round(np.log10(np.maximum(ratio[chosen], 1e-300)), 1)
        ranks = _RANK[verdicts[chosen]]
        chosen = chosen[np.lexsort((-gap[chosen], -decades, ~np.isnan(a[chosen]), ranks))]
    label = labels(blocks)
    entries = []
    kept = chosen[: max(MOST_ENTRIES, most)] if most else chosen
    for i in kept.tolist():
        place = i if places is None else int(places[i])
        block = blocks[position_of(blocks, place)]
        entries.append(
            Entry(
                label=label(place),
                block=block.name,
                index=block.index(place - block.start),
                analytic=float(a[i]),
                numeric=float(found.numeric[i]),
                error_bar=float(found.error[i]),
                error=float(gap[i]),
                ratio=float(ratio[i]),
                verdict=VERDICTS[int(verdicts[i])],
                reason=found.reasons.get(i, "") or (KINK if i in found.slopes else ""),
                slopes=found.slopes.get(i),
            )
        )
    return tuple(entries)


def left_out(structure: Structure, blocks: Sequence[Block]) -> tuple[str, ...]:
    """Return the names of the leaves that are not checked, and of how many entries of others."""
    if len(blocks) == len(structure.names) and are_plain(blocks):
        return ()  # nearly always, and there may be tens of thousands
    checked = {block.leaf: block for block in blocks}
    names = []
    for k, leaf in enumerate(structure.leaves):
        block = checked.get(k)
        if block is None:
            names.append(leaf.name)
        elif block.places is not None:
            names.append(f"{leaf.name} ({leaf.size - block.shape[0]} of {leaf.size} entries)")
    return tuple(names)


def worst_ladders(found: Comparison) -> dict[int, Ladder]:
    """Return the ladders of what is wrong, then of what is open, the worst first."""
    ladders, verdict, ratio = found.ladders, found.verdict, _ratio(found)[0]
    # Verdicts are 1 for wrong and 2 for open.
    told = sorted((int(verdict[i]), -float(ratio[i]), i) for i in ladders if verdict[i])
    return {i: ladders[i] for *_, i in told[:MOST_LADDERS]}


def contradicted(report: GradientReport, remark: str) -> GradientReport:
    """Return a report that fails for what the analytic side says of itself."""
    return replace(report, ok=False, verdict="disagree", reasons=(remark, *report.reasons))


# Why a check can't tell, or checked nothing, and what would settle it: in sentences

LARGE = 0.01  # the resolution is that of entries at least this part of their block's gradient
STATIONARY = (
    "analytic and numeric are zero within the error bars, at a stationary point: a wrong factor "
    "would not be seen here"
)
# A remark, and where `vacuous` makes it a failure, what to do.
NOT_STATIONARY = (
    "nothing was checked: analytic and numeric are zero within the error bars; check at a point "
    "that is not stationary"
)


UNANSWERED = "func answers to no parameter, while the gradient is not zero"


def reasons_of(
    found: Comparison, rows: Rows, unmoved: str, subject: Subject, options: Options
) -> tuple[str, ...]:
    """Return the sentences that say why a check can't tell, and what would settle it."""
    # Some are known already; `unmoved` names the parameters that func does not answer to, though
    # their gradient is not zero.
    said, flat = list(rows.reasons), bool(found.flat.all())
    # What is small beside the rounding of J moves nothing, and larger steps may have told it.
    what, in_place = "the gradient", " (in_place=True)"
    if subject.jacobian:  # whose checks take no such options
        what, in_place = "its derivative", ""
    # Nor says it anything that J stands still, where its rounding hides as much as grad claims.
    untold = (np.abs(found.analytic) > found.tolerance.dust) & (found.verdict != AGREE)
    untold &= ~found.within()
    large = flat and bool(untold.any())
    if large and not np.any(found.numeric):
        said.append(
            f"{UNANSWERED}: does it read other arrays{in_place} or remember results by "
            f"identity{'' if subject.jacobian else ' (copy=True)'}?"
        )
    elif unmoved:
        said.append(
            f"func does not move with {unmoved}, while the gradient there is not zero: does it "
            f"round on the way (a straight-through estimator), or read other arrays{in_place}?"
        )
    if found.inner:
        said.append(f"func rounds to {found.inner} on the way to J")
    if together := len(found.reasoned(TOGETHER)):
        said.append(
            f"{together:,} entries, each between its own two slopes, are no subgradient together: "
            "those of a max at a tie add up to 1"
        )
    if found.groups or (found.verdict == DISAGREE).any():
        return tuple(said)
    if rows.nothing and not said:
        if not found.analytic.size:
            return ("nothing was checked: there is no parameter to difference",)
        if flat:
            return (
                f"nothing was checked: func is constant in every parameter, and {what} zero: "
                f"does it read other arrays{in_place}?",
            )
        return (
            "nothing was checked: func answers to no parameter beyond its rounding, and the "
            "gradient is zero but for that",
        )
    if rows.stationary and not said:
        return (NOT_STATIONARY if options.vacuous == "fail" else STATIONARY,)
    left = np.flatnonzero(found.verdict == OPEN).tolist()
    counts = Counter(found.reasons.get(i, "") for i in left if i not in found.slopes)
    reach = _reach(found) if NOISY in counts else math.inf
    if options.rtol is not None and options.rtol < FINEST_RTOL:
        reach = max(reach, FINEST_RTOL)  # beyond it another rtol takes other steps
    said += [_advice(reason, count, subject, reach) for reason, count in counts.most_common()]
    told = [block.name for block in rows.blocks if block.verdict == VERDICTS[AGREE]]
    if set(counts) == {GRAD_ROUNDED} and not _are_double(subject.params):
        said += to_settle([_in_double(subject.params)])
    if counts.keys() & {NOISY, NOT_FINITE} and (ways := subject.ways(told, options)):
        said += to_settle(ways, math.inf if options.rtol is not None else reach)
    return tuple(text for text in said if text)


def with_rounded(rows: Rows, subject: Subject, rounded: Array) -> Rows:
    """Return rows in which these entries are open: rounding alone puts grad off; bool, (n,)."""
    open_ = [int(np.count_nonzero(rounded[block.window])) for block in subject.blocks]
    blocks = tuple(
        replace(one, verdict=VERDICTS[OPEN], open=count) if count else one
        for one, count in zip(rows.blocks, open_, strict=True)
    )
    said = f"{sum(open_):,} undecided: {GRAD_ROUNDED}", *to_settle([_in_double(subject.params)])
    return replace(rows, verdict=OPEN, blocks=blocks, reasons=(*rows.reasons, *said))


def _advice(reason: str, count: int, subject: Subject, reach: float) -> str:
    if reason != NOISY:
        return f"{count:,} undecided: {reason}" if reason else ""
    could = (
        f"; rtol={rounded_up(reach):g} could be concluded"
        if FINEST_RTOL <= reach < COARSEST_RTOL
        else "; no useful rtol could be concluded at these parameters"
    )
    return f"{count:,} undecided: {subject.noisy}{could}"


def _reach(found: Comparison) -> float:
    """Return the relative tolerance that could be concluded of all that is open."""
    open_ = found.verdict == OPEN
    with np.errstate(all="ignore"):
        # rtol is not asked of entries far below their block's gradient.
        size = np.fmax(found.tolerance.size(found.numeric), LARGE * found.tolerance.rms)[open_]
        needed = CONFIDENCE * found.error[open_] / size
    finite = needed[np.isfinite(needed) & (size > 0)]
    return float(finite.max()) if finite.size else math.inf


def to_settle(ways: Sequence[str], reach: float = math.inf) -> list[str]:
    """Return in sentences what would settle a check that noise left open, the best first."""
    # `reach` is the relative tolerance that could be concluded, where that is to be said.
    coarser = [f"rtol={rounded_up(reach):g}"] if reach <= COARSEST_GIVEN else []
    return [f"{'or' if k else 'to settle it'}: {way}" for k, way in enumerate([*ways, *coarser])]


def _are_double(params: Mapping[str, Any]) -> bool:
    return all("64" in str(getattr(value, "dtype", "64")) for value in params.values())


def _in_double(params: Mapping[str, Any]) -> str:
    """Return the line that makes a check one in double precision."""
    if _are_double(params):
        return "compute in float64 inside func"
    library = type(next(iter(params.values()))).__module__.partition(".")[0]
    if library == "torch":
        return "model.double(), and double data"
    if library.startswith("jax"):
        return 'jax.config.update("jax_enable_x64", True), and double data'
    if set(params) == {ROOT}:
        return "params.astype(np.float64), and double data"
    if all(map(str.isidentifier, params)):
        return "{k: v.astype(np.float64) for k, v in params.items()}, and double data"
    return "v.astype(np.float64) of every array in params, and double data"


MOVES_MORE = "a loss that moves more: (out * weights).sum() with random weights, not a mean"
# Where J differs by chance: the best step leaves an error bar in proportion to σ^(2/3).
AVERAGED = "reference=the mean of 64 evaluations of func, for error bars a quarter as large"
FEW_TOLD = 3  # blocks that are named in `only`
COARSEST_GIVEN = 0.3  # no coarser rtol is offered
