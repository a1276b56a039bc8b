"""Checks of Jacobians: every output by every parameter, with the engine's verdicts and report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

import numpy as np

from ._gradient import Patterns, options_from
from ._matrix import Shape, is_operator
from ._names import brief, quoted
from ._options import Options
from ._outputs import OUTPUT, Capture, PairBlock, pair_blocks
from ._problem import Call, Problem, prepare, require_callable
from ._rows import Shared
from ._work import WorkCopy

Array = np.ndarray[Any, Any]

MOST_EVALUATIONS = 4200
"""Evaluations up to which every parameter is differenced when ``max_evals`` is not given."""

MOST_ENTRIES = 2_000_000
MOST_OUTPUTS = 5000
"""Entries of a Jacobian that are judged one by one, and rows of it: each takes a millisecond."""

OVERHEAD = 12
"""Evaluations at the parameters, and for the noise."""


class Judging(TypedDict, total=False):
    """The options of `assert_gradients_close` that the checks of other derivatives take."""

    rtol: float | None
    atol: float | None
    threshold: float | None
    max_evals: int | None
    seed: int
    only: Patterns
    skip: Patterns
    nondet_tol: float
    inconclusive: str
    kinks: str
    vacuous: str
    max_report: int


def judging(given: Judging) -> Options:
    """Return the options of a check of derivatives; those of gradients alone are an error."""
    unknown = sorted(set(given) - set(Judging.__annotations__))
    if unknown:
        raise TypeError(
            f"no option named {', '.join(unknown)} here; the options are "
            f"{', '.join(Judging.__annotations__)}"
        )
    return options_from(**given)


@dataclass
class Check:
    """A Jacobian being checked.

    Parameters
    ----------
    capture : Capture
        func.
    problem : Problem
        The engine's, for one of the outputs.
    shared : Shared
        All outputs.
    options : Options
    started : float
    shape : Shape
        What the analytic Jacobian must look like.
    pairs : tuple of PairBlock
        How its entries are laid out and called.
    """

    capture: Capture
    problem: Problem
    shared: Shared
    options: Options
    started: float
    shape: Shape = field(init=False)
    pairs: tuple[PairBlock, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.shape = Shape(self.capture.outputs, self.problem.structure, self.problem.blocks)
        self.pairs = pair_blocks(self.capture.outputs.blocks, self.problem.blocks)

    @property
    def exhaustive(self) -> bool:
        """Whether two evaluations for every parameter are allowed."""
        most = self.options.max_evals or MOST_EVALUATIONS
        cost = self.problem.evaluator.evaluations + 2 * self.problem.size + OVERHEAD
        m = self.shared.center.size
        return cost <= most and m <= MOST_OUTPUTS and m * self.problem.size <= MOST_ENTRIES


@contextmanager
def checking(
    func: Callable[..., Any],
    params: Any,
    call: Call,
    options: Options,
    called: str = OUTPUT,
    beside: Callable[[], Array] | None = None,
) -> Iterator[Check]:
    """Prepare the check of a Jacobian, and put everything back in the end."""
    started = time.perf_counter()
    require_callable(func)
    capture = Capture(func, call.has_aux, called, beside)
    problem = prepare(capture, params, replace(call, has_aux=False), options, returns_pair=False)
    try:
        for block in problem.blocks:
            if block.is_complex:
                raise TypeError(
                    f"{brief(block.name)} is complex: pass real and imaginary part as two "
                    f"parameters, or leave it out with skip={quoted(block.name)}"
                )
        yield Check(
            capture,
            replace(problem, unrepeated=""),
            Shared(problem, capture, options.nondet_tol),
            options,
            started,
        )
        problem.evaluator.require_unchanged("func")
    finally:
        problem.evaluator.close()


def given(function: Any, check: Check, call: Call) -> tuple[Any, ...]:
    """Return what the user's derivative is at θ: of a callable two results, else itself."""
    if not callable(function) or is_operator(function):
        return (function,)
    return tuple(function(own_params(check), *call.args) for _ in range(2))


def own_params(check: Check) -> Any:
    """Return a copy of the parameters in the user's own precision."""
    return WorkCopy(check.problem.structure, check.problem.blocks).fresh()
