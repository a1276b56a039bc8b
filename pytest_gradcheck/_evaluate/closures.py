"""A function with everything that it closes over in float64, as far as it can be copied.

A loss of a float32 module closes over float32 data, and torch refuses to multiply the two types:
to be evaluated in float64 the data must be, too.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np

from .._params.arrays import NUMBER, NUMPY
from .._params.structure import flatten

DEEPEST = 3
"""Functions of the same module are copied, too, if they are called by one another no deeper."""


def in_float64(func: Callable[..., Any], deeper: int = DEEPEST) -> tuple[Any, tuple[str, ...]]:
    """Return a copy of func that reads wide copies of the arrays it closes over, and their names.

    Arrays and modules of frameworks are copied, in containers, too; numpy's are not, since numpy
    promotes by itself. Without such arrays, or where func assigns to what it closes over, func
    itself is returned, and no name.
    """
    if not isinstance(func, FunctionType) or _assigns(func.__code__):
        return func, ()
    seen = dict(zip(func.__code__.co_freevars, func.__closure__ or (), strict=True))
    own, names = dict(seen), list[str]()
    for name, cell in seen.items():
        try:
            value = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
        wide, found = _widened(value, name, func, deeper)
        if found:
            own[name] = CellType(wide)
            names += found
    outside = dict[str, Any]()
    for name in set(_names(func.__code__)) & set(func.__globals__):
        wide, found = _widened(func.__globals__[name], name, func, deeper)
        if found:
            outside[name] = wide
            names += found
    if not names:
        return func, ()
    everything = {**func.__globals__, **outside} if outside else func.__globals__
    twin = FunctionType(
        func.__code__, everything, func.__name__, func.__defaults__, tuple(own.values())
    )
    twin.__kwdefaults__, twin.__qualname__ = func.__kwdefaults__, func.__qualname__
    return twin, tuple(dict.fromkeys(sorted(names)))


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code and those of the functions that it defines."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _names(code: CodeType) -> Iterator[str]:
    for one in _codes(code):
        yield from one.co_names


def _assigns(code: CodeType) -> bool:
    """Return whether a function assigns to globals or to variables of a function around it."""
    for step in (step for one in _codes(code) for step in dis.get_instructions(one)):
        if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            return True
        if step.opname in ("STORE_DEREF", "DELETE_DEREF") and step.argval in code.co_freevars:
            return True
    return False


def _widened(value: Any, name: str, user: FunctionType, deeper: int) -> tuple[Any, tuple[str, ...]]:
    """Return a value in float64, and the names of the arrays that were copied for it."""
    if isinstance(value, FunctionType):
        near = deeper and value is not user and value.__globals__ is user.__globals__
        return in_float64(value, deeper - 1) if near else (value, ())
    if isinstance(value, (type, str, bytes)):
        return value, ()
    if callable(value) and not hasattr(value, "parameters"):  # of callables, modules alone
        return value, ()
    try:
        structure = flatten(value, name)
        copies = [
            leaf.kind.copy(leaf.value, np.dtype(np.float64))
            if leaf.kind not in (None, NUMPY, NUMBER) and _narrow(leaf.array)
            else leaf.value
            for leaf in structure.leaves
        ]
        if all(new is leaf.value for new, leaf in zip(copies, structure.leaves, strict=True)):
            return value, ()
        return structure.rebuild(copies), (name,)
    except Exception:  # what can't be copied stays as it is
        return value, ()


def _narrow(array: Any) -> bool:
    return bool(array.dtype.kind in "fc" and array.real.dtype.itemsize < 8)
