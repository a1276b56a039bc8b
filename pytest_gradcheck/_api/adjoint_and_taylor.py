"""Two tests that the literature has for adjoints: ⟨A x, y⟩ = ⟨x, Aᵀ y⟩, and Taylor remainders.

Of two operators no difference is taken: A is linear, so both sides are exact but for rounding.
Where there are few entries each is compared, by basis vectors; else each block of inputs with each
block of outputs, by random vectors in them, so a report names what is wrong in either case.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np

from .._constants import DUST, ENTRY_ROUNDINGS
from .._difference.every_coordinate import noise_of
from .._difference.stencils_and_steps import Stream, random_weights
from .._evaluate.call import Call, as_tuple, name_of
from .._evaluate.problem import evaluate_gradient, prepare, require_callable
from .._jacobian.outputs_and_matrices import OUTPUT, in_pairs, output_name, pair_blocks
from .._options import (
    UNSET,
    AdjointOptions,
    Options,
    SeedOptions,
    options_from,
    require_known,
    takes,
)
from .._params.arrays_and_structure import Array, flatten
from .._params.layout import Block, beside, blocks_of, gradient_vector, labels
from .._quoting import brief, quoted
from .._report.assemble import Rows, Subject, assemble, contradicted, rows_of
from .._report.report import GradientReport
from .._verdict.tolerance_and_comparison import Comparison, tolerance
from .gradients import announced, asserting

EXHAUSTIVE_CALLS = 400  # calls of both operators together up to which every entry is compared
TRIALS = 3  # random pairs of vectors for each pair of blocks


@takes(AdjointOptions)
def check_adjoint(
    forward: Callable[[Any], Any],
    adjoint: Callable[[Any], Any],
    x: Any,
    y: Any = None,
    **options: Unpack[AdjointOptions],
) -> GradientReport:
    """Check a pair of operators as `assert_adjoint` does, and always return a report."""
    started = time.perf_counter()
    require_callable(forward, form="forward(x)")
    require_callable(adjoint, form="adjoint(y)")
    chosen = options_from(check_adjoint, options)
    own = _Side(x, "x", "a sample of forward's argument, as np.zeros(3)", chosen)
    given = y is not None
    y = y if given else forward(own.value(np.zeros(own.size)))
    other = _Side(y, "y" if given else "what forward returned", "a sample of what forward returns")
    a, at = _Operator(forward, "forward", own, other), _Operator(adjoint, "adjoint", other, own)
    remark = a.not_linear(chosen.seed) or at.not_linear(chosen.seed)
    few = own.size + other.size <= min(chosen.max_evals or EXHAUSTIVE_CALLS, EXHAUSTIVE_CALLS)
    subject, rows = (_by_entries if few else _by_blocks)(a, at, chosen)
    seconds = time.perf_counter() - started
    report = assemble(subject, rows, chosen, a.calls + at.calls + (not given), seconds)
    return announced(contradicted(report, remark) if remark else report)


@asserting(check_adjoint, AdjointOptions)
def assert_adjoint() -> None:
    """Assert that two linear operators are each other's adjoint: ⟨A x, y⟩ = ⟨x, Aᵀ y⟩.

    Parameters
    ----------
    forward : callable
        ``forward(x) -> y``, linear.  With complex numbers the inner product is Re Σ x̄ y, and the
        adjoint the conjugate transpose.
    adjoint : callable
        ``adjoint(y) -> x``.
    x : array, number, or containers of them
        A sample of the operator's argument, for its structure, shapes and dtypes alone; a tuple of
        whole numbers is such a sample too, and stands for zeros of this shape.
    y : array, number, or containers of them, optional
        A sample of what `forward` returns.  Unset: ``forward(x)``.
    **options
        As in `assert_jacobian_close`.

    Returns
    -------
    GradientReport
        Analytic is the adjoint's side, numeric the forward operator's.  With up to 400 entries of
        x and y together each entry of the matrix is compared, ``output[1] / x[0]``; with more,
        random vectors for each pair of blocks, ``output / x[2]`` for the third.

    Raises
    ------
    GradientMismatch
        They are not adjoint, or one of them is not linear.
    TypeError, ValueError
        For bad input.

    Notes
    -----
    Here an ``rtol`` that is unset is 32 roundings of the dtypes, for each term.

    Examples
    --------
    >>> import numpy as np
    >>> from pytest_gradcheck import assert_adjoint
    >>> kernel = np.array([1.0, 2.0, -1.0])
    >>> def blur(x):
    ...     return np.convolve(x, kernel)
    >>> def blur_adjoint(y):
    ...     return np.correlate(y, kernel)
    >>> assert_adjoint(blur, blur_adjoint, np.zeros(5)).verdict
    'agree'
    """


class _Side:
    """One space: its structure, and vectors of real coordinates to and fro."""

    def __init__(self, sample: Any, what: str, wanted: str, options: Options = UNSET) -> None:
        if isinstance(sample, tuple) and all(type(size) is int for size in sample):
            sample = np.zeros(sample)
        name = "x" if what == "x" else OUTPUT
        self.structure = flatten(sample, name)
        self.what, self.raw = what, blocks_of(self.structure, options.only, options.skip, of=what)
        self.size = self.raw[-1].stop if self.raw else 0
        if not self.size:
            raise ValueError(
                f"{what} has no entries, so there is nothing to compare; it must be {wanted}"
            )
        self.blocks = tuple(
            replace(block, name=output_name(block.name, name)) for block in self.raw
        )
        # The coarsest machine epsilon.
        self.eps = max(self.structure.leaves[block.leaf].eps for block in self.raw)

    def value(self, vector: Array) -> Any:
        """Return a vector in the structure, in the sample's dtypes; zeros where left out."""
        return beside(self.structure, self.raw, vector)

    def vector(self, value: Any, what: str) -> Array:
        """Return a value of this space as a vector; its names and shapes must match."""
        found, _ = gradient_vector(value, self.structure, self.raw, what, self.what)
        return found.astype(np.float64)


class _Operator:
    """One of the operators, on vectors: from `own` space to the `other`."""

    def __init__(self, function: Callable[[Any], Any], what: str, own: _Side, other: _Side) -> None:
        self.function, self.what, self.own, self.other = function, what, own, other
        self.eps, self.calls = max(own.eps, other.eps), 0

    def __call__(self, vector: Array) -> Array:
        self.calls += 1
        return self.other.vector(self.function(self.own.value(vector)), self.what)

    def not_linear(self, seed: int) -> str:
        """Return the sentence that says that it is not linear, or nothing."""
        label, what = labels(self.other.blocks), self.what
        zero = self(np.zeros(self.own.size))
        if zero.any():
            i = int(np.argmax(np.abs(zero)))
            return f"{what} is not linear: {brief(label(i))} of {what}(0) is {zero[i]:.6g}, not 0"
        size = self.own.size
        drawn = (
            random_weights(size, seed, Stream.FIRST_ADDEND),
            random_weights(size, seed, Stream.SECOND_ADDEND),
        )
        # In the sample's own precision, so that the sum is exact as it is passed on.
        one, other = (self.own.vector(self.own.value(vector), what) for vector in drawn)
        parts = self(one), self(other)
        gap = np.abs(self(2 * one) - 2 * parts[0])
        gap = np.maximum(gap, np.abs(self(one + other) - parts[0] - parts[1]))
        terms = np.abs(parts[0]) + np.abs(parts[1])
        allowed = 1e3 * self.eps * (terms + np.max(terms, initial=0.0))
        if (gap <= allowed).all():
            return ""
        i = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
        return (
            f"{what} is not linear: {brief(label(i))} of {what}(a + b) or of {what}(2a) is off by "
            f"{gap[i]:.3g}"
        )

    def matrix(self) -> Array:
        """Return its matrix, shape (other's, own)."""
        return np.stack([self(row) for row in np.eye(self.own.size)], axis=1)

    def products(self, v: Array, w: Array) -> tuple[Array, Array]:
        """Return the inner products of w with its image of v, and the sizes of their terms."""
        # For each pair of blocks, shape (other's, own).
        shape = len(self.other.blocks), len(self.own.blocks)
        told, size = np.zeros(shape), np.zeros(shape)
        for j, block in enumerate(self.own.blocks):
            part = np.zeros_like(v)
            part[block.window] = v[block.window]
            image = self(part)
            for i, other in enumerate(self.other.blocks):
                terms = image[other.window] * w[other.window]
                told[i, j], size[i, j] = terms.sum(), np.sqrt(np.sum(terms**2))
        return told, size


def _by_entries(a: _Operator, at: _Operator, options: Options) -> tuple[Subject, Rows]:
    """Compare the two matrices."""
    x, y = a.own.blocks, a.other.blocks
    numeric, analytic = in_pairs(y, x, a.matrix()), in_pairs(y, x, at.matrix().T)
    return _compared(a, pair_blocks(y, x), analytic, numeric, np.zeros(numeric.size), options)


def _by_blocks(a: _Operator, at: _Operator, options: Options) -> tuple[Subject, Rows]:
    """Compare inner products for each pair of blocks."""
    x, y = a.own, a.other
    numeric, analytic, size = (np.zeros((len(y.blocks), len(x.blocks), TRIALS)) for _ in range(3))
    for trial in range(TRIALS):
        v = random_weights(x.size, options.seed, Stream.ADJOINT_X, trial)
        w = random_weights(y.size, options.seed, Stream.ADJOINT_Y, trial)
        v, w = x.vector(x.value(v), "x"), y.vector(y.value(w), "y")
        numeric[..., trial], terms = a.products(v, w)
        back, others = at.products(w, v)
        analytic[..., trial], size[..., trial] = back.T, np.maximum(terms, others.T)
    laid = [
        Block(f"{o.name} / {p.name}", (TRIALS,), p.dtype, False, TRIALS * k, TRIALS * (k + 1), 0)
        for k, (o, p) in enumerate(itertools.product(y.blocks, x.blocks))
    ]
    # A sum of N terms that cancel leaves √N roundings of their size.
    bar = DUST * a.eps * float(np.sqrt(max(x.size, y.size))) * size.ravel()
    return _compared(a, laid, analytic.ravel(), numeric.ravel(), bar, options)


def _compared(
    forward: _Operator,
    blocks: Sequence[Block],
    a: Array,
    numeric: Array,
    bar: Array,
    options: Options,
) -> tuple[Subject, Rows]:
    ones, eps = np.ones(a.size), forward.eps
    limits = tolerance(a, numeric, ones, blocks, [eps] * len(blocks), options)
    if options.rtol is None:
        limits = replace(limits, rtol=np.full(a.size, max(1e-12, ENTRY_ROUNDINGS * eps)))
    if options.atol is None:
        limits = replace(limits, atol=DUST * eps * limits.rms)
    limits = replace(limits, dust=limits.atol)
    found = Comparison.of_two(limits, numeric, bar)
    subject = Subject(name_of(forward.function), blocks, "two operators")
    zero = frozenset(block.name for block in blocks)
    return subject, rows_of(subject, found, options, scale=ones, may_be_zero=zero)


# Taylor remainders: how fast func leaves its tangent, for those who report that.
#
# |J(θ + h v) − J(θ)| falls as h, and |J(θ + h v) − J(θ) − h g·v| as h² when g is the gradient.


LEAST_RATE = 1.9  # a remainder of second order falls by at least this power of the step
FIRST_STEP = 1e-2
HALVINGS = 8
"""The largest step, in parts of the parameters' scales, and how many there are, each half of the
one before."""

SHOWN = 8.0  # a remainder below this many times func's noise says nothing of a rate


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
        told = (
            ["", *("-" if math.isnan(rate) else f"{rate:.2f}" for rate in _rates(one, self.noise))]
            for one in (self.zeroth, self.first)
        )
        rows = ["step      zeroth    rate  first     rate"]
        for h, zero, one, *rates in zip(self.steps, self.zeroth, self.first, *told, strict=True):
            rows.append(f"{h:.2e}  {zero:.2e}  {rates[0]:4}  {one:.2e}  {rates[1]:4}".rstrip())
        return "\n".join([*rows, f"noise of func {self.noise:.1e}, seed {self.seed}"])


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
    if not (isinstance(step, (int, float)) and 0 < step < math.inf):
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


def _rates(remainders: Iterable[float], noise: float) -> list[float]:
    """Return the power of the step between neighbours, NaN where they are not clear of noise."""
    return [
        math.log2(float(larger) / float(smaller))
        if min(larger, smaller) > SHOWN * noise and math.isfinite(larger)
        else math.nan
        for larger, smaller in itertools.pairwise(remainders)
    ]


def _rate(remainders: Array, noise: float) -> float:
    clear = [rate for rate in _rates(remainders, noise) if not math.isnan(rate)]
    return float(np.median(clear)) if clear else math.nan


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
    func, grad, params, args, has_aux, step, count
        As in `taylor_rates`.
    least : float, optional
        The smallest rate that passes, default 1.9.
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
    if not isinstance(least, (int, float)):
        raise TypeError(f"least must be a number, not {quoted(least)}")
    rates = taylor_rates(
        func, grad, params, args=args, has_aux=has_aux, step=step, count=count, **options
    )
    if not (rates.exact or rates.rate1 >= least):
        raise AssertionError(
            f"{rates.name}: first-order Taylor remainder falls as h^{rates.rate1:.2f}, not at "
            f"least h^{least:g}; check_gradients says which parameters are wrong\n\n{rates}"
        )
    return rates
