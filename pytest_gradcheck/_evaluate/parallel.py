"""Points evaluated side by side: by ``workers``, or by a func that is ``vectorized``.

Rules of workers (threads, an executor or a map-like callable):

- The points and their order are those of a serial check; only who evaluates them differs, so
  that results are the same, bit for bit, for any number of workers.
- Work goes out in parts of many points, each to last long enough to be worth sending and short
  enough for Ctrl-C.  At most `AHEAD` parts for each worker are on their way, so that the
  parameters, which travel with each to another process, are not copied for all of them at once.
- A part works on a copy of the parameters that nobody else has.
- What func raises comes back as a value and is raised here, for the first point in order.
- ``warnings.catch_warnings`` is no thread's own: the calling thread enters it around all parts.
"""

from __future__ import annotations

import itertools
import os
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NoReturn

import numpy as np

from .._options import VMAP
from .._params.arrays_and_structure import (
    NUMBER,
    Array,
    ArrayKind,
    Structure,
    flatten,
    kind_of,
    read,
)
from .._params.layout import Block
from .._params.work_copy import WorkCopy
from .._quoting import brief
from .call import Call, ComplexValueError, J, ShapeError, name_of, scalar
from .evaluator import Evaluator, Move, Part, Parts, Pool, Progress, contained


@dataclass(frozen=True)
class Job:
    """Some points, and what was learnt of func at θ (see `Evaluator`).

    `first` is the number of evaluations before it, for the note on an exception.  No two jobs are
    equal, by their `number`: Dask evaluates what is equal only once.
    """

    move: Move
    first: int
    kind: Any
    shape: tuple[int, ...]
    asks: bool
    number: int = field(default_factory=itertools.count().__next__)


class Stopped(Exception):  # noqa: N818 - a signal from the calling thread, never the user's
    """The check is over: a thread need not go on."""


@dataclass(eq=False)
class Task:
    """Evaluates jobs, here or in another process, with params as the user passed them.

    `params` are as the user passed them, and their structure stays at home when this is pickled:
    it holds functions made on the spot.  For `dtype` see `WorkCopy`.
    """

    call: Call
    params: Any
    blocks: Sequence[Block]
    dtype: Any
    structure: Structure | None
    home: int = field(default_factory=os.getpid)
    stopped: bool = False
    idle: deque[Evaluator] = field(default_factory=deque)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "structure": None, "idle": deque()}

    def _evaluator(self) -> Evaluator:
        with suppress(IndexError):
            return self.idle.pop()
        if self.structure is None:
            self.structure = self._taken_apart()
        here = os.getpid() == self.home
        call = replace(self.call, func=self._watched(self.call.func)) if here else self.call
        new = evaluator_of(call, WorkCopy(self.structure, self.blocks, self.dtype))
        # Here the calling thread keeps warnings in; numpy's error state is each thread's own.
        new.quiet = partial(np.errstate, all="ignore") if here else contained
        return new

    def _taken_apart(self) -> Structure:
        """Take the parameters apart as it was done where the blocks were chosen."""
        structure = flatten(self.params)
        names = dict(enumerate(leaf.name for leaf in structure.leaves))
        for block in self.blocks:
            if names.get(block.leaf) != block.name:
                raise ValueError(
                    f"in a worker process params has no {brief(block.name)}: the "
                    "gradcheck_flatten hook that takes params apart is not registered there; "
                    "pass plain containers, or use threads, workers=2"
                )
        return structure

    def _watched(self, func: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*given: Any) -> Any:
            if self.stopped:
                raise Stopped
            return func(*given)

        return watched

    def __call__(self, job: Job) -> Part:
        """Evaluate a job."""
        evaluator = self._evaluator()
        evaluator.kind, evaluator.shape, evaluator.asks = job.kind, job.shape, job.asks
        evaluator.progress.evaluations, evaluator.domain_error = job.first, None
        values, failed = np.empty(0), None
        try:
            values = evaluator.evaluate(job.move)
            if not self.call.vectorized:
                evaluator.work.require_unchanged("func", evaluator.read is scalar)
            self.idle.append(evaluator)
        except Exception as error:
            failed = error
        spent = evaluator.evaluations - job.first
        part = Part(values, spent, evaluator.domain_error, failed)
        if os.getpid() != self.home:
            part.error, part.domain_error = _portable(part.error), _portable(part.domain_error)
        return part


_loaded: dict[str, Task] = {}


def run_pickled(key: str, pickled: bytes, job: Job) -> Part:
    """Evaluate a job in a process of a pool; the task is unpickled for the first one only."""
    # As bytes, because what can't be unpickled as an argument ends the process without a word.
    if key not in _loaded:
        _loaded.clear()
        try:
            _loaded[key] = pickle.loads(pickled)
        except Exception as error:
            error.add_note(
                "gradcheck: func could not be loaded in a worker process; its module must be "
                "importable there"
            )
            raise
    return _loaded[key](job)


def _portable(error: Exception | None) -> Exception | None:
    """Return an exception as one that reaches another process, with its traceback."""
    if error is None:
        return None
    text = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    error.add_note(f"gradcheck: raised in a worker process:\n{text}")
    with suppress(Exception):  # its arguments may be anything
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    kind = type(error)
    stand_in = RuntimeError(f"{kind.__module__}.{kind.__qualname__}: {error}")
    for note in error.__notes__:
        stand_in.add_note(note)
    return stand_in


SHORTEST = 2e-3  # seconds that a part is to last at least
LONGEST = 0.5  # seconds that a part is to last at most, if it is more than one coordinate
AHEAD = 4  # parts for each worker: the last ones to finish are then small
UNKNOWN = 16  # workers that an executor is taken for that does not say how many it has
_serial = itertools.count()


@dataclass
class Workers:
    """A pool (`evaluator.Pool`) of threads, or over an executor or a map-like callable."""

    given: Any
    task: Task
    own: Any = None

    @property
    def count(self) -> int:
        """How many there are, or an executor is taken to have."""
        if isinstance(self.given, int):
            return self.given if self.given > 0 else os.cpu_count() or 1
        return int(getattr(self.given, "_max_workers", UNKNOWN))

    @cached_property
    def sent(self) -> Callable[[Job], Part]:
        """The task as other processes get it: pickled once."""
        try:
            pickled = pickle.dumps(self.task)
        except Exception as error:
            self._raise(error, [])
        return partial(run_pickled, f"{os.getpid()}-{next(_serial)}", pickled)

    def close(self) -> None:
        """Stop the threads that were started here; an executor of the user's is theirs."""
        if self.own is not None:
            self.own.shutdown(wait=False, cancel_futures=True)
            self.own = None

    def evaluate(self, evaluator: Evaluator, move: Move) -> Parts:
        """Return the parts of a move, in order (see `Evaluator.evaluate`)."""
        width = move.values[:1].size
        jobs = [
            Job(
                move.part(start, stop),
                evaluator.evaluations + start * width,
                evaluator.kind,
                evaluator.shape,
                evaluator.asks,
            )
            for start, stop in self._cut(len(move.values), width, evaluator)
        ]
        self.task.stopped = False
        if not isinstance(self.given, int) and not hasattr(self.given, "submit"):
            return self._mapped(jobs)
        return self._submitted(jobs)

    def _cut(self, rows: int, width: int, evaluator: Evaluator) -> Iterable[tuple[int, int]]:
        """Yield where parts start and stop, by what a call costs.  No result depends on it."""
        each = max(evaluator.seconds * width, 1e-9)
        ahead = 1 if isinstance(evaluator, Batched) else AHEAD
        size = max(-(-rows // (ahead * self.count)), int(SHORTEST / each))
        if not isinstance(evaluator, Batched):
            size = min(size, int(LONGEST / each))
        size = max(size, 1)
        return ((start, min(start + size, rows)) for start in range(0, rows, size))

    def _mapped(self, jobs: list[Job]) -> Parts:
        try:
            parts = list(self.given(self.task, jobs))
        except Exception as error:
            self._raise(error, jobs)
        if len(parts) != len(jobs) or not all(isinstance(part, Part) for part in parts):
            raise TypeError(
                "workers: a map-like callable takes a function and a list, and returns what the "
                "function returns for each item, in order"
            )
        yield from parts

    def _submitted(self, jobs: list[Job]) -> Parts:
        pending: deque[tuple[Job, Any]] = deque()
        try:
            for job in jobs:
                pending.append((job, self._submit(job)))
                if len(pending) >= AHEAD * self.count:
                    yield self._result(*pending.popleft())
            while pending:
                yield self._result(*pending.popleft())
        except BaseException:
            self.task.stopped = True
            raise
        finally:
            for _, future in pending:
                future.cancel()

    def _submit(self, job: Job) -> Any:
        from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor

        executor = self.given
        if isinstance(executor, int):
            self.own = self.own or ThreadPoolExecutor(self.count, "gradcheck")
            # func sees the caller's context variables, as it does without threads.
            return self.own.submit(copy_context().run, self.task, job)
        task = self.sent if isinstance(executor, ProcessPoolExecutor) else self.task
        try:
            return executor.submit(task, job)
        except Exception as error:
            failed: Future[Part] = Future()
            failed.set_exception(error)
            return failed

    def _result(self, job: Job, future: Any) -> Part:
        try:
            found = future.result()
        except Exception as error:
            self._raise(error, [job])
        if not isinstance(found, Part):
            raise TypeError(
                f"workers: the executor returned {type(found).__name__}, not what the task returned"
            )
        return found

    def _raise(self, error: Exception, jobs: list[Job]) -> NoReturn:
        """Raise what is not func's exception but the pool's, in words that help."""
        if _lost(error):
            raise RuntimeError(
                f"workers: a worker process died while func was evaluated, {self._where(jobs)} "
                "(os._exit, a crash in compiled code, out of memory, or a script without "
                f'if __name__ == "__main__"?): {type(error).__name__}: {error}; leave out '
                "workers to see what func does there"
            ) from error
        said = str(error).lower()
        # From Python 3.13 on, an AttributeError says it of a local function.
        local = "pickle" in said or "can't get local object" in said
        if isinstance(error, pickle.PicklingError) or local:
            raise TypeError(self._not_picklable(error)) from error
        if not str(error).startswith("workers: "):
            error.add_note("gradcheck: raised by workers, not by func")
        raise error

    def _where(self, jobs: list[Job]) -> str:
        if len(jobs) == 1 and jobs[0].move.shift is None:
            move = jobs[0].move
            block = self.task.blocks[move.position]
            ends = [brief(block.label(move.coordinates[i])) for i in (0, -1)]
            return f"with {' to '.join(dict.fromkeys(ends))} perturbed or a part sent beside it"
        return "along a direction" if len(jobs) == 1 else "somewhere in a sweep"

    def _not_picklable(self, error: Exception) -> str:
        call = self.task.call
        name = name_of(call.func)
        advice = "or use threads, workers=2, which need no pickling"
        if "<lambda>" in name or "<locals>" in name:
            what = "a lambda" if "<lambda>" in name else "defined inside another function"
            return (
                f"workers: func can't be sent to another process: {name} is {what}; define it "
                f"with def at the top level of a module, {advice}"
            )
        for said, value in (("func", call.func), ("args", call.args), ("params", self.task.params)):
            try:
                pickle.dumps(value)
            except Exception as why:
                return f"workers: {said} can't be sent to another process: {why}; {advice}"
        return f"workers: {error}; {advice}"


def _lost(error: Exception) -> bool:
    """Return whether a worker is gone: its process died, or Dask gave up on it."""
    from concurrent.futures import BrokenExecutor

    return isinstance(error, BrokenExecutor) or any(
        kind.__name__ == "KilledWorker" for kind in type(error).__mro__
    )


# ``vectorized=True``: func takes many points at once, along a leading axis


BATCH_BYTES = 64 * 2**20  # memory that the parameters of one batch may take

NUDGE = 1e-4
"""By this part of itself (of 1 for a zero) every parameter is moved to see whether entries mix."""


class Batched(Evaluator):
    """Calls func with batches of points.

    Every array of the parameters, perturbed or not, gets a leading axis of the batch's length;
    every float or complex number becomes an array of that length.  Whole numbers that are not
    checked, strings and the like stay what they are.  The arrays are new in every call, plain,
    C-contiguous and writable.  The work copy is never given to func, and an entry of a batch
    counts as an evaluation.
    """

    def __init__(
        self, call: Call, work: WorkCopy, progress: Progress | None = None, pool: Pool | None = None
    ) -> None:
        super().__init__(call, work, progress, pool)
        self.func, self.call = self.call, self._alone
        self.structure = work.structure
        self.mapped = _by_vmap(self.func, self.structure) if call.vectorized == VMAP else None
        size = sum(getattr(value, "nbytes", 0) for value in work.values)
        self.largest = max(1, BATCH_BYTES // max(size, 8))
        self.tested = False

    def _alone(self, params: Any) -> Any:
        """Return J at one point, params as they are without the leading axis."""
        values = [leaf.value for leaf in flatten(params).leaves]
        return self._called(self._batch(1, values), 1)[0]

    def _batch(self, count: int, values: Sequence[Any] | None = None) -> list[Any]:
        """Return the leaves, the work copy's if unset, with the leading axis, arrays as numpy's."""
        pairs = zip(self.structure.leaves, values or self.work.values, strict=True)
        return [
            np.repeat(leaf.kind.to_numpy(value)[None], count, axis=0)
            if leaf.kind is not None and _is_repeated(leaf.kind, value)
            else value
            for leaf, value in pairs
        ]

    def _called(self, values: list[Any], count: int) -> Array:
        own = [
            leaf.kind.like(leaf.value, value) if leaf.kind and leaf.is_array else value
            for leaf, value in zip(self.structure.leaves, values, strict=True)
        ]
        out = self.mapped(own) if self.mapped else self.func(self.structure.rebuild(own))
        return _checked(out, count)

    def at_theta(self) -> Any:
        """Return J at the parameters as they are; the first time, look whether entries mix."""
        try:
            value = super().at_theta()
        except Exception as error:
            if self.mapped:
                error.add_note(
                    'gradcheck: func was batched by vmap, because of vectorized="vmap"; that takes '
                    "arrays in plain containers, and no module"
                )
            elif not isinstance(error, ShapeError):
                error.add_note(
                    "gradcheck: func got every array with a leading axis, here of length 1, and "
                    "floats as arrays, because of vectorized=True"
                )
            raise
        if not self.tested and self.work.blocks:
            self.tested = True
            self._require_entries_apart(float(value))
        return value

    def _require_entries_apart(self, alone: float) -> None:
        """Raise ValueError when J of one point depends on the other points of its batch."""
        theta = np.concatenate([part.astype(np.float64) for part in self.work.theta])
        shift = np.where(theta == 0, 1.0, theta)
        self.progress.allow(2)
        self.progress.evaluations += 2
        try:
            with self.quiet():
                nudged, beside = map(float, self._points(Move(np.array([NUDGE, 0.0]), shift=shift)))
        except ShapeError:
            raise
        except Exception:  # it may have left func's domain: what follows finds out
            return
        eps = np.finfo(self.kind).eps if self.narrow is None else 2.0**-self.narrow
        floor = 64 * float(eps) * max(abs(alone), abs(nudged), abs(beside))
        if not abs(beside - alone) > max(0.1 * abs(nudged - alone), floor):
            return
        if float(super().at_theta()) != alone:
            return  # func does not repeat itself, and is told so
        raise ValueError(
            f"vectorized=True: func mixes the entries of a batch: J at params is {alone!r} alone "
            f"and {beside!r} beside another entry; compute each entry of axis 0 on its own "
            "(reduce over the other axes only), or leave out vectorized"
        )

    def _here(self, move: Move) -> Array:
        found = np.empty(move.values.size, dtype=self.kind)
        rows, done = max(1, self.largest // max(move.values[:1].size, 1)), 0
        for start in range(0, len(move.values), rows):
            some = self._together(move.part(start, start + rows))
            found[done : done + len(some)] = some
            done += len(some)
            self.progress.gathered(found[:done])
        return found

    def _together(self, move: Move) -> Sequence[Any] | Array:
        """Return J at points that are one batch; one by one where the batch raises."""
        try:
            with self.quiet():
                found = self._points(move)
        except ShapeError:
            raise
        except Exception:
            # One point of them raised: one by one it has a name, or is known to have no J.
            return super()._here(move)
        self.progress.evaluations += len(found)
        return found

    def _points(self, move: Move) -> Array:
        count = move.values.size
        batch = self._batch(count)
        if move.shift is not None:
            for block, theta in zip(self.work.blocks, self.work.theta, strict=True):
                moved = theta + move.values[:, None] * move.shift[block.window]
                _window(batch, block, count)[:, block.within] = moved
            return self._called(batch, count)
        width = move.values.shape[1]
        places = np.repeat(np.asarray(move.coordinates, dtype=np.intp), width)
        block = self.work.blocks[move.position]
        places = places if block.places is None else block.places[places]
        flat = _window(batch, block, count)
        flat[np.arange(count), places] = move.values.ravel()
        return self._called(batch, count)


def _by_vmap(func: Callable[[Any], Any], structure: Structure) -> Callable[[list[Any]], Any]:
    """Return func, written for one point, as a function of leaves with a leading axis."""
    leaves = structure.leaves

    def alone(some: list[Any]) -> Any:
        values = [leaf.value for leaf in leaves]
        for k, value in zip(which, some, strict=True):
            values[k] = value
        return func(structure.rebuild(values))

    which = [k for k, leaf in enumerate(leaves) if _is_repeated(leaf.kind, leaf.value)]
    able = ((leaf, leaf.kind.vmap(alone)) for leaf in leaves if leaf.kind is not None)
    like, mapped = next(((leaf, made) for leaf, made in able if made is not None), (None, None))
    if like is None or like.kind is None or mapped is None:
        raise ValueError(
            'vectorized="vmap": params has no array of torch or JAX, whose vmap it takes; pass '
            "vectorized=True and a func that takes a leading axis on every array"
        )
    convert = partial(like.kind.like, like.value)

    def together(own: list[Any]) -> Any:
        # Numbers, and arrays of numpy among them, are arrays of the library inside func.
        some = (own[k] for k in which)
        return mapped([convert(x) if isinstance(x, np.ndarray) else x for x in some])

    return together


def _is_repeated(kind: ArrayKind | None, value: Any) -> bool:
    """Return whether a leaf gets a leading axis: an array, or a number that is not whole."""
    return kind is not None and (
        kind is not NUMBER or isinstance(value, (np.inexact, float, complex))
    )


def _window(batch: list[Any], block: Block, count: int) -> Array:
    """Return the leaf of a block of a batch as an array to assign to, a row for each point."""
    flat = batch[block.leaf].reshape(count, -1)
    view: Array = flat.view(flat.real.dtype) if block.is_complex else flat
    return view


def _checked(out: Any, count: int) -> Array:
    """Return what func returned as an array of shape (count,), or say what it should be."""
    advice = (
        "return one J for each entry of the leading axis of its parameters, for instance a sum "
        "over all other axes"
    )
    if isinstance(out, tuple):
        raise TypeError(
            f"vectorized=True: func returned a tuple of {len(out)}; pass has_aux=True if it "
            "returns (J, anything)"
        )
    kind = kind_of(out)
    array = np.asarray(out) if kind is None else read(kind, out, J)
    if array.dtype.kind not in "fiuc":
        raise TypeError(f"vectorized=True: func returned {type(out).__name__} ({out!r:.60})")
    if array.dtype.kind == "c" and count > 1:
        raise ComplexValueError  # one by one it is told to the user, or taken for a NaN
    if array.shape != (count,):
        raise ShapeError(
            f"vectorized=True: func returned shape {array.shape} for a batch of {count}; it must "
            f"return shape ({count},): {advice}; a func of single points needs no vectorized"
        )
    return array


def evaluator_of(
    call: Call, work: WorkCopy, progress: Progress | None = None, pool: Pool | None = None
) -> Evaluator:
    """Return what evaluates func on a copy of the parameters of its own."""
    return (Batched if call.vectorized else Evaluator)(call, work, progress, pool)
