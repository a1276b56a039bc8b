"""More outputs or parameters than can be judged one by one: random combinations of them.

With a cotangent u, u·F(θ) is a func of one number and its gradient is uᵀJ; with tangents v,
t ↦ F(θ + Σ tᵢvᵢ) has as many parameters as there are tangents, and its Jacobian is Jv.  Both are
checked as any other func, and what is found wrong is then looked at entry by entry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ._again import coordinate_of
from ._blocks import Block, Structure, flatten, labels
from ._check import run_check
from ._jacobian import MOST_ENTRIES, Check, checking, own_params, report_of
from ._matrix import Matrix
from ._outputs import dtypes_of, output_vector
from ._probes import random_weights
from ._problem import Call
from ._report import GradientReport

Array = np.ndarray[Any, Any]

COMBINED = 3
"""Random combinations: two errors that cancel in one of them do not in another."""

LOOKED_AT = 8
"""Parameters that a combination accuses, and whose columns are then judged entry by entry."""


def at(structure: Structure, blocks: Sequence[Block], vector: Array) -> Any:
    """Return the structure with the blocks' coordinates replaced; the rest as it is."""
    values = [leaf.value for leaf in structure.leaves]
    for block in blocks:
        leaf = structure.leaves[block.leaf]
        part = np.array(vector[block.window], dtype=block.dtype).reshape(block.shape)
        values[block.leaf] = part if leaf.is_array else part.item()
    return structure.rebuild(values)


def tangent(check: Check, vector: Array) -> Any:
    """Return a vector over the parameters in their structure; zero in what is left out."""
    values: list[Any] = [
        np.zeros(np.shape(leaf.value)) if leaf.is_array else 0.0
        for leaf in check.problem.structure.leaves
    ]
    return _filled(check.problem.structure, check.problem.blocks, values, vector)


def cotangent(check: Check, vector: Array) -> Any:
    """Return a vector over the outputs in their structure."""
    outputs = check.capture.outputs
    return _filled(outputs.structure, outputs.blocks, [None] * len(outputs.blocks), vector)


def _filled(structure: Structure, blocks: Sequence[Block], values: list[Any], vector: Array) -> Any:
    for block in blocks:
        # A narrow parameter's tangent is as narrow: products of the two then stay in its type.
        part = vector[block.window].reshape(block.shape).astype(block.dtype)
        values[block.leaf] = part if structure.leaves[block.leaf].is_array else part.item()
    return structure.rebuild(values)


def along_cotangents(
    check: Check,
    rows: Callable[[Array], Any],
    call: Call,
    columns: Callable[[Array], Matrix] | None = None,
) -> GradientReport:
    """Check uᵀJ for some random u.

    Parameters
    ----------
    check : Check
    rows : callable
        Takes u, shape (m,), and returns uᵀJ in params' structure.
    call : Call
    columns : callable, optional
        Takes coordinates and returns those columns of the analytic Jacobian, for the entries that
        are wrong to be named.

    Returns
    -------
    GradientReport
    """
    capture, options = check.capture, check.options
    m, spent = capture.outputs.size, check.problem.evaluator.evaluations
    plain = replace(call, has_aux=False)
    for number in range(COMBINED):
        u = random_weights(m, options.seed, 6, number)

        def combined(*given: Any, u: Array = u) -> Any:
            capture(*given)
            return np.nan if capture.last is None else u @ capture.last

        combined.__qualname__ = capture.__qualname__
        report = run_check(combined, rows(u), own_params(check), plain, options)
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
    return _by_entry(check, whole, columns, call) or whole


def _by_entry(
    check: Check, report: GradientReport, columns: Callable[[Array], Matrix], call: Call
) -> GradientReport | None:
    """Judge the columns of the parameters that a combination accuses, entry by entry."""
    blocks, theta = check.problem.blocks, check.problem.theta
    named = [entry.label for entry in report.worst if entry.verdict == "disagree"][:LOOKED_AT]
    places = {place for name in named if (place := coordinate_of(blocks, name)) is not None}
    if not places or len(places) * check.shared.center.size > MOST_ENTRIES:
        return None
    chosen = np.array(sorted(places))
    structure = flatten(own_params(check))

    def func(few: dict[str, float], *args: Any) -> Any:
        moved = theta.copy()
        moved[chosen] = list(few.values())
        return check.capture.func(at(structure, blocks, moved), *args)

    func.__qualname__ = check.capture.__qualname__
    label = labels(blocks)
    params = {label(int(i)): float(theta[i]) for i in chosen}
    options = replace(check.options, only=(), skip=(), max_evals=None)
    with checking(func, params, call, options) as few:
        found = report_of(few, [columns(chosen)], may_be_zero=True)
    if found.ok:
        return None
    said = f"shown are {len(chosen)} parameters that stood out, of {check.problem.size:,}"
    return replace(
        found,
        evaluations=report.evaluations + found.evaluations,
        seconds=report.seconds + found.seconds,
        patterns=(*report.patterns, said),
    )


def along_tangents(
    check: Check, products: Callable[[Array], Any], call: Call, what: str
) -> GradientReport:
    """Check Jv for some random v, output by output.

    Parameters
    ----------
    check : Check
    products : callable
        Takes v, shape (n,), and returns Jv in the outputs' structure.
    call : Call
    what : str
        How an error calls `products`.

    Returns
    -------
    GradientReport
    """
    problem, seed = check.problem, check.options.seed
    n = problem.size
    tangents = [random_weights(n, seed, 7, k) * problem.scale for k in range(COMBINED)]
    structure = flatten(own_params(check))

    def func(steps: dict[str, float], *args: Any) -> Any:
        moved = problem.theta + sum(t * v for t, v in zip(steps.values(), tangents, strict=True))
        return check.capture.func(at(structure, problem.blocks, moved), *args)

    func.__qualname__ = check.capture.__qualname__
    params = {f"v{number + 1}": 0.0 for number in range(COMBINED)}
    values = [products(v) for v in tangents]
    dense = np.stack([output_vector(value, check.capture.outputs, what) for value in values], 1)
    dtypes = tuple(dtype for dtype in dtypes_of(values[0]) for _ in range(COMBINED))
    with checking(func, params, call, replace(check.options, only=(), skip=())) as few:
        found = report_of(few, [Matrix(dense, dtypes)])
    said = f"{n:,} parameters along {COMBINED} random tangents, v1 to v3 (seed {seed})"
    return replace(
        found,
        evaluations=problem.evaluator.evaluations + found.evaluations,
        patterns=(*found.patterns, said),
    )
