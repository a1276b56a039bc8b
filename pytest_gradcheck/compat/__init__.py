"""The gradient checkers of other libraries, by their own signatures, on this engine.

Change the import and keep the tests::

    from pytest_gradcheck.compat.scipy import check_grad
    from pytest_gradcheck.compat.torch import gradcheck, gradgradcheck
    from pytest_gradcheck.compat.jax import check_grads
    from pytest_gradcheck.compat.autograd import check_grads

A module imports its library when one of its functions is called.  Steps and tolerances that were
given for the other checker's formula are taken and not used; what can't be told passes, as it
would there, and the summary says so; ``docs/moving.md`` lists the differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._api.gradients import announced
from .._api.jacobians import check_products
from .._constants import ALONG_RESOLVES
from .._difference.stencils_and_steps import Stream, generator
from .._params.arrays_and_structure import Array, Structure, flatten, native_type
from .._quoting import quoted
from .._report.report import GradientMismatch

__all__: list[str] = []  # what stands here is for the modules beside it

LENIENT: dict[str, Any] = {"inconclusive": "pass", "vacuous": "pass"}
"""Other checkers know no third answer: what can't be told is in the report, and passes."""


class Real:
    """One space of values, those of the containers and shapes of `sample`, as real arrays and back.

    `to_numpy` makes of a leaf what numpy understands; `from_numpy` makes a leaf of an array and the
    leaf in its place in `sample`.
    """

    def __init__(
        self,
        sample: Any,
        to_numpy: Callable[[Any], Any] = np.asarray,
        from_numpy: Callable[[Array, Any], Any] = lambda array, like: array,
    ) -> None:
        self.structure: Structure = flatten(sample)
        self._to, self._from = to_numpy, from_numpy
        kinds = [np.asarray(to_numpy(leaf.value)).dtype.kind for leaf in self.structure.leaves]
        self._pairs = [kind == "c" for kind in kinds]

    @property
    def size(self) -> int:
        """How many entries there are to be differentiated."""
        return sum(leaf.size for leaf in self.structure.leaves if leaf.numeric)

    @property
    def remark(self) -> str:
        """What is to be known of names of entries, or nothing."""
        return AS_PAIRS if any(self._pairs) else ""

    def arrays(self, value: Any) -> Any:
        """Return a value of the space in its containers, with real arrays for leaves."""
        structure = flatten(value)
        return structure.rebuild([self._real(leaf.value) for leaf in structure.leaves])

    def _real(self, leaf: Any) -> Any:
        array = np.asarray(self._to(leaf))
        if array.dtype.kind == "c":
            pairs = np.stack([array.real, array.imag], axis=-1)
            return np.ascontiguousarray(pairs)
        if array.dtype.kind != "f" and native_type(array.dtype):
            array = array.astype(np.float64)
        return np.array(array)

    def value(self, arrays: Any) -> Any:
        """Return real arrays as a value of the space."""
        values = []
        each = zip(flatten(arrays).leaves, self.structure.leaves, self._pairs, strict=True)
        for leaf, like, pairs in each:
            array = np.asarray(leaf.value)
            if pairs:
                array = array[..., 0] + 1j * array[..., 1]
            values.append(self._from(array, like.value))
        return self.structure.rebuild(values)


AS_PAIRS = (
    "complex values are pairs (real, imaginary) along a last axis of 2, which a missing conjugate "
    "reverses or transposes"
)

PRODUCTS = {"fwd": "jvp", "rev": "vjp"}
TITLES = {"jvp": "forward mode", "vjp": "reverse mode"}


def assert_modes(
    func: Callable[[Any], Any],
    products: dict[str, Callable[..., Any]],
    here: Real,
    params: Any,
    modes: Sequence[str],
    depth: int,
    options: dict[str, Any],
) -> None:
    """Check those of `products`, ``jvp`` and ``vjp``, that `modes` name, in one check."""
    # The error says which mode, and of what; `depth` is 0 for first derivatives. Derivatives of
    # derivatives, which are taken along random vectors, are looked at along some, too; where these
    # don't tell, and of first derivatives, every entry is.
    __tracebackhide__ = True
    chosen = {PRODUCTS[mode]: products[PRODUCTS[mode]] for mode in modes}
    if not chosen:
        return
    if depth and all(np.asarray(leaf.value).dtype == float for leaf in flatten(params).leaves):
        along = _Along(func, chosen, params)
        # What is one entry's error is little of a sum: no tolerance of entries is one of sums.
        own = {name: value for name, value in options.items() if name not in ("rtol", "atol")}
        _, report = check_products(along, along.products, along.params, **own)
        if report.verdict == "agree" and not report.kinks and report.resolution <= ALONG_RESOLVES:
            announced(report)
            return
    mode, report = check_products(func, chosen, params, **options)
    try:
        announced(report).raise_if_failed()
    except GradientMismatch as error:
        which = f"gradcheck: {TITLES[mode]} ({mode.upper()}) check of {report.name} failed"
        error.add_note("; ".join(text for text in (which, here.remark) if text))
        raise


class Library(NamedTuple):
    """How a library takes derivatives of a func f of one argument."""

    jvp: Callable[[Any, Any, Any], Any]
    """Of f, x and v."""
    vjp: Callable[[Any, Any, Any], Any]
    """Of f, x and u."""
    covector: Callable[[Any, Any], Any]
    """Of a value like another: what makes its products those of real coordinates."""
    leaf: Callable[[Array, Any], Any]
    """Of an array and the leaf in its place, as `Real` takes it."""
    pair: Callable[[Any], Any]
    """Makes one argument of two."""
    drawing: Callable[[int], np.random.Generator]
    """Random numbers for the derivatives of derivatives, by their depth."""


def check_orders(
    f: Any,
    x: Any,
    library: Library,
    modes: Sequence[str],
    order: int,
    options: dict[str, Any],
    depth: int = 0,
) -> None:
    """Check a library's derivatives of f at x, and for a higher order the derivatives of these."""
    __tracebackhide__ = True
    y = f(x)
    here, there = Real(x, from_numpy=library.leaf), Real(y, from_numpy=library.leaf)
    if not there.structure.leaves:
        raise ValueError("check_grads: f returns no floating-point numbers to differentiate")
    if not (here.size and there.size):
        return  # as the libraries' own: an empty array has no derivatives that could be wrong
    name = getattr(f, "__name__", "f")

    def func(arrays: Any) -> Any:
        return there.arrays(f(here.value(arrays)))

    def jvp(arrays: Any, v: Any) -> Any:
        return there.arrays(library.jvp(f, here.value(arrays), here.value(v)))

    def vjp(arrays: Any, u: Any) -> Any:
        pulled = library.vjp(f, here.value(arrays), library.covector(there.value(u), y))
        return here.arrays(library.covector(pulled, x))

    func.__qualname__ = name
    params = here.arrays(x)
    assert_modes(func, {"jvp": jvp, "vjp": vjp}, here, params, modes, depth, options)
    rng = library.drawing(depth)
    along = {"fwd": (library.jvp, here, params), "rev": (library.vjp, there, there.arrays(y))}
    for mode in along if order > 1 else ():
        if mode in modes:
            take, space, arrays = along[mode]

            def product(p: Any, take: Any = take) -> Any:
                return take(f, p[0], p[1])

            product.__name__ = f"{PRODUCTS[mode]}_{name}"
            both = library.pair((x, space.value(random_like(arrays, rng))))
            check_orders(product, both, library, modes, order - 1, options, depth + 1)


class _Along:
    """A func and its products along a direction through each array that it takes or returns.

    With a number for each array, t for those of x and w for those of f, the products of
    t ↦ U·f(x + D·t) are U·(J·(D·dt)) and Dᵀ·(Jᵀ·(Uᵀ·w)).
    """

    def __init__(self, func: Any, products: dict[str, Any], params: Any) -> None:
        self._func, self._own, self._x = func, products, flatten(params)
        rng = generator(0, Stream.ALONG)
        sizes = [float(np.abs(leaf.value).max(initial=0)) or 1.0 for leaf in self._x.leaves]
        drawn = (flatten(random_like(arrays, rng)).leaves for arrays in (params, func(params)))
        d, u = ([leaf.value for leaf in leaves] for leaves in drawn)
        self._d, self._u = [size * one for size, one in zip(sizes, d, strict=True)], u
        self.params = _into(params, [np.zeros_like(one) for one in d])
        made = {"jvp": self._jvp, "vjp": self._vjp}
        self.products: dict[str, Callable[..., Any]] = {name: made[name] for name in products}
        self.__qualname__ = getattr(func, "__qualname__", "f")

    def __call__(self, t: Any) -> Any:
        return _into(self._func(self._at(t)), self._u)

    def _at(self, t: Any) -> Any:
        each = zip(self._x.leaves, flatten(t).leaves, self._d, strict=True)
        return self._x.rebuild([x.value + by.value * one for x, by, one in each])

    def _jvp(self, t: Any, dt: Any) -> Any:
        return _into(self._own["jvp"](self._at(t), _into(dt, self._d, np.multiply)), self._u)

    def _vjp(self, t: Any, w: Any) -> Any:
        return _into(self._own["vjp"](self._at(t), _into(w, self._u, np.multiply)), self._d)


def _into(arrays: Any, directions: Sequence[Array], by: Callable[..., Any] = np.vdot) -> Any:
    """Return the inner product of each array with its direction, shape (); or another product."""
    structure = flatten(arrays)
    pairs = zip(structure.leaves, directions, strict=True)
    return structure.rebuild([np.asarray(by(leaf.value, one)) for leaf, one in pairs])


def random_like(arrays: Any, rng: np.random.Generator) -> Any:
    """Return normal random numbers in the place of every array, and of its type."""
    structure = flatten(arrays)
    values = [np.asarray(leaf.value) for leaf in structure.leaves]
    return structure.rebuild([rng.normal(size=one.shape).astype(one.dtype) for one in values])


def modes_of(modes: str | Sequence[str]) -> tuple[str, ...]:
    """Return one mode or several as a tuple; ValueError for one that is not "fwd" or "rev"."""
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    unknown = [mode for mode in modes if mode not in PRODUCTS]
    if unknown:
        raise ValueError(f"modes are 'fwd' and 'rev', not {quoted(unknown[0])}")
    return modes
