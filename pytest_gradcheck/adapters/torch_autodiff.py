"""The gradient that torch's own autograd finds, to be checked like a hand-written one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._structure import flatten
from .torch_tensors import KIND


def torch_gradients(
    loss: Callable[..., Any], params: Any = None, *, has_aux: bool = False
) -> Callable[..., Any]:
    """Return the function that computes the gradient of a loss by torch's autograd.

    It checks a `torch.autograd.Function`, a layer or a whole network in one line.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args)`` returns a tensor of one element; params are tensors, containers
        of them, or a module.  With `params` given, ``loss(*args)`` reads them by a closure.
    params : tensor, module or container, optional
        What a closure reads, for a check with ``in_place=True``.
    has_aux : bool, optional
        loss returns ``(J, anything)``.

    Returns
    -------
    callable
        ``grad(params, *args)``, for a closure ``grad(*args)``: tensors in params' structure, for
        a module a dict by the names of its parameters; zeros where J does not depend on a tensor,
        None for what is no floating-point tensor.  TypeError when J is no tensor.

    Examples
    --------
    >>> import torch
    >>> from pytest_gradcheck import assert_gradients_close, torch_gradients
    >>> net = torch.nn.Linear(3, 2).double()
    >>> loss = lambda net: torch.tanh(net(torch.ones(3, dtype=torch.float64))).sum()
    >>> assert_gradients_close(loss, torch_gradients(loss), net).verdict
    'agree'
    >>> closure = lambda: loss(net)
    >>> assert_gradients_close(closure, torch_gradients(closure, net), net, in_place=True).verdict
    'agree'
    """

    def gradients(*args: Any) -> Any:
        if params is not None:
            return _gradients(lambda: loss(*args), params, has_aux)
        copies = flatten(args[0])
        own = [KIND.copy(leaf.value) if leaf.kind is KIND else leaf.value for leaf in copies.leaves]
        point = copies.rebuild(own)
        return _gradients(lambda: loss(point, *args[1:]), point, has_aux)

    return gradients


def _gradients(call: Callable[[], Any], point: Any, has_aux: bool) -> Any:
    import torch

    structure = flatten(point)
    values = [leaf.value for leaf in structure.leaves]
    smooth = [torch.is_tensor(v) and (v.is_floating_point() or v.is_complex()) for v in values]
    wanted = [value for value, is_smooth in zip(values, smooth, strict=True) if is_smooth]
    off = [value for value in wanted if not value.requires_grad]
    try:
        for value in off:
            value.requires_grad_(True)
        with torch.enable_grad():
            out = call()[0] if has_aux else call()
        if not torch.is_tensor(out) or not out.requires_grad:
            raise TypeError(
                f"torch_gradients: loss returned a {type(out).__name__} that torch can't follow "
                "back to any parameter (.item(), .detach() or numpy on the way?)"
            )
        found = torch.autograd.grad(out, wanted, materialize_grads=True)
    finally:
        for value in off:
            value.requires_grad_(False)
    rest = iter([gradient.clone() for gradient in found])  # of x + y both are one tensor
    return structure.rebuild([next(rest) if is_smooth else None for is_smooth in smooth])
