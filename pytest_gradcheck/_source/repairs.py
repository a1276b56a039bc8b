"""Which one change to a statement of grad makes its gradient right: there it was wrong.

Mutation-based fault localisation [1]_, in which the numeric gradient says what is right.  Copies of
the statements that grad has executed are changed one expression at a time (`changes` has how), and
grad is called with each.  What factor a term lacks is told by one call with the term once more: a
gradient is linear in most of what it adds up.

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
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from time import perf_counter, thread_time
from types import CellType, CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from . import changes
from .lines import SourceLine
from .statements import FUNCTIONS, LAMBDA
from .trace import PLAIN, Recorder, Sight, is_users, names_in

MOST_TRIED = 3000  # changes that are tried
SECONDS = 1.5  # of this thread, in which they are: a grad that takes long is not called so often
PATIENCE = 5.0  # on the clock, where grad waits, or the machine is busy
# Of arrays; with a longer one nothing is tried: an outer product by mistake fills the memory.
LONGEST = 10_000
# Objects within reach of the user's functions that are kept; with more, nothing is tried.
MOST_OBJECTS = 10_000
MOST_BYTES = 2**28  # of tensors, or of arrays, that are copied; with more, nothing is tried
AROUND = "around"  # the function in which changed ones are defined
STOPS = {"breakpoint", "set_trace", "input"}  # names of functions that wait for somebody
ENDLESS = {"count", "cycle", "repeat", "iter"}  # names of functions whose iterators may have no end

# Containers that are put back by filling them again.
FILLED: dict[Any, Callable[..., None]] = {
    list: list.extend,
    set: set.update,
    deque: deque.extend,
    bytearray: bytearray.extend,
}
MISSING = object()  # in the place of a variable without a value


class Outcome(NamedTuple):
    """What a change to grad does: which of the wrong blocks are right with it.

    Of the wrong coordinates, it has `moved` some by a vector, of which `times` as much is nearest
    to what they lack; with that, the blocks in `then` would be right.
    """

    right: frozenset[str] = frozenset()
    times: float = 0.0
    then: frozenset[str] = frozenset()
    moved: int = 0


def repairs(
    call: Callable[[], Outcome],
    wrong: Collection[str],
    seen: Recorder,
    order: Sequence[tuple[str, int]],
    innocent: Collection[CodeType],
    roots: Sequence[Any],
    unchanged: Callable[[], bool],
) -> list[SourceLine]:
    """Return the first change with which all wrong blocks agree, or some that do it together."""
    # `call` runs grad and tells what has become of the wrong blocks, no block being right if others
    # no longer are; `order` are lines, the likeliest first; `innocent` is code that func runs: the
    # last in which something is looked for, if func is `unchanged`; and `roots` are what grad gets.
    # Code in which someone may be stopping, or a loop may never end, is left alone.
    if _debugged() or threading.current_thread() is not threading.main_thread():
        return []
    if _longest(seen) > LONGEST:
        return []
    reached = _reached(roots, seen.sources)
    # What a cache of the standard library holds can't be put back: it has right values alone.
    caches = [one for one in reached if isinstance(one, functools._lru_cache_wrapper)]
    cached = [one for one in _reached(caches, seen.sources) if isinstance(one, FunctionType)]
    functions = [*_functions(seen, {one.__code__ for one in cached}, reached)]
    suspects = [each for function in functions for each in _suspects(function, seen, order)]
    suspects.sort(key=lambda one: one.rank)
    last = [one for one in suspects if one.function.code in innocent]
    at = any("at" in names_in(code) for code, _ in seen.sights)
    with _kept(reached, seen.written(), at=at) as restore:
        search = _Search(call, restore, wrong, unchanged)
        return search.through([one for one in suspects if one not in last], last)


def _longest(seen: Recorder) -> int:
    """Return how long the arrays are that statements have before them, at most."""
    kinds = [kind for sight in seen.sights.values() for kind in sight.names.values()]
    return max((max(one.shape, default=0) for one in kinds if one.what == "array"), default=0)


def _together(
    found: Sequence[SourceLine], wrong: Collection[str]
) -> tuple[list[SourceLine], set[str]]:
    """Return the repairs that make most wrong blocks right between them, and those left wrong."""
    chosen: list[SourceLine] = []
    left = set(wrong)
    for one in sorted(found, key=lambda each: -len(each.blocks)):
        if left.issuperset(one.blocks):
            chosen.append(one)
            left.difference_update(one.blocks)
    return chosen, left


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

    `module` defines that as it is now, in a function with the names that it takes from outside.
    """

    code: CodeType
    tree: ast.FunctionDef
    objects: tuple[FunctionType, ...]
    module: ast.Module

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


def _functions(
    seen: Recorder, innocent: Collection[CodeType], reached: Sequence[Any]
) -> Iterator[_Function]:
    """Yield the functions that grad has run; one that it defines itself with what it is in."""
    trees = {code: seen.sources[code.co_filename].function(code) for code, _ in seen.sights}
    objects: dict[ast.FunctionDef, list[FunctionType]] = {}
    for one in reached:
        if isinstance(one, FunctionType) and (tree := trees.get(one.__code__)) is not None:
            objects.setdefault(tree, []).append(one)
    for code, tree in trees.items():
        around = tree
        while around is not None and around not in objects:
            around = seen.sources[code.co_filename].outer(around)
        if around is None or tree is None or code in innocent:
            continue
        if not any(map(_may_not_end, ast.walk(around))) and STOPS.isdisjoint(names_in(code)):
            own = tuple(objects[around])
            yield _Function(code, tree, own, _module(around, own[0].__code__.co_freevars))


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
    def place(self) -> tuple[str, int]:
        """Its file and line."""
        return self.function.code.co_filename, self.statement.lineno

    def written(self, new: Sequence[ast.stmt]) -> str:
        """Return the source of what it would be; a lambda returns without saying so."""
        text = "; ".join(map(_text, new))
        text = text if "'" in self.text else text.replace("'", '"')
        return text.removeprefix("return ") if self.function.code.co_name == LAMBDA else text


def _suspects(
    function: _Function, seen: Recorder, order: Sequence[tuple[str, int]]
) -> Iterator[_Suspect]:
    """Yield the statements that were executed; the last one first, of those not in `order`."""
    file = function.code.co_filename
    source = seen.sources[file]
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
            if not isinstance(one, FUNCTIONS):
                yield from _statements(one)


def _text(statement: Any) -> str:
    """Return a statement's source, of one that holds others its head."""
    if hasattr(statement, "body"):
        statement = copy.copy(statement)
        statement.body, statement.orelse = [ast.Pass()], []
    return ast.unparse(statement).partition(":\n")[0]


def _tried(one: _Suspect, new: Sequence[ast.stmt], call: Callable[[], Outcome]) -> Outcome:
    """Return what another statement does, in this thread; nothing where it can't be executed."""
    here = _is_thread(threading.get_ident())
    switch = ast.copy_location(ast.If(here, [*new], [one.statement]), one.statement)
    for node in ast.walk(ast.Module([*new], [])):
        if not hasattr(node, "lineno") and "lineno" in node._attributes:
            ast.copy_location(node, one.statement)
    one.body[one.index] = switch
    try:
        code = one.function.compiled()
    except (SyntaxError, ValueError):
        return Outcome()
    finally:
        one.body[one.index] = one.statement
    objects = one.function.objects
    own = [each.__code__ for each in objects]
    try:
        for each in objects:
            each.__code__ = code
        return call()
    except (Exception, SystemExit):  # other code may end in any way it likes
        return Outcome()
    finally:
        for each, was in zip(objects, own, strict=True):
            each.__code__ = was


@functools.cache  # it stands in every change
def _is_thread(own: int) -> ast.expr:
    return changes.parsed(f"__import__('threading').get_ident() == {own}")


# A statement, what else it was, and which blocks are right with that.
Tried = tuple[_Suspect, Sequence[ast.stmt], frozenset[str]]


class _Search:
    """Changes to statements that are tried one by one."""

    def __init__(
        self,
        call: Callable[[], Outcome],
        restore: Callable[[], None],
        wrong: Collection[str],
        unchanged: Callable[[], bool],
    ) -> None:
        self._call, self._restore, self._wrong = call, restore, wrong
        self._unchanged = unchanged
        self._began, self._clock = thread_time(), perf_counter()
        self._tried, self._share = 0, 0.0
        self._hits: list[tuple[Any, _Suspect, ast.stmt, changes.Multiple, str]] = []

    def through(
        self, suspects: Sequence[_Suspect], innocent: Sequence[_Suspect]
    ) -> list[SourceLine]:
        """Return likely changes that make all wrong blocks right, one rather than several."""
        # What is there is likelier wrong than what is not; a name that was made for a thing is
        # likelier given to the wrong one than used wrongly.
        stages = [
            (0.1, self._changed(suspects, changes.names_given)),
            (0.2, self._changed(suspects, changes.derivatives)),
            (0.3, self._probed(suspects, changes.terms_of)),
            (0.4, self._changed(suspects, changes.slips)),
            (0.7, self._changed(suspects, changes.others)),
            (0.75, self._probed(suspects, changes.additions)),
            (0.77, self._multiplied()),
            (0.82, self._changed(suspects, changes.turned)),
            (0.86, self._changed(innocent, changes.others)),
            (0.88, self._probed(innocent, changes.terms_of)),
            (0.9, self._multiplied()),
            (0.94, self._changed([*suspects, *innocent], changes.more)),
            (1.0, self._changed([*suspects, *innocent], changes.inner)),
        ]
        found: list[SourceLine] = []
        for self._share, tried in stages:
            with suppress(TimeoutError):
                for one, new, right in tried:
                    if right:
                        names = tuple(name for name in self._wrong if name in right)
                        known = (*one.place, one.text, "wrong", one.written(new))
                        found.append(SourceLine(names, *known))
                    if len(right) == len(self._wrong):
                        break
            chosen, left = _together(found, self._wrong)
            if not left and (self._share > 0.88 or len(chosen) == 1):
                break
        return chosen

    def _outcome(self, one: _Suspect, new: Sequence[ast.stmt]) -> Outcome:
        """Return what another statement does; TimeoutError where a stage's share is used up."""
        tried = self._tried / MOST_TRIED, (thread_time() - self._began) / SECONDS
        if max(*tried, (perf_counter() - self._clock) / PATIENCE) >= self._share:
            raise TimeoutError
        self._tried += 1
        outcome = _tried(one, new, self._judged)
        self._restore()
        return outcome

    def _judged(self) -> Outcome:
        """Return what a change does; nothing where J is another one with it: func runs it, too."""
        outcome = self._call()
        return outcome if not outcome.right or self._unchanged() else Outcome()

    def _changed(self, suspects: Sequence[_Suspect], kind: changes.Changes) -> Iterator[Tried]:
        for one in suspects:
            for new in changes.variants(one.statement, one.sight, kind):
                yield one, [new], self._outcome(one, [new]).right

    def _probed(
        self, suspects: Sequence[_Suspect], multiples: changes.Multiples
    ) -> Iterator[Tried]:
        """Take each term once more, or a new one, for `_multiplied`: which factor would be right.

        A gradient is linear in most of what it is made of, so that one call is enough.
        """
        for one in suspects:
            statement = copy.deepcopy(one.statement)
            for multiple in [*multiples(statement, one.sight)]:
                with multiple.tried(statement, "1" if multiple.added else "2") as new:
                    outcome = self._outcome(one, new)
                    yield one, new, frozenset()
                if not outcome.then:
                    continue
                for odd, factor in multiple.factors(outcome.times, outcome.moved, one.sight):
                    odd += multiple.unlikely(factor, one.statement, one.text, one.sight)
                    rank = -len(outcome.then), odd, -one.sight.order
                    self._hits.append((rank, one, statement, multiple, factor))

    def _multiplied(self) -> Iterator[Tried]:
        """Yield terms with other factors, the likeliest first."""
        for _, one, statement, multiple, factor in sorted(self._hits, key=lambda hit: hit[0]):
            with multiple.tried(statement, factor) as new:
                yield one, new, self._outcome(one, new).right
        self._hits.clear()


# What is the user's stays as it is.

# What leads to nothing of the user's, or to far too much.
OPAQUE = (*(kind for kind in PLAIN if kind is not type), CodeType, np.ufunc, logging.Logger)


def _reached(roots: Sequence[Any], files: Collection[str]) -> list[Any]:
    """Return all objects that lead from `roots` on, of functions those that are in `files`."""
    # MemoryError if there is too much, or something that could not be put back.
    found: dict[int, Any] = {}
    left = list(roots)
    while left:
        one = left.pop()
        if id(one) in found or _is_foreign(one, files):
            continue
        tensor = _is_tensor(one)
        if hasattr(type(one), "__dlpack__") and not (tensor or isinstance(one, np.ndarray)):
            raise MemoryError("an array that can't be made read-only")
        if hasattr(type(one), "__next__"):
            raise MemoryError("a file, or another iterator, that may be read on")
        if len(found) > MOST_OBJECTS:
            raise MemoryError("too many objects")
        found[id(one)] = one
        left += [one.grad] * one.is_leaf if tensor else _within(one)
    return [*found.values()]


def _is_tensor(one: Any) -> bool:
    return "torch" in sys.modules and isinstance(one, sys.modules["torch"].Tensor)


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
        names = names_in(one.__code__)
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
    if isinstance(one, ModuleType):
        return []
    try:  # from Python 3.13 on the collector sees what is in it alone
        attributes = [object.__getattribute__(one, "__dict__")]
    except AttributeError:
        attributes = []
    return [type(one), *attributes, *gc.get_referents(one)]


class _OfOthers:
    """A stream to which other threads write as ever, and what this one writes goes nowhere."""

    def __init__(self, stream: Any) -> None:
        self._own, self._threads = threading.get_ident(), (stream, io.StringIO())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._threads[threading.get_ident() == self._own], name)


@contextmanager
def _kept(
    reached: Sequence[Any], written: Collection[int], *, at: bool = False
) -> Iterator[Callable[[], None]]:
    """Have all arrays among objects read-only, and yield what puts back what the others hold."""
    # And what is in the arrays whose identity is among `written`: grad itself writes to them; with
    # `at` in all that can be: `np.add.at`, and any ufunc's, writes to a read-only array as well.
    arrays = [one for one in reached if isinstance(one, np.ndarray)]
    owners = [one for one in arrays if at and not isinstance(one.base, np.ndarray)]
    if sum(one.nbytes for one in owners) > MOST_BYTES:
        raise MemoryError("too many arrays that may be written to")
    open_ = {id(one) for one in owners if one.flags.writeable or one.flags.owndata}
    buffers = [(one, one.copy()) for one in arrays if id(one) in open_ | {*written}]
    closed = [one for one in arrays if one.flags.writeable and id(one) not in written]
    rest = [one for one in reached if not (isinstance(one, np.ndarray) or _is_tensor(one))]
    holding = [(one, read, read()) for one in rest if (read := _reader(one)) is not None]
    restore_tensors = _tensors_kept([one for one in reached if _is_tensor(one)])
    random_states = [(put, read()) for read, put in _generators(reached)]

    def restore() -> None:
        for one, read, was in holding:
            now = read()
            if len(now) != len(was) or any(map(operator.is_not, now, was)):
                _hold(one, was)
        for array, bits in buffers:
            own = array.flags.writeable
            if not own:
                array.flags.writeable = True
            array[...] = bits
            if not own:
                array.flags.writeable = False
        restore_tensors()

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


def _tensors_kept(tensors: Sequence[Any]) -> Callable[[], None]:
    """Return what puts back torch's tensors, which can't be read-only: they count writes."""
    if sum(one.numel() * one.element_size() for one in tensors) > MOST_BYTES:
        raise MemoryError("too many tensors")
    kept = [[one, one._version, one.detach().clone()] for one in tensors]
    leaves = [(one, one.requires_grad, one.grad) for one in tensors if one.is_leaf]

    def restore() -> None:
        for one, required, grad in leaves:
            one.requires_grad_(required).grad = grad
        for each in kept:
            one, version, was = each
            if one._version != version:
                one.detach().copy_(was)
                each[1] = one._version

    return restore


def _generators(reached: Sequence[Any]) -> Iterator[tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """Yield what reads the state of each random generator within reach, and what puts it back."""
    yield random.getstate, random.setstate
    yield np.random.get_state, np.random.set_state
    if torch := sys.modules.get("torch"):
        yield torch.get_rng_state, torch.set_rng_state
    for one in reached:
        if isinstance(one, random.Random):
            yield one.getstate, one.setstate
        elif isinstance(one, np.random.BitGenerator):
            yield partial(getattr, one, "state"), partial(setattr, one, "state")


def _reader(one: Any) -> Callable[[], list[Any]] | None:
    """Return what reads all that an object holds, in a row; None where it never holds anything."""
    # No code of the user's runs for it, and what kind it is isn't asked a thousand times.
    if isinstance(one, tuple(FILLED)):
        iterated = _kind(one).__iter__
        return lambda: [*iterated(one)]
    if isinstance(one, (dict, type, ModuleType)):
        known = one if isinstance(one, dict) else vars(one)
        pairs = _kind(one).items if isinstance(one, dict) else type(known).items
        return lambda: [*chain.from_iterable(pairs(known))]
    if isinstance(one, CellType):
        # A variable of the function around, if it has a value.
        return partial(gc.get_referents, one)
    if isinstance(one, FunctionType):
        value, names = one.__globals__.get, names_in(one.__code__)
        return lambda: [value(name, MISSING) for name in names]
    members = _members(one)

    def attributes() -> list[Any]:
        found = []
        for member in members:
            try:
                found.append(member.__get__(one))
            except AttributeError:
                found.append(MISSING)
        return found

    return attributes if members else None


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
        for name, value in zip(names_in(one.__code__), was, strict=True):
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


# Of Python's audit events, those that leave the world outside as it is.
READS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.getxattr", "os.listxattr")
# Modules of audit events that may not.
OUTSIDE = ("os", "shutil", "subprocess", "socket", "sqlite3", "tempfile", "mmap", "ctypes")
# Threads in which nothing is written to files, and nothing is sent or started.
_indoor: set[int] = set()


@contextmanager
def _indoors() -> Iterator[None]:
    """Have everything fail in this thread that changes something outside of the process."""
    _listen()
    own = threading.get_ident()
    _indoor.add(own)
    try:
        yield
    finally:
        _indoor.discard(own)


@functools.cache  # a hook stays for good
def _listen() -> None:
    sys.addaudithook(_audited)


def _audited(event: str, given: tuple[Any, ...]) -> None:
    """Raise for an event that goes beyond the process, if it comes from a thread that may not."""
    if not _indoor or threading.get_ident() not in _indoor:
        return
    opens = event == "open" and (given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
    if opens or (event.partition(".")[0] in OUTSIDE and event not in READS):
        raise PermissionError(f"{event}: what is tried may change nothing outside of the process")
