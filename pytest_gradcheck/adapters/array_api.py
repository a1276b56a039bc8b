"""Arrays of any library that follows the array API standard, and can be assigned to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._params.arrays import Array, ArrayKind, Cell, ItemCell, coordinates
from ..hookspecs import hookimpl
from .dlpack import from_dlpack


class StandardKind(ArrayKind):
    """Arrays with an ``__array_namespace__``, read by DLPack."""

    mutable = True

    def to_numpy(self, value: Any) -> Array:
        return from_dlpack(value)

    def like(self, value: Any, array: Array) -> Any:
        return value.__array_namespace__().asarray(array, device=value.device)

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        space = value.__array_namespace__()
        wanted = value.dtype if dtype is None else getattr(space, dtype.name)
        return space.astype(value, wanted, copy=True)

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Cell:
        array = self.to_numpy(value)
        parts = coordinates(array).copy() if array.dtype.kind == "c" else None
        return ItemCell(value, lambda new: self.like(value, new.astype(array.dtype)), parts)

    def restore(self, value: Any, saved: Any) -> None:
        value[...] = saved


KIND = StandardKind()


@hookimpl(trylast=True)
def gradcheck_array(value: Any) -> ArrayKind | None:
    """Know an array of the standard."""
    kind = type(value)
    return KIND if hasattr(kind, "__array_namespace__") and hasattr(kind, "__setitem__") else None
