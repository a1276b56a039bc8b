"""Taylor remainders: how fast func leaves its tangent, for those who report that.

|J(θ + h v) − J(θ)| falls as h, and |J(θ + h v) − J(θ) − h g·v| as h² when g is the gradient.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

from .._difference.directions import Stream, random_weights
from .._difference.sweep import noise_of
from .._evaluate.call import Call, as_tuple, name_of
from .._evaluate.problem import evaluate_gradient, prepare, require_callable
from .._options import SeedOptions, options_from, require_known, takes
from .._quoting import quoted

Array = np.ndarray[Any, Any]

LEAST_RATE = 1.9
"""A remainder of second order falls by at least this power of the step."""

FIRST_STEP = 1e-2
HALVINGS = 8
"""The largest step, in parts of the parameters' scales, and how many there are, each half of the
one before."""

SHOWN = 8.0
"""A remainder below this many times func's noise says nothing of a rate."""


@dataclass(frozen=True)
class TaylorRates:
    """Taylor remainders along one random direction, and how fast they fall.

    Attributes
    ----------
    name : str
        func's name.
    steps : tuple of float
        h, largest first, in parts of the parameters' scales.
    zeroth, first : tuple of float
        |J(θ + h v) − J(θ)|, and |J(θ + h v) − J(θ) − h g·v|.
    rate0, rate1 : float
        The powers of h that they fall by: medians over the steps at which they stand clear of
        noise; NaN where fewer than two do.
    noise : float
        Standard deviation of func's value.
    seed : int
        Of the direction.
    """

    name: str
    steps: tuple[float, ...]
    zeroth: tuple[float, ...]
    first: tuple[float, ...]
    rate0: float
    rate1: float
    noise: float
    seed: int

    @property
    def exact(self) -> bool:
        """Whether no step shows a remainder of first order: func is linear along v, and g right."""
        return all(value <= SHOWN * self.noise for value in self.first)

    def __str__(self) -> str:
        rows = ["step      zeroth    rate  first     rate"]
        before: tuple[float, float] | None = None
        for h, zero, one in zip(self.steps, self.zeroth, self.first, strict=True):
            rates = ["", ""]
            if before is not None:
                pairs = zip(before, (zero, one), strict=True)
                rates = [self._rate_text(a, b) for a, b in pairs]
            rows.append(f"{h:.2e}  {zero:.2e}  {rates[0]:4}  {one:.2e}  {rates[1]:4}".rstrip())
            before = zero, one
        return "\n".join([*rows, f"noise of func {self.noise:.1e}, seed {self.seed}"])

    def _rate_text(self, larger: float, smaller: float) -> str:
        clear = min(larger, smaller) > SHOWN * self.noise
        return f"{math.log2(larger / smaller):.2f}" if clear else "-"


@takes(SeedOptions)
def taylor_rates(
    func: Callable[..., Any],
    grad: Any,
    params: Any,
    *,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    step: float = FIRST_STEP,
    count: int = HALVINGS,
    **options: Unpack[SeedOptions],
) -> TaylorRates:
    """Return how fast Taylor remainders of func fall, along one random direction.

    Parameters
    ----------
    func, grad, params, args, has_aux
        As in `assert_gradients_close`.
    step : float, optional
        The largest step, in parts of the parameters' scales, default 0.01.
    count : int, optional
        How many steps, each half of the one before, default 8, at least 3.
    **options
        As in `Options`.

    Returns
    -------
    TaylorRates
        Its text is a table.  A rate says that a gradient is right to some digits; where and by how
        much it is wrong is told by `check_gradients`.

    Raises
    ------
    TypeError, ValueError
        For bad input.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import taylor_rates
    >>> rates = taylor_rates(lambda x: np.sum(np.exp(x)), np.exp, np.array([0.1, 0.2]))
    >>> round(rates.rate0, 1), round(rates.rate1, 1)
    (1.0, 2.0)
    >>> print(str(rates).splitlines()[0])
    step      zeroth    rate  first     rate
    """
    if not (step > 0 and math.isfinite(step)):
        raise ValueError(f"step must be a positive finite number, not {quoted(step)}")
    if type(count) is not int or count < 3:
        raise ValueError(f"count must be a whole number, 3 or more, not {quoted(count)}")
    chosen = options_from(taylor_rates, options)
    require_callable(func, grad)
    call = Call(func, as_tuple(args), has_aux, returns_pair=grad is True)
    problem = prepare(call, params, chosen)
    with closing(problem.evaluator):
        if problem.unrepeated:
            raise ValueError(problem.unrepeated)
        analytic = evaluate_gradient(grad, problem, chosen).vector
        shift = random_weights(problem.size, chosen.seed, Stream.TAYLOR) * problem.scale
        steps = [step / 2**k for k in range(count)]
        values = problem.evaluator.along(shift, steps)
        noise = noise_of(problem, chosen).sigma
        problem.evaluator.work.require_unchanged("func")
    with np.errstate(all="ignore"):
        change = (values - problem.center).astype(np.float64)
        zeroth = np.abs(change)
        slope = float(analytic @ shift)
        # Rounding of the tangent's own value is noise, too.
        noise = max(noise, float(np.finfo(np.float64).eps) * abs(slope) * step)
        first = np.abs(change - np.array(steps) * slope)
    return TaylorRates(
        name=name_of(func),
        steps=tuple(steps),
        zeroth=tuple(zeroth.tolist()),
        first=tuple(first.tolist()),
        rate0=_rate(zeroth, noise),
        rate1=_rate(first, noise),
        noise=noise,
        seed=chosen.seed,
    )


def _rate(remainders: Array, noise: float) -> float:
    """Return the median power of the step over neighbours that stand clear of noise."""
    rates = [
        math.log2(float(larger) / float(smaller))
        for larger, smaller in itertools.pairwise(remainders)
        if min(larger, smaller) > SHOWN * noise and math.isfinite(larger)
    ]
    return float(np.median(rates)) if rates else math.nan


@takes(SeedOptions)
def assert_taylor_rate(
    func: Callable[..., Any],
    grad: Any,
    params: Any,
    *,
    least: float = LEAST_RATE,
    args: tuple[Any, ...] = (),
    has_aux: bool = False,
    step: float = FIRST_STEP,
    count: int = HALVINGS,
    **options: Unpack[SeedOptions],
) -> TaylorRates:
    """Assert that the first-order Taylor remainder of func falls as the square of the step.

    Parameters
    ----------
    least : float, optional
        The smallest rate that passes, default 1.9.
    func, grad, params, args, has_aux, step, count
        As in `taylor_rates`.
    **options
        As in `Options`.

    Returns
    -------
    TaylorRates

    Raises
    ------
    AssertionError
        The rate is lower, or no step shows one though a remainder is there; with the table.
    TypeError, ValueError
        For bad input.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import assert_taylor_rate
    >>> round(assert_taylor_rate(lambda x: np.sum(x**3), lambda x: 3 * x**2, np.ones(4)).rate1, 2)
    2.0
    """
    __tracebackhide__ = True
    require_known(assert_taylor_rate, options)
    rates = taylor_rates(
        func, grad, params, args=args, has_aux=has_aux, step=step, count=count, **options
    )
    if not (rates.exact or rates.rate1 >= least):
        raise AssertionError(
            f"{rates.name}: first-order Taylor remainder falls as h^{rates.rate1:.2f}, not at "
            f"least h^{least:g}; check_gradients says which parameters are wrong\n\n{rates}"
        )
    return rates
