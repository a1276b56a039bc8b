"""JAX's arrays, which never change: a new one is made on their device for every evaluation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .._kinds import Array, ArrayKind, Cell, Unreadable, complex_of, coordinates
from ..hookspecs import hookimpl


class JaxKind(ArrayKind):
    """Arrays; func gets them where they are and in their own dtype."""

    def to_numpy(self, value: Any) -> Array:
        if getattr(value.dtype, "kind", "V") == "V":
            raise Unreadable(
                f"is a JAX array of {value.dtype}, which numpy has no equal of; check the same "
                "function with float32 or float64"
            )
        return np.asarray(value)

    def like(self, value: Any, array: Array) -> Any:
        return sys.modules["jax"].device_put(array, value.sharding)

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        # Without x64 JAX has no float64, and warns when it is asked for it.
        wide = sys.modules["jax"].config.jax_enable_x64
        return value if dtype is None or not wide else value.astype(dtype)

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Cell:
        return _JaxCell(value, publish)

    def same_bits(self, a: Any, b: Any) -> bool:
        return a is b or super().same_bits(a, b)

    def item(self, value: Any) -> Any:
        return value.item() if value.size == 1 else None


class _JaxCell:
    def __init__(self, value: Any, publish: Callable[[Any], None]) -> None:
        self.value, self.publish = value, publish
        self.theta = coordinates(np.asarray(value))
        self.put = _put()

    def __setitem__(self, key: Any, number: Any) -> None:
        if isinstance(key, slice):
            if np.array_equal(number, self.theta):
                self.publish(self.value)
                return
            parts = np.asarray(number, dtype=self.theta.dtype)
            array = complex_of(parts) if self.value.dtype.kind == "c" else parts
            self.publish(KIND.like(self.value, array.reshape(self.value.shape)))
        elif number == self.theta[key]:
            self.publish(self.value)
        else:
            self.publish(self.put(self.value, key, number))


@cache
def _put() -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    def put(value: Any, key: Any, number: Any) -> Any:
        if not jnp.iscomplexobj(value):
            return value.reshape(-1).at[key].set(number).reshape(value.shape)
        old = value.reshape(-1)[key // 2]
        new = jnp.where(key % 2, jax.lax.complex(old.real, 0 * old.real + number), old)
        new = jnp.where(key % 2, new, jax.lax.complex(0 * old.imag + number, old.imag))
        return value.reshape(-1).at[key // 2].set(new).reshape(value.shape)

    jitted: Callable[..., Any] = jax.jit(put)
    return jitted


KIND = JaxKind()


@hookimpl
def gradcheck_array(value: Any) -> ArrayKind | None:
    """Know a JAX array, if JAX is loaded."""
    return KIND if isinstance(value, getattr(sys.modules.get("jax"), "Array", ())) else None
