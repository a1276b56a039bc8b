"""Finding the wrong parameters among millions.

In this order, each step dearer than the one before it:

*match*, at no evaluation: if one entry i is wrong, the residuals are α·vⱼ(i) for one α, and no
other column of weights fits them;

*patterns*, at two evaluations to confirm: if a block is wrong by a multiple of its own gradient,
of θ, of a constant, or only in a row or a column, the residuals are λ·Σ p·vⱼ for that pattern p;

*split*: directions over single blocks and then over halves tell where the error is, until a part
is small enough to match.  The residuals of one half are measured, those of the other follow by
subtraction.  Parts are halved along an axis of their block, so that a wrong row or column keeps
together while everything beside it is found clean;

*sample*: errors everywhere, by no pattern, are counted on some coordinates.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise, product

import numpy as np

from .._constants import (
    ACCUSED,
    ACROSS_KINK,
    DISTINCT,
    EACH_ALONE,
    EXACT_PATTERN,
    GLANCED_AT,
    LARGE_BLOCK,
    MISFIT_SIGMAS,
    MISFIT_SPARE,
    MOST_DIRECTIONS,
    MOST_EXTRA,
    MOST_NAMED,
    MOST_PAIRS,
    PARTED_DIRECTIONS,
    SAMPLED_IN_SLICE,
    SHOWN_BY,
    SIX_DIGITS,
    TRIED,
)
from .._difference.stencils_and_steps import Stream, generator
from .._params.arrays_and_structure import CHUNK, Array, chunks
from .._params.layout import Block, position_of
from .directional_residuals import Screen, Subset, stand_out

Confirm = Callable[[int, float], float | None]
"""Differences a coordinate that may be wrong about so much; its error, or None if it is open."""


@dataclass(frozen=True)
class Share:
    """How many entries are wrong of those sampled that can be told, in a block or a row of it.

    `index` is empty of a whole block. `alone`: the rest of the block would have shown such errors;
    `blank`: the gradient is zero there.
    """

    name: str
    index: str
    wrong: int
    sampled: int
    size: int
    alone: bool = False
    blank: bool = False

    @property
    def count(self) -> int:
        """How many are wrong of all, as the sample tells."""
        return round(self.size * self.wrong / max(self.sampled, 1))


@dataclass
class Findings:
    """What was found: patterns, each with the number that was fitted, and what none explains.

    `shares` are blocks, rows and columns with errors by no pattern. `unexplained`: something is
    wrong that was not found within the evaluations allowed; it is in none of the blocks that are
    `cleared`.
    """

    patterns: list[tuple[Pattern, float]] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    unexplained: bool = False
    cleared: set[str] = field(default_factory=set)

    def by_name(self) -> dict[str, Findings]:
        """Return what was found in each block in which anything was."""
        found: dict[str, Findings] = defaultdict(Findings)
        for pattern, amount in self.patterns:
            for name in pattern.names:
                found[name].patterns.append((pattern, amount))
        for share in self.shares:
            found[share.name].shares.append(share)
        return dict(found)


def threshold(count: int) -> float:
    """Return the largest χ² of a fit with one free number to `count` residuals."""
    free = count - 1
    return free + MISFIT_SIGMAS * math.sqrt(2 * free) + MISFIT_SPARE


def unit_of(values: Iterable[float]) -> float:
    """Return the power of two below the largest: squares of what is divided by it stay finite."""
    return float(2.0 ** (math.frexp(max(map(abs, values), default=0.0))[1] - 1))


def spread_of(
    screen: Screen, residuals: Iterable[float], loud: float = 1.0, unit: float = 1.0
) -> float:
    """Return the variance that χ² of residuals is reckoned with, all of them over `unit`."""
    # σ is measured along one direction, and others may be a few times as loud. Where residuals are
    # a million times as large, that must not keep a fit to six digits from being one.
    largest = max((abs(y) for y in residuals), default=0.0)
    return loud * ((screen.sigma / unit) ** 2 + (SIX_DIGITS * largest) ** 2)


def _best_two(y: Array, weights: Sequence[Array]) -> list[tuple[float, int]]:
    """Return (gain, position) of the two columns that explain most of y, best first."""
    if not weights[0].size:
        return []
    cross, square = np.zeros_like(weights[0]), np.zeros_like(weights[0])
    for value, w in zip(y.tolist(), weights, strict=True):
        cross += value * w
        w *= w
        square += w
    gain = cross * cross
    gain /= square
    top = np.argpartition(gain, -2)[-2:] if gain.size > 1 else np.array([0])
    return [(float(gain[k]), k) for k in top[np.argsort(-gain[top], kind="stable")].tolist()]


def match(
    screen: Screen, residuals: dict[int, float], subset: Subset | None = None, loud: float = 1.0
) -> tuple[int, bool, bool]:
    """Return the single entry that explains the residuals best, whether it does, and it alone."""
    # `residuals` are by number of direction; the entry is in `subset`, where there is one, and is
    # told as a coordinate of the flat vector. `loud` is the residuals' variance in parts of a
    # direction's: they may be differences of others.
    unit = unit_of(residuals.values())
    y = np.array(list(residuals.values())) / unit
    total = sum(value * value for value in y.tolist())
    best, second = (-1.0, -1), -1.0
    searched = Subset(screen.problem.blocks) if subset is None else subset
    if screen.whole is not None:
        searched = searched.as_one()
    for block in searched.blocks:
        for part, weights in screen.columns(tuple(residuals), block):
            inside = None if searched.inside is None else searched.within(part)
            if inside is not None:
                weights = [w[inside - part.start] for w in weights]
            found = _best_two(y, weights)
            for gain, k in found:
                if gain > best[0]:
                    second = best[0]
                    offset = part.start + k if inside is None else int(inside[k])
                    best = (gain, block.start + offset)
                else:
                    second = max(second, gain)
    variance = spread_of(screen, y.tolist(), loud, unit)
    misfit = max(total - best[0], 0.0) / variance
    runner_up = (total - second) / variance
    count = len(residuals)
    fits = misfit <= threshold(count)
    return best[1], fits, fits and runner_up > DISTINCT * max(misfit, threshold(count))


def _error_of(screen: Screen, residuals: dict[int, float], i: int) -> float:
    """Return the error of one coordinate that residuals show, if it alone is wrong."""
    position = position_of(screen.problem.blocks, i)
    block = screen.problem.blocks[position]
    weights = {j: screen.weight(j, block, i - block.start) for j in residuals}
    return sum(y * weights[j] for j, y in residuals.items()) / sum(w * w for w in weights.values())


@dataclass
class Part:
    """Some of a block, its residuals by direction, and their variance in parts of a direction's."""

    subset: Subset
    residuals: dict[int, float]
    loud: float = 1.0
    axis: int | None = None
    depth: int = 0

    def stands_out(self, limit: float) -> bool:
        """Return whether something is wrong in it."""
        return max(map(abs, self.residuals.values())) > limit * math.sqrt(self.loud)


class Search:
    """One search for what is wrong along the directions of a screen.

    `allowed` is what tolerances add up to along a direction; at `budget` evaluations of the whole
    check the search stops.  What no entry explains is looked for no more where it `may_be_right`.
    Wrong entries that were confirmed are in the screen's ``wrong``.
    """

    def __init__(
        self,
        screen: Screen,
        confirm: Confirm,
        allowed: float,
        budget: int,
        may_be_right: Callable[[], bool],
    ) -> None:
        self.screen, self.confirm, self.budget = screen, confirm, budget
        self.may_be_right = may_be_right
        self.limit = allowed + ACCUSED * screen.sigma
        self.found = Findings()
        self.open: set[int] = set()

    @property
    def spent(self) -> int:
        """Evaluations beyond the budget; at `MOST_EXTRA` nothing more is looked for."""
        return self.screen.problem.evaluator.evaluations - self.budget

    def run(self, *, entries_alone: bool = False) -> Findings:
        """Name entries and patterns while they explain what is left, then divide it.

        With `entries_alone` nothing is looked for but entries that explain the residuals.
        """
        found = self.found
        found.unexplained = not entries_alone  # where `max_evals` ends the search, too
        try:
            found.unexplained = not self._explained(entries_alone) and not entries_alone
        finally:  # they were found from the last block on
            order = {block.name: k for k, block in enumerate(self.screen.problem.blocks)}
            found.patterns[:] = [
                (replace(pattern, names=tuple(sorted(pattern.names, key=order.__getitem__))), own)
                for pattern, own in found.patterns
            ]
            found.patterns.sort(key=lambda pair: order[pair[0].names[0]])
        return found

    def _explained(self, entries_alone: bool) -> bool:
        """Name what explains the residuals; return whether it explains all."""
        screen, number = self.screen, len(self.screen.residuals) - 1
        while len(screen.wrong) < MOST_NAMED:
            residuals = screen.unexplained(screen.residuals)
            if entries_alone:  # what crosses a kink tells nothing of an entry
                least = max(min(map(abs, residuals.values())), screen.sigma)
                residuals = {j: y for j, y in residuals.items() if abs(y) <= ACROSS_KINK * least}
            if not stand_out(residuals.values(), self.limit, entries_alone * screen.sigma):
                return True
            i, fits, alone = match(screen, residuals)
            last, about = number + 1 >= MOST_DIRECTIONS, _error_of(screen, residuals, i)
            if (alone or (fits and last)) and self._named(i, about):
                continue
            if not entries_alone and not screen.wrong:
                if not fits and self.may_be_right():
                    return True
                if self._named_pattern(residuals):
                    return True
            # The best entry may fit, and only not be distinct yet.
            if last or alone or not fits:
                break
            number += 1
            screen.measure(number)
        return not entries_alone and self._divided()

    # Entries and patterns

    def _named(self, i: int, about: float = math.inf) -> bool:
        """Difference an entry that was not differenced yet; return whether it is wrong."""
        error = 0.0 if i in self.screen.wrong else self.confirm(i, about)
        if error:
            self.screen.wrong[i] = error
        elif error is None:
            self.open.add(i)
        return bool(error)

    def _named_pattern(self, residuals: dict[int, float], part: Part | None = None) -> bool:
        """Name the pattern that explains the residuals, if it alone does, and two further ones."""
        # Of a part the pattern is one of its block's. A number that was fitted to another block
        # needs no further ones: there was none to fit.
        screen, subset = self.screen, part.subset if part else None
        fitted = _fitted(screen, residuals, part)
        if fitted is None:
            return False
        pattern, amount = fitted
        for known, (other, own) in enumerate(self.found.patterns):
            if other.like(pattern) and abs(own - amount) <= SIX_DIGITS * abs(own):
                same = replace(other, names=other.names + pattern.names)
                self.found.patterns[known] = same, own
                return True
        if part and self.spent >= MOST_EXTRA:
            return False
        fresh = len(residuals)
        gap = largest = 0.0
        for number in (fresh, fresh + 1):
            predicted = _along(screen, pattern, number)
            gap = max(gap, abs(screen.measure(number, subset) - amount * predicted))
            largest = max(largest, abs(predicted))
        if gap > self.limit + SIX_DIGITS * abs(amount) * largest:
            return False
        self.found.patterns.append((pattern, amount))
        self._confirm_largest(pattern)
        return True

    def _confirm_largest(self, pattern: Pattern) -> None:
        """Difference the entry of a block that the pattern makes largest: a number to show."""
        screen = self.screen
        for block in _members(screen, pattern):
            entries = entries_of(screen, pattern, block)
            if entries.size:
                size = np.abs(errors_of(screen, pattern, block)[entries - block.start])
                if self._named(int(entries[np.argmax(size)])):
                    return

    # Parts

    def _divided(self) -> bool:
        """Divide what is wrong until its parts match; return whether all is explained."""
        screen = self.screen
        blocks = tuple(block for block in screen.problem.blocks if block.size)
        large = [b for b in blocks if b.size >= LARGE_BLOCK * screen.problem.size]
        small = tuple(b for b in blocks if b not in large)
        groups = [*((b,) for b in large), *([small] if small else [])]
        parts = self._parted(groups, screen.unexplained(range(PARTED_DIRECTIONS)), 1.0)
        explained = True
        for part in parts:
            explained &= self._one_by_one(part)
        return explained

    def _one_by_one(self, whole: Part) -> bool:
        """Search the blocks of a group, parted in halves while they are many."""
        # Returned is whether all is explained, and the evaluations sufficed.
        queue, explained = [whole], True
        while queue:
            part = queue.pop()
            blocks = part.subset.blocks
            if len(blocks) == 1:
                explained &= self._searched(part)
                continue
            while part.stands_out(self.limit) and self._matched(part):
                pass
            if not part.stands_out(self.limit):
                self.found.cleared.update(block.name for block in blocks)
                continue
            if self.spent >= 0:
                return False
            few, half = len(blocks) <= EACH_ALONE, len(blocks) // 2
            groups = [(b,) for b in blocks] if few else [blocks[:half], blocks[half:]]
            queue += self._parted(groups, part.residuals, part.loud)
        return explained

    def _parted(
        self, groups: Sequence[Sequence[Block]], left: dict[int, float], loud: float
    ) -> list[Part]:
        """Measure groups of blocks, the last by subtraction from what they come to together."""
        parts: list[Part] = []
        for position, group in enumerate(groups):
            subset = Subset(group)
            last = position == len(groups) - 1
            numbers = range(PARTED_DIRECTIONS)
            ys = dict(left) if last else {j: self._residual(j, subset) for j in numbers}
            left = {j: left[j] - ys[j] for j in numbers}
            parts.append(Part(subset, ys, loud + len(groups) - 1 if last else 1.0))
        return parts

    def _residual(self, number: int, subset: Subset) -> float:
        return self.screen.measure(number, subset) - self.screen.explained(number, subset)

    def _searched(self, whole: Part) -> bool:
        """Search one block: match, and halve what does not match."""
        screen, block = self.screen, whole.subset.blocks[0]
        if not whole.stands_out(self.limit):
            self.found.cleared.add(block.name)
            return True
        while len(screen.wrong) < MOST_NAMED and self.spent < MOST_EXTRA:
            if not (whole.stands_out(self.limit) and self._matched(whole)):
                break
        # Of all there are none was found.
        one_of_several = block.size < screen.problem.size and whole.stands_out(self.limit)
        if one_of_several and self._named_pattern(whole.residuals, whole):
            return True
        queue = [whole]
        while queue:
            part = queue.pop()
            if not part.stands_out(self.limit):
                continue
            if self.spent >= MOST_EXTRA:
                return False
            if self.spent >= 0 or len(screen.wrong) >= MOST_NAMED:
                return self._sampled(block)
            if self._matched(part):
                queue.append(part)
                continue
            if part.subset.size == 1 or self._is_slice(part, block):
                continue
            halves = self._halves(part, block)
            queue += halves
            if part.depth == 0 and all(half.stands_out(self.limit) for half in halves):
                rng = generator(screen.seed, Stream.GLANCE, block.start)
                wrong, told = self._count(block, np.unique(rng.choice(block.size, GLANCED_AT)))
                if 2 * wrong > told:
                    return self._sampled(block)
        return True

    def _matched(self, part: Part) -> bool:
        """Name the one entry that explains a part, if there is one, and take its error out."""
        screen = self.screen
        i, _, alone = match(screen, part.residuals, part.subset, part.loud)
        if not (alone or part.subset.size == 1) or not self._named(i):
            return False
        block = screen.problem.blocks[position_of(screen.problem.blocks, i)]
        for number in part.residuals:
            weight = screen.weight(number, block, i - block.start)
            part.residuals[number] -= screen.wrong[i] * weight
        return True

    def _is_slice(self, part: Part, block: Block) -> bool:
        """Name a part that is one row or column, when several of its entries are wrong."""
        inside = _inside(part, block)
        if inside.size < SAMPLED_IN_SLICE or part.axis is None:
            return False
        places = np.unique(_positions(inside, block, part.axis))
        if places.size > 1:
            return False
        rng = generator(self.screen.seed, Stream.SLICE, int(inside[0]), inside.size)
        wrong, told = self._count(block, rng.choice(inside, SAMPLED_IN_SLICE, replace=False))
        if wrong < SAMPLED_IN_SLICE // 2 or 2 * wrong < told:
            return False
        index = [":"] * len(block.shape)
        index[part.axis] = str(int(places[0]))
        self.found.shares.append(
            Share(
                block.name,
                f"[{', '.join(index)}]",
                wrong,
                told,
                int(inside.size),
                self._alone(part, block, int(places[0]), part.axis),
                not np.any(self.screen.analytic[block.window][inside]),
            )
        )
        return True

    def _alone(self, part: Part, block: Block, place: int, axis: int) -> bool:
        """Return whether errors as large as a row's would have shown in the rest of its block."""
        # As large as such, and in parts of the gradient, at most as large as it; of a row of zeros,
        # if most others were missed.
        squares = np.zeros(block.shape[axis])
        for window in chunks(block.size):
            own = self.screen.analytic[block.window][window] * self.screen.spread(block, window)
            places = _positions(np.arange(window.start, window.stop), block, axis)
            squares += np.bincount(places, own * own, squares.size)
        mine, others = float(squares[place]), np.delete(squares, place)
        others, shown = others[others > 0], SHOWN_BY * self.limit
        off = sum(y * y for y in part.residuals.values()) / len(part.residuals)
        alike = np.median(others) if not mine and others.size else others.sum()
        least = min(off, alike * (min(off / mine, 1.0) if mine else 1.0))
        return bool(least > shown * shown)

    def _halves(self, part: Part, block: Block) -> list[Part]:
        """Halve a part along the axis on which one half is right, if there is one."""
        axes = _axes(block)
        if part.axis is not None:
            axes = (part.axis, *(axis for axis in axes if axis != part.axis))
        tries = []
        for axis in axes or (None,):
            halves = self._halved(part, block, axis)
            if halves is None:
                continue
            tries.append(halves)
            # Only a whole block is worth the evaluations of a second axis.
            if part.depth or sum(half.stands_out(self.limit) for half in halves) < 2:
                return halves
        return tries[0]

    def _halved(self, part: Part, block: Block, axis: int | None) -> list[Part] | None:
        inside = _inside(part, block)
        if axis is None:
            rng = generator(self.screen.seed, Stream.HALVES, int(inside[0]), inside.size)
            first = np.arange(inside.size) < inside.size // 2
            rng.shuffle(first)
        else:
            places = _positions(inside, block, axis)
            known = np.flatnonzero(np.bincount(places, minlength=block.shape[axis]))
            if known.size < 2:
                return None
            first = places < known[known.size // 2]
            del places
        one = Subset(part.subset.blocks, inside[first])
        del inside
        measured = {j: self._residual(j, one) for j in part.residuals}
        # The other half is made only now: an evaluation holds a direction as long as params.
        np.logical_not(first, out=first)
        other = Subset(part.subset.blocks, _inside(part, block)[first])
        rest = {j: y - measured[j] for j, y in part.residuals.items()}
        return [
            Part(one, measured, 1.0, axis, part.depth + 1),
            Part(other, rest, part.loud + 1.0, axis, part.depth + 1),
        ]

    def _count(self, block: Block, offsets: Array) -> tuple[int, int]:
        """Return how many of some entries are wrong, and how many can be told."""
        entries = (block.start + np.sort(offsets)).tolist()
        wrong = sum(i in self.screen.wrong or self._named(i) for i in entries)
        return wrong, len(entries) - len(self.open.intersection(entries))

    def _sampled(self, block: Block) -> bool:
        """Count wrong entries among some of a block's; return whether any was found."""
        count = min(TRIED, block.size)
        rng = generator(self.screen.seed, Stream.WRONG_SHARE, block.start)
        wrong, told = self._count(block, rng.choice(block.size, count, replace=False))
        self.found.shares.append(Share(block.name, "", wrong, told, block.size))
        return wrong > 0


def _positions(inside: Array, block: Block, axis: int) -> Array:
    """Return where along an axis each of some offsets in a block is."""
    stride = math.prod(block.shape[axis + 1 :])
    places: Array = inside // stride
    places %= block.shape[axis]
    return places


def _inside(part: Part, block: Block) -> Array:
    if part.subset.inside is not None:
        return part.subset.inside
    # Half the memory of what numpy would choose, where it will do.
    return np.arange(block.size, dtype=np.int32 if block.size < 2**31 else np.int64)


def _axes(block: Block) -> tuple[int, ...]:
    if block.is_complex or len(block.shape) < 2:
        return ()
    return tuple(axis for axis, length in enumerate(block.shape) if length > 1)


# The patterns that bugs make, as sums over random directions: Σ p·vⱼ, at no evaluation.
#
# A gradient in the wrong place is one of them: a square block transposed, two blocks exchanged.


EXCHANGED = ("transposed", "rolled", "swapped")
"""Codes of patterns whose entries are right, and elsewhere: there is no number to fit."""


@dataclass(frozen=True)
class Pattern:
    """What a bug makes of the gradient in some blocks.

    `code` is "factor", "theta", "sign-theta", "constant", "slice", or of `EXCHANGED`; `place` is
    the axis and position of a slice, or along which axis and how far entries are rolled.
    """

    code: str
    names: tuple[str, ...]
    place: tuple[int, int] | None = None

    def like(self, other: Pattern) -> bool:
        """Return whether another block may have the same pattern, with the same number."""
        return self.code == other.code and self.code in EVERYWHERE

    def sentence(self, amount: float, rank: int) -> str:
        """Return what it looks like, with the fitted number; `rank` is the block's."""
        if self.code in SENTENCES:
            said = SENTENCES[self.code]
            return said.format(amount=simple(amount), names=self.names, place=self.place)
        zero = abs(amount - 1) <= SIX_DIGITS  # as near as it is known
        told = "numeric is zero where analytic is not"
        told = told if zero else f"analytic = {simple(1 / (1 - amount))} x numeric"
        if self.place is None:
            return told if zero else f"{told}, everywhere"
        index = [":"] * rank
        index[self.place[0]] = str(self.place[1])
        return f"{told}{',' * zero} in [{', '.join(index)}] alone"


SENTENCES = {
    "theta": "error = {amount} x the parameters: weight decay missing or too much?",
    "sign-theta": "error = {amount} x the parameters' signs: an L1 penalty missing or too much?",
    "constant": "error = {amount}, the same everywhere",
    "transposed": "analytic = the transpose of numeric",
    "rolled": "analytic = numeric rolled by {place[1]} along axis {place[0]}",
    "swapped": "the analytic gradients of {names[0]} and {names[1]} are swapped",
}
"""What patterns look like, but for multiples of the gradient."""

EVERYWHERE = ("factor", "theta", "sign-theta", "constant")
"""Codes of patterns with one number for a block, the simplest first."""

Moved = tuple[Pattern, tuple[Block, ...]]
"""A pattern of `EXCHANGED` with its blocks."""


@dataclass(frozen=True)
class Family:
    """Patterns of one kind: the sums of each over directions, shape (patterns, count).

    `pattern` makes one, by its number: there may be a hundred thousand, of which one is named.
    """

    columns: Array
    pattern: Callable[[int], Pattern]
    exact: bool = False


def _fitted(
    screen: Screen, residuals: dict[int, float], part: Part | None = None
) -> tuple[Pattern, float] | None:
    """Return the pattern that explains the residuals, if it alone does, and the fitted number."""
    # Of a part, which is one block, a pattern of that block.
    numbers = sorted(residuals)
    unit = unit_of(residuals.values())
    y = np.array([residuals[j] for j in numbers]) / unit
    subset, loud = (part.subset, part.loud) if part else (Subset(screen.problem.blocks), 1.0)
    variance = spread_of(screen, y.tolist(), loud, unit)
    families = [*patterns(screen, len(numbers), subset.blocks)]
    sizes = [len(family.columns) for family in families]
    columns = np.concatenate([family.columns for family in families])
    own = np.ldexp(1.0, np.frexp(np.abs(columns).max(axis=1))[1] - 1)
    columns /= own[:, np.newaxis]
    square = np.einsum("ij,ij->i", columns, columns)
    amount = np.divide(columns @ y, square, out=np.zeros_like(square), where=square > 0)
    number = amount * (unit / own)
    exact = np.repeat([family.exact for family in families], sizes)
    tried = (square > 0) & ~(exact & (np.abs(number - 1) >= EXACT_PATTERN))
    misfit = np.sum((y - amount[:, np.newaxis] * columns) ** 2, axis=1) / variance
    misfit[~tried | np.isnan(misfit)] = math.inf
    if misfit.min() > threshold(len(numbers)):
        return None
    # Two names for the same vector are no rivals: a matrix of one row is a row, and with all
    # parameters equal θ is a constant.  What was tried first is the simplest.
    like = int(np.argmin(misfit))
    for _ in range(2):
        lengths = np.sqrt(square * square[like])
        alike = tried & (np.abs(columns @ columns[like]) >= (1 - 1e-13) * lengths)
        like = int(np.argmax(alike))
    rival = misfit[~alike].min(initial=math.inf)
    if rival <= DISTINCT * max(misfit[like], threshold(len(numbers))):
        return None
    ends = np.cumsum(sizes)
    which = int(np.searchsorted(ends, like, side="right"))
    made = families[which].pattern(like - int(ends[which]) + sizes[which])
    return made, float(number[like])


def patterns(screen: Screen, count: int, among: Sequence[Block]) -> Iterator[Family]:
    """Yield what bugs make of some blocks, for directions 0 … count − 1, the simplest first."""
    blocks = [block for block in among if block.size]
    names = tuple(block.name for block in blocks)
    moved = [*_exchanges(blocks)]
    own, slices, columns = _sums(screen, blocks, moved, count)

    def of_one(code: str, k: int) -> Pattern:
        return Pattern(code, (names[k],))

    def of_several(code: str, which: Sequence[int], _: int) -> Pattern:
        return Pattern(code, tuple(names[k] for k in which))

    def of_slice(alike: list[int], axis: int, length: int, k: int) -> Pattern:
        return Pattern("slice", (names[alike[k // length]],), (axis, k % length))

    for code, values in own.items():
        yield Family(values, partial(of_one, code))
    for (axis, _), (alike, rows) in slices.items():
        values = rows.reshape(-1, count)
        yield Family(values, partial(of_slice, alike, axis, rows.shape[1]))
    if len(names) > 1:
        matrices = [k for k, b in enumerate(blocks) if sum(length > 1 for length in b.shape) > 1]
        # weight decay leaves biases alone
        some = [matrices] if 1 < len(matrices) < len(names) else []
        for code, which in product(("factor", "theta"), ([*range(len(names))], *some)):
            total = own[code][which].sum(axis=0, keepdims=True)
            yield Family(total, partial(of_several, code, which))
        # The gradient of all blocks up to one: an error that enters the backward pass there.
        totals = np.cumsum(own["factor"], axis=0)[1:-1]
        yield Family(totals, lambda k: Pattern("factor", names[: k + 2]))
    yield Family(columns, lambda k: moved[k][0], exact=True)


def _sums(
    screen: Screen, blocks: Sequence[Block], moved: Sequence[Moved], count: int
) -> tuple[dict[str, Array], dict[tuple[int, tuple[int, ...]], tuple[list[int], Array]], Array]:
    """Return Σ p·vⱼ of every block's patterns, of slices by axis and shape, and of what moved."""
    # One direction at a time, over all blocks: for thousands of small ones to draw the weights of
    # each alone takes most of the time.
    first, last = blocks[0].start, blocks[-1].stop
    windows = [slice(block.start - first, block.stop - first) for block in blocks]
    starts = [window.start for window in windows]
    alone = blocks[0] if len(blocks) == 1 else None
    work = screen.problem.evaluator.work
    thetas = [work.theta[position_of(work.blocks, block.start)] for block in blocks]
    own = {code: np.zeros((len(blocks), count)) for code in EVERYWHERE}
    columns = np.zeros((len(moved), count))
    shapes: dict[tuple[int, ...], list[int]] = {}
    for k, block in enumerate(blocks):
        if len(block.shape) >= 2 and not block.is_complex:
            shapes.setdefault(block.shape, []).append(k)
    slices = {
        (axis, shape): (alike, np.zeros((len(alike), shape[axis], count)))
        for shape, alike in shapes.items()
        for axis in range(len(shape))
    }
    for j in range(count):
        weights = screen.shift_in(j, alone) if alone else screen.shift(j)[first:last]
        parts = [weights[window] for window in windows]
        pairs = [*zip(parts, thetas, strict=True)]
        own["theta"][:, j] = [np.dot(w, theta) for w, theta in pairs]
        own["sign-theta"][:, j] = [np.dot(w, np.sign(theta)) for w, theta in pairs]
        own["constant"][:, j] = np.add.reduceat(weights, starts)
        columns[:, j] = [
            sum(
                weights[b.start - first : b.stop - first] @ errors_of(screen, pattern, b)
                for b in where
            )
            for pattern, where in moved
        ]
        weights *= screen.analytic[first:last]
        own["factor"][:, j] = np.add.reduceat(weights, starts)
        for shape, alike in shapes.items():
            for some in chunks(len(alike), max(CHUNK // math.prod(shape), 1)):
                here = [parts[k].reshape(shape) for k in alike[some]]
                stacked = np.stack(here) if len(here) > 1 else here[0][np.newaxis]
                for axis in range(len(shape)):
                    others = tuple(k + 1 for k in range(len(shape)) if k != axis)
                    slices[axis, shape][1][some, :, j] = stacked.sum(axis=others)
    return own, slices, columns


def simple(value: float) -> str:
    """Return a number as a small fraction where it is one, else with five digits."""
    if 0 < abs(value - 1) < 1e-5:
        return f"(1 {'-' if value < 1 else '+'} {abs(value - 1):.1g})"
    for denominator in range(1, 13):
        whole = round(value * denominator)
        if abs(value * denominator - whole) < 1e-5 * abs(whole):
            return f"{whole}" if denominator == 1 else f"{whole}/{denominator}"
    return f"{value:.5g}"


def _exchanges(blocks: Sequence[Block]) -> Iterator[Moved]:
    """Yield gradients in the wrong place, with the blocks that they are in."""
    blocks = [b for b in blocks if b.size > 1 and not b.is_complex]
    for block in blocks:
        if len(block.shape) == 2 and block.shape[0] == block.shape[1]:
            yield Pattern("transposed", (block.name,)), (block,)
    for block in blocks[:MOST_PAIRS]:
        for axis, k in product(range(len(block.shape)), (1, -1)):
            if block.shape[axis] > 2:
                yield Pattern("rolled", (block.name,), (axis, k)), (block,)
    shapes: dict[tuple[int, ...], list[Block]] = {}
    for block in blocks:
        shapes.setdefault(block.shape, []).append(block)
    pairs = [pair for alike in shapes.values() for pair in pairwise(alike)]
    for one, other in pairs[:MOST_PAIRS]:
        yield Pattern("swapped", (one.name, other.name)), (one, other)


def _members(screen: Screen, pattern: Pattern) -> list[Block]:
    """Return the blocks that a pattern is of."""
    return [screen.by_name[name] for name in pattern.names]


def _along(screen: Screen, pattern: Pattern, number: int) -> float:
    """Return what a pattern comes to along a direction: Σ p·vⱼ."""
    blocks, total = _members(screen, pattern), 0.0
    vector = screen.shift(number, Subset(blocks))
    for block in blocks:
        entries = entries_of(screen, pattern, block) - block.start
        weights = vector[block.window][entries]
        if pattern.code == "constant":
            total += float(weights.sum())
            continue
        errors = errors_of(screen, pattern, block)[entries]
        total += float(np.dot(weights, np.sign(errors) if pattern.code == "sign-theta" else errors))
    return total


def errors_of(screen: Screen, pattern: Pattern, block: Block) -> Array:
    """Return what the error of each entry of a block is proportional to, shape (size,)."""
    own: Array = screen.analytic[block.window]
    if pattern.code == "transposed":
        square = own.reshape(block.shape)
        return np.asarray(square - square.T).ravel()
    if pattern.code == "rolled" and pattern.place is not None:
        axis, k = pattern.place
        whole = own.reshape(block.shape)
        moved = np.roll(whole, -k, axis)
        return np.subtract(whole, moved, out=moved).ravel()
    if pattern.code == "swapped":
        name = next(name for name in pattern.names if name != block.name)
        return np.asarray(own - screen.analytic[screen.by_name[name].window])
    if pattern.code not in ("theta", "sign-theta"):
        return own
    work = screen.problem.evaluator.work
    return work.theta[position_of(work.blocks, block.start)]


def entries_of(screen: Screen, pattern: Pattern, block: Block) -> Array:
    """Return the flat coordinates of a block that a pattern says are wrong."""
    every = np.arange(block.start, block.stop)
    if pattern.code == "constant":
        return every
    if pattern.place is not None and pattern.code != "rolled":
        axis, position = pattern.place
        every = np.take(every.reshape(block.shape), position, axis=axis).ravel()
    chosen: Array = every[errors_of(screen, pattern, block)[every - block.start] != 0]
    return chosen
