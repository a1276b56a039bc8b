"""`check_grads` as jax.test_util has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from typing import Any

from .._difference.stencils_and_steps import Stream, generator
from . import LENIENT, Library, check_orders, modes_of

__all__ = ["check_grads"]


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: str | Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Check JAX's derivatives of f, as ``jax.test_util.check_grads`` does.

    Parameters
    ----------
    f : callable
        ``f(*args)``, which JAX can differentiate.  Outputs of integers are left out.
    args : sequence
        Arrays, numbers and containers of them, all differentiated.
    order : int
        1, or 2 and more for the derivatives of the derivatives.
    modes : {"fwd", "rev"} or sequence of them, optional
        `jax.jvp` and `jax.vjp`; default both.
    atol, rtol : float, optional
        Tolerances per entry.  Unset: as tight as the dtypes allow.
    eps : float, optional
        Taken and not used.

    Raises
    ------
    GradientMismatch
        An AssertionError that names the entry.
    ValueError
        For a mode of another name, and when f returns nothing of floating point.

    Examples
    --------
    >>> from pytest_gradcheck.compat.jax import check_grads
    >>> def check():
    ...     import jax.numpy as jnp
    ...     check_grads(jnp.tanh, (jnp.array([0.5, -1.0]),), order=2)
    """
    __tracebackhide__ = True
    jax, jnp = import_module("jax"), import_module("jax.numpy")

    def differentiable(one: Any) -> Any:
        return one if jnp.issubdtype(jnp.result_type(one), jnp.inexact) else None

    @wraps(f)
    def of_floats(args: Any) -> Any:
        return jax.tree_util.tree_map(differentiable, f(*args))

    library = Library(
        lambda f, x, v: jax.jvp(f, (x,), (v,))[1],
        lambda f, x, u: jax.vjp(f, x)[1](u)[0],
        # JAX pulls back without conjugating: the real coordinates' product does.
        lambda value, like: jax.tree_util.tree_map(jnp.conj, value),
        # In the array's own type: f is evaluated in float64 where it can be.
        lambda array, like: jnp.asarray(array),
        list,
        lambda depth: generator(0, Stream.JAX, depth),
    )
    x = jax.tree_util.tree_map(
        lambda one: jnp.asarray(one, jnp.result_type(one, float)), list(args)
    )
    options = {"rtol": rtol, "atol": atol, **LENIENT}
    check_orders(of_floats, x, library, modes_of(modes), order, options)
