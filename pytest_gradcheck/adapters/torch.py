"""torch's tensors and modules, and the gradient that torch's own autograd finds.

A tensor on any device: a copy on the CPU shares its memory with numpy.  Modules come apart by the
names of their parameters; of a state_dict, tied entries count once.
"""

from __future__ import annotations

import copy
import sys
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial, reduce
from typing import Any

import numpy as np

from .._constants import EPS
from .._params.arrays_and_structure import (
    Array,
    ArrayKind,
    Cell,
    ItemCell,
    Node,
    Unreadable,
    flatten,
    window,
)
from .._quoting import key_step, quoted
from ..hookspecs import hookimpl


class TorchKind(ArrayKind):
    """Tensors; copies are detached leaves with the same ``requires_grad``."""

    mutable = True
    compiler = "torch.compile"

    def vmap(self, function: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any] | None:
        mapped: Callable[[list[Any]], Any] = sys.modules["torch"].func.vmap(function)
        return mapped

    def compiled(self, func: Callable[..., Any]) -> bool:
        return hasattr(func, "_torchdynamo_orig_callable")

    def to_numpy(self, value: Any) -> Array:
        torch, dense = sys.modules["torch"], value.detach()
        try:
            if dense.layout is not torch.strided:
                dense = dense.to_dense()
            if dense._is_zerotensor():  # a tangent that forward mode never wrote
                dense = torch.zeros_like(dense)
            if _low(dense):  # exact
                dense = dense.float()
            array: Array = dense.cpu().resolve_conj().resolve_neg().numpy()
        except (TypeError, RuntimeError) as error:
            said = value.dtype if str(value.layout) == "torch.strided" else value.layout
            why = str(error).splitlines()[0]
            raise Unreadable(
                f"is a tensor of {said} that numpy can't take ({why}); check the same function "
                "with dense tensors of float32 or float64"
            ) from error
        return array

    def eps(self, value: Any) -> float:
        if not (value.is_floating_point() or value.is_complex()):
            return EPS
        return max(float(sys.modules["torch"].finfo(value.dtype).eps), EPS)

    def like(self, value: Any, array: Array) -> Any:
        tensor = sys.modules["torch"].from_numpy(np.require(array, requirements=("C", "W")))
        return tensor.to(value.device).requires_grad_(value.requires_grad)

    def beside(self, value: Any, array: Array) -> Any:
        tensor = sys.modules["torch"].from_numpy(np.require(array, requirements=("C", "W")))
        return tensor.to(value.device, value.dtype)

    def strided(self, value: Any) -> Any:
        torch = sys.modules["torch"]
        return torch.stack((value, torch.zeros_like(value)), -1)[..., 0]

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        torch, new = sys.modules["torch"], value.detach().resolve_conj().resolve_neg()
        new = new.contiguous().clone() if new.is_complex() else new.clone()
        if dtype is not None:
            with suppress(TypeError):  # not every device has float64
                new = new.to(getattr(torch, dtype.name))
        if isinstance(value, torch.nn.Parameter):
            return torch.nn.Parameter(new, requires_grad=value.requires_grad)
        return new.requires_grad_(value.requires_grad)

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Cell:
        if value.layout is not sys.modules["torch"].strided:
            raise Unreadable(
                f"is a sparse tensor ({value.layout}), whose entries can't be perturbed one by "
                "one; pass its values as a dense tensor, and make the sparse one in func"
            )
        shared = value.device.type == "cpu" and not _low(value)
        return window(self.to_numpy(value)) if shared else item_cell(value)

    def item(self, value: Any) -> Any:
        return value.item() if value.numel() == 1 else None

    def same_bits(self, a: Any, b: Any) -> bool:
        if a.dtype != b.dtype or a.shape != b.shape or a.layout != b.layout:
            return False
        if a.layout is not sys.modules["torch"].strided:
            return super().same_bits(a, b)
        # As bytes, on their device: bfloat16 too, and NaN is equal to itself.
        torch = sys.modules["torch"]
        return bool(torch.equal(*(x.detach().reshape(-1).view(torch.uint8) for x in (a, b))))

    def refuses_in_place(self, value: Any) -> str:
        lazy = value.is_conj() or value.is_neg()
        return "is a view with a conjugation pending; pass .resolve_conj()" if lazy else ""

    def restore(self, value: Any, saved: Any) -> None:
        value.detach().copy_(saved.detach())

    def set_aside(self, value: Any) -> Callable[[], None] | None:
        if not value.is_leaf:
            return None
        was, value.grad = value.grad, None
        return lambda: setattr(value, "grad", was)


def _low(value: Any) -> bool:
    """Return whether a tensor is of bfloat16 or float8, of which numpy has no equal."""
    torch = sys.modules["torch"]
    narrow = value.is_floating_point() and value.element_size() < 4
    return narrow and value.dtype is not torch.float16


def item_cell(value: Any) -> ItemCell:
    """Return what sets coordinates of a tensor on its device, without a copy on the CPU."""
    torch, real = sys.modules["torch"], value.detach()
    real = torch.view_as_real(real) if real.is_complex() else real
    return ItemCell(real, lambda array: torch.from_numpy(array).to(real))


KIND = TorchKind()


@hookimpl
def gradcheck_array(value: Any) -> ArrayKind | None:
    """Know a tensor, if torch is loaded."""
    return KIND if isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ())) else None


@hookimpl
def gradcheck_flatten(value: Any) -> Node | None:
    """Take a module or a state_dict apart."""
    torch = sys.modules.get("torch")
    if isinstance(value, OrderedDict) and hasattr(value, "_metadata"):
        return _state_dict(value, torch)
    if isinstance(value, getattr(getattr(torch, "nn", None), "Module", ())):
        return _module(value, torch)
    return None


def _module(module: Any, torch: Any) -> Node:
    named = dict(module.named_parameters())  # a tied parameter under its first name

    def rebuild(children: list[Any]) -> Any:
        pairs = list(zip(named.values(), children, strict=True))
        if pairs and all(new is old for old, new in pairs):
            return module
        if not all(isinstance(new, torch.nn.Parameter) for new in children):
            return dict(zip(named, children, strict=True))  # a gradient
        # deepcopy takes what the memo has for a parameter, and so keeps ties and copies buffers.
        memo = {id(old): new for old, new in pairs} | _computed(module, torch)
        try:
            twin = copy.deepcopy(module, memo)
        except Exception as error:
            raise TypeError(
                f"func gets a copy of a module, but copy.deepcopy can't copy this "
                f"{type(module).__name__}; pass a loss() without arguments that reads the module, "
                "and in_place=True"
            ) from error
        if any(new is not put for new, put in zip(children, twin.parameters(), strict=True)):
            # A ScriptModule copies itself without the memo.
            for name, old in module.named_parameters(remove_duplicate=False):
                *path, last = name.split(".")
                setattr(reduce(getattr, path, twin), last, memo[id(old)])
        wide = [new.dtype for old, new in pairs if old.dtype != new.dtype]
        for part in twin.modules() if wide else ():
            for name, buffer in part._buffers.items():
                if buffer is not None and buffer.is_floating_point():
                    part._buffers[name] = buffer.to(wide[0])
        return twin

    return Node([(key_step(name), tensor) for name, tensor in named.items()], rebuild)


def _computed(module: Any, torch: Any) -> dict[int, Any]:
    """Return copies of the tensors that a module computed and keeps, by their ids.

    ``torch.nn.utils.spectral_norm`` and ``weight_norm`` keep the weight that they make of their
    parameters, and layers what they returned last, with its graph, which deepcopy refuses to copy.
    """
    homes = [home for part in module.modules() for home in (vars(part), part._buffers)]
    kept = [one for home in homes for one in home.values()]
    found = [one for one in kept if isinstance(one, torch.Tensor) and not one.is_leaf]
    return {id(one): one.detach().clone() for one in found}


def _state_dict(state: Any, torch: Any) -> Node:
    first: dict[Any, str] = {}
    homes: dict[str, str] = {}
    for name, tensor in state.items():
        place: Any = name
        if isinstance(tensor, torch.Tensor) and tensor.numel():
            place = tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
        homes[name] = first.setdefault(place, name)
    kept = list(first.values())

    def rebuild(children: list[Any]) -> Any:
        found = dict(zip(kept, children, strict=True))
        if not all(isinstance(new, torch.Tensor) for new in children):
            return found
        new = copy.copy(state)
        new.update({name: found[home] for name, home in homes.items()})
        return new

    return Node([(key_step(name), state[name]) for name in kept], rebuild)


def torch_gradients(
    loss: Callable[..., Any], params: Any = None, *, has_aux: bool = False, weighted: bool = False
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
    weighted : bool, optional
        loss returns a tensor of any shape, or containers of them: J is their sum, each entry times
        a random weight, always the same.  A plain sum hides every error in how a backward uses its
        ``grad_output``, which is then 1 throughout.

    Returns
    -------
    callable
        ``grad(params, *args)``, for a closure ``grad(*args)``: tensors in params' structure, for
        a module a dict by the names of its parameters; zeros where J does not depend on a tensor,
        None for what is no floating-point tensor.  TypeError when J is no tensor.  Its attribute
        ``loss`` is what it is the gradient of: `loss` itself, or its weighted sum.

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
    >>> grad = torch_gradients(lambda net: net(torch.ones(3, dtype=torch.float64)), weighted=True)
    >>> assert_gradients_close(grad.loss, grad, net).verdict
    'agree'
    """
    if not callable(loss):
        raise TypeError(f"loss must be a function of the parameters, but is {type(loss).__name__}")
    loss = _weighted(loss, has_aux) if weighted else loss

    def gradients(*args: Any) -> Any:
        if params is not None:
            return _gradients(lambda: loss(*args), params, has_aux)
        copies = flatten(args[0])
        own = [KIND.copy(leaf.value) if leaf.kind is KIND else leaf.value for leaf in copies.leaves]
        point = copies.rebuild(own)
        return _gradients(lambda: loss(point, *args[1:]), point, has_aux)

    again = partial(torch_gradients, params=params, has_aux=has_aux)
    vars(gradients).update(loss=loss, wrapped=loss, wrapping=again)
    return gradients


def _weighted(func: Callable[..., Any], has_aux: bool) -> Callable[..., Any]:
    """Return the sum of what func returns, each entry times a random weight, always the same."""

    def loss(*args: Any) -> Any:
        import torch

        out = func(*args)
        values = [leaf.value for leaf in flatten(out[0] if has_aux else out).leaves]
        if not values or not all(map(torch.is_tensor, values)):
            raise TypeError(
                f"torch_gradients: with weighted=True loss must return tensors, not {quoted(out)}"
            )
        rng = torch.Generator().manual_seed(0)
        parts = []
        for one in values:
            weights = torch.randn(one.shape, generator=rng, dtype=torch.float64)
            parts.append((one * weights.to(one.device, one.dtype)).sum())
        total = torch.stack(parts).sum()
        return (total, *out[1:]) if has_aux else total

    loss.__name__ = loss.__qualname__ = getattr(func, "__qualname__", type(func).__name__)
    # So a copy of func that reads its data in float64 can be put in its place.
    vars(loss).update(wrapped=func, wrapping=partial(_weighted, has_aux=has_aux))
    return loss


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
