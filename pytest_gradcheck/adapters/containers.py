"""Python's own containers: dict, list, tuple, named tuple, dataclass, attrs class, namespace."""

from __future__ import annotations

import copy
import dataclasses
from types import MappingProxyType, SimpleNamespace
from typing import Any

from .._params.structure import Node
from .._quoting import key_step
from ..hookspecs import hookimpl


@hookimpl(trylast=True)
def gradcheck_flatten(value: Any) -> Node | None:
    """Take one of Python's own containers apart."""
    if isinstance(value, (dict, MappingProxyType)):
        return _mapping(value)
    if isinstance(value, (list, tuple)):
        return _sequence(value)
    names = _field_names(value)
    return None if names is None else _fields(value, names)


def _mapping(value: Any) -> Node:
    keys = list(value)

    def rebuild(children: list[Any]) -> Any:
        if isinstance(value, MappingProxyType):
            return MappingProxyType(dict(zip(keys, children, strict=True)))
        new = copy.copy(value)  # keeps an OrderedDict's order and a defaultdict's factory
        for key, child in zip(keys, children, strict=True):
            new[key] = child  # not update, which adds the counts of a Counter
        return new

    return Node([(key_step(key), value[key]) for key in keys], rebuild)


def _sequence(value: Any) -> Node:
    if names := getattr(value, "_fields", None):  # a named tuple
        steps = [f".{name}" for name in names]
        return Node(list(zip(steps, value, strict=True)), lambda items: type(value)(*items))
    children = [(f"[{position}]", item) for position, item in enumerate(value)]
    return Node(children, lambda items: type(value)(items))


def _field_names(value: Any) -> list[str] | None:
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return [item.name for item in dataclasses.fields(value)]
    if (attributes := getattr(type(value), "__attrs_attrs__", None)) is not None:
        return [item.name for item in attributes]
    return list(vars(value)) if isinstance(value, SimpleNamespace) else None


def _fields(value: Any, names: list[str]) -> Node:
    present = [name for name in names if hasattr(value, name)]

    def rebuild(children: list[Any]) -> Any:
        # Not dataclasses.replace: it would run __init__ and __post_init__ at every evaluation.
        new = copy.copy(value)
        for name, child in zip(present, children, strict=True):
            object.__setattr__(new, name, child)
        return new

    return Node([(f".{name}", getattr(value, name)) for name in present], rebuild)
