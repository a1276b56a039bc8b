"""grad, called once more under a tracer: which statements of the user's code made each array.

Every statement that is executed becomes a node for each thing that it writes: a name, an element of
a dict, list or tuple, an attribute, or an array in place. A node knows those that it read. Objects
are told apart by their identities, which lead from an entry of a dict that grad returns to the
statement that computed it, in whatever function. Nothing is computed again, and no code of the
user's is called but grad. Containers are looked into one level deep.

Only files of the user's count: neither the standard library's, nor an installed package's, nor
ours. Of what is not seen there (a compiled function, a framework's backward pass) there is no node.
"""

from __future__ import annotations

import ast
import builtins
import sys
import sysconfig
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import thread_time
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import numpy as np

from .statements import LAMBDA, Combined, Piece, Plan, Source, constant, source_of

SECONDS = 2.0  # so long statements are followed; what a slower grad does later is not known
MOST_STEPS = 100_000  # so many executed lines are followed, and as many nodes
# Of arrays that are kept while they are followed, so that no other gets their identity.
MOST_BYTES = 2**29
# Bytes of an array that is compared with what it was before a call that may have changed it.
MOST_DIGESTED = 2**24
MOST_ITEMS = 1000  # elements of a container that is looked into
# Whole numbers, such as seeds, that stand for no other: a loop might run so often.
LARGEST_COUNT = 10_000
MOST_WITHIN = 30  # elements of a container that are names by themselves: `p["W"]`, `self.W`
NOTHING: frozenset[Node] = frozenset()
NO_PIECE = Piece(None, None, (), {})


@dataclass(eq=False)
class Node:
    """One thing that a statement wrote.

    `how` is "made", "changed" (in place) or "placed": made before, it got a name or a place in a
    container. `replaced`: something else had that place. `read` are the nodes it depends on,
    `before` those of an array before it was changed, `array` its identity, and `where` the entries
    that the statement writes to, any time (bool), if known. `alias`: the statement only gives a
    name to what has one; `header`: it is the head of a loop, or of a ``with``; `apart`: it has one
    of several expressions of its statement. `kind` is "scales" where it only multiplies what was
    given, or one array by numbers; "combines" where it only adds or multiplies arrays that were
    computed before; "sets" where it gives a name to a whole number.
    """

    line: int
    text: str
    order: int
    code: CodeType
    read: frozenset[Node] = frozenset()
    how: str = "made"
    header: bool = False
    kind: str = ""
    apart: bool = False
    replaced: bool = False
    alias: bool = False
    before: frozenset[Node] = frozenset()
    array: int = 0
    where: np.ndarray[Any, Any] | None = None

    @property
    def place(self) -> tuple[str, int, str]:
        """Where it stands in the user's files."""
        return self.code.co_filename, self.line, self.text

    def hits(self, entries: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any] | None:
        """Return which of some entries (bool) the statement writes to, None if it is not known."""
        known = self.where
        if known is None or entries is None or known.shape != entries.shape:
            return None
        return np.asarray(known[entries])

    @property
    def tells(self) -> bool:
        """Whether an error may have begun here: not with a loop, or another name for an array."""
        return not self.header and (self.how != "placed" or self.replaced or self.alias)


# Nodes that an expression depends on, with the object that was read: where it is a container, it
# depends on what is in it.
Reads = list[tuple[frozenset[Node], Any]]


@dataclass
class Write:
    """What a statement is going to write, and what that reads; `parts` by key of an element."""

    piece: Piece
    read: Reads
    parts: Mapping[Any, Reads]


@dataclass
class Running:
    """A statement that is being executed.

    `touched` are containers that it reads, `arrays` those that a call in it may change, with their
    bytes; `kinds` are those of its nodes, by key of an element, None for any other; `before` tells
    what its targets were; `returned` gets what the functions that it calls have returned.
    """

    scope: Scope
    plan: Plan
    writes: list[Write]
    touched: list[Any]
    arrays: list[tuple[Any, bytes]]
    kinds: Mapping[Any, str]
    before: list[tuple[int, bytes]]
    returned: set[Node] = field(default_factory=set)


@dataclass(frozen=True)
class Kind:
    """What names share of which one may stand for another by mistake.

    An array, a number or a dict, with its shape, or its keys; and what a number is.
    """

    what: str
    shape: tuple[Any, ...] = ()
    value: float = field(default=0.0, compare=False)


@dataclass
class Sight:
    """What a statement had before it when it was first executed, and `made`.

    `names` are also the elements of dicts, and attributes, as they are written.
    """

    order: int
    names: dict[str, Kind]
    made: Kind | None = None


@dataclass
class Scope:
    """A call of one of the user's functions."""

    number: int
    source: Source
    code: CodeType
    names: Mapping[str, Any]
    outside: Mapping[str, Any]
    running: Running | None = None

    def kinds(self) -> dict[str, Kind]:
        """Return of what kind names are, by how they are written."""
        read = names_in(self.code)
        used = {name: self.outside[name] for name in read if name in self.outside}
        found: dict[str, Kind] = {}
        for name, value in {**used, **self.names}.items():
            if (kind := kind_of(value)) is not None:
                found[name] = kind
            found |= kinds_in(name, value)
        return found


class Recorder:
    """Makes nodes of the lines that are executed.

    `made` has, by identity of an object, what made or changed it last; `places`, by owner and name
    or key, what was written there last; `sights` are by code and first line of a statement;
    `sources` are the user's files of which something was executed.
    """

    def __init__(self) -> None:
        self.over = False
        self.made: dict[int, frozenset[Node]] = {}
        self.places: dict[Any, Node] = {}
        self.sights: dict[tuple[CodeType, int], Sight] = {}
        self.sources: dict[str, Source] = {}
        self.kept: list[Any] = []
        self.result: Node | None = None
        self._shadows: dict[int, dict[Any, int]] = {}
        self._touched: dict[Any, np.ndarray[Any, Any]] = {}
        self._scopes: dict[FrameType, Scope] = {}
        self._steps = self._bytes = 0
        self._until = thread_time() + SECONDS

    def called(self, frame: FrameType) -> bool:
        """Learn of a call of a Python function; return whether its lines are of interest."""
        code = frame.f_code
        if code.co_name in WITHIN:
            return False
        source = self._source(frame)
        if source is None:
            return False
        scope = Scope(self._step(), source, code, frame.f_locals, frame.f_globals)
        caller = self._caller(frame)
        if caller is not None and caller.running is not None:
            self._pass(
                scope, caller.running, code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            )
        if code.co_name == LAMBDA:
            function = source.function(code)
            if function is None:
                return False
            scope.running = self._begin(scope, source.plan_of(function.body[0]))
        self._scopes[frame] = scope
        return True

    def line(self, frame: FrameType, number: int) -> None:
        """Learn of a line that is about to be executed."""
        scope = self._scopes.get(frame)
        if scope is None or scope.code.co_name == LAMBDA:
            return
        if self._step() > MOST_STEPS or thread_time() > self._until or self._bytes > MOST_BYTES:
            self.over = True
            return
        plan, running = scope.source.plan(number), scope.running
        # Another line of the same statement; where there is one line, it is executed once more.
        if plan is None or (running is not None and running.plan is plan and plan.several):
            return
        scope.names = frame.f_locals  # as they are now
        self._finish(scope)
        scope.running = self._begin(scope, plan)

    def returned(self, frame: FrameType, value: Any) -> None:
        """Learn what a function returns."""
        scope = self._scopes.pop(frame, None)
        if scope is None:
            return
        scope.names = frame.f_locals  # as they are now
        running, caller = scope.running, self._caller(frame)
        returns = running is not None and isinstance(running.plan.statement, ast.Return)
        if running is None or not returns or value is None:  # None is no part of a gradient
            self._finish(scope)
            return
        if scope.code.co_name != LAMBDA:
            self.sights[scope.code, running.plan.statement.lineno].made = kind_of(value)
        node = self._node(running, running.writes[0])
        self._enter(running, running.writes[0], (scope.number, "return"), value, node)
        self._keep(value)
        if caller is None:
            self.result = node
        elif caller.running is not None:
            caller.running.returned.add(node)

    # One statement.

    def _begin(self, scope: Scope, plan: Plan) -> Running:
        """Note what a statement is about to read."""
        place = scope.code, plan.statement.lineno
        if place not in self.sights:
            self.sights[place] = Sight(self._step(), scope.kinds() | self._elements(scope, plan))
        writes = [
            Write(
                piece,
                self._read(scope, piece.reads),
                {key: self._read(scope, part.reads) for key, part in piece.parts.items()},
            )
            for piece in plan.pieces
        ]
        touched, arrays = [], []
        near = [self._value(scope, base)[1] for one in plan.may_write for base in _bases(one)]
        target = plan.statement.target if isinstance(plan.statement, ast.AugAssign) else None
        if isinstance(target, ast.Subscript) and self._value(scope, target)[0] is None:
            # Of an element whose key is not known it may be any.
            near += [value for _, value in items(self._value(scope, target.value)[1])]
        for value in near:
            if isinstance(value, np.ndarray) and value.nbytes <= MOST_DIGESTED:
                arrays.append((value, value.tobytes()))
            elif id(value) in self._shadows:
                touched.append(value)
        parts = [each for piece in plan.pieces for each in piece.parts.items()]
        kinds = {key: self._kind(scope, part.combined) for key, part in parts if part.text}
        kinds[None] = self._kind_of(scope, plan.statement, plan.combined)
        return Running(scope, plan, writes, touched, arrays, kinds, self._targets(scope, plan))

    def _elements(self, scope: Scope, plan: Plan) -> dict[str, Kind]:
        """Return of what kind elements are that a statement reads, and those beside them."""
        found: dict[str, Kind] = {}
        for one in (base for piece in plan.pieces for read in piece.reads for base in _bases(read)):
            if not isinstance(one, (ast.Subscript, ast.Attribute)):
                continue
            own, owner = self._value(scope, one)[1], self._value(scope, one.value)[1]
            found |= kinds_in(ast.unparse(one.value), owner)
            if own is not None and (kind := kind_of(own)) is not None:
                found[ast.unparse(one)] = kind
        return found

    def _finish(self, scope: Scope) -> None:
        """Make the nodes of the statement that has been executed."""
        running, scope.running = scope.running, None
        if running is None:
            return
        if running.plan.beside and self._targets(scope, running.plan) == running.before:
            return  # the condition on its line did not hold
        for write in running.writes:
            if write.piece.target is not None:
                self._write(running, write)
        whole = _whole(running)
        for container in running.touched:
            self._scan(running, whole, container)
        for array, was in running.arrays:
            if array.tobytes() != was:
                self._change(array, self._node(running, whole))

    def _targets(self, scope: Scope, plan: Plan) -> list[tuple[int, bytes]]:
        """Return what the targets are of a statement that is perhaps not executed at all."""
        found = []
        for piece in plan.pieces if plan.beside else ():
            for target in _bases(piece.target):
                value = self._value(scope, target)[1]
                digested = isinstance(value, np.ndarray) and value.nbytes <= MOST_DIGESTED
                found.append((id(value), value.tobytes() if digested else b""))
        return found

    def _write(self, running: Running, write: Write) -> None:
        """Enter what one target has become."""
        target, scope = write.piece.target, running.scope
        assert target is not None
        place, value = self._value(scope, target)
        owner = self._value(scope, target.value)[1] if isinstance(target, ast.Subscript) else None
        sight = self.sights[scope.code, running.plan.statement.lineno]
        if sight.made is None or not isinstance(owner, np.ndarray):
            sight.made = kind_of(value) or _part_of(owner, target, self._names(scope))
        node = self._node(running, write)
        if isinstance(owner, np.ndarray):
            self._change(owner, node)
            self._touch(owner, node, target, self._names(scope))
        elif place is None and is_container(owner):  # the key is not known: see what has changed
            self._scan(running, write, owner)
        elif isinstance(running.plan.statement, ast.AugAssign) and id(value) in self.made:
            self._change(value, node)
        elif place is not None:
            self._enter(running, write, place, value, node)
            if not isinstance(target, ast.Name):
                self._shadows.setdefault(place[0], {})[place[1]] = id(value)

    def _enter(self, running: Running, write: Write, place: Any, value: Any, node: Node) -> None:
        """Enter a value in its place; one that is new was made by the node, with its elements."""
        node.replaced = place in self.places
        if value is None:  # a place that is yet to be filled
            self.places.pop(place, None)
            return
        self.places[place] = node
        if isinstance(value, (int, str)):  # an index, a size, a name: no part of a gradient
            ranges = [nodes for nodes, known in write.read if isinstance(known, range)]
            node.read = NOTHING.union(*ranges)
        if not is_object(value):
            return
        if id(value) in self.made:
            names = [nodes for nodes, known in write.read if known is value]
            assigned = isinstance(running.plan.statement, ast.Assign)
            node.alias = assigned and isinstance(write.piece.value, ast.Name)
            node.how, node.read = "placed", self.made[id(value)].union(*names)
        elif is_container(value):
            self._keep(value)
            self._scan(running, write, value)
        else:
            self._keep(value, node)

    def _scan(self, running: Running, write: Write, container: Any) -> None:
        """Enter the elements of a container that are others than before."""
        shadow = self._shadows.setdefault(id(container), {})
        for key, value in items(container):
            if shadow.get(key) == id(value):
                continue
            shadow[key] = id(value)
            node = self._node(running, write, key)
            own = Write(NO_PIECE, write.parts.get(key, write.read), {})
            self._enter(running, own, (id(container), key), value, node)

    def _change(self, array: Any, node: Node) -> None:
        """Enter that an array was changed in place, and with it what it is a view of."""
        node.how, node.before = "changed", self.made.get(id(array), NOTHING)
        node.array = id(array)
        node.read |= node.before
        while is_object(array):
            self._keep(array, node)
            array = getattr(array, "base", None)

    def _touch(self, array: Any, node: Node, target: Any, names: Mapping[str, Any]) -> None:
        """Enter which entries of an array a statement writes to, with those of other times."""
        if type(array) is np.ndarray and array.size <= MOST_DIGESTED // 8:
            place = id(array), node.place
            if place not in self._touched:
                self._touched[place] = np.zeros(array.shape, dtype=bool)
            node.where = self._touched[place]
            try:
                node.where[_index(target.slice, names)] = True
            except (LookupError, TypeError, ValueError):
                node.where[...] = True

    def _node(self, running: Running, write: Write, key: Any = None) -> Node:
        """Return a new node; of an element of a container that `write` makes, with its key."""
        plan, read = running.plan, write.parts.get(key, write.read)
        line, text = plan.statement.lineno, plan.text
        part = write.piece.parts.get(key)
        if part is not None and part.text:
            line, text = part.line, part.text
        found = {node for entry in read for node in self._expanded(*entry, key)}
        found |= running.returned
        return Node(
            line=line,
            text=text,
            order=self._step(),
            code=running.scope.code,
            read=frozenset(found),
            header=plan.header,
            kind=running.kinds.get(key, running.kinds[None]),
            apart=part is not None or len(plan.pieces) > 1,
        )

    def _kind(self, scope: Scope, combined: Combined) -> str:
        """Return whether one array is scaled, or several are combined; empty for neither."""
        given, computed, added = 0, 0, False
        for one, is_added in combined:
            added |= is_added
            if isinstance(one, ast.Call):  # np.sqrt(d) is a number, np.where(mask, ...) is more
                if not all(_is_number(self._number(scope, arg)) for arg in one.args):
                    return ""
                continue
            value = self._number(scope, one)
            if not _is_number(value):
                known = bool(self.made.get(id(value)))
                given, computed = given + (not known), computed + known
            elif value == 1:  # nothing is scaled: something else is likely to belong there
                return ""
        if combined and not added and (not computed or given + computed == 1):
            return "scales"
        return "combines" if computed > 1 and not given else ""

    def _kind_of(self, scope: Scope, statement: ast.stmt, combined: Combined) -> str:
        """Return the kind of a statement: of ``axis = 1`` it is that it sets a number."""
        if isinstance(statement, ast.AugAssign):  # ``dz *= scale`` scales, and sets nothing
            return self._kind(scope, combined)
        value = getattr(statement, "value", None)
        named = all(isinstance(one, ast.Name) for one in getattr(statement, "targets", [value]))
        if named and isinstance(value, (ast.Constant, ast.Name)):
            return "sets" if isinstance(self._number(scope, value), int) else ""
        return self._kind(scope, combined)

    def _number(self, scope: Scope, one: ast.expr) -> Any:
        return one.value if isinstance(one, ast.Constant) else self._value(scope, one)[1]

    # What is known.

    def _read(self, scope: Scope, names: tuple[ast.expr, ...]) -> Reads:
        """Return what the names in an expression stand for depends on."""
        found: Reads = []
        for one in names:
            for base in _bases(one):
                place, value = self._value(scope, base)
                if place is not None:
                    break
            self._seed(value)
            found.append((self._of(place, value), value))
        return found

    def _of(self, place: Any, value: Any) -> frozenset[Node]:
        """Return what a value in a place depends on: who made it, and who put it there."""
        node, made = self.places.get(place), self.made.get(id(value), NOTHING)
        base = getattr(value, "base", None) if isinstance(value, np.ndarray) else None
        if base is not None:
            made |= self.made.get(id(base), NOTHING)
        if node is None or (made and node.how != "placed"):
            return made
        return made if is_container(value) and node.how != "placed" else made | {node}

    def _expanded(self, nodes: frozenset[Node], container: Any, key: Any) -> Iterator[Node]:
        """Yield nodes, and those of a container's elements, or of the one with a key."""
        yield from nodes
        inside = [(name, value) for name, value in items(container) if name == key]
        for name, value in inside or items(container):
            yield from self._of((id(container), name), value)
            for inner, item in items(value):
                yield from self._of((id(value), inner), item)

    def _seed(self, value: Any) -> None:
        """Note an object that was there before: a parameter, data, a layer."""
        if not is_object(value) or id(value) in self.made:
            return
        self._keep(value)
        if is_container(value):
            inside = list(items(value))
            self._shadows[id(value)] = {key: id(item) for key, item in inside}
            for _, item in inside:
                if not isinstance(item, dict):
                    self._seed(item)

    def _keep(self, value: Any, node: Node | None = None) -> None:
        """Keep an object, so that no other gets its identity, and note who made it."""
        if id(value) not in self.made:
            self.kept.append(value)
            self._bytes += getattr(value, "nbytes", 0) if isinstance(value, np.ndarray) else 0
        if is_object(value):
            if node is not None:
                self.made[id(value)] = frozenset({node})
            else:
                self.made.setdefault(id(value), NOTHING)

    def _value(self, scope: Scope, expression: Any) -> tuple[Any, Any]:
        """Return the place of a name, an element or an attribute, and what is there."""
        # The place is None for anything else, and where that would take code of the user's.
        if isinstance(expression, ast.Name):
            name = expression.id
            if name in scope.names:
                return (scope.number, name), scope.names[name]
            return ("global", name), scope.outside.get(name)
        if not isinstance(expression, (ast.Subscript, ast.Attribute)):
            return None, None
        owner = self._value(scope, expression.value)[1]
        if not is_container(owner):
            return None, None
        if isinstance(expression, ast.Attribute):
            fields = getattr(type(owner), "_fields", ()) if isinstance(owner, tuple) else ()
            key = fields.index(expression.attr) if expression.attr in fields else expression.attr
        else:
            key = constant(expression.slice, self._names(scope))
            if isinstance(owner, (list, tuple)) and type(key) is int and key < 0:
                key += len(owner)
        found = [value for name, value in items(owner) if name == key]
        return ((id(owner), key), found[0]) if found else (None, None)

    def _names(self, scope: Scope) -> Mapping[str, Any]:
        return ChainMap(scope.names, scope.outside)  # type: ignore[arg-type]

    # Calls.

    def _pass(self, scope: Scope, running: Running, names: tuple[str, ...]) -> None:
        """Enter the arguments of a call: those that are new were made in it."""
        write = _whole(running)
        for name in names:
            if name in scope.names:
                node, value = self._node(running, write), scope.names[name]
                self._enter(running, write, (scope.number, name), value, node)

    def _caller(self, frame: FrameType) -> Scope | None:
        """Return the nearest call of the user's that a call came from."""
        above = frame.f_back
        while above is not None:
            if above in self._scopes:
                return self._scopes[above]
            above = above.f_back
        return None

    def written(self) -> set[int]:
        """Return the identities of arrays that were there before, and were changed in place."""
        changed = {key for key, made in self.made.items() if any(x.how == "changed" for x in made)}
        return {id(one) for one in self.kept} & changed

    def _source(self, frame: FrameType) -> Source | None:
        """Return the source of the user's code, None for anybody else's."""
        file = frame.f_code.co_filename
        if file not in self.sources and is_users(file):
            if (found := source_of(file, frame.f_globals)) is None:
                return None
            self.sources[file] = found
        return self.sources.get(file)

    def _step(self) -> int:
        self._steps += 1
        return self._steps


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _bases(one: ast.expr | None) -> Iterator[ast.expr]:
    """Yield an expression, and what it is an element or an attribute of, up to a name."""
    while isinstance(one, ast.expr):
        yield one
        one = getattr(one, "value", None)


def _whole(running: Running) -> Write:
    """Return all that a statement reads."""
    return Write(NO_PIECE, [one for write in running.writes for one in write.read], {})


# Code that belongs to the statement around it.
WITHIN = ("<module>", "<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>")
PLAIN = (bool, int, float, complex, str, bytes, np.generic, type(None), type, range, slice)
CODE = (ModuleType, FunctionType, type(len), type(np.add))


def is_object(value: Any) -> bool:
    """Return whether a value is known by its identity: numbers and strings may be shared."""
    return not isinstance(value, (*PLAIN, *CODE))


def is_container(value: Any) -> bool:
    """Return whether a value is looked into: a dict, list, tuple, or an object with attributes."""
    if isinstance(value, (dict, list, tuple)):
        return True
    if not is_object(value) or isinstance(value, np.ndarray):
        return False
    return bool(getattr(value, "__dict__", None))


def items(value: Any) -> list[tuple[Any, Any]]:
    """Return the elements of a container with keys, positions or names; none of a long one."""
    if not is_container(value):
        return []
    if isinstance(value, (list, tuple)):
        return list(enumerate(value)) if len(value) <= MOST_ITEMS else []
    named = value if isinstance(value, dict) else vars(value)
    return list(dict.items(named)) if len(named) <= MOST_ITEMS else []


def kind_of(value: Any) -> Kind | None:
    """Return what values share that may be taken for each other, None of other values."""
    if hasattr(type(value), "__dlpack__"):  # numpy's, and those of frameworks
        return Kind("array", tuple(value.shape))
    if isinstance(value, (float, np.floating)):
        return Kind("number", value=float(value))
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        small = abs(int(value)) <= LARGEST_COUNT
        return Kind("number", value=float(value)) if small else None
    return Kind("dict", tuple(value)) if isinstance(value, dict) else None


def kinds_in(name: str, value: Any) -> dict[str, Kind]:
    """Return of what kind the elements with names are of what has a name itself."""
    inside = [] if isinstance(value, (list, tuple)) else items(value)[:MOST_WITHIN]
    form = "{}[{!r}]" if isinstance(value, dict) else "{}.{}"
    kinds = {form.format(name, key): kind_of(one) for key, one in inside if isinstance(key, str)}
    return {text: kind for text, kind in kinds.items() if kind is not None}


def _part_of(owner: Any, target: Any, names: Mapping[str, Any]) -> Kind | None:
    """Return of what kind the entries of an array are that a statement writes to, None if unknown.

    Nothing is taken from the array itself, which may be a large one.
    """
    if type(owner) is not np.ndarray:  # else its shape may be code of the user's
        return None
    try:
        shape = np.broadcast_to(np.False_, owner.shape)[_index(target.slice, names)].shape
    except (LookupError, TypeError, ValueError):
        return None
    return Kind("array", shape) if shape else Kind("number")


def _index(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return what an index into an array is; LookupError where that is not known."""
    match node:
        case ast.Tuple():
            return tuple(_index(one, names) for one in node.elts)
        case ast.Slice():
            parts = (node.lower, node.upper, node.step)
            return slice(*(None if one is None else _index(one, names) for one in parts))
        case ast.Constant(value=None) | ast.Constant(value=builtins.Ellipsis):
            return node.value
        case ast.Name() if type(found := names.get(node.id)) in (np.ndarray, slice):
            return found
    if not isinstance(found := constant(node, names), int):
        raise LookupError
    return found


OURS = Path(__file__).parents[1]


@cache
def _library() -> set[Path]:
    """Return the folders of the standard library."""
    paths = sysconfig.get_paths()
    return {Path(paths[name]).resolve() for name in ("stdlib", "platstdlib") if name in paths}


@cache
def is_users(file: str) -> bool:
    """Return whether a file is neither the standard library's nor installed, nor ours."""
    path = Path(file)
    if OURS in path.parents or {"site-packages", "dist-packages"} & set(path.parts):
        return False
    return not _library() & set(path.resolve().parents)


def traced(call: Callable[[], Any]) -> tuple[Any, Recorder]:
    """Call grad; return the gradient, and what this thread was seen to execute meanwhile."""
    # A debugger's or coverage's trace function stands aside, and is put back whatever happens.
    recorder = Recorder()

    def begin(frame: FrameType, event: str, _: Any) -> Any:
        if recorder.over:
            sys.settrace(None)
            return None
        return inside if recorder.called(frame) else None

    def inside(frame: FrameType, event: str, value: Any) -> Any:
        if event == "line":
            recorder.line(frame, frame.f_lineno)
        elif event == "return":
            recorder.returned(frame, value)
        return None if recorder.over else inside

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        return call(), recorder
    finally:
        sys.settrace(before)


def names_in(code: CodeType) -> tuple[str, ...]:
    """Return the names of globals and attributes in a code, and in what it defines."""
    within = [one for one in code.co_consts if isinstance(one, CodeType)]
    return (*code.co_names, *(name for one in within for name in names_in(one)))


def run_by(func: Callable[..., Any]) -> set[CodeType]:
    """Return the code of func and of what it names: what they do is right."""
    # Functions in closures and among globals count, and of classes, objects and modules that are
    # found so what has a name in such code: `forward`, but not `backward`.
    found: set[CodeType] = set()
    names, known = {"__init__", "__call__"}, dict[int, Any]()
    inside: list[Mapping[str, Any]] = []

    def new(some: Iterable[Any]) -> list[Any]:
        return [one for one in some if id(one) not in known]

    left: list[Any] = [func]
    while left := new(left) or new(each[name] for each in inside for name in names & each.keys()):
        one = left.pop()
        known[id(one)] = one
        one = getattr(one, "__func__", one)
        if isinstance(one, FunctionType):
            if is_users(one.__code__.co_filename):
                own = names_in(one.__code__)
                found.add(one.__code__)
                names.update(own)
                left += [getattr(cell, "cell_contents", None) for cell in one.__closure__ or ()]
                left += [one.__globals__.get(name) for name in own]
        elif isinstance(one, (ModuleType, type)):
            inside.append(vars(one))
            left += getattr(one, "__bases__", ())
        elif isinstance(one, (list, tuple)):
            left += [value for _, value in items(one)]
        elif is_container(one):
            left.append(type(one))
            inside.append(one if isinstance(one, dict) else vars(one))
    return found
