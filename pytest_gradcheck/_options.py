"""The options of a check: one frozen dataclass that every way of setting them is made from.

This module imports neither numpy nor pytest, because pytest reads it at start-up to build its
command line.  A field's metadata holds what the marker, the command line, the ini file and the
README's table need to know of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypedDict

from ._quoting import quoted, shown

Patterns = str | Sequence[str]


def options_from(**given: Any) -> Options:
    """Return the options of a call."""
    return merged(("gradcheck", given))


class Judging(TypedDict, total=False):
    """The options of `assert_gradients_close` that the checks of other derivatives take."""

    rtol: float | None
    atol: float | None
    threshold: float | None
    max_evals: int | None
    seed: int
    only: Patterns
    skip: Patterns
    nondet_tol: float
    inconclusive: str
    kinks: str
    vacuous: str
    max_report: int


SCHEMES = (
    "central",
    "central4",
    "central6",
    "forward",
    "backward",
    "forward2",
    "backward2",
    "complex",
)
"""Names of the rows of the stencil table (`STENCILS`; a test holds the two together)."""


class Submits(Protocol):
    """What `workers` needs of an executor, as ``concurrent.futures.Executor`` has it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Return a future of ``fn(*args, **kwargs)``."""


Workers = int | Submits | Callable[..., Iterable[Any]]


def _number(value: Any, wanted: str, holds: Callable[[float], bool]) -> float:
    of_bools = getattr(getattr(value, "dtype", None), "kind", "") == "b"  # numpy's True is 1.0
    if of_bools or isinstance(value, (bool, bytes, list, tuple, dict)):
        raise TypeError(f"must be {wanted}, not {quoted(value)}")
    try:
        number = float(value)
    except OverflowError:  # an int beyond all floats
        number = math.inf
    except Exception:  # a float() of the value's own may raise anything
        raise TypeError(f"must be {wanted}, not {quoted(value)}") from None
    if not (math.isfinite(number) and holds(number)):
        raise ValueError(f"must be {wanted}, not {quoted(value)}")
    return number


def _positive(value: Any) -> float:
    return _number(value, "a positive finite number", lambda x: x > 0)


def _relative(value: Any) -> float:
    number = _positive(value)
    if number >= 1:
        raise ValueError(f"must be below 1, or no gradient would be wrong, not {quoted(value)}")
    return number


def _not_negative(value: Any) -> float:
    return _number(value, "a finite number, 0 or more", lambda x: x >= 0)


def _whole(least: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        wanted = f"a whole number, {least} or more"
        number = _number(value, wanted, lambda x: x >= least and x == int(x))
        try:
            return int(value)  # exact above 2**53, as seeds may be
        except (TypeError, ValueError):
            return int(number)  # "1e6"

    return convert


def _one_of(*names: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"must be one of {', '.join(map(repr, names))}, not {quoted(value)}")
        return str(value)

    return convert


def _patterns(value: Any) -> tuple[str, ...]:
    given = (value,) if isinstance(value, str) else value
    found = []  # one pass: an iterator has no second
    for item in given if isinstance(given, Iterable) else (None,):
        if not isinstance(item, str):
            raise TypeError(f"must be a glob pattern or a list of them, not {quoted(value)}")
        found.append(item)
    return tuple(found)


def _flag(value: Any) -> bool:
    if value is not True and value is not False:
        raise TypeError(f"must be True or False, not {quoted(value)}")
    return bool(value)


def _workers(value: Any) -> Workers:
    wanted = (
        "a number of threads (-1: one for each processor), a concurrent.futures executor, or a "
        "callable like map"
    )
    if callable(getattr(value, "get_executor", None)):
        raise TypeError(f"must be {wanted}; pass client.get_executor() for a Dask client")
    a_class = isinstance(value, type) and hasattr(value, "submit")  # map is a type, and fine
    if a_class or isinstance(value, (bool, str)):
        raise TypeError(f"must be {wanted}, not {quoted(value)}")
    if callable(getattr(value, "submit", None)) or callable(value):
        found: Workers = value
        return found
    number = _number(value, wanted, lambda x: (x >= 1 or x == -1) and x == int(x))
    return int(number)


def _option(default: Any, convert: Callable[[Any], Any], text: str, cli: bool = True) -> Any:
    return field(default=default, metadata={"convert": convert, "help": text, "cli": cli})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a check may be told beside func, grad and params.

    Every field is a keyword of `assert_gradients_close` and an argument of the marker; those
    with ``cli`` in their metadata are a command-line option and an ini key too.
    """

    rtol: float | None = _option(
        None,
        _relative,
        "relative tolerance per parameter; unset: as tight as func allows, from 1e-7 to 1e-2",
    )
    atol: float | None = _option(
        None,
        _not_negative,
        "absolute tolerance per parameter; unset: relative to the gradient of its block",
    )
    eps: float | None = _option(
        None,
        _positive,
        "the step, the same for every parameter, taken exactly; unset: chosen per parameter",
    )
    threshold: float | None = _option(
        None,
        _positive,
        "largest difference (the norm ratio) that passes; unset: reported, not applied",
    )
    scheme: str = _option("central", _one_of(*SCHEMES), f"difference formula: {', '.join(SCHEMES)}")
    max_evals: int | None = _option(
        None, _whole(8), "most evaluations of func in one check; unset: as many as it needs"
    )
    seed: int = _option(0, _whole(0), "seed of everything random in a check")
    only: tuple[str, ...] = _option(
        (), _patterns, "glob patterns: check only the blocks with these names", cli=False
    )
    skip: tuple[str, ...] = _option(
        (), _patterns, "glob patterns: leave out the blocks with these names", cli=False
    )
    nondet_tol: float = _option(
        0.0, _not_negative, "by how much func may differ between two calls at the same parameters"
    )
    inconclusive: str = _option(
        "fail",
        _one_of("fail", "warn", "pass"),
        "what a check that can't tell does to the test: fail, warn or pass",
    )
    kinks: str = _option(
        "pass",
        _one_of("pass", "fail"),
        "whether a subgradient at a kink passes: pass or fail",
    )
    vacuous: str = _option(
        "fail",
        _one_of("fail", "warn", "pass"),
        "what a block on which nothing was checked does to the test: fail, warn or pass",
    )
    max_report: int = _option(5, _whole(0), "worst parameters shown in a failure; 0: all")
    workers: Workers = _option(  # noqa: RUF009 - a field, as the others
        1,
        _workers,
        "who evaluates func: a number of threads, an executor, or a callable like map",
        cli=False,
    )
    vectorized: bool = _option(
        False,
        _flag,
        "func takes a leading batch axis on every array and returns shape (batch,)",
        cli=False,
    )


NAMES = tuple(item.name for item in fields(Options))
CLI_FIELDS = tuple(item for item in fields(Options) if item.metadata["cli"])


def validated(given: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Check names and values of options.

    Parameters
    ----------
    given : mapping of str to object
        Options by name.
    source : str
        Where they come from, for the error: ``"marker gradcheck"``, ``"gradcheck_rtol in ..."``.

    Returns
    -------
    dict
        The same options, converted to the types of `Options`.  A None stays None ("unset").

    Raises
    ------
    TypeError
        For a name that is not an option, or a value of another type.
    ValueError
        For a value that is out of range.
    """
    unknown = sorted(set(map(str, given)) - set(NAMES))
    if unknown:
        raise TypeError(
            f"{source}: no option named {', '.join(map(shown, unknown))}; the options are "
            f"{', '.join(NAMES)}"
        )
    converters = {item.name: item.metadata["convert"] for item in fields(Options)}
    defaults = {item.name: item.default for item in fields(Options)}
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            checked[name] = defaults[name]
            continue
        try:
            checked[name] = converters[name](value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{source}: {name} {error}") from None
    return checked


def merged(*layers: tuple[str, Mapping[str, Any]]) -> Options:
    """Make Options from layers, the first being the weakest.

    Parameters
    ----------
    *layers : (str, mapping)
        The source's name, for errors, and its options.

    Returns
    -------
    Options

    Raises
    ------
    TypeError, ValueError
        As in `validated`.
    """
    values: dict[str, Any] = {}
    for source, layer in layers:
        values.update(validated(layer, source))
    return Options(**values)


class GradcheckWarning(UserWarning):
    """A check that can't tell, or checked nothing, where the options ask for a warning.

    And a slope that `numerical_gradient` returns though it grows without limit.
    """
