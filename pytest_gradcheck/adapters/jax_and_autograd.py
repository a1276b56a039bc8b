"""JAX's arrays and pytrees, and the gradients that JAX and the package autograd find.

JAX's arrays never change: a new one is made on their device for every evaluation.  autograd's own
are numpy's, and need no adapter.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from .._params.arrays_and_structure import (
    Array,
    ArrayKind,
    Cell,
    Float64,
    Leaf,
    Node,
    Unreadable,
    complex_of,
    coordinates,
    eps_of,
    flatten,
    native,
    native_type,
)
from .._quoting import key_step
from ..hookspecs import hookimpl


class JaxKind(ArrayKind):
    """Arrays; func gets them where they are and in their own dtype."""

    compiler = "jax.jit"

    def compiled(self, func: Callable[..., Any]) -> bool:
        return hasattr(func, "lower")

    def to_numpy(self, value: Any) -> Array:
        if hasattr(value.dtype, "type") and not native_type(value.dtype):
            return native(np.asarray(value))
        if getattr(value.dtype, "kind", "V") == "V":
            raise Unreadable(
                f"is a JAX array of {value.dtype}, which numpy has no equal of; leave it out with "
                "skip=, or check the same function with float32 or float64"
            )
        return np.asarray(value)

    def vmap(self, function: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any] | None:
        mapped: Callable[[list[Any]], Any] = sys.modules["jax"].vmap(function)
        return mapped

    def with_float64(self) -> Float64 | None:
        jax = sys.modules["jax"]
        if jax.config.jax_enable_x64:
            return None
        if hasattr(jax, "enable_x64"):
            return Float64("jax.enable_x64(True)", partial(jax.enable_x64, True))
        from jax.experimental import enable_x64  # of older versions

        return Float64("jax.experimental.enable_x64()", enable_x64)

    def eps(self, value: Any) -> float:
        return eps_of(value.dtype)

    def beside(self, value: Any, array: Array) -> Any:
        own = array.astype(value.dtype)  # a copy, which nobody writes to while JAX reads it
        # What was put on no device by name goes the quick way, and stays so.
        return self.like(value, own) if getattr(value, "committed", True) else _taken()(own)

    def like(self, value: Any, array: Array) -> Any:
        return sys.modules["jax"].device_put(array, value.sharding)

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        if dtype is not None and not sys.modules["jax"].config.jax_enable_x64:
            # JAX has no float64 then, and warns when it is asked for it.
            dtype = None if native_type(value.dtype) else np.dtype(np.float32)
        return value if dtype is None else value.astype(dtype)

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Cell:
        return _JaxCell(value, publish)

    def same_bits(self, a: Any, b: Any) -> bool:
        return a is b or super().same_bits(a, b)

    def item(self, value: Any) -> Any:
        return value.item() if value.size == 1 else None


class _JaxCell:
    def __init__(self, value: Any, publish: Callable[[Any], None]) -> None:
        self.value, self.publish = value, publish
        self.theta = coordinates(KIND.to_numpy(value))
        self.put = _put()

    def __setitem__(self, key: Any, number: Any) -> None:
        if isinstance(key, slice):
            if np.array_equal(number, self.theta):
                self.publish(self.value)
                return
            parts = np.asarray(number, dtype=self.theta.dtype)
            array = complex_of(parts) if self.value.dtype.kind == "c" else parts
            self.publish(KIND.beside(self.value, array.reshape(self.value.shape)))
        elif number == self.theta[key]:
            self.publish(self.value)
        else:
            self.publish(self.put(self.value, key, number))


@cache
def _taken() -> Callable[..., Any]:
    """Return what makes an array of JAX's of one of numpy's, ten times as fast as device_put."""
    taken: Callable[..., Any] = sys.modules["jax"].jit(lambda array: array)
    return taken


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


@hookimpl
def gradcheck_flatten(value: Any) -> Node | None:
    """Take a registered class apart; Python's own containers are left to their adapter."""
    tree = getattr(sys.modules.get("jax"), "tree_util", None)
    if tree is None or isinstance(value, (dict, list, tuple)) or tree.all_leaves([value]):
        return None
    children, definition = tree.tree_flatten_with_path(value, is_leaf=lambda x: x is not value)
    return Node(
        [("".join(map(_step, path)), child) for path, child in children],
        lambda items: tree.tree_unflatten(definition, items),
    )


def _step(key: Any) -> str:
    if hasattr(key, "name"):  # of an attribute
        return f".{key.name}"
    return key_step(key.key if hasattr(key, "key") else getattr(key, "idx", str(key)))


def jax_gradients(loss: Callable[..., Any], *, has_aux: bool = False) -> Callable[..., Any]:
    """Return the function that computes the gradient of a loss by `jax.grad`.

    With it a `jax.custom_vjp` or a whole model is checked in one line against centred
    differences.  Without ``jax.config.update("jax_enable_x64", True)`` JAX computes in float32,
    and about three digits can be checked.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args)`` returns a scalar; params are arrays, numbers, containers of them,
        or registered pytrees.
    has_aux : bool, optional
        loss returns ``(J, anything)``.

    Returns
    -------
    callable
        ``grad(params, *args)``: arrays in params' structure, None for what is not floating
        point.  A complex gradient is ∂J/∂Re + i·∂J/∂Im, the conjugate of what `jax.grad` returns.
        `jax.jit` takes it.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from pytest_gradcheck import assert_gradients_close, jax_gradients
    >>> loss = lambda params: jnp.sum(jnp.tanh(params["w"]) ** 2)
    >>> params = {"w": jnp.array([0.5, -1.0])}
    >>> assert_gradients_close(loss, jax_gradients(loss), params).verdict
    'agree'
    """

    def found(of: Callable[..., Any], values: list[Any]) -> Any:
        import jax

        gradients = jax.grad(of, has_aux=has_aux)(values)
        return gradients[0] if has_aux else gradients

    def smooth(leaf: Leaf) -> bool:
        import jax

        return bool(jax.numpy.issubdtype(jax.numpy.result_type(leaf.value), np.inexact))

    return _gradients_by(found, loss, smooth)


def autograd_gradients(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that computes the gradient of a loss by `autograd.grad`.

    With it a primitive's ``defvjp`` or a whole model is checked in one line against centred
    differences.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args)`` returns a number and computes with ``autograd.numpy``; params are
        arrays, numbers, or containers of them.

    Returns
    -------
    callable
        ``grad(params, *args)``: arrays in params' structure, None for what is not floating
        point.  A complex gradient is ∂J/∂Re + i·∂J/∂Im, the conjugate of `autograd.grad`'s.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> from pytest_gradcheck import assert_gradients_close, autograd_gradients
    >>> loss = lambda params: anp.sum(anp.tanh(params["w"]) ** 2)
    >>> params = {"w": anp.array([0.5, -1.0])}
    >>> assert_gradients_close(loss, autograd_gradients(loss), params).verdict
    'agree'
    """

    def found(of: Callable[..., Any], values: list[Any]) -> Any:
        import autograd

        return autograd.grad(of)(values)

    return _gradients_by(found, loss, lambda leaf: leaf.array.dtype.kind in "fc")


def _gradients_by(
    found: Callable[..., Any], loss: Callable[..., Any], smooth: Callable[[Leaf], bool]
) -> Callable[..., Any]:
    """Return what computes the gradient of a loss in params' structure, None for other leaves.

    `found` takes a function of a list of those that are `smooth`, and their values.
    """
    if not callable(loss):
        raise TypeError(f"loss must be a function of the parameters, but is {type(loss).__name__}")

    def gradients(params: Any, *args: Any) -> Any:
        structure = flatten(params)
        values = [leaf.value for leaf in structure.leaves]
        chosen = [i for i, leaf in enumerate(structure.leaves) if leaf.numeric and smooth(leaf)]

        def of(some: Any) -> Any:
            full = list(values)
            for place, i in enumerate(chosen):
                full[i] = some[place]
            return loss(structure.rebuild(full), *args)

        filled: list[Any] = [None] * len(values)
        for i, gradient in zip(chosen, found(of, [values[i] for i in chosen]), strict=True):
            filled[i] = gradient.conjugate() if np.iscomplexobj(gradient) else gradient
        return structure.rebuild(filled)

    return gradients
