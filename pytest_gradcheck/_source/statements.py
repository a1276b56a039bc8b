"""The statements of a source file: what each one reads and writes, piece by piece."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

LAMBDA = "<lambda>"  # the name that Python gives to what has none
# Statements whose body is not executed with them.
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
ELEMENTWISE = (ast.Add, ast.Sub, ast.Mult, ast.Div)


@dataclass(frozen=True)
class Piece:
    """One target of a statement and the expression that it gets: both names of ``a, b = x, y``.

    `reads` are the names in it, with what is taken from each; of a value that is written out as a
    dict, list or tuple, `parts` has the elements.
    """

    target: ast.expr | None
    value: ast.expr | None
    reads: tuple[ast.expr, ...]
    parts: Mapping[Any, Part]


@dataclass(frozen=True)
class Part:
    """An element of what is written out: where it begins, its source, and what it reads."""

    line: int
    text: str
    reads: tuple[ast.expr, ...]
    combined: Combined = ()


@dataclass(frozen=True)
class Plan:
    """A statement as it is executed: `text` is on one line, of a loop or a ``with`` its head.

    `may_write` are the names that it reads, if a call in it may change what they stand for: one
    that stands alone, or has an argument ``out``.  `combined`: if it only adds, multiplies or
    divides what has names, that.  `beside`: it stands on the line of what holds it, as in ``if
    decay: dW += decay * W``.
    """

    statement: ast.stmt
    text: str
    pieces: tuple[Piece, ...]
    may_write: tuple[ast.expr, ...]
    combined: Combined
    beside: bool

    @property
    def header(self) -> bool:
        """Whether it holds other statements."""
        return hasattr(self.statement, "body")

    @property
    def several(self) -> bool:
        """Whether it has several lines of its own."""
        return not self.header and self.statement.end_lineno != self.statement.lineno


class Source:
    """A file, parsed: the statement of a line, and the definition of a function."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        tree = ast.parse("".join(lines))
        self._at: dict[int, ast.stmt] = {}
        self._beside: set[ast.stmt] = set()
        # Parents come before their children, whose lines are theirs.
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt):
                for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                    self._at[line] = node
                body = [] if isinstance(node, FUNCTIONS) else getattr(node, "body", [])
                self._beside.update(one for one in body if one.lineno == node.lineno)
        self._plans: dict[ast.stmt, Plan] = {}
        self._functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        self._lambdas = [_written_out(one) for one in ast.walk(tree) if isinstance(one, ast.Lambda)]

    def plan(self, line: int) -> Plan | None:
        """Return the innermost statement of a line."""
        statement = self._at.get(line)
        return None if statement is None else self.plan_of(statement)

    def plan_of(self, statement: ast.stmt) -> Plan:
        """Return what a statement reads and writes."""
        if statement not in self._plans:
            found = tuple(self._piece(statement, *each) for each in _pieces(statement))
            touched = tuple(reads(statement)) if _may_write(statement) else ()
            self._plans[statement] = Plan(
                statement,
                _text(statement, self),
                found,
                touched,
                _combined_by(statement),
                statement in self._beside,
            )
        return self._plans[statement]

    def _piece(self, statement: ast.stmt, target: ast.expr | None, value: ast.expr | None) -> Piece:
        """Return a target with what is read for it; an index is read, and what is added to."""
        found = tuple(reads(value)) if value is not None else ()
        if isinstance(statement, ast.AugAssign):
            found += tuple(reads(statement.target))
        elif isinstance(target, ast.Subscript):
            found += tuple(reads(target.slice))
        inside = {}
        for key, (begin, part) in _parts(value).items():
            own = isinstance(value, ast.Dict) or begin.lineno != statement.lineno
            text = self._entry(begin, part) if own else ""
            inside[key] = Part(begin.lineno, text, tuple(reads(part)), combined(part))
        return Piece(target, value, found, inside)

    def _entry(self, begin: ast.expr | ast.keyword, value: ast.expr) -> str:
        """Return the source of an entry; parentheses around its value are not its own."""
        if begin is value:
            return self.text(value)
        lead = f"{begin.arg}=" if isinstance(begin, ast.keyword) else f"{self.text(begin)}: "
        return lead + self.text(value)

    def function(self, code: CodeType) -> ast.FunctionDef | None:
        """Return the definition that a code was compiled from; of a lambda, one as it would be."""
        if code.co_name == LAMBDA:
            return self._lambda(code)
        for node in self._functions:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if (node.name, first) == (code.co_name, code.co_firstlineno):
                return node
        return None

    def outer(self, function: ast.FunctionDef) -> ast.FunctionDef | None:
        """Return the innermost function that another one is defined in; of a lambda, none."""
        around = [
            node for node in self._functions if node is not function and function in ast.walk(node)
        ]
        return around[-1] if around else None

    def _lambda(self, code: CodeType) -> ast.FunctionDef | None:
        """Return the lambda of a code, None where two begin in one place."""
        # The instructions around it, which it has in no place, stand in the column 0.
        columns = [column for _, _, column, _ in code.co_positions() if column]
        found = [node for node in self._lambdas if node.lineno == code.co_firstlineno]
        if len(found) > 1 and columns:
            low, high = min(columns), max(columns)
            inside = [(node, node.body[0]) for node in found if node.body[0].col_offset <= low]
            around = [node for node, body in inside if high <= (body.end_col_offset or 0)]
            found = around[-1:]  # the innermost
        return found[0] if len(found) == 1 else None

    def text(self, node: ast.AST, end: ast.AST | None = None) -> str:
        """Return the source from one node to the end of another, on one line."""
        first, last = node, end or node
        start, stop = first.lineno, last.end_lineno  # type: ignore[attr-defined]
        lines = [line.encode() for line in self._lines[start - 1 : stop]]
        lines[-1] = lines[-1][: last.end_col_offset]  # type: ignore[attr-defined]
        lines[0] = lines[0][first.col_offset :]  # type: ignore[attr-defined]
        kept = " ".join(line.decode(errors="replace").strip() for line in lines)
        return kept if "#" not in kept or len(lines) == 1 else ast.unparse(node)


def _written_out(one: ast.Lambda) -> ast.FunctionDef:
    """Return a lambda as a function that returns its expression, whose code is the same."""
    made = ast.parse("def it(): pass").body[0]
    assert isinstance(made, ast.FunctionDef)
    made.name, made.args = LAMBDA, one.args
    made.body = [ast.copy_location(ast.Return(one.body), one.body)]
    return ast.copy_location(made, one)


def source_of(file: str, namespace: dict[str, Any]) -> Source | None:
    """Return a file's source, None where there is none or it is no Python."""
    lines = linecache.getlines(file, namespace)
    return _parsed(tuple(lines)) if lines else None


@lru_cache(maxsize=8)  # to parse a file takes longer than a failing check
def _parsed(lines: tuple[str, ...]) -> Source | None:
    try:
        return Source(lines)
    except (SyntaxError, ValueError):
        return None


Pair = tuple[ast.expr | None, ast.expr | None]


def _pieces(statement: ast.stmt) -> list[Pair]:
    """Return what a statement assigns, target by target; of one that only evaluates, its value."""
    found: list[Pair] = []
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            found += _paired(target, statement.value)
    elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
        found = [(statement.target, statement.value)]
    elif isinstance(statement, (ast.For, ast.AsyncFor)):
        names = [node for node in ast.walk(statement.target) if isinstance(node, ast.Name)]
        found = [(name, statement.iter) for name in names]
    elif isinstance(statement, (ast.With, ast.AsyncWith)):
        found = [(item.optional_vars, item.context_expr) for item in statement.items]
    elif isinstance(statement, (ast.Expr, ast.Return)):
        found = [(None, statement.value)]
    inside = [node for _, value in found if value for node in ast.walk(value)]
    return found + [(one.target, one.value) for one in inside if isinstance(one, ast.NamedExpr)]


def _paired(target: ast.expr, value: ast.expr) -> list[Pair]:
    if not isinstance(target, (ast.Tuple, ast.List)):
        return [(target, value)]
    names = [item.value if isinstance(item, ast.Starred) else item for item in target.elts]
    sides: list[ast.expr] = [value] * len(names)
    if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(names):
        sides = value.elts
    return [pair for name, side in zip(names, sides, strict=True) for pair in _paired(name, side)]


def reads(expression: ast.AST) -> Iterator[ast.expr]:
    """Yield the names that an expression reads, with what is taken from each: ``g["W"].T``."""
    # What stands in an index is yielded by itself as well.
    if isinstance(expression, (ast.Attribute, ast.Subscript)):
        root: ast.AST = expression
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            if isinstance(root, ast.Subscript):
                yield from reads(root.slice)
            root = root.value
        if isinstance(root, ast.Name):
            yield expression
        else:
            yield from reads(root)
    elif isinstance(expression, ast.Name):
        yield expression
    else:
        for child in ast.iter_child_nodes(expression):
            yield from reads(child)


def _parts(value: ast.expr | None) -> dict[Any, tuple[ast.expr | ast.keyword, ast.expr]]:
    """Return by key or position what a display is made of: where it begins, and its value."""
    # Empty for anything else than a dict, ``dict(...)``, list or tuple that is written out.
    if isinstance(value, ast.Dict):
        return {
            key.value: (key, item)
            for key, item in zip(value.keys, value.values, strict=True)
            if isinstance(key, ast.Constant)
        }
    if isinstance(value, ast.Call) and not value.args:
        return {word.arg: (word, word.value) for word in value.keywords if word.arg}
    if isinstance(value, (ast.Tuple, ast.List)):
        if any(isinstance(item, ast.Starred) for item in value.elts):
            return {}
        return {place: (item, item) for place, item in enumerate(value.elts)}
    return {}


# What an expression adds or multiplies, and whether it is added.
Combined = tuple[tuple[ast.expr, bool], ...]


def _combined_by(statement: ast.stmt) -> Combined:
    value = getattr(statement, "value", None)
    if isinstance(statement, ast.AugAssign):
        value = ast.BinOp(statement.target, statement.op, statement.value)
    if isinstance(getattr(statement, "target", None), ast.Subscript):
        return ()
    return combined(value)


def combined(value: ast.AST | None) -> Combined:
    """Return what an expression does nothing with but to add, multiply or divide it."""
    # Names, their elements and attributes, numbers, and functions of these: ``dz / np.sqrt(d)``.
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ELEMENTWISE):
        return ()
    added = isinstance(value.op, (ast.Add, ast.Sub))
    sides = []
    for side in (value.left, value.right):
        known = isinstance(side, (ast.Name, ast.Subscript, ast.Attribute, ast.Constant, ast.Call))
        sides.append(((side, added),) if known else combined(side))
    return (*sides[0], *sides[1]) if all(sides) else ()


def _may_write(statement: ast.stmt) -> bool:
    """Return whether a call in a statement may write to its arguments: alone, or with ``out=``."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call)
    return not hasattr(statement, "body") and any(
        isinstance(node, ast.keyword) and node.arg == "out" for node in ast.walk(statement)
    )


def _text(statement: ast.stmt, source: Source) -> str:
    """Return a statement on one line, of a loop or a ``with`` its head."""
    if isinstance(statement, (ast.For, ast.AsyncFor)):
        return f"for {source.text(statement.target, statement.iter)}"
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        first, last = statement.items[0], statement.items[-1]
        return f"with {source.text(first.context_expr, last.optional_vars or last.context_expr)}"
    return source.text(statement)


def constant(key: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return what an index is, None where that would take code of the user's to know."""
    # Built-in numbers and texts alone: None of them, or a sum of two kinds, is a TypeError.
    with suppress(TypeError):
        match key:
            case ast.Constant():
                return key.value
            case ast.Name() if type(found := names.get(key.id)) in (int, str):
                return found
            case ast.FormattedValue(conversion=-1, format_spec=None):
                return constant(key.value, names)
            case ast.UnaryOp(op=ast.USub()):
                return -constant(key.operand, names)
            case ast.BinOp(op=ast.Add()):
                return constant(key.left, names) + constant(key.right, names)
            case ast.BinOp(op=ast.Sub()):
                return constant(key.left, names) - constant(key.right, names)
            case ast.JoinedStr():
                parts = [constant(part, names) for part in key.values]
                return None if None in parts else "".join(map(str, parts))
            case ast.Call(func=ast.Name(id="str"), args=[one]):
                return None if (found := constant(one, names)) is None else str(found)
    return None
