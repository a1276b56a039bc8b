"""torch's modules by the names of their parameters; a state_dict with tied entries counted once."""

from __future__ import annotations

import copy
import sys
from collections import OrderedDict
from typing import Any

from .._names import key_step
from .._nodes import Node
from ..hookspecs import hookimpl


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
        try:
            twin = copy.deepcopy(module, {id(old): new for old, new in pairs})
        except Exception as error:
            error.add_note(
                "gradcheck: func gets a copy.deepcopy of the module; where that can't be, pass a "
                "loss() without arguments, and in_place=True"
            )
            raise
        wide = [new.dtype for old, new in pairs if old.dtype != new.dtype]
        for part in twin.modules() if wide else ():
            for name, buffer in part._buffers.items():
                if buffer is not None and buffer.is_floating_point():
                    part._buffers[name] = buffer.to(wide[0])
        return twin

    return Node([(key_step(name), tensor) for name, tensor in named.items()], rebuild)


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
