"""From the user's arguments to a problem: blocks, evaluator, J at θ, the analytic gradient.

func and grad are both evaluated twice at θ, to see that they repeat themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from .._constants import (
    AWAY,
    ENTRY_ROUNDINGS,
    EPS,
    GRADIENT_REPEATS_WITHIN,
    REPEATS_WITHIN,
)
from .._options import Options
from .._params.arrays import NUMBER, NUMPY, chunks, same_bits
from .._params.layout import (
    Block,
    Scale,
    blocks_of,
    gradient_vector,
    labels,
    require_finite,
    scale_of,
    vector_of,
)
from .._params.structure import Structure, flatten
from .._params.work_copy import WorkCopy
from .._quoting import brief
from ..hookspecs import progress_listener
from .batch import evaluator_of
from .call import Call, calling, name_of
from .evaluator import BudgetExhausted, Evaluator, Progress
from .start import start_of
from .workers import Task, Workers

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Problem:
    """What is differenced.

    `center` is J at θ, a number or shape (m,), and `jitter` by how much two calls of func differ:
    what they are allowed to is no noise.  `unrepeated` says so where that is too much.
    `gradients` are what a func that returns ``(J, gradient)`` returned at θ, with their precision.
    `call` is of the user's func, `numeric` of what is differenced: func as well, a reference in its
    place, or a copy of func that computes in float64; `remarks` say which.
    """

    call: Call
    numeric: Call
    structure: Structure
    blocks: tuple[Block, ...]
    evaluator: Evaluator
    center: Any
    jitter: Any
    unrepeated: str = ""
    gradients: tuple[tuple[Array, tuple[float, ...]], ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many coordinates."""
        return self.blocks[-1].stop if self.blocks else 0

    @cached_property
    def theta(self) -> Array:
        """The coordinates, shape (n,): float64, or longdouble if any is.

        Made when it is asked for, as `scale` is: a check along directions needs neither.
        """
        return vector_of(self.structure, self.blocks)

    @cached_property
    def scale(self) -> Array:
        """The scale of each coordinate, shape (n,)."""
        counts = [block.size for block in self.blocks]
        floors = np.repeat([one.floor for one in self.scaling], counts)
        return Scale(floors, np.repeat([one.at_zero for one in self.scaling], counts)).of(
            self.theta
        )

    @cached_property
    def scaling(self) -> tuple[Scale, ...]:
        """How each block is scaled."""
        return tuple(scale_of(theta) for theta in self.evaluator.work.theta)

    def scale_of(self, position: int, part: Any) -> Any:
        """Return the scale of some coordinates of block number `position`, a new array."""
        return self.scaling[position].of(self.evaluator.work.theta[position][part])


@dataclass(frozen=True)
class Analytic:
    """The analytic gradient, shape (n,), and the machine epsilon of each of its blocks.

    `jitter`, shape (n,) or a number, is by how much two calls of grad differ; `unrepeated` says so
    where that is too much. `at` returns it elsewhere, at θ and a shift, if grad can be called.
    """

    vector: Array
    precision: tuple[float, ...]
    jitter: Any = 0.0
    unrepeated: str = ""
    at: Callable[..., Array] | None = None


def structure_of(params: Any, options: Options) -> tuple[Structure, tuple[Block, ...]]:
    """Flatten the parameters and choose the blocks."""
    if params is None:
        raise TypeError("params is None; pass the arrays or numbers at which to check the gradient")
    structure = flatten(params)
    return structure, blocks_of(structure, options.only, options.skip, options.entries)


def require_callable(func: Any, grad: Any = None, form: str = "func(params, *args) -> J") -> None:
    """Raise TypeError when func, called as `form` says, is not callable: perhaps two gradients."""
    if callable(func):
        return
    advice = "; the order is func, grad, params" if callable(grad) else ""
    if np.ndim(func) == 0 and isinstance(func, (float, np.number)):
        advice = ": pass the function itself, f for f(params)"
    elif grad is not None and not callable(grad):
        advice = (
            "; to compare two gradients that you have, call compare_gradients(analytic, reference)"
        )
    raise TypeError(
        f"{form.partition('(')[0]} must be callable, {form}, but is {type(func).__name__}{advice}"
    )


def prepare(call: Call, params: Any, options: Options) -> Problem:
    """Set up the evaluator and evaluate func at θ, twice."""
    require_callable(call.func)
    if call.vectorized != options.vectorized:
        call = replace(call, vectorized=options.vectorized)
    structure, blocks = structure_of(params, options)
    for block in blocks:
        require_finite(structure, block)
    _require_combination(call, structure, options)
    progress = Progress(options.max_evals, progress_listener())

    def evaluator(dtype: Any = None, of: Call = call, context: Any = None) -> Evaluator:
        pool = None
        if options.workers != 1:
            pool = Workers(options.workers, Task(of, params, blocks, dtype, structure))
        # A context holds for one thread.
        within = nullcontext if context is None or pool is not None else context
        with within():
            work = WorkCopy(structure, blocks, dtype, of.in_place)
        return evaluator_of(of, work, progress, pool).inside(within)

    gradients: list[tuple[Array, tuple[float, ...]]] = []

    def read(runner: Evaluator) -> None:
        # Before the next call: a gradient returned in a buffer is overwritten by it.
        gradients.extend(gradient_vector(item, structure, blocks) for item in runner.gradients)

    with calling(call.func, call.form("func"), params):
        start = start_of(evaluator, call, structure, blocks, options.reference, read)
    runner, center = start.runner, start.center
    try:
        read(runner)
        again = runner.at_theta()
        read(runner)
    except BaseException:
        runner.work.restore()
        raise
    # Of a number a plain float: it gets into reports, which hold nothing of numpy.
    gap = np.abs(again - center).astype(np.float64) if runner.shape else float(abs(again - center))
    unrepeated = ""
    if not runner.shape and gap > may_differ_by(float(center), runner.narrow, options):
        unrepeated = (
            f"func does not repeat itself: {float(center)!r}, then {float(again)!r}, at the same "
            "parameters (dropout, shuffling or an unseeded generator?)"
        )
    return Problem(
        call,
        start.call,
        structure,
        blocks,
        runner,
        center,
        gap,
        unrepeated,
        tuple(gradients),
        start.remarks,
    )


def may_differ_by(value: Any, narrow: int | None, options: Options) -> Any:
    """Return by how much two values of func may differ and be taken for its noise.

    `narrow` has the bits of the type that func returns, if it is narrower than float64.
    """
    part = max(REPEATS_WITHIN, ENTRY_ROUNDINGS * 2.0**-narrow if narrow else 0.0)
    return options.nondet_tol + part * abs(value)


PAST = (
    "func depends on what was evaluated before (a warm start, a cache): {} was {!r} at the "
    "parameters, and {!r} after other points"
)


def _scales(problem: Problem) -> Array:
    """Return the scale of every coordinate, shape (n,), with no other vector as long."""
    scales: Array = np.empty(problem.size)
    for position, block in enumerate(problem.blocks):
        for part in chunks(block.size):
            here = slice(block.start + part.start, block.start + part.stop)
            scales[here] = problem.scale_of(position, part)
    return scales


def depends_on_the_past(
    problem: Problem, options: Options, *, from_afar: bool = False
) -> tuple[float, str]:
    """Return by how much J at θ is another one after other points, and the sentence if too much.

    `from_afar`: a point a part of the scales away is evaluated before, for the others may all have
    been near.
    """
    try:
        if from_afar:
            problem.evaluator.along(_scales(problem), (AWAY,))
        with problem.evaluator.quiet():  # what it warns of here was said before
            again = problem.evaluator.at_theta()
    except BudgetExhausted:
        return 0.0, ""
    center, evaluator = float(problem.center), problem.evaluator
    gap = abs(float(again - problem.center))
    if gap <= problem.jitter + may_differ_by(center, evaluator.narrow, options):
        return gap, ""
    return gap, PAST.format("J", center, float(again))


def _require_combination(call: Call, structure: Structure, options: Options) -> None:
    """Raise ValueError for options that can't go together."""
    if call.in_place and options.workers != 1:
        raise ValueError(
            "in_place=True: workers can't each perturb the one set of arrays that func reads; "
            "pass a func that takes params, or leave out workers"
        )
    if call.in_place and options.vectorized:
        raise ValueError(
            "in_place=True: the arrays that func reads have no batch axis; pass a func that takes "
            "params, or leave out vectorized"
        )
    if call.returns_pair and options.vectorized:
        raise ValueError(
            "vectorized=True: func returns J alone, shape (batch,); pass grad as a function of "
            "its own, which gets params without the batch axis"
        )
    if options.scheme == "complex" and any(
        leaf.kind not in (None, NUMPY, NUMBER) for leaf in structure.leaves
    ):
        raise ValueError(
            'scheme="complex" takes numpy arrays and numbers; use "central" for those of other '
            "libraries"
        )
    if options.scheme == "complex" and (options.vectorized or options.workers != 1):
        raise ValueError(
            'scheme="complex" evaluates one parameter after the other; leave out workers and '
            "vectorized, or use another scheme"
        )


SLOW_SECONDS = 0.1
"""An evaluation of a framework's func that takes as long is told to be compiled."""


def remarks_of(problem: Problem) -> tuple[str, ...]:
    """Return what is to be said of how func was evaluated."""
    seconds, func = problem.evaluator.seconds, problem.numeric.func
    kinds = [leaf.kind for leaf in problem.structure.leaves if leaf.kind is not None]
    slow = [kind for kind in kinds if seconds >= SLOW_SECONDS and not kind.compiled(func)]
    if not slow:
        return problem.remarks
    told = (
        f"an evaluation of func takes {seconds:.2g} s, and a check takes many: compile func, "
        f"{slow[0].compiler}({name_of(func)})"
    )
    return (*problem.remarks, told)


def evaluate_gradient(
    grad: Any, problem: Problem, options: Options, least: float = EPS
) -> Analytic:
    """Return the analytic gradient; a callable is called twice to see that it repeats itself.

    True: what func returned at θ is used. It is no more precise than `least`.
    """
    structure, blocks, call = problem.structure, problem.blocks, problem.call
    found = list(problem.gradients)
    if grad is not True and not callable(grad):
        found = [gradient_vector(grad, structure, blocks)]
    if callable(grad):
        with work_of_grad(problem) as work:
            for _ in range(2):
                work.set_aside()
                params = work.fresh() if call.copy else work.params
                with calling(grad, call.form("grad"), params):
                    gradient = grad(*call.args) if call.in_place else grad(params, *call.args)
                known = found[-1][0] if found else None
                found.append(gradient_vector(gradient, structure, blocks, known=known))
                del gradient  # of a million parameters: before the next one is made
                work.require_unchanged("grad")
    vector, precision = found[0]
    gap = repetition(vector, found[-1][0], precision, blocks, options)
    at = partial(_gradient_at, grad, problem, call) if callable(grad) else None
    return Analytic(vector, tuple(max(own, least) for own in precision), *gap, at)


def _gradient_at(grad: Any, problem: Problem, call: Call, shift: Array | None = None) -> Array:
    """Return the analytic gradient at θ + shift; shapes (n,)."""
    with work_of_grad(problem) as work:
        try:
            if shift is not None:
                work.move(shift, 1.0)
            params = work.fresh() if call.copy else work.params
            found = grad(*call.args) if call.in_place else grad(params, *call.args)
            vector = gradient_vector(found, problem.structure, problem.blocks)[0]
        finally:
            if shift is not None:
                work.reset()
        if shift is None:
            work.require_unchanged("grad")
    return vector


@contextmanager
def work_of_grad(problem: Problem) -> Iterator[WorkCopy]:
    """Make what grad sees: the user's own arrays or precision, where func sees perhaps float64."""
    work, blocks, in_place = problem.evaluator.work, problem.blocks, problem.call.in_place
    if in_place == work.in_place and all(block.dtype.itemsize >= 8 for block in blocks):
        yield work
        return
    own = WorkCopy(problem.structure, blocks, None, in_place)
    try:
        yield own
    finally:
        own.restore()


def repetition(
    first: Array,
    second: Array,
    precision: Sequence[float],
    blocks: Sequence[Block],
    options: Options,
    what: str = "grad",
) -> tuple[Any, str]:
    """Return by how much two gradients differ, and the sentence when that is too much."""
    if first is second or same_bits(first, second):
        return 0.0, ""
    if np.array_equal(first, second, equal_nan=True):  # -0.0 equals 0.0
        return 0.0, ""
    with np.errstate(invalid="ignore"):
        gap = np.abs(first - second).astype(np.float64)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    gap[same] = 0.0
    finite = np.abs(first[np.isfinite(first)])
    largest = float(finite.max()) if finite.size else 0.0
    narrow = max(precision, default=0.0)
    allowed = max(GRADIENT_REPEATS_WITHIN, ENTRY_ROUNDINGS * narrow) * largest + options.nondet_tol
    bad = ~(gap <= allowed)
    if not bad.any():
        return gap, ""
    worst = int(np.argmax(np.where(np.isnan(gap), math.inf, gap)))
    return gap, (
        f"{what} does not repeat itself: {brief(labels(blocks)(worst))} is "
        f"{float(first[worst])!r}, then {float(second[worst])!r}, at the same parameters"
    )
