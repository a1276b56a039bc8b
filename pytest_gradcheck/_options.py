"""The options of a check: one frozen dataclass that every way of setting them is made from.

This module imports neither numpy nor pytest, because pytest reads it at start-up to build its
command line.  A field's metadata holds what the marker, the command line and the ini file need to
know of it; what it means stands in the docstring of `Options`, for the command line and the site
too.  What a caller may pass is said once more, for type checkers, by
the classes named ``…Options``: public functions take ``**options: Unpack[…]`` of one of them, and
`takes` writes out for everybody else what is in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from inspect import Parameter, cleandoc, signature
from typing import Any, Literal, Protocol, TypedDict, TypeVar

from ._quoting import quoted, shown

Patterns = str | Sequence[str]


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

    convert.names = names  # type: ignore[attr-defined]  # for the command line's help
    return convert


def _patterns(value: Any) -> tuple[str, ...]:
    given = (value,) if isinstance(value, str) else value
    found = []  # one pass: an iterator has no second
    for item in given if isinstance(given, Iterable) else (None,):
        if not isinstance(item, str):
            raise TypeError(f"must be a glob pattern or a list of them, not {quoted(value)}")
        found.append(item)
    return tuple(found)


def _entries(value: Any) -> tuple[tuple[str, Any], ...]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise TypeError(
            "must be a dict from names of blocks, or glob patterns, to a mask or an index of the "
            f"entries that are checked, not {quoted(value)}"
        )
    return tuple(value.items())


def _function(value: Any) -> Callable[..., Any]:
    if not callable(value):
        raise TypeError(f"must be a function of params, not {quoted(value)}")
    found: Callable[..., Any] = value
    return found


VMAP = "vmap"  # the value of `vectorized` that has a func of one point batched by its library


def flag(value: Any) -> bool:
    """Return a yes or no, Python's own or numpy's, as a bool."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"must be True or False, not {quoted(value)}")
    return bool(value)


def converted(name: str, value: Any, convert: Callable[[Any], Any]) -> Any:
    """Return what a converter makes of an argument; its errors begin with the argument's name."""
    try:
        return convert(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} {error}") from None


def _vectorized(value: Any) -> bool | str:
    if isinstance(value, str) and value == VMAP:
        return VMAP
    if value is not True and value is not False:
        raise TypeError(f'must be True, False or "{VMAP}", not {quoted(value)}')
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


def _option(default: Any, convert: Callable[[Any], Any], *, cli: bool = True) -> Any:
    return field(default=default, metadata={"convert": convert, "cli": cli})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a check, beside func, grad and params.

    Every field is a keyword of `assert_gradients_close` and an argument of the marker; those
    with ``cli`` in their metadata are a command-line option and an ini key too.

    Attributes
    ----------
    rtol : float, optional
        Relative tolerance of each parameter.  Where func is too imprecise for it, the parameter is
        inconclusive.  Unset: as tight as the dtypes and the noise of func allow, from 1e-7 to 1e-2.
    atol : float, optional
        Absolute tolerance of each parameter.  Unset: a small part of the gradient of its block, far
        below what rtol allows.
    eps : float, optional
        The step size, the same for every parameter and taken exactly: 2 evaluations for each
        parameter and 2 more.  What looks wrong is asked at other steps, too, and is inconclusive
        where this one can't tell.  Unset: chosen for each parameter.
    threshold : float, optional
        Largest `difference` of the report, the norm ratio, that passes.  Unset: not applied.
    scheme : str, optional
        "central" (default), "central4", "central6", "forward", "backward", "forward2",
        "backward2", or "complex" for a func that accepts complex parameters.
    max_evals : int, optional
        Largest number of evaluations of func.  What they leave unsettled is inconclusive.  Unset:
        as many as it takes, and random directions in place of more than about 4,200.
    seed : int, optional
        Seed of the random directions, default 0.
    only, skip : str or sequence of str, optional
        Names of blocks, or glob patterns, to check or to leave out.
    entries : dict, optional
        Which entries of a block are checked.  Keys are names of blocks, or glob patterns; values
        are boolean masks of the block's shape, or indices as numpy takes them
        (``{"weight": numpy.s_[1:]}``: all rows but the first).  The others are never perturbed.
    reference : callable, optional
        ``reference(params, *args)``, the function whose numeric gradient is taken in place of
        func's: the same formula in double, or plain code for a kernel.  It gets float64 copies of
        the parameters and returns what func does, without a gradient.
    nondet_tol : float, optional
        By how much func may differ between two calls at the same parameters, default 0.
    inconclusive : {"fail", "warn", "pass"}, optional
        What the check does where a parameter is inconclusive: "fail" (default), "warn" or
        "pass".
    kinks : {"pass", "fail"}, optional
        Whether a value between the two slopes of a kink passes: "pass" (default) or "fail".
    vacuous : {"note", "fail", "warn", "pass"}, optional
        What the check does where func does not depend on a block, or the point is stationary.
        "note" (default) names it, and fails where func depends on no parameter at all; or "fail",
        "warn", "pass".
    repairs : {"try", "skip"}, optional
        Whether, after a failure, grad is called with one expression of its code changed at a time,
        to name the line that was wrong and what it would be.  "try" (default) takes 1.5 seconds
        of a processor, 5 on the clock, at most, and changes nothing of yours; or "skip".
    max_report : int, optional
        How many of the worst parameters a failure lists, default 5; 0: all.
    workers : int, executor, or map-like callable, optional
        Where func is evaluated; results are the same.  A number of threads (-1: one for each
        processor); a ``concurrent.futures.Executor``, for which func must be picklable if it has
        processes; Dask's ``client.get_executor()``; or a ``map(function, list)``.  Default 1: in
        the calling thread.
    vectorized : bool or "vmap", optional
        func takes many points at once: every array in params has a leading batch axis, floats
        are arrays of shape (batch,), and J has shape (batch,).  grad gets params without it.
        "vmap": func takes one point, and ``torch.func.vmap`` or ``jax.vmap`` makes the batch.
    """

    rtol: float | None = _option(None, _relative)
    atol: float | None = _option(None, _not_negative)
    eps: float | None = _option(None, _positive)
    threshold: float | None = _option(None, _positive)
    scheme: str = _option("central", _one_of(*SCHEMES))
    max_evals: int | None = _option(None, _whole(8))
    seed: int = _option(0, _whole(0))
    only: tuple[str, ...] = _option((), _patterns, cli=False)
    skip: tuple[str, ...] = _option((), _patterns, cli=False)
    entries: tuple[tuple[str, Any], ...] = _option((), _entries, cli=False)
    reference: Callable[..., Any] | None = _option(None, _function, cli=False)  # noqa: RUF009
    nondet_tol: float = _option(0.0, _not_negative)
    inconclusive: str = _option("fail", _one_of("fail", "warn", "pass"))
    kinks: str = _option("pass", _one_of("pass", "fail"))
    vacuous: str = _option("note", _one_of("note", "fail", "warn", "pass"))
    repairs: str = _option("try", _one_of("try", "skip"))
    max_report: int = _option(5, _whole(0))
    workers: Workers = _option(1, _workers, cli=False)  # noqa: RUF009
    vectorized: bool | str = _option(False, _vectorized, cli=False)


UNSET = Options()
NAMES = tuple(item.name for item in fields(Options))
DEFAULTS = {item.name: item.default for item in fields(Options)}
CLI_FIELDS = tuple(item for item in fields(Options) if item.metadata["cli"])


class BlockOptions(TypedDict, total=False):
    """Which blocks are looked at."""

    only: Patterns
    skip: Patterns


class EntryOptions(TypedDict, total=False):
    """Which entries of a block are looked at."""

    entries: Mapping[str, Any] | None


class SeedOptions(BlockOptions, total=False):
    """The options of Taylor remainders."""

    seed: int


class EvaluationOptions(SeedOptions, total=False):
    """The options of `numerical_gradient_with_error`."""

    workers: Workers
    vectorized: bool | Literal["vmap"]


class NumericOptions(EvaluationOptions, total=False):
    """The options of `numerical_gradient`."""

    eps: float | None
    scheme: str


class ToleranceOptions(TypedDict, total=False):
    """How far two numbers may be apart, and how many that are farther are shown."""

    rtol: float | None
    atol: float | None
    threshold: float | None
    max_report: int


class ComparisonOptions(BlockOptions, EntryOptions, ToleranceOptions, total=False):
    """The options of `compare_gradients`."""


class AdjointOptions(SeedOptions, ToleranceOptions, total=False):
    """The options of checks of pairs of adjoint operators."""

    max_evals: int | None
    nondet_tol: float
    inconclusive: str
    kinks: str
    vacuous: str


class DerivativeOptions(AdjointOptions, total=False):
    """The options of checks of other derivatives than gradients."""

    workers: Workers
    repairs: str


class JacobianOptions(DerivativeOptions, EntryOptions, total=False):
    """The options of checks of Jacobians and products with them."""

    reference: Callable[..., Any] | None


class CheckOptions(JacobianOptions, total=False):
    """All options, as a caller may pass them: `assert_gradients_close` takes each."""

    eps: float | None
    scheme: str
    vectorized: bool | Literal["vmap"]


F = TypeVar("F", bound=Callable[..., Any])
MISSING: Any = object()  # in the place of func, or grad, where a call has none


def takes(kind: type[Any]) -> Callable[[F], F]:
    """Write out, for `help` and `inspect.signature`, the ``**options`` of a function.

    Its signature has a keyword with its default for each option in `kind`, and its docstring their
    entries in `Options`' in place of one for ``**options``.  The function itself stays as it is,
    but that one with `more` is also called without func or grad: `require_arrays` says so.
    """
    hints = kind.__annotations__
    names = [name for name in NAMES if name in hints]

    def filled(function: F) -> F:
        given = signature(function)
        variadic = Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL
        every = given.parameters.values()
        own = [one for one in every if one.kind not in variadic and one.name not in names]
        options = [
            Parameter(
                name,
                Parameter.KEYWORD_ONLY,
                default=DEFAULTS[name],
                # As the signature's own annotations are: text.
                annotation=getattr(hints[name], "__forward_arg__", hints[name]),
            )
            for name in names
        ]
        function.__signature__ = given.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
        function.__doc__ = _written_out(function.__doc__, names)
        if any(one.kind is Parameter.VAR_POSITIONAL for one in every):
            function.__defaults__ = (MISSING, MISSING, None)
        return function

    return filled


_ENTRY = re.compile(r"^(\*\*|\w+)(?:.* : .*|options)\n(?: {4}.*\n)+", re.M)
_ENTRIES = {match[1]: match[0] for match in _ENTRY.finditer(f"{cleandoc(Options.__doc__ or '')}\n")}
"""Of `Options`' docstring, by the first name in each."""

HELP = {
    name: " ".join(text.split())
    for head, _, text in (entry.partition("\n") for entry in _ENTRIES.values())
    for name in head.partition(" : ")[0].split(", ")
}
"""What each option means; empty where Python runs without docstrings."""


def _written_out(doc: str | None, names: Sequence[str]) -> str | None:
    """Put the entries of options in place of the entry ``**options`` of a docstring."""
    if doc is None or "**options\n" not in doc:
        return doc
    doc = cleandoc(doc)
    own = {match[1] for match in _ENTRY.finditer(doc)}  # an option may mean something else here
    written = "".join(_ENTRIES[name] for name in names if name in _ENTRIES and name not in own)
    return _ENTRY.sub(lambda one: written if one[1] == "**" else one[0], doc)


def require_known(function: Callable[..., Any], given: Mapping[str, Any], name: str = "") -> None:
    """Raise TypeError for an option that a public function does not take; `name` is its name."""
    if not given:
        return
    taken = signature(function).parameters
    unknown = [one for one in given if one not in taken]
    if unknown:
        keywords = [one.name for one in taken.values() if one.kind is Parameter.KEYWORD_ONLY]
        raise _unknown(name or function.__name__, unknown, keywords)


_STEP = "the step is eps=, and rather left out: it is chosen from func's noise"
_TOLERANCES = "the tolerances are rtol= for each entry and threshold= for the norm ratio"
_STRUCTURE = "put what is to be checked into params, one structure, and the rest into args=(...)"
_PAIR = (
    "where func returns (J, gradient), write grad=True; else the gradient is the second argument"
)
HABITS = {
    **dict.fromkeys(("argnum", "argnums"), _STRUCTURE),
    **dict.fromkeys(("delta", "dx", "epsilon", "h", "step", "step_size"), _STEP),
    **dict.fromkeys(("tol", "tolerance"), _TOLERANCES),
    **dict.fromkeys(("jac", "value_and_grad"), _PAIR),
    "abs_tol": "the tolerances are rtol= and atol=, for each entry",
    **dict.fromkeys(("fprime", "gradient"), "the gradient is the second argument, grad"),
    "kwargs": "bind them: functools.partial(func, name=value), and grad likewise",
    "method": "the difference formula is scheme=",
    "n_jobs": "processes are workers=",
    "options": "each option is a keyword of its own, such as rtol=1e-5",
    "order": "the difference formula is scheme=, such as 'central4'",
    "raise_exception": "check_gradients returns the report, and assert_gradients_close raises",
    "random_state": "the seed is seed=",
    "rel_tol": "the tolerances are rtol= and atol=, for each entry",
    **dict.fromkeys(("f", "fn", "fun", "function"), "the function is the first argument, func"),
    **dict.fromkeys(("inputs", "theta", "x", "x0"), "the point is the third argument, params"),
}
"""What other checkers call things, and what to write here."""


def options_from(function: Callable[..., Any], given: Mapping[str, Any]) -> Options:
    """Return the options of a call of a public function."""
    require_known(function, given)
    return merged(("gradcheck", given))


def _unknown(source: str, names: Iterable[str], known: Iterable[str]) -> TypeError:
    from difflib import get_close_matches

    given, known = sorted(names), list(known)
    near = {name: get_close_matches(name, known, 1) for name in given if name not in HABITS}
    advice = [HABITS[name] for name in given if name in HABITS]
    advice += [f"did you mean {match[0]}?" for match in near.values() if match]
    if not all(near.values()):
        advice.append(f"the options are {', '.join(known)}")
    named = f"{source}: no option named {', '.join(map(shown, given))}"
    return TypeError("; ".join([named, *dict.fromkeys(advice)]))


def require_arrays(name: str, func: Any, grad: Any, more: tuple[Any, ...]) -> None:
    """Raise TypeError where func or grad is missing, or arrays were passed one by one."""
    if func is MISSING or grad is MISSING:
        lacking = " and ".join(["func"] * (func is MISSING) + ["grad"] * (grad is MISSING))
        raise TypeError(
            f"{name}: {lacking} missing; write {name}(func, grad, params), with grad=True where "
            "func returns (J, gradient)"
        )
    if more:
        raise TypeError(
            f"{name} takes one params, but {len(more)} more followed it; for a func(W, b) pass "
            f"{name}(lambda p: func(*p), lambda p: grad(*p), (W, b)), and what is not to be "
            "checked in args=(...)"
        )


def validated(given: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return options converted to the types of `Options`; None stays, for "unset".

    TypeError for a name that is none or a value of another type, ValueError for one out of range,
    with the `source`: ``"marker gradcheck"``, ``"gradcheck_rtol in ..."``.
    """
    if not given:
        return {}
    unknown = set(map(str, given)) - set(NAMES)
    if unknown:
        raise _unknown(source, unknown, NAMES)
    converters = {item.name: item.metadata["convert"] for item in fields(Options)}
    checked: dict[str, Any] = {}
    for name, value in given.items():
        checked[name] = (
            DEFAULTS[name]
            if value is None
            else converted(f"{source}: {name}", value, converters[name])
        )
    return checked


def merged(*layers: tuple[str, Mapping[str, Any]]) -> Options:
    """Make Options of layers, the weakest first: where each comes from, and its options."""
    values: dict[str, Any] = {}
    for source, layer in layers:
        values.update(validated(layer, source))
    return Options(**values) if values else UNSET


class GradcheckWarning(UserWarning):
    """A check that can't tell, or checked nothing, where the options ask for a warning.

    And a slope that `numerical_gradient` returns though it grows without limit.
    """
