"""The only stage that calls user code."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .._params.work_copy import WorkCopy
from .._quoting import brief
from .call import DOMAIN_ERRORS, ShapeError, narrow_bits, scalar

if TYPE_CHECKING:
    from .._gradient.worst_so_far import Watch


Array = np.ndarray[Any, Any]

_PLAIN = frozenset((float, np.float64))


class BudgetExhausted(Exception):  # noqa: N818 - a signal between two stages, never the user's
    """The next evaluation would exceed ``max_evals``."""


@dataclass
class Part:
    """What one piece of a sweep came to, wherever it was evaluated.

    Parameters
    ----------
    values : ndarray
        J, of the shape of what was asked for.
    evaluations : int
        Calls of func.
    domain_error : Exception or None
    error : Exception or None
        What func raised that is no sign of its domain.
    """

    values: Array
    evaluations: int
    domain_error: Exception | None = None
    error: Exception | None = None


Parts = Generator[Part, None, None]
"""Closed when no more of them are wanted, which stops what is under way."""


class Pool(Protocol):
    """Where points are evaluated when not here, in this thread (see `workers`)."""

    def sweep(
        self, evaluator: Evaluator, position: int, coordinates: Sequence[int], values: Array
    ) -> Parts:
        """Return the parts of `Evaluator.sweep`, in order."""

    def along(self, evaluator: Evaluator, shift: Array, steps: Sequence[float]) -> Parts:
        """Return the parts of `Evaluator.along`, in order."""

    def close(self) -> None:
        """Let go of threads."""


class Evaluator:
    """Calls func at perturbed parameters and counts.

    Parameters
    ----------
    call : callable
        Takes params and returns J (see `bound`).
    work : WorkCopy
        What is perturbed.
    max_evals : int or None
        `BudgetExhausted` is raised before evaluation number ``max_evals + 1``.
    pool : Pool, optional
        Evaluates what can be evaluated side by side.

    Attributes
    ----------
    evaluations : int
        Calls of func so far.
    dtype : numpy.dtype
        longdouble once func returned one, else float64.
    narrow : int or None
        Bits of precision of the type that func returns, when it is narrower than float64.
    domain_error : Exception or None
        The first one that was taken for a probe outside func's domain.
    seconds : float
        What a call costs.
    asks : bool
        Whether an exception near θ may be asked for again (see `_left_domain`).
    watch : Watch or None
        Is told how far it is.
    quiet : callable
        Makes the context that keeps func's warnings from the user's output.
    """

    def __init__(
        self,
        call: Callable[[Any], Any],
        work: WorkCopy,
        max_evals: int | None = None,
        pool: Pool | None = None,
    ) -> None:
        self.call = call
        self.work = work
        self.max_evals = max_evals
        self.pool = pool
        self.watch: Watch | None = None
        self.seconds = math.inf
        self.asks = True
        self.quiet: Callable[[], AbstractContextManager[Any]] = contained
        self.evaluations = 0
        self.kind: Any = np.float64
        self.narrow: int | None = None
        self.domain_error: Exception | None = None

    def _collect(self, values: list[Any], shape: tuple[int, ...]) -> Array:
        return np.array(values, dtype=self.kind).reshape(shape)

    def spend(self) -> None:
        """Count an evaluation that a stage of its own is about to make."""
        self._allow(1)
        self.evaluations += 1

    def _allow(self, count: int) -> None:
        if self.max_evals is not None and self.evaluations + count > self.max_evals:
            raise BudgetExhausted

    def _request(self, count: int, questions: int) -> None:
        """Allow so many evaluations; and to ask again, if max_evals has room for all that may be.

        Not for some of them: which ones would depend on who evaluates what first.
        """
        self._allow(count)
        if self.max_evals is not None:
            self.asks = self.evaluations + count + questions <= self.max_evals

    def shared(self, position: int, offset: int, steps: Sequence[float]) -> Sequence[float]:
        """Return steps near these at which func's values serve other questions too."""
        return steps

    def at_theta(self) -> Any:
        """Return J at the parameters as they are; it must be finite.

        Raises
        ------
        ValueError
            When J is NaN or infinite, or func wrote to its parameters.
        """
        self._allow(1)
        self.evaluations += 1
        self.work.set_aside()
        started = perf_counter()
        try:
            out = self.call(self.work.params)
            value = scalar(out)
        except BaseException:
            self.work.restore()
            raise
        self.seconds = min(self.seconds, perf_counter() - started)
        self.narrow = narrow_bits(out) or self.narrow
        if isinstance(value, np.longdouble):
            self.kind = np.longdouble
        if not np.isfinite(value):
            self.work.restore()
            raise ValueError(f"func returned {value} at params; J must be finite to be differenced")
        self.require_unchanged("func")
        return value

    def require_unchanged(self, who: str) -> None:
        """Raise ValueError when the work copy is not what it was: `who` wrote to it."""
        name = self.work.changed()
        if name is not None:
            self.work.restore()
            raise ValueError(
                f"{who} changed its parameters: {brief(name)} is not what it was before the "
                "call; copy what is to be changed, or pass copy=True to give func a fresh copy "
                "each time (your own arrays are as they were)"
            )

    def sweep(self, position: int, coordinates: Sequence[int], values: Array) -> Array:
        """Evaluate func with single coordinates of a block changed.

        Parameters
        ----------
        position : int
            The block's number.
        coordinates : sequence of int, length n
            Which of its coordinates, one after the other.
        values : ndarray, shape (n, k)
            What each is set to.

        Returns
        -------
        ndarray, shape (n, k)
            J; NaN where func left its domain with an exception.
        """
        self._request(values.size, values.size)
        if self.pool is None or len(coordinates) < 2:
            return self._sweep_here(position, coordinates, values)
        with self.quiet():
            found = self._gathered(self.pool.sweep(self, position, coordinates, values))
        return self._collect(found, values.shape)

    def _gathered(self, parts: Parts) -> list[Any]:
        """Count what the pool evaluated and return J, in order; raise what func raised first."""
        found: list[Any] = []
        try:
            for part in parts:
                self.evaluations += part.evaluations
                self.domain_error = self.domain_error or part.domain_error
                if part.error is not None:
                    raise part.error
                found.extend(part.values.ravel())
                if self.watch is not None:
                    self.watch.gathered(found)
        finally:
            parts.close()  # now, not when a traceback lets go of it
        return found

    def _sweep_here(self, position: int, coordinates: Sequence[int], values: Array) -> Array:
        work, call = self.work, self.call
        cell = work.cell(position)
        saved = work.theta[position][list(coordinates)].tolist()
        found: list[Any] = []
        append = found.append
        coordinate = -1
        try:
            with self.quiet():
                rows: Iterable[Any] = zip(coordinates, values.tolist(), saved, strict=True)
                if self.watch is not None:
                    rows = self.watch.rows(rows, found, len(coordinates))
                for coordinate, row, theta in rows:
                    try:
                        for value in row:
                            cell[coordinate] = value
                            try:
                                out = call(work.params)
                                if type(out) not in _PLAIN:
                                    out = scalar(out)
                            except Exception as error:
                                if not self._left_domain(error):
                                    raise
                                out = math.nan
                            append(out)
                    finally:
                        cell[coordinate] = theta
        except Exception as error:
            label = work.blocks[position].label(coordinate) if coordinate >= 0 else "a parameter"
            error.add_note(
                f"gradcheck: raised by func with {brief(label)} perturbed, in evaluation "
                f"{self.evaluations + len(found) + 1}; the parameters are as they were"
            )
            raise
        finally:
            self.evaluations += len(found)
        return self._collect(found, values.shape)

    def _left_domain(self, error: Exception) -> bool:
        """Return whether an exception says that the parameters, as they stand, have no J.

        A func may raise where another would return NaN: that is no error of the user's, as long
        as some step stays inside.  But only what it raises again at the same parameters is one
        of these; and the first is kept, to be raised if no step does.
        """
        if not isinstance(error, DOMAIN_ERRORS) or isinstance(error, ShapeError):
            return False
        if not self.asks:
            self.domain_error = self.domain_error or error
            return True
        self.evaluations += 1
        try:
            scalar(self.call(self.work.params))
        except DOMAIN_ERRORS:
            self.domain_error = self.domain_error or error
            return True
        except Exception:
            return False
        return False

    def along(self, shift: Array, steps: Sequence[float]) -> Array:
        """Evaluate func along a direction.

        Parameters
        ----------
        shift : ndarray, shape (n,)
            The direction over all blocks.
        steps : sequence of float, length k

        Returns
        -------
        ndarray, shape (k,)
            J at θ + step·shift.
        """
        self._request(len(steps), len(steps))
        if self.pool is None or len(steps) < 2:
            return self._along_here(shift, steps)
        with self.quiet():
            found = self._gathered(self.pool.along(self, shift, steps))
        return self._collect(found, (len(found),))

    def _along_here(self, shift: Array, steps: Sequence[float]) -> Array:
        found: list[Any] = []
        try:
            with self.quiet():
                for step in steps:
                    self.work.move(shift, step)
                    self.evaluations += 1
                    try:
                        found.append(scalar(self.call(self.work.params)))
                    except Exception as error:
                        if not self._left_domain(error):
                            error.add_note(
                                "gradcheck: raised by func with all parameters perturbed by "
                                f"{step:.1e} of their size, in evaluation {self.evaluations}; the "
                                "parameters are as they were"
                            )
                            raise
                        found.append(math.nan)
        finally:
            self.work.reset()
        if self.watch is not None:
            self.watch.advance()
        return self._collect(found, (len(found),))

    def close(self) -> None:
        """Put the user's arrays back, whatever happened, and let go of threads."""
        self.work.restore()
        if self.watch is not None:
            self.watch.close()
        if self.pool is not None:
            self.pool.close()


@contextmanager
def contained() -> Iterator[None]:
    """Keep func's warnings at probe points from the user's output: only those at θ are theirs."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
