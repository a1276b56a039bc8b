"""Which one change to a statement of grad makes its gradient right: there it was wrong.

Mutation-based fault localisation [1]_, in which the numeric gradient says what is right.  Copies of
the statements that grad has executed are changed one expression at a time: another number,
operator, name of an array of the same shape, a term or a factor or a call left out, a
transposition, a derivative put in, or the whole statement left out; and grad is called with each.

What is the user's stays as it is.  Functions run other code for the time of one call, in this
thread alone, and get their own back whatever happens.  Arrays that were there before can't be
written to meanwhile, and what containers hold is put back after every call.  Only the main thread
does this: two that changed one function would put back each other's code.

References
----------
.. [1] M. Papadakis and Y. Le Traon, "Metallaxis-FL: mutation-based fault localization", Software
   Testing, Verification and Reliability 25 (2015).
"""

from __future__ import annotations

import ast
import copy
import functools
import gc
import io
import logging
import operator
import os
import random
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from time import perf_counter, thread_time
from types import CellType, CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

import numpy as np

from .statements import LAMBDA
from .trace import PLAIN, Kind, Recorder, Sight, is_users

MOST_TRIED = 3000
"""Changes that are tried."""

SECONDS = 1.0
"""Of this thread, in which they are: a grad that takes long is not called so often."""

PATIENCE = 5 * SECONDS
"""On the clock, where grad waits, or the machine is busy."""

MOST_OBJECTS = 10_000
"""Objects within reach of the user's functions that are kept; with more, nothing is tried."""


@dataclass(frozen=True)
class Repair:
    """A statement, and what it would be for some blocks to agree: "pass", left out."""

    file: str
    line: int
    source: str
    mended: str
    blocks: frozenset[str]


def repairs(
    call: Callable[[], frozenset[str]],
    wrong: Collection[str],
    seen: Recorder,
    order: Sequence[tuple[str, int]],
    innocent: Collection[CodeType],
    roots: Sequence[Any],
) -> list[Repair]:
    """Return the first change with which all wrong blocks agree, or some that do it together.

    `call` runs grad and returns which of the wrong blocks are right now, none if others no longer
    are; `order` are lines, the likeliest first; `innocent` is code that is right, and `roots` are
    what grad gets.  Code in which someone may be stopping, or a loop may never end, is left alone.
    """
    if _debugged() or threading.current_thread() is not threading.main_thread():
        return []
    reached = _reached(roots, seen.files())
    # What a cache of the standard library holds can't be put back: it has right values alone.
    caches = [one for one in reached if isinstance(one, functools._lru_cache_wrapper)]
    cached = [one for one in _reached(caches, seen.files()) if isinstance(one, FunctionType)]
    innocent = {*innocent, *(one.__code__ for one in cached)}
    functions = [*_functions(seen, innocent, reached)]
    suspects = [each for function in functions for each in _suspects(function, seen, order)]
    suspects.sort(key=lambda one: one.rank)
    until, latest, left = thread_time() + SECONDS, perf_counter() + PATIENCE, MOST_TRIED
    found: list[Repair] = []
    with _kept(reached, seen.written()) as restore:
        # What is there is likelier wrong than what is not.
        for changes in (_others, _derivatives, _more):
            tried = ((s, new) for s in suspects for new in _variants(s.statement, s.sight, changes))
            for one, new in tried:
                left -= 1
                if left < 0 or thread_time() > until or perf_counter() > latest:
                    return _together(found, wrong)
                agreeing = _tried(one, new, call)
                restore()
                if agreeing:
                    text = one.function.written(new)
                    text = text if "'" in one.text else text.replace("'", '"')
                    repair = Repair(one.file, one.line, one.text, text, agreeing)
                    if len(agreeing) == len(wrong):
                        return [repair]
                    found.append(repair)
            if chosen := _together(found, wrong):
                return chosen
    return []


def _together(found: Sequence[Repair], wrong: Collection[str]) -> list[Repair]:
    """Return the first repairs that make all wrong blocks right between them, or none."""
    chosen: list[Repair] = []
    left = set(wrong)
    for one in sorted(found, key=lambda each: -len(each.blocks)):
        if one.blocks <= left:
            chosen.append(one)
            left -= one.blocks
    return [] if left else chosen


def _debugged() -> bool:
    """Return whether a debugger may stop in the user's code."""
    tracer, monitoring = sys.gettrace(), getattr(sys, "monitoring", None)
    module = str(getattr(tracer, "__module__", type(tracer).__module__))
    if tracer is not None and not module.startswith("coverage"):
        return True
    return monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None


# The user's functions.


@dataclass(frozen=True)
class _Function:
    """A function whose statements were executed, and objects that run it, or what it is in.

    `module` defines that as it is now, in a function with the names that it takes from outside;
    `here` is the expression that tells this thread.
    """

    code: CodeType
    tree: ast.FunctionDef
    objects: tuple[FunctionType, ...]
    module: ast.Module
    here: ast.expr

    def written(self, statement: ast.stmt) -> str:
        """Return the source of one of its statements; a lambda returns without saying so."""
        text = _text(statement)
        return text.removeprefix("return ") if self.code.co_name == LAMBDA else text

    def compiled(self) -> CodeType:
        """Return the code of the objects; ValueError if they can't run it."""
        own = self.objects[0].__code__
        # No file has this name: what is executed here, coverage doesn't count as the user's.
        code = compile(self.module, f"<changed {own.co_filename}>", "exec", dont_inherit=True)
        for name in (AROUND, own.co_name):
            (code,) = (c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
        if code.co_freevars != own.co_freevars:
            raise ValueError(f"{own.co_name} takes other names")
        return code


AROUND = "around"

STOPS = {"breakpoint", "set_trace", "input"}
"""Names of functions that wait for somebody."""

ENDLESS = {"count", "cycle", "repeat", "iter"}
"""Names of functions whose iterators may have no end."""


def _functions(
    seen: Recorder, innocent: Collection[CodeType], reached: Sequence[Any]
) -> Iterator[_Function]:
    """Yield the functions that grad has run; one that it defines itself with what it is in."""
    here = _parsed(f"__import__('threading').get_ident() == {threading.get_ident()}")
    trees = {code: seen.source(code.co_filename).function(code) for code, _ in seen.sights}
    objects: dict[ast.FunctionDef, list[FunctionType]] = {}
    for one in reached:
        if isinstance(one, FunctionType) and (tree := trees.get(one.__code__)) is not None:
            objects.setdefault(tree, []).append(one)
    for code, tree in trees.items():
        around = tree
        while around is not None and around not in objects:
            around = seen.source(code.co_filename).outer(around)
        if around is None or tree is None or code in innocent:
            continue
        if not any(map(_may_not_end, ast.walk(around))) and STOPS.isdisjoint(code.co_names):
            own = tuple(objects[around])
            yield _Function(code, tree, own, _module(around, own[0].__code__.co_freevars), here)


def _may_not_end(node: ast.AST) -> bool:
    """Return whether a node is a loop that only what is in it ends."""
    over = ast.walk(node.iter) if isinstance(node, ast.For) else ()
    names = {getattr(each, "attr", getattr(each, "id", "")) for each in over}
    return isinstance(node, ast.While) or not names.isdisjoint(ENDLESS)


def _module(tree: ast.FunctionDef, names: Sequence[str]) -> ast.Module:
    """Return a module with a function that is not decorated; its body is that of the tree."""
    inner = copy.copy(tree)
    inner.decorator_list = []
    module = ast.parse(f"def {AROUND}({', '.join(names)}): pass")
    module.body[0].body = [inner]  # type: ignore[attr-defined]
    return module


@dataclass(frozen=True)
class _Suspect:
    """A statement at a position of a body, and how likely others are the wrong one."""

    function: _Function
    body: list[ast.stmt]
    index: int
    statement: ast.stmt
    sight: Sight
    text: str
    rank: tuple[int, int]

    @property
    def file(self) -> str:
        """As Python knows it."""
        return self.function.code.co_filename

    @property
    def line(self) -> int:
        """The first of the statement."""
        return self.statement.lineno


def _suspects(
    function: _Function, seen: Recorder, order: Sequence[tuple[str, int]]
) -> Iterator[_Suspect]:
    """Yield the statements that were executed; the last one first, of those not in `order`."""
    file = function.code.co_filename
    source = seen.source(file)
    ranks = {line: rank for rank, (name, line) in reversed([*enumerate(order)]) if name == file}
    for body, index, one in _statements(function.tree):
        sight = seen.sights.get((function.code, one.lineno))
        if sight is not None:
            compound = hasattr(one, "body")
            last = one.lineno if compound else one.end_lineno or one.lineno
            rank = min(ranks.get(line, len(order)) for line in range(one.lineno, last + 1))
            text = _text(one) if compound else source.plan_of(one).text
            yield _Suspect(function, body, index, one, sight, text, (rank, -sight.order))


def _statements(tree: ast.AST) -> Iterator[tuple[list[ast.stmt], int, ast.stmt]]:
    """Yield the statements of a function, not those of functions in it, with where they stand."""
    for field in ("body", "orelse", "finalbody"):
        body = getattr(tree, field, [])
        for index, one in enumerate(body):
            yield body, index, one
            if not isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from _statements(one)


def _text(statement: Any) -> str:
    """Return a statement's source, of one that holds others its head."""
    if hasattr(statement, "body"):
        statement = copy.copy(statement)
        statement.body, statement.orelse = [ast.Pass()], []
    return ast.unparse(statement).partition(":\n")[0]


def _tried(one: _Suspect, new: ast.stmt, call: Callable[[], frozenset[str]]) -> frozenset[str]:
    """Return which blocks are right with another statement; none where it can't be executed."""
    switch = ast.copy_location(ast.If(one.function.here, [new], [one.statement]), one.statement)
    for node in ast.walk(new):
        if not hasattr(node, "lineno") and "lineno" in node._attributes:
            ast.copy_location(node, one.statement)
    one.body[one.index] = switch
    try:
        code = one.function.compiled()
    except (SyntaxError, ValueError):
        return frozenset()
    finally:
        one.body[one.index] = one.statement
    objects = one.function.objects
    own = [each.__code__ for each in objects]
    try:
        for each in objects:
            each.__code__ = code
        return call()
    except (Exception, SystemExit):  # other code may end in any way it likes
        return frozenset()
    finally:
        for each, was in zip(objects, own, strict=True):
            each.__code__ = was


# What may stand in the place of a statement.

OTHER = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Gt: ast.Lt,
    ast.Lt: ast.Gt,
    ast.GtE: ast.Gt,
    ast.LtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
"""Operators, by those that they are taken for."""

ALIKE = (("sum", "mean"), ("sin", "cos"), ("sinh", "cosh"), ("max", "min"), ("maximum", "minimum"))
"""Functions that are taken for each other."""

DERIVATIVES = ("(1 - {0} ** 2)", "{0} * (1 - {0})", "(1 - {0})", "({0} > 0)")
"""Of tanh, the logistic function and relu, by their values; and the other part of a whole."""


Change = tuple[ast.AST, str, Any]
"""A node of a tree, a field of it, and what else may be there."""


def _variants(
    statement: ast.stmt, sight: Sight, changes: Callable[[ast.stmt, Sight], Iterator[Change]]
) -> Iterator[ast.stmt]:
    """Yield a statement as it is after some changes; one copy, that is restored meanwhile."""
    if changes is _others:
        yield from _as_a_whole(statement)
    new = copy.deepcopy(statement)
    for owner, field, other in [*changes(new, sight)]:
        was = getattr(owner, field)
        setattr(owner, field, other)
        yield new
        setattr(owner, field, was)


def _as_a_whole(one: ast.stmt) -> Iterator[ast.stmt]:
    """Yield nothing for a statement that assigns; that it adds to what was there, or doesn't."""
    if not isinstance(one, (ast.Assign, ast.AugAssign)):
        return
    yield ast.Pass()
    if isinstance(one, ast.AugAssign):
        yield ast.Assign([one.target], one.value)
    elif isinstance(one.targets[0], (ast.Name, ast.Subscript)):
        before = copy.copy(one.targets[0])
        before.ctx = ast.Load()
        # Never in place: the array may be one that was given.
        yield ast.Assign(one.targets, ast.BinOp(before, ast.Add(), one.value))


def _slots(node: ast.AST) -> Iterator[tuple[ast.AST, str, Any, ast.expr]]:
    """Yield the expressions that a statement evaluates, each with where it is: node, field, index.

    Those that hold others come first.
    """
    for field, value in ast.iter_fields(node):
        if field in ("target", "targets", "optional_vars", "body", "orelse"):
            continue
        several = isinstance(value, list)
        for index, one in enumerate(value) if several else ((None, value),):
            if isinstance(one, ast.expr):
                yield node, field, index, one
            if isinstance(one, (ast.expr, ast.keyword, ast.comprehension, ast.withitem)):
                yield from _slots(one)


def _put(owner: ast.AST, field: str, index: int | None, new: Any) -> Change:
    if index is None:
        return owner, field, new
    several = [*getattr(owner, field)]
    several[index] = new
    return owner, field, several


def _others(statement: ast.stmt, sight: Sight) -> Iterator[Change]:
    """Yield changes of what is there: for a part of it, for another of its kind, for less."""
    for owner, field, index, one in _slots(statement):
        for new in _instead(one, sight.names):
            yield _put(owner, field, index, new)
        if isinstance(one, ast.BinOp) and type(one.op) in OTHER:
            yield one, "op", OTHER[type(one.op)]()
        if isinstance(one, ast.Compare) and type(one.ops[0]) in OTHER:
            yield one, "ops", [OTHER[type(one.ops[0])](), *one.ops[1:]]


def _instead(one: ast.expr, names: Mapping[str, Kind]) -> Iterator[ast.expr]:
    """Yield what may stand for an expression."""
    if isinstance(one, ast.Constant):
        yield from map(ast.Constant, _numbers(one.value))
    elif isinstance(one, ast.UnaryOp):
        yield one.operand
    elif isinstance(one, ast.BinOp):
        yield one.left
        yield ast.UnaryOp(ast.USub(), one.right) if isinstance(one.op, ast.Sub) else one.right
        if isinstance(one.op, (ast.Sub, ast.Div, ast.MatMult)):
            yield ast.BinOp(one.right, one.op, one.left)
    elif isinstance(one, ast.Call):
        yield from _calls(one, names)
    elif isinstance(one, (ast.Name, ast.Subscript, ast.Attribute)):
        if isinstance(one, ast.Attribute) and one.attr == "T":
            yield one.value
        kind = names.get(ast.unparse(one))
        for name, other in names.items():
            if other == kind and name != ast.unparse(one):
                yield _parsed(name)
        if isinstance(one, ast.Subscript) or (kind is not None and len(kind.shape) == 2):
            yield ast.Attribute(one, "T", ast.Load())


def _calls(one: ast.Call, names: Mapping[str, Kind]) -> Iterator[ast.expr]:
    """Yield what may stand for a call: an argument, the object of a method, another function."""
    yield from one.args[:2]
    if len(one.args) == 2:
        yield ast.Call(one.func, one.args[::-1], one.keywords)
    if isinstance(one.func, ast.Attribute):
        owner = one.func.value
        if not isinstance(owner, ast.Name) or owner.id in names:  # else it is a module
            yield owner
        for pair in ALIKE:
            if one.func.attr in pair:
                other = pair[one.func.attr == pair[0]]
                yield ast.Call(ast.Attribute(owner, other, ast.Load()), one.args, one.keywords)


def _numbers(value: Any) -> list[Any]:
    """Return what a number may be taken for."""
    found: tuple[Any, ...] = ()
    if isinstance(value, bool):
        found = (not value,)
    elif isinstance(value, int):
        found = (0, 1, 2, value + 1, value - 1, -value)
    elif isinstance(value, float):
        found = (2 * value, value / 2, -value, 1.0)
    return [other for other in dict.fromkeys(found) if other != value]


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _derivatives(statement: ast.stmt, sight: Sight) -> Iterator[Change]:
    """Yield changes of an array, or of what was computed of it alone, for its derivative."""
    arrays = {name for name, kind in sight.names.items() if kind.what == "array"}
    known = set[ast.AST]()
    for owner, field, index, one in _slots(statement):
        if one not in known and isinstance(one, (ast.Name, ast.Subscript, ast.BinOp)):
            inside = [each for each in ast.walk(one) if isinstance(each, ast.expr)]
            own = {ast.unparse(each) for each in inside} & arrays
            if len(own) == 1:
                known |= {*inside}
                for text in DERIVATIVES:
                    yield _put(owner, field, index, _parsed(text.format(*own)))


def _more(statement: ast.stmt, sight: Sight) -> Iterator[Change]:
    """Yield changes that put in a factor, a divisor or a term, of what is at hand."""
    value, made = getattr(statement, "value", None), sight.made
    if not isinstance(value, ast.expr) or made is None or made.what == "dict":
        return
    for name, kind in sight.names.items():
        if kind.what == "dict" or not _fits(kind.shape, made.shape):
            continue
        forms = ("{0}", *DERIVATIVES) if kind.what == "array" else ("{0}",)
        for text in forms:
            yield statement, "value", ast.BinOp(value, ast.Mult(), _parsed(text.format(name)))
        yield statement, "value", ast.BinOp(value, ast.Div(), _parsed(name))
        if kind == made:
            yield statement, "value", ast.BinOp(value, ast.Add(), _parsed(name))
            yield statement, "value", ast.BinOp(value, ast.Sub(), _parsed(name))


def _fits(shape: tuple[int, ...], made: tuple[int, ...]) -> bool:
    """Return whether an array of one shape can be multiplied into another's."""
    try:
        return np.broadcast_shapes(shape, made) == made
    except ValueError:
        return False


# What is the user's stays as it is.


OPAQUE = (*(kind for kind in PLAIN if kind is not type), CodeType, np.ufunc, logging.Logger)
"""What leads to nothing of the user's, or to far too much."""


def _reached(roots: Sequence[Any], files: Collection[str]) -> list[Any]:
    """Return all objects that lead from `roots` on, of functions those that are in `files`.

    MemoryError if there is too much, or something that could not be put back.
    """
    found: dict[int, Any] = {}
    left = list(roots)
    while left:
        one = left.pop()
        if id(one) in found or _is_foreign(one, files):
            continue
        if hasattr(type(one), "__dlpack__") and not isinstance(one, np.ndarray):
            raise MemoryError("an array that can't be made read-only")
        if hasattr(type(one), "__next__"):
            raise MemoryError("a file, or another iterator, that may be read on")
        if len(found) > MOST_OBJECTS:
            raise MemoryError("too many objects")
        found[id(one)] = one
        left += _within(one)
    return [*found.values()]


def _is_foreign(one: Any, files: Collection[str]) -> bool:
    """Return whether an object is not the user's, or leads to none that is."""
    if isinstance(one, FunctionType):
        return one.__code__.co_filename not in files
    if isinstance(one, ModuleType):
        file = getattr(one, "__file__", None)
        return not file or not is_users(file)
    if isinstance(one, type):
        functions = [each for each in vars(one).values() if isinstance(each, FunctionType)]
        home = getattr(sys.modules.get(one.__module__), "__file__", None)
        return home not in files and all(_is_foreign(each, files) for each in functions)
    return isinstance(one, OPAQUE) or type(one).__name__ == "cython_function_or_method"


def _within(one: Any) -> list[Any]:
    """Return what an object leads to; a function only to what it uses."""
    if isinstance(one, np.ndarray):
        elements = one.ravel().tolist() if one.dtype.hasobject else ()
        return [one.base, *getattr(one, "__dict__", {}).values(), *elements]
    if isinstance(one, FunctionType):
        names = one.__code__.co_names
        used = [one.__globals__[name] for name in names if name in one.__globals__]
        modules = [vars(each) for each in used if isinstance(each, ModuleType)]
        used += [known[name] for known in modules for name in names if name in known]
        given = [*(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
        return [*(one.__closure__ or ()), *used, *given, vars(one)]
    if isinstance(one, type):
        return [*vars(one).values(), *one.__bases__]
    if isinstance(one, functools._lru_cache_wrapper):  # whose own dict is bound up with a list
        inside = [each for each in gc.get_referents(one) if not isinstance(each, dict)]
        return [vars(one), *inside]
    return [] if isinstance(one, ModuleType) else [type(one), *gc.get_referents(one)]


class _OfOthers:
    """A stream to which other threads write as ever, and what this one writes goes nowhere."""

    def __init__(self, stream: Any) -> None:
        self._own, self._threads = threading.get_ident(), (stream, io.StringIO())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._threads[threading.get_ident() == self._own], name)


@contextmanager
def _kept(reached: Sequence[Any], written: Collection[int]) -> Iterator[Callable[[], None]]:
    """Have all arrays among objects read-only, and yield what puts back what the others hold.

    And what is in the arrays whose identity is among `written`: grad itself writes to them.
    """
    arrays = [one for one in reached if isinstance(one, np.ndarray)]
    buffers = [(one, one.copy()) for one in arrays if id(one) in written]
    closed = [one for one in arrays if one.flags.writeable and id(one) not in written]
    holding = [(one, _held(one)) for one in reached if not isinstance(one, np.ndarray)]
    random_states = [(put, read()) for read, put in _generators(reached)]

    def restore() -> None:
        for one, was in holding:
            now = _held(one)
            if len(now) != len(was) or any(map(operator.is_not, now, was)):
                _hold(one, was)
        for array, bits in buffers:
            array[...] = bits

    logs, depth = logging.root.manager.disable, sys.getrecursionlimit()
    streams = _OfOthers(sys.stdout), _OfOthers(sys.stderr)
    with redirect_stdout(streams[0]), redirect_stderr(streams[1]), np.errstate(), _indoors():
        try:
            logging.disable()
            for one in closed:
                one.flags.writeable = False
            yield restore
        finally:
            restore()
            for put, was in random_states:
                put(was)
            sys.setrecursionlimit(depth)
            logging.disable(logs)
            for one in sorted(closed, key=lambda each: each.base is not None):
                one.flags.writeable = True


def _generators(reached: Sequence[Any]) -> Iterator[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """Yield what reads the state of each random generator within reach, and what puts it back."""
    yield random.getstate, random.setstate
    yield np.random.get_state, np.random.set_state
    for one in reached:
        if isinstance(one, random.Random):
            yield one.getstate, one.setstate
        elif isinstance(one, np.random.BitGenerator):
            yield partial(getattr, one, "state"), partial(setattr, one, "state")


FILLED: dict[Any, Callable[..., None]] = {
    list: list.extend,
    set: set.update,
    deque: deque.extend,
    bytearray: bytearray.extend,
}
"""Containers that are put back by filling them again."""

MISSING = object()
"""In the place of a variable without a value."""


def _held(one: Any) -> list[Any]:
    """Return what an object holds, in a row; no code of the user's runs for it."""
    if isinstance(one, tuple(FILLED)):
        return [*_kind(one).__iter__(one)]
    if isinstance(one, dict):
        return [each for item in _kind(one).items(one) for each in item]
    if isinstance(one, (type, ModuleType)):
        return [each for item in vars(one).items() for each in item]
    if isinstance(one, CellType):
        return gc.get_referents(one)  # a variable of the function around; nothing where it has none
    if isinstance(one, FunctionType):
        return [one.__globals__.get(name, MISSING) for name in one.__code__.co_names]
    found = []
    for member in _members(one):
        try:
            found.append(member.__get__(one))
        except AttributeError:
            found.append(MISSING)
    return found


def _hold(one: Any, was: list[Any]) -> None:
    """Make an object hold again what it held."""
    if isinstance(one, tuple(FILLED)):
        _kind(one).clear(one)
        FILLED[_kind(one)](one, was)
    elif isinstance(one, dict):
        _kind(one).clear(one)
        _kind(one).update(one, zip(was[::2], was[1::2], strict=True))
    elif isinstance(one, (type, ModuleType)):  # never without a name that other threads look up
        known = dict(zip(was[::2], was[1::2], strict=True))
        for name in [*vars(one)]:
            if name not in known:
                type(one).__delattr__(one, name)
        for name, value in known.items():
            if vars(one).get(name, MISSING) is not value:
                type(one).__setattr__(one, name, value)
    elif isinstance(one, CellType):
        if was:
            one.cell_contents = was[0]
        else:
            del one.cell_contents
    elif isinstance(one, FunctionType):
        for name, value in zip(one.__code__.co_names, was, strict=True):
            if value is MISSING:
                one.__globals__.pop(name, None)
            else:
                one.__globals__[name] = value
    else:
        for member, value in zip(_members(one), was, strict=True):
            if value is not MISSING:
                member.__set__(one, value)
            else:
                with suppress(AttributeError):
                    member.__delete__(one)


def _kind(one: Any) -> Any:
    """Return the class of the standard library by which a container is kept: not the user's own."""
    return next(kind for kind in (*FILLED, OrderedDict, dict) if isinstance(one, kind))


def _members(one: Any) -> list[MemberDescriptorType]:
    """Return what stands for the attributes of an object whose class has slots."""
    kinds = [vars(kind) for kind in type(one).__mro__ if "__slots__" in vars(kind)]
    found = [each for known in kinds for each in known.values()]
    return [each for each in found if isinstance(each, MemberDescriptorType)]


READS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.getxattr", "os.listxattr")
"""Of Python's audit events, those that leave the world outside as it is."""

OUTSIDE = ("os", "shutil", "subprocess", "socket", "sqlite3", "tempfile", "mmap", "ctypes")
"""Modules of audit events that may not."""

_indoor: set[int] = set()
"""Threads in which nothing is written to files, and nothing is sent or started."""


@contextmanager
def _indoors() -> Iterator[None]:
    """Have everything fail in this thread that changes something outside of the process."""
    if _audited not in _hooks:
        sys.addaudithook(_audited)
        _hooks.append(_audited)
    own = threading.get_ident()
    _indoor.add(own)
    try:
        yield
    finally:
        _indoor.discard(own)


_hooks: list[Callable[..., None]] = []


def _audited(event: str, given: tuple[Any, ...]) -> None:
    """Raise for an event that goes beyond the process, if it comes from a thread that may not."""
    if not _indoor or threading.get_ident() not in _indoor:
        return
    opens = event == "open" and (given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
    if opens or (event.partition(".")[0] in OUTSIDE and event not in READS):
        raise PermissionError(f"{event}: what is tried may change nothing outside of the process")
