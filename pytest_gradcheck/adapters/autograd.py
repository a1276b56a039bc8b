"""The gradient that the package autograd finds, to be checked like a hand-written one.

autograd's own arrays are numpy's: nothing else needs an adapter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._params.arrays_and_structure import flatten


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

    def gradients(params: Any, *args: Any) -> Any:
        import autograd

        structure = flatten(params)
        values = [leaf.value for leaf in structure.leaves]
        smooth = [
            i
            for i, leaf in enumerate(structure.leaves)
            if leaf.numeric and leaf.array.dtype.kind in "fc"
        ]

        def of(chosen: Any) -> Any:
            full = list(values)
            for place, i in enumerate(smooth):
                full[i] = chosen[place]
            return loss(structure.rebuild(full), *args)

        filled: list[Any] = [None] * len(values)
        for i, gradient in zip(smooth, autograd.grad(of)([values[i] for i in smooth]), strict=True):
            filled[i] = np.conj(gradient) if np.iscomplexobj(gradient) else gradient
        return structure.rebuild(filled)

    return gradients
