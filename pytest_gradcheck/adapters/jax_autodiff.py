"""The gradient that JAX's own autodiff finds, to be checked like a hand-written one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._structure import flatten


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

    def gradients(params: Any, *args: Any) -> Any:
        import jax

        structure = flatten(params)
        values = [leaf.value for leaf in structure.leaves]
        smooth = [
            i
            for i, leaf in enumerate(structure.leaves)
            if leaf.numeric and jax.numpy.issubdtype(jax.numpy.result_type(values[i]), np.inexact)
        ]

        def of(chosen: list[Any]) -> Any:
            full = dict(enumerate(values)) | dict(zip(smooth, chosen, strict=True))
            return loss(structure.rebuild(list(full.values())), *args)

        found = jax.grad(of, has_aux=has_aux)([values[i] for i in smooth])
        found = found[0] if has_aux else found
        filled: list[Any] = [None] * len(values)
        for i, gradient in zip(smooth, found, strict=True):
            filled[i] = gradient.conj() if np.iscomplexobj(gradient) else gradient
        return structure.rebuild(filled)

    return gradients
