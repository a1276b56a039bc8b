"""func as the engine calls it: a function of params alone that returns one real number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .._params.arrays import ASKED, Unreadable, foreign_kind, read, to_float
from .._quoting import quoted

J = "J, what func returned,"


class ComplexValueError(TypeError):
    """J is complex: a power of a negative number does that in Python."""


DOMAIN_ERRORS = (ArithmeticError, ValueError, np.linalg.LinAlgError, ComplexValueError)
"""What a func raises where another returns NaN: numpy's, math's, its own checks of arguments."""


class ShapeError(ValueError):
    """J is an array: never a sign that a probe left func's domain."""


def scalar(value: Any) -> Any:
    """Return what func returned as a real number.

    Parameters
    ----------
    value : object
        A number, a 0-d or one-element array.

    Returns
    -------
    float or numpy.longdouble

    Raises
    ------
    TypeError, ValueError
        When it is anything else, with what to do.
    """
    # First, and by type: on a tensor an isinstance costs microseconds.
    if (known := ASKED.get(type(value))) and type(item := known.item(value)) is float:
        return item
    if isinstance(value, (float, int)) and not isinstance(value, bool):
        return to_float(value)
    if isinstance(value, tuple):
        raise TypeError(
            f"func returned a tuple of {len(value)}; pass has_aux=True if it returns "
            "(J, anything), or grad=True if it returns (J, gradient)"
        )
    if value is None:
        raise TypeError("func returned None; it must return the number J (is a return missing?)")
    kind = None if isinstance(value, (np.ndarray, np.generic)) else foreign_kind(value)
    try:
        array = np.asarray(value) if kind is None else kind.to_numpy(value)
    except Unreadable as error:
        raise TypeError(f"{J} {error}") from error
    except Exception:  # what a foreign object's conversion raises is its own business
        array = np.asarray(None)
    if isinstance(value, np.ma.MaskedArray) and np.any(value.mask):
        raise TypeError("func returned a masked value; J must be a number")
    if array.dtype.kind == "c":
        raise ComplexValueError(
            f"func returned a complex {array.dtype}; J must be real: pass its real part"
        )
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"func returned {type(value).__name__} ({quoted(value):.60}); J must be a number"
        )
    if array.size != 1:
        raise ShapeError(
            f"func returned an array of shape {array.shape}; J must be one number: return its sum "
            "or mean, or check a vector-valued function along a direction, J = func(params) @ v"
        )
    item = array.reshape(())[()]
    return item if array.dtype.itemsize > 8 else float(item)


@contextmanager
def calling(form: str, params: Any = None) -> Iterator[None]:
    """Add to an error about a function's arguments how it is called.

    Parameters
    ----------
    form : str
        ``"func(params)"``, as the function was called.
    params : object, optional
        What was passed as params, where that may be the mistake.
    """
    try:
        yield
    except TypeError as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        home = trace and str(trace.tb_frame.f_globals.get("__package__")).partition(".")[0]
        ours = home == __package__.partition(".")[0]
        if ours and _ARGUMENTS.search(str(error)):
            several = isinstance(params, (tuple, list)) and len(params) > 1
            how = f"; for {form.split('(')[0]}(*params) pass lambda p: f(*p)" if several else ""
            if "missing" in str(error) and not several:
                how = "; what follows params goes into args=(...)"
            if " 0 positional" in str(error):
                how = "; a func that reads its arrays through a closure wants in_place=True"
            error.add_note(f"gradcheck: it is called as {form}{how}")
        raise


_ARGUMENTS = re.compile(r"positional argument|required keyword|unexpected keyword")


def narrow_bits(value: Any) -> int | None:
    """Return the bits of precision of the type that func returned, if narrower than float64."""
    kind = None if isinstance(value, (np.ndarray, np.generic, float)) else foreign_kind(value)
    dtype = getattr(value, "dtype", None) if kind is None else read(kind, value, J).dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize < 8:
        return np.finfo(dtype).nmant + 1
    return None


def bound(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    *,
    takes_params: bool,
    takes_first: bool,
    gradients: list[Any] | None = None,
    has_aux: bool = False,
    fresh: Callable[[], Any] | None = None,
) -> Callable[[Any], Any]:
    """Return func as a function of params alone that returns J alone.

    Parameters
    ----------
    func : callable
    args : tuple
        Passed on behind params.
    takes_params : bool
        False for ``in_place``: func reads the parameters through a closure.
    takes_first : bool
        func returns a tuple whose first item is J.
    gradients : list, optional
        func returns ``(J, gradient)``, and the last gradient is put here.
    has_aux : bool
        That first item is in turn a tuple, ``((J, anything), gradient)``.
    fresh : callable, optional
        Makes the copy of the parameters that func gets instead.
    """
    if not takes_params:

        def plain(params: Any) -> Any:
            return func(*args)
    elif fresh is not None:

        def plain(params: Any) -> Any:
            return func(fresh(), *args)
    elif args:

        def plain(params: Any) -> Any:
            return func(params, *args)
    else:
        plain = func
    if not takes_first:
        return plain

    def first(params: Any) -> Any:
        out = plain(params)
        if not (isinstance(out, tuple) and len(out) >= 2):
            raise TypeError(
                f"func returned {type(out).__name__}, but has_aux=True or grad=True says that it "
                "returns a tuple whose first item is J"
            )
        if gradients is None:
            return out[0]
        gradients[:] = out[1:2]
        return scalar(out[0][0]) if has_aux else out[0]

    return first


def as_tuple(args: Any) -> tuple[Any, ...]:
    """Return ``args`` as a tuple; a string or an array there is a mistake."""
    if not isinstance(args, (tuple, list)):
        raise TypeError(f"args must be a tuple of what follows params, not {type(args).__name__}")
    return tuple(args)


def name_of(func: Callable[..., Any]) -> str:
    """Return func's name for a report."""
    return str(getattr(func, "__qualname__", type(func).__name__))
