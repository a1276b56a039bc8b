"""How arrays are read, copied and perturbed, and how nested structures of them come apart.

The engine computes with numpy; func gets the user's own kind of array.  Between the two stands an
`ArrayKind`, one for each library, found by the hook ``gradcheck_array``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np

from .._constants import EPS
from .._quoting import brief, quoted
from ..hookspecs import plugin_manager

Array = np.ndarray[Any, Any]

DOUBLE = np.dtype(np.float64)
"""float64, of which numpy has one object: arrays have it, or an equal one that is another's."""


class Unreadable(TypeError):  # noqa: N818 - the text goes on behind a parameter's name
    """An array that numpy has no equal of.  The text reads on from a name: "is a sparse …"."""


class Cell(Protocol):
    """What sets the coordinates of one array; a complex entry is two of them."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Set coordinate `key` to a float; or with ``[:]`` all, to an array of shape (size,).

        Before another coordinate is set, the last one is set back to what it was.
        """


@dataclass(frozen=True)
class Float64:
    """What makes a context in which a library has float64, and what it is called in print."""

    name: str
    context: Callable[[], AbstractContextManager[Any]]


class ArrayKind(Protocol):
    """What the engine must know of a library's arrays; one without state serves them all.

    An adapter subclasses it and returns an instance from the hook ``gradcheck_array``.  It must
    define `to_numpy`, `like`, `copy` and `cell`; one that is `mutable`, `restore` too.

    Examples
    --------
    >>> import array
    >>> import numpy as np
    >>> from pytest_gradcheck import ArrayKind, check_gradients, hookimpl, plugin_manager
    >>> class StandardLibraryKind(ArrayKind):
    ...     def to_numpy(self, value):
    ...         return np.frombuffer(value, value.typecode)
    ...     def like(self, value, numbers):
    ...         return array.array(value.typecode, numbers.tolist())
    ...     def copy(self, value, dtype=None):
    ...         return array.array(dtype.char if dtype else value.typecode, value)
    ...     def cell(self, value, publish):
    ...         return np.frombuffer(value, value.typecode)
    >>> class Plugin:
    ...     kind = StandardLibraryKind()
    ...     @hookimpl
    ...     def gradcheck_array(self, value):
    ...         return self.kind if isinstance(value, array.array) else None
    >>> name = plugin_manager().register(Plugin())
    >>> theta = array.array("d", [1.0, 2.0])
    >>> check_gradients(lambda x: sum(x), lambda x: array.array("d", [1, 1]), theta).verdict
    'agree'
    >>> plugin_manager().unregister(name=name).kind is Plugin.kind
    True
    """

    compiler: str = ""
    """What compiles a function of such arrays, ``jax.jit``; empty where nothing does."""

    mutable: bool = False
    """Whether the user's own array can be perturbed in place, and put back by `restore`."""

    def to_numpy(self, value: Any) -> Array:
        """Return the values as numpy, in the array's own memory where that is possible.

        Raises
        ------
        Unreadable
            When numpy has no such dtype or layout.
        """

    def like(self, value: Any, array: Array) -> Any:
        """Return a numpy array's values as `value`'s kind of array, on its device."""

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        """Return a copy that func may be given, on the same device; in `dtype` if it is possible.

        A complex one is C-contiguous where that means anything.
        """

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Cell:
        """Return what sets coordinates of `value`, in C order.

        `publish` is to be called with the new array when it is another object, because arrays of
        this kind never change.
        """

    def eps(self, value: Any) -> float:
        """Return the machine epsilon of the array's type, 2⁻⁵² for integers and wider types.

        A kind overrides it whose `to_numpy` returns values in a wider type than the array's own.
        """
        return eps_of(self.to_numpy(value).dtype)

    def compiled(self, func: Callable[..., Any]) -> bool:
        """Return whether a function is compiled, or there is no `compiler`."""
        return True

    def with_float64(self) -> Float64 | None:
        """Return the context in which the library has float64, None where it has it now."""
        return None

    def vmap(self, function: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any] | None:
        """Return a function of a list of arrays as one of arrays with a leading axis.

        None where the library has no such thing.
        """
        return None

    def beside(self, value: Any, array: Array) -> Any:
        """Return a numpy array's values as what goes beside `value`: a tangent of it, a cotangent.

        It is of the same kind, dtype and device, but no parameter, and requires no gradient.
        """
        return self.like(value, array)

    def strided(self, value: Any) -> Any:
        """Return the same values with gaps between them in memory, for a kind that has strides."""
        return value

    def item(self, value: Any) -> Any:
        """Return J, an array of one entry, as a Python number; None to have `to_numpy` asked."""
        return None

    def same_bits(self, a: Any, b: Any) -> bool:
        """Return whether two arrays hold the same bits."""
        return same_bits(self.to_numpy(a), self.to_numpy(b))

    def refuses_in_place(self, value: Any) -> str:
        """Return why this array of a mutable kind can't be perturbed in place, or "".

        The text reads on from a name, "is read-only …", and says what to do.
        """
        return ""

    def restore(self, value: Any, saved: Any) -> None:
        """Put the bits of `saved` into the user's own array `value` (``in_place``)."""
        return

    def set_aside(self, value: Any) -> Callable[[], None] | None:
        """Take off what a call leaves beside the values, torch's ``.grad``, before the next one.

        Returns what puts back what was there, or None for a kind that keeps nothing.
        """
        return None


class _OwnKind(ArrayKind):
    """What numpy has itself."""

    def to_numpy(self, value: Any) -> Array:
        return native(np.asarray(value))

    def eps(self, value: Any) -> float:
        return eps_of(np.asarray(value).dtype)

    def like(self, value: Any, array: Array) -> Any:
        return array


class _NumpyKind(_OwnKind):
    """numpy's arrays, subclasses included."""

    mutable = True

    def same_bits(self, a: Any, b: Any) -> bool:
        return same_bits(a, b)

    def beside(self, value: Any, array: Array) -> Any:
        return array if native_type(value.dtype) else array.astype(value.dtype)

    def strided(self, value: Any) -> Any:
        spread = np.zeros((*value.shape, 2), value.dtype)
        spread[..., 0] = value
        return spread[..., 0]

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        if value.dtype.kind == "c":
            return np.array(value, dtype=dtype or value.dtype, order="C", subok=True)
        return value.copy(order="K") if dtype is None else value.astype(dtype, order="K")

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Cell:
        cell: Cell = window(value.view(np.ndarray))
        return cell

    def refuses_in_place(self, value: Any) -> str:
        return "" if value.flags.writeable else "is read-only; pass writable arrays"

    def restore(self, value: Any, saved: Any) -> None:
        np.copyto(value, saved)


class _NumberKind(_OwnKind):
    """Python's and numpy's numbers: what holds them is rebuilt at every change."""

    def beside(self, value: Any, array: Array) -> Any:
        return array.item()

    def copy(self, value: Any, dtype: np.dtype[Any] | None = None) -> Any:
        if dtype is None or not isinstance(value, np.generic):
            return value
        return np.result_type(dtype, value.dtype).type(value)

    def cell(self, value: Any, publish: Callable[[Any], None]) -> Cell:
        return _NumberCell(value, publish)

    def same_bits(self, a: Any, b: Any) -> bool:
        return a is b or bool(a == b)


class _NumberCell:
    def __init__(self, value: Any, publish: Callable[[Any], None]) -> None:
        self.kind: Any = type(value)
        array = np.asarray(value).reshape(1)
        self.parts: list[Any] = array.view(array.real.dtype).tolist()
        self.publish = publish

    def __setitem__(self, key: Any, value: Any) -> None:
        self.parts[key] = value.tolist() if isinstance(key, slice) else value
        number = complex(*self.parts) if len(self.parts) == 2 else self.parts[0]
        self.publish(self.kind(number))


class ItemCell:
    """Sets entries of an array that is assigned to by index, as the array API standard has it.

    `convert` makes an array of the same kind of one of numpy's. The coordinates of a complex array
    are kept up here.
    """

    def __init__(
        self, target: Any, convert: Callable[[Array], Any], parts: Array | None = None
    ) -> None:
        self.target, self.convert, self.parts = target, convert, parts
        self.shape = tuple(target.shape)

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.parts is not None:
            self.parts[key] = value
        if isinstance(key, slice):
            array = value if self.parts is None else complex_of(self.parts)
            self.target[...] = self.convert(array.reshape(self.shape))
            return
        if self.parts is not None:
            key //= 2
            value = complex(self.parts[2 * key], self.parts[2 * key + 1])
        self.target[tuple(map(int, np.unravel_index(key, self.shape)))] = value


NUMPY = _NumpyKind()
NUMBER = _NumberKind()

ASKED: dict[type, ArrayKind] = {}
"""What plugins said, once for each type: func may return such an array at every evaluation."""


def is_masked(value: Any) -> bool:
    """Return whether a value is a masked array; numpy.ma takes long to import, only to ask."""
    # Another thread may be importing it, and then there is no masked array yet.
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    return masked is not None and isinstance(value, masked)


def kind_of(value: Any) -> ArrayKind | None:
    """Return how to handle an array or a number, or None for what is neither."""
    if isinstance(value, np.ndarray):
        return NUMPY
    if isinstance(value, (np.generic, int, float, complex)):
        return NUMBER
    return foreign_kind(value)


_NOT_FOREIGN = (np.ndarray, np.generic, str, bytes)


def foreign_kind(value: Any) -> ArrayKind | None:
    """Return how to handle another library's array, or None for what is none."""
    known = ASKED.get(type(value))
    if known is None and value is not None and not isinstance(value, _NOT_FOREIGN):
        known = plugin_manager().hook.gradcheck_array(value=value)
        if known is not None:
            _require_kind(known, value)
            ASKED[type(value)] = known
    return known


def _require_kind(kind: Any, value: Any) -> None:
    needed = ("to_numpy", "like", "copy", "cell")
    if isinstance(kind, type) or not all(callable(getattr(kind, name, None)) for name in needed):
        raise TypeError(
            f"gradcheck_array returned {quoted(kind)} for a value of type "
            f"{type(value).__name__}; return an instance of a subclass of ArrayKind, or None for "
            "what is not yours"
        )


def read(kind: ArrayKind | None, value: Any, name: str) -> Array:
    """Return an array or a number as numpy has it; TypeError when it can't, with the name."""
    assert kind is not None
    try:
        return kind.to_numpy(value)
    except Unreadable as error:
        raise TypeError(f"{brief(name)} {error}") from error


def native_type(dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype is no floating-point type of ml_dtypes, as bfloat16 and float8 are."""
    return dtype.type.__module__ != "ml_dtypes" or "float" not in dtype.name


def native(array: Array) -> Array:
    """Return bfloat16 and float8, as ml_dtypes gives them to numpy, as float32, which is exact."""
    return array if native_type(array.dtype) else array.astype(np.float32)


@cache
def eps_of(dtype: np.dtype[Any]) -> float:
    """Return the machine epsilon of a dtype, float64's at the least and for integers."""
    if not native_type(dtype):
        return float(sys.modules["ml_dtypes"].finfo(dtype).eps)
    return max(float(np.finfo(dtype).eps), EPS) if dtype.kind in "fc" else EPS


def to_float(number: float) -> float:
    """Return a Python number as a float: infinity for an int beyond all of them."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def coordinates(array: Array) -> Array:
    """Return an array's coordinates in C order: shape (size,), a complex entry as two."""
    flat = array.reshape(-1) if array.flags.c_contiguous else array.ravel(order="C")
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


def complex_of(parts: Array) -> Array:
    """Return complex entries of their coordinates."""
    return parts.view(np.result_type(parts.dtype, np.complex64))


def window(array: Array) -> Any:
    """Return what sets coordinates in the memory of a numpy array."""
    if array.dtype.kind == "c":
        return array.reshape(-1).view(array.real.dtype)
    # A one-dimensional view where the memory allows it; else C order through flat.
    return array.reshape(-1) if array.flags.c_contiguous else array.flat


def same_bits(a: Array, b: Array) -> bool:
    """Return whether two arrays of one dtype hold the same bits, NaN and the sign of 0 included."""
    dtype = a.dtype
    if a.shape != b.shape or dtype != b.dtype:
        return False
    few = a.nbytes <= 1 << 16
    if few and dtype.kind in "fi" and dtype.itemsize <= 8:  # nearly always
        return a.tobytes() == b.tobytes()
    first, second = np.ascontiguousarray(a), np.ascontiguousarray(b)
    if first.dtype.names is not None and first.dtype.hasobject:
        return all(same_bits(first[name], second[name]) for name in first.dtype.names)
    if first.dtype.kind == "T":  # numpy's strings of any length: their bits are addresses
        return bool((first == second).all())
    if first.dtype.hasobject:
        return all(x is y for x, y in zip(first.flat, second.flat, strict=True))
    if (first.dtype.itemsize == 16 and first.dtype.kind == "f") or first.dtype.itemsize == 32:
        # The padding bytes of a longdouble are not part of its value.
        return bool(np.array_equal(first, second, equal_nan=True))
    if few:
        return first.tobytes() == second.tobytes()
    # Of many parameters no copy is made.
    whole = np.dtype(np.uint64 if first.dtype.itemsize % 8 == 0 else np.uint8)
    one, other = first.reshape(-1).view(whole), second.reshape(-1).view(whole)
    return all(np.array_equal(one[part], other[part]) for part in chunks(one.size))


CHUNK = 1 << 15
"""Vectors are made in parts of so many numbers: what is between them stays in the cache, and no
second vector of a million parameters is ever needed."""


def chunks(size: int, most: int = CHUNK) -> Iterator[slice]:
    """Yield the parts of a vector of so many numbers, in order."""
    for start in range(0, size, most):
        yield slice(start, min(start + most, size))


# Any nested structure of parameters as named leaves, and the way back.
#
# A *leaf* is an array or a number with its name in the structure, `W2` or ``layers[3].bias``.
#
# The hook ``gradcheck_flatten`` takes containers apart and returns a `Node`, ``gradcheck_array``
# knows arrays of other libraries; adapters implement both.


@dataclass(frozen=True)
class Node:
    """A container taken apart.

    Parameters
    ----------
    children : sequence of (str, object)
        Each child with the step to it from its container: ``".bias"``, ``"[3]"``.
    rebuild : callable
        Takes the list of new children, in the same order, and returns a new container.
    """

    children: Sequence[tuple[str, Any]]
    rebuild: Callable[[list[Any]], Any]


Taken = tuple[Any, list[str], list[Any]]
"""A container of Python's own taken apart: its keys or length, the children's names, and these."""

OWN: dict[type, Callable[[Any, str], Taken]] = {}
"""What takes apart one that has a name; filled by their adapter."""


def only_own() -> bool:
    """Return whether nobody but our adapters takes containers apart, so that none need be asked."""
    impls = plugin_manager().hook.gradcheck_flatten.get_hookimpls()
    return all(impl.plugin_name.startswith(ADAPTERS) for impl in impls)


ADAPTERS = __package__.partition(".")[0] + ".adapters."


def taken_apart(item: Any) -> Node | None:
    """Ask the adapters; TypeError for an answer that is neither None nor a sound Node."""
    node = plugin_manager().hook.gradcheck_flatten(value=item)
    if node is None:
        return None
    kind = type(item).__name__
    if not isinstance(node, Node):
        raise TypeError(
            f"gradcheck_flatten returned {type(node).__name__} for a value of type {kind}; "
            "return a Node(children, rebuild), or None for what is not yours"
        )
    if not callable(node.rebuild):
        raise TypeError(
            f"gradcheck_flatten: rebuild of {kind} is {quoted(node.rebuild)}; it must be a "
            "function of the list of new children"
        )
    try:
        children = [(step, child) for step, child in node.children]
    except (TypeError, ValueError):
        children = [(None, None)]  # type: ignore[list-item]
    if not all(isinstance(step, str) for step, _ in children):
        raise TypeError(
            f"gradcheck_flatten: children of {kind} must be pairs of the step to each, a str "
            "('.bias', '[3]'), and the child"
        )
    return Node(children, node.rebuild)


ROOT = "params"

DEEPEST = 200
"""Containers in containers: each takes two of the 1,000 frames that Python has, there and back."""


class Leaf(NamedTuple):
    """One value of a structure, with its name."""

    name: str
    value: Any
    kind: ArrayKind | None = None

    @property
    def numeric(self) -> bool:
        """Whether the value is an array or a number."""
        return self.kind is not None

    @property
    def is_array(self) -> bool:
        """Whether the value is an array, of whatever library."""
        return self.kind is not None and self.kind is not NUMBER

    @property
    def array(self) -> np.ndarray[Any, Any]:
        """The value as numpy has it, not to be written to.  TypeError: it can't have it."""
        if type(self.value) is np.ndarray and self.value.dtype is DOUBLE:  # nearly always
            return self.value
        return read(self.kind, self.value, self.name)

    @property
    def size(self) -> int:
        """How many entries; 1 of what is no array."""
        return math.prod(np.shape(self.value)) if self.numeric else 1

    @property
    def eps(self) -> float:
        """The machine epsilon of the value's own type, of which numpy may have no equal."""
        assert self.kind is not None
        return self.kind.eps(self.value)


class Others(NamedTuple):
    """The form of a container that is not Python's own: what rebuilds it, and the forms inside."""

    rebuild: Callable[[list[Any]], Any]
    inner: tuple[Any, ...]


Form = tuple[Any, ...] | None
"""What containers a structure is made of: of a dict, list or tuple its type, its keys or length and
the forms inside, or how many leaves and nothing else; `Others` of another's; () of a leaf, None of
one of which nothing is known."""


class Structure:
    """A nested structure as leaves in order, and the way back.

    There may be tens of thousands: their names, values and kinds are lists, and a `Leaf` is made of
    each where any is asked for.
    """

    def __init__(
        self, names: list[str], values: list[Any], kinds: list[ArrayKind | None], form: Form
    ) -> None:
        self.names, self.values, self.kinds, self.form = names, values, kinds, form
        self._leaves: tuple[Leaf, ...] | None = None

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves, with their names."""
        if self._leaves is None:
            self._leaves = tuple(map(Leaf, self.names, self.values, self.kinds))
        return self._leaves

    def rebuild(self, values: Iterable[Any]) -> Any:
        """Return the structure with other values for its leaves."""
        return _built(self.form, iter(values))

    def values_of(self, other: Any) -> list[Any] | None:
        """Return the leaves of what is made of the same containers; None where that isn't known."""
        # No name is made and nobody is asked, so that it takes a tenth of the time of `flatten`.
        found: list[Any] = []
        return found if _follow(self.form, other, found) else None


def _follow(form: Form, item: Any, found: list[Any]) -> bool:
    """Add the leaves of an item to `found`; return whether it has this form."""
    if not form:
        found.append(item)
        return form is not None and (type(item) in _SURE or type(item) in ASKED)
    if type(form) is Others:
        return False
    kind, keys, inner = form
    if type(item) is not kind or keys != (list(item) if kind is dict else len(item)):
        return False
    children = list(item.values()) if kind is dict else item
    if type(inner) is not int:
        return all(_follow(one, child, found) for one, child in zip(inner, children, strict=True))
    found += children
    return all(own in _SURE or own in ASKED for own in {*map(type, children)})


def _built(form: Form, values: Iterator[Any]) -> Any:
    """Return what has this form, with the next values in it."""
    if not form:
        return next(values)
    inner, alike = form[-1], type(form[-1]) is int
    children = [*islice(values, inner)] if alike else [_built(one, values) for one in inner]
    if type(form) is Others:
        return form.rebuild(children)
    kind, keys, _ = form
    return dict(zip(keys, children, strict=True)) if kind is dict else kind(children)


_SURE = frozenset((np.ndarray, np.float64, np.float32, float, int))
"""Types of leaves that no other type can hide behind."""

_LEAVES = (np.ndarray, np.generic, int, float, complex)


def flatten(value: Any, what: str = ROOT) -> Structure:
    """Take a nested structure apart; leaves are in the containers' order."""
    # What no adapter takes apart is a leaf; None is an empty container. TypeError when a
    # ``gradcheck_flatten`` returns no `Node`, ValueError when a container holds itself or is nested
    # deeper than `DEEPEST`, or two leaves would have the same name; errors call the structure
    # `what`.
    if isinstance(value, _LEAVES):  # most often, and at every look at what func left behind
        if type(value) is int:  # alone, it stands for the float
            value = to_float(value)
        return Structure([ROOT], [value], [kind_of(value)], ())
    found = Structure([], [], [], None)
    found.form = _visit(value, "", what, found, (), OWN if only_own() else {})
    names = found.names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"two parameters have the same name {quoted(twice)}: rename a key, so that a report "
            "can tell them apart"
        )
    return found


def _visit(
    item: Any,
    name: str,
    what: str,
    found: Structure,
    inside: tuple[int, ...],
    own: Mapping[type, Callable[[Any, str], Taken]],
) -> Form:
    """Add the leaves of an item to those that were found; return its form.

    `inside` are the ids of the containers that it is in, `own` takes apart by type what no adapter
    need be asked for. No closure that calls itself: the cycle would keep a gradient of a million
    entries alive.
    """
    if isinstance(item, _LEAVES) or type(item) in ASKED:
        return _add(found, name, item, kind_of(item))
    node = None
    if (ours := own.get(type(item))) is not None:
        keys, names, children = ours(item, name)
    elif (node := Node((), _nothing) if item is None else taken_apart(item)) is None:
        return _add(found, name, item, foreign_kind(item))
    else:
        keys, children = None, [child for _, child in node.children]
        names = [joined(name, step) for step, _ in node.children]
    if id(item) in inside:
        at = f" at {brief(name)}" if name else ""
        place = brief(name or ROOT) if what == ROOT else what + at
        raise ValueError(f"{place} holds itself: a structure of parameters must be a tree")
    if len(inside) == DEEPEST:
        raise ValueError(
            f"{what} is nested too deeply to be taken apart, more than {DEEPEST} containers; "
            "pass its arrays in one dict"
        )
    if node is None and {*map(type, children)} == _ARRAYS:
        # Nearly always, and there may be tens of thousands: no function is called for each.
        found.names += names
        found.values += children
        found.kinds += [NUMPY] * len(children)
        return type(item), keys, len(children)
    within, forms = (*inside, id(item)), list[Form]()
    for called, child in zip(names, children, strict=True):
        forms.append(_visit(child, called, what, found, within, own))
    if node is not None:
        return Others(node.rebuild, tuple(forms))
    return type(item), keys, tuple(forms) if any(form != () for form in forms) else len(forms)


_ARRAYS = {np.ndarray}


def _nothing(children: list[Any]) -> None:
    """Rebuild None, an empty container."""


def _add(found: Structure, name: str, value: Any, kind: ArrayKind | None) -> Form:
    """Add a leaf to those that were found; return its form."""
    found.names.append(name or ROOT)
    found.values.append(value)
    found.kinds.append(kind)
    return None if kind is None else ()


def joined(name: str, step: str) -> str:
    """Return the name of what is one step further inside: ``layers[3].bias``."""
    if name:
        return name + step
    return step[1:] if step.startswith(".") else ROOT + step
