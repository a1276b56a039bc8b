"""func as the engine calls it: a function of params alone that returns one real number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from .._constants import EPS
from .._options import converted, flag
from .._params.arrays_and_structure import (
    ASKED,
    Unreadable,
    foreign_kind,
    is_masked,
    kind_of,
    native,
    to_float,
)
from .._params.work_copy import WorkCopy
from .._quoting import quoted, shown

J = "J, what func returned,"


class _ByItsName(Exception):  # noqa: N818
    """Shown without its module's name, as built-in ones are; `__reduce__` keeps it picklable."""

    def __init_subclass__(cls) -> None:
        cls.__module__ = "builtins"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self).__name__, self.args), self.__dict__


def _again(name: str, args: tuple[Any, ...]) -> Any:
    return globals()[name](*args)


class ComplexValueError(_ByItsName, TypeError):
    """J is complex: a power of a negative number does that in Python."""


DOMAIN_ERRORS = (ArithmeticError, ValueError, np.linalg.LinAlgError, ComplexValueError)
"""What a func raises where another returns NaN: numpy's, math's, its own checks of arguments."""

_NO_VALUE = re.compile(
    r"LinAlgError|singular|positive.?(semi.?)?definite|convergence|converge\b|between 0 and 1|"
    r"element < 0|>= 0"
)
"""In the texts of a RuntimeError, as torch, JAX and scipy raise it where there is no value."""


class ShapeError(_ByItsName, ValueError):
    """J is an array, or not one for each point: no sign that a probe left func's domain."""


def is_domain_error(error: Exception) -> bool:
    """Return whether an exception may say that there is no J at these parameters."""
    if isinstance(error, DOMAIN_ERRORS):
        return not isinstance(error, ShapeError)
    if any(kind.__name__.endswith("LinAlgError") for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and bool(_NO_VALUE.search(str(error)))


def scalar(value: Any) -> Any:
    """Return what func returned, a number or an array of one, as a float or a longdouble."""
    # TypeError or ValueError is raised when it is anything else, with what to do.
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
    kind = foreign_kind(value)
    try:
        array = native(np.asarray(value)) if kind is None else kind.to_numpy(value)
    except Unreadable as error:
        raise TypeError(f"{J} {error}") from error
    except Exception:  # what a foreign object's conversion raises is its own business
        array = np.asarray(None)
    if is_masked(value) and np.any(value.mask):
        raise TypeError("func returned a masked value; J must be a number")
    if array.dtype.kind == "c":
        raise ComplexValueError(
            f"func returned {array.dtype}; J must be real: return its real part"
        )
    if array.dtype.kind not in "fiu":
        how = ": return float(J)" if _is_number(value) else ""
        if isinstance(value, Coroutine):
            value.close()  # or Python warns that nobody awaited it
            how = ": func is async; pass lambda params: asyncio.run(func(params))"
        what = f"{type(value).__name__} ({shown(quoted(value), 60)})"
        raise TypeError(f"func returned {what}; J must be a number{how}")
    if array.size != 1:
        raise ShapeError(
            f"func returned an array of shape {array.shape}; J must be one number: return its sum "
            "or mean; the loss of each sample has a Jacobian, assert_jacobian_close(func, jac, "
            "params)"
        )
    item = array.reshape(())[()]
    return item if array.dtype.itemsize > 8 else float(item)


def _is_number(value: Any) -> bool:
    """Return whether float makes a number of a Decimal, or of another library's number."""
    with suppress(Exception):  # what a foreign object's conversion raises is its own business
        return not isinstance(value, (str, bytes, bool)) and math.isfinite(float(value))
    return False


@contextmanager
def calling(function: Any, form: str) -> Iterator[None]:
    """Add to an error about a function's arguments how it is called (see `add_form`)."""
    try:
        yield
    except TypeError as error:
        add_form(error, function, form)
        raise


def add_form(error: TypeError, function: Any, form: str, params: Any = None) -> None:
    """Add to an error about a function's arguments how it is called, ``"func(params)"``."""
    # `params` are what was passed as such, where that may be the mistake.
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    home = trace and str(trace.tb_frame.f_globals.get("__package__")).partition(".")[0]
    ours = home == __package__.partition(".")[0]
    if isinstance(params, list) and all(type(item) in (int, float) for item in params):
        error.add_note(
            "gradcheck: params is a list, as func gets it; for an array pass np.array(x0)"
        )
    if ours and _ARGUMENTS.search(str(error)):
        how = _how_to_call(function, form, params, str(error))
        error.add_note(f"gradcheck: it is called as {form}{how}")


_ARGUMENTS = re.compile(r"positional argument|required keyword|unexpected keyword|no arguments")


def _how_to_call(function: Any, form: str, params: Any, said: str) -> str:
    """Return what to pass for a function that is called with other arguments than it takes."""
    name = form.split("(")[0]
    code = getattr(function, "__code__", None)
    takes = code.co_varnames[: code.co_argcount] if code else ()
    missing = re.findall(r"'(\w+)'", said.partition("missing")[2])
    if isinstance(function, type):
        return f"; {name} is a class: pass an instance of it, {function.__name__}(...)"
    if takes[:1] == ("self",) and not hasattr(function, "__self__"):
        return f"; {name} is a method without its object: pass model.{function.__name__} of a model"
    if form.endswith("()"):
        return " where in_place=True: it reads its arrays through a closure" if missing else ""
    if isinstance(params, dict) and len(params) > 1 and set(takes) >= params.keys() >= {*missing}:
        return f"; for {name}(**params) pass lambda p: f(**p)"
    if isinstance(params, (tuple, list)) and len(params) > 1:
        return f"; for {name}(*params) pass lambda p: f(*p)"
    # What takes nothing but self, too, which Python counts.
    if " 0 positional" in said or (hasattr(function, "__self__") and len(takes) == 1):
        return "; a func that reads its arrays through a closure wants in_place=True"
    if missing:
        listed = "".join(f"{one}, " for one in missing[:-1]) + missing[-1]
        listed += "," * (len(missing) == 1)
        return f"; what follows params goes into args=(...), here args=({listed})"
    return "; func and grad both get what is in args=" if "*args" in form else ""


def narrow_bits(value: Any) -> int | None:
    """Return the bits of precision of the type that func returned, if narrower than float64."""
    kind = None if isinstance(value, float) else kind_of(value)
    return None if kind is None else bits_of(kind.eps(value))


def bits_of(eps: float) -> int | None:
    """Return the bits of precision of a machine epsilon, None for float64's."""
    return None if eps <= EPS else round(1 - math.log2(eps))


MOST_READ = 64  # functions, func and those that it calls, whose names are looked at


def _read_beside(call: Call) -> Iterator[tuple[str, Any]]:
    """Yield by name what func, and functions of its package, read beside params; call nothing."""
    func: Any = call.func
    args, first = call.args, 0 if call.in_place else 1
    while isinstance(func, partial):
        yield from func.keywords.items()
        func, args = func.func, (*func.args[first:], *args)
    owner: dict[str, Any] = {}
    if isinstance(func, MethodType):
        owner, first = getattr(func.__self__, "__dict__", {}), first + 1
        func = func.__func__
    seen: set[FunctionType] = set()
    left = [func] if isinstance(func, FunctionType) else []
    while left and len(seen) < MOST_READ:
        one = left.pop()
        seen.add(one)
        code, known = one.__code__, one.__globals__
        held = {name: known[name] for name in code.co_names if name in known}
        if one is func:
            held |= zip(code.co_varnames[first : code.co_argcount], args, strict=False)
            held |= {f"self.{name}": owner[name] for name in code.co_names if name in owner}
        for name, cell in zip(code.co_freevars, one.__closure__ or (), strict=True):
            with suppress(ValueError):  # not yet assigned
                held[name] = cell.cell_contents
        yield from held.items()
        # Of one package: a library's own data say nothing.
        home = str(one.__module__).partition(".")[0]
        functions = [value for value in held.values() if isinstance(value, FunctionType)]
        akin = [other for other in functions if str(other.__module__).partition(".")[0] == home]
        left += [other for other in akin if other not in seen]


@dataclass(frozen=True)
class Call:
    """How func is called, and how what it returns is read; it can be pickled where func can be.

    `args` follow params; with `has_aux` func returns ``(J, anything)``, with `returns_pair` ``(J,
    gradient)``; `in_place` it takes no params, as it reads them through a closure; with `copy` it
    gets a fresh one each time; `vectorized` it takes many points along a leading axis, by itself or
    by vmap. `read` makes a number of what it returned, or the vector of its m outputs; `bits` says
    how many bits of precision its type has, if narrower than float64, for each output if there are
    several.
    """

    func: Callable[..., Any]
    args: tuple[Any, ...] = ()
    has_aux: bool = False
    in_place: bool = False
    copy: bool = False
    returns_pair: bool = False
    vectorized: bool | str = False
    read: Callable[[Any], Any] = scalar
    bits: Callable[[Any], Any] = narrow_bits

    def __post_init__(self) -> None:
        for name in ("has_aux", "in_place", "copy"):
            if type(given := getattr(self, name)) is not bool:
                converted(name, given, flag)

    def constants(self) -> dict[float, str]:
        """Return in words what has which value or length of all that func reads beside params."""
        # That are `args`, what a closure holds, globals that func's code names and attributes of a
        # method's object; those of functions that it calls, too. Nothing is called.
        found: dict[float, dict[str, str]] = {}
        for name, value in _read_beside(self):
            if isinstance(value, (int, float, np.integer, np.floating)):
                with suppress(OverflowError):  # an int beyond all floats
                    found.setdefault(float(value), {})["length"] = name
            elif isinstance(value, (np.ndarray, list, tuple)):
                shape = value.shape if isinstance(value, np.ndarray) else (len(value),)
                for axis, length in enumerate(shape):
                    words = f"{name}.shape[{axis}]" if axis else f"len({name})"
                    found.setdefault(length, {}).setdefault("axis" if axis else "length", words)
        return {number: " or ".join(words.values()) for number, words in found.items()}

    def form(self, name: str) -> str:
        """Return how a function is called, for an error: ``"func(params, *args)"``."""
        given = ["params"] * (not self.in_place) + ["*args"] * bool(self.args)
        return f"{name}({', '.join(given)})"

    def asked(self, grad: Callable[..., Any], work: WorkCopy) -> Any:
        """Return what grad returns at the parameters as they stand in its work copy."""
        if self.in_place:
            return grad(*self.args)
        return grad(work.fresh() if self.copy else work.params, *self.args)

    def on(self, work: WorkCopy, gradients: list[Any]) -> Callable[[Any], Any]:
        """Return func as a function of params alone; `gradients` gets what it returns beside J."""
        plain = self._of_params(work)
        if not (self.has_aux or self.returns_pair):
            return plain

        def first(params: Any) -> Any:
            out = plain(params)
            if not (isinstance(out, tuple) and len(out) >= 2):
                raise TypeError(
                    f"func returned {type(out).__name__}, but has_aux=True or grad=True says that "
                    "it returns a tuple whose first item is J"
                )
            if not self.returns_pair:
                return out[0]
            gradients[:] = out[1:2]
            if self.has_aux and not (isinstance(out[0], tuple) and out[0]):
                raise TypeError(
                    f"func returned {type(out[0]).__name__} before the gradient, but has_aux=True "
                    "with grad=True says that it returns ((J, anything), gradient); leave out "
                    "has_aux for (J, gradient)"
                )
            return scalar(out[0][0]) if self.has_aux else out[0]

        return first

    def _of_params(self, work: WorkCopy) -> Callable[[Any], Any]:
        func, args = self.func, self.args
        if self.in_place:
            return lambda params: func(*args)
        if self.copy and not self.vectorized:
            return lambda params: func(work.fresh(), *args)
        if args:
            return lambda params: func(params, *args)
        return func


def exchanged(call: Call, grad: Any, params: Any) -> bool:
    """Return whether it is grad that returns a number: then func and grad may be exchanged."""
    try:
        given = () if call.in_place else (deepcopy(params),)
        scalar(grad(*given, *call.args))
    except Exception:  # of the user's, and it is no matter here
        return False
    return np.size(params) > 1 or not isinstance(params, (np.ndarray, float))


def as_tuple(args: Any) -> tuple[Any, ...]:
    """Return ``args`` as a tuple; a string or an array there is a mistake."""
    if not isinstance(args, (tuple, list)):
        raise TypeError(
            f"args must be a tuple of what follows params, not {type(args).__name__}; of one thing "
            "args=(x,)"
        )
    return tuple(args)


def name_of(func: Callable[..., Any]) -> str:
    """Return func's name for a report; a ufunc of numpy 1 has the short one alone."""
    name = getattr(func, "__qualname__", None) or getattr(func, "__name__", None)
    return str(name or type(func).__name__)
