"""Values of another library as real numpy arrays: complex entries as two, numbers as floats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._api.jacobians import check_products
from .._params.arrays import native_type
from .._params.structure import Structure, flatten
from .._quoting import quoted
from .._report.report import GradientMismatch

Array = np.ndarray[Any, Any]

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
    """Check those of `products`, ``jvp`` and ``vjp``, that `modes` name, in one check.

    The error says which mode, and which derivative, `depth` more than the first.
    """
    __tracebackhide__ = True
    chosen = {PRODUCTS[mode]: products[PRODUCTS[mode]] for mode in modes}
    if not chosen:
        return
    mode, report = check_products(func, chosen, params, **options)
    try:
        report.raise_if_failed()
    except GradientMismatch as error:
        which = f"gradcheck: {TITLES[mode]}, derivative {depth + 1}"
        error.add_note("; ".join(text for text in (which, here.remark) if text))
        raise


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
