"""One piece of a sweep and how it is evaluated: in a thread here, or in another process."""

from __future__ import annotations

import itertools
import os
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._differences import Array, Evaluator, Part, contained
from ._recipe import Recipe
from ._structure import Structure


@dataclass(frozen=True)
class Job:
    """Some points.

    Parameters
    ----------
    first : int
        Evaluations before it, for the note on an exception.
    kind : type
        Of J, float64 or longdouble.
    asks : bool
        See `Evaluator`.
    shift : ndarray, shape (n,), optional
        A direction, and `values`, shape (k,), steps along it; unset: a sweep.
    position : int
        A block, with some of its `coordinates`, and `values`, shape (len(coordinates), k).
    number : int
        No two jobs are equal: Dask evaluates what is equal only once.
    """

    first: int
    kind: Any
    asks: bool
    values: Array
    shift: Array | None = None
    position: int = 0
    coordinates: Sequence[int] = ()
    number: int = field(default_factory=itertools.count().__next__)


class Stopped(Exception):  # noqa: N818 - a signal from the calling thread, never the user's
    """The check is over: a thread need not go on."""


class Task:
    """Evaluates jobs, here or in another process.

    Parameters
    ----------
    recipe : Recipe
    dtype : numpy dtype or None
        See `WorkCopy`.
    structure : Structure
    """

    def __init__(self, recipe: Recipe, dtype: Any, structure: Structure | None) -> None:
        self.recipe, self.dtype, self.structure = recipe, dtype, structure
        self.home = os.getpid()
        self.stopped = False
        self.idle: deque[Evaluator] = deque()

    def __getstate__(self) -> dict[str, Any]:
        # The structure holds functions made on the spot, and copies of parameters stay at home.
        return {"recipe": self.recipe, "dtype": self.dtype, "home": self.home}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["recipe"], state["dtype"], None)  # type: ignore[misc]
        self.home = state["home"]

    def _evaluator(self) -> Evaluator:
        try:
            return self.idle.pop()
        except IndexError:
            pass
        if self.structure is None:
            self.structure = self.recipe.structure()
        here = os.getpid() == self.home
        new = self.recipe.evaluator(
            self.structure, self.dtype, watch=self._watched if here else None
        )
        # Here the calling thread keeps warnings in; numpy's error state is each thread's own.
        new.quiet = _silent if here else contained
        return new

    def _watched(self, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def watched(params: Any) -> Any:
            if self.stopped:
                raise Stopped
            return call(params)

        return watched

    def __call__(self, job: Job) -> Part:
        """Evaluate a job."""
        evaluator = self._evaluator()
        evaluator.kind, evaluator.asks = job.kind, job.asks
        evaluator.evaluations, evaluator.domain_error = job.first, None
        values, failed = np.empty(0), None
        try:
            if job.shift is not None:
                values = evaluator.along(job.shift, job.values.tolist())
            else:
                values = evaluator.sweep(job.position, job.coordinates, job.values)
            if not self.recipe.vectorized:
                evaluator.require_unchanged("func")
            self.idle.append(evaluator)
        except Exception as error:
            failed = error
        spent = evaluator.evaluations - job.first
        part = Part(values, spent, evaluator.domain_error, failed)
        return part if os.getpid() == self.home else _sendable(part)


def _silent() -> AbstractContextManager[Any]:
    return np.errstate(all="ignore")


_loaded: dict[str, Task] = {}


def run_pickled(key: str, pickled: bytes, job: Job) -> Part:
    """Evaluate a job in a process of a pool; the task is unpickled for the first one only.

    As bytes, because what can't be unpickled as an argument ends the process without a word.
    """
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


def _sendable(part: Part) -> Part:
    """Make the exceptions of a part ones that reach another process, with their tracebacks."""
    part.error, part.domain_error = _portable(part.error), _portable(part.domain_error)
    return part


def _portable(error: Exception | None) -> Exception | None:
    if error is None:
        return None
    text = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    error.add_note(f"gradcheck: raised in a worker process:\n{text}")
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:  # its arguments may be anything
        pass
    kind = type(error)
    stand_in = RuntimeError(f"{kind.__module__}.{kind.__qualname__}: {error}")
    for note in error.__notes__:
        stand_in.add_note(note)
    return stand_in
