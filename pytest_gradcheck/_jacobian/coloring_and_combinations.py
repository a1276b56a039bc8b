"""Jacobians too large to go row by row: groups of columns of sparse ones, random combinations.

Columns of which no row has two are structurally orthogonal: moved together, they show all of their
entries at two evaluations (A. Curtis, M. Powell and J. Reid, IMA J. Appl. Math. 13, 1974).  A band
has as many groups as a row has entries, however long it is.

The groups are the columns of a small matrix, outputs by groups, which is judged as any Jacobian.
An entry that was forgotten is moved with its group, and shows in the row that it belongs to: its
columns have weights of their own, so that two do not cancel.  What is wrong is then located by
moving parts of the group.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import InitVar, dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from .._constants import (
    ACCUSED_LOOKED_AT,
    COLUMNS_IN_GROUP,
    COMBINED,
    EPS,
    LEAST_LOCATED,
    LOCATED_WITHIN,
    MOST_WHOLE,
    OUTPUT_GAPS,
    OUTPUT_STEP,
    OUTPUTS_LOOKED_AT,
    OUTPUTS_ONE_BY_ONE,
    ROWS_SEARCHED,
)
from .._difference.stencils_and_steps import Stream, random_weights
from .._evaluate.call import Call, name_of
from .._evaluate.evaluator import BudgetExhausted, Evaluator, Move
from .._gradient.check import run_check
from .._params.arrays_and_structure import Array, Structure, flatten
from .._params.layout import (
    Block,
    blocks_of,
    coordinate_of,
    labels,
    position_of,
    rounded,
)
from .._params.work_copy import WorkCopy
from .._report.assemble import contradicted
from .._report.report import GradientReport
from .._verdict.tolerance_and_comparison import AGREE, DISAGREE, OPEN, Comparison, Tolerance
from .check import (
    Check,
    JudgedRows,
    checking,
    judged_matrices,
    report_of,
    reported,
    stacked,
)
from .outputs_and_matrices import (
    Entries,
    Matrix,
    Outputs,
    PairBlock,
    output_vector,
    precision_of,
    sparse_pair,
    sparse_pairs,
)

SHARED = "wrong along a group of columns, in which more than one entry is wrong or missing"
"""Why an entry is left open whose group holds more than one error."""

PLACES = ("entry", "slice", "mask")
"""Codes of hints that say where something is wrong."""

UNTOLD = "an entry may be missing in {} outputs: func is too noisy to tell, or max_evals too small"


def column_groups(rows: Array, columns: Array, count: int) -> Array:
    """Return the group of each of `count` columns, of which no two share a row; shape (count,)."""
    # Greedy, in order: each column gets the first group that none of its rows has seen.
    groups = np.zeros(count, dtype=np.intp)
    seen = [0] * (int(rows.max(initial=-1)) + 1)  # bit c of a row's: it has a column of group c
    order = np.argsort(columns, kind="stable")
    ends = np.searchsorted(columns[order], np.arange(count + 1)).tolist()
    ordered = rows[order].tolist()
    for j, (start, stop) in enumerate(itertools.pairwise(ends)):
        mine = ordered[start:stop]
        taken = 0
        for i in mine:
            taken |= seen[i]
        free = ~taken & (taken + 1)
        groups[j] = free.bit_length() - 1
        for i in mine:
            seen[i] |= free
    return groups


class Grouped(Evaluator):
    """func of the groups: parameter g is 1, and moves the columns of group g by their weights.

    `group` and `weights`, shape (n,), are those of the columns; `work` has the groups' parameters.
    """

    def __init__(
        self, call: Call, runner: Evaluator, work: WorkCopy, group: Array, weights: Array
    ) -> None:
        super().__init__(call, work, runner.progress)
        self.kind, self.shape, self.narrow = runner.kind, runner.shape, runner.narrow
        self.quiet, self.at_theta = runner.quiet, runner.at_theta  # type: ignore[method-assign]
        self.runner, self._group, self._weights = runner, group, weights

    def evaluate(self, move: Move) -> Array:
        """Return the outputs at some points; of the shape of ``move.values``, and m."""
        if move.shift is not None:
            return self.runner.along(move.shift[self._group] * self._weights, move.values.tolist())
        start = self.work.blocks[move.position].start
        found = []
        for offset, values in zip(move.coordinates, move.values.tolist(), strict=True):
            shift = np.where(self._group == start + offset, self._weights, 0.0)
            found.append(self.runner.along(shift, [value - 1.0 for value in values]))
        return np.array(found, dtype=self.kind).reshape(move.values.shape + self.shape)


def by_groups(check: Check, found: Sequence[Entries]) -> GradientReport | None:
    """Judge a sparse Jacobian, one or what two calls gave; None where groups gain too little."""
    problem = check.problem
    rows, columns, values = _together(found, problem.size)
    if not rows.size:
        return None
    group, sizes = _grouped(problem.blocks, rows, columns)
    # In float32 the weights would be lost in the rounding of the parameters.
    wide = all(theta.dtype.itemsize >= 8 for theta in problem.evaluator.work.theta)
    gain = COLUMNS_IN_GROUP * sum(sizes) <= problem.size
    if not (wide and gain and check.affords(sum(sizes))):
        return None
    weights = np.abs(random_weights(problem.size, check.options.seed, Stream.COLUMNS))
    weights *= problem.scale
    slots = np.full((check.outputs.size, sum(sizes)), -1, dtype=np.intp)
    slots[rows, group[columns]] = columns
    few = _of_groups(check, group, weights, sizes, slots)
    matrices = []
    for each in values:
        dense = np.zeros(slots.shape, dtype=each.dtype)
        dense[rows, group[columns]] = each * weights[columns]
        matrices.append(Matrix(dense, (found[0].eps,) * len(few.pairs)))
    judged = judged_matrices(few, matrices)
    search = Search(few, judged, matrices[0].dense, slots, group, weights)
    if not judged.reasons:
        search.run()
        judged = replace(judged, reasons=search.untold())
    key = rows * problem.size + columns
    missing = np.array(list(search.forgotten), dtype=np.intp).reshape(-1, 2).T
    pairs, rows, columns = _laid_out(
        check, np.append(rows, missing[0]), np.append(columns, missing[1])
    )
    place = np.searchsorted(key, rows * problem.size + columns).clip(max=key.size - 1)
    stored = key[place] == rows * problem.size + columns
    entries = search.entries(rows, columns, np.where(stored, values[0][place], 0.0))
    for own, pair in zip(few.pairs, pairs, strict=True):
        if (seen := search.found.seen.get(own.start)) is not None:
            # Of one entry in parts of a mean over more of them, or fewer.
            part = math.sqrt(pair.size / max(own.size, 1))
            entries.seen[pair.start] = seen._replace(entry=seen.entry * part)
    report = reported(check, pairs, lambda v: v[columns], entries, judged)
    if search.wrong and not report.wrong:
        report = contradicted(report, f"{search.wrong:,} outputs: {SHARED}")
    said = f"{key.size:,} entries in {sum(sizes):,} groups of columns that no output shares"
    report = report if pairs is check.pairs else _without_places(report, check)
    return replace(report, patterns=(*report.patterns, said))


def _laid_out(
    check: Check, rows: Array, columns: Array
) -> tuple[Sequence[PairBlock], Array, Array]:
    """Return how entries are reported, with their places: of a small matrix all there are."""
    m, n = check.outputs.size, check.problem.size
    if m * n <= MOST_WHOLE:
        keys = check.places()
        return check.pairs, keys // n, keys % n
    pairs, order = sparse_pairs(check.outputs.blocks, check.problem.blocks, rows, columns)
    return pairs, rows[order], columns[order]


def _without_places(report: GradientReport, check: Check) -> GradientReport:
    """Return a report whose blocks have the shape of the matrix, not all of which is in them."""
    # Hints of where something is count entries as they are stored, which says nothing.
    blocks = []
    for block, pair in zip(report.blocks, check.pairs, strict=True):
        counts = block.code in PLACES
        hint, code = ("", "") if counts else (block.hint, block.code)
        blocks.append(replace(block, shape=pair.shape, hint=hint, code=code))
    diagnoses = tuple(one for one in report.diagnoses if one.code not in PLACES)
    return replace(report, blocks=tuple(blocks), diagnoses=diagnoses)


def _together(found: Sequence[Entries], count: int) -> tuple[Array, Array, list[Array]]:
    """Return where any of some matrices of `count` columns has entries, row by row, and these."""
    keys = [one.rows * count + one.columns for one in found]
    every = np.unique(np.concatenate(keys))
    values = []
    for one, key in zip(found, keys, strict=True):
        own = np.zeros(every.size, dtype=one.values.dtype)
        own[np.searchsorted(every, key)] = one.values
        values.append(own)
    return every // max(count, 1), every % max(count, 1), values


def _grouped(blocks: Sequence[Block], rows: Array, columns: Array) -> tuple[Array, list[int]]:
    """Return the group of each column, shape (n,), and how many groups each block has."""
    # A group is within a block: tolerances are a block's.
    group, sizes = np.empty(blocks[-1].stop, dtype=np.intp), list[int]()
    for block in blocks:
        mine = (columns >= block.start) & (columns < block.stop)
        own = column_groups(rows[mine], columns[mine] - block.start, block.size)
        group[block.window] = own + sum(sizes)
        sizes.append(int(own.max(initial=-1)) + 1)
    return group, sizes


def _of_groups(
    check: Check, group: Array, weights: Array, sizes: Sequence[int], slots: Array
) -> Check:
    """Return the check of outputs by groups; `slots`, (m, groups), are as in `Search`."""
    problem = check.problem
    structure = flatten([np.ones(size) for size in sizes])
    blocks = tuple(
        replace(block, name=f"{own.name}: group")
        for block, own in zip(blocks_of(structure, (), ()), problem.blocks, strict=True)
    )
    work = WorkCopy(structure, blocks)
    evaluator = Grouped(problem.numeric, problem.evaluator, work, group, weights)
    moved = replace(problem, structure=structure, blocks=blocks, evaluator=evaluator)
    few = replace(check, problem=moved)
    few.points.empty = slots < 0
    every = np.broadcast_to(np.arange(len(slots))[:, None], slots.shape)

    def of_parameters(pair: PairBlock) -> PairBlock:
        window, own = (pair.output.window, pair.param.window), problem.blocks[pair.param.leaf]
        return sparse_pair(pair, pair.start, own, every[window].ravel(), slots[window].ravel())

    few.pairs = tuple(map(of_parameters, few.pairs))
    return few


@dataclass
class Search:
    """Which entries are wrong, where the sum over a group of columns is; see `judged_matrices`.

    `analytic` and `slots`, shape (m, groups), are the matrix of the groups, and whose column each
    of its entries is, -1 where no column of the group has an entry in the row.  `forgotten` are
    errors where there is no entry, by output and parameter, with their error bars.
    """

    few: Check
    judged: InitVar[JudgedRows]
    analytic: Array
    slots: Array
    group: Array
    weights: Array
    forgotten: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict)
    wrong: int = 0
    _several: list[tuple[float, int, int]] = field(default_factory=list)

    def __post_init__(self, judged: JudgedRows) -> None:
        self.place = self.few.where()
        self.found = stacked(self.few, judged, self.analytic)
        self.step = float(judged.sweeps[0].step[0]) if judged.sweeps else 0.0

    def run(self) -> None:
        """Locate every error that the groups show, as far as evaluations are allowed."""
        found, at = self.found, self.place
        with np.errstate(all="ignore"):
            gap = self.analytic - found.numeric[at]
        wrong = (found.verdict[at] == DISAGREE) & np.isfinite(gap)
        self.wrong = int(np.count_nonzero(wrong.any(axis=1))) or len(found.groups)
        # Until it is known which of the columns is meant.
        for slot in at[wrong].tolist():
            found.verdict[slot], found.reasons[slot] = OPEN, SHARED
            found.slopes.pop(slot, None)
        with suppress(BudgetExhausted):
            for g in np.flatnonzero(wrong.any(axis=0)).tolist():
                self._by_halves(g, np.flatnonzero(wrong[:, g]), gap[wrong[:, g], g])
            for _, i, g in sorted(self._several, reverse=True)[:ROWS_SEARCHED]:
                self._one_by_one(i, g, float(gap[i, g]))

    def untold(self) -> tuple[str, ...]:
        """Return the sentence that says that an entry may be missing, where noise hides it."""
        hidden = (self.found.verdict[self.place] == OPEN) & (self.slots < 0)
        for _, i, g in self._several:
            hidden[i, g] = False
        count = int(np.count_nonzero(hidden.any(axis=1)))
        return (UNTOLD.format(count),) if count else ()

    def _slopes(self, columns: Array) -> Array:
        """Return how the outputs change along some columns alone, shape (m,)."""
        shift = np.zeros(self.group.size)
        shift[columns] = self.weights[columns]
        runner = self.few.problem.evaluator
        assert isinstance(runner, Grouped)
        up, down = runner.runner.along(shift, (self.step, -self.step))
        with np.errstate(all="ignore"):
            slopes: Array = (up - down) / (2 * self.step)
        return slopes

    def _by_halves(self, g: int, outputs: Array, gap: Array) -> None:
        """Locate one error in each row of a group, by the binary digits of its columns' numbers."""
        members = np.flatnonzero(self.group == g)
        own = np.searchsorted(members, self.slots[outputs, g])
        own[self.slots[outputs, g] < 0] = -1
        code = np.zeros(outputs.size, dtype=np.intp)
        clear = np.ones(outputs.size, dtype=bool)
        alone = np.full(outputs.size, np.nan)
        with np.errstate(all="ignore"):
            noise = 3 * self.found.error[self.place[outputs, g]] / np.abs(gap)
        slack = np.minimum(LEAST_LOCATED + noise, LOCATED_WITHIN)
        for bit in range((members.size - 1).bit_length()):
            inside = (np.arange(members.size) >> bit) & 1 == 1
            slopes = self._slopes(members[inside])[outputs]
            mine = (own >= 0) & inside[own]
            with np.errstate(all="ignore"):
                part = (np.where(mine, self.analytic[outputs, g], 0.0) - slopes) / gap
            holds = np.abs(part - 1) <= slack
            clear &= holds | (np.abs(part) <= slack)
            code |= holds.astype(np.intp) << bit
            # Where the error is in the other half, the row's own entry is seen without it.
            whole = self.analytic[outputs, g] - gap
            alone = np.where(holds != mine, np.where(mine, slopes, whole - slopes), alone)
        for k, i in enumerate(outputs.tolist()):
            if not clear[k] or code[k] >= members.size:
                self._several.append((abs(float(gap[k])), i, g))
            else:
                self._accuse(i, g, int(members[code[k]]), float(gap[k]), float(alone[k]))

    def _accuse(self, i: int, g: int, column: int, gap: float, alone: float) -> None:
        """Accuse one column of a group; the row's own entry is `alone` where that is another."""
        slot, found = int(self.place[i, g]), self.found
        if column == self.slots[i, g]:
            found.numeric[slot] = self.analytic[i, g] - gap
            found.verdict[slot] = DISAGREE
            found.reasons.pop(slot, None)
            return
        self.forgotten[i, column] = (gap, float(found.error[slot]))
        limits, empty = found.tolerance.at(slot), self.slots[i, g] < 0
        if empty or limits.within(alone, float(found.error[slot])):
            found.numeric[slot], found.verdict[slot] = 0.0 if empty else alone, AGREE
            found.reasons.pop(slot, None)

    def _one_by_one(self, i: int, g: int, gap: float) -> None:
        """Halve a group until each of the columns is found that are wrong in one row."""
        left = [np.flatnonzero(self.group == g)]
        least = max(LEAST_LOCATED * abs(gap), 3 * float(self.found.error[self.place[i, g]]))
        while left:
            part = left.pop()
            told = self.analytic[i, g] if self.slots[i, g] in part else 0.0
            error = float(told - self._slopes(part)[i])
            if not abs(error) > least:
                continue
            if part.size == 1:
                self._accuse(i, g, int(part[0]), error, math.nan)
            else:
                left += [part[: part.size // 2], part[part.size // 2 :]]

    def entries(self, rows: Array, columns: Array, analytic: Array) -> Comparison:
        """Return what is known of entries of the whole matrix; shapes (k,)."""
        at, by = self.place[rows, self.group[columns]], self.weights[columns]
        found, limits = self.found, self.found.tolerance
        own = self.slots[rows, self.group[columns]] == columns
        scaled = {
            name: getattr(limits, name)[at] / by for name in ("atol", "dust", "goal_atol", "rms")
        }
        picked = Comparison(
            Tolerance(analytic, rtol=limits.rtol[at], goal_rtol=limits.goal_rtol[at], **scaled),
            np.where(own, found.numeric[at] / by, 0.0),
            found.error[at] / by,
            found.evaluated[at],
            found.flat[at] | ~own,
            np.where(own, found.bound[at] / by, 0.0),
            np.where(own, found.verdict[at], AGREE).astype(np.int8),
            answers=found.answers[at] & own,
        )
        special = np.isin(at, [*found.reasons, *found.slopes]) & own
        for k in np.flatnonzero(special).tolist():
            slot = int(at[k])
            if slot in found.reasons:
                picked.reasons[k] = found.reasons[slot]
            if slot in found.slopes:
                backward, forward = found.slopes[slot]
                picked.slopes[k] = (backward / by[k], forward / by[k])
        key, count = rows * self.group.size + columns, self.group.size
        where = np.flatnonzero(np.isin(key, [i * count + j for i, j in self.forgotten]))
        for k in where.tolist():
            gap, error = self.forgotten[int(rows[k]), int(columns[k])]
            picked.numeric[k], picked.error[k] = -gap / by[k], error / by[k]
            picked.verdict[k], picked.flat[k], picked.answers[k] = DISAGREE, False, True
        return picked


# More outputs or parameters than can be judged one by one: random combinations of them.
#
# With a cotangent u, u·F(θ) is a func of one number and its gradient is uᵀJ; with tangents v,
# t ↦ F(θ + Σ tᵢvᵢ) has as many parameters as there are tangents, and its Jacobian is Jv.  Both are
# checked as any other func, and what is found wrong is then looked at entry by entry.


def at(structure: Structure, blocks: Sequence[Block], vector: Array) -> Any:
    """Return a copy of the structure with the blocks' coordinates replaced."""
    work = WorkCopy(structure, blocks)
    work.set(vector)
    return work.params


def combined(outputs: Outputs, u: Array, value: Any) -> Any:
    """Return what func returned as u·F; NaN or infinity where an output is."""
    return u @ outputs.read(value)


def no_bits(value: Any) -> None:
    """Return that a combination is as precise as float64: noise is measured in any case."""


def along_cotangents(
    check: Check,
    rows: Callable[[Array], Any],
    columns: Callable[[Array], Matrix] | None = None,
    eps: float = EPS,
) -> GradientReport:
    """Check uᵀJ for some random u, shape (m,), which is no more precise than `eps`."""
    # `rows` takes u, shape (m,), and returns uᵀJ in params' structure; `columns` takes coordinates
    # and returns those columns of the analytic Jacobian, for the entries that are wrong to be
    # named.
    outputs, options = check.outputs, check.options
    m, spent = outputs.size, check.problem.evaluator.evaluations
    for number in range(COMBINED):
        u = random_weights(m, options.seed, Stream.COTANGENTS, number)
        u = rounded(outputs.structure, outputs.blocks, u)  # as the product gets it
        call = replace(check.problem.call, read=partial(combined, outputs, u), bits=no_bits)
        report = run_check(call, rows(u), check.own.fresh(), options, eps)
        spent += report.evaluations
        if not report.ok:
            break
    said = f"{m:,} outputs in {number + 1} random combinations (seed {options.seed})"
    whole = replace(
        report,
        evaluations=spent,
        seconds=time.perf_counter() - check.started,
        patterns=(*report.patterns, said),
    )
    if columns is None or whole.verdict != "disagree":
        return whole
    by_entry = _by_entry(check, whole, columns)
    return whole if by_entry is None else by_entry


def _by_entry(
    check: Check, report: GradientReport, columns: Callable[[Array], Matrix]
) -> GradientReport | None:
    """Judge the columns of the parameters that a combination accuses, entry by entry."""
    problem, call = check.problem, check.problem.numeric
    blocks, theta = problem.blocks, problem.theta
    wrong = [entry.label for entry in report.worst if entry.verdict == "disagree"]
    named = wrong[:ACCUSED_LOOKED_AT]
    places = {place for name in named if (place := coordinate_of(blocks, name)) is not None}
    if not places:
        return None
    chosen = np.array(sorted(places))
    matrix = columns(chosen)
    outputs = _most_wrong(check, matrix.dense, chosen)
    structure, first = flatten(check.copied()), call.on(problem.evaluator.work, [])
    name_of_output, name_of_param = labels(check.outputs.blocks), labels(blocks)
    names = [name_of_output(k) for k in outputs.tolist()]

    def func(few: SimpleNamespace) -> Any:
        moved = theta.copy()
        moved[chosen] = list(vars(few).values())
        values = check.outputs.read(first(at(structure, blocks, moved)))[outputs]
        return SimpleNamespace(**dict(zip(names, values, strict=True)))

    func.__qualname__ = name_of(check.problem.call.func)
    params = SimpleNamespace(**{name_of_param(int(i)): float(theta[i]) for i in chosen})
    options = replace(
        check.options, only=(), skip=(), entries=(), reference=None, max_evals=None, workers=1
    )
    with checking(Call(func), params, options, check.outputs.called) as few:
        precision = (matrix.precision[0],) * (outputs.size * chosen.size)
        found = report_of(few, [Matrix(matrix.dense[outputs], precision)], may_be_zero=True)
    if found.ok:
        return None
    said = (
        f"shown are {chosen.size} of {check.problem.size:,} parameters that stood out, and "
        f"{outputs.size} of {check.problem.center.size:,} outputs"
    )
    return replace(
        found,
        evaluations=report.evaluations + found.evaluations,
        seconds=report.seconds + found.seconds,
        patterns=(*report.patterns, said),
    )


def _most_wrong(check: Check, dense: Array, chosen: Array) -> Array:
    """Return the outputs whose entries differ most from central differences, in order."""
    gaps = np.zeros(dense.shape[0])
    for column, coordinate in enumerate(chosen.tolist()):
        position = position_of(check.problem.blocks, coordinate)
        offset = coordinate - check.problem.blocks[position].start
        theta = check.problem.evaluator.work.theta[position][offset]
        h = OUTPUT_STEP * float(check.problem.scale[coordinate])
        to = np.array([[theta + h, theta - h]], dtype=theta.dtype)
        high, low = check.points.evaluate(Move(to, position, [offset]))[:, 0].T
        with np.errstate(all="ignore"):
            gap = np.abs(dense[:, column] - (high - low) / (to[0, 0] - to[0, 1]))
        gaps = np.fmax(gaps, np.where(np.isnan(gap), np.inf, gap))
    order = np.argsort(-gaps, kind="stable")[:OUTPUTS_LOOKED_AT]
    # Beside the largest gaps the others are this glance's own error.
    return np.sort(order[gaps[order] >= OUTPUT_GAPS * gaps[order[0]]])


def along_tangents(check: Check, products: Callable[[Array], Any], what: str) -> GradientReport:
    """Check Jv for some random v, shape (n,), output by output."""
    # `products` takes v, shape (n,), and returns Jv in the outputs' structure; an error calls it
    # `what`.
    problem, call, seed = check.problem, check.problem.numeric, check.options.seed
    n = problem.size
    tangents = [
        rounded(problem.structure, problem.blocks, weights * problem.scale)
        for weights in (random_weights(n, seed, Stream.TANGENTS, k) for k in range(COMBINED))
    ]
    structure = flatten(check.copied())

    def func(steps: dict[str, float], *args: Any) -> Any:
        moved = problem.theta + sum(t * v for t, v in zip(steps.values(), tangents, strict=True))
        return call.func(at(structure, problem.blocks, moved), *args)

    func.__qualname__ = name_of(check.problem.call.func)
    params = {f"v{number + 1}": 0.0 for number in range(COMBINED)}
    values = [products(v) for v in tangents]
    dense = np.stack([output_vector(value, check.outputs, what) for value in values], 1)
    precision = precision_of(values[0], check.outputs)
    options = replace(check.options, only=(), skip=(), entries=(), reference=None, workers=1)
    with checking(replace(call, func=func), params, options, check.outputs.called) as few:

        def columns(which: Array) -> Matrix:
            return Matrix(dense[:, which], tuple(x for x in precision for _ in range(which.size)))

        if dense.shape[0] > OUTPUTS_ONE_BY_ONE:
            found = along_cotangents(
                few, lambda u: few.structured(u @ dense), columns, max(precision, default=EPS)
            )
        else:
            found = report_of(few, [columns(np.arange(COMBINED))])
    said = f"{n:,} parameters along {COMBINED} random tangents, v1 to v3 (seed {seed})"
    return replace(
        found,
        evaluations=problem.evaluator.evaluations + found.evaluations,
        patterns=(*found.patterns, said),
    )
