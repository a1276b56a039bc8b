"""Arrays that no other adapter knows, of libraries that exchange memory by DLPack."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .._params.arrays import Array, ArrayKind, Cell, Unreadable, window
from ..hookspecs import hookimpl


def from_dlpack(value: Any) -> Array:
    """Return an array of any library as numpy, copied only if it is on another device."""
    takes: tuple[Callable[[Any], Array], ...]
    takes = np.from_dlpack, lambda x: np.from_dlpack(x, device="cpu")  # numpy 1.26 has no device
    for take in takes:
        try:
            return take(value)
        except Exception as error:  # what a foreign object's exchange raises is its own business
            why = error
    raise Unreadable(
        f"is a {type(value).__name__} of dtype {getattr(value, 'dtype', 'unknown')}, which numpy "
        f"can't take by DLPack ({why}); pass a numpy array, or write a gradcheck_array hook"
    )


class ExchangedKind(ArrayKind):
    """For each evaluation, a new array around the same memory."""

    def to_numpy(self, value: Any) -> Array:
        return from_dlpack(value)

    def like(self, value: Any, array: Array) -> Any:
        return _maker(value)(np.require(array, requirements=("C", "W")))

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        return self.like(value, np.array(from_dlpack(value), dtype=dtype, order="C"))

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Cell:
        return _ExchangedCell(np.array(from_dlpack(value), order="C"), value, publish)


class _ExchangedCell:
    def __init__(self, memory: Array, value: Any, publish: Callable[[Any], None]) -> None:
        self.memory, self.value, self.publish = memory, value, publish
        self.cell = window(memory)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.cell[key] = value
        self.publish(KIND.like(self.value, self.memory))


KIND = ExchangedKind()


def _maker(value: Any) -> Any:
    package = sys.modules.get(type(value).__module__.partition(".")[0])
    return getattr(package, "from_dlpack", None)


@hookimpl(trylast=True)
def gradcheck_array(value: Any) -> ArrayKind | None:
    """Know what can be exchanged both ways."""
    if hasattr(type(value), "__dlpack__") and _maker(value) is not None:
        return KIND
    return None
