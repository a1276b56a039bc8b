"""Points for hypothesis to draw: ``pip install hypothesis``, which the extra ``test`` has."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ._params.arrays_and_structure import flatten
from ._params.layout import checked_value
from ._quoting import quoted

__all__ = ["points"]


def points(like: Any, low: float = -2.0, high: float = 2.0) -> Any:
    """Return a strategy of parameters in a func's domain.

    Parameters
    ----------
    like : tuple of int, or object
        A shape; or parameters, for their structure, shapes and dtypes alone.
    low, high : float, optional
        Every entry is in this closed interval, default −2 to 2.

    Returns
    -------
    hypothesis.strategies.SearchStrategy
        Of the structure of `like` with float64 arrays, float32 where `like` has them.  It shrinks
        towards 0, or the end of the interval that is nearest to it, and towards equal entries.

    Raises
    ------
    ValueError
        When the interval is empty.
    TypeError
        When `like` has leaves that are no floating-point numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import given
    >>> from pytest_gradcheck import assert_gradients_close
    >>> from pytest_gradcheck.strategies import points
    >>> @given(points((3,), low=0.1, high=10.0))
    ... def check_log(x):
    ...     assert_gradients_close(lambda x: np.sum(np.log(x)), lambda x: 1 / x, x)
    >>> check_log()
    """
    if not low < high:
        raise ValueError(f"low must be less than high, not {quoted(low)} and {quoted(high)}")
    st = import_module("hypothesis.strategies")
    if isinstance(like, tuple) and all(type(size) is int for size in like):
        like = np.zeros(like)
    structure = flatten(like)
    arrays = [checked_value(leaf, structure.leaves) for leaf in structure.leaves]
    if any(array.dtype.kind == "c" for array in arrays):
        raise TypeError("points are real; draw real and imaginary part and put them together")

    def leaf(array: np.ndarray[Any, Any], is_array: bool) -> Any:
        width = 32 if array.dtype.itemsize == 4 else 64
        ends = [float(array.dtype.type(end)) if width == 32 else float(end) for end in (low, high)]
        number = st.floats(*ends, width=width, allow_subnormal=False)
        if not is_array:
            return number
        return st.lists(number, min_size=array.size, max_size=array.size).map(
            lambda values: np.array(values, dtype=array.dtype).reshape(array.shape)
        )

    leaves = [
        leaf(array, one.is_array) for array, one in zip(arrays, structure.leaves, strict=True)
    ]
    return st.tuples(*leaves).map(lambda values: structure.rebuild(list(values)))
