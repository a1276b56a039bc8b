"""The only stage that calls user code: func at points near θ, counted, bounded, put back."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from .._params.arrays_and_structure import Array
from .._params.work_copy import WorkCopy
from .._quoting import brief
from .call import Call, is_domain_error, scalar

_PLAIN = frozenset((float, np.float64))

BATCH_SECONDS = 0.05
"""Progress is told about so often: rows are passed on in batches that take as long."""


class BudgetExhausted(Exception):  # noqa: N818 - a signal between two stages, never the user's
    """The next evaluation would exceed ``max_evals``."""


@dataclass(frozen=True)
class Move:
    """Some points near θ: single coordinates of a block changed, or steps along a direction.

    `values`, shape (rows, k), are what each of `coordinates` of block number `position` is set to;
    or, shape (k,), steps along `shift`, a direction over all blocks, shape (n,).
    """

    values: Array
    position: int = 0
    coordinates: Sequence[int] = ()
    shift: Array | None = None

    def part(self, start: int, stop: int) -> Move:
        """Return some of the points."""
        values, coordinates = self.values[start:stop], self.coordinates[start:stop]
        return replace(self, values=values, coordinates=coordinates)


@dataclass
class Part:
    """What one piece of a move came to, wherever it was evaluated: J, and how many calls it took.

    `values` are J, of the shape of what was asked for; `error` is what func raised that is no sign
    of its domain.
    """

    values: Array
    evaluations: int
    domain_error: Exception | None = None
    error: Exception | None = None


Parts = Generator[Part, None, None]
"""Closed when no more of them are wanted, which stops what is under way."""


class Pool(Protocol):
    """Where points are evaluated when not here, in this thread (see `parallel`)."""

    def evaluate(self, evaluator: Evaluator, move: Move) -> Parts:
        """Return the parts of `Evaluator.evaluate`, in order."""

    def close(self) -> None:
        """Let go of threads."""


Differenced = Callable[[Sequence[Any] | Array], tuple[Array, Array, Any]]


class Progress:
    """The evaluations of one check: how many there were, may be and will be, and what they say.

    It costs nothing for an evaluation while nobody listens (see `hookspecs.progress_listener`).
    What would be more than `max_evals` raises `BudgetExhausted`.

    `planned` is what a derivative without surprises costs, 0 where that is not known; `whole` the
    rows of the move that is a sweep's own, 0 for a few points beside it. `differenced` takes what
    func returned so far in that move and returns which coordinates are differenced, their
    derivatives, and by how much noise changes these; `numeric` (n,) are the derivatives while
    verdicts are reached, `accused` returns the coordinates known to be wrong, with theirs, and
    `worst` says in words which coordinate stands out most.
    """

    def __init__(
        self,
        max_evals: int | None = None,
        tell: Callable[[int, int, Callable[[], str] | None], None] | None = None,
    ) -> None:
        self.max_evals = max_evals
        self.evaluations = self.planned = self.whole = 0
        self.found: Sequence[Any] | Array = ()
        self.differenced: Differenced | None = None
        self.numeric: Array | None = None
        self.accused: Callable[[], Mapping[int, float]] = dict
        self.worst: Callable[[], str] = str
        self._tell = tell

    def allow(self, count: int) -> None:
        """Raise BudgetExhausted when so many more evaluations are too many."""
        if self.max_evals is not None and self.evaluations + count > self.max_evals:
            raise BudgetExhausted

    def plan(self, count: int, differenced: Differenced) -> None:
        """Learn of a sweep that begins, of so many evaluations."""
        self.planned = self.evaluations + count
        self.differenced, self.numeric = differenced, None

    def conclude(self, numeric: Array, accused: Callable[[], Mapping[int, float]]) -> None:
        """Learn of verdicts that are being reached (see `numeric` and `accused`)."""
        self.numeric, self.accused = numeric, accused

    def so_far(self) -> tuple[Array, Array, Any] | None:
        """Return what the sweep has differenced (see `differenced`), or None before it begins."""
        if self.differenced is None:
            return None
        place, numeric, noise = self.differenced(self.found if self.whole else ())
        return place, numeric if self.numeric is None else self.numeric[place], noise

    def rows(self, rows: Iterable[Any], found: list[Any], count: int) -> Iterable[Any]:
        """Pass `count` rows on, telling in between; `found` grows by what func returns."""
        # Part of a sweep's move is not taken for its beginning.
        self.found = found if count == self.whole else ()
        return rows if self._tell is None else self._telling(rows, found)

    def _telling(self, rows: Iterable[Any], found: list[Any]) -> Iterator[Any]:
        batch = left = 1
        began = perf_counter()
        for row in rows:
            if not left:
                self.advance(len(found))
                now = perf_counter()
                if now - began < BATCH_SECONDS / 2:
                    batch *= 2
                elif now - began > BATCH_SECONDS:
                    batch = max(1, batch // 2)
                left, began = batch, now
            left -= 1
            yield row
        self.advance(len(found))

    def gathered(self, found: Sequence[Any] | Array) -> None:
        """Tell of a part that was evaluated side by side: `found` has all since the beginning."""
        self.found = found if self.whole else ()
        self.advance()

    def advance(self, more: int = 0) -> None:
        """Tell of the evaluations so far, and `more` that have not been counted yet."""
        if self._tell is not None:
            self._tell(self.evaluations + more, self.planned, self.worst)

    def close(self) -> None:
        """Tell that the check is over, and let go of what holds this in a circle."""
        self.worst, self.accused, self.differenced = str, dict, None
        if self._tell is not None:
            self._tell(self.evaluations, self.planned, None)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Leave a note on a Ctrl-C: how far the check was, and what stood out."""
        try:
            yield
        except KeyboardInterrupt as stop:
            about = f" of about {self.planned:,}" if self.planned else ""
            worst = self.worst()
            told = f"worst so far {worst}" if worst else "no parameter stands out so far"
            done = f"{self.evaluations:,}{about} evaluations"
            if not hasattr(stop, "__notes__"):  # a check inside this one left none
                stop.add_note(f"gradcheck: interrupted after {done}; {told}")
            raise


class Evaluator:
    """Calls func at perturbed parameters, those of `work`, and counts.

    Several evaluators of one check share a `progress`; a `pool` evaluates side by side what can be.

    `kind` is longdouble once func returned one, else float64; `shape` that of J, () or (m,);
    `narrow` the bits of precision of the type of J where it is narrower than float64, for each
    output if there are several. `gradients` is what func returned beside J at θ the last time, if
    it returns pairs; `domain_error` the first exception that was taken for a probe outside func's
    domain; `seconds` what a call costs. `asks`: an exception near θ may be asked for again (see
    `_left_domain`); `keeps`: values are kept, so that the same point costs nothing again; `quiet`
    makes the context that keeps func's warnings from the user's output.
    """

    def __init__(
        self, call: Call, work: WorkCopy, progress: Progress | None = None, pool: Pool | None = None
    ) -> None:
        self.gradients: list[Any] = []
        self._beside: list[Any] = []
        self.call = call.on(work, self._beside)
        self.read, self.bits = call.read, call.bits
        # Of several outputs a lone number is one to be read, too.
        self._plain = _PLAIN if call.read is scalar else frozenset[type]()
        self.work = work
        self.progress = progress or Progress()
        self.pool = pool
        self.seconds = math.inf
        self.asks = True
        self.keeps = False
        self.quiet: Callable[[], AbstractContextManager[Any]] = contained
        self.context: Callable[[], AbstractContextManager[Any]] = nullcontext
        self.kind: Any = np.float64
        self.shape: tuple[int, ...] = ()
        self.narrow: Any = None
        self.domain_error: Exception | None = None

    def inside(self, context: Callable[[], AbstractContextManager[Any]]) -> Evaluator:
        """Have func called in a context, each time; return self."""
        if context is not nullcontext:
            self.context, self.quiet = context, partial(contained, context)
        return self

    @property
    def evaluations(self) -> int:
        """Calls of func so far, of all evaluators of the check."""
        return self.progress.evaluations

    def at_theta(self) -> Any:
        """Return J at the parameters as they are, or raise ValueError: it must be finite."""
        self.progress.allow(1)
        self.progress.evaluations += 1
        self.work.set_aside()
        started = perf_counter()
        try:
            with self.context():
                out = self.call(self.work.params)
            value = self.read(out)
        except BaseException:
            self.work.restore()
            raise
        self.seconds = min(self.seconds, perf_counter() - started)
        self.gradients = list(self._beside)
        self.narrow = self.bits(out) or self.narrow
        if type(value) is not float or not math.isfinite(value):
            array = np.asarray(value)
            self.shape = array.shape
            if array.dtype == np.longdouble:
                self.kind = np.longdouble
            if not np.isfinite(value).all():
                self.work.restore()
                bad = array[~np.isfinite(array)][0]
                raise ValueError(
                    f"func returned {bad} at params; J must be finite to be differenced"
                )
        self.work.require_unchanged("func", self.read is scalar)
        return value

    def sweep(self, position: int, coordinates: Sequence[int], values: Array) -> Array:
        """Return J with single coordinates of a block changed; of the shape of `values`, and m."""
        return self.evaluate(Move(values, position, coordinates))

    def along(self, shift: Array, steps: Sequence[float]) -> Array:
        """Return J at θ + step·shift, for each of k steps; shape (k,), or (k, m)."""
        return self.evaluate(Move(np.array(steps, dtype=np.float64), shift=shift))

    def evaluate(self, move: Move) -> Array:
        """Return J at some points; NaN where func left its domain with an exception."""
        count = move.values.size
        self.progress.allow(count)
        if (most := self.progress.max_evals) is not None:
            # Asked again is whatever raises, or nothing: which ones there is room for would
            # depend on who evaluates what first.
            self.asks = self.evaluations + 2 * count <= most
        if self.pool is None or len(move.values) < 2:
            found = self._here(move)
        else:
            with self.quiet():
                found = self._gathered(self.pool.evaluate(self, move))
        return np.array(found, dtype=self.kind).reshape(move.values.shape + self.shape)

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Keep func's warnings from the user's output for several moves, and not for each."""
        # Not in func's context: grad may be called between the moves.
        quiet, self.quiet = self.quiet, self.context
        try:
            with contained():
                yield
        finally:
            self.quiet = quiet

    def _gathered(self, parts: Parts) -> list[Any]:
        """Count what the pool evaluated and return J, in order; raise what func raised first."""
        found: list[Any] = []
        try:
            for part in parts:
                self.progress.evaluations += part.evaluations
                self.domain_error = self.domain_error or part.domain_error
                if part.error is not None:
                    raise part.error
                found.extend(part.values.reshape(-1, *self.shape))
                self.progress.gathered(found)
        finally:
            parts.close()  # now, not when a traceback lets go of it
        return found

    def _here(self, move: Move) -> Sequence[Any] | Array:
        """Return J at each point, in order, evaluated in this thread."""
        return self._one_by_one(move) if move.shift is None else self._along(move.shift, move)

    def _one_by_one(self, move: Move) -> list[Any]:
        work, call, read, plain = self.work, self.call, self.read, self._plain
        cell, nothing = work.cell(move.position), self._nothing()
        saved = work.theta[move.position][list(move.coordinates)].tolist()
        found: list[Any] = []
        append = found.append
        coordinate = -1
        try:
            with self.quiet():
                rows: Iterable[Any] = zip(
                    move.coordinates, move.values.tolist(), saved, strict=True
                )
                for coordinate, row, theta in self.progress.rows(rows, found, len(saved)):
                    try:
                        for value in row:
                            cell[coordinate] = value
                            try:
                                out = call(work.params)
                                if type(out) not in plain:
                                    out = read(out)
                            except Exception as error:
                                if not self._left_domain(error):
                                    raise
                                out = nothing
                            append(out)
                    finally:
                        cell[coordinate] = theta
        except Exception as error:
            block = work.blocks[move.position]
            label = block.label(coordinate) if coordinate >= 0 else "a parameter"
            error.add_note(
                f"gradcheck: raised by func with {brief(label)} perturbed, in evaluation "
                f"{self.evaluations + len(found) + 1}; the parameters are as they were"
            )
            raise
        finally:
            self.progress.evaluations += len(found)
        return found

    def _nothing(self) -> Any:
        """Return what stands for J outside func's domain."""
        return np.full(self.shape, math.nan) if self.shape else math.nan

    def _left_domain(self, error: Exception) -> bool:
        """Return whether an exception says that the parameters, as they stand, have no J."""
        # A func may raise where another would return NaN: that is no error of the user's, as long
        # as some step stays inside. But only what it raises again at the same parameters is one of
        # these; and the first is kept, to be raised if no step does.
        if not is_domain_error(error):
            return False
        if not self.asks:
            self.domain_error = self.domain_error or error
            return True
        self.progress.evaluations += 1
        try:
            self.read(self.call(self.work.params))
        except Exception as again:
            if is_domain_error(again):
                self.domain_error = self.domain_error or error
                return True
        return False

    def _along(self, shift: Array, move: Move) -> list[Any]:
        work, call, read, plain = self.work, self.call, self.read, self._plain
        found: list[Any] = []
        try:
            with self.quiet():
                for step in move.values.tolist():
                    work.move(shift, step)
                    self.progress.evaluations += 1
                    try:
                        out = call(work.params)
                        found.append(out if type(out) in plain else read(out))
                    except Exception as error:
                        if not self._left_domain(error):
                            error.add_note(
                                "gradcheck: raised by func with all parameters perturbed by "
                                f"{step:.1e} of their size, in evaluation {self.evaluations}; the "
                                "parameters are as they were"
                            )
                            raise
                        found.append(self._nothing())
        finally:
            work.reset()
        self.progress.advance()
        return found

    def close(self) -> None:
        """Put the user's arrays back, whatever happened, and let go of threads."""
        self.work.restore()
        self.progress.close()
        if self.pool is not None:
            self.pool.close()


_silent: set[int] = set()  # the threads that evaluate, in which nothing warns
_lock, _filters = threading.Lock(), list[Any]()


@contextmanager
def contained(
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Iterator[None]:
    """Keep func's warnings at probe points from the user's output: only those at θ are theirs."""
    # The process has one list of filters. The first thread that evaluates changes it, and the last
    # one puts it back: in another order, what one check had set would stay after all of them.
    me, ignored = threading.get_ident(), warnings.catch_warnings(action="ignore")
    if me in _silent:  # a check in func
        with context(), ignored, np.errstate(all="ignore"):
            yield
        return
    try:
        with _lock:
            if not _silent:
                ignored.__enter__()
                _filters.append(ignored)
            _silent.add(me)
        with context(), np.errstate(all="ignore"):
            yield
    finally:
        with _lock:
            _silent.discard(me)
            if not _silent and _filters:
                _filters.pop().__exit__()
