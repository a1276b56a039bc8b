"""A function with everything that it closes over in float64, as far as it can be copied.

A loss of a float32 module closes over float32 data, and torch refuses to multiply the two types:
to be evaluated in float64 the data must be, too.
"""

from __future__ import annotations

import copy
import dis
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from .._params.arrays import NUMBER, NUMPY
from .._params.structure import flatten

DEEPEST = 3
"""Functions of the same module are copied, too, if they are called by one another no deeper."""


def all_in_float64(
    func: Callable[..., Any], args: Sequence[Any]
) -> tuple[Any, tuple[Any, ...], tuple[str, ...]]:
    """Return func as `in_float64` does, wide copies of what it is called with, and all names."""
    twin, names = in_float64(func)
    wide, more = _each({f"args[{i}]": value for i, value in enumerate(args)})
    return twin, tuple(wide.values()), (*names, *more)


def in_float64(func: Callable[..., Any], deeper: int = DEEPEST) -> tuple[Any, tuple[str, ...]]:
    """Return a copy of func that reads wide copies of the arrays it closes over, and their names.

    Arrays and modules of frameworks are copied, in containers, too; numpy's are not, since numpy
    promotes by itself. Without such arrays, or where func assigns to what it closes over, func
    itself is returned, and no name.
    """
    if isinstance(func, partial):
        twin, names = in_float64(func.func, deeper)
        args, more = _each({f"argument {i + 1}": value for i, value in enumerate(func.args)})
        keywords, others = _each(func.keywords)
        names += more + others
        return (partial(twin, *args.values(), **keywords) if names else func), names
    if isinstance(func, MethodType):
        owner = _owner_in_float64(func.__self__)
        twin, names = in_float64(func.__func__, deeper)
        names += owner[1]
        return (MethodType(twin, owner[0]) if names and not _assigns(func) else func), names
    if not isinstance(func, FunctionType) or _assigns(func):
        return func, ()
    seen = dict(zip(func.__code__.co_freevars, func.__closure__ or (), strict=True))
    own, copied = dict(seen), list[str]()
    for name, cell in seen.items():
        try:
            value = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
        wide, found = _widened(value, name, func, deeper)
        if found:
            own[name] = CellType(wide)
            copied += found
    outside = dict[str, Any]()
    for name in _globals_of(func.__code__) & set(func.__globals__):
        wide, found = _widened(func.__globals__[name], name, func, deeper)
        if found:
            outside[name] = wide
            copied += found
    if not copied:
        return func, ()
    everything = {**func.__globals__, **outside} if outside else func.__globals__
    twin = FunctionType(
        func.__code__, everything, func.__name__, func.__defaults__, tuple(own.values())
    )
    twin.__kwdefaults__, twin.__qualname__ = func.__kwdefaults__, func.__qualname__
    return twin, tuple(dict.fromkeys(sorted(copied)))


def _each(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return values in float64, by their names, and the names of those that were copied."""
    found = {name: _widened(value, name) for name, value in values.items()}
    names = [one for _, own in found.values() for one in own]
    return {name: value for name, (value, _) in found.items()}, tuple(names)


def _owner_in_float64(owner: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the object of a method, with wide copies of its attributes, and their names."""
    attributes = getattr(owner, "__dict__", None)
    if not isinstance(attributes, dict) or hasattr(owner, "parameters"):
        return _widened(owner, "self")
    wide, names = _each(attributes)
    if not names:
        return owner, ()
    twin = copy.copy(owner)
    twin.__dict__.update(wide)
    return twin, tuple(f"self.{name}" for name in names)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a code and those of the functions that it defines."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _globals_of(code: CodeType) -> set[str]:
    """Return the names of the globals that a function reads."""
    steps = (step for one in _codes(code) for step in dis.get_instructions(one))
    return {step.argval for step in steps if step.opname == "LOAD_GLOBAL"}


def _assigns(func: FunctionType | MethodType) -> bool:
    """Return whether a function assigns to what is outside: globals, variables, attributes."""
    code = func.__code__
    names = ["STORE_GLOBAL", "DELETE_GLOBAL"]
    names += ["STORE_ATTR", "DELETE_ATTR"] if isinstance(func, MethodType) else []
    for step in (step for one in _codes(code) for step in dis.get_instructions(one)):
        if step.opname in names:
            return True
        if step.opname in ("STORE_DEREF", "DELETE_DEREF") and step.argval in code.co_freevars:
            return True
    return False


def _widened(
    value: Any, name: str, user: FunctionType | None = None, deeper: int = 0
) -> tuple[Any, tuple[str, ...]]:
    """Return a value in float64, and the names of the arrays that were copied for it."""
    if isinstance(value, FunctionType):
        near = user and deeper and value is not user and value.__globals__ is user.__globals__
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
