"""`check_grads` as jax.test_util has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from typing import Any

from .._difference.stencils_and_steps import Stream, generator
from . import LENIENT, Real, assert_modes, modes_of, random_like

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
    def of_floats(*args: Any) -> Any:
        return jax.tree_util.tree_map(differentiable, f(*args))

    options = {"rtol": rtol, "atol": atol, **LENIENT}
    _check(of_floats, tuple(args), modes_of(modes), order, options, 0)


def _check(
    f: Any, args: tuple[Any, ...], modes: Sequence[str], order: int, options: Any, depth: int
) -> None:
    __tracebackhide__ = True
    jax, jnp = import_module("jax"), import_module("jax.numpy")

    def leaf(array: Any, like: Any) -> Any:
        # In the array's own type: f is evaluated in float64 where it can be.
        return jnp.asarray(array)

    args = jax.tree_util.tree_map(lambda one: jnp.asarray(one, jnp.result_type(one, float)), args)
    here = Real(list(args), from_numpy=leaf)
    out = f(*args)
    there = Real(out, from_numpy=leaf)
    if not there.structure.leaves:
        raise ValueError("check_grads: f returns no floating-point numbers to differentiate")
    if not (here.size and there.size):
        return  # as JAX's own: an empty array has no derivatives that could be wrong

    def func(arrays: Any) -> Any:
        return there.arrays(f(*here.value(arrays)))

    def jvp(arrays: Any, v: Any) -> Any:
        return there.arrays(jax.jvp(f, here.value(arrays), here.value(v))[1])

    def vjp(arrays: Any, u: Any) -> Any:
        _, pull = jax.vjp(f, *here.value(arrays))
        return here.arrays(_conjugate(list(pull(_conjugate(there.value(u))))))

    def _conjugate(tree: Any) -> Any:
        # JAX pulls back without conjugating: the real coordinates' product does.
        return jax.tree_util.tree_map(jnp.conj, tree)

    func.__qualname__ = getattr(f, "__name__", "f")
    params = here.arrays(list(args))
    assert_modes(func, {"jvp": jvp, "vjp": vjp}, here, params, modes, depth, options)
    if order < 2:
        return
    rng = generator(0, Stream.JAX, depth)
    if "fwd" in modes:
        v = here.value(random_like(params, rng))

        def jvp_of(x: Any, v: Any) -> Any:
            return jax.jvp(f, x, v)[1]

        jvp_of.__name__ = f"jvp_{func.__qualname__}"
        _check(jvp_of, (args, tuple(v)), modes, order - 1, options, depth + 1)
    if "rev" in modes:
        u = there.value(random_like(there.arrays(out), rng))

        def vjp_of(x: Any, u: Any) -> Any:
            return jax.vjp(f, *x)[1](u)

        vjp_of.__name__ = f"vjp_{func.__qualname__}"
        _check(vjp_of, (args, u), modes, order - 1, options, depth + 1)
