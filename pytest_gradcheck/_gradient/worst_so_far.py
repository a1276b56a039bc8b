"""What is known of a check before it is over: for a live line, and for whoever interrupts it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from .._params.layout import Block, labels
from .._quoting import brief
from .._verdict.tolerance import DISAGREE, Answer
from ..hookspecs import progress_listener

if TYPE_CHECKING:
    from .._difference.sweep import Sweep
    from .._evaluate.evaluator import Evaluator
    from .._verdict.comparison import Comparison


Array = np.ndarray[Any, Any]

BATCH_SECONDS = 0.05
"""Progress is told about so often: rows are passed on in batches that take as long."""

STANDS_OUT = 1e-6
"""Analytic and numeric that differ by less than this part of them, or by what noise explains, do
not stand out before the check has looked again."""


class Watch:
    """Accompanies one check.  It costs nothing per evaluation while nobody listens.

    Parameters
    ----------
    evaluator : Evaluator
    blocks : sequence of Block

    Attributes
    ----------
    analytic : ndarray, shape (n,), or None
        Once it is known.
    comparison : Comparison or None
        While a verdict is reached on the parameters that were differenced.
    answers : mapping of int to Answer
        Of parameters that a check along directions has looked at one by one.
    planned : int
        Evaluations that a gradient without surprises costs; 0: not known.
    """

    def __init__(self, evaluator: Evaluator, blocks: Sequence[Block]) -> None:
        self.analytic: Array | None = None
        self.comparison: Comparison | None = None
        self.answers: Mapping[int, Answer] = {}
        self.planned = 0
        self._evaluator = evaluator
        self._blocks = blocks
        self._tell = progress_listener()
        self._found: Sequence[Any] | Array = ()
        self._sweep: Sweep | None = None
        self._place: Array | None = None
        self._partly: Callable[[Array, Array], Array] | None = None
        self._taken: Array = np.empty(0)
        self._gain, self._each = 0.0, 1
        self._compared = 0
        self._worst: tuple[float, int, float] = (1.0, -1, math.nan)

    def plan(
        self,
        sweep: Sweep,
        count: int,
        each: int,
        gain: float,
        partly: Callable[[Array, Array], Array],
    ) -> None:
        """Learn of a sweep that begins.

        Parameters
        ----------
        sweep : Sweep
            Filled block by block, in order.
        count, each : int
            Coordinates that it takes, and evaluations for each.
        gain : float
            The error bar from noise is this, over the step.
        partly : callable
            Takes J, shape (k, each), and k steps; returns k derivatives.
        """
        self._partly = partly
        self.comparison = None
        self._sweep, self._each, self._gain = sweep, each, gain
        self._compared, self._worst = 0, (1.0, -1, math.nan)
        self.planned = self._evaluator.evaluations + each * count

    def enter(self, place: Array, taken: Array) -> None:
        """Learn which coordinates are evaluated now, and their steps; shape (m,)."""
        self._found, self._place, self._taken = (), place, taken

    def leave(self) -> None:
        """Learn that the block is in the sweep."""
        self._place = None

    def rows(self, rows: Iterable[Any], found: Sequence[Any], count: int) -> Iterable[Any]:
        """Pass rows on, telling of progress in between if anybody listens.

        Parameters
        ----------
        rows : iterable
            One for each coordinate.
        found : sequence
            J, as it is evaluated: it grows meanwhile.
        count : int
            How many rows there are.
        """
        # Part of a block has no place of its own here; it is compared when it is in the sweep.
        whole = self._place is not None and self._place.size == count
        self._found = found if whole else ()
        return rows if self._tell is None else self._telling(rows, found)

    def _telling(self, rows: Iterable[Any], found: Sequence[Any]) -> Iterator[Any]:
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
        self._found = found
        self.advance()

    def advance(self, more: int = 0) -> None:
        """Tell of the evaluations so far, and `more` that have not been counted yet."""
        if self._tell is not None:
            self._tell(self._evaluator.evaluations + more, self.planned, self.worst)

    def close(self) -> None:
        """Tell that the check is over."""
        if self._tell is not None:
            self._tell(self._evaluator.evaluations, self.planned, None)

    def worst(self) -> str:
        """Return the parameter that stands out most so far, or an empty string."""
        if self.analytic is None:
            return ""
        found = self._confirmed(self.analytic)
        note = "confirmed"
        if found is None:
            self._compare(self.analytic)
            _, found_at, numeric = self._worst
            if found_at < 0:
                return ""
            found, note = (found_at, numeric), "not confirmed"
        i, numeric = found
        return (
            f"{brief(labels(self._blocks)(i))}: analytic {float(self.analytic[i]):.6g}, "
            f"numeric {numeric:.6g} ({note})"
        )

    def _confirmed(self, a: Array) -> tuple[int, float] | None:
        """Return the parameter that is most wrong of those that were looked at again."""
        wrong = {i: x.value for i, x in self.answers.items() if x.verdict == DISAGREE}
        found = self.comparison
        if found is not None and self._sweep is not None:
            seen = np.flatnonzero((found.verdict == DISAGREE) & (self._sweep.step > 0))
            wrong |= {int(i): float(found.numeric[i]) for i in seen}
        if not wrong:
            return None

        def gap(i: int) -> float:
            size = abs(float(a[i]) - wrong[i])
            return size if math.isfinite(size) else math.inf

        worst = max(wrong, key=gap)
        return worst, wrong[worst]

    def _compare(self, a: Array) -> None:
        """Bring the worst so far up to date with what was evaluated since the last time."""
        sweep = self._sweep
        if sweep is None:
            return
        stop = a.size if self._place is None else int(self._place[0])
        if stop > self._compared:
            done = np.flatnonzero(sweep.step[self._compared : stop] > 0) + self._compared
            known = sweep if self.comparison is None else self.comparison
            self._keep(a, done, known.numeric[done], sweep.step[done])
            self._compared = stop
        if self._place is None or self._partly is None or not len(self._found):
            return
        each = self._each
        k = len(self._found) // each
        if k:
            values = np.array(self._found[: k * each], dtype=self._evaluator.kind)
            numeric = self._partly(values.reshape(k, each), self._taken[:k])
            self._keep(a, self._place[:k], numeric, self._taken[:k])

    def _keep(self, a: Array, place: Array, numeric: Array, taken: Array) -> None:
        """Keep the worst of these parameters, if it is worse than what was kept."""
        if not place.size:
            return
        with np.errstate(all="ignore"):
            size = np.fmax(np.abs(a[place]), np.abs(numeric))
            gap = np.abs(a[place] - numeric)
            score = np.asarray(gap / (STANDS_OUT * size + self._gain / taken), dtype=np.float64)
        score[~np.isfinite(a[place])] = math.inf
        score[np.isnan(score)] = 0.0
        k = int(np.argmax(score))
        if score[k] > self._worst[0]:
            self._worst = float(score[k]), int(place[k]), float(numeric[k])

    def note(self) -> str:
        """Return the sentence for whoever interrupts the check."""
        about = f" of about {self.planned:,}" if self.planned else ""
        worst = self.worst()
        told = f"worst so far {worst}" if worst else "no parameter stands out so far"
        done = f"{self._evaluator.evaluations:,}{about} evaluations"
        return f"gradcheck: interrupted after {done}; {told}"
