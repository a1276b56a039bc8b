"""What the error of a gradient looks like: for each block a hint, for the check diagnoses.

Everything here is a pure function of arrays.  `evidence_and_places` says what evidence is, and
where; `factors` and `terms_and_permutations` are the tables of formulas.  A cause is chosen for as
many blocks as it explains, the one with the most evidence first; what is left is located, or laid
to the backward pass where just the blocks before some layer are wrong.  A wrong hint is worse
than none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .._constants import COARSEST_RTOL, CONFIDENCE, DEMANDED_IN_BLOCK
from .._params.arrays_and_structure import Array
from .._params.layout import Block
from .._quoting import brief, layer_numbers, one_digit, rounded_up, shown, together
from .._verdict.tolerance_and_comparison import (
    AGREE,
    BENDS,
    DISAGREE,
    JUMP,
    KINK,
    NOISY,
    OPEN,
    Comparison,
    Evidence,
    common_size,
    shared,
    spread,
)
from .evidence_and_places import (
    CERTAIN,
    ODD,
    OFFERED,
    BlockData,
    Diagnosis,
    Located,
    Place,
    Predicted,
    Repair,
    Suggest,
    all_of,
    gained,
    gains_of,
    is_named_in,
    locate,
    named,
)
from .factors import REPAIRS, UNCHANGED, chain, factor, factor_per_slice
from .terms_and_permutations import INTERCEPT, REARRANGED, target_words, targets, term

# Formulas that hold at some entries of a block alone, the others being rightly as they are.
#
# A term that an intercept lacks, a factor in a few rows, a target that is not subtracted: each is a
# formula of the wrong entries, and costs besides what it takes to say which those are.

# Formulas that say something of each entry by itself.
ENTRY_BY_ENTRY: tuple[Suggest, ...] = (factor, term, chain)
PARTIAL = 8.0  # further bits when only some entries have the formula
# Wrong entries of which a formula is a cause; one is a place, and its formula costs more bits.
FEWEST, ALONE = 2, 4.0


def in_part(block: BlockData) -> Iterator[Repair]:
    """Name a formula of the wrong entries, and where those are or which it spares."""
    asked = block.asked
    if np.count_nonzero(asked) < FEWEST or not np.any(block.valid & ~asked) or block.sampled:
        return
    if not block.analytic[asked].any() or block.still[asked].all():
        return  # never written, or not masked: a place, and what is off there is one of the two
    for repair in holding(block.only(asked), ENTRY_BY_ENTRY):
        found = _part(block, repair) if repair.part else None
        if found is None:
            continue
        where, spared, _ = found

        def apply(
            other: BlockData, repair: Repair = repair, key: tuple[object, ...] = (where.key, spared)
        ) -> Predicted | None:
            theirs = _part(other, repair)
            if theirs is None or (theirs[0].key, theirs[1]) != key:
                return None
            return Predicted(np.where(other.wrong, theirs[2], other.analytic))

        def place(other: BlockData, repair: Repair = repair) -> str:
            theirs = _part(other, repair)
            return theirs[0].where if theirs else ""

        target = target_words(repair) if where.single and not block.parameter else ""
        names = "" if is_named_in(repair.part) else " of {names}"
        begin, end = (", except in ", "") if spared else (" in ", ", the rest is right")
        usual = spared and not where.cost and not repair.fitted
        yield Repair(
            "target" if target else repair.code,
            (*repair.key, where.key, spared),
            f"{repair.part}{begin}{{where}}{end}{target}",
            apply,
            repair.prior + (INTERCEPT if usual else PARTIAL + where.cost),
            told=f"{repair.part}{begin}{where.where}{names}{end}{target}",
            fitted=repair.fitted,
            place=place,
        )


def holding(block: BlockData, suggestions: Sequence[Suggest]) -> Iterator[Repair]:
    """Yield the repairs that hold in a block, of all that are suggested."""
    for suggest in suggestions:
        yield from (repair for repair in suggest(block) if repair.bits(block) is not None)


def _part(block: BlockData, repair: Repair) -> tuple[Place, bool, Array] | None:
    """Return the entries with the formula, or (True) the fewer that it spares, and its values."""
    predicted = repair.apply(block)
    assert predicted is not None  # a formula of each entry by itself
    due: Array = ~(np.abs(predicted.values - block.analytic) <= block.slack)
    spared = block.valid & ~block.wrong & due
    if not spared.any():
        return None
    few = bool(np.count_nonzero(spared) <= np.count_nonzero(block.asked))
    place = named(spared, block.asked) if few else named(block.asked, spared)
    return place, few, predicted.values


def said_of(block: BlockData, name: str) -> str:
    """Return what the wrong entries of a block look like, whatever the others are; or ""."""
    only = block.only(block.asked)
    _, best = _formula_of(only)
    if best is None:
        return ""
    alone = only.analytic.size == 1 and not block.parameter  # of a Jacobian there are no targets
    target = target_words(best) if alone else ""
    return f": {best.part.format(name)} there{target}"


def _formula_of(only: BlockData) -> tuple[float, Repair | None]:
    """Return the best formula of entries that are all wrong, and its bits, if it is offered."""
    every = (repair for repair in holding(only, ENTRY_BY_ENTRY) if repair.part)
    weighed = [((repair.bits(only) or 0.0) - repair.prior, repair) for repair in every]
    bits, best = max(weighed, key=lambda pair: pair[0], default=(0.0, None))
    enough = bits >= OFFERED + (ALONE if only.analytic.size < FEWEST else 0.0)
    return (bits, best) if enough else (0.0, None)


def in_sample(block: BlockData) -> Cause | None:
    """Return what the wrong ones of a sample have in common, wherever they are."""
    asked, seen = block.asked, int(np.count_nonzero(block.known))
    count = int(np.count_nonzero(asked))
    if not block.sampled or count < FEWEST:
        return None
    which = f"all {count} wrong ones of {seen}" if count < seen else f"all {count}"
    zero = block.analytic == 0
    if zero[asked].all():
        # Those that are wrong are zero by chance as often as all are; what is said is no more than
        # what is seen.
        part, right = float(zero.mean()), block.valid & ~asked
        bits = -count * math.log2(part)
        text = f"analytic is zero in {which} sampled entries"
        if not zero[right].any() and part < 1:
            bits -= int(np.count_nonzero(right)) * math.log2(1 - part)
            there = int(np.count_nonzero(block.known & zero))
            much = f"all {there}" if count == there else f"{count} of {there}"
            sampled = f"wrong in {much} sampled there, in none elsewhere"
            text = f"analytic is zero in {all_of(zero)}: {sampled}"
        if bits < ODD:
            return None
        return Cause("zero", (block.name,), CERTAIN, 0.0, {block.name: text}, text)
    bits, best = _formula_of(block.only(asked))
    if best is None:
        return None
    text = f"{best.part.format(shown(block.parameter or block.name))} in {which} sampled entries"
    return Cause(best.code, (block.name,), bits, best.prior, {block.name: text}, text)


# Right to some digits: an error that all entries share, as a solver that stops early leaves it.
#
# It is a cause only where nothing stands out: no formula holds, and no entry is far beyond the
# others.  What is named is computed to pass.

# Digits that all wrong entries have in common with the numeric ones, or are a bug.
FEWEST_DIGITS = 3
# Part of its block's gradient that an error is at most, where a solver's tolerance is absolute.
SMALL = 1e-4
# Errors so many times as large as all right entries' are no part of the same spread; nor are one or
# two that are so far beyond the other wrong ones.
FAR, LONE = 30.0, 100.0
# An error is relative while small entries have at most so much more of it than large ones.
SPREAD = 10.0
# Errors that are one part of their entries to this are a factor, which no tolerance makes, unless
# it is 1 in five digits: two ways to solve an ill-conditioned system differ by one.
SAME = 1e-2
MARGIN = 1.1  # by how much a tolerance is wider than what was seen: another step sees another error
# So few wrong entries are compared with all right ones, not only with those of their blocks.
FEW = 2


@dataclass(frozen=True)
class Approximation:
    """What is said of a gradient that is right to some digits: beside a block, and of the check.

    `bits` are what the wrong entries have in common with the numeric ones.
    """

    hint: str
    told: str
    bits: float


def approximation(
    found: Comparison, blocks: Sequence[Block], atol: float | None, *, sampled: bool = False
) -> Approximation | None:
    """Return to how many digits, or to what part of their blocks, all entries are right."""
    # `atol` is what was demanded. None: some are plainly wrong, stand out, or were not looked at.
    # `sampled`: there are others that were not.
    limits, wrong = found.tolerance, found.verdict == DISAGREE
    known = np.isfinite(found.analytic) & np.isfinite(found.numeric) & ~found.kinked
    if not wrong.any() or not found.evaluated.all() or not known[wrong].all():
        return None
    excess = _one_factor(found, wrong)
    if abs(excess) >= UNCHANGED:
        return None
    with np.errstate(all="ignore"):
        gap, bar = np.abs(found.analytic - found.numeric), CONFIDENCE * found.error
        # Entries are off by this at least, and by this at most.
        net = np.where(known, np.maximum(gap - bar, 0.0), 0.0)
        most = np.where(known, gap + bar, 0.0)
        size = limits.size(found.numeric)
        unit = size + (_allowed_by_rtol(net, limits.rms, blocks) if atol is None else 0.0)
        relative, part = (float((net / x)[wrong].max()) for x in (size, limits.rms))
        by_unit, by_block = (np.nan_to_num([net / x, most / x]) for x in (unit, limits.rms))
    advice, count = "", int(np.count_nonzero(wrong))
    # One absolute error for all is a large relative one of small entries alone.
    alike = relative <= SPREAD * float(by_unit[0, wrong].max()) or part > SMALL
    if 0 < relative <= 10.0**-FEWEST_DIGITS and alike and not _stands_out(by_unit, wrong, blocks):
        where = f"in all {wrong.size} sampled entries" if sampled else "everywhere"
        hint = f"agrees to {round(-math.log10(relative))} digits {where}"
        sign = "-" if excess < 0 else "+"
        hint += f" (all off by a factor of 1 {sign} {abs(excess):.1g})" if excess else ""
        advice = f"{hint}: if J or the gradient is approximate by design, rtol="
        # What agrees must be resolved to an rtol that is given, too.
        told = (found.verdict == AGREE) & (np.abs(found.analytic) > np.maximum(bar, limits.dust))
        coarse = CONFIDENCE * found.reach[told] / np.maximum(unit[told], 1e-300)
        least = max(limits.rtol.max(), coarse[coarse <= COARSEST_RTOL].max(initial=0.0))
        needed, bits = max(least, by_unit[0, wrong].max()), -math.log2(relative) * count
    elif 0 < part <= SMALL and not _stands_out(by_block, wrong, blocks):
        largest = float(np.max(by_block[0], where=limits.rms > 0, initial=0.0))
        errors = "sampled errors" if sampled else "errors"
        hint = f"all {errors} are below {one_digit(rounded_up(largest))} of the block"
        advice = f"{hint}: a solver's tolerance? atol="
        needed, bits = (net - limits.rtol * size).max(), -math.log2(part) * count
    if not advice:
        return None
    passes = "allows for that" if sampled or (found.verdict == OPEN).any() else "passes"
    advice += f"{one_digit(rounded_up(MARGIN * float(needed)))} {passes}"
    return Approximation(hint, advice, bits)


def _allowed_by_rtol(net: Array, rms: Array, blocks: Sequence[Block]) -> Array:
    """Return what a demanded rtol allows entries that are off by `net`, over rtol, (n,)."""
    allowed = DEMANDED_IN_BLOCK * spread([common_size(rms[b.window]) for b in blocks], blocks)
    return np.where(net <= shared(net, rms, blocks), allowed, 0.0)


def _one_factor(found: Comparison, wrong: Array) -> float:
    """Return by how much the one factor of all that is wrong is above 1, or 0.

    Of one entry, a factor such as 1.001.
    """
    a, n, bar = (x[wrong] for x in (found.analytic, found.numeric, found.error))
    if not n.all():
        return 0.0
    with np.errstate(all="ignore"):
        excess, same = float(np.median(a / n - 1)), SAME
        if n.size == 1:
            excess, same = float(f"{excess:.0e}"), SAME / 10
        close = same * abs(excess) * np.abs(n)
        told = np.count_nonzero(3 * bar <= close) >= min(n.size, 2)
        told &= bool(np.all(np.abs(a - n - excess * n) <= close + 3 * bar))
    return excess if told else 0.0


def _stands_out(off: Array, wrong: Array, blocks: Sequence[Block]) -> bool:
    """Return whether a wrong entry is far beyond others, or all wrong ones beyond the right ones.

    `off`, of shape (2, n), is how large each error is at least and at most.  That of many wrong
    ones must be beyond what any right one's can be; of one or two, beyond what most can and each is
    seen to be.
    """
    few = np.count_nonzero(wrong) <= FEW
    for window in [slice(None)] if few else [block.window for block in blocks]:
        least, most = off[:, window]
        errors, right = np.sort(least[wrong[window]])[::-1], ~wrong[window]
        if errors.size and right.any():
            near = max(np.median(most[right]), least[right].max()) if few else most[right].max()
            if errors[-1] > FAR * near:
                return True
        first = errors[: FEW + 1]
        if np.any(first[:-1] > LONE * first[1:]):
            return True
    return False


# Hints of blocks, and what the whole check is told

# All formulas that are tried.
SUGGESTIONS = (*REPAIRS, term, targets, factor_per_slice, chain, *REARRANGED, in_part)

# Codes whose sentences name parameters, not blocks of a gradient.
OF_THETA = ("chain", "theta", "sign-theta")
# Codes of entries in other places.
MOVED = ("transposed", "reshaped", "rolled", "flipped", "swapped")
MOST = 8  # diagnoses kept
TIE = 6.0  # bits within which the simpler of two stories is told first
RIVAL = 10.0  # bits within which the second story is told as well
# Bits that it costs to say that a block is another's: both ways, one way, or lacks it.
EXCHANGED, COPIED, TIED = 12.0, 20.0, 16.0
LEAST_TIED = 2  # entries of a block that may lack another's gradient

# Says whether some blocks act on func through others; it asks func, where there is one.
Upstream = Callable[[Sequence[str], Sequence[str]], bool]


@dataclass(frozen=True)
class Cause:
    """One story about some blocks: a sentence for each alone (`hints`), one for all (`told`).

    `bits` is the evidence, `prior` what of it the formula cost.
    """

    code: str
    names: tuple[str, ...]
    bits: float
    prior: float
    hints: dict[str, str]
    told: str


@dataclass(frozen=True)
class Candidate:
    """What tells a story of the blocks that are still left, or None; it is `about` no others."""

    about: frozenset[str]
    tell: Callable[[Collection[str]], Cause | None]


def causes(
    blocks: Sequence[BlockData],
    upstream: Upstream | None = None,
    approximate: Approximation | None = None,
) -> list[Cause]:
    """Return what is wrong, best first, of all blocks of a check, right ones too, in their order.

    `upstream` is asked before the backward pass is blamed; `approximate`, that all is right to some
    digits, is told where no formula holds, and then no place is.
    """
    wrong = {block.name: block for block in blocks if block.wrong.any() and not block.unmoved}
    chosen: list[Cause] = []
    rivals: list[Cause] = []
    candidates = [*_repaired(wrong), *_exchanged(blocks, wrong)]
    left = dict(wrong)
    told = [candidate.tell(left) for candidate in candidates]
    while left:
        stories = [story for story in told if story is not None and story.bits >= OFFERED]
        if not stories:
            break
        most = max(story.bits for story in stories)
        near = [story for story in stories if story.bits > most - TIE]
        best = min(near, key=lambda story: (-len(story.names), story.prior))
        chosen.append(best)
        others = [story for story in stories if story.names == best.names and story is not best]
        others = [s for s in others if s.bits > most - RIVAL and s.code != best.code]
        if best.code in MOVED:  # the same entries in the same places, in other words
            others = [s for s in others if s.code not in MOVED]
        rivals += sorted(others, key=lambda story: -story.bits)[:1]
        for name in best.names:
            del left[name]
        # Of thousands of blocks with an error each, most stories are about others, and stay.
        told = [
            story if candidate.about.isdisjoint(best.names) else candidate.tell(left)
            for candidate, story in zip(candidates, told, strict=True)
        ]
    if approximate is not None and left and not chosen:
        hints = dict.fromkeys(left, approximate.told if len(left) == 1 else approximate.hint)
        bits = min(approximate.bits, CERTAIN)
        return [Cause("approximate", tuple(left), bits, 0.0, hints, approximate.told)]
    samples = [story for block in left.values() if (story := in_sample(block)) is not None]
    chosen = sorted([*chosen, *samples], key=lambda story: -story.bits)
    found = {name: locate(block, said_of) for name, block in left.items()}
    located = [(left[name], place) for name, place in found.items() if place is not None]
    places = _together(located)
    backward = _backward(blocks, left, {block.name for block, _ in located}, upstream)
    if backward is not None:
        one = len(places) == 1 and set(places[0].names) == set(left) and _single(located)
        tail = [*places, backward] if one else [backward, *places]
        return [*tail, *chosen, *rivals] if len(left) > len(blocks) / 2 else [*chosen, *tail]
    return [*chosen, *places, *rivals]


def _repaired(wrong: dict[str, BlockData]) -> Iterator[Candidate]:
    """Yield each formula that holds in a block with all the blocks that it repairs."""
    holds: dict[tuple[object, ...], Repair] = {}
    for block in wrong.values():
        # What holds in each entry that is told to be wrong need not hold in the others.
        some = block.sampled and np.any(block.known & ~block.asked)
        every = [one for one in SUGGESTIONS if not (some and one in ENTRY_BY_ENTRY)]
        for repair in holding(block, every):
            holds.setdefault(repair.key, repair)
    for repair in holds.values():
        gains: dict[str, tuple[float, float]] = {}
        for name, block in wrong.items():
            predicted = repair.predicted(block)
            each = None if predicted is None else gains_of(block, predicted)
            if each is not None:
                loudest = each[max(each.size - repair.fitted, 0) :]
                gains[name] = float(each.sum()), float(loudest.sum())
        yield Candidate(frozenset(gains), partial(_of_repair, repair, wrong, gains))


def _of_repair(
    repair: Repair,
    blocks: dict[str, BlockData],
    gains: dict[str, tuple[float, float]],
    left: Collection[str],
) -> Cause | None:
    """Tell a formula of the blocks that are left; `gains` are bits, and what fitting costs."""
    names = tuple(name for name in gains if name in left)
    if not names:
        return None
    spent = max(0.0, *(gains[name][1] for name in names))
    bits = sum(gains[name][0] for name in names) - spent - repair.prior
    called = {name: blocks[name].parameter or name for name in names}
    place = repair.place or (lambda block: "")
    hints = {n: repair.hint.format(shown(called[n]), where=place(blocks[n])) for n in names}
    meant = tuple(dict.fromkeys(called.values())) if repair.code in OF_THETA else names
    told = hints[names[0]] if len(names) == 1 else repair.sentence(together(meant))
    return Cause(repair.code, names, bits, repair.prior, hints, told)


def _fitted_to(shape: tuple[int, ...], other: BlockData) -> Iterator[tuple[str, Array, Array]]:
    """Yield a block's numeric values and what is no gap, in a shape of as many entries."""
    n, bar = other.numeric, other.floor
    if n.shape == shape:
        yield "", n, bar
    if len(shape) == 2 and n.T.shape == shape and 1 not in shape:
        yield "the transpose of ", n.T, bar.T
    elif n.shape != shape:
        yield "", n.reshape(shape), bar.reshape(shape)


def _of_another(block: BlockData, other: BlockData, *, lacks: bool) -> tuple[float, str] | None:
    """Return the bits for one block's analytic being another's numeric, or lacking it, and how."""
    for how, values, bar in _fitted_to(block.shape, other) if other.whole else ():
        made = Predicted(values, of_analytic=True, bar=bar)
        if lacks:
            made = Predicted(block.analytic + values, bar=bar)
        if (bits := gained(block, made, 0)) is not None:
            return bits, how
    return None


def _exchanged(blocks: Sequence[BlockData], left: dict[str, BlockData]) -> Iterator[Candidate]:
    """Yield blocks whose analytic gradient is another's, and those that lack another's."""
    order = {block.name: k for k, block in enumerate(blocks)}
    for one, other in _near(blocks, left):
        there = _of_another(one, other, lacks=False)
        if there is not None:
            what = f"{there[1]}the numeric gradient of {shown(other.name)}"
            told = f"analytic of {shown(one.name)} = {what}"
            hints = {one.name: f"analytic = {what}"}
            if one.analytic.size > 1:
                yield _of_others("swapped", there[0], COPIED, hints, told)
            back = _of_another(other, one, lacks=False) if other.name in left else None
            if back is not None and one.name < other.name:  # else told as the other's
                reverse = f"analytic = {back[1]}the numeric gradient of {shown(one.name)}"
                both = [(one.name, hints[one.name]), (other.name, reverse)]
                hints = dict(sorted(both, key=lambda pair: order[pair[0]]))
                told = f"the analytic gradients of {together(hints)} are swapped"
                yield _of_others("swapped", there[0] + back[0], EXCHANGED, hints, told)
        tied = _of_another(one, other, lacks=True) if one.analytic.size >= LEAST_TIED else None
        if tied is not None:
            text = (
                f"numeric - analytic = {tied[1]}the gradient of {shown(other.name)}: a "
                "contribution that the two share is missing"
            )
            yield _of_others("shared", tied[0], TIED, {one.name: text}, text)


def _of_others(code: str, bits: float, prior: float, hints: dict[str, str], told: str) -> Candidate:
    """Return a story that is told of all its blocks or not at all."""
    cause = Cause(code, tuple(hints), bits - prior, prior, hints, told)
    about = frozenset(hints)
    return Candidate(about, lambda left: cause if about.issubset(left) else None)


def _near(
    blocks: Sequence[BlockData], left: dict[str, BlockData]
) -> Iterator[tuple[BlockData, BlockData]]:
    """Yield each block that is left with every other that it may be, or lack."""
    # Entries that are the same, in whatever order, have the same sum: of the pairs of a thousand
    # blocks few are compared in full.
    sizes: dict[int, list[BlockData]] = {}
    for block in blocks:
        if block.whole:
            sizes.setdefault(block.analytic.size, []).append(block)
    numeric = {size: np.array([b.numeric.sum() for b in some]) for size, some in sizes.items()}
    bar = {size: np.array([b.floor.sum() for b in some]) for size, some in sizes.items()}
    for one in left.values():
        size = one.analytic.size
        if size not in sizes:
            continue
        may = np.ones(len(sizes[size]), dtype=bool)
        if one.whole:  # what is not known of it may be anything
            spare = 2 * (one.slack.sum() + 3 * bar[size])  # twice, for the rounding of sums
            own = (one.analytic.sum(), (one.numeric - one.analytic).sum())
            may = ~np.all([np.abs(value - numeric[size]) > spare for value in own], axis=0)
        near = [sizes[size][k] for k in np.flatnonzero(may).tolist()]
        yield from ((one, other) for other in near if other is not one)


def _together(located: Sequence[tuple[BlockData, Located]]) -> list[Cause]:
    """Return places as causes: the same positions in several blocks are one."""
    groups: dict[tuple[object, ...], list[tuple[BlockData, Located]]] = {}
    for block, found in located:
        groups.setdefault(found.place.key, []).append((block, found))
    made = []
    for members in groups.values():
        hints = {block.name: found.hint for block, found in members}
        main = max(members, key=lambda pair: pair[0].analytic.size)[1]
        told = main.hint if len(hints) == 1 else main.told(together(hints))
        bits = sum(found.bits for _, found in members)
        made.append(Cause(main.place.code, tuple(hints), bits, 0.0, hints, told))
    return sorted(made, key=lambda cause: -cause.bits)


def _single(located: Sequence[tuple[BlockData, Located]]) -> bool:
    """Return whether one place is one range of positions: others are rather a mask."""
    positions = located[0][1].place.key[-1]
    return not isinstance(positions, tuple) or bool(np.all(np.diff(np.ravel(positions)) == 1))


def _layers(blocks: Sequence[BlockData]) -> list[list[BlockData]]:
    """Return the blocks by layer, as numbers in their names have it, or else one by one."""
    numbers = [layer_numbers(block.name) for block in blocks]
    if not all(numbers):
        return [[block] for block in blocks]
    layers: dict[tuple[int, ...], list[BlockData]] = {}
    for key, block in sorted(zip(numbers, blocks, strict=True), key=lambda pair: pair[0]):
        layers.setdefault(key, []).append(block)
    return list(layers.values())


def _backward(
    blocks: Sequence[BlockData],
    left: dict[str, BlockData],
    located: Collection[str],
    upstream: Upstream | None,
) -> Cause | None:
    """Return the layer at which the error enters, when just the blocks before one are wrong."""
    telling = [block for block in blocks if block.wrong.any() or block.seen.any()]
    layers = _layers(telling)
    bad = [[block.wrong.any() for block in layer] for layer in layers]
    depth = sum(any(layer) for layer in bad)
    if len(left) < 2 or not depth < len(layers) or not all(map(all, bad[:depth])):
        return None
    wrong = [block for layer in layers[:depth] for block in layer]
    if not any(block.analytic.ndim > 1 for block in wrong):
        return None
    right = [block for layer in layers[depth:] for block in layer]
    if not all(block.agrees.all() for block in right):
        return None
    entries = sum(int(block.seen.sum()) for block in right)
    bits = 8.0 * min(entries, 8) + 8.0 * len(wrong) - 8.0
    here = [[block.name for block in some] for some in (wrong, right)]
    if upstream is None or not upstream(*here):
        return None
    before, after = shown(layers[depth - 1][0].name), shown(layers[depth][0].name)
    names = tuple(block.name for block in wrong if block.name in left)
    plain = [name for name in names if name not in located]
    enters = f"the error enters between {after} and {before}"
    told = f"{enters}: {_said(wrong)} wrong, {_said(right)} right"
    hints = dict.fromkeys(plain, enters)
    return Cause("backward", names, bits, 8.0, hints, told)


def _said(blocks: Sequence[BlockData]) -> str:
    return f"{together([block.name for block in blocks])} {'are' if len(blocks) > 1 else 'is'}"


@dataclass(frozen=True)
class Explained:
    """What is said: code and sentence of the best hint by block, and the diagnoses, best first.

    `unmoved` are wrong blocks to which func does not answer: nothing is said of their values.
    """

    hints: dict[str, tuple[str, str]]
    diagnoses: tuple[Diagnosis, ...]
    unmoved: tuple[str, ...] = ()


def diagnose(
    blocks: Sequence[BlockData],
    upstream: Upstream | None = None,
    approximate: Approximation | None = None,
) -> Explained:
    """Return what the errors of all blocks, right ones too, look like: nothing, if not convincing.

    The other arguments are those of `causes`.
    """
    found: list[Cause] = []
    whole = []
    for block in blocks:
        bad = int(np.count_nonzero(~np.isfinite(block.analytic)))
        if not bad:
            whole.append(block)
            continue
        text = not_finite(bad, block.analytic.size)
        of = f"analytic of {brief(block.name)}" if len(blocks) > 1 else "analytic"
        told = text.replace("analytic", of, 1)
        found.append(Cause("not-finite", (block.name,), CERTAIN, 0.0, {block.name: text}, told))
    with np.errstate(all="ignore"):  # 1e300, squared
        found += causes(whole, upstream, approximate)
    hints: dict[str, tuple[str, str]] = {}
    for cause in found:
        for name, text in cause.hints.items():
            hints.setdefault(name, (cause.code, text))
    diagnoses = [Diagnosis(c.code, c.told, c.names, round(c.bits, 1)) for c in found[:MOST]]
    return Explained(hints, tuple(diagnoses), tuple(block.name for block in whole if block.unmoved))


def not_finite(bad: int, size: int) -> str:
    """Say how many of a block's entries are NaN or infinite."""
    which = "every entry" if bad == size else f"{bad} of {size}"
    return f"analytic is NaN or infinite in {which}"


def explain(
    evidence: Evidence,
    precision: Sequence[float],
    *,
    params_known: bool,
    reasons: Mapping[int, str],
    upstream: Upstream | None,
    constants: Callable[[], Mapping[float, str]],
    approximate: Approximation | None,
) -> Explained:
    """Return what the errors of a check look like."""
    # `precision` is the machine epsilon of each block's gradient, unset float64's; `params_known`:
    # ``evidence.params`` are the parameters; `reasons` say by coordinate why it was left open;
    # `constants` says what of func's data has which value or length. The rest is as `causes` has
    # it.
    seen = _seen(evidence, reasons)
    if not (evidence.verdict == DISAGREE).any():
        return Explained({}, seen)
    sizes, others = _sizes(evidence.blocks), _parameters(evidence) if params_known else {}
    with np.errstate(all="ignore"):  # 1e300, squared
        norm = float(np.linalg.norm(np.nan_to_num(evidence.analytic, nan=np.inf)))
    norm = norm if np.isfinite(norm) else 0.0
    every = precision or [2.0**-52] * len(evidence.blocks)
    of_all = {"sizes": sizes, "others": others, "norm": norm, "constants": constants()}
    data = [
        _data(evidence, block, eps, params_known, **of_all)
        for block, eps in zip(evidence.blocks, every, strict=True)
        if block.size and not block.is_complex
    ]
    found = diagnose(data, upstream, approximate)
    told = _conjugates(evidence)
    hints = {name: (one.code, CONJUGATE) for one in told for name in one.blocks}
    return replace(
        found, hints={**found.hints, **hints}, diagnoses=(*told, *found.diagnoses, *seen)
    )


CONJUGATE = "analytic = the conjugate of numeric: pass numpy.conj of it"


def _conjugates(evidence: Evidence) -> tuple[Diagnosis, ...]:
    """Name the complex blocks of which the gradient has the other sign in imaginary parts."""
    # No other formula is tried on them, and one entry that is right to its tolerance but for its
    # sign is no chance.
    names = []
    for block in evidence.blocks:
        part = evidence.arrays(block)
        known = np.isfinite(part["numeric"]) & ~part["kinks"]
        if not block.is_complex or not (part["verdict"] == DISAGREE)[known].any():
            continue
        gap = np.abs(part["analytic"] * [1, -1] - part["numeric"])
        if np.all((gap <= part["allowed"])[known]):
            names.append(block.name)
    where = f", in {together(names)}" if len(evidence.blocks) > 1 else ""
    return (Diagnosis("conjugate", CONJUGATE + where, tuple(names), CERTAIN),) if names else ()


def _data(
    evidence: Evidence, block: Block, eps: float, params_known: bool, **of_all: Any
) -> BlockData:
    """Return a block with what is known of it; `of_all` is what all blocks have in common."""
    part = {
        name: values.astype(np.float64) if values.dtype.kind == "f" else values
        for name, values in evidence.arrays(block).items()
    }
    return BlockData(
        name=block.name,
        analytic=part["analytic"],
        numeric=part["numeric"],
        error=part["error_bar"],
        theta=part["params"] if params_known else np.full(part["params"].shape, np.nan),
        wrong=part["verdict"] == DISAGREE,
        agrees=(part["verdict"] == AGREE) & np.isfinite(part["numeric"]),
        known=np.isfinite(part["numeric"]) & np.logical_not(part["kinks"]),
        allowed=part["allowed"],
        eps=eps,
        parameter=getattr(getattr(block, "param", None), "name", ""),
        **of_all,
    )


def _parameters(evidence: Evidence) -> dict[str, Array]:
    """Return the parameters by name; of a Jacobian's blocks, each parameter once."""
    found: dict[str, Array] = {}
    for block in evidence.blocks:
        name = getattr(getattr(block, "param", None), "name", "") or block.name
        if name not in found and block.size and not block.is_complex:
            found[name] = evidence.arrays(block)["params"].astype(np.float64)
    return found


def _sizes(blocks: Sequence[Block]) -> dict[int, str]:
    """Return the lengths and sizes of blocks, with what alone has each."""
    sizes: dict[int, list[str]] = {}
    for block in blocks:
        if len(block.shape) > 1:
            sizes.setdefault(block.size, []).append(f"the size of {brief(block.name)}")
        for axis, length in enumerate(block.shape):
            sizes.setdefault(length, []).append(f"the length of axis {axis} of {brief(block.name)}")
    return {size: names[0] if len(names) == 1 else "" for size, names in sizes.items() if size > 1}


def _seen(evidence: Evidence, reasons: Mapping[int, str]) -> tuple[Diagnosis, ...]:
    """Name a kink or noise, where a verdict is due to one."""
    wrong, left = evidence.verdict == DISAGREE, evidence.verdict == OPEN
    at_kink, noisy = evidence.kinks & (wrong | left), np.zeros(left.shape, dtype=bool)
    at_kink[[i for i, reason in reasons.items() if reason == JUMP and left[i]]] = True
    if not wrong.any():
        noisy[[i for i, reason in reasons.items() if reason in (NOISY, BENDS) and left[i]]] = True
    said = []
    for code, words, which in (
        ("kink", f"func is {KINK} in", at_kink),
        ("noise", "func is too noisy to tell", noisy),
    ):
        if count := np.count_nonzero(which):
            names = tuple(block.name for block in evidence.blocks if which[block.window].any())
            told = f"{words} {count:,} of {which.size:,} parameters"
            said.append(Diagnosis(code, told, names, CERTAIN))
    return tuple(said)
