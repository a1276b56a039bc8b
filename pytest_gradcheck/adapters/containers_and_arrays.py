"""Python's own containers, and arrays of any library that follows a standard.

Containers are dict, list, tuple, named tuple, dataclass, attrs class and namespace; arrays those of
the array API standard that can be assigned to, and those that exchange memory by DLPack both ways.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np

from .._params.arrays_and_structure import (
    OWN,
    ROOT,
    Array,
    ArrayKind,
    Cell,
    ItemCell,
    Node,
    Taken,
    Unreadable,
    coordinates,
    joined,
    window,
)
from .._quoting import are_plain, key_step
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
        if type(value) in (dict, MappingProxyType):
            return type(value)(dict(zip(keys, children, strict=True)))
        new = copy.copy(value)  # keeps an OrderedDict's order and a defaultdict's factory
        if getattr(value, "__dict__", None) is value:  # its entries are its attributes, too
            new.__dict__ = new
        for key, child in zip(keys, children, strict=True):
            new[key] = child  # not update, which adds the counts of a Counter
        return new

    return Node([(key_step(key), value[key]) for key in keys], rebuild)


def _sequence(value: Any) -> Node:
    names = getattr(value, "_fields", ())  # of a named tuple
    steps = [f".{name}" for name in names] or [f"[{k}]" for k in range(len(value))]

    def rebuild(items: list[Any]) -> Any:
        # No class is called: what it makes of its arguments is its own business.
        if isinstance(value, list):
            new = copy.copy(value)
            new[:] = items
            return new
        try:
            twin = tuple.__new__(type(value), items)
        except TypeError:  # a struct sequence, as torch.return_types has them
            return type(value)(items)
        if hasattr(value, "__dict__"):
            vars(twin).update(vars(value))
        return twin

    return Node(list(zip(steps, value, strict=True)), rebuild)


def _own_mapping(value: dict[Any, Any], name: str) -> Taken:
    keys = list(value)
    if not are_plain(keys):
        names = [joined(name, key_step(key)) for key in keys]
    else:
        names = [f"{name}.{key}" for key in keys] if name else keys
    return keys, names, list(value.values())


def _own_sequence(value: Any, name: str) -> Taken:
    begin, length = name or ROOT, len(value)
    return length, [f"{begin}[{position}]" for position in range(length)], list(value)


OWN.update({dict: _own_mapping, list: _own_sequence, tuple: _own_sequence})


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


# Arrays that no other adapter knows


def from_dlpack(value: Any) -> Array:
    """Return an array of any library as numpy, copied only if it is on another device."""
    takes: tuple[Callable[[Any], Array], ...]
    takes = np.from_dlpack, lambda x: np.from_dlpack(x, device="cpu")  # numpy 1.26 has no device
    for take in takes:
        try:
            return take(value)
        except Exception as error:  # what a foreign object's exchange raises is its own business
            why = error
    raise Unreadable(
        f"is {type(value).__name__} of dtype {getattr(value, 'dtype', 'unknown')}, which numpy "
        f"can't take by DLPack ({why}); pass a numpy array, or write a gradcheck_array hook"
    )


class ExchangedKind(ArrayKind):
    """For each evaluation, a new array around the same memory."""

    def to_numpy(self, value: Any) -> Array:
        return from_dlpack(value)

    def like(self, value: Any, array: Array) -> Any:
        return _maker(value)(np.require(array, requirements=("C", "W")))

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        return self.like(value, np.array(from_dlpack(value), dtype=dtype, order="C"))

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Cell:
        return _ExchangedCell(np.array(from_dlpack(value), order="C"), value, publish)


class _ExchangedCell:
    def __init__(self, memory: Array, value: Any, publish: Callable[[Any], None]) -> None:
        self.memory, self.value, self.publish = memory, value, publish
        self.cell = window(memory)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.cell[key] = value
        self.publish(EXCHANGED.like(self.value, self.memory))


def _maker(value: Any) -> Any:
    package = sys.modules.get(type(value).__module__.partition(".")[0])
    return getattr(package, "from_dlpack", None)


class StandardKind(ArrayKind):
    """Arrays with an ``__array_namespace__``, read by DLPack."""

    mutable = True

    def to_numpy(self, value: Any) -> Array:
        return from_dlpack(value)

    def like(self, value: Any, array: Array) -> Any:
        return value.__array_namespace__().asarray(array, device=value.device)

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        space = value.__array_namespace__()
        wanted = value.dtype if dtype is None else getattr(space, dtype.name)
        return space.astype(value, wanted, copy=True)

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Cell:
        array = self.to_numpy(value)
        parts = coordinates(array).copy() if array.dtype.kind == "c" else None
        return ItemCell(value, lambda new: self.like(value, new.astype(array.dtype)), parts)

    def restore(self, value: Any, saved: Any) -> None:
        value[...] = saved


EXCHANGED, STANDARD = ExchangedKind(), StandardKind()


@hookimpl(trylast=True)
def gradcheck_array(value: Any) -> ArrayKind | None:
    """Know an array of the standard, and what can be exchanged both ways."""
    kind = type(value)
    if hasattr(kind, "__array_namespace__") and hasattr(kind, "__setitem__"):
        return STANDARD
    return EXCHANGED if hasattr(kind, "__dlpack__") and _maker(value) is not None else None
