"""From the user's arguments to a problem: blocks, precision, evaluator, J and gradient at θ.

func and grad are both evaluated twice at θ, to see that they repeat themselves.
"""

from __future__ import annotations

import copy
import dis
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from .._constants import AWAY, ENTRY_ROUNDINGS, EPS, GRADIENT_REPEATS_WITHIN, REPEATS_WITHIN
from .._options import Options
from .._params.arrays_and_structure import (
    NUMBER,
    NUMPY,
    ROOT,
    Array,
    Float64,
    Structure,
    chunks,
    eps_of,
    flatten,
)
from .._params.layout import (
    Block,
    Scale,
    blocks_of,
    counts_of,
    gradient_vector,
    labels,
    narrow,
    runs,
    scales_of,
    vector_of,
)
from .._params.work_copy import WorkCopy
from .._quoting import brief, listing
from ..hookspecs import progress_listener
from .call import Call, add_form, name_of
from .evaluator import BudgetExhausted, Evaluator, Progress
from .parallel import Task, Workers, evaluator_of


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
    blocks: Sequence[Block]
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
    def counts(self) -> Array:
        """How many coordinates each block has, shape (blocks,)."""
        return np.array(counts_of(self.blocks), dtype=np.intp)

    @cached_property
    def runs(self) -> tuple[range, ...]:
        """The numbers of small blocks in a row that are worked on together, and of large ones."""
        return tuple(runs(self.blocks))

    @cached_property
    def theta(self) -> Array:
        """The coordinates, shape (n,): float64, or longdouble if any is."""
        # Made when it is asked for, as `scale` is: a check along directions needs neither.
        return vector_of(self.structure, self.blocks)

    @cached_property
    def scale(self) -> Array:
        """The scale of each coordinate, shape (n,)."""
        return self.scales()

    def scales(self, *, along: bool = False) -> Array:
        """Return `scale` as a new vector, with no other one as long.

        Or by how much each coordinate moves along a direction.
        """
        scales: Array = np.empty(self.size)
        for here, theta, scaling in self.windows():
            scales[here] = (scaling.along if along else scaling.of)(theta)
        return scales

    @cached_property
    def scaling(self) -> Scale:
        """How each block is scaled."""
        parts = ((run, self.evaluator.work.joint(run)) for run in self.runs)
        return scales_of(parts, self.counts.tolist())

    def scale_of(self, position: int, part: Any, *, along: bool = False) -> Any:
        """Return the scale of some coordinates of block number `position`, a new array.

        Or by how much they move along a direction.
        """
        own = self.scaling.within(self.counts, range(position, position + 1))
        return (own.along if along else own.of)(self.evaluator.work.theta[position][part])

    def windows(self) -> Iterator[tuple[slice, Array, Scale]]:
        """Yield windows on the flat vector, with θ and its scaling there: no other vector is made.

        A window is part of a large block, or holds many small ones.
        """
        for run in self.runs:
            scaling = self.scaling.within(self.counts, run)
            theta, start = self.evaluator.work.joint(run), self.blocks[run.start].start
            for part in chunks(theta.size):
                yield slice(start + part.start, start + part.stop), theta[part], scaling


@dataclass(frozen=True)
class Analytic:
    """The analytic gradient, shape (n,), and the machine epsilon of each of its blocks.

    `jitter`, shape (n,) or a number, is by how much two calls of grad differ; `unrepeated` says so
    where that is too much. `at` returns it elsewhere, at θ and a shift, if grad can be called, and
    `wider` the same in float64, where func is differenced there and the parameters are narrower.
    """

    vector: Array
    precision: tuple[float, ...]
    jitter: Any = 0.0
    unrepeated: str = ""
    at: Callable[..., Array] | None = None
    wider: Callable[..., Array] | None = None


def structure_of(
    params: Any, options: Options, of: str = ROOT
) -> tuple[Structure, Sequence[Block]]:
    """Flatten the parameters, or what errors call `of`, and choose the blocks."""
    if params is None:
        told = "; pass the arrays or numbers at which to check the gradient" if of == ROOT else ""
        raise TypeError(f"{of} is None{told}")
    structure = flatten(params, of)
    return structure, blocks_of(structure, options.only, options.skip, options.entries, of)


def require_callable(func: Any, grad: Any = None, form: str = "func(params, *args) -> J") -> None:
    """Raise TypeError when func, called as `form` says, is not callable: perhaps two gradients."""
    if callable(func):
        return
    advice = "; the order is func, grad, params" if callable(grad) else ""
    if np.ndim(func) == 0 and isinstance(func, (float, np.number)):
        advice = ": pass the function itself, f for f(params)"
    elif form in ("forward(x)", "adjoint(y)") and hasattr(func, "__matmul__"):
        argument = form[-2]
        advice = f": for a matrix pass lambda {argument}: matrix @ {argument}"
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
        work.require_finite()
        return evaluator_of(of, work, progress, pool).inside(within)

    gradients: list[tuple[Array, tuple[float, ...]]] = []

    def read(runner: Evaluator) -> None:
        # Before the next call: a gradient returned in a buffer is overwritten by it.
        gradients.extend(gradient_vector(item, structure, blocks) for item in runner.gradients)

    try:
        start = start_of(evaluator, call, structure, blocks, options.reference, read)
    except TypeError as error:
        add_form(error, call.func, call.form("func"), params)
        raise
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
            f"parameters ({_cause(evaluator, call, params)})"
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


def _cause(evaluator: Callable[..., Evaluator], call: Call, params: Any) -> str:
    """Return why func does not repeat itself: a module may keep something in its buffers."""
    if hasattr(params, "buffers") and not (call.copy or call.in_place):
        with suppress(Exception):  # func may do whatever it likes
            fresh = evaluator(None, replace(call, copy=True))
            if fresh.at_theta() == fresh.at_theta():
                return "it does with copy=True: the module reads what it writes to its buffers"
    return "dropout, shuffling or an unseeded generator?"


def may_differ_by(value: Any, narrow: int | None, options: Options) -> Any:
    """Return by how much two values of func may differ and be taken for its noise."""
    # `narrow` has the bits of the type that func returns, if it is narrower than float64.
    part = max(REPEATS_WITHIN, ENTRY_ROUNDINGS * 2.0**-narrow if narrow else 0.0)
    return options.nondet_tol + part * abs(value)


PAST = (
    "func depends on what was evaluated before (a warm start, a cache): {} was {!r} at the "
    "parameters, and {!r} after other points"
)


def depends_on_the_past(
    problem: Problem, options: Options, *, from_afar: bool = False
) -> tuple[float, str]:
    """Return by how much J at θ is another one after other points, and the sentence if too much."""
    # `from_afar`: a point a part of the scales away is evaluated before, for the others may all
    # have been near.
    try:
        if from_afar:
            problem.evaluator.along(problem.scales(), (AWAY,))
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
    complex_step, beside = options.scheme == "complex", options.workers != 1
    # Of thousands of leaves none is looked at where nothing depends on it.
    foreign = complex_step and not {None, NUMPY, NUMBER}.issuperset(structure.kinds)
    refused = (
        (
            call.in_place and beside,
            "in_place=True: workers can't each perturb the one set of arrays that func reads; "
            "pass a func that takes params, or leave out workers",
        ),
        (
            call.in_place and options.vectorized,
            "in_place=True: the arrays that func reads have no batch axis; pass a func that takes "
            "params, or leave out vectorized",
        ),
        (
            call.returns_pair and options.vectorized,
            "vectorized=True: func returns J alone, shape (batch,); pass grad as a function of "
            "its own, which gets params without the batch axis",
        ),
        (
            foreign,
            'scheme="complex" takes numpy arrays and numbers; use "central" for those of other '
            "libraries",
        ),
        (
            complex_step and (options.vectorized or beside),
            'scheme="complex" evaluates one parameter after the other; leave out workers and '
            "vectorized, or use another scheme",
        ),
    )
    for given, said in refused:
        if given:
            raise ValueError(said)


SLOW_SECONDS = 0.1  # an evaluation of a framework's func that takes as long is told to be compiled


def remarks_of(problem: Problem) -> tuple[str, ...]:
    """Return what is to be said of how func was evaluated."""
    seconds, func = problem.evaluator.seconds, problem.numeric.func
    if seconds < SLOW_SECONDS:
        return problem.remarks
    kinds = [kind for kind in problem.structure.kinds if kind is not None]
    slow = [kind for kind in kinds if not kind.compiled(func)]
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
    """Return the analytic gradient; a callable is called twice to see that it repeats itself."""
    # True: what func returned at θ is used. It is no more precise than `least`.
    structure, blocks, call = problem.structure, problem.blocks, problem.call
    found = list(problem.gradients)
    if grad is not True and not callable(grad):
        found = [gradient_vector(grad, structure, blocks)]
    if callable(grad):
        with work_of_grad(problem) as work:
            for _ in range(2):
                work.set_aside()
                try:
                    gradient = call.asked(grad, work)
                except TypeError as error:
                    add_form(error, grad, call.form("grad"), work.params)
                    raise
                except RuntimeError as error:
                    if "does not require grad" in str(error):  # torch's words
                        error.add_note(UNTRACKED)
                    raise
                known = found[-1][0] if found else None
                found.append(gradient_vector(gradient, structure, blocks, known=known))
                del gradient  # of a million parameters: before the next one is made
                work.require_unchanged("grad")
    vector, precision = found[0]
    gap = repetition(vector, found[-1][0], precision, blocks, options)
    at = partial(_gradient_at, grad, problem, call) if callable(grad) else None
    if least > min(precision, default=least):
        precision = tuple(max(own, least) for own in precision)
    wider = partial(_wider_at, grad, problem) if at and is_wider(problem) else None
    return Analytic(vector, precision, *gap, at, wider)


UNTRACKED = (
    "gradcheck: grad gets tensors that require grad where yours do: call requires_grad_() on "
    "yours, or pass grad=torch_gradients(func)"
)


def _gradient_at(grad: Any, problem: Problem, call: Call, shift: Array | None = None) -> Array:
    """Return the analytic gradient at θ + shift; shapes (n,)."""
    with work_of_grad(problem) as work:
        try:
            if shift is not None:
                work.move(shift, 1.0)
            found = call.asked(grad, work)
            vector = gradient_vector(found, problem.structure, problem.blocks)[0]
        finally:
            if shift is not None:
                work.reset()
        if shift is None:
            work.require_unchanged("grad")
    return vector


def is_wider(problem: Problem) -> bool:
    """Return whether func is differenced in float64, and some of its parameters are narrower."""
    if problem.call.in_place or not narrow(problem.blocks):
        return False
    return all(part.dtype.itemsize >= 8 for part in problem.evaluator.work.theta)


@contextmanager
def wide_work(problem: Problem, shift: Array | None) -> Iterator[WorkCopy]:
    """Make what grad sees at θ + shift in float64, in the library's own way where it has one."""
    within = _with_float64(problem.structure)
    with within.context() if within else nullcontext():
        work = WorkCopy(problem.structure, problem.blocks, np.float64)
        if shift is not None:
            work.move(shift, 1.0)
        yield work


def _wider_at(grad: Any, problem: Problem, shift: Array | None) -> Array:
    """Return the analytic gradient at θ + shift, computed in float64; shapes (n,)."""
    call = problem.call
    with wide_work(problem, shift) as work:
        try:
            found = call.asked(grad, work)
        except Exception:  # as func may be: by a copy that reads wide copies of its data
            twin, args, names = all_in_float64(grad, call.args)
            if not names:
                raise
            found = replace(call, args=args).asked(twin, work)
        return gradient_vector(found, problem.structure, problem.blocks)[0]


@contextmanager
def work_of_grad(problem: Problem) -> Iterator[WorkCopy]:
    """Make what grad sees: the user's own arrays or precision, where func sees perhaps float64."""
    work, blocks, in_place = problem.evaluator.work, problem.blocks, problem.call.in_place
    if in_place == work.in_place and not narrow(blocks):
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
    if first is second or np.array_equal(first, second, equal_nan=True):
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


# In which precision, and by which function, J is evaluated: what a check begins with


@dataclass(frozen=True)
class Start:
    """Who evaluates what is differenced, J at θ, the call, and what is to be said of it."""

    runner: Evaluator
    center: Any
    call: Call
    remarks: tuple[str, ...] = ()


def start_of(
    evaluator: Callable[..., Evaluator],
    call: Call,
    structure: Structure,
    blocks: Sequence[Block],
    reference: Callable[..., Any] | None,
    read: Callable[[Evaluator], None],
) -> Start:
    """Return the start of a check of func, or by a reference."""
    # `evaluator` makes one, of a precision and a call; `read` takes what func returned beside J.
    # With a reference, func itself is called for that, and for J to be compared.
    short = narrow(blocks)
    if reference is not None:
        own = evaluator()
        try:
            first = own.at_theta()
            read(own)
            if call.returns_pair:
                own.at_theta()
                read(own)
        finally:
            own.work.restore()
        return _by_reference(evaluator, call, reference, first, short, structure)
    stepless = _without_steps(structure, blocks)
    if short and not call.in_place:
        return _promoted(evaluator, call, structure, stepless)
    if stepless:
        raise TypeError(f"{stepless}, and in_place=True leaves it as it is; {ELSEWHERE}")
    runner = evaluator()
    return Start(runner, runner.at_theta(), call)


def _by_reference(
    evaluator: Callable[..., Evaluator],
    call: Call,
    reference: Callable[..., Any],
    own: Any,
    narrow: bool,
    structure: Structure,
) -> Start:
    """Return the start of a check by a reference; `own` is J as func has it."""
    numeric = replace(call, func=reference, in_place=False, returns_pair=False)
    within = _with_float64(structure)
    context = within.context if within else None
    remarks = [f"numeric is the derivative of reference, {name_of(reference)}"]

    def start(numeric: Call) -> tuple[Evaluator, Any]:
        runner = evaluator(np.float64 if narrow else None, numeric, context)
        return runner, runner.at_theta()

    try:
        runner, center = start(numeric)
    except Exception as error:
        try:  # as func's own copy: it may read the narrow data that func does
            func, args, names = all_in_float64(reference, call.args)
            if not names:
                raise
            numeric = replace(numeric, func=func, args=args)
            runner, center = start(numeric)
        except Exception:
            error.add_note(
                "gradcheck: raised by reference, which gets copies of the parameters in float64"
            )
            raise error from None
        remarks.append(f"reference was evaluated with float64 copies of {listing(names)}")
    k = int(np.argmax(np.abs(own)))
    here, there = float(np.ravel(own)[k]), float(np.ravel(center)[k])
    if abs(there - here) > ALIKE_WITHIN * abs(here) + ALIKE_NEAR_ZERO:
        remarks.append(
            f"func is {here:.6g} at the parameters, and reference {there:.6g}: are they the same "
            "function?"
        )
    return Start(runner, center, numeric, tuple(remarks))


ELSEWHERE = "pass reference=, the same formula as a function of float64 parameters"


def _without_steps(structure: Structure, blocks: Sequence[Block]) -> str:
    """Return which parameter is of a type in which no step can be taken, in words, or nothing."""
    if {*structure.kinds} == {NUMPY} and not narrow(blocks):
        return ""  # nearly always, and there may be tens of thousands
    for block in blocks:
        leaf = structure.leaves[block.leaf]
        if leaf.kind is NUMPY and block.dtype.itemsize == 8:  # most of them
            continue
        if leaf.eps > eps_of(block.dtype):
            kind = getattr(leaf.value, "dtype", type(leaf.value).__name__)
            return f"{brief(block.name)} is {kind}, in which no step is small enough"
    return ""


def _promoted(
    evaluator: Callable[..., Evaluator], call: Call, structure: Structure, stepless: str
) -> Start:
    """Return the start in float64 for narrower parameters, if func allows it."""
    # It must give J to the precision of the narrow type, and more digits than that type holds; of
    # several outputs, the largest one. Where the library has float64 only on request, that is asked
    # for first; where func refuses, as torch does beside narrow data, a copy of it with wide copies
    # of what it reads is tried. TypeError where nothing does and the parameters are `stepless` (see
    # `_without_steps`).
    narrow = evaluator()
    low = narrow.at_theta()
    k, why = int(np.argmax(np.abs(low))), "computes no more digits with copies in float64"
    bits = LOWEST_BITS if stepless else FLOAT32_BITS
    types = narrow.narrow if isinstance(narrow.narrow, list) else [narrow.narrow]
    coarse = bool(stepless) or any(one is not None and one < FLOAT32_BITS for one in types)

    def wide(of: Call, within: float, remark: str = "", context: Any = None) -> Start | None:
        runner = evaluator(np.float64, of, context)
        high = runner.at_theta()
        first, second = np.ravel(low)[k], np.ravel(high)[k]
        within = ALIKE_WITHIN if coarse else within
        near = abs(float(second - first)) <= within * abs(float(first)) + ALIKE_NEAR_ZERO
        found = near and _beyond(runner, second, k, bits)
        return Start(runner, high, of, (remark,) if remark else ()) if found else None

    found = None
    if (own := _with_float64(structure)) is not None:
        with suppress(Exception):
            said = f"func was evaluated in float64, in {own.name}"
            found = wide(call, COPY_WITHIN, said, own.context)
    try:
        found = found or wide(call, ALIKE_WITHIN)
    except Exception as error:  # a func may refuse float64 in any way it likes
        why = f"takes no copy in float64 ({str(error).partition(chr(10))[0]:.120})"
        with suppress(Exception):  # and so may its copy
            func, args, names = all_in_float64(call.func, call.args)
            said = f"func was evaluated in float64, with float64 copies of {listing(names)}"
            twin = replace(call, func=func, args=args)
            found = wide(twin, COPY_WITHIN, said) if names else None
    if stepless and found is None:
        raise TypeError(f"{stepless}, and func {why}; {ELSEWHERE}")
    return found or Start(narrow, low, call)


def _with_float64(structure: Structure) -> Float64 | None:
    kinds = [kind for kind in structure.kinds if kind is not None]
    return next((found for kind in kinds if (found := kind.with_float64())), None)


ALIKE_WITHIN, ALIKE_NEAR_ZERO = 0.02, 1e-6
"""By how much J may differ between two precisions: in relation to itself, and near zero."""

COPY_WITHIN = 1e-4
"""And between func and the copy of it that is evaluated in its place: some hundred roundings of
float32, as a sum of many terms has them."""


LOWEST_BITS, FLOAT32_BITS = 8, 24
"""Of precision: bfloat16's, the most of those in which no step is taken, and float32's."""


def _beyond(wide: Evaluator, center: Any, k: int, bits: int) -> bool:
    """Return whether J has more bits than so many, here or, where it is short, nearby."""

    def long(value: Any) -> bool:
        if not np.isfinite(value):
            return False
        mantissa = math.frexp(float(value))[0] * 2.0**bits
        return mantissa != round(mantissa)

    if long(center):
        return True
    # Σθ² of whole numbers is short, and so is a constant.
    theta = np.concatenate([part.astype(np.float64) for part in wide.work.theta])
    try:
        return long(np.ravel(wide.along(theta, (1e-3 / 3,)))[k])
    except Exception:  # as above
        return False


# A function with everything that it closes over in float64, as far as it can be copied.
#
# A loss of a float32 module closes over float32 data, and torch refuses to multiply the two types:
# to be evaluated in float64 the data must be, too.


DEEPEST = 3
"""Functions of the same module are copied, too, if they are called by one another no deeper."""


def all_in_float64(
    func: Callable[..., Any], args: Sequence[Any]
) -> tuple[Any, tuple[Any, ...], tuple[str, ...]]:
    """Return func as `in_float64` does, wide copies of what it is called with, and all names."""
    twin, names = in_float64(func)
    wide, more = _each({f"args[{i}]": value for i, value in enumerate(args)})
    return twin, tuple(wide.values()), (*names, *more)


def in_float64(func: Any, deeper: int = DEEPEST) -> tuple[Any, tuple[str, ...]]:
    """Return a copy of func that reads wide copies of the arrays it closes over, and their names.

    Arrays and modules of frameworks are copied, in containers, too; numpy's are not, since numpy
    promotes by itself. Without such arrays, or where func assigns to what it closes over, func
    itself is returned, and no name.
    """
    if isinstance(func, partial):
        twin, names = in_float64(func.func, deeper)
        args, more = _each({f"argument {i + 1}": value for i, value in enumerate(func.args)})
        keywords, others = _each(func.keywords)
        names += more + others
        return (partial(twin, *args.values(), **keywords) if names else func), names
    if hasattr(func, "wrapping"):  # differences of a func, say
        twin, names = in_float64(func.wrapped, deeper)
        return func.wrapping(twin), names
    if isinstance(func, MethodType):
        owner = _owner_in_float64(func.__self__)
        twin, names = in_float64(func.__func__, deeper)
        names += owner[1]
        return (MethodType(twin, owner[0]) if names and not _assigns(func) else func), names
    if not isinstance(func, FunctionType) or _assigns(func):
        return func, ()
    cells = dict(zip(func.__code__.co_freevars, func.__closure__ or (), strict=True))
    held = dict[str, Any]()
    for name, cell in cells.items():
        with suppress(ValueError):  # not assigned yet
            held[name] = cell.cell_contents
    own, copied = _each(held, func, deeper)
    read = {step.argval for step in _steps(func.__code__) if step.opname == "LOAD_GLOBAL"}
    known = func.__globals__
    outside, more = _each({name: known[name] for name in read & set(known)}, func, deeper)
    if not (copied or more):
        return func, ()
    everything = {**known, **outside} if more else known
    closure = tuple(
        cell if own.get(name) is held.get(name) else CellType(own[name])
        for name, cell in cells.items()
    )
    twin = FunctionType(func.__code__, everything, func.__name__, func.__defaults__, closure)
    twin.__kwdefaults__, twin.__qualname__ = func.__kwdefaults__, func.__qualname__
    return twin, tuple(sorted({*copied, *more}))


def _each(
    values: Mapping[str, Any], user: FunctionType | None = None, deeper: int = 0
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return values in float64, by their names, and the names of those that were copied."""
    found = {name: _widened(value, name, user, deeper) for name, value in values.items()}
    names = [one for _, own in found.values() for one in own]
    return {name: value for name, (value, _) in found.items()}, tuple(names)


def _owner_in_float64(owner: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the object of a method, with wide copies of its attributes, and their names."""
    attributes = getattr(owner, "__dict__", None)
    if not isinstance(attributes, dict) or hasattr(owner, "parameters"):
        return _widened(owner, "self")
    wide, names = _each(attributes)
    if not names:
        return owner, ()
    twin = copy.copy(owner)
    twin.__dict__.update(wide)
    return twin, tuple(f"self.{name}" for name in names)


def _steps(code: CodeType) -> Iterator[dis.Instruction]:
    """Yield the instructions of a code, and of the functions that it defines."""
    yield from dis.get_instructions(code)
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _steps(one)


def _assigns(func: FunctionType | MethodType) -> bool:
    """Return whether a function assigns to what is outside: globals, variables, attributes."""
    outside = func.__code__.co_freevars
    names = ["STORE_GLOBAL", "DELETE_GLOBAL"]
    names += ["STORE_ATTR", "DELETE_ATTR"] if isinstance(func, MethodType) else []
    return any(
        step.opname in names
        or (step.opname in ("STORE_DEREF", "DELETE_DEREF") and step.argval in outside)
        for step in _steps(func.__code__)
    )


def _widened(
    value: Any, name: str, user: FunctionType | None = None, deeper: int = 0
) -> tuple[Any, tuple[str, ...]]:
    """Return a value in float64, and the names of the arrays that were copied for it."""
    if isinstance(value, FunctionType):
        near = user and deeper and value is not user and value.__globals__ is user.__globals__
        return in_float64(value, deeper - 1) if near else (value, ())
    if isinstance(value, (type, str, bytes)):
        return value, ()
    if callable(value) and not hasattr(value, "parameters"):  # of callables, modules alone
        return value, ()
    try:
        structure = flatten(value, name)
        copies = [
            leaf.kind.copy(leaf.value, np.dtype(np.float64))
            if leaf.kind not in (None, NUMPY, NUMBER) and _narrow(leaf.array)
            else leaf.value
            for leaf in structure.leaves
        ]
        if all(new is leaf.value for new, leaf in zip(copies, structure.leaves, strict=True)):
            return value, ()
        return structure.rebuild(copies), (name,)
    except Exception:  # what can't be copied stays as it is
        return value, ()


def _narrow(array: Any) -> bool:
    return bool(array.dtype.kind in "fc" and array.real.dtype.itemsize < 8)
