"""More outputs or parameters than can be judged one by one: random combinations of them.

With a cotangent u, u·F(θ) is a func of one number and its gradient is uᵀJ; with tangents v,
t ↦ F(θ + Σ tᵢvᵢ) has as many parameters as there are tangents, and its Jacobian is Jv.  Both are
checked as any other func, and what is found wrong is then looked at entry by entry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from .._constants import (
    ACCUSED_LOOKED_AT,
    COMBINED,
    EPS,
    OUTPUT_GAPS,
    OUTPUT_STEP,
    OUTPUTS_LOOKED_AT,
    OUTPUTS_ONE_BY_ONE,
)
from .._difference.directions import Stream, random_weights
from .._evaluate.call import Call, name_of
from .._evaluate.evaluator import Move
from .._gradient.check import run_check
from .._params.layout import (
    Block,
    beside,
    coordinate_of,
    labels,
    position_of,
    rounded,
    to_structure,
)
from .._params.structure import Structure, flatten
from .._params.work_copy import WorkCopy
from .._report.report import GradientReport
from .check import Check, checking, numeric_params, own_params, report_of
from .linear import Matrix
from .outputs import Outputs, output_vector, precision_of

Array = np.ndarray[Any, Any]


def at(structure: Structure, blocks: Sequence[Block], vector: Array) -> Any:
    """Return a copy of the structure with the blocks' coordinates replaced."""
    work = WorkCopy(structure, blocks)
    work.set(vector)
    return work.params


def tangent(check: Check, vector: Array, strided: bool = False) -> Any:
    """Return a vector over the parameters in their structure; zero in what is left out.

    `strided` arrays have gaps between their entries in memory.
    """
    made = beside(check.problem.structure, check.problem.blocks, vector)
    return spread(made) if strided else made


def cotangent(check: Check, vector: Array, strided: bool = False) -> Any:
    """Return a vector over the outputs in their structure, as `tangent` does."""
    made = beside(check.outputs.structure, check.outputs.blocks, vector)
    return spread(made) if strided else made


def spread(value: Any) -> Any:
    """Return a structure with all arrays strided."""
    structure = flatten(value)
    return structure.rebuild(
        [leaf.kind.strided(leaf.value) if leaf.kind else leaf.value for leaf in structure.leaves]
    )


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
    """Check uᵀJ for some random u, shape (m,), which is no more precise than `eps`.

    `rows` takes u, shape (m,), and returns uᵀJ in params' structure; `columns` takes coordinates
    and returns those columns of the analytic Jacobian, for the entries that are wrong to be named.
    """
    outputs, options = check.outputs, check.options
    m, spent = outputs.size, check.problem.evaluator.evaluations
    for number in range(COMBINED):
        u = random_weights(m, options.seed, Stream.COTANGENTS, number)
        u = rounded(outputs.structure, outputs.blocks, u)  # as the product gets it
        call = replace(check.problem.call, read=partial(combined, outputs, u), bits=no_bits)
        report = run_check(call, rows(u), own_params(check), options, eps)
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
    structure, first = flatten(numeric_params(check)), call.on(problem.evaluator.work, [])
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
    """Check Jv for some random v, shape (n,), output by output.

    `products` takes v, shape (n,), and returns Jv in the outputs' structure; an error calls it
    `what`.
    """
    problem, call, seed = check.problem, check.problem.numeric, check.options.seed
    n = problem.size
    tangents = [
        rounded(problem.structure, problem.blocks, weights * problem.scale)
        for weights in (random_weights(n, seed, Stream.TANGENTS, k) for k in range(COMBINED))
    ]
    structure = flatten(numeric_params(check))

    def func(steps: dict[str, float], *args: Any) -> Any:
        moved = problem.theta + sum(t * v for t, v in zip(steps.values(), tangents, strict=True))
        return call.func(at(structure, problem.blocks, moved), *args)

    func.__qualname__ = name_of(check.problem.call.func)
    params = {f"v{number + 1}": 0.0 for number in range(COMBINED)}
    values = [products(v) for v in tangents]
    dense = np.stack([output_vector(value, check.outputs, what) for value in values], 1)
    precision = precision_of(values[0])
    options = replace(check.options, only=(), skip=(), entries=(), reference=None, workers=1)
    with checking(replace(call, func=func), params, options, check.outputs.called) as few:

        def columns(which: Array) -> Matrix:
            return Matrix(dense[:, which], tuple(x for x in precision for _ in range(which.size)))

        def rows(u: Array) -> Any:
            return to_structure(few.problem.structure, few.problem.blocks, u @ dense)

        if dense.shape[0] > OUTPUTS_ONE_BY_ONE:
            found = along_cotangents(few, rows, columns, max(precision, default=EPS))
        else:
            found = report_of(few, [columns(np.arange(COMBINED))])
    said = f"{n:,} parameters along {COMBINED} random tangents, v1 to v3 (seed {seed})"
    return replace(
        found,
        evaluations=problem.evaluator.evaluations + found.evaluations,
        patterns=(*found.patterns, said),
    )
